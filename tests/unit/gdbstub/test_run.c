/* Attach, resume, stop, interrupt, leave: one stop reply per resume, and what may come between. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *packet;
	const char *plan; /* a letter per thread: h c s r */
} resumes[] = {
	{"c", "ccc"},
	{"C05", "ccc"},
	{"s", "scc"},
	{"S0b", "scc"},
	{"vCont;c", "ccc"},
	{"vCont;c:p1.-1", "ccc"},
	{"vCont;c:-1", "ccc"},
	{"vCont;c:p1", "ccc"},
	{"vCont;C05", "ccc"},
	{"vCont;s:p1.2", "hsh"},
	{"vCont;s:2;c", "csc"},
	{"vCont;s:p1.1;c:p1.-1", "scc"},
	{"vCont;S05:p1.3;c", "ccs"},
	{"vCont;c;s:2", "ccc"},
	{"vCont;t:2;c", "chc"},
	{"vCont;r1000,1010:p1.1", "rhh"},
	{"vCont;r1000,1010:p1.1;c", "rcc"},
	{"vCont;r1000,1000:p1.1;c", "scc"},
	{"vCont;s:0;c", "scc"},
	{"vCont;s:1;s:1;c:1;t", "shh"},
};

Test(run, resumes_then_plan_per_thread_and_no_answer)
{
	size_t i, k;

	for (i = 0; i < COUNT(resumes); i++) {
		struct rsp_mock *mock = client_connect();
		char plan[MOCK_THREADS + 1] = "";

		rsp_wire_send(mock->session, resumes[i].packet);
		cr_expect_eq(mock->resumed, 1, "%s", resumes[i].packet);
		cr_expect_eq(mock->plan_count, MOCK_THREADS);
		for (k = 0; k < mock->plan_count; k++)
			plan[k] = "hcsr"[mock->plan[k].action];
		cr_expect_str_eq(plan, resumes[i].plan, "%s: %s", resumes[i].packet, plan);
		cr_expect(client_hears_nothing(mock));
		cr_expect_eq(rsp_session_state(mock->session), RSP_RUNNING);
		rsp_mock_close(mock);
	}
}

Test(run, range_step_then_bounds_passed_on)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "vCont;rffffffff80000000,ffffffff80000010:p1.2");
	cr_assert_eq(mock->plan[1].action, RSP_RANGE);
	cr_assert_eq(mock->plan[1].start, 0xffffffff80000000);
	cr_assert_eq(mock->plan[1].end, 0xffffffff80000010);
	rsp_mock_close(mock);
}

static const struct {
	const char *packet, *answer;
} bad_resumes[] = {
	{"vCont;r1000:1", "E16"}, {"vCont;r1010,1000", "E16"}, {"vCont;s:", "E16"},
	{"vCont;s:p1.", "E16"},	  {"vCont;s:1,", "E16"},       {"vCont;C5", "E16"},
	{"vCont;s1", "E16"},	  {"vCont;;c", "E16"},	       {"vCont;c:1;x", "E16"},
	{"vCont;s:p1.4", "E03"},  {"vCont;s:p2.1;c", "E03"},   {"vCont;r1,", "E16"},
	{"vCont;r,1", "E16"},
};

Test(run, malformed_resumes_then_error_and_target_stays)
{
	struct rsp_mock *mock = client_connect();
	size_t i;

	for (i = 0; i < COUNT(bad_resumes); i++) {
		cr_expect(client_gets(mock, bad_resumes[i].packet, bad_resumes[i].answer), "%s",
			  bad_resumes[i].packet);
	}
	cr_assert_eq(mock->resumed, 0);
	rsp_mock_close(mock);
}

Test(run, all_threads_held_when_the_client_knows_the_word_then_nothing_goes)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "qSupported:no-resumed+");
	rsp_wire_drain(mock->session);
	cr_assert(client_gets(mock, "vCont;t", "N"));
	cr_assert_eq(mock->resumed, 0);
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	rsp_mock_close(mock);
}

