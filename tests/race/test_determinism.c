/* Two runs of a guest on the software CPU in deterministic mode are the same run: the same number
 * of instructions of each vCPU, the same time, registers and RAM at the end.  Stops of the world at
 * any moment of the host, and single steps in the second run do not change
 * it. The guests are those of build/guests and the one of smp_guest.h. */
#include "smp_guest.h"
#include "soft_machine.h"

#include "src/accel/soft/irq.h"
#include "src/accel/soft/vm.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SMP_VCPUS  4u
#define SMP_ROUNDS 40u
#define MOST	   20u	 /* looks at other threads between a resume and a stop */
#define RUNS	   4u	 /* that are disturbed, each in another way */
#define FEW	   2000u /* disturbances; then the guest may come to its end */
#define ENOUGH	   2000u /* looks in which a guest gets somewhere on a busy host as well */

enum disturbance { NONE, STOPS, STEPS };

struct subject {
	const char *name;
	const char *image; /* NULL: the guest of smp_guest.h */
	unsigned vcpus;
	unsigned stepped; /* which vCPU may be stepped: one that gets no interrupts, for a step
			   * holds them off; ~0: none */
};

static void open_subject(struct machine *m, const struct subject *subject)
{
	machine_open(m, &(struct machine_config){.image = subject->image, .vcpus = subject->vcpus});
	if (subject->image)
		return;
	smp_guest_load(vm_mem(m->vm), subject->vcpus, SMP_ROUNDS);
	for (unsigned i = 0; i < subject->vcpus; i++) {
		struct x86_state st;

		smp_guest_state(i, &st);
		require(vcpu_state_write(m->world, i, &st, X86_STATE_ALL, NULL) == 0, "a state");
	}
}

static void resume(struct machine *m, const struct subject *subject, enum disturbance how)
{
	if (how == STEPS && machine_chance(m, 4) != 0)
		machine_step(m, subject->stepped);
	else
		machine_run(m);
}

/* To the end, which a device asks for: the picture is that of the instruction behind. */
static void run(const struct subject *subject, enum disturbance how, unsigned seed,
		struct machine_picture *out_picture, unsigned *out_stops)
{
	struct machine m;
	struct cpu_stop stop;

	open_subject(&m, subject);
	m.seed = seed;
	do {
		bool is_disturbed = how != NONE && m.stops < FEW;

		if (is_disturbed)
			resume(&m, subject, how);
		else
			machine_run(&m);
		if (is_disturbed) {
			machine_dawdle(&m, MOST);
			world_stop(m.world, STOP_INTERRUPT);
		}
		machine_wait(&m, &stop);
		require(stop.kind == STOP_INTERRUPT || stop.kind == STOP_STEP ||
				stop.kind == STOP_EXIT,
			"the guest does not break down");
	} while (stop.kind != STOP_EXIT);
	machine_picture(&m, out_picture);
	*out_stops = m.stops;
	machine_close(&m);
}

static bool test(const struct subject *subject, unsigned number)
{
	static struct machine_picture first, again;
	unsigned stops, all_stops = 0, lines = 0;
	char title[64];

	run(subject, NONE, 0, &first, &stops);
	run(subject, NONE, 0, &again, &stops);
	lines += machine_compare(&first, &again, "again");
	for (unsigned n = 0; n < RUNS; n++) {
		bool is_stepped = n % 2 && subject->stepped != ~0u;

		run(subject, is_stepped ? STEPS : STOPS, n + 1, &again, &stops);
		snprintf(title, sizeof(title), "%s %u", is_stepped ? "stepped" : "stopped", n);
		lines += machine_compare(&first, &again, title);
		all_stops += stops;
	}
	printf("%sok %u - %s: %llu instructions on cpu 0 whatever the host did, %u stops\n",
	       lines ? "not " : "", number, subject->name, (unsigned long long)first.retired[0],
	       all_stops);
	fflush(stdout);
	return lines == 0;
}

/* Input.  Each byte is given while the guest waits for it in HLT: the same moment in every run. */

