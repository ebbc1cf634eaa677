/* Guest state in and out of a vCPU.  After KVM_RUN the general and segment registers and the
 * pending events lie in the shared area, and reading them takes no system call.
 * Source: KVM api 5 (struct kvm_run: kvm_valid_regs), 4.11..4.18 (REGS, SREGS, MSRS). */
#include "kvm.h"

#include <errno.h>
#include <stdlib.h>

/* The cache. */

struct cache_row {
	unsigned bit;
	unsigned long get;
	size_t offset;
};

static const struct cache_row CACHE[] = {
	{KVM_SYNC_X86_REGS, KVM_GET_REGS, offsetof(struct kvm_sync_regs, regs)},
	{KVM_SYNC_X86_SREGS, KVM_GET_SREGS, offsetof(struct kvm_sync_regs, sregs)},
	{KVM_SYNC_X86_EVENTS, KVM_GET_VCPU_EVENTS, offsetof(struct kvm_sync_regs, events)},
};

int kvm_state_cache(struct accel_vcpu *vcpu, unsigned parts)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CACHE); i++) {
		const struct cache_row *row = &CACHE[i];
		int result;

		if (!(parts & ~vcpu->cached & row->bit))
			continue;
		result = kvm_ioctl(vcpu->fd, row->get, (uint8_t *)&vcpu->run->s.regs + row->offset);
		if (result)
			return result;
		vcpu->cached |= row->bit;
	}
	return 0;
}

/* One part at a time. */

static int gpr_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	int result = kvm_state_cache(vcpu, KVM_SYNC_X86_REGS);

	if (!result)
		kvm_regs_get(&vcpu->run->s.regs.regs, st);
	return result;
}

static int gpr_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_regs regs;

	kvm_regs_put(&regs, st);
	return kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

static int sreg_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	int result = kvm_state_cache(vcpu, KVM_SYNC_X86_SREGS);

	if (!result)
		kvm_sregs_get(&vcpu->run->s.regs.sregs, st);
	return result;
}

/* Some KVMs take a mode that they cannot run without a word, and drop the bit: the guest would go
 * on in another mode than the one that was asked for. */
static int sreg_set_checked(struct accel_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct kvm_sregs taken;
	int result = kvm_ioctl(vcpu->fd, KVM_SET_SREGS, sregs);

	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &taken);
	if (!result && ((taken.cr0 ^ sregs->cr0) & (X86_CR0_PE | X86_CR0_PG)))
		result = -ENOTSUP;
	return result;
}

static int sreg_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_sregs old, sregs;
	int result = kvm_state_cache(vcpu, KVM_SYNC_X86_SREGS);

	if (result)
		return result;
	old = vcpu->run->s.regs.sregs;
	sregs = old;
	kvm_sregs_put(&sregs, st);
	result = sreg_set_checked(vcpu, &sregs);
	if (result == -ENOTSUP)
		kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &old);
	return result;
}

static int fpu_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_xsave xsave;
	struct kvm_fpu fpu;
	int result;

	if (vcpu->vm->host.has_xsave) {
		result = kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave);
		if (!result)
			kvm_xsave_get(&xsave, &st->fpu);
		return result;
	}
	result = kvm_ioctl(vcpu->fd, KVM_GET_FPU, &fpu);
	if (!result)
		kvm_fpu_get(&fpu, &st->fpu);
	return result;
}

/* KVM_SET_FPU is the second choice: on a vCPU that has not touched the x87 unit yet, what it sets
 * can be lost (regs.c, XSTATE_BV). */
static int fpu_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_xsave xsave;
	struct kvm_fpu fpu;
	int result;

	if (!vcpu->vm->host.has_xsave) {
		kvm_fpu_put(&fpu, &st->fpu);
		return kvm_ioctl(vcpu->fd, KVM_SET_FPU, &fpu);
	}
	result = kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave);
	if (result)
		return result;
	kvm_xsave_put(&xsave, &st->fpu);
	return kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, &xsave);
}

union msr_list {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + KVM_MSR_ROWS * sizeof(struct kvm_msr_entry)];
};

static void msr_list_fill(union msr_list *list, const struct x86_msrs *msr)
{
	unsigned row;

	memset(list, 0, sizeof(*list));
	list->head.nmsrs = KVM_MSR_ROWS;
	for (row = 0; row < KVM_MSR_ROWS; row++) {
		list->head.entries[row].index = kvm_msr_index(row);
		list->head.entries[row].data = kvm_msr_get(msr, row);
	}
}

