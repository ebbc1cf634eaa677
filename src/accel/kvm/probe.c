/* The start-up self-test: what this KVM really does, per CPU mode.  Capability bits lie, so every
 * answer here comes from running a few guest instructions and looking at what comes back.  It
 * judges no KVM by its name or version.
 * Costs about 25 us a case; a mode that does not run at all is asked nothing more. */
#include "probe.h"

#include <errno.h>

#define VECTOR_DB    1
#define VECTOR_BP    3
#define DR6_B0	     1u
#define CONTROL_STEP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP)
#define CONTROL_TRAP (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP)
#define BYTE_INT3    0xcc
#define BYTE_INT1    0xf1

/* Single step. */

static bool probe_can_run(struct probe_vm *p, enum accel_mode mode)
{
	return probe_begin(p, mode, PROBE_NOPS) && probe_is_end(p, probe_run(p), PROBE_NOPS);
}

static bool step_to(struct probe_vm *p, gva_t pc)
{
	return probe_is_debug(p, probe_run(p), VECTOR_DB, pc);
}

/* Asked anew before the second step, as a careful caller does. */
static bool probe_can_step(struct probe_vm *p, enum accel_mode mode)
{
	return probe_begin(p, mode, PROBE_NOPS) && probe_arm(p, CONTROL_STEP, NULL) &&
	       step_to(p, PROBE_CODE + 1) && probe_arm(p, CONTROL_STEP, NULL) &&
	       step_to(p, PROBE_CODE + 2);
}

/* POPF loads RFLAGS with TF clear; does the step after it still stop? */
static bool probe_needs_rearm(struct probe_vm *p, enum accel_mode mode)
{
	return !(probe_begin(p, mode, PROBE_POPF) && probe_arm(p, CONTROL_STEP, NULL) &&
		 step_to(p, PROBE_CODE + 1) && step_to(p, PROBE_CODE + 2));
}

static bool probe_pushf_shows_tf(struct probe_vm *p, enum accel_mode mode)
{
	unsigned slot = PROBE_STACK - probe_mode_row(mode)->bits / 8;

	if (!probe_begin(p, mode, PROBE_PUSHF) || !probe_arm(p, CONTROL_STEP, NULL))
		return false;
	le16_put(p->mem + slot, 0);
	return step_to(p, PROBE_CODE + 1) && (le16_get(p->mem + slot) & X86_RFLAGS_TF);
}

static void probe_iret(struct probe_vm *p, enum accel_mode mode, struct kvm_mode_quirks *quirk)
{
	int reason;

	if (!probe_begin(p, mode, PROBE_IRET) || !probe_arm(p, CONTROL_STEP, NULL))
		return;
	reason = probe_run(p);
	quirk->iret_steps_two = probe_is_debug(p, reason, VECTOR_DB, PROBE_TARGET + 1);
	quirk->has_iret =
		quirk->iret_steps_two || probe_is_debug(p, reason, VECTOR_DB, PROBE_TARGET);
}

/* Breakpoints. */

/* The debug exit of an INT3 was taken: what address does the guest's handler see? */
static bool probe_reflect_needs_skip(struct probe_vm *p)
{
	unsigned bytes = probe_mode_row(p->mode)->bits / 8;
	struct kvm_regs regs;
	uint32_t pushed;

	if (!probe_inject(p, VECTOR_BP) || probe_vector(p, probe_run(p)) != VECTOR_BP)
		return false;
	regs = probe_regs(p);
	if (regs.rsp > PROBE_MEM_BYTES - bytes)
		return false;
	pushed = bytes == 2 ? le16_get(p->mem + regs.rsp) : le32_get(p->mem + regs.rsp);
	return pushed == PROBE_CODE + 1;
}

static void probe_trap(struct probe_vm *p, enum accel_mode mode, struct accel_mode_caps *caps,
		       struct kvm_mode_quirks *quirk)
{
	int reason;

	if (!probe_begin(p, mode, PROBE_INT3) || !probe_arm(p, CONTROL_TRAP, NULL))
		return;
	reason = probe_run(p);
	if (probe_is_debug(p, reason, VECTOR_BP, PROBE_CODE + 1)) {
		caps->trap = ACCEL_TRAP_DEBUG;
		caps->trap_byte = BYTE_INT3;
		quirk->reflect_needs_skip = probe_reflect_needs_skip(p);
		return;
	}
	if (probe_is_emulfail(p, reason, PROBE_CODE + 1)) {
		caps->trap = ACCEL_TRAP_EMULFAIL;
		caps->trap_byte = BYTE_INT3;
		return;
	}
	if (probe_begin(p, mode, PROBE_INT1) && probe_arm(p, CONTROL_TRAP, NULL) &&
	    probe_is_emulfail(p, probe_run(p), PROBE_CODE + 1)) {
		caps->trap = ACCEL_TRAP_EMULFAIL;
		caps->trap_byte = BYTE_INT1;
	}
}

