/* A walk of the guest's tables as a processor does it for an access: with rights and with A and D.
 * The shadow and the software CPU's miss path stand on it. */
#ifndef UMBRA_MMU_WALK_H
#define UMBRA_MMU_WALK_H

#include "umbra/mem.h"
#include "umbra/x86.h"

struct mmu_walk {
	struct x86_walk walk;  /* entries as they are once A and D are set */
	uint32_t error;	       /* of the page fault; 0 = none */
	unsigned set_accessed; /* bit n: this walk set A in the entry of level n */
	bool set_dirty;	       /* it set D in the entry that maps the page */
};

/* Translate @gva for @access, a mask of X86_PF_W, X86_PF_U and X86_PF_I.
 * @smap_off: an explicit supervisor access with RFLAGS.AC=1.
 * Returns 0, or -EFAULT with out->error the page-fault error code (0 with X86_WALK_NONCANONICAL).
 *
 * A permitted access leaves A set in every entry that it used, and a write D in the last one; PAE's
 * PDPTEs have no A.  An access that faults sets nothing: the SDM lets a processor keep what it had
 * set by then (3A 4.8), KVM's walker and kvm-unit-tests' access test set no A where the access is
 * denied.  Only an entry that another processor changed under this walk may leave A set above it.
 *
 * Outside RAM and ROM a table reads as all ones, what a bus without a taker gives: reserved bits
 * are set then, except in 32-bit paging without CR4.PSE.  A table in ROM keeps its A and D, and the
 * access goes on, as KVM does for a read-only slot: a writer's D may be 0 then.
 *
 * Call: any thread; entries change by compare-and-swap, and nobody is told of A and D but the
 * caller.
 * Source: SDM 3A 4.3 to 4.8. */
int mmu_walk(struct mem_space *mem, const struct x86_paging *regs, gva_t gva, unsigned access,
	     bool smap_off, struct mmu_walk *out);

/* The second half of mmu_walk: set A and D in the entries that @walk used.
 * Returns 0, or -EAGAIN when an entry is no longer what the walk read; those above it are marked.
 */
int mmu_walk_mark(struct mem_space *mem, bool is_write, struct mmu_walk *walk);

#endif
