/* Trace, history, breaks, snapshots and hazards of one machine: see mmu_watch.h. */
#include "mmu_watch.h"

#include <errno.h>

void mmu_watch_init(struct mmu_watch *watch, struct vm *vm)
{
	*watch = (struct mmu_watch){.vm = vm, .last_hit = ~0ull};
}

/* The history last: hazards ask it. */
void mmu_watch_end(struct mmu_watch *watch)
{
	mmu_hazard_destroy(watch->hazard);
	mmu_trace_destroy(watch->trace);
	mmu_breaks_destroy(watch->breaks);
	mmu_history_destroy(watch->history);
	mmu_snaps_clear(&watch->snaps);
	mmu_lazy_destroy(watch->lazy);
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

/* Breaks. */

static bool find_break(const struct mmu_watch *watch, unsigned id, struct mmu_break_info *out)
{
	unsigned i;

	for (i = 0; watch->breaks && mmu_breaks_at(watch->breaks, i, out); i++) {
		if (out->id == id)
			return true;
	}
	return false;
}

/* The watchpoints that a break on physical memory is made of: BP_KIND_COUNT ends the list. */
static void watch_kinds(const struct mmu_break *what, enum bp_kind out[3])
{
	unsigned n = 0;

	if (what->on_read && what->on_write)
		out[n++] = BP_WATCH_ACCESS;
	else if (what->on_read || what->on_write)
		out[n++] = what->on_read ? BP_WATCH_READ : BP_WATCH_WRITE;
	if (what->on_exec)
		out[n++] = BP_WATCH_EXEC;
	out[n] = BP_KIND_COUNT;
}

static bool is_watched_by(const struct mmu_break *what, enum bp_kind kind)
{
	enum bp_kind kinds[3];
	unsigned n = 0;

	watch_kinds(what, kinds);
	while (kinds[n] != BP_KIND_COUNT && kinds[n] != kind)
		n++;
	return kinds[n] == kind;
}

static int begin_watching(struct mmu_watch *watch, const struct mmu_break *what,
			  struct umbra_err *err)
{
	enum bp_kind kinds[3];
	int rc = 0;

	if (what->kind != MMU_BREAK_PA)
		return 0;
	watch_kinds(what, kinds);
	for (unsigned n = 0; kinds[n] != BP_KIND_COUNT && rc == 0; n++)
		rc = bp_insert_physical(vm_world(watch->vm), kinds[n], what->gpa, what->len, err);
	return rc;
}

/* Break @id, which is @what, wants nothing any more; others may still want the same. */
static void end_watching(struct mmu_watch *watch, unsigned id, const struct mmu_break *what)
{
	struct mmu_break_info info;
	enum bp_kind kinds[3];

	if (what->kind != MMU_BREAK_PA)
		return;
	watch_kinds(what, kinds);
	for (unsigned n = 0; kinds[n] != BP_KIND_COUNT; n++)
		(void)bp_remove_physical(vm_world(watch->vm), kinds[n], what->gpa, what->len);
	for (unsigned i = 0; mmu_breaks_at(watch->breaks, i, &info); i++) {
		if (info.id != id && info.is_enabled)
			(void)begin_watching(watch, &info.what, NULL);
	}
}

int mmu_watch_add(struct mmu_watch *watch, const struct mmu_break *what, unsigned *out_id,
		  struct umbra_err *err)
{
	struct mmu_breaks *breaks = mmu_watch_breaks(watch, err);
	int rc;

	if (!breaks)
		return -ENOTSUP;
	rc = mmu_breaks_add(breaks, what, out_id, err);
	if (rc < 0)
		return rc;
	rc = begin_watching(watch, what, err);
	if (rc == 0)
		return 0;
	end_watching(watch, *out_id, what);
	mmu_breaks_delete(breaks, *out_id);
	return rc;
}

/* Another vCPU may have hit it at the same time, and wait for its turn to say so. */
static void cancel(struct mmu_watch *watch, unsigned id)
{
	uint64_t hits = mmu_breaks_hits(watch->breaks);
	uint64_t n = hits - u64_min(hits, MMU_STOPS_KEPT);
	struct mmu_stop stop;

	for (; n < hits; n++) {
		if (mmu_breaks_hit(watch->breaks, n, &stop) && (!id || stop.id == id))
			world_cancel_mmu(vm_world(watch->vm), n);
	}
}

int mmu_watch_delete(struct mmu_watch *watch, unsigned id)
{
	struct mmu_break_info info;

	if (!find_break(watch, id, &info))
		return -ENOENT;
	cancel(watch, id);
	if (info.is_enabled)
		end_watching(watch, id, &info.what);
	return mmu_breaks_delete(watch->breaks, id);
}

int mmu_watch_enable(struct mmu_watch *watch, unsigned id, bool is_enabled, struct umbra_err *err)
{
	struct mmu_break_info info;
	int rc;

	if (!find_break(watch, id, &info))
		return umbra_err_set(err, ENOENT, "there is no break %u", id);
	if (info.is_enabled == is_enabled)
		return 0;
	if (is_enabled) {
		rc = begin_watching(watch, &info.what, err);
		if (rc == 0)
			rc = mmu_breaks_enable(watch->breaks, id, true);
		if (rc < 0)
			end_watching(watch, id, &info.what);
		return rc;
	}
	cancel(watch, id);
	end_watching(watch, id, &info.what);
	return mmu_breaks_enable(watch->breaks, id, false);
}

/* A watchpoint of that memory that is not behind a break is gdb's. */
static void note_memory(struct mmu_watch *watch, const struct cpu_stop *stop)
{
	const struct x86_state *st =
		vcpu_state(vm_world(watch->vm), stop->vcpu, X86_STATE_GPR | X86_STATE_SREG);
	struct mmu_stop hit = {.vcpu = stop->vcpu,
			       .rip = st ? st->rip : 0,
			       .gpa = stop->addr,
			       .is_exec = stop->bp == BP_WATCH_EXEC,
			       .has_values = stop->has_values,
			       .old = stop->old_value,
			       .now = stop->new_value};
	struct mmu_break_info info;
	unsigned i;

	for (i = 0; mmu_breaks_at(watch->breaks, i, &info); i++) {
		if (info.what.kind == MMU_BREAK_PA && info.is_enabled &&
		    info.what.gpa == stop->addr && is_watched_by(&info.what, stop->bp))
			watch->last_hit = mmu_breaks_note(watch->breaks, info.id, &hit);
	}
}

bool mmu_watch_last(const struct mmu_watch *watch, struct mmu_stop *out_stop)
{
	return watch->breaks && mmu_breaks_hit(watch->breaks, watch->last_hit, out_stop);
}

/* What was traced for the step alone is traced no more. */
static void end_step(struct mmu_watch *watch)
{
	struct mmu_stop stop;

	if (!watch->is_stepping || !mmu_watch_last(watch, &stop) || stop.kind != MMU_BREAK_STEP)
		return;
	watch->is_stepping = false;
	(void)mmu_trace_set(watch->trace, watch->kinds_before);
}

void mmu_watch_stopped(struct mmu_watch *watch, const struct cpu_stop *stop)
{
	watch->last_hit = stop->kind == STOP_MMU ? stop->mmu_hit : ~0ull;
	if (!watch->breaks)
		return;
	if (stop->kind == STOP_WATCH && stop->is_physical)
		note_memory(watch, stop);
	end_step(watch);
	mmu_breaks_settle(watch->breaks);
}

void mmu_watch_end_trap(struct mmu_watch *watch)
{
	if (watch->is_trapping)
		(void)vm_accel(watch->vm)->trap->set(vm_accel_vm(watch->vm), NULL, 0, NULL);
	watch->is_trapping = false;
}

void mmu_watch_forget_lazy(struct mmu_watch *watch)
{
	mmu_watch_end_trap(watch);
	if (watch->lazy)
		(void)vm_accel(watch->vm)->log_writes(vm_accel_vm(watch->vm), false, NULL);
	mmu_lazy_destroy(watch->lazy);
	watch->lazy = NULL;
}

void mmu_watch_leave(struct mmu_watch *watch)
{
	if (watch->breaks) {
		cancel(watch, 0);
		mmu_breaks_clear(watch->breaks);
	}
	if (watch->trace)
		(void)mmu_trace_set(watch->trace, 0);
	if (watch->hazard)
		(void)mmu_hazard_set(watch->hazard, false);
	mmu_watch_forget_lazy(watch);
}

bool mmu_watch_describe(const struct mmu_watch *watch, char buf[MMU_STOP_TEXT_MAX])
{
	struct mmu_stop hit;

	if (!mmu_watch_last(watch, &hit))
		return false;
	mmu_stop_text(&hit, buf);
	return true;
}

uint64_t mmu_watch_now(const struct mmu_watch *watch)
{
	struct mmu *mmu = mmu_watch_mmu(watch, NULL);

	return mmu ? mmu_seq(mmu) : 0;
}

/* Steps. */

int mmu_watch_step(struct mmu_watch *watch, const struct mmu_break *what, unsigned *out_id,
		   struct umbra_err *err)
{
	struct mmu_trace *trace = mmu_watch_trace(watch, err);
	unsigned kinds;
	int rc;

	if (!trace)
		return -ENOTSUP;
	kinds = watch->is_stepping ? watch->kinds_before : mmu_trace_kinds(trace);
	if (mmu_trace_set(trace, MMU_EVENT_ALL))
		return umbra_err_set(err, ENOSPC, "too many listen to the shadow already");
	rc = mmu_watch_add(watch, what, out_id, err);
	if (rc < 0) {
		(void)mmu_trace_set(trace, kinds);
		return rc;
	}
	watch->is_stepping = true;
	watch->kinds_before = kinds;
	watch->step_from = mmu_trace_total(trace);
	return 0;
}

void mmu_watch_tell_steps(const struct mmu_watch *watch, struct mon_record *record,
			  const struct mem_space *mem, const struct mmu_stop *stop)
{
	uint64_t total, from;
	struct mmu_trace_record event;

	if (stop->kind != MMU_BREAK_STEP || !watch->trace)
		return;
	total = mmu_trace_total(watch->trace);
	from = u64_max(watch->step_from, total - u64_min(total, mmu_trace_capacity(watch->trace)));
	while (mmu_trace_get(watch->trace, from, &event) && event.event.seq != stop->seq)
		from++;
	mmu_tell_events(record, mem, watch->trace, from);
}
