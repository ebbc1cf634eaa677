/* Instruction facts and disassembly.  The only file that knows Zydis (4.0); decoding is left to it,
 * and only what a debugger's step and a person's eye need comes out.  Nothing is kept between
 * calls, so any thread may call. */
#include "umbra/x86.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdio.h>

/* gdb prints the mnemonic left-aligned in a column of this width. */
#define MNEMONIC_COLUMN 6
#define MNEMONIC_MAX	32

struct machine_row {
	ZydisMachineMode machine;
	ZydisStackWidth stack;
};

static const struct machine_row MACHINES[X86_MODE_COUNT] = {
	[X86_MODE_REAL] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
	[X86_MODE_V86] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
	[X86_MODE_PROT16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
	[X86_MODE_PROT32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
	[X86_MODE_COMPAT16] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16},
	[X86_MODE_COMPAT32] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32},
	[X86_MODE_LONG64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

static const struct {
	ZydisMnemonic mnemonic;
	enum x86_insn_kind kind;
} KIND_OF_MNEMONIC[] = {
	{ZYDIS_MNEMONIC_PUSHF, X86_INSN_PUSHF},	     {ZYDIS_MNEMONIC_PUSHFD, X86_INSN_PUSHF},
	{ZYDIS_MNEMONIC_PUSHFQ, X86_INSN_PUSHF},     {ZYDIS_MNEMONIC_POPF, X86_INSN_POPF},
	{ZYDIS_MNEMONIC_POPFD, X86_INSN_POPF},	     {ZYDIS_MNEMONIC_POPFQ, X86_INSN_POPF},
	{ZYDIS_MNEMONIC_IRET, X86_INSN_IRET},	     {ZYDIS_MNEMONIC_IRETD, X86_INSN_IRET},
	{ZYDIS_MNEMONIC_IRETQ, X86_INSN_IRET},	     {ZYDIS_MNEMONIC_HLT, X86_INSN_HLT},
	{ZYDIS_MNEMONIC_INT, X86_INSN_INT},	     {ZYDIS_MNEMONIC_INT1, X86_INSN_INT},
	{ZYDIS_MNEMONIC_INT3, X86_INSN_INT},	     {ZYDIS_MNEMONIC_INTO, X86_INSN_INT},
	{ZYDIS_MNEMONIC_SYSCALL, X86_INSN_SYSCALL},  {ZYDIS_MNEMONIC_SYSRET, X86_INSN_SYSCALL},
	{ZYDIS_MNEMONIC_SYSENTER, X86_INSN_SYSCALL}, {ZYDIS_MNEMONIC_SYSEXIT, X86_INSN_SYSCALL},
	{ZYDIS_MNEMONIC_STI, X86_INSN_STI},
};

static int errno_of(ZyanStatus status)
{
	return status == ZYDIS_STATUS_NO_MORE_DATA ? -ENODATA : -EINVAL;
}

static int decode(enum x86_mode mode, const uint8_t *bytes, size_t len,
		  ZydisDecodedInstruction *out, ZydisDecodedOperand *out_operands)
{
	const struct machine_row *row = &MACHINES[mode];
	ZydisDecoderContext context;
	ZydisDecoder decoder;
	ZyanStatus status;

	if (len == 0)
		return -ENODATA;
	if (ZYAN_FAILED(ZydisDecoderInit(&decoder, row->machine, row->stack)))
		return -EINVAL;
	status = ZydisDecoderDecodeInstruction(&decoder, &context, bytes, len, out);
	if (ZYAN_FAILED(status))
		return errno_of(status);
	if (!out_operands)
		return 0;
	status = ZydisDecoderDecodeOperands(&decoder, &context, out, out_operands,
					    out->operand_count);
	return ZYAN_FAILED(status) ? errno_of(status) : 0;
}

/* MOV SS and POP SS hold interrupts and debug exceptions off for one instruction (SDM 3A 6.8.3);
 * LSS does not. */
static bool is_load_ss(const ZydisDecodedInstruction *insn)
{
	if (insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false;
	if (insn->opcode == 0x8e)
		return insn->raw.modrm.reg == X86_SS;
	return insn->opcode == 0x17 && insn->mnemonic == ZYDIS_MNEMONIC_POP;
}

/* MOVSD and CMPSD are names of string and of SSE instructions; the category tells them apart. */
static enum x86_insn_kind kind_of(const ZydisDecodedInstruction *insn)
{
	size_t i;

	if (insn->meta.category == ZYDIS_CATEGORY_STRINGOP)
		return X86_INSN_STRING;
	if (insn->meta.category == ZYDIS_CATEGORY_IO ||
	    insn->meta.category == ZYDIS_CATEGORY_IOSTRINGOP)
		return X86_INSN_IO;
	if (is_load_ss(insn))
		return X86_INSN_LOAD_SS;
	for (i = 0; i < UMBRA_ARRAY_SIZE(KIND_OF_MNEMONIC); i++) {
		if (KIND_OF_MNEMONIC[i].mnemonic == insn->mnemonic)
			return KIND_OF_MNEMONIC[i].kind;
	}
	return X86_INSN_OTHER;
}

int x86_insn_decode(enum x86_mode mode, const uint8_t *bytes, size_t len, struct x86_insn *out_insn)
{
	const ZydisInstructionAttributes reps =
		ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE;
	ZydisDecodedInstruction insn;
	int rc = decode(mode, bytes, len, &insn, NULL);

	if (rc < 0)
		return rc;
	out_insn->length = insn.length;
	out_insn->kind = kind_of(&insn);
	out_insn->has_rep = (insn.attributes & reps) != 0;
	out_insn->operand_bits = insn.operand_width;
	return 0;
}

/* Where it stores. */

/* The manual's number of a register of the groups that addresses are made of. */
static uint64_t register_value(const struct x86_state *st, ZydisRegister reg, gva_t next)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	ZyanI8 id = ZydisRegisterGetId(whole);

	if (reg == ZYDIS_REGISTER_NONE)
		return 0;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return next;
	return id >= 0 && id < X86_GPR_COUNT ? st->gpr[id] : 0;
}

/* In 64-bit mode the bases of FS and GS alone count (SDM 1 3.4.4.1). */
static uint64_t segment_base(const struct x86_state *st, enum x86_mode mode, ZydisRegister reg)
{
	ZyanI8 id = ZydisRegisterGetId(reg);

	if (id < 0 || id >= X86_SEG_COUNT ||
	    (mode == X86_MODE_LONG64 && id != X86_FS && id != X86_GS))
		return 0;
	return st->seg[id].base;
}

static gva_t store_address(const struct x86_state *st, enum x86_mode mode,
			   const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op,
			   gva_t next)
{
	uint64_t offset = register_value(st, op->mem.base, next) +
			  register_value(st, op->mem.index, next) * op->mem.scale;
	gva_t linear;

	if (op->mem.disp.has_displacement)
		offset += (uint64_t)op->mem.disp.value;
	/* A string instruction has moved on by now. */
	if (insn->meta.category == ZYDIS_CATEGORY_STRINGOP)
		offset += st->rflags & X86_RFLAGS_DF ? op->size / 8u : 0 - op->size / 8ull;
	if (insn->address_width < 64)
		offset &= (1ull << insn->address_width) - 1;
	linear = segment_base(st, mode, op->mem.segment) + offset;
	return mode == X86_MODE_LONG64 ? linear : (uint32_t)linear;
}

int x86_insn_stores(const struct x86_state *st, const uint8_t *bytes, size_t len, gva_t next,
		    struct x86_insn_stores *out)
{
	enum x86_mode mode = x86_mode_of(st);
	ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	int rc = decode(mode, bytes, len, &insn, operand);

	*out = (struct x86_insn_stores){.count = 0};
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < insn.operand_count && out->count < X86_INSN_STORES_MAX; i++) {
		const ZydisDecodedOperand *op = &operand[i];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
		    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) || op->size < 8)
			continue;
		out->store[out->count].addr = store_address(st, mode, &insn, op, next);
		out->store[out->count++].bytes = op->size / 8u;
	}
	return insn.length;
}

