/* The command table, row by row, and what each packet answers. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One packet that works and some that do not match the schema, for each row of the table. */
static const struct row_case {
	const char *name;
	const char *good;
	const char *bad[5];
} row_cases[] = {
	{"?", "?", {"?1"}},
	{"!", "!", {"!x"}},
	{"g", "g", {"g0"}},
	{"G", "G00", {"G0", "Gzz", "G00x"}},
	{"p", "p1", {"p", "pz", "p1,", "p11111111111111111"}},
	{"P", "P1=0011223344556677", {"P", "P1", "P1=0", "P=00", "P1:00"}},
	{"m", "m10000,4", {"m", "m10000", "m10000,", "m,4", "m10000,4,"}},
	{"x", "x10000,4", {"x", "x10000", "x10000,", "x,4", "x10000,4:"}},
	{"M", "M10000,1:aa", {"M", "M10000,1", "M10000,1:a", "M10000,1:ag", "M10000:aa"}},
	{"X", "X10000,1:a", {"X", "X10000,1", "X10000,1:}", "X10000:a", "X,1:a"}},
	{"qSearch:memory",
	 "qSearch:memory:10000;10;a",
	 {"qSearch:memory", "qSearch:memory:10000;10", "qSearch:memory:10000,10;a",
	  "qSearch:memory:10000;10;", "qSearch:memory:10000;10;}"}},
	{"qCRC", "qCRC:10000,4", {"qCRC", "qCRC:10000", "qCRC:10000,", "qCRC:10000;4", "qCRC,1:4"}},
	{"c", "c", {"cz", "c1,", "c-1"}},
	{"C", "C05", {"C", "C5", "C05;", "C05,1", "Cxx"}},
	{"s", "s", {"sz", "s1,", "s-1"}},
	{"S", "S05", {"S", "S5", "S05;", "S05,1", "Sxx"}},
	{"vCont?", "vCont?", {"vCont?;"}},
	{"vCont", "vCont;c", {"vCont", "vCont:c", "vCont;", "vCont;q", "vCont;c;"}},
	{"vCtrlC", "vCtrlC", {"vCtrlC;1"}},
	{"Z", "Z0,1000,1", {"Z", "Z0", "Z0,1000", "Z0,1000,", "Z0,1000,1,"}},
	{"z", "z0,1000,1", {"z", "z0", "z0,1000", "z0,1000,", "z0,1000,1;X1,00"}},
	{"Hg", "Hgp1.2", {"Hg", "Hgz", "Hg1,", "Hgp1.", "Hg-2"}},
	{"Hc", "Hc-1", {"Hc", "Hcz", "Hc1,", "Hcp", "Hc-"}},
	{"T", "Tp1.1", {"T", "Tz", "Tp1.1.1"}},
	{"D", "D;1", {"Dx", "D;", "D;z", "D1"}},
	{"k", "k", {"k1"}},
	{"vKill", "vKill;1", {"vKill", "vKill;", "vKill;z", "vKill:1"}},
	{"R", "R00", {"Rz", "R0,"}},
	{"vRun", "vRun;6162", {"vRun:1"}},
	{"vMustReplyEmpty", "vMustReplyEmpty", {"vMustReplyEmpty;1"}},
	{"qSupported", "qSupported:multiprocess+", {"qSupported;a"}},
	{"QStartNoAckMode", "QStartNoAckMode", {"QStartNoAckMode:1"}},
	{"QNonStop", "QNonStop:0", {"QNonStop", "QNonStop:", "QNonStop:x"}},
	{"vStopped", "vStopped", {"vStopped:1"}},
	{"QPassSignals",
	 "QPassSignals:e;10;",
	 {"QPassSignals", "QPassSignals:z", "QPassSignals:100"}},
	{"QProgramSignals", "QProgramSignals:", {"QProgramSignals", "QProgramSignals:1;;"}},
	{"QCatchSyscalls",
	 "QCatchSyscalls:1;a",
	 {"QCatchSyscalls:2", "QCatchSyscalls:1;", "QCatchSyscalls:0;a",
	  "QCatchSyscalls:1;100000000"}},
	{"qXfer:siginfo:read",
	 "qXfer:siginfo:read::0,80",
	 {"qXfer:siginfo:read:a:0,80", "qXfer:siginfo:read::0"}},
	{"QThreadEvents",
	 "QThreadEvents:1",
	 {"QThreadEvents", "QThreadEvents:", "QThreadEvents:x"}},
	{"qAttached", "qAttached:1", {"qAttached:", "qAttached:z"}},
	{"qSymbol", "qSymbol::", {"qSymbol"}},
	{"qOffsets", "qOffsets", {"qOffsets:"}},
	{"qqemu.Supported", "qqemu.Supported", {"qqemu.Supported:1"}},
	{"qqemu.PhyMemMode", "qqemu.PhyMemMode", {"qqemu.PhyMemMode:1"}},
	{"Qqemu.PhyMemMode",
	 "Qqemu.PhyMemMode:1",
	 {"Qqemu.PhyMemMode", "Qqemu.PhyMemMode:", "Qqemu.PhyMemMode:z"}},
	{"qqemu.sstepbits", "qqemu.sstepbits", {"qqemu.sstepbits:1"}},
	{"Qqemu.sstepbits", "Qqemu.sstepbits", {"Qqemu.sstepbits=1"}},
	{"qqemu.sstep", "qqemu.sstep", {"qqemu.sstep:1"}},
	{"Qqemu.sstep", "Qqemu.sstep=3", {"Qqemu.sstep", "Qqemu.sstep=", "Qqemu.sstep=z"}},
	{"qC", "qC", {"qC:"}},
	{"qfThreadInfo", "qfThreadInfo", {"qfThreadInfo,"}},
	{"qsThreadInfo", "qsThreadInfo", {"qsThreadInfo,"}},
	{"qThreadExtraInfo", "qThreadExtraInfo,1", {"qThreadExtraInfo", "qThreadExtraInfo,z"}},
	{"qXfer:threads:read",
	 "qXfer:threads:read::0,100",
	 {"qXfer:threads:read::0", "qXfer:threads:read:a:0,1", "qXfer:threads:read::,1"}},
	{"qXfer:features:read",
	 "qXfer:features:read:target.xml:0,100",
	 {"qXfer:features:read:target.xml", "qXfer:features:read:target.xml:0",
	  "qXfer:features:read:target.xml:z,1", "qXfer:features:read"}},
	{"qXfer:exec-file:read",
	 "qXfer:exec-file:read:1:0,100",
	 {"qXfer:exec-file:read:1", "qXfer:exec-file:read::0", "qXfer:exec-file:read"}},
	{"qXfer:traceframe-info:read",
	 "qXfer:traceframe-info:read::0,100",
	 {"qXfer:traceframe-info:read::0", "qXfer:traceframe-info:read:a:0,1"}},
	{"QTinit", "QTinit", {"QTinit:"}},
	{"QTDP", "QTDP:1:1000:E:0:0", {"QTDP"}},
	{"QTDPsrc", "QTDPsrc:1:1000:at:0:1:61", {"QTDPsrc"}},
	{"QTDV",
	 "QTDV:1:0:0:61",
	 {"QTDV", "QTDV:1", "QTDV:1:0:0:6", "QTDV:1:0:0", "QTDV:z:0:0:61"}},
	{"QTro", "QTro:1000,2000", {"QTro"}},
	{"QTEnable", "QTEnable:1:1000", {"QTEnable", "QTEnable:1", "QTEnable:1:z"}},
	{"QTDisable", "QTDisable:1:1000", {"QTDisable", "QTDisable:1", "QTDisable:1:1000:"}},
	{"QTStart", "QTStart", {"QTStart:"}},
	{"QTStop", "QTStop", {"QTStop:"}},
	{"QTFrame",
	 "QTFrame:0",
	 {"QTFrame", "QTFrame:", "QTFrame:pc:", "QTFrame:range:1", "QTFrame:0x"}},
	{"QTBuffer", "QTBuffer:circular:1", {"QTBuffer"}},
	{"QTDisconnected", "QTDisconnected:1", {"QTDisconnected", "QTDisconnected:z"}},
	{"QTNotes", "QTNotes:user:61;", {"QTNotes", "QTNotes:user:61", "QTNotes:other:61;"}},
	{"QTSave", "QTSave:61", {"QTSave"}},
	{"qTStatus", "qTStatus", {"qTStatus:"}},
	{"qTP", "qTP:1:1000", {"qTP", "qTP:1", "qTP:1:z"}},
	{"qTfP", "qTfP", {"qTfP:"}},
	{"qTsP", "qTsP", {"qTsP:"}},
	{"qTfV", "qTfV", {"qTfV:"}},
	{"qTsV", "qTsV", {"qTsV:"}},
	{"qTV", "qTV:1", {"qTV", "qTV:", "qTV:z"}},
	{"qTBuffer", "qTBuffer:0,100", {"qTBuffer", "qTBuffer:0", "qTBuffer:,1"}},
	{"qXfer:memory-map:read",
	 "qXfer:memory-map:read::0,100",
	 {"qXfer:memory-map:read::0", "qXfer:memory-map:read:a:0,1", "qXfer:memory-map:read"}},
	{"qXfer:osdata:read", "qXfer:osdata:read:tasks:0,9", {"qXfer:osdata:read"}},
	{"qXfer:libraries:read",
	 "qXfer:libraries:read::0,100",
	 {"qXfer:libraries:read::0", "qXfer:libraries:read:a:0,1", "qXfer:libraries:read"}},
	{"QThreadSuffixSupported", "QThreadSuffixSupported", {"QThreadSuffixSupported:1"}},
	{"QListThreadsInStopReply", "QListThreadsInStopReply", {"QListThreadsInStopReply:1"}},
	{"jThreadsInfo", "jThreadsInfo", {"jThreadsInfo:1"}},
	{"qThreadStopInfo", "qThreadStopInfo2", {"qThreadStopInfo", "qThreadStopInfoz"}},
	{"qHostInfo", "qHostInfo", {"qHostInfo:1"}},
	{"qProcessInfo", "qProcessInfo", {"qProcessInfo:1"}},
	{"qRegisterInfo", "qRegisterInfo0", {"qRegisterInfo", "qRegisterInfoz"}},
	{"_M", "_M1000,rwx", {"_M", "_M1000", "_Mz,r", "_M0,r", "_M10,q"}},
	{"_m", "_m4f000", {"_m", "_mz", "_m1,"}},
	{"QSaveRegisterState", "QSaveRegisterState", {"QSaveRegisterState:1"}},
	{"QRestoreRegisterState", "QRestoreRegisterState:1", {"QRestoreRegisterState:"}},
	{"qMemoryRegionInfo", "qMemoryRegionInfo:0", {"qMemoryRegionInfo:", "qMemoryRegionInfo:z"}},
	{"qRcmd", "qRcmd,68656c70", {"qRcmd", "qRcmd,6", "qRcmd,zz", "qRcmd:00"}},
};

