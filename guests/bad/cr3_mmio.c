/* Page tables in the registers of the local APIC. */
#include "bad.h"

int main(void)
{
	print_text("bad: CR3 in a device\n");
	bad_set_cr3(BAD_LAPIC);
	return GUEST_FAIL;
}