/* Text. */

static const struct {
	ZydisFormatterProperty property;
	ZyanUPointer value;
} GDB_STYLE[] = {
	{ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE},
	{ZYDIS_FORMATTER_PROP_FORCE_RELATIVE_RIPREL, ZYAN_TRUE},
	{ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED},
	{ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED},
	{ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED},
	{ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED},
	{ZYDIS_FORMATTER_PROP_IMM_SIGNEDNESS, ZYDIS_SIGNEDNESS_UNSIGNED},
};

static bool formatter_open(ZydisFormatter *formatter)
{
	size_t i;

	if (ZYAN_FAILED(ZydisFormatterInit(formatter, ZYDIS_FORMATTER_STYLE_ATT)))
		return false;
	for (i = 0; i < UMBRA_ARRAY_SIZE(GDB_STYLE); i++) {
		if (ZYAN_FAILED(ZydisFormatterSetProperty(formatter, GDB_STYLE[i].property,
							  GDB_STYLE[i].value)))
			return false;
	}
	return true;
}

/* Where gdb has other names: conditions of Jcc, SETcc and CMOVcc, and conversions. */
static const struct {
	const char *zydis, *gdb;
} CONDITIONS[] = {
	{"z", "e"}, {"nz", "ne"}, {"nb", "ae"}, {"nbe", "a"}, {"nl", "ge"}, {"nle", "g"},
};
static const char *const CONDITIONAL[] = {"j", "set", "cmov"};
static const struct {
	const char *zydis, *gdb;
} CONVERSIONS[] = {
	{"cbw", "cbtw"}, {"cwde", "cwtl"}, {"cdqe", "cltq"},
	{"cwd", "cwtd"}, {"cdq", "cltd"},  {"cqo", "cqto"},
};

