/* Model-specific registers: those that the CPU model has, one row a range; all others are #GP.
 * What the processor does not have reads as such (no machine-check banks, no counters, feature
 * control locked with everything off), so that a stock kernel finds what it asks for.
 * Source: SDM 4 table 2-2 (architectural MSRs), 3A 11.11 (MTRRs), 11.12 (PAT), 17.17 (TSC). */
#include "msr.h"
#include "irq.h"

/* Types of memory (SDM 3A 11.3): 0 UC, 1 WC, 4 WT, 5 WP, 6 WB, and 7 UC- in the PAT only. */
#define MTRR_TYPES 0x73u
#define PAT_TYPES  0xf3u

#define MTRR_VARIABLE_COUNT 8u
#define MTRR_CAP	    (MTRR_VARIABLE_COUNT | 1ull << 8 | 1ull << 10) /* fixed, WC */
#define MTRR_DEF_TYPE_BITS  0xcffull					   /* E, FE, type */
#define MTRR_FIXED_SLOT	    16u /* in soft_cpu.mtrr, behind the variable ones */

/* Nothing here executes ahead of itself or leaves data behind in buffers: RDCL_NO,
 * SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO,
 * BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO. */
#define ARCH_CAPABILITIES                                                                          \
	(1ull << 0 | 1ull << 3 | 1ull << 4 | 1ull << 5 | 1ull << 6 | 1ull << 8 | 1ull << 13 |      \
	 1ull << 14 | 1ull << 15 | 1ull << 20 | 1ull << 24 | 1ull << 26 | 1ull << 27)

#define FEATURE_CONTROL_LOCK 1ull
#define UCODE_REVISION	     (1ull << 32) /* revision 1, in the upper half */
#define PLATFORM_INFO	     (10ull << 8) /* ten times 100 MHz: the TSC's 1 GHz */

/* IA32_MISC_ENABLE: fast strings on; no branch trace store, no PEBS.  Thermal monitor, SpeedStep,
 * MONITOR and xTPR have nothing to switch here, but firmware and kernels set them as they please;
 * counters, branch trace store and PEBS are read-only. */
#define MISC_ENABLE_FAST_STRINGS (1ull << 0)
#define MISC_ENABLE_READ_ONLY	 (1ull << 7 | 1ull << 11 | 1ull << 12)
#define MISC_ENABLE_RESET	 (MISC_ENABLE_FAST_STRINGS | 1ull << 11 | 1ull << 12)
#define MISC_ENABLE_WRITABLE                                                                       \
	(MISC_ENABLE_FAST_STRINGS | 1ull << 3 | 1ull << 16 | 1ull << 18 |                          \
	 MISC_ENABLE_LIMIT_CPUID | 1ull << 23 | MISC_ENABLE_XD_DISABLE)

#define APIC_BASE_RESERVED 0x2ffull /* below the address, besides BSP, EXTD and EN */
#define EFER_WRITABLE	   (X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE)
#define XCR0_RESET	   X86_XCR0_X87

/* A range of registers.  A plain one lies in struct soft_cpu at @offset and says in @check what may
 * be written; others have functions.  Without any of these a write is #GP. */
struct msr_row {
	uint32_t first, last;
	uint64_t constant; /* what reads give when there is no other way */
	size_t offset;	   /* 0 = not plain */
	bool (*check)(const struct soft_cpu *c, uint64_t value);
	bool (*read)(struct soft_cpu *c, uint32_t index, uint64_t *out_value);
	bool (*write)(struct soft_cpu *c, uint32_t index, uint64_t value);
};

/* Checks of plain registers. */

static bool any_value(const struct soft_cpu *c, uint64_t value)
{
	(void)c;
	(void)value;
	return true;
}

static bool is_32bit(const struct soft_cpu *c, uint64_t value)
{
	(void)c;
	return value >> 32 == 0;
}

/* Eight types, one a byte. */
static bool are_types(uint64_t value, unsigned allowed)
{
	for (unsigned i = 0; i < 8; i++) {
		unsigned type = (uint8_t)(value >> 8 * i);

		if (type > 7 || !(allowed >> type & 1))
			return false;
	}
	return true;
}

static bool is_pat(const struct soft_cpu *c, uint64_t value)
{
	(void)c;
	return are_types(value, PAT_TYPES);
}

static bool is_mtrr_type(uint64_t type)
{
	return type <= 7 && (MTRR_TYPES >> type & 1);
}

static bool is_mtrr_def_type(const struct soft_cpu *c, uint64_t value)
{
	(void)c;
	return !(value & ~MTRR_DEF_TYPE_BITS) && is_mtrr_type(value & 0xff);
}

/* Registers with a life of their own. */

static bool read_tsc(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	(void)index;
	*out_value = soft_tsc(c);
	return true;
}

