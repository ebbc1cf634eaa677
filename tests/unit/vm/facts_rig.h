/* A machine to describe, for the tests of the tables. */
#ifndef TEST_VM_FACTS_RIG_H
#define TEST_VM_FACTS_RIG_H

#include "src/vm/facts.h"

/* A PC of @cpus processors with two serial ports, a keyboard and a clock. */
struct pc_facts facts_of(unsigned cpus);
/* All @len bytes add up to 0. */
bool sums_to_zero(const uint8_t *bytes, size_t len);

#endif