Test(commands, table_then_every_row_has_a_case_and_back)
{
	size_t count, i;
	const struct rsp_command *table = rsp_command_table(&count);

	cr_assert_eq(count, COUNT(row_cases));
	for (i = 0; i < count; i++) {
		cr_assert_str_eq(table[i].name, row_cases[i].name);
		cr_assert_eq(strncmp(row_cases[i].good, table[i].name, strlen(table[i].name)), 0);
	}
}

Test(commands, each_row_with_good_arguments_then_no_schema_error)
{
	struct answer *answer = malloc(sizeof(*answer));
	size_t i;

	cr_assert(answer);
	for (i = 0; i < COUNT(row_cases); i++) {
		struct rsp_mock *mock = client_connect();
		bool is_mismatch;

		client_ask(mock, row_cases[i].good, answer);
		is_mismatch = answer->len >= 0 && strcmp(answer->text, "E16") == 0;
		/* These match the schema, but not the target: nothing is saved or lent yet. */
		cr_expect_eq(is_mismatch,
			     strcmp(row_cases[i].name, "G") == 0 ||
				     strcmp(row_cases[i].name, "_m") == 0 ||
				     strcmp(row_cases[i].name, "QRestoreRegisterState") == 0,
			     "%s", row_cases[i].good);
		rsp_mock_close(mock);
	}
	free(answer);
}

