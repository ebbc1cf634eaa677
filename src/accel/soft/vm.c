/* The software machine: what its vCPUs share, and the table of accel_ops. */
#include "vm.h"

#include "catch.h"
#include "irq.h"
#include "thunk.h"
#include "tlb.h"
#include "translate.h"

#include "umbra/log.h"

#include <errno.h>
#include <stdlib.h>

#define PHYS_BITS 40 /* 1 TiB: what CPUID leaf 0x80000008 says */

/* Capabilities: everything, in every mode. */

static void fill_caps(struct accel_caps *caps)
{
	*caps = (struct accel_caps){
		.hw_points = ACCEL_POINTS_ANY,
		.has_watch_read = true,
		.has_watch_any = true,
		.has_watch_physical = true,
		.has_range_step = true,
		.has_pass_exec = true,
		.prefers_hw_break = true,
		.phys_bits = PHYS_BITS,
	};
	for (unsigned i = 0; i < ACCEL_MODE_COUNT; i++) {
		caps->mode[i] = (struct accel_mode_caps){.can_run = true,
							 .can_step = true,
							 .trap = ACCEL_TRAP_NONE,
							 .has_hw_break = true,
							 .has_watch_write = true,
							 .has_watch_access = true};
	}
}

static const struct accel_caps *vm_caps(const struct accel_vm *vm)
{
	return &vm->soft.caps;
}

/* Memory. */

static uint64_t count_frames(const struct mem_space *mem)
{
	uint64_t end = 0;

	for (unsigned i = 0; mem_region_at(mem, i); i++) {
		const struct mem_region *r = mem_region_at(mem, i);

		end = r->gpa + r->len;
	}
	return end / UMBRA_PAGE_SIZE;
}

/* Loaders and the debugger write: the shadow and the decoded code follow. */
static void memory_written(void *ctx, gpa_t gpa, size_t len, bool is_done)
{
	struct soft_vm *vm = ctx;

	if (!is_done) {
		mmu_write_begin(vm->mmu, MMU_NO_VCPU, gpa, len);
		return;
	}
	mmu_write_end(vm->mmu, MMU_NO_VCPU, gpa, len);
	soft_code_written(vm, gpa, len);
}

static void each_tlb_page(void *ctx, mmu_tlb_fn fn, void *arg)
{
	const struct soft_vm *vm = ctx;

	for (unsigned i = 0; i < vm->cpu_count; i++) {
		if (vm->cpu[i])
			soft_tlb_each(vm->cpu[i], fn, arg);
	}
}

static int create_mmu(struct soft_vm *vm, struct umbra_err *err)
{
	const struct mmu_config config = {
		.mem = vm->mem,
		.vcpus = vm->cpu_count,
		.phys_bits = vm->phys_bits,
		.is_paranoid = vm->config.is_paranoid,
		/* vCPUs at once change their micro-TLBs while one of them would look. */
		.tlb = {.forget = soft_tlb_forget,
			.each = vm->is_parallel ? NULL : each_tlb_page,
			.ctx = vm},
		.who = soft_mmu_who,
		.who_ctx = vm,
		.stop = {.arm = soft_mmu_arm, .stop = soft_mmu_stop, .ctx = vm},
	};

	return mmu_create(&vm->mmu, &config, err);
}

/* Life. */

static void soft_vm_close(struct accel_vm *accel)
{
	struct soft_vm *vm = &accel->soft;

	if (vm->mem && vm->mmu)
		mem_set_write_hook(vm->mem, NULL, NULL);
	if (vm->mmu && mmu_paranoid_findings(vm->mmu))
		log_error("the shadow MMU broke its invariants %u times",
			  mmu_paranoid_findings(vm->mmu));
	soft_irqchip_destroy(vm);
	soft_thunks_destroy(vm);
	soft_turn_destroy(vm);
	soft_calls_destroy(vm);
	soft_rows_end(vm);
	mmu_destroy(vm->mmu);
	free(vm->code_frame);
	free(accel);
}

static int open_parts(struct soft_vm *vm, struct umbra_err *err)
{
	int error = soft_irqchip_create(vm, err);

	if (!error)
		error = soft_thunks_create(vm, err);
	if (!error &&
	    (soft_turn_create(vm) != 0 || soft_calls_create(vm) != 0 || soft_rows_init(vm) != 0))
		error = umbra_err_set(err, ENOMEM, "out of memory for the software CPU");
	return error;
}

static int soft_vm_open(struct accel_vm **out_vm, const struct accel_vm_config *config,
			struct umbra_err *err)
{
	struct accel_vm *accel = calloc(1, sizeof(*accel));
	struct soft_vm *vm;
	int error;

