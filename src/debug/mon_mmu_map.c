/* `mmu map` and `mmu ad`: what a set of tables maps, in ranges. */
#include "mon_mmu.h"

#include <stdlib.h>

/* Filters. */

enum { FILTER_U = 1, FILTER_X = 2, FILTER_W = 4, FILTER_BIG = 8, FILTER_G = 16, FILTER_NX = 32 };

static const struct {
	const char *name;
	unsigned bit;
} FILTERS[] = {
	{"u", FILTER_U},     {"x", FILTER_X}, {"w", FILTER_W},
	{"big", FILTER_BIG}, {"g", FILTER_G}, {"nx", FILTER_NX},
};

/* "u,w": pages that are all of these.  False after an error was told. */
static bool parse_filter(struct mmu_call *call, unsigned *out_mask)
{
	const char *at = call->filter;

	*out_mask = 0;
	while (at && *at) {
		size_t len = strcspn(at, ","), i = 0;

		while (i < UMBRA_ARRAY_SIZE(FILTERS) &&
		       (strlen(FILTERS[i].name) != len || strncmp(FILTERS[i].name, at, len) != 0))
			i++;
		if (i == UMBRA_ARRAY_SIZE(FILTERS)) {
			mmu_error(call, MMU_BADARG, "--filter takes of u,x,w,big,g,nx, not '%.*s'",
				  (int)len, at);
			return false;
		}
		*out_mask |= FILTERS[i].bit;
		at += len + (at[len] == ',');
	}
	return true;
}

static bool passes(unsigned mask, const struct mmu_mapping *page)
{
	unsigned has = (page->rights & MMU_RIGHT_U ? FILTER_U : 0) |
		       (page->rights & MMU_RIGHT_X ? FILTER_X : FILTER_NX) |
		       (page->rights & MMU_RIGHT_W ? FILTER_W : 0) |
		       (page->size > UMBRA_PAGE_SIZE ? FILTER_BIG : 0) |
		       (page->is_global ? FILTER_G : 0);

	return (has & mask) == mask;
}

/* Looking for ranges. */

struct mapper {
	struct mmu_call *call;
	const char *kind;
	unsigned filter;
	bool must_be_accessed;
	gpa_t lo, hi; /* --phys: only pages that lie here */
	struct mmu_merge merge;
	bool has_more;
	gva_t next;
	uint64_t pages; /* all that were told */
	/* --phys: kept, to be sorted. */
	struct mmu_range *kept;
	size_t kept_count, kept_max;
};

static enum mmu_view_step map_page(void *ctx, const struct mmu_mapping *page)
{
	struct mapper *m = ctx;

	if (!passes(m->filter, page) || (m->must_be_accessed && !page->is_accessed))
		return MMU_VIEW_ON;
	if (m->call->is_physical && (page->gpa > m->hi || page->gpa + (page->size - 1) < m->lo))
		return MMU_VIEW_ON;
	if (m->call->is_raw && !mmu_merge_end(&m->merge))
		return MMU_VIEW_STOP;
	return mmu_merge_add(&m->merge, page);
}

static void tell_range(struct mapper *m, const struct mmu_range *range)
{
	struct mon_record *r = &m->call->record;

	m->pages += range->pages;
	record_begin(r, m->kind);
	record_range(r, range->gva, range->gva + (range->len - 1));
	record_hex(r, "len", range->len);
	record_hex(r, "gpa", range->gpa);
	mmu_tell_size(r, range->page_size);
	record_number(r, "n", range->pages);
	mmu_tell_rights(m->call, &m->call->regs, range->rights, "");
	record_mark(r, "G", range->is_global);
	if (range->pkey || r->is_json)
		record_number(r, "pk", range->pkey);
	record_number(r, "A", range->accessed);
	record_number(r, "D", range->dirty);
	record_end(r);
}

static bool on_range(void *ctx, const struct mmu_range *range)
{
	struct mapper *m = ctx;

	if (!mmu_has_room(m->call)) {
		m->has_more = true;
		m->next = range->gva;
		return false;
	}
	tell_range(m, range);
	return true;
}

/* --phys: in the order of frames, so all of them come first. */
static bool keep_range(void *ctx, const struct mmu_range *range)
{
	struct mapper *m = ctx;

	if (m->kept_count == m->kept_max) {
		size_t max = m->kept_max ? m->kept_max * 2 : 1024;
		struct mmu_range *more = realloc(m->kept, max * sizeof(*more));

		if (!more)
			return false;
		m->kept = more;
		m->kept_max = max;
	}
	m->kept[m->kept_count++] = *range;
	return true;
}

