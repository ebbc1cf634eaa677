/* What real debuggers send, cut and split at every byte. */
#include "client.h"
#include "recorded.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS	  (sizeof(recorded_packets) / sizeof(recorded_packets[0]))
#define FRAME_MAX 300u

/* A whole session in little: if it works, nothing of the last client is left. */
static bool does_fresh_session_work(struct rsp_mock *mock)
{
	struct answer *answer = malloc(sizeof(*answer));
	bool is_fine;

	cr_assert(answer);
	client_ask(mock, "qSupported:swbreak+", answer);
	is_fine = answer->len > 0 && strstr(answer->text, "PacketSize=20000");
	is_fine = is_fine && !strstr(answer->text, "multiprocess");
	client_ask(mock, "m10000,4", answer);
	is_fine = is_fine && answer->len == 8;
	client_ask(mock, "qC", answer);
	is_fine = is_fine && strcmp(answer->text, "QC1") == 0;
	is_fine = is_fine && rsp_session_state(mock->session) == RSP_STOPPED;
	free(answer);
	return is_fine;
}

Test(recorded, every_truncation_then_next_client_works)
{
	struct rsp_mock *mock = rsp_mock_open();
	uint8_t frame[FRAME_MAX];
	size_t i, cut, len;

	cr_assert(mock && PACKETS >= 30);
	for (i = 0; i < PACKETS; i++) {
		len = rsp_wire_frame(frame, recorded_packets[i], strlen(recorded_packets[i]));
		for (cut = 0; cut <= len; cut++) {
			rsp_session_reset(mock->session);
			rsp_session_input(mock->session, frame, cut);
			rsp_session_reset(mock->session);
			cr_assert(does_fresh_session_work(mock), "%s cut to %zu",
				  recorded_packets[i], cut);
		}
	}
	rsp_mock_close(mock);
}

Test(recorded, every_truncation_then_target_untouched)
{
	struct rsp_mock *mock = rsp_mock_open();
	uint8_t frame[FRAME_MAX];
	size_t i, cut, len;

	cr_assert(mock);
	for (i = 0; i < PACKETS; i++) {
		len = rsp_wire_frame(frame, recorded_packets[i], strlen(recorded_packets[i]));
		for (cut = 0; cut < len; cut++) {
			rsp_session_reset(mock->session);
			cr_assert_eq(rsp_session_input(mock->session, frame, cut), cut);
			cr_assert_eq(rsp_session_state(mock->session), RSP_NEW);
		}
	}
	cr_assert_eq(mock->attached, 0);
	cr_assert_eq(mock->changes + mock->resumed + mock->killed + mock->detached, 0);
	rsp_mock_close(mock);
}

/* A cut packet and then a whole one on the same connection: the whole one is answered. */
Test(recorded, cut_packet_followed_by_good_one_then_good_one_is_answered)
{
	struct rsp_mock *mock = client_connect();
	uint8_t frame[FRAME_MAX];
	size_t i, cut, len;

	for (i = 0; i < PACKETS; i++) {
		len = rsp_wire_frame(frame, recorded_packets[i], strlen(recorded_packets[i]));
		for (cut = 1; cut < len; cut++) {
			rsp_session_input(mock->session, frame, cut);
			rsp_wire_send(mock->session, "qC");
			if (cut > len - 3)
				cr_assert(client_hears(mock, "E16"));
			cr_assert(client_hears(mock, "QCp1.1"), "%s cut to %zu",
				  recorded_packets[i], cut);
		}
	}
	rsp_mock_close(mock);
}

/* All packets up to those that end the session, in one stream, with a stop after each resume. */
static size_t talk(struct rsp_mock *mock, size_t split, uint8_t *out)
{
	uint8_t frame[FRAME_MAX];
	const uint8_t *bytes;
	size_t i, len, total = 0, out_len;

	for (i = 0; strcmp(recorded_packets[i], "D;1") != 0; i++) {
		size_t first;

		len = rsp_wire_frame(frame, recorded_packets[i], strlen(recorded_packets[i]));
		first = split < len ? split : len;
		cr_assert_eq(rsp_session_input(mock->session, frame, first), first);
		cr_assert_eq(rsp_session_input(mock->session, frame + first, len - first),
			     len - first);
		if (rsp_session_state(mock->session) == RSP_RUNNING)
			rsp_mock_stop(mock, 2);
		bytes = rsp_session_output(mock->session, &out_len);
		memcpy(out + total, bytes, out_len);
		total += out_len;
		rsp_session_sent(mock->session, out_len);
	}
	return total;
}

Test(recorded, input_split_at_every_byte_then_same_output)
{
	struct rsp_mock *mock = rsp_mock_open();
	uint8_t *whole = malloc(65536), *split = malloc(65536);
	size_t whole_len, at;

	cr_assert(mock && whole && split);
	/* The first round writes what every later one finds. */
	talk(mock, SIZE_MAX, whole);
	rsp_session_reset(mock->session);
	whole_len = talk(mock, SIZE_MAX, whole);
	for (at = 0; at < FRAME_MAX; at++) {
		rsp_session_reset(mock->session);
		cr_assert_eq(talk(mock, at, split), whole_len, "split at %zu", at);
		cr_assert_arr_eq(split, whole, whole_len);
	}
	free(whole);
	free(split);
	rsp_mock_close(mock);
}

Test(recorded, byte_by_byte_then_same_output)
{
	struct rsp_mock *mock = rsp_mock_open();
	uint8_t *whole = malloc(65536);
	size_t whole_len, i, k, len, total = 0, out_len;
	uint8_t frame[FRAME_MAX];

	cr_assert(mock && whole);
	talk(mock, SIZE_MAX, whole);
	rsp_session_reset(mock->session);
	whole_len = talk(mock, SIZE_MAX, whole);
	rsp_session_reset(mock->session);
	for (i = 0; strcmp(recorded_packets[i], "D;1") != 0; i++) {
		len = rsp_wire_frame(frame, recorded_packets[i], strlen(recorded_packets[i]));
		for (k = 0; k < len; k++)
			cr_assert_eq(rsp_session_input(mock->session, frame + k, 1), 1);
		if (rsp_session_state(mock->session) == RSP_RUNNING)
			rsp_mock_stop(mock, 2);
		rsp_session_output(mock->session, &out_len);
		cr_assert_arr_eq(rsp_session_output(mock->session, &out_len), whole + total,
				 out_len);
		total += out_len;
		rsp_session_sent(mock->session, out_len);
	}
	cr_assert_eq(total, whole_len);
	free(whole);
	rsp_mock_close(mock);
}
