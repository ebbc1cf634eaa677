/* The register table, and reading and writing through it.  Widths never change with the CPU's mode:
 * gdb is told once, so a 16-bit guest has 64-bit registers whose upper parts are zero or whatever
 * the processor keeps there.
 *
 * A write must leave a state that the processor can hold: what would make the next entry into the
 * guest fail is refused here, with nothing changed.
 * Sources: gdb's features/i386/64bit-*.xml for names and order; SDM 3A 2.5 (control registers),
 * SDM 3C 27.3.1 (checks on guest state). */
#include "regs.h"
#include "reg_rules.h"

#include <errno.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "host integers are copied to the wire, which is little-endian, as they are");

/* X87 tags. */

enum x87_tag { X87_VALID, X87_ZERO, X87_SPECIAL, X87_EMPTY };

static enum x87_tag tag_of(const uint8_t st[10])
{
	uint64_t mantissa = le64_get(st);
	unsigned exponent = le16_get(st + 8) & 0x7fffu;

	if (exponent == 0)
		return mantissa == 0 ? X87_ZERO : X87_SPECIAL;
	if (exponent == 0x7fff)
		return X87_SPECIAL;
	return mantissa >> 63 ? X87_VALID : X87_SPECIAL;
}

uint16_t x87_tag_word(const struct x86_fpu *fpu)
{
	unsigned top = fpu->fsw >> 11 & 7u;
	unsigned word = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		enum x87_tag tag = X87_EMPTY;

		if (fpu->ftw >> phys & 1u)
			tag = tag_of(fpu->st[(phys - top) & 7u]);
		word |= (unsigned)tag << 2 * phys;
	}
	return (uint16_t)word;
}

uint8_t x87_tag_abridge(uint16_t tag_word)
{
	unsigned abridged = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		if ((tag_word >> 2 * phys & 3u) != X87_EMPTY)
			abridged |= 1u << phys;
	}
	return (uint8_t)abridged;
}

static uint64_t get_ftag(const struct x86_state *st, const struct reg_desc *reg)
{
	(void)reg;
	return x87_tag_word(&st->fpu);
}

/* Valid, zero and special follow from the contents: only "empty" is a thing to set. */
static int set_ftag(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	(void)reg;
	if (value >> 16)
		return umbra_err_set(&edit->err, EINVAL, "ftag has 16 bits");
	edit->st.fpu.ftw = x87_tag_abridge((uint16_t)value);
	return 0;
}

/* Values with rules. */

static void store(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	memcpy((uint8_t *)&edit->st + reg->offset, &value, reg->bytes);
}

/* Bits that POPF cannot set (SDM 1 figure 3-8): reserved ones read as 0, bit 1 as 1. */
#define RFLAGS_KNOWN 0x3f7fd5ull

static int set_eflags(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	uint64_t flags = (value & RFLAGS_KNOWN) | X86_RFLAGS_FIXED;

	if ((flags ^ edit->st.rflags) & X86_RFLAGS_VM)
		return regs_refuse(edit, reg, value, "VM changes by IRET and task switches only");
	edit->st.rflags = flags;
	return 0;
}

static int set_selector(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	size_t which = (reg->offset - offsetof(struct x86_state, seg)) / sizeof(struct x86_seg);

	if (value >> 16)
		return regs_refuse(edit, reg, value, "a selector has 16 bits");
	return regs_load_segment(edit, (enum x86_seg_reg)which, (uint16_t)value);
}

static int set_base(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	if (!regs_is_canonical(&edit->st, value))
		return regs_refuse(edit, reg, value, "not a canonical address");
	store(edit, reg, value);
	return 0;
}

/* LMA is the processor's own: LME while paging is on (SDM 3A 9.8.5). */
static void update_lma(struct x86_state *st)
{
	st->efer &= ~X86_EFER_LMA;
	if ((st->efer & X86_EFER_LME) && (st->cr0 & X86_CR0_PG))
		st->efer |= X86_EFER_LMA;
}

static int set_cr0(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	if (value >> 32)
		return regs_refuse(edit, reg, value, "bits 32 to 63 are reserved");
	if ((value & X86_CR0_PG) && !(value & X86_CR0_PE))
		return regs_refuse(edit, reg, value, "PG needs PE");
	if ((value & X86_CR0_NW) && !(value & X86_CR0_CD))
		return regs_refuse(edit, reg, value, "NW needs CD");
	edit->st.cr0 = value;
	update_lma(&edit->st);
	return 0;
}

