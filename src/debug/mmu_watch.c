/* Trace, history, breaks, snapshots and hazards of one machine: see mmu_watch.h. */
#include "mmu_watch.h"

#include <errno.h>

void mmu_watch_init(struct mmu_watch *watch, struct vm *vm)
{
	*watch = (struct mmu_watch){.vm = vm};
}

/* The history last: hazards ask it. */
void mmu_watch_end(struct mmu_watch *watch)
{
	mmu_hazard_destroy(watch->hazard);
	mmu_trace_destroy(watch->trace);
	mmu_breaks_destroy(watch->breaks);
	mmu_history_destroy(watch->history);
	mmu_snaps_clear(&watch->snaps);
	mmu_watch_init(watch, watch->vm);
}

struct mmu *mmu_watch_mmu(const struct mmu_watch *watch, struct umbra_err *err)
{
	const struct accel_ops *accel = vm_accel(watch->vm);
	struct mmu *mmu = accel->mmu ? accel->mmu(vm_accel_vm(watch->vm)) : NULL;

	if (!mmu)
		umbra_err_set(err, ENOTSUP,
			      "-accel %s shows nothing of its memory management as it happens; "
			      "-accel soft does",
			      accel->name);
	return mmu;
}

struct mmu_trace *mmu_watch_trace(struct mmu_watch *watch, struct umbra_err *err)
{
	struct mmu *mmu = mmu_watch_mmu(watch, err);

	if (mmu && !watch->trace)
		(void)mmu_trace_create(&watch->trace, mmu, MMU_TRACE_RECORDS, err);
	return watch->trace;
}

struct mmu_history *mmu_watch_history(struct mmu_watch *watch, struct umbra_err *err)
{
	struct mmu *mmu = mmu_watch_mmu(watch, err);

	if (mmu && !watch->history)
		(void)mmu_history_create(&watch->history, mmu, MMU_HISTORY_RECORDS, err);
	return watch->history;
}

struct mmu_breaks *mmu_watch_breaks(struct mmu_watch *watch, struct umbra_err *err)
{
	struct mmu *mmu = mmu_watch_mmu(watch, err);

	if (mmu && !watch->breaks)
		(void)mmu_breaks_create(&watch->breaks, mmu, err);
	return watch->breaks;
}

struct mmu_hazard *mmu_watch_hazard(struct mmu_watch *watch, struct umbra_err *err)
{
	struct mmu *mmu = mmu_watch_mmu(watch, err);
	const struct mmu_history *history = mmu_watch_history(watch, err);

	if (mmu && history && !watch->hazard)
		(void)mmu_hazard_create(&watch->hazard, mmu, history, err);
	return watch->hazard;
}

void mmu_watch_stopped(struct mmu_watch *watch)
{
	if (watch->breaks)
		mmu_breaks_settle(watch->breaks);
}

void mmu_watch_leave(struct mmu_watch *watch)
{
	if (watch->breaks)
		mmu_breaks_clear(watch->breaks);
	if (watch->trace)
		(void)mmu_trace_set(watch->trace, 0);
	if (watch->hazard)
		(void)mmu_hazard_set(watch->hazard, false);
}

bool mmu_watch_describe(const struct mmu_watch *watch, const struct cpu_stop *stop,
			char buf[MMU_TEXT_MAX])
{
	struct mmu_stop hit;

	if (stop->kind != STOP_MMU || !watch->breaks ||
	    !mmu_breaks_hit(watch->breaks, stop->mmu_hit, &hit))
		return false;
	mmu_text_stop(&hit, buf);
	return true;
}