Test(run, thread_events_when_asked_for_then_told_and_otherwise_not)
{
	struct rsp_stop begun = {.kind = RSP_STOP_CREATED, .signal = 5, .thread = 3};
	struct rsp_stop gone = {.kind = RSP_STOP_THREAD_GONE, .signal = 7, .thread = 2};
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));

	cr_assert(answer);
	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_stopped(mock->session, &begun);
	cr_assert(client_hears_nothing(mock));
	cr_assert(client_gets(mock, "QThreadEvents:1", "OK"));
	cr_assert_eq(mock->thread_events, 1);
	rsp_session_stopped(mock->session, &begun);
	answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	cr_assert_eq(strncmp(answer->text, "T05create:;", 11), 0);
	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_stopped(mock->session, &gone);
	cr_assert(client_hears(mock, "w07;p1.2"));
	cr_assert(client_gets(mock, "QThreadEvents:0", "OK"));
	cr_assert_eq(mock->thread_events, 0);
	free(answer);
	rsp_mock_close(mock);
}

Test(run, all_threads_held_then_stop_reply_at_once)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));

	cr_assert(answer);
	client_ask(mock, "vCont;t", answer);
	cr_assert_eq(strncmp(answer->text, "T00", 3), 0);
	cr_assert_eq(mock->resumed, 0);
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	free(answer);
	rsp_mock_close(mock);
}

Test(run, continue_at_address_then_pc_written_first)
{
	struct rsp_mock *mock = client_connect();
	uint64_t pc;

	rsp_wire_send(mock->session, "c12345678");
	memcpy(&pc, mock->regs[1][7], sizeof(pc));
	cr_assert_eq(pc, 0x12345678);
	rsp_mock_stop(mock, 1);
	rsp_wire_send(mock->session, "Hc2");
	rsp_wire_send(mock->session, "S05;1000");
	memcpy(&pc, mock->regs[2][7], sizeof(pc));
	cr_assert_eq(pc, 0x1000);
	cr_assert_eq(mock->plan[0].action, RSP_HOLD);
	cr_assert_eq(mock->plan[1].action, RSP_STEP);
	rsp_mock_stop(mock, 1);
	rsp_wire_drain(mock->session);
	mock->error = 5;
	cr_assert(client_gets(mock, "s1000", "E05"));
	mock->base.pc_write = NULL;
	cr_assert(client_gets(mock, "c1000", "E16"));
	cr_assert_eq(mock->resumed, 2);
	rsp_mock_close(mock);
}

#define REGS_OF_2 "06:2626262626262626;07:2727272727272727;08:28282828;"

static const struct {
	struct rsp_stop stop;
	const char *answer;
} stops[] = {
	{{.kind = RSP_STOP_SIGNAL, .signal = 2, .thread = 2},
	 "T02" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_SWBREAK, .signal = 5, .thread = 2},
	 "T05swbreak:;" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_HWBREAK, .signal = 5, .thread = 2},
	 "T05hwbreak:;" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_WATCH,
	  .signal = 5,
	  .thread = 2,
	  .watch = RSP_WATCH_WRITE,
	  .addr = 0xffff800000001234},
	 "T05watch:ffff800000001234;" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_WATCH, .signal = 5, .thread = 2, .watch = RSP_WATCH_READ},
	 "T05rwatch:0;" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_WATCH, .signal = 5, .thread = 2, .watch = RSP_WATCH_ACCESS, .addr = 16},
	 "T05awatch:10;" REGS_OF_2 "thread:p1.2;core:1;"},
	{{.kind = RSP_STOP_KILLED, .signal = 15}, "X0f;process:1"},
	{{.kind = RSP_STOP_EXITED, .signal = 3}, "W03;process:1"},
};

