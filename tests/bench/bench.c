/* `make bench`: umbra beside QEMU, the same guest image, the same operations, the same run.
 *
 *   bench UMBRA GUEST.elf [QEMU]
 *
 * Every figure is the median of several windows; the servers take turns window by window, so that a
 * machine that slows down slows down all of them.  Nothing here gates anything: it prints a table.
 */

#include "rsp_client.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS  40
#define WINDOWS	  5
#define WINDOW_S  0.25
#define MAX_PEERS 3

/* Small things. */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(2);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

/* The guest's labels. */

enum label { START, LOOP, RANGE, RANGE_END, PIO, PIO_END, SPIN, BUFFER, LABEL_COUNT };
static const char *const label_name[LABEL_COUNT] = {
	"bench_start", "bench_loop",	"bench_range", "bench_range_end",
	"bench_pio",   "bench_pio_end", "bench_spin",  "bench_buffer"};

static unsigned char guest_file[1 << 20];

/* The guest is this project's own ELF32 file: its symbol table is taken as it is. */
static void read_symbols(const Elf32_Shdr *table, const Elf32_Shdr *strings,
			 unsigned long labels[LABEL_COUNT])
{
	const Elf32_Sym *symbol = (const void *)(guest_file + table->sh_offset);
	const char *text = (const char *)guest_file + strings->sh_offset;

	for (unsigned s = 0; s < table->sh_size / sizeof(*symbol); s++) {
		for (unsigned i = 0; i < LABEL_COUNT; i++) {
			if (strcmp(text + symbol[s].st_name, label_name[i]) == 0)
				labels[i] = symbol[s].st_value;
		}
	}
}

static void read_labels(const char *guest, unsigned long labels[LABEL_COUNT])
{
	const Elf32_Ehdr *header = (const void *)guest_file;
	const Elf32_Shdr *section;
	FILE *file = fopen(guest, "rb");

	if (!file || fread(guest_file, 1, sizeof(guest_file), file) < sizeof(*header))
		die("cannot read the guest");
	fclose(file);
	section = (const void *)(guest_file + header->e_shoff);
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (section[i].sh_type == SHT_SYMTAB)
			read_symbols(&section[i], &section[section[i].sh_link], labels);
	}
	if (!labels[START] || !labels[BUFFER])
		die("the guest has no labels");
}

/* Peers. */

struct peer {
	const char *name;
	const char *argv[MAX_ARGS]; /* "@S" = socket path, "@G" = guest */
	const char *break_type;	    /* which Z packet works here */
	bool has_range;
};

struct server {
	const struct peer *peer;
	pid_t pid;
	char socket[64];
	struct rsp_client client;
	bool is_lost;
	double first_reply_ms;
	double resident_mib;
};

static const char *guest_path;
static unsigned long label[LABEL_COUNT];

