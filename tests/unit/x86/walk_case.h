/* Page walks over hand-made tables: how a case is written and checked.
 *
 * A case is a handful of entries placed in a small physical memory; what is not placed is zero.
 * RAM ends at RAM_BYTES, so a table beyond it cannot be read. */
#ifndef UMBRA_TEST_WALK_CASE_H
#define UMBRA_TEST_WALK_CASE_H

#include "umbra/x86.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#define RAM_BYTES 0x10000u

#define P  0x001ull
#define RW 0x002ull
#define US 0x004ull
#define PS 0x080ull
#define NX (1ull << 63)

#define PLAIN32 X86_CR0_PE | X86_CR0_PG, 0, 0
#define PSE32	X86_CR0_PE | X86_CR0_PG, X86_CR4_PSE, 0
#define PAE32	X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, 0
#define PAE_NX	X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, X86_EFER_NXE
#define LONG4	X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA
#define LONG4NX X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE, X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE
#define LONG5	X86_CR0_PE | X86_CR0_PG, X86_CR4_PAE | X86_CR4_LA57, X86_EFER_LME | X86_EFER_LMA

#define WRITABLE   1u
#define USER	   2u
#define EXECUTABLE 4u

struct place {
	gpa_t gpa;
	uint64_t entry;
};

struct walk_case {
	const char *what;
	uint64_t cr0, cr4, efer, cr3;
	gva_t va;
	struct place place[5];
	int rc;
	enum x86_paging_mode mode;
	unsigned steps;
	gpa_t gpa;
	uint64_t page_size;
	unsigned rights;
};

static inline bool read_ram(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	const uint8_t *ram = ctx;

	if (!range_fits(gpa, len, 0, RAM_BYTES))
		return false;
	memcpy(buf, ram + gpa, len);
	return true;
}

static inline unsigned rights_of(const struct x86_walk *walk)
{
	return (walk->is_writable ? WRITABLE : 0) | (walk->is_user ? USER : 0) |
	       (walk->is_executable ? EXECUTABLE : 0);
}

static inline void place_entries(uint8_t *ram, const struct walk_case *c)
{
	unsigned width = c->mode == X86_PAGING_32BIT ? 4 : 8;
	size_t i;

	memset(ram, 0, RAM_BYTES);
	for (i = 0; i < UMBRA_ARRAY_SIZE(c->place); i++) {
		uint64_t entry = c->place[i].entry;

		if (!entry)
			continue;
		/* The upper half of a 32-bit entry's bytes belongs to its neighbour. */
		if (width == 4)
			le32_put(ram + c->place[i].gpa, (uint32_t)entry);
		else
			le64_put(ram + c->place[i].gpa, entry);
	}
}

static inline void check_case(const struct walk_case *c, uint8_t *ram)
{
	struct x86_state st = {.cr0 = c->cr0, .cr4 = c->cr4, .efer = c->efer, .cr3 = c->cr3};
	struct x86_walk walk;
	unsigned i;
	int rc;

	place_entries(ram, c);
	memset(&walk, 0xee, sizeof(walk));
	rc = x86_walk(&st, c->va, read_ram, ram, &walk);
	cr_expect(rc == c->rc, "%s: rc %d, not %d", c->what, rc, c->rc);
	cr_expect(walk.mode == c->mode, "%s: mode %d", c->what, walk.mode);
	cr_expect(walk.step_count == c->steps, "%s: %u steps", c->what, walk.step_count);
	cr_expect(rights_of(&walk) == c->rights, "%s: rights %u", c->what, rights_of(&walk));
	cr_expect(walk.gpa == c->gpa, "%s: gpa %#llx", c->what, (unsigned long long)walk.gpa);
	cr_expect(walk.page_size == c->page_size, "%s: page size %#llx", c->what,
		  (unsigned long long)walk.page_size);
	for (i = 0; i < walk.step_count && c->place[i].entry; i++) {
		cr_expect(walk.step[i].entry_gpa == c->place[i].gpa, "%s: step %u gpa %#llx",
			  c->what, i, (unsigned long long)walk.step[i].entry_gpa);
		cr_expect(walk.step[i].entry == c->place[i].entry, "%s: step %u entry", c->what, i);
	}
}

static inline void check_cases(const struct walk_case *cases, size_t n)
{
	uint8_t *ram = malloc(RAM_BYTES);
	size_t i;

	cr_assert(ram != NULL);
	for (i = 0; i < n; i++)
		check_case(&cases[i], ram);
	free(ram);
}

#endif