Test(run, stops_then_their_replies)
{
	size_t i;

	for (i = 0; i < COUNT(stops); i++) {
		struct rsp_mock *mock = client_connect();

		rsp_wire_send(mock->session, "vCont;c");
		rsp_session_stopped(mock->session, &stops[i].stop);
		cr_expect(client_hears(mock, stops[i].answer));
		cr_expect(client_hears_nothing(mock));
		rsp_mock_close(mock);
	}
}

Test(run, client_without_features_then_plain_ids_and_reasons)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	rsp_wire_send(mock->session, "qSupported:swbreak-");
	rsp_wire_send(mock->session, "vCont;c");
	rsp_wire_drain(mock->session);
	rsp_session_stopped(mock->session, &stops[1].stop);
	cr_assert(client_hears(mock, "T05" REGS_OF_2 "thread:2;core:1;"));
	cr_assert(client_gets(mock, "qC", "QC2"));
	rsp_wire_send(mock->session, "c");
	rsp_session_stopped(mock->session, &stops[COUNT(stops) - 1].stop);
	cr_assert(client_hears(mock, "W03"));
	rsp_mock_close(mock);
}

Test(run, stop_then_its_thread_is_current)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "Hgp1.3");
	rsp_wire_send(mock->session, "vCont;c");
	rsp_mock_stop(mock, 2);
	rsp_wire_drain(mock->session);
	cr_assert(client_gets(mock, "qC", "QCp1.2"));
	cr_assert(client_gets(mock, "p0", "2020202020202020"));
	rsp_mock_close(mock);
}

Test(run, more_stops_than_resumes_then_one_reply)
{
	struct rsp_mock *mock = client_connect();

	rsp_mock_stop(mock, 1);
	cr_assert(client_hears_nothing(mock));
	rsp_wire_send(mock->session, "vCont;c");
	rsp_mock_stop(mock, 1);
	rsp_mock_stop(mock, 2);
	rsp_mock_stop(mock, 3);
	cr_assert_gt(rsp_wire_drain(mock->session), 0);
	cr_assert_eq(rsp_session_stats(mock->session).packets_out, 3);
	rsp_mock_close(mock);
}

Test(run, interrupt_while_running_then_asked_once)
{
	struct rsp_mock *mock = client_connect();
	const uint8_t ctrl_c[] = {3, 3};

	rsp_session_input(mock->session, ctrl_c, 2);
	cr_assert_eq(mock->interrupted, 0);
	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_input(mock->session, ctrl_c, 2);
	cr_assert_eq(mock->interrupted, 1);
	cr_assert(client_gets(mock, "vCtrlC", "OK"));
	cr_assert_eq(mock->interrupted, 1);
	rsp_mock_stop(mock, 1);
	rsp_wire_drain(mock->session);
	rsp_session_input(mock->session, ctrl_c, 2);
	cr_assert_eq(mock->interrupted, 1);
	cr_assert(client_hears_nothing(mock));
	rsp_wire_send(mock->session, "vCont;c");
	cr_assert(client_gets(mock, "vCtrlC", "OK"));
	cr_assert_eq(mock->interrupted, 2);
	rsp_mock_close(mock);
}

Test(run, packet_while_running_then_held_until_stop)
{
	struct rsp_mock *mock = client_connect();
	const uint8_t *packet = (const uint8_t *)"$qC#b4";

	rsp_wire_send(mock->session, "vCont;c");
	cr_assert_eq(rsp_session_input(mock->session, packet, 6), 5);
	cr_assert_eq(rsp_session_input(mock->session, packet + 5, 1), 0);
	cr_assert(client_hears_nothing(mock));
	rsp_mock_stop(mock, 3);
	cr_assert_eq(rsp_session_input(mock->session, packet + 5, 1), 1);
	cr_assert_gt(rsp_session_stats(mock->session).packets_out, 3);
	rsp_wire_drain(mock->session);
	cr_assert(client_gets(mock, "qC", "QCp1.3"));
	rsp_mock_close(mock);
}

