/* Unit tests of src/accel/soft/cpuid.c: what is advertised, and that it is what the instructions
 * do. */
#include "soft_rig.h"

#include "src/accel/soft/fpu.h"
#include "src/accel/soft/msr.h"

#include <criterion/criterion.h>

enum { EAX, EBX, ECX, EDX };

static struct soft_rig *rig;
static uint32_t out[4];

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(cpuid, .init = setup, .fini = teardown);

static void ask(uint32_t leaf, uint32_t subleaf)
{
	memset(out, 0xa5, sizeof(out));
	soft_cpuid(rig->c, leaf, subleaf, out);
}

static bool has(unsigned reg, unsigned bit)
{
	return out[reg] >> bit & 1;
}

Test(cpuid, leaf_0_when_asked_then_vendor_and_last_leaf)
{
	char vendor[13] = {0};

	ask(0, 0);
	le32_put(vendor, out[EBX]);
	le32_put(vendor + 4, out[EDX]);
	le32_put(vendor + 8, out[ECX]);
	cr_assert_str_eq(vendor, "GenuineIntel");
	cr_assert_eq(out[EAX], 0x16);
}

Test(cpuid, leaf_1_when_asked_then_family_6_and_the_cpu_number)
{
	rig->c->index = 3;
	ask(1, 0);
	cr_assert_eq(out[EAX] >> 8 & 0xf, 6);
	cr_assert_eq(out[EBX] >> 24, 3);
	cr_assert_eq(out[EBX] >> 8 & 0xff, 8); /* CLFLUSH: 64 bytes */
	rig->c->index = 0;
}

/* x86-64-v2 as its definition lists it, and not one step further. */
Test(cpuid, features_when_asked_then_x86_64_v2_without_avx)
{
	static const unsigned must_ecx[] = {0, 9, 13, 19, 20, 23},
			      not_ecx[] = {1, 3, 5, 12, 22, 25, 28, 29, 30};
	static const unsigned must_edx[] = {0, 2, 3, 4, 5, 6, 8, 11, 13, 15, 23, 24, 25, 26};

	ask(1, 0);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(must_ecx); i++)
		cr_assert(has(ECX, must_ecx[i]), "ECX %u", must_ecx[i]);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(not_ecx); i++)
		cr_assert_not(has(ECX, not_ecx[i]), "ECX %u", not_ecx[i]);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(must_edx); i++)
		cr_assert(has(EDX, must_edx[i]), "EDX %u", must_edx[i]);
	cr_assert_not(has(EDX, 1), "VME");
	ask(0x80000001, 0);
	cr_assert(has(ECX, 0), "LAHF");
	cr_assert_not(has(ECX, 5), "LZCNT");
	cr_assert(has(EDX, 29), "LM");
	ask(7, 0);
	cr_assert_not(has(EBX, 3), "BMI1");
	cr_assert_not(has(EBX, 5), "AVX2");
	cr_assert_not(has(EBX, 18), "RDSEED");
	cr_assert_not(has(EBX, 23), "CLFLUSHOPT");
}

/* Each bit of CR4 that depends on a feature: the bit can be set exactly when the feature is there.
 */
Test(cpuid, features_when_compared_with_cr4_then_they_agree)
{
	static const struct {
		uint64_t cr4;
		uint32_t leaf;
		unsigned reg, bit;
	} row[] = {
		{X86_CR4_VME, 1, EDX, 1},	  {X86_CR4_TSD, 1, EDX, 4},
		{X86_CR4_DE, 1, EDX, 2},	  {X86_CR4_PSE, 1, EDX, 3},
		{X86_CR4_PAE, 1, EDX, 6},	  {X86_CR4_MCE, 1, EDX, 7},
		{X86_CR4_PGE, 1, EDX, 13},	  {X86_CR4_OSFXSR, 1, EDX, 24},
		{X86_CR4_OSXMMEXCPT, 1, EDX, 25}, {X86_CR4_UMIP, 7, ECX, 2},
		{X86_CR4_LA57, 7, ECX, 16},	  {X86_CR4_VMXE, 1, ECX, 5},
		{X86_CR4_SMXE, 1, ECX, 6},	  {X86_CR4_FSGSBASE, 7, EBX, 0},
		{X86_CR4_PCIDE, 1, ECX, 17},	  {X86_CR4_OSXSAVE, 1, ECX, 26},
		{X86_CR4_SMEP, 7, EBX, 7},	  {X86_CR4_SMAP, 7, EBX, 20},
		{X86_CR4_PKE, 7, ECX, 3},
	};

	for (unsigned la57 = 0; la57 < 2; la57++) {
		rig->c->vm->has_la57 = la57;
		for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
			ask(row[i].leaf, 0);
			cr_assert_eq(has(row[i].reg, row[i].bit),
				     !(soft_cr4_reserved(rig->c->vm) & row[i].cr4), "row %u", i);
		}
		ask(0x80000008, 0);
		cr_assert_eq(out[EAX] & 0xff, 40);
		cr_assert_eq(out[EAX] >> 8 & 0xff, la57 ? 57 : 48);
	}
}

