/* The shadow in the cases that have a name: write protection, tables that are data too, large
 * pages, PAE's registers, flood, recycling. */
#include "mmu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>

/* Write protection. */

Test(mmu_shadow, write_when_page_is_data_then_allowed_only_once_dirty)
{
	struct rig *rig = rig_four_levels();

	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).can, (unsigned)(MMU_CAN_READ | MMU_CAN_FETCH));
	cr_assert_eq(rig_touch(rig, RIG_DATA, X86_PF_W).can,
		     (unsigned)(MMU_CAN_READ | MMU_CAN_WRITE | MMU_CAN_FETCH));
	cr_assert(rig_get64(rig, RIG_PT + RIG_DATA / 512) & X86_PTE_D);
	rig_finish(rig);
}

Test(mmu_shadow, write_when_page_becomes_table_then_right_is_withdrawn)
{
	struct rig *rig = rig_four_levels();
	unsigned forgets;

	cr_assert(rig_touch(rig, RIG_DATA, X86_PF_W).can & MMU_CAN_WRITE);
	forgets = rig->forgets;
	rig_put64(rig, RIG_PD + 8, RIG_DATA | RIG_RW); /* DATA is the table of 2..4 MiB */
	rig_put64(rig, RIG_DATA, 0x9000 | RIG_RW);
	rig_touch(rig, 0x200000, 0);
	cr_assert_gt(rig->forgets, forgets);
	cr_assert(mmu_is_table(rig->mmu, RIG_DATA));
	cr_assert(rig_touch(rig, RIG_DATA, X86_PF_W).is_table);
	cr_assert_not(rig_touch(rig, RIG_DATA, X86_PF_W).can & MMU_CAN_WRITE);
	rig_finish(rig);
}

Test(mmu_shadow, write_when_table_is_no_longer_one_then_allowed_again)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PD + 8, RIG_DATA | RIG_RW);
	rig_put64(rig, RIG_DATA, 0x9000 | RIG_RW);
	rig_touch(rig, 0x200000, 0);
	rig_touch(rig, RIG_DATA, X86_PF_W);
	rig_put64(rig, RIG_PD + 8, 0);
	cr_assert_not(mmu_is_table(rig->mmu, RIG_DATA));
	cr_assert(rig_touch(rig, RIG_DATA, 0).can & MMU_CAN_WRITE);
	rig_finish(rig);
}

Test(mmu_shadow, entry_when_written_through_an_alias_then_next_access_sees_it)
{
	struct rig *rig = rig_four_levels();
	uint64_t entry = 0xa000 | RIG_RWD;

	rig_touch(rig, RIG_DATA, X86_PF_W);
	cr_assert(rig_store(rig, 0, RIG_PT + RIG_DATA / 512, &entry,
			    sizeof(entry))); /* PT maps itself */
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).gpa, 0xa000u);
	rig_finish(rig);
}

