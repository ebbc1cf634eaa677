/* Guest frames: the reverse map, write protection, and what micro-TLBs must forget. */
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>

#define CHAINS_MIN  1024u
#define CHAINS_MAX  (1u << 18)
#define FORGET_MANY 32u /* from here on forgetting everything is cheaper */
#define SLAB_FRAMES 127u

struct frame_slab {
	struct frame_slab *next;
	struct frame frame[SLAB_FRAMES];
};

int frames_init(struct mmu *mmu, uint64_t ram_frames)
{
	uint64_t chains = CHAINS_MIN;

	while (chains < ram_frames / 2 && chains < CHAINS_MAX)
		chains *= 2;
	mmu->frame_hash = calloc(chains, sizeof(struct frame *));
	mmu->frame_hash_mask = chains - 1;
	return mmu->frame_hash ? 0 : -ENOMEM;
}

void frames_end(struct mmu *mmu)
{
	unsigned i;

	while (mmu->frame_slabs) {
		struct frame_slab *slab = mmu->frame_slabs;

		for (i = 0; i < SLAB_FRAMES; i++)
			free(slab->frame[i].seen);
		mmu->frame_slabs = slab->next;
		free(slab);
	}
	free(mmu->frame_hash);
}

static void add_slab(struct mmu *mmu)
{
	struct frame_slab *slab = calloc(1, sizeof(*slab));
	unsigned i;

	if (!slab)
		return;
	slab->next = mmu->frame_slabs;
	mmu->frame_slabs = slab;
	for (i = 0; i < SLAB_FRAMES; i++) {
		slab->frame[i].next = mmu->free_frames;
		mmu->free_frames = &slab->frame[i];
	}
}

/* Frames that follow each other lie in chains that follow each other: a walk over linear memory
 * stays in the same cache lines. */
static struct frame **chain_of(const struct mmu *mmu, uint64_t gfn)
{
	return &mmu->frame_hash[(gfn ^ gfn >> 18) & mmu->frame_hash_mask];
}

struct frame *frame_find(const struct mmu *mmu, uint64_t gfn)
{
	struct frame *frame = *chain_of(mmu, gfn);

	while (frame && frame->gfn != gfn)
		frame = frame->next;
	return frame;
}

struct frame *frame_get(struct mmu *mmu, uint64_t gfn)
{
	struct frame *frame = frame_find(mmu, gfn);
	struct frame **chain = chain_of(mmu, gfn);

	if (frame)
		return frame;
	if (!mmu->free_frames)
		add_slab(mmu);
	frame = mmu->free_frames;
	if (!frame)
		return NULL;
	mmu->free_frames = frame->next;
	*frame = (struct frame){.gfn = gfn, .next = *chain};
	*chain = frame;
	return frame;
}

void frame_put(struct mmu *mmu, struct frame *frame)
{
	struct frame **at = chain_of(mmu, frame->gfn);

	if (frame->leaves || frame_is_table(frame))
		return;
	while (*at != frame)
		at = &(*at)->next;
	*at = frame->next;
	frame->next = mmu->free_frames;
	mmu->free_frames = frame;
}

/* Lists of entries. */

static struct shadow_link *link_of(const struct mmu *mmu, shadow_handle handle)
{
	return &handle_page(mmu, handle)->link[handle_index(handle)];
}

void list_add(const struct mmu *mmu, shadow_handle *head, struct shadow_page *sp, unsigned index)
{
	shadow_handle handle = handle_of(sp, index);

	sp->link[index] = (struct shadow_link){.prev = 0, .next = *head};
	if (*head)
		link_of(mmu, *head)->prev = handle;
	*head = handle;
}

void list_remove(const struct mmu *mmu, shadow_handle *head, struct shadow_page *sp, unsigned index)
{
	struct shadow_link link = sp->link[index];

	if (link.prev)
		link_of(mmu, link.prev)->next = link.next;
	else
		*head = link.next;
	if (link.next)
		link_of(mmu, link.next)->prev = link.prev;
}

void frame_add_leaf(struct mmu *mmu, struct frame *frame, struct shadow_page *sp, unsigned index)
{
	list_add(mmu, &frame->leaves, sp, index);
}

void frame_remove_leaf(struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	struct frame *frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);

	list_remove(mmu, &frame->leaves, sp, index);
	frame_put(mmu, frame);
}

/* Write protection. */

