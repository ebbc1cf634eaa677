/* target.xml: what the register table looks like to gdb.  Private to src/debug. */
#ifndef DEBUG_TDESC_H
#define DEBUG_TDESC_H

#include <stddef.h>

/* Room for the description, terminator included. */
#define TDESC_MAX 8192u

/* Write the description into @buf.  Returns its length without the terminator, or 0 when it does
 * not fit. */
size_t tdesc_write(char *buf, size_t size);

#endif
