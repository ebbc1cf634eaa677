/* Packets of LLDB's own. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The mock's register 9 cannot be read; without it g can be kept. */
static unsigned nine_registers(void *ctx)
{
	(void)ctx;
	return 9;
}

Test(lldb, suffix_when_on_then_registers_of_that_thread_alone)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "p0;thread:2;", "E16"), "nobody asked for it");
	cr_assert(client_gets(mock, "QThreadSuffixSupported", "OK"));
	cr_assert(client_gets(mock, "p0;thread:0002;", "2020202020202020"));
	cr_assert(client_gets(mock, "p0;thread:p1.3;", "3030303030303030"));
	cr_assert(client_gets(mock, "p0", "1010101010101010"), "the chosen thread stays");
	cr_assert(client_gets(mock, "P0=0011223344556677;thread:2;", "OK"));
	cr_assert(client_gets(mock, "p0;thread:2;", "0011223344556677"));
	cr_assert(client_gets(mock, "p0", "1010101010101010"));
	cr_assert(client_gets(mock, "p0;thread:4;", "E03"));
	cr_assert(client_gets(mock, "p0;thread:-1;", "E03"));
	cr_assert(client_gets(mock, "p0;thread:z;", "E16"));
	cr_assert(client_gets(mock, "p0;thread:;", "E16"));
	cr_assert(client_gets(mock, "p0;thread;", "E16"));
	cr_assert(client_gets(mock, "p0;", "E16"));
	cr_assert(client_gets(mock, "p;", "E16"));
	cr_assert(client_gets(mock, ";thread:1;", ""));
	rsp_session_reset(mock->session);
	cr_assert(client_gets(mock, "p0;thread:2;", "E16"), "the next client did not ask");
	rsp_mock_close(mock);
}

Test(lldb, stop_when_threads_are_wanted_then_all_and_where_they_are)
{
	struct rsp_mock *mock = client_connect();
	static const char list[] = "threads:p1.1,p1.2,p1.3;thread-pcs:"
				   "1111111111111111,2121212121212121,3131313131313131;";
	struct answer answer;

	client_ask(mock, "?", &answer);
	cr_assert_null(strstr(answer.text, "threads:"));
	cr_assert(client_gets(mock, "QListThreadsInStopReply", "OK"));
	client_ask(mock, "?", &answer);
	cr_assert_not_null(strstr(answer.text, list), "%s", answer.text);
	mock->dead_thread = 2;
	client_ask(mock, "?", &answer);
	cr_assert_not_null(strstr(answer.text, "threads:p1.1,p1.3;"), "%s", answer.text);
	rsp_mock_close(mock);
}

Test(lldb, threads_info_when_asked_then_json_with_reasons)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	client_ask(mock, "jThreadsInfo", &answer);
	/* As it goes over the wire: } is escaped. */
	cr_assert_not_null(strstr(answer.text, "[{\"tid\":1,\"name\":\""), "%s", answer.text);
	cr_assert_not_null(strstr(answer.text, "\"reason\":\"trace\",\"signal\":5,\"registers\":{"
					       "\"6\":\"1616161616161616\","));
	cr_assert_not_null(strstr(answer.text, "{\"tid\":3,"));
	cr_assert_not_null(strstr(answer.text, "\"reason\":\"none\",\"registers\":{"));
	rsp_mock_close(mock);
}

Test(lldb, thread_stop_when_another_thread_then_no_reason)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	client_ask(mock, "qThreadStopInfo2", &answer);
	cr_assert_eq(strncmp(answer.text, "T00", 3), 0);
	cr_assert_not_null(strstr(answer.text, "thread:p1.2;"));
	client_ask(mock, "qThreadStopInfo1", &answer);
	cr_assert_eq(strncmp(answer.text, "T05", 3), 0);
	cr_assert(client_gets(mock, "qThreadStopInfo4", "E03"));
	cr_assert(client_gets(mock, "qC", "QCp1.1"), "the question changes nothing");
	rsp_mock_close(mock);
}

