/* Tracepoints: definitions, what is collected, frames, and the buffer. */
#include "client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* g of the mock: eight registers of 8 bytes, one of 4, one of 8. */
#define BLOCK_BYTES (8 * 8 + 4 + 8)

static struct rsp_mock *mock;
static char said[1024];

/* The answer, until the next question; each test is a process of its own. */
static const char *ask(const char *packet)
{
	static struct answer answer;

	client_ask(mock, packet, &answer);
	cr_assert_geq(answer.len, 0, "%s", packet);
	return answer.text;
}

static void expect(const char *packet, const char *wanted)
{
	const char *answer = ask(packet);

	cr_expect_str_eq(answer, wanted, "%s: %s", packet, answer);
}

static void expect_part(const char *packet, const char *wanted)
{
	const char *answer = ask(packet);

	cr_expect(strstr(answer, wanted), "%s: %s", packet, answer);
}

static bool hit(unsigned tracepoint, uint64_t pc)
{
	struct rsp_mock_view view = {mock, said, sizeof(said)};
	const struct rsp_ax_env env = rsp_mock_env(&view);

	memcpy(mock->regs[1][MOCK_PC], &pc, sizeof(pc));
	return rsp_tracer_hit(mock->tracer, tracepoint, 1, &env);
}

static bool step(uint64_t pc)
{
	struct rsp_mock_view view = {mock, said, sizeof(said)};
	const struct rsp_ax_env env = rsp_mock_env(&view);

	memcpy(mock->regs[1][MOCK_PC], &pc, sizeof(pc));
	return rsp_tracer_stepped(mock->tracer, 1, &env);
}

static void set_up(void)
{
	mock = client_connect();
	said[0] = '\0';
}

static void tear_down(void)
{
	cr_expect_eq(mock->trace_lock, 0);
	rsp_mock_close(mock);
}

TestSuite(trace, .init = set_up, .fini = tear_down);

/* The mock's bytes as digits. */
static const char *memory_at(uint64_t addr, size_t len)
{
	static char digits[512];

	for (size_t i = 0; i < len; i++)
		snprintf(digits + 2 * i, 3, "%02x", mock->mem[addr - MOCK_MEM_BASE + i]);
	return digits;
}

Test(trace, a_fresh_target_when_asked_then_never_ran)
{
	expect("qTStatus", "T0;tnotrun:0;tframes:0;tcreated:0;tfree:2000;tsize:2000;circular:0;"
			   "disconn:0;username:;notes:");
	expect("qTfP", "l");
	expect("qTfV", "l");
	expect("qTBuffer:0,100", "l");
	expect("QTFrame:0", "F-1");
}

Test(trace, a_tracepoint_when_hit_then_collects_what_its_actions_say)
{
	expect("QTDP:5:1000:E:0:0-", "OK");
	expect("QTDP:-5:1000:RFFM-1,10010,8-", "OK");
	/* M based on register 1; X: const16 0x20 const16... trace of 0x10100, 4 bytes. */
	expect("QTDP:-5:1000:M1,0,4X9,24000101002204"
	       "0c27",
	       "OK");
	cr_expect_eq(mock->armed, 0);
	expect("QTStart", "OK");
	cr_expect_eq(mock->armed, 1);
	cr_expect_eq(mock->armed_addr[0], 0x1000);
	memcpy(mock->regs[1][1], "\x20\x00\x01\x00\x00\x00\x00\x00", 8);
	cr_expect_not(hit(0, 0x1000));
	memset(mock->mem + 0x10, 0xee, 8); /* it changes later on */
	expect("qTP:5:1000", "V1:84");
	expect_part("qTStatus", "T1;tframes:1;tcreated:1;");
	expect("QTFrame:0", "F0T5");
	expect("p7", "0010000000000000");
	expect("p1", "2000010000000000");
	expect("p6", "1616161616161616");
	cr_expect_str_neq(ask("m10010,8"), memory_at(0x10010, 8));
	expect("m10020,4", memory_at(0x10020, 4));
	expect("m10022,10", memory_at(0x10022, 2));
	expect("m10100,4", memory_at(0x10100, 4));
	expect("m10104,1", "E0e");
	expect("m10000,4", "E0e");
	expect("pa", "xxxxxxxxxxxxxxxx");
	expect_part("qXfer:traceframe-info:read::0,1000",
		    "<memory start=\"0x10010\" length=\"0x8\"/>\n"
		    "<memory start=\"0x10020\" length=\"0x4\"/>\n"
		    "<memory start=\"0x10100\" length=\"0x4\"/>\n");
	expect("QTFrame:ffffffff", "OK");
	expect("m10010,8", "eeeeeeeeeeeeeeee");
}

