/* Where the tables go. */
#include "facts_rig.h"
#include "src/vm/firmware.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct mem_space *space;

static void setup(void)
{
	cr_assert_eq(mem_create(&space, NULL), 0);
}

static void teardown(void)
{
	mem_destroy(space);
}

TestSuite(firmware, .init = setup, .fini = teardown);

static uint64_t read_at(gpa_t gpa, size_t bytes)
{
	uint8_t buf[8] = {0};

	cr_assert_eq(mem_peek(space, gpa, buf, bytes), bytes);
	return le64_get(buf);
}

/* As a system searches: @signature on a paragraph of 0xe0000..0xfffff. */
static gpa_t find(const char *signature, size_t len)
{
	char buf[8];

	for (gpa_t gpa = 0xe0000; gpa < 0x100000; gpa += 16) {
		mem_peek(space, gpa, buf, len);
		if (memcmp(buf, signature, len) == 0)
			return gpa;
	}
	cr_assert_fail("no %s", signature);
	return 0;
}

static bool is_sound(gpa_t gpa, size_t len)
{
	uint8_t bytes[4096];

	cr_assert_leq(len, sizeof(bytes));
	cr_assert_eq(mem_peek(space, gpa, bytes, len), len);
	return sums_to_zero(bytes, len);
}

Test(firmware, tables_when_placed_then_a_search_finds_them_whole)
{
	const struct pc_facts facts = facts_of(64);
	gpa_t rsdp, mp, xsdt, madt;

	cr_assert_eq(mem_add(space, 0, 1 << 20, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(firmware_place(space, &facts, NULL), 0);
	rsdp = find("RSD PTR ", 8);
	cr_expect_eq(rsdp, FIRMWARE_RSDP);
	cr_expect(is_sound(rsdp, 36));
	xsdt = read_at(rsdp + 24, 8);
	cr_expect(is_sound(xsdt, read_at(xsdt + 4, 4)));
	madt = read_at(xsdt + 36 + 8, 8);
	cr_expect_eq(read_at(madt, 4), 0x43495041, "APIC");
	cr_expect(is_sound(madt, read_at(madt + 4, 4)));
	mp = find("_MP_", 4);
	cr_expect_geq(mp, 0xf0000);
	cr_expect(is_sound(mp, 16));
	mp = read_at(mp + 4, 4);
	cr_expect(is_sound(mp, read_at(mp + 4, 2)));
	cr_expect_eq(read_at(mp + 34, 2), 64 + 19);
	cr_expect_eq(read_at(0x40e, 2), 0x9fc0);
	cr_expect_eq(read_at(0x9fc00, 1), 1);
	cr_expect_eq(read_at(0, 8), 0, "the interrupt vectors are nobody's");
}

Test(firmware, tables_when_that_is_no_ram_then_the_rest_is_written)
{
	const struct pc_facts facts = facts_of(1);

	cr_assert_eq(mem_add(space, 0, 0x1000, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(firmware_place(space, &facts, NULL), 0);
	cr_expect_eq(read_at(0x413, 2), 639);
}

Test(firmware, tables_when_too_many_cpus_then_error_and_nothing_written)
{
	const struct pc_facts facts = facts_of(2000);
	struct umbra_err err = {.text = ""};

	cr_assert_eq(mem_add(space, 0, 1 << 20, MEM_RAM, "ram", NULL), 0);
	cr_expect_eq(firmware_place(space, &facts, &err), -ENOSPC);
	cr_expect_not_null(strstr(err.text, "2000 processors"), "%s", err.text);
	cr_expect_eq(read_at(0x413, 2), 0);
	cr_expect_eq(read_at(FIRMWARE_RSDP, 8), 0);
}
