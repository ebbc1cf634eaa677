/* The inside of the cache of decoded blocks: block.c finds, makes and links them, code.c knows
 * which guest bytes they were made of. */
#ifndef SOFT_CACHE_H
#define SOFT_CACHE_H

#include "block.h"

#define BLOCK_POOL_BYTES (64u << 20)
/* Slots that one block takes at most; the pool is flushed when one of these might not fit. */
#define BLOCK_MAX_SLOTS 520u
#define BLOCK_BUCKETS	(1u << 16)
#define FRAME_MAX	(1u << 16) /* frames with code; everything is flushed beyond that */
#define FRAME_BUCKETS	(1u << 14)
#define GRANULE_SHIFT	6 /* 64 of them in a page: one bit each in a word */

/* A guest frame that blocks were made from. */
struct code_frame {
	struct code_frame *next; /* in its bucket */
	gpa_t gpa;
	struct block *first;
	uint64_t granules;    /* bit n: bytes of some block lie in granule n */
	unsigned false_hits;  /* writes beside the code since the last eviction */
	unsigned clear_count; /* times that all blocks went because of those */
};

/* A block in the pool: this, then its slots.  Memory of an evicted block stays readable until the
 * next flush: it may be running. */
struct block {
	struct block *bucket_next;
	struct code_frame *frame[2]; /* [1]: its last instruction goes on there, or NULL */
	struct block *frame_next[2];
	gpa_t gpa; /* of its first byte; the key continues with rip = slot[0].imm */
	uint64_t cs_base;
	uint32_t cs_limit; /* 0 where it is not checked */
	uint32_t mode;
	uint32_t slot_count;
	uint16_t len; /* in bytes */
	bool is_live;
	uint64_t flush; /* block_cache.flush_count when it was made */
	_Alignas(sizeof(struct insn)) struct insn slot[]; /* two to a cache line */
};

struct block_cache {
	uint8_t *pool;
	size_t pool_used;
	struct block *bucket[BLOCK_BUCKETS];
	struct code_frame *frame_bucket[FRAME_BUCKETS];
	struct code_frame *frame;
	unsigned frame_count;
	unsigned gone_count; /* jumps to evicted blocks since links were dropped */
	uint64_t flush_count;
	struct soft_block_stats stats;
};

#define BLOCK_MAX_BYTES (sizeof(struct block) + BLOCK_MAX_SLOTS * sizeof(struct insn))

/* The block whose first slot is @entry. */
static inline struct block *block_of(const struct insn *entry)
{
	return (struct block *)((uintptr_t)entry - offsetof(struct block, slot));
}

/* block.c */
void block_unlink(struct block_cache *cache, struct block *b);
/* code.c */
int code_frames_init(struct block_cache *cache);
void code_frames_end(struct block_cache *cache);
/* There is room for the frames of one more block. */
bool code_frames_has_room(const struct block_cache *cache);
/* @b was made from the frames of its gpa and of @gpa2 (or ~0); no write to them goes unseen now.
 * Returns false when one may have, since the bytes were read: the block may be wrong. */
bool code_frames_add(struct soft_cpu *c, struct block *b, gpa_t gpa2);
void code_evict(struct block_cache *cache, struct block *b);
/* Every block is about to go. */
void code_frames_flush(struct soft_cpu *c);

#endif
