/* What the SSE and MMX files share: one struct simd_op describes a mnemonic, its emit function
 * picks the handler by the kinds of its operands.
 *
 *   exec_sse_table.c  thunks, descriptions and rows     exec_sse.c       handlers that run thunks
 *   exec_sse_move.c   moves, which need no thunk        exec_sse_text.c  PCMPxSTRx, BLENDV, MASKMOV
 *   exec_mmx.c        everything with an MMX operand
 *
 * Slots: dst and src of an xmm or mm operand are 16 times its number; imm = thunk. */
#ifndef SOFT_SIMD_H
#define SOFT_SIMD_H

#include "access.h"
#include "thunk.h"
#include "translate.h"

#include <string.h>

enum simd_kind {
	SIMD_XX, /* vector <- vector, vector or memory */
	SIMD_FX, /* flags <- vector, vector or memory */
	SIMD_RX, /* general register or memory <- vector */
	SIMD_XR	 /* vector <- vector, general register or memory */
};

enum simd_flag {
	SIMD_FP = 1 << 0,      /* may raise SIMD floating-point exceptions */
	SIMD_IMM = 1 << 1,     /* the last operand chooses among 256 thunks */
	SIMD_SCALE = 1 << 2,   /* a general register of 64 bits takes the wide thunk */
	SIMD_MM_HALF = 1 << 3, /* MMX: 4 bytes of memory, not 8 */
	SIMD_LOW_IMM = 1 << 4  /* INSERTPS: bits 7:6 of the immediate count for registers only */
};

struct simd_op {
	uint8_t kind;			 /* enum simd_kind */
	uint8_t bytes;			 /* of the memory operand; 16: aligned */
	uint8_t flags;			 /* mask of enum simd_flag */
	const uint8_t *xmm, *wide;	 /* thunks; wide: with a general register of 64 bits */
	const uint8_t *mm;		 /* MMX form, NULL = none */
	const uint8_t *shift, *mm_shift; /* forms whose second operand is an immediate */
};

#define SIMD_XMM(offset) (&c->xmm[0][0] + (offset))

bool simd_emit(struct tr *t, const struct simd_op *op);	    /* exec_sse.c */
bool simd_emit_mmx(struct tr *t, const struct simd_op *op); /* exec_mmx.c */
/* MOVD, MOVQ with an mm operand. */
bool simd_emit_mmx_move(struct tr *t);

/* An SSE instruction cannot run in this mode: #UD or #NM is emitted. */
bool simd_is_off(struct tr *t);
bool simd_is_off_mmx(struct tr *t);
/* A memory operand of 16 bytes has to be aligned: #GP(0). */
static inline void simd_check_aligned(struct soft_cpu *c, gva_t la)
{
	if (la & 15)
		soft_raise_error(c, X86_EXC_GP, 0);
}

static inline bool simd_is_mm(const ZydisDecodedOperand *op)
{
	return tr_is_reg(op) && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MMX;
}

static inline uint8_t simd_reg(const ZydisDecodedOperand *op)
{
	return (uint8_t)(ZydisRegisterGetId(op->reg.value) * 16);
}

/* The thunk of @op's immediate. */
static inline uint64_t simd_thunk(const uint8_t *thunk, uint64_t imm)
{
	return (uintptr_t)thunk + (imm & 0xff) * THUNK_STRIDE;
}

/* Memory operands of plain functions, @len 1 to 16 bytes. */
static inline void simd_load(struct soft_cpu *c, const struct insn *i, uint8_t buf[16],
			     unsigned len)
{
	memset(buf, 0, 16);
	if (len > 8)
		soft_load_bytes(c, soft_insn_address(c, i), buf, len);
	else
		le64_put(buf, soft_load(c, soft_insn_address(c, i), len));
}

/* Emit functions of the rows in exec_sse_table.c. */
bool simd_emit_movaps(struct tr *t);
bool simd_emit_movups(struct tr *t);
bool simd_emit_movss(struct tr *t);
bool simd_emit_movsd(struct tr *t);
bool simd_emit_movlps(struct tr *t);
bool simd_emit_movhps(struct tr *t);
bool simd_emit_movd(struct tr *t);
bool simd_emit_movq(struct tr *t);
bool simd_emit_movnti(struct tr *t);
bool simd_emit_blendv(struct tr *t, const struct simd_op *op);
bool simd_emit_text(struct tr *t, const struct simd_op *op, bool is_mask);
bool simd_emit_maskmov(struct tr *t);

/* exec_sse_text.c: MASKMOVQ too. */
void simd_emit_masked_address(struct tr *t, unsigned bytes); /* into SLOT_EA */
/* Store those bytes of @data whose mask byte has its top bit set. */
void simd_store_masked(struct soft_cpu *c, gva_t la, const uint8_t *data, const uint8_t *mask,
		       unsigned len);

#endif
