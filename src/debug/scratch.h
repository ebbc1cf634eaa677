/* Guest memory on loan to a debugger, for code and values that it puts there (LLDB's _M and _m).
 *
 * A guest has no allocator that umbra could ask.  Lent are pages that hold nothing but zeros at the
 * end of the memory that the vCPU may use as asked: what a guest least likely needs now.  They are
 * zeros again when they are given back.  A guest that runs on meanwhile may take them for itself;
 * nobody can know.
 * Private to src/debug; control thread, world STOPPED. */
#ifndef DEBUG_SCRATCH_H
#define DEBUG_SCRATCH_H

#include "umbra/types.h"

struct debug_target;

#define SCRATCH_LOANS_MAX 16u
#define SCRATCH_PAGES_MAX 256u /* of one loan: LLDB 14 asks for 516 KiB of stack */

struct scratch_loan {
	gva_t gva;
	unsigned pages; /* 0: free */
	gpa_t gpa[SCRATCH_PAGES_MAX];
};

struct scratch {
	struct scratch_loan loan[SCRATCH_LOANS_MAX];
};

/* Lend @size bytes that @vcpu may read, and write and execute if asked (RSP_MAY_*; where no page
 * may be both, executable ones are only that: the debugger writes them all the same).
 * 0; E2BIG: more than SCRATCH_PAGES_MAX pages, or too many loans; ENOMEM: there are no such pages;
 * EIO: the vCPU's state cannot be read. */
int scratch_lend(struct debug_target *target, unsigned vcpu, uint64_t size, unsigned permissions,
		 gva_t *out_gva);
/* 0; EINVAL: nothing was lent there. */
int scratch_return(struct debug_target *target, gva_t gva);
/* All of them. */
void scratch_give_back(struct debug_target *target);
/* The memory was cleared as a whole. */
void scratch_forget(struct scratch *scratch);

#endif
