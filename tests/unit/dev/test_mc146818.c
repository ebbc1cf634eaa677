/* Unit tests of the clock chip's registers and of its time: each register against a table, the
 * calendar through the registers in every mode, setting, and what a PC's firmware leaves in RAM. */
#include "rtc_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* Registers. */

/* What a location keeps of a write, and what it gives after power-up at the rig's time. */
static const struct {
	uint8_t index;
	uint8_t written, kept;
	uint8_t at_reset;
} registers[] = {
	{RTC_SECONDS, 0x59, 0x59, 0x58}, {RTC_SECONDS_ALARM, 0xff, 0xff, 0},
	{RTC_MINUTES, 0x07, 0x07, 0x59}, {RTC_MINUTES_ALARM, 0xc0, 0xc0, 0},
	{RTC_HOURS, 0x07, 0x07, 0x23},	 {RTC_HOURS_ALARM, 0x81, 0x81, 0},
	{RTC_WEEKDAY, 0x03, 0x03, 0x07}, {RTC_DAY, 0x03, 0x03, 0x28},
	{RTC_MONTH, 0x03, 0x03, 0x02},	 {RTC_YEAR, 0x03, 0x03, 0x26},
	{RTC_A, 0xff, 0x7f, 0x26},				    /* UIP is read-only */
	{RTC_B, 0x7f, 0x7f, 0x02},	 {RTC_B, 0xff, 0xef, 0x02}, /* SET clears UIE */
	{RTC_C, 0xff, 0x00, 0x00},	 {RTC_D, 0x00, 0x80, 0x80},
	{0x0e, 0xa5, 0xa5, 0},		 {0x0f, 0x0a, 0x0a, 0},
	{RTC_CENTURY, 0x19, 0x19, 0x20}, {0x7f, 0x5a, 0x5a, 0},
};

Test(rtc, each_register_when_read_and_written_then_as_the_table_says)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(registers); i++) {
		struct rtc_rig rig;
		uint8_t index = registers[i].index;

		rtc_rig_open(&rig);
		cr_expect_eq(rtc_in(&rig, index), registers[i].at_reset, "row %zu: %02x", i,
			     rtc_in(&rig, index));
		rtc_out(&rig, index, registers[i].written);
		cr_expect_eq(rtc_in(&rig, index), registers[i].kept, "row %zu: %02x", i,
			     rtc_in(&rig, index));
		cr_expect_eq(rtc_in(&rig, index | 0x80), registers[i].kept, "NMI mask, row %zu", i);
		bus_reset(rig.bus);
		cr_expect_eq(rtc_in(&rig, index), registers[i].at_reset, "row %zu", i);
		rtc_rig_close(&rig);
	}
}

Test(rtc, ram_when_written_then_every_byte_on_its_own)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	for (unsigned i = RTC_D + 1; i < RTC_REGS; i++)
		rtc_out(&rig, i, (uint8_t)(i ^ 0x5a));
	rtc_out(&rig, RTC_B, RTC_B_SET | RTC_B_24H);
	rtc_run_to(&rig, 100 * RTC_S);
	for (unsigned i = RTC_D + 1; i < RTC_REGS; i++)
		cr_expect_eq(rtc_in(&rig, i), (uint8_t)(i ^ 0x5a), "location %02x", i);
	rtc_rig_close(&rig);
}

Test(rtc, index_port_when_read_then_all_ones)
{
	struct rtc_rig rig;
	uint8_t bytes[2] = {0x0d, 0};

	rtc_rig_open(&rig);
	bus_pio(rig.bus, 0x70, true, 1, 1, bytes);
	bus_pio(rig.bus, 0x70, false, 2, 1, bytes);
	cr_expect_eq(le16_get(bytes), 0x80ff);
	rtc_rig_close(&rig);
}

/* Time. */

