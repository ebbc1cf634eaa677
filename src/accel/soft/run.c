/* The loop round the blocks of one vCPU: what happens between instructions, in the order that the
 * manual gives (SDM 3A 6.9, table 6-2), and how an instruction that cannot complete is left.
 *
 * Blocks run until a request, the end of the slice, or an instruction that changes what the loop
 * must look at.  A handler that cannot complete escapes to here by longjmp; then the count and RIP
 * are those in front of the instruction.  What must be looked at after each instruction (TF, the
 * debugger's step, debug registers, watchpoints) runs in blocks of one instruction, SOFT_STEP. */
#include "run.h"
#include "access.h"
#include "catch.h"
#include "exc.h"
#include "fpu.h"
#include "irq.h"
#include "points.h"

#include <errno.h>
#include <stdio.h>

#define DR6_BS (1ull << 14)
#define BRIEF  1000 /* instructions and rounds of the loop: some microseconds */

/* Escapes. */

uint64_t soft_rip(const struct soft_cpu *c)
{
	return c->cur ? c->entry->imm + SOFT_OFFSET_OF(c->cur) : c->rip;
}

uint64_t soft_next_rip(const struct soft_cpu *c)
{
	uint64_t rip = soft_rip(c) + (c->cur ? SOFT_LEN_OF(c->cur) : 0);

	return (c->mode & SOFT_CODE_MASK) == SOFT_CODE64 ? rip : (uint32_t)rip;
}

_Noreturn static void escape(struct soft_cpu *c, enum soft_escape kind)
{
	longjmp(c->escape, kind);
}

_Noreturn static void raise_event(struct soft_cpu *c, const struct soft_event *event)
{
	c->event = *event;
	c->event.type = EVENT_EXCEPTION;
	c->event.rip = soft_rip(c);
	escape(c, ESCAPE_EXCEPTION);
}

_Noreturn void soft_raise(struct soft_cpu *c, enum x86_vector vector)
{
	raise_event(c, &(struct soft_event){.vector = (uint8_t)vector});
}

_Noreturn void soft_raise_error(struct soft_cpu *c, enum x86_vector vector, uint32_t error)
{
	raise_event(c, &(struct soft_event){
			       .vector = (uint8_t)vector, .has_error = true, .error = error});
}

_Noreturn void soft_raise_pf(struct soft_cpu *c, gva_t gva, uint32_t error)
{
	raise_event(c,
		    &(struct soft_event){
			    .vector = X86_EXC_PF, .has_error = true, .error = error, .cr2 = gva});
}

_Noreturn void soft_raise_db(struct soft_cpu *c, uint64_t dr6_bits)
{
	raise_event(c, &(struct soft_event){.vector = X86_EXC_DB, .dr6 = dr6_bits});
}

_Noreturn void soft_restart_step(struct soft_cpu *c)
{
	escape(c, ESCAPE_RESTART_STEP);
}

/* The instruction at c->cur was not executed: the block's count is given back from it on. */
static void undo_current(struct soft_cpu *c)
{
	if (!c->cur)
		return;
	c->left += soft_rest_of_block(c);
	c->rip = soft_rip(c);
	c->cur = NULL;
}

/* Exceptions. */

static bool is_shutdown(struct soft_cpu *c, struct accel_exit *out)
{
	size_t n = 0;

	out->kind = ACCEL_EXIT_SHUTDOWN;
	for (unsigned i = 0; i < c->chain_count; i++) {
		const struct soft_event *e = &c->chain[i];

		n += (size_t)snprintf(out->text + n, sizeof(out->text) - n,
				      "%svector %u error %#x at rip %#llx", i ? ", then " : "",
				      e->vector, e->error, (unsigned long long)e->rip);
		if (e->vector == X86_EXC_PF && n < sizeof(out->text))
			n += (size_t)snprintf(out->text + n, sizeof(out->text) - n, " cr2 %#llx",
					      (unsigned long long)e->cr2);
		if (n >= sizeof(out->text))
			break;
	}
	return true;
}

