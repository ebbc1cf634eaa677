/* Tests of the ACPI power management registers, through the bus as the guest reaches them, with a
 * clock that the test sets. */
#include "port_rig.h"

#include "src/dev/acpipm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#define BASE 0x600

#define STS	(BASE + ACPIPM_STATUS)
#define EN	(BASE + ACPIPM_ENABLE)
#define CNT	(BASE + ACPIPM_CONTROL)
#define TMR	(BASE + ACPIPM_TIMER)
#define HALF_NS 599932015941ull /* 2^31 ticks: 2^31 * 10^9 / 3579545, rounded up */

struct rig {
	struct bus *bus;
	struct gate *gate;
	struct device *dev;
	uint64_t now_ns;
	bool is_high;
	unsigned changes, posted;
	enum machine_request request;
};

static uint64_t rig_now(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static void set_sci(void *ctx, unsigned gsi, bool is_high)
{
	struct rig *rig = ctx;

	cr_assert_eq(gsi, 9);
	cr_assert_neq(is_high, rig->is_high, "only changes are passed on");
	rig->is_high = is_high;
	rig->changes++;
}

static void post(void *ctx, enum machine_request request, int code)
{
	struct rig *rig = ctx;

	cr_assert_eq(code, 0);
	rig->request = request;
	rig->posted++;
}

static void rig_open(struct rig *rig)
{
	const struct gate_clock clock = {.now_ns = rig_now, .ctx = rig};
	struct acpipm_config config = {.base = BASE,
				       .sci = {.set = set_sci, .ctx = rig, .gsi = 9},
				       .hook = {.post = post, .ctx = rig}};

	*rig = (struct rig){.now_ns = 0};
	cr_assert_eq(bus_create(&rig->bus, NULL), 0);
	cr_assert_eq(gate_create(&rig->gate, NULL), 0);
	gate_set_clock(rig->gate, &clock);
	config.gate = rig->gate;
	cr_assert_eq(acpipm_create(rig->bus, &config, &rig->dev, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	bus_destroy(rig->bus);
	gate_destroy(rig->gate);
}

/* Register by register: what is written, and what reads back.  Before each row the button's status
 * is set. */
Test(acpipm, registers_when_written_at_any_width_then_table)
{
	static const struct {
		uint16_t port;
		unsigned size;
		uint32_t value;
		uint16_t sts, en, cnt;
	} rows[] = {
		{STS, 2, 0x0000, 0x100, 0x000, 0x0001},	    /* 0 clears nothing */
		{STS, 2, 0xfeff, 0x100, 0x000, 0x0001},	    /* nor do other bits */
		{STS, 1, 0xff, 0x100, 0x000, 0x0001},	    /* nor another byte */
		{STS + 1, 1, 0x01, 0x000, 0x000, 0x0001},   /* 1 clears */
		{STS, 2, 0x0100, 0x000, 0x000, 0x0001},	    /* in a word */
		{STS, 4, 0x0000ffff, 0x000, 0x000, 0x0001}, /* in both registers' access */
		{STS, 4, 0xffff0000, 0x100, 0x521, 0x0001}, /* which enables what there is */
		{EN, 2, 0xfade, 0x100, 0x000, 0x0001},	    /* and not what there is not */
		{EN, 1, 0x21, 0x100, 0x021, 0x0001},	    /* bytes keep the other one */
		{EN + 1, 1, 0x01, 0x100, 0x121, 0x0001},    /* */
		{EN, 1, 0x00, 0x100, 0x100, 0x0001},	    /* */
		{STS + 1, 2, 0x2101, 0x000, 0x121, 0x0001}, /* across the two */
		{CNT, 2, 0x0000, 0x100, 0x121, 0x0001},	    /* SCI_EN stays */
		{CNT, 2, 0xdfff, 0x100, 0x121, 0x1c03},	    /* all but SLP_EN */
		{CNT, 2, 0x1404, 0x100, 0x121, 0x1401},	    /* GBL_RLS reads 0 */
		{CNT + 1, 1, 0x34, 0x100, 0x121, 0x1401},   /* SLP_EN of a type that is none */
		{CNT, 1, 0x02, 0x100, 0x121, 0x1403},	    /* */
		{TMR, 4, 0xffffffff, 0x100, 0x121, 0x1403}, /* read only */
	};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		acpipm_press_button(rig.dev);
		port_out(rig.bus, rows[i].port, rows[i].size, rows[i].value);
		cr_expect_eq(port_in(rig.bus, STS, 2), rows[i].sts, "row %zu: %#x", i,
			     port_in(rig.bus, STS, 2));
		cr_expect_eq(port_in(rig.bus, EN, 2), rows[i].en, "row %zu: %#x", i,
			     port_in(rig.bus, EN, 2));
		cr_expect_eq(port_in(rig.bus, CNT, 2), rows[i].cnt, "row %zu: %#x", i,
			     port_in(rig.bus, CNT, 2));
		cr_expect_eq(port_in(rig.bus, STS, 4), rows[i].sts | (uint32_t)rows[i].en << 16);
		cr_expect_eq(port_in(rig.bus, CNT + 1, 1), rows[i].cnt >> 8);
		cr_expect_eq(port_in(rig.bus, TMR, 4), 0);
	}
	cr_expect_eq(rig.posted, 0);
	rig_close(&rig);
}

Test(acpipm, sleep_when_s5_then_power_off_once_for_each_write)
{
	static const struct {
		uint16_t port;
		unsigned size;
		uint32_t value;
		unsigned posted;
	} rows[] = {
		{CNT, 2, 0x0001, 0}, {CNT, 2, 0x2001, 1},     {CNT + 1, 1, 0x20, 2},
		{CNT, 1, 0x20, 2},   {CNT, 2, 0x2401, 2},     {CNT, 2, 0x3c00, 2},
		{CNT, 2, 0x2000, 3}, {CNT, 4, 0xffff2000, 4}, {STS, 4, 0x20002000, 4},
	};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		port_out(rig.bus, rows[i].port, rows[i].size, rows[i].value);
		cr_expect_eq(rig.posted, rows[i].posted, "row %zu: %u", i, rig.posted);
		cr_expect_eq(port_in(rig.bus, CNT, 2) & 0x2000, 0, "SLP_EN reads 0");
	}
	cr_expect_eq(rig.request, MACHINE_POWEROFF);
	rig_close(&rig);
}

/* The timer: ticks are floor(ns * 3579545 / 10^9), modulo 2^32. */
Test(acpipm, timer_when_read_then_exact_from_0_to_584_years)
{
	static const struct {
		uint64_t ns;
		uint32_t ticks;
	} rows[] = {
		{0, 0},
		{279, 0},
		{280, 1},
		{1000000000, 3579545},
		{HALF_NS - 1, 0x7fffffff},
		{HALF_NS, 0x80000000},
		{2 * HALF_NS - 1, 0xffffffff},
		{2 * HALF_NS, 0},
		{UINT64_MAX, 0xb5a5bec0},
	};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rig.now_ns = rows[i].ns;
		cr_expect_eq(port_in(rig.bus, TMR, 4), rows[i].ticks, "row %zu: %#x", i,
			     port_in(rig.bus, TMR, 4));
		cr_expect_eq(port_in(rig.bus, TMR + 1, 2), rows[i].ticks >> 8 & 0xffff);
		cr_expect_eq(port_in(rig.bus, TMR + 3, 1), rows[i].ticks >> 24);
	}
	rig_close(&rig);
}

