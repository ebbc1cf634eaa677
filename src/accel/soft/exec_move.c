/* Moves: MOV, MOVZX, MOVSX, LEA, XCHG, CMOVcc, SETcc, XLAT, sign extension of the accumulator, and
 * what does nothing.  MOV of segment, control and debug registers is handed over (translate.h).
 * Source: SDM 2A and 2B, the instructions by name. */
#include "exec_int.h"
#include "run.h"

/* MOV. */

#define MOV_FORMS(bits)                                                                            \
	SOFT_OP(mov_rr_##bits)                                                                     \
	{                                                                                          \
		SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->src));                                    \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(mov_ri_##bits)                                                                     \
	{                                                                                          \
		SOFT_PUT(bits, i->dst, i->imm);                                                    \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(mov_mi_##bits)                                                                 \
	{                                                                                          \
		SOFT_STORE(bits, SOFT_EA(), i->imm);                                               \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDTHS(MOV_FORMS)

/* Loads and stores, with an address that has an index and with one that has none. */
#define MOV_MEM_FORMS(bits, suffix, address)                                                       \
	SOFT_MEM_OP(mov_rm##suffix##_##bits)                                                       \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		SOFT_LOAD(bits, v, address);                                                       \
		SOFT_PUT(bits, i->dst, v);                                                         \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(mov_mr##suffix##_##bits)                                                       \
	{                                                                                          \
		SOFT_STORE(bits, address, SOFT_GET(bits, i->src));                                 \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDTHS(MOV_MEM_FORMS, , SOFT_EA())
SOFT_WIDTHS(MOV_MEM_FORMS, _base, SOFT_EA_BASE())

const struct soft_forms soft_mov_forms = SOFT_ALL_FORMS(mov);
const struct soft_forms soft_mov_base_forms = {.rm = SOFT_BY_WIDTH(mov_rm_base),
					       .mr = SOFT_BY_WIDTH(mov_mr_base)};

struct insn *soft_emit_form(struct tr *t, const struct soft_forms *forms, bool is_write)
{
	const ZydisDecodedOperand *dst = &t->op[0], *src = &t->op[1];
	unsigned w = tr_width(dst->size), size = dst->size / 8;
	struct insn *i;

	if (tr_is_mem(dst) && tr_is_imm(src)) {
		i = tr_slot_mem(t, forms->mi[w], dst, size, is_write);
	} else if (tr_is_mem(dst)) {
		i = tr_slot_mem(t, forms->mr[w], dst, size, is_write);
	} else if (tr_is_mem(src)) {
		i = tr_slot_mem(t, forms->rm[w], src, size, false);
	} else {
		i = tr_slot(t, tr_is_imm(src) ? forms->ri[w] : forms->rr[w]);
	}
	if (tr_is_reg(dst))
		i->dst = tr_reg(dst->reg.value);
	if (tr_is_reg(src))
		i->src = tr_reg(src->reg.value);
	if (tr_is_imm(src))
		i->imm = src->imm.value.u;
	return i;
}

static bool has_index(const struct insn *i)
{
	return i->index != TR_SLOT_OFFSET(SLOT_ZERO);
}

static bool is_class(const ZydisDecodedOperand *op, ZydisRegisterClass class)
{
	return tr_is_reg(op) && ZydisRegisterGetClass(op->reg.value) == class;
}

static bool emit_mov(struct tr *t)
{
	struct insn *i;

	for (unsigned n = 0; n < 2; n++) {
		const ZydisDecodedOperand *op = &t->op[n];

		if (is_class(op, ZYDIS_REGCLASS_SEGMENT))
			return tr_mov_segment(t);
		if (is_class(op, ZYDIS_REGCLASS_CONTROL) || is_class(op, ZYDIS_REGCLASS_DEBUG))
			return tr_mov_control(t);
		if (is_class(op, ZYDIS_REGCLASS_TEST))
			return false;
	}
	i = soft_emit_form(t, &soft_mov_forms, true);
	if (has_index(i))
		return true;
	if (tr_is_mem(&t->op[1]))
		i->fn = soft_mov_base_forms.rm[tr_width(t->op[0].size)];
	else if (tr_is_mem(&t->op[0]) && tr_is_reg(&t->op[1]))
		i->fn = soft_mov_base_forms.mr[tr_width(t->op[0].size)];
	return true;
}

uint8_t soft_emit_source(struct tr *t, const ZydisDecodedOperand *op)
{
	struct insn *i;

	if (!tr_is_mem(op))
		return tr_reg(op->reg.value);
	i = tr_slot_mem(t, soft_mov_forms.rm[tr_width(op->size)], op, op->size / 8, false);
	i->dst = TR_SLOT_OFFSET(SLOT_TEMP);
	return i->dst;
}

/* MOVZX and MOVSX. */

#define EXTEND(name, sign, from, to)                                                               \
	SOFT_OP(name##_r##from##_##to)                                                             \
	{                                                                                          \
		SOFT_PUT(to, i->dst, (uint##to##_t)(sign##from##_t)SOFT_GET(from, i->src));        \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_m##from##_##to)                                                         \
	{                                                                                          \
		uint##from##_t v;                                                                  \
		SOFT_LOAD(from, v, SOFT_EA());                                                     \
		SOFT_PUT(to, i->dst, (uint##to##_t)(sign##from##_t)v);                             \
		SOFT_NEXT();                                                                       \
	}
EXTEND(movzx, uint, 8, 16)
EXTEND(movzx, uint, 8, 32)
EXTEND(movzx, uint, 16, 32)
EXTEND(movsx, int, 8, 16)
EXTEND(movsx, int, 8, 32)
EXTEND(movsx, int, 8, 64)
EXTEND(movsx, int, 16, 32)
EXTEND(movsx, int, 16, 64)
EXTEND(movsx, int, 32, 64)

soft_op_fn *const soft_movzx_r8[4] = {NULL, movzx_r8_16, movzx_r8_32, NULL};
soft_op_fn *const soft_movzx_m8[4] = {NULL, movzx_m8_16, movzx_m8_32, NULL};
soft_op_fn *const soft_movsx_r32[4] = {NULL, NULL, NULL, movsx_r32_64};

/* By destination and source width; a zero extension to 32 bits reaches 64.  Where both widths are
 * equal the instruction is a move. */
struct extension {
	soft_op_fn *r, *m;
};
#define BOTH(name, from, to)                                                                       \
	{                                                                                          \
		name##_r##from##_##to, name##_m##from##_##to                                       \
	}
static const struct extension ZERO_EXTEND[4][4] = {
	[1] = {BOTH(movzx, 8, 16), {mov_rr_16, mov_rm_16}},
	[2] = {BOTH(movzx, 8, 32), BOTH(movzx, 16, 32)},
	[3] = {BOTH(movzx, 8, 32), BOTH(movzx, 16, 32)},
};
static const struct extension SIGN_EXTEND[4][4] = {
	[1] = {BOTH(movsx, 8, 16), {mov_rr_16, mov_rm_16}},
	[2] = {BOTH(movsx, 8, 32), BOTH(movsx, 16, 32), {mov_rr_32, mov_rm_32}},
	[3] = {BOTH(movsx, 8, 64), BOTH(movsx, 16, 64), BOTH(movsx, 32, 64)},
};

static bool emit_extension(struct tr *t)
{
	const ZydisDecodedOperand *dst = &t->op[0], *src = &t->op[1];
	bool is_zero = t->z->mnemonic == ZYDIS_MNEMONIC_MOVZX;
	const struct extension *e =
		&(is_zero ? ZERO_EXTEND : SIGN_EXTEND)[tr_width(dst->size)][tr_width(src->size)];
	struct insn *i;

	/* MOVSXD r16, r/m32 takes the low half. */
	if (dst->size < src->size)
		e = &SIGN_EXTEND[1][1];
	if (!e->r)
		return false;
	if (tr_is_mem(src)) {
		i = tr_slot_mem(t, e->m, src, src->size / 8, false);
	} else {
		i = tr_slot(t, e->r);
		i->src = tr_reg(src->reg.value);
	}
	i->dst = tr_reg(dst->reg.value);
	return true;
}

/* The accumulator, sign-extended in place: CBW, CWDE, CDQE. */
static bool emit_extend_accumulator(struct tr *t)
{
	static soft_op_fn *const EXTEND_BY_SIZE[4] = {NULL, movsx_r8_16, movsx_r16_32,
						      movsx_r32_64};
	struct insn *i = tr_slot(t, EXTEND_BY_SIZE[tr_width(t->operand_bits)]);

	i->dst = TR_SLOT_OFFSET(X86_RAX);
	i->src = TR_SLOT_OFFSET(X86_RAX);
	return true;
}

/* Its sign in the data register: CWD, CDQ, CQO. */
#define SIGN_TO_DX(bits)                                                                           \
	SOFT_OP(sign_to_dx_##bits)                                                                 \
	{                                                                                          \
		int##bits##_t a = (int##bits##_t)SOFT_GET(bits, TR_SLOT_OFFSET(X86_RAX));          \
		SOFT_PUT(bits, TR_SLOT_OFFSET(X86_RDX), a < 0 ? -1 : 0);                           \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(SIGN_TO_DX)

static bool emit_sign_to_dx(struct tr *t)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDE_WIDTH(sign_to_dx);

	tr_slot(t, BY_SIZE[tr_width(t->operand_bits)]);
	return true;
}

/* LEA. */

#define LEA(bits)                                                                                  \
	SOFT_OP(lea_##bits)                                                                        \
	{                                                                                          \
		SOFT_PUT(bits, i->dst, SOFT_EA());                                                 \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(lea_base_##bits)                                                                   \
	{                                                                                          \
		SOFT_PUT(bits, i->dst, SOFT_EA_BASE());                                            \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(LEA)

soft_op_fn *const soft_lea[4] = SOFT_BY_WIDE_WIDTH(lea);
soft_op_fn *const soft_lea_base[4] = SOFT_BY_WIDE_WIDTH(lea_base);

static bool emit_lea(struct tr *t)
{
	unsigned w = tr_width(t->op[0].size);
	struct insn *i = tr_slot_lea(t, soft_lea[w], &t->op[1]);

	if (!has_index(i))
		i->fn = soft_lea_base[w];
	i->dst = tr_reg(t->op[0].reg.value);
	return true;
}

/* XCHG. */

#define XCHG(bits)                                                                                 \
	SOFT_OP(xchg_rr_##bits)                                                                    \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = SOFT_GET(bits, i->src);             \
		SOFT_PUT(bits, i->dst, b);                                                         \
		SOFT_PUT(bits, i->src, a);                                                         \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDTHS(XCHG)

static bool emit_xchg(struct tr *t)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDTH(xchg_rr);
	struct insn *i;

	if (tr_is_mem(&t->op[0]) || tr_is_mem(&t->op[1]))
		return soft_emit_xchg_mem(t);
	i = tr_slot(t, BY_SIZE[tr_width(t->op[0].size)]);
	i->dst = tr_reg(t->op[0].reg.value);
	i->src = tr_reg(t->op[1].reg.value);
	return true;
}

/* CMOVcc and SETcc.  A memory source is read whatever the condition says, and a 32-bit destination
 * loses its upper half even when nothing is moved. */

#define CMOV(bits, cc)                                                                             \
	SOFT_OP(cmov_##cc##_##bits)                                                                \
	{                                                                                          \
		uint##bits##_t v = SOFT_GET(bits, i->src);                                         \
		if (!flags_condition(cc, fr, fs, fo))                                              \
			v = SOFT_GET(bits, i->dst);                                                \
		SOFT_PUT(bits, i->dst, v);                                                         \
		SOFT_NEXT();                                                                       \
	}
#define CONDITIONAL_OPS(cc, name)                                                                  \
	SOFT_WIDE_WIDTHS(CMOV, cc)                                                                 \
	SOFT_OP(set_##cc)                                                                          \
	{                                                                                          \
		SOFT_PUT(8, i->dst, flags_condition(cc, fr, fs, fo));                              \
		SOFT_NEXT();                                                                       \
	}
SOFT_CONDITIONS(CONDITIONAL_OPS)

#define CMOV_ENTRY(cc, name) [cc] = SOFT_BY_WIDE_WIDTH(cmov_##cc),
#define SET_ENTRY(cc, name)  [cc] = set_##cc,
static soft_op_fn *const CMOV_OPS[16][4] = {SOFT_CONDITIONS(CMOV_ENTRY)};
static soft_op_fn *const SET_OPS[16] = {SOFT_CONDITIONS(SET_ENTRY)};

/* The condition is the low half of the opcode of both. */
static bool emit_cmov(struct tr *t)
{
	uint8_t src = soft_emit_source(t, &t->op[1]);
	struct insn *i = tr_slot(t, CMOV_OPS[t->z->opcode & 15][tr_width(t->op[0].size)]);

	i->dst = tr_reg(t->op[0].reg.value);
	i->src = src;
	return true;
}

static bool emit_set(struct tr *t)
{
	struct insn *i = tr_slot(t, SET_OPS[t->z->opcode & 15]);

	if (tr_is_reg(&t->op[0])) {
		i->dst = tr_reg(t->op[0].reg.value);
		return true;
	}
	i->dst = TR_SLOT_OFFSET(SLOT_TEMP);
	i = tr_slot_mem(t, mov_mr_8, &t->op[0], 1, true);
	i->src = TR_SLOT_OFFSET(SLOT_TEMP);
	return true;
}

/* XLAT: AL = [seg:rBX + AL]. */

SOFT_OP(xlat_offset)
{
	c->r[SLOT_TEMP] = c->r[X86_RBX] + (uint8_t)c->r[X86_RAX];
	SOFT_NEXT();
}

static bool emit_xlat(struct tr *t)
{
	const ZydisDecodedOperand *mem = t->op;
	struct insn *i;

	while (!tr_is_mem(mem))
		mem++;
	tr_slot(t, xlat_offset);
	tr_address(t, SLOT_EA, soft_mem_segment(mem), SLOT_TEMP, 0, 1, false);
	i = tr_slot(t, mov_rm_8);
	i->base = TR_SLOT_OFFSET(SLOT_EA);
	i->dst = TR_SLOT_OFFSET(X86_RAX);
	return true;
}

/* Instructions that do nothing take no slot; hints of other models are such. */
static bool emit_nothing(struct tr *t)
{
	(void)t;
	return true;
}

/* PAUSE says that this vCPU waits for another one: let it run, if there is one; else go on, for the
 * loop costs many times what the guest's does.  At the end of a slice timers come first, which may
 * wake one. */
static soft_ret op_yield_turn(SOFT_ARGS)
{
	SOFT_SPILL();
	c->wants_yield = left <= 0 || soft_turn_has_other(c);
	if (!c->wants_yield)
		SOFT_NEXT();
	c->rip = soft_next_rip(c);
	c->cur = NULL;
	SOFT_LEAVE();
}

static bool emit_pause(struct tr *t)
{
	const struct soft_vm *vm = t->c->vm;

	if (vm->cpu_count == 1 || vm->is_parallel)
		return true;
	tr_slot(t, op_yield_turn);
	t->is_cut = true;
	return true;
}

#define CONDITIONAL_ROWS(cc, name)                                                                 \
	{ZYDIS_MNEMONIC_CMOV##name, 0, emit_cmov}, {ZYDIS_MNEMONIC_SET##name, 0, emit_set},

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_MOV, 0, emit_mov},
	{ZYDIS_MNEMONIC_MOVZX, 0, emit_extension},
	{ZYDIS_MNEMONIC_MOVSX, 0, emit_extension},
	{ZYDIS_MNEMONIC_MOVSXD, 0, emit_extension},
	{ZYDIS_MNEMONIC_CBW, 0, emit_extend_accumulator},
	{ZYDIS_MNEMONIC_CWDE, 0, emit_extend_accumulator},
	{ZYDIS_MNEMONIC_CDQE, 0, emit_extend_accumulator},
	{ZYDIS_MNEMONIC_CWD, 0, emit_sign_to_dx},
	{ZYDIS_MNEMONIC_CDQ, 0, emit_sign_to_dx},
	{ZYDIS_MNEMONIC_CQO, 0, emit_sign_to_dx},
	{ZYDIS_MNEMONIC_LEA, 0, emit_lea},
	{ZYDIS_MNEMONIC_XCHG, ROW_LOCK, emit_xchg},
	{ZYDIS_MNEMONIC_XLAT, 0, emit_xlat},
	SOFT_CONDITIONS(CONDITIONAL_ROWS){ZYDIS_MNEMONIC_PAUSE, 0, emit_pause},
	{ZYDIS_MNEMONIC_NOP, 0, emit_nothing},
	{ZYDIS_MNEMONIC_ENDBR32, 0, emit_nothing},
	{ZYDIS_MNEMONIC_ENDBR64, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCH, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHW, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHWT1, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHNTA, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHT0, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHT1, 0, emit_nothing},
	{ZYDIS_MNEMONIC_PREFETCHT2, 0, emit_nothing},
	{ZYDIS_MNEMONIC_CLDEMOTE, 0, emit_nothing},
};
const struct soft_rows soft_rows_move = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
