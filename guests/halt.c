/* A guest that halts with interrupts off, which nothing can end. */
#include "guest.h"

int main(void)
{
	print_text("halt: good night\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
