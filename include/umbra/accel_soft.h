/* The back end that runs guest code in software: it needs nothing of the host but memory.  Every
 * mode and privilege works, break- and watchpoints have no limit, and the same input gives the same
 * run: vCPUs take turns by instruction count, and time is the number of instructions. */
#ifndef UMBRA_ACCEL_SOFT_H
#define UMBRA_ACCEL_SOFT_H

#include "umbra/accel.h"

/* The one instance; see umbra/accel.h for what its functions promise. */
extern const struct accel_ops accel_soft;

#endif
