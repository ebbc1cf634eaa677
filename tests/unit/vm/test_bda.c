/* The BIOS data area, field by field. */
#include "facts_rig.h"
#include "src/vm/bda.h"

#include <criterion/criterion.h>

Test(bda, fields_when_made_then_table_and_the_rest_zero)
{
	static const struct {
		unsigned gpa, bytes;
		uint32_t value;
	} rows[] = {
		{0x400, 2, 0x3f8}, {0x402, 2, 0x2f8}, {0x404, 4, 0},	  {0x40e, 2, 0x9fc0},
		{0x410, 2, 0x422}, {0x413, 2, 639},   {0x41a, 2, 0x1e},	  {0x41c, 2, 0x1e},
		{0x449, 1, 3},	   {0x44a, 2, 80},    {0x44c, 2, 0x1000}, {0x460, 2, 0x0d0e},
		{0x463, 2, 0x3d4}, {0x46c, 4, 0},     {0x480, 2, 0x1e},	  {0x482, 2, 0x3e},
		{0x484, 1, 24},	   {0x485, 2, 16},
	};
	const struct pc_facts facts = facts_of(1);
	uint8_t bda[BDA_BYTES];

	memset(bda, 0xaa, sizeof(bda));
	bda_make(bda, &facts);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		uint8_t *at = bda + (rows[i].gpa - BDA_GPA);
		uint32_t value = 0;

		for (unsigned n = rows[i].bytes; n-- > 0;)
			value = value << 8 | at[n];
		cr_expect_eq(value, rows[i].value, "%#x: %#x", rows[i].gpa, value);
		memset(at, 0, rows[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bda); i++)
		cr_expect_eq(bda[i], 0, "%#zx: %#x", BDA_GPA + i, bda[i]);
}

Test(bda, extended_area_when_made_then_its_length_in_kib)
{
	uint8_t ebda[EBDA_BYTES];

	memset(ebda, 0xaa, sizeof(ebda));
	bda_make_extended(ebda);
	cr_expect_eq(ebda[0], 1);
	for (size_t i = 1; i < sizeof(ebda); i++)
		cr_assert_eq(ebda[i], 0);
}

Test(bda, serial_ports_when_there_are_more_than_four_then_four)
{
	static const struct isa_facts ports[6] = {
		{"SER0", "PNP0501", 1, 4, {{0x100, 8}}}, {"SER1", "PNP0501", 2, 4, {{0x200, 8}}},
		{"KBD_", "PNP0303", 1, 1, {{0x60, 1}}},	 {"SER2", "PNP0501", 3, 4, {{0x300, 8}}},
		{"SER3", "PNP0501", 4, 4, {{0x400, 8}}}, {"SER4", "PNP0501", 5, 4, {{0x500, 8}}},
	};
	struct pc_facts facts = facts_of(1);
	uint8_t bda[BDA_BYTES];

	facts.device = ports;
	facts.device_count = 6;
	bda_make(bda, &facts);
	cr_expect_eq(le16_get(bda + 4), 0x300);
	cr_expect_eq(le16_get(bda + 6), 0x400);
	cr_expect_eq(le16_get(bda + 8), 0);
	cr_expect_eq(le16_get(bda + 0x10) >> 9, 4);
}
