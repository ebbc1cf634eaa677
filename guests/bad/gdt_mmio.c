/* A GDT whose descriptors are a device's registers: none of them is a code segment. */
#include "bad.h"

int main(void)
{
	idt_init();
	print_text("bad: a GDT in a device\n");
	bad_lgdt(BAD_IOAPIC, 0xffff);
	__asm__ volatile("ud2");
	return GUEST_FAIL;
}
