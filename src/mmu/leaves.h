/* What a root maps, for those who compare: every page of the guest's tables in a range, by
 * mmu_view_run.  It works from the tables alone, so for any back end.  Also while vCPUs run: each
 * entry is read whole, and who watches tables hears of later writes. */
#ifndef UMBRA_MMU_LEAVES_H
#define UMBRA_MMU_LEAVES_H

#include "umbra/mmu_snap.h"

/* One page, large or small. */
struct mmu_leaf {
	gva_t gva;
	uint64_t size; /* bytes */
	struct mmu_page_map map;
	gpa_t entry_gpa; /* of the entry that maps it */
	bool is_accessed, is_dirty;
};
/* Returns false to end. */
typedef bool (*mmu_leaf_fn)(void *arg, const struct mmu_leaf *leaf);

/* Call @fn for each page that has a byte in @lo..@hi, in the order of their addresses.
 * Returns 0; 1 when @fn ended it; -E2BIG when the tables lead through more tables than a guest can
 * have meant (they may refer to themselves on every level).  Nothing is mapped without paging. */
int mmu_each_leaf(const struct x86_paging *regs, gva_t lo, gva_t hi, const struct mem_space *mem,
		  mmu_leaf_fn fn, void *arg);

/* The same for who also asks for the ways to the pages. */
struct mmu_leaf_sink {
	mmu_leaf_fn leaf; /* NULL: nobody asks */
	/* Each table in memory that decides about the range; NULL: nobody asks. */
	void (*table)(void *arg, gpa_t gpa);
	void *arg;
};
int mmu_each_leaf_and_table(const struct x86_paging *regs, gva_t lo, gva_t hi,
			    const struct mem_space *mem, const struct mmu_leaf_sink *sink);

#endif
