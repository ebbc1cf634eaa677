/* The machine: its file descriptors, what belongs to it as a whole, and the table of operations.
 * Source: KVM api 4.2 (CREATE_VM), 4.36 (SET_TSS_ADDR), 4.40 (SET_IDENTITY_MAP_ADDR). */
#include "kvm.h"

#include "umbra/accel_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Processors that cannot run real mode need four pages of their own for it.  Below any ROM of up
 * to 16 MiB at the end of the first 4 GiB, above the IO APIC. */
#define IDENTITY_MAP_ADDR 0xfeffc000ull
#define TSS_ADDR	  (IDENTITY_MAP_ADDR + UMBRA_PAGE_SIZE)

/* Opening. */

static int place_real_mode_pages(struct accel_vm *vm, struct umbra_err *err)
{
	uint64_t identity = IDENTITY_MAP_ADDR;
	int result;

	/* Without the capability its default lies below a small ROM just as well. */
	result = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (result && result != -ENOTTY && result != -EINVAL)
		return umbra_err_set(err, -result, "KVM_SET_IDENTITY_MAP_ADDR: %s",
				     strerror(-result));
	/* Its argument is the address itself. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR) != 0)
		return umbra_err_set(err, errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
	return 0;
}

static void enable_payload(struct accel_vm *vm)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}};

	if (vm->host.has_payload && kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap) != 0)
		vm->host.has_payload = false;
}

static int check_vcpus(const struct accel_vm *vm, struct umbra_err *err)
{
	int max = ioctl(vm->host.fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	unsigned limit = max > 0 && max < ACCEL_MAX_VCPUS ? (unsigned)max : ACCEL_MAX_VCPUS;

	if (vm->vcpus == 0 || vm->vcpus > limit)
		return umbra_err_set(err, EINVAL, "%u vCPUs: 1 to %u are possible here", vm->vcpus,
				     limit);
	return 0;
}

/* The guest begins in a mode that this KVM runs. */
static int check_boot(const struct accel_vm *vm, const struct x86_state *boot,
		      struct umbra_err *err)
{
	enum accel_mode mode = accel_mode_of(boot);
	bool can_run;
	int result = kvm_probe_can_run(&vm->host, vm->cpuid, mode, &can_run, err);

	if (result || can_run)
		return result;
	return umbra_err_set(err, ENOTSUP, "this host's KVM cannot run %s guests",
			     accel_mode_name(mode));
}

/* Every mode runs, as on a host with VMX or SVM. */
static int check_system(const struct accel_vm *vm, struct umbra_err *err)
{
	for (unsigned mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		bool can_run;
		int result = kvm_probe_can_run(&vm->host, vm->cpuid, (enum accel_mode)mode,
					       &can_run, err);

		if (result)
			return result;
		if (!can_run)
			return umbra_err_set(err, ENOTSUP,
					     "this host's KVM cannot run %s code, and an operating "
					     "system or BIOS goes through every mode; see umbra "
					     "check-host, or use -accel soft",
					     accel_mode_name((enum accel_mode)mode));
	}
	return 0;
}

static int set_up(struct accel_vm *vm, const struct accel_vm_config *config, struct umbra_err *err)
{
	int result = check_vcpus(vm, err);

	if (!result)
		result = kvm_kick_install(err);
	if (!result)
		result = kvm_cpuid_read(&vm->host, &vm->cpuid, err);
	if (!result)
		result = place_real_mode_pages(vm, err);
	if (result)
		return result;
	enable_payload(vm);
	vm->flush_page = mmap(NULL, UMBRA_PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->flush_page == MAP_FAILED)
		return umbra_err_set(err, ENOMEM, "no memory for the virtual machine");
	result = kvm_zones_keep(vm, config->zone, config->zone_count, err);
	if (!result && config->boot)
		result = check_boot(vm, config->boot, err);
	if (!result && config->is_system)
		result = check_system(vm, err);
	if (result)
		return result;
	return mem_set_listener(vm->mem, kvm_slots_listen, vm, err);
}

int kvm_vm_open(struct accel_vm **out_vm, const struct accel_vm_config *config,
		struct umbra_err *err)
{
	struct accel_vm *vm = calloc(1, sizeof(*vm));
	int result;

	if (!vm || lock_init(&vm->ring_lock) != 0) {
		free(vm);
		return umbra_err_set(err, ENOMEM, "no memory for the virtual machine");
	}
	vm->fd = -1;
	vm->mem = config->mem;
	vm->bus = config->bus;
	vm->vcpus = config->vcpus;
	vm->flush_page = MAP_FAILED;
	result = kvm_host_open(&vm->host, err);
	if (!result)
		result = kvm_host_create_vm(&vm->host, &vm->fd, err);
	if (!result)
		result = set_up(vm, config, err);
	if (result) {
		kvm_vm_close(vm);
		return result;
	}
	*out_vm = vm;
	return 0;
}

/* Deleting slots one by one is left to the close of the descriptor. */
void kvm_vm_close(struct accel_vm *vm)
{
	mem_set_listener(vm->mem, NULL, NULL, NULL);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->host.fd >= 0)
		kvm_host_close(&vm->host);
	if (vm->flush_page != MAP_FAILED)
		munmap(vm->flush_page, UMBRA_PAGE_SIZE);
	free(vm->cpuid);
	kvm_trap_end(vm);
	lock_end(&vm->ring_lock);
	free(vm);
}

