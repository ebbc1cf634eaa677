/* Looking at tables as a whole: what the view tells must be what a walk of each address gives, in
 * every paging mode and over hostile tables, and looking must change nothing. */
#include "mmu_rig.h"
#include "umbra/mmu_view.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define ALL_RIGHTS (MMU_RIGHT_W | MMU_RIGHT_U | MMU_RIGHT_X)

/* What was told. */
struct told {
	const struct rig *rig;
	const struct x86_paging *regs;
	struct mmu_view *view;
	uint64_t pages, max_pages;
	gva_t last_end; /* behind the last page; 0 = none yet */
	gpa_t target;
};

static struct mmu_view view_all(struct told *told)
{
	return (struct mmu_view){
		.mem = told->rig->mem, .regs = told->regs, .hi = ~0ull, .ctx = told};
}

static unsigned rights_of(const struct x86_walk *walk)
{
	return (walk->is_writable ? MMU_RIGHT_W : 0) | (walk->is_user ? MMU_RIGHT_U : 0) |
	       (walk->is_executable ? MMU_RIGHT_X : 0);
}

static enum mmu_view_step check_page(void *ctx, const struct mmu_mapping *page)
{
	struct told *told = ctx;
	struct x86_walk walk;
	gva_t va = page->gva + (told->pages * 0x1357) % page->size;
	const struct x86_walk_step *leaf;

	cr_assert_eq(x86_walk_paging(told->regs, va, mem_phys_read, told->rig->mem, &walk), 0);
	leaf = &walk.step[walk.step_count - 1];
	cr_assert_eq(walk.gpa - (va - page->gva), page->gpa);
	cr_assert_eq(walk.page_size, page->size);
	cr_assert_eq(rights_of(&walk), page->rights);
	cr_assert_eq(leaf->entry_gpa, page->entry_gpa);
	cr_assert_eq(leaf->entry, page->entry);
	cr_assert_eq(leaf->level, page->level);
	cr_assert_eq(walk.is_global, page->is_global);
	cr_assert_eq(walk.is_dirty, page->is_dirty);
	cr_assert_eq(walk.pkey, page->pkey);
	cr_assert(told->pages == 0 || page->gva >= told->last_end);
	told->last_end = page->gva + page->size;
	return ++told->pages == told->max_pages ? MMU_VIEW_STOP : MMU_VIEW_ON;
}

/* Tables in the low 32 frames, each entry with a fair chance to name one of them. */
static void scatter(struct rig *rig, unsigned entries)
{
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = rig_random(rig, 32) << 12 | (rig_random(rig, 8) ? RIG_RW : 0);

		if (rig_random(rig, 4) == 0)
			entry ^= 1ull << rig_random(rig, 13);
		if (rig_random(rig, 8) == 0)
			entry ^= 1ull << rig_random(rig, 64);
		rig_put64(rig, rig_random(rig, 32 * 512) * 8, entry);
	}
}

static void clear(struct rig *rig)
{
	static const uint8_t zero[UMBRA_PAGE_SIZE];

	for (gpa_t gpa = 0; gpa < RIG_RAM; gpa += sizeof(zero))
		rig_poke(rig, gpa, zero, sizeof(zero));
}

static unsigned count_by_walks(const struct told *told, gva_t lo, gva_t hi, uint64_t step)
{
	unsigned count = 0;
	struct x86_walk walk;

	for (gva_t va = lo; va <= hi && va >= lo; va += step)
		count += x86_walk_paging(told->regs, va, mem_phys_read, told->rig->mem, &walk) == 0;
	return count;
}

Test(mmu_view, pages_when_tables_are_random_then_those_that_walks_find)
{
	static const enum x86_paging_mode modes[] = {X86_PAGING_32BIT, X86_PAGING_PAE,
						     X86_PAGING_4LEVEL, X86_PAGING_5LEVEL};
	struct rig *rig = rig_create(0, false);

	for (unsigned round = 0; round < 60; round++) {
		struct x86_paging regs = rig_regs(modes[round % 4], rig_random(rig, 32) << 12);
		struct told told = {.rig = rig, .regs = &regs, .max_pages = 20000};
		struct mmu_view view = view_all(&told);
		gva_t next;

		clear(rig);
		scatter(rig, 40 << round % 5);
		view.on_page = check_page;
		mmu_view_run(&view, &next);
	}
	rig_destroy(rig);
}

