/* What a client hears when something fails, or takes long. */
#include "client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_announced(struct rsp_mock *mock)
{
	struct answer *answer = malloc(sizeof(*answer));
	bool is_there;

	cr_assert(answer);
	answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	is_there = answer->len > 0 && strstr(answer->text, ";error-message+");
	free(answer);
	return is_there;
}

Test(errors, client_that_reads_errors_then_words_in_place_of_numbers)
{
	static const struct {
		const char *packet, *words, *answer;
	} errors[] = {
		{"Z0,1000,1", "all 4 debug registers are taken",
		 "E.all 4 debug registers are taken"},
		{"Z0,1000,1", "a #$}* and a \n", "E.a ???? and a ?"},
		{"Z0,1000,1", NULL, "E1c"},
		{"m0,4", NULL, "E.memory there cannot be accessed"},
		{"m", NULL, "E.the packet does not have the form that it must have"},
		{"T9", NULL, "E.no such thread or process"},
		{"qRcmd,6661696c", NULL, "O6974206661696c65640a"},
		{"qXfer:features:read:none.xml:0,10", NULL, "E00"},
	};
	struct rsp_mock *mock = client_connect();
	size_t i;

	mock->error = 28;
	mock->words = "never asked for";
	cr_assert(client_gets(mock, "Z0,1000,1", "E1c"));
	cr_assert_null(mock->words, "told or not, it is of the past");
	rsp_wire_send(mock->session, "qSupported:error-message+");
	cr_assert(is_announced(mock));
	for (i = 0; i < COUNT(errors); i++) {
		mock->words = errors[i].words;
		rsp_wire_send(mock->session, errors[i].packet);
		cr_expect(client_hears(mock, errors[i].answer), "%s", errors[i].packet);
		if (errors[i].packet[1] == 'R')
			cr_expect(client_hears(mock, "E01"));
	}
	rsp_session_reset(mock->session);
	rsp_wire_send(mock->session, "qSupported:error-message-");
	cr_assert_not(is_announced(mock));
	rsp_wire_send(mock->session, "m0,4");
	cr_assert(client_hears(mock, "E0e"));
	rsp_mock_close(mock);
}

/* In the midst of a long command, and never into the midst of a packet or behind one that waits. */
Test(errors, long_command_then_a_notification_that_it_is_under_way)
{
	struct rsp_mock *mock = client_connect();
	const uint8_t *bytes;
	size_t len;

	rsp_wire_send(mock->session, "qRcmd,62757379");
	bytes = rsp_session_output(mock->session, &len);
	cr_assert_gt(len, 10);
	cr_assert_eq(memcmp(bytes, "%Busy:1#0e", 10), 0);
	rsp_session_sent(mock->session, 10);
	cr_assert(client_hears(mock, "O627573790a"));
	cr_assert(client_hears(mock, "OK"));
	rsp_wire_send(mock->session, "qC");
	rsp_wire_send(mock->session, "qRcmd,62757379");
	cr_assert(client_hears(mock, "QCp1.1"));
	cr_assert(client_hears(mock, "O627573790a"));
	rsp_mock_close(mock);
}
