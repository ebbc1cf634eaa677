/* Far JMP, CALL and RET between code segments, in every mode. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define JMP_FAR	 0xea
#define CALL_FAR 0x9a

static struct soft_rig_result far_direct(struct world *w, uint8_t opcode, uint16_t selector,
					 uint32_t offset)
{
	uint8_t code[7] = {opcode};

	le32_put(code + 1, offset);
	le16_put(code + 5, selector);
	return world_step(w, code, sizeof(code));
}

/* JMP to SEL_FREE described by @access; the segment has a limit of 64 KiB - 1. */
static const struct {
	const char *name;
	unsigned cpl;
	uint16_t selector;
	unsigned access;
	uint32_t offset;
	unsigned vector, error;
} JUMPS[] = {
	{"null", 0, 3, 0, 0, X86_EXC_GP, 0},
	{"beyond the GDT", 0, SEL_BEYOND, 0, 0, X86_EXC_GP, SEL_BEYOND},
	{"data", 0, SEL_FREE, ACCESS(0, 1, DATA_SEG), 0, X86_EXC_GP, SEL_FREE},
	{"an LDT", 0, SEL_LDT, 0, 0, X86_EXC_GP, SEL_LDT},
	{"same ring", 0, SEL_FREE, ACCESS(0, 1, CODE_SEG), 0x123, 0, 0},
	{"same ring, lower RPL", 3, SEL_FREE, ACCESS(3, 1, CODE_SEG), 0x123, 0, 0},
	{"higher RPL", 0, SEL_FREE + 3, ACCESS(0, 1, CODE_SEG), 0, X86_EXC_GP, SEL_FREE},
	{"outer ring", 0, SEL_FREE, ACCESS(3, 1, CODE_SEG), 0, X86_EXC_GP, SEL_FREE},
	{"inner ring", 3, SEL_FREE, ACCESS(0, 1, CODE_SEG), 0, X86_EXC_GP, SEL_FREE},
	{"conforming, inner ring", 3, SEL_FREE, ACCESS(0, 1, CONFORMING_SEG), 0x123, 0, 0},
	{"conforming, outer ring", 0, SEL_FREE, ACCESS(3, 1, CONFORMING_SEG), 0, X86_EXC_GP,
	 SEL_FREE},
	{"absent", 0, SEL_FREE, NOT_PRESENT(ACCESS(0, 1, CODE_SEG)), 0, X86_EXC_NP, SEL_FREE},
	{"beyond its limit", 0, SEL_FREE, ACCESS(0, 1, CODE_SEG), 0x10000, X86_EXC_GP, 0},
};

static void try_jump(size_t i)
{
	struct world w = world_open(X86_MODE_PROT32, JUMPS[i].cpl);
	struct soft_rig_result result;

	world_gdt(&w, SEL_FREE, world_descriptor(0x4000, 0xffff, JUMPS[i].access & ~1u, 4), 0);
	result = far_direct(&w, JMP_FAR, JUMPS[i].selector, JUMPS[i].offset);
	if (JUMPS[i].vector) {
		world_expect_fault(result, JUMPS[i].vector, JUMPS[i].error, JUMPS[i].name);
		cr_expect_eq(w.c->rip, SOFT_RIG_CODE, "%s: rip", JUMPS[i].name);
	} else {
		world_expect_ok(result, JUMPS[i].name);
		cr_expect_eq(w.c->seg[X86_CS].selector, SEL_FREE + JUMPS[i].cpl, "%s: RPL is CPL",
			     JUMPS[i].name);
		cr_expect_eq(w.c->rip, 0x123, "%s: rip", JUMPS[i].name);
		cr_expect_eq(w.c->cpl, JUMPS[i].cpl, "%s: CPL", JUMPS[i].name);
		cr_expect(world_get(&w, WORLD_GDT + SEL_FREE + 5, 1) & SEG_ACCESSED, "%s: accessed",
			  JUMPS[i].name);
	}
	world_close(&w);
}

Test(soft_far, jmp_when_protected_then_each_check_has_its_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(JUMPS); i++)
		try_jump(i);
}

Test(soft_far, call_and_ret_when_protected_then_cs_and_eip_on_the_stack)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	uint64_t rsp = w.c->r[X86_RSP];

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xfffff, ACCESS(0, 1, CODE_SEG), 0xc), 0);
	world_expect_ok(far_direct(&w, CALL_FAR, SEL_FREE, 0x12345), "call");
	cr_expect(eq(u64, w.c->rip, 0x12345));
	cr_expect(eq(u64, w.c->r[X86_RSP], rsp - 8));
	cr_expect(eq(u64, world_get(&w, rsp - 8, 4), SOFT_RIG_CODE + 7));
	cr_expect(eq(u64, world_get(&w, rsp - 4, 4), SEL_CODE0));
	world_expect_ok(WORLD_STEP(&w, 0xca, 0x10, 0x00), "retf 16");
	cr_expect(eq(u64, w.c->rip, SOFT_RIG_CODE + 7));
	cr_expect(eq(u64, w.c->seg[X86_CS].selector, SEL_CODE0));
	cr_expect(eq(u64, w.c->r[X86_RSP], rsp + 16));
	world_close(&w);
}

