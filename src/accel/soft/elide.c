/* Flag elision: within a block, an instruction whose flags are overwritten before anybody can see
 * them gets a handler that does not make them.  State stays exact at every instruction that may
 * fault or leave, because those count as readers of all flags; so only runs of register operations
 * gain.
 * An instruction kills a flag only when the model certainly writes it, undefined ones included: the
 * state must not depend on how the instructions were cut into blocks. */
#include "translate.h"

#define ALL_FLAGS X86_RFLAGS_STATUS

/* Operations on registers that can neither fault nor leave, and the flags that they write for
 * certain. */
struct quiet_row {
	uint16_t mnemonic;
	uint16_t kills;
};
static const struct quiet_row QUIET[] = {
	{ZYDIS_MNEMONIC_ADC, ALL_FLAGS},
	{ZYDIS_MNEMONIC_ADD, ALL_FLAGS},
	{ZYDIS_MNEMONIC_AND, ALL_FLAGS},
	{ZYDIS_MNEMONIC_CMP, ALL_FLAGS},
	{ZYDIS_MNEMONIC_NEG, ALL_FLAGS},
	{ZYDIS_MNEMONIC_OR, ALL_FLAGS},
	{ZYDIS_MNEMONIC_SBB, ALL_FLAGS},
	{ZYDIS_MNEMONIC_SUB, ALL_FLAGS},
	{ZYDIS_MNEMONIC_TEST, ALL_FLAGS},
	{ZYDIS_MNEMONIC_XOR, ALL_FLAGS},
	{ZYDIS_MNEMONIC_DEC, ALL_FLAGS & ~X86_RFLAGS_CF},
	{ZYDIS_MNEMONIC_INC, ALL_FLAGS & ~X86_RFLAGS_CF},
	/* A shift by zero writes none. */
	{ZYDIS_MNEMONIC_SAR, 0},
	{ZYDIS_MNEMONIC_SHL, 0},
	{ZYDIS_MNEMONIC_SHR, 0},
	{ZYDIS_MNEMONIC_ROL, 0},
	{ZYDIS_MNEMONIC_ROR, 0},
	{ZYDIS_MNEMONIC_IMUL, 0},
	{ZYDIS_MNEMONIC_BSWAP, 0},
	{ZYDIS_MNEMONIC_CBW, 0},
	{ZYDIS_MNEMONIC_CDQ, 0},
	{ZYDIS_MNEMONIC_CDQE, 0},
	{ZYDIS_MNEMONIC_CQO, 0},
	{ZYDIS_MNEMONIC_CWD, 0},
	{ZYDIS_MNEMONIC_CWDE, 0},
	{ZYDIS_MNEMONIC_LEA, 0},
	{ZYDIS_MNEMONIC_MOV, 0},
	{ZYDIS_MNEMONIC_MOVSX, 0},
	{ZYDIS_MNEMONIC_MOVSXD, 0},
	{ZYDIS_MNEMONIC_MOVZX, 0},
	{ZYDIS_MNEMONIC_NOP, 0},
	{ZYDIS_MNEMONIC_NOT, 0},
	{ZYDIS_MNEMONIC_XCHG, 0},
};

static const struct quiet_row *find_quiet(ZydisMnemonic mnemonic)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(QUIET); i++) {
		if (QUIET[i].mnemonic == mnemonic)
			return &QUIET[i];
	}
	return NULL;
}

/* General registers and immediates only; LEA's address is not an access. */
static bool has_plain_operands(const struct tr *t)
{
	for (unsigned i = 0; i < t->z->operand_count; i++) {
		const ZydisDecodedOperand *op = &t->op[i];

		if (tr_is_mem(op) && op->mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			return false;
		if (tr_is_reg(op) &&
		    (op->reg.value < ZYDIS_REGISTER_AL || op->reg.value > ZYDIS_REGISTER_R15) &&
		    ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_FLAGS)
			return false;
	}
	return true;
}

/* SHL, SHR and SAR by an immediate that is not zero after masking write all six. */
static uint64_t shift_kills(const struct tr *t)
{
	ZydisMnemonic m = t->z->mnemonic;
	unsigned mask = t->operand_bits == 64 ? 63 : 31;

	if (m != ZYDIS_MNEMONIC_SAR && m != ZYDIS_MNEMONIC_SHL && m != ZYDIS_MNEMONIC_SHR)
		return 0;
	if (!tr_is_imm(&t->op[1]) || (t->op[1].imm.value.u & mask) == 0)
		return 0;
	return ALL_FLAGS;
}

void soft_flags_note(const struct tr *t, const struct soft_row *row, struct flag_use *out_use)
{
	const ZydisAccessedFlags *flags = t->z->cpu_flags;
	const struct quiet_row *quiet = find_quiet(t->z->mnemonic);

	*out_use = (struct flag_use){.reads = ALL_FLAGS, .writes = ALL_FLAGS};
	if (flags)
		out_use->writes =
			(flags->modified | flags->set_0 | flags->set_1 | flags->undefined) &
			ALL_FLAGS;
	if (!(row->flags & ROW_NF_KEEP)) {
		out_use->slot = t->flag_slot;
		out_use->no_flags_fn = t->no_flags_fn;
	}
	if (!quiet)
		return;
	out_use->kills = quiet->kills | shift_kills(t);
	if (has_plain_operands(t))
		out_use->reads = flags ? flags->tested & ALL_FLAGS : 0;
}

void soft_flags_elide(const struct flag_use *use, unsigned count)
{
	uint64_t live = ALL_FLAGS;

	while (count-- > 0) {
		const struct flag_use *u = &use[count];

		if (u->slot && u->no_flags_fn && !(u->writes & live))
			u->slot->fn = u->no_flags_fn;
		live = (live & ~u->kills) | u->reads;
	}
}
