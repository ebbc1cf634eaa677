/* The machine's life: create, start, reset, destroy.  It owns the parts and knows their order; what
 * they are wired to is in pc.c. */

#include "vm_internal.h"

#include "firmware.h"
#include "fwitems.h"

#include "umbra/log.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* 2026-01-01 00:00 UTC: the start of runs that are to be alike. */
#define ALIKE_EPOCH_S 1767225600

/* The halt watch. */

static void look_for_halt(void *ctx)
{
	struct vm *vm = ctx;

	if (world_state(vm->world) == WORLD_RUNNING)
		loop_timer_arm(vm->halt_timer, world_watch_halts(vm->world));
}

static void world_runs(void *ctx)
{
	struct vm *vm = ctx;

	loop_timer_arm(vm->halt_timer, WORLD_FIRST_LOOK_NS);
}

/* Timers of devices, on a back end that leaves guest time to the host: the control thread waits for
 * them. */

static void wait_for_timers(void *ctx)
{
	struct vm *vm = ctx;
	uint64_t deadline = gate_deadline(vm->gate), now = gate_now_ns(vm->gate);

	if (deadline == GATE_NEVER)
		loop_timer_disarm(vm->device_timer);
	else
		loop_timer_arm(vm->device_timer, deadline > now ? deadline - now : 0);
}

static void run_timers(void *ctx)
{
	struct vm *vm = ctx;

	gate_run(vm->gate);
	wait_for_timers(vm);
}

static void deadline_moved(void *ctx)
{
	struct vm *vm = ctx;

	loop_wake(vm->device_waker);
}

static int open_clock(struct vm *vm, struct umbra_err *err)
{
	const struct gate_clock clock = {.deadline_moved = deadline_moved, .ctx = vm};

	vm->device_timer = loop_timer_add(vm->loop, run_timers, vm);
	vm->device_waker = loop_waker_add(vm->loop, wait_for_timers, vm);
	if (!vm->device_timer || !vm->device_waker)
		return umbra_err_set(err, ENOMEM, "out of memory for the machine's clock");
	gate_set_clock(vm->gate, &clock);
	return 0;
}

/* Creation. */

static int open_parts(struct vm *vm, struct umbra_err *err)
{
	int error = gate_create(&vm->gate, err);

	if (!error)
		error = open_clock(vm, err);
	if (!error)
		error = mem_create(&vm->mem, err);
	if (!error)
		error = bus_create(&vm->bus, err);
	if (!error)
		error = pc_build(vm, err);
	vm->halt_timer = loop_timer_add(vm->loop, look_for_halt, vm);
	if (!error && !vm->halt_timer)
		error = umbra_err_set(err, ENOMEM, "out of memory for the machine");
	return error;
}

static int open_accel(struct vm *vm, const struct accel_ops *accel, struct umbra_err *err)
{
	bool is_system = vm->image && load_is_system(vm->image);
	struct accel_vm_config config = {.mem = vm->mem,
					 .bus = vm->bus,
					 .vcpus = vm->config.vcpus,
					 .boot = vm->config.fallback ? &vm->boot : NULL,
					 .is_system = is_system,
					 .gate = vm->gate,
					 .is_paranoid = vm->config.is_paranoid,
					 .is_parallel = vm->config.is_parallel,
					 .has_la57 = vm->config.has_la57,
					 .is_realtime = vm->config.is_realtime};
	int error;

	config.zone = pc_zones(&config.zone_count);
	error = accel->vm_open(&vm->accel_vm, &config, err);
	if (!error)
		vm->accel = accel;
	return error;
}

/* How far the host's time zone is ahead of UTC at @epoch_s. */
static int64_t zone_offset_s(int64_t epoch_s)
{
	time_t time = (time_t)epoch_s;
	struct tm local;

	return localtime_r(&time, &local) ? local.tm_gmtoff : 0;
}

/* The gate was made with the host's time. */
static void set_time_of_day(struct vm *vm)
{
	int64_t host_s = gate_epoch_s(vm->gate);

	switch (vm->config.rtc_base) {
	case VM_RTC_DEFAULT:
		if (vm->accel->counts_time && !vm->config.is_parallel)
			gate_set_epoch_s(vm->gate, ALIKE_EPOCH_S);
		break;
	case VM_RTC_UTC:
		break;
	case VM_RTC_LOCALTIME:
		gate_set_epoch_s(vm->gate, host_s + zone_offset_s(host_s));
		break;
	case VM_RTC_DATE:
		gate_set_epoch_s(vm->gate, vm->config.rtc_epoch_s);
		break;
	}
}

static int open_cpus(struct vm *vm, struct umbra_err *err)
{
	struct world_config world_config = {
		.vcpus = vm->config.vcpus, .mem = vm->mem, .on_resume = world_runs, .ctx = vm};
	int error = open_accel(vm, vm->config.accel, err);

	if (error && vm->config.fallback) {
		log_warn("%s; -accel %s runs the guest", err->text, vm->config.fallback->name);
		err->text[0] = '\0';
		error = open_accel(vm, vm->config.fallback, err);
	}
	if (error)
		return error;
	set_time_of_day(vm);
	world_config.accel = vm->accel;
	world_config.accel_vm = vm->accel_vm;
	return world_create(&vm->world, &world_config, err);
}

