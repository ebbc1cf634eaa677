/* Tests of the local APIC's behaviour: priorities, EOI, destinations, IPIs, local inputs, errors
 * and the timer. */
#include "lapic_rig.h"

#include <criterion/criterion.h>

/* Priorities. */

Test(lapic, vectors_when_pending_then_highest_first_and_only_above_ppr)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	cr_assert(lapic_rig_fixed(&rig, 0x41, false));
	cr_assert(lapic_rig_fixed(&rig, 0xfe, false));
	cr_assert(lapic_rig_fixed(&rig, 0x4f, false));
	cr_assert_eq(lapic_take(rig.l), 0xfe);
	cr_assert_eq(lapic_take(rig.l), -1);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_PPR), 0xf0);
	lapic_rig_out(&rig, LAPIC_EOI, 0);
	cr_assert_eq(lapic_take(rig.l), 0x4f);
	cr_assert_eq(lapic_take(rig.l), -1, "of the same class");
	cr_assert(lapic_rig_fixed(&rig, 0x50, false));
	cr_assert_eq(lapic_take(rig.l), 0x50);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_ISR + 2), 0x18000);
	lapic_rig_close(&rig);
}

Test(lapic, ppr_when_tpr_and_isr_differ_then_table)
{
	/* SDM 3A 11.8.3.1: TPR, vector in service, PPR. */
	static const struct {
		uint8_t tpr, vector, ppr;
	} rows[] = {{0x00, 0, 0x00},	{0x35, 0, 0x35},    {0x35, 0x41, 0x40},
		    {0x45, 0x4f, 0x45}, {0x55, 0x41, 0x55}, {0x4f, 0xf1, 0xf0}};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		lapic_rig_open(&rig, 0, true);
		if (rows[i].vector) {
			lapic_rig_fixed(&rig, rows[i].vector, false);
			cr_assert_eq(lapic_take(rig.l), rows[i].vector);
		}
		lapic_rig_out(&rig, LAPIC_TPR, rows[i].tpr);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_PPR), rows[i].ppr, "row %zu", i);
		cr_assert_eq(lapic_cr8(rig.l), rows[i].tpr >> 4);
		lapic_rig_close(&rig);
	}
}

Test(lapic, cr8_when_raised_then_its_class_and_below_wait)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_fixed(&rig, 0x5f, false);
	lapic_set_cr8(rig.l, 5);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_TPR), 0x50);
	cr_assert_eq(lapic_pending(rig.l), -1);
	lapic_set_cr8(rig.l, 4);
	cr_assert_eq(lapic_pending(rig.l), 0x5f);
	lapic_rig_close(&rig);
}

Test(lapic, each_vector_when_accepted_then_its_bits)
{
	struct lapic_rig rig;

	for (unsigned v = 0; v < 256; v++) {
		bool is_level = v & 1;
		unsigned reg = v / 32;
		uint32_t bit = 1u << (v % 32);

		lapic_rig_open(&rig, 0, true);
		cr_assert_eq(lapic_rig_fixed(&rig, (uint8_t)v, is_level), v >= 16, "vector %u", v);
		lapic_rig_out(&rig, LAPIC_ESR, 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_ESR), v < 16 ? 0x40 : 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_IRR + reg), v < 16 ? 0 : bit);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_TMR + reg), v < 16 || !is_level ? 0 : bit);
		if (v >= 16)
			cr_assert_eq(lapic_take(rig.l), (int)v);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_IRR + reg), 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_ISR + reg), v < 16 ? 0 : bit);
		lapic_rig_out(&rig, LAPIC_EOI, 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_ISR + reg), 0);
		cr_assert_eq(rig.eoi_count, v >= 16 && is_level);
		cr_assert_eq(rig.eoi_vector, v >= 16 && is_level ? v : 0);
		lapic_rig_close(&rig);
	}
}