/* These ioctls stop at the first MSR that is refused and return how many went well. */
static int msr_ioctl(struct accel_vcpu *vcpu, unsigned long request, union msr_list *list)
{
	int done = kvm_ioctl(vcpu->fd, request, list);

	if (done < 0)
		return done;
	return done == (int)list->head.nmsrs ? 0 : -EINVAL;
}

static int msr_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	union msr_list list;
	unsigned row;
	int result;

	msr_list_fill(&list, &st->msr);
	result = msr_ioctl(vcpu, KVM_GET_MSRS, &list);
	if (result)
		return result;
	for (row = 0; row < KVM_MSR_ROWS; row++)
		kvm_msr_put(&st->msr, row, list.head.entries[row].data);
	vcpu->tsc_seen = st->msr.tsc;
	return 0;
}

/* A TSC that comes back as it was read is not written, or each write of another MSR at the debugger
 * would set the guest's clock back.  The TSC is the last row. */
static int msr_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	union msr_list list, old;
	int result;

	msr_list_fill(&list, &st->msr);
	old = list;
	if (st->msr.tsc == vcpu->tsc_seen) {
		list.head.nmsrs--;
		old.head.nmsrs--;
	}
	result = msr_ioctl(vcpu, KVM_GET_MSRS, &old);
	if (result)
		return result;
	result = msr_ioctl(vcpu, KVM_SET_MSRS, &list);
	if (!result) {
		vcpu->tsc_seen = st->msr.tsc;
		return 0;
	}
	if (old.head.nmsrs == KVM_MSR_ROWS)
		old.head.nmsrs--; /* it went on counting */
	msr_ioctl(vcpu, KVM_SET_MSRS, &old);
	return result;
}

static int dr_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_debugregs regs;
	int result = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);

	if (!result)
		kvm_debugregs_get(&regs, st);
	return result;
}

static int dr_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_debugregs regs;

	kvm_debugregs_put(&regs, st);
	return kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
}

static int xcr_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	struct kvm_xcrs xcrs;
	unsigned i;
	int result;

	st->xcr0 = X86_XCR0_X87;
	if (!vcpu->vm->host.has_xcrs)
		return 0;
	result = kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs);
	for (i = 0; !result && i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++) {
		if (xcrs.xcrs[i].xcr == 0)
			st->xcr0 = xcrs.xcrs[i].value;
	}
	return result;
}

static int xcr_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = st->xcr0}}};

	if (!vcpu->vm->host.has_xcrs)
		return st->xcr0 == X86_XCR0_X87 ? 0 : -EINVAL;
	return kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs);
}

static int activity_get(struct accel_vcpu *vcpu, enum x86_activity *out)
{
	struct kvm_mp_state mp;
	int result = kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp);

	if (result)
		return result;
	*out = kvm_activity_of(mp.mp_state);
	return 0;
}

static int run_get(struct accel_vcpu *vcpu, struct x86_state *st)
{
	int result = activity_get(vcpu, &st->activity);

	if (!result)
		result = kvm_state_cache(vcpu, KVM_SYNC_X86_EVENTS);
	if (!result)
		st->is_in_int_shadow = vcpu->run->s.regs.events.interrupt.shadow != 0;
	return result;
}

static int shadow_set(struct accel_vcpu *vcpu, bool is_on)
{
	struct kvm_vcpu_events events;
	int result = kvm_state_cache(vcpu, KVM_SYNC_X86_EVENTS);

	if (result)
		return result;
	events = vcpu->run->s.regs.events;
	if ((events.interrupt.shadow != 0) == is_on)
		return 0;
	events.interrupt.shadow = is_on ? KVM_X86_SHADOW_INT_STI : 0;
	return kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* What stays as it is is not written: KVM's own states are finer than ours. */
static int run_set(struct accel_vcpu *vcpu, const struct x86_state *st)
{
	struct kvm_mp_state mp = {.mp_state = kvm_mp_state_of(st->activity)};
	enum x86_activity now;
	int result = activity_get(vcpu, &now);

	if (result)
		return result;
	if (now != st->activity)
		result = kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);
	return result ? result : shadow_set(vcpu, st->is_in_int_shadow);
}

