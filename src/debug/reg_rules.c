/* Rules of the system registers.  What passes here is a state that a processor can be in: a virtual
 * processor that could not be entered again would be worse than a refusal.
 * Sources: SDM 3C 27.3.1.2 (segment registers) and 24.4.1 (access rights); SDM 3A 17.2 (debug
 * registers), 11.12.2 (PAT). */
#include "reg_rules.h"

#include <errno.h>

int regs_refuse(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value, const char *why)
{
	return umbra_err_set(&edit->err, EINVAL, "%s cannot be 0x%llx: %s", reg->name,
			     (unsigned long long)value, why);
}

bool regs_is_canonical(const struct x86_state *st, uint64_t address)
{
	unsigned bits = st->cr4 & X86_CR4_LA57 ? 57 : 48;
	uint64_t above = address >> (bits - 1);

	return above == 0 || above == ~0ull >> (bits - 1);
}

static uint64_t *field_of(struct reg_edit *edit, const struct reg_desc *reg)
{
	return (uint64_t *)(void *)((uint8_t *)&edit->st + reg->offset);
}

/* Numbers. */

int regs_set_32(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	if (value >> 32)
		return regs_refuse(edit, reg, value, "bits 32 to 63 are reserved");
	*field_of(edit, reg) = value;
	return 0;
}

int regs_set_pat(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		unsigned type = value >> shift & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return regs_refuse(edit, reg, value, "a memory type is 0, 1 or 4 to 7");
	}
	*field_of(edit, reg) = value;
	return 0;
}

#define DR6_ONES  0xffff0ff0u
#define DR6_KNOWN 0xffffeffful
#define DR7_ONES  0x400u
#define DR7_KNOWN 0xffff27fful

int regs_set_debug(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	uint64_t *dr = field_of(edit, reg);

	if (dr < &edit->st.dr[6]) {
		*dr = value;
		return 0;
	}
	if (value >> 32)
		return regs_refuse(edit, reg, value, "bits 32 to 63 are reserved");
	*dr = dr == &edit->st.dr[6] ? (value & DR6_KNOWN) | DR6_ONES
				    : (value & DR7_KNOWN) | DR7_ONES;
	return 0;
}

/* Segments. */

static const struct x86_seg *segment_at(const struct x86_state *st, size_t offset)
{
	return (const struct x86_seg *)(const void *)((const uint8_t *)st + offset);
}

static struct x86_seg *segment_of(struct reg_edit *edit, const struct reg_desc *reg, size_t member)
{
	return (struct x86_seg *)(void *)((uint8_t *)&edit->st + (reg->offset - member));
}

/* In virtual-8086 mode the hidden parts follow from the selectors, without exception. */
static bool is_fixed(const struct x86_state *st)
{
	return x86_mode_of(st) == X86_MODE_V86;
}
#define WHY_FIXED "virtual-8086 mode fixes it"

int regs_set_hidden_base(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	const struct x86_state *st = &edit->st;
	struct x86_seg *seg = segment_of(edit, reg, offsetof(struct x86_seg, base));
	bool is_wide = seg == &st->ldtr || seg == &st->tr;

	if (is_fixed(st) && !is_wide)
		return regs_refuse(edit, reg, value, WHY_FIXED);
	if (is_wide ? !regs_is_canonical(st, value) : value >> 32 != 0)
		return regs_refuse(edit, reg, value,
				   is_wide ? "not a canonical address" : "it has 32 bits");
	seg->base = value;
	return 0;
}

int regs_set_limit(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	const struct x86_state *st = &edit->st;
	struct x86_seg *seg = segment_of(edit, reg, offsetof(struct x86_seg, limit));
	bool is_pages = (value & 0xfff) == 0xfff;

	if (is_fixed(st) && seg != &st->ldtr && seg != &st->tr)
		return regs_refuse(edit, reg, value, WHY_FIXED);
	if (value >> 20 && !is_pages)
		return regs_refuse(edit, reg, value, "above 1 MiB it ends in fff");
	if (value >> 20 || !is_pages)
		seg->g = value >> 20 != 0;
	seg->limit = (uint32_t)value;
	return 0;
}

/*   16  15 14 13 12  11    8  7 6   5  4  3    0
 * | unus| G|DB| L|AVL| zero  | P| DPL | S| type | */
#define RIGHTS_S	0x10u
#define RIGHTS_DPL	0x60u
#define RIGHTS_P	0x80u
#define RIGHTS_AVL	0x1000u
#define RIGHTS_L	0x2000u
#define RIGHTS_DB	0x4000u
#define RIGHTS_G	0x8000u
#define RIGHTS_UNUSABLE 0x10000u
#define RIGHTS_KNOWN	0x1f0ffu

