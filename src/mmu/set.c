/* Sets of 64-bit keys for those who read tables: open addressing, doubled when half full. */
#include "umbra/mmu_view.h"

#include <stdlib.h>

#define SLOTS_MIN 1024u

/* Keys are stored with one bit turned, so that an empty slot is no key that a table has. */
#define EMPTY 0u
#define MARK  (1ull << 63)

struct slot {
	uint64_t key;	/* or EMPTY */
	uint64_t order; /* of coming: 0 is the first */
};

struct mmu_set {
	struct slot *slot;
	uint64_t mask, used;
};

struct mmu_set *mmu_set_create(void)
{
	struct mmu_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->slot = calloc(SLOTS_MIN, sizeof(*set->slot));
	set->mask = SLOTS_MIN - 1;
	if (set->slot)
		return set;
	free(set);
	return NULL;
}

void mmu_set_destroy(struct mmu_set *set)
{
	if (!set)
		return;
	free(set->slot);
	free(set);
}

/* The slot of @key: its own, or the empty one where it belongs. */
static struct slot *find_slot(const struct mmu_set *set, uint64_t key)
{
	uint64_t i = (key * 0x9e3779b97f4a7c15ull) >> 20;

	while (set->slot[i & set->mask].key != EMPTY &&
	       set->slot[i & set->mask].key != (key ^ MARK))
		i++;
	return &set->slot[i & set->mask];
}

static bool grow(struct mmu_set *set)
{
	struct mmu_set bigger = {.mask = set->mask * 2 + 1, .used = set->used};

	bigger.slot = calloc(bigger.mask + 1, sizeof(*bigger.slot));
	if (!bigger.slot)
		return false;
	for (uint64_t i = 0; i <= set->mask; i++) {
		if (set->slot[i].key != EMPTY)
			*find_slot(&bigger, set->slot[i].key ^ MARK) = set->slot[i];
	}
	free(set->slot);
	*set = bigger;
	return true;
}

bool mmu_set_add(struct mmu_set *set, uint64_t key)
{
	struct slot *slot = find_slot(set, key);

	if (slot->key != EMPTY)
		return false;
	if (set->used * 2 > set->mask) {
		if (!grow(set))
			return false;
		slot = find_slot(set, key);
	}
	*slot = (struct slot){.key = key ^ MARK, .order = set->used++};
	return true;
}

bool mmu_set_has(const struct mmu_set *set, uint64_t key)
{
	return find_slot(set, key)->key != EMPTY;
}

uint64_t mmu_set_order(const struct mmu_set *set, uint64_t key)
{
	return find_slot(set, key)->order;
}
