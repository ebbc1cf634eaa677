/* The CPU model as CPUID shows it: x86-64-v2 without AVX, and nothing that does not work.
 *
 * Vendor and signature: guests choose drivers, workarounds and the meaning of model-specific
 * registers by them.  GenuineIntel family 6 is the one for which the registers of msr.c and the
 * behaviour of SYSCALL, SYSENTER and canonical checks are right.  Model 0x50 stepping 0 was given
 * to no processor, so no guest knows an erratum or an unpublished register of it.  The hypervisor
 * bit tells a guest that this is no silicon: no microcode updates, no errata by revision.
 *
 * What depends on the moment: APIC (off while IA32_APIC_BASE says so), OSXSAVE, OSPKE, SYSCALL
 * (64-bit code only), NX (IA32_MISC_ENABLE), the size of the XSAVE area.
 * Source: SDM 2A CPUID, tables 3-8 to 3-17. */
#include "fpu.h"
#include "msr.h"

#define SIGNATURE     0x00050600u
#define MAX_BASIC     0x16u
#define MAX_LIMITED   0x2u /* IA32_MISC_ENABLE.LIMIT_CPUID_MAXVAL */
#define MAX_EXTENDED  0x80000008u
#define HYPERVISOR    0x40000000u
#define CLOCK_HZ      1000000000u /* soft_now: one instruction, one nanosecond */
#define CLOCK_MHZ     1000u
#define LINE_BYTES    64u
#define SSE_AREA      576u /* legacy region and header of an XSAVE area */
#define PKRU_BYTES    8u
#define LEVEL_SMT     1u
#define LEVEL_CORE    2u
#define CACHE_DATA    1u
#define CACHE_CODE    2u
#define CACHE_UNIFIED 3u

enum { EAX, EBX, ECX, EDX };

#define BIT(n) (1u << (n))

/* Leaf 1. */
#define F1_EDX_BASE                                                                                \
	(BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(3) /* PSE */ | BIT(4) /* TSC */ |                \
	 BIT(5) /* MSR */ | BIT(6) /* PAE */ | BIT(7) /* MCE */ | BIT(8) /* CX8 */ |               \
	 BIT(11) /* SEP */ | BIT(12) /* MTRR */ | BIT(13) /* PGE */ | BIT(14) /* MCA */ |          \
	 BIT(15) /* CMOV */ | BIT(16) /* PAT */ | BIT(17) /* PSE36 */ | BIT(19) /* CLFSH */ |      \
	 BIT(23) /* MMX */ | BIT(24) /* FXSR */ | BIT(25) /* SSE */ | BIT(26) /* SSE2 */)
#define F1_EDX_APIC BIT(9)
#define F1_EDX_HTT  BIT(28)
#define F1_ECX_BASE                                                                                \
	(BIT(0) /* SSE3 */ | BIT(9) /* SSSE3 */ | BIT(13) /* CX16 */ | BIT(17) /* PCID */ |        \
	 BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ | BIT(21) /* x2APIC */ |                      \
	 BIT(23) /* POPCNT */ | BIT(24) /* TSC-deadline */ | BIT(26) /* XSAVE */ |                 \
	 BIT(31) /* hypervisor */)
#define F1_ECX_OSXSAVE BIT(27)

/* Leaf 6. */
#define F6_EAX_ARAT BIT(2) /* the APIC timer never stops */

/* Leaf 7. */
#define F7_EBX                                                                                     \
	(BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ | BIT(6) /* FDP_EXCPTN_ONLY */ |          \
	 BIT(7) /* SMEP */ | BIT(10) /* INVPCID */ | BIT(13) /* FCS and FDS deprecated */ |        \
	 BIT(20) /* SMAP */)
#define F7_ECX_BASE  (BIT(2) /* UMIP */ | BIT(3) /* PKU */)
#define F7_ECX_OSPKE BIT(4)
#define F7_ECX_LA57  BIT(16)
#define F7_EDX	     BIT(29) /* ARCH_CAPABILITIES */

