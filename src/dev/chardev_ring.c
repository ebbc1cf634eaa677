/* The output queue of a character back end.  A quiet one owns no memory: a machine has several
 * back ends, and most of them are empty most of the time. */
#include "chardev_internal.h"

#include <stdlib.h>

#define RING_FIRST_BYTES 4096u
/* A ring up to this size stays when it runs empty, so that a chatty guest does not make us
 * allocate for every line. */
#define RING_KEPT_BYTES 16384u

static bool ring_grow(struct chardev_ring *ring)
{
	size_t size = ring->size ? ring->size * 2 : RING_FIRST_BYTES;
	uint8_t *data;

	if (size > CHARDEV_OUT_MAX_BYTES)
		return false;
	data = malloc(size);
	if (!data)
		return false;
	ring_peek(ring, data, ring->len);
	free(ring->data);
	ring->data = data;
	ring->size = size;
	ring->start = 0;
	return true;
}

bool ring_put(struct chardev_ring *ring, uint8_t byte)
{
	if (ring->len == ring->size && !ring_grow(ring))
		return false;
	ring->data[(ring->start + ring->len) & (ring->size - 1)] = byte;
	ring->len++;
	return true;
}

size_t ring_peek(const struct chardev_ring *ring, uint8_t *out, size_t max)
{
	size_t len = u64_min(max, ring->len);
	size_t first = u64_min(len, ring->size - ring->start);

	if (len == 0)
		return 0;
	memcpy(out, ring->data + ring->start, first);
	memcpy(out + first, ring->data, len - first);
	return len;
}

void ring_drop(struct chardev_ring *ring, size_t len)
{
	if (len == 0)
		return;
	ring->len -= len;
	ring->start = (ring->start + len) & (ring->size - 1);
	if (ring->len == 0 && ring->size > RING_KEPT_BYTES) {
		free(ring->data);
		*ring = (struct chardev_ring){0};
	}
}
