#include "mock_accel.h"

#include <stdlib.h>

struct accel_vcpu {
	const struct accel_vcpu_config *config;
	struct accel_vcpu_config copy;
	struct accel_vm *vm;
	struct x86_state st;
	struct accel_debug debug;
	unsigned seed;
};

struct accel_vm {
	struct accel_vm_config config;
	unsigned opened; /* vCPUs: without a lock, for they are opened one at a time */
};

/* Test-wide counters: the program under test is one process per case. */
static atomic_int running;
static atomic_ullong executed[ACCEL_MAX_VCPUS][MOCK_LEN];
static gva_t io_addr;
static atomic_uint wakes;
static void (*io_fn)(void *arg);
static void *io_arg;

int mock_running(void)
{
	return atomic_load(&running);
}

uint64_t mock_executed(unsigned index, gva_t addr)
{
	return atomic_load(&executed[index][addr - MOCK_START]);
}

void mock_set_io(gva_t addr, void (*fn)(void *arg), void *arg)
{
	io_addr = addr;
	io_fn = fn;
	io_arg = arg;
}

void mock_wake(void *unused)
{
	(void)unused;
	atomic_fetch_add(&wakes, 1);
}

static int vm_open(struct accel_vm **out_vm, const struct accel_vm_config *config,
		   struct umbra_err *err)
{
	struct accel_vm *vm = calloc(1, sizeof(*vm));

	(void)err;
	vm->config = *config;
	*out_vm = vm;
	return 0;
}

static int vm_start(struct accel_vm *vm, struct umbra_err *err)
{
	(void)vm;
	(void)err;
	return 0;
}

static void vm_close(struct accel_vm *vm)
{
	free(vm);
}

static const struct accel_caps *caps(const struct accel_vm *vm)
{
	static const struct accel_caps all = {
		.hw_points = 4,
		.mode = {[0 ... ACCEL_MODE_COUNT - 1] = {.can_run = true,
							 .can_step = true,
							 .trap = ACCEL_TRAP_DEBUG,
							 .trap_byte = 0xcc,
							 .has_hw_break = true}}};

	(void)vm;
	return &all;
}

static int vcpu_open(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
		     const struct accel_vcpu_config *config, struct umbra_err *err)
{
	struct accel_vcpu *v = calloc(1, sizeof(*v));

	(void)err;
	v->copy = *config;
	v->vm = vm;
	v->seed = config->index + 1;
	vm->opened++;
	*out_vcpu = v;
	return 0;
}

static void vcpu_close(struct accel_vcpu *v)
{
	free(v);
}

static int vcpu_reset(struct accel_vcpu *v, struct umbra_err *err)
{
	(void)v;
	(void)err;
	return 0;
}

static bool at_point(struct accel_vcpu *v, struct accel_exit *out)
{
	for (unsigned i = 0; i < v->debug.point_count; i++) {
		if (v->debug.point[i].addr != v->st.rip)
			continue;
		out->debug = ACCEL_DEBUG_POINT;
		out->hit[out->hit_count++] = i;
		return true;
	}
	return false;
}

/* One instruction.  False: a debug exit instead. */
static bool execute(struct accel_vcpu *v, struct accel_exit *out)
{
	uint8_t byte = 0;

	if (at_point(v, out))
		return false;
	mem_peek(v->vm->config.mem, v->st.rip, &byte, 1);
	if (byte == 0xcc) {
		out->debug = ACCEL_DEBUG_TRAP;
		return false;
	}
	atomic_fetch_add(&executed[v->copy.index][v->st.rip - MOCK_START], 1);
	if (io_fn && v->st.rip == io_addr)
		io_fn(io_arg);
	v->st.rip = MOCK_START + (v->st.rip + 1 - MOCK_START) % MOCK_LEN;
	return true;
}

static bool is_asked(const struct accel_vcpu *v)
{
	return atomic_load_explicit(v->copy.req, memory_order_acquire) != 0;
}

/* At most @limit instructions. */
static void run_some(struct accel_vcpu *v, struct accel_exit *out, unsigned limit)
{
	bool is_stopped = false;

	atomic_fetch_add(&running, 1);
	for (unsigned i = 0; i < limit && !is_stopped && !is_asked(v); i++) {
		is_stopped = !execute(v, out);
		if (!is_stopped && v->debug.step) {
			out->debug = ACCEL_DEBUG_STEP;
			is_stopped = true;
		}
	}
	if (is_stopped)
		out->kind = ACCEL_EXIT_DEBUG;
	out->rip = v->st.rip;
	out->pc = v->st.rip;
	atomic_fetch_sub(&running, 1);
}

static void run(struct accel_vcpu *v, struct accel_exit *out)
{
	unsigned wakes_before = atomic_load(&wakes);

	out->kind = ACCEL_EXIT_KICKED;
	while (v->st.activity == X86_HALTED && atomic_load(&wakes) == wakes_before) {
		if (is_asked(v))
			return;
	}
	v->st.activity = X86_ACTIVE;
	run_some(v, out, ~0u);
}

void mock_run_briefly(struct accel_vcpu *v, struct accel_exit *out)
{
	out->kind = ACCEL_EXIT_KICKED;
	if (v->st.activity != X86_HALTED)
		run_some(v, out, MOCK_BRIEF);
}

static void kick(struct accel_vcpu *v)
{
	(void)v; /* run() looks at req before each instruction */
}

static int state_get(struct accel_vcpu *v, struct x86_state *st, unsigned parts)
{
	(void)parts;
	*st = v->st;
	return 0;
}

static int state_set(struct accel_vcpu *v, const struct x86_state *st, unsigned parts,
		     struct umbra_err *err)
{
	(void)parts;
	(void)err;
	v->st = *st;
	if (st->activity == X86_WAIT_FOR_SIPI) { /* every vCPU of the mock starts at once */
		x86_state_reset(&v->st);
		v->st.seg[X86_CS] = x86_seg_real(0);
		v->st.rip = MOCK_START + v->copy.index;
	}
	return 0;
}

static int debug_set(struct accel_vcpu *v, const struct accel_debug *debug)
{
	v->debug = *debug;
	return 0;
}

static int reflect(struct accel_vcpu *v, unsigned vector, uint64_t dr6)
{
	(void)vector;
	(void)dr6;
	v->st.rip = MOCK_START;
	return 0;
}

static bool is_halted_for_good(struct accel_vcpu *v)
{
	(void)v;
	return false;
}

const struct accel_ops mock_accel = {
	.name = "mock",
	.vm_open = vm_open,
	.vm_start = vm_start,
	.vm_close = vm_close,
	.caps = caps,
	.vcpu_open = vcpu_open,
	.vcpu_close = vcpu_close,
	.vcpu_reset = vcpu_reset,
	.run = run,
	.kick = kick,
	.state_get = state_get,
	.state_set = state_set,
	.debug_set = debug_set,
	.reflect = reflect,
	.is_halted_for_good = is_halted_for_good,
};
