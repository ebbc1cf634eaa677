/* The memory map that every guest is told. */
#include "images.h"

#include <criterion/criterion.h>

struct region_spec {
	gpa_t gpa;
	uint64_t len;
	enum mem_kind kind;
};

#define MAX_REGIONS 4
#define MAX_WANTED  8

static const struct {
	struct region_spec region[MAX_REGIONS];
	struct load_e820_entry want[MAX_WANTED];
	unsigned count;
} maps[] = {
	{{{0, 0x4000000, MEM_RAM}},
	 {{0, 0x9fc00, 1},
	  {0x9fc00, 0x60400, 2},
	  {0x100000, 0x3f00000, 1},
	  {0xfffc0000, 0x40000, 2}},
	 4},
	{{{0, 0xc0000000, MEM_RAM}, {1ull << 32, 0x40000000, MEM_RAM}},
	 {{0, 0x9fc00, 1},
	  {0x9fc00, 0x60400, 2},
	  {0x100000, 0xbff00000, 1},
	  {0xfffc0000, 0x40000, 2},
	  {1ull << 32, 0x40000000, 1}},
	 5},
	/* ROM is not RAM; RAM where the firmware is does not show; low memory ends early. */
	{{{0, 0x80000, MEM_RAM}, {0x200000, 0x1000, MEM_ROM}, {0xfffc0000, 0x40000, MEM_RAM}},
	 {{0, 0x80000, 1}, {0x9fc00, 0x60400, 2}, {0xfffc0000, 0x40000, 2}},
	 3},
};

static void check_map(unsigned index, unsigned max)
{
	struct load_e820_entry out[LOAD_E820_MAX];
	struct mem_space *mem = NULL;
	unsigned i, count;

	cr_assert_eq(mem_create(&mem, NULL), 0);
	for (i = 0; i < MAX_REGIONS && maps[index].region[i].len; i++) {
		const struct region_spec *r = &maps[index].region[i];

		cr_assert_eq(mem_add(mem, r->gpa, r->len, r->kind, "r", NULL), 0);
	}
	memset(out, 0xee, sizeof(out));
	count = load_e820(mem, out, max);
	cr_assert_eq(count, max < maps[index].count ? max : maps[index].count);
	for (i = 0; i < count; i++) {
		const struct load_e820_entry *want = &maps[index].want[i];

		cr_expect_eq(out[i].addr, want->addr, "map %u entry %u", index, i);
		cr_expect_eq(out[i].len, want->len, "map %u entry %u", index, i);
		cr_expect_eq(out[i].type, want->type, "map %u entry %u", index, i);
	}
	cr_expect_eq(out[count].type, 0xeeeeeeee, "written past the end");
	mem_destroy(mem);
}

Test(e820, memory_spaces_then_ram_and_reservations_in_order)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(maps); i++)
		check_map(i, LOAD_E820_MAX - 1);
}

Test(e820, fewer_entries_allowed_then_cut_there)
{
	unsigned max;

	for (max = 0; max < 6; max++)
		check_map(1, max);
}
