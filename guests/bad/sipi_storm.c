/* INIT and SIPI without rest, to a processor that starts, runs and halts in between, and to
 * processors that are not there.  Which of several SIPIs behind one INIT starts a processor is its
 * own affair (KVM takes the last that arrived before it looked), so there is code at each of their
 * pages. */
#include "bad.h"
#include "smp.h"

#define ICR_LOW	   (BAD_LAPIC + 0x300)
#define ICR_HIGH   (BAD_LAPIC + 0x310)
#define INIT	   0x4500u
#define SIPI	   0x4600u
#define DEASSERT   0x8500u
#define TRAMPOLINE 0x8u	 /* the page that smp_start filled */
#define HALT_FIRST 0x10u /* the pages that fill_halt_pages fills */
#define HALT_COUNT 0x70u /* they end below the BIOS' data */
#define PAGE_SIZE  0x1000ul
#define ROUNDS	   3000u

static volatile unsigned starts;

static void second(void)
{
	starts++;
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void send(uint32_t apic_id, uint32_t command)
{
	*(volatile uint32_t *)ICR_HIGH = apic_id << 24;
	*(volatile uint32_t *)ICR_LOW = command;
}

static void fill_halt_pages(void)
{
	static const uint8_t halt[] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; 1: hlt; jmp 1b */
	volatile uint8_t *page;

	for (unsigned i = 0; i < HALT_COUNT; i++) {
		page = (volatile uint8_t *)((HALT_FIRST + i) * PAGE_SIZE);
		for (unsigned j = 0; j < sizeof(halt); j++)
			page[j] = halt[j];
	}
}

int main(void)
{
	unsigned before;

	fill_halt_pages();
	smp_start(1, second);
	for (unsigned i = 0; i < ROUNDS; i++) {
		send(1, INIT);
		if (i % 3 == 0)
			send(1, DEASSERT);
		send(1 + i % 5 * 50, SIPI | TRAMPOLINE);
		send(1, SIPI | TRAMPOLINE);
		send(1, SIPI | (HALT_FIRST + i % HALT_COUNT));
	}
	before = starts;
	send(1, INIT);
	send(1, SIPI | TRAMPOLINE);
	while (starts == before)
		cpu_relax();
	print_text("bad: a storm of INIT and SIPI\n");
	return BAD_SURVIVED;
}
