/* The interrupt chips as the rest of this folder sees them (irqchip.c, irqchip_cpu.c).  Any vCPU
 * thread; the lock is inside. */
#ifndef SOFT_IRQ_H
#define SOFT_IRQ_H

#include "cpu.h"

int soft_irqchip_create(struct soft_vm *vm, struct umbra_err *err);
void soft_irqchip_destroy(struct soft_vm *vm);
void soft_irqchip_reset(struct soft_vm *vm);
int soft_irqchip_add_cpu(struct soft_cpu *c, struct umbra_err *err); /* sets c->lapic */
void soft_irqchip_remove_cpu(struct soft_cpu *c); /* before @c is freed: no post comes after it */
void soft_irqchip_set(struct soft_vm *vm, unsigned gsi, bool is_high);
void soft_irqchip_get(struct soft_vm *vm, unsigned gsi, struct accel_irq *out_irq);
/* Is a maskable interrupt waiting that IF=1 would let in (above TPR)? */
bool soft_irq_is_pending(struct soft_cpu *c);
/* Take it: acknowledge and return its vector, or -1 when it went away. */
int soft_irq_take(struct soft_cpu *c);
/* Time of the earliest timer of this vCPU's APIC in soft_now units; ~0 = none.  And letting timers
 * that are due fire. */
uint64_t soft_irqchip_deadline(struct soft_cpu *c);
void soft_irqchip_tick(struct soft_cpu *c);
/* Could the chips by themselves ever end a HLT of this vCPU with IF=0: an NMI by a timer or a line
 * that is set up for it? */
bool soft_irqchip_can_wake(struct soft_cpu *c);
/* Local APIC as the guest reaches it: MMIO page at apic_base (xAPIC), MSRs 0x800.. (x2APIC; false =
 * #GP), CR8. */
bool soft_lapic_mmio(struct soft_cpu *c, gpa_t gpa, bool is_write, unsigned len, void *data);
bool soft_lapic_rdmsr(struct soft_cpu *c, uint32_t index, uint64_t *out_value);
bool soft_lapic_wrmsr(struct soft_cpu *c, uint32_t index, uint64_t value);
uint64_t soft_lapic_cr8(struct soft_cpu *c);
void soft_lapic_set_cr8(struct soft_cpu *c, uint64_t value);
bool soft_lapic_set_base(struct soft_cpu *c, uint64_t apic_base); /* IA32_APIC_BASE; false = #GP */

#endif
