/* Tests of the local APIC's registers in both modes, mode changes, reset and the saved form.  The
 * expected bits are a table of their own, from SDM 3A tables 11-1 and 11-6, not the device's. */
#include "lapic_rig.h"

#include <criterion/criterion.h>
#include <errno.h>

#define GP 0xdeadull /* the access raises #GP */

/* What reads after all ones were written, in xAPIC mode (enabled by software), and before. */
static const struct {
	unsigned number;
	uint32_t at_reset, after_ones;
} mmio_rows[] = {
	{LAPIC_ID, 0x03000000, 0xff000000},
	{LAPIC_VERSION, 0x50014, 0x50014},
	{LAPIC_TPR, 0, 0xff},
	{LAPIC_APR, 0, 0},
	{LAPIC_PPR, 0, 0},
	{LAPIC_EOI, 0, 0},
	{LAPIC_RRD, 0, 0},
	{LAPIC_LDR, 0, 0xff000000},
	{LAPIC_DFR, 0xffffffff, 0xffffffff},
	{LAPIC_SVR, 0xff, 0x3ff},
	{LAPIC_ISR, 0, 0},
	{LAPIC_ISR + 7, 0, 0},
	{LAPIC_TMR, 0, 0},
	{LAPIC_IRR + 3, 0, 0},
	{LAPIC_ESR, 0, 0},
	{LAPIC_ICR, 0, 0xccfff},
	{LAPIC_ICR_HIGH, 0, 0xff000000},
	{LAPIC_LVT_TIMER, 0x10000, 0x700ff},
	{LAPIC_LVT_THERMAL, 0x10000, 0x107ff},
	{LAPIC_LVT_PERF, 0x10000, 0x107ff},
	{LAPIC_LVT_LINT0, 0x10000, 0x1a7ff},
	{LAPIC_LVT_LINT1, 0x10000, 0x1a7ff},
	{LAPIC_LVT_ERROR, 0x10000, 0x100ff},
	{LAPIC_INITIAL, 0, 0xffffffff},
	{LAPIC_CURRENT, 0, 0},
	{LAPIC_DIVIDE, 0, 0xb},
};

Test(lapic_regs, each_register_when_all_ones_are_written_then_its_bits)
{
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(mmio_rows); i++) {
		unsigned n = mmio_rows[i].number;

		lapic_rig_open(&rig, 3, false);
		cr_assert_eq(lapic_rig_in(&rig, n), mmio_rows[i].at_reset, "register %#x", n);
		lapic_rig_out(&rig, LAPIC_SVR, 0x1ff);
		lapic_rig_out(&rig, n, 0xffffffff);
		cr_assert_eq(lapic_rig_in(&rig, n), mmio_rows[i].after_ones, "register %#x: %#x", n,
			     lapic_rig_in(&rig, n));
		lapic_rig_close(&rig);
	}
}

Test(lapic_regs, dfr_when_written_then_low_bits_are_ones)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_DFR, 0);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_DFR), 0x0fffffff);
	lapic_rig_close(&rig);
}

/* Every number that mmio_rows does not have (and that is no vector register) is reserved. */
static bool is_known(unsigned number)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(mmio_rows); i++) {
		if (mmio_rows[i].number == number)
			return true;
	}
	return number >= LAPIC_ISR && number < LAPIC_ESR;
}

Test(lapic_regs, each_reserved_register_when_touched_then_zero_and_an_error)
{
	struct lapic_rig rig;

	for (unsigned n = 0; n < 0x100; n++) {
		lapic_rig_open(&rig, 0, true);
		for (int is_write = 0; is_write < 2; is_write++) {
			if (is_write)
				lapic_rig_out(&rig, n, 0);
			else if (!is_known(n))
				cr_assert_eq(lapic_rig_in(&rig, n), 0);
			else
				lapic_rig_in(&rig, n);
			if (n == LAPIC_ICR) /* vector 0 was sent: an error of its own */
				continue;
			lapic_rig_out(&rig, LAPIC_ESR, 0);
			cr_assert_eq(lapic_rig_in(&rig, LAPIC_ESR), is_known(n) ? 0 : 0x80,
				     "register %#x", n);
			lapic_rig_out(&rig, LAPIC_ESR, 0);
		}
		lapic_rig_close(&rig);
	}
}

