/* Unit tests of the calendar: against a count by hand, day by day over four centuries, and against
 * known dates. */
#include "umbra/calendar.h"

#include <criterion/criterion.h>

static const struct {
	int64_t epoch_s;
	struct calendar_time time;
} known[] = {
	{0, {1970, 1, 1, 0, 0, 0, 4}},
	{-1, {1969, 12, 31, 23, 59, 59, 3}},
	{951782400, {2000, 2, 29, 0, 0, 0, 2}},
	{951868799, {2000, 2, 29, 23, 59, 59, 2}},
	{951868800, {2000, 3, 1, 0, 0, 0, 3}},
	{1000000000, {2001, 9, 9, 1, 46, 40, 0}},
	{2147483648, {2038, 1, 19, 3, 14, 8, 2}},
	{4107542400, {2100, 3, 1, 0, 0, 0, 1}},
	{-2208988800, {1900, 1, 1, 0, 0, 0, 1}},
	{-2203891200, {1900, 3, 1, 0, 0, 0, 4}},
	{-62167219200, {0, 1, 1, 0, 0, 0, 6}},
	{253402300799, {9999, 12, 31, 23, 59, 59, 5}},
};

Test(calendar, known_dates_when_converted_then_right_in_both_directions)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(known); i++) {
		const struct calendar_time *want = &known[i].time;
		struct calendar_time got;

		calendar_from_epoch(known[i].epoch_s, &got);
		cr_expect(got.year == want->year && got.month == want->month &&
				  got.day == want->day && got.hour == want->hour &&
				  got.minute == want->minute && got.second == want->second,
			  "row %zu: %lld-%u-%u %u:%u:%u", i, (long long)got.year, got.month,
			  got.day, got.hour, got.minute, got.second);
		cr_expect_eq(got.weekday, want->weekday, "row %zu: weekday %u", i, got.weekday);
		cr_expect_eq(calendar_to_epoch(want), known[i].epoch_s, "row %zu", i);
	}
}

/* February by the rule in words, and the other months by the knuckles of a fist. */
static unsigned month_days_by_hand(int64_t year, unsigned month)
{
	if (month == 2)
		return year % 400 == 0 ? 29 : year % 100 == 0 ? 28 : year % 4 == 0 ? 29 : 28;
	return (month <= 7) == (month % 2 == 1) ? 31 : 30;
}

Test(calendar, days_when_counted_over_400_years_then_each_follows_the_last)
{
	struct calendar_time want = {.year = 1770, .month = 1, .day = 1, .weekday = 1};
	int64_t day = -73048; /* 1770-01-01, a Monday */

	for (; want.year < 2171; day++) {
		struct calendar_time got;

		calendar_from_epoch(day * CALENDAR_DAY_S + 43200, &got);
		cr_assert(got.year == want.year && got.month == want.month && got.day == want.day &&
				  got.weekday == want.weekday && got.hour == 12,
			  "day %lld: %lld-%u-%u, weekday %u", (long long)day, (long long)got.year,
			  got.month, got.day, got.weekday);
		cr_assert_eq(calendar_to_epoch(&want), day * CALENDAR_DAY_S);
		want.weekday = (want.weekday + 1) % 7;
		if (want.day++ < month_days_by_hand(want.year, want.month))
			continue;
		want.day = 1;
		if (want.month++ < 12)
			continue;
		want.month = 1;
		want.year++;
	}
	cr_assert_eq(day, 73414, "2171-01-01");
}

Test(calendar, parse_when_date_or_date_and_time_then_epoch_else_refused)
{
	static const struct {
		const char *text;
		bool is_good;
		int64_t epoch_s;
	} rows[] = {
		{"1970-01-01", true, 0},
		{"2026-01-01T00:00:00", true, 1767225600},
		{"2000-02-29T23:59:59", true, 951868799},
		{"1969-12-31T23:59:59", true, -1},
		{"0000-01-01", true, -62167219200},
		{"9999-12-31T23:59:59", true, 253402300799},
		{"2001-02-29", false, 0},
		{"1900-02-29", false, 0},
		{"2026-00-01", false, 0},
		{"2026-13-01", false, 0},
		{"2026-04-31", false, 0},
		{"2026-01-00", false, 0},
		{"2026-01-01T24:00:00", false, 0},
		{"2026-01-01T00:60:00", false, 0},
		{"2026-01-01T00:00:60", false, 0},
		{"2026-1-1", false, 0},
		{"2026-01-01T", false, 0},
		{"2026-01-01T00:00", false, 0},
		{"2026-01-01 00:00:00", false, 0},
		{"2026-01-01T00:00:00Z", false, 0},
		{"+026-01-01", false, 0},
		{" 2026-01-01", false, 0},
		{"", false, 0},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		int64_t epoch_s = 0;

		cr_expect_eq(calendar_parse(rows[i].text, &epoch_s), rows[i].is_good, "%s",
			     rows[i].text);
		cr_expect_eq(epoch_s, rows[i].epoch_s, "%s", rows[i].text);
	}
}
