/* How long something took on the host, for a person's eye.  Guest time and everything that could
 * reach a guest enters through umbra/record.h. */
#ifndef UMBRA_STOPWATCH_H
#define UMBRA_STOPWATCH_H

#include <stdint.h>

/* Nanoseconds since some fixed moment (CLOCK_MONOTONIC).  Any thread. */
uint64_t stopwatch_ns(void);

#endif
