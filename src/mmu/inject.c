/* Breaks the shadow on purpose, so that tests can see mmu_verify find it.  Test builds alone have
 * it: UMBRA_INJECT is defined in every MODE of the makefile but rel. */
#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>

#ifdef UMBRA_INJECT

/* Another frame's page; it stays within the memory slot. */
static int move_host(const struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	const struct mem_region *region =
		mem_find(mmu->mem, shadow_leaf_gpa(sp, index, sp->gpte[index]));

	if (!region || region->len < 2ull * UMBRA_PAGE_SIZE)
		return -ENOENT;
	if (sp->spte[index] & UMBRA_PAGE_SIZE)
		sp->spte[index] -= UMBRA_PAGE_SIZE;
	else
		sp->spte[index] += UMBRA_PAGE_SIZE;
	return 0;
}

static int drop_reverse(const struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	struct frame *frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);

	list_remove(mmu, &frame->leaves, sp, index);
	return 0;
}

static int drop_protection(const struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	const struct frame *frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);

	if (!frame || !frame_is_table(frame))
		return -ENOENT;
	sp->spte[index] |= SPTE_MAY_WRITE;
	return 0;
}

int mmu_inject(struct mmu *mmu, unsigned vcpu, enum mmu_injection what, gva_t gva)
{
	static int (*const injections[])(const struct mmu *, struct shadow_page *, unsigned) = {
		[MMU_INJECT_SPTE] = move_host,
		[MMU_INJECT_RMAP] = drop_reverse,
		[MMU_INJECT_WP] = drop_protection,
	};
	struct shadow_page *sp;
	int rc = -ENOENT;
	unsigned index;

	lock_take(mmu->lock);
	sp = mmu->vcpu[vcpu].root ? shadow_lookup(mmu->vcpu[vcpu].root, gva, &index) : NULL;
	if (sp && spte_is_leaf(sp->spte[index]))
		rc = injections[what](mmu, sp, index);
	lock_drop(mmu->lock);
	return rc;
}

#endif
