/* The mailbox between the control thread and a parked vCPU thread.
 *
 * A parked thread serves calls and waits to be released.  Both sides spin for a moment before they
 * sleep, because a debugger's next request usually comes within microseconds of the last answer and
 * a wake-up through the scheduler costs more than the request.  Of the vCPUs only the one whose
 * event stopped the world spins: it is asked and stepped next, and more of them would keep the
 * control thread and the debugger from the host's processors.  Spinning is bounded, so an idle
 * machine uses no CPU.  Nobody spins where the control thread can do the work itself. */

#include "cpu_internal.h"

#include <sched.h>

#define SPIN_TURNS 400 /* about 200 us */

/* Wait until *@counter differs from @seen, or for a moment.  No lock is held. */
static void spin_while_equal(const atomic_uint *counter, unsigned seen)
{
	for (unsigned i = 0; i < SPIN_TURNS; i++) {
		if (atomic_load_explicit(counter, memory_order_acquire) != seen)
			return;
		sched_yield();
	}
}

/* Tell a parked thread that something in its fields changed. */
void vcpu_mail_locked(struct vcpu *v)
{
	atomic_fetch_add_explicit(&v->mail, 1, memory_order_release);
	pthread_cond_signal(&v->go);
}

static void serve_call_locked(struct vcpu *v)
{
	v->call.result = v->call.fn(v, v->call.arg);
	v->call.fn = NULL;
	atomic_fetch_add_explicit(&v->calls_done, 1, memory_order_release);
	pthread_cond_signal(&v->world->back);
}

/* The vCPU thread's side: stay until released or until the thread is to end.  Calls run here with
 * the lock held: everyone else who could want it is parked or waits for this very call. */
void vcpu_wait_in_park_locked(struct vcpu *v)
{
	struct world *w = v->world;

	while (!v->is_released && !w->is_quitting) {
		unsigned seen = atomic_load_explicit(&v->mail, memory_order_relaxed);
		bool is_next = w->cause.vcpu == v->index && !w->config.accel->run_briefly;

		if (v->call.fn) {
			serve_call_locked(v);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		if (is_next)
			spin_while_equal(&v->mail, seen);
		pthread_mutex_lock(&w->lock);
		if (atomic_load_explicit(&v->mail, memory_order_relaxed) == seen)
			pthread_cond_wait(&v->go, &w->lock);
	}
}

static int call_here(struct vcpu *v, int (*fn)(struct vcpu *v, void *arg), void *arg)
{
	int result;

	pthread_mutex_lock(&v->world->lock);
	result = fn(v, arg);
	pthread_mutex_unlock(&v->world->lock);
	return result;
}

/* Run @fn for the parked @v, on its thread unless the back end does not mind.
 * Call: control thread, world STOPPED. */
int vcpu_call(struct vcpu *v, int (*fn)(struct vcpu *v, void *arg), void *arg)
{
	struct world *w = v->world;
	unsigned seen = atomic_load_explicit(&v->calls_done, memory_order_relaxed);
	int result;

	if (w->config.accel->run_briefly)
		return call_here(v, fn, arg);
	pthread_mutex_lock(&w->lock);
	v->call.fn = fn;
	v->call.arg = arg;
	vcpu_mail_locked(v);
	pthread_mutex_unlock(&w->lock);
	spin_while_equal(&v->calls_done, seen);
	pthread_mutex_lock(&w->lock);
	while (v->call.fn)
		pthread_cond_wait(&w->back, &w->lock);
	result = v->call.result;
	pthread_mutex_unlock(&w->lock);
	return result;
}
