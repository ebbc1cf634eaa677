/* The interrupt chips of the software machine and how they are wired: the 8259A pair's INTR to
 * LINT0 of every local APIC and to pin 0 of the IO APIC, the timer to IRQ 0, IRQ 0 to pin 2 and
 * every other line to the pin of its number (MP specification 1.4, 3.6.2.2 and 5.3).
 *
 * Every call takes the lock, lets the chips work, and leaves by irqchip_leave(): it makes the
 * summary of each vCPU that something changed for (is an interrupt waiting, when is its next timer)
 * and posts to those that have to look.  The summaries are read without the lock.
 *
 * Time is soft_now.  The timer chip is ticked with vCPU 0. */
#include "irqchip.h"
#include "irq.h"

#include "umbra/log.h"

#include <errno.h>
#include <stdlib.h>

#define PIC_LINES   16u
#define PIC_CASCADE 2u
#define PIN_OF_INTR 0u
#define PIN_OF_IRQ0 2u

/* The lock, and what follows every change. */

void irqchip_enter(struct soft_irqchip *chip)
{
	lock_take(&chip->lock);
}

/* A timer is due earlier than the slice was planned for. */
static void post_replan(struct soft_irqchip *chip, unsigned index)
{
	const struct soft_cpu *holder = soft_slice_holder(chip->vm);

	chip->cpu[holder ? holder->index : index].post |= PEND_IRQ;
}

static void deadline_set(struct soft_irqchip *chip, unsigned index, atomic_ullong *deadline,
			 uint64_t value)
{
	uint64_t old = atomic_load_explicit(deadline, memory_order_relaxed);

	atomic_store_explicit(deadline, value, memory_order_relaxed);
	if (value < old)
		post_replan(chip, index);
}

static void summarise(struct soft_irqchip *chip, unsigned index)
{
	struct irqchip_cpu *cpu = &chip->cpu[index];
	bool was_pending = atomic_load_explicit(&cpu->is_pending, memory_order_relaxed);
	bool is_pending = lapic_pending(cpu->lapic) >= 0 || lapic_has_extint(cpu->lapic);

	atomic_store_explicit(&cpu->is_pending, is_pending, memory_order_relaxed);
	if (is_pending && !was_pending)
		cpu->post |= PEND_IRQ;
	deadline_set(chip, index, &cpu->timer_ns, lapic_timer_ns(cpu->lapic));
	deadline_set(chip, index, &cpu->timer_tsc, lapic_timer_tsc(cpu->lapic));
}

/* What is to be posted, taken out of the structure so that the lock can be dropped before. */
struct post_list {
	unsigned count;
	struct {
		struct soft_cpu *cpu;
		unsigned pend;
	} entry[ACCEL_MAX_VCPUS];
};

static void posts_take(struct soft_irqchip *chip, struct post_list *out_list)
{
	out_list->count = 0;
	for (unsigned i = 0; i < chip->cpu_count; i++) {
		struct irqchip_cpu *cpu = &chip->cpu[i];

		if (cpu->post && cpu->cpu) {
			out_list->entry[out_list->count].cpu = cpu->cpu;
			out_list->entry[out_list->count++].pend = cpu->post;
		}
		cpu->post = 0;
	}
}

void irqchip_leave(struct soft_irqchip *chip)
{
	struct post_list list;

	if (chip->is_pit_dirty)
		deadline_set(chip, 0, &chip->pit_ns, pit8254_next_edge(chip->pit));
	chip->is_pit_dirty = false;
	while (chip->dirty) {
		unsigned index = (unsigned)__builtin_ctzll(chip->dirty);

		chip->dirty &= chip->dirty - 1;
		summarise(chip, index);
	}
	posts_take(chip, &list);
	lock_drop(&chip->lock);
	for (unsigned i = 0; i < list.count; i++)
		soft_post(list.entry[i].cpu, list.entry[i].pend);
}

void irqchip_timer_run(struct soft_irqchip *chip, uint64_t now_ns)
{
	pit8254_run(chip->pit, now_ns);
	chip->is_pit_dirty = true;
}

/* Wires.  All with the lock held. */

static unsigned pin_of(unsigned gsi)
{
	return gsi == 0 ? PIN_OF_IRQ0 : gsi;
}

static void line_set_locked(struct soft_irqchip *chip, unsigned gsi, bool is_high)
{
	if (gsi < PIC_LINES)
		pic8259_set(chip->pic, gsi, is_high);
	ioapic_set(chip->ioapic, pin_of(gsi), is_high);
}

static void timer_line_set(void *ctx, unsigned gsi, bool is_high)
{
	line_set_locked(ctx, gsi, is_high);
}