static void protect(struct mmu *mmu, struct frame *frame)
{
	shadow_handle handle;

	for (handle = frame->leaves; handle; handle = link_of(mmu, handle)->next) {
		uint64_t *spte = &handle_page(mmu, handle)->spte[handle_index(handle)];

		if (*spte & SPTE_MAY_WRITE) {
			*spte &= ~SPTE_MAY_WRITE;
			forget_index(mmu, handle_index(handle));
		}
	}
	mmu->was_protected = true;
}

static void unprotect(struct mmu *mmu, struct frame *frame)
{
	shadow_handle handle;

	for (handle = frame->leaves; handle; handle = link_of(mmu, handle)->next) {
		uint64_t *spte = &handle_page(mmu, handle)->spte[handle_index(handle)];

		if ((*spte & SPTE_D) && !(*spte & (SPTE_ROM | SPTE_MMIO)))
			*spte |= SPTE_MAY_WRITE;
	}
}

static void begin_table(struct mmu *mmu, struct frame *frame)
{
	protect(mmu, frame);
	if (is_listening(mmu, MMU_EVENT_TABLE_WRITE))
		frame_begin_seen(mmu, frame);
	if (is_listening(mmu, MMU_EVENT_PROTECT))
		tell_protect(mmu, frame);
}

static void end_table(struct mmu *mmu, struct frame *frame)
{
	frame_end_seen(frame);
	unprotect(mmu, frame);
	frame_put(mmu, frame);
}

void frame_add_table(struct mmu *mmu, struct frame *frame, struct shadow_page *sp)
{
	bool is_first = !frame_is_table(frame);

	sp->frame = frame;
	sp->next_of_frame = frame->tables;
	frame->tables = sp;
	if (is_first)
		begin_table(mmu, frame);
}

void frame_remove_table(struct mmu *mmu, struct shadow_page *sp)
{
	struct frame *frame = sp->frame;
	struct shadow_page **at = &frame->tables;

	while (*at != sp)
		at = &(*at)->next_of_frame;
	*at = sp->next_of_frame;
	if (!frame_is_table(frame))
		end_table(mmu, frame);
}

void frame_hold(struct frame *frame)
{
	frame->pins++;
}

static void unlist(struct mmu *mmu, struct frame *frame)
{
	struct frame **at = &mmu->pinned;

	while (*at != frame)
		at = &(*at)->next_pinned;
	*at = frame->next_pinned;
	frame->is_listed = false;
}

void frame_release(struct mmu *mmu, struct frame *frame)
{
	if (--frame->pins)
		return;
	if (frame->is_listed)
		unlist(mmu, frame);
	if (!frame_is_table(frame))
		end_table(mmu, frame);
}

bool frame_pin(struct mmu *mmu, uint64_t gfn)
{
	struct frame *frame = frame_get(mmu, gfn);
	bool is_first;

	if (!frame)
		return false;
	is_first = !frame_is_table(frame);
	frame->pins++;
	if (!frame->is_listed) {
		frame->is_listed = true;
		frame->next_pinned = mmu->pinned;
		mmu->pinned = frame;
	}
	if (is_first)
		begin_table(mmu, frame);
	return true;
}

void frame_unpin(struct mmu *mmu, uint64_t gfn)
{
	struct frame *frame = frame_find(mmu, gfn);

	if (frame && frame->pins)
		frame_release(mmu, frame);
}

/* Forgetting. */

void forget_index(struct mmu *mmu, unsigned index)
{
	struct forget_set *set = &mmu->forget;
	uint64_t bit = 1ull << (index % 64);

	if (set->count == SHADOW_ENTRIES || (set->bits[index / 64] & bit))
		return;
	set->bits[index / 64] |= bit;
	set->count++;
	if (set->count >= FORGET_MANY)
		forget_all(mmu);
}

void forget_all(struct mmu *mmu)
{
	mmu->forget.count = SHADOW_ENTRIES;
}

void forget_flush(struct mmu *mmu)
{
	const struct mmu_tlb_hook *tlb = &mmu->config.tlb;
	struct forget_set set = mmu->forget;
	unsigned word;

	if (set.count == 0)
		return;
	mmu->forget = (struct forget_set){0};
	if (!tlb->forget)
		return;
	if (set.count == SHADOW_ENTRIES) {
		tlb->forget(tlb->ctx, SHADOW_ENTRIES);
		return;
	}
	for (word = 0; word < SHADOW_ENTRIES / 64; word++) {
		for (uint64_t bits = set.bits[word]; bits; bits &= bits - 1)
			tlb->forget(tlb->ctx, word * 64 + (unsigned)__builtin_ctzll(bits));
	}
}
