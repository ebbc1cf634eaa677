/* Near transfers: JMP, Jcc, CALL, RET, LOOPcc, JrCXZ; and BOUND.  Far forms are handed over to
 * far.c. Targets are truncated to the operand size; in 64-bit mode that is always 64 bits, as Intel
 * has it. A target that is not canonical, or lies beyond the limit of CS, is #GP(0) with the state
 * in front of the branch.  For direct branches translation finds out whether that can happen at
 * all. Source: SDM 2A CALL, Jcc, JMP, LOOP; 2B RET; AMD differs in 64-bit mode with a 66 prefix. */
#include "access.h"
#include "exec_int.h"

static SOFT_COLD soft_ret bad_target(SOFT_ARGS)
{
	SOFT_SPILL();
	soft_raise_error(c, X86_EXC_GP, 0);
}

/* In front of an unconditional direct branch whose target must be checked. */
SOFT_OP(check_target)
{
	if (!soft_may_jump(c, i->imm))
		return bad_target(SOFT_PASS(i));
	SOFT_NEXT();
}

SOFT_OP(jmp)
{
	SOFT_BRANCH(true);
}

#define JCC(cc, name)                                                                              \
	SOFT_OP(jcc_##cc)                                                                          \
	{                                                                                          \
		SOFT_BRANCH(flags_condition(cc, fr, fs, fo));                                      \
	}                                                                                          \
	SOFT_OP(jcc_checked_##cc)                                                                  \
	{                                                                                          \
		bool is_taken = flags_condition(cc, fr, fs, fo);                                   \
		if (is_taken && !soft_may_jump(c, i->imm))                                         \
			return bad_target(SOFT_PASS(i));                                           \
		SOFT_BRANCH(is_taken);                                                             \
	}
SOFT_CONDITIONS(JCC)
#define JCC_ENTRY(cc, name)	    [cc] = jcc_##cc,
#define JCC_CHECKED_ENTRY(cc, name) [cc] = jcc_checked_##cc,
static soft_op_fn *const JCC_OPS[16] = {SOFT_CONDITIONS(JCC_ENTRY)};
static soft_op_fn *const JCC_CHECKED_OPS[16] = {SOFT_CONDITIONS(JCC_CHECKED_ENTRY)};

/* The condition is the low half of the opcode: 70+cc, 0F 80+cc. */
static unsigned condition_of(const struct tr *t)
{
	return t->z->opcode & 15;
}

bool soft_fuse(struct tr *t, struct insn *cmp, struct insn *jcc)
{
	soft_op_fn *fused;

	if (jcc->fn != JCC_OPS[condition_of(t)])
		return false;
	fused = soft_fused_op(cmp->fn, condition_of(t));
	if (fused)
		cmp->fn = fused;
	return fused;
}

/* Calls and returns.  With a 64-bit stack the address is RSP itself; with others an address
 * operation in front has left it in SLOT_EA2. */

#define PUSH_ADDRESS_64	    (c->r[X86_RSP] - 8)
#define POP_ADDRESS_64	    c->r[X86_RSP]
#define OTHER_ADDRESS	    c->r[SLOT_EA2]
#define MAY_JUMP_64(target) soft_may_jump_64(c, target)
#define MAY_JUMP(target)    soft_may_jump(c, target)
#define MOVE_SP_64(delta)   (c->r[X86_RSP] += (uint64_t)(delta))
#define MOVE_SP(delta)	    soft_move_sp(c, (uint64_t)(delta))

/* disp is the RIP behind, which the return address is made of. */
#define CALL_FORMS(bits, suffix, may_jump, address, move_sp)                                       \
	SOFT_MEM_OP(call##suffix##_##bits)                                                         \
	{                                                                                          \
		SOFT_STORE(bits, address, i->disp);                                                \
		move_sp(-((bits) / 8));                                                            \
		SOFT_BRANCH(true);                                                                 \
	}                                                                                          \
	SOFT_MEM_OP(call_r##suffix##_##bits)                                                       \
	{                                                                                          \
		uint64_t target = SOFT_GET(bits, i->src);                                          \
		const struct insn *block = soft_jump_find(c, target);                              \
		if (SOFT_UNLIKELY(!block && !may_jump(target)))                                    \
			return bad_target(SOFT_PASS(i));                                           \
		SOFT_STORE(bits, address, i->disp);                                                \
		move_sp(-((bits) / 8));                                                            \
		SOFT_JUMP(target, block);                                                          \
	}
#define RET_FORM(bits, suffix, may_jump, address, move_sp)                                         \
	SOFT_MEM_OP(ret##suffix##_##bits)                                                          \
	{                                                                                          \
		uint##bits##_t target;                                                             \
		const struct insn *block;                                                          \
		SOFT_LOAD(bits, target, address);                                                  \
		block = soft_jump_find(c, target);                                                 \
		if (SOFT_UNLIKELY(!block && slow))                                                 \
			return slow(SOFT_PASS(i));                                                 \
		if (!block && !may_jump(target))                                                   \
			return bad_target(SOFT_PASS(i));                                           \
		move_sp((bits) / 8 + i->imm);                                                      \
		SOFT_JUMP(target, block);                                                          \
	}
CALL_FORMS(64, , MAY_JUMP_64, PUSH_ADDRESS_64, MOVE_SP_64)
CALL_FORMS(32, _other, MAY_JUMP, OTHER_ADDRESS, MOVE_SP)
CALL_FORMS(16, _other, MAY_JUMP, OTHER_ADDRESS, MOVE_SP)
RET_FORM(64, , MAY_JUMP_64, POP_ADDRESS_64, MOVE_SP_64)
RET_FORM(32, _other, MAY_JUMP, OTHER_ADDRESS, MOVE_SP)
RET_FORM(16, _other, MAY_JUMP, OTHER_ADDRESS, MOVE_SP)

#define JMP_REG(bits)                                                                              \
	SOFT_OP(jmp_r_##bits)                                                                      \
	{                                                                                          \
		uint64_t target = SOFT_GET(bits, i->src);                                          \
		const struct insn *block = soft_jump_find(c, target);                              \
		if (SOFT_UNLIKELY(!block && !soft_may_jump(c, target)))                            \
			return bad_target(SOFT_PASS(i));                                           \
		SOFT_JUMP(target, block);                                                          \
	}
SOFT_WIDE_WIDTHS(JMP_REG)

static soft_op_fn *const CALL_OPS[4] = {NULL, call_other_16, call_other_32, call_64};
static soft_op_fn *const CALL_REG_OPS[4] = {NULL, call_r_other_16, call_r_other_32, call_r_64};
static soft_op_fn *const RET_OPS[4] = {NULL, ret_other_16, ret_other_32, ret_64};
static soft_op_fn *const JMP_REG_OPS[4] = SOFT_BY_WIDE_WIDTH(jmp_r);

/* Emission. */

static unsigned branch_bits(const struct tr *t)
{
	return t->code_bits == 64 ? 64 : t->operand_bits;
}

static uint64_t truncate(uint64_t v, unsigned bits)
{
	return bits == 64 ? v : bits == 32 ? (uint32_t)v : (uint16_t)v;
}

static uint64_t target_of(const struct tr *t)
{
	return truncate(t->next + t->op[0].imm.value.u, branch_bits(t));
}

/* Can a jump to @target fault in this mode? */
static bool needs_check(const struct tr *t, uint64_t target)
{
	if (t->code_bits == 64)
		return (uint64_t)((int64_t)(target << 16) >> 16) != target;
	return !(t->mode & SOFT_FLAT);
}

static struct insn *emit_direct(struct tr *t, soft_op_fn *fn)
{
	struct insn *i = tr_slot(t, fn);

	i->imm = target_of(t);
	i->disp = (int64_t)t->next;
	return i;
}

static void emit_target_check(struct tr *t)
{
	if (needs_check(t, target_of(t)))
		tr_slot(t, check_target)->imm = target_of(t);
}

/* Where the return address goes, or comes from, on a stack that is not 64 bits wide. */
static void emit_stack_address(struct tr *t, bool is_push)
{
	unsigned size = branch_bits(t) / 8;

	if (t->code_bits != 64)
		tr_address(t, SLOT_EA2, X86_SS, X86_RSP, is_push ? -(int64_t)size : 0, size,
			   is_push);
}

static bool is_far(const struct tr *t)
{
	return t->z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

static bool emit_jmp(struct tr *t)
{
	uint8_t src;

	if (is_far(t))
		return tr_far_branch(t);
	t->is_end = true;
	if (tr_is_imm(&t->op[0])) {
		emit_target_check(t);
		emit_direct(t, jmp);
		return true;
	}
	src = soft_emit_source(t, &t->op[0]);
	tr_slot(t, JMP_REG_OPS[tr_width(branch_bits(t))])->src = src;
	return true;
}

static bool emit_call(struct tr *t)
{
	unsigned bits = branch_bits(t);
	struct insn *i;
	uint8_t src = 0;

	if (is_far(t))
		return tr_far_branch(t);
	t->is_end = true;
	if (tr_is_imm(&t->op[0]))
		emit_target_check(t);
	else
		src = soft_emit_source(t, &t->op[0]);
	emit_stack_address(t, true);
	if (tr_is_imm(&t->op[0])) {
		emit_direct(t, CALL_OPS[tr_width(bits)]);
		return true;
	}
	i = tr_slot(t, CALL_REG_OPS[tr_width(bits)]);
	i->src = src;
	i->disp = (int64_t)t->next;
	return true;
}

static bool emit_ret(struct tr *t)
{
	struct insn *i;

	if (is_far(t))
		return tr_far_branch(t);
	t->is_end = true;
	emit_stack_address(t, false);
	i = tr_slot(t, RET_OPS[tr_width(branch_bits(t))]);
	if (tr_is_imm(&t->op[0]))
		i->imm = (uint16_t)t->op[0].imm.value.u;
	return true;
}

static bool emit_jcc(struct tr *t)
{
	unsigned cc = condition_of(t);

	emit_direct(t, needs_check(t, target_of(t)) ? JCC_CHECKED_OPS[cc] : JCC_OPS[cc]);
	return true;
}

/* LOOPcc and JrCXZ count by the address size.  They are rare: the target is always checked. */

#define ZF flags_zf(fr, fs, fo)
#define LOOP(bits, name, condition)                                                                \
	SOFT_OP(name##_##bits)                                                                     \
	{                                                                                          \
		uint##bits##_t count = (uint##bits##_t)(c->r[X86_RCX] - 1);                        \
		bool is_taken = count != 0 && (condition);                                         \
		if (is_taken && !soft_may_jump(c, i->imm))                                         \
			return bad_target(SOFT_PASS(i));                                           \
		SOFT_PUT(bits, TR_SLOT_OFFSET(X86_RCX), count);                                    \
		SOFT_BRANCH(is_taken);                                                             \
	}
SOFT_WIDE_WIDTHS(LOOP, loop, true)
SOFT_WIDE_WIDTHS(LOOP, loope, ZF)
SOFT_WIDE_WIDTHS(LOOP, loopne, !ZF)

#define JCXZ(bits)                                                                                 \
	SOFT_OP(jcxz_##bits)                                                                       \
	{                                                                                          \
		bool is_taken = (uint##bits##_t)c->r[X86_RCX] == 0;                                \
		if (is_taken && !soft_may_jump(c, i->imm))                                         \
			return bad_target(SOFT_PASS(i));                                           \
		SOFT_BRANCH(is_taken);                                                             \
	}
SOFT_WIDE_WIDTHS(JCXZ)

struct count_op {
	uint16_t mnemonic;
	soft_op_fn *by_address_size[4];
};
static const struct count_op COUNT_OPS[] = {
	{ZYDIS_MNEMONIC_LOOP, SOFT_BY_WIDE_WIDTH(loop)},
	{ZYDIS_MNEMONIC_LOOPE, SOFT_BY_WIDE_WIDTH(loope)},
	{ZYDIS_MNEMONIC_LOOPNE, SOFT_BY_WIDE_WIDTH(loopne)},
	{ZYDIS_MNEMONIC_JCXZ, SOFT_BY_WIDE_WIDTH(jcxz)},
	{ZYDIS_MNEMONIC_JECXZ, SOFT_BY_WIDE_WIDTH(jcxz)},
	{ZYDIS_MNEMONIC_JRCXZ, SOFT_BY_WIDE_WIDTH(jcxz)},
};

static bool emit_count_branch(struct tr *t)
{
	const struct count_op *op = COUNT_OPS;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	emit_direct(t, op->by_address_size[tr_width(t->address_bits)]);
	return true;
}

/* BOUND: a signed index against two bounds in memory; src is the register, imm its size. */

static int64_t sign_extend(uint64_t v, unsigned size)
{
	return size == 2 ? (int16_t)v : (int32_t)v;
}

static void exec_bound(struct soft_cpu *c, const struct insn *i)
{
	unsigned size = (unsigned)i->imm;
	uint64_t la = soft_insn_address(c, i);
	int64_t index = sign_extend(c->r[i->src / 8], size);
	int64_t lower = sign_extend(soft_load(c, la, size), size);
	int64_t upper = sign_extend(soft_load(c, la + size, size), size);

	if (index < lower || index > upper)
		soft_raise(c, X86_EXC_BR);
}
SOFT_PLAIN(exec_bound)

static bool emit_bound(struct tr *t)
{
	unsigned size = t->operand_bits / 8;
	struct insn *i = tr_slot_mem(t, op_exec_bound, &t->op[1], 2 * size, false);

	i->src = tr_reg(t->op[0].reg.value);
	i->imm = size;
	return true;
}

#define JCC_ROW(cc, name) {ZYDIS_MNEMONIC_J##name, ROW_END, emit_jcc},
static const struct soft_row ROWS[] = {
	SOFT_CONDITIONS(JCC_ROW){ZYDIS_MNEMONIC_JMP, 0, emit_jmp},
	{ZYDIS_MNEMONIC_CALL, 0, emit_call},
	{ZYDIS_MNEMONIC_RET, 0, emit_ret},
	{ZYDIS_MNEMONIC_LOOP, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_LOOPE, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_LOOPNE, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_JCXZ, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_JECXZ, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_JRCXZ, ROW_END, emit_count_branch},
	{ZYDIS_MNEMONIC_BOUND, ROW_NO64, emit_bound},
};
const struct soft_rows soft_rows_branch = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
