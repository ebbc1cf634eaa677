/* Shifts and rotates: ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHLD, SHRD.
 * The count is masked to 5 bits, to 6 with 64-bit operands; a masked count of 0 leaves the flags
 * alone.  Flags are made by the host's own instruction: the manual leaves OF undefined for counts
 * above 1, AF always, and everything for SHLD and SHRD of 16 bits by more than 16.
 * Source: SDM 2B RCL, SAL, SHLD. */
#include "exec_int.h"

#define COUNT_MASK(bits) ((bits) == 64 ? 63u : 31u)
#define CL		 TR_SLOT_OFFSET(X86_RCX)
#define NO_REG		 TR_SLOT_OFFSET(SLOT_ZERO)

/* Rotates need the flags that they keep; shifts by at least 1 write all of them. */
#define ROTATE_IN NATIVE_FLAGS_IN
#define ROTATE_AX NATIVE_AX()
#define SHIFT_IN  ""
#define SHIFT_AX  0

/* flags_in: a literal, which parentheses would keep from joining the template's others. */
#define NATIVE_SHIFT(bits, name, flags_in)                                                         \
	SOFT_INLINE uint##bits##_t native_##name##_##bits(uint##bits##_t v, unsigned count,        \
							  uint32_t *ax)                            \
	{                                                                                          \
		__asm__(flags_in /* NOLINT(bugprone-macro-parentheses) */                          \
			#name " %%cl, %0" NATIVE_FLAGS_OUT                                         \
			: "+r"(v), "+a"(*ax)                                                       \
			: "c"((uint8_t)count)                                                      \
			: "cc");                                                                   \
		return v;                                                                          \
	}

