/* MMX instructions, and conversions between MMX and SSE.
 *
 * They work on the image of the x87 state, one thunk on mm0 and mm1 each: the host's x87 unit is
 * free then, so a register number need not be part of the code.  A guest that mixes MMX and x87
 * pays for moving the state; one that does not pays nothing.
 * Every one of them makes all registers valid and TOP 0, EMMS all of them empty (SDM 3A 12.2).
 * This file must not use floating point. */
#include "access.h"
#include "fpu.h"
#include "simd.h"

#define FSW_TOP	    0x3800u
#define ALL_VALID   0xff
#define MM(dst)	    ((dst) / 16u)
#define MM_EXPONENT 0xffffu /* what a register that was written holds above its 64 bits */

/* The image is current and no exception is pending. */
static void mmx_begin(struct soft_cpu *c)
{
	soft_x87_wait(c);
	soft_x87_unload(c);
}

static uint64_t mmx_get(const struct soft_cpu *c, unsigned reg)
{
	return le64_get(c->x87 + fx_physical(c->x87, reg));
}

/* What every instruction does to the x87 state; when nothing can raise any more. */
static void mmx_enter(struct soft_cpu *c)
{
	uint16_t fsw = le16_get(c->x87 + FX_FSW);

	if (fsw & FSW_TOP)
		soft_x87_set_fsw(c, (uint16_t)(fsw & ~FSW_TOP));
	c->x87[FX_FTW] = ALL_VALID;
}

static void mmx_put(struct soft_cpu *c, unsigned reg, uint64_t v)
{
	uint8_t *st = c->x87 + FX_ST + (size_t)16 * reg;

	mmx_enter(c);
	le64_put(st, v);
	le16_put(st + 8, MM_EXPONENT);
}

/* mm <- mm, mm or memory. */

static void mmx_xx(struct soft_cpu *c, const struct insn *i, uint64_t source)
{
	struct thunk_call call = {.m0 = mmx_get(c, MM(i->dst)), .m1 = source};

	thunk_run_mmx(i->imm, &call);
	mmx_put(c, MM(i->dst), call.m0);
}

static void mmx_reg(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_xx(c, i, mmx_get(c, MM(i->src)));
}
SOFT_PLAIN(mmx_reg)

/* src = bytes of memory. */
static void mmx_mem(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_xx(c, i, soft_load(c, soft_insn_address(c, i), i->src));
}
SOFT_PLAIN(mmx_mem)

/* General register <- mm: PMOVMSKB, PEXTRW. */
static void mmx_to_general(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	mmx_begin(c);
	call.m1 = mmx_get(c, MM(i->src));
	thunk_run_mmx(i->imm, &call);
	mmx_enter(c);
	c->r[i->dst / 8] = call.rax;
}
SOFT_PLAIN(mmx_to_general)

/* mm <- mm, general register or memory: PINSRW. */

static void mmx_insert(struct soft_cpu *c, const struct insn *i, uint64_t source)
{
	struct thunk_call call = {.m0 = mmx_get(c, MM(i->dst)), .rax = source};

	thunk_run_mmx(i->imm, &call);
	mmx_put(c, MM(i->dst), call.m0);
}

static void mmx_insert_reg(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_insert(c, i, c->r[i->src / 8]);
}
SOFT_PLAIN(mmx_insert_reg)

static void mmx_insert_mem(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_insert(c, i, soft_load(c, soft_insn_address(c, i), 2));
}
SOFT_PLAIN(mmx_insert_mem)

/* Moves.  imm = bytes, 4 or 8. */

static uint64_t low_bytes(uint64_t v, uint64_t bytes)
{
	return bytes == 4 ? (uint32_t)v : v;
}

static void mmx_move_reg(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_put(c, MM(i->dst), mmx_get(c, MM(i->src)));
}
SOFT_PLAIN(mmx_move_reg)

static void mmx_move_load(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_put(c, MM(i->dst), soft_load(c, soft_insn_address(c, i), (unsigned)i->imm));
}
SOFT_PLAIN(mmx_move_load)