Test(mmu_view, pages_when_range_is_given_then_all_of_it_and_no_more)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging regs = rig->regs[0];
	struct told told = {.rig = rig, .regs = &regs};
	struct mmu_view view = view_all(&told);
	gva_t next;

	view.on_page = check_page;
	view.lo = 0x3fff;
	view.hi = 0x10000;
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_ALL);
	cr_assert_eq(told.pages, 0x10u - 3 + 1);
	cr_assert_eq(told.pages, count_by_walks(&told, 0x3000, 0x10000, 0x1000));
	view.lo = 1ull << 47;
	view.hi = ~0ull;
	told.pages = 0;
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_ALL);
	cr_assert_eq(told.pages, 0u);
	rig_destroy(rig);
}

Test(mmu_view, run_when_stopped_then_goes_on_from_next)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging regs = rig->regs[0];
	struct told told = {.rig = rig, .regs = &regs, .max_pages = 7};
	struct mmu_view view = view_all(&told);
	gva_t next;

	view.on_page = check_page;
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_STOPPED);
	cr_assert_eq(next, 6u << 12);
	view.lo = next;
	told = (struct told){.rig = rig, .regs = &regs};
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_ALL);
	cr_assert_eq(told.pages, 512u - 6);
	rig_destroy(rig);
}

static enum mmu_view_step count_page(void *ctx, const struct mmu_mapping *page)
{
	struct told *told = ctx;

	told->pages++;
	if (page->gpa == told->target)
		told->view->hits++;
	return MMU_VIEW_ON;
}

/* Every entry of the root names the root: 512^4 addresses. */
Test(mmu_view, run_when_tables_lead_back_then_budget_ends_it)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	struct told told = {.rig = rig, .regs = &regs};
	struct mmu_view view = view_all(&told);
	gva_t next;

	for (unsigned i = 0; i < 512; i++)
		rig_put64(rig, RIG_PML4 + 8ul * i, RIG_PML4 | RIG_RWD);
	view.on_page = count_page;
	told.view = &view;
	view.budget = 1u << 20;
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_BUDGET);
	cr_assert_leq(told.pages, 1u << 20);
	cr_assert_gt(next, 0u);
	rig_destroy(rig);
}

/* The same with a set: each table is read once for each level and no more. */
Test(mmu_view, run_when_barren_tables_are_remembered_then_each_is_read_once)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	struct told told = {.rig = rig, .regs = &regs, .target = 0x8000};
	struct mmu_view view = view_all(&told);
	gva_t next;

	for (unsigned i = 0; i < 512; i++)
		rig_put64(rig, RIG_PML4 + 8ul * i, RIG_PML4 | RIG_RWD);
	view.on_page = count_page;
	told.view = &view;
	view.barren = mmu_set_create();
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_ALL);
	cr_assert_eq(view.hits, 0u);
	cr_assert_leq(told.pages, 4 * 512u);
	mmu_set_destroy(view.barren);
	rig_destroy(rig);
}

Test(mmu_view, hits_when_barren_tables_are_remembered_then_none_is_missed)
{
	struct rig *rig = rig_create(0, false);

	for (unsigned round = 0; round < 40; round++) {
		struct x86_paging regs = rig_regs(X86_PAGING_PAE, rig_random(rig, 32) << 12);
		struct told told = {.rig = rig, .regs = &regs};
		struct mmu_view view = view_all(&told), with_set = view;
		gva_t next;

		clear(rig);
		scatter(rig, 2000);
		told.target = rig_random(rig, 32) << 12;
		view.on_page = with_set.on_page = count_page;
		told.view = &view;
		mmu_view_run(&view, &next);
		told.view = &with_set;
		with_set.barren = mmu_set_create();
		mmu_view_run(&with_set, &next);
		cr_assert_eq(with_set.hits, view.hits);
		mmu_set_destroy(with_set.barren);
	}
	rig_destroy(rig);
}

