/* Unit tests of src/accel/soft/exec_sys.c: for each instruction what it does, who may execute it,
 * and what else it checks. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define OK	      (-1)
#define NOT_CANONICAL 0x0000800000000000ull
#define CODE(...)     ((const struct code){{__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

struct code {
	uint8_t byte[8];
	size_t len;
};

static struct soft_rig *rig;

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(sys_misc, .init = setup, .fini = teardown);

/* The vector that one instruction raises, or OK.  What is #GP here is always #GP(0). */
static int step(struct code code)
{
	struct soft_rig_result result;

	soft_rig_code(rig, code.byte, code.len);
	result = soft_rig_step(rig);
	if (result.end != SOFT_RIG_EXCEPTION)
		return OK;
	if (result.event.vector == X86_EXC_GP)
		cr_assert(result.event.has_error && result.event.error == 0);
	return result.event.vector;
}

/* What each instruction without operands does to a user and in real mode. */
Test(sys_misc, privilege_when_each_instruction_then_its_rule)
{
	static const struct {
		const char *name;
		struct code code;
		int at_cpl1, at_cpl3, in_real, in_v86;
	} row[] = {
		{"INVD", CODE(0x0f, 0x08), X86_EXC_GP, X86_EXC_GP, OK, X86_EXC_GP},
		{"WBINVD", CODE(0x0f, 0x09), X86_EXC_GP, X86_EXC_GP, OK, X86_EXC_GP},
		{"WBNOINVD is WBINVD", CODE(0xf3, 0x0f, 0x09), X86_EXC_GP, X86_EXC_GP, OK,
		 X86_EXC_GP},
		{"RDMSR", CODE(0x0f, 0x32), X86_EXC_GP, X86_EXC_GP, X86_EXC_GP, X86_EXC_GP},
		{"WRMSR", CODE(0x0f, 0x30), X86_EXC_GP, X86_EXC_GP, X86_EXC_GP, X86_EXC_GP},
		{"RDPMC", CODE(0x0f, 0x33), X86_EXC_GP, X86_EXC_GP, X86_EXC_GP, X86_EXC_GP},
		{"RDTSC", CODE(0x0f, 0x31), OK, OK, OK, OK},
		{"RDTSCP", CODE(0x0f, 0x01, 0xf9), OK, OK, OK, OK},
		{"CPUID", CODE(0x0f, 0xa2), OK, OK, OK, OK},
		{"LFENCE", CODE(0x0f, 0xae, 0xe8), OK, OK, OK, OK},
		{"MFENCE", CODE(0x0f, 0xae, 0xf0), OK, OK, OK, OK},
		{"SFENCE", CODE(0x0f, 0xae, 0xf8), OK, OK, OK, OK},
		{"SWAPGS", CODE(0x0f, 0x01, 0xf8), X86_EXC_GP, X86_EXC_GP, X86_EXC_UD, X86_EXC_UD},
		{"STAC", CODE(0x0f, 0x01, 0xcb), X86_EXC_UD, X86_EXC_UD, OK, X86_EXC_UD},
		{"CLAC", CODE(0x0f, 0x01, 0xca), X86_EXC_UD, X86_EXC_UD, OK, X86_EXC_UD},
		{"XGETBV", CODE(0x0f, 0x01, 0xd0), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"XSETBV", CODE(0x0f, 0x01, 0xd1), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RDPKRU", CODE(0x0f, 0x01, 0xee), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"WRPKRU", CODE(0x0f, 0x01, 0xef), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RDFSBASE", CODE(0xf3, 0x0f, 0xae, 0xc0), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD,
		 X86_EXC_UD},
		{"UD2", CODE(0x0f, 0x0b), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"UD1", CODE(0x0f, 0xb9, 0xc0), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"UD0", CODE(0x0f, 0xff, 0xc0), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RSM", CODE(0x0f, 0xaa), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"MONITOR", CODE(0x0f, 0x01, 0xc8), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"MWAIT", CODE(0x0f, 0x01, 0xc9), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"VMCALL", CODE(0x0f, 0x01, 0xc1), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"VMMCALL", CODE(0x0f, 0x01, 0xd9), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RDPRU", CODE(0x0f, 0x01, 0xfd), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RDRAND", CODE(0x0f, 0xc7, 0xf0), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"RDSEED", CODE(0x0f, 0xc7, 0xf8), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD, X86_EXC_UD},
		{"LOCK WBINVD", CODE(0xf0, 0x0f, 0x09), X86_EXC_UD, X86_EXC_UD, X86_EXC_UD,
		 X86_EXC_UD},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		soft_rig_mode(rig, X86_MODE_LONG64, 1);
		rig->c->r[X86_RCX] = 0xdead;
		cr_expect_eq(step(row[i].code), row[i].at_cpl1, "%s at CPL 1", row[i].name);
		soft_rig_mode(rig, X86_MODE_LONG64, 3);
		rig->c->r[X86_RCX] = 0xdead;
		cr_expect_eq(step(row[i].code), row[i].at_cpl3, "%s at CPL 3", row[i].name);
		soft_rig_mode(rig, X86_MODE_REAL, 0);
		rig->c->r[X86_RCX] = 0xdead;
		cr_expect_eq(step(row[i].code), row[i].in_real, "%s in real mode", row[i].name);
		soft_rig_mode(rig, X86_MODE_V86, 3);
		rig->c->r[X86_RCX] = 0xdead;
		cr_expect_eq(step(row[i].code), row[i].in_v86, "%s in v86 mode", row[i].name);
	}
}

/* Interrupt flag and HLT. */

Test(sys_misc, cli_and_sti_when_each_cpl_and_iopl_then_gp_or_not)
{
	for (unsigned cpl = 0; cpl <= 3; cpl++) {
		for (unsigned iopl = 0; iopl <= 3; iopl++) {
			int expected = cpl > iopl ? X86_EXC_GP : OK;

			soft_rig_mode(rig, X86_MODE_PROT32, cpl);
			soft_set_rflags(rig->c, iopl << 12);
			cr_assert_eq(step(CODE(0xfb)), expected, "STI %u %u", cpl, iopl);
			cr_assert_eq(!!(rig->c->rflags & X86_RFLAGS_IF), expected == OK);
			cr_assert_eq(rig->c->in_int_shadow, expected == OK);
			soft_set_rflags(rig->c, X86_RFLAGS_IF | iopl << 12);
			cr_assert_eq(step(CODE(0xfa)), expected, "CLI %u %u", cpl, iopl);
			cr_assert_eq(!!(rig->c->rflags & X86_RFLAGS_IF), expected != OK);
		}
	}
}

Test(sys_misc, sti_when_if_was_set_then_no_shadow)
{
	soft_set_rflags(rig->c, X86_RFLAGS_IF);
	cr_assert_eq(step(CODE(0xfb)), OK);
	cr_assert_not(rig->c->in_int_shadow);
}

Test(sys_misc, sti_when_v86_then_by_iopl_alone)
{
	soft_rig_mode(rig, X86_MODE_V86, 3);
	soft_set_rflags(rig->c, X86_RFLAGS_VM | 2 << 12);
	cr_assert_eq(step(CODE(0xfb)), X86_EXC_GP);
	soft_set_rflags(rig->c, X86_RFLAGS_VM | 3 << 12);
	cr_assert_eq(step(CODE(0xfb)), OK);
}

Test(sys_misc, hlt_when_cpl_0_then_halted_behind_it)
{
	SOFT_RIG_CODE_BYTES(rig, 0xf4);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_HALTED);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE + 1);
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	cr_assert_eq(step(CODE(0xf4)), X86_EXC_GP);
	cr_assert_eq(rig->c->activity, X86_ACTIVE);
}

