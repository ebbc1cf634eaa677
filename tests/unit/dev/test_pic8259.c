/* Tests of the 8259A pair: each command word by its effect on IRR, ISR and the next vector. */
#include "umbra/irqchip.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

enum { M_CMD = PIC8259_MASTER, M_DATA, S_CMD = PIC8259_SLAVE, S_DATA, ELCR0 = PIC8259_ELCR, ELCR1 };

#define M_BASE 0x20
#define S_BASE 0x28
#define EOI    0x20

struct rig {
	struct pic8259 *pic;
	bool is_high;
	unsigned rises;
};

static void intr_set(void *ctx, unsigned gsi, bool is_high)
{
	struct rig *rig = ctx;

	(void)gsi;
	cr_assert_neq(rig->is_high, is_high, "INTR was told what it was already");
	rig->is_high = is_high;
	rig->rises += is_high;
}

static void out(struct rig *rig, unsigned port, uint8_t value)
{
	pic8259_ops.write(rig->pic, port, 1, value);
}

static uint8_t in(struct rig *rig, unsigned port)
{
	return (uint8_t)pic8259_ops.read(rig->pic, port, 1);
}

static void set(struct rig *rig, unsigned irq, bool is_high)
{
	pic8259_set(rig->pic, irq, is_high);
}

static uint8_t irr(struct rig *rig, unsigned command)
{
	out(rig, command, 0x0a);
	return in(rig, command);
}

static uint8_t isr(struct rig *rig, unsigned command)
{
	out(rig, command, 0x0b);
	return in(rig, command);
}

static void init(struct rig *rig, uint8_t icw1, uint8_t m_icw4, uint8_t s_icw4)
{
	out(rig, M_CMD, icw1);
	out(rig, M_DATA, M_BASE | 5); /* the low bits are not the vector's */
	out(rig, M_DATA, 4);
	out(rig, M_DATA, m_icw4);
	out(rig, S_CMD, icw1);
	out(rig, S_DATA, S_BASE);
	out(rig, S_DATA, 2);
	out(rig, S_DATA, s_icw4);
}

static void rig_open(struct rig *rig)
{
	struct irq_line intr = {.set = intr_set, .ctx = rig};

	*rig = (struct rig){.is_high = false};
	cr_assert_eq(pic8259_create(&rig->pic, intr, NULL), 0);
	init(rig, 0x11, 1, 1);
}

static void rig_close(struct rig *rig)
{
	pic8259_destroy(rig->pic);
}

/* -1 when INTR is low. */
static int take(struct rig *rig)
{
	return rig->is_high ? pic8259_acknowledge(rig->pic) : -1;
}

Test(pic, each_line_when_it_rises_then_its_vector_once)
{
	struct rig rig;

	rig_open(&rig);
	for (unsigned irq = 0; irq < 16; irq++) {
		bool is_slave = irq > 7;

		if (irq == 2)
			continue;
		set(&rig, irq, true);
		cr_assert_eq(irr(&rig, is_slave ? S_CMD : M_CMD), 1u << (irq & 7), "irq %u", irq);
		cr_assert_eq(take(&rig), M_BASE + (int)irq, "irq %u", irq);
		cr_assert_eq(take(&rig), -1);
		cr_assert_eq(isr(&rig, M_CMD), is_slave ? 4 : 1u << irq);
		cr_assert_eq(isr(&rig, S_CMD), is_slave ? 1u << (irq & 7) : 0);
		out(&rig, S_CMD, EOI);
		out(&rig, M_CMD, EOI);
		cr_assert_eq(isr(&rig, M_CMD) | isr(&rig, S_CMD), 0);
		cr_assert_eq(take(&rig), -1, "irq %u: still high is no new edge", irq);
		set(&rig, irq, false);
	}
	rig_close(&rig);
}

Test(pic, cascade_line_when_set_from_outside_then_ignored)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 2, true);
	set(&rig, 16, true);
	cr_assert_not(rig.is_high);
	rig_close(&rig);
}

Test(pic, requests_when_together_then_in_order_of_priority)
{
	static const int order[] = {0, 1, 8, 15, 3, 7};
	struct rig rig;

	rig_open(&rig);
	for (size_t i = UMBRA_ARRAY_SIZE(order); i-- > 0;)
		set(&rig, (unsigned)order[i], true);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(order); i++) {
		cr_assert_eq(take(&rig), M_BASE + order[i], "place %zu", i);
		cr_assert_eq(take(&rig), -1, "lower ones wait for the EOI");
		if (order[i] > 7)
			out(&rig, S_CMD, EOI);
		out(&rig, M_CMD, EOI);
	}
	rig_close(&rig);
}

