/* Coalesced writes: the kernel collects them in a ring, and we hand them to the bus before anything
 * that could tell the difference.
 * Source: KVM api 4.116 (REGISTER_COALESCED_MMIO). */
#include "kvm.h"

#include <errno.h>

/* The ring is one page of the shared area; its entries follow the two indices. */
#define RING_ENTRIES                                                                               \
	((UMBRA_PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /                              \
	 sizeof(struct kvm_coalesced_mmio))

static int zone_add(const struct accel_vm *vm, const struct accel_zone *zone)
{
	struct kvm_coalesced_mmio_zone arg = {
		.addr = zone->base, .size = zone->len, .pio = zone->kind == BUS_PIO};

	return kvm_ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &arg);
}

int kvm_zones_keep(struct accel_vm *vm, const struct accel_zone *zone, unsigned count,
		   struct umbra_err *err)
{
	if (count > KVM_ZONE_MAX)
		return umbra_err_set(err, EINVAL,
				     "%u zones of late writes, at most %d are possible", count,
				     KVM_ZONE_MAX);
	if (count)
		memcpy(vm->zone, zone, count * sizeof(*zone));
	vm->zone_wanted = count;
	return 0;
}

/* A zone that KVM cannot have costs speed and nothing else: its writes leave the guest as all do.
 * This comes with the slow half of the set-up: after it, memory slots take some 8 ms to add, until
 * the kernel has let go of its old list of devices. */
int kvm_zones_add(struct accel_vm *vm, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < vm->zone_wanted && vm->host.ring_page; i++) {
		const struct accel_zone *zone = &vm->zone[i];
		int result;

		if (zone->kind == BUS_PIO && !vm->host.has_pio_ring)
			continue;
		result = zone_add(vm, zone);
		if (result)
			return umbra_err_set(
				err, -result, "KVM_REGISTER_COALESCED_MMIO of %#llx, %u bytes: %s",
				(unsigned long long)zone->base, zone->len, strerror(-result));
		vm->zone_count++;
	}
	return 0;
}

static void entry_serve(struct accel_vm *vm, const struct kvm_coalesced_mmio *entry)
{
	uint8_t data[sizeof(entry->data)];
	unsigned len = entry->len <= sizeof(data) ? entry->len : sizeof(data);

	memcpy(data, entry->data, sizeof(data));
	if (entry->pio)
		bus_pio(vm->bus, (uint16_t)entry->phys_addr, true, len, 1, data);
	else
		bus_mmio(vm->bus, entry->phys_addr, true, len, data);
}

void kvm_zones_drain(struct accel_vcpu *vcpu)
{
	struct kvm_coalesced_mmio_ring *ring = vcpu->ring;
	unsigned first;

	if (!ring || __atomic_load_n(&ring->first, __ATOMIC_RELAXED) ==
			     __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE))
		return;
	lock_take(&vcpu->vm->ring_lock);
	first = ring->first;
	/* The kernel writes an entry, then `last`; it reads `first` to see what is free. */
	while (first < RING_ENTRIES && first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
		entry_serve(vcpu->vm, &ring->coalesced_mmio[first]);
		first = (first + 1) % RING_ENTRIES;
		__atomic_store_n(&ring->first, first, __ATOMIC_RELEASE);
	}
	lock_drop(&vcpu->vm->ring_lock);
}
