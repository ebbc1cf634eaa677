/* Framing, acks, the first byte, what is too long, what waits. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t send_text(struct rsp_mock *mock, const char *text)
{
	return rsp_session_input(mock->session, (const uint8_t *)text, strlen(text));
}

/* The whole output is @expected. */
static bool output_is(struct rsp_mock *mock, const char *expected)
{
	size_t len;
	const uint8_t *bytes = rsp_session_output(mock->session, &len);
	bool is_same = len == strlen(expected) && memcmp(bytes, expected, len) == 0;

	if (!is_same)
		cr_log_error("expected '%s', got '%.*s'", expected, (int)len, (const char *)bytes);
	rsp_session_sent(mock->session, len);
	return is_same;
}

static const char *const foreigners[] = {
	"GET / HTTP/1.1\r\n",
	"POST /x HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n$k#6b",
	"\x16\x03\x01\x02\x00\x01",
	"EHLO example.org\r\n",
	"\r\n$k#6b",
	"+POST / HTTP/1.1\r\n\r\n$k#6b",
	"+++-\003 $k#6b",
	"$k#00 $k#6b",
	"$k#6b / HTTP/1.1\r\n",
	"$g#67$k#6b /$?#3f HTTP/1.1\r\n",
};

Test(packet, first_bytes_of_another_protocol_then_refused_and_nothing_done)
{
	size_t i;

	for (i = 0; i < sizeof(foreigners) / sizeof(foreigners[0]); i++) {
		struct rsp_mock *mock = rsp_mock_open();

		cr_assert(mock);
		cr_expect_eq(send_text(mock, foreigners[i]), strlen(foreigners[i]));
		cr_expect_eq(rsp_session_state(mock->session), RSP_REFUSED, "%s", foreigners[i]);
		cr_expect_eq(mock->attached + mock->killed, 0);
		rsp_session_reset(mock->session);
		cr_expect_eq(rsp_session_state(mock->session), RSP_NEW);
		rsp_mock_close(mock);
	}
}

Test(packet, each_byte_first_then_only_four_are_let_in)
{
	struct rsp_mock *mock = rsp_mock_open();
	unsigned i;

	cr_assert(mock);
	for (i = 0; i < 256; i++) {
		uint8_t byte = (uint8_t)i;
		bool is_ours = i == '+' || i == '-' || i == '$' || i == 3;

		rsp_session_reset(mock->session);
		cr_assert_eq(rsp_session_input(mock->session, &byte, 1), 1);
		cr_assert_eq(rsp_session_state(mock->session), is_ours ? RSP_NEW : RSP_REFUSED);
	}
	cr_assert_eq(mock->attached + mock->interrupted, 0);
	rsp_mock_close(mock);
}

/* A page may make the method as long as it likes, so that the space comes in another piece. */
Test(packet, first_packets_that_a_long_method_can_hold_then_refused)
{
	struct rsp_mock *mock = rsp_mock_open();
	char text[2000];

	cr_assert(mock);
	memset(text, '+', sizeof(text));
	memcpy(text + sizeof(text) - 6, "$k#6b", 6);
	cr_assert_eq(send_text(mock, text), sizeof(text) - 1);
	cr_assert_eq(rsp_session_state(mock->session), RSP_REFUSED);
	rsp_session_reset(mock->session);
	snprintf(text, 6, "$?#3f");
	text[5] = '+';
	send_text(mock, text);
	cr_assert_eq(rsp_session_state(mock->session), RSP_KILLED, "it spoke the protocol first");
	cr_assert_eq(mock->killed, 1);
	rsp_mock_close(mock);
}

Test(packet, junk_after_first_packet_then_counted_and_skipped)
{
	struct rsp_mock *mock = client_connect();

	send_text(mock, "junk$qC#b4\n");
	cr_assert(client_hears(mock, "QCp1.1"));
	cr_assert_eq(rsp_session_stats(mock->session).junk_bytes, 5);
	rsp_mock_close(mock);
}

Test(packet, good_packet_in_ack_mode_then_plus_and_reply)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	send_text(mock, "+$qC#b4");
	cr_assert(output_is(mock, "+$QC1#c5"));
	rsp_mock_close(mock);
}

Test(packet, bad_checksum_then_this_one_only_gets_minus)
{
	static const char *const bad[] = {"$qC#b5", "$qC#zz", "$qC#b", "$qC#", "$qC#4\001"};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rsp_mock *mock = rsp_mock_open();

		cr_assert(mock);
		send_text(mock, bad[i]);
		send_text(mock, "$qC#b4");
		cr_expect(output_is(mock, "-+$QC1#c5"), "%s", bad[i]);
		cr_expect_eq(rsp_session_stats(mock->session).bad_checksums, 1);
		rsp_mock_close(mock);
	}
}

