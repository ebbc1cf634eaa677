/* vCPU threads, stop-the-world and breakpoints: the run control that a debugger drives.
 *
 * One control thread owns everything here; each vCPU has a thread of its own, though the first
 * microseconds of a run may be the control thread's (accel_ops.run_briefly).  The world is
 * RUNNING, STOPPING or STOPPED; while it is STOPPED every vCPU thread is parked and the control
 * thread may read and write guest state.  See src/cpu/world.c for the protocol and its races. */
#ifndef UMBRA_CPU_H
#define UMBRA_CPU_H

#include "umbra/accel.h"
#include "umbra/err.h"
#include "umbra/mem.h"
#include "umbra/types.h"
#include "umbra/x86.h"

struct world;
struct vcpu;

enum world_state { WORLD_RUNNING, WORLD_STOPPING, WORLD_STOPPED };

/* Why the world stopped. */
enum stop_kind {
	STOP_NONE,
	STOP_START,	/* all vCPUs are set up; nothing ran yet */
	STOP_ATTACH,	/* a debugger came */
	STOP_INTERRUPT, /* Ctrl-C */
	STOP_PAUSE,	/* somebody looks at the running machine, which goes on as before */
	STOP_STEP,	/* a STEP or RANGE plan ended */
	STOP_BREAK,	/* a breakpoint */
	STOP_WATCH,	/* a watchpoint */
	STOP_CATCH,	/* a guest event that somebody wants to see: caught */
	STOP_MMU,	/* an event of the shadow MMU that somebody waited for: mmu_hit */
	STOP_NEWS,	/* a point of bp_insert_news was met: addr */
	STOP_PASS, /* never taken: a vCPU is to step over a planted byte, others held meanwhile */
	STOP_HALT, /* every vCPU is halted and nothing can end it */
	STOP_SHUTDOWN, /* triple fault */
	STOP_FAILED,   /* the back end cannot go on; text says why */
	STOP_EXIT,     /* the guest asked for the process's exit status: code */
	STOP_RESET,    /* the guest asked for a reset */
	STOP_POWEROFF,
	STOP_HOST_ERROR, /* a vCPU could not be set up; text says why */
	STOP_TIMEOUT
};

/* Breakpoints as the debug protocol knows them (RSP Z0..Z4), and one that it does not: physical
 * memory in which an instruction begins that is about to run. */
enum bp_kind {
	BP_SOFT,
	BP_HARD,
	BP_WATCH_WRITE,
	BP_WATCH_READ,
	BP_WATCH_ACCESS,
	BP_WATCH_EXEC,
	BP_KIND_COUNT
};

struct cpu_stop {
	enum stop_kind kind;
	unsigned vcpu;	  /* whose event it was */
	enum bp_kind bp;  /* STOP_BREAK, STOP_WATCH */
	gva_t addr;	  /* STOP_BREAK: pc; STOP_WATCH: the watched address */
	bool is_physical; /* STOP_WATCH: of bp_insert_physical, addr is guest-physical */
	/* STOP_WATCH: the watched bytes (up to 8) before and after, where the back end knows. */
	bool has_values;
	uint64_t old_value, new_value;
	struct accel_caught caught; /* STOP_CATCH */
	uint64_t mmu_hit;	    /* STOP_MMU: accel_exit.mmu_hit */
	int code;		    /* STOP_EXIT */
	/* Somebody waits for the world to stand still, whatever the reason: world_stop was called,
	 * or a STEP or RANGE plan was under way. */
	bool is_awaited;
	char text[UMBRA_ERR_MAX]; /* reason for a person; may be empty */
};

/* What a vCPU does while the world runs. */
enum plan_action {
	PLAN_RUN,
	PLAN_STEP,  /* one instruction, then stop */
	PLAN_RANGE, /* step while start <= RIP < end, then stop */
	PLAN_HOLD   /* stay parked */
};
struct vcpu_plan {
	enum plan_action action;
	uint64_t start, end; /* PLAN_RANGE */
	/* The guest is to have the fault that was caught where the vCPU stands; without this the
	 * instruction is tried again, and caught again if it still faults. */
	bool gives_fault;
};

struct world_config {
	unsigned vcpus;
	const struct accel_ops *accel;
	struct accel_vm *accel_vm;
	struct mem_space *mem;
	/* The world began to run: arm the timer for world_watch_halts.  Control thread; may be
	 * NULL. */
	void (*on_resume)(void *ctx);
	void *ctx;
};

/* Life cycle. */

/* Errors: -ENOMEM, -EMFILE. */
int world_create(struct world **out_world, const struct world_config *config,
		 struct umbra_err *err);
