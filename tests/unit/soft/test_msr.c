/* Unit tests of src/accel/soft/msr.c: which registers there are, what each accepts, what it does.
 */
#include "soft_rig.h"

#include "src/accel/soft/msr.h"

#include <criterion/criterion.h>

#define NOT_CANONICAL 0x0000800000000000ull
#define CANONICAL     0xffff812345678000ull
#define EFER	      0xc0000080u
#define MISC_ENABLE   0x1a0u

static struct soft_rig *rig;

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(msr, .init = setup, .fini = teardown);

static uint64_t get(uint32_t index)
{
	uint64_t value = 0xdeadbeef;

	cr_assert(soft_rdmsr(rig->c, index, &value), "%#x", index);
	return value;
}

static bool set(uint32_t index, uint64_t value)
{
	return soft_wrmsr(rig->c, index, value);
}

/* Every register that keeps what is written, a value it takes, and one that it refuses (0: takes
 * all). */
Test(msr, plain_when_written_then_read_back)
{
	static const struct {
		uint32_t index;
		uint64_t good, bad;
	} row[] = {
		{0x175, CANONICAL, NOT_CANONICAL},
		{0x176, CANONICAL, NOT_CANONICAL},
		{0x277, 0x0007050601040600ull, 0x0000000000000002ull},
		{0x277, 0x0606060606060606ull, 0x0300000000000000ull},
		{0x277, 0x0606060606060606ull, 0x0008000000000000ull},
		{0x2ff, 0xc06, 0x102},
		{0x2ff, 0xc00, 0x1000},
		{0x2ff, 0x800, 0x807},
		{0x200, 0xfffff00006ull, 0xfffff00002ull},
		{0x20e, 0x1000, 0x100},
		{0x20e, 0x1000, 1ull << 40},
		{0x201, 0xfffff00800ull, 0x400},
		{0x20f, 0x800, 1ull << 63},
		{0x250, 0x0606060606060606ull, 0x0206060606060606ull},
		{0x258, 0x0405010006060606ull, 0x0000000000000003ull},
		{0x259, 0x0405010006060606ull, 0x0000000700000000ull},
		{0x268, 0x0505050505050505ull, 0xff},
		{0x26f, 0x0404040404040404ull, 0xff},
		{0xc0000081, 0x123456789abcdef0ull, 0},
		{0xc0000082, CANONICAL, NOT_CANONICAL},
		{0xc0000083, CANONICAL, NOT_CANONICAL},
		{0xc0000100, CANONICAL, NOT_CANONICAL},
		{0xc0000101, CANONICAL, NOT_CANONICAL},
		{0xc0000102, CANONICAL, NOT_CANONICAL},
		{0xc0000103, 0xffffffffull, 1ull << 32},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		cr_assert(set(row[i].index, row[i].good), "row %u", i);
		cr_assert_eq(get(row[i].index), row[i].good, "row %u", i);
		if (row[i].bad)
			cr_assert_not(set(row[i].index, row[i].bad), "row %u", i);
		cr_assert_eq(get(row[i].index), row[i].good, "row %u", i);
	}
}

/* Types that no other fixed register gets. */
static uint64_t fixed_value(unsigned i)
{
	return 6ull << 8 * (i % 8) | (i >= 8 ? 1ull << 8 * ((i + 1) % 8) : 0);
}

/* No register is another one's alias. */
Test(msr, mtrrs_when_all_are_written_then_all_differ)
{
	static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

	for (unsigned i = 0; i < 8; i++) {
		cr_assert(set(0x200 + 2 * i, i << 12));
		cr_assert(set(0x201 + 2 * i, (i + 8) << 12));
	}
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(fixed); i++)
		cr_assert(set(fixed[i], fixed_value(i)));
	for (unsigned i = 0; i < 8; i++) {
		cr_assert_eq(get(0x200 + 2 * i), i << 12);
		cr_assert_eq(get(0x201 + 2 * i), (i + 8) << 12);
	}
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(fixed); i++)
		cr_assert_eq(get(fixed[i]), fixed_value(i));
}

Test(msr, index_when_unknown_then_gp)
{
	static const uint32_t index[] = {
		0x0, 0x11, 0x1a, 0x48, 0x49, 0xe7, 0x186,
		/* SMM: SMM_MONITOR_CTL, SMBASE, SMRR_PHYSBASE and _PHYSMASK. */
		0x9b, 0x9e, 0x1f2, 0x1f3, 0x210, 0x251, 0x25a, 0x270, 0x345, 0x38f, 0x6e1, 0x7ff,
		0x900, 0xda0, 0x400, 0x40000000, 0x4b564d00, 0xc0000079, 0xc0000085, 0xc0000104,
		0xc0010015, 0xffffffff};
	uint64_t value;

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(index); i++) {
		cr_assert_not(soft_rdmsr(rig->c, index[i], &value), "%#x", index[i]);
		cr_assert_not(soft_wrmsr(rig->c, index[i], 0), "%#x", index[i]);
	}
}

