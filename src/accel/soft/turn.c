/* Whose turn it is, and what time it is.
 *
 * Deterministic mode: one vCPU executes at a time.  The turn goes round in the order of the vCPU
 * numbers, after a fixed number of instructions or earlier when its holder halts, spins on PAUSE or
 * sends an interrupt to another; time is the number of instructions that were executed by all, plus
 * PASS_NS for each such early pass, plus what was skipped while all of them were idle.  Nothing
 * else decides, so the same input gives the same run.
 *
 * Stops of the world do not count: they cut slices, and slices decide nothing.  What is left of the
 * quantum, a pass that is due and the holder stay; who is idle is read from the vCPUs themselves,
 * which stand still while another has the turn.
 *
 * Only the holder touches the turn and the clock, except for a machine that is idle altogether:
 *   1. Everybody idle, a timer is set: the holder moves the clock there and lets it fire.
 *   2. Everybody idle, no timer: the holder gives the turn back (NOBODY) and wakes all, who look
 *      whether there is something for them and sleep.  The first one that has something takes the
 *      turn by compare-and-swap.  A post either is seen by that look, or comes after it and moves
 *      `wakes`, and the sleep does not begin.
 *   3. As 2, with a timer set and time to keep pace with the host's: all sleep until that timer at
 * the longest.  Whoever takes the turn moves the clock to where the host's is.
 *   4. The turn goes to a vCPU that the world has not released from park yet, or that left run()
 *      for a request: it stays there until that vCPU comes or the world stops.  The plan of the
 *      resume says who will come, so which vCPU runs next does not depend on whose thread wakes
 *      first. */
#include "access.h"
#include "irq.h"
#include "run.h"

#include "umbra/record.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define QUANTUM 50000 /* instructions: more gains no speed, less costs some */
/* Guest time that an early pass takes, as an interrupt between processors does. */
#define PASS_NS 1000
/* How far the clock may be ahead of the host's before it is held back. */
#define SLACK_NS 1000000ull
#define NOBODY	 (~0u)
#define FOREVER	 (~0ull)
#define NS_PER_S 1000000000ull
#define SPINS	 100 /* yields before a thread sleeps: the turn often comes back soon */

struct soft_turn {
	atomic_uint holder;   /* vCPU number or NOBODY; release, pairs with the waiter's acquire */
	uint64_t members;     /* [world stopped] who runs */
	int64_t quantum_left; /* [holder]; 0: the pass is due */
	atomic_ullong clock;  /* [holder] writes; instructions and skipped time at slice start */
	/* Pace.  All 0 and FOREVER without it. */
	bool is_paced;		  /* [const] */
	uint64_t host_at_0;	  /* [world stopped] what the host's clock is to show at 0 */
	atomic_ullong idle_until; /* [holder] writes; with NOBODY: the next timer */
};

int soft_turn_create(struct soft_vm *vm)
{
	vm->turn = calloc(1, sizeof(*vm->turn));
	if (!vm->turn)
		return -ENOMEM;
	vm->turn->quantum_left = QUANTUM;
	vm->turn->members = ~0ull;
	vm->turn->idle_until = FOREVER;
	vm->turn->is_paced = vm->config.is_realtime && vm->gate && !vm->is_parallel;
	return 0;
}

void soft_turn_destroy(struct soft_vm *vm)
{
	free(vm->turn);
}

/* Power-up: the clock begins anew, and cpu 0 has the turn. */
void soft_turn_reset(struct soft_vm *vm)
{
	vm->turn->quantum_left = QUANTUM;
	atomic_store_explicit(&vm->turn->clock, 0, memory_order_relaxed);
	atomic_store_explicit(&vm->turn->holder, 0, memory_order_relaxed);
}

/* Sleeping and waking: an event count.  The sleeper reads `wakes`, looks whether there is something
 * to do, and sleeps only while `wakes` is what it read; a waker makes its news visible first and
 * moves `wakes` then. */

static bool is_asked(const struct soft_cpu *c)
{
	return atomic_load_explicit(c->req, memory_order_acquire) != 0;
}

static unsigned sleep_prepare(struct soft_cpu *c)
{
	return atomic_load(&c->wakes);
}

static void sleep_until_moved(struct soft_cpu *c, unsigned seen, uint64_t limit_ns)
{
	struct timespec limit = {.tv_sec = (time_t)(limit_ns / NS_PER_S),
				 .tv_nsec = (long)(limit_ns % NS_PER_S)};

	for (unsigned i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(&c->wakes, memory_order_relaxed) != seen)
			return;
		sched_yield();
	}
	atomic_store(&c->is_sleeping, true);
	if (atomic_load(&c->wakes) == seen)
		syscall(SYS_futex, &c->wakes, FUTEX_WAIT_PRIVATE, seen,
			limit_ns == FOREVER ? NULL : &limit, NULL, 0);
	atomic_store(&c->is_sleeping, false);
}

