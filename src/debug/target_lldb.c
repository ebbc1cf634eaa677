/* What LLDB asks of the machine: librspstub's lldb operations.
 * Source: the x86-64 ABI, figure 3.36 (DWARF's register numbers). */
#include "regs.h"
#include "target.h"

static const struct {
	const char *name;
	int dwarf;
	const char *generic;
} NAMES[] = {
	{"rax", 0, NULL},      {"rdx", 1, "arg3"},	{"rcx", 2, "arg4"},  {"rbx", 3, NULL},
	{"rsi", 4, "arg2"},    {"rdi", 5, "arg1"},	{"rbp", 6, "fp"},    {"rsp", 7, "sp"},
	{"r8", 8, "arg5"},     {"r9", 9, "arg6"},	{"r10", 10, NULL},   {"r11", 11, NULL},
	{"r12", 12, NULL},     {"r13", 13, NULL},	{"r14", 14, NULL},   {"r15", 15, NULL},
	{"rip", 16, "pc"},     {"eflags", 49, "flags"}, {"es", 50, NULL},    {"cs", 51, NULL},
	{"ss", 52, NULL},      {"ds", 53, NULL},	{"fs", 54, NULL},    {"gs", 55, NULL},
	{"fs_base", 58, NULL}, {"gs_base", 59, NULL},	{"tr", 62, NULL},    {"ldtr", 63, NULL},
	{"mxcsr", 64, NULL},   {"fctrl", 65, NULL},	{"fstat", 66, NULL},
};

/* Xmm0 to xmm15 are 17 to 32, st0 to st7 33 to 40. */
#define DWARF_XMM0 17
#define DWARF_ST0  33

static const char *set_name(const struct reg_desc *reg)
{
	if (reg->feature == REG_SYSTEM)
		return "System Registers";
	if (reg->part == X86_STATE_FPU)
		return "Floating Point Registers";
	return "General Purpose Registers";
}

static int indexed(const char *name, const char *prefix, int first)
{
	size_t len = strlen(prefix);
	int index = 0;

	if (strncmp(name, prefix, len) != 0 || !name[len])
		return -1;
	for (const char *at = name + len; *at; at++) {
		if (*at < '0' || *at > '9')
			return -1;
		index = 10 * index + (*at - '0');
	}
	return first + index;
}

static bool reg_info(void *ctx, unsigned number, struct rsp_reg_info *out)
{
	const struct reg_desc *reg = regs_at(number);

	(void)ctx;
	if (!reg)
		return false;
	*out = (struct rsp_reg_info){.name = reg->name, .set = set_name(reg)};
	out->dwarf = indexed(reg->name, "xmm", DWARF_XMM0);
	if (out->dwarf < 0)
		out->dwarf = indexed(reg->name, "st", DWARF_ST0);
	if (reg->bits > 64)
		out->encoding = RSP_ENCODING_VECTOR;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(NAMES); i++) {
		if (strcmp(NAMES[i].name, reg->name) != 0)
			continue;
		out->dwarf = NAMES[i].dwarf;
		out->generic = NAMES[i].generic;
	}
	return true;
}

static int lend(void *ctx, unsigned thread, uint64_t size, unsigned permissions, uint64_t *out_addr)
{
	return scratch_lend(ctx, thread - 1, size, permissions, out_addr);
}

static int give_back(void *ctx, uint64_t addr)
{
	return scratch_return(ctx, addr);
}

const struct rsp_lldb_ops target_lldb_ops = {
	/* LLDB 14 calls no function in a target whose triple names no system, and knows the calling
	 * convention of a few only. */
	.triple = "x86_64-unknown-linux",
	.pointer_bytes = 8,
	.pc_reg = REG_RIP,
	.reg_info = reg_info,
	.alloc = lend,
	.release = give_back,
};
