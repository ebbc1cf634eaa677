/* One processor: creation, its state at power-up, and the kick.
 * Source: KVM api 4.7 (CREATE_VCPU), 4.3 and 4.20 (MSR lists), 4.57 (LAPIC), 4.38 (MP_STATE). */
#include "kvm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MSR_LIST_MAX 4096
#define MSR_TSC	     0x10

/* MSRs that struct x86_state does not know. */

static struct kvm_msr_list *msr_list_read(const struct kvm_host *host)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSR_LIST_MAX * sizeof(uint32_t));

	if (!list)
		return NULL;
	list->nmsrs = MSR_LIST_MAX;
	if (kvm_ioctl(host->fd, KVM_GET_MSR_INDEX_LIST, list) == 0)
		return list;
	free(list);
	return NULL;
}

/* The TSC is left out: it belongs to struct x86_state, and runs on. */
static struct kvm_msrs *msrs_from_list(const struct kvm_msr_list *list)
{
	struct kvm_msrs *msrs =
		calloc(1, sizeof(*msrs) + list->nmsrs * sizeof(struct kvm_msr_entry));
	unsigned i;

	for (i = 0; msrs && i < list->nmsrs; i++) {
		if (list->indices[i] != MSR_TSC)
			msrs->entries[msrs->nmsrs++].index = list->indices[i];
	}
	return msrs;
}

static void msrs_drop(struct kvm_msrs *msrs, unsigned at)
{
	msrs->nmsrs--;
	memmove(&msrs->entries[at], &msrs->entries[at + 1],
		(msrs->nmsrs - at) * sizeof(msrs->entries[0]));
}

/* KVM lists MSRs that it then refuses to read; each ends the ioctl, and is dropped. */
static void msrs_read(int fd, struct kvm_msrs *msrs)
{
	while (msrs->nmsrs > 0) {
		int done = kvm_ioctl(fd, KVM_GET_MSRS, msrs);

		if (done < 0)
			msrs->nmsrs = 0;
		if (done < 0 || (unsigned)done >= msrs->nmsrs)
			return;
		msrs_drop(msrs, (unsigned)done);
	}
}

static void msr_write(int fd, const struct kvm_msr_entry *entry)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.head.nmsrs = 1};

	one.head.entries[0] = *entry;
	kvm_ioctl(fd, KVM_SET_MSRS, &one);
}

/* Only what changed is written: some MSRs do more than hold a value. */
static int msrs_restore(struct accel_vcpu *vcpu)
{
	const struct kvm_msrs *wanted = vcpu->power_up->msrs;
	size_t bytes = sizeof(*wanted) + wanted->nmsrs * sizeof(wanted->entries[0]);
	struct kvm_msrs *now = malloc(bytes);
	unsigned i, done;

	if (!now)
		return -ENOMEM;
	memcpy(now, wanted, bytes);
	msrs_read(vcpu->fd, now);
	for (i = 0, done = 0; done < now->nmsrs; i++) {
		if (now->entries[done].index != wanted->entries[i].index)
			continue; /* cannot be read any more */
		if (now->entries[done++].data != wanted->entries[i].data)
			msr_write(vcpu->fd, &wanted->entries[i]);
	}
	free(now);
	return 0;
}

/* Power-up. */

static int power_up_save(struct accel_vcpu *vcpu)
{
	struct kvm_power_up *p = vcpu->power_up;
	struct kvm_msr_list *list;
	int result;

	result = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &p->sregs);
	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &p->lapic);
	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &p->events);
	if (!result && vcpu->vm->host.has_xsave)
		result = kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &p->xsave);
	if (result)
		return result;
	p->has_xcrs = kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &p->xcrs) == 0;
	list = msr_list_read(&vcpu->vm->host);
	p->msrs = list ? msrs_from_list(list) : NULL;
	free(list);
	if (!p->msrs)
		return -ENOMEM;
	msrs_read(vcpu->fd, p->msrs);
	return 0;
}

