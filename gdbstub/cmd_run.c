/* Going, stopping and leaving: c s C S vCont, vCtrlC, D, k, vKill, R, vRun.
 *
 * A resume sends nothing; the stop reply that rsp_session_stopped makes is its answer.
 * Source: Debugging with GDB, E.2 Packets (vCont), E.3 Stop Reply Packets. */
#include "internal.h"

struct plans {
	struct rsp_plan plan[RSP_MAX_THREADS];
	bool is_decided[RSP_MAX_THREADS]; /* the leftmost action that matches a thread counts */
	unsigned count;
};

struct vcont_action {
	struct rsp_plan plan;
	int32_t thread;
};

static void plans_clear(struct rsp_session *s, struct plans *plans)
{
	static const struct rsp_plan hold = {.action = RSP_HOLD};
	unsigned i;

	plans->count = rsp_thread_count(s);
	for (i = 0; i < plans->count; i++) {
		plans->plan[i] = hold;
		plans->is_decided[i] = false;
	}
}

/* Returns 0, or RSP_WIRE_ESRCH for a thread that does not exist. */
static int plans_apply(struct rsp_session *s, struct plans *plans,
		       const struct vcont_action *action)
{
	int32_t thread = action->thread;
	unsigned i;

	if (thread == RSP_THREAD_ANY)
		thread = (int32_t)rsp_current_thread(s);
	if (thread != RSP_THREAD_ALL && !rsp_thread_exists(s, thread))
		return RSP_WIRE_ESRCH;
	for (i = 0; i < plans->count; i++) {
		bool is_match = thread == RSP_THREAD_ALL || (uint32_t)thread == i + 1;

		if (is_match && !plans->is_decided[i]) {
			plans->plan[i] = action->plan;
			plans->is_decided[i] = true;
		}
	}
	return 0;
}

/* A plan that moves no thread would never stop: say at once that the target is stopped, or, to a
 * client that knows the word for it, that nothing goes. */
static void answer_held(struct rsp_session *s)
{
	struct rsp_stop stop = {
		.kind = RSP_STOP_SIGNAL,
		.signal = RSP_SIGNAL_NONE,
		.thread = rsp_current_thread(s),
	};

	if (s->has_no_resumed) {
		rsp_answer_text(s, "N");
		return;
	}
	rsp_stop_record(s, &stop);
	rsp_stop_answer(s);
}

/* Only those that an action is for change what they do. */
static void resume_non_stop(struct rsp_session *s, const struct plans *plans)
{
	unsigned i;

	for (i = 0; i < plans->count; i++)
		if (plans->is_decided[i])
			rsp_non_stop_plan(s, i + 1, &plans->plan[i]);
	rsp_answer_text(s, "OK");
	rsp_non_stop_resume(s);
}

static void resume(struct rsp_session *s, const struct plans *plans)
{
	unsigned i = 0;

	if (s->is_non_stop) {
		resume_non_stop(s, plans);
		return;
	}
	if (s->is_stop_held) {
		s->is_stop_held = false;
		rsp_stop_answer(s);
		return;
	}
	while (i < plans->count && plans->plan[i].action == RSP_HOLD)
		i++;
	if (i == plans->count) {
		answer_held(s);
		return;
	}
	s->is_interrupt_sent = false;
	s->state = RSP_RUNNING;
	s->target->run->resume(s->target->ctx, plans->plan, plans->count);
}

/* The old commands.  Hc names the only thread that goes; without one all go, and a step is for the
 * current thread alone. */
static void resume_all(struct rsp_session *s, enum rsp_action action, uint8_t signal)
{
	struct vcont_action first = {.plan = {.action = action, .signal = signal},
				     .thread = s->continue_thread};
	struct vcont_action rest = {.plan.action = RSP_CONTINUE, .thread = RSP_THREAD_ALL};
	struct plans plans;

	plans_clear(s, &plans);
	if (first.thread <= 0)
		first.thread = action == RSP_STEP ? RSP_THREAD_ANY : RSP_THREAD_ALL;
	if (plans_apply(s, &plans, &first) != 0) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	if (s->continue_thread <= 0)
		plans_apply(s, &plans, &rest);
	resume(s, &plans);
}

/* Go on, with a signal as the first argument if @has_signal, from an address if one follows. */
static void resume_from(struct rsp_session *s, const struct rsp_args *args, bool has_signal,
			enum rsp_action action)
{
	unsigned index = has_signal;
	const struct rsp_target *target = s->target;
	unsigned thread = rsp_current_thread(s);
	int error;

	if (args->number_count > index) {
		if (s->continue_thread > 0)
			thread = (unsigned)s->continue_thread;
		error = RSP_WIRE_EINVAL;
		if (target->base->pc_write)
			error = target->base->pc_write(target->ctx, thread, args->number[index]);
		if (error) {
			rsp_answer_error(s, error);
			return;
		}
	}
	resume_all(s, action, has_signal ? (uint8_t)args->number[0] : 0);
}

void rsp_cmd_continue(struct rsp_session *s, const struct rsp_args *args)
{
	resume_from(s, args, false, RSP_CONTINUE);
}

