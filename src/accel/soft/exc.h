/* Exceptions and interrupts on their way in (exc.c), and what resets a processor (init.c). */
#ifndef SOFT_EXC_H
#define SOFT_EXC_H

#include "cpu.h"

/* Deliver @event through the IDT or IVT: one call per event, from the loop.  May escape by
 * soft_raise with is_delivering set. */
void soft_exc_deliver(struct soft_cpu *c, const struct soft_event *event);
/* What a fault while delivering makes of it (SDM 3A 6.15, table 6-5): replaces *@second by the
 * event to deliver next, a double fault if so.  Returns false: triple fault. */
bool soft_exc_merge(const struct soft_event *first, struct soft_event *second);
/* INIT and SIPI (SDM 3A 8.4). */
void soft_init(struct soft_cpu *c);
void soft_sipi(struct soft_cpu *c, uint8_t vector);

#endif