/* Start the vCPU threads.  The world is STOPPING until each has opened its vCPU and set @boot (vCPU
 * 0) or the wait-for-SIPI state; it then stops with STOP_START, or STOP_HOST_ERROR. */
int world_start(struct world *world, const struct x86_state *boot, struct umbra_err *err);
/* End the vCPU threads for good, wherever they are: nothing that they call is called any more.
 * After that only world_destroy may follow. */
void world_end(struct world *world);
/* The same, and free it.  NULL is allowed. */
void world_destroy(struct world *world);

/* Stop and resume: control thread. */

/* @fn is called each time that there is a stop to take: on any thread, with locks held, so it may
 * do no more than wake somebody (loop_wake).  Call: before world_start. */
typedef void (*world_notify_fn)(void *ctx);
void world_set_notify(struct world *world, world_notify_fn fn, void *ctx);
/* True while the world is STOPPED with a cause that was not taken yet. */
bool world_has_stop(struct world *world);
enum world_state world_state(const struct world *world);
/* Ask the world to stop for @kind (ATTACH, INTERRUPT, PAUSE or TIMEOUT).  A stop that is under way
 * comes first, and is_awaited tells of the request; but a pause gives way.  Nothing happens once a
 * stop was taken. */
void world_stop(struct world *world, enum stop_kind kind);
/* Take the stop that world_has_stop tells of; @out_stop says which.  False when there is none, or
 * one that turned out to be no stop. */
bool world_take_stop(struct world *world, struct cpu_stop *out_stop);
/* Leave STOPPED.  @plan one entry per vCPU.  Breakpoints are armed here.  A plan of HOLD for every
 * vCPU is allowed: the world then runs, and stands still until world_stop. */
void world_resume(struct world *world, const struct vcpu_plan *plan);
/* The same with the plan of the last resume: after a pause.  A step that was not done yet is done,
 * and one that was done is told. */
void world_resume_as_before(struct world *world);
/* Have these events of the guest's stop the world from now on, and no others; NULL: none.  STOPPED
 * only.  Errors: -ENOTSUP the back end catches nothing. */
int world_set_catch(struct world *world, const struct accel_catch *catch);
/* What was hit as @mmu_hit is of no interest any more: a vCPU that waits to tell of it does not.
 * STOPPED only. */
void world_cancel_mmu(struct world *world, uint64_t mmu_hit);
/* Put every vCPU into its power-up state, @boot for vCPU 0; drops latched events.  STOPPED only. */
int world_reset(struct world *world, const struct x86_state *boot, struct umbra_err *err);
/* How soon after a resume the first look at halts is due: many test guests do little and halt. */
#define WORLD_FIRST_LOOK_NS 2000000ull

/* Let the halt watch look at the vCPUs once: to be called from a timer while the world runs.
 * Returns the delay until the next look in ns. */
uint64_t world_watch_halts(struct world *world);

/* Have the world stop for the machine's sake (EXIT, RESET, POWEROFF).  The first one wins until it
 * is taken.  Any thread, device lock held. */
void world_post(struct world *world, enum stop_kind kind, int code);

/* VCPUs: control thread, world STOPPED. */

unsigned world_vcpu_count(const struct world *world);
/* State of vCPU @index with at least @parts valid.  Points into the world; valid until it resumes
 * or is written.  NULL when the back end failed to read it. */
const struct x86_state *vcpu_state(struct world *world, unsigned index, unsigned parts);
/* Write parts of the state.  Errors: -EINVAL refused by the back end, nothing changed. */
int vcpu_state_write(struct world *world, unsigned index, const struct x86_state *st,
		     unsigned parts, struct umbra_err *err);
/* Translate and copy through vCPU @index's page tables, without side effects.  Return the bytes
 * copied before the first byte that is not mapped RAM.  A write that touched page tables takes
 * effect for the guest. */
size_t vcpu_mem_read(struct world *world, unsigned index, gva_t va, void *buf, size_t len);
size_t vcpu_mem_write(struct world *world, unsigned index, gva_t va, const void *buf, size_t len);
/* The same by physical address: no translation. */
size_t world_mem_read(struct world *world, gpa_t gpa, void *buf, size_t len);
size_t world_mem_write(struct world *world, gpa_t gpa, const void *buf, size_t len);
/* Print the exits of vCPU @index by reason. */
void vcpu_show_exits(struct world *world, unsigned index, const struct print_sink *sink);

/* Breakpoints: control thread, world STOPPED. */

