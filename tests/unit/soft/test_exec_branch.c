/* Near transfers of control in every mode: where they go, what they push, when they fault. */
#include "soft_rig.h"

#include <criterion/criterion.h>

/* One instruction at offset 0 of the code. */
struct branch_case {
	const char *name;
	enum x86_mode mode;
	uint8_t len, bytes[8];
	uint64_t rax, rcx, status;
	uint64_t target; /* relative to the instruction; ABSOLUTE: RIP itself */
	unsigned flags;
	unsigned pushed; /* bytes that the stack grew by */
	uint64_t rcx_after;
};
enum { ABSOLUTE = 1, FAULT_GP = 2 };

#define LONG   X86_MODE_LONG64
#define PROT32 X86_MODE_PROT32
#define PROT16 X86_MODE_PROT16
#define REAL   X86_MODE_REAL
#define ZF     X86_RFLAGS_ZF
#define CF     X86_RFLAGS_CF

static const struct branch_case CASES[] = {
	{"jmp rel8", LONG, 2, {0xeb, 0x10}, 0, 0, 0, 0x12, 0, 0, 0},
	{"jmp rel8 back", LONG, 2, {0xeb, 0xf0}, 0, 0, 0, (uint64_t)-14, 0, 0, 0},
	{"jmp rel32", LONG, 5, {0xe9, 0, 1, 0, 0}, 0, 0, 0, 0x105, 0, 0, 0},
	{"66 jmp is 64 bits", LONG, 6, {0x66, 0xe9, 0, 1, 0, 0}, 0, 0, 0, 0x106, 0, 0, 0},
	{"jc taken", LONG, 2, {0x72, 0x10}, 0, 0, CF, 0x12, 0, 0, 0},
	{"jc not taken", LONG, 2, {0x72, 0x10}, 0, 0, 0, 2, 0, 0, 0},
	{"jnz near", LONG, 6, {0x0f, 0x85, 0, 2, 0, 0}, 0, 0, 0, 0x206, 0, 0, 0},
	{"jmp rax", LONG, 2, {0xff, 0xe0}, 0x123456, 0, 0, 0x123456, ABSOLUTE, 0, 0},
	{"jmp rax high",
	 LONG,
	 2,
	 {0xff, 0xe0},
	 0xffff800000000000,
	 0,
	 0,
	 0xffff800000000000,
	 ABSOLUTE,
	 0,
	 0},
	{"jmp rax not canonical", LONG, 2, {0xff, 0xe0}, 0x800000000000, 0, 0, 0, FAULT_GP, 0, 0},
	{"call rel32", LONG, 5, {0xe8, 0, 1, 0, 0}, 0, 0, 0, 0x105, 0, 8, 0},
	{"call rax", LONG, 2, {0xff, 0xd0}, 0x4444, 0, 0, 0x4444, ABSOLUTE, 8, 0},
	{"call rax not canonical", LONG, 2, {0xff, 0xd0}, 1ull << 63, 0, 0, 0, FAULT_GP, 0, 0},
	{"loop", LONG, 2, {0xe2, 0x10}, 0, 2, 0, 0x12, 0, 0, 1},
	{"loop ends", LONG, 2, {0xe2, 0x10}, 0, 1, 0, 2, 0, 0, 0},
	{"loop from 0", LONG, 2, {0xe2, 0x10}, 0, 0, 0, 0x12, 0, 0, ~0ull},
	{"67 loop counts ecx", LONG, 3, {0x67, 0xe2, 0x10}, 0, 0x500000001, 0, 3, 0, 0, 0},
	{"loope, ZF=0", LONG, 2, {0xe1, 0x10}, 0, 5, 0, 2, 0, 0, 4},
	{"loope, ZF=1", LONG, 2, {0xe1, 0x10}, 0, 5, ZF, 0x12, 0, 0, 4},
	{"loopne, ZF=1", LONG, 2, {0xe0, 0x10}, 0, 5, ZF, 2, 0, 0, 4},
	{"loopne, ZF=0", LONG, 2, {0xe0, 0x10}, 0, 5, 0, 0x12, 0, 0, 4},
	{"jrcxz", LONG, 2, {0xe3, 0x10}, 0, 0, 0, 0x12, 0, 0, 0},
	{"jrcxz, upper half set", LONG, 2, {0xe3, 0x10}, 0, 1ull << 32, 0, 2, 0, 0, 1ull << 32},
	{"jecxz", LONG, 3, {0x67, 0xe3, 0x10}, 0, 1ull << 32, 0, 0x13, 0, 0, 1ull << 32},
	{"jmp rel32", PROT32, 5, {0xe9, 0, 1, 0, 0}, 0, 0, 0, 0x105, 0, 0, 0},
	{"66 jmp is cut to 16 bits", PROT32, 4, {0x66, 0xe9, 0, 1}, 0, 0, 0, 0x104, ABSOLUTE, 0, 0},
	{"66 jz not taken", PROT32, 5, {0x66, 0x0f, 0x84, 0, 1}, 0, 0, 0, 5, 0, 0, 0},
	{"66 jmp ax", PROT32, 3, {0x66, 0xff, 0xe0}, 0x12345678, 0, 0, 0x5678, ABSOLUTE, 0, 0},
	{"call rel32", PROT32, 5, {0xe8, 0, 1, 0, 0}, 0, 0, 0, 0x105, 0, 4, 0},
	{"66 call", PROT32, 4, {0x66, 0xe8, 0, 1}, 0, 0, 0, 0x104, ABSOLUTE, 2, 0},
	{"loop counts ecx", PROT32, 2, {0xe2, 0x10}, 0, 2, 0, 0x12, 0, 0, 1},
	{"67 loop counts cx", PROT32, 3, {0x67, 0xe2, 0x10}, 0, 0x10001, 0, 3, 0, 0, 0x10000},
	{"jmp rel16", REAL, 3, {0xe9, 0, 1}, 0, 0, 0, 0x103, 0, 0, 0},
	{"jmp rel16 wraps", REAL, 3, {0xe9, 0xf0, 0xff}, 0, 0, 0, 0xfff3, 0, 0, 0},
	{"call rel16", REAL, 3, {0xe8, 0, 1}, 0, 0, 0, 0x103, 0, 2, 0},
	{"66 call rel32", REAL, 6, {0x66, 0xe8, 0, 1, 0, 0}, 0, 0, 0, 0x106, 0, 4, 0},
	{"66 jmp beyond the limit", REAL, 6, {0x66, 0xe9, 0, 0, 1, 0}, 0, 0, 0, 0, FAULT_GP, 0, 0},
	{"66 call beyond the limit", REAL, 6, {0x66, 0xe8, 0, 0, 1, 0}, 0, 0, 0, 0, FAULT_GP, 0, 0},
	{"66 jnc beyond the limit",
	 REAL,
	 7,
	 {0x66, 0x0f, 0x83, 0, 0, 1, 0},
	 0,
	 0,
	 0,
	 0,
	 FAULT_GP,
	 0,
	 0},
	{"66 jc beyond it, not taken",
	 REAL,
	 7,
	 {0x66, 0x0f, 0x82, 0, 0, 1, 0},
	 0,
	 0,
	 0,
	 7,
	 0,
	 0,
	 0},
	{"66 jmp eax beyond the limit",
	 REAL,
	 3,
	 {0x66, 0xff, 0xe0},
	 0x10000,
	 0,
	 0,
	 0,
	 FAULT_GP,
	 0,
	 0},
	{"jmp ax", REAL, 2, {0xff, 0xe0}, 0x12340, 0, 0, 0x2340, 0, 0, 0},
	{"jcxz", REAL, 2, {0xe3, 0x10}, 0, 0x10000, 0, 0x12, 0, 0, 0x10000},
};

