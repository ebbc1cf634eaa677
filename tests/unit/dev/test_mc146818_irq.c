/* Unit tests of the clock chip's interrupts, and of saving and loading it. */
#include "rtc_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* Periodic. */

/* MC146818A table 5, in 32768ths of a second. */
static const unsigned periods[16] = {0,	  128, 256, 4,	  8,	16,   32,   64,
				     128, 256, 512, 1024, 2048, 4096, 8192, 16384};

Test(rtc_irq, periodic_when_each_rate_then_its_number_in_ten_seconds_and_no_drift)
{
	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned period = periods[rate];
		struct rtc_rig rig;
		uint64_t first, phase;

		rtc_rig_open(&rig);
		rtc_out(&rig, RTC_A, (uint8_t)(0x20 | rate));
		rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_PIE);
		first = gate_deadline(rig.gate);
		if (!period) {
			cr_expect_eq(first, GATE_NEVER);
			rtc_rig_close(&rig);
			continue;
		}
		phase = (32768 - 8 - period / 2) % period;
		phase = phase ? phase : period;
		for (uint64_t n = 0; n < 327680 / period; n++) {
			uint64_t tick = phase + n * period;

			cr_assert_eq(gate_deadline(rig.gate), (tick * RTC_S + 32767) / 32768,
				     "rate %u, event %u", rate, (unsigned)n);
			rtc_run_to(&rig, gate_deadline(rig.gate));
			cr_assert(rig.is_high);
			cr_assert_eq(gate_deadline(rig.gate), GATE_NEVER, "none while it is high");
			cr_assert_eq(rtc_in(&rig, RTC_C) & 0xc0, RTC_C_IRQF | RTC_C_PF);
			cr_assert_not(rig.is_high);
		}
		cr_expect_eq(rig.rises, 327680 / period);
		cr_expect_eq(gate_deadline(rig.gate), first + 10 * RTC_S, "rate %u", rate);
		rtc_rig_close(&rig);
	}
}

/* Software that reads time at a periodic interrupt has half a period and 244 us. */
Test(rtc_irq, periodic_when_it_comes_then_the_update_is_half_a_period_and_uip_away)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_out(&rig, RTC_A, 0x2f);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_PIE);
	rtc_run_to(&rig, gate_deadline(rig.gate));
	rtc_in(&rig, RTC_C);
	rtc_run_to(&rig, gate_deadline(rig.gate));
	cr_expect_eq(rig.now_ns, RTC_S - 250 * RTC_MS - 244140);
	rtc_rig_close(&rig);
}

/* Flags and enables: which of the three is asked for, when its interrupt comes, what C says. */
Test(rtc_irq, each_source_when_enabled_then_flag_with_irqf_else_flag_alone)
{
	static const struct {
		uint8_t enable;
		uint64_t at_ns;
		uint8_t c; /* two seconds and a bit later */
	} rows[] = {
		{0, GATE_NEVER, 0x70},
		{RTC_B_UIE, RTC_S, 0xf0},
		{RTC_B_AIE, 2 * RTC_S, 0xf0},
		{RTC_B_PIE, 244141, 0xf0}, /* tick 8 of the rate of 1024 Hz */
		{RTC_B_UIE | RTC_B_AIE, RTC_S, 0xf0},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct rtc_rig rig;

		rtc_rig_open(&rig);
		rtc_out(&rig, RTC_SECONDS_ALARM, 0);
		rtc_out(&rig, RTC_MINUTES_ALARM, 0);
		rtc_out(&rig, RTC_HOURS_ALARM, 0xc0);
		rtc_out(&rig, RTC_B, RTC_B_24H | rows[i].enable);
		cr_expect_eq(gate_deadline(rig.gate), rows[i].at_ns, "row %zu: %llu", i,
			     (unsigned long long)gate_deadline(rig.gate));
		rtc_run_to(&rig, 2 * RTC_S + 5);
		cr_expect_eq(rig.is_high, rows[i].enable != 0);
		cr_expect_eq(rig.rises, rows[i].enable != 0);
		cr_expect_eq(rtc_in(&rig, RTC_C), rows[i].c, "row %zu", i);
		cr_expect_eq(rtc_in(&rig, RTC_C), 0);
		cr_expect_not(rig.is_high);
		rtc_rig_close(&rig);
	}
}

