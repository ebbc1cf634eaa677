/* Translation of linear addresses through the guest's page tables, without side effects.
 *
 * What differs between the paging modes is data: one row per level, read by one walk.
 *
 * A caller that gives no MAXPHYADDR gets 52, the widest that the architecture allows (SDM 3A
 * 4.1.4): a bit that is reserved only because this processor has fewer address bits is then taken
 * as an address bit, and the walk ends outside RAM.  A caller that gives no PDPTE registers has
 * PAE's four top entries read from memory at each walk; a processor uses those that it loaded at
 * the last MOV to CR3 (SDM 3A 4.4.1).
 *
 * Source: SDM 3A 4.3 (32-bit, tables 4-4 to 4-6), 4.4 (PAE, tables 4-8 to 4-11), 4.5 (4- and
 * 5-level, tables 4-14 to 4-20). */
#include "umbra/x86.h"

#include <errno.h>

#define BIT(n)	     (1ull << (n))
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define ENTRY_ADDR BITS(51, 12)

#define PHYS_BITS_MIN	32
#define PHYS_BITS_MAX	52
#define PHYS_BITS_PSE36 40 /* a 4 MiB page's address has no more */

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
	bool is_pdpte;		 /* PAE's: has neither rights nor A, and may be a register */
};

static const struct level_row LEVELS_32BIT[] = {
	/* 4 MiB pages have 40-bit addresses: see pse36_address. */
	{2, 22, 10, PAGE_IF_PSE, BITS(31, 22), 0, BIT(21), false},
	{1, 12, 10, PAGE_ALWAYS, BITS(31, 12), 0, 0, false},
};

static const struct level_row LEVELS_PAE[] = {
	{3, 30, 2, PAGE_NEVER, 0, BITS(63, 52) | BITS(8, 5) | BITS(2, 1), 0, true},
	{2, 21, 9, PAGE_IF_PS, BITS(51, 21), BITS(62, 52), BITS(62, 52) | BITS(20, 13), false},
	{1, 12, 9, PAGE_ALWAYS, BITS(51, 12), 0, BITS(62, 52), false},
};

/* 4-level paging begins at the second row. */
static const struct level_row LEVELS_LONG[] = {
	{5, 48, 9, PAGE_NEVER, 0, X86_PTE_PS, 0, false},
	{4, 39, 9, PAGE_NEVER, 0, X86_PTE_PS, 0, false},
	{3, 30, 9, PAGE_IF_PS, BITS(51, 30), 0, BITS(29, 13), false},
	{2, 21, 9, PAGE_IF_PS, BITS(51, 21), 0, BITS(20, 13), false},
	{1, 12, 9, PAGE_ALWAYS, BITS(51, 12), 0, 0, false},
};

struct mode_row {
	const struct level_row *level; /* root first */
	unsigned levels;
	unsigned entry_bytes;
	unsigned linear_bits; /* width of a linear address */
	bool is_canonical;    /* wider addresses must be sign-extended; else they do not exist */
	bool has_pkey;	      /* bits 62:59 of an entry that maps a page */
	uint64_t cr3_mask;    /* address of the root table */
};

static const struct mode_row MODES[] = {
	[X86_PAGING_NONE] = {NULL, 0, 0, 32, false, false, 0},
	[X86_PAGING_32BIT] = {LEVELS_32BIT, 2, 4, 32, false, false, BITS(31, 12)},
	[X86_PAGING_PAE] = {LEVELS_PAE, 3, 8, 32, false, false, BITS(31, 5)},
	[X86_PAGING_4LEVEL] = {LEVELS_LONG + 1, 4, 8, 48, true, true, BITS(51, 12)},
	[X86_PAGING_5LEVEL] = {LEVELS_LONG, 5, 8, 57, true, true, BITS(51, 12)},
};

/* What one walk goes by. */
struct walk_rules {
	const struct x86_paging *regs;
	const struct mode_row *mode;
	gva_t va;
	uint64_t reserved;	 /* in every entry, whatever its level */
	uint64_t pse36_reserved; /* in a PDE that maps 4 MiB */
	x86_phys_read_fn read;
	void *ctx;
};

static enum x86_paging_mode mode_of(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	if (!(cr0 & X86_CR0_PG))
		return X86_PAGING_NONE;
	if (efer & X86_EFER_LMA)
		return cr4 & X86_CR4_LA57 ? X86_PAGING_5LEVEL : X86_PAGING_4LEVEL;
	return cr4 & X86_CR4_PAE ? X86_PAGING_PAE : X86_PAGING_32BIT;
}

enum x86_paging_mode x86_paging_mode_of(const struct x86_state *st)
{
	return mode_of(st->cr0, st->cr4, st->efer);
}

