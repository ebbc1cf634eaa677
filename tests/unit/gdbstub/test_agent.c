/* Z packets with conditions and commands, and what comes of them at a hit. */
#include "client.h"
#include "gdbstub/ax.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* const8 1, end; const8 0, end; and printf ("hi"). */
#define TRUE  "X3,220127"
#define FALSE "X3,220027"
#define HELLO                                                                                      \
	"Xc,22002200340000036869"                                                                  \
	"0027"

static const struct {
	const char *packet;
	const char *answer;
	unsigned conditions, commands;
} packets[] = {
	{"Z0,1000,1;" TRUE, "OK", 1, 0},
	{"Z1,1000,1;" TRUE, "OK", 1, 0},
	{"Z2,1000,4;" TRUE, "OK", 1, 0},
	{"Z3,1000,4;" TRUE, "OK", 1, 0},
	{"Z4,1000,4;" TRUE, "OK", 1, 0},
	{"Z0,1000,1;" TRUE FALSE, "OK", 2, 0},
	{"Z0,1000,1;" TRUE ";" FALSE, "OK", 2, 0},
	{"Z0,1000,1;cmds:0," HELLO, "OK", 0, 1},
	{"Z0,1000,1;cmds:1," HELLO HELLO, "OK", 0, 2},
	{"Z0,1000,1;" TRUE ";cmds:1," HELLO, "OK", 1, 1},
	{"Z0,1000,1;X3,22", "E.an agent expression has another length than it says", 0, 0},
	{"Z0,1000,1;X", "E.an agent expression has another length than it says", 0, 0},
	{"Z0,1000,1;Xffffffffffffffff,22", "E.an agent expression has another length", 0, 0},
	{"Z0,1000,1;X1001,22", "E.an agent expression has another length", 0, 0},
	{"Z0,1000,1;X3,22zz27", "E.an agent expression is not hexadecimal", 0, 0},
	{"Z0,1000,1;X0,", "E.agent expression, byte 0", 0, 0},
	{"Z0,1000,1;X4,22013127", "E.agent expression, byte 2: is no opcode", 0, 0},
	{"Z0,1000,1;X3,220101", "E.agent expression, byte 2: float is not supported", 0, 0},
	{"Z0,1000,1;" HELLO, "E.agent expression, byte 4: printf is for commands only", 0, 0},
	{"Z0,1000,1;cmds:0,X3,22010d", "E.agent expression, byte 2: trace_quick is for", 0, 0},
	{"Z0,1000,1;cmds:", "E.cmds: lacks its first argument", 0, 0},
	{"Z0,1000,1;cmds:1," HELLO "y", "E.a breakpoint's conditions do not end", 0, 0},
	{"Z0,1000,1;" TRUE "y", "E.a breakpoint's conditions do not end", 0, 0},
	{"Z0,1000,1;" TRUE ";", "E.a breakpoint has something that is no condition", 0, 0},
	{"Z0,1000,1;Y", "E.a breakpoint has something that is no condition", 0, 0},
};

/* The answer's text, until the next question; each test is a process of its own. */
static const char *ask(struct rsp_mock *mock, const char *packet)
{
	static struct answer answer;

	client_ask(mock, packet, &answer);
	cr_assert_geq(answer.len, 0, "%s", packet);
	return answer.text;
}

static const struct rsp_agent *last_agent(const struct rsp_mock *mock)
{
	return (const void *)mock->last_agent;
}

Test(agent, a_breakpoint_when_it_comes_with_programs_then_is_inserted_with_them_or_not_at_all)
{
	for (size_t n = 0; n < sizeof(packets) / sizeof(packets[0]); n++) {
		struct rsp_mock *mock = client_connect();
		const char *answer = ask(mock, packets[n].packet);
		bool is_good = packets[n].answer[0] == 'O';

		cr_expect_eq(strncmp(answer, packets[n].answer, strlen(packets[n].answer)), 0,
			     "%s: %s", packets[n].packet, answer);
		cr_expect_eq(mock->agents, is_good, "%s", packets[n].packet);
		cr_expect_eq(mock->changes, is_good, "%s", packets[n].packet);
		if (is_good) {
			cr_expect_eq(last_agent(mock)->condition_count, packets[n].conditions);
			cr_expect_eq(last_agent(mock)->command_count, packets[n].commands);
		}
		rsp_mock_close(mock);
	}
}