/* By an immediate, not 0 (_ri); by CL (_rc). */
#define SHIFT_REG_FORMS(bits, name, ax_in)                                                         \
	SOFT_OP(name##_ri_##bits)                                                                  \
	{                                                                                          \
		uint32_t ax = ax_in;                                                               \
		uint##bits##_t v = SOFT_GET(bits, i->dst);                                         \
		SOFT_PUT(bits, i->dst, native_##name##_##bits(v, (unsigned)i->imm, &ax));          \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name##_rc_##bits)                                                                  \
	{                                                                                          \
		unsigned count = SOFT_GET(8, CL) & COUNT_MASK(bits);                               \
		uint##bits##_t v = SOFT_GET(bits, i->dst);                                         \
		if (SOFT_LIKELY(count)) {                                                          \
			uint32_t ax = ax_in;                                                       \
			v = native_##name##_##bits(v, count, &ax);                                 \
			FLAGS_SET_STATUS(native_status(ax));                                       \
		}                                                                                  \
		SOFT_PUT(bits, i->dst, v);                                                         \
		SOFT_NEXT();                                                                       \
	}

/* The count is the sum of a register, CL or none, and an immediate. */
#define SHIFT_MEM_FORM(bits, name, ax_in)                                                          \
	SOFT_MEM_OP(name##_m_##bits)                                                               \
	{                                                                                          \
		unsigned count = (SOFT_GET(8, i->src) + (unsigned)i->imm) & COUNT_MASK(bits);      \
		uint32_t ax = ax_in;                                                               \
		uint##bits##_t a;                                                                  \
		SOFT_MODIFY(bits, a, SOFT_EA(),                                                    \
			    count ? native_##name##_##bits(a, count, &ax) : a);                    \
		if (count)                                                                         \
			FLAGS_SET_STATUS(native_status(ax));                                       \
		SOFT_NEXT();                                                                       \
	}

#define SHIFT_FORMS(name, flags_in, ax_in)                                                         \
	SOFT_WIDTHS(NATIVE_SHIFT, name, flags_in)                                                  \
	SOFT_WIDTHS(SHIFT_REG_FORMS, name, ax_in)                                                  \
	SOFT_WIDTHS(SHIFT_MEM_FORM, name, ax_in)
SHIFT_FORMS(rol, ROTATE_IN, ROTATE_AX)
SHIFT_FORMS(ror, ROTATE_IN, ROTATE_AX)
SHIFT_FORMS(rcl, ROTATE_IN, ROTATE_AX)
SHIFT_FORMS(rcr, ROTATE_IN, ROTATE_AX)
SHIFT_FORMS(shl, SHIFT_IN, SHIFT_AX)
SHIFT_FORMS(shr, SHIFT_IN, SHIFT_AX)
SHIFT_FORMS(sar, SHIFT_IN, SHIFT_AX)

/* Without flags.  @value is an expression over a and count, in at least 32 bits. */
#define QUIET_SHIFT(bits, name, value)                                                             \
	SOFT_OP(name##_nf_ri_##bits)                                                               \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst);                                         \
		unsigned count = (unsigned)i->imm & COUNT_MASK(bits);                              \
		SOFT_PUT(bits, i->dst, (value));                                                   \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name##_nf_rc_##bits)                                                               \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst);                                         \
		unsigned count = SOFT_GET(8, CL) & COUNT_MASK(bits);                               \
		SOFT_PUT(bits, i->dst, (value));                                                   \
		SOFT_NEXT();                                                                       \
	}
#define WIDER(bits, a) ((bits) == 64 ? (uint64_t)(a) : (uint32_t)(a))
#define QUIET_SHIFTS(bits)                                                                         \
	QUIET_SHIFT(bits, shl, WIDER(bits, a) << count)                                            \
	QUIET_SHIFT(bits, shr, WIDER(bits, a) >> count)                                            \
	QUIET_SHIFT(bits, sar, (int##bits##_t)a >> count)                                          \
	QUIET_SHIFT(bits, rol,                                                                     \
		    WIDER(bits, a) << (count & ((bits)-1)) | a >> (-count & ((bits)-1)))           \
	QUIET_SHIFT(bits, ror, a >> (count & ((bits)-1)) | WIDER(bits, a) << (-count & ((bits)-1)))
SOFT_WIDTHS(QUIET_SHIFTS)

soft_op_fn *const soft_shl_quiet_ri[4] = SOFT_BY_WIDTH(shl_nf_ri);
soft_op_fn *const soft_shr_quiet_ri[4] = SOFT_BY_WIDTH(shr_nf_ri);

struct shift_op {
	uint16_t mnemonic;
	soft_op_fn *ri[4], *rc[4], *m[4], *quiet_ri[4], *quiet_rc[4];
};
#define SHIFT_ENTRY(name)                                                                          \
	SOFT_BY_WIDTH(name##_ri), SOFT_BY_WIDTH(name##_rc), SOFT_BY_WIDTH(name##_m)
#define QUIET_ENTRY(name) SOFT_BY_WIDTH(name##_nf_ri), SOFT_BY_WIDTH(name##_nf_rc)
static const struct shift_op SHIFT_OPS[] = {
	{ZYDIS_MNEMONIC_ROL, SHIFT_ENTRY(rol), QUIET_ENTRY(rol)},
	{ZYDIS_MNEMONIC_ROR, SHIFT_ENTRY(ror), QUIET_ENTRY(ror)},
	{ZYDIS_MNEMONIC_RCL, SHIFT_ENTRY(rcl), {NULL}, {NULL}},
	{ZYDIS_MNEMONIC_RCR, SHIFT_ENTRY(rcr), {NULL}, {NULL}},
	{ZYDIS_MNEMONIC_SHL, SHIFT_ENTRY(shl), QUIET_ENTRY(shl)},
	{ZYDIS_MNEMONIC_SHR, SHIFT_ENTRY(shr), QUIET_ENTRY(shr)},
	{ZYDIS_MNEMONIC_SAR, SHIFT_ENTRY(sar), QUIET_ENTRY(sar)},
};

static void emit_shift_mem(struct tr *t, const struct shift_op *op)
{
	const ZydisDecodedOperand *dst = &t->op[0], *count = &t->op[1];
	struct insn *i = tr_slot_mem(t, op->m[tr_width(dst->size)], dst, dst->size / 8, true);

	i->src = tr_is_imm(count) ? NO_REG : CL;
	i->imm = tr_is_imm(count) ? count->imm.value.u : 0;
}

static bool emit_shift(struct tr *t)
{
	const ZydisDecodedOperand *dst = &t->op[0], *count = &t->op[1];
	const struct shift_op *op = SHIFT_OPS;
	unsigned w = tr_width(dst->size);
	struct insn *i;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	if (tr_is_mem(dst)) {
		emit_shift_mem(t, op);
		return true;
	}
	if (!tr_is_imm(count)) {
		i = tr_slot(t, op->rc[w]);
		t->no_flags_fn = op->quiet_rc[w];
	} else if (count->imm.value.u & COUNT_MASK(dst->size)) {
		i = tr_slot(t, op->ri[w]);
		i->imm = count->imm.value.u & COUNT_MASK(dst->size);
		t->no_flags_fn = op->quiet_ri[w];
	} else {
		/* What remains of a count of 0 is that 32-bit operands lose their upper half. */
		i = tr_slot(t, soft_mov_forms.rr[w]);
		i->src = tr_reg(dst->reg.value);
	}
	i->dst = tr_reg(dst->reg.value);
	t->flag_slot = i;
	return true;
}

/* SHLD and SHRD: @count_reg names the field that says which register is part of the count. */

#define NATIVE_DOUBLE(bits, name)                                                                  \
	SOFT_INLINE uint##bits##_t native_##name##_##bits(uint##bits##_t v, uint##bits##_t in,     \
							  unsigned count, uint32_t *ax)            \
	{                                                                                          \
		__asm__(NATIVE_FLAGS_IN #name " %%cl, %2, %0" NATIVE_FLAGS_OUT                     \
			: "+r"(v), "+a"(*ax)                                                       \
			: "r"(in), "c"((uint8_t)count)                                             \
			: "cc");                                                                   \
		return v;                                                                          \
	}
#define DOUBLE_COUNT(bits, count_reg)                                                              \
	((SOFT_GET(8, count_reg) + (unsigned)i->imm) & COUNT_MASK(bits))
#define DOUBLE_FORMS(bits, name)                                                                   \
	NATIVE_DOUBLE(bits, name)                                                                  \
	SOFT_OP(name##_r_##bits)                                                                   \
	{                                                                                          \
		unsigned count = DOUBLE_COUNT(bits, i->base);                                      \
		uint##bits##_t v = SOFT_GET(bits, i->dst), in = SOFT_GET(bits, i->src);            \
		if (count) {                                                                       \
			uint32_t ax = NATIVE_AX();                                                 \
			v = native_##name##_##bits(v, in, count, &ax);                             \
			FLAGS_SET_STATUS(native_status(ax));                                       \
		}                                                                                  \
		SOFT_PUT(bits, i->dst, v);                                                         \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_m_##bits)                                                               \
	{                                                                                          \
		unsigned count = DOUBLE_COUNT(bits, i->dst);                                       \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t a, in = SOFT_GET(bits, i->src);                                     \
		SOFT_MODIFY(bits, a, SOFT_EA(),                                                    \
			    count ? native_##name##_##bits(a, in, count, &ax) : a);                \
		if (count)                                                                         \
			FLAGS_SET_STATUS(native_status(ax));                                       \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDE_WIDTHS(DOUBLE_FORMS, shld)
SOFT_WIDE_WIDTHS(DOUBLE_FORMS, shrd)

static bool emit_double(struct tr *t)
{
	static soft_op_fn *const REG[2][4] = {SOFT_BY_WIDE_WIDTH(shld_r),
					      SOFT_BY_WIDE_WIDTH(shrd_r)};
	static soft_op_fn *const MEM[2][4] = {SOFT_BY_WIDE_WIDTH(shld_m),
					      SOFT_BY_WIDE_WIDTH(shrd_m)};
	const ZydisDecodedOperand *dst = &t->op[0], *count = &t->op[2];
	bool is_right = t->z->mnemonic == ZYDIS_MNEMONIC_SHRD;
	unsigned w = tr_width(dst->size);
	struct insn *i;

	if (tr_is_mem(dst)) {
		i = tr_slot_mem(t, MEM[is_right][w], dst, dst->size / 8, true);
		i->dst = tr_is_imm(count) ? NO_REG : CL;
	} else {
		i = tr_slot(t, REG[is_right][w]);
		i->dst = tr_reg(dst->reg.value);
		i->base = tr_is_imm(count) ? NO_REG : CL;
	}
	i->src = tr_reg(t->op[1].reg.value);
	i->imm = tr_is_imm(count) ? count->imm.value.u : 0;
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_ROL, 0, emit_shift},   {ZYDIS_MNEMONIC_ROR, 0, emit_shift},
	{ZYDIS_MNEMONIC_RCL, 0, emit_shift},   {ZYDIS_MNEMONIC_RCR, 0, emit_shift},
	{ZYDIS_MNEMONIC_SHL, 0, emit_shift},   {ZYDIS_MNEMONIC_SHR, 0, emit_shift},
	{ZYDIS_MNEMONIC_SAR, 0, emit_shift},   {ZYDIS_MNEMONIC_SHLD, 0, emit_double},
	{ZYDIS_MNEMONIC_SHRD, 0, emit_double},
};
const struct soft_rows soft_rows_shift = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
