/* Call gates: 16, 32 and 64 bits, with and without a change of ring. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define GATE SEL_FREE

static struct soft_rig_result use_gate(struct world *w, bool is_call, uint16_t selector)
{
	uint8_t code[7] = {is_call ? 0x9a : 0xea, 0xff, 0xff, 0xff,
			   0xff}; /* the offset is unused */

	le16_put(code + 5, selector);
	return world_step(w, code, sizeof(code));
}

static const struct {
	const char *name;
	unsigned cpl;
	bool is_call;
	uint16_t selector; /* of the gate */
	unsigned access;   /* of the gate */
	uint16_t code;	   /* selector in it: SEL_FREE2 is described by code_access */
	unsigned code_access;
	unsigned vector, error;
} GATES[] = {
	{"DPL below CPL", 3, true, GATE, ACCESS(2, 0, SEG_CALL_GATE), SEL_CODE0, 0, X86_EXC_GP,
	 GATE},
	{"DPL below RPL", 0, true, GATE + 3, ACCESS(2, 0, SEG_CALL_GATE), SEL_CODE0, 0, X86_EXC_GP,
	 GATE},
	{"absent", 3, true, GATE, NOT_PRESENT(ACCESS(3, 0, SEG_CALL_GATE)), SEL_CODE0, 0,
	 X86_EXC_NP, GATE},
	{"null code", 3, true, GATE, ACCESS(3, 0, SEG_CALL_GATE), 0, 0, X86_EXC_GP, 0},
	{"code beyond the GDT", 3, true, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_BEYOND, 0,
	 X86_EXC_GP, SEL_BEYOND},
	{"to data", 3, true, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_FREE2, ACCESS(3, 1, DATA_SEG),
	 X86_EXC_GP, SEL_FREE2},
	{"to an outer ring", 0, true, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_CODE3, 0, X86_EXC_GP,
	 SEL_CODE3 & ~3u},
	{"absent code", 3, true, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_FREE2,
	 NOT_PRESENT(ACCESS(0, 1, CODE_SEG)), X86_EXC_NP, SEL_FREE2},
	{"JMP to an inner ring", 3, false, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_CODE0, 0,
	 X86_EXC_GP, SEL_CODE0},
	{"JMP within the ring", 3, false, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_CODE3, 0, 0, 0},
	{"JMP to conforming", 3, false, GATE, ACCESS(3, 0, SEG_CALL_GATE), SEL_FREE2,
	 ACCESS(0, 1, CONFORMING_SEG), 0, 0},
	{"an interrupt gate", 0, true, GATE, ACCESS(3, 0, SEG_INT_GATE), SEL_CODE0, 0, X86_EXC_GP,
	 GATE},
};

Test(soft_far, gate_when_used_then_each_check_has_its_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(GATES); i++) {
		struct world w = world_open(X86_MODE_PROT32, GATES[i].cpl);
		struct soft_rig_result result;

		world_gdt(&w, SEL_FREE2, world_descriptor(0, 0xfffff, GATES[i].code_access, 0xc),
			  0);
		world_gdt(&w, GATE, world_gate(GATES[i].code, 0x12345, GATES[i].access, 0), 0);
		result = use_gate(&w, GATES[i].is_call, GATES[i].selector);
		if (GATES[i].vector)
			world_expect_fault(result, GATES[i].vector, GATES[i].error, GATES[i].name);
		else
			world_expect_ok(result, GATES[i].name);
		cr_expect_eq(w.c->rip, GATES[i].vector ? SOFT_RIG_CODE : 0x12345u, "%s",
			     GATES[i].name);
		cr_expect_eq(w.c->cpl, GATES[i].cpl, "%s", GATES[i].name);
		world_close(&w);
	}
}