Test(mmu_shadow, entry_when_two_halves_are_written_then_each_counts)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, 0);
	rig_put32(rig, RIG_PT + RIG_DATA / 512 + 4, 1u << 31); /* NX */
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).can, (unsigned)MMU_CAN_READ);
	rig_put32(rig, RIG_PT + RIG_DATA / 512, 0);
	cr_assert_eq(rig_translate(rig, 0, RIG_DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	rig_finish(rig);
}

Test(mmu_shadow, entries_when_one_write_crosses_two_then_both_follow)
{
	struct rig *rig = rig_four_levels();
	uint8_t raw[8];

	rig_touch(rig, 0x8000, 0);
	rig_touch(rig, 0x9000, 0);
	memset(raw, 0, sizeof(raw));
	rig_write(rig, RIG_PT + 8 * 8 + 4, raw,
		  sizeof(raw)); /* high half of one, low of the next */
	cr_assert_eq(rig_translate(rig, 0, 0x9000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(rig_touch(rig, 0x8000, 0).gpa, 0x8000u);
	rig_finish(rig);
}

Test(mmu_shadow, entry_when_only_ignored_bits_change_then_kept)
{
	struct rig *rig = rig_four_levels();
	uint64_t zaps;

	rig_touch(rig, RIG_DATA, 0);
	zaps = rig_stats(rig).zaps;
	rig_put64(rig, RIG_PT + RIG_DATA / 512, RIG_DATA | RIG_RW | 7ull << 9 | 1ull << 52);
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RWD | 7ull << 9);
	cr_assert_eq(rig_stats(rig).zaps, zaps);
	rig_finish(rig);
}

Test(mmu_shadow, accessed_when_cleared_on_any_level_then_set_again_by_the_next_access)
{
	static const gpa_t entries[] = {RIG_PML4, RIG_PDPT, RIG_PD, RIG_PT + RIG_DATA / 512};
	struct rig *rig = rig_four_levels();
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(entries); i++) {
		rig_touch(rig, RIG_DATA, X86_PF_W);
		rig_put64(rig, entries[i], rig_get64(rig, entries[i]) & ~X86_PTE_A);
		rig_touch(rig, RIG_DATA, 0);
		cr_assert(rig_get64(rig, entries[i]) & X86_PTE_A, "entry %u", i);
	}
	rig_finish(rig);
}

Test(mmu_shadow, dirty_when_cleared_then_set_again_by_the_next_write)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, X86_PF_W);
	rig_put64(rig, RIG_PT + RIG_DATA / 512, RIG_DATA | RIG_RW);
	cr_assert_not(rig_touch(rig, RIG_DATA, 0).can & MMU_CAN_WRITE);
	rig_touch(rig, RIG_DATA, X86_PF_W);
	cr_assert(rig_get64(rig, RIG_PT + RIG_DATA / 512) & X86_PTE_D);
	rig_finish(rig);
}

Test(mmu_shadow, pkey_when_changed_then_rights_change)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;

	regs.cr4 |= X86_CR4_PKE;
	regs.pkru = 1u << 2; /* AD of key 1 */
	rig_load(rig, 0, &regs);
	rig_touch(rig, RIG_DATA, X86_PF_U);
	rig_put64(rig, RIG_PT + RIG_DATA / 512, RIG_DATA | RIG_RW | 1ull << 59);
	cr_assert_eq(rig_translate(rig, 0, RIG_DATA, X86_PF_U, false, &page), -EFAULT);
	rig_put64(rig, RIG_PT + RIG_DATA / 512, RIG_DATA | RIG_RW | 2ull << 59);
	rig_touch(rig, RIG_DATA, X86_PF_U);
	rig_finish(rig);
}

/* Tables that are data. */

Test(mmu_shadow, pml4_when_it_maps_itself_then_its_tables_can_be_changed_there)
{
	const gva_t self = 0xffffff7fbfdfe000ull; /* 510 on every level: the PML4 */
	struct rig *rig = rig_four_levels();
	uint64_t none = 0;

	rig_put64(rig, RIG_PML4 + 510 * 8, RIG_PML4 | RIG_RW);
	rig_touch(rig, RIG_DATA, 0);
	cr_assert(rig_touch(rig, self, X86_PF_W).is_table);
	cr_assert_eq(rig_touch(rig, self, 0).gpa, (gpa_t)RIG_PML4);
	rig_check(rig);
	cr_assert(rig_store(rig, 0, self, &none, sizeof(none)));
	cr_assert_eq(rig_translate(rig, 0, RIG_DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert(rig_store(rig, 0, self + 510 * 8, &none, sizeof(none)));
	cr_assert_eq(rig_translate(rig, 0, self, 0, false, &(struct mmu_page){0}), -EFAULT);
	rig_finish(rig);
}

Test(mmu_shadow, table_when_two_roots_share_it_as_data_then_both_follow)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4B);
	struct mmu_page page;
	uint64_t entry = 0xb000 | RIG_RWD;

	rig_put64(rig, RIG_PML4B, RIG_PDPT | RIG_RW);
	rig_load(rig, 1, &regs);
	rig_touch(rig, RIG_DATA, X86_PF_W);
	cr_assert_eq(rig_translate(rig, 1, RIG_DATA, X86_PF_W, false, &page), 0);
	cr_assert(rig_store(rig, 1, RIG_PT + RIG_DATA / 512, &entry, sizeof(entry)));
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).gpa, 0xb000u);
	cr_assert_eq(rig_translate(rig, 1, RIG_DATA, 0, false, &page), 0);
	cr_assert_eq(page.gpa, 0xb000u);
	rig_finish(rig);
}

