/* SYSCALL, SYSRET, SYSENTER, SYSEXIT: what iret.c's table takes from syscall.c. */
#ifndef SOFT_SYSCALL_H
#define SOFT_SYSCALL_H

#include "translate.h"

bool syscall_emit_syscall(struct tr *t);
bool syscall_emit_sysret(struct tr *t);
bool syscall_emit_sysenter(struct tr *t);
bool syscall_emit_sysexit(struct tr *t);

#endif