/* Time. */

Test(sys_misc, rdtsc_when_tsd_then_gp_for_users)
{
	rig->c->cr4 |= X86_CR4_TSD;
	cr_assert_eq(step(CODE(0x0f, 0x31)), OK);
	soft_rig_mode(rig, X86_MODE_LONG64, 1);
	rig->c->cr4 |= X86_CR4_TSD;
	cr_assert_eq(step(CODE(0x0f, 0x31)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xf9)), X86_EXC_GP);
}

Test(sys_misc, rdtsc_when_in_the_middle_of_a_block_then_it_counts_instructions)
{
	uint64_t first;

	soft_set_tsc(rig->c, 0x123400000000ull);
	rig->c->r[X86_RAX] = rig->c->r[X86_RDX] = ~0ull;
	/* RDTSC; MOV ESI, EAX; NOP; RDTSC; HLT */
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x31, 0x89, 0xc6, 0x90, 0x0f, 0x31, 0xf4);
	cr_assert_eq(soft_rig_run(rig, 100).end, SOFT_RIG_HALTED);
	first = rig->c->r[X86_RSI];
	cr_assert_eq(rig->c->r[X86_RAX], first + 3);
	cr_assert_eq(rig->c->r[X86_RDX], 0x1234);
}

Test(sys_misc, rdtscp_when_executed_then_ecx_is_tsc_aux)
{
	rig->c->tsc_aux = 0x89abcdef;
	rig->c->r[X86_RCX] = ~0ull;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xf9)), OK);
	cr_assert_eq(rig->c->r[X86_RCX], 0x89abcdef);
}

