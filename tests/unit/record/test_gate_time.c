/* Unit tests of the gate's clock and timers. */
#include "umbra/record.h"

#include <criterion/criterion.h>
#include <string.h>

/* A clock that a test sets, and what the timers of a test wrote down. */
struct world {
	struct gate *gate;
	uint64_t now_ns;
	unsigned moves;
	char log[64];
	struct gate_timer *again; /* armed by fire_again */
	uint64_t again_ns;
};

static uint64_t world_now(void *ctx)
{
	return ((struct world *)ctx)->now_ns;
}

static void world_moved(void *ctx)
{
	((struct world *)ctx)->moves++;
}

static struct world *world_new(void)
{
	static struct world w;
	const struct gate_clock clock = {
		.now_ns = world_now, .deadline_moved = world_moved, .ctx = &w};

	memset(&w, 0, sizeof(w));
	cr_assert_eq(gate_create(&w.gate, NULL), 0);
	gate_set_clock(w.gate, &clock);
	return &w;
}

static void log_char(struct world *w, char c)
{
	size_t len = strlen(w->log);

	cr_assert_lt(len, sizeof(w->log) - 1);
	w->log[len] = c;
}

static void fire_a(void *ctx)
{
	log_char(ctx, 'a');
}

static void fire_b(void *ctx)
{
	log_char(ctx, 'b');
}

static void fire_again(void *ctx)
{
	struct world *w = ctx;

	log_char(w, 'r');
	gate_timer_arm(w->again, w->again_ns);
}

static struct gate_timer *timer_new(struct world *w, void (*fn)(void *ctx))
{
	struct gate_timer *timer;

	cr_assert_eq(gate_timer_add(&timer, w->gate, fn, w, NULL), 0);
	return timer;
}

Test(gate_time, now_when_a_clock_is_set_then_it_is_that_clocks)
{
	struct world *w = world_new();

	w->now_ns = 1234;
	cr_assert_eq(gate_now_ns(w->gate), 1234);
	gate_destroy(w->gate);
}

Test(gate_time, epoch_when_not_set_then_the_hosts_else_what_was_set)
{
	struct gate *gate;

	cr_assert_eq(gate_create(&gate, NULL), 0);
	cr_assert_gt(gate_epoch_s(gate), 1600000000);
	gate_set_epoch_s(gate, -5);
	cr_assert_eq(gate_epoch_s(gate), -5);
	gate_destroy(gate);
}

Test(gate_time, timer_when_not_armed_then_there_is_no_deadline)
{
	struct world *w = world_new();

	timer_new(w, fire_a);
	cr_assert_eq(gate_deadline(w->gate), GATE_NEVER);
	w->now_ns = GATE_NEVER - 1;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "");
	gate_destroy(w->gate);
}

Test(gate_time, timers_when_due_then_in_the_order_of_deadline_and_creation)
{
	struct world *w = world_new();
	struct gate_timer *a = timer_new(w, fire_a), *b = timer_new(w, fire_b);

	gate_timer_arm(a, 20);
	gate_timer_arm(b, 10);
	cr_assert_eq(gate_deadline(w->gate), 10);
	w->now_ns = 9;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "");
	w->now_ns = 20;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "ba");
	cr_assert_eq(gate_deadline(w->gate), GATE_NEVER);
	gate_timer_arm(b, 30);
	gate_timer_arm(a, 30);
	w->now_ns = 31;
	gate_run(w->gate);
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "baab");
	gate_destroy(w->gate);
}

Test(gate_time, timer_when_disarmed_or_armed_anew_then_the_last_call_counts)
{
	struct world *w = world_new();
	struct gate_timer *a = timer_new(w, fire_a), *b = timer_new(w, fire_b);

	gate_timer_arm(a, 10);
	gate_timer_arm(b, 10);
	gate_timer_arm(a, GATE_NEVER);
	gate_timer_arm(b, 40);
	w->now_ns = 39;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "");
	w->now_ns = 40;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "b");
	gate_destroy(w->gate);
}

Test(gate_time, timer_when_it_arms_itself_for_the_past_then_it_waits_for_the_next_run)
{
	struct world *w = world_new();

	w->again = timer_new(w, fire_again);
	w->again_ns = 60;
	gate_timer_arm(w->again, 50);
	w->now_ns = 55;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "r");
	cr_assert_eq(gate_deadline(w->gate), 60);
	w->now_ns = 65;
	w->again_ns = 70;
	gate_run(w->gate);
	cr_assert_str_eq(w->log, "rr");
	gate_destroy(w->gate);
}

Test(gate_time, deadline_moved_when_it_gets_earlier_then_and_only_then)
{
	struct world *w = world_new();
	struct gate_timer *a = timer_new(w, fire_a), *b = timer_new(w, fire_b);

	gate_timer_arm(a, 50);
	cr_assert_eq(w->moves, 1);
	gate_timer_arm(b, 60);
	gate_timer_arm(a, 55);
	gate_timer_arm(b, GATE_NEVER);
	cr_assert_eq(w->moves, 1);
	gate_timer_arm(b, 20);
	cr_assert_eq(w->moves, 2);
	gate_destroy(w->gate);
}
