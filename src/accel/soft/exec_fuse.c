/* A comparison, or an operation whose result is looked at, and the Jcc behind it in one handler. It
 * stands in the slot of the first; i[1] is the slot of the Jcc and i[2] its link.  The flags are
 * left as the first alone leaves them, but the condition is computed from the operands. */
#include "exec_int.h"

/* Condition @cc after a - b: without a detour over the flags where C has the comparison.  cc is a
 * constant. */
#define COMPARED(cc, bits)                                                                         \
	(((cc) >> 1 == 1   ? a < b                                                                 \
	  : (cc) >> 1 == 2 ? a == b                                                                \
	  : (cc) >> 1 == 3 ? a <= b                                                                \
	  : (cc) >> 1 == 6 ? (int##bits##_t)a < (int##bits##_t)b                                   \
	  : (cc) >> 1 == 7                                                                         \
		  ? (int##bits##_t)a <= (int##bits##_t)b                                           \
		  : flags_condition((cc) & ~1u, fr, fs, FLAGS_OP(FLAGS_SUB, bits))) != ((cc)&1))
/* And after an operation of @kind, by the flags, whose kind is known here. */
#define RESULT(cc, kind, bits) flags_condition(cc, fr, fs, FLAGS_OP(kind, bits))

#define REG_REG(bits) a = SOFT_GET(bits, i->dst), b = SOFT_GET(bits, i->src)
#define REG_IMM(bits) a = SOFT_GET(bits, i->dst), b = (uint##bits##_t)i->imm

#define FUSED_CMP(bits, cc)                                                                        \
	SOFT_OP(cmp_rr_j##cc##_##bits)                                                             \
	{                                                                                          \
		uint##bits##_t REG_REG(bits);                                                      \
		FLAGS_SET(FLAGS_SUB, bits, a - b, b);                                              \
		i++;                                                                               \
		SOFT_BRANCH(COMPARED(cc, bits));                                                   \
	}                                                                                          \
	SOFT_OP(cmp_ri_j##cc##_##bits)                                                             \
	{                                                                                          \
		uint##bits##_t REG_IMM(bits);                                                      \
		FLAGS_SET(FLAGS_SUB, bits, a - b, b);                                              \
		i++;                                                                               \
		SOFT_BRANCH(COMPARED(cc, bits));                                                   \
	}                                                                                          \
	SOFT_MEM_OP(cmp_rm_j##cc##_##bits)                                                         \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b;                                      \
		SOFT_LOAD(bits, b, SOFT_EA());                                                     \
		FLAGS_SET(FLAGS_SUB, bits, a - b, b);                                              \
		i++;                                                                               \
		SOFT_BRANCH(COMPARED(cc, bits));                                                   \
	}                                                                                          \
	SOFT_MEM_OP(cmp_mr_j##cc##_##bits)                                                         \
	{                                                                                          \
		uint##bits##_t a, b = SOFT_GET(bits, i->src);                                      \
		SOFT_LOAD(bits, a, SOFT_EA());                                                     \
		FLAGS_SET(FLAGS_SUB, bits, a - b, b);                                              \
		i++;                                                                               \
		SOFT_BRANCH(COMPARED(cc, bits));                                                   \
	}                                                                                          \
	SOFT_MEM_OP(cmp_mi_j##cc##_##bits)                                                         \
	{                                                                                          \
		uint##bits##_t a, b = (uint##bits##_t)i->imm;                                      \
		SOFT_LOAD(bits, a, SOFT_EA());                                                     \
		FLAGS_SET(FLAGS_SUB, bits, a - b, b);                                              \
		i++;                                                                               \
		SOFT_BRANCH(COMPARED(cc, bits));                                                   \
	}

#define FUSED_TEST(bits, cc)                                                                       \
	SOFT_OP(test_rr_j##cc##_##bits)                                                            \
	{                                                                                          \
		uint##bits##_t REG_REG(bits);                                                      \
		FLAGS_SET(FLAGS_LOGIC, bits, a &b, 0);                                             \
		i++;                                                                               \
		SOFT_BRANCH(RESULT(cc, FLAGS_LOGIC, bits));                                        \
	}                                                                                          \
	SOFT_OP(test_ri_j##cc##_##bits)                                                            \
	{                                                                                          \
		uint##bits##_t REG_IMM(bits);                                                      \
		FLAGS_SET(FLAGS_LOGIC, bits, a &b, 0);                                             \
		i++;                                                                               \
		SOFT_BRANCH(RESULT(cc, FLAGS_LOGIC, bits));                                        \
	}                                                                                          \
	SOFT_MEM_OP(test_mi_j##cc##_##bits)                                                        \
	{                                                                                          \
		uint##bits##_t a, b = (uint##bits##_t)i->imm;                                      \
		SOFT_LOAD(bits, a, SOFT_EA());                                                     \
		FLAGS_SET(FLAGS_LOGIC, bits, a &b, 0);                                             \
		i++;                                                                               \
		SOFT_BRANCH(RESULT(cc, FLAGS_LOGIC, bits));                                        \
	}

/* Operations that also write: the loops' ADD, SUB, DEC and AND. */
#define FUSED_WRITE(bits, cc, name, operands, value, kind, second)                                 \
	SOFT_OP(name##_j##cc##_##bits)                                                             \
	{                                                                                          \
		uint##bits##_t operands(bits), v = (uint##bits##_t)(value);                        \
		SOFT_PUT(bits, i->dst, v);                                                         \
		FLAGS_SET(kind, bits, v, second);                                                  \
		i++;                                                                               \
		SOFT_BRANCH(RESULT(cc, kind, bits));                                               \
	}
#define FUSED_DEC(bits, cc)                                                                        \
	SOFT_OP(dec_r_j##cc##_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t v = (uint##bits##_t)(SOFT_GET(bits, i->dst) - 1);                   \
		fs = flags_cf(fr, fs, fo);                                                         \
		fr = v;                                                                            \
		fo = FLAGS_OP(FLAGS_DEC, bits);                                                    \
		SOFT_PUT(bits, i->dst, v);                                                         \
		i++;                                                                               \
		SOFT_BRANCH(RESULT(cc, FLAGS_DEC, bits));                                          \
	}

#define FUSED_WRITES(bits, cc)                                                                     \
	FUSED_WRITE(bits, cc, sub_rr, REG_REG, a - b, FLAGS_SUB, b)                                \
	FUSED_WRITE(bits, cc, sub_ri, REG_IMM, a - b, FLAGS_SUB, b)                                \
	FUSED_WRITE(bits, cc, add_ri, REG_IMM, a + b, FLAGS_ADD, b)                                \
	FUSED_WRITE(bits, cc, and_ri, REG_IMM, a &b, FLAGS_LOGIC, 0)                               \
	FUSED_DEC(bits, cc)

/* 16-bit comparisons are as rare as 16-bit code that must be fast. */
#define FUSED_WIDTHS(MAKE, cc) MAKE(8, cc) MAKE(32, cc) MAKE(64, cc)
#define FUSED(cc, name)                                                                            \
	FUSED_WIDTHS(FUSED_CMP, cc)                                                                \
	FUSED_WIDTHS(FUSED_TEST, cc)                                                               \
	FUSED_WRITES(32, cc)                                                                       \
	FUSED_WRITES(64, cc)
SOFT_CONDITIONS(FUSED)

/* @from lists the handlers of the operation alone, by width. */
struct fusion {
	soft_op_fn *const *from;
	soft_op_fn *to[16][4];
};
#define ALL_WIDTHS(cc, name, op)  [cc] = {op##_j##cc##_8, NULL, op##_j##cc##_32, op##_j##cc##_64},
#define LOOP_WIDTHS(cc, name, op) [cc] = {NULL, NULL, op##_j##cc##_32, op##_j##cc##_64},
static const struct fusion FUSIONS[] = {
	{soft_cmp_forms.rr, {SOFT_CONDITIONS(ALL_WIDTHS, cmp_rr)}},
	{soft_cmp_forms.ri, {SOFT_CONDITIONS(ALL_WIDTHS, cmp_ri)}},
	{soft_cmp_forms.rm, {SOFT_CONDITIONS(ALL_WIDTHS, cmp_rm)}},
	{soft_cmp_forms.mr, {SOFT_CONDITIONS(ALL_WIDTHS, cmp_mr)}},
	{soft_cmp_forms.mi, {SOFT_CONDITIONS(ALL_WIDTHS, cmp_mi)}},
	{soft_test_forms.rr, {SOFT_CONDITIONS(ALL_WIDTHS, test_rr)}},
	{soft_test_forms.ri, {SOFT_CONDITIONS(ALL_WIDTHS, test_ri)}},
	{soft_test_forms.mi, {SOFT_CONDITIONS(ALL_WIDTHS, test_mi)}},
	{soft_sub_forms.rr, {SOFT_CONDITIONS(LOOP_WIDTHS, sub_rr)}},
	{soft_sub_forms.ri, {SOFT_CONDITIONS(LOOP_WIDTHS, sub_ri)}},
	{soft_add_forms.ri, {SOFT_CONDITIONS(LOOP_WIDTHS, add_ri)}},
	{soft_and_forms.ri, {SOFT_CONDITIONS(LOOP_WIDTHS, and_ri)}},
	{soft_dec_r, {SOFT_CONDITIONS(LOOP_WIDTHS, dec_r)}},
};

soft_op_fn *soft_fused_op(soft_op_fn *cmp, unsigned cc)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FUSIONS); i++) {
		for (unsigned w = 0; w < 4; w++) {
			if (FUSIONS[i].from[w] == cmp)
				return FUSIONS[i].to[cc][w];
		}
	}
	return NULL;
}
