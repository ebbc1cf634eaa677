/* See server_rig.h. */
#include "server_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SETTLE_NS 2000000ull /* nothing more is to come after this long */

struct server_rig t;

static void on_quit(void *ctx, int code)
{
	(void)ctx;
	t.quit_code = code;
	t.quit_count++;
}

static void on_timer(void *ctx)
{
	(void)ctx;
	loop_quit(t.loop, 0);
}

static void open_port(const char *address, enum debug_disconnect policy)
{
	struct debug_config config = {.address = address,
				      .on_disconnect = policy,
				      .version = "umbra of the test",
				      .keep_alive_ns = t.keep_alive_ns,
				      .on_quit = on_quit};
	struct umbra_err err = {""};

	t.quit_code = -1;
	t.vm = fake_vm_create();
	t.world = t.vm->world;
	cr_assert_eq(loop_create(&t.loop, NULL), 0);
	t.timer = loop_timer_add(t.loop, on_timer, NULL);
	cr_assert_eq(debug_server_create(&t.server, &config, t.vm, t.loop, &err), 0, "%s",
		     err.text);
}

void rig_start(enum debug_disconnect policy)
{
	char address[80];

	snprintf(t.dir, sizeof(t.dir), "/tmp/umbra-server-XXXXXX");
	cr_assert_not_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof(t.path), "%s/s", t.dir);
	snprintf(address, sizeof(address), "unix:%s", t.path);
	open_port(address, policy);
}

int rig_start_stdio(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	dup2(pair[1], STDIN_FILENO);
	dup2(pair[1], STDOUT_FILENO);
	close(pair[1]);
	open_port("stdio", DEBUG_ON_DISCONNECT_RESUME);
	return pair[0];
}

void rig_set_up(void)
{
	rig_start(DEBUG_ON_DISCONNECT_RESUME);
}

void rig_tear_down(void)
{
	debug_server_destroy(t.server);
	loop_destroy(t.loop);
	fake_vm_destroy(t.vm);
	if (!t.dir[0])
		return;
	cr_assert_neq(access(t.path, F_OK), 0, "the socket is removed");
	rmdir(t.dir);
}

void rig_settle(void)
{
	loop_timer_arm(t.timer, SETTLE_NS);
	loop_run(t.loop);
}

/* A client. */

int rig_connect(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", t.path);
	cr_assert_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int rig_join(void)
{
	int fd = rig_connect();

	rig_settle();
	return fd;
}

void rig_send_bytes(int fd, const void *bytes, size_t len)
{
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	rig_settle();
}

void rig_send_packet_unseen(int fd, const char *data)
{
	char packet[2048];
	unsigned sum = 0;
	int len;

	for (const char *c = data; *c; c++)
		sum += (unsigned char)*c;
	len = snprintf(packet, sizeof(packet), "$%s#%02x", data, sum & 0xff);
	cr_assert_eq(write(fd, packet, (size_t)len), (ssize_t)len);
}

void rig_send_packet(int fd, const char *data)
{
	rig_send_packet_unseen(fd, data);
	rig_settle();
}

const char *rig_receive(int fd)
{
	static char text[65536];
	size_t len = 0;

	while (len < sizeof(text) - 16) {
		ssize_t got = read(fd, text + len, sizeof(text) - 16 - len);

		if (got <= 0) {
			bool is_closed = got == 0 || errno == ECONNRESET;

			snprintf(text + len, 16, "%s", is_closed ? "(closed)" : "");
			return text;
		}
		len += (size_t)got;
	}
	text[len] = '\0'; /* there is more */
	return text;
}

bool rig_says(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

bool rig_stop_world(enum stop_kind kind, const char *text)
{
	struct cpu_stop stop = {.kind = kind, .addr = 0x1000};
	bool is_told;

	snprintf(stop.text, sizeof(stop.text), "%s", text);
	t.world->state = WORLD_STOPPED;
	is_told = debug_server_stopped(t.server, &stop);
	rig_settle();
	return is_told;
}

int rig_attach(void)
{
	int fd = rig_join();

	rig_send_packet(fd, "?");
	cr_assert(rig_says(rig_receive(fd), "T05"));
	return fd;
}
