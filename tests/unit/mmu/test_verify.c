/* mmu_verify: each invariant is broken on purpose and must be named; and looking changes nothing.
 */
#include "mmu_rig.h"

#include "umbra/mmu_history.h"

#include <criterion/criterion.h>

#define PT   0x4000u
#define DATA 0x8000u

static struct rig *four_levels(void)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x1000);
	struct mmu_page page;
	unsigned i;

	rig_put64(rig, 0x1000, 0x2000 | RIG_RW);
	rig_put64(rig, 0x2000, 0x3000 | RIG_RW);
	rig_put64(rig, 0x3000, PT | RIG_RW);
	for (i = 0; i < 16; i++)
		rig_put64(rig, PT + i * 8ull, i * 4096ull | RIG_RW);
	rig_load(rig, 0, &regs);
	for (i = 0; i < 16; i++)
		cr_assert_eq(rig_translate(rig, 0, i * 4096ull, X86_PF_W, false, &page), 0);
	rig_check(rig);
	return rig;
}

/* The shadow page and index of the leaf for @gva. */
static struct shadow_page *leaf(const struct rig *rig, gva_t gva, unsigned *out_index)
{
	return shadow_lookup(rig->mmu->vcpu[0].root, gva, out_index);
}

static void expect_named(struct rig *rig, const char *invariant)
{
	cr_expect_gt(rig_verify(rig), 0u);
	cr_expect(rig_names(rig, invariant), "%s is not named in:\n%s", invariant, rig->text);
}

Test(mmu_verify, table_when_writable_then_i1)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, PT, &i);

	sp->spte[i] |= SPTE_MAY_WRITE;
	expect_named(rig, "I1");
	rig_destroy(rig);
}

Test(mmu_verify, table_when_not_known_as_one_then_i1)
{
	struct rig *rig = four_levels();
	struct frame *frame = frame_find(rig->mmu, PT >> 12);
	struct shadow_page *sp = frame->tables;

	frame->tables = NULL;
	expect_named(rig, "I1");
	frame->tables = sp;
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_host_page_is_another_then_i2)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	sp->spte[i] += UMBRA_PAGE_SIZE;
	expect_named(rig, "I2");
	cr_expect_not(rig_names(rig, "I8"));
	rig_destroy(rig);
}

/* The leaf at DATA, whose guest entry was written at @rip while a history listened. */
static void break_a_known_leaf(struct rig *rig, uint64_t rip)
{
	unsigned i;
	struct shadow_page *sp;

	rig->rip = rip;
	rig_put64(rig, PT + (DATA >> 12) * 8, DATA | RIG_RWD | X86_PTE_NX);
	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	sp = leaf(rig, DATA, &i);
	sp->spte[i] += UMBRA_PAGE_SIZE;
	cr_expect_gt(rig_verify(rig), 0u);
}

Test(mmu_verify, leaf_when_its_last_writer_is_known_then_named)
{
	struct rig *rig = four_levels();
	struct mmu_history *history;

	cr_assert_eq(mmu_history_create(&history, rig->mmu, 64, NULL), 0);
	break_a_known_leaf(rig, 0x401234);
	cr_expect(rig_names(rig, "I2"));
	cr_expect(strstr(rig->text, " last_write=seq "), "%s", rig->text);
	cr_expect(strstr(rig->text, " rip=0x401234\n"), "%s", rig->text);
	mmu_history_destroy(history);
	cr_expect_gt(rig_verify(rig), 0u);
	cr_expect_not(strstr(rig->text, "last_write"), "%s", rig->text);
	rig_destroy(rig);
}

/* Its shadow page has no table of its own: the entry above it counts. */
Test(mmu_verify, leaf_when_in_a_large_page_then_the_writer_of_its_entry_is_named)
{
	struct rig *rig = four_levels();
	struct mmu_history *history;
	struct shadow_page *sp;
	unsigned i;

	cr_assert_eq(mmu_history_create(&history, rig->mmu, 64, NULL), 0);
	rig->rip = 0x7777;
	rig_put64(rig, 0x3000, 0 | RIG_RWD | X86_PTE_PS);
	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	sp = leaf(rig, DATA, &i);
	sp->spte[i] += UMBRA_PAGE_SIZE;
	expect_named(rig, "I2");
	cr_expect(strstr(rig->text, " rip=0x7777\n"), "%s", rig->text);
	mmu_history_destroy(history);
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_rights_are_wider_then_i2)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	rig_put64(rig, PT + 8 * 8, DATA | X86_PTE_P | X86_PTE_A | X86_PTE_D);
	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	sp->spte[i] |= SPTE_U;
	expect_named(rig, "I2");
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_writable_and_not_dirty_then_i3)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	rig_put64(rig, PT + 8 * 8, DATA | RIG_RW);
	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	sp->spte[i] |= SPTE_MAY_WRITE;
	expect_named(rig, "I3");
	rig_destroy(rig);
}