Test(sys_misc, cpuid_when_executed_then_upper_halves_are_clear)
{
	rig->c->r[X86_RAX] = ~0ull << 32;
	rig->c->r[X86_RBX] = rig->c->r[X86_RDX] = ~0ull;
	rig->c->r[X86_RCX] = ~0ull;
	cr_assert_eq(step(CODE(0x0f, 0xa2)), OK);
	cr_assert_eq(rig->c->r[X86_RBX], 0x756e6547); /* Genu */
	cr_assert_eq(rig->c->r[X86_RDX], 0x49656e69); /* ineI */
	cr_assert_eq(rig->c->r[X86_RCX], 0x6c65746e); /* ntel */
	cr_assert_eq(rig->c->r[X86_RAX] >> 32, 0);
}

/* MSRs and XCR0. */

Test(sys_misc, rdmsr_and_wrmsr_when_known_then_edx_eax)
{
	rig->c->r[X86_RCX] = 0xffffffff00000000ull | 0xc0000081; /* STAR */
	rig->c->r[X86_RAX] = 0xffffffff11112222ull;
	rig->c->r[X86_RDX] = 0xffffffff33334444ull;
	cr_assert_eq(step(CODE(0x0f, 0x30)), OK);
	cr_assert_eq(rig->c->msr.star, 0x3333444411112222ull);
	cr_assert_eq(step(CODE(0x0f, 0x32)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x11112222);
	cr_assert_eq(rig->c->r[X86_RDX], 0x33334444);
}

Test(sys_misc, xsetbv_when_a_value_is_not_allowed_then_gp)
{
	static const struct {
		uint64_t value;
		uint32_t index;
		int expected;
	} row[] = {
		{1, 0, OK},
		{3, 0, OK},
		{0x203, 0, OK},
		{0x201, 0, OK},
		{0, 0, X86_EXC_GP},
		{2, 0, X86_EXC_GP},
		{7, 0, X86_EXC_GP},
		{1ull << 63 | 1, 0, X86_EXC_GP},
		{1ull << 32 | 1, 0, X86_EXC_GP},
		{3, 1, X86_EXC_GP},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		soft_rig_mode(rig, X86_MODE_LONG64, 0);
		rig->c->cr4 |= X86_CR4_OSXSAVE;
		rig->c->xcr0 = 1;
		rig->c->r[X86_RCX] = row[i].index;
		rig->c->r[X86_RAX] = (uint32_t)row[i].value;
		rig->c->r[X86_RDX] = row[i].value >> 32;
		cr_assert_eq(step(CODE(0x0f, 0x01, 0xd1)), row[i].expected, "row %u", i);
		cr_assert_eq(rig->c->xcr0, row[i].expected == OK ? row[i].value : 1, "row %u", i);
	}
}

Test(sys_misc, xsetbv_when_cpl_3_then_gp_but_xgetbv_works)
{
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	rig->c->cr4 |= X86_CR4_OSXSAVE;
	rig->c->xcr0 = 0x203;
	rig->c->r[X86_RAX] = 1;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xd1)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xd0)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x203);
	cr_assert_eq(rig->c->r[X86_RDX], 0);
	rig->c->r[X86_RCX] = 1;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xd0)), X86_EXC_GP);
}

