/* Atomic operations that the host cannot be asked about in the same way: 16 bytes, alignment, and
 * operands that cross pages. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define DATA SOFT_RIG_DATA
#define ZF   X86_RFLAGS_ZF

static const uint8_t CMPXCHG16B[] = {0xf0, 0x48, 0x0f, 0xc7, 0x0f}; /* lock cmpxchg16b [rdi] */

static void set_pairs(struct soft_rig *rig, uint64_t rdi)
{
	static const uint64_t VALUE[2] = {0x1111, 0x2222};
	struct soft_cpu *c = rig->c;

	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	soft_rig_code(rig, CMPXCHG16B, sizeof(CMPXCHG16B));
	soft_rig_poke(rig, DATA, VALUE, sizeof(VALUE));
	c->r[X86_RDI] = rdi;
	c->r[X86_RBX] = 0x3333;
	c->r[X86_RCX] = 0x4444;
	soft_set_rflags(c, X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_OF | ZF);
}

Test(exec_lock, cmpxchg16b_when_equal_then_stored)
{
	struct soft_rig *rig = soft_rig_create(4);

	set_pairs(rig, DATA);
	rig->c->r[X86_RAX] = 0x1111;
	rig->c->r[X86_RDX] = 0x2222;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, DATA, 8), 0x3333);
	cr_assert_eq(soft_rig_peek(rig, DATA + 8, 8), 0x4444);
	cr_assert_eq(soft_rflags(rig->c) & X86_RFLAGS_STATUS, X86_RFLAGS_CF | X86_RFLAGS_OF | ZF);
	soft_rig_destroy(rig);
}

Test(exec_lock, cmpxchg16b_when_high_half_differs_then_loaded)
{
	struct soft_rig *rig = soft_rig_create(4);

	set_pairs(rig, DATA);
	rig->c->r[X86_RAX] = 0x1111;
	rig->c->r[X86_RDX] = 0x2223;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, DATA, 8), 0x1111);
	cr_assert_eq(rig->c->r[X86_RAX], 0x1111);
	cr_assert_eq(rig->c->r[X86_RDX], 0x2222);
	cr_assert_eq(soft_rflags(rig->c) & X86_RFLAGS_STATUS, X86_RFLAGS_CF | X86_RFLAGS_OF);
	soft_rig_destroy(rig);
}

Test(exec_lock, cmpxchg16b_when_not_aligned_then_gp)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	set_pairs(rig, DATA + 8);
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	cr_assert_eq(result.event.error, 0);
	soft_rig_destroy(rig);
}

/* lock xadd [rdi], rax over the border of two pages. */
Test(exec_lock, xadd_when_crossing_pages_then_both_are_written)
{
	struct soft_rig *rig = soft_rig_create(4);
	const uint64_t at = DATA + 0x1000 - 3, value = 0x00ffffffffffffff;

	SOFT_RIG_CODE_BYTES(rig, 0xf0, 0x48, 0x0f, 0xc1, 0x07);
	soft_rig_poke(rig, at, &value, sizeof(value));
	rig->c->r[X86_RDI] = at;
	rig->c->r[X86_RAX] = 1;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(soft_rig_peek(rig, at, 8), 0x0100000000000000);
	cr_assert_eq(rig->c->r[X86_RAX], value);
	soft_rig_destroy(rig);
}

/* LOCK where it may not be: registers, and instructions that do not write. */
Test(exec_lock, prefix_when_illegal_then_ud)
{
	static const uint8_t CODES[][4] = {
		{0xf0, 0x01, 0xc0},	  /* lock add eax, eax */
		{0xf0, 0x39, 0x07},	  /* lock cmp [rdi], eax */
		{0xf0, 0x8b, 0x07},	  /* lock mov eax, [rdi] */
		{0xf0, 0x0f, 0xa3, 0x07}, /* lock bt [rdi], eax */
		{0xf0, 0xd1, 0x27},	  /* lock shl [rdi], 1 */
	};
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(CODES); i++) {
		struct soft_rig_result result;

		soft_rig_mode(rig, X86_MODE_LONG64, 0);
		soft_rig_code(rig, CODES[i], sizeof(CODES[i]));
		rig->c->r[X86_RDI] = DATA;
		result = soft_rig_step(rig);
		cr_assert_eq(result.end, SOFT_RIG_EXCEPTION, "case %zu", i);
		cr_assert_eq(result.event.vector, X86_EXC_UD, "case %zu", i);
	}
	soft_rig_destroy(rig);
}

/* A store that must fault does so before the accumulator is touched. */
Test(exec_lock, cmpxchg_when_page_missing_then_state_in_front)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0xf0, 0x0f, 0xb1, 0x0f); /* lock cmpxchg [rdi], ecx */
	rig->c->r[X86_RDI] = 0x200000000;
	rig->c->r[X86_RAX] = 0xffffffff00000001;
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_PF);
	cr_assert_eq(rig->c->r[X86_RAX], 0xffffffff00000001);
	soft_rig_destroy(rig);
}
