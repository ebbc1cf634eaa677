/* Map breaks: what each page of a range is mapped to, kept beside the tables that decide it.
 *
 * The tables on every way to the range are pinned, so that no write to them goes unseen, those that
 * no translation went through included.  After a write to one of them, or a walk that set A or D,
 * the range is read again and compared.  Reading comes after pinning and after every micro-TLB has
 * forgotten, and is done again when it leads to a table that was not pinned: what it finds cannot
 * have been changed unseen. */
#include "breaks.h"
#include "leaves.h"

#include <errno.h>
#include <stdlib.h>

/* Of a break for every root: beyond, new ones are not watched. */
#define ROOTS_MAX 32u
/* On the ways to a range: 16 MiB are under 9 page tables, and few above. */
#define TABLES_MAX 128u
#define AD_A	   1u
#define AD_D	   2u

/* What is known of one page. */
struct page_state {
	struct mmu_page_map map;
	uint8_t ad;
};

/* The range in one root. */
struct map_root {
	struct x86_paging regs;
	struct root_key key;
	unsigned table_count;
	uint64_t table[TABLES_MAX]; /* gfns, pinned */
	struct page_state *page;
};

struct map_watch {
	gva_t first; /* page */
	unsigned pages;
	unsigned on;
	bool is_any_root;
	unsigned root_count;
	struct map_root *root[ROOTS_MAX];
	struct page_state *scratch;
};

/* Reading the range. */

struct reading {
	struct mmu *mmu;
	const struct map_watch *watch;
	struct page_state *page;
	unsigned table_count;
	uint64_t table[TABLES_MAX];
	bool is_overflow;
};

static bool note_leaf(void *arg, const struct mmu_leaf *leaf)
{
	const struct reading *r = arg;
	gva_t first = r->watch->first;
	gva_t last = first + ((uint64_t)r->watch->pages - 1) * UMBRA_PAGE_SIZE;
	gva_t gva = leaf->gva > first ? leaf->gva : first;
	gva_t leaf_last = leaf->gva + (leaf->size - UMBRA_PAGE_SIZE);
	uint64_t n = ((leaf_last < last ? leaf_last : last) - gva) / UMBRA_PAGE_SIZE + 1, i;
	struct page_state *page = &r->page[(gva - first) / UMBRA_PAGE_SIZE];

	for (i = 0; i < n; i++) {
		page[i].map = leaf->map;
		page[i].map.gpa += gva - leaf->gva + i * UMBRA_PAGE_SIZE;
		page[i].map.can &= (uint8_t)~MMU_MAP_G;
		page[i].ad = (leaf->is_accessed ? AD_A : 0) | (leaf->is_dirty ? AD_D : 0);
	}
	return true;
}

static bool has_table(const uint64_t *table, unsigned count, uint64_t gfn)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		if (table[i] == gfn)
			return true;
	}
	return false;
}

static void note_table(void *arg, gpa_t gpa)
{
	struct reading *r = arg;
	uint64_t gfn = gpa >> SHADOW_GFN_SHIFT;

	if (has_table(r->table, r->table_count, gfn))
		return;
	if (r->table_count < TABLES_MAX)
		r->table[r->table_count++] = gfn;
	else
		r->is_overflow = true;
}

static int read_range(struct mmu *mmu, const struct map_watch *watch, const struct x86_paging *regs,
		      struct reading *r)
{
	const struct mmu_leaf_sink sink = {note_leaf, note_table, r};
	gva_t last = watch->first + (uint64_t)watch->pages * UMBRA_PAGE_SIZE - 1;
	int rc;

	r->table_count = 0;
	memset(r->page, 0, watch->pages * sizeof(*r->page));
	rc = mmu_each_leaf_and_table(regs, watch->first, last, mmu->mem, &sink);
	return r->is_overflow ? -E2BIG : rc;
}

/* Pin what @r found and @root does not have.  Returns true when there was something. */
static bool pin_new(struct mmu *mmu, struct map_root *root, const struct reading *r)
{
	bool is_new = false;
	unsigned i;

	for (i = 0; i < r->table_count && root->table_count < TABLES_MAX; i++) {
		if (has_table(root->table, root->table_count, r->table[i]) ||
		    !frame_pin(mmu, r->table[i]))
			continue;
		root->table[root->table_count++] = r->table[i];
		is_new = true;
	}
	if (is_new)
		forget_flush(mmu);
	return is_new;
}

static void unpin_old(struct mmu *mmu, struct map_root *root, const struct reading *r)
{
	unsigned from, to = 0;

	for (from = 0; from < root->table_count; from++) {
		if (has_table(r->table, r->table_count, root->table[from]))
			root->table[to++] = root->table[from];
		else
			frame_unpin(mmu, root->table[from]);
	}
	root->table_count = to;
}