Test(packet, bad_checksum_before_first_good_packet_then_target_untouched)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	send_text(mock, "$g#00");
	cr_assert_eq(mock->attached, 0);
	cr_assert_eq(rsp_session_state(mock->session), RSP_NEW);
	rsp_mock_close(mock);
}

Test(packet, minus_from_client_then_last_packet_again)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	send_text(mock, "-$qC#b4");
	cr_assert(output_is(mock, "+$QC1#c5"));
	send_text(mock, "-");
	cr_assert(output_is(mock, "$QC1#c5"));
	send_text(mock, "-+");
	cr_assert(output_is(mock, "$QC1#c5"));
	cr_assert_eq(mock->attached, 1);
	rsp_mock_close(mock);
}

Test(packet, minus_without_room_then_waits_for_room)
{
	struct rsp_mock *mock = rsp_mock_open();
	const uint8_t minus = '-';
	size_t len;

	cr_assert(mock);
	rsp_wire_send(mock->session, "m10000,10000");
	rsp_session_output(mock->session, &len);
	cr_assert_eq(rsp_session_input(mock->session, &minus, 1), 0);
	cr_assert_eq(rsp_wire_drain(mock->session), len);
	cr_assert_eq(rsp_session_input(mock->session, &minus, 1), 1);
	cr_assert_eq(rsp_wire_drain(mock->session), len - 1);
	rsp_mock_close(mock);
}

Test(packet, no_ack_mode_then_no_acks_and_no_retransmission)
{
	struct rsp_mock *mock = rsp_mock_open();

	cr_assert(mock);
	send_text(mock, "$QStartNoAckMode#b0");
	cr_assert(output_is(mock, "+$OK#9a"));
	send_text(mock, "+$qC#b4-");
	cr_assert(output_is(mock, "$QC1#c5"));
	send_text(mock, "$qC#00");
	cr_assert(output_is(mock, "$E16#ac"));
	rsp_session_reset(mock->session);
	send_text(mock, "$qC#b4");
	cr_assert(output_is(mock, "+$QC1#c5"));
	rsp_mock_close(mock);
}

Test(packet, new_packet_inside_cut_one_then_new_one_counts)
{
	struct rsp_mock *mock = client_connect();

	send_text(mock, "$M10000,4:aabb$qC#b4");
	cr_assert(client_hears(mock, "QCp1.1"));
	cr_assert(client_hears_nothing(mock));
	cr_assert_eq(mock->changes, 0);
	cr_assert_eq(rsp_session_stats(mock->session).junk_bytes, 14);
	rsp_mock_close(mock);
}

Test(packet, longest_packet_then_served_and_one_more_byte_then_refused)
{
	static const char x_fits[] = "X10000,1fff3:";
	static const char x_too_long[] = "X10000,1fff4:";
	struct rsp_mock *mock = client_connect();
	char *packet = malloc(RSP_PACKET_SIZE + 2);
	size_t head;

	cr_assert(packet);
	memcpy(packet, "M10000,fff9:", 13);
	head = strlen(packet);
	memset(packet + head, 'a', RSP_PACKET_SIZE + 1 - head);
	/* 12 + 2 * 0xfff9 is two short of the limit; X fills it exactly. */
	cr_assert_eq(rsp_wire_send_bytes(mock->session, packet, head + 2 * 0xfff9u),
		     head + 2 * 0xfff9u + 4);
	cr_assert(client_hears(mock, "OK"));
	memcpy(packet, x_fits, sizeof(x_fits) - 1);
	cr_assert_eq(rsp_wire_send_bytes(mock->session, packet, RSP_PACKET_SIZE),
		     RSP_PACKET_SIZE + 4);
	cr_assert(client_hears(mock, "OK"));
	cr_assert_eq(mock->mem[0x1fff2], 'a');
	memcpy(packet, x_too_long, sizeof(x_too_long) - 1);
	rsp_wire_send_bytes(mock->session, packet, RSP_PACKET_SIZE + 1);
	cr_assert(client_hears(mock, "E07"));
	cr_assert_eq(mock->changes, 2);
	cr_assert_eq(rsp_session_stats(mock->session).oversized, 1);
	cr_assert(client_gets(mock, "qC", "QCp1.1"));
	free(packet);
	rsp_mock_close(mock);
}

