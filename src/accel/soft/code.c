/* Which guest bytes decoded blocks were made of, and what goes when those are written.
 *
 * A frame with code is written through tlb.c only.  Each write is compared with the blocks' own
 * bytes, so data beside code evicts nothing; but it costs the slow path.  A frame that is written
 * beside its code again and again was probably code once and is data now: then all of its blocks
 * go, and with them the slow path.  Where code comes back each time, that is given up. */
#include "cache.h"

#include "tlb.h"

#include <errno.h>
#include <stdlib.h>

#define FALSE_HITS_MAX 64
#define CLEAR_MAX      4

int code_frames_init(struct block_cache *cache)
{
	cache->frame = calloc(FRAME_MAX, sizeof(*cache->frame));
	return cache->frame ? 0 : -ENOMEM;
}

void code_frames_end(struct block_cache *cache)
{
	free(cache->frame);
}

bool code_frames_has_room(const struct block_cache *cache)
{
	return cache->frame_count + 2 <= FRAME_MAX;
}

/* Frames. */

static unsigned bucket_of(gpa_t frame)
{
	return (unsigned)(frame / UMBRA_PAGE_SIZE) & (FRAME_BUCKETS - 1);
}

static struct code_frame *find_frame(const struct block_cache *cache, gpa_t frame)
{
	struct code_frame *f = cache->frame_bucket[bucket_of(frame)];

	while (f && f->gpa != frame)
		f = f->next;
	return f;
}

static struct code_frame *get_frame(struct block_cache *cache, gpa_t frame)
{
	struct code_frame *f = find_frame(cache, frame);
	struct code_frame **bucket = &cache->frame_bucket[bucket_of(frame)];

	if (f)
		return f;
	f = &cache->frame[cache->frame_count++];
	*f = (struct code_frame){.gpa = frame, .next = *bucket};
	*bucket = f;
	return f;
}

bool soft_frame_has_code(const struct soft_vm *vm, gpa_t gpa)
{
	uint64_t n = gpa / UMBRA_PAGE_SIZE;

	if (n >= vm->code_frame_count)
		return true; /* nobody keeps book: every write is looked at */
	return atomic_load_explicit(&vm->code_frame[n], memory_order_acquire) & FRAME_HAS_CODE;
}

/* vCPUs at once: another one may store into the frame until all have forgotten it, and what was
 * read so far may be old.  Returns true then.  The mark of who waits for them is no sign that they
 * have: a second one waits as well. */
static bool guard(struct soft_cpu *c, gpa_t frame, uint8_t old)
{
	if (old & FRAME_IS_GUARDED)
		return false;
	if (old)
		soft_tlb_withdraw_write(c, frame);
	atomic_fetch_or_explicit(&c->vm->code_frame[frame / UMBRA_PAGE_SIZE], FRAME_IS_GUARDED,
				 memory_order_release);
	return old != 0;
}

/* Returns true when the frame's bytes may be others by now than those that were read. */
static bool mark(struct soft_cpu *c, gpa_t frame)
{
	struct soft_vm *vm = c->vm;
	uint64_t n = frame / UMBRA_PAGE_SIZE;
	uint8_t old;

	if (n >= vm->code_frame_count)
		return false;
	old = atomic_fetch_or_explicit(&vm->code_frame[n], FRAME_HAS_CODE, memory_order_acq_rel);
	if (vm->is_parallel)
		return guard(c, frame, old);
	if ((old & FRAME_HAS_CODE) || !(old & FRAME_WAS_WRITTEN))
		return false;
	atomic_fetch_and_explicit(&vm->code_frame[n], (uint8_t)~FRAME_WAS_WRITTEN,
				  memory_order_relaxed);
	soft_tlb_withdraw_write(c, frame);
	return false;
}