static unsigned calls_of(const struct rsp_mock *mock)
{
	return mock->resumed + mock->interrupted + mock->detached + mock->killed + mock->restarted +
	       mock->commands + mock->changes;
}

Test(commands, each_row_with_malformed_arguments_then_error_and_target_untouched)
{
	struct rsp_mock *mock = client_connect();
	size_t i, k;

	for (i = 0; i < COUNT(row_cases); i++) {
		for (k = 0; k < COUNT(row_cases[i].bad) && row_cases[i].bad[k]; k++) {
			cr_expect(client_gets(mock, row_cases[i].bad[k], "E16"), "%s",
				  row_cases[i].bad[k]);
			cr_expect_eq(calls_of(mock), 0, "%s", row_cases[i].bad[k]);
			cr_expect_eq(rsp_session_state(mock->session), RSP_STOPPED);
		}
	}
	rsp_mock_close(mock);
}

/* A row that may not run while the target runs must wait; the others are served at once. */
Test(commands, each_row_while_running_then_waits_or_runs_as_the_table_says)
{
	size_t count, i;
	const struct rsp_command *table = rsp_command_table(&count);

	for (i = 0; i < count; i++) {
		struct rsp_mock *mock = client_connect();
		size_t len = strlen(row_cases[i].good) + 4;
		size_t taken;

		rsp_wire_send(mock->session, "vCont;c");
		taken = rsp_wire_send(mock->session, row_cases[i].good);
		cr_expect_eq(taken, table[i].may_run_while_running ? len : len - 1, "%s",
			     row_cases[i].good);
		rsp_mock_close(mock);
	}
}

