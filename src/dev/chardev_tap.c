/* A second reader of a back end's output, for a person at the debugger.  It never holds up the
 * first one, nor the guest.
 *
 * The waker outlives the tap, because a vCPU may be about to wake it when the tap ends. */
#include "chardev_internal.h"

#include <errno.h>

void chardev_tap_put(struct chardev *c, uint8_t byte)
{
	bool was_empty;

	lock_take(&c->lock);
	was_empty = c->tap.len == 0;
	(void)ring_put(&c->tap, byte);
	lock_drop(&c->lock);
	if (was_empty)
		loop_wake(c->tap_waker);
}

/* False when nothing is left. */
static bool take_chunk(struct chardev *c)
{
	uint8_t chunk[CHARDEV_CHUNK_BYTES];
	size_t len;

	lock_take(&c->lock);
	len = ring_peek(&c->tap, chunk, sizeof(chunk));
	ring_drop(&c->tap, len);
	lock_drop(&c->lock);
	if (len && c->tap_fn)
		c->tap_fn(c->tap_ctx, chunk, len);
	return len != 0;
}

void chardev_flush_tap(struct chardev *c)
{
	while (take_chunk(c))
		;
}

static void on_tap(void *ctx)
{
	struct chardev *c = ctx;

	/* One chunk a turn: the rest of the loop has its own to do. */
	if (take_chunk(c))
		loop_wake(c->tap_waker);
}

int chardev_set_tap(struct chardev *c, chardev_tap_fn fn, void *ctx)
{
	if (fn && !c->tap_waker)
		c->tap_waker = loop_waker_add(c->loop, on_tap, c);
	if (fn && !c->tap_waker)
		return -ENOMEM;
	c->tap_fn = fn;
	c->tap_ctx = ctx;
	atomic_store_explicit(&c->is_tapped, fn != NULL, memory_order_relaxed);
	return 0;
}

void chardev_tap_close(struct chardev *c)
{
	atomic_store_explicit(&c->is_tapped, false, memory_order_relaxed);
	if (c->tap_waker)
		loop_waker_del(c->tap_waker);
	ring_drop(&c->tap, c->tap.len);
}
