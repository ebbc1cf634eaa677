/* Packets about memory: reads, search, checksums, regions, gdb's memory map. */
#include "client.h"
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ask with a pattern of binary bytes; they must need no escape. */
static bool finds(struct rsp_mock *mock, const char *head, const char *pattern, size_t len,
		  const char *expected)
{
	char packet[256], got[64];
	size_t head_len = (size_t)snprintf(packet, sizeof(packet), "%s", head);

	memcpy(packet + head_len, pattern, len);
	rsp_wire_send_bytes(mock->session, packet, head_len + len);
	cr_assert_geq(rsp_wire_take(mock->session, got, sizeof(got)), 0);
	if (strcmp(got, expected) != 0)
		fprintf(stderr, "%s: %s, not %s\n", head, got, expected);
	return strcmp(got, expected) == 0;
}

Test(memory, search_when_pattern_is_there_then_its_first_place)
{
	struct rsp_mock *mock = client_connect();

	memset(mock->mem, 0, sizeof(mock->mem));
	memcpy(mock->mem + 0x1234, "needle", 6);
	memcpy(mock->mem + 0x2000, "needle", 6);
	cr_assert(finds(mock, "qSearch:memory:10000;40000;", "needle", 6, "1,11234"));
	cr_assert(finds(mock, "qSearch:memory:11234;6;", "needle", 6, "1,11234"));
	cr_assert(finds(mock, "qSearch:memory:11235;2000;", "needle", 6, "1,12000"));
	cr_assert(finds(mock, "qSearch:memory:10000;1239;", "needle", 6, "0"), "cut off by a byte");
	cr_assert(finds(mock, "qSearch:memory:10000;123a;", "needle", 6, "1,11234"));
	cr_assert(finds(mock, "qSearch:memory:10000;40000;", "hay", 3, "0"));
	cr_assert(finds(mock, "qSearch:memory:10000;0;", "hay", 3, "0"));
	rsp_mock_close(mock);
}

/* Pieces are as long as a packet: a pattern over the border must not be lost, nor one that begins
 * like itself. */
Test(memory, search_when_pattern_lies_over_pieces_then_found)
{
	struct rsp_mock *mock = client_connect();
	size_t at;

	for (at = RSP_PACKET_SIZE - 9; at < RSP_PACKET_SIZE + 9; at++) {
		char expected[32];

		memset(mock->mem, 0, sizeof(mock->mem));
		memcpy(mock->mem + at - 2, "nenneedle", 9);
		snprintf(expected, sizeof(expected), "1,%zx", MOCK_MEM_BASE + at + 1);
		cr_assert(finds(mock, "qSearch:memory:10000;40000;", "needle", 6, expected));
	}
	rsp_mock_close(mock);
}

Test(memory, search_when_memory_ends_then_error_but_not_before_a_hit)
{
	struct rsp_mock *mock = client_connect();

	memset(mock->mem, 0, sizeof(mock->mem));
	memcpy(mock->mem + MOCK_MEM_SIZE - 3, "end", 3);
	cr_assert(finds(mock, "qSearch:memory:10000;50000;", "end", 3, "1,4fffd"));
	cr_assert(finds(mock, "qSearch:memory:10000;50000;", "none", 4, "E0e"));
	cr_assert(finds(mock, "qSearch:memory:0;10;", "x", 1, "E0e"));
	cr_assert(finds(mock, "qSearch:memory:ffffffffffffffff;ffffffffffffffff;", "x", 1, "E0e"));
	cr_assert(finds(mock, "qSearch:memory:10000;10;", "", 0, "E16"));
	rsp_mock_close(mock);
}

Test(memory, search_when_pattern_is_as_long_as_half_a_packet_then_refused_beyond)
{
	struct rsp_mock *mock = client_connect();
	static const char head[] = "qSearch:memory:10000;40000;";
	size_t head_len = sizeof(head) - 1;
	size_t len = RSP_PACKET_SIZE / 2;
	char *packet = malloc(head_len + len + 1);
	char got[32];

	cr_assert_not_null(packet);
	memcpy(packet, head, head_len);
	memset(packet + head_len, 'a', len + 1);
	memset(mock->mem, 0, sizeof(mock->mem));
	memset(mock->mem + 0x333, 'a', len);
	rsp_wire_send_bytes(mock->session, packet, head_len + len);
	cr_assert_geq(rsp_wire_take(mock->session, got, sizeof(got)), 0);
	cr_assert_str_eq(got, "1,10333");
	rsp_wire_send_bytes(mock->session, packet, head_len + len + 1);
	cr_assert_geq(rsp_wire_take(mock->session, got, sizeof(got)), 0);
	cr_assert_str_eq(got, "E07");
	free(packet);
	rsp_mock_close(mock);
}

Test(memory, search_when_physical_then_physical_addresses)
{
	struct rsp_mock *mock = client_connect();

	memcpy(mock->mem + 0x444, "physical", 8);
	cr_assert(client_gets(mock, "Qqemu.PhyMemMode:1", "OK"));
	cr_assert(finds(mock, "qSearch:memory:0;1000;", "physical", 8, "1,444"));
	rsp_mock_close(mock);
}

/* Values of the CRC catalogues: CRC-32/MPEG-2 of "123456789", and nothing. */
Test(memory, crc_when_asked_then_that_of_gdb)
{
	struct rsp_mock *mock = client_connect();

	memcpy(mock->mem, "123456789", 9);
	cr_assert(client_gets(mock, "qCRC:10000,9", "C0376e6e7"));
	cr_assert(client_gets(mock, "qCRC:10000,0", "Cffffffff"));
	cr_assert(client_gets(mock, "qCRC:4fff8,9", "E0e"));
	cr_assert(client_gets(mock, "qCRC:10000,100000001", "E07"));
	cr_assert(client_gets(mock, "qCRC:ffffffffffffffff,2", "E07"));
	cr_assert(client_gets(mock, "qCRC:10000", "E16"));
	rsp_mock_close(mock);
}