static int set_cr8(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	if (value > 15)
		return regs_refuse(edit, reg, value, "a task priority is 0 to 15");
	edit->st.cr8 = value;
	return 0;
}

/* Where its APIC is, and in which mode, is more than a number: other parts of the machine follow.
 */
static int set_apic_base(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	return regs_refuse(edit, reg, value, "only the guest's own WRMSR changes it");
}

/* SCE, LME, LMA, NXE of SDM 3A 2.2.1; SVME, LMSLE, FFXSR, TCE of APM2 3.1.7.  A processor that
 * lacks one of them may still refuse it. */
#define EFER_KNOWN 0xfd01ull

static int set_efer(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	bool is_lme_new = (value ^ edit->st.efer) & X86_EFER_LME;

	if (value & ~EFER_KNOWN)
		return regs_refuse(edit, reg, value, "it has reserved bits");
	if (is_lme_new && (edit->st.cr0 & X86_CR0_PG))
		return regs_refuse(edit, reg, value, "LME cannot change while CR0.PG is set");
	edit->st.efer = value;
	update_lma(&edit->st);
	return 0;
}

static int set_mxcsr(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	if (value >> 16)
		return regs_refuse(edit, reg, value, "bits 16 to 31 are reserved");
	edit->st.fpu.mxcsr = (uint32_t)value;
	return 0;
}

/* Of Linux: the system call that a signal interrupted, which gdb says is none when it moves the
 * program counter.  What runs here is a whole machine: there is none. */
static uint64_t get_orig_rax(const struct x86_state *st, const struct reg_desc *reg)
{
	(void)st, (void)reg;
	return UINT64_MAX;
}

static int set_orig_rax(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value)
{
	return regs_refuse(edit, reg, value, "no system call waits to be restarted");
}

/* The table. */

/* Offset, host bytes and part of a field. */
#define IN(member, state_part)                                                                     \
	.offset = offsetof(struct x86_state, member),                                              \
	.bytes = sizeof(((struct x86_state *)NULL)->member), .part = (state_part)

#define GPR(reg_name, index, reg_type)                                                             \
	{                                                                                          \
		.name = (reg_name), .bits = 64, .type = (reg_type), .feature = REG_CORE,           \
		IN(gpr[index], X86_STATE_GPR)                                                      \
	}
#define SELECTOR(reg_name, index)                                                                  \
	{                                                                                          \
		.name = (reg_name), .bits = 32, .feature = REG_CORE,                               \
		IN(seg[index].selector, X86_STATE_SREG), .set = set_selector                       \
	}
#define ST(index)                                                                                  \
	{                                                                                          \
		.name = "st" #index, .bits = 80, .type = "i387_ext", .feature = REG_CORE,          \
		IN(fpu.st[index], X86_STATE_FPU)                                                   \
	}
#define X87(reg_name, ...)                                                                         \
	{                                                                                          \
		.name = (reg_name), .bits = 32, .group = "float", .feature = REG_CORE, __VA_ARGS__ \
	}
/* FIP and FDP are kept as FXSAVE64 keeps them; gdb's selector registers are their upper halves. */
#define HALF(member, byte)                                                                         \
	.offset = offsetof(struct x86_state, member) + (byte), .bytes = 4, .part = X86_STATE_FPU
#define XMM(index)                                                                                 \
	{                                                                                          \
		.name = "xmm" #index, .bits = 128, .type = "vec128", .feature = REG_SSE,           \
		IN(fpu.xmm[index], X86_STATE_FPU)                                                  \
	}
#define SYSTEM(reg_name, reg_type, ...)                                                            \
	{                                                                                          \
		.name = (reg_name), .bits = 64, .type = (reg_type), .group = "system",             \
		.feature = REG_SYSTEM, __VA_ARGS__                                                 \
	}

#define SYSTEM_BITS(reg_name, width, reg_type, ...)                                                \
	{                                                                                          \
		.name = (reg_name), .bits = (width), .type = (reg_type), .group = "system",        \
		.feature = REG_SYSTEM, __VA_ARGS__                                                 \
	}
