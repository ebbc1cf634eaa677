/* What a walk over the bare registers tells beyond its result: which reserved bits, on which level,
 * for which MAXPHYADDR; PDPTE registers; G, A, D and the protection key. */
#include "walk_case.h"

#define CR0  (X86_CR0_PE | X86_CR0_PG)
#define LMA  (X86_EFER_LME | X86_EFER_LMA)
#define OPEN (P | RW | US)

static uint8_t *new_ram(const struct place *place, size_t n, unsigned entry_bytes)
{
	uint8_t *ram = calloc(1, RAM_BYTES);
	size_t i;

	cr_assert(ram != NULL);
	for (i = 0; i < n && place[i].entry; i++) {
		if (entry_bytes == 4)
			le32_put(ram + place[i].gpa, (uint32_t)place[i].entry);
		else
			le64_put(ram + place[i].gpa, place[i].entry);
	}
	return ram;
}

struct reserved_case {
	const char *what;
	uint64_t cr4, efer;
	uint8_t phys_bits;
	struct place place[4];
	unsigned level;	   /* 0: the walk succeeds */
	uint64_t reserved; /* those that are told */
};

static const struct reserved_case RESERVED[] = {
	{"bit 51 of a PTE, 52 bits",
	 X86_CR4_PAE,
	 LMA,
	 52,
	 {{0x1000, 0x2000 | P},
	  {0x2000, 0x3000 | P},
	  {0x3000, 0x4000 | P},
	  {0x4000, P | 1ull << 51}},
	 0,
	 0},
	{"bit 51 of a PTE, 51 bits",
	 X86_CR4_PAE,
	 LMA,
	 51,
	 {{0x1000, 0x2000 | P},
	  {0x2000, 0x3000 | P},
	  {0x3000, 0x4000 | P},
	  {0x4000, P | 1ull << 51}},
	 1,
	 1ull << 51},
	{"bits 40 and 39 of a PML4E, 40 bits",
	 X86_CR4_PAE,
	 LMA,
	 40,
	 {{0x1000, 0x2000 | P | 3ull << 39}},
	 4,
	 1ull << 40},
	{"bit 36 of a PDPTE, 36 bits",
	 X86_CR4_PAE,
	 LMA,
	 36,
	 {{0x1000, 0x2000 | P}, {0x2000, P | PS | 1ull << 36}},
	 3,
	 1ull << 36},
	{"several at once",
	 X86_CR4_PAE,
	 LMA,
	 40,
	 {{0x1000, 0x2000 | P}, {0x2000, P | PS | NX | 1ull << 45 | 1 << 29 | 1 << 12}},
	 3,
	 NX | 1ull << 45 | 1 << 29},
	{"bits 29:13 of a 1 GiB page",
	 X86_CR4_PAE,
	 LMA,
	 40,
	 {{0x1000, 0x2000 | P}, {0x2000, P | PS | 0x3fffe000}},
	 3,
	 0x3fffe000},
	{"bits 20:13 of a 2 MiB page",
	 X86_CR4_PAE,
	 LMA,
	 40,
	 {{0x1000, 0x2000 | P}, {0x2000, 0x3000 | P}, {0x3000, P | PS | 0x3fe000}},
	 2,
	 0x1fe000},
	{"what is not present has none", X86_CR4_PAE, LMA, 40, {{0x1000, NX | PS}}, 4, 0},
	{"ignored bits of a long entry",
	 X86_CR4_PAE,
	 LMA,
	 40,
	 {{0x1000, 0x2000 | P | 0x7ffull << 52 | 0xf00},
	  {0x2000, P | PS | 0x7ffull << 52 | 1 << 12}},
	 0,
	 0},
	{"PAE: bit 52 of a PDE is reserved even for 52 bits",
	 X86_CR4_PAE,
	 0,
	 52,
	 {{0x1000, 0x2000 | P}, {0x2000, P | PS | 1ull << 52}},
	 2,
	 1ull << 52},
	{"PAE: bit 62 of a PTE",
	 X86_CR4_PAE,
	 X86_EFER_NXE,
	 36,
	 {{0x1000, 0x2000 | P}, {0x2000, 0x3000 | P}, {0x3000, P | 1ull << 62}},
	 1,
	 1ull << 62},
	{"PAE: NX of a PDPTE is reserved with NXE",
	 X86_CR4_PAE,
	 X86_EFER_NXE,
	 36,
	 {{0x1000, 0x2000 | P | NX}},
	 3,
	 NX},
	{"PAE: R/W and U/S of a PDPTE", X86_CR4_PAE, 0, 36, {{0x1000, 0x2000 | OPEN}}, 3, RW | US},
	{"PAE: bits 8:5 of a PDPTE", X86_CR4_PAE, 0, 36, {{0x1000, 0x2000 | P | 0x1e0}}, 3, 0x1e0},
	{"PAE: PWT, PCD and bits 11:9 of a PDPTE are free",
	 X86_CR4_PAE,
	 0,
	 36,
	 {{0x1000, 0x2000 | P | 0xe18}, {0x2000, P | PS}},
	 0,
	 0},
	{"PSE: bit 20 is address bit 39", X86_CR4_PSE, 0, 40, {{0x1000, P | PS | 1 << 20}}, 0, 0},
	{"PSE: bit 20 with 39 bits", X86_CR4_PSE, 0, 39, {{0x1000, P | PS | 1 << 20}}, 2, 1 << 20},
	{"PSE: bit 21 with 52 bits", X86_CR4_PSE, 0, 52, {{0x1000, P | PS | 1 << 21}}, 2, 1 << 21},
	{"PSE: bit 16 with 36 bits", X86_CR4_PSE, 0, 36, {{0x1000, P | PS | 1 << 16}}, 0, 0},
	{"PSE: bit 17 with 36 bits", X86_CR4_PSE, 0, 36, {{0x1000, P | PS | 1 << 17}}, 2, 1 << 17},
	{"PSE: bit 13 with 32 bits", X86_CR4_PSE, 0, 32, {{0x1000, P | PS | 1 << 13}}, 2, 1 << 13},
	{"PSE: bit 12 is PAT", X86_CR4_PSE, 0, 32, {{0x1000, P | PS | 1 << 12}}, 0, 0},
	{"PSE: a PDE with a table has none",
	 X86_CR4_PSE,
	 0,
	 32,
	 {{0x1000, 0x2000 | P | 0xf00}, {0x2000, P | PS | 0xf00}},
	 0,
	 0},
};

