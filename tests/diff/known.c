/* See known.h.  SDM means the description of the instruction in volume 2 unless something else is
 * said. */
#include "known.h"

#include "umbra/x86.h"

#include <stddef.h>
#include <string.h>

#define MXCSR_FLAGS 0x3fu
#define MXCSR_PE    0x20u

#define SKIP(name, why)                                                                            \
	{                                                                                          \
		ZYDIS_MNEMONIC_##name, why                                                         \
	}

static const struct {
	ZydisMnemonic mnemonic;
	const char *reason;
} SKIPPED[] = {
	SKIP(CPUID, "the model is not the host"),
	SKIP(RDTSC, "time"),
	SKIP(RDTSCP, "time"),
	SKIP(RDPMC, "counts the host's events"),
	SKIP(XGETBV, "the host has enabled other state"),
	SKIP(XSAVE, "the host has enabled other state"),
	SKIP(XSAVE64, "the host has enabled other state"),
	SKIP(XRSTOR, "the host has enabled other state"),
	SKIP(XRSTOR64, "the host has enabled other state"),
	SKIP(RDPKRU, "the host's protection keys may be off"),
	SKIP(WRPKRU, "would take this program's memory away"),
	SKIP(RDFSBASE, "needs CR4.FSGSBASE of the host"),
	SKIP(RDGSBASE, "needs CR4.FSGSBASE of the host"),
	SKIP(WRFSBASE, "would take the C library's thread away"),
	SKIP(WRGSBASE, "needs CR4.FSGSBASE of the host"),
	SKIP(SYSCALL, "the host's kernel takes it"),
	SKIP(SYSENTER, "the host's kernel takes it"),
	SKIP(SYSRET, "CPL 0"),
	SKIP(SYSEXIT, "CPL 0"),
	SKIP(INT, "the host's kernel takes it"),
	SKIP(INT1, "the host's kernel takes it"),
	SKIP(INT3, "how the host tells where a branch went"),
	SKIP(INTO, "the host's kernel takes it"),
	SKIP(IRET, "needs the host's descriptors"),
	SKIP(IRETD, "needs the host's descriptors"),
	SKIP(IRETQ, "needs the host's descriptors"),
	SKIP(LAR, "reads the host's descriptors"),
	SKIP(LSL, "reads the host's descriptors"),
	SKIP(VERR, "reads the host's descriptors"),
	SKIP(VERW, "reads the host's descriptors"),
	SKIP(SGDT, "UMIP: the host's kernel makes up an answer"),
	SKIP(SIDT, "UMIP: the host's kernel makes up an answer"),
	SKIP(SLDT, "UMIP: the host's kernel makes up an answer"),
	SKIP(STR, "UMIP: the host's kernel makes up an answer"),
	SKIP(SMSW, "UMIP: the host's kernel makes up an answer"),
	SKIP(LMSW, "CPL 0"),
	SKIP(IN, "the host's permission map"),
	SKIP(INSB, "the host's permission map"),
	SKIP(INSW, "the host's permission map"),
	SKIP(INSD, "the host's permission map"),
	SKIP(OUT, "the host's permission map"),
	SKIP(OUTSB, "the host's permission map"),
	SKIP(OUTSW, "the host's permission map"),
	SKIP(OUTSD, "the host's permission map"),
	SKIP(CLI, "IOPL"),
	SKIP(STI, "IOPL"),
	SKIP(HLT, "CPL 0"),
	SKIP(MONITOR, "CPL 0"),
	SKIP(MWAIT, "CPL 0"),
	SKIP(CLAC, "CPL 0"),
	SKIP(STAC, "CPL 0"),
	SKIP(SWAPGS, "CPL 0"),
};

static bool has_prefix(const ZydisDecodedInstruction *z, uint8_t first, uint8_t second)
{
	for (unsigned i = 0; i < z->raw.prefix_count; i++) {
		if (z->raw.prefixes[i].value == first || z->raw.prefixes[i].value == second)
			return true;
	}
	return false;
}

/* Encodings of which processors make different things. */
static bool is_vendor_form(const ZydisDecodedInstruction *z)
{
	/* In 64-bit mode such a branch is 16 bits wide on AMD, and Intel ignores the prefix; in
	 * 32-bit mode it goes to the lowest 64 KiB, where a Linux process has nothing. */
	if (z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && has_prefix(z, 0x66, 0x66))
		return true;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR: /* the host has TZCNT and LZCNT, the model does not */
		return has_prefix(z, 0xf3, 0xf3);
	case ZYDIS_MNEMONIC_LOOPE: /* SDM 2A 2.1.1: reserved; the last of F2 and F3 decides on AMD
				    */
	case ZYDIS_MNEMONIC_LOOPNE:
		return has_prefix(z, 0xf2, 0xf3);
	case ZYDIS_MNEMONIC_NOP: /* 0F 0D with a register: NOP on Intel, #UD on AMD */
		return z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->opcode == 0x0d &&
		       z->raw.modrm.mod == 3;
	default:
		return false;
	}
}

