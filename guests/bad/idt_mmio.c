/* An IDT in the registers of the IO APIC. */
#include "bad.h"

int main(void)
{
	print_text("bad: an IDT in a device\n");
	bad_lidt(BAD_IOAPIC, 0xfff);
	__asm__ volatile("ud2");
	return GUEST_FAIL;
}