static void mmx_move_store(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	soft_store(c, soft_insn_address(c, i), (unsigned)i->imm, mmx_get(c, MM(i->src)));
	mmx_enter(c);
}
SOFT_PLAIN(mmx_move_store)

static void mmx_move_from_general(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_put(c, MM(i->dst), low_bytes(c->r[i->src / 8], i->imm));
}
SOFT_PLAIN(mmx_move_from_general)

static void mmx_move_to_general(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v;

	mmx_begin(c);
	v = mmx_get(c, MM(i->src));
	mmx_enter(c);
	c->r[i->dst / 8] = low_bytes(v, i->imm);
}
SOFT_PLAIN(mmx_move_to_general)

static void mmx_movq2dq(struct soft_cpu *c, const struct insn *i)
{
	uint64_t v;

	mmx_begin(c);
	v = mmx_get(c, MM(i->src));
	mmx_enter(c);
	le64_put(SIMD_XMM(i->dst), v);
	le64_put(SIMD_XMM(i->dst) + 8, 0);
}
SOFT_PLAIN(mmx_movq2dq)

static void mmx_movdq2q(struct soft_cpu *c, const struct insn *i)
{
	mmx_begin(c);
	mmx_put(c, MM(i->dst), le64_get(SIMD_XMM(i->src)));
}
SOFT_PLAIN(mmx_movdq2q)

static void mmx_maskmovq(struct soft_cpu *c, const struct insn *i)
{
	uint8_t data[8], mask[8];

	mmx_begin(c);
	le64_put(data, mmx_get(c, MM(i->dst)));
	le64_put(mask, mmx_get(c, MM(i->src)));
	simd_store_masked(c, c->r[SLOT_EA], data, mask, sizeof(data));
	mmx_enter(c);
}
SOFT_PLAIN(mmx_maskmovq)

static void mmx_emms(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	mmx_begin(c);
	mmx_enter(c);
	c->x87[FX_FTW] = 0;
}
SOFT_PLAIN(mmx_emms)

/* Conversions.  Checked always: they are rare.  The x87 state changes also when they raise #XM. */

static void mmx_to_xmm(struct soft_cpu *c, const struct insn *i, uint64_t source)
{
	struct thunk_call call = {.m1 = source};

	memcpy(call.x0, SIMD_XMM(i->dst), 16);
	thunk_run_fp(c, i->imm, &call, true);
	memcpy(SIMD_XMM(i->dst), call.x0, 16);
}

static void mmx_to_xmm_reg(struct soft_cpu *c, const struct insn *i)
{
	uint64_t source;

	mmx_begin(c);
	source = mmx_get(c, MM(i->src));
	mmx_enter(c);
	mmx_to_xmm(c, i, source);
}
SOFT_PLAIN(mmx_to_xmm_reg)

/* With a memory operand no MMX register is used, and the x87 state stays as it is.  (SDM 2A says so
 * of CVTPI2PD only, processors differ.) */
static void mmx_to_xmm_mem(struct soft_cpu *c, const struct insn *i)
{
	uint64_t source = soft_load(c, soft_insn_address(c, i), 8);

	soft_x87_unload(c);
	mmx_to_xmm(c, i, source);
}
SOFT_PLAIN(mmx_to_xmm_mem)

static void mmx_from_xmm(struct soft_cpu *c, const struct insn *i, struct thunk_call *call)
{
	mmx_enter(c);
	thunk_run_fp(c, i->imm, call, true);
	mmx_put(c, MM(i->dst), call->m0);
}

static void mmx_from_xmm_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	mmx_begin(c);
	memcpy(call.x1, SIMD_XMM(i->src), 16);
	mmx_from_xmm(c, i, &call);
}
SOFT_PLAIN(mmx_from_xmm_reg)

