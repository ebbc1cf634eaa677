/* The Gregorian calendar, counted in days from January 1 of the year 0, which is a leap year. */
#include "umbra/calendar.h"

#define EPOCH_DAY     719528 /* 1970-01-01 */
#define ERA_YEARS     400
#define ERA_DAYS      146097
#define EPOCH_WEEKDAY 4 /* a Thursday */
#define WEEK_DAYS     7

bool calendar_is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned calendar_month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && calendar_is_leap(year));
}

/* Days before January 1 of @year: a leap day for each fourth year that has begun before it, the
 * year 0 included. */
static int64_t days_before_year(int64_t year)
{
	return year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

static int64_t day_of(const struct calendar_time *time)
{
	int64_t day = days_before_year(time->year) + time->day - 1;

	for (unsigned month = 1; month < time->month; month++)
		day += calendar_month_days(time->year, month);
	return day;
}

int64_t calendar_to_epoch(const struct calendar_time *time)
{
	unsigned second = time->hour * 3600 + time->minute * 60 + time->second;

	return (day_of(time) - EPOCH_DAY) * CALENDAR_DAY_S + second;
}

static void set_date(struct calendar_time *time, int64_t day)
{
	/* The mean length of a year misses the right one by less than a year in either direction.
	 */
	int64_t year = day * ERA_YEARS / ERA_DAYS;

	while (days_before_year(year) > day)
		year--;
	while (days_before_year(year + 1) <= day)
		year++;
	day -= days_before_year(year);
	time->year = year;
	time->month = 1;
	while (day >= calendar_month_days(year, time->month)) {
		day -= calendar_month_days(year, time->month);
		time->month++;
	}
	time->day = (unsigned)day + 1;
}

void calendar_from_epoch(int64_t epoch_s, struct calendar_time *out_time)
{
	int64_t second = epoch_s % CALENDAR_DAY_S;
	int64_t day = epoch_s / CALENDAR_DAY_S;
	int64_t weekday;

	if (second < 0) {
		second += CALENDAR_DAY_S;
		day--;
	}
	weekday = (day + EPOCH_WEEKDAY) % WEEK_DAYS;
	out_time->weekday = (unsigned)(weekday < 0 ? weekday + WEEK_DAYS : weekday);
	out_time->hour = (unsigned)(second / 3600);
	out_time->minute = (unsigned)(second / 60 % 60);
	out_time->second = (unsigned)(second % 60);
	set_date(out_time, day + EPOCH_DAY);
}

/* Text. */

/* @text against a pattern of '0' for digits and other characters for themselves, up to its end. */
static bool matches(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++) {
		bool is_digit = *text >= '0' && *text <= '9';

		if (*pattern == '0' ? !is_digit : *text != *pattern)
			return false;
	}
	return *text == '\0';
}

static unsigned digits(const char *text, unsigned count)
{
	unsigned value = 0;

	while (count-- > 0)
		value = value * 10 + (unsigned)(*text++ - '0');
	return value;
}

bool calendar_parse(const char *text, int64_t *out_epoch_s)
{
	bool has_time = matches(text, "0000-00-00T00:00:00");
	struct calendar_time time = {.year = 0};

	if (!has_time && !matches(text, "0000-00-00"))
		return false;
	time.year = digits(text, 4);
	time.month = digits(text + 5, 2);
	time.day = digits(text + 8, 2);
	if (has_time) {
		time.hour = digits(text + 11, 2);
		time.minute = digits(text + 14, 2);
		time.second = digits(text + 17, 2);
	}
	if (time.month < 1 || time.month > 12 || time.day < 1 ||
	    time.day > calendar_month_days(time.year, time.month) || time.hour > 23 ||
	    time.minute > 59 || time.second > 59)
		return false;
	*out_epoch_s = calendar_to_epoch(&time);
	return true;
}
