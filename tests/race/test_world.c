/* Stop-the-world under fire: four vCPUs of a mock back end, random plans, breakpoints that all of
 * them keep running into, Ctrl-C at random moments.  Laws that must hold:
 *   1. each resume is answered by exactly one stop;
 *   2. while the world is STOPPED no vCPU executes;
 *   3. no breakpoint is passed without having been told, and none is told twice;
 *   4. planted bytes are never seen in memory while STOPPED.
 * A plain program, because Criterion does not start under ThreadSanitizer. */

#include "mock_accel.h"

#include "umbra/cpu.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define VCPUS	   4u
#define CYCLES	   10000u
#define SOFT_ADDR  (MOCK_START + 10)
#define HARD_ADDR  (MOCK_START + 40)
#define RAM_BYTES  0x10000u
#define MEET_TURNS 1000u

static const gva_t bp_addr[] = {SOFT_ADDR, HARD_ADDR};

struct fixture {
	struct mem_space *mem;
	struct accel_vm *accel_vm;
	struct world *world;
	int stop_fd; /* an eventfd, readable when there is a stop to take */
	unsigned seed;
	/* Per vCPU and breakpoint: it stopped here and may execute the instruction once; the stop
	 * was the breakpoint's, or took its place. */
	bool may_pass[VCPUS][UMBRA_ARRAY_SIZE(bp_addr)], is_told[VCPUS][UMBRA_ARRAY_SIZE(bp_addr)];
	uint64_t passed[VCPUS][UMBRA_ARRAY_SIZE(bp_addr)];
	unsigned stops[STOP_TIMEOUT + 1];
};

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	printf("not ok 1 - %s\n", what);
	fflush(stdout);
	abort();
}

static void tell_of_stop(void *stop_fd)
{
	require(eventfd_write(*(int *)stop_fd, 1) == 0, "a stop can be told of");
}

static void wait_for_stop(struct fixture *f, struct cpu_stop *stop)
{
	struct pollfd fd = {.fd = f->stop_fd, .events = POLLIN};
	eventfd_t count;

	do {
		while (poll(&fd, 1, 10000) < 0 && errno == EINTR)
			;
		require(fd.revents & POLLIN, "a stop comes within ten seconds");
		eventfd_read(f->stop_fd, &count);
	} while (!world_take_stop(f->world, stop));
	require(world_state(f->world) == WORLD_STOPPED, "a taken stop means STOPPED");
	require(mock_running() == 0, "no vCPU executes while STOPPED");
	f->stops[stop->kind]++;
}

static uint64_t rip_of(struct fixture *f, unsigned vcpu)
{
	const struct x86_state *st = vcpu_state(f->world, vcpu, X86_STATE_GPR);

	require(st != NULL, "registers are readable while STOPPED");
	return st->rip;
}

/* Laws 3 and 4 after each stop. */
static void check_stop(struct fixture *f, const struct cpu_stop *stop)
{
	uint8_t byte = 0xff;

	require(mem_peek(f->mem, SOFT_ADDR, &byte, 1) == 1 && byte == 0x90,
		"planted bytes are gone while STOPPED");
	for (unsigned v = 0; v < VCPUS; v++) {
		for (unsigned b = 0; b < UMBRA_ARRAY_SIZE(bp_addr); b++) {
			uint64_t now = mock_executed(v, bp_addr[b]);
			uint64_t delta = now - f->passed[v][b];

			require(delta <= 1, "a breakpoint is passed at most once per resume");
			require(delta == 0 || f->may_pass[v][b],
				"a breakpoint is passed only after it was told");
			if (delta)
				f->may_pass[v][b] = f->is_told[v][b] = false;
			f->passed[v][b] = now;
			if (stop->vcpu == v && rip_of(f, v) == bp_addr[b]) {
				require(stop->kind != STOP_BREAK || !f->is_told[v][b],
					"a breakpoint is told once");
				f->may_pass[v][b] = true;
				/* A step that ends there tells of none: going on meets it. */
				f->is_told[v][b] |= stop->kind != STOP_STEP;
			}
		}
	}
}

static struct vcpu_plan random_plan(struct fixture *f)
{
	switch (rand_r(&f->seed) % 8) {
	case 0:
		return (struct vcpu_plan){.action = PLAN_STEP};
	case 1:
		return (struct vcpu_plan){
			.action = PLAN_RANGE, .start = MOCK_START, .end = MOCK_START + 32};
	case 2:
		return (struct vcpu_plan){.action = PLAN_HOLD};
	default:
		return (struct vcpu_plan){.action = PLAN_RUN};
	}
}

