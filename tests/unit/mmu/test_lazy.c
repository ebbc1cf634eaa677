/* Table entries that changed between stops. */
#include "mmu_rig.h"
#include "umbra/mmu_lazy.h"

#include <criterion/criterion.h>

static struct rig *rig;
static struct mmu_lazy *lazy;

static void set_up(void)
{
	rig = rig_four_levels();
	cr_assert_eq(mmu_lazy_create(&lazy, NULL), 0);
}

static void tear_down(void)
{
	mmu_lazy_destroy(lazy);
	rig_destroy(rig);
}

TestSuite(lazy, .init = set_up, .fini = tear_down);

static struct mmu_lazy_stats look(void)
{
	const struct mmu_snap_source source = {.root = rig->regs, .root_count = 1, .mem = rig->mem};
	struct mmu_lazy_stats stats;

	cr_assert_eq(mmu_lazy_look(lazy, &source), 0);
	mmu_lazy_stats(lazy, &stats);
	return stats;
}

static struct mmu_lazy_change change_at(unsigned index)
{
	struct mmu_lazy_change change;

	cr_assert(mmu_lazy_change_at(lazy, index, &change));
	return change;
}

/* As a dirty log says it: a bit for each page. */
static void note(gpa_t gpa)
{
	mmu_lazy_note(lazy, 0, 1ull << (gpa / UMBRA_PAGE_SIZE));
}

Test(lazy, look_when_entries_changed_then_each_with_old_and_now)
{
	struct mmu_lazy_change change;

	cr_assert_eq(look().tables, 4u);
	rig_put64(rig, RIG_PT + 8, 0x9000 | RIG_RW);
	rig_put64(rig, RIG_PT + 16, 0x2000 | RIG_RWD);
	rig_put64(rig, RIG_PML4 + 8, 0x77);
	note(RIG_PT);
	note(RIG_PML4);
	note(RIG_DATA);
	cr_assert_eq(look().changes, 3u);
	change = change_at(0);
	cr_assert_eq(change.gpa, (gpa_t)RIG_PML4 + 8);
	change = change_at(1);
	cr_assert_eq(change.gpa, (gpa_t)RIG_PT + 8);
	cr_assert_eq(change.old, 0x1000 | RIG_RW);
	cr_assert_eq(change.now, 0x9000 | RIG_RW);
	cr_assert_eq(change.bytes, 8u);
	cr_assert(!change.is_ad_only);
	cr_assert(change_at(2).is_ad_only);
	cr_assert_eq(look().changes, 0u, "each is told once");
}

/* What was not noted is not read: the back end's word is taken. */
Test(lazy, look_when_nothing_was_noted_then_nothing_is_compared)
{
	uint64_t compared = look().compared;

	rig_put64(rig, RIG_PT + 8, 0);
	cr_assert_eq(look().compared, compared);
	mmu_lazy_note_all(lazy);
	cr_assert_eq(look().changes, 1u);
}

Test(lazy, look_when_tables_come_and_go_then_they_are_followed)
{
	look();
	rig_put64(rig, 0x10000, 0x8000 | RIG_RW);
	rig_put64(rig, RIG_PD + 8, 0x10000 | RIG_RW);
	note(RIG_PD);
	note(0x10000);
	cr_assert_eq(look().changes, 1u, "what a new table holds is no change");
	rig_put64(rig, 0x10000, 0);
	note(0x10000);
	cr_assert_eq(look().changes, 1u);
	cr_assert_eq(change_at(0).gpa, 0x10000u);
	rig_put64(rig, RIG_PD + 8, 0);
	note(RIG_PD);
	cr_assert_eq(look().tables, 4u);
	rig_put64(rig, 0x10000, 5);
	note(0x10000);
	cr_assert_eq(look().changes, 0u);
}

Test(lazy, look_when_32bit_then_entries_of_four_bytes)
{
	struct mmu_lazy_change change;

	rig->regs[0] = rig_regs(X86_PAGING_32BIT, 0x6000);
	rig_put32(rig, 0x6000, 0x7000 | (uint32_t)RIG_RW);
	look();
	rig_put32(rig, 0x7004, 0x8000 | (uint32_t)RIG_RW);
	note(0x7000);
	look();
	change = change_at(0);
	cr_assert_eq(change.gpa, 0x7004u);
	cr_assert_eq(change.bytes, 4u);
	cr_assert_eq(change.now, 0x8000 | RIG_RW);
}

Test(lazy, look_when_too_much_changed_then_cut)
{
	unsigned i, n;

	for (n = 0; n < 12; n++)
		rig_put64(rig, RIG_PD + 8ull * (n + 1), (0x10000 + n * 0x1000ull) | RIG_RW);
	look();
	for (n = 0; n < 12; n++) {
		for (i = 0; i < 512; i++)
			rig_put64(rig, 0x10000 + n * 0x1000ull + 8ull * i, 1u << 9);
	}
	mmu_lazy_note_all(lazy);
	cr_assert(look().is_cut);
	change_at(MMU_LAZY_CHANGES - 1);
	cr_assert(!look().is_cut);
}

Test(lazy, tables_when_asked_for_then_sorted_and_no_more_than_fit)
{
	gpa_t table[4] = {0};

	cr_assert_eq(mmu_lazy_tables(lazy, table, 4), 0u);
	look();
	cr_assert_eq(mmu_lazy_tables(lazy, table, 2), 2u);
	cr_assert_eq(mmu_lazy_tables(lazy, table, 4), 4u);
	for (unsigned i = 1; i < 4; i++)
		cr_expect(table[i - 1] < table[i], "table %u", i);
}
