/* The machine as librspstub's target: registers, memory, run control and breakpoints of a VM behind
 * the operation tables of gdbstub/rspstub.h.  Private to src/debug; control thread. */
#ifndef DEBUG_TARGET_H
#define DEBUG_TARGET_H

#include "agents.h"
#include "catch.h"
#include "linux_view.h"
#include "mmu_roots.h"
#include "mmu_watch.h"
#include "modules.h"
#include "rspstub.h"
#include "scratch.h"
#include "tdesc.h"
#include "umbra/cpu.h"
#include "umbra/debug.h"
#include "umbra/vm.h"

struct debug_target {
	struct vm *vm;
	struct world *world;
	struct rsp_session *session; /* whose client is served: monitor words print to it */
	const char *version;	     /* for `monitor version`; borrowed */
	struct rsp_tracer *tracer;   /* of agents */
	struct agents *agents;	     /* NULL: breakpoints have no conditions and commands */

	struct mmu_watch mmu;
	struct catch catch;
	/* What each vCPU was caught at when it stopped last, for siginfo. */
	struct target_caught {
		bool is_there;
		struct accel_caught caught;
		uint64_t pc;
	} caught[ACCEL_MAX_VCPUS];
	struct cpu_stop last_stop; /* STOP_NONE: none yet */
	struct umbra_err refusal; /* why the last write or breakpoint was refused; "" if none was */
	bool is_refusal_new;	  /* the client was not told yet */
	/* Called from inside operations that may take long (target_tick). */
	void (*on_tick)(void *ctx);
	void *tick_ctx;
	/* Hand the client what waits for it, so that there is room for more. */
	bool (*on_drain)(void *ctx); /* with tick_ctx */
	/* What the guest prints goes to the client in control while it runs (`monitor console`). */
	bool is_console_on;
	chardev_tap_fn on_console; /* with tick_ctx */
	/* The session attaches to a stop that was told before; it is to be told again after
	 * rsp_session_input returned. */
	bool must_retell;
	/* The debugger is gone: at the next stop breakpoints go too, and the machine runs on. */
	bool must_clean;
	/* Until target_go: a client has let the machine go by this plan; it only pauses, and goes
	 * on as before; it is to stop again at once. */
	bool is_resume_due, is_paused, is_interrupt_due;
	struct vcpu_plan plan[ACCEL_MAX_VCPUS];
	bool is_controlled; /* some client controls the machine: the next ones may only read */
	bool has_ended;	    /* exit status known: nothing runs any more */
	bool is_quitting;   /* the debugger ended the machine, with this code */
	int quit_code;

	struct scratch scratch;
	struct linux_symbols symbols;
	struct modules modules;
	struct mmu_seen seen; /* of a back end without a shadow MMU */

	bool must_follow_mode;	    /* the description may change with the processor's mode */
	enum tdesc_arch first_arch; /* what each debugger is told first */
	enum tdesc_arch arch;	    /* what the present one was told last */
	char tdesc[TDESC_MAX];
};

void target_init(struct debug_target *target, struct vm *vm, const char *version,
		 enum debug_arch arch);
/* Before the machine goes. */
void target_end(struct debug_target *target);
/* The operation tables, with @target as their context. */
struct rsp_target target_ops(struct debug_target *target);
/* Fill @out_ops with them, tracepoints included, and open the tracer, which keeps @out_ops.
 * Errors: -ENOMEM. */
int target_open_tracer(struct debug_target *target, struct rsp_target *out_ops);

/* Target_map.c, target_lldb.c. */
extern const struct rsp_map_ops target_map_ops;
extern const struct rsp_lldb_ops target_lldb_ops;
/* Target_linux.c: @target's image is a Linux kernel. */
extern const struct rsp_osdata_ops target_osdata_ops;
extern const struct rsp_symbol_ops target_symbol_ops;

/* Describe the guest to the debugger as @arch from now on. */
void target_describe_as(struct debug_target *target, enum tdesc_arch arch);

/* True when the world is STOPPED, and the stop was taken: a stop that was not could still be
 * withdrawn, or have somebody else's cause. */
bool target_is_stopped(const struct debug_target *target);

/* The debugger is gone: remove its breakpoints; let a stopped machine run on if @is_resume. */
void target_leave(struct debug_target *target, bool is_resume);
/* The session's first packet: see struct rsp_base_ops. */
bool target_attach(void *ctx);
/* Errors: vm_watch_console's. */
int target_set_console(struct debug_target *target, bool is_on);

/* target->catch has changed: tell the world.  Errors: -ENOTSUP with a text; nothing is caught. */
int target_update_catch(struct debug_target *target, struct umbra_err *err);
/* Signals for a debug_target (target_catch.c). */
extern const struct rsp_signal_ops TARGET_SIGNAL_OPS;
/* Run control for a debug_target (target_run.c). */
extern const struct rsp_run_ops TARGET_RUN_OPS;
/* All clients were served: do what the operations noted.  Call: at the end of every callback in
 * which one of them may have been called. */
void target_go(struct debug_target *target);
/* The world stopped.  True when nobody is to be told, and the machine goes on by target_go: a
 * pause, or the stop that target_leave waited for. */
bool target_stopped(struct debug_target *target, const struct cpu_stop *stop, bool is_attached);

/* Where the text of the guest's Linux kernel is, by the tables of @vcpu, or of another processor
 * when those have none; false when the guest is no Linux, or has not mapped it yet. */
bool target_linux_text(struct debug_target *target, unsigned vcpu, gva_t *out_text);

/* Older clients take a number only: keep the text for `monitor why`.  Returns @error. */
int target_note_refusal(struct debug_target *target, int error, const struct umbra_err *err);

/* Part of an operation that may take long is done: whoever waits for it may be told so. */
void target_tick(const struct debug_target *target);

/* The last stop in a line for a person, without a line end. */
#define TARGET_STOP_MAX (UMBRA_ERR_MAX + MMU_STOP_TEXT_MAX)
void target_describe_stop(const struct debug_target *target, char *buf, size_t size);

/* End the machine with @code as soon as the session's call returns. */
void target_quit(struct debug_target *target, int code);

/* Restart as if power had been off.  Errors: vm_reset's. */
int target_reset(struct debug_target *target, struct umbra_err *err);

#endif
