/* Unit tests of the event loop: descriptors, timers, wakers, quitting and what callbacks may do to
 * the loop that calls them.  Nothing waits longer than a timer of a few milliseconds. */
#include "umbra/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull

struct seen {
	struct loop *loop;
	unsigned calls;
	unsigned events;
	unsigned limit; /* quit with code 1 at this many calls; 0 = never */
	char order[16];
	unsigned order_len;
};

static struct loop *new_loop(void)
{
	struct loop *loop;
	struct umbra_err err;

	cr_assert_eq(loop_create(&loop, &err), 0);
	return loop;
}

static void quit_zero(void *ctx)
{
	loop_quit(ctx, 0);
}

/* Have the loop run for @delay_ns at most; it then returns 0. */
static void run_for(struct loop *loop, uint64_t delay_ns)
{
	struct loop_timer *timer = loop_timer_add(loop, quit_zero, loop);

	cr_assert_not_null(timer);
	loop_timer_arm(timer, delay_ns);
	loop_run(loop);
	loop_timer_del(timer);
}

static void count_ready(void *ctx, int fd, unsigned events)
{
	struct seen *seen = ctx;

	(void)fd;
	seen->calls++;
	seen->events |= events;
	if (seen->calls == seen->limit)
		loop_quit(seen->loop, 1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Descriptors. */

Test(loop, fd_when_readable_then_called_with_its_events)
{
	struct seen seen = {.loop = new_loop(), .limit = 1};
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	cr_assert_eq(loop_add(seen.loop, fds[0], LOOP_READ, count_ready, &seen), 0);
	cr_assert_eq(loop_add(seen.loop, fds[0], LOOP_READ, count_ready, &seen), -EEXIST);
	cr_assert_eq(write(fds[1], "x", 1), 1);
	cr_assert_eq(loop_run(seen.loop), 1);
	cr_assert_eq(seen.events, LOOP_READ);
	loop_destroy(seen.loop);
}

Test(loop, add_when_fd_is_bad_then_error)
{
	struct loop *loop = new_loop();

	cr_assert_eq(loop_add(loop, 9999, LOOP_READ, count_ready, NULL), -EBADF);
	loop_mod(loop, 9999, LOOP_READ);
	loop_del(loop, 9999);
	loop_destroy(loop);
}

Test(loop, mod_when_paused_and_peer_gone_then_silent_until_resumed)
{
	struct seen seen = {.loop = new_loop()};
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	loop_add(seen.loop, fds[0], LOOP_READ, count_ready, &seen);
	loop_mod(seen.loop, fds[0], 0);
	close(fds[1]);
	run_for(seen.loop, 3 * MS);
	cr_assert_eq(seen.calls, 0);
	seen.limit = 1;
	loop_mod(seen.loop, fds[0], LOOP_READ);
	cr_assert_eq(loop_run(seen.loop), 1);
	cr_assert_eq(seen.events, LOOP_READ | LOOP_HANGUP);
	loop_destroy(seen.loop);
}

Test(loop, fd_when_plain_file_then_always_ready_and_pausable)
{
	struct seen seen = {.loop = new_loop(), .limit = 3};
	FILE *file = tmpfile();

	cr_assert_eq(loop_add(seen.loop, fileno(file), LOOP_READ, count_ready, &seen), 0);
	cr_assert_eq(loop_run(seen.loop), 1);
	cr_assert_eq(seen.calls, 3);
	cr_assert_eq(seen.events, LOOP_READ);
	loop_mod(seen.loop, fileno(file), 0);
	run_for(seen.loop, 2 * MS);
	cr_assert_eq(seen.calls, 3);
	fclose(file);
	loop_destroy(seen.loop);
}

Test(loop, run_when_paused_plain_file_then_sleeps)
{
	struct seen seen = {.loop = new_loop()};
	FILE *file = tmpfile();
	uint64_t before;

	loop_add(seen.loop, fileno(file), 0, count_ready, &seen);
	before = thread_cpu_ns(gettid());
	run_for(seen.loop, 50 * MS);
	cr_assert_lt(thread_cpu_ns(gettid()) - before, 25 * MS);
	/* It never hangs up either. */
	loop_mod(seen.loop, fileno(file), LOOP_HANGUP);
	before = thread_cpu_ns(gettid());
	run_for(seen.loop, 50 * MS);
	cr_assert_lt(thread_cpu_ns(gettid()) - before, 25 * MS);
	cr_assert_eq(seen.calls, 0);
	fclose(file);
	loop_destroy(seen.loop);
}

struct pair {
	struct loop *loop;
	int fd[2];
	unsigned calls;
};

/* Both are ready in the same batch; whoever comes first deletes the two. */
static void delete_both(void *ctx, int fd, unsigned events)
{
	struct pair *pair = ctx;

	(void)fd;
	(void)events;
	pair->calls++;
	loop_del(pair->loop, pair->fd[0]);
	loop_del(pair->loop, pair->fd[1]);
}

Test(loop, del_when_inside_a_callback_then_other_event_of_the_batch_is_dropped)
{
	struct pair pair = {.loop = new_loop()};

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.fd), 0);
	loop_add(pair.loop, pair.fd[0], LOOP_WRITE, delete_both, &pair);
	loop_add(pair.loop, pair.fd[1], LOOP_WRITE, delete_both, &pair);
	/* A hang-up is reported whatever is asked for, so both have one, too. */
	shutdown(pair.fd[0], SHUT_RDWR);
	run_for(pair.loop, 2 * MS);
	cr_assert_eq(pair.calls, 1);
	loop_destroy(pair.loop);
}

