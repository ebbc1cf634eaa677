/* mmu_walk by hand: A and D on each level, and where they must not or cannot be set. */
#include "src/mmu/walk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

#define RAM_BYTES 0x10000u
#define ROM_BASE  0x20000u
#define ROM_BYTES 0x4000u
#define NOWHERE	  0x80000ull

#define P  X86_PTE_P
#define RW X86_PTE_RW
#define US X86_PTE_US
#define A  X86_PTE_A
#define D  X86_PTE_D
#define PS X86_PTE_PS

#define OPEN (P | RW | US)

#define LEVEL(n) (1u << (n))

#define LONG                                                                                       \
	{                                                                                          \
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP, .cr3 = 0x1000, .cr4 = X86_CR4_PAE,    \
		.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE                                 \
	}

static struct mem_space *new_memory(void)
{
	struct mem_space *mem = NULL;

	cr_assert_eq(mem_create(&mem, NULL), 0);
	cr_assert_eq(mem_add(mem, 0, RAM_BYTES, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(mem_add(mem, ROM_BASE, ROM_BYTES, MEM_ROM, "rom", NULL), 0);
	return mem;
}

static void put(struct mem_space *mem, gpa_t gpa, uint64_t entry)
{
	uint8_t raw[8];

	le64_put(raw, entry);
	cr_assert_eq(mem_poke(mem, gpa, raw, sizeof(raw)), sizeof(raw));
}

static uint64_t get(struct mem_space *mem, gpa_t gpa)
{
	uint8_t raw[8];

	cr_assert_eq(mem_peek(mem, gpa, raw, sizeof(raw)), sizeof(raw));
	return le64_get(raw);
}

/* Address 0 to 0x5000 by four levels at 0x1000 .. 0x4000. */
static void put_four_levels(struct mem_space *mem, uint64_t flags)
{
	put(mem, 0x1000, 0x2000 | flags);
	put(mem, 0x2000, 0x3000 | flags);
	put(mem, 0x3000, 0x4000 | flags);
	put(mem, 0x4000, 0x5000 | flags);
}

static void check_four_levels(struct mem_space *mem, uint64_t upper, uint64_t leaf)
{
	cr_expect_eq(get(mem, 0x1000), (0x2000 | upper));
	cr_expect_eq(get(mem, 0x2000), (0x3000 | upper));
	cr_expect_eq(get(mem, 0x3000), (0x4000 | upper));
	cr_expect_eq(get(mem, 0x4000), (0x5000 | leaf));
}

Test(mmu_walk, walk_when_read_then_a_on_all_levels_and_no_d)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put_four_levels(mem, OPEN);
	cr_assert_eq(mmu_walk(mem, &regs, 0x123, X86_PF_U, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0x5123);
	cr_expect_eq(w.error, 0);
	cr_expect_eq(w.set_accessed, (LEVEL(4) | LEVEL(3) | LEVEL(2) | LEVEL(1)));
	cr_expect(!w.set_dirty && w.walk.is_accessed && !w.walk.is_dirty);
	cr_expect_eq(w.walk.step[3].entry, (0x5000 | OPEN | A));
	check_four_levels(mem, OPEN | A, OPEN | A);
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_write_then_d_on_the_leaf_only)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put_four_levels(mem, OPEN | A);
	cr_assert_eq(mmu_walk(mem, &regs, 0, X86_PF_U | X86_PF_W, false, &w), 0);
	cr_expect_eq(w.set_accessed, 0);
	cr_expect(w.set_dirty && w.walk.is_accessed && w.walk.is_dirty);
	check_four_levels(mem, OPEN | A, OPEN | A | D);
	/* Again: there is nothing left to set. */
	cr_assert_eq(mmu_walk(mem, &regs, 0, X86_PF_U | X86_PF_W, false, &w), 0);
	cr_expect(w.set_accessed == 0 && !w.set_dirty && w.walk.is_dirty);
	mem_destroy(mem);
}

/* An upper entry's bit 6 means nothing and stays. */
Test(mmu_walk, walk_when_write_to_large_page_then_d_on_its_entry)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put(mem, 0x1000, 0x2000 | OPEN);
	put(mem, 0x2000, 0x40000000 | OPEN | PS);
	cr_assert_eq(mmu_walk(mem, &regs, 0x3234567, X86_PF_W, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0x43234567);
	cr_expect_eq(w.set_accessed, (LEVEL(4) | LEVEL(3)));
	cr_expect_eq(get(mem, 0x1000), (0x2000 | OPEN | A));
	cr_expect_eq(get(mem, 0x2000), (0x40000000 | OPEN | PS | A | D));
	mem_destroy(mem);
}

/* The neighbour of a 32-bit entry must not change with it. */
Test(mmu_walk, walk_when_32bit_entries_then_only_four_bytes_change)
{
	const struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000};
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put(mem, 0x1000, 0x1111111000000000 | 0x2000 | OPEN);
	put(mem, 0x2ff8, (0x5000 | OPEN) << 32 | 0x22222222);
	cr_assert_eq(mmu_walk(mem, &regs, 0x3ff004, X86_PF_W, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0x5004);
	cr_expect_eq(w.set_accessed, (LEVEL(2) | LEVEL(1)));
	cr_expect_eq(get(mem, 0x1000), (0x1111111000000000 | 0x2000 | OPEN | A));
	cr_expect_eq(get(mem, 0x2ff8), ((0x5000 | OPEN | A | D) << 32 | 0x22222222));
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_pae_then_pdpte_stays)
{
	struct x86_paging regs = {
		.cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000, .cr4 = X86_CR4_PAE};
	struct mem_space *mem = new_memory();
	struct mmu_walk w;
	unsigned i;

	for (i = 0; i < 2; i++) {
		regs.has_pdpte = i;
		regs.pdpte[0] = 0x2000 | P;
		put(mem, 0x1000, 0x2000 | P);
		put(mem, 0x2000, 0x400000 | OPEN | PS);
		cr_assert_eq(mmu_walk(mem, &regs, 0, X86_PF_W, false, &w), 0);
		cr_expect_eq(w.set_accessed, LEVEL(2));
		cr_expect(w.walk.is_accessed && w.walk.is_dirty);
		cr_expect_eq(get(mem, 0x1000), (0x2000 | P));
		cr_expect_eq(get(mem, 0x2000), (0x400000 | OPEN | PS | A | D));
	}
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_it_faults_then_nothing_is_set)
{
	static const struct {
		uint64_t leaf;
		unsigned access;
		uint32_t error;
	} rows[] = {
		{0x5000 | P | US, X86_PF_U | X86_PF_W, 0x7},		 /* read-only */
		{0x5000 | P | RW, X86_PF_U, 0x5},			 /* supervisor's */
		{0x5000 | OPEN | X86_PTE_NX, X86_PF_U | X86_PF_I, 0x15}, /* not executable */
		{0x5000 | RW | US, X86_PF_U | X86_PF_W, 0x6},		 /* not present */
		{0x5000 | OPEN | 1ull << 40, X86_PF_U, 0xd},		 /* reserved */
	};
	struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;
	size_t i;

	regs.phys_bits = 40;
	for (i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		put_four_levels(mem, OPEN);
		put(mem, 0x4000, rows[i].leaf);
		cr_expect_eq(mmu_walk(mem, &regs, 0, rows[i].access, false, &w), -EFAULT);
		cr_expect_eq(w.error, rows[i].error, "row %zu: error %#x", i, w.error);
		cr_expect(w.set_accessed == 0 && !w.set_dirty, "row %zu", i);
		check_four_levels(mem, OPEN, rows[i].leaf);
	}
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_address_is_not_canonical_then_no_error_code)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	cr_expect_eq(mmu_walk(mem, &regs, 1ull << 47, X86_PF_U | X86_PF_W, false, &w), -EFAULT);
	cr_expect_eq(w.walk.fault, X86_WALK_NONCANONICAL);
	cr_expect_eq(w.error, 0);
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_paging_is_off_then_address_is_physical)
{
	const struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_WP};
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	cr_assert_eq(mmu_walk(mem, &regs, 0xfffffff0, X86_PF_W, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0xfffffff0);
	cr_expect(w.set_accessed == 0 && !w.set_dirty);
	cr_expect(w.walk.is_dirty && w.walk.is_accessed);
	mem_destroy(mem);
}

