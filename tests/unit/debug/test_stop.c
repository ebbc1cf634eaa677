/* Unit tests of stop.c: each kind of stop as gdb sees it. */
#include "src/debug/stop.h"
#include "umbra/types.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(stop, to_rsp_when_each_kind_then_its_signal)
{
	static const struct {
		enum stop_kind kind;
		enum rsp_stop_kind out;
		unsigned signal;
		bool is_trouble, is_debuggers;
	} cases[] = {
		{STOP_NONE, RSP_STOP_SIGNAL, 5, false, false},
		{STOP_START, RSP_STOP_SIGNAL, 5, false, false},
		{STOP_ATTACH, RSP_STOP_SIGNAL, 5, false, true},
		{STOP_INTERRUPT, RSP_STOP_SIGNAL, 2, false, true},
		{STOP_PAUSE, RSP_STOP_PAUSE, 5, false, true},
		{STOP_STEP, RSP_STOP_SIGNAL, 5, false, true},
		{STOP_BREAK, RSP_STOP_SWBREAK, 5, false, true},
		{STOP_WATCH, RSP_STOP_WATCH, 5, false, true},
		{STOP_MMU, RSP_STOP_SIGNAL, 5, false, true},
		{STOP_NEWS, RSP_STOP_LIBRARY, 5, false, true},
		{STOP_HALT, RSP_STOP_SIGNAL, 15, true, false},
		{STOP_CATCH, RSP_STOP_SIGNAL, 8, false, true}, /* vector 0 */
		{STOP_SHUTDOWN, RSP_STOP_SIGNAL, 6, true, false},
		{STOP_FAILED, RSP_STOP_SIGNAL, 4, true, false},
		{STOP_EXIT, RSP_STOP_EXITED, 0, false, false},
		{STOP_RESET, RSP_STOP_SIGNAL, 5, true, false},
		{STOP_POWEROFF, RSP_STOP_EXITED, 0, false, false},
		{STOP_HOST_ERROR, RSP_STOP_SIGNAL, 6, true, false},
		{STOP_TIMEOUT, RSP_STOP_SIGNAL, 14, true, false},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		struct cpu_stop stop = {.kind = cases[i].kind, .vcpu = 3};
		struct rsp_stop out = stop_to_rsp(&stop);

		cr_assert_eq(out.kind, cases[i].out, "kind %d", cases[i].kind);
		cr_assert_eq(out.signal, cases[i].signal, "kind %d", cases[i].kind);
		cr_assert_eq(out.thread, 4);
		cr_assert_eq(stop_is_trouble(&stop), cases[i].is_trouble);
		cr_assert_eq(stop_is_debuggers(&stop), cases[i].is_debuggers);
	}
}

Test(stop, to_rsp_when_breakpoint_or_watchpoint_then_its_type)
{
	struct cpu_stop stop = {.kind = STOP_BREAK, .bp = BP_HARD, .addr = 0x1000};
	struct rsp_stop out = stop_to_rsp(&stop);

	cr_assert_eq(out.kind, RSP_STOP_HWBREAK);
	stop.kind = STOP_WATCH;
	stop.bp = BP_WATCH_ACCESS;
	out = stop_to_rsp(&stop);
	cr_assert_eq(out.watch, RSP_WATCH_ACCESS);
	cr_assert_eq(out.addr, 0x1000);
}

Test(stop, to_rsp_when_guest_exits_then_its_status)
{
	struct cpu_stop stop = {.kind = STOP_EXIT, .code = 33};

	cr_assert_eq(stop_to_rsp(&stop).signal, 33);
}

Test(stop, describe_when_there_is_a_text_then_it_wins)
{
	struct cpu_stop stop = {.kind = STOP_SHUTDOWN, .vcpu = 1};
	char line[80];

	stop_describe(&stop, line, sizeof(line));
	cr_assert_str_eq(line, "cpu 1: triple fault");
	snprintf(stop.text, sizeof(stop.text), "triple fault at rip 0x10");
	stop_describe(&stop, line, sizeof(line));
	cr_assert_str_eq(line, "cpu 1: triple fault at rip 0x10");
	stop.kind = STOP_BREAK;
	stop.addr = 0x1234;
	stop.text[0] = '\0';
	stop_describe(&stop, line, sizeof(line));
	cr_assert_str_eq(line, "cpu 1: breakpoint at 0x1234");
	stop_describe(&stop, line, 8);
	cr_assert_str_eq(line, "cpu 1: ");
}
