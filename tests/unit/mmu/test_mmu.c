/* The rest of umbra/mmu.h: root numbers, faults, events, statistics, paranoid mode. */
#include "mmu_rig.h"

#include "umbra/mmu_view.h"

#include <criterion/criterion.h>
#include <errno.h>

#define PT   0x4000u
#define DATA 0x8000u

static struct rig *four_levels(bool is_paranoid)
{
	struct rig *rig = rig_create(0, is_paranoid);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x1000);

	rig_put64(rig, 0x1000, 0x2000 | RIG_RW);
	rig_put64(rig, 0x2000, 0x3000 | RIG_RW);
	rig_put64(rig, 0x3000, PT | RIG_RW);
	rig_put64(rig, PT, DATA | RIG_RW);
	rig_load(rig, 0, &regs);
	rig_load(rig, 1, &regs);
	return rig;
}

static uint64_t id_of(struct rig *rig, const struct x86_paging *regs)
{
	rig_load(rig, 0, regs);
	return mmu_root_id(rig->mmu, 0);
}

/* Root numbers. */

Test(mmu, root_id_when_registers_are_equal_then_equal)
{
	struct rig *rig = four_levels(false);
	struct x86_paging a = rig_regs(X86_PAGING_4LEVEL, 0x1000);
	struct x86_paging b = rig_regs(X86_PAGING_4LEVEL, 0x5000);
	uint64_t id = id_of(rig, &a);

	cr_assert_neq(id_of(rig, &b), id);
	cr_assert_eq(id_of(rig, &a), id);
	cr_assert_eq(mmu_root_id(rig->mmu, 1), id);
	a.cr3 |= 0xfff; /* PCID */
	cr_assert_eq(id_of(rig, &a), id);
	rig_destroy(rig);
}

Test(mmu, root_id_when_what_rights_depend_on_differs_then_different)
{
	struct rig *rig = four_levels(false);
	const struct x86_paging base = rig_regs(X86_PAGING_4LEVEL, 0x1000);
	uint64_t id[8];
	unsigned i, j;

	for (i = 0; i < UMBRA_ARRAY_SIZE(id); i++) {
		struct x86_paging regs = base;

		regs.cr0 ^= i == 1 ? X86_CR0_WP : 0;
		regs.cr4 |= i == 2 ? X86_CR4_SMEP : 0;
		regs.cr4 |= i == 3 ? X86_CR4_SMAP : 0;
		regs.cr4 |= i >= 4 && i < 6 ? X86_CR4_PKE : 0;
		regs.pkru = i == 5 ? 4 : 0;
		regs.efer ^= i == 6 ? X86_EFER_NXE : 0;
		regs.cr4 |= i == 7 ? X86_CR4_LA57 : 0;
		id[i] = id_of(rig, &regs);
		for (j = 0; j < i; j++)
			cr_assert_neq(id[i], id[j], "%u and %u", i, j);
	}
	rig_destroy(rig);
}

Test(mmu, root_id_when_pdptes_differ_then_different)
{
	struct rig *rig = four_levels(false);
	struct x86_paging regs = rig_regs(X86_PAGING_PAE, 0x1000);
	uint64_t id;

	regs.has_pdpte = true;
	id = id_of(rig, &regs);
	regs.pdpte[2] = 0x3000 | X86_PTE_P;
	cr_assert_neq(id_of(rig, &regs), id);
	rig_destroy(rig);
}

/* More roots than there are records. */
Test(mmu, root_id_when_evicted_then_never_used_again)
{
	struct rig *rig = four_levels(false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0);
	uint64_t first, last = 0;
	unsigned i;

	regs.cr3 = 0x100000;
	first = id_of(rig, &regs);
	for (i = 1; i < 2000; i++) {
		struct mmu_page page;
		uint64_t id;

		regs.cr3 = i % 2 ? i * 0x1000ull : 0x1000;
		id = id_of(rig, &regs);
		if (i % 2)
			cr_assert_gt(id, last);
		last = i % 2 ? id : last;
		if (regs.cr3 == 0x1000)
			cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &page), 0);
	}
	regs.cr3 = 0x100000;
	cr_assert_neq(id_of(rig, &regs), first);
	rig_check(rig);
	rig_destroy(rig);
}

