/* The gate as long as nothing is recorded: the clock of whoever counts guest time, or the host's
 * from the machine's creation on, the host's input as it comes, the kernel's random numbers.  No
 * other file of the machine may ask the host for any of these, so that a recording of the gate is a
 * recording of the machine. */
#include "umbra/record.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_S 1000000000ull

struct gate_timer {
	struct gate *gate;
	struct gate_timer *next; /* [const] in order of creation */
	void (*fn)(void *ctx);	 /* [const] */
	void *ctx;
	uint64_t deadline_ns; /* [lock] */
};

/* Lock order: a device's, then this one; nothing is called with it held. */
struct gate {
	uint64_t start_ns; /* [const] host time at creation */
	int64_t epoch_s;   /* [const] once the machine is built, like the next two */
	struct gate_clock clock;
	struct gate_timer *first;
	struct lock lock;
	atomic_ullong deadline_ns; /* the earliest of the timers'; written with the lock held */
};

static uint64_t host_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int64_t host_epoch_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

int gate_create(struct gate **out_gate, struct umbra_err *err)
{
	struct gate *gate = calloc(1, sizeof(*gate));
	int error = gate ? lock_init(&gate->lock) : -ENOMEM;

	if (error < 0) {
		free(gate);
		return umbra_err_set(err, -error, "no memory for the record gate");
	}
	gate->start_ns = host_now_ns();
	gate->epoch_s = host_epoch_s();
	gate->deadline_ns = GATE_NEVER;
	*out_gate = gate;
	return 0;
}

void gate_destroy(struct gate *gate)
{
	if (!gate)
		return;
	while (gate->first) {
		struct gate_timer *timer = gate->first;

		gate->first = timer->next;
		free(timer);
	}
	lock_end(&gate->lock);
	free(gate);
}

/* Time. */

uint64_t gate_now_ns(struct gate *gate)
{
	if (gate->clock.now_ns)
		return gate->clock.now_ns(gate->clock.ctx);
	return gate_host_ns(gate);
}

uint64_t gate_host_ns(const struct gate *gate)
{
	return host_now_ns() - gate->start_ns;
}

void gate_set_clock(struct gate *gate, const struct gate_clock *clock)
{
	gate->clock = *clock;
}

int64_t gate_epoch_s(const struct gate *gate)
{
	return gate->epoch_s;
}

void gate_set_epoch_s(struct gate *gate, int64_t epoch_s)
{
	gate->epoch_s = epoch_s;
}

/* Timers. */

int gate_timer_add(struct gate_timer **out_timer, struct gate *gate, void (*fn)(void *ctx),
		   void *ctx, struct umbra_err *err)
{
	struct gate_timer *timer = malloc(sizeof(*timer));
	struct gate_timer **end = &gate->first;

	if (!timer)
		return umbra_err_set(err, ENOMEM, "no memory for a timer");
	*timer = (struct gate_timer){.gate = gate, .fn = fn, .ctx = ctx, .deadline_ns = GATE_NEVER};
	while (*end)
		end = &(*end)->next;
	*end = timer;
	*out_timer = timer;
	return 0;
}

/* The first of those with the earliest deadline; NULL when none is armed. */
static struct gate_timer *earliest_locked(const struct gate *gate)
{
	struct gate_timer *found = NULL;

	for (struct gate_timer *timer = gate->first; timer; timer = timer->next) {
		uint64_t before = found ? found->deadline_ns : GATE_NEVER;

		if (timer->deadline_ns < before)
			found = timer;
	}
	return found;
}

/* True when the earliest deadline is earlier now. */
static bool deadline_update_locked(struct gate *gate)
{
	const struct gate_timer *timer = earliest_locked(gate);
	uint64_t old = atomic_load_explicit(&gate->deadline_ns, memory_order_relaxed);
	uint64_t now = timer ? timer->deadline_ns : GATE_NEVER;

	atomic_store_explicit(&gate->deadline_ns, now, memory_order_relaxed);
	return now < old;
}

void gate_timer_arm(struct gate_timer *timer, uint64_t deadline_ns)
{
	struct gate *gate = timer->gate;
	bool has_moved;

	lock_take(&gate->lock);
	timer->deadline_ns = deadline_ns;
	has_moved = deadline_update_locked(gate);
	lock_drop(&gate->lock);
	if (has_moved && gate->clock.deadline_moved)
		gate->clock.deadline_moved(gate->clock.ctx);
}

uint64_t gate_deadline(const struct gate *gate)
{
	return atomic_load_explicit(&gate->deadline_ns, memory_order_relaxed);
}

/* The next timer that is due at @now_ns, which is no longer armed then; NULL when there is none. */
static struct gate_timer *take_due(struct gate *gate, uint64_t now_ns)
{
	struct gate_timer *timer;

	lock_take(&gate->lock);
	timer = earliest_locked(gate);
	if (timer && timer->deadline_ns > now_ns)
		timer = NULL;
	if (timer)
		timer->deadline_ns = GATE_NEVER;
	deadline_update_locked(gate);
	lock_drop(&gate->lock);
	return timer;
}

/* One look at the clock: a timer that arms itself for the time it is called at would go on for
 * ever. */
void gate_run(struct gate *gate)
{
	uint64_t now_ns = gate_now_ns(gate);
	struct gate_timer *timer;

	while ((timer = take_due(gate, now_ns)) != NULL)
		timer->fn(timer->ctx);
}

/* Input and chance. */

size_t gate_input(struct gate *gate, unsigned source, uint8_t *data, size_t len)
{
	(void)gate;
	(void)source;
	(void)data;
	return len;
}

void gate_random(struct gate *gate, void *out, size_t len)
{
	uint8_t *at = out;

	(void)gate;
	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		/* Without flags only a signal can interrupt it (getrandom(2)), and a short count is
		 * gone on with. */
		if (got < 0)
			continue;
		at += got;
		len -= (size_t)got;
	}
}