Test(lapic, messages_when_off_by_software_then_only_nmi_init_smi_sipi)
{
	struct lapic_rig rig;

	for (unsigned mode = 0; mode < 8; mode++) {
		struct apic_message message = {.vector = 0x40, .delivery = (uint8_t)mode};
		bool is_signal = mode == APIC_NMI || mode == APIC_SMI || mode == APIC_INIT ||
				 mode == APIC_SIPI;

		lapic_rig_open(&rig, 1, false);
		cr_assert_eq(lapic_accept(rig.l, &message), is_signal, "mode %u", mode);
		cr_assert_eq(rig.signal_count, is_signal);
		if (is_signal)
			cr_assert_eq(rig.signal, mode);
		cr_assert_eq(lapic_arbitration(rig.l), 256);
		lapic_rig_close(&rig);
	}
}

/* What could make an interrupt spurious between INTR and INTA (SDM 3A 11.9), each after the request
 * was seen: nothing is taken, the spurious vector least of all, and nothing is lost. */
Test(lapic, request_when_it_cannot_be_taken_any_more_then_waits_and_nothing_is_spurious)
{
	static const struct {
		unsigned number; /* 0: a more urgent one is in service */
		uint32_t hides, shows;
	} rows[] = {
		{LAPIC_TPR, 0x4f, 0x3f},
		{LAPIC_TPR, 0xff, 0},
		{0, 0, 0},
	};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		lapic_rig_open(&rig, 0, true);
		if (!rows[i].number)
			lapic_rig_fixed(&rig, 0x45, false);
		lapic_rig_fixed(&rig, 0x41, false);
		cr_assert_geq(lapic_pending(rig.l), 0x41, "row %zu", i);
		if (rows[i].number)
			lapic_rig_out(&rig, rows[i].number, rows[i].hides);
		else
			cr_assert_eq(lapic_take(rig.l), 0x45);
		cr_assert_eq(lapic_take(rig.l), -1, "row %zu", i);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_IRR + 2), 2, "row %zu", i);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_ISR + 7), 0, "row %zu", i);
		if (rows[i].number)
			lapic_rig_out(&rig, rows[i].number, rows[i].shows);
		else
			lapic_rig_out(&rig, LAPIC_EOI, 0);
		cr_assert_eq(lapic_take(rig.l), 0x41, "row %zu", i);
		lapic_rig_close(&rig);
	}
}

/* A request that was accepted stays one, though its source is gone or masked. */
Test(lapic, request_when_its_source_goes_away_then_taken_all_the_same)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_LVT_LINT1, 0x8041);
	lapic_set_lint(rig.l, 1, true);
	lapic_set_lint(rig.l, 1, false);
	lapic_rig_out(&rig, LAPIC_LVT_LINT1, 0x18041);
	lapic_rig_out(&rig, LAPIC_SVR, 0xff);
	cr_assert_eq(lapic_take(rig.l), 0x41);
	cr_assert_eq(lapic_take(rig.l), -1);
	lapic_rig_close(&rig);
}

/* Destinations. */

