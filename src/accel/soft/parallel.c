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
 * says so, and the caller asks the mmu again. In deterministic mode only the holder of the turn
 * executes, and none of this happens. */
#include "run.h"

#include <sched.h>

void soft_safe(struct soft_cpu *c)
{
	if (c->vm->is_parallel)
		atomic_store(&c->is_unsafe, false);
}

bool soft_unsafe(struct soft_cpu *c)
{
	unsigned wanted;

	if (!c->vm->is_parallel)
		return false;
	atomic_store(&c->is_unsafe, true);
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