/* Protection keys and SMAP. */

Test(sys_misc, pkru_when_pke_then_read_and_written_by_users)
{
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	rig->c->cr4 |= X86_CR4_PKE;
	rig->c->r[X86_RAX] = 0xfffffff0;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xef)), OK);
	cr_assert_eq(rig->c->pkru, 0xfffffff0u);
	rig->c->r[X86_RDX] = ~0ull;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xee)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0xfffffff0u);
	cr_assert_eq(rig->c->r[X86_RDX], 0);
	rig->c->r[X86_RDX] = 1;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xef)), X86_EXC_GP);
	rig->c->r[X86_RDX] = 0;
	rig->c->r[X86_RCX] = 1;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xef)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xee)), X86_EXC_GP);
}

Test(sys_misc, stac_when_smap_then_user_pages_open_up_inside_the_block)
{
	struct soft_rig_result result;

	rig->c->cr4 |= X86_CR4_SMAP;
	rig->c->r[X86_RBX] = SOFT_RIG_DATA; /* the rig's pages belong to the user */
	soft_paging_changed(rig->c, MMU_LOAD_OTHER);
	/* STAC; MOV EAX, [RBX]; CLAC; MOV EAX, [RBX] */
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0xcb, 0x8b, 0x03, 0x0f, 0x01, 0xca, 0x8b, 0x03);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_PF);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE + 8);
	cr_assert_eq(result.count, 3);
	cr_assert_not(soft_rflags(rig->c) & X86_RFLAGS_AC);
}

/* Bases. */

Test(sys_misc, swapgs_when_executed_then_both_change_places)
{
	rig->c->seg[X86_GS].base = 0x1111;
	rig->c->msr.kernel_gs_base = 0x2222;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0xf8)), OK);
	cr_assert_eq(rig->c->seg[X86_GS].base, 0x2222);
	cr_assert_eq(rig->c->msr.kernel_gs_base, 0x1111);
}

Test(sys_misc, fsgsbase_when_enabled_then_each_width_and_segment)
{
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	rig->c->cr4 |= X86_CR4_FSGSBASE;
	rig->c->r[X86_RAX] = 0xffff800011112222ull;
	cr_assert_eq(step(CODE(0xf3, 0x48, 0x0f, 0xae, 0xd0)), OK); /* WRFSBASE RAX */
	cr_assert_eq(rig->c->seg[X86_FS].base, 0xffff800011112222ull);
	cr_assert_eq(step(CODE(0xf3, 0x0f, 0xae, 0xd8)), OK); /* WRGSBASE EAX */
	cr_assert_eq(rig->c->seg[X86_GS].base, 0x11112222);
	cr_assert_eq(step(CODE(0xf3, 0x48, 0x0f, 0xae, 0xc1)), OK); /* RDFSBASE RCX */
	cr_assert_eq(rig->c->r[X86_RCX], 0xffff800011112222ull);
	cr_assert_eq(step(CODE(0xf3, 0x0f, 0xae, 0xc1)), OK); /* RDFSBASE ECX */
	cr_assert_eq(rig->c->r[X86_RCX], 0x11112222);
	cr_assert_eq(step(CODE(0xf3, 0x48, 0x0f, 0xae, 0xca)), OK); /* RDGSBASE RDX */
	cr_assert_eq(rig->c->r[X86_RDX], 0x11112222);
	rig->c->r[X86_RAX] = NOT_CANONICAL;
	cr_assert_eq(step(CODE(0xf3, 0x48, 0x0f, 0xae, 0xd0)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0xf3, 0x48, 0x0f, 0xae, 0xd8)), X86_EXC_GP);
	cr_assert_eq(step(CODE(0xf3, 0x0f, 0xae, 0xd8)), OK);
}

Test(sys_misc, fsgsbase_when_not_64_bit_code_or_not_enabled_then_ud)
{
	cr_assert_eq(step(CODE(0xf3, 0x0f, 0xae, 0xd8)), X86_EXC_UD);
	soft_rig_mode(rig, X86_MODE_COMPAT32, 0);
	rig->c->cr4 |= X86_CR4_FSGSBASE;
	cr_assert_eq(step(CODE(0xf3, 0x0f, 0xae, 0xd8)), X86_EXC_UD);
}

