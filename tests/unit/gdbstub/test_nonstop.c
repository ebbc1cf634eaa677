/* Non-stop mode, and clients that only look. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGS_OF_1 "06:1616161616161616;07:1717171717171717;08:18181818;"
#define REGS_OF_2 "06:2626262626262626;07:2727272727272727;08:28282828;"
#define REGS_OF_3 "06:3636363636363636;07:3737373737373737;08:38383838;"

static struct rsp_mock *connect_non_stop(void)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "QNonStop:1", "OK"));
	return mock;
}

/* A letter per thread: h c s r. */
static bool has_plan(const struct rsp_mock *mock, const char *wanted)
{
	char plan[MOCK_THREADS + 1] = "";
	unsigned i;

	for (i = 0; i < mock->plan_count; i++)
		plan[i] = "hcsr"[mock->plan[i].action];
	if (strcmp(plan, wanted) != 0)
		cr_log_error("the plan is %s, not %s", plan, wanted);
	return strcmp(plan, wanted) == 0;
}

/* The next output is the notification @body, and its checksum is right. */
static bool hears_note(struct rsp_mock *mock, const char *body)
{
	char frame[RSP_STOP_MAX];
	const uint8_t *bytes;
	uint8_t framed[RSP_STOP_MAX];
	size_t len, have;

	len = rsp_wire_frame(framed, body, strlen(body));
	framed[0] = '%';
	bytes = rsp_session_output(mock->session, &have);
	if (have < len || memcmp(bytes, framed, len) != 0) {
		snprintf(frame, sizeof(frame), "%.*s", (int)have, (const char *)bytes);
		cr_log_error("not %s but %s", body, frame);
		return false;
	}
	rsp_session_sent(mock->session, len);
	return true;
}

static void stop(struct rsp_mock *mock, unsigned thread, uint8_t signal)
{
	struct rsp_stop reply = {.kind = RSP_STOP_SIGNAL, .signal = signal, .thread = thread};

	rsp_session_stopped(mock->session, &reply);
}

