/* Where operands point: see gen.h.  Nothing may be touched on the host but the pages of layout.h,
 * so the base register of each memory operand, or its displacement, is solved for; what has no
 * solution is drawn again.  In the end every address is computed anew from the registers as they
 * then are. */
#include "gen.h"

#include "known.h"
#include "values.h"

#include <string.h>

#define RAX 0
#define RCX 1
#define RDX 2
#define RSP 4
#define RBP 5

#define BYTES_MAX      512u /* of one operand: FXSAVE */
#define MARGIN	       0x10000u
#define BIT_OFFSET_MAX 4096
#define REPEAT_MAX     12u
#define FLAG_TF_BYTE   1

/* Registers. */

/* Number in the encoding; AH..BH belong to RAX..RBX. */
static unsigned gpr_of(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (unsigned)(reg - ZYDIS_REGISTER_AH);
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (unsigned)(reg - ZYDIS_REGISTER_SPL) + RSP;
	return (unsigned)ZydisRegisterGetId(reg);
}

static uint64_t mask_of(unsigned bits)
{
	return ~0ull >> (64 - bits);
}

/* The index of XLAT is AL; every other one has the address size. */
static uint64_t index_value(const struct draft *d, const ZydisDecodedOperand *op)
{
	uint64_t v;

	if (op->mem.index == ZYDIS_REGISTER_NONE)
		return 0;
	v = d->dc->in.gpr[gpr_of(op->mem.index)];
	if (op->mem.index == ZYDIS_REGISTER_AL)
		return v & 0xff;
	return v & mask_of(d->z.address_width);
}

static uint64_t segment_base(const struct draft *d, const ZydisDecodedOperand *op)
{
	if (op->mem.segment == ZYDIS_REGISTER_GS)
		return DIFF_GS_BASE;
	return op->mem.segment == ZYDIS_REGISTER_FS ? d->dc->fs_base : 0;
}

static bool is_ip(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP;
}

static uint64_t base_value(const struct draft *d, const ZydisDecodedOperand *op)
{
	if (op->mem.base == ZYDIS_REGISTER_NONE)
		return 0;
	if (is_ip(op->mem.base))
		return d->ip + d->z.length;
	return d->dc->in.gpr[gpr_of(op->mem.base)];
}

static uint64_t displacement(const ZydisDecodedOperand *op)
{
	return op->mem.disp.has_displacement ? (uint64_t)op->mem.disp.value : 0;
}

/* BT and its kin reach as far as their bit offset says. */
static bool is_bit_string(const struct draft *d)
{
	switch (d->z.mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return d->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		       d->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
	default:
		return false;
	}
}

static int64_t bit_string_offset(const struct draft *d)
{
	unsigned bits = d->z.operand_width;
	uint64_t v;

	if (!is_bit_string(d))
		return 0;
	v = d->dc->in.gpr[gpr_of(d->op[1].reg.value)];
	return ((int64_t)(v << (64 - bits)) >> (64 - bits)) >> 3;
}

static bool is_explicit(const struct draft *d, const ZydisDecodedOperand *op)
{
	return op < d->op + d->z.operand_count_visible;
}

/* What the stack pointer does implicitly has the stack's width (SDM 1 6.2.3). */
static unsigned address_bits(const struct draft *d, const ZydisDecodedOperand *op)
{
	if (!is_explicit(d, op) && ZydisRegisterGetClass(op->mem.base) == ZYDIS_REGCLASS_GPR64)
		return op->mem.base == ZYDIS_REGISTER_RSP || op->mem.base == ZYDIS_REGISTER_RBP
			       ? 64
			       : d->z.address_width;
	return d->z.address_width;
}

static uint64_t address_of(const struct draft *d, const ZydisDecodedOperand *op)
{
	uint64_t offset = base_value(d, op) + index_value(d, op) * op->mem.scale + displacement(op);
	uint64_t at = (offset + (uint64_t)bit_string_offset(d)) & mask_of(address_bits(d, op));

	at += segment_base(d, op);
	return d->dc->bits == 32 ? (uint32_t)at : at;
}

