/* The cache of decoded blocks: finding and making them, the handlers at their ends, links between
 * them.  Blocks lie one behind the other in a pool; when it is full everything goes.
 *
 * An evicted block keeps its memory and gets another first slot, which looks for its successor: so
 * links and jump-cache entries that lead to it need not be found. */
#include "cache.h"

#include "access.h"
#include "translate.h"

#include <errno.h>
#include <stdlib.h>

/* Entry, instructions, end and link. */
_Static_assert(1 + SOFT_BLOCK_MAX * TR_SLOTS + 3 <= BLOCK_MAX_SLOTS, "the largest block fits");
/* Jumps to evicted blocks, each a search, before all links are made anew. */
#define GONE_MAX 256

/* What finds a block besides c->rip. */
struct block_key {
	gpa_t gpa;
	uint64_t rip, cs_base;
	uint32_t cs_limit, mode;
};

/* Life. */

int soft_blocks_init(struct soft_cpu *c)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	c->blocks = cache;
	soft_links_drop(c); /* no entry of the jump cache has generation 0 */
	cache->pool = aligned_alloc(64, BLOCK_POOL_BYTES);
	c->jumps = calloc(JUMP_ENTRIES, sizeof(*c->jumps));
	if (!cache->pool || !c->jumps || code_frames_init(cache) != 0) {
		soft_blocks_end(c);
		return -ENOMEM;
	}
	return 0;
}

void soft_blocks_end(struct soft_cpu *c)
{
	if (!c->blocks)
		return;
	code_frames_end(c->blocks);
	free(c->blocks->pool);
	free(c->blocks);
	free(c->jumps);
	c->blocks = NULL;
	c->jumps = NULL;
}

void soft_blocks_flush(struct soft_cpu *c)
{
	struct block_cache *cache = c->blocks;

	code_frames_flush(c);
	memset(cache->bucket, 0, sizeof(cache->bucket));
	cache->pool_used = 0;
	cache->gone_count = 0;
	cache->flush_count++;
	cache->stats.flushed++;
	cache->stats.live = 0;
	soft_links_drop(c);
}

void soft_block_stats(const struct soft_cpu *c, struct soft_block_stats *out_stats)
{
	*out_stats = c->blocks->stats;
	out_stats->pool_bytes = c->blocks->pool_used;
}

/* Finding. */

static unsigned bucket_of(gpa_t gpa, uint64_t rip, uint32_t mode)
{
	uint64_t h = gpa ^ (rip >> 12) * 0x9e3779b97f4a7c15 ^ (uint64_t)mode << 20;

	h *= 0xff51afd7ed558ccd;
	return (unsigned)(h >> 40) & (BLOCK_BUCKETS - 1);
}

static bool has_limit(uint32_t mode)
{
	return (mode & SOFT_CODE_MASK) != SOFT_CODE64 && !(mode & SOFT_FLAT);
}

static struct block_key key_of(struct soft_cpu *c)
{
	struct block_key key = {.rip = c->rip, .mode = c->mode};

	if (has_limit(c->mode)) {
		key.cs_base = c->seg[X86_CS].base;
		key.cs_limit = c->seg[X86_CS].limit;
		if (c->rip > key.cs_limit)
			soft_raise_error(c, X86_EXC_GP, 0);
	}
	key.gpa = soft_fetch_gpa(c, soft_linear_rip(c));
	return key;
}

static bool is_key_of(const struct block *b, const struct block_key *key)
{
	return b->gpa == key->gpa && b->slot[0].imm == key->rip && b->mode == key->mode &&
	       b->cs_base == key->cs_base && b->cs_limit == key->cs_limit;
}

/* An instruction that crosses pages is right only while its second page is where it was. */
static bool is_second_page_there(struct soft_cpu *c, const struct block *b)
{
	gva_t behind;

	if (!b->frame[1])
		return true;
	behind = soft_linear_rip(c) + b->len - 1;
	if ((c->mode & SOFT_CODE_MASK) != SOFT_CODE64)
		behind = (uint32_t)behind;
	return (soft_fetch_gpa(c, behind) & UMBRA_PAGE_MASK) == b->frame[1]->gpa;
}

