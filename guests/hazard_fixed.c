/* `hazard` with the flushes that it lacks: nothing may be reported of it. */
#define HAZARD_HAS_FLUSHES 1
#include "hazard.c"
