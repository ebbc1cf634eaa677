/* A machine on the software CPU: see soft_machine.h. */
#include "soft_machine.h"

#include "src/accel/soft/vm.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MEM_BYTES (16ull << 20)
#define WAIT_MS	  60000

void require(bool condition, const char *what)
{
	if (condition)
		return;
	printf("not ok - %s\n", what);
	fflush(stdout);
	abort();
}

/* Life. */

static void tell_of_stop(void *stop_fd)
{
	require(eventfd_write(*(int *)stop_fd, 1) == 0, "a stop can be told of");
}

static void create(struct machine *m, const struct machine_config *config)
{
	struct vm_config vm = {
		.accel = &accel_soft,
		.is_parallel = config->is_parallel,
		.is_paranoid = config->is_paranoid,
		.mem_bytes = MEM_BYTES,
		.vcpus = config->vcpus,
		.serial = {config->serial},
		.has_debugexit = true,
		.debugexit_iobase = 0xf4,
		.debugexit_iosize = 4,
		.is_debugexit_plain = true,
		.has_kernel = config->image != NULL,
		.load = {.kernel = config->image},
	};
	struct umbra_err err = {.text = ""};

	m->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop_create(&m->loop, &err) != 0 || vm_create(&m->vm, &vm, m->loop, &err) != 0)
		require(false, err.text);
	m->world = vm_world(m->vm);
	world_set_notify(m->world, tell_of_stop, &m->stop_fd);
	require(vm_start(m->vm, &err) == 0, err.text);
}

void machine_open(struct machine *m, const struct machine_config *config)
{
	struct cpu_stop stop;

	*m = (struct machine){.vcpus = config->vcpus, .seed = 1};
	require(m->vcpus <= MACHINE_MAX_VCPUS, "so many vCPUs");
	create(m, config);
	machine_wait(m, &stop);
	require(stop.kind == STOP_START, "the first stop is START");
	m->stops = 0;
}

void machine_close(struct machine *m)
{
	vm_destroy(m->vm);
	loop_destroy(m->loop);
	close(m->stop_fd);
}

/* Running. */

void machine_wait(struct machine *m, struct cpu_stop *out_stop)
{
	struct pollfd fd = {.fd = m->stop_fd, .events = POLLIN};
	eventfd_t count;

	do {
		while (poll(&fd, 1, WAIT_MS) < 0 && errno == EINTR)
			;
		require(fd.revents & POLLIN, "a stop comes in time");
		eventfd_read(m->stop_fd, &count);
	} while (!world_take_stop(m->world, out_stop));
	m->stops++;
	if (out_stop->text[0])
		printf("# %s\n", out_stop->text);
}

void machine_run(struct machine *m)
{
	struct vcpu_plan plan[MACHINE_MAX_VCPUS] = {{.action = PLAN_RUN}};

	for (unsigned i = 0; i < m->vcpus; i++)
		plan[i].action = PLAN_RUN;
	world_resume(m->world, plan);
}

void machine_step(struct machine *m, unsigned vcpu)
{
	struct vcpu_plan plan[MACHINE_MAX_VCPUS] = {{.action = PLAN_RUN}};

	for (unsigned i = 0; i < m->vcpus; i++)
		plan[i].action = i == vcpu ? PLAN_STEP : PLAN_RUN;
	world_resume(m->world, plan);
}

unsigned machine_chance(struct machine *m, unsigned below)
{
	return (unsigned)rand_r(&m->seed) % below;
}

void machine_dawdle(struct machine *m, unsigned most)
{
	for (unsigned n = machine_chance(m, most + 1); n > 0; n--)
		sched_yield();
}

/* Pictures. */

static uint64_t hash_ram(const struct mem_space *mem)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (unsigned i = 0; mem_region_at(mem, i); i++) {
		const struct mem_region *r = mem_region_at(mem, i);

		for (uint64_t at = 0; at < r->len; at += 8)
			hash = (hash ^ le64_get(r->host + at)) * 0x100000001b3;
	}
	return hash;
}

void machine_picture(struct machine *m, struct machine_picture *out_picture)
{
	memset(out_picture, 0, sizeof(*out_picture));
	out_picture->vcpus = m->vcpus;
	out_picture->ram = hash_ram(vm_mem(m->vm));
	for (unsigned i = 0; i < m->vcpus; i++) {
		const struct x86_state *st = vcpu_state(m->world, i, X86_STATE_ALL);

		require(st != NULL, "registers are readable while STOPPED");
		out_picture->state[i] = *st;
		out_picture->retired[i] = vm_accel_vm(m->vm)->soft.cpu[i]->retired;
	}
}

struct comparison {
	const char *title;
	unsigned vcpu, lines;
};

static void same(struct comparison *c, const char *name, uint64_t a, uint64_t b)
{
	if (a == b)
		return;
	c->lines++;
	printf("# %s: cpu%u %s %#llx %#llx\n", c->title, c->vcpu, name, (unsigned long long)a,
	       (unsigned long long)b);
}

static void same_bytes(struct comparison *c, const char *name, const void *a, const void *b,
		       size_t len)
{
	same(c, name, 0, memcmp(a, b, len) != 0);
}

static void compare_segments(struct comparison *c, const struct x86_state *a,
			     const struct x86_state *b)
{
	static const char *const name[] = {"es", "cs", "ss", "ds", "fs", "gs"};

	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		same(c, name[i], a->seg[i].selector, b->seg[i].selector);
		same(c, name[i], a->seg[i].base, b->seg[i].base);
		same(c, name[i], a->seg[i].limit, b->seg[i].limit);
		same(c, name[i], a->seg[i].type, b->seg[i].type);
	}
	same(c, "gdtr", a->gdtr.base, b->gdtr.base);
	same(c, "idtr", a->idtr.base, b->idtr.base);
	same(c, "tr", a->tr.selector, b->tr.selector);
}

static void compare_state(struct comparison *c, const struct x86_state *a,
			  const struct x86_state *b)
{
	same(c, "rip", a->rip, b->rip);
	same(c, "rflags", a->rflags, b->rflags);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		same(c, "gpr", a->gpr[i], b->gpr[i]);
	compare_segments(c, a, b);
	same(c, "cr0", a->cr0, b->cr0);
	same(c, "cr2", a->cr2, b->cr2);
	same(c, "cr3", a->cr3, b->cr3);
	same(c, "cr4", a->cr4, b->cr4);
	same(c, "cr8", a->cr8, b->cr8);
	same(c, "efer", a->efer, b->efer);
	same(c, "apic_base", a->apic_base, b->apic_base);
	same(c, "tsc", a->msr.tsc, b->msr.tsc);
	same(c, "activity", a->activity, b->activity);
	same(c, "shadow", a->is_in_int_shadow, b->is_in_int_shadow);
	same_bytes(c, "dr", a->dr, b->dr, sizeof(a->dr));
	same_bytes(c, "st", a->fpu.st, b->fpu.st, sizeof(a->fpu.st));
	same_bytes(c, "xmm", a->fpu.xmm, b->fpu.xmm, sizeof(a->fpu.xmm));
}

unsigned machine_compare(const struct machine_picture *a, const struct machine_picture *b,
			 const char *title)
{
	struct comparison c = {.title = title};

	for (; c.vcpu < a->vcpus; c.vcpu++) {
		same(&c, "instructions", a->retired[c.vcpu], b->retired[c.vcpu]);
		compare_state(&c, &a->state[c.vcpu], &b->state[c.vcpu]);
	}
	c.vcpu = 0;
	same(&c, "ram", a->ram, b->ram);
	return c.lines;
}