static struct block *search(struct soft_cpu *c, const struct block_key *key)
{
	struct block *b = c->blocks->bucket[bucket_of(key->gpa, key->rip, key->mode)];

	while (b && !(is_key_of(b, key) && is_second_page_there(c, b)))
		b = b->bucket_next;
	return b;
}

void block_unlink(struct block_cache *cache, struct block *b)
{
	struct block **p = &cache->bucket[bucket_of(b->gpa, b->slot[0].imm, b->mode)];

	while (*p != b)
		p = &(*p)->bucket_next;
	*p = b->bucket_next;
}

/* Translation may raise; then nothing was taken from the pool.  NULL: another vCPU may have written
 * the code meanwhile. */
static struct block *make(struct soft_cpu *c, const struct block_key *key)
{
	struct block_cache *cache = c->blocks;
	struct block **bucket = &cache->bucket[bucket_of(key->gpa, key->rip, key->mode)];
	struct block *b;
	unsigned len;
	gpa_t gpa2;

	if (cache->pool_used + BLOCK_MAX_BYTES > BLOCK_POOL_BYTES || !code_frames_has_room(cache))
		soft_blocks_flush(c);
	b = (struct block *)(void *)(cache->pool + cache->pool_used);
	b->slot_count =
		(uint32_t)soft_translate(c, key->gpa, b->slot, BLOCK_MAX_SLOTS, &len, &gpa2);
	b->gpa = key->gpa;
	b->cs_base = key->cs_base;
	b->cs_limit = key->cs_limit;
	b->mode = key->mode;
	b->len = (uint16_t)len;
	b->is_live = true;
	b->flush = cache->flush_count;
	cache->pool_used += sizeof(*b) + b->slot_count * sizeof(struct insn);
	b->bucket_next = *bucket;
	*bucket = b;
	cache->stats.translated++;
	cache->stats.live++;
	if (code_frames_add(c, b, gpa2))
		return b;
	code_evict(cache, b);
	return NULL;
}

const struct insn *soft_block_find(struct soft_cpu *c)
{
	const struct insn *known = soft_jump_find(c, c->rip);
	struct block *b;

	if (known && known->fn != op_gone)
		return known;
	c->blocks->stats.lookups++;
	do {
		struct block_key key = key_of(c);

		b = search(c, &key);
		if (!b)
			b = make(c, &key);
	} while (!b);
	*soft_jump_entry(c, c->rip) = (struct jump_entry){c->jump_key, b->slot};
	return b->slot;
}

/* Running. */

void soft_run_block(struct soft_cpu *c, const struct insn *i)
{
#ifdef SOFT_LOOP
	while (i)
		i = i->fn(i, c, c->fr, c->fs, c->fo, c->left);
#else
	i->fn(i, c, c->fr, c->fs, c->fo, c->left);
#endif
}

static bool must_leave(const struct soft_cpu *c)
{
	return atomic_load_explicit(&c->pend, memory_order_relaxed);
}

static SOFT_COLD soft_ret op_enter_slow(SOFT_ARGS)
{
	c->rip = i->imm;
	c->cur = NULL;
	SOFT_LEAVE();
}

soft_ret op_enter(SOFT_ARGS)
{
	if (SOFT_UNLIKELY(left < SOFT_COUNT_OF(i) || must_leave(c)))
		return op_enter_slow(SOFT_PASS(i));
	left -= SOFT_COUNT_OF(i);
	c->entry = i;
	SOFT_NEXT();
}

soft_ret op_enter_step(SOFT_ARGS)
{
	left -= SOFT_COUNT_OF(i);
	c->entry = i;
	SOFT_NEXT();
}

/* A repeated string instruction met the point when it began. */
static bool passes_point(const struct soft_cpu *c, int64_t left)
{
	return c->skip_exec_point || c->left_repeat_at == c->retired + (uint64_t)(c->slice - left);
}

