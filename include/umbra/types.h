/* Address types, little-endian access and checked arithmetic for everything that crosses a guest
 * or wire border.  Guest memory is little-endian (SDM 1 1.3.1) and so is every file format that
 * umbra loads; guest bytes are never read through a cast pointer. */
#ifndef UMBRA_TYPES_H
#define UMBRA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest linear ("virtual") address */
typedef uint64_t hva_t; /* address in this process that backs guest memory */

#define UMBRA_PAGE_SIZE	    4096u
#define UMBRA_PAGE_MASK	    (~(uint64_t)(UMBRA_PAGE_SIZE - 1))
#define UMBRA_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint16_t le16_get(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t le32_get(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)le16_get(b) | (uint32_t)le16_get(b + 2) << 16;
}

static inline uint64_t le64_get(const void *p)
{
	const uint8_t *b = p;

	return (uint64_t)le32_get(b) | (uint64_t)le32_get(b + 4) << 32;
}

static inline void le16_put(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void le32_put(void *p, uint32_t v)
{
	uint8_t *b = p;

	le16_put(b, (uint16_t)v);
	le16_put(b + 2, (uint16_t)(v >> 16));
}

static inline void le64_put(void *p, uint64_t v)
{
	uint8_t *b = p;

	le32_put(b, (uint32_t)v);
	le32_put(b + 4, (uint32_t)(v >> 32));
}

/* Add two unsigned lengths or addresses.  Returns false, and leaves *@out_sum alone, when the sum
 * does not fit 64 bits. */
static inline bool u64_add(uint64_t a, uint64_t b, uint64_t *out_sum)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out_sum = sum;
	return true;
}

/* True when the @len bytes at @start lie inside the @outer_len bytes at @outer_start; an empty
 * range fits where its start does. */
static inline bool range_fits(uint64_t start, uint64_t len, uint64_t outer_start,
			      uint64_t outer_len)
{
	return start >= outer_start && start - outer_start <= outer_len &&
	       len <= outer_len - (start - outer_start);
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
