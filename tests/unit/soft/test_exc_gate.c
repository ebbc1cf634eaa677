/* Events through interrupt and trap gates: checks, frames, rings, virtual-8086 and IA-32e mode. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define VECTOR 0x40
#define ERR    (VECTOR * 8u + 2) /* of the IDT entry, without EXT */

static const struct soft_event INTERRUPT = {.type = EVENT_HARDWARE, .vector = VECTOR};
static const struct soft_event FAULT = {
	.type = EVENT_EXCEPTION, .vector = VECTOR, .has_error = true, .error = 0x1234};

static void put_gate(struct world *w, uint16_t selector, unsigned access, unsigned ist)
{
	world_idt(w, VECTOR, world_gate(selector, WORLD_HANDLER, access, ist));
}

/* The same gate by an interrupt, which sets EXT, and by INT n, which checks the DPL instead. */
static const struct {
	const char *name;
	enum x86_mode mode;
	unsigned cpl;
	unsigned access; /* of the gate */
	uint16_t code;	 /* SEL_FREE is described by code_access */
	unsigned code_access;
	unsigned vector, error;		/* by an interrupt: EXT is added to the error */
	unsigned int_vector, int_error; /* by INT n */
} ROWS[] = {
	{"not a gate", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_LDT), SEL_CODE0, 0, X86_EXC_GP, ERR,
	 X86_EXC_GP, ERR},
	{"a code segment", X86_MODE_PROT32, 0, ACCESS(3, 1, SEG_INT_GATE), SEL_CODE0, 0, X86_EXC_GP,
	 ERR, X86_EXC_GP, ERR},
	{"absent", X86_MODE_PROT32, 0, NOT_PRESENT(ACCESS(3, 0, SEG_INT_GATE)), SEL_CODE0, 0,
	 X86_EXC_NP, ERR, X86_EXC_NP, ERR},
	{"DPL below CPL", X86_MODE_PROT32, 3, ACCESS(0, 0, SEG_INT_GATE), SEL_CODE0, 0, 0, 0,
	 X86_EXC_GP, ERR},
	{"absent and DPL below CPL", X86_MODE_PROT32, 3, NOT_PRESENT(ACCESS(0, 0, SEG_INT_GATE)),
	 SEL_CODE0, 0, X86_EXC_NP, ERR, X86_EXC_GP, ERR},
	{"null code", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_INT_GATE), 0, 0, X86_EXC_GP, 0,
	 X86_EXC_GP, 0},
	{"code beyond the GDT", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_INT_GATE), SEL_BEYOND, 0,
	 X86_EXC_GP, SEL_BEYOND, X86_EXC_GP, SEL_BEYOND},
	{"data", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_INT_GATE), SEL_FREE, ACCESS(0, 1, DATA_SEG),
	 X86_EXC_GP, SEL_FREE, X86_EXC_GP, SEL_FREE},
	{"outer code", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_INT_GATE), SEL_CODE3, 0, X86_EXC_GP,
	 SEL_CODE3 & ~3u, X86_EXC_GP, SEL_CODE3 & ~3u},
	{"absent code", X86_MODE_PROT32, 0, ACCESS(3, 0, SEG_INT_GATE), SEL_FREE,
	 NOT_PRESENT(ACCESS(0, 1, CODE_SEG)), X86_EXC_NP, SEL_FREE, X86_EXC_NP, SEL_FREE},
	{"conforming code", X86_MODE_PROT32, 3, ACCESS(3, 0, SEG_INT_GATE), SEL_FREE,
	 ACCESS(0, 1, CONFORMING_SEG), 0, 0, 0, 0},
	{"v86 to ring 1", X86_MODE_V86, 3, ACCESS(3, 0, SEG_INT_GATE), SEL_CODE1, 0, X86_EXC_GP,
	 SEL_CODE1 & ~3u, X86_EXC_GP, SEL_CODE1 & ~3u},
	{"v86 to conforming code", X86_MODE_V86, 3, ACCESS(3, 0, SEG_INT_GATE), SEL_FREE,
	 ACCESS(0, 1, CONFORMING_SEG), X86_EXC_GP, SEL_FREE, X86_EXC_GP, SEL_FREE},
	{"compatibility code", X86_MODE_LONG64, 0, ACCESS(3, 0, SEG_INT_GATE), SEL_COMPAT0, 0,
	 X86_EXC_GP, SEL_COMPAT0, X86_EXC_GP, SEL_COMPAT0},
	{"16-bit gate in IA-32e mode", X86_MODE_LONG64, 0, ACCESS(3, 0, SEG_INT_GATE16), SEL_CODE0,
	 0, X86_EXC_GP, ERR, X86_EXC_GP, ERR},
	{"task gate in IA-32e mode", X86_MODE_LONG64, 0, ACCESS(3, 0, SEG_TASK_GATE), SEL_TSS, 0,
	 X86_EXC_GP, ERR, X86_EXC_GP, ERR},
};