/* Behind the hook's back: A is clear in the guest's memory while stores are let through. */
Test(mmu_verify, leaf_when_writable_and_a_table_not_accessed_then_i3)
{
	struct rig *rig = four_levels();

	le64_put(mem_ptr(rig->mem, 0x2000, 8), 0x3000 | (RIG_RW & ~X86_PTE_A));
	expect_named(rig, "I3");
	rig_destroy(rig);
}

/* What two roots share is sound by way of the first one. */
Test(mmu_verify, leaf_when_a_table_of_the_second_root_alone_is_not_accessed_then_i3)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x5000);

	rig_put64(rig, 0x5000, 0x2000 | RIG_RW);
	rig_load(rig, 1, &regs);
	cr_assert_eq(rig_translate(rig, 1, DATA, X86_PF_W, false, &(struct mmu_page){0}), 0);
	rig_check(rig);
	cr_assert_eq(rig->mmu->vcpu[0].root->top[0]->spte[0],
		     rig->mmu->vcpu[1].root->top[0]->spte[0]);
	le64_put(mem_ptr(rig->mem, 0x5000, 8), 0x2000 | (RIG_RW & ~X86_PTE_A));
	expect_named(rig, "I3");
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_missing_in_reverse_map_then_i4)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);
	struct frame *frame = frame_find(rig->mmu, DATA >> 12);

	list_remove(rig->mmu, &frame->leaves, sp, i);
	expect_named(rig, "I4");
	list_add(rig->mmu, &frame->leaves, sp, i);
	rig_destroy(rig);
}

Test(mmu_verify, reverse_map_when_it_names_no_leaf_then_i4)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);
	struct frame *frame = frame_find(rig->mmu, 0x9000 >> 12);

	frame->leaves = handle_of(sp, i);
	expect_named(rig, "I4");
	rig_destroy(rig);
}

Test(mmu_verify, reverse_map_when_its_links_disagree_then_i4)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	sp->link[i].prev = handle_of(sp, 0);
	expect_named(rig, "I4");
	sp->link[i].prev = 0;
	sp->link[i].next = handle_of(sp, i); /* in a circle */
	expect_named(rig, "I4");
	sp->link[i].next = ~0u; /* of a page that does not exist */
	expect_named(rig, "I4");
	sp->link[i].next = 0;
	rig_check(rig);
	rig_destroy(rig);
}

Test(mmu_verify, frame_when_it_is_not_found_by_its_number_then_i4)
{
	struct rig *rig = four_levels();
	struct frame *frame = frame_find(rig->mmu, DATA >> 12), *next = frame->next;
	uint64_t chain = (frame->gfn + 1) & rig->mmu->frame_hash_mask, own = chain - 1;

	cr_assert_eq(rig->mmu->frame_hash[own], frame);
	rig->mmu->frame_hash[own] = next;
	frame->next = rig->mmu->frame_hash[chain];
	rig->mmu->frame_hash[chain] = frame;
	expect_named(rig, "I4");
	rig->mmu->frame_hash[chain] = frame->next;
	frame->next = next;
	rig->mmu->frame_hash[own] = frame;
	rig_destroy(rig);
}

Test(mmu_verify, child_when_it_has_another_role_then_i5)
{
	struct rig *rig = four_levels();
	unsigned i;

	leaf(rig, DATA, &i)->key.role.access = ACCESS_X;
	expect_named(rig, "I5");
	leaf(rig, DATA, &i)->key.role.access = ACCESS_ALL;
	rig_destroy(rig);
}

Test(mmu_verify, child_when_parent_is_unknown_then_i5)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);
	shadow_handle parents = sp->parents;

	sp->parents = 0;
	expect_named(rig, "I5");
	sp->parents = parents;
	rig_destroy(rig);
}

