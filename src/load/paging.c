/* Page tables of the long-mode entry: 4-level paging (SDM 3A 4.5).
 *
 *   0 .. max(4 GiB, end of RAM)   mapped one to one with 2 MiB pages
 *   p_vaddr of each ELF segment   mapped to its p_paddr where the two differ, 2 MiB pages inside
 *                                 and 4 KiB pages at the ends; this wins over the other
 *
 * Everything is present, writable, executable and supervisor-only: the guest is to make its own
 * tables, these only carry it there.  The tables are built with entries that hold the number of
 * the next table; when their count is known they are placed, and the numbers become addresses. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_2M	       (2ull << 20)
#define PTE_P	       (1ull << 0)
#define PTE_RW	       (1ull << 1)
#define PTE_PS	       (1ull << 7) /* in a PDE: it maps 2 MiB */
#define PTE_ADDR       0x000ffffffffff000ull
#define TABLE_ENTRIES  512u
#define LEVEL_PML4     4u
#define LEVEL_PD       2u
#define LEVEL_PT       1u
#define CANONICAL_LOW  (1ull << 47) /* first address that is not */
#define CANONICAL_HIGH (~0ull << 47)

/* 4 MiB of tables: 64 GiB of RAM need 66, a segment of 1 GiB that 2 MiB pages do not fit 512. */
#define MAX_TABLES 1024u

struct tables {
	uint8_t *bytes; /* count tables of 4 KiB */
	uint8_t level[MAX_TABLES];
	unsigned count, room;
};

struct mapping {
	gva_t va;
	gpa_t pa;
	unsigned level; /* of the entry that maps: LEVEL_PT or LEVEL_PD */
};

static uint8_t *entry_at(struct tables *t, unsigned table, unsigned index)
{
	return t->bytes + (size_t)table * UMBRA_PAGE_SIZE + (size_t)index * 8;
}

static int tables_new(struct tables *t, unsigned level, unsigned *out_table, struct umbra_err *err)
{
	if (t->count == MAX_TABLES)
		return umbra_err_set(err, ENOSPC,
				     "needs more than %u page tables; keep p_vaddr and p_paddr "
				     "equal modulo 2 MiB",
				     MAX_TABLES);
	if (t->count == t->room) {
		unsigned room = t->room ? 2 * t->room : 16;
		uint8_t *bytes = realloc(t->bytes, (size_t)room * UMBRA_PAGE_SIZE);

		if (!bytes)
			return umbra_err_set(err, ENOMEM, "no memory for %u page tables", room);
		t->bytes = bytes;
		t->room = room;
	}
	memset(entry_at(t, t->count, 0), 0, UMBRA_PAGE_SIZE);
	t->level[t->count] = (uint8_t)level;
	*out_table = t->count++;
	return 0;
}

/* Make the table below entry @index of @table; a 2 MiB page that was there is cut into 4 KiB ones
 * that map the same. */
static int table_make(struct tables *t, unsigned table, unsigned index, unsigned *out_child,
		      struct umbra_err *err)
{
	uint64_t old = le64_get(entry_at(t, table, index));
	unsigned i;
	int rc = tables_new(t, t->level[table] - 1u, out_child, err);

	if (rc < 0)
		return rc;
	for (i = 0; (old & PTE_P) && i < TABLE_ENTRIES; i++)
		le64_put(entry_at(t, *out_child, i),
			 (old & ~PTE_PS) + (uint64_t)i * UMBRA_PAGE_SIZE);
	le64_put(entry_at(t, table, index),
		 (uint64_t)*out_child * UMBRA_PAGE_SIZE | PTE_P | PTE_RW);
	return 0;
}

static int table_below(struct tables *t, unsigned table, unsigned index, unsigned *out_child,
		       struct umbra_err *err)
{
	uint64_t entry = le64_get(entry_at(t, table, index));

	if (!(entry & PTE_P) || (entry & PTE_PS))
		return table_make(t, table, index, out_child, err);
	*out_child = (unsigned)((entry & PTE_ADDR) / UMBRA_PAGE_SIZE);
	return 0;
}

