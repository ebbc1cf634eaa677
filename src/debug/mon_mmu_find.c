/* `mmu rmap` and `mmu find`: pages of all known roots by frame, by entry, or by what should not be.
 *
 * A kernel's tables are shared by every root.  A page is told once for each leaf entry and linear
 * address, with the root's CR3, or `*` when every known root has it. */
#include "mon_mmu.h"

#include <stdio.h>
#include <stdlib.h>

#define FOUND_MAX (1u << 20)

struct finding {
	struct mmu_mapping page;
	unsigned root;	/* the first that has it */
	unsigned roots; /* how many do */
};

struct search {
	struct mmu_call *call;
	const char *kind;
	struct mmu_roots roots;
	unsigned root;	      /* being looked at */
	struct mmu_view view; /* of that root */
	bool (*is_wanted)(const struct search *search, const struct mmu_mapping *page);
	bool has_frame; /* rmap, find phys: */
	gpa_t frame;
	uint64_t value, mask; /* find pte */
	/* find alias: rights that any mapping of a frame gives, and that all of them do. */
	uint8_t *any, *all;
	uint64_t frame_count;

	struct finding *found;
	size_t count, max;
	bool is_short;	/* of memory */
	uint32_t *slot; /* hash of found: number + 1 */
	size_t slot_mask;
};

/* What was found. */

static size_t hash_page(const struct mmu_mapping *page)
{
	uint64_t h = (page->entry_gpa * 0x9e3779b97f4a7c15ull) ^ page->gva;

	return (size_t)(h * 0xd6e8feb86659fd93ull >> 24);
}

static struct finding *find_known(const struct search *s, const struct mmu_mapping *page,
				  size_t *out_slot)
{
	size_t i = hash_page(page);

	for (;; i++) {
		uint32_t number = s->slot[i & s->slot_mask];
		struct finding *known = number ? &s->found[number - 1] : NULL;

		*out_slot = i & s->slot_mask;
		if (!known ||
		    (known->page.entry_gpa == page->entry_gpa && known->page.gva == page->gva))
			return known;
	}
}

static bool grow(struct search *s)
{
	size_t max = s->max ? s->max * 2 : 512, at;
	struct finding *found = max > FOUND_MAX ? NULL : realloc(s->found, max * sizeof(*found));
	uint32_t *slot;

	if (!found)
		return false;
	s->found = found;
	slot = calloc(max * 2, sizeof(*slot));
	if (!slot)
		return false;
	free(s->slot);
	s->slot = slot;
	s->slot_mask = max * 2 - 1;
	s->max = max;
	for (size_t i = 0; i < s->count; i++) {
		find_known(s, &s->found[i].page, &at);
		s->slot[at] = (uint32_t)i + 1;
	}
	return true;
}

static enum mmu_view_step keep(struct search *s, const struct mmu_mapping *page)
{
	struct finding *known;
	size_t slot;

	s->view.hits++;
	if (s->count == s->max && !grow(s)) {
		s->is_short = true;
		return MMU_VIEW_STOP;
	}
	known = find_known(s, page, &slot);
	if (known) {
		known->roots++;
		return MMU_VIEW_ON;
	}
	s->found[s->count++] = (struct finding){.page = *page, .root = s->root, .roots = 1};
	s->slot[slot] = (uint32_t)s->count;
	return MMU_VIEW_ON;
}

static enum mmu_view_step look_at_page(void *ctx, const struct mmu_mapping *page)
{
	struct search *s = ctx;

	target_tick(s->call->target);
	return s->is_wanted(s, page) ? keep(s, page) : MMU_VIEW_ON;
}

/* Look at all roots, or at those that the options name.  @is_pure: as mmu_view.barren wants it. */
static void run_search(struct search *s, mmu_view_page_fn fn, bool is_pure)
{
	gva_t next;

	s->view = (struct mmu_view){.mem = s->call->mem, .hi = ~0ull, .on_page = fn, .ctx = s};
	s->view.barren = is_pure ? mmu_set_create() : NULL;
	for (s->root = 0; s->root < s->roots.count; s->root++) {
		s->view.regs = &s->roots.root[s->root].regs;
		if (mmu_run_view(s->call, &s->view, 0, &next) == MMU_VIEW_BUDGET)
			s->is_short = true;
	}
	mmu_set_destroy(s->view.barren);
}