static void intr_set(void *ctx, unsigned gsi, bool is_high)
{
	struct soft_irqchip *chip = ctx;

	(void)gsi;
	for (unsigned i = 0; i < chip->cpu_count; i++)
		lapic_set_lint(chip->cpu[i].lapic, 0, is_high);
	ioapic_set(chip->ioapic, PIN_OF_INTR, is_high);
}

static void lapic_changed(void *ctx, unsigned id)
{
	struct soft_irqchip *chip = ctx;

	chip->dirty |= 1ull << id;
}

/* There is no system management mode (no RSM, no SMRAM, no MSR of either): an SMI goes by as on a
 * machine whose firmware answers each with RSM alone.  It wakes nobody, because RSM goes back to
 * HLT. Said once: a guest may send as many as it likes. */
static void ignore_smi(struct soft_irqchip *chip, unsigned id)
{
	if (!chip->has_told_smi)
		log_warn("cpu %u: an SMI has no effect: this machine has no system management mode",
			 id);
	chip->has_told_smi = true;
}

static void lapic_signal(void *ctx, unsigned id, enum apic_delivery delivery, uint8_t vector)
{
	struct soft_irqchip *chip = ctx;
	struct irqchip_cpu *cpu = &chip->cpu[id];

	switch (delivery) {
	case APIC_NMI:
		cpu->post |= PEND_NMI;
		break;
	case APIC_SMI:
		ignore_smi(chip, id);
		break;
	case APIC_INIT:
		cpu->post |= PEND_INIT;
		break;
	case APIC_SIPI:
		cpu->post |= PEND_SIPI | (unsigned)vector << PEND_VECTOR_SHIFT;
		break;
	case APIC_FIXED:
	case APIC_LOWEST:
	case APIC_EXTINT:
		break; /* never signalled */
	}
}

/* Messages.  Of the candidates for a lowest-priority message the one with the lowest number wins
 * among equals. */

static struct lapic *lowest_priority(const struct soft_irqchip *chip,
				     const struct apic_message *message)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < chip->cpu_count; i++) {
		struct lapic *l = chip->cpu[i].lapic;

		if (!lapic_is_target(l, message) || lapic_arbitration(l) > 255)
			continue;
		if (!best || lapic_arbitration(l) < lapic_arbitration(best))
			best = l;
	}
	return best;
}

static bool is_receiver(const struct soft_irqchip *chip, unsigned index, unsigned sender,
			const struct apic_message *message)
{
	switch (message->shorthand) {
	case APIC_TO_SELF:
		return index == sender;
	case APIC_TO_OTHERS:
		return index != sender;
	case APIC_TO_ALL:
		return true;
	case APIC_TO_DEST:
		break;
	}
	return lapic_is_target(chip->cpu[index].lapic, message);
}

static bool route(struct soft_irqchip *chip, unsigned sender, const struct apic_message *message)
{
	bool is_accepted = false;
	struct lapic *winner;

	if (message->delivery == APIC_LOWEST && message->shorthand == APIC_TO_DEST) {
		winner = lowest_priority(chip, message);
		return winner && lapic_accept(winner, message);
	}
	for (unsigned i = 0; i < chip->cpu_count; i++) {
		if (is_receiver(chip, i, sender, message))
			is_accepted |= lapic_accept(chip->cpu[i].lapic, message);
	}
	return is_accepted;
}

static void lapic_send(void *ctx, unsigned id, const struct apic_message *message)
{
	struct soft_irqchip *chip = ctx;

	route(chip, id, message);
	chip->has_sent |= message->shorthand != APIC_TO_SELF;
}

static bool ioapic_send(void *ctx, const struct apic_message *message)
{
	return route(ctx, ACCEL_MAX_VCPUS, message);
}

static void eoi_broadcast(void *ctx, uint8_t vector)
{
	struct soft_irqchip *chip = ctx;

	ioapic_eoi(chip->ioapic, vector);
}

/* Life. */

static int create_lapics(struct soft_irqchip *chip, struct umbra_err *err)
{
	const struct lapic_hooks hooks = {
		.ctx = chip,
		.send = lapic_send,
		.eoi = eoi_broadcast,
		.signal = lapic_signal,
		.changed = lapic_changed,
	};

	for (unsigned i = 0; i < chip->cpu_count; i++) {
		struct irqchip_cpu *cpu = &chip->cpu[i];
		int error = lapic_create(&cpu->lapic, i, &hooks, err);

		if (error)
			return error;
		cpu->chip = chip;
		cpu->device.ops = &lapic_ops;
		cpu->device.state = cpu->lapic;
	}
	return 0;
}

