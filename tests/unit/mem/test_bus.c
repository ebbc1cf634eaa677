/* Unit tests of src/mem/bus.c: the region tables, and the width matrix: every mask of widths, every
 * access length, at every distance from the end of a region. */
#include "umbra/bus.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALLS 16

/* A device that writes down what it is asked.  It reads as base + offset in every byte. */
struct fake {
	struct dev_ops ops;
	uint8_t base;
	struct {
		bool is_write;
		uint64_t offset;
		unsigned width;
		uint64_t value;
	} call[MAX_CALLS];
	unsigned calls;
	char *log; /* of reset and destroy */
};

static uint64_t fake_read(void *state, uint64_t offset, unsigned width)
{
	struct fake *f = state;
	uint64_t value = 0;

	cr_assert_lt(f->calls, MAX_CALLS);
	f->call[f->calls].is_write = false;
	f->call[f->calls].offset = offset;
	f->call[f->calls++].width = width;
	for (unsigned i = width; i-- > 0;)
		value = value << 8 | (uint8_t)(f->base + offset + i);
	/* What is wider than asked must not leak into the neighbours. */
	if (width < 8)
		value |= UINT64_MAX << 8 * width;
	return value;
}

static void fake_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct fake *f = state;

	cr_assert_lt(f->calls, MAX_CALLS);
	f->call[f->calls].is_write = true;
	f->call[f->calls].offset = offset;
	f->call[f->calls].value = value;
	f->call[f->calls++].width = width;
}

static void fake_reset(void *state)
{
	struct fake *f = state;

	strcat(f->log, f->ops.name);
}

static void fake_show(const void *state, const struct print_sink *sink)
{
	const struct fake *f = state;

	print_to(sink, "I am %s", f->ops.name);
}

static void fake_destroy(void *state)
{
	struct fake *f = state;

	strcat(f->log, "~");
	strcat(f->log, f->ops.name);
}

static struct device *fake_add(struct bus *bus, struct fake *f, const char *name, unsigned widths,
			       char *log)
{
	*f = (struct fake){.ops = {.name = name,
				   .widths = widths,
				   .read = fake_read,
				   .write = fake_write,
				   .reset = fake_reset,
				   .show = fake_show,
				   .destroy = log ? fake_destroy : NULL},
			   .log = log};
	return bus_add_device(bus, &f->ops, f);
}

static struct bus *new_bus(void)
{
	struct bus *bus;

	cr_assert_eq(bus_create(&bus, NULL), 0);
	return bus;
}

/* The tables. */

Test(bus, map_when_wrong_then_error_and_table_unchanged)
{
	static const struct {
		enum bus_kind kind;
		uint64_t base, len;
		int error;
	} rows[] = {
		{BUS_PIO, 0x100, 0, -EINVAL},	    {BUS_PIO, 0xffff, 2, -EINVAL},
		{BUS_PIO, 0x10000, 1, -EINVAL},	    {BUS_PIO, UINT64_MAX, 2, -EINVAL},
		{BUS_MMIO, UINT64_MAX, 2, -EINVAL}, {BUS_PIO, 0x3f8, 8, -EEXIST},
		{BUS_PIO, 0x3ff, 1, -EEXIST},	    {BUS_PIO, 0x3f0, 9, -EEXIST},
		{BUS_PIO, 0x3fa, 2, -EEXIST},	    {BUS_PIO, 0, 0x10000, -EEXIST},
	};
	struct bus *bus = new_bus();
	struct fake old, fresh;
	struct device *dev = fake_add(bus, &fresh, "new", 1, NULL);
	struct bus_region_info info;

	cr_assert_eq(bus_map(fake_add(bus, &old, "old", 1, NULL), BUS_PIO, 0x3f8, 8, 0, NULL), 0);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct umbra_err err = {.text = ""};
		int rc = bus_map(dev, rows[i].kind, rows[i].base, rows[i].len, 0, &err);

		cr_assert_eq(rc, rows[i].error, "row %zu: %d", i, rc);
		cr_assert_not_null(strstr(err.text, "new"), "%s", err.text);
		if (rc == -EEXIST)
			cr_assert_not_null(strstr(err.text, "old"), "%s", err.text);
	}
	cr_assert_not(bus_region_at(bus, BUS_PIO, 1, &info));
	cr_assert_not(bus_region_at(bus, BUS_MMIO, 0, &info));
	bus_destroy(bus);
}

Test(bus, map_when_there_are_many_port_regions_then_255_and_each_finds_its_own)
{
	struct bus *bus = new_bus();
	struct fake fake;
	struct device *dev = fake_add(bus, &fake, "many", 1, NULL);
	uint8_t byte;

	for (unsigned i = 0; i < 255; i++)
		cr_assert_eq(bus_map(dev, BUS_PIO, 0x1000 - i * 2, 1, i, NULL), 0);
	cr_assert_eq(bus_map(dev, BUS_PIO, 0x2000, 1, 0, NULL), -ENOSPC);
	for (unsigned i = 0; i < 255; i++) {
		fake.calls = 0;
		bus_pio(bus, (uint16_t)(0x1000 - i * 2), false, 1, 1, &byte);
		cr_assert_eq(fake.calls, 1);
		cr_assert_eq(fake.call[0].offset, i);
		bus_pio(bus, (uint16_t)(0x1001 - i * 2), false, 1, 1, &byte);
		cr_assert_eq(byte, 0xff);
		cr_assert_eq(fake.calls, 1);
	}
	bus_destroy(bus);
}

