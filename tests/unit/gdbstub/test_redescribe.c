/* A target that changes what it is: gdb is told of a new program, and its resume gets the stop. */
#include "client.h"

#include <criterion/criterion.h>
#include <string.h>

static struct rsp_mock *connect_without_file(void)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	mock->xfer.redescribe = rsp_mock_redescribe;
	mock->exec_file = NULL;
	client_ask(mock, "qSupported:multiprocess+;swbreak+;hwbreak+;exec-events+", &answer);
	cr_assert_not_null(strstr(answer.text, ";exec-events+"));
	cr_assert_not_null(strstr(answer.text, ";qXfer:exec-file:read+"));
	cr_assert(client_gets(mock, "qXfer:exec-file:read:1:0,100", "E02"));
	return mock;
}

static void stop_at_breakpoint(struct rsp_mock *mock)
{
	const struct rsp_stop stop = {.kind = RSP_STOP_SWBREAK, .signal = 5, .thread = 2};

	rsp_session_stopped(mock->session, &stop);
}

#define EXEC "T05exec:2f6465762f6e756c6c;thread:p1.2;"

/* The stop itself is what the client hears. */
static bool hears_the_stop(struct rsp_mock *mock)
{
	struct answer answer;

	answer.len = rsp_wire_take(mock->session, answer.text, sizeof(answer.text));
	return answer.len > 0 && !strstr(answer.text, "exec:") && answer.text[0] == 'T';
}

Test(redescribe, stop_when_described_anew_then_the_resume_is_answered_with_it)
{
	struct rsp_mock *mock = connect_without_file();
	struct answer answer;

	mock->redescribed = 1;
	rsp_wire_send(mock->session, "vCont;c");
	stop_at_breakpoint(mock);
	cr_assert(client_hears(mock, EXEC));
	cr_assert_eq(mock->thread, 2);
	cr_assert_eq(mock->resumed, 1);
	client_ask(mock, "vCont;c:p1.-1", &answer);
	cr_assert_eq(strncmp(answer.text, "T05swbreak:;", 12), 0, "%s", answer.text);
	cr_assert_eq(mock->resumed, 1, "the target did not move");
	rsp_wire_send(mock->session, "vCont;c");
	cr_assert_eq(mock->resumed, 2);
	stop_at_breakpoint(mock);
	cr_assert(hears_the_stop(mock), "once is enough");
	rsp_mock_close(mock);
}

Test(redescribe, question_when_the_stop_is_held_then_it_is_told_and_no_longer_held)
{
	struct rsp_mock *mock = connect_without_file();
	struct answer answer;

	mock->redescribed = 1;
	rsp_wire_send(mock->session, "c");
	stop_at_breakpoint(mock);
	cr_assert(client_hears(mock, EXEC));
	client_ask(mock, "?", &answer);
	cr_assert_eq(strncmp(answer.text, "T05swbreak:;", 12), 0, "%s", answer.text);
	rsp_wire_send(mock->session, "c");
	cr_assert_eq(mock->resumed, 2);
	rsp_mock_close(mock);
}

/* Each takes away one thing that it needs. */
Test(redescribe, stop_when_the_client_has_a_file_or_knows_no_exec_then_as_ever)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	mock->xfer.redescribe = rsp_mock_redescribe;
	mock->redescribed = 9;
	rsp_wire_send(mock->session, "c");
	stop_at_breakpoint(mock);
	cr_assert(hears_the_stop(mock));
	rsp_mock_close(mock);

	mock = connect_without_file();
	mock->redescribed = 9;
	client_ask(mock, "qSupported:exec-events-", &answer);
	rsp_wire_send(mock->session, "c");
	stop_at_breakpoint(mock);
	cr_assert(hears_the_stop(mock));
	rsp_session_reset(mock->session);
	cr_assert_eq(mock->redescribed, 9);
	rsp_mock_close(mock);
}
