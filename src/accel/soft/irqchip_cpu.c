/* The interrupt chips as one vCPU sees them: what interrupts it, its timers, its local APIC. */
#include "irq.h"
#include "irqchip.h"

bool soft_irq_is_pending(struct soft_cpu *c)
{
	return atomic_load_explicit(&c->vm->irqchip->cpu[c->index].is_pending,
				    memory_order_relaxed);
}

int soft_irq_take(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;
	int vector;

	irqchip_enter(chip);
	vector = lapic_take(c->lapic);
	if (vector < 0 && lapic_has_extint(c->lapic)) {
		lapic_take_extint(
			c->lapic); /* first: another request may come back inside the next */
		vector = pic8259_acknowledge(chip->pic);
	}
	irqchip_leave(chip);
	return vector;
}

bool soft_irqchip_can_wake(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;
	bool can_wake;

	irqchip_enter(chip);
	can_wake = lapic_has_open_nmi(c->lapic) || ioapic_has_open_nmi(chip->ioapic);
	irqchip_leave(chip);
	return can_wake;
}

/* Timers.  The TSC is soft_now plus msr.tsc, which its vCPU may change at any time. */

static struct lapic_time time_of(const struct soft_cpu *c)
{
	return (struct lapic_time){.ns = soft_now(c), .tsc = soft_tsc(c)};
}

uint64_t soft_irqchip_deadline(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;
	struct irqchip_cpu *cpu = &chip->cpu[c->index];
	uint64_t ns = atomic_load_explicit(&cpu->timer_ns, memory_order_relaxed);
	uint64_t tsc = atomic_load_explicit(&cpu->timer_tsc, memory_order_relaxed);

	if (tsc != IRQCHIP_NEVER) {
		struct lapic_time now = time_of(c);

		ns = u64_min(ns, tsc > now.tsc ? now.ns + (tsc - now.tsc) : now.ns);
	}
	if (c->index == 0)
		ns = u64_min(ns, atomic_load_explicit(&chip->pit_ns, memory_order_relaxed));
	return ns;
}

void soft_irqchip_tick(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;
	struct lapic_time now = time_of(c);

	if (soft_irqchip_deadline(c) > now.ns)
		return;
	irqchip_enter(chip);
	lapic_tick(c->lapic, now);
	if (c->index == 0)
		irqchip_timer_run(chip, now.ns);
	irqchip_leave(chip);
}

/* The local APIC as its own vCPU reaches it. */

/* An interrupt that was sent to others passes the turn on. */
static void leave_lapic(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;

	if (chip->has_sent) {
		chip->has_sent = false;
		chip->cpu[c->index].post |= PEND_LOOP;
		c->wants_yield = true;
	}
	irqchip_leave(chip);
}

/* Bytes outside of the registers' four read as 0 (SDM 3A 11.4.1 leaves them open). */
static void lapic_mmio_read(struct soft_cpu *c, unsigned offset, unsigned len, uint8_t *bytes)
{
	struct lapic_time now = time_of(c);
	uint32_t value = 0;

	for (unsigned i = 0; i < len; i++) {
		unsigned at = offset + i;

		if (i == 0 || at % 16 == 0)
			value = lapic_read(c->lapic, at & 0xff0, now);
		bytes[i] = at % 16 < 4 ? (uint8_t)(value >> 8 * (at % 16)) : 0;
	}
}

/* A write is 32 bits, aligned; anything else does nothing. */
static void lapic_mmio_write(struct soft_cpu *c, unsigned offset, unsigned len,
			     const uint8_t *bytes)
{
	if (len >= 4 && offset % 16 == 0)
		lapic_write(c->lapic, offset, le32_get(bytes), time_of(c));
}

bool soft_lapic_mmio(struct soft_cpu *c, gpa_t gpa, bool is_write, unsigned len, void *data)
{
	uint64_t base = c->apic_base;
	uint64_t mode = base & (LAPIC_BASE_EN | LAPIC_BASE_EXTD);

	if (mode != LAPIC_BASE_EN || !range_fits(gpa, len, base & UMBRA_PAGE_MASK, UMBRA_PAGE_SIZE))
		return false;
	irqchip_enter(c->vm->irqchip);
	if (is_write)
		lapic_mmio_write(c, gpa % UMBRA_PAGE_SIZE, len, data);
	else
		lapic_mmio_read(c, gpa % UMBRA_PAGE_SIZE, len, data);
	leave_lapic(c);
	return true;
}

bool soft_lapic_rdmsr(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	bool is_good;

	irqchip_enter(c->vm->irqchip);
	is_good = lapic_rdmsr(c->lapic, index, out_value, time_of(c));
	leave_lapic(c);
	return is_good;
}

bool soft_lapic_wrmsr(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	bool is_good;

	irqchip_enter(c->vm->irqchip);
	is_good = lapic_wrmsr(c->lapic, index, value, time_of(c));
	leave_lapic(c);
	return is_good;
}

uint64_t soft_lapic_cr8(struct soft_cpu *c)
{
	uint64_t cr8;

	irqchip_enter(c->vm->irqchip);
	cr8 = lapic_cr8(c->lapic);
	irqchip_leave(c->vm->irqchip);
	return cr8;
}

void soft_lapic_set_cr8(struct soft_cpu *c, uint64_t value)
{
	irqchip_enter(c->vm->irqchip);
	lapic_set_cr8(c->lapic, value);
	irqchip_leave(c->vm->irqchip);
}

bool soft_lapic_set_base(struct soft_cpu *c, uint64_t apic_base)
{
	bool is_good;

	irqchip_enter(c->vm->irqchip);
	is_good = lapic_set_base(c->lapic, apic_base, c->vm->phys_bits);
	if (is_good)
		c->apic_base = apic_base;
	irqchip_leave(c->vm->irqchip);
	return is_good;
}