Test(mmu_shadow, frame_when_table_on_two_levels_then_one_write_changes_both)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PDPT + 8, RIG_PT | RIG_RW); /* PT is the directory of 1..2 GiB as well */
	cr_assert_eq(rig_touch(rig, 0x2000, 0).gpa, (gpa_t)RIG_PDPT);
	cr_assert_eq(rig_touch(rig, 0x40400000, 0).gpa, (gpa_t)RIG_PD); /* PDPT's first entry */
	rig_check(rig);
	rig_put64(rig, RIG_PT + 2 * 8, 0);
	cr_assert_eq(rig_translate(rig, 0, 0x2000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(rig_translate(rig, 0, 0x40400000, 0, false, &(struct mmu_page){0}), -EFAULT);
	rig_finish(rig);
}

/* Large pages. */

Test(mmu_shadow, large_page_when_it_covers_a_table_then_that_frame_is_protected)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PD + 8, X86_PTE_PS | RIG_RW); /* 2..4 MiB: the low 2 MiB again */
	cr_assert(rig_touch(rig, 0x200000 + RIG_DATA, X86_PF_W).can & MMU_CAN_WRITE);
	cr_assert(rig_get64(rig, RIG_PD + 8) & X86_PTE_D);
	rig_touch(rig, RIG_DATA, 0);
	cr_assert(rig_touch(rig, 0x200000 + RIG_PT, X86_PF_W).is_table);
	cr_assert_not(rig_touch(rig, 0x200000 + RIG_PT, X86_PF_W).can & MMU_CAN_WRITE);
	rig_finish(rig);
}

/* PS alone decides whether frame 0 is a table or the start of a page. */
Test(mmu_shadow, large_page_when_only_ps_changes_then_another_page)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, 0, 0x9000 | RIG_RW);
	rig_put64(rig, RIG_PD + 8, RIG_RW);
	cr_assert_eq(rig_touch(rig, 0x200000, 0).gpa, 0x9000u);
	rig_put64(rig, RIG_PD + 8, X86_PTE_PS | RIG_RW);
	cr_assert_eq(rig_touch(rig, 0x200000, 0).gpa, 0u);
	rig_put64(rig, RIG_PD + 8, RIG_RW);
	cr_assert_eq(rig_touch(rig, 0x200000, 0).gpa, 0x9000u);
	rig_finish(rig);
}

Test(mmu_shadow, large_page_when_first_written_then_all_of_it_is_dirty)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PDPT + 8, X86_PTE_PS | RIG_RW); /* 1 GiB */
	cr_assert_not(rig_touch(rig, 0x40000000 + RIG_DATA, 0).can & MMU_CAN_WRITE);
	rig_touch(rig, 0x40000000, X86_PF_W);
	cr_assert(rig_touch(rig, 0x40000000 + RIG_DATA, 0).can & MMU_CAN_WRITE);
	rig_finish(rig);
}

Test(mmu_shadow, large_page_of_4mib_when_written_over_then_both_halves_go)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_32BIT, 0x1000);

	/* PSE-36: address bit 32 is bit 13 of the entry: the RAM above 4 GiB. */
	rig_put32(rig, 0x1000 + 4, 1u << 13 | X86_PTE_PS | RIG_RWD);
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_touch(rig, 0x400000, 0).gpa, RIG_HIGH_BASE);
	rig_touch(rig, 0x600000, 0);
	cr_assert_eq(rig_stats(rig).leaves, 2u);
	rig_put32(rig, 0x1000 + 4, 0);
	cr_assert_eq(rig_stats(rig).leaves, 0u);
	rig_finish(rig);
}