static void choose_roots(struct search *s)
{
	if (s->call->has_cr3 || s->call->has_pcid) {
		s->roots.count = 1;
		s->roots.root[0] = (struct mmu_known_root){.regs = s->call->regs};
		return;
	}
	mmu_roots_get_live(s->call->target, &s->roots);
	if (s->roots.count)
		return;
	s->roots.count = 1; /* no paging */
	s->roots.root[0] = (struct mmu_known_root){.regs = s->call->regs};
}

/* Telling. */

static void tell_finding(struct search *s, const struct finding *f)
{
	struct mon_record *r = &s->call->record;
	const struct x86_paging *regs = &s->roots.root[f->root].regs;
	gva_t gva = f->page.gva;

	record_begin(r, s->kind);
	if (s->has_frame) {
		record_hex(r, "gpa", s->frame);
		gva += s->frame - f->page.gpa;
	} else {
		record_hex(r, "gpa", f->page.gpa);
	}
	if (f->roots == s->roots.count && f->roots > 1)
		record_string(r, "cr3", "*");
	else
		record_hex(r, "cr3", regs->cr3);
	if (f->roots > 1 && f->roots < s->roots.count)
		record_number(r, "roots", f->roots);
	record_hex(r, "gva", gva);
	mmu_tell_size(r, f->page.size);
	mmu_tell_rights(s->call, regs, f->page.rights, "");
	if (r->is_json)
		record_hex(r, "pte_at", f->page.entry_gpa);
	else
		record_words(r, " pte@0x%llx", (unsigned long long)f->page.entry_gpa);
	if (!s->has_frame)
		record_hex(r, "pte", f->page.entry);
	record_end(r);
}

static int by_address(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	if (x->page.gva != y->page.gva)
		return x->page.gva < y->page.gva ? -1 : 1;
	return x->root < y->root ? -1 : x->root > y->root;
}

/* Returns true when there are more than were told. */
static bool tell_findings(struct search *s)
{
	size_t i = u64_min(s->count, s->call->from);

	if (s->count)
		qsort(s->found, s->count, sizeof(*s->found), by_address);
	while (i < s->count && mmu_has_room(s->call))
		tell_finding(s, &s->found[i++]);
	if (i < s->count)
		mmu_tell_more(s->call, i);
	return i < s->count;
}

static void end_search(struct search *s)
{
	if (s->is_short)
		mmu_error(s->call, MMU_BACKEND, "there are more: too many for this");
	free(s->found);
	free(s->slot);
	free(s->any);
	free(s->all);
}

/* Rmap. */

static bool is_of_frame(const struct search *s, const struct mmu_mapping *page)
{
	return range_fits(s->frame, 1, page->gpa, page->size);
}

/* What the frame is to the shadow. */
static void tell_use(struct search *s)
{
	struct mon_record *r = &s->call->record;
	struct mmu_frame_info info;

	record_begin(r, s->kind);
	record_hex(r, "gpa", s->frame);
	record_number(r, "aliases", s->count);
	if (s->call->mmu) {
		mmu_frame_look(s->call->mmu, s->frame, &info);
		record_string(r, "use", info.tables ? "table" : "data");
		record_number(r, "writers", info.writable);
		if (info.tables)
			record_number(r, "shadowed_as", info.tables);
		else
			record_string(r, "shadowed_as", "none");
	} else {
		record_string(r, "role", "model");
	}
	record_end(r);
}

static void run_rmap(struct search *s, const char *text)
{
	uint64_t gpa;

	if (!mmu_parse_number(s->call, text, &gpa))
		return;
	s->frame = gpa & UMBRA_PAGE_MASK;
	s->has_frame = true;
	s->is_wanted = is_of_frame;
	run_search(s, look_at_page, true);
	tell_findings(s);
	tell_use(s);
}

/* Search structs are large: they live on the heap. */
static struct search *begin_search(struct mmu_call *call, const char *kind)
{
	struct search *s = calloc(1, sizeof(*s));

	if (!s) {
		mmu_error(call, MMU_BACKEND, "out of memory");
		return NULL;
	}
	s->call = call;
	s->kind = kind;
	choose_roots(s);
	return s;
}

void mmu_word_rmap(struct mmu_call *call)
{
	struct search *s = begin_search(call, "rmap");

	if (!s)
		return;
	run_rmap(s, call->argv[0]);
	end_search(s);
	free(s);
}

/* Find. */

static bool has_entry(const struct search *s, const struct mmu_mapping *page)
{
	return (page->entry & s->mask) == s->value;
}