static const char *const unknown_packets[] = {
	"",
	"vFile:setfs:0",
	"vFile:open:2f,0,0",
	"qOffsets",
	"QThreadSuffixSupportedX",
	"qCRCX:0,1",
	"qSupportedX",
	"vContinue",
	"vCont?x",
	"b",
	"bs",
	"jThreadExtendedInfo:1",
	"vAttach;1",
	"QPassSignalsX:e",
	"qXfer:auxv:read::0,1",
	"qXfer:features:write:a:0:b",
	"\x80\xff",
	"t",
	"vMustReplyEmptyX",
	"Hm1",
	"H",
	"vRunX",
	"QNonStopX:0",
	"F0",
};

Test(commands, unknown_packets_then_empty_reply)
{
	struct rsp_mock *mock = client_connect();
	size_t i;

	for (i = 0; i < COUNT(unknown_packets); i++)
		cr_expect(client_gets(mock, unknown_packets[i], ""), "%s", unknown_packets[i]);
	cr_expect_eq(calls_of(mock), 0);
	rsp_mock_close(mock);
}

static const struct {
	const char *packet, *answer;
} exchanges[] = {
	{"?", "T05thread:p1.1;core:0;"}, /* no registers: gdb is to ask by `g` */
	{"!", "OK"},
	{"p0", "1010101010101010"},
	{"pa", "1a1a1a1a1a1a1a1a"},
	{"p8", "08080808"},
	{"p9", "xxxxxxxxxxxxxxxx"},
	{"pc", "E16"},
	{"pffffffff", "E16"},
	{"p100000000", "E16"},
	{"P0=0102030405060708", "OK"},
	{"p0", "0102030405060708"},
	{"P0=01020304050607", "E16"},
	{"P8=0102030405060708", "E16"},
	{"Pc=00", "E16"},
	{"m10000,0", ""},
	{"mf000,4", "E0e"},
	{"mfffffffffffffffc,10", "E0e"},
	{"x10000,0", "b"},
	{"x0,4", "E0e"},
	{"M10000,4:deadbeef", "OK"},
	{"m10000,4", "deadbeef"},
	{"m10001,2", "adbe"},
	{"M10000,4:deadbe", "E16"},
	{"M10000,0:", "OK"},
	{"M5000,1:00", "E0e"},
	{"M4ffff,2:0000", "E0e"},
	{"Mffffffffffffffff,2:0000", "E0e"},
	{"X10000,3:}\003}\004}]", "OK"},
	{"m10000,3", "23247d"},
	{"X10000,0:", "OK"},
	{"X10000,2:a", "E16"},
	{"vCont?", "vCont;c;C;s;S;t;r"},
	{"vCtrlC", "OK"},
	{"vMustReplyEmpty", ""},
	{"QNonStop:0", "OK"},
	{"QNonStop:2", "E16"},
	{"vStopped", "OK"},
	{"QThreadEvents:0", "OK"},
	{"qAttached", "1"},
	{"qAttached:1", "1"},
	{"qSymbol::", "OK"},
	{"qC", "QCp1.1"},
	{"Hgp1.2", "OK"},
	{"qC", "QCp1.2"},
	{"p1", "2121212121212121"},
	{"Hg0", "OK"},
	{"qC", "QCp1.2"},
	{"Hg1", "OK"},
	{"Hg4", "E03"},
	{"Hgp2.1", "E03"},
	{"Hg-1", "E16"},
	{"Hc-1", "OK"},
	{"Hc0", "OK"},
	{"Hc9", "E03"},
	{"Tp1.1", "OK"},
	{"T3", "OK"},
	{"T4", "E03"},
	{"T0", "E03"},
	{"Tp1.-1", "E03"},
	{"qfThreadInfo", "mp1.1,p1.2,p1.3"},
	{"qsThreadInfo", "l"},
	{"qThreadExtraInfo,p1.1", "68616c7465642026203c69646c653e"},
	{"qThreadExtraInfo,p1.7", "6e6f207375636820746872656164"},
	{"qXfer:features:read:target.xml:0,1000", "l<target>}\003}\004}]}\n</target>"},
	{"qXfer:features:read:target.xml:0,9", "m<target>}\003"},
	{"qXfer:features:read:target.xml:b,100", "l}\n</target>"},
	{"qXfer:features:read:target.xml:15,100", "l"},
	{"qXfer:features:read:target.xml:ffffffffffffffff,100", "l"},
	{"qXfer:features:read:other.xml:0,100", "E00"},
	{"qXfer:features:read::0,100", "E00"},
	{"qXfer:exec-file:read:1:0,1000", "l/boot/kernel"},
	{"qXfer:exec-file:read::5,3", "m/ke"},
	{"Z0,1000,1", "OK"},
	{"Z0,1000,1;X3,220127", "OK"},
	{"Z0,1000,1;cmds:1,X1,27", "OK"},
	{"Z4,ffffffffffffffff,8", "OK"},
	{"Z5,1000,1", ""},
	{"Z100000000,1000,1", ""},
	{"Z0,1000,100000000", "E16"},
	{"z2,1000,8", "OK"},
	{"D;2", "E03"},
	{"vKill;2", "E03"},
	{"vRun;", "T0506:0606060606060606;07:0707070707070707;08:08080808;thread:p1.1;core:0;"},
	{"vRun", "T0506:0606060606060606;07:0707070707070707;08:08080808;thread:p1.1;core:0;"},
};

