/* Loading a segment register for the debugger, as the guest's own instruction would do it at its
 * privilege level: what that instruction would fault on is refused.  The descriptor's accessed bit
 * is set in the hidden part only; the guest's table is not written.
 * Sources: SDM 3A 3.4.2 to 3.4.5 (selectors, descriptors), SDM 2B MOV (checks), SDM 3A 20.1.1. */
#include "regs.h"

#include <errno.h>

#define SELECTOR_RPL 3u
#define SELECTOR_TI  4u

/* Bits of x86_seg.type for code and data (SDM 3A table 3-1). */
#define TYPE_ACCESSED	1u
#define TYPE_READABLE	2u /* code: readable; data: writable */
#define TYPE_CONFORMING 4u
#define TYPE_CODE	8u

/* Protected mode or long mode, V86 excepted: a selector names a descriptor. */
static bool uses_descriptors(const struct x86_state *st)
{
	enum x86_mode mode = x86_mode_of(st);

	return mode != X86_MODE_REAL && mode != X86_MODE_V86;
}

/*  63      56 55 54 53 52 51   48 47 46 45 44 43   40 39      32 31         16 15          0
 * | base 31:24| G| D| L|AV|limit | P| DPL | S| type  |base 23:16| base 15:0   | limit 15:0  | */
static struct x86_seg segment_of(uint64_t descriptor, uint16_t selector)
{
	uint32_t limit = (uint32_t)((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000));
	struct x86_seg seg = {
		.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000),
		.selector = selector,
		.type = descriptor >> 40 & 0xf,
		.dpl = descriptor >> 45 & 3,
		.s = descriptor >> 44 & 1,
		.present = descriptor >> 47 & 1,
		.avl = descriptor >> 52 & 1,
		.l = descriptor >> 53 & 1,
		.db = descriptor >> 54 & 1,
		.g = descriptor >> 55 & 1,
	};

	seg.limit = seg.g ? limit << 12 | 0xfff : limit;
	return seg;
}

static int fetch_descriptor(struct reg_edit *edit, uint16_t selector, uint64_t *out_descriptor)
{
	bool is_local = selector & SELECTOR_TI;
	const struct x86_state *st = &edit->st;
	uint64_t base = is_local ? st->ldtr.base : st->gdtr.base;
	uint64_t limit = is_local ? st->ldtr.limit : st->gdtr.limit;
	unsigned offset = selector & ~7u;
	gva_t va = base + offset;
	uint8_t bytes[8];

	if (is_local && (st->ldtr.unusable || !st->ldtr.present))
		return umbra_err_set(&edit->err, EINVAL, "selector 0x%x: there is no LDT",
				     selector);
	if (offset + 7u > limit)
		return umbra_err_set(&edit->err, EINVAL,
				     "selector 0x%x lies outside the %s (limit 0x%llx)", selector,
				     is_local ? "LDT" : "GDT", (unsigned long long)limit);
	if (edit->mem_read(edit->ctx, va, bytes, sizeof(bytes)) != sizeof(bytes))
		return umbra_err_set(&edit->err, EFAULT,
				     "selector 0x%x: its descriptor at 0x%llx is not mapped",
				     selector, (unsigned long long)va);
	*out_descriptor = le64_get(bytes);
	return 0;
}

/* NULL when @seg may be loaded into CS. */
static const char *code_objection(const struct x86_state *st, const struct x86_seg *seg)
{
	unsigned cpl = x86_cpl_of(st);

	if (!(seg->type & TYPE_CODE))
		return "not a code segment";
	if (seg->l && seg->db && (st->efer & X86_EFER_LMA))
		return "both L and D are set";
	if (seg->type & TYPE_CONFORMING)
		return seg->dpl > cpl ? "its privilege level is not reachable from here" : NULL;
	if (seg->dpl != cpl || (seg->selector & SELECTOR_RPL) != cpl)
		return "it would change the privilege level";
	return NULL;
}

static const char *stack_objection(const struct x86_state *st, const struct x86_seg *seg)
{
	unsigned cpl = x86_cpl_of(st);

	if ((seg->type & TYPE_CODE) || !(seg->type & TYPE_READABLE))
		return "not a writable data segment";
	if (seg->dpl != cpl || (seg->selector & SELECTOR_RPL) != cpl)
		return "it would change the privilege level";
	return NULL;
}

static const char *data_objection(const struct x86_state *st, const struct x86_seg *seg)
{
	unsigned cpl = x86_cpl_of(st);
	unsigned rpl = seg->selector & SELECTOR_RPL;
	bool is_code = seg->type & TYPE_CODE;

	if (is_code && !(seg->type & TYPE_READABLE))
		return "code that is not readable";
	if (is_code && (seg->type & TYPE_CONFORMING))
		return NULL;
	return seg->dpl < cpl || seg->dpl < rpl ? "more privileged than the guest is" : NULL;
}

static const char *objection(const struct x86_state *st, enum x86_seg_reg which,
			     const struct x86_seg *seg)
{
	if (!seg->s)
		return "a system descriptor";
	if (!seg->present)
		return "not present";
	if (which == X86_CS)
		return code_objection(st, seg);
	return which == X86_SS ? stack_objection(st, seg) : data_objection(st, seg);
}

/* A null selector makes a data segment unusable; a stack may be null in 64-bit mode outside of
 * ring 3 only. */
static int load_null(struct reg_edit *edit, enum x86_seg_reg which, uint16_t selector)
{
	struct x86_state *st = &edit->st;
	unsigned cpl = x86_cpl_of(st);
	bool is_allowed = which != X86_CS;

	if (which == X86_SS)
		is_allowed = x86_mode_of(st) == X86_MODE_LONG64 && cpl < 3 && selector == cpl;
	if (!is_allowed)
		return umbra_err_set(&edit->err, EINVAL, "%s cannot be null here",
				     which == X86_CS ? "cs" : "ss");
	st->seg[which] = (struct x86_seg){
		.selector = selector, .dpl = which == X86_SS ? (uint8_t)cpl : 0, .unusable = true};
	return 0;
}

int regs_load_segment(struct reg_edit *edit, enum x86_seg_reg which, uint16_t selector)
{
	struct x86_state *st = &edit->st;
	uint64_t descriptor = 0;
	struct x86_seg seg;
	const char *why;
	int error;

	if (!uses_descriptors(st)) {
		/* Limit and rights stay, as they do in the processor. */
		st->seg[which].selector = selector;
		st->seg[which].base = (uint64_t)selector << 4;
		return 0;
	}
	if (!(selector & ~SELECTOR_RPL))
		return load_null(edit, which, selector);
	error = fetch_descriptor(edit, selector, &descriptor);
	if (error)
		return error;
	seg = segment_of(descriptor, selector);
	why = objection(st, which, &seg);
	if (why)
		return umbra_err_set(&edit->err, EINVAL, "selector 0x%x: %s", selector, why);
	seg.type |= TYPE_ACCESSED;
	st->seg[which] = seg;
	return 0;
}
