/* Who wrote which table entry last: the writer of every entry that changed while its table was
 * tracked.
 *
 * Memory is taken once; when it is full, the entry whose last write is the longest ago goes.  A and
 * D that a walk sets are no writes.  Entries are known by 4 bytes, so that those of 32-bit paging
 * are told apart; a write to both halves of an 8-byte entry takes two records.
 *
 * Call: any thread; the mmu's lock is inside.  The history goes before the mmu. */
#ifndef UMBRA_MMU_HISTORY_H
#define UMBRA_MMU_HISTORY_H

#include "umbra/err.h"
#include "umbra/mmu.h"

struct mmu_history;

struct mmu_history_record {
	gpa_t gpa;	   /* of the 8-byte unit in which the entry lies */
	uint64_t old, now; /* of that unit */
	unsigned vcpu;	   /* or MMU_NO_VCPU */
	uint64_t seq, rip; /* as mmu_event */
	uint64_t number;   /* counts the writes that were noted: the order of them */
};

#define MMU_HISTORY_RECORDS 65536u /* a good number */

/* It listens from now on.  Errors: -ENOMEM; -ENOSPC too many listen already. */
int mmu_history_create(struct mmu_history **out_history, struct mmu *mmu, unsigned records,
		       struct umbra_err *err);
void mmu_history_destroy(struct mmu_history *history); /* NULL is allowed */

/* The last write to any of the @len bytes (4 or 8) of the entry at @gpa.  False: none is known. */
bool mmu_history_last(const struct mmu_history *history, gpa_t gpa, size_t len,
		      struct mmu_history_record *out_record);
/* The same for a listener of the mmu, from inside its call. */
bool mmu_history_last_locked(const struct mmu_history *history, gpa_t gpa, size_t len,
			     struct mmu_history_record *out_record);

struct mmu_history_stats {
	unsigned capacity, records; /* room, and taken */
	uint64_t writes, evicted;
};
void mmu_history_stats(const struct mmu_history *history, struct mmu_history_stats *out_stats);
void mmu_history_clear(struct mmu_history *history);

#endif
