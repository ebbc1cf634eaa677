/* The loop round KVM_RUN: serve what the guest asks of devices, and return with a decision, always
 * at an instruction boundary.
 *
 * After a PIO or MMIO exit the instruction is complete only once KVM_RUN was called again (KVM api
 * 5).  With immediate_exit set that call completes it and runs nothing more: that is how a request
 * or a step ends there.  A step over OUT or an MMIO write never gives its KVM_EXIT_DEBUG, on any
 * kind of KVM; so the end of that completing call is the end of the step, with DEBUG or EINTR.
 *
 * Kicks: see kick.c for the cases. */
#include "kvm.h"

#include <errno.h>
#include <sys/ioctl.h>

static int enter_guest(struct accel_vcpu *vcpu, bool complete_only)
{
	volatile struct kvm_run *run = vcpu->run;
	int result;

	if (complete_only)
		run->immediate_exit = 1;
	vcpu->cached = 0;
	result = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	vcpu->cached = vcpu->vm->host.sync_mask;
	kvm_exit_count(vcpu, result);
	kvm_zones_drain(vcpu);
	return result;
}

/* The area is the kernel's; its fields are taken as they are. */
static void serve_pio(struct accel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	bus_pio(vcpu->vm->bus, run->io.port, run->io.direction == KVM_EXIT_IO_OUT, run->io.size,
		run->io.count, (uint8_t *)run + run->io.data_offset);
}

static void serve_mmio(struct accel_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (kvm_trap_write(vcpu))
		return;
	bus_mmio(vcpu->vm->bus, run->mmio.phys_addr, run->mmio.is_write, run->mmio.len,
		 run->mmio.data);
}

static void step_done(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	out->kind = ACCEL_EXIT_DEBUG;
	out->debug |= ACCEL_DEBUG_STEP;
	kvm_exit_locate(vcpu, out);
	kvm_step_finish(vcpu);
}

static void debug_exit(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	kvm_debug_classify(&vcpu->run->debug.arch, &vcpu->debug, &vcpu->step, out);
	kvm_exit_locate(vcpu, out);
	vcpu->is_trap_from_debug = out->debug & ACCEL_DEBUG_TRAP;
	if (out->debug & ACCEL_DEBUG_STEP)
		kvm_step_finish(vcpu);
}

/* KVM_RUN failed as a call.  True when @out has a decision. */
static bool error_exit(struct accel_vcpu *vcpu, int error, bool was_io, struct accel_exit *out)
{
	if (error == EINTR) {
		vcpu->may_be_halted = true;
		if (was_io && vcpu->debug.step) {
			step_done(vcpu, out);
			return true;
		}
		return false;
	}
	if (error == EAGAIN) /* INIT or SIPI arrived: the next call takes it up */
		return false;
	kvm_exit_locate(vcpu, out);
	kvm_exit_fail(out, "KVM_RUN at %#llx: %s%s", (unsigned long long)out->pc, strerror(error),
		      error == EFAULT ? " (guest memory that the host cannot give)" : "");
	return true;
}

/* True when @out has a decision. */
static bool handle_exit(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		serve_pio(vcpu);
		vcpu->is_io_pending = true;
		return false;
	case KVM_EXIT_MMIO:
		serve_mmio(vcpu);
		vcpu->is_io_pending = true;
		return false;
	case KVM_EXIT_DEBUG:
		debug_exit(vcpu, out);
		return true;
	case KVM_EXIT_HLT:
		out->kind = ACCEL_EXIT_HALT;
		if (vcpu->debug.step)
			step_done(vcpu, out);
		else
			kvm_exit_locate(vcpu, out);
		return true;
	case KVM_EXIT_SHUTDOWN:
		out->kind = ACCEL_EXIT_SHUTDOWN;
		kvm_exit_locate(vcpu, out);
		return true;
	case KVM_EXIT_INTR: /* nothing of the guest's; go on */
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_X86_BUS_LOCK:
		return false;
	default:
		kvm_exit_describe(vcpu, out);
		return true;
	}
}

/* One KVM_RUN.  True when @out has a decision. */
static bool run_once(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	bool was_io = vcpu->is_io_pending;
	bool is_asked;
	int result;

	((volatile struct kvm_run *)vcpu->run)->immediate_exit = 0;
	/* Keeps the clear above the read, for the handler on this thread; the request's own data
	 * pair with the release of whoever set it. */
	atomic_signal_fence(memory_order_seq_cst);
	is_asked = atomic_load_explicit(vcpu->req, memory_order_acquire) != 0;
	if (is_asked && !was_io) {
		out->kind = ACCEL_EXIT_KICKED;
		return true;
	}
	result = enter_guest(vcpu, is_asked || (was_io && vcpu->debug.step));
	vcpu->is_io_pending = false;
	if (result)
		return error_exit(vcpu, -result, was_io, out);
	return handle_exit(vcpu, out);
}

void kvm_vcpu_run(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	int result;

	memset(out, 0, sizeof(*out));
	vcpu->is_trap_from_debug = false;
	kvm_step_prepare(vcpu);
	result = kvm_debug_arm(vcpu);
	if (result) {
		kvm_exit_locate(vcpu, out);
		kvm_exit_fail(out, "KVM_SET_GUEST_DEBUG: %s", strerror(-result));
		return;
	}
	while (!run_once(vcpu, out))
		;
}