Test(x86_paging_reserved, walk_when_bits_are_reserved_then_they_and_their_level_are_told)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(RESERVED); i++) {
		const struct reserved_case *c = &RESERVED[i];
		const struct x86_paging regs = {.cr0 = CR0,
						.cr3 = 0x1000,
						.cr4 = c->cr4,
						.efer = c->efer,
						.phys_bits = c->phys_bits};
		uint8_t *ram =
			new_ram(c->place, UMBRA_ARRAY_SIZE(c->place), c->cr4 & X86_CR4_PAE ? 8 : 4);
		struct x86_walk walk;
		int rc = x86_walk_paging(&regs, 0, read_ram, ram, &walk);

		cr_expect(rc == (c->level ? -EFAULT : 0), "%s: rc %d", c->what, rc);
		cr_expect(walk.fault == (c->level == 0 ? X86_WALK_OK
					 : c->reserved ? X86_WALK_RESERVED
						       : X86_WALK_NOT_PRESENT),
			  "%s: fault %d", c->what, walk.fault);
		cr_expect(walk.fault_level == c->level, "%s: level %u", c->what, walk.fault_level);
		cr_expect(walk.reserved_bits == c->reserved, "%s: bits %#llx", c->what,
			  (unsigned long long)walk.reserved_bits);
		free(ram);
	}
}

/* Nothing that a caller says about MAXPHYADDR leads out of bounds. */
Test(x86_paging_reserved, walk_when_phys_bits_are_odd_then_taken_as_nearest_possible)
{
	static const struct {
		uint8_t phys_bits;
		unsigned first_reserved;
	} rows[] = {{0, 52}, {1, 32}, {31, 32}, {32, 32}, {52, 52}, {53, 52}, {255, 52}};
	size_t i;
	unsigned bit;

	for (i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		for (bit = 30; bit < 52; bit++) {
			const struct x86_paging regs = {.cr0 = CR0,
							.cr3 = 0x1000,
							.cr4 = X86_CR4_PAE,
							.efer = LMA,
							.phys_bits = rows[i].phys_bits};
			const struct place place[] = {{0x1000, 0x2000 | P},
						      {0x2000, P | PS | 1ull << bit}};
			uint8_t *ram = new_ram(place, 2, 8);
			struct x86_walk walk;
			bool is_reserved;

			x86_walk_paging(&regs, 0, read_ram, ram, &walk);
			is_reserved = walk.fault == X86_WALK_RESERVED;
			cr_expect(is_reserved == (bit >= rows[i].first_reserved),
				  "phys_bits %u, bit %u", rows[i].phys_bits, bit);
			free(ram);
		}
	}
}

