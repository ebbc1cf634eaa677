/* Every page that a root maps: see leaves.h.  Whether an entry counts, and what a page is, is left
 * to the walk (x86_walk_paging); here is only the way through the tables.
 * Source: SDM 3A 4.3 to 4.5. */
#include "leaves.h"

#include "shadow.h"

#include <errno.h>

#define MAX_TABLES (1u << 18)

struct visit {
	const struct x86_paging *regs;
	const struct mmu_reader *reader;
	enum x86_paging_mode mode;
	gva_t lo, hi;
	unsigned tables;
	const struct mmu_leaf_sink *sink;
};

static unsigned level_count(enum x86_paging_mode mode)
{
	switch (mode) {
	case X86_PAGING_NONE:
		break;
	case X86_PAGING_32BIT:
		return 2;
	case X86_PAGING_PAE:
		return 3;
	case X86_PAGING_4LEVEL:
		return 4;
	case X86_PAGING_5LEVEL:
		return 5;
	}
	return 0;
}

static unsigned level_shift(enum x86_paging_mode mode, unsigned level)
{
	return 12 + (mode == X86_PAGING_32BIT ? 10 : 9) * (level - 1);
}

static gva_t sign_extend(const struct visit *v, gva_t gva)
{
	unsigned unused;

	if (v->mode < X86_PAGING_4LEVEL)
		return gva;
	unused = 64 - level_shift(v->mode, level_count(v->mode) + 1);
	return (gva_t)((int64_t)(gva << unused) >> unused);
}

/* PAE's first four. */
static bool is_in_registers(const struct visit *v, unsigned level)
{
	return v->mode == X86_PAGING_PAE && level == 3 && v->regs->has_pdpte;
}

static unsigned read_table(const struct visit *v, unsigned level, gpa_t gpa, uint64_t entry[1024])
{
	unsigned bytes = v->mode == X86_PAGING_32BIT ? 4 : 8;
	bool is_pdpt = v->mode == X86_PAGING_PAE && level == 3;
	unsigned count = is_pdpt ? 4 : UMBRA_PAGE_SIZE / bytes, i;
	uint8_t raw[UMBRA_PAGE_SIZE];

	if (is_in_registers(v, level)) {
		memcpy(entry, v->regs->pdpte, sizeof(v->regs->pdpte));
		return count;
	}
	if (!v->reader->read(v->reader->ctx, gpa, raw, (size_t)count * bytes))
		return 0;
	for (i = 0; i < count; i++)
		entry[i] = bytes == 4 ? le32_get(raw + 4ul * i) : le64_get(raw + 8ul * i);
	return count;
}

static bool maps_page(const struct visit *v, unsigned level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & X86_PTE_PS) || level > 3 || (v->mode == X86_PAGING_PAE && level == 3))
		return false;
	return v->mode != X86_PAGING_32BIT || (v->regs->cr4 & X86_CR4_PSE);
}

static bool tell_leaf(const struct visit *v, gva_t gva)
{
	const struct x86_walk_step *last;
	struct mmu_leaf leaf = {.gva = gva};
	struct x86_walk walk;

	if (!v->sink->leaf ||
	    x86_walk_paging(v->regs, gva, v->reader->read, v->reader->ctx, &walk) < 0)
		return true;
	last = &walk.step[walk.step_count - 1];
	leaf.size = walk.page_size;
	leaf.map = mmu_page_map_of(&walk);
	leaf.entry_gpa = last->entry_gpa;
	leaf.is_accessed = last->entry & X86_PTE_A;
	leaf.is_dirty = walk.is_dirty;
	return v->sink->leaf(v->sink->arg, &leaf);
}

/* An entry that names a table: is it sound itself? */
static bool is_sound(const struct visit *v, gva_t gva, unsigned level)
{
	struct x86_walk walk;

	x86_walk_paging(v->regs, gva, v->reader->read, v->reader->ctx, &walk);
	return walk.fault_level < level;
}

static int visit_table(struct visit *v, unsigned level, gpa_t gpa, gva_t base);

static int visit_entry(struct visit *v, unsigned level, uint64_t entry, gva_t gva)
{
	if (maps_page(v, level, entry))
		return tell_leaf(v, gva) ? 0 : 1;
	if (!is_sound(v, gva, level))
		return 0;
	return visit_table(v, level - 1, entry & BITS(51, 12), gva);
}

/* As deep as there are levels. */
static int visit_table(struct visit *v, unsigned level, gpa_t gpa, gva_t base)
{
	unsigned shift = level_shift(v->mode, level), count, i;
	uint64_t entry[1024];
	int rc = 0;

	if (++v->tables > MAX_TABLES)
		return -E2BIG;
	if (v->sink->table && !is_in_registers(v, level))
		v->sink->table(v->sink->arg, gpa);
	count = read_table(v, level, gpa, entry);
	for (i = 0; rc == 0 && i < count; i++) {
		gva_t gva = sign_extend(v, base + ((gva_t)i << shift));

		if (!(entry[i] & X86_PTE_P) || gva > v->hi || gva + ((1ull << shift) - 1) < v->lo)
			continue;
		rc = visit_entry(v, level, entry[i], gva);
	}
	return rc;
}

int mmu_each_leaf(const struct x86_paging *regs, gva_t lo, gva_t hi,
		  const struct mmu_reader *reader, mmu_leaf_fn fn, void *arg)
{
	const struct mmu_leaf_sink sink = {.leaf = fn, .arg = arg};

	return mmu_each_leaf_and_table(regs, lo, hi, reader, &sink);
}

int mmu_each_leaf_and_table(const struct x86_paging *regs, gva_t lo, gva_t hi,
			    const struct mmu_reader *reader, const struct mmu_leaf_sink *sink)
{
	struct visit v = {.regs = regs,
			  .reader = reader,
			  .mode = x86_paging_mode(regs),
			  .lo = lo,
			  .hi = hi,
			  .sink = sink};
	gpa_t top = regs->cr3 & (v.mode == X86_PAGING_PAE ? BITS(31, 5) : BITS(51, 12));

	if (v.mode == X86_PAGING_NONE)
		return 0;
	if (v.mode == X86_PAGING_32BIT)
		top &= UINT32_MAX;
	return visit_table(&v, level_count(v.mode), top, 0);
}

struct mmu_page_map mmu_page_map_of(const struct x86_walk *walk)
{
	return (struct mmu_page_map){
		.is_present = true,
		.gpa = walk->gpa & ~(walk->page_size - 1),
		.can = (walk->is_writable ? MMU_MAP_W : 0) | (walk->is_user ? MMU_MAP_U : 0) |
		       (walk->is_executable ? MMU_MAP_X : 0) | (walk->is_global ? MMU_MAP_G : 0),
		.pkey = walk->pkey,
	};
}
