/* Tests of what interrupts a processor without a vector in its local APIC: ExtINT by a pin of the
 * IO APIC, what is not spurious, and SMI, which does nothing. */
#include "irqchip_rig.h"

#include "src/accel/soft/irq.h"

#include <criterion/criterion.h>

/* The pair at pin 0, whose entry sends ExtINT to @cpu; LINT0 is closed to it. */
static void extint_open(struct irqchip_rig *rig, unsigned cpu, uint8_t icw4)
{
	irqchip_rig_open(rig);
	irqchip_rig_pic(rig, icw4);
	for (unsigned i = 0; i < CPUS; i++)
		irqchip_rig_lapic_out(rig, i, SVR, 0x1ff);
	irqchip_rig_lapic_out(rig, 0, LVT_LINT0, 0x10700);
	irqchip_rig_ioapic_out(rig, 0x11, cpu << 24);
	irqchip_rig_ioapic_out(rig, 0x10, 0x700);
	for (unsigned i = 0; i < CPUS; i++)
		irqchip_rig_posted(rig, i);
}

Test(irqchip_signal, extint_when_the_pair_asks_then_its_vector_at_the_pins_destination)
{
	struct irqchip_rig rig;
	struct accel_irq irq;

	extint_open(&rig, 1, 1);
	irqchip_rig_lapic_out(&rig, 1, TPR, 0xff);
	soft_irqchip_set(&rig.vm, 4, true);
	for (unsigned i = 0; i < CPUS; i++) {
		cr_assert_eq(irqchip_rig_posted(&rig, i), i == 1 ? PEND_IRQ : 0, "cpu %u", i);
		cr_assert_eq(soft_irq_is_pending(&rig.cpu[i]), i == 1, "cpu %u", i);
	}
	soft_irqchip_get(&rig.vm, 2, &irq);
	cr_assert(irq.is_high && irq.has_pin && !irq.has_pic);
	cr_assert_eq(irq.pin, 0);
	cr_assert_eq(irq.redirection, 1ull << 56 | 0x700);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), -1);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x24);
	soft_irqchip_get(&rig.vm, 2, &irq);
	cr_assert_not(irq.is_high);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[1]));
	/* A more urgent line, and one that waits for the end of both. */
	soft_irqchip_set(&rig.vm, 1, true);
	soft_irqchip_set(&rig.vm, 5, true);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x21);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), -1);
	irqchip_rig_out(&rig, 0x20, 0x20);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), -1);
	irqchip_rig_out(&rig, 0x20, 0x20);
	cr_assert_eq(soft_irq_take(&rig.cpu[1]), 0x25);
	irqchip_rig_close(&rig);
}

Test(irqchip_signal, extint_when_several_wait_then_each_is_an_edge)
{
	struct irqchip_rig rig;

	extint_open(&rig, 0, 3); /* automatic EOI: INTR would stay high */
	soft_irqchip_set(&rig.vm, 3, true);
	soft_irqchip_set(&rig.vm, 4, true);
	soft_irqchip_set(&rig.vm, 9, true);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x29);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x23);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x24);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), -1);
	irqchip_rig_close(&rig);
}

Test(irqchip_signal, extint_when_the_pair_withdraws_then_its_spurious_vector)
{
	struct irqchip_rig rig;

	extint_open(&rig, 2, 1);
	soft_irqchip_set(&rig.vm, 4, true);
	irqchip_rig_out(&rig, 0x21, 0x10);
	cr_assert(soft_irq_is_pending(&rig.cpu[2]));
	cr_assert_eq(soft_irq_take(&rig.cpu[2]), 0x27);
	cr_assert_eq(soft_irq_take(&rig.cpu[2]), -1);
	irqchip_rig_close(&rig);
}

Test(irqchip_signal, extint_when_both_ways_are_open_then_one_vector)
{
	struct irqchip_rig rig;

	extint_open(&rig, 0, 1);
	irqchip_rig_lapic_out(&rig, 0, LVT_LINT0, 0x700);
	soft_irqchip_set(&rig.vm, 4, true);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x24);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), -1);
	irqchip_rig_close(&rig);
}

Test(irqchip_signal, extint_when_the_pin_is_masked_then_an_edge_is_lost)
{
	struct irqchip_rig rig;

	extint_open(&rig, 0, 1);
	irqchip_rig_ioapic_out(&rig, 0x10, 0x10700);
	soft_irqchip_set(&rig.vm, 4, true);
	irqchip_rig_ioapic_out(&rig, 0x10, 0x700);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]));
	irqchip_rig_out(&rig, 0x21, 0xff); /* INTR falls and rises */
	irqchip_rig_out(&rig, 0x21, 0);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x24);
	irqchip_rig_close(&rig);
}

/* A request was seen, and what would make it spurious on other processors happens then. */
Test(irqchip_signal, request_when_priority_rises_before_the_acknowledge_then_nothing_is_taken)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	irqchip_rig_lapic_out(&rig, 0, SVR, 0x1ff);
	irqchip_rig_send(&rig, 0, 0, 0x4041);
	cr_assert(soft_irq_is_pending(&rig.cpu[0]));
	soft_lapic_set_cr8(&rig.cpu[0], 4);
	cr_assert_not(soft_irq_is_pending(&rig.cpu[0]));
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), -1, "not SVR's vector");
	soft_lapic_set_cr8(&rig.cpu[0], 0);
	cr_assert_eq(soft_irq_take(&rig.cpu[0]), 0x41);
	irqchip_rig_close(&rig);
}

Test(irqchip_signal, smi_when_sent_then_nothing_is_posted_and_nobody_could_wake)
{
	struct irqchip_rig rig;

	irqchip_rig_open(&rig);
	for (unsigned i = 0; i < CPUS; i++)
		irqchip_rig_lapic_out(&rig, i, SVR, 0x1ff);
	for (unsigned i = 0; i < CPUS; i++)
		irqchip_rig_posted(&rig, i);
	irqchip_rig_lapic_out(&rig, 1, LVT_LINT0, 0x200);
	irqchip_rig_ioapic_out(&rig, 0x11, 0xffu << 24);
	irqchip_rig_ioapic_out(&rig, 0x10, 0x200);
	irqchip_rig_send(&rig, 0, 0xff, 0x200);
	irqchip_rig_pic(&rig, 1);
	soft_irqchip_set(&rig.vm, 4, true);
	for (unsigned i = 0; i < CPUS; i++) {
		cr_assert_eq(irqchip_rig_posted(&rig, i) & ~(unsigned)(PEND_IRQ | PEND_LOOP), 0,
			     "cpu %u", i);
		cr_assert_not(soft_irqchip_can_wake(&rig.cpu[i]), "cpu %u", i);
	}
	irqchip_rig_close(&rig);
}
