/* Hardware task switches: what is saved and loaded, who is busy, and the check of each step. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define TSS2	   SEL_FREE /* selector of the new task's TSS */
#define GATE	   SEL_FREE2
#define TYPE_BYTES (WORLD_GDT + 5u) /* + selector: type byte of a descriptor */

#define NEW_EIP	  0x12000u
#define NEW_STACK 0x2a000u

/* Offsets in a 32-bit TSS. */
#define TSS_CR3	  0x1c
#define TSS_EIP	  0x20
#define TSS_FLAGS 0x24
#define TSS_EAX	  0x28
#define TSS_ESP	  0x38
#define TSS_ES	  0x48
#define TSS_CS	  0x4c
#define TSS_SS	  0x50
#define TSS_DS	  0x54
#define TSS_FS	  0x58
#define TSS_LDTR  0x60
#define TSS_T	  0x64

static void put2(struct world *w, unsigned at, uint32_t value)
{
	world_put(w, WORLD_TSS2 + at, 4, value);
}

static uint32_t saved(struct world *w, unsigned at)
{
	return (uint32_t)world_get(w, WORLD_TSS + at, 4);
}

/* A ring 0 task that could run, at TSS2. */
static struct world open_tasks(unsigned cpl)
{
	struct world w = world_open(X86_MODE_PROT32, cpl);

	world_gdt(&w, TSS2, world_descriptor(WORLD_TSS2, 0x67, ACCESS(3, 0, SEG_TSS), 0), 0);
	world_gdt(&w, GATE, world_gate(TSS2, 0, ACCESS(3, 0, SEG_TASK_GATE), 0), 0);
	put2(&w, TSS_EIP, NEW_EIP);
	put2(&w, TSS_FLAGS, X86_RFLAGS_FIXED);
	for (unsigned i = 0; i < 8; i++)
		put2(&w, TSS_EAX + i * 4, 0x1000 + i);
	put2(&w, TSS_ESP, NEW_STACK);
	put2(&w, TSS_CS, SEL_CODE0);
	put2(&w, TSS_SS, SEL_DATA0);
	put2(&w, TSS_DS, SEL_DATA0);
	put2(&w, TSS_ES, SEL_DATA3);
	put2(&w, TSS_FS, 0);
	return w;
}

static struct soft_rig_result go(struct world *w, bool is_call, uint16_t selector)
{
	uint8_t code[7] = {is_call ? 0x9a : 0xea};

	le16_put(code + 5, selector);
	return world_step(w, code, sizeof(code));
}

static bool is_busy(struct world *w, uint16_t selector)
{
	return world_get(w, TYPE_BYTES + selector, 1) & SEG_BUSY;
}

Test(soft_task, jmp_when_32_bit_then_everything_is_saved_and_loaded)
{
	struct world w = open_tasks(0);

	w.c->r[X86_RBX] = 0xbbbb;
	soft_set_rflags(w.c, X86_RFLAGS_CF);
	world_expect_ok(go(&w, false, TSS2), "jmp");
	cr_expect(eq(u32, saved(&w, TSS_EIP), SOFT_RIG_CODE + 7));
	cr_expect(eq(u32, saved(&w, TSS_FLAGS), 3));
	cr_expect(eq(u32, saved(&w, TSS_EAX + X86_RBX * 4), 0xbbbb));
	cr_expect(eq(u32, saved(&w, TSS_ESP), SOFT_RIG_STACK));
	cr_expect(eq(u32, saved(&w, TSS_CS) & 0xffff, SEL_CODE0));
	cr_expect(eq(u32, saved(&w, TSS_FS) & 0xffff, SEL_DATA0));
	cr_expect(w.c->rip == NEW_EIP && w.c->r[X86_RSP] == NEW_STACK);
	cr_expect(w.c->r[X86_RDI] == 0x1007 && w.c->r[X86_RAX] == 0x1000);
	cr_expect(w.c->seg[X86_ES].selector == SEL_DATA3 && w.c->seg[X86_FS].unusable);
	cr_expect(w.c->tr.selector == TSS2 && w.c->tr.base == WORLD_TSS2);
	cr_expect(eq(uint, w.c->tr.type, SEG_TSS_BUSY));
	cr_expect(is_busy(&w, TSS2));
	cr_expect(is_busy(&w, SEL_TSS) == false);
	cr_expect(eq(u64, soft_rflags(w.c), X86_RFLAGS_FIXED));
	cr_expect(eq(u64, w.c->cr0 & X86_CR0_TS, X86_CR0_TS));
	cr_expect(w.c->ldtr.unusable);
	world_close(&w);
}

