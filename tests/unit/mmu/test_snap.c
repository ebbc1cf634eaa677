/* Snapshots of what roots map, and the differences between them. */
#include "mmu_rig.h"
#include "src/mmu/leaves.h"
#include "umbra/mmu_snap.h"

#include <criterion/criterion.h>
#include <errno.h>

#define DIFFS_MAX 64u

struct diffs {
	unsigned count;
	struct mmu_diff diff[DIFFS_MAX];
};

static void keep_diff(void *arg, const struct mmu_diff *diff)
{
	struct diffs *diffs = arg;

	cr_assert_lt(diffs->count, DIFFS_MAX);
	diffs->diff[diffs->count++] = *diff;
}

static struct mmu_snap *take(struct rig *rig, const struct x86_paging *root, unsigned count)
{
	const struct mmu_snap_source source = {
		.root = root, .root_count = count, .mem = rig->mem, .seq = rig->seq};
	struct mmu_snap *snap = NULL;

	cr_assert_eq(mmu_snap_take(&snap, &source, NULL), 0);
	return snap;
}

static struct diffs compare(struct rig *rig, struct mmu_snap *from, struct mmu_snap *to,
			    const struct mmu_history *history)
{
	const struct mmu_blame blame = {history, rig->mem};
	struct diffs diffs = {0};

	cr_assert_eq(mmu_snap_diff(from, to, &blame, keep_diff, &diffs), diffs.count);
	mmu_snap_free(from);
	mmu_snap_free(to);
	return diffs;
}

/* Take one, let @change happen, take another. */
static struct diffs around(struct rig *rig, void (*change)(struct rig *rig))
{
	struct mmu_snap *from = take(rig, rig->regs, 1);

	change(rig);
	return compare(rig, from, take(rig, rig->regs, 1), NULL);
}

/* The pages are numbered alike in both spaces, so they are one run. */
Test(snap, take_when_pages_follow_each_other_then_one_run)
{
	struct rig *rig = rig_four_levels();
	struct mmu_snap *snap = take(rig, rig->regs, RIG_VCPUS);

	cr_assert_eq(mmu_snap_roots(snap), 1u, "both vCPUs have the same tables");
	cr_assert_eq(mmu_snap_runs(snap), 1u);
	mmu_snap_free(snap);
	rig_finish(rig);
}

static void map_and_unmap(struct rig *rig)
{
	rig_put64(rig, RIG_PT + 8ull * 3, 0);
	rig_put64(rig, RIG_PT + 8ull * 4, 0);
	rig_put64(rig, RIG_PD + 8, RIG_PML4B | RIG_RW);
	rig_put64(rig, RIG_PML4B, 0x9000 | RIG_RW);
	rig_put64(rig, RIG_PT + 8ull * 7, 0x7000 | X86_PTE_P);
	rig_put64(rig, RIG_PT + 8ull * 9, 0x10000 | RIG_RW);
	rig_put64(rig, RIG_PT + 8ull * 11, 0xb000 | RIG_RWD); /* D alone */
}

Test(snap, diff_when_mappings_changed_then_exactly_those)
{
	struct rig *rig = rig_four_levels();
	struct diffs d = around(rig, map_and_unmap);

	cr_assert_eq(d.count, 4u);
	cr_assert_eq(d.diff[0].kind, MMU_DIFF_REMOVED);
	cr_assert_eq(d.diff[0].gva, 0x3000u);
	cr_assert_eq(d.diff[0].len, 0x2000u);
	cr_assert_eq(d.diff[0].before.gpa, 0x3000u);
	cr_assert(!d.diff[0].after.is_present);
	cr_assert_eq(d.diff[0].cr3, (uint64_t)RIG_PML4);
	cr_assert_eq(d.diff[1].kind, MMU_DIFF_CHANGED);
	cr_assert_eq(d.diff[1].gva, 0x7000u);
	cr_assert_eq(d.diff[1].before.can, MMU_MAP_W | MMU_MAP_U | MMU_MAP_X);
	cr_assert_eq(d.diff[1].after.can, MMU_MAP_X);
	cr_assert_eq(d.diff[2].gva, 0x9000u);
	cr_assert_eq(d.diff[2].before.gpa, 0x9000u);
	cr_assert_eq(d.diff[2].after.gpa, 0x10000u);
	cr_assert_eq(d.diff[3].kind, MMU_DIFF_ADDED);
	cr_assert_eq(d.diff[3].gva, 0x200000u);
	cr_assert_eq(d.diff[3].len, 0x1000u);
	rig_finish(rig);
}

/* 512 entries that map what the large page mapped, but for one. */
static void split(struct rig *rig)
{
	unsigned i;

	for (i = 0; i < 512; i++)
		rig_put64(rig, 0x6000 + 8ull * i, (i == 5 ? 0x8000 : i * 0x1000ull) | RIG_RW);
	rig_put64(rig, RIG_PD + 8, 0x6000 | RIG_RW);
}