Test(lapic, destination_when_matched_then_table)
{
	static const struct {
		bool is_x2;
		uint32_t ldr, dfr; /* xAPIC */
		bool is_logical, is_wide;
		uint32_t dest;
		bool is_target;
	} rows[] = {
		/* Physical; the APIC's ID is 0x13. */
		{false, 0, ~0u, false, false, 0x13, true},
		{false, 0, ~0u, false, false, 0x12, false},
		{false, 0, ~0u, false, false, 0xff, true},
		{false, 0, ~0u, false, true, 0xff, false},
		{false, 0, ~0u, false, true, ~0u, true},
		{true, 0, 0, false, true, 0x13, true},
		{true, 0, 0, false, true, 0x113, false},
		{true, 0, 0, false, true, 0xff, false},
		{true, 0, 0, false, true, ~0u, true},
		{true, 0, 0, false, false, 0xff, true},
		/* Flat. */
		{false, 0x04000000, ~0u, true, false, 0x0c, true},
		{false, 0x04000000, ~0u, true, false, 0x03, false},
		{false, 0, ~0u, true, false, 0x7f, false},
		{false, 0x04000000, ~0u, true, true, 0x104, false},
		/* Cluster 2, members 0 and 2. */
		{false, 0x25000000, 0, true, false, 0x24, true},
		{false, 0x25000000, 0, true, false, 0x2a, false},
		{false, 0x25000000, 0, true, false, 0x34, false},
		{false, 0x25000000, 0, true, false, 0xff, true},
		{false, 0x25000000, 0x70000000, true, false, 0x24, false},
		/* x2APIC: cluster 1, member 3. */
		{true, 0, 0, true, true, 0x00010008, true},
		{true, 0, 0, true, true, 0x0001fff7, false},
		{true, 0, 0, true, true, 0x00020008, false},
		{true, 0, 0, true, true, ~0u, true},
	};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct apic_message message = {.dest = rows[i].dest,
					       .is_logical = rows[i].is_logical,
					       .is_wide = rows[i].is_wide};

		lapic_rig_open(&rig, 0x13, true);
		lapic_rig_out(&rig, LAPIC_LDR, rows[i].ldr);
		lapic_rig_out(&rig, LAPIC_DFR, rows[i].dfr);
		if (rows[i].is_x2)
			lapic_rig_to_x2(&rig);
		cr_assert_eq(lapic_is_target(rig.l, &message), rows[i].is_target, "row %zu", i);
		lapic_rig_close(&rig);
	}
}

/* Sending. */

Test(lapic, icr_when_written_then_message)
{
	static const struct {
		uint32_t high, low;
		unsigned sent;
		struct apic_message message;
	} rows[] = {
		{0x05000000, 0x000040f1, 1, {.dest = 5, .vector = 0xf1}},
		{0x03000000,
		 0x00004941,
		 1,
		 {.dest = 3, .vector = 0x41, .delivery = APIC_LOWEST, .is_logical = true}},
		{0x01000000, 0x00000400, 1, {.dest = 1, .delivery = APIC_NMI}},
		{0x01000000, 0x0000c500, 1, {.dest = 1, .delivery = APIC_INIT}},
		{0x01000000, 0x00004500, 1, {.dest = 1, .delivery = APIC_INIT}},
		{0x01000000, 0x00008500, 0, {.dest = 0}}, /* level de-assert */
		{0x01000000, 0x0000469a, 1, {.dest = 1, .delivery = APIC_SIPI, .vector = 0x9a}},
		{0, 0x00044041, 1, {.vector = 0x41, .shorthand = APIC_TO_SELF}},
		{0, 0x00084041, 1, {.vector = 0x41, .shorthand = APIC_TO_ALL}},
		{0, 0x000c4041, 1, {.vector = 0x41, .shorthand = APIC_TO_OTHERS}},
		{0, 0x0000400f, 0, {.dest = 0}},	  /* an illegal vector */
		{0x01000000, 0x00004341, 0, {.dest = 0}}, /* reserved: 3, and ExtINT's number */
		{0x01000000, 0x00004741, 0, {.dest = 0}},
	};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		const struct apic_message *m = &rows[i].message;

		lapic_rig_open(&rig, 0, true);
		lapic_rig_out(&rig, LAPIC_ICR_HIGH, rows[i].high);
		cr_assert_eq(rig.sent_count, 0, "the upper half sends nothing");
		lapic_rig_out(&rig, LAPIC_ICR, rows[i].low);
		cr_assert_eq(rig.sent_count, rows[i].sent, "row %zu", i);
		cr_assert(rig.sent.dest == m->dest && rig.sent.vector == m->vector &&
				  rig.sent.delivery == m->delivery &&
				  rig.sent.is_logical == m->is_logical &&
				  rig.sent.shorthand == m->shorthand && !rig.sent.is_wide,
			  "row %zu", i);
		lapic_rig_out(&rig, LAPIC_ESR, 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_ESR), (rows[i].low & 0x7f0) ? 0 : 0x20);
		lapic_rig_close(&rig);
	}
}

