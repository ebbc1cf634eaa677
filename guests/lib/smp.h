/* A second processor, and what two processors share. */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include "guest.h"

struct smp_lock {
	volatile uint32_t is_taken;
};

void smp_lock_take(struct smp_lock *lock);
void smp_lock_drop(struct smp_lock *lock);

/* Start the processor with local APIC id @apic_id in @entry, in 64-bit mode on a stack of its own;
 * @entry must not return.  One processor can be started. */
void smp_start(uint8_t apic_id, void (*entry)(void));

#endif
