/* Events: the IVT, the merging of faults, what the registers say, and INIT and SIPI. */
#include "seg_world.h"

#include "src/accel/soft/exc.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct soft_event exception(unsigned vector)
{
	return (struct soft_event){.type = EVENT_EXCEPTION, .vector = (uint8_t)vector};
}

/* Table 6-5 of SDM 3A. */
Test(soft_exc, merge_when_two_faults_then_serial_double_or_triple)
{
	enum { SERIAL, DOUBLE, TRIPLE };
	static const struct {
		unsigned first, second, result;
	} rows[] = {
		{X86_EXC_UD, X86_EXC_GP, SERIAL}, {X86_EXC_DB, X86_EXC_PF, SERIAL},
		{X86_EXC_GP, X86_EXC_UD, SERIAL}, {X86_EXC_GP, X86_EXC_GP, DOUBLE},
		{X86_EXC_DE, X86_EXC_TS, DOUBLE}, {X86_EXC_NP, X86_EXC_SS, DOUBLE},
		{X86_EXC_GP, X86_EXC_PF, SERIAL}, {X86_EXC_PF, X86_EXC_PF, DOUBLE},
		{X86_EXC_PF, X86_EXC_NP, DOUBLE}, {X86_EXC_PF, X86_EXC_AC, SERIAL},
		{X86_EXC_DF, X86_EXC_GP, TRIPLE}, {X86_EXC_DF, X86_EXC_PF, TRIPLE},
		{X86_EXC_DF, X86_EXC_DB, SERIAL}, {X86_EXC_NM, X86_EXC_NP, SERIAL},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct soft_event first = exception(rows[i].first);
		struct soft_event second = exception(rows[i].second);
		bool is_alive = soft_exc_merge(&first, &second);
		unsigned vector = rows[i].result == DOUBLE ? X86_EXC_DF : rows[i].second;

		cr_expect_eq(is_alive, rows[i].result != TRIPLE, "%u, %u", rows[i].first,
			     rows[i].second);
		cr_expect_eq(second.vector, vector, "%u, %u", rows[i].first, rows[i].second);
	}
}

/* The vector number alone makes no contributory fault. */
Test(soft_exc, merge_when_first_is_an_interrupt_then_serial)
{
	struct soft_event first = {.type = EVENT_HARDWARE, .vector = X86_EXC_GP};
	struct soft_event second = exception(X86_EXC_GP);

	cr_expect(soft_exc_merge(&first, &second));
	cr_expect(eq(uint, second.vector, X86_EXC_GP));
}

Test(soft_exc, merge_when_double_fault_then_error_0_and_the_last_cr2)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct soft_event first = exception(X86_EXC_PF), second = exception(X86_EXC_PF);

	second.has_error = true;
	second.error = X86_PF_W;
	second.cr2 = 0x5678;
	cr_expect(soft_exc_merge(&first, &second));
	cr_expect(second.vector == X86_EXC_DF && second.has_error && second.error == 0);
	w.c->cr2 = 0x1234;
	world_idt(&w, X86_EXC_DF,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	world_expect_ok(world_deliver(&w, &second), "#DF");
	cr_expect(eq(u64, w.c->cr2, 0x5678));
	world_close(&w);
}

/* Real mode. */

Test(soft_exc, deliver_when_real_mode_then_three_words_and_no_error_code)
{
	struct world w = world_open(X86_MODE_REAL, 0);
	struct soft_event event = exception(X86_EXC_GP);
	gpa_t top = SOFT_RIG_STACK + 0x8000;

	world_put(&w, WORLD_IVT + X86_EXC_GP * 4, 4, 0x20001234);
	event.has_error = true;
	event.error = 0x55;
	w.c->rip = 0x321;
	soft_set_rflags(w.c, X86_RFLAGS_IF | X86_RFLAGS_TF | X86_RFLAGS_CF | X86_RFLAGS_NT);
	world_expect_ok(world_deliver(&w, &event), "#GP");
	cr_expect(w.c->seg[X86_CS].base == 0x20000 && w.c->rip == 0x1234);
	cr_expect(eq(u64, w.c->r[X86_RSP], 0x7ffa));
	cr_expect(eq(u64, world_get(&w, top - 2, 2), 0x4303));
	cr_expect(eq(u64, world_get(&w, top - 4, 2), 0x1000));
	cr_expect(eq(u64, world_get(&w, top - 6, 2), 0x321));
	cr_expect(eq(u64, soft_rflags(w.c), 0x4003));
	world_close(&w);
}

Test(soft_exc, deliver_when_real_mode_and_idt_or_stack_too_small_then_fault)
{
	struct world w = world_open(X86_MODE_REAL, 0);
	struct soft_event event = exception(X86_EXC_UD);

	w.c->idtr.limit = X86_EXC_UD * 4 + 2;
	world_expect_fault(world_deliver(&w, &event), X86_EXC_GP, X86_EXC_UD * 8 + 2, "limit");
	w.c->idtr.limit = X86_EXC_UD * 4 + 3;
	world_expect_ok(world_deliver(&w, &event), "last entry");
	w.c->r[X86_RSP] = 1;
	world_expect_fault(world_deliver(&w, &event), X86_EXC_SS, 0, "stack");
	cr_expect(eq(u64, w.c->r[X86_RSP], 1));
	world_close(&w);
}

/* Registers that tell of the event. */

