/* Work on long stretches of memory that would cost the client a packet for each piece: search for a
 * pattern, checksum.
 *
 * No packet may keep the target's owner away for good: a stretch longer than RSP_STRETCH_MAX is
 * looked at up to there, and what was not found by then is an error.
 * Source: Debugging with GDB, E.4 General Query Packets (qSearch:memory, qCRC). */
#include "internal.h"

#include <string.h>

/* Seconds of work at most, and more than a target's whole memory most of the time. */
#define RSP_STRETCH_MAX (UINT64_C(1) << 32)

static size_t read_scratch(struct rsp_session *s, uint64_t addr, size_t at, size_t len)
{
	const struct rsp_target *target = s->target;

	if (s->is_physical)
		return target->phys->read(target->ctx, addr, s->scratch + at, len);
	return target->base->mem_read(target->ctx, rsp_current_thread(s), addr, s->scratch + at,
				      len);
}

/* Where @pattern begins in @len bytes at @bytes, or @len.  In linear time: nearly the same bytes
 * all over memory must not keep the target's owner away either. */
static size_t find_pattern(const uint8_t *bytes, size_t len, const uint8_t *pattern,
			   size_t pattern_len)
{
	const uint8_t *at = memmem(bytes, len, pattern, pattern_len);

	return at ? (size_t)(at - bytes) : len;
}

static void answer_found(struct rsp_session *s, uint64_t addr)
{
	rsp_reply_begin(s);
	rsp_reply_text(s, "1,");
	rsp_reply_number(s, addr, 1);
	rsp_reply_end(s);
}

/* The pattern must lie whole between @addr and @addr + @len.  Scratch holds the last bytes of the
 * piece before in front of each new one. */
static void search(struct rsp_session *s, uint64_t addr, uint64_t len, const uint8_t *pattern,
		   size_t pattern_len)
{
	uint64_t left = len < RSP_STRETCH_MAX ? len : RSP_STRETCH_MAX;
	size_t kept = 0;

	while (left > 0) {
		size_t room = sizeof(s->scratch) - kept;
		size_t wanted = left < room ? (size_t)left : room;
		size_t got = read_scratch(s, addr, kept, wanted);
		size_t total = kept + got;
		size_t at = find_pattern(s->scratch, total, pattern, pattern_len);

		if (at < total) {
			answer_found(s, addr - kept + at);
			return;
		}
		if (got < wanted) {
			rsp_answer_error(s, RSP_WIRE_EFAULT);
			return;
		}
		addr += got;
		left -= got;
		kept = total < pattern_len ? total : pattern_len - 1;
		memmove(s->scratch, s->scratch + total - kept, kept);
	}
	if (len > RSP_STRETCH_MAX)
		rsp_answer_error(s, RSP_WIRE_E2BIG);
	else
		rsp_answer_text(s, "0");
}

void rsp_cmd_search(struct rsp_session *s, const struct rsp_args *args)
{
	uint64_t addr = args->number[0];
	uint64_t len = args->number[1];

	/* A pattern that nearly fills scratch would be compared again and again for a few bytes. */
	if (args->data_len == 0 || args->data_len > sizeof(s->scratch) / 2) {
		rsp_answer_error(s, args->data_len ? RSP_WIRE_E2BIG : RSP_WIRE_EINVAL);
		return;
	}
	/* To the end of the address space at most; all of it is too long anyway. */
	if (len > 0 && len - 1 > UINT64_MAX - addr)
		len = UINT64_MAX - addr + 1 ? UINT64_MAX - addr + 1 : UINT64_MAX;
	search(s, addr, len, args->data, args->data_len);
}

/* The checksum of gdb: polynomial 0x04c11db7, the highest bit first, from all ones, not inverted at
 * the end.  Four bits at a time. */
static uint32_t crc_byte(uint32_t crc, uint8_t byte)
{
	static const uint32_t step[16] = {
		0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9, 0x130476dc, 0x17c56b6b,
		0x1a864db2, 0x1e475005, 0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61,
		0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd,
	};

	crc = crc << 4 ^ step[(crc >> 28 ^ byte >> 4) & 0xf];
	return crc << 4 ^ step[(crc >> 28 ^ byte) & 0xf];
}

void rsp_cmd_crc(struct rsp_session *s, const struct rsp_args *args)
{
	uint64_t addr = args->number[0];
	uint64_t left = args->number[1];
	uint32_t crc = 0xffffffff;

	if (left > RSP_STRETCH_MAX || (left > 0 && left - 1 > UINT64_MAX - addr)) {
		rsp_answer_error(s, RSP_WIRE_E2BIG);
		return;
	}
	while (left > 0) {
		size_t wanted = left < sizeof(s->scratch) ? (size_t)left : sizeof(s->scratch);
		size_t i;

		if (read_scratch(s, addr, 0, wanted) != wanted) {
			rsp_answer_error(s, RSP_WIRE_EFAULT);
			return;
		}
		for (i = 0; i < wanted; i++)
			crc = crc_byte(crc, s->scratch[i]);
		addr += wanted;
		left -= wanted;
	}
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'C');
	rsp_reply_number(s, crc, 8);
	rsp_reply_end(s);
}
