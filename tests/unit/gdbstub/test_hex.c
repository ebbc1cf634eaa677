/* The codecs: hexadecimal, numbers, thread-ids, checksum, escapes, run lengths. */
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rsp_cursor cursor_of(const char *text)
{
	const uint8_t *bytes = (const uint8_t *)text;

	return (struct rsp_cursor){bytes, bytes + strlen(text)};
}

Test(hex, encode_every_length_then_same_as_printf)
{
	uint8_t bytes[100], digits[200];
	char expected[201];
	size_t len, i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 5);
	for (len = 0; len <= sizeof(bytes); len++) {
		memset(digits, '.', sizeof(digits));
		for (i = 0; i < len; i++)
			snprintf(expected + 2 * i, 3, "%02x", bytes[i]);
		rsp_hex_encode(digits, bytes, len);
		cr_assert_arr_eq(digits, expected, 2 * len);
		cr_assert(len == sizeof(bytes) || digits[2 * len] == '.', "length %zu", len);
	}
}

Test(hex, decode_all_bytes_in_place_then_identity)
{
	uint8_t bytes[256], text[512];
	size_t i;

	for (i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	rsp_hex_encode(text, bytes, 256);
	cr_assert(rsp_hex_decode(text, text, 512));
	cr_assert_arr_eq(text, bytes, 256);
}

Test(hex, decode_odd_or_foreign_digits_then_refused)
{
	uint8_t out[4];

	cr_assert_not(rsp_hex_decode(out, (const uint8_t *)"abc", 3));
	cr_assert_not(rsp_hex_decode(out, (const uint8_t *)"0g", 2));
	cr_assert_not(rsp_hex_decode(out, (const uint8_t *)"x0", 2));
	cr_assert(rsp_hex_decode(out, (const uint8_t *)"aBCd", 4));
	cr_assert_eq(out[0], 0xab);
	cr_assert_eq(out[1], 0xcd);
}

static const struct {
	const char *text;
	bool is_number;
	uint64_t value;
	size_t taken;
} numbers[] = {
	{"0", true, 0, 1},
	{"ffffffffffffffff", true, UINT64_MAX, 16},
	{"0000000000000000000001", true, 1, 22},
	{"10000000000000000", false, 0, 0},
	{"1ffffffffffffffff", false, 0, 0},
	{"12,", true, 0x12, 2},
	{"AbC", true, 0xabc, 3},
	{"", false, 0, 0},
	{",", false, 0, 0},
	{"-1", false, 0, 0},
};

Test(hex, parse_u64_then_value_or_refused)
{
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct rsp_cursor cursor = cursor_of(numbers[i].text);
		uint64_t value = 0;

		cr_expect_eq(rsp_parse_u64(&cursor, &value), numbers[i].is_number, "%s",
			     numbers[i].text);
		if (numbers[i].is_number) {
			cr_expect_eq(value, numbers[i].value, "%s", numbers[i].text);
			cr_expect_eq((size_t)(cursor.at - (const uint8_t *)numbers[i].text),
				     numbers[i].taken);
		}
	}
}

static const struct {
	const char *text;
	bool is_id;
	int32_t thread;
} thread_ids[] = {
	{"1", true, 1},
	{"-1", true, RSP_THREAD_ALL},
	{"0", true, RSP_THREAD_ANY},
	{"p1.2", true, 2},
	{"p1.-1", true, RSP_THREAD_ALL},
	{"p1", true, RSP_THREAD_ALL},
	{"p0.0", true, RSP_THREAD_ANY},
	{"p-1.-1", true, RSP_THREAD_ALL},
	{"p2.1", true, RSP_THREAD_NONE},
	{"100", true, 256},
	{"101", true, RSP_THREAD_NONE},
	{"ffffffffffffffff", true, RSP_THREAD_NONE},
	{"1ffffffffffffffff", false, 0},
	{"", false, 0},
	{"p", false, 0},
	{"p.1", false, 0},
	{"p1.", false, 0},
	{"-2", false, 0},
	{"-", false, 0},
};

Test(hex, parse_thread_then_thread_or_refused)
{
	size_t i;

	for (i = 0; i < sizeof(thread_ids) / sizeof(thread_ids[0]); i++) {
		struct rsp_cursor cursor = cursor_of(thread_ids[i].text);
		int32_t thread = 77;

		cr_expect_eq(rsp_parse_thread(&cursor, &thread), thread_ids[i].is_id, "%s",
			     thread_ids[i].text);
		if (thread_ids[i].is_id) {
			cr_expect_eq(thread, thread_ids[i].thread, "%s", thread_ids[i].text);
			cr_expect_eq(cursor.at, cursor.end, "%s", thread_ids[i].text);
		}
	}
}

Test(hex, checksum_of_long_data_then_sum_of_bytes)
{
	uint8_t bytes[5000];
	size_t len, i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 3 ? 255 : i * 7);
	for (len = 0; len <= sizeof(bytes); len += len < 64 ? 1 : 617) {
		uint8_t sum = 0;

		for (i = 0; i < len; i++)
			sum = (uint8_t)(sum + bytes[i]);
		cr_assert_eq(rsp_checksum(bytes, len), sum, "length %zu", len);
	}
}

