/* Double faults without end: a selector beyond the GDT is #GP, whose gate is not there, and the
 * handler of #DF returns to the same instruction.  Static state: how often. */
#include "bad.h"

#define VECTOR_DF 8u
#define VECTOR_GP 13u
#define ENOUGH	  1000u

static unsigned count;

static void on_double_fault(struct idt_frame *frame)
{
	(void)frame;
	if (++count == ENOUGH)
		print_text("bad: a thousand double faults\n");
}

struct gate {
	uint64_t low, high;
};

int main(void)
{
	struct bad_table table;
	struct gate *gates;

	idt_init();
	idt_set(VECTOR_DF, on_double_fault);
	__asm__ volatile("sidt %0" : "=m"(table));
	gates = (struct gate *)table.base;
	gates[VECTOR_GP].low = 0;
	gates[VECTOR_GP].high = 0;
	__asm__ volatile("movl %%eax, %%fs" : : "a"(0xfff8));
	return GUEST_FAIL;
}