Test(commands, each_packet_then_its_answer)
{
	struct rsp_mock *mock = client_connect();
	size_t i;

	memset(mock->regs[1][6], 6, 8);
	memset(mock->regs[1][7], 7, 8);
	memset(mock->regs[1][8], 8, 4);
	for (unsigned reg = 0; reg < 6; reg++)
		memset(mock->regs[1][reg], (int)(0x10 | reg), 8);
	for (i = 0; i < COUNT(exchanges); i++) {
		cr_expect(client_gets(mock, exchanges[i].packet, exchanges[i].answer), "%s",
			  exchanges[i].packet);
	}
	rsp_mock_close(mock);
}

Test(commands, g_then_all_registers_and_G_writes_them_back)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	char packet[200] = "G";
	size_t i;

	cr_assert(answer);
	client_ask(mock, "g", answer);
	cr_assert_eq(answer->len, 2 * (8 * 8 + 4 + 8));
	cr_assert_eq(strncmp(answer->text, "1010101010101010", 16), 0);
	cr_assert_str_eq(answer->text + 2 * 68, "xxxxxxxxxxxxxxxx");
	for (i = 0; i < 76; i++)
		memcpy(packet + 1 + 2 * i, "5a", 2);
	packet[1 + 2 * 76] = '\0';
	cr_assert(client_gets(mock, packet, "OK"));
	cr_assert_eq(mock->regs[1][8][3], 0x5a);
	packet[1 + 2 * 75] = '\0';
	cr_assert(client_gets(mock, packet, "E16"));
	mock->error = 5;
	memcpy(packet + 1 + 2 * 75, "5a", 3);
	cr_assert(client_gets(mock, packet, "E05"));
	free(answer);
	rsp_mock_close(mock);
}

