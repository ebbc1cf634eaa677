/* Guest memory as KVM sees it: one slot per region of the memory map.
 * Source: KVM api 4.35 (SET_USER_MEMORY_REGION). */
#include "kvm.h"

#include <errno.h>

/* Below the IO APIC: never RAM on a PC, and free of the TSS pages above it (see vm.c). */
#define FLUSH_GPA_TOP 0xfebff000ull

static int slot_set(const struct accel_vm *vm, unsigned slot, const struct mem_region *region,
		    unsigned flags)
{
	struct kvm_userspace_memory_region arg = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = region->gpa,
		.memory_size = region->len,
		.userspace_addr = (uintptr_t)region->host,
	};

	return kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &arg);
}

/* An empty size deletes a slot. */
static void slot_drop(const struct accel_vm *vm, unsigned slot, gpa_t gpa)
{
	const struct mem_region none = {.gpa = gpa};

	slot_set(vm, slot, &none, 0);
}

static int region_add(struct accel_vm *vm, const struct mem_region *region, struct umbra_err *err)
{
	unsigned flags = region->kind == MEM_ROM ? KVM_MEM_READONLY : 0;
	unsigned slot;
	int result;

	for (slot = 0; slot < KVM_SLOT_MAX && vm->slot_in_use[slot]; slot++)
		;
	if (slot == KVM_SLOT_MAX)
		return umbra_err_set(err, ENOSPC, "memory region %s: all %d KVM slots are in use",
				     region->name, KVM_SLOT_MAX);
	result = slot_set(vm, slot, region, flags);
	if (result == -EINVAL && flags) /* no KVM_CAP_READONLY_MEM: ROM can be written then */
		result = slot_set(vm, slot, region, 0);
	if (result)
		return umbra_err_set(err, -result,
				     "KVM_SET_USER_MEMORY_REGION of %s, %#llx bytes at %#llx: %s",
				     region->name, (unsigned long long)region->len,
				     (unsigned long long)region->gpa, strerror(-result));
	vm->slot_gpa[slot] = region->gpa;
	vm->slot_in_use[slot] = true;
	return 0;
}

static void region_drop(struct accel_vm *vm, const struct mem_region *region)
{
	unsigned slot;

	for (slot = 0; slot < KVM_SLOT_MAX; slot++) {
		if (!vm->slot_in_use[slot] || vm->slot_gpa[slot] != region->gpa)
			continue;
		slot_drop(vm, slot, region->gpa);
		vm->slot_in_use[slot] = false;
	}
}

int kvm_slots_listen(void *ctx, const struct mem_region *region, bool is_added,
		     struct umbra_err *err)
{
	struct accel_vm *vm = ctx;

	if (is_added)
		return region_add(vm, region, err);
	region_drop(vm, region);
	return 0;
}

/* KVM notices writes to page tables that the guest makes, not ours: where it shadows them, it would
 * go on with what it derived.  Deleting any slot makes it drop all of that, on every kind of KVM,
 * and is the only way that does (madvise, SET_SREGS and dirty logging do not). */
void kvm_mmu_flush(struct accel_vm *vm)
{
	struct mem_region dummy = {
		.gpa = FLUSH_GPA_TOP, .len = UMBRA_PAGE_SIZE, .host = vm->flush_page};

	while (dummy.gpa && mem_find(vm->mem, dummy.gpa))
		dummy.gpa -= UMBRA_PAGE_SIZE;
	if (slot_set(vm, KVM_SLOT_FLUSH, &dummy, 0) == 0)
		slot_drop(vm, KVM_SLOT_FLUSH, dummy.gpa);
}
