/* Debug registers, single step and breakpoint exceptions through KVM_SET_GUEST_DEBUG.
 * Source: KVM api 4.87 (SET_GUEST_DEBUG), 4.31 and 4.32 (VCPU_EVENTS); SDM 3B 17.2 (DR6, DR7). */
#include "kvm.h"

#include <errno.h>

#define VECTOR_DB 1
#define VECTOR_BP 3

/* DR7: bit 10 is always one, GE asks for exact data breakpoints; per register i the global enable
 * at 2i+1, the kind at 16+4i and the length at 18+4i (SDM 3B 17.2.4). */
#define DR7_FIXED	0x400ull
#define DR7_GE		0x200ull
#define DR7_ENABLE(i)	(2ull << (2 * (i)))
#define DR7_KIND(i, k)	((uint64_t)(k) << (16 + 4 * (i)))
#define DR7_LEN(i, l)	((uint64_t)(l) << (18 + 4 * (i)))
#define DR7_KIND_WRITE	1u
#define DR7_KIND_ACCESS 3u

#define DR6_POINTS 0xfull
#define DR6_BD	   (1ull << 13)
#define DR6_BS	   (1ull << 14)
#define DR6_BT	   (1ull << 15)
#define DR6_CAUSES (DR6_POINTS | DR6_BD | DR6_BS | DR6_BT)

/* Asking for stops. */

static uint64_t dr7_kind(enum accel_point_kind kind)
{
	switch (kind) {
	case ACCEL_POINT_WRITE:
		return DR7_KIND_WRITE;
	case ACCEL_POINT_ACCESS:
		return DR7_KIND_ACCESS;
	case ACCEL_POINT_READ: /* no debug register does that alone (SDM 3B 17.2.4) */
	case ACCEL_POINT_EXEC:
		break;
	}
	return 0;
}

static uint64_t dr7_len(const struct accel_point *point)
{
	if (point->kind == ACCEL_POINT_EXEC)
		return 0; /* must be: SDM 3B 17.2.4 */
	switch (point->len) {
	case 2:
		return 1;
	case 4:
		return 3;
	case 8:
		return 2;
	default:
		return 0;
	}
}

static void compose_points(const struct accel_debug *debug, const struct kvm_step *step,
			   struct kvm_guest_debug *out)
{
	uint64_t dr7 = 0;
	unsigned i;

	for (i = 0; i < debug->point_count && i < KVM_POINTS; i++) {
		const struct accel_point *point = &debug->point[i];

		if (step->has_target && step->target_slot == i)
			continue;
		out->arch.debugreg[i] = point->addr;
		dr7 |= DR7_ENABLE(i) | DR7_KIND(i, dr7_kind(point->kind)) |
		       DR7_LEN(i, dr7_len(point));
	}
	if (step->has_target) {
		out->arch.debugreg[step->target_slot] = step->target;
		dr7 |= DR7_ENABLE(step->target_slot);
	}
	if (!dr7)
		return;
	out->arch.debugreg[7] = dr7 | DR7_FIXED | DR7_GE;
	out->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
}

void kvm_debug_compose(const struct accel_debug *debug, const struct kvm_step *step,
		       unsigned allowed, struct kvm_guest_debug *out)
{
	memset(out, 0, sizeof(*out));
	compose_points(debug, step, out);
	if (debug->step)
		out->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (debug->step && debug->block_irq)
		out->control |= KVM_GUESTDBG_BLOCKIRQ;
	if (debug->trap)
		out->control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	out->control &= allowed;
}

/* Taken up by the next run. */
int kvm_debug_set(struct accel_vcpu *vcpu, const struct accel_debug *debug)
{
	if (debug->point_count > KVM_POINTS)
		return -EINVAL;
	vcpu->debug = *debug;
	return 0;
}

/* A halted processor whose interrupts are held off would never wake, and the step never end. */
static bool is_halted(struct accel_vcpu *vcpu)
{
	struct kvm_mp_state mp;

	if (!vcpu->may_be_halted || kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) != 0)
		return false;
	vcpu->cached = 0; /* a pending INIT or SIPI was taken up */
	vcpu->may_be_halted = kvm_activity_of(mp.mp_state) == X86_HALTED;
	return vcpu->may_be_halted;
}

/* The ioctl is repeated without a change where it puts TF back: KVM does that only there, and a
 * guest that loads RFLAGS, or a register write of ours, takes it away. */
int kvm_debug_arm(struct accel_vcpu *vcpu)
{
	struct accel_debug wanted = vcpu->debug;
	struct kvm_guest_debug arg;
	bool must_rearm = wanted.step && (vcpu->is_armed_stale || vcpu->vm->probe.must_rearm);
	int result;

	if (wanted.step && wanted.block_irq && is_halted(vcpu))
		wanted.block_irq = false;
	kvm_debug_compose(&wanted, &vcpu->step, vcpu->vm->host.debug_bits, &arg);
	if (!must_rearm && memcmp(&arg, &vcpu->armed, sizeof(arg)) == 0)
		return 0;
	vcpu->cached &= ~KVM_SYNC_X86_REGS; /* RFLAGS is shown without our TF, or with it */
	result = kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &arg);
	if (result)
		return result;
	vcpu->armed = arg;
	vcpu->is_armed_stale = false;
	return 0;
}

