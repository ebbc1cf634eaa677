/* Random guests for the page walk: control registers, tables and an access, made of choices that a
 * random generator or a fuzzer takes, and the walk's answer held against slow_walker's.
 *
 * Both walkers have physical memory of their own with the same bytes:
 *   0 .. 32 KiB RAM | hole | 40 .. 48 KiB ROM | hole | 64 GiB .. + 8 KiB RAM | hole */
#ifndef UMBRA_TEST_WALK_RIG_H
#define UMBRA_TEST_WALK_RIG_H

#include "slow_walker.h"
#include "src/mmu/walk.h"

/* Gives @bits (1..64) bits of choice. */
typedef uint64_t (*walk_choose_fn)(void *ctx, unsigned bits);

struct walk_rig;

struct walk_access {
	gva_t va;
	unsigned access; /* X86_PF_W, X86_PF_U, X86_PF_I */
	bool smap_off;
};

/* One case, and what both said of it. */
struct walk_trial {
	struct x86_paging regs;
	struct walk_access access;
	int rc;
	struct mmu_walk walk;
	struct slow_result slow;
	const char *difference; /* NULL, or the name of the first that there is */
};

struct walk_rig *walk_rig_create(void); /* aborts when there is no memory */
void walk_rig_destroy(struct walk_rig *rig);

/* Make registers that a guest can have, tables on the way of an access, and the access; then walk
 * it twice and compare.  The bytes of earlier trials stay in memory. */
void walk_rig_try(struct walk_rig *rig, walk_choose_fn choose, void *ctx,
		  struct walk_trial *out_trial);
/* The same with registers that no guest could have: nothing is compared. */
void walk_rig_try_illegal(struct walk_rig *rig, walk_choose_fn choose, void *ctx);

/* Whether every byte of both memories is equal. */
bool walk_rig_is_memory_equal(const struct walk_rig *rig);

/* The case in words, for a report: at most @size bytes with the final 0. */
void walk_trial_print(const struct walk_trial *trial, char *out, size_t size);

#endif