Test(pic, higher_request_when_lower_is_in_service_then_nested)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 4, true);
	cr_assert_eq(take(&rig), M_BASE + 4);
	set(&rig, 1, true);
	cr_assert_eq(take(&rig), M_BASE + 1);
	cr_assert_eq(isr(&rig, M_CMD), 0x12);
	out(&rig, M_CMD, EOI); /* ends the more urgent one */
	cr_assert_eq(isr(&rig, M_CMD), 0x10);
	out(&rig, M_CMD, 0x60 | 4); /* specific */
	cr_assert_eq(isr(&rig, M_CMD), 0);
	rig_close(&rig);
}

Test(pic, imr_when_set_then_request_waits)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, M_DATA, 0x10);
	cr_assert_eq(in(&rig, M_DATA), 0x10);
	set(&rig, 4, true);
	cr_assert_eq(take(&rig), -1);
	cr_assert_eq(irr(&rig, M_CMD), 0x10);
	out(&rig, M_DATA, 0);
	cr_assert_eq(take(&rig), M_BASE + 4);
	rig_close(&rig);
}

Test(pic, edge_when_line_falls_then_still_requested)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 4, true);
	set(&rig, 4, false);
	cr_assert_eq(take(&rig), M_BASE + 4);
	rig_close(&rig);
}

Test(pic, elcr_when_written_then_fixed_edges_stay)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, ELCR0, 0xff);
	out(&rig, ELCR1, 0xff);
	cr_assert_eq(in(&rig, ELCR0), 0xf8);
	cr_assert_eq(in(&rig, ELCR1), 0xde);
	rig_close(&rig);
}

Test(pic, level_when_high_then_asks_until_it_falls)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, ELCR0, 0x20);
	out(&rig, ELCR1, 0x08);
	for (unsigned irq = 5; irq <= 11; irq += 6) {
		set(&rig, irq, true);
		for (int n = 0; n < 3; n++) {
			cr_assert_eq(take(&rig), M_BASE + (int)irq);
			cr_assert_eq(take(&rig), -1);
			out(&rig, S_CMD, EOI);
			out(&rig, M_CMD, EOI);
		}
		set(&rig, irq, false);
		if (irq < 8)
			cr_assert_eq(take(&rig), -1);
	}
	/* The slave's request had reached the master as an edge: spurious. */
	cr_assert_eq(take(&rig), S_BASE + 7);
	rig_close(&rig);
}

Test(pic, ltim_when_set_then_every_line_is_a_level)
{
	struct rig rig;

	rig_open(&rig);
	init(&rig, 0x19, 1, 1);
	set(&rig, 0, true);
	set(&rig, 9, true);
	cr_assert(rig.is_high);
	set(&rig, 0, false);
	set(&rig, 9, false);
	cr_assert_not(rig.is_high);
	rig_close(&rig);
}

Test(pic, acknowledge_when_nothing_asks_then_spurious_7_without_service)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, ELCR0, 0x20);
	set(&rig, 5, true);
	set(&rig, 5, false);
	cr_assert_eq(pic8259_acknowledge(rig.pic), M_BASE + 7);
	cr_assert_eq(isr(&rig, M_CMD), 0);
	rig_close(&rig);
}

Test(pic, acknowledge_when_slave_withdrew_then_spurious_15_with_cascade_in_service)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 12, true);
	out(&rig, S_DATA, 0xff);
	cr_assert_eq(take(&rig), S_BASE + 7);
	cr_assert_eq(isr(&rig, S_CMD), 0);
	cr_assert_eq(isr(&rig, M_CMD), 4);
	rig_close(&rig);
}

Test(pic, auto_eoi_when_on_then_nothing_stays_in_service)
{
	struct rig rig;

	rig_open(&rig);
	init(&rig, 0x11, 3, 3);
	set(&rig, 9, true);
	set(&rig, 10, true);
	set(&rig, 3, true);
	cr_assert_eq(take(&rig), S_BASE + 1);
	cr_assert_eq(isr(&rig, M_CMD) | isr(&rig, S_CMD), 0);
	cr_assert_eq(take(&rig), S_BASE + 2);
	cr_assert_eq(take(&rig), M_BASE + 3);
	cr_assert_eq(take(&rig), -1);
	rig_close(&rig);
}

/* Whoever waits for an edge of INTR, as a pin of an IO APIC does, sees each request. */
Test(pic, intr_when_acknowledged_then_falls_and_rises_for_the_next)
{
	struct rig rig;

	rig_open(&rig);
	init(&rig, 0x11, 3, 3);
	set(&rig, 3, true);
	set(&rig, 4, true);
	set(&rig, 9, true);
	for (unsigned i = 1; i <= 3; i++) {
		cr_assert_eq(rig.rises, i);
		if (i == 2) {
			out(&rig, M_CMD, 0x0c);
			cr_assert_eq(in(&rig, M_CMD), 0x83, "a poll acknowledges too");
		} else {
			cr_assert_geq(take(&rig), M_BASE);
		}
	}
	cr_assert_eq(rig.rises, 3);
	cr_assert_not(rig.is_high);
	rig_close(&rig);
}

