/* See gen.h. */
#include "gen.h"

#include "values.h"

#include <string.h>

#define IP_FIRST    (DIFF_CODE + 0x800u)
#define IP_RANGE    0x810u /* the last instruction may begin in one page and end in the next */
#define PROLOGUE_IN 3u	   /* one case in this many has instructions before the one that counts */

#define MODRM_MOD 0xc0
#define MODRM_REG 0x38
#define MODRM_RM  0x07
#define RM_SIB	  4
#define RM_IP	  5

/* One instruction's bytes. */

/* Prefixes that mean something now and then, in any order (SDM 2A 2.1.1). */
static unsigned put_prefixes(struct draft *d, const struct form *form, uint8_t *to)
{
	static const uint8_t SEGMENT[] = {0x64, 0x65, 0x2e, 0x36, 0x3e, 0x26};
	struct rng *r = &d->rng;
	/* FS and GS have no base in 32-bit mode here. */
	unsigned first = d->dc->bits == 64 ? 0 : 2;
	unsigned n = 0;

	if (rng_one_in(r, 10))
		to[n++] = SEGMENT[first + rng_below(r, sizeof(SEGMENT) - first)];
	if (form->prefix)
		to[n++] = form->prefix;
	if (d->dc->bits == 64 && form->prefix != 0x67 && rng_one_in(r, 10))
		to[n++] = 0x67;
	if (form->is_mem && rng_one_in(r, 6))
		to[n++] = 0xf0;
	if (n > 1 && rng_one_in(r, 2)) {
		uint8_t swapped = to[0];

		to[0] = to[n - 1];
		to[n - 1] = swapped;
	}
	return n;
}

static unsigned put_rex(struct draft *d, const struct form *form, uint8_t *to)
{
	unsigned bits = (unsigned)rng_next(&d->rng) & 7;

	if (d->dc->bits != 64 || (!form->is_w && rng_one_in(&d->rng, 2)))
		return 0;
	*to = (uint8_t)(0x40 | (form->is_w ? 8 : 0) | bits);
	return 1;
}

static unsigned put_opcode(const struct form *form, uint8_t *to)
{
	static const uint8_t ESCAPE[4] = {0, 0, 0x38, 0x3a};
	unsigned n = 0;

	if (form->map)
		to[n++] = 0x0f;
	if (form->map > 1)
		to[n++] = ESCAPE[form->map];
	to[n++] = form->opcode;
	return n;
}

static uint8_t make_modrm(struct draft *d, const struct form *form)
{
	unsigned noise = (unsigned)rng_next(&d->rng);
	unsigned modrm = form->modrm & (MODRM_MOD | MODRM_REG);

	if (form->is_rm_fixed)
		return form->modrm;
	modrm |= noise & MODRM_RM;
	if (!form->is_mem)
		return (uint8_t)modrm;
	modrm = (modrm & ~(unsigned)MODRM_MOD) | rng_below(&d->rng, 3) << 6;
	/* More often what solves easily. */
	if (rng_one_in(&d->rng, 8))
		modrm = (modrm & MODRM_REG) | RM_IP;
	return (uint8_t)modrm;
}

/* What follows the opcode is noise: SIB, displacement, immediates of many a kind.  Decoding tells
 * where it ends. */
static bool make_insn(struct draft *d, const struct form *form, uint8_t *to)
{
	uint64_t tail = value_int(&d->rng);
	unsigned n = put_prefixes(d, form, to);

	n += put_rex(d, form, to + n);
	n += put_opcode(form, to + n);
	if (form->has_modrm)
		to[n++] = make_modrm(d, form);
	value_noise(&d->rng, to + n, DIFF_INSN_MAX);
	if (form->has_modrm && form->is_mem && rng_one_in(&d->rng, 2))
		memcpy(to + n + 1, &tail, sizeof(tail));
	else if (rng_one_in(&d->rng, 2))
		memcpy(to + n, &tail, sizeof(tail));
	return forms_decode(d->forms, to, DIFF_INSN_MAX, &d->z, d->op) &&
	       d->z.mnemonic == form->mnemonic;
}

/* Instructions before the last. */