static uint64_t truncate_to(uint64_t v, unsigned bits)
{
	return bits == 64 ? v : v & ((1ull << bits) - 1);
}

static void check_state(const struct branch_case *t, const struct soft_cpu *c,
			const struct soft_rig_result *result, uint64_t start, uint64_t rsp)
{
	uint64_t target = t->flags & ABSOLUTE ? t->target : start + t->target;

	if (t->flags & FAULT_GP) {
		cr_assert_eq(result->end, SOFT_RIG_EXCEPTION, "%s", t->name);
		cr_assert_eq(result->event.vector, X86_EXC_GP, "%s", t->name);
		cr_assert(result->event.has_error && result->event.error == 0, "%s", t->name);
		target = start;
	} else {
		cr_assert_eq(result->end, SOFT_RIG_OK, "%s", t->name);
	}
	cr_assert_eq(c->rip, truncate_to(target, x86_mode_bits(t->mode)), "%s went to %#llx",
		     t->name, (unsigned long long)c->rip);
	cr_assert_eq(c->r[X86_RSP], rsp - t->pushed, "%s", t->name);
	if (!(t->flags & FAULT_GP))
		cr_assert_eq(c->r[X86_RCX], t->rcx_after, "%s", t->name);
}

static void check_pushed(const struct branch_case *t, const struct soft_rig *rig, uint64_t start)
{
	const struct soft_cpu *c = rig->c;
	uint64_t base = t->mode == LONG ? 0 : c->seg[X86_SS].base;

	if (t->pushed)
		cr_assert_eq(soft_rig_peek(rig, base + c->r[X86_RSP], t->pushed),
			     truncate_to(start + t->len, 8 * t->pushed), "%s", t->name);
}

