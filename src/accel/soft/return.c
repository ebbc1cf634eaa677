/* Returns to where a far CALL or an interrupt came from: RETF, and what IRET shares with it.
 * Source: SDM 2B RET and SDM 2A IRET (operation sections), SDM 3A 5.8.6 (returning to an outer
 * privilege level), 5.14.3 (SS in IA-32e mode). */
#include "seg.h"

void return_pick_cs(struct soft_cpu *c, uint16_t selector, struct far_return *r)
{
	const struct x86_seg *cs = &r->cs.seg;
	bool is_allowed;

	seg_pick(c, selector, X86_EXC_GP, 0, &r->cs);
	r->cpl = selector & 3u;
	is_allowed = seg_is_conforming(cs) ? cs->dpl <= r->cpl : cs->dpl == r->cpl;
	if (!seg_is_code(cs) || r->cpl < c->cpl || !is_allowed)
		seg_raise(c, X86_EXC_GP, selector, 0);
	if (soft_is_long(c) && cs->l && cs->db)
		seg_raise(c, X86_EXC_GP, selector, 0);
	if (!cs->present)
		seg_raise(c, X86_EXC_NP, selector, 0);
}

void return_pick_ss(struct soft_cpu *c, uint16_t selector, struct far_return *r)
{
	bool is_to_code64 = soft_is_long(c) && r->cs.seg.l;

	if (seg_is_null(selector)) {
		if (!is_to_code64 || r->cpl == 3)
			soft_raise_error(c, X86_EXC_GP, 0);
		r->ss = seg_null_stack(selector, r->cpl);
		r->ss_pick = (struct seg_pick){0};
		return;
	}
	seg_pick(c, selector, X86_EXC_GP, 0, &r->ss_pick);
	seg_check_stack(c, &r->ss_pick, r->cpl, X86_EXC_GP, 0);
	r->ss = r->ss_pick.seg;
}

void return_mark_accessed(struct soft_cpu *c, struct far_return *r)
{
	if (r->ss_pick.desc.low) {
		seg_mark_accessed(c, &r->ss_pick);
		r->ss = r->ss_pick.seg;
	}
	seg_mark_accessed(c, &r->cs);
}

/* What the outer ring may not have stays behind.  As on processors, only the selector and the
 * validity go: the base, which still counts for FS and GS in 64-bit mode, is not touched. */
static void drop_data_segments(struct soft_cpu *c)
{
	static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(data); i++) {
		struct x86_seg *seg = &c->seg[data[i]];

		if (!seg->unusable && !seg_is_conforming(seg) && seg->dpl < c->cpl)
			*seg = (struct x86_seg){.base = seg->base, .unusable = true};
	}
}

void return_commit(struct soft_cpu *c, const struct far_return *r, bool has_stack)
{
	bool is_outer = r->cpl > c->cpl;

	seg_enter_code(c, &r->cs.seg, r->cpl, r->rip);
	if (has_stack)
		stack_commit_ss(c, &r->ss, r->rsp, soft_is_code64(c));
	if (is_outer)
		drop_data_segments(c);
}

static void return_real(struct soft_cpu *c, const struct soft_stack *s, uint64_t rip, uint16_t cs)
{
	if (rip > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	if (seg_is_v86(c))
		seg_load_v86(c, X86_CS, cs);
	else
		seg_load_real(c, X86_CS, cs);
	soft_stack_commit(c, s);
	c->rip = rip;
	soft_mode_changed(c);
}

/* The parameters lie on both stacks: @imm goes from the new one too. */
static void return_outer(struct soft_cpu *c, struct soft_stack *s, struct far_return *r,
			 unsigned size, unsigned imm)
{
	uint64_t rsp = soft_stack_pop(c, s, size);
	uint16_t ss = (uint16_t)soft_stack_pop(c, s, size);

	return_pick_ss(c, ss, r);
	seg_check_target(c, &r->cs.seg, r->rip, 0);
	return_mark_accessed(c, r);
	r->rsp = rsp + imm;
	return_commit(c, r, true);
}

void return_far(struct soft_cpu *c, unsigned size, unsigned imm)
{
	struct far_return r = {0};
	struct soft_stack s;
	uint16_t cs;

	soft_stack_open(c, &s);
	r.rip = soft_stack_pop(c, &s, size);
	cs = (uint16_t)soft_stack_pop(c, &s, size);
	s.rsp = (s.rsp & ~s.mask) | ((s.rsp + imm) & s.mask);
	if (!soft_is_protected(c)) {
		return_real(c, &s, r.rip, cs);
		return;
	}
	return_pick_cs(c, cs, &r);
	if (r.cpl > c->cpl) {
		return_outer(c, &s, &r, size, imm);
		return;
	}
	seg_check_target(c, &r.cs.seg, r.rip, 0);
	return_mark_accessed(c, &r);
	soft_stack_commit(c, &s);
	return_commit(c, &r, false);
}