static void note_in_chain(struct soft_cpu *c, const struct soft_event *event)
{
	if (c->chain_count < UMBRA_ARRAY_SIZE(c->chain))
		c->chain[c->chain_count++] = *event;
}

/* c->event was raised.  Returns true when the processor shuts down instead of delivering it: the
 * state is still the one before the third fault. */
static bool take_exception(struct soft_cpu *c, struct accel_exit *out)
{
	c->exits[EXIT_EXCEPTION]++;
	if (!c->is_delivering) {
		undo_current(c);
		soft_points_drop(c);
		c->skip_exec_point = false; /* that was for the one that faults */
		c->chain_count = 0;
	} else if (c->chain_count == 0) {
		note_in_chain(c, &c->delivering);
	}
	c->cur = NULL;
	if (c->is_delivering) {
		struct soft_event raised = c->event;

		note_in_chain(c, &raised);
		c->is_delivering = false;
		if (!soft_exc_merge(&c->delivering, &c->event))
			return is_shutdown(c, out);
	}
	c->has_event = true;
	return false;
}

static void deliver(struct soft_cpu *c, const struct soft_event *event)
{
	c->delivering = *event;
	c->is_delivering = true;
	c->trap_tf = false;
	soft_exc_deliver(c, &c->delivering);
	c->is_delivering = false;
	c->chain_count = 0;
	c->activity = X86_ACTIVE;
	c->pass_catch = false;
	c->was_delivered = true;
}

/* Between instructions. */

static bool may_interrupt(const struct soft_cpu *c)
{
	/* The instruction that was caught or met, and told, comes first, or it would be told again.
	 */
	if (c->activity == X86_ACTIVE && (c->pass_catch || c->skip_exec_point))
		return false;
	return !c->debug.block_irq || !c->debug.step || c->activity != X86_ACTIVE;
}

static bool take_nmi(struct soft_cpu *c)
{
	struct soft_event event = {.type = EVENT_NMI, .vector = X86_EXC_NMI, .rip = c->rip};

	if (!c->nmi_pending || c->nmi_blocked || c->in_int_shadow || !may_interrupt(c))
		return false;
	c->nmi_pending--;
	deliver(c, &event);
	return true;
}

static bool take_interrupt(struct soft_cpu *c)
{
	struct soft_event event = {.type = EVENT_HARDWARE, .rip = c->rip};
	int vector;

	if (!(c->rflags & X86_RFLAGS_IF) || c->in_int_shadow || !may_interrupt(c) ||
	    !soft_irq_is_pending(c))
		return false;
	vector = soft_irq_take(c);
	if (vector < 0)
		return false;
	event.vector = (uint8_t)vector;
	c->exits[EXIT_INTERRUPT]++;
	deliver(c, &event);
	return true;
}

/* A processor holds one NMI back while another is handled (SDM 3A 6.7.1).  Where none is, the first
 * of two would have been taken at once had this vCPU had its turn, so both count. */
static void take_posted_nmis(struct soft_cpu *c)
{
	unsigned limit = c->nmi_blocked ? 1 : 2;

	c->nmi_pending += atomic_exchange_explicit(&c->nmi_posts, 0, memory_order_relaxed);
	if (c->nmi_pending > limit)
		c->nmi_pending = limit;
}

/* Requests that others posted.  All bits go, or no block would begin. */
static void take_posts(struct soft_cpu *c)
{
	unsigned pend = atomic_exchange_explicit(&c->pend, 0, memory_order_acquire);

	if (pend & PEND_NMI)
		take_posted_nmis(c);
	if (pend & PEND_IRQ) { /* a timer may be due sooner than the slice was planned for */
		soft_slice_end(c);
		soft_slice_begin(c);
	}
	if (pend & PEND_PASS) {
		soft_safe(c);
		soft_unsafe(c);
	}
	if (pend & PEND_FLUSH)
		soft_take_forget(c);
	if (pend & PEND_EVICT)
		soft_code_take_evictions(c);
	if (pend & PEND_INIT)
		soft_init(c);
	if ((pend & PEND_SIPI) && c->activity == X86_WAIT_FOR_SIPI)
		soft_sipi(c, (uint8_t)((pend & PEND_VECTOR) >> PEND_VECTOR_SHIFT));
}