static void cycle(struct fixture *f)
{
	struct vcpu_plan plan[VCPUS];
	struct cpu_stop stop;
	bool can_move = false;

	for (unsigned v = 0; v < VCPUS; v++) {
		plan[v] = random_plan(f);
		can_move |= plan[v].action != PLAN_HOLD;
	}
	world_resume(f->world, plan);
	while (rand_r(&f->seed) % 5 == 0) {
		world_stop(f->world, STOP_PAUSE);
		wait_for_stop(f, &stop);
		if (stop.kind != STOP_PAUSE) {
			check_stop(f, &stop);
			return;
		}
		world_resume_as_before(f->world);
	}
	if (!can_move || rand_r(&f->seed) % 5 == 0)
		world_stop(f->world, STOP_INTERRUPT);
	wait_for_stop(f, &stop);
	check_stop(f, &stop);
}

static void set_up_on(struct fixture *f, const struct accel_ops *accel)
{
	struct x86_state boot;
	struct accel_vm_config vm_config = {.vcpus = VCPUS};
	struct world_config config = {.vcpus = VCPUS, .accel = accel};
	struct cpu_stop stop;
	uint8_t nops[MOCK_LEN];

	memset(nops, 0x90, sizeof(nops));
	require(mem_create(&f->mem, NULL) == 0, "memory");
	require(mem_add(f->mem, 0, RAM_BYTES, MEM_RAM, "ram", NULL) == 0, "ram");
	mem_poke(f->mem, MOCK_START, nops, sizeof(nops));
	vm_config.mem = f->mem;
	mock_accel.vm_open(&f->accel_vm, &vm_config, NULL);
	config.mem = f->mem;
	config.accel_vm = f->accel_vm;
	require(world_create(&f->world, &config, NULL) == 0, "world");
	f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world_set_notify(f->world, tell_of_stop, &f->stop_fd);
	x86_state_reset(&boot);
	boot.seg[X86_CS] = x86_seg_real(0);
	boot.rip = MOCK_START;
	require(world_start(f->world, &boot, NULL) == 0, "threads");
	wait_for_stop(f, &stop);
	require(stop.kind == STOP_START, "the first stop is START");
	for (unsigned v = 0; v < VCPUS; v++) {
		for (unsigned b = 0; b < UMBRA_ARRAY_SIZE(bp_addr); b++)
			f->passed[v][b] = mock_executed(v, bp_addr[b]);
	}
}

static void set_up(struct fixture *f)
{
	set_up_on(f, &mock_accel);
}

static void tear_down(struct fixture *f)
{
	world_destroy(f->world);
	mock_accel.vm_close(f->accel_vm);
	mem_destroy(f->mem);
	close(f->stop_fd);
}

static void test_random_cycles(unsigned number, const struct accel_ops *accel)
{
	struct fixture f = {.seed = 1};

	set_up_on(&f, accel);
	require(bp_insert(f.world, BP_SOFT, SOFT_ADDR, 1, NULL) == 0, "soft breakpoint");
	require(bp_insert(f.world, BP_HARD, HARD_ADDR, 1, NULL) == 0, "hard breakpoint");
	for (unsigned i = 0; i < CYCLES; i++)
		cycle(&f);
	require(f.stops[STOP_BREAK] > CYCLES / 10 && f.stops[STOP_STEP] && f.stops[STOP_INTERRUPT],
		"all kinds of stops happened");
	tear_down(&f);
	printf("ok %u - %u stop and go cycles: %u breaks, %u steps, %u interrupts\n", number,
	       CYCLES, f.stops[STOP_BREAK], f.stops[STOP_STEP], f.stops[STOP_INTERRUPT]);
}

static void post_exit(void *arg)
{
	struct fixture *f = arg;

	world_post(f->world, STOP_EXIT, 42);
}

/* A device asks for the end while a debugger steps: the request is the cause, and comes once. */
static void test_posted_exit(void)
{
	struct fixture f = {.seed = 2};
	struct vcpu_plan plan[VCPUS] = {{.action = PLAN_STEP}};
	struct cpu_stop stop;

	mock_set_io(MOCK_START, post_exit, &f);
	set_up(&f);
	for (unsigned v = 1; v < VCPUS; v++)
		plan[v].action = PLAN_HOLD;
	world_resume(f.world, plan);
	wait_for_stop(&f, &stop);
	require(stop.kind == STOP_EXIT && stop.code == 42, "the device's request is the cause");
	require(!world_take_stop(f.world, &stop), "a stop is taken once");
	tear_down(&f);
	mock_set_io(0, NULL, NULL);
	printf("ok 2 - a device's request stops the world once\n");
}