enum x86_paging_mode x86_paging_mode(const struct x86_paging *regs)
{
	return mode_of(regs->cr0, regs->cr4, regs->efer);
}

bool x86_has_pdptes(const struct x86_state *st)
{
	return st->has_pdpte && st->pdpte_cr3 == st->cr3 &&
	       x86_paging_mode_of(st) == X86_PAGING_PAE;
}

static bool address_exists(const struct mode_row *mode, gva_t va)
{
	uint64_t above = va >> (mode->linear_bits - mode->is_canonical);

	if (above == 0)
		return true;
	return mode->is_canonical && above == ~0ull >> (mode->linear_bits - 1);
}

static unsigned phys_bits_of(const struct x86_paging *regs)
{
	if (regs->phys_bits == 0 || regs->phys_bits > PHYS_BITS_MAX)
		return PHYS_BITS_MAX;
	return regs->phys_bits < PHYS_BITS_MIN ? PHYS_BITS_MIN : regs->phys_bits;
}

/* With M address bits, an entry of 8 bytes has bits 51:M reserved, and without EFER.NXE bit 63. In
 * a PDE of 32-bit paging that maps 4 MiB, bits 20:(M-19) would be address bits M and up. */
static void find_reserved(struct walk_rules *rules)
{
	unsigned phys_bits = phys_bits_of(rules->regs);

	if (rules->mode->entry_bytes == 4) {
		if (phys_bits < PHYS_BITS_PSE36)
			rules->pse36_reserved = BITS(20, phys_bits - 19);
		return;
	}
	if (phys_bits < PHYS_BITS_MAX)
		rules->reserved = BITS(51, phys_bits);
	if (!(rules->regs->efer & X86_EFER_NXE))
		rules->reserved |= X86_PTE_NX;
}