/* True when something was delivered: a step ends there. */
static bool take_events(struct soft_cpu *c)
{
	if (c->has_event) {
		struct soft_event event = c->event;

		c->has_event = false;
		deliver(c, &event);
		return true;
	}
	if (c->activity == X86_WAIT_FOR_SIPI)
		return false;
	return take_nmi(c) || take_interrupt(c);
}

bool soft_has_wake_event(struct soft_cpu *c)
{
	unsigned pend = atomic_load_explicit(&c->pend, memory_order_acquire);

	if (c->has_event || (pend & (PEND_INIT | PEND_SIPI)))
		return true;
	if (c->activity == X86_WAIT_FOR_SIPI)
		return false;
	return (((pend & PEND_NMI) || c->nmi_pending) && !c->nmi_blocked) ||
	       ((c->rflags & X86_RFLAGS_IF) && soft_irq_is_pending(c));
}

/* One instruction at a time. */

static bool must_step(const struct soft_cpu *c)
{
	return c->debug.step || c->step_once || c->in_int_shadow ||
	       (c->rflags & (X86_RFLAGS_TF | X86_RFLAGS_RF)) || soft_points_guest_armed(c);
}

static void set_step_mode(struct soft_cpu *c, bool is_step)
{
	uint32_t mode = is_step ? c->mode | SOFT_STEP : c->mode & ~(uint32_t)SOFT_STEP;

	soft_set_mode(c, mode);
}

/* Traps that follow an instruction that completed (SDM 3A 6.9): the guest's single step and data
 * breakpoints.  None follows a load of SS: there the single step is lost, and data breakpoints wait
 * (SDM 3A 6.8.3). */
static void raise_traps(struct soft_cpu *c, uint64_t dr6)
{
	if (c->trap_tf && !c->in_debug_shadow)
		dr6 |= DR6_BS;
	c->trap_tf = false;
	if (!dr6)
		return;
	c->event = (struct soft_event){
		.type = EVENT_EXCEPTION, .vector = X86_EXC_DB, .dr6 = dr6, .rip = c->rip};
	c->has_event = true;
}

/* The instruction in front is about to run alone.  False: a breakpoint of the guest's own stops it
 * first (fault-like #DB). */
static bool prepare_step(struct soft_cpu *c)
{
	uint64_t dr6 = 0;

	if (!(c->rflags & X86_RFLAGS_RF) && !c->in_debug_shadow && !soft_is_in_repeat(c))
		dr6 = soft_points_guest_exec(c, soft_linear_rip(c));
	if (dr6) {
		raise_traps(c, dr6);
		return false;
	}
	/* The instruction that IRET returns to clears RF when it succeeds; a fault of it pushes
	 * RF=1 by itself (SDM 3B 17.3.1.1). */
	c->rflags &= ~X86_RFLAGS_RF;
	c->trap_tf = c->rflags & X86_RFLAGS_TF;
	c->in_int_shadow = false;
	c->in_debug_shadow = false;
	c->step_once = false;
	return true;
}

/* Execute the instruction at RIP.  Escapes like any other. */
static void run_step(struct soft_cpu *c)
{
	if (!prepare_step(c))
		return;
	set_step_mode(c, true);
	c->at_exec_point = false;
	soft_run_block(c, soft_block_find(c));
	if (!c->at_exec_point) {
		c->skip_exec_point = false;
		c->pass_catch = false;
		c->has_stepped = true;
	}
}

static void run_blocks(struct soft_cpu *c)
{
	const struct insn *block;

	set_step_mode(c, false);
	c->at_exec_point = false;
	block = soft_block_find(c);
	if (c->skip_exec_point || c->pass_catch || c->has_mmu_stop ||
	    SOFT_COUNT_OF(block) > c->left) {
		/* The end of the slice, one instruction past a point, or the fetch asked for a stop
		 * behind the instruction. */
		c->step_once = true;
		return;
	}
	soft_run_block(c, block);
}

