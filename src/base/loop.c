/* The control thread's event loop: descriptors by epoll, wakers by one eventfd.
 *
 * Deleting is allowed anywhere, also inside of a callback and for others' watches, while a batch of
 * events that names them is being worked off.  So a watch or waker that is deleted is only marked
 * dead, and freed at the top of the loop, where no batch is open.  A descriptor number that is
 * closed and used again in between gets a new watch and cannot be taken for the old one. */
#include "loop_internal.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOP_BATCH 32
#define QUIT_SET   (1ull << 32) /* so that code 0 differs from "not quitting" */

/* Life cycle. */

static int wake_fd_open(struct loop *loop)
{
	/* A NULL pointer marks the eventfd among the watches. */
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) == 0)
		return 0;
	return -errno;
}

int loop_create(struct loop **out_loop, struct umbra_err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (!loop)
		return umbra_err_set(err, ENOMEM, "no memory for the event loop");
	loop->wake_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rc = loop->epoll_fd < 0 ? -errno : wake_fd_open(loop);
	if (rc < 0) {
		loop_destroy(loop);
		return umbra_err_set(err, -rc, "cannot set up the event loop: %s", strerror(-rc));
	}
	*out_loop = loop;
	return 0;
}

/* Free what died, or everything. */
static void sweep(struct loop *loop, bool is_all)
{
	struct loop_watch **w = &loop->watches;
	struct loop_waker **k = &loop->wakers;

	while (*w) {
		struct loop_watch *watch = *w;

		if (is_all || watch->is_dead) {
			*w = watch->next;
			free(watch);
		} else {
			w = &watch->next;
		}
	}
	while (*k) {
		struct loop_waker *waker = *k;

		if (is_all || waker->is_dead) {
			*k = waker->next;
			free(waker);
		} else {
			k = &waker->next;
		}
	}
	loop->has_dead = false;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	sweep(loop, true);
	loop_timers_free(loop);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

/* Descriptors. */

static struct loop_watch *watch_find(const struct loop *loop, int fd)
{
	struct loop_watch *watch;

	for (watch = loop->watches; watch; watch = watch->next) {
		if (watch->fd == fd && !watch->is_dead)
			return watch;
	}
	return NULL;
}

/* Bring the kernel's set in line with watch->events.  epoll reports hang-ups of every descriptor
 * in the set, so a paused one has to leave it: a closed peer would make the loop spin. */
static int watch_sync(struct loop *loop, struct loop_watch *watch)
{
	struct epoll_event ev = {.data.ptr = watch};
	int op = watch->is_in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (watch->is_plain)
		return 0;
	if (watch->events == 0) {
		if (watch->is_in_epoll)
			epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, &ev);
		watch->is_in_epoll = false;
		return 0;
	}
	if (watch->events & LOOP_READ)
		ev.events |= EPOLLIN;
	if (watch->events & LOOP_WRITE)
		ev.events |= EPOLLOUT;
	if (epoll_ctl(loop->epoll_fd, op, watch->fd, &ev) == 0) {
		watch->is_in_epoll = true;
		return 0;
	}
	if (errno != EPERM)
		return -errno;
	watch->is_plain = true; /* epoll_ctl(2): plain files and directories */
	return 0;
}

int loop_add(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *ctx)
{
	struct loop_watch *watch;
	int rc;

	if (watch_find(loop, fd))
		return -EEXIST;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->fd = fd;
	watch->events = events;
	watch->fn = fn;
	watch->ctx = ctx;
	rc = watch_sync(loop, watch);
	if (rc < 0) {
		free(watch);
		return rc;
	}
	watch->next = loop->watches;
	loop->watches = watch;
	return 0;
}

void loop_mod(struct loop *loop, int fd, unsigned events)
{
	struct loop_watch *watch = watch_find(loop, fd);

	if (!watch || watch->events == events)
		return;
	watch->events = events;
	watch_sync(loop, watch);
}