/* The APIC base comes first, with SREGS: the APIC's registers have another form in x2APIC mode. */
static int power_up_restore(struct accel_vcpu *vcpu)
{
	struct kvm_power_up *p = vcpu->power_up;
	struct kvm_mp_state mp = {.mp_state = vcpu->index == 0 ? KVM_MP_STATE_RUNNABLE
							       : KVM_MP_STATE_INIT_RECEIVED};
	int result = kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &p->sregs);

	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &p->lapic);
	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &p->events);
	if (!result && p->has_xcrs)
		result = kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &p->xcrs);
	if (!result && vcpu->vm->host.has_xsave)
		result = kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, &p->xsave);
	if (!result)
		result = msrs_restore(vcpu);
	if (!result)
		result = kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp);
	return result;
}

int kvm_vcpu_reset(struct accel_vcpu *vcpu, struct umbra_err *err)
{
	int result = power_up_restore(vcpu);

	vcpu->cached = 0;
	vcpu->is_armed_stale = true;
	vcpu->may_be_halted = true;
	vcpu->is_trap_from_debug = false;
	vcpu->tsc_seen = UINT64_MAX; /* the next TSC is to be written even when it is 0 */
	if (result)
		return umbra_err_set(err, -result, "resetting vCPU %u: %s", vcpu->index,
				     strerror(-result));
	return 0;
}

/* Life cycle. */

static int map_shared_area(struct accel_vcpu *vcpu, struct umbra_err *err)
{
	struct accel_vm *vm = vcpu->vm;

	vcpu->run = mmap(NULL, vm->host.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return umbra_err_set(err, errno, "mapping the shared area of vCPU %u: %s",
				     vcpu->index, strerror(errno));
	}
	vcpu->run->kvm_valid_regs = vm->host.sync_mask;
	/* One ring per machine, to be seen in each vCPU's area. */
	if (vm->zone_count)
		vcpu->ring = (void *)((uint8_t *)vcpu->run +
				      (size_t)vm->host.ring_page * UMBRA_PAGE_SIZE);
	return 0;
}

static int set_up(struct accel_vcpu *vcpu, struct umbra_err *err)
{
	struct accel_vm *vm = vcpu->vm;
	int result;

	/* The argument is the id itself, which is also the APIC id. */
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)vcpu->index);
	if (vcpu->fd < 0)
		return umbra_err_set(err, errno, "KVM_CREATE_VCPU %u: %s", vcpu->index,
				     strerror(errno));
	result = map_shared_area(vcpu, err);
	if (result)
		return result;
	kvm_kick_aim(vcpu->run);
	result = kvm_cpuid_set(vcpu->fd, vm->cpuid, vcpu->index, vm->vcpus,
			       vm->host.has_tsc_deadline);
	if (result)
		return umbra_err_set(err, -result, "KVM_SET_CPUID2 of vCPU %u: %s", vcpu->index,
				     strerror(-result));
	result = power_up_save(vcpu);
	if (result)
		return umbra_err_set(err, -result, "reading vCPU %u at power-up: %s", vcpu->index,
				     strerror(-result));
	return 0;
}

int kvm_vcpu_open(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
		  const struct accel_vcpu_config *config, struct umbra_err *err)
{
	struct accel_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int result;

	if (!vcpu)
		return umbra_err_set(err, ENOMEM, "no memory for vCPU %u", config->index);
	vcpu->power_up = calloc(1, sizeof(*vcpu->power_up));
	vcpu->vm = vm;
	vcpu->index = config->index;
	vcpu->req = config->req;
	vcpu->thread = config->thread;
	vcpu->fd = -1;
	vcpu->may_be_halted = true;
	if (vcpu->power_up)
		result = set_up(vcpu, err);
	else
		result = umbra_err_set(err, ENOMEM, "no memory for vCPU %u", config->index);
	if (result) {
		kvm_vcpu_close(vcpu);
		return result;
	}
	*out_vcpu = vcpu;
	return 0;
}

void kvm_vcpu_close(struct accel_vcpu *vcpu)
{
	kvm_kick_aim(NULL);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->vm->host.run_bytes);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	if (vcpu->power_up)
		free(vcpu->power_up->msrs);
	free(vcpu->power_up);
	free(vcpu);
}

void kvm_vcpu_kick(struct accel_vcpu *vcpu)
{
	pthread_kill(vcpu->thread, kvm_kick_signal());
}
