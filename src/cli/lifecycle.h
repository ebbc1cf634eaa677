/* What a stop of the world means for the process: go on, start over, wait for the debugger, or end
 * with which status. */
#ifndef CLI_LIFECYCLE_H
#define CLI_LIFECYCLE_H

#include "options.h"

#include "umbra/cpu.h"
#include "umbra/debug.h"
#include "umbra/loop.h"

/* What is done about a stop. */
enum stop_action {
	STOP_ACTION_NONE,
	STOP_ACTION_HOLD_OR_GO,	    /* tell the debugger; without one resume, unless -S */
	STOP_ACTION_TELL_OR_RESUME, /* tell the debugger; it has gone: resume */
	STOP_ACTION_TELL_OR_DIE,    /* tell the debugger; without one the guest has died */
	STOP_ACTION_RESTART,	    /* reset the machine and go on */
	STOP_ACTION_EXIT,	    /* end with code */
	STOP_ACTION_GIVE_UP,	    /* the host failed */
	STOP_ACTION_TIME_OUT
};

struct stop_verdict {
	enum stop_action action;
	int code; /* STOP_ACTION_EXIT */
};

/* What @stop means under @options; a pure function. */
struct stop_verdict lifecycle_judge(const struct cpu_stop *stop, const struct cli_options *options);

/* The run as its events see it.  [control] */
struct lifecycle {
	const struct cli_options *options;
	struct loop *loop;
	struct vm *vm;
	struct debug_server *server; /* NULL with -gdb none */
	int signal_fd;
	struct loop_waker *world_waker; /* there is a stop to take */
	struct loop_timer *timer;	/* NULL without --timeout */
	bool is_timed_out;
	bool is_over;
};

/* Watch the world, the signals and the clock.  All fields up to signal_fd are set by the caller,
 * and must outlive the loop.  Errors: -ENOMEM. */
int lifecycle_open(struct lifecycle *life, struct umbra_err *err);
void lifecycle_close(struct lifecycle *life);

/* The debugger ended the machine; struct debug_config's on_quit. */
void lifecycle_on_quit(void *ctx, int code);

#endif
