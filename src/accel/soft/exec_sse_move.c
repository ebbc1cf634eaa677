/* SSE moves.  They need no thunk: bytes are copied.  Registers are read and written whole, so that
 * the host forwards a store to the load of the next instruction.
 * Non-temporal moves are plain ones: the hint concerns caches, and fences order them anyway.
 * This file must not use floating point. */
#include "access.h"
#include "simd.h"

#include <emmintrin.h>

SOFT_INLINE __m128i get(const struct soft_cpu *c, uint8_t offset)
{
	return _mm_loadu_si128((const __m128i_u *)SIMD_XMM(offset));
}

SOFT_INLINE void put(struct soft_cpu *c, uint8_t offset, __m128i v)
{
	_mm_storeu_si128((__m128i_u *)SIMD_XMM(offset), v);
}

#define LOW(offset)  (*(const soft_u64 *)SIMD_XMM(offset))
#define HIGH(offset) (*(const soft_u64 *)(SIMD_XMM(offset) + 8))

/* @low of @a replaced by that of @b. */
SOFT_INLINE __m128i merge64(__m128i a, __m128i b)
{
	return _mm_castpd_si128(_mm_move_sd(_mm_castsi128_pd(a), _mm_castsi128_pd(b)));
}

SOFT_INLINE __m128i merge32(__m128i a, __m128i b)
{
	return _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(a), _mm_castsi128_ps(b)));
}

SOFT_INLINE __m128i from64(uint64_t v)
{
	return _mm_cvtsi64_si128((long long)v);
}

/* 16 bytes. */

SOFT_OP(mov_reg)
{
	put(c, i->dst, get(c, i->src));
	SOFT_NEXT();
}

/* An operand of 16 bytes: its entry of the micro-TLB and its offset there.  @mask 15 below:
 * aligned. */
#define OPERAND_16(tag)                                                                            \
	uint64_t la = SOFT_EA();                                                                   \
	const struct tlb_entry *e = soft_tlb_entry(c, la);                                         \
	uint64_t off = la ^ e->tag

