/* What the shadow MMU did lately: a ring of its events, for a person to read back.
 *
 * Memory is taken once; the newest record replaces the oldest.  While no kind is switched on the
 * shadow knows nothing of the trace.
 *
 * Call: any thread; the mmu's lock is inside.  The trace goes before the mmu. */
#ifndef UMBRA_MMU_TRACE_H
#define UMBRA_MMU_TRACE_H

#include "umbra/err.h"
#include "umbra/mmu.h"

struct mmu_trace;

/* One event, with what would be gone by the time that it is read. */
struct mmu_trace_record {
	uint64_t number;	/* counts from 0 */
	struct mmu_event event; /* walk is NULL */
	/* WALK: what was found. */
	gpa_t walk_gpa;
	uint64_t page_size; /* 0: no page */
	uint8_t walk_levels;
	uint8_t fault;	     /* enum x86_walk_fault */
	uint8_t fault_level; /* 0: every level was there */
	/* TABLE_WRITE: the instruction that wrote; insn_len 0: not known, or none did. */
	uint8_t insn_len;
	uint8_t insn[X86_INSN_MAX];
	uint8_t insn_mode; /* enum x86_mode */
};

#define MMU_TRACE_RECORDS 16384u /* a good number */

/* @records: rounded up to a power of 2.  Nothing is traced yet.  Errors: -ENOMEM. */
int mmu_trace_create(struct mmu_trace **out_trace, struct mmu *mmu, unsigned records,
		     struct umbra_err *err);
void mmu_trace_destroy(struct mmu_trace *trace); /* NULL is allowed */

/* Trace @kinds, a mask of MMU_EVENT_BIT, and no others; 0 ends it and keeps the records.
 * Errors: -ENOSPC too many listen already; then nothing is traced. */
int mmu_trace_set(struct mmu_trace *trace, unsigned kinds);
unsigned mmu_trace_kinds(const struct mmu_trace *trace);
/* The kinds that a word of `mmu trace on` means: fault (with S1 to S3), fill, ptw, zap, wp, cr3,
 * invlpg, flush, hazard, all.  0: no such word. */
unsigned mmu_trace_kinds_of(const char *word);

/* Records since creation or the last clear; those below total - capacity are gone. */
uint64_t mmu_trace_total(const struct mmu_trace *trace);
unsigned mmu_trace_capacity(const struct mmu_trace *trace);
/* Record @number.  False: it is gone, or not there yet. */
bool mmu_trace_get(const struct mmu_trace *trace, uint64_t number,
		   struct mmu_trace_record *out_record);
void mmu_trace_clear(struct mmu_trace *trace);

#endif
