/* Segmentation: descriptors, the checks of data segments, and the address of an operand.
 * Source: SDM 3A 3.4 and 3.5 (segments, descriptors), 5.3 (limits), 5.4 (types and null selectors),
 * 5.5 and 5.6 (privilege), 20.1.1 (real mode); SDM 2B MOV; APM2 4.5.3 (64-bit mode). */
#include "seg.h"
#include "access.h"

/* Fields of a descriptor's first eight bytes (SDM 3A figure 3-8). */
#define DESC_TYPE(low)	(((low) >> 40) & 0xf)
#define DESC_S(low)	(((low) >> 44) & 1)
#define DESC_DPL(low)	(((low) >> 45) & 3)
#define DESC_P(low)	(((low) >> 47) & 1)
#define DESC_ACCESSED	(1ull << 40)
#define DESC_TYPE_BYTE	5		  /* the byte that holds type, S, DPL and P */
#define DESC_HIGH_ZEROS 0x1f0000000000ull /* type of the second half: must be 0 */

#define LIMIT_64K 0xffffu

_Noreturn void seg_raise(struct soft_cpu *c, enum x86_vector vector, uint16_t selector,
			 unsigned ext)
{
	soft_raise_error(c, vector, (selector & SEG_INDEX_MASK) | ext);
}

bool seg_is_canonical(const struct soft_cpu *c, uint64_t va)
{
	unsigned unused = c->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/* Addresses. */

/* An expand-up segment of 4 GiB has no limit: accesses wrap around its end (SDM 3A 5.3.1 leaves it
 * open). */
bool seg_holds(const struct x86_seg *seg, uint64_t offset, unsigned len)
{
	uint64_t last = offset + len - 1;

	if (seg->s && (seg->type & (SEG_CODE | SEG_DOWN)) == SEG_DOWN)
		return offset > seg->limit && last <= (seg->db ? UINT32_MAX : LIMIT_64K);
	return last <= seg->limit || seg->limit == UINT32_MAX;
}

static bool may_access(const struct soft_cpu *c, const struct x86_seg *seg, bool is_write)
{
	if (!soft_is_protected(c))
		return true;
	if (seg->unusable)
		return false;
	return is_write ? seg_is_writable(seg) : seg_is_readable(seg);
}

_Noreturn static void raise_address(struct soft_cpu *c, unsigned seg)
{
	soft_raise_error(c, seg == X86_SS ? X86_EXC_SS : X86_EXC_GP, 0);
}

static gva_t address64(struct soft_cpu *c, unsigned seg, uint64_t offset, unsigned len)
{
	gva_t la = offset;

	if (seg == X86_FS || seg == X86_GS)
		la += c->seg[seg].base;
	if (!seg_is_canonical(c, la) || !seg_is_canonical(c, la + len - 1))
		raise_address(c, seg);
	return la;
}

gva_t soft_seg_address(struct soft_cpu *c, unsigned seg, uint64_t offset, unsigned len,
		       bool is_write)
{
	const struct x86_seg *s = &c->seg[seg];

	if (soft_is_code64(c))
		return address64(c, seg, offset, len);
	if (!may_access(c, s, is_write) || !seg_holds(s, offset, len))
		raise_address(c, seg);
	return (uint32_t)(s->base + offset);
}

/* Descriptors. */

/* System descriptors of IA-32e mode that are 16 bytes long; type 0 is the second half of one. */
static bool is_long_descriptor(const struct soft_cpu *c, uint64_t low)
{
	if (!soft_is_long(c) || DESC_S(low))
		return false;
	switch (DESC_TYPE(low)) {
	case SEG_LDT:
	case SEG_TSS:
	case SEG_TSS_BUSY:
	case SEG_CALL_GATE:
		return true;
	default:
		return false;
	}
}

/* Table of @selector: false when there is none. */
static bool find_table(const struct soft_cpu *c, uint16_t selector, uint64_t *out_base,
		       uint32_t *out_limit)
{
	if (!(selector & SEG_LOCAL)) {
		*out_base = c->gdtr.base;
		*out_limit = c->gdtr.limit;
		return true;
	}
	*out_base = c->ldtr.base;
	*out_limit = c->ldtr.limit;
	return !c->ldtr.unusable;
}

static gva_t table_address(const struct soft_cpu *c, uint64_t base, uint32_t offset)
{
	return soft_is_long(c) ? base + offset : (uint32_t)(base + offset);
}

bool soft_find_descriptor(struct soft_cpu *c, uint16_t selector, struct soft_descriptor *out_desc)
{
	uint32_t offset = selector & 0xfff8u;
	uint64_t base;
	uint32_t limit;

	*out_desc = (struct soft_descriptor){0};
	if (seg_is_null(selector) || !find_table(c, selector, &base, &limit) || offset + 7 > limit)
		return false;
	out_desc->la = table_address(c, base, offset);
	out_desc->low = soft_load_sys(c, out_desc->la, 8);
	if (!is_long_descriptor(c, out_desc->low))
		return true;
	if (offset + 15 > limit)
		return false;
	out_desc->high = soft_load_sys(c, out_desc->la + 8, 8);
	return !(out_desc->high & DESC_HIGH_ZEROS);
}

void soft_load_descriptor(struct soft_cpu *c, uint16_t selector, enum x86_vector vector,
			  struct soft_descriptor *out_desc)
{
	if (!soft_find_descriptor(c, selector, out_desc))
		seg_raise(c, vector, selector, 0);
}

struct x86_seg soft_seg_of(const struct soft_descriptor *desc, uint16_t selector)
{
	uint64_t low = desc->low;
	uint32_t limit = (uint32_t)((low & 0xffff) | ((low >> 32) & 0xf0000));
	struct x86_seg seg = {
		.selector = selector,
		.base = ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000),
		.type = (uint8_t)DESC_TYPE(low),
		.s = DESC_S(low),
		.dpl = (uint8_t)DESC_DPL(low),
		.present = DESC_P(low),
		.avl = (low >> 52) & 1,
		.l = (low >> 53) & 1,
		.db = (low >> 54) & 1,
		.g = (low >> 55) & 1,
	};

	seg.limit = seg.g ? limit << 12 | 0xfff : limit;
	if (!seg.s)
		seg.base |= desc->high << 32;
	return seg;
}

