/* The thread of one vCPU: set-up, the loop round the back end's run(), and what each exit means.
 * It must not decide anything about other vCPUs except through world.c. */

#include "cpu_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPCODE_INT3 0xcc

/* Events. */

/* Keep an event until it is taken, and stop the world for it. */
static void vcpu_latch(struct vcpu *v, struct cpu_stop *stop)
{
	struct world *w = v->world;

	stop->vcpu = v->index;
	pthread_mutex_lock(&w->lock);
	v->event = *stop;
	atomic_fetch_or_explicit(&v->req, REQ_PARK, memory_order_release);
	world_stop_locked(w, stop);
	pthread_mutex_unlock(&w->lock);
}

static void latch_kind(struct vcpu *v, enum stop_kind kind, gva_t pc)
{
	struct cpu_stop stop = {.kind = kind, .addr = pc};

	vcpu_latch(v, &stop);
}

static void latch_shutdown(struct vcpu *v, const struct accel_exit *exit)
{
	struct cpu_stop stop = {.kind = STOP_SHUTDOWN};
	struct x86_state *st = &v->state;

	vcpu_state_fetch(v, X86_STATE_GPR | X86_STATE_SREG);
	stop.addr = x86_linear_pc(st);
	snprintf(stop.text, sizeof(stop.text),
		 "triple fault at rip %#llx (cs %#x, %s, cr3 %#llx, idt %#llx limit %#x)%s%s",
		 (unsigned long long)st->rip, st->seg[X86_CS].selector,
		 x86_mode_name(x86_mode_of(st)), (unsigned long long)st->cr3,
		 (unsigned long long)st->idtr.base, st->idtr.limit, exit->text[0] ? ": " : "",
		 exit->text);
	vcpu_latch(v, &stop);
}

static void latch_failed(struct vcpu *v, const struct accel_exit *exit)
{
	struct cpu_stop stop = {.kind = STOP_FAILED, .addr = exit->pc};

	snprintf(stop.text, sizeof(stop.text), "%s", exit->text);
	vcpu_latch(v, &stop);
}

static void latch_catch(struct vcpu *v, const struct accel_exit *exit)
{
	struct cpu_stop stop = {.kind = STOP_CATCH, .addr = exit->pc, .caught = exit->caught};

	vcpu_latch(v, &stop);
}

static void latch_mmu(struct vcpu *v, const struct accel_exit *exit)
{
	struct cpu_stop stop = {.kind = STOP_MMU, .addr = exit->pc, .mmu_hit = exit->mmu_hit};

	vcpu_latch(v, &stop);
}

/* Exits. */

/* The instruction under the breakpoint is done: put planted bytes back.  The next vCPU that must
 * step over one takes its turn while this one waits as well, for its byte is lifted then; after the
 * last, all go. */
static void finish_step_over(struct vcpu *v)
{
	struct world *w = v->world;

	if (v->over_gpa != ~(gpa_t)0)
		bp_replant(w);
	v->is_stepping_over = false;
	v->has_met = false;
	pthread_mutex_lock(&w->lock);
	v->must_step_over = false;
	v->has_reported_pc = false;
	if (world_state(w) == WORLD_RUNNING && v->plan.action != PLAN_STEP) {
		if (world_has_step_over_locked(w))
			atomic_fetch_or_explicit(&v->req, REQ_YIELD, memory_order_release);
		else
			world_release_next_locked(w);
	}
	pthread_mutex_unlock(&w->lock);
}

/* One instruction was executed for a step. */
static void vcpu_stepped(struct vcpu *v, const struct accel_exit *exit)
{
	if (v->is_stepping_over)
		finish_step_over(v);
	if (v->is_watched)
		v->is_watched = v->world->bp_hook->stepped(v->world->bp_hook->ctx, v);
	switch (v->plan.action) {
	case PLAN_STEP:
		latch_kind(v, STOP_STEP, exit->pc);
		return;
	case PLAN_RANGE:
		if (exit->rip < v->plan.start || exit->rip >= v->plan.end)
			latch_kind(v, STOP_STEP, exit->pc);
		return;
	case PLAN_RUN:
	case PLAN_HOLD:
		return;
	}
}

