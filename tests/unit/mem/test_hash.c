/* Unit tests of the hash over all memory. */
#include "umbra/mem.h"

#include <criterion/criterion.h>

#define PAGE UMBRA_PAGE_SIZE

static struct mem_space *new_space(void)
{
	struct mem_space *space;

	cr_assert_eq(mem_create(&space, NULL), 0);
	cr_assert_eq(mem_add(space, 0, 2000 * PAGE, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(mem_add(space, 1ull << 32, 4 * PAGE, MEM_ROM, "rom", NULL), 0);
	return space;
}

static uint64_t hash_of(const struct mem_space *space, uint64_t expected_pages)
{
	uint64_t pages;
	uint64_t hash = mem_hash(space, &pages);

	cr_assert_eq(pages, expected_pages);
	return hash;
}

Test(hash, mem_hash_when_same_bytes_then_same_whatever_was_touched)
{
	struct mem_space *a = new_space(), *b = new_space();
	uint8_t byte = 7, zero = 0;
	uint64_t empty = hash_of(a, 0);

	mem_poke(a, 5 * PAGE + 1, &byte, 1);
	mem_poke(a, 1999 * PAGE, &byte, 1);
	cr_assert_neq(hash_of(a, 2), empty);
	mem_poke(b, 1999 * PAGE, &byte, 1);
	mem_poke(b, 5 * PAGE + 1, &byte, 1);
	mem_poke(b, 700 * PAGE, &byte, 1);
	cr_assert_neq(hash_of(b, 3), hash_of(a, 2));
	mem_poke(b, 700 * PAGE, &zero, 1);
	cr_assert_eq(hash_of(b, 2), hash_of(a, 2));
	mem_clear_ram(b);
	cr_assert_eq(hash_of(b, 0), empty);
	mem_destroy(a);
	mem_destroy(b);
}

Test(hash, mem_hash_when_a_byte_moves_then_another)
{
	struct mem_space *space = new_space();
	uint64_t seen[4];
	static const gpa_t place[4] = {0, 8, PAGE, (1ull << 32) + 3 * PAGE + 4095};

	for (unsigned i = 0; i < 4; i++) {
		uint8_t byte = 1, zero = 0;

		mem_poke(space, place[i], &byte, 1);
		seen[i] = hash_of(space, 1);
		mem_poke(space, place[i], &zero, 1);
		for (unsigned k = 0; k < i; k++)
			cr_assert_neq(seen[i], seen[k]);
	}
	mem_destroy(space);
}
