/* Translations used after their tables changed, without the flush in between. */
#include "mmu_rig.h"
#include "umbra/mmu_breaks.h"
#include "umbra/mmu_hazard.h"

#include <criterion/criterion.h>
#include <errno.h>

#define PAGE 0x8000u

static struct rig *rig;
static struct mmu_history *history;
static struct mmu_hazard *hazard;

static void set_up(void)
{
	rig = rig_four_levels();
	cr_assert_eq(mmu_history_create(&history, rig->mmu, 1024, NULL), 0);
	cr_assert_eq(mmu_hazard_create(&hazard, rig->mmu, history, NULL), 0);
	cr_assert_eq(mmu_hazard_set(hazard, true), 0);
}

static void tear_down(void)
{
	mmu_hazard_destroy(hazard);
	mmu_history_destroy(history);
	rig_finish(rig);
}

TestSuite(hazard, .init = set_up, .fini = tear_down);

static void set_pte(unsigned index, uint64_t entry)
{
	rig_put64(rig, RIG_PT + 8ull * index, entry);
}

static void use(unsigned vcpu, gva_t gva, unsigned access)
{
	struct mmu_page page;

	rig_translate(rig, vcpu, gva, access, false, &page);
}

static uint64_t reports(void)
{
	return mmu_hazard_total(hazard);
}

static struct mmu_hazard_report report_at(uint64_t number)
{
	struct mmu_hazard_report report;

	cr_assert(mmu_hazard_get(hazard, number, &report));
	cr_assert_eq(report.number, number);
	return report;
}

/* What is wrong. */

Test(hazard, use_when_the_page_is_another_one_then_reported_once_with_the_writer)
{
	struct mmu_hazard_report r;

	rig->rip = 0x100;
	use(0, PAGE + 0x68, 0);
	rig->rip = 0xffffffff81061f3a;
	set_pte(8, 0x9000 | RIG_RW);
	cr_assert_eq(reports(), 0u, "a write alone is no use");
	rig->rip = 0x401140;
	use(0, PAGE + 0x68, 0);
	cr_assert_eq(reports(), 1u);
	r = report_at(0);
	cr_assert_eq(r.kind, MMU_HAZARD_GPA);
	cr_assert_eq(r.vcpu, 0u);
	cr_assert_eq(r.rip, 0x401140u);
	cr_assert_eq(r.gva, PAGE + 0x68u);
	cr_assert_eq(r.cached_gpa, PAGE + 0x68u);
	cr_assert_eq(r.gpa, 0x9068u);
	cr_assert_eq(r.level, 1u);
	cr_assert_eq(r.entry_gpa, (gpa_t)RIG_PT + 64);
	cr_assert_eq(r.old, PAGE | RIG_RW);
	cr_assert_eq(r.now, 0x9000 | RIG_RW);
	cr_assert(r.has_writer);
	cr_assert_eq(r.writer.rip, 0xffffffff81061f3aull);
	cr_assert_lt(r.cached_seq, r.writer.seq);
	cr_assert_lt(r.writer.seq, r.seq);
	mmu_zap_all(rig->mmu);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u, "once");
}

Test(hazard, use_when_flushed_before_then_nothing)
{
	use(0, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	mmu_invlpg(rig->mmu, 0, PAGE + 0x123);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	set_pte(8, 0xa000 | RIG_RW); /* the one after the flush counts again */
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u);
}

Test(hazard, use_when_another_address_was_flushed_then_reported)
{
	use(0, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	mmu_invlpg(rig->mmu, 0, PAGE + 0x1000);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u);
}

Test(hazard, use_when_nothing_is_mapped_any_more_then_gone)
{
	use(0, PAGE, 0);
	set_pte(8, 0);
	use(0, PAGE, 0);
	cr_assert_eq(report_at(0).kind, MMU_HAZARD_GONE);
	/* The fault took it out. */
	set_pte(8, 0xa000 | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u);
}

Test(hazard, use_when_an_upper_entry_changed_then_its_level)
{
	rig_put64(rig, 0x10000 + 64, 0x9000 | RIG_RW);
	use(0, PAGE, 0);
	rig->rip = 0x777;
	rig_put64(rig, RIG_PD, 0x10000 | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(report_at(0).level, 2u);
	cr_assert_eq(report_at(0).entry_gpa, (gpa_t)RIG_PD);
	cr_assert_eq(report_at(0).writer.rip, 0x777u);
}

Test(hazard, write_when_the_right_was_taken_then_reported_and_reads_are_not)
{
	use(0, PAGE, X86_PF_W);
	set_pte(8, PAGE | X86_PTE_P | X86_PTE_US | X86_PTE_A);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u, "a read is what it was");
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(report_at(0).kind, MMU_HAZARD_RIGHTS);
}

