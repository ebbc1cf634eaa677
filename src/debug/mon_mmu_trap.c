/* `mmu track trap`: each store of guest code to a page table that is known, as it happens.  The
 * back end traps writes to those pages and tells of them in order (accel_ops.trap).  Which pages
 * are tables comes from the comparing at stops (mmu_lazy.h): a table made since the last one is
 * trapped from the next stop on, and what became of it until then is told as `track lazy` has it.
 */
#include "mon_mmu.h"

#include <errno.h>

static const struct accel_trap_ops *ops_of(const struct debug_target *target)
{
	return vm_accel(target->vm)->trap;
}

/* The known tables that are in RAM. */
static unsigned get_tables(const struct debug_target *target, gpa_t out_table[ACCEL_TRAP_PAGES])
{
	unsigned count = mmu_lazy_tables(target->mmu.lazy, out_table, ACCEL_TRAP_PAGES);
	unsigned kept = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct mem_region *region = mem_find(vm_mem(target->vm), out_table[i]);

		if (region && region->kind == MEM_RAM)
			out_table[kept++] = out_table[i];
	}
	return kept;
}

static int trap_tables(struct debug_target *target, struct umbra_err *err)
{
	struct mmu_watch *watch = &target->mmu;
	int result;

	watch->trap_count = get_tables(target, watch->trap_table);
	result = ops_of(target)->set(vm_accel_vm(target->vm), watch->trap_table, watch->trap_count,
				     err);
	watch->is_trapping = result == 0;
	return result;
}

/* The self-test is run at the first call. */
static bool is_possible(struct mmu_watch *watch, struct umbra_err *err)
{
	struct accel_vm *vm = vm_accel_vm(watch->vm);
	const struct accel_trap_ops *ops = vm_accel(watch->vm)->trap;

	if (!ops) {
		umbra_err_set(err, ENOTSUP, "this back end cannot trap writes");
		return false;
	}
	if (!watch->has_verdict && ops->probe(vm, &watch->verdict, err) < 0)
		return false;
	watch->has_verdict = true;
	if (!watch->verdict.works)
		umbra_err_set(err, ENOTSUP, "track trap is refused here: %s; lazy works",
			      watch->verdict.why);
	return watch->verdict.works;
}

bool mmu_trap_switch_on(struct mmu_call *call, struct umbra_err *err)
{
	struct mmu_watch *watch = &call->target->mmu;

	if (!is_possible(watch, err) || trap_tables(call->target, err) < 0)
		return false;
	watch->trap_before_count = 0;
	watch->trap_from = watch->trap_seen = mmu_trap_total(call);
	return true;
}

void mmu_trap_stopped(struct debug_target *target)
{
	struct mmu_watch *watch = &target->mmu;

	if (!watch->is_trapping)
		return;
	watch->trap_from = watch->trap_seen;
	watch->trap_seen = ops_of(target)->total(vm_accel_vm(target->vm));
	memcpy(watch->trap_before, watch->trap_table, sizeof(watch->trap_before));
	watch->trap_before_count = watch->trap_count;
	(void)trap_tables(target, NULL);
}

bool mmu_trap_covers(const struct mmu_watch *watch, gpa_t gpa)
{
	for (unsigned i = 0; watch->is_trapping && i < watch->trap_before_count; i++) {
		if (watch->trap_before[i] == (gpa & UMBRA_PAGE_MASK))
			return true;
	}
	return false;
}

/* Records. */

uint64_t mmu_trap_total(const struct mmu_call *call)
{
	const struct accel_trap_ops *ops = ops_of(call->target);

	return ops ? ops->total(vm_accel_vm(call->target->vm)) : 0;
}

static void tell_from(struct mmu_call *call, uint64_t from)
{
	const struct accel_trap_ops *ops = ops_of(call->target);
	struct accel_vm *vm = vm_accel_vm(call->target->vm);
	uint64_t total = ops->total(vm);
	struct accel_trapped write;

	from = u64_max(from, total - u64_min(total, ACCEL_TRAP_RECORDS));
	for (; ops->at(vm, from, &write) && mmu_has_room(call); from++)
		mmu_tell_trapped(&call->record, &write);
}

void mmu_trap_tell_last(struct mmu_call *call, uint64_t count)
{
	uint64_t total = mmu_trap_total(call);

	tell_from(call, total - u64_min(count, total));
}

void mmu_trap_tell_new(struct mmu_call *call)
{
	if (call->target->mmu.is_trapping)
		tell_from(call, call->target->mmu.trap_from);
}

void mmu_trap_tell_verdict(struct mmu_call *call)
{
	const struct mmu_watch *watch = &call->target->mmu;
	struct mon_record *r = &call->record;

	if (!watch->has_verdict)
		return;
	record_string(r, "trap", watch->verdict.works ? "works" : "refused");
	if (!watch->verdict.works) {
		record_string(r, "why", watch->verdict.why);
		return;
	}
	record_string(r, "ad", watch->verdict.keeps_ad ? "kept" : "lost");
	record_string(r, "stale", watch->verdict.is_stale ? "flushed" : "no");
	if (!watch->is_trapping)
		return;
	record_number(r, "trapped", watch->trap_count);
	record_number(r, "writes", mmu_trap_total(call));
}
