/* Which table entries changed between two stops, where nobody tells of each write: `track lazy`.
 *
 * The pages that are tables of some root are kept as copies; at a stop those that the back end says
 * were written (accel_ops.written_pages) are compared with theirs.  Order, values in between and
 * writers are not known.  A page that is a table for the first time is known from then on; one that
 * no root leads to any more is forgotten.
 *
 * Call: control thread, world STOPPED. */
#ifndef UMBRA_MMU_LAZY_H
#define UMBRA_MMU_LAZY_H

#include "umbra/err.h"
#include "umbra/mmu_snap.h"

struct mmu_lazy;

#define MMU_LAZY_TABLES	 8192u /* beyond, further tables are not followed */
#define MMU_LAZY_CHANGES 4096u /* that are kept of one stop */

struct mmu_lazy_change {
	gpa_t gpa;
	unsigned bytes; /* of the entry: 4 or 8 */
	uint64_t old, now;
	bool is_ad_only; /* A and D, which the processor sets by itself */
};

/* Errors: -ENOMEM. */
int mmu_lazy_create(struct mmu_lazy **out_lazy, struct umbra_err *err);
void mmu_lazy_destroy(struct mmu_lazy *lazy); /* NULL is allowed */

/* Bit n of @written: the page at @first + n * 4096 may have been written since the last look.  The
 * form of accel_ops.written_pages. */
void mmu_lazy_note(void *lazy, gpa_t first, uint64_t written);
/* Any page may have been written. */
void mmu_lazy_note_all(struct mmu_lazy *lazy);
/* Look at what was noted, and follow the roots of @source; the changes of the last look go.  The
 * first look finds none.  Errors: -ENOMEM, with what was found until then kept. */
int mmu_lazy_look(struct mmu_lazy *lazy, const struct mmu_snap_source *source);

/* Change number @index, in the order of addresses of each table; false past the last. */
bool mmu_lazy_change_at(const struct mmu_lazy *lazy, unsigned index,
			struct mmu_lazy_change *out_change);
/* The tables that are followed, in the order of addresses; @max at most.  Returns how many. */
unsigned mmu_lazy_tables(const struct mmu_lazy *lazy, gpa_t *out_table, unsigned max);
struct mmu_lazy_stats {
	unsigned tables, changes;
	bool is_cut;		  /* there was more than fits */
	uint64_t looks, compared; /* tables, in all looks */
};
void mmu_lazy_stats(const struct mmu_lazy *lazy, struct mmu_lazy_stats *out_stats);

#endif