soft_ret op_enter_point(SOFT_ARGS)
{
	if (passes_point(c, left))
		return op_enter(SOFT_PASS(i));
	c->at_exec_point = true;
	c->exec_point_gpa = block_of(i)->gpa;
	c->rip = i->imm;
	c->cur = NULL;
	SOFT_LEAVE();
}

soft_ret op_enter_step_point(SOFT_ARGS)
{
	if (passes_point(c, left))
		return op_enter_step(SOFT_PASS(i));
	c->at_exec_point = true;
	c->exec_point_gpa = block_of(i)->gpa;
	c->rip = i->imm;
	c->cur = NULL;
	SOFT_LEAVE();
}

soft_ret op_leave(SOFT_ARGS)
{
	c->rip = i->imm;
	c->cur = NULL;
	SOFT_LEAVE();
}

/* Links. */

/* The block at @rip, or NULL to leave: c->rip is @rip in any case. */
static const struct insn *go_to(struct soft_cpu *c, uint64_t rip)
{
	c->rip = rip;
	c->cur = NULL;
	if ((c->mode & SOFT_STEP) || must_leave(c))
		return NULL;
	return soft_block_find(c);
}

#define GO_OR_LEAVE(next)                                                                          \
	do {                                                                                       \
		SOFT_RELOAD();                                                                     \
		if (!(next))                                                                       \
			SOFT_LEAVE();                                                              \
		SOFT_GO(next);                                                                     \
	} while (0)

static void record(struct soft_cpu *c, struct link *l, bool taken, const struct insn *found)
{
	if (taken) {
		l->taken = found;
		l->taken_gen = c->link_gen;
	} else {
		l->behind = found;
		l->behind_gen = c->link_gen;
	}
}

/* The link behind @i is not touched when the pool was emptied since its block was made: then the
 * new block may lie in the same place. */
static const struct insn *follow(struct soft_cpu *c, const struct insn *i, uint64_t rip, bool taken)
{
	uint64_t flush = block_of(c->entry)->flush;
	const struct insn *found = go_to(c, rip);

	if (found && flush == c->blocks->flush_count)
		record(c, (struct link *)(uintptr_t)(i + 1), taken, found);
	return found;
}

/* A branch beyond the CS limit is a fault of the branch. */
static const struct insn *follow_taken(struct soft_cpu *c, const struct insn *i)
{
	if (has_limit(c->mode) && i->imm > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	return follow(c, i, i->imm, true);
}

soft_ret op_link_taken(SOFT_ARGS)
{
	const struct insn *next;

	SOFT_SPILL();
	next = follow_taken(c, i);
	GO_OR_LEAVE(next);
}

soft_ret op_link_behind(SOFT_ARGS)
{
	const struct insn *next;

	SOFT_SPILL();
	next = follow(c, i, (uint64_t)i->disp, false);
	GO_OR_LEAVE(next);
}

soft_ret op_jump_miss(SOFT_ARGS)
{
	const struct insn *next;

	(void)i;
	SOFT_SAVE();
	next = go_to(c, c->rip);
	GO_OR_LEAVE(next);
}

/* Not a branch: nothing is checked against the CS limit but the fetch itself. */
static SOFT_COLD soft_ret op_continue_slow(SOFT_ARGS)
{
	const struct insn *next;

	SOFT_SAVE();
	next = follow(c, i, i->imm, true);
	GO_OR_LEAVE(next);
}

soft_ret op_continue(SOFT_ARGS)
{
	SOFT_FOLLOW((const struct link *)(i + 1), taken, op_continue_slow);
}

/* When there are many of these somebody keeps going by links that lead here. */
static const struct insn *find_successor(struct soft_cpu *c, uint64_t rip)
{
	if (++c->blocks->gone_count > GONE_MAX) {
		c->blocks->gone_count = 0;
		soft_links_drop(c);
	}
	return go_to(c, rip);
}

soft_ret op_gone(SOFT_ARGS)
{
	const struct insn *next;

	SOFT_SAVE();
	next = find_successor(c, i->imm);
	GO_OR_LEAVE(next);
}
