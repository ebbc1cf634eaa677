/* The clock's rows (known.h).  Sections are those of the MC146818A data sheet. */
#include "known.h"

#include <stddef.h>

#define INDEX_MASK     0x7fu
#define RAM	       0x0eu
#define CENTURY_PS2    0x37u
#define INSTRUCTION_NS 1024u /* 2 to the pace's shift */
#define DIVIDER_RESET  0x60u

static const struct rtc_chip *chip_of(const struct ours *o)
{
	return &o->rtc->chip;
}

static unsigned location(const struct ours *o)
{
	return chip_of(o)->index & INDEX_MASK;
}

static bool is_write(const struct op *op)
{
	return op->kind == OP_OUT && op->port == RTC_DATA;
}

static bool is_read(const struct op *op)
{
	return op->kind == OP_IN && op->port == RTC_DATA;
}

static bool is_write_to(const struct ours *o, const struct op *op, unsigned index)
{
	return is_write(op) && location(o) == index;
}

static bool is_divider_on(unsigned a)
{
	return (a & RTC_A_DIVIDER) <= RTC_A_DIVIDER_LAST;
}

static bool is_updating(const struct rtc_chip *chip)
{
	return is_divider_on(chip->reg[RTC_A]) && !(chip->reg[RTC_B] & RTC_B_SET);
}

