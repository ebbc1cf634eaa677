/* A GDT where no RAM is: every descriptor reads as ones, which is no segment for a handler. */
#include "bad.h"

int main(void)
{
	idt_init();
	print_text("bad: a GDT in a hole\n");
	bad_lgdt(BAD_HOLE, 0xffff);
	__asm__ volatile("ud2");
	return GUEST_FAIL;
}
