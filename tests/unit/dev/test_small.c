/* Unit tests of the small devices, through the bus as the guest reaches them. */
#include "port_rig.h"

#include "src/dev/port92.h"
#include "src/dev/resetport.h"
#include "umbra/bus.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct posted {
	unsigned count;
	enum machine_request request;
	int code;
};

static void post(void *ctx, enum machine_request request, int code)
{
	struct posted *p = ctx;

	p->count++;
	p->request = request;
	p->code = code;
}

static struct bus *new_bus(void)
{
	struct bus *bus;

	cr_assert_eq(bus_create(&bus, NULL), 0);
	return bus;
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

/* What `show` of the first device says. */
static const char *shown(struct bus *bus, char text[256])
{
	struct print_sink sink = {.text = collect, .ctx = text};

	text[0] = '\0';
	cr_assert(bus_show_device(bus, 0, &sink));
	return text;
}

/* Debug exit. */

Test(debugexit, write_when_any_width_then_status_as_qemu)
{
	static const struct {
		bool is_plain;
		unsigned size;
		uint32_t value;
		int code;
	} rows[] = {
		{false, 1, 0, 1},	  {false, 1, 0x10, 0x21}, {false, 1, 0xff, 0xff},
		{false, 2, 0x0131, 0x63}, {false, 4, 0x31, 0x63}, {false, 4, 0xffffffff, 0xff},
		{true, 1, 0, 0},	  {true, 1, 42, 42},	  {true, 1, 0xff, 0xff},
		{true, 4, 0x12345607, 7},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct bus *bus = new_bus();
		struct posted p = {.count = 0};
		struct machine_hook hook = {.post = post, .ctx = &p};

		cr_assert_eq(debugexit_create(bus, 0xf4, 4, rows[i].is_plain, hook, NULL), 0);
		port_out(bus, 0xf4, rows[i].size, rows[i].value);
		cr_assert_eq(p.count, 1, "row %zu: one write is one request", i);
		cr_assert_eq(p.request, MACHINE_EXIT);
		cr_assert_eq(p.code, rows[i].code, "row %zu: %d", i, p.code);
		bus_destroy(bus);
	}
}

Test(debugexit, read_when_asked_then_zero_and_no_request)
{
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};
	char text[256];

	debugexit_create(bus, 0x501, 2, false, (struct machine_hook){post, &p}, NULL);
	cr_assert_eq(port_in(bus, 0x501, 1), 0);
	cr_assert_eq(port_in(bus, 0x501, 4), 0xffff0000);
	cr_assert_eq(p.count, 0);
	cr_assert_not_null(strstr(shown(bus, text), "2 ports"), "%s", text);
	bus_reset(bus);
	bus_destroy(bus);
}

Test(debugexit, create_when_ports_are_taken_then_error)
{
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};
	struct umbra_err err = {.text = ""};

	cr_assert_eq(resetport_create(bus, (struct machine_hook){post, &p}, NULL), 0);
	cr_assert_eq(debugexit_create(bus, 0xcf9, 4, false, (struct machine_hook){post, &p}, &err),
		     -EEXIST);
	cr_assert_not_null(strstr(err.text, "reset-port"), "%s", err.text);
	cr_assert_eq(debugexit_create(bus, 0xfffe, 4, false, (struct machine_hook){post, &p}, &err),
		     -EINVAL);
	bus_destroy(bus);
}

/* Reset port. */