/* Who wants to know of the alarm hears of it each time it begins to ask for the interrupt, and of
 * no other source. */
Test(rtc_irq, alarm_when_it_asserts_the_interrupt_then_told_once)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_out(&rig, RTC_SECONDS_ALARM, 0xc0);
	rtc_out(&rig, RTC_MINUTES_ALARM, 0xc0);
	rtc_out(&rig, RTC_HOURS_ALARM, 0xc0);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_UIE | RTC_B_PIE);
	rtc_run_to(&rig, 3 * RTC_S);
	cr_expect_eq(rig.alarms, 0, "the alarm is not enabled");
	rtc_in(&rig, RTC_C);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_AIE | RTC_B_UIE);
	rtc_run_to(&rig, 6 * RTC_S);
	cr_expect_eq(rig.alarms, 1, "its flag was not read");
	rtc_in(&rig, RTC_C);
	rtc_out(&rig, RTC_SECONDS_ALARM, 0x06); /* 23:59:58 and eight */
	rtc_run_to(&rig, 8 * RTC_S - 1);
	cr_expect(rig.is_high, "by the updates");
	cr_expect_eq(rig.alarms, 1);
	rtc_run_to(&rig, 8 * RTC_S);
	cr_expect_eq(rig.alarms, 2, "while the interrupt is high already");
	rtc_out(&rig, RTC_SECONDS_ALARM, 0xc0);
	rtc_in(&rig, RTC_C);
	rig.now_ns = 10 * RTC_S; /* nobody looks in between */
	cr_expect_eq(rtc_in(&rig, RTC_C) & RTC_C_AF, RTC_C_AF);
	cr_expect_eq(rig.alarms, 3, "before the read took the flag");
	rtc_out(&rig, RTC_B, RTC_B_24H);
	rtc_run_to(&rig, 11 * RTC_S);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_AIE);
	cr_expect_eq(rig.alarms, 4, "enabled when its flag was set already");
	bus_reset(rig.bus);
	cr_expect_eq(rig.alarms, 4);
	rtc_rig_close(&rig);
}

Test(rtc_irq, enable_when_the_flag_is_set_already_then_at_once_and_falls_with_it)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_in(&rig, RTC_C);
	rtc_run_to(&rig, RTC_S);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_UIE);
	cr_expect(rig.is_high);
	rtc_out(&rig, RTC_B, RTC_B_24H);
	cr_expect_not(rig.is_high);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_UIE);
	rtc_out(&rig, RTC_B, RTC_B_SET | RTC_B_24H | RTC_B_UIE);
	cr_expect_not(rig.is_high, "SET clears UIE");
	rtc_rig_close(&rig);
}

/* Alarm. */

/* From 23:59:58 on: after how many seconds, and how many times in the day from then. */
static const struct {
	uint8_t b, hour, minute, second;
	uint64_t after; /* 0: never */
	unsigned in_a_day;
} alarms[] = {
	{RTC_B_24H, 0x23, 0x59, 0x59, 1, 1},
	{RTC_B_24H, 0x23, 0x59, 0x58, 86400, 1},
	{RTC_B_24H, 0x00, 0x00, 0x00, 2, 1},
	{RTC_B_24H, 0x13, 0x45, 0x07, 49509, 1},
	{RTC_B_24H, 0xc0, 0x00, 0x00, 2, 24},
	{RTC_B_24H, 0xff, 0xff, 0x30, 32, 1440},
	{RTC_B_24H, 0xc0, 0xc0, 0xff, 1, 86400},
	{RTC_B_24H, 0x05, 0xc0, 0x00, 18002, 60},
	{RTC_B_24H, 0x05, 0xc0, 0xc0, 18002, 3600},
	{RTC_B_24H, 0xc0, 0x07, 0xc0, 422, 1440},
	{RTC_B_24H, 0x24, 0xc0, 0xc0, 0, 0},
	{RTC_B_24H, 0xc0, 0x60, 0xc0, 0, 0},
	{RTC_B_24H, 0xc0, 0xc0, 0x5a, 0, 0},
	{RTC_B_24H, 0xbf, 0xc0, 0xc0, 0, 0},
	{0, 0x12, 0x00, 0x00, 2, 1},	 /* midnight */
	{0, 0x92, 0x00, 0x00, 43202, 1}, /* noon */
	{0, 0x81, 0x30, 0x00, 48602, 1}, /* half past one */
	{0, 0x00, 0x00, 0x00, 0, 0},
	{RTC_B_24H | RTC_B_DM, 13, 45, 7, 49509, 1},
	{RTC_B_24H | RTC_B_DM, 23, 59, 60, 0, 0},
	{RTC_B_DM, 0x8c, 0, 0, 43202, 1},
};

