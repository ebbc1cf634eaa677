/* Arithmetic and logic on two operands: ADD, ADC, SUB, SBB, AND, OR, XOR, CMP, TEST; and the rows
 * of the operations on one operand and on single flags (exec_unary.c). Source: SDM 2A and 2B, the
 * instructions by name. */
#include "exec_int.h"

/* What an operation leaves in the flags.  Used where a and b are the operands, v is the result and
 * carry is CF before.  See flags.h for the kinds. */
#define KEEP_FLAGS(bits)  ((void)0)
#define ADD_FLAGS(bits)	  FLAGS_SET(FLAGS_ADD, bits, v, b)
#define SUB_FLAGS(bits)	  FLAGS_SET(FLAGS_SUB, bits, v, b)
#define LOGIC_FLAGS(bits) FLAGS_SET(FLAGS_LOGIC, bits, v, 0)
#define ADC_FLAGS(bits)                                                                            \
	FLAGS_SET_MIXED(bits, v, v < a || (carry && v == a), (a ^ b ^ v) & 0x10,                   \
			(a ^ v) & (b ^ v) & 1ull << ((bits)-1))
#define SBB_FLAGS(bits)                                                                            \
	FLAGS_SET_MIXED(bits, v, a < b || (carry && a == b), (a ^ b ^ v) & 0x10,                   \
			(a ^ b) & (a ^ v) & 1ull << ((bits)-1))

#define NO_CARRY false
#define CARRY	 flags_cf(fr, fs, fo)

