/* Unit tests of listen.c: addresses, sockets in a directory of their own, ports the host picks. */
#include "src/debug/listen.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Parsing. */

Test(listen, parse_when_address_is_good_then_its_parts)
{
	static const struct {
		const char *text;
		enum listen_kind kind;
		unsigned hosts;
		bool is_ipv6;
		const char *first; /* host number, or path */
		unsigned port;
	} cases[] = {
		{"stdio", LISTEN_STDIO, 0, false, "", 0},
		{"tcp::1234", LISTEN_TCP, 2, false, "127.0.0.1", 1234},
		{"tcp::0", LISTEN_TCP, 2, false, "127.0.0.1", 0},
		{"tcp:localhost:65535", LISTEN_TCP, 2, false, "127.0.0.1", 65535},
		{"tcp:127.0.0.1:1", LISTEN_TCP, 1, false, "127.0.0.1", 1},
		{"tcp:0.0.0.0:1234", LISTEN_TCP, 1, false, "0.0.0.0", 1234},
		{"tcp:[::1]:1234", LISTEN_TCP, 1, true, "::1", 1234},
		{"tcp:[::]:7", LISTEN_TCP, 1, true, "::", 7},
		{"unix:/tmp/x y", LISTEN_UNIX, 0, false, "/tmp/x y", 0},
		{"unix:a:b", LISTEN_UNIX, 0, false, "a:b", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listen_address address;
		char host[INET6_ADDRSTRLEN] = "";

		cr_assert_eq(listen_parse(cases[i].text, &address, NULL), 0, "%s", cases[i].text);
		cr_assert_eq(address.kind, cases[i].kind);
		cr_assert_eq(address.host_count, cases[i].hosts, "%s", cases[i].text);
		cr_assert_eq(address.port, cases[i].port);
		if (cases[i].hosts) {
			cr_assert_eq(address.host[0].is_ipv6, cases[i].is_ipv6);
			inet_ntop(cases[i].is_ipv6 ? AF_INET6 : AF_INET, &address.host[0].v6, host,
				  sizeof(host));
			cr_assert_str_eq(host, cases[i].first);
		} else {
			cr_assert_str_eq(address.path, cases[i].first);
		}
	}
}

Test(listen, parse_when_address_is_bad_then_text_says_what_was_expected)
{
	static const char *const cases[] = {
		"",
		"tcp",
		"tcp:",
		"tcp:1234",
		"tcp::",
		"tcp::x",
		"tcp::65536",
		"tcp::-1",
		"tcp::+1",
		"tcp::12 ",
		"tcp::0x10",
		"tcp::000001",
		"tcp:host:1",
		"tcp:1.2.3:4",
		"tcp:::1:1234",
		"tcp:[::1:1",
		"tcp:[]:1",
		"tcp:[1.2.3.4]:1",
		"tcp:127.0.0.1 :1",
		"unix:",
		"unix",
		"stdio ",
		"1234",
		"pty",
		"tcp:[localhost]:1",
		"tcp:111111111111111111111111111111111111111111111111111111111111111:1",
	};
	struct listen_address address;
	char text[400] = "unix:";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_err err = {""};

		cr_assert_eq(listen_parse(cases[i], &address, &err), -EINVAL, "'%s'", cases[i]);
		cr_assert_neq(err.text[0], '\0');
	}
	memset(text + 5, 'p', 300);
	cr_assert_eq(listen_parse(text, &address, NULL), -EINVAL);
	text[5 + LISTEN_PATH_MAX - 1] = '\0';
	cr_assert_eq(listen_parse(text, &address, NULL), 0);
}

/* TCP. */

static int open_text(struct listener *listener, const char *text, struct umbra_err *err)
{
	struct listen_address address;

	cr_assert_eq(listen_parse(text, &address, err), 0);
	return listener_open(listener, &address, err);
}

Test(listen, tcp_when_port_is_0_then_one_port_on_every_family)
{
	struct listener listener;

	cr_assert_eq(open_text(&listener, "tcp::0", NULL), 0);
	cr_assert_geq(listener.fd_count, 1);
	cr_assert_neq(listener.address.port, 0);
	for (unsigned i = 0; i < listener.fd_count; i++) {
		struct sockaddr_in6 name;
		socklen_t len = sizeof(name);

		cr_assert_eq(getsockname(listener.fd[i], (struct sockaddr *)&name, &len), 0);
		cr_assert_eq(ntohs(name.sin6_port), listener.address.port); /* same place in v4 */
	}
	cr_assert_eq(strncmp(listener.text, "127.0.0.1:", 10), 0);
	cr_assert_eq(atoi(listener.text + 10), listener.address.port);
	listener_close(&listener);
}