void soft_wake(struct soft_cpu *c)
{
	atomic_fetch_add(&c->wakes, 1);
	if (atomic_load(&c->is_sleeping))
		syscall(SYS_futex, &c->wakes, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* A processor that waits takes the first SIPI, and does not heed another until an INIT; one that
 * came before the INIT is nothing (SDM 3A 8.4.2).  Whoever posts does not know how far it is. */
static unsigned pend_with(unsigned old, unsigned pend)
{
	if (pend & PEND_INIT)
		old &= ~(unsigned)(PEND_SIPI | PEND_VECTOR);
	if (old & PEND_SIPI)
		pend &= ~(unsigned)PEND_VECTOR;
	return old | pend;
}

void soft_post(struct soft_cpu *c, unsigned pend)
{
	unsigned old = atomic_load_explicit(&c->pend, memory_order_relaxed);

	if (pend & PEND_NMI)
		atomic_fetch_add_explicit(&c->nmi_posts, 1, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&c->pend, &old, pend_with(old, pend),
						      memory_order_release, memory_order_relaxed))
		;
	soft_wake(c);
}

/* Time. */

static int64_t executed(const struct soft_cpu *c)
{
	int64_t left = c->left;

	/* In the middle of a block the whole of it has been taken off the budget already. */
	if (c->cur)
		left += soft_rest_of_block(c);
	return c->slice - left;
}

static uint64_t clock_of(const struct soft_turn *turn)
{
	return atomic_load_explicit(&turn->clock, memory_order_relaxed);
}

uint64_t soft_now(const struct soft_cpu *c)
{
	if (c->vm->is_parallel)
		return gate_now_ns(c->vm->gate);
	return clock_of(c->vm->turn) + (uint64_t)executed(c);
}

uint64_t soft_tsc(const struct soft_cpu *c)
{
	return soft_now(c) + c->msr.tsc;
}

void soft_set_tsc(struct soft_cpu *c, uint64_t tsc)
{
	c->msr.tsc = tsc - soft_now(c);
}

/* The vCPU whose slice it is, in deterministic mode; else NULL. */
struct soft_cpu *soft_slice_holder(const struct soft_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count && !vm->is_parallel; i++) {
		if (vm->cpu[i] && vm->cpu[i]->slice)
			return vm->cpu[i];
	}
	return NULL;
}

uint64_t soft_vm_now(const struct soft_vm *vm)
{
	const struct soft_cpu *holder = soft_slice_holder(vm);

	if (vm->is_parallel)
		return gate_now_ns(vm->gate);
	return holder ? soft_now(holder) : clock_of(vm->turn);
}

/* The machine's devices count the same time, and their timers cut slices like the chips' own. */

static uint64_t gate_clock_now(void *ctx)
{
	return soft_vm_now(ctx);
}

static void gate_deadline_moved(void *ctx)
{
	const struct soft_vm *vm = ctx;
	struct soft_cpu *holder = soft_slice_holder(vm);

	if (holder || vm->cpu[0])
		soft_post(holder ? holder : vm->cpu[0], PEND_IRQ);
}

void soft_turn_attach(struct soft_vm *vm)
{
	const struct gate_clock clock = {.now_ns = vm->is_parallel ? NULL : gate_clock_now,
					 .deadline_moved = gate_deadline_moved,
					 .ctx = vm};

	if (vm->gate)
		gate_set_clock(vm->gate, &clock);
}

/* The next timer of any vCPU or device; ~0 = none is set. */
static uint64_t next_deadline(const struct soft_vm *vm)
{
	uint64_t next = vm->gate ? gate_deadline(vm->gate) : ~0ull;

	for (unsigned i = 0; i < vm->cpu_count; i++)
		next = u64_min(next, soft_irqchip_deadline(vm->cpu[i]));
	return next;
}

static void tick_all(const struct soft_vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		soft_irqchip_tick(vm->cpu[i]);
	if (vm->gate && gate_deadline(vm->gate) != GATE_NEVER)
		gate_run(vm->gate);
}

