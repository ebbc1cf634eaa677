/* A table that is its own every level: each address there is leads to the table itself, and what
 * runs next are its entries, which write into it. */
#include "bad.h"

#define ENTRIES 512u

static volatile uint64_t table[ENTRIES] BAD_PAGE;

int main(void)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = (uint64_t)(uintptr_t)table | PTE_PRESENT | PTE_WRITE;
	print_text("bad: CR3 leads to itself\n");
	bad_set_cr3((uintptr_t)table);
	return GUEST_FAIL;
}
