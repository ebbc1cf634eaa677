/* What the debugger wants to see, in front of it, and once. */
#include "seg_world.h"
#include "src/accel/soft/catch.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define STAR (0x23ull << 48 | 0x13ull << 32)

static void expect_caught(const struct world *w, const struct soft_rig_result *result,
			  enum accel_caught_kind kind, uint32_t number)
{
	cr_expect_eq(result->end, SOFT_RIG_CAUGHT);
	cr_expect_eq(w->c->caught.kind, kind);
	cr_expect_eq(w->c->caught.number, number);
	cr_expect_eq(w->c->rip, SOFT_RIG_CODE, "it is in front of it");
}

Test(soft_catch, ports_when_in_a_range_then_caught_in_their_direction)
{
	static const struct {
		uint8_t code[2];
		uint16_t dx;
		bool is_caught;
	} rows[] = {
		{{0xee}, 0x3f8, true},	/* out %al,(%dx) */
		{{0xee}, 0x3f7, false}, /* in front of the range */
		{{0xef}, 0x3f5, true},	/* four bytes reach into it */
		{{0xee}, 0x3ff, true},	{{0xee}, 0x400, false},
		{{0xec}, 0x3f8, false}, /* in (%dx),%al: writes only */
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(X86_MODE_LONG64, 0);
		struct accel_catch want = {
			.port = {{.first = 0x3f8, .last = 0x3ff, .on_write = true}},
			.port_count = 1};
		struct soft_rig_result result;

		w.c->debug.catch = &want;
		w.c->r[X86_RDX] = rows[i].dx;
		w.c->r[X86_RAX] = 0x41;
		result = world_step(&w, rows[i].code, 1);
		cr_expect_eq(result.end == SOFT_RIG_CAUGHT, rows[i].is_caught, "row %zu", i);
		if (rows[i].is_caught) {
			expect_caught(&w, &result, ACCEL_CAUGHT_PORT_WRITE, rows[i].dx);
			cr_expect_eq(w.c->caught.value, 0x41);
			w.c->pass_catch = true;
			world_expect_ok(world_step(&w, rows[i].code, 1), "passed");
		}
		world_close(&w);
	}
}

Test(soft_catch, msr_when_wanted_then_caught_with_the_value)
{
	struct world w = world_open(X86_MODE_LONG64, 0);
	struct accel_catch want = {
		.msr = {{.first = 0xc0000081, .last = 0xc0000082, .on_write = true}},
		.msr_count = 1};
	struct soft_rig_result result;

	w.c->debug.catch = &want;
	w.c->r[X86_RCX] = 0xc0000082;
	w.c->r[X86_RDX] = 0xffff8000;
	w.c->r[X86_RAX] = 0x1000;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x32), "rdmsr is not wanted");
	w.c->r[X86_RDX] = 0xffff8000;
	w.c->r[X86_RAX] = 0x1000;
	result = WORLD_STEP(&w, 0x0f, 0x30);
	expect_caught(&w, &result, ACCEL_CAUGHT_MSR_WRITE, 0xc0000082);
	cr_expect_eq(w.c->caught.value, 0xffff800000001000);
	cr_expect_eq(w.c->msr.lstar, 0, "not written yet");
	world_close(&w);
}

/* Entry, the way through, and the return that belongs to it. */
Test(soft_catch, syscall_when_it_returns_then_known_by_its_place)
{
	struct world w = world_open(X86_MODE_LONG64, 3);
	struct accel_catch want = {.has_syscalls = true, .syscall = {[0] = 1ull << 59}};
	struct soft_rig_result result;

	w.c->msr.star = STAR;
	w.c->msr.lstar = SOFT_RIG_CODE;
	w.c->debug.catch = &want;
	w.c->r[X86_RAX] = 60;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "another number");
	w.c->r[X86_R11] = 2;
	world_expect_ok(WORLD_STEP(&w, 0x48, 0x0f, 0x07), "sysretq");
	cr_expect_not(w.c->has_caught);
	w.c->r[X86_RAX] = 59;
	result = WORLD_STEP(&w, 0x0f, 0x05);
	expect_caught(&w, &result, ACCEL_CAUGHT_SYSCALL, 59);
	w.c->pass_catch = true;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "syscall");
	w.c->pass_catch = false;
	w.c->r[X86_RAX] = 0;
	world_expect_ok(WORLD_STEP(&w, 0x48, 0x0f, 0x07), "sysretq");
	cr_expect(w.c->has_caught && w.c->caught.kind == ACCEL_CAUGHT_SYSRET);
	cr_expect_eq(w.c->caught.number, 59);
	world_close(&w);
}

Test(soft_catch, sysenter_when_sysexit_follows_then_its_return)
{
	struct world w = world_open(X86_MODE_LONG64, 3);
	struct accel_catch want = {.has_syscalls = true, .has_all_syscalls = true};
	struct soft_rig_result result;

	w.c->msr.sysenter_cs = 0x10;
	w.c->msr.sysenter_eip = 0x2000;
	w.c->debug.catch = &want;
	w.c->r[X86_RAX] = 5;
	result = WORLD_STEP(&w, 0x0f, 0x34);
	expect_caught(&w, &result, ACCEL_CAUGHT_SYSCALL, 5);
	w.c->pass_catch = true;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x34), "sysenter");
	w.c->pass_catch = false;
	world_expect_ok(WORLD_STEP(&w, 0x48, 0x0f, 0x35), "sysexit");
	cr_expect(w.c->has_caught && w.c->caught.number == 5);
	world_close(&w);
}

Test(soft_catch, int_80_and_int3_when_wanted_then_caught)
{
	struct world w = world_open(X86_MODE_LONG64, 0);
	struct accel_catch want = {.has_syscalls = true, .has_all_syscalls = true};
	struct soft_rig_result result;

	w.c->debug.catch = &want;
	w.c->r[X86_RAX] = 4;
	result = WORLD_STEP(&w, 0xcd, 0x80);
	expect_caught(&w, &result, ACCEL_CAUGHT_SYSCALL, 4);
	result = WORLD_STEP(&w, 0xcd, 0x81);
	cr_expect_neq(result.end, SOFT_RIG_CAUGHT);
	world_close(&w);
	w = world_open(X86_MODE_LONG64, 0);
	want = (struct accel_catch){.vectors = 1u << X86_EXC_BP};
	w.c->debug.catch = &want;
	result = WORLD_STEP(&w, 0xcc);
	expect_caught(&w, &result, ACCEL_CAUGHT_EXCEPTION, X86_EXC_BP);
	world_close(&w);
}
