/* Instructions that load segment registers and those that go to another code segment.
 * Rows of MOV, POP, JMP, CALL and RET are in other files: they hand the forms over that belong here
 * (translate.h).
 * Source: SDM 2A and 2B: MOV, POP, LDS/LES/LFS/LGS/LSS, JMP, CALL, RET. */
#include "access.h"
#include "seg.h"
#include "translate.h"

/* MOV and POP. */

static unsigned seg_number(const ZydisDecodedOperand *op)
{
	return (unsigned)(op->reg.value - ZYDIS_REGISTER_ES);
}

static bool is_segment(const ZydisDecodedOperand *op)
{
	return tr_is_reg(op) && op->reg.value >= ZYDIS_REGISTER_ES &&
	       op->reg.value <= ZYDIS_REGISTER_GS;
}

/* A load of SS by MOV or POP holds interrupts and debug exceptions off until the instruction behind
 * it is done, so that ESP can be loaded with it (SDM 3A 6.8.3). */
static void load_segment(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	soft_load_segment(c, seg, selector);
	if (seg != X86_SS)
		return;
	c->in_int_shadow = true;
	c->in_debug_shadow = true;
}

/* dst: the segment register; src: the general register. */
static void mov_seg_reg(struct soft_cpu *c, const struct insn *i)
{
	load_segment(c, i->dst, (uint16_t)c->r[i->src / 8]);
}
SOFT_PLAIN_END(mov_seg_reg)

static void mov_seg_mem(struct soft_cpu *c, const struct insn *i)
{
	load_segment(c, i->dst, (uint16_t)soft_load(c, soft_insn_address(c, i), 2));
}
SOFT_PLAIN_END(mov_seg_mem)

/* dst: the general register; src: the segment register. */
SOFT_OP(op_mov_reg16_seg)
{
	SOFT_PUT(16, i->dst, c->seg[i->src].selector);
	SOFT_NEXT();
}

SOFT_OP(op_mov_reg_seg)
{
	SOFT_PUT(64, i->dst, c->seg[i->src].selector);
	SOFT_NEXT();
}

static void mov_mem_seg(struct soft_cpu *c, const struct insn *i)
{
	soft_store(c, soft_insn_address(c, i), 2, c->seg[i->src].selector);
}
SOFT_PLAIN(mov_mem_seg)

static bool emit_load(struct tr *t)
{
	const ZydisDecodedOperand *from = &t->op[1];
	struct insn *i;

	if (t->op[0].reg.value == ZYDIS_REGISTER_CS)
		return false;
	if (tr_is_mem(from)) {
		i = tr_slot_mem(t, op_mov_seg_mem, from, 2, false);
	} else {
		i = tr_slot(t, op_mov_seg_reg);
		i->src = tr_reg(from->reg.value);
	}
	i->dst = (uint8_t)seg_number(&t->op[0]);
	t->is_end = true;
	return true;
}

static bool emit_save(struct tr *t)
{
	const ZydisDecodedOperand *to = &t->op[0];
	struct insn *i;

	if (tr_is_mem(to)) {
		i = tr_slot_mem(t, op_mov_mem_seg, to, 2, true);
	} else {
		i = tr_slot(t, t->operand_bits == 16 ? op_mov_reg16_seg : op_mov_reg_seg);
		i->dst = tr_reg(to->reg.value);
	}
	i->src = (uint8_t)seg_number(&t->op[1]);
	return true;
}

bool tr_mov_segment(struct tr *t)
{
	return is_segment(&t->op[0]) ? emit_load(t) : emit_save(t);
}

/* dst: the segment register; imm: bytes to pop. */
static void pop_seg(struct soft_cpu *c, const struct insn *i)
{
	struct soft_stack s;
	uint16_t selector;

	soft_stack_open(c, &s);
	selector = (uint16_t)soft_stack_pop(c, &s, (unsigned)i->imm);
	load_segment(c, i->dst, selector);
	soft_stack_commit(c, &s);
}
SOFT_PLAIN_END(pop_seg)

bool tr_pop_segment(struct tr *t)
{
	struct insn *i = tr_slot(t, op_pop_seg);

	i->dst = (uint8_t)seg_number(&t->op[0]);
	i->imm = t->z->operand_width / 8u;
	t->is_end = true;
	return true;
}

