/* The self-test's virtual machine: one for all cases, because making one takes longer than all of
 * them together.  A case writes every register anew.
 * A case may run for ever (some KVMs go round in circles over an instruction that they cannot do);
 * a timer on this thread's CPU time then kicks it.  CPU time, so that a busy host does not make a
 * case look as if it hung. */
#include "probe.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CASE_NS 20000000 /* a case takes some 30,000 */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Life cycle. */

static int timer_open(struct probe_vm *p, struct umbra_err *err)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID};

	event.sigev_signo = kvm_kick_signal();
	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &p->timer) != 0)
		return umbra_err_set(err, errno, "timer_create for KVM's self-test: %s",
				     strerror(errno));
	p->has_timer = true;
	return 0;
}

static int memory_open(struct probe_vm *p, struct umbra_err *err)
{
	struct kvm_userspace_memory_region slot = {.memory_size = PROBE_MEM_BYTES};
	void *mem = mmap(NULL, PROBE_MEM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	int result;

	if (mem == MAP_FAILED)
		return umbra_err_set(err, ENOMEM, "no memory for KVM's self-test");
	p->mem = mem;
	probe_code_tables(p->mem);
	slot.userspace_addr = (uintptr_t)mem;
	result = kvm_ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);
	if (result)
		return umbra_err_set(err, -result, "memory for KVM's self-test: %s",
				     strerror(-result));
	/* Real mode on older processors; see vm.c. */
	ioctl(p->vm_fd, KVM_SET_TSS_ADDR, 0xfeffd000ul);
	return 0;
}

static int vcpu_open(struct probe_vm *p, const struct kvm_cpuid2 *cpuid, struct umbra_err *err)
{
	int result;

	p->vcpu_fd = ioctl(p->vm_fd, KVM_CREATE_VCPU, 0ul);
	if (p->vcpu_fd < 0)
		return umbra_err_set(err, errno, "vCPU for KVM's self-test: %s", strerror(errno));
	p->run = mmap(NULL, p->host->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu_fd, 0);
	if (p->run == MAP_FAILED) {
		p->run = NULL;
		return umbra_err_set(err, errno, "vCPU for KVM's self-test: %s", strerror(errno));
	}
	result = kvm_cpuid_set(p->vcpu_fd, cpuid, 0, 1, false);
	if (result)
		return umbra_err_set(err, -result, "KVM_SET_CPUID2 for KVM's self-test: %s",
				     strerror(-result));
	p->run->kvm_valid_regs = p->host->sync_mask;
	kvm_kick_aim(p->run);
	return 0;
}

int probe_vm_open(struct probe_vm *p, const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		  struct umbra_err *err)
{
	int result;

	memset(p, 0, sizeof(*p));
	p->host = host;
	p->vm_fd = p->vcpu_fd = -1;
	result = kvm_host_create_vm(host, &p->vm_fd, err);
	if (!result)
		result = memory_open(p, err);
	if (!result)
		result = vcpu_open(p, cpuid, err);
	if (!result)
		result = timer_open(p, err);
	if (result)
		probe_vm_close(p);
	return result;
}

void probe_vm_close(struct probe_vm *p)
{
	if (p->has_timer)
		timer_delete(p->timer);
	kvm_kick_aim(NULL);
	if (p->run)
		munmap(p->run, p->host->run_bytes);
	if (p->vcpu_fd >= 0)
		close(p->vcpu_fd);
	if (p->vm_fd >= 0)
		close(p->vm_fd);
	if (p->mem)
		munmap(p->mem, PROBE_MEM_BYTES);
}

/* A case. */

/* An access that the last case left open would be completed inside this one. */
static void finish_io(struct probe_vm *p)
{
	((volatile struct kvm_run *)p->run)->immediate_exit = 1;
	(void)ioctl(p->vcpu_fd, KVM_RUN, 0);
}

/* What an earlier case left pending would be delivered in this one.  Mostly there is nothing. */
static bool events_clear(struct probe_vm *p)
{
	const struct kvm_vcpu_events *last = &p->run->s.regs.events;
	struct kvm_vcpu_events none;

	if ((p->host->sync_mask & KVM_SYNC_X86_EVENTS) && !last->exception.injected &&
	    !last->exception.pending && !last->interrupt.injected && !last->interrupt.shadow)
		return true;
	memset(&none, 0, sizeof(none));
	none.flags = KVM_VCPUEVENT_VALID_SHADOW;
	return kvm_ioctl(p->vcpu_fd, KVM_SET_VCPU_EVENTS, &none) == 0;
}

