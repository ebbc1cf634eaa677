/* Table entries that changed between stops: see umbra/mmu_lazy.h. */
#include "umbra/mmu_lazy.h"

#include "leaves.h"
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>

#define CHAINS 4096u

struct table {
	struct table *chain, *next; /* in its hash chain, and in the list of all */
	gpa_t gpa;
	unsigned entry_bytes; /* as the root has them that led here last */
	bool is_written;
	bool is_reached; /* in the look under way */
	bool is_new;	 /* likewise: its bytes are not known yet */
	uint8_t bytes[UMBRA_PAGE_SIZE];
};

struct mmu_lazy {
	struct table *hash[CHAINS];
	struct table *first; /* in no order */
	struct table **last;
	struct mmu_lazy_stats stats;
	struct mmu_lazy_change change[MMU_LAZY_CHANGES];
	/* The look under way. */
	unsigned entry_bytes;
	bool is_short_of_memory;
};

int mmu_lazy_create(struct mmu_lazy **out_lazy, struct umbra_err *err)
{
	struct mmu_lazy *lazy = calloc(1, sizeof(*lazy));

	if (!lazy)
		return umbra_err_set(err, ENOMEM, "no memory to follow tables between stops");
	lazy->last = &lazy->first;
	*out_lazy = lazy;
	return 0;
}

void mmu_lazy_destroy(struct mmu_lazy *lazy)
{
	struct table *table = lazy ? lazy->first : NULL;

	while (table) {
		struct table *next = table->next;

		free(table);
		table = next;
	}
	free(lazy);
}

/* Tables. */

static struct table **chain_of(struct mmu_lazy *lazy, gpa_t gpa)
{
	return &lazy->hash[(gpa >> 12) % CHAINS];
}

static struct table *find(struct mmu_lazy *lazy, gpa_t gpa)
{
	struct table *table = *chain_of(lazy, gpa);

	while (table && table->gpa != gpa)
		table = table->chain;
	return table;
}

static struct table *make(struct mmu_lazy *lazy, gpa_t gpa)
{
	struct table **chain = chain_of(lazy, gpa);
	struct table *table = NULL;

	if (lazy->stats.tables < MMU_LAZY_TABLES) {
		table = calloc(1, sizeof(*table));
		lazy->is_short_of_memory |= !table;
	} else {
		lazy->stats.is_cut = true;
	}
	if (!table)
		return NULL;
	table->gpa = gpa;
	table->is_new = true;
	table->chain = *chain;
	*chain = table;
	*lazy->last = table;
	lazy->last = &table->next;
	lazy->stats.tables++;
	return table;
}

static void unhash(struct mmu_lazy *lazy, struct table *table)
{
	struct table **at = chain_of(lazy, table->gpa);

	while (*at != table)
		at = &(*at)->chain;
	*at = table->chain;
}

/* Noting. */

void mmu_lazy_note(void *lazy_, gpa_t first, uint64_t written)
{
	struct mmu_lazy *lazy = lazy_;

	for (; written; written &= written - 1) {
		gpa_t gpa = first + (gpa_t)__builtin_ctzll(written) * UMBRA_PAGE_SIZE;
		struct table *table = find(lazy, gpa);

		if (table)
			table->is_written = true;
	}
}

void mmu_lazy_note_all(struct mmu_lazy *lazy)
{
	struct table *table;

	for (table = lazy->first; table; table = table->next)
		table->is_written = true;
}

/* Looking. */

static uint64_t entry_at(const uint8_t *at, unsigned bytes)
{
	return bytes == 4 ? le32_get(at) : le64_get(at);
}

static void add_change(struct mmu_lazy *lazy, const struct table *table, unsigned offset,
		       uint64_t old, uint64_t now)
{
	const uint64_t ad = X86_PTE_A | X86_PTE_D;

	if (lazy->stats.changes == MMU_LAZY_CHANGES) {
		lazy->stats.is_cut = true;
		return;
	}
	lazy->change[lazy->stats.changes++] = (struct mmu_lazy_change){
		.gpa = table->gpa + offset,
		.bytes = table->entry_bytes,
		.old = old,
		.now = now,
		.is_ad_only = (old & X86_PTE_P) && ((old ^ now) & ~ad) == 0,
	};
}