/* LDS, LES, LFS, LGS, LSS.  dst: the general register; src: the segment register; imm: bytes of the
 * offset. */
static void load_far_pointer(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	uint64_t offset = soft_load(c, la, (unsigned)i->imm);
	uint16_t selector = (uint16_t)soft_load(c, la + i->imm, 2);

	soft_load_segment(c, i->src, selector);
	if (i->imm == 2)
		soft_set_reg16(c, i->dst / 8, (uint16_t)offset);
	else
		c->r[i->dst / 8] = offset;
}
SOFT_PLAIN_END(load_far_pointer)

static bool emit_far_pointer(struct tr *t, unsigned seg)
{
	unsigned size = t->operand_bits / 8;
	struct insn *i = tr_slot_mem(t, op_load_far_pointer, &t->op[1], size + 2, false);

	i->dst = tr_reg(t->op[0].reg.value);
	i->src = (uint8_t)seg;
	i->imm = size;
	t->is_end = true;
	return true;
}

static bool emit_lds(struct tr *t)
{
	return emit_far_pointer(t, X86_DS);
}

static bool emit_les(struct tr *t)
{
	return emit_far_pointer(t, X86_ES);
}

static bool emit_lfs(struct tr *t)
{
	return emit_far_pointer(t, X86_FS);
}

static bool emit_lgs(struct tr *t)
{
	return emit_far_pointer(t, X86_GS);
}

static bool emit_lss(struct tr *t)
{
	return emit_far_pointer(t, X86_SS);
}

/* Far branches.  dst: operand size in bytes; src: is it a CALL. */

/* imm: offset; disp: selector. */
static void far_direct(struct soft_cpu *c, const struct insn *i)
{
	struct far_target target = {
		.selector = (uint16_t)i->disp,
		.offset = i->imm,
		.size = i->dst,
		.is_call = i->src,
	};

	far_transfer(c, &target);
}
SOFT_PLAIN_END(far_direct)

static void far_indirect(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	struct far_target target = {
		.offset = soft_load(c, la, i->dst),
		.selector = (uint16_t)soft_load(c, la + i->dst, 2),
		.size = i->dst,
		.is_call = i->src,
	};

	far_transfer(c, &target);
}
SOFT_PLAIN_END(far_indirect)

/* imm: bytes of parameters. */
static void far_ret(struct soft_cpu *c, const struct insn *i)
{
	return_far(c, i->dst, (unsigned)i->imm);
}
SOFT_PLAIN_END(far_ret)

static bool emit_far_to(struct tr *t, bool is_call)
{
	const ZydisDecodedOperand *op = &t->op[0];
	unsigned size = t->operand_bits / 8;
	struct insn *i;

	if (op->type == ZYDIS_OPERAND_TYPE_POINTER) {
		i = tr_slot(t, op_far_direct);
		i->imm = op->ptr.offset;
		i->disp = op->ptr.segment;
	} else {
		i = tr_slot_mem(t, op_far_indirect, op, size + 2, false);
	}
	i->dst = (uint8_t)size;
	i->src = is_call;
	return true;
}

static bool emit_far_ret(struct tr *t)
{
	struct insn *i = tr_slot(t, op_far_ret);

	i->dst = (uint8_t)(t->operand_bits / 8);
	if (t->z->operand_count_visible > 0)
		i->imm = t->op[0].imm.value.u & 0xffff;
	return true;
}

bool tr_far_branch(struct tr *t)
{
	t->is_end = true;
	switch (t->z->mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return emit_far_to(t, false);
	case ZYDIS_MNEMONIC_CALL:
		return emit_far_to(t, true);
	default:
		return emit_far_ret(t);
	}
}

static const struct soft_row rows[] = {
	{ZYDIS_MNEMONIC_LDS, ROW_END | ROW_NO64, emit_lds},
	{ZYDIS_MNEMONIC_LES, ROW_END | ROW_NO64, emit_les},
	{ZYDIS_MNEMONIC_LFS, ROW_END, emit_lfs},
	{ZYDIS_MNEMONIC_LGS, ROW_END, emit_lgs},
	{ZYDIS_MNEMONIC_LSS, ROW_END, emit_lss},
};

const struct soft_rows soft_rows_far = {rows, UMBRA_ARRAY_SIZE(rows)};