/* OCW2 with input 3 and 5 requested and 3 in service: what is in service after it, and which input
 * has the lowest priority, told by who comes first of all eight. */
Test(pic, ocw2_when_written_then_table)
{
	static const struct {
		uint8_t ocw2, isr, first;
	} rows[] = {
		{0x20, 0x00, 0},		  /* non-specific EOI */
		{0x63, 0x00, 0},		  /* specific, of 3 */
		{0x65, 0x08, 0},		  /* specific, of another */
		{0xa0, 0x00, 4},		  /* rotate on non-specific EOI */
		{0xe3, 0x00, 4},		  /* rotate on specific EOI */
		{0xe5, 0x08, 6}, {0xc6, 0x08, 7}, /* set priority */
		{0x40, 0x08, 0},		  /* no operation */
	};
	struct rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		rig_open(&rig);
		out(&rig, M_DATA, 0x04);
		set(&rig, 3, true);
		cr_assert_eq(take(&rig), M_BASE + 3);
		set(&rig, 3, false);
		out(&rig, M_CMD, rows[i].ocw2);
		cr_assert_eq(isr(&rig, M_CMD), rows[i].isr, "row %zu", i);
		out(&rig, M_CMD, 0x63);
		for (unsigned irq = 0; irq < 8; irq++)
			set(&rig, irq, true);
		cr_assert_eq(take(&rig), M_BASE + rows[i].first, "row %zu", i);
		rig_close(&rig);
	}
}

Test(pic, rotation_in_auto_eoi_when_on_then_the_served_is_last)
{
	struct rig rig;

	rig_open(&rig);
	init(&rig, 0x11, 3, 1);
	out(&rig, M_CMD, 0x80);
	out(&rig, ELCR0, 0x30);
	set(&rig, 4, true);
	set(&rig, 5, true);
	for (int i = 0; i < 6; i++)
		cr_assert_eq(take(&rig), M_BASE + 4 + i % 2);
	out(&rig, M_CMD, 0x00);
	cr_assert_eq(take(&rig), M_BASE + 4);
	cr_assert_eq(take(&rig), M_BASE + 4, "no rotation any more");
	rig_close(&rig);
}

Test(pic, special_mask_when_on_then_masked_service_blocks_nobody)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 1, true);
	cr_assert_eq(take(&rig), M_BASE + 1);
	set(&rig, 6, true);
	cr_assert_eq(take(&rig), -1);
	out(&rig, M_DATA, 0x02);
	out(&rig, M_CMD, 0x68);
	cr_assert_eq(take(&rig), M_BASE + 6);
	out(&rig, M_CMD, EOI); /* spares the masked one */
	cr_assert_eq(isr(&rig, M_CMD), 0x02);
	out(&rig, M_CMD, 0x48);
	out(&rig, M_CMD, EOI);
	cr_assert_eq(isr(&rig, M_CMD), 0);
	rig_close(&rig);
}

Test(pic, special_fully_nested_when_slave_is_in_service_then_its_higher_request_comes)
{
	for (int nested = 0; nested < 2; nested++) {
		struct rig rig;

		rig_open(&rig);
		init(&rig, 0x11, nested ? 0x11 : 1, 1);
		set(&rig, 12, true);
		cr_assert_eq(take(&rig), S_BASE + 4);
		set(&rig, 5, true);
		cr_assert_eq(take(&rig), -1, "5 is below the cascade in either mode");
		set(&rig, 9, true);
		cr_assert_eq(take(&rig), nested ? S_BASE + 1 : -1);
		rig_close(&rig);
	}
}

Test(pic, special_fully_nested_when_told_to_slave_then_its_input_2_is_like_others)
{
	struct rig rig;

	rig_open(&rig);
	init(&rig, 0x11, 0x11, 0x11);
	set(&rig, 10, true);
	cr_assert_eq(take(&rig), S_BASE + 2);
	set(&rig, 10, false);
	set(&rig, 10, true);
	cr_assert_eq(take(&rig), -1, "it is in service");
	rig_close(&rig);
}

Test(pic, poll_when_read_then_acknowledges)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, M_CMD, 0x0c);
	cr_assert_eq(in(&rig, M_CMD), 0x07, "nothing asks");
	set(&rig, 6, true);
	out(&rig, M_CMD, 0x0c);
	cr_assert_eq(in(&rig, M_CMD), 0x86);
	cr_assert_not(rig.is_high);
	cr_assert_eq(isr(&rig, M_CMD), 0x40);
	set(&rig, 11, true);
	out(&rig, S_CMD, 0x0c);
	cr_assert_eq(in(&rig, S_DATA), 0x83, "either port polls");
	cr_assert_eq(isr(&rig, S_CMD), 0x08);
	rig_close(&rig);
}

