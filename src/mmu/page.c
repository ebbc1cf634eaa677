/* Shadow pages and their entries: making, linking, dropping, recycling.
 * A page lives as long as an entry or a root names it.  Whatever drops an entry also notes which
 * linear pages the micro-TLBs must forget; the caller tells them before it drops the lock. */
#include "shadow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define MAX_PAGES_MIN	512u
#define MAX_PAGES_MAX	32768u
#define FRAMES_PER_PAGE 32u /* the default: one shadow page for so many frames of RAM */
#define PAGES_PER_VCPU	8u  /* its top pages and one path at least */
#define RECYCLE_PART	8u  /* one call frees about that part of what is old */

static uint64_t ram_frames(const struct mem_space *mem)
{
	const struct mem_region *region;
	uint64_t frames = 0;
	unsigned i;

	for (i = 0; (region = mem_region_at(mem, i)) != NULL; i++)
		frames += region->len / UMBRA_PAGE_SIZE;
	return frames;
}

static unsigned choose_max_pages(const struct mmu *mmu, uint64_t frames)
{
	unsigned least = PAGES_PER_VCPU * (mmu->config.vcpus + 1);
	uint64_t max = mmu->config.max_shadow_pages;

	if (max == 0) {
		max = u64_min(frames / FRAMES_PER_PAGE, MAX_PAGES_MAX);
		max = max < MAX_PAGES_MIN ? MAX_PAGES_MIN : max;
	}
	return max < least ? least : (unsigned)max;
}

int shadow_pages_init(struct mmu *mmu)
{
	uint64_t frames = ram_frames(mmu->mem);
	uint64_t chains = 1;

	mmu->max_pages = choose_max_pages(mmu, frames);
	assert(mmu->max_pages > SHADOW_PATH_MAX);
	while (chains < mmu->max_pages)
		chains *= 2;
	mmu->page = calloc(mmu->max_pages, sizeof(struct shadow_page *));
	mmu->page_hash = calloc(chains, sizeof(struct shadow_page *));
	mmu->page_hash_mask = chains - 1;
	return mmu->page && mmu->page_hash ? frames_init(mmu, frames) : -ENOMEM;
}

void shadow_pages_end(struct mmu *mmu)
{
	unsigned i;

	for (i = 0; i < mmu->page_count; i++)
		free(mmu->page[i]);
	free(mmu->page);
	free(mmu->page_hash);
	frames_end(mmu);
}

/* Finding and making. */

static struct shadow_page **chain_of(const struct mmu *mmu, const struct shadow_key *key)
{
	uint64_t h = (key->gfn << 20 ^ key->role.word) * 0x9e3779b97f4a7c15ull;

	return &mmu->page_hash[h >> 32 & mmu->page_hash_mask];
}

static bool is_same_key(const struct shadow_key *a, const struct shadow_key *b)
{
	return a->gfn == b->gfn && a->role.word == b->role.word;
}

static struct shadow_page *find_page(const struct mmu *mmu, const struct shadow_key *key)
{
	struct shadow_page *sp = *chain_of(mmu, key);

	while (sp && !is_same_key(&sp->key, key))
		sp = sp->next;
	return sp;
}

/* A page out of the free ones, or a new one with the next id. */
static struct shadow_page *take_page(struct mmu *mmu)
{
	struct shadow_page *sp = mmu->free_pages;

	if (sp) {
		mmu->free_pages = sp->next;
		return sp;
	}
	if (mmu->page_count == mmu->max_pages)
		return NULL;
	sp = aligned_alloc(_Alignof(struct shadow_page), sizeof(*sp));
	if (!sp)
		return NULL;
	sp->id = mmu->page_count;
	mmu->page[mmu->page_count++] = sp;
	return sp;
}

static void release_page(struct mmu *mmu, struct shadow_page *sp)
{
	sp->is_live = false;
	sp->next = mmu->free_pages;
	mmu->free_pages = sp;
}

static void init_page(struct shadow_page *sp, const struct shadow_key *key)
{
	memset(sp->spte, 0, sizeof(sp->spte));
	sp->key = *key;
	sp->is_live = true;
	sp->present = 0;
	sp->refs = 0;
	sp->root_refs = 0;
	sp->unused_writes = 0;
	sp->used = 0;
	sp->hits = 0;
	sp->parents = 0;
	sp->table = NULL;
	sp->frame = NULL;
	sp->next_of_frame = NULL;
}

