/* What the debugger keeps of the shadow MMU over time: trace, history, breaks, snapshots, hazards.
 * Each is made when it is first asked for; a back end without a shadow MMU has none of them but
 * snapshots.  Private to src/debug; control thread, world STOPPED. */
#ifndef DEBUG_MMU_WATCH_H
#define DEBUG_MMU_WATCH_H

#include "mmu_tell.h"

#include "umbra/cpu.h"
#include "umbra/mmu_breaks.h"
#include "umbra/mmu_hazard.h"
#include "umbra/mmu_history.h"
#include "umbra/mmu_lazy.h"
#include "umbra/mmu_snap.h"
#include "umbra/mmu_trace.h"
#include "umbra/vm.h"

struct mmu_watch {
	struct vm *vm;
	struct mmu_trace *trace; /* each NULL until asked for */
	struct mmu_history *history;
	struct mmu_breaks *breaks;
	struct mmu_hazard *hazard;
	struct mmu_snaps snaps;
	struct mmu_lazy *lazy; /* `track lazy` is on: a back end that logs written pages */
	bool is_lazy_off;      /* `track off` was said */
	/* `track trap`: on; what its self-test found, once it was asked; and the number of the
	 * first write since the last stop, and at that stop. */
	bool is_trapping, has_verdict;
	struct accel_trap_verdict verdict;
	uint64_t trap_from, trap_seen;
	/* The pages, and those until the last stop. */
	unsigned trap_count, trap_before_count;
	gpa_t trap_table[ACCEL_TRAP_PAGES], trap_before[ACCEL_TRAP_PAGES];
	uint64_t last_hit; /* of the last stop; ~0: none */
	/* `mmu step`: the first event of the trace that it is about, and the kinds that were traced
	 * before it was armed. */
	bool is_stepping;
	uint64_t step_from;
	unsigned kinds_before;
};

void mmu_watch_init(struct mmu_watch *watch, struct vm *vm);
/* Before the machine goes. */
void mmu_watch_end(struct mmu_watch *watch);

/* The machine's shadow MMU; NULL and the reason when the back end has none. */
struct mmu *mmu_watch_mmu(const struct mmu_watch *watch, struct umbra_err *err);
/* Make it now, if it is not there.  NULL and the reason: no shadow MMU, or no memory. */
struct mmu_trace *mmu_watch_trace(struct mmu_watch *watch, struct umbra_err *err);
struct mmu_history *mmu_watch_history(struct mmu_watch *watch, struct umbra_err *err);
struct mmu_breaks *mmu_watch_breaks(struct mmu_watch *watch, struct umbra_err *err);
struct mmu_hazard *mmu_watch_hazard(struct mmu_watch *watch, struct umbra_err *err);

/* Breaks, those on physical memory included: as mmu_breaks_add, _delete, _enable. */
int mmu_watch_add(struct mmu_watch *watch, const struct mmu_break *what, unsigned *out_id,
		  struct umbra_err *err);
int mmu_watch_delete(struct mmu_watch *watch, unsigned id);
int mmu_watch_enable(struct mmu_watch *watch, unsigned id, bool is_enabled, struct umbra_err *err);

/* Writes to tables come out no more. */
void mmu_watch_end_trap(struct mmu_watch *watch);
/* Compare tables at stops no more, and the same. */
void mmu_watch_forget_lazy(struct mmu_watch *watch);

/* The machine has stopped for @stop: one-time breaks go, a hit of a physical one is noted. */
void mmu_watch_stopped(struct mmu_watch *watch, const struct cpu_stop *stop);
/* The debugger is gone: what could stop the machine or slows it down goes; what was noted stays. */
void mmu_watch_leave(struct mmu_watch *watch);
/* The last stop; false when it was for no break. */
bool mmu_watch_last(const struct mmu_watch *watch, struct mmu_stop *out_stop);
/* Its line for a person. */
bool mmu_watch_describe(const struct mmu_watch *watch, char buf[MMU_STOP_TEXT_MAX]);

/* Stop behind the next event of what->kinds and trace until then what leads to it.
 * Errors: as mmu_watch_add. */
int mmu_watch_step(struct mmu_watch *watch, const struct mmu_break *what, unsigned *out_id,
		   struct umbra_err *err);
/* The events that @stop, of a step, is about; nothing of other stops. */
void mmu_watch_tell_steps(const struct mmu_watch *watch, struct mon_record *record,
			  const struct mem_space *mem, const struct mmu_stop *stop);
/* Instructions that the machine has executed, as mmu_event.seq; 0 without a shadow MMU. */
uint64_t mmu_watch_now(const struct mmu_watch *watch);

#endif
