/* Unit tests of pc-testdev, through the bus as the guest reaches it. */
#include "port_rig.h"

#include "src/dev/testdev.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEM_BASE  0xff000000ull
#define MEM_BYTES 0x10000u

/* The last call of the line, and the level of each. */
struct lines {
	unsigned calls;
	uint32_t high;
};

static void set_line(void *ctx, unsigned gsi, bool is_high)
{
	struct lines *lines = ctx;

	cr_assert_lt(gsi, 32);
	lines->calls++;
	lines->high &= ~(1u << gsi);
	lines->high |= (uint32_t)is_high << gsi;
}

static struct bus *new_bus(struct lines *lines)
{
	struct irq_line irq = {.set = set_line, .ctx = lines, .gsi = 0};
	struct bus *bus;

	cr_assert_eq(bus_create(&bus, NULL), 0);
	cr_assert_eq(testdev_create(bus, irq, NULL), 0);
	return bus;
}

static uint64_t load(struct bus *bus, gpa_t gpa, unsigned len)
{
	uint8_t bytes[8] = {0};

	bus_mmio(bus, gpa, false, len, bytes);
	return le64_get(bytes);
}

static void store(struct bus *bus, gpa_t gpa, unsigned len, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	bus_mmio(bus, gpa, true, len, bytes);
}

Test(testdev, ports_when_any_width_then_they_keep_each_byte)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);

	port_out(bus, 0xe0, 4, 0x44332211);
	cr_expect_eq(port_in(bus, 0xe0, 4), 0x44332211);
	cr_expect_eq(port_in(bus, 0xe1, 1), 0x22);
	cr_expect_eq(port_in(bus, 0xe2, 2), 0x4433);
	cr_expect_eq(port_in(bus, 0xe8, 4), 0x44332211, "the second window shows the same latch");
	port_out(bus, 0xe9, 2, 0xbbaa);
	cr_expect_eq(port_in(bus, 0xe0, 4), 0x44bbaa11);
	port_out(bus, 0xe3, 1, 0xff);
	cr_expect_eq(port_in(bus, 0xe8, 4), 0xffbbaa11);
	bus_destroy(bus);
}

Test(testdev, flush_when_written_then_nothing_else_changes)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);

	port_out(bus, 0xe0, 4, 0x44332211);
	port_out(bus, 0xe4, 4, 0x00123000);
	cr_expect_eq(port_in(bus, 0xe4, 4), 0);
	cr_expect_eq(port_in(bus, 0xe0, 4), 0x44332211);
	cr_expect_eq(lines.calls, 0);
	bus_destroy(bus);
}

Test(testdev, lines_when_written_then_levels_follow)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);

	for (unsigned n = 0; n < 24; n++) {
		port_out(bus, (uint16_t)(0x2000 + n), 1, n + 1);
		cr_expect_eq(lines.high, 1u << n, "line %u: %#x", n, lines.high);
		port_out(bus, (uint16_t)(0x2000 + n), 1, 0);
		cr_expect_eq(lines.high, 0);
	}
	cr_expect_eq(lines.calls, 48);
	port_out(bus, 0x2018, 1, 1);
	cr_expect_eq(lines.calls, 48, "there are 24 lines");
	port_out(bus, 0x200b, 4, 0x100);
	cr_expect_eq(lines.high, 1u << 11, "one write is one line: %#x", lines.high);
	port_out(bus, 0x200b, 4, 0);
	cr_expect_eq(lines.high, 0);
	cr_expect_eq(port_in(bus, 0x200b, 1), 0);
	bus_destroy(bus);
}

Test(testdev, memory_when_written_then_read_back_at_any_width_up_to_its_end)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);

	store(bus, MEM_BASE, 8, 0x8877665544332211);
	cr_expect_eq(load(bus, MEM_BASE, 8), 0x8877665544332211);
	cr_expect_eq(load(bus, MEM_BASE + 3, 2), 0x5544);
	store(bus, MEM_BASE + MEM_BYTES - 1, 1, 0x5a);
	cr_expect_eq(load(bus, MEM_BASE + MEM_BYTES - 1, 1), 0x5a);
	store(bus, MEM_BASE + MEM_BYTES - 4, 8, 0x8877665544332211);
	cr_expect_eq(load(bus, MEM_BASE + MEM_BYTES - 4, 8), 0xffffffff44332211);
	cr_expect_eq(load(bus, MEM_BASE + MEM_BYTES, 4), 0xffffffff);
	bus_destroy(bus);
}

