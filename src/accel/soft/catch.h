/* Guest events that the debugger wants to see: struct accel_catch. */
#ifndef SOFT_CATCH_H
#define SOFT_CATCH_H

#include "cpu.h"

/* System calls that were let through and have not returned yet, of all vCPUs. */
struct soft_calls;
int soft_calls_create(struct soft_vm *vm);
void soft_calls_destroy(struct soft_vm *vm);
void soft_calls_reset(struct soft_vm *vm);

/* In front of what an instruction does; they leave it if that is to be caught. */
void soft_catch_port(struct soft_cpu *c, uint16_t port, unsigned size, bool is_write,
		     uint32_t value);
void soft_catch_msr(struct soft_cpu *c, uint32_t msr, bool is_write, uint64_t value);
/* INT3, INTO, INT1, and INT 80h. */
void soft_catch_int(struct soft_cpu *c, enum soft_event_type type, uint8_t vector);
/* A system call that returns to @back, or where SYSEXIT says (~0). */
void soft_catch_syscall(struct soft_cpu *c, uint64_t back);
/* Behind an instruction that returned to CPL 3; @is_sysexit. */
void soft_catch_return(struct soft_cpu *c, bool is_sysexit);
/* c->event is about to be delivered.  True when it is caught: @out is filled. */
bool soft_catch_event(struct soft_cpu *c, struct accel_exit *out);

#endif