Test(nonstop, each_thread_by_itself_then_its_own_notification)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c:2;s:3", "OK"));
	cr_assert(has_plan(mock, "hcs"));
	cr_assert(client_gets(mock, "vCont;c:1", "OK"));
	cr_assert(has_plan(mock, "ccs"));
	stop(mock, 3, 5);
	cr_assert(hears_note(mock, "Stop:T05" REGS_OF_3 "thread:p1.3;core:2;"));
	cr_assert(has_plan(mock, "cch"), "the others go on");
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED, "packets are served");
	stop(mock, 2, 11);
	cr_assert(hears_note(mock, "Stop:T0b" REGS_OF_2 "thread:p1.2;core:1;"));
	cr_assert(has_plan(mock, "chh"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert(client_gets(mock, "vStopped", "OK"), "there is nothing more");
	rsp_mock_close(mock);
}

Test(nonstop, several_stop_at_once_then_fetched_one_by_one)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	stop(mock, 2, 5);
	stop(mock, 3, 4);
	stop(mock, 1, 8);
	cr_assert(hears_note(mock, "Stop:T05" REGS_OF_2 "thread:p1.2;core:1;"));
	cr_assert(client_hears_nothing(mock), "one notification until its news are fetched");
	cr_assert(client_gets(mock, "vStopped", "T04" REGS_OF_3 "thread:p1.3;core:2;"));
	cr_assert(client_gets(mock, "vStopped", "T08" REGS_OF_1 "thread:p1.1;core:0;"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert(has_plan(mock, "hhh"));
	rsp_mock_close(mock);
}

/* For the client a thread runs until it has fetched its news, whatever it sends meanwhile. */
Test(nonstop, resume_before_the_news_are_fetched_then_ignored)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	stop(mock, 2, 5);
	cr_assert(hears_note(mock, "Stop:T05" REGS_OF_2 "thread:p1.2;core:1;"));
	cr_assert(client_gets(mock, "vCont;c", "OK"));
	cr_assert(has_plan(mock, "chc"));
	cr_assert(client_gets(mock, "vCont;t:2", "OK"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert(client_gets(mock, "vCont;s:2", "OK"));
	cr_assert(has_plan(mock, "csc"));
	rsp_mock_close(mock);
}

Test(nonstop, stop_of_one_thread_then_signal_0_and_the_others_go_on)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	rsp_wire_send(mock->session, "vCont;t:p1.3");
	cr_assert(client_hears(mock, "OK"));
	cr_assert(hears_note(mock, "Stop:T00" REGS_OF_3 "thread:p1.3;core:2;"));
	cr_assert(client_hears_nothing(mock));
	cr_assert(has_plan(mock, "cch"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert(client_gets(mock, "vCont;t:p1.3", "OK"), "it is stopped already");
	rsp_mock_close(mock);
}

Test(nonstop, question_then_all_that_are_stopped)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "?", "T05thread:p1.1;core:0;"));
	cr_assert(client_gets(mock, "vStopped", "OK"), "gdb 13.1 cannot take more at once");
	cr_assert(client_gets(mock, "QNonStop:1", "OK"));
	rsp_wire_send(mock->session, "p0");
	cr_assert(client_hears(mock, "1010101010101010"));
	cr_assert(hears_note(mock, "Stop:T00" REGS_OF_2 "thread:p1.2;core:1;"));
	cr_assert(client_gets(mock, "vStopped", "T00" REGS_OF_3 "thread:p1.3;core:2;"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	cr_assert(client_gets(mock, "vCont;c", "OK"));
	cr_assert(client_gets(mock, "?", "OK"), "nobody is stopped");
	stop(mock, 3, 5);
	cr_assert(hears_note(mock, "Stop:T05" REGS_OF_3 "thread:p1.3;core:2;"));
	cr_assert(client_gets(mock, "?", "T05thread:p1.3;core:2;"));
	cr_assert(client_gets(mock, "vStopped", "OK"));
	rsp_mock_close(mock);
}

/* The client never sees that the target pauses for its packets. */
Test(nonstop, packet_while_threads_run_then_the_target_pauses)
{
	struct rsp_mock *mock = connect_non_stop();
	struct rsp_stop pause = {.kind = RSP_STOP_PAUSE, .signal = 5, .thread = 2};

	cr_assert(client_gets(mock, "vCont;c:2", "OK"));
	mock->is_running = true;
	mock->paused = 0;
	cr_assert(client_gets(mock, "qAttached", "1"), "this one needs nothing of the target");
	cr_assert_eq(mock->paused, 0);
	cr_assert_eq(rsp_wire_send(mock->session, "p0"), 5);
	cr_assert_eq(mock->paused, 1);
	mock->is_running = false;
	rsp_session_stopped(mock->session, &pause);
	cr_assert(client_hears_nothing(mock));
	cr_assert(has_plan(mock, "hch"));
	cr_assert_eq(rsp_session_input(mock->session, (const uint8_t *)"0", 1), 1);
	cr_assert(client_hears(mock, "1010101010101010"));
	rsp_mock_close(mock);
}

Test(nonstop, interrupt_then_a_thread_that_runs_has_it)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCtrlC", "OK"));
	cr_assert_eq(mock->interrupted, 0, "nobody runs");
	cr_assert(client_gets(mock, "vCont;c:2", "OK"));
	cr_assert(client_gets(mock, "vCtrlC", "OK"));
	cr_assert_eq(mock->interrupted, 1);
	stop(mock, 1, 2);
	cr_assert(hears_note(mock, "Stop:T02" REGS_OF_2 "thread:p1.2;core:1;"));
	rsp_mock_close(mock);
}

Test(nonstop, end_then_notified_and_over_once_it_was_heard)
{
	struct rsp_mock *mock = connect_non_stop();
	struct rsp_stop end = {.kind = RSP_STOP_EXITED, .signal = 4};

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	rsp_session_stopped(mock->session, &end);
	cr_assert(hears_note(mock, "Stop:W04;process:1"));
	cr_assert(rsp_session_has_news(mock->session));
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	rsp_wire_send(mock->session, "vStopped");
	cr_assert(client_hears(mock, "OK"));
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED);
	cr_assert_not(rsp_session_has_news(mock->session));
	rsp_mock_close(mock);
}

Test(nonstop, off_again_then_all_are_stopped_together)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	cr_assert(client_gets(mock, "QNonStop:0", "OK"));
	cr_assert(has_plan(mock, "hhh"));
	rsp_wire_send(mock->session, "vCont;c");
	cr_assert(client_hears_nothing(mock));
	stop(mock, 2, 5);
	cr_assert(client_hears(mock, "T05" REGS_OF_2 "thread:p1.2;core:1;"));
	rsp_mock_close(mock);
}

