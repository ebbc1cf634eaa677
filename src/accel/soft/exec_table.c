/* Descriptor tables and selectors: LGDT to SIDT, LLDT, LTR, SLDT, STR, and the questions LAR, LSL,
 * VERR, VERW, ARPL.
 * Source: SDM 2A and 2B under these names; 3A 3.4.5, 3.5 (descriptors), 5.10 (checking rights). */
#include "access.h"
#include "exec_sys.h"
#include "seg.h"

/* Masks over enum seg_system_type: what LAR and LSL know, outside and in IA-32e mode. */
#define LAR_TYPES      0x1a3eu /* 1-5, 9, B, C */
#define LAR_TYPES_LONG 0x1a04u /* 2, 9, B, C */
#define LSL_TYPES      0x0a0eu /* 1-3, 9, B */
#define LSL_TYPES_LONG 0x0a04u /* 2, 9, B */

#define ERROR_OF(s) ((uint16_t)((s)&0xfffc))

/* GDTR and IDTR: imm = bytes of the base. */

static void load_table(struct soft_cpu *c, const struct insn *i, struct x86_table_reg *reg)
{
	uint8_t bytes[10];
	uint64_t base;

	soft_load_bytes(c, soft_insn_address(c, i), bytes, 2 + (i->imm == 8 ? 8 : 4));
	base = i->imm == 8 ? le64_get(bytes + 2) : le32_get(bytes + 2);
	if (i->imm == 3)
		base &= 0xffffff;
	if (!soft_is_canonical(c, base))
		sys_gp(c, 0);
	reg->base = base;
	reg->limit = le16_get(bytes);
}

static void lgdt(struct soft_cpu *c, const struct insn *i)
{
	load_table(c, i, &c->gdtr);
}
SOFT_PLAIN(lgdt)

static void lidt(struct soft_cpu *c, const struct insn *i)
{
	load_table(c, i, &c->idtr);
}
SOFT_PLAIN(lidt)

/* Processors since the 386 store 32 bits of the base whatever the operand size. */
static void store_table(struct soft_cpu *c, const struct insn *i, const struct x86_table_reg *reg)
{
	uint8_t bytes[10];

	le16_put(bytes, reg->limit);
	le64_put(bytes + 2, reg->base);
	soft_store_bytes(c, soft_insn_address(c, i), bytes, 2 + i->imm);
}

static void sgdt(struct soft_cpu *c, const struct insn *i)
{
	store_table(c, i, &c->gdtr);
}
SOFT_PLAIN(sgdt)

static void sidt(struct soft_cpu *c, const struct insn *i)
{
	store_table(c, i, &c->idtr);
}
SOFT_PLAIN(sidt)

static bool emit_load_table(struct tr *t, soft_op_fn *fn)
{
	unsigned base_bytes = t->code_bits == 64 ? 8 : t->operand_bits == 16 ? 3 : 4;
	unsigned size = t->code_bits == 64 ? 10 : 6;

	tr_slot_mem(t, fn, &t->op[0], size, false)->imm = base_bytes;
	return true;
}

static bool emit_store_table(struct tr *t, soft_op_fn *fn)
{
	unsigned base_bytes = t->code_bits == 64 ? 8 : 4;

	sys_check_umip(t);
	tr_slot_mem(t, fn, &t->op[0], 2 + base_bytes, true)->imm = base_bytes;
	return true;
}

bool sys_emit_lgdt(struct tr *t)
{
	return emit_load_table(t, op_lgdt);
}

bool sys_emit_lidt(struct tr *t)
{
	return emit_load_table(t, op_lidt);
}

bool sys_emit_sgdt(struct tr *t)
{
	return emit_store_table(t, op_sgdt);
}

bool sys_emit_sidt(struct tr *t)
{
	return emit_store_table(t, op_sidt);
}

/* LDTR and TR. */

static unsigned system_type(const struct soft_descriptor *d)
{
	return (unsigned)(d->low >> 40) & 0xf;
}

static bool is_system(const struct soft_descriptor *d)
{
	return !(d->low >> 44 & 1);
}

static unsigned descriptor_dpl(const struct soft_descriptor *d)
{
	return (unsigned)(d->low >> 45) & 3;
}

static bool is_present(const struct soft_descriptor *d)
{
	return d->low >> 47 & 1;
}

static bool is_null(uint16_t selector)
{
	return ERROR_OF(selector) == 0;
}

