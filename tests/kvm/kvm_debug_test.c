/* Steps, breakpoints and exceptions through the KVM back end, and two vCPUs, on this host's
 * /dev/kvm.  What this KVM cannot do is skipped with the name of the flag of its self-test.  Exit
 * status 77 when there is no usable KVM. */
#include "rig.h"

#define STEPS 20000

static const struct accel_debug STEP = {.step = true, .block_irq = true};

/* Steps. */

/* True when @mode can be stepped; else the test is skipped. */
static bool can_step(struct rig *rig, enum accel_mode mode, const char *name)
{
	char flag[40];

	snprintf(flag, sizeof(flag), "step %s", accel_mode_name(mode));
	if (rig_caps(rig, mode)->can_step)
		return true;
	tap_skip(rig->tap, name, flag);
	return false;
}

static void test_nops(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t nops[] = {0x90, 0x90, 0x40, 0x40, 0x90, 0xeb, 0xf9};
	char name[80];
	unsigned i;

	snprintf(name, sizeof(name), "steps in %s stop after each instruction",
		 accel_mode_name(mode));
	if (!can_step(rig, mode, name))
		return;
	rig_load(rig, mode, nops, sizeof(nops));
	rig_debug(rig, &STEP);
	for (i = 1; i <= 2; i++)
		CHECK(rig, rig_step_to(rig, PROBE_CODE + i));
	tap_result(rig->tap, name);
}

/* pushf; pop %ax; push $2; popf; nop; sti; nop; nop in each width that can be had */
static void test_flags(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t code[] = {0x9c, 0x58, 0x6a, 0x02, 0x9d, 0x90, 0xfb, 0x90, 0x90};
	static const unsigned stops[] = {1, 2, 4, 5, 6, 7, 8};
	char name[80];
	unsigned i;

	snprintf(name, sizeof(name), "steps over PUSHF, POPF and STI in %s", accel_mode_name(mode));
	if (!can_step(rig, mode, name))
		return;
	rig_load(rig, mode, code, sizeof(code));
	rig_debug(rig, &STEP);
	for (i = 0; i < UMBRA_ARRAY_SIZE(stops); i++)
		CHECK(rig, rig_step_to(rig, PROBE_CODE + stops[i]));
	CHECK(rig, !(rig_get(rig).gpr[X86_RAX] & X86_RFLAGS_TF));
	tap_result(rig->tap, name);
}

static void test_iret(struct rig *rig, enum accel_mode mode)
{
	char name[80];

	snprintf(name, sizeof(name), "a step over IRET in %s stops at its target",
		 accel_mode_name(mode));
	if (!rig->vm->probe.quirk[mode].has_iret) {
		tap_skip(rig->tap, name, "iret");
		return;
	}
	rig_load(rig, mode, "\x90", 1);
	probe_code_place(rig_ram(rig, 0, PROBE_MEM_BYTES), mode, PROBE_IRET);
	rig_debug(rig, &STEP);
	CHECK(rig, rig_step_to(rig, PROBE_TARGET));
	CHECK(rig, rig_step_to(rig, PROBE_TARGET + 1));
	tap_result(rig->tap, name);
}

/* All four debug registers in use: the last gives way for IRET, and is back afterwards. */
static void test_iret_with_points(struct rig *rig)
{
	struct accel_point point[KVM_POINTS];
	struct accel_debug debug = {.step = true, .point_count = KVM_POINTS, .point = point};
	struct accel_exit exit;
	unsigned i;

	if (!rig->vm->probe.quirk[ACCEL_LONG64].has_iret) {
		tap_skip(rig->tap, "IRET with four points", "iret long64");
		return;
	}
	rig_load(rig, ACCEL_LONG64, "\x90", 1);
	probe_code_place(rig_ram(rig, 0, PROBE_MEM_BYTES), ACCEL_LONG64, PROBE_IRET);
	for (i = 0; i < KVM_POINTS; i++)
		point[i] = (struct accel_point){.addr = PROBE_TARGET + 4 + i, .len = 1};
	rig_debug(rig, &debug);
	CHECK(rig, rig_step_to(rig, PROBE_TARGET));
	debug.step = false;
	point[0].addr = point[1].addr = point[2].addr = 0x7000;
	rig_debug(rig, &debug);
	exit = rig_run(rig);
	CHECK(rig, exit.kind == ACCEL_EXIT_DEBUG && exit.pc == PROBE_TARGET + 7);
	CHECK(rig, exit.debug == ACCEL_DEBUG_POINT && exit.hit_count == 1 && exit.hit[0] == 3);
	tap_result(rig->tap, "a step over IRET borrows the fourth debug register and returns it");
}

