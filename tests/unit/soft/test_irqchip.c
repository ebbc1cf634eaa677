/* Tests of how the interrupt chips are wired to each other, to the bus and to vCPUs. */
#include "irqchip_rig.h"

#include "src/accel/soft/irq.h"

#include <criterion/criterion.h>

/* 8259A pair. */

Test(irqchip, line_when_apics_are_untouched_then_bootstrap_processor_takes_it_from_the_pair)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]), "the timer's line is no interrupt yet");
	soft_irqchip_set(&rig.vm, 4, true);
	cr_assert(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(irqchip_rig_posted(&rig, 0), PEND_IRQ);
	for (unsigned i = 1; i < CPUS; i++) {
		cr_assert_not(soft_irq_is_pending(&rig.cpu[i]));
		cr_assert_eq(irqchip_rig_posted(&rig, i), 0);
	}
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), -1);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x24);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), -1);
	irqchip_rig_close(&rig);
}

Test(irqchip, lint0_when_masked_then_the_pair_is_not_heard)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	irqchip_rig_lapic_out(&rig, 0, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x10700);
	soft_irqchip_set(&rig.vm, 4, true);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(irqchip_rig_posted(&rig, 0), 0);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x700);
	cr_assert(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(irqchip_rig_posted(&rig, 0), PEND_IRQ);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x400);
	cr_assert(soft_irqchip_can_wake(&rig.cpu[0]), "LINT0 as NMI");
	soft_irqchip_set(&rig.vm, 4, false);
	irqchip_rig_close(&rig);
}

Test(irqchip, local_interrupt_when_the_pair_asks_too_then_first)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	irqchip_rig_lapic_out(&rig, 0, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x700);
	soft_irqchip_set(&rig.vm, 4, true);
	irqchip_rig_send(&rig, 0, 0, 0x4041);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x41);
	cr_assert(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x24);
	irqchip_rig_close(&rig);
}

/* IO APIC. */

Test(irqchip, each_line_when_it_rises_then_the_pin_of_its_number_but_0_at_2)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	for (unsigned i = 0; i < CPUS; i++)
		irqchip_rig_lapic_out(&rig, i, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x10000);
	irqchip_rig_out(&rig, 0x21, 0xff); /* the pair would be heard at pin 0 */
	for (unsigned pin = 0; pin < 24; pin++) {
		irqchip_rig_ioapic_out(&rig, 0x11 + 2 * pin, 1u << 24);
		irqchip_rig_ioapic_out(&rig, 0x10 + 2 * pin, 0x40 + pin);
	}
	/* The timer holds its line high; 0 and 2 share pin 2. */
	soft_irqchip_set(&rig.vm, 0, false);
	for (unsigned gsi = 0; gsi < 24; gsi++) {
		soft_irqchip_set(&rig.vm, gsi, true);
		cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x40 + (gsi == 0 ? 2 : (int)gsi));
		soft_irqchip_set(&rig.vm, gsi, false);
		irqchip_rig_lapic_out(&rig, 1, EOI, 0);
	}
	soft_irqchip_set(&rig.vm, 24, true);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[1]));
	irqchip_rig_close(&rig);
}

Test(irqchip, level_when_eoi_is_broadcast_then_again)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_lapic_out(&rig, 2, SVR, 0x1ff);
	irqchip_rig_ioapic_out(&rig, 0x10 + 2 * 17 + 1, 2u << 24);
	irqchip_rig_ioapic_out(&rig, 0x10 + 2 * 17, 0x8060);
	soft_irqchip_set(&rig.vm, 17, true);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(soft_irq_take(&rig.cpu[2]), 0x60);
		cr_assert_eq(soft_irq_take(&rig.cpu[2]), -1);
		if (i == 2)
			soft_irqchip_set(&rig.vm, 17, false);
		irqchip_rig_lapic_out(&rig, 2, EOI, 0);
	}
	cr_assert_not(soft_irq_is_pending(&rig.cpu[2]));
	irqchip_rig_close(&rig);
}

/* Messages. */