Test(pic, icw1_when_written_then_all_but_vector_and_elcr_begins_anew)
{
	struct rig rig;

	rig_open(&rig);
	out(&rig, ELCR0, 0x20);
	set(&rig, 4, true);
	take(&rig);
	set(&rig, 6, true);
	out(&rig, M_DATA, 0xff);
	out(&rig, M_CMD, 0xc3);
	out(&rig, M_CMD, 0x12); /* single, no ICW4: only ICW2 follows */
	out(&rig, M_DATA, 0x40);
	out(&rig, M_DATA, 0x01); /* so this is OCW1 */
	cr_assert_eq(in(&rig, M_DATA), 0x01);
	cr_assert_eq(isr(&rig, M_CMD), 0);
	cr_assert_eq(irr(&rig, M_CMD), 0, "a line that is high is no edge");
	cr_assert_eq(in(&rig, ELCR0), 0x20);
	set(&rig, 4, false);
	set(&rig, 4, true);
	cr_assert_eq(take(&rig), 0x44);
	rig_close(&rig);
}

Test(pic, reset_when_lines_are_high_then_levels_are_known)
{
	struct rig rig;

	rig_open(&rig);
	set(&rig, 4, true);
	pic8259_ops.reset(rig.pic);
	cr_assert_not(rig.is_high);
	out(&rig, ELCR0, 0x10);
	cr_assert(rig.is_high);
	rig_close(&rig);
}

/* Save and load. */

#define BLOB_BYTES 64

static size_t save(struct rig *rig, uint8_t *bytes)
{
	struct blob b = blob_over(bytes, BLOB_BYTES);

	pic8259_ops.save(rig->pic, &b);
	cr_assert_not(b.is_failed);
	return b.pos;
}

static int load(struct rig *rig, uint8_t *bytes, size_t len)
{
	struct blob b = blob_over(bytes, len);

	return pic8259_ops.load(rig->pic, &b, NULL);
}

static unsigned roll(unsigned *state, unsigned sides)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 16) % sides;
}

static unsigned act(struct rig *rig, unsigned *dice)
{
	unsigned what = roll(dice, 8);
	unsigned port = roll(dice, 6);

	if (what < 3)
		set(rig, roll(dice, 16), roll(dice, 2));
	else if (what < 5)
		out(rig, port, (uint8_t)roll(dice, 256));
	else if (what == 5)
		return in(rig, port);
	else if (what == 6 && roll(dice, 8) == 0)
		init(rig, 0x11, (uint8_t)(1 | roll(dice, 32)), (uint8_t)(1 | roll(dice, 32)));
	else
		return (unsigned)take(rig);
	return rig->is_high;
}

Test(pic, load_when_saved_anywhere_then_goes_on_in_the_same_way)
{
	struct rig a, b;
	unsigned dice = 1, copy;
	uint8_t bytes[BLOB_BYTES];

	rig_open(&a);
	rig_open(&b);
	for (unsigned i = 0; i < 100000; i++) {
		if (i % 7 == 0) {
			size_t len = save(&a, bytes);

			cr_assert_eq(load(&b, bytes, len), 0, "step %u", i);
		}
		copy = dice;
		cr_assert_eq(act(&a, &dice), act(&b, &copy), "step %u", i);
		cr_assert_eq(a.is_high, b.is_high, "step %u", i);
	}
	rig_close(&a);
	rig_close(&b);
}

Test(pic, load_when_cut_or_impossible_then_refused_and_unchanged)
{
	/* Version, then ten bytes a chip: level, edges, isr, imr, elcr, base, lowest, step, flags.
	 */
	static const struct {
		unsigned at;
		uint8_t value;
	} rows[] = {{0, 2},  {1, 4},	 {5, 1},  {6, 1},  {7, 8},  {8, 1},    {8, 5},
		    {10, 2}, {15, 0x20}, {16, 7}, {17, 8}, {18, 9}, {20, 0xff}};
	struct rig rig;
	uint8_t bytes[BLOB_BYTES], before[BLOB_BYTES], after[BLOB_BYTES];
	size_t len;

	rig_open(&rig);
	len = save(&rig, before);
	for (size_t cut = 0; cut < len; cut++)
		cr_assert_eq(load(&rig, before, cut), -EINVAL);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		memcpy(bytes, before, len);
		bytes[rows[i].at] = rows[i].value;
		cr_assert_eq(load(&rig, bytes, len), -EINVAL, "row %zu", i);
	}
	save(&rig, after);
	cr_assert_arr_eq(before, after, len);
	rig_close(&rig);
}