static void set_alarm(struct rtc_rig *rig, size_t i)
{
	bool is_binary = alarms[i].b & RTC_B_DM;

	rtc_out(rig, RTC_B, RTC_B_SET | alarms[i].b);
	rtc_out(rig, RTC_SECONDS, is_binary ? 58 : 0x58);
	rtc_out(rig, RTC_MINUTES, is_binary ? 59 : 0x59);
	if (alarms[i].b & RTC_B_24H)
		rtc_out(rig, RTC_HOURS, is_binary ? 23 : 0x23);
	else
		rtc_out(rig, RTC_HOURS, is_binary ? 0x8b : 0x91);
	rtc_out(rig, RTC_HOURS_ALARM, alarms[i].hour);
	rtc_out(rig, RTC_MINUTES_ALARM, alarms[i].minute);
	rtc_out(rig, RTC_SECONDS_ALARM, alarms[i].second);
	rtc_out(rig, RTC_B, alarms[i].b | RTC_B_AIE);
}

Test(rtc_irq, alarm_when_each_kind_then_at_its_time_and_as_often_as_it_says)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(alarms); i++) {
		struct rtc_rig rig;
		unsigned count = 0;

		rtc_rig_open(&rig);
		set_alarm(&rig, i);
		cr_expect_eq(gate_deadline(rig.gate),
			     alarms[i].after ? alarms[i].after * RTC_S : GATE_NEVER,
			     "row %zu: %llu", i, (unsigned long long)gate_deadline(rig.gate));
		while (gate_deadline(rig.gate) < (alarms[i].after + 86400) * RTC_S) {
			rtc_run_to(&rig, gate_deadline(rig.gate));
			cr_assert_eq(rtc_in(&rig, RTC_C) & 0xa0, 0xa0);
			count++;
		}
		cr_expect_eq(count, alarms[i].in_a_day, "row %zu: %u", i, count);
		rtc_rig_close(&rig);
	}
}

Test(rtc_irq, alarm_flag_when_nobody_looked_for_days_then_set)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_out(&rig, RTC_HOURS_ALARM, 0x12);
	rtc_run_to(&rig, 3600 * RTC_S);
	cr_expect_eq(rtc_in(&rig, RTC_C) & RTC_C_AF, 0);
	rtc_run_to(&rig, 500000 * RTC_S);
	cr_expect_eq(rtc_in(&rig, RTC_C) & RTC_C_AF, RTC_C_AF);
	rtc_rig_close(&rig);
}

/* Save and load. */

#define BLOB_BYTES 256

static unsigned roll(unsigned *state, unsigned sides)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % sides;
}

/* Any register; but the time registers mostly with values that times have. */
static unsigned random_act(struct rtc_rig *rig, unsigned *dice)
{
	unsigned index = roll(dice, 4) ? roll(dice, 14) : roll(dice, RTC_REGS);
	uint64_t step = roll(dice, 3) ? roll(dice, 300) * 1000ull : roll(dice, 32768) * 100000ull;

	rtc_run_to(rig, rig->now_ns + step);
	if (roll(dice, 2))
		return rtc_in(rig, index);
	rtc_out(rig, index, (uint8_t)(roll(dice, 4) ? roll(dice, 24) : roll(dice, 256)));
	return rig->is_high;
}

static void copy_state(void *state, void *arg)
{
	mc146818_ops.save(state, arg);
}

struct loading {
	struct blob *blob;
	int error;
};

static void load_state(void *state, void *arg)
{
	struct loading *loading = arg;

	loading->error = mc146818_ops.load(state, loading->blob, NULL);
}

/* Bus_with_device wants the device, which the bus keeps to itself: the chips know theirs. */
static struct device *device_of(struct rtc_rig *rig)
{
	struct bus_region_info info;

	cr_assert(bus_region_at(rig->bus, BUS_PIO, 0, &info));
	return (struct device *)(uintptr_t)info.dev;
}

