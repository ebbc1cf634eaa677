/* vCPUs at once (-accel soft,parallel): how one of them makes sure that no other uses a translation
 * that the shadow no longer has (I7).
 *
 * A vCPU that executes blocks uses its micro-TLB at any moment, so it is asked, and waited for.
 * Everybody else is at a safe point: in a call of the mmu, asleep, outside run().  Whoever leaves a
 * safe point looks first whether it was asked meanwhile.
 *   1. The asker makes its request visible, then looks who is unsafe; a vCPU becomes unsafe, then
 *      looks for requests (both sequentially consistent): one of the two sees the other.
 *   2. The asker holds the mmu's lock.  A vCPU waits for that lock only at a safe point, so nobody
 *      waits for each other.
 *   3. What a call of the mmu returned may be void by the time the safe point ends: soft_unsafe
 * says so, and the caller asks the mmu again.
 * What has to happen in one piece and cannot by one instruction of the host, a locked operation
 * that crosses a page, is done with all others at safe points, which they do not leave meanwhile.
 * In deterministic mode only the holder of the turn executes, and none of this happens. */
#include "access.h"
#include "run.h"
#include "tlb.h"

#include <sched.h>

void soft_safe(struct soft_cpu *c)
{
	if (c->vm->is_parallel)
		atomic_store(&c->is_unsafe, false);
}

static bool is_other_exclusive(struct soft_cpu *c)
{
	unsigned exclusive = atomic_load(&c->vm->exclusive);

	return exclusive != 0 && exclusive != c->index + 1;
}

/* As in 1.: who begins to run alone looks for the unsafe after it said so, and here it is the other
 * way round. */
static void leave_safe_point(struct soft_cpu *c)
{
	atomic_store(&c->is_unsafe, true);
	while (SOFT_UNLIKELY(is_other_exclusive(c))) {
		atomic_store(&c->is_unsafe, false);
		while (is_other_exclusive(c))
			sched_yield();
		atomic_store(&c->is_unsafe, true);
	}
}

bool soft_unsafe(struct soft_cpu *c)
{
	unsigned wanted;

	if (!c->vm->is_parallel)
		return false;
	leave_safe_point(c);
	wanted = atomic_load(&c->vm->forget_serial);
	if (wanted == atomic_load_explicit(&c->forgot_serial, memory_order_relaxed))
		return false;
	soft_take_forget(c);
	return true;
}

void soft_take_forget(struct soft_cpu *c)
{
	unsigned wanted = atomic_load(&c->vm->forget_serial);

	soft_tlb_forget_all(c);
	atomic_store(&c->forgot_serial, wanted);
}

void soft_forget_everywhere(struct soft_vm *vm)
{
	unsigned wanted = atomic_fetch_add(&vm->forget_serial, 1) + 1;

	for (unsigned i = 0; i < vm->cpu_count; i++) {
		if (vm->cpu[i])
			soft_post(vm->cpu[i], PEND_FLUSH);
	}
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct soft_cpu *c = vm->cpu[i];

		while (c && atomic_load(&c->is_unsafe) &&
		       (int)(atomic_load(&c->forgot_serial) - wanted) < 0)
			sched_yield();
	}
}

void soft_exclusive_begin(struct soft_cpu *c)
{
	struct soft_vm *vm = c->vm;
	unsigned none = 0;

	if (!vm->is_parallel)
		return;
	soft_safe(c); /* another one may have begun */
	while (!atomic_compare_exchange_strong(&vm->exclusive, &none, c->index + 1)) {
		none = 0;
		sched_yield();
	}
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct soft_cpu *other = vm->cpu[i];

		if (!other || other == c)
			continue;
		soft_post(other, PEND_PASS);
		while (atomic_load(&other->is_unsafe))
			sched_yield();
	}
	soft_unsafe(c);
}

void soft_exclusive_end(struct soft_cpu *c)
{
	unsigned own = c->index + 1;

	if (c->vm->is_parallel)
		atomic_compare_exchange_strong(&c->vm->exclusive, &own, 0);
}