static bool registers_set(struct probe_vm *p, enum accel_mode mode)
{
	struct kvm_sregs sregs = {0};
	struct kvm_regs regs;
	struct x86_state st;

	probe_code_state(mode, &st);
	kvm_sregs_put(&sregs, &st);
	kvm_regs_put(&regs, &st);
	return kvm_ioctl(p->vcpu_fd, KVM_SET_SREGS, &sregs) == 0 && events_clear(p) &&
	       kvm_ioctl(p->vcpu_fd, KVM_SET_REGS, &regs) == 0;
}

bool probe_begin(struct probe_vm *p, enum accel_mode mode, enum probe_snippet snippet)
{
	p->case_count++;
	p->mode = mode;
	probe_code_place(p->mem, mode, snippet);
	if (p->is_armed && !probe_arm(p, 0, NULL))
		return false;
	return registers_set(p, mode);
}

bool probe_arm(struct probe_vm *p, unsigned control, const struct accel_point *point)
{
	const struct kvm_step no_step = {0};
	struct accel_debug debug = {0};
	struct kvm_guest_debug arg;

	if (point) {
		debug.point_count = 1;
		debug.point = point;
	}
	kvm_debug_compose(&debug, &no_step, UINT32_MAX, &arg);
	arg.control |= control;
	p->is_armed = arg.control != 0;
	return kvm_ioctl(p->vcpu_fd, KVM_SET_GUEST_DEBUG, &arg) == 0;
}

/* Arms the timer anew.  What it had left says how much CPU time went by since the last time. */
static void account(struct probe_vm *p)
{
	const struct itimerspec limit = {.it_value = {.tv_nsec = CASE_NS}};
	struct itimerspec left;

	if (timer_settime(p->timer, 0, &limit, &left) == 0 && left.it_value.tv_nsec)
		p->cpu_ns += (uint64_t)(CASE_NS - left.it_value.tv_nsec);
}

int probe_run(struct probe_vm *p)
{
	account(p);
	((volatile struct kvm_run *)p->run)->immediate_exit = 0;
	if (ioctl(p->vcpu_fd, KVM_RUN, 0) < 0)
		return -errno;
	return (int)p->run->exit_reason;
}

struct kvm_regs probe_regs(struct probe_vm *p)
{
	struct kvm_regs regs = {0};

	if (p->host->sync_mask & KVM_SYNC_X86_REGS)
		return p->run->s.regs.regs;
	kvm_ioctl(p->vcpu_fd, KVM_GET_REGS, &regs);
	return regs;
}

bool probe_set_regs(struct probe_vm *p, const struct kvm_regs *regs)
{
	struct kvm_regs copy = *regs;

	return kvm_ioctl(p->vcpu_fd, KVM_SET_REGS, &copy) == 0;
}

bool probe_inject(struct probe_vm *p, unsigned vector)
{
	struct kvm_vcpu_events events;

	if (kvm_ioctl(p->vcpu_fd, KVM_GET_VCPU_EVENTS, &events) != 0)
		return false;
	events.exception.injected = 1;
	events.exception.nr = (uint8_t)vector;
	events.exception.has_error_code = 0;
	return kvm_ioctl(p->vcpu_fd, KVM_SET_VCPU_EVENTS, &events) == 0;
}

/* What came of it. */

int probe_vector(struct probe_vm *p, int reason)
{
	uint64_t rip;

	if (reason != KVM_EXIT_IO || p->run->io.port != PROBE_PORT)
		return -1;
	finish_io(p);
	rip = probe_regs(p).rip;
	if (rip < PROBE_HANDLERS || rip >= PROBE_HANDLERS + PROBE_VECTORS * 4)
		return -1;
	return (int)(rip - PROBE_HANDLERS) / 4;
}

bool probe_is_end(struct probe_vm *p, int reason, enum probe_snippet snippet)
{
	uint64_t end = PROBE_CODE + probe_code_end(p->mode, snippet);

	if (probe_mode_row(p->mode)->cpl == 0)
		return reason == KVM_EXIT_HLT && probe_regs(p).rip == end + 1;
	/* UD2 pushed its own address onto the handler's stack. */
	if (probe_vector(p, reason) != 6)
		return false;
	return le64_get(p->mem + PROBE_KERNEL_TOP - 5 * sizeof(uint64_t)) == end;
}

bool probe_is_debug(const struct probe_vm *p, int reason, unsigned vector, gva_t pc)
{
	const struct kvm_debug_exit_arch *arch = &p->run->debug.arch;

	return reason == KVM_EXIT_DEBUG && arch->exception == vector && arch->pc == pc;
}

bool probe_is_emulfail(struct probe_vm *p, int reason, uint64_t pc)
{
	return reason == KVM_EXIT_INTERNAL_ERROR &&
	       p->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && probe_regs(p).rip == pc;
}
