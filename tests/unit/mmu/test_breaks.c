/* Breaks: which events hit, and what a hit says. */
#include "mmu_rig.h"
#include "umbra/mmu_breaks.h"

#include <criterion/criterion.h>
#include <errno.h>

#define WXU (MMU_MAP_W | MMU_MAP_X | MMU_MAP_U)

static struct rig *rig;
static struct mmu_breaks *breaks;

static void set_up(void)
{
	rig = rig_four_levels();
	cr_assert_eq(mmu_breaks_create(&breaks, rig->mmu, NULL), 0);
	rig->rip = 0x401000;
}

static void tear_down(void)
{
	mmu_breaks_destroy(breaks);
	rig_finish(rig);
}

TestSuite(breaks, .init = set_up, .fini = tear_down);

static unsigned add(const struct mmu_break *what)
{
	struct umbra_err err = {.text = ""};
	unsigned id = 0;

	cr_assert_eq(mmu_breaks_add(breaks, what, &id, &err), 0, "%s", err.text);
	return id;
}

static unsigned add_map(gva_t gva, uint64_t len, unsigned on)
{
	return add(&(struct mmu_break){
		.kind = MMU_BREAK_MAP, .gva = gva, .len = len, .on = on, .root = rig->regs[0]});
}

static unsigned add_kind(enum mmu_break_kind kind, unsigned kinds)
{
	return add(&(struct mmu_break){.kind = kind, .kinds = kinds});
}

/* The one hit since the last call. */
static struct mmu_stop take_hit(unsigned id)
{
	struct mmu_stop stop;

	cr_assert_eq(rig->stops, 1u, "%u stops", rig->stops);
	cr_assert(mmu_breaks_hit(breaks, rig->hit, &stop));
	cr_assert_eq(stop.id, id);
	cr_assert_eq(stop.vcpu, rig->stopped_vcpu);
	rig->stops = 0;
	return stop;
}

static void no_hit(void)
{
	cr_assert_eq(rig->stops, 0u, "hit %u", (unsigned)mmu_breaks_hits(breaks));
}

static void set_pte(unsigned index, uint64_t entry)
{
	rig_put64(rig, RIG_PT + 8ull * index, entry);
}

/* The mapping. */

Test(breaks, map_when_rights_change_then_before_after_and_writer)
{
	unsigned id = add_map(0x8123, 4, 0);
	struct mmu_stop stop;

	cr_assert(rig->is_armed);
	set_pte(9, 0); /* another page */
	no_hit();
	set_pte(8, RIG_DATA | X86_PTE_P);
	stop = take_hit(id);
	cr_assert_eq(stop.kind, MMU_BREAK_MAP);
	cr_assert_eq(stop.change, MMU_CHANGE_RIGHTS);
	cr_assert_eq(stop.gva, 0x8000u);
	cr_assert_eq(stop.before.can, WXU);
	cr_assert_eq(stop.after.can, MMU_MAP_X);
	cr_assert(stop.has_entry);
	cr_assert_eq(stop.entry_gpa, (gpa_t)RIG_PT + 64);
	cr_assert_eq(stop.old, RIG_DATA | RIG_RW);
	cr_assert_eq(stop.now, RIG_DATA | X86_PTE_P);
	cr_assert_eq(stop.rip, 0x401000u);
	cr_assert_eq(stop.pages, 1u);
	cr_assert_eq(stop.cr3, (uint64_t)RIG_PML4);
}

/* No translation ever went through these tables. */
Test(breaks, map_when_nothing_was_used_yet_then_the_first_mapping_is_seen)
{
	unsigned id = add_map(0x8000000000, 0x2000, MMU_CHANGE_PRESENT);
	struct mmu_stop stop;

	rig_put64(rig, 0x10000 + 8, RIG_DATA | RIG_RW);
	rig_put64(rig, RIG_PML4 + 8, 0x11000 | RIG_RW);
	no_hit();
	rig_put64(rig, 0x11000, 0x12000 | RIG_RW);
	rig_put64(rig, 0x12000, 0x10000 | RIG_RW);
	stop = take_hit(id);
	cr_assert_eq(stop.gva, 0x8000001000u);
	cr_assert_eq(stop.change, MMU_CHANGE_PRESENT);
	cr_assert_eq(stop.after.gpa, (gpa_t)RIG_DATA);
	cr_assert_eq(stop.entry_gpa, 0x12000u);
	rig_put64(rig, 0x10000, RIG_DATA | RIG_RW);
	cr_assert_eq(take_hit(id).gva, 0x8000000000u);
}

