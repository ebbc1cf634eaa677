/* Address operations: slots that run in front of an instruction and leave the linear address of its
 * memory operand where the instruction looks for it.  Plain 64-bit addresses need none: the
 * instruction adds base, index and displacement itself.
 *
 * A segment with a limit is checked here, in line for the segments that programs use (data that
 * grows upwards), by soft_seg_address for all others.
 * Source: SDM 1 3.3.7 and 3.7.5, 3A 5.3. */
#include "seg.h"
#include "translate.h"

#define TYPE_CODE     0x8 /* of a code or data segment (SDM 3A 3.4.5.1) */
#define TYPE_EXPAND   0x4
#define TYPE_WRITABLE 0x2

/* Handlers.  dst = byte offset of the slot that gets the address; those with a segment check have
 * imm = bytes of the access. */

SOFT_OP(op_ea_16)
{
	SOFT_PUT(64, i->dst, (uint16_t)SOFT_EA());
	SOFT_NEXT();
}

SOFT_OP(op_ea_32)
{
	SOFT_PUT(64, i->dst, (uint32_t)SOFT_EA());
	SOFT_NEXT();
}

SOFT_OP(op_ea_64)
{
	SOFT_PUT(64, i->dst, SOFT_EA());
	SOFT_NEXT();
}

/* FS and GS in 64-bit mode: a base and no limit. */
SOFT_OP(op_ea_base_64)
{
	SOFT_PUT(64, i->dst, c->seg[SOFT_SEG_OF(i)].base + SOFT_EA());
	SOFT_NEXT();
}

SOFT_OP(op_ea_base_32)
{
	SOFT_PUT(64, i->dst, c->seg[SOFT_SEG_OF(i)].base + (uint32_t)SOFT_EA());
	SOFT_NEXT();
}

SOFT_INLINE bool fits(const struct x86_seg *s, uint64_t offset, uint64_t size, bool is_write)
{
	if (!s->s || s->unusable || !s->present || (s->type & (TYPE_CODE | TYPE_EXPAND)))
		return false;
	if (is_write && !(s->type & TYPE_WRITABLE))
		return false;
	return offset + size - 1 <= s->limit;
}