/* All with the same tables: a root that goes lets go of them, and those that stay keep them. */
Test(mmu, root_when_evicted_then_its_pages_are_let_go)
{
	struct rig *rig = four_levels(false);
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;
	unsigned i;

	regs.cr4 |= X86_CR4_PKE;
	for (i = 0; i < 600; i++) {
		regs.pkru = i << 2;
		rig_load(rig, 0, &regs);
		cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &page), 0);
	}
	rig_check(rig);
	mmu_zap_all(rig->mmu);
	cr_assert_eq(rig_stats(rig).shadow_pages, 0u);
	rig_destroy(rig);
}

/* Rights belong to a class: the shadow's leaf is shared. */
Test(mmu, rights_when_asked_by_each_class_then_those_of_the_class)
{
	struct rig *rig = four_levels(false);
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;

	rig_put64(rig, PT, DATA | X86_PTE_P | X86_PTE_US | X86_PTE_A | X86_PTE_D);
	regs.cr4 |= X86_CR4_SMAP | X86_CR4_SMEP;
	regs.cr0 &= ~X86_CR0_WP;
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_translate(rig, 0, 0, X86_PF_U, false, &page), 0);
	cr_assert_eq(page.can, (unsigned)(MMU_CAN_READ | MMU_CAN_FETCH));
	cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &page), -EFAULT); /* SMAP */
	cr_assert_eq(rig_translate(rig, 0, 0, 0, true, &page), 0);
	cr_assert_eq(page.can, (unsigned)(MMU_CAN_READ | MMU_CAN_WRITE)); /* SMEP, WP=0 */
	rig_check(rig);
	rig_destroy(rig);
}

/* Faults. */

Test(mmu, fault_when_not_canonical_then_general_protection)
{
	struct rig *rig = four_levels(false);
	struct mmu_fault fault;
	struct mmu_page page;

	cr_assert_eq(mmu_translate(rig->mmu, 0, 1ull << 47, 0, &page, &fault), -EFAULT);
	cr_assert_eq(fault.vector, X86_EXC_GP);
	cr_assert_eq(mmu_translate(rig->mmu, 0, 0x200000, X86_PF_W, &page, &fault), -EFAULT);
	cr_assert_eq(fault.vector, X86_EXC_PF);
	cr_assert_eq(fault.error, X86_PF_W);
	cr_assert_eq(fault.walk.fault_level, 2u);
	rig_destroy(rig);
}

/* Events. */

struct heard {
	unsigned count[MMU_EVENT_KIND_COUNT];
	struct mmu_event last[MMU_EVENT_KIND_COUNT];
	enum mmu_event_kind order[64];
	unsigned total;
};

static void hear(void *ctx, const struct mmu_event *event)
{
	struct heard *heard = ctx;

	heard->count[event->kind]++;
	heard->last[event->kind] = *event;
	if (heard->total < UMBRA_ARRAY_SIZE(heard->order))
		heard->order[heard->total++] = event->kind;
}

static void listen(struct rig *rig, struct heard *heard, unsigned kinds)
{
	const struct mmu_listener listener = {kinds, hear, heard};

	cr_assert_eq(mmu_add_listener(rig->mmu, &listener), 0);
}