Test(nonstop, restart_then_all_stopped_at_the_beginning)
{
	struct rsp_mock *mock = connect_non_stop();

	cr_assert(client_gets(mock, "vCont;c", "OK"));
	cr_assert(client_gets(mock, "vRun;", "T05" REGS_OF_1 "thread:p1.1;core:0;"));
	cr_assert(client_gets(mock, "vCont;c:2", "OK"));
	cr_assert(has_plan(mock, "hch"));
	rsp_mock_close(mock);
}

static bool may_never_control(void *ctx)
{
	(void)ctx;
	return false;
}

Test(nonstop, target_that_cannot_pause_then_refused)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	mock->run.may_control = NULL;
	mock->run.pause = NULL;
	rsp_mock_reopen(mock);
	cr_assert(client_gets(mock, "QNonStop:1", "E16"));
	cr_assert(client_gets(mock, "QNonStop:0", "OK"));
	mock->run.may_control = may_never_control;
	rsp_session_close(mock->session);
	mock->session = NULL;
	cr_assert_neq(rsp_session_open(&mock->session, &mock->target), 0,
		      "who only looks needs pauses");
	rsp_mock_close(mock);
}

/* Readers. */

#define REFUSAL "E.another client controls the target, this one may only look"

static struct rsp_mock *connect_reader(void)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	mock->is_controlled = true;
	rsp_wire_send(mock->session, "qSupported:multiprocess+");
	rsp_wire_send(mock->session, "QStartNoAckMode");
	rsp_wire_drain(mock->session);
	cr_assert(rsp_session_is_reader(mock->session));
	cr_assert_eq(mock->attached, 0);
	return mock;
}

Test(reader, what_changes_something_then_refused)
{
	static const char *const changes[] = {
		"G00",	   "P0=00", "M10000,1:00", "X10000,1:a", "c",	     "s",
		"C05",	   "S05",   "vCont;c",	   "vCont;t",	 "Z0,1,1",   "z0,1,1",
		"vKill;1", "R00",   "vRun;",	   "vCtrlC",	 "vStopped", "QThreadEvents:1"};
	struct rsp_mock *mock = connect_reader();
	size_t i;

	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		cr_expect(client_gets(mock, changes[i], REFUSAL), "%s", changes[i]);
	cr_expect(client_gets(mock, "QNonStop:1", "E16"));
	cr_assert_eq(mock->changes + mock->resumed + mock->interrupted + mock->killed +
			     mock->restarted + mock->inserted + mock->removed,
		     0);
	rsp_mock_close(mock);
}

Test(reader, questions_then_answered_while_the_target_pauses)
{
	struct rsp_mock *mock = connect_reader();
	struct rsp_stop end = {.kind = RSP_STOP_EXITED, .signal = 4};

	cr_assert(client_gets(mock, "?", "T05thread:p1.1;core:0;"));
	cr_assert(client_gets(mock, "Hgp1.2", "OK"));
	cr_assert(client_gets(mock, "p0", "2020202020202020"));
	mock->is_running = true;
	mock->paused = 0;
	cr_assert_eq(rsp_wire_send(mock->session, "p1"), 5);
	cr_assert_eq(mock->paused, 1);
	stop(mock, 1, 5);
	cr_assert(client_hears_nothing(mock), "a stop is not this one's");
	mock->is_running = false;
	rsp_session_input(mock->session, (const uint8_t *)"1", 1);
	cr_assert(client_hears(mock, "2121212121212121"));
	rsp_session_stopped(mock->session, &end);
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED);
	rsp_mock_close(mock);
}

Test(reader, leaving_then_the_target_is_not_touched)
{
	struct rsp_mock *mock = connect_reader();

	cr_assert(client_gets(mock, "D;1", "OK"));
	cr_assert_eq(rsp_session_state(mock->session), RSP_DETACHED);
	cr_assert_eq(mock->detached, 0);
	rsp_mock_close(mock);
	mock = connect_reader();
	rsp_wire_send(mock->session, "k");
	cr_assert(client_hears_nothing(mock));
	cr_assert_eq(rsp_session_state(mock->session), RSP_DETACHED);
	cr_assert_eq(mock->killed, 0);
	rsp_mock_close(mock);
}
