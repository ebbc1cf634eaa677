/* The shadow in the cases that have a name: write protection, tables that are data too, large
 * pages, PAE's registers, flood, recycling, edges of memory. */
#include "mmu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>

#define PML4  0x1000u
#define PDPT  0x2000u
#define PD    0x3000u
#define PT    0x4000u
#define PML4B 0x5000u
#define DATA  0x8000u

/* Frame n of the low 2 MiB stands at linear n * 4096, through PML4, PDPT, PD and PT. */
static struct rig *four_levels(void)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, PML4);
	unsigned i;

	rig_put64(rig, PML4, PDPT | RIG_RW);
	rig_put64(rig, PDPT, PD | RIG_RW);
	rig_put64(rig, PD, PT | RIG_RW);
	for (i = 0; i < 512; i++)
		rig_put64(rig, PT + 8ull * i, i * 4096ull | RIG_RW);
	rig_load(rig, 0, &regs);
	rig_load(rig, 1, &regs);
	return rig;
}

static struct mmu_page touch(struct rig *rig, gva_t gva, unsigned access)
{
	struct mmu_page page = {0};

	cr_assert_eq(rig_translate(rig, 0, gva, access, false, &page), 0);
	return page;
}

static struct mmu_stats stats_of(const struct rig *rig)
{
	struct mmu_stats stats;

	mmu_stats(rig->mmu, &stats);
	return stats;
}

static void finish(struct rig *rig)
{
	rig_check(rig);
	rig_destroy(rig);
}

/* Write protection. */

Test(mmu_shadow, write_when_page_is_data_then_allowed_only_once_dirty)
{
	struct rig *rig = four_levels();

	cr_assert_eq(touch(rig, DATA, 0).can, (unsigned)(MMU_CAN_READ | MMU_CAN_FETCH));
	cr_assert_eq(touch(rig, DATA, X86_PF_W).can,
		     (unsigned)(MMU_CAN_READ | MMU_CAN_WRITE | MMU_CAN_FETCH));
	cr_assert(rig_get64(rig, PT + DATA / 512) & X86_PTE_D);
	finish(rig);
}

Test(mmu_shadow, write_when_page_becomes_table_then_right_is_withdrawn)
{
	struct rig *rig = four_levels();
	unsigned forgets;

	cr_assert(touch(rig, DATA, X86_PF_W).can & MMU_CAN_WRITE);
	forgets = rig->forgets;
	rig_put64(rig, PD + 8, DATA | RIG_RW); /* DATA is the table of 2..4 MiB */
	rig_put64(rig, DATA, 0x9000 | RIG_RW);
	touch(rig, 0x200000, 0);
	cr_assert_gt(rig->forgets, forgets);
	cr_assert(mmu_is_table(rig->mmu, DATA));
	cr_assert(touch(rig, DATA, X86_PF_W).is_table);
	cr_assert_not(touch(rig, DATA, X86_PF_W).can & MMU_CAN_WRITE);
	finish(rig);
}

Test(mmu_shadow, write_when_table_is_no_longer_one_then_allowed_again)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PD + 8, DATA | RIG_RW);
	rig_put64(rig, DATA, 0x9000 | RIG_RW);
	touch(rig, 0x200000, 0);
	touch(rig, DATA, X86_PF_W);
	rig_put64(rig, PD + 8, 0);
	cr_assert_not(mmu_is_table(rig->mmu, DATA));
	cr_assert(touch(rig, DATA, 0).can & MMU_CAN_WRITE);
	finish(rig);
}

Test(mmu_shadow, entry_when_written_through_an_alias_then_next_access_sees_it)
{
	struct rig *rig = four_levels();
	uint64_t entry = 0xa000 | RIG_RWD;

	touch(rig, DATA, X86_PF_W);
	cr_assert(rig_store(rig, 0, PT + DATA / 512, &entry, sizeof(entry))); /* PT maps itself */
	cr_assert_eq(touch(rig, DATA, 0).gpa, 0xa000u);
	finish(rig);
}

