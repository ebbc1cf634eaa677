/* Going, stopping and pausing: librspstub's run control on top of the world.
 *
 * An operation that lets the machine go only notes it, for several clients may look at one stop:
 * target_go does it when all of them have been served.  A pause is a stop that nobody is told of;
 * the machine goes on behind it as before, unless a client's command made it a stop.
 * Source: gdbstub/rspstub.h; src/cpu/world.c for stops. */
#include "mon_mmu.h"
#include "target.h"

#include "stop.h"

/* State. */

bool target_is_stopped(const struct debug_target *target)
{
	return world_state(target->world) == WORLD_STOPPED && !world_has_stop(target->world);
}

/* Nothing lets the machine go but what comes from now on. */
static void stay(struct debug_target *target)
{
	target->is_resume_due = false;
	target->is_paused = false;
	target->is_interrupt_due = false;
}

static void resume_all(struct debug_target *target)
{
	struct vcpu_plan plan[ACCEL_MAX_VCPUS] = {{.start = 0}};

	for (unsigned i = 0; i < ACCEL_MAX_VCPUS; i++)
		plan[i].action = PLAN_RUN;
	stay(target);
	world_resume(target->world, plan);
}

void target_go(struct debug_target *target)
{
	bool is_interrupted = target->is_interrupt_due;
	bool is_due = target->is_resume_due, is_paused = target->is_paused;

	stay(target);
	if (target->has_ended || target->is_quitting)
		return;
	if (is_due || is_paused)
		modules_going(target);
	if (is_due)
		world_resume(target->world, target->plan);
	else if (is_paused)
		world_resume_as_before(target->world);
	if (is_interrupted)
		world_stop(target->world, STOP_INTERRUPT);
}

/* Coming and going. */

int target_set_console(struct debug_target *target, bool is_on)
{
	int error = 0;

	if (is_on != target->is_console_on)
		error = vm_watch_console(target->vm, is_on ? target->on_console : NULL,
					 target->tick_ctx);
	if (!error)
		target->is_console_on = is_on;
	return error;
}

static void clear_breaks(struct debug_target *target)
{
	target_set_console(target, false);
	catch_clear(&target->catch);
	world_set_catch(target->world, NULL);
	bp_clear(target->world);
	if (target->agents)
		agents_clear(target->agents);
	if (target->tracer)
		rsp_tracer_leave(target->tracer);
	modules_leave(target);
	scratch_give_back(target);
	mmu_watch_leave(&target->mmu);
}

void target_leave(struct debug_target *target, bool is_resume)
{
	if (target->has_ended || target->is_quitting)
		return;
	if (!target_is_stopped(target)) {
		/* The breakpoint table belongs to a stopped world, and some vCPUs may be held. */
		target->must_clean = true;
		world_stop(target->world, STOP_ATTACH);
		return;
	}
	/* The client had let it go, or it only pauses. */
	is_resume |= target->is_resume_due || target->is_paused;
	clear_breaks(target);
	stay(target);
	if (is_resume)
		resume_all(target);
}

bool target_attach(void *ctx)
{
	struct debug_target *target = ctx;

	target_describe_as(target, target->first_arch);
	if (!target_is_stopped(target)) {
		world_stop(target->world, STOP_ATTACH);
		return false;
	}
	if (target->is_paused)
		target->last_stop = (struct cpu_stop){.kind = STOP_ATTACH};
	stay(target);
	/* The client's `?` is to give the true reason, not a plain SIGTRAP. */
	target->must_retell = target->last_stop.kind != STOP_NONE;
	return !target->must_retell;
}

/* Stops. */

/* What the tables are at this stop, for back ends that show nothing in between. */
static void note_tables(struct debug_target *target)
{
	mmu_seen_note(target);
	mmu_track_stopped(target);
}

/* Each vCPU that goes on forgets what it was caught at; this one is caught now. */
static void note_caught(struct debug_target *target, const struct cpu_stop *stop)
{
	for (unsigned i = 0; i < ACCEL_MAX_VCPUS; i++) {
		if (target->plan[i].action != PLAN_HOLD)
			target->caught[i].is_there = false;
	}
	if (stop->kind == STOP_CATCH)
		target->caught[stop->vcpu] = (struct target_caught){
			.is_there = true, .caught = stop->caught, .pc = stop->addr};
}

