/* Timers of the event loop, and everything else in the loop that reads the host's clock.
 * A machine has a handful of timers, so a sorted list is the right size. */
#include "loop_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

static uint64_t timespec_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

uint64_t loop_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_ns(&ts);
}

struct loop_timer *loop_timer_add(struct loop *loop, loop_timer_fn fn, void *ctx)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->loop = loop;
	timer->fn = fn;
	timer->ctx = ctx;
	timer->next = loop->timers;
	loop->timers = timer;
	return timer;
}

void loop_timer_disarm(struct loop_timer *timer)
{
	struct loop_timer **at = &timer->loop->armed;

	if (!timer->is_armed)
		return;
	while (*at != timer)
		at = &(*at)->next_armed;
	*at = timer->next_armed;
	timer->is_armed = false;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ns)
{
	struct loop_timer **at = &timer->loop->armed;
	uint64_t now = loop_clock_ns();

	loop_timer_disarm(timer);
	/* A delay that leads past the end of time means never; the list may hold it all the same.
	 */
	timer->deadline_ns = delay_ns < LOOP_NO_DEADLINE - now ? now + delay_ns : LOOP_NO_DEADLINE;
	while (*at && (*at)->deadline_ns <= timer->deadline_ns)
		at = &(*at)->next_armed;
	timer->next_armed = *at;
	*at = timer;
	timer->is_armed = true;
}

void loop_timer_del(struct loop_timer *timer)
{
	struct loop_timer **at;

	if (!timer)
		return;
	loop_timer_disarm(timer);
	at = &timer->loop->timers;
	while (*at != timer)
		at = &(*at)->next;
	*at = timer->next;
	free(timer);
}

uint64_t loop_timers_next(const struct loop *loop)
{
	return loop->armed ? loop->armed->deadline_ns : LOOP_NO_DEADLINE;
}

/* The list is read anew after each call, since a timer may arm, disarm or delete any other and
 * itself.  What is armed meanwhile waits for the next pass: its deadline is compared with the time
 * at which this pass began, so a timer that rearms itself cannot keep descriptors waiting. */
void loop_timers_run(struct loop *loop)
{
	uint64_t now = loop_clock_ns();

	while (loop->armed && loop->armed->deadline_ns < now && !loop_is_quitting(loop)) {
		struct loop_timer *timer = loop->armed;

		loop_timer_disarm(timer);
		timer->fn(timer->ctx);
	}
}

void loop_timers_free(struct loop *loop)
{
	struct loop_timer *timer = loop->timers;

	while (timer) {
		struct loop_timer *next = timer->next;

		free(timer);
		timer = next;
	}
	loop->timers = NULL;
	loop->armed = NULL;
}

bool loop_wait_fd(int fd, unsigned events, uint64_t *inout_budget_ns)
{
	struct pollfd pfd = {.fd = fd};
	uint64_t start = loop_clock_ns();
	uint64_t budget = *inout_budget_ns;
	uint64_t used = 0;
	int n = 0;

	if (events & LOOP_READ)
		pfd.events |= POLLIN;
	if (events & LOOP_WRITE)
		pfd.events |= POLLOUT;
	do {
		uint64_t left = budget - used;
		struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_S),
				      .tv_nsec = (long)(left % NS_PER_S)};

		n = ppoll(&pfd, 1, &ts, NULL);
		used = loop_clock_ns() - start;
	} while (n < 0 && errno == EINTR && used < budget);
	*inout_budget_ns = used < budget ? budget - used : 0;
	return n > 0;
}

/* The kernel's encoding of "CPU clock of one thread" (posix-timers: inverted id, PERTHREAD |
 * SCHED); pthread_getcpuclockid gives the same from a pthread_t, which we do not have. */
uint64_t thread_cpu_ns(int tid)
{
	struct timespec ts;
	clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | 6u);

	if (tid <= 0 || clock_gettime(clock, &ts) != 0)
		return 0;
	return timespec_ns(&ts);
}