/* 32-bit tables: two shadow pages for a page table, four for a directory. */
Test(mmu_shadow, table_of_32bit_when_each_quadrant_is_used_then_each_follows)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_32BIT, 0x1000);
	unsigned i;

	rig_load(rig, 0, &regs);
	for (i = 0; i < 4; i++)
		rig_put32(rig, 0x1000 + i * 1024, 0x2000 | (uint32_t)RIG_RW);
	rig_put32(rig, 0x2000, 0x8000 | (uint32_t)RIG_RWD);
	rig_put32(rig, 0x2000 + 512 * 4, 0x9000 | (uint32_t)RIG_RWD);
	for (i = 0; i < 8; i++)
		cr_assert_eq(rig_touch(rig, i / 2 * 0x40000000ull + i % 2 * 0x200000, 0).gpa,
			     0x8000u + i % 2 * 0x1000);
	cr_assert_eq(rig_stats(rig).shadow_pages, 6u);
	rig_put32(rig, 0x2000 + 512 * 4, 0xa000 | (uint32_t)RIG_RWD);
	cr_assert_eq(rig_touch(rig, 0xc0200000, 0).gpa, 0xa000u);
	rig_put32(rig, 0x1000 + 3 * 1024, 0);
	cr_assert_eq(rig_translate(rig, 0, 0xc0200000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(rig_touch(rig, 0x80200000, 0).gpa, 0xa000u);
	rig_finish(rig);
}

/* PAE: the four top entries are registers (SDM 3A 4.4.1). */

static struct rig *pae(void)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_PAE, 0x1020);

	rig_put64(rig, 0x1020, 0x2000 | X86_PTE_P);
	rig_put64(rig, 0x2000, 0x3000 | RIG_RW);
	rig_put64(rig, 0x3000, 0x8000 | RIG_RWD);
	rig_put64(rig, 0x4000, 0x5000 | RIG_RW);
	rig_put64(rig, 0x5000, 0x9000 | RIG_RWD);
	rig_load(rig, 0, &regs);
	return rig;
}

Test(mmu_shadow, pdpte_when_changed_in_memory_then_seen_at_the_next_load_only)
{
	struct rig *rig = pae();
	struct x86_paging regs = rig_regs(X86_PAGING_PAE, 0x1020);

	cr_assert_eq(rig_touch(rig, 0, 0).gpa, 0x8000u);
	cr_assert_not(mmu_is_table(rig->mmu, 0x1020));
	rig_put64(rig, 0x1020, 0x4000 | X86_PTE_P);
	cr_assert_eq(rig_touch(rig, 0, 0).gpa, 0x8000u);
	rig_check(rig);
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_touch(rig, 0, 0).gpa, 0x9000u);
	rig_finish(rig);
}

Test(mmu_shadow, pdptes_when_loaded_then_reserved_bits_are_refused)
{
	static const uint64_t bad[] = {1u << 1, 1u << 2, 1u << 5, 1u << 8, 1ull << 40, 1ull << 63};
	struct rig *rig = pae();
	uint64_t pdpte[4];
	unsigned i;

	cr_assert(mmu_load_pdptes(rig->mmu, 0x1020, pdpte));
	cr_assert_eq(pdpte[0], 0x2000 | X86_PTE_P);
	for (i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		rig_put64(rig, 0x1038, bad[i]); /* not present: nobody looks */
		cr_assert(mmu_load_pdptes(rig->mmu, 0x1020, pdpte));
		rig_put64(rig, 0x1038, bad[i] | X86_PTE_P);
		cr_assert_not(mmu_load_pdptes(rig->mmu, 0x1020, pdpte), "bit %u", i);
	}
	cr_assert_not(mmu_load_pdptes(rig->mmu, RIG_HOLE, pdpte));
	rig_finish(rig);
}

/* Flood and recycling. */

static void write_many_times(struct rig *rig, gpa_t gpa, unsigned times)
{
	unsigned i;

	for (i = 0; i < times; i++)
		rig_put64(rig, gpa, 0x1000ull * (i % 8) | RIG_RW);
}