static bool maps_page(const struct walk_rules *rules, const struct level_row *row, uint64_t entry)
{
	switch (row->page) {
	case PAGE_NEVER:
		return false;
	case PAGE_IF_PS:
		return entry & X86_PTE_PS;
	case PAGE_IF_PSE:
		return (entry & X86_PTE_PS) && (rules->regs->cr4 & X86_CR4_PSE);
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

static uint64_t reserved_bits(const struct walk_rules *rules, const struct level_row *row,
			      uint64_t entry, bool is_page)
{
	uint64_t reserved = rules->reserved | (is_page ? row->page_reserved : row->table_reserved);

	/* MOV CR3 looked at what it loaded; nothing looks at a PDPTE register again. */
	if (row->is_pdpte && rules->regs->has_pdpte)
		return 0;
	if (is_page && row->page == PAGE_IF_PSE)
		reserved |= rules->pse36_reserved;
	return entry & reserved;
}

/* The same as data, for whoever reads whole tables. */
static struct x86_table_form form_of(const struct walk_rules *rules, const struct level_row *row)
{
	struct x86_table_form form = {.level = row->level,
				      .shift = row->shift,
				      .entries = 1u << row->index_bits,
				      .entry_bytes = rules->mode->entry_bytes,
				      .is_pdpte = row->is_pdpte,
				      .is_pse36 = row->page == PAGE_IF_PSE,
				      .has_pkey = rules->mode->has_pkey,
				      .page_mask = row->page_mask};
	uint64_t every = row->is_pdpte && rules->regs->has_pdpte ? 0 : ~0ull;

	form.has_pages = maps_page(rules, row, X86_PTE_PS);
	form.has_tables = row->page != PAGE_ALWAYS;
	form.table_reserved = reserved_bits(rules, row, every, false);
	form.page_reserved = reserved_bits(rules, row, every, true);
	return form;
}

unsigned x86_table_forms(const struct x86_paging *regs,
			 struct x86_table_form out_form[X86_WALK_MAX_LEVELS], gpa_t *out_root)
{
	const struct mode_row *mode = &MODES[x86_paging_mode(regs)];
	struct walk_rules rules = {.regs = regs, .mode = mode};

	*out_root = regs->cr3 & mode->cr3_mask;
	if (mode->levels)
		find_reserved(&rules);
	for (unsigned i = 0; i < mode->levels; i++)
		out_form[i] = form_of(&rules, &mode->level[i]);
	return mode->levels;
}

gpa_t x86_entry_page(const struct x86_table_form *form, uint64_t entry)
{
	return form->is_pse36 ? pse36_address(entry) : entry & form->page_mask;
}

unsigned x86_linear_bits(enum x86_paging_mode mode, bool *out_is_canonical)
{
	*out_is_canonical = MODES[mode].is_canonical;
	return MODES[mode].linear_bits;
}

static void narrow_rights(struct x86_walk *walk, const struct level_row *row, uint64_t entry)
{
	if (row->is_pdpte)
		return;
	walk->is_writable &= (entry & X86_PTE_RW) != 0;
	walk->is_user &= (entry & X86_PTE_US) != 0;
	walk->is_executable &= !(entry & X86_PTE_NX);
	walk->is_accessed &= (entry & X86_PTE_A) != 0;
}

/* Read the entry for the address in the table at @table into the walk's next step. */
static bool read_entry(const struct walk_rules *rules, const struct level_row *row, gpa_t table,
		       struct x86_walk *walk)
{
	struct x86_walk_step *step = &walk->step[walk->step_count];
	uint8_t raw[8] = {0};

	step->level = row->level;
	step->index = (unsigned)(rules->va >> row->shift) & ((1u << row->index_bits) - 1);
	step->entry_gpa = table + (uint64_t)step->index * rules->mode->entry_bytes;
	if (row->is_pdpte && rules->regs->has_pdpte)
		step->entry = rules->regs->pdpte[step->index];
	else if (rules->read(rules->ctx, step->entry_gpa, raw, rules->mode->entry_bytes))
		step->entry = le64_get(raw);
	else
		return false;
	walk->step_count++;
	return true;
}

static int fail(struct x86_walk *walk, const struct level_row *row, enum x86_walk_fault fault)
{
	walk->fault = fault;
	walk->fault_level = row->level;
	return fault == X86_WALK_BUS ? -EIO : -EFAULT;
}

static void take_page(const struct walk_rules *rules, const struct level_row *row, uint64_t entry,
		      struct x86_walk *walk)
{
	walk->page_size = BIT(row->shift);
	walk->gpa = page_address(row, entry) | (rules->va & (walk->page_size - 1));
	walk->is_global = (entry & X86_PTE_G) && (rules->regs->cr4 & X86_CR4_PGE);
	walk->is_dirty = (entry & X86_PTE_D) != 0;
	if (rules->mode->has_pkey)
		walk->pkey = (entry >> 59) & 15;
}

static int walk_tables(const struct walk_rules *rules, struct x86_walk *walk)
{
	const struct mode_row *mode = rules->mode;
	gpa_t table = rules->regs->cr3 & mode->cr3_mask;
	const struct level_row *row;

	for (row = mode->level; row < mode->level + mode->levels; row++) {
		uint64_t entry;
		bool is_page;

		if (!read_entry(rules, row, table, walk))
			return fail(walk, row, X86_WALK_BUS);
		entry = walk->step[walk->step_count - 1].entry;
		if (!(entry & X86_PTE_P))
			return fail(walk, row, X86_WALK_NOT_PRESENT);
		is_page = maps_page(rules, row, entry);
		walk->reserved_bits = reserved_bits(rules, row, entry, is_page);
		if (walk->reserved_bits)
			return fail(walk, row, X86_WALK_RESERVED);
		narrow_rights(walk, row, entry);
		if (is_page) {
			take_page(rules, row, entry, walk);
			return 0;
		}
		table = entry & ENTRY_ADDR;
	}
	return -EFAULT; /* not reached: the last level of each mode always maps a page */
}

int x86_walk_paging(const struct x86_paging *regs, gva_t va, x86_phys_read_fn read, void *ctx,
		    struct x86_walk *out_walk)
{
	enum x86_paging_mode mode = x86_paging_mode(regs);
	struct walk_rules rules = {
		.regs = regs, .mode = &MODES[mode], .va = va, .read = read, .ctx = ctx};

	*out_walk = (struct x86_walk){
		.mode = mode,
		.is_writable = true,
		.is_user = true,
		.is_executable = true,
		.is_accessed = true,
	};
	if (!address_exists(rules.mode, va)) {
		out_walk->fault = X86_WALK_NONCANONICAL;
		return -EFAULT;
	}
	if (mode == X86_PAGING_NONE) {
		out_walk->gpa = va;
		out_walk->is_dirty = true;
		return 0;
	}
	find_reserved(&rules);
	return walk_tables(&rules, out_walk);
}

int x86_walk(const struct x86_state *st, gva_t va, x86_phys_read_fn read, void *ctx,
	     struct x86_walk *out_walk)
{
	struct x86_paging regs = {.cr0 = st->cr0,
				  .cr3 = st->cr3,
				  .cr4 = st->cr4,
				  .efer = st->efer,
				  .has_pdpte = x86_has_pdptes(st)};

	memcpy(regs.pdpte, st->pdpte, sizeof(regs.pdpte));
	return x86_walk_paging(&regs, va, read, ctx, out_walk);
}
