/* All mappings of several roots at one moment, and the difference between two moments.
 *
 * It works from the guest's tables in memory, so with any back end; what a snapshot says is as true
 * as what it was told of the roots.  A, D and the size of pages are no differences: a large
 * page that is split into small ones with the same frames and rights maps what it mapped.
 *
 * Call: control thread, world STOPPED. */
#ifndef UMBRA_MMU_SNAP_H
#define UMBRA_MMU_SNAP_H

#include "umbra/err.h"
#include "umbra/mmu.h"
#include "umbra/mmu_history.h"

/* What a page is mapped to: the guest's rights over all levels. */
#define MMU_MAP_W (1u << 0)
#define MMU_MAP_U (1u << 1)
#define MMU_MAP_X (1u << 2)
#define MMU_MAP_G (1u << 3)
struct mmu_page_map {
	bool is_present;
	uint8_t can; /* mask of MMU_MAP_* */
	uint8_t pkey;
	gpa_t gpa; /* of the first byte */
};

struct mmu_snap;

/* What a snapshot is made from. */
struct mmu_snap_source {
	const struct x86_paging *root;
	unsigned root_count; /* roots with the same tables count once */
	struct mem_space *mem;
	uint64_t seq; /* now, as mmu_event.seq: to tell later writers from earlier ones */
};

#define MMU_SNAP_RUNS 262144u /* of pages that follow each other alike, in one snapshot */

/* Errors: -ENOMEM; -E2BIG more runs than that, or tables without end. */
int mmu_snap_take(struct mmu_snap **out_snap, const struct mmu_snap_source *source,
		  struct umbra_err *err);
void mmu_snap_free(struct mmu_snap *snap); /* NULL is allowed */
uint64_t mmu_snap_seq(const struct mmu_snap *snap);
unsigned mmu_snap_roots(const struct mmu_snap *snap);
unsigned mmu_snap_runs(const struct mmu_snap *snap);

/* Differences. */

enum mmu_diff_kind { MMU_DIFF_ADDED, MMU_DIFF_REMOVED, MMU_DIFF_CHANGED };

struct mmu_diff {
	enum mmu_diff_kind kind;
	uint64_t cr3; /* which root; bits of the PCID are 0 */
	gva_t gva;
	uint64_t len;
	uint64_t page_size;		   /* of the later one, of the earlier one when REMOVED */
	struct mmu_page_map before, after; /* of gva */
	/* Who changed it, when the history knows: the last writer of an entry on the way to gva
	 * since the earlier snapshot. */
	bool has_writer;
	struct mmu_history_record writer;
	gpa_t entry_gpa; /* the entry that was written */
};
typedef void (*mmu_diff_fn)(void *arg, const struct mmu_diff *diff);

/* Where writers are looked for.  Their entries are found in the tables as they are now, so a writer
 * is named only where the way to a page is still the same. */
struct mmu_blame {
	const struct mmu_history *history; /* NULL: nobody is named */
	struct mem_space *mem;
};

/* Call @fn for each difference, root by root, in the order of addresses; pages that follow each
 * other and changed alike, by the same instruction, are one.  A root that only one of them has is a
 * difference in all its pages.  Returns the number of differences. */
unsigned mmu_snap_diff(const struct mmu_snap *from, const struct mmu_snap *to,
		       const struct mmu_blame *blame, mmu_diff_fn fn, void *arg);

/* Snapshots by name. */

#define MMU_SNAPS_MAX	  8u
#define MMU_SNAP_NAME_MAX 32u

struct mmu_snaps {
	struct {
		char name[MMU_SNAP_NAME_MAX]; /* "": free */
		struct mmu_snap *snap;
	} named[MMU_SNAPS_MAX];
};

/* Keep @snap, which is the table's from then on, in the place of an older one of that name.
 * Errors: -EINVAL an empty or too long name; -ENOSPC; @snap is the caller's still. */
int mmu_snaps_put(struct mmu_snaps *snaps, const char *name, struct mmu_snap *snap);
/* NULL: none of that name. */
struct mmu_snap *mmu_snaps_get(const struct mmu_snaps *snaps, const char *name);
/* Errors: -ENOENT. */
int mmu_snaps_drop(struct mmu_snaps *snaps, const char *name);
void mmu_snaps_clear(struct mmu_snaps *snaps);

#endif