static bool is_wx(const struct search *s, const struct mmu_mapping *page)
{
	(void)s;
	return (page->rights & MMU_RIGHT_W) && (page->rights & MMU_RIGHT_X);
}

/* In 64-bit mode the upper half is the kernel's, by all that anyone runs. */
static bool is_user_kernel(const struct search *s, const struct mmu_mapping *page)
{
	(void)s;
	return (page->rights & MMU_RIGHT_U) && page->gva >> 63;
}

static uint64_t first_frame(const struct mmu_mapping *page)
{
	return page->gpa / UMBRA_PAGE_SIZE;
}

/* Frames behind the last of memory are not counted. */
static uint64_t last_frame(const struct search *s, const struct mmu_mapping *page)
{
	return u64_min(first_frame(page) + page->size / UMBRA_PAGE_SIZE, s->frame_count);
}

static enum mmu_view_step count_rights(void *ctx, const struct mmu_mapping *page)
{
	struct search *s = ctx;

	for (uint64_t i = first_frame(page); i < last_frame(s, page); i++) {
		s->any[i] |= (uint8_t)page->rights;
		s->all[i] &= (uint8_t)page->rights;
	}
	return MMU_VIEW_ON;
}

static bool is_alias(const struct search *s, const struct mmu_mapping *page)
{
	for (uint64_t i = first_frame(page); i < last_frame(s, page); i++) {
		if (s->any[i] != s->all[i])
			return true;
	}
	return false;
}

static bool find_aliases(struct search *s)
{
	const struct mem_region *region;

	for (unsigned i = 0; (region = mem_region_at(s->call->mem, i)) != NULL; i++)
		s->frame_count = (region->gpa + region->len) / UMBRA_PAGE_SIZE;
	s->any = calloc(s->frame_count + 1, 1);
	s->all = malloc(s->frame_count + 1);
	if (!s->any || !s->all) {
		s->is_short = true;
		return false;
	}
	memset(s->all, 0xff, s->frame_count + 1);
	run_search(s, count_rights, true);
	s->is_wanted = is_alias;
	return true;
}

/* VALUE or VALUE/MASK. */
static bool parse_entry(struct search *s, char *text)
{
	char *slash = strchr(text, '/');

	s->mask = ~0ull;
	if (slash) {
		*slash = '\0';
		if (!mmu_parse_number(s->call, slash + 1, &s->mask))
			return false;
	}
	if (!mmu_parse_number(s->call, text, &s->value))
		return false;
	s->value &= s->mask;
	s->is_wanted = has_entry;
	return true;
}

static bool choose_find(struct search *s, const char *what, const char *arg)
{
	char entry[64];
	bool needs_arg = strcmp(what, "phys") == 0 || strcmp(what, "pte") == 0;

	if (needs_arg != (arg != NULL)) {
		mmu_error(s->call, MMU_BADARG,
			  "find phys GPA, pte VALUE[/MASK], wx, user or alias");
		return false;
	}
	if (strcmp(what, "phys") == 0) {
		s->is_wanted = is_of_frame;
		s->has_frame = true;
		return mmu_parse_number(s->call, arg, &s->frame);
	}
	if (strcmp(what, "pte") == 0) {
		snprintf(entry, sizeof(entry), "%s", arg);
		return parse_entry(s, entry);
	}
	if (strcmp(what, "alias") == 0)
		return find_aliases(s);
	s->is_wanted = strcmp(what, "wx") == 0	   ? is_wx
		       : strcmp(what, "user") == 0 ? is_user_kernel
						   : NULL;
	if (!s->is_wanted)
		mmu_error(s->call, MMU_BADARG, "'%s': phys, pte, wx, user or alias", what);
	return s->is_wanted;
}

void mmu_word_find(struct mmu_call *call)
{
	struct search *s = begin_search(call, "find");
	const char *what = call->argv[0];

	if (!s)
		return;
	if (choose_find(s, what, call->argc > 1 ? call->argv[1] : NULL)) {
		/* Whether a page is the kernel's depends on its address. */
		run_search(s, look_at_page, s->is_wanted != is_user_kernel);
		tell_findings(s);
		record_begin(&call->record, "find");
		record_string(&call->record, "what", what);
		record_number(&call->record, "found", s->count);
		record_number(&call->record, "roots", s->roots.count);
		record_end(&call->record);
	}
	end_search(s);
	free(s);
}