/* An event that waits for its turn is dropped when its breakpoint goes. */
static void test_deleted_breakpoint(void)
{
	struct fixture f = {.seed = 3};
	struct vcpu_plan plan[VCPUS];
	struct cpu_stop stop;
	unsigned told = 0;

	set_up(&f);
	bp_insert(f.world, BP_SOFT, SOFT_ADDR, 1, NULL);
	for (unsigned v = 0; v < VCPUS; v++)
		plan[v].action = PLAN_RUN;
	for (unsigned i = 0; i < 100; i++) {
		world_resume(f.world, plan);
		wait_for_stop(&f, &stop);
		told += stop.kind == STOP_BREAK;
	}
	require(told == 100, "every stop was the breakpoint");
	bp_clear(f.world);
	world_resume(f.world, plan);
	world_stop(f.world, STOP_INTERRUPT);
	wait_for_stop(&f, &stop);
	require(stop.kind == STOP_INTERRUPT, "nothing is told of a deleted breakpoint");
	tear_down(&f);
	printf("ok 3 - a deleted breakpoint's event is dropped\n");
}

static void plan_one(struct vcpu_plan *plan, unsigned vcpu, enum plan_action action)
{
	for (unsigned v = 0; v < VCPUS; v++)
		plan[v] = (struct vcpu_plan){.action = v == vcpu ? action : PLAN_HOLD};
}

static void move_to(struct fixture *f, unsigned vcpu, uint64_t rip)
{
	struct x86_state st = *vcpu_state(f->world, vcpu, X86_STATE_GPR);

	st.rip = rip;
	require(vcpu_state_write(f->world, vcpu, &st, X86_STATE_GPR, NULL) == 0, "rip is written");
}

/* Before the breakpoint, wait a moment for a second vCPU: both are to run into it at once. */
static void meet(void *arg)
{
	atomic_uint *arrived = arg;

	atomic_fetch_add(arrived, 1);
	for (unsigned turn = 0; turn < MEET_TURNS && atomic_load(arrived) < 2; turn++)
		sched_yield();
}

/* Several run into the breakpoint at once: one is told, others may be latched.  They are held while
 * the first steps, then moved away. */
static void check_others_wait(struct fixture *f, unsigned first)
{
	struct vcpu_plan plan[VCPUS];
	struct cpu_stop stop;

	plan_one(plan, first, PLAN_STEP);
	world_resume(f->world, plan);
	wait_for_stop(f, &stop);
	require(stop.kind == STOP_STEP && stop.vcpu == first, "a vCPU that is held tells nothing");
	for (unsigned v = 0; v < VCPUS; v++) {
		if (v == first || rip_of(f, v) != SOFT_ADDR)
			continue;
		move_to(f, v, SOFT_ADDR + 5);
		plan_one(plan, v, PLAN_STEP);
		world_resume(f->world, plan);
		wait_for_stop(f, &stop);
		require(stop.kind == STOP_STEP && stop.vcpu == v && rip_of(f, v) == SOFT_ADDR + 6,
			"an event is dropped when the debugger moves its vCPU elsewhere");
	}
}

static void test_latched_events(void)
{
	struct fixture f = {.seed = 4};
	struct vcpu_plan plan[VCPUS] = {{.action = PLAN_RUN}};
	struct cpu_stop stop;
	atomic_uint arrived;

	mock_set_io(SOFT_ADDR - 1, meet, &arrived);
	set_up(&f);
	bp_insert(f.world, BP_SOFT, SOFT_ADDR, 1, NULL);
	for (unsigned i = 0; i < 1000; i++) {
		atomic_store(&arrived, 0);
		for (unsigned v = 0; v < VCPUS; v++)
			plan[v].action = PLAN_RUN;
		world_resume(f.world, plan);
		wait_for_stop(&f, &stop);
		if (stop.kind == STOP_BREAK)
			check_others_wait(&f, stop.vcpu);
	}
	require(f.stops[STOP_BREAK] > 0, "the breakpoint was hit");
	tear_down(&f);
	mock_set_io(0, NULL, NULL);
	printf("ok 4 - latched events wait for their vCPU's turn, and go when it is moved\n");
}

static void post_reset(void *arg)
{
	struct fixture *f = arg;

	world_post(f->world, STOP_RESET, 0);
}