Test(msr, constant_when_written_then_gp)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} row[] = {
		{0x17, 0}, {0x2a, 0}, {0x3a, 1}, {0xce, 0xa00}, {0xfe, 0x508}, {0x179, 0},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		cr_assert_eq(get(row[i].index), row[i].value, "%#x", row[i].index);
		cr_assert_not(set(row[i].index, row[i].value), "%#x", row[i].index);
	}
	cr_assert(get(0x10a) & 1, "RDCL_NO");
	cr_assert_not(set(0x10a, 0));
}

Test(msr, what_is_off_when_told_to_stay_off_then_fine)
{
	cr_assert(set(0x17a, 0));
	cr_assert_not(set(0x17a, 4));
	cr_assert(set(0x1d9, 0));
	cr_assert_not(set(0x1d9, 2));
	cr_assert(set(0x8b, 0));
	cr_assert_eq(get(0x8b), 1ull << 32);
}

Test(msr, registers_of_32_bits_when_written_then_the_upper_half_is_dropped)
{
	cr_assert(set(0x174, 0x1234567800000010ull));
	cr_assert_eq(get(0x174), 0x10);
	cr_assert_eq(rig->c->msr.sysenter_cs, 0x10);
	cr_assert(set(0xc0000084, 0xffffffff00047700ull));
	cr_assert_eq(get(0xc0000084), 0x47700);
	cr_assert_eq(rig->c->msr.sfmask, 0x47700);
}

/* EFER. */

Test(msr, efer_when_each_bit_then_kept_ignored_or_gp)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = 1ull << bit;

		soft_rig_mode(rig, X86_MODE_PROT32, 0);
		if (value == X86_EFER_LMA) {
			cr_assert(set(EFER, value));
			cr_assert_eq(get(EFER), 0);
		} else if (value & (X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE)) {
			cr_assert(set(EFER, value), "bit %u", bit);
			cr_assert_eq(get(EFER), value, "bit %u", bit);
		} else {
			cr_assert_not(set(EFER, value), "bit %u", bit);
		}
	}
}

Test(msr, efer_when_paging_is_on_then_lme_is_fixed)
{
	uint64_t efer = get(EFER);

	cr_assert(efer & X86_EFER_LMA);
	cr_assert_not(set(EFER, efer & ~X86_EFER_LME));
	cr_assert(set(EFER, X86_EFER_LME | X86_EFER_NXE));
	cr_assert_eq(get(EFER), X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);
}

Test(msr, misc_enable_when_xd_is_disabled_then_no_nxe)
{
	uint64_t reset = get(MISC_ENABLE);

	cr_assert(reset & 1, "fast strings");
	cr_assert(set(MISC_ENABLE, reset | MISC_ENABLE_XD_DISABLE));
	cr_assert_not(set(EFER, get(EFER) | X86_EFER_NXE));
	cr_assert(set(MISC_ENABLE, reset & ~(1ull << 11)));
	cr_assert_eq(get(MISC_ENABLE), reset, "read-only bits stay");
	cr_assert(set(EFER, get(EFER) | X86_EFER_NXE));
	cr_assert_not(set(MISC_ENABLE, reset | 2));
}

/* The TSC. */

Test(msr, tsc_when_written_then_tsc_adjust_moves_along)
{
	uint64_t tsc = get(0x10), adjust = get(0x3b);

	cr_assert(set(0x10, tsc + 1000));
	cr_assert_eq(get(0x10), tsc + 1000);
	cr_assert_eq(get(0x3b), adjust + 1000);
	cr_assert(set(0x3b, 0));
	cr_assert_eq(get(0x10), tsc - adjust);
	cr_assert_eq(get(0x3b), 0);
}

/* What is wide enough for 5-level paging is canonical for a CPU that has it, whatever CR4 says. */
Test(msr, address_when_the_cpu_has_la57_then_57_bits_are_canonical)
{
	rig->c->vm->has_la57 = true;
	cr_assert(set(0xc0000102, NOT_CANONICAL));
	cr_assert_not(set(0xc0000102, 1ull << 56));
	cr_assert(set(0xc0000102, ~0ull << 56));
}

Test(msr, bases_when_written_then_they_are_those_of_the_segments)
{
	cr_assert(set(0xc0000100, 0x1000));
	cr_assert(set(0xc0000101, 0x2000));
	cr_assert_eq(rig->c->seg[X86_FS].base, 0x1000);
	cr_assert_eq(rig->c->seg[X86_GS].base, 0x2000);
}

Test(msr, apic_base_when_reserved_bits_then_gp)
{
	uint64_t base = get(0x1b);

	cr_assert_not(set(0x1b, base | 1));
	cr_assert_not(set(0x1b, base | 1ull << 9));
	cr_assert_not(set(0x1b, base | 1ull << 40));
	cr_assert_eq(get(0x1b), base);
	cr_assert(set(0x1b, base));
}

Test(msr, reset_when_done_then_power_up_values)
{
	rig->c->pkru = 1;
	rig->c->xcr0 = 3;
	cr_assert(set(0x250, 6));
	cr_assert(set(0xc0000103, 5));
	soft_msr_reset(rig->c);
	cr_assert_eq(rig->c->xcr0, 1);
	cr_assert_eq(rig->c->pkru, 0);
	cr_assert_eq(get(0x250), 0);
	cr_assert_eq(get(0xc0000103), 0);
	cr_assert_eq(get(MISC_ENABLE), 0x1801);
}
