/* Character back ends: between a device, which is called with its lock held and must never wait,
 * and a host that may be slow, stuck or gone.
 *
 * Output: any thread appends to a bounded queue; the control thread writes it out as far as the
 * host takes it.  Input: the control thread reads into a bounded buffer, through the gate, and
 * offers it to the device until that says stop; while the buffer is full nothing is read, so a
 * flood stays in the host's own pipe.
 *
 * The wake-up protocol:
 *  1. chardev_put wakes the control thread only when the queue was empty.  Otherwise an earlier put
 *     woke it and it has not emptied the queue since, or it waits for the host (is_out_blocked, or
 *     no peer yet), whose readiness makes it go on.
 *  2. The queue is found empty under the same lock, so a put either sees it non-empty before, or
 *     empty after, and then wakes. */
#include "chardev_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Chunks written in one go before the rest of the loop gets its turn. */
#define DRAIN_CHUNKS 16

static bool is_socket_kind(const struct chardev *c)
{
	return c->kind == CHARDEV_UNIX || c->kind == CHARDEV_TCP;
}

/* Output. */

void chardev_put(struct chardev *c, uint8_t byte)
{
	bool was_empty;

	if (atomic_load_explicit(&c->is_tapped, memory_order_relaxed))
		chardev_tap_put(c, byte);
	if (c->kind == CHARDEV_NULL)
		return;
	lock_take(&c->lock);
	was_empty = c->out.len == 0;
	if (c->is_out_dead || !ring_put(&c->out, byte)) {
		c->dropped_bytes++;
		was_empty = false;
	}
	lock_drop(&c->lock);
	if (was_empty)
		loop_wake(c->waker);
}

void chardev_out_died(struct chardev *c)
{
	lock_take(&c->lock);
	c->is_out_dead = true;
	c->dropped_bytes += c->out.len;
	ring_drop(&c->out, c->out.len);
	lock_drop(&c->lock);
}

/* Write what the host takes without waiting.  Returns the bytes taken or -errno.  The descriptors
 * of stdio may be shared with other processes, so O_NONBLOCK is not ours to set on them (open(2):
 * it belongs to the open file description): poll first, and write no more than then fits. */
static ssize_t host_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct pollfd pfd = {.fd = c->out_fd, .events = POLLOUT};
	ssize_t written;

	if (c->is_out_socket) {
		written = send(c->out_fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		if (poll(&pfd, 1, 0) == 0)
			return -EAGAIN;
		written = write(c->out_fd, data, u64_min(len, c->out_chunk));
	}
	return written < 0 ? -errno : written;
}

static void out_take(struct chardev *c, size_t len, bool is_dropped)
{
	lock_take(&c->lock);
	ring_drop(&c->out, len);
	if (is_dropped)
		c->dropped_bytes += len;
	lock_drop(&c->lock);
}

/* Output failed with @error on @len bytes.  Returns false when there is nothing to go on with. */
static bool out_failed(struct chardev *c, int error, size_t len)
{
	switch (error) {
	case EINTR:
		return true;
	case EAGAIN:
		c->is_out_blocked = true;
		return false;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		/* Space may come back; what did not fit is lost. */
		out_take(c, len, true);
		return true;
	default:
		break;
	}
	if (is_socket_kind(c))
		chardev_socket_lost(c);
	else
		chardev_out_died(c);
	return false;
}

/* Write one chunk.  Returns false when the queue is empty or the host takes no more. */
static bool drain_chunk(struct chardev *c)
{
	uint8_t chunk[CHARDEV_CHUNK_BYTES];
	ssize_t written;
	size_t len;

	lock_take(&c->lock);
	len = ring_peek(&c->out, chunk, sizeof(chunk));
	lock_drop(&c->lock);
	if (len == 0)
		return false;
	written = host_write(c, chunk, len);
	if (written < 0)
		return out_failed(c, (int)-written, len);
	out_take(c, (size_t)written, false);
	return true;
}

static void drain(struct chardev *c)
{
	unsigned i;

	c->is_out_blocked = false;
	for (i = 0; i < DRAIN_CHUNKS; i++) {
		if (c->out_fd < 0 || !drain_chunk(c))
			return;
	}
	loop_wake(c->waker);
}

/* Input. */

/* Sockets are read even when nobody wants their input, to see the peer go. */
static bool is_reading(const struct chardev *c)
{
	if (c->in_fd < 0 || c->in_len == CHARDEV_IN_MAX_BYTES)
		return false;
	return c->input || is_socket_kind(c);
}

/* Each byte passes the gate once, however often the device refuses it. */
static void deliver(struct chardev *c)
{
	size_t taken;

	if (c->in_len == 0)
		return;
	if (!c->input) {
		c->in_len = 0;
		c->in_passed = 0;
		return;
	}
	c->in_passed +=
		gate_input(c->gate, c->source, c->in + c->in_passed, c->in_len - c->in_passed);
	taken = c->input(c->input_ctx, c->in, c->in_passed);
	c->in_passed -= taken;
	c->in_len -= taken;
	memmove(c->in, c->in + taken, c->in_len);
}

/* Nothing more will come.  The output side goes on, except on sockets, where both end. */
static void in_ended(struct chardev *c)
{
	if (is_socket_kind(c)) {
		chardev_socket_lost(c);
		return;
	}
	if (c->in_fd != c->out_fd)
		loop_del(c->loop, c->in_fd);
	c->in_fd = -1;
}

