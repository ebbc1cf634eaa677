/* Stop-the-world: one control thread, one thread per vCPU, and three states.
 *
 *	        world_resume                 last running vCPU parks
 *	STOPPED ------------> RUNNING -----> STOPPING ------------> STOPPED
 *	                       world_stop, a vCPU's event, world_post
 *
 * Rules:
 *  1. Whoever finds the world RUNNING and wants it stopped sets STOPPING, notes the cause, sets
 *     REQ_PARK on every vCPU and kicks those that run.  Later causes only latch.
 *  2. A vCPU reads its requests at the top of its loop with no lock held.  It latches its own event
 *     before it stops the world, then parks.
 *  3. The last one in sets STOPPED and notifies.  The control thread never waits for it
 *     in a blocking way.
 *  4. One cause is taken per stop.  An event that is latched and was not taken stops the world
 *     again at the next resume that lets its vCPU go, before any guest instruction; it is dropped
 *     when its breakpoint is gone or the debugger moved the vCPU elsewhere.
 *  5. A resume gives each vCPU a plan.  vCPUs that must step over a breakpoint go first, one by
 *     one, while the others are held.
 *  6. Where the back end lets it, the control thread executes the first instructions after a resume
 *     itself, before the vCPU threads leave park: most of what a debugger asks for is over by then
 *     (vcpu_run_briefly_locked).
 *
 * Races:
 *  (a) A kick that comes before KVM_RUN is entered: REQ_PARK is set before the kick, and run()
 *      clears its immediate-exit flag, then reads the request, then enters (accel.h).
 *  (b) world_post comes under a device lock, where the world's lock may not be taken: it leaves a
 *      word in posted and requests; the first vCPU that serves its request stops the world, and
 *      world_set_stopped_locked looks again in case the world was stopping already.
 *  (c) An event and a Ctrl-C at the same time: the event is taken, for it answers the Ctrl-C too.
 *      Of two events the first is taken, the other stays latched.
 *  (d) A Ctrl-C while the world stops for a halt: it takes the halt's place, for world_take_stop
 *      withdraws a halt that another vCPU has just ended.
 *  (e) A Ctrl-C while the world stops for a reset, after which the machine runs on: the stop
 *carries is_awaited, and whoever resets tells the debugger instead.
 *
 * Source of the idea: bhyve's gdb stub, for latching events until they are reported. */

#include "cpu_internal.h"

#include <errno.h>
#include <stdlib.h>

enum world_state world_state(const struct world *w)
{
	return (enum world_state)atomic_load_explicit(&w->state, memory_order_acquire);
}

void world_set_state_locked(struct world *w, enum world_state state)
{
	atomic_store_explicit(&w->state, (int)state, memory_order_release);
}

void world_set_notify(struct world *w, world_notify_fn fn, void *ctx)
{
	pthread_mutex_lock(&w->lock);
	w->notify = fn;
	w->notify_ctx = ctx;
	pthread_mutex_unlock(&w->lock);
}

void world_notify_locked(struct world *w)
{
	if (w->notify)
		w->notify(w->notify_ctx);
}

static bool has_stop_locked(const struct world *w)
{
	return world_state(w) == WORLD_STOPPED && w->cause.kind != STOP_NONE;
}

bool world_has_stop(struct world *w)
{
	bool has_stop;

	pthread_mutex_lock(&w->lock);
	has_stop = has_stop_locked(w);
	pthread_mutex_unlock(&w->lock);
	return has_stop;
}

/* Stopping. */

/* A breakpoint that was hit while Ctrl-C was on its way says more than the Ctrl-C. */
static void prefer_event_locked(struct world *w)
{
	for (unsigned i = 0; i < w->vcpu_count && w->cause.kind == STOP_INTERRUPT; i++) {
		const struct vcpu *v = &w->vcpu[i];

		if (v->event.kind != STOP_NONE && v->event.kind != STOP_PASS &&
		    v->plan.action != PLAN_HOLD)
			w->cause = v->event;
	}
}

static void world_set_stopped_locked(struct world *w)
{
	uint64_t posted = atomic_exchange_explicit(&w->posted, 0, memory_order_acquire);

	if (posted) {
		w->cause = (struct cpu_stop){.kind = (enum stop_kind)(posted & 0xff),
					     .vcpu = w->cause.vcpu,
					     .code = (int)(posted >> 8)};
	}
	prefer_event_locked(w);
	bp_unplant(w);
	world_set_state_locked(w, WORLD_STOPPED);
	world_notify_locked(w);
}

