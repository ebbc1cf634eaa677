/* What a stop of the world means for the process. */
#include "lifecycle.h"

#include "exit_status.h"
#include "obituary.h"
#include "signals.h"

#include "umbra/log.h"

#include <errno.h>

/* How long vCPUs may take to stop after a timeout before they are not waited for. */
#define TIMEOUT_GRACE_NS 1000000000ull

static const enum stop_action ACTIONS[] = {
	[STOP_NONE] = STOP_ACTION_NONE,
	[STOP_START] = STOP_ACTION_HOLD_OR_GO,
	[STOP_ATTACH] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_INTERRUPT] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_PAUSE] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_STEP] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_BREAK] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_WATCH] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_CATCH] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_MMU] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_NEWS] = STOP_ACTION_TELL_OR_RESUME,
	[STOP_PASS] = STOP_ACTION_NONE,
	[STOP_HALT] = STOP_ACTION_TELL_OR_DIE,
	[STOP_SHUTDOWN] = STOP_ACTION_TELL_OR_DIE,
	[STOP_FAILED] = STOP_ACTION_TELL_OR_DIE,
	[STOP_EXIT] = STOP_ACTION_EXIT,
	[STOP_RESET] = STOP_ACTION_RESTART,
	[STOP_POWEROFF] = STOP_ACTION_EXIT,
	[STOP_HOST_ERROR] = STOP_ACTION_GIVE_UP,
	[STOP_TIMEOUT] = STOP_ACTION_TIME_OUT,
};

struct stop_verdict lifecycle_judge(const struct cpu_stop *stop, const struct cli_options *options)
{
	struct stop_verdict verdict = {ACTIONS[stop->kind], EXIT_STATUS_PASS};

	if (stop->kind == STOP_EXIT)
		verdict.code = stop->code & 0xff;
	if (stop->kind == STOP_RESET && options->exits_on_reset)
		verdict.action = STOP_ACTION_EXIT;
	if (stop->kind == STOP_HALT && options->has_halt_code) {
		verdict.action = STOP_ACTION_EXIT;
		verdict.code = options->halt_code;
	}
	return verdict;
}

/* What is done. */

/* End the run with @code; the first one wins. */
static void finish(struct lifecycle *life, int code)
{
	if (life->is_over)
		return;
	life->is_over = true;
	if (life->server)
		debug_server_exiting(life->server, code);
	loop_quit(life->loop, code);
}

void lifecycle_on_quit(void *ctx, int code)
{
	struct lifecycle *life = ctx;

	life->is_over = true;
	loop_quit(life->loop, code);
}

static void resume_all(struct lifecycle *life)
{
	struct vcpu_plan plan[ACCEL_MAX_VCPUS] = {0};
	unsigned i;

	for (i = 0; i < ACCEL_MAX_VCPUS; i++)
		plan[i].action = PLAN_RUN;
	world_resume(vm_world(life->vm), plan);
}

static bool tell_debugger(struct lifecycle *life, const struct cpu_stop *stop)
{
	return life->server && debug_server_stopped(life->server, stop);
}

static bool is_reset_awaited(const struct lifecycle *life, const struct cpu_stop *stop)
{
	return stop->is_awaited || (life->server && debug_server_is_non_stop(life->server));
}

/* The machine runs on after a reset of its own, unless a debugger steps or has asked for a stop: it
 * would wait for ever. */
static void restart(struct lifecycle *life, const struct cpu_stop *stop)
{
	struct cpu_stop at_start = {.kind = STOP_RESET,
				    .text = "the guest reset the machine; this is its first "
					    "instruction"};
	struct umbra_err err = {""};

	if (vm_reset(life->vm, &err) < 0) {
		log_error("the guest asked for a reset: %s", err.text);
		finish(life, EXIT_STATUS_TROUBLE);
		return;
	}
	if (!is_reset_awaited(life, stop) || !tell_debugger(life, &at_start))
		resume_all(life);
}

static void die(struct lifecycle *life, const struct cpu_stop *stop)
{
	obituary_log(vm_world(life->vm), stop);
	if (life->server)
		log_error("to look closer, run it again with -S and attach gdb");
	finish(life, EXIT_STATUS_DIED);
}

