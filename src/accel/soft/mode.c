/* What the registers mean now: the mode that blocks are decoded for, the address space, and RFLAGS
 * put together from its parts.
 * Source: SDM 1 3.1 and 3A 2.2 (modes), SDM 1 3.4.3 (EFLAGS), SDM 3A 3.4.5 (D/B and L). */
#include "access.h"
#include "block.h"
#include "fpu.h"
#include "tlb.h"

/* The flags that exist (SDM 1 3.4.3, figure 3-8); the rest read as 0, bit 1 as 1. */
#define RFLAGS_DEFINED                                                                             \
	(X86_RFLAGS_STATUS | X86_RFLAGS_TF | X86_RFLAGS_IF | X86_RFLAGS_DF | X86_RFLAGS_IOPL |     \
	 X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_VM | X86_RFLAGS_AC | X86_RFLAGS_VIF |          \
	 X86_RFLAGS_VIP | X86_RFLAGS_ID)

#define TYPE_CODE     0x8 /* of a code or data segment (SDM 3A 3.4.5.1) */
#define TYPE_EXPAND   0x4 /* data: expands down */
#define TYPE_WRITABLE 0x2

/* RFLAGS. */

uint64_t soft_rflags(const struct soft_cpu *c)
{
	uint64_t rf = soft_is_in_repeat(c) ? X86_RFLAGS_RF : 0;

	return c->rflags | rf | X86_RFLAGS_FIXED | flags_status(c->fr, c->fs, c->fo);
}

void soft_set_rflags(struct soft_cpu *c, uint64_t rflags)
{
	uint64_t kept = (rflags & RFLAGS_DEFINED & ~X86_RFLAGS_STATUS) | X86_RFLAGS_FIXED;

	/* VM chooses the mode, AC the micro-TLB's bank. */
	if ((kept ^ c->rflags) & (X86_RFLAGS_VM | X86_RFLAGS_AC))
		soft_mode_changed(c);
	c->rflags = kept;
	c->left_repeat_at = ~0ull;
	c->fr = 0;
	c->fs = rflags & X86_RFLAGS_STATUS;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

/* Mode. */

static bool is_flat(const struct x86_seg *seg)
{
	return seg->base == 0 && seg->limit == UINT32_MAX && seg->s && seg->present &&
	       !seg->unusable;
}

static bool is_flat_data(const struct x86_seg *seg)
{
	return is_flat(seg) &&
	       (seg->type & (TYPE_CODE | TYPE_EXPAND | TYPE_WRITABLE)) == TYPE_WRITABLE;
}

/* Real mode fetches from data segments too: x86_seg_real leaves such a type in CS. */
static bool all_flat(const struct soft_cpu *c)
{
	return is_flat(&c->seg[X86_CS]) && is_flat_data(&c->seg[X86_DS]) &&
	       is_flat_data(&c->seg[X86_ES]) && is_flat_data(&c->seg[X86_SS]);
}

/* In 64-bit mode DS, ES and SS count as flat whatever they hold (SDM 3A 3.4.4). */
static uint32_t width_bits(const struct soft_cpu *c)
{
	uint32_t mode;

	if (soft_is_code64(c))
		return SOFT_CODE64 | SOFT_STACK64 | SOFT_FLAT;
	mode = c->seg[X86_CS].db ? SOFT_CODE32 : SOFT_CODE16;
	if (c->seg[X86_SS].db)
		mode |= SOFT_STACK32;
	if (all_flat(c))
		mode |= SOFT_FLAT;
	return mode;
}

static uint32_t privilege_bits(const struct soft_cpu *c)
{
	uint32_t mode = 0;

	if (soft_is_protected(c))
		mode |= SOFT_PROTECTED;
	else if (c->cr0 & X86_CR0_PE)
		mode |= SOFT_V86;
	if (soft_is_long(c))
		mode |= SOFT_LONG;
	if (c->cpl == 3)
		mode |= SOFT_USER;
	return mode;
}

static uint32_t fpu_bits(const struct soft_cpu *c)
{
	uint32_t mode = 0;

	if (c->cr0 & (X86_CR0_EM | X86_CR0_TS))
		mode |= SOFT_X87_NM;
	if ((c->cr0 & X86_CR0_EM) || !(c->cr4 & X86_CR4_OSFXSR))
		mode |= SOFT_SSE_UD;
	if (c->cr0 & X86_CR0_TS)
		mode |= SOFT_SSE_NM;
	if (~c->mxcsr & MXCSR_MASKS)
		mode |= SOFT_FP_CHECKED;
	return mode;
}

void soft_mode_changed(struct soft_cpu *c)
{
	c->mode_is_stale = true;
}

/* Links and the jump cache hold blocks by linear address, which another root gives another meaning.
 * The root alone decides: under an equal one nothing can be stale, because the shadow never is. */
static void select_bank(struct soft_cpu *c)
{
	uint64_t root = c->tlb ? c->tlb->root : ~0ull;

	soft_tlb_select(c);
	if (c->tlb->root != root)
		soft_links_drop(c);
}

/* Links and the jump cache know RIP and mode but neither where CS begins nor where it ends. */
static void follow_cs(struct soft_cpu *c)
{
	uint64_t base = soft_is_code64(c) ? 0 : c->seg[X86_CS].base;
	uint32_t limit = soft_is_code64(c) ? 0 : c->seg[X86_CS].limit;

	if (base != c->link_cs_base || limit != c->link_cs_limit)
		soft_links_drop(c);
	c->link_cs_base = base;
	c->link_cs_limit = limit;
}

void soft_mode_update(struct soft_cpu *c)
{
	soft_set_mode(c, width_bits(c) | privilege_bits(c) | fpu_bits(c));
	c->mode_is_stale = false;
	follow_cs(c);
	select_bank(c);
}

/* The bank changes at once: a task switch goes on to read memory in the new address space. */
void soft_paging_changed(struct soft_cpu *c, enum mmu_load load)
{
	struct x86_paging regs = {
		.cr0 = c->cr0,
		.cr3 = c->cr3,
		.cr4 = c->cr4,
		.efer = c->efer,
		.has_pdpte = true,
		.pkru = c->pkru,
		.phys_bits = c->vm->phys_bits,
	};

	memcpy(regs.pdpte, c->pdpte, sizeof(regs.pdpte));
	SOFT_MMU_CALL(c, mmu_set_regs(c->vm->mmu, c->index, &regs, load));
	soft_mode_changed(c);
	select_bank(c);
}
