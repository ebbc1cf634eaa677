/* Letting the world go: rules 4 to 6 of world.c. */

#include "cpu_internal.h"

/* Whether the debugger took @v away from where its event happened. */
static bool has_moved(const struct vcpu *v)
{
	unsigned parts = X86_STATE_GPR | X86_STATE_SREG;

	if (v->event.kind != STOP_BREAK && v->event.kind != STOP_STEP &&
	    v->event.kind != STOP_NEWS && v->event.kind != STOP_PASS && v->event.kind != STOP_CATCH)
		return false;
	return (v->state_parts & parts) == parts && x86_linear_pc(&v->state) != v->event.addr;
}

/* A new range begins where the vCPU stands; the one that its step ended is behind it. */
static bool is_in_range(const struct vcpu *v, const struct vcpu_plan *plan)
{
	return (v->state_parts & X86_STATE_GPR) && v->state.rip >= plan->start &&
	       v->state.rip < plan->end;
}

/* Whether the latched event of @v is not worth telling any more when it goes on with @plan. */
static bool is_event_stale(const struct world *w, const struct vcpu *v,
			   const struct vcpu_plan *plan)
{
	if (has_moved(v))
		return true;
	if (v->event.kind == STOP_STEP && plan->action == PLAN_RANGE)
		return is_in_range(v, plan);
	if (v->event.kind == STOP_STEP)
		return plan->action != PLAN_STEP;
	return !bp_event_is_valid(&w->bps, &v->event);
}

/* An event that was latched and not told yet, of a vCPU that is to go on: one that is held was not
 * asked for its news.  Stale ones are dropped on the way. */
static struct vcpu *find_latched_locked(struct world *w, const struct vcpu_plan *plan)
{
	struct vcpu *found = NULL;

	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct vcpu *v = &w->vcpu[i];

		if (v->event.kind == STOP_NONE)
			continue;
		if (is_event_stale(w, v, &plan[i]))
			v->event.kind = STOP_NONE;
		else if (!found && plan[i].action != PLAN_HOLD)
			found = v;
	}
	return found;
}

void world_cancel_mmu(struct world *w, uint64_t mmu_hit)
{
	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct cpu_stop *event = &w->vcpu[i].event;

		if (event->kind == STOP_MMU && event->mmu_hit == mmu_hit)
			event->kind = STOP_NONE;
	}
	pthread_mutex_unlock(&w->lock);
}

void world_unpark_locked(struct vcpu *v)
{
	v->is_running = true;
	v->state_parts = 0;
	v->world->running++;
	atomic_store_explicit(&v->req, 0, memory_order_release);
}

static void release_locked(struct vcpu *v)
{
	if (v->world->is_quitting)
		return;
	v->is_released = true;
	world_unpark_locked(v);
	vcpu_mail_locked(v);
}

/* Whether some vCPU waits for its turn to step over a breakpoint. */
bool world_has_step_over_locked(const struct world *w)
{
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		if (w->vcpu[i].must_step_over)
			return true;
	}
	return false;
}

/* Let go the next vCPU that must step over a breakpoint; when none is left, all that have a plan
 * and are still held. */
void world_release_next_locked(struct world *w)
{
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		if (w->vcpu[i].must_step_over) {
			if (!w->vcpu[i].is_running)
				release_locked(&w->vcpu[i]);
			return;
		}
	}
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct vcpu *v = &w->vcpu[i];

		if (v->plan.action != PLAN_HOLD && !v->is_running)
			release_locked(v);
	}
}

/* Whether @v's next instruction lies under a breakpoint that was told already.  The end of a step
 * told of none: it is met, but not by a further step, which would not come off the place. */