struct seg_gate seg_gate_of(const struct soft_descriptor *desc)
{
	uint64_t low = desc->low;
	struct seg_gate gate = {
		.type = (uint8_t)DESC_TYPE(low),
		.dpl = (uint8_t)DESC_DPL(low),
		.present = DESC_P(low),
		.selector = (uint16_t)(low >> 16),
		.offset = (low & 0xffff) | ((low >> 32) & 0xffff0000) | desc->high << 32,
		.params = (low >> 32) & 0x1f,
		.ist = (low >> 32) & 7,
	};

	return gate;
}

void seg_pick(struct soft_cpu *c, uint16_t selector, enum x86_vector vector, unsigned ext,
	      struct seg_pick *out_pick)
{
	if (!soft_find_descriptor(c, selector, &out_pick->desc))
		seg_raise(c, vector, selector, ext);
	out_pick->seg = soft_seg_of(&out_pick->desc, selector);
}

void seg_mark_accessed(struct soft_cpu *c, struct seg_pick *pick)
{
	uint64_t now = pick->desc.low | DESC_ACCESSED;

	if (pick->desc.low != now)
		soft_store_sys(c, pick->desc.la + DESC_TYPE_BYTE, 1,
			       (now >> 8 * DESC_TYPE_BYTE) & 0xff);
	pick->desc.low = now;
	pick->seg.type |= SEG_ACCESSED;
}

/* Checks. */

void seg_check_stack(struct soft_cpu *c, const struct seg_pick *pick, unsigned cpl,
		     enum x86_vector vector, unsigned ext)
{
	const struct x86_seg *seg = &pick->seg;