/* Leaf 80000001. */
#define FX1_ECX		(BIT(0) /* LAHF */ | BIT(8) /* PREFETCHW */)
#define FX1_EDX_BASE	(BIT(26) /* 1 GiB pages */ | BIT(27) /* RDTSCP */ | BIT(29) /* LM */)
#define FX1_EDX_SYSCALL BIT(11)
#define FX1_EDX_NX	BIT(20)

/* Leaf 80000007. */
#define FX7_EDX_INVARIANT_TSC BIT(8)

static void set_text(uint32_t *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len / 4; i++)
		out[i] = le32_get(text + 4 * i);
}

static void leaf_vendor(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	out[EAX] = c->misc_enable & MISC_ENABLE_LIMIT_CPUID ? MAX_LIMITED : MAX_BASIC;
	set_text(&out[EBX], "Genu", 4);
	set_text(&out[EDX], "ineI", 4);
	set_text(&out[ECX], "ntel", 4);
}

static void leaf_features(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	unsigned count = c->vm->cpu_count;

	(void)subleaf;
	out[EAX] = SIGNATURE;
	out[EBX] = c->index << 24 | count << 16 | LINE_BYTES / 8 << 8;
	out[ECX] = F1_ECX_BASE;
	if (c->cr4 & X86_CR4_OSXSAVE)
		out[ECX] |= F1_ECX_OSXSAVE;
	out[EDX] = F1_EDX_BASE;
	if (c->apic_base & APIC_BASE_ENABLE)
		out[EDX] |= F1_EDX_APIC;
	if (count > 1)
		out[EDX] |= F1_EDX_HTT;
}

/* Descriptor FFH: see leaf 4. */
static void leaf_cache_list(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EAX] = 0x0000ff01;
}

/* Bits needed to tell @count things apart. */
static unsigned width_for(unsigned count)
{
	unsigned bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

static void describe_cache(const struct soft_cpu *c, unsigned type, unsigned level, unsigned sets,
			   uint32_t out[4])
{
	unsigned cores = 1u << width_for(c->vm->cpu_count);

	out[EAX] = type | level << 5 | 1u << 8 | (cores - 1) << 26;
	out[EBX] = (LINE_BYTES - 1) | (8u - 1) << 22;
	out[ECX] = sets - 1;
}

/* Nothing is cached, but C libraries size their copies by this: 32 KiB twice, 256 KiB, each
 * eight-way. */
static void leaf_caches(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	switch (subleaf) {
	case 0:
		describe_cache(c, CACHE_DATA, 1, 64, out);
		break;
	case 1:
		describe_cache(c, CACHE_CODE, 1, 64, out);
		break;
	case 2:
		describe_cache(c, CACHE_UNIFIED, 2, 512, out);
		break;
	default:
		break;
	}
}

static void leaf_power(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EAX] = F6_EAX_ARAT;
}

static void leaf_more_features(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	if (subleaf != 0)
		return;
	out[EBX] = F7_EBX;
	out[ECX] = F7_ECX_BASE;
	if (c->cr4 & X86_CR4_PKE)
		out[ECX] |= F7_ECX_OSPKE;
	if (c->vm->has_la57)
		out[ECX] |= F7_ECX_LA57;
	out[EDX] = F7_EDX;
}

/* One thread a core, all cores in one package. */
static void leaf_topology(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	out[ECX] = subleaf & 0xff;
	out[EDX] = c->index;
	if (subleaf == 0) {
		out[EBX] = 1;
		out[ECX] |= LEVEL_SMT << 8;
	} else if (subleaf == 1) {
		out[EAX] = width_for(c->vm->cpu_count);
		out[EBX] = c->vm->cpu_count;
		out[ECX] |= LEVEL_CORE << 8;
	}
}

static uint32_t xsave_size(uint64_t xcr0)
{
	return xcr0 & X86_XCR0_PKRU ? SOFT_XSAVE_PKRU_OFFSET + PKRU_BYTES : SSE_AREA;
}

static void leaf_xsave(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	switch (subleaf) {
	case 0:
		out[EAX] = (uint32_t)SOFT_XCR0_VALID;
		out[EBX] = xsave_size(c->xcr0);
		out[ECX] = xsave_size(SOFT_XCR0_VALID);
		break;
	case 9:
		out[EAX] = PKRU_BYTES;
		out[EBX] = SOFT_XSAVE_PKRU_OFFSET;
		break;
	default: /* 1: neither XSAVEOPT nor XSAVEC nor XSAVES */
		break;
	}
}