enum bp_backing {
	BP_BACKING_NONE,      /* not armed yet (set since the last resume) */
	BP_BACKING_HW,	      /* debug register */
	BP_BACKING_MATCH,     /* the back end compares addresses itself */
	BP_BACKING_PATCH,     /* planted byte */
	BP_BACKING_PENDING,   /* its address is not mapped; tried again at each resume */
	BP_BACKING_IMPOSSIBLE /* the back end has no way here; text tells why */
};

enum bp_purpose {
	BP_FOR_CLIENT, /* of bp_insert */
	BP_FOR_TRACE,  /* of bp_insert_trace */
	BP_FOR_NEWS    /* of bp_insert_news */
};

struct bp_info {
	enum bp_kind kind;
	gva_t addr;
	uint64_t len;
	bool is_physical; /* addr is guest-physical */
	enum bp_purpose purpose;
	bool has_agent;
	enum bp_backing backing;
	uint64_t hits;
};

/* True when the back end can do breakpoints of @kind in some mode. */
bool bp_is_supported(const struct world *world, enum bp_kind kind);
/* Add a breakpoint; adding it twice is one.
 * @addr linear; @len for watchpoints: 1, 2, 4 or 8, aligned, unless the back end takes any; ignored
 * otherwise.
 * Errors: -ENOTSUP no back-end support for @kind; -ENOSPC all debug registers are taken; -ENOMEM;
 * -EINVAL length or alignment. */
int bp_insert(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len,
	      struct umbra_err *err);
/* Errors: -ENOENT. */
int bp_remove(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len);
/* A watchpoint on guest-physical memory, met through any mapping and by any vCPU.  BP_WATCH_EXEC,
 * which there is for physical memory alone, stops in front of the instruction, the others behind
 * it. Errors: as bp_insert; -ENOTSUP also where the back end has no such ones. */
int bp_insert_physical(struct world *world, enum bp_kind kind, gpa_t gpa, uint64_t len,
		       struct umbra_err *err);
/* Errors: -ENOENT. */
int bp_remove_physical(struct world *world, enum bp_kind kind, gpa_t gpa, uint64_t len);
/* Remove all, those of bp_insert_trace and bp_insert_news excepted. */
void bp_clear(struct world *world);
/* A point of the debug server's own, where the guest is about to change something that it follows:
 * STOP_NEWS, or STOP_BREAK if a breakpoint is there as well.
 * Errors: as bp_insert of BP_SOFT. */
int bp_insert_news(struct world *world, gva_t addr, struct umbra_err *err);
void bp_clear_news(struct world *world);
/* Breakpoint number @index, in order of insertion.  False past the last. */
bool bp_at(const struct world *world, unsigned index, struct bp_info *out_info);

/* Agents: what decides at a breakpoint, on the thread of the vCPU that meets it. */

enum bp_verdict {
	BP_STOP = 1, /* stop the world for it; nothing at a tracepoint */
	BP_WATCH = 2 /* call `stepped' after each instruction, until it has seen enough */
};

struct bp_hook {
	/* @vcpu meets a breakpoint of @agent.  Returns a mask of enum bp_verdict.
	 * Call: the thread that runs the vCPU, no lock held, others run; the state is read by
	 * vcpu_own_*. */
	unsigned (*meet)(void *ctx, struct vcpu *vcpu, void *agent);
	/* One instruction more was executed.  True: there is to be another such call. */
	bool (*stepped)(void *ctx, struct vcpu *vcpu);
	void *ctx;
};
/* @hook is the caller's and lives until world_end.  World STOPPED, or before world_start. */
void world_set_bp_hook(struct world *world, const struct bp_hook *hook);
/* Give a breakpoint an agent, which is the caller's and lives as long as the breakpoint; NULL takes
 * it away.  Without one a breakpoint stops.
 * Errors: -ENOENT. */
int bp_set_agent(struct world *world, enum bp_kind kind, gva_t addr, uint64_t len, void *agent);
/* A point where @agent is asked and nothing ever stops; several at one address are several.
 * Errors: as bp_insert of BP_SOFT. */
int bp_insert_trace(struct world *world, gva_t addr, void *agent, struct umbra_err *err);
void bp_clear_traces(struct world *world);

/* The state of a vCPU on the thread that runs it, inside a bp_hook. */

unsigned vcpu_index(const struct vcpu *vcpu);
/* As vcpu_state, vcpu_mem_read. */
const struct x86_state *vcpu_own_state(struct vcpu *vcpu, unsigned parts);
size_t vcpu_own_mem_read(struct vcpu *vcpu, gva_t va, void *buf, size_t len);

#endif
