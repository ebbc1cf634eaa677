/* Translation of linear addresses through the guest's page tables, without side effects.
 *
 * What differs between the paging modes is data: one row per level, read by one walk.
 *
 * Reserved bits are judged for MAXPHYADDR 52, the widest that the architecture allows (SDM 3A
 * 4.1.4): a bit that is reserved only because this processor has fewer address bits is taken as an
 * address bit, and the walk then ends outside RAM.  PAE's PDPTEs are read from memory at each
 * walk; a processor may still use those that it loaded at the last MOV to CR3 (SDM 3A 4.4.1).
 *
 * Source: SDM 3A 4.3 (32-bit, tables 4-4 to 4-6), 4.4 (PAE, tables 4-8 to 4-11), 4.5 (4- and
 * 5-level, tables 4-14 to 4-20). */
#include "umbra/x86.h"

#include <errno.h>

#define BIT(n)	     (1ull << (n))
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define ENTRY_P	   BIT(0)
#define ENTRY_RW   BIT(1)
#define ENTRY_US   BIT(2)
#define ENTRY_PS   BIT(7) /* this entry maps a large page; PAT in a PTE */
#define ENTRY_NX   BIT(63)
#define ENTRY_ADDR BITS(51, 12)

/* Which entries of a level end the walk with a page. */
enum page_rule {
	PAGE_NEVER,  /* the entry always names a table */
	PAGE_IF_PS,  /* by bit 7 */
	PAGE_IF_PSE, /* by bit 7 where CR4.PSE is set; ignored otherwise */
	PAGE_ALWAYS
};

/* One level of one mode.  Shift and index bits cut the table index out of the linear address;
 * the page at this level has 1 << shift bytes. */
struct level_row {
	unsigned level;
	unsigned shift, index_bits;
	enum page_rule page;
	uint64_t page_mask;	 /* address bits of an entry that maps a page */
	uint64_t table_reserved; /* bits that must be 0 in an entry that names a table */
	uint64_t page_reserved;	 /* the same for one that maps a page */
	bool has_rights;	 /* PAE's PDPTE has none */
};

static const struct level_row LEVELS_32BIT[] = {
	/* 4 MiB pages have 40-bit addresses: see pse36_address. */
	{2, 22, 10, PAGE_IF_PSE, BITS(31, 22), 0, BIT(21), true},
	{1, 12, 10, PAGE_ALWAYS, BITS(31, 12), 0, 0, true},
};

static const struct level_row LEVELS_PAE[] = {
	{3, 30, 2, PAGE_NEVER, 0, BITS(63, 52) | BITS(8, 5) | BITS(2, 1), 0, false},
	{2, 21, 9, PAGE_IF_PS, BITS(51, 21), BITS(62, 52), BITS(62, 52) | BITS(20, 13), true},
	{1, 12, 9, PAGE_ALWAYS, BITS(51, 12), 0, BITS(62, 52), true},
};

/* 4-level paging begins at the second row. */
static const struct level_row LEVELS_LONG[] = {
	{5, 48, 9, PAGE_NEVER, 0, ENTRY_PS, 0, true},
	{4, 39, 9, PAGE_NEVER, 0, ENTRY_PS, 0, true},
	{3, 30, 9, PAGE_IF_PS, BITS(51, 30), 0, BITS(29, 13), true},
	{2, 21, 9, PAGE_IF_PS, BITS(51, 21), 0, BITS(20, 13), true},
	{1, 12, 9, PAGE_ALWAYS, BITS(51, 12), 0, 0, true},
};

struct mode_row {
	const struct level_row *level; /* root first */
	unsigned levels;
	unsigned entry_bytes;
	unsigned linear_bits; /* width of a linear address */
	bool is_canonical;    /* wider addresses must be sign-extended; else they do not exist */
	bool has_nx;
	uint64_t cr3_mask; /* address of the root table */
};

static const struct mode_row MODES[] = {
	[X86_PAGING_NONE] = {NULL, 0, 0, 32, false, false, 0},
	[X86_PAGING_32BIT] = {LEVELS_32BIT, 2, 4, 32, false, false, BITS(31, 12)},
	[X86_PAGING_PAE] = {LEVELS_PAE, 3, 8, 32, false, true, BITS(31, 5)},
	[X86_PAGING_4LEVEL] = {LEVELS_LONG + 1, 4, 8, 48, true, true, BITS(51, 12)},
	[X86_PAGING_5LEVEL] = {LEVELS_LONG, 5, 8, 57, true, true, BITS(51, 12)},
};