/* Translations. */

static uint64_t invlpgs(void)
{
	struct mmu_stats stats;

	mmu_stats(rig->c->vm->mmu, &stats);
	return stats.invlpgs;
}

Test(sys_misc, invlpg_when_each_address_then_it_reaches_the_mmu_or_does_nothing)
{
	uint64_t before = invlpgs();

	rig->c->r[X86_RBX] = 0xffff800000001000ull; /* not mapped: no fault */
	cr_assert_eq(step(CODE(0x0f, 0x01, 0x3b)), OK);
	cr_assert_eq(invlpgs(), before + 1);
	rig->c->r[X86_RBX] = NOT_CANONICAL;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0x3b)), OK);
	cr_assert_eq(invlpgs(), before + 1);
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->seg[X86_DS].limit = 0; /* not looked at */
	rig->c->r[X86_RBX] = 0x1000;
	cr_assert_eq(step(CODE(0x0f, 0x01, 0x3b)), OK);
	cr_assert_eq(invlpgs(), before + 2);
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	cr_assert_eq(step(CODE(0x0f, 0x01, 0x3b)), X86_EXC_GP);
	cr_assert_eq(invlpgs(), before + 2);
}

/* INVPCID RAX, [RBX] */
static int invpcid(uint64_t type, uint64_t low, uint64_t address)
{
	uint8_t bytes[16];

	le64_put(bytes, low);
	le64_put(bytes + 8, address);
	soft_rig_poke(rig, SOFT_RIG_DATA, bytes, sizeof(bytes));
	rig->c->r[X86_RAX] = type;
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	return step(CODE(0x66, 0x0f, 0x38, 0x82, 0x03));
}

Test(sys_misc, invpcid_when_each_type_then_its_checks)
{
	for (unsigned type = 0; type < 4; type++) {
		bool names_pcid = type <= 1;

		rig->c->cr4 &= ~X86_CR4_PCIDE;
		cr_assert_eq(invpcid(type, 0, 0x1000), OK, "type %u", type);
		cr_assert_eq(invpcid(type, 5, 0x1000), names_pcid ? X86_EXC_GP : OK, "type %u",
			     type);
		rig->c->cr4 |= X86_CR4_PCIDE;
		cr_assert_eq(invpcid(type, 0xfff, 0x1000), OK, "type %u", type);
		cr_assert_eq(invpcid(type, 0x1000, 0x1000), X86_EXC_GP, "type %u", type);
		cr_assert_eq(invpcid(type, 1ull << 63, 0x1000), X86_EXC_GP, "type %u", type);
		cr_assert_eq(invpcid(type, 0, NOT_CANONICAL), type == 0 ? X86_EXC_GP : OK,
			     "type %u", type);
	}
	cr_assert_eq(invpcid(4, 0, 0), X86_EXC_GP);
	cr_assert_eq(invpcid(1ull << 32, 0, 0), X86_EXC_GP);
}

Test(sys_misc, invpcid_when_32_bit_code_then_32_bits_of_type)
{
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	cr_assert_eq(invpcid(1ull << 32 | 2, 0, 0), OK);
	soft_rig_mode(rig, X86_MODE_PROT32, 3);
	cr_assert_eq(invpcid(2, 0, 0), X86_EXC_GP);
}

/* Caches. */

Test(sys_misc, clflush_when_the_page_is_missing_then_a_page_fault_as_by_a_read)
{
	struct soft_rig_result result;

	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	cr_assert_eq(step(CODE(0x0f, 0xae, 0x3b)), OK);
	rig->c->r[X86_RBX] = 0x500000000123ull;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0xae, 0x3b);
	result = soft_rig_step(rig);
	cr_assert_eq(result.event.vector, X86_EXC_PF);
	cr_assert_eq(result.event.error, 0);
	cr_assert_eq(result.event.cr2, 0x500000000123ull);
}

Test(sys_misc, clflushopt_and_clwb_when_executed_then_ud)
{
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	cr_assert_eq(step(CODE(0x66, 0x0f, 0xae, 0x3b)), X86_EXC_UD);
	cr_assert_eq(step(CODE(0x66, 0x0f, 0xae, 0x33)), X86_EXC_UD);
}