Test(rtc, time_when_it_passes_then_registers_follow_and_nothing_is_armed)
{
	static const struct {
		uint64_t at_s;
		const char *text;
	} rows[] = {
		{0, "2026-02-28 7 23:59:58"},
		{1, "2026-02-28 7 23:59:59"},
		{2, "2026-03-01 1 00:00:00"},
		{86402, "2026-03-02 2 00:00:00"},
		{86402 + 730 * 86400, "2028-03-01 4 00:00:00"},
	};
	struct rtc_rig rig;
	char text[32];

	rtc_rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rtc_run_to(&rig, rows[i].at_s * RTC_S);
		cr_expect_str_eq(rtc_text(&rig, text), rows[i].text, "%s", text);
		if (rows[i].at_s == 0)
			continue;
		rig.now_ns--;
		cr_expect_str_eq(rtc_text(&rig, text), rows[i].text, "no way back: %s", text);
	}
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	cr_expect_eq(rig.rises, 0);
	rtc_rig_close(&rig);
}

/* The update is at the second, not a nanosecond before it. */
Test(rtc, update_when_a_nanosecond_before_then_not_yet_and_uip_tells_of_it)
{
	static const struct {
		uint64_t before_ns;
		bool is_soon;
		uint8_t seconds;
	} rows[] = {
		{245 * 1000, false, 0x58}, {244141, false, 0x58}, {244140, true, 0x58},
		{1, true, 0x58},	   {0, false, 0x59},
	};
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rtc_run_to(&rig, RTC_S - rows[i].before_ns);
		cr_expect_eq(rtc_in(&rig, RTC_A), rows[i].is_soon ? 0xa6 : 0x26, "row %zu: %02x", i,
			     rtc_in(&rig, RTC_A));
		cr_expect_eq(rtc_in(&rig, RTC_SECONDS), rows[i].seconds, "row %zu", i);
		cr_expect_eq(rtc_in(&rig, RTC_C) & RTC_C_UF, rows[i].before_ns ? 0 : RTC_C_UF);
	}
	rtc_rig_close(&rig);
}