Test(x86_paging_reserved, walk_when_pdptes_are_registers_then_memory_is_not_asked)
{
	/* What stands in memory now names another directory, and is not what was loaded. */
	const struct place place[] = {{0x1008, 0x3000 | P}, {0x2000, 0x400000 | OPEN | PS}};
	struct x86_paging regs = {.cr0 = CR0,
				  .cr3 = 0x1000,
				  .cr4 = X86_CR4_PAE,
				  .has_pdpte = true,
				  .pdpte = {0, 0x2000 | P, 0, 0}};
	uint8_t *ram = new_ram(place, 2, 8);
	struct x86_walk walk;

	cr_assert_eq(x86_walk_paging(&regs, 0x40000123, read_ram, ram, &walk), 0);
	cr_expect_eq(walk.gpa, 0x400123);
	cr_expect_eq(walk.step[0].entry, (0x2000 | P));
	cr_expect_eq(walk.step[0].entry_gpa, 0x1008);
	cr_expect(walk.is_writable && walk.is_user);
	/* MOV CR3 has judged its reserved bits. */
	regs.pdpte[1] |= NX | RW;
	cr_assert_eq(x86_walk_paging(&regs, 0x40000123, read_ram, ram, &walk), 0);
	cr_expect_eq(walk.gpa, 0x400123);
	cr_expect(walk.is_executable);
	cr_expect_eq(x86_walk_paging(&regs, 0x123, read_ram, ram, &walk), -EFAULT);
	cr_expect_eq(walk.fault, X86_WALK_NOT_PRESENT);
	cr_expect_eq(walk.fault_level, 3);
	free(ram);
}

/* A PDPTE has no A; that it has none does not make the page untouched. */
Test(x86_paging_reserved, walk_when_flags_differ_by_level_then_leaf_and_all_are_told)
{
	const uint64_t a = X86_PTE_A, d = X86_PTE_D, g = X86_PTE_G;
	static const struct x86_paging pae = {.cr0 = CR0, .cr3 = 0x1000, .cr4 = X86_CR4_PAE};
	const struct {
		uint64_t pde, pte;
		bool is_accessed, is_dirty;
	} rows[] = {
		{0, 0, false, false}, {a, 0, false, false},	   {0, a, false, false},
		{a, a, true, false},  {a | d | g, a, true, false}, {a, a | d, true, true},
		{a, d, false, true},
	};
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		const struct place place[] = {{0x1000, 0x2000 | P},
					      {0x2000, 0x3000 | P | rows[i].pde},
					      {0x3000, 0x4000 | P | g | rows[i].pte}};
		uint8_t *ram = new_ram(place, 3, 8);
		struct x86_paging regs = pae;
		struct x86_walk walk;

		cr_assert_eq(x86_walk_paging(&regs, 0, read_ram, ram, &walk), 0);
		cr_expect(walk.is_accessed == rows[i].is_accessed, "row %zu: A", i);
		cr_expect(walk.is_dirty == rows[i].is_dirty, "row %zu: D", i);
		cr_expect(walk.is_global == false, "row %zu: G without CR4.PGE", i);
		regs.cr4 |= X86_CR4_PGE;
		cr_assert_eq(x86_walk_paging(&regs, 0, read_ram, ram, &walk), 0);
		cr_expect(walk.is_global, "row %zu: G", i);
		free(ram);
	}
}

/* Bits 62:59 of the leaf, and of the leaf only. */
Test(x86_paging_reserved, walk_when_entries_have_keys_then_the_leafs_is_told)
{
	const struct place place[] = {{0x1000, 0x2000 | P | 0xfull << 59},
				      {0x2000, 0x3000 | P | 0x3ull << 59},
				      {0x3000, P | PS | 0xaull << 59 | 0x7full << 52}};
	const struct x86_paging regs = {.cr0 = CR0, .cr3 = 0x1000, .cr4 = X86_CR4_PAE, .efer = LMA};
	uint8_t *ram = new_ram(place, 3, 8);
	struct x86_walk walk;

	cr_assert_eq(x86_walk_paging(&regs, 0x1234, read_ram, ram, &walk), 0);
	cr_expect_eq(walk.pkey, 10);
	cr_expect_eq(walk.gpa, 0x1234);
	free(ram);
}

Test(x86_paging_reserved, walk_when_it_cannot_go_on_then_reason_and_level_are_told)
{
	const struct place place[] = {{0x1000, 0x2000 | P}, {0x2000, RAM_BYTES | P}};
	const struct x86_paging regs = {.cr0 = CR0, .cr3 = 0x1000, .cr4 = X86_CR4_PAE, .efer = LMA};
	uint8_t *ram = new_ram(place, 2, 8);
	struct x86_walk walk;

	cr_expect_eq(x86_walk_paging(&regs, 0, read_ram, ram, &walk), -EIO);
	cr_expect_eq(walk.fault, X86_WALK_BUS);
	cr_expect_eq(walk.fault_level, 2);
	cr_expect_eq(walk.step_count, 2);
	cr_expect_eq(x86_walk_paging(&regs, 1ull << 47, read_ram, ram, &walk), -EFAULT);
	cr_expect_eq(walk.fault, X86_WALK_NONCANONICAL);
	cr_expect_eq(walk.fault_level, 0);
	cr_expect_eq(x86_walk_paging(&regs, 1ull << 39, read_ram, ram, &walk), -EFAULT);
	cr_expect_eq(walk.fault, X86_WALK_NOT_PRESENT);
	cr_expect_eq(walk.fault_level, 4);
	free(ram);
}
