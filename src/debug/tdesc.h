/* target.xml: what the register table looks like to gdb.  Private to src/debug. */
#ifndef DEBUG_TDESC_H
#define DEBUG_TDESC_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the description, terminator included. */
#define TDESC_MAX 24576u

/* What a description says of the architecture.  TDESC_OPEN names none: gdb takes the guest for what
 * its symbol file is, an i386 if it has none.  All but those of x86-64 hold the registers of both,
 * by the same numbers.  TDESC_X86_64_LINUX makes gdb take the guest for a process of Linux: it
 * knows
 * $_siginfo and the names of system calls then, and looks for modules as such a process has them.
 */
enum tdesc_arch { TDESC_X86_64, TDESC_X86_64_LINUX, TDESC_OPEN, TDESC_I386, TDESC_I8086 };

/* The registers of @arch are 0..n-1; a description may leave some out. */
unsigned tdesc_reg_count(enum tdesc_arch arch);

/* Write the description into @buf.  Returns its length without the terminator, or 0 when it does
 * not fit. */
size_t tdesc_write(char *buf, size_t size, enum tdesc_arch arch);

#endif
