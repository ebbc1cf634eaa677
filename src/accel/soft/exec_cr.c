/* Control and debug registers: MOV, CLTS, LMSW, SMSW.
 * Every check comes first; then the register changes, and the address space and the mode follow.
 * Source: SDM 2B MOV to and from control registers, debug registers; 3A 2.5 (bits), 4.1 (paging
 * modes), 4.4.1 (PDPTEs), 9.8.5 (into and out of IA-32e mode); 3B 17.2 (debug registers). */
#include "access.h"
#include "exec_sys.h"
#include "fpu.h"
#include "irq.h"
#include "msr.h"
#include "points.h"

/* Bits of CR0 that exist; the others below bit 32 are written without effect. */
#define CR0_DEFINED                                                                                \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE |             \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR0_LMSW (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)
/* A change of one of these makes PAE paging load its PDPTEs again. */
#define CR0_PDPTE  (X86_CR0_CD | X86_CR0_NW | X86_CR0_PG)
#define CR4_PDPTE  (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)
#define CR0_PAGING (X86_CR0_PE | X86_CR0_WP | CR0_PDPTE)

#define CR4_DEFINED                                                                                \
	(X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |        \
	 X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_FSGSBASE |     \
	 X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)
#define CR4_PAGING                                                                                 \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_SMEP |   \
	 X86_CR4_SMAP | X86_CR4_PKE)
/* A change of one of these empties the TLB (SDM 3A 4.10.4.1). */
#define CR4_FLUSH (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP)

#define CR3_NO_FLUSH (1ull << 63)
#define CR3_PCID     0xfffull
#define CR8_MAX	     15u
#define TSS_IS_32BIT 0x8 /* in the type of TR */

#define DR6_BD	     (1ull << 13)
#define DR6_WRITABLE 0xe00full
#define DR6_ONES     0xffff0ff0ull
#define DR7_GD	     (1ull << 13)
#define DR7_WRITABLE 0xffff23ffull
#define DR7_ONES     0x400ull

uint64_t soft_cr4_reserved(const struct soft_vm *vm)
{
	return ~(CR4_DEFINED | (vm->has_la57 ? X86_CR4_LA57 : 0));
}

static bool is_pae(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LMA);
}

/* The PDPTE registers for a new @cr3, or #GP. */
static void load_pdptes(struct soft_cpu *c, uint64_t cr3)
{
	uint64_t pdpte[4];

	if (!mmu_load_pdptes(c->vm->mmu, cr3, pdpte))
		sys_gp(c, 0);
	memcpy(c->pdpte, pdpte, sizeof(pdpte));
}

/* CR0. */

/* Paging is switched on: EFER with LMA as it becomes. */
static uint64_t efer_after_pg_set(struct soft_cpu *c)
{
	if (!(c->efer & X86_EFER_LME))
		return c->efer;
	if (!(c->cr4 & X86_CR4_PAE) || c->seg[X86_CS].l)
		sys_gp(c, 0);
	if (c->tr.present && !c->tr.unusable && !(c->tr.type & TSS_IS_32BIT))
		sys_gp(c, 0);
	return c->efer | X86_EFER_LMA;
}

static uint64_t efer_after_pg_clear(struct soft_cpu *c)
{
	if (soft_is_code64(c) || (c->cr4 & X86_CR4_PCIDE))
		sys_gp(c, 0);
	return c->efer & ~X86_EFER_LMA;
}

static uint64_t efer_after(struct soft_cpu *c, uint64_t cr0)
{
	if (!((cr0 ^ c->cr0) & X86_CR0_PG))
		return c->efer;
	return cr0 & X86_CR0_PG ? efer_after_pg_set(c) : efer_after_pg_clear(c);
}

static void load_cr0(struct soft_cpu *c, uint64_t value)
{
	uint64_t cr0 = (value & CR0_DEFINED) | X86_CR0_ET;
	uint64_t changed = cr0 ^ c->cr0;
	uint64_t efer;

	if (value >> 32 || ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE)) ||
	    ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD)))
		sys_gp(c, 0);
	efer = efer_after(c, cr0);
	if ((changed & CR0_PDPTE) && is_pae(cr0, c->cr4, efer))
		load_pdptes(c, c->cr3);
	c->cr0 = cr0;
	c->efer = efer;
	if (changed & X86_CR0_NE)
		soft_x87_refresh(c);
	if (changed & CR0_PAGING)
		soft_paging_changed(c, MMU_LOAD_OTHER);
	else
		soft_mode_changed(c);
	if (changed & ~cr0 & X86_CR0_PG)
		SOFT_MMU_CALL(c, mmu_flush(c->vm->mmu, c->index));
}