static unsigned index_of(gva_t va, unsigned level)
{
	return (unsigned)(va >> (12 + 9 * (level - 1))) % TABLE_ENTRIES;
}

static int map_page(struct tables *t, struct mapping m, struct umbra_err *err)
{
	uint64_t size = m.level == LEVEL_PD ? PTE_PS : 0;
	unsigned table = 0;
	unsigned level;

	for (level = LEVEL_PML4; level > m.level; level--) {
		int rc = table_below(t, table, index_of(m.va, level), &table, err);

		if (rc < 0)
			return rc;
	}
	le64_put(entry_at(t, table, index_of(m.va, m.level)), m.pa | size | PTE_P | PTE_RW);
	return 0;
}

static int map_identity(struct tables *t, const struct mem_space *mem, struct umbra_err *err)
{
	const struct mem_region *r;
	uint64_t end = LOAD_4G;
	struct mapping m = {.level = LEVEL_PD};
	unsigned i;
	int rc = 0;

	for (i = 0; (r = mem_region_at(mem, i)) != NULL; i++)
		if (r->kind == MEM_RAM && r->gpa + r->len > end)
			end = r->gpa + r->len;
	for (; rc == 0 && m.pa < end; m.pa += PAGE_2M) {
		m.va = m.pa;
		rc = map_page(t, m, err);
	}
	return rc;
}

static gva_t first_page(const struct load_elf_seg *s)
{
	return s->vaddr & UMBRA_PAGE_MASK;
}

static gva_t last_page(const struct load_elf_seg *s)
{
	return (s->vaddr + (s->memsz - 1)) & UMBRA_PAGE_MASK;
}

/* Counts pages from the last one's distance, since a segment may end at the end of the address
 * space. */
static int map_segment(struct tables *t, const struct load_elf_seg *s, struct umbra_err *err)
{
	uint64_t left = last_page(s) - first_page(s) + UMBRA_PAGE_SIZE;
	struct mapping m = {.va = first_page(s), .pa = s->paddr & UMBRA_PAGE_MASK};

	while (left > 0) {
		bool is_large = (m.va | m.pa) % PAGE_2M == 0 && left >= PAGE_2M;
		uint64_t step = is_large ? PAGE_2M : UMBRA_PAGE_SIZE;
		int rc;

		m.level = is_large ? LEVEL_PD : LEVEL_PT;
		rc = map_page(t, m, err);
		if (rc < 0) {
			umbra_err_prefix(err, "program header %u: p_vaddr 0x%" PRIx64, s->number,
					 s->vaddr);
			return rc;
		}
		m.va += step;
		m.pa += step;
		left -= step;
	}
	return 0;
}

static int segment_check_address(const struct load_elf_seg *s, struct umbra_err *err)
{
	gva_t last = s->vaddr + (s->memsz - 1);

	if (!(last < CANONICAL_LOW || s->vaddr >= CANONICAL_HIGH))
		return umbra_err_set(err, ENOEXEC,
				     "program header %u: p_vaddr 0x%" PRIx64 "-0x%" PRIx64
				     " is not canonical (0x7fffffffffff is the last low address, "
				     "0xffff800000000000 the first high one)",
				     s->number, s->vaddr, last);
	if ((s->vaddr - s->paddr) % UMBRA_PAGE_SIZE != 0)
		return umbra_err_set(err, ENOEXEC,
				     "program header %u: p_vaddr 0x%" PRIx64
				     " and p_paddr 0x%" PRIx64
				     " differ modulo 0x1000: no page can map one to the other",
				     s->number, s->vaddr, s->paddr);
	return 0;
}

