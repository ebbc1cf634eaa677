/* Whatever is reached from a root, held against a fresh walk of the guest's tables (I2, I3, I9) and
 * against what a shadow built anew would be (I11).
 *
 * The walk goes down along the shadow and reads each guest entry once on its way, with the rules of
 * src/x86, not those that the shadow was made by; nothing in the guest changes.  A shadow built
 * anew would be made of the pages whose keys follow from the same entries. Source: SDM 3A 4.3
 * to 4.5. */
#include "verify.h"

#include <assert.h>

/* One root's turn. */
struct visit {
	struct verifier *v;
	const struct mmu_root *root;
	struct x86_table_form form[X86_WALK_MAX_LEVELS]; /* root first */
	unsigned levels;
};

/* A shadow page on the way, and the guest's table that it should be derived from. */
struct place {
	const struct shadow_page *sp;
	unsigned level;
	gva_t gva; /* of its first entry */
	struct verify_way way;
	const struct x86_table_form *form;
	const uint8_t *table; /* NULL: not in memory */
	bool has_accessed;    /* A is kept there */
};

static uint64_t narrow(uint64_t rights, uint64_t entry)
{
	if (!(entry & X86_PTE_RW))
		rights &= ~SPTE_W;
	if (!(entry & X86_PTE_US))
		rights &= ~SPTE_U;
	if (entry & X86_PTE_NX)
		rights &= ~SPTE_X;
	return rights;
}

/* What a page's own entry decides. */
static uint64_t page_bits(const struct x86_table_form *form, uint64_t entry)
{
	return (entry & X86_PTE_D ? SPTE_D : 0) | (entry & X86_PTE_G ? SPTE_G : 0) |
	       (form->shift > SHADOW_GFN_SHIFT ? SPTE_BIG : 0) |
	       (form->has_pkey ? (entry >> 59 & 15) << SPTE_PKEY_SHIFT : 0);
}

/* Past the guest's entry for @gva, which begins what a shadow entry spans. */
static void step_table(const struct place *at, gva_t gva, struct verify_way *way)
{
	const struct x86_table_form *form = at->form;
	size_t offset = (gva >> form->shift) % form->entries * form->entry_bytes;
	uint64_t entry = guest_entry_read(at->table ? at->table + offset : NULL, form->entry_bytes);

	way->entry = entry;
	way->is_page = x86_entry_is_page(form, entry);
	if (!(entry & X86_PTE_P) ||
	    (entry & (way->is_page ? form->page_reserved : form->table_reserved)))
		way->is_mapped = false;
	way->rights = narrow(way->rights, entry);
	if (at->has_accessed && !(entry & X86_PTE_A))
		way->is_accessed = false;
	if (!way->is_page) {
		way->base = entry & X86_PTE_TABLE;
		return;
	}
	way->rights |= page_bits(form, entry);
	way->base = x86_entry_page(form, entry) + (gva & ((1ull << form->shift) - 1));
}

static struct verify_way step(const struct place *at, unsigned index, gva_t gva)
{
	struct verify_way way = at->way;

	if (way.is_page)
		way.base += (uint64_t)index << (SHADOW_GFN_SHIFT + 9 * (at->level - 1));
	else if (way.is_mapped)
		step_table(at, gva, &way);
	return way;
}

static void check_leaf(struct verifier *v, const struct place *at, unsigned index, gva_t gva,
		       const struct verify_way *way)
{
	const struct shadow_page *sp = at->sp;
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	uint64_t spte = sp->spte[index], rights = SPTE_P | way->rights;

	if (!way->is_mapped) {
		verify_bad(v, "I2", sp, index, " gva=%#llx spte.gpa=%#llx, the guest maps nothing",
			   (unsigned long long)gva, (unsigned long long)gpa);
		return;
	}
	if (way->base != gpa)
		verify_bad(v, "I2", sp, index, " gva=%#llx spte.gpa=%#llx guest.gpa=%#llx",
			   (unsigned long long)gva, (unsigned long long)gpa,
			   (unsigned long long)way->base);
	if ((spte & ~SPTE_BY_FRAME) != rights)
		verify_bad(v, "I2", sp, index, " gva=%#llx spte=%#llx guest=%#llx",
			   (unsigned long long)gva, (unsigned long long)spte,
			   (unsigned long long)rights);
	if ((spte & SPTE_MAY_WRITE) && !((rights & SPTE_D) && way->is_accessed))
		verify_bad(v, "I3", sp, index, " gva=%#llx writable, guest D=%d A=%d",
			   (unsigned long long)gva, (rights & SPTE_D) != 0, way->is_accessed);
	if (!way->is_as_anew)
		verify_bad(v, "I11", sp, index, " gva=%#llx takes another path when rebuilt",
			   (unsigned long long)gva);
	else if (gpa != shadow_leaf_gpa(sp, index, way->entry) ||
		 (spte & ~SPTE_BY_FRAME) != shadow_leaf_rights(sp, way->entry))
		verify_bad(v, "I11", sp, index, " gva=%#llx spte=%#llx, rebuilt %#llx -> %#llx",
			   (unsigned long long)gva, (unsigned long long)spte,
			   (unsigned long long)shadow_leaf_rights(sp, way->entry),
			   (unsigned long long)shadow_leaf_gpa(sp, index, way->entry));
}