Test(run, interrupt_behind_held_packets_then_honoured_once)
{
	struct rsp_mock *mock = client_connect();
	const uint8_t *bytes = (const uint8_t *)"$qC#b4$m0,3\003#00+\003";

	rsp_wire_send(mock->session, "vCont;c");
	cr_assert_eq(rsp_session_input(mock->session, bytes, 15), 5);
	cr_assert_eq(mock->interrupted, 0);
	cr_assert_eq(rsp_session_input(mock->session, bytes + 5, 12), 0);
	cr_assert_eq(mock->interrupted, 1);
	cr_assert_eq(rsp_session_input(mock->session, bytes + 5, 12), 0);
	cr_assert_eq(mock->interrupted, 1);
	rsp_mock_stop(mock, 1);
	cr_assert_eq(rsp_session_input(mock->session, bytes + 5, 12), 12);
	cr_assert_eq(mock->interrupted, 1);
	rsp_mock_close(mock);
}

Test(run, attach_that_takes_time_then_queries_answered_and_the_rest_waits)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	mock->does_attach_at_once = false;
	cr_assert(client_gets(mock, "vMustReplyEmpty", ""));
	cr_assert_eq(rsp_session_state(mock->session), RSP_ATTACHING);
	cr_assert(client_gets(mock, "qAttached", "1"));
	cr_assert_eq(rsp_wire_send(mock->session, "?"), 4);
	cr_assert_eq(rsp_session_input(mock->session, (const uint8_t *)"f\003", 2), 0);
	cr_assert_eq(mock->interrupted, 0);
	rsp_session_stopped(mock->session, &stops[1].stop);
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	cr_assert(client_hears_nothing(mock));
	cr_assert_eq(rsp_session_input(mock->session, (const uint8_t *)"f", 1), 1);
	cr_assert(client_hears(mock, "T05thread:2;core:1;"));
	cr_assert_eq(mock->attached, 1);
	rsp_mock_close(mock);
}

Test(run, stop_before_the_first_packet_then_first_question_tells_it)
{
	struct rsp_mock *mock = rsp_mock_open();
	struct rsp_stop fault = {.kind = RSP_STOP_SWBREAK, .signal = 11, .thread = 2};

	cr_assert(mock);
	rsp_session_stopped(mock->session, &fault);
	cr_assert_eq(rsp_session_state(mock->session), RSP_NEW);
	rsp_wire_send(mock->session, "qSupported:swbreak+");
	rsp_wire_drain(mock->session);
	cr_assert(client_gets(mock, "vCtrlC", "OK"));
	rsp_wire_send(mock->session, "?");
	cr_assert(client_hears(mock, "T0bthread:2;core:1;"));
	rsp_session_reset(mock->session);
	rsp_wire_send(mock->session, "qC");
	cr_assert(client_hears(mock, "QC1"));
	rsp_mock_close(mock);
}

Test(run, exit_at_any_time_then_killed_and_reported_only_if_awaited)
{
	struct rsp_stop exited = {.kind = RSP_STOP_EXITED, .signal = 0};
	struct rsp_mock *mock = client_connect();

	rsp_session_stopped(mock->session, &exited);
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED);
	cr_assert(client_hears_nothing(mock));
	cr_assert_eq(rsp_wire_send(mock->session, "g"), 5);
	cr_assert(client_hears_nothing(mock));
	rsp_mock_close(mock);
}

Test(run, detach_and_kill_while_running_then_done_at_once)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "vCont;c");
	cr_assert(client_gets(mock, "D;1", "OK"));
	cr_assert_eq(rsp_session_state(mock->session), RSP_DETACHED);
	cr_assert_eq(mock->detached, 1);
	rsp_mock_stop(mock, 1);
	cr_assert(client_hears_nothing(mock));
	rsp_mock_close(mock);

	mock = client_connect();
	rsp_wire_send(mock->session, "vCont;c");
	rsp_wire_send(mock->session, "k");
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED);
	cr_assert_eq(mock->killed, 1);
	cr_assert(client_hears_nothing(mock));
	rsp_mock_close(mock);

	mock = client_connect();
	cr_assert(client_gets(mock, "vKill;1", "OK"));
	cr_assert_eq(mock->killed, 1);
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED);
	rsp_mock_close(mock);
}

