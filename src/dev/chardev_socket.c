/* unix: and tcp: back ends.  A server takes one client at a time and outlives it; what is printed
 * while nobody is connected waits in the queue.  A client (server=off) connects once, at the start.
 * The port is a way into the guest, so a Unix socket is its owner's only (0600) and TCP stays on
 * the loopback interface unless another address is asked for. */
#include "chardev_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TCP_DEFAULT_HOST "127.0.0.1"
#define ACCEPT_RETRY_NS	 100000000ull

/* One peer. */

static void conn_close(struct chardev *c)
{
	int fd = c->out_fd;

	if (fd < 0)
		return;
	chardev_detach(c);
	close(fd);
}

void chardev_socket_lost(struct chardev *c)
{
	conn_close(c);
	if (!c->is_server)
		chardev_out_died(c);
}

static void on_accept_retry(void *ctx)
{
	struct chardev *c = ctx;

	loop_mod(c->loop, c->listen_fd, LOOP_READ);
}

/* Out of descriptors or memory the connection stays in the queue and the socket readable; looking
 * again at once would be a busy loop. */
static void accept_failed(struct chardev *c, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	loop_mod(c->loop, c->listen_fd, 0);
	loop_timer_arm(c->accept_timer, ACCEPT_RETRY_NS);
}

/* Characters that a person types should not wait for each other. */
static void set_nodelay(const struct chardev *c, int fd)
{
	const int one = 1;

	if (c->kind == CHARDEV_TCP)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* A second client is let in and shown out: left in the queue it would believe to be connected. */
static void on_connection(void *ctx, int listen_fd, unsigned events)
{
	struct chardev *c = ctx;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		accept_failed(c, errno);
		return;
	}
	if (c->out_fd >= 0 || chardev_attach(c, fd, fd) < 0) {
		close(fd);
		return;
	}
	set_nodelay(c, fd);
	chardev_pump(c);
}