Test(mmu_view, set_when_grown_then_knows_what_was_added)
{
	struct mmu_set *set = mmu_set_create();

	for (uint64_t i = 0; i < 100000; i++)
		cr_assert(mmu_set_add(set, i * 4096));
	for (uint64_t i = 0; i < 100000; i++)
		cr_assert(!mmu_set_add(set, i * 4096) && !mmu_set_has(set, i * 4096 + 1) &&
			  mmu_set_order(set, i * 4096) == i);
	mmu_set_destroy(set);
}

/* Ranges. */

struct ranges {
	struct mmu_range range[4];
	unsigned count, max;
};

static bool keep_range(void *ctx, const struct mmu_range *range)
{
	struct ranges *ranges = ctx;

	if (ranges->count == ranges->max)
		return false;
	ranges->range[ranges->count++] = *range;
	return true;
}

static enum mmu_view_step merge_page(void *ctx, const struct mmu_mapping *page)
{
	return mmu_merge_add(ctx, page);
}

Test(mmu_view, ranges_when_pages_are_alike_then_one)
{
	struct rig *rig = rig_four_levels();
	struct ranges ranges = {.max = 4};
	struct mmu_merge merge = {.on_range = keep_range, .ctx = &ranges};
	struct mmu_view view = {.mem = rig->mem,
				.regs = &rig->regs[0],
				.hi = ~0ull,
				.on_page = merge_page,
				.ctx = &merge};
	gva_t next;

	rig_put64(rig, RIG_PT + 8 * 100, 0x64000 | X86_PTE_P | X86_PTE_D);
	mmu_view_run(&view, &next);
	cr_assert(mmu_merge_end(&merge));
	cr_assert_eq(ranges.count, 3u);
	cr_assert_eq(ranges.range[0].pages, 100u);
	cr_assert_eq(ranges.range[0].accessed, 100u);
	cr_assert_eq(ranges.range[1].gva, 0x64000u);
	cr_assert_eq(ranges.range[1].rights, MMU_RIGHT_X);
	cr_assert_eq(ranges.range[1].accessed, 0u);
	cr_assert_eq(ranges.range[1].dirty, 1u);
	cr_assert_eq(ranges.range[2].len, (512u - 101) << 12);
	ranges = (struct ranges){.max = 1};
	merge = (struct mmu_merge){.on_range = keep_range, .ctx = &ranges};
	cr_assert_eq(mmu_view_run(&view, &next), MMU_VIEW_STOPPED);
	rig_destroy(rig);
}

/* Probes. */

Test(mmu_view, probe_when_denied_then_says_which_entry_and_why)
{
	static const struct {
		uint64_t pde, pte, cr0, cr4;
		unsigned access;
		bool smap_off;
		uint32_t error;
		unsigned level;
		const char *cause;
	} cases[] = {
		{RIG_RW, RIG_RW, X86_CR0_WP, 0, X86_PF_W, false, 0, 0, ""},
		{RIG_RW, 0, X86_CR0_WP, 0, X86_PF_U, false, X86_PF_U, 1, "P=0"},
		{0, RIG_RW, X86_CR0_WP, 0, X86_PF_W, false, X86_PF_W, 2, "P=0"},
		{RIG_RW & ~X86_PTE_RW, RIG_RW, X86_CR0_WP, 0, X86_PF_W, false, 3, 2,
		 "W=0, CR0.WP=1"},
		{RIG_RW, RIG_RW & ~X86_PTE_RW, 0, 0, X86_PF_W, false, 0, 0, ""},
		{RIG_RW, RIG_RW & ~X86_PTE_RW, 0, 0, X86_PF_W | X86_PF_U, false, 7, 1, "W=0"},
		{RIG_RW, RIG_RW & ~X86_PTE_US, 0, 0, X86_PF_U, false, 5, 1, "U=0"},
		{RIG_RW, RIG_RW | X86_PTE_NX, 0, 0, X86_PF_I, false, 0x11, 1, "NX=1"},
		{RIG_RW, RIG_RW, 0, X86_CR4_SMEP, X86_PF_I, false, 0x11, 1, "SMEP: U=1"},
		{RIG_RW, RIG_RW, 0, X86_CR4_SMAP, 0, false, 1, 1, "SMAP: U=1, AC=0"},
		{RIG_RW, RIG_RW, 0, X86_CR4_SMAP, 0, true, 0, 0, ""},
		{RIG_RW, RIG_RW | 1ull << 51, 0, 0, 0, false, 9, 1,
		 "reserved bits 0x8000000000000"},
		{RIG_RW | 0x90000, RIG_RW, 0, 0, 0, false, 9, 1, "the table is outside memory"},
	};
	struct rig *rig = rig_four_levels();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		struct x86_paging regs = rig->regs[0];
		struct mmu_probe probe;

		regs.cr0 = (regs.cr0 & ~X86_CR0_WP) | cases[i].cr0;
		regs.cr4 |= cases[i].cr4;
		rig_put64(rig, RIG_PD + 8, RIG_DATA | cases[i].pde);
		rig_put64(rig, RIG_DATA, 0x9000 | cases[i].pte);
		mmu_probe(rig->mem, &regs, 0x200008, cases[i].access, cases[i].smap_off, &probe);
		cr_assert_str_eq(probe.cause, cases[i].cause, "case %zu: %s", i, probe.cause);
		cr_assert_eq(probe.is_fault, cases[i].cause[0] != '\0', "case %zu", i);
		cr_assert_eq(probe.error, cases[i].error, "case %zu: %#x", i, probe.error);
		cr_assert_eq(probe.level, cases[i].level, "case %zu: %u", i, probe.level);
	}
	rig_destroy(rig);
}