/* All parts. */

struct part_row {
	unsigned bit;
	const char *name;
	int (*get)(struct accel_vcpu *vcpu, struct x86_state *st);
	int (*set)(struct accel_vcpu *vcpu, const struct x86_state *st);
	unsigned stale; /* of the cache, after a set */
};

/* In the order in which they are set: segment and control registers first, because they say what
 * the others may hold. */
static const struct part_row PARTS[] = {
	{X86_STATE_SREG, "segment and control registers", sreg_get, sreg_set,
	 KVM_SYNC_X86_VALID_FIELDS},
	{X86_STATE_MSR, "model-specific registers", msr_get, msr_set, KVM_SYNC_X86_SREGS},
	{X86_STATE_DR, "debug registers", dr_get, dr_set, 0},
	{X86_STATE_XCR, "extended control register", xcr_get, xcr_set, 0},
	{X86_STATE_FPU, "x87 and SSE registers", fpu_get, fpu_set, 0},
	{X86_STATE_GPR, "general registers", gpr_get, gpr_set, KVM_SYNC_X86_VALID_FIELDS},
	{X86_STATE_RUN, "activity", run_get, run_set, KVM_SYNC_X86_VALID_FIELDS},
};

int kvm_state_get(struct accel_vcpu *vcpu, struct x86_state *st, unsigned parts)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(PARTS); i++) {
		int result;

		if (!(parts & PARTS[i].bit))
			continue;
		result = PARTS[i].get(vcpu, st);
		if (result)
			return result;
	}
	return 0;
}

static int part_set(struct accel_vcpu *vcpu, const struct part_row *row, const struct x86_state *st)
{
	int result = row->set(vcpu, st);

	vcpu->cached &= ~row->stale;
	vcpu->is_armed_stale = true;
	vcpu->may_be_halted = true;
	return result;
}

/* Parts before row @end back to what they were. */
static void parts_restore(struct accel_vcpu *vcpu, const struct x86_state *old, unsigned parts,
			  unsigned end)
{
	unsigned i;

	for (i = 0; i < end; i++) {
		if (parts & PARTS[i].bit)
			part_set(vcpu, &PARTS[i], old);
	}
}

static int parts_set(struct accel_vcpu *vcpu, const struct x86_state *st,
		     const struct x86_state *old, unsigned parts, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(PARTS); i++) {
		int result;

		if (!(parts & PARTS[i].bit))
			continue;
		result = part_set(vcpu, &PARTS[i], st);
		if (!result)
			continue;
		parts_restore(vcpu, old, parts, i);
		return umbra_err_set(err, EINVAL,
				     "KVM refuses these values of the %s of vCPU %u (%s)",
				     PARTS[i].name, vcpu->index, strerror(-result));
	}
	return 0;
}

int kvm_state_set(struct accel_vcpu *vcpu, const struct x86_state *st, unsigned parts,
		  struct umbra_err *err)
{
	bool is_single = (parts & (parts - 1)) == 0;
	struct x86_state *old;
	int result;

	if (is_single) /* one ioctl: KVM takes all of it or nothing */
		return parts_set(vcpu, st, NULL, parts, err);
	old = malloc(sizeof(*old));
	if (!old)
		return umbra_err_set(err, ENOMEM, "no memory to keep the state of vCPU %u",
				     vcpu->index);
	result = kvm_state_get(vcpu, old, parts);
	if (result)
		umbra_err_set(err, -result, "reading the state of vCPU %u: %s", vcpu->index,
			      strerror(-result));
	else
		result = parts_set(vcpu, st, old, parts, err);
	free(old);
	return result;
}

/* Memory as the guest's code sees it. */

size_t kvm_guest_read(const struct accel_vm *vm, const struct x86_state *st, gva_t va, void *buf,
		      size_t len)
{
	size_t done = 0;

	while (done < len) {
		gva_t at = va + done;
		size_t n = u64_min(len - done, UMBRA_PAGE_SIZE - at % UMBRA_PAGE_SIZE);
		struct x86_walk walk;
		size_t got;

		if (x86_walk(st, at, mem_phys_read, vm->mem, &walk) != 0)
			break;
		got = mem_peek(vm->mem, walk.gpa, (uint8_t *)buf + done, n);
		done += got;
		if (got < n)
			break;
	}
	return done;
}
