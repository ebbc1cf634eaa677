/* The loop of one vCPU and its turn: what run.c, turn.c, parallel.c and the accel_ops share. */
#ifndef SOFT_RUN_H
#define SOFT_RUN_H

#include "block.h"
#include "cpu.h"

/* struct soft_cpu.exits: why the blocks were left. */
enum soft_exit_reason {
	EXIT_BLOCK_END, /* an instruction that ends its block in the loop */
	EXIT_REQUEST,
	EXIT_EXCEPTION,
	EXIT_INTERRUPT,
	EXIT_HALT,
	EXIT_TURN,
	EXIT_STEP,
	EXIT_RESTART,
	EXIT_REASON_COUNT
};

void soft_run(struct soft_cpu *c, struct accel_exit *out_exit);
void soft_run_briefly(struct soft_cpu *c, struct accel_exit *out_exit);

/* turn.c: one vCPU executes at a time, in a fixed order (deterministic mode). */
struct soft_turn;
int soft_turn_create(struct soft_vm *vm);
void soft_turn_destroy(struct soft_vm *vm);
void soft_turn_reset(struct soft_vm *vm);
/* Let the machine's gate tell this machine's time. */
void soft_turn_attach(struct soft_vm *vm);
/* Who will run until the next call: mask of vCPU numbers.  World stopped. */
void soft_turn_plan(struct soft_vm *vm, uint64_t members);
/* Wait until it is this vCPU's turn.  False when a request (*c->req) came first. */
bool soft_turn_wait(struct soft_cpu *c);
/* Begin a slice: sets c->left and c->slice from what is left of the quantum and the next timer.
 * End it: retires what was executed, advances the clock, lets timers fire. */
void soft_slice_begin(struct soft_cpu *c);
void soft_slice_end(struct soft_cpu *c);
/* Give the turn to the next vCPU that can use it. */
void soft_turn_pass(struct soft_cpu *c);
/* Whether that would be another one.  Call: by the holder, in deterministic mode. */
bool soft_turn_has_other(const struct soft_cpu *c);
/* The vCPU cannot go on (HLT, wait for SIPI) and is between slices: pass the turn, skip to the next
 * timer when everybody is idle, sleep.  Returns with the turn, when there may be something to look
 * at; false when a request came first. */
bool soft_turn_idle(struct soft_cpu *c);
/* Have a sleeping vCPU thread look again.  Any thread; signal-safe. */
void soft_wake(struct soft_cpu *c);
/* run.c: would the loop deliver something to this halted vCPU now? */
bool soft_has_wake_event(struct soft_cpu *c);

/* parallel.c, besides soft_safe and soft_unsafe: what mmu_tlb_hook.forget does there, and a vCPU
 * following it at the start of a block. */
void soft_forget_everywhere(struct soft_vm *vm);
void soft_take_forget(struct soft_cpu *c);

#endif
