/* The stack: pushes and pops of every operand size on stacks of every width, flags, frames. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define LONG   X86_MODE_LONG64
#define PROT32 X86_MODE_PROT32
#define REAL   X86_MODE_REAL
#define V86    X86_MODE_V86
#define RSP_BX 0x1122334455667788

static uint64_t stack_base(const struct soft_rig *rig, enum x86_mode mode)
{
	return mode == LONG ? 0 : rig->c->seg[X86_SS].base;
}

/* A push: what is on the stack, and by how much it grew. */
struct push_case {
	const char *name;
	enum x86_mode mode;
	uint8_t len, bytes[8];
	unsigned size;
	uint64_t value;
};
static const struct push_case PUSHES[] = {
	{"push rbx", LONG, 1, {0x53}, 8, RSP_BX},
	{"push bx", LONG, 2, {0x66, 0x53}, 2, 0x7788},
	{"push rsp", LONG, 1, {0x54}, 8, SOFT_RIG_STACK},
	{"push imm8", LONG, 2, {0x6a, 0xfe}, 8, (uint64_t)-2},
	{"push imm32", LONG, 5, {0x68, 0, 0, 0, 0x80}, 8, 0xffffffff80000000},
	{"push imm16", LONG, 4, {0x66, 0x68, 0x34, 0x12}, 2, 0x1234},
	{"push fs", LONG, 2, {0x0f, 0xa0}, 8, 0x10},
	{"push [rax]", LONG, 2, {0xff, 0x30}, 8, 0xa1a2a3a4a5a6a7a8},
	{"push ebx", PROT32, 1, {0x53}, 4, 0x55667788},
	{"push bx", PROT32, 2, {0x66, 0x53}, 2, 0x7788},
	{"push imm8", PROT32, 2, {0x6a, 0xfe}, 4, 0xfffffffe},
	{"push ds", PROT32, 1, {0x1e}, 4, 0x10},
	{"push [eax]", PROT32, 2, {0xff, 0x30}, 4, 0xa5a6a7a8},
	{"push bx", REAL, 1, {0x53}, 2, 0x7788},
	{"push ebx", REAL, 2, {0x66, 0x53}, 4, 0x55667788},
	{"push sp", REAL, 1, {0x54}, 2, 0x8000},
	{"push imm8", REAL, 2, {0x6a, 0xfe}, 2, 0xfffe},
	{"push ss", REAL, 1, {0x16}, 2, SOFT_RIG_STACK >> 4},
};

static void set_up(struct soft_rig *rig, enum x86_mode mode, const uint8_t *bytes, size_t len)
{
	static const uint64_t DATA = 0xa1a2a3a4a5a6a7a8;

	soft_rig_mode(rig, mode, mode == V86 ? 3 : 0);
	soft_rig_code(rig, bytes, len);
	soft_rig_poke(rig, SOFT_RIG_DATA, &DATA, sizeof(DATA));
	rig->c->r[X86_RBX] = RSP_BX;
	rig->c->r[X86_RAX] = SOFT_RIG_DATA;
}

Test(exec_stack, push_when_stepped_then_value_below)
{
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(PUSHES); i++) {
		const struct push_case *t = &PUSHES[i];
		uint64_t rsp;

		set_up(rig, t->mode, t->bytes, t->len);
		rsp = rig->c->r[X86_RSP];
		cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK, "%s", t->name);
		cr_assert_eq(rig->c->r[X86_RSP], rsp - t->size, "%s", t->name);
		cr_assert_eq(soft_rig_peek(rig, stack_base(rig, t->mode) + rsp - t->size, t->size),
			     t->value, "%s", t->name);
	}
	soft_rig_destroy(rig);
}

/* A pop of 11 12 .. 18 at the stack's top into EBX, or to memory. */
struct pop_case {
	const char *name;
	enum x86_mode mode;
	uint8_t len, bytes[8];
	unsigned size;
	unsigned reg; /* or X86_GPR_COUNT: memory at SOFT_RIG_DATA */
	uint64_t value;
};
#define TOP 0x1817161514131211
static const struct pop_case POPS[] = {
	{"pop rbx", LONG, 1, {0x5b}, 8, X86_RBX, TOP},
	{"pop bx", LONG, 2, {0x66, 0x5b}, 2, X86_RBX, 0x1122334455661211},
	{"pop [rax]", LONG, 2, {0x8f, 0x00}, 8, X86_GPR_COUNT, TOP},
	{"pop ebx", PROT32, 1, {0x5b}, 4, X86_RBX, 0x14131211},
	{"pop bx", PROT32, 2, {0x66, 0x5b}, 2, X86_RBX, 0x1122334455661211},
	{"pop [eax]", PROT32, 2, {0x8f, 0x00}, 4, X86_GPR_COUNT, 0xa1a2a3a414131211},
	{"pop bx", REAL, 1, {0x5b}, 2, X86_RBX, 0x1122334455661211},
	{"pop ebx", REAL, 2, {0x66, 0x5b}, 4, X86_RBX, 0x14131211},
	{"pop [0]", REAL, 4, {0x8f, 0x06, 0, 0}, 2, X86_GPR_COUNT, 0xa1a2a3a4a5a61211},
};