static bool is_time(unsigned index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static bool is_alarm(unsigned index)
{
	return index == RTC_SECONDS_ALARM || index == RTC_MINUTES_ALARM || index == RTC_HOURS_ALARM;
}

/* Values. */

/* -1: none in the format of register B's value @b. */
static int decoded(unsigned value, unsigned b)
{
	if (b & RTC_B_DM)
		return (int)value;
	return (value & 15) > 9 || value > 0x99 ? -1 : (int)((value >> 4) * 10 + (value & 15));
}

static bool is_within(unsigned value, unsigned b, int lowest, int highest)
{
	int v = decoded(value, b);

	return v >= lowest && v <= highest;
}

static bool is_hour(unsigned value, unsigned b)
{
	if (b & RTC_B_24H)
		return is_within(value, b, 0, 23);
	return is_within(value & ~RTC_PM, b, 1, 12);
}

static bool is_alarm_value(unsigned index, unsigned value, unsigned b)
{
	if (value >= RTC_ALARM_ANY)
		return true;
	return index == RTC_HOURS_ALARM ? is_hour(value, b) : is_within(value, b, 0, 59);
}

static unsigned month_days(int year, int month)
{
	if (month == 2)
		return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* 1 = Sunday (Sakamoto's method). */
static int weekday(int year, int month, int day)
{
	static const int offset[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
	int y = month < 3 ? year - 1 : year;

	return (y + y / 4 - y / 100 + y / 400 + offset[month - 1] + day) % 7 + 1;
}

static bool is_date(const uint8_t *reg, unsigned b)
{
	int year = decoded(reg[RTC_CENTURY], b) * 100 + decoded(reg[RTC_YEAR], b);
	int month = decoded(reg[RTC_MONTH], b);
	int day = decoded(reg[RTC_DAY], b);

	return is_within(reg[RTC_YEAR], b, 0, 99) && is_within(reg[RTC_CENTURY], b, 19, 20) &&
	       year > 1970 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= (int)month_days(year, month) &&
	       decoded(reg[RTC_WEEKDAY], b) == weekday(year, month, day);
}

static bool is_time_of_day(const uint8_t *reg, unsigned b)
{
	return is_within(reg[RTC_SECONDS], b, 0, 59) && is_within(reg[RTC_MINUTES], b, 0, 59) &&
	       is_hour(reg[RTC_HOURS], b) &&
	       is_alarm_value(RTC_SECONDS_ALARM, reg[RTC_SECONDS_ALARM], b) &&
	       is_alarm_value(RTC_MINUTES_ALARM, reg[RTC_MINUTES_ALARM], b) &&
	       is_alarm_value(RTC_HOURS_ALARM, reg[RTC_HOURS_ALARM], b);
}

/* Rows. */

static bool avoid_ps2_century(const struct ours *o, const struct op *op)
{
	return (is_read(op) || is_write(op)) && location(o) == CENTURY_PS2;
}

static uint16_t hide_ram(const struct ours *o, const struct op *op)
{
	unsigned index = location(o);

	return is_read(op) && index >= RAM && index != RTC_CENTURY && !o->rtc_written[index] ? 0xff
											     : 0;
}

static bool avoid_running_write(const struct ours *o, const struct op *op)
{
	return is_write(op) && is_time(location(o)) && is_updating(chip_of(o));
}

static bool avoid_release_in_set(const struct ours *o, const struct op *op)
{
	const struct rtc_chip *chip = chip_of(o);

	return is_write_to(o, op, RTC_A) && (chip->reg[RTC_B] & RTC_B_SET) &&
	       is_divider_on(op->value) != is_divider_on(chip->reg[RTC_A]);
}

/* Does @op let the clock go on with what is in the registers? */
static bool avoid_no_time(const struct ours *o, const struct op *op)
{
	const struct rtc_chip *chip = chip_of(o);
	unsigned b = is_write_to(o, op, RTC_B) ? op->value : chip->reg[RTC_B];
	unsigned a = is_write_to(o, op, RTC_A) ? op->value : chip->reg[RTC_A];

	if (is_write(op) && is_alarm(location(o)))
		return !is_alarm_value(location(o), op->value, b);
	if (!is_divider_on(a) || (b & RTC_B_SET) || is_updating(chip))
		return false;
	return !is_date(chip->reg, b) || !is_time_of_day(chip->reg, b);
}

/* An alarm at an hour, in 12-hour format. */
static bool avoid_half_day(const struct ours *o, const struct op *op)
{
	const uint8_t *reg = chip_of(o)->reg;

	if (is_write_to(o, op, RTC_HOURS_ALARM))
		return op->value < RTC_ALARM_ANY && !(reg[RTC_B] & RTC_B_24H);
	return is_write_to(o, op, RTC_B) && !(op->value & RTC_B_24H) &&
	       reg[RTC_HOURS_ALARM] < RTC_ALARM_ANY;
}

static bool avoid_format(const struct ours *o, const struct op *op)
{
	unsigned changed = chip_of(o)->reg[RTC_B] ^ op->value;

	return is_write_to(o, op, RTC_B) && (changed & (RTC_B_DM | RTC_B_24H)) &&
	       !(op->value & RTC_B_SET);
}

static bool avoid_periodic(const struct ours *o, const struct op *op)
{
	return is_write_to(o, op, RTC_B) && (op->value & RTC_B_PIE);
}

static uint16_t hide_periodic(const struct ours *o, const struct op *op)
{
	return is_read(op) && location(o) == RTC_C ? RTC_C_PF : 0;
}

static bool avoid_flags_in_set(const struct ours *o, const struct op *op)
{
	if (!is_write_to(o, op, RTC_B))
		return false;
	return (op->value & RTC_B_AIE && (op->value & RTC_B_SET)) ||
	       (o->is_rtc_vague && (op->value & (RTC_B_AIE | RTC_B_UIE)));
}

static uint16_t hide_flags_in_set(const struct ours *o, const struct op *op)
{
	return is_read(op) && location(o) == RTC_C && o->is_rtc_vague ? RTC_C_UF | RTC_C_AF : 0;
}

static bool avoid_divider(const struct ours *o, const struct op *op)
{
	return is_write_to(o, op, RTC_A) && !is_divider_on(op->value) &&
	       (op->value & DIVIDER_RESET) != DIVIDER_RESET;
}

/* In the instruction in which a second ends; a write may lose that end. */
static bool avoid_same_instruction(const struct ours *o, const struct op *op)
{
	bool is_concerned = is_read(op) || is_write(op) || known_is_acknowledge(o, op) ||
			    (op->kind == OP_IN && op->port == PIC_SLAVE);
	uint64_t into_ns = (o->now_ns + NS_PER_S - (uint64_t)chip_of(o)->update_ns) % NS_PER_S;

	return is_concerned && into_ns < INSTRUCTION_NS;
}

static bool avoid_late_start(const struct ours *o, const struct op *op)
{
	return (is_read(op) || is_write(op)) && !chip_of(o)->has_time && o->now_ns >= NS_PER_S;
}

void known_note_rtc(struct ours *o, const struct op *op)
{
	const struct rtc_chip *chip = chip_of(o);

	if (is_write(op))
		o->rtc_written[location(o)] = true;
	if (is_write_to(o, op, RTC_B) && (op->value & RTC_B_SET))
		o->is_rtc_vague = true;
	if (is_read(op) && location(o) == RTC_C && !(chip->reg[RTC_B] & RTC_B_SET))
		o->is_rtc_vague = false;
}

#define PACE                                                                                       \
	{                                                                                          \
		.shift = 10                                                                        \
	}
#define SET(index, value) "outb 0x70 " #index "; outb 0x71 " #value ";"
#define GET(index, both)  "outb 0x70 " #index "; inb 0x71 " both ";"

const struct known known_rtc[] = {
	{.device = "rtc",
	 .what = "location 0x37 is the century as well",
	 .decides = "none: IBM PS/2 has the century there, a PC at 0x32",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_ps2_century,
	 .pace = PACE,
	 .listing = SET(0x0b, 0x82) SET(0x37, 0x19) GET(0x32, "0x20 0x19")},
	{.device = "rtc",
	 .what = "firmware's part of the RAM is filled otherwise",
	 .decides = "none: what a BIOS leaves",
	 .right = RIGHT_BOTH,
	 .hides = hide_ram,
	 .pace = PACE,
	 .listing = GET(0x14, "0x02 0x06")},
	{.device = "rtc",
	 .what = "a write of the time without SET begins the second anew",
	 .decides = "Register B, SET: the time is to be initialized while it is 1",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_running_write,
	 .pace = PACE,
	 .listing = "clock_step 800000000;" SET(0, 0) "clock_step 500000000;" GET(0, "0x01 0x00")},
	{.device = "rtc",
	 .what = "a release of the divider while SET is 1 does not begin the second anew",
	 .decides = "Divider Control: the first update comes half a second after the release",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_release_in_set,
	 .pace = PACE,
	 .listing = SET(0x0b, 0x82) SET(0x0a, 0x76) "clock_step 300000000;" SET(0x0a, 0x26)
		 SET(0x0b, 0x02) "clock_step 600000000;" GET(0, "0x31 0x30")},
	{.device = "rtc",
	 .what = "a date that is none is made one, and the day of the week follows from the date",
	 .decides = "Time, Calendar, and Alarm Locations: ranges; the day of the week is a counter",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_no_time,
	 .pace = PACE,
	 .listing = SET(0x0b, 0x82) SET(6, 1) SET(0x0b, 0x02) GET(6, "0x01 0x05")},
	{.device = "rtc",
	 .what = "a change of DM or 24/12 converts what is in the registers",
	 .decides = "Register B, DM and 24/12: all locations are to be initialized anew",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_format,
	 .pace = PACE,
	 .listing = SET(0x0b, 0x06) GET(0, "0x30 0x1e")},
	{.device = "rtc",
	 .what = "in 12-hour format hours of alarms are compared without regard to AM and PM",
	 .decides = "Time, Calendar, and Alarm Locations: bit 7 of hours is PM, in alarms too",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_half_day,
	 .pace = PACE,
	 .listing = SET(0x0b, 0x80) SET(4, 0x84) SET(1, 0xc0) SET(3, 0xc0) SET(5, 0x12) SET(0x0b, 0)
		 GET(0x0c, "0x00 0x00") "clock_step 1000000000;" GET(0x0c, "0x50 0x30")},
	{.device = "rtc",
	 .what = "PF is set only while PIE is 1, in a phase that begins with PIE",
	 .decides = "Register C, PF: set by an edge of the divider chain, independent of PIE",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_periodic,
	 .hides = hide_periodic,
	 .pace = PACE,
	 .listing = GET(0x0c, "0x00 0x00") "clock_step 10000000;" GET(0x0c, "0x40 0x00")},
	{.device = "rtc",
	 .what = "UF and AF are set while SET is 1",
	 .decides = "Register B, SET: update cycles are inhibited; Register C, UF, AF",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_flags_in_set,
	 .hides = hide_flags_in_set,
	 .pace = PACE,
	 .listing =
		 SET(0x0a, 0x20) SET(0x0b, 0x82) "clock_step 1500000000;" GET(0x0c, "0x00 0x10")},
	{.device = "rtc",
	 .what = "dividers 3 to 5 stop the time and not UF",
	 .decides = "table 3: no other combinations of divider bits are used",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_divider,
	 .pace = PACE,
	 .listing = SET(0x0a, 0x30) "clock_step 1500000000;" GET(0x0c, "0x00 0x10")},
	{.device = "rtc",
	 .what = "flags are set before the first access as well; umbra's clock starts with it",
	 .decides = "Register C, UF: set after each update cycle",
	 .right = RIGHT_QEMU,
	 .avoids = avoid_late_start,
	 .pace = PACE,
	 .listing = "clock_step 1500000000;" GET(0x0c, "0x00 0x10")},
	{.device = "rtc",
	 .what = "an instruction in which a second ends still sees UIP, and no flags yet",
	 .decides = "none: QEMU's timers wait for the end of an instruction",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_same_instruction,
	 .pace = PACE,
	 .listing = "clock_step 999727648;" GET(0x0a, "0x26 0xa6")},
	{.device = NULL},
};