	if (!accel)
		return umbra_err_set(err, ENOMEM, "out of memory for the software CPU");
	vm = &accel->soft;
	vm->config = *config;
	vm->mem = config->mem;
	vm->bus = config->bus;
	vm->cpu_count = config->vcpus;
	vm->has_la57 = config->has_la57;
	vm->is_parallel = config->is_parallel;
	vm->gate = config->gate;
	vm->phys_bits = PHYS_BITS;
	fill_caps(&vm->caps);
	error = open_parts(vm, err);
	if (error) {
		soft_vm_close(accel);
		return error;
	}
	soft_turn_attach(vm);
	*out_vm = accel;
	return 0;
}

/* The memory map is complete by now. */
static int soft_vm_start(struct accel_vm *accel, struct umbra_err *err)
{
	struct soft_vm *vm = &accel->soft;

	vm->code_frame_count = count_frames(vm->mem);
	vm->code_frame = calloc(vm->code_frame_count + 1, sizeof(*vm->code_frame));
	if (!vm->code_frame)
		return umbra_err_set(err, ENOMEM, "out of memory for the software CPU");
	if (create_mmu(vm, err) != 0)
		return -ENOMEM;
	mem_set_write_hook(vm->mem, memory_written, vm);
	return 0;
}

static int soft_vm_reset(struct accel_vm *accel, struct umbra_err *err)
{
	(void)err;
	soft_irqchip_reset(&accel->soft);
	soft_turn_reset(&accel->soft);
	soft_calls_reset(&accel->soft);
	mmu_zap_all(accel->soft.mmu);
	return 0;
}

static void soft_irq_set(struct accel_vm *accel, unsigned gsi, bool is_high)
{
	soft_irqchip_set(&accel->soft, gsi, is_high);
}

static int soft_irq_get(struct accel_vm *accel, unsigned gsi, struct accel_irq *out_irq)
{
	soft_irqchip_get(&accel->soft, gsi, out_irq);
	return 0;
}

/* The write hook has told of every write of the debugger already. */
static void soft_mmu_flush(struct accel_vm *accel)
{
	(void)accel;
}

static struct mmu *soft_mmu(struct accel_vm *accel)
{
	return accel->soft.mmu;
}

static void soft_vm_resume(struct accel_vm *accel, uint64_t members)
{
	soft_turn_plan(&accel->soft, members);
}

static void soft_show(struct accel_vm *accel, const struct print_sink *sink)
{
	const struct soft_vm *vm = &accel->soft;
	struct mmu_stats mmu;

	mmu_stats(vm->mmu, &mmu);
	print_to(sink,
		 "every mode from real16 to long64 and its user code; any number of break- and "
		 "watchpoints\n"
		 "shadow  %u roots, %u pages, %u leaves; %llu faults, %llu fills, %llu zaps, "
		 "%llu table writes\n",
		 mmu.roots, mmu.shadow_pages, mmu.leaves, (unsigned long long)mmu.faults,
		 (unsigned long long)mmu.fills, (unsigned long long)mmu.zaps,
		 (unsigned long long)mmu.table_writes);
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		struct soft_block_stats blocks;

		if (!vm->cpu[i])
			continue;
		soft_block_stats(vm->cpu[i], &blocks);
		print_to(sink,
			 "cpu%u    %llu instructions; blocks: %llu live, %llu translated, "
			 "%llu evicted\n",
			 i, (unsigned long long)vm->cpu[i]->retired,
			 (unsigned long long)blocks.live, (unsigned long long)blocks.translated,
			 (unsigned long long)blocks.evicted);
	}
}

/* Each processor has its own here, and may move it. */
static const struct accel_region soft_regions[] = {{BUS_MMIO, 0xfee00000, 0x1000, "lapic"}};

const struct accel_ops accel_soft = {
	.name = "soft",
	.counts_time = true,
	.can_catch = true,
	.vm_open = soft_vm_open,
	.vm_start = soft_vm_start,
	.vm_close = soft_vm_close,
	.vm_reset = soft_vm_reset,
	.caps = vm_caps,
	.irq_set = soft_irq_set,
	.irq_get = soft_irq_get,
	.region = soft_regions,
	.region_count = UMBRA_ARRAY_SIZE(soft_regions),
	.mmu_flush = soft_mmu_flush,
	.mmu = soft_mmu,
	.vm_resume = soft_vm_resume,
	.show = soft_show,
	.show_exits = soft_vcpu_show_exits,
	.vcpu_open = soft_vcpu_open,
	.vcpu_close = soft_vcpu_close,
	.vcpu_reset = soft_vcpu_reset,
	.run = soft_vcpu_run,
	.run_briefly = soft_vcpu_run_briefly,
	.kick = soft_vcpu_kick,
	.state_get = soft_state_get,
	.state_set = soft_state_set,
	.debug_set = soft_vcpu_debug_set,
	.reflect = soft_vcpu_reflect,
	.is_halted_for_good = soft_vcpu_is_halted_for_good,
};
