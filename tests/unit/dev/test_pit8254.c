/* Tests of the 8254: waveforms of each mode tick by tick against the data sheet's figures, the
 * reading and writing of counts, port 0x61, and the time that the owner is told. */
#include "src/dev/pit8254.h"

#include "umbra/irqchip.h"

#include <criterion/criterion.h>
#include <errno.h>

#define CONTROL PIT8254_CONTROL
#define PORT61	PIT8254_PORT61

struct rig {
	struct pit8254 *pit;
	uint64_t now_ns;
	bool is_high;
	unsigned rises;
};

static void irq_set(void *ctx, unsigned gsi, bool is_high)
{
	struct rig *rig = ctx;

	cr_assert_eq(gsi, 0);
	cr_assert_neq(rig->is_high, is_high);
	rig->is_high = is_high;
	rig->rises += is_high;
}

static void rig_open(struct rig *rig)
{
	struct irq_line irq = {.set = irq_set, .ctx = rig};

	*rig = (struct rig){.now_ns = 0};
	cr_assert_eq(pit8254_create(&rig->pit, irq, NULL), 0);
}

static void rig_close(struct rig *rig)
{
	pit8254_destroy(rig->pit);
}

static void out(struct rig *rig, unsigned port, uint8_t value)
{
	pit8254_ops.write(rig->pit, port, 1, value);
}

static uint8_t in(struct rig *rig, unsigned port)
{
	return (uint8_t)pit8254_ops.read(rig->pit, port, 1);
}

/* The first nanosecond of tick @tick. */
static uint64_t ns_of(uint64_t tick)
{
	return (uint64_t)(((unsigned __int128)tick * 1000000000 + 1193181) / 1193182);
}

static void run_to(struct rig *rig, uint64_t tick)
{
	pit8254_run(rig->pit, ns_of(tick));
}

static bool out2(struct rig *rig)
{
	return in(rig, PORT61) & 0x20;
}

/* Waveforms of counter 2, which has a gate.  A row's script says what happens at each tick, and its
 * wave what OUT is behind it, both by characters:
 *   script  . nothing   g gate low   G gate high   0-9 a count is written (LSB)
 *   wave    - high      _ low */
struct wave {
	const char *name;
	unsigned mode;
	bool gate; /* at the control word */
	const char *script;
	const char *wave;
};

static const struct wave waves[] = {
	/* N + 1 clocks after the write. */
	{"mode 0", 0, true, "3.........", "____------"},
	{"mode 0, gate low stops", 0, true, "4..g..G....", "________---"},
	{"mode 0, written at gate low", 0, false, "3...G.....", "_______---"},
	{"mode 0, written again", 0, true, "3.4.......", "_______---"},
	{"mode 1 waits for its trigger", 1, false, "3..........", "-----------"},
	{"mode 1", 1, false, "3.G.......", "---___----"},
	{"mode 1, gate low does not stop", 1, false, "3.Gg......", "---___----"},
	{"mode 1, triggered again", 1, false, "3.GgG.....", "---_____--"},
	{"mode 1, new count waits", 1, false, "3.G5.....gG.......", "---___-----_____--"},
	{"mode 2", 2, true, "3............", "---_--_--_--_"},
	{"mode 2, new count at the end", 2, true, "4.3.........", "----_--_--_-"},
	{"mode 2, gate low is high at once", 2, true, "3..g...G....", "----------_-"},
	{"mode 2, a count of 1 is 2", 2, true, "1......", "--_-_-_"},
	{"mode 3, even", 3, true, "4...........", "---__--__--_"},
	{"mode 3, odd", 3, true, "5............", "----__---__--"},
	{"mode 3, new count after the half", 3, true, "4.2.........", "---_-_-_-_-_"},
	{"mode 3, gate low is high at once", 3, true, "4..g...G......", "----------__--"},
	{"mode 4", 4, true, "3........", "----_----"},
	{"mode 4, gate low stops", 4, true, "3.g..G....", "-------_--"},
	{"mode 4, written again", 4, true, "3.3......", "------_--"},
	{"mode 5 waits for its trigger", 5, true, "3.......", "--------"},
	{"mode 5", 5, false, "3.G........", "------_----"},
	{"mode 5, triggered again", 5, false, "3.GgG......", "--------_--"},
};

