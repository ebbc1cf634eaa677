/* x87 arithmetic, loads and stores: the host's instruction on the live unit (fpu.h).
 *
 * While c->x87_is_plain an instruction just runs, with its memory operand in place.  Otherwise the
 * slow forms make the state live, look for a pending exception first, and for a new one afterwards.
 * A store whose exception is unmasked does not happen, and does not pop (SDM 1 8.5).
 *
 * Slots: imm = thunk, dst = ModRM, src = low three bits of the opcode.
 * This file must not use floating point. */
#include "access.h"
#include "fpu.h"
#include "thunk.h"
#include "translate.h"

#include <string.h>

/* Unmasked, these keep a result from being stored in memory; an inexact one is stored. */
#define FSW_NO_STORE 0x1fu
#define FSW_FLAGS    0x7fu /* exceptions and stack fault */

/* Bytes of the memory operand by opcode and reg field; 0 = a control instruction or no form. */
static const uint8_t MEM_BYTES[8][8] = {
	{4, 4, 4, 4, 4, 4, 4, 4},   /* D8: float */
	{4, 0, 4, 4, 0, 0, 0, 0},   /* D9: FLD, FST, FSTP float; environment and control word */
	{4, 4, 4, 4, 4, 4, 4, 4},   /* DA: int */
	{4, 4, 4, 4, 0, 10, 0, 10}, /* DB: FILD, FISTTP, FIST, FISTP int; FLD, FSTP long double */
	{8, 8, 8, 8, 8, 8, 8, 8},   /* DC: double */
	{8, 8, 8, 8, 0, 0, 0, 0},   /* DD: FLD, FISTTP, FST, FSTP; FRSTOR, FNSAVE, FNSTSW */
	{2, 2, 2, 2, 2, 2, 2, 2},   /* DE: short */
	{2, 2, 2, 2, 10, 8, 10, 8}, /* DF: FILD, FISTTP, FIST, FISTP short; BCD; long long */
};

/* D9, DB, DD and DF: fields 1, 2, 3, 6 and 7 store, the others load. */
static bool is_store(unsigned opcode, unsigned reg)
{
	return (opcode & 1) && (0xceu >> reg & 1);
}

static unsigned mem_bytes(const struct insn *i)
{
	return MEM_BYTES[i->src & 7][i->dst >> 3 & 7];
}

static uint16_t fop_of(const struct insn *i)
{
	return (uint16_t)(i->src << 8 | i->dst);
}

/* Kept for every instruction that is not a control one. */
SOFT_INLINE void keep_ip(struct soft_cpu *c, const struct insn *i)
{
	c->x87_ip = c->entry->imm + SOFT_OFFSET_OF(i);
}

/* Offset of the operand in its segment. */
static uint64_t data_offset(const struct soft_cpu *c, const struct insn *i)
{
	unsigned seg = SOFT_SEG_OF(i);
	uint64_t la = soft_insn_address(c, i);

	if (soft_is_code64(c) && seg != X86_FS && seg != X86_GS)
		return la;
	return la - c->seg[seg].base;
}

/* The instruction raised an unmasked exception. */
static void keep_pointers(struct soft_cpu *c, const struct insn *i)
{
	c->x87_op = fop_of(i);
	c->x87_cs = c->seg[X86_CS].selector;
	if (i->dst >= 0xc0)
		return;
	c->x87_dp = data_offset(c, i);
	c->x87_ds = c->seg[SOFT_SEG_OF(i)].selector;
}

/* With IGNNE# an instruction runs although an exception is pending: its flags step aside. */
static uint16_t hide_pending(struct soft_cpu *c)
{
	uint16_t fsw;

	soft_x87_unload(c);
	memcpy(&fsw, c->x87 + FX_FSW, sizeof(fsw));
	c->x87[FX_FSW] &= (uint8_t)~FSW_FLAGS;
	soft_x87_derive_es(c);
	soft_x87_load(c);
	return fsw & FSW_FLAGS;
}