/* Stops. */

static void locate(struct soft_cpu *c, struct accel_exit *out)
{
	out->pc = soft_linear_rip(c);
	out->rip = c->rip;
}

static bool stop_at_exec_point(struct soft_cpu *c, struct accel_exit *out)
{
	int point = soft_points_exec_at(c, soft_linear_rip(c), c->exec_point_gpa);

	if (point < 0)
		return false;
	out->kind = ACCEL_EXIT_DEBUG;
	out->debug |= ACCEL_DEBUG_POINT;
	out->hit[out->hit_count++] = (unsigned)point;
	return true;
}

/* Whether the points that @out tells of are passed after all.  Then it tells of none. */
static bool passes_points(struct soft_cpu *c, struct accel_exit *out)
{
	if (!c->debug.may_pass || !(out->debug & ACCEL_DEBUG_POINT))
		return false;
	locate(c, out);
	soft_mxcsr_sync(c); /* the state may be read */
	if (!c->debug.may_pass(c->debug.ctx, out))
		return false;
	out->kind = ACCEL_EXIT_KICKED;
	out->debug &= ~(unsigned)ACCEL_DEBUG_POINT;
	out->hit_count = 0;
	out->has_values = false;
	return true;
}

/* What comes before the next instruction, by the end of the slice or by a post. */
static bool is_something_due(const struct soft_cpu *c)
{
	return c->left <= 0 || atomic_load_explicit(&c->pend, memory_order_relaxed);
}

/* An execution point is in front.  False when it is passed, and the instruction executed.  Nothing
 * comes in between: one that is interrupted would be met again.  So what is due goes first. */
static bool meet_exec_point(struct soft_cpu *c, struct accel_exit *out)
{
	c->at_exec_point = false;
	if (c->debug.may_pass && is_something_due(c))
		return false;
	if (!stop_at_exec_point(c, out))
		return false;
	if (!passes_points(c, out))
		return true;
	c->skip_exec_point = true;
	c->brief_left = 0; /* an agent may have taken its time */
	run_step(c);
	return false;
}

static bool is_in_range(const struct soft_cpu *c)
{
	return c->rip >= c->debug.range_start && c->rip < c->debug.range_end;
}

/* An event of the mmu: the stop waits for the instruction to be done and for a fault to be
 * delivered. */
static void take_mmu_stop(struct soft_cpu *c, struct accel_exit *out)
{
	if (!c->has_mmu_stop || c->has_event || c->step_once)
		return;
	c->has_mmu_stop = false;
	out->debug |= ACCEL_DEBUG_MMU;
	out->mmu_hit = c->mmu_hit;
}

/* After each turn of the loop: is there something to tell? */
static bool look_at_stops(struct soft_cpu *c, struct accel_exit *out)
{
	if (c->at_exec_point && meet_exec_point(c, out))
		return true;
	if (!c->has_stepped && !c->was_delivered && !c->has_mmu_stop && !c->has_caught)
		return false;
	if (c->has_caught) {
		c->has_caught = false;
		out->debug |= ACCEL_DEBUG_CATCH;
		out->caught = c->caught;
	}
	take_mmu_stop(c, out);
	/* A delivery may have met a point as well: its frame, the tables that it reads. */
	soft_points_take(c, out);
	if (c->has_stepped)
		raise_traps(c, c->in_debug_shadow ? 0 : soft_points_take_guest(c));
	if (out->hit_count)
		out->debug |= ACCEL_DEBUG_POINT;
	if (c->debug.step && !is_in_range(c) && !c->has_event)
		out->debug |= ACCEL_DEBUG_STEP;
	c->has_stepped = false;
	c->was_delivered = false;
	passes_points(c, out);
	if (!out->debug)
		return false;
	c->exits[EXIT_STEP]++;
	out->kind = ACCEL_EXIT_DEBUG;
	return true;
}

/* The loop. */

