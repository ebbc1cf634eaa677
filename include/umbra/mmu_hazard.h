/* Translations that are used after their tables changed, without the flush that a real processor
 * needs in between.
 *
 * The software CPU's shadow follows each write to a table at once; a processor may go on with what
 * it has cached until it is told (SDM 3A 4.10.4).  So for each vCPU a model of its TLB is kept: the
 * translations that it has used, until INVLPG, INVPCID, a load of CR3, CR4.PGE and the like, or a
 * page fault, take them out, with PCIDs and global pages as the manual has them.  It evicts nothing
 * else while it has room.  A use of a translation that the tables no longer give, and that the
 * cached one would have let through, is reported, once until it is flushed:
 *
 *   gpa     the page is another one now
 *   gone    nothing is mapped there now
 *   rights  the access is not allowed now
 *   dirty   D was cleared: a processor would not set it again, and the write would be lost to
 *           whoever looks at D
 *
 * Not reported, because it is legal or harmless: an entry that becomes present; rights that are
 * gained (at worst a fault that is spurious); a write through a translation that was cached without
 * D, for which the tables are read again; A cleared, which costs precision alone; a large page that
 * is split, or small ones joined, without a change of what is mapped.
 *
 * Not modelled: what a processor caches of upper entries apart from pages, and speculation: a real
 * one may hold more than it was seen to use.  On several vCPUs a use between another one's write
 * and the shootdown is reported though the guest may allow for it: see mmu_hazard_set_grace.
 *
 * While it is on, every flush also empties the micro-TLBs, so that uses are seen.
 *
 * Call: control thread, world STOPPED, but for reading reports. */
#ifndef UMBRA_MMU_HAZARD_H
#define UMBRA_MMU_HAZARD_H

#include "umbra/err.h"
#include "umbra/mmu.h"
#include "umbra/mmu_history.h"

struct mmu_hazard;

enum mmu_hazard_kind {
	MMU_HAZARD_GPA,
	MMU_HAZARD_GONE,
	MMU_HAZARD_RIGHTS,
	MMU_HAZARD_DIRTY,
	MMU_HAZARD_KIND_COUNT
};
const char *mmu_hazard_kind_name(enum mmu_hazard_kind kind);

struct mmu_hazard_report {
	uint64_t number; /* counts from 0 */
	enum mmu_hazard_kind kind;
	unsigned vcpu; /* who used it, and when: seq and rip as mmu_event */
	uint64_t seq, rip;
	gva_t gva;
	unsigned access; /* mask of X86_PF_* and MMU_SMAP_OFF */
	uint16_t pcid;
	bool is_global;
	uint64_t cached_seq;   /* when the vCPU took the translation in */
	gpa_t cached_gpa, gpa; /* of gva, by the cached one and by the tables; GONE: gpa is 0 */
	/* The highest entry that is not what it was; level 0: CR3 leads to other tables, and its
	 * load flushed nothing. */
	unsigned level;
	gpa_t entry_gpa;
	uint64_t old, now;
	/* The last writer of it, where the history knows. */
	bool has_writer;
	struct mmu_history_record writer;
};

#define MMU_HAZARDS_KEPT 256u

/* It is off.  @history outlives it; NULL: no writers are named.  Errors: -ENOMEM. */
int mmu_hazard_create(struct mmu_hazard **out_hazard, struct mmu *mmu,
		      const struct mmu_history *history, struct umbra_err *err);
void mmu_hazard_destroy(struct mmu_hazard *hazard); /* NULL is allowed */

/* On: with an empty model.  Off: reports stay.  Errors: -ENOSPC, too many listen already. */
int mmu_hazard_set(struct mmu_hazard *hazard, bool is_on);
bool mmu_hazard_is_on(const struct mmu_hazard *hazard);
/* Do not report a use less than @seq after a write by another vCPU: it may be on its way to a
 * shootdown.  What is used later still is reported then.  0, as at first: none is too soon. */
void mmu_hazard_set_grace(struct mmu_hazard *hazard, uint64_t seq);

uint64_t mmu_hazard_total(const struct mmu_hazard *hazard);
/* False: it is gone (the last MMU_HAZARDS_KEPT are kept), or not there yet. */
bool mmu_hazard_get(const struct mmu_hazard *hazard, uint64_t number,
		    struct mmu_hazard_report *out_report);

struct mmu_hazard_stats {
	uint64_t uses, flushes;
	uint64_t dropped; /* translations for which there was no room */
};
void mmu_hazard_stats(const struct mmu_hazard *hazard, struct mmu_hazard_stats *out_stats);

#endif