Test(snap, diff_when_a_large_page_is_split_then_only_what_it_maps_counts)
{
	struct rig *rig = rig_four_levels();
	struct diffs d;

	rig_put64(rig, RIG_PD + 8, RIG_RW | X86_PTE_PS);
	d = around(rig, split);
	cr_assert_eq(d.count, 1u);
	cr_assert_eq(d.diff[0].gva, 0x205000u);
	cr_assert_eq(d.diff[0].len, 0x1000u);
	cr_assert_eq(d.diff[0].before.gpa, 0x5000u);
	cr_assert_eq(d.diff[0].after.gpa, 0x8000u);
	rig_finish(rig);
}

/* An entry above the leaves takes 512 pages away, and one takes a right from them. */
static void close_upper(struct rig *rig)
{
	rig_put64(rig, RIG_PDPT, RIG_PD | (RIG_RW & ~X86_PTE_RW));
}

Test(snap, diff_when_an_upper_entry_changed_then_all_below_it)
{
	struct rig *rig = rig_four_levels();
	struct diffs d = around(rig, close_upper);

	cr_assert_eq(d.count, 1u);
	cr_assert_eq(d.diff[0].len, 0x200000u);
	cr_assert_eq(d.diff[0].after.can, MMU_MAP_U | MMU_MAP_X);
	rig_finish(rig);
}

Test(snap, diff_when_the_history_knows_then_the_writer_of_each_page)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history;
	struct mmu_snap *from;
	struct diffs d;
	unsigned i;

	cr_assert_eq(mmu_history_create(&history, rig->mmu, 64, NULL), 0);
	rig_touch(rig, 0, 0);
	rig->rip = 0x66;
	rig_put64(rig, RIG_PT + 8ull * 40, 0x8000 | RIG_RW); /* before: not to blame */
	from = take(rig, rig->regs, 1);
	for (i = 0; i < 6; i++) {
		rig->rip = i < 4 ? 0x100 : 0x200;
		rig_put64(rig, RIG_PT + 8ull * (20 + i), 0);
	}
	rig->rip = 0x300;
	mem_poke(rig->mem, RIG_PT + 8ull * 40, "\0\0\0\0\0\0\0", 8);
	mem_poke(rig->copy, RIG_PT + 8ull * 40, "\0\0\0\0\0\0\0", 8);
	d = compare(rig, from, take(rig, rig->regs, 1), history);
	cr_assert_eq(d.count, 3u);
	cr_assert_eq(d.diff[0].gva, 0x14000u);
	cr_assert_eq(d.diff[0].len, 0x4000u);
	cr_assert(d.diff[0].has_writer);
	cr_assert_eq(d.diff[0].writer.rip, 0x100u);
	cr_assert_eq(d.diff[0].entry_gpa, (gpa_t)RIG_PT + 8 * 20);
	cr_assert_eq(d.diff[1].gva, 0x18000u);
	cr_assert_eq(d.diff[1].len, 0x2000u);
	cr_assert_eq(d.diff[1].writer.rip, 0x200u);
	cr_assert_eq(d.diff[2].writer.vcpu, MMU_NO_VCPU, "the debugger itself");
	mmu_history_destroy(history);
	rig_finish(rig);
}

Test(snap, diff_when_a_root_comes_and_goes_then_all_its_pages)
{
	struct rig *rig = rig_four_levels();
	struct x86_paging roots[2] = {rig->regs[0], rig->regs[0]};
	struct diffs d;

	roots[1].cr3 = RIG_PML4B;
	rig_put64(rig, RIG_PML4B + 8ull * 511, RIG_PDPT | RIG_RW);
	d = compare(rig, take(rig, roots, 1), take(rig, roots + 1, 1), NULL);
	cr_assert_eq(d.count, 2u);
	cr_assert_eq(d.diff[0].kind, MMU_DIFF_REMOVED);
	cr_assert_eq(d.diff[0].cr3, (uint64_t)RIG_PML4);
	cr_assert_eq(d.diff[1].kind, MMU_DIFF_ADDED);
	cr_assert_eq(d.diff[1].cr3, (uint64_t)RIG_PML4B);
	cr_assert_eq(d.diff[1].gva, 0xffffff8000000000ull);
	cr_assert_eq(d.diff[1].len, 0x200000u);
	rig_finish(rig);
}

/* The last page of the address space: the address behind it is 0. */
Test(snap, diff_when_the_last_page_is_mapped_then_it_ends_there)
{
	struct rig *rig = rig_four_levels();
	struct mmu_snap *from = take(rig, rig->regs, 1);
	struct diffs d;

	rig_put64(rig, RIG_PML4 + 8ull * 511, 0x10000 | RIG_RW);
	rig_put64(rig, 0x10000 + 8ull * 511, 0x11000 | RIG_RW);
	rig_put64(rig, 0x11000 + 8ull * 511, 0x12000 | RIG_RW);
	rig_put64(rig, 0x12000 + 8ull * 511, 0x8000 | RIG_RW);
	d = compare(rig, from, take(rig, rig->regs, 1), NULL);
	cr_assert_eq(d.count, 1u);
	cr_assert_eq(d.diff[0].gva, 0xfffffffffffff000ull);
	rig_finish(rig);
}