static const char *gdb_condition(const char *zydis)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CONDITIONS); i++) {
		if (strcmp(CONDITIONS[i].zydis, zydis) == 0)
			return CONDITIONS[i].gdb;
	}
	return NULL;
}

/* Write gdb's name for @mnemonic; longer ones than any that there is are cut. */
static void put_mnemonic(char out[MNEMONIC_MAX], const char *mnemonic)
{
	size_t i;

	snprintf(out, MNEMONIC_MAX, "%s", mnemonic);
	for (i = 0; i < UMBRA_ARRAY_SIZE(CONVERSIONS); i++) {
		if (strcmp(CONVERSIONS[i].zydis, mnemonic) == 0)
			snprintf(out, MNEMONIC_MAX, "%s", CONVERSIONS[i].gdb);
	}
	for (i = 0; i < UMBRA_ARRAY_SIZE(CONDITIONAL); i++) {
		size_t len = strlen(CONDITIONAL[i]);
		const char *condition = strncmp(mnemonic, CONDITIONAL[i], len) == 0
						? gdb_condition(mnemonic + len)
						: NULL;

		if (condition)
			snprintf(out, MNEMONIC_MAX, "%s%s", CONDITIONAL[i], condition);
	}
}

/* Copy operands as gdb writes them: no space after a comma, and a port in DX as "(%dx)". */
static void put_operands(char *out, size_t size, const char *operands, bool has_port)
{
	size_t n = 0;
	const char *p;

	for (p = operands; *p && n + sizeof("(%dx)") < size; p++) {
		if (has_port && strncmp(p, "%dx", 3) == 0) {
			memcpy(out + n, "(%dx)", 5);
			n += 5;
			p += 2;
		} else if (*p != ' ' || p[-1] != ',') {
			out[n++] = *p;
		}
	}
	out[n] = '\0';
}

/* Zydis writes "mov $0x1, %ax"; gdb writes "mov    $0x1,%ax".  Prefixes ("rep ") stand before the
 * mnemonic, a size suffix follows it. */
static void put_as_gdb(char out[X86_INSN_TEXT_MAX], const char *text,
		       const ZydisDecodedInstruction *insn)
{
	const char *name = ZydisMnemonicGetString(insn->mnemonic);
	const char *found = strstr(text, name);
	const char *suffix = found ? found + strlen(name) : text;
	const char *operands = strchr(suffix, ' ');
	char head[2 * MNEMONIC_MAX], mnemonic[MNEMONIC_MAX];
	int len;

	put_mnemonic(mnemonic, found ? name : "");
	snprintf(head, sizeof(head), "%.*s%s%.*s", found ? (int)(found - text) : 0, text, mnemonic,
		 operands ? (int)(operands - suffix) : (int)strlen(suffix), suffix);
	if (!operands) {
		memcpy(out, head, sizeof(head));
		return;
	}
	len = snprintf(out, X86_INSN_TEXT_MAX, "%-*s ", MNEMONIC_COLUMN, head);
	put_operands(out + len, X86_INSN_TEXT_MAX - (size_t)len, operands + 1,
		     insn->meta.category == ZYDIS_CATEGORY_IO);
}

int x86_insn_format(enum x86_mode mode, gva_t pc, const uint8_t *bytes, size_t len,
		    char out_text[X86_INSN_TEXT_MAX])
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	char text[X86_INSN_TEXT_MAX * 2];
	int rc = decode(mode, bytes, len, &insn, operands);

	if (rc == 0 && (!formatter_open(&formatter) ||
			ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &insn, operands,
								    insn.operand_count_visible,
								    text, sizeof(text), pc, NULL))))
		rc = -EINVAL;
	if (rc < 0) {
		memcpy(out_text, "(bad)", sizeof("(bad)"));
		return rc;
	}
	put_as_gdb(out_text, text, &insn);
	return insn.length;
}