Test(soft_far, call_when_stack_is_too_small_then_ss_fault_and_nothing_else)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	w.c->seg[X86_SS].limit = 0x1000;
	w.c->r[X86_RSP] = 0x2000;
	world_expect_fault(far_direct(&w, CALL_FAR, SEL_CODE0, 0x12345), X86_EXC_SS, 0, "call");
	cr_expect(w.c->r[X86_RSP] == 0x2000 && w.c->rip == SOFT_RIG_CODE);
	world_close(&w);
}

Test(soft_far, call_and_ret_when_real_mode_then_words_and_paragraphs)
{
	struct world w = world_open(X86_MODE_REAL, 0);

	world_expect_ok(WORLD_STEP(&w, CALL_FAR, 0x34, 0x12, 0x00, 0x20), "call 2000:1234");
	cr_expect(eq(u64, w.c->seg[X86_CS].base, 0x20000));
	cr_expect(eq(u64, w.c->rip, 0x1234));
	cr_expect(eq(u64, w.c->r[X86_RSP], 0x7ffc));
	cr_expect(eq(u64, world_get(&w, SOFT_RIG_STACK + 0x7ffc, 4), 0x10000005));
	world_put(&w, 0x21234, 1, 0xcb);
	world_expect_ok(soft_rig_step(w.rig), "retf");
	cr_expect(w.c->seg[X86_CS].selector == 0x1000 && w.c->rip == 5);
	cr_expect(eq(u64, w.c->r[X86_RSP], 0x8000));
	world_close(&w);
}

/* A 32-bit operand may name what 16 bits of limit cannot hold. */
Test(soft_far, jmp_when_real_mode_and_offset_beyond_64k_then_gp)
{
	struct world w = world_open(X86_MODE_REAL, 0);

	world_expect_fault(WORLD_STEP(&w, 0x66, JMP_FAR, 0, 0, 1, 0, 0x00, 0x20), X86_EXC_GP, 0,
			   "jmp");
	world_close(&w);
}

Test(soft_far, jmp_when_v86_then_no_descriptor_is_asked)
{
	struct world w = world_open(X86_MODE_V86, 3);

	world_expect_ok(WORLD_STEP(&w, JMP_FAR, 0x10, 0x00, 0x34, 0x12), "jmp 1234:10");
	cr_expect(w.c->seg[X86_CS].base == 0x12340 && w.c->rip == 0x10 && w.c->cpl == 3);
	world_close(&w);
}

/* IA-32e mode: from 64-bit code to compatibility mode and back. */
Test(soft_far, jmp_when_long_mode_then_l_decides_the_mode)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	world_put(&w, SOFT_RIG_DATA, 4, 0x12000);
	world_put(&w, SOFT_RIG_DATA + 4, 2, SEL_COMPAT0);
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	world_expect_ok(WORLD_STEP(&w, 0xff, 0x2b), "jmp far [rbx]");
	cr_expect(soft_is_code64(w.c) == false);
	cr_expect(eq(u64, w.c->rip, 0x12000));
	world_expect_ok(far_direct(&w, JMP_FAR, SEL_CODE0, 0x12340), "jmp back");
	cr_expect(soft_is_code64(w.c));
	cr_expect(eq(u64, w.c->rip, 0x12340));
	world_close(&w);
}

Test(soft_far, jmp_when_l_and_d_or_not_canonical_then_gp)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xfffff, ACCESS(0, 1, CODE_SEG), 0xe), 0);
	world_put(&w, SOFT_RIG_DATA, 8, 0x12000);
	world_put(&w, SOFT_RIG_DATA + 8, 2, SEL_FREE);
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	world_expect_fault(WORLD_STEP(&w, 0x48, 0xff, 0x2b), X86_EXC_GP, SEL_FREE, "L and D");
	world_put(&w, SOFT_RIG_DATA, 8, 1ull << 47);
	world_put(&w, SOFT_RIG_DATA + 8, 2, SEL_CODE0);
	world_expect_fault(WORLD_STEP(&w, 0x48, 0xff, 0x2b), X86_EXC_GP, 0, "not canonical");
	world_close(&w);
}

