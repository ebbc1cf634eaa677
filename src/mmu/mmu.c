/* The shadow MMU's life, the vCPUs' registers, and what invalidations mean to it.
 * The shadow follows each write to a table at once, so that INVLPG and loads of CR3 have nothing to
 * throw away: they are told to listeners and, in paranoid mode, are moments to check. */
#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

static bool init_vcpus(struct mmu *mmu)
{
	const struct x86_paging off = {.phys_bits = mmu->config.phys_bits};
	unsigned i;

	mmu->vcpu = calloc(mmu->config.vcpus ? mmu->config.vcpus : 1, sizeof(*mmu->vcpu));
	if (!mmu->vcpu)
		return false;
	for (i = 0; i < mmu->config.vcpus; i++) {
		struct mmu_vcpu *vcpu = &mmu->vcpu[i];

		vcpu->regs = off;
		vcpu->root = root_get(mmu, &off);
		vcpu->root->users++;
		vcpu->root_id = vcpu->root->id;
	}
	return true;
}

int mmu_create(struct mmu **out_mmu, const struct mmu_config *config, struct umbra_err *err)
{
	struct mmu *mmu = calloc(1, sizeof(*mmu));

	if (!mmu)
		return umbra_err_set(err, ENOMEM, "no memory for the shadow MMU");
	mmu->config = *config;
	mmu->mem = config->mem;
	mmu->next_root_id = 1;
	mmu->lock = malloc(sizeof(*mmu->lock));
	if (!mmu->lock || lock_init(mmu->lock) < 0) {
		free(mmu->lock);
		free(mmu);
		return umbra_err_set(err, ENOMEM, "no memory for the shadow MMU's lock");
	}
	if (shadow_pages_init(mmu) < 0 || roots_init(mmu) < 0 || !init_vcpus(mmu)) {
		mmu_destroy(mmu);
		return umbra_err_set(err, ENOMEM, "no memory for the tables of the shadow MMU");
	}
	*out_mmu = mmu;
	return 0;
}

void mmu_destroy(struct mmu *mmu)
{
	if (!mmu)
		return;
	shadow_pages_end(mmu);
	free(mmu->root);
	free(mmu->vcpu);
	lock_end(mmu->lock);
	free(mmu->lock);
	free(mmu);
}

/* Registers. */

static void choose_root(struct mmu *mmu, struct mmu_vcpu *vcpu, const struct x86_paging *regs)
{
	struct mmu_root *root;

	vcpu->regs = *regs;
	root_normalize_regs(mmu, &vcpu->regs);
	root = root_get(mmu, &vcpu->regs);
	vcpu->root->users--;
	root->users++;
	vcpu->root = root;
	vcpu->root_id = root->id;
}

static void note_load(struct mmu *mmu, unsigned vcpu)
{
	struct mmu_root *root = mmu->vcpu[vcpu].root;

	root->loads++;
	root->last_cr3 = mmu->vcpu[vcpu].regs.cr3;
	root->last_load = mmu_who_seq(mmu, vcpu);
}

void mmu_set_regs(struct mmu *mmu, unsigned vcpu, const struct x86_paging *regs, enum mmu_load load)
{
	struct mmu_vcpu *v = &mmu->vcpu[vcpu];
	uint64_t old_cr3 = v->regs.cr3;

	lock_take(mmu->lock);
	mmu->actor = vcpu;
	choose_root(mmu, v, regs);
	if (load != MMU_LOAD_OTHER) {
		mmu->stats.cr3_loads++;
		note_load(mmu, vcpu);
		if (is_listening(mmu, MMU_EVENT_CR3))
			tell_cr3(mmu, vcpu, old_cr3, load);
	}
	forget_flush(mmu);
	if (load != MMU_LOAD_OTHER && mmu->config.is_paranoid)
		verify_paranoid(mmu);
	lock_drop(mmu->lock);
}

