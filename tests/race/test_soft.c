/* The software CPU with several vCPUs, in turns and at once, under stops of the world: a guest
 * whose vCPUs remap pages and rewrite code under each other (smp_guest.h).  Under ThreadSanitizer
 * nothing of umbra's own may race. A plain program, because Criterion does not start under
 * ThreadSanitizer. */
#include "smp_guest.h"
#include "soft_machine.h"

#include <stddef.h>
#include <stdio.h>

#define VCPUS  4u
#define ROUNDS 60u
#define MOST   40u /* looks at other threads between a resume and a stop */

static void open_guest(struct machine *m, bool is_parallel, unsigned rounds)
{
	machine_open(m, &(struct machine_config){.vcpus = VCPUS, .is_parallel = is_parallel});
	smp_guest_load(vm_mem(m->vm), VCPUS, rounds);
	for (unsigned i = 0; i < VCPUS; i++) {
		struct umbra_err err = {.text = ""};
		struct x86_state st;

		smp_guest_state(i, &st);
		if (vcpu_state_write(m->world, i, &st, X86_STATE_ALL, &err) != 0)
			require(false, err.text);
	}
}

/* What a debugger does while the world stands: reads registers, sets and clears points. */
static void look_around(struct machine *m)
{
	static const gva_t place[] = {SMP_GUEST_CODE, 0x17000, 0x200000};
	gva_t addr = place[machine_chance(m, 3)];
	bool is_watch = machine_chance(m, 2);
	enum bp_kind kind = is_watch ? BP_WATCH_WRITE : BP_SOFT;

	for (unsigned i = 0; i < m->vcpus; i++)
		require(vcpu_state(m->world, i, X86_STATE_ALL) != NULL, "registers");
	if (machine_chance(m, 4) == 0)
		bp_insert(m->world, kind, addr, 8, NULL);
	else if (machine_chance(m, 4) == 0)
		bp_clear(m->world);
}

/* Some run, some are held; none is alone, for it may wait for the others. */
static void resume_somehow(struct machine *m)
{
	struct vcpu_plan plan[VCPUS];

	for (unsigned i = 0; i < VCPUS; i++) {
		static const enum plan_action action[] = {PLAN_RUN, PLAN_RUN, PLAN_RUN, PLAN_STEP,
							  PLAN_HOLD};

		plan[i] = (struct vcpu_plan){.action = action[machine_chance(m, 5)]};
	}
	world_resume(m->world, plan);
}

static void run_with_stops(struct machine *m)
{
	struct cpu_stop stop = {.kind = STOP_NONE};

	while (stop.kind != STOP_EXIT) {
		if (machine_chance(m, 3) == 0)
			resume_somehow(m);
		else
			machine_run(m);
		machine_dawdle(m, MOST);
		world_stop(m->world, STOP_INTERRUPT);
		machine_wait(m, &stop);
		require(stop.kind == STOP_INTERRUPT || stop.kind == STOP_STEP ||
				stop.kind == STOP_BREAK || stop.kind == STOP_WATCH ||
				stop.kind == STOP_EXIT,
			"the guest does not break down");
		look_around(m);
	}
}

static void run_freely(struct machine *m)
{
	struct cpu_stop stop;

	machine_run(m);
	machine_wait(m, &stop);
	require(stop.kind == STOP_EXIT, "the guest comes to its end");
}

static void check_result(struct machine *m, unsigned rounds)
{
	struct smp_guest_data data;
	uint64_t own = 0, open;

	mem_peek(vm_mem(m->vm), SMP_GUEST_DATA, &data, sizeof(data));
	for (unsigned i = 0; i < VCPUS; i++)
		own += data.own[i][0];
	require(data.round == rounds, "all rounds were gone through");
	require(data.bad_page == 0, "a page that was remapped is seen as remapped");
	require(data.bad_code == 0, "code that was rewritten is executed as rewritten");
	/* A vCPU that was stopped has counted in the one and not yet in the other. */
	open = data.total - own;
	require(open < VCPUS, "no locked addition is lost");
}

static void test(unsigned number, bool is_parallel, bool is_stopped)
{
	struct machine m;

	open_guest(&m, is_parallel, ROUNDS);
	m.seed = number;
	if (is_stopped)
		run_with_stops(&m);
	else
		run_freely(&m);
	check_result(&m, ROUNDS);
	printf("ok %u - %u vCPUs %s remap and rewrite under each other, %u stops\n", number, VCPUS,
	       is_parallel ? "at once" : "in turns", m.stops);
	fflush(stdout);
	machine_close(&m);
}

int main(void)
{
	printf("1..4\n");
	test(1, false, false);
	test(2, false, true);
	test(3, true, false);
	test(4, true, true);
	return 0;
}
