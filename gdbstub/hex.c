/* Codecs of the protocol: hexadecimal, numbers, thread-ids, checksums, escapes, run lengths.
 *
 * Pure functions over bytes: no session, no allocation.  Encoding and summing take many
 * bytes at a time, because a large memory read spends its time here.
 * Source: Debugging with GDB, E.1 Overview and E.2 Packets (thread-id syntax). */
#include "internal.h"

#include <string.h>

/* Runs shorter than this are left alone: they save a byte or two and cost a search. */
#define RUN_MIN 10u
/* '~' is the largest count that is a printable character. */
#define REPEAT_MIN  3u
#define REPEAT_MAX  97u
#define REPEAT_BASE 29u

static uint64_t load64(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

int rsp_hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}

/* The compiler's own vectors: one instruction each where the host has them, correct everywhere. */
typedef uint8_t block16 __attribute__((vector_size(16)));

/* Digits of the nibbles 0..15 in @nibbles. */
static block16 digits_of(block16 nibbles)
{
	block16 is_letter = (block16)(nibbles > 9);

	return nibbles + '0' + (is_letter & ('a' - '0' - 10));
}

static void encode_block(uint8_t *out, const uint8_t *bytes)
{
	block16 block, high, low, first, second;

	memcpy(&block, bytes, sizeof(block));
	high = digits_of(block >> 4);
	low = digits_of(block & 15);
	first = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
					7, 23);
	second = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
					 14, 30, 15, 31);
	memcpy(out, &first, sizeof(first));
	memcpy(out + sizeof(first), &second, sizeof(second));
}