/* Other vCPUs' caches are looked at only where they stand still while this one runs. */
static void unmark_if_unused(struct soft_vm *vm, gpa_t frame)
{
	uint64_t n = frame / UMBRA_PAGE_SIZE;

	if (n >= vm->code_frame_count || vm->is_parallel)
		return;
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		const struct code_frame *f;

		if (!vm->cpu[i])
			continue;
		f = find_frame(vm->cpu[i]->blocks, frame);
		if (f && f->first)
			return;
	}
	atomic_fetch_and_explicit(&vm->code_frame[n], (uint8_t)~FRAME_HAS_CODE,
				  memory_order_relaxed);
}

/* Bytes of a block in one of its frames, as offsets in the page. */

struct extent {
	unsigned start, end;
};

static struct extent extent_in(const struct block *b, unsigned which)
{
	unsigned start = (unsigned)(b->gpa & ~UMBRA_PAGE_MASK);
	unsigned end = start + b->len;

	if (which == 1)
		return (struct extent){0, end - UMBRA_PAGE_SIZE};
	return (struct extent){start, end < UMBRA_PAGE_SIZE ? end : UMBRA_PAGE_SIZE};
}

static uint64_t granules_of(struct extent e)
{
	unsigned first = e.start >> GRANULE_SHIFT, last = (e.end - 1) >> GRANULE_SHIFT;

	return (~0ull >> (63 - last)) & (~0ull << first);
}

static bool is_touched(const struct block *b, const struct code_frame *f, struct extent w)
{
	for (unsigned which = 0; which < 2; which++) {
		struct extent e;

		if (b->frame[which] != f)
			continue;
		e = extent_in(b, which);
		if (e.start < w.end && w.start < e.end)
			return true;
	}
	return false;
}

/* A block may stand in two frames, or twice in one when both of its pages are the same frame: such
 * a one is in the list once. */
static struct block **next_of(struct block *b, const struct code_frame *f)
{
	return &b->frame_next[b->frame[0] == f ? 0 : 1];
}

static void put_in_frame(struct block *b, unsigned which, struct code_frame *f)
{
	b->frame[which] = f;
	f->granules |= granules_of(extent_in(b, which));
	if (which == 1 && b->frame[0] == f)
		return;
	b->frame_next[which] = f->first;
	f->first = b;
}

bool code_frames_add(struct soft_cpu *c, struct block *b, gpa_t gpa2)
{
	struct block_cache *cache = c->blocks;
	gpa_t frame = b->gpa & UMBRA_PAGE_MASK;
	bool is_old;

	b->frame[0] = NULL;
	b->frame[1] = NULL;
	put_in_frame(b, 0, get_frame(cache, frame));
	is_old = mark(c, frame);
	if (gpa2 == ~(gpa_t)0)
		return !is_old;
	put_in_frame(b, 1, get_frame(cache, gpa2 & UMBRA_PAGE_MASK));
	return !mark(c, gpa2 & UMBRA_PAGE_MASK) && !is_old;
}

/* Eviction. */

static void take_from_frame(struct block *b, struct code_frame *f)
{
	struct block **p = &f->first;

	while (*p && *p != b)
		p = next_of(*p, f);
	if (*p)
		*p = *next_of(b, f);
}

static void recount(struct code_frame *f)
{
	f->granules = 0;
	for (struct block *b = f->first; b; b = *next_of(b, f)) {
		for (unsigned which = 0; which < 2; which++) {
			if (b->frame[which] == f)
				f->granules |= granules_of(extent_in(b, which));
		}
	}
}

void code_evict(struct block_cache *cache, struct block *b)
{
	block_unlink(cache, b);
	for (unsigned which = 0; which < 2; which++) {
		struct code_frame *f = b->frame[which];

		if (!f)
			continue;
		take_from_frame(b, f);
		recount(f);
	}
	b->is_live = false;
	b->slot[0].fn = op_gone;
	b->slot[0].disp = SOFT_NO_ENTRY;
	cache->stats.evicted++;
	cache->stats.live--;
}

