/* What the files of the event loop share. */
#ifndef BASE_LOOP_INTERNAL_H
#define BASE_LOOP_INTERNAL_H

#include "umbra/loop.h"

#include <stdatomic.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

#define LOOP_NO_DEADLINE UINT64_MAX

/* A watched descriptor.  One that was deleted stays in the list, dead, until no batch of events
 * can mention it any more. */
struct loop_watch {
	struct loop_watch *next;
	int fd;
	unsigned events; /* mask of enum loop_events; 0 = paused */
	loop_fd_fn fn;
	void *ctx;
	bool is_in_epoll;
	bool is_plain; /* epoll refuses it: always ready */
	bool is_dead;
};

struct loop_timer {
	struct loop *loop;
	struct loop_timer *next;       /* all timers */
	struct loop_timer *next_armed; /* by deadline */
	uint64_t deadline_ns;
	bool is_armed;
	loop_timer_fn fn;
	void *ctx;
};

struct loop_waker {
	struct loop *loop;
	struct loop_waker *next;
	atomic_bool is_pending; /* set by any thread; cleared by the control thread */
	bool is_dead;
	loop_wake_fn fn;
	void *ctx;
};

/* Everything belongs to the control thread, but for the atomics and the eventfd's number. */
struct loop {
	int epoll_fd;
	int wake_fd; /* [const] eventfd that ends epoll_wait for wakers and loop_quit */
	struct loop_watch *watches;
	struct loop_timer *timers;
	struct loop_timer *armed; /* sorted by deadline, first in first out among equals */
	struct loop_waker *wakers;
	atomic_bool has_wakes; /* a waker may be pending; any thread */
	atomic_bool is_asleep; /* in the kernel, where has_wakes is not seen */
	bool has_dead;	       /* a watch or waker waits to be freed */
	uint64_t spin_ns;
	uint64_t spin_until_ns;
	atomic_uint_least64_t quit; /* 0, or QUIT_SET | code; any thread */
};

uint64_t loop_clock_ns(void);

/* The deadline of the timer that is due first, or LOOP_NO_DEADLINE. */
uint64_t loop_timers_next(const struct loop *loop);
/* Call what is due; stops early once the loop was told to quit. */
void loop_timers_run(struct loop *loop);
void loop_timers_free(struct loop *loop);

bool loop_is_quitting(const struct loop *loop);

#endif
