/* The test rig of the character back ends. */
#include "chardev_rig.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MS 1000000ull

struct chardev_rig rig;

void rig_set_up(void)
{
	signal(SIGPIPE, SIG_IGN); /* as main does */
	rig = (struct chardev_rig){.dir = "/tmp/umbra-test-XXXXXX"};
	cr_assert_eq(loop_create(&rig.loop, NULL), 0);
	cr_assert_eq(gate_create(&rig.gate, NULL), 0);
	cr_assert_not_null(mkdtemp(rig.dir));
	snprintf(rig.path, sizeof(rig.path), "%s/x", rig.dir);
}

void close_chardev(void)
{
	chardev_close(rig.chardev);
	rig.chardev = NULL;
}

void rig_tear_down(void)
{
	close_chardev();
	gate_destroy(rig.gate);
	loop_destroy(rig.loop);
	unlink(rig.path);
	rmdir(rig.dir);
}

static void quit(void *ctx)
{
	loop_quit(ctx, 0);
}

static void run_for(uint64_t delay_ns)
{
	struct loop_timer *timer = loop_timer_add(rig.loop, quit, rig.loop);

	loop_timer_arm(timer, delay_ns);
	loop_run(rig.loop);
	loop_timer_del(timer);
}

void turn(void)
{
	run_for(MS);
}

void turns(unsigned count)
{
	while (count-- > 0)
		turn();
}

void open_spec(const char *spec)
{
	struct umbra_err err = {.text = ""};
	int rc = chardev_open(&rig.chardev, spec, 0, rig.loop, rig.gate, &err);

	cr_assert_eq(rc, 0, "%s: %s", spec, err.text);
}

void open_at_path(const char *before, const char *after)
{
	char spec[128];

	snprintf(spec, sizeof(spec), "%s%s%s", before, rig.path, after);
	open_spec(spec);
}

void put_text(const char *text)
{
	while (*text)
		chardev_put(rig.chardev, (uint8_t)*text++);
}

void put_pattern(size_t count)
{
	for (size_t i = 0; i < count; i++)
		chardev_put(rig.chardev, PATTERN(i));
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

const char *shown(void)
{
	static char text[512];
	struct print_sink sink = {.text = collect, .ctx = text};

	text[0] = '\0';
	chardev_show(rig.chardev, &sink);
	return text;
}

size_t take(void *ctx, const uint8_t *data, size_t len)
{
	struct taker *t = ctx;
	size_t n = len < t->room ? len : t->room;

	for (size_t i = 0; i < n; i++) {
		if (t->is_pattern)
			cr_assert_eq(data[i], PATTERN(t->taken + i));
		if (t->taken + i < sizeof(t->text) - 1)
			t->text[t->taken + i] = (char)data[i];
	}
	t->taken += n;
	t->room -= n;
	return n;
}

int connect_unix(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, rig.path, strlen(rig.path));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool is_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

void expect_text(int fd, const char *want)
{
	size_t len = strlen(want);
	size_t have = 0;
	char got[64];

	for (unsigned i = 0; have < len && i < LIMIT_ROUNDS; i++) {
		ssize_t n = is_readable(fd) ? read(fd, got + have, len - have) : 0;

		cr_assert_geq(n, 0);
		have += (size_t)n;
		turn();
	}
	cr_assert_eq(have, len);
	cr_assert_eq(memcmp(got, want, len), 0);
}

void expect_idle(void)
{
	uint64_t before = thread_cpu_ns(gettid());

	run_for(60 * MS);
	cr_assert_lt(thread_cpu_ns(gettid()) - before, 20 * MS);
}
