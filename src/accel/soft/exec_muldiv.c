/* MUL, IMUL, DIV, IDIV with the host's undefined flags, and decimal adjustment.
 * A division that cannot be done is found before the host would trap on it: #DE.
 * Source: SDM 2A and 2B, the instructions by name. */
#include "exec_int.h"

#define RAX TR_SLOT_OFFSET(X86_RAX)
#define RDX TR_SLOT_OFFSET(X86_RDX)

typedef unsigned __int128 uint128;
typedef __int128 int128;

/* The operations on the accumulator pair need RAX, where LAHF and SAHF have the flags: MOV between
 * them does not change any. */
#define NATIVE_PAIR(bits, name, accumulator, modifier)                                             \
	SOFT_INLINE void native_##name##_##bits(uint##bits##_t *lo, uint##bits##_t *hi,            \
						uint##bits##_t src, uint32_t *ax)                  \
	{                                                                                          \
		__asm__("movl %k[ax], %%eax\n\t" NATIVE_FLAGS_IN "mov %" modifier                  \
			"[lo], %%" accumulator "\n\t" #name " %" modifier                          \
			"[src]\n\tmov %%" accumulator ", %" modifier "[lo]" NATIVE_FLAGS_OUT       \
			"\n\tmovl %%eax, %k[ax]"                                                   \
			: [ax] "+r"(*ax), [lo] "+r"(*lo), [hi] "+d"(*hi)                           \
			: [src] "r"(src)                                                           \
			: "rax", "cc");                                                            \
	}
/* With 8-bit operands AX is the pair. */
#define NATIVE_PAIR_8(name)                                                                        \
	SOFT_INLINE void native_##name##_8(uint16_t *pair, uint8_t src, uint32_t *ax)              \
	{                                                                                          \
		__asm__("movl %k[ax], %%eax\n\t" NATIVE_FLAGS_IN "movw %w[pair], %%ax\n\t" #name   \
			" %b[src]\n\tmovw %%ax, %w[pair]" NATIVE_FLAGS_OUT                         \
			"\n\tmovl %%eax, %k[ax]"                                                   \
			: [ax] "+r"(*ax), [pair] "+r"(*pair)                                       \
			: [src] "r"(src)                                                           \
			: "rax", "cc");                                                            \
	}
#define NATIVE_PAIRS(name)                                                                         \
	NATIVE_PAIR_8(name)                                                                        \
	NATIVE_PAIR(16, name, "ax", "w")                                                           \
	NATIVE_PAIR(32, name, "eax", "k")                                                          \
	NATIVE_PAIR(64, name, "rax", "q")
NATIVE_PAIRS(mul)
NATIVE_PAIRS(imul)
NATIVE_PAIRS(div)
NATIVE_PAIRS(idiv)

/* Can the division be done? */

static bool div_fits_8(uint16_t pair, uint8_t src)
{
	return src > pair >> 8;
}

#define DIV_FITS(bits)                                                                             \
	SOFT_INLINE bool div_fits_##bits(uint##bits##_t hi, uint##bits##_t lo, uint##bits##_t src) \
	{                                                                                          \
		(void)lo;                                                                          \
		return src > hi;                                                                   \
	}
SOFT_WIDE_WIDTHS(DIV_FITS)

/* The quotient of magnitudes must not exceed @most, the largest magnitude of its sign. */
static SOFT_COLD bool magnitude_fits(uint128 dividend, uint64_t divisor, uint64_t most)
{
	uint64_t lo = (uint64_t)dividend, hi = (uint64_t)(dividend >> 64);

	if (hi >= divisor)
		return false;
	__asm__("divq %2" : "+a"(lo), "+d"(hi) : "r"(divisor) : "cc");
	return lo <= most;
}

static bool idiv_fits(int128 dividend, int64_t divisor, unsigned bits)
{
	bool is_negative = (dividend < 0) != (divisor < 0);
	uint64_t most = (1ull << (bits - 1)) - !is_negative;
	int128 half = (int128)1 << (bits - 1);

	if (divisor == 0)
		return false;
	/* The usual case: the dividend is a sign-extended single one. */
	if (dividend >= -half && dividend < half)
		return divisor != -1 || dividend != -half;
	return magnitude_fits(dividend < 0 ? -(uint128)dividend : (uint128)dividend,
			      divisor < 0 ? -(uint64_t)divisor : (uint64_t)divisor, most);
}