/* x2APIC: what RDMSR gives after reset, and the bits that WRMSR takes (GP: no such access). */
static const struct {
	uint32_t index;
	uint64_t read, writable;
} msr_rows[] = {
	{0x802, 0x25, GP},
	{0x803, 0x50014, GP},
	{0x808, 0, 0xff},
	{0x80a, 0, GP},
	{0x80b, GP, 0},
	{0x80d, 0x20020, GP},
	{0x80f, 0x1ff, 0x3ff},
	{0x810, 0, GP},
	{0x817, 0, GP},
	{0x818, 0, GP},
	{0x81f, 0, GP},
	{0x820, 0, GP},
	{0x827, 0, GP},
	{0x828, 0, 0},
	{0x830, 0, 0xffffffff000cdfff},
	{0x832, 0x10000, 0x710ff},
	{0x833, 0x10000, 0x117ff},
	{0x834, 0x10000, 0x117ff},
	{0x835, 0x10000, 0x1f7ff},
	{0x836, 0x10000, 0x1f7ff},
	{0x837, 0x10000, 0x110ff},
	{0x838, 0, 0xffffffff},
	{0x839, 0, GP},
	{0x83e, 0, 0xb},
	{0x83f, GP, 0xff},
};

static void check_msr(uint32_t index, uint64_t read, uint64_t writable)
{
	struct lapic_rig rig;
	uint64_t value;

	lapic_rig_open(&rig, 0x25, true);
	cr_assert_not(lapic_rdmsr(rig.l, index, &value, rig.now), "%#x in xAPIC mode", index);
	cr_assert_not(lapic_rig_wrmsr(&rig, index, 0), "%#x in xAPIC mode", index);
	lapic_rig_to_x2(&rig);
	cr_assert_eq(lapic_rdmsr(rig.l, index, &value, rig.now), read != GP, "rdmsr %#x", index);
	if (read != GP)
		cr_assert_eq(value, read, "rdmsr %#x: %#llx", index, (unsigned long long)value);
	for (unsigned bit = 0; bit < 64; bit++)
		cr_assert_eq(lapic_rig_wrmsr(&rig, index, 1ull << bit),
			     writable != GP && (writable >> bit & 1), "wrmsr %#x bit %u", index,
			     bit);
	cr_assert_eq(lapic_rig_wrmsr(&rig, index, 0), writable != GP, "wrmsr %#x of 0", index);
	lapic_rig_close(&rig);
}

Test(lapic_regs, each_msr_when_accessed_then_value_or_gp)
{
	for (uint32_t index = 0x7ff; index <= 0x901; index++) {
		uint64_t read = GP;
		uint64_t writable = GP;

		/* ISR, TMR and IRR: the rows name the first and last of each. */
		if (index > 0x810 && index < 0x827)
			read = 0;
		for (size_t i = 0; i < UMBRA_ARRAY_SIZE(msr_rows); i++) {
			if (msr_rows[i].index == index) {
				read = msr_rows[i].read;
				writable = msr_rows[i].writable;
			}
		}
		check_msr(index, read, writable);
	}
}

Test(lapic_regs, x2apic_icr_when_written_then_64_bits_at_once)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_to_x2(&rig);
	cr_assert(lapic_rig_wrmsr(&rig, 0x830, 0x12345678000048f1));
	cr_assert_eq(rig.sent_count, 1);
	cr_assert_eq(rig.sent.dest, 0x12345678);
	cr_assert(rig.sent.is_wide && rig.sent.is_logical);
	cr_assert_eq(lapic_rig_rdmsr(&rig, 0x830), 0x12345678000048f1);
	lapic_rig_close(&rig);
}