/* Into watch->scratch.  Returns 0, or as mmu_each_leaf. */
static int read_root(struct mmu *mmu, const struct map_watch *watch, struct map_root *root)
{
	struct reading r = {.mmu = mmu, .watch = watch, .page = watch->scratch};
	int rc;

	do {
		rc = read_range(mmu, watch, &root->regs, &r);
		if (rc < 0)
			return rc;
		unpin_old(mmu, root, &r);
	} while (pin_new(mmu, root, &r));
	return 0;
}

static void accept(const struct map_watch *watch, struct map_root *root)
{
	memcpy(root->page, watch->scratch, watch->pages * sizeof(*root->page));
}

/* Life. */

static void root_destroy(struct mmu *mmu, struct map_root *root)
{
	unsigned i;

	for (i = 0; i < root->table_count; i++)
		frame_unpin(mmu, root->table[i]);
	free(root->page);
	free(root);
}

/* Records that differ in what rights are judged by share their tables. */
static bool has_same_tables(const struct root_key *a, const struct root_key *b)
{
	return a->base == b->base && a->mode == b->mode &&
	       ((a->bits ^ b->bits) & (ROOT_NXE | ROOT_PSE)) == 0 &&
	       (a->mode == X86_PAGING_PAE || memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) == 0);
}

/* PAE's key is its registers; a root is known by the CR3 that they were loaded from. */
static struct root_key key_of(const struct x86_paging *regs)
{
	struct root_key key;

	root_make_key(regs, &key);
	if (key.mode == X86_PAGING_PAE)
		key.base = regs->cr3 & BITS(31, 5);
	return key;
}

static struct map_root *find_root(const struct map_watch *watch, const struct root_key *key)
{
	unsigned i;

	for (i = 0; i < watch->root_count; i++) {
		if (has_same_tables(&watch->root[i]->key, key))
			return watch->root[i];
	}
	return NULL;
}

static int add_root(struct mmu *mmu, struct map_watch *watch, const struct x86_paging *regs)
{
	struct root_key key = key_of(regs);
	struct map_root *root;
	int rc;

	if (key.mode == X86_PAGING_NONE || find_root(watch, &key) || watch->root_count == ROOTS_MAX)
		return 0;
	root = calloc(1, sizeof(*root));
	if (!root)
		return -ENOMEM;
	root->regs = *regs;
	root_normalize_regs(mmu, &root->regs);
	root->key = key;
	root->page = calloc(watch->pages, sizeof(*root->page));
	rc = root->page ? read_root(mmu, watch, root) : -ENOMEM;
	if (rc < 0) {
		root_destroy(mmu, root);
		return rc;
	}
	accept(watch, root);
	watch->root[watch->root_count++] = root;
	return 0;
}

static int add_known_roots(struct mmu *mmu, struct map_watch *watch)
{
	unsigned i;
	int rc = 0;

	for (i = 0; rc == 0 && i < mmu->max_roots; i++) {
		const struct mmu_root *root = &mmu->root[i];

		if (root->id &&
		    (root->users || root->top[0] || root->top[1] || root->top[2] || root->top[3]))
			rc = add_root(mmu, watch, &root->regs);
	}
	return rc;
}

struct map_watch *map_watch_create(struct mmu *mmu, const struct mmu_break *what, int *out_error)
{
	struct map_watch *watch = calloc(1, sizeof(*watch));

	*out_error = -ENOMEM;
	if (!watch)
		return NULL;
	watch->first = what->gva & UMBRA_PAGE_MASK;
	watch->pages =
		(unsigned)((((what->gva + (what->len - 1)) & UMBRA_PAGE_MASK) - watch->first) /
			   UMBRA_PAGE_SIZE) +
		1;
	watch->on = what->on;
	watch->is_any_root = what->is_any_root;
	watch->scratch = calloc(watch->pages, sizeof(*watch->scratch));
	if (watch->scratch)
		*out_error = what->is_any_root ? add_known_roots(mmu, watch)
					       : add_root(mmu, watch, &what->root);
	if (*out_error == 0)
		return watch;
	map_watch_destroy(mmu, watch);
	return NULL;
}

void map_watch_destroy(struct mmu *mmu, struct map_watch *watch)
{
	unsigned i;

	if (!watch)
		return;
	for (i = 0; i < watch->root_count; i++)
		root_destroy(mmu, watch->root[i]);
	free(watch->scratch);
	free(watch);
}

/* Looking. */