static bool must_step_over(struct world *w, struct vcpu *v)
{
	bool is_told = v->has_reported_pc && !(v->is_step_reported && v->plan.action == PLAN_RUN);
	const struct x86_state *st;
	struct x86_walk walk;
	gva_t pc;

	v->over_gpa = ~(gpa_t)0;
	if ((!is_told && !v->has_met) || v->plan.action == PLAN_HOLD || w->bps.count == 0)
		return false;
	st = vcpu_state(w, v->index, X86_STATE_GPR | X86_STATE_SREG);
	if (!st)
		return false;
	pc = x86_linear_pc(st);
	if (!(is_told && pc == v->reported_pc) && !(v->has_met && pc == v->met_pc))
		return false;
	v->has_reported_pc = true;
	v->reported_pc = pc;
	if (vcpu_translate(w, st, pc, &walk))
		v->over_gpa = walk.gpa;
	if (!bp_has_exec_at(&w->bps, pc) && !bp_is_patched(&w->bps, v->over_gpa) &&
	    !bp_has_exec_in(&w->bps, v->over_gpa))
		return false;
	/* A halted one executes nothing until it is woken, perhaps by those that would be held. */
	st = vcpu_state(w, v->index, X86_STATE_RUN);
	return st && st->activity == X86_ACTIVE;
}

static void flush_mmu(struct world *w)
{
	if (w->must_flush_mmu && w->config.accel->mmu_flush)
		w->config.accel->mmu_flush(w->config.accel_vm);
	w->must_flush_mmu = false;
}

/* The vCPU was let go to pass a breakpoint, and stopped again before its thread had begun. */
static bool is_pass_unused(struct world *w, struct vcpu *v)
{
	const struct x86_state *st;

	if (!v->must_pass_exec || v->plan.action == PLAN_HOLD)
		return v->must_pass_exec;
	st = vcpu_state(w, v->index, X86_STATE_GPR | X86_STATE_SREG);
	return st && x86_linear_pc(st) == v->reported_pc;
}

/* A breakpoint at the place that was told: the back end passes it, or it is stepped over. */
static void plan_step_over(struct world *w, struct vcpu *v)
{
	bool has_pass_exec = w->config.accel->caps(w->config.accel_vm)->has_pass_exec;
	bool is_due = must_step_over(w, v);

	v->must_pass_exec = has_pass_exec && (is_due || is_pass_unused(w, v));
	v->must_step_over = is_due && !has_pass_exec;
	if (v->plan.action == PLAN_HOLD)
		return;
	v->must_meet = is_due && !v->has_met && bp_has_trace_at(&w->bps, v->reported_pc);
	v->has_met = is_due;
	v->met_pc = v->reported_pc;
}

static void tell_members(struct world *w)
{
	uint64_t members = 0;

	if (!w->config.accel->vm_resume)
		return;
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		if (w->vcpu[i].plan.action != PLAN_HOLD)
			members |= 1ull << i;
	}
	w->config.accel->vm_resume(w->config.accel_vm, members);
}

/* See vcpu_run_briefly_locked. */
static void begin_run_locked(struct world *w)
{
	if (!w->config.accel->run_briefly || world_has_step_over_locked(w))
		return;
	for (unsigned i = 0; i < w->vcpu_count && world_state(w) == WORLD_RUNNING; i++) {
		if (w->vcpu[i].plan.action != PLAN_HOLD)
			vcpu_run_briefly_locked(&w->vcpu[i]);
	}
}

void world_resume(struct world *w, const struct vcpu_plan *plan)
{
	struct vcpu *latched;

	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < w->vcpu_count; i++)
		w->vcpu[i].plan = plan[i];
	latched = find_latched_locked(w, plan);
	if (latched) {
		w->cause = latched->event;
		world_notify_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
	if (latched)
		return;

	w->halt_delay_ns = 0;
	flush_mmu(w);
	bp_arm(w);
	tell_members(w);
	for (unsigned i = 0; i < w->vcpu_count; i++)
		plan_step_over(w, &w->vcpu[i]);
	for (unsigned i = 0; i < w->vcpu_count; i++)
		vcpu_plan_catch(&w->vcpu[i]);
	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct vcpu *v = &w->vcpu[i];

		if (v->plan.action != PLAN_HOLD && !v->must_step_over)
			v->has_reported_pc = false;
	}
	world_set_state_locked(w, WORLD_RUNNING);
	begin_run_locked(w);
	if (world_state(w) == WORLD_RUNNING) {
		world_release_next_locked(w);
		world_check_posted_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
	if (w->config.on_resume)
		w->config.on_resume(w->config.ctx);
}

void world_resume_as_before(struct world *w)
{
	struct vcpu_plan plan[ACCEL_MAX_VCPUS] = {{.action = PLAN_RUN}};

	for (unsigned i = 0; i < w->vcpu_count; i++)
		plan[i] = w->vcpu[i].plan;
	world_resume(w, plan);
}