/* Is this exit one of our breakpoints?  Then it is latched, or passed. */
static bool vcpu_hit_exec(struct vcpu *v, gva_t pc)
{
	struct cpu_stop stop;

	vcpu_state_fetch(v, X86_STATE_GPR | X86_STATE_SREG);
	if (!judge_exec(v, pc, &stop))
		return false;
	if (stop.kind == STOP_NONE)
		judge_pass(v, pc);
	else
		vcpu_latch(v, &stop);
	return true;
}

static bool is_exec_exit(const struct vcpu *v, const struct accel_exit *exit)
{
	bool is_exec = false;

	for (unsigned i = 0; i < exit->hit_count; i++)
		is_exec |= v->debug.point[exit->hit[i]].kind == ACCEL_POINT_EXEC;
	return is_exec;
}

/* True when there is something to tell. */
static bool vcpu_hit_point(struct vcpu *v, const struct accel_exit *exit)
{
	struct cpu_stop stop;

	if (!judge_points(v, exit, &stop))
		return false;
	if (stop.kind != STOP_NONE)
		vcpu_latch(v, &stop);
	else if (is_exec_exit(v, exit))
		judge_pass(v, exit->pc);
	return stop.kind != STOP_NONE;
}

static void vcpu_debug_exit(struct vcpu *v, const struct accel_exit *exit)
{
	const struct accel_ops *ops = v->world->config.accel;
	bool is_reported = false;

	if (exit->debug & ACCEL_DEBUG_POINT) {
		if ((exit->debug & ACCEL_DEBUG_STEP) && v->is_stepping_over)
			finish_step_over(v);
		is_reported = vcpu_hit_point(v, exit);
	}
	if ((exit->debug & ACCEL_DEBUG_CATCH) && !is_reported) {
		latch_catch(v, exit);
		is_reported = true;
	}
	if ((exit->debug & ACCEL_DEBUG_MMU) && !is_reported) {
		latch_mmu(v, exit);
		is_reported = true;
	}
	if (exit->debug & ACCEL_DEBUG_TRAP) {
		/* Our byte, or the guest's own INT3, which the guest is to see. */
		if (!vcpu_hit_exec(v, exit->pc))
			ops->reflect(v->accel, 3, 0);
		return;
	}
	if (exit->debug & ACCEL_DEBUG_GUEST)
		ops->reflect(v->accel, 1, exit->guest_dr6);
	if ((exit->debug & ACCEL_DEBUG_STEP) && !is_reported)
		vcpu_stepped(v, exit);
}

/* On a KVM that emulates, INT3 is an instruction that it cannot: the guest's own is given to the
 * guest here.  vcpu_hit_exec has fetched the registers. */
static bool reflect_guest_int3(struct vcpu *v, gva_t pc)
{
	struct x86_walk walk;
	uint8_t byte;

	return vcpu_translate(v->world, &v->state, pc, &walk) &&
	       mem_peek(v->world->config.mem, walk.gpa, &byte, 1) == 1 && byte == OPCODE_INT3 &&
	       v->world->config.accel->reflect(v->accel, 3, 0) == 0;
}

static void vcpu_failed_exit(struct vcpu *v, const struct accel_exit *exit)
{
	if (exit->is_emulation && (vcpu_hit_exec(v, exit->pc) || reflect_guest_int3(v, exit->pc)))
		return;
	latch_failed(v, exit);
}

static void vcpu_handle_exit(struct vcpu *v, const struct accel_exit *exit)
{
	switch (exit->kind) {
	case ACCEL_EXIT_KICKED:
		return;
	case ACCEL_EXIT_DEBUG:
		vcpu_debug_exit(v, exit);
		return;
	case ACCEL_EXIT_HALT:
		/* Nothing wakes a CPU whose interrupt controller is not in the back end. */
		atomic_fetch_or_explicit(&v->req, REQ_HALT_CHECK, memory_order_release);
		return;
	case ACCEL_EXIT_SHUTDOWN:
		latch_shutdown(v, exit);
		return;
	case ACCEL_EXIT_FAILED:
		vcpu_failed_exit(v, exit);
		return;
	}
}

