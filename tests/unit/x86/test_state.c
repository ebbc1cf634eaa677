/* Register state after reset, and segments as boot protocols want them. */
#include "umbra/x86.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define FIELD(name, want)                                                                          \
	{                                                                                          \
#name, offsetof(struct x86_state, name), sizeof(((struct x86_state *)0)->name),    \
			want                                                                       \
	}

/* SDM 3A table 9-1, power-up column. */
static const struct {
	const char *name;
	size_t offset, size;
	uint64_t want;
} RESET_TABLE[] = {
	FIELD(gpr[X86_RAX], 0),
	FIELD(gpr[X86_RBX], 0),
	FIELD(gpr[X86_RCX], 0),
	FIELD(gpr[X86_RDX], 0x600),
	FIELD(gpr[X86_RSP], 0),
	FIELD(gpr[X86_R15], 0),
	FIELD(rip, 0xfff0),
	FIELD(rflags, 2),
	FIELD(cr0, 0x60000010),
	FIELD(cr2, 0),
	FIELD(cr3, 0),
	FIELD(cr4, 0),
	FIELD(cr8, 0),
	FIELD(efer, 0),
	FIELD(apic_base, 0xfee00900),
	FIELD(seg[X86_CS].selector, 0xf000),
	FIELD(seg[X86_CS].base, 0xffff0000),
	FIELD(seg[X86_CS].limit, 0xffff),
	FIELD(seg[X86_CS].present, 1),
	FIELD(seg[X86_CS].s, 1),
	FIELD(seg[X86_CS].db, 0),
	FIELD(seg[X86_SS].selector, 0),
	FIELD(seg[X86_SS].base, 0),
	FIELD(seg[X86_SS].limit, 0xffff),
	FIELD(seg[X86_SS].type, 3),
	FIELD(seg[X86_GS].type, 3),
	FIELD(seg[X86_GS].present, 1),
	FIELD(gdtr.base, 0),
	FIELD(gdtr.limit, 0xffff),
	FIELD(idtr.limit, 0xffff),
	FIELD(ldtr.limit, 0xffff),
	FIELD(ldtr.type, 2),
	FIELD(ldtr.s, 0),
	FIELD(tr.limit, 0xffff),
	FIELD(tr.type, 0xb),
	FIELD(tr.present, 1),
	FIELD(fpu.fcw, 0x40),
	FIELD(fpu.fsw, 0),
	FIELD(fpu.ftw, 0xff),
	FIELD(fpu.mxcsr, 0x1f80),
	FIELD(msr.pat, 0x0007040600070406),
	FIELD(msr.tsc, 0),
	FIELD(dr[0], 0),
	FIELD(dr[6], 0xffff0ff0),
	FIELD(dr[7], 0x400),
	FIELD(activity, X86_ACTIVE),
	FIELD(is_in_int_shadow, 0),
};

static uint64_t field_of(const struct x86_state *st, size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)st + offset, size);
	return value;
}

Test(x86_state, reset_when_state_was_dirty_then_every_field_is_as_table_9_1)
{
	struct x86_state st;
	size_t i;

	memset(&st, 0xa5, sizeof(st));
	x86_state_reset(&st);
	for (i = 0; i < UMBRA_ARRAY_SIZE(RESET_TABLE); i++) {
		uint64_t got = field_of(&st, RESET_TABLE[i].offset, RESET_TABLE[i].size);

		cr_expect(got == RESET_TABLE[i].want, "%s is %#llx, not %#llx", RESET_TABLE[i].name,
			  (unsigned long long)got, (unsigned long long)RESET_TABLE[i].want);
	}
}

Test(x86_state, reset_when_done_then_first_fetch_is_at_the_reset_vector)
{
	struct x86_state st;

	x86_state_reset(&st);
	cr_assert(eq(u64, x86_linear_pc(&st), 0xfffffff0));
	cr_assert(eq(int, x86_mode_of(&st), X86_MODE_REAL));
	cr_assert(eq(int, x86_paging_mode_of(&st), X86_PAGING_NONE));
}

/* Flat segments: is_code x bits -> type, L, D/B. */
static const struct {
	bool is_code;
	unsigned bits;
	uint8_t type;
	bool l, db;
} FLAT_TABLE[] = {
	{true, 16, 0xb, false, false}, {true, 32, 0xb, false, true},
	{true, 64, 0xb, true, false},  {false, 16, 0x3, false, false},
	{false, 32, 0x3, false, true}, {false, 64, 0x3, false, true},
};

Test(x86_seg, flat_when_each_kind_then_type_and_size_bits_match)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(FLAT_TABLE); i++) {
		struct x86_seg seg =
			x86_seg_flat(0x08, FLAT_TABLE[i].is_code, FLAT_TABLE[i].bits, 3);

		cr_expect(seg.type == FLAT_TABLE[i].type && seg.l == FLAT_TABLE[i].l &&
				  seg.db == FLAT_TABLE[i].db,
			  "row %zu", i);
		cr_expect(eq(u64, seg.base, 0));
		cr_expect(eq(u32, seg.limit, 0xffffffff));
		cr_expect(eq(u16, seg.selector, 8));
		cr_expect(eq(u8, seg.dpl, 3));
		cr_expect(seg.present && seg.s && seg.g && !seg.unusable);
	}
}

Test(x86_seg, real_when_selector_given_then_base_is_sixteen_times_it)
{
	struct x86_seg seg = x86_seg_real(0xf123);

	cr_assert(eq(u64, seg.base, 0xf1230));
	cr_assert(eq(u16, seg.selector, 0xf123));
	cr_assert(eq(u32, seg.limit, 0xffff));
	cr_assert(eq(u8, seg.dpl, 0));
	cr_assert(seg.present && seg.s && !seg.db && !seg.l && !seg.g);
}