Test(mmu_shadow, entry_when_two_halves_are_written_then_each_counts)
{
	struct rig *rig = four_levels();

	touch(rig, DATA, 0);
	rig_put32(rig, PT + DATA / 512 + 4, 1u << 31); /* NX */
	cr_assert_eq(touch(rig, DATA, 0).can, (unsigned)MMU_CAN_READ);
	rig_put32(rig, PT + DATA / 512, 0);
	cr_assert_eq(rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	finish(rig);
}

Test(mmu_shadow, entries_when_one_write_crosses_two_then_both_follow)
{
	struct rig *rig = four_levels();
	uint8_t raw[8];

	touch(rig, 0x8000, 0);
	touch(rig, 0x9000, 0);
	memset(raw, 0, sizeof(raw));
	rig_write(rig, PT + 8 * 8 + 4, raw, sizeof(raw)); /* high half of one, low of the next */
	cr_assert_eq(rig_translate(rig, 0, 0x9000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(touch(rig, 0x8000, 0).gpa, 0x8000u);
	finish(rig);
}

Test(mmu_shadow, entry_when_only_ignored_bits_change_then_kept)
{
	struct rig *rig = four_levels();
	uint64_t zaps;

	touch(rig, DATA, 0);
	zaps = stats_of(rig).zaps;
	rig_put64(rig, PT + DATA / 512, DATA | RIG_RW | 7ull << 9 | 1ull << 52);
	rig_put64(rig, PD, PT | RIG_RWD | 7ull << 9);
	cr_assert_eq(stats_of(rig).zaps, zaps);
	finish(rig);
}

Test(mmu_shadow, accessed_when_cleared_on_any_level_then_set_again_by_the_next_access)
{
	static const gpa_t entries[] = {PML4, PDPT, PD, PT + DATA / 512};
	struct rig *rig = four_levels();
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(entries); i++) {
		touch(rig, DATA, X86_PF_W);
		rig_put64(rig, entries[i], rig_get64(rig, entries[i]) & ~X86_PTE_A);
		touch(rig, DATA, 0);
		cr_assert(rig_get64(rig, entries[i]) & X86_PTE_A, "entry %u", i);
	}
	finish(rig);
}

Test(mmu_shadow, dirty_when_cleared_then_set_again_by_the_next_write)
{
	struct rig *rig = four_levels();

	touch(rig, DATA, X86_PF_W);
	rig_put64(rig, PT + DATA / 512, DATA | RIG_RW);
	cr_assert_not(touch(rig, DATA, 0).can & MMU_CAN_WRITE);
	touch(rig, DATA, X86_PF_W);
	cr_assert(rig_get64(rig, PT + DATA / 512) & X86_PTE_D);
	finish(rig);
}

Test(mmu_shadow, pkey_when_changed_then_rights_change)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;

	regs.cr4 |= X86_CR4_PKE;
	regs.pkru = 1u << 2; /* AD of key 1 */
	rig_load(rig, 0, &regs);
	touch(rig, DATA, X86_PF_U);
	rig_put64(rig, PT + DATA / 512, DATA | RIG_RW | 1ull << 59);
	cr_assert_eq(rig_translate(rig, 0, DATA, X86_PF_U, false, &page), -EFAULT);
	rig_put64(rig, PT + DATA / 512, DATA | RIG_RW | 2ull << 59);
	touch(rig, DATA, X86_PF_U);
	finish(rig);
}

/* Tables that are data. */

Test(mmu_shadow, pml4_when_it_maps_itself_then_its_tables_can_be_changed_there)
{
	const gva_t self = 0xffffff7fbfdfe000ull; /* 510 on every level: the PML4 */
	struct rig *rig = four_levels();
	uint64_t none = 0;

	rig_put64(rig, PML4 + 510 * 8, PML4 | RIG_RW);
	touch(rig, DATA, 0);
	cr_assert(touch(rig, self, X86_PF_W).is_table);
	cr_assert_eq(touch(rig, self, 0).gpa, (gpa_t)PML4);
	rig_check(rig);
	cr_assert(rig_store(rig, 0, self, &none, sizeof(none)));
	cr_assert_eq(rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert(rig_store(rig, 0, self + 510 * 8, &none, sizeof(none)));
	cr_assert_eq(rig_translate(rig, 0, self, 0, false, &(struct mmu_page){0}), -EFAULT);
	finish(rig);
}

Test(mmu_shadow, table_when_two_roots_share_it_as_data_then_both_follow)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, PML4B);
	struct mmu_page page;
	uint64_t entry = 0xb000 | RIG_RWD;

	rig_put64(rig, PML4B, PDPT | RIG_RW);
	rig_load(rig, 1, &regs);
	touch(rig, DATA, X86_PF_W);
	cr_assert_eq(rig_translate(rig, 1, DATA, X86_PF_W, false, &page), 0);
	cr_assert(rig_store(rig, 1, PT + DATA / 512, &entry, sizeof(entry)));
	cr_assert_eq(touch(rig, DATA, 0).gpa, 0xb000u);
	cr_assert_eq(rig_translate(rig, 1, DATA, 0, false, &page), 0);
	cr_assert_eq(page.gpa, 0xb000u);
	finish(rig);
}