Test(acpipm, timer_flip_when_not_enabled_then_status_and_no_timer)
{
	struct rig rig;

	rig_open(&rig);
	rig.now_ns = HALF_NS - 1;
	cr_expect_eq(port_in(rig.bus, STS, 2), 0);
	rig.now_ns = HALF_NS;
	cr_expect_eq(port_in(rig.bus, STS, 2), 1, "0 to 1");
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	port_out(rig.bus, STS, 2, 1);
	cr_expect_eq(port_in(rig.bus, STS, 2), 0);
	rig.now_ns = 2 * HALF_NS;
	cr_expect_eq(port_in(rig.bus, STS, 2), 1, "1 to 0");
	port_out(rig.bus, STS, 2, 1);
	rig.now_ns = 5 * HALF_NS;
	cr_expect_eq(port_in(rig.bus, STS, 2), 1, "several at once");
	cr_expect_eq(rig.changes, 0);
	rig_close(&rig);
}

Test(acpipm, timer_flip_when_enabled_then_interrupt_at_that_nanosecond)
{
	struct rig rig;

	rig_open(&rig);
	rig.now_ns = 5000;
	port_out(rig.bus, EN, 2, 1);
	cr_assert_eq(gate_deadline(rig.gate), HALF_NS);
	rig.now_ns = HALF_NS - 1;
	gate_run(rig.gate);
	cr_assert_not(rig.is_high);
	rig.now_ns = HALF_NS;
	gate_run(rig.gate);
	cr_assert(rig.is_high);
	cr_expect_eq(port_in(rig.bus, STS, 2), 1);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER, "nothing new can happen");
	port_out(rig.bus, STS, 2, 1);
	cr_assert_not(rig.is_high);
	cr_expect_eq(gate_deadline(rig.gate), 2 * HALF_NS);
	port_out(rig.bus, EN, 2, 0);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	rig.now_ns = 2 * HALF_NS;
	port_out(rig.bus, EN, 2, 1);
	cr_assert(rig.is_high, "the flip was before");
	rig_close(&rig);
}