/* RETF 4 to @cs, which SEL_FREE described by @access may be, and to @ss. */
static const struct {
	const char *name;
	unsigned cpl;
	uint16_t cs;
	unsigned access;
	uint16_t ss;
	unsigned vector, error;
} RETURNS[] = {
	{"null CS", 0, 3, 0, SEL_DATA3, X86_EXC_GP, 0},
	{"beyond the GDT", 0, SEL_BEYOND, 0, SEL_DATA3, X86_EXC_GP, SEL_BEYOND},
	{"data", 0, SEL_FREE, ACCESS(0, 1, DATA_SEG), SEL_DATA3, X86_EXC_GP, SEL_FREE},
	{"inner RPL", 3, SEL_FREE, ACCESS(0, 1, CODE_SEG), SEL_DATA3, X86_EXC_GP, SEL_FREE},
	{"DPL is not RPL", 0, SEL_FREE + 3, ACCESS(0, 1, CODE_SEG), SEL_DATA3, X86_EXC_GP,
	 SEL_FREE},
	{"conforming above RPL", 0, SEL_FREE + 1, ACCESS(2, 1, CONFORMING_SEG), SEL_DATA1,
	 X86_EXC_GP, SEL_FREE},
	{"absent", 0, SEL_FREE + 3, NOT_PRESENT(ACCESS(3, 1, CODE_SEG)), SEL_DATA3, X86_EXC_NP,
	 SEL_FREE},
	{"null SS", 0, SEL_FREE + 3, ACCESS(3, 1, CODE_SEG), 3, X86_EXC_GP, 0},
	{"SS of another ring", 0, SEL_FREE + 3, ACCESS(3, 1, CODE_SEG), SEL_DATA0, X86_EXC_GP,
	 SEL_DATA0},
	{"SS beyond the GDT", 0, SEL_FREE + 3, ACCESS(3, 1, CODE_SEG), SEL_BEYOND + 3, X86_EXC_GP,
	 SEL_BEYOND},
	{"outer", 0, SEL_FREE + 3, ACCESS(3, 1, CODE_SEG), SEL_DATA3, 0, 0},
	{"conforming of ring 0, outer", 0, SEL_FREE + 3, ACCESS(0, 1, CONFORMING_SEG), SEL_DATA3, 0,
	 0},
};

static void try_return(size_t i)
{
	struct world w = world_open(X86_MODE_PROT32, RETURNS[i].cpl);
	struct soft_rig_result result;

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xfffff, RETURNS[i].access, 0xc), 0);
	world_push(&w, 4, RETURNS[i].ss);
	world_push(&w, 4, 0x28000);
	world_push(&w, 4, 0xdead);
	world_push(&w, 4, RETURNS[i].cs);
	world_push(&w, 4, 0x12340);
	result = WORLD_STEP(&w, 0xca, 4, 0);
	if (RETURNS[i].vector) {
		world_expect_fault(result, RETURNS[i].vector, RETURNS[i].error, RETURNS[i].name);
		cr_expect_eq(w.c->r[X86_RSP], SOFT_RIG_STACK - 20, "%s: esp", RETURNS[i].name);
	} else {
		world_expect_ok(result, RETURNS[i].name);
		cr_expect(w.c->cpl == 3 && w.c->rip == 0x12340, "%s", RETURNS[i].name);
		cr_expect_eq(w.c->r[X86_RSP], 0x28004, "%s: immediate", RETURNS[i].name);
		cr_expect_eq(w.c->seg[X86_SS].selector, SEL_DATA3, "%s", RETURNS[i].name);
	}
	world_close(&w);
}

Test(soft_far, ret_when_protected_then_each_check_has_its_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(RETURNS); i++)
		try_return(i);
}

Test(soft_far, ret_when_outer_then_segments_of_the_inner_ring_become_null)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	w.c->seg[X86_ES] = x86_seg_flat(SEL_DATA3, false, 32, 3);
	w.c->seg[X86_FS] = x86_seg_flat(SEL_FREE, true, 32, 0);
	w.c->seg[X86_FS].type = CONFORMING_SEG;
	w.c->seg[X86_GS].base = 0x400000;
	world_push(&w, 4, SEL_DATA3);
	world_push(&w, 4, 0x28000);
	world_push(&w, 4, SEL_CODE3);
	world_push(&w, 4, 0x12340);
	world_expect_ok(WORLD_STEP(&w, 0xcb), "retf");
	cr_expect(w.c->seg[X86_DS].unusable && w.c->seg[X86_DS].selector == 0);
	cr_expect(w.c->seg[X86_GS].unusable);
	cr_expect(eq(u64, w.c->seg[X86_GS].base, 0x400000), "the base stays, for 64-bit mode");
	cr_expect(w.c->seg[X86_ES].unusable == false);
	cr_expect(w.c->seg[X86_FS].unusable == false);
	world_close(&w);
}
