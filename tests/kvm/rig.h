/* What the KVM programs share: TAP output, and a machine with a recording device, driven through
 * struct accel_ops as src/cpu does.  One thread is control thread and vCPU 0 alike unless a test
 * starts another. */
#ifndef TESTS_KVM_RIG_H
#define TESTS_KVM_RIG_H

#include "umbra/accel_kvm.h"
#include "umbra/bus.h"

#include "src/accel/kvm/probe.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RIG_MMIO     0xd0000000ull
#define RIG_OUT	     0x3f8 /* 8 ports; what is written there is recorded */
#define RIG_LAZY     0x80  /* a coalesced port, recorded too */
#define RIG_EVENTS   4096
#define RIG_RAM	     0x400000ull
#define RIG_MAX_CPUS 2
#define RIG_SKIP     77

/* Results. */

struct tap {
	unsigned count, failed;
	bool is_failing; /* in the test under way */
};

static inline void tap_result(struct tap *tap, const char *name)
{
	printf("%sok %u - %s\n", tap->is_failing ? "not " : "", ++tap->count, name);
	tap->failed += tap->is_failing;
	tap->is_failing = false;
	fflush(stdout);
}

static inline void tap_skip(struct tap *tap, const char *name, const char *flag)
{
	printf("ok %u - %s # SKIP %s\n", ++tap->count, name, flag);
	fflush(stdout);
}

static inline bool tap_check(struct tap *tap, bool is_true, const char *what, int line)
{
	if (!is_true) {
		printf("# line %d: %s\n", line, what);
		tap->is_failing = true;
	}
	return is_true;
}
#define CHECK(rig, condition) tap_check((rig)->tap, (condition), #condition, __LINE__)

static inline double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* CPU time of the calling thread, which says more than the wall clock on a busy host. */
static inline double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The machine. */

/* What the guest wrote, in order. */
struct rig_event {
	uint64_t offset, value;
	unsigned width;
};

struct recorder {
	struct rig_event event[RIG_EVENTS];
	atomic_uint count;
	uint64_t next_read; /* reads give 1, 2, 3, ... */
	atomic_uint *ask;   /* a read asks the vCPU to stop, as a device may; NULL: none does */
};

struct rig {
	struct tap *tap;
	const struct accel_ops *ops;
	struct mem_space *mem;
	struct bus *bus;
	struct recorder pio, mmio, lazy;
	struct accel_vm *vm;
	struct accel_vcpu *cpu[RIG_MAX_CPUS];
	atomic_uint req[RIG_MAX_CPUS];
	double open_ms, start_ms, vcpu_ms;
};

static inline uint64_t recorder_read(void *state, uint64_t offset, unsigned width)
{
	struct recorder *r = state;

	(void)offset;
	(void)width;
	if (r->ask)
		atomic_store_explicit(r->ask, 1, memory_order_release);
	return ++r->next_read;
}

static inline void recorder_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct recorder *r = state;
	unsigned at = atomic_load_explicit(&r->count, memory_order_relaxed);

	if (at < RIG_EVENTS)
		r->event[at] = (struct rig_event){.offset = offset, .value = value, .width = width};
	atomic_store_explicit(&r->count, at + 1, memory_order_release);
}

static inline void recorder_reset(void *state)
{
	(void)state;
}

static inline void recorder_show(const void *state, const struct print_sink *sink)
{
	(void)state;
	(void)sink;
}

static const struct dev_ops RECORDER = {
	.name = "recorder",
	.widths = 1 | 2 | 4 | 8,
	.read = recorder_read,
	.write = recorder_write,
	.reset = recorder_reset,
	.show = recorder_show,
};

static inline unsigned recorded(const struct recorder *r)
{
	return atomic_load_explicit(&r->count, memory_order_acquire);
}

static inline void rig_forget(struct rig *rig)
{
	rig->pio.count = rig->mmio.count = rig->lazy.count = 0;
	rig->pio.next_read = rig->mmio.next_read = 0;
}