Test(soft_far, gate_when_inner_then_stack_of_the_tss_with_parameters)
{
	struct world w = world_open(X86_MODE_PROT32, 3);
	gpa_t top = WORLD_STACK1;

	world_gdt(&w, GATE, world_gate(SEL_CODE1, 0x12345, ACCESS(3, 0, SEG_CALL_GATE), 2), 0);
	world_push(&w, 4, 0xaaaa1111);
	world_push(&w, 4, 0xbbbb2222);
	world_expect_ok(use_gate(&w, true, GATE + 3), "call");
	cr_expect(w.c->cpl == 1 && w.c->rip == 0x12345);
	cr_expect(eq(u64, w.c->seg[X86_CS].selector, SEL_CODE1));
	cr_expect(eq(u64, w.c->seg[X86_SS].selector, SEL_DATA1));
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 24));
	cr_expect(eq(u64, world_get(&w, top - 4, 4), SEL_DATA3));
	cr_expect(eq(u64, world_get(&w, top - 8, 4), SOFT_RIG_STACK - 8));
	cr_expect(eq(u64, world_get(&w, top - 12, 4), 0xaaaa1111));
	cr_expect(eq(u64, world_get(&w, top - 16, 4), 0xbbbb2222));
	cr_expect(eq(u64, world_get(&w, top - 20, 4), SEL_CODE3));
	cr_expect(eq(u64, world_get(&w, top - 24, 4), SOFT_RIG_CODE + 7));
	world_expect_ok(WORLD_STEP(&w, 0xca, 8, 0), "retf 8");
	cr_expect(w.c->cpl == 3 && w.c->rip == SOFT_RIG_CODE + 7);
	cr_expect(eq(u64, w.c->r[X86_RSP], SOFT_RIG_STACK));
	world_close(&w);
}

Test(soft_far, gate_when_16_bit_then_words_and_the_offset_is_cut)
{
	struct world w = world_open(X86_MODE_PROT32, 3);

	world_gdt(&w, GATE, world_gate(SEL_CODE0, 0x99991234, ACCESS(3, 0, SEG_CALL_GATE16), 1), 0);
	world_push(&w, 2, 0x7777);
	world_expect_ok(use_gate(&w, true, GATE), "call");
	cr_expect(w.c->cpl == 0 && w.c->rip == 0x1234);
	cr_expect(eq(u64, w.c->r[X86_RSP], WORLD_STACK0 - 10));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 - 6, 2), 0x7777));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 - 8, 2), SEL_CODE3));
	world_close(&w);
}

/* What the TSS may have wrong: SDM 2A CALL, "more privilege". */
Test(soft_far, gate_when_inner_stack_is_bad_then_ts_or_ss)
{
	static const struct {
		const char *name;
		uint16_t ss;
		unsigned access, limit, tss_limit;
		unsigned vector, error;
	} rows[] = {
		{"null", 0, 0, 0, 0x67, X86_EXC_TS, 0},
		{"beyond the GDT", SEL_BEYOND, 0, 0, 0x67, X86_EXC_TS, SEL_BEYOND},
		{"RPL", SEL_FREE2 + 1, ACCESS(0, 1, DATA_SEG), 0xfffff, 0x67, X86_EXC_TS,
		 SEL_FREE2},
		{"DPL", SEL_FREE2, ACCESS(1, 1, DATA_SEG), 0xfffff, 0x67, X86_EXC_TS, SEL_FREE2},
		{"read-only", SEL_FREE2, ACCESS(0, 1, READ_ONLY), 0xfffff, 0x67, X86_EXC_TS,
		 SEL_FREE2},
		{"absent", SEL_FREE2, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)), 0xfffff, 0x67,
		 X86_EXC_SS, SEL_FREE2},
		{"too small", SEL_FREE2, ACCESS(0, 1, DATA_SEG), 0x10, 0x67, X86_EXC_SS, SEL_FREE2},
		{"TSS too small", SEL_DATA0, 0, 0, 0x8, X86_EXC_TS, SEL_TSS},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(X86_MODE_PROT32, 3);

		world_gdt(&w, GATE, world_gate(SEL_CODE0, 0x12345, ACCESS(3, 0, SEG_CALL_GATE), 0),
			  0);
		world_gdt(&w, SEL_FREE2, world_descriptor(0, rows[i].limit, rows[i].access, 4), 0);
		world_put(&w, WORLD_TSS + 8, 4, rows[i].ss);
		w.c->tr.limit = rows[i].tss_limit;
		world_expect_fault(use_gate(&w, true, GATE), rows[i].vector, rows[i].error,
				   rows[i].name);
		cr_expect(w.c->cpl == 3 && w.c->r[X86_RSP] == SOFT_RIG_STACK, "%s", rows[i].name);
		world_close(&w);
	}
}

