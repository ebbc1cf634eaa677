/* The test rig of the interrupt chips. */
#include "irqchip_rig.h"

#include "src/accel/soft/irq.h"

#include <criterion/criterion.h>

void irqchip_rig_open(struct irqchip_rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	rig->vm.cpu_count = CPUS;
	rig->vm.phys_bits = 40;
	cr_assert_eq(bus_create(&rig->vm.bus, NULL), 0);
	cr_assert_eq(soft_turn_create(&rig->vm), 0);
	cr_assert_eq(soft_irqchip_create(&rig->vm, NULL), 0);
	for (unsigned i = 0; i < CPUS; i++) {
		struct soft_cpu *c = &rig->cpu[i];

		c->vm = &rig->vm;
		c->index = i;
		c->req = &rig->req;
		rig->vm.cpu[i] = c;
		cr_assert_eq(soft_irqchip_add_cpu(c, NULL), 0);
		atomic_store(&c->pend, 0);
	}
}

void irqchip_rig_close(struct irqchip_rig *rig)
{
	for (unsigned i = 0; i < CPUS; i++)
		soft_irqchip_remove_cpu(&rig->cpu[i]);
	soft_irqchip_destroy(&rig->vm);
	soft_turn_destroy(&rig->vm);
	bus_destroy(rig->vm.bus);
}

void irqchip_rig_at(struct irqchip_rig *rig, unsigned index, int64_t ns)
{
	for (unsigned i = 0; i < CPUS; i++)
		rig->cpu[i].slice = i == index ? ns : 0;
}

unsigned irqchip_rig_posted(struct irqchip_rig *rig, unsigned index)
{
	return atomic_exchange(&rig->cpu[index].pend, 0);
}

void irqchip_rig_out(struct irqchip_rig *rig, uint16_t port, uint8_t value)
{
	bus_pio(rig->vm.bus, port, true, 1, 1, &value);
}

uint8_t irqchip_rig_in(struct irqchip_rig *rig, uint16_t port)
{
	uint8_t value = 0;

	bus_pio(rig->vm.bus, port, false, 1, 1, &value);
	return value;
}

void irqchip_rig_pic(struct irqchip_rig *rig, uint8_t icw4)
{
	const uint8_t words[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
				    {0x21, 4},	  {0xa1, 2},	{0x21, icw4}, {0xa1, 1}};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(words); i++)
		irqchip_rig_out(rig, words[i][0], words[i][1]);
}

void irqchip_rig_lapic_out(struct irqchip_rig *rig, unsigned index, unsigned offset, uint32_t value)
{
	uint8_t bytes[4];

	le32_put(bytes, value);
	cr_assert(soft_lapic_mmio(&rig->cpu[index], LAPIC_GPA + offset, true, 4, bytes));
}

uint32_t irqchip_rig_lapic_in(struct irqchip_rig *rig, unsigned index, unsigned offset)
{
	uint8_t bytes[4];

	cr_assert(soft_lapic_mmio(&rig->cpu[index], LAPIC_GPA + offset, false, 4, bytes));
	return le32_get(bytes);
}

void irqchip_rig_ioapic_out(struct irqchip_rig *rig, uint32_t index, uint32_t value)
{
	bus_mmio(rig->vm.bus, 0xfec00000, true, 4, &index);
	bus_mmio(rig->vm.bus, 0xfec00010, true, 4, &value);
}

void irqchip_rig_send(struct irqchip_rig *rig, unsigned from, uint32_t dest, uint32_t icr)
{
	irqchip_rig_lapic_out(rig, from, ICR_HIGH, dest << 24);
	irqchip_rig_lapic_out(rig, from, ICR, icr);
}