Test(lldb, host_and_process_when_asked_then_the_triple)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "qHostInfo",
			      "triple:7838365f36342d756e6b6e6f776e2d6e6f6e65;"
			      "endian:little;ptrsize:8;"));
	cr_assert(client_gets(mock, "qProcessInfo",
			      "pid:1;triple:7838365f36342d756e6b6e6f776e2d6e6f6e65;"
			      "endian:little;ptrsize:8;"));
	cr_assert(client_gets(mock, "qOffsets", ""));
	cr_assert(client_gets(mock, "QThreadSuffixSupported", "OK"));
	cr_assert(client_gets(mock, "qOffsets", "Text=0;Data=0;Bss=0"));
	mock->text_start = MOCK_LINKED + 0x2000000;
	cr_assert(client_gets(mock, "qOffsets", "Text=2000000;Data=2000000;Bss=2000000"));
	rsp_mock_close(mock);
}

Test(lldb, register_info_when_walked_then_each_and_an_error_at_the_end)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "qRegisterInfo1",
			      "name:pc;bitsize:64;offset:8;encoding:uint;format:hex;"
			      "set:General Purpose Registers;ehframe:16;dwarf:16;generic:pc;"));
	cr_assert(client_gets(mock, "qRegisterInfob",
			      "name:other;bitsize:128;encoding:vector;format:vector-uint8;"
			      "set:General Purpose Registers;"));
	cr_assert(client_gets(mock, "qRegisterInfoc", "E07"));
	cr_assert(client_gets(mock, "qRegisterInfoffffffff", "E07"));
	rsp_mock_close(mock);
}

Test(lldb, memory_when_lent_then_given_back)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "_M1000,rx", "4f000"));
	cr_assert_eq(mock->lent, 0x1000);
	cr_assert_eq(mock->lent_permissions, RSP_MAY_READ | RSP_MAY_EXECUTE);
	cr_assert(client_gets(mock, "_M1001,rw", "E0c"));
	cr_assert(client_gets(mock, "_m1234", "E16"));
	cr_assert(client_gets(mock, "_m4f000", "OK"));
	cr_assert_eq(mock->lent, 0);
	mock->target.lldb = NULL;
	cr_assert(client_gets(mock, "_M1000,rx", ""));
	rsp_mock_close(mock);
}

Test(lldb, registers_when_saved_then_restored_once_each)
{
	struct rsp_mock *mock = client_connect();
	unsigned i;

	cr_assert(client_gets(mock, "QSaveRegisterState", "E0e"), "one cannot be read");
	mock->base.g_reg_count = nine_registers;
	cr_assert(client_gets(mock, "QSaveRegisterState", "1"));
	cr_assert(client_gets(mock, "P0=0011223344556677", "OK"));
	cr_assert(client_gets(mock, "QSaveRegisterState", "2"));
	cr_assert(client_gets(mock, "QRestoreRegisterState:1", "OK"));
	cr_assert(client_gets(mock, "p0", "1010101010101010"));
	cr_assert(client_gets(mock, "QRestoreRegisterState:1", "E16"));
	cr_assert(client_gets(mock, "QRestoreRegisterState:2", "OK"));
	cr_assert(client_gets(mock, "p0", "0011223344556677"));
	cr_assert(client_gets(mock, "QRestoreRegisterState:0", "E16"));
	cr_assert(client_gets(mock, "QRestoreRegisterState:9", "E16"));
	for (i = 1; i <= RSP_SAVED_MAX; i++) {
		char number[8];

		snprintf(number, sizeof(number), "%u", i);
		cr_assert(client_gets(mock, "QSaveRegisterState", number));
	}
	cr_assert(client_gets(mock, "QSaveRegisterState", "E07"));
	rsp_session_reset(mock->session);
	cr_assert(client_gets(mock, "QSaveRegisterState", "1"), "the last client's are gone");
	rsp_mock_close(mock);
}