Test(lapic, self_ipi_when_written_then_pending_or_error)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_to_x2(&rig);
	cr_assert(lapic_rig_wrmsr(&rig, 0x83f, 0x66));
	cr_assert_eq(lapic_take(rig.l), 0x66);
	cr_assert(lapic_rig_wrmsr(&rig, 0x83f, 0x0f));
	cr_assert(lapic_rig_wrmsr(&rig, 0x828, 0));
	cr_assert_eq(lapic_rig_rdmsr(&rig, 0x828), 0x20);
	lapic_rig_close(&rig);
}

Test(lapic, error_when_first_since_esr_was_written_then_interrupts)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_LVT_ERROR, 0x71);
	lapic_rig_fixed(&rig, 3, false);
	cr_assert_eq(lapic_take(rig.l), 0x71);
	lapic_rig_out(&rig, LAPIC_EOI, 0);
	lapic_rig_fixed(&rig, 4, false);
	cr_assert_eq(lapic_take(rig.l), -1);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_ESR), 0, "not before the write");
	lapic_rig_out(&rig, LAPIC_ESR, 0);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_ESR), 0x40);
	lapic_rig_fixed(&rig, 5, false);
	cr_assert_eq(lapic_take(rig.l), 0x71);
	/* An error entry with an illegal vector is an error and no endless one. */
	lapic_rig_out(&rig, LAPIC_LVT_ERROR, 0x01);
	lapic_rig_out(&rig, LAPIC_ESR, 0);
	lapic_rig_fixed(&rig, 5, false);
	lapic_rig_close(&rig);
}

/* Local inputs. */

Test(lapic, lint_when_it_rises_then_as_its_entry_says)
{
	static const struct {
		uint32_t lvt;
		int vector;
		int signal; /* enum apic_delivery, or -1 */
		bool is_extint, is_open_nmi;
	} rows[] = {
		{0x00041, 0x41, -1, false, false},     {0x10041, -1, -1, false, false},
		{0x00400, -1, APIC_NMI, false, true},  {0x10400, -1, -1, false, false},
		{0x00200, -1, APIC_SMI, false, false}, {0x00500, -1, APIC_INIT, false, true},
		{0x00700, -1, -1, true, false},	       {0x10700, -1, -1, false, false},
		{0x00141, -1, -1, false, false},       {0x00600, -1, -1, false, false},
		{0x08041, 0x41, -1, false, false},     {0x00005, -1, -1, false, false},
	};
	struct lapic_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		for (unsigned pin = 0; pin < 2; pin++) {
			lapic_rig_open(&rig, 1, true);
			lapic_rig_out(&rig, LAPIC_LVT_LINT0 + pin, rows[i].lvt);
			cr_assert_not(lapic_has_extint(rig.l), "row %zu", i);
			cr_assert_eq(lapic_has_open_nmi(rig.l), pin == 0 && rows[i].is_open_nmi);
			lapic_set_lint(rig.l, pin, true);
			lapic_set_lint(rig.l, pin, true);
			cr_assert_eq(lapic_has_extint(rig.l), pin == 0 && rows[i].is_extint);
			cr_assert_eq(lapic_take(rig.l), rows[i].vector, "row %zu", i);
			cr_assert_eq(rig.signal_count, rows[i].signal >= 0, "row %zu", i);
			if (rows[i].signal >= 0)
				cr_assert_eq((int)rig.signal, rows[i].signal);
			lapic_rig_close(&rig);
		}
	}
}

Test(lapic, lint_when_level_triggered_then_again_after_each_eoi)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_set_lint(rig.l, 0, true);
	lapic_rig_out(&rig, LAPIC_LVT_LINT0, 0x8041);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_LVT_LINT0), 0xc041, "remote IRR");
		cr_assert_eq(lapic_take(rig.l), 0x41);
		cr_assert_eq(lapic_take(rig.l), -1);
		if (i == 2)
			lapic_set_lint(rig.l, 0, false);
		lapic_rig_out(&rig, LAPIC_EOI, 0);
	}
	cr_assert_eq(lapic_take(rig.l), -1);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_LVT_LINT0), 0x8041);
	lapic_rig_close(&rig);
}

