/* Where the debug port listens, and who may connect.  Private to src/debug; control thread. */
#ifndef DEBUG_LISTEN_H
#define DEBUG_LISTEN_H

#include "umbra/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

enum listen_kind { LISTEN_TCP, LISTEN_UNIX, LISTEN_STDIO };

#define LISTEN_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)
#define LISTEN_MAX_FDS	2u

struct listen_address {
	enum listen_kind kind;
	/* TCP: the addresses to bind, and the port (0: any that is free on all of them). */
	unsigned host_count;
	struct listen_host {
		bool is_ipv6;
		bool is_optional; /* may be left out on a host without IPv6 */
		union {
			struct in_addr v4;
			struct in6_addr v6;
		};
	} host[LISTEN_MAX_FDS];
	uint16_t port;
	char path[LISTEN_PATH_MAX]; /* UNIX */
};

/* Parse tcp:[HOST]:PORT, unix:PATH or stdio; HOST is numeric or "localhost".
 * Errors: -EINVAL with what was expected. */
int listen_parse(const char *text, struct listen_address *out_address, struct umbra_err *err);

struct listener {
	struct listen_address address; /* the port is the real one */
	int fd[LISTEN_MAX_FDS];
	unsigned fd_count; /* 0 for stdio */
	dev_t socket_dev;  /* UNIX: which file is ours to remove */
	ino_t socket_ino;
	/* For gdb's `target remote`. */
	char text[LISTEN_PATH_MAX + 8];
};

/* Bind and listen.  Errors: -EADDRINUSE with the owner where it can be told, and what the host's
 * calls give; nothing is left open. */
int listener_open(struct listener *out_listener, const struct listen_address *address,
		  struct umbra_err *err);
void listener_close(struct listener *listener);

/* Accept from @fd, one of the listener's: non-blocking, prompt to send, and with keep-alive.
 * Errors: -EAGAIN nobody waits; -EPERM another user at a Unix socket (closed); what accept4
 * gives. */
int listener_accept(const struct listener *listener, int fd);

/* Who listens on a TCP port: "pid 4711 (qemu-system-x86)"; false when it cannot be seen.
 * (owner.c) */
bool port_owner(bool is_ipv6, uint16_t port, char *buf, size_t size);

#endif