static void act(struct rig *rig, char what)
{
	if (what == 'g' || what == 'G')
		out(rig, PORT61, what == 'G');
	else if (what != '.')
		out(rig, 2, (uint8_t)(what - '0'));
}

Test(pit, each_mode_when_run_tick_by_tick_then_waveform)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(waves); i++) {
		const struct wave *w = &waves[i];
		size_t len = strlen(w->script);
		char got[32] = "";
		struct rig rig;

		cr_assert_eq(len, strlen(w->wave), "%s", w->name);
		rig_open(&rig);
		run_to(&rig, 100);
		out(&rig, PORT61, w->gate);
		out(&rig, CONTROL, (uint8_t)(0x90 | w->mode << 1));
		for (size_t t = 0; t < len; t++) {
			run_to(&rig, 100 + t);
			act(&rig, w->script[t]);
			got[t] = out2(&rig) ? '-' : '_';
		}
		cr_assert_str_eq(got, w->wave, "%s", w->name);
		rig_close(&rig);
	}
}

/* Counter 0 through next_edge alone gives the same edges as looking at every tick. */
Test(pit, next_edge_when_followed_then_every_edge_and_no_other)
{
	for (unsigned mode = 0; mode < 6; mode++) {
		for (unsigned count = 1; count < 9; count++) {
			struct rig a, b;
			bool was_high;

			rig_open(&a);
			rig_open(&b);
			out(&a, CONTROL, (uint8_t)(0x10 | mode << 1));
			out(&a, 0, (uint8_t)count);
			out(&b, CONTROL, (uint8_t)(0x10 | mode << 1));
			out(&b, 0, (uint8_t)count);
			for (uint64_t t = 1; t < 60; t++) {
				was_high = b.is_high;
				run_to(&b, t);
				if (pit8254_next_edge(a.pit) > ns_of(t)) {
					cr_assert_eq(b.is_high, was_high,
						     "mode %u count %u tick %u", mode, count,
						     (unsigned)t);
					continue;
				}
				cr_assert_eq(pit8254_next_edge(a.pit), ns_of(t));
				pit8254_run(a.pit, ns_of(t) - 1);
				cr_assert_eq(a.is_high, was_high, "a nanosecond early");
				pit8254_run(a.pit, ns_of(t));
				cr_assert_neq(a.is_high, was_high);
				cr_assert_eq(a.is_high, b.is_high);
			}
			rig_close(&a);
			rig_close(&b);
		}
	}
}

Test(pit, rate_generator_when_run_for_a_second_then_its_frequency)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x34);
	out(&rig, 0, 0xa9); /* 1193: 1000.15 Hz */
	out(&rig, 0, 0x04);
	while (pit8254_next_edge(rig.pit) <= 1000000000)
		pit8254_run(rig.pit, pit8254_next_edge(rig.pit));
	cr_assert_eq(rig.rises, 1 + 1000, "with the one at power-up");
	rig_close(&rig);
}

Test(pit, run_when_far_ahead_then_one_rise_at_least_and_right_phase)
{
	struct rig far, near;

	rig_open(&far);
	rig_open(&near);
	out(&far, CONTROL, 0x14);
	out(&far, 0, 100);
	out(&near, CONTROL, 0x14);
	out(&near, 0, 100);
	far.rises = 0;
	run_to(&far, 1000099);
	for (uint64_t t = 1; t <= 1000099; t++)
		run_to(&near, t);
	cr_assert_geq(far.rises, 1);
	cr_assert_eq(far.is_high, near.is_high);
	cr_assert_eq(pit8254_next_edge(far.pit), pit8254_next_edge(near.pit));
	run_to(&far, 5);
	cr_assert_eq(pit8254_next_edge(far.pit), pit8254_next_edge(near.pit), "time went back");
	rig_close(&far);
	rig_close(&near);
}

/* Values. */

static unsigned latched(struct rig *rig, unsigned counter)
{
	unsigned low;

	out(rig, CONTROL, (uint8_t)(counter << 6));
	low = in(rig, counter);
	return low | (unsigned)in(rig, counter) << 8;
}

