/* The last words about a guest that died while no debugger was attached. */
#ifndef CLI_OBITUARY_H
#define CLI_OBITUARY_H

#include "umbra/cpu.h"

/* Log what happened and where.  Call: control thread, world STOPPED. */
void obituary_log(struct world *world, const struct cpu_stop *stop);
/* Log where vCPU @index stands. */
void obituary_log_place(struct world *world, unsigned index);

#endif