Test(bus, map_when_at_the_edges_of_the_space_then_found)
{
	struct bus *bus = new_bus();
	struct fake f;
	struct device *dev = fake_add(bus, &f, "f", 1, NULL);
	uint8_t byte = 0;

	cr_assert_eq(bus_map(dev, BUS_PIO, 0xffff, 1, 1, NULL), 0);
	cr_assert_eq(bus_map(dev, BUS_PIO, 0, 1, 2, NULL), 0);
	cr_assert_eq(bus_map(dev, BUS_MMIO, UINT64_MAX, 1, 3, NULL), 0);
	bus_pio(bus, 0xffff, false, 1, 1, &byte);
	cr_assert_eq(byte, 1);
	bus_pio(bus, 0, false, 1, 1, &byte);
	cr_assert_eq(byte, 2);
	bus_mmio(bus, UINT64_MAX, false, 1, &byte);
	cr_assert_eq(byte, 3);
	bus_destroy(bus);
}

Test(bus, region_at_when_mapped_out_of_order_then_sorted_with_counts)
{
	struct bus *bus = new_bus();
	struct fake a, b;
	struct device *dev_a = fake_add(bus, &a, "a", 1, NULL);
	struct device *dev_b = fake_add(bus, &b, "b", 1, NULL);
	struct bus_region_info info;
	uint8_t byte = 0;

	bus_map(dev_b, BUS_PIO, 0x64, 1, 0, NULL);
	bus_map(dev_a, BUS_PIO, 0x60, 1, 0, NULL);
	bus_map(dev_b, BUS_PIO, 0xcf9, 1, 1, NULL);
	bus_pio(bus, 0x64, true, 1, 1, &byte);
	bus_pio(bus, 0x64, false, 1, 1, &byte);
	bus_pio(bus, 0x61, false, 1, 1, &byte);
	cr_assert(bus_region_at(bus, BUS_PIO, 0, &info));
	cr_assert_eq(info.base, 0x60);
	cr_assert_str_eq(info.name, "a");
	cr_assert_eq(info.dev, dev_a);
	cr_assert_eq(info.access_count, 0);
	cr_assert(bus_region_at(bus, BUS_PIO, 1, &info));
	cr_assert_eq(info.base, 0x64);
	cr_assert_eq(info.access_count, 2);
	cr_assert(bus_region_at(bus, BUS_PIO, 2, &info));
	cr_assert_eq(info.base, 0xcf9);
	cr_assert_not(bus_region_at(bus, BUS_PIO, 3, &info));
	cr_assert_eq(bus_unclaimed_count(bus, BUS_PIO), 1);
	cr_assert_eq(bus_unclaimed_count(bus, BUS_MMIO), 0);
	bus_destroy(bus);
}

/* The width matrix. */

/* What the bus owes for one access, byte by byte, derived apart from the bus's own way: at each
 * address the device gets the widest width of its mask that still fits. */
static unsigned expected_width(unsigned widths, unsigned at, unsigned region, unsigned left)
{
	static const unsigned all[] = {8, 4, 2, 1};

	for (unsigned i = 0; at < region && i < 4; i++) {
		if ((widths & all[i]) && all[i] <= left && at + all[i] <= region)
			return all[i];
	}
	return 0;
}

static void check_access(struct bus *bus, struct fake *f, bool is_write, unsigned at, unsigned len)
{
	const unsigned region = 8;
	uint8_t data[10];
	unsigned calls = 0;
	unsigned i = 0;

	for (unsigned j = 0; j < sizeof(data); j++)
		data[j] = (uint8_t)(0xa0 + j);
	f->calls = 0;
	bus_mmio(bus, 0x1000 + at, is_write, len, data + 1);
	cr_assert_eq(data[0], 0xa0);
	cr_assert_eq(data[len + 1], (uint8_t)(0xa0 + len + 1));
	while (i < len) {
		unsigned width = expected_width(f->ops.widths, at + i, region, len - i);

		for (unsigned j = 0; j < (width ? width : 1); j++) {
			uint8_t want = width ? (uint8_t)(f->base + at + i + j) : 0xff;

			if (is_write)
				want = (uint8_t)(0xa1 + i + j);
			cr_assert_eq(data[1 + i + j], want, "widths %x at %u len %u byte %u",
				     f->ops.widths, at, len, i + j);
			if (is_write && width)
				cr_assert_eq((uint8_t)(f->call[calls].value >> 8 * j), want);
		}
		if (width) {
			cr_assert_lt(calls, f->calls);
			cr_assert_eq(f->call[calls].width, width);
			cr_assert_eq(f->call[calls].offset, at + i);
			cr_assert_eq(f->call[calls].is_write, is_write);
			if (is_write && width < 8)
				cr_assert_eq(f->call[calls].value >> 8 * width, 0);
			calls++;
		}
		i += width ? width : 1;
	}
	cr_assert_eq(f->calls, calls);
}

