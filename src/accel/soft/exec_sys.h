/* What exec_sys.c, exec_cr.c and exec_table.c share: one table of rows, forms of operands. */
#ifndef SOFT_EXEC_SYS_H
#define SOFT_EXEC_SYS_H

#include "msr.h"
#include "translate.h"

_Noreturn static inline void sys_gp(struct soft_cpu *c, uint16_t selector)
{
	soft_raise_error(c, X86_EXC_GP, selector);
}

static inline unsigned sys_iopl(const struct soft_cpu *c)
{
	return (unsigned)(c->rflags >> 12) & 3;
}

/* The status flag ZF alone is written. */
void sys_set_zf(struct soft_cpu *c, bool is_set);

/* Operand @op, r/m16, as a source: the offset of the slot or register that holds it.  Emits the
 * load of a memory operand. */
uint8_t sys_source16(struct tr *t, const ZydisDecodedOperand *op);
/* Emit the check of CR4.UMIP. */
void sys_check_umip(struct tr *t);
/* Emit @fn for operand 0, r/m, that is written by sys_store: registers with the operand size,
 * memory with 16 bits. */
bool sys_emit_store(struct tr *t, soft_op_fn *fn);
void sys_store(struct soft_cpu *c, const struct insn *i, uint64_t value);

/* exec_cr.c */
soft_emit_fn sys_emit_clts, sys_emit_lmsw, sys_emit_smsw;

/* exec_table.c */
soft_emit_fn sys_emit_lgdt, sys_emit_lidt, sys_emit_sgdt, sys_emit_sidt;
soft_emit_fn sys_emit_lldt, sys_emit_ltr, sys_emit_sldt, sys_emit_str;
soft_emit_fn sys_emit_lar, sys_emit_lsl, sys_emit_verr, sys_emit_verw, sys_emit_arpl;

#endif
