/* A bounded little-endian byte stream: how devices save and load their state.  A reader or writer
 * that ran out of room stays failed, so a caller checks once at the end.
 * Each saved thing starts with a version byte; a change of layout bumps it. */
#ifndef UMBRA_BLOB_H
#define UMBRA_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
	uint8_t *data;	/* borrowed; written by blob_put_*, only read by blob_get_* */
	size_t size;	/* bytes at data */
	size_t pos;	/* next byte */
	bool is_failed; /* an access did not fit; every later one does nothing */
};

/* A stream over the @size bytes at @data, which must outlive it. */
struct blob blob_over(void *data, size_t size);

void blob_put_u8(struct blob *b, uint8_t v);
void blob_put_u16(struct blob *b, uint16_t v);
void blob_put_u32(struct blob *b, uint32_t v);
void blob_put_u64(struct blob *b, uint64_t v);
void blob_put_bytes(struct blob *b, const void *src, size_t len);

/* Each returns 0 once the stream has failed. */
uint8_t blob_get_u8(struct blob *b);
uint16_t blob_get_u16(struct blob *b);
uint32_t blob_get_u32(struct blob *b);
uint64_t blob_get_u64(struct blob *b);
void blob_get_bytes(struct blob *b, void *dst, size_t len); /* zero-fills @dst on failure */

#endif
