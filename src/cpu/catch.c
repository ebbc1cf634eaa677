/* Guest events that stop the world: what is to be caught, and letting through what was told.
 * Call: control thread, world STOPPED. */

#include "cpu_internal.h"

#include <errno.h>

/* What was caught behind its instruction needs no pass. */
void vcpu_note_caught(struct vcpu *v, const struct cpu_stop *stop)
{
	if (stop->kind != STOP_CATCH || stop->caught.kind == ACCEL_CAUGHT_SYSRET)
		return;
	v->has_told_catch = true;
	v->is_told_fault = stop->caught.is_fault;
	v->told_catch_pc = stop->addr;
}

/* What was caught and told takes effect now, unless it is a fault that the guest is not to have. */
void vcpu_plan_catch(struct vcpu *v)
{
	const struct x86_state *st;

	if (v->plan.action == PLAN_HOLD || !v->has_told_catch)
		return;
	st = vcpu_state(v->world, v->index, X86_STATE_GPR | X86_STATE_SREG);
	v->has_told_catch = false;
	v->must_pass_catch = st && x86_linear_pc(st) == v->told_catch_pc &&
			     (!v->is_told_fault || v->plan.gives_fault);
}

int world_set_catch(struct world *w, const struct accel_catch *catch)
{
	static const struct accel_catch none;

	if (catch && !w->config.accel->can_catch)
		return -ENOTSUP;
	w->catch = catch ? *catch : none;
	w->has_catch = catch && (catch->vectors || catch->has_syscalls || catch->port_count ||
				 catch->msr_count);
	return 0;
}