Test(exec_branch, near_transfer_when_stepped_then_goes_there)
{
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(CASES); i++) {
		const struct branch_case *t = &CASES[i];
		struct soft_rig_result result;
		uint64_t start, rsp;

		soft_rig_mode(rig, t->mode, 0);
		soft_rig_code(rig, t->bytes, t->len);
		rig->c->r[X86_RAX] = t->rax;
		rig->c->r[X86_RCX] = t->rcx;
		soft_set_rflags(rig->c, X86_RFLAGS_FIXED | t->status);
		start = rig->c->rip;
		rsp = rig->c->r[X86_RSP];
		result = soft_rig_step(rig);
		check_state(t, rig->c, &result, start, rsp);
		check_pushed(t, rig, start);
	}
	soft_rig_destroy(rig);
}

/* CALL to a subroutine and RET from it, by blocks: push size by mode. */
struct call_case {
	enum x86_mode mode;
	uint8_t len, bytes[24];
	unsigned ax;
};
static const struct call_case CALL_CASES[] = {
	/* call +1; hlt; inc eax; ret */
	{LONG, 9, {0xe8, 1, 0, 0, 0, 0xf4, 0xff, 0xc0, 0xc3}, 1},
	{PROT32, 9, {0xe8, 1, 0, 0, 0, 0xf4, 0xff, 0xc0, 0xc3}, 1},
	{PROT16, 7, {0xe8, 1, 0, 0xf4, 0xff, 0xc0, 0xc3}, 1},
	{REAL, 7, {0xe8, 1, 0, 0xf4, 0xff, 0xc0, 0xc3}, 1},
	/* push 5; call +1; hlt; ret with 5 taken off */
	{LONG, 11, {0x6a, 5, 0xe8, 1, 0, 0, 0, 0xf4, 0xc2, 8, 0}, 0},
	{PROT32, 11, {0x6a, 5, 0xe8, 1, 0, 0, 0, 0xf4, 0xc2, 4, 0}, 0},
	{REAL, 9, {0x6a, 5, 0xe8, 1, 0, 0xf4, 0xc2, 2, 0}, 0},
};

Test(exec_branch, call_when_returned_from_then_stack_is_level)
{
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(CALL_CASES); i++) {
		const struct call_case *t = &CALL_CASES[i];
		struct soft_rig_result result;
		uint64_t rsp;

		soft_rig_mode(rig, t->mode, 0);
		soft_rig_code(rig, t->bytes, t->len);
		rsp = rig->c->r[X86_RSP];
		result = soft_rig_run(rig, 100);
		cr_assert_eq(result.end, SOFT_RIG_HALTED, "case %zu", i);
		cr_assert_eq(rig->c->r[X86_RAX], t->ax, "case %zu", i);
		cr_assert_eq(rig->c->r[X86_RSP], rsp, "case %zu: %#llx", i,
			     (unsigned long long)rig->c->r[X86_RSP]);
	}
	soft_rig_destroy(rig);
}

Test(exec_branch, ret_when_target_not_canonical_then_gp_in_front)
{
	struct soft_rig *rig = soft_rig_create(4);
	const uint64_t bad = 0x0000800000000000;
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0xc2, 0x20, 0x00);
	soft_rig_poke(rig, SOFT_RIG_STACK, &bad, sizeof(bad));
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
	cr_assert_eq(rig->c->r[X86_RSP], SOFT_RIG_STACK);
	soft_rig_destroy(rig);
}

/* A loop over a fused compare and a chained block: 3 instructions a round. */
Test(exec_branch, loop_when_run_then_every_instruction_is_counted)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	/* mov ecx, 1000; 1: inc eax; cmp eax, ecx; jnz 1b; hlt */
	SOFT_RIG_CODE_BYTES(rig, 0xb9, 0xe8, 3, 0, 0, 0xff, 0xc0, 0x39, 0xc8, 0x75, 0xfa, 0xf4);
	result = soft_rig_run(rig, 100000);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(rig->c->r[X86_RAX], 1000);
	cr_assert_eq(result.count, 1 + 3 * 1000 + 1, "%llu", (unsigned long long)result.count);
	soft_rig_destroy(rig);
}

Test(exec_branch, bound_when_outside_then_br)
{
	static const struct {
		int16_t index;
		bool is_inside;
	} INDEXES[] = {{-6, false}, {-5, true}, {0, true}, {9, true}, {10, false}};
	static const int16_t BOUNDS[2] = {-5, 9};
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(INDEXES); i++) {
		struct soft_rig_result result;

		soft_rig_mode(rig, REAL, 0);
		SOFT_RIG_CODE_BYTES(rig, 0x62, 0x06, 0x00, 0x01); /* bound ax, [0x100] */
		soft_rig_poke(rig, SOFT_RIG_DATA + 0x100, BOUNDS, sizeof(BOUNDS));
		rig->c->r[X86_RAX] = (uint16_t)INDEXES[i].index;
		result = soft_rig_step(rig);
		cr_assert_eq(result.end, INDEXES[i].is_inside ? SOFT_RIG_OK : SOFT_RIG_EXCEPTION);
		if (!INDEXES[i].is_inside)
			cr_assert_eq(result.event.vector, X86_EXC_BR);
	}
	soft_rig_destroy(rig);
}