void soft_slice_begin(struct soft_cpu *c)
{
	struct soft_turn *turn = c->vm->turn;
	uint64_t now = clock_of(turn);
	uint64_t deadline = next_deadline(c->vm);
	uint64_t until = deadline > now ? deadline - now : 1;

	if (c->vm->is_parallel)
		c->slice = QUANTUM;
	else if (turn->quantum_left > 0)
		c->slice = (int64_t)u64_min(until, (uint64_t)turn->quantum_left);
	else
		c->slice = 0;
	if (c->is_brief && c->slice > c->brief_left)
		c->slice = c->brief_left;
	c->left = c->slice;
}

void soft_slice_end(struct soft_cpu *c)
{
	struct soft_turn *turn = c->vm->turn;
	int64_t count = executed(c);
	uint64_t now;

	if (!c->slice)
		return; /* it ended, and the turn may be another's */
	now = clock_of(turn) + (uint64_t)count;
	c->slice = 0;
	c->left = 0;
	c->retired += (uint64_t)count;
	c->brief_left -= count;
	if (c->vm->is_parallel) {
		if (soft_now(c) >= next_deadline(c->vm))
			tick_all(c->vm);
		return;
	}
	turn->quantum_left -= count;
	atomic_store_explicit(&turn->clock, now, memory_order_relaxed);
	if (now >= next_deadline(c->vm))
		tick_all(c->vm);
}

/* The turn. */

static bool is_member(const struct soft_turn *turn, unsigned index)
{
	return turn->members >> index & 1;
}

/* Of one that stands still: the caller has the turn, or the world is stopped, or it is itself. */
static bool can_use_turn(struct soft_cpu *c)
{
	return c->activity == X86_ACTIVE || soft_has_wake_event(c);
}

/* The vCPU after @index that can use the turn; @index itself when no other can. */
static unsigned next_after(const struct soft_vm *vm, unsigned index)
{
	for (unsigned n = 1; n < vm->cpu_count; n++) {
		unsigned i = (index + n) % vm->cpu_count;

		if (is_member(vm->turn, i) && can_use_turn(vm->cpu[i]))
			return i;
	}
	return index;
}

bool soft_turn_has_other(const struct soft_cpu *c)
{
	return next_after(c->vm, c->index) != c->index;
}

static void set_holder(struct soft_vm *vm, unsigned index)
{
	struct soft_turn *turn = vm->turn;
	bool is_early = turn->quantum_left > 0 && turn->quantum_left < QUANTUM;

	if (is_early)
		atomic_store_explicit(&turn->clock, clock_of(turn) + PASS_NS, memory_order_relaxed);
	turn->quantum_left = QUANTUM;
	atomic_store_explicit(&turn->holder, index, memory_order_release);
	soft_wake(vm->cpu[index]);
}

/* Sequentially consistent, as has_turn: a vCPU that still saw a holder there looks again. */
static void set_nobody(struct soft_vm *vm)
{
	vm->turn->quantum_left = QUANTUM;
	atomic_store(&vm->turn->holder, NOBODY);
	for (unsigned i = 0; i < vm->cpu_count; i++)
		soft_wake(vm->cpu[i]);
}

/* Pace with the host. */

/* Where the clock would be by the host's. */
static uint64_t paced_now(const struct soft_vm *vm)
{
	return gate_host_ns(vm->gate) - vm->turn->host_at_0;
}

/* While the world was stopped no time went by. */
static void pace_anew(struct soft_vm *vm)
{
	if (vm->turn->is_paced)
		vm->turn->host_at_0 = gate_host_ns(vm->gate) - clock_of(vm->turn);
}

/* After all were idle; no further than to the next timer, which is to fire at its time. */
static void catch_up(struct soft_vm *vm)
{
	struct soft_turn *turn = vm->turn;
	uint64_t until = atomic_load_explicit(&turn->idle_until, memory_order_relaxed);
	uint64_t now;

	if (!turn->is_paced)
		return;
	now = u64_min(paced_now(vm), until);
	if (now > clock_of(turn))
		atomic_store_explicit(&turn->clock, now, memory_order_relaxed);
}

/* How long an idle vCPU may sleep, in ns; 0: a timer is due. */
static uint64_t idle_limit(const struct soft_vm *vm)
{
	const struct soft_turn *turn = vm->turn;
	uint64_t until = atomic_load_explicit(&turn->idle_until, memory_order_relaxed);
	uint64_t now;

	if (!turn->is_paced || until == FOREVER || atomic_load(&turn->holder) != NOBODY)
		return FOREVER;
	now = paced_now(vm);
	return until > now ? until - now : 0;
}