/* Of the type (SDM 3A tables 3-1 and 3-2). */
#define TYPE_ACCESSED 1u
#define TYPE_RW	      2u /* code: readable; data: writable */
#define TYPE_CODE     8u
#define TYPE_LDT      2u
#define TYPE_TSS16    3u /* busy */
#define TYPE_TSS32    11u

uint64_t regs_get_rights(const struct x86_state *st, const struct reg_desc *reg)
{
	const struct x86_seg *seg = segment_at(st, reg->offset - offsetof(struct x86_seg, limit));

	return seg->type | (seg->s ? RIGHTS_S : 0) | (uint64_t)seg->dpl << 5 |
	       (seg->present ? RIGHTS_P : 0) | (seg->avl ? RIGHTS_AVL : 0) |
	       (seg->l ? RIGHTS_L : 0) | (seg->db ? RIGHTS_DB : 0) | (seg->g ? RIGHTS_G : 0) |
	       (seg->unusable ? RIGHTS_UNUSABLE : 0);
}

static const char *refuse_system_segment(const struct x86_state *st, bool is_tr, unsigned rights)
{
	unsigned type = rights & 0xf;

	if (rights & RIGHTS_UNUSABLE)
		return is_tr ? "tr is always usable" : NULL;
	if ((rights & RIGHTS_S) || !(rights & RIGHTS_P))
		return "it is a system segment, and present";
	if (!is_tr)
		return type == TYPE_LDT ? NULL : "the type is that of an LDT, 2";
	if (type == TYPE_TSS32 || (type == TYPE_TSS16 && !(st->efer & X86_EFER_LMA)))
		return NULL;
	return "the type is that of a busy TSS, 11, or outside long mode 3";
}

static const char *refuse_code(const struct x86_state *st, unsigned rights)
{
	if (rights & RIGHTS_UNUSABLE)
		return "cs is always usable";
	if (!(rights & TYPE_CODE))
		return "its type is one of code";
	if ((rights & RIGHTS_L) && (rights & RIGHTS_DB))
		return "L and DB are both set";
	if ((rights & RIGHTS_L) && !(st->efer & X86_EFER_LMA))
		return "L needs long mode";
	return NULL;
}

static const char *refuse_data(bool is_ss, unsigned rights)
{
	if (is_ss && (rights & (TYPE_CODE | TYPE_RW)) != TYPE_RW)
		return "a stack's type is writable data";
	if ((rights & (TYPE_CODE | TYPE_RW)) == TYPE_CODE)
		return "code that cannot be read is for cs alone";
	return NULL;
}

static const char *refuse_segment(const struct x86_state *st, const struct x86_seg *seg,
				  unsigned rights)
{
	bool is_cs = seg == &st->seg[X86_CS];
	bool is_ss = seg == &st->seg[X86_SS];
	const char *why = NULL;

	if (x86_mode_of(st) == X86_MODE_REAL || is_fixed(st))
		return "real and virtual-8086 mode have no access rights";
	if ((is_cs || is_ss) && (rights & RIGHTS_DPL) >> 5 != seg->dpl)
		return "the privilege level changes by loading a selector";
	if (is_cs)
		why = refuse_code(st, rights);
	if (why || (rights & RIGHTS_UNUSABLE))
		return why;
	if (!(rights & RIGHTS_S) || !(rights & RIGHTS_P) || !(rights & TYPE_ACCESSED))
		return "it is code or data, present and accessed";
	return is_cs ? NULL : refuse_data(is_ss, rights);
}

static const char *refuse_rights(const struct x86_state *st, const struct x86_seg *seg,
				 unsigned rights)
{
	bool is_pages = rights & RIGHTS_G;

	if (rights & ~RIGHTS_KNOWN)
		return "it has reserved bits";
	if (is_pages ? (seg->limit & 0xfff) != 0xfff : seg->limit >> 20 != 0)
		return "G does not fit the limit";
	if (seg == &st->tr || seg == &st->ldtr)
		return refuse_system_segment(st, seg == &st->tr, rights);
	return refuse_segment(st, seg, rights);
}

int regs_set_rights(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	struct x86_seg *seg = segment_of(edit, reg, offsetof(struct x86_seg, limit));
	unsigned rights = (unsigned)value;
	const char *why = refuse_rights(&edit->st, seg, rights);

	if (why)
		return regs_refuse(edit, reg, value, why);
	seg->type = rights & 0xf;
	seg->s = rights & RIGHTS_S;
	seg->dpl = (rights & RIGHTS_DPL) >> 5;
	seg->present = rights & RIGHTS_P;
	seg->avl = rights & RIGHTS_AVL;
	seg->l = rights & RIGHTS_L;
	seg->db = rights & RIGHTS_DB;
	seg->g = rights & RIGHTS_G;
	seg->unusable = rights & RIGHTS_UNUSABLE;
	return 0;
}
