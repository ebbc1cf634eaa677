/* The BIOS data area as firmware leaves it: what systems read that ask no firmware.
 * Source: IBM PC/AT technical reference (March 1986), section 5. */
#ifndef VM_BDA_H
#define VM_BDA_H

#include "facts.h"

#define BDA_GPA	   0x400u
#define BDA_BYTES  0x100u
#define EBDA_GPA   0x9fc00u
#define EBDA_BYTES 0x400u

void bda_make(uint8_t out[BDA_BYTES], const struct pc_facts *facts);
/* The extended area says how long it is; the rest is zero. */
void bda_make_extended(uint8_t out[EBDA_BYTES]);

#endif