Test(acpipm, timer_flip_when_only_after_the_end_of_time_then_never)
{
	struct rig rig;

	rig_open(&rig);
	rig.now_ns = UINT64_MAX;
	port_out(rig.bus, STS, 2, 1);
	port_out(rig.bus, EN, 2, 1);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	rig_close(&rig);
}

Test(acpipm, button_when_pressed_then_interrupt_as_long_as_enabled)
{
	struct rig rig;

	rig_open(&rig);
	acpipm_press_button(rig.dev);
	cr_expect_eq(port_in(rig.bus, STS, 2), 0x100);
	cr_expect_not(rig.is_high);
	port_out(rig.bus, EN, 2, 0x100);
	cr_expect(rig.is_high);
	acpipm_press_button(rig.dev);
	port_out(rig.bus, EN, 2, 0x020);
	cr_expect_not(rig.is_high);
	port_out(rig.bus, EN, 2, 0x100);
	cr_expect(rig.is_high);
	port_out(rig.bus, STS, 2, 0x100);
	cr_expect_not(rig.is_high);
	cr_expect_eq(rig.changes, 4);
	rig_close(&rig);
}

Test(acpipm, alarm_when_it_rings_then_interrupt_as_long_as_enabled)
{
	struct rig rig;

	rig_open(&rig);
	acpipm_ring_alarm(rig.dev);
	cr_expect_eq(port_in(rig.bus, STS, 2), 0x400);
	cr_expect_not(rig.is_high);
	port_out(rig.bus, EN, 2, 0x400);
	cr_expect(rig.is_high);
	port_out(rig.bus, STS, 2, 0x100);
	cr_expect(rig.is_high, "another event's bit");
	port_out(rig.bus, STS, 2, 0x400);
	cr_expect_not(rig.is_high);
	cr_expect_eq(port_in(rig.bus, STS, 2), 0);
	rig_close(&rig);
}