/* Register forms of an operation: @value is an expression over a, b and carry. */
#define ALU_REG_FORMS(bits, name, carry_in, value, flags)                                          \
	SOFT_OP(name##_rr_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = SOFT_GET(bits, i->src), v;          \
		const bool carry = carry_in;                                                       \
		(void)carry;                                                                       \
		v = (uint##bits##_t)(value);                                                       \
		SOFT_PUT(bits, i->dst, v);                                                         \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name##_ri_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = (uint##bits##_t)i->imm, v;          \
		const bool carry = carry_in;                                                       \
		(void)carry;                                                                       \
		v = (uint##bits##_t)(value);                                                       \
		SOFT_PUT(bits, i->dst, v);                                                         \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}

/* Memory forms of one that writes its destination. */
#define ALU_MEM_FORMS(bits, name, carry_in, value, flags)                                          \
	SOFT_MEM_OP(name##_rm_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b, v;                                   \
		const bool carry = carry_in;                                                       \
		(void)carry;                                                                       \
		SOFT_LOAD(bits, b, SOFT_EA());                                                     \
		v = (uint##bits##_t)(value);                                                       \
		SOFT_PUT(bits, i->dst, v);                                                         \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_mr_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a, b = SOFT_GET(bits, i->src), v;                                   \
		const bool carry = carry_in;                                                       \
		(void)carry;                                                                       \
		SOFT_MODIFY(bits, a, SOFT_EA(), v = (uint##bits##_t)(value));                      \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_mi_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a, b = (uint##bits##_t)i->imm, v;                                   \
		const bool carry = carry_in;                                                       \
		(void)carry;                                                                       \
		SOFT_MODIFY(bits, a, SOFT_EA(), v = (uint##bits##_t)(value));                      \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}

/* All forms of one that writes flags only. */
#define COMPARE_FORMS(bits, name, value, flags)                                                    \
	SOFT_OP(name##_rr_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = SOFT_GET(bits, i->src);             \
		uint##bits##_t v = (uint##bits##_t)(value);                                        \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name##_ri_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = (uint##bits##_t)i->imm;             \
		uint##bits##_t v = (uint##bits##_t)(value);                                        \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_rm_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b, v;                                   \
		SOFT_LOAD(bits, b, SOFT_EA());                                                     \
		v = (uint##bits##_t)(value);                                                       \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_mr_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a, b = SOFT_GET(bits, i->src), v;                                   \
		SOFT_LOAD(bits, a, SOFT_EA());                                                     \
		v = (uint##bits##_t)(value);                                                       \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(name##_mi_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a, b = (uint##bits##_t)i->imm, v;                                   \
		SOFT_LOAD(bits, a, SOFT_EA());                                                     \
		v = (uint##bits##_t)(value);                                                       \
		flags(bits);                                                                       \
		SOFT_NEXT();                                                                       \
	}

/* Each writing operation with its flags, and the register forms once more without: _nf. */
#define ALU_FORMS(name, carry_in, value, flags)                                                    \
	SOFT_WIDTHS(ALU_REG_FORMS, name, carry_in, value, flags)                                   \
	SOFT_WIDTHS(ALU_REG_FORMS, name##_nf, carry_in, value, KEEP_FLAGS)                         \
	SOFT_WIDTHS(ALU_MEM_FORMS, name, carry_in, value, flags)
ALU_FORMS(add, NO_CARRY, a + b, ADD_FLAGS)
ALU_FORMS(or, NO_CARRY, a | b, LOGIC_FLAGS)
ALU_FORMS(adc, CARRY, a + b + carry, ADC_FLAGS)
ALU_FORMS(sbb, CARRY, a - b - carry, SBB_FLAGS)
ALU_FORMS(and, NO_CARRY, a &b, LOGIC_FLAGS)
ALU_FORMS(sub, NO_CARRY, a - b, SUB_FLAGS)
ALU_FORMS(xor, NO_CARRY, a ^ b, LOGIC_FLAGS)
SOFT_WIDTHS(COMPARE_FORMS, cmp, a - b, SUB_FLAGS)
SOFT_WIDTHS(COMPARE_FORMS, test, a &b, LOGIC_FLAGS)

const struct soft_forms soft_add_forms = SOFT_ALL_FORMS(add);
const struct soft_forms soft_sub_forms = SOFT_ALL_FORMS(sub);
const struct soft_forms soft_and_forms = SOFT_ALL_FORMS(and);
const struct soft_forms soft_cmp_forms = SOFT_ALL_FORMS(cmp);
const struct soft_forms soft_test_forms = SOFT_ALL_FORMS(test);
static const struct soft_forms OR_FORMS = SOFT_ALL_FORMS(or);
static const struct soft_forms ADC_FORMS = SOFT_ALL_FORMS(adc);
static const struct soft_forms SBB_FORMS = SOFT_ALL_FORMS(sbb);
const struct soft_forms soft_xor_forms = SOFT_ALL_FORMS(xor);

/* The register forms of an operation without flags. */
#define QUIET_FORMS(name)                                                                          \
	{                                                                                          \
		.rr = SOFT_BY_WIDTH(name##_nf_rr), .ri = SOFT_BY_WIDTH(name##_nf_ri)               \
	}
const struct soft_forms soft_add_quiet = QUIET_FORMS(add);
const struct soft_forms soft_sub_quiet = QUIET_FORMS(sub);
const struct soft_forms soft_and_quiet = QUIET_FORMS(and);
const struct soft_forms soft_xor_quiet = QUIET_FORMS(xor);
static const struct soft_forms OR_QUIET = QUIET_FORMS(or);
static const struct soft_forms ADC_QUIET = QUIET_FORMS(adc);
static const struct soft_forms SBB_QUIET = QUIET_FORMS(sbb);

struct alu_op {
	uint16_t mnemonic;
	const struct soft_forms *forms;
	const struct soft_forms *quiet; /* NULL: a comparison */
};
static const struct alu_op ALU_OPS[] = {
	{ZYDIS_MNEMONIC_ADD, &soft_add_forms, &soft_add_quiet},
	{ZYDIS_MNEMONIC_OR, &OR_FORMS, &OR_QUIET},
	{ZYDIS_MNEMONIC_ADC, &ADC_FORMS, &ADC_QUIET},
	{ZYDIS_MNEMONIC_SBB, &SBB_FORMS, &SBB_QUIET},
	{ZYDIS_MNEMONIC_AND, &soft_and_forms, &soft_and_quiet},
	{ZYDIS_MNEMONIC_SUB, &soft_sub_forms, &soft_sub_quiet},
	{ZYDIS_MNEMONIC_XOR, &soft_xor_forms, &soft_xor_quiet},
	{ZYDIS_MNEMONIC_CMP, &soft_cmp_forms, NULL},
	{ZYDIS_MNEMONIC_TEST, &soft_test_forms, NULL},
};

static const struct alu_op *find_op(ZydisMnemonic mnemonic)
{
	const struct alu_op *op = ALU_OPS;

	while (op->mnemonic != mnemonic)
		op++;
	return op;
}

static bool emit_alu(struct tr *t)
{
	const struct alu_op *op = find_op(t->z->mnemonic);
	unsigned w = tr_width(t->op[0].size);
	bool is_write = op->quiet != NULL;
	struct insn *i;

	if (t->is_locked)
		return soft_emit_locked(t);
	i = soft_emit_form(t, op->forms, is_write);
	if (is_write && tr_is_reg(&t->op[0]) && !tr_is_mem(&t->op[1])) {
		t->flag_slot = i;
		t->no_flags_fn = tr_is_imm(&t->op[1]) ? op->quiet->ri[w] : op->quiet->rr[w];
	}
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_ADD, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_OR, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_ADC, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_SBB, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_AND, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_SUB, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_XOR, ROW_LOCK, emit_alu},
	{ZYDIS_MNEMONIC_CMP, 0, emit_alu},
	{ZYDIS_MNEMONIC_TEST, 0, emit_alu},
	{ZYDIS_MNEMONIC_INC, ROW_LOCK, soft_emit_unary},
	{ZYDIS_MNEMONIC_DEC, ROW_LOCK, soft_emit_unary},
	{ZYDIS_MNEMONIC_NOT, ROW_LOCK, soft_emit_unary},
	{ZYDIS_MNEMONIC_NEG, ROW_LOCK, soft_emit_unary},
	{ZYDIS_MNEMONIC_CLC, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_STC, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_CMC, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_CLD, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_STD, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_LAHF, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_SAHF, 0, soft_emit_flag_op},
	{ZYDIS_MNEMONIC_SALC, ROW_NO64, soft_emit_flag_op},
};
const struct soft_rows soft_rows_alu = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
