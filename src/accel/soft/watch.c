/* What events of the shadow MMU know of the vCPU that caused them, and how they stop it.
 *
 * A stop is exact: the vCPU leaves behind the instruction that caused the event.  So while stops
 * may come, whatever asks the mmu does so in a block of its own (tlb.c), as with watchpoints;
 * instructions that change CR3 or invalidate translations end their blocks anyhow. */
#include "cache.h"
#include "vm.h"

static enum x86_mode mode_of(const struct soft_cpu *c)
{
	bool is_long = soft_is_long(c), is_wide = c->seg[X86_CS].db;

	if (!(c->cr0 & X86_CR0_PE))
		return X86_MODE_REAL;
	if (!soft_is_protected(c))
		return X86_MODE_V86;
	if (soft_is_code64(c))
		return X86_MODE_LONG64;
	if (is_long)
		return is_wide ? X86_MODE_COMPAT32 : X86_MODE_COMPAT16;
	return is_wide ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

/* The bytes that were decoded, unless another processor stored there since. */
static void read_insn(const struct soft_cpu *c, struct mmu_who *who)
{
	const struct block *block = block_of(c->entry);
	gpa_t gpa = block->gpa + SOFT_OFFSET_OF(c->cur);
	size_t len = SOFT_LEN_OF(c->cur), room = UMBRA_PAGE_SIZE - (gpa & ~UMBRA_PAGE_MASK);
	size_t n = len < room ? len : room;

	if (len > sizeof(who->insn) || mem_peek(c->vm->mem, gpa, who->insn, n) != n)
		return;
	if (n < len && (!block->frame[1] || mem_peek(c->vm->mem, block->frame[1]->gpa,
						     who->insn + n, len - n) != len - n))
		return;
	who->insn_len = (unsigned)len;
	who->mode = mode_of(c);
}

void soft_mmu_who(void *vm_, unsigned vcpu, bool has_insn, struct mmu_who *out_who)
{
	const struct soft_vm *vm = vm_;
	const struct soft_cpu *c = vcpu < vm->cpu_count ? vm->cpu[vcpu] : NULL;

	*out_who = (struct mmu_who){0};
	if (!c) {
		out_who->seq = soft_vm_now(vm);
		return;
	}
	out_who->seq = soft_now(c);
	out_who->rip = soft_rip(c);
	if (has_insn && c->cur)
		read_insn(c, out_who);
}

void soft_mmu_arm(void *vm_, bool is_armed)
{
	struct soft_vm *vm = vm_;

	vm->may_mmu_stop = is_armed;
	for (unsigned i = 0; i < vm->cpu_count && !is_armed; i++) {
		if (vm->cpu[i])
			vm->cpu[i]->has_mmu_stop = false;
	}
}

/* Nobody's events are a device's, which some vCPU asked to write, or the debugger's, when no slice
 * is under way.  Which of several vCPUs at once asked is not known: it goes on. */
bool soft_mmu_stop(void *vm_, unsigned vcpu, uint64_t hit)
{
	const struct soft_vm *vm = vm_;
	struct soft_cpu *c = vcpu < vm->cpu_count ? vm->cpu[vcpu] : soft_slice_holder(vm);

	if (!c)
		return false;
	if (!c->has_mmu_stop)
		c->mmu_hit = hit;
	c->has_mmu_stop = true;
	return true;
}