/* True when the vCPU is to leave run(): out->kind is set. */
static bool look_at_requests(struct soft_cpu *c, struct accel_exit *out)
{
	if (atomic_load_explicit(&c->pend, memory_order_relaxed))
		take_posts(c);
	if (atomic_load_explicit(c->req, memory_order_acquire) == 0)
		return false;
	c->exits[EXIT_REQUEST]++;
	out->kind = ACCEL_EXIT_KICKED;
	return true;
}

static void run_some(struct soft_cpu *c)
{
	if (c->mode_is_stale)
		soft_mode_update(c);
	if (must_step(c)) {
		run_step(c);
		return;
	}
	run_blocks(c);
	c->exits[EXIT_BLOCK_END]++;
}

static bool pass_and_wait(struct soft_cpu *c)
{
	soft_turn_pass(c);
	return soft_turn_wait(c);
}

/* End the slice, let @between decide who goes on, begin the next one.  False: a request came. */
static bool next_slice(struct soft_cpu *c, bool (*between)(struct soft_cpu *c))
{
	bool has_turn;

	soft_slice_end(c);
	has_turn = between(c);
	if (has_turn)
		soft_slice_begin(c);
	return has_turn;
}

/* Once round: true when the run ends.  The turn is held.  It is passed before events are looked at,
 * so that it makes no difference whether the run was left and begun again in between. */
static bool go_round(struct soft_cpu *c, struct accel_exit *out)
{
	if (look_at_requests(c, out))
		return true;
	if (c->is_brief && c->brief_left-- <= 0)
		return true;
	if (c->left <= 0 || c->wants_yield) {
		c->exits[EXIT_TURN]++;
		return !next_slice(c, pass_and_wait);
	}
	if (SOFT_UNLIKELY(c->has_event) && soft_catch_event(c, out))
		return true;
	if (take_events(c))
		return look_at_stops(c, out);
	if (c->activity != X86_ACTIVE) {
		c->exits[EXIT_HALT]++;
		return !next_slice(c, soft_turn_idle);
	}
	run_some(c);
	return look_at_stops(c, out);
}

/* An escape has come.  True when the run ends. */
static bool take_escape(struct soft_cpu *c, enum soft_escape kind, struct accel_exit *out)
{
	soft_exclusive_end(c);
	switch (kind) {
	case ESCAPE_EXCEPTION:
		return take_exception(c, out);
	case ESCAPE_RESTART_STEP:
		c->exits[EXIT_RESTART]++;
		undo_current(c);
		c->step_once = true;
		return false;
	case ESCAPE_LEAVE:
		undo_current(c);
		return false;
	case ESCAPE_CATCH:
		undo_current(c);
		soft_points_drop(c);
		out->kind = ACCEL_EXIT_DEBUG;
		out->debug |= ACCEL_DEBUG_CATCH;
		out->caught = c->caught;
		return true;
	case ESCAPE_NONE:
		break;
	}
	return false;
}

static void run_guest(struct soft_cpu *c, struct accel_exit *out)
{
	enum soft_escape kind = (enum soft_escape)setjmp(c->escape);

	if (kind != ESCAPE_NONE && take_escape(c, kind, out))
		return;
	while (!go_round(c, out))
		;
}

void soft_run(struct soft_cpu *c, struct accel_exit *out)
{
	*out = (struct accel_exit){.kind = ACCEL_EXIT_KICKED};
	c->has_stepped = false;
	c->was_delivered = false;
	if (!soft_turn_wait(c))
		return;
	soft_points_follow(c);
	soft_fpu_enter(c);
	soft_unsafe(c);
	soft_slice_begin(c);
	run_guest(c, out);
	soft_slice_end(c);
	soft_safe(c);
	soft_fpu_leave(c);
	locate(c, out);
}

/* Rounds of the loop count as well: one that only delivers, or lets time go by, retires nothing. */
void soft_run_briefly(struct soft_cpu *c, struct accel_exit *out)
{
	c->is_brief = true;
	c->brief_left = BRIEF;
	soft_run(c, out);
	c->is_brief = false;
}