Test(acpipm, reset_when_all_is_on_then_line_falls_and_clock_may_start_anew)
{
	struct rig rig;

	rig_open(&rig);
	rig.now_ns = 3 * HALF_NS;
	port_out(rig.bus, EN, 2, 0x101);
	acpipm_press_button(rig.dev);
	port_out(rig.bus, CNT, 2, 0x1402);
	cr_assert(rig.is_high);
	bus_reset(rig.bus);
	cr_expect_not(rig.is_high);
	rig.now_ns = 0;
	cr_expect_eq(port_in(rig.bus, STS, 4), 0);
	cr_expect_eq(port_in(rig.bus, CNT, 2), 1);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	rig.now_ns = HALF_NS;
	cr_expect_eq(port_in(rig.bus, STS, 2), 1);
	rig_close(&rig);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(acpipm, show_when_asked_then_registers)
{
	char text[256] = "";
	struct print_sink sink = {.text = collect, .ctx = text};
	struct rig rig;

	rig_open(&rig);
	rig.now_ns = 1000000000;
	port_out(rig.bus, EN, 2, 0x100);
	acpipm_press_button(rig.dev);
	cr_assert(bus_show_device(rig.bus, 0, &sink));
	cr_expect_str_eq(text, "acpi-pm: status 0100 enable 0100 control 0001 timer 00369e99 "
			       "sci high\n");
	rig_close(&rig);
}

/* State. */

static void save(const struct acpipm *pm, uint8_t bytes[15])
{
	struct blob blob = blob_over(bytes, 15);

	acpipm_ops.save(pm, &blob);
	cr_assert_eq(blob.pos, 15);
	cr_assert_not(blob.is_failed);
}

static int load(struct acpipm *pm, uint8_t *bytes, size_t len)
{
	struct blob blob = blob_over(bytes, len);

	return acpipm_ops.load(pm, &blob, NULL);
}

/* A device of the test's own on the rig's gate and lines, so that its state is at hand. */
static void nothing(void *ctx)
{
	(void)ctx;
}

static void pm_open(struct acpipm *pm, struct rig *rig)
{
	rig_open(rig);
	*pm = (struct acpipm){.config = {.base = BASE,
					 .sci = {.set = set_sci, .ctx = rig, .gsi = 9},
					 .gate = rig->gate,
					 .hook = {.post = post, .ctx = rig}},
			      .armed_ns = GATE_NEVER};
	cr_assert_eq(gate_timer_add(&pm->timer, rig->gate, nothing, NULL, NULL), 0);
}

Test(acpipm, load_when_saved_then_same_with_line_and_timer)
{
	struct rig ra, rb;
	struct acpipm a, b;
	uint8_t bytes[15];

	pm_open(&a, &ra);
	pm_open(&b, &rb);
	ra.now_ns = 2 * HALF_NS;
	rb.now_ns = 2 * HALF_NS;
	acpipm_power_up(&a);
	acpipm_ops.write(&a, ACPIPM_ENABLE, 2, 0x101);
	acpipm_ops.write(&a, ACPIPM_CONTROL, 2, 0x1402);
	a.status = 0x100;
	save(&a, bytes);
	cr_assert_eq(load(&b, bytes, sizeof(bytes)), 0);
	cr_expect(rb.is_high);
	cr_expect_eq(gate_deadline(rb.gate), gate_deadline(ra.gate));
	cr_expect_eq(acpipm_ops.read(&b, ACPIPM_STATUS, 4), 0x01010100);
	cr_expect_eq(acpipm_ops.read(&b, ACPIPM_CONTROL, 2), 0x1403);
	rig_close(&ra);
	rig_close(&rb);
}

Test(acpipm, load_when_damaged_then_refused_and_unchanged)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} damage[] = {{0, 2},	 {1, 0x20}, {2, 0x02}, {3, 0x02},
		      {4, 0x06}, {5, 0x01}, {6, 0x20}, {14, 1}};
	uint8_t good[15], bytes[15];
	struct acpipm pm;
	struct rig rig;

	pm_open(&pm, &rig);
	acpipm_power_up(&pm);
	acpipm_ops.write(&pm, ACPIPM_ENABLE, 2, 0x100);
	save(&pm, good);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(damage); i++) {
		memcpy(bytes, good, sizeof(bytes));
		bytes[damage[i].at] = damage[i].value;
		cr_expect_eq(load(&pm, bytes, sizeof(bytes)), -EINVAL, "row %zu", i);
	}
	for (size_t len = 0; len < sizeof(good); len++)
		cr_expect_eq(load(&pm, good, len), -EINVAL, "%zu bytes", len);
	save(&pm, bytes);
	cr_expect_arr_eq(bytes, good, sizeof(good));
	rig_close(&rig);
}

Test(acpipm, create_when_a_port_is_taken_then_error)
{
	struct acpipm_config config;
	struct umbra_err err = {.text = ""};
	struct device *dev;
	struct rig rig;

	rig_open(&rig);
	config = (struct acpipm_config){.base = BASE, .gate = rig.gate};
	cr_expect_eq(acpipm_create(rig.bus, &config, &dev, &err), -EEXIST);
	cr_expect_not_null(strstr(err.text, "acpi-pm"), "%s", err.text);
	bus_destroy(rig.bus);
	gate_destroy(rig.gate);
}
