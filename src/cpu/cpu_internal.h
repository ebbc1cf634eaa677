/* What the files of src/cpu share.  The owner of each field is marked:
 *   [const]   set before the threads start
 *   [vcpu]    who runs the vCPU: its own thread, or the control thread while that one is parked
 *   [lock]    under world.lock
 *   [control] the control thread
 *   [atomic]  as the comment says */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include "umbra/cpu.h"

#include <pthread.h>
#include <stdatomic.h>

/* Bits of vcpu.req: why the vCPU is to come out of the guest. */
enum vcpu_req {
	REQ_PARK = 1 << 0,	 /* the world stops */
	REQ_QUIT = 1 << 1,	 /* the thread ends */
	REQ_HALT_CHECK = 1 << 2, /* say whether the vCPU is halted for good */
	REQ_YIELD = 1 << 3	 /* it stepped over a breakpoint and others have to yet */
};

/* Work that the control thread hands to a parked vCPU thread. */
struct vcpu_call {
	int (*fn)(struct vcpu *v, void *arg); /* NULL: none waits */
	void *arg;
	int result;
};

/* A back end without has_pass_exec has debug registers, and so few points. */
#define BP_SOME_POINTS 4

struct vcpu {
	struct world *world; /* [const] */
	unsigned index;	     /* [const] */
	pthread_t thread;    /* [const] */
	pthread_cond_t go;   /* the parked thread waits here */
	atomic_int tid;	     /* [atomic] relaxed; 0 until the thread runs */

	/* [atomic] Set with release by anyone, read with acquire by the thread at the top of its
	 * loop and by the back end's run(); cleared by release_locked. */
	atomic_uint req;
	/* [atomic] Counts resumes and calls: a parked thread spins on it for a moment before it
	 * sleeps (pairs with mail_locked). */
	atomic_uint mail;
	atomic_uint calls_done; /* [atomic] the same for the control thread in vcpu_call */

	struct accel_vcpu *accel; /* [vcpu] written once, under lock */
	bool is_open;		  /* [lock] accel is valid */
	bool is_running;	  /* [lock] released from park; false while parked or held */
	bool is_released;	  /* [lock] may leave park */
	bool is_halted_for_good;  /* [lock] answer to REQ_HALT_CHECK */
	struct cpu_stop event;	  /* [lock] latched until reported; STOP_NONE = none */
	struct vcpu_plan plan;	  /* [lock] constant while running */
	struct vcpu_call call;	  /* [lock] */

	/* Stepping over a breakpoint: the first instruction after a resume runs with the
	 * breakpoints at its address withheld. */
	bool must_step_over; /* [lock] set at resume */
	/* [vcpu] the same where the back end does it: has_pass_exec; false once it was told so */
	bool must_pass_exec;
	/* The same for what was caught where the vCPU stands, and told: [lock] at resume. */
	bool has_told_catch, is_told_fault;
	gva_t told_catch_pc;
	bool must_pass_catch;  /* [vcpu] false once the back end was told so */
	bool is_stepping_over; /* [vcpu] */
	gpa_t over_gpa;	       /* [vcpu] where the instruction lies; ~0 = not mapped */
	/* The linear pc of the last stop that was told for this vCPU, until it moves on: [lock]
	 * while it runs, [control] while STOPPED. */
	bool has_reported_pc;
	bool is_step_reported; /* that stop was the end of a step */
	gva_t reported_pc;

	/* Agents (judge.c).  [vcpu] all of them. */
	bool is_watched; /* after each instruction the hook is called */
	bool must_meet;	 /* tracepoints at the pc were not met yet: set at resume */
	/* A breakpoint was met at this pc and the instruction there was not executed yet. */
	bool has_met;
	gva_t met_pc;
	/* What came of the points that run() asked about; with is_judged. */
	bool is_judged;
	struct cpu_stop judged; /* STOP_NONE: nothing to tell */

	struct x86_state state;	  /* [vcpu] */
	unsigned state_parts;	  /* [vcpu] which parts of state are valid */
	unsigned wanted_parts;	  /* [vcpu] asked for since the last resume: read again at park */
	struct accel_debug debug; /* [vcpu] what the back end was told */
	unsigned debug_serial;	  /* [vcpu] bp_table.point_serial then */
	struct accel_point some_point[BP_SOME_POINTS]; /* [vcpu] debug.point while stepping over */
	uint64_t seen_cpu_ns;			       /* [control] for the halt watch */
};

struct bp {
	enum bp_kind kind;
	gva_t addr;
	uint64_t len;
	bool is_physical;
	enum bp_purpose purpose;
	void *agent; /* NULL: it stops */
	enum bp_backing backing;
	uint64_t hits; /* [lock] */
};

/* A byte that umbra put into guest code.  Planted at resume, taken back at each stop. */
struct bp_patch {
	gpa_t gpa;
	uint8_t original;
	uint8_t planted;
	bool is_in; /* the byte is in guest memory now */
};

/* The breakpoint table: [control] while STOPPED, constant while RUNNING but for hits and for the
 * one vCPU that steps over a planted byte while all others are held. */
struct bp_table {
	unsigned count, room; /* entries used and allocated, of each array but patch */
	struct bp *bp;
	struct accel_point *point; /* what the back end is told */
	unsigned point_count;
	unsigned armed_count;	/* point_count of the last resume */
	unsigned point_serial;	/* counts changes of point */
	bool has_agents;	/* some breakpoint has one */
	struct bp_patch *patch; /* at most one for each breakpoint and vCPU */
	unsigned patch_count, patch_room;
};

