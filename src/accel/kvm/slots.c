/* Guest memory as KVM sees it: one slot per region of the memory map.
 * Source: KVM api 4.35 (SET_USER_MEMORY_REGION). */
#include "kvm.h"

#include <errno.h>
#include <stdlib.h>

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

static unsigned flags_of(const struct accel_vm *vm, const struct mem_region *region)
{
	if (region->kind == MEM_ROM)
		return KVM_MEM_READONLY;
	return vm->logs_writes ? KVM_MEM_LOG_DIRTY_PAGES : 0;
}

static int region_add(struct accel_vm *vm, const struct mem_region *region, struct umbra_err *err)
{
	unsigned flags = flags_of(vm, region);
	unsigned slot;
	int result;

	for (slot = 0; slot < KVM_SLOT_MAX && vm->slot_in_use[slot]; slot++)
		;
	if (slot == KVM_SLOT_MAX)
		return umbra_err_set(err, ENOSPC, "memory region %s: all %d KVM slots are in use",
				     region->name, KVM_SLOT_MAX);
	result = slot_set(vm, slot, region, flags);
	if (result == -EINVAL &&
	    flags == KVM_MEM_READONLY) /* no KVM_CAP_READONLY_MEM: ROM can be written then */
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

/* The log of written pages.  What KVM's own walks set in tables, A and D, is in it as well. */

/* The RAM behind @slot, or NULL. */
static const struct mem_region *ram_of(const struct accel_vm *vm, unsigned slot)
{
	const struct mem_region *region =
		vm->slot_in_use[slot] ? mem_find(vm->mem, vm->slot_gpa[slot]) : NULL;

	return region && region->kind == MEM_RAM ? region : NULL;
}

/* Flags of a slot that stays where it is may change (KVM api 4.35). */
static int set_all(struct accel_vm *vm)
{
	unsigned slot;
	int result = 0;

	for (slot = 0; slot < KVM_SLOT_MAX && !result; slot++) {
		const struct mem_region *region = ram_of(vm, slot);

		if (region)
			result = slot_set(vm, slot, region, flags_of(vm, region));
	}
	return result;
}

int kvm_log_writes(struct accel_vm *vm, bool is_on, struct umbra_err *err)
{
	int result;

	if (vm->logs_writes == is_on)
		return 0;
	vm->logs_writes = is_on;
	result = set_all(vm);
	if (!result)
		return 0;
	vm->logs_writes = false;
	set_all(vm);
	return umbra_err_set(err, -result, "KVM cannot log which pages are written: %s",
			     strerror(-result));
}

/* KVM api 4.8: the call clears what it gives.  A bit per page, in words of 64. */
static int read_log(const struct accel_vm *vm, unsigned slot, const struct mem_region *region,
		    void (*fn)(void *ctx, gpa_t first, uint64_t written), void *ctx)
{
	size_t words = (region->len / UMBRA_PAGE_SIZE + 63) / 64, i;
	uint64_t *bitmap = calloc(words, sizeof(*bitmap));
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};
	int result;

	if (!bitmap)
		return -ENOMEM;
	result = kvm_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log);
	for (i = 0; i < words && !result; i++) {
		if (bitmap[i])
			fn(ctx, region->gpa + i * 64 * UMBRA_PAGE_SIZE, bitmap[i]);
	}
	free(bitmap);
	return result;
}

int kvm_written_pages(struct accel_vm *vm, void (*fn)(void *ctx, gpa_t first, uint64_t written),
		      void *ctx)
{
	unsigned slot;
	int result = 0;

	for (slot = 0; slot < KVM_SLOT_MAX && !result; slot++) {
		const struct mem_region *region = ram_of(vm, slot);

		if (region)
			result = read_log(vm, slot, region, fn, ctx);
	}
	return result;
}