/* Modes: from, to, and whether the MSR write is taken.  Bits: 11 enabled, 10 x2APIC. */
Test(lapic_regs, base_when_written_then_only_legal_transitions)
{
	static const struct {
		unsigned from, to;
		bool is_good;
	} rows[] = {
		{0x000, 0x000, true},  {0x000, 0x400, false}, {0x000, 0x800, true},
		{0x000, 0xc00, false}, {0x800, 0x000, true},  {0x800, 0x400, false},
		{0x800, 0x800, true},  {0x800, 0xc00, true},  {0xc00, 0x000, true},
		{0xc00, 0x400, false}, {0xc00, 0x800, false}, {0xc00, 0xc00, true},
	};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		lapic_rig_open(&rig, 0, true);
		if (rows[i].from == 0xc00)
			lapic_rig_to_x2(&rig);
		if (rows[i].from == 0)
			cr_assert(lapic_set_base(rig.l, 0xfee00100, 40));
		cr_assert_eq(lapic_set_base(rig.l, 0xfee00100 | rows[i].to, 40), rows[i].is_good,
			     "row %zu", i);
		cr_assert_eq(lapic_base(rig.l),
			     0xfee00100 | (rows[i].is_good ? rows[i].to : rows[i].from));
		lapic_rig_close(&rig);
	}
}

Test(lapic_regs, base_when_reserved_bits_are_set_then_refused)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, false);
	for (unsigned bit = 0; bit < 64; bit++) {
		bool is_good = (bit >= 12 && bit < 36) || bit == 8 || bit == 11;

		cr_assert_eq(lapic_set_base(rig.l, 1ull << bit | LAPIC_BASE_EN, 36),
			     is_good || bit == 10, "bit %u", bit);
		if (bit == 10)
			cr_assert(lapic_set_base(rig.l, 0, 36) &&
				  lapic_set_base(rig.l, LAPIC_BASE_EN, 36));
	}
	lapic_rig_close(&rig);
}

Test(lapic_regs, apic_when_switched_off_then_registers_as_at_reset)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 3, true);
	lapic_rig_out(&rig, LAPIC_ID, 0x55000000);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x20030);
	lapic_rig_out(&rig, LAPIC_INITIAL, 100);
	lapic_rig_fixed(&rig, 0x40, true);
	cr_assert(lapic_set_base(rig.l, 0xfee00000, 40));
	cr_assert_eq(lapic_pending(rig.l), -1);
	cr_assert_not(lapic_rig_fixed(&rig, 0x40, false));
	lapic_set_cr8(rig.l, 9);
	cr_assert_eq(lapic_cr8(rig.l), 9, "CR8 works all the same");
	lapic_set_lint(rig.l, 0, true);
	cr_assert(lapic_has_extint(rig.l));
	lapic_set_lint(rig.l, 0, false);
	lapic_set_cr8(rig.l, 0);
	cr_assert(lapic_set_base(rig.l, 0xfee00800, 40));
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(mmio_rows); i++)
		cr_assert_eq(lapic_rig_in(&rig, mmio_rows[i].number), mmio_rows[i].at_reset);
	cr_assert_eq(lapic_timer_ns(rig.l), IRQCHIP_NEVER);
	lapic_rig_close(&rig);
}

Test(lapic_regs, reset_when_bootstrap_processor_then_lint0_is_open_for_the_8259a)
{
	for (unsigned id = 0; id < 2; id++) {
		struct lapic_rig rig;

		lapic_rig_open(&rig, id, false);
		cr_assert_eq(lapic_base(rig.l), id ? 0xfee00800 : 0xfee00900);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_LVT_LINT0), id ? 0x10000 : 0x700);
		lapic_set_lint(rig.l, 0, true);
		cr_assert_eq(lapic_has_extint(rig.l), id == 0);
		lapic_rig_out(&rig, LAPIC_LVT_LINT0, 0x700);
		cr_assert_not(lapic_has_extint(rig.l), "off by software: masks stay");
		lapic_rig_out(&rig, LAPIC_SVR, 0x100);
		lapic_rig_out(&rig, LAPIC_LVT_LINT0, 0x700);
		cr_assert(lapic_has_extint(rig.l));
		lapic_rig_close(&rig);
	}
}

