/* Far JMP and CALL: to a code segment, through a call gate, to a task.
 * Source: SDM 2A CALL and JMP (operation sections), SDM 3A 5.8 (code segments and call
 * gates), 5.8.5 (stack switching), 5.8.3.1 (64-bit call gates). */
#include "seg.h"

#define PARAMS_MAX 31

/* Real and virtual-8086 mode. */

static void transfer_real(struct soft_cpu *c, const struct far_target *t)
{
	struct soft_stack s;

	soft_stack_open(c, &s);
	if (t->offset > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	if (t->is_call) {
		soft_stack_push(c, &s, t->size, c->seg[X86_CS].selector);
		soft_stack_push(c, &s, t->size, c->rip);
	}
	soft_stack_commit(c, &s);
	if (seg_is_v86(c))
		seg_load_v86(c, X86_CS, t->selector);
	else
		seg_load_real(c, X86_CS, t->selector);
	c->rip = t->offset;
	soft_mode_changed(c);
}

/* Code segments. */

/* CS.L=1 with CS.D=1 is reserved in IA-32e mode (SDM 3A 5.2.1). */
static bool is_bad_long_code(const struct soft_cpu *c, const struct x86_seg *cs)
{
	return soft_is_long(c) && cs->l && cs->db;
}

static void transfer_same(struct soft_cpu *c, const struct far_target *t, struct seg_pick *cs)
{
	struct soft_stack s;

	seg_check_target(c, &cs->seg, t->offset, 0);
	soft_stack_open(c, &s);
	if (t->is_call) {
		soft_stack_push(c, &s, t->size, c->seg[X86_CS].selector);
		soft_stack_push(c, &s, t->size, c->rip);
	}
	seg_mark_accessed(c, cs);
	soft_stack_commit(c, &s);
	seg_enter_code(c, &cs->seg, c->cpl, t->offset);
}

static void transfer_code(struct soft_cpu *c, const struct far_target *t, struct seg_pick *cs)
{
	const struct x86_seg *seg = &cs->seg;
	unsigned rpl = t->selector & 3u;
	bool is_allowed =
		seg_is_conforming(seg) ? seg->dpl <= c->cpl : rpl <= c->cpl && seg->dpl == c->cpl;

	if (!seg_is_code(seg) || !is_allowed || is_bad_long_code(c, seg))
		seg_raise(c, X86_EXC_GP, t->selector, 0);
	if (!seg->present)
		seg_raise(c, X86_EXC_NP, t->selector, 0);
	transfer_same(c, t, cs);
}

/* Call gates. */

static unsigned gate_size(const struct soft_cpu *c, const struct seg_gate *gate)
{
	if (soft_is_long(c))
		return 8;
	return gate->type == SEG_CALL_GATE ? 4 : 2;
}

/* The parameters lie on the caller's stack, the last one pushed on top. */
static void copy_params(struct soft_cpu *c, struct soft_stack *to, unsigned size, unsigned count)
{
	uint32_t param[PARAMS_MAX];
	struct soft_stack from;

	soft_stack_open(c, &from);
	for (unsigned i = 0; i < count; i++)
		param[i] = (uint32_t)soft_stack_pop(c, &from, size);
	while (count-- > 0)
		soft_stack_push(c, to, size, param[count]);
}

static void call_inner_legacy(struct soft_cpu *c, const struct far_target *t,
			      const struct seg_gate *gate, struct seg_pick *cs)
{
	struct soft_stack s;
	struct seg_pick ss;

	stack_pick_inner(c, cs->seg.dpl, 0, &s, &ss);
	seg_check_target(c, &cs->seg, t->offset, 0);
	soft_stack_push(c, &s, t->size, c->seg[X86_SS].selector);
	soft_stack_push(c, &s, t->size, c->r[X86_RSP]);
	copy_params(c, &s, t->size, gate->params);
	soft_stack_push(c, &s, t->size, c->seg[X86_CS].selector);
	soft_stack_push(c, &s, t->size, c->rip);
	seg_mark_accessed(c, &ss);
	seg_mark_accessed(c, cs);
	stack_commit_ss(c, &ss.seg, s.rsp, false);
	seg_enter_code(c, &cs->seg, cs->seg.dpl, t->offset);
}

/* No parameters, no alignment; SS becomes null (SDM 3A 5.8.5.1). */
static void call_inner_long(struct soft_cpu *c, const struct far_target *t, struct seg_pick *cs)
{
	unsigned cpl = cs->seg.dpl;
	struct x86_seg ss = seg_null_stack((uint16_t)cpl, cpl);
	struct soft_stack s = stack_of(&ss, stack_load_rsp(c, cpl, 0, 0), true, true);

	seg_check_target(c, &cs->seg, t->offset, 0);
	soft_stack_push(c, &s, 8, c->seg[X86_SS].selector);
	soft_stack_push(c, &s, 8, c->r[X86_RSP]);
	soft_stack_push(c, &s, 8, c->seg[X86_CS].selector);
	soft_stack_push(c, &s, 8, c->rip);
	seg_mark_accessed(c, cs);
	stack_commit_ss(c, &ss, s.rsp, true);
	seg_enter_code(c, &cs->seg, cpl, t->offset);
}

static void check_gate_code(struct soft_cpu *c, const struct seg_pick *cs, bool is_call)
{
	const struct x86_seg *seg = &cs->seg;
	bool is_allowed = seg->dpl <= c->cpl;

	if (!is_call && !seg_is_conforming(seg))
		is_allowed = seg->dpl == c->cpl;
	if (!seg_is_code(seg) || !is_allowed)
		seg_raise(c, X86_EXC_GP, seg->selector, 0);
	if (soft_is_long(c) && (!seg->l || seg->db))
		seg_raise(c, X86_EXC_GP, seg->selector, 0);
	if (!seg->present)
		seg_raise(c, X86_EXC_NP, seg->selector, 0);
}

static void transfer_gate(struct soft_cpu *c, const struct far_target *t,
			  const struct seg_gate *gate)
{
	struct far_target to = {
		.selector = gate->selector,
		.size = gate_size(c, gate),
		.is_call = t->is_call,
	};
	struct seg_pick cs;

	to.offset = to.size == 2 ? (uint16_t)gate->offset : gate->offset;
	seg_pick(c, gate->selector, X86_EXC_GP, 0, &cs);
	check_gate_code(c, &cs, t->is_call);
	if (!t->is_call || seg_is_conforming(&cs.seg) || cs.seg.dpl == c->cpl)
		transfer_same(c, &to, &cs);
	else if (soft_is_long(c))
		call_inner_long(c, &to, &cs);
	else
		call_inner_legacy(c, &to, gate, &cs);
}

/* Tasks. */

static void transfer_task(struct soft_cpu *c, const struct far_target *t, uint16_t tss)
{
	struct task_switch task = {
		.cause = t->is_call ? TASK_CALL : TASK_JUMP,
		.selector = tss,
		.flags = soft_rflags(c),
	};

	task_pick(c, tss, 0, &task.tss);
	task_switch(c, &task);
}

/* System descriptors. */

static bool is_call_gate(const struct soft_cpu *c, unsigned type)
{
	return type == SEG_CALL_GATE || (type == SEG_CALL_GATE16 && !soft_is_long(c));
}

static bool is_task(const struct soft_cpu *c, unsigned type)
{
	return !soft_is_long(c) && (type == SEG_TASK_GATE || type == SEG_TSS || type == SEG_TSS16);
}

static void transfer_system(struct soft_cpu *c, const struct far_target *t,
			    const struct seg_pick *pick)
{
	struct seg_gate gate = seg_gate_of(&pick->desc);
	unsigned rpl = t->selector & 3u;

	if (!is_call_gate(c, gate.type) && !is_task(c, gate.type))
		seg_raise(c, X86_EXC_GP, t->selector, 0);
	if (gate.dpl < c->cpl || rpl > gate.dpl)
		seg_raise(c, X86_EXC_GP, t->selector, 0);
	if (!gate.present)
		seg_raise(c, X86_EXC_NP, t->selector, 0);
	if (is_call_gate(c, gate.type))
		transfer_gate(c, t, &gate);
	else
		transfer_task(c, t, gate.type == SEG_TASK_GATE ? gate.selector : t->selector);
}

void far_transfer(struct soft_cpu *c, const struct far_target *target)
{
	struct seg_pick pick;

	if (!soft_is_protected(c)) {
		transfer_real(c, target);
		return;
	}
	seg_pick(c, target->selector, X86_EXC_GP, 0, &pick);
	if (pick.seg.s)
		transfer_code(c, target, &pick);
	else
		transfer_system(c, target, &pick);
}