/* Passing the turn takes guest time and hardly any of the host's. */
static void hold_back(struct soft_cpu *c)
{
	uint64_t clock = clock_of(c->vm->turn), now;
	unsigned seen = sleep_prepare(c);

	if (!c->vm->turn->is_paced || is_asked(c) || c->is_brief)
		return;
	now = paced_now(c->vm);
	if ((int64_t)(clock - now) > (int64_t)SLACK_NS)
		sleep_until_moved(c, seen, clock - now);
}

/* A turn that nobody has goes to the first one that can use it: two that were posted to while the
 * world stood still do not race for it. */
void soft_turn_plan(struct soft_vm *vm, uint64_t members)
{
	struct soft_turn *turn = vm->turn;
	unsigned holder = atomic_load_explicit(&turn->holder, memory_order_relaxed);
	unsigned last = vm->cpu_count - 1;

	turn->members = members;
	pace_anew(vm);
	if (vm->is_parallel || (holder != NOBODY && is_member(turn, holder)))
		return;
	holder = next_after(vm, holder == NOBODY ? last : holder);
	/* When none can use it, one is there to let time go by. */
	if (!is_member(turn, holder))
		holder = members ? (unsigned)__builtin_ctzll(members) : NOBODY;
	turn->quantum_left = QUANTUM;
	atomic_store_explicit(&turn->holder, holder, memory_order_release);
}

/* Take the turn that nobody has. */
static bool take_turn(struct soft_cpu *c)
{
	unsigned nobody = NOBODY;

	if (!atomic_compare_exchange_strong(&c->vm->turn->holder, &nobody, c->index))
		return false;
	catch_up(c->vm);
	return true;
}

/* True when the vCPU holds the turn; one that nobody holds is taken if there is use for it. */
static bool has_turn(struct soft_cpu *c)
{
	unsigned holder = atomic_load(&c->vm->turn->holder);

	return c->vm->is_parallel || holder == c->index ||
	       (holder == NOBODY && can_use_turn(c) && take_turn(c));
}

bool soft_turn_wait(struct soft_cpu *c)
{
	for (;;) {
		unsigned seen = sleep_prepare(c);
		uint64_t limit;

		if (is_asked(c))
			return false;
		if (has_turn(c))
			return true;
		if (c->is_brief)
			return false;
		limit = idle_limit(c->vm);
		if (limit > 0) {
			sleep_until_moved(c, seen, limit);
		} else if (take_turn(c)) {
			tick_all(c->vm);
			return true;
		}
	}
}

/* A slice that ended for a timer, or for a stop, is no reason. */
void soft_turn_pass(struct soft_cpu *c)
{
	struct soft_turn *turn = c->vm->turn;
	bool is_used_up = turn->quantum_left <= 0;
	bool is_due = is_used_up || c->wants_yield;
	unsigned next;

	c->wants_yield = false;
	if (c->vm->is_parallel || !is_due)
		return;
	hold_back(c);
	next = next_after(c->vm, c->index);
	if (next != c->index)
		set_holder(c->vm, next);
	else if (is_used_up)
		turn->quantum_left = QUANTUM;
}

/* Everybody is idle: let time go by until something happens.  True when the clock was moved. */
static bool skip_time(struct soft_cpu *c)
{
	struct soft_turn *turn = c->vm->turn;
	uint64_t deadline = next_deadline(c->vm);

	if (deadline == ~0ull)
		return false;
	if (deadline > clock_of(turn))
		atomic_store_explicit(&turn->clock, deadline, memory_order_relaxed);
	tick_all(c->vm);
	return true;
}

/* Parallel mode: sleep until something is posted or the next timer is due. */
static bool sleep_to_deadline(struct soft_cpu *c)
{
	unsigned seen = sleep_prepare(c);

	if (is_asked(c))
		return false;
	if (!soft_has_wake_event(c)) {
		uint64_t deadline = next_deadline(c->vm), now = soft_now(c);

		soft_safe(c);
		sleep_until_moved(c, seen, deadline > now ? deadline - now : 1);
		soft_unsafe(c);
	}
	return !is_asked(c);
}

bool soft_turn_idle(struct soft_cpu *c)
{
	unsigned next;

	if (c->vm->is_parallel)
		return !c->is_brief && sleep_to_deadline(c);
	if (is_asked(c) || soft_has_wake_event(c))
		return soft_turn_wait(c);
	next = next_after(c->vm, c->index);
	if (next != c->index) {
		set_holder(c->vm, next);
	} else if (c->vm->turn->is_paced) {
		atomic_store_explicit(&c->vm->turn->idle_until, next_deadline(c->vm),
				      memory_order_relaxed);
		set_nobody(c->vm);
	} else if (!skip_time(c)) {
		set_nobody(c->vm);
	}
	return soft_turn_wait(c);
}