Test(lapic_regs, svr_when_software_switches_off_then_all_lvts_are_masked)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	for (unsigned n = LAPIC_LVT_TIMER; n <= LAPIC_LVT_ERROR; n++)
		lapic_rig_out(&rig, n, 0x40);
	lapic_rig_out(&rig, LAPIC_SVR, 0xff);
	for (unsigned n = LAPIC_LVT_TIMER; n <= LAPIC_LVT_ERROR; n++) {
		cr_assert_eq(lapic_rig_in(&rig, n), 0x10040, "lvt %#x", n);
		lapic_rig_out(&rig, n, 0x41);
		cr_assert_eq(lapic_rig_in(&rig, n), 0x10041, "lvt %#x", n);
	}
	lapic_rig_close(&rig);
}

Test(lapic_regs, init_when_it_comes_then_reset_but_for_id_and_base)
{
	struct apic_message message = {.delivery = APIC_INIT};
	struct lapic_rig rig;

	lapic_rig_open(&rig, 1, true);
	lapic_rig_out(&rig, LAPIC_ID, 0x77000000);
	lapic_rig_out(&rig, LAPIC_TPR, 0x30);
	cr_assert(lapic_set_base(rig.l, 0xfed00800, 40));
	cr_assert(lapic_accept(rig.l, &message));
	cr_assert_eq(rig.signal, APIC_INIT);
	cr_assert_eq(lapic_base(rig.l), 0xfed00800);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_ID), 0x77000000);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_TPR), 0);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_SVR), 0xff);
	lapic_rig_close(&rig);
}

/* Random accesses in every mode: nothing goes out of bounds, and a copy by save and load behaves
 * the same. */

#define BLOB_BYTES 512

static uint32_t roll(uint64_t *state, uint32_t sides)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33) % sides;
}

static uint32_t random_value(uint64_t *dice)
{
	return roll(dice, 2) ? roll(dice, 0x800) : roll(dice, 0x80000000) << 1;
}

static uint64_t random_act(struct lapic_rig *rig, uint64_t *dice)
{
	unsigned number = roll(dice, 0x40);
	struct apic_message message = {
		.vector = (uint8_t)roll(dice, 256),
		.delivery = (uint8_t)(roll(dice, 4) ? 0 : roll(dice, 8)),
		.is_level = roll(dice, 2),
	};
	uint64_t value = 0;

	rig->now.ns += roll(dice, 5000);
	rig->now.tsc += roll(dice, 5000);
	switch (roll(dice, 10)) {
	case 0:
		return lapic_accept(rig->l, &message);
	case 1:
		return (uint64_t)lapic_take(rig->l);
	case 2:
		lapic_set_lint(rig->l, roll(dice, 2), roll(dice, 2));
		return 0;
	case 3:
		return lapic_rig_in(rig, number);
	case 4:
		lapic_rig_out(rig, number, random_value(dice));
		return 0;
	case 5:
		lapic_rdmsr(rig->l, roll(dice, 9) ? 0x800 + number : 0x6e0, &value, rig->now);
		return value;
	case 6:
		return lapic_rig_wrmsr(rig, roll(dice, 9) ? 0x800 + number : 0x6e0,
				       rig->now.tsc + random_value(dice));
	case 7:
		lapic_rig_out(rig, LAPIC_EOI, 0);
		lapic_rig_out(rig, LAPIC_SVR, 0x1ff);
		return lapic_timer_ns(rig->l) ^ lapic_timer_tsc(rig->l);
	case 8:
		if (roll(dice, 4) == 0)
			lapic_take_extint(rig->l);
		return 0;
	default:
		return roll(dice, 20) ? 0 : lapic_set_base(rig->l, roll(dice, 8) << 9, 40);
	}
}