Test(exec_stack, pop_when_stepped_then_value_taken)
{
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(POPS); i++) {
		const struct pop_case *t = &POPS[i];
		const uint64_t top = TOP;
		uint64_t rsp, got;

		set_up(rig, t->mode, t->bytes, t->len);
		rsp = rig->c->r[X86_RSP];
		soft_rig_poke(rig, stack_base(rig, t->mode) + rsp, &top, sizeof(top));
		cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK, "%s", t->name);
		cr_assert_eq(rig->c->r[X86_RSP], rsp + t->size, "%s", t->name);
		got = t->reg < X86_GPR_COUNT ? rig->c->r[t->reg]
					     : soft_rig_peek(rig, SOFT_RIG_DATA, 8);
		cr_assert_eq(got, t->value, "%s: %#llx", t->name, (unsigned long long)got);
	}
	soft_rig_destroy(rig);
}

Test(exec_stack, pop_rsp_when_stepped_then_value_wins)
{
	struct soft_rig *rig = soft_rig_create(4);
	const uint64_t top = 0x1234;

	SOFT_RIG_CODE_BYTES(rig, 0x5c);
	soft_rig_poke(rig, SOFT_RIG_STACK, &top, sizeof(top));
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RSP], 0x1234);
	soft_rig_destroy(rig);
}

/* POP [rsp + 8] takes its address from RSP behind the pop. */
Test(exec_stack, pop_memory_when_based_on_rsp_then_incremented_first)
{
	struct soft_rig *rig = soft_rig_create(4);
	const uint64_t top = TOP;

	SOFT_RIG_CODE_BYTES(rig, 0x8f, 0x44, 0x24, 0x08);
	soft_rig_poke(rig, SOFT_RIG_STACK, &top, sizeof(top));
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK + 16, 8), TOP);
	cr_assert_eq(rig->c->r[X86_RSP], SOFT_RIG_STACK + 8);
	soft_rig_destroy(rig);
}

/* A store that faults leaves RSP alone. */
Test(exec_stack, pop_memory_when_store_faults_then_rsp_unchanged)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0x8f, 0x00);
	rig->c->r[X86_RAX] = 1ull << 62;
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	cr_assert_eq(rig->c->r[X86_RSP], SOFT_RIG_STACK);
	soft_rig_destroy(rig);
}

Test(exec_stack, push_when_rsp_not_canonical_then_ss)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0x50);
	rig->c->r[X86_RSP] = 0x0000800000000008;
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_SS);
	cr_assert_eq(rig->c->r[X86_RSP], 0x0000800000000008);
	soft_rig_destroy(rig);
}

/* The stack wraps within 64 KiB. */
Test(exec_stack, push_when_sp_is_0_then_wraps)
{
	struct soft_rig *rig = soft_rig_create(4);

	set_up(rig, REAL, (const uint8_t[]){0x53}, 1);
	rig->c->r[X86_RSP] = 0xabcd0000;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RSP], 0xabcdfffe);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK + 0xfffe, 2), 0x7788);
	soft_rig_destroy(rig);
}

Test(exec_stack, pusha_popa_when_stepped_then_registers_return)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;
	uint64_t rsp;

	/* pusha; popa, with the values changed between */
	set_up(rig, PROT32, (const uint8_t[]){0x60, 0x61}, 2);
	rsp = c->r[X86_RSP];
	for (unsigned i = X86_RAX; i <= X86_RDI; i++) {
		if (i != X86_RSP)
			c->r[i] = 0x1000 + i;
	}
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RSP], rsp - 32);
	cr_assert_eq(soft_rig_peek(rig, rsp - 4, 4), 0x1000 + X86_RAX);
	cr_assert_eq(soft_rig_peek(rig, rsp - 20, 4), rsp);
	cr_assert_eq(soft_rig_peek(rig, rsp - 32, 4), 0x1000 + X86_RDI);
	for (unsigned i = X86_RAX; i <= X86_RDI; i++) {
		if (i != X86_RSP)
			c->r[i] = 0;
	}
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RSP], rsp);
	for (unsigned i = X86_RAX; i <= X86_RDI; i++) {
		if (i != X86_RSP)
			cr_assert_eq(c->r[i], 0x1000 + i);
	}
	soft_rig_destroy(rig);
}