/* Put @fd, listening or connected, to use.  It is the chardev's from here on when 0 is returned. */
static int socket_use(struct chardev *c, int fd)
{
	int rc;

	/* A blocking accept would wait for ever if the client gave up between poll and accept. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		return -errno;
	if (!c->is_server) {
		set_nodelay(c, fd);
		return chardev_attach(c, fd, fd);
	}
	c->accept_timer = loop_timer_add(c->loop, on_accept_retry, c);
	if (!c->accept_timer)
		return -ENOMEM;
	if (listen(fd, 1) != 0)
		return -errno;
	rc = loop_add(c->loop, fd, LOOP_READ, on_connection, c);
	if (rc == 0)
		c->listen_fd = fd;
	return rc;
}

/* Unix. */

/* A socket file that nobody listens on is left over from a process that died, and may be replaced.
 * Anything else at @path, a live server or a file that is no socket, stays.  Returns 0 when the
 * path is free now. */
static int stale_remove(const struct sockaddr_un *addr)
{
	struct stat st;
	int probe;
	int error;

	if (lstat(addr->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return -errno;
	error = connect(probe, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : errno;
	close(probe);
	if (error != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(addr->sun_path) == 0 ? 0 : -errno;
}

static int unix_bind(struct chardev *c, int fd, const struct sockaddr_un *addr)
{
	struct stat st;
	int rc;

	/* The mode of an unbound socket is that of its file to be (Linux unix_bind), so there is no
	 * moment at which others could connect. */
	if (fchmod(fd, 0600) != 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0) {
		if (errno != EADDRINUSE)
			return -errno;
		rc = stale_remove(addr);
		if (rc < 0)
			return rc;
		if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
			return -errno;
	}
	if (lstat(addr->sun_path, &st) == 0) {
		c->unix_dev = st.st_dev;
		c->unix_ino = st.st_ino;
	}
	return 0;
}

static int unix_open(struct chardev *c, const char *path, struct umbra_err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return umbra_err_set(
			err, ENAMETOOLONG,
			"the path %s is longer than a Unix socket's may be (%zu bytes)", path,
			sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path));
	c->address = strdup(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !c->address)
		rc = fd < 0 ? -errno : -ENOMEM;
	else if (c->is_server)
		rc = unix_bind(c, fd, &addr);
	else
		rc = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
	if (rc == 0)
		rc = socket_use(c, fd);
	if (rc == 0)
		return 0;
	if (fd >= 0)
		close(fd);
	return umbra_err_set(err, -rc, "cannot %s %s: %s",
			     c->is_server ? "listen on" : "connect to", path, strerror(-rc));
}

/* Tcp. */

/* Split "HOST:PORT" or "[HOST]:PORT" in place; an empty host is the default.  False when it has
 * another form. */
static bool tcp_split(char *target, const char **out_host, const char **out_port)
{
	char *colon = strrchr(target, ':');
	char *end;
	unsigned long port;

	port = colon ? strtoul(colon + 1, &end, 10) : 0;
	if (!colon || colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > 65535)
		return false;
	*out_port = colon + 1;
	*colon = '\0';
	if (target[0] == '[' && colon > target + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		target++;
	}
	*out_host = *target ? target : TCP_DEFAULT_HOST;
	return true;
}

static int tcp_socket(const struct chardev *c, const struct addrinfo *ai)
{
	const int one = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
	int rc;

	if (fd < 0)
		return -errno;
	if (c->is_server) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		rc = bind(fd, ai->ai_addr, ai->ai_addrlen);
	} else {
		rc = connect(fd, ai->ai_addr, ai->ai_addrlen);
	}
	if (rc == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* The address with the port that the kernel chose for port 0. */
static int tcp_name(struct chardev *c, int fd)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(addr);
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];
	int rc;

	rc = c->is_server ? getsockname(fd, (struct sockaddr *)&addr, &len)
			  : getpeername(fd, (struct sockaddr *)&addr, &len);
	if (rc != 0)
		return -errno;
	if (getnameinfo((const struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EADDRNOTAVAIL;
	if (asprintf(&c->address, addr.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port) <
	    0) {
		c->address = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The first of the host's addresses that works; a negative errno of the last one otherwise. */
static int tcp_try_all(const struct chardev *c, const struct addrinfo *list)
{
	const struct addrinfo *ai;
	int fd = -EADDRNOTAVAIL;

	for (ai = list; ai; ai = ai->ai_next) {
		fd = tcp_socket(c, ai);
		if (fd >= 0)
			break;
	}
	return fd;
}

static int tcp_use(struct chardev *c, int fd)
{
	int rc = tcp_name(c, fd);

	if (rc == 0)
		rc = socket_use(c, fd);
	if (rc < 0)
		close(fd);
	return rc;
}

static int tcp_open(struct chardev *c, char *target, struct umbra_err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICSERV | (c->is_server ? AI_PASSIVE : 0)};
	struct addrinfo *list;
	const char *host;
	const char *port;
	int rc;

	if (!tcp_split(target, &host, &port))
		return umbra_err_set(err, EINVAL, "tcp:%s: expected HOST:PORT, PORT 0 to 65535",
				     target);
	rc = getaddrinfo(host, port, &hints, &list);
	if (rc != 0)
		return umbra_err_set(err, EADDRNOTAVAIL, "tcp: unknown host %s: %s", host,
				     gai_strerror(rc));
	rc = tcp_try_all(c, list);
	freeaddrinfo(list);
	if (rc >= 0)
		rc = tcp_use(c, rc);
	if (rc == 0)
		return 0;
	return umbra_err_set(err, -rc, "cannot %s tcp %s port %s: %s",
			     c->is_server ? "listen on" : "connect to", host, port, strerror(-rc));
}

/* Both. */

int chardev_socket_open(struct chardev *c, const char *target, struct umbra_err *err)
{
	char *copy;
	int rc;

	c->in = malloc(CHARDEV_IN_MAX_BYTES);
	copy = strdup(target);
	if (!c->in || !copy)
		rc = umbra_err_set(err, ENOMEM, "no memory for the socket %s", target);
	else if (c->kind == CHARDEV_UNIX)
		rc = unix_open(c, copy, err);
	else
		rc = tcp_open(c, copy, err);
	free(copy);
	return rc;
}

/* Remove our socket file, but not one that another process has put in its place. */
static void unix_unlink(const struct chardev *c)
{
	struct stat st;

	if (c->kind != CHARDEV_UNIX || c->unix_ino == 0 || lstat(c->address, &st) != 0)
		return;
	if (st.st_dev == c->unix_dev && st.st_ino == c->unix_ino)
		unlink(c->address);
}

/* The connection itself is closed with the other descriptors. */
void chardev_socket_close(struct chardev *c)
{
	unix_unlink(c);
	loop_timer_del(c->accept_timer);
	c->accept_timer = NULL;
	if (c->listen_fd < 0)
		return;
	loop_del(c->loop, c->listen_fd);
	close(c->listen_fd);
	c->listen_fd = -1;
}