struct reuse {
	struct pair pair;
	struct seen *fresh;
};

/* Close the other descriptor of the batch and open another under its number. */
static void replace_other(void *ctx, int fd, unsigned events)
{
	struct reuse *reuse = ctx;
	int other = reuse->pair.fd[reuse->pair.fd[0] == fd];

	(void)events;
	reuse->pair.calls++;
	loop_del(reuse->pair.loop, fd);
	loop_del(reuse->pair.loop, other);
	dup2(STDERR_FILENO, other);
	loop_add(reuse->pair.loop, other, LOOP_READ, count_ready, reuse->fresh);
}

Test(loop, fd_when_number_is_reused_in_a_batch_then_old_event_is_not_its)
{
	struct seen fresh = {.limit = 0};
	struct reuse reuse = {.pair = {.loop = new_loop()}, .fresh = &fresh};
	int quiet[2];

	/* Standard error becomes something that is never readable. */
	cr_assert_eq(pipe(quiet), 0);
	dup2(quiet[0], STDERR_FILENO);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, reuse.pair.fd), 0);
	loop_add(reuse.pair.loop, reuse.pair.fd[0], LOOP_WRITE, replace_other, &reuse);
	loop_add(reuse.pair.loop, reuse.pair.fd[1], LOOP_WRITE, replace_other, &reuse);
	run_for(reuse.pair.loop, 2 * MS);
	cr_assert_eq(reuse.pair.calls, 1);
	cr_assert_eq(fresh.calls, 0);
	loop_destroy(reuse.pair.loop);
}

/* Timers. */

struct mark {
	struct seen *seen;
	char name;
};

static void mark_order(void *ctx)
{
	struct mark *mark = ctx;
	struct seen *seen = mark->seen;

	seen->order[seen->order_len++] = mark->name;
	if (seen->order_len == seen->limit)
		loop_quit(seen->loop, 1);
}

Test(loop, timers_when_armed_out_of_order_then_called_by_deadline)
{
	struct seen seen = {.loop = new_loop(), .limit = 4};
	struct mark mark[5];
	static const uint64_t delay_ms[5] = {4, 1, 3, 1, 2};
	struct loop_timer *timer[5];

	for (unsigned i = 0; i < 5; i++) {
		mark[i] = (struct mark){.seen = &seen, .name = (char)('a' + i)};
		timer[i] = loop_timer_add(seen.loop, mark_order, &mark[i]);
		loop_timer_arm(timer[i], delay_ms[i] * MS);
	}
	loop_timer_disarm(timer[2]);
	loop_timer_disarm(timer[2]);
	cr_assert_eq(loop_run(seen.loop), 1);
	cr_assert_str_eq(seen.order, "bdea");
	loop_destroy(seen.loop);
}

Test(loop, timer_when_due_then_never_early)
{
	struct loop *loop = new_loop();
	uint64_t start = now_ns();

	run_for(loop, 5 * MS);
	cr_assert_geq(now_ns() - start, 5 * MS);
	loop_destroy(loop);
}

