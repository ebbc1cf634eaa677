#include "peer.h"

#include "figures.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS       40
#define START_LIMIT_MS 5000
#define TRY_MS	       10
#define MAX_GUEST      (1u << 20)
#define MAX_G	       4096 /* a g packet's text */

/* Peers.  In their arguments @U stands for umbra, @Q for QEMU, @G for the guest and @S for the
 * path of the socket, @D for gdbserver, @N for the number of processors, each the last thing before
 * a comma or the end. */

struct peer_row {
	const char *name;
	char break_type; /* which Z packet sets its breakpoints */
	const char *argv[MAX_ARGS];
};

#define UMBRA(accel)                                                                               \
	"@U", "-accel", accel, "-kernel", "@G", "-m", "64", "-smp", "@N", "-serial", "null", "-S", \
		"-gdb", "unix:@S"
#define QEMU(accel)                                                                                \
	"@Q", "-accel", accel, "-cpu", "qemu64", "-m", "64", "-smp", "@N", "-display", "none",     \
		"-nodefaults", "-no-user-config", "-S", "-gdb", "unix:path=@S,server=on,wait=off", \
		"-kernel", "@G"

static const struct peer_row PEERS[] = {
	[PEER_UMBRA_SOFT] = {"umbra soft", '0', {UMBRA("soft")}},
	[PEER_UMBRA_KVM] = {"umbra kvm", '0', {UMBRA("kvm")}},
	[PEER_QEMU_TCG] = {"QEMU tcg", '0', {QEMU("tcg")}},
	/* QEMU plants no breakpoints into a guest of KVM's that cannot run them; it has debug
	 * registers for that. */
	[PEER_QEMU_KVM] = {"QEMU kvm", '1', {QEMU("kvm")}},
	/* It knows no Unix sockets: it is given a connection as its standard input and output. */
	[PEER_GDBSERVER] = {"gdbserver", '0', {"@D", "-", "@G"}},
};

const char *peer_name(enum peer peer)
{
	return PEERS[peer].name;
}

/* The command line, and the guest's labels. */

static const char *const label_name[LABEL_COUNT] = {
	[LABEL_START] = "bench_start",	 [LABEL_LOOP] = "bench_loop",
	[LABEL_RANGE] = "bench_range",	 [LABEL_RANGE_END] = "bench_range_end",
	[LABEL_PIO] = "bench_pio",	 [LABEL_SPIN] = "bench_spin",
	[LABEL_ALU] = "bench_alu",	 [LABEL_BESIDE] = "bench_beside",
	[LABEL_STORE] = "bench_store",	 [LABEL_END] = "bench_end",
	[LABEL_NEAR] = "bench_near",	 [LABEL_FAR] = "bench_far",
	[LABEL_BUFFER] = "bench_buffer", [LABEL_LIMIT] = "count_limit",
};

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(2);
}

/* The guest is this project's own ELF32 file: its symbol table is taken as it is. */
static void read_symbols(struct bench *b, const unsigned char *file, const Elf32_Shdr *table,
			 const Elf32_Shdr *strings)
{
	const Elf32_Sym *symbol = (const void *)(file + table->sh_offset);
	const char *text = (const char *)file + strings->sh_offset;

	for (unsigned s = 0; s < table->sh_size / sizeof(*symbol); s++) {
		for (unsigned i = 0; i < LABEL_COUNT; i++) {
			if (strcmp(text + symbol[s].st_name, label_name[i]) == 0)
				b->label[i] = symbol[s].st_value;
		}
	}
}

static void read_labels(struct bench *b)
{
	unsigned char *bytes = malloc(MAX_GUEST);
	const Elf32_Ehdr *header = (const void *)bytes;
	const Elf32_Shdr *section;
	FILE *file = fopen(b->guest, "rb");

	if (!bytes || !file || fread(bytes, 1, MAX_GUEST, file) < sizeof(*header))
		die("cannot read the guest");
	fclose(file);
	section = (const void *)(bytes + header->e_shoff);
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (section[i].sh_type == SHT_SYMTAB)
			read_symbols(b, bytes, &section[i], &section[section[i].sh_link]);
	}
	free(bytes);
	for (unsigned i = b->cpus > 1 ? LABEL_BENCH : 0;
	     i < (b->cpus > 1 ? LABEL_COUNT : LABEL_BENCH); i++) {
		if (!b->label[i])
			die("the guest lacks a label");
	}
}

