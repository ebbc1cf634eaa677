/* Whether an access may use a page, and the error code of its page fault when it may not.
 *
 * Source: SDM 3A 4.6.1 (rights), 4.6.2 (protection keys), 4.7 (error code). */
#include "umbra/x86.h"

/* CR0.WP=0 lets the supervisor write everywhere that it may read. */
static bool ignores_read_only(const struct x86_paging *regs, unsigned access)
{
	return !(access & X86_PF_U) && !(regs->cr0 & X86_CR0_WP);
}

/* SMEP and SMAP: may the supervisor come near a user page at all? */
static bool may_reach(const struct x86_paging *regs, const struct x86_walk *walk, unsigned access,
		      bool smap_off)
{
	if (access & X86_PF_U)
		return walk->is_user;
	if (!walk->is_user)
		return true;
	if (access & X86_PF_I)
		return !(regs->cr4 & X86_CR4_SMEP);
	return smap_off || !(regs->cr4 & X86_CR4_SMAP);
}

/* Two bits of PKRU for each key: AD, no data access; WD, no writes.  Keys are of user pages, and
 * instruction fetches know none. */
static bool key_denies(const struct x86_paging *regs, const struct x86_walk *walk, unsigned access)
{
	uint32_t key = regs->pkru >> (2 * walk->pkey) & 3;

	if (key == 0 || !(regs->cr4 & X86_CR4_PKE) || !(regs->efer & X86_EFER_LMA) ||
	    !walk->is_user || (access & X86_PF_I))
		return false;
	if (key & 1)
		return true;
	return (access & X86_PF_W) && !ignores_read_only(regs, access);
}

/* I is told only where the processor has a way to deny a fetch. */
static uint32_t error_of(const struct x86_paging *regs, unsigned access)
{
	bool has_nx = (regs->cr4 & X86_CR4_PAE) && (regs->efer & X86_EFER_NXE);
	uint32_t error = access & (X86_PF_W | X86_PF_U);

	if ((access & X86_PF_I) && (has_nx || (regs->cr4 & X86_CR4_SMEP)))
		error |= X86_PF_I;
	return error;
}

bool x86_walk_allows(const struct x86_paging *regs, const struct x86_walk *walk, unsigned access,
		     bool smap_off, uint32_t *out_error)
{
	bool is_key_denied;

	if (walk->mode == X86_PAGING_NONE)
		return true;
	is_key_denied = key_denies(regs, walk, access);
	if (!is_key_denied && may_reach(regs, walk, access, smap_off) &&
	    (!(access & X86_PF_W) || walk->is_writable || ignores_read_only(regs, access)) &&
	    (!(access & X86_PF_I) || walk->is_executable))
		return true;
	/* A key that denies is told although another right is missing too (SDM 3A 4.7, PK). */
	*out_error = error_of(regs, access) | X86_PF_P | (is_key_denied ? X86_PF_PK : 0);
	return false;
}

uint32_t x86_walk_error(const struct x86_paging *regs, const struct x86_walk *walk, unsigned access)
{
	uint32_t error = error_of(regs, access);

	/* The entry with the reserved bit is present, or the bit would not be looked at. */
	if (walk->fault == X86_WALK_RESERVED)
		error |= X86_PF_P | X86_PF_RSVD;
	return error;
}
