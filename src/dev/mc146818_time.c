/* Time of day as the MC146818A's registers hold it: BCD or binary, 12 or 24 hours.
 * Source: MC146818A data sheet, "Time, Calendar, and Alarm Locations", table 2.
 * DEVIATES: the chip has no century, and its leap years are those of two digits; here the century
 * is counted with the year, as in the DS12887A and as PCs expect, and 1900 is no leap year.
 * DEVIATES: daylight savings (register B, DSE) are kept as a bit and not made. */
#include "mc146818.h"

#include "umbra/calendar.h"

#define NO_VALUE (~0u)
#define NOON	 12u

/* One location. */

static unsigned decode(const uint8_t *reg, uint8_t value)
{
	if (reg[RTC_B] & RTC_B_DM)
		return value;
	if ((value & 0x0f) > 9 || value >> 4 > 9)
		return NO_VALUE;
	return (value >> 4) * 10u + (value & 0x0f);
}

static uint8_t encode(const uint8_t *reg, unsigned value)
{
	return (uint8_t)(reg[RTC_B] & RTC_B_DM ? value : value / 10 << 4 | value % 10);
}

/* @value within @min..@max, or NO_VALUE. */
static unsigned decode_in(const uint8_t *reg, uint8_t value, unsigned min, unsigned max)
{
	unsigned number = decode(reg, value);

	return number >= min && number <= max ? number : NO_VALUE;
}

static unsigned decode_hour(const uint8_t *reg, uint8_t value)
{
	unsigned hour;

	if (reg[RTC_B] & RTC_B_24H)
		return decode_in(reg, value, 0, 23);
	hour = decode_in(reg, value & (uint8_t)~RTC_PM, 1, NOON);
	if (hour == NO_VALUE)
		return NO_VALUE;
	return hour % NOON + (value & RTC_PM ? NOON : 0);
}

static uint8_t encode_hour(const uint8_t *reg, unsigned hour)
{
	unsigned of_twelve = hour % NOON ? hour % NOON : NOON;

	if (reg[RTC_B] & RTC_B_24H)
		return encode(reg, hour);
	return (uint8_t)(encode(reg, of_twelve) | (hour >= NOON ? RTC_PM : 0));
}

/* A time location as a number; its lowest one when it holds none. */
static unsigned number_at(const uint8_t *reg, enum rtc_reg index, unsigned min, unsigned max)
{
	unsigned number = decode_in(reg, reg[index], min, max);

	return number == NO_VALUE ? min : number;
}

/* All of them. */

static void time_get(const uint8_t *reg, struct calendar_time *time)
{
	unsigned hour = decode_hour(reg, reg[RTC_HOURS]);

	time->year =
		(int64_t)number_at(reg, RTC_CENTURY, 0, 99) * 100 + number_at(reg, RTC_YEAR, 0, 99);
	time->month = number_at(reg, RTC_MONTH, 1, 12);
	time->day = number_at(reg, RTC_DAY, 1, calendar_month_days(time->year, time->month));
	time->hour = hour == NO_VALUE ? 0 : hour;
	time->minute = number_at(reg, RTC_MINUTES, 0, 59);
	time->second = number_at(reg, RTC_SECONDS, 0, 59);
	time->weekday = number_at(reg, RTC_WEEKDAY, 1, 7) - 1;
}

static void time_put(uint8_t *reg, const struct calendar_time *time)
{
	reg[RTC_SECONDS] = encode(reg, time->second);
	reg[RTC_MINUTES] = encode(reg, time->minute);
	reg[RTC_HOURS] = encode_hour(reg, time->hour);
	reg[RTC_WEEKDAY] = encode(reg, time->weekday + 1);
	reg[RTC_DAY] = encode(reg, time->day);
	reg[RTC_MONTH] = encode(reg, time->month);
	reg[RTC_YEAR] = encode(reg, (unsigned)(time->year % 100));
	reg[RTC_CENTURY] = encode(reg, (unsigned)(time->year / 100 % 100));
}

void rtc_time_set(uint8_t *reg, int64_t epoch_s)
{
	struct calendar_time time;

	calendar_from_epoch(epoch_s, &time);
	time_put(reg, &time);
}

/* The day of the week is a counter of its own: software may have set it to something else than the
 * calendar says. */
void rtc_time_advance(uint8_t *reg, uint64_t seconds)
{
	struct calendar_time time;
	uint64_t second_of_day;
	unsigned weekday;

	if (seconds == 0)
		return;
	time_get(reg, &time);
	second_of_day = time.hour * 3600u + time.minute * 60u + time.second;
	weekday = (unsigned)((time.weekday + (second_of_day + seconds) / CALENDAR_DAY_S) % 7);
	calendar_from_epoch(calendar_to_epoch(&time) + (int64_t)seconds, &time);
	time.weekday = weekday;
	time_put(reg, &time);
}

/* Alarm. */

struct alarm {
	unsigned hour, minute, second; /* NO_VALUE: any */
};

/* False: some location holds a value that no time has. */
static bool alarm_get(const uint8_t *reg, struct alarm *alarm)
{
	bool is_any_hour = reg[RTC_HOURS_ALARM] >= RTC_ALARM_ANY;
	bool is_any_minute = reg[RTC_MINUTES_ALARM] >= RTC_ALARM_ANY;
	bool is_any_second = reg[RTC_SECONDS_ALARM] >= RTC_ALARM_ANY;

	alarm->hour = is_any_hour ? NO_VALUE : decode_hour(reg, reg[RTC_HOURS_ALARM]);
	alarm->minute = is_any_minute ? NO_VALUE : decode_in(reg, reg[RTC_MINUTES_ALARM], 0, 59);
	alarm->second = is_any_second ? NO_VALUE : decode_in(reg, reg[RTC_SECONDS_ALARM], 0, 59);
	return (is_any_hour || alarm->hour != NO_VALUE) &&
	       (is_any_minute || alarm->minute != NO_VALUE) &&
	       (is_any_second || alarm->second != NO_VALUE);
}

static bool is_match(unsigned wanted, unsigned value)
{
	return wanted == NO_VALUE || wanted == value;
}

/* From one candidate to the next: to the begin of the next hour or minute where that does not
 * match.  No more than 24 + 60 + 60 of them are looked at. */
uint64_t rtc_alarm_after(const uint8_t *reg)
{
	struct calendar_time time;
	struct alarm alarm;
	unsigned start, at;

	if (!alarm_get(reg, &alarm))
		return RTC_ALARM_NEVER;
	time_get(reg, &time);
	start = time.hour * 3600 + time.minute * 60 + time.second;
	for (at = start + 1; at <= start + CALENDAR_DAY_S;) {
		if (!is_match(alarm.hour, at / 3600 % 24))
			at = (at / 3600 + 1) * 3600;
		else if (!is_match(alarm.minute, at / 60 % 60))
			at = (at / 60 + 1) * 60;
		else if (!is_match(alarm.second, at % 60))
			at++;
		else
			return at - start;
	}
	return RTC_ALARM_NEVER;
}