Test(run, restart_then_stopped_at_the_beginning)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "Hg3");
	rsp_wire_drain(mock->session);
	rsp_wire_send(mock->session, "R00");
	cr_assert(client_hears_nothing(mock));
	cr_assert_eq(mock->restarted, 1);
	cr_assert(client_gets(mock, "qC", "QCp1.1"));
	mock->error = 5;
	cr_assert(client_gets(mock, "vRun;", "E05"));
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	rsp_mock_close(mock);
}

Test(run, extended_client_kills_and_runs_then_restarted_on_the_same_session)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));

	cr_assert(answer);
	cr_assert(client_gets(mock, "!", "OK"));
	cr_assert(client_gets(mock, "vKill;1", "OK"));
	cr_assert(rsp_session_is_kill_due(mock->session));
	cr_assert_eq(rsp_session_state(mock->session), RSP_STOPPED);
	client_ask(mock, "vRun;", answer);
	cr_assert_eq(answer->text[0], 'T');
	cr_assert_not(rsp_session_is_kill_due(mock->session));
	cr_assert_eq(mock->killed * 10 + mock->restarted, 1);
	cr_assert(client_gets(mock, "vKill;1", "OK"));
	rsp_session_reset(mock->session);
	cr_assert_not(rsp_session_is_kill_due(mock->session));
	free(answer);
	rsp_mock_close(mock);
}

Test(run, extended_client_kills_what_cannot_restart_then_killed)
{
	struct rsp_mock *mock = client_connect();

	mock->run.restart = NULL;
	cr_assert(client_gets(mock, "!", "OK"));
	cr_assert(client_gets(mock, "vKill;1", "OK"));
	cr_assert_eq(mock->killed, 1);
	rsp_mock_close(mock);
}

Test(run, console_text_then_only_while_running)
{
	struct rsp_mock *mock = client_connect();

	rsp_console_print(mock->session, "no", 2);
	rsp_monitor_print(mock->session, "no", 2);
	cr_assert(client_hears_nothing(mock));
	rsp_wire_send(mock->session, "vCont;c");
	rsp_console_print(mock->session, "hi\n", 3);
	cr_assert(client_hears(mock, "O68690a"));
	rsp_mock_stop(mock, 1);
	rsp_wire_drain(mock->session);
	rsp_console_print(mock->session, "no", 2);
	cr_assert(client_hears_nothing(mock));
	rsp_mock_close(mock);
}

Test(run, console_flood_then_stop_reply_still_fits)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	char *text = calloc(1, 5000);
	size_t len;
	long last = 0;
	unsigned i;

	cr_assert(answer && text);
	rsp_wire_send(mock->session, "vCont;c");
	for (i = 0; i < 200; i++)
		rsp_console_print(mock->session, text, 5000);
	/* With the queue full even a query waits, but not the stop. */
	cr_assert_eq(rsp_wire_send(mock->session, "vCtrlC"), 9);
	cr_assert_eq(rsp_session_input(mock->session, (const uint8_t *)"e\003", 2), 0);
	cr_assert_eq(mock->interrupted, 1);
	rsp_mock_stop(mock, 2);
	rsp_session_output(mock->session, &len);
	cr_assert_leq(len, RSP_OUT_SIZE);
	while (last >= 0)
		last = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	cr_assert_eq(last, -1);
	cr_assert_str_eq(answer->text, "T05" REGS_OF_2 "thread:p1.2;core:1;");
	free(answer);
	free(text);
	rsp_mock_close(mock);
}
