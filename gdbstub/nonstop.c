/* Non-stop mode: each thread stops by itself, and the others go on.
 *
 * The target is asked to pause for a moment whenever a packet needs it to stand still, so threads
 * are never looked at while they move; the client sees none of that.  News of stops travel in a
 * notification, %Stop, with the first of them; the client fetches the others one by one with
 * vStopped, and only then another notification may be sent.  Until its news were fetched, a thread
 * runs as far as the client knows, and what the client says of it does not count.
 * Source: Debugging with GDB, E.2 Packets (vCont), E.9 Notification Packets, E.10 Remote Non-Stop.
 */
#include "internal.h"

bool rsp_non_stop_is_running(const struct rsp_session *s)
{
	unsigned count = rsp_thread_count(s);
	unsigned i;

	for (i = 0; i < count; i++)
		if (s->thread[i].state == RSP_THREAD_RUNS)
			return true;
	return false;
}

/* News. */

/* The thread whose news are the oldest of those behind @turn, or NULL. */
static struct rsp_thread_run *next_news(struct rsp_session *s, unsigned turn)
{
	struct rsp_thread_run *found = NULL;
	unsigned count = rsp_thread_count(s);
	unsigned i;

	for (i = 0; i < count; i++) {
		struct rsp_thread_run *thread = &s->thread[i];

		if (thread->state == RSP_THREAD_NEWS && thread->turn > turn &&
		    (!found || thread->turn < found->turn))
			found = thread;
	}
	return found;
}

static void notify(struct rsp_session *s)
{
	const struct rsp_thread_run *first = next_news(s, 0);

	if (s->is_note_out || s->is_asked || !first)
		return;
	s->is_note_out = true;
	s->note_turn = first->turn;
	rsp_reply_begin(s);
	rsp_reply_text(s, "Stop:");
	rsp_stop_put(s, &first->stop);
	rsp_reply_end_note(s);
}

void rsp_non_stop_resume(struct rsp_session *s)
{
	static const struct rsp_plan hold = {.action = RSP_HOLD};
	struct rsp_plan plan[RSP_MAX_THREADS];
	unsigned count = rsp_thread_count(s);
	unsigned i;

	notify(s);
	for (i = 0; i < count; i++) {
		plan[i] = hold;
		if (s->thread[i].state == RSP_THREAD_RUNS)
			plan[i] = s->thread[i].plan;
	}
	s->target->run->resume(s->target->ctx, plan, count);
}

static void add_news(struct rsp_session *s, unsigned thread, const struct rsp_stop *stop)
{
	struct rsp_thread_run *t = &s->thread[thread - 1];

	t->state = RSP_THREAD_NEWS;
	t->turn = ++s->last_turn;
	t->stop = *stop;
	t->stop.thread = thread;
}

/* The news of all up to note_turn are fetched, and those threads stopped. */
static void settle_news(struct rsp_session *s)
{
	unsigned count = rsp_thread_count(s);
	unsigned i;

	for (i = 0; i < count; i++)
		if (s->thread[i].state == RSP_THREAD_NEWS && s->thread[i].turn <= s->note_turn)
			s->thread[i].state = RSP_THREAD_STOPPED;
}

/* The next of the news as an answer, or OK when there are no more. */
static void answer_next(struct rsp_session *s,
			void (*put)(struct rsp_session *s, const struct rsp_stop *stop))
{
	const struct rsp_thread_run *next = next_news(s, s->note_turn);

	if (!next) {
		s->is_note_out = false;
		rsp_answer_text(s, "OK");
		return;
	}
	s->note_turn = next->turn;
	rsp_reply_begin(s);
	put(s, &next->stop);
	rsp_reply_end_packed(s);
}

void rsp_cmd_next_stop(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	if (!s->is_non_stop || !s->is_note_out) {
		rsp_answer_text(s, "OK");
		return;
	}
	settle_news(s);
	if (s->is_asked) {
		s->is_note_out = false;
		rsp_answer_text(s, "OK");
		return;
	}
	if (rsp_stop_is_end(&s->last_stop)) {
		s->is_note_out = false;
		rsp_answer_text(s, "OK");
		s->state = RSP_KILLED;
		return;
	}
	answer_next(s, rsp_stop_put);
}

/* Every stopped thread is told of, as if it had just stopped, that of the last stop first.
 * DEVIATES: vStopped gives no more than this one, and the others come by a notification later: gdb
 * 13.1 asserts that nothing is left to fetch while it looks at what it got (remote_target::wait,
 * before it is in asynchronous mode), and ends. */