/* The machine goes on by itself after a reset, unless somebody waits for the stop. */
static bool is_reset_awaited(struct fixture *f, enum plan_action action, bool is_interrupted)
{
	struct vcpu_plan plan[VCPUS];
	struct cpu_stop stop;

	move_to(f, 0, MOCK_START);
	plan_one(plan, 0, action);
	world_resume(f->world, plan);
	while (world_state(f->world) != WORLD_STOPPED)
		;
	if (is_interrupted)
		world_stop(f->world, STOP_INTERRUPT);
	wait_for_stop(f, &stop);
	require(stop.kind == STOP_RESET, "the device's request is the cause");
	return stop.is_awaited;
}

static void test_awaited_reset(void)
{
	struct fixture f = {.seed = 5};

	mock_set_io(MOCK_START, post_reset, &f);
	set_up(&f);
	require(!is_reset_awaited(&f, PLAN_RUN, false), "nobody waits for this one");
	require(is_reset_awaited(&f, PLAN_RUN, true), "a Ctrl-C on the way is not lost");
	require(!is_reset_awaited(&f, PLAN_RUN, false), "a Ctrl-C is answered once");
	require(is_reset_awaited(&f, PLAN_STEP, false), "a step waits for its end");
	tear_down(&f);
	mock_set_io(0, NULL, NULL);
	printf("ok 5 - a reset tells whether somebody waits for a stop\n");
}

/* A halted vCPU at a breakpoint is not stepped over it with the others held: one of them is to wake
 * it. */
static void test_halted_at_breakpoint(void)
{
	struct fixture f = {.seed = 6};
	struct vcpu_plan plan[VCPUS];
	struct x86_state halted;
	struct cpu_stop stop;

	mock_set_io(MOCK_START + 5, mock_wake, NULL);
	set_up(&f);
	plan_one(plan, 0, PLAN_STEP);
	world_resume(f.world, plan);
	wait_for_stop(&f, &stop); /* vCPU 0 is the one that was told */
	halted = *vcpu_state(f.world, 0, X86_STATE_ALL);
	halted.activity = X86_HALTED;
	require(vcpu_state_write(f.world, 0, &halted, X86_STATE_ALL, NULL) == 0, "halted");
	bp_insert(f.world, BP_SOFT, halted.rip, 1, NULL);
	plan_one(plan, 0, PLAN_RUN);
	plan[1].action = PLAN_RUN;
	move_to(&f, 1, MOCK_START + 3);
	do { /* the other one comes by as well */
		world_resume(f.world, plan);
		wait_for_stop(&f, &stop);
		require(stop.kind == STOP_BREAK && stop.addr == halted.rip, "a break");
	} while (stop.vcpu != 0);
	tear_down(&f);
	mock_set_io(0, NULL, NULL);
	printf("ok 6 - a halted vCPU at a breakpoint waits for the others\n");
}

/* What stops at once has stopped when world_resume returns, and what does not goes on on its own
 * thread. */
static void test_brief_run(const struct accel_ops *accel)
{
	struct fixture f = {.seed = 7};
	struct vcpu_plan plan[VCPUS];
	struct cpu_stop stop;

	set_up_on(&f, accel);
	plan_one(plan, 1, PLAN_STEP);
	for (unsigned i = 0; i < 1000; i++) {
		world_resume(f.world, plan);
		require(world_take_stop(f.world, &stop), "the step has ended");
		require(stop.kind == STOP_STEP && stop.vcpu == 1, "and it is told");
	}
	move_to(&f, 1, HARD_ADDR - MOCK_BRIEF - 1);
	bp_insert(f.world, BP_HARD, HARD_ADDR, 1, NULL);
	plan_one(plan, 1, PLAN_RUN);
	world_resume(f.world, plan);
	wait_for_stop(&f, &stop);
	require(stop.kind == STOP_BREAK && stop.vcpu == 1, "further away it is met as well");
	tear_down(&f);
	printf("ok 8 - what stops at once has stopped when world_resume returns\n");
}

int main(void)
{
	struct accel_ops brief = mock_accel;

	brief.run_briefly = mock_run_briefly;
	printf("1..8\n");
	test_random_cycles(1, &mock_accel);
	test_posted_exit();
	test_deleted_breakpoint();
	test_latched_events();
	test_awaited_reset();
	test_halted_at_breakpoint();
	test_random_cycles(7, &brief);
	test_brief_run(&brief);
	return 0;
}