enum x86_paging_mode x86_paging_mode_of(const struct x86_state *st)
{
	if (!(st->cr0 & X86_CR0_PG))
		return X86_PAGING_NONE;
	if (st->efer & X86_EFER_LMA)
		return st->cr4 & X86_CR4_LA57 ? X86_PAGING_5LEVEL : X86_PAGING_4LEVEL;
	return st->cr4 & X86_CR4_PAE ? X86_PAGING_PAE : X86_PAGING_32BIT;
}

static bool address_exists(const struct mode_row *mode, gva_t va)
{
	uint64_t above = va >> (mode->linear_bits - mode->is_canonical);

	if (above == 0)
		return true;
	return mode->is_canonical && above == ~0ull >> (mode->linear_bits - 1);
}

static bool maps_page(const struct level_row *row, const struct x86_state *st, uint64_t entry)
{
	switch (row->page) {
	case PAGE_NEVER:
		return false;
	case PAGE_IF_PS:
		return entry & ENTRY_PS;
	case PAGE_IF_PSE:
		return (entry & ENTRY_PS) && (st->cr4 & X86_CR4_PSE);
	case PAGE_ALWAYS:
		break;
	}
	return true;
}

/* PSE-36: bits 20:13 of a PDE that maps 4 MiB are address bits 39:32 (SDM 3A table 4-4).
 *
 *  31        22 21 20           13 12 11    0
 * |  31..22    | 0 |   39..32     |PAT| flags |  */
static gpa_t pse36_address(uint64_t entry)
{
	return (entry & BITS(31, 22)) | (entry & BITS(20, 13)) << 19;
}

static gpa_t page_address(const struct level_row *row, uint64_t entry)
{
	if (row->page == PAGE_IF_PSE)
		return pse36_address(entry);
	return entry & row->page_mask;
}

static bool has_reserved_bits(const struct level_row *row, const struct x86_state *st,
			      const struct mode_row *mode, uint64_t entry)
{
	uint64_t reserved = maps_page(row, st, entry) ? row->page_reserved : row->table_reserved;

	if (mode->has_nx && !(st->efer & X86_EFER_NXE))
		reserved |= ENTRY_NX;
	return entry & reserved;
}

static void narrow_rights(struct x86_walk *walk, const struct level_row *row, uint64_t entry)
{
	if (!row->has_rights)
		return;
	walk->is_writable &= (entry & ENTRY_RW) != 0;
	walk->is_user &= (entry & ENTRY_US) != 0;
	walk->is_executable &= !(entry & ENTRY_NX);
}

/* Read the entry for @va in the table at @table into the walk's next step. */
static int read_entry(struct x86_walk *walk, const struct level_row *row, gpa_t table, gva_t va,
		      x86_phys_read_fn read, void *ctx)
{
	struct x86_walk_step *step = &walk->step[walk->step_count];
	unsigned bytes = MODES[walk->mode].entry_bytes;
	uint8_t raw[8] = {0};

	step->level = row->level;
	step->index = (unsigned)(va >> row->shift) & ((1u << row->index_bits) - 1);
	step->entry_gpa = table + (uint64_t)step->index * bytes;
	if (!read(ctx, step->entry_gpa, raw, bytes))
		return -EIO;
	step->entry = le64_get(raw);
	walk->step_count++;
	return 0;
}

static int walk_tables(const struct x86_state *st, gva_t va, x86_phys_read_fn read, void *ctx,
		       struct x86_walk *walk)
{
	const struct mode_row *mode = &MODES[walk->mode];
	gpa_t table = st->cr3 & mode->cr3_mask;
	unsigned i;

	for (i = 0; i < mode->levels; i++) {
		const struct level_row *row = &mode->level[i];
		int rc = read_entry(walk, row, table, va, read, ctx);
		uint64_t entry = walk->step[i].entry;

		if (rc < 0)
			return rc;
		if (!(entry & ENTRY_P) || has_reserved_bits(row, st, mode, entry))
			return -EFAULT;
		narrow_rights(walk, row, entry);
		if (maps_page(row, st, entry)) {
			walk->page_size = BIT(row->shift);
			walk->gpa = page_address(row, entry) | (va & (walk->page_size - 1));
			return 0;
		}
		table = entry & ENTRY_ADDR;
	}
	return -EFAULT; /* not reached: the last level of each mode always maps a page */
}

int x86_walk(const struct x86_state *st, gva_t va, x86_phys_read_fn read, void *ctx,
	     struct x86_walk *out_walk)
{
	memset(out_walk, 0, sizeof(*out_walk));
	out_walk->mode = x86_paging_mode_of(st);
	out_walk->is_writable = true;
	out_walk->is_user = true;
	out_walk->is_executable = true;
	if (!address_exists(&MODES[out_walk->mode], va))
		return -EFAULT;
	if (out_walk->mode == X86_PAGING_NONE) {
		out_walk->gpa = va;
		return 0;
	}
	return walk_tables(st, va, read, ctx, out_walk);
}
