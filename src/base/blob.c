/* The bounded byte stream.  Every access goes through blob_take, the one place that checks room. */
#include "umbra/blob.h"
#include "umbra/types.h"

struct blob blob_over(void *data, size_t size)
{
	return (struct blob){.data = data, .size = size, .pos = 0, .is_failed = false};
}

/* The next @len bytes, or NULL when they are not there (the stream has failed then). */
static uint8_t *blob_take(struct blob *b, size_t len)
{
	uint8_t *at;

	if (b->is_failed || len > b->size - b->pos) {
		b->is_failed = true;
		return NULL;
	}
	at = b->data + b->pos;
	b->pos += len;
	return at;
}

void blob_put_u8(struct blob *b, uint8_t v)
{
	blob_put_bytes(b, &v, 1);
}

void blob_put_u16(struct blob *b, uint16_t v)
{
	uint8_t *at = blob_take(b, 2);

	if (at)
		le16_put(at, v);
}

void blob_put_u32(struct blob *b, uint32_t v)
{
	uint8_t *at = blob_take(b, 4);

	if (at)
		le32_put(at, v);
}

void blob_put_u64(struct blob *b, uint64_t v)
{
	uint8_t *at = blob_take(b, 8);

	if (at)
		le64_put(at, v);
}

void blob_put_bytes(struct blob *b, const void *src, size_t len)
{
	uint8_t *at;

	/* Nothing to copy; a NULL @src is allowed then, which memcpy would not forgive. */
	if (len == 0)
		return;
	at = blob_take(b, len);
	if (at)
		memcpy(at, src, len);
}

uint8_t blob_get_u8(struct blob *b)
{
	const uint8_t *at = blob_take(b, 1);

	return at ? *at : 0;
}

uint16_t blob_get_u16(struct blob *b)
{
	const uint8_t *at = blob_take(b, 2);

	return at ? le16_get(at) : 0;
}

uint32_t blob_get_u32(struct blob *b)
{
	const uint8_t *at = blob_take(b, 4);

	return at ? le32_get(at) : 0;
}

uint64_t blob_get_u64(struct blob *b)
{
	const uint8_t *at = blob_take(b, 8);

	return at ? le64_get(at) : 0;
}

void blob_get_bytes(struct blob *b, void *dst, size_t len)
{
	const uint8_t *at;

	if (len == 0)
		return;
	at = blob_take(b, len);
	if (at)
		memcpy(dst, at, len);
	else
		memset(dst, 0, len);
}
