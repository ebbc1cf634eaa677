/* Writes to chosen pages of RAM, each trapped, done here and noted: how a debugger sees every store
 * to a page table as it happens.
 *
 * The pages lie in read-only slots, so that KVM hands each store over as an MMIO write.  It has not
 * seen the write itself then, and where it shadows page tables it would go on with what it derived
 * from the old bytes, INVLPG and CR3 loads included; kvm_mmu_flush after each write makes it drop
 * that.  A and D are set there by no walk, and an instruction that KVM cannot emulate fails.
 *
 * Read-modify-writes come as a plain store of their result: they are not atomic to other vCPUs.
 * Source: KVM api 4.35 (KVM_MEM_READONLY), 5 (KVM_EXIT_MMIO). */
#include "kvm.h"

#include <errno.h>
#include <stdlib.h>

unsigned kvm_trap_find(const struct accel_vm *vm, gpa_t gpa)
{
	unsigned low = 0, high = vm->trap ? vm->trap->count : 0;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (vm->trap->page[middle] < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_trapped(const struct accel_vm *vm, gpa_t gpa, unsigned *out_index)
{
	*out_index = kvm_trap_find(vm, gpa & UMBRA_PAGE_MASK);
	return vm->trap && *out_index < vm->trap->count &&
	       vm->trap->page[*out_index] == (gpa & UMBRA_PAGE_MASK);
}

bool kvm_trap_has(const struct accel_vm *vm, const struct x86_state *st, gva_t va, unsigned len)
{
	const gva_t end[] = {va, va + len - 1};
	struct x86_walk walk;
	unsigned i, index;

	for (i = 0; i < UMBRA_ARRAY_SIZE(end); i++) {
		if (x86_walk(st, end[i], mem_phys_read, vm->mem, &walk) == 0 &&
		    is_trapped(vm, walk.gpa, &index))
			return true;
	}
	return false;
}

/* A write. */

/* Other vCPUs' walks must never see half an entry. */
static void store(uint8_t *at, const uint8_t *data, unsigned len)
{
	bool is_aligned = (uintptr_t)at % len == 0;

	if (len == 8 && is_aligned)
		__atomic_store_n((uint64_t *)(void *)at, le64_get(data), __ATOMIC_SEQ_CST);
	else if (len == 4 && is_aligned)
		__atomic_store_n((uint32_t *)(void *)at, le32_get(data), __ATOMIC_SEQ_CST);
	else
		memcpy(at, data, len);
}

static uint64_t unit_at(const struct accel_vm *vm, gpa_t gpa)
{
	return le64_get(mem_ptr(vm->mem, gpa & ~7ull, 8));
}

bool kvm_trap_write(struct accel_vcpu *vcpu)
{
	struct accel_vm *vm = vcpu->vm;
	const gpa_t gpa = vcpu->run->mmio.phys_addr;
	const unsigned len = vcpu->run->mmio.len;
	struct accel_trapped write = {.vcpu = vcpu->index, .gpa = gpa, .len = len};
	struct kvm_trap *trap = vm->trap;
	struct x86_state st = {0};
	unsigned index;

	if (!trap || !vcpu->run->mmio.is_write || len == 0 || len > 8 ||
	    gpa % UMBRA_PAGE_SIZE + len > UMBRA_PAGE_SIZE || !is_trapped(vm, gpa, &index))
		return false;
	if (kvm_state_get(vcpu, &st, X86_STATE_GPR | X86_STATE_SREG) == 0)
		kvm_trap_writer(vm, &st, gpa, len, &write);
	lock_take(&trap->lock);
	write.number = trap->total++;
	write.old = unit_at(vm, gpa);
	store(mem_ptr(vm->mem, gpa, len), vcpu->run->mmio.data, len);
	write.now = unit_at(vm, gpa);
	trap->is_written[index] = true;
	trap->record[write.number % ACCEL_TRAP_RECORDS] = write;
	kvm_mmu_flush(vm);
	lock_drop(&trap->lock);
	return true;
}

/* What is trapped. */

static struct kvm_trap *trap_make(void)
{
	struct kvm_trap *trap = calloc(1, sizeof(*trap));

	if (trap && lock_init(&trap->lock) == 0)
		return trap;
	free(trap);
	return NULL;
}

void kvm_trap_end(struct accel_vm *vm)
{
	if (vm->trap)
		lock_end(&vm->trap->lock);
	free(vm->trap);
	vm->trap = NULL;
}

static int trap_probe(struct accel_vm *vm, struct accel_trap_verdict *out_verdict,
		      struct umbra_err *err)
{
	return kvm_trap_probe(&vm->host, vm->cpuid, out_verdict, err);
}

static int trap_set(struct accel_vm *vm, const gpa_t *page, unsigned count, struct umbra_err *err)
{
	struct kvm_trap *trap;
	int result;

	if (count > ACCEL_TRAP_PAGES)
		return umbra_err_set(err, E2BIG, "%u pages: writes to %u can be trapped", count,
				     ACCEL_TRAP_PAGES);
	if (!vm->trap && count == 0)
		return 0;
	if (!vm->trap)
		vm->trap = trap_make();
	trap = vm->trap;
	if (!trap)
		return umbra_err_set(err, ENOMEM, "no memory for trapped writes");
	if (count == trap->count &&
	    (count == 0 || memcmp(page, trap->page, count * sizeof(*page)) == 0))
		return 0;
	trap->count = count;
	if (count)
		memcpy(trap->page, page, count * sizeof(*page));
	memset(trap->is_written, 0, sizeof(trap->is_written));
	result = kvm_slots_divide(vm, err);
	if (result) {
		trap->count = 0;
		(void)kvm_slots_divide(vm, NULL);
	}
	return result;
}

static uint64_t trap_total(const struct accel_vm *vm)
{
	return vm->trap ? vm->trap->total : 0;
}

static bool trap_at(const struct accel_vm *vm, uint64_t number, struct accel_trapped *out)
{
	const struct kvm_trap *trap = vm->trap;

	if (!trap || number >= trap->total || trap->total - number > ACCEL_TRAP_RECORDS)
		return false;
	*out = trap->record[number % ACCEL_TRAP_RECORDS];
	return true;
}

const struct accel_trap_ops kvm_trap_ops = {
	.probe = trap_probe,
	.set = trap_set,
	.total = trap_total,
	.at = trap_at,
};