Test(soft_far, gate_when_tss_has_16_bits_then_its_stacks)
{
	struct world w = world_open(X86_MODE_PROT32, 3);

	w.c->tr.type = SEG_TSS16_BUSY;
	w.c->tr.limit = 0x2b;
	world_put(&w, WORLD_TSS + 2, 4, (uint32_t)SEL_DATA0 << 16 | 0x7000);
	world_gdt(&w, GATE, world_gate(SEL_CODE0, 0x12345, ACCESS(3, 0, SEG_CALL_GATE), 0), 0);
	world_expect_ok(use_gate(&w, true, GATE), "call");
	cr_expect(eq(u64, w.c->r[X86_RSP], 0x7000 - 16));
	cr_expect(eq(u64, world_get(&w, 0x7000 - 4, 4), SEL_DATA3));
	world_close(&w);
}

/* Both halves of a 16-byte descriptor must lie in the table. */
Test(soft_far, gate_when_64_bit_and_cut_by_the_limit_then_gp)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	world_gdt(&w, GATE, world_gate(SEL_CODE0, 0x12345, ACCESS(3, 0, SEG_CALL_GATE), 0), 0);
	world_put(&w, SOFT_RIG_DATA + 4, 2, GATE);
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	w.c->gdtr.limit = GATE + 14;
	world_expect_fault(WORLD_STEP(&w, 0xff, 0x1b), X86_EXC_GP, GATE, "cut");
	w.c->gdtr.limit++;
	world_expect_ok(WORLD_STEP(&w, 0xff, 0x1b), "whole");
	world_close(&w);
}

Test(soft_far, gate_when_64_bit_then_null_ss_and_four_quadwords)
{
	struct world w = world_open(X86_MODE_LONG64, 3);

	world_gdt(&w, GATE, world_gate(SEL_CODE0, 0x12345, ACCESS(3, 0, SEG_CALL_GATE), 0),
		  0xffff8000);
	world_put(&w, WORLD_TSS + 4, 8, WORLD_STACK0 + 4); /* call gates do not align */
	world_put(&w, SOFT_RIG_DATA + 4, 2, GATE);
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	world_expect_ok(WORLD_STEP(&w, 0xff, 0x1b), "call far [rbx]");
	cr_expect(eq(u64, w.c->rip, 0xffff800000012345));
	cr_expect(w.c->cpl == 0 && w.c->seg[X86_SS].unusable && w.c->seg[X86_SS].selector == 0);
	cr_expect(eq(u64, w.c->r[X86_RSP], WORLD_STACK0 + 4 - 32));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 + 4 - 8, 8), SEL_DATA3));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 + 4 - 16, 8), SOFT_RIG_STACK));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 + 4 - 24, 8), SEL_CODE3));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 + 4 - 32, 8), SOFT_RIG_CODE + 2));
	world_close(&w);
}

Test(soft_far, gate_when_long_mode_then_only_64_bit_code_and_no_task)
{
	static const struct {
		const char *name;
		uint16_t code;
		unsigned type;
		uint64_t high;
		unsigned error;
	} rows[] = {
		{"compatibility code", SEL_COMPAT0, SEG_CALL_GATE, 0, SEL_COMPAT0},
		{"16-bit gate", SEL_CODE0, SEG_CALL_GATE16, 0, GATE},
		{"task gate", SEL_TSS, SEG_TASK_GATE, 0, GATE},
		{"TSS", 0, SEG_TSS, 0, GATE},
		{"type in the second half", SEL_CODE0, SEG_CALL_GATE, 0x0c0000000000, GATE},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(X86_MODE_LONG64, 0);

		world_gdt(&w, GATE,
			  world_gate(rows[i].code, 0x12345, ACCESS(0, 0, rows[i].type), 0),
			  rows[i].high);
		world_put(&w, SOFT_RIG_DATA + 4, 2, GATE);
		w.c->r[X86_RBX] = SOFT_RIG_DATA;
		world_expect_fault(WORLD_STEP(&w, 0xff, 0x1b), X86_EXC_GP, rows[i].error,
				   rows[i].name);
		world_close(&w);
	}
}
