/* The shadow at the edges of memory, and writes that are no guest's store: loaders, the debugger,
 * all of RAM at once. */
#include "mmu_rig.h"

#include <criterion/criterion.h>
#include <errno.h>

/* Memory: where it ends, and where there is none. */

Test(mmu_shadow, page_when_outside_memory_then_no_host)
{
	struct rig *rig = rig_four_levels();
	struct mmu_page page;

	rig_put64(rig, RIG_PT + 8 * 8, RIG_HOLE | RIG_RW);
	page = rig_touch(rig, RIG_DATA, X86_PF_W);
	cr_assert_null(page.host);
	cr_assert_eq(page.gpa, (gpa_t)RIG_HOLE);
	cr_assert_not(page.can & MMU_CAN_WRITE);
	rig_finish(rig);
}

Test(mmu_shadow, page_when_rom_then_readable_and_never_writable)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PT + 8 * 8, RIG_ROM_BASE | RIG_RW);
	cr_assert(rig_touch(rig, RIG_DATA, X86_PF_W).is_rom);
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).can, (unsigned)(MMU_CAN_READ | MMU_CAN_FETCH));
	rig_write(rig, RIG_ROM_BASE, "x", 1); /* swallowed */
	cr_assert_eq(rig_get64(rig, RIG_ROM_BASE), 0u);
	rig_finish(rig);
}

Test(mmu_shadow, table_when_in_rom_then_used_and_followed_when_the_debugger_writes)
{
	struct rig *rig = rig_four_levels();
	uint8_t raw[8];

	le64_put(raw, 0x8000 | X86_PTE_P | X86_PTE_RW); /* neither A nor D can be set */
	rig_poke(rig, RIG_ROM_BASE, raw, sizeof(raw));
	rig_put64(rig, RIG_PD + 8, RIG_ROM_BASE | RIG_RW);
	cr_assert_eq(rig_touch(rig, 0x200000, X86_PF_W).gpa, 0x8000u);
	cr_assert_not(rig_touch(rig, 0x200000, X86_PF_W).can & MMU_CAN_WRITE);
	le64_put(raw, 0x9000 | X86_PTE_P | X86_PTE_RW);
	rig_poke(rig, RIG_ROM_BASE, raw, sizeof(raw));
	cr_assert_eq(rig_touch(rig, 0x200000, X86_PF_W).gpa, 0x9000u);
	rig_finish(rig);
}

Test(mmu_shadow, edge_when_pages_end_a_region_then_each_has_its_own_host)
{
	static const gpa_t last[] = {RIG_RAM - 0x1000, RIG_ROM_BASE + RIG_ROM - 0x1000,
				     RIG_HIGH_BASE + RIG_HIGH - 0x1000};
	struct rig *rig = rig_four_levels();
	unsigned i;

	for (i = 0; i < 3; i++) {
		rig_put64(rig, RIG_PT + 8 * 8, last[i] | RIG_RWD);
		cr_assert_eq(rig_touch(rig, RIG_DATA, 0).host, mem_ptr(rig->mem, last[i], 0x1000));
		rig_put64(rig, RIG_PT + 8 * 8, (last[i] + 0x1000) | RIG_RWD);
		cr_assert_null(rig_touch(rig, RIG_DATA, 0).host);
	}
	rig_finish(rig);
}

Test(mmu_shadow, shadow_when_a_region_comes_then_its_pages_are_seen)
{
	struct rig *rig = rig_four_levels();

	rig_put64(rig, RIG_PT + 8 * 8, RIG_HOLE | RIG_RWD);
	cr_assert_null(rig_touch(rig, RIG_DATA, 0).host);
	cr_assert_eq(mem_add(rig->mem, RIG_HOLE, 0x1000, MEM_RAM, "new", NULL), 0);
	cr_assert_eq(mem_add(rig->copy, RIG_HOLE, 0x1000, MEM_RAM, "new", NULL), 0);
	mmu_slot_changed(rig->mmu);
	cr_assert_eq(rig_touch(rig, RIG_DATA, 0).host, mem_ptr(rig->mem, RIG_HOLE, 0x1000));
	rig_finish(rig);
}

/* Writes of other kinds. */

Test(mmu_shadow, ram_when_cleared_then_nothing_is_left_of_the_tables)
{
	struct rig *rig = rig_four_levels();

	rig_touch(rig, RIG_DATA, 0);
	mem_clear_ram(rig->mem);
	mem_clear_ram(rig->copy);
	cr_assert_eq(rig_stats(rig).leaves, 0u);
	cr_assert_eq(rig_translate(rig, 0, RIG_DATA, 0, false, &(struct mmu_page){0}), -EFAULT);
	rig_finish(rig);
}

Test(mmu_shadow, poke_when_it_crosses_two_tables_then_both_follow)
{
	struct rig *rig = rig_four_levels();
	uint8_t raw[16] = {0};

	rig_touch(rig, 0, 0);
	rig_touch(rig, 511 * 4096, 0);
	rig_put64(rig, RIG_PD, 0x3000 | RIG_RW); /* the directory is its own first table */
	rig_poke(rig, RIG_PT - 8, raw, sizeof(raw));
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RW);
	cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &(struct mmu_page){0}), -EFAULT);
	rig_finish(rig);
}

Test(mmu_shadow, zap_all_when_called_then_empty_and_filled_again)
{
	struct rig *rig = rig_four_levels();
	uint64_t id = mmu_root_id(rig->mmu, 0);

	rig_touch(rig, RIG_DATA, 0);
	mmu_zap_all(rig->mmu);
	cr_assert_eq(rig_stats(rig).shadow_pages, 0u);
	cr_assert_eq(rig_stats(rig).leaves, 0u);
	cr_assert_eq(mmu_root_id(rig->mmu, 0), id);
	rig_check(rig);
	rig_touch(rig, RIG_DATA, 0);
	rig_finish(rig);
}

/* 64 Ki addresses of one frame, each an entry of its reverse map. */
Test(mmu_shadow, frame_when_mapped_very_often_then_protected_everywhere)
{
	struct rig *rig = rig_four_levels();
	unsigned i;

	for (i = 0; i < 512; i++)
		rig_put64(rig, RIG_PT + 8ull * i, 0x9000 | RIG_RWD);
	for (i = 0; i < 128; i++)
		rig_put64(rig, RIG_PD + 8ull * i, RIG_PT | RIG_RW);
	for (i = 0; i < 128 * 512; i += 3)
		rig_touch(rig, i * 4096ull, X86_PF_W);
	cr_assert_eq(rig_stats(rig).leaves, 512u); /* one table, however often it is named */
	rig_put64(rig, RIG_PD + 128 * 8, 0x9000 | RIG_RW);
	rig_put64(rig, 0x9000, 0xa000 | RIG_RW);
	rig_touch(rig, 128 * 0x200000ull, 0);
	cr_assert_not(rig_touch(rig, 0, X86_PF_W).can & MMU_CAN_WRITE);
	rig_finish(rig);
}