/* The entries in RAM get their A all the same. */
Test(mmu_walk, walk_when_table_is_in_rom_then_access_goes_on_and_rom_stays)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put(mem, 0x1000, 0x2000 | OPEN);
	put(mem, 0x2000, ROM_BASE | OPEN);
	put(mem, ROM_BASE, 0x200000 | OPEN | PS);
	cr_assert_eq(mmu_walk(mem, &regs, 0, X86_PF_W, false, &w), 0);
	cr_expect_eq(w.set_accessed, (LEVEL(4) | LEVEL(3)));
	cr_expect(!w.set_dirty && !w.walk.is_dirty && !w.walk.is_accessed);
	cr_expect_eq(get(mem, ROM_BASE), (0x200000 | OPEN | PS));
	cr_expect_eq(get(mem, 0x2000), (ROM_BASE | OPEN | A));
	mem_destroy(mem);
}

Test(mmu_walk, walk_when_table_is_outside_ram_then_it_reads_as_ones)
{
	struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put(mem, 0x1000, NOWHERE | OPEN);
	cr_expect_eq(mmu_walk(mem, &regs, 0, X86_PF_U, false, &w), -EFAULT);
	cr_expect_eq(w.walk.fault, X86_WALK_RESERVED);
	cr_expect_eq(w.walk.fault_level, 3);
	cr_expect_eq(w.walk.step[1].entry, ~0ull);
	cr_expect_eq(w.error, 0xd);
	regs.cr3 = NOWHERE;
	cr_expect_eq(mmu_walk(mem, &regs, 0, X86_PF_W, false, &w), -EFAULT);
	cr_expect_eq(w.error, 0xb);
	/* 32-bit paging has no reserved bits but those of a 4 MiB page. */
	regs.efer = 0;
	regs.cr4 = X86_CR4_PSE;
	cr_expect_eq(mmu_walk(mem, &regs, 0, X86_PF_U, false, &w), -EFAULT);
	cr_expect_eq(w.error, 0xd);
	regs.cr4 = 0;
	cr_expect_eq(mmu_walk(mem, &regs, 0x123, X86_PF_U, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0xfffff123);
	mem_destroy(mem);
}

Test(mmu_walk, mark_when_an_entry_changed_meanwhile_then_it_is_left_alone)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w = {.error = 0};

	put_four_levels(mem, OPEN);
	cr_assert_eq(x86_walk_paging(&regs, 0, mem_phys_read, mem, &w.walk), 0);
	put(mem, 0x4000, 0x6000 | OPEN);
	cr_expect_eq(mmu_walk_mark(mem, true, &w), -EAGAIN);
	cr_expect_eq(w.set_accessed, (LEVEL(4) | LEVEL(3) | LEVEL(2)));
	cr_expect(!w.set_dirty);
	cr_expect_eq(get(mem, 0x4000), (0x6000 | OPEN));
	mem_destroy(mem);
}

