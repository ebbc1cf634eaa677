/* See known.h.  SDM means the description of the instruction in volume 2 unless something else is
 * said. */
#include "known.h"

#include <stddef.h>
#include <string.h>

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

bool known_is_skipped(const ZydisDecodedInstruction *z)
{
	for (size_t i = 0; i < sizeof(SKIPPED) / sizeof(SKIPPED[0]); i++) {
		if (SKIPPED[i].mnemonic == z->mnemonic)
			return true;
	}
	return false;
}

uint64_t known_undefined_flags(const ZydisDecodedInstruction *z)
{
	(void)z;
	return 0;
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