Test(mmu_shadow, table_when_written_often_without_use_then_data)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, 0);
	write_many_times(rig, RIG_PT + 100 * 8, 200);
	cr_assert_eq(rig_stats(rig).floods, 1u);
	cr_assert_not(mmu_is_table(rig->mmu, RIG_PT));
	cr_assert_eq(rig_stats(rig).leaves, 0u);
	rig_check(rig);
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).gpa, (gpa_t)RIG_DATA);
	cr_assert(mmu_is_table(rig->mmu, RIG_PT));
	rig_finish(rig);
}

Test(mmu_shadow, table_when_written_often_and_used_then_stays_a_table)
{
	struct rig *rig = rig_four_levels();
	unsigned i;

	for (i = 0; i < 200; i++) {
		rig_put64(rig, RIG_PT + 100 * 8, 0x1000ull * (i % 8) | RIG_RW);
		rig_touch(rig, RIG_DATA, 0);
	}
	cr_assert_eq(rig_stats(rig).floods, 0u);
	rig_finish(rig);
}

Test(mmu_shadow, table_when_it_is_the_loaded_root_then_no_flood)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, 0);
	write_many_times(rig, RIG_PML4 + 100 * 8, 200);
	cr_assert_eq(rig_stats(rig).floods, 0u);
	cr_assert(mmu_is_table(rig->mmu, RIG_PML4));
	rig_finish(rig);
}

Test(mmu_shadow, pages_when_there_are_too_many_then_recycled_and_filled_again)
{
	struct rig *rig = rig_create(1, false); /* the least that there can be */
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	unsigned i, round;

	rig_put64(rig, RIG_PML4, RIG_PDPT | RIG_RW);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	for (i = 0; i < 64; i++)
		rig_put64(rig, RIG_PD + 8ull * i, (0x10000 + i % 32 * 0x1000ull) | RIG_RW);
	for (i = 0; i < 32; i++)
		rig_put64(rig, 0x10000 + i * 0x1000ull, 0x8000 | RIG_RWD);
	rig_load(rig, 0, &regs);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 64; i++)
			cr_assert_eq(rig_touch(rig, i * 0x200000ull, 0).gpa, 0x8000u);
		rig_check(rig);
	}
	cr_assert_gt(rig_stats(rig).recycled, 20u);
	cr_assert_leq(rig_stats(rig).shadow_pages, rig->mmu->max_pages);
	rig_finish(rig);
}

Test(mmu_shadow, pages_when_too_many_then_those_of_unused_roots_go_first)
{
	struct rig *rig = rig_create(1, false);
	struct x86_paging regs = rig_regs(X86_PAGING_NONE, 0);
	unsigned i;

	rig_put64(rig, RIG_PML4, RIG_PDPT | RIG_RW);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RW);
	rig_put64(rig, RIG_PT, 0x8000 | RIG_RWD);
	rig_touch(rig, 0, 0); /* paging is off */
	for (i = 0; i < 3; i++) {
		uint64_t leaves = rig_stats(rig).leaves;

		regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
		rig_load(rig, 0, &regs);
		rig_touch(rig, 0, 0);
		cr_assert_geq(rig_stats(rig).leaves, leaves);
	}
	regs = rig_regs(X86_PAGING_NONE, 0);
	rig_load(rig, 0, &regs);
	for (i = 0; i < 40; i++)
		rig_touch(rig, i * 0x200000ull, 0);
	cr_assert_gt(rig_stats(rig).recycled, 0u);
	cr_assert_not(mmu_is_table(rig->mmu, RIG_PML4));
	rig_finish(rig);
}

