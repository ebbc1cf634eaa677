/* The three counters of the PIT, counter 0 also by the edges that the PIC sees. */
#include "gen.h"

#include "wiring.h"

#include "src/dev/pit8254.h"

#define TICK_NS	      838u
#define TINY_TICKS    12u
#define SHORT_TICKS   300u
#define LONG_TICKS    3000u
#define RAREST_TICKS  65536u
#define RW(control)   ((control)&PIT_CONTROL_RW)
#define COUNTER_SHIFT 6

void gen_quiet_timer(struct sequence *s)
{
	seq_out(s, PIT_CONTROL, 0x10);
	seq_out(s, PIT_COUNTER, 1);
	seq_wait(s, 10 * TICK_NS);
}

static unsigned some_count(struct rng *r)
{
	if (rng_one_in(r, 20))
		return rng_below(r, RAREST_TICKS);
	if (rng_one_in(r, 3))
		return 2 + rng_below(r, TINY_TICKS);
	return 2 + rng_below(r, rng_one_in(r, 3) ? LONG_TICKS : SHORT_TICKS);
}

static void add_wait(struct rng *r, struct sequence *s)
{
	unsigned ticks = rng_below(r, rng_one_in(r, 8) ? LONG_TICKS : SHORT_TICKS);

	if (rng_one_in(r, 200))
		ticks = rng_below(r, RAREST_TICKS);
	seq_wait(s, ticks * TICK_NS);
}

static void add_count(struct rng *r, struct sequence *s, unsigned counter, unsigned control)
{
	unsigned count = some_count(r);

	if (RW(control) != 2u << 4)
		seq_out(s, PIT_COUNTER + counter, count);
	if (RW(control) != 1u << 4)
		seq_out(s, PIT_COUNTER + counter, count >> 8);
}

/* A control word, and mostly its count; then mostly the PIC forgets counter 0's edges. */
static void add_control(struct rng *r, struct sequence *s)
{
	unsigned counter = rng_below(r, PIT_COUNTERS);
	unsigned control = counter << COUNTER_SHIFT | (1 + rng_below(r, 3)) << 4;

	if (rng_one_in(r, 2))
		control |= 3u << 4;
	control |= rng_one_in(r, 8) ? rng_below(r, 16) : (rng_below(r, 4) & 3u) << 1;
	seq_out(s, PIT_CONTROL, control);
	if (!rng_one_in(r, 16))
		add_count(r, s, counter, control);
	if (counter == 0 && !rng_one_in(r, 8)) {
		add_wait(r, s);
		gen_pic_init(s, 0x11, 1);
	}
}

static void add_reads(struct rng *r, struct sequence *s, unsigned counter)
{
	unsigned count = rng_one_in(r, 8) ? 1 + rng_below(r, 5) : 2;

	for (unsigned i = 0; i < count; i++)
		seq_in(s, PIT_COUNTER + counter);
}

static void add_latch(struct rng *r, struct sequence *s)
{
	unsigned counter = rng_below(r, PIT_COUNTERS);

	seq_out(s, PIT_CONTROL, counter << COUNTER_SHIFT | rng_below(r, 16));
	add_reads(r, s, counter);
}

static void add_read_back(struct rng *r, struct sequence *s)
{
	seq_out(s, PIT_CONTROL, 0xc0 | rng_below(r, 64));
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		if (!rng_one_in(r, 4))
			add_reads(r, s, i);
	}
}

/* The outputs, tick by tick for a while. */
static void add_wave(struct rng *r, struct sequence *s)
{
	unsigned count = rng_below(r, 2 * TINY_TICKS);
	unsigned counter = rng_below(r, PIT_COUNTERS);

	for (unsigned i = 0; i < count; i++) {
		seq_wait(s, TICK_NS);
		seq_in(s, PIT_PORT61);
		seq_out(s, PIT_CONTROL, 0xe0 | 2u << counter);
		seq_in(s, PIT_COUNTER + counter);
	}
}

static void add_one(struct rng *r, struct sequence *s)
{
	switch (rng_below(r, 13)) {
	case 0:
		add_control(r, s);
		break;
	case 1:
		add_latch(r, s);
		break;
	case 2:
		add_read_back(r, s);
		break;
	case 3:
		add_reads(r, s, rng_below(r, PIT_COUNTERS));
		break;
	case 4:
		seq_out(s, PIT_PORT61, rng_one_in(r, 3) ? rng_below(r, 16) : 1);
		break;
	case 5:
		seq_in(s, PIT_PORT61);
		break;
	case 6:
		seq_out(s, PIT_COUNTER + rng_below(r, PIT_COUNTERS), rng_below(r, 256));
		break;
	case 7:
	case 8:
		gen_pic_irr(s, PIC_MASTER);
		break;
	case 9:
		add_wave(r, s);
		break;
	default:
		add_wait(r, s);
		break;
	}
}

void gen_pit(struct rng *r, struct sequence *s)
{
	unsigned end = SEQ_OPS_MAX / 2;

	gen_pic_init(s, 0x11, 1);
	seq_out(s, PIT_PORT61, 1);
	for (unsigned i = 0; i < 2 * PIT_COUNTERS; i++)
		add_control(r, s);
	while (s->count < end)
		add_one(r, s);
}