static void probe_hw_break(struct probe_vm *p, enum accel_mode mode, struct accel_mode_caps *caps,
			   struct kvm_mode_quirks *quirk)
{
	const struct accel_point point = {
		.kind = ACCEL_POINT_EXEC, .addr = PROBE_CODE + 2, .len = 1};
	struct kvm_regs regs;

	if (!probe_begin(p, mode, PROBE_NOPS) || !probe_arm(p, 0, &point) ||
	    !step_to(p, point.addr) || !(p->run->debug.arch.dr6 & DR6_B0))
		return;
	caps->has_hw_break = true;
	regs = probe_regs(p);
	regs.rflags |= X86_RFLAGS_RF;
	quirk->rf_holds = probe_set_regs(p, &regs) && probe_is_end(p, probe_run(p), PROBE_NOPS);
}

static bool probe_watch(struct probe_vm *p, enum accel_mode mode, enum probe_snippet snippet,
			enum accel_point_kind kind)
{
	const struct accel_point point = {.kind = kind, .addr = PROBE_DATA, .len = 1};

	return probe_begin(p, mode, snippet) && probe_arm(p, 0, &point) &&
	       probe_run(p) == KVM_EXIT_DEBUG && (p->run->debug.arch.dr6 & DR6_B0);
}

/* What code of this kind can do. */

static bool probe_fpu(struct probe_vm *p, enum accel_mode mode)
{
	return probe_begin(p, mode, PROBE_FPU) && probe_is_end(p, probe_run(p), PROBE_FPU);
}

static bool probe_int_n(struct probe_vm *p, enum accel_mode mode)
{
	return probe_begin(p, mode, PROBE_INT) && probe_vector(p, probe_run(p)) == PROBE_INT_N;
}

/* All of it. */

static void probe_mode(struct probe_vm *p, enum accel_mode mode, struct kvm_probe *out)
{
	struct accel_mode_caps *caps = &out->caps.mode[mode];
	struct kvm_mode_quirks *quirk = &out->quirk[mode];

	caps->can_run = probe_can_run(p, mode);
	if (!caps->can_run)
		return;
	caps->can_step = probe_can_step(p, mode);
	if (caps->can_step) {
		quirk->step_needs_rearm = probe_needs_rearm(p, mode);
		quirk->pushf_shows_tf = probe_pushf_shows_tf(p, mode);
		probe_iret(p, mode, quirk);
	}
	probe_trap(p, mode, caps, quirk);
	probe_hw_break(p, mode, caps, quirk);
	caps->has_watch_write = probe_watch(p, mode, PROBE_STORE, ACCEL_POINT_WRITE);
	caps->has_watch_access = probe_watch(p, mode, PROBE_LOAD, ACCEL_POINT_ACCESS);
	if (out->depth == KVM_PROBE_FULL) {
		quirk->has_fpu = probe_fpu(p, mode);
		quirk->has_int_n = probe_int_n(p, mode);
	}
}

/* What follows from all modes together. */
static void probe_conclude(struct kvm_probe *out)
{
	unsigned mode;

	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		const struct accel_mode_caps *caps = &out->caps.mode[mode];
		const struct kvm_mode_quirks *quirk = &out->quirk[mode];

		if (caps->has_hw_break || caps->has_watch_write || caps->has_watch_access)
			out->caps.hw_points = KVM_POINTS;
		if (caps->can_run && caps->trap != ACCEL_TRAP_DEBUG)
			out->caps.prefers_hw_break = true;
		out->must_rearm |= quirk->step_needs_rearm;
		out->must_read_ahead |= quirk->iret_steps_two || quirk->pushf_shows_tf;
	}
}

int kvm_probe_can_run(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		      enum accel_mode mode, bool *out_can_run, struct umbra_err *err)
{
	struct probe_vm vm;
	int result = probe_vm_open(&vm, host, cpuid, err);

	if (result)
		return result;
	*out_can_run = probe_can_run(&vm, mode);
	probe_vm_close(&vm);
	return 0;
}

int kvm_probe_run(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		  enum kvm_probe_depth depth, struct kvm_probe *out_probe, struct umbra_err *err)
{
	struct probe_vm vm;
	unsigned mode;
	int result = probe_vm_open(&vm, host, cpuid, err);

	if (result)
		return result;
	memset(out_probe, 0, sizeof(*out_probe));
	out_probe->depth = depth;
	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++)
		probe_mode(&vm, (enum accel_mode)mode, out_probe);
	probe_conclude(out_probe);
	out_probe->case_count = vm.case_count;
	out_probe->cpu_ns = vm.cpu_ns;
	probe_vm_close(&vm);
	return depth == KVM_PROBE_FULL ? kvm_trap_probe(host, cpuid, &out_probe->trap, err) : 0;
}