Test(soft_exc, deliver_when_page_fault_then_cr2_even_if_delivery_faults)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct soft_event event = exception(X86_EXC_PF);

	event.cr2 = 0xabcd1234;
	world_expect_fault(world_deliver(&w, &event), X86_EXC_GP, X86_EXC_PF * 8 + 3, "no gate");
	cr_expect(eq(u64, w.c->cr2, 0xabcd1234));
	world_close(&w);
}

Test(soft_exc, deliver_when_debug_exception_then_dr6_and_dr7)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct soft_event event = exception(X86_EXC_DB);

	world_idt(&w, X86_EXC_DB,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
	event.dr6 = 0x4002;
	w.c->dr[6] = 0xffff8ff5;
	w.c->dr[7] = 0x2400;
	world_expect_ok(world_deliver(&w, &event), "#DB");
	cr_expect(eq(u64, w.c->dr[6], 0xffffcff2));
	cr_expect(eq(u64, w.c->dr[7], 0x400));
	world_close(&w);
}

Test(soft_exc, deliver_when_nmi_then_blocked_until_iret)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct soft_event event = {.type = EVENT_NMI, .vector = X86_EXC_NMI};

	world_idt(&w, X86_EXC_NMI,
		  world_gate(SEL_CODE0, SOFT_RIG_CODE, ACCESS(0, 0, SEG_INT_GATE), 0));
	world_expect_ok(world_deliver(&w, &event), "NMI");
	cr_expect(w.c->nmi_blocked);
	world_expect_ok(WORLD_STEP(&w, 0xcf), "iret");
	cr_expect(w.c->nmi_blocked == false);
	world_close(&w);
}

/* SDM 3B 17.3.1.1: faults push RF=1, traps and interrupts do not. */
Test(soft_exc, deliver_when_fault_then_rf_in_the_saved_flags_only)
{
	static const struct {
		enum soft_event_type type;
		unsigned vector;
		uint64_t dr6;
		bool has_rf;
	} rows[] = {
		{EVENT_EXCEPTION, X86_EXC_UD, 0, true},
		{EVENT_EXCEPTION, X86_EXC_GP, 0, true},
		{EVENT_EXCEPTION, X86_EXC_BP, 0, false},
		{EVENT_EXCEPTION, X86_EXC_DB, 1, false},
		{EVENT_EXCEPTION, X86_EXC_DB, 1u << 13, true},
		{EVENT_HARDWARE, X86_EXC_UD, 0, false},
		{EVENT_SOFT_INT, X86_EXC_UD, 0, false},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(X86_MODE_PROT32, 0);
		struct soft_event event = exception(rows[i].vector);
		uint64_t flags;

		event.type = rows[i].type;
		event.dr6 = rows[i].dr6;
		world_idt(&w, event.vector,
			  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_INT_GATE), 0));
		world_expect_ok(world_deliver(&w, &event), "event");
		flags = world_get(&w, SOFT_RIG_STACK - 4, 4);
		cr_expect_eq((flags & X86_RFLAGS_RF) != 0, rows[i].has_rf, "row %zu", i);
		cr_expect_eq(soft_rflags(w.c) & X86_RFLAGS_RF, 0, "row %zu", i);
		world_close(&w);
	}
}

Test(soft_exc, deliver_when_done_then_shadows_and_single_step_are_gone)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	struct soft_event event = exception(X86_EXC_UD);

	world_idt(&w, X86_EXC_UD,
		  world_gate(SEL_CODE0, WORLD_HANDLER, ACCESS(0, 0, SEG_TRAP_GATE), 0));
	w.c->in_int_shadow = true;
	w.c->in_debug_shadow = true;
	w.c->trap_tf = true;
	world_expect_ok(world_deliver(&w, &event), "#UD");
	cr_expect(w.c->in_int_shadow == false && w.c->in_debug_shadow == false);
	cr_expect(w.c->trap_tf == false);
	world_close(&w);
}

/* INIT and SIPI. */

Test(soft_exc, init_when_application_processor_then_waits_for_sipi)
{
	struct world w = world_open(X86_MODE_LONG64, 3);

	w.c->apic_base &= ~(1ull << 8);
	w.c->cr0 |= X86_CR0_CD;
	w.c->r[X86_RBX] = 5;
	w.c->nmi_blocked = true;
	w.c->msr.lstar = 0x1234;
	soft_init(w.c);
	cr_expect(w.c->activity == X86_WAIT_FOR_SIPI);
	cr_expect(eq(u64, w.c->cr0, X86_CR0_CD | X86_CR0_ET));
	cr_expect(w.c->cr3 == 0 && w.c->cr4 == 0 && w.c->efer == 0 && w.c->cpl == 0);
	cr_expect(w.c->r[X86_RBX] == 0 && w.c->rip == 0xfff0);
	cr_expect(w.c->seg[X86_CS].base == 0xffff0000 && w.c->seg[X86_CS].selector == 0xf000);
	cr_expect(w.c->nmi_blocked == false);
	cr_expect(eq(u64, w.c->msr.lstar, 0x1234));
	soft_sipi(w.c, 0x9a);
	cr_expect(w.c->activity == X86_ACTIVE);
	cr_expect(w.c->seg[X86_CS].selector == 0x9a00 && w.c->seg[X86_CS].base == 0x9a000);
	cr_expect(eq(u64, w.c->rip, 0));
	world_close(&w);
}

Test(soft_exc, init_when_bootstrap_processor_then_runs_at_the_reset_vector)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	w.c->apic_base |= 1ull << 8;
	soft_init(w.c);
	cr_expect(w.c->activity == X86_ACTIVE);
	cr_expect(eq(u64, soft_linear_rip(w.c), 0xfffffff0));
	world_close(&w);
}