#define EA_SEG(name, bits, is_write)                                                               \
	static SOFT_COLD soft_ret name##_slow(SOFT_ARGS)                                           \
	{                                                                                          \
		SOFT_SPILL();                                                                      \
		SOFT_PUT(64, i->dst,                                                               \
			 soft_seg_address(c, SOFT_SEG_OF(i), (uint##bits##_t)SOFT_EA(),            \
					  (unsigned)i->imm, is_write));                            \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	SOFT_OP(name)                                                                              \
	{                                                                                          \
		const struct x86_seg *s = &c->seg[SOFT_SEG_OF(i)];                                 \
		uint64_t offset = (uint##bits##_t)SOFT_EA();                                       \
                                                                                                   \
		if (SOFT_UNLIKELY(!fits(s, offset, i->imm, is_write)))                             \
			return name##_slow(SOFT_PASS(i));                                          \
		SOFT_PUT(64, i->dst, (uint32_t)(s->base + offset));                                \
		SOFT_NEXT();                                                                       \
	}
EA_SEG(op_ea_read_16, 16, false)
EA_SEG(op_ea_write_16, 16, true)
EA_SEG(op_ea_read_32, 32, false)
EA_SEG(op_ea_write_32, 32, true)

/* Choosing one. */

/* What an address is made of. */
struct address {
	uint8_t base, index; /* byte offsets of slots */
	uint8_t scale;
	int64_t disp;
	unsigned seg;
	unsigned bits;
};

static bool is_code64(const struct tr *t)
{
	return t->code_bits == 64;
}

/* The segment adds nothing and checks nothing.  A flat CS may still not be readable. */
static bool has_no_segment(const struct tr *t, unsigned seg)
{
	if (is_code64(t))
		return seg != X86_FS && seg != X86_GS;
	return (t->mode & SOFT_FLAT) && (seg == X86_DS || seg == X86_ES || seg == X86_SS);
}

static soft_op_fn *offset_fn(unsigned bits)
{
	return bits == 64 ? op_ea_64 : bits == 32 ? op_ea_32 : op_ea_16;
}

static soft_op_fn *choose(const struct tr *t, const struct address *a, bool is_write)
{
	if (has_no_segment(t, a->seg))
		return offset_fn(a->bits);
	if (is_code64(t))
		return a->bits == 64 ? op_ea_base_64 : op_ea_base_32;
	if (a->bits == 16)
		return is_write ? op_ea_write_16 : op_ea_read_16;
	return is_write ? op_ea_write_32 : op_ea_read_32;
}

static void set_address(struct insn *i, const struct address *a)
{
	i->base = a->base;
	i->index = a->index;
	i->scale = a->scale;
	i->disp = a->disp;
}

static void set_segment(struct insn *i, unsigned seg)
{
	i->seg_len = (uint8_t)(seg << 4 | SOFT_LEN_OF(i));
}

static struct insn *emit_address(struct tr *t, soft_op_fn *fn, const struct address *a,
				 uint8_t slot_offset)
{
	struct insn *i = tr_slot(t, fn);

	set_address(i, a);
	set_segment(i, a->seg);
	i->dst = slot_offset;
	return i;
}

static uint64_t truncated(uint64_t value, unsigned bits)
{
	return bits == 64 ? value : bits == 32 ? (uint32_t)value : (uint16_t)value;
}

static bool is_rip(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP;
}

static unsigned segment_of(ZydisRegister reg)
{
	if (reg < ZYDIS_REGISTER_ES || reg > ZYDIS_REGISTER_GS)
		return X86_DS;
	return (unsigned)ZydisRegisterGetId(reg); /* in the order of their encoding */
}

static struct address address_of(const struct tr *t, const ZydisDecodedOperand *op)
{
	struct address a = {
		.base = tr_reg(op->mem.base),
		.index = tr_reg(op->mem.index),
		.scale = op->mem.scale,
		.disp = op->mem.disp.value,
		.seg = segment_of(op->mem.segment),
		.bits = t->address_bits,
	};

	if (is_rip(op->mem.base))
		a.disp += (int64_t)t->next;
	if (a.base == TR_SLOT_OFFSET(SLOT_ZERO) && a.index == TR_SLOT_OFFSET(SLOT_ZERO))
		a.disp = (int64_t)truncated((uint64_t)a.disp, a.bits);
	return a;
}

/* The handler of the instruction can add it up by itself, without anything to cut off. */
static bool is_plain(const struct tr *t, const struct address *a)
{
	bool is_constant =
		a->base == TR_SLOT_OFFSET(SLOT_ZERO) && a->index == TR_SLOT_OFFSET(SLOT_ZERO);

	return has_no_segment(t, a->seg) && (a->bits == 64 || is_constant);
}

static const struct address MADE = {
	.base = TR_SLOT_OFFSET(SLOT_EA),
	.index = TR_SLOT_OFFSET(SLOT_ZERO),
};

struct insn *tr_slot_mem(struct tr *t, soft_op_fn *fn, const ZydisDecodedOperand *op, unsigned size,
			 bool is_write)
{
	struct address a = address_of(t, op);
	bool is_ready = is_plain(t, &a);
	struct insn *i;

	if (!is_ready)
		emit_address(t, choose(t, &a, is_write), &a, TR_SLOT_OFFSET(SLOT_EA))->imm = size;
	i = tr_slot(t, fn);
	set_address(i, is_ready ? &a : &MADE);
	set_segment(i, a.seg);
	return i;
}

/* Bits that the destination does not take need not be cut off. */
struct insn *tr_slot_lea(struct tr *t, soft_op_fn *fn, const ZydisDecodedOperand *op)
{
	struct address a = address_of(t, op);
	bool is_ready = a.bits == 64 || t->operand_bits <= a.bits;
	struct insn *i;

	if (!is_ready)
		emit_address(t, offset_fn(a.bits), &a, TR_SLOT_OFFSET(SLOT_EA));
	i = tr_slot(t, fn);
	set_address(i, is_ready ? &a : &MADE);
	return i;
}

static unsigned width_of_register(const struct tr *t, unsigned reg)
{
	return reg == X86_RSP || reg == X86_RBP ? t->stack_bits : t->address_bits;
}

void tr_address_of(struct tr *t, enum soft_slot slot, const struct tr_implicit *op)
{
	struct address a = {
		.base = (uint8_t)(op->reg * 8),
		.index = TR_SLOT_OFFSET(SLOT_ZERO),
		.disp = op->disp,
		.seg = op->seg,
		.bits = width_of_register(t, op->reg),
	};

	emit_address(t, choose(t, &a, op->is_write), &a, TR_SLOT_OFFSET(slot))->imm = op->size;
}