/* The loop. */

static void vcpu_set_debug(struct vcpu *v)
{
	struct accel_debug debug;

	bp_debug_for(&v->world->bps, v, &debug);
	if (bp_debug_is_equal(&debug, &v->debug) && v->debug_serial == v->world->bps.point_serial)
		return;
	if (v->world->config.accel->debug_set(v->accel, &debug) != 0)
		return;
	v->debug = debug;
	v->debug_serial = v->world->bps.point_serial;
}

/* The run begins at tracepoints that nobody has met: the vCPU came here by a step, say. */
static void vcpu_meet_here(struct vcpu *v)
{
	v->must_meet = false;
	vcpu_state_fetch(v, X86_STATE_GPR | X86_STATE_SREG);
	judge_traces(v, x86_linear_pc(&v->state));
}

/* A run that a back end with has_pass_exec left for a request may not have executed what it was to
 * pass; others clear has_met behind the step.  Where the vCPU stands does not say so: it may have
 * gone round a loop. */
static void vcpu_follow_met(struct vcpu *v, const struct accel_exit *exit)
{
	if (!v->has_met || v->is_stepping_over)
		return;
	v->has_met = exit->has_pass_left;
}

static void vcpu_run_once(struct vcpu *v, accel_run_fn run)
{
	struct accel_exit exit = {.kind = ACCEL_EXIT_KICKED};

	if (v->must_meet)
		vcpu_meet_here(v);
	vcpu_set_debug(v);
	v->is_judged = false;
	run(v->accel, &exit);
	v->state_parts = 0;
	vcpu_follow_met(v, &exit);
	vcpu_handle_exit(v, &exit);
}

/* Leaving park: take up the plan. */
static void vcpu_begin_run(struct vcpu *v)
{
	v->state_parts = 0;
	v->is_stepping_over = v->must_step_over;
	if (v->is_stepping_over)
		bp_lift(v->world, v->over_gpa);
}

/* True when the vCPU is to park. */
static bool vcpu_take_requests_locked(struct vcpu *v)
{
	struct world *w = v->world;
	unsigned req;

	world_check_posted_locked(w);
	if (v->event.kind != STOP_NONE)
		world_stop_locked(w, &v->event);
	req = atomic_fetch_and_explicit(&v->req, REQ_QUIT, memory_order_relaxed);
	if (world_state(w) == WORLD_RUNNING && (req & REQ_HALT_CHECK))
		vcpu_halt_check_locked(v);
	return world_state(w) != WORLD_RUNNING || (req & REQ_YIELD);
}

static void vcpu_come_in_locked(struct vcpu *v)
{
	vcpu_state_fetch(v, X86_STATE_GPR | X86_STATE_SREG | v->wanted_parts);
	v->wanted_parts = 0;
	world_parked_locked(v->world, v);
}

/* Wait until released, as STOPPED or held. */
static void vcpu_park_locked(struct vcpu *v)
{
	struct world *w = v->world;

	vcpu_come_in_locked(v);
	if (world_state(w) == WORLD_RUNNING)
		world_release_next_locked(w); /* REQ_YIELD: whose turn it is now */
	vcpu_wait_in_park_locked(v);
	vcpu_begin_run(v);
}

static void vcpu_service(struct vcpu *v)
{
	pthread_mutex_lock(&v->world->lock);
	if (vcpu_take_requests_locked(v))
		vcpu_park_locked(v);
	pthread_mutex_unlock(&v->world->lock);
}

static void vcpu_loop(struct vcpu *v)
{
	for (;;) {
		unsigned req = atomic_load_explicit(&v->req, memory_order_acquire);

		if (req & REQ_QUIT)
			return;
		if (req)
			vcpu_service(v);
		else
			vcpu_run_once(v, v->world->config.accel->run);
	}
}

/* The first instructions after a resume. */

/* A debugger that steps, or goes from breakpoint to breakpoint, waits for a few instructions at a
 * time.  To have another thread execute them takes two wake-ups, each longer than most of what they
 * do.  So the control thread begins the run itself, where the back end lets it, while the threads
 * of all vCPUs still sleep in park; what does not stop at once goes on on those.  Called with
 * @v parked and the world RUNNING; so it is afterwards, or it is STOPPED. */