static void show_pending(struct soft_cpu *c, uint16_t flags)
{
	soft_x87_unload(c);
	c->x87[FX_FSW] |= (uint8_t)flags;
	soft_x87_derive_es(c);
	soft_x87_load(c);
}

/* What a slow form does after its checks and loads; @bytes the memory operand or NULL. */
struct x87_step {
	bool is_pending;       /* soft_x87_wait said so */
	bool is_control;       /* leaves instruction and data pointer alone */
	bool reads_flags;      /* FCMOVcc, FCOMI */
	uint16_t new_unmasked; /* out: unmasked exceptions that it raised */
};

static void run_thunk(struct soft_cpu *c, const struct insn *i, void *bytes, bool reads_flags)
{
	if (!reads_flags) {
		thunk_x87_at(i->imm, bytes);
		return;
	}
	c->fs = thunk_x87_flags(i->imm, flags_status(c->fr, c->fs, c->fo));
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

static void run_slow(struct soft_cpu *c, const struct insn *i, void *bytes, struct x87_step *s)
{
	uint16_t hidden = 0;

	if (s->is_pending)
		hidden = hide_pending(c);
	run_thunk(c, i, bytes, s->reads_flags);
	s->new_unmasked = (uint16_t)(soft_x87_fsw(c) & ~soft_x87_fcw(c) & X87_FSW_EXCEPTIONS);
	if (hidden)
		show_pending(c, hidden);
}

static void finish_slow(struct soft_cpu *c, const struct insn *i, const struct x87_step *s)
{
	if (!s->is_control)
		keep_ip(c, i);
	if (s->new_unmasked && !s->is_control)
		keep_pointers(c, i);
	soft_x87_refresh(c);
}

static void begin_slow(struct soft_cpu *c, struct x87_step *s)
{
	s->is_pending = soft_x87_wait(c);
	soft_x87_load(c);
}

/* Register forms. */

static void x87_reg(struct soft_cpu *c, const struct insn *i)
{
	struct x87_step s = {0};

	begin_slow(c, &s);
	run_slow(c, i, NULL, &s);
	finish_slow(c, i, &s);
}
SOFT_COLD SOFT_PLAIN(x87_reg)

	SOFT_OP(x87_reg_fast)
{
	if (SOFT_UNLIKELY(!c->x87_is_plain))
		return op_x87_reg(SOFT_PASS(i));
	keep_ip(c, i);
	thunk_x87(i->imm);
	SOFT_NEXT();
}

static void x87_flags(struct soft_cpu *c, const struct insn *i)
{
	struct x87_step s = {.reads_flags = true};

	begin_slow(c, &s);
	run_slow(c, i, NULL, &s);
	finish_slow(c, i, &s);
}
SOFT_COLD SOFT_PLAIN(x87_flags)

	/* FCMOVcc leaves the flags as they are; FCOMI and its kin set ZF, PF and CF. */
	SOFT_OP(x87_cmov_fast)
{
	if (SOFT_UNLIKELY(!c->x87_is_plain))
		return op_x87_flags(SOFT_PASS(i));
	keep_ip(c, i);
	thunk_x87_flags(i->imm, flags_status(fr, fs, fo));
	SOFT_NEXT();
}

SOFT_OP(x87_comi_fast)
{
	if (SOFT_UNLIKELY(!c->x87_is_plain))
		return op_x87_flags(SOFT_PASS(i));
	keep_ip(c, i);
	fs = thunk_x87_flags(i->imm, flags_status(fr, fs, fo));
	fo = FLAGS_OP(FLAGS_ALL, 64);
	SOFT_NEXT();
}

/* Memory forms. */

/* Operands of ten bytes, BCD too, are to be at multiples of eight where alignment is checked (SDM
 * 3A 6.15, table 6-7). */
#define ALIGN_10 8u

static void load_operand(struct soft_cpu *c, const struct insn *i, uint8_t bytes[16])
{
	gva_t la = soft_insn_address(c, i);

	if (mem_bytes(i) <= 8) {
		le64_put(bytes, soft_load(c, la, mem_bytes(i)));
		return;
	}
	soft_check_alignment(c, la, ALIGN_10);
	soft_load_bytes(c, la, bytes, mem_bytes(i));
}

static void store_operand(struct soft_cpu *c, const struct insn *i, const uint8_t bytes[16])
{
	gva_t la = soft_insn_address(c, i);

	if (mem_bytes(i) <= 8) {
		soft_store(c, la, mem_bytes(i), le64_get(bytes));
		return;
	}
	soft_check_alignment(c, la, ALIGN_10);
	soft_store_bytes(c, la, bytes, mem_bytes(i));
}

static void x87_load(struct soft_cpu *c, const struct insn *i)
{
	struct x87_step s = {0};
	uint8_t bytes[16];

	begin_slow(c, &s);
	load_operand(c, i, bytes);
	run_slow(c, i, bytes, &s);
	finish_slow(c, i, &s);
}
SOFT_COLD SOFT_PLAIN(x87_load)

	/* The store may escape: until it has happened the image holds the state before. */
	static void store_result(struct soft_cpu *c, const struct insn *i, const uint8_t *before,
				 const uint8_t *bytes)
{
	uint8_t after[FX_XMM];

	soft_x87_unload(c);
	memcpy(after, c->x87, sizeof(after));
	memcpy(c->x87, before, sizeof(after));
	store_operand(c, i, bytes);
	memcpy(c->x87, after, sizeof(after));
}

static void x87_store(struct soft_cpu *c, const struct insn *i)
{
	struct x87_step s = {0};
	uint8_t bytes[16] = {0}, before[FX_XMM];

	begin_slow(c, &s);
	/* A page fault comes first, also where an unmasked exception keeps the result back. */
	soft_probe_store(c, soft_insn_address(c, i), mem_bytes(i));
	soft_x87_sync(c);
	memcpy(before, c->x87, sizeof(before));
	run_slow(c, i, bytes, &s);
	if (!(s.new_unmasked & FSW_NO_STORE))
		store_result(c, i, before, bytes);
	soft_x87_load(c);
	finish_slow(c, i, &s);
}
SOFT_COLD SOFT_PLAIN(x87_store)

/* The host address of the operand, or the slow form. */
#define X87_OPERAND(tag, size, slow)                                                               \
	uint64_t la = SOFT_EA();                                                                   \
	const struct tlb_entry *e = soft_tlb_entry(c, la);                                         \
	uint64_t off = la ^ e->tag;                                                                \
	if (SOFT_UNLIKELY(off > 4096 - (size) || !c->x87_is_plain))                                \
	return slow(SOFT_PASS(i))

#define X87_MEM(size)                                                                              \
	SOFT_OP(x87_load_##size)                                                                   \
	{                                                                                          \
		X87_OPERAND(rtag, size, op_x87_load);                                              \
		keep_ip(c, i);                                                                     \
		thunk_x87_at(i->imm, e->host + off);                                               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(x87_store_##size)                                                                  \
	{                                                                                          \
		X87_OPERAND(wtag, size, op_x87_store);                                             \
		keep_ip(c, i);                                                                     \
		thunk_x87_at(i->imm, e->host + off);                                               \
		SOFT_NEXT();                                                                       \
	}
	X87_MEM(2) X87_MEM(4) X87_MEM(8) X87_MEM(10)

	/* Control word and status. */

	static void x87_fldcw(struct soft_cpu *c, const struct insn *i)
{
	struct x87_step s = {.is_control = true};
	uint16_t fcw;

	begin_slow(c, &s);
	fcw = (uint16_t)soft_load(c, soft_insn_address(c, i), sizeof(fcw));
	run_slow(c, i, &fcw, &s);
	finish_slow(c, i, &s);
}
SOFT_PLAIN(x87_fldcw)

static void x87_fnstcw(struct soft_cpu *c, const struct insn *i)
{
	soft_store(c, soft_insn_address(c, i), 2, soft_x87_fcw(c));
}
SOFT_PLAIN(x87_fnstcw)

static void x87_fnstsw(struct soft_cpu *c, const struct insn *i)
{
	soft_store(c, soft_insn_address(c, i), 2, soft_x87_fsw(c));
}
SOFT_PLAIN(x87_fnstsw)

static void x87_fnstsw_ax(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	soft_set_reg16(c, X86_RAX, soft_x87_fsw(c));
}
SOFT_PLAIN(x87_fnstsw_ax)

/* FNCLEX and FNINIT do not wait, on the host neither. */
static void x87_fnclex(struct soft_cpu *c, const struct insn *i)
{
	soft_x87_load(c);
	thunk_x87(i->imm);
	soft_x87_refresh(c);
}
SOFT_PLAIN(x87_fnclex)

static void x87_fninit(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	soft_x87_unload(c);
	soft_x87_init(c);
	soft_x87_load(c);
	soft_x87_refresh(c);
}
SOFT_PLAIN(x87_fninit)

/* CR0.EM does not matter to FWAIT, TS only together with MP (SDM 3A 2.5). */
static void x87_fwait(struct soft_cpu *c, const struct insn *i)
{
	const uint64_t both = X86_CR0_MP | X86_CR0_TS;

	(void)i;
	if ((c->cr0 & both) == both)
		soft_raise(c, X86_EXC_NM);
	soft_x87_wait(c);
}
SOFT_PLAIN(x87_fwait)

/* Translation. */

static uint8_t opcode_of(const struct tr *t)
{
	return t->z->opcode & 7;
}

static uint8_t modrm_of(const struct tr *t)
{
	return (uint8_t)(t->z->raw.modrm.mod << 6 | t->z->raw.modrm.reg << 3 | t->z->raw.modrm.rm);
}

static bool emit_reg(struct tr *t, soft_op_fn *fn)
{
	struct insn *i = tr_slot(t, fn);

	i->imm = thunk_x87_reg(opcode_of(t), modrm_of(t));
	i->dst = modrm_of(t);
	i->src = opcode_of(t);
	return true;
}

static bool emit_mem(struct tr *t, soft_op_fn *fn, unsigned bytes, bool is_write)
{
	struct insn *i = tr_slot_mem(t, fn, &t->op[0], bytes, is_write);

	i->imm = thunk_x87_mem(opcode_of(t), t->z->raw.modrm.reg);
	i->dst = modrm_of(t);
	i->src = opcode_of(t);
	return true;
}

static soft_op_fn *mem_fn(unsigned bytes, bool is_write)
{
	switch (bytes) {
	case 2:
		return is_write ? x87_store_2 : x87_load_2;
	case 4:
		return is_write ? x87_store_4 : x87_load_4;
	case 8:
		return is_write ? x87_store_8 : x87_load_8;
	default:
		return is_write ? x87_store_10 : x87_load_10;
	}
}

static bool emit_x87(struct tr *t)
{
	unsigned bytes = MEM_BYTES[opcode_of(t)][t->z->raw.modrm.reg];
	bool is_write = is_store(opcode_of(t), t->z->raw.modrm.reg);

	if (t->z->raw.modrm.mod == 3)
		return emit_reg(t, x87_reg_fast);
	if (!bytes)
		return false;
	return emit_mem(t, mem_fn(bytes, is_write), bytes, is_write);
}

static bool emit_cmov(struct tr *t)
{
	return emit_reg(t, x87_cmov_fast);
}

static bool emit_comi(struct tr *t)
{
	return emit_reg(t, x87_comi_fast);
}

static bool emit_fnclex(struct tr *t)
{
	return emit_reg(t, op_x87_fnclex);
}

static bool emit_fninit(struct tr *t)
{
	return emit_reg(t, op_x87_fninit);
}

/* FNENI, FNDISI and FNSETPM do nothing since the 387, and do not wait. */
static bool emit_nothing(struct tr *t)
{
	(void)t;
	return true;
}

static bool emit_fwait(struct tr *t)
{
	tr_slot(t, op_x87_fwait);
	return true;
}

static bool emit_fldcw(struct tr *t)
{
	return emit_mem(t, op_x87_fldcw, 2, false);
}

static bool emit_fnstcw(struct tr *t)
{
	return emit_mem(t, op_x87_fnstcw, 2, true);
}

static bool emit_fnstsw(struct tr *t)
{
	if (t->z->raw.modrm.mod == 3)
		return emit_reg(t, op_x87_fnstsw_ax);
	return emit_mem(t, op_x87_fnstsw, 2, true);
}

#define ROW(name)                                                                                  \
	{                                                                                          \
		ZYDIS_MNEMONIC_##name, ROW_X87, emit_x87                                           \
	}
#define ROW_BY(name, emit)                                                                         \
	{                                                                                          \
		ZYDIS_MNEMONIC_##name, ROW_X87, emit                                               \
	}

static const struct soft_row ROWS[] = {
	ROW(F2XM1),
	ROW(FABS),
	ROW(FADD),
	ROW(FADDP),
	ROW(FBLD),
	ROW(FBSTP),
	ROW(FCHS),
	ROW(FCOM),
	ROW(FCOMP),
	ROW(FCOMPP),
	ROW(FCOS),
	ROW(FDECSTP),
	{ZYDIS_MNEMONIC_FDISI8087_NOP, ROW_X87, emit_nothing},
	ROW(FDIV),
	ROW(FDIVP),
	ROW(FDIVR),
	ROW(FDIVRP),
	{ZYDIS_MNEMONIC_FENI8087_NOP, ROW_X87, emit_nothing},
	ROW(FFREE),
	ROW(FFREEP),
	ROW(FIADD),
	ROW(FICOM),
	ROW(FICOMP),
	ROW(FIDIV),
	ROW(FIDIVR),
	ROW(FILD),
	ROW(FIMUL),
	ROW(FINCSTP),
	ROW(FIST),
	ROW(FISTP),
	ROW(FISTTP),
	ROW(FISUB),
	ROW(FISUBR),
	ROW(FLD),
	ROW(FLD1),
	ROW(FLDL2E),
	ROW(FLDL2T),
	ROW(FLDLG2),
	ROW(FLDLN2),
	ROW(FLDPI),
	ROW(FLDZ),
	ROW(FMUL),
	ROW(FMULP),
	ROW(FNOP),
	ROW(FPATAN),
	ROW(FPREM),
	ROW(FPREM1),
	ROW(FPTAN),
	ROW(FRNDINT),
	ROW(FSCALE),
	{ZYDIS_MNEMONIC_FSETPM287_NOP, ROW_X87, emit_nothing},
	ROW(FSIN),
	ROW(FSINCOS),
	ROW(FSQRT),
	ROW(FST),
	ROW(FSTP),
	ROW(FSTPNCE),
	ROW(FSUB),
	ROW(FSUBP),
	ROW(FSUBR),
	ROW(FSUBRP),
	ROW(FTST),
	ROW(FUCOM),
	ROW(FUCOMP),
	ROW(FUCOMPP),
	ROW(FXAM),
	ROW(FXCH),
	ROW(FXTRACT),
	ROW(FYL2X),
	ROW(FYL2XP1),
	ROW_BY(FCMOVB, emit_cmov),
	ROW_BY(FCMOVBE, emit_cmov),
	ROW_BY(FCMOVE, emit_cmov),
	ROW_BY(FCMOVNB, emit_cmov),
	ROW_BY(FCMOVNBE, emit_cmov),
	ROW_BY(FCMOVNE, emit_cmov),
	ROW_BY(FCMOVNU, emit_cmov),
	ROW_BY(FCMOVU, emit_cmov),
	ROW_BY(FCOMI, emit_comi),
	ROW_BY(FCOMIP, emit_comi),
	ROW_BY(FUCOMI, emit_comi),
	ROW_BY(FUCOMIP, emit_comi),
	ROW_BY(FLDCW, emit_fldcw),
	ROW_BY(FNSTCW, emit_fnstcw),
	ROW_BY(FNSTSW, emit_fnstsw),
	ROW_BY(FNCLEX, emit_fnclex),
	ROW_BY(FNINIT, emit_fninit),
	{ZYDIS_MNEMONIC_FWAIT, 0, emit_fwait},
};

const struct soft_rows soft_rows_x87 = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