Test(mmu_shadow, frame_when_table_on_two_levels_then_one_write_changes_both)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PDPT + 8, PT | RIG_RW); /* PT is the directory of 1..2 GiB as well */
	cr_assert_eq(touch(rig, 0x2000, 0).gpa, (gpa_t)PDPT);
	cr_assert_eq(touch(rig, 0x40400000, 0).gpa, (gpa_t)PD); /* PDPT's first entry */
	rig_check(rig);
	rig_put64(rig, PT + 2 * 8, 0);
	cr_assert_eq(rig_translate(rig, 0, 0x2000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(rig_translate(rig, 0, 0x40400000, 0, false, &(struct mmu_page){0}), -EFAULT);
	finish(rig);
}

/* Large pages. */

Test(mmu_shadow, large_page_when_it_covers_a_table_then_that_frame_is_protected)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PD + 8, X86_PTE_PS | RIG_RW); /* 2..4 MiB: the low 2 MiB again */
	cr_assert(touch(rig, 0x200000 + DATA, X86_PF_W).can & MMU_CAN_WRITE);
	cr_assert(rig_get64(rig, PD + 8) & X86_PTE_D);
	touch(rig, DATA, 0);
	cr_assert(touch(rig, 0x200000 + PT, X86_PF_W).is_table);
	cr_assert_not(touch(rig, 0x200000 + PT, X86_PF_W).can & MMU_CAN_WRITE);
	finish(rig);
}

Test(mmu_shadow, large_page_when_first_written_then_all_of_it_is_dirty)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PDPT + 8, X86_PTE_PS | RIG_RW); /* 1 GiB */
	cr_assert_not(touch(rig, 0x40000000 + DATA, 0).can & MMU_CAN_WRITE);
	touch(rig, 0x40000000, X86_PF_W);
	cr_assert(touch(rig, 0x40000000 + DATA, 0).can & MMU_CAN_WRITE);
	finish(rig);
}

