/* Which sets of tables are known: those that the shadow has records of, and the vCPUs' own; on a
 * back end without a shadow those that were there at a stop.  Private to src/debug. */
#ifndef DEBUG_MMU_ROOTS_H
#define DEBUG_MMU_ROOTS_H

#include "umbra/mmu_view.h"

#define MMU_ROOTS_MAX 256u

struct debug_target;

struct mmu_known_root {
	struct x86_paging regs;
	uint64_t loads;	    /* of CR3; without a shadow: stops that saw it */
	uint64_t last_load; /* instructions of the vCPU by then; 0 = not known */
	uint64_t used;	    /* of the registers: mmu_root_info.used */
	unsigned users;	    /* vCPUs that have it now */
	bool is_shadowed;
};

struct mmu_roots {
	unsigned count;
	struct mmu_known_root root[MMU_ROOTS_MAX];
};

/* CR3 values that stops saw, for a back end without a shadow. */
#define MMU_SEEN_MAX 64u
struct mmu_seen {
	uint64_t stops;
	unsigned count;
	struct mmu_known_root root[MMU_SEEN_MAX];
};
/* Look at the vCPUs' registers, where the back end has no shadow. */
void mmu_seen_note(struct debug_target *target);

/* Registers of a vCPU for walks.  False when its state cannot be read. */
bool mmu_regs_of(struct debug_target *target, unsigned vcpu, struct x86_paging *out_regs);
void mmu_roots_get(struct debug_target *target, struct mmu_roots *out);
/* Those that a processor could still use: in a mode that some vCPU is in, and where there is a
 * shadow, still in it: a root whose table became data
 * has left it.  What a loader chose counts until the guest loads its own. */
void mmu_roots_get_live(struct debug_target *target, struct mmu_roots *out);
/* Whether both are the same tables, read in the same way. */
bool mmu_is_same_root(const struct x86_paging *a, const struct x86_paging *b);
/* CR3's address of the root table. */
gpa_t mmu_root_base(const struct x86_paging *regs);
/* The known root with this CR3 (its address counts) or PCID; NULL: none. */
const struct mmu_known_root *mmu_roots_find_cr3(const struct mmu_roots *roots, uint64_t cr3);
const struct mmu_known_root *mmu_roots_find_pcid(const struct mmu_roots *roots, uint64_t pcid);

#endif