Test(irqchip, init_sipi_sipi_when_sent_then_posted_with_the_vector)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_lapic_out(&rig, 0, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 1, SVR, 0x1ff);
	irqchip_rig_posted(&rig, 0);
	irqchip_rig_posted(&rig, 1);
	irqchip_rig_send(&rig, 0, 1, 0xc500);
	cr_assert_eq(irqchip_rig_posted(&rig, 1), PEND_INIT);
	cr_assert_eq(irqchip_rig_lapic_in(&rig, 1, SVR), 0xff, "INIT resets the receiver's APIC");
	irqchip_rig_send(&rig, 0, 1, 0x8500);
	cr_assert_eq(irqchip_rig_posted(&rig, 1), 0, "INIT level de-assert");
	for (int i = 0; i < 2; i++) {
		irqchip_rig_send(&rig, 0, 1, 0x469a);
		cr_assert_eq(irqchip_rig_posted(&rig, 1), PEND_SIPI | 0x9a << PEND_VECTOR_SHIFT);
	}
	cr_assert_eq(irqchip_rig_posted(&rig, 2), 0);
	cr_assert(rig.cpu[0].wants_yield, "the turn goes on to the receiver");
	irqchip_rig_close(&rig);
}

Test(irqchip, message_when_sent_then_received_by_whom_it_names)
{
	static const struct {
		uint32_t dest, icr;
		unsigned receivers; /* mask of vCPUs */
	} rows[] = {
		{2, 0x00004050, 4},    {0, 0x00004050, 1},    {0xff, 0x00004050, 7},
		{9, 0x00004050, 0},    {1, 0x00044050, 1},    {1, 0x00084050, 7},
		{1, 0x000c4050, 6},    {0x06, 0x00004850, 6}, {0xff, 0x00004850, 7},
		{0x07, 0x00004950, 2}, /* lowest priority: vCPU 0 has a higher TPR */
		{0x05, 0x00004950, 4}, {0xff, 0x00004150, 2},
	};
	struct irqchip_rig rig;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		irqchip_rig_open(&rig);
		for (unsigned n = 0; n < CPUS; n++) {
			irqchip_rig_lapic_out(&rig, n, SVR, 0x1ff);
			irqchip_rig_lapic_out(&rig, n, 0xd0, 1u << (24 + n));
		}
		irqchip_rig_lapic_out(&rig, 0, TPR, 0x30);
		irqchip_rig_send(&rig, 0, rows[i].dest, rows[i].icr);
		for (unsigned n = 0; n < CPUS; n++)
			cr_assert_eq(soft_irq_is_pending(&rig.cpu[n]), rows[i].receivers >> n & 1,
				     "row %zu, cpu %u", i, n);
		irqchip_rig_close(&rig);
	}
}

Test(irqchip, nmi_when_sent_then_posted)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_send(&rig, 0, 0, 0xc0400);
	cr_assert_eq(irqchip_rig_posted(&rig, 1), PEND_NMI);
	cr_assert_eq(irqchip_rig_posted(&rig, 2), PEND_NMI);
	cr_assert_eq(irqchip_rig_posted(&rig, 0) & PEND_NMI, 0);
	irqchip_rig_close(&rig);
}

Test(irqchip, x2apic_when_on_then_msrs_instead_of_the_page)
{
	struct irqchip_rig rig;
	uint8_t bytes[4];
	uint64_t value;

	irqchip_rig_open(&rig);
	cr_assert_not(soft_lapic_rdmsr(&rig.cpu[1], 0x802, &value));
	cr_assert(soft_lapic_set_base(&rig.cpu[1], LAPIC_GPA | 0xc00));
	cr_assert_eq(rig.cpu[1].apic_base, LAPIC_GPA | 0xc00);
	cr_assert_not(soft_lapic_set_base(&rig.cpu[1], LAPIC_GPA | 0x800));
	cr_assert_eq(rig.cpu[1].apic_base, LAPIC_GPA | 0xc00);
	cr_assert_not(soft_lapic_mmio(&rig.cpu[1], LAPIC_GPA, false, 4, bytes));
	cr_assert(soft_lapic_rdmsr(&rig.cpu[1], 0x802, &value));
	cr_assert_eq(value, 1);
	cr_assert(soft_lapic_wrmsr(&rig.cpu[1], 0x80f, 0x1ff));
	cr_assert(soft_lapic_wrmsr(&rig.cpu[1], 0x830, 0xffffffff00004051));
	cr_assert(soft_irq_is_pending(&rig.cpu[1]));
	cr_assert_not(soft_lapic_wrmsr(&rig.cpu[1], 0x802, 0));
	irqchip_rig_close(&rig);
}