void rsp_hex_encode(uint8_t *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i = 0;

	for (; i + sizeof(block16) <= len; i += sizeof(block16))
		encode_block(out + 2 * i, bytes + i);
	for (; i < len; i++) {
		out[2 * i] = (uint8_t)digits[bytes[i] >> 4];
		out[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
	}
}

bool rsp_hex_decode(uint8_t *out, const uint8_t *digits, size_t len)
{
	size_t i;

	if (len % 2)
		return false;
	for (i = 0; i < len; i += 2) {
		int high = rsp_hex_digit(digits[i]);
		int low = rsp_hex_digit(digits[i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool rsp_parse_char(struct rsp_cursor *cursor, char expected)
{
	if (cursor->at == cursor->end || *cursor->at != (uint8_t)expected)
		return false;
	cursor->at++;
	return true;
}

bool rsp_parse_word(struct rsp_cursor *cursor, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

bool rsp_parse_u64(struct rsp_cursor *cursor, uint64_t *out_value)
{
	const uint8_t *start = cursor->at;
	uint64_t value = 0;

	for (; cursor->at < cursor->end; cursor->at++) {
		int digit = rsp_hex_digit(*cursor->at);

		if (digit < 0)
			break;
		if (value >> 60)
			return false;
		value = value << 4 | (uint64_t)digit;
	}
	*out_value = value;
	return cursor->at != start;
}

/* A number or -1.  The protocol's ids are wider than ours: what we cannot have is "none". */
static bool parse_id(struct rsp_cursor *cursor, int32_t *out_id)
{
	uint64_t value;

	if (rsp_parse_char(cursor, '-')) {
		*out_id = RSP_THREAD_ALL;
		return rsp_parse_char(cursor, '1');
	}
	if (!rsp_parse_u64(cursor, &value))
		return false;
	*out_id = value > RSP_MAX_THREADS ? RSP_THREAD_NONE : (int32_t)value;
	return true;
}

bool rsp_parse_thread(struct rsp_cursor *cursor, int32_t *out_thread)
{
	int32_t process;

	if (!rsp_parse_char(cursor, 'p'))
		return parse_id(cursor, out_thread);
	if (!parse_id(cursor, &process))
		return false;
	*out_thread = RSP_THREAD_ALL;
	if (rsp_parse_char(cursor, '.') && !parse_id(cursor, out_thread))
		return false;
	if (process > 1)
		*out_thread = RSP_THREAD_NONE;
	return true;
}

uint8_t rsp_checksum(const uint8_t *bytes, size_t len)
{
	const uint64_t even = 0x00ff00ff00ff00ff;
	uint64_t total = 0;

	while (len >= 8) {
		size_t words = len / 8 < 128 ? len / 8 : 128; /* 128 * 2 * 255 still fits a lane */
		uint64_t lanes = 0;
		size_t i;

		for (i = 0; i < words; i++) {
			uint64_t word = load64(bytes + 8 * i);

			lanes += (word & even) + (word >> 8 & even);
		}
		total += (lanes & 0xffff) + (lanes >> 16 & 0xffff) + (lanes >> 32 & 0xffff) +
			 (lanes >> 48);
		bytes += 8 * words;
		len -= 8 * words;
	}
	while (len--)
		total += *bytes++;
	return (uint8_t)total;
}

size_t rsp_unescape(uint8_t *bytes, size_t len)
{
	size_t in = 0, out = 0;

	for (;;) {
		const uint8_t *escape = memchr(bytes + in, '}', len - in);
		size_t run = escape ? (size_t)(escape - bytes) - in : len - in;

		memmove(bytes + out, bytes + in, run);
		in += run;
		out += run;
		if (!escape)
			return out;
		if (in + 1 == len)
			return SIZE_MAX;
		bytes[out++] = bytes[in + 1] ^ 0x20;
		in += 2;
	}
}

bool rsp_must_escape(uint8_t byte)
{
	return byte == '#' || byte == '$' || byte == '}' || byte == '*';
}

uint8_t rsp_plain_byte(char c)
{
	if (c < ' ' || c > '~' || rsp_must_escape((uint8_t)c))
		return '?';
	return (uint8_t)c;
}

#define EACH_BYTE 0x0101010101010101ULL

/* Not 0 when one of the word's eight bytes is @byte. */
static uint64_t has_byte(uint64_t word, uint8_t byte)
{
	uint64_t zero_there = word ^ byte * EACH_BYTE;

	return (zero_there - EACH_BYTE) & ~zero_there & 0x80 * EACH_BYTE;
}

/* How many bytes at the start of the @len at @bytes, in eights, need no escape. */
static size_t plain_run(const uint8_t *bytes, size_t len)
{
	size_t run = 0;

	while (len - run >= 8) {
		uint64_t word = load64(bytes + run);

		if (has_byte(word, '#') | has_byte(word, '$') | has_byte(word, '}') |
		    has_byte(word, '*'))
			break;
		run += 8;
	}
	return run;
}

size_t rsp_escape(uint8_t *out, size_t room, const uint8_t *bytes, size_t *in_out_len)
{
	size_t len = *in_out_len, in = 0, put = 0;

	while (in < len && put + 1 < room) {
		size_t left = room - put - 1;
		size_t run = plain_run(bytes + in, len - in < left ? len - in : left);

		memcpy(out + put, bytes + in, run);
		in += run;
		put += run;
		/* Byte by byte over the eight that stopped it. */
		for (run = 0; run < 8 && in < len && put + 1 < room; run++) {
			uint8_t byte = bytes[in++];

			if (rsp_must_escape(byte)) {
				out[put++] = '}';
				byte ^= 0x20;
			}
			out[put++] = byte;
		}
	}
	*in_out_len = in;
	return put;
}

/* How far the byte at @start repeats. */
static size_t run_length(const uint8_t *bytes, size_t start, size_t len)
{
	uint64_t pattern = bytes[start] * EACH_BYTE;
	size_t end = start + 1;

	while (end + 8 <= len && load64(bytes + end) == pattern)
		end += 8;
	while (end < len && bytes[end] == bytes[start])
		end++;
	return end - start;
}

/* Find the first run of RUN_MIN or more at or after @from: *out_start, and its length or 0.
 * Such a run covers RUN_MIN - 3 places where four equal bytes begin, so looking at every
 * (RUN_MIN - 3)th place misses none, and data without runs is hardly touched. */
static size_t find_run(const uint8_t *bytes, size_t from, size_t len, size_t *out_start)
{
	size_t i, start, run;

	for (i = from; i + 4 <= len; i += RUN_MIN - 3) {
		uint32_t four;

		memcpy(&four, bytes + i, sizeof(four));
		if (((four ^ four >> 8) & 0xffffff) != 0)
			continue;
		for (start = i; start > from && bytes[start - 1] == bytes[i]; start--) {
		}
		run = run_length(bytes, start, len);
		if (run >= RUN_MIN) {
			*out_start = start;
			return run;
		}
	}
	return 0;
}

/* The most repeats, up to @wanted, whose count character is none that frames or acks. */
static size_t repeat_count(size_t wanted)
{
	size_t repeat = wanted < REPEAT_MAX ? wanted : REPEAT_MAX;

	for (;; repeat--) {
		size_t letter = repeat + REPEAT_BASE;

		if (letter != '#' && letter != '$' && letter != '+' && letter != '-')
			return repeat;
	}
}

static size_t put_run(uint8_t *out, uint8_t byte, size_t run)
{
	size_t put = 0;

	while (run > REPEAT_MIN) {
		size_t repeat = repeat_count(run - 1);

		out[put++] = byte;
		out[put++] = '*';
		out[put++] = (uint8_t)(repeat + REPEAT_BASE);
		run -= repeat + 1;
	}
	memset(out + put, byte, run);
	return put + run;
}

size_t rsp_rle_encode(uint8_t *bytes, size_t len)
{
	size_t in = 0, out = 0, start = 0, run;

	for (;;) {
		run = find_run(bytes, in, len, &start);
		if (run == 0)
			start = len;
		if (in != out)
			memmove(bytes + out, bytes + in, start - in);
		out += start - in;
		if (run == 0)
			return out;
		out += put_run(bytes + out, bytes[start], run);
		in = start + run;
	}
}
