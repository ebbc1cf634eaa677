/* IRET in every mode, and the software interrupts that the tests of gates leave out. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define ALL_FLAGS                                                                                  \
	(X86_RFLAGS_STATUS | X86_RFLAGS_TF | X86_RFLAGS_IF | X86_RFLAGS_DF | X86_RFLAGS_IOPL |     \
	 X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_VIF | X86_RFLAGS_VIP |         \
	 X86_RFLAGS_ID)
#define PLAIN_FLAGS (X86_RFLAGS_STATUS | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_NT)
#define HIGH_FLAGS  (X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_ID)
#define VIRTUAL	    (X86_RFLAGS_VIF | X86_RFLAGS_VIP)

static void push_frame(struct world *w, unsigned size, uint64_t flags, uint16_t cs, uint64_t rip)
{
	world_push(w, size, flags);
	world_push(w, size, cs);
	world_push(w, size, rip);
}

/* All flags are popped as ones over zeros, and as zeros over ones. */
static const struct {
	const char *name;
	enum x86_mode mode;
	unsigned cpl, iopl;
	bool is_16;
	uint64_t changed;
} FLAGS[] = {
	{"ring 0", X86_MODE_PROT32, 0, 0, false,
	 PLAIN_FLAGS | HIGH_FLAGS | VIRTUAL | X86_RFLAGS_IF | X86_RFLAGS_IOPL},
	{"ring 0, 16 bits", X86_MODE_PROT32, 0, 0, true,
	 PLAIN_FLAGS | X86_RFLAGS_IF | X86_RFLAGS_IOPL},
	{"ring 3", X86_MODE_PROT32, 3, 0, false, PLAIN_FLAGS | HIGH_FLAGS},
	{"ring 3, IOPL 3", X86_MODE_PROT32, 3, 3, false, PLAIN_FLAGS | HIGH_FLAGS | X86_RFLAGS_IF},
	{"ring 1, IOPL 1", X86_MODE_PROT32, 1, 1, true, PLAIN_FLAGS | X86_RFLAGS_IF},
	{"real, 16 bits", X86_MODE_REAL, 0, 0, true, PLAIN_FLAGS | X86_RFLAGS_IF | X86_RFLAGS_IOPL},
	{"real, 32 bits", X86_MODE_REAL, 0, 0, false,
	 PLAIN_FLAGS | HIGH_FLAGS | X86_RFLAGS_IF | X86_RFLAGS_IOPL},
	{"v86", X86_MODE_V86, 3, 3, true, PLAIN_FLAGS | X86_RFLAGS_IF},
	{"v86, 32 bits", X86_MODE_V86, 3, 3, false, PLAIN_FLAGS | HIGH_FLAGS | X86_RFLAGS_IF},
};

static uint64_t flags_after(size_t i, uint64_t before, uint64_t popped)
{
	struct world w = world_open(FLAGS[i].mode, FLAGS[i].cpl);
	bool is_default_16 = x86_mode_bits(FLAGS[i].mode) == 16;
	uint64_t after, rip = SOFT_RIG_CODE - w.c->seg[X86_CS].base;

	before = (before & ~X86_RFLAGS_IOPL) | (uint64_t)FLAGS[i].iopl << 12;
	soft_set_rflags(w.c, before | (w.c->rflags & X86_RFLAGS_VM));
	push_frame(&w, FLAGS[i].is_16 ? 2 : 4, popped, w.c->seg[X86_CS].selector,
		   FLAGS[i].is_16 ? (uint16_t)rip : rip);
	if (is_default_16 == FLAGS[i].is_16)
		world_expect_ok(WORLD_STEP(&w, 0xcf), FLAGS[i].name);
	else
		world_expect_ok(WORLD_STEP(&w, 0x66, 0xcf), FLAGS[i].name);
	after = soft_rflags(w.c) & ALL_FLAGS;
	world_close(&w);
	return after;
}

Test(soft_iret, flags_when_popped_then_those_that_mode_and_ring_allow)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FLAGS); i++) {
		uint64_t iopl = (uint64_t)FLAGS[i].iopl << 12, mask = FLAGS[i].changed;
		/* NT in front of a protected-mode IRET would be a task return. */
		uint64_t ones = ALL_FLAGS & ~X86_RFLAGS_NT;
		uint64_t set = flags_after(i, 0, ALL_FLAGS), cleared = flags_after(i, ones, 0);

		cr_expect_eq(set, (mask | (iopl & ~mask)), "%s: %#llx", FLAGS[i].name,
			     (unsigned long long)set);
		cr_expect_eq(cleared, (((ones & ~X86_RFLAGS_IOPL) | iopl) & ~mask), "%s: %#llx",
			     FLAGS[i].name, (unsigned long long)cleared);
	}
}