Test(mmu_shadow, large_page_of_4mib_when_written_over_then_both_halves_go)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_32BIT, 0x1000);

	/* PSE-36: address bit 32 is bit 13 of the entry: the RAM above 4 GiB. */
	rig_put32(rig, 0x1000 + 4, 1u << 13 | X86_PTE_PS | RIG_RWD);
	rig_load(rig, 0, &regs);
	cr_assert_eq(touch(rig, 0x400000, 0).gpa, RIG_HIGH_BASE);
	touch(rig, 0x600000, 0);
	cr_assert_eq(stats_of(rig).leaves, 2u);
	rig_put32(rig, 0x1000 + 4, 0);
	cr_assert_eq(stats_of(rig).leaves, 0u);
	finish(rig);
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
		cr_assert_eq(touch(rig, i / 2 * 0x40000000ull + i % 2 * 0x200000, 0).gpa,
			     0x8000u + i % 2 * 0x1000);
	cr_assert_eq(stats_of(rig).shadow_pages, 6u);
	rig_put32(rig, 0x2000 + 512 * 4, 0xa000 | (uint32_t)RIG_RWD);
	cr_assert_eq(touch(rig, 0xc0200000, 0).gpa, 0xa000u);
	rig_put32(rig, 0x1000 + 3 * 1024, 0);
	cr_assert_eq(rig_translate(rig, 0, 0xc0200000, 0, false, &(struct mmu_page){0}), -EFAULT);
	cr_assert_eq(touch(rig, 0x80200000, 0).gpa, 0xa000u);
	finish(rig);
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

	cr_assert_eq(touch(rig, 0, 0).gpa, 0x8000u);
	cr_assert_not(mmu_is_table(rig->mmu, 0x1020));
	rig_put64(rig, 0x1020, 0x4000 | X86_PTE_P);
	cr_assert_eq(touch(rig, 0, 0).gpa, 0x8000u);
	rig_check(rig);
	rig_load(rig, 0, &regs);
	cr_assert_eq(touch(rig, 0, 0).gpa, 0x9000u);
	finish(rig);
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
	finish(rig);
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
	struct rig *rig = four_levels();

	touch(rig, DATA, 0);
	write_many_times(rig, PT + 100 * 8, 200);
	cr_assert_eq(stats_of(rig).floods, 1u);
	cr_assert_not(mmu_is_table(rig->mmu, PT));
	cr_assert_eq(stats_of(rig).leaves, 0u);
	rig_check(rig);
	cr_assert_eq(touch(rig, DATA, 0).gpa, (gpa_t)DATA);
	cr_assert(mmu_is_table(rig->mmu, PT));
	finish(rig);
}

Test(mmu_shadow, table_when_written_often_and_used_then_stays_a_table)
{
	struct rig *rig = four_levels();
	unsigned i;

	for (i = 0; i < 200; i++) {
		rig_put64(rig, PT + 100 * 8, 0x1000ull * (i % 8) | RIG_RW);
		touch(rig, DATA, 0);
	}
	cr_assert_eq(stats_of(rig).floods, 0u);
	finish(rig);
}

Test(mmu_shadow, table_when_it_is_the_loaded_root_then_no_flood)
{
	struct rig *rig = four_levels();

	touch(rig, DATA, 0);
	write_many_times(rig, PML4 + 100 * 8, 200);
	cr_assert_eq(stats_of(rig).floods, 0u);
	cr_assert(mmu_is_table(rig->mmu, PML4));
	finish(rig);
}

Test(mmu_shadow, pages_when_there_are_too_many_then_recycled_and_filled_again)
{
	struct rig *rig = rig_create(1, false); /* the least that there can be */
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, PML4);
	unsigned i, round;

	rig_put64(rig, PML4, PDPT | RIG_RW);
	rig_put64(rig, PDPT, PD | RIG_RW);
	for (i = 0; i < 64; i++)
		rig_put64(rig, PD + 8ull * i, (0x10000 + i % 32 * 0x1000ull) | RIG_RW);
	for (i = 0; i < 32; i++)
		rig_put64(rig, 0x10000 + i * 0x1000ull, 0x8000 | RIG_RWD);
	rig_load(rig, 0, &regs);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 64; i++)
			cr_assert_eq(touch(rig, i * 0x200000ull, 0).gpa, 0x8000u);
		rig_check(rig);
	}
	cr_assert_gt(stats_of(rig).recycled, 20u);
	cr_assert_leq(stats_of(rig).shadow_pages, rig->mmu->max_pages);
	finish(rig);
}