/* The shadow. */

static void count_shadow_page(void *ctx, const struct mmu_shadow_page *page)
{
	cr_assert(page->refs > 0);
	++*(unsigned *)ctx;
}

static void count_root(void *ctx, const struct mmu_root_info *root)
{
	*(uint64_t *)ctx += root->loads;
}

Test(mmu_view, path_when_filled_then_leads_to_the_host_page)
{
	struct rig *rig = rig_four_levels();
	struct mmu_stats before = rig_stats(rig), after;
	struct mmu_shadow_entry path[MMU_SHADOW_PATH_MAX];
	struct mmu_frame_info frame;
	uint64_t loads = 0;
	unsigned pages = 0, n;

	cr_assert_eq(mmu_shadow_path(rig->mmu, &rig->regs[0], RIG_DATA, path), 0u);
	rig_touch(rig, RIG_DATA, X86_PF_W);
	n = mmu_shadow_path(rig->mmu, &rig->regs[0], RIG_DATA, path);
	cr_assert_eq(n, 4u);
	cr_assert(path[3].is_leaf && path[3].may_write);
	cr_assert_eq(path[3].gpa, RIG_DATA);
	cr_assert_eq(path[3].host, mem_ptr(rig->mem, RIG_DATA, 1));
	cr_assert_eq(path[2].child, path[3].sp);
	cr_assert_eq(path[0].gpa, RIG_PDPT);
	mmu_each_shadow_page(rig->mmu, count_shadow_page, &pages);
	cr_assert_eq(pages, 4u);
	mmu_frame_look(rig->mmu, RIG_PT, &frame);
	cr_assert_eq(frame.tables, 1u);
	mmu_frame_look(rig->mmu, RIG_DATA + 5, &frame);
	cr_assert(frame.tables == 0 && frame.leaves == 1 && frame.writable == 1);
	mmu_each_root(rig->mmu, count_root, &loads);
	after = rig_stats(rig);
	cr_assert_eq(loads, after.cr3_loads);
	cr_assert_eq(after.roots, before.roots);
	rig_finish(rig);
}

Test(mmu_view, path_when_root_is_unknown_then_nothing_is_made)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4B);
	struct mmu_shadow_entry path[MMU_SHADOW_PATH_MAX];
	struct mmu_stats before = rig_stats(rig), after;

	cr_assert_eq(mmu_shadow_path(rig->mmu, &regs, RIG_DATA, path), 0u);
	after = rig_stats(rig);
	cr_assert_eq(before.roots, after.roots);
	cr_assert_eq(before.shadow_pages, after.shadow_pages);
	rig_finish(rig);
}