static void test_range_of_steps(struct rig *rig)
{
	static const uint8_t loop[] = {0x40, 0x01, 0xc3, 0xeb, 0xfb}; /* inc; add; jmp */
	static const unsigned next[] = {1, 3, 0};
	double cpu, start;
	unsigned i;

	if (!can_step(rig, ACCEL_PROT32, "many steps"))
		return;
	rig_load(rig, ACCEL_PROT32, loop, sizeof(loop));
	rig_debug(rig, &STEP);
	start = now_ms();
	cpu = cpu_ms();
	for (i = 0; i < STEPS; i++) {
		if (!CHECK(rig, rig_step_to(rig, PROBE_CODE + next[i % 3])))
			break;
	}
	printf("# %.0f steps/s (%.0f/s of CPU time)\n", STEPS / (now_ms() - start) * 1e3,
	       STEPS / (cpu_ms() - cpu) * 1e3);
	CHECK(rig, rig_get(rig).gpr[X86_RAX] == (STEPS + 2) / 3);
	tap_result(rig->tap, "20000 steps go round a loop exactly");
}

/* Breakpoints. */

static bool is_trap_exit(const struct accel_mode_caps *caps, const struct accel_exit *exit)
{
	if (caps->trap == ACCEL_TRAP_DEBUG)
		return exit->kind == ACCEL_EXIT_DEBUG && exit->debug == ACCEL_DEBUG_TRAP;
	return exit->kind == ACCEL_EXIT_FAILED && exit->is_emulation;
}

/* NOP; [NOP]; NOP; OUT; HLT with a byte planted at the second NOP, hit, lifted and gone over. */
static void test_trap(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t code[] = {0x90, 0x90, 0x90, 0xee, 0xf4};
	const struct accel_debug debug = {.trap = true};
	const struct accel_mode_caps *caps = rig_caps(rig, mode);
	uint8_t *byte = rig_ram(rig, PROBE_CODE + 1, 1);
	struct accel_exit exit;
	struct x86_state st;
	char name[80];

	snprintf(name, sizeof(name), "a planted byte in %s stops at its address",
		 accel_mode_name(mode));
	if (caps->trap == ACCEL_TRAP_NONE) {
		tap_skip(rig->tap, name, "trap");
		return;
	}
	rig_load(rig, mode, code, sizeof(code));
	st = rig_get(rig);
	st.gpr[X86_RDX] = RIG_OUT;
	rig_set(rig, &st, X86_STATE_GPR);
	*byte = caps->trap_byte;
	rig_debug(rig, &debug);
	exit = rig_run(rig);
	CHECK(rig, is_trap_exit(caps, &exit));
	CHECK(rig, exit.pc == PROBE_CODE + 1 && exit.rip == PROBE_CODE + 1);
	CHECK(rig, rig_rip(rig) == PROBE_CODE + 1);
	*byte = 0x90;
	if (probe_mode_row(mode)->cpl == 0)
		CHECK(rig, rig_run_to_halt(rig, 1));
	tap_result(rig->tap, name);
}

static void test_point(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t code[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xeb, 0xf7};
	struct accel_point point[KVM_POINTS];
	struct accel_debug debug = {.point_count = KVM_POINTS, .point = point};
	char name[80];
	unsigned i;

	snprintf(name, sizeof(name), "four debug registers stop execution in %s",
		 accel_mode_name(mode));
	if (!rig_caps(rig, mode)->has_hw_break) {
		tap_skip(rig->tap, name, "hw-break");
		return;
	}
	rig_load(rig, mode, code, sizeof(code));
	for (i = 0; i < KVM_POINTS; i++)
		point[i] = (struct accel_point){.addr = PROBE_CODE + 1 + i, .len = 1};
	for (i = 0; i < KVM_POINTS; i++) {
		struct accel_exit exit;

		/* The one just hit would hit again at once. */
		if (i)
			point[i - 1].addr = PROBE_DATA;
		rig_debug(rig, &debug);
		exit = rig_run(rig);
		CHECK(rig, exit.kind == ACCEL_EXIT_DEBUG && exit.debug == ACCEL_DEBUG_POINT);
		CHECK(rig,
		      exit.hit_count == 1 && exit.hit[0] == i && exit.pc == PROBE_CODE + 1 + i);
	}
	tap_result(rig->tap, name);
}

