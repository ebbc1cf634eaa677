/* What the guests that misbehave share.  Each does one thing that a machine must take, and ends:
 * dead of it, or with BAD_SURVIVED, which no other way out of a guest gives. */
#ifndef GUEST_BAD_H
#define GUEST_BAD_H

#include "idt.h"

#define BAD_SURVIVED 42u

#define BAD_HOLE   0x40000000ul /* no RAM, no device */
#define BAD_LAPIC  0xfee00000ul
#define BAD_IOAPIC 0xfec00000ul

#define PTE_PRESENT 0x1ull
#define PTE_WRITE   0x2ull
#define PTE_RSVD    (1ull << 51)

/* A register of GDT or IDT. */
struct bad_table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static inline void bad_lidt(uint64_t base, uint16_t limit)
{
	const struct bad_table table = {limit, base};

	__asm__ volatile("lidt %0" : : "m"(table) : "memory");
}

static inline void bad_lgdt(uint64_t base, uint16_t limit)
{
	const struct bad_table table = {limit, base};

	__asm__ volatile("lgdt %0" : : "m"(table) : "memory");
}

static inline uint64_t bad_cr3(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr3, %0" : "=r"(value));
	return value;
}

static inline void bad_set_cr3(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static inline void bad_invlpg(uint64_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* The page directory pointer table that boot.S made; its entry 0 covers the guest itself. */
static inline volatile uint64_t *bad_pdpt(void)
{
	const volatile uint64_t *pml4 = (const volatile uint64_t *)bad_cr3();

	return (volatile uint64_t *)(pml4[0] & ~0xfffull);
}

/* A page of tables for the guest's own use. */
#define BAD_PAGE __attribute__((aligned(4096)))

#endif
