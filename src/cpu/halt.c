/* Finding out that nothing will ever happen again.
 *
 * With an interrupt controller inside the back end, HLT does not come back: the vCPU sleeps in
 * there.  So the control thread looks now and then: a vCPU that used no CPU time since the last
 * look is asked whether it is halted for good.  The looks get rarer while nothing changes, so an
 * idle guest costs a few microseconds every two seconds. */

#include "cpu_internal.h"

#include "umbra/loop.h"

#include <stdio.h>

#define BUSY_LOOK_NS 10000000ull
#define LAST_LOOK_NS 2000000000ull
/* A look itself costs a halted vCPU this much CPU time at most. */
#define LOOK_COST_NS 300000ull

/* True when the vCPU was asleep, as far as its CPU time tells. */
static bool was_asleep(struct vcpu *v)
{
	uint64_t now = thread_cpu_ns(atomic_load_explicit(&v->tid, memory_order_relaxed));
	uint64_t used = now - v->seen_cpu_ns;

	v->seen_cpu_ns = now;
	return used < LOOK_COST_NS;
}

uint64_t world_watch_halts(struct world *w)
{
	bool is_quiet = true;

	for (unsigned i = 0; i < w->vcpu_count; i++)
		is_quiet &= was_asleep(&w->vcpu[i]);
	if (!is_quiet || w->halt_delay_ns == 0) {
		w->halt_delay_ns = w->halt_delay_ns == 0 ? WORLD_FIRST_LOOK_NS : BUSY_LOOK_NS;
		return w->halt_delay_ns;
	}
	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		struct vcpu *v = &w->vcpu[i];

		v->is_halted_for_good = false;
		atomic_fetch_or_explicit(&v->req, REQ_HALT_CHECK, memory_order_release);
		if (v->is_open && v->is_running)
			w->config.accel->kick(v->accel);
	}
	pthread_mutex_unlock(&w->lock);
	w->halt_delay_ns = u64_min(2 * w->halt_delay_ns, LAST_LOOK_NS);
	return w->halt_delay_ns;
}

/* The vCPU's thread: answer the look.  The last one to say yes stops the world; world_take_stop
 * asks once more when all are parked, because one may have woken another in between. */
void vcpu_halt_check_locked(struct vcpu *v)
{
	struct world *w = v->world;
	struct cpu_stop stop = {.kind = STOP_HALT};

	v->is_halted_for_good = w->config.accel->is_halted_for_good(v->accel);
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		if (!w->vcpu[i].is_halted_for_good)
			return;
	}
	world_stop_locked(w, &stop);
}

static int halted_call(struct vcpu *v, void *arg)
{
	(void)arg;
	return v->accel && v->world->config.accel->is_halted_for_good(v->accel);
}

/* Call: control thread, world STOPPED. */
bool world_is_halted_for_good(struct world *w)
{
	for (unsigned i = 0; i < w->vcpu_count; i++) {
		if (!vcpu_call(&w->vcpu[i], halted_call, NULL))
			return false;
	}
	return true;
}

/* The first one that executed a HLT: others may never have been started.  Call: control thread,
 * world STOPPED. */
void world_describe_halt(struct world *w, struct cpu_stop *stop)
{
	unsigned parts = X86_STATE_GPR | X86_STATE_SREG | X86_STATE_RUN;
	int len = snprintf(stop->text, sizeof(stop->text),
			   "every CPU is halted and no interrupt can end it");

	for (unsigned i = 0; i < w->vcpu_count; i++) {
		const struct x86_state *st = vcpu_state(w, i, parts);

		if (!st || st->activity == X86_WAIT_FOR_SIPI)
			continue;
		stop->vcpu = i;
		snprintf(stop->text + len, sizeof(stop->text) - (size_t)len,
			 " (cpu %u: hlt before %#llx)", i, (unsigned long long)st->rip);
		return;
	}
}