static struct world open_row(size_t i)
{
	struct world w = world_open(ROWS[i].mode, ROWS[i].cpl);

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xfffff, ROWS[i].code_access, 0xc), 0);
	put_gate(&w, ROWS[i].code, ROWS[i].access, 0);
	w.c->rflags |= X86_RFLAGS_IOPL;
	return w;
}

Test(soft_exc, gate_when_interrupt_then_each_check_with_ext)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(ROWS); i++) {
		struct world w = open_row(i);
		struct soft_rig_result result = world_deliver(&w, &INTERRUPT);

		if (ROWS[i].vector)
			world_expect_fault(result, ROWS[i].vector, ROWS[i].error | 1, ROWS[i].name);
		else
			world_expect_ok(result, ROWS[i].name);
		world_close(&w);
	}
}

Test(soft_exc, gate_when_int_n_then_each_check_without_ext)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(ROWS); i++) {
		struct world w = open_row(i);
		uint64_t rsp = w.c->r[X86_RSP];
		struct soft_rig_result result = WORLD_STEP(&w, 0xcd, VECTOR);

		if (ROWS[i].int_vector) {
			world_expect_fault(result, ROWS[i].int_vector, ROWS[i].int_error,
					   ROWS[i].name);
			cr_expect_eq(soft_linear_rip(w.c), SOFT_RIG_CODE, "%s", ROWS[i].name);
			cr_expect_eq(w.c->r[X86_RSP], rsp, "%s", ROWS[i].name);
			cr_expect_eq(w.c->is_delivering, false, "%s", ROWS[i].name);
		} else {
			world_expect_ok(result, ROWS[i].name);
		}
		world_close(&w);
	}
}

Test(soft_exc, gate_when_idt_is_too_small_then_gp)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	w.c->idtr.limit = VECTOR * 8 + 6;
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_GP, ERR | 1, "limit");
	w.c->idtr.limit++;
	world_expect_ok(world_deliver(&w, &INTERRUPT), "limit");
	world_close(&w);
}

/* Frames. */

Test(soft_exc, gate_when_same_ring_then_flags_cs_eip_error)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	gpa_t top = SOFT_RIG_STACK;

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	w.c->rip = 0x555;
	soft_set_rflags(w.c, X86_RFLAGS_IF | X86_RFLAGS_NT | X86_RFLAGS_TF | X86_RFLAGS_ZF);
	world_expect_ok(world_deliver(&w, &FAULT), "fault");
	cr_expect(w.c->rip == WORLD_HANDLER && w.c->cpl == 0);
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 16));
	cr_expect(eq(u64, world_get(&w, top - 4, 4), 0x4342));
	cr_expect(eq(u64, world_get(&w, top - 8, 4), SEL_CODE0));
	cr_expect(eq(u64, world_get(&w, top - 12, 4), 0x555));
	cr_expect(eq(u64, world_get(&w, top - 16, 4), 0x1234));
	cr_expect(eq(u64, soft_rflags(w.c), 0x42));
	world_close(&w);
}

Test(soft_exc, gate_when_trap_gate_then_if_stays)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_TRAP_GATE), 0);
	soft_set_rflags(w.c, X86_RFLAGS_IF);
	world_expect_ok(world_deliver(&w, &INTERRUPT), "interrupt");
	cr_expect(eq(u64, soft_rflags(w.c), X86_RFLAGS_IF | X86_RFLAGS_FIXED));
	world_close(&w);
}