Test(packet, endless_packet_in_ack_mode_then_minus_and_next_one_served)
{
	struct rsp_mock *mock = rsp_mock_open();
	char chunk[1000];
	unsigned i;

	cr_assert(mock);
	memset(chunk, 'y', sizeof(chunk));
	send_text(mock, "$");
	for (i = 0; i < 1000; i++) {
		cr_assert_eq(rsp_session_input(mock->session, (uint8_t *)chunk, sizeof(chunk)),
			     sizeof(chunk));
	}
	send_text(mock, "#00$qAttached:1#fa");
	cr_assert(output_is(mock, "-+$1#31"));
	cr_assert_eq(rsp_session_stats(mock->session).oversized, 1);
	rsp_mock_close(mock);
}

Test(packet, client_that_never_reads_then_input_returns_short_and_queue_is_bounded)
{
	struct rsp_mock *mock = client_connect();
	uint8_t frame[32];
	size_t len = rsp_wire_frame(frame, "m10000,10000", 12);
	size_t out_len, taken, i;
	unsigned answered = 0;

	for (i = 0; i < 10; i++) {
		taken = rsp_session_input(mock->session, frame, len);
		if (taken < len)
			break;
	}
	cr_assert_eq(taken, len - 1);
	cr_assert_eq(rsp_session_input(mock->session, frame + len - 1, 1), 0);
	rsp_session_output(mock->session, &out_len);
	cr_assert_leq(out_len, RSP_OUT_SIZE);
	/* Once the client reads, the packet that waited is served, and none is lost. */
	rsp_wire_drain(mock->session);
	cr_assert_eq(rsp_session_input(mock->session, frame + len - 1, 1), 1);
	for (; rsp_wire_drain(mock->session) > 0; answered++) {
	}
	cr_assert_eq(answered, 1);
	rsp_mock_close(mock);
}

Test(packet, output_taken_in_small_pieces_then_same_bytes)
{
	struct rsp_mock *mock = client_connect();
	uint8_t *expected = malloc(RSP_OUT_SIZE);
	size_t len, at = 0, total, step = 1;
	const uint8_t *bytes;

	cr_assert(expected);
	rsp_wire_send(mock->session, "m10003,8123");
	rsp_wire_send(mock->session, "qC");
	bytes = rsp_session_output(mock->session, &total);
	memcpy(expected, bytes, total);
	while (at < total) {
		bytes = rsp_session_output(mock->session, &len);
		cr_assert_eq(len, total - at);
		cr_assert_arr_eq(bytes, expected + at, len);
		rsp_session_sent(mock->session, step);
		at += step < len ? step : len;
		step = step * 3 % 4099 + 1;
	}
	cr_assert(client_hears_nothing(mock));
	free(expected);
	rsp_mock_close(mock);
}

Test(packet, many_sessions_on_half_sent_output_then_replies_stay_whole)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));
	unsigned i;

	cr_assert(answer);
	/* One answer is always left behind, so the queue moves through its whole buffer. */
	rsp_wire_send(mock->session, "m10000,5000");
	for (i = 0; i < 100; i++) {
		cr_assert_eq(rsp_wire_send(mock->session, "m10000,5000"), 15);
		answer->len = rsp_wire_take(mock->session, answer->text, sizeof(answer->text));
		cr_assert_eq(answer->len, 0xa000, "round %u", i);
	}
	free(answer);
	rsp_mock_close(mock);
}

Test(packet, refusal_then_ack_and_an_error_with_text)
{
	char out[64];
	size_t len = rsp_format_refusal(out, sizeof(out), "busy: #1 of 1*");

	cr_assert_eq(len, 21);
	cr_assert_arr_eq(out, "+$E.busy: ?1 of 1?#", 19);
	cr_assert_eq(rsp_format_refusal(out, 6, "busy"), 0);
	memset(out, '!', sizeof(out));
	cr_assert_leq(rsp_format_refusal(out, 9, "a long reason"), 9);
	cr_assert_eq(out[9], '!');
}

Test(packet, incomplete_target_then_open_refuses)
{
	struct rsp_mock *mock = rsp_mock_open();
	struct rsp_session *session = NULL;
	struct rsp_target target;

	cr_assert(mock);
	target = mock->target;
	target.run = NULL;
	cr_assert_lt(rsp_session_open(&session, &target), 0);
	target = mock->target;
	mock->brk.remove = NULL;
	cr_assert_lt(rsp_session_open(&session, &target), 0);
	mock->brk.remove = mock->brk.insert;
	mock->phys.write = NULL;
	cr_assert_lt(rsp_session_open(&session, &target), 0);
	target.phys = NULL;
	mock->base.mem_read = NULL;
	cr_assert_lt(rsp_session_open(&session, &target), 0);
	cr_assert_null(session);
	rsp_mock_close(mock);
}
