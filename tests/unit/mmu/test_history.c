/* The last writer of each table entry. */
#include "mmu_rig.h"
#include "umbra/mmu_history.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct mmu_history *history_of(struct rig *rig, unsigned records)
{
	struct mmu_history *history = NULL;

	cr_assert_eq(mmu_history_create(&history, rig->mmu, records, NULL), 0);
	return history;
}

Test(history, last_when_an_entry_was_written_then_its_writer)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history = history_of(rig, 64);
	struct mmu_history_record record;

	rig_touch(rig, 0x2000, X86_PF_W);
	cr_assert(!mmu_history_last(history, RIG_PT + 16, 8, &record), "A and D are no writes");
	rig->rip = 0x100;
	rig_put64(rig, RIG_PT + 16, 0x9000 | RIG_RW);
	rig->rip = 0x200;
	rig_put64(rig, RIG_PT + 16, 0xa000 | RIG_RW);
	rig->rip = 0x300;
	rig_put64(rig, RIG_PT + 24, 0);
	cr_assert(mmu_history_last(history, RIG_PT + 16, 8, &record));
	cr_assert_eq(record.rip, 0x200u);
	cr_assert_eq(record.vcpu, 0u);
	cr_assert_eq(record.old, 0x9000 | RIG_RW);
	cr_assert_eq(record.now, 0xa000 | RIG_RW);
	cr_assert_eq(record.gpa, (gpa_t)RIG_PT + 16);
	cr_assert(!mmu_history_last(history, RIG_PT + 32, 8, &record));
	cr_assert(!mmu_history_last(history, RIG_DATA, 8, &record));
	mmu_history_destroy(history);
	rig_finish(rig);
}

/* Two entries of 32-bit paging share a unit; one of 8 bytes has two halves. */
Test(history, last_when_halves_are_written_then_each_is_known)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history = history_of(rig, 64);
	struct mmu_history_record record;

	rig_touch(rig, 0, 0);
	rig->rip = 0x100;
	rig_put32(rig, RIG_PT + 4, 0x80000000);
	cr_assert(!mmu_history_last(history, RIG_PT, 4, &record));
	cr_assert(mmu_history_last(history, RIG_PT + 4, 4, &record));
	cr_assert(mmu_history_last(history, RIG_PT, 8, &record));
	cr_assert_eq(record.rip, 0x100u);
	rig->rip = 0x200;
	rig_put32(rig, RIG_PT, 0x1067);
	cr_assert(mmu_history_last(history, RIG_PT, 8, &record));
	cr_assert_eq(record.rip, 0x200u, "the newer one");
	cr_assert(mmu_history_last(history, RIG_PT + 4, 4, &record));
	cr_assert_eq(record.rip, 0x100u);
	mmu_history_destroy(history);
	rig_finish(rig);
}

Test(history, records_when_full_then_the_longest_unwritten_goes)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history = history_of(rig, 16);
	struct mmu_history_record record;
	struct mmu_history_stats stats;
	unsigned i;

	rig_touch(rig, 0, 0);
	for (i = 0; i < 16; i++)
		rig_put64(rig, RIG_PT + 8ull * i, i << 4);
	rig_put64(rig, RIG_PT, 0x990); /* the first is the newest now */
	for (i = 16; i < 24; i++)
		rig_put64(rig, RIG_PT + 8ull * i, i << 4);
	cr_assert(mmu_history_last(history, RIG_PT, 8, &record));
	for (i = 1; i < 9; i++)
		cr_assert(!mmu_history_last(history, RIG_PT + 8ull * i, 8, &record), "%u", i);
	for (i = 9; i < 24; i++) {
		cr_assert(mmu_history_last(history, RIG_PT + 8ull * i, 8, &record), "%u", i);
		cr_assert_eq(record.now, i << 4);
	}
	mmu_history_stats(history, &stats);
	cr_assert_eq(stats.records, 16u);
	cr_assert_eq(stats.evicted, 8u);
	cr_assert_eq(stats.writes, 25u);
	mmu_history_clear(history);
	cr_assert(!mmu_history_last(history, RIG_PT, 8, &record));
	mmu_history_destroy(history);
	rig_finish(rig);
}

/* Any number of writes leaves the list and the chains in order. */
Test(history, records_when_written_at_random_then_the_newest_are_kept)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history = history_of(rig, 32);
	uint64_t last[512] = {0}, order[512] = {0};
	uint64_t i;

	cr_assert_eq(mmu_pin(rig->mmu, RIG_PT), 0); /* or it would count as data some time */
	for (i = 1; i < 5000; i++) {
		uint64_t n = rig_random(rig, 64);

		last[n] = i << 4;
		order[n] = i;
		rig_put64(rig, RIG_PT + 8 * n, last[n]);
	}
	for (i = 0; i < 64; i++) {
		struct mmu_history_record record;
		unsigned newer = 0, n;

		for (n = 0; n < 64; n++)
			newer += order[n] > order[i];
		cr_assert_eq(mmu_history_last(history, RIG_PT + 8 * i, 8, &record), newer < 32);
		if (newer < 32)
			cr_assert_eq(record.now, last[i]);
	}
	mmu_history_destroy(history);
	rig_finish(rig);
}

Test(history, create_when_too_many_listen_then_refused)
{
	struct rig *rig = rig_four_levels();
	struct mmu_history *history[MMU_LISTENERS_MAX], *more;
	unsigned i;

	for (i = 0; i < MMU_LISTENERS_MAX; i++)
		history[i] = history_of(rig, 16);
	cr_assert_eq(mmu_history_create(&more, rig->mmu, 16, NULL), -ENOSPC);
	for (i = 0; i < MMU_LISTENERS_MAX; i++)
		mmu_history_destroy(history[i]);
	rig_finish(rig);
}