/* CR3, CR4, CR8. */

static void load_cr3(struct soft_cpu *c, uint64_t value)
{
	enum mmu_load load = MMU_LOAD_CR3;

	if (soft_is_long(c)) {
		if ((c->cr4 & X86_CR4_PCIDE) && (value & CR3_NO_FLUSH)) {
			value &= ~CR3_NO_FLUSH;
			load = MMU_LOAD_CR3_KEEP;
		}
		if (value >> c->vm->phys_bits)
			sys_gp(c, 0);
	} else if (is_pae(c->cr0, c->cr4, c->efer)) {
		load_pdptes(c, value);
	}
	c->cr3 = value;
	soft_paging_changed(c, load);
}

/* #GP for what long mode, or the way into PCIDs, does not allow. */
static void check_cr4_change(struct soft_cpu *c, uint64_t cr4)
{
	uint64_t set = cr4 & ~c->cr4;

	if (soft_is_long(c) && (!(cr4 & X86_CR4_PAE) || ((cr4 ^ c->cr4) & X86_CR4_LA57)))
		sys_gp(c, 0);
	if ((set & X86_CR4_PCIDE) && (!soft_is_long(c) || (c->cr3 & CR3_PCID)))
		sys_gp(c, 0);
}

/* Switching PCIDs on leaves the TLB alone. */
static bool empties_tlb(uint64_t changed, uint64_t cr4)
{
	return (changed & CR4_FLUSH & ~X86_CR4_PCIDE) || (changed & ~cr4 & X86_CR4_PCIDE);
}

static void load_cr4(struct soft_cpu *c, uint64_t cr4)
{
	uint64_t changed = cr4 ^ c->cr4;

	if (cr4 & soft_cr4_reserved(c->vm))
		sys_gp(c, 0);
	check_cr4_change(c, cr4);
	if ((changed & CR4_PDPTE) && is_pae(c->cr0, cr4, c->efer))
		load_pdptes(c, c->cr3);
	c->cr4 = cr4;
	if (changed & X86_CR4_DE)
		soft_points_guest_changed(c);
	if (changed & CR4_PAGING)
		soft_paging_changed(c, MMU_LOAD_OTHER);
	else
		soft_mode_changed(c);
	if (empties_tlb(changed, cr4))
		SOFT_MMU_CALL(c, mmu_flush(c->vm->mmu, c->index));
}

static void load_cr8(struct soft_cpu *c, uint64_t value)
{
	if (value > CR8_MAX)
		sys_gp(c, 0);
	soft_lapic_set_cr8(c, value);
}

/* MOV of control registers: imm = number, disp = width of the general register. */

static uint64_t source_value(const struct soft_cpu *c, const struct insn *i)
{
	uint64_t value = c->r[i->src / 8];

	return i->disp == 64 ? value : (uint32_t)value;
}

static void set_destination(struct soft_cpu *c, const struct insn *i, uint64_t value)
{
	c->r[i->dst / 8] = i->disp == 64 ? value : (uint32_t)value;
}

static void require_cpl0(struct soft_cpu *c)
{
	if (c->cpl != 0)
		sys_gp(c, 0);
}

static void mov_to_cr(struct soft_cpu *c, const struct insn *i)
{
	uint64_t value = source_value(c, i);

	require_cpl0(c);
	switch (i->imm) {
	case 0:
		load_cr0(c, value);
		break;
	case 2:
		c->cr2 = value;
		break;
	case 3:
		load_cr3(c, value);
		break;
	case 4:
		load_cr4(c, value);
		break;
	default:
		load_cr8(c, value);
		break;
	}
}
SOFT_PLAIN_END(mov_to_cr)

static uint64_t cr_value(struct soft_cpu *c, uint64_t number)
{
	switch (number) {
	case 0:
		return c->cr0;
	case 2:
		return c->cr2;
	case 3:
		return c->cr3;
	case 4:
		return c->cr4;
	default:
		return soft_lapic_cr8(c);
	}
}