static unsigned change_of(const struct page_state *before, const struct page_state *after)
{
	const struct mmu_page_map *a = &before->map, *b = &after->map;
	unsigned change = 0;

	if (!a->is_present || !b->is_present) {
		if (a->is_present)
			return MMU_CHANGE_GONE;
		return b->is_present ? MMU_CHANGE_PRESENT : 0;
	}
	if (a->gpa != b->gpa)
		change |= MMU_CHANGE_GPA;
	if (a->can != b->can || a->pkey != b->pkey)
		change |= MMU_CHANGE_RIGHTS;
	if (before->ad != after->ad)
		change |= MMU_CHANGE_AD;
	return change;
}

/* The first page that changed as the break asks for, and the number of such pages. */
static bool compare(const struct map_watch *watch, const struct map_root *root,
		    struct mmu_stop *stop)
{
	unsigned i;

	stop->pages = 0;
	for (i = 0; i < watch->pages; i++) {
		const struct page_state *before = &root->page[i], *after = &watch->scratch[i];
		unsigned change = change_of(before, after);

		if (!(change & watch->on) || stop->pages++ > 0)
			continue;
		stop->has_gva = true;
		stop->gva = watch->first + (uint64_t)i * UMBRA_PAGE_SIZE;
		stop->cr3 = root->regs.cr3;
		stop->change = change & (watch->on | MMU_CHANGE_MOST);
		stop->before = before->map;
		stop->after = after->map;
		stop->ad_before = before->ad;
		stop->ad_after = after->ad;
	}
	return stop->pages > 0;
}

static bool look_at_root(struct mmu *mmu, const struct map_watch *watch, struct map_root *root,
			 struct mmu_stop *stop)
{
	bool is_changed;

	if (read_root(mmu, watch, root) < 0)
		return false;
	is_changed = compare(watch, root, stop);
	accept(watch, root);
	return is_changed;
}

/* The walk has set bits already: the entry before is what it was without them. */
static void set_walk_entry(struct mmu_stop *stop, const struct mmu_event *event)
{
	const struct x86_walk_step *last = &event->walk->step[event->walk->step_count - 1];

	stop->has_entry = true;
	stop->entry_gpa = last->entry_gpa;
	stop->now = last->entry;
	stop->old = last->entry & ~((event->set_dirty ? X86_PTE_D : 0) |
				    (event->set_accessed >> last->level & 1 ? X86_PTE_A : 0));
}

static bool walk_touches(const struct map_root *root, const struct x86_walk *walk)
{
	unsigned i;

	for (i = 0; i < walk->step_count; i++) {
		if (has_table(root->table, root->table_count,
			      walk->step[i].entry_gpa >> SHADOW_GFN_SHIFT))
			return true;
	}
	return false;
}

static bool decides(const struct map_root *root, const struct mmu_event *event)
{
	if (event->kind == MMU_EVENT_WALK)
		return (event->set_accessed || event->set_dirty) && walk_touches(root, event->walk);
	return has_table(root->table, root->table_count, event->gpa >> SHADOW_GFN_SHIFT);
}

/* Another load of a root's CR3 may bring other PDPTEs; one that is new is known from now on. */
static bool look_at_load(struct mmu *mmu, struct map_watch *watch, const struct mmu_event *event,
			 struct mmu_stop *stop)
{
	const struct x86_paging *regs = &mmu->vcpu[event->vcpu].regs;
	struct root_key key = key_of(regs);
	struct map_root *root = find_root(watch, &key);

	if (!root && watch->is_any_root)
		add_root(mmu, watch, regs);
	if (!root || key.mode != X86_PAGING_PAE)
		return false;
	memcpy(root->regs.pdpte, regs->pdpte, sizeof(regs->pdpte));
	return look_at_root(mmu, watch, root, stop);
}

bool map_watch_look(struct mmu *mmu, struct map_watch *watch, const struct mmu_event *event,
		    struct mmu_stop *stop)
{
	bool is_changed = false;
	unsigned i;

	if (event->kind == MMU_EVENT_CR3)
		return look_at_load(mmu, watch, event, stop);
	for (i = 0; i < watch->root_count; i++) {
		struct map_root *root = watch->root[i];
		struct mmu_stop other = *stop;

		if (!decides(root, event) || !look_at_root(mmu, watch, root, &other) || is_changed)
			continue;
		is_changed = true;
		*stop = other;
		if (event->kind == MMU_EVENT_WALK)
			set_walk_entry(stop, event);
		else
			break_set_entry(stop, event, root->key.mode == X86_PAGING_32BIT ? 4 : 8);
	}
	return is_changed;
}