Test(trace, a_condition_when_it_does_not_hold_then_nothing_is_collected)
{
	expect("QTDP:1:1000:E:0:0:X7,26000022051327", "OK");
	expect("QTStart", "OK");
	memcpy(mock->regs[1][0], "\x04\0\0\0\0\0\0\0", 8);
	hit(0, 0x1000);
	expect("qTP:1:1000", "V0:0");
	memcpy(mock->regs[1][0], "\x05\0\0\0\0\0\0\0", 8);
	hit(0, 0x1000);
	expect("qTP:1:1000", "V1:6");
}

Test(trace, a_frame_without_registers_then_has_the_pc_of_its_tracepoint)
{
	expect("QTDP:1:123456:E:0:0", "OK");
	expect("QTStart", "OK");
	hit(0, 0x123456);
	expect("QTFrame:0", "F0T1");
	expect("p7", "5634120000000000");
	expect("p0", "xxxxxxxxxxxxxxxx");
}

Test(trace, a_tracepoint_when_it_steps_then_has_a_frame_for_each_step)
{
	expect("QTDP:1:1000:E:3:0-", "OK");
	expect("QTDP:-1:1000:M-1,10000,1-", "OK");
	expect("QTDP:-1:1000:SRFF", "OK");
	expect("QTStart", "OK");
	cr_expect(hit(0, 0x1000));
	cr_expect(step(0x1001));
	cr_expect(step(0x1002));
	cr_expect_not(step(0x1003));
	cr_expect_not(step(0x1004));
	expect_part("qTStatus", "tframes:4;");
	expect("QTFrame:pc:1002", "F2T1");
	expect("p7", "0210000000000000");
	expect("m10000,1", "E0e");
	expect("QTFrame:0", "F0T1");
	expect("m10000,1", memory_at(0x10000, 1));
}

Test(trace, tracepoints_when_both_step_then_each_has_its_frames)
{
	expect("QTDP:1:1000:E:2:0", "OK");
	expect("QTDP:2:1001:E:2:0", "OK");
	expect("QTStart", "OK");
	cr_expect(hit(0, 0x1000));
	cr_expect(step(0x1001)); /* of 1 */
	cr_expect(hit(1, 0x1001));
	cr_expect(step(0x1002)); /* of both */
	cr_expect_not(step(0x1003));
	expect_part("qTStatus", "tframes:6;");
}

Test(trace, frames_when_looked_for_then_found_behind_the_one_that_is_selected)
{
	static const struct {
		const char *packet, *answer;
	} finds[] = {
		{"QTFrame:pc:1004", "F1T2"},
		{"QTFrame:pc:1004", "F3T2"},
		{"QTFrame:pc:1004", "F-1"},
		{"QTFrame:0", "F0T1"},
		{"QTFrame:tdp:2", "F1T2"},
		{"QTFrame:tdp:2", "F3T2"},
		{"QTFrame:tdp:2", "F-1"},
		{"QTFrame:tdp:9", "F-1"},
		{"QTFrame:0", "F0T1"},
		{"QTFrame:range:1001:1007", "F1T2"},
		{"QTFrame:range:1001:1007", "F3T2"},
		{"QTFrame:range:1001:1007", "F-1"},
		{"QTFrame:0", "F0T1"},
		{"QTFrame:outside:1001:1007", "F2T1"},
		{"QTFrame:outside:1001:1007", "F4T1"},
		{"QTFrame:outside:1001:1007", "F-1"},
		{"QTFrame:4", "F4T1"},
		{"QTFrame:2", "F2T1"},
		{"QTFrame:5", "F-1"},
		{"QTFrame:ffffffff", "OK"},
		{"QTFrame:tdp:1", "F0T1"},
	};

	expect("QTDP:1:1000:E:0:0-", "OK");
	expect("QTDP:-1:1000:RFF", "OK");
	expect("QTDP:2:1004:E:0:0", "OK");
	expect("QTStart", "OK");
	for (unsigned i = 0; i < 5; i++)
		hit(i & 1, i & 1 ? 0x1004 : 0x1000);
	for (size_t i = 0; i < COUNT(finds); i++)
		expect(finds[i].packet, finds[i].answer);
}