#define DR(index, reg_type)                                                                        \
	SYSTEM("dr" #index, reg_type, IN(dr[index], X86_STATE_DR), .set = regs_set_debug)
#define MSR(reg_name, member, reg_type, setter)                                                    \
	SYSTEM(reg_name, reg_type, IN(msr.member, X86_STATE_MSR), .set = (setter))
/* Field @field of the segment or table register @member. */
#define OF_SEG(member, field)                                                                      \
	.offset = offsetof(struct x86_state, member) + offsetof(struct x86_seg, field),            \
	.bytes = sizeof(((struct x86_seg *)NULL)->field), .part = X86_STATE_SREG
#define OF_TABLE(member, field)                                                                    \
	.offset = offsetof(struct x86_state, member) + offsetof(struct x86_table_reg, field),      \
	.bytes = sizeof(((struct x86_table_reg *)NULL)->field), .part = X86_STATE_SREG
#define TABLE(prefix, member)                                                                      \
	SYSTEM(prefix "_base", NULL, OF_TABLE(member, base), .set = set_base),                     \
		SYSTEM_BITS(prefix "_limit", 16, "uint16", OF_TABLE(member, limit))
/* The parts of a segment register that no instruction shows. */
#define HIDDEN_NO_BASE(prefix, member)                                                             \
	SYSTEM_BITS(prefix "_limit", 32, "uint32", OF_SEG(member, limit), .set = regs_set_limit),  \
		SYSTEM_BITS(prefix "_rights", 32, "x86_rights", OF_SEG(member, limit),             \
			    .get = regs_get_rights, .set = regs_set_rights)
#define HIDDEN(prefix, member)                                                                     \
	SYSTEM(prefix "_base", NULL, OF_SEG(member, base), .set = regs_set_hidden_base),           \
		HIDDEN_NO_BASE(prefix, member)
#define SYSTEM_SEGMENT(reg_name, member)                                                           \
	SYSTEM_BITS(reg_name, 16, "uint16", OF_SEG(member, selector)), HIDDEN(reg_name, member)

/* The lower half of a register that is in the table already. */
#define LOWER(reg_name, member)                                                                    \
	{                                                                                          \
		.name = (reg_name), .bits = 32, .type = "int32", .feature = REG_CORE,              \
		.offset = offsetof(struct x86_state, member), .bytes = 4, .part = X86_STATE_GPR    \
	}

static const struct reg_desc REGS[] = {
	GPR("rax", X86_RAX, "int64"),
	GPR("rbx", X86_RBX, "int64"),
	GPR("rcx", X86_RCX, "int64"),
	GPR("rdx", X86_RDX, "int64"),
	GPR("rsi", X86_RSI, "int64"),
	GPR("rdi", X86_RDI, "int64"),
	GPR("rbp", X86_RBP, "data_ptr"),
	GPR("rsp", X86_RSP, "data_ptr"),
	GPR("r8", X86_R8, "int64"),
	GPR("r9", X86_R9, "int64"),
	GPR("r10", X86_R10, "int64"),
	GPR("r11", X86_R11, "int64"),
	GPR("r12", X86_R12, "int64"),
	GPR("r13", X86_R13, "int64"),
	GPR("r14", X86_R14, "int64"),
	GPR("r15", X86_R15, "int64"),
	{.name = "rip",
	 .bits = 64,
	 .type = "code_ptr",
	 .feature = REG_CORE,
	 IN(rip, X86_STATE_GPR)},
	{.name = "eflags",
	 .bits = 32,
	 .type = "i386_eflags",
	 .feature = REG_CORE,
	 IN(rflags, X86_STATE_GPR),
	 .set = set_eflags},
	SELECTOR("cs", X86_CS),
	SELECTOR("ss", X86_SS),
	SELECTOR("ds", X86_DS),
	SELECTOR("es", X86_ES),
	SELECTOR("fs", X86_FS),
	SELECTOR("gs", X86_GS),
	ST(0),
	ST(1),
	ST(2),
	ST(3),
	ST(4),
	ST(5),
	ST(6),
	ST(7),
	X87("fctrl", IN(fpu.fcw, X86_STATE_FPU)),
	X87("fstat", IN(fpu.fsw, X86_STATE_FPU)),
	X87("ftag", IN(fpu.ftw, X86_STATE_FPU), .get = get_ftag, .set = set_ftag),
	X87("fiseg", HALF(fpu.fip, 4)),
	X87("fioff", HALF(fpu.fip, 0)),
	X87("foseg", HALF(fpu.fdp, 4)),
	X87("fooff", HALF(fpu.fdp, 0)),
	X87("fop", IN(fpu.fop, X86_STATE_FPU)),
	XMM(0),
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{.name = "mxcsr",
	 .bits = 32,
	 .type = "i386_mxcsr",
	 .group = "vector",
	 .feature = REG_SSE,
	 IN(fpu.mxcsr, X86_STATE_FPU),
	 .set = set_mxcsr},
	{.name = "fs_base",
	 .bits = 64,
	 .feature = REG_SEGMENTS,
	 IN(seg[X86_FS].base, X86_STATE_SREG),
	 .set = set_base},
	{.name = "gs_base",
	 .bits = 64,
	 .feature = REG_SEGMENTS,
	 IN(seg[X86_GS].base, X86_STATE_SREG),
	 .set = set_base},
	SYSTEM("cr0", "x86_cr0", IN(cr0, X86_STATE_SREG), .set = set_cr0),
	SYSTEM("cr2", NULL, IN(cr2, X86_STATE_SREG)),
	SYSTEM("cr3", NULL, IN(cr3, X86_STATE_SREG)),
	SYSTEM("cr4", "x86_cr4", IN(cr4, X86_STATE_SREG)),
	SYSTEM("cr8", NULL, IN(cr8, X86_STATE_SREG), .set = set_cr8),
	SYSTEM("efer", "x86_efer", IN(efer, X86_STATE_SREG), .set = set_efer),
	SYSTEM("k_gs_base", NULL, IN(msr.kernel_gs_base, X86_STATE_MSR), .set = set_base),
	SYSTEM("xcr0", "x86_xcr0", IN(xcr0, X86_STATE_XCR)),
	DR(0, NULL),
	DR(1, NULL),
	DR(2, NULL),
	DR(3, NULL),
	DR(6, "x86_dr6"),
	DR(7, "x86_dr7"),
	TABLE("gdtr", gdtr),
	TABLE("idtr", idtr),
	SYSTEM_SEGMENT("ldtr", ldtr),
	SYSTEM_SEGMENT("tr", tr),
	HIDDEN("es", seg[X86_ES]),
	HIDDEN("cs", seg[X86_CS]),
	HIDDEN("ss", seg[X86_SS]),
	HIDDEN("ds", seg[X86_DS]),
	HIDDEN_NO_BASE("fs", seg[X86_FS]),
	HIDDEN_NO_BASE("gs", seg[X86_GS]),
	/* Not the time stamp counter: gdb would set it back after each call that it makes. */
	MSR("star", star, NULL, NULL),
	MSR("lstar", lstar, NULL, set_base),
	MSR("cstar", cstar, NULL, set_base),
	MSR("sfmask", sfmask, NULL, regs_set_32),
	MSR("sysenter_cs", sysenter_cs, NULL, regs_set_32),
	MSR("sysenter_esp", sysenter_esp, NULL, set_base),
	MSR("sysenter_eip", sysenter_eip, NULL, set_base),
	MSR("pat", pat, "x86_pat", regs_set_pat),
	SYSTEM("apic_base", "x86_apic_base", IN(apic_base, X86_STATE_SREG), .set = set_apic_base),
	{.name = "orig_rax",
	 .bits = 64,
	 .group = "system",
	 .feature = REG_LINUX,
	 .bytes = 8,
	 .part = X86_STATE_GPR,
	 .get = get_orig_rax,
	 .set = set_orig_rax},
	/* Outside of g, or it would carry two values of one register to write back. */
	LOWER("eax", gpr[X86_RAX]),
	LOWER("ecx", gpr[X86_RCX]),
	LOWER("edx", gpr[X86_RDX]),
	LOWER("ebx", gpr[X86_RBX]),
	LOWER("esp", gpr[X86_RSP]),
	LOWER("ebp", gpr[X86_RBP]),
	LOWER("esi", gpr[X86_RSI]),
	LOWER("edi", gpr[X86_RDI]),
	LOWER("eip", rip),
};

#define REG_COUNT	 UMBRA_ARRAY_SIZE(REGS)
#define REG_LINUX_COUNT	 (REG_COUNT - 9)
#define REG_X86_64_COUNT (REG_LINUX_COUNT - 1)
#define REG_G_COUNT	 59u /* up to gs_base */

_Static_assert(REG_LINUX_COUNT == REG_I386, "regs.h says where the names of i386 begin");

/* Access. */

unsigned regs_count(void)
{
	return REG_COUNT;
}

unsigned regs_x86_64_count(void)
{
	return REG_X86_64_COUNT;
}

unsigned regs_linux_count(void)
{
	return REG_LINUX_COUNT;
}

unsigned regs_g_count(void)
{
	return REG_G_COUNT;
}

unsigned regs_g_parts(void)
{
	unsigned parts = 0;

	for (unsigned i = 0; i < REG_G_COUNT; i++)
		parts |= REGS[i].part;
	return parts;
}

const struct reg_desc *regs_at(unsigned reg)
{
	return reg < REG_COUNT ? &REGS[reg] : NULL;
}

size_t regs_size(unsigned reg)
{
	return reg < REG_COUNT ? REGS[reg].bits / 8u : 0;
}

void regs_read(const struct reg_desc *reg, const struct x86_state *st, uint8_t *out)
{
	size_t size = reg->bits / 8u;
	size_t given = reg->bytes < size ? reg->bytes : size;

	memset(out, 0, size);
	if (reg->get) {
		uint64_t value = reg->get(st, reg);

		memcpy(out, &value, size);
	} else {
		memcpy(out, (const uint8_t *)st + reg->offset, given);
	}
}

/* For tracepoints: most registers are of a size that is worth a copy of its own. */
void regs_read_g(const struct x86_state *st, uint8_t *out)
{
	for (const struct reg_desc *reg = REGS; reg < REGS + REG_G_COUNT; reg++) {
		const uint8_t *from = (const uint8_t *)st + reg->offset;
		size_t size = reg->bits / 8u;

		if (size == 8 && reg->bytes == 8 && !reg->get)
			memcpy(out, from, 8);
		else if (size == 16 && reg->bytes == 16 && !reg->get)
			memcpy(out, from, 16);
		else
			regs_read(reg, st, out);
		out += size;
	}
}

/* A wire value of at most 64 bits. */
static uint64_t wire_value(const struct reg_desc *reg, const uint8_t *value)
{
	uint64_t number = 0;

	memcpy(&number, value, reg->bits / 8u);
	return number;
}

static int write_plain(struct reg_edit *edit, const struct reg_desc *reg, const uint8_t *value)
{
	size_t size = reg->bits / 8u;

	for (size_t i = reg->bytes; i < size; i++) {
		if (value[i] != 0)
			return regs_refuse(edit, reg, wire_value(reg, value), "it has fewer bits");
	}
	memcpy((uint8_t *)&edit->st + reg->offset, value, reg->bytes < size ? reg->bytes : size);
	return 0;
}

int regs_write(struct reg_edit *edit, const struct reg_desc *reg, const uint8_t *value)
{
	uint8_t now[REG_MAX_BYTES];
	int error;

	/* gdb writes back whole sets (G): what did not change must not be touched, not even a
	 * segment whose hidden part no longer follows from its selector. */
	regs_read(reg, &edit->st, now);
	if (memcmp(now, value, reg->bits / 8u) == 0)
		return 0;
	error = reg->set ? reg->set(edit, reg, wire_value(reg, value))
			 : write_plain(edit, reg, value);
	if (error == 0)
		edit->parts |= reg->part;
	return error;
}

static bool is_pc_possible(const struct x86_state *st)
{
	if (x86_mode_of(st) == X86_MODE_LONG64)
		return regs_is_canonical(st, st->rip);
	return st->rip >> 32 == 0;
}

int regs_check(struct reg_edit *edit, const struct x86_state *before)
{
	const struct x86_state *st = &edit->st;

	if (!is_pc_possible(st) && is_pc_possible(before))
		return umbra_err_set(&edit->err, EINVAL, "rip cannot be 0x%llx in %s mode",
				     (unsigned long long)st->rip, x86_mode_name(x86_mode_of(st)));
	if ((st->efer & X86_EFER_LMA) && !(before->efer & X86_EFER_LMA) && !(st->cr4 & X86_CR4_PAE))
		return umbra_err_set(&edit->err, EINVAL, "long mode needs CR4.PAE");
	return 0;
}
