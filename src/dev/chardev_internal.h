/* What the files of the character back ends share.
 *   chardev.c         queues, draining, delivering; the public functions
 *   chardev_ring.c    the output queue itself
 *   chardev_host.c    the forms of a specification; stdio, files and pseudo terminals
 *   chardev_tap.c     a second reader of the output
 *   chardev_socket.c  unix: and tcp: servers and clients */
#ifndef DEV_CHARDEV_INTERNAL_H
#define DEV_CHARDEV_INTERNAL_H

#include "umbra/dev.h"
#include "umbra/lock.h"

#include <stdatomic.h>
#include <sys/types.h>
#include <termios.h>

#define CHARDEV_OUT_MAX_BYTES	(1u << 20)
#define CHARDEV_IN_MAX_BYTES	(64u << 10)
#define CHARDEV_CHUNK_BYTES	4096u /* PIPE_BUF: what a pipe that polls writable takes whole */
#define CHARDEV_CLOSE_BUDGET_NS 100000000ull

/* A byte queue that grows while it is used and gives its memory back when it is empty again. */
struct chardev_ring {
	uint8_t *data;
	size_t size; /* bytes at data: 0 or a power of two */
	size_t start;
	size_t len;
};

/* False when the ring holds CHARDEV_OUT_MAX_BYTES or memory is short. */
bool ring_put(struct chardev_ring *ring, uint8_t byte);
/* Copy up to @max bytes out without taking them; returns how many. */
size_t ring_peek(const struct chardev_ring *ring, uint8_t *out, size_t max);
/* Take @len bytes, at most ring->len. */
void ring_drop(struct chardev_ring *ring, size_t len);

enum chardev_kind {
	CHARDEV_NULL,
	CHARDEV_STDIO,
	CHARDEV_FILE,
	CHARDEV_PTY,
	CHARDEV_UNIX,
	CHARDEV_TCP,
	CHARDEV_KIND_COUNT
};

/* Whose the descriptors are, and how they may be used. */
struct chardev {
	enum chardev_kind kind;	  /* [const] */
	bool is_server;		  /* [const] unix, tcp */
	unsigned source;	  /* [const] number for the gate */
	struct loop *loop;	  /* [const] */
	struct gate *gate;	  /* [const] */
	struct loop_waker *waker; /* [const] output was queued, or input is wanted */
	char *address; /* [const] where others reach it, or the file's path; may be NULL */

	/* [atomic] Somebody taps the output: relaxed, for a byte more or less is all it decides. */
	atomic_bool is_tapped;
	chardev_tap_fn tap_fn; /* [control thread], like the next one */
	void *tap_ctx;
	struct loop_waker *tap_waker; /* made by the first tap, and lasts */

	struct lock lock; /* for the four below; nothing else is taken while it is held */
	struct chardev_ring tap;
	struct chardev_ring out;
	bool is_out_dead; /* nobody will ever take output again */
	uint64_t dropped_bytes;

	/* The rest belongs to the control thread. */
	int in_fd, out_fd; /* -1 = none; one number for both on sockets and ptys */
	size_t out_chunk;  /* the most that one write may take without blocking */
	bool is_out_socket;
	bool is_out_blocked; /* waiting for out_fd to become writable */
	uint8_t *in;	     /* CHARDEV_IN_MAX_BYTES, or NULL when the kind has no input */
	size_t in_len;
	size_t in_passed; /* of in_len, how many the gate has passed */
	chardev_input_fn input;
	void *input_ctx;

	int listen_fd; /* -1 = none */
	struct loop_timer *accept_timer;
	dev_t unix_dev; /* the socket file that we made */
	ino_t unix_ino;

	int held_fd; /* pty: its terminal end, kept open so that it never hangs up */
	bool is_tty_changed;
	struct termios tty_before;
};

/* Chardev.c. */

/* Begin to use the descriptors: @in_fd for input (-1 none), @out_fd for output, maybe the same.
 * Errors: loop_add's; nothing is attached then, and both stay the caller's. */
int chardev_attach(struct chardev *c, int in_fd, int out_fd);
/* Stop using both, without closing them. */
void chardev_detach(struct chardev *c);
/* Deliver, drain and set what the loop watches for, as far as is possible now. */
void chardev_pump(struct chardev *c);
/* Nobody will take output any more: drop and count what is queued and what comes. */
void chardev_out_died(struct chardev *c);

/* Chardev_tap.c. */

/* Any thread. */
void chardev_tap_put(struct chardev *c, uint8_t byte);
void chardev_tap_close(struct chardev *c);

/* Chardev_host.c. */

/* Errors: as chardev_open. */
int chardev_host_open(struct chardev *c, const char *spec, struct umbra_err *err);
void chardev_host_close(struct chardev *c);
const char *chardev_kind_name(enum chardev_kind kind);

/* Chardev_socket.c. */

/* @target what stands behind "unix:" or "tcp:", without options. */
int chardev_socket_open(struct chardev *c, const char *target, struct umbra_err *err);
/* The peer went away. */
void chardev_socket_lost(struct chardev *c);
void chardev_socket_close(struct chardev *c);

#endif