/* Understanding stops. */

/* Bits of DR6 that a debug register of ours answers for. */
static unsigned own_points(const struct accel_debug *debug, const struct kvm_step *step)
{
	unsigned own = (1u << debug->point_count) - 1;

	return step->has_target ? own & ~(1u << step->target_slot) : own;
}

static void classify_db(uint64_t dr6, const struct accel_debug *debug, const struct kvm_step *step,
			struct accel_exit *out)
{
	unsigned hits = (unsigned)(dr6 & DR6_POINTS);
	unsigned own = own_points(debug, step);

	for (unsigned i = 0; i < KVM_POINTS; i++) {
		if (hits & own & 1u << i)
			out->hit[out->hit_count++] = i;
	}
	if (out->hit_count)
		out->debug |= ACCEL_DEBUG_POINT;
	if (debug->step && (dr6 & DR6_BS))
		out->debug |= ACCEL_DEBUG_STEP;
	if (step->has_target && (hits & 1u << step->target_slot))
		out->debug |= ACCEL_DEBUG_STEP;
	if (out->debug && !(dr6 & DR6_BD))
		return;
	/* Nothing of ours: a step that KVM reports without a cause, or the guest's own doing.
	 * With registers of ours in place its own are not in the processor. */
	if (debug->step && !(dr6 & DR6_CAUSES)) {
		out->debug |= ACCEL_DEBUG_STEP;
		return;
	}
	out->debug |= ACCEL_DEBUG_GUEST;
	out->guest_dr6 = dr6;
}

/* arch->dr7 is not looked at: some KVMs leave an old value there. */
void kvm_debug_classify(const struct kvm_debug_exit_arch *arch, const struct accel_debug *debug,
			const struct kvm_step *step, struct accel_exit *out)
{
	out->kind = ACCEL_EXIT_DEBUG;
	if (arch->exception == VECTOR_BP)
		out->debug |= ACCEL_DEBUG_TRAP;
	else
		classify_db(arch->dr6, debug, step, out);
}

/* Giving exceptions back. */

static int skip_int3(struct accel_vcpu *vcpu)
{
	struct x86_state st;
	int result = kvm_state_get(vcpu, &st, X86_STATE_GPR);

	st.rip++;
	return result ? result : kvm_state_set(vcpu, &st, X86_STATE_GPR, NULL);
}

/* #BP pushes the address after INT3.  KVM works that out itself where it took the exception from
 * the processor; where the instruction failed in its emulator, or where the self-test found it
 * pushing RIP as it stands, RIP is moved here. */
static int reflect_bp(struct accel_vcpu *vcpu, struct kvm_vcpu_events *events)
{
	struct x86_state st;
	int result = kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG);

	if (result)
		return result;
	events->exception.injected = 1;
	events->exception.nr = VECTOR_BP;
	if (vcpu->is_trap_from_debug &&
	    !vcpu->vm->probe.quirk[accel_mode_of(&st)].reflect_needs_skip)
		return 0;
	return skip_int3(vcpu);
}

/* With a payload KVM sets DR6 when it delivers the exception; else it is set here. */
static int reflect_db(struct accel_vcpu *vcpu, struct kvm_vcpu_events *events, uint64_t dr6)
{
	struct x86_state st;
	int result;

	events->exception.nr = VECTOR_DB;
	if (vcpu->vm->host.has_payload) {
		events->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
		events->exception.pending = 1;
		events->exception_has_payload = 1;
		events->exception_payload = dr6 & DR6_CAUSES;
		return 0;
	}
	events->exception.injected = 1;
	result = kvm_state_get(vcpu, &st, X86_STATE_DR);
	if (result)
		return result;
	st.dr[6] = (st.dr[6] & ~DR6_POINTS) | (dr6 & DR6_CAUSES);
	return kvm_state_set(vcpu, &st, X86_STATE_DR, NULL);
}

int kvm_debug_reflect(struct accel_vcpu *vcpu, unsigned vector, uint64_t dr6)
{
	struct kvm_vcpu_events events;
	int result = kvm_state_cache(vcpu, KVM_SYNC_X86_EVENTS);

	if (result)
		return result;
	events = vcpu->run->s.regs.events;
	events.exception.has_error_code = 0;
	switch (vector) {
	case VECTOR_BP:
		result = reflect_bp(vcpu, &events);
		break;
	case VECTOR_DB:
		result = reflect_db(vcpu, &events, dr6);
		break;
	default:
		return -EINVAL;
	}
	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	vcpu->cached &= ~KVM_SYNC_X86_EVENTS;
	return result;
}
