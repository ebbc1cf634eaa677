/* The ring of trace frames; see struct trace_buffer.
 *
 * Frame ids count from the first one ever made, so that one that was dropped meanwhile is known for
 * it.  What a client calls frame n is the n-th of those that are still there. */
#include "tracer.h"

#include <string.h>

static uint32_t get32(const uint8_t *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
	       (uint32_t)bytes[3] << 24;
}

static uint64_t get64(const uint8_t *bytes)
{
	return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

void trace_buffer_clear(struct trace_buffer *b)
{
	b->is_wrapped = false;
	b->is_building = false;
	b->first = 0;
	b->tail = 0;
	b->wrap = 0;
	b->oldest = 0;
	b->created = 0;
}

static size_t frame_bytes(const struct trace_buffer *b, size_t at)
{
	return TRACE_FRAME_HEAD + get32(b->bytes + at + 2);
}

static void drop_oldest(struct trace_buffer *b)
{
	b->first += frame_bytes(b, b->first);
	b->oldest++;
	if (b->is_wrapped && b->first == b->wrap) {
		b->first = 0;
		b->is_wrapped = false;
	}
}

/* The frame under way goes on at the beginning, where the oldest ones give way. */
static void wrap_round(struct trace_buffer *b)
{
	size_t start = b->tail;

	b->tail = 0;
	/* All frames lie in front of the end; without any the ring begins anew. */
	b->is_wrapped = b->first != start;
	b->wrap = start;
	if (!b->is_wrapped)
		b->first = 0;
	while (b->is_wrapped && b->first < b->building)
		drop_oldest(b);
	memmove(b->bytes, b->bytes + start, b->building);
}

static bool is_empty(const struct trace_buffer *b)
{
	return b->oldest == b->created;
}

/* Where the free bytes behind tail end. */
static size_t limit_of(const struct trace_buffer *b)
{
	return b->is_wrapped ? b->first : b->size;
}

static bool make_room(struct trace_buffer *b, size_t len)
{
	if (len > b->size)
		return false;
	while (limit_of(b) - b->tail < len) {
		if (!b->is_circular)
			return false;
		if (b->is_wrapped)
			drop_oldest(b);
		else if (b->tail == 0)
			return false;
		else
			wrap_round(b);
	}
	return true;
}

uint8_t *trace_frame_grow(struct trace_buffer *b, size_t len)
{
	uint8_t *at;

	if (b->is_lost || len > UINT32_MAX / 2 || !make_room(b, b->building + len)) {
		b->is_lost = true;
		return NULL;
	}
	at = b->bytes + b->tail + b->building;
	b->building += len;
	return at;
}

void trace_frame_begin(struct trace_buffer *b, uint16_t number)
{
	uint8_t *head;

	b->is_building = true;
	b->is_lost = false;
	b->building = 0;
	head = trace_frame_grow(b, TRACE_FRAME_HEAD);
	if (!head)
		return;
	head[0] = (uint8_t)number;
	head[1] = (uint8_t)(number >> 8);
}

size_t trace_frame_end(struct trace_buffer *b)
{
	uint8_t *head = b->bytes + b->tail;
	size_t bytes = b->building, data = bytes - TRACE_FRAME_HEAD;

	b->is_building = false;
	if (b->is_lost)
		return 0;
	for (unsigned i = 0; i < 4; i++)
		head[2 + i] = (uint8_t)(data >> (8 * i));
	b->tail += bytes;
	b->created++;
	return bytes;
}

void trace_frame_drop(struct trace_buffer *b)
{
	b->is_building = false;
	b->is_lost = true;
}

/* Reading. */

size_t trace_buffer_free(const struct trace_buffer *b)
{
	size_t free_bytes = limit_of(b) - b->tail;

	return b->is_wrapped ? free_bytes : free_bytes + b->first;
}

static void read_frame(const struct trace_buffer *b, uint64_t id, size_t at,
		       struct trace_frame *out)
{
	const uint8_t *head = b->bytes + at;

	*out = (struct trace_frame){
		.id = id,
		.at = at,
		.number = (uint16_t)(head[0] | head[1] << 8),
		.data = head + TRACE_FRAME_HEAD,
		.len = get32(head + 2),
	};
}

bool trace_frame_first(const struct trace_buffer *b, struct trace_frame *out)
{
	if (is_empty(b))
		return false;
	read_frame(b, b->oldest, b->first, out);
	return true;
}

bool trace_frame_next(const struct trace_buffer *b, struct trace_frame *frame)
{
	size_t at = frame->at + TRACE_FRAME_HEAD + frame->len;

	if (frame->id + 1 >= b->created)
		return false;
	if (b->is_wrapped && at == b->wrap)
		at = 0;
	read_frame(b, frame->id + 1, at, frame);
	return true;
}

bool trace_frame_at(const struct trace_buffer *b, uint64_t id, size_t at, struct trace_frame *out)
{
	if (id < b->oldest || id >= b->created)
		return false;
	read_frame(b, id, at, out);
	return true;
}

static size_t copy_part(uint8_t *out, size_t room, const uint8_t *from, size_t len,
			uint64_t *offset)
{
	size_t skip = *offset < len ? (size_t)*offset : len;
	size_t n = len - skip < room ? len - skip : room;

	*offset -= skip;
	memcpy(out, from + skip, n);
	return n;
}

size_t trace_buffer_read(const struct trace_buffer *b, uint64_t offset, uint8_t *out, size_t len)
{
	size_t old_end = b->is_wrapped ? b->wrap : b->tail;
	size_t done;

	if (is_empty(b))
		return 0;
	done = copy_part(out, len, b->bytes + b->first, old_end - b->first, &offset);
	if (b->is_wrapped)
		done += copy_part(out + done, len - done, b->bytes, b->tail, &offset);
	return done;
}

bool trace_block_next(const struct rsp_tracer *t, const struct trace_frame *frame, size_t *inout_at,
		      struct trace_block *out)
{
	const uint8_t *at = frame->data + *inout_at;

	if (*inout_at >= frame->len)
		return false;
	*out = (struct trace_block){.kind = (char)at[0]};
	switch (out->kind) {
	case 'R':
		out->data = at + 1;
		out->len = t->block_bytes;
		break;
	case 'M':
		out->addr = get64(at + 1);
		out->data = at + 11;
		out->len = at[9] | (size_t)at[10] << 8;
		break;
	default: /* V */
		out->addr = get32(at + 1);
		out->data = at + 5;
		out->len = 8;
		break;
	}
	*inout_at = (size_t)(out->data + out->len - frame->data);
	return true;
}