void vcpu_run_briefly_locked(struct vcpu *v)
{
	struct world *w = v->world;

	if (!v->is_open)
		return;
	world_unpark_locked(v);
	pthread_mutex_unlock(&w->lock);
	vcpu_begin_run(v);
	vcpu_run_once(v, w->config.accel->run_briefly);
	pthread_mutex_lock(&w->lock);
	vcpu_take_requests_locked(v); /* it goes back to park in any case */
	vcpu_come_in_locked(v);
}

/* Set-up. */

/* Power-up state: @boot for the bootstrap processor, wait-for-SIPI for the others
 * (SDM 3A 9.4.3). */
int vcpu_set_power_up(struct vcpu *v, const struct x86_state *boot, struct umbra_err *err)
{
	const struct accel_ops *ops = v->world->config.accel;
	struct x86_state st = *boot;
	int error = ops->vcpu_reset(v->accel, err);

	if (error)
		return error;
	if (v->index != 0) {
		x86_state_reset(&st);
		st.apic_base &= ~(1ull << 8); /* not the BSP (SDM 3A 11.4.4) */
		st.activity = X86_WAIT_FOR_SIPI;
	}
	return ops->state_set(v->accel, &st, X86_STATE_ALL, err);
}

static int vcpu_open(struct vcpu *v, struct umbra_err *err)
{
	struct world *w = v->world;
	const struct accel_vcpu_config config = {
		.index = v->index, .req = &v->req, .thread = v->thread};
	struct accel_vcpu *accel;
	int error = w->config.accel->vcpu_open(&accel, w->config.accel_vm, &config, err);

	if (error)
		return error;
	pthread_mutex_lock(&w->lock);
	v->accel = accel;
	v->is_open = true;
	pthread_mutex_unlock(&w->lock);
	return vcpu_set_power_up(v, &w->boot, err);
}

/* The machine's slow half, once, on the first vCPU's thread; the others wait for it. */
static int start_accel(struct vcpu *v, struct umbra_err *err)
{
	struct world *w = v->world;
	int result;

	pthread_mutex_lock(&w->lock); /* world_start holds it until every thread exists */
	if (v->index == 0) {
		pthread_mutex_unlock(&w->lock);
		result = w->config.accel->vm_start(w->config.accel_vm, err);
		pthread_mutex_lock(&w->lock);
		w->accel_start = result;
		pthread_cond_broadcast(&w->started);
	}
	while (w->accel_start == 1 && !w->is_quitting)
		pthread_cond_wait(&w->started, &w->lock);
	result = w->accel_start;
	pthread_mutex_unlock(&w->lock);
	return result;
}

/* A vCPU that could not be set up has no back end: it tells why and waits for the end. */
static void vcpu_set_up(struct vcpu *v)
{
	struct world *w = v->world;
	struct umbra_err err = {.text = ""};
	int error = start_accel(v, &err);

	if (!error) {
		/* A back end's vCPU that gets its state may look at the others. */
		pthread_mutex_lock(&w->opening);
		error = vcpu_open(v, &err);
		pthread_mutex_unlock(&w->opening);
	}
	if (!error)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->cause.kind == STOP_START) {
		w->cause = (struct cpu_stop){.kind = STOP_HOST_ERROR, .vcpu = v->index};
		snprintf(w->cause.text, sizeof(w->cause.text), "%s", err.text);
	}
	pthread_mutex_unlock(&w->lock);
}

/* No back end is closed while another vCPU may still execute: a device of its could kick this one
 * (world_post, which takes no lock). */
static void wait_for_all_loops(struct world *w)
{
	pthread_mutex_lock(&w->lock);
	w->looping--;
	pthread_cond_broadcast(&w->started);
	while (w->looping)
		pthread_cond_wait(&w->started, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	atomic_store_explicit(&v->tid, (int)syscall(SYS_gettid), memory_order_relaxed);
	vcpu_set_up(v);
	vcpu_loop(v);
	wait_for_all_loops(v->world);
	if (v->accel)
		v->world->config.accel->vcpu_close(v->accel);
	return NULL;
}
