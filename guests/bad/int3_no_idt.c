/* A breakpoint instruction when the IDT has no room for a single gate. */
#include "bad.h"

int main(void)
{
	print_text("bad: int3 without an IDT\n");
	bad_lidt(0, 0);
	__asm__ volatile("int3");
	return GUEST_FAIL;
}
