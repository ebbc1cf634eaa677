/* Stacks: pushes and pops with the width and the limit of SS, and the inner stacks that a TSS
 * holds. Source: SDM 1 6.2 (stack width), SDM 3A 5.8.5 (stack switching), 7.2.1 and 7.7 (TSS), SDM
 * 2A INT n and CALL (which error code). */
#include "access.h"
#include "seg.h"

#define TSS16_SP0  2  /* SP0, SS0; four bytes for each privilege level */
#define TSS_ESP0   4  /* ESP0, SS0; eight bytes for each */
#define TSS64_RSP0 4  /* eight bytes for each */
#define TSS64_IST1 36 /* eight bytes for each */

struct soft_stack stack_of(const struct x86_seg *ss, uint64_t rsp, bool is_sys, bool is_code64)
{
	struct soft_stack s = {
		.rsp = rsp,
		.base = is_code64 ? 0 : ss->base,
		.mask = is_code64 ? ~0ull
			: ss->db  ? 0xffffffff
				  : 0xffff,
		.ss = *ss,
		.is_sys = is_sys,
		.is_code64 = is_code64,
	};

	return s;
}

void soft_stack_open(struct soft_cpu *c, struct soft_stack *out_stack)
{
	*out_stack = stack_of(&c->seg[X86_SS], c->r[X86_RSP], false, soft_is_code64(c));
}

/* Linear address of @size bytes at @offset in the stack; raises #SS. */
static gva_t stack_address(struct soft_cpu *c, const struct soft_stack *s, uint64_t offset,
			   unsigned size)
{
	bool is_inside;

	if (s->is_code64)
		is_inside = seg_is_canonical(c, offset) && seg_is_canonical(c, offset + size - 1);
	else
		is_inside = !s->ss.unusable && seg_holds(&s->ss, offset, size);
	if (!is_inside)
		soft_raise_error(c, X86_EXC_SS, s->fault_error);
	return s->is_code64 ? offset : (uint32_t)(s->base + offset);
}

static void stack_move(struct soft_stack *s, uint64_t offset)
{
	s->rsp = (s->rsp & ~s->mask) | (offset & s->mask);
}

void soft_stack_push(struct soft_cpu *c, struct soft_stack *s, unsigned size, uint64_t value)
{
	uint64_t offset = (s->rsp - size) & s->mask;
	gva_t la = stack_address(c, s, offset, size);

	if (s->is_sys)
		soft_store_sys(c, la, size, value);
	else
		soft_store(c, la, size, value);
	stack_move(s, offset);
}

uint64_t soft_stack_pop(struct soft_cpu *c, struct soft_stack *s, unsigned size)
{
	uint64_t offset = s->rsp & s->mask;
	gva_t la = stack_address(c, s, offset, size);
	uint64_t value = s->is_sys ? soft_load_sys(c, la, size) : soft_load(c, la, size);

	stack_move(s, offset + size);
	return value;
}

/* Bits above the stack's width stay, except that a 32-bit ESP clears the upper half. */
static void commit_rsp(struct soft_cpu *c, uint64_t rsp, uint64_t mask)
{
	uint64_t kept = mask == 0xffff ? c->r[X86_RSP] & ~mask : 0;

	c->r[X86_RSP] = kept | (rsp & mask);
}

void soft_stack_commit(struct soft_cpu *c, const struct soft_stack *s)
{
	commit_rsp(c, s->rsp, s->mask);
}

void stack_commit_ss(struct soft_cpu *c, const struct x86_seg *ss, uint64_t rsp, bool is_code64)
{
	struct soft_stack s = stack_of(ss, rsp, false, is_code64);

	c->seg[X86_SS] = *ss;
	soft_stack_commit(c, &s);
	soft_mode_changed(c);
}

/* Inner stacks. */

/* @len bytes at @offset of the current TSS; beyond its limit the TSS is invalid. */
static gva_t tss_address(struct soft_cpu *c, unsigned offset, unsigned len, unsigned ext)
{
	if (c->tr.unusable || offset + len - 1 > c->tr.limit)
		seg_raise(c, X86_EXC_TS, c->tr.selector, ext);
	return soft_is_long(c) ? c->tr.base + offset : (uint32_t)(c->tr.base + offset);
}

static void load_inner(struct soft_cpu *c, unsigned cpl, unsigned ext, uint16_t *out_ss,
		       uint32_t *out_esp)
{
	bool is_16 = (c->tr.type & ~SEG_BUSY) == SEG_TSS16;
	unsigned width = is_16 ? 2 : 4;
	unsigned offset = is_16 ? TSS16_SP0 + cpl * 4 : TSS_ESP0 + cpl * 8;
	gva_t la = tss_address(c, offset, width + 2, ext);

	*out_esp = (uint32_t)soft_load_sys(c, la, width);
	*out_ss = (uint16_t)soft_load_sys(c, la + width, 2);
}

void stack_pick_inner(struct soft_cpu *c, unsigned cpl, unsigned ext, struct soft_stack *out_stack,
		      struct seg_pick *out_ss)
{
	uint16_t ss;
	uint32_t esp;

	load_inner(c, cpl, ext, &ss, &esp);
	seg_pick(c, ss, X86_EXC_TS, ext, out_ss);
	seg_check_stack(c, out_ss, cpl, X86_EXC_TS, ext);
	*out_stack = stack_of(&out_ss->seg, esp, true, false);
	out_stack->fault_error = (uint16_t)((ss & SEG_INDEX_MASK) | ext);
}

uint64_t stack_load_rsp(struct soft_cpu *c, unsigned cpl, unsigned ist, unsigned ext)
{
	unsigned offset = ist ? TSS64_IST1 + (ist - 1) * 8 : TSS64_RSP0 + cpl * 8;
	uint64_t rsp = soft_load_sys(c, tss_address(c, offset, 8, ext), 8);

	if (!seg_is_canonical(c, rsp))
		soft_raise_error(c, X86_EXC_SS, ext);
	return rsp;
}
