/* Decimal adjustment: AAA, AAS, AAM, AAD, DAA, DAS.  None exists in 64-bit mode, so the host cannot
 * be asked.  DEVIATES: of the flags that the manual leaves undefined, SF, ZF and PF follow AL here,
 * and OF (for AAM and AAD also CF and AF) is clear. Source: SDM 2A AAA and following, DAA, DAS. */
#include "exec_int.h"

static uint8_t get_al(const struct soft_cpu *c)
{
	return (uint8_t)c->r[X86_RAX];
}

static void set_al(struct soft_cpu *c, uint8_t al)
{
	c->r[X86_RAX] = (c->r[X86_RAX] & ~0xffull) | al;
}

/* SF, ZF and PF follow AL. */
static void set_flags(struct soft_cpu *c, bool cf, bool af)
{
	c->fr = get_al(c);
	c->fs = (cf ? X86_RFLAGS_CF : 0) | (af ? X86_RFLAGS_AF : 0);
	c->fo = FLAGS_OP(FLAGS_MIXED, 8);
}

static bool needs_adjustment(const struct soft_cpu *c)
{
	return (get_al(c) & 15) > 9 || (soft_status(c) & X86_RFLAGS_AF);
}

static void adjust_unpacked(struct soft_cpu *c, uint16_t correction)
{
	bool is_adjusted = needs_adjustment(c);

	if (is_adjusted)
		soft_set_reg16(c, X86_RAX, (uint16_t)(c->r[X86_RAX] + correction));
	set_al(c, get_al(c) & 15);
	set_flags(c, is_adjusted, is_adjusted);
}

static void exec_aaa(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	adjust_unpacked(c, 0x106);
}
SOFT_PLAIN(exec_aaa)

static void exec_aas(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	adjust_unpacked(c, (uint16_t)-0x106);
}
SOFT_PLAIN(exec_aas)

/* @sign is 1 after an addition, -1 after a subtraction, which borrows out of the low digit. */
static void adjust_packed(struct soft_cpu *c, int sign)
{
	uint8_t al = get_al(c);
	bool is_adjusted = needs_adjustment(c);
	bool had_carry = soft_status(c) & X86_RFLAGS_CF, carry = had_carry;

	if (is_adjusted) {
		carry = had_carry || (sign < 0 && al < 6);
		set_al(c, (uint8_t)(get_al(c) + sign * 6));
	}
	if (al > 0x99 || had_carry) {
		set_al(c, (uint8_t)(get_al(c) + sign * 0x60));
		carry = true;
	} else if (sign > 0) {
		carry = false;
	}
	set_flags(c, carry, is_adjusted);
}

static void exec_daa(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	adjust_packed(c, 1);
}
SOFT_PLAIN(exec_daa)

static void exec_das(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	adjust_packed(c, -1);
}
SOFT_PLAIN(exec_das)

static void exec_aam(struct soft_cpu *c, const struct insn *i)
{
	uint8_t base = (uint8_t)i->imm, al = get_al(c);

	if (base == 0)
		soft_raise(c, X86_EXC_DE);
	else
		soft_set_reg16(c, X86_RAX, (uint16_t)(al / base << 8 | al % base));
	set_flags(c, false, false);
}
SOFT_PLAIN(exec_aam)

static void exec_aad(struct soft_cpu *c, const struct insn *i)
{
	uint8_t ah = (uint8_t)(c->r[X86_RAX] >> 8);

	soft_set_reg16(c, X86_RAX, (uint8_t)(get_al(c) + ah * (uint8_t)i->imm));
	set_flags(c, false, false);
}
SOFT_PLAIN(exec_aad)

struct decimal_op {
	uint16_t mnemonic;
	soft_op_fn *fn;
};
static const struct decimal_op DECIMAL_OPS[] = {
	{ZYDIS_MNEMONIC_AAA, op_exec_aaa}, {ZYDIS_MNEMONIC_AAS, op_exec_aas},
	{ZYDIS_MNEMONIC_AAM, op_exec_aam}, {ZYDIS_MNEMONIC_AAD, op_exec_aad},
	{ZYDIS_MNEMONIC_DAA, op_exec_daa}, {ZYDIS_MNEMONIC_DAS, op_exec_das},
};

bool soft_emit_decimal(struct tr *t)
{
	const struct decimal_op *op = DECIMAL_OPS;
	struct insn *i;

	while (op->mnemonic != t->z->mnemonic)
		op++;
	i = tr_slot(t, op->fn);
	if (tr_is_imm(&t->op[0]))
		i->imm = t->op[0].imm.value.u;
	return true;
}
