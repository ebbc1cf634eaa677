/* A toy processor: eight instructions of an i386, so that gdb can disassemble its program, and 64
 * KiB of memory in which addresses wrap around.  It knows nothing of a debugger. */
#ifndef EXAMPLE_TOY_CPU_H
#define EXAMPLE_TOY_CPU_H

#include <stdbool.h>
#include <stdint.h>

#define TOY_MEMORY 0x10000u
#define TOY_ILL	   4u /* gdb's number of the signal */

/* gdb's order for an i386; 10 to 15 are its segments. */
enum { TOY_EAX, TOY_EIP = 8, TOY_EFLAGS, TOY_REGS = 16 };

struct toy {
	uint32_t reg[TOY_REGS];
	uint8_t memory[TOY_MEMORY];
	uint64_t executed;
	bool is_over; /* it came to HLT */
};

/* Put the program in place. */
void toy_start(struct toy *toy);
/* One instruction.  Returns the signal that it raises, or 0. */
unsigned toy_step(struct toy *toy);

#endif