void rsp_non_stop_reason(struct rsp_session *s)
{
	unsigned first = s->last_stop.thread;
	unsigned count = rsp_thread_count(s);
	unsigned i;

	if (first <= count && s->thread[first - 1].state == RSP_THREAD_STOPPED)
		add_news(s, first, &s->thread[first - 1].stop);
	for (i = 0; i < count; i++)
		if (s->thread[i].state == RSP_THREAD_STOPPED)
			add_news(s, i + 1, &s->thread[i].stop);
	s->note_turn = 0;
	s->is_note_out = true;
	answer_next(s, rsp_stop_put_asked);
	s->is_asked = s->is_note_out;
}

/* What such a client sends between its question and the look at the answer are settings. */
void rsp_non_stop_served(struct rsp_session *s, const struct rsp_command *command)
{
	bool is_look = !command->may_run_while_running && command->name[0] != 'Q' &&
		       command->run != rsp_cmd_reason && command->run != rsp_cmd_next_stop;

	if (s->is_asked && is_look) {
		s->is_asked = false;
		notify(s);
	}
}

/* Stops. */

/* Who stopped: a thread that stands still already cannot have, so it was one that runs; 0: none
 * does. */
static unsigned stopped_thread(const struct rsp_session *s, const struct rsp_stop *stop)
{
	unsigned count = rsp_thread_count(s);
	unsigned i;

	if (stop->thread >= 1 && stop->thread <= count &&
	    s->thread[stop->thread - 1].state == RSP_THREAD_RUNS)
		return stop->thread;
	for (i = 0; i < count; i++)
		if (s->thread[i].state == RSP_THREAD_RUNS)
			return i + 1;
	return 0;
}

/* The end of the target takes the place of all other news. */
static void tell_end(struct rsp_session *s, const struct rsp_stop *stop)
{
	rsp_stop_record(s, stop);
	s->is_note_out = true;
	rsp_reply_begin(s);
	rsp_reply_text(s, "Stop:");
	rsp_stop_put(s, stop);
	rsp_reply_end_note(s);
}

void rsp_non_stop_stopped(struct rsp_session *s, const struct rsp_stop *stop)
{
	unsigned thread = stopped_thread(s, stop);

	if (rsp_stop_is_end(stop)) {
		tell_end(s, stop);
		return;
	}
	s->is_interrupt_sent = false;
	if (thread)
		add_news(s, thread, stop);
	rsp_non_stop_resume(s);
}

/* Commands. */

void rsp_non_stop_plan(struct rsp_session *s, unsigned thread, const struct rsp_plan *plan)
{
	static const struct rsp_stop asked = {.kind = RSP_STOP_SIGNAL, .signal = RSP_SIGNAL_NONE};
	struct rsp_thread_run *t = &s->thread[thread - 1];

	/* The target pauses now, so that a thread that is to stop has stopped. */
	if (plan->action == RSP_HOLD && t->state == RSP_THREAD_RUNS) {
		add_news(s, thread, &asked);
	} else if (plan->action != RSP_HOLD && t->state == RSP_THREAD_STOPPED) {
		t->state = RSP_THREAD_RUNS;
		t->plan = *plan;
	}
}

void rsp_non_stop_restarted(struct rsp_session *s)
{
	static const struct rsp_stop none = {.kind = RSP_STOP_SIGNAL, .signal = RSP_SIGNAL_NONE};
	unsigned i;

	for (i = 0; i < RSP_MAX_THREADS; i++) {
		s->thread[i].state = RSP_THREAD_STOPPED;
		s->thread[i].stop = none;
		s->thread[i].stop.thread = i + 1;
	}
	s->is_note_out = false;
	s->is_asked = false;
}

/* On: all threads are stopped, as far as the client knows, and stay so until it says otherwise.
 * Off: they are stopped. */
void rsp_cmd_non_stop(struct rsp_session *s, const struct rsp_args *args)
{
	uint64_t mode = args->number[0];

	if (mode > 1 || (mode == 1 && (!s->target->run->pause || s->is_reader))) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	if (s->is_non_stop != (mode == 1)) {
		rsp_non_stop_restarted(s);
		s->thread[s->last_stop.thread - 1].stop = s->last_stop;
		if (s->is_non_stop)
			rsp_non_stop_resume(s);
	}
	s->is_non_stop = mode == 1;
	rsp_answer_text(s, "OK");
}
