/* Signals: the client's tables, what is known of one, and system calls. */
#include "client.h"

#include <criterion/criterion.h>
#include <string.h>

Test(signal, lists_of_signals_then_sets)
{
	static const uint8_t some[RSP_SIGNAL_BYTES] = {[0] = 0x10, [1] = 0x0c, [31] = 0x80};
	static const uint8_t none[RSP_SIGNAL_BYTES];
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "QPassSignals:4;a;b;ff;", "OK"));
	cr_assert_arr_eq(mock->pass, some, sizeof(some));
	cr_assert(client_gets(mock, "QPassSignals:", "OK"));
	cr_assert_arr_eq(mock->pass, none, sizeof(none));
	cr_assert(client_gets(mock, "QProgramSignals:4;a;b;ff", "OK"));
	cr_assert_arr_eq(mock->program, some, sizeof(some));
	cr_assert(client_gets(mock, "QProgramSignals:1;100", "E16"));
	cr_assert_arr_eq(mock->program, some, sizeof(some), "a bad list changes nothing");
	rsp_mock_close(mock);
}

Test(signal, resume_with_one_then_passed_on)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "vCont;C0b:1;c");
	cr_assert_eq(mock->plan[0].signal, 11);
	cr_assert_eq(mock->plan[1].signal, 0);
	rsp_mock_stop(mock, 1);
	rsp_wire_send(mock->session, "vCont;S04:2");
	cr_assert_eq(mock->plan[1].signal, 4);
	cr_assert_eq(mock->plan[1].action, RSP_STEP);
	rsp_mock_stop(mock, 1);
	rsp_wire_send(mock->session, "C08");
	cr_assert_eq(mock->plan[0].signal, 8);
	rsp_mock_stop(mock, 1);
	rsp_wire_send(mock->session, "c");
	cr_assert_eq(mock->plan[0].signal, 0);
	rsp_mock_close(mock);
}

Test(signal, siginfo_then_what_the_target_knows)
{
	struct rsp_mock *mock = client_connect();

	rsp_wire_send(mock->session, "Hg2");
	rsp_wire_drain(mock->session);
	cr_assert(client_gets(mock, "qXfer:siginfo:read::0,80", "l\2\2\2\2"));
	cr_assert(client_gets(mock, "qXfer:siginfo:read::2,1", "m\2"));
	mock->siginfo_len = 0;
	cr_assert(client_gets(mock, "qXfer:siginfo:read::0,80", "E16"));
	rsp_mock_close(mock);
}

Test(signal, system_calls_then_those_that_were_named)
{
	struct rsp_stop entry = {
		.kind = RSP_STOP_SYSCALL_ENTRY, .signal = 5, .thread = 1, .addr = 0x3b};
	struct rsp_stop back = {
		.kind = RSP_STOP_SYSCALL_RETURN, .signal = 5, .thread = 1, .addr = 0x3b};
	struct rsp_mock *mock = client_connect();
	char text[512];

	cr_assert(client_gets(mock, "QCatchSyscalls:1;1;3b;101", "OK"));
	cr_assert(mock->catches_syscalls);
	cr_assert_eq(mock->syscall_count, 3);
	cr_assert_eq(mock->syscall[2], 0x101);
	cr_assert(client_gets(mock, "QCatchSyscalls:1", "OK"));
	cr_assert_eq(mock->syscall_count, 0);
	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_stopped(mock->session, &entry);
	cr_assert_gt(rsp_wire_take(mock->session, text, sizeof(text)), 0);
	cr_assert_eq(strncmp(text, "T05syscall_entry:3b;", 20), 0, "%s", text);
	rsp_wire_send(mock->session, "vCont;c");
	rsp_session_stopped(mock->session, &back);
	cr_assert_gt(rsp_wire_take(mock->session, text, sizeof(text)), 0);
	cr_assert_eq(strncmp(text, "T05syscall_return:3b;", 21), 0, "%s", text);
	cr_assert(client_gets(mock, "QCatchSyscalls:0", "OK"));
	cr_assert_not(mock->catches_syscalls);
	mock->error = 95;
	cr_assert(client_gets(mock, "QCatchSyscalls:1", "E5f"));
	rsp_mock_close(mock);
}
