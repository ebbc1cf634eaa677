/* Known roots: see mmu_roots.h. */
#include "mmu_roots.h"
#include "target.h"

#define PCID_MASK 0xfffu

bool mmu_regs_of(struct debug_target *target, unsigned vcpu, struct x86_paging *out_regs)
{
	const struct x86_state *st =
		vcpu_state(target->world, vcpu, X86_STATE_GPR | X86_STATE_SREG);
	const struct accel_ops *accel = vm_accel(target->vm);
	struct mmu *mmu = vm_mmu(target->vm);
	struct x86_paging shadowed;

	if (!st)
		return false;
	*out_regs = (struct x86_paging){.cr0 = st->cr0,
					.cr3 = st->cr3,
					.cr4 = st->cr4,
					.efer = st->efer,
					.has_pdpte = x86_has_pdptes(st)};
	memcpy(out_regs->pdpte, st->pdpte, sizeof(out_regs->pdpte));
	if (accel->caps)
		out_regs->phys_bits = accel->caps(vm_accel_vm(target->vm))->phys_bits;
	if (mmu) {
		mmu_get_regs(mmu, vcpu, &shadowed);
		out_regs->pkru = shadowed.pkru;
	}
	return true;
}

gpa_t mmu_root_base(const struct x86_paging *regs)
{
	struct x86_table_form form[X86_WALK_MAX_LEVELS];
	gpa_t root;

	x86_table_forms(regs, form, &root);
	return root;
}

bool mmu_is_same_root(const struct x86_paging *a, const struct x86_paging *b)
{
	return x86_paging_mode(a) == x86_paging_mode(b) && mmu_root_base(a) == mmu_root_base(b);
}

/* The record of these tables, made if there is room; NULL otherwise. */
static struct mmu_known_root *take_root(struct mmu_known_root *root, unsigned *count, unsigned max,
					const struct x86_paging *regs)
{
	unsigned i;

	for (i = 0; i < *count; i++) {
		if (mmu_is_same_root(&root[i].regs, regs))
			return &root[i];
	}
	if (i == max)
		return NULL;
	root[i] = (struct mmu_known_root){.regs = *regs};
	++*count;
	return &root[i];
}

static struct mmu_known_root *add_root(struct mmu_roots *roots, const struct x86_paging *regs)
{
	return take_root(roots->root, &roots->count, MMU_ROOTS_MAX, regs);
}

/* Records that differ in what rights are judged by become one. */
static void add_shadowed(void *ctx, const struct mmu_root_info *info)
{
	struct mmu_known_root *root;

	if (x86_paging_mode(&info->regs) == X86_PAGING_NONE)
		return;
	root = add_root(ctx, &info->regs);
	if (!root)
		return;
	root->loads += info->loads;
	if (info->last_load > root->last_load)
		root->last_load = info->last_load;
	/* CR0, CR4 and EFER change without a load of CR3. */
	if (info->used > root->used) {
		root->used = info->used;
		root->regs = info->regs;
	}
	root->is_shadowed |= info->tops > 0;
}

static void add_vcpus(struct debug_target *target, struct mmu_roots *roots)
{
	struct x86_paging regs;

	for (unsigned i = 0; i < world_vcpu_count(target->world); i++) {
		struct mmu_known_root *root;

		if (!mmu_regs_of(target, i, &regs) || x86_paging_mode(&regs) == X86_PAGING_NONE)
			continue;
		root = add_root(roots, &regs);
		if (!root)
			continue;
		root->regs = regs;
		root->users++;
	}
}

void mmu_roots_get(struct debug_target *target, struct mmu_roots *out)
{
	struct mmu *mmu = vm_mmu(target->vm);

	out->count = 0;
	if (mmu) {
		mmu_each_root(mmu, add_shadowed, out);
	} else {
		memcpy(out->root, target->seen.root,
		       target->seen.count * sizeof(target->seen.root[0]));
		out->count = target->seen.count;
	}
	add_vcpus(target, out);
}

static bool is_mode_in_use(struct debug_target *target, enum x86_paging_mode mode)
{
	struct x86_paging regs;

	for (unsigned i = 0; i < world_vcpu_count(target->world); i++) {
		if (mmu_regs_of(target, i, &regs) && x86_paging_mode(&regs) == mode)
			return true;
	}
	return false;
}

void mmu_roots_get_live(struct debug_target *target, struct mmu_roots *out)
{
	bool has_shadow = vm_mmu(target->vm);
	unsigned kept = 0;

	mmu_roots_get(target, out);
	for (unsigned i = 0; i < out->count; i++) {
		const struct mmu_known_root *root = &out->root[i];

		if ((root->users || !has_shadow || (root->is_shadowed && root->loads)) &&
		    is_mode_in_use(target, x86_paging_mode(&root->regs)))
			out->root[kept++] = *root;
	}
	out->count = kept;
}

/* When all places are taken, the one that was seen least recently gives way. */
static struct mmu_known_root *evict_seen(struct mmu_seen *seen, const struct x86_paging *regs)
{
	struct mmu_known_root *oldest = &seen->root[0];

	for (unsigned i = 1; i < seen->count; i++) {
		if (seen->root[i].used < oldest->used)
			oldest = &seen->root[i];
	}
	*oldest = (struct mmu_known_root){.regs = *regs};
	return oldest;
}

void mmu_seen_note(struct debug_target *target)
{
	struct mmu_seen *seen = &target->seen;
	struct x86_paging regs;

	if (vm_mmu(target->vm))
		return;
	for (unsigned i = 0; i < world_vcpu_count(target->world); i++) {
		struct mmu_known_root *root;

		if (!mmu_regs_of(target, i, &regs) || x86_paging_mode(&regs) == X86_PAGING_NONE)
			continue;
		root = take_root(seen->root, &seen->count, MMU_SEEN_MAX, &regs);
		if (!root)
			root = evict_seen(seen, &regs);
		root->loads++;
		root->used = ++seen->stops;
	}
}

/* The same table may have been a root in several modes, and a PCID that of several processes: a
 * vCPU's comes first, then the one that was loaded last. */
static bool is_better(const struct mmu_known_root *root, const struct mmu_known_root *than)
{
	if (!than || (root->users > 0) != (than->users > 0))
		return !than || root->users > 0;
	return root->last_load > than->last_load;
}

const struct mmu_known_root *mmu_roots_find_cr3(const struct mmu_roots *roots, uint64_t cr3)
{
	const struct mmu_known_root *best = NULL;

	for (unsigned i = 0; i < roots->count; i++) {
		struct x86_paging asked = roots->root[i].regs;

		asked.cr3 = cr3;
		if (mmu_is_same_root(&asked, &roots->root[i].regs) &&
		    is_better(&roots->root[i], best))
			best = &roots->root[i];
	}
	return best;
}

const struct mmu_known_root *mmu_roots_find_pcid(const struct mmu_roots *roots, uint64_t pcid)
{
	const struct mmu_known_root *best = NULL;

	for (unsigned i = 0; i < roots->count; i++) {
		const struct x86_paging *regs = &roots->root[i].regs;

		if ((regs->cr4 & X86_CR4_PCIDE) && (regs->cr3 & PCID_MASK) == pcid &&
		    is_better(&roots->root[i], best))
			best = &roots->root[i];
	}
	return best;
}
