/* Registers whose bits have names: one table for target.xml and for `monitor info regs`.
 * Private to src/debug; pure. */
#ifndef DEBUG_FLAGS_H
#define DEBUG_FLAGS_H

#include "regs.h"

struct flag_bit {
	const char *name; /* NULL ends the list; "" is a bit that is there but says nothing */
	unsigned bit;	  /* the lowest one */
	unsigned more;	  /* bits above it that belong to the same number */
};

#define FLAGS_MAX_BITS 24u

struct flags_type {
	const char *id; /* the type's name in target.xml and in the register table */
	unsigned bytes;
	enum reg_feature feature; /* that uses it */
	struct flag_bit bit[FLAGS_MAX_BITS];
};

/* Type number @index, or NULL past the last. */
const struct flags_type *flags_at(unsigned index);
/* The type called @id, or NULL. */
const struct flags_type *flags_find(const char *id);
/* The names of the bits set in @value, highest first, as gdb writes them: "PG WP PE". */
void flags_format(const char *id, uint64_t value, char *buf, size_t size);

#endif
