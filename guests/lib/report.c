/* How a guest ends.  Source: QEMU hw/misc/debugexit.c (isa-debug-exit). */
#include "guest.h"

#define DEBUG_EXIT_PORT 0xf4

void guest_exit(unsigned status)
{
	port_out8(DEBUG_EXIT_PORT, (uint8_t)status);
	for (;;)
		__asm__ volatile("cli; hlt");
}