static void time_out(struct lifecycle *life)
{
	unsigned i;

	log_error("the time is up (--timeout)");
	if (world_state(vm_world(life->vm)) == WORLD_STOPPED) {
		for (i = 0; i < world_vcpu_count(vm_world(life->vm)); i++)
			obituary_log_place(vm_world(life->vm), i);
	}
	finish(life, EXIT_STATUS_TIMEOUT);
}

static void act(struct lifecycle *life, const struct cpu_stop *stop)
{
	const struct stop_verdict verdict = lifecycle_judge(stop, life->options);

	switch (verdict.action) {
	case STOP_ACTION_NONE:
		break;
	case STOP_ACTION_HOLD_OR_GO:
		if (!tell_debugger(life, stop) && !life->options->starts_stopped)
			resume_all(life);
		break;
	case STOP_ACTION_TELL_OR_RESUME:
		if (!tell_debugger(life, stop))
			resume_all(life);
		break;
	case STOP_ACTION_TELL_OR_DIE:
		if (!tell_debugger(life, stop))
			die(life, stop);
		break;
	case STOP_ACTION_RESTART:
		restart(life, stop);
		break;
	case STOP_ACTION_EXIT:
		finish(life, verdict.code);
		break;
	case STOP_ACTION_GIVE_UP:
		log_error("%s", stop->text);
		finish(life, EXIT_STATUS_TROUBLE);
		break;
	case STOP_ACTION_TIME_OUT:
		time_out(life);
		break;
	}
}

/* Events. */

static void on_world(void *ctx)
{
	struct lifecycle *life = ctx;
	struct cpu_stop stop;

	if (life->is_over || !world_take_stop(vm_world(life->vm), &stop))
		return;
	/* A stop that was under way when the time was up; the guest's own end still counts. */
	if (life->is_timed_out && lifecycle_judge(&stop, life->options).action != STOP_ACTION_EXIT)
		stop.kind = STOP_TIMEOUT;
	act(life, &stop);
}

static void on_signal(void *ctx, int fd, unsigned events)
{
	struct lifecycle *life = ctx;
	int sig = signals_take(fd);

	(void)events;
	if (sig)
		finish(life, EXIT_STATUS_SIGNAL + sig);
}

/* The time is up: where the guest stands is worth knowing, so it is stopped first. */
static void on_timer(void *ctx)
{
	struct lifecycle *life = ctx;

	if (life->is_timed_out || world_state(vm_world(life->vm)) == WORLD_STOPPED) {
		time_out(life);
		return;
	}
	life->is_timed_out = true;
	world_stop(vm_world(life->vm), STOP_TIMEOUT);
	loop_timer_arm(life->timer, TIMEOUT_GRACE_NS);
}

static int watch_clock(struct lifecycle *life, struct umbra_err *err)
{
	if (life->options->timeout_ns == 0)
		return 0;
	life->timer = loop_timer_add(life->loop, on_timer, life);
	if (!life->timer)
		return umbra_err_set(err, ENOMEM, "out of memory for --timeout");
	loop_timer_arm(life->timer, life->options->timeout_ns);
	return 0;
}

static void wake_world(void *waker)
{
	loop_wake(waker);
}

static int watch_world(struct lifecycle *life, struct umbra_err *err)
{
	life->world_waker = loop_waker_add(life->loop, on_world, life);
	if (!life->world_waker)
		return umbra_err_set(err, ENOMEM, "out of memory for the machine's stops");
	world_set_notify(vm_world(life->vm), wake_world, life->world_waker);
	return 0;
}

int lifecycle_open(struct lifecycle *life, struct umbra_err *err)
{
	int rc = watch_clock(life, err);

	if (rc == 0)
		rc = watch_world(life, err);
	if (rc == 0)
		rc = loop_add(life->loop, life->signal_fd, LOOP_READ, on_signal, life);
	if (rc < 0 && !err->text[0])
		umbra_err_set(err, -rc, "cannot watch the machine: %s", strerror(-rc));
	return rc;
}

void lifecycle_close(struct lifecycle *life)
{
	loop_del(life->loop, life->signal_fd);
	world_set_notify(vm_world(life->vm), NULL, NULL);
	loop_waker_del(life->world_waker);
	if (life->timer)
		loop_timer_del(life->timer);
}