Test(mmu_shadow, pages_when_too_many_then_those_of_unused_roots_go_first)
{
	struct rig *rig = rig_create(1, false);
	struct x86_paging regs = rig_regs(X86_PAGING_NONE, 0);
	unsigned i;

	rig_put64(rig, PML4, PDPT | RIG_RW);
	rig_put64(rig, PDPT, PD | RIG_RW);
	rig_put64(rig, PD, PT | RIG_RW);
	rig_put64(rig, PT, 0x8000 | RIG_RWD);
	touch(rig, 0, 0); /* paging is off */
	for (i = 0; i < 3; i++) {
		uint64_t leaves = stats_of(rig).leaves;

		regs = rig_regs(X86_PAGING_4LEVEL, PML4);
		rig_load(rig, 0, &regs);
		touch(rig, 0, 0);
		cr_assert_geq(stats_of(rig).leaves, leaves);
	}
	regs = rig_regs(X86_PAGING_NONE, 0);
	rig_load(rig, 0, &regs);
	for (i = 0; i < 40; i++)
		touch(rig, i * 0x200000ull, 0);
	cr_assert_gt(stats_of(rig).recycled, 0u);
	cr_assert_not(mmu_is_table(rig->mmu, PML4));
	finish(rig);
}

/* Memory: where it ends, and where there is none. */

Test(mmu_shadow, page_when_outside_memory_then_no_host)
{
	struct rig *rig = four_levels();
	struct mmu_page page;

	rig_put64(rig, PT + 8 * 8, RIG_HOLE | RIG_RW);
	page = touch(rig, DATA, X86_PF_W);
	cr_assert_null(page.host);
	cr_assert_eq(page.gpa, (gpa_t)RIG_HOLE);
	cr_assert_not(page.can & MMU_CAN_WRITE);
	finish(rig);
}

Test(mmu_shadow, page_when_rom_then_readable_and_never_writable)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PT + 8 * 8, RIG_ROM_BASE | RIG_RW);
	cr_assert(touch(rig, DATA, X86_PF_W).is_rom);
	cr_assert_eq(touch(rig, DATA, 0).can, (unsigned)(MMU_CAN_READ | MMU_CAN_FETCH));
	rig_write(rig, RIG_ROM_BASE, "x", 1); /* swallowed */
	cr_assert_eq(rig_get64(rig, RIG_ROM_BASE), 0u);
	finish(rig);
}

Test(mmu_shadow, table_when_in_rom_then_used_and_followed_when_the_debugger_writes)
{
	struct rig *rig = four_levels();
	uint8_t raw[8];

	le64_put(raw, 0x8000 | X86_PTE_P | X86_PTE_RW); /* neither A nor D can be set */
	rig_poke(rig, RIG_ROM_BASE, raw, sizeof(raw));
	rig_put64(rig, PD + 8, RIG_ROM_BASE | RIG_RW);
	cr_assert_eq(touch(rig, 0x200000, X86_PF_W).gpa, 0x8000u);
	cr_assert_not(touch(rig, 0x200000, X86_PF_W).can & MMU_CAN_WRITE);
	le64_put(raw, 0x9000 | X86_PTE_P | X86_PTE_RW);
	rig_poke(rig, RIG_ROM_BASE, raw, sizeof(raw));
	cr_assert_eq(touch(rig, 0x200000, X86_PF_W).gpa, 0x9000u);
	finish(rig);
}