/* The page: what is outside, and other widths than 32 bits. */
Test(irqchip, mmio_when_odd_then_lenient)
{
	struct irqchip_rig rig;
	uint8_t bytes[8] = {0};

	irqchip_rig_open(&rig);
	cr_assert_not(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA - 1, false, 1, bytes));
	cr_assert_not(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + 0xffd, false, 4, bytes));
	cr_assert_not(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + 4096, false, 4, bytes));
	cr_assert(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + 0x32, false, 2, bytes));
	cr_assert_eq(le16_get(bytes), 5, "upper half of the version");
	cr_assert(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + 0x30, false, 8, bytes));
	cr_assert_eq(le64_get(bytes), 0x50014);
	cr_assert(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + 0x2e, false, 4, bytes));
	cr_assert_eq(le32_get(bytes), 0x00140000);
	bytes[0] = 0x70;
	cr_assert(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + TPR, true, 1, bytes));
	cr_assert(soft_lapic_mmio(&rig.cpu[0], LAPIC_GPA + TPR + 1, true, 4, bytes));
	cr_assert_eq(irqchip_rig_lapic_in(&rig, 0, TPR), 0);
	soft_lapic_set_cr8(&rig.cpu[0], 5);
	cr_assert_eq(irqchip_rig_lapic_in(&rig, 0, TPR), 0x50);
	cr_assert_eq(soft_lapic_cr8(&rig.cpu[0]), 5);
	irqchip_rig_close(&rig);
}

/* Timers. */

Test(irqchip, apic_timer_when_set_then_deadline_and_interrupt)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[1]), ~0ull);
	irqchip_rig_at(&rig, 1, 1000);
	irqchip_rig_lapic_out(&rig, 1, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 1, DIVIDE, 0xb);
	irqchip_rig_lapic_out(&rig, 1, LVT_TIMER, 0x44);
	irqchip_rig_lapic_out(&rig, 1, INITIAL, 500);
	cr_assert(irqchip_rig_posted(&rig, 1) & PEND_IRQ, "the slice is to be planned anew");
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[1]), 1500);
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[2]), ~0ull);
	irqchip_rig_at(&rig, 1, 1499);
	soft_irqchip_tick(&rig.cpu[1]);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[1]));
	irqchip_rig_at(&rig, 1, 1500);
	soft_irqchip_tick(&rig.cpu[1]);
	cr_assert(soft_irq_is_pending(&rig.cpu[1]));
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x44);
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[1]), ~0ull);
	irqchip_rig_close(&rig);
}

Test(irqchip, tsc_deadline_when_the_tsc_is_moved_then_the_deadline_moves)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_at(&rig, 1, 1000);
	rig.cpu[1].msr.tsc = 5000;
	irqchip_rig_lapic_out(&rig, 1, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 1, LVT_TIMER, 0x40044);
	cr_assert(soft_lapic_wrmsr(&rig.cpu[1], 0x6e0, 7000));
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[1]), 2000);
	rig.cpu[1].msr.tsc = 5500;
	cr_assert_eq(soft_irqchip_deadline(&rig.cpu[1]), 1500);
	irqchip_rig_at(&rig, 1, 1499);
	soft_irqchip_tick(&rig.cpu[1]);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[1]));
	irqchip_rig_at(&rig, 1, 1500);
	soft_irqchip_tick(&rig.cpu[1]);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x44);
	irqchip_rig_close(&rig);
}