/* ExtINT. */

static const struct apic_message EXTINT = {.delivery = APIC_EXTINT, .vector = 0x41};

Test(lapic, extint_when_it_comes_by_message_then_waits_without_a_vector)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 1, true);
	lapic_rig_out(&rig, LAPIC_TPR, 0xff);
	cr_assert(lapic_accept(rig.l, &EXTINT));
	cr_assert(lapic_accept(rig.l, &EXTINT), "the second joins the first");
	cr_assert(lapic_has_extint(rig.l), "whatever the priority");
	cr_assert_eq(lapic_pending(rig.l), -1);
	for (unsigned n = 0; n < 8; n++)
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_IRR + n), 0);
	cr_assert_eq(rig.signal_count, 0);
	lapic_take_extint(rig.l);
	cr_assert_not(lapic_has_extint(rig.l));
	lapic_rig_close(&rig);
}

Test(lapic, extint_when_taken_then_lint0_still_asks_as_long_as_it_is_high)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_LVT_LINT0, 0x700);
	lapic_set_lint(rig.l, 0, true);
	lapic_accept(rig.l, &EXTINT);
	lapic_take_extint(rig.l);
	cr_assert(lapic_has_extint(rig.l));
	lapic_set_lint(rig.l, 0, false);
	cr_assert_not(lapic_has_extint(rig.l));
	lapic_rig_close(&rig);
}

Test(lapic, extint_when_apic_is_reset_then_forgotten)
{
	static const struct apic_message init = {.delivery = APIC_INIT};
	struct lapic_rig rig;

	lapic_rig_open(&rig, 1, true);
	lapic_accept(rig.l, &EXTINT);
	lapic_accept(rig.l, &init);
	cr_assert_not(lapic_has_extint(rig.l));
	lapic_rig_out(&rig, LAPIC_SVR, 0x1ff);
	lapic_accept(rig.l, &EXTINT);
	cr_assert(lapic_set_base(rig.l, 0xfee00000, 40));
	cr_assert_not(lapic_has_extint(rig.l));
	cr_assert_not(lapic_accept(rig.l, &EXTINT), "off");
	lapic_rig_close(&rig);
}

/* Timer. */

static void tick_at(struct lapic_rig *rig, uint64_t ns)
{
	rig->now.ns = ns;
	lapic_tick(rig->l, rig->now);
}

Test(lapic, timer_when_divided_then_each_rate)
{
	static const unsigned divisor[16] = {
		[0] = 2, [1] = 4, [2] = 8, [3] = 16, [8] = 32, [9] = 64, [10] = 128, [11] = 1};
	struct lapic_rig rig;

	for (unsigned d = 0; d < 16; d++) {
		if (!divisor[d])
			continue;
		lapic_rig_open(&rig, 0, true);
		lapic_rig_out(&rig, LAPIC_DIVIDE, d);
		lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0xee);
		lapic_rig_out(&rig, LAPIC_INITIAL, 1000);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 1000);
		cr_assert_eq(lapic_timer_ns(rig.l), 1000 + 1000 * divisor[d], "divide %#x", d);
		rig.now.ns += 400 * divisor[d];
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 600, "divide %#x", d);
		lapic_rig_close(&rig);
	}
}

Test(lapic, timer_when_one_shot_then_fires_once)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_DIVIDE, 0xb);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0xee);
	lapic_rig_out(&rig, LAPIC_INITIAL, 500);
	tick_at(&rig, 1499);
	cr_assert_eq(lapic_pending(rig.l), -1);
	tick_at(&rig, 1500);
	cr_assert_eq(lapic_take(rig.l), 0xee);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 0);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_INITIAL), 500);
	cr_assert_eq(lapic_timer_ns(rig.l), IRQCHIP_NEVER);
	/* Periodic now: it has stopped and stays so. */
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x200ee);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 0);
	lapic_rig_close(&rig);
}