static inline void rig_die(const char *what, const struct umbra_err *err)
{
	printf("Bail out! %s: %s\n", what, err->text);
	exit(1);
}

static inline void rig_devices(struct rig *rig, struct umbra_err *err)
{
	struct device *pio = bus_add_device(rig->bus, &RECORDER, &rig->pio);
	struct device *mmio = bus_add_device(rig->bus, &RECORDER, &rig->mmio);
	struct device *lazy = bus_add_device(rig->bus, &RECORDER, &rig->lazy);

	if (!pio || !mmio || !lazy || bus_map(pio, BUS_PIO, RIG_OUT, 8, 0, err) != 0 ||
	    bus_map(mmio, BUS_MMIO, RIG_MMIO, UMBRA_PAGE_SIZE, 0, err) != 0 ||
	    bus_map(lazy, BUS_PIO, RIG_LAZY, 1, 0, err) != 0)
		rig_die("devices", err);
}

/* Memory, bus and virtual machine, not started yet. */
static inline void rig_open(struct rig *rig, struct tap *tap, unsigned cpus)
{
	static const struct accel_zone lazy = {.kind = BUS_PIO, .base = RIG_LAZY, .len = 1};
	struct accel_vm_config config = {.vcpus = cpus, .zone = &lazy, .zone_count = 1};
	struct umbra_err err = {.text = ""};
	double start = now_ms();

	memset(rig, 0, sizeof(*rig));
	rig->tap = tap;
	rig->ops = &accel_kvm;
	if (mem_create(&rig->mem, &err) != 0 || bus_create(&rig->bus, &err) != 0 ||
	    mem_add(rig->mem, 0, RIG_RAM, MEM_RAM, "ram", &err) != 0)
		rig_die("memory", &err);
	rig_devices(rig, &err);
	config.mem = rig->mem;
	config.bus = rig->bus;
	if (rig->ops->vm_open(&rig->vm, &config, &err) != 0) {
		printf("1..0 # SKIP kvm: %.*s\n", (int)strcspn(err.text, "\n"), err.text);
		exit(RIG_SKIP);
	}
	rig->open_ms = now_ms() - start;
}

/* To be called by the vCPU's own thread. */
static inline void rig_cpu_open(struct rig *rig, unsigned index)
{
	struct accel_vcpu_config config = {
		.index = index, .req = &rig->req[index], .thread = pthread_self()};
	struct umbra_err err = {.text = ""};

	if (rig->ops->vcpu_open(&rig->cpu[index], rig->vm, &config, &err) != 0)
		rig_die("vcpu_open", &err);
}

static inline void rig_start(struct rig *rig)
{
	struct umbra_err err = {.text = ""};
	double start = now_ms();

	if (rig->ops->vm_start(rig->vm, &err) != 0)
		rig_die("vm_start", &err);
	rig->start_ms = now_ms() - start;
	start = now_ms();
	rig_cpu_open(rig, 0);
	rig->vcpu_ms = now_ms() - start;
}

static inline void rig_close(struct rig *rig)
{
	if (rig->cpu[0])
		rig->ops->vcpu_close(rig->cpu[0]);
	rig->ops->vm_close(rig->vm);
	bus_destroy(rig->bus);
	mem_destroy(rig->mem);
}

/* Guest code and state. */

static inline const struct accel_mode_caps *rig_caps(const struct rig *rig, enum accel_mode mode)
{
	return &rig->ops->caps(rig->vm)->mode[mode];
}

static inline uint8_t *rig_ram(const struct rig *rig, gpa_t gpa, size_t len)
{
	return mem_ptr(rig->mem, gpa, len);
}

static inline void rig_set(struct rig *rig, const struct x86_state *st, unsigned parts)
{
	struct umbra_err err = {.text = ""};

	if (!CHECK(rig, rig->ops->state_set(rig->cpu[0], st, parts, &err) == 0))
		printf("# %s\n", err.text);
}