/* The descriptor of a system segment that lies in the GDT; its type is one of the mask @types. */
static void load_system(struct soft_cpu *c, uint16_t selector, unsigned types,
			struct soft_descriptor *out_desc)
{
	if (selector & SEG_LOCAL)
		sys_gp(c, ERROR_OF(selector));
	soft_load_descriptor(c, selector, X86_EXC_GP, out_desc);
	if (!is_system(out_desc) || !(types >> system_type(out_desc) & 1))
		sys_gp(c, ERROR_OF(selector));
	if (!is_present(out_desc))
		soft_raise_error(c, X86_EXC_NP, ERROR_OF(selector));
	if (!soft_is_canonical(c, soft_seg_of(out_desc, selector).base))
		sys_gp(c, ERROR_OF(selector));
}

static void lldt(struct soft_cpu *c, const struct insn *i)
{
	uint16_t selector = SOFT_REG(soft_u16, i->src);
	struct soft_descriptor d;

	if (is_null(selector)) {
		c->ldtr = (struct x86_seg){.selector = selector, .unusable = true};
		return;
	}
	load_system(c, selector, 1u << SEG_LDT, &d);
	c->ldtr = soft_seg_of(&d, selector);
}
SOFT_PLAIN(lldt)

/* The TSS becomes busy, in its descriptor too. */
static void ltr(struct soft_cpu *c, const struct insn *i)
{
	uint16_t selector = SOFT_REG(soft_u16, i->src);
	unsigned types = 1u << SEG_TSS | (soft_is_long(c) ? 0 : 1u << SEG_TSS16);
	struct soft_descriptor d;

	if (is_null(selector))
		sys_gp(c, 0);
	load_system(c, selector, types, &d);
	soft_store_sys(c, d.la + 5, 1, (uint8_t)(d.low >> 40) | SEG_BUSY);
	c->tr = soft_seg_of(&d, selector);
	c->tr.type |= SEG_BUSY;
}
SOFT_PLAIN(ltr)

static bool emit_load_selector(struct tr *t, soft_op_fn *fn)
{
	uint8_t src = sys_source16(t, &t->op[0]);

	tr_slot(t, fn)->src = src;
	return true;
}

bool sys_emit_lldt(struct tr *t)
{
	return emit_load_selector(t, op_lldt);
}

bool sys_emit_ltr(struct tr *t)
{
	return emit_load_selector(t, op_ltr);
}

static void sldt(struct soft_cpu *c, const struct insn *i)
{
	sys_store(c, i, c->ldtr.selector);
}
SOFT_PLAIN(sldt)

static void str(struct soft_cpu *c, const struct insn *i)
{
	sys_store(c, i, c->tr.selector);
}
SOFT_PLAIN(str)

bool sys_emit_sldt(struct tr *t)
{
	return sys_emit_store(t, op_sldt);
}

bool sys_emit_str(struct tr *t)
{
	return sys_emit_store(t, op_str);
}

/* Questions about a selector: none of them faults over the answer. */

static bool is_conforming(const struct soft_descriptor *d)
{
	return !is_system(d) && (~system_type(d) & (SEG_CODE | SEG_CONFORMING)) == 0;
}

/* May this CPL and the selector's RPL see the descriptor at all? */
static bool is_visible(const struct soft_cpu *c, const struct soft_descriptor *d, uint16_t selector)
{
	unsigned dpl = descriptor_dpl(d);

	return is_conforming(d) || (c->cpl <= dpl && (selector & 3u) <= dpl);
}

/* LAR and LSL: code, data, and the system types of @types. */
static bool find_for(struct soft_cpu *c, uint16_t selector, unsigned types,
		     struct soft_descriptor *out_desc)
{
	return soft_find_descriptor(c, selector, out_desc) &&
	       (!is_system(out_desc) || (types >> system_type(out_desc) & 1)) &&
	       is_visible(c, out_desc, selector);
}

/* Destination register of LAR and LSL: disp = its width. */
static void put_answer(struct soft_cpu *c, const struct insn *i, uint32_t value)
{
	if (i->disp == 16)
		soft_set_reg16(c, i->dst / 8, (uint16_t)value);
	else
		c->r[i->dst / 8] = value;
}

static void lar(struct soft_cpu *c, const struct insn *i)
{
	unsigned types = soft_is_long(c) ? LAR_TYPES_LONG : LAR_TYPES;
	struct soft_descriptor d;
	bool is_found = find_for(c, SOFT_REG(soft_u16, i->src), types, &d);

	if (is_found)
		put_answer(c, i, (uint32_t)(d.low >> 32) & 0x00ffff00);
	sys_set_zf(c, is_found);
}
SOFT_PLAIN(lar)