Test(irqchip, timer_chip_when_programmed_then_irq_0_by_cpu_0)
{
	struct irqchip_rig rig;
	uint64_t due;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	irqchip_rig_posted(&rig, 2);
	irqchip_rig_at(&rig, 2, 5000);
	irqchip_rig_out(&rig, 0x43, 0x34);
	irqchip_rig_out(&rig, 0x40, 0xa9);
	irqchip_rig_out(&rig, 0x40, 0x04);
	cr_assert(irqchip_rig_posted(&rig, 2) & PEND_IRQ,
		  "the slice that runs is to be planned anew");
	for (int i = 0; i < 4; i++) {
		due = soft_irqchip_deadline(&rig.cpu[0]);
		cr_assert_leq(due, 5000 + ((uint64_t)i + 1) * 1000000);
		cr_assert_eq(soft_irqchip_deadline(&rig.cpu[2]), ~0ull);
		irqchip_rig_at(&rig, 0, (int64_t)due);
		soft_irqchip_tick(&rig.cpu[0]);
	}
	/* Two periods: a fall and a rise each. */
	cr_assert_geq(due, 2000000);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x20);
	irqchip_rig_close(&rig);
}

Test(irqchip, port_61_when_gate_2_is_opened_then_out_2_rises_in_time)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_at(&rig, 1, 1000);
	irqchip_rig_out(&rig, 0x61, 1);
	irqchip_rig_out(&rig, 0x43, 0xb0);
	irqchip_rig_out(&rig, 0x42, 0xff);
	irqchip_rig_out(&rig, 0x42, 0x00);
	cr_assert_eq(irqchip_rig_in(&rig, 0x61) & 0x21, 0x01);
	irqchip_rig_at(&rig, 1, 1000 + 210000); /* 255 ticks are 213.7 us */
	cr_assert_eq(irqchip_rig_in(&rig, 0x61) & 0x20, 0);
	irqchip_rig_at(&rig, 1, 1000 + 216000);
	cr_assert_eq(irqchip_rig_in(&rig, 0x61) & 0x20, 0x20);
	irqchip_rig_close(&rig);
}

/* Life. */

Test(irqchip, reset_when_all_is_in_use_then_as_at_power_up)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	irqchip_rig_lapic_out(&rig, 1, SVR, 0x1ff);
	irqchip_rig_lapic_out(&rig, 1, INITIAL, 500);
	cr_assert(soft_lapic_set_base(&rig.cpu[1], 0xfed00800));
	irqchip_rig_out(&rig, 0x43, 0x34);
	irqchip_rig_out(&rig, 0x40, 1);
	irqchip_rig_out(&rig, 0x40, 1);
	soft_irqchip_set(&rig.vm, 4, true);
	soft_irqchip_reset(&rig.vm);
	for (unsigned i = 0; i < CPUS; i++) {
		cr_assert_not(soft_irq_is_pending(&rig.cpu[i]));
		cr_assert_eq(soft_irqchip_deadline(&rig.cpu[i]), ~0ull);
		cr_assert_eq(rig.cpu[i].apic_base, LAPIC_GPA | 0x800 | (i == 0 ? 0x100 : 0));
		cr_assert_not(soft_irqchip_can_wake(&rig.cpu[i]));
	}
	cr_assert_eq(irqchip_rig_lapic_in(&rig, 0, LVT_LINT0), 0x700);
	bus_reset(rig.vm.bus);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]), "the timer's line is no interrupt");
	irqchip_rig_close(&rig);
}

Test(irqchip, vcpu_when_it_is_gone_then_nothing_is_posted_to_it)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_pic(&rig, 1);
	soft_irqchip_remove_cpu(&rig.cpu[0]);
	soft_irqchip_set(&rig.vm, 4, true);
	cr_assert_eq(irqchip_rig_posted(&rig, 0), 0);
	irqchip_rig_close(&rig);
}