Test(mmu_verify, reference_count_when_wrong_then_i5)
{
	struct rig *rig = four_levels();
	unsigned i;

	leaf(rig, DATA, &i)->refs++;
	expect_named(rig, "I5");
	leaf(rig, DATA, &i)->refs--;
	rig->mmu->vcpu[0].root->users++;
	expect_named(rig, "I5");
	rig->mmu->vcpu[0].root->users--;
	rig_check(rig);
	rig_destroy(rig);
}

Test(mmu_verify, table_when_written_behind_the_hook_then_i6_and_i9)
{
	struct rig *rig = four_levels();

	le64_put(mem_ptr(rig->mem, PT + 8 * 8, 8), 0x9000 | RIG_RWD);
	expect_named(rig, "I6");
	cr_expect(rig_names(rig, "I9"));
	cr_expect(rig_names(rig, "I2"));
	rig_destroy(rig);
}

/* What no loaded root reaches is not I9's business. */
Test(mmu_verify, table_of_an_unloaded_root_when_written_behind_the_hook_then_i6_alone_of_the_two)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x5000);

	rig_load(rig, 0, &regs);
	le64_put(mem_ptr(rig->mem, PT + 8 * 8, 8), 0x9000 | RIG_RWD);
	expect_named(rig, "I6");
	cr_expect_not(rig_names(rig, "I9"));
	rig_destroy(rig);
}

static struct rig_tlb_entry *hold(struct rig *rig, gva_t gva)
{
	unsigned i = 0;

	while (i < RIG_TLB_ENTRIES && !(rig->tlb[i].is_used && rig->tlb[i].gva == gva))
		i++;
	cr_assert_lt(i, RIG_TLB_ENTRIES, "no entry for %#llx", (unsigned long long)gva);
	return &rig->tlb[i];
}

Test(mmu_verify, micro_tlb_when_it_may_write_a_table_then_i7)
{
	struct rig *rig = four_levels();
	struct mmu_page page;

	rig_translate(rig, 0, PT, 0, false, &page);
	hold(rig, PT)->page.can |= MMU_CAN_WRITE;
	expect_named(rig, "I7");
	rig_destroy(rig);
}

Test(mmu_verify, micro_tlb_when_the_shadow_has_no_entry_then_i7)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	hold(rig, DATA);
	shadow_drop_entry(rig->mmu, sp, i); /* and nobody is told */
	expect_named(rig, "I7");
	rig_destroy(rig);
}

Test(mmu_verify, micro_tlb_when_another_host_page_then_i7)
{
	struct rig *rig = four_levels();

	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	hold(rig, DATA)->page.host += UMBRA_PAGE_SIZE;
	expect_named(rig, "I7");
	rig_destroy(rig);
}

/* Whom a page serves decides what it may do. */
Test(mmu_verify, micro_tlb_when_it_serves_another_class_then_i7)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;

	regs.cr4 |= X86_CR4_SMAP | X86_CR4_PKE;
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_translate(rig, 0, DATA, 0, true, &page), 0); /* a user's page, AC=1 */
	rig_check(rig);
	hold(rig, DATA)->smap_off = false;
	expect_named(rig, "I7");
	rig_destroy(rig);
}

/* PKRU's AD: instructions may be fetched from where no data may be read. */
Test(mmu_verify, micro_tlb_when_only_fetches_are_allowed_and_it_reads_then_i7)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig->regs[0];
	struct mmu_page page;

	regs.cr4 |= X86_CR4_PKE;
	regs.pkru = 1;
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_translate(rig, 0, DATA, X86_PF_I | X86_PF_U, false, &page), 0);
	rig_check(rig);
	hold(rig, DATA)->page.can = MMU_CAN_READ;
	expect_named(rig, "I7");
	rig_destroy(rig);
}