static void world_request_locked(struct vcpu *v, unsigned req)
{
	atomic_fetch_or_explicit(&v->req, req, memory_order_release);
	if (v->is_open && v->is_running && !pthread_equal(v->thread, pthread_self()))
		v->world->config.accel->kick(v->accel);
}

void world_stop_locked(struct world *w, const struct cpu_stop *cause)
{
	if (world_state(w) != WORLD_RUNNING)
		return;
	w->cause = *cause;
	world_set_state_locked(w, WORLD_STOPPING);
	for (unsigned i = 0; i < w->vcpu_count; i++)
		world_request_locked(&w->vcpu[i], REQ_PARK);
	if (w->running == 0)
		world_set_stopped_locked(w);
}

/* The thread of @v enters park. */
void world_parked_locked(struct world *w, struct vcpu *v)
{
	v->is_released = false;
	v->is_running = false;
	w->running--;
	if (world_state(w) == WORLD_STOPPING && w->running == 0)
		world_set_stopped_locked(w);
}

void world_check_posted_locked(struct world *w)
{
	struct cpu_stop cause = {
		.kind = STOP_EXIT}; /* world_set_stopped_locked puts the real one */

	if (atomic_load_explicit(&w->posted, memory_order_acquire))
		world_stop_locked(w, &cause);
}

void world_stop(struct world *w, enum stop_kind kind)
{
	struct cpu_stop cause = {.kind = kind, .vcpu = w->taken.vcpu};

	pthread_mutex_lock(&w->lock);
	w->is_stop_asked = world_state(w) != WORLD_STOPPED || w->cause.kind != STOP_NONE;
	world_stop_locked(w, &cause);
	/* Race (d): the halt may be withdrawn, and this request must not be lost with it.  A pause
	 * is nothing to tell of. */
	if (w->cause.kind == STOP_HALT || w->cause.kind == STOP_PASS || w->cause.kind == STOP_PAUSE)
		w->cause = cause;
	pthread_mutex_unlock(&w->lock);
}

void world_post(struct world *w, enum stop_kind kind, int code)
{
	unsigned long long none = 0;
	unsigned long long word = (unsigned long long)(unsigned)code << 8 | (unsigned)kind;

	if (!atomic_compare_exchange_strong_explicit(&w->posted, &none, word, memory_order_release,
						     memory_order_relaxed))
		return;
	/* Race (b): is_running may not be read without the lock, so all are asked; a thread that is
	 * parked finds its request overwritten at the next resume.  The caller's own back end looks
	 * at req before it enters the guest again and needs no kick. */
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct vcpu *v = &w->vcpu[i];

		atomic_fetch_or_explicit(&v->req, REQ_PARK, memory_order_release);
		if (!pthread_equal(v->thread, pthread_self()))
			w->config.accel->kick(v->accel);
	}
}

/* Taking the cause. */

/* The debugger is about to be told that @v stands at its pc: going on from there does not report a
 * breakpoint at that very address again. */
static void note_reported_pc(struct world *w, unsigned index)
{
	const struct x86_state *st = vcpu_state(w, index, X86_STATE_GPR | X86_STATE_SREG);

	w->vcpu[index].has_reported_pc = st != NULL;
	w->vcpu[index].is_step_reported = w->taken.kind == STOP_STEP;
	if (st)
		w->vcpu[index].reported_pc = x86_linear_pc(st);
}

static bool is_stepping_locked(const struct world *w)
{
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		enum plan_action action = w->vcpu[i].plan.action;

		if (action == PLAN_STEP || action == PLAN_RANGE)
			return true;
	}
	return false;
}

