/* The MP table, taken apart again. */
#include "facts_rig.h"
#include "src/vm/mptable.h"

#include <criterion/criterion.h>

static uint8_t table[MP_TABLE_MAX];

static size_t make(unsigned cpus)
{
	const struct pc_facts facts = facts_of(cpus);

	memset(table, 0xaa, sizeof(table));
	return mptable_make(table, sizeof(table), &facts);
}

Test(mptable, pointer_when_made_then_specification_1_4_with_a_table)
{
	uint8_t pointer[MP_POINTER_BYTES];

	mptable_make_pointer(pointer, 0xf0100);
	cr_expect_arr_eq(pointer, "_MP_", 4);
	cr_expect_eq(le32_get(pointer + 4), 0xf0100);
	cr_expect_eq(pointer[8], 1, "paragraphs");
	cr_expect_eq(pointer[9], 4);
	cr_expect(sums_to_zero(pointer, sizeof(pointer)));
	for (unsigned i = 11; i < 16; i++)
		cr_expect_eq(pointer[i], 0);
}

Test(mptable, header_when_made_then_length_count_and_checksum)
{
	size_t len = make(3);

	cr_assert_eq(len, 44 + 3 * 20 + 8 + 8 + 15 * 8 + 2 * 8);
	cr_expect_arr_eq(table, "PCMP", 4);
	cr_expect_eq(le16_get(table + 4), len);
	cr_expect_eq(table[6], 4);
	cr_expect_arr_eq(table + 8, "UMBRA   PC          ", 20);
	cr_expect_eq(le32_get(table + 28), 0);
	cr_expect_eq(le16_get(table + 32), 0);
	cr_expect_eq(le16_get(table + 34), 3 + 1 + 1 + 15 + 2);
	cr_expect_eq(le32_get(table + 36), 0xfee00000);
	cr_expect_eq(le32_get(table + 40), 0);
	cr_expect(sums_to_zero(table, len));
}

Test(mptable, entries_when_taken_apart_then_in_the_order_of_their_types)
{
	static const uint8_t first[] = {0, 0, 0x14, 3, 0, 6, 0, 0, 1, 2,
					0, 0, 0,    0, 0, 0, 0, 0, 0, 0};
	static const uint8_t second[] = {0, 1, 0x14, 1, 0, 6, 0, 0, 1, 2,
					 0, 0, 0,    0, 0, 0, 0, 0, 0, 0};
	static const uint8_t bus_and_ioapic[] = {1, 0, 'I',  'S', 'A', ' ', ' ',  ' ',
						 2, 7, 0x11, 1,	  0,   0,   0xc0, 0xfe};
	static const uint8_t local[] = {4, 3, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0xff, 1};
	const uint8_t *at = table + 44;

	make(2);
	cr_expect_arr_eq(at, first, 20);
	cr_expect_arr_eq(at + 20, second, 20);
	cr_expect_arr_eq(at + 40, bus_and_ioapic, 16);
	at += 56;
	for (unsigned irq = 0; irq < 16; irq++) {
		uint8_t want[8] = {3, 0, 0, 0, 0, (uint8_t)irq, 7, (uint8_t)(irq ? irq : 2)};

		if (irq == 2)
			continue;
		cr_expect_arr_eq(at, want, 8, "irq %u", irq);
		at += 8;
	}
	cr_expect_arr_eq(at, local, 16);
}

Test(mptable, make_when_there_is_no_room_then_0)
{
	const struct pc_facts facts = facts_of(2);
	size_t len = make(2);

	for (size_t size = 0; size < len; size++)
		cr_assert_eq(mptable_make(table, size, &facts), 0);
	cr_expect_eq(mptable_make(table, len, &facts), len);
}

Test(mptable, make_when_ids_pass_254_then_those_are_left_out)
{
	cr_expect_eq(make(255), make(300));
	cr_expect(sums_to_zero(table, le16_get(table + 4)));
}