static bool write_tsc(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)index;
	soft_set_tsc(c, value);
	return true;
}

/* The sum of all changes to the TSC since it began with the clock (SDM 3B 17.17.3). */
static bool read_tsc_adjust(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	(void)index;
	*out_value = soft_tsc(c) - soft_now(c);
	return true;
}

static bool write_tsc_adjust(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)index;
	soft_set_tsc(c, soft_now(c) + value);
	return true;
}

static bool read_apic_base(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	(void)index;
	*out_value = c->apic_base;
	return true;
}

static bool write_apic_base(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)index;
	return !(value & APIC_BASE_RESERVED) && value >> c->vm->phys_bits == 0 &&
	       soft_lapic_set_base(c, value);
}

/* A kernel asks for the microcode's revision by writing 0, executing CPUID and reading. */
static bool ignore_write(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)c;
	(void)index;
	(void)value;
	return true;
}

/* What is off may be told to stay off. */
static bool write_zero(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)c;
	(void)index;
	return value == 0;
}

static bool write_misc_enable(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	uint64_t kept = c->misc_enable & MISC_ENABLE_READ_ONLY;

	(void)index;
	if (value & ~(MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY))
		return false;
	c->misc_enable = kept | (value & MISC_ENABLE_WRITABLE);
	return true;
}

static uint64_t above_phys_bits(const struct soft_cpu *c)
{
	return ~0ull << c->vm->phys_bits;
}

static bool read_mtrr(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	*out_value = c->mtrr[index - 0x200];
	return true;
}

/* Pairs of base (type in bits 7:0) and mask (valid in bit 11). */
static bool write_mtrr(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	bool is_mask = index & 1;
	uint64_t reserved = above_phys_bits(c) | (is_mask ? 0x7ffull : 0xf00ull);

	if ((value & reserved) || (!is_mask && !is_mtrr_type(value & 0xff)))
		return false;
	c->mtrr[index - 0x200] = value;
	return true;
}

/* 64K_00000, 16K_80000, 16K_A0000, then 4K_C0000 to 4K_F8000. */
static unsigned fixed_slot(uint32_t index)
{
	if (index == 0x250)
		return MTRR_FIXED_SLOT;
	return MTRR_FIXED_SLOT + (index < 0x268 ? 1 + index - 0x258 : 3 + index - 0x268);
}

static bool read_fixed(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	*out_value = c->mtrr[fixed_slot(index)];
	return true;
}

static bool write_fixed(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	if (!are_types(value, MTRR_TYPES))
		return false;
	c->mtrr[fixed_slot(index)] = value;
	return true;
}

/* Registers of 32 bits: the upper half is dropped. */
static uint64_t *field_of_32bit(struct soft_cpu *c, uint32_t index)
{
	return index == 0x174 ? &c->msr.sysenter_cs : &c->msr.sfmask;
}

static bool read_32bit(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	*out_value = *field_of_32bit(c, index);
	return true;
}

static bool write_32bit(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	*field_of_32bit(c, index) = (uint32_t)value;
	return true;
}

static bool read_efer(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	(void)index;
	*out_value = c->efer;
	return true;
}

/* LMA follows LME and CR0.PG and ignores what is written; LME is fixed while paging is on (SDM 3A
 * 2.2.1, 9.8.5). */
static bool write_efer(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	(void)index;
	value &= ~X86_EFER_LMA;
	if (value & ~EFER_WRITABLE)
		return false;
	if ((value & X86_EFER_NXE) && (c->misc_enable & MISC_ENABLE_XD_DISABLE))
		return false;
	if (((value ^ c->efer) & X86_EFER_LME) && (c->cr0 & X86_CR0_PG))
		return false;
	c->efer = value | (c->efer & X86_EFER_LMA);
	soft_paging_changed(c, MMU_LOAD_OTHER);
	return true;
}

#define AT(field)  .offset = offsetof(struct soft_cpu, field)
#define ONE(index) .first = (index), .last = (index)