Test(bus, access_when_any_mask_length_and_straddle_then_split_as_on_isa)
{
	for (unsigned widths = 0; widths < 16; widths++) {
		struct bus *bus = new_bus();
		struct fake f;
		struct device *dev = fake_add(bus, &f, "f", widths, NULL);

		f.base = 0x40;
		cr_assert_eq(bus_map(dev, BUS_MMIO, 0x1000, 8, 0, NULL), 0);
		for (unsigned at = 0; at < 10; at++) {
			for (unsigned len = 1; len <= 8; len++) {
				check_access(bus, &f, false, at, len);
				check_access(bus, &f, true, at, len);
			}
		}
		bus_destroy(bus);
	}
}

Test(bus, pio_when_straddling_two_devices_then_each_gets_its_part)
{
	struct bus *bus = new_bus();
	struct fake a, b;
	uint8_t data[4] = {0x11, 0x22, 0x33, 0x44};

	bus_map(fake_add(bus, &a, "a", 1 | 2, NULL), BUS_PIO, 0x10, 2, 0x80, NULL);
	bus_map(fake_add(bus, &b, "b", 1, NULL), BUS_PIO, 0x12, 2, 0, NULL);
	bus_pio(bus, 0x10, true, 4, 1, data);
	cr_assert_eq(a.calls, 1);
	cr_assert_eq(a.call[0].offset, 0x80);
	cr_assert_eq(a.call[0].value, 0x2211);
	cr_assert_eq(b.calls, 2);
	cr_assert_eq(b.call[0].value, 0x33);
	cr_assert_eq(b.call[1].offset, 1);
	cr_assert_eq(b.call[1].value, 0x44);
	cr_assert_eq(bus_unclaimed_count(bus, BUS_PIO), 0);
	bus_destroy(bus);
}

Test(bus, pio_when_past_the_last_port_then_all_ones)
{
	struct bus *bus = new_bus();
	struct fake f;
	uint8_t data[4] = {0};

	bus_map(fake_add(bus, &f, "zero", 1, NULL), BUS_PIO, 0, 1, 0, NULL);
	bus_pio(bus, 0xffff, false, 4, 1, data);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(data[i], 0xff);
	cr_assert_eq(f.calls, 0);
	cr_assert_eq(bus_unclaimed_count(bus, BUS_PIO), 1);
	bus_destroy(bus);
}

Test(bus, pio_when_string_then_each_element_at_the_same_port)
{
	struct bus *bus = new_bus();
	struct fake f;
	uint8_t out[6] = {1, 2, 3, 4, 5, 6};

	bus_map(fake_add(bus, &f, "f", 2, NULL), BUS_PIO, 0x20, 4, 0, NULL);
	bus_pio(bus, 0x22, true, 2, 3, out);
	cr_assert_eq(f.calls, 3);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(f.call[i].offset, 2);
		cr_assert_eq(f.call[i].value, (uint64_t)(2 * i + 1) | (2 * i + 2) << 8);
	}
	f.calls = 0;
	bus_pio(bus, 0x22, false, 2, 3, out);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(out[i], 2 + i % 2);
	bus_pio(bus, 0x22, true, 2, 0, NULL);
	cr_assert_eq(f.calls, 3);
	bus_destroy(bus);
}

/* Devices. */

Test(bus, reset_and_destroy_when_several_devices_then_in_order_and_backwards)
{
	struct bus *bus = new_bus();
	struct fake a, b, c;
	char log[32] = "";

	fake_add(bus, &a, "a", 1, log);
	fake_add(bus, &b, "b", 1, log);
	fake_add(bus, &c, "c", 1, log);
	cr_assert_str_eq(bus_device_name(bus, 1), "b");
	cr_assert_null(bus_device_name(bus, 3));
	bus_reset(bus);
	bus_destroy(bus);
	cr_assert_str_eq(log, "abc~c~b~a");
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

static void set_base(void *state, void *arg)
{
	((struct fake *)state)->base = *(uint8_t *)arg;
}

Test(bus, with_device_and_show_when_called_then_reach_the_state)
{
	struct bus *bus = new_bus();
	struct fake f;
	struct device *dev = fake_add(bus, &f, "f", 1, NULL);
	uint8_t base = 7;
	char text[32] = "";
	struct print_sink sink = {.text = collect, .ctx = text};

	bus_with_device(dev, set_base, &base);
	cr_assert_eq(f.base, 7);
	cr_assert(bus_show_device(bus, 0, &sink));
	cr_assert_str_eq(text, "I am f");
	cr_assert_not(bus_show_device(bus, 1, &sink));
	bus_destroy(bus);
	bus_destroy(NULL);
}
