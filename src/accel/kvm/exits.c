/* Exits as people see them: names, counts, and the text of an exit that ends a run.
 * Source: KVM api 5 (struct kvm_run). */
#include "kvm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define EXIT_MEMORY_FAULT 39 /* newer than the headers of Debian 12 */

static const char *const REASONS[KVM_REASON_MAX] = {
	[KVM_EXIT_UNKNOWN] = "unknown",
	[KVM_EXIT_EXCEPTION] = "exception",
	[KVM_EXIT_IO] = "io",
	[KVM_EXIT_HYPERCALL] = "hypercall",
	[KVM_EXIT_DEBUG] = "debug",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail-entry",
	[KVM_EXIT_INTR] = "intr",
	[KVM_EXIT_SET_TPR] = "set-tpr",
	[KVM_EXIT_TPR_ACCESS] = "tpr-access",
	[KVM_EXIT_NMI] = "nmi",
	[KVM_EXIT_INTERNAL_ERROR] = "internal-error",
	[KVM_EXIT_WATCHDOG] = "watchdog",
	[KVM_EXIT_SYSTEM_EVENT] = "system-event",
	[KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi",
	[KVM_EXIT_HYPERV] = "hyperv",
	[KVM_EXIT_X86_RDMSR] = "rdmsr",
	[KVM_EXIT_X86_WRMSR] = "wrmsr",
	[KVM_EXIT_DIRTY_RING_FULL] = "dirty-ring-full",
	[KVM_EXIT_AP_RESET_HOLD] = "ap-reset-hold",
	[KVM_EXIT_X86_BUS_LOCK] = "bus-lock",
	[KVM_EXIT_XEN] = "xen",
	[KVM_EXIT_NOTIFY] = "notify",
	[EXIT_MEMORY_FAULT] = "memory-fault",
	[KVM_REASON_MAX - 1] = "other",
};

const char *kvm_exit_name(unsigned reason)
{
	const char *name = reason < KVM_REASON_MAX ? REASONS[reason] : NULL;

	return name ? name : REASONS[KVM_REASON_MAX - 1];
}

static void count(_Atomic uint64_t *counter)
{
	/* One writer: no read-modify-write is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* @result what KVM_RUN gave: 0 or -errno. */
void kvm_exit_count(struct accel_vcpu *vcpu, int result)
{
	unsigned reason = vcpu->run->exit_reason;

	if (result == -EINTR)
		count(&vcpu->eintr);
	else if (result == -EAGAIN)
		count(&vcpu->eagain);
	else
		count(&vcpu->exits[reason < KVM_REASON_MAX ? reason : KVM_REASON_MAX - 1]);
}

static void show_count(const struct print_sink *sink, const char *name,
		       const _Atomic uint64_t *counter)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	if (value)
		print_to(sink, "  %-16s %12llu\n", name, (unsigned long long)value);
}

void kvm_exits_show(const struct accel_vcpu *vcpu, const struct print_sink *sink)
{
	unsigned reason;

	for (reason = 0; reason < KVM_REASON_MAX; reason++)
		show_count(sink, kvm_exit_name(reason), &vcpu->exits[reason]);
	show_count(sink, "interrupted", &vcpu->eintr);
	show_count(sink, "try-again", &vcpu->eagain);
}

/* Exits that end a run. */

void kvm_exit_fail(struct accel_exit *out, const char *fmt, ...)
{
	va_list args;

	out->kind = ACCEL_EXIT_FAILED;
	va_start(args, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, args);
	va_end(args);
}

void kvm_exit_locate(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	struct x86_state st = {0};

	if (kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG) != 0)
		return;
	out->pc = x86_linear_pc(&st);
	out->rip = st.rip;
}

/* The bytes that KVM gave up on: its own copy when it hands one out, else what memory has. */
static size_t failed_bytes(const struct accel_vcpu *vcpu, const struct x86_state *st,
			   uint8_t bytes[X86_INSN_MAX])
{
	const struct kvm_run *run = vcpu->run;
	size_t len;

	if (run->emulation_failure.ndata >= 3 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		len = u64_min(run->emulation_failure.insn_size, X86_INSN_MAX);
		memcpy(bytes, run->emulation_failure.insn_bytes, len);
		if (len)
			return len;
	}
	return kvm_guest_read(vcpu->vm, st, x86_linear_pc(st), bytes, X86_INSN_MAX);
}

static void bytes_format(const uint8_t *bytes, size_t len, char *out_text, size_t size)
{
	size_t used = 0;
	size_t i;

	out_text[0] = '\0';
	for (i = 0; i < len && used + 4 <= size; i++)
		used += (size_t)snprintf(out_text + used, size - used, "%s%02x", i ? " " : "",
					 bytes[i]);
}

