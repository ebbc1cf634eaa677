/* Commands of the target's own, by qRcmd. */
#include "client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(monitor, command_then_text_and_ok)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "qRcmd,696e666f2063707573");
	cr_assert(client_hears(mock, "O696e666f20637075730a"));
	cr_assert(client_hears(mock, "OK"));
	cr_assert_str_eq(mock->command, "info cpus");
	cr_assert(client_gets(mock, "qRcmd,61006200", "E16"));
	rsp_wire_send(mock->session, "qRcmd,");
	cr_assert_str_eq(mock->command, "");
	rsp_mock_close(mock);
}

Test(monitor, command_that_fails_then_text_and_error)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "qRcmd,6661696c");
	cr_assert(client_hears(mock, "O6974206661696c65640a"));
	cr_assert(client_hears(mock, "E01"));
	rsp_mock_close(mock);
}

#define FLOOD 1000000u

/* What FLOOD bytes of text become on the wire: packets before the last OK, their bytes, and the
 * last of them. */
struct flood {
	size_t texts, bytes;
	struct answer last;
};

static struct flood *take_flood(struct rsp_mock *mock)
{
	struct flood *flood = calloc(1, sizeof(*flood));
	struct answer *answer = malloc(sizeof(*answer));

	cr_assert(flood && answer);
	mock->monitor_flood = FLOOD;
	rsp_wire_send(mock->session, "qRcmd,666c6f6f64");
	for (;;) {
		answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
		cr_assert_gt(answer->len, 0);
		if (strcmp(answer->text, "OK") == 0)
			break;
		flood->texts++;
		flood->bytes += (size_t)answer->len;
		flood->last = *answer;
	}
	free(answer);
	return flood;
}

/* A client that reads gets all of it: two digits a byte, and the frames round them. */
Test(monitor, flood_when_drained_then_not_cut)
{
	struct rsp_mock *mock = client_connect();
	struct flood *flood;
	size_t taken;

	mock->drains = 1000;
	flood = take_flood(mock);
	taken = flood->bytes + mock->drained;
	cr_assert_gt(taken, 2 * FLOOD);
	cr_assert_lt(taken, 2 * FLOOD + FLOOD / 50);
	free(flood);
	rsp_mock_close(mock);
}

Test(monitor, flood_then_cut_with_a_note_and_ok)
{
	struct rsp_mock *mock = client_connect();
	struct flood *flood = take_flood(mock);
	struct answer *answer = &flood->last;

	cr_assert_gt(flood->texts, 50);
	cr_assert_eq(strncmp(answer->text, "O0a5b7468652072657374", 20), 0);
	cr_assert(client_gets(mock, "qC", "QCp1.1"));
	mock->monitor_flood = 3000;
	rsp_wire_send(mock->session, "qRcmd,666c6f6f64");
	rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	cr_assert_eq(answer->text[0], 'O');
	free(flood);
	rsp_mock_close(mock);
}