bool world_take_stop(struct world *w, struct cpu_stop *out_stop)
{
	bool is_new;

	pthread_mutex_lock(&w->lock);
	is_new = has_stop_locked(w);
	if (is_new) {
		struct cpu_stop *event = &w->vcpu[w->cause.vcpu].event;

		w->taken = w->cause;
		w->taken.is_awaited = w->is_stop_asked || is_stepping_locked(w);
		w->is_stop_asked = false;
		if (event->kind == w->cause.kind && event->addr == w->cause.addr)
			event->kind = STOP_NONE;
		w->cause.kind = STOP_NONE;
	}
	pthread_mutex_unlock(&w->lock);
	if (!is_new)
		return false;
	if (w->taken.kind == STOP_HALT && !world_is_halted_for_good(w)) {
		world_resume_as_before(w);
		return false;
	}
	if (w->taken.kind == STOP_HALT)
		world_describe_halt(w, &w->taken);
	vcpu_note_caught(&w->vcpu[w->taken.vcpu], &w->taken);
	/* Nobody is told of a pause: where the vCPU stands is no news that was heard. */
	if (w->taken.kind != STOP_PAUSE)
		note_reported_pc(w, w->taken.vcpu);
	if (w->taken.kind == STOP_PASS) {
		world_resume_as_before(w);
		return false;
	}
	*out_stop = w->taken;
	return true;
}

/* Life cycle. */

unsigned world_vcpu_count(const struct world *w)
{
	return w->vcpu_count;
}

/* The lock is held for a microsecond at a time, and the control thread often comes for it while the
 * last vCPU is still on its way into park: spinning beats sleeping. */
static void world_init_locks(struct world *w)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&w->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&w->opening, NULL);
	pthread_cond_init(&w->started, NULL);
	pthread_cond_init(&w->back, NULL);
}

int world_create(struct world **out_world, const struct world_config *config, struct umbra_err *err)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return umbra_err_set(err, ENOMEM, "out of memory for the vCPUs");
	w->vcpu = calloc(config->vcpus, sizeof(*w->vcpu));
	if (!w->vcpu) {
		world_destroy(w);
		return umbra_err_set(err, ENOMEM, "out of memory for %u vCPUs", config->vcpus);
	}
	w->config = *config;
	w->accel_start = 1;
	world_init_locks(w);
	atomic_init(&w->state, WORLD_STOPPING);
	w->cause.kind = STOP_START;
	*out_world = w;
	return 0;
}

int world_start(struct world *w, const struct x86_state *boot, struct umbra_err *err)
{
	w->boot = *boot;
	pthread_mutex_lock(&w->lock); /* the threads wait until all of them exist */
	w->running = w->config.vcpus;
	for (unsigned i = 0; i < w->config.vcpus; i++) {
		struct vcpu *v = &w->vcpu[i];
		int error;

		v->world = w;
		v->index = i;
		v->plan.action = PLAN_RUN;
		v->is_running = true;
		atomic_init(&v->req, REQ_PARK);
		pthread_cond_init(&v->go, NULL);
		error = pthread_create(&v->thread, NULL, vcpu_thread, v);
		if (error) {
			pthread_mutex_unlock(&w->lock);
			return umbra_err_set(err, error, "cannot start the thread of cpu %u: %s", i,
					     strerror(error));
		}
		w->vcpu_count++;
		w->looping++;
	}
	pthread_mutex_unlock(&w->lock);
	return 0;
}

struct reset_call {
	const struct x86_state *boot;
	struct umbra_err *err;
};

static int reset_vcpu(struct vcpu *v, void *arg)
{
	struct reset_call *call = arg;

	v->event.kind = STOP_NONE; /* under lock: calls run with it */
	v->must_pass_exec = false;
	v->must_pass_catch = false;
	v->has_told_catch = false;
	v->state_parts = 0;
	return vcpu_set_power_up(v, call->boot, call->err);
}

int world_reset(struct world *w, const struct x86_state *boot, struct umbra_err *err)
{
	struct reset_call call = {.boot = boot, .err = err};

	for (unsigned i = 0; i < w->vcpu_count; i++) {
		int error = vcpu_call(&w->vcpu[i], reset_vcpu, &call);

		if (error)
			return error;
		w->vcpu[i].has_reported_pc = false;
		w->vcpu[i].has_met = false;
		w->vcpu[i].is_watched = false;
	}
	note_reported_pc(w, 0);
	return 0;
}

void world_end(struct world *w)
{
	if (!w->vcpu_count || w->is_quitting)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_quitting = true;
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		world_request_locked(&w->vcpu[i], REQ_QUIT);
		vcpu_mail_locked(&w->vcpu[i]);
	}
	pthread_cond_broadcast(&w->started);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->vcpu_count; i++)
		pthread_join(w->vcpu[i].thread, NULL);
}

void world_destroy(struct world *w)
{
	if (!w)
		return;
	world_end(w);
	bp_free(&w->bps);
	free(w->vcpu);
	free(w);
}
