/* Random table sets and what umbra makes of them, one JSON object a line, for
 * tests/walk/compare.py, whose walker shares no code with umbra.
 *
 *   tables SEED COUNT
 *
 * {"regs":{..},"mem":[[gpa,value],..],"probes":[{..},..],"ranges":[..]} */
#include "umbra/mmu_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RAM_BYTES   0x10000u
#define FRAMES	    (RAM_BYTES / UMBRA_PAGE_SIZE)
#define HIGH_BASE   0x1000000000ull /* 64 GiB: PSE-36 and PAE reach it */
#define PUTS_MAX    64u
#define PROBES	    8u
#define PAGES_LIMIT 2000u

struct set {
	uint64_t random;
	struct mem_space *mem;
	struct x86_paging regs;
	gpa_t put[PUTS_MAX];
	unsigned puts;
	gva_t va; /* whose tables are made */
};

static uint64_t draw(struct set *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static bool one_in(struct set *s, unsigned n)
{
	return draw(s) % n == 0;
}

static gpa_t draw_frame(struct set *s)
{
	if (one_in(s, 12))
		return HIGH_BASE + draw(s) % 2 * UMBRA_PAGE_SIZE;
	return draw(s) % FRAMES * UMBRA_PAGE_SIZE;
}

static void draw_regs(struct set *s)
{
	static const uint8_t widths[] = {36, 40, 46, 52};
	struct x86_paging *r = &s->regs;
	unsigned mode = draw(s) % 4;

	*r = (struct x86_paging){.cr0 = X86_CR0_PG | X86_CR0_PE, .phys_bits = widths[draw(s) % 4]};
	r->cr0 |= one_in(s, 3) ? 0 : X86_CR0_WP;
	r->cr4 = (one_in(s, 2) ? X86_CR4_SMEP : 0) | (one_in(s, 2) ? X86_CR4_SMAP : 0) |
		 (one_in(s, 2) ? X86_CR4_PGE : 0) | (one_in(s, 3) ? 0 : X86_CR4_PSE);
	r->cr4 |= mode > 0 ? X86_CR4_PAE : 0;
	r->cr4 |= mode == 3 ? X86_CR4_LA57 : 0;
	if (mode > 1) {
		r->efer = X86_EFER_LMA | X86_EFER_LME;
		r->cr4 |= one_in(s, 2) ? X86_CR4_PKE : 0;
		r->pkru = (uint32_t)draw(s);
	}
	r->efer |= one_in(s, 3) ? 0 : X86_EFER_NXE;
	r->cr3 = draw(s) % FRAMES * UMBRA_PAGE_SIZE;
}

static gva_t draw_va(struct set *s)
{
	gva_t va = draw(s);

	if (!(s->regs.efer & X86_EFER_LMA))
		return (uint32_t)va;
	if (one_in(s, 20))
		return va;
	va = s->regs.cr4 & X86_CR4_LA57 ? va << 7 : va << 16;
	return (gva_t)((int64_t)va >> (s->regs.cr4 & X86_CR4_LA57 ? 7 : 16));
}

static uint64_t draw_entry(struct set *s)
{
	uint64_t entry = draw_frame(s) | X86_PTE_P | X86_PTE_RW | X86_PTE_US | (draw(s) & 0x160);

	if (one_in(s, 4))
		entry ^= X86_PTE_RW;
	if (one_in(s, 4))
		entry ^= X86_PTE_US;
	if (one_in(s, 4))
		entry ^= X86_PTE_NX;
	if (one_in(s, 4))
		entry ^= X86_PTE_PS;
	if (one_in(s, 8))
		entry ^= 1ull << draw(s) % 64;
	if (one_in(s, 12))
		entry ^= X86_PTE_P;
	if (s->regs.cr4 & X86_CR4_PKE)
		entry |= draw(s) << 59 & ~X86_PTE_NX;
	return entry;
}

static void put_entry(struct set *s, gpa_t gpa, uint64_t entry)
{
	uint8_t raw[8];

	gpa &= ~7ull;
	le64_put(raw, entry);
	if (s->puts < PUTS_MAX && mem_poke(s->mem, gpa, raw, sizeof(raw)) == sizeof(raw))
		s->put[s->puts++] = gpa;
}

/* Entries on the way of s->va, and some beside it. */
static void make_tables(struct set *s)
{
	struct x86_table_form form[X86_WALK_MAX_LEVELS];
	gpa_t table;
	unsigned levels = x86_table_forms(&s->regs, form, &table);

	for (unsigned i = 0; i < levels; i++) {
		uint64_t index = s->va >> form[i].shift & (form[i].entries - 1);
		uint64_t entry = draw_entry(s);

		if (form[i].is_pdpte && !one_in(s, 8))
			entry &= ~(X86_PTE_RW | X86_PTE_US | 0x1e0ull | X86_PTE_NX);
		put_entry(s, table + index * form[i].entry_bytes, entry);
		for (unsigned n = draw(s) % 6; n > 0; n--)
			put_entry(s, table + draw(s) % form[i].entries * form[i].entry_bytes,
				  draw_entry(s));
		table = entry & X86_PTE_TABLE;
	}
}

/* Telling. */

static uint64_t get(const struct set *s, gpa_t gpa)
{
	uint8_t raw[8] = {0};

	mem_peek(s->mem, gpa, raw, sizeof(raw));
	return le64_get(raw);
}

static void tell_setup(const struct set *s)
{
	const struct x86_paging *r = &s->regs;

	printf("{\"regs\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,%u],\"mem\":[",
	       r->cr0, r->cr3, r->cr4, r->efer, r->pkru, r->phys_bits);
	for (unsigned i = 0; i < s->puts; i++)
		printf("%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", s->put[i], get(s, s->put[i]));
	printf("],\"probes\":[");
}

static void tell_probe(struct set *s, bool is_first)
{
	static const unsigned masks[] = {0, X86_PF_W, X86_PF_I};
	gva_t va = one_in(s, 4) ? draw_va(s) : s->va ^ (draw(s) & 0xfff);
	unsigned access = draw(s) % 3;
	bool is_user = one_in(s, 2), ac = one_in(s, 2);
	struct mmu_probe p;

	mmu_probe(s->mem, &s->regs, va, masks[access] | (is_user ? X86_PF_U : 0), ac, &p);
	printf("%s[%" PRIu64 ",\"%c\",%u,%u,%u,%u,%u,%" PRIu64 ",%" PRIu64 ",%u,%u]",
	       is_first ? "" : ",", va, "rwx"[access], is_user ? 3 : 0, ac,
	       p.is_fault ? p.vector : 0, p.error, p.level, p.walk.gpa, p.walk.page_size,
	       (unsigned)p.walk.fault, p.walk.fault_level);
}

struct teller {
	unsigned pages;
	bool has_range;
	struct mmu_merge merge;
};

static bool tell_range(void *ctx, const struct mmu_range *r)
{
	struct teller *t = ctx;

	printf("%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,%" PRIu64 "]",
	       t->has_range ? "," : "", r->gva, r->gpa, r->len, r->page_size, r->rights, r->pages);
	t->has_range = true;
	return true;
}

static enum mmu_view_step add_page(void *ctx, const struct mmu_mapping *page)
{
	struct teller *t = ctx;
	struct mmu_mapping plain = *page;

	if (t->pages++ == PAGES_LIMIT)
		return MMU_VIEW_STOP;
	plain.is_global = false; /* what the other side merges by */
	plain.pkey = 0;
	return mmu_merge_add(&t->merge, &plain);
}

static void tell_ranges(struct set *s)
{
	struct teller t = {.merge = {.on_range = tell_range}};
	struct mmu_view view = {
		.mem = s->mem, .regs = &s->regs, .hi = ~0ull, .on_page = add_page, .ctx = &t};
	gva_t next;

	t.merge.ctx = &t;
	mmu_view_run(&view, &next);
	mmu_merge_end(&t.merge);
}

static void try_one(struct set *s)
{
	s->puts = 0;
	draw_regs(s);
	s->va = draw_va(s);
	make_tables(s);
	tell_setup(s);
	for (unsigned i = 0; i < PROBES; i++)
		tell_probe(s, i == 0);
	printf("],\"ranges\":[");
	tell_ranges(s);
	printf("]}\n");
	mem_clear_ram(s->mem);
}

int main(int argc, char **argv)
{
	struct umbra_err err = {.text = ""};
	struct set s;
	unsigned long count;

	if (argc != 3) {
		fprintf(stderr, "usage: tables SEED COUNT\n");
		return 2;
	}
	s.random = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull | 1;
	count = strtoul(argv[2], NULL, 0);
	if (mem_create(&s.mem, &err) || mem_add(s.mem, 0, RAM_BYTES, MEM_RAM, "low", &err) ||
	    mem_add(s.mem, HIGH_BASE, 2 * UMBRA_PAGE_SIZE, MEM_RAM, "high", &err)) {
		fprintf(stderr, "tables: %s\n", err.text);
		return 1;
	}
	while (count-- > 0)
		try_one(&s);
	mem_destroy(s.mem);
	return 0;
}
