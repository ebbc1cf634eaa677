/* Non-blocking reading and writing with back pressure: a client that does not read its replies is
 * not read from, so neither side's backlog can grow past one buffer. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void client_init(struct client *client)
{
	client->in_fd = -1;
	client->out_fd = -1;
}

bool client_is_open(const struct client *client)
{
	return client->in_fd >= 0;
}

static int make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return flags;
}

/* The modes belong to the open file, which the parent process may share. */
static void restore_flags(int fd, int flags)
{
	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags);
}

static int watch_both(struct client *client, struct loop *loop, loop_fd_fn fn, void *ctx)
{
	int error = loop_add(loop, client->in_fd, LOOP_READ, fn, ctx);

	if (error || client->in_fd == client->out_fd)
		return error;
	error = loop_add(loop, client->out_fd, LOOP_HANGUP, fn, ctx);
	if (error)
		loop_del(loop, client->in_fd);
	return error;
}

int client_open(struct client *client, struct loop *loop, int fd, loop_fd_fn fn, void *ctx)
{
	int error;

	client->is_stdio = fd < 0;
	client->in_fd = client->is_stdio ? STDIN_FILENO : fd;
	client->out_fd = client->is_stdio ? STDOUT_FILENO : fd;
	client->is_gone = false;
	client->in_len = 0;
	error = watch_both(client, loop, fn, ctx);
	if (error) {
		client_init(client);
		return error;
	}
	if (client->is_stdio) {
		client->in_flags = make_nonblocking(client->in_fd);
		client->out_flags = make_nonblocking(client->out_fd);
	}
	return 0;
}

int client_release(struct client *client, struct loop *loop)
{
	int fd = client->is_stdio ? -1 : client->in_fd;

	loop_del(loop, client->in_fd);
	if (client->is_stdio) {
		loop_del(loop, client->out_fd);
		restore_flags(client->out_fd, client->out_flags);
		restore_flags(client->in_fd, client->in_flags);
	}
	client_init(client);
	return fd;
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR;
}

void client_receive(struct client *client, unsigned events)
{
	size_t room = sizeof(client->in) - client->in_len;
	ssize_t got;

	if (room == 0) {
		client->is_gone |= (events & LOOP_HANGUP) != 0;
		return;
	}
	got = read(client->in_fd, client->in + client->in_len, room);
	if (got > 0)
		client->in_len += (size_t)got;
	else if (got == 0 || !is_passing(errno) || (events & LOOP_HANGUP))
		client->is_gone = true;
}

bool client_has_left(const struct client *client)
{
	struct pollfd end = {.fd = client->in_fd, .events = POLLRDHUP};

	return poll(&end, 1, 0) > 0 && end.revents != 0;
}

void client_consume(struct client *client, size_t len)
{
	client->in_len -= len;
	memmove(client->in, client->in + len, client->in_len);
}

static ssize_t send_some(const struct client *client, const uint8_t *bytes, size_t len)
{
	/* Without a signal when the peer is gone; pipes know no such flag. */
	if (!client->is_stdio)
		return send(client->out_fd, bytes, len, MSG_NOSIGNAL);
	return write(client->out_fd, bytes, len);
}

bool client_flush(struct client *client, struct rsp_session *session)
{
	for (;;) {
		size_t len;
		const uint8_t *bytes = rsp_session_output(session, &len);
		ssize_t sent = len ? send_some(client, bytes, len) : 0;

		if (len == 0)
			return true;
		if (sent > 0) {
			rsp_session_sent(session, (size_t)sent);
		} else if (sent < 0 && errno != EINTR) {
			client->is_gone |= !is_passing(errno);
			return false;
		}
	}
}

bool client_wait_writable(const struct client *client, int limit_ms)
{
	struct pollfd out = {.fd = client->out_fd, .events = POLLOUT};

	return poll(&out, 1, limit_ms) > 0 && (out.revents & POLLOUT);
}

void client_watch(struct client *client, struct loop *loop, bool has_output)
{
	bool can_read = !has_output && client->in_len < sizeof(client->in);
	/* Never 0 for the input: a peer that is gone must be noticed. */
	unsigned in_events = can_read ? LOOP_READ : LOOP_HANGUP;
	unsigned out_events = has_output ? LOOP_WRITE : 0;

	if (client->in_fd == client->out_fd) {
		loop_mod(loop, client->in_fd, in_events | out_events);
	} else {
		loop_mod(loop, client->in_fd, in_events);
		loop_mod(loop, client->out_fd, has_output ? LOOP_WRITE : LOOP_HANGUP);
	}
}