static bool is_same_key(const struct shadow_key *a, const struct shadow_key *b)
{
	return a->gfn == b->gfn && a->role.word == b->role.word;
}

static bool is_same_way(const struct verify_way *a, const struct verify_way *b)
{
	return a->base == b->base && a->rights == b->rights && a->mode == b->mode &&
	       a->bits == b->bits && a->is_mapped == b->is_mapped && a->is_page == b->is_page &&
	       a->is_accessed == b->is_accessed && a->is_as_anew == b->is_as_anew;
}

/* Whether the page was looked at from here before; it is now.  The last entry says no more about
 * what is below than the rest of the way does. */
static bool was_seen(struct verifier *v, const struct place *at)
{
	struct verify_way *seen = &v->seen[at->sp->id];

	if (seen->is_seen && is_same_way(seen, &at->way) && (seen->is_loaded || !at->way.is_loaded))
		return true;
	*seen = at->way;
	seen->is_seen = true;
	return false;
}

static void visit_page(const struct visit *visit, struct place *at);

/* Entries that name no page one level down are reported elsewhere. */
static void visit_child(const struct visit *visit, const struct place *at, unsigned index,
			gva_t gva, const struct verify_way *way)
{
	struct place below = {.sp = spte_child(at->sp->spte[index]),
			      .level = at->level - 1,
			      .gva = gva,
			      .way = *way};
	struct shadow_key key;

	if (spte_is_leaf(at->sp->spte[index]) || !below.sp->is_live ||
	    below.sp->key.role.level != below.level)
		return;
	if (way->is_as_anew) {
		key = shadow_child_key(at->sp, index, way->entry);
		below.way.is_as_anew = is_same_key(&below.sp->key, &key);
	}
	visit_page(visit, &below);
}

static void enter_table(const struct visit *visit, struct place *at)
{
	struct verifier *v = visit->v;
	const struct mem_region *region;

	if (at->way.is_page || !at->way.is_mapped)
		return;
	at->form = &visit->form[visit->levels - at->level];
	region = mem_find(v->mmu->mem, at->way.base);
	at->has_accessed = region && region->kind == MEM_RAM;
	at->table = mem_ptr(v->mmu->mem, at->way.base,
			    (size_t)at->form->entries * at->form->entry_bytes);
}

static void visit_page(const struct visit *visit, struct place *at)
{
	const struct shadow_page *sp = at->sp;
	unsigned shift = SHADOW_GFN_SHIFT + 9 * (at->level - 1), i;

	assert(at->level > 0 && at->level <= SHADOW_PATH_MAX);
	if (was_seen(visit->v, at))
		return;
	enter_table(visit, at);
	for (i = 0; i < SHADOW_ENTRIES; i++) {
		gva_t gva = at->gva + ((gva_t)i << shift);
		struct verify_way way;

		if (!(sp->spte[i] & SPTE_P))
			continue;
		if (at->level == visit->root->levels && at->level > 2 && i >= SHADOW_ENTRIES / 2)
			gva |= ~0ull << (shift + 9);
		if (at->way.is_loaded && verify_is_stale(sp, i))
			verify_bad(visit->v, "I9", sp, i, " gva=%#llx is reached and stale",
				   (unsigned long long)gva);
		way = step(at, i, gva);
		if (at->level == 1)
			check_leaf(visit->v, at, i, gva, &way);
		else
			visit_child(visit, at, i, gva, &way);
	}
}

/* The way to a top page: PAE's goes through a register, without paging it leads to memory. */
static struct verify_way top_way(const struct visit *visit, unsigned top, gpa_t table)
{
	const struct mmu_root *root = visit->root;
	struct verify_way way = {.base = table,
				 .rights = SPTE_W | SPTE_U | SPTE_X,
				 .mode = root->key.mode,
				 .bits = root->key.bits,
				 .is_mapped = true,
				 .is_accessed = true,
				 .is_loaded = root->users > 0};

	if (visit->levels == 0) {
		way.is_page = true;
		way.rights |= SPTE_D;
		way.base = (gpa_t)top << 30;
	} else if (visit->form[0].is_pdpte) {
		way.base = root->regs.pdpte[top] & X86_PTE_TABLE;
		way.is_mapped = root->regs.pdpte[top] & X86_PTE_P;
	}
	return way;
}

void verify_reached(struct verifier *v, const struct mmu_root *root)
{
	struct visit visit = {.v = v, .root = root};
	struct mmu_root anew = *root;
	struct shadow_key key;
	gpa_t table;
	unsigned top;

	visit.levels = x86_table_forms(&root->regs, visit.form, &table);
	if (visit.levels && visit.levels < root->levels) {
		verify_bad_root(v, "I9", root, " has %u levels, its registers %u", root->levels,
				visit.levels);
		return;
	}
	root_make_key(&root->regs, &anew.key);
	for (top = 0; top < SHADOW_TOPS; top++) {
		struct place at = {.sp = root->top[top],
				   .level = root->levels,
				   .gva = (gva_t)top << 30,
				   .way = top_way(&visit, top, table)};

		if (!at.sp || !at.sp->is_live || at.sp->key.role.level != at.level)
			continue;
		at.way.is_as_anew =
			root_top_key(&anew, top, &key) && is_same_key(&at.sp->key, &key);
		visit_page(&visit, &at);
	}
}