Test(breaks, map_when_an_upper_entry_goes_then_all_pages_of_the_range)
{
	unsigned id = add_map(0, 0x200000, MMU_CHANGE_GONE);
	struct mmu_stop stop;

	rig_put64(rig, RIG_PDPT, 0);
	stop = take_hit(id);
	cr_assert_eq(stop.pages, 512u);
	cr_assert_eq(stop.entry_gpa, (gpa_t)RIG_PDPT);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	no_hit();
	set_pte(5, 0);
	cr_assert_eq(take_hit(id).gva, 0x5000u, "the tables are watched again");
}

Test(breaks, map_when_another_change_then_only_what_is_asked_for)
{
	unsigned id = add_map(0x8000, 1, MMU_CHANGE_GPA);

	set_pte(8, RIG_DATA | X86_PTE_P);
	set_pte(8, 0);
	set_pte(8, 0x9000 | RIG_RW);
	no_hit();
	set_pte(8, 0xa000 | RIG_RW);
	cr_assert_eq(take_hit(id).change, MMU_CHANGE_GPA);
	set_pte(8, 0xb000 | X86_PTE_P);
	cr_assert_eq(take_hit(id).change, MMU_CHANGE_GPA | MMU_CHANGE_RIGHTS);
}

Test(breaks, map_when_the_table_has_an_alias_then_writes_through_it_count)
{
	unsigned id = add_map(0x8000, 1, 0);

	set_pte(3, RIG_PT | RIG_RWD); /* the table itself as a page */
	cr_assert(rig_store(rig, 1, 0x3000 + 64, "\0\0\0\0\0\0\0", 8));
	cr_assert_eq(take_hit(id).change, MMU_CHANGE_GONE);
	cr_assert_eq(rig->stopped_vcpu, 1u);
}

Test(breaks, map_when_a_large_page_is_split_and_joined_then_no_change)
{
	unsigned id, i;

	rig_put64(rig, RIG_PD + 8, RIG_RW | X86_PTE_PS);
	id = add_map(0x205000, 0x3000, 0);
	for (i = 0; i < 512; i++)
		rig_put64(rig, 0x10000 + 8ull * i, i * 0x1000ull | RIG_RW);
	rig_put64(rig, RIG_PD + 8, 0x10000 | RIG_RW);
	no_hit();
	rig_put64(rig, 0x10000 + 8 * 4, 0);
	no_hit();
	rig_put64(rig, 0x10000 + 8 * 6, 0);
	cr_assert_eq(take_hit(id).gva, 0x206000u);
	rig_put64(rig, 0x10000 + 8 * 6, 0x6000 | RIG_RW);
	take_hit(id);
	rig_put64(rig, RIG_PD + 8, RIG_RW | X86_PTE_PS);
	no_hit();
	cr_assert(!mmu_is_table(rig->mmu, 0x10000), "no longer on the way");
}

Test(breaks, map_when_walks_set_a_and_d_then_only_if_asked)
{
	unsigned most = add_map(0x8000, 1, 0), ad = add_map(0x8000, 1, MMU_CHANGE_AD);
	struct mmu_stop stop;

	set_pte(8, RIG_DATA | (RIG_RW & ~X86_PTE_A));
	cr_assert_eq(take_hit(ad).change, MMU_CHANGE_AD, "the guest cleared it");
	rig_touch(rig, 0x9000, X86_PF_W);
	no_hit();
	rig_touch(rig, 0x8000, X86_PF_W);
	stop = take_hit(ad);
	cr_assert_eq(stop.ad_before, 0u);
	cr_assert_eq(stop.ad_after, 3u);
	cr_assert_eq(stop.entry_gpa, (gpa_t)RIG_PT + 64);
	cr_assert_eq(stop.old ^ stop.now, X86_PTE_A | X86_PTE_D);
	cr_assert_eq(mmu_breaks_delete(breaks, most), 0);
}

/* Two roots share a page table; a third one has its own. */
Test(breaks, map_when_another_root_is_loaded_then_it_is_no_change)
{
	struct x86_paging other = rig->regs[0];
	unsigned id = add_map(0x8000, 1, 0);

	rig_put64(rig, RIG_PML4B, 0x10000 | RIG_RW);
	rig_put64(rig, 0x10000, 0x11000 | RIG_RW);
	rig_put64(rig, 0x11000, 0x12000 | RIG_RW);
	rig_put64(rig, 0x12000 + 64, 0x9000 | RIG_RW);
	other.cr3 = RIG_PML4B;
	rig_load(rig, 0, &other);
	rig_touch(rig, 0x8000, 0);
	rig_put64(rig, 0x12000 + 64, 0);
	no_hit();
	set_pte(8, 0);
	cr_assert_eq(take_hit(id).cr3, (uint64_t)RIG_PML4, "watched though not loaded");
}

