/* A million random guests: the walk against the slow walker that was written from the SDM. */
#include "walk_rig.h"

#include <criterion/criterion.h>

#define TRIALS 1000000u

/* SplitMix64: the same cases at each run. */
static uint64_t choose_random(void *ctx, unsigned bits)
{
	uint64_t *state = ctx;
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) >> (64 - bits);
}

/* What was seen, so that the cases cannot become all alike unnoticed. */
struct tally {
	unsigned outcome[SLOW_DENIED + 1];
	unsigned ok_in_mode[X86_PAGING_5LEVEL + 1];
	unsigned denied_in_mode[X86_PAGING_5LEVEL + 1];
	unsigned large, marked, dirtied, key_denied;
};

static void count(struct tally *tally, const struct walk_trial *t)
{
	tally->outcome[t->slow.outcome]++;
	if (t->slow.outcome == SLOW_OK)
		tally->ok_in_mode[t->walk.walk.mode]++;
	if (t->slow.outcome == SLOW_DENIED)
		tally->denied_in_mode[t->walk.walk.mode]++;
	tally->large += t->rc == 0 && t->walk.walk.page_size > UMBRA_PAGE_SIZE;
	tally->marked += t->walk.set_accessed != 0;
	tally->dirtied += t->walk.set_dirty;
	tally->key_denied += (t->slow.error_code & X86_PF_PK) != 0;
}

static void check_tally(const struct tally *tally)
{
	unsigned i;

	for (i = 0; i <= SLOW_DENIED; i++)
		cr_expect(tally->outcome[i] > TRIALS / 100, "outcome %u: only %u", i,
			  tally->outcome[i]);
	for (i = X86_PAGING_NONE; i <= X86_PAGING_5LEVEL; i++) {
		cr_expect(tally->ok_in_mode[i] > TRIALS / 100, "mode %u: only %u succeed", i,
			  tally->ok_in_mode[i]);
		cr_expect(i == X86_PAGING_NONE || tally->denied_in_mode[i] > TRIALS / 100,
			  "mode %u: only %u denied", i, tally->denied_in_mode[i]);
	}
	cr_expect_gt(tally->outcome[SLOW_OK], TRIALS / 5);
	cr_expect_gt(tally->large, TRIALS / 100);
	cr_expect_gt(tally->marked, TRIALS / 20);
	cr_expect_gt(tally->dirtied, TRIALS / 100);
	cr_expect_gt(tally->key_denied, TRIALS / 100);
}

Test(mmu_walk_random, walk_when_a_million_random_guests_then_as_the_slow_walker)
{
	struct walk_rig *rig = walk_rig_create();
	struct tally tally = {0};
	uint64_t state = 1;
	struct walk_trial trial;
	unsigned i;

	for (i = 0; i < TRIALS; i++) {
		walk_rig_try(rig, choose_random, &state, &trial);
		if (trial.difference) {
			char text[1024];

			walk_trial_print(&trial, text, sizeof(text));
			cr_assert_fail("trial %u: %s", i, text);
		}
		count(&tally, &trial);
		if (i % 1024 == 0)
			cr_assert(walk_rig_is_memory_equal(rig), "memory after trial %u", i);
	}
	cr_assert(walk_rig_is_memory_equal(rig));
	check_tally(&tally);
	walk_rig_destroy(rig);
}