/* POPF: what may change by privilege. */
struct popf_case {
	const char *name;
	enum x86_mode mode;
	unsigned cpl, iopl;
	uint64_t before, popped, after; /* without bit 1 */
	bool is_gp;
};
#define IF   X86_RFLAGS_IF
#define DF   X86_RFLAGS_DF
#define IOPL X86_RFLAGS_IOPL
#define ALL  0x244fd5 /* every flag that POPF can change or must leave, but TF */
static const struct popf_case POPFS[] = {
	{"cpl 0 changes all", LONG, 0, 0, 0, ALL | IF | DF | IOPL, ALL | IF | DF | IOPL, false},
	{"cpl 0 clears", LONG, 0, 3, IF | DF, 0, 0, false},
	{"cpl 3, iopl 0 keeps IF", LONG, 3, 0, IF, DF, IF | DF, false},
	{"cpl 3, iopl 0 keeps IOPL", LONG, 3, 0, 0, IOPL, 0, false},
	{"cpl 3, iopl 3 changes IF", LONG, 3, 3, 0, IF, IF | IOPL, false},
	{"VM and RF are not popped", PROT32, 0, 0, 0, X86_RFLAGS_VM | X86_RFLAGS_RF, 0, false},
	{"VIP and VIF stay", PROT32, 0, 0, X86_RFLAGS_VIF, X86_RFLAGS_VIP, X86_RFLAGS_VIF, false},
	{"v86, iopl 3", V86, 3, 3, 0, IF | DF, IF | DF | IOPL | X86_RFLAGS_VM, false},
	{"v86, iopl 0", V86, 3, 0, 0, 0, 0, true},
};

static void check_popf(struct soft_rig *rig, const struct popf_case *t)
{
	struct soft_cpu *c = rig->c;
	struct soft_rig_result result;
	uint64_t mode_flags, after;

	soft_rig_mode(rig, t->mode, t->cpl);
	SOFT_RIG_CODE_BYTES(rig, 0x9d);
	mode_flags = soft_rflags(c) & X86_RFLAGS_VM;
	soft_set_rflags(c, t->before | mode_flags | (uint64_t)t->iopl << 12);
	soft_rig_poke(rig, stack_base(rig, t->mode) + c->r[X86_RSP], &t->popped, 8);
	result = soft_rig_step(rig);
	if (t->is_gp) {
		cr_assert_eq(result.end, SOFT_RIG_EXCEPTION, "%s", t->name);
		cr_assert_eq(result.event.vector, X86_EXC_GP, "%s", t->name);
		return;
	}
	cr_assert_eq(result.end, SOFT_RIG_OK, "%s", t->name);
	after = soft_rflags(c) & ~X86_RFLAGS_FIXED;
	cr_assert_eq(after, t->after, "%s: %#llx", t->name, (unsigned long long)after);
}

Test(exec_stack, popf_when_privilege_varies_then_protected_flags_stay)
{
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(POPFS); i++)
		check_popf(rig, &POPFS[i]);
	soft_rig_destroy(rig);
}

Test(exec_stack, pushf_when_stepped_then_flags_without_vm_and_rf)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0x9c);
	soft_set_rflags(c, X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_OF | DF);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK - 8, 8),
		     X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_OF | DF);
	soft_rig_mode(rig, V86, 3);
	SOFT_RIG_CODE_BYTES(rig, 0x9c);
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	soft_rig_destroy(rig);
}

/* ENTER with nesting level 2: saved RBP, one copied frame pointer, its own. */
Test(exec_stack, enter_leave_when_nested_then_frames_are_chained)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;
	const uint64_t old_frame = SOFT_RIG_STACK + 0x100, outer = 0x5555;

	SOFT_RIG_CODE_BYTES(rig, 0xc8, 0x20, 0x00, 0x02, 0xc9); /* enter 0x20, 2; leave */
	c->r[X86_RBP] = old_frame;
	soft_rig_poke(rig, old_frame - 8, &outer, sizeof(outer));
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RBP], SOFT_RIG_STACK - 8);
	cr_assert_eq(c->r[X86_RSP], SOFT_RIG_STACK - 24 - 0x20);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK - 8, 8), old_frame);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK - 16, 8), outer);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_STACK - 24, 8), SOFT_RIG_STACK - 8);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RBP], old_frame);
	cr_assert_eq(c->r[X86_RSP], SOFT_RIG_STACK);
	soft_rig_destroy(rig);
}

Test(exec_stack, enter_leave_when_16_bit_then_bp_alone)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	set_up(rig, REAL, (const uint8_t[]){0xc8, 0x10, 0x00, 0x00, 0xc9}, 5);
	c->r[X86_RBP] = 0x12345678;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RBP], 0x12347ffe);
	cr_assert_eq(c->r[X86_RSP], 0x7fee);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RBP], 0x12345678);
	cr_assert_eq(c->r[X86_RSP], 0x8000);
	soft_rig_destroy(rig);
}