Test(agent, a_breakpoint_when_it_has_too_many_conditions_then_is_refused)
{
	struct rsp_mock *mock = client_connect();
	char packet[64 + 10 * (RSP_AGENT_PROGRAMS + 1)] = "Z0,1000,1;";

	for (unsigned i = 0; i < RSP_AGENT_PROGRAMS; i++)
		strcat(packet, TRUE);
	cr_expect_str_eq(ask(mock, packet), "OK");
	strcat(packet, TRUE);
	cr_expect_str_eq(ask(mock, packet), "E.a breakpoint has too many conditions or commands");
	rsp_mock_close(mock);
}

Test(agent, conditions_when_no_table_is_there_then_are_neither_announced_nor_taken)
{
	struct rsp_mock *mock = client_connect();

	cr_expect(strstr(ask(mock, "qSupported"), ";ConditionalBreakpoints+;"
						  "BreakpointCommands+"));
	mock->target.agent = NULL;
	rsp_mock_reopen(mock);
	cr_expect_not(strstr(ask(mock, "qSupported"), "ConditionalBreakpoints"));
	cr_expect_eq(strncmp(ask(mock, "Z0,1000,1;" TRUE), "E.", 2), 0);
	cr_expect_eq(mock->changes, 0);
	rsp_mock_close(mock);
}

/* A hit. */

struct hit {
	uint64_t reg;
	char text[256];
};

static size_t no_memory(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	(void)ctx;
	(void)addr;
	(void)out;
	(void)len;
	return 0;
}

static bool read_reg(void *ctx, unsigned reg, uint64_t *out_value)
{
	(void)reg;
	*out_value = ((struct hit *)ctx)->reg;
	return true;
}

static void print(void *ctx, const char *text, size_t len)
{
	struct hit *hit = ctx;
	size_t used = strlen(hit->text);

	cr_assert(used + len < sizeof(hit->text));
	memcpy(hit->text + used, text, len);
	hit->text[used + len] = 0;
}

static bool meet(const char *packet, struct hit *hit)
{
	struct rsp_mock *mock = client_connect();
	const struct rsp_ax_env env = {
		.mem_read = no_memory, .reg_read = read_reg, .print = print, .ctx = hit};
	bool is_stop;

	cr_assert_str_eq(ask(mock, packet), "OK", "%s", packet);
	is_stop = rsp_agent_meet(last_agent(mock), &env);
	rsp_mock_close(mock);
	return is_stop;
}

Test(agent, a_hit_when_some_condition_holds_then_stops)
{
	struct hit hit = {.reg = 5};

	cr_expect(meet("Z0,1000,1;" TRUE, &hit));
	cr_expect_not(meet("Z0,1000,1;" FALSE, &hit));
	cr_expect(meet("Z0,1000,1;" FALSE TRUE, &hit));
	cr_expect_not(meet("Z0,1000,1;" FALSE FALSE, &hit));
	/* reg 1 == 5 */
	cr_expect(meet("Z0,1000,1;X7,26000122051327", &hit));
	hit.reg = 6;
	cr_expect_not(meet("Z0,1000,1;X7,26000122051327", &hit));
	cr_expect_str_eq(hit.text, "");
}

Test(agent, a_hit_when_there_are_commands_then_runs_them_and_does_not_stop)
{
	struct hit hit = {.reg = 5};

	cr_expect_not(meet("Z0,1000,1;cmds:1," HELLO HELLO, &hit));
	cr_expect_str_eq(hit.text, "hihi");
	cr_expect_not(meet("Z0,1000,1;" FALSE ";cmds:1," HELLO, &hit));
	cr_expect_str_eq(hit.text, "hihi");
	cr_expect_not(meet("Z0,1000,1;" TRUE ";cmds:1," HELLO, &hit));
	cr_expect_str_eq(hit.text, "hihihi");
}

Test(agent, a_hit_when_a_condition_cannot_be_told_then_stops_and_says_why)
{
	struct hit hit = {.reg = 5};

	/* *(char *)1 */
	cr_expect(meet("Z0,1000,1;X4,22011727", &hit));
	cr_expect_str_eq(hit.text, "the breakpoint's condition: no memory at 0x1 (byte 2)\n");
	hit.text[0] = '\0';
	cr_expect(meet("Z0,1000,1;X4,22011727;cmds:0," HELLO, &hit));
	cr_expect_not(strstr(hit.text, "hi\n"));
	hit.text[0] = '\0';
	cr_expect_not(meet("Z0,1000,1;cmds:0,X4,22011727" HELLO, &hit));
	cr_expect_str_eq(hit.text, "the breakpoint's command: no memory at 0x1 (byte 2)\nhi");
}