	if ((seg->selector & 3u) != cpl || !seg_is_writable(seg) || seg->dpl != cpl)
		seg_raise(c, vector, seg->selector, ext);
	if (!seg->present)
		seg_raise(c, X86_EXC_SS, seg->selector, ext);
}

void seg_check_data(struct soft_cpu *c, const struct seg_pick *pick, unsigned cpl,
		    enum x86_vector vector, unsigned ext)
{
	const struct x86_seg *seg = &pick->seg;
	unsigned rpl = seg->selector & 3u;

	if (!seg_is_readable(seg))
		seg_raise(c, vector, seg->selector, ext);
	if (!seg_is_conforming(seg) && (rpl > seg->dpl || cpl > seg->dpl))
		seg_raise(c, vector, seg->selector, ext);
	if (!seg->present)
		seg_raise(c, X86_EXC_NP, seg->selector, ext);
}

void seg_check_target(struct soft_cpu *c, const struct x86_seg *cs, uint64_t offset, unsigned ext)
{
	bool is_inside;

	if (soft_is_long(c) && cs->l)
		is_inside = seg_is_canonical(c, offset);
	else
		is_inside = offset <= cs->limit;
	if (!is_inside)
		soft_raise_error(c, X86_EXC_GP, ext);
}

/* Loads. */

struct x86_seg seg_null(uint16_t selector)
{
	return (struct x86_seg){.selector = selector, .unusable = true};
}

/* DPL stays readable: it is the CPL (SDM 3C 24.4.1). */
struct x86_seg seg_null_stack(uint16_t selector, unsigned cpl)
{
	return (struct x86_seg){.selector = selector,
				.type = SEG_DATA_RW,
				.s = true,
				.dpl = (uint8_t)cpl,
				.unusable = true};
}

/* Limit and rights stay as they are: what protected mode loaded there still counts ("unreal"
 * mode). */
void seg_load_real(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	struct x86_seg *s = &c->seg[seg];

	if (s->unusable)
		*s = x86_seg_real(selector);
	s->selector = selector;
	s->base = (uint64_t)selector << 4;
	s->present = true;
}

void seg_load_v86(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	c->seg[seg] = x86_seg_real(selector);
	c->seg[seg].dpl = 3;
}

void seg_enter_code(struct soft_cpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t offset)
{
	c->seg[X86_CS] = *cs;
	c->seg[X86_CS].selector = (uint16_t)((cs->selector & SEG_INDEX_MASK) | cpl);
	c->cpl = (uint8_t)cpl;
	c->rip = offset;
	soft_mode_changed(c);
}

/* A null selector is an operand that faults when it is used; SS may only be null in 64-bit mode
 * above ring 3. */
static void load_null(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	if (seg != X86_SS) {
		c->seg[seg] = seg_null(selector);
		return;
	}
	if (!soft_is_code64(c) || c->cpl == 3 || (selector & 3u) != c->cpl)
		soft_raise_error(c, X86_EXC_GP, 0);
	c->seg[seg] = seg_null_stack(selector, c->cpl);
}

static void load_protected(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	struct seg_pick pick;

	if (seg_is_null(selector)) {
		load_null(c, seg, selector);
		return;
	}
	seg_pick(c, selector, X86_EXC_GP, 0, &pick);
	if (seg == X86_SS)
		seg_check_stack(c, &pick, c->cpl, X86_EXC_GP, 0);
	else
		seg_check_data(c, &pick, c->cpl, X86_EXC_GP, 0);
	seg_mark_accessed(c, &pick);
	c->seg[seg] = pick.seg;
}

void soft_load_segment(struct soft_cpu *c, unsigned seg, uint16_t selector)
{
	if (soft_is_protected(c))
		load_protected(c, seg, selector);
	else if (seg_is_v86(c))
		seg_load_v86(c, seg, selector);
	else
		seg_load_real(c, seg, selector);
	soft_mode_changed(c);
}