Test(soft_task, call_and_iret_when_nested_then_link_nt_and_busy)
{
	struct world w = open_tasks(0);

	w.c->dr[7] = 0x7ff;
	world_expect_ok(go(&w, true, GATE), "call");
	cr_expect(is_busy(&w, SEL_TSS) && is_busy(&w, TSS2));
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2, 2), SEL_TSS));
	cr_expect(eq(u64, soft_rflags(w.c), X86_RFLAGS_NT | X86_RFLAGS_FIXED));
	cr_expect(eq(u64, w.c->dr[7], 0x6aa));
	world_put(&w, WORLD_TSS + TSS_LDTR, 2, SEL_LDT);
	world_put(&w, NEW_EIP, 1, 0xcf);
	world_expect_ok(soft_rig_step(w.rig), "iret");
	cr_expect(w.c->rip == SOFT_RIG_CODE + 7 && w.c->tr.selector == SEL_TSS);
	cr_expect(is_busy(&w, SEL_TSS));
	cr_expect(is_busy(&w, TSS2) == false);
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2 + TSS_FLAGS, 4), X86_RFLAGS_FIXED));
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2 + TSS_EIP, 4), NEW_EIP + 1));
	cr_expect(w.c->ldtr.base == WORLD_LDT && w.c->ldtr.unusable == false);
	world_close(&w);
}

Test(soft_task, gate_when_exception_then_error_code_on_the_new_stack)
{
	struct world w = open_tasks(3);
	struct soft_event event = {
		.type = EVENT_EXCEPTION, .vector = X86_EXC_GP, .has_error = true, .error = 0x1234};

	world_idt(&w, X86_EXC_GP, world_gate(TSS2, 0, ACCESS(0, 0, SEG_TASK_GATE), 0));
	w.c->rip = 0x555;
	world_expect_ok(world_deliver(&w, &event), "#GP");
	cr_expect(w.c->cpl == 0 && w.c->rip == NEW_EIP);
	cr_expect(eq(u64, w.c->r[X86_RSP], NEW_STACK - 4));
	cr_expect(eq(u64, world_get(&w, NEW_STACK - 4, 4), 0x1234));
	cr_expect(eq(u32, saved(&w, TSS_EIP), 0x555));
	cr_expect(eq(u32, saved(&w, TSS_FLAGS), X86_RFLAGS_RF | X86_RFLAGS_FIXED));
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2, 2), SEL_TSS));
	world_close(&w);
}

Test(soft_task, switch_when_new_task_is_v86_then_real_mode_segments)
{
	struct world w = open_tasks(0);

	put2(&w, TSS_FLAGS, X86_RFLAGS_VM | X86_RFLAGS_FIXED);
	put2(&w, TSS_CS, 0x2000);
	put2(&w, TSS_EIP, 0x1234);
	world_expect_ok(go(&w, false, TSS2), "jmp");
	cr_expect(seg_is_v86(w.c) && w.c->cpl == 3);
	cr_expect(w.c->seg[X86_CS].base == 0x20000 && w.c->seg[X86_CS].limit == 0xffff);
	cr_expect(w.c->seg[X86_FS].unusable == false);
	world_close(&w);
}

Test(soft_task, switch_when_t_flag_then_a_debug_exception_waits)
{
	struct world w = open_tasks(0);

	put2(&w, TSS_T, 1);
	world_expect_ok(go(&w, false, TSS2), "jmp");
	cr_expect(w.c->has_event && w.c->event.vector == X86_EXC_DB);
	cr_expect(eq(u64, w.c->event.dr6, 1u << 15));
	w.c->has_event = false;
	world_close(&w);
}