Test(mmu, events_when_a_page_is_filled_then_fault_and_the_four_steps)
{
	static const enum mmu_event_kind order[] = {MMU_EVENT_FAULT, MMU_EVENT_WALK, MMU_EVENT_SLOT,
						    MMU_EVENT_HOST, MMU_EVENT_FILL};
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	struct mmu_shadow_entry entry;
	struct mmu_page page;

	listen(rig, &heard, MMU_EVENT_ALL & ~MMU_EVENT_BIT(MMU_EVENT_PROTECT));
	cr_assert_eq(rig_translate(rig, 0, 0x123, X86_PF_W, false, &page), 0);
	cr_assert_eq(heard.total, UMBRA_ARRAY_SIZE(order));
	cr_assert_arr_eq(heard.order, order, sizeof(order));
	cr_assert_eq(heard.last[MMU_EVENT_FAULT].gva, 0x123u);
	cr_assert_eq(heard.last[MMU_EVENT_FAULT].error, 0u);
	cr_assert(heard.last[MMU_EVENT_WALK].set_dirty);
	cr_assert_eq(heard.last[MMU_EVENT_SLOT].gpa, (gpa_t)DATA + 0x123);
	cr_assert_eq(heard.last[MMU_EVENT_HOST].hva, (hva_t)(uintptr_t)page.host + 0x123);
	cr_assert_eq(heard.last[MMU_EVENT_FILL].gpa, (gpa_t)DATA);
	cr_assert_eq(heard.last[MMU_EVENT_FILL].hva, (hva_t)(uintptr_t)page.host);
	cr_assert_eq(heard.last[MMU_EVENT_FILL].gva, 0u);
	mmu_shadow_decode(heard.last[MMU_EVENT_FILL].spte, &entry);
	cr_assert(entry.is_leaf && entry.may_write && (entry.rights & MMU_RIGHT_U));
	cr_assert_lt(heard.last[MMU_EVENT_FILL].seq, mmu_seq(rig->mmu));
	heard.total = 0;
	cr_assert_eq(rig_translate(rig, 0, 0x123, X86_PF_W, false, &page), 0);
	cr_assert_eq(heard.total, 0u, "a hit is no event");
	rig_destroy(rig);
}

Test(mmu, events_when_the_guest_faults_then_error_code)
{
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	struct mmu_page page;

	listen(rig, &heard, MMU_EVENT_ALL);
	cr_assert_eq(rig_translate(rig, 0, 0x200000, X86_PF_U, false, &page), -EFAULT);
	cr_assert_eq(heard.last[MMU_EVENT_FAULT].error, X86_PF_U);
	cr_assert_eq(heard.last[MMU_EVENT_FAULT].vector, X86_EXC_PF);
	cr_assert_eq(heard.count[MMU_EVENT_FILL], 0u);
	rig_destroy(rig);
}

Test(mmu, events_when_a_table_is_written_then_old_and_new_value_whoever_writes)
{
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	struct mmu_page page;
	uint8_t raw[12] = {0};
	const struct mmu_event *write = &heard.last[MMU_EVENT_TABLE_WRITE];

	rig_translate(rig, 0, 0, 0, false, &page);
	listen(rig, &heard, MMU_EVENT_ALL);
	rig_translate(rig, 0, 0, X86_PF_W, false, &page); /* sets D: no write of the guest */
	cr_assert_eq(heard.count[MMU_EVENT_TABLE_WRITE], 0u);
	rig_put32(rig, PT, 0x9000 | (uint32_t)RIG_RWD);
	cr_assert_eq(heard.count[MMU_EVENT_TABLE_WRITE], 1u);
	cr_assert_eq(write->old, DATA | RIG_RWD);
	cr_assert_eq(write->now, 0x9000 | RIG_RWD);
	cr_assert_eq(write->gpa, (gpa_t)PT);
	cr_assert_eq(write->len, 4u);
	cr_assert_eq(write->vcpu, 0u);
	cr_assert_eq(heard.count[MMU_EVENT_ZAP], 1u);
	raw[11] = 0x80;
	rig_poke(rig, PT + 4, raw, sizeof(raw)); /* two units, of which one changes */
	cr_assert_eq(heard.count[MMU_EVENT_TABLE_WRITE], 2u);
	cr_assert_eq(write->gpa, (gpa_t)PT + 8);
	cr_assert_eq(write->len, 8u);
	cr_assert_eq(write->vcpu, MMU_NO_VCPU);
	rig_put64(rig, DATA, 5);
	cr_assert_eq(heard.count[MMU_EVENT_TABLE_WRITE], 2u, "that is no table");
	mem_clear_ram(rig->mem);
	cr_assert_geq(heard.count[MMU_EVENT_TABLE_WRITE], 6u);
	mmu_remove_listener(rig->mmu, hear, &heard);
	rig_destroy(rig);
}