bool known_is_skipped(const ZydisDecodedInstruction *z)
{
	if (is_vendor_form(z))
		return true;
	for (size_t i = 0; i < sizeof(SKIPPED) / sizeof(SKIPPED[0]); i++) {
		if (SKIPPED[i].mnemonic == z->mnemonic)
			return true;
	}
	return false;
}

/* SDM 3A 6.15, #AC: what is checked of operands over 8 bytes, and of images, is left open; ENTER's
 * reads of the old frame too.  Of two operands either may come first. */
bool known_has_alignment_check(const ZydisDecodedInstruction *z)
{
	return (z->meta.isa_ext == ZYDIS_ISA_EXT_BASE ||
		z->meta.isa_ext == ZYDIS_ISA_EXT_LONGMODE) &&
	       z->mnemonic != ZYDIS_MNEMONIC_ENTER && !known_is_order_vague(z);
}

/* Decimal instructions have no 64-bit form, so the software CPU cannot run the host's. */
static const struct {
	ZydisMnemonic mnemonic;
	uint64_t flags; /* each the SDM's "undefined" in the section "Flags Affected" */
} UNDEFINED[] = {
	{ZYDIS_MNEMONIC_AAA, X86_RFLAGS_OF | X86_RFLAGS_SF | X86_RFLAGS_ZF | X86_RFLAGS_PF},
	{ZYDIS_MNEMONIC_AAS, X86_RFLAGS_OF | X86_RFLAGS_SF | X86_RFLAGS_ZF | X86_RFLAGS_PF},
	{ZYDIS_MNEMONIC_AAD, X86_RFLAGS_OF | X86_RFLAGS_AF | X86_RFLAGS_CF},
	{ZYDIS_MNEMONIC_AAM, X86_RFLAGS_OF | X86_RFLAGS_AF | X86_RFLAGS_CF},
	{ZYDIS_MNEMONIC_DAA, X86_RFLAGS_OF},
	{ZYDIS_MNEMONIC_DAS, X86_RFLAGS_OF},
};

uint64_t known_undefined_flags(const ZydisDecodedInstruction *z)
{
	for (size_t i = 0; i < sizeof(UNDEFINED) / sizeof(UNDEFINED[0]); i++) {
		if (UNDEFINED[i].mnemonic == z->mnemonic)
			return UNDEFINED[i].flags;
	}
	return 0;
}

/* SDM MASKMOVQ, MASKMOVDQU: faults for bytes that are masked out are left to the implementation; a
 * fault of MASKMOVQ has changed the x87 tags on AMD.  A fault in the middle of POPA leaves
 * registers that are popped already, on AMD. */
bool known_is_fault_vague(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return true;
	default:
		return false;
	}
}

/* Accesses of several parts, in two pages or of two operands: in which order they are made is
 * nowhere said. */
bool known_is_order_vague(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return true;
	default:
		return false;
	}
}

/* SDM 3A table 6-2 ranks #MF for an exception that is pending with the faults of the instruction's
 * own segments. */
bool known_is_priority_vague(const struct diff_case *dc, int a, int b)
{
	bool is_pending = dc->in.fx[DIFF_FX_FSW] & 0x80;
	int other = a == X86_EXC_MF ? b : a;

	return dc->bits == 32 && is_pending && (a == X86_EXC_MF || b == X86_EXC_MF) &&
	       (other == X86_EXC_GP || other == X86_EXC_SS);
}

/* thunk.h, thunk_run_fp: the host runs with all exceptions masked, and shows PE for the rounded
 * result where with OE or UE unmasked it is that of the result with an unbounded exponent (SDM
 * 1 4.9.1.5); of the steps of DPPS and DPPD it shows all, not those up to the exception. */
uint32_t known_undefined_mxcsr(const ZydisDecodedInstruction *z, bool is_xm)
{
	if (!is_xm)
		return 0;
	if (z->mnemonic == ZYDIS_MNEMONIC_DPPS || z->mnemonic == ZYDIS_MNEMONIC_DPPD)
		return MXCSR_FLAGS;
	return MXCSR_PE;
}

static void equalize(const uint8_t *native, uint8_t *guest, size_t first, size_t end)
{
	memcpy(guest + first, native + first, end - first);
}

/* Opcode, instruction and data pointer of the last x87 instruction: processors differ in when they
 * keep them (CPUID.(7,0):EBX bits 6 and 13; APM2 11.4.4: only with a pending exception). MXCSR_MASK
 * tells what the host's MXCSR has.  The last 48 bytes of FXSAVE's image are left to software. */
void known_equalize_memory(const ZydisDecodedInstruction *z, const uint8_t *native, uint8_t *guest)
{
	bool is_16 = z->operand_width == 16;

	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		equalize(native, guest, DIFF_FX_FOP, DIFF_FX_MXCSR);
		equalize(native, guest, DIFF_FX_MXCSR + 4, DIFF_FX_ST);
		break;
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
		equalize(native, guest, is_16 ? 6 : 12, is_16 ? 14 : 28);
		break;
	default:
		break;
	}
}
