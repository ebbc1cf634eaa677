/* Reads and writes of every width, aligned or not, all over the gigabyte that has no RAM, and all
 * over the registers of the IO APIC and the local APIC. */
#include "bad.h"

#define GAP_FROM 0xc0000000ul
#define GAP_TO	 0x100000000ul
#define STRIDE	 0x20000ul
#define WINDOW	 0x400ul

static void touch(uint64_t address)
{
	volatile uint8_t *byte = (volatile uint8_t *)address;
	volatile uint16_t *word = (volatile uint16_t *)address;
	volatile uint32_t *dword = (volatile uint32_t *)address;
	volatile uint64_t *qword = (volatile uint64_t *)address;

	(void)*byte;
	(void)*word;
	(void)*dword;
	(void)*qword;
	*byte = 0;
	*word = 0;
	*dword = 0;
	*qword = 0;
}

int main(void)
{
	for (uint64_t at = GAP_FROM; at < GAP_TO; at += STRIDE) {
		touch(at);
		touch(at + 0xffd); /* across the end of a page */
	}
	for (uint64_t offset = 0; offset < WINDOW; offset += 3) {
		touch(BAD_IOAPIC + offset);
		touch(BAD_LAPIC + offset);
	}
	print_text("bad: all addresses touched\n");
	return BAD_SURVIVED;
}
