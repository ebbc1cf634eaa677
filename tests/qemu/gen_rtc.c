/* The clock and its RAM: time set in every format, alarms, the divider, seconds that pass. */
#include "gen.h"

#include "image.h"
#include "wiring.h"

#include "src/dev/mc146818.h"

#include <stdlib.h>

#define SECOND_NS   1000000000u
#define UIP_NS	    500000u
#define UIP_READS   8u
#define OPS	    500u
#define FIRST_YEAR  1971u
#define YEARS	    120u
#define RAM	    0x0eu
#define WEEK	    7u
#define LAST_SECOND 59u

struct rtc_gen {
	struct rng *r;
	struct sequence *s;
	unsigned b;	    /* register B as it was written last */
	uint64_t update_ns; /* the end of an update, when nothing was dropped */
	struct image image;
};

static void put(struct rtc_gen *g, unsigned index, unsigned value)
{
	seq_out(g->s, RTC_INDEX, index);
	seq_out(g->s, RTC_DATA, value);
}

static void get(struct rtc_gen *g, unsigned index)
{
	seq_out(g->s, RTC_INDEX, index);
	seq_in(g->s, RTC_DATA);
}

static unsigned coded(const struct rtc_gen *g, unsigned value)
{
	return g->b & RTC_B_DM ? value : value / 10 << 4 | value % 10;
}

static unsigned coded_hour(const struct rtc_gen *g, unsigned hour)
{
	if (g->b & RTC_B_24H)
		return coded(g, hour);
	return coded(g, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? RTC_PM : 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && is_leap);
}

/* 1 = Sunday (Zeller's congruence; 0 is Saturday there). */
static unsigned weekday(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month < 3 ? year - 1 : year;
	unsigned m = month < 3 ? month + 12 : month;
	unsigned h = (day + 13 * (m + 1) / 5 + y + y / 4 - y / 100 + y / 400) % WEEK;

	return h == 0 ? WEEK : h;
}

/* Mostly at the end of something. */
static unsigned some(struct rtc_gen *g, unsigned lowest, unsigned highest)
{
	return rng_one_in(g->r, 2) ? highest : lowest + rng_below(g->r, highest - lowest + 1);
}

/* In 12-hour format hours are left out: see known_rtc.c. */
static void add_alarm(struct rtc_gen *g)
{
	static const uint8_t index[] = {RTC_SECONDS_ALARM, RTC_MINUTES_ALARM, RTC_HOURS_ALARM};

	for (unsigned i = 0; i < 3; i++) {
		unsigned value =
			i == 2 ? coded_hour(g, rng_below(g->r, 24)) : coded(g, rng_below(g->r, 60));

		if (!rng_one_in(g->r, 3) || (i == 2 && !(g->b & RTC_B_24H)))
			value = RTC_ALARM_ANY;
		put(g, index[i], value);
	}
}

static void add_time(struct rtc_gen *g)
{
	unsigned year = FIRST_YEAR + rng_below(g->r, YEARS);
	unsigned month = some(g, 1, 12);
	unsigned day;

	if (rng_one_in(g->r, 4))
		month = 2;
	day = some(g, 1, month_days(year, month));
	put(g, RTC_HOURS_ALARM, RTC_ALARM_ANY);
	g->b = RTC_B_SET | (rng_below(g->r, 4) << 1);
	put(g, RTC_B, g->b);
	put(g, RTC_SECONDS, coded(g, LAST_SECOND - rng_below(g->r, 3)));
	put(g, RTC_MINUTES, coded(g, some(g, 0, 59)));
	put(g, RTC_HOURS, coded_hour(g, some(g, 0, 23)));
	put(g, RTC_WEEKDAY, weekday(year, month, day));
	put(g, RTC_DAY, coded(g, day));
	put(g, RTC_MONTH, coded(g, month));
	put(g, RTC_YEAR, coded(g, year % 100));
	put(g, RTC_CENTURY, coded(g, year / 100));
	add_alarm(g);
	if (rng_one_in(g->r, 4))
		seq_wait(g->s, rng_below(g->r, SECOND_NS));
	g->b &= ~RTC_B_SET;
	put(g, RTC_B, g->b);
	get(g, RTC_C);
}

