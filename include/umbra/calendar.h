/* Seconds since 1970 as dates of the Gregorian calendar, and back; UTC, without leap seconds.
 * Pure: any thread. */
#ifndef UMBRA_CALENDAR_H
#define UMBRA_CALENDAR_H

#include "umbra/types.h"

#define CALENDAR_DAY_S 86400

struct calendar_time {
	int64_t year;	  /* 0 and up */
	unsigned month;	  /* 1..12 */
	unsigned day;	  /* 1..31 */
	unsigned hour;	  /* 0..23 */
	unsigned minute;  /* 0..59 */
	unsigned second;  /* 0..59 */
	unsigned weekday; /* 0 = Sunday; only calendar_from_epoch sets it, nothing reads it */
};

bool calendar_is_leap(int64_t year);
/* @month 1..12. */
unsigned calendar_month_days(int64_t year, unsigned month);

/* @time's fields in their ranges, the day in its month; the weekday is ignored. */
int64_t calendar_to_epoch(const struct calendar_time *time);
/* @epoch_s not before the year 0, nor 10^12 years after it. */
void calendar_from_epoch(int64_t epoch_s, struct calendar_time *out_time);

/* Read "YYYY-MM-DD" or "YYYY-MM-DDTHH:MM:SS", each field with all its digits; without a time of day
 * it is midnight.  False: @text is none of the two, or no such day exists. */
bool calendar_parse(const char *text, int64_t *out_epoch_s);

#endif
