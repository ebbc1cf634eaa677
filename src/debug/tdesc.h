/* target.xml: what the register table looks like to gdb.  Private to src/debug. */
#ifndef DEBUG_TDESC_H
#define DEBUG_TDESC_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the description, terminator included. */
#define TDESC_MAX 24576u

/* Write the description into @buf.  With @is_open it does not name an architecture, and holds the
 * registers of both: gdb takes the guest for what its symbol file is, an i386 if it has none.
 * Returns its length without the terminator, or 0 when it does
 * not fit. */
size_t tdesc_write(char *buf, size_t size, bool is_open);

#endif
