/* What the modules of the shadow MMU that work over time have to say, as records.  Private to
 * src/debug. */
#ifndef DEBUG_MMU_TELL_H
#define DEBUG_MMU_TELL_H

#include "mon_record.h"

#include "umbra/accel.h"
#include "umbra/mem.h"
#include "umbra/mmu_breaks.h"
#include "umbra/mmu_hazard.h"
#include "umbra/mmu_snap.h"
#include "umbra/mmu_trace.h"

/* "mmu stop id=3 kind=map gva=0x401000 change=rights u:r-x -> u:rwx cpu=0 rip=0x... ..." */
void mmu_tell_stop(struct mon_record *record, const struct mmu_stop *stop);
/* One event; @drops: the shadow entries that a table write dropped, which follow it in the trace.
 */
struct mmu_drops {
	unsigned count;
	const struct mmu_trace_record *first; /* of @count; NULL when there is none */
};
void mmu_tell_event(struct mon_record *record, const struct mem_space *mem,
		    const struct mmu_trace_record *event, const struct mmu_drops *drops);
/* In the same form; seq counts such writes. */
void mmu_tell_trapped(struct mon_record *record, const struct accel_trapped *write);
/* Those of the trace from number @from on. */
void mmu_tell_events(struct mon_record *record, const struct mem_space *mem,
		     const struct mmu_trace *trace, uint64_t from);
/* "diff ~ 0x401000 gpa=0x2a01000 u:r-x -> u:rwx by rip=0x... seq=90412 pte@0x1b0d008" */
void mmu_tell_diff(struct mon_record *record, const struct mmu_diff *diff);
void mmu_tell_hazard(struct mon_record *record, const struct mmu_hazard_report *report);
/* One break of the table. */
void mmu_tell_break(struct mon_record *record, const struct mmu_break_info *info);
/* Who wrote an entry last: rip, cpu and seq. */
void mmu_tell_writer(struct mon_record *record, const struct mmu_history_record *writer);

const char *mmu_event_name(enum mmu_event_kind kind); /* as `mmu trace` has it */
/* "present", "gone" ...: bit @bit of MMU_CHANGE_*; NULL past the last. */
const char *mmu_change_name(unsigned bit);

/* mmu_tell_stop for a person, without the line's end. */
#define MMU_STOP_TEXT_MAX 512u
void mmu_stop_text(const struct mmu_stop *stop, char buf[MMU_STOP_TEXT_MAX]);

#endif