Test(mmu_shadow, edge_when_pages_end_a_region_then_each_has_its_own_host)
{
	static const gpa_t last[] = {RIG_RAM - 0x1000, RIG_ROM_BASE + RIG_ROM - 0x1000,
				     RIG_HIGH_BASE + RIG_HIGH - 0x1000};
	struct rig *rig = four_levels();
	unsigned i;

	for (i = 0; i < 3; i++) {
		rig_put64(rig, PT + 8 * 8, last[i] | RIG_RWD);
		cr_assert_eq(touch(rig, DATA, 0).host, mem_ptr(rig->mem, last[i], 0x1000));
		rig_put64(rig, PT + 8 * 8, (last[i] + 0x1000) | RIG_RWD);
		cr_assert_null(touch(rig, DATA, 0).host);
	}
	finish(rig);
}

Test(mmu_shadow, shadow_when_a_region_comes_then_its_pages_are_seen)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PT + 8 * 8, RIG_HOLE | RIG_RWD);
	cr_assert_null(touch(rig, DATA, 0).host);
	cr_assert_eq(mem_add(rig->mem, RIG_HOLE, 0x1000, MEM_RAM, "new", NULL), 0);
	cr_assert_eq(mem_add(rig->copy, RIG_HOLE, 0x1000, MEM_RAM, "new", NULL), 0);
	mmu_slot_changed(rig->mmu);
	cr_assert_eq(touch(rig, DATA, 0).host, mem_ptr(rig->mem, RIG_HOLE, 0x1000));
	finish(rig);
}

/* Writes of other kinds. */

Test(mmu_shadow, ram_when_cleared_then_nothing_is_left_of_the_tables)
{
	struct rig *rig = four_levels();

	touch(rig, DATA, 0);
	mem_clear_ram(rig->mem);
	mem_clear_ram(rig->copy);
	cr_assert_eq(stats_of(rig).leaves, 0u);
	cr_assert_eq(rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	finish(rig);
}

Test(mmu_shadow, poke_when_it_crosses_two_tables_then_both_follow)
{
	struct rig *rig = four_levels();
	uint8_t raw[16] = {0};

	touch(rig, 0, 0);
	touch(rig, 511 * 4096, 0);
	rig_put64(rig, PD, 0x3000 | RIG_RW); /* the directory is its own first table */
	rig_poke(rig, PT - 8, raw, sizeof(raw));
	rig_put64(rig, PD, PT | RIG_RW);
	cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &(struct mmu_page){0}), -EFAULT);
	finish(rig);
}

Test(mmu_shadow, zap_all_when_called_then_empty_and_filled_again)
{
	struct rig *rig = four_levels();
	uint64_t id = mmu_root_id(rig->mmu, 0);

	touch(rig, DATA, 0);
	mmu_zap_all(rig->mmu);
	cr_assert_eq(stats_of(rig).shadow_pages, 0u);
	cr_assert_eq(stats_of(rig).leaves, 0u);
	cr_assert_eq(mmu_root_id(rig->mmu, 0), id);
	rig_check(rig);
	touch(rig, DATA, 0);
	finish(rig);
}

/* 64 Ki addresses of one frame, each an entry of its reverse map. */
Test(mmu_shadow, frame_when_mapped_very_often_then_protected_everywhere)
{
	struct rig *rig = four_levels();
	unsigned i;

	for (i = 0; i < 512; i++)
		rig_put64(rig, PT + 8ull * i, 0x9000 | RIG_RWD);
	for (i = 0; i < 128; i++)
		rig_put64(rig, PD + 8ull * i, PT | RIG_RW);
	for (i = 0; i < 128 * 512; i += 3)
		touch(rig, i * 4096ull, X86_PF_W);
	cr_assert_eq(stats_of(rig).leaves, 512u); /* one table, however often it is named */
	rig_put64(rig, PD + 128 * 8, 0x9000 | RIG_RW);
	rig_put64(rig, 0x9000, 0xa000 | RIG_RW);
	touch(rig, 128 * 0x200000ull, 0);
	cr_assert_not(touch(rig, 0, X86_PF_W).can & MMU_CAN_WRITE);
	finish(rig);
}
