/* Both processors halt with interrupts off. */
#include "smp.h"

static volatile bool is_second_up;

static void second(void)
{
	is_second_up = true;
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	smp_start(1, second);
	while (!is_second_up)
		cpu_relax();
	print_text("bad: both halt\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
