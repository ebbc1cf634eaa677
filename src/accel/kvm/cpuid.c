/* CPUID of a vCPU: what KVM supports, with the leaves changed that tell processors apart.
 * Source: KVM api 4.46 (GET_SUPPORTED_CPUID), 4.20 (SET_CPUID2); SDM 2A CPUID; APM 3 appendix E. */
#include "kvm.h"

#include <errno.h>
#include <stdlib.h>

#define CPUID_FIRST_TRY 128
#define CPUID_MAX	4096

#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_EDX_HTT	       (1u << 28) /* EBX[23:16] counts processors */
#define TOPOLOGY_SMT	       1u
#define TOPOLOGY_CORE	       2u

static struct kvm_cpuid2 *cpuid_new(unsigned entries)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + entries * sizeof(struct kvm_cpuid_entry2));

	if (cpuid)
		cpuid->nent = entries;
	return cpuid;
}

int kvm_cpuid_read(const struct kvm_host *host, struct kvm_cpuid2 **out_cpuid,
		   struct umbra_err *err)
{
	unsigned entries;

	for (entries = CPUID_FIRST_TRY; entries <= CPUID_MAX; entries *= 2) {
		struct kvm_cpuid2 *cpuid = cpuid_new(entries);
		int result;

		if (!cpuid)
			return umbra_err_set(err, ENOMEM, "no memory for %u CPUID leaves", entries);
		result = kvm_ioctl(host->fd, KVM_GET_SUPPORTED_CPUID, cpuid);
		if (result == 0) {
			*out_cpuid = cpuid;
			return 0;
		}
		free(cpuid);
		if (result != -E2BIG)
			return umbra_err_set(err, -result, "KVM_GET_SUPPORTED_CPUID: %s",
					     strerror(-result));
	}
	return umbra_err_set(err, E2BIG, "KVM_GET_SUPPORTED_CPUID has more than %u leaves",
			     CPUID_MAX);
}

/* SDM 2A CPUID, leaf 0x80000008. */
uint8_t kvm_cpuid_phys_bits(const struct kvm_cpuid2 *cpuid)
{
	unsigned i;

	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x80000008)
			return cpuid->entries[i].eax & 0xff;
	}
	return 0;
}

/* Bits of an APIC id that number the processors of the package. */
static unsigned id_bits(unsigned count)
{
	unsigned bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

static void fit_leaf1(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count,
		      bool has_tsc_deadline)
{
	e->ebx = (e->ebx & 0xffff) | index << 24 | (count & 0xff) << 16;
	e->edx = count > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
	/* KVM announces this one by a capability: it needs the in-kernel APIC, which we have. */
	if (has_tsc_deadline)
		e->ecx |= LEAF1_ECX_TSC_DEADLINE;
}

/* A cache in leaf 4 or, on AMD, 8000001DH: EAX[25:14] says how many processors share it, less one.
 * The last level is everybody's, the others are each processor's own. */
static void fit_cache(struct kvm_cpuid_entry2 *e, unsigned count)
{
	unsigned level = e->eax >> 5 & 7;
	unsigned sharing = level >= 3 ? count - 1 : 0;

	if (e->eax & 0x1f) /* not the end of the list */
		e->eax = (e->eax & ~0x03ffc000u) | sharing << 14;
}

/* Extended topology: one thread per core, all cores in one package. */
static void fit_topology(struct kvm_cpuid_entry2 *e, unsigned index, unsigned count)
{
	e->eax = e->ebx = e->ecx = 0;
	e->edx = index;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx = TOPOLOGY_SMT << 8;
	} else if (e->index == 1) {
		e->eax = id_bits(count);
		e->ebx = count;
		e->ecx = TOPOLOGY_CORE << 8 | e->index;
	} else {
		e->ecx = e->index;
	}
}

void kvm_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned index, unsigned count, bool has_tsc_deadline)
{
	unsigned i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case 1:
			fit_leaf1(e, index, count, has_tsc_deadline);
			break;
		case 4: /* EAX[31:26]: cores of the package, less one; 6 bits hold 64 */
			fit_cache(e, count);
			if (e->eax & 0x1f)
				e->eax = (e->eax & 0x03ffffff) | ((count - 1) & 0x3f) << 26;
			break;
		case 0x8000001d:
			fit_cache(e, count);
			break;
		case 0xb:
		case 0x1f:
			fit_topology(e, index, count);
			break;
		case 0x80000008: /* NC and ApicIdSize */
			e->ecx = (e->ecx & ~0xf0ffu) | id_bits(count) << 12 | ((count - 1) & 0xff);
			break;
		case 0x8000001e: /* one thread per core, node 0 */
			e->eax = index;
			e->ebx = index & 0xff;
			e->ecx = 0;
			break;
		default:
			break;
		}
	}
}

int kvm_cpuid_set(int vcpu_fd, const struct kvm_cpuid2 *host_cpuid, unsigned index, unsigned count,
		  bool has_tsc_deadline)
{
	struct kvm_cpuid2 *cpuid = cpuid_new(host_cpuid->nent);
	int result;

	if (!cpuid)
		return -ENOMEM;
	memcpy(cpuid, host_cpuid,
	       sizeof(*cpuid) + host_cpuid->nent * sizeof(struct kvm_cpuid_entry2));
	kvm_cpuid_fit(cpuid, index, count, has_tsc_deadline);
	result = kvm_ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return result;
}
