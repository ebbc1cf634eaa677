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

/* A client that reads gets all of it: two digits a byte, and the frames round them. */
Test(monitor, flood_when_drained_then_not_cut)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	size_t taken = 0;

	cr_assert(answer);
	mock->monitor_flood = 1000000;
	mock->drains = 1000;
	rsp_wire_send(mock->session, "qRcmd,666c6f6f64");
	for (;;) {
		answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
		cr_assert_gt(answer->len, 0);
		if (strcmp(answer->text, "OK") == 0)
			break;
		taken += (size_t)answer->len;
	}
	taken += mock->drained;
	cr_assert_gt(taken, 2 * mock->monitor_flood);
	cr_assert_lt(taken, 2 * mock->monitor_flood + mock->monitor_flood / 50);
	free(answer);
	rsp_mock_close(mock);
}

Test(monitor, flood_then_cut_with_a_note_and_ok)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	struct answer *before = malloc(sizeof(*before));
	size_t texts = 0;

	cr_assert(answer && before);
	mock->monitor_flood = 1000000;
	before->len = 0;
	rsp_wire_send(mock->session, "qRcmd,666c6f6f64");
	for (;;) {
		answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
		cr_assert_gt(answer->len, 0);
		if (strcmp(answer->text, "OK") == 0)
			break;
		texts++;
		*before = *answer;
	}
	cr_assert_gt(texts, 50);
	cr_assert_eq(strncmp(before->text, "O0a5b7468652072657374", 20), 0);
	cr_assert(client_gets(mock, "qC", "QCp1.1"));
	mock->monitor_flood = 3000;
	rsp_wire_send(mock->session, "qRcmd,666c6f6f64");
	rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	cr_assert_eq(answer->text[0], 'O');
	free(answer);
	free(before);
	rsp_mock_close(mock);
}
