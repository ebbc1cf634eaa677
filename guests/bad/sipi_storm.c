/* INIT and SIPI without rest, to a processor that starts, runs and halts in between, and to
 * processors that are not there. */
#include "bad.h"
#include "smp.h"

#define ICR_LOW	   (BAD_LAPIC + 0x300)
#define ICR_HIGH   (BAD_LAPIC + 0x310)
#define INIT	   0x4500u
#define SIPI	   0x4600u
#define DEASSERT   0x8500u
#define TRAMPOLINE 0x8u /* the page that smp_start filled */
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

int main(void)
{
	unsigned before;

	smp_start(1, second);
	for (unsigned i = 0; i < ROUNDS; i++) {
		send(1, INIT);
		if (i % 3 == 0)
			send(1, DEASSERT);
		send(1 + i % 5 * 50, SIPI | TRAMPOLINE);
		send(1, SIPI | TRAMPOLINE);
		send(1, SIPI | (i & 0xff));
	}
	before = starts;
	send(1, INIT);
	send(1, SIPI | TRAMPOLINE);
	while (starts == before)
		cpu_relax();
	print_text("bad: a storm of INIT and SIPI\n");
	return BAD_SURVIVED;
}