static void compare(struct mmu_lazy *lazy, struct table *table, const struct mem_space *mem)
{
	uint8_t now[UMBRA_PAGE_SIZE];
	unsigned bytes = table->entry_bytes, i;

	lazy->stats.compared++;
	table->is_written = false;
	if (mem_peek(mem, table->gpa, now, sizeof(now)) != sizeof(now))
		memset(now, 0xff, sizeof(now));
	for (i = 0; i < UMBRA_PAGE_SIZE; i += bytes) {
		if (memcmp(now + i, table->bytes + i, bytes) != 0)
			add_change(lazy, table, i, entry_at(table->bytes + i, bytes),
				   entry_at(now + i, bytes));
	}
	memcpy(table->bytes, now, sizeof(now));
}

static void reach(void *arg, gpa_t gpa)
{
	struct mmu_lazy *lazy = arg;
	struct table *table = find(lazy, gpa & UMBRA_PAGE_MASK);

	if (!table)
		table = make(lazy, gpa & UMBRA_PAGE_MASK);
	if (!table)
		return;
	table->is_reached = true;
	table->entry_bytes = lazy->entry_bytes;
}

static void follow_roots(struct mmu_lazy *lazy, const struct mmu_snap_source *source)
{
	const struct mmu_leaf_sink sink = {.table = reach, .arg = lazy};
	unsigned i;

	for (i = 0; i < source->root_count; i++) {
		const struct x86_paging *root = &source->root[i];

		lazy->entry_bytes = x86_paging_mode(root) == X86_PAGING_32BIT ? 4 : 8;
		(void)mmu_each_leaf_and_table(root, 0, ~0ull, source->mem, &sink);
	}
}

/* Tables that nothing leads to go; new ones are read. */
static void settle(struct mmu_lazy *lazy, const struct mem_space *mem)
{
	struct table **at = &lazy->first;

	while (*at) {
		struct table *table = *at;

		if (!table->is_reached) {
			*at = table->next;
			unhash(lazy, table);
			free(table);
			lazy->stats.tables--;
			continue;
		}
		if (table->is_new && mem_peek(mem, table->gpa, table->bytes,
					      sizeof(table->bytes)) != sizeof(table->bytes))
			memset(table->bytes, 0xff, sizeof(table->bytes));
		table->is_new = false;
		table->is_reached = false;
		at = &table->next;
	}
	lazy->last = at;
}

int mmu_lazy_look(struct mmu_lazy *lazy, const struct mmu_snap_source *source)
{
	struct table *table;

	lazy->stats.looks++;
	lazy->stats.changes = 0;
	lazy->stats.is_cut = false;
	lazy->is_short_of_memory = false;
	for (table = lazy->first; table; table = table->next) {
		if (table->is_written)
			compare(lazy, table, source->mem);
	}
	follow_roots(lazy, source);
	settle(lazy, source->mem);
	return lazy->is_short_of_memory ? -ENOMEM : 0;
}

bool mmu_lazy_change_at(const struct mmu_lazy *lazy, unsigned index,
			struct mmu_lazy_change *out_change)
{
	if (index >= lazy->stats.changes)
		return false;
	*out_change = lazy->change[index];
	return true;
}

static int compare_gpas(const void *a, const void *b)
{
	gpa_t x = *(const gpa_t *)a, y = *(const gpa_t *)b;

	return (x > y) - (x < y);
}

unsigned mmu_lazy_tables(const struct mmu_lazy *lazy, gpa_t *out_table, unsigned max)
{
	const struct table *table;
	unsigned n = 0;

	for (table = lazy->first; table && n < max; table = table->next)
		out_table[n++] = table->gpa;
	qsort(out_table, n, sizeof(*out_table), compare_gpas);
	return n;
}

void mmu_lazy_stats(const struct mmu_lazy *lazy, struct mmu_lazy_stats *out_stats)
{
	*out_stats = lazy->stats;
}