#define MOVE_16(name, mask)                                                                        \
	static void slow_load_##name(struct soft_cpu *c, const struct insn *i)                     \
	{                                                                                          \
		uint8_t bytes[16];                                                                 \
		if (mask)                                                                          \
			simd_check_aligned(c, soft_insn_address(c, i));                            \
		simd_load(c, i, bytes, 16);                                                        \
		memcpy(SIMD_XMM(i->dst), bytes, 16);                                               \
	}                                                                                          \
	SOFT_COLD SOFT_PLAIN(slow_load_##name) static void slow_store_##name(struct soft_cpu *c,   \
									     const struct insn *i) \
	{                                                                                          \
		if (mask)                                                                          \
			simd_check_aligned(c, soft_insn_address(c, i));                            \
		soft_store_bytes(c, soft_insn_address(c, i), SIMD_XMM(i->src), 16);                \
	}                                                                                          \
	SOFT_COLD SOFT_PLAIN(slow_store_##name) SOFT_OP(load_##name)                               \
	{                                                                                          \
		OPERAND_16(rtag);                                                                  \
		if (SOFT_UNLIKELY(off > 4096 - 16 || (off & (mask))))                              \
			return op_slow_load_##name(SOFT_PASS(i));                                  \
		put(c, i->dst, _mm_loadu_si128((const __m128i_u *)(e->host + off)));               \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(store_##name)                                                                      \
	{                                                                                          \
		OPERAND_16(wtag);                                                                  \
		if (SOFT_UNLIKELY(off > 4096 - 16 || (off & (mask))))                              \
			return op_slow_store_##name(SOFT_PASS(i));                                 \
		_mm_storeu_si128((__m128i_u *)(e->host + off), get(c, i->src));                    \
		SOFT_NEXT();                                                                       \
	}
MOVE_16(aligned, 15)
MOVE_16(any, 0)

/* 4 and 8 bytes. */

SOFT_OP(mov_low32)
{
	put(c, i->dst, merge32(get(c, i->dst), get(c, i->src)));
	SOFT_NEXT();
}

SOFT_OP(mov_low64)
{
	put(c, i->dst, merge64(get(c, i->dst), get(c, i->src)));
	SOFT_NEXT();
}

/* MOVHLPS and MOVLHPS. */
SOFT_OP(mov_high_to_low)
{
	put(c, i->dst, merge64(get(c, i->dst), from64(HIGH(i->src))));
	SOFT_NEXT();
}

SOFT_OP(mov_low_to_high)
{
	put(c, i->dst, _mm_unpacklo_epi64(get(c, i->dst), get(c, i->src)));
	SOFT_NEXT();
}

/* MOVQ between registers clears the upper half. */
SOFT_OP(mov_quad)
{
	put(c, i->dst, _mm_move_epi64(get(c, i->src)));
	SOFT_NEXT();
}

SOFT_MEM_OP(load_32)
{
	uint32_t v;

	SOFT_LOAD(32, v, SOFT_EA());
	put(c, i->dst, _mm_cvtsi32_si128((int)v));
	SOFT_NEXT();
}

SOFT_MEM_OP(load_64)
{
	uint64_t v;

	SOFT_LOAD(64, v, SOFT_EA());
	put(c, i->dst, from64(v));
	SOFT_NEXT();
}

SOFT_MEM_OP(load_low)
{
	uint64_t v;

	SOFT_LOAD(64, v, SOFT_EA());
	put(c, i->dst, merge64(get(c, i->dst), from64(v)));
	SOFT_NEXT();
}

SOFT_MEM_OP(load_high)
{
	uint64_t v;

	SOFT_LOAD(64, v, SOFT_EA());
	put(c, i->dst, _mm_unpacklo_epi64(get(c, i->dst), from64(v)));
	SOFT_NEXT();
}

SOFT_MEM_OP(store_32)
{
	SOFT_STORE(32, SOFT_EA(), LOW(i->src));
	SOFT_NEXT();
}

SOFT_MEM_OP(store_64)
{
	SOFT_STORE(64, SOFT_EA(), LOW(i->src));
	SOFT_NEXT();
}

SOFT_MEM_OP(store_high)
{
	SOFT_STORE(64, SOFT_EA(), HIGH(i->src));
	SOFT_NEXT();
}

/* General registers. */

SOFT_OP(from_reg32)
{
	put(c, i->dst, from64(SOFT_GET(32, i->src)));
	SOFT_NEXT();
}

SOFT_OP(from_reg64)
{
	put(c, i->dst, from64(SOFT_GET(64, i->src)));
	SOFT_NEXT();
}

SOFT_OP(to_reg32)
{
	SOFT_PUT(32, i->dst, LOW(i->src));
	SOFT_NEXT();
}

SOFT_OP(to_reg64)
{
	SOFT_PUT(64, i->dst, LOW(i->src));
	SOFT_NEXT();
}

/* MOVNTI. */
SOFT_MEM_OP(store_reg32)
{
	SOFT_STORE(32, SOFT_EA(), SOFT_GET(32, i->src));
	SOFT_NEXT();
}

SOFT_MEM_OP(store_reg64)
{
	SOFT_STORE(64, SOFT_EA(), SOFT_GET(64, i->src));
	SOFT_NEXT();
}

/* Translation. */

/* Handlers of one mnemonic: between registers, from memory, to memory. */
struct move {
	soft_op_fn *reg, *load, *store;
	unsigned bytes;
};

static bool emit_move(struct tr *t, const struct move *m)
{
	struct insn *i;

	if (simd_is_off(t))
		return true;
	if (tr_is_mem(&t->op[0])) {
		i = tr_slot_mem(t, m->store, &t->op[0], m->bytes, true);
		i->src = simd_reg(&t->op[1]);
	} else if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, m->load, &t->op[1], m->bytes, false);
		i->dst = simd_reg(&t->op[0]);
	} else {
		i = tr_slot(t, m->reg);
		i->dst = simd_reg(&t->op[0]);
		i->src = simd_reg(&t->op[1]);
	}
	return true;
}

bool simd_emit_movaps(struct tr *t)
{
	return emit_move(t, &(struct move){mov_reg, load_aligned, store_aligned, 16});
}

bool simd_emit_movups(struct tr *t)
{
	return emit_move(t, &(struct move){mov_reg, load_any, store_any, 16});
}

bool simd_emit_movss(struct tr *t)
{
	return emit_move(t, &(struct move){mov_low32, load_32, store_32, 4});
}

bool simd_emit_movsd(struct tr *t)
{
	return emit_move(t, &(struct move){mov_low64, load_64, store_64, 8});
}

bool simd_emit_movlps(struct tr *t)
{
	return emit_move(t, &(struct move){mov_high_to_low, load_low, store_64, 8});
}

bool simd_emit_movhps(struct tr *t)
{
	return emit_move(t, &(struct move){mov_low_to_high, load_high, store_high, 8});
}

static bool is_general(const ZydisDecodedOperand *op)
{
	return tr_is_reg(op) && ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_XMM;
}

/* With a general register; @is_wide: of 64 bits. */
static bool emit_general(struct tr *t, bool is_wide)
{
	struct insn *i;

	if (simd_is_off(t))
		return true;
	if (is_general(&t->op[0])) {
		i = tr_slot(t, is_wide ? to_reg64 : to_reg32);
		i->dst = tr_reg(t->op[0].reg.value);
		i->src = simd_reg(&t->op[1]);
	} else {
		i = tr_slot(t, is_wide ? from_reg64 : from_reg32);
		i->dst = simd_reg(&t->op[0]);
		i->src = tr_reg(t->op[1].reg.value);
	}
	return true;
}

bool simd_emit_movd(struct tr *t)
{
	if (simd_is_mm(&t->op[0]) || simd_is_mm(&t->op[1]))
		return simd_emit_mmx_move(t);
	if (is_general(&t->op[0]) || is_general(&t->op[1]))
		return emit_general(t, false);
	return emit_move(t, &(struct move){NULL, load_32, store_32, 4});
}

bool simd_emit_movq(struct tr *t)
{
	if (simd_is_mm(&t->op[0]) || simd_is_mm(&t->op[1]))
		return simd_emit_mmx_move(t);
	if (is_general(&t->op[0]) || is_general(&t->op[1]))
		return emit_general(t, true);
	return emit_move(t, &(struct move){mov_quad, load_64, store_64, 8});
}

/* It moves a general register, so CR0.EM and TS do not matter. */
bool simd_emit_movnti(struct tr *t)
{
	bool is_wide = t->op[1].size == 64;
	struct insn *i = tr_slot_mem(t, is_wide ? store_reg64 : store_reg32, &t->op[0],
				     is_wide ? 8 : 4, true);

	i->src = tr_reg(t->op[1].reg.value);
	return true;
}