static void lsl(struct soft_cpu *c, const struct insn *i)
{
	unsigned types = soft_is_long(c) ? LSL_TYPES_LONG : LSL_TYPES;
	uint16_t selector = SOFT_REG(soft_u16, i->src);
	struct soft_descriptor d;
	bool is_found = find_for(c, selector, types, &d);

	if (is_found)
		put_answer(c, i, soft_seg_of(&d, selector).limit);
	sys_set_zf(c, is_found);
}
SOFT_PLAIN(lsl)

static bool emit_question(struct tr *t, soft_op_fn *fn)
{
	uint8_t src = sys_source16(t, &t->op[1]);
	struct insn *i = tr_slot(t, fn);

	i->src = src;
	i->dst = tr_reg(t->op[0].reg.value);
	i->disp = t->operand_bits;
	return true;
}

bool sys_emit_lar(struct tr *t)
{
	return emit_question(t, op_lar);
}

bool sys_emit_lsl(struct tr *t)
{
	return emit_question(t, op_lsl);
}

/* Data is always readable, code never writable. */
static bool allows(const struct soft_descriptor *d, bool is_write)
{
	unsigned type = system_type(d);
	bool is_code = type & SEG_CODE;

	if (is_code)
		return !is_write && (type & SEG_READABLE);
	return !is_write || (type & SEG_WRITABLE);
}

static void verify(struct soft_cpu *c, const struct insn *i, bool is_write)
{
	uint16_t selector = SOFT_REG(soft_u16, i->src);
	struct soft_descriptor d;

	sys_set_zf(c, find_for(c, selector, 0, &d) && allows(&d, is_write));
}

static void verify_read(struct soft_cpu *c, const struct insn *i)
{
	verify(c, i, false);
}
SOFT_PLAIN(verify_read)

static void verify_write(struct soft_cpu *c, const struct insn *i)
{
	verify(c, i, true);
}
SOFT_PLAIN(verify_write)

bool sys_emit_verr(struct tr *t)
{
	return emit_load_selector(t, op_verify_read);
}

bool sys_emit_verw(struct tr *t)
{
	return emit_load_selector(t, op_verify_write);
}

/* ARPL: the destination's RPL is raised to the source's. */
static uint16_t raised_rpl(uint16_t selector, uint16_t other)
{
	return (uint16_t)((selector & ~3u) | (other & 3u));
}

static bool must_raise(uint16_t selector, uint16_t other)
{
	return (selector & 3u) < (other & 3u);
}

static void arpl_reg(struct soft_cpu *c, const struct insn *i)
{
	uint16_t selector = SOFT_REG(soft_u16, i->dst), other = SOFT_REG(soft_u16, i->src);
	bool is_raised = must_raise(selector, other);

	if (is_raised)
		SOFT_REG(soft_u16, i->dst) = raised_rpl(selector, other);
	sys_set_zf(c, is_raised);
}
SOFT_PLAIN(arpl_reg)

/* Needs to be writable only where it is written. */
static void arpl_mem(struct soft_cpu *c, const struct insn *i)
{
	uint64_t offset = soft_insn_address(c, i);
	gva_t la = soft_seg_address(c, SOFT_SEG_OF(i), offset, 2, false);
	uint16_t selector, other = SOFT_REG(soft_u16, i->src);
	bool is_raised;

	selector = (uint16_t)soft_load(c, la, 2);
	is_raised = must_raise(selector, other);
	if (is_raised) {
		la = soft_seg_address(c, SOFT_SEG_OF(i), offset, 2, true);
		soft_store(c, la, 2, raised_rpl(selector, other));
	}
	sys_set_zf(c, is_raised);
}
SOFT_PLAIN(arpl_mem)

bool sys_emit_arpl(struct tr *t)
{
	bool is_mem = tr_is_mem(&t->op[0]);
	struct insn *i = is_mem ? tr_slot_lea(t, op_arpl_mem, &t->op[0]) : tr_slot(t, op_arpl_reg);

	i->src = tr_reg(t->op[1].reg.value);
	if (is_mem)
		i->seg_len =
			(uint8_t)((t->op[0].mem.segment - ZYDIS_REGISTER_ES) << 4 | SOFT_LEN_OF(i));
	else
		i->dst = tr_reg(t->op[0].reg.value);
	return true;
}