void loop_del(struct loop *loop, int fd)
{
	struct loop_watch *watch = watch_find(loop, fd);

	if (!watch)
		return;
	watch->events = 0;
	watch_sync(loop, watch);
	watch->is_dead = true;
	loop->has_dead = true;
}

static void watch_call(struct loop_watch *watch, unsigned events)
{
	/* It may have been paused, or deleted, by an earlier callback of this batch. */
	if (watch->is_dead || watch->events == 0)
		return;
	events &= watch->events | LOOP_HANGUP;
	if (events != 0)
		watch->fn(watch->ctx, watch->fd, events);
}

static bool has_ready_plain(const struct loop *loop)
{
	const struct loop_watch *watch;

	for (watch = loop->watches; watch; watch = watch->next) {
		if (watch->is_plain && !watch->is_dead &&
		    (watch->events & (LOOP_READ | LOOP_WRITE)))
			return true;
	}
	return false;
}

static void plain_run(struct loop *loop)
{
	struct loop_watch *watch;

	/* New watches go in front of the list and wait for the next pass; dead ones stay in it. */
	for (watch = loop->watches; watch && !loop_is_quitting(loop); watch = watch->next) {
		if (watch->is_plain)
			watch_call(watch, LOOP_READ | LOOP_WRITE);
	}
}

/* Wakers. */

static void wake_fd_signal(struct loop *loop)
{
	const uint64_t one = 1;
	int saved = errno; /* a signal handler may be calling */
	/* EAGAIN means that the counter is full, so the loop wakes up anyway. */
	ssize_t written = write(loop->wake_fd, &one, sizeof(one));

	(void)written;
	errno = saved;
}

struct loop_waker *loop_waker_add(struct loop *loop, loop_wake_fn fn, void *ctx)
{
	struct loop_waker *waker = calloc(1, sizeof(*waker));

	if (!waker)
		return NULL;
	waker->loop = loop;
	waker->fn = fn;
	waker->ctx = ctx;
	atomic_init(&waker->is_pending, false);
	waker->next = loop->wakers;
	loop->wakers = waker;
	return waker;
}

/* Races with the loop, by number:
 *  1. The flag is set before wakers_run takes it: the callback runs after, and sees what the waking
 *     thread wrote (acq_rel here pairs with acq_rel there).
 *  2. The flag is set after it was taken: the exchange gives false, so has_wakes is set, which was
 *     cleared before the flags were looked at: the loop comes round once more.
 *  3. The flag is still set from an earlier wake: its has_wakes is still to be seen, or is being
 *     worked off by a pass that has not taken the flag yet; either way case 1.
 *  4. The loop goes to sleep meanwhile: it says so before it looks at has_wakes, and here has_wakes
 *     is set before is_asleep is looked at (all sequentially consistent): one sees the other. */
void loop_wake(struct loop_waker *waker)
{
	struct loop *loop = waker->loop;

	if (atomic_exchange_explicit(&waker->is_pending, true, memory_order_acq_rel))
		return;
	atomic_store(&loop->has_wakes, true);
	if (atomic_load(&loop->is_asleep))
		wake_fd_signal(loop);
}

void loop_waker_del(struct loop_waker *waker)
{
	if (!waker)
		return;
	waker->is_dead = true;
	waker->loop->has_dead = true;
}

static void wake_fd_drain(struct loop *loop)
{
	uint64_t count;
	ssize_t got = read(loop->wake_fd, &count, sizeof(count));

	(void)got; /* EAGAIN: an earlier pass took it; the flags alone count */
}

static void wakers_run(struct loop *loop)
{
	struct loop_waker *waker;

	if (!atomic_exchange(&loop->has_wakes, false))
		return;
	for (waker = loop->wakers; waker; waker = waker->next) {
		/* A quit keeps the flags of those that did not run for the next loop_run. */
		if (loop_is_quitting(loop)) {
			atomic_store(&loop->has_wakes, true);
			return;
		}
		if (!waker->is_dead &&
		    atomic_exchange_explicit(&waker->is_pending, false, memory_order_acq_rel))
			waker->fn(waker->ctx);
	}
}

/* Running. */

