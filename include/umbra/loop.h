/* The control thread's event loop over file descriptors and timers (epoll).
 * Everything here is called by the control thread, loop_wake and loop_quit excepted. */
#ifndef UMBRA_LOOP_H
#define UMBRA_LOOP_H

#include "umbra/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

enum loop_events {
	LOOP_READ = 1,	/* readable, or the peer closed */
	LOOP_WRITE = 2, /* writable */
	LOOP_HANGUP = 4 /* reported unasked: EPOLLHUP or EPOLLERR */
};

/* @fd is ready for @events (a mask of enum loop_events). */
typedef void (*loop_fd_fn)(void *ctx, int fd, unsigned events);
typedef void (*loop_timer_fn)(void *ctx);
typedef void (*loop_wake_fn)(void *ctx);

struct loop_timer; /* owned by the loop; freed by loop_timer_del or loop_destroy */
struct loop_waker; /* likewise */

/* Errors: -ENOMEM, -EMFILE and what epoll_create1 gives; *@out_loop is untouched then. */
int loop_create(struct loop **out_loop, struct umbra_err *err);
void loop_destroy(struct loop *loop);

/* Watch @fd, which stays the caller's to close (after loop_del).  A descriptor that epoll cannot
 * watch (a plain file on stdin, say) counts as always ready.
 * Errors: -ENOMEM, -EEXIST; nothing is changed then. */
int loop_add(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *ctx);
/* Change the events of a watched @fd; 0 pauses it (hang-ups are not reported while paused). */
void loop_mod(struct loop *loop, int fd, unsigned events);
/* Stop watching @fd; safe inside its own callback.  Nothing happens for an unknown @fd. */
void loop_del(struct loop *loop, int fd);

/* A one-shot timer on the host's monotonic clock, not armed yet.  NULL when memory is short. */
struct loop_timer *loop_timer_add(struct loop *loop, loop_timer_fn fn, void *ctx);
/* (Re)arm for @delay_ns from now. */
void loop_timer_arm(struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_disarm(struct loop_timer *timer);
void loop_timer_del(struct loop_timer *timer);

/* A way for any thread to have @fn called on the control thread.  NULL when memory is short. */
struct loop_waker *loop_waker_add(struct loop *loop, loop_wake_fn fn, void *ctx);
/* Any thread, any lock held; several wakes before the callback runs are one.  Signal-safe. */
void loop_wake(struct loop_waker *waker);
/* @waker must not be woken any more. */
void loop_waker_del(struct loop_waker *waker);

/* After an event the loop polls for up to @spin_ns before it sleeps in the kernel: a debugger that
 * answers within that time is served without a wake-up.  0 (the default) never polls. */
void loop_set_spin(struct loop *loop, uint64_t spin_ns);

/* Run until loop_quit; returns the code given to it.  May be run again after that. */
int loop_run(struct loop *loop);
/* Make loop_run return @code after the current callback, or at once when it has not begun.  The
 * first call's code wins.  Any thread; signal-safe. */
void loop_quit(struct loop *loop, int code);

/* Outside of the loop: wait until @fd is ready for one of @events (0: for a hang-up only).  Takes
 * the time waited off *@inout_budget_ns; false when the budget ran out first.  Call: any thread. */
bool loop_wait_fd(int fd, unsigned events, uint64_t *inout_budget_ns);

/* CPU time that thread @tid of this process has used, in ns; 0 when it cannot be told. */
uint64_t thread_cpu_ns(int tid);

#endif
