/* Code in the registers of the local APIC. */
#include "bad.h"

int main(void)
{
	print_text("bad: code in a device\n");
	((void (*)(void))BAD_LAPIC)();
	return GUEST_FAIL;
}