static bool idiv_fits_8(uint16_t pair, uint8_t src)
{
	return idiv_fits((int16_t)pair, (int8_t)src, 8);
}

#define IDIV_FITS(bits)                                                                            \
	SOFT_INLINE bool idiv_fits_##bits(uint##bits##_t hi, uint##bits##_t lo,                    \
					  uint##bits##_t src)                                      \
	{                                                                                          \
		uint128 dividend = (uint128)(int128)(int##bits##_t)hi << (bits) | lo;              \
		return idiv_fits((int128)dividend, (int##bits##_t)src, bits);                      \
	}
SOFT_WIDE_WIDTHS(IDIV_FITS)

#define ALWAYS_FITS(bits)                                                                          \
	SOFT_INLINE bool product_fits_##bits(uint##bits##_t hi, uint##bits##_t lo,                 \
					     uint##bits##_t src)                                   \
	{                                                                                          \
		(void)hi, (void)lo, (void)src;                                                     \
		return true;                                                                       \
	}
SOFT_WIDE_WIDTHS(ALWAYS_FITS)
SOFT_INLINE bool product_fits_8(uint16_t pair, uint8_t src)
{
	(void)pair, (void)src;
	return true;
}

static SOFT_COLD soft_ret divide_error(SOFT_ARGS)
{
	SOFT_SPILL();
	soft_raise(c, X86_EXC_DE);
}

/* One operand, the accumulator pair and flags.  @fits names the check. */
#define PAIR_OP(bits, name, fits)                                                                  \
	SOFT_OP(name##_##bits)                                                                     \
	{                                                                                          \
		uint##bits##_t lo = SOFT_GET(bits, RAX), hi = SOFT_GET(bits, RDX);                 \
		uint##bits##_t src = SOFT_GET(bits, i->src);                                       \
		uint32_t ax = NATIVE_AX();                                                         \
		if (SOFT_UNLIKELY(!fits##_##bits(hi, lo, src)))                                    \
			return divide_error(SOFT_PASS(i));                                         \
		native_##name##_##bits(&lo, &hi, src, &ax);                                        \
		SOFT_PUT(bits, RAX, lo);                                                           \
		SOFT_PUT(bits, RDX, hi);                                                           \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name##_nf_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t lo = SOFT_GET(bits, RAX), hi = SOFT_GET(bits, RDX);                 \
		uint##bits##_t src = SOFT_GET(bits, i->src);                                       \
		if (SOFT_UNLIKELY(!fits##_##bits(hi, lo, src)))                                    \
			return divide_error(SOFT_PASS(i));                                         \
		__asm__(#name " %2" : "+a"(lo), "+d"(hi) : "r"(src) : "cc");                       \
		SOFT_PUT(bits, RAX, lo);                                                           \
		SOFT_PUT(bits, RDX, hi);                                                           \
		SOFT_NEXT();                                                                       \
	}
#define PAIR_OP_8(name, fits)                                                                      \
	SOFT_OP(name##_8)                                                                          \
	{                                                                                          \
		uint16_t pair = SOFT_GET(16, RAX);                                                 \
		uint8_t src = SOFT_GET(8, i->src);                                                 \
		uint32_t ax = NATIVE_AX();                                                         \
		if (SOFT_UNLIKELY(!fits##_8(pair, src)))                                           \
			return divide_error(SOFT_PASS(i));                                         \
		native_##name##_8(&pair, src, &ax);                                                \
		SOFT_PUT(16, RAX, pair);                                                           \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
#define PAIR_OPS(name, fits)                                                                       \
	PAIR_OP_8(name, fits)                                                                      \
	SOFT_WIDE_WIDTHS(PAIR_OP, name, fits)
PAIR_OPS(mul, product_fits)
PAIR_OPS(imul, product_fits)
PAIR_OPS(div, div_fits)
PAIR_OPS(idiv, idiv_fits)

struct pair_op {
	uint16_t mnemonic;
	soft_op_fn *by_size[4], *quiet[4];
};
static const struct pair_op PAIR_TABLE[] = {
	{ZYDIS_MNEMONIC_MUL, SOFT_BY_WIDTH(mul), SOFT_BY_WIDE_WIDTH(mul_nf)},
	{ZYDIS_MNEMONIC_IMUL, SOFT_BY_WIDTH(imul), SOFT_BY_WIDE_WIDTH(imul_nf)},
	{ZYDIS_MNEMONIC_DIV, SOFT_BY_WIDTH(div), SOFT_BY_WIDE_WIDTH(div_nf)},
	{ZYDIS_MNEMONIC_IDIV, SOFT_BY_WIDTH(idiv), SOFT_BY_WIDE_WIDTH(idiv_nf)},
};

static bool emit_pair(struct tr *t)
{
	const struct pair_op *op = PAIR_TABLE;
	unsigned w = tr_width(t->op[0].size);
	uint8_t src = soft_emit_source(t, &t->op[0]);
	struct insn *i;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	i = tr_slot(t, op->by_size[w]);
	i->src = src;
	t->flag_slot = i;
	t->no_flags_fn = op->quiet[w];
	return true;
}

/* IMUL with two or three operands. */

#define IMUL(bits, form, first, second)                                                            \
	SOFT_OP(imul_##form##_##bits)                                                              \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		uint##bits##_t v = (first), b = (second);                                          \
		__asm__(NATIVE_FLAGS_IN "imul %2, %0" NATIVE_FLAGS_OUT                             \
			: "+r"(v), "+a"(ax)                                                        \
			: "r"(b)                                                                   \
			: "cc");                                                                   \
		SOFT_PUT(bits, i->dst, v);                                                         \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(imul_nf_##form##_##bits)                                                           \
	{                                                                                          \
		uint##bits##_t a = (first), b = (second);                                          \
		SOFT_PUT(bits, i->dst, (uint64_t)a *b);                                            \
		SOFT_NEXT();                                                                       \
	}
#define IMUL_FORMS(bits)                                                                           \
	IMUL(bits, rr, SOFT_GET(bits, i->dst), SOFT_GET(bits, i->src))                             \
	IMUL(bits, rri, SOFT_GET(bits, i->src), (uint##bits##_t)i->imm)
SOFT_WIDE_WIDTHS(IMUL_FORMS)

soft_op_fn *const soft_imul_quiet_rr[4] = SOFT_BY_WIDE_WIDTH(imul_nf_rr);
soft_op_fn *const soft_imul_quiet_rri[4] = SOFT_BY_WIDE_WIDTH(imul_nf_rri);

static bool emit_imul(struct tr *t)
{
	static soft_op_fn *const RR[2][4] = {SOFT_BY_WIDE_WIDTH(imul_rr),
					     SOFT_BY_WIDE_WIDTH(imul_nf_rr)};
	static soft_op_fn *const RRI[2][4] = {SOFT_BY_WIDE_WIDTH(imul_rri),
					      SOFT_BY_WIDE_WIDTH(imul_nf_rri)};
	bool has_imm = t->z->operand_count_visible == 3;
	unsigned w = tr_width(t->op[0].size);
	struct insn *i;
	uint8_t src;

	if (t->z->operand_count_visible == 1)
		return emit_pair(t);
	src = soft_emit_source(t, &t->op[1]);
	i = tr_slot(t, has_imm ? RRI[0][w] : RR[0][w]);
	i->dst = tr_reg(t->op[0].reg.value);
	i->src = src;
	if (has_imm)
		i->imm = t->op[2].imm.value.u;
	t->flag_slot = i;
	t->no_flags_fn = has_imm ? RRI[1][w] : RR[1][w];
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_MUL, 0, emit_pair},
	{ZYDIS_MNEMONIC_IMUL, 0, emit_imul},
	{ZYDIS_MNEMONIC_DIV, 0, emit_pair},
	{ZYDIS_MNEMONIC_IDIV, 0, emit_pair},
	{ZYDIS_MNEMONIC_AAA, ROW_NO64, soft_emit_decimal},
	{ZYDIS_MNEMONIC_AAS, ROW_NO64, soft_emit_decimal},
	{ZYDIS_MNEMONIC_AAM, ROW_NO64, soft_emit_decimal},
	{ZYDIS_MNEMONIC_AAD, ROW_NO64, soft_emit_decimal},
	{ZYDIS_MNEMONIC_DAA, ROW_NO64, soft_emit_decimal},
	{ZYDIS_MNEMONIC_DAS, ROW_NO64, soft_emit_decimal},
};
const struct soft_rows soft_rows_muldiv = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