Test(trace, variables_when_set_then_hold_and_are_given_back)
{
	expect("QTDV:1:ffffffffffffffff:0:666f6f", "OK");
	expect("QTDV:2:5:1:626172", "OK");
	expect("qTfV", "1:ffffffffffffffff:0:666f6f");
	expect("qTsV", "2:5:1:626172");
	expect("qTsV", "l");
	expect("qTV:1", "Vffffffffffffffff");
	expect("qTV:3", "U");
	/* $2 = $2 + 1, and it is recorded. */
	expect("QTDP:1:1000:E:0:0-", "OK");
	expect("QTDP:-1:1000:Xd,2c00022201022d00022e000227", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	hit(0, 0x1000);
	expect("qTV:2", "V7");
	expect("QTFrame:0", "F0T1");
	expect("qTV:2", "V6");
	expect("qTV:1", "U");
	expect_part("qXfer:traceframe-info:read::0,1000", "<tvar id=\"0x2\"/>");
	expect("QTFrame:ffffffff", "OK");
	/* The next run begins with what they were defined to be. */
	expect("QTStart", "OK");
	expect("qTV:2", "V5");
}

Test(trace, a_pass_count_when_reached_then_ends_the_trace)
{
	expect("QTDP:7:1000:E:0:2", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	cr_expect(rsp_tracer_is_running(mock->tracer));
	hit(0, 0x1000);
	cr_expect_not(rsp_tracer_is_running(mock->tracer));
	hit(0, 0x1000);
	expect_part("qTStatus", "T0;tpasscount:7;tframes:2;");
}

Test(trace, an_expression_when_it_faults_then_ends_the_trace_with_the_reason)
{
	/* *(char *)1 */
	expect("QTDP:7:1000:E:0:0-", "OK");
	expect("QTDP:-7:1000:X4,22011727", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	/* "no memory at 0x1 (byte 2)" */
	expect_part("qTStatus", "T0;terror:6e6f206d656d6f727920617420307831202862797465203229:7;");
}

Test(trace, memory_when_it_is_not_there_then_is_left_out)
{
	/* trace_quick of 4 bytes at 1; then 8 bytes over the end of what there is. */
	expect("QTDP:7:1000:E:0:0-", "OK");
	expect("QTDP:-7:1000:X5,22010d0427M-1,4fffe,8", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	expect_part("qTStatus", "T1;tframes:1;");
	expect("QTFrame:0", "F0T7");
	expect("m1,1", "E0e");
	expect("m4fffe,8", memory_at(0x4fffe, 2));
}

Test(trace, tracenz_when_run_then_collects_up_to_the_nul)
{
	strcpy((char *)mock->mem + 0x200, "a string of the guest");
	/* const32 0x10200, const16 200, tracenz; and one that ends before its NUL. */
	expect("QTDP:7:1000:E:0:0-", "OK");
	expect("QTDP:-7:1000:Xa,2400010200"
	       "2300c82f27",
	       "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	expect("QTFrame:0", "F0T7");
	expect("m10200,100", "6120737472696e67206f662074686520677565737400");
}

Test(trace, a_tracepoint_when_disabled_then_collects_nothing)
{
	expect("QTDP:7:1000:D:0:0", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	expect("qTP:7:1000", "V0:0");
	expect("QTEnable:7:1000", "OK");
	hit(0, 0x1000);
	expect("qTP:7:1000", "V1:6");
	expect("QTDisable:7:1000", "OK");
	hit(0, 0x1000);
	expect("qTP:7:1000", "V1:6");
	expect("QTEnable:8:1000", "E.there is no such tracepoint");
	expect("qTP:7:1001", "E.there is no such tracepoint");
}

Test(trace, a_tracepoint_when_it_comes_while_a_trace_runs_then_works_once_it_is_complete)
{
	expect("QTStart", "OK");
	expect("QTDP:7:1000:E:0:0-", "OK");
	cr_expect_eq(mock->armed, 0);
	expect("QTDP:-7:1000:RFF", "OK");
	cr_expect_eq(mock->armed, 1);
	hit(0, 0x1000);
	expect("qTP:7:1000", "V1:53");
}

Test(trace, a_buffer_when_full_then_the_trace_ends_and_whole_frames_are_kept)
{
	unsigned hits = 0;
	char answer[64];

	expect("QTBuffer:size:1000", "OK");
	expect("QTDP:7:1000:E:0:0-", "OK");
	expect("QTDP:-7:1000:M-1,10000,100", "OK");
	expect("QTStart", "OK");
	while (rsp_tracer_is_running(mock->tracer) && hits < 100) {
		hit(0, 0x1000);
		hits++;
	}
	/* A frame has 6 + 11 + 256 bytes: 15 fit, the 16th is the one that does not. */
	cr_expect_eq(hits, 16);
	expect_part("qTStatus", "T0;tfull:0;tframes:f;tcreated:f;tfree:1;tsize:1000;");
	snprintf(answer, sizeof(answer), "F%xT7", 14);
	expect("QTFrame:e", answer);
	expect("QTFrame:f", "F-1");
}

Test(trace, a_buffer_when_circular_then_drops_the_oldest_and_reads_in_order)
{
	char packet[64];
	unsigned n;

	expect("QTBuffer:size:1000", "OK");
	expect("QTBuffer:circular:1", "OK");
	/* Frames of several sizes: registers; or memory at register 0, whose length varies. */
	expect("QTDP:1:1000:E:0:0-", "OK");
	expect("QTDP:-1:1000:M-1,10000,8RFF", "OK");
	expect("QTDP:2:1001:E:0:0-", "OK");
	expect("QTDP:-2:1001:M-1,10000,8M-1,10100,1f3", "OK");
	expect("QTStart", "OK");
	for (n = 0; n < 1000; n++) {
		unsigned point = n % 3 == 0;
		uint64_t oldest, count, made;

		memcpy(mock->mem, &(uint64_t){n}, 8);
		hit(point, 0x1000 + point);
		cr_assert_eq(sscanf(ask("qTStatus"), "T1;tframes:%lx;tcreated:%lx;", &count, &made),
			     2);
		cr_assert_eq(made, n + 1);
		cr_assert(count >= 5 || count == made, "%lu", count);
		/* The oldest, one in the middle and the newest are what was collected then. */
		oldest = made - count;
		for (uint64_t at = 0; at<count; at += count> 1 ? count - 1 : 1) {
			uint64_t value;

			snprintf(packet, sizeof(packet), "QTFrame:%lx", at);
			cr_assert_eq(ask(packet)[0], 'F');
			cr_assert_eq(sscanf(ask("m10000,2"), "%lx", &value), 1);
			value = (value >> 8) | (value & 0xff) << 8;
			cr_assert_eq(value, oldest + at, "hit %u, frame %lu: %lu", n, at, value);
		}
		expect("QTFrame:ffffffff", "OK");
	}
}

/* What qTBuffer gives is a sequence of frames, however it is asked for. */
Test(trace, frames_when_read_as_a_file_then_are_whole_and_in_order)
{
	static char whole[0x4000];
	size_t len, at = 0, frames = 0;
	char packet[64];

	expect("QTBuffer:size:1000", "OK");
	expect("QTBuffer:circular:1", "OK");
	expect("QTDP:1:1000:E:0:0-", "OK");
	expect("QTDP:-1:1000:M-1,10000,5dRFF", "OK");
	expect("QTStart", "OK");
	for (unsigned n = 0; n < 50; n++)
		hit(0, 0x1000 + n);
	expect("QTStop", "OK");
	expect_part("qTStatus", "T0;tstop::0;");
	strcpy(whole, ask("qTBuffer:0,10000"));
	len = strlen(whole);
	for (size_t offset = 0; offset < len / 2; offset += 7) {
		size_t part = len / 2 - offset < 7 ? len / 2 - offset : 7;

		snprintf(packet, sizeof(packet), "qTBuffer:%zx,7", offset);
		cr_assert_eq(strncmp(ask(packet), whole + 2 * offset, 2 * part), 0);
	}
	snprintf(packet, sizeof(packet), "qTBuffer:%zx,7", len / 2);
	expect(packet, "l");
	while (at < len) {
		cr_assert_eq(strncmp(whole + at, "0100b5000000", 12), 0);
		at += 2 * (6 + 1 + 8 + 2 + 0x5d + 1 + BLOCK_BYTES);
		frames++;
	}
	cr_expect_eq(at, len);
	snprintf(packet, sizeof(packet), ";tframes:%zx;", frames);
	expect_part("qTStatus", packet);
}

Test(trace, definitions_when_a_client_comes_later_then_are_given_back)
{
	expect("QTDP:7:1000:D:a:b:X3,220127-", "OK");
	expect("QTDP:-7:1000:RFFM-1,10000,8-", "OK");
	expect("QTDP:-7:1000:SX3,220127", "OK");
	expect("QTDPsrc:7:1000:at:0:4:6d61696e", "OK");
	expect("QTDP:8:2000:E:0:0", "OK");
	expect("qTfP", "T7:1000:D:a:b:X3,220127");
	expect("qTsP", "T8:2000:E:0:0");
	expect("qTsP", "A7:1000:RFFM-1,10000,8");
	expect("qTsP", "S7:1000:X3,220127");
	expect("qTsP", "Z7:1000:at:0:4:6d61696e");
	expect("qTsP", "l");
	expect("qTsP", "l");
	expect("QTNotes:user:6d65;notes:61;tstop:62;", "OK");
	expect_part("qTStatus", ";username:6d65;notes:61");
	expect("QTStart", "OK");
	expect("QTStop", "OK");
	expect_part("qTStatus", "T0;tstop:62:0;");
	expect("QTinit", "OK");
	expect("qTfP", "l");
}

Test(trace, a_client_when_it_leaves_then_ends_its_trace_unless_it_said_otherwise)
{
	expect("QTDP:7:1000:E:0:0", "OK");
	expect("QTStart", "OK");
	cr_expect_not(rsp_tracer_leave(mock->tracer));
	expect_part("qTStatus", "T0;tdisconnected:0;");
	expect("QTDisconnected:1", "OK");
	expect("QTStart", "OK");
	cr_expect(rsp_tracer_leave(mock->tracer));
	rsp_session_reset(mock->session);
	hit(0, 0x1000);
	expect_part("qTStatus", "T1;tframes:1;tcreated:1;");
}

Test(trace, a_frame_when_selected_then_shows_read_only_memory_as_it_is)
{
	expect("QTro:10100,10110:10200,10300", "OK");
	expect("QTDP:7:1000:E:0:0", "OK");
	expect("QTStart", "OK");
	hit(0, 0x1000);
	expect("QTFrame:0", "F0T7");
	expect("m10108,20", memory_at(0x10108, 8));
	expect("m10110,1", "E0e");
	expect("m10200,4", memory_at(0x10200, 4));
}

Test(trace, a_start_when_the_target_cannot_then_is_refused_and_nothing_is_armed)
{
	expect("QTDP:7:1000:E:0:0", "OK");
	mock->error = 12;
	expect_part("QTStart", "E.the trace cannot start");
	cr_expect_not(rsp_tracer_is_running(mock->tracer));
	cr_expect_geq(mock->disarmed, 1);
	mock->error = 0;
	expect("QTStart", "OK");
}

static const struct {
	const char *packet, *why;
} refusals[] = {
	{"QTDP:0:1000:E:0:0", "E.a tracepoint's number"},
	{"QTDP:10000:1000:E:0:0", "E.a tracepoint's number"},
	{"QTDP:7:1000:X:0:0", "E.a tracepoint definition is malformed"},
	{"QTDP:7:1000:E:0", "E.a tracepoint definition is malformed"},
	{"QTDP:7:1000:E:0:0:Q", "E.a tracepoint definition is malformed"},
	{"QTDP:7:1000:E:0:0:F", "E.a tracepoint definition is malformed"},
	{"QTDP:7:1000:E:0:0--", "E.a tracepoint definition is malformed"},
	{"QTDP:7:1000:E:f4241:0", "E.a tracepoint steps more than a million times"},
	{"QTDP:7:1000:E:0:0:X3,22", "E.an agent expression has another length"},
	{"QTDP:7:1000:E:0:0:X3,22010d", "E.agent expression, byte 2: trace_quick is for"},
	{"QTDP:1:1000:E:0:0", "E.a tracepoint of this number is there already"},
	{"QTDP:-9:1000:RFF", "E.actions of a tracepoint that does not exist"},
	{"QTDP:-1:1000:Q", "E.a tracepoint action is not known"},
	{"QTDP:-1:1000:L", "E.a tracepoint action is not known"},
	{"QTDP:-1:1000:R", "E.a tracepoint definition is malformed"},
	{"QTDP:-1:1000:M-2,0,1", "E.a tracepoint definition is malformed"},
	{"QTDP:-1:1000:M-1,0", "E.a tracepoint definition is malformed"},
	{"QTDP:-1:1000:M-1,0,100001", "E.a tracepoint collects more than 1 MiB"},
	{"QTDP:-1:1000:Mff,0,1", "E.a tracepoint's base register does not exist"},
	{"QTDP:-1:1000:Mfffff,0,1", "E.a tracepoint's base register does not exist"},
	{"QTDP:-1:1000:X4,22013427", "E.agent expression, byte 2: printf is for commands"},
	{"QTDP:-1:1000:X3,22zz27", "E.an agent expression is not hexadecimal"},
	{"QTDPsrc:9:1000:at:0:1:61", "E.the source of a tracepoint that does not exist"},
	{"QTDPsrc:1", "E.a tracepoint definition is malformed"},
	{"QTro:1000", "E.a tracepoint definition is malformed"},
	{"QTro:1000,2000:", "E.a tracepoint definition is malformed"},
	{"QTBuffer:size:10", "E.a trace buffer has 0x1000 to 0x100000 bytes"},
	{"QTBuffer:size:100001", "E.a trace buffer has 0x1000 to 0x100000 bytes"},
	{"QTBuffer:other:1", "E.a trace buffer has"},
	{"QTSave:61", "E.no file is written here"},
};

Test(trace, a_wrong_packet_then_is_refused_with_the_reason)
{
	expect("QTDP:1:1000:E:0:0", "OK");
	for (size_t i = 0; i < COUNT(refusals); i++) {
		const char *answer = ask(refusals[i].packet);

		cr_expect_eq(strncmp(answer, refusals[i].why, strlen(refusals[i].why)), 0, "%s: %s",
			     refusals[i].packet, answer);
	}
	expect("qTfP", "T1:1000:E:0:0");
	expect("QTStart", "OK");
	expect("QTBuffer:size:2000", "E.the buffer's size cannot change while a trace runs");
	expect("QTBuffer:size:-1", "E.the buffer's size cannot change while a trace runs");
}

Test(trace, tracepoints_when_there_are_too_many_then_are_refused)
{
	char packet[64];

	for (unsigned n = 1; n <= 256; n++) {
		snprintf(packet, sizeof(packet), "QTDP:%x:1000:E:0:0", n);
		expect(packet, "OK");
	}
	expect("QTDP:101:1000:E:0:0", "E.there are too many tracepoints");
	for (unsigned n = 1; n <= 128; n++) {
		snprintf(packet, sizeof(packet), "QTDV:%x:0:0:61", n);
		expect(packet, "OK");
	}
	expect("QTDV:81:0:0:61", "E.there are too many trace state variables");
}