static void exec_peer(const struct peer *peer, const char *socket_path)
{
	static char text[MAX_ARGS][256];
	char *argv[MAX_ARGS + 1];
	int null = open("/dev/null", O_RDWR);
	unsigned n = 0;

	for (; peer->argv[n]; n++) {
		const char *at = strchr(peer->argv[n], '@');

		if (at && at[1] == 'S')
			snprintf(text[n], sizeof(text[n]), "%.*s%s%s", (int)(at - peer->argv[n]),
				 peer->argv[n], socket_path, at + 2);
		else
			snprintf(text[n], sizeof(text[n]), "%s",
				 at && at[1] == 'G' ? guest_path : peer->argv[n]);
		argv[n] = text[n];
	}
	argv[n] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execvp(argv[0], argv);
	_exit(127);
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

static void start_server(struct server *s, const struct peer *peer)
{
	static unsigned serial;
	double begin = now_s();

	s->peer = peer;
	s->is_lost = false;
	snprintf(s->socket, sizeof(s->socket), "/tmp/umbra-bench-%d-%u", (int)getpid(), serial++);
	s->pid = fork();
	if (s->pid == 0)
		exec_peer(peer, s->socket);
	if (!rsp_connect(&s->client, s->socket, 5000) || !rsp_handshake(&s->client))
		die(peer->name);
	s->first_reply_ms = (now_s() - begin) * 1e3;
	if (!rsp_ask(&s->client, "?"))
		die("no stop reply");
	s->resident_mib = resident_mib_of(s->pid);
}

static void stop_server(struct server *s)
{
	rsp_close(&s->client);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	unlink(s->socket);
}

/* Operations. */

/* A server that does not answer is out of the race: its cells say so. */
static void ask(struct server *s, const char *payload)
{
	if (s->is_lost || rsp_ask(&s->client, payload))
		return;
	fprintf(stderr, "bench: %s did not answer %s\n", s->peer->name, payload);
	s->is_lost = true;
}

static void breakpoint(struct server *s, char z, enum label at)
{
	char text[64];

	snprintf(text, sizeof(text), "%c%s,%lx,1", z, s->peer->break_type, label[at]);
	ask(s, text);
}

static void run_to(struct server *s, enum label at)
{
	breakpoint(s, 'Z', at);
	ask(s, "vCont;c");
	breakpoint(s, 'z', at);
}

/* Register numbers in the x86-64 core feature. */
#define GDB_RCX 2
#define GDB_RDX 3
#define GDB_RIP 16

static void set_register(struct server *s, unsigned reg, unsigned long value)
{
	char text[64];

	snprintf(text, sizeof(text), "P%x=%02lx%02lx%02lx%02lx00000000", reg, value & 0xff,
		 value >> 8 & 0xff, value >> 16 & 0xff, value >> 24 & 0xff);
	ask(s, text);
}

static void jump_to(struct server *s, enum label at)
{
	set_register(s, GDB_RIP, label[at]);
}

static void set_rcx(struct server *s, unsigned long value)
{
	set_register(s, GDB_RCX, value);
}

static double rate_of(struct server *s, const char *payload)
{
	double begin = now_s(), end;
	unsigned count = 0;

	do {
		for (unsigned i = 0; i < 16; i++)
			ask(s, payload);
		count += 16;
		end = now_s();
	} while (end - begin < WINDOW_S && !s->is_lost);
	return count / (end - begin);
}

static double steps_per_s(struct server *s)
{
	return rate_of(s, "vCont;s:p1.1");
}

static double g_per_s(struct server *s)
{
	return rate_of(s, "g");
}

static double read_mb_per_s(struct server *s)
{
	size_t bytes = s->client.packet_size / 2 - 16;
	char text[64];

	snprintf(text, sizeof(text), "m%lx,%zx", label[BUFFER], bytes);
	return rate_of(s, text) * (double)bytes / 1e6;
}

static double range_steps_per_s(struct server *s)
{
	char text[96];
	double begin;

	if (!s->peer->has_range)
		return 0;
	snprintf(text, sizeof(text), "vCont;r%lx,%lx:p1.1", label[RANGE], label[RANGE_END]);
	jump_to(s, RANGE);
	set_rcx(s, 20000);
	begin = now_s();
	ask(s, text);
	return 40000 / (now_s() - begin);
}

static double breaks_per_s(struct server *s)
{
	double rate;

	jump_to(s, LOOP);
	set_rcx(s, 0x7fffffff);
	breakpoint(s, 'Z', LOOP);
	ask(s, "vCont;c");
	rate = rate_of(s, "vCont;c");
	breakpoint(s, 'z', LOOP);
	return rate;
}

static double pio_per_s(struct server *s)
{
	double begin;

	jump_to(s, PIO);
	set_rcx(s, 20000);
	set_register(s, GDB_RDX, 0xed);
	breakpoint(s, 'Z', PIO_END);
	begin = now_s();
	ask(s, "vCont;c");
	breakpoint(s, 'z', PIO_END);
	return 20000 / (now_s() - begin);
}

static double interrupt_us(struct server *s)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	double us[25];

	jump_to(s, SPIN);
	for (unsigned i = 0; i < 25; i++) {
		double begin;

		rsp_send(&s->client, "vCont;c");
		nanosleep(&pause, NULL); /* the guest runs; the server's spinning has ended */
		begin = now_s();
		rsp_send_interrupt(&s->client);
		if (!rsp_receive(&s->client))
			die("no stop after 0x03");
		us[i] = (now_s() - begin) * 1e6;
	}
	return median(us, 25);
}

/* Table. */

struct row {
	const char *name;
	double (*measure)(struct server *s);
	bool is_smaller_better;
};

