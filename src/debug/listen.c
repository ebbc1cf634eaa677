/* Addresses, binding and accepting.  The debug port gives full control over the guest and has no
 * password, so it is open to this host only unless another address is written out, and a Unix
 * socket to this user only.
 * Sources: ip(7), ipv6(7), unix(7), tcp(7). */
#include "listen.h"

#include "umbra/log.h"
#include "umbra/types.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANY_PORT_TRIES 32
#define UNIX_MODE      0600

/* Parsing. */

static int parse_port(const char *text, uint16_t *out_port)
{
	unsigned long port = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 5 || text[digits])
		return -EINVAL;
	port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return -EINVAL;
	*out_port = (uint16_t)port;
	return 0;
}

/* Both families under the same port: a client that says localhost may try either. */
static void set_loopback(struct listen_address *address)
{
	address->host_count = 2;
	address->host[0] = (struct listen_host){.v4.s_addr = htonl(INADDR_LOOPBACK)};
	address->host[1] = (struct listen_host){
		.is_ipv6 = true, .is_optional = true, .v6 = IN6ADDR_LOOPBACK_INIT};
}

/* Names are not looked up: that could ask the network, and give an address nobody wrote. */
static int parse_host(const char *text, size_t len, struct listen_address *address)
{
	struct listen_host *host = &address->host[0];
	char copy[INET6_ADDRSTRLEN];

	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
		host->is_ipv6 = true;
	}
	if (len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (!host->is_ipv6 && (len == 0 || strcmp(copy, "localhost") == 0)) {
		set_loopback(address);
		return 0;
	}
	address->host_count = 1;
	if (inet_pton(host->is_ipv6 ? AF_INET6 : AF_INET, copy, &host->v6) == 1)
		return 0;
	return -EINVAL;
}

static int parse_tcp(const char *text, struct listen_address *out, struct umbra_err *err)
{
	const char *colon = strrchr(text, ':');

	out->kind = LISTEN_TCP;
	if (!colon || parse_port(colon + 1, &out->port))
		return umbra_err_set(err, EINVAL,
				     "debug port 'tcp:%s': expected tcp:[HOST]:PORT with a port of "
				     "0 (any) to 65535, as in tcp::1234",
				     text);
	if (parse_host(text, (size_t)(colon - text), out))
		return umbra_err_set(err, EINVAL,
				     "debug port 'tcp:%s': the host must be an address in numbers, "
				     "as in 127.0.0.1 or [::1], or be left out for this host only",
				     text);
	return 0;
}

static int parse_unix(const char *text, struct listen_address *out, struct umbra_err *err)
{
	size_t len = strlen(text);

	out->kind = LISTEN_UNIX;
	if (len == 0 || len >= sizeof(out->path))
		return umbra_err_set(err, EINVAL,
				     "debug port 'unix:%s': the path has %zu bytes; 1 to %zu are "
				     "possible",
				     text, len, sizeof(out->path) - 1);
	memcpy(out->path, text, len + 1);
	return 0;
}

int listen_parse(const char *text, struct listen_address *out_address, struct umbra_err *err)
{
	*out_address = (struct listen_address){.kind = LISTEN_STDIO};
	if (strcmp(text, "stdio") == 0)
		return 0;
	if (strncmp(text, "tcp:", 4) == 0)
		return parse_tcp(text + 4, out_address, err);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, out_address, err);
	return umbra_err_set(err, EINVAL,
			     "debug port '%s': expected tcp:[HOST]:PORT, unix:PATH or stdio", text);
}

/* TCP. */

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

static socklen_t tcp_address(const struct listen_host *host, uint16_t port,
			     union socket_address *out)
{
	memset(out, 0, sizeof(*out));
	if (host->is_ipv6) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_addr = host->v6;
		out->v6.sin6_port = htons(port);
		return sizeof(out->v6);
	}
	out->v4.sin_family = AF_INET;
	out->v4.sin_addr = host->v4;
	out->v4.sin_port = htons(port);
	return sizeof(out->v4);
}