Test(pit, value_when_latched_then_table)
{
	static const struct {
		uint8_t control;
		uint16_t count;
		unsigned ticks; /* since the load */
		uint16_t value;
	} rows[] = {
		{0x30, 0, 0, 0},	{0x30, 0, 1, 0xffff},
		{0x30, 10, 3, 7},	{0x30, 10, 10, 0},
		{0x30, 10, 12, 0xfffe}, {0x31, 0x0100, 1, 0x0099},
		{0x31, 0, 1, 0x9999},	{0x31, 2, 3, 0x9999},
		{0x34, 10, 9, 1},	{0x34, 10, 10, 10},
		{0x34, 10, 23, 7},	{0x36, 10, 1, 8},
		{0x36, 10, 5, 10},	{0x36, 11, 0, 10},
		{0x36, 11, 5, 0},	{0x36, 11, 6, 10},
		{0x36, 11, 10, 2},	{0x36, 0, 1, 0xfffe},
		{0x38, 5, 7, 0xfffe},	{0x3e, 10, 1, 8},
		{0x3c, 10, 1, 9},	{0x35, 0x1000, 999, 0x0001},
	};
	struct rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rig_open(&rig);
		out(&rig, CONTROL, rows[i].control);
		out(&rig, 0, (uint8_t)rows[i].count);
		out(&rig, 0, (uint8_t)(rows[i].count >> 8));
		run_to(&rig, 1 + rows[i].ticks);
		cr_assert_eq(latched(&rig, 0), rows[i].value, "row %zu: %#x", i, latched(&rig, 0));
		rig_close(&rig);
	}
}

Test(pit, latch_when_taken_then_stays_until_read)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x34);
	out(&rig, 0, 0x00);
	out(&rig, 0, 0x40);
	run_to(&rig, 1 + 0x10);
	out(&rig, CONTROL, 0x00);
	run_to(&rig, 1 + 0x20);
	out(&rig, CONTROL, 0x00); /* a second latch is ignored */
	cr_assert_eq(in(&rig, 0), 0xf0);
	cr_assert_eq(in(&rig, 0), 0x3f);
	cr_assert_eq(in(&rig, 0), 0xe0, "live again");
	out(&rig, CONTROL, 0x00); /* between two bytes: the latched count begins with its first */
	cr_assert_eq(in(&rig, 0), 0xe0);
	cr_assert_eq(in(&rig, 0), 0x3f);
	rig_close(&rig);
}

/* Access modes: which byte a write sets and a read gives. */
Test(pit, rw_when_lsb_or_msb_only_then_that_byte)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x14);
	out(&rig, 0, 0x50);
	out(&rig, CONTROL, 0x64);
	out(&rig, 1, 0x50);
	run_to(&rig, 1 + 0x10);
	cr_assert_eq(in(&rig, 0), 0x40);
	cr_assert_eq(in(&rig, 0), 0x40);
	cr_assert_eq(in(&rig, 1), 0x4f);
	out(&rig, CONTROL, 0xdc); /* read-back: latch counts of 1 and 2 */
	cr_assert_eq(in(&rig, 1), 0x4f);
	run_to(&rig, 1 + 0x1000);
	cr_assert_eq(in(&rig, 1), 0x40);
	rig_close(&rig);
}

Test(pit, read_back_when_status_then_out_null_and_control)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x30);
	out(&rig, CONTROL, 0xe2); /* status only, counter 0 */
	cr_assert_eq(in(&rig, 0), 0x70);
	out(&rig, 0, 2);
	out(&rig, 0, 0);
	out(&rig, CONTROL, 0xe2);
	cr_assert_eq(in(&rig, 0), 0x70, "not loaded before the next clock");
	run_to(&rig, 1);
	out(&rig, CONTROL, 0xc2); /* both: status is read first */
	cr_assert_eq(in(&rig, 0), 0x30);
	cr_assert_eq(in(&rig, 0), 2);
	cr_assert_eq(in(&rig, 0), 0);
	run_to(&rig, 3);
	out(&rig, CONTROL, 0xe2);
	cr_assert_eq(in(&rig, 0), 0xb0);
	out(&rig, CONTROL, 0x37); /* mode 3 in BCD, as written */
	out(&rig, CONTROL, 0xe2);
	cr_assert_eq(in(&rig, 0), 0xf7);
	cr_assert_eq(in(&rig, CONTROL), 0xff);
	rig_close(&rig);
}

