/* A guest that dies: an exception that an empty IDT cannot deliver ends in a triple fault.
 * Source: SDM 3A 6.15, interrupt 8 (double fault). */
#include "guest.h"

int main(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) empty = {0, 0};

	print_text("triple: farewell\n");
	__asm__ volatile("lidt %0" : : "m"(empty));
	__asm__ volatile("ud2");
	return GUEST_FAIL;
}