/* src = bytes of memory: 8, or 16 aligned. */
static void mmx_from_xmm_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	mmx_begin(c);
	if (i->src == 16)
		simd_check_aligned(c, soft_insn_address(c, i));
	simd_load(c, i, call.x1, i->src);
	mmx_from_xmm(c, i, &call);
}
SOFT_PLAIN(mmx_from_xmm_mem)

/* Translation. */

static void mmx_is_off(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	soft_raise(c, c->cr0 & X86_CR0_EM ? X86_EXC_UD : X86_EXC_NM);
}
SOFT_PLAIN_END(mmx_is_off)

bool simd_is_off_mmx(struct tr *t)
{
	if (!(t->mode & SOFT_X87_NM))
		return false;
	tr_slot(t, op_mmx_is_off);
	t->is_end = true;
	return true;
}

static struct insn *emit_registers(struct tr *t, soft_op_fn *fn, uint8_t dst, uint8_t src)
{
	struct insn *i = tr_slot(t, fn);

	i->dst = dst;
	i->src = src;
	return i;
}

/* Thunk of the mm form, by the immediate where there is one. */
static uint64_t thunk_of(const struct tr *t, const struct simd_op *op)
{
	if (!(op->flags & SIMD_IMM))
		return (uintptr_t)op->mm;
	return simd_thunk(op->mm, t->op[t->z->operand_count_visible - 1].imm.value.u);
}

static void emit_vector(struct tr *t, const struct simd_op *op)
{
	unsigned bytes = op->flags & SIMD_MM_HALF ? 4 : 8;
	uint8_t dst = simd_reg(&t->op[0]);
	struct insn *i;

	if (tr_is_imm(&t->op[1])) {
		i = emit_registers(t, op_mmx_reg, dst, dst);
		i->imm = simd_thunk(op->mm_shift, t->op[1].imm.value.u);
		return;
	}
	if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, op_mmx_mem, &t->op[1], bytes, false);
		i->dst = dst;
		i->src = (uint8_t)bytes;
	} else {
		i = emit_registers(t, op_mmx_reg, dst, simd_reg(&t->op[1]));
	}
	i->imm = thunk_of(t, op);
}

static void emit_insert(struct tr *t, const struct simd_op *op)
{
	uint8_t dst = simd_reg(&t->op[0]);
	struct insn *i;

	if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, op_mmx_insert_mem, &t->op[1], 2, false);
		i->dst = dst;
	} else {
		i = emit_registers(t, op_mmx_insert_reg, dst, tr_reg(t->op[1].reg.value));
	}
	i->imm = thunk_of(t, op);
}

bool simd_emit_mmx(struct tr *t, const struct simd_op *op)
{
	if (simd_is_off_mmx(t))
		return true;
	switch ((enum simd_kind)op->kind) {
	case SIMD_XX:
		emit_vector(t, op);
		return true;
	case SIMD_XR:
		emit_insert(t, op);
		return true;
	case SIMD_RX:
		emit_registers(t, op_mmx_to_general, tr_reg(t->op[0].reg.value),
			       simd_reg(&t->op[1]))
			->imm = thunk_of(t, op);
		return true;
	case SIMD_FX:
		return false;
	}
	return false;
}

bool simd_emit_mmx_move(struct tr *t)
{
	const ZydisDecodedOperand *dst = &t->op[0], *src = &t->op[1];
	unsigned bytes = t->z->mnemonic == ZYDIS_MNEMONIC_MOVD ? 4 : 8;
	struct insn *i;

	if (simd_is_off_mmx(t))
		return true;
	if (tr_is_mem(dst)) {
		i = tr_slot_mem(t, op_mmx_move_store, dst, bytes, true);
		i->src = simd_reg(src);
	} else if (tr_is_mem(src)) {
		i = tr_slot_mem(t, op_mmx_move_load, src, bytes, false);
		i->dst = simd_reg(dst);
	} else if (!simd_is_mm(dst)) {
		i = emit_registers(t, op_mmx_move_to_general, tr_reg(dst->reg.value),
				   simd_reg(src));
	} else if (!simd_is_mm(src)) {
		i = emit_registers(t, op_mmx_move_from_general, simd_reg(dst),
				   tr_reg(src->reg.value));
	} else {
		i = emit_registers(t, op_mmx_move_reg, simd_reg(dst), simd_reg(src));
	}
	i->imm = bytes;
	return true;
}