struct shadow_page *shadow_get(struct mmu *mmu, const struct shadow_key *key)
{
	struct shadow_page *sp = find_page(mmu, key);
	struct shadow_page **chain = chain_of(mmu, key);
	struct frame *frame = NULL;

	if (sp)
		return sp;
	sp = take_page(mmu);
	if (!sp)
		return NULL;
	init_page(sp, key);
	if (!key->role.is_direct) {
		frame = frame_get(mmu, key->gfn);
		if (!frame) {
			release_page(mmu, sp);
			return NULL;
		}
		sp->table = mem_ptr(mmu->mem, key->gfn << SHADOW_GFN_SHIFT, UMBRA_PAGE_SIZE);
		frame_add_table(mmu, frame, sp);
	}
	sp->next = *chain;
	*chain = sp;
	mmu->stats.shadow_pages++;
	return sp;
}

/* Dropping. */

static void unhash_page(struct mmu *mmu, struct shadow_page *sp)
{
	struct shadow_page **at = chain_of(mmu, &sp->key);

	while (*at != sp)
		at = &(*at)->next;
	*at = sp->next;
}

static void free_page(struct mmu *mmu, struct shadow_page *sp)
{
	unsigned i;

	for (i = 0; sp->present > 0; i++) {
		if (sp->spte[i] & SPTE_P)
			shadow_drop_entry(mmu, sp, i);
	}
	unhash_page(mmu, sp);
	if (sp->frame)
		frame_remove_table(mmu, sp);
	mmu->stats.shadow_pages--;
	release_page(mmu, sp);
}

void shadow_put(struct mmu *mmu, struct shadow_page *sp)
{
	if (--sp->refs == 0)
		free_page(mmu, sp);
}

/* The page stays, but is no longer reached by one of its ways. */
static void forget_below(struct mmu *mmu, const struct shadow_page *sp)
{
	unsigned i;

	if (sp->key.role.level > 1) {
		if (sp->present > 0)
			forget_all(mmu);
		return;
	}
	for (i = 0; i < SHADOW_ENTRIES; i++) {
		if (sp->spte[i] & SPTE_P)
			forget_index(mmu, i);
	}
}

static void drop_leaf(struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	frame_remove_leaf(mmu, sp, index);
	forget_index(mmu, index);
	sp->spte[index] = 0;
	mmu->stats.leaves--;
}

/* The entry is gone before its child goes: the child's subtree may lead back to this very table
 * under another role, and finds a page in order. */
static void drop_child(struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	struct shadow_page *child = spte_child(sp->spte[index]);

	list_remove(mmu, &child->parents, sp, index);
	sp->spte[index] = 0;
	if (child->refs > 1)
		forget_below(mmu, child);
	shadow_put(mmu, child);
}

void shadow_drop_entry(struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	if (is_listening(mmu, MMU_EVENT_ZAP))
		tell_zap(mmu, sp, index);
	mmu->stats.zaps++;
	sp->present--;
	if (spte_is_leaf(sp->spte[index]))
		drop_leaf(mmu, sp, index);
	else
		drop_child(mmu, sp, index);
}

void shadow_zap(struct mmu *mmu, struct shadow_page *sp)
{
	sp->refs++;
	while (sp->parents)
		shadow_drop_entry(mmu, handle_page(mmu, sp->parents), handle_index(sp->parents));
	if (sp->root_refs > 0)
		roots_forget_page(mmu, sp);
	shadow_put(mmu, sp);
}

void shadow_zap_all(struct mmu *mmu)
{
	unsigned i;

	for (i = 0; i < mmu->max_roots; i++)
		root_clear(mmu, &mmu->root[i]);
	forget_all(mmu);
}

/* Filling. */

void shadow_set_child(struct mmu *mmu, struct shadow_page *sp, unsigned index, uint64_t gpte,
		      struct shadow_page *child)
{
	uint64_t spte = (uint64_t)(uintptr_t)child | SPTE_P | SPTE_TABLE;

	sp->gpte[index] = gpte;
	if (sp->spte[index] == spte)
		return;
	child->refs++; /* dropping what was there must not free it */
	if (sp->spte[index] & SPTE_P)
		shadow_drop_entry(mmu, sp, index);
	sp->spte[index] = spte;
	sp->present++;
	list_add(mmu, &child->parents, sp, index);
}