/* An entry of the top table that is its own leaf as well: what was set on the way down has changed
 * the leaf under the walk. */
Test(mmu_walk, walk_when_table_maps_itself_then_both_flags_end_in_the_one_entry)
{
	const struct x86_paging regs = LONG;
	struct mem_space *mem = new_memory();
	struct mmu_walk w;

	put(mem, 0x1000, 0x1000 | OPEN);
	cr_assert_eq(mmu_walk(mem, &regs, 0x18, X86_PF_W, false, &w), 0);
	cr_expect_eq(w.walk.gpa, 0x1018);
	cr_expect_eq(w.set_accessed, LEVEL(4));
	cr_expect(w.set_dirty);
	cr_expect_eq(get(mem, 0x1000), (0x1000 | OPEN | A | D));
	mem_destroy(mem);
}

#define RACE_TURNS 4000000u

struct race {
	struct mem_space *mem;
	uint64_t *leaf;
	bool is_done;
	unsigned lost; /* stores of this thread that somebody wrote over */
};

/* Point the leaf at one frame after the other.  What it finds is its last store, A and D added at
 * most. */
static void *turn_leaf(void *ctx)
{
	struct race *race = ctx;
	uint64_t last = 0x5000 | OPEN;
	unsigned i;

	for (i = 0; i < RACE_TURNS; i++) {
		uint64_t next = (uint64_t)(5 + i % 8) << 12 | OPEN;
		uint64_t found = __atomic_exchange_n(race->leaf, next, __ATOMIC_SEQ_CST);

		race->lost += (found & ~(A | D)) != last;
		last = next;
	}
	__atomic_store_n(&race->is_done, true, __ATOMIC_RELEASE);
	return NULL;
}

Test(mmu_walk, walk_when_another_processor_changes_the_leaf_then_no_store_is_lost)
{
	const struct x86_paging regs = LONG;
	struct race race = {.mem = new_memory()};
	struct mmu_walk w;
	pthread_t thread;
	unsigned bad = 0;

	put_four_levels(race.mem, OPEN | A);
	race.leaf = (uint64_t *)(void *)mem_ptr(race.mem, 0x4000, 8);
	put(race.mem, 0x4000, 0x5000 | OPEN);
	cr_assert_eq(pthread_create(&thread, NULL, turn_leaf, &race), 0);
	while (!__atomic_load_n(&race.is_done, __ATOMIC_ACQUIRE)) {
		int rc = mmu_walk(race.mem, &regs, 0, X86_PF_W, false, &w);

		bad += rc != 0 || w.walk.gpa < 0x5000 || w.walk.gpa > 0xc000 || !w.walk.is_dirty;
	}
	pthread_join(thread, NULL);
	cr_expect_eq(race.lost, 0);
	cr_expect_eq(bad, 0);
	mem_destroy(race.mem);
}
