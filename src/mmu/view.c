/* Reading the guest's tables as a whole: every page that they map, in order of addresses.
 *
 * Tables are read a page at a time by pointer.  What a level's entries look like comes from
 * src/x86; an entry that a walk would refuse (not present, reserved bits, a table outside memory)
 * maps nothing here either.
 * Source: SDM 3A 4.3 to 4.5. */
#include "umbra/mmu_view.h"

#include "shadow.h"

/* Some tenths of a second: enough for every table that 64 GiB of guest can hold. */
#define DEFAULT_BUDGET (1ull << 26)

/* One run. */
struct run {
	struct mmu_view *view;
	struct x86_table_form form[X86_WALK_MAX_LEVELS];
	unsigned levels;
	enum x86_paging_mode mode;
	bool has_global;
	unsigned sign_shift; /* 64 less the bits of a linear address that is sign-extended; or 0 */
	enum mmu_view_end end;
	gva_t next;
};

/* A table on the way. */
struct place {
	unsigned depth; /* index of its form */
	gpa_t gpa;
	gva_t gva;
	unsigned rights;
};

static bool end_run(struct run *run, enum mmu_view_end end, gva_t next)
{
	run->end = end;
	run->next = next;
	return false;
}

static gva_t extend_sign(const struct run *run, gva_t gva)
{
	if (run->sign_shift == 0)
		return gva;
	return (gva_t)((int64_t)(gva << run->sign_shift) >> run->sign_shift);
}

static unsigned narrow(const struct x86_table_form *form, unsigned rights, uint64_t entry)
{
	if (form->is_pdpte)
		return rights;
	if (!(entry & X86_PTE_RW))
		rights &= ~MMU_RIGHT_W;
	if (!(entry & X86_PTE_US))
		rights &= ~MMU_RIGHT_U;
	if (entry & X86_PTE_NX)
		rights &= ~MMU_RIGHT_X;
	return rights;
}

static bool tell_page(struct run *run, const struct place *at, unsigned index, gva_t gva,
		      uint64_t entry)
{
	const struct x86_table_form *form = &run->form[at->depth];
	const struct mmu_mapping page = {
		.gva = gva,
		.gpa = x86_entry_page(form, entry),
		.size = 1ull << form->shift,
		.level = form->level,
		.rights = narrow(form, at->rights, entry),
		.is_global = run->has_global && (entry & X86_PTE_G),
		.is_accessed = entry & X86_PTE_A,
		.is_dirty = entry & X86_PTE_D,
		.pkey = form->has_pkey ? (entry >> 59) & 15 : 0,
		.entry_gpa = at->gpa + (uint64_t)index * form->entry_bytes,
		.entry = entry,
	};

	if (run->view->on_page(run->view->ctx, &page) == MMU_VIEW_STOP)
		return end_run(run, MMU_VIEW_STOPPED, gva);
	return true;
}

static bool visit_table(struct run *run, const struct place *at);

static bool visit_entry(struct run *run, const struct place *at, unsigned index, uint64_t entry)
{
	const struct x86_table_form *form = &run->form[at->depth];
	gva_t gva = at->gva + ((gva_t)index << form->shift);
	struct place below;

	if (at->depth == 0)
		gva = extend_sign(run, gva);
	if (x86_entry_is_page(form, entry))
		return (entry & form->page_reserved) || tell_page(run, at, index, gva, entry);
	if (entry & form->table_reserved)
		return true;
	below = (struct place){.depth = at->depth + 1,
			       .gpa = entry & X86_PTE_TABLE,
			       .gva = gva,
			       .rights = narrow(form, at->rights, entry)};
	return visit_table(run, &below);
}

/* The indices of the entries that lie between lo and hi.  False: none does. */
static bool find_indices(const struct run *run, const struct place *at, unsigned *out_first,
			 unsigned *out_last)
{
	const struct x86_table_form *form = &run->form[at->depth];
	gva_t lo = run->view->lo, hi = run->view->hi, last;

	*out_first = 0;
	*out_last = form->entries - 1;
	if (at->depth == 0) {
		/* Two halves where addresses are sign-extended: each entry is judged by itself. */
		return true;
	}
	last = at->gva + (((gva_t)form->entries << form->shift) - 1);
	if (hi < at->gva || lo > last)
		return false;
	if (lo > at->gva)
		*out_first = (unsigned)((lo - at->gva) >> form->shift);
	if (hi < last)
		*out_last = (unsigned)((hi - at->gva) >> form->shift);
	return true;
}

static bool is_entry_wanted(const struct run *run, const struct place *at, unsigned index)
{
	const struct x86_table_form *form = &run->form[at->depth];
	gva_t first = extend_sign(run, at->gva + ((gva_t)index << form->shift));

	return first <= run->view->hi && first + ((1ull << form->shift) - 1) >= run->view->lo;
}

static bool visit_entries(struct run *run, const struct place *at, const uint8_t *bytes)
{
	const struct x86_table_form *form = &run->form[at->depth];
	unsigned first, last, i;

	if (!find_indices(run, at, &first, &last))
		return true;
	for (i = first; i <= last; i++) {
		uint64_t entry =
			guest_entry_read(bytes + (size_t)i * form->entry_bytes, form->entry_bytes);

		if (!(entry & X86_PTE_P) || (at->depth == 0 && !is_entry_wanted(run, at, i)))
			continue;
		if (!visit_entry(run, at, i, entry))
			return false;
	}
	return true;
}

/* PAE's four registers, as the table that they were loaded from. */
static const uint8_t *pdpte_bytes(const struct run *run, uint8_t out[32])
{
	for (unsigned i = 0; i < 4; i++)
		le64_put(out + 8ul * i, run->view->regs->pdpte[i]);
	return out;
}

