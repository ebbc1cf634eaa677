/* The fast system calls.  They load CS and SS with fixed contents and look at no descriptor.
 * Source: SDM 2B SYSCALL, SYSRET, SYSENTER, SYSEXIT (operation sections), SDM 3A 5.8.7 and 5.8.8;
 * APM3 SYSCALL (compatibility mode, CSTAR). */
#include "syscall.h"

#include "catch.h"
#include "seg.h"

#define RPL 3u

/* What SYSRET may bring back from R11 (SDM 2B SYSRET). */
#define SYSRET_FLAGS 0x3c7fd7ull

/* Flat CS and SS of ring @cpl; the SS selector comes behind that of CS. */
static void enter_flat(struct soft_cpu *c, uint16_t cs, uint16_t ss, unsigned bits, unsigned cpl)
{
	c->seg[X86_CS] = x86_seg_flat((uint16_t)((cs & ~RPL) | cpl), true, bits, cpl);
	c->seg[X86_SS] = x86_seg_flat((uint16_t)((ss & ~RPL) | cpl), false, 32, cpl);
	c->cpl = (uint8_t)cpl;
	soft_mode_changed(c);
}

/* DEVIATES: Intel's processors, one of which CPUID names, have both in 64-bit mode only; AMD's have
 * them in compatibility mode too, and so have the emulators that kvm-unit-tests were written on. */
static void check_syscall(struct soft_cpu *c)
{
	if (!soft_is_long(c) || !(c->efer & X86_EFER_SCE))
		soft_raise(c, X86_EXC_UD);
}

static void syscall_enter(struct soft_cpu *c, const struct insn *i)
{
	uint16_t cs = (uint16_t)(c->msr.star >> 32);
	uint64_t target = soft_is_code64(c) ? c->msr.lstar : c->msr.cstar;
	uint64_t flags = soft_rflags(c);

	(void)i;
	check_syscall(c);
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_syscall(c, c->rip);
	c->r[X86_RCX] = c->rip;
	c->r[X86_R11] = flags & ~X86_RFLAGS_RF;
	soft_set_rflags(c, flags & ~(c->msr.sfmask | X86_RFLAGS_RF));
	enter_flat(c, cs, (uint16_t)(cs + 8), 64, 0);
	c->rip = target;
	/* The new TF counts, not the old one. */
	c->trap_tf = c->rflags & X86_RFLAGS_TF;
}
SOFT_PLAIN_END(syscall_enter)

/* imm: operand size in bytes. */
static void sysret(struct soft_cpu *c, const struct insn *i)
{
	uint16_t base = (uint16_t)(c->msr.star >> 48);
	bool is_to_64 = i->imm == 8;

	check_syscall(c);
	if (c->cpl != 0 || (is_to_64 && !seg_is_canonical(c, c->r[X86_RCX])))
		soft_raise_error(c, X86_EXC_GP, 0);
	c->rip = is_to_64 ? c->r[X86_RCX] : (uint32_t)c->r[X86_RCX];
	soft_set_rflags(c, (c->r[X86_R11] & SYSRET_FLAGS) | X86_RFLAGS_FIXED);
	enter_flat(c, is_to_64 ? (uint16_t)(base + 16) : base, (uint16_t)(base + 8),
		   is_to_64 ? 64 : 32, 3);
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_return(c, false);
	c->trap_tf = c->rflags & X86_RFLAGS_TF;
}
SOFT_PLAIN_END(sysret)

static uint16_t sysenter_cs(struct soft_cpu *c)
{
	uint16_t cs = (uint16_t)c->msr.sysenter_cs;

	if (!(c->cr0 & X86_CR0_PE) || seg_is_null(cs))
		soft_raise_error(c, X86_EXC_GP, 0);
	return cs & SEG_INDEX_MASK;
}

static void sysenter(struct soft_cpu *c, const struct insn *i)
{
	uint16_t cs = sysenter_cs(c);
	bool is_long = soft_is_long(c);
	uint64_t clear = X86_RFLAGS_VM | X86_RFLAGS_IF | X86_RFLAGS_RF;

	(void)i;
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_syscall(c, ~0ull);
	c->rflags &= ~clear;
	enter_flat(c, cs, (uint16_t)(cs + 8), is_long ? 64 : 32, 0);
	c->rip = is_long ? c->msr.sysenter_eip : (uint32_t)c->msr.sysenter_eip;
	c->r[X86_RSP] = is_long ? c->msr.sysenter_esp : (uint32_t)c->msr.sysenter_esp;
}
SOFT_PLAIN_END(sysenter)

static void sysexit_to_64(struct soft_cpu *c, uint16_t cs)
{
	if (!seg_is_canonical(c, c->r[X86_RCX]) || !seg_is_canonical(c, c->r[X86_RDX]))
		soft_raise_error(c, X86_EXC_GP, 0);
	enter_flat(c, (uint16_t)(cs + 32), (uint16_t)(cs + 40), 64, 3);
	c->rip = c->r[X86_RDX];
	c->r[X86_RSP] = c->r[X86_RCX];
}

/* imm: operand size in bytes. */
static void sysexit_to(struct soft_cpu *c, const struct insn *i)
{
	uint16_t cs = sysenter_cs(c);

	if (c->cpl != 0)
		soft_raise_error(c, X86_EXC_GP, 0);
	if (i->imm == 8) {
		sysexit_to_64(c, cs);
		return;
	}
	enter_flat(c, (uint16_t)(cs + 16), (uint16_t)(cs + 24), 32, 3);
	c->rip = (uint32_t)c->r[X86_RDX];
	c->r[X86_RSP] = (uint32_t)c->r[X86_RCX];
}

static void sysexit(struct soft_cpu *c, const struct insn *i)
{
	sysexit_to(c, i);
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_return(c, true);
}
SOFT_PLAIN_END(sysexit)

/* Rows. */

static bool emit(struct tr *t, soft_op_fn *fn)
{
	tr_slot(t, fn)->imm = t->operand_bits / 8;
	t->is_end = true;
	return true;
}

bool syscall_emit_syscall(struct tr *t)
{
	return emit(t, op_syscall_enter);
}

bool syscall_emit_sysret(struct tr *t)
{
	return emit(t, op_sysret);
}

bool syscall_emit_sysenter(struct tr *t)
{
	return emit(t, op_sysenter);
}

bool syscall_emit_sysexit(struct tr *t)
{
	return emit(t, op_sysexit);
}