/* Only the vCPU itself changes it. */
uint64_t mmu_root_id(const struct mmu *mmu, unsigned vcpu)
{
	return mmu->vcpu[vcpu].root_id;
}

static void invalidate_address(struct mmu *mmu, unsigned vcpu, unsigned pcid, gva_t gva,
			       bool takes_global)
{
	mmu->actor = vcpu;
	mmu->stats.invlpgs++;
	if (is_listening(mmu, MMU_EVENT_INVLPG))
		tell_invlpg(mmu, vcpu, pcid, gva, takes_global);
	forget_flush(mmu);
	if (mmu->config.is_paranoid)
		verify_paranoid(mmu);
}

void mmu_invlpg(struct mmu *mmu, unsigned vcpu, gva_t gva)
{
	lock_take(mmu->lock);
	invalidate_address(mmu, vcpu, current_pcid(&mmu->vcpu[vcpu].regs), gva, true);
	lock_drop(mmu->lock);
}

void mmu_invpcid(struct mmu *mmu, unsigned vcpu, unsigned pcid, gva_t gva)
{
	lock_take(mmu->lock);
	invalidate_address(mmu, vcpu, pcid, gva, false);
	lock_drop(mmu->lock);
}

void mmu_flush_some(struct mmu *mmu, unsigned vcpu, enum mmu_flush_scope scope, unsigned pcid)
{
	lock_take(mmu->lock);
	mmu->actor = vcpu;
	if (is_listening(mmu, MMU_EVENT_FLUSH))
		tell_flush(mmu, vcpu, scope, pcid);
	forget_flush(mmu);
	if (mmu->config.is_paranoid)
		verify_paranoid(mmu);
	lock_drop(mmu->lock);
}

void mmu_flush(struct mmu *mmu, unsigned vcpu)
{
	mmu_flush_some(mmu, vcpu, MMU_FLUSH_ALL, 0);
}

int mmu_pin(struct mmu *mmu, gpa_t gpa)
{
	bool is_pinned;

	lock_take(mmu->lock);
	mmu->actor = MMU_NO_VCPU;
	is_pinned = frame_pin(mmu, gpa >> SHADOW_GFN_SHIFT);
	forget_flush(mmu);
	lock_drop(mmu->lock);
	return is_pinned ? 0 : -ENOMEM;
}

void mmu_unpin(struct mmu *mmu, gpa_t gpa)
{
	lock_take(mmu->lock);
	frame_unpin(mmu, gpa >> SHADOW_GFN_SHIFT);
	lock_drop(mmu->lock);
}

/* The rest. */

void mmu_zap_all(struct mmu *mmu)
{
	lock_take(mmu->lock);
	mmu->actor = MMU_NO_VCPU;
	shadow_zap_all(mmu);
	forget_flush(mmu);
	lock_drop(mmu->lock);
}

/* Leaves hold host addresses, and table pages too. */
void mmu_slot_changed(struct mmu *mmu)
{
	mmu_zap_all(mmu);
}

bool mmu_is_table(const struct mmu *mmu, gpa_t gpa)
{
	const struct frame *frame;
	bool is_table;

	lock_take(mmu->lock);
	frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);
	is_table = frame && frame_is_table(frame);
	lock_drop(mmu->lock);
	return is_table;
}

void mmu_stats(const struct mmu *mmu, struct mmu_stats *out_stats)
{
	lock_take(mmu->lock);
	*out_stats = mmu->stats;
	lock_drop(mmu->lock);
}

unsigned mmu_verify(struct mmu *mmu, const struct print_sink *sink)
{
	unsigned findings;

	lock_take(mmu->lock);
	findings = verify_locked(mmu, sink);
	lock_drop(mmu->lock);
	return findings;
}

unsigned mmu_paranoid_findings(const struct mmu *mmu)
{
	unsigned findings;

	lock_take(mmu->lock);
	findings = mmu->paranoid_findings;
	lock_drop(mmu->lock);
	return findings;
}
