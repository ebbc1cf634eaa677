/* Unit tests of src/accel/soft/mode.c: the mode that blocks are made for, what makes links void,
 * and RFLAGS. */
#include "soft_rig.h"

#include <criterion/criterion.h>

static struct soft_rig *rig;

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(mode, .init = setup, .fini = teardown);

static uint32_t mode_now(void)
{
	soft_mode_update(rig->c);
	cr_assert_not(rig->c->mode_is_stale);
	return rig->c->mode;
}

Test(mode, update_when_each_mode_then_its_bits)
{
	static const struct {
		enum x86_mode mode;
		unsigned cpl;
		uint32_t expected;
	} row[] = {
		{X86_MODE_REAL, 0, SOFT_CODE16},
		{X86_MODE_V86, 3, SOFT_CODE16 | SOFT_V86 | SOFT_USER},
		{X86_MODE_PROT16, 0, SOFT_CODE16 | SOFT_PROTECTED},
		{X86_MODE_PROT32, 0, SOFT_CODE32 | SOFT_STACK32 | SOFT_PROTECTED | SOFT_FLAT},
		{X86_MODE_PROT32, 2, SOFT_CODE32 | SOFT_STACK32 | SOFT_PROTECTED | SOFT_FLAT},
		{X86_MODE_PROT32, 3,
		 SOFT_CODE32 | SOFT_STACK32 | SOFT_PROTECTED | SOFT_FLAT | SOFT_USER},
		{X86_MODE_COMPAT16, 0, SOFT_CODE16 | SOFT_PROTECTED | SOFT_LONG},
		{X86_MODE_COMPAT32, 3,
		 SOFT_CODE32 | SOFT_STACK32 | SOFT_PROTECTED | SOFT_FLAT | SOFT_LONG | SOFT_USER},
		{X86_MODE_LONG64, 0,
		 SOFT_CODE64 | SOFT_STACK64 | SOFT_PROTECTED | SOFT_FLAT | SOFT_LONG},
		{X86_MODE_LONG64, 3,
		 SOFT_CODE64 | SOFT_STACK64 | SOFT_PROTECTED | SOFT_FLAT | SOFT_LONG | SOFT_USER},
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		soft_rig_mode(rig, row[i].mode, row[i].cpl);
		cr_assert_eq(mode_now(), row[i].expected, "row %u: %#x", i, rig->c->mode);
	}
}

/* FLAT is lost by any one property of any one of four segments, outside 64-bit code. */
Test(mode, update_when_a_segment_is_not_flat_then_no_flat)
{
	static const unsigned segs[] = {X86_DS, X86_ES, X86_SS, X86_CS};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(segs); i++) {
		for (unsigned change = 0; change < 6; change++) {
			struct x86_seg *seg = &rig->c->seg[segs[i]];

			soft_rig_mode(rig, X86_MODE_PROT32, 0);
			cr_assert(mode_now() & SOFT_FLAT);
			seg->base = change == 0 ? 0x10 : 0;
			seg->limit = change == 1 ? UINT32_MAX - 1 : UINT32_MAX;
			seg->unusable = change == 2;
			seg->present = change != 3;
			if (change == 4 && segs[i] != X86_CS)
				seg->type = 0x1; /* read-only */
			if (change == 5 && segs[i] != X86_CS)
				seg->type = 0x7; /* expands down */
			cr_assert_eq(!!(mode_now() & SOFT_FLAT), segs[i] == X86_CS && change >= 4,
				     "segment %u change %u", segs[i], change);
			soft_rig_mode(rig, X86_MODE_LONG64, 0);
			seg->base = 0x10;
			cr_assert(mode_now() & SOFT_FLAT, "64-bit code");
		}
	}
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->seg[X86_FS].base = 0x10;
	cr_assert(mode_now() & SOFT_FLAT);
}