void loop_set_spin(struct loop *loop, uint64_t spin_ns)
{
	loop->spin_ns = spin_ns;
}

bool loop_is_quitting(const struct loop *loop)
{
	return atomic_load_explicit(&loop->quit, memory_order_acquire) != 0;
}

void loop_quit(struct loop *loop, int code)
{
	uint_least64_t none = 0;

	/* Release pairs with the acquire of loop_is_quitting and loop_run. */
	if (atomic_compare_exchange_strong_explicit(&loop->quit, &none, QUIT_SET | (uint32_t)code,
						    memory_order_acq_rel, memory_order_relaxed))
		wake_fd_signal(loop);
}

/* Milliseconds until @deadline_ns, rounded up so that the loop never wakes just before it. */
static int timeout_ms(uint64_t deadline_ns)
{
	uint64_t now;
	uint64_t ms;

	if (deadline_ns == LOOP_NO_DEADLINE)
		return -1;
	now = loop_clock_ns();
	if (deadline_ns < now)
		return 0;
	ms = (deadline_ns - now) / NS_PER_MS + 1;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Poll until the spin time after the last event is over, or a waker was woken.  Returns the number
 * of events. */
static int spin(struct loop *loop, struct epoll_event *batch, uint64_t deadline_ns)
{
	int n = 0;

	while (n == 0 && !atomic_load(&loop->has_wakes)) {
		uint64_t now = loop_clock_ns();

		if (now >= loop->spin_until_ns || now > deadline_ns)
			break;
		n = epoll_wait(loop->epoll_fd, batch, LOOP_BATCH, 0);
		if (n == 0)
			sched_yield();
	}
	return n;
}

static int sleep_in_kernel(struct loop *loop, struct epoll_event *batch, uint64_t deadline_ns)
{
	int ms = timeout_ms(deadline_ns), n;

	atomic_store(&loop->is_asleep, true);
	n = epoll_wait(loop->epoll_fd, batch, LOOP_BATCH, atomic_load(&loop->has_wakes) ? 0 : ms);
	atomic_store(&loop->is_asleep, false);
	return n;
}

/* Wait for events.  Returns their number; 0 for a timer, a waker or a signal. */
static int wait_events(struct loop *loop, struct epoll_event *batch)
{
	uint64_t deadline_ns = loop_timers_next(loop);
	int n = 0;

	if (has_ready_plain(loop))
		return epoll_wait(loop->epoll_fd, batch, LOOP_BATCH, 0);
	if (loop->spin_ns > 0)
		n = spin(loop, batch, deadline_ns);
	if (n == 0)
		n = sleep_in_kernel(loop, batch, deadline_ns);
	if (loop->spin_ns > 0 && (n > 0 || atomic_load(&loop->has_wakes)))
		loop->spin_until_ns = loop_clock_ns() + loop->spin_ns;
	return n;
}

static void event_run(struct loop *loop, const struct epoll_event *ev)
{
	unsigned events = 0;

	if (!ev->data.ptr) {
		wake_fd_drain(loop);
		return;
	}
	if (ev->events & EPOLLIN)
		events |= LOOP_READ;
	if (ev->events & EPOLLOUT)
		events |= LOOP_WRITE;
	if (ev->events & (EPOLLHUP | EPOLLERR))
		events |= LOOP_HANGUP;
	watch_call(ev->data.ptr, events);
}

static void loop_once(struct loop *loop)
{
	struct epoll_event batch[LOOP_BATCH];
	int n;
	int i;

	if (loop->has_dead)
		sweep(loop, false);
	n = wait_events(loop, batch);
	for (i = 0; i < n && !loop_is_quitting(loop); i++)
		event_run(loop, &batch[i]);
	wakers_run(loop);
	plain_run(loop);
	loop_timers_run(loop);
}

int loop_run(struct loop *loop)
{
	while (!loop_is_quitting(loop))
		loop_once(loop);
	return (int)(uint32_t)atomic_exchange_explicit(&loop->quit, 0, memory_order_acq_rel);
}