/* In ascending order: msr_find halves it. */
static const struct msr_row ROWS[] = {
	{ONE(0x10), .read = read_tsc, .write = write_tsc},		 /* TSC */
	{ONE(0x17)},							 /* PLATFORM_ID */
	{ONE(0x1b), .read = read_apic_base, .write = write_apic_base},	 /* APIC_BASE */
	{ONE(0x2a)},							 /* EBL_CR_POWERON */
	{ONE(0x3a), .constant = FEATURE_CONTROL_LOCK},			 /* FEATURE_CONTROL */
	{ONE(0x3b), .read = read_tsc_adjust, .write = write_tsc_adjust}, /* TSC_ADJUST */
	{ONE(0x8b), .constant = UCODE_REVISION, .write = ignore_write},	 /* BIOS_SIGN_ID */
	{ONE(0xce), .constant = PLATFORM_INFO},				 /* PLATFORM_INFO */
	{ONE(0xfe), .constant = MTRR_CAP},				 /* MTRRCAP */
	{ONE(0x10a), .constant = ARCH_CAPABILITIES},			 /* ARCH_CAPABILITIES */
	{ONE(0x174), .read = read_32bit, .write = write_32bit},		 /* SYSENTER_CS */
	{ONE(0x175), AT(msr.sysenter_esp), .check = soft_is_canonical},	 /* SYSENTER_ESP */
	{ONE(0x176), AT(msr.sysenter_eip), .check = soft_is_canonical},	 /* SYSENTER_EIP */
	{ONE(0x179)},							 /* MCG_CAP: no banks */
	{ONE(0x17a), .write = write_zero},				 /* MCG_STATUS */
	{ONE(0x1a0), AT(misc_enable), .write = write_misc_enable},	 /* MISC_ENABLE */
	{ONE(0x1d9), .write = write_zero}, /* DEBUGCTL: no branch records */
	/* MTRR_PHYSBASE0, _PHYSMASK0, ... */
	{.first = 0x200,
	 .last = 0x200 + 2 * MTRR_VARIABLE_COUNT - 1,
	 .read = read_mtrr,
	 .write = write_mtrr},
	{ONE(0x250), .read = read_fixed, .write = write_fixed}, /* MTRR_FIX64K_00000 */
	{.first = 0x258, .last = 0x259, .read = read_fixed, .write = write_fixed}, /* MTRR_FIX16K */
	{.first = 0x268, .last = 0x26f, .read = read_fixed, .write = write_fixed}, /* MTRR_FIX4K */
	{ONE(0x277), AT(msr.pat), .check = is_pat},				   /* PAT */
	{ONE(0x2ff), AT(mtrr_def_type), .check = is_mtrr_def_type}, /* MTRR_DEF_TYPE */
	{ONE(MSR_TSC_DEADLINE), .read = soft_lapic_rdmsr, .write = soft_lapic_wrmsr},
	{.first = 0x800,
	 .last = 0x8ff,
	 .read = soft_lapic_rdmsr,
	 .write = soft_lapic_wrmsr},					       /* x2APIC */
	{ONE(0xc0000080), .read = read_efer, .write = write_efer},	       /* EFER */
	{ONE(0xc0000081), AT(msr.star), .check = any_value},		       /* STAR */
	{ONE(0xc0000082), AT(msr.lstar), .check = soft_is_canonical},	       /* LSTAR */
	{ONE(0xc0000083), AT(msr.cstar), .check = soft_is_canonical},	       /* CSTAR */
	{ONE(0xc0000084), .read = read_32bit, .write = write_32bit},	       /* SFMASK */
	{ONE(0xc0000100), AT(seg[X86_FS].base), .check = soft_is_canonical},   /* FS_BASE */
	{ONE(0xc0000101), AT(seg[X86_GS].base), .check = soft_is_canonical},   /* GS_BASE */
	{ONE(0xc0000102), AT(msr.kernel_gs_base), .check = soft_is_canonical}, /* KERNEL_GS_BASE */
	{ONE(0xc0000103), AT(tsc_aux), .check = is_32bit},		       /* TSC_AUX */
};

static const struct msr_row *msr_find(uint32_t index)
{
	size_t low = 0, high = UMBRA_ARRAY_SIZE(ROWS);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (index > ROWS[middle].last)
			low = middle + 1;
		else if (index < ROWS[middle].first)
			high = middle;
		else
			return &ROWS[middle];
	}
	return NULL;
}

static uint64_t *field_of(struct soft_cpu *c, const struct msr_row *row)
{
	return (uint64_t *)(void *)((char *)c + row->offset);
}

bool soft_rdmsr(struct soft_cpu *c, uint32_t index, uint64_t *out_value)
{
	const struct msr_row *row = msr_find(index);

	if (!row)
		return false;
	if (row->read)
		return row->read(c, index, out_value);
	*out_value = row->offset ? *field_of(c, row) : row->constant;
	return true;
}

bool soft_wrmsr(struct soft_cpu *c, uint32_t index, uint64_t value)
{
	const struct msr_row *row = msr_find(index);

	if (!row)
		return false;
	if (row->write)
		return row->write(c, index, value);
	if (!row->check || !row->check(c, value))
		return false;
	*field_of(c, row) = value;
	return true;
}

void soft_msr_reset(struct soft_cpu *c)
{
	c->xcr0 = XCR0_RESET;
	c->pkru = 0;
	c->tsc_aux = 0;
	c->misc_enable = MISC_ENABLE_RESET;
	c->mtrr_def_type = 0;
	memset(c->mtrr, 0, sizeof(c->mtrr));
}