Test(hex, escape_all_bytes_then_unescape_gives_them_back)
{
	uint8_t bytes[256], text[512];
	size_t i, len, taken = 256;

	for (i = 0; i < 256; i++)
		bytes[i] = (uint8_t)i;
	len = rsp_escape(text, sizeof(text), bytes, &taken);
	cr_assert_eq(taken, 256);
	cr_assert_eq(len, 256 + 4);
	cr_assert_null(memchr(text, '#', len));
	cr_assert_null(memchr(text, '$', len));
	cr_assert_null(memchr(text, '*', len));
	cr_assert_eq(rsp_unescape(text, len), 256);
	cr_assert_arr_eq(text, bytes, 256);
}

Test(hex, escape_into_small_room_then_takes_what_fits)
{
	uint8_t out[5] = {0, 0, 0, 0, '!'};
	size_t taken = 6;

	cr_assert_leq(rsp_escape(out, 4, (const uint8_t *)"######", &taken), 4);
	cr_assert_eq(taken, 2);
	cr_assert_eq(out[4], '!');
}

/* The protocol's own words: each byte by itself, as long as there is room for an escape. */
static size_t escape_slowly(uint8_t *out, size_t room, const uint8_t *bytes, size_t len)
{
	size_t put = 0;

	for (size_t i = 0; i < len && put + 1 < room; i++) {
		bool is_special = strchr("#$}*", bytes[i]) && bytes[i];

		if (is_special)
			out[put++] = '}';
		out[put++] = is_special ? bytes[i] ^ 0x20 : bytes[i];
	}
	return put;
}

/* Eight bytes at a time make no difference, wherever an escape stands and the room ends. */
Test(hex, escape_at_every_place_then_as_byte_by_byte)
{
	static const uint8_t odd[] = {'#', '$', '}', '*', '#' ^ 0x80, '}' - 1, '*' + 1, 0, 0xff};
	uint8_t bytes[40], out[90], expected[90];

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (size_t place = 0; place < len; place++) {
			for (size_t room = 2; room < 2 * len + 2; room += 3) {
				size_t taken = len, put, slow;

				memset(bytes, 'a', sizeof(bytes));
				bytes[place] = odd[(place + room) % sizeof(odd)];
				bytes[len - 1] = odd[len % sizeof(odd)];
				put = rsp_escape(out, room, bytes, &taken);
				slow = escape_slowly(expected, room, bytes, len);
				cr_assert_eq(put, slow, "%zu bytes, %zu, room %zu", len, place,
					     room);
				cr_assert_arr_eq(out, expected, put);
				cr_assert_eq(rsp_unescape(out, put), taken);
				cr_assert_arr_eq(out, bytes, taken);
			}
		}
	}
}

Test(hex, unescape_of_cut_escape_then_refused)
{
	uint8_t text[] = {'a', '}'};

	cr_assert_eq(rsp_unescape(text, 2), SIZE_MAX);
}

/* Undo the run lengths, and check that no count is a character that frames or acks. */
static size_t expand(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t i, put = 0;

	for (i = 0; i < len; i++) {
		if (in[i] != '*') {
			out[put++] = in[i];
			continue;
		}
		i++;
		cr_assert(in[i] >= ' ' && in[i] <= '~');
		cr_assert(!strchr("#$+-", in[i]), "count '%c'", in[i]);
		memset(out + put, out[put - 1], (size_t)(in[i] - 29));
		put += (size_t)(in[i] - 29);
	}
	return put;
}

Test(hex, rle_of_every_run_length_then_round_trip)
{
	uint8_t bytes[600], packed[600], back[600];
	size_t run, len;

	for (run = 0; run < 500; run++) {
		memset(bytes, 'a', 3);
		memset(bytes + 3, '0', run);
		memcpy(bytes + 3 + run, "b1", 2);
		memcpy(packed, bytes, run + 5);
		len = rsp_rle_encode(packed, run + 5);
		cr_assert_leq(len, run + 5);
		cr_assert(run < 16 || len < run, "run of %zu took %zu", run, len);
		cr_assert_eq(expand(packed, len, back), run + 5);
		cr_assert_arr_eq(back, bytes, run + 5);
	}
}

Test(hex, rle_of_random_runs_then_round_trip)
{
	uint8_t bytes[3000], packed[3000], back[3000];
	uint32_t random = 1;
	unsigned round;

	for (round = 0; round < 500; round++) {
		size_t len = 0, packed_len;

		while (len < 2800) {
			random = random * 1664525 + 1013904223;
			memset(bytes + len, "0123456789abcdefx"[random >> 28],
			       (random >> 8) % (round % 150 + 1) + 1);
			len += (random >> 8) % (round % 150 + 1) + 1;
		}
		memcpy(packed, bytes, len);
		packed_len = rsp_rle_encode(packed, len);
		cr_assert_eq(expand(packed, packed_len, back), len);
		cr_assert_arr_eq(back, bytes, len);
	}
}