static uint32_t crc_bit_by_bit(const uint8_t *bytes, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < 8 * len; i++) {
		bool is_one = (crc >> 31) ^ (bytes[i / 8] >> (7 - i % 8) & 1);

		crc = crc << 1 ^ (is_one ? 0x04c11db7 : 0);
	}
	return crc;
}

Test(memory, crc_of_any_length_then_as_bit_by_bit)
{
	struct rsp_mock *mock = client_connect();
	uint32_t random = 1;

	for (size_t i = 0; i < MOCK_MEM_SIZE; i++) {
		random = random * 1664525 + 1013904223;
		mock->mem[i] = (uint8_t)(random >> 24);
	}
	for (size_t len = 1; len <= MOCK_MEM_SIZE; len = len < 40 ? len + 1 : len * 2 + 3) {
		char packet[32], sum[16];

		snprintf(packet, sizeof(packet), "qCRC:10000,%zx", len);
		snprintf(sum, sizeof(sum), "C%08x", crc_bit_by_bit(mock->mem, len));
		cr_assert(client_gets(mock, packet, sum), "%zu", len);
	}
	rsp_mock_close(mock);
}

Test(memory, region_when_asked_then_where_it_ends_and_what_it_allows)
{
	struct rsp_mock *mock = client_connect();

	mock->has_rom = false;
	cr_assert(client_gets(mock, "qMemoryRegionInfo", "OK"));
	cr_assert(client_gets(mock, "qMemoryRegionInfo:0", "start:0;size:10000;"));
	cr_assert(client_gets(mock, "qMemoryRegionInfo:10001",
			      "start:10000;size:20000;permissions:rw;name:6d656d3b;"));
	cr_assert(client_gets(mock, "qMemoryRegionInfo:ffffffffffffffff",
			      "start:50000;size:fffffffffffaffff;"));
	mock->has_rom = true;
	cr_assert(client_gets(mock, "qMemoryRegionInfo:10001",
			      "start:10000;size:20000;permissions:r;name:6d656d3b;"));
	cr_assert(client_gets(mock, "qMemoryRegionInfo:zz", "E16"));
	mock->target.map = NULL;
	cr_assert(client_gets(mock, "qMemoryRegionInfo:0", ""));
	rsp_mock_close(mock);
}

Test(memory, map_when_there_is_rom_then_all_addresses_are_in_it)
{
	struct rsp_mock *mock = client_connect();
	struct answer answer;

	mock->has_rom = false;
	client_ask(mock, "qSupported", &answer);
	cr_assert_null(strstr(answer.text, "memory-map"));
	cr_assert(client_gets(mock, "qXfer:memory-map:read::0,1000", ""));
	mock->has_rom = true;
	client_ask(mock, "qSupported", &answer);
	cr_assert_not_null(strstr(answer.text, ";qXfer:memory-map:read+"));
	cr_assert(client_gets(
		mock, "qXfer:memory-map:read::0,1000",
		"l<?xml version=\"1.0\"?>\n<memory-map>\n"
		"<memory type=\"ram\" start=\"0x0\" length=\"0x10000\"/>\n"
		"<memory type=\"rom\" start=\"0x10000\" length=\"0x20000\"/>\n"
		"<memory type=\"ram\" start=\"0x30000\" length=\"0xfffffffffffd0000\"/>\n"
		"</memory-map>\n"));
	cr_assert(client_gets(mock, "qXfer:memory-map:read::2,4", "mxml "));
	rsp_mock_close(mock);
}

Test(memory, m_over_the_end_then_partial_and_long_m_then_clamped)
{
	struct rsp_mock *mock = client_connect();
	struct answer *answer = malloc(sizeof(*answer));

	cr_assert(answer);
	client_ask(mock, "m4fffe,10", answer);
	cr_assert_eq(answer->len, 4);
	client_ask(mock, "m10000,ffffffffffffffff", answer);
	cr_assert_eq(answer->len, RSP_PACKET_SIZE);
	free(answer);
	rsp_mock_close(mock);
}

Test(memory, x_of_all_bytes_then_escaped_and_whole)
{
	struct rsp_mock *mock = client_connect();
	const uint8_t *bytes;
	uint8_t back[600];
	size_t len, i;

	for (i = 0; i < 256; i++)
		mock->mem[i] = (uint8_t)i;
	rsp_wire_send(mock->session, "x10000,100");
	bytes = rsp_session_output(mock->session, &len);
	cr_assert_eq(len, 4 + 1 + 256 + 4);
	cr_assert_eq(bytes[1], 'b');
	memcpy(back, bytes + 2, len - 5);
	cr_assert_eq(rsp_unescape(back, len - 5), 256);
	cr_assert_arr_eq(back, mock->mem, 256);
	rsp_mock_close(mock);
}

Test(memory, x_that_needs_escapes_everywhere_then_as_much_as_fits)
{
	struct rsp_mock *mock = client_connect();
	size_t len;

	memset(mock->mem, '#', MOCK_MEM_SIZE);
	rsp_wire_send(mock->session, "x10000,20000");
	rsp_session_output(mock->session, &len);
	cr_assert_leq(len, RSP_PACKET_SIZE + 4);
	cr_assert_geq(len, RSP_PACKET_SIZE + 2);
	rsp_mock_close(mock);
}