/* The pages live on under the other root, but not what the micro-TLB has from the first one. */
Test(mmu_shadow, root_when_recycled_while_another_shares_its_pages_then_forgotten)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging a = rig->regs[0], b = rig->regs[0], c = rig_regs(X86_PAGING_NONE, 0);
	struct mmu_page page;
	unsigned forgets;

	b.cr0 &= ~X86_CR0_WP;
	rig_touch(rig, RIG_DATA, 0);
	rig_load(rig, 1, &b);
	cr_assert_eq(rig_translate(rig, 1, RIG_DATA, 0, false, &page), 0);
	rig_load(rig, 0, &c);
	forgets = rig->full_forgets;
	root_clear(rig->mmu, root_get(rig->mmu, &a));
	forget_flush(rig->mmu);
	cr_assert_gt(rig->full_forgets, forgets);
	rig_load(rig, 0, &a);
	rig_finish(rig);
}

/* A frame becomes a table by the walk; until all micro-TLBs have let go of it, another vCPU stores
 * to it unseen. */
static void store_unseen(struct rig *rig)
{
	le64_put(mem_ptr(rig->mem, RIG_DATA, 8), 0xa000 | RIG_RW);
}

static struct rig *rig_with_new_table(void)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, X86_PF_W);
	rig_put64(rig, RIG_DATA, 0x9000 | RIG_RW);
	rig_put64(rig, RIG_PD + 8, RIG_DATA | RIG_RW);
	rig->on_forget = store_unseen;
	return rig;
}

Test(mmu_shadow, entry_when_stored_to_while_its_table_becomes_one_then_seen)
{
	struct rig *rig = rig_with_new_table();
	struct mmu_page page;
	struct mmu_fault fault;

	cr_assert_eq(mmu_translate(rig->mmu, 0, 0x200000, 0, &page, &fault), 0);
	cr_assert_eq(page.gpa, 0xa000u);
	cr_assert_eq(rig_verify(rig), 0u, "%s", rig->text);
	rig_destroy(rig);
}

/* The same where there are pages for the two upper tables and none for the rest of the way. */
Test(mmu_shadow, entry_when_stored_to_and_the_walk_cannot_be_kept_whole_then_seen)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	unsigned max_pages = rig->mmu->max_pages;
	struct mmu_page page;
	struct mmu_fault fault;

	rig_touch(rig, RIG_DATA, X86_PF_W); /* paging is off */
	rig_put64(rig, RIG_PML4, RIG_DATA | RIG_RW);
	rig_put64(rig, RIG_DATA, RIG_PD | RIG_RW);
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RW);
	rig_put64(rig, RIG_PT, 0x9000 | RIG_RW);
	rig_load(rig, 0, &regs);
	rig->mmu->max_pages = 4; /* one is the root of the other vCPU */
	rig->on_forget = store_unseen;
	cr_assert_eq(mmu_translate(rig->mmu, 0, 0, 0, &page, &fault), 0);
	cr_assert_eq(page.can, 0u);
	cr_assert(mmu_is_table(rig->mmu, RIG_DATA));
	rig->mmu->max_pages = max_pages;
	cr_assert_eq(rig_verify(rig), 0u, "%s", rig->text);
	rig_destroy(rig);
}

/* As when the host has no memory: only the top page can be had. */
Test(mmu_shadow, translate_when_no_page_can_be_had_then_works_and_gives_no_lasting_right)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	struct mmu_page page;
	struct mmu_fault fault;

	rig_put64(rig, RIG_PML4, RIG_PDPT | RIG_RW);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RW);
	rig_put64(rig, RIG_PT, RIG_PML4 | RIG_RW);
	rig_load(rig, 0, &regs);
	rig->mmu->max_pages = 1;
	cr_assert_eq(mmu_translate(rig->mmu, 0, 0x123, X86_PF_W, &page, &fault), 0);
	cr_assert_eq(page.gpa, (gpa_t)RIG_PML4);
	cr_assert_eq(page.host, mem_ptr(rig->mem, RIG_PML4, 1));
	cr_assert_eq(page.can, 0u);
	cr_assert(page.is_table);
	cr_assert_eq(mmu_translate(rig->mmu, 0, 0x200000, 0, &page, &fault), -EFAULT);
	cr_assert_eq(rig_verify(rig), 0u, "%s", rig->text);
	rig_destroy(rig);
}