/* Half an hour before and after each turn of the hour of a day, in all four modes. */
Test(rtc, hours_when_binary_or_bcd_and_12_or_24_then_as_the_data_sheet_writes_them)
{
	static const struct {
		uint8_t mode;
		uint8_t hour[24];
	} rows[] = {
		{RTC_B_24H,
		 {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
		  0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x20, 0x21, 0x22, 0x23}},
		{RTC_B_24H | RTC_B_DM, {0,  1,	2,  3,	4,  5,	6,  7,	8,  9,	10, 11,
					12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
		{0, {0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
		     0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91}},
		{RTC_B_DM,
		 {12,	1,    2,    3,	  4,	5,    6,    7,	  8,	9,    10,   11,
		  0x8c, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b}},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		uint8_t thirty = rows[i].mode & RTC_B_DM ? 30 : 0x30;
		struct rtc_rig rig;

		rtc_rig_open(&rig);
		rtc_out(&rig, RTC_B, RTC_B_SET | rows[i].mode);
		rtc_out(&rig, RTC_SECONDS, 0);
		rtc_out(&rig, RTC_MINUTES, thirty);
		rtc_out(&rig, RTC_HOURS, rows[i].hour[0]);
		rtc_out(&rig, RTC_DAY, 1);
		rtc_out(&rig, RTC_WEEKDAY, 7);
		rtc_out(&rig, RTC_B, rows[i].mode);
		for (uint64_t hour = 1; hour <= 24; hour++) {
			rtc_run_to(&rig, hour * 3600 * RTC_S);
			cr_expect_eq(rtc_in(&rig, RTC_HOURS), rows[i].hour[hour % 24],
				     "mode %02x, %u o'clock: %02x", rows[i].mode, (unsigned)hour,
				     rtc_in(&rig, RTC_HOURS));
			cr_expect_eq(rtc_in(&rig, RTC_MINUTES), thirty);
		}
		cr_expect_eq(rtc_in(&rig, RTC_DAY), 2);
		cr_expect_eq(rtc_in(&rig, RTC_WEEKDAY), 1, "from Saturday to Sunday");
		rtc_rig_close(&rig);
	}
}

static void set_date(struct rtc_rig *rig, unsigned date, uint8_t century)
{
	rtc_out(rig, RTC_B, RTC_B_SET | RTC_B_24H);
	rtc_out(rig, RTC_CENTURY, century);
	rtc_out(rig, RTC_YEAR, (uint8_t)(date >> 16));
	rtc_out(rig, RTC_MONTH, (uint8_t)(date >> 8));
	rtc_out(rig, RTC_DAY, (uint8_t)date);
	rtc_out(rig, RTC_HOURS, 0x23);
	rtc_out(rig, RTC_MINUTES, 0x59);
	rtc_out(rig, RTC_SECONDS, 0x59);
	rtc_out(rig, RTC_WEEKDAY, 0x05);
	rtc_out(rig, RTC_B, RTC_B_24H);
}

Test(rtc, midnight_when_month_or_year_ends_then_the_next_begins)
{
	static const struct {
		uint8_t century;
		unsigned date;
		const char *text;
	} rows[] = {
		{0x20, 0x260430, "2026-05-01 6 00:00:00"},
		{0x20, 0x260131, "2026-02-01 6 00:00:00"},
		{0x20, 0x240228, "2024-02-29 6 00:00:00"},
		{0x20, 0x240229, "2024-03-01 6 00:00:00"},
		{0x20, 0x000228, "2000-02-29 6 00:00:00"},
		{0x19, 0x000228, "1900-03-01 6 00:00:00"},
		{0x19, 0x991231, "2000-01-01 6 00:00:00"},
		{0x20, 0x991231, "2100-01-01 6 00:00:00"},
		{0x99, 0x991231, "0000-01-01 6 00:00:00"},
		/* No such day: the lowest values stand in for what is none. */
		{0x20, 0x260231, "2026-02-02 6 00:00:00"},
		{0xff, 0xff0000, "0000-01-02 6 00:00:00"},
		{0xaa, 0x001301, "0000-01-02 6 00:00:00"},
	};
	struct rtc_rig rig;
	char text[32];

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rtc_rig_open(&rig);
		set_date(&rig, rows[i].date, rows[i].century);
		rtc_run_to(&rig, RTC_S);
		cr_expect_str_eq(rtc_text(&rig, text), rows[i].text, "row %zu: %s", i, text);
		rtc_rig_close(&rig);
	}
}

/* Setting. */

Test(rtc, set_when_on_then_time_stands_and_when_off_then_goes_on_at_the_next_second)
{
	struct rtc_rig rig;
	char text[32];

	rtc_rig_open(&rig);
	rtc_run_to(&rig, 300 * RTC_MS);
	rtc_out(&rig, RTC_B, RTC_B_SET | RTC_B_24H);
	rtc_out(&rig, RTC_SECONDS, 0x10);
	rtc_run_to(&rig, RTC_S - 1);
	cr_expect_eq(rtc_in(&rig, RTC_A) & RTC_A_UIP, 0, "no update comes");
	rtc_run_to(&rig, 10 * RTC_S + 700 * RTC_MS);
	cr_expect_str_eq(rtc_text(&rig, text), "2026-02-28 7 23:59:10", "%s", text);
	cr_expect_eq(rtc_in(&rig, RTC_C) & (RTC_C_UF | RTC_C_AF), 0);
	rtc_out(&rig, RTC_B, RTC_B_24H);
	rtc_run_to(&rig, 11 * RTC_S - 1);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x10);
	rtc_run_to(&rig, 11 * RTC_S);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x11);
	rtc_rig_close(&rig);
}

Test(rtc, write_when_running_then_counts_on_from_it)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_run_to(&rig, 300 * RTC_MS);
	rtc_out(&rig, RTC_SECONDS, 0x30);
	rtc_run_to(&rig, 5 * RTC_S);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x35);
	rtc_rig_close(&rig);
}

