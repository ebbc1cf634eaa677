/* Locked read-modify-writes, each by one locked instruction of the host on the guest's bytes: ADD
 * .. BTC with LOCK, XCHG with memory, CMPXCHG, XADD, CMPXCHG8B, CMPXCHG16B. Inline assembly and not
 * the compiler's atomic builtins: those need natural alignment, which the guest does not owe, and
 * would not give the flags. Source: SDM 3A 8.1.2 (which instructions lock), 2A CMPXCHG, CMPXCHG8B;
 * 2B XADD, XCHG. */
#include "access.h"
#include "exec_int.h"

#include <string.h>

/* Run @statement with @p pointing to the operand's bytes: inside the body of a SOFT_MEM_OP. */
#define LOCKED(bits, address, statement)                                                           \
	do {                                                                                       \
		uint64_t la_ = (address);                                                          \
		const struct tlb_entry *e_ = soft_tlb_entry(c, la_);                               \
		uint64_t off_ = la_ ^ e_->wtag;                                                    \
		if (SOFT_LIKELY(off_ <= 4096 - (bits) / 8)) {                                      \
			soft_u##bits *p = (soft_u##bits *)(e_->host + off_);                       \
			statement;                                                                 \
		} else if (slow) {                                                                 \
			return slow(SOFT_PASS(i));                                                 \
		} else {                                                                           \
			struct soft_rmw rmw_;                                                      \
			soft_u##bits *p;                                                           \
			SOFT_SPILL();                                                              \
			soft_rmw_begin(c, la_, (bits) / 8, &rmw_);                                 \
			p = (soft_u##bits *)rmw_.bytes;                                            \
			statement;                                                                 \
			soft_rmw_end(c, &rmw_);                                                    \
		}                                                                                  \
	} while (0)

#define LOCK_WITH(bits, name, operand)                                                             \
	SOFT_MEM_OP(lock_##name##_##bits)                                                          \
	{                                                                                          \
		uint##bits##_t b = (uint##bits##_t)(operand);                                      \
		uint32_t ax = NATIVE_AX();                                                         \
		LOCKED(bits, SOFT_EA(),                                                            \
		       __asm__ volatile(NATIVE_FLAGS_IN "lock " #name " %2, %1" NATIVE_FLAGS_OUT   \
					: "+a"(ax), "+m"(*p)                                       \
					: "r"(b)                                                   \
					: "cc", "memory"));                                        \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
/* The second of two operands is the sum of a register, or none, and an immediate. */
#define LOCK_BINARY(bits, name) LOCK_WITH(bits, name, SOFT_GET(bits, i->src) + i->imm)
/* Bit tests: the host's would go far from the operand, so the offset is masked here. */
#define LOCK_BIT(bits, name) LOCK_WITH(bits, name, (SOFT_GET(bits, i->src) + i->imm) & ((bits)-1))
/* One operand; the mnemonic needs its suffix. */
#define LOCK_UNARY(bits, name)                                                                     \
	SOFT_MEM_OP(lock_##name##_##bits)                                                          \
	{                                                                                          \
		uint32_t ax = NATIVE_AX();                                                         \
		LOCKED(bits, SOFT_EA(),                                                            \
		       __asm__ volatile(NATIVE_FLAGS_IN "lock " #name SUFFIX_##bits                \
					" %1" NATIVE_FLAGS_OUT                                     \
					: "+a"(ax), "+m"(*p)                                       \
					:                                                          \
					: "cc", "memory"));                                        \
		FLAGS_SET_STATUS(native_status(ax));                                               \
		SOFT_NEXT();                                                                       \
	}
#define SUFFIX_8  "b"
#define SUFFIX_16 "w"
#define SUFFIX_32 "l"
#define SUFFIX_64 "q"
SOFT_WIDTHS(LOCK_BINARY, add)
SOFT_WIDTHS(LOCK_BINARY, or)
SOFT_WIDTHS(LOCK_BINARY, adc)
SOFT_WIDTHS(LOCK_BINARY, sbb)
SOFT_WIDTHS(LOCK_BINARY, and)
SOFT_WIDTHS(LOCK_BINARY, sub)
SOFT_WIDTHS(LOCK_BINARY, xor)
SOFT_WIDTHS(LOCK_UNARY, inc)
SOFT_WIDTHS(LOCK_UNARY, dec)
SOFT_WIDTHS(LOCK_UNARY, not )
SOFT_WIDTHS(LOCK_UNARY, neg)

SOFT_WIDE_WIDTHS(LOCK_BIT, bts)
SOFT_WIDE_WIDTHS(LOCK_BIT, btr)
SOFT_WIDE_WIDTHS(LOCK_BIT, btc)

struct lock_op {
	uint16_t mnemonic;
	bool is_bit;
	soft_op_fn *by_size[4];
};
static const struct lock_op LOCK_OPS[] = {
	{ZYDIS_MNEMONIC_ADD, false, SOFT_BY_WIDTH(lock_add)},
	{ZYDIS_MNEMONIC_OR, false, SOFT_BY_WIDTH(lock_or)},
	{ZYDIS_MNEMONIC_ADC, false, SOFT_BY_WIDTH(lock_adc)},
	{ZYDIS_MNEMONIC_SBB, false, SOFT_BY_WIDTH(lock_sbb)},
	{ZYDIS_MNEMONIC_AND, false, SOFT_BY_WIDTH(lock_and)},
	{ZYDIS_MNEMONIC_SUB, false, SOFT_BY_WIDTH(lock_sub)},
	{ZYDIS_MNEMONIC_XOR, false, SOFT_BY_WIDTH(lock_xor)},
	{ZYDIS_MNEMONIC_INC, false, SOFT_BY_WIDTH(lock_inc)},
	{ZYDIS_MNEMONIC_DEC, false, SOFT_BY_WIDTH(lock_dec)},
	{ZYDIS_MNEMONIC_NOT, false, SOFT_BY_WIDTH(lock_not)},
	{ZYDIS_MNEMONIC_NEG, false, SOFT_BY_WIDTH(lock_neg)},
	{ZYDIS_MNEMONIC_BTS, true, SOFT_BY_WIDE_WIDTH(lock_bts)},
	{ZYDIS_MNEMONIC_BTR, true, SOFT_BY_WIDE_WIDTH(lock_btr)},
	{ZYDIS_MNEMONIC_BTC, true, SOFT_BY_WIDE_WIDTH(lock_btc)},
};

bool soft_emit_locked(struct tr *t)
{
	const ZydisDecodedOperand *dst = &t->op[0], *src = &t->op[1];
	const struct lock_op *op = LOCK_OPS;
	unsigned w = tr_width(dst->size);
	bool has_src = t->z->operand_count_visible == 2;
	struct insn *i;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	if (op->is_bit && tr_is_reg(src)) {
		uint8_t address = soft_emit_bit_address(t, true);

		i = tr_slot(t, op->by_size[w]);
		i->base = address;
		i->seg_len = (uint8_t)(soft_mem_segment(dst) << 4 | SOFT_LEN_OF(i));
	} else {
		i = tr_slot_mem(t, op->by_size[w], dst, dst->size / 8, true);
	}
	i->src = has_src && tr_is_reg(src) ? tr_reg(src->reg.value) : TR_SLOT_OFFSET(SLOT_ZERO);
	i->imm = has_src && tr_is_imm(src) ? src->imm.value.u : 0;
	return true;
}

/* XCHG and XADD. */

#define XCHG_XADD(bits)                                                                            \
	SOFT_MEM_OP(xchg_m_##bits)                                                                 \
	{                                                                                          \
		uint##bits##_t v = SOFT_GET(bits, i->src);                                         \
		LOCKED(bits, SOFT_EA(),                                                            \
		       __asm__ volatile("xchg %0, %1"                                              \
					: "+r"(v), "+m"(*p)                                        \
					:                                                          \
					: "memory"));                                              \
		SOFT_PUT(bits, i->src, v);                                                         \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(xadd_m_##bits)                                                                 \
	{                                                                                          \
		uint##bits##_t b = SOFT_GET(bits, i->src), old = b;                                \
		LOCKED(bits, SOFT_EA(),                                                            \
		       __asm__ volatile("lock xadd %0, %1"                                         \
					: "+r"(old), "+m"(*p)                                      \
					:                                                          \
					: "cc", "memory"));                                        \
		SOFT_PUT(bits, i->src, old);                                                       \
		FLAGS_SET(FLAGS_ADD, bits, old + b, b);                                            \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(xadd_r_##bits)                                                                     \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = SOFT_GET(bits, i->src);             \
		SOFT_PUT(bits, i->src, a);                                                         \
		SOFT_PUT(bits, i->dst, a + b);                                                     \
		FLAGS_SET(FLAGS_ADD, bits, a + b, b);                                              \
		SOFT_NEXT();                                                                       \
	}
SOFT_WIDTHS(XCHG_XADD)

/* Memory may be either operand of XCHG. */
bool soft_emit_xchg_mem(struct tr *t)
{
	static soft_op_fn *const BY_SIZE[4] = SOFT_BY_WIDTH(xchg_m);
	const ZydisDecodedOperand *mem = &t->op[tr_is_mem(&t->op[0]) ? 0 : 1];
	const ZydisDecodedOperand *reg = &t->op[tr_is_mem(&t->op[0]) ? 1 : 0];
	struct insn *i = tr_slot_mem(t, BY_SIZE[tr_width(mem->size)], mem, mem->size / 8, true);

	i->src = tr_reg(reg->reg.value);
	return true;
}

/* Two-operand instructions with a destination of either kind. */
static bool emit_either(struct tr *t, soft_op_fn *const r[4], soft_op_fn *const m[4])
{
	const ZydisDecodedOperand *dst = &t->op[0];
	unsigned w = tr_width(dst->size);
	struct insn *i;

	if (tr_is_mem(dst)) {
		i = tr_slot_mem(t, m[w], dst, dst->size / 8, true);
	} else {
		i = tr_slot(t, r[w]);
		i->dst = tr_reg(dst->reg.value);
	}
	i->src = tr_reg(t->op[1].reg.value);
	return true;
}

static bool emit_xadd(struct tr *t)
{
	static soft_op_fn *const R[4] = SOFT_BY_WIDTH(xadd_r);
	static soft_op_fn *const M[4] = SOFT_BY_WIDTH(xadd_m);

	return emit_either(t, R, M);
}

/* CMPXCHG.  Memory is written in any case.  A 32-bit accumulator is written, and so loses its upper
 * half, only when the values differ; which half of a register destination survives is the host's
 * business, so that form works on whole registers. */

#define CMPXCHG(bits, modifier)                                                                    \
	SOFT_MEM_OP(cmpxchg_m_##bits)                                                              \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, TR_SLOT_OFFSET(X86_RAX)), old = a;               \
		uint##bits##_t v = SOFT_GET(bits, i->src);                                         \
		LOCKED(bits, SOFT_EA(),                                                            \
		       __asm__ volatile("lock cmpxchg %2, %1"                                      \
					: "+a"(old), "+m"(*p)                                      \
					: "r"(v)                                                   \
					: "cc", "memory"));                                        \
		if (old != a)                                                                      \
			SOFT_PUT(bits, TR_SLOT_OFFSET(X86_RAX), old);                              \
		FLAGS_SET(FLAGS_SUB, bits, a - old, old);                                          \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(cmpxchg_r_##bits)                                                                  \
	{                                                                                          \
		uint##bits##_t a = SOFT_GET(bits, TR_SLOT_OFFSET(X86_RAX));                        \
		uint##bits##_t old = SOFT_GET(bits, i->dst);                                       \
		uint64_t accumulator = c->r[X86_RAX], dst = WHOLE_##bits(i->dst);                  \
		__asm__("cmpxchg %" modifier "2, %" modifier "0"                                   \
			: "+r"(dst), "+a"(accumulator)                                             \
			: "r"(SOFT_GET(64, i->src & ~7) >> (i->src & 7) * 8)                       \
			: "cc");                                                                   \
		c->r[X86_RAX] = accumulator;                                                       \
		PUT_WHOLE_##bits(i->dst, dst);                                                     \
		FLAGS_SET(FLAGS_SUB, bits, a - old, old);                                          \
		SOFT_NEXT();                                                                       \
	}
/* AH to BH have no whole register of their own. */
#define WHOLE_8(offset)		SOFT_GET(8, offset)
#define WHOLE_16(offset)	SOFT_GET(64, offset)
#define WHOLE_32(offset)	SOFT_GET(64, offset)
#define WHOLE_64(offset)	SOFT_GET(64, offset)
#define PUT_WHOLE_8(offset, v)	SOFT_PUT(8, offset, v)
#define PUT_WHOLE_16(offset, v) SOFT_PUT(64, offset, v)
#define PUT_WHOLE_32(offset, v) SOFT_PUT(64, offset, v)
#define PUT_WHOLE_64(offset, v) SOFT_PUT(64, offset, v)
CMPXCHG(8, "b")
CMPXCHG(16, "w")
CMPXCHG(32, "k")
CMPXCHG(64, "q")

static bool emit_cmpxchg(struct tr *t)
{
	static soft_op_fn *const R[4] = SOFT_BY_WIDTH(cmpxchg_r);
	static soft_op_fn *const M[4] = SOFT_BY_WIDTH(cmpxchg_m);

	return emit_either(t, R, M);
}

/* CMPXCHG8B and CMPXCHG16B change ZF alone. */

static void set_zf(struct soft_cpu *c, bool zf)
{
	soft_set_status(c, (soft_status(c) & ~X86_RFLAGS_ZF) | (zf ? X86_RFLAGS_ZF : 0));
}

static void exec_cmpxchg8b(struct soft_cpu *c, const struct insn *i)
{
	uint64_t expected = c->r[X86_RDX] << 32 | soft_reg32(c, X86_RAX), old = expected;
	uint64_t v = c->r[X86_RCX] << 32 | soft_reg32(c, X86_RBX);
	struct soft_rmw rmw;

	soft_rmw_begin(c, soft_insn_address(c, i), 8, &rmw);
	__asm__ volatile("lock cmpxchgq %2, %1"
			 : "+a"(old), "+m"(*(soft_u64 *)rmw.bytes)
			 : "r"(v)
			 : "cc", "memory");
	soft_rmw_end(c, &rmw);
	set_zf(c, old == expected);
	if (old == expected)
		return;
	soft_set_reg32(c, X86_RAX, (uint32_t)old);
	soft_set_reg32(c, X86_RDX, (uint32_t)(old >> 32));
}
SOFT_PLAIN(exec_cmpxchg8b)

/* @bytes are aligned, or a copy that nobody else sees. */
static bool compare_exchange16(struct soft_cpu *c, uint8_t *bytes, bool is_copy, uint64_t old[2])
{
	bool is_equal;

	if (is_copy) {
		memcpy(old, bytes, 16);
		is_equal = old[0] == c->r[X86_RAX] && old[1] == c->r[X86_RDX];
		if (is_equal)
			memcpy(bytes, (uint64_t[2]){c->r[X86_RBX], c->r[X86_RCX]}, 16);
		return is_equal;
	}
	old[0] = c->r[X86_RAX];
	old[1] = c->r[X86_RDX];
	__asm__ volatile("lock cmpxchg16b %1\n\tsete %0"
			 : "=q"(is_equal), "+m"(*(uint8_t(*)[16])bytes), "+a"(old[0]), "+d"(old[1])
			 : "b"(c->r[X86_RBX]), "c"(c->r[X86_RCX])
			 : "cc", "memory");
	return is_equal;
}

static void exec_cmpxchg16b(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	struct soft_rmw rmw;
	uint64_t old[2];
	bool is_equal;

	if (la & 15)
		soft_raise_error(c, X86_EXC_GP, 0);
	soft_rmw_begin(c, la, 16, &rmw);
	is_equal = compare_exchange16(c, rmw.bytes, rmw.is_copy, old);
	soft_rmw_end(c, &rmw);
	set_zf(c, is_equal);
	if (is_equal)
		return;
	c->r[X86_RAX] = old[0];
	c->r[X86_RDX] = old[1];
}
SOFT_PLAIN(exec_cmpxchg16b)

static bool emit_cmpxchg8b(struct tr *t)
{
	tr_slot_mem(t, op_exec_cmpxchg8b, &t->op[0], 8, true);
	return true;
}

static bool emit_cmpxchg16b(struct tr *t)
{
	tr_slot_mem(t, op_exec_cmpxchg16b, &t->op[0], 16, true);
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_XADD, ROW_LOCK, emit_xadd},
	{ZYDIS_MNEMONIC_CMPXCHG, ROW_LOCK, emit_cmpxchg},
	{ZYDIS_MNEMONIC_CMPXCHG8B, ROW_LOCK, emit_cmpxchg8b},
	{ZYDIS_MNEMONIC_CMPXCHG16B, ROW_LOCK, emit_cmpxchg16b},
};
const struct soft_rows soft_rows_lock = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
