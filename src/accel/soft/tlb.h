/* What the micro-TLB (tlb.c), the accesses that miss it (access.c) and the code cache (code.c)
 * share.
 */
#ifndef SOFT_TLB_H
#define SOFT_TLB_H

#include "cpu.h"

/* Besides X86_PF_W and X86_PF_I in the access of soft_tlb_resolve: made by the processor itself
 * (descriptor tables, TSS), so with the supervisor's rights whatever the CPL, and never excused
 * from SMAP by RFLAGS.AC (SDM 3A 4.6). */
#define TLB_SYS 0x400u

/* Bits of soft_vm.code_frame. */
#define FRAME_HAS_CODE	  1u /* some vCPU holds blocks of it: no micro-TLB may have a wtag for it */
#define FRAME_WAS_WRITTEN 2u /* some micro-TLB may have a wtag for it, or a store be on its way */
#define FRAME_IS_GUARDED  4u /* parallel mode: code, and all who could write unseen have let go */

/* The part of an access that lies in one page. */
struct tlb_span {
	gva_t la;
	gpa_t gpa;
	uint8_t *host; /* the first byte; NULL: a device, or nothing */
	unsigned len;
	bool is_table; /* or may be one by the time of the store: write with mmu_write */
	bool is_rom;
	bool has_code; /* of a write: blocks were made of the frame */
};

/* Bits of tlb_bank.access for explicit accesses of the current CPL. */
static inline unsigned soft_tlb_class(const struct soft_cpu *c)
{
	bool ac = c->rflags & X86_RFLAGS_AC;

	if (c->cpl == 3)
		return X86_PF_U | (ac && (c->cr0 & X86_CR0_AM) ? TLB_ALIGN : 0);
	return ac && (c->cr4 & X86_CR4_SMAP) ? TLB_SMAP_OFF : 0;
}

/* Translate @len bytes at @la, all in one page, for @access (mask of X86_PF_W, TLB_SYS), and fill
 * the current bank where it fits.  Raises what the access raises. */
void soft_tlb_resolve(struct soft_cpu *c, gva_t la, unsigned len, unsigned access,
		      struct tlb_span *out_span);
/* What follows is to run in a block of its own: the loop looks at what it did right behind the
 * instruction, wherever blocks happen to end.  Restarts the instruction if it does not yet. */
void soft_be_alone(struct soft_cpu *c);
/* No micro-TLB may write to the frame at @gpa by itself any more.  In parallel mode the caller is
 * at a safe point meanwhile (parallel.c), and every store that was under way has ended. */
void soft_tlb_withdraw_write(struct soft_cpu *c, gpa_t gpa);

/* Select the bank for the current root, CPL and AC. */
void soft_tlb_select(struct soft_cpu *c);
/* mmu_tlb_hook. */
void soft_tlb_forget(void *vm, unsigned index);
void soft_tlb_forget_all(struct soft_cpu *c);
int soft_tlb_init(struct soft_cpu *c);
void soft_tlb_end(struct soft_cpu *c);
/* For mmu_tlb_hook.each: every valid entry of every bank, and what instructions come from. */
void soft_tlb_each(struct soft_cpu *c, mmu_tlb_fn fn, void *arg);

#endif