void bench_open(struct bench *b, unsigned cpus, int argc, char **argv)
{
	bool is_quick = argc > 1 && strcmp(argv[1], "--quick") == 0;

	argv += is_quick;
	argc -= is_quick;
	if (argc < 3)
		die("usage: [--quick] UMBRA GUEST.elf [QEMU [GDBSERVER]]");
	*b = (struct bench){
		.umbra = argv[1],
		.guest = argv[2],
		.qemu = argc > 3 && argv[3][0] ? argv[3] : NULL,
		.gdbserver = argc > 4 && argv[4][0] ? argv[4] : NULL,
		.is_quick = is_quick,
		.cpus = cpus,
		.windows = is_quick ? 1 : 7,
		.window_s = is_quick ? 0.001 : 0.25,
	};
	read_labels(b);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Processes. */

static const char *meaning(const struct server *s, char letter)
{
	switch (letter) {
	case 'U':
		return s->bench->umbra;
	case 'Q':
		return s->bench->qemu;
	case 'G':
		return s->bench->guest;
	case 'D':
		return s->bench->gdbserver;
	case 'N':
		return s->bench->cpus > 1 ? "2" : "1";
	default:
		return s->socket;
	}
}

/* In the child; @connection: -1, or what it is to serve. */
static _Noreturn void exec_peer(const struct server *s, int connection)
{
	const char *const *from = PEERS[s->peer].argv;
	char *argv[MAX_ARGS + 1] = {NULL};
	int null = open("/dev/null", O_RDWR);

	for (unsigned n = 0; n < MAX_ARGS && from[n]; n++) {
		const char *at = strchr(from[n], '@');
		int before = at ? (int)(at - from[n]) : (int)strlen(from[n]);

		if (asprintf(&argv[n], "%.*s%s%s", before, from[n], at ? meaning(s, at[1]) : "",
			     at ? at + 2 : "") < 0)
			_exit(127);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 3; fd++)
		dup2(connection >= 0 && fd < 2 ? connection : null, fd);
	execvp(argv[0], argv);
	_exit(127);
}

static void lose(struct server *s, const char *why)
{
	fprintf(stderr, "bench: %s %s\n", peer_name(s->peer), why);
	s->is_lost = true;
}

static double resident_mib_of(pid_t pid)
{
	char path[64], line[256];
	double kib = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtod(line + 6, NULL);
	}
	if (status)
		fclose(status);
	return kib / 1024;
}

