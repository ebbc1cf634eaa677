/* The tables of Intel's MultiProcessor Specification, for systems without ACPI.
 * Source: MultiProcessor Specification 1.4 (May 1997), chapter 4. */
#ifndef VM_MPTABLE_H
#define VM_MPTABLE_H

#include "facts.h"

#define MP_POINTER_BYTES 16u
#define MP_TABLE_MAX	 8192u

/* The floating pointer structure, which systems search for in 0xf0000..0xfffff, to a table at
 * @table. */
void mptable_make_pointer(uint8_t out[MP_POINTER_BYTES], uint32_t table);
/* The configuration table into @out of @size bytes.  Returns its length, 0 when it does not fit. */
size_t mptable_make(uint8_t *out, size_t size, const struct pc_facts *facts);

#endif