#define INPUT "Hello, umbra! q"

static void end_pump(void *ctx)
{
	loop_quit(ctx, 0);
}

/* Let the control thread's loop do its work for a while; the world stands. */
static void pump(struct machine *m, struct loop_timer *timer)
{
	loop_timer_arm(timer, 1000000);
	loop_run(m->loop);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	require(fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0,
		"the serial port's socket takes a client");
	return fd;
}

/* In HLT, and nothing of what came before is still on its way. */
static bool is_waiting(struct machine *m)
{
	return vcpu_state(m->world, 0, X86_STATE_RUN)->activity == X86_HALTED &&
	       !soft_irq_is_pending(vm_accel_vm(m->vm)->soft.cpu[0]);
}

static void run_until_halted(struct machine *m, unsigned most)
{
	struct cpu_stop stop;

	do {
		machine_run(m);
		machine_dawdle(m, m->stops < FEW ? most : ENOUGH);
		world_stop(m->world, STOP_INTERRUPT);
		machine_wait(m, &stop);
		require(stop.kind == STOP_INTERRUPT, "the guest waits for input");
	} while (!is_waiting(m));
}

static void feed(struct machine *m, struct loop_timer *timer, int fd, unsigned most)
{
	for (const char *byte = INPUT; *byte; byte++) {
		run_until_halted(m, most);
		require(write(fd, byte, 1) == 1, "input is sent");
		while (!soft_irq_is_pending(vm_accel_vm(m->vm)->soft.cpu[0]))
			pump(m, timer);
	}
}

static unsigned run_uart(unsigned most, unsigned seed, struct machine_picture *out_picture)
{
	char path[64], spec[80];
	struct loop_timer *timer;
	struct machine m;
	struct cpu_stop stop;
	int fd;

	snprintf(path, sizeof(path), "/tmp/umbra-test-%d.sock", (int)getpid());
	snprintf(spec, sizeof(spec), "unix:%s", path);
	machine_open(&m, &(struct machine_config){
				 .image = "build/guests/uart_irq.elf", .serial = spec, .vcpus = 1});
	m.seed = seed;
	timer = loop_timer_add(m.loop, end_pump, m.loop);
	require(timer != NULL, "a timer");
	fd = connect_to(path);
	feed(&m, timer, fd, most);
	machine_run(&m);
	machine_wait(&m, &stop);
	require(stop.kind == STOP_EXIT, "the guest comes to its end");
	machine_picture(&m, out_picture);
	loop_timer_del(timer);
	machine_close(&m);
	close(fd);
	return m.stops;
}

static bool test_uart(unsigned number)
{
	static struct machine_picture first, again;
	unsigned lines = 0, stops = run_uart(ENOUGH, 1, &first);

	for (unsigned n = 0; n < RUNS; n++) {
		stops += run_uart(n, n + 2, &again);
		lines += machine_compare(&first, &again, "uart");
	}
	printf("%sok %u - uart_irq: %llu instructions with the same input, %u stops\n",
	       lines ? "not " : "", number, (unsigned long long)first.retired[0], stops);
	fflush(stdout);
	return lines == 0;
}

int main(void)
{
	static const struct subject subjects[] = {
		{"hello64", "build/guests/hello64.elf", 1, 0},
		{"faults", "build/guests/faults.elf", 1, 0},
		{"paging", "build/guests/paging.elf", 1, 0},
		{"smp2", "build/guests/smp2.elf", 2, 0},
		{"smp2, the other stepped", "build/guests/smp2.elf", 2, 1},
		{"remapping and rewriting", NULL, SMP_VCPUS, 0},
	};
	unsigned failed = 0;

	printf("1..%zu\n", UMBRA_ARRAY_SIZE(subjects) + 1);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(subjects); i++)
		failed += !test(&subjects[i], i + 1);
	failed += !test_uart((unsigned)UMBRA_ARRAY_SIZE(subjects) + 1);
	return failed != 0;
}