Test(testdev, reset_when_lines_are_high_then_they_fall_and_all_is_zero)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);

	port_out(bus, 0x2003, 1, 1);
	port_out(bus, 0x2017, 1, 1);
	port_out(bus, 0xe0, 4, ~0u);
	store(bus, MEM_BASE + 8, 8, ~0ull);
	cr_assert_eq(lines.high, 1u << 3 | 1u << 23);
	bus_reset(bus);
	cr_expect_eq(lines.high, 0);
	cr_expect_eq(lines.calls, 4, "only what was high falls");
	cr_expect_eq(port_in(bus, 0xe0, 4), 0);
	cr_expect_eq(load(bus, MEM_BASE + 8, 8), 0);
	bus_reset(bus);
	cr_expect_eq(lines.calls, 4);
	bus_destroy(bus);
}

Test(testdev, load_when_saved_or_damaged_then_same_or_refused)
{
	/* Version, lines, latch, memory. */
	enum { LINES_TOP = 4, LATCH = 5, SIZE = 9 + TESTDEV_MEM_BYTES };
	static uint8_t bytes[SIZE];
	struct testdev *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct blob blob = blob_over(bytes, sizeof(bytes));

	cr_assert(a && b);
	a->lines = 0x800001;
	memcpy(a->latch, "latc", 4);
	a->mem[0] = 1;
	a->mem[TESTDEV_MEM_BYTES - 1] = 2;
	testdev_ops.save(a, &blob);
	cr_assert_eq(blob.pos, SIZE);
	for (unsigned cut = 0; cut < SIZE; cut += cut < LATCH + 4 ? 1 : 0x1fff) {
		blob = blob_over(bytes, cut);
		cr_assert_eq(testdev_ops.load(b, &blob, NULL), -EINVAL, "cut at %u", cut);
	}
	bytes[0]++;
	blob = blob_over(bytes, SIZE);
	cr_assert_eq(testdev_ops.load(b, &blob, NULL), -EINVAL);
	bytes[0]--;
	bytes[LINES_TOP] = 1;
	blob = blob_over(bytes, SIZE);
	cr_assert_eq(testdev_ops.load(b, &blob, NULL), -EINVAL, "there is no line 24");
	cr_assert(b->lines == 0 && b->latch[0] == 0 && b->mem[0] == 0, "unchanged");
	bytes[LINES_TOP] = 0;
	blob = blob_over(bytes, SIZE);
	cr_assert_eq(testdev_ops.load(b, &blob, NULL), 0);
	cr_assert_eq(b->lines, a->lines);
	cr_assert_arr_eq(b->latch, a->latch, sizeof(b->latch));
	cr_assert_arr_eq(b->mem, a->mem, sizeof(b->mem));
	free(a);
	free(b);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(testdev, show_when_asked_then_latch_and_lines)
{
	struct lines lines = {0};
	struct bus *bus = new_bus(&lines);
	char text[256] = "";
	struct print_sink sink = {.text = collect, .ctx = text};

	port_out(bus, 0xe0, 4, 0x1234);
	port_out(bus, 0x2001, 1, 1);
	cr_assert(bus_show_device(bus, 0, &sink));
	cr_expect_str_eq(text, "pc-testdev: latch 00001234, interrupt lines 000002\n");
	bus_destroy(bus);
}

Test(testdev, create_when_a_port_is_taken_then_error)
{
	struct lines lines = {0};
	struct irq_line irq = {.set = set_line, .ctx = &lines, .gsi = 0};
	struct bus *bus = new_bus(&lines);
	struct umbra_err err = {.text = ""};

	cr_expect_eq(testdev_create(bus, irq, &err), -EEXIST);
	cr_expect_not_null(strstr(err.text, "pc-testdev"), "%s", err.text);
	bus_destroy(bus);
}