Test(soft_iret, iret_when_outer_then_stack_is_popped_and_data_segments_go)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	world_push(&w, 4, SEL_DATA3);
	world_push(&w, 4, 0x28000);
	push_frame(&w, 4, X86_RFLAGS_IF, SEL_CODE3, 0x12340);
	world_expect_ok(WORLD_STEP(&w, 0xcf), "iret");
	cr_expect(w.c->cpl == 3 && w.c->rip == 0x12340 && w.c->r[X86_RSP] == 0x28000);
	cr_expect(w.c->seg[X86_SS].selector == SEL_DATA3);
	cr_expect(w.c->seg[X86_DS].unusable);
	cr_expect(eq(u64, soft_rflags(w.c), X86_RFLAGS_IF | X86_RFLAGS_FIXED));
	world_close(&w);
}

/* The upper half of ESP stays the kernel's when the new stack has 16 bits. */
Test(soft_iret, iret_when_new_stack_has_16_bits_then_only_sp_changes)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xffff, ACCESS(3, 1, DATA_SEG), 0), 0);
	world_push(&w, 4, SEL_FREE + 3);
	world_push(&w, 4, 0x77778000);
	push_frame(&w, 4, 0, SEL_CODE3, 0x12340);
	world_expect_ok(WORLD_STEP(&w, 0xcf), "iret");
	cr_expect(eq(u64, w.c->r[X86_RSP], (SOFT_RIG_STACK & 0xffff0000) - 0x10000 + 0x8000));
	world_close(&w);
}

Test(soft_iret, iret_when_v86_flag_at_ring_0_then_virtual_8086_mode)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	for (unsigned i = 0; i < 4; i++)
		world_push(&w, 4, 0x4400 - i * 0x1100); /* GS, FS, DS, ES */
	world_push(&w, 4, 0x5500);
	world_push(&w, 4, 0x8000);
	push_frame(&w, 4, X86_RFLAGS_VM | X86_RFLAGS_IOPL, 0x2000, 0x1234);
	world_expect_ok(WORLD_STEP(&w, 0xcf), "iret");
	cr_expect(seg_is_v86(w.c) && w.c->cpl == 3);
	cr_expect(w.c->seg[X86_CS].base == 0x20000 && w.c->rip == 0x1234);
	cr_expect(w.c->seg[X86_SS].base == 0x55000 && w.c->r[X86_RSP] == 0x8000);
	cr_expect(w.c->seg[X86_ES].selector == 0x1100 && w.c->seg[X86_GS].selector == 0x4400);
	cr_expect(w.c->seg[X86_DS].limit == 0xffff && w.c->seg[X86_DS].dpl == 3);
	world_close(&w);
}

Test(soft_iret, iret_when_v86_flag_at_ring_3_then_it_is_ignored)
{
	struct world w = world_open(X86_MODE_PROT32, 3);

	push_frame(&w, 4, X86_RFLAGS_VM, SEL_CODE3, 0x12340);
	world_expect_ok(WORLD_STEP(&w, 0xcf), "iret");
	cr_expect(seg_is_v86(w.c) == false);
	cr_expect(eq(u64, w.c->rip, 0x12340));
	world_close(&w);
}

Test(soft_iret, iret_when_v86_and_iopl_below_3_then_gp)
{
	struct world w = world_open(X86_MODE_V86, 3);

	w.c->nmi_blocked = true;
	world_expect_fault(WORLD_STEP(&w, 0xcf), X86_EXC_GP, 0, "iret");
	cr_expect(w.c->nmi_blocked == false); /* SDM 3A 6.7.1: even then */
	world_close(&w);
}