/* Starting. */

int kvm_vm_start(struct accel_vm *vm, struct umbra_err *err)
{
	int result = kvm_chips_create(vm, err);

	if (!result)
		result = kvm_zones_add(vm, err);
	if (result)
		return result;
	result = kvm_probe_run(&vm->host, vm->cpuid, KVM_PROBE_START, &vm->probe, err);
	vm->probe.caps.phys_bits = kvm_cpuid_phys_bits(vm->cpuid);
	return result;
}

static const struct accel_caps *vm_caps(const struct accel_vm *vm)
{
	return &vm->probe.caps;
}

static void vm_show(struct accel_vm *vm, const struct print_sink *sink)
{
	kvm_probe_show(&vm->probe, sink);
}

/* The host, without a machine. */

static int probe_opened(const struct kvm_host *host, struct kvm_probe *probe, struct umbra_err *err)
{
	struct kvm_cpuid2 *cpuid;
	int result = kvm_kick_install(err);

	if (!result)
		result = kvm_cpuid_read(host, &cpuid, err);
	if (result)
		return result;
	result = kvm_probe_run(host, cpuid, KVM_PROBE_FULL, probe, err);
	free(cpuid);
	return result;
}

static void host_show(const struct kvm_host *host, const struct kvm_probe *probe,
		      const struct print_sink *sink)
{
	unsigned count;

	kvm_probe_show(probe, sink);
	print_to(sink, "missing:\n");
	count = kvm_probe_show_missing(probe, sink);
	count += kvm_host_show_missing(host, sink);
	if (count == 0)
		print_to(sink, "  nothing\n");
}

int kvm_probe_host(struct accel_caps *out_caps, const struct print_sink *sink,
		   struct umbra_err *err)
{
	struct kvm_host host;
	struct kvm_probe probe;
	int result = kvm_host_open(&host, err);

	if (result)
		return result;
	result = probe_opened(&host, &probe, err);
	if (!result) {
		host_show(&host, &probe, sink);
		*out_caps = probe.caps;
	}
	kvm_host_close(&host);
	return result;
}

/* The chips inside the kernel. */
static const struct accel_region kvm_regions[] = {
	{BUS_MMIO, 0xfee00000, 0x1000, "lapic"},
	{BUS_MMIO, 0xfec00000, 0x1000, "ioapic"},
	{BUS_PIO, 0x20, 2, "pic"},
	{BUS_PIO, 0xa0, 2, "pic"},
	{BUS_PIO, 0x4d0, 2, "pic"},
	{BUS_PIO, 0x40, 4, "pit"},
	{BUS_PIO, 0x61, 1, "pit"},
};

const struct accel_ops accel_kvm = {
	.name = "kvm",
	.vm_open = kvm_vm_open,
	.vm_start = kvm_vm_start,
	.vm_close = kvm_vm_close,
	.vm_reset = kvm_chips_reset,
	.caps = vm_caps,
	.irq_set = kvm_irq_set,
	.irq_get = kvm_irq_get,
	.region = kvm_regions,
	.region_count = UMBRA_ARRAY_SIZE(kvm_regions),
	.mmu_flush = kvm_mmu_flush,
	.log_writes = kvm_log_writes,
	.written_pages = kvm_written_pages,
	.trap = &kvm_trap_ops,
	.show = vm_show,
	.show_exits = kvm_exits_show,
	.vcpu_open = kvm_vcpu_open,
	.vcpu_close = kvm_vcpu_close,
	.vcpu_reset = kvm_vcpu_reset,
	.run = kvm_vcpu_run,
	.kick = kvm_vcpu_kick,
	.state_get = kvm_state_get,
	.state_set = kvm_state_set,
	.debug_set = kvm_debug_set,
	.reflect = kvm_debug_reflect,
	.is_halted_for_good = kvm_is_halted_for_good,
};