static void add_b(struct rtc_gen *g)
{
	if (rng_one_in(g->r, 4)) {
		put(g, RTC_B, rng_below(g->r, 256));
		return;
	}
	g->b = (g->b & (RTC_B_DM | RTC_B_24H)) | (rng_below(g->r, 256) & (RTC_B_AIE | RTC_B_UIE));
	put(g, RTC_B, g->b);
}

static uint64_t time_now(struct rtc_gen *g)
{
	image_build(&g->image, g->s);
	return g->image.time_ns[g->s->count - 1];
}

/* Reads of register A, and what they say about UIP, around the end of a second. */
static void add_uip(struct rtc_gen *g)
{
	uint64_t now_ns = time_now(g) + 2 * SECOND_NS;
	uint64_t into_ns = (now_ns - g->update_ns) % SECOND_NS;

	seq_wait(g->s, (uint32_t)(SECOND_NS - into_ns) - rng_below(g->r, UIP_NS));
	for (unsigned i = 0; i < UIP_READS; i++) {
		get(g, RTC_A);
		seq_wait(g->s, UIP_NS / UIP_READS / 2);
	}
}

/* Register A, and in half of the cases the divider held for a while. */
static void add_a(struct rtc_gen *g)
{
	unsigned rate = rng_below(g->r, 16);
	bool is_held = rng_one_in(g->r, 2);

	if (is_held) {
		put(g, RTC_A, (6 + rng_below(g->r, 2)) << 4 | rate);
		seq_wait(g->s, rng_below(g->r, SECOND_NS));
	}
	put(g, RTC_A, 0x20 | rate);
	if (is_held)
		g->update_ns = time_now(g) + SECOND_NS / 2;
}

static void add_wait(struct rtc_gen *g)
{
	seq_wait(g->s, rng_below(g->r, rng_one_in(g->r, 2) ? SECOND_NS : UIP_NS));
}

static void add_irq(struct rtc_gen *g)
{
	gen_pic_irr(g->s, PIC_SLAVE);
	if (rng_one_in(g->r, 2))
		return;
	seq_inta(g->s);
	seq_out(g->s, PIC_SLAVE, 0x20);
	seq_out(g->s, PIC_MASTER, 0x20);
}

static void add_ram(struct rtc_gen *g)
{
	unsigned index = RAM + rng_below(g->r, RTC_REGS - RAM);

	put(g, index | (rng_one_in(g->r, 4) ? 0x80 : 0), rng_below(g->r, 256));
	get(g, RAM + rng_below(g->r, RTC_REGS - RAM));
	get(g, index);
}

static void add_one(struct rtc_gen *g)
{
	switch (rng_below(g->r, 21)) {
	case 0:
		add_time(g);
		break;
	case 1:
		add_b(g);
		break;
	case 2:
		add_a(g);
		break;
	case 3:
		add_ram(g);
		break;
	case 4:
		add_alarm(g);
		break;
	case 5:
		put(g, rng_below(g->r, RTC_REGS), rng_below(g->r, 256));
		break;
	case 6:
	case 7:
	case 8:
		add_irq(g);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		add_wait(g);
		break;
	case 13:
		seq_in(g->s, RTC_INDEX);
		break;
	case 14:
		get(g, RTC_C);
		break;
	case 15:
		add_uip(g);
		break;
	case 16:
		get(g, RTC_CENTURY);
		break;
	default:
		get(g, rng_below(g->r, RAM));
		break;
	}
}

void gen_rtc(struct rng *r, struct sequence *s)
{
	struct rtc_gen *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	g->r = r;
	g->s = s;
	g->b = RTC_B_24H;
	gen_quiet_timer(s);
	gen_pic_init(s, 0x11, 1);
	while (s->count < OPS)
		add_one(g);
	free(g);
}