Test(loop, timer_when_delay_is_endless_then_others_still_run)
{
	struct seen seen = {.loop = new_loop()};
	struct mark mark = {.seen = &seen, .name = 'x'};
	struct loop_timer *timer = loop_timer_add(seen.loop, mark_order, &mark);

	loop_timer_arm(timer, UINT64_MAX);
	run_for(seen.loop, MS);
	cr_assert_eq(seen.order_len, 0);
	loop_destroy(seen.loop);
}

struct rearming {
	struct loop_timer *timer;
	unsigned calls;
};

static void rearm_at_once(void *ctx)
{
	struct rearming *r = ctx;

	r->calls++;
	loop_timer_arm(r->timer, 0);
}

Test(loop, timer_when_rearming_itself_for_now_then_descriptors_get_their_turn)
{
	struct seen seen = {.loop = new_loop(), .limit = 3};
	struct rearming r = {.calls = 0};
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	r.timer = loop_timer_add(seen.loop, rearm_at_once, &r);
	loop_timer_arm(r.timer, 0);
	loop_add(seen.loop, fds[0], LOOP_WRITE, count_ready, &seen);
	cr_assert_eq(loop_run(seen.loop), 1);
	loop_destroy(seen.loop);
}

static void delete_itself(void *ctx)
{
	struct rearming *r = ctx;

	r->calls++;
	loop_timer_del(r->timer);
}

Test(loop, timer_when_deleted_in_its_callback_then_gone)
{
	struct loop *loop = new_loop();
	struct rearming r = {.calls = 0};

	r.timer = loop_timer_add(loop, delete_itself, &r);
	loop_timer_arm(r.timer, 0);
	run_for(loop, 3 * MS);
	cr_assert_eq(r.calls, 1);
	loop_destroy(loop);
}

/* Wakers and quitting. */

static void count_wake(void *ctx)
{
	struct seen *seen = ctx;

	seen->calls++;
	if (seen->calls == seen->limit)
		loop_quit(seen->loop, 1);
}

Test(loop, waker_when_woken_twice_before_the_loop_runs_then_called_once)
{
	struct seen seen = {.loop = new_loop()};
	struct loop_waker *waker = loop_waker_add(seen.loop, count_wake, &seen);

	loop_wake(waker);
	loop_wake(waker);
	run_for(seen.loop, 2 * MS);
	cr_assert_eq(seen.calls, 1);
	loop_wake(waker);
	run_for(seen.loop, 2 * MS);
	cr_assert_eq(seen.calls, 2);
	loop_destroy(seen.loop);
}

Test(loop, waker_when_several_then_only_the_woken_one_is_called)
{
	struct seen a = {.loop = new_loop()};
	struct seen b = {.loop = a.loop, .limit = 1};
	struct loop_waker *waker_b = loop_waker_add(a.loop, count_wake, &b);

	loop_waker_add(a.loop, count_wake, &a);
	loop_wake(waker_b);
	cr_assert_eq(loop_run(a.loop), 1);
	cr_assert_eq(a.calls, 0);
	loop_destroy(a.loop);
}

Test(loop, waker_when_deleted_after_a_wake_then_not_called)
{
	struct seen seen = {.loop = new_loop()};
	struct loop_waker *waker = loop_waker_add(seen.loop, count_wake, &seen);

	loop_wake(waker);
	loop_waker_del(waker);
	run_for(seen.loop, 2 * MS);
	cr_assert_eq(seen.calls, 0);
	loop_destroy(seen.loop);
}

struct deleting {
	struct loop_waker *waker[2];
	unsigned calls;
};

/* Both are pending; whichever is called first deletes the two. */
static void delete_wakers(void *ctx)
{
	struct deleting *d = ctx;

	d->calls++;
	loop_waker_del(d->waker[0]);
	loop_waker_del(d->waker[1]);
}

Test(loop, waker_when_deleted_by_another_callback_then_not_called)
{
	struct loop *loop = new_loop();
	struct deleting d = {.calls = 0};

	for (unsigned i = 0; i < 2; i++)
		d.waker[i] = loop_waker_add(loop, delete_wakers, &d);
	loop_wake(d.waker[0]);
	loop_wake(d.waker[1]);
	run_for(loop, 2 * MS);
	cr_assert_eq(d.calls, 1);
	loop_destroy(loop);
}