Test(irqchip, can_wake_when_an_ioapic_pin_sends_nmi_then_yes)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_ioapic_out(&rig, 0x10 + 2 * 2, 0x400);
	for (unsigned i = 0; i < CPUS; i++)
		cr_assert(soft_irqchip_can_wake(&rig.cpu[i]));
	soft_irqchip_set(&rig.vm, 2, false);
	soft_irqchip_set(&rig.vm, 2, true);
	cr_assert_eq(irqchip_rig_posted(&rig, 0), PEND_NMI);
	irqchip_rig_close(&rig);
}

/* Random accesses from everywhere: what a vCPU is told without the lock is what the chips say. */

static uint32_t roll(uint64_t *state, uint32_t sides)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33) % sides;
}

static void random_port(struct irqchip_rig *rig, uint64_t *dice)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1,  0x40,
					 0x42, 0x43, 0x61, 0x4d0, 0x4d1};
	uint16_t port = ports[roll(dice, UMBRA_ARRAY_SIZE(ports))];

	if (roll(dice, 2))
		irqchip_rig_out(rig, port, (uint8_t)roll(dice, 256));
	else
		irqchip_rig_in(rig, port);
}

static void random_lapic(struct irqchip_rig *rig, uint64_t *dice)
{
	struct soft_cpu *c = &rig->cpu[roll(dice, CPUS)];
	uint64_t value = roll(dice, 2) ? roll(dice, 0x800) : roll(dice, 0x7fffffff) * 2ull;
	uint8_t bytes[8] = {0};

	le32_put(bytes, (uint32_t)value);
	switch (roll(dice, 8)) {
	case 0:
		soft_lapic_set_base(c, LAPIC_GPA | (uint64_t)roll(dice, 16) << 8);
		break;
	case 1:
		soft_lapic_wrmsr(c, 0x800 + roll(dice, 0x40), value);
		break;
	case 2:
		soft_lapic_rdmsr(c, 0x800 + roll(dice, 0x40), &value);
		break;
	case 3:
		soft_lapic_set_cr8(c, roll(dice, 16));
		break;
	case 4:
		le32_put(bytes, 0x1ff);
		soft_lapic_mmio(c, LAPIC_GPA + SVR, true, 4, bytes);
		break;
	default:
		soft_lapic_mmio(c, LAPIC_GPA + roll(dice, 0x40) * 16 + roll(dice, 8) / 7,
				roll(dice, 2), 1u << roll(dice, 4), bytes);
		break;
	}
}

static void random_act(struct irqchip_rig *rig, uint64_t *dice)
{
	switch (roll(dice, 6)) {
	case 0:
		random_port(rig, dice);
		break;
	case 1:
		irqchip_rig_ioapic_out(rig, roll(dice, 0x42), roll(dice, 0x7fffffff) << 1);
		break;
	case 2:
		soft_irqchip_set(&rig->vm, roll(dice, 26), roll(dice, 2));
		break;
	case 3:
		soft_irq_take(&rig->cpu[roll(dice, CPUS)]);
		break;
	case 4:
		for (unsigned i = 0; i < CPUS; i++)
			soft_irqchip_tick(&rig->cpu[i]);
		break;
	default:
		random_lapic(rig, dice);
		break;
	}
}

Test(irqchip, summary_when_anything_happens_then_as_the_chips_say, .timeout = 60)
{
	struct irqchip_rig rig;
	uint64_t dice = 3;
	unsigned pending = 0;

	irqchip_rig_open(&rig);
	for (unsigned step = 0; step < 200000; step++) {
		irqchip_rig_at(&rig, roll(&dice, CPUS), (int64_t)step * 3000);
		random_act(&rig, &dice);
		for (unsigned i = 0; i < CPUS; i++) {
			const struct lapic *l = rig.cpu[i].lapic;
			bool wants = lapic_pending(l) >= 0 || lapic_has_extint(l);

			cr_assert_eq(soft_irq_is_pending(&rig.cpu[i]), wants, "step %u", step);
			pending += wants;
		}
		if (roll(&dice, 5000) == 0)
			soft_irqchip_reset(&rig.vm);
	}
	cr_assert_gt(pending, 1000);
	cr_assert_lt(pending, 500000);
	irqchip_rig_close(&rig);
}