/* Writes one after the other, with the requests that must have been posted after each. */
Test(resetport, writes_when_any_order_then_reset_only_on_a_rising_edge)
{
	static const struct {
		uint16_t port;
		uint8_t value;
		unsigned posted;
		uint8_t rc;
	} rows[] = {
		{0xcf9, 0x02, 0, 0x02},				/* hard reset chosen */
		{0xcf9, 0x06, 1, 0x06},				/* RCPU rises */
		{0xcf9, 0x06, 1, 0x06},				/* still on: no edge */
		{0xcf9, 0x00, 1, 0x00}, {0xcf9, 0xf9, 1, 0x00}, /* other bits do not stay */
		{0xcf9, 0x04, 2, 0x04},				/* soft reset */
		{0xcf9, 0x0e, 2, 0x06},
	};
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};

	cr_assert_eq(resetport_create(bus, (struct machine_hook){post, &p}, NULL), 0);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		port_out(bus, rows[i].port, 1, rows[i].value);
		cr_assert_eq(p.count, rows[i].posted, "row %zu: %u", i, p.count);
		cr_assert_eq(port_in(bus, 0xcf9, 1), rows[i].rc, "row %zu", i);
	}
	cr_assert_eq(p.request, MACHINE_RESET);
	bus_reset(bus);
	cr_assert_eq(port_in(bus, 0xcf9, 1), 0);
	port_out(bus, 0xcf9, 1, 0x06);
	cr_assert_eq(p.count, 3);
	bus_destroy(bus);
}

/* The ports of PCI's configuration address: a scan of every device and function must not be taken
 * for resets, and must find no PCI. */
Test(resetport, pci_scan_when_wide_accesses_then_no_reset)
{
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};

	resetport_create(bus, (struct machine_hook){post, &p}, NULL);
	for (uint32_t function = 0; function < 256; function++) {
		port_out(bus, 0xcf8, 4, 0x80000000u | function << 8);
		cr_assert_eq(port_in(bus, 0xcf8, 4), 0xffffffff);
		port_out(bus, 0xcf8, 2, function << 8);
		port_out(bus, 0xcf9, 2, function);
	}
	cr_assert_eq(p.count, 0);
	cr_assert_eq(port_in(bus, 0xcf9, 1), 0);
	cr_assert_eq(port_in(bus, 0xcf8, 1), 0xff);
	bus_destroy(bus);
}

/* What Linux and SeaBIOS do to find mechanism 1, and Linux to find mechanism 2. */
Test(resetport, pci_probe_when_either_mechanism_then_none_and_no_reset)
{
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};
	uint32_t before;

	resetport_create(bus, (struct machine_hook){post, &p}, NULL);
	port_out(bus, 0xcfb, 1, 0x01);
	before = port_in(bus, 0xcf8, 4);
	port_out(bus, 0xcf8, 4, 0x80000000);
	cr_assert_neq(port_in(bus, 0xcf8, 4), 0x80000000);
	port_out(bus, 0xcf8, 4, before);
	port_out(bus, 0xcfb, 1, 0x00);
	port_out(bus, 0xcf8, 1, 0x00);
	port_out(bus, 0xcfa, 1, 0x00);
	cr_assert_neq(port_in(bus, 0xcf8, 1), 0x00);
	cr_assert_neq(port_in(bus, 0xcfa, 1), 0x00);
	for (uint16_t port = 0xcfc; port < 0xd00; port++)
		cr_assert_eq(port_in(bus, port, 1), 0xff);
	cr_assert_eq(port_in(bus, 0xcfc, 4), 0xffffffff);
	cr_assert_eq(p.count, 0);
	bus_destroy(bus);
}

Test(resetport, load_when_saved_or_damaged_then_same_or_refused)
{
	struct resetport a = {.rc = 0x06};
	struct resetport b = {.rc = 0x02};
	uint8_t bytes[4];
	struct blob blob = blob_over(bytes, sizeof(bytes));

	resetport_ops.save(&a, &blob);
	cr_assert_eq(blob.pos, 2);
	blob = blob_over(bytes, 1);
	cr_assert_eq(resetport_ops.load(&b, &blob, NULL), -EINVAL);
	bytes[1] = 0x01;
	blob = blob_over(bytes, 2);
	cr_assert_eq(resetport_ops.load(&b, &blob, NULL), -EINVAL);
	cr_assert_eq(b.rc, 0x02);
	bytes[1] = 0x06;
	blob = blob_over(bytes, 2);
	cr_assert_eq(resetport_ops.load(&b, &blob, NULL), 0);
	cr_assert_eq(b.rc, 0x06);
	bytes[0]++;
	blob = blob_over(bytes, 2);
	cr_assert_eq(resetport_ops.load(&b, &blob, NULL), -EINVAL);
}