Test(cpuid, features_when_the_state_changes_then_so_do_they)
{
	ask(1, 0);
	cr_assert_not(has(ECX, 27));
	cr_assert(has(EDX, 9));
	rig->c->cr4 |= X86_CR4_OSXSAVE | X86_CR4_PKE;
	rig->c->apic_base &= ~APIC_BASE_ENABLE;
	ask(1, 0);
	cr_assert(has(ECX, 27));
	cr_assert_not(has(EDX, 9));
	ask(7, 0);
	cr_assert(has(ECX, 4));
	ask(0x80000001, 0);
	cr_assert(has(EDX, 11) && has(EDX, 20));
	rig->c->seg[X86_CS].l = false; /* SYSCALL: 64-bit code only */
	rig->c->misc_enable |= MISC_ENABLE_XD_DISABLE;
	ask(0x80000001, 0);
	cr_assert_not(has(EDX, 11) || has(EDX, 20));
}

Test(cpuid, leaf_0_when_limited_then_leaf_2_is_the_last)
{
	uint32_t two[4];

	rig->c->misc_enable |= MISC_ENABLE_LIMIT_CPUID;
	ask(0, 0);
	cr_assert_eq(out[EAX], 2);
	ask(2, 0);
	memcpy(two, out, sizeof(two));
	ask(7, 0);
	cr_assert_arr_eq(out, two, sizeof(two));
}

Test(cpuid, leaf_7_when_another_subleaf_then_zero)
{
	static const uint32_t zero[4];

	ask(7, 1);
	cr_assert_arr_eq(out, zero, sizeof(zero));
}

Test(cpuid, leaf_b_when_walked_then_the_topology_of_one_package)
{
	static const struct {
		unsigned count, shift;
	} row[] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {64, 6}};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		unsigned saved = rig->c->vm->cpu_count;

		rig->c->vm->cpu_count = row[i].count;
		ask(0xb, 0);
		cr_assert_eq(out[EAX], 0);
		cr_assert_eq(out[EBX], 1);
		cr_assert_eq(out[ECX], 0x100);
		ask(0xb, 1);
		cr_assert_eq(out[EAX], row[i].shift, "%u", row[i].count);
		cr_assert_eq(out[EBX], row[i].count);
		cr_assert_eq(out[ECX], 0x201);
		ask(0xb, 2);
		cr_assert_eq(out[EBX], 0);
		cr_assert_eq(out[ECX], 2);
		ask(1, 0);
		cr_assert_eq(has(EDX, 28), row[i].count > 1);
		cr_assert_eq(out[EBX] >> 16 & 0xff, row[i].count);
		rig->c->vm->cpu_count = saved;
	}
}

Test(cpuid, leaf_d_when_asked_then_the_layout_of_xsave)
{
	ask(0xd, 0);
	cr_assert_eq(out[EAX], SOFT_XCR0_VALID);
	cr_assert_eq(out[EBX], 576);
	cr_assert_eq(out[ECX], SOFT_XSAVE_PKRU_OFFSET + 8);
	rig->c->xcr0 = SOFT_XCR0_VALID;
	ask(0xd, 0);
	cr_assert_eq(out[EBX], SOFT_XSAVE_PKRU_OFFSET + 8);
	ask(0xd, 9);
	cr_assert_eq(out[EAX], 8);
	cr_assert_eq(out[EBX], SOFT_XSAVE_PKRU_OFFSET);
	ask(0xd, 2);
	cr_assert_eq(out[EAX] | out[EBX], 0);
}

Test(cpuid, leaf_15_when_computed_then_one_gigahertz)
{
	ask(0x15, 0);
	cr_assert_eq((uint64_t)out[ECX] * out[EBX] / out[EAX], 1000000000u);
	ask(0x16, 0);
	cr_assert_eq(out[EAX], 1000);
}

Test(cpuid, caches_when_enumerated_then_the_list_ends)
{
	unsigned subleaf = 0;

	for (;; subleaf++) {
		ask(4, subleaf);
		if (!(out[EAX] & 0x1f))
			break;
		cr_assert_lt(subleaf, 8);
		cr_assert_eq((out[EBX] & 0xfff) + 1, 64);
	}
	cr_assert_eq(subleaf, 3);
}

Test(cpuid, leaf_when_beyond_the_last_then_the_last_basic_one)
{
	static const uint32_t leaves[] = {0x17,	      0x1000,	  0x3fffffff, 0x40000001,
					  0x80000009, 0xc0000000, 0xffffffff};
	uint32_t last[4];

	ask(0x16, 0);
	memcpy(last, out, sizeof(last));
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(leaves); i++) {
		ask(leaves[i], 0);
		cr_assert_arr_eq(out, last, sizeof(last));
	}
}

Test(cpuid, brand_when_put_together_then_a_terminated_text)
{
	char brand[48];

	for (unsigned part = 0; part < 3; part++) {
		ask(0x80000002 + part, 0);
		for (unsigned i = 0; i < 4; i++)
			le32_put(brand + 16 * part + 4 * i, out[i]);
	}
	cr_assert_eq(brand[47], 0);
	cr_assert_eq(strncmp(brand, "umbra ", 6), 0);
}

Test(cpuid, hypervisor_when_asked_then_named)
{
	ask(1, 0);
	cr_assert(has(ECX, 31));
	ask(0x40000000, 0);
	cr_assert_eq(out[EAX], 0x40000000);
	cr_assert_eq(out[EBX], 0x72626d75); /* umbr */
}
