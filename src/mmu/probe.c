/* Would an access fault, and why: the walk and the rights as a processor judges them, and which
 * entry it was that said no.
 * Source: SDM 3A 4.6 (rights), 4.7 (error code). */
#include "umbra/mmu_view.h"

#include <stdarg.h>
#include <stdio.h>

/* x86_phys_read_fn: what a bus without a taker gives. */
static bool read_all_ones(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	if (mem_peek(ctx, gpa, buf, len) != len)
		memset(buf, 0xff, len);
	return true;
}

__attribute__((format(printf, 2, 3))) static void say(struct mmu_probe *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(out->cause, sizeof(out->cause), fmt, args);
	va_end(args);
}

/* The first level, root first, whose entry has @bit as @value; PAE's top one has no rights. */
static unsigned level_with(const struct x86_walk *walk, uint64_t bit, bool value)
{
	for (unsigned i = walk->mode == X86_PAGING_PAE; i < walk->step_count; i++) {
		if (((walk->step[i].entry & bit) != 0) == value)
			return walk->step[i].level;
	}
	return 0;
}

static unsigned leaf_level(const struct x86_walk *walk)
{
	return walk->step_count ? walk->step[walk->step_count - 1].level : 0;
}

/* The walk gave no page. */
static void explain_walk(struct mmu_probe *out)
{
	const struct x86_walk *walk = &out->walk;

	out->level = walk->fault_level;
	switch (walk->fault) {
	case X86_WALK_OK:
		break;
	case X86_WALK_NONCANONICAL:
		out->vector = X86_EXC_GP;
		say(out, "no such linear address");
		break;
	case X86_WALK_NOT_PRESENT:
		say(out, "P=0");
		break;
	case X86_WALK_RESERVED:
		say(out, "reserved bits 0x%llx", (unsigned long long)walk->reserved_bits);
		break;
	case X86_WALK_BUS:
		say(out, "the table is outside memory");
		break;
	}
}

static bool is_key_the_cause(const struct mmu_probe *out)
{
	return out->error & X86_PF_PK;
}

/* The page is there, and may not be used so.  The order is that of SDM 3A 4.6.1. */
static void explain_rights(const struct x86_paging *regs, unsigned access, bool smap_off,
			   struct mmu_probe *out)
{
	const struct x86_walk *walk = &out->walk;
	bool is_user = access & X86_PF_U;

	out->level = leaf_level(walk);
	if (is_key_the_cause(out)) {
		say(out, "key %u denies %s", walk->pkey,
		    regs->pkru >> (2 * walk->pkey) & 1 ? "access" : "writes");
	} else if (is_user && !walk->is_user) {
		out->level = level_with(walk, X86_PTE_US, false);
		say(out, "U=0");
	} else if (!is_user && walk->is_user && (access & X86_PF_I) && (regs->cr4 & X86_CR4_SMEP)) {
		say(out, "SMEP: U=1");
	} else if (!is_user && walk->is_user && !(access & X86_PF_I) && !smap_off &&
		   (regs->cr4 & X86_CR4_SMAP)) {
		say(out, "SMAP: U=1, AC=0");
	} else if ((access & X86_PF_W) && !walk->is_writable) {
		out->level = level_with(walk, X86_PTE_RW, false);
		say(out, "W=0%s", is_user ? "" : ", CR0.WP=1");
	} else {
		out->level = level_with(walk, X86_PTE_NX, true);
		say(out, "NX=1");
	}
}

void mmu_probe(const struct mem_space *mem, const struct x86_paging *regs, gva_t gva,
	       unsigned access, bool smap_off, struct mmu_probe *out)
{
	union {
		const struct mem_space *space;
		void *ctx;
	} reader = {.space = mem};
	struct x86_walk walk;

	*out = (struct mmu_probe){.vector = X86_EXC_PF};
	if (x86_walk_paging(regs, gva, mem_phys_read, reader.ctx, &out->walk) == 0) {
		out->is_fault = !x86_walk_allows(regs, &out->walk, access, smap_off, &out->error);
		if (out->is_fault)
			explain_rights(regs, access, smap_off, out);
		return;
	}
	out->is_fault = true;
	explain_walk(out);
	if (out->walk.fault == X86_WALK_NONCANONICAL)
		return;
	x86_walk_paging(regs, gva, read_all_ones, reader.ctx, &walk);
	if (walk.fault != X86_WALK_OK)
		out->error = x86_walk_error(regs, &walk, access);
	else
		out->is_fault = !x86_walk_allows(regs, &walk, access, smap_off, &out->error);
}