static bool is_access(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}

/* Targets. */

static unsigned size_of(const ZydisDecodedOperand *op)
{
	unsigned size = op->size / 8;

	return size == 0 ? 8 : size > BYTES_MAX ? BYTES_MAX : size;
}

static uint64_t choose_target(struct draft *d, unsigned size)
{
	struct rng *r = &d->rng;
	uint64_t at = DIFF_SCRATCH + 512 + rng_below(r, DIFF_SCRATCH_BYTES - 1024 - size);

	switch (rng_below(r, 32)) {
	case 0: /* across the border of two pages */
	case 1:
		return DIFF_SCRATCH + DIFF_PAGE - rng_below(r, size + 1);
	case 2: /* out at either end */
		return DIFF_READ_ONLY - rng_below(r, size + 1);
	case 3:
		return DIFF_SCRATCH - rng_below(r, size + 1);
	case 4:
		return DIFF_READ_ONLY + rng_below(r, DIFF_PAGE + 64);
	default:
		return rng_one_in(r, 4) ? at : at & ~15ull;
	}
}

static uint64_t choose_wild(struct draft *d)
{
	uint64_t v = rng_next(&d->rng);

	return (v & ~(0xffffull << 48)) | (0x4000ull + (v >> 50)) << 48;
}

/* Solving. */

/* Put the low bytes of @v over the displacement. */
static bool patch_displacement(struct draft *d, uint64_t v)
{
	unsigned bits = d->z.raw.disp.size;
	int64_t back = bits ? (int64_t)(v << (64 - bits)) >> (64 - bits) : 0;

	if (bits < 32 || ((uint64_t)back != v && d->z.address_width > bits))
		return false;
	memcpy(d->insn + d->z.raw.disp.offset, &v, bits / 8);
	return true;
}

static void set_gpr(struct draft *d, unsigned reg, uint64_t v, unsigned bits)
{
	uint64_t mask = mask_of(bits), *to = &d->dc->in.gpr[reg];

	*to = (*to & ~mask) | (v & mask);
	d->pinned |= 1u << reg;
}

/* Make @op point to @target. */
static bool aim(struct draft *d, const ZydisDecodedOperand *op, uint64_t target)
{
	uint64_t offset = target - segment_base(d, op) - (uint64_t)bit_string_offset(d);
	unsigned base;

	if (op->mem.index != ZYDIS_REGISTER_NONE)
		d->pinned |= 1u << gpr_of(op->mem.index);
	offset -= index_value(d, op) * op->mem.scale;
	if (op->mem.base == ZYDIS_REGISTER_NONE || is_ip(op->mem.base))
		return patch_displacement(d, offset - base_value(d, op));
	base = gpr_of(op->mem.base);
	if (d->pinned >> base & 1)
		return true; /* wherever that is: checked in the end */
	set_gpr(d, base, offset - displacement(op), address_bits(d, op));
	return true;
}

/* Where the bytes at @at are in the case's memory, NULL when some are not. */
static uint8_t *memory_at(const struct draft *d, uint64_t at, unsigned size)
{
	if (at < DIFF_SCRATCH || at + size > DIFF_READ_ONLY)
		return NULL;
	return d->dc->memory + (at - DIFF_SCRATCH);
}

/* Within the arena with room on both sides, or where no address is. */
static bool is_harmless(const struct draft *d, uint64_t at)
{
	int64_t top = (int64_t)at >> 47;

	if (d->dc->bits == 64 && top != 0 && top != -1)
		return at + MARGIN < 0xffff000000000000 && at - MARGIN > 0x0001000000000000;
	return at >= DIFF_ARENA + MARGIN * 2 && at < DIFF_ARENA_END - MARGIN * 2;
}

