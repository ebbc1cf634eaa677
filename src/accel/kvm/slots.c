/* Guest memory as KVM sees it: one slot per region of the memory map, or several where writes to
 * some of its pages are trapped.
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

static unsigned flags_of(const struct accel_vm *vm, const struct kvm_slot *slot)
{
	if (slot->part.kind == MEM_ROM || slot->is_trapped)
		return KVM_MEM_READONLY;
	return vm->logs_writes ? KVM_MEM_LOG_DIRTY_PAGES : 0;
}

static int part_add(struct accel_vm *vm, const struct mem_region *part, bool is_trapped,
		    struct umbra_err *err)
{
	struct kvm_slot *slot;
	unsigned i, flags;
	int result;

	for (i = 0; i < KVM_SLOT_MAX && vm->slot[i].is_used; i++)
		;
	if (i == KVM_SLOT_MAX)
		return umbra_err_set(err, ENOSPC, "memory region %s: all %d KVM slots are in use",
				     part->name, KVM_SLOT_MAX);
	slot = &vm->slot[i];
	*slot = (struct kvm_slot){.part = *part, .is_trapped = is_trapped};
	flags = flags_of(vm, slot);
	result = slot_set(vm, i, part, flags);
	if (result == -EINVAL && flags == KVM_MEM_READONLY &&
	    !is_trapped) /* no KVM_CAP_READONLY_MEM: ROM can be written then */
		result = slot_set(vm, i, part, 0);
	if (result)
		return umbra_err_set(err, -result,
				     "KVM_SET_USER_MEMORY_REGION of %s, %#llx bytes at %#llx: %s",
				     part->name, (unsigned long long)part->len,
				     (unsigned long long)part->gpa, strerror(-result));
	slot->is_used = true;
	return 0;
}

/* The first part of @rest: trapped pages in a row, or what lies before the first of them. */
static struct mem_region first_part(const struct accel_vm *vm, const struct mem_region *rest,
				    bool *out_is_trapped)
{
	const struct kvm_trap *trap = vm->trap;
	unsigned i = kvm_trap_find(vm, rest->gpa);
	struct mem_region part = *rest;

	*out_is_trapped = trap && i < trap->count && trap->page[i] == rest->gpa;
	if (!*out_is_trapped) {
		if (trap && i < trap->count)
			part.len = u64_min(part.len, trap->page[i] - part.gpa);
		return part;
	}
	part.len = UMBRA_PAGE_SIZE;
	while (++i < trap->count && part.len < rest->len && trap->page[i] == part.gpa + part.len)
		part.len += UMBRA_PAGE_SIZE;
	return part;
}

static int region_add(struct accel_vm *vm, const struct mem_region *region, struct umbra_err *err)
{
	struct mem_region rest = *region;
	int result = 0;

	while (rest.len && !result) {
		bool is_trapped;
		struct mem_region part = first_part(vm, &rest, &is_trapped);

		result = part_add(vm, &part, is_trapped, err);
		rest.gpa += part.len;
		rest.host += part.len;
		rest.len -= part.len;
	}
	return result;
}

static void region_drop(struct accel_vm *vm, const struct mem_region *region)
{
	unsigned i;

	for (i = 0; i < KVM_SLOT_MAX; i++) {
		struct kvm_slot *slot = &vm->slot[i];

		if (!slot->is_used || !range_fits(slot->part.gpa, 1, region->gpa, region->len))
			continue;
		slot_drop(vm, i, slot->part.gpa);
		slot->is_used = false;
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

/* Memory is not there for a moment: no vCPU may run.  A slot can become read-only in no other way
 * (KVM api 4.35). */
int kvm_slots_divide(struct accel_vm *vm, struct umbra_err *err)
{
	const struct mem_region *region;
	unsigned i;
	int result = 0;

	for (i = 0; (region = mem_region_at(vm->mem, i)) != NULL && !result; i++) {
		if (region->kind != MEM_RAM)
			continue;
		region_drop(vm, region);
		result = region_add(vm, region, err);
	}
	return result;
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

/* Slot @i is one whose writes KVM can log. */
static bool is_logged(const struct kvm_slot *slot)
{
	return slot->is_used && slot->part.kind == MEM_RAM && !slot->is_trapped;
}

/* Flags of a slot that stays where it is may change (KVM api 4.35). */
static int set_all(struct accel_vm *vm)
{
	unsigned i;
	int result = 0;

	for (i = 0; i < KVM_SLOT_MAX && !result; i++) {
		if (is_logged(&vm->slot[i]))
			result = slot_set(vm, i, &vm->slot[i].part, flags_of(vm, &vm->slot[i]));
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

/* Trapped pages are in no log, as KVM writes nothing there. */
static void read_trapped(struct kvm_trap *trap,
			 void (*fn)(void *ctx, gpa_t first, uint64_t written), void *ctx)
{
	unsigned i;

	for (i = 0; i < trap->count; i++) {
		if (trap->is_written[i])
			fn(ctx, trap->page[i], 1);
		trap->is_written[i] = false;
	}
}

int kvm_written_pages(struct accel_vm *vm, void (*fn)(void *ctx, gpa_t first, uint64_t written),
		      void *ctx)
{
	unsigned i;
	int result = 0;

	for (i = 0; i < KVM_SLOT_MAX && !result; i++) {
		if (is_logged(&vm->slot[i]))
			result = read_log(vm, i, &vm->slot[i].part, fn, ctx);
	}
	if (!result && vm->trap)
		read_trapped(vm->trap, fn, ctx);
	return result;
}