static bool emit_movq2dq(struct tr *t)
{
	emit_registers(t, op_mmx_movq2dq, simd_reg(&t->op[0]), simd_reg(&t->op[1]));
	return true;
}

static bool emit_movdq2q(struct tr *t)
{
	emit_registers(t, op_mmx_movdq2q, simd_reg(&t->op[0]), simd_reg(&t->op[1]));
	return true;
}

static bool emit_maskmovq(struct tr *t)
{
	simd_emit_masked_address(t, 8);
	emit_registers(t, op_mmx_maskmovq, simd_reg(&t->op[0]), simd_reg(&t->op[1]));
	return true;
}

static bool emit_emms(struct tr *t)
{
	tr_slot(t, op_mmx_emms);
	return true;
}

/* A conversion between mm and xmm. */
static bool emit_convert(struct tr *t, soft_op_fn *reg, soft_op_fn *mem, const uint8_t *thunk)
{
	unsigned bytes = t->op[1].size / 8u;
	struct insn *i;

	if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, mem, &t->op[1], bytes, false);
		i->dst = simd_reg(&t->op[0]);
		i->src = (uint8_t)bytes;
	} else {
		i = emit_registers(t, reg, simd_reg(&t->op[0]), simd_reg(&t->op[1]));
	}
	i->imm = (uintptr_t)thunk;
	return true;
}

#define CONVERT(name, operands, direction)                                                         \
	__asm__(".pushsection .text\nsoft_thunk_" #name ":\n" #name " " operands                   \
		"\nret\n.popsection\n");                                                           \
	extern const uint8_t name##_code[] __asm__("soft_thunk_" #name)                            \
		__attribute__((visibility("hidden")));                                             \
	static bool emit_##name(struct tr *t)                                                      \
	{                                                                                          \
		return emit_convert(t, op_mmx_##direction##_reg, op_mmx_##direction##_mem,         \
				    name##_code);                                                  \
	}
CONVERT(cvtpi2ps, "%mm1, %xmm0", to_xmm)
CONVERT(cvtpi2pd, "%mm1, %xmm0", to_xmm)
CONVERT(cvtps2pi, "%xmm1, %mm0", from_xmm)
CONVERT(cvttps2pi, "%xmm1, %mm0", from_xmm)
CONVERT(cvtpd2pi, "%xmm1, %mm0", from_xmm)
CONVERT(cvttpd2pi, "%xmm1, %mm0", from_xmm)

#define BOTH (ROW_SSE | ROW_MMX)

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_EMMS, ROW_MMX, emit_emms},
	{ZYDIS_MNEMONIC_MOVNTQ, ROW_MMX, simd_emit_mmx_move},
	{ZYDIS_MNEMONIC_MASKMOVQ, ROW_MMX, emit_maskmovq},
	{ZYDIS_MNEMONIC_MOVQ2DQ, BOTH, emit_movq2dq},
	{ZYDIS_MNEMONIC_MOVDQ2Q, BOTH, emit_movdq2q},
	{ZYDIS_MNEMONIC_CVTPI2PS, BOTH, emit_cvtpi2ps},
	{ZYDIS_MNEMONIC_CVTPI2PD, BOTH, emit_cvtpi2pd},
	{ZYDIS_MNEMONIC_CVTPS2PI, BOTH, emit_cvtps2pi},
	{ZYDIS_MNEMONIC_CVTTPS2PI, BOTH, emit_cvttps2pi},
	{ZYDIS_MNEMONIC_CVTPD2PI, BOTH, emit_cvtpd2pi},
	{ZYDIS_MNEMONIC_CVTTPD2PI, BOTH, emit_cvttpd2pi},
};

const struct soft_rows soft_rows_mmx = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