/* System control port A. */

Test(port92, writes_when_any_order_then_kept_bits_and_a_reset_as_bit_0_rises)
{
	static const struct {
		uint8_t value, kept;
		unsigned posted;
	} rows[] = {
		{0x00, 0x00, 0}, {0x02, 0x02, 0}, {0xfe, 0xca, 0}, {0x03, 0x03, 1},
		{0x01, 0x01, 1}, {0xff, 0xcb, 1}, {0x00, 0x00, 1}, {0x01, 0x01, 2},
	};
	struct bus *bus = new_bus();
	struct posted p = {.count = 0};
	char text[256];

	cr_assert_eq(port92_create(bus, 0x92, (struct machine_hook){post, &p}, NULL), 0);
	cr_assert_eq(port_in(bus, 0x92, 1), 0x02, "A20 is open");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		port_out(bus, 0x92, 1, rows[i].value);
		cr_expect_eq(port_in(bus, 0x92, 1), rows[i].kept, "row %zu", i);
		cr_expect_eq(p.count, rows[i].posted, "row %zu", i);
	}
	cr_expect_eq(p.request, MACHINE_RESET);
	cr_expect_str_eq(shown(bus, text), "port92: 01\n");
	bus_reset(bus);
	cr_expect_eq(port_in(bus, 0x92, 1), 0x02);
	bus_destroy(bus);
}

Test(port92, load_when_saved_or_damaged_then_same_or_refused)
{
	struct port92 a = {.value = 0xc3}, b = {.value = 0x02};
	uint8_t bytes[4];
	struct blob blob = blob_over(bytes, sizeof(bytes));

	port92_ops.save(&a, &blob);
	blob = blob_over(bytes, blob.pos);
	cr_expect_eq(port92_ops.load(&b, &blob, NULL), 0);
	cr_expect_eq(b.value, 0xc3);
	for (unsigned i = 0; i < 3; i++) {
		blob = blob_over(bytes, 2 - (i == 0));
		bytes[0] = (uint8_t)(1 + (i == 1));
		bytes[1] = i == 2 ? 0x10 : 0x02;
		cr_expect_eq(port92_ops.load(&b, &blob, NULL), -EINVAL);
		cr_expect_eq(b.value, 0xc3);
	}
}

/* Debug console. */

Test(debugcon, port_when_read_and_written_then_answer_and_output)
{
	struct bus *bus = new_bus();
	char path[] = "/tmp/umbra-test-XXXXXX";
	int fd = mkstemp(path);
	char spec[64], text[256];
	struct loop *loop;
	struct gate *gate;
	struct chardev *chardev;

	snprintf(spec, sizeof(spec), "file:%s", path);
	cr_assert_eq(loop_create(&loop, NULL), 0);
	cr_assert_eq(gate_create(&gate, NULL), 0);
	cr_assert_eq(chardev_open(&chardev, spec, 0, loop, gate, NULL), 0);
	cr_assert_eq(debugcon_create(bus, 0xe9, chardev, NULL), 0);
	cr_assert_eq(port_in(bus, 0xe9, 1), 0xe9);
	bus_pio(bus, 0xe9, true, 1, 5, (uint8_t[]){'h', 'e', 'l', 'l', 'o'});
	cr_assert_not_null(strstr(shown(bus, text), "debugcon"), "%s", text);
	bus_reset(bus);
	bus_destroy(bus);
	chardev_close(chardev);
	cr_assert_eq(read(fd, text, sizeof(text)), 5);
	cr_assert_arr_eq(text, "hello", 5);
	gate_destroy(gate);
	loop_destroy(loop);
	unlink(path);
}

Test(debugcon, port_when_no_back_end_then_output_goes_nowhere)
{
	struct bus *bus = new_bus();

	cr_assert_eq(debugcon_create(bus, 0xe9, NULL, NULL), 0);
	port_out(bus, 0xe9, 1, 'x');
	cr_assert_eq(port_in(bus, 0xe9, 1), 0xe9);
	bus_destroy(bus);
}
