/* Translation: through the shadow where it knows the way, else by a walk of the guest's tables that
 * teaches it (a shadow page fault). */
#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>

/* With a @clock the pages on the way are noted as used. */
static inline struct shadow_page *descend(const struct mmu_root *root, gva_t gva, uint64_t clock,
					  unsigned *out_index)
{
	unsigned top = root_top_index(root, gva);
	unsigned level = root->levels;
	struct shadow_page *sp = top < SHADOW_TOPS ? root->top[top] : NULL;

	while (sp) {
		uint64_t spte;

		*out_index = shadow_index(gva, level);
		if (clock) {
			sp->used = clock;
			sp->hits++;
			sp->unused_writes = 0;
		}
		if (level-- == 1)
			break;
		spte = sp->spte[*out_index];
		sp = spte & SPTE_P ? spte_child(spte) : NULL;
	}
	return sp;
}

struct shadow_page *shadow_lookup(const struct mmu_root *root, gva_t gva, unsigned *out_index)
{
	return descend(root, gva, 0, out_index);
}

/* Rights. */

/* The root's registers need not be those of the vCPU that asks: they are alike in all that rights
 * depend on, because the root's key holds that. */
unsigned shadow_class_rights(const struct mmu_root *root, struct x86_walk *page, uint64_t spte,
			     unsigned access)
{
	const struct x86_paging *regs = &root->regs;
	bool smap_off = access & MMU_SMAP_OFF;
	uint32_t error;

	access &= X86_PF_U;
	page->mode = (enum x86_paging_mode)root->key.mode;
	page->is_writable = (spte & SPTE_W) != 0;
	page->is_user = (spte & SPTE_U) != 0;
	page->is_executable = (spte & SPTE_X) != 0;
	page->pkey = (spte & SPTE_PKEY) >> SPTE_PKEY_SHIFT;
	return (x86_walk_allows(regs, page, access, smap_off, &error) ? MMU_CAN_READ : 0) |
	       (x86_walk_allows(regs, page, access | X86_PF_W, smap_off, &error) ? MMU_CAN_WRITE
										 : 0) |
	       (x86_walk_allows(regs, page, access | X86_PF_I, smap_off, &error) ? MMU_CAN_FETCH
										 : 0);
}

static unsigned needed_right(unsigned access)
{
	if (access & X86_PF_I)
		return MMU_CAN_FETCH;
	return access & X86_PF_W ? MMU_CAN_WRITE : MMU_CAN_READ;
}

/* Only the leaf's own frame decides about SPTE_MAY_WRITE; without it the frame may be a table. */
static void page_of_leaf(const struct mmu *mmu, const struct shadow_page *sp, unsigned index,
			 unsigned rights, struct mmu_page *out_page)
{
	uint64_t spte = sp->spte[index];
	const struct frame *frame;

	*out_page = (struct mmu_page){
		.gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]),
		.host = (uint8_t *)(uintptr_t)(spte & SPTE_HOST),
		.can = rights,
		.is_rom = (spte & SPTE_ROM) != 0,
	};
	if (spte & SPTE_MAY_WRITE)
		return;
	out_page->can &= ~MMU_CAN_WRITE;
	frame = frame_find(mmu, out_page->gpa >> SHADOW_GFN_SHIFT);
	out_page->is_table = frame && frame_is_table(frame);
}

static bool translate_by_shadow(struct mmu *mmu, struct mmu_vcpu *vcpu, gva_t gva, unsigned access,
				struct mmu_page *out_page)
{
	unsigned index, rights;
	const struct shadow_page *sp = descend(vcpu->root, gva, ++mmu->clock, &index);
	uint64_t spte = sp ? sp->spte[index] : 0;

	if (!(spte & SPTE_P) || ((access & X86_PF_W) && !(spte & SPTE_D)))
		return false;
	rights = shadow_class_rights(vcpu->root, &vcpu->rights, spte, access);
	if (!(rights & needed_right(access)))
		return false;
	page_of_leaf(mmu, sp, index, rights, out_page);
	return true;
}

/* Filling. */

static struct shadow_page *fill_child(struct mmu *mmu, struct shadow_page *sp, unsigned index,
				      uint64_t gpte)
{
	struct shadow_page *child;
	struct shadow_key key;

	if ((sp->spte[index] & SPTE_P) && sp->gpte[index] == gpte)
		return spte_child(sp->spte[index]);
	key = shadow_child_key(sp, index, gpte);
	child = shadow_get(mmu, &key);
	if (!child)
		return NULL;
	child->used = mmu->clock;
	shadow_set_child(mmu, sp, index, gpte, child);
	return child;
}

/* Each guest entry of the walk makes one entry, or two where a large page is split: those of
 * direct pages come from no guest entry.  The first step of a PAE walk is a register. */
