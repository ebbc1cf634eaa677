/* The byte stream to the one client that is served: a socket, or standard input and output.
 * Private to src/debug; control thread. */
#ifndef DEBUG_CLIENT_H
#define DEBUG_CLIENT_H

#include "rspstub.h"
#include "umbra/loop.h"

#include <sys/types.h>

/* Bytes held for a session that cannot take them yet. */
#define CLIENT_INPUT_MAX 65536u

struct client {
	int in_fd, out_fd; /* the same for a socket; -1: nobody is there */
	bool is_stdio;
	int in_flags, out_flags; /* of stdio, to be put back */
	bool is_gone;		 /* the other side hung up, or the stream broke */
	size_t in_len;
	uint8_t in[CLIENT_INPUT_MAX];
};

void client_init(struct client *client);
bool client_is_open(const struct client *client);
/* Serve @fd, or standard input and output if it is -1; @fn is called with the loop's events.
 * Errors: -ENOMEM, -EEXIST (a descriptor that is watched already); nothing is changed then. */
int client_open(struct client *client, struct loop *loop, int fd, loop_fd_fn fn, void *ctx);
/* Stop watching.  Returns the socket, now the caller's, or -1 for stdio. */
int client_release(struct client *client, struct loop *loop);

/* Read what is there, once; notes a hang-up in is_gone. */
void client_receive(struct client *client, unsigned events);
/* Whether the other side has hung up, asked of the host: true before all its bytes were read. */
bool client_has_left(const struct client *client);
/* The first @len bytes of the input were taken. */
void client_consume(struct client *client, size_t len);
/* Write as much of the session's output as goes out without waiting.  True when nothing is left.
 */
bool client_flush(struct client *client, struct rsp_session *session);
/* Wait for at most @limit_ms until the client takes more.  False: it does not. */
bool client_wait_writable(const struct client *client, int limit_ms);
/* Watch for what can be done next: while output waits, no input is read. */
void client_watch(struct client *client, struct loop *loop, bool has_output);

#endif