static void mov_from_cr(struct soft_cpu *c, const struct insn *i)
{
	require_cpl0(c);
	set_destination(c, i, cr_value(c, i->imm));
}
SOFT_PLAIN(mov_from_cr)

/* MOV of debug registers.  DR4 and DR5 are other names for DR6 and DR7 unless CR4.DE is set. */
static unsigned debug_register(struct soft_cpu *c, const struct insn *i)
{
	unsigned number = (unsigned)i->imm;

	if (number == 4 || number == 5) {
		if (c->cr4 & X86_CR4_DE)
			soft_raise(c, X86_EXC_UD);
		number += 2;
	}
	require_cpl0(c);
	if (c->dr[7] & DR7_GD)
		soft_raise_db(c, DR6_BD);
	return number;
}

static void mov_to_dr(struct soft_cpu *c, const struct insn *i)
{
	unsigned number = debug_register(c, i);
	uint64_t value = source_value(c, i);

	if (number >= 6 && value >> 32)
		sys_gp(c, 0);
	if (number == 6)
		value = (value & DR6_WRITABLE) | DR6_ONES;
	else if (number == 7)
		value = (value & DR7_WRITABLE) | DR7_ONES;
	c->dr[number] = value;
	soft_points_guest_changed(c);
}
SOFT_PLAIN_END(mov_to_dr)

static void mov_from_dr(struct soft_cpu *c, const struct insn *i)
{
	unsigned number = debug_register(c, i);

	set_destination(c, i, c->dr[number]);
}
SOFT_PLAIN(mov_from_dr)

static struct insn *emit_mov(struct tr *t, soft_op_fn *fn, uint64_t number)
{
	struct insn *i = tr_slot(t, fn);

	i->imm = number;
	i->disp = t->operand_bits;
	return i;
}

static bool has_cr(uint64_t number)
{
	return number == 0 || (number >= 2 && number <= 4) || number == 8;
}

/* One operand is a control or debug register, the other a general one. */
bool tr_mov_control(struct tr *t)
{
	bool is_write = ZydisRegisterGetClass(t->op[1].reg.value) == ZYDIS_REGCLASS_GPR32 ||
			ZydisRegisterGetClass(t->op[1].reg.value) == ZYDIS_REGCLASS_GPR64;
	ZydisRegister special = t->op[is_write ? 0 : 1].reg.value;
	uint8_t general = tr_reg(t->op[is_write ? 1 : 0].reg.value);
	bool is_cr = ZydisRegisterGetClass(special) == ZYDIS_REGCLASS_CONTROL;
	uint64_t number = (uint64_t)ZydisRegisterGetId(special);

	if (is_cr ? !has_cr(number) : number > 7)
		return false;
	t->is_end = is_write;
	if (is_write)
		emit_mov(t, is_cr ? op_mov_to_cr : op_mov_to_dr, number)->src = general;
	else
		emit_mov(t, is_cr ? op_mov_from_cr : op_mov_from_dr, number)->dst = general;
	return true;
}

/* CLTS, LMSW, SMSW. */

static void clts(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	c->cr0 &= ~X86_CR0_TS;
	soft_mode_changed(c);
}
SOFT_PLAIN_END(clts)

bool sys_emit_clts(struct tr *t)
{
	tr_slot(t, op_clts);
	return true;
}

/* PE can be set this way, not cleared. */
static void lmsw(struct soft_cpu *c, const struct insn *i)
{
	uint64_t value = SOFT_REG(soft_u16, i->src) & CR0_LMSW;

	load_cr0(c, (c->cr0 & ~(CR0_LMSW & ~X86_CR0_PE)) | value);
}
SOFT_PLAIN_END(lmsw)

bool sys_emit_lmsw(struct tr *t)
{
	uint8_t src = sys_source16(t, &t->op[0]);

	tr_slot(t, op_lmsw)->src = src;
	return true;
}

static void smsw(struct soft_cpu *c, const struct insn *i)
{
	sys_store(c, i, c->cr0);
}
SOFT_PLAIN(smsw)

bool sys_emit_smsw(struct tr *t)
{
	return sys_emit_store(t, op_smsw);
}