Test(soft_exc, gate_when_inner_ring_then_stack_of_the_tss)
{
	struct world w = world_open(X86_MODE_PROT32, 3);
	gpa_t top = WORLD_STACK0;

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	w.c->rip = 0x555;
	world_expect_ok(world_deliver(&w, &FAULT), "fault");
	cr_expect(w.c->cpl == 0 && w.c->seg[X86_SS].selector == SEL_DATA0);
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 24));
	cr_expect(eq(u64, world_get(&w, top - 4, 4), SEL_DATA3));
	cr_expect(eq(u64, world_get(&w, top - 8, 4), SOFT_RIG_STACK));
	cr_expect(eq(u64, world_get(&w, top - 16, 4), SEL_CODE3));
	cr_expect(eq(u64, world_get(&w, top - 20, 4), 0x555));
	cr_expect(eq(u64, world_get(&w, top - 24, 4), 0x1234));
	cr_expect(w.c->seg[X86_DS].selector == SEL_DATA3);
	world_close(&w);
}

Test(soft_exc, gate_when_inner_stack_is_bad_then_ts_with_ext)
{
	struct world w = world_open(X86_MODE_PROT32, 3);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	world_put(&w, WORLD_TSS + 8, 4, SEL_DATA3);
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_TS, (SEL_DATA3 & ~3u) | 1, "SS");
	w.c->tr.limit = 8;
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_TS, SEL_TSS | 1, "TSS");
	world_close(&w);
}

Test(soft_exc, gate_when_16_bit_then_words)
{
	struct world w = world_open(X86_MODE_PROT32, 3);
	gpa_t top = WORLD_STACK0;

	world_idt(&w, VECTOR, world_gate(SEL_CODE0, 0x99992000, ACCESS(0, 0, SEG_INT_GATE16), 0));
	world_expect_ok(world_deliver(&w, &FAULT), "fault");
	cr_expect(eq(u64, w.c->rip, 0x2000));
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 12));
	cr_expect(eq(u64, world_get(&w, top - 2, 2), SEL_DATA3));
	cr_expect(eq(u64, world_get(&w, top - 8, 2), SEL_CODE3));
	cr_expect(eq(u64, world_get(&w, top - 12, 2), 0x1234));
	world_close(&w);
}

Test(soft_exc, gate_when_from_v86_then_nine_values_and_null_segments)
{
	struct world w = world_open(X86_MODE_V86, 3);
	gpa_t top = WORLD_STACK0;

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	w.c->seg[X86_GS].selector = 0x1111;
	w.c->seg[X86_FS].selector = 0x2222;
	w.c->seg[X86_DS].selector = 0x3333;
	w.c->seg[X86_ES].selector = 0x4444;
	world_expect_ok(world_deliver(&w, &INTERRUPT), "interrupt");
	cr_expect(w.c->cpl == 0 && (w.c->rflags & X86_RFLAGS_VM) == 0);
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 36));
	cr_expect(eq(u64, world_get(&w, top - 4, 4), 0x1111));
	cr_expect(eq(u64, world_get(&w, top - 8, 4), 0x2222));
	cr_expect(eq(u64, world_get(&w, top - 12, 4), 0x3333));
	cr_expect(eq(u64, world_get(&w, top - 16, 4), 0x4444));
	cr_expect(eq(u64, world_get(&w, top - 20, 4), SOFT_RIG_STACK >> 4));
	cr_expect(eq(u64, world_get(&w, top - 24, 4), 0x8000));
	cr_expect(eq(u64, world_get(&w, top - 28, 4), X86_RFLAGS_VM | X86_RFLAGS_FIXED));
	cr_expect(w.c->seg[X86_DS].unusable && w.c->seg[X86_ES].unusable);
	cr_expect(w.c->seg[X86_FS].unusable && w.c->seg[X86_GS].unusable);
	world_close(&w);
}

Test(soft_exc, int_n_when_v86_and_iopl_below_3_then_gp_0_but_not_int3)
{
	struct world w = world_open(X86_MODE_V86, 3);

	put_gate(&w, SEL_CODE0, ACCESS(3, 0, SEG_INT_GATE), 0);
	world_idt(&w, 3, world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(3, 0, SEG_INT_GATE), 0));
	world_expect_fault(WORLD_STEP(&w, 0xcd, VECTOR), X86_EXC_GP, 0, "INT n");
	world_expect_ok(WORLD_STEP(&w, 0xcc), "INT3");
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 - 36, 4), 1));
	world_close(&w);
}

/* IA-32e mode. */

