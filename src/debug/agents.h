/* What breakpoints do by themselves: their conditions and commands, evaluated on the threads of the
 * vCPUs that meet them, the text that commands print on its way to the client, and tracepoints. */
#ifndef DEBUG_AGENTS_H
#define DEBUG_AGENTS_H

#include "rspstub.h"
#include "umbra/cpu.h"
#include "umbra/loop.h"

struct agents;

/* Agents for the breakpoints of @world; @waker is woken when there is text.  Before world_start.
 * Errors: -ENOMEM. */
int agents_open(struct agents **out_agents, struct world *world, struct loop_waker *waker);
/* After world_end.  NULL is allowed. */
void agents_close(struct agents *agents);

/* Insert a breakpoint with what it does; NULL: it stops.  World STOPPED.
 * Errors: as bp_insert; -ENOMEM; nothing is changed then. */
int agents_insert(struct agents *agents, enum bp_kind kind, gva_t addr, uint64_t len,
		  const struct rsp_agent *agent, struct umbra_err *err);
/* Forget what a breakpoint that is gone did, or what all of them did.  World STOPPED. */
void agents_forget(struct agents *agents, enum bp_kind kind, gva_t addr, uint64_t len);
void agents_clear(struct agents *agents);

/* Tracepoints.  World STOPPED, the lock excepted. */

/* Whose tracepoints these are, and where variables of conditions live. */
void agents_set_tracer(struct agents *agents, struct rsp_tracer *tracer);
/* As the operations of struct rsp_trace_ops.  Errors of arm: as bp_insert of BP_SOFT; -ENOSPC. */
int agents_arm(struct agents *agents, unsigned tracepoint, gva_t addr, struct umbra_err *err);
uint8_t *agents_trace_buffer(struct agents *agents, size_t size);
void agents_lock_trace(struct agents *agents);
void agents_unlock_trace(struct agents *agents);

/* Give @put the text that was printed since.  What was printed faster than it was taken is lost
 * beyond AGENTS_TEXT_MAX bytes, and the text says so.  Control thread. */
#define AGENTS_TEXT_MAX (1u << 16)
void agents_take_text(struct agents *agents, void (*put)(void *ctx, const char *text, size_t len),
		      void *ctx);

#endif