int shadow_fill(struct mmu *mmu, struct mmu_root *root, gva_t gva, const struct x86_walk *walk)
{
	const struct x86_walk_step *step = walk->step + (walk->mode == X86_PAGING_PAE);
	unsigned top = root_top_index(root, gva);
	struct shadow_page *sp;

	if (top == SHADOW_TOPS)
		return -EFAULT;
	sp = root_get_top(mmu, root, top);
	if (sp)
		sp->used = mmu->clock;
	while (sp && sp->key.role.level > 1) {
		uint64_t gpte = sp->key.role.is_direct ? 0 : (step++)->entry;

		sp = fill_child(mmu, sp, shadow_index(gva, sp->key.role.level), gpte);
	}
	if (!sp || !shadow_set_leaf(mmu, sp, shadow_index(gva, 1),
				    sp->key.role.is_direct ? 0 : step->entry))
		return -ENOMEM;
	return 0;
}

static void refresh_steps(struct mmu *mmu, const struct x86_walk *walk)
{
	unsigned i;

	for (i = walk->mode == X86_PAGING_PAE; i < walk->step_count; i++)
		shadow_refresh(mmu, walk->step[i].entry_gpa,
			       walk->mode == X86_PAGING_32BIT ? 4 : 8);
}

/* No memory for the shadow: this access goes on, and the next one asks again. */
static void page_of_walk(const struct mmu *mmu, const struct x86_walk *walk,
			 struct mmu_page *out_page)
{
	gpa_t gpa = walk->gpa & UMBRA_PAGE_MASK;
	const struct mem_region *region = mem_find(mmu->mem, gpa);
	const struct frame *frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);

	*out_page = (struct mmu_page){
		.gpa = gpa,
		.host = region ? region->host + (gpa - region->gpa) : NULL,
		.is_table = frame && frame_is_table(frame),
		.is_rom = region && region->kind == MEM_ROM,
	};
}

/* A table that became one just now could be written without notice until the micro-TLBs had
 * forgotten it: its entries are read again after that, also where the fill ran out of memory
 * halfway.
 *   walker: reads entry E, protects the frame, forget, reads E again
 *   writer: stores E through its micro-TLB, before `forget` returned
 * Either the first or the second read sees the store.
 * Returns false when the entries changed: walk again. */
static bool fill_from_walk(struct mmu *mmu, struct mmu_vcpu *vcpu, gva_t gva, unsigned access,
			   struct mmu_page *out_page)
{
	const struct x86_walk *walk = &vcpu->walk.walk;
	const struct shadow_page *sp;
	unsigned index, rights;
	int rc;

	mmu->was_protected = false;
	rc = shadow_fill(mmu, vcpu->root, gva, walk);
	if (mmu->was_protected) {
		forget_flush(mmu);
		refresh_steps(mmu, walk);
	}
	if (rc < 0) {
		page_of_walk(mmu, walk, out_page);
		return true;
	}
	sp = shadow_lookup(vcpu->root, gva, &index);
	if (!sp || !(sp->spte[index] & SPTE_P))
		return false;
	if (mmu->listening)
		tell_fill(mmu, (unsigned)(vcpu - mmu->vcpu), gva, sp, index);
	rights = shadow_class_rights(vcpu->root, &vcpu->rights, sp->spte[index], access);
	page_of_leaf(mmu, sp, index, rights, out_page);
	return true;
}

static int translate_by_walk(struct mmu *mmu, struct mmu_vcpu *vcpu, gva_t gva, unsigned access,
			     struct mmu_page *out_page)
{
	const unsigned pf_access = access & (X86_PF_W | X86_PF_U | X86_PF_I);
	bool is_done;

	mmu->stats.faults++;
	shadow_recycle(mmu);
	do {
		int rc = mmu_walk(mmu->mem, &vcpu->regs, gva, pf_access, access & MMU_SMAP_OFF,
				  &vcpu->walk);

		mmu->stats.walks++;
		if (mmu->listening)
			tell_fault(mmu, (unsigned)(vcpu - mmu->vcpu), gva, pf_access, rc < 0);
		if (vcpu->walk.set_accessed || vcpu->walk.set_dirty)
			refresh_steps(mmu, &vcpu->walk.walk);
		if (rc < 0) {
			mmu->stats.guest_faults++;
			return rc;
		}
		is_done = fill_from_walk(mmu, vcpu, gva, access, out_page);
	} while (!is_done);
	return 0;
}

static void describe_fault(const struct mmu_walk *walk, struct mmu_fault *out_fault)
{
	bool is_gp = walk->walk.fault == X86_WALK_NONCANONICAL;

	out_fault->vector = is_gp ? X86_EXC_GP : X86_EXC_PF;
	out_fault->error = walk->error;
	out_fault->walk = walk->walk;
}

int mmu_translate(struct mmu *mmu, unsigned vcpu, gva_t gva, unsigned access,
		  struct mmu_page *out_page, struct mmu_fault *out_fault)
{
	struct mmu_vcpu *v = &mmu->vcpu[vcpu];
	bool set_dirty = false;
	int rc = 0;

	lock_take(mmu->lock);
	mmu->actor = vcpu;
	if (!translate_by_shadow(mmu, v, gva, access, out_page)) {
		rc = translate_by_walk(mmu, v, gva, access, out_page);
		if (rc < 0)
			describe_fault(&v->walk, out_fault);
		set_dirty = v->walk.set_dirty;
		forget_flush(mmu);
	}
	if (mmu->on_use)
		mmu->on_use(mmu->on_use_ctx, vcpu, gva, access, set_dirty);
	lock_drop(mmu->lock);
	return rc;
}
