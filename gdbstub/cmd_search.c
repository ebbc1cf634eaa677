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
 * the end.  row[k][b] is what byte b comes to with k more bytes behind it; eight bytes at a time,
 * or the checksum of a large memory would keep other clients waiting for seconds. */
#define CRC_POLYNOMIAL 0x04c11db7u
#define CRC_ROWS       8u

struct crc_table {
	uint32_t row[CRC_ROWS][256];
};

static void crc_fill(struct crc_table *table)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		uint32_t crc = (uint32_t)byte << 24;

		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc >> 31 ? CRC_POLYNOMIAL : 0);
		table->row[0][byte] = crc;
	}
	for (unsigned k = 1; k < CRC_ROWS; k++) {
		for (unsigned byte = 0; byte < 256; byte++) {
			uint32_t crc = table->row[k - 1][byte];

			table->row[k][byte] = crc << 8 ^ table->row[0][crc >> 24];
		}
	}
}

static uint32_t crc_add(const struct crc_table *table, uint32_t crc, const uint8_t *bytes,
			size_t len)
{
	const uint32_t(*row)[256] = table->row;

	for (; len >= CRC_ROWS; bytes += CRC_ROWS, len -= CRC_ROWS)
		crc = row[7][bytes[0] ^ crc >> 24] ^ row[6][bytes[1] ^ (crc >> 16 & 0xff)] ^
		      row[5][bytes[2] ^ (crc >> 8 & 0xff)] ^ row[4][bytes[3] ^ (crc & 0xff)] ^
		      row[3][bytes[4]] ^ row[2][bytes[5]] ^ row[1][bytes[6]] ^ row[0][bytes[7]];
	for (; len > 0; bytes++, len--)
		crc = crc << 8 ^ row[0][crc >> 24 ^ *bytes];
	return crc;
}

void rsp_cmd_crc(struct rsp_session *s, const struct rsp_args *args)
{
	uint64_t addr = args->number[0];
	uint64_t left = args->number[1];
	uint32_t crc = 0xffffffff;
	struct crc_table table;

	if (left > RSP_STRETCH_MAX || (left > 0 && left - 1 > UINT64_MAX - addr)) {
		rsp_answer_error(s, RSP_WIRE_E2BIG);
		return;
	}
	crc_fill(&table);
	while (left > 0) {
		size_t wanted = left < sizeof(s->scratch) ? (size_t)left : sizeof(s->scratch);

		if (read_scratch(s, addr, 0, wanted) != wanted) {
			rsp_answer_error(s, RSP_WIRE_EFAULT);
			return;
		}
		crc = crc_add(&table, crc, s->scratch, wanted);
		addr += wanted;
		left -= wanted;
	}
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'C');
	rsp_reply_number(s, crc, 8);
	rsp_reply_end(s);
}
