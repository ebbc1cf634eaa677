/* Unit tests of the character back ends: specifications, files and sockets. */
#include "chardev_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

TestSuite(chardev, .init = rig_set_up, .fini = rig_tear_down);

/* Specifications. */

Test(chardev, open_when_spec_is_wrong_then_error_says_how)
{
	static const struct {
		const char *spec;
		int error;
		const char *says;
	} rows[] = {
		{"stdoi", -EINVAL, "did you mean stdio?"},
		{"tpc:x:1", -EINVAL, "did you mean tcp?"},
		{"", -EINVAL, "use stdio, null"},
		{"bananas", -EINVAL, "unknown character back end; use"},
		{"file", -EINVAL, "file:PATH"},
		{"file:", -EINVAL, "file:PATH"},
		{"unix:", -EINVAL, "unix:PATH"},
		{"stdio:1", -EINVAL, "takes nothing after its name"},
		{"null:", 0, ""},
		{"tcp:4000", -EINVAL, "HOST:PORT"},
		{"tcp::", -EINVAL, "HOST:PORT"},
		{"tcp::65536", -EINVAL, "HOST:PORT"},
		{"tcp::-1", -EINVAL, "HOST:PORT"},
		{"tcp::1x", -EINVAL, "HOST:PORT"},
		{"tcp::0,server=maybe", -EINVAL, "server=on or server=off"},
		{"unix:/tmp/x,nowait", -EINVAL, "server=on or server=off"},
		{"file:/nonexistent/x", -ENOENT, "/nonexistent/x"},
		{"file:/", -EISDIR, "cannot open /"},
		{"unix:/nonexistent/x", -ENOENT, "listen on /nonexistent/x"},
		{"unix:/nonexistent/x,server=off", -ENOENT, "connect to /nonexistent/x"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct umbra_err err = {.text = ""};
		struct chardev *c = NULL;
		int rc = chardev_open(&c, rows[i].spec, 0, rig.loop, rig.gate, &err);

		cr_assert_eq(rc, rows[i].error, "%s: %d %s", rows[i].spec, rc, err.text);
		cr_assert_not_null(strstr(err.text, rows[i].says), "%s: %s", rows[i].spec,
				   err.text);
		if (rc == 0)
			chardev_close(c);
	}
}

Test(chardev, open_when_unix_path_is_too_long_then_error)
{
	struct umbra_err err = {.text = ""};
	char spec[200] = "unix:/";
	struct chardev *c;

	memset(spec + 6, 'a', 150);
	cr_assert_eq(chardev_open(&c, spec, 0, rig.loop, rig.gate, &err), -ENAMETOOLONG);
	cr_assert_not_null(strstr(err.text, "107"), "%s", err.text);
}

Test(chardev, null_when_put_then_nothing)
{
	open_spec("none");
	put_pattern(100000);
	cr_assert_str_eq(shown(), "null");
	cr_assert_null(chardev_address(rig.chardev));
}

struct tapped {
	char text[64];
	size_t len;
};

static void take_tapped(void *ctx, const uint8_t *data, size_t len)
{
	struct tapped *tapped = ctx;

	cr_assert_lt(tapped->len + len, sizeof(tapped->text));
	memcpy(tapped->text + tapped->len, data, len);
	tapped->len += len;
}

Test(chardev, tap_when_set_then_sees_what_is_put_on_null_too)
{
	struct tapped tapped = {.len = 0};

	open_spec("none");
	put_text("before");
	cr_assert_eq(chardev_set_tap(rig.chardev, take_tapped, &tapped), 0);
	put_text("seen");
	cr_assert_eq(tapped.len, 0, "not inside of put");
	WAIT_FOR(tapped.len == 4);
	put_text(" now");
	chardev_flush_tap(rig.chardev);
	cr_assert_str_eq(tapped.text, "seen now");
	cr_assert_eq(chardev_set_tap(rig.chardev, NULL, NULL), 0);
	put_text("after");
	turns(3);
	cr_assert_str_eq(tapped.text, "seen now");
}

/* Files. */

Test(chardev, file_when_put_much_then_all_in_order)
{
	FILE *file;

	open_at_path("file:", "");
	put_pattern(300000);
	turns(3);
	put_pattern(1);
	close_chardev();
	file = fopen(rig.path, "r");
	for (size_t i = 0; i < 300000; i++)
		cr_assert_eq(fgetc(file), PATTERN(i));
	cr_assert_eq(fgetc(file), PATTERN(0));
	cr_assert_eq(fgetc(file), EOF);
	fclose(file);
}

Test(chardev, file_when_disk_is_full_then_counted_and_goes_on)
{
	cr_assert_eq(chardev_open(&rig.chardev, "file:/dev/full", 0, rig.loop, rig.gate, NULL), 0);
	put_pattern(5000);
	WAIT_FOR(strstr(shown(), "5000 bytes dropped"));
	cr_assert_null(strstr(shown(), "queued"));
	put_pattern(5);
	WAIT_FOR(strstr(shown(), "5005 bytes dropped"));
}

/* Unix sockets. */

Test(chardev, unix_server_when_open_then_owner_only_and_gone_after_close)
{
	struct stat st;

	umask(0);
	open_at_path("unix:", "");
	cr_assert_eq(lstat(rig.path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_str_eq(chardev_address(rig.chardev), rig.path);
	cr_assert_not_null(strstr(shown(), "(not connected)"), "%s", shown());
	close_chardev();
	cr_assert_eq(lstat(rig.path, &st), -1);
}

Test(chardev, unix_server_when_client_comes_late_then_earlier_output_waits)
{
	struct taker t = {.room = 100};
	int fd;

	open_at_path("unix:", ",server=on");
	chardev_set_input(rig.chardev, take, &t);
	put_text("early ");
	turns(2);
	cr_assert_not_null(strstr(shown(), "6 bytes queued"), "%s", shown());
	fd = connect_unix();
	put_text("late");
	expect_text(fd, "early late");
	put_text("!");
	expect_text(fd, "!");
	cr_assert_eq(write(fd, "typed", 5), 5);
	WAIT_FOR(t.taken == 5);
	cr_assert_str_eq(t.text, "typed");
	cr_assert_not_null(strstr(shown(), "(connected)"), "%s", shown());
}

Test(chardev, unix_server_when_second_client_then_shown_out_and_first_stays)
{
	char byte;
	int first, second;

	open_at_path("unix:", "");
	first = connect_unix();
	turns(3);
	second = connect_unix();
	cr_assert_geq(second, 0);
	WAIT_FOR(is_readable(second));
	cr_assert_eq(read(second, &byte, 1), 0);
	put_text("still here");
	expect_text(first, "still here");
}

Test(chardev, unix_server_when_client_leaves_then_next_one_is_served)
{
	struct taker t = {.room = 100};
	int fd;

	open_at_path("unix:", "");
	chardev_set_input(rig.chardev, take, &t);
	for (unsigned i = 0; i < 3; i++) {
		fd = connect_unix();
		put_text("hello");
		expect_text(fd, "hello");
		cr_assert_eq(write(fd, "x", 1), 1);
		close(fd);
		WAIT_FOR(t.taken == i + 1);
		WAIT_FOR(strstr(shown(), "(not connected)"));
		expect_idle();
	}
}

/* Without a device that wants input, too, the peer's leaving is seen. */
Test(chardev, unix_server_when_nobody_wants_input_then_client_may_talk_and_leave)
{
	int fd;

	open_at_path("unix:", "");
	fd = connect_unix();
	WAIT_FOR(strstr(shown(), "(connected)"));
	cr_assert_eq(write(fd, "ignored", 7), 7);
	turns(2);
	close(fd);
	WAIT_FOR(strstr(shown(), "(not connected)"));
}

static void make_socket_file(bool is_listening)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(addr.sun_path, rig.path, strlen(rig.path));
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (is_listening)
		cr_assert_eq(listen(fd, 1), 0);
	else
		close(fd);
}

Test(chardev, unix_server_when_stale_socket_then_replaced)
{
	make_socket_file(false);
	open_at_path("unix:", "");
	cr_assert_geq(connect_unix(), 0);
}

Test(chardev, unix_server_when_live_socket_then_refused_and_left)
{
	struct umbra_err err = {.text = ""};
	char spec[80];
	struct stat st;

	make_socket_file(true);
	snprintf(spec, sizeof(spec), "unix:%s", rig.path);
	cr_assert_eq(chardev_open(&rig.chardev, spec, 0, rig.loop, rig.gate, &err), -EADDRINUSE);
	rig.chardev = NULL;
	cr_assert_eq(lstat(rig.path, &st), 0);
	cr_assert_geq(connect_unix(), 0);
}

Test(chardev, unix_server_when_path_is_a_file_then_refused_and_left)
{
	char spec[80];
	struct stat st;

	close(open(rig.path, O_CREAT | O_WRONLY, 0600));
	snprintf(spec, sizeof(spec), "unix:%s", rig.path);
	cr_assert_eq(chardev_open(&rig.chardev, spec, 0, rig.loop, rig.gate, NULL), -EADDRINUSE);
	rig.chardev = NULL;
	cr_assert_eq(lstat(rig.path, &st), 0);
	cr_assert(S_ISREG(st.st_mode));
}

Test(chardev, unix_server_when_its_file_was_replaced_then_close_leaves_the_new_one)
{
	struct stat st;

	open_at_path("unix:", "");
	unlink(rig.path);
	close(open(rig.path, O_CREAT | O_WRONLY, 0600));
	close_chardev();
	cr_assert_eq(lstat(rig.path, &st), 0);
}

Test(chardev, unix_client_when_peer_leaves_then_output_is_dropped_and_counted)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	int peer;

	memcpy(addr.sun_path, rig.path, strlen(rig.path));
	cr_assert_eq(bind(server, (struct sockaddr *)&addr, sizeof(addr)), 0);
	cr_assert_eq(listen(server, 1), 0);
	open_at_path("unix:", ",server=off");
	cr_assert_null(chardev_address(rig.chardev));
	peer = accept(server, NULL, NULL);
	put_text("hello");
	expect_text(peer, "hello");
	close(peer);
	WAIT_FOR(strstr(shown(), "(not connected)"));
	put_pattern(70);
	WAIT_FOR(strstr(shown(), "70 bytes dropped"));
	expect_idle();
}

/* Tcp. */

Test(chardev, tcp_server_when_port_zero_then_address_tells_and_serves)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct taker t = {.room = 100};
	unsigned port;
	int fd;

	open_spec("tcp::0");
	chardev_set_input(rig.chardev, take, &t);
	cr_assert_eq(sscanf(chardev_address(rig.chardev), "127.0.0.1:%u", &port), 1, "%s",
		     chardev_address(rig.chardev));
	addr.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	put_text("over tcp");
	expect_text(fd, "over tcp");
	cr_assert_eq(write(fd, "back", 4), 4);
	WAIT_FOR(t.taken == 4);
}