/* It would be used again when the root is. */
Test(mmu_verify, micro_tlb_when_its_root_is_not_loaded_then_i7_all_the_same)
{
	struct rig *rig = four_levels();
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, 0x5000);

	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	rig_load(rig, 0, &regs);
	rig_check(rig);
	hold(rig, DATA)->page.host += UMBRA_PAGE_SIZE;
	expect_named(rig, "I7");
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_host_is_outside_memory_then_i8)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);
	uint64_t host = (uintptr_t)mem_ptr(rig->mem, 0, 1) + RIG_RAM; /* the guard page */

	sp->spte[i] = (sp->spte[i] & ~SPTE_HOST) | host;
	expect_named(rig, "I8");
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_memory_was_added_and_nobody_told_then_i8)
{
	struct rig *rig = four_levels();

	rig_put64(rig, PT + 8 * 8, RIG_HOLE | RIG_RW);
	rig_translate(rig, 0, DATA, 0, false, &(struct mmu_page){0});
	cr_assert_eq(mem_add(rig->mem, RIG_HOLE, 0x1000, MEM_RAM, "new", NULL), 0);
	expect_named(rig, "I8");
	rig_destroy(rig);
}

Test(mmu_verify, root_when_not_that_of_the_registers_then_i9)
{
	struct rig *rig = four_levels();

	rig->mmu->vcpu[0].regs.cr3 = 0x5000;
	expect_named(rig, "I9");
	rig_destroy(rig);
}

/* As if the PDPTEs were read from memory at each use. */
Test(mmu_verify, root_of_pae_when_taken_from_memory_then_i10)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_PAE, 0x1000);
	struct shadow_page *old, *wrong;
	struct shadow_key key;

	rig_put64(rig, 0x1000, 0x2000 | X86_PTE_P);
	rig_put64(rig, 0x2000, 0x3000 | RIG_RW);
	rig_put64(rig, 0x3000, DATA | RIG_RWD);
	rig_load(rig, 0, &regs);
	cr_assert_eq(rig_translate(rig, 0, 0, 0, false, &(struct mmu_page){0}), 0);
	rig_check(rig);
	old = rig->mmu->vcpu[0].root->top[0];
	key = old->key;
	key.gfn = 4;
	wrong = shadow_get(rig->mmu, &key);
	wrong->refs = wrong->root_refs = 1;
	rig->mmu->vcpu[0].root->top[0] = wrong;
	expect_named(rig, "I10");
	cr_expect_not(rig_names(rig, "I9"));
	rig->mmu->vcpu[0].root->top[0] = old;
	rig->mmu->vcpu[0].regs.pdpte[1] = 0x5000 | X86_PTE_P;
	expect_named(rig, "I10");
	rig_destroy(rig);
}

/* Two faults that agree with each other: only a shadow built anew shows them. */
Test(mmu_verify, path_when_another_than_a_new_shadow_would_take_then_i11)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	sp->gpte[i] = 0x9000 | RIG_RWD;
	expect_named(rig, "I11");
	rig_destroy(rig);
}

/* A page that fits its parent, which is not the one that the root's table leads to. */
Test(mmu_verify, path_when_its_top_entry_is_of_another_table_then_i11)
{
	struct rig *rig = four_levels();
	struct shadow_page *top = rig->mmu->vcpu[0].root->top[0];

	le64_put(mem_ptr(rig->mem, 0x1000, 8), 0x6000 | RIG_RWD);
	memcpy(mem_ptr(rig->mem, 0x6000, 4096), mem_ptr(rig->mem, 0x2000, 4096), 4096);
	expect_named(rig, "I11");
	cr_expect(rig_names(rig, "I6"));
	cr_expect_not(rig_names(rig, "I2"));
	cr_expect(top->is_live);
	rig_destroy(rig);
}

Test(mmu_verify, leaf_when_withheld_from_stores_without_a_reason_then_i11)
{
	struct rig *rig = four_levels();
	unsigned i;
	struct shadow_page *sp = leaf(rig, DATA, &i);

	sp->spte[i] &= ~SPTE_MAY_WRITE;
	rig_touch(rig, DATA, 0);
	memset(rig->tlb, 0, sizeof(rig->tlb));
	expect_named(rig, "I11");
	cr_expect_not(rig_names(rig, "I7"));
	rig_destroy(rig);
}

Test(mmu_verify, verify_when_run_then_guest_shadow_and_statistics_are_unchanged)
{
	struct rig *rig = four_levels();
	struct mmu_stats before, after;

	rig_put64(rig, PT + 9 * 8, 0x9000 | X86_PTE_P); /* A and D are clear */
	mmu_stats(rig->mmu, &before);
	rig_check(rig); /* compares the guest's memory with the copy */
	mmu_stats(rig->mmu, &after);
	cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	cr_assert_eq(mmu_verify(rig->mmu, NULL), 0u);
	rig_destroy(rig);
}