Test(mmu, events_when_registers_change_then_cr3_and_invlpg)
{
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x5000);
	struct mmu_stats stats;

	listen(rig, &heard, MMU_EVENT_ALL);
	rig_load(rig, 0, &regs);
	cr_assert_eq(heard.last[MMU_EVENT_CR3].old, 0x1000u);
	cr_assert_eq(heard.last[MMU_EVENT_CR3].now, 0x5000u);
	mmu_set_regs(rig->mmu, 0, &regs, MMU_LOAD_OTHER);
	cr_assert_eq(heard.count[MMU_EVENT_CR3], 1u);
	mmu_invlpg(rig->mmu, 0, 0x7000);
	cr_assert_eq(heard.last[MMU_EVENT_INVLPG].gva, 0x7000u);
	cr_assert(heard.last[MMU_EVENT_INVLPG].takes_global);
	mmu_invpcid(rig->mmu, 0, 5, 0x8000);
	cr_assert_eq(heard.last[MMU_EVENT_INVLPG].pcid, 5u);
	cr_assert(!heard.last[MMU_EVENT_INVLPG].takes_global);
	mmu_flush(rig->mmu, 0);
	cr_assert_eq(heard.count[MMU_EVENT_CR3], 1u);
	cr_assert_eq(heard.last[MMU_EVENT_FLUSH].scope, MMU_FLUSH_ALL);
	mmu_flush_some(rig->mmu, 0, MMU_FLUSH_PCID, 7);
	cr_assert_eq(heard.last[MMU_EVENT_FLUSH].pcid, 7u);
	regs.cr4 |= X86_CR4_PCIDE;
	regs.cr3 = 0x1003;
	mmu_set_regs(rig->mmu, 0, &regs, MMU_LOAD_CR3_KEEP);
	cr_assert_eq(heard.last[MMU_EVENT_CR3].scope, MMU_FLUSH_NOTHING);
	cr_assert_eq(heard.last[MMU_EVENT_CR3].pcid, 3u);
	mmu_stats(rig->mmu, &stats);
	cr_assert_eq(stats.cr3_loads, 4u);
	cr_assert_eq(stats.invlpgs, 2u);
	rig_destroy(rig);
}

Test(mmu, events_when_there_are_several_listeners_then_each_hears_its_kinds)
{
	struct rig *rig = four_levels(false);
	struct heard all = {0}, zaps = {0};
	struct mmu_page page;

	listen(rig, &all, MMU_EVENT_ALL);
	listen(rig, &zaps, MMU_EVENT_BIT(MMU_EVENT_ZAP));
	rig_translate(rig, 0, 0, 0, false, &page);
	rig_put64(rig, PT, 0);
	cr_assert_eq(all.count[MMU_EVENT_ZAP], 1u);
	cr_assert_eq(all.last[MMU_EVENT_ZAP].vcpu, 0u);
	cr_assert_eq(all.count[MMU_EVENT_PROTECT], 4u, "one for each table on the way");
	cr_assert_eq(zaps.total, 1u);
	mmu_remove_listener(rig->mmu, hear, &all);
	all.total = 0;
	rig_translate(rig, 0, 0x1000, 0, false, &page);
	mmu_zap_all(rig->mmu);
	cr_assert_eq(all.total, 0u);
	cr_assert_gt(zaps.total, 1u);
	cr_assert_eq(zaps.last[MMU_EVENT_ZAP].vcpu, MMU_NO_VCPU);
	rig_destroy(rig);
}

Test(mmu, add_listener_when_there_are_too_many_then_refused)
{
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	const struct mmu_listener listener = {MMU_EVENT_ALL, hear, &heard};
	unsigned i;

	for (i = 0; i < MMU_LISTENERS_MAX; i++)
		listen(rig, &heard, MMU_EVENT_ALL);
	cr_assert_eq(mmu_add_listener(rig->mmu, &listener), -ENOSPC);
	mmu_remove_listener(rig->mmu, hear, &heard);
	listen(rig, &heard, MMU_EVENT_ALL);
	rig_destroy(rig);
}

