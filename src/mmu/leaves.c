/* Every page that a root maps, in the terms of snapshots and breaks: see leaves.h. */
#include "leaves.h"

#include "umbra/mmu_view.h"

#include <errno.h>

#define BUDGET (1ull << 27) /* entries: 2^18 tables of 512 */

struct visit {
	const struct x86_paging *regs;
	const struct mmu_leaf_sink *sink;
};

_Static_assert(MMU_MAP_W == MMU_RIGHT_W && MMU_MAP_U == MMU_RIGHT_U && MMU_MAP_X == MMU_RIGHT_X,
	       "rights are one and the same");

static enum mmu_view_step on_page(void *ctx, const struct mmu_mapping *page)
{
	const struct visit *v = ctx;
	const struct mmu_leaf leaf = {
		.gva = page->gva,
		.size = page->size,
		.map = {.is_present = true,
			.can = (uint8_t)(page->rights | (page->is_global ? MMU_MAP_G : 0)),
			.pkey = page->pkey,
			.gpa = page->gpa},
		.entry_gpa = page->entry_gpa,
		.is_accessed = page->is_accessed,
		.is_dirty = page->is_dirty,
	};

	if (!v->sink->leaf || v->sink->leaf(v->sink->arg, &leaf))
		return MMU_VIEW_ON;
	return MMU_VIEW_STOP;
}

/* PAE's first four entries are in registers: no write to memory changes them. */
static enum mmu_view_step on_table(void *ctx, const struct mmu_table *table)
{
	const struct visit *v = ctx;
	bool is_in_registers = v->regs->has_pdpte && table->parent_level == 0 &&
			       x86_paging_mode(v->regs) == X86_PAGING_PAE;

	if (v->sink->table && !is_in_registers)
		v->sink->table(v->sink->arg, table->gpa);
	return MMU_VIEW_ON;
}

int mmu_each_leaf(const struct x86_paging *regs, gva_t lo, gva_t hi, const struct mem_space *mem,
		  mmu_leaf_fn fn, void *arg)
{
	const struct mmu_leaf_sink sink = {.leaf = fn, .arg = arg};

	return mmu_each_leaf_and_table(regs, lo, hi, mem, &sink);
}

int mmu_each_leaf_and_table(const struct x86_paging *regs, gva_t lo, gva_t hi,
			    const struct mem_space *mem, const struct mmu_leaf_sink *sink)
{
	struct visit v = {.regs = regs, .sink = sink};
	struct mmu_view view = {.mem = mem,
				.regs = regs,
				.lo = lo,
				.hi = hi,
				.on_page = on_page,
				.on_table = on_table,
				.ctx = &v,
				.budget = BUDGET};
	gva_t next;

	if (x86_paging_mode(regs) == X86_PAGING_NONE)
		return 0;
	switch (mmu_view_run(&view, &next)) {
	case MMU_VIEW_ALL:
		return 0;
	case MMU_VIEW_STOPPED:
		return 1;
	case MMU_VIEW_BUDGET:
		break;
	}
	return -E2BIG;
}
