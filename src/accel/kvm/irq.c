/* The interrupt controllers and the timer inside the kernel: creation, reset, lines, and whether
 * anything can wake a halted processor.
 * Source: KVM api 4.24..4.27 (IRQCHIP), 4.25 (IRQ_LINE), 4.52 (GSI_ROUTING), 4.71, 4.73, 4.74
 * (PIT2); SDM 3A 11.5.1 (local vector table); 82093AA 3.2.4 (IOREDTBL). */
#include "kvm.h"

#include <errno.h>
#include <stdlib.h>

#define PIC_LINES   16u
#define PIN_OF_IRQ0 2u

#define LAPIC_LVT_PERF	0x340
#define LAPIC_LVT_LINT0 0x350
#define LVT_MASKED	(1u << 16)

/* Delivery modes that RFLAGS.IF does not hold off, bits 10:8 of an LVT or redirection entry. */
#define DELIVERY_MODE(entry) ((unsigned)(entry) >> 8 & 7)
#define DELIVERY_SMI	     2
#define DELIVERY_NMI	     4
#define DELIVERY_INIT	     5

/* The chips. */

static int chip_get(const struct accel_vm *vm, unsigned id, struct kvm_irqchip *chip)
{
	memset(chip, 0, sizeof(*chip));
	chip->chip_id = id;
	return kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, chip);
}

static int chips_save(struct accel_vm *vm)
{
	struct kvm_chips *chips = &vm->power_up;
	int result = chip_get(vm, KVM_IRQCHIP_PIC_MASTER, &chips->pic[0]);

	if (!result)
		result = chip_get(vm, KVM_IRQCHIP_PIC_SLAVE, &chips->pic[1]);
	if (!result)
		result = chip_get(vm, KVM_IRQCHIP_IOAPIC, &chips->ioapic);
	if (!result)
		result = kvm_ioctl(vm->fd, KVM_GET_PIT2, &chips->pit);
	return result;
}

/* Bring KVM's line to the level that irq_levels has.
 * Two threads may be here for one line, the device's and vm_start's.  Whoever is last to call the
 * ioctl then reads the level once more and repeats when it is not the one just set; so the last
 * ioctl of all carries the level that stays. */
static void line_apply(struct accel_vm *vm, unsigned gsi)
{
	struct kvm_irq_level line = {.irq = gsi};
	unsigned level;

	do {
		level = atomic_load(&vm->irq_levels) >> gsi & 1;
		line.level = level;
		kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
	} while ((atomic_load(&vm->irq_levels) >> gsi & 1) != level);
}

static void lines_apply(struct accel_vm *vm)
{
	unsigned gsi;

	for (gsi = 0; gsi < KVM_GSI_COUNT; gsi++)
		line_apply(vm, gsi);
}

static unsigned pin_of(unsigned gsi)
{
	return gsi == 0 ? PIN_OF_IRQ0 : gsi;
}

static void route_add(struct kvm_irq_routing *table, unsigned gsi, unsigned chip, unsigned pin)
{
	table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

/* As a PC is wired, and as its tables say: the timer, line 0, is at pin 2 of the IO APIC, where KVM
 * itself would have the cascade of the 8259A pair. */
static int lines_route(struct accel_vm *vm)
{
	struct kvm_irq_routing *table =
		calloc(1, sizeof(*table) + sizeof(table->entries[0]) * 2 * KVM_GSI_COUNT);
	int result;

	if (!table)
		return -ENOMEM;
	for (unsigned gsi = 0; gsi < KVM_GSI_COUNT; gsi++) {
		if (gsi == PIN_OF_IRQ0)
			continue;
		if (gsi < PIC_LINES)
			route_add(table, gsi,
				  gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				  gsi & 7);
		route_add(table, gsi, KVM_IRQCHIP_IOAPIC, pin_of(gsi));
	}
	result = kvm_ioctl(vm->fd, KVM_SET_GSI_ROUTING, table);
	free(table);
	return result;
}

int kvm_chips_create(struct accel_vm *vm, struct umbra_err *err)
{
	/* Port 0x61 goes with counter 2, which it gates and whose output it shows. */
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int result = kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL);

	if (result)
		return umbra_err_set(err, -result, "KVM_CREATE_IRQCHIP: %s", strerror(-result));
	result = lines_route(vm);
	if (result)
		return umbra_err_set(err, -result, "KVM_SET_GSI_ROUTING: %s", strerror(-result));
	result = kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &pit);
	if (result)
		return umbra_err_set(err, -result, "KVM_CREATE_PIT2: %s", strerror(-result));
	result = chips_save(vm);
	if (result)
		return umbra_err_set(err, -result, "reading the state of KVM's chips: %s",
				     strerror(-result));
	/* Sequentially consistent with kvm_irq_set: either it sees the chips, or we its level. */
	atomic_store(&vm->has_irqchips, true);
	lines_apply(vm);
	return 0;
}