Test(lapic_regs, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	struct lapic_rig a, b;
	uint8_t bytes[BLOB_BYTES];
	uint64_t dice = 11;

	lapic_rig_open(&a, 2, true);
	lapic_rig_open(&b, 2, true);
	for (unsigned i = 0; i < 300000; i++) {
		uint64_t copy;

		if (i % 9 == 0) {
			struct blob out = blob_over(bytes, sizeof(bytes));
			struct blob in;
			struct umbra_err err = {.text = ""};

			lapic_ops.save(a.l, &out);
			cr_assert_not(out.is_failed);
			in = blob_over(bytes, out.pos);
			cr_assert_eq(lapic_ops.load(b.l, &in, &err), 0, "step %u: %s", i, err.text);
		}
		copy = dice;
		b.now = a.now;
		cr_assert_eq(random_act(&a, &dice), random_act(&b, &copy), "step %u", i);
		cr_assert_eq(a.sent_count, b.sent_count);
		cr_assert_eq(a.signal_count, b.signal_count);
		cr_assert_eq(a.eoi_count, b.eoi_count);
		cr_assert_eq(lapic_pending(a.l), lapic_pending(b.l), "step %u", i);
		cr_assert_eq(lapic_has_extint(a.l), lapic_has_extint(b.l), "step %u", i);
	}
	cr_assert_gt(a.sent_count, 100);
	cr_assert_gt(a.eoi_count, 100);
	lapic_rig_close(&a);
	lapic_rig_close(&b);
}

Test(lapic_regs, load_when_cut_or_impossible_then_refused_and_unchanged)
{
	/* Version, id, inputs, base, errors, two times, then 64 registers. */
	enum { BASE = 3, ERRORS = 11, REGS = 31 };
	static const struct {
		unsigned at;
		uint8_t value;
	} rows[] = {
		{0, 1},
		{1, 3},
		{2, 8},
		{BASE, 1},
		{BASE + 1, 0x04},
		{ERRORS, 1},
		{REGS, 1},
		{REGS + 4 * LAPIC_VERSION, 0},
		{REGS + 4 * LAPIC_TPR + 1, 1},
		{REGS + 4 * LAPIC_DFR, 0},
		{REGS + 4 * LAPIC_IRR, 1},
		{REGS + 4 * LAPIC_ISR + 1, 0x80},
		{REGS + 4 * LAPIC_ESR, 1},
		{REGS + 4 * LAPIC_ICR_HIGH, 1},
		{REGS + 4 * LAPIC_LVT_TIMER + 3, 1},
		{REGS + 4 * LAPIC_DIVIDE, 4},
		{REGS + 4 * 0x3a, 1},
	};
	struct lapic_rig rig;
	uint8_t good[BLOB_BYTES], bad[BLOB_BYTES];
	struct blob out = blob_over(good, sizeof(good));
	struct blob in;

	lapic_rig_open(&rig, 2, true);
	lapic_ops.save(rig.l, &out);
	for (size_t cut = 0; cut < out.pos; cut++) {
		in = blob_over(good, cut);
		cr_assert_eq(lapic_ops.load(rig.l, &in, NULL), -EINVAL);
	}
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		memcpy(bad, good, sizeof(bad));
		bad[rows[i].at] = rows[i].value;
		in = blob_over(bad, out.pos);
		cr_assert_eq(lapic_ops.load(rig.l, &in, NULL), -EINVAL, "row %zu", i);
	}
	out = blob_over(bad, sizeof(bad));
	lapic_ops.save(rig.l, &out);
	cr_assert_arr_eq(good, bad, out.pos);
	lapic_rig_close(&rig);
}