static unsigned evict_touched(struct block_cache *cache, struct code_frame *f, struct extent w)
{
	struct block *b = f->first;
	unsigned count = 0;

	while (b) {
		struct block *next = *next_of(b, f);

		if (is_touched(b, f, w)) {
			code_evict(cache, b);
			count++;
		}
		b = next;
	}
	return count;
}

static void write_in_frame(struct block_cache *cache, struct code_frame *f, struct extent w)
{
	static const struct extent WHOLE = {0, UMBRA_PAGE_SIZE};

	if ((f->granules & granules_of(w)) && evict_touched(cache, f, w) > 0) {
		f->false_hits = 0;
		return;
	}
	if (++f->false_hits < FALSE_HITS_MAX || f->clear_count >= CLEAR_MAX)
		return;
	f->false_hits = 0;
	f->clear_count++;
	evict_touched(cache, f, WHOLE);
}

static void written_in_frame(struct soft_vm *vm, gpa_t frame, struct extent w)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct code_frame *f;

		if (!vm->cpu[i])
			continue;
		f = find_frame(vm->cpu[i]->blocks, frame);
		if (f && f->first)
			write_in_frame(vm->cpu[i]->blocks, f, w);
	}
	unmark_if_unused(vm, frame);
}

/* In parallel mode each vCPU evicts by itself, and all of it: what exactly was written is not
 * passed on. */
static void tell_all(struct soft_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		if (vm->cpu[i])
			soft_post(vm->cpu[i], PEND_EVICT);
	}
}

void soft_code_written(struct soft_vm *vm, gpa_t gpa, size_t len)
{
	if (vm->is_parallel) {
		tell_all(vm);
		return;
	}
	while (len > 0) {
		unsigned start = (unsigned)(gpa & ~UMBRA_PAGE_MASK);
		size_t n = UMBRA_PAGE_SIZE - start;

		if (n > len)
			n = len;
		if (soft_frame_has_code(vm, gpa))
			written_in_frame(vm, gpa & UMBRA_PAGE_MASK,
					 (struct extent){start, start + (unsigned)n});
		gpa += n;
		len -= n;
	}
}

void soft_code_take_evictions(struct soft_cpu *c)
{
	soft_blocks_flush(c);
}

/* In SOFT_STEP mode the instruction is alone, and has been read in full. */
void soft_code_write_begin(struct soft_cpu *c, gpa_t gpa, size_t len)
{
	const struct block *b;
	const struct code_frame *f;
	struct extent w;

	if (!c || !c->cur || (c->mode & SOFT_STEP))
		return;
	f = find_frame(c->blocks, gpa & UMBRA_PAGE_MASK);
	b = block_of(c->entry);
	w.start = (unsigned)(gpa & ~UMBRA_PAGE_MASK);
	w.end = w.start + (unsigned)len;
	if (f && is_touched(b, f, w))
		soft_restart_step(c);
}

void soft_blocks_evict_linear(struct soft_cpu *c, gva_t la)
{
	struct block_cache *cache = c->blocks;
	size_t at = 0;

	while (at < cache->pool_used) {
		struct block *b = (struct block *)(void *)(cache->pool + at);
		gva_t start = b->cs_base + b->slot[0].imm;

		if ((b->mode & SOFT_CODE_MASK) != SOFT_CODE64)
			start = (uint32_t)start;
		if (b->is_live && la - start < b->len)
			code_evict(cache, b);
		at += sizeof(*b) + b->slot_count * sizeof(struct insn);
	}
}

void code_frames_flush(struct soft_cpu *c)
{
	struct block_cache *cache = c->blocks;

	for (unsigned i = 0; i < cache->frame_count; i++) {
		cache->frame[i].first = NULL;
		unmark_if_unused(c->vm, cache->frame[i].gpa);
	}
	memset(cache->frame_bucket, 0, sizeof(cache->frame_bucket));
	cache->frame_count = 0;
}
