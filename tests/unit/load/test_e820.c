/* The map of memory that loaders hand over. */
#include "umbra/load.h"

#include <criterion/criterion.h>

static struct mem_space *space;

static void setup(void)
{
	cr_assert_eq(mem_create(&space, NULL), 0);
}

static void teardown(void)
{
	mem_destroy(space);
}

TestSuite(e820, .init = setup, .fini = teardown);

static void add(gpa_t gpa, uint64_t len, enum mem_kind kind)
{
	cr_assert_eq(mem_add(space, gpa, len, kind, "memory", NULL), 0);
}

static void check(const struct load_e820_entry *want, unsigned count)
{
	struct load_e820_entry got[LOAD_E820_MAX];

	cr_assert_eq(load_e820(space, got, LOAD_E820_MAX), count);
	for (unsigned i = 0; i < count; i++) {
		cr_expect_eq(got[i].start, want[i].start, "entry %u", i);
		cr_expect_eq(got[i].len, want[i].len, "entry %u", i);
		cr_expect_eq(got[i].type, want[i].type, "entry %u", i);
	}
}

Test(e820, ram_on_both_sides_of_4g_then_hole_and_firmware_are_left_out)
{
	static const struct load_e820_entry want[] = {
		{0, 0x9fc00, LOAD_E820_RAM},
		{0x9fc00, 0x400, LOAD_E820_RESERVED},
		{0xf0000, 0x10000, LOAD_E820_RESERVED},
		{0x100000, (3ull << 30) - 0x100000, LOAD_E820_RAM},
		{0xfffc0000, 0x40000, LOAD_E820_RESERVED},
		{1ull << 32, 1ull << 30, LOAD_E820_RAM},
	};

	add(0, 3ull << 30, MEM_RAM);
	add(1ull << 32, 1ull << 30, MEM_RAM);
	check(want, UMBRA_ARRAY_SIZE(want));
}

/* A BIOS image in ROM, and RAM in pieces around it. */
Test(e820, rom_and_gaps_then_only_ram_is_usable)
{
	static const struct load_e820_entry want[] = {
		{0, 0x9f000, LOAD_E820_RAM},
		{0x9fc00, 0x400, LOAD_E820_RESERVED},
		{0xf0000, 0x10000, LOAD_E820_RESERVED},
		{0x100000, 0x1000, LOAD_E820_RAM},
		{0x200000, 0x1000, LOAD_E820_RAM},
		{0xfffc0000, 0x40000, LOAD_E820_RESERVED},
	};

	add(0, 0x9f000, MEM_RAM);
	add(0xe0000, 0x20000, MEM_ROM);
	add(0x100000, 0x1000, MEM_RAM);
	add(0x200000, 0x1000, MEM_RAM);
	add(0xfffe0000, 0x20000, MEM_ROM);
	check(want, UMBRA_ARRAY_SIZE(want));
}

Test(e820, one_region_up_to_the_end_then_cut_at_the_flash_and_at_4g)
{
	static const struct load_e820_entry want[] = {
		{0, 0x9fc00, LOAD_E820_RAM},
		{0x9fc00, 0x400, LOAD_E820_RESERVED},
		{0xf0000, 0x10000, LOAD_E820_RESERVED},
		{0x100000, 0xfffc0000 - 0x100000, LOAD_E820_RAM},
		{0xfffc0000, 0x40000, LOAD_E820_RESERVED},
		{1ull << 32, 1ull << 32, LOAD_E820_RAM},
	};

	add(0, 2ull << 32, MEM_RAM);
	check(want, UMBRA_ARRAY_SIZE(want));
}

Test(e820, little_room_then_its_part_and_the_whole_count)
{
	struct load_e820_entry got[3] = {{.len = 0}, {.len = 0}, {.len = 77}};

	add(0, 1ull << 20, MEM_RAM);
	cr_expect_eq(load_e820(space, got, 2), 4);
	cr_expect_eq(got[1].start, 0x9fc00);
	cr_expect_eq(got[2].len, 77);
	cr_expect_eq(load_e820(space, NULL, 0), 4);
}
