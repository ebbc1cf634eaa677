/* What the program has loaded, and how the client hears that it is something else. */
#include "client.h"

#include <criterion/criterion.h>
#include <string.h>

#define STOP  "T05thread:p1.2;core:1;"
#define NEWS  "T05library:;thread:p1.2;core:1;"
#define QUERY "qXfer:libraries:read::0,1000"

/* Its stops are told without registers. */
static struct rsp_mock *connect_plain(void)
{
	static const unsigned none[] = {RSP_REG_NONE};
	struct rsp_mock *mock = client_connect();

	mock->base.expedited = none;
	return mock;
}

/* The target goes, and stops by @kind: whether the client hears @expected. */
static bool stops_with(struct rsp_mock *mock, enum rsp_stop_kind kind, const char *expected)
{
	const struct rsp_stop stop = {.kind = kind, .signal = 5, .thread = 2};

	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_stopped(mock->session, &stop);
	return client_hears(mock, expected);
}

Test(library, list_when_read_then_files_and_their_sections)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, QUERY,
			      "l<?xml version=\"1.0\"?>\n<library-list version=\"1.0\">\n"
			      "<library name=\"/lib/a&amp;b.ko\"><section address=\"0x1000\"/>"
			      "<section address=\"0xffffffffc0000000\"/></library>\n"
			      "<library name=\"/lib/none.ko\"></library>\n</library-list>\n"));
	cr_assert(client_gets(mock, "qXfer:libraries:read::2,4", "mxml "));
	cr_assert_eq(mock->listed, 1, "one list in pieces");
	cr_assert(client_gets(mock, "QThreadSuffixSupported", "OK"));
	cr_assert(client_gets(mock, QUERY, ""), "LLDB");
	rsp_mock_close(mock);
}

Test(library, list_when_another_at_a_stop_then_the_resume_is_answered_with_the_stop)
{
	struct rsp_mock *mock = connect_plain();
	struct answer answer;

	mock->has_news = true;
	cr_assert(stops_with(mock, RSP_STOP_SIGNAL, STOP), "it did not ask for any list");
	client_ask(mock, QUERY, &answer);
	cr_assert(stops_with(mock, RSP_STOP_SIGNAL, NEWS));
	mock->has_news = false;
	cr_assert_eq(mock->resumed, 2);
	cr_assert(client_gets(mock, "vCont;c", STOP));
	cr_assert_eq(mock->resumed, 2, "the target did not move");
	cr_assert(stops_with(mock, RSP_STOP_SIGNAL, STOP));
	cr_assert_eq(mock->resumed, 3);
	rsp_mock_close(mock);
}

Test(library, target_when_it_stops_for_one_then_told_and_goes_on_with_the_resume)
{
	struct rsp_mock *mock = connect_plain();
	struct answer answer;

	client_ask(mock, QUERY, &answer);
	mock->has_news = true;
	cr_assert(stops_with(mock, RSP_STOP_LIBRARY, NEWS));
	mock->has_news = false;
	cr_assert(stops_with(mock, RSP_STOP_SIGNAL, STOP));
	cr_assert_eq(mock->resumed, 2);
	rsp_mock_close(mock);
}