Test(commands, threads_in_xml_then_ids_cores_and_escapes)
{
	struct rsp_mock *mock = client_connect();
	struct answer *whole = malloc(sizeof(*whole)), *part = malloc(sizeof(*part));
	char packet[64];
	long at = 0;

	cr_assert(whole && part);
	mock->dead_thread = 2;
	client_ask(mock, "qXfer:threads:read::0,10000", whole);
	cr_assert_str_eq(whole->text, "l<?xml version=\"1.0\"?>\n<threads>\n"
				      "<thread id=\"p1.1\" core=\"0\">"
				      "halted &amp; &lt;idle&gt;</thread>\n"
				      "<thread id=\"p1.3\" core=\"2\">"
				      "halted &amp; &lt;idle&gt;</thread>\n"
				      "</threads>\n");
	do {
		snprintf(packet, sizeof(packet), "qXfer:threads:read::%lx,7", at);
		client_ask(mock, packet, part);
		cr_assert_eq(strncmp(part->text + 1, whole->text + 1 + at, (size_t)part->len - 1),
			     0);
		at += part->len - 1;
	} while (part->text[0] == 'm');
	cr_assert_eq(at, whole->len - 1);
	cr_assert(client_gets(mock, "qfThreadInfo", "mp1.1,p1.3"));
	cr_assert(client_gets(mock, "Hg2", "E03"));
	free(whole);
	free(part);
	rsp_mock_close(mock);
}

Test(commands, most_threads_with_unruly_names_then_read_in_pieces)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	size_t total = 0;
	char packet[64];

	cr_assert(answer);
	mock->threads = RSP_MAX_THREADS + 10;
	mock->thread_extra =
		"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
		"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"";
	do {
		snprintf(packet, sizeof(packet), "qXfer:threads:read::%zx,1ffff", total);
		client_ask(mock, packet, answer);
		cr_assert_gt(answer->len, 1);
		total += (size_t)answer->len - 1;
	} while (answer->text[0] == 'm');
	cr_assert_gt(total, RSP_MAX_THREADS * 6 * 63);
	client_ask(mock, "qfThreadInfo", answer);
	cr_assert_str_eq(answer->text + answer->len - 7, ",p1.100");
	free(answer);
	rsp_mock_close(mock);
}

static bool does_offer(struct rsp_mock *mock, const char *ask, const char *feature)
{
	struct answer *answer = malloc(sizeof(*answer));
	bool is_there;

	cr_assert(answer);
	client_ask(mock, ask, answer);
	is_there = answer->len > 0 && strstr(answer->text, feature);
	free(answer);
	return is_there;
}