Test(breaks, map_when_any_root_then_those_that_come_later_too)
{
	struct x86_paging other = rig->regs[0];
	unsigned id = add(&(struct mmu_break){
		.kind = MMU_BREAK_MAP, .gva = 0x8000, .len = 1, .is_any_root = true});
	struct mmu_stop stop;

	rig_put64(rig, RIG_PML4B, 0x10000 | RIG_RW);
	rig_put64(rig, 0x10000, 0x11000 | RIG_RW);
	rig_put64(rig, 0x11000, 0x12000 | RIG_RW);
	rig_put64(rig, 0x12000 + 64, 0x9000 | RIG_RW);
	other.cr3 = RIG_PML4B;
	rig_load(rig, 0, &other);
	no_hit();
	rig_put64(rig, 0x12000 + 64, 0);
	stop = take_hit(id);
	cr_assert_eq(stop.cr3, (uint64_t)RIG_PML4B);
	set_pte(8, 0);
	cr_assert_eq(take_hit(id).cr3, (uint64_t)RIG_PML4);
}

/* PAE: the first level are registers, which another load of the same CR3 changes. */
Test(breaks, map_when_pdptes_are_loaded_again_then_a_change)
{
	struct x86_paging regs = rig_regs(X86_PAGING_PAE, 0x6000);
	unsigned id;

	rig_put64(rig, 0x6000, RIG_PD | X86_PTE_P);
	rig_load(rig, 0, &regs);
	id = add_map(0x8000, 1, 0);
	rig_put64(rig, 0x6000, 0);
	no_hit();
	rig_load(rig, 0, &regs);
	cr_assert_eq(take_hit(id).change, MMU_CHANGE_GONE);
}

Test(breaks, map_when_32bit_then_entries_of_four_bytes)
{
	struct x86_paging regs = rig_regs(X86_PAGING_32BIT, 0x6000);
	unsigned id;
	struct mmu_stop stop;

	rig_put32(rig, 0x6000, 0x7000 | (uint32_t)RIG_RW);
	rig_put32(rig, 0x7000 + 4 * 9, 0x8000 | (uint32_t)RIG_RW);
	rig_load(rig, 0, &regs);
	id = add_map(0x9000, 1, 0);
	rig_put32(rig, 0x7000 + 4 * 8, 0x1000 | (uint32_t)RIG_RW);
	no_hit();
	rig_put32(rig, 0x7000 + 4 * 9, 0);
	stop = take_hit(id);
	cr_assert_eq(stop.entry_gpa, 0x7000u + 36);
	cr_assert_eq(stop.old, 0x8000 | RIG_RW);
	cr_assert_eq(stop.now, 0u);
}

Test(breaks, map_when_the_debugger_writes_then_known_but_no_hit)
{
	unsigned id = add_map(0x8000, 1, 0);
	uint8_t raw[8] = {0};

	rig_poke(rig, RIG_PT + 64, raw, sizeof(raw));
	no_hit();
	cr_assert_eq(mmu_breaks_hits(breaks), 0u);
	set_pte(8, 0x9000 | RIG_RW);
	cr_assert_eq(take_hit(id).change, MMU_CHANGE_PRESENT);
}

Test(breaks, map_when_the_range_is_bad_then_refused)
{
	struct mmu_break what = {.kind = MMU_BREAK_MAP, .root = rig->regs[0]};
	unsigned id;

	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -EINVAL);
	what.len = 0x1001000;
	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -E2BIG);
	what.gva = ~0ull;
	what.len = 2;
	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -EINVAL);
	what.len = 1;
	what.root.cr0 &= ~X86_CR0_PG;
	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -EINVAL);
	cr_assert(!rig->is_armed);
}

/* At random: a break of the whole table hits exactly when what a page is mapped to changes. */
Test(breaks, map_when_tables_change_at_random_then_hits_are_what_walks_say)
{
	unsigned id = add_map(0x10000, 0x20000, 0), i, hits = 0;

	for (i = 0; i < 4000; i++) {
		unsigned n = (unsigned)rig_random(rig, 64);
		uint64_t old = rig_get64(rig, RIG_PT + 8ull * n), now;
		bool is_inside = n >= 16 && n < 48, is_change;

		now = rig_random(rig, 4) << 12 | (RIG_RW & ~X86_PTE_P & rig_random(rig, 256)) |
		      (rig_random(rig, 4) ? X86_PTE_P : 0);
		is_change = (old ^ now) & X86_PTE_P;
		if (old & now & X86_PTE_P)
			is_change = (old ^ now) & (BITS(51, 12) | X86_PTE_RW | X86_PTE_US);
		set_pte(n, now);
		cr_assert_eq(rig->stops, is_inside && is_change);
		if (rig->stops)
			take_hit(id);
		hits += is_inside && is_change;
		if (i % 16 == 0)
			mmu_zap_all(rig->mmu);
	}
	cr_assert_gt(hits, 1000u);
}