/* Put the image into clear memory, after what firmware would have left there: an image that wants
 * one of those places has it.  Firmware leaves its own. */
static int apply_image(struct vm *vm, struct umbra_err *err)
{
	struct pc_facts facts;
	int error;

	if (!vm->image) {
		x86_state_reset(&vm->boot);
		return 0;
	}
	pc_facts_get(vm, &facts);
	error = vm->config.load.bios ? 0 : firmware_place(vm->mem, &facts, err);
	return error ? error : load_apply(vm->image, vm->mem, &vm->boot, err);
}

static bool has_image(const struct vm_config *config)
{
	return config->has_kernel || config->load.bios;
}

int vm_create(struct vm **out_vm, const struct vm_config *config, struct loop *loop,
	      struct umbra_err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int error;

	if (!vm)
		return umbra_err_set(err, ENOMEM, "out of memory for the machine");
	vm->config = *config;
	vm->config.load.rsdp = FIRMWARE_RSDP;
	vm->loop = loop;
	error = open_parts(vm, err);
	if (!error && has_image(config)) {
		error = load_open(&vm->image, &vm->config.load, vm->mem, err);
		if (config->has_kernel || config->load.loader)
			vm->kernel_path = realpath(config->has_kernel ? config->load.kernel
								      : config->load.loader,
						   NULL);
	}
	if (!error && config->load.initrd)
		vm->initrd_path = realpath(config->load.initrd, NULL);
	if (!error)
		error = fwitems_put(vm, err);
	if (!error)
		error = apply_image(vm, err);
	if (!error)
		error = open_cpus(vm, err);
	if (error) {
		vm_destroy(vm);
		return error;
	}
	*out_vm = vm;
	return 0;
}

int vm_start(struct vm *vm, struct umbra_err *err)
{
	return world_start(vm->world, &vm->boot, err);
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	world_destroy(vm->world);
	if (vm->accel_vm)
		vm->accel->vm_close(vm->accel_vm);
	if (vm->halt_timer)
		loop_timer_del(vm->halt_timer);
	if (vm->device_timer)
		loop_timer_del(vm->device_timer);
	if (vm->device_waker)
		loop_waker_del(vm->device_waker);
	bus_destroy(vm->bus);
	for (unsigned i = 0; i < vm->chardev_count; i++)
		chardev_close(vm->chardev[i]);
	load_close(vm->image);
	free(vm->kernel_path);
	free(vm->initrd_path);
	mem_destroy(vm->mem);
	gate_destroy(vm->gate);
	free(vm);
}

/* Reset. */

int vm_reset(struct vm *vm, struct umbra_err *err)
{
	struct load_image *image = NULL;
	int error = 0;

	/* The file may have been rebuilt: it is read anew, and a bad one leaves the machine as it
	 * is. */
	if (has_image(&vm->config))
		error = load_open(&image, &vm->config.load, vm->mem, err);
	if (error)
		return error;
	load_close(vm->image);
	vm->image = image;
	mem_clear_ram(vm->mem);
	bus_reset(vm->bus);
	error = vm->accel->vm_reset(vm->accel_vm, err);
	if (!error)
		error = fwitems_put_image(vm, err);
	if (!error)
		error = apply_image(vm, err);
	if (!error)
		error = world_reset(vm->world, &vm->boot, err);
	return error;
}

/* The parts. */

struct world *vm_world(struct vm *vm)
{
	return vm->world;
}

struct mem_space *vm_mem(struct vm *vm)
{
	return vm->mem;
}

struct bus *vm_bus(struct vm *vm)
{
	return vm->bus;
}

const struct accel_ops *vm_accel(const struct vm *vm)
{
	return vm->accel;
}

struct accel_vm *vm_accel_vm(struct vm *vm)
{
	return vm->accel_vm;
}

struct mmu *vm_mmu(struct vm *vm)
{
	return vm->accel->mmu ? vm->accel->mmu(vm->accel_vm) : NULL;
}

const char *vm_symbol_file(const struct vm *vm)
{
	return vm->image && load_is_elf64(vm->image) ? vm->kernel_path : NULL;
}

bool vm_is_64bit(const struct vm *vm)
{
	return !vm->image || load_is_64bit(vm->image);
}

bool vm_is_flat(const struct vm *vm)
{
	return vm->image && load_is_flat(vm->image);
}

gva_t vm_linux_text(const struct vm *vm)
{
	return vm->image ? load_linux_text(vm->image) : 0;
}

void vm_press_power_button(struct vm *vm)
{
	uint8_t press = 1;

	if (gate_input(vm->gate, VM_SOURCE_POWER_BUTTON, &press, 1) == 1)
		acpipm_press_button(vm->power);
}

void vm_show_chardevs(struct vm *vm, const struct print_sink *sink)
{
	for (unsigned i = 0; i < vm->chardev_count; i++) {
		print_to(sink, "%s: ", vm->chardev_name[i]);
		chardev_show(vm->chardev[i], sink);
		print_to(sink, "\n");
	}
}
