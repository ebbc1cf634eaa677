/* The interrupt chips of the software machine: for irqchip.c and its unit test. */
#ifndef SOFT_IRQCHIP_H
#define SOFT_IRQCHIP_H

#include "cpu.h"

#include "umbra/irqchip.h"
#include "umbra/lock.h"

/* A chip as the bus knows it. */
struct irqchip_device {
	struct soft_irqchip *chip;
	const struct dev_ops *ops; /* the chip's own */
	void *state;
};

struct irqchip_cpu {
	struct soft_irqchip *chip;    /* [const] */
	struct lapic *lapic;	      /* [const] its state is [lock] */
	struct irqchip_device device; /* [const] */
	struct soft_cpu *cpu;	      /* [lock] NULL: no such thread */
	unsigned post;		      /* [lock] mask of enum soft_pend, for irqchip_leave */
	/* What its thread asks for all the time; written with the lock held, relaxed: whoever sets
	 * is_pending posts PEND_IRQ afterwards, and soft_post orders the two. */
	atomic_bool is_pending;
	atomic_ullong timer_ns;	 /* lapic_timer_ns */
	atomic_ullong timer_tsc; /* lapic_timer_tsc */
};

/* Lock order: a device's, then this one; nothing is called with it held but the chips, so that a
 * post to a vCPU is made after irqchip_leave. */
struct soft_irqchip {
	struct soft_vm *vm; /* [const] */
	struct lock lock;
	struct pic8259 *pic; /* [const] these three; their state is [lock] */
	struct pit8254 *pit;
	struct ioapic *ioapic;
	struct irqchip_device pic_device, pit_device, ioapic_device; /* [const] */
	bool has_told_smi;    /* [lock] the warning was given */
	bool has_sent;	      /* [lock] a message for another vCPU went out */
	bool is_pit_dirty;    /* [lock] irqchip_leave looks at the timer's next edge */
	uint64_t dirty;	      /* [lock] mask of vCPUs whose summary irqchip_leave makes anew */
	atomic_ullong pit_ns; /* pit8254_next_edge; as timer_ns */
	unsigned cpu_count;   /* [const] */
	struct irqchip_cpu cpu[ACCEL_MAX_VCPUS];
};

/* irqchip.c: take the lock; drop it, after which whoever has to look has been told. */
void irqchip_enter(struct soft_irqchip *chip);
void irqchip_leave(struct soft_irqchip *chip);
/* The timer chip comes to @now_ns, and may be changed then.  Lock held. */
void irqchip_timer_run(struct soft_irqchip *chip, uint64_t now_ns);

/* irqchip_bus.c: put the chips on the machine's bus.  Errors: -ENOMEM, bus_map's. */
int irqchip_add_devices(struct soft_irqchip *chip, struct umbra_err *err);

#endif