static void set_option(int fd, int level, int option, int value)
{
	/* Each one makes the connection better and none is needed. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Returns a listening descriptor or a negative errno. */
static int bind_host(const struct listen_host *host, uint16_t port)
{
	union socket_address address;
	socklen_t len = tcp_address(host, port, &address);
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* connections in TIME_WAIT do not count */
	if (host->is_ipv6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* A short queue would cost a client that comes in a burst a second (its next SYN). */
	if (bind(fd, &address.any, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static uint16_t bound_port(int fd)
{
	union socket_address address = {.any.sa_family = AF_UNSPEC};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) != 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port
						       : address.v4.sin_port);
}

static void close_all(struct listener *listener)
{
	while (listener->fd_count > 0)
		close(listener->fd[--listener->fd_count]);
}

/* Bind every host of the address; the first one's port counts for the others.  On failure nothing
 * stays open, and *@out_failed is the host that failed. */
static int bind_all(struct listener *listener, const struct listen_host **out_failed)
{
	struct listen_address *address = &listener->address;

	for (unsigned i = 0; i < address->host_count; i++) {
		const struct listen_host *host = &address->host[i];
		int fd = bind_host(host, address->port);

		if (fd >= 0) {
			listener->fd[listener->fd_count++] = fd;
			address->port = bound_port(listener->fd[0]);
		} else if (!host->is_optional || (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)) {
			close_all(listener);
			*out_failed = host;
			return fd;
		}
	}
	return 0;
}

static void format_host(const struct listen_host *host, uint16_t port, char *buf, size_t size)
{
	char number[INET6_ADDRSTRLEN] = "";

	if (host->is_ipv6)
		inet_ntop(AF_INET6, &host->v6, number, sizeof(number));
	else
		inet_ntop(AF_INET, &host->v4, number, sizeof(number));
	snprintf(buf, size, host->is_ipv6 ? "[%s]:%u" : "%s:%u", number, port);
}

static int tcp_error(const struct listener *listener, const struct listen_host *host, int error,
		     struct umbra_err *err)
{
	uint16_t port = listener->address.port;
	char where[INET6_ADDRSTRLEN + 16];
	char owner[96];

	format_host(host, port, where, sizeof(where));
	if (error == -EADDRINUSE && port_owner(host->is_ipv6, port, owner, sizeof(owner)))
		return umbra_err_set(err, EADDRINUSE,
				     "cannot listen on %s: %s has that port; end it, or use port 0 "
				     "for any free one",
				     where, owner);
	return umbra_err_set(err, -error, "cannot listen on %s: %s", where, strerror(-error));
}

static bool is_wildcard(const struct listen_host *host)
{
	return host->is_ipv6 ? IN6_IS_ADDR_UNSPECIFIED(&host->v6)
			     : host->v4.s_addr == htonl(INADDR_ANY);
}

static bool is_loopback(const struct listen_host *host)
{
	return host->is_ipv6 ? IN6_IS_ADDR_LOOPBACK(&host->v6)
			     : ntohl(host->v4.s_addr) >> 24 == 127;
}

static int open_tcp(struct listener *listener, struct umbra_err *err)
{
	struct listen_host shown = listener->address.host[0];
	uint16_t wanted = listener->address.port;
	const struct listen_host *failed = NULL;
	int error = -EADDRINUSE;

	/* A port that is free for one family can be taken for the other. */
	for (unsigned i = 0; error == -EADDRINUSE && i < (wanted ? 1 : ANY_PORT_TRIES); i++) {
		listener->address.port = wanted;
		error = bind_all(listener, &failed);
	}
	if (error)
		return tcp_error(listener, failed, error, err);
	if (!is_loopback(&shown))
		log_warn("the debug port is open to other hosts and has no password; safer: "
			 "tcp::%u here and `ssh -L %u:127.0.0.1:%u HOST` there",
			 listener->address.port, listener->address.port, listener->address.port);
	if (is_wildcard(&shown))
		shown = shown.is_ipv6
				? (struct listen_host){.is_ipv6 = true, .v6 = IN6ADDR_LOOPBACK_INIT}
				: (struct listen_host){.v4.s_addr = htonl(INADDR_LOOPBACK)};
	format_host(&shown, listener->address.port, listener->text, sizeof(listener->text));
	return 0;
}

/* Unix sockets. */

static int try_unix(const struct listen_address *address,
		    int (*attach)(int, const struct sockaddr *, socklen_t))
{
	union socket_address un;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	memset(&un, 0, sizeof(un));
	un.un.sun_family = AF_UNIX;
	memcpy(un.un.sun_path, address->path, sizeof(un.un.sun_path));
	/* The file gets the mode of the socket, so that nobody can connect in between. */
	if (fchmod(fd, UNIX_MODE) == 0 && attach(fd, &un.any, sizeof(un.un)) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

/* Somebody's socket is at the path.  It goes only when nobody listens on it any more. */
static int remove_stale(const struct listen_address *address, struct umbra_err *err)
{
	struct stat st;
	int fd;

	if (lstat(address->path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return umbra_err_set(
			err, EEXIST,
			"cannot listen on unix:%s: the path exists and is not a socket",
			address->path);
	fd = try_unix(address, connect);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return umbra_err_set(err, EADDRINUSE,
				     "cannot listen on unix:%s: another process listens there",
				     address->path);
	if (unlink(address->path) != 0)
		return umbra_err_set(err, errno, "cannot remove the dead socket %s: %s",
				     address->path, strerror(errno));
	return 0;
}

static int open_unix(struct listener *listener, struct umbra_err *err)
{
	const struct listen_address *address = &listener->address;
	int fd = try_unix(address, bind);
	struct stat st;
	int error;

	if (fd == -EADDRINUSE) {
		error = remove_stale(address, err);
		if (error)
			return error;
		fd = try_unix(address, bind);
	}
	if (fd < 0)
		return umbra_err_set(err, -fd, "cannot listen on unix:%s: %s", address->path,
				     strerror(-fd));
	if (listen(fd, SOMAXCONN) != 0 || lstat(address->path, &st) != 0) {
		error = errno;
		close(fd);
		return umbra_err_set(err, error, "cannot listen on unix:%s: %s", address->path,
				     strerror(error));
	}
	listener->socket_dev = st.st_dev;
	listener->socket_ino = st.st_ino;
	listener->fd[listener->fd_count++] = fd;
	snprintf(listener->text, sizeof(listener->text), "%s", address->path);
	return 0;
}

static void remove_socket_file(const struct listener *listener)
{
	struct stat st;

	if (lstat(listener->address.path, &st) == 0 && st.st_dev == listener->socket_dev &&
	    st.st_ino == listener->socket_ino)
		(void)unlink(listener->address.path);
}

/* Life cycle. */

int listener_open(struct listener *out_listener, const struct listen_address *address,
		  struct umbra_err *err)
{
	*out_listener = (struct listener){.address = *address};
	switch (address->kind) {
	case LISTEN_TCP:
		return open_tcp(out_listener, err);
	case LISTEN_UNIX:
		return open_unix(out_listener, err);
	case LISTEN_STDIO:
		break;
	}
	snprintf(out_listener->text, sizeof(out_listener->text), "stdio");
	return 0;
}

void listener_close(struct listener *listener)
{
	if (listener->address.kind == LISTEN_UNIX && listener->fd_count > 0)
		remove_socket_file(listener);
	close_all(listener);
}

/* Accepting. */

/* The file's mode keeps others out; this holds where the file system ignores modes, too. */
static bool is_same_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

/* A client whose host has vanished is noticed after 40 s: it would keep others out. */
static void tune_tcp(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 40000);
}

int listener_accept(const struct listener *listener, int fd)
{
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (client < 0)
		return -errno;
	if (listener->address.kind == LISTEN_TCP) {
		tune_tcp(client);
	} else if (!is_same_user(client)) {
		log_warn("a client of another user was turned away from %s", listener->text);
		close(client);
		return -EPERM;
	}
	return client;
}