Test(rtc, divider_when_held_then_time_stands_and_when_released_then_first_update_in_half_a_second)
{
	struct rtc_rig rig;

	rtc_rig_open(&rig);
	rtc_run_to(&rig, 100 * RTC_MS);
	rtc_out(&rig, RTC_A, 0x66);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_PIE | RTC_B_UIE | RTC_B_AIE);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	rtc_run_to(&rig, 20 * RTC_S + 123456789);
	cr_expect_eq(rtc_in(&rig, RTC_C), 0);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x58);
	rtc_out(&rig, RTC_A, 0x20);
	cr_expect_eq(gate_deadline(rig.gate), 20 * RTC_S + 623456789);
	rig.now_ns = 20 * RTC_S + 623456788;
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x58);
	cr_expect_eq(rtc_in(&rig, RTC_A), 0xa0);
	rtc_run_to(&rig, 20 * RTC_S + 623456789);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x59);
	rtc_run_to(&rig, 22 * RTC_S + 623456788);
	cr_expect_eq(rtc_in(&rig, RTC_SECONDS), 0x00);
	rtc_rig_close(&rig);
}

/* Guest time begins anew with a reset of the software CPU. */
Test(rtc, reset_when_guest_time_begins_anew_then_the_first_time_again)
{
	struct rtc_rig rig;
	char text[32];

	rtc_rig_open(&rig);
	rtc_out(&rig, RTC_B, RTC_B_24H | RTC_B_UIE | RTC_B_PIE);
	rtc_out(&rig, RTC_YEAR, 0x77);
	rtc_out(&rig, 0x0f, 0x55);
	rtc_run_to(&rig, 7 * RTC_S);
	cr_expect(rig.is_high);
	bus_reset(rig.bus);
	rig.now_ns = 0;
	cr_expect_not(rig.is_high);
	cr_expect_eq(gate_deadline(rig.gate), GATE_NEVER);
	cr_expect_str_eq(rtc_text(&rig, text), "2026-02-28 7 23:59:58", "%s", text);
	cr_expect_eq(rtc_in(&rig, 0x0f), 0);
	rtc_rig_close(&rig);
}

/* The bytes of a PC. */

Test(rtc, cmos_when_made_for_some_memory_then_what_kernels_read)
{
	static const struct {
		struct mc146818_pc pc;
		unsigned base, extended, above_16m, above_4g;
		uint8_t cpus;
	} rows[] = {
		{{1ull << 20, 0, 1}, 640, 0, 0, 0, 0},
		{{2ull << 20, 0, 2}, 640, 1024, 0, 0, 1},
		{{16ull << 20, 0, 1}, 640, 15360, 0, 0, 0},
		{{128ull << 20, 0, 4}, 640, 65535, 1792, 0, 3},
		{{3ull << 30, 61ull << 30, 64}, 640, 65535, 48896, 0xf4000, 63},
		{{3ull << 30, 1ull << 42, 64}, 640, 65535, 48896, 0xffffff, 63},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		uint8_t reg[RTC_REGS] = {0};
		unsigned sum = 0;

		rtc_cmos_fill(reg, &rows[i].pc);
		cr_expect_eq(le16_get(reg + 0x15), rows[i].base, "row %zu", i);
		cr_expect_eq(le16_get(reg + 0x17), rows[i].extended, "row %zu", i);
		cr_expect_eq(le16_get(reg + 0x30), rows[i].extended, "row %zu", i);
		cr_expect_eq(le16_get(reg + 0x34), rows[i].above_16m, "row %zu", i);
		cr_expect_eq(le32_get(reg + 0x5b) & 0xffffff, rows[i].above_4g, "row %zu", i);
		cr_expect_eq(reg[0x5f], rows[i].cpus, "row %zu", i);
		cr_expect_eq(reg[0x14], 0x02);
		cr_expect_eq(reg[0x10] | reg[0x12] | reg[0x0f], 0);
		cr_expect_eq(reg[0x3d], 0x32);
		cr_expect_eq(reg[0x38], 0x10);
		for (unsigned n = 0x10; n <= 0x2d; n++)
			sum += reg[n];
		cr_expect_eq((unsigned)reg[0x2e] << 8 | reg[0x2f], sum, "row %zu", i);
	}
}
