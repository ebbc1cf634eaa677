/* One counter of the 8254 in its six modes, as functions of time.
 * Source: 8254 data sheet, "mode definitions" and figures 15 to 20.
 * DEVIATES: a count of 1 in modes 2 and 3, which the data sheet forbids, counts as 2. */
#include "pit8254.h"

#define BINARY_RANGE 0x10000u
#define BCD_RANGE    10000u
#define MAX_PERIOD   BINARY_RANGE
#define MAX_TICK     (INT64_C(1) << 55) /* 2^64 ns are fewer ticks */

unsigned pit_counter_mode(const struct pit_counter *c)
{
	unsigned mode = (c->control & PIT_CONTROL_MODE) >> 1;

	return mode > 5 ? mode - 4 : mode; /* bit 2 does not matter in modes 2 and 3 */
}

enum pit_rw pit_counter_rw(const struct pit_counter *c)
{
	return (enum pit_rw)((c->control & PIT_CONTROL_RW) >> 4);
}

/* Modes 2 and 3 start again by themselves and stop at GATE=0 with OUT high. */
static bool is_periodic(const struct pit_counter *c)
{
	unsigned mode = pit_counter_mode(c);

	return mode == 2 || mode == 3;
}

/* Modes 1 and 5 start at a rise of GATE and do not look at it further. */
static bool is_triggered(const struct pit_counter *c)
{
	unsigned mode = pit_counter_mode(c);

	return mode == 1 || mode == 5;
}

static uint32_t range_of(const struct pit_counter *c)
{
	return c->control & PIT_CONTROL_BCD ? BCD_RANGE : BINARY_RANGE;
}

/* The largest count is written as 0. */
static uint32_t period_of(const struct pit_counter *c, uint16_t written)
{
	uint32_t count = written;

	if (c->control & PIT_CONTROL_BCD)
		count = (written >> 12) * 1000u + (written >> 8 & 15) * 100u +
			(written >> 4 & 15) * 10u + (written & 15u);
	if (count == 0)
		return range_of(c);
	return count == 1 && is_periodic(c) ? 2 : count;
}

/* Clocks since the load; 0 before it. */
static int64_t elapsed(const struct pit_counter *c, int64_t tick)
{
	if (!c->is_counting)
		return c->frozen;
	return tick < c->start ? 0 : tick - c->start;
}

/* Mode 3: the high half is the longer one. */
static uint32_t high_half(uint32_t period)
{
	return (period + 1) / 2;
}

static void load(struct pit_counter *c, int64_t tick)
{
	c->period = period_of(c, c->written);
	c->is_loaded = true;
	c->has_new = false;
	c->start = tick + 1;
	c->frozen = 0;
	c->is_counting = c->gate || is_triggered(c);
}

/* Modes 2 and 3 take a new count at the end of the period, mode 3 also in its middle. */
static int64_t end_of_part(const struct pit_counter *c, int64_t tick)
{
	int64_t e = elapsed(c, tick);
	int64_t phase = e % c->period;
	uint32_t half = high_half(c->period);

	if (pit_counter_mode(c) == 3 && phase < half)
		return e - phase + half;
	return e - phase + c->period;
}

void pit_counter_sync(struct pit_counter *c, int64_t tick)
{
	bool is_low_next;

	if (!c->has_new || !is_periodic(c) || !c->is_counting || elapsed(c, tick) < c->switch_at)
		return;
	is_low_next = c->switch_at % c->period != 0;
	c->start += c->switch_at;
	c->period = period_of(c, c->written);
	c->has_new = false;
	if (is_low_next)
		c->start -= high_half(c->period);
}