static int create_chips(struct soft_irqchip *chip, struct umbra_err *err)
{
	struct irq_line intr = {.set = intr_set, .ctx = chip};
	struct irq_line timer = {.set = timer_line_set, .ctx = chip, .gsi = 0};
	int error = create_lapics(chip, err);

	if (!error)
		error = ioapic_create(&chip->ioapic, ioapic_send, chip, err);
	if (!error)
		error = pic8259_create(&chip->pic, intr, err);
	if (!error)
		error = pit8254_create(&chip->pit, timer, err);
	return error;
}

static void destroy(struct soft_irqchip *chip)
{
	pit8254_destroy(chip->pit);
	ioapic_destroy(chip->ioapic);
	pic8259_destroy(chip->pic);
	for (unsigned i = 0; i < chip->cpu_count; i++)
		lapic_destroy(chip->cpu[i].lapic);
	free(chip);
}

/* The timer's line is high from the start; the pair must not take that for an interrupt. */
static void reset_locked(struct soft_irqchip *chip)
{
	pit8254_ops.reset(chip->pit);
	chip->is_pit_dirty = true;
	ioapic_ops.reset(chip->ioapic);
	pic8259_ops.reset(chip->pic);
	for (unsigned i = 0; i < chip->cpu_count; i++) {
		struct irqchip_cpu *cpu = &chip->cpu[i];

		lapic_ops.reset(cpu->lapic);
		if (cpu->cpu)
			cpu->cpu->apic_base = lapic_base(cpu->lapic);
	}
}

int soft_irqchip_create(struct soft_vm *vm, struct umbra_err *err)
{
	struct soft_irqchip *chip = calloc(1, sizeof(*chip));
	int error;

	if (!chip)
		return umbra_err_set(err, ENOMEM, "no memory for the interrupt chips");
	chip->vm = vm;
	chip->cpu_count = vm->cpu_count;
	error = create_chips(chip, err);
	if (!error && lock_init(&chip->lock) < 0)
		error = umbra_err_set(err, ENOMEM, "no lock for the interrupt chips");
	if (error) {
		destroy(chip);
		return error;
	}
	vm->irqchip = chip;
	soft_irqchip_reset(vm);
	return irqchip_add_devices(chip, err);
}

/* The bus may still hold the devices, but serves nobody any more. */
void soft_irqchip_destroy(struct soft_vm *vm)
{
	if (!vm->irqchip)
		return;
	lock_end(&vm->irqchip->lock);
	destroy(vm->irqchip);
	vm->irqchip = NULL;
}

void soft_irqchip_reset(struct soft_vm *vm)
{
	irqchip_enter(vm->irqchip);
	reset_locked(vm->irqchip);
	irqchip_leave(vm->irqchip);
}

int soft_irqchip_add_cpu(struct soft_cpu *c, struct umbra_err *err)
{
	struct soft_irqchip *chip = c->vm->irqchip;

	if (c->index >= chip->cpu_count)
		return umbra_err_set(err, EINVAL, "cpu %u: the machine has %u", c->index,
				     chip->cpu_count);
	irqchip_enter(chip);
	chip->cpu[c->index].cpu = c;
	c->lapic = chip->cpu[c->index].lapic;
	c->apic_base = lapic_base(c->lapic);
	irqchip_leave(chip);
	return 0;
}

void soft_irqchip_remove_cpu(struct soft_cpu *c)
{
	struct soft_irqchip *chip = c->vm->irqchip;

	irqchip_enter(chip);
	chip->cpu[c->index].cpu = NULL;
	irqchip_leave(chip);
}

/* Interrupts. */

void soft_irqchip_set(struct soft_vm *vm, unsigned gsi, bool is_high)
{
	irqchip_enter(vm->irqchip);
	line_set_locked(vm->irqchip, gsi, is_high);
	irqchip_leave(vm->irqchip);
}

/* What comes by pin 2 is line 0.  The cascade is no line: under its number stands where the pair's
 * output leads. */
void soft_irqchip_get(struct soft_vm *vm, unsigned gsi, struct accel_irq *out_irq)
{
	struct soft_irqchip *chip = vm->irqchip;
	struct pic8259_line line;
	unsigned pin = gsi == PIC_CASCADE ? PIN_OF_INTR : pin_of(gsi);

	*out_irq = (struct accel_irq){.pin = (uint8_t)pin};
	irqchip_enter(chip);
	if (gsi < PIC_LINES && gsi != PIC_CASCADE) {
		line = pic8259_line(chip->pic, gsi);
		out_irq->has_pic = true;
		out_irq->is_masked = line.is_masked;
		out_irq->is_requested = line.is_requested;
		out_irq->is_in_service = line.is_in_service;
		out_irq->vector = line.vector;
	}
	out_irq->has_pin = true;
	out_irq->is_high = ioapic_line(chip->ioapic, pin);
	out_irq->redirection = ioapic_entry(chip->ioapic, pin);
	irqchip_leave(chip);
}