Test(commands, qSupported_then_what_the_tables_give)
{
	struct rsp_mock *mock = rsp_mock_open();
	const char *all = "qSupported:multiprocess+;swbreak+;hwbreak+";

	cr_assert(mock);
	cr_assert(client_gets(mock, all,
			      "PacketSize=20000;QStartNoAckMode+;vContSupported+;"
			      "qXfer:threads:read+;binary-upload+;qXfer:features:read+;"
			      "qXfer:exec-file:read+;qXfer:osdata:read+;qXfer:libraries:read+;"
			      "qXfer:memory-map:read+;"
			      "swbreak+;hwbreak+;ConditionalBreakpoints+;BreakpointCommands+;"
			      "ConditionalTracepoints+;TracepointSource+;"
			      "EnableDisableTracepoints+;InstallInTrace+;DisconnectedTracing+;"
			      "QTBuffer:size+;tracenz+;qXfer:traceframe-info:read+;QNonStop+;"
			      "QPassSignals+;QProgramSignals+;qXfer:siginfo:read+;"
			      "QCatchSyscalls+;QThreadEvents+;multiprocess+"));
	cr_assert(client_gets(mock, "qC", "QCp1.1"));
	cr_assert_not(does_offer(mock, "qSupported:multiprocess-;xmultiprocess+", "multiprocess"));
	cr_assert(client_gets(mock, "qC", "QC1"));
	mock->exec_file = NULL;
	cr_assert_not(does_offer(mock, all, "exec-file"));
	mock->xfer.exec_file = NULL;
	cr_assert_not(does_offer(mock, all, "exec-file"));
	mock->target.xfer = NULL;
	mock->target.trace = NULL;
	mock->target.brk = NULL;
	mock->target.monitor = NULL;
	mock->target.map = NULL;
	mock->target.osdata = NULL;
	mock->target.libraries = NULL;
	mock->run.restart = NULL;
	mock->run.pause = NULL;
	mock->run.may_control = NULL;
	mock->run.thread_events = NULL;
	mock->target.signals = NULL;
	rsp_mock_reopen(mock);
	cr_assert(client_gets(mock, "qSupported",
			      "PacketSize=20000;QStartNoAckMode+;vContSupported+;"
			      "qXfer:threads:read+;binary-upload+"));
	rsp_mock_close(mock);
}

Test(commands, missing_tables_then_empty_replies)
{
	static const char *const needy[] = {"Z0,1000,1",
					    "z0,1000,1",
					    "qRcmd,68",
					    "R00",
					    "vRun;",
					    "vStopped",
					    "QThreadEvents:1",
					    "QPassSignals:e",
					    "QCatchSyscalls:1",
					    "qXfer:features:read:target.xml:0,10",
					    "qXfer:exec-file:read::0,10"};
	struct rsp_mock *mock = rsp_mock_open();
	size_t i;

	cr_assert(mock);
	mock->target.xfer = NULL;
	mock->target.brk = NULL;
	mock->target.monitor = NULL;
	mock->run.restart = NULL;
	mock->run.pause = NULL;
	mock->run.may_control = NULL;
	mock->run.thread_events = NULL;
	mock->target.signals = NULL;
	rsp_mock_reopen(mock);
	for (i = 0; i < COUNT(needy); i++)
		cr_expect(client_gets(mock, needy[i], ""), "%s", needy[i]);
	rsp_mock_close(mock);
}

Test(commands, breakpoints_then_passed_on_and_errors_passed_back)
{
	struct rsp_mock *mock = client_connect();

	cr_assert(client_gets(mock, "Z3,ffff800000100010,4", "OK"));
	cr_assert_eq(mock->break_type, RSP_WATCH_READ);
	cr_assert_eq(mock->break_addr, 0xffff800000100010);
	cr_assert_eq(mock->break_kind, 4);
	cr_assert(client_gets(mock, "z1,12345,1", "OK"));
	cr_assert_eq(mock->break_type, RSP_BREAK_HARD);
	cr_assert_eq(mock->inserted * 10 + mock->removed, 11);
	mock->error = 28;
	cr_assert(client_gets(mock, "Z0,1,1", "E1c"));
	mock->error = -28;
	cr_assert(client_gets(mock, "z0,1,1", "E1c"));
	mock->error = 0x10000;
	cr_assert(client_gets(mock, "z0,1,1", "E16"));
	mock->break_types = 0x1;
	cr_assert(client_gets(mock, "Z1,1,1", ""));
	cr_assert(client_gets(mock, "z2,1,1", ""));
	rsp_mock_close(mock);
}

Test(commands, offsets_when_the_program_moved_then_where_its_text_is)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	cr_assert(client_gets(mock, "qOffsets", ""));
	mock->text_start = 0xffffffff9a600000;
	cr_assert(client_gets(mock, "qOffsets", "TextSeg=ffffffff9a600000"));
	mock->xfer.text_start = NULL;
	cr_assert(client_gets(mock, "qOffsets", ""));
	rsp_mock_close(mock);
}