Test(soft_task, switch_when_16_bit_tss_then_words)
{
	struct world w = open_tasks(0);

	world_gdt(&w, TSS2, world_descriptor(WORLD_TSS2, 0x2b, ACCESS(0, 0, SEG_TSS16), 0), 0);
	world_put(&w, WORLD_TSS2 + 0x0e, 4, 0x00022000); /* IP, FLAGS */
	world_put(&w, WORLD_TSS2 + 0x12, 2, 0x1111);
	world_put(&w, WORLD_TSS2 + 0x22, 2, SEL_DATA0);
	world_put(&w, WORLD_TSS2 + 0x24, 2, SEL_CODE0);
	world_put(&w, WORLD_TSS2 + 0x26, 2, SEL_DATA0);
	world_put(&w, WORLD_TSS2 + 0x28, 2, SEL_DATA0);
	world_put(&w, WORLD_TSS2 + 0x2a, 2, SEL_LDT);
	world_expect_ok(go(&w, true, TSS2), "call");
	cr_expect(w.c->rip == 0x2000 && (w.c->r[X86_RAX] & 0xffff) == 0x1111);
	cr_expect(w.c->ldtr.selector == SEL_LDT && w.c->seg[X86_GS].unusable);
	cr_expect(eq(uint, w.c->tr.type, SEG_TSS16_BUSY));
	world_put(&w, 0x2000, 1, 0xcf);
	world_expect_ok(soft_rig_step(w.rig), "iret");
	cr_expect(w.c->tr.selector == SEL_TSS && w.c->rip == SOFT_RIG_CODE + 7);
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2 + 0x0e, 2), 0x2001));
	cr_expect(eq(u64, world_get(&w, WORLD_TSS2 + 0x10, 2), 2));
	world_close(&w);
}

/* The first directory maps what is needed in one page of 4 MiB, the second nothing: the new task
 * cannot even read its descriptors. */
static struct soft_rig_result switch_to_space(struct world *w, uint32_t cr3)
{
	world_put(w, 0x100000, 4, 0x83);
	w->c->cr3 = 0x100000;
	w->c->cr4 |= X86_CR4_PSE;
	w->c->cr0 |= X86_CR0_PG;
	soft_paging_changed(w->c, MMU_LOAD_CR3);
	put2(w, TSS_CR3, cr3);
	return go(w, false, TSS2);
}

Test(soft_task, switch_when_paging_then_address_space_of_the_new_task)
{
	struct world w = open_tasks(0);
	struct soft_rig_result result;

	world_expect_ok(switch_to_space(&w, 0x100000), "same space");
	world_close(&w);
	w = open_tasks(0);
	result = switch_to_space(&w, 0x101000);
	world_expect_fault(result, X86_EXC_PF, 0, "empty space");
	cr_expect(eq(u64, result.event.cr2, WORLD_GDT + SEL_CODE0));
	cr_expect(w.c->cr3 == 0x101000 && w.c->rip == NEW_EIP);
	world_close(&w);
}

/* Faults of the old task: nothing but memory has changed. */