bool pit_counter_is_high(const struct pit_counter *c, int64_t tick)
{
	unsigned mode = pit_counter_mode(c);
	int64_t e = elapsed(c, tick);

	if (!c->is_loaded)
		return mode != 0;
	if (c->is_counting && tick < c->start && is_triggered(c))
		return c->was_high;
	switch (mode) {
	case 0:
	case 1:
		return e >= c->period;
	case 2:
		return !c->gate || e % c->period != c->period - 1;
	case 3:
		return !c->gate || e % c->period < high_half(c->period);
	default: /* 4 and 5: a strobe of one clock */
		return e != c->period;
	}
}

bool pit_counter_is_null(const struct pit_counter *c, int64_t tick)
{
	return !c->is_loaded || c->has_new || (c->is_counting && tick < c->start);
}

/* Mode 3 counts in twos; an odd count begins each half at one less. */
static uint32_t square_value(const struct pit_counter *c, int64_t e)
{
	uint32_t phase = (uint32_t)(e % c->period);
	uint32_t half = high_half(c->period);

	if (phase >= half)
		phase -= half;
	return (c->period & ~1u) - 2 * phase;
}

uint16_t pit_counter_value(const struct pit_counter *c, int64_t tick)
{
	uint32_t range = range_of(c);
	int64_t e = elapsed(c, tick);
	uint32_t v;

	if (!c->is_loaded)
		return 0;
	if (pit_counter_mode(c) == 3)
		v = square_value(c, e);
	else if (is_periodic(c))
		v = c->period - (uint32_t)(e % c->period);
	else
		v = c->period + range - (uint32_t)(e % range);
	v %= range;
	if (c->control & PIT_CONTROL_BCD)
		v = v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
	return (uint16_t)v;
}

int64_t pit_counter_next_edge(const struct pit_counter *c, int64_t tick)
{
	unsigned mode = pit_counter_mode(c);
	int64_t e = elapsed(c, tick);
	int64_t phase;
	int64_t low; /* periodic: where OUT falls */

	if (!c->is_loaded || !c->is_counting)
		return PIT_NEVER;
	if (mode == 1 && tick < c->start && c->was_high)
		return c->start;
	if (mode < 2)
		return e < c->period ? c->start + c->period : PIT_NEVER;
	if (mode > 3)
		return e <= c->period ? c->start + c->period + (e == c->period) : PIT_NEVER;
	phase = e % c->period;
	low = mode == 2 ? c->period - 1 : high_half(c->period);
	return c->start + e - phase + (phase < low ? low : c->period);
}

void pit_counter_set_control(struct pit_counter *c, uint8_t control)
{
	bool gate = c->gate;

	*c = (struct pit_counter){.control = control & PIT_CONTROL_KEPT, .gate = gate};
}

void pit_counter_set_count(struct pit_counter *c, uint16_t count, int64_t tick)
{
	c->written = count;
	if (is_triggered(c)) {
		c->has_new = true;
		return;
	}
	if (!is_periodic(c) || !c->is_loaded || !c->is_counting || tick < c->start) {
		load(c, tick);
		return;
	}
	c->has_new = true;
	c->switch_at = end_of_part(c, tick);
}

/* Mode 0: "writing the first byte disables counting, OUT is set low immediately". */
void pit_counter_begin_count(struct pit_counter *c)
{
	if (pit_counter_mode(c) != 0)
		return;
	c->is_loaded = false;
	c->is_counting = false;
}

/* A rise of GATE triggers modes 1, 2, 3 and 5: the count is loaded (again) with the next clock. */
static void trigger(struct pit_counter *c, int64_t tick)
{
	if (!c->is_loaded && !c->has_new)
		return;
	c->was_high = pit_counter_is_high(c, tick);
	load(c, tick);
}

void pit_counter_set_gate(struct pit_counter *c, bool is_high, int64_t tick)
{
	if (c->gate == is_high)
		return;
	if (!is_high && !is_triggered(c) && c->is_counting) {
		c->frozen = elapsed(c, tick);
		c->is_counting = false;
	}
	c->gate = is_high;
	if (!is_high)
		return;
	if (is_periodic(c) || is_triggered(c)) {
		trigger(c, tick);
	} else if (c->is_loaded) {
		c->start = tick - c->frozen;
		c->is_counting = true;
	}
}