static uint64_t leaf_spte(struct mmu *mmu, const struct shadow_page *sp, const struct frame *frame,
			  uint64_t gpte)
{
	gpa_t gpa = frame->gfn << SHADOW_GFN_SHIFT;
	const struct mem_region *region = mem_find(mmu->mem, gpa);
	uint64_t spte = shadow_leaf_rights(sp, gpte);

	if (!region)
		return spte | SPTE_MMIO;
	spte |= (uint64_t)(uintptr_t)(region->host + (gpa - region->gpa)) & SPTE_HOST;
	if (region->kind == MEM_ROM)
		return spte | SPTE_ROM;
	return spte & SPTE_D && !frame_is_table(frame) ? spte | SPTE_MAY_WRITE : spte;
}

/* Then it may change in place: nobody has to forget anything. */
static bool only_gains_dirty(uint64_t old, uint64_t now)
{
	return (old & ~now) == 0 && (now & ~old & ~(SPTE_D | SPTE_MAY_WRITE)) == 0;
}

bool shadow_set_leaf(struct mmu *mmu, struct shadow_page *sp, unsigned index, uint64_t gpte)
{
	uint64_t gfn = shadow_leaf_gpa(sp, index, gpte) >> SHADOW_GFN_SHIFT;
	uint64_t old = sp->spte[index];
	struct frame *frame = frame_get(mmu, gfn);
	uint64_t spte;

	if (!frame)
		return false;
	spte = leaf_spte(mmu, sp, frame, gpte);
	if ((old & SPTE_P) &&
	    shadow_leaf_gpa(sp, index, sp->gpte[index]) >> SHADOW_GFN_SHIFT == gfn &&
	    only_gains_dirty(old, spte)) {
		sp->spte[index] = spte;
		sp->gpte[index] = gpte;
		return true;
	}
	if (old & SPTE_P) {
		shadow_drop_entry(mmu, sp, index);
		frame = frame_get(mmu, gfn); /* it may have gone with the old entry */
		if (!frame)
			return false;
	}
	sp->spte[index] = spte;
	sp->gpte[index] = gpte;
	sp->present++;
	mmu->stats.leaves++;
	mmu->stats.fills++;
	frame_add_leaf(mmu, frame, sp, index);
	return true;
}

/* Recycling. */

static unsigned room(const struct mmu *mmu)
{
	return mmu->max_pages - mmu->stats.shadow_pages;
}

static bool recycle_oldest_root(struct mmu *mmu)
{
	struct mmu_root *oldest = NULL;
	unsigned i;

	for (i = 0; i < mmu->max_roots; i++) {
		struct mmu_root *root = &mmu->root[i];
		bool has_top = root->top[0] || root->top[1] || root->top[2] || root->top[3];

		if (root->users == 0 && has_top && (!oldest || root->used < oldest->used))
			oldest = root;
	}
	if (!oldest)
		return false;
	root_clear(mmu, oldest);
	return true;
}

/* Pages below the roots that are loaded: those not used for long.  At least the oldest goes, if
 * there is one. */
static bool recycle_oldest_pages(struct mmu *mmu)
{
	uint64_t oldest = mmu->clock, limit;
	unsigned before = mmu->stats.shadow_pages;
	unsigned i;

	for (i = 0; i < mmu->page_count; i++) {
		const struct shadow_page *sp = mmu->page[i];

		if (sp->is_live && sp->root_refs == 0 && sp->used < oldest)
			oldest = sp->used;
	}
	limit = oldest + (mmu->clock - oldest) / RECYCLE_PART;
	for (i = 0; i < mmu->page_count; i++) {
		struct shadow_page *sp = mmu->page[i];

		if (sp->is_live && sp->root_refs == 0 && sp->used <= limit)
			shadow_zap(mmu, sp);
	}
	return mmu->stats.shadow_pages < before;
}

void shadow_recycle(struct mmu *mmu)
{
	unsigned before = mmu->stats.shadow_pages;

	if (room(mmu) >= SHADOW_PATH_MAX)
		return;
	while (room(mmu) < SHADOW_PATH_MAX && recycle_oldest_root(mmu))
		;
	while (room(mmu) < SHADOW_PATH_MAX && recycle_oldest_pages(mmu))
		;
	mmu->stats.recycled += before - mmu->stats.shadow_pages;
}