/* IRETQ at ring 0 to SEL_FREE; SS and RSP are always there. */
static const struct {
	const char *name;
	uint16_t cs, ss;
	unsigned flags; /* of SEL_FREE */
	uint64_t rip;
	unsigned vector, error;
} LONG[] = {
	{"same ring", SEL_CODE0, SEL_DATA0, 0, 0x12340, 0, 0},
	{"null SS at ring 0", SEL_CODE0, 0, 0, 0x12340, 0, 0},
	{"null SS at ring 1", SEL_CODE1, 1, 0, 0x12340, 0, 0},
	{"null SS at ring 3", SEL_CODE3, 3, 0, 0x12340, X86_EXC_GP, 0},
	{"null SS, compatibility mode", SEL_COMPAT0, 0, 0, 0x12340, X86_EXC_GP, 0},
	{"not canonical", SEL_CODE0, SEL_DATA0, 0, 1ull << 47, X86_EXC_GP, 0},
	{"beyond 4 GiB in compatibility mode", SEL_COMPAT3, SEL_DATA3, 0, 1ull << 32, X86_EXC_GP,
	 0},
	{"compatibility mode", SEL_COMPAT3, SEL_DATA3, 0, 0x12340, 0, 0},
	{"L and D", SEL_FREE, SEL_DATA0, 0xe, 0x12340, X86_EXC_GP, SEL_FREE},
	{"SS of another ring", SEL_CODE3, SEL_DATA0, 0, 0x12340, X86_EXC_GP, SEL_DATA0},
};

Test(soft_iret, iretq_when_each_target_then_loaded_or_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(LONG); i++) {
		struct world w = world_open(X86_MODE_LONG64, 0);
		struct soft_rig_result result;

		world_gdt(&w, SEL_FREE,
			  world_descriptor(0, 0xfffff, ACCESS(0, 1, CODE_SEG), LONG[i].flags), 0);
		world_push(&w, 8, LONG[i].ss);
		world_push(&w, 8, 0x28001);
		push_frame(&w, 8, 0, LONG[i].cs, LONG[i].rip);
		result = WORLD_STEP(&w, 0x48, 0xcf);
		if (LONG[i].vector) {
			world_expect_fault(result, LONG[i].vector, LONG[i].error, LONG[i].name);
			cr_expect_eq(w.c->r[X86_RSP], SOFT_RIG_STACK - 40, "%s", LONG[i].name);
		} else {
			world_expect_ok(result, LONG[i].name);
			cr_expect_eq(w.c->r[X86_RSP], 0x28001, "%s", LONG[i].name);
			cr_expect_eq(w.c->seg[X86_SS].selector, LONG[i].ss, "%s", LONG[i].name);
			cr_expect_eq(w.c->cpl, LONG[i].cs & 3, "%s", LONG[i].name);
		}
		world_close(&w);
	}
}

Test(soft_iret, iret_when_nested_task_in_long_mode_then_gp)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	w.c->rflags |= X86_RFLAGS_NT;
	world_expect_fault(WORLD_STEP(&w, 0x48, 0xcf), X86_EXC_GP, 0, "iret");
	world_close(&w);
}

/* Software interrupts. */

Test(soft_iret, into_when_no_overflow_then_nothing)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	world_idt(&w, 4, world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	world_expect_ok(WORLD_STEP(&w, 0xce), "into");
	cr_expect(eq(u64, w.c->rip, SOFT_RIG_CODE + 1));
	soft_set_rflags(w.c, X86_RFLAGS_OF);
	world_expect_ok(WORLD_STEP(&w, 0xce), "into");
	cr_expect(eq(u64, w.c->rip, WORLD_HANDLER));
	cr_expect(eq(u64, world_get(&w, SOFT_RIG_STACK - 12, 4), SOFT_RIG_CODE + 1));
	world_close(&w);
}

/* INT1 is an exception in all but its origin: no DPL check, and EXT in the error code. */
Test(soft_iret, int1_when_gate_of_ring_0_then_delivered_and_absent_then_np_with_ext)
{
	struct world w = world_open(X86_MODE_PROT32, 3);
	uint64_t gate = world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0);

	w.c->dr[6] = 0xffff0ff0;
	world_idt(&w, 1, gate & ~(1ull << 47));
	world_expect_fault(WORLD_STEP(&w, 0xf1), X86_EXC_NP, 1 * 8 + 3, "absent");
	world_idt(&w, 1, gate);
	world_expect_ok(WORLD_STEP(&w, 0xf1), "int1");
	cr_expect(w.c->cpl == 0 && w.c->rip == WORLD_HANDLER);
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 - 20, 4), SOFT_RIG_CODE + 1));
	cr_expect(eq(u64, w.c->dr[6], 0xffff0ff0));
	world_close(&w);
}