static const struct {
	const char *name;
	unsigned cpl;
	uint16_t selector;
	unsigned access, limit; /* of TSS2 */
	uint16_t in_gate;
	unsigned gate;
	unsigned vector, error;
} OLD[] = {
	{"DPL below CPL", 3, TSS2, ACCESS(0, 0, SEG_TSS), 0x67, TSS2, 0, X86_EXC_GP, TSS2},
	{"DPL below RPL", 0, TSS2 + 3, ACCESS(0, 0, SEG_TSS), 0x67, TSS2, 0, X86_EXC_GP, TSS2},
	{"busy", 0, TSS2, ACCESS(0, 0, SEG_TSS_BUSY), 0x67, TSS2, 0, X86_EXC_GP, TSS2},
	{"absent", 0, TSS2, NOT_PRESENT(ACCESS(0, 0, SEG_TSS)), 0x67, TSS2, 0, X86_EXC_NP, TSS2},
	{"too small", 0, TSS2, ACCESS(0, 0, SEG_TSS), 0x66, TSS2, 0, X86_EXC_TS, TSS2},
	{"16 bits, too small", 0, TSS2, ACCESS(0, 0, SEG_TSS16), 0x2a, TSS2, 0, X86_EXC_TS, TSS2},
	{"gate DPL", 3, GATE, ACCESS(3, 0, SEG_TSS), 0x67, TSS2, ACCESS(2, 0, SEG_TASK_GATE),
	 X86_EXC_GP, GATE},
	{"gate absent", 3, GATE, ACCESS(3, 0, SEG_TSS), 0x67, TSS2,
	 NOT_PRESENT(ACCESS(3, 0, SEG_TASK_GATE)), X86_EXC_NP, GATE},
	{"gate to the LDT", 3, GATE, ACCESS(3, 0, SEG_TSS), 0x67, 0xc, ACCESS(3, 0, SEG_TASK_GATE),
	 X86_EXC_GP, 0xc},
	{"gate to nothing", 3, GATE, ACCESS(3, 0, SEG_TSS), 0x67, 0, ACCESS(3, 0, SEG_TASK_GATE),
	 X86_EXC_GP, 0},
	{"gate to code", 3, GATE, ACCESS(3, 0, SEG_TSS), 0x67, SEL_CODE0,
	 ACCESS(3, 0, SEG_TASK_GATE), X86_EXC_GP, SEL_CODE0},
	{"gate to a busy TSS", 3, GATE, ACCESS(3, 0, SEG_TSS_BUSY), 0x67, TSS2,
	 ACCESS(3, 0, SEG_TASK_GATE), X86_EXC_GP, TSS2},
};

Test(soft_task, switch_when_tss_is_bad_then_fault_of_the_old_task)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(OLD); i++) {
		struct world w = open_tasks(OLD[i].cpl);

		world_gdt(&w, TSS2, world_descriptor(WORLD_TSS2, OLD[i].limit, OLD[i].access, 0),
			  0);
		world_gdt(&w, GATE, world_gate(OLD[i].in_gate, 0, OLD[i].gate, 0), 0);
		world_expect_fault(go(&w, true, OLD[i].selector), OLD[i].vector, OLD[i].error,
				   OLD[i].name);
		cr_expect_eq(w.c->rip, SOFT_RIG_CODE, "%s", OLD[i].name);
		cr_expect_eq(w.c->tr.selector, SEL_TSS, "%s", OLD[i].name);
		cr_expect_eq(w.c->cpl, OLD[i].cpl, "%s", OLD[i].name);
		world_close(&w);
	}
}

Test(soft_task, iret_when_link_is_bad_then_ts)
{
	static const struct {
		const char *name;
		uint16_t link;
		unsigned access, vector;
	} rows[] = {
		{"null", 0, 0, X86_EXC_TS},
		{"local", 0xc, 0, X86_EXC_TS},
		{"beyond the GDT", SEL_BEYOND, 0, X86_EXC_TS},
		{"not busy", TSS2, ACCESS(0, 0, SEG_TSS), X86_EXC_TS},
		{"absent", TSS2, NOT_PRESENT(ACCESS(0, 0, SEG_TSS_BUSY)), X86_EXC_NP},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = open_tasks(0);

		world_gdt(&w, TSS2, world_descriptor(WORLD_TSS2, 0x67, rows[i].access, 0), 0);
		world_put(&w, WORLD_TSS, 2, rows[i].link);
		w.c->rflags |= X86_RFLAGS_NT;
		world_expect_fault(WORLD_STEP(&w, 0xcf), rows[i].vector, rows[i].link & ~3u,
				   rows[i].name);
		world_close(&w);
	}
}

/* Faults of the new task: RIP and TR are its own already. */

