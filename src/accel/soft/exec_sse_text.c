/* SSE instructions with implicit operands: PCMPxSTRx (EAX, EDX, ECX, XMM0), BLENDV (XMM0),
 * MASKMOVDQU (rDI). Source: SDM 2B PCMPESTRI to PCMPISTRM, PBLENDVB, MASKMOVDQU; SDM 1 12.2 (string
 * operands are not checked for alignment). */
#include "access.h"
#include "simd.h"

/* PCMPxSTRx. */

static void compare_text(struct soft_cpu *c, const struct insn *i, struct thunk_call *call)
{
	memcpy(call->x0, SIMD_XMM(i->dst), 16);
	call->rax = c->r[X86_RAX];
	call->rdx = c->r[X86_RDX];
	thunk_run(i->imm, call);
	c->fs = call->flags;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

static void text_index_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	compare_text(c, i, &call);
	c->r[X86_RCX] = call.rcx;
}
SOFT_PLAIN(text_index_reg)

static void text_index_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	simd_load(c, i, call.x1, 16);
	compare_text(c, i, &call);
	c->r[X86_RCX] = call.rcx;
}
SOFT_PLAIN(text_index_mem)

static void text_mask_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	compare_text(c, i, &call);
	memcpy(c->xmm[0], call.x0, 16);
}
SOFT_PLAIN(text_mask_reg)

static void text_mask_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	simd_load(c, i, call.x1, 16);
	compare_text(c, i, &call);
	memcpy(c->xmm[0], call.x0, 16);
}
SOFT_PLAIN(text_mask_mem)

bool simd_emit_text(struct tr *t, const struct simd_op *op, bool is_mask)
{
	struct insn *i;

	if (simd_is_off(t))
		return true;
	if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, is_mask ? op_text_mask_mem : op_text_index_mem, &t->op[1], 16,
				false);
	} else {
		i = tr_slot(t, is_mask ? op_text_mask_reg : op_text_index_reg);
		i->src = simd_reg(&t->op[1]);
	}
	i->dst = simd_reg(&t->op[0]);
	i->imm = simd_thunk(t->z->raw.rex.W ? op->wide : op->xmm, t->op[2].imm.value.u);
	return true;
}

/* BLENDVPS, BLENDVPD, PBLENDVB. */

static void blend(struct soft_cpu *c, const struct insn *i, struct thunk_call *call)
{
	memcpy(call->x0, c->xmm[0], 16);
	memcpy(call->x2, SIMD_XMM(i->dst), 16);
	thunk_run(i->imm, call);
	memcpy(SIMD_XMM(i->dst), call->x2, 16);
}

static void blend_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	blend(c, i, &call);
}
SOFT_PLAIN(blend_reg)

static void blend_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	simd_check_aligned(c, soft_insn_address(c, i));
	simd_load(c, i, call.x1, 16);
	blend(c, i, &call);
}
SOFT_PLAIN(blend_mem)

bool simd_emit_blendv(struct tr *t, const struct simd_op *op)
{
	struct insn *i;

	if (simd_is_off(t))
		return true;
	if (tr_is_mem(&t->op[1])) {
		i = tr_slot_mem(t, op_blend_mem, &t->op[1], 16, false);
	} else {
		i = tr_slot(t, op_blend_reg);
		i->src = simd_reg(&t->op[1]);
	}
	i->dst = simd_reg(&t->op[0]);
	i->imm = (uintptr_t)op->xmm;
	return true;
}

/* MASKMOVDQU and MASKMOVQ. */

void simd_store_masked(struct soft_cpu *c, gva_t la, const uint8_t *data, const uint8_t *mask,
		       unsigned len)
{
	unsigned first = 0, end = len;

	while (first < len && !(mask[first] & 0x80))
		first++;
	if (first == len)
		return;
	while (!(mask[end - 1] & 0x80))
		end--;
	soft_probe_store(c, la + first, end - first);
	for (unsigned n = first; n < end; n++) {
		if (mask[n] & 0x80)
			soft_store_bytes(c, la + n, data + n, 1);
	}
}

static void maskmov(struct soft_cpu *c, const struct insn *i)
{
	simd_store_masked(c, c->r[SLOT_EA], SIMD_XMM(i->dst), SIMD_XMM(i->src), 16);
}
SOFT_PLAIN(maskmov)

/* The address is the hidden operand behind the two registers. */
void simd_emit_masked_address(struct tr *t, unsigned bytes)
{
	unsigned seg = (unsigned)(t->op[2].mem.segment - ZYDIS_REGISTER_ES);

	tr_address(t, SLOT_EA, seg, X86_RDI, 0, bytes, true);
}

bool simd_emit_maskmov(struct tr *t)
{
	struct insn *i;

	if (simd_is_off(t))
		return true;
	simd_emit_masked_address(t, 16);
	i = tr_slot(t, op_maskmov);
	i->dst = simd_reg(&t->op[0]);
	i->src = simd_reg(&t->op[1]);
	return true;
}
