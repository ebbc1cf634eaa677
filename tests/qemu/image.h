/* A sequence as a program: a BIOS image in 16-bit code without a loop but for waiting, which QEMU
 * runs from its first instruction.  Under -icount its clock counts instructions, so the time of
 * each operation is known to the nanosecond without asking.  Results go to the debug console.
 *
 *   f000:0000  vectors set, then the operations, then the end
 *   f000:e000  256 interrupt handlers of 16 bytes
 *   f000:fff0  reset vector
 *
 * On a machine without QEMU's test accelerator (Debian's package has it not) nothing else stops
 * QEMU's clock; and its test protocol could not take interrupts. */
#ifndef UMBRA_QEMU_IMAGE_H
#define UMBRA_QEMU_IMAGE_H

#include "sequence.h"

#include <stddef.h>

#define IMAGE_BYTES  0x10000u
#define IMAGE_BITS   16
#define DEBUG_PORT   0xe9u
#define EXIT_PORT    0xf4u
#define EXIT_VALUE   21u
#define EXIT_STATUS  ((int)(EXIT_VALUE << 1 | 1))
#define RESULT_BYTES 2u /* of each operation that has a result, little-endian */

#define PIT_TICKS_PER_S 1193182ull
#define NS_PER_S	1000000000ull
#define PIT_TICK_NS	838u

struct image {
	uint8_t byte[IMAGE_BYTES];
	size_t size;
	uint64_t instructions; /* so far */
	uint64_t time_ns[SEQ_OPS_MAX];
	bool is_full; /* what did not fit is not there */
};

/* Where in a tick of the 8254's clock operations take place while the pace is aligned: QEMU counts
 * whole ticks from the load of each counter, umbra (and the chip) edges of one clock for all; they
 * are the same as long as loads come before the other operations within a tick. */
#define PHASE_LOAD  (PIT_TICK_NS / 4)
#define PHASE_OTHER (3 * PIT_TICK_NS / 4)

/* A write that loads a counter.  The chip does so with the next edge of the clock, QEMU at once, so
 * QEMU's comes one tick later (known.c); this is time_ns. */
bool op_is_load(const struct op *op);

void image_build(struct image *image, const struct sequence *s);

#endif