static bool place_operand(struct draft *d, const ZydisDecodedOperand *op)
{
	unsigned size = size_of(op);
	uint64_t at = choose_target(d, size);
	uint8_t *bytes;

	if (known_is_fault_vague(&d->z))
		at = DIFF_SCRATCH + rng_below(&d->rng, DIFF_SCRATCH_BYTES - size);
	else if (d->z.address_width == 64 && is_explicit(d, op) && rng_one_in(&d->rng, 64))
		at = choose_wild(d);
	if (!aim(d, op, at))
		return false;
	bytes = memory_at(d, at, size);
	if (bytes)
		value_fill(&d->rng, value_kind_of(op), bytes, size);
	return true;
}

/* Bit offsets and repeat counts that stay near. */
static bool limit_reach(struct draft *d)
{
	if (is_bit_string(d)) {
		unsigned reg = gpr_of(d->op[1].reg.value);
		uint64_t v = rng_below(&d->rng, 2 * BIT_OFFSET_MAX) - (uint64_t)BIT_OFFSET_MAX;

		set_gpr(d, reg, v, d->z.operand_width);
	}
	if (d->z.attributes &
	    (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		set_gpr(d, RCX, rng_below(&d->rng, REPEAT_MAX), d->z.address_width);
	/* ENTER reads what RBP points to, LEAVE makes it the stack. */
	if (d->z.mnemonic == ZYDIS_MNEMONIC_ENTER || d->z.mnemonic == ZYDIS_MNEMONIC_LEAVE)
		set_gpr(d, RBP, choose_target(d, 8), d->dc->bits);
	return true;
}

static bool place_operands(struct draft *d)
{
	limit_reach(d);
	for (unsigned i = 0; i < d->z.operand_count; i++) {
		if (is_access(&d->op[i]) && !place_operand(d, &d->op[i]))
			return false;
	}
	/* The displacement may have been written. */
	if (!forms_decode(d->forms, d->insn, DIFF_INSN_MAX, &d->z, d->op))
		return false;
	for (unsigned i = 0; i < d->z.operand_count; i++) {
		if (is_access(&d->op[i]) && !is_harmless(d, address_of(d, &d->op[i])))
			return false;
	}
	return true;
}

/* Branches. */

/* A place for a branch to land: INT3, away from the case. */
static uint64_t choose_landing(struct draft *d)
{
	unsigned offset = rng_below(&d->rng, 0x600);

	return DIFF_CODE + offset + (rng_one_in(&d->rng, 2) ? 0x1200 : 0);
}

static bool place_relative(struct draft *d)
{
	uint64_t next = d->ip + d->z.length, to;

	if (d->z.raw.imm[0].size == 32) {
		uint32_t rel = (uint32_t)(choose_landing(d) - next);

		memcpy(d->insn + d->z.raw.imm[0].offset, &rel, sizeof(rel));
		return true;
	}
	if (d->z.raw.imm[0].size != 8)
		return false;
	to = next + (uint64_t)(int64_t)(int8_t)d->insn[d->z.raw.imm[0].offset];
	return to < d->dc->in.rip || to >= next + 5;
}

/* Put a return address or a branch's target where the instruction reads it. */
static void write_target(struct draft *d, const ZydisDecodedOperand *op)
{
	uint8_t *bytes = memory_at(d, address_of(d, op), 8);
	uint64_t to = choose_landing(d);

	if (bytes)
		memcpy(bytes, &to, d->dc->bits / 8);
}

static bool place_branch(struct draft *d)
{
	const ZydisDecodedOperand *op = &d->op[0];

	if (d->z.mnemonic == ZYDIS_MNEMONIC_RET) {
		for (unsigned i = 0; i < d->z.operand_count; i++) {
			if (is_access(&d->op[i]))
				write_target(d, &d->op[i]);
		}
		return true;
	}
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return place_relative(d);
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		write_target(d, op);
		return true;
	}
	if (d->pinned >> gpr_of(op->reg.value) & 1)
		return false;
	set_gpr(d, gpr_of(op->reg.value), choose_landing(d), d->dc->bits);
	return true;
}

/* A branch goes where its operand in memory says: that must be read, not miss. */
static bool is_target_sure(const struct draft *d)
{
	for (unsigned i = 0; i < d->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &d->op[i];
		uint64_t at = is_access(op) ? address_of(d, op) : 0;

		if (at >= DIFF_SCRATCH - 8 && at < DIFF_READ_ONLY + DIFF_PAGE + 8 &&
		    !memory_at(d, at, 8))
			return false;
	}
	return true;
}

/* Values. */

/* Half of the time make the comparison of CMPXCHG succeed. */
static void make_equal(struct draft *d)
{
	const ZydisDecodedOperand *op = &d->op[0];
	uint64_t *gpr = d->dc->in.gpr;
	unsigned half = size_of(op) / 2;
	uint8_t *bytes = is_access(op) ? memory_at(d, address_of(d, op), size_of(op)) : NULL;

	if (d->z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG) {
		if (bytes)
			memcpy(bytes, &gpr[RAX], size_of(op));
		else if (!is_access(op) && !(d->pinned >> gpr_of(op->reg.value) & 1))
			gpr[gpr_of(op->reg.value)] = gpr[RAX];
	} else if (bytes) {
		memcpy(bytes, &gpr[RAX], half);
		memcpy(bytes + half, &gpr[RDX], half);
	}
}

/* Quotients that fit are rare with random dividends. */
static void make_dividend(struct draft *d)
{
	uint64_t *gpr = d->dc->in.gpr;

	if (!(d->pinned >> RDX & 1))
		gpr[RDX] = rng_one_in(&d->rng, 2) ? 0 : ~0ull;
	if (!(d->pinned >> RAX & 1) && rng_one_in(&d->rng, 2))
		gpr[RAX] = (uint64_t)(int64_t)(int8_t)gpr[RAX];
}

/* Reserved bits of MXCSR raise #GP: seldom.  Bit 17 is not reserved on AMD (APM2 11.4.3), which the
 * model lacks: never. */
static void clean_mxcsr(struct draft *d, unsigned offset)
{
	const ZydisDecodedOperand *op = &d->op[0];
	uint8_t *bytes = is_access(op) ? memory_at(d, address_of(d, op), size_of(op)) : NULL;

	if (!bytes)
		return;
	bytes[offset + 2] &= (uint8_t)~2u;
	if (!rng_one_in(&d->rng, 8))
		memset(bytes + offset + 2, 0, 2);
}

/* TF would trap behind the instruction.  Every byte that may be popped. */
static void clear_tf(struct draft *d)
{
	for (unsigned i = 0; i < d->z.operand_count; i++) {
		uint64_t at = is_access(&d->op[i]) ? address_of(d, &d->op[i]) : 0;
		uint8_t *byte = memory_at(d, at + FLAG_TF_BYTE, 1);

		if (byte)
			*byte &= (uint8_t)~1u;
	}
}

static void adjust_values(struct draft *d)
{
	switch (d->z.mnemonic) {
	case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		if (rng_one_in(&d->rng, 2))
			make_equal(d);
		break;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		if (!rng_one_in(&d->rng, 8))
			make_dividend(d);
		break;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		clear_tf(d);
		break;
	case ZYDIS_MNEMONIC_LDMXCSR:
		clean_mxcsr(d, 0);
		break;
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		clean_mxcsr(d, DIFF_FX_MXCSR);
		break;
	default:
		break;
	}
}

bool gen_place(struct draft *d)
{
	if (!place_operands(d))
		return false;
	d->dc->operand_at = is_access(&d->op[0]) ? address_of(d, &d->op[0]) : 0;
	adjust_values(d);
	if (d->z.meta.branch_type == ZYDIS_BRANCH_TYPE_NONE)
		return true;
	d->dc->is_branch = true;
	return is_target_sure(d) && place_branch(d) &&
	       forms_decode(d->forms, d->insn, DIFF_INSN_MAX, &d->z, d->op);
}
