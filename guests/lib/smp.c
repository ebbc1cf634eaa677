/* Starts a second processor by INIT and SIPI through the local APIC's registers in memory.
 * Static state: the hand-over to the new processor.
 * Source: SDM 3A 8.4.4.1 (typical BSP initialization), 10.6.1 (interrupt command register). */
#include "smp.h"

#define LAPIC_BASE	  0xfee00000ul
#define LAPIC_SVR	  0x0f0
#define LAPIC_SVR_ENABLE  0x100
#define LAPIC_ICR_LOW	  0x300
#define LAPIC_ICR_HIGH	  0x310
#define LAPIC_ICR_PENDING 0x1000
#define LAPIC_ICR_INIT	  0x4500 /* INIT, level assert */
#define LAPIC_ICR_STARTUP 0x4600

#define SMP_TRAMPOLINE 0x8000ul /* page 8: below 1 MiB, as a SIPI vector demands */

extern const uint8_t smp_trampoline[], smp_trampoline_end[]; /* smp_entry.S */

void (*volatile smp_entry)(void); /* read by smp_entry.S */

static volatile uint32_t *lapic_reg(unsigned offset)
{
	return (volatile uint32_t *)(LAPIC_BASE + offset);
}

static void lapic_send(uint8_t apic_id, uint32_t command)
{
	*lapic_reg(LAPIC_ICR_HIGH) = (uint32_t)apic_id << 24;
	*lapic_reg(LAPIC_ICR_LOW) = command;
	while ((*lapic_reg(LAPIC_ICR_LOW) & LAPIC_ICR_PENDING) != 0)
		cpu_relax();
}

void smp_start(uint8_t apic_id, void (*entry)(void))
{
	volatile uint8_t *to = (volatile uint8_t *)SMP_TRAMPOLINE;
	const uint8_t *from;

	for (from = smp_trampoline; from < smp_trampoline_end; from++)
		*to++ = *from;
	smp_entry = entry;
	*lapic_reg(LAPIC_SVR) |= LAPIC_SVR_ENABLE;
	lapic_send(apic_id, LAPIC_ICR_INIT);
	/* The second SIPI of the manual's sequence is for processors that miss the first one;
	 * virtual ones do not. */
	lapic_send(apic_id, LAPIC_ICR_STARTUP | SMP_TRAMPOLINE >> 12);
}

void smp_lock_take(struct smp_lock *lock)
{
	while (__atomic_exchange_n(&lock->is_taken, 1, __ATOMIC_ACQUIRE) != 0)
		cpu_relax();
}

void smp_lock_drop(struct smp_lock *lock)
{
	__atomic_store_n(&lock->is_taken, 0, __ATOMIC_RELEASE);
}