/* Save and load. */

enum {
	SAVE_GATE = 1 << 0,
	SAVE_LOADED = 1 << 1,
	SAVE_COUNTING = 1 << 2,
	SAVE_NEW = 1 << 3,
	SAVE_HIGH = 1 << 4,
	SAVE_WRITE_MSB = 1 << 5,
	SAVE_READ_MSB = 1 << 6,
	SAVE_LATCH = 1 << 7,
	SAVE_STATUS = 1 << 8,
	SAVE_FLAGS = (1 << 9) - 1
};

void pit_counter_save(const struct pit_counter *c, struct blob *out)
{
	unsigned flags = (c->gate ? SAVE_GATE : 0) | (c->is_loaded ? SAVE_LOADED : 0) |
			 (c->is_counting ? SAVE_COUNTING : 0) | (c->has_new ? SAVE_NEW : 0) |
			 (c->was_high ? SAVE_HIGH : 0) | (c->is_write_msb ? SAVE_WRITE_MSB : 0) |
			 (c->is_read_msb ? SAVE_READ_MSB : 0) | (c->has_latch ? SAVE_LATCH : 0) |
			 (c->has_status ? SAVE_STATUS : 0);

	blob_put_u16(out, (uint16_t)flags);
	blob_put_u8(out, c->control);
	blob_put_u16(out, c->written);
	blob_put_u32(out, c->period);
	blob_put_u64(out, (uint64_t)c->start);
	blob_put_u64(out, (uint64_t)c->frozen);
	blob_put_u64(out, (uint64_t)c->switch_at);
	blob_put_u8(out, c->write_lsb);
	blob_put_u8(out, c->status);
	blob_put_u16(out, c->latch);
}

/* What the arithmetic above relies on: a period to divide by, and times that do not overflow. */
static bool is_possible(const struct pit_counter *c, int64_t tick)
{
	if ((c->control & ~PIT_CONTROL_KEPT) || pit_counter_rw(c) == PIT_RW_LATCH)
		return false;
	if (c->is_counting && !c->is_loaded)
		return false;
	if (c->is_loaded && (c->period < (is_periodic(c) ? 2u : 1u) || c->period > MAX_PERIOD))
		return false;
	return c->start >= -(int64_t)MAX_PERIOD && c->start <= tick + 1 && c->frozen >= 0 &&
	       c->frozen <= tick + MAX_PERIOD && c->switch_at >= 0 &&
	       c->switch_at <= tick + 3 * (int64_t)MAX_PERIOD;
}

bool pit_counter_load(struct pit_counter *c, struct blob *in, int64_t tick)
{
	unsigned flags = blob_get_u16(in);

	*c = (struct pit_counter){.control = blob_get_u8(in)};
	c->gate = flags & SAVE_GATE;
	c->is_loaded = flags & SAVE_LOADED;
	c->is_counting = flags & SAVE_COUNTING;
	c->has_new = flags & SAVE_NEW;
	c->was_high = flags & SAVE_HIGH;
	c->is_write_msb = flags & SAVE_WRITE_MSB;
	c->is_read_msb = flags & SAVE_READ_MSB;
	c->has_latch = flags & SAVE_LATCH;
	c->has_status = flags & SAVE_STATUS;
	c->written = blob_get_u16(in);
	c->period = blob_get_u32(in);
	c->start = (int64_t)blob_get_u64(in);
	c->frozen = (int64_t)blob_get_u64(in);
	c->switch_at = (int64_t)blob_get_u64(in);
	c->write_lsb = blob_get_u8(in);
	c->status = blob_get_u8(in);
	c->latch = blob_get_u16(in);
	return !in->is_failed && !(flags & ~(unsigned)SAVE_FLAGS) && tick >= 0 &&
	       tick <= MAX_TICK && is_possible(c, tick);
}