static int by_frame(const void *a, const void *b)
{
	const struct mmu_range *x = a, *y = b;

	if (x->gpa != y->gpa)
		return x->gpa < y->gpa ? -1 : 1;
	return x->gva < y->gva ? -1 : x->gva > y->gva;
}

static void tell_kept(struct mapper *m)
{
	size_t i = u64_min(m->kept_count, m->call->from);

	if (m->kept_count)
		qsort(m->kept, m->kept_count, sizeof(*m->kept), by_frame);
	while (i < m->kept_count && mmu_has_room(m->call))
		tell_range(m, &m->kept[i++]);
	m->has_more = i < m->kept_count;
	m->next = i;
	free(m->kept);
}

/* Tell of what lies between lo and hi. */
static void run_mapper(struct mapper *m, gva_t lo, gva_t hi)
{
	bool is_physical = m->call->is_physical;
	struct mmu_view view = {.mem = m->call->mem,
				.regs = &m->call->regs,
				.hi = is_physical ? ~0ull : hi,
				.on_page = map_page,
				.ctx = m};
	enum mmu_view_end end;
	gva_t next;

	view.lo = is_physical ? 0 : u64_max(lo, m->call->from);
	m->lo = lo;
	m->hi = hi;
	m->merge = (struct mmu_merge){.on_range = is_physical ? keep_range : on_range, .ctx = m};
	end = mmu_run_view(m->call, &view, 0, &next);
	mmu_merge_end(&m->merge);
	if (is_physical)
		tell_kept(m);
	if (end == MMU_VIEW_BUDGET && !m->has_more) {
		m->has_more = true;
		m->next = next;
	}
	if (m->has_more)
		mmu_tell_more(m->call, m->next);
}

/* A person hears that there is nothing; a program counts the records. */
static void tell_none(struct mmu_call *call)
{
	record_begin(&call->record, "map");
	record_number(&call->record, "ranges", 0);
	record_end(&call->record);
}

void mmu_word_map(struct mmu_call *call)
{
	struct mapper m = {.call = call, .kind = "map"};
	uint64_t lo = 0, hi = ~0ull;

	if (!parse_filter(call, &m.filter))
		return;
	if (call->argc > 0 && !mmu_parse_number(call, call->argv[0], &lo))
		return;
	if (call->argc > 1 && !mmu_parse_number(call, call->argv[1], &hi))
		return;
	if (lo > hi)
		mmu_error(call, MMU_BADARG, "the range ends before it begins");
	else
		run_mapper(&m, lo, hi);
	if (lo <= hi && !m.pages && !m.has_more && !call->record.is_json)
		tell_none(call);
}

/* A bits. */

struct clearer {
	struct mmu_call *call;
	unsigned filter;
	uint64_t cleared;
};

static enum mmu_view_step clear_page(void *ctx, const struct mmu_mapping *page)
{
	struct clearer *c = ctx;
	uint8_t byte;

	if (!page->is_accessed || page->level == 0 || !passes(c->filter, page))
		return MMU_VIEW_ON;
	byte = (uint8_t)(page->entry & ~X86_PTE_A);
	world_mem_write(c->call->target->world, page->entry_gpa, &byte, 1);
	c->cleared++;
	return MMU_VIEW_ON;
}

/* Of the pages themselves: those of tables say nothing about a working set.  D stays: a guest that
 * loses one loses data. */
static void clear_accessed(struct mmu_call *call, unsigned filter)
{
	struct clearer c = {.call = call, .filter = filter};
	struct mmu_view view = {.mem = call->mem,
				.regs = &call->regs,
				.hi = ~0ull,
				.on_page = clear_page,
				.ctx = &c};
	gva_t next;

	mmu_run_view(call, &view, 0, &next);
	record_begin(&call->record, "ad");
	record_number(&call->record, "cleared", c.cleared);
	record_end(&call->record);
}

void mmu_word_ad(struct mmu_call *call)
{
	struct mapper m = {.call = call, .kind = "ad", .must_be_accessed = true};

	if (!parse_filter(call, &m.filter))
		return;
	if (call->argc == 0) {
		run_mapper(&m, 0, ~0ull);
		record_begin(&call->record, "ad");
		record_number(&call->record, "accessed", m.pages);
		record_end(&call->record);
	} else if (strcmp(call->argv[0], "clear") == 0) {
		clear_accessed(call, m.filter);
	} else {
		mmu_error(call, MMU_BADARG, "'%s': clear, or nothing", call->argv[0]);
	}
}
