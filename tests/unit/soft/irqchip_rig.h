/* The interrupt chips with vCPUs that execute nothing, for tests: their slice says what time it is,
 * and what is posted to them stays in pend. */
#ifndef TESTS_SOFT_IRQCHIP_RIG_H
#define TESTS_SOFT_IRQCHIP_RIG_H

#include "src/accel/soft/irqchip.h"
#include "src/accel/soft/run.h"

#define CPUS 3u

#define LAPIC_GPA 0xfee00000ull
#define SVR	  0xf0
#define EOI	  0xb0
#define TPR	  0x80
#define ICR	  0x300
#define ICR_HIGH  0x310
#define LVT_TIMER 0x320
#define LVT_LINT0 0x350
#define INITIAL	  0x380
#define DIVIDE	  0x3e0

struct irqchip_rig {
	struct soft_vm vm;
	struct soft_cpu cpu[CPUS];
	atomic_uint req;
};

void irqchip_rig_open(struct irqchip_rig *rig);
void irqchip_rig_close(struct irqchip_rig *rig);
/* It is @ns, in the slice of vCPU @index. */
void irqchip_rig_at(struct irqchip_rig *rig, unsigned index, int64_t ns);
/* What was posted to vCPU @index since the last time: mask of enum soft_pend. */
unsigned irqchip_rig_posted(struct irqchip_rig *rig, unsigned index);
/* A byte at a port. */
void irqchip_rig_out(struct irqchip_rig *rig, uint16_t port, uint8_t value);
uint8_t irqchip_rig_in(struct irqchip_rig *rig, uint16_t port);
/* The 8259A pair: vectors 0x20 and 0x28, every line open, ICW4 of the master. */
void irqchip_rig_pic(struct irqchip_rig *rig, uint8_t icw4);
/* A register of vCPU @index's local APIC, by MMIO. */
void irqchip_rig_lapic_out(struct irqchip_rig *rig, unsigned index, unsigned offset,
			   uint32_t value);
uint32_t irqchip_rig_lapic_in(struct irqchip_rig *rig, unsigned index, unsigned offset);
void irqchip_rig_ioapic_out(struct irqchip_rig *rig, uint32_t index, uint32_t value);
/* vCPU @from writes ICR. */
void irqchip_rig_send(struct irqchip_rig *rig, unsigned from, uint32_t dest, uint32_t icr);

#endif