bool target_stopped(struct debug_target *target, const struct cpu_stop *stop, bool is_attached)
{
	stay(target);
	if (stop->kind == STOP_PAUSE) {
		target->is_paused = true;
		return true;
	}
	target->last_stop = *stop;
	note_caught(target, stop);
	/* Not at steps: registers that nobody asks for cost a call each. */
	if (stop->kind != STOP_STEP)
		note_tables(target);
	target->must_retell = false;
	modules_stopped(target, stop);
	/* A trace that ended by itself has no use for its points. */
	if (target->tracer && !rsp_tracer_is_running(target->tracer))
		bp_clear_traces(target->world);
	mmu_watch_stopped(&target->mmu, stop);
	if (!target->must_clean)
		return false;
	target->must_clean = false;
	clear_breaks(target);
	if (is_attached)
		return false;
	if (!stop_is_debuggers(stop))
		return false; /* the machine's own stop: its owner decides */
	for (unsigned i = 0; i < ACCEL_MAX_VCPUS; i++)
		target->plan[i] = (struct vcpu_plan){.action = PLAN_RUN};
	target->is_resume_due = true;
	return true;
}

int target_reset(struct debug_target *target, struct umbra_err *err)
{
	int error = vm_reset(target->vm, err);

	if (error == 0) {
		stay(target);
		scratch_forget(&target->scratch);
		modules_reset(target);
		target->last_stop = (struct cpu_stop){.kind = STOP_START};
		mmu_watch_stopped(&target->mmu, &target->last_stop);
	}
	return error;
}

/* The operations. */

static enum plan_action plan_action_of(enum rsp_action action)
{
	switch (action) {
	case RSP_HOLD:
		return PLAN_HOLD;
	case RSP_CONTINUE:
		return PLAN_RUN;
	case RSP_STEP:
		return PLAN_STEP;
	case RSP_RANGE:
		return PLAN_RANGE;
	}
	return PLAN_HOLD;
}

static void op_resume(void *ctx, const struct rsp_plan *plan, unsigned count)
{
	struct debug_target *target = ctx;
	bool is_any = false;

	for (unsigned i = 0; i < ACCEL_MAX_VCPUS; i++)
		target->plan[i] = (struct vcpu_plan){.action = PLAN_HOLD};
	for (unsigned i = 0; i < count && i < ACCEL_MAX_VCPUS; i++) {
		target->plan[i].action = plan_action_of(plan[i].action);
		target->plan[i].start = plan[i].start;
		target->plan[i].end = plan[i].end;
		target->plan[i].gives_fault = plan[i].signal != 0;
		is_any |= plan[i].action != RSP_HOLD;
	}
	/* In non-stop mode all may be held: then the machine stands still. */
	target->is_paused = false;
	target->is_resume_due = is_any;
}

static void op_interrupt(void *ctx)
{
	struct debug_target *target = ctx;

	if (target->is_resume_due || target->is_paused)
		target->is_interrupt_due = true;
	else
		world_stop(target->world, STOP_INTERRUPT);
}

static bool op_pause(void *ctx)
{
	struct debug_target *target = ctx;

	if (target_is_stopped(target))
		return true;
	world_stop(target->world, STOP_PAUSE);
	return false;
}

static bool op_may_control(void *ctx)
{
	const struct debug_target *target = ctx;

	return !target->is_controlled;
}

static void op_detach(void *ctx)
{
	target_leave(ctx, true);
}

static void op_kill(void *ctx)
{
	target_quit(ctx, DEBUG_KILLED_CODE);
}

static int op_restart(void *ctx)
{
	struct debug_target *target = ctx;
	struct umbra_err err = {.text = ""};
	int error = target_reset(target, &err);

	return target_note_refusal(target, -error, &err);
}

const struct rsp_run_ops TARGET_RUN_OPS = {
	.resume = op_resume,
	.interrupt = op_interrupt,
	.detach = op_detach,
	.kill = op_kill,
	.restart = op_restart,
	.pause = op_pause,
	.may_control = op_may_control,
};