void rsp_cmd_continue_signal(struct rsp_session *s, const struct rsp_args *args)
{
	resume_from(s, args, true, RSP_CONTINUE);
}

void rsp_cmd_step(struct rsp_session *s, const struct rsp_args *args)
{
	resume_from(s, args, false, RSP_STEP);
}

void rsp_cmd_step_signal(struct rsp_session *s, const struct rsp_args *args)
{
	resume_from(s, args, true, RSP_STEP);
}

static bool parse_range(struct rsp_cursor *cursor, struct rsp_plan *plan)
{
	plan->action = RSP_RANGE;
	if (!rsp_parse_u64(cursor, &plan->start) || !rsp_parse_char(cursor, ',') ||
	    !rsp_parse_u64(cursor, &plan->end))
		return false;
	if (plan->start == plan->end)
		plan->action = RSP_STEP;
	return plan->start <= plan->end;
}

static bool parse_signal(struct rsp_cursor *cursor, struct rsp_plan *plan)
{
	if (cursor->end - cursor->at < 2 || !rsp_hex_decode(&plan->signal, cursor->at, 2))
		return false;
	cursor->at += 2;
	return true;
}

static bool parse_verb(struct rsp_cursor *cursor, struct rsp_plan *plan)
{
	if (cursor->at == cursor->end)
		return false;
	switch (*cursor->at++) {
	case 'c':
		plan->action = RSP_CONTINUE;
		return true;
	case 'C':
		plan->action = RSP_CONTINUE;
		return parse_signal(cursor, plan);
	case 's':
		plan->action = RSP_STEP;
		return true;
	case 'S':
		plan->action = RSP_STEP;
		return parse_signal(cursor, plan);
	case 't':
		plan->action = RSP_HOLD;
		return true;
	case 'r':
		return parse_range(cursor, plan);
	default:
		return false;
	}
}

/* One "verb[:thread]", up to the ';' that follows or the end. */
static bool parse_action(struct rsp_cursor *cursor, struct vcont_action *action)
{
	action->plan = (struct rsp_plan){.action = RSP_HOLD};
	action->thread = RSP_THREAD_ALL;
	if (!parse_verb(cursor, &action->plan))
		return false;
	if (rsp_parse_char(cursor, ':') && !rsp_parse_thread(cursor, &action->thread))
		return false;
	return cursor->at == cursor->end || *cursor->at == ';';
}

void rsp_cmd_vcont(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};
	struct vcont_action action;
	struct plans plans;
	int error;

	plans_clear(s, &plans);
	do {
		error = RSP_WIRE_EINVAL;
		if (parse_action(&cursor, &action))
			error = plans_apply(s, &plans, &action);
		if (error) {
			rsp_answer_error(s, error);
			return;
		}
	} while (rsp_parse_char(&cursor, ';'));
	resume(s, &plans);
}

void rsp_cmd_thread_events(struct rsp_session *s, const struct rsp_args *args)
{
	s->has_thread_events = args->number[0] != 0;
	s->target->run->thread_events(s->target->ctx, s->has_thread_events);
	rsp_answer_text(s, "OK");
}

void rsp_cmd_vcont_list(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "vCont;c;C;s;S;t;r");
}

void rsp_cmd_ctrl_c(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "OK");
	rsp_session_interrupt(s);
}

void rsp_cmd_detach(struct rsp_session *s, const struct rsp_args *args)
{
	if (args->number_count && args->number[0] != 1) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	rsp_answer_text(s, "OK");
	s->state = RSP_DETACHED;
	if (!s->is_reader)
		s->target->run->detach(s->target->ctx);
}

/* No answer is defined for k. */
void rsp_cmd_kill(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->state = RSP_KILLED;
	s->target->run->kill(s->target->ctx);
}

void rsp_cmd_vkill(struct rsp_session *s, const struct rsp_args *args)
{
	if (args->number[0] != 1) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	rsp_answer_text(s, "OK");
	/* gdb's `run` kills first and then says vRun, on the same connection. */
	if (s->is_extended && s->target->run->restart && s->state == RSP_STOPPED) {
		s->is_kill_due = true;
		return;
	}
	rsp_cmd_kill(s, args);
}

static int restart(struct rsp_session *s)
{
	struct rsp_stop stop = {
		.kind = RSP_STOP_SIGNAL,
		.signal = RSP_SIGNAL_TRAP,
		.thread = 1,
	};
	int error = s->target->run->restart(s->target->ctx);

	if (error == 0) {
		rsp_non_stop_restarted(s);
		rsp_stop_record(s, &stop);
		s->continue_thread = RSP_THREAD_ANY;
		s->is_kill_due = false;
	}
	return error;
}

/* No answer is defined for R: the client asks with ? what became of it. */
void rsp_cmd_restart(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	restart(s);
}

/* The file name and arguments are those of a program; a machine starts what it was given. */
void rsp_cmd_vrun(struct rsp_session *s, const struct rsp_args *args)
{
	int error = restart(s);

	(void)args;
	if (error)
		rsp_answer_error(s, error);
	else
		rsp_stop_answer(s);
}