Test(soft_exc, gate_when_64_bit_and_same_ring_then_aligned_with_ss_and_rsp)
{
	struct world w = world_open(X86_MODE_LONG64, 0);
	gpa_t top = SOFT_RIG_STACK - 16;

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	w.c->r[X86_RSP] = SOFT_RIG_STACK - 7;
	world_expect_ok(world_deliver(&w, &FAULT), "fault");
	cr_expect(eq(u64, w.c->r[X86_RSP], top - 48));
	cr_expect(eq(u64, world_get(&w, top - 8, 8), SEL_DATA0));
	cr_expect(eq(u64, world_get(&w, top - 16, 8), SOFT_RIG_STACK - 7));
	cr_expect(eq(u64, world_get(&w, top - 32, 8), SEL_CODE0));
	cr_expect(eq(u64, world_get(&w, top - 48, 8), 0x1234));
	cr_expect(w.c->seg[X86_SS].selector == SEL_DATA0);
	world_close(&w);
}

Test(soft_exc, gate_when_64_bit_and_inner_ring_then_rsp0_and_null_ss)
{
	struct world w = world_open(X86_MODE_LONG64, 3);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	world_expect_ok(world_deliver(&w, &INTERRUPT), "interrupt");
	cr_expect(w.c->cpl == 0 && w.c->seg[X86_SS].unusable && w.c->seg[X86_SS].selector == 0);
	cr_expect(eq(u64, w.c->r[X86_RSP], WORLD_STACK0 - 40));
	cr_expect(eq(u64, world_get(&w, WORLD_STACK0 - 8, 8), SEL_DATA3));
	world_close(&w);
}

Test(soft_exc, gate_when_ist_then_that_stack_aligned_and_ss_as_the_ring)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 1);
	world_expect_ok(world_deliver(&w, &INTERRUPT), "interrupt");
	cr_expect(eq(u64, w.c->r[X86_RSP], (WORLD_IST1 & ~15u) - 40));
	cr_expect(w.c->seg[X86_SS].selector == SEL_DATA0);
	world_put(&w, WORLD_TSS + 36, 8, 1ull << 47);
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_SS, 1, "not canonical");
	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 7);
	w.c->tr.limit = 90;
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_TS, SEL_TSS | 1, "IST7");
	world_close(&w);
}

Test(soft_exc, gate_when_64_bit_then_offset_of_64_bits_must_be_canonical)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	world_put(&w, WORLD_IDT + VECTOR * 16 + 8, 4, 0xffff8000);
	world_expect_ok(world_deliver(&w, &INTERRUPT), "canonical");
	cr_expect(eq(u64, w.c->rip, 0xffff800000000000 | WORLD_HANDLER));
	world_put(&w, WORLD_IDT + VECTOR * 16 + 8, 4, 0x8000);
	world_expect_fault(world_deliver(&w, &INTERRUPT), X86_EXC_GP, 1, "not canonical");
	world_close(&w);
}

Test(soft_exc, gate_when_from_compatibility_mode_then_64_bit_frame)
{
	struct world w = world_open(X86_MODE_COMPAT32, 0);

	world_gdt(&w, SEL_FREE, world_descriptor(0, 0xfffff, ACCESS(0, 1, CODE_SEG), FLAGS_FLAT64),
		  0);
	put_gate(&w, SEL_FREE, ACCESS(0, 0, SEG_INT_GATE), 0);
	world_expect_ok(world_deliver(&w, &INTERRUPT), "interrupt");
	cr_expect(soft_is_code64(w.c));
	cr_expect(eq(u64, w.c->r[X86_RSP], SOFT_RIG_STACK - 40));
	world_close(&w);
}

/* The stack is the supervisor's in the page tables too. */
Test(soft_exc, gate_when_stack_page_is_absent_then_pf_and_registers_stay)
{
	struct world w = world_open(X86_MODE_LONG64, 3);
	struct soft_rig_result result;

	put_gate(&w, SEL_CODE0, ACCESS(0, 0, SEG_INT_GATE), 0);
	world_put(&w, WORLD_TSS + 4, 8, 0x100000000000);
	result = world_deliver(&w, &INTERRUPT);
	world_expect_fault(result, X86_EXC_PF, X86_PF_W, "stack");
	cr_expect(eq(u64, result.event.cr2, 0x100000000000 - 8));
	cr_expect(w.c->cpl == 3 && w.c->r[X86_RSP] == SOFT_RIG_STACK);
	world_close(&w);
}