struct world {
	struct world_config config; /* [const] */
	pthread_mutex_t lock;
	pthread_mutex_t opening; /* around the opening of each vCPU; before lock */
	pthread_cond_t
		started; /* vCPU threads wait here for accel_start, and at the end for looping */
	pthread_cond_t back;   /* the control thread waits here for a call */
	atomic_int state;      /* [lock] for writing; read anywhere (acquire) */
	unsigned running;      /* [lock] vCPU threads outside park */
	struct cpu_stop cause; /* [lock] of the stop under way or not yet taken */
	struct cpu_stop taken; /* [control] the cause that was taken last */
	unsigned looping;      /* [lock] vCPU threads that did not leave their loop yet */
	bool is_quitting;      /* [lock] */
	bool is_stop_asked;    /* [lock] world_stop was called since the last stop was taken */
	int accel_start;       /* [lock] 1 = vm_start has not ended; else its result */
	/* [atomic] a stop for the machine's sake: kind in the low byte, code above; 0 = none */
	atomic_ullong posted;
	world_notify_fn notify; /* [lock] */
	void *notify_ctx;
	struct x86_state boot;	  /* [const] the bootstrap processor at start */
	struct accel_catch catch; /* [control] while STOPPED, constant while RUNNING */
	bool has_catch;		  /* the same: anything is in it */
	bool must_flush_mmu;	  /* [control] the debugger wrote memory while paging was on */
	uint64_t halt_delay_ns;	  /* [control] */
	struct bp_table bps;
	const struct bp_hook *bp_hook; /* [control] while STOPPED */
	unsigned vcpu_count;	       /* [const] vcpus created */
	struct vcpu *vcpu;	       /* [const] array of vcpu_count */
};

/* world.c */
void world_set_state_locked(struct world *w, enum world_state state);
void world_notify_locked(struct world *w);
void world_stop_locked(struct world *w, const struct cpu_stop *cause);
void world_parked_locked(struct world *w, struct vcpu *v);
void world_check_posted_locked(struct world *w);

/* resume.c */
void world_unpark_locked(struct vcpu *v);
void world_release_next_locked(struct world *w);
bool world_has_step_over_locked(const struct world *w);

/* vcpu.c */
void *vcpu_thread(void *arg);
void vcpu_run_briefly_locked(struct vcpu *v);
int vcpu_set_power_up(struct vcpu *v, const struct x86_state *boot, struct umbra_err *err);

/* call.c */
int vcpu_call(struct vcpu *v, int (*fn)(struct vcpu *v, void *arg), void *arg);
void vcpu_wait_in_park_locked(struct vcpu *v);
void vcpu_mail_locked(struct vcpu *v);

/* halt.c */
void vcpu_halt_check_locked(struct vcpu *v);
bool world_is_halted_for_good(struct world *w);
void world_describe_halt(struct world *w, struct cpu_stop *stop);

/* catch.c */
void vcpu_note_caught(struct vcpu *v, const struct cpu_stop *stop);
void vcpu_plan_catch(struct vcpu *v);

/* state.c */
void vcpu_state_fetch(struct vcpu *v, unsigned parts);
bool vcpu_translate(struct world *w, const struct x86_state *st, gva_t va, struct x86_walk *walk);

/* bp.c */
bool bp_has_exec_at(const struct bp_table *t, gva_t addr);
bool bp_has_trace_at(const struct bp_table *t, gva_t addr);
/* Likewise for BP_WATCH_EXEC: an instruction at @gpa. */
bool bp_has_exec_in(const struct bp_table *t, gpa_t gpa);
bool bp_is_patched(const struct bp_table *t, gpa_t gpa);
bool bp_event_is_valid(const struct bp_table *t, const struct cpu_stop *event);
/* bp_arm.c */
void bp_arm(struct world *w);
void bp_unplant(struct world *w);
void bp_lift(struct world *w, gpa_t gpa);
void bp_replant(struct world *w);
void bp_mask(const struct bp_table *t, gpa_t gpa, uint8_t *bytes, size_t len);
void bp_debug_for(const struct bp_table *t, struct vcpu *v, struct accel_debug *out);
void bp_free(struct bp_table *t);
bool bp_reserve(struct bp_table *t, unsigned vcpus);
bool bp_debug_is_equal(const struct accel_debug *a, const struct accel_debug *b);

/* judge.c: what comes of meeting a breakpoint.  Who runs the vCPU, no lock held. */
/* True when a breakpoint, or a planted byte, is at @pc; *@out_stop says what to tell of it,
 * STOP_NONE for nothing. */
bool judge_exec(struct vcpu *v, gva_t pc, struct cpu_stop *out_stop);
/* The same for the points of @exit, numbered as in v->debug; what run() asked already is not asked
 * again. */
bool judge_points(struct vcpu *v, const struct accel_exit *exit, struct cpu_stop *out_stop);
/* accel_debug.may_pass; @ctx is a struct vcpu. */
bool judge_may_pass(void *ctx, const struct accel_exit *exit);
/* The tracepoints at @pc alone. */
void judge_traces(struct vcpu *v, gva_t pc);
/* Let @v execute the instruction at @pc, whose breakpoints had their say. */
void judge_pass(struct vcpu *v, gva_t pc);

#endif
