/* The stack: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE.  POP of a segment register is
 * handed over to far.c. On a 64-bit stack the handlers use RSP itself; on others an address
 * operation in front leaves the linear address in SLOT_EA2.  What is rare works on a copy of the
 * stack pointer (soft_stack_*). Source: SDM 2B PUSH, POP, PUSHF, POPF; 2A ENTER, LEAVE. */
#include "access.h"
#include "exec_int.h"
#include "seg.h"

#define PUSH_ADDRESS_64(bits) (c->r[X86_RSP] - (bits) / 8)
#define POP_ADDRESS_64	      c->r[X86_RSP]
#define OTHER_ADDRESS(bits)   c->r[SLOT_EA2]
#define MOVE_SP_64(delta)     (c->r[X86_RSP] += (uint64_t)(delta))
#define MOVE_SP(delta)	      soft_move_sp(c, (uint64_t)(delta))

/* A register is read before and written after the stack pointer moves: PUSH RSP, POP RSP. */
#define STACK_FORMS(bits, suffix, push_address, pop_address, move_sp)                              \
	SOFT_MEM_OP(push_r##suffix##_##bits)                                                       \
	{                                                                                          \
		SOFT_STORE(bits, push_address, SOFT_GET(bits, i->src));                            \
		move_sp(-((bits) / 8));                                                            \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(push_i##suffix##_##bits)                                                       \
	{                                                                                          \
		SOFT_STORE(bits, push_address, i->imm);                                            \
		move_sp(-((bits) / 8));                                                            \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_MEM_OP(pop_r##suffix##_##bits)                                                        \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		SOFT_LOAD(bits, v, pop_address);                                                   \
		move_sp((bits) / 8);                                                               \
		SOFT_PUT(bits, i->dst, v);                                                         \
		SOFT_NEXT();                                                                       \
	}
STACK_FORMS(64, , PUSH_ADDRESS_64(64), POP_ADDRESS_64, MOVE_SP_64)
STACK_FORMS(16, , PUSH_ADDRESS_64(16), POP_ADDRESS_64, MOVE_SP_64)
STACK_FORMS(32, _other, OTHER_ADDRESS(32), OTHER_ADDRESS(32), MOVE_SP)
STACK_FORMS(16, _other, OTHER_ADDRESS(16), OTHER_ADDRESS(16), MOVE_SP)

/* By width of the stack (64 bits or not) and of the operand. */
#define STACK_OPS(name)                                                                            \
	{                                                                                          \
		{NULL, name##_other_16, name##_other_32, NULL},                                    \
		{                                                                                  \
			NULL, name##_16, NULL, name##_64                                           \
		}                                                                                  \
	}
soft_op_fn *const soft_push_reg[2][4] = STACK_OPS(push_r);
static soft_op_fn *const PUSH_IMM[2][4] = STACK_OPS(push_i);
soft_op_fn *const soft_pop_reg[2][4] = STACK_OPS(pop_r);

static bool has_stack64(const struct tr *t)
{
	return t->stack_bits == 64;
}

static soft_op_fn *choose(const struct tr *t, soft_op_fn *const table[2][4])
{
	return table[has_stack64(t)][tr_width(t->operand_bits)];
}

/* The address of what is pushed or popped, where RSP is not that. */
static void emit_address(struct tr *t, bool is_push)
{
	unsigned size = t->operand_bits / 8;

	if (!has_stack64(t))
		tr_address(t, SLOT_EA2, X86_SS, X86_RSP, is_push ? -(int64_t)size : 0, size,
			   is_push);
}

/* PUSH. */

/* Selectors are pushed zero-extended. */
SOFT_OP(selector_to_temp)
{
	c->r[SLOT_TEMP] = c->seg[i->imm].selector;
	SOFT_NEXT();
}

static bool is_segment(const ZydisDecodedOperand *op)
{
	return tr_is_reg(op) && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static uint8_t emit_push_source(struct tr *t, const ZydisDecodedOperand *op)
{
	if (!is_segment(op))
		return soft_emit_source(t, op);
	tr_slot(t, selector_to_temp)->imm = (unsigned)(op->reg.value - ZYDIS_REGISTER_ES);
	return TR_SLOT_OFFSET(SLOT_TEMP);
}

static bool emit_push(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];
	uint8_t src;

	if (tr_is_imm(op)) {
		emit_address(t, true);
		tr_slot(t, choose(t, PUSH_IMM))->imm = op->imm.value.u;
		return true;
	}
	src = emit_push_source(t, op);
	emit_address(t, true);
	tr_slot(t, choose(t, soft_push_reg))->src = src;
	return true;
}

/* POP. */

SOFT_OP(move_sp_64)
{
	MOVE_SP_64(i->imm);
	SOFT_NEXT();
}

SOFT_OP(move_sp_other)
{
	MOVE_SP(i->imm);
	SOFT_NEXT();
}

static bool is_stack_pointer(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_RSP || reg == ZYDIS_REGISTER_ESP;
}

/* The destination's address counts from the stack pointer behind the pop, which may not move before
 * the store has succeeded. */
static void emit_pop_mem(struct tr *t)
{
	ZydisDecodedOperand dst = t->op[0];
	unsigned w = tr_width(t->operand_bits), size = t->operand_bits / 8;
	struct insn *i;

	emit_address(t, false);
	i = tr_slot(t, soft_mov_forms.rm[w]);
	i->base = has_stack64(t) ? TR_SLOT_OFFSET(X86_RSP) : TR_SLOT_OFFSET(SLOT_EA2);
	i->dst = TR_SLOT_OFFSET(SLOT_TEMP);
	if (is_stack_pointer(dst.mem.base)) {
		dst.mem.disp.has_displacement = true;
		dst.mem.disp.value += size;
	}
	i = tr_slot_mem(t, soft_mov_forms.mr[w], &dst, size, true);
	i->src = TR_SLOT_OFFSET(SLOT_TEMP);
	tr_slot(t, has_stack64(t) ? move_sp_64 : move_sp_other)->imm = size;
}

static bool emit_pop(struct tr *t)
{
	const ZydisDecodedOperand *op = &t->op[0];

	if (is_segment(op))
		return tr_pop_segment(t);
	if (tr_is_mem(op)) {
		emit_pop_mem(t);
		return true;
	}
	emit_address(t, false);
	tr_slot(t, choose(t, soft_pop_reg))->dst = tr_reg(op->reg.value);
	return true;
}

/* Plain functions: imm of each is the operand size in bytes. */

static void set_reg(struct soft_cpu *c, unsigned reg, unsigned size, uint64_t value)
{
	if (size == 2)
		soft_set_reg16(c, reg, (uint16_t)value);
	else if (size == 4)
		soft_set_reg32(c, reg, (uint32_t)value);
	else
		c->r[reg] = value;
}

/* All eight general registers; what is pushed for the stack pointer is its value before. */
static void exec_pusha(struct soft_cpu *c, const struct insn *i)
{
	struct soft_stack s;

	soft_stack_open(c, &s);
	for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++)
		soft_stack_push(c, &s, (unsigned)i->imm, c->r[reg]);
	soft_stack_commit(c, &s);
}
SOFT_PLAIN(exec_pusha)

static void exec_popa(struct soft_cpu *c, const struct insn *i)
{
	uint64_t value[X86_RDI + 1];
	struct soft_stack s;

	soft_stack_open(c, &s);
	for (unsigned reg = X86_RDI + 1; reg-- > X86_RAX;)
		value[reg] = soft_stack_pop(c, &s, (unsigned)i->imm);
	for (unsigned reg = X86_RAX; reg <= X86_RDI; reg++) {
		if (reg != X86_RSP)
			set_reg(c, reg, (unsigned)i->imm, value[reg]);
	}
	soft_stack_commit(c, &s);
}
SOFT_PLAIN(exec_popa)

static unsigned iopl_of(const struct soft_cpu *c)
{
	return (unsigned)((c->rflags & X86_RFLAGS_IOPL) >> 12);
}

/* Virtual-8086 mode traps PUSHF and POPF unless IOPL is 3 (SDM 3B 20.2.7). */
static void check_v86(struct soft_cpu *c)
{
	if ((c->mode & SOFT_V86) && iopl_of(c) < 3)
		soft_raise_error(c, X86_EXC_GP, 0);
}

static void exec_pushf(struct soft_cpu *c, const struct insn *i)
{
	struct soft_stack s;

	check_v86(c);
	soft_stack_open(c, &s);
	soft_stack_push(c, &s, (unsigned)i->imm, soft_rflags(c) & ~(X86_RFLAGS_VM | X86_RFLAGS_RF));
	soft_stack_commit(c, &s);
}
SOFT_PLAIN(exec_pushf)

/* The flags that POPF may change (SDM 2B POPF, table 4-16): IOPL at CPL 0 only, IF when CPL is not
 * above IOPL. */
static uint64_t popf_mask(const struct soft_cpu *c, unsigned size)
{
	uint64_t mask = X86_RFLAGS_STATUS | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_NT |
			X86_RFLAGS_AC | X86_RFLAGS_ID;
	bool is_v86 = c->mode & SOFT_V86;

	if (is_v86 || c->cpl <= iopl_of(c))
		mask |= X86_RFLAGS_IF;
	if (!is_v86 && c->cpl == 0)
		mask |= X86_RFLAGS_IOPL;
	return size == 2 ? (uint16_t)mask : mask;
}

static void exec_popf(struct soft_cpu *c, const struct insn *i)
{
	uint64_t mask = popf_mask(c, (unsigned)i->imm), value;
	struct soft_stack s;

	check_v86(c);
	soft_stack_open(c, &s);
	value = soft_stack_pop(c, &s, (unsigned)i->imm);
	soft_stack_commit(c, &s);
	value = (soft_rflags(c) & ~mask) | (value & mask);
	soft_set_rflags(c, value & ~X86_RFLAGS_RF);
}
SOFT_PLAIN_END(exec_popf)

/* ENTER: imm = operand size | nesting level << 8 | frame size << 16. */

static uint64_t load_frame(struct soft_cpu *c, uint64_t offset, const struct soft_stack *s,
			   unsigned size)
{
	return soft_load(c, soft_seg_address(c, X86_SS, offset & s->mask, size, false), size);
}

static void exec_enter(struct soft_cpu *c, const struct insn *i)
{
	unsigned size = i->imm & 0xff, level = (i->imm >> 8) & 31;
	uint64_t frame, bp = c->r[X86_RBP];
	struct soft_stack s;
	gva_t top;

	soft_stack_open(c, &s);
	soft_stack_push(c, &s, size, bp);
	frame = s.rsp;
	for (unsigned n = 1; n < level; n++) {
		bp -= size;
		soft_stack_push(c, &s, size, load_frame(c, bp, &s, size));
	}
	if (level > 0)
		soft_stack_push(c, &s, size, frame);
	s.rsp = (s.rsp & ~s.mask) | ((s.rsp - (i->imm >> 16)) & s.mask);
	top = soft_seg_address(c, X86_SS, s.rsp & s.mask, size, true);
	soft_probe_store(c, top, size);
	set_reg(c, X86_RBP, size, frame);
	soft_stack_commit(c, &s);
}
SOFT_PLAIN(exec_enter)

static void exec_leave(struct soft_cpu *c, const struct insn *i)
{
	struct soft_stack s;
	uint64_t bp;

	soft_stack_open(c, &s);
	s.rsp = (s.rsp & ~s.mask) | (c->r[X86_RBP] & s.mask);
	bp = soft_stack_pop(c, &s, (unsigned)i->imm);
	set_reg(c, X86_RBP, (unsigned)i->imm, bp);
	soft_stack_commit(c, &s);
}
SOFT_PLAIN(exec_leave)

SOFT_MEM_OP(leave_64)
{
	uint64_t frame = c->r[X86_RBP], v;

	SOFT_LOAD(64, v, frame);
	c->r[X86_RSP] = frame + 8;
	c->r[X86_RBP] = v;
	SOFT_NEXT();
}

static bool emit_leave(struct tr *t)
{
	if (has_stack64(t) && t->operand_bits == 64)
		tr_slot(t, leave_64);
	else
		tr_slot(t, op_exec_leave)->imm = t->operand_bits / 8;
	return true;
}

static bool emit_enter(struct tr *t)
{
	uint64_t frame_size = (uint16_t)t->op[0].imm.value.u;
	uint64_t level = (uint8_t)t->op[1].imm.value.u;

	tr_slot(t, op_exec_enter)->imm = t->operand_bits / 8 | level << 8 | frame_size << 16;
	return true;
}

static bool emit_popf(struct tr *t)
{
	tr_slot(t, op_exec_popf)->imm = t->operand_bits / 8;
	return true;
}

static bool emit_pushf(struct tr *t)
{
	tr_slot(t, op_exec_pushf)->imm = t->operand_bits / 8;
	return true;
}

static bool emit_pusha(struct tr *t)
{
	tr_slot(t, op_exec_pusha)->imm = t->operand_bits / 8;
	return true;
}

static bool emit_popa(struct tr *t)
{
	tr_slot(t, op_exec_popa)->imm = t->operand_bits / 8;
	return true;
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_PUSH, 0, emit_push},	      {ZYDIS_MNEMONIC_POP, 0, emit_pop},
	{ZYDIS_MNEMONIC_PUSHA, ROW_NO64, emit_pusha}, {ZYDIS_MNEMONIC_PUSHAD, ROW_NO64, emit_pusha},
	{ZYDIS_MNEMONIC_POPA, ROW_NO64, emit_popa},   {ZYDIS_MNEMONIC_POPAD, ROW_NO64, emit_popa},
	{ZYDIS_MNEMONIC_PUSHF, 0, emit_pushf},	      {ZYDIS_MNEMONIC_PUSHFD, 0, emit_pushf},
	{ZYDIS_MNEMONIC_PUSHFQ, 0, emit_pushf},	      {ZYDIS_MNEMONIC_POPF, ROW_END, emit_popf},
	{ZYDIS_MNEMONIC_POPFD, ROW_END, emit_popf},   {ZYDIS_MNEMONIC_POPFQ, ROW_END, emit_popf},
	{ZYDIS_MNEMONIC_ENTER, 0, emit_enter},	      {ZYDIS_MNEMONIC_LEAVE, 0, emit_leave},
};
const struct soft_rows soft_rows_stack = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