Test(hazard, write_when_d_was_cleared_then_a_lost_update)
{
	use(0, PAGE, X86_PF_W);
	set_pte(8, PAGE | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(report_at(0).kind, MMU_HAZARD_DIRTY);
	cr_assert_eq(report_at(0).entry_gpa, (gpa_t)RIG_PT + 64);
}

/* What is legal. */

Test(hazard, use_when_an_entry_becomes_present_then_nothing)
{
	set_pte(8, 0);
	use(0, PAGE, 0);
	set_pte(8, PAGE | RIG_RW);
	use(0, PAGE, 0);
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(reports(), 0u);
}

Test(hazard, write_when_the_right_was_given_then_nothing)
{
	set_pte(8, PAGE | X86_PTE_P | X86_PTE_NX);
	use(0, PAGE, 0);
	set_pte(8, PAGE | RIG_RW);
	use(0, PAGE, X86_PF_W);
	use(0, PAGE, X86_PF_I);
	cr_assert_eq(reports(), 0u);
	set_pte(8, PAGE | X86_PTE_P | X86_PTE_US); /* and taken again: that is one */
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(reports(), 1u);
}

/* A processor that has it without D reads the tables again to set D. */
Test(hazard, write_when_cached_without_d_then_nothing)
{
	use(0, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(reports(), 0u);
}

Test(hazard, use_when_a_was_cleared_or_the_tables_put_back_then_nothing)
{
	use(0, PAGE, X86_PF_W);
	set_pte(8, PAGE | (RIG_RWD & ~X86_PTE_A));
	use(0, PAGE, X86_PF_W);
	set_pte(8, 0x9000 | RIG_RWD);
	set_pte(8, PAGE | RIG_RWD);
	use(0, PAGE, X86_PF_W);
	cr_assert_eq(reports(), 0u);
}

Test(hazard, use_when_a_large_page_is_split_alike_then_nothing)
{
	unsigned i;

	rig_put64(rig, RIG_PD + 8, RIG_RW | X86_PTE_PS);
	use(0, 0x205000, 0);
	for (i = 0; i < 512; i++)
		rig_put64(rig, 0x10000 + 8ull * i, i * 0x1000ull | RIG_RW);
	rig_put64(rig, RIG_PD + 8, 0x10000 | RIG_RW);
	use(0, 0x205000, 0);
	cr_assert_eq(reports(), 0u);
	rig_put64(rig, 0x10000 + 8ull * 6, 0x9000 | RIG_RW);
	use(0, 0x206000, 0);
	cr_assert_eq(reports(), 1u, "the large one is cached still");
	mmu_invlpg(rig->mmu, 0, 0x3ff000);
	rig_put64(rig, 0x10000 + 8ull * 7, 0x9000 | RIG_RW);
	use(0, 0x207000, 0);
	cr_assert_eq(reports(), 1u, "INVLPG takes out all of a large page");
}

/* What flushes what. */

Test(hazard, use_on_two_cpus_when_one_flushed_then_the_other_is_reported)
{
	use(0, PAGE, 0);
	use(1, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	mmu_invlpg(rig->mmu, 0, PAGE);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	use(1, PAGE, 0);
	cr_assert_eq(reports(), 1u);
	cr_assert_eq(report_at(0).vcpu, 1u);
	cr_assert_eq(report_at(0).writer.vcpu, 0u);
}

Test(hazard, use_on_another_cpu_when_the_shootdown_came_then_nothing)
{
	use(0, PAGE, 0);
	use(1, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	mmu_invlpg(rig->mmu, 0, PAGE);
	mmu_invlpg(rig->mmu, 1, PAGE);
	use(0, PAGE, 0);
	use(1, PAGE, 0);
	cr_assert_eq(reports(), 0u);
}

Test(hazard, use_on_another_cpu_when_within_the_grace_then_not_yet)
{
	mmu_hazard_set_grace(hazard, 1000);
	use(0, PAGE, 0);
	use(1, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	use(1, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u, "the writer itself has none");
	rig->seq += 1000;
	mmu_zap_all(rig->mmu);
	use(1, PAGE, 0);
	cr_assert_eq(reports(), 2u);
}

static void load(uint64_t cr3, enum mmu_load how)
{
	rig->regs[0].cr3 = cr3;
	mmu_set_regs(rig->mmu, 0, &rig->regs[0], how);
}

Test(hazard, use_when_cr3_is_loaded_then_flushed_but_for_global_pages)
{
	rig->regs[0].cr4 |= X86_CR4_PGE;
	load(RIG_PML4, MMU_LOAD_CR3);
	set_pte(9, 0x9000 | RIG_RW | X86_PTE_G);
	use(0, PAGE, 0);
	use(0, 0x9000, 0);
	set_pte(8, 0xa000 | RIG_RW);
	set_pte(9, 0xa000 | RIG_RW | X86_PTE_G);
	load(RIG_PML4, MMU_LOAD_CR3);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	use(0, 0x9000, 0);
	cr_assert_eq(reports(), 1u);
	cr_assert(report_at(0).is_global);
	mmu_flush(rig->mmu, 0);
	set_pte(9, 0xb000 | RIG_RW | X86_PTE_G);
	mmu_invpcid(rig->mmu, 0, 0, 0x9000);
	use(0, 0x9000, 0);
	cr_assert_eq(reports(), 1u, "nothing was cached since the flush");
	set_pte(9, 0xc000 | RIG_RW | X86_PTE_G);
	mmu_invpcid(rig->mmu, 0, 0, 0x9000);
	use(0, 0x9000, 0);
	cr_assert_eq(reports(), 2u, "INVPCID of an address leaves global ones");
}

Test(hazard, use_when_pcids_then_each_for_itself)
{
	rig->regs[0].cr4 |= X86_CR4_PCIDE;
	load(RIG_PML4 | 1, MMU_LOAD_CR3);
	use(0, PAGE, 0);
	use(0, 0x9000, 0);
	load(RIG_PML4 | 2, MMU_LOAD_CR3); /* flushes PCID 2 alone */
	set_pte(8, 0xa000 | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
	load(RIG_PML4 | 1, MMU_LOAD_CR3_KEEP);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 1u);
	cr_assert_eq(report_at(0).pcid, 1u);
	set_pte(9, 0xa000 | RIG_RW);
	mmu_flush_some(rig->mmu, 0, MMU_FLUSH_PCID, 2);
	use(0, 0x9000, 0);
	cr_assert_eq(reports(), 2u);
	mmu_flush_some(rig->mmu, 0, MMU_FLUSH_NONGLOBAL, 0);
	set_pte(8, 0xb000 | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 2u);
}

/* A PCID that is given to other tables without a flush. */
Test(hazard, use_when_a_pcid_gets_other_tables_unflushed_then_level_0)
{
	rig_put64(rig, RIG_PML4B, 0x10000 | RIG_RW);
	rig_put64(rig, 0x10000, 0x11000 | RIG_RW);
	rig_put64(rig, 0x11000, 0x12000 | RIG_RW);
	rig_put64(rig, 0x12000 + 64, 0x9000 | RIG_RW);
	rig->regs[0].cr4 |= X86_CR4_PCIDE;
	load(RIG_PML4 | 1, MMU_LOAD_CR3);
	use(0, PAGE, 0);
	load(RIG_PML4B | 1, MMU_LOAD_CR3_KEEP);
	use(0, PAGE, 0);
	cr_assert_eq(report_at(0).kind, MMU_HAZARD_GPA);
	cr_assert_eq(report_at(0).level, 0u);
	cr_assert(!report_at(0).has_writer);
}

/* The micro-TLB must not hide a use after a flush. */
Test(hazard, flush_when_it_is_on_then_micro_tlbs_forget)
{
	unsigned forgets;

	use(0, PAGE, 0);
	forgets = rig->full_forgets;
	mmu_invlpg(rig->mmu, 0, PAGE);
	cr_assert_gt(rig->full_forgets, forgets);
	mmu_hazard_set(hazard, false);
	forgets = rig->full_forgets;
	mmu_invlpg(rig->mmu, 0, PAGE);
	cr_assert_eq(rig->full_forgets, forgets);
}

Test(hazard, set_when_off_then_nothing_is_known_afterwards)
{
	use(0, PAGE, 0);
	cr_assert_eq(mmu_hazard_set(hazard, false), 0);
	set_pte(8, 0x9000 | RIG_RW);
	use(0, PAGE, 0);
	cr_assert_eq(mmu_hazard_set(hazard, true), 0);
	use(0, PAGE, 0);
	cr_assert_eq(reports(), 0u);
}

Test(hazard, reports_when_many_then_the_last_ones_are_kept_and_room_is_counted)
{
	struct mmu_hazard_report report;
	struct mmu_hazard_stats stats;
	unsigned i;

	for (i = 0; i < MMU_HAZARDS_KEPT + 3; i++) {
		use(0, PAGE, 0);
		set_pte(8, (i % 2 ? PAGE : 0x9000) | RIG_RW);
		use(0, PAGE, 0);
		mmu_invlpg(rig->mmu, 0, PAGE);
	}
	cr_assert_eq(reports(), MMU_HAZARDS_KEPT + 3u);
	cr_assert(!mmu_hazard_get(hazard, 2, &report));
	report_at(3);
	mmu_hazard_stats(hazard, &stats);
	cr_assert_eq(stats.dropped, 0u);
	cr_assert_geq(stats.flushes, MMU_HAZARDS_KEPT + 3u);
}

Test(hazard, break_when_a_use_is_reported_then_a_stop)
{
	struct mmu_breaks *breaks;
	struct mmu_stop stop;
	unsigned id;

	cr_assert_eq(mmu_breaks_create(&breaks, rig->mmu, NULL), 0);
	cr_assert_eq(
		mmu_breaks_add(breaks, &(struct mmu_break){.kind = MMU_BREAK_HAZARD}, &id, NULL),
		0);
	use(0, PAGE, 0);
	set_pte(8, 0x9000 | RIG_RW);
	cr_assert_eq(rig->stops, 0u);
	use(0, PAGE, 0);
	cr_assert_eq(rig->stops, 1u);
	cr_assert(mmu_breaks_hit(breaks, rig->hit, &stop));
	cr_assert_eq(stop.gva, PAGE);
	cr_assert_eq(stop.entry_gpa, (gpa_t)RIG_PT + 64);
	mmu_breaks_destroy(breaks);
}