Test(pit, mode_0_when_first_of_two_bytes_is_written_then_low_and_stopped)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x30);
	out(&rig, 0, 1);
	out(&rig, 0, 0);
	run_to(&rig, 5);
	cr_assert(rig.is_high);
	out(&rig, 0, 1);
	cr_assert_not(rig.is_high);
	run_to(&rig, 100);
	cr_assert_not(rig.is_high);
	cr_assert_eq(pit8254_next_edge(rig.pit), IRQCHIP_NEVER);
	out(&rig, 0, 0);
	run_to(&rig, 102);
	cr_assert(rig.is_high);
	rig_close(&rig);
}

Test(pit, port61_when_written_then_four_bits_kept_and_refresh_toggles)
{
	struct rig rig;
	unsigned toggles = 0;
	uint8_t last;

	rig_open(&rig);
	out(&rig, PORT61, 0xff);
	last = in(&rig, PORT61);
	cr_assert_eq(last & 0xcf, 0x0f);
	for (uint64_t us = 1; us <= 1000; us++) {
		uint8_t value;

		pit8254_run(rig.pit, us * 1000);
		value = in(&rig, PORT61);
		toggles += (value ^ last) >> 4 & 1;
		last = value;
	}
	cr_assert_eq(toggles, 66, "every 15.085 us");
	rig_close(&rig);
}

Test(pit, reset_when_running_then_no_edge_ever)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, CONTROL, 0x30);
	out(&rig, 0, 9);
	out(&rig, 0, 9);
	pit8254_ops.reset(rig.pit);
	cr_assert_eq(pit8254_next_edge(rig.pit), IRQCHIP_NEVER);
	cr_assert(rig.is_high);
	rig_close(&rig);
}

/* Save and load. */

#define BLOB_BYTES 256

static unsigned roll(unsigned *state, unsigned sides)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % sides;
}

static unsigned random_act(struct rig *rig, unsigned *dice)
{
	unsigned port = roll(dice, 5);

	rig->now_ns += roll(dice, 4) ? roll(dice, 3000) : roll(dice, 32768) * 4000ull;
	pit8254_run(rig->pit, rig->now_ns);
	if (roll(dice, 2))
		return in(rig, port);
	out(rig, port, (uint8_t)(roll(dice, 3) ? roll(dice, 256) : roll(dice, 4)));
	return rig->is_high;
}

Test(pit, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	struct rig a, b;
	unsigned dice = 5, copy;
	uint8_t bytes[BLOB_BYTES];

	rig_open(&a);
	rig_open(&b);
	for (unsigned i = 0; i < 200000; i++) {
		if (i % 5 == 0) {
			struct blob save = blob_over(bytes, sizeof(bytes));
			struct blob load;

			pit8254_ops.save(a.pit, &save);
			cr_assert_not(save.is_failed);
			load = blob_over(bytes, save.pos);
			cr_assert_eq(pit8254_ops.load(b.pit, &load, NULL), 0, "step %u", i);
		}
		copy = dice;
		cr_assert_eq(random_act(&a, &dice), random_act(&b, &copy), "step %u", i);
		cr_assert_eq(a.is_high, b.is_high, "step %u", i);
		cr_assert_eq(pit8254_next_edge(a.pit), pit8254_next_edge(b.pit), "step %u", i);
		cr_assert_gt(pit8254_next_edge(a.pit), a.now_ns, "step %u", i);
	}
	rig_close(&a);
	rig_close(&b);
}

Test(pit, load_when_bytes_are_random_then_refused_or_harmless)
{
	struct rig rig;
	unsigned dice = 77;
	unsigned loaded = 0;

	rig_open(&rig);
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t bytes[BLOB_BYTES];
		struct blob b = blob_over(bytes, sizeof(bytes));
		struct blob cut;

		random_act(&rig, &dice);
		pit8254_ops.save(rig.pit, &b);
		for (unsigned n = 0; n < 2; n++)
			bytes[roll(&dice, (unsigned)b.pos)] ^= (uint8_t)(1u << roll(&dice, 8));
		cut = blob_over(bytes, b.pos - (i % 4 == 0));
		if (pit8254_ops.load(rig.pit, &cut, NULL) == 0) {
			cr_assert_neq(i % 4, 0, "a state that is cut off was taken");
			loaded++;
		}
	}
	cr_assert_gt(loaded, 1000);
	cr_assert_lt(loaded, 37000);
	rig_close(&rig);
}