Test(mode, update_when_fpu_control_bits_then_their_mode_bits)
{
	uint32_t fpu = SOFT_X87_NM | SOFT_SSE_UD | SOFT_SSE_NM | SOFT_FP_CHECKED;

	rig->c->mxcsr = 0x1f80;
	cr_assert_eq(mode_now() & fpu, 0);
	rig->c->cr0 |= X86_CR0_TS;
	cr_assert_eq(mode_now() & fpu, SOFT_X87_NM | SOFT_SSE_NM);
	rig->c->cr0 ^= X86_CR0_TS | X86_CR0_EM;
	cr_assert_eq(mode_now() & fpu, SOFT_X87_NM | SOFT_SSE_UD);
	rig->c->cr0 ^= X86_CR0_EM;
	rig->c->cr4 &= ~X86_CR4_OSFXSR;
	cr_assert_eq(mode_now() & fpu, SOFT_SSE_UD);
	rig->c->cr4 |= X86_CR4_OSFXSR;
	for (unsigned bit = 7; bit <= 12; bit++) {
		rig->c->mxcsr = 0x1f80 & ~(1u << bit);
		cr_assert_eq(mode_now() & fpu, SOFT_FP_CHECKED, "mask %u", bit);
	}
	rig->c->mxcsr = 0x1fbf; /* flags are not masks */
	cr_assert_eq(mode_now() & fpu, 0);
}

/* Unreal mode: the hidden parts count. */
Test(mode, update_when_real_mode_has_flat_segments_then_flat)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.cr0 &= ~X86_CR0_PE;
	soft_rig_set(rig, &st);
	cr_assert_eq(mode_now(), SOFT_CODE32 | SOFT_STACK32 | SOFT_FLAT);
}

/* Links. */

Test(mode, update_when_cs_changes_then_links_are_void)
{
	uint64_t gen;

	soft_rig_mode(rig, X86_MODE_REAL, 0);
	mode_now();
	gen = rig->c->link_gen;
	mode_now();
	cr_assert_eq(rig->c->link_gen, gen);
	rig->c->seg[X86_CS].base += 0x10;
	mode_now();
	cr_assert_neq(rig->c->link_gen, gen);
	gen = rig->c->link_gen;
	rig->c->seg[X86_CS].limit = 0x8000;
	mode_now();
	cr_assert_neq(rig->c->link_gen, gen);
	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	mode_now();
	gen = rig->c->link_gen;
	rig->c->seg[X86_CS].base = 0x10; /* counts as 0 in 64-bit code */
	mode_now();
	cr_assert_eq(rig->c->link_gen, gen);
}

Test(mode, paging_when_the_root_changes_then_bank_and_links_follow_at_once)
{
	struct soft_cpu *c = rig->c;
	const struct tlb_bank *bank;
	uint64_t gen;

	mode_now();
	gen = c->link_gen;
	bank = c->tlb;
	soft_rig_poke(rig, 0x50000, "\0\0\0\0\0\0\0\0", 8);
	c->cr3 = 0x50000;
	soft_paging_changed(c, MMU_LOAD_CR3);
	cr_assert(c->mode_is_stale);
	cr_assert_eq(c->tlb->root, mmu_root_id(c->vm->mmu, 0));
	cr_assert_neq(c->tlb, bank);
	cr_assert_neq(c->link_gen, gen);
}

/* RFLAGS. */

Test(mode, rflags_when_set_then_read_back_without_reserved_bits)
{
	struct soft_cpu *c = rig->c;
	uint64_t defined = 0x3f7fd5;

	soft_set_rflags(c, ~0ull);
	cr_assert_eq(soft_rflags(c), defined | X86_RFLAGS_FIXED);
	soft_set_rflags(c, 0);
	cr_assert_eq(soft_rflags(c), X86_RFLAGS_FIXED);
	for (unsigned bit = 0; bit < 64; bit++) {
		soft_set_rflags(c, 1ull << bit);
		cr_assert_eq(soft_rflags(c), ((1ull << bit) & defined) | X86_RFLAGS_FIXED, "%u",
			     bit);
		cr_assert_eq(c->rflags & X86_RFLAGS_STATUS, 0, "%u", bit);
	}
}

Test(mode, rflags_when_vm_or_ac_changes_then_the_mode_is_stale)
{
	for (unsigned bit = 0; bit < 22; bit++) {
		uint64_t flag = 1ull << bit;
		bool expected = flag & (X86_RFLAGS_VM | X86_RFLAGS_AC);

		soft_set_rflags(rig->c, 0);
		rig->c->mode_is_stale = false;
		soft_set_rflags(rig->c, flag);
		cr_assert_eq(rig->c->mode_is_stale, expected, "bit %u", bit);
	}
}
