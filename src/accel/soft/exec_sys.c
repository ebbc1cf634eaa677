/* System instructions that are neither control registers (exec_cr.c) nor tables (exec_table.c):
 * interrupt flag, HLT, time, MSRs, CPUID, XCR0, protection keys, bases, translations, caches; and
 * the table of all of them.
 * What the model lacks (MONITOR, RDRAND, CLWB, VMX, SVM, RSM outside SMM) has no row: #UD.
 * Source: SDM 2A to 2C under the instructions' names. */
#include "exec_sys.h"
#include "access.h"
#include "catch.h"
#include "msr.h"
#include "tlb.h"

#define INVPCID_ADDRESS	   0u
#define INVPCID_CONTEXT	   1u
#define INVPCID_ALL	   2u
#define INVPCID_NONGLOBAL  3u
#define INVPCID_TYPE_COUNT 4u
#define PCID_RESERVED	   (~0xfffull)

/* Operands that the files of this family share. */

void sys_set_zf(struct soft_cpu *c, bool is_set)
{
	uint64_t status = flags_status(c->fr, c->fs, c->fo) & ~X86_RFLAGS_ZF;

	c->fr = 0;
	c->fs = is_set ? status | X86_RFLAGS_ZF : status;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

static void load_source16(struct soft_cpu *c, const struct insn *i)
{
	c->r[SLOT_TEMP] = soft_load(c, soft_insn_address(c, i), 2);
}
SOFT_PLAIN(load_source16)

uint8_t sys_source16(struct tr *t, const ZydisDecodedOperand *op)
{
	if (tr_is_reg(op))
		return tr_reg(op->reg.value);
	tr_slot_mem(t, op_load_source16, op, 2, false);
	return TR_SLOT_OFFSET(SLOT_TEMP);
}

static void check_umip(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	if ((c->cr4 & X86_CR4_UMIP) && c->cpl != 0)
		sys_gp(c, 0);
}
SOFT_PLAIN(check_umip)

void sys_check_umip(struct tr *t)
{
	tr_slot(t, op_check_umip);
}

/* imm = width of a register destination, 0 = memory. */
bool sys_emit_store(struct tr *t, soft_op_fn *fn)
{
	struct insn *i;

	sys_check_umip(t);
	if (tr_is_mem(&t->op[0])) {
		tr_slot_mem(t, fn, &t->op[0], 2, true);
		return true;
	}
	i = tr_slot(t, fn);
	i->dst = tr_reg(t->op[0].reg.value);
	i->imm = t->operand_bits;
	return true;
}

void sys_store(struct soft_cpu *c, const struct insn *i, uint64_t value)
{
	switch (i->imm) {
	case 0:
		soft_store(c, soft_insn_address(c, i), 2, (uint16_t)value);
		break;
	case 16:
		soft_set_reg16(c, i->dst / 8, (uint16_t)value);
		break;
	case 32:
		soft_set_reg32(c, i->dst / 8, (uint32_t)value);
		break;
	default:
		c->r[i->dst / 8] = value;
		break;
	}
}

/* EDX:EAX. */
static uint64_t pair_get(const struct soft_cpu *c)
{
	return (uint64_t)soft_reg32(c, X86_RDX) << 32 | soft_reg32(c, X86_RAX);
}

static void pair_set(struct soft_cpu *c, uint64_t value)
{
	soft_set_reg32(c, X86_RAX, (uint32_t)value);
	soft_set_reg32(c, X86_RDX, (uint32_t)(value >> 32));
}

/* Most instructions here have no operand that translation must know: one slot. */
#define EMIT(name)                                                                                 \
	static bool emit_##name(struct tr *t)                                                      \
	{                                                                                          \
		tr_slot(t, op_##name);                                                             \
		return true;                                                                       \
	}

/* Interrupt flag and HLT.  Real mode has CPL 0, virtual-8086 mode CPL 3, so that one rule serves
 * all; CR4.VME and PVI do not exist. */

static void require_iopl(struct soft_cpu *c)
{
	if (c->cpl > sys_iopl(c))
		sys_gp(c, 0);
}

static void cli(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_iopl(c);
	c->rflags &= ~X86_RFLAGS_IF;
}
SOFT_PLAIN_END(cli)
EMIT(cli)

/* One more instruction runs before an interrupt may come, if none could come before. */
static void sti(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_iopl(c);
	if (!(c->rflags & X86_RFLAGS_IF))
		c->in_int_shadow = true;
	c->rflags |= X86_RFLAGS_IF;
}
SOFT_PLAIN_END(sti)
EMIT(sti)

static void hlt(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	c->activity = X86_HALTED;
}
SOFT_PLAIN_END(hlt)
EMIT(hlt)

/* Time and identity. */

static void require_tsc(struct soft_cpu *c)
{
	if ((c->cr4 & X86_CR4_TSD) && c->cpl != 0)
		sys_gp(c, 0);
}

static void rdtsc(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_tsc(c);
	pair_set(c, soft_tsc(c));
}
SOFT_PLAIN(rdtsc)
EMIT(rdtsc)

static void rdtscp(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_tsc(c);
	pair_set(c, soft_tsc(c));
	soft_set_reg32(c, X86_RCX, (uint32_t)c->tsc_aux);
}
SOFT_PLAIN(rdtscp)
EMIT(rdtscp)

/* There are no counters, so every index is #GP, as is the privilege check. */
static bool emit_rdpmc(struct tr *t)
{
	return tr_raise(t, X86_EXC_GP);
}

static void cpuid(struct soft_cpu *c, const struct insn *i)
{
	uint32_t out[4];

	(void)i;
	soft_cpuid(c, soft_reg32(c, X86_RAX), soft_reg32(c, X86_RCX), out);
	soft_set_reg32(c, X86_RAX, out[0]);
	soft_set_reg32(c, X86_RBX, out[1]);
	soft_set_reg32(c, X86_RCX, out[2]);
	soft_set_reg32(c, X86_RDX, out[3]);
}
SOFT_PLAIN(cpuid)
EMIT(cpuid)

/* Model-specific registers and XCR0. */

static void rdmsr(struct soft_cpu *c, const struct insn *i)
{
	uint64_t value;

	(void)i;
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_msr(c, soft_reg32(c, X86_RCX), false, 0);
	if (!soft_rdmsr(c, soft_reg32(c, X86_RCX), &value))
		sys_gp(c, 0);
	pair_set(c, value);
}
SOFT_PLAIN(rdmsr)
EMIT(rdmsr)

static void wrmsr(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_msr(c, soft_reg32(c, X86_RCX), true, pair_get(c));
	if (!soft_wrmsr(c, soft_reg32(c, X86_RCX), pair_get(c)))
		sys_gp(c, 0);
}
SOFT_PLAIN_END(wrmsr)
EMIT(wrmsr)

static void require_cr4(struct soft_cpu *c, uint64_t bit)
{
	if (!(c->cr4 & bit))
		soft_raise(c, X86_EXC_UD);
}

static void xgetbv(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_cr4(c, X86_CR4_OSXSAVE);
	if (soft_reg32(c, X86_RCX) != 0)
		sys_gp(c, 0);
	pair_set(c, c->xcr0);
}
SOFT_PLAIN(xgetbv)
EMIT(xgetbv)

/* x87 cannot be switched off. */
static void xsetbv(struct soft_cpu *c, const struct insn *i)
{
	uint64_t value = pair_get(c);

	(void)i;
	require_cr4(c, X86_CR4_OSXSAVE);
	if (c->cpl != 0 || soft_reg32(c, X86_RCX) != 0 || (value & ~SOFT_XCR0_VALID) ||
	    !(value & X86_XCR0_X87))
		sys_gp(c, 0);
	c->xcr0 = value;
}
SOFT_PLAIN_END(xsetbv)
EMIT(xsetbv)

/* Protection keys, SMAP. */

static void rdpkru(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_cr4(c, X86_CR4_PKE);
	if (soft_reg32(c, X86_RCX) != 0)
		sys_gp(c, 0);
	pair_set(c, c->pkru);
}
SOFT_PLAIN(rdpkru)
EMIT(rdpkru)

static void wrpkru(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	require_cr4(c, X86_CR4_PKE);
	if (soft_reg32(c, X86_RCX) != 0 || soft_reg32(c, X86_RDX) != 0)
		sys_gp(c, 0);
	c->pkru = soft_reg32(c, X86_RAX);
	soft_paging_changed(c, MMU_LOAD_OTHER);
}
SOFT_PLAIN_END(wrpkru)
EMIT(wrpkru)

/* The bank of the micro-TLB is all that depends on AC at CPL 0, so the block can go on. */
static void set_ac(struct soft_cpu *c, bool is_set)
{
	if (c->cpl != 0)
		soft_raise(c, X86_EXC_UD);
	c->rflags = is_set ? c->rflags | X86_RFLAGS_AC : c->rflags & ~X86_RFLAGS_AC;
	soft_tlb_select(c);
}

static void stac(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	set_ac(c, true);
}
SOFT_PLAIN(stac)
EMIT(stac)

static void clac(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	set_ac(c, false);
}
SOFT_PLAIN(clac)
EMIT(clac)

/* Bases of FS and GS: 64-bit mode only. */

static void swapgs(struct soft_cpu *c, const struct insn *i)
{
	uint64_t base = c->seg[X86_GS].base;

	(void)i;
	c->seg[X86_GS].base = c->msr.kernel_gs_base;
	c->msr.kernel_gs_base = base;
}
SOFT_PLAIN(swapgs)

static bool emit_swapgs(struct tr *t)
{
	if (t->code_bits != 64)
		return false;
	tr_slot(t, op_swapgs);
	return true;
}

/* imm = segment, disp = width of the general register. */
static void read_base(struct soft_cpu *c, const struct insn *i)
{
	uint64_t base = c->seg[i->imm].base;

	require_cr4(c, X86_CR4_FSGSBASE);
	c->r[i->dst / 8] = i->disp == 64 ? base : (uint32_t)base;
}
SOFT_PLAIN(read_base)

static void write_base(struct soft_cpu *c, const struct insn *i)
{
	uint64_t base = i->disp == 64 ? c->r[i->dst / 8] : (uint32_t)c->r[i->dst / 8];

	require_cr4(c, X86_CR4_FSGSBASE);
	if (!soft_is_canonical(c, base))
		sys_gp(c, 0);
	c->seg[i->imm].base = base;
}
SOFT_PLAIN(write_base)

static bool emit_base(struct tr *t, soft_op_fn *fn, unsigned seg)
{
	struct insn *i;

	if (t->code_bits != 64)
		return false;
	i = tr_slot(t, fn);
	i->imm = seg;
	i->dst = tr_reg(t->op[0].reg.value);
	i->disp = t->operand_bits;
	return true;
}

static bool emit_rdfsbase(struct tr *t)
{
	return emit_base(t, op_read_base, X86_FS);
}

static bool emit_rdgsbase(struct tr *t)
{
	return emit_base(t, op_read_base, X86_GS);
}

static bool emit_wrfsbase(struct tr *t)
{
	return emit_base(t, op_write_base, X86_FS);
}

static bool emit_wrgsbase(struct tr *t)
{
	return emit_base(t, op_write_base, X86_GS);
}

/* Translations.  INVLPG looks neither at limits nor at types, and an address that is not canonical
 * makes it do nothing.  imm = width of the offset. */

static void invlpg(struct soft_cpu *c, const struct insn *i)
{
	uint64_t offset = soft_insn_address(c, i);
	const struct x86_seg *seg = &c->seg[SOFT_SEG_OF(i)];
	bool has_base = !soft_is_code64(c) || SOFT_SEG_OF(i) == X86_FS || SOFT_SEG_OF(i) == X86_GS;
	gva_t la = offset & (~0ull >> (64 - i->imm));

	if (has_base)
		la += seg->base;
	if (!soft_is_code64(c))
		la = (uint32_t)la;
	if (soft_is_canonical(c, la))
		SOFT_MMU_CALL(c, mmu_invlpg(c->vm->mmu, c->index, la));
}
SOFT_PLAIN_END(invlpg)

static unsigned segment_of(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_ES:
		return X86_ES;
	case ZYDIS_REGISTER_CS:
		return X86_CS;
	case ZYDIS_REGISTER_SS:
		return X86_SS;
	case ZYDIS_REGISTER_FS:
		return X86_FS;
	case ZYDIS_REGISTER_GS:
		return X86_GS;
	default:
		return X86_DS;
	}
}

static bool emit_invlpg(struct tr *t)
{
	struct insn *i = tr_slot_lea(t, op_invlpg, &t->op[0]);

	i->seg_len = (uint8_t)(segment_of(t->op[0].mem.segment) << 4 | SOFT_LEN_OF(i));
	i->imm = t->address_bits;
	return true;
}

/* The descriptor: PCID in bits 11:0 of the first half, an address in the second. */
static void check_invpcid(struct soft_cpu *c, uint64_t type, uint64_t low, uint64_t address)
{
	uint64_t pcid = low & ~PCID_RESERVED;

	if (type >= INVPCID_TYPE_COUNT || (low & PCID_RESERVED))
		sys_gp(c, 0);
	if (type <= INVPCID_CONTEXT && pcid && !(c->cr4 & X86_CR4_PCIDE))
		sys_gp(c, 0);
	if (type == INVPCID_ADDRESS && !soft_is_canonical(c, address))
		sys_gp(c, 0);
}

static void invalidate(struct soft_cpu *c, uint64_t type, unsigned pcid, gva_t address)
{
	static const enum mmu_flush_scope scope[INVPCID_TYPE_COUNT] = {
		[INVPCID_CONTEXT] = MMU_FLUSH_PCID,
		[INVPCID_ALL] = MMU_FLUSH_ALL,
		[INVPCID_NONGLOBAL] = MMU_FLUSH_NONGLOBAL,
	};

	if (type == INVPCID_ADDRESS)
		SOFT_MMU_CALL(c, mmu_invpcid(c->vm->mmu, c->index, pcid, address));
	else
		SOFT_MMU_CALL(c, mmu_flush_some(c->vm->mmu, c->index, scope[type], pcid));
}

/* Virtual-8086 mode has CPL 3, so its #GP is that of the row.  disp cannot say the width of the
 * register, as it belongs to the address: imm does. */
static void invpcid(struct soft_cpu *c, const struct insn *i)
{
	uint64_t type = i->imm == 64 ? c->r[i->dst / 8] : (uint32_t)c->r[i->dst / 8];
	uint8_t bytes[16];

	soft_load_bytes(c, soft_insn_address(c, i), bytes, sizeof(bytes));
	check_invpcid(c, type, le64_get(bytes), le64_get(bytes + 8));
	invalidate(c, type, (unsigned)(le64_get(bytes) & ~PCID_RESERVED), le64_get(bytes + 8));
}
SOFT_PLAIN_END(invpcid)

static bool emit_invpcid(struct tr *t)
{
	struct insn *i = tr_slot_mem(t, op_invpcid, &t->op[1], 16, false);

	i->dst = tr_reg(t->op[0].reg.value);
	i->imm = t->operand_bits;
	return true;
}

/* Caches and order.  Nothing is cached, and plain accesses keep the host's order, which is the
 * guest's; only a store followed by a load needs a fence (vCPUs that run at once). */

static bool emit_nothing(struct tr *t)
{
	(void)t;
	return true;
}

SOFT_OP(op_mfence)
{
	atomic_thread_fence(memory_order_seq_cst);
	SOFT_NEXT();
}
EMIT(mfence)

/* The address is translated as for a read of a byte. */
static void clflush(struct soft_cpu *c, const struct insn *i)
{
	soft_probe_load(c, soft_insn_address(c, i), 1);
}
SOFT_PLAIN(clflush)

static bool emit_clflush(struct tr *t)
{
	tr_slot_mem(t, op_clflush, &t->op[0], 1, false);
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_CLTS, ROW_CPL0 | ROW_END, sys_emit_clts},
	{ZYDIS_MNEMONIC_LMSW, ROW_CPL0 | ROW_END, sys_emit_lmsw},
	{ZYDIS_MNEMONIC_SMSW, 0, sys_emit_smsw},

	{ZYDIS_MNEMONIC_LGDT, ROW_CPL0, sys_emit_lgdt},
	{ZYDIS_MNEMONIC_LIDT, ROW_CPL0, sys_emit_lidt},
	{ZYDIS_MNEMONIC_SGDT, 0, sys_emit_sgdt},
	{ZYDIS_MNEMONIC_SIDT, 0, sys_emit_sidt},
	{ZYDIS_MNEMONIC_LLDT, ROW_PROTECTED | ROW_CPL0, sys_emit_lldt},
	{ZYDIS_MNEMONIC_LTR, ROW_PROTECTED | ROW_CPL0, sys_emit_ltr},
	{ZYDIS_MNEMONIC_SLDT, ROW_PROTECTED, sys_emit_sldt},
	{ZYDIS_MNEMONIC_STR, ROW_PROTECTED, sys_emit_str},
	{ZYDIS_MNEMONIC_LAR, ROW_PROTECTED, sys_emit_lar},
	{ZYDIS_MNEMONIC_LSL, ROW_PROTECTED, sys_emit_lsl},
	{ZYDIS_MNEMONIC_VERR, ROW_PROTECTED, sys_emit_verr},
	{ZYDIS_MNEMONIC_VERW, ROW_PROTECTED, sys_emit_verw},
	{ZYDIS_MNEMONIC_ARPL, ROW_PROTECTED | ROW_NO64, sys_emit_arpl},

	{ZYDIS_MNEMONIC_CLI, ROW_END, emit_cli},
	{ZYDIS_MNEMONIC_STI, ROW_END, emit_sti},
	{ZYDIS_MNEMONIC_HLT, ROW_CPL0 | ROW_END, emit_hlt},

	{ZYDIS_MNEMONIC_RDTSC, 0, emit_rdtsc},
	{ZYDIS_MNEMONIC_RDTSCP, 0, emit_rdtscp},
	{ZYDIS_MNEMONIC_RDPMC, 0, emit_rdpmc},
	{ZYDIS_MNEMONIC_CPUID, 0, emit_cpuid},
	{ZYDIS_MNEMONIC_RDMSR, ROW_CPL0, emit_rdmsr},
	{ZYDIS_MNEMONIC_WRMSR, ROW_CPL0 | ROW_END, emit_wrmsr},
	{ZYDIS_MNEMONIC_XGETBV, 0, emit_xgetbv},
	{ZYDIS_MNEMONIC_XSETBV, ROW_END, emit_xsetbv},

	{ZYDIS_MNEMONIC_RDPKRU, 0, emit_rdpkru},
	{ZYDIS_MNEMONIC_WRPKRU, ROW_END, emit_wrpkru},
	{ZYDIS_MNEMONIC_STAC, 0, emit_stac},
	{ZYDIS_MNEMONIC_CLAC, 0, emit_clac},

	{ZYDIS_MNEMONIC_SWAPGS, ROW_CPL0, emit_swapgs},
	{ZYDIS_MNEMONIC_RDFSBASE, 0, emit_rdfsbase},
	{ZYDIS_MNEMONIC_RDGSBASE, 0, emit_rdgsbase},
	{ZYDIS_MNEMONIC_WRFSBASE, 0, emit_wrfsbase},
	{ZYDIS_MNEMONIC_WRGSBASE, 0, emit_wrgsbase},

	{ZYDIS_MNEMONIC_INVLPG, ROW_CPL0 | ROW_END, emit_invlpg},
	{ZYDIS_MNEMONIC_INVPCID, ROW_CPL0 | ROW_END, emit_invpcid},
	{ZYDIS_MNEMONIC_INVD, ROW_CPL0, emit_nothing},
	{ZYDIS_MNEMONIC_WBINVD, ROW_CPL0, emit_nothing},
	{ZYDIS_MNEMONIC_CLFLUSH, 0, emit_clflush},
	{ZYDIS_MNEMONIC_LFENCE, 0, emit_nothing},
	{ZYDIS_MNEMONIC_SFENCE, 0, emit_nothing},
	{ZYDIS_MNEMONIC_MFENCE, 0, emit_mfence},
};

const struct soft_rows soft_rows_sys = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