static inline struct x86_state rig_get(struct rig *rig)
{
	struct x86_state st;

	memset(&st, 0, sizeof(st));
	CHECK(rig, rig->ops->state_get(rig->cpu[0], &st, X86_STATE_ALL) == 0);
	return st;
}

static inline uint64_t rig_rip(struct rig *rig)
{
	return rig_get(rig).rip;
}

static inline void rig_debug(struct rig *rig, const struct accel_debug *debug)
{
	CHECK(rig, rig->ops->debug_set(rig->cpu[0], debug) == 0);
}

/* The tables of the self-test, @code at PROBE_CODE, and vCPU 0 in @mode about to run it. */
static inline void rig_load(struct rig *rig, enum accel_mode mode, const void *code, size_t len)
{
	const struct accel_debug no_debug = {0};
	struct umbra_err err = {.text = ""};
	struct x86_state st;
	uint8_t *ram = rig_ram(rig, 0, PROBE_MEM_BYTES);

	memset(ram, 0, PROBE_MEM_BYTES);
	probe_code_tables(ram);
	memcpy(ram + PROBE_CODE, code, len);
	rig_forget(rig);
	rig->ops->mmu_flush(rig->vm);
	atomic_store(&rig->req[0], 0);
	rig_debug(rig, &no_debug);
	if (rig->ops->vcpu_reset(rig->cpu[0], &err) != 0)
		rig_die("vcpu_reset", &err);
	probe_code_state(mode, &st);
	rig_set(rig, &st, X86_STATE_ALL);
}

static inline struct accel_exit rig_run(struct rig *rig)
{
	struct accel_exit exit;

	rig->ops->run(rig->cpu[0], &exit);
	return exit;
}

/* One step; true when it ended as a step at linear @pc. */
static inline bool rig_step_to(struct rig *rig, gva_t pc)
{
	struct accel_exit exit = rig_run(rig);

	if (exit.kind == ACCEL_EXIT_DEBUG && exit.debug == ACCEL_DEBUG_STEP && exit.pc == pc)
		return true;
	printf("# step: kind %d debug %#x pc %#llx instead of %#llx %s\n", exit.kind, exit.debug,
	       (unsigned long long)exit.pc, (unsigned long long)pc, exit.text);
	return false;
}

/* Run until the guest wrote @count bytes to RIG_OUT, then kick: for guests that end in HLT. */
struct rig_waiter {
	struct rig *rig;
	unsigned count;
};

static inline void *rig_wait_and_kick(void *arg)
{
	struct rig_waiter *waiter = arg;

	while (recorded(&waiter->rig->pio) < waiter->count)
		sched_yield();
	atomic_store_explicit(&waiter->rig->req[0], 1, memory_order_release);
	waiter->rig->ops->kick(waiter->rig->cpu[0]);
	return NULL;
}

/* Runs until it was halted for good; false when it ended otherwise. */
static inline bool rig_run_to_halt(struct rig *rig, unsigned count)
{
	bool is_halted = false;

	while (!is_halted) {
		struct rig_waiter waiter = {.rig = rig, .count = count};
		struct accel_exit exit;
		pthread_t thread;

		pthread_create(&thread, NULL, rig_wait_and_kick, &waiter);
		exit = rig_run(rig);
		if (exit.kind != ACCEL_EXIT_KICKED) {
			printf("# run: kind %d debug %#x pc %#llx %s\n", exit.kind, exit.debug,
			       (unsigned long long)exit.pc, exit.text);
			atomic_store(&rig->pio.count, count); /* lets the waiter go */
			pthread_join(thread, NULL);
			return false;
		}
		pthread_join(thread, NULL);
		atomic_store(&rig->req[0], 0);
		is_halted = rig->ops->is_halted_for_good(rig->cpu[0]);
	}
	return true;
}

#endif