/* Two segments may share a page only when both map it to the same place. */
static int segment_check_shared(const struct load_elf *elf, unsigned index, struct umbra_err *err)
{
	const struct load_elf_seg *s = &elf->seg[index];
	unsigned i;

	for (i = 0; i < index; i++) {
		const struct load_elf_seg *o = &elf->seg[i];

		if (first_page(s) > last_page(o) || first_page(o) > last_page(s) ||
		    s->vaddr - s->paddr == o->vaddr - o->paddr)
			continue;
		return umbra_err_set(err, ENOEXEC,
				     "program header %u: p_vaddr 0x%" PRIx64
				     " needs a page that program header %u at p_vaddr 0x%" PRIx64
				     " maps to another p_paddr",
				     s->number, s->vaddr, o->number, o->vaddr);
	}
	return 0;
}

static int map_segments(struct tables *t, const struct load_elf *elf, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < elf->seg_count; i++) {
		const struct load_elf_seg *s = &elf->seg[i];
		int rc = segment_check_address(s, err);

		if (rc == 0)
			rc = segment_check_shared(elf, i, err);
		if (rc == 0 && s->vaddr != s->paddr)
			rc = map_segment(t, s, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Turn table numbers into addresses, now that table 0 is at @base. */
static void tables_relocate(struct tables *t, gpa_t base)
{
	unsigned table, i;

	for (table = 0; table < t->count; table++) {
		for (i = 0; t->level[table] > LEVEL_PT && i < TABLE_ENTRIES; i++) {
			uint8_t *p = entry_at(t, table, i);
			uint64_t entry = le64_get(p);

			if ((entry & PTE_P) && !(entry & PTE_PS))
				le64_put(p, entry + base);
		}
	}
}

static int tables_plan(struct load_job *job, struct tables *t, gpa_t *out_cr3,
		       struct umbra_err *err)
{
	struct load_part part = {
		.what = "boot page tables",
		.field = "address",
		.mem_len = (uint64_t)t->count * UMBRA_PAGE_SIZE,
		.data_len = (uint64_t)t->count * UMBRA_PAGE_SIZE,
	};
	int rc = load_plan_place_low(job, part.what, part.mem_len, UMBRA_PAGE_SIZE, &part.gpa, err);

	if (rc < 0)
		return rc;
	tables_relocate(t, part.gpa);
	*out_cr3 = part.gpa;
	part.bytes = t->bytes;
	t->bytes = NULL;
	return load_plan_add(job, &part, err);
}

int load_paging_plan(struct load_job *job, const struct load_elf *elf, gpa_t *out_cr3,
		     struct umbra_err *err)
{
	struct tables t = {.bytes = NULL};
	unsigned pml4;
	int rc = tables_new(&t, LEVEL_PML4, &pml4, err);

	if (rc == 0)
		rc = map_identity(&t, job->mem, err);
	if (rc == 0 && elf)
		rc = map_segments(&t, elf, err);
	if (rc == 0)
		rc = tables_plan(job, &t, out_cr3, err);
	free(t.bytes);
	return rc;
}

static int check_hidden_by(const struct load_elf_seg *s, const struct load_part *part,
			   struct umbra_err *err)
{
	gpa_t first = part->gpa & UMBRA_PAGE_MASK;
	gpa_t last = (part->gpa + part->mem_len - 1) & UMBRA_PAGE_MASK;

	if (s->vaddr == s->paddr || first > last_page(s) || first_page(s) > last)
		return 0;
	return umbra_err_set(err, ENOEXEC,
			     "program header %u: p_vaddr 0x%" PRIx64 " with p_memsz 0x%" PRIx64
			     " hides the %s at 0x%" PRIx64
			     "; link the segment elsewhere, or with p_vaddr equal to p_paddr",
			     s->number, s->vaddr, s->memsz, part->what, part->gpa);
}

int load_paging_check_hidden(const struct load_job *job, const struct load_elf *elf, unsigned first,
			     struct umbra_err *err)
{
	unsigned i, j;

	for (i = 0; i < elf->seg_count; i++) {
		for (j = first; j < job->image->part_count; j++) {
			int rc = check_hidden_by(&elf->seg[i], &job->image->part[j], err);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}