static void read_input(struct chardev *c)
{
	ssize_t got = read(c->in_fd, c->in + c->in_len, CHARDEV_IN_MAX_BYTES - c->in_len);

	if (got > 0)
		c->in_len += (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		in_ended(c);
}

/* The loop. */

static void sync_watch(struct chardev *c)
{
	unsigned in_events = is_reading(c) ? LOOP_READ : 0;
	unsigned out_events = c->is_out_blocked ? LOOP_WRITE : 0;

	if (c->in_fd == c->out_fd) {
		loop_mod(c->loop, c->in_fd, in_events | out_events);
		return;
	}
	loop_mod(c->loop, c->in_fd, in_events);
	loop_mod(c->loop, c->out_fd, out_events);
}

void chardev_pump(struct chardev *c)
{
	deliver(c);
	drain(c);
	sync_watch(c);
}

static void on_wake(void *ctx)
{
	chardev_pump(ctx);
}

static void on_ready(void *ctx, int fd, unsigned events)
{
	struct chardev *c = ctx;

	if (fd == c->in_fd && (events & (LOOP_READ | LOOP_HANGUP)) && is_reading(c))
		read_input(c);
	chardev_pump(c);
}

int chardev_attach(struct chardev *c, int in_fd, int out_fd)
{
	struct stat st;
	int rc = 0;

	if (in_fd >= 0)
		rc = loop_add(c->loop, in_fd, 0, on_ready, c);
	if (rc == 0 && out_fd >= 0 && out_fd != in_fd) {
		rc = loop_add(c->loop, out_fd, 0, on_ready, c);
		if (rc < 0)
			loop_del(c->loop, in_fd);
	}
	if (rc < 0)
		return rc;
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->is_out_socket = out_fd >= 0 && fstat(out_fd, &st) == 0 && S_ISSOCK(st.st_mode);
	return 0;
}

void chardev_detach(struct chardev *c)
{
	loop_del(c->loop, c->in_fd);
	loop_del(c->loop, c->out_fd);
	c->in_fd = -1;
	c->out_fd = -1;
	c->is_out_blocked = false;
}

/* Public functions. */

static int chardev_init(struct chardev *c)
{
	int rc = lock_init(&c->lock);

	if (rc < 0)
		return rc;
	c->waker = loop_waker_add(c->loop, on_wake, c);
	if (c->waker)
		return 0;
	lock_end(&c->lock);
	return -ENOMEM;
}

/* What chardev_init set up and the queues; the host's side is closed. */
static void chardev_free(struct chardev *c)
{
	loop_waker_del(c->waker);
	lock_end(&c->lock);
	free(c->out.data);
	free(c->in);
	free(c->address);
	free(c);
}

int chardev_open(struct chardev **out_chardev, const char *spec, unsigned source, struct loop *loop,
		 struct gate *gate, struct umbra_err *err)
{
	struct chardev *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return umbra_err_set(err, ENOMEM, "no memory for the character back end %s", spec);
	c->source = source;
	c->loop = loop;
	c->gate = gate;
	c->in_fd = c->out_fd = c->listen_fd = c->held_fd = -1;
	c->out_chunk = CHARDEV_CHUNK_BYTES;
	rc = chardev_init(c);
	if (rc < 0) {
		free(c);
		return umbra_err_set(err, -rc, "no memory for the character back end %s", spec);
	}
	rc = chardev_host_open(c, spec, err);
	if (rc < 0) {
		chardev_host_close(c);
		chardev_free(c);
		return rc;
	}
	*out_chardev = c;
	return 0;
}

/* What the guest printed last is often why it ended, so wait a little for the host to take it. */
static void drain_finally(struct chardev *c)
{
	uint64_t budget_ns = CHARDEV_CLOSE_BUDGET_NS;

	while (c->out_fd >= 0 && budget_ns > 0) {
		if (drain_chunk(c))
			continue;
		if (!c->is_out_blocked || !loop_wait_fd(c->out_fd, LOOP_WRITE, &budget_ns))
			return;
		c->is_out_blocked = false;
	}
}

void chardev_close(struct chardev *c)
{
	if (!c)
		return;
	chardev_tap_close(c);
	c->is_out_blocked = false;
	drain_finally(c);
	chardev_host_close(c);
	chardev_free(c);
}

void chardev_set_input(struct chardev *c, chardev_input_fn fn, void *ctx)
{
	c->input = fn;
	c->input_ctx = ctx;
	sync_watch(c);
}

void chardev_input_wanted(struct chardev *c)
{
	loop_wake(c->waker);
}

void chardev_show(struct chardev *c, const struct print_sink *sink)
{
	uint64_t dropped_bytes;
	size_t queued_bytes;

	lock_take(&c->lock);
	dropped_bytes = c->dropped_bytes;
	queued_bytes = c->out.len;
	lock_drop(&c->lock);
	print_to(sink, "%s%s%s", chardev_kind_name(c->kind), c->address ? " " : "",
		 c->address ? c->address : "");
	if (is_socket_kind(c))
		print_to(sink, " (%s)", c->out_fd >= 0 ? "connected" : "not connected");
	if (queued_bytes > 0)
		print_to(sink, ", %zu bytes queued", queued_bytes);
	if (dropped_bytes > 0)
		print_to(sink, ", %llu bytes dropped", (unsigned long long)dropped_bytes);
}

const char *chardev_address(const struct chardev *c)
{
	bool is_reachable = c->kind == CHARDEV_PTY || c->is_server;

	return is_reachable ? c->address : NULL;
}