/* Every level leads to itself: more than anybody means to map. */
Test(snap, take_when_tables_never_end_then_refused)
{
	struct rig *rig = rig_four_levels();
	const struct mmu_snap_source source = {.root = rig->regs, .root_count = 1, .mem = rig->mem};
	struct mmu_snap *snap;
	unsigned i;

	for (i = 0; i < 512; i++)
		rig_put64(rig, RIG_PML4 + 8ull * i, RIG_PML4 | RIG_RW);
	cr_assert_eq(mmu_snap_take(&snap, &source, NULL), -E2BIG);
	rig_destroy(rig);
}

Test(snap, names_when_used_then_replaced_found_and_bounded)
{
	struct rig *rig = rig_four_levels();
	struct mmu_snaps snaps = {0};
	struct mmu_snap *snap = NULL;
	unsigned i;

	for (i = 0; i < MMU_SNAPS_MAX; i++) {
		const char name[] = {(char)('a' + i), 0};

		cr_assert_eq(mmu_snaps_put(&snaps, name, take(rig, rig->regs, 1)), 0);
	}
	snap = take(rig, rig->regs, 1);
	cr_assert_eq(mmu_snaps_put(&snaps, "more", snap), -ENOSPC);
	cr_assert_eq(mmu_snaps_put(&snaps, "", snap), -EINVAL);
	cr_assert_eq(mmu_snaps_put(&snaps, "b", snap), 0);
	cr_assert_eq(mmu_snaps_get(&snaps, "b"), snap);
	cr_assert_null(mmu_snaps_get(&snaps, ""));
	cr_assert_eq(mmu_snaps_drop(&snaps, "b"), 0);
	cr_assert_eq(mmu_snaps_drop(&snaps, "b"), -ENOENT);
	mmu_snaps_clear(&snaps);
	cr_assert_null(mmu_snaps_get(&snaps, "a"));
	rig_finish(rig);
}

/* Leaves: what they say of every address is what a walk says, in every mode, over random tables. */

static bool check_leaf(void *arg, const struct mmu_leaf *leaf)
{
	struct rig *rig = arg;
	uint64_t at[2] = {0, leaf->size - 1};
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct x86_walk walk;

		cr_assert_eq(x86_walk_paging(rig->regs, leaf->gva + at[i], mem_phys_read, rig->mem,
					     &walk),
			     0);
		cr_assert_eq(walk.gpa, leaf->map.gpa + at[i]);
		cr_assert_eq(walk.page_size, leaf->size);
	}
	rig->forgets++; /* a counter that nobody needs here */
	return true;
}

/* Addresses that are mapped by a walk, of one each 4 KiB in the low 4 MiB and above. */
static unsigned count_by_walk(struct rig *rig, gva_t lo, gva_t hi)
{
	unsigned count = 0;
	gva_t last = ~0ull, gva;

	for (gva = lo; gva <= hi; gva += 0x1000) {
		struct x86_walk walk;

		if (x86_walk_paging(rig->regs, gva, mem_phys_read, rig->mem, &walk) < 0)
			continue;
		if (last == ~0ull || (gva & ~(walk.page_size - 1)) != last)
			count++;
		last = gva & ~(walk.page_size - 1);
	}
	return count;
}

static void fill_tables(struct rig *rig)
{
	unsigned i;

	for (i = 0; i < 8 * 512; i++) {
		uint64_t entry = (rig_random(rig, 8) + 1) * 0x1000 | rig_random(rig, 4096);

		entry &= ~(rig_random(rig, 4) ? X86_PTE_PS : 0);
		entry |= rig_random(rig, 3) ? X86_PTE_P : 0;
		entry |= rig_random(rig, 16) ? 0 : 1ull << 45; /* reserved */
		rig_put64(rig, 0x1000 + 8ull * i, entry);
	}
}

Test(snap, leaves_when_tables_are_random_then_as_walks_say)
{
	static const enum x86_paging_mode modes[] = {X86_PAGING_32BIT, X86_PAGING_PAE,
						     X86_PAGING_4LEVEL, X86_PAGING_5LEVEL};
	struct rig *rig = rig_create(0, false);
	unsigned i;

	for (i = 0; i < 32; i++) {
		const gva_t lo = 0x123000, hi = 0x9fffff;
		int rc;

		fill_tables(rig);
		rig->regs[0] = rig_regs(modes[i % 4], 0x1000);
		rig->forgets = 0;
		rc = mmu_each_leaf(rig->regs, lo, hi, rig->mem, check_leaf, rig);
		cr_assert_eq(rc, 0);
		cr_assert_eq(rig->forgets, count_by_walk(rig, lo, hi), "mode %u", modes[i % 4]);
	}
	rig_destroy(rig);
}
