/* `mmu roots` and `mmu tables`: the guest's tables themselves. */
#include "mon_mmu.h"

#include <stdlib.h>

#define ROOT_BUDGET (1u << 22) /* entries of one root: `roots` counts all of them */
#define TABLES_MAX  (1u << 20)

/* Roots. */

struct counter {
	uint64_t pages, ranges;
	struct mmu_merge merge;
};

static bool count_range(void *ctx, const struct mmu_range *range)
{
	struct counter *c = ctx;

	c->ranges++;
	c->pages += range->pages;
	return true;
}

static enum mmu_view_step count_page(void *ctx, const struct mmu_mapping *page)
{
	struct counter *c = ctx;

	return mmu_merge_add(&c->merge, page);
}

static void tell_root(struct mmu_call *call, const struct mmu_known_root *root)
{
	struct counter c = {.merge = {.on_range = count_range}};
	struct mmu_view view = {.mem = call->mem,
				.regs = &root->regs,
				.hi = ~0ull,
				.on_page = count_page,
				.ctx = &c};
	struct mon_record *r = &call->record;
	gva_t next;

	c.merge.ctx = &c;
	mmu_run_view(call, &view, ROOT_BUDGET, &next);
	mmu_merge_end(&c.merge);
	record_begin(r, "root");
	record_hex(r, "cr3", root->regs.cr3);
	record_string(r, "paging", mmu_mode_name(x86_paging_mode(&root->regs)));
	if (root->regs.cr4 & X86_CR4_PCIDE)
		record_number(r, "pcid", root->regs.cr3 & 0xfff);
	record_number(r, call->mmu ? "loads" : "stops", root->loads);
	if (root->last_load)
		record_number(r, "last_load", root->last_load);
	record_number(r, "cpus", root->users);
	if (call->mmu)
		record_bool(r, "shadowed", root->is_shadowed);
	record_number(r, "pages", c.pages);
	record_number(r, "ranges", c.ranges);
	record_end(r);
}

void mmu_word_roots(struct mmu_call *call)
{
	struct mmu_roots roots;
	unsigned i;

	mmu_roots_get(call->target, &roots);
	i = (unsigned)u64_min(roots.count, call->from);
	while (i < roots.count && mmu_has_room(call))
		tell_root(call, &roots.root[i++]);
	if (i < roots.count)
		mmu_tell_more(call, i);
}

/* Tables. */

struct known_table {
	struct mmu_table table;
	uint64_t parents; /* entries that name it */
	unsigned present; /* of its own */
};

struct table_search {
	struct mmu_set *seen;
	struct known_table *known;
	size_t count, max;
};

static unsigned count_present(const struct mmu_table *table)
{
	unsigned present = 0;

	for (unsigned i = 0; table->bytes && i < table->entries; i++)
		present += table->bytes[(size_t)i * table->entry_bytes] & X86_PTE_P;
	return present;
}

static enum mmu_view_step look_at_table(void *ctx, const struct mmu_table *table)
{
	struct table_search *s = ctx;
	uint64_t key = table->gpa | table->level; /* a multiple of 32, and less than that */
	struct known_table *known;

	if (mmu_set_has(s->seen, key)) {
		s->known[mmu_set_order(s->seen, key)].parents += table->parent_level > 0;
		return MMU_VIEW_SKIP;
	}
	if (s->count == s->max) {
		size_t max = s->max ? s->max * 2 : 256;

		if (max > TABLES_MAX)
			return MMU_VIEW_STOP;
		known = realloc(s->known, max * sizeof(*known));
		if (!known)
			return MMU_VIEW_STOP;
		s->known = known;
		s->max = max;
	}
	if (!mmu_set_add(s->seen, key))
		return MMU_VIEW_STOP;
	s->known[s->count++] = (struct known_table){.table = *table,
						    .parents = table->parent_level > 0,
						    .present = count_present(table)};
	return MMU_VIEW_ON;
}

static enum mmu_view_step ignore_page(void *ctx, const struct mmu_mapping *page)
{
	(void)ctx;
	(void)page;
	return MMU_VIEW_ON;
}

static void tell_table(struct mmu_call *call, const struct known_table *known)
{
	struct mon_record *r = &call->record;
	struct mmu_frame_info info;

	record_begin(r, "table");
	record_hex(r, "gpa", known->table.gpa);
	record_number(r, "level", known->table.level);
	record_hex(r, "gva", known->table.gva);
	record_number(r, "parents", known->parents);
	record_number(r, "present", known->present);
	record_number(r, "entries", known->table.entries);
	if (!known->table.bytes)
		record_string(r, "memory", "none");
	if (call->mmu) {
		mmu_frame_look(call->mmu, known->table.gpa, &info);
		record_number(r, "shadowed_as", info.tables);
	}
	record_end(r);
}

static int by_address(const void *a, const void *b)
{
	const struct known_table *x = a, *y = b;

	if (x->table.gpa != y->table.gpa)
		return x->table.gpa < y->table.gpa ? -1 : 1;
	return (int)y->table.level - (int)x->table.level;
}

static void tell_tables(struct mmu_call *call, struct table_search *s, uint64_t from, bool is_one)
{
	size_t told = 0;

	if (s->count)
		qsort(s->known, s->count, sizeof(*s->known), by_address);
	for (size_t i = 0; i < s->count; i++) {
		gpa_t gpa = s->known[i].table.gpa;

		if (gpa < from || (is_one && (gpa ^ from) & UMBRA_PAGE_MASK))
			continue;
		if (told++ < call->from)
			continue;
		if (!mmu_has_room(call)) {
			mmu_tell_more(call, told - 1);
			return;
		}
		tell_table(call, &s->known[i]);
	}
	if (is_one && !told)
		mmu_error(call, MMU_NOADDR, "0x%llx is a table of no known root",
			  (unsigned long long)from);
}

void mmu_word_tables(struct mmu_call *call)
{
	struct table_search s = {.seen = mmu_set_create()};
	struct mmu_view view = {.mem = call->mem,
				.hi = ~0ull,
				.on_page = ignore_page,
				.on_table = look_at_table,
				.ctx = &s};
	struct mmu_roots roots;
	uint64_t gpa = 0;
	gva_t next;

	if (call->argc && !mmu_parse_number(call, call->argv[0], &gpa)) {
		mmu_set_destroy(s.seen);
		return;
	}
	mmu_roots_get_live(call->target, &roots);
	for (unsigned i = 0; s.seen && i < roots.count; i++) {
		view.regs = &roots.root[i].regs;
		mmu_run_view(call, &view, 0, &next);
	}
	tell_tables(call, &s, gpa & UMBRA_PAGE_MASK, call->argc > 0);
	mmu_set_destroy(s.seen);
	free(s.known);
}