static const struct row rows[] = {
	{"steps/s, one packet each", steps_per_s, false},
	{"steps/s inside one vCont;r", range_steps_per_s, false},
	{"g packets/s", g_per_s, false},
	{"memory reads, MB/s", read_mb_per_s, false},
	{"breakpoint cycles/s", breaks_per_s, false},
	{"interrupt to stop reply, us", interrupt_us, true},
	{"PIO exits/s", pio_per_s, false},
};

static void print_row(const char *name, const double *value, unsigned peers, bool is_smaller_better)
{
	printf("%-30s", name);
	for (unsigned i = 0; i < peers; i++) {
		if (value[i] > 0)
			printf(" %12.*f", value[i] < 100 ? 1 : 0, value[i]);
		else
			printf(" %12s", "-");
	}
	for (unsigned i = 1; i < peers; i++) {
		double ratio = is_smaller_better ? value[i] / value[0] : value[0] / value[i];

		if (value[i] > 0 && value[0] > 0)
			printf(" %8.1fx", ratio);
		else
			printf(" %9s", "-");
	}
	printf("\n");
}

static void measure_starts(const struct peer *const *peers, unsigned count)
{
	double first[MAX_PEERS][WINDOWS], resident[MAX_PEERS][WINDOWS], value[MAX_PEERS];

	for (unsigned w = 0; w < WINDOWS; w++) {
		for (unsigned i = 0; i < count; i++) {
			struct server s;

			start_server(&s, peers[i]);
			first[i][w] = s.first_reply_ms;
			resident[i][w] = s.resident_mib;
			stop_server(&s);
		}
	}
	for (unsigned i = 0; i < count; i++)
		value[i] = median(first[i], WINDOWS);
	print_row("start to first reply, ms", value, count, true);
	for (unsigned i = 0; i < count; i++)
		value[i] = median(resident[i], WINDOWS);
	print_row("resident after attach, MiB", value, count, true);
}

static double measure(const struct row *row, struct server *s)
{
	double value = s->is_lost ? 0 : row->measure(s);

	return s->is_lost ? 0 : value;
}

static void measure_rows(const struct peer *const *peers, unsigned count)
{
	struct server server[MAX_PEERS];

	for (unsigned i = 0; i < count; i++) {
		start_server(&server[i], peers[i]);
		run_to(&server[i], START);
	}
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		double window[MAX_PEERS][WINDOWS], value[MAX_PEERS];

		for (unsigned w = 0; w < WINDOWS; w++) {
			for (unsigned i = 0; i < count; i++)
				window[i][w] = measure(&rows[r], &server[i]);
		}
		for (unsigned i = 0; i < count; i++)
			value[i] = median(window[i], WINDOWS);
		print_row(rows[r].name, value, count, rows[r].is_smaller_better);
	}
	for (unsigned i = 0; i < count; i++)
		stop_server(&server[i]);
}

int main(int argc, char **argv)
{
	struct peer umbra = {.name = "umbra kvm",
			     .argv = {argv[1], "-kernel", "@G", "-m", "64", "-serial", "null", "-S",
				      "-gdb", "unix:@S"},
			     .break_type = "0",
			     .has_range = true};
	struct peer kvm = {.name = "QEMU kvm",
			   .argv = {argv[3], "-accel", "kvm", "-cpu", "qemu64", "-m", "64",
				    "-display", "none", "-nodefaults", "-no-user-config", "-S",
				    "-gdb", "unix:path=@S,server=on,wait=off", "-kernel", "@G"},
			   .break_type = "1"};
	struct peer tcg = kvm;
	const struct peer *peers[MAX_PEERS] = {&umbra, &kvm, &tcg};
	unsigned count;

	if (argc < 3)
		die("usage: bench UMBRA GUEST.elf [QEMU]");
	tcg.name = "QEMU tcg";
	tcg.argv[2] = "tcg";
	tcg.break_type = "0";
	guest_path = argv[2];
	count = argc > 3 ? MAX_PEERS : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	read_labels(guest_path, label);
	printf("%-30s", "median of 5 windows");
	for (unsigned i = 0; i < count; i++)
		printf(" %12s", peers[i]->name);
	for (unsigned i = 1; i < count; i++)
		printf(" %9s", i == 1 ? "vs kvm" : "vs tcg");
	printf("\n");
	measure_starts(peers, count);
	measure_rows(peers, count);
	if (count == 1)
		printf("QEMU is not installed: its columns are left out (ci/deps.sh bench)\n");
	return 0;
}