/* A page table that no translation went through, and then one that gives up its shadow. */
Test(mmu, pin_when_a_frame_is_no_table_then_its_writes_are_told)
{
	struct rig *rig = four_levels(false);
	struct heard heard = {0};
	struct mmu_page page;

	rig_put64(rig, PT + 16, 0x5000 | RIG_RW);
	listen(rig, &heard, MMU_EVENT_BIT(MMU_EVENT_TABLE_WRITE));
	rig_translate(rig, 0, 0x2000, X86_PF_W, false, &page);
	cr_assert(page.can & MMU_CAN_WRITE);
	cr_assert_eq(mmu_pin(rig->mmu, 0x5abc), 0);
	cr_assert(mmu_is_table(rig->mmu, 0x5000));
	rig_check(rig);
	rig_translate(rig, 0, 0x2000, X86_PF_W, false, &page);
	cr_assert(!(page.can & MMU_CAN_WRITE) && page.is_table);
	rig_put64(rig, 0x5008, 0x77);
	cr_assert_eq(heard.count[MMU_EVENT_TABLE_WRITE], 1u);
	cr_assert_eq(heard.last[MMU_EVENT_TABLE_WRITE].now, 0x77u);
	mem_clear_ram(rig->mem);
	cr_assert_eq(heard.last[MMU_EVENT_TABLE_WRITE].gpa, 0x5008u);
	cr_assert_eq(mmu_pin(rig->mmu, 0x5000), 0);
	mmu_unpin(rig->mmu, 0x5000);
	cr_assert(mmu_is_table(rig->mmu, 0x5000));
	mmu_unpin(rig->mmu, 0x5000);
	cr_assert(!mmu_is_table(rig->mmu, 0x5000));
	rig_destroy(rig);
}

Test(mmu, pin_when_unpinned_then_stores_go_their_way_again)
{
	struct rig *rig = four_levels(false);
	struct mmu_page page;

	rig_put64(rig, PT + 16, 0x5000 | RIG_RW);
	cr_assert_eq(mmu_pin(rig->mmu, 0x5000), 0);
	rig_translate(rig, 0, 0x2000, X86_PF_W, false, &page);
	cr_assert(!(page.can & MMU_CAN_WRITE));
	rig_check(rig);
	mmu_unpin(rig->mmu, 0x5000);
	rig_translate(rig, 0, 0x2000, X86_PF_W, false, &page);
	cr_assert(page.can & MMU_CAN_WRITE);
	rig_finish(rig);
}

/* Paranoid mode. */

Test(mmu, paranoid_when_all_is_well_then_finds_nothing)
{
	struct rig *rig = four_levels(true);
	struct mmu_page page;
	unsigned i;

	for (i = 0; i < 20; i++) {
		rig_translate(rig, 0, 0, X86_PF_W, false, &page);
		rig_put64(rig, PT, i * 0x1000ull | RIG_RW);
	}
	mmu_invlpg(rig->mmu, 0, 0);
	cr_assert_eq(mmu_paranoid_findings(rig->mmu), 0u);
	rig_destroy(rig);
}

/* What makes paranoid mode look. */

static void by_invlpg(struct rig *rig)
{
	mmu_invlpg(rig->mmu, 0, 0);
}

static void by_flush(struct rig *rig)
{
	mmu_flush(rig->mmu, 0);
}

static void by_cr3(struct rig *rig)
{
	struct x86_paging regs = rig->regs[0];

	mmu_set_regs(rig->mmu, 0, &regs, MMU_LOAD_CR3);
}

static void by_store(struct rig *rig)
{
	mmu_write(rig->mmu, 0, PT + 64, "x", 1);
}

static void by_poke(struct rig *rig)
{
	mem_poke(rig->mem, PT + 64, "x", 1);
}

/* Not to a table: nobody looks. */
static void by_other_store(struct rig *rig)
{
	mmu_write(rig->mmu, 0, DATA, "x", 1);
}

Test(mmu, paranoid_when_a_write_bypassed_the_hook_then_found_at_the_next_moment)
{
	static const struct {
		void (*fn)(struct rig *rig);
		bool is_moment;
	} moments[] = {{by_invlpg, true}, {by_flush, true}, {by_cr3, true},
		       {by_store, true},  {by_poke, true},  {by_other_store, false}};
	struct mmu_page page;
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(moments); i++) {
		struct rig *rig = four_levels(true);

		rig_translate(rig, 0, 0, X86_PF_W, false, &page);
		memset(mem_ptr(rig->mem, PT, 8), 0, 8);
		cr_assert_eq(mmu_paranoid_findings(rig->mmu), 0u);
		moments[i].fn(rig);
		cr_assert_eq(mmu_paranoid_findings(rig->mmu) > 0, moments[i].is_moment, "moment %u",
			     i);
		rig_destroy(rig);
	}
}
