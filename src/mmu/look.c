/* The shadow as those see it who only look: nothing is filled, chosen, counted or recycled here.
 * Everything is under mmu.lock. */
#include "shadow.h"

#include "umbra/lock.h"
#include "umbra/mmu_view.h"

_Static_assert(MMU_RIGHT_W == ACCESS_W && MMU_RIGHT_U == ACCESS_U && MMU_RIGHT_X == ACCESS_X,
	       "rights are told as roles have them");

void mmu_shadow_decode(uint64_t spte, struct mmu_shadow_entry *out)
{
	out->is_leaf = spte_is_leaf(spte);
	if (!out->is_leaf)
		return;
	out->rights = (unsigned)(spte >> ACCESS_SHIFT) & ACCESS_ALL;
	out->host = (const uint8_t *)(uintptr_t)(spte & SPTE_HOST);
	out->may_write = spte & SPTE_MAY_WRITE;
	out->is_dirty = spte & SPTE_D;
	out->is_global = spte & SPTE_G;
	out->is_rom = spte & SPTE_ROM;
	out->is_big = spte & SPTE_BIG;
	out->pkey = (spte & SPTE_PKEY) >> SPTE_PKEY_SHIFT;
}

static void describe_entry(const struct shadow_page *sp, unsigned index,
			   struct mmu_shadow_entry *out)
{
	const struct shadow_page *child;

	*out = (struct mmu_shadow_entry){.sp = sp->id, .level = sp->key.role.level, .index = index};
	if (!sp->key.role.is_direct)
		out->gpte = sp->gpte[index];
	mmu_shadow_decode(sp->spte[index], out);
	if (out->is_leaf) {
		out->gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
		return;
	}
	child = spte_child(sp->spte[index]);
	out->child = child->id;
	out->rights = child->key.role.access;
	out->gpa = child->key.gfn << SHADOW_GFN_SHIFT;
}

static unsigned follow_path(const struct mmu_root *root, gva_t gva,
			    struct mmu_shadow_entry out[MMU_SHADOW_PATH_MAX])
{
	unsigned top = root_top_index(root, gva), count = 0;
	const struct shadow_page *sp = top == SHADOW_TOPS ? NULL : root->top[top];

	while (sp && count < MMU_SHADOW_PATH_MAX) {
		unsigned level = sp->key.role.level;
		unsigned index = shadow_index(gva, level);

		if (!(sp->spte[index] & SPTE_P))
			break;
		describe_entry(sp, index, &out[count++]);
		sp = level > 1 ? spte_child(sp->spte[index]) : NULL;
	}
	return count;
}

unsigned mmu_shadow_path(const struct mmu *mmu, const struct x86_paging *regs, gva_t gva,
			 struct mmu_shadow_entry out[MMU_SHADOW_PATH_MAX])
{
	struct x86_paging normal = *regs;
	const struct mmu_root *root;
	unsigned count = 0;

	lock_take(mmu->lock);
	root_normalize_regs(mmu, &normal);
	root = root_find(mmu, &normal);
	if (root)
		count = follow_path(root, gva, out);
	lock_drop(mmu->lock);
	return count;
}

static void describe_page(const struct shadow_page *sp, struct mmu_shadow_page *out)
{
	*out = (struct mmu_shadow_page){
		.sp = sp->id,
		.gfn = sp->key.gfn,
		.level = sp->key.role.level,
		.quadrant = sp->key.role.quadrant,
		.rights = sp->key.role.access,
		.mode = (enum x86_paging_mode)sp->key.role.mode,
		.is_direct = sp->key.role.is_direct,
		.has_nxe = sp->key.role.has_nxe,
		.is_big = sp->key.role.is_big,
		.is_protected = sp->frame != NULL,
		.refs = sp->refs,
		.roots = sp->root_refs,
		.present = sp->present,
		.unused_writes = sp->unused_writes,
		.hits = sp->hits,
	};
}

void mmu_each_shadow_page(const struct mmu *mmu, mmu_shadow_page_fn fn, void *ctx)
{
	struct mmu_shadow_page page;
	unsigned i;

	lock_take(mmu->lock);
	for (i = 0; i < mmu->page_count; i++) {
		if (!mmu->page[i]->is_live)
			continue;
		describe_page(mmu->page[i], &page);
		fn(ctx, &page);
	}
	lock_drop(mmu->lock);
}

bool mmu_each_shadow_entry(const struct mmu *mmu, uint32_t sp, mmu_shadow_entry_fn fn, void *ctx)
{
	const struct shadow_page *page;
	struct mmu_shadow_entry entry;
	unsigned i;

	lock_take(mmu->lock);
	page = sp < mmu->page_count ? mmu->page[sp] : NULL;
	if (page && !page->is_live)
		page = NULL;
	for (i = 0; page && i < SHADOW_ENTRIES; i++) {
		if (!(page->spte[i] & SPTE_P))
			continue;
		describe_entry(page, i, &entry);
		fn(ctx, &entry);
	}
	lock_drop(mmu->lock);
	return page != NULL;
}

static void describe_root(const struct mmu_root *root, struct mmu_root_info *out)
{
	unsigned top;

	*out = (struct mmu_root_info){.regs = root->regs,
				      .loads = root->loads,
				      .last_load = root->last_load,
				      .used = root->used,
				      .users = root->users};
	if (root->loads)
		out->regs.cr3 = root->last_cr3;
	for (top = 0; top < SHADOW_TOPS; top++)
		out->tops += root->top[top] != NULL;
}

void mmu_each_root(const struct mmu *mmu, mmu_root_fn fn, void *ctx)
{
	struct mmu_root_info info;
	unsigned i;

	lock_take(mmu->lock);
	for (i = 0; i < mmu->max_roots; i++) {
		if (!mmu->root[i].id)
			continue;
		describe_root(&mmu->root[i], &info);
		fn(ctx, &info);
	}
	lock_drop(mmu->lock);
}

void mmu_frame_look(const struct mmu *mmu, gpa_t gpa, struct mmu_frame_info *out)
{
	const struct shadow_page *sp;
	const struct frame *frame;
	shadow_handle handle;

	*out = (struct mmu_frame_info){.tables = 0};
	lock_take(mmu->lock);
	frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);
	for (sp = frame ? frame->tables : NULL; sp; sp = sp->next_of_frame)
		out->tables++;
	for (handle = frame ? frame->leaves : 0; handle;) {
		unsigned index = handle_index(handle);

		sp = handle_page(mmu, handle);
		out->leaves++;
		out->writable += (sp->spte[index] & SPTE_MAY_WRITE) != 0;
		handle = sp->link[index].next;
	}
	lock_drop(mmu->lock);
}

void mmu_get_regs(const struct mmu *mmu, unsigned vcpu, struct x86_paging *out_regs)
{
	lock_take(mmu->lock);
	*out_regs = mmu->vcpu[vcpu].regs;
	lock_drop(mmu->lock);
}

bool mmu_each_tlb_page(const struct mmu *mmu, mmu_tlb_fn fn, void *ctx)
{
	const struct mmu_tlb_hook *tlb = &mmu->config.tlb;

	if (!tlb->each)
		return false;
	lock_take(mmu->lock);
	tlb->each(tlb->ctx, fn, ctx);
	lock_drop(mmu->lock);
	return true;
}