static void test_watch(struct rig *rig, enum accel_mode mode)
{
	const struct accel_debug debug = {
		.point_count = 1,
		.point = &(const struct accel_point){
			.kind = ACCEL_POINT_WRITE, .addr = PROBE_DATA, .len = 4}};
	struct accel_exit exit;
	char name[80];

	snprintf(name, sizeof(name), "a watched write in %s stops", accel_mode_name(mode));
	if (!rig_caps(rig, mode)->has_watch_write) {
		tap_skip(rig->tap, name, "watch-w");
		return;
	}
	rig_load(rig, mode, "\x90", 1);
	probe_code_place(rig_ram(rig, 0, PROBE_MEM_BYTES), mode, PROBE_STORE);
	rig_debug(rig, &debug);
	exit = rig_run(rig);
	CHECK(rig, exit.kind == ACCEL_EXIT_DEBUG && exit.debug == ACCEL_DEBUG_POINT);
	CHECK(rig, exit.hit_count == 1 && exit.hit[0] == 0 && exit.pc == PROBE_CODE + 3);
	tap_result(rig->tap, name);
}

/* The guest's own exceptions. */

/* The guest's handler at PROBE_HANDLERS + 4 * vector becomes: OUT to RIG_OUT; HLT. */
static void handler_out(struct rig *rig, unsigned vector)
{
	memcpy(rig_ram(rig, PROBE_HANDLERS + 4ull * vector, 2), "\xee\xf4", 2);
}

static void load_guest_int3(struct rig *rig)
{
	struct x86_state st;

	rig_load(rig, ACCEL_LONG64, "\x90\xcc\x90\xf4", 4);
	handler_out(rig, 3);
	st = rig_get(rig);
	st.gpr[X86_RDX] = RIG_OUT;
	rig_set(rig, &st, X86_STATE_GPR);
}

static void test_reflect_int3(struct rig *rig)
{
	const struct accel_debug debug = {.trap = true};
	struct accel_exit exit;
	struct x86_state st;

	if (rig_caps(rig, ACCEL_LONG64)->trap == ACCEL_TRAP_NONE) {
		tap_skip(rig->tap, "the guest's INT3 is given back", "trap long64");
		return;
	}
	load_guest_int3(rig);
	rig_debug(rig, &debug);
	exit = rig_run(rig);
	CHECK(rig, exit.pc == PROBE_CODE + 1);
	CHECK(rig, rig->ops->reflect(rig->cpu[0], 3, 0) == 0);
	CHECK(rig, rig_run_to_halt(rig, 1));
	st = rig_get(rig);
	CHECK(rig, st.rip == PROBE_HANDLERS + 3 * 4 + 2);
	CHECK(rig, le64_get(rig_ram(rig, st.gpr[X86_RSP], 8)) == PROBE_CODE + 2);
	tap_result(rig->tap, "the guest's INT3 is given back with the address behind it");
}

static void load_guest_db(struct rig *rig, uint64_t rflags)
{
	struct x86_state st;

	rig_load(rig, ACCEL_LONG64, "\x90\x90\x90\xf4", 4);
	handler_out(rig, 1);
	st = rig_get(rig);
	st.gpr[X86_RDX] = RIG_OUT;
	st.rflags |= rflags;
	rig_set(rig, &st, X86_STATE_GPR);
}

/* The handler ran, for an exception at @rip with DR6.BS. */
static void check_guest_db(struct rig *rig, uint64_t rip)
{
	struct x86_state st = rig_get(rig);

	CHECK(rig, st.rip == PROBE_HANDLERS + 1 * 4 + 2);
	CHECK(rig, le64_get(rig_ram(rig, st.gpr[X86_RSP], 8)) == rip);
	CHECK(rig, st.dr[6] & 1 << 14);
}

static void test_reflect_db(struct rig *rig)
{
	load_guest_db(rig, 0);
	CHECK(rig, rig->ops->reflect(rig->cpu[0], 1, 1 << 14) == 0);
	CHECK(rig, rig_run_to_halt(rig, 1));
	check_guest_db(rig, PROBE_CODE);
	tap_result(rig->tap, "a #DB is given to the guest with its DR6");
}

/* The guest traps itself with TF while a debug register of ours is in use.  Some KVMs bring that
 * here, to be given back; some deliver it themselves. */
static void test_guest_tf(struct rig *rig)
{
	const struct accel_debug debug = {
		.point_count = 1,
		.point = &(const struct accel_point){.addr = PROBE_DATA, .len = 1}};
	struct rig_waiter waiter = {.rig = rig, .count = 1};
	struct accel_exit exit;
	pthread_t thread;

	load_guest_db(rig, X86_RFLAGS_TF);
	rig_debug(rig, &debug);
	pthread_create(&thread, NULL, rig_wait_and_kick, &waiter);
	exit = rig_run(rig);
	if (exit.kind == ACCEL_EXIT_DEBUG) {
		CHECK(rig, exit.debug == ACCEL_DEBUG_GUEST && exit.pc == PROBE_CODE + 1);
		CHECK(rig, exit.guest_dr6 & 1 << 14);
		CHECK(rig, rig->ops->reflect(rig->cpu[0], 1, exit.guest_dr6) == 0);
		exit = rig_run(rig);
	}
	CHECK(rig, exit.kind == ACCEL_EXIT_KICKED);
	atomic_store(&rig->pio.count, 1); /* lets the waiter go in any case */
	pthread_join(thread, NULL);
	atomic_store(&rig->req[0], 0);
	CHECK(rig, rig_run_to_halt(rig, 1)); /* the kick may have come before its HLT */
	check_guest_db(rig, PROBE_CODE + 1);
	tap_result(rig->tap, "the guest's own single step reaches its handler");
}