struct producer {
	struct loop_waker *waker;
	atomic_uint made;
	unsigned taken;
	struct loop *loop;
};

#define PRODUCED 20000u

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < PRODUCED; i++) {
		atomic_fetch_add(&p->made, 1);
		loop_wake(p->waker);
	}
	return NULL;
}

static void take_all(void *ctx)
{
	struct producer *p = ctx;

	p->taken = atomic_load(&p->made);
	if (p->taken == PRODUCED)
		loop_quit(p->loop, 1);
}

/* A lost wake-up would leave the last product untaken and the loop asleep; the test would time out.
 */
Test(loop, waker_when_another_thread_wakes_often_then_none_is_lost, .timeout = 20)
{
	struct producer p = {.loop = new_loop()};
	pthread_t thread;

	p.waker = loop_waker_add(p.loop, take_all, &p);
	cr_assert_eq(pthread_create(&thread, NULL, produce, &p), 0);
	cr_assert_eq(loop_run(p.loop), 1);
	pthread_join(thread, NULL);
	cr_assert_eq(p.taken, PRODUCED);
	loop_destroy(p.loop);
}

Test(loop, quit_when_called_before_run_then_first_code_is_returned_and_run_again_works)
{
	struct loop *loop = new_loop();

	loop_quit(loop, -3);
	loop_quit(loop, 4);
	cr_assert_eq(loop_run(loop), -3);
	loop_quit(loop, 5);
	cr_assert_eq(loop_run(loop), 5);
	loop_destroy(loop);
}

Test(loop, quit_when_wakers_are_pending_then_they_run_next_time)
{
	struct seen a = {.loop = new_loop(), .limit = 1};
	struct seen b = {.loop = a.loop, .limit = 1};

	loop_wake(loop_waker_add(a.loop, count_wake, &a));
	loop_wake(loop_waker_add(a.loop, count_wake, &b));
	cr_assert_eq(loop_run(a.loop), 1);
	cr_assert_eq(a.calls + b.calls, 1);
	cr_assert_eq(loop_run(a.loop), 1);
	cr_assert_eq(a.calls + b.calls, 2);
	loop_destroy(a.loop);
}

/* Spinning and waiting. */

/* With a spin time the loop burns CPU after an event, and only for so long. */
Test(loop, spin_when_set_then_polls_after_an_event_and_ends)
{
	struct seen seen = {.loop = new_loop()};
	struct loop_waker *waker = loop_waker_add(seen.loop, count_wake, &seen);
	uint64_t before = thread_cpu_ns(gettid());
	uint64_t used;

	loop_set_spin(seen.loop, 20 * MS);
	loop_wake(waker);
	run_for(seen.loop, 100 * MS);
	used = thread_cpu_ns(gettid()) - before;
	cr_assert_eq(seen.calls, 1);
	cr_assert_lt(used, 70 * MS);
	loop_destroy(seen.loop);
}

Test(loop, spin_when_a_timer_is_due_then_it_is_not_late)
{
	struct seen seen = {.loop = new_loop()};
	struct loop_waker *waker = loop_waker_add(seen.loop, count_wake, &seen);
	uint64_t start = now_ns();

	loop_set_spin(seen.loop, 5000 * MS);
	loop_wake(waker);
	run_for(seen.loop, MS);
	cr_assert_lt(now_ns() - start, 1000 * MS);
	loop_destroy(seen.loop);
}

Test(loop, wait_fd_when_not_ready_then_budget_is_used_up)
{
	uint64_t budget_ns = 2 * MS;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert(!loop_wait_fd(fds[0], LOOP_READ, &budget_ns));
	cr_assert_eq(budget_ns, 0);
	budget_ns = 5000 * MS;
	cr_assert(loop_wait_fd(fds[1], LOOP_WRITE, &budget_ns));
	cr_assert_gt(budget_ns, 1000 * MS);
}

Test(loop, thread_cpu_when_thread_is_unknown_then_zero)
{
	cr_assert_eq(thread_cpu_ns(0), 0);
	cr_assert_eq(thread_cpu_ns(-5), 0);
	cr_assert_eq(thread_cpu_ns(0x7ffffff), 0);
	cr_assert_gt(thread_cpu_ns(gettid()), 0);
}