/* It would run were its page not trapped. */
#define TRAP_HINT                                                                                  \
	", a write to a page table: `monitor mmu track lazy' ends what keeps it from running"

static bool stores_to_trap(const struct accel_vm *vm, const struct x86_state *st,
			   const uint8_t *bytes, size_t len)
{
	struct x86_insn_stores stores;
	unsigned i;

	if (x86_insn_stores(st, bytes, len, st->rip + len, &stores) < 0)
		return false;
	for (i = 0; i < stores.count; i++) {
		if (kvm_trap_has(vm, st, stores.store[i].addr, stores.store[i].bytes))
			return true;
	}
	return false;
}

static void describe_emulation(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	struct x86_state st = {0};
	uint8_t bytes[X86_INSN_MAX];
	char hex[3 * X86_INSN_MAX + 1];
	char insn[X86_INSN_TEXT_MAX];
	size_t len;
	int insn_len;

	out->is_emulation = true;
	if (kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG) != 0) {
		kvm_exit_fail(out, "KVM cannot emulate an instruction");
		return;
	}
	out->pc = x86_linear_pc(&st);
	out->rip = st.rip;
	len = failed_bytes(vcpu, &st, bytes);
	if (len == 0) {
		kvm_exit_fail(out, "no memory to fetch an instruction from at %#llx (%s)",
			      (unsigned long long)out->pc, x86_mode_name(x86_mode_of(&st)));
		return;
	}
	insn_len = x86_insn_format(x86_mode_of(&st), out->pc, bytes, len, insn);
	if (insn_len > 0)
		len = u64_min(len, (uint64_t)insn_len);
	bytes_format(bytes, len, hex, sizeof(hex));
	kvm_exit_fail(out, "KVM cannot emulate `%s' (%s) at %#llx (%s)%s", insn, hex,
		      (unsigned long long)out->pc, x86_mode_name(x86_mode_of(&st)),
		      stores_to_trap(vcpu->vm, &st, bytes, len) ? TRAP_HINT : "");
}

static const char *suberror_name(unsigned suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "an exit of the processor that it does not know";
	default:
		return "suberror of an unknown kind";
	}
}

static void describe_internal(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	const struct kvm_run *run = vcpu->run;
	unsigned long long data[2] = {0, 0};
	unsigned i;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		describe_emulation(vcpu, out);
		return;
	}
	for (i = 0; i < UMBRA_ARRAY_SIZE(data) && i < run->internal.ndata; i++)
		data[i] = run->internal.data[i];
	kvm_exit_locate(vcpu, out);
	kvm_exit_fail(out, "KVM internal error %u at %#llx: %s (data %#llx %#llx)",
		      run->internal.suberror, (unsigned long long)out->pc,
		      suberror_name(run->internal.suberror), data[0], data[1]);
}

static const char *system_event_name(unsigned type)
{
	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return "shutdown";
	case KVM_SYSTEM_EVENT_RESET:
		return "reset";
	case KVM_SYSTEM_EVENT_CRASH:
		return "crash";
	default:
		return "unknown";
	}
}

void kvm_exit_describe(struct accel_vcpu *vcpu, struct accel_exit *out)
{
	const struct kvm_run *run = vcpu->run;

	kvm_exit_locate(vcpu, out);
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		describe_internal(vcpu, out);
		return;
	case KVM_EXIT_FAIL_ENTRY:
		kvm_exit_fail(out,
			      "the processor refused to enter the guest at %#llx: reason %#llx "
			      "(%s)",
			      (unsigned long long)out->pc,
			      (unsigned long long)run->fail_entry.hardware_entry_failure_reason,
			      "its state is not one that KVM can run here");
		return;
	case KVM_EXIT_SYSTEM_EVENT:
		kvm_exit_fail(out, "the guest told KVM of a system event: %s (type %u) at %#llx",
			      system_event_name(run->system_event.type), run->system_event.type,
			      (unsigned long long)out->pc);
		return;
	case KVM_EXIT_UNKNOWN:
		kvm_exit_fail(out, "KVM does not know the processor's exit %#llx at %#llx",
			      (unsigned long long)run->hw.hardware_exit_reason,
			      (unsigned long long)out->pc);
		return;
	default:
		kvm_exit_fail(out, "KVM exit %u (%s) at %#llx is not handled", run->exit_reason,
			      kvm_exit_name(run->exit_reason), (unsigned long long)out->pc);
		return;
	}
}