double server_cpu_s(const struct server *s)
{
	struct timespec t;
	clockid_t clock;

	if (s->is_lost || clock_getcpuclockid(s->pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* False: nobody listens, or the server ended. */
static bool connect_to(struct server *s)
{
	for (unsigned tried_ms = 0; tried_ms < START_LIMIT_MS; tried_ms += TRY_MS) {
		if (rsp_connect(&s->client, s->socket, TRY_MS))
			return rsp_handshake(&s->client);
		rsp_close(&s->client);
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
			s->pid = 0;
			break;
		}
	}
	return false;
}

static bool start_listener(struct server *s)
{
	snprintf(s->socket, sizeof(s->socket), "/tmp/umbra-bench-%d-%u", (int)getpid(),
		 (unsigned)s->peer);
	s->pid = fork();
	if (s->pid == 0)
		exec_peer(s, -1);
	return s->pid > 0 && connect_to(s);
}

static bool start_on_stdio(struct server *s)
{
	int end[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end) != 0)
		return false;
	s->pid = fork();
	if (s->pid == 0)
		exec_peer(s, end[1]);
	close(end[1]);
	return rsp_adopt(&s->client, end[0]) && s->pid > 0 && rsp_handshake(&s->client);
}

/* "thread:p1.1;" in the answer to `?'. */
static void note_thread(struct server *s)
{
	const char *at;

	server_ask(s, "?");
	at = s->is_lost ? NULL : strstr(s->client.reply, "thread:");
	if (!at || sscanf(at, "thread:%39[^;]", s->thread) != 1)
		snprintf(s->thread, sizeof(s->thread), "p1.1");
}

void server_start(struct server *s, const struct bench *b, enum peer peer)
{
	double begin = now_s();

	*s = (struct server){.bench = b, .peer = peer, .client.fd = -1};
	if (!(peer == PEER_GDBSERVER ? start_on_stdio(s) : start_listener(s))) {
		lose(s, "did not start");
		return;
	}
	s->first_reply_ms = (now_s() - begin) * 1e3;
	note_thread(s);
	s->resident_mib = resident_mib_of(s->pid);
}

void server_stop(struct server *s)
{
	rsp_close(&s->client);
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	if (s->socket[0])
		unlink(s->socket);
}

void server_start_guest(struct server *s, const struct bench *b, enum peer peer)
{
	server_start(s, b, peer);
	/* What comes before it is for a bare machine. */
	if (peer == PEER_GDBSERVER)
		return;
	server_breakpoint(s, 'Z', LABEL_START);
	server_ask(s, "vCont;c");
	server_breakpoint(s, 'z', LABEL_START);
	server_expect(s, LABEL_START);
}

/* Requests. */

void server_ask(struct server *s, const char *payload)
{
	char why[128];

	if (s->is_lost || rsp_ask(&s->client, payload))
		return;
	snprintf(why, sizeof(why), "did not answer %s", payload);
	lose(s, why);
}

static void set_point(struct server *s, char action, char type, enum label at, unsigned len)
{
	char text[64];

	snprintf(text, sizeof(text), "%c%c,%lx,%x", action, type, s->bench->label[at], len);
	server_ask(s, text);
	if (!s->is_lost && strcmp(s->client.reply, "OK") != 0)
		lose(s, "cannot set a point");
}

void server_breakpoint(struct server *s, char action, enum label at)
{
	set_point(s, action, PEERS[s->peer].break_type, at, 1);
}

void server_watchpoint(struct server *s, char action, enum label at)
{
	set_point(s, action, '2', at, 4);
}

/* Register numbers in the x86-64 core feature; and of an i386 process, whose registers have four
 * bytes each and which gdbserver writes all at once or not at all. */
#define GDB_RCX	   2
#define GDB_RIP	   16
#define GDB_ECX	   1
#define GDB_EIP	   8
#define REG32_TEXT 8 /* characters in g */

/* A value as the protocol has it: little-endian bytes.  All values here fit 32 bits. */
static void print_register(char text[17], unsigned long value)
{
	snprintf(text, 17, "%02lx%02lx%02lx%02lx00000000", value & 0xff, value >> 8 & 0xff,
		 value >> 16 & 0xff, value >> 24 & 0xff);
}

static void set_register(struct server *s, unsigned reg, unsigned long value)
{
	char text[64], bytes[17];

	print_register(bytes, value);
	snprintf(text, sizeof(text), "P%x=%s", reg, bytes);
	server_ask(s, text);
}

static void aim_process(struct server *s, unsigned long rip, unsigned long rcx)
{
	char text[MAX_G] = "G", bytes[17];

	server_ask(s, "g");
	if (s->is_lost ||
	    rsp_expanded(&s->client, text + 1, sizeof(text) - 1) <= (GDB_EIP + 1) * REG32_TEXT)
		return;
	print_register(bytes, rip);
	memcpy(text + 1 + GDB_EIP * REG32_TEXT, bytes, REG32_TEXT);
	print_register(bytes, rcx);
	memcpy(text + 1 + GDB_ECX * REG32_TEXT, bytes, REG32_TEXT);
	server_ask(s, text);
}

void server_aim(struct server *s, enum label from, unsigned long turns)
{
	if (s->peer == PEER_GDBSERVER) {
		aim_process(s, s->bench->label[from], turns);
		return;
	}
	set_register(s, GDB_RIP, s->bench->label[from]);
	set_register(s, GDB_RCX, turns);
}

void server_go(struct server *s, const char *action)
{
	char text[96];

	snprintf(text, sizeof(text), "vCont;%s:%s", action, s->thread);
	server_ask(s, text);
}

static bool is_at(struct server *s, unsigned long rip)
{
	bool is_process = s->peer == PEER_GDBSERVER;
	char text[MAX_G] = "", bytes[17], packet[16];

	snprintf(packet, sizeof(packet), "p%x", GDB_RIP);
	server_ask(s, is_process ? "g" : packet);
	rsp_expanded(&s->client, text, sizeof(text));
	print_register(bytes, rip);
	return is_process ? memcmp(text + GDB_EIP * REG32_TEXT, bytes, REG32_TEXT) == 0
			  : strcmp(text, bytes) == 0;
}

void server_expect(struct server *s, enum label at)
{
	char why[96];

	if (s->is_lost || is_at(s, s->bench->label[at]) || s->is_lost)
		return;
	snprintf(why, sizeof(why), "did not stop at %s but %.20s", label_name[at], s->client.reply);
	lose(s, why);
}

void server_run(struct server *s, enum label from, unsigned long turns)
{
	server_aim(s, from, turns);
	server_breakpoint(s, 'Z', LABEL_END);
	server_ask(s, "vCont;c");
	server_breakpoint(s, 'z', LABEL_END);
	server_expect(s, LABEL_END);
}