int kvm_chips_reset(struct accel_vm *vm, struct umbra_err *err)
{
	struct kvm_chips chips = vm->power_up; /* the ioctls take non-const */
	int result = kvm_ioctl(vm->fd, KVM_SET_PIT2, &chips.pit);

	if (!result)
		result = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chips.pic[0]);
	if (!result)
		result = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chips.pic[1]);
	if (!result)
		result = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chips.ioapic);
	if (result)
		return umbra_err_set(err, -result, "resetting KVM's chips: %s", strerror(-result));
	lines_apply(vm); /* a line that a device holds high is seen by the fresh chips */
	return 0;
}

void kvm_irq_set(struct accel_vm *vm, unsigned gsi, bool is_high)
{
	unsigned bit = 1u << gsi;
	unsigned old;

	if (gsi >= KVM_GSI_COUNT)
		return;
	old = is_high ? atomic_fetch_or(&vm->irq_levels, bit)
		      : atomic_fetch_and(&vm->irq_levels, ~bit);
	if (!!(old & bit) != is_high && atomic_load(&vm->has_irqchips))
		line_apply(vm, gsi);
}

/* KVM keeps the level of an 8259A's input to know edges by; those of the IO APIC's upper pins are
 * only ours. */
int kvm_irq_get(struct accel_vm *vm, unsigned gsi, struct accel_irq *out_irq)
{
	struct kvm_irqchip chip;
	const struct kvm_pic_state *pic = &chip.chip.pic;
	unsigned bit = 1u << (gsi & 7);
	int result;

	*out_irq = (struct accel_irq){.pin = (uint8_t)pin_of(gsi)};
	if (gsi == PIN_OF_IRQ0)
		return 0;
	result = chip_get(vm, KVM_IRQCHIP_IOAPIC, &chip);
	if (result)
		return result;
	out_irq->has_pin = true;
	out_irq->redirection = chip.chip.ioapic.redirtbl[pin_of(gsi)].bits;
	out_irq->is_high = atomic_load(&vm->irq_levels) >> gsi & 1;
	if (gsi >= PIC_LINES)
		return 0;
	result = chip_get(vm, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, &chip);
	if (result)
		return result;
	out_irq->has_pic = true;
	out_irq->is_high = pic->last_irr & bit;
	out_irq->is_masked = pic->imr & bit;
	out_irq->is_requested = pic->irr & bit;
	out_irq->is_in_service = pic->isr & bit;
	out_irq->vector = pic->irq_base | (uint8_t)(gsi & 7);
	return 0;
}

/* Waking. */

static bool can_interrupt_anyway(uint32_t entry)
{
	unsigned delivery = DELIVERY_MODE(entry);

	return !(entry & LVT_MASKED) &&
	       (delivery == DELIVERY_NMI || delivery == DELIVERY_SMI || delivery == DELIVERY_INIT);
}

/* LINT1 is not looked at, although systems set it to NMI and leave it open: nothing is wired to it
 * in KVM.  LINT0 has the timer, the performance counters have an entry of their own; the other
 * sources have no delivery mode (timer) or never fire here (thermal). */
bool kvm_lapic_has_open_nmi(const struct kvm_lapic_state *lapic)
{
	return can_interrupt_anyway(le32_get(lapic->regs + LAPIC_LVT_LINT0)) ||
	       can_interrupt_anyway(le32_get(lapic->regs + LAPIC_LVT_PERF));
}

bool kvm_ioapic_has_open_nmi(const struct kvm_ioapic_state *ioapic)
{
	unsigned pin;

	for (pin = 0; pin < UMBRA_ARRAY_SIZE(ioapic->redirtbl); pin++) {
		if (can_interrupt_anyway((uint32_t)ioapic->redirtbl[pin].bits))
			return true;
	}
	return false;
}

static bool has_open_nmi(struct accel_vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	struct kvm_irqchip ioapic;

	if (kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) != 0 || kvm_lapic_has_open_nmi(&lapic))
		return true;
	return chip_get(vcpu->vm, KVM_IRQCHIP_IOAPIC, &ioapic) != 0 ||
	       kvm_ioapic_has_open_nmi(&ioapic.chip.ioapic);
}

/* When the host cannot tell, the answer is no: a wrong yes would end a run that is alive. */
bool kvm_is_halted_for_good(struct accel_vcpu *vcpu)
{
	const struct kvm_sync_regs *regs = &vcpu->run->s.regs;
	struct kvm_mp_state mp;

	if (kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) != 0)
		return false;
	/* KVM_GET_MP_STATE takes up a pending INIT or SIPI, which writes registers. */
	vcpu->cached = 0;
	switch (kvm_activity_of(mp.mp_state)) {
	case X86_ACTIVE:
		return false;
	case X86_WAIT_FOR_SIPI:
		return true;
	case X86_HALTED:
		break;
	}
	if (kvm_state_cache(vcpu, KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS) != 0)
		return false;
	if (regs->regs.rflags & X86_RFLAGS_IF)
		return false;
	if (regs->events.nmi.pending || regs->events.nmi.injected || regs->events.smi.pending)
		return false;
	return !has_open_nmi(vcpu);
}
