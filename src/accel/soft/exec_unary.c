/* Operations on one operand: INC, DEC, NOT, NEG; and on flags alone: CLC, STC, CMC, CLD, STD, LAHF,
 * SAHF, SALC.  Their rows are in exec_alu.c.
 * Source: SDM 2A and 2B, the instructions by name.  SALC is opcode D6 outside 64-bit mode. */
#include "exec_int.h"

/* INC and DEC keep CF. */
#define INC_FLAGS(bits)	 (fs = flags_cf(fr, fs, fo), fr = v, fo = FLAGS_OP(FLAGS_INC, bits))
#define DEC_FLAGS(bits)	 (fs = flags_cf(fr, fs, fo), fr = v, fo = FLAGS_OP(FLAGS_DEC, bits))
#define NEG_FLAGS(bits)	 FLAGS_SET(FLAGS_SUB, bits, v, a)
#define KEEP_FLAGS(bits) ((void)0)

/* @value is an expression over the operand a. */
#define UNARY_REG_FORM(bits, name, value, flags)                                                   \
	SOFT_OP(name##_r_##bits)                                                                   \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), v = (uint##bits##_t)(value);            \
		SOFT_PUT(bits, i->dst, v);                                                         \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}
#define UNARY_MEM_FORM(bits, name, value, flags)                                                   \
	SOFT_MEM_OP(name##_m_##bits)                                                               \
	{                                                                                          \
		uint##bits##_t a, v;                                                               \
		SOFT_MODIFY(bits, a, SOFT_EA(), v = (uint##bits##_t)(value));                      \
		flags(bits);                                                                       \
		(void)v;                                                                           \
		SOFT_NEXT();                                                                       \
	}
#define UNARY_FORMS(name, value, flags)                                                            \
	SOFT_WIDTHS(UNARY_REG_FORM, name, value, flags)                                            \
	SOFT_WIDTHS(UNARY_REG_FORM, name##_nf, value, KEEP_FLAGS)                                  \
	SOFT_WIDTHS(UNARY_MEM_FORM, name, value, flags)
UNARY_FORMS(inc, a + 1, INC_FLAGS)
UNARY_FORMS(dec, a - 1, DEC_FLAGS)
UNARY_FORMS(neg, -a, NEG_FLAGS)
SOFT_WIDTHS(UNARY_REG_FORM, not, ~a, KEEP_FLAGS)
SOFT_WIDTHS(UNARY_MEM_FORM, not, ~a, KEEP_FLAGS)

soft_op_fn *const soft_dec_r[4] = SOFT_BY_WIDTH(dec_r);

struct unary_op {
	uint16_t mnemonic;
	soft_op_fn *r[4], *m[4], *quiet[4];
};
static const struct unary_op UNARY_OPS[] = {
	{ZYDIS_MNEMONIC_INC, SOFT_BY_WIDTH(inc_r), SOFT_BY_WIDTH(inc_m), SOFT_BY_WIDTH(inc_nf_r)},
	{ZYDIS_MNEMONIC_DEC, SOFT_BY_WIDTH(dec_r), SOFT_BY_WIDTH(dec_m), SOFT_BY_WIDTH(dec_nf_r)},
	{ZYDIS_MNEMONIC_NEG, SOFT_BY_WIDTH(neg_r), SOFT_BY_WIDTH(neg_m), SOFT_BY_WIDTH(neg_nf_r)},
	{ZYDIS_MNEMONIC_NOT, SOFT_BY_WIDTH(not_r), SOFT_BY_WIDTH(not_m), {NULL}},
};

bool soft_emit_unary(struct tr *t)
{
	const ZydisDecodedOperand *operand = &t->op[0];
	const struct unary_op *op = UNARY_OPS;
	unsigned w = tr_width(operand->size);
	struct insn *i;

	if (t->is_locked)
		return soft_emit_locked(t);
	while (op->mnemonic != t->z->mnemonic)
		op++;
	if (tr_is_mem(operand)) {
		tr_slot_mem(t, op->m[w], operand, operand->size / 8, true);
		return true;
	}
	i = tr_slot(t, op->r[w]);
	i->dst = tr_reg(operand->reg.value);
	t->flag_slot = i;
	t->no_flags_fn = op->quiet[w];
	return true;
}

/* Single flags. */

SOFT_OP(clc)
{
	FLAGS_SET_STATUS(FLAGS_STATUS() & ~X86_RFLAGS_CF);
	SOFT_NEXT();
}

SOFT_OP(stc)
{
	FLAGS_SET_STATUS(FLAGS_STATUS() | X86_RFLAGS_CF);
	SOFT_NEXT();
}

SOFT_OP(cmc)
{
	FLAGS_SET_STATUS(FLAGS_STATUS() ^ X86_RFLAGS_CF);
	SOFT_NEXT();
}

SOFT_OP(cld)
{
	c->rflags &= ~X86_RFLAGS_DF;
	SOFT_NEXT();
}

SOFT_OP(std)
{
	c->rflags |= X86_RFLAGS_DF;
	SOFT_NEXT();
}

#define AH (TR_SLOT_OFFSET(X86_RAX) + 1)
#define AL TR_SLOT_OFFSET(X86_RAX)

SOFT_OP(lahf)
{
	SOFT_PUT(8, AH, (FLAGS_STATUS() & 0xff) | X86_RFLAGS_FIXED);
	SOFT_NEXT();
}

/* OF stays. */
SOFT_OP(sahf)
{
	uint64_t low = SOFT_GET(8, AH) & X86_RFLAGS_STATUS & 0xff;

	FLAGS_SET_STATUS((FLAGS_STATUS() & X86_RFLAGS_OF) | low);
	SOFT_NEXT();
}

/* AL = CF ? FF : 0. */
SOFT_OP(salc)
{
	SOFT_PUT(8, AL, flags_cf(fr, fs, fo) ? 0xff : 0);
	SOFT_NEXT();
}

struct flag_op {
	uint16_t mnemonic;
	soft_op_fn *fn;
};
static const struct flag_op FLAG_OPS[] = {
	{ZYDIS_MNEMONIC_CLC, clc},   {ZYDIS_MNEMONIC_STC, stc},	  {ZYDIS_MNEMONIC_CMC, cmc},
	{ZYDIS_MNEMONIC_CLD, cld},   {ZYDIS_MNEMONIC_STD, std},	  {ZYDIS_MNEMONIC_LAHF, lahf},
	{ZYDIS_MNEMONIC_SAHF, sahf}, {ZYDIS_MNEMONIC_SALC, salc},
};

bool soft_emit_flag_op(struct tr *t)
{
	const struct flag_op *op = FLAG_OPS;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	tr_slot(t, op->fn);
	return true;
}
