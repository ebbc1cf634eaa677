/* Loops that a processor's raw speed is measured with: the same object code runs in the guest
 * `speed` and, natively, in tests/bench.  Each returns a value that depends on everything it did.
 */
#ifndef SPEED_LOOPS_H
#define SPEED_LOOPS_H

#include <stdint.h>

struct speed_loop {
	const char *name;
	uint64_t (*run)(uint64_t count);
	uint64_t count; /* about 100 million instructions */
};

extern const struct speed_loop speed_loops[];
extern const unsigned speed_loop_count;

#endif