/* Two processors. */

/* Writes the local APIC's interrupt command register: [INIT to all others,] SIPI to 0x9000; hlt. */
static const uint8_t INIT_SIPI[] = {0xb8, 0x00, 0x03, 0xe0, 0xfe, 0xc7, 0x00, 0x00, 0x45,
				    0x0c, 0x00, 0xc7, 0x00, 0x09, 0x46, 0x0c, 0x00, 0xf4};
#define INIT_AT 5u
#define SIPI_AT 11u
/* mov $0x3f8,%dx; mov $'A',%al; out; cli; hlt in real mode */
static const uint8_t AP_CODE[] = {0xba, 0xf8, 0x03, 0xb0, 'A', 0xee, 0xfa, 0xf4};

struct second_cpu {
	struct rig *rig;
	atomic_bool is_open, may_run;
	struct accel_exit exit;
	bool was_waiting;
};

static void *run_second_cpu(void *arg)
{
	struct second_cpu *s = arg;
	struct rig *rig = s->rig;
	struct umbra_err err = {.text = ""};
	struct x86_state st;

	rig_cpu_open(rig, 1);
	rig->ops->vcpu_reset(rig->cpu[1], &err);
	x86_state_reset(&st);
	st.apic_base &= ~(1ull << 8);
	st.activity = X86_WAIT_FOR_SIPI;
	rig->ops->state_set(rig->cpu[1], &st, X86_STATE_ALL, &err);
	s->was_waiting = rig->ops->is_halted_for_good(rig->cpu[1]);
	atomic_store(&s->is_open, true);
	rig->ops->run(rig->cpu[1], &s->exit);
	rig->ops->vcpu_close(rig->cpu[1]);
	return NULL;
}

static void kick_second(struct rig *rig)
{
	atomic_store_explicit(&rig->req[1], 1, memory_order_release);
	rig->ops->kick(rig->cpu[1]);
}

static void test_sipi(struct tap *tap, unsigned start, const char *name)
{
	static struct rig rig; /* large */
	struct second_cpu second = {.rig = &rig};
	pthread_t thread;

	rig_open(&rig, tap, 2);
	rig_start(&rig);
	rig_load(&rig, ACCEL_PROT32, INIT_SIPI, sizeof(INIT_SIPI));
	memset(rig_ram(&rig, PROBE_CODE + INIT_AT, 1), 0x90, start - INIT_AT);
	memcpy(rig_ram(&rig, 0x9000, sizeof(AP_CODE)), AP_CODE, sizeof(AP_CODE));
	pthread_create(&thread, NULL, run_second_cpu, &second);
	while (!atomic_load(&second.is_open))
		sched_yield();
	CHECK(&rig, rig_run_to_halt(&rig, 1));
	CHECK(&rig, rig.pio.event[0].value == 'A');
	kick_second(&rig);
	pthread_join(thread, NULL);
	CHECK(&rig, second.was_waiting);
	CHECK(&rig, second.exit.kind == ACCEL_EXIT_KICKED);
	rig_close(&rig);
	tap_result(tap, name);
}

int main(void)
{
	static struct rig rig; /* large */
	struct tap tap = {0};
	unsigned mode;

	setvbuf(stdout, NULL, _IOLBF, 0);
	rig_open(&rig, &tap, 1);
	rig_start(&rig);
	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++) {
		test_nops(&rig, (enum accel_mode)mode);
		test_trap(&rig, (enum accel_mode)mode);
		test_point(&rig, (enum accel_mode)mode);
		test_watch(&rig, (enum accel_mode)mode);
		test_iret(&rig, (enum accel_mode)mode);
	}
	test_flags(&rig, ACCEL_REAL16);
	test_flags(&rig, ACCEL_PROT32);
	test_flags(&rig, ACCEL_LONG64);
	test_iret_with_points(&rig);
	test_reflect_int3(&rig);
	test_reflect_db(&rig);
	test_guest_tf(&rig);
	test_range_of_steps(&rig);
	rig_close(&rig);
	test_sipi(&tap, INIT_AT, "INIT and SIPI start the second vCPU");
	test_sipi(&tap, SIPI_AT, "SIPI alone starts the second vCPU after reset");
	printf("1..%u\n", tap.count);
	return tap.failed != 0;
}
