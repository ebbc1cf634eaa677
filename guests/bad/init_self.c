/* The only processor sends itself INIT, and finds no firmware where it starts again. */
#include "bad.h"

#define ICR_LOW	 (BAD_LAPIC + 0x300)
#define ICR_HIGH (BAD_LAPIC + 0x310)
#define INIT	 0x4500u

int main(void)
{
	print_text("bad: INIT to itself\n");
	*(volatile uint32_t *)ICR_HIGH = 0;
	*(volatile uint32_t *)ICR_LOW = INIT;
	for (;;)
		cpu_relax();
}