/* The crystal is the TSC, and what the APIC timer counts. */
static void leaf_tsc(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EAX] = 1;
	out[EBX] = 1;
	out[ECX] = CLOCK_HZ;
}

static void leaf_frequency(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EAX] = CLOCK_MHZ;
	out[EBX] = CLOCK_MHZ;
	out[ECX] = CLOCK_MHZ / 10; /* as IA32_PLATFORM_INFO has it */
}

static void leaf_hypervisor(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	static const char NAME[12] = "umbra VMM";

	(void)c;
	(void)subleaf;
	out[EAX] = HYPERVISOR;
	set_text(&out[EBX], NAME, sizeof(NAME));
}

static void leaf_extended(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EAX] = MAX_EXTENDED;
}

static void leaf_extended_features(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	out[ECX] = FX1_ECX;
	out[EDX] = FX1_EDX_BASE;
	if (soft_is_code64(c))
		out[EDX] |= FX1_EDX_SYSCALL;
	if (!(c->misc_enable & MISC_ENABLE_XD_DISABLE))
		out[EDX] |= FX1_EDX_NX;
}

static void set_brand(uint32_t part, uint32_t out[4])
{
	static const char BRAND[48] = "umbra software CPU x86-64-v2 @ 1.00GHz";

	set_text(out, BRAND + (size_t)16 * (part - 2), 16);
}

/* The level 2 cache of leaf 4 again: size in KiB, eight-way (code 6). */
static void leaf_extended_cache(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[ECX] = 256u << 16 | 6u << 12 | LINE_BYTES;
}

static void leaf_invariant_tsc(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)c;
	(void)subleaf;
	out[EDX] = FX7_EDX_INVARIANT_TSC;
}

static void leaf_address_sizes(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	out[EAX] = c->vm->phys_bits | (c->vm->has_la57 ? 57u : 48u) << 8;
}

typedef void leaf_fn(const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4]);

/* NULL: all zero. */
static leaf_fn *const BASIC[MAX_BASIC + 1] = {
	[0x0] = leaf_vendor,	 [0x1] = leaf_features, [0x2] = leaf_cache_list,
	[0x4] = leaf_caches,	 [0x6] = leaf_power,	[0x7] = leaf_more_features,
	[0xb] = leaf_topology,	 [0xd] = leaf_xsave,	[0x15] = leaf_tsc,
	[0x16] = leaf_frequency,
};
static leaf_fn *const EXTENDED[MAX_EXTENDED - 0x80000000u + 1] = {
	[0x0] = leaf_extended,	    [0x1] = leaf_extended_features, [0x6] = leaf_extended_cache,
	[0x7] = leaf_invariant_tsc, [0x8] = leaf_address_sizes,
};

static void call_leaf(leaf_fn *fn, const struct soft_cpu *c, uint32_t subleaf, uint32_t out[4])
{
	if (fn)
		fn(c, subleaf, out);
}

/* A leaf beyond the last gives the last basic one (SDM 2A CPUID, "INPUT EAX"). */
void soft_cpuid(const struct soft_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out_regs[4])
{
	uint32_t max = c->misc_enable & MISC_ENABLE_LIMIT_CPUID ? MAX_LIMITED : MAX_BASIC;

	memset(out_regs, 0, 4 * sizeof(out_regs[0]));
	if (leaf == HYPERVISOR) {
		leaf_hypervisor(c, subleaf, out_regs);
	} else if (leaf >= 0x80000002u && leaf <= 0x80000004u) {
		set_brand(leaf - 0x80000000u, out_regs);
	} else if (leaf >= 0x80000000u && leaf <= MAX_EXTENDED) {
		call_leaf(EXTENDED[leaf - 0x80000000u], c, subleaf, out_regs);
	} else {
		call_leaf(BASIC[leaf <= max ? leaf : max], c, subleaf, out_regs);
	}
}
