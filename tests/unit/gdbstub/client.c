/* See client.h. */
#include "client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct rsp_mock *client_connect(void)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	rsp_wire_send(mock->session, "qSupported:multiprocess+;swbreak+;hwbreak+");
	rsp_wire_send(mock->session, "QStartNoAckMode");
	rsp_wire_drain(mock->session);
	return mock;
}

void client_ask(struct rsp_mock *mock, const char *packet, struct answer *out)
{
	rsp_wire_send(mock->session, packet);
	out->len = rsp_wire_take(mock->session, out->text, sizeof(out->text));
}

bool client_hears(struct rsp_mock *mock, const char *expected)
{
	struct answer *answer = malloc(sizeof(*answer));
	bool is_same;

	cr_assert(answer);
	answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
	is_same = answer->len >= 0 && strcmp(answer->text, expected) == 0;
	if (!is_same) {
		cr_log_error("expected '%s', got %ld: '%s'", expected, answer->len,
			     answer->len >= 0 ? answer->text : "");
	}
	free(answer);
	return is_same;
}

bool client_hears_nothing(struct rsp_mock *mock)
{
	size_t len;

	rsp_session_output(mock->session, &len);
	return len == 0;
}

bool client_gets(struct rsp_mock *mock, const char *packet, const char *expected)
{
	rsp_wire_send(mock->session, packet);
	return client_hears(mock, expected) && client_hears_nothing(mock);
}