static const struct {
	const char *name;
	unsigned at; /* field of the TSS that becomes SEL_FREE3 + rpl, or @value */
	uint32_t value;
	unsigned access;
	unsigned vector, error;
} NEW[] = {
	{"local LDT", TSS_LDTR, 0xc, 0, X86_EXC_TS, 0xc},
	{"LDT is data", TSS_LDTR, SEL_DATA0, 0, X86_EXC_TS, SEL_DATA0},
	{"LDT absent", TSS_LDTR, SEL_FREE3, NOT_PRESENT(ACCESS(0, 0, SEG_LDT)), X86_EXC_TS,
	 SEL_FREE3},
	{"null CS", TSS_CS, 0, 0, X86_EXC_TS, 0},
	{"CS is data", TSS_CS, SEL_DATA0, 0, X86_EXC_TS, SEL_DATA0},
	{"CS with another RPL", TSS_CS, SEL_CODE0 + 1, 0, X86_EXC_TS, SEL_CODE0},
	{"CS absent", TSS_CS, SEL_FREE3, NOT_PRESENT(ACCESS(0, 1, CODE_SEG)), X86_EXC_NP,
	 SEL_FREE3},
	{"null SS", TSS_SS, 0, 0, X86_EXC_TS, 0},
	{"SS beyond the GDT", TSS_SS, SEL_BEYOND, 0, X86_EXC_TS, SEL_BEYOND},
	{"SS of another ring", TSS_SS, SEL_DATA3, 0, X86_EXC_TS, SEL_DATA3 & ~3u},
	{"SS absent", TSS_SS, SEL_FREE3, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)), X86_EXC_SS,
	 SEL_FREE3},
	{"DS execute-only", TSS_DS, SEL_FREE3, ACCESS(0, 1, EXECUTE_ONLY), X86_EXC_TS, SEL_FREE3},
	{"DS above its DPL", TSS_DS, SEL_DATA0 + 3, 0, X86_EXC_TS, SEL_DATA0},
	{"FS absent", TSS_FS, SEL_FREE3, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)), X86_EXC_NP,
	 SEL_FREE3},
};

Test(soft_task, switch_when_selector_is_bad_then_fault_of_the_new_task)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(NEW); i++) {
		struct world w = open_tasks(0);

		world_gdt(&w, SEL_FREE3, world_descriptor(0, 0xfffff, NEW[i].access, 0xc), 0);
		put2(&w, NEW[i].at, NEW[i].value);
		world_expect_fault(go(&w, false, TSS2), NEW[i].vector, NEW[i].error, NEW[i].name);
		cr_expect_eq(w.c->rip, NEW_EIP, "%s", NEW[i].name);
		cr_expect_eq(w.c->tr.selector, TSS2, "%s", NEW[i].name);
		world_close(&w);
	}
}

Test(soft_task, switch_when_eip_is_beyond_cs_then_gp_in_the_new_task)
{
	struct world w = open_tasks(0);

	world_gdt(&w, SEL_FREE3, world_descriptor(0, 0xffff, ACCESS(0, 1, CODE_SEG), 4), 0);
	put2(&w, TSS_CS, SEL_FREE3);
	world_expect_fault(go(&w, false, TSS2), X86_EXC_GP, 0, "eip");
	cr_expect(w.c->rip == NEW_EIP && w.c->seg[X86_CS].selector == SEL_FREE3);
	world_close(&w);
}

/* What the new task faults with while an event is delivered has EXT set. */
Test(soft_task, gate_when_event_and_new_task_is_bad_then_ext)
{
	struct world w = open_tasks(0);
	struct soft_event event = {.type = EVENT_HARDWARE, .vector = 0x40};

	world_idt(&w, 0x40, world_gate(TSS2, 0, ACCESS(0, 0, SEG_TASK_GATE), 0));
	put2(&w, TSS_SS, SEL_BEYOND);
	world_expect_fault(world_deliver(&w, &event), X86_EXC_TS, SEL_BEYOND | 1, "SS");
	world_close(&w);
}
