/* W+X: a page that is writable and executable by the tables of some root.
 *
 * A write to an entry that the shadow follows is judged at once, by the rights of the entries above
 * it that the role of its shadow page carries.  Tables that the shadow does not follow yet are
 * judged when the page is used: then its leaf is filled. */
#include "breaks.h"
#include "leaves.h"

#define ACCESS_WX (ACCESS_W | ACCESS_X)

static bool was_told(struct mmu_breaks *breaks, uint64_t root_id, gva_t gva, uint64_t len)
{
	unsigned i;

	for (i = 0; i < WX_SEEN; i++) {
		const struct wx_page *page = &breaks->wx[i];

		if (page->len && page->root_id == root_id && gva - page->gva < page->len)
			return true;
	}
	breaks->wx[breaks->wx_next++ % WX_SEEN] = (struct wx_page){root_id, gva, len};
	return false;
}

/* Where an entry of a shadow page lies in some root that leads to it.  NULL: in none. */
static const struct mmu_root *place_of(const struct mmu *mmu, const struct shadow_page *sp,
				       unsigned index, gva_t *out_gva)
{
	gva_t gva = (gva_t)index << (12 + 9 * (sp->key.role.level - 1));
	unsigned i;

	while (sp->parents && sp->root_refs == 0) {
		index = handle_index(sp->parents);
		sp = handle_page(mmu, sp->parents);
		gva |= (gva_t)index << (12 + 9 * (sp->key.role.level - 1));
	}
	for (i = 0; i < mmu->max_roots * SHADOW_TOPS; i++) {
		const struct mmu_root *root = &mmu->root[i / SHADOW_TOPS];
		unsigned unused = 64 - (12 + 9 * root->levels);

		if (!root->id || root->top[i % SHADOW_TOPS] != sp)
			continue;
		if (root->levels == 2)
			*out_gva = gva | (gva_t)(i % SHADOW_TOPS) << 30;
		else
			*out_gva = (gva_t)((int64_t)(gva << unused) >> unused);
		return root;
	}
	return NULL;
}

/* The first page below an entry that is W+X. */

struct search {
	struct mmu_leaf found;
	bool is_found;
};

static bool find_wx(void *arg, const struct mmu_leaf *leaf)
{
	struct search *search = arg;

	if ((leaf->map.can & (MMU_MAP_W | MMU_MAP_X)) != (MMU_MAP_W | MMU_MAP_X))
		return true;
	search->found = *leaf;
	search->is_found = true;
	return false;
}

static bool tell_page(struct mmu_breaks *breaks, const struct mmu_root *root, gva_t lo, gva_t hi,
		      struct mmu_stop *stop)
{
	struct search search = {.is_found = false};

	mmu_each_leaf(&root->regs, lo, hi, breaks->mmu->mem, find_wx, &search);
	if (!search.is_found || was_told(breaks, root->id, search.found.gva, search.found.size))
		return false;
	stop->has_gva = true;
	stop->gva = search.found.gva;
	stop->cr3 = root->regs.cr3;
	stop->after = search.found.map;
	return true;
}

/* Entries. */

static bool is_wx(const struct shadow_page *sp, uint64_t gpte)
{
	return (gpte & X86_PTE_P) &&
	       (shadow_entry_access(sp->key.role, gpte) & ACCESS_WX) == ACCESS_WX;
}

/* Did @now bring what @old did not? */
static bool becomes_wx(const struct shadow_page *sp, uint64_t old, uint64_t now)
{
	uint64_t address = BITS(51, 12) | X86_PTE_PS;

	return is_wx(sp, now) && (!is_wx(sp, old) || ((old ^ now) & address));
}

static bool look_at_entry(struct mmu_breaks *breaks, const struct shadow_page *sp, unsigned index,
			  uint64_t old, struct mmu_stop *stop)
{
	uint64_t span = 1ull << (12 + 9 * (sp->key.role.level - 1));
	const struct mmu_root *root;
	gva_t gva;

	if (!becomes_wx(sp, old, shadow_read_entry(sp, index)))
		return false;
	root = place_of(breaks->mmu, sp, index, &gva);
	return root && tell_page(breaks, root, gva, gva + (span - 1), stop);
}

static bool look_at_write(struct mmu_breaks *breaks, const struct mmu_event *event,
			  struct mmu_stop *stop)
{
	const struct frame *frame = frame_find(breaks->mmu, event->gpa >> SHADOW_GFN_SHIFT);
	const struct shadow_page *sp = frame ? frame->tables : NULL;
	size_t offset = event->gpa & ~UMBRA_PAGE_MASK;

	for (; sp; sp = sp->next_of_frame) {
		bool is_small = sp->key.role.mode == X86_PAGING_32BIT;
		unsigned first, count, i;

		count = shadow_entries_at(sp, offset, event->len, &first);
		for (i = 0; i < count; i++) {
			size_t at = shadow_entry_offset(sp, first + i);
			uint64_t old =
				is_small ? (uint32_t)(event->old >> (8 * (at & 4))) : event->old;

			if (!look_at_entry(breaks, sp, first + i, old, stop))
				continue;
			break_set_entry(stop, event, is_small ? 4 : 8);
			return true;
		}
	}
	return false;
}

static bool look_at_fill(struct mmu_breaks *breaks, const struct mmu_event *event,
			 struct mmu_stop *stop)
{
	const struct mmu_root *root = breaks->mmu->vcpu[event->vcpu].root;

	if ((event->spte & (SPTE_W | SPTE_X)) != (SPTE_W | SPTE_X) ||
	    root->key.mode == X86_PAGING_NONE)
		return false;
	return tell_page(breaks, root, event->gva, event->gva, stop);
}

bool wx_look(struct mmu_breaks *breaks, const struct mmu_event *event, struct mmu_stop *stop)
{
	if (event->kind == MMU_EVENT_FILL)
		return look_at_fill(breaks, event, stop);
	return look_at_write(breaks, event, stop);
}
