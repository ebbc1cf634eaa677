/* A TSS in a device: an exception on a stack of the interrupt stack table, whose address is what
 * the local APIC reads as.  Static state: the descriptor tables. */
#include "bad.h"

#define VECTOR_UD      6u
#define SELECTOR_TSS   0x20
#define TSS_AVAILABLE  0x89ull
#define GATE_IST_SHIFT 32

static uint64_t gdt[8];

int main(void)
{
	struct bad_table table;
	const uint64_t *old;

	__asm__ volatile("sgdt %0" : "=m"(table));
	old = (const uint64_t *)table.base;
	for (unsigned i = 0; i < 4; i++)
		gdt[i] = old[i];
	gdt[4] = 0x67 | (BAD_LAPIC & 0xffffff) << 16 | TSS_AVAILABLE << 40 |
		 (BAD_LAPIC >> 24 & 0xff) << 56;
	gdt[5] = BAD_LAPIC >> 32;
	bad_lgdt((uintptr_t)gdt, sizeof(gdt) - 1);
	__asm__ volatile("ltr %%ax" : : "a"(SELECTOR_TSS));
	idt_init();
	__asm__ volatile("sidt %0" : "=m"(table));
	for (unsigned vector = 0; vector < IDT_VECTORS; vector++)
		((uint64_t *)table.base)[2 * vector] |= 1ull << GATE_IST_SHIFT;
	print_text("bad: a TSS in a device\n");
	__asm__ volatile("ud2");
	return GUEST_FAIL;
}
