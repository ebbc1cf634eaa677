/* Debug exceptions that follow an instruction: when they come, and when not.  Stepped through the
 * loop itself, as a debugger would. */
#include "seg_world.h"

#include "src/accel/soft/points.h"
#include "src/accel/soft/run.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define DR6_FIXED 0xffff0ff0u
#define DR6_BS	  0x4000u

/* A 32-bit world whose #DB and #DE handlers are NOPs at WORLD_HANDLER. */
static struct world open_world(const uint8_t *code, size_t len)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	uint64_t gate = world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0);

	world_idt(&w, X86_EXC_DB, gate);
	world_idt(&w, X86_EXC_DE, gate);
	world_put(&w, WORLD_HANDLER, 4, 0x90909090);
	world_put(&w, SOFT_RIG_DATA, 4, SEL_DATA0);
	soft_rig_code(w.rig, code, len);
	w.c->r[X86_RAX] = SEL_DATA0;
	w.c->dr[6] = DR6_FIXED;
	w.c->debug.step = true;
	return w;
}
#define OPEN_WORLD(...)                                                                            \
	open_world((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Break on 4-byte reads and writes at SOFT_RIG_DATA. */
static void watch_data(struct world *w)
{
	w->c->dr[0] = SOFT_RIG_DATA;
	w->c->dr[7] = 0x000f0401;
	soft_points_guest_changed(w->c);
}

/* One step ends at @rip. */
static void expect_step(struct world *w, uint64_t rip, const char *what)
{
	struct accel_exit out;

	soft_run(w->c, &out);
	cr_expect(eq(int, (int)out.kind, (int)ACCEL_EXIT_DEBUG), "%s", what);
	cr_expect(eq(u64, w->c->rip, rip), "%s", what);
}

/* One step ends in the handler, which would return to @rip. */
static void expect_trap(struct world *w, uint64_t rip, uint64_t dr6, const char *what)
{
	expect_step(w, WORLD_HANDLER, what);
	cr_expect(eq(u64, world_get(w, w->c->r[X86_RSP], 4), rip), "%s", what);
	cr_expect(eq(u64, w->c->dr[6], dr6), "%s", what);
}

Test(soft_traps, single_step_when_any_instruction_then_behind_it)
{
	struct world w = OPEN_WORLD(0x90, 0x90);

	w.c->rflags |= X86_RFLAGS_TF;
	expect_trap(&w, SOFT_RIG_CODE + 1, DR6_FIXED | DR6_BS, "nop");
	world_close(&w);
}

Test(soft_traps, single_step_when_ss_is_loaded_then_behind_the_next_instruction)
{
	struct world w = OPEN_WORLD(0x8e, 0xd0, 0x90, 0x90);

	w.c->rflags |= X86_RFLAGS_TF;
	expect_step(&w, SOFT_RIG_CODE + 2, "mov ss, ax");
	expect_trap(&w, SOFT_RIG_CODE + 3, DR6_FIXED | DR6_BS, "nop");
	world_close(&w);
}

Test(soft_traps, data_breakpoint_when_ss_is_loaded_then_behind_the_next_instruction)
{
	struct world w = OPEN_WORLD(0x8e, 0x15, 0x00, 0x00, 0x02, 0x00, 0x90, 0x90);

	watch_data(&w);
	expect_step(&w, SOFT_RIG_CODE + 6, "mov ss, [data]");
	expect_trap(&w, SOFT_RIG_CODE + 7, DR6_FIXED | 1, "nop");
	expect_step(&w, WORLD_HANDLER + 1, "once only");
	world_close(&w);
}

Test(soft_traps, data_breakpoint_when_int1_follows_a_load_of_ss_then_one_exception)
{
	struct world w = OPEN_WORLD(0x8e, 0x15, 0x00, 0x00, 0x02, 0x00, 0xf1, 0x90);

	watch_data(&w);
	expect_step(&w, SOFT_RIG_CODE + 6, "mov ss, [data]");
	expect_trap(&w, SOFT_RIG_CODE + 7, DR6_FIXED | 1, "int1");
	expect_step(&w, WORLD_HANDLER + 1, "once only");
	world_close(&w);
}

Test(soft_traps, int1_when_alone_then_no_cause_in_dr6_and_general_detect_off)
{
	struct world w = OPEN_WORLD(0xf1, 0x90);

	w.c->dr[6] = DR6_FIXED | 0xf;
	w.c->dr[7] = 0x2400;
	expect_trap(&w, SOFT_RIG_CODE + 1, DR6_FIXED, "int1");
	cr_expect(eq(u64, w.c->dr[7], 0x400));
	world_close(&w);
}

/* DIV reads what is watched, then finds that the quotient is too large. */
Test(soft_traps, data_breakpoint_when_the_instruction_faults_then_not_met)
{
	struct world w = OPEN_WORLD(0xf7, 0x35, 0x00, 0x00, 0x02, 0x00, 0x90);

	watch_data(&w);
	w.c->r[X86_RDX] = SEL_DATA0;
	expect_step(&w, WORLD_HANDLER, "#DE");
	cr_expect(eq(u64, world_get(&w, w.c->r[X86_RSP], 4), SOFT_RIG_CODE));
	expect_step(&w, WORLD_HANDLER + 1, "no #DB");
	cr_expect(eq(u64, w.c->dr[6], DR6_FIXED));
	world_close(&w);
}

#define REP_LODSB 0xf3, 0xac

/* The trap behind an iteration that is not the last finds RF set, the one behind the last not. */
Test(soft_traps, single_step_when_string_repeats_then_rf_is_saved_but_for_the_last)
{
	struct world w = OPEN_WORLD(REP_LODSB, 0x90);

	world_put(&w, WORLD_HANDLER, 1, 0xcf); /* iretd */
	w.c->r[X86_RCX] = 3;
	w.c->r[X86_RSI] = SOFT_RIG_DATA;
	w.c->rflags |= X86_RFLAGS_TF;
	for (unsigned left = 2; left != ~0u; left--) {
		expect_trap(&w, SOFT_RIG_CODE + (left ? 0 : 2), DR6_FIXED | DR6_BS, "iteration");
		cr_expect(eq(u64, w.c->r[X86_RCX], left));
		cr_expect(eq(u64, world_get(&w, w.c->r[X86_RSP] + 8, 4) & X86_RFLAGS_RF,
			     left ? X86_RFLAGS_RF : 0));
		cr_expect(eq(u64, soft_rflags(w.c) & X86_RFLAGS_RF, 0), "the handler");
		expect_step(&w, SOFT_RIG_CODE + (left ? 0 : 2), "iretd");
	}
	world_close(&w);
}

/* The handler returns with RF; the iterations that follow the first meet the breakpoint no more. */
Test(soft_traps, breakpoint_when_string_repeats_then_met_once)
{
	struct world w = OPEN_WORLD(REP_LODSB, 0x90);

	world_put(&w, WORLD_HANDLER, 4, 0x08244c81); /* orl $RF, 8(%esp); iretd */
	world_put(&w, WORLD_HANDLER + 4, 4, X86_RFLAGS_RF);
	world_put(&w, WORLD_HANDLER + 8, 1, 0xcf);
	w.c->r[X86_RCX] = 3;
	w.c->r[X86_RSI] = SOFT_RIG_DATA;
	w.c->dr[0] = SOFT_RIG_CODE;
	w.c->dr[7] = 0x401;
	soft_points_guest_changed(w.c);
	expect_trap(&w, SOFT_RIG_CODE, DR6_FIXED | 1, "the breakpoint");
	expect_step(&w, WORLD_HANDLER + 8, "or");
	expect_step(&w, SOFT_RIG_CODE, "iretd");
	expect_step(&w, SOFT_RIG_CODE, "first");
	cr_expect(eq(u64, soft_rflags(w.c) & X86_RFLAGS_RF, X86_RFLAGS_RF));
	expect_step(&w, SOFT_RIG_CODE, "second");
	expect_step(&w, SOFT_RIG_CODE + 2, "third");
	cr_expect(eq(u64, soft_rflags(w.c) & X86_RFLAGS_RF, 0));
	expect_step(&w, SOFT_RIG_CODE + 3, "nop");
	world_close(&w);
}

/* An interrupt that comes between two iterations. */
Test(soft_traps, nmi_when_string_repeats_then_rf_is_saved)
{
	struct world w = OPEN_WORLD(REP_LODSB, 0x90);

	world_idt(&w, X86_EXC_NMI,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	w.c->r[X86_RCX] = 2;
	w.c->r[X86_RSI] = SOFT_RIG_DATA;
	soft_post(w.c, PEND_NMI);
	expect_step(&w, WORLD_HANDLER, "in front of the first");
	cr_expect(eq(u64, world_get(&w, w.c->r[X86_RSP] + 8, 4) & X86_RFLAGS_RF, 0));
	w.c->nmi_blocked = false;
	w.c->rip = SOFT_RIG_CODE;
	expect_step(&w, SOFT_RIG_CODE, "first");
	soft_post(w.c, PEND_NMI);
	expect_step(&w, WORLD_HANDLER, "behind the first");
	cr_expect(eq(u64, world_get(&w, w.c->r[X86_RSP] + 8, 4) & X86_RFLAGS_RF, X86_RFLAGS_RF));
	world_close(&w);
}

/* The first waits behind a load of SS, as it would for the turn. */
Test(soft_traps, nmi_when_another_waits_to_be_taken_then_both_come)
{
	struct world w = OPEN_WORLD(0x8e, 0xd0, 0x90, 0x90);

	world_idt(&w, X86_EXC_NMI,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	world_put(&w, WORLD_HANDLER, 1, 0xcf); /* iretd */
	expect_step(&w, SOFT_RIG_CODE + 2, "mov ss, ax");
	soft_post(w.c, PEND_NMI);
	expect_step(&w, SOFT_RIG_CODE + 3, "nop");
	soft_post(w.c, PEND_NMI);
	expect_step(&w, WORLD_HANDLER, "the first");
	soft_post(w.c, PEND_NMI);
	expect_step(&w, SOFT_RIG_CODE + 3, "iretd");
	expect_step(&w, WORLD_HANDLER, "the second");
	expect_step(&w, SOFT_RIG_CODE + 3, "iretd");
	expect_step(&w, SOFT_RIG_CODE + 4, "the third found no room");
	world_close(&w);
}

/* SDM 3A 8.4.2: a processor starts at the first SIPI after an INIT, and the others are not heeded.
 */
Test(soft_traps, sipi_when_the_receiver_has_not_looked_then_the_first_after_the_last_init)
{
	enum { FIRST = PEND_SIPI | 0x9a << PEND_VECTOR_SHIFT };
	enum { SECOND = PEND_SIPI | 0x9b << PEND_VECTOR_SHIFT };
	static const struct {
		unsigned post[3], pend;
	} rows[] = {
		{{PEND_INIT, FIRST, SECOND}, PEND_INIT | FIRST},
		{{FIRST, PEND_INIT, SECOND}, PEND_INIT | SECOND},
		{{PEND_INIT, FIRST, PEND_INIT}, PEND_INIT},
		{{FIRST, PEND_IRQ, SECOND}, FIRST | PEND_IRQ},
	};
	struct world w = OPEN_WORLD(0x90);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		atomic_store(&w.c->pend, 0);
		for (unsigned n = 0; n < 3; n++)
			soft_post(w.c, rows[i].post[n]);
		cr_expect(eq(uint, atomic_load(&w.c->pend), rows[i].pend), "row %zu", i);
	}
	world_close(&w);
}
