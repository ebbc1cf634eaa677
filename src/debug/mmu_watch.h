/* What the debugger keeps of the shadow MMU over time: trace, history, breaks, snapshots, hazards.
 * Each is made when it is first asked for; a back end without a shadow MMU has none of them but
 * snapshots.  Private to src/debug; control thread, world STOPPED. */
#ifndef DEBUG_MMU_WATCH_H
#define DEBUG_MMU_WATCH_H

#include "mmu_text.h"

#include "umbra/cpu.h"
#include "umbra/mmu_breaks.h"
#include "umbra/mmu_hazard.h"
#include "umbra/mmu_history.h"
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

/* The machine has stopped: one-time breaks go. */
void mmu_watch_stopped(struct mmu_watch *watch);
/* The debugger is gone: what could stop the machine or slows it down goes; what was noted stays. */
void mmu_watch_leave(struct mmu_watch *watch);
/* The line for a STOP_MMU; false when nothing is known of it any more. */
bool mmu_watch_describe(const struct mmu_watch *watch, const struct cpu_stop *stop,
			char buf[MMU_TEXT_MAX]);

#endif