/* The others. */

Test(breaks, pte_when_bytes_of_the_entry_change_then_hit)
{
	unsigned id = add(&(struct mmu_break){.kind = MMU_BREAK_PTE, .gpa = 0x10008, .len = 8});
	struct mmu_stop stop;

	cr_assert(mmu_is_table(rig->mmu, 0x10000), "pinned, whatever the guest uses it for");
	rig_put64(rig, 0x10000, 1);
	rig_put64(rig, 0x10010, 1);
	rig_put64(rig, 0x10008, 0);
	no_hit();
	rig_put32(rig, 0x1000c, 5);
	stop = take_hit(id);
	cr_assert_eq(stop.entry_gpa, 0x10008u);
	cr_assert_eq(stop.now, 5ull << 32);
	cr_assert_eq(mmu_breaks_delete(breaks, id), 0);
	cr_assert(!mmu_is_table(rig->mmu, 0x10000));
	cr_assert(!rig->is_armed);
}

Test(breaks, cr3_when_loaded_then_by_value_and_by_tables)
{
	unsigned id = add(
		&(struct mmu_break){.kind = MMU_BREAK_CR3, .has_value = true, .value = RIG_PML4B});
	struct x86_paging regs = rig->regs[0];

	rig_load(rig, 0, &regs);
	no_hit();
	regs.cr4 |= X86_CR4_PCIDE;
	regs.cr3 = RIG_PML4B | 7;
	rig_load(rig, 1, &regs);
	cr_assert_eq(take_hit(id).now, RIG_PML4B | 7u);
	cr_assert_eq(mmu_breaks_enable(breaks, id, false), 0);
	rig_load(rig, 1, &regs);
	no_hit();
	cr_assert_eq(mmu_breaks_enable(breaks, id, true), 0);
	rig_load(rig, 1, &regs);
	take_hit(id);
}

Test(breaks, invlpg_when_of_the_page_then_hit)
{
	unsigned id = add(
		&(struct mmu_break){.kind = MMU_BREAK_INVLPG, .has_value = true, .gva = 0x7123});

	mmu_invlpg(rig->mmu, 0, 0x8000);
	no_hit();
	mmu_invlpg(rig->mmu, 0, 0x7fff);
	cr_assert_eq(take_hit(id).gva, 0x7fffu);
}

Test(breaks, fault_when_the_guest_gets_one_then_by_error_code)
{
	unsigned id = add(&(struct mmu_break){
		.kind = MMU_BREAK_FAULT, .error = X86_PF_W, .error_mask = X86_PF_W});
	struct mmu_page page;

	set_pte(8, 0);
	rig_touch(rig, 0x9000, X86_PF_W);
	rig_translate(rig, 0, 0x8000, 0, false, &page);
	rig_translate(rig, 0, 0x800000000000, X86_PF_W, false, &page);
	no_hit();
	rig_translate(rig, 0, 0x8000, X86_PF_W, false, &page);
	cr_assert_eq(take_hit(id).error, X86_PF_W);
}

/* Everything in these tables is W+X at first: what was told once is not told again. */
Test(breaks, wx_when_a_page_becomes_so_then_once)
{
	unsigned id;
	struct mmu_stop stop;

	set_pte(8, RIG_DATA | RIG_RW | X86_PTE_NX);
	set_pte(9, RIG_DATA | (RIG_RW & ~X86_PTE_RW));
	rig_touch(rig, 0x8000, 0);
	id = add_kind(MMU_BREAK_WX, 0);
	set_pte(9, RIG_DATA | (RIG_RW & ~X86_PTE_RW) | X86_PTE_US);
	rig_touch(rig, 0x9000, 0);
	no_hit();
	set_pte(8, RIG_DATA | RIG_RW);
	stop = take_hit(id);
	cr_assert_eq(stop.gva, 0x8000u);
	cr_assert_eq(stop.entry_gpa, (gpa_t)RIG_PT + 64);
	cr_assert_eq(stop.after.can & WXU, WXU);
	rig_touch(rig, 0x8000, 0);
	no_hit();
	rig_touch(rig, 0x3000, 0); /* it was so before: seen at its first use */
	cr_assert_eq(take_hit(id).gva, 0x3000u);
}

