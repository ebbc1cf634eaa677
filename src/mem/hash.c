/* One number for all of memory, to tell whether two runs left the same behind. */
#include "umbra/mem.h"

#include "umbra/pagemap.h"

#define HASH_START 0xcbf29ce484222325ull /* FNV-1a's, over 64-bit words */
#define HASH_PRIME 0x100000001b3ull
#define BATCH	   512u /* pages whose entries are read at once */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * HASH_PRIME;
	return hash ^ hash >> 29;
}

static bool is_zero(const uint8_t *page)
{
	static const uint8_t zeros[UMBRA_PAGE_SIZE];

	return memcmp(page, zeros, sizeof(zeros)) == 0;
}

static uint64_t hash_page(uint64_t hash, gpa_t gpa, const uint8_t *page)
{
	hash = mix(hash, gpa);
	for (size_t at = 0; at < UMBRA_PAGE_SIZE; at += 8)
		hash = mix(hash, le64_get(page + at));
	return hash;
}

/* A page that the host never had to give is zero, and looking at it would make the host give it. */
static uint64_t hash_batch(uint64_t hash, const struct mem_region *r, uint64_t at, size_t count,
			   uint64_t *inout_pages)
{
	uint64_t entry[BATCH];

	if (pagemap_read(r->host + at, count, entry) < 0)
		memset(entry, 0xff, sizeof(entry));
	for (size_t i = 0; i < count; i++) {
		const uint8_t *page = r->host + at + i * UMBRA_PAGE_SIZE;

		if (!(entry[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) || is_zero(page))
			continue;
		hash = hash_page(hash, r->gpa + at + i * UMBRA_PAGE_SIZE, page);
		(*inout_pages)++;
	}
	return hash;
}

uint64_t mem_hash(const struct mem_space *space, uint64_t *out_pages)
{
	const struct mem_region *r;
	uint64_t hash = HASH_START;

	*out_pages = 0;
	for (unsigned i = 0; (r = mem_region_at(space, i)) != NULL; i++) {
		uint64_t pages = r->len / UMBRA_PAGE_SIZE;

		for (uint64_t n = 0; n < pages; n += BATCH)
			hash = hash_batch(hash, r, n * UMBRA_PAGE_SIZE, u64_min(pages - n, BATCH),
					  out_pages);
	}
	return hash;
}