/* General registers that @op names, for an address or as they are. */
static uint32_t gprs_of(const ZydisDecodedOperand *op)
{
	ZydisRegister regs[3] = {ZYDIS_REGISTER_NONE, ZYDIS_REGISTER_NONE, ZYDIS_REGISTER_NONE};
	uint32_t mask = 0;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		regs[0] = op->reg.value;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		regs[1] = op->mem.base;
		regs[2] = op->mem.index;
	}
	for (unsigned i = 0; i < 3; i++) {
		ZydisRegister wide =
			ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, regs[i]);

		if (ZydisRegisterGetClass(wide) == ZYDIS_REGCLASS_GPR64)
			mask |= 1u << ZydisRegisterGetId(wide);
	}
	return mask;
}

static uint32_t gprs_used(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	uint32_t mask = 0;

	for (unsigned i = 0; i < z->operand_count; i++)
		mask |= gprs_of(&op[i]);
	return mask;
}

/* Integer instructions on registers that do not raise, branch, or set what the rest of the case
 * depends on: they are there to leave flags behind, and for what translation makes of neighbours.
 */
static bool is_prologue(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op,
			uint32_t forbidden)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_SETCC:
		break;
	default:
		return false;
	}
	for (unsigned i = 0; i < z->operand_count; i++) {
		ZydisRegisterClass class = op[i].type == ZYDIS_OPERAND_TYPE_REGISTER
						   ? ZydisRegisterGetClass(op[i].reg.value)
						   : ZYDIS_REGCLASS_INVALID;

		if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY || class == ZYDIS_REGCLASS_MMX ||
		    class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_X87)
			return false;
	}
	return z->mnemonic != ZYDIS_MNEMONIC_DIV && z->mnemonic != ZYDIS_MNEMONIC_IDIV &&
	       !(gprs_used(z, op) & forbidden);
}

/* Up to three of them in front of the last instruction, whose bytes are at d->dc->bytes. */
static void put_prologue(struct draft *d)
{
	uint32_t forbidden = gprs_used(&d->z, d->op);
	struct diff_case *dc = d->dc;
	struct draft one = *d;
	uint8_t last[DIFF_INSN_MAX], bytes[2 * DIFF_INSN_MAX + 8];
	unsigned count = 1 + rng_below(&one.rng, 3);

	memcpy(last, dc->bytes, sizeof(last));
	for (unsigned tries = 0; dc->count <= count && tries < 200; tries++) {
		const struct form *form = forms_pick(d->forms, &one.rng);

		if (!make_insn(&one, form, bytes) || !is_prologue(&one.z, one.op, forbidden))
			continue;
		memcpy(dc->bytes + dc->len, bytes, one.z.length);
		dc->len += one.z.length;
		dc->count++;
	}
	d->rng = one.rng;
	memcpy(dc->bytes + dc->len, last, sizeof(last));
}

/* Cases. */

static bool try_case(struct draft *d)
{
	const struct form *form = forms_pick(d->forms, &d->rng);
	struct diff_case *dc = d->dc;

	dc->len = 0;
	dc->count = 1;
	dc->is_branch = false;
	d->pinned = 0;
	if (!make_insn(d, form, dc->bytes))
		return false;
	dc->is_block = rng_one_in(&d->rng, 2);
	if (rng_one_in(&d->rng, PROLOGUE_IN))
		put_prologue(d);
	d->insn = dc->bytes + dc->len;
	d->ip = IP_FIRST + rng_below(&d->rng, IP_RANGE);
	dc->in.rip = d->ip - dc->len;
	gen_state(d);
	if (!gen_place(d))
		return false;
	dc->len += d->z.length;
	return true;
}

void gen_case(const struct forms *forms, uint64_t seed, uint64_t number, struct diff_case *out,
	      ZydisDecodedInstruction *z)
{
	struct rng mix = {.state = seed};
	struct draft d = {.dc = out, .forms = forms};

	d.rng.state = rng_next(&mix) ^ number * 0x9e3779b97f4a7c15ull;
	rng_next(&d.rng);
	out->seed = seed;
	out->number = number;
	out->bits = forms->bits;
	while (!try_case(&d))
		;
	*z = d.z;
}