Test(listen, tcp_when_port_is_taken_then_in_use_with_its_owner)
{
	struct listener first, second;
	struct umbra_err err = {""};
	char text[LISTEN_PATH_MAX + 16], mine[32];

	cr_assert_eq(open_text(&first, "tcp:127.0.0.1:0", NULL), 0);
	snprintf(text, sizeof(text), "tcp:%s", first.text);
	cr_assert_eq(open_text(&second, text, &err), -EADDRINUSE);
	cr_assert_eq(second.fd_count, 0);
	snprintf(mine, sizeof(mine), "pid %d", getpid());
	cr_assert_not_null(strstr(err.text, mine), "%s", err.text);
	cr_assert_not_null(strstr(err.text, first.text));
	listener_close(&first);
}

Test(listen, accept_when_nobody_waits_then_again)
{
	struct listener listener;

	cr_assert_eq(open_text(&listener, "tcp:127.0.0.1:0", NULL), 0);
	cr_assert_eq(listener_accept(&listener, listener.fd[0]), -EAGAIN);
	listener_close(&listener);
}

/* Unix sockets. */

static char dir[] = "/tmp/umbra-listen-XXXXXX";
static char path[64], spec[80];

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(spec, sizeof(spec), "unix:%s", path);
}

static void remove_dir(void)
{
	unlink(path);
	rmdir(dir);
}

static int connect_to(const char *where)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", where);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

Test(listen, unix_when_opened_then_mode_0600_and_gone_afterwards, .init = make_dir,
     .fini = remove_dir)
{
	struct listener listener;
	struct stat st;
	int client;

	umask(0);
	cr_assert_eq(open_text(&listener, spec, NULL), 0);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_str_eq(listener.text, path);
	client = connect_to(path);
	cr_assert_geq(client, 0);
	cr_assert_geq(listener_accept(&listener, listener.fd[0]), 0, "our own user may");
	listener_close(&listener);
	cr_assert_neq(stat(path, &st), 0);
	close(client);
}

Test(listen, unix_when_socket_is_dead_then_replaced, .init = make_dir, .fini = remove_dir)
{
	struct listener dead, listener;

	cr_assert_eq(open_text(&dead, spec, NULL), 0);
	close(dead.fd[0]); /* as a process that was killed leaves it */
	cr_assert_eq(open_text(&listener, spec, NULL), 0);
	listener_close(&listener);
}

Test(listen, unix_when_socket_is_alive_then_in_use_and_left_alone, .init = make_dir,
     .fini = remove_dir)
{
	struct listener first, second;

	cr_assert_eq(open_text(&first, spec, NULL), 0);
	cr_assert_eq(open_text(&second, spec, NULL), -EADDRINUSE);
	cr_assert_geq(connect_to(path), 0);
	listener_close(&first);
}

Test(listen, unix_when_path_is_a_file_or_link_then_left_alone, .init = make_dir, .fini = remove_dir)
{
	struct listener listener, target;
	char link_path[80], link_spec[96];
	struct stat st;
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fclose(file);
	cr_assert_eq(open_text(&listener, spec, NULL), -EEXIST);
	cr_assert_eq(stat(path, &st), 0);
	unlink(path);

	/* A link to a dead socket is not ours to follow or to remove. */
	cr_assert_eq(open_text(&target, spec, NULL), 0);
	close(target.fd[0]);
	snprintf(link_path, sizeof(link_path), "%s/l", dir);
	snprintf(link_spec, sizeof(link_spec), "unix:%s", link_path);
	cr_assert_eq(symlink(path, link_path), 0);
	cr_assert_eq(open_text(&listener, link_spec, NULL), -EEXIST);
	cr_assert_eq(lstat(link_path, &st), 0);
	unlink(link_path);
}

Test(listen, unix_when_file_was_replaced_then_not_removed, .init = make_dir, .fini = remove_dir)
{
	struct listener listener;
	struct stat st;
	FILE *file;

	cr_assert_eq(open_text(&listener, spec, NULL), 0);
	unlink(path);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	fclose(file);
	listener_close(&listener);
	cr_assert_eq(stat(path, &st), 0);
}