Test(breaks, wx_when_an_upper_entry_gives_the_right_then_the_page_below)
{
	unsigned i, id;

	for (i = 0; i < 512; i++)
		set_pte(i, i * 4096ull | RIG_RW | (i == 44 ? 0 : X86_PTE_NX));
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW | X86_PTE_NX);
	rig_touch(rig, 0x1000, 0);
	id = add_kind(MMU_BREAK_WX, 0);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	cr_assert_eq(take_hit(id).gva, 44u * 4096u);
}

Test(breaks, shadow_when_filled_zapped_protected_then_as_asked)
{
	unsigned id = add_kind(MMU_BREAK_SHADOW, MMU_EVENT_BIT(MMU_EVENT_ZAP));
	struct mmu_stop stop;

	rig_touch(rig, 0x8000, 0);
	no_hit();
	set_pte(8, 0);
	stop = take_hit(id);
	cr_assert_eq(stop.index, 8u);
	cr_assert(stop.spte & SPTE_P);
}

/* The back end watches it; here it has an id, and its hits. */
Test(breaks, pa_when_noted_then_a_hit_like_others)
{
	struct mmu_break what = {.kind = MMU_BREAK_PA, .gpa = 0x8000, .len = 8};
	struct mmu_stop stop = {.vcpu = 1, .gpa = 0x8000}, kept;
	struct mmu_break_info info;
	unsigned id;

	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -EINVAL, "read or write?");
	what.on_write = true;
	id = add(&what);
	cr_assert(!rig->is_armed, "no event of the mmu is one");
	cr_assert_eq(mmu_breaks_note(breaks, id, &stop), 0u);
	cr_assert_eq(mmu_breaks_note(breaks, id + 1, &stop), ~0ull);
	cr_assert(mmu_breaks_hit(breaks, 0, &kept));
	cr_assert_eq(kept.kind, MMU_BREAK_PA);
	cr_assert_eq(kept.id, id);
	cr_assert(mmu_breaks_at(breaks, 0, &info));
	cr_assert_eq(info.hits, 1u);
}

Test(breaks, step_when_the_next_event_comes_then_once)
{
	unsigned id = add_kind(MMU_BREAK_STEP, 0);
	struct mmu_break_info info;

	rig_touch(rig, 0x8000, 0);
	cr_assert_eq(take_hit(id).event, MMU_EVENT_FAULT);
	rig_touch(rig, 0x9000, 0);
	no_hit();
	mmu_breaks_settle(breaks);
	cr_assert(!mmu_breaks_at(breaks, 0, &info));
	cr_assert(!rig->is_armed);
}

Test(breaks, table_when_listed_then_in_order_and_bounded)
{
	struct mmu_break what = {.kind = MMU_BREAK_CR3};
	struct mmu_break_info info;
	unsigned id, i;

	for (i = 0; i < MMU_BREAKS_MAX; i++)
		cr_assert_eq(add(&what), i + 1);
	cr_assert_eq(mmu_breaks_add(breaks, &what, &id, NULL), -ENOSPC);
	cr_assert_eq(mmu_breaks_delete(breaks, 3), 0);
	cr_assert_eq(mmu_breaks_delete(breaks, 3), -ENOENT);
	cr_assert_eq(mmu_breaks_delete(breaks, 0), -ENOENT);
	cr_assert_eq(add(&what), MMU_BREAKS_MAX + 1);
	cr_assert(mmu_breaks_at(breaks, 2, &info));
	cr_assert_eq(info.id, 4u);
	cr_assert(mmu_breaks_at(breaks, MMU_BREAKS_MAX - 1, &info));
	cr_assert_eq(info.id, MMU_BREAKS_MAX + 1);
	cr_assert(!mmu_breaks_at(breaks, MMU_BREAKS_MAX, &info));
	mmu_breaks_clear(breaks);
	cr_assert(!mmu_breaks_at(breaks, 0, &info));
}

Test(breaks, hits_when_many_then_the_last_ones_are_kept)
{
	struct mmu_stop stop;
	unsigned i;

	add_kind(MMU_BREAK_INVLPG, 0);
	for (i = 0; i < MMU_STOPS_KEPT + 5; i++)
		mmu_invlpg(rig->mmu, 0, i * 4096ull);
	cr_assert_eq(mmu_breaks_hits(breaks), MMU_STOPS_KEPT + 5);
	cr_assert(!mmu_breaks_hit(breaks, 4, &stop));
	cr_assert(mmu_breaks_hit(breaks, 5, &stop));
	cr_assert_eq(stop.gva, 5u * 4096);
	cr_assert_eq(stop.number, 5u);
}
