/* `mmu track`: how writes to tables are seen.  The software CPU tells of each as it happens; for a
 * back end that only logs which pages were written, tables are compared at stops, from the first
 * `mmu` word of a session on: a log costs the guest a little, and a stop.  With `track trap` the
 * tables that are known tell of each write besides (mon_mmu_trap.c). */
#include "mon_mmu.h"

/* Compare now.  What the debugger itself wrote is in no log. */
static int look(struct debug_target *target)
{
	const struct accel_ops *accel = vm_accel(target->vm);
	struct x86_paging root[MMU_ROOTS_MAX];
	struct mmu_snap_source source = {.root = root, .mem = vm_mem(target->vm)};
	struct mmu_roots roots;

	if (accel->written_pages(vm_accel_vm(target->vm), mmu_lazy_note, target->mmu.lazy) < 0)
		mmu_lazy_note_all(target->mmu.lazy);
	mmu_roots_get_live(target, &roots);
	for (unsigned i = 0; i < roots.count; i++)
		root[i] = roots.root[i].regs;
	source.root_count = roots.count;
	return mmu_lazy_look(target->mmu.lazy, &source);
}

void mmu_track_stopped(struct debug_target *target)
{
	if (target->mmu.lazy)
		(void)look(target);
	mmu_trap_stopped(target);
}

static void tell_change(struct mmu_call *call, const struct mmu_lazy_change *change)
{
	struct mon_record *r = &call->record;

	record_begin(r, "track");
	record_hex(r, "pte", change->gpa);
	record_hex(r, "old", change->old);
	record_hex(r, "new", change->now);
	record_mark(r, "ad", change->is_ad_only);
	record_end(r);
}

static void tell_state(struct mmu_call *call)
{
	const struct mmu_lazy *lazy = call->target->mmu.lazy;
	struct mon_record *r = &call->record;
	struct mmu_lazy_change change;
	struct mmu_lazy_stats stats;
	unsigned i;

	mmu_trap_tell_new(call);
	for (i = 0; lazy && mmu_lazy_change_at(lazy, i, &change) && mmu_has_room(call); i++) {
		/* Those were told as they were made. */
		if (!mmu_trap_covers(&call->target->mmu, change.gpa))
			tell_change(call, &change);
	}
	record_begin(r, "track");
	record_string(r, "track", mmu_track_name(call));
	record_string(r, "backend", vm_accel(call->target->vm)->name);
	if (lazy) {
		mmu_lazy_stats(lazy, &stats);
		record_number(r, "tables", stats.tables);
		record_number(r, "changes", stats.changes);
		record_mark(r, "cut", stats.is_cut);
	}
	mmu_trap_tell_verdict(call);
	record_end(r);
}

static bool switch_on(struct mmu_call *call, struct umbra_err *err)
{
	const struct accel_ops *accel = vm_accel(call->target->vm);
	struct mmu_watch *watch = &call->target->mmu;

	if (watch->lazy)
		return true;
	if (accel->log_writes(vm_accel_vm(call->target->vm), true, err) < 0 ||
	    mmu_lazy_create(&watch->lazy, err) < 0)
		return false;
	return look(call->target) == 0;
}

const char *mmu_track_name(const struct mmu_call *call)
{
	if (call->mmu)
		return "exact";
	if (call->target->mmu.is_trapping)
		return "trap";
	return call->target->mmu.lazy ? "lazy" : "off";
}

void mmu_track_begin(struct mmu_call *call)
{
	const struct mmu_watch *watch = &call->target->mmu;

	if (!call->mmu && !watch->lazy && !watch->is_lazy_off &&
	    vm_accel(call->target->vm)->log_writes)
		(void)switch_on(call, NULL);
}

void mmu_word_track(struct mmu_call *call)
{
	const char *how = call->argc ? call->argv[0] : "";
	struct umbra_err err = {.text = "no memory for the tables"};

	if (*how && call->mmu) {
		mmu_error(call, MMU_NOCAP, "the software CPU tells of every write: track=exact");
		return;
	}
	if (*how && !vm_accel(call->target->vm)->log_writes) {
		mmu_error(call, MMU_BACKEND, "this back end logs no written pages");
		return;
	}
	call->target->mmu.is_lazy_off = strcmp(how, "off") == 0;
	if (call->target->mmu.is_lazy_off) {
		mmu_watch_forget_lazy(&call->target->mmu);
	} else if (strcmp(how, "lazy") == 0 || strcmp(how, "trap") == 0) {
		mmu_watch_end_trap(&call->target->mmu);
		if (!switch_on(call, &err) || (*how == 't' && !mmu_trap_switch_on(call, &err))) {
			mmu_error(call, MMU_BACKEND, "%s", err.text);
			return;
		}
	} else if (*how) {
		mmu_error(call, MMU_NOCAP, "track %s is not to be had here; lazy and trap may be",
			  how);
		return;
	}
	tell_state(call);
}