Test(rtc_irq, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	struct rtc_rig a, b;
	unsigned dice = 5, copy;

	rtc_rig_open(&a);
	rtc_rig_open(&b);
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t bytes[BLOB_BYTES];

		if (i % 5 == 0) {
			struct blob blob = blob_over(bytes, sizeof(bytes));
			struct loading loading = {.blob = &blob};

			bus_with_device(device_of(&a), copy_state, &blob);
			cr_assert_not(blob.is_failed);
			blob = blob_over(bytes, blob.pos);
			b.now_ns = a.now_ns;
			bus_with_device(device_of(&b), load_state, &loading);
			cr_assert_eq(loading.error, 0, "step %u", i);
		}
		copy = dice;
		cr_assert_eq(random_act(&a, &dice), random_act(&b, &copy), "step %u", i);
		cr_assert_eq(a.is_high, b.is_high, "step %u", i);
		cr_assert_eq(gate_deadline(a.gate), gate_deadline(b.gate), "step %u", i);
	}
	cr_assert_gt(a.rises, 100);
	rtc_rig_close(&a);
	rtc_rig_close(&b);
}

Test(rtc_irq, load_when_the_alarm_had_rung_then_not_told_again)
{
	uint8_t bytes[BLOB_BYTES];
	struct blob blob = blob_over(bytes, sizeof(bytes));
	struct loading loading = {.blob = &blob};
	struct rtc_rig a, b;

	rtc_rig_open(&a);
	rtc_rig_open(&b);
	rtc_out(&a, RTC_SECONDS_ALARM, 0xc0);
	rtc_out(&a, RTC_MINUTES_ALARM, 0xc0);
	rtc_out(&a, RTC_HOURS_ALARM, 0xc0);
	rtc_out(&a, RTC_B, RTC_B_24H | RTC_B_AIE);
	rtc_run_to(&a, RTC_S);
	cr_assert_eq(a.alarms, 1);
	bus_with_device(device_of(&a), copy_state, &blob);
	blob = blob_over(bytes, blob.pos);
	b.now_ns = a.now_ns;
	bus_with_device(device_of(&b), load_state, &loading);
	cr_assert_eq(loading.error, 0);
	cr_expect(b.is_high);
	cr_expect_eq(b.alarms, 0);
	rtc_in(&b, RTC_C);
	rtc_run_to(&b, 2 * RTC_S);
	cr_expect_eq(b.alarms, 1);
	rtc_rig_close(&a);
	rtc_rig_close(&b);
}

Test(rtc_irq, load_when_bytes_are_random_then_refused_or_harmless, .timeout = 60)
{
	struct rtc_rig rig;
	unsigned dice = 77, loaded = 0;

	rtc_rig_open(&rig);
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[BLOB_BYTES];
		struct blob blob = blob_over(bytes, sizeof(bytes));
		struct loading loading = {.blob = &blob};

		random_act(&rig, &dice);
		bus_with_device(device_of(&rig), copy_state, &blob);
		for (unsigned n = 0; n < 2; n++)
			bytes[roll(&dice, (unsigned)blob.pos)] ^= (uint8_t)(1u << roll(&dice, 8));
		blob = blob_over(bytes, blob.pos - (i % 4 == 0));
		bus_with_device(device_of(&rig), load_state, &loading);
		cr_assert(loading.error == 0 || loading.error == -EINVAL);
		cr_assert(loading.error || i % 4, "a state that is cut off was taken");
		loaded += loading.error == 0;
	}
	cr_assert_gt(loaded, 1000);
	cr_assert_lt(loaded, 15000);
	rtc_rig_close(&rig);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(rtc_irq, show_when_asked_then_the_present_and_no_flag_is_lost)
{
	struct rtc_rig rig;
	char text[512] = "";
	struct print_sink sink = {.text = collect, .ctx = text};

	rtc_rig_open(&rig);
	rtc_in(&rig, RTC_C);
	rtc_run_to(&rig, 2 * RTC_S);
	cr_assert(bus_show_device(rig.bus, 0, &sink));
	cr_expect_not_null(
		strstr(text, "date 2026-03-01, day 1 of the week, time 00:00:00 (BCD, 24"), "%s",
		text);
	cr_expect_not_null(strstr(text, "c 70"), "%s", text);
	cr_expect_eq(rtc_in(&rig, RTC_C), 0x70);
	rtc_rig_close(&rig);
}