Test(lapic, timer_when_periodic_then_fires_each_period)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_DIVIDE, 0xb);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x200ee);
	lapic_rig_out(&rig, LAPIC_INITIAL, 500);
	for (uint64_t t = 1500; t < 10000; t += 500) {
		cr_assert_eq(lapic_timer_ns(rig.l), t);
		tick_at(&rig, t);
		cr_assert_eq(lapic_take(rig.l), 0xee);
		lapic_rig_out(&rig, LAPIC_EOI, 0);
		cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 500);
	}
	tick_at(&rig, 20123); /* many are missed: one interrupt, and the phase stays */
	cr_assert_eq(lapic_take(rig.l), 0xee);
	cr_assert_eq(lapic_timer_ns(rig.l), 20500);
	/* One-shot from here: the count goes on. */
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0xee);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 377);
	/* Slower from here. */
	lapic_rig_out(&rig, LAPIC_DIVIDE, 0x3);
	cr_assert_eq(lapic_timer_ns(rig.l), 20123 + 377 * 16);
	lapic_rig_out(&rig, LAPIC_INITIAL, 0);
	cr_assert_eq(lapic_timer_ns(rig.l), IRQCHIP_NEVER);
	lapic_rig_close(&rig);
}

Test(lapic, timer_when_masked_then_counts_in_silence)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	lapic_rig_out(&rig, LAPIC_DIVIDE, 0xb);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x300ee);
	lapic_rig_out(&rig, LAPIC_INITIAL, 500);
	cr_assert_eq(lapic_timer_ns(rig.l), IRQCHIP_NEVER);
	rig.now.ns = 1000 + 500 * 3 + 100;
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_CURRENT), 400);
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x200ee);
	cr_assert_eq(lapic_pending(rig.l), -1, "what passed while masked is gone");
	cr_assert_eq(lapic_timer_ns(rig.l), 3000);
	lapic_rig_close(&rig);
}

Test(lapic, timer_when_tsc_deadline_then_fires_at_that_tsc)
{
	struct lapic_rig rig;

	lapic_rig_open(&rig, 0, true);
	cr_assert(lapic_rig_wrmsr(&rig, 0x6e0, 900));
	cr_assert_eq(lapic_rig_rdmsr(&rig, 0x6e0), 0, "not in its mode");
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x400ee);
	lapic_rig_out(&rig, LAPIC_INITIAL, 500);
	cr_assert_eq(lapic_rig_in(&rig, LAPIC_INITIAL), 0);
	cr_assert(lapic_rig_wrmsr(&rig, 0x6e0, 900));
	cr_assert_eq(lapic_rig_rdmsr(&rig, 0x6e0), 900);
	cr_assert_eq(lapic_timer_tsc(rig.l), 900);
	cr_assert_eq(lapic_timer_ns(rig.l), IRQCHIP_NEVER);
	rig.now.tsc = 899;
	tick_at(&rig, 1399);
	cr_assert_eq(lapic_pending(rig.l), -1);
	rig.now.tsc = 900;
	tick_at(&rig, 1400);
	cr_assert_eq(lapic_take(rig.l), 0xee);
	cr_assert_eq(lapic_rig_rdmsr(&rig, 0x6e0), 0);
	lapic_rig_out(&rig, LAPIC_EOI, 0);
	cr_assert(lapic_rig_wrmsr(&rig, 0x6e0, 5)); /* long past */
	cr_assert_eq(lapic_take(rig.l), 0xee);
	cr_assert(lapic_rig_wrmsr(&rig, 0x6e0, 5000));
	lapic_rig_out(&rig, LAPIC_LVT_TIMER, 0x000ee);
	cr_assert_eq(lapic_timer_tsc(rig.l), IRQCHIP_NEVER, "disarmed by the change of mode");
	lapic_rig_close(&rig);
}