static uint64_t barren_key(const struct run *run, const struct place *at)
{
	return at->gpa | (uint64_t)run->mode << 6 | at->rights << 3 | at->depth;
}

static bool is_whole_wanted(const struct run *run, const struct place *at)
{
	const struct x86_table_form *form = &run->form[at->depth];

	return at->depth > 0 && run->view->lo <= at->gva &&
	       run->view->hi - at->gva >= ((gva_t)form->entries << form->shift) - 1;
}

static bool is_skipped(struct run *run, const struct place *at, const uint8_t *bytes)
{
	const struct x86_table_form *form = &run->form[at->depth];
	const struct mmu_view *view = run->view;
	const struct mmu_table table = {
		.gpa = at->gpa,
		.level = form->level,
		.rights = at->rights,
		.gva = at->gva,
		.parent_level = at->depth ? run->form[at->depth - 1].level : 0,
		.entries = form->entries,
		.entry_bytes = form->entry_bytes,
		.bytes = bytes,
	};

	if (!view->on_table)
		return false;
	switch (view->on_table(view->ctx, &table)) {
	case MMU_VIEW_ON:
		return false;
	case MMU_VIEW_SKIP:
		return true;
	case MMU_VIEW_STOP:
		break;
	}
	end_run(run, MMU_VIEW_STOPPED, at->gva);
	return true;
}

static bool visit_table(struct run *run, const struct place *at)
{
	const struct x86_table_form *form = &run->form[at->depth];
	struct mmu_view *view = run->view;
	uint64_t hits = view->hits;
	uint8_t registers[32];
	const uint8_t *bytes;

	if (view->barren && at->depth > 0 && mmu_set_has(view->barren, barren_key(run, at)))
		return true;
	if (form->is_pdpte && view->regs->has_pdpte)
		bytes = pdpte_bytes(run, registers);
	else
		bytes = mem_ptr(view->mem, at->gpa, (size_t)form->entries * form->entry_bytes);
	if (is_skipped(run, at, bytes))
		return run->end == MMU_VIEW_ALL;
	if (!bytes)
		return true;
	if (view->budget < form->entries)
		return end_run(run, MMU_VIEW_BUDGET, at->gva);
	view->budget -= form->entries;
	if (!visit_entries(run, at, bytes))
		return false;
	if (view->barren && view->hits == hits && is_whole_wanted(run, at))
		mmu_set_add(view->barren, barren_key(run, at));
	return true;
}

/* Without paging each region stands where it is. */
static bool tell_regions(struct run *run)
{
	const struct mem_region *region;
	unsigned i;

	for (i = 0; (region = mem_region_at(run->view->mem, i)) != NULL; i++) {
		const struct mmu_mapping page = {.gva = region->gpa,
						 .gpa = region->gpa,
						 .size = region->len,
						 .rights = MMU_RIGHT_W | MMU_RIGHT_U | MMU_RIGHT_X,
						 .is_accessed = true,
						 .is_dirty = true};

		if (region->gpa > run->view->hi || region->gpa > UINT32_MAX ||
		    region->gpa + (region->len - 1) < run->view->lo)
			continue;
		if (run->view->on_page(run->view->ctx, &page) == MMU_VIEW_STOP)
			return end_run(run, MMU_VIEW_STOPPED, page.gva);
	}
	return true;
}

enum mmu_view_end mmu_view_run(struct mmu_view *view, gva_t *out_next)
{
	struct run run = {.view = view, .end = MMU_VIEW_ALL};
	struct place root = {.rights = MMU_RIGHT_W | MMU_RIGHT_U | MMU_RIGHT_X};
	bool is_canonical;
	unsigned bits;

	if (view->budget == 0)
		view->budget = DEFAULT_BUDGET;
	run.levels = x86_table_forms(view->regs, run.form, &root.gpa);
	run.has_global = view->regs->cr4 & X86_CR4_PGE;
	run.mode = x86_paging_mode(view->regs);
	bits = x86_linear_bits(run.mode, &is_canonical);
	run.sign_shift = is_canonical ? 64 - bits : 0;
	if (run.levels == 0)
		tell_regions(&run);
	else
		visit_table(&run, &root);
	*out_next = run.next;
	return run.end;
}

/* Ranges. */

static bool does_continue(const struct mmu_range *range, const struct mmu_mapping *page)
{
	return range->gva + range->len == page->gva && range->gpa + range->len == page->gpa &&
	       range->page_size == page->size && range->rights == page->rights &&
	       range->is_global == page->is_global && range->pkey == page->pkey;
}

static bool tell_range(struct mmu_merge *merge)
{
	if (merge->has_range && !merge->has_ended)
		merge->has_ended = !merge->on_range(merge->ctx, &merge->range);
	merge->has_range = false;
	return !merge->has_ended;
}

enum mmu_view_step mmu_merge_add(struct mmu_merge *merge, const struct mmu_mapping *page)
{
	struct mmu_range *range = &merge->range;

	if (!merge->has_range || !does_continue(range, page)) {
		if (!tell_range(merge))
			return MMU_VIEW_STOP;
		*range = (struct mmu_range){.gva = page->gva,
					    .gpa = page->gpa,
					    .page_size = page->size,
					    .rights = page->rights,
					    .is_global = page->is_global,
					    .pkey = page->pkey};
		merge->has_range = true;
	}
	range->len += page->size;
	range->pages++;
	range->accessed += page->is_accessed;
	range->dirty += page->is_dirty;
	return MMU_VIEW_ON;
}

bool mmu_merge_end(struct mmu_merge *merge)
{
	return tell_range(merge);
}
