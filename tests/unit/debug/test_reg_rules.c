/* Unit tests of the system registers' rules: reg_rules.c, through the register table. */
#include "src/debug/reg_rules.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static unsigned find(const char *name)
{
	for (unsigned i = 0; i < regs_count(); i++) {
		if (strcmp(regs_at(i)->name, name) == 0)
			return i;
	}
	cr_assert_fail("no register %s", name);
	return 0;
}

static int write_one(struct reg_edit *edit, const char *name, uint64_t value)
{
	uint8_t bytes[REG_MAX_BYTES] = {0};

	le64_put(bytes, value);
	return regs_write(edit, regs_at(find(name)), bytes);
}

static uint64_t read_one(const struct x86_state *st, const char *name)
{
	uint8_t bytes[REG_MAX_BYTES + 8] = {0};

	regs_read(regs_at(find(name)), st, bytes);
	return le64_get(bytes);
}

enum where { REAL, PROT32, LONG64, V86 };

static struct x86_state state_in(enum where where)
{
	struct x86_state st;

	x86_state_reset(&st);
	if (where == REAL)
		return st;
	st.cr0 |= X86_CR0_PE;
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		st.seg[i] = x86_seg_flat(0x10, false, 32, 0);
	st.seg[X86_CS] = x86_seg_flat(0x08, true, where == LONG64 ? 64 : 32, 0);
	if (where == V86)
		st.rflags |= X86_RFLAGS_VM;
	if (where != LONG64)
		return st;
	st.cr0 |= X86_CR0_PG;
	st.cr4 |= X86_CR4_PAE;
	st.efer = X86_EFER_LME | X86_EFER_LMA;
	return st;
}

/* What may be written, and what is there afterwards. */
static const struct {
	enum where where;
	const char *name;
	uint64_t value, after;
} taken[] = {
	{LONG64, "xcr0", 3, 3},
	{REAL, "dr0", 0x8000000000001234, 0x8000000000001234},
	{REAL, "dr6", 0x400f, 0xffff4fff},
	{REAL, "dr6", 0x1000, 0xffff0ff0},
	{REAL, "dr7", 0x10001, 0x10401},
	{REAL, "dr7", 0xffffffff, 0xffff27ff},
	{LONG64, "gdtr_base", 0xffffffff81000000, 0xffffffff81000000},
	{REAL, "gdtr_limit", 0x27, 0x27},
	{LONG64, "idtr_base", 0x1000, 0x1000},
	{REAL, "idtr_limit", 0xfff, 0xfff},
	{PROT32, "tr", 0x28, 0x28},
	{LONG64, "tr_base", 0xffff888000000000, 0xffff888000000000},
	{PROT32, "tr_rights", 0x83, 0x83},
	{LONG64, "ldtr_rights", 0x10000, 0x10000},
	{LONG64, "ldtr_rights", 0x82, 0x82},
	{REAL, "ds_base", 0xfffff000, 0xfffff000},
	{REAL, "ds_limit", 0xffffffff, 0xffffffff},
	{PROT32, "ds_limit", 0x1234, 0x1234},
	{PROT32, "cs_rights", 0x809b, 0x809b},
	{LONG64, "cs_rights", 0xc09b, 0xc09b},
	{PROT32, "ds_rights", 0xc0f3, 0xc0f3},
	{PROT32, "fs_rights", 0xd0f3, 0xd0f3},
	{PROT32, "gs_rights", 0x10000 | 0x8000, 0x18000},
	{LONG64, "lstar", 0xffffffff81000000, 0xffffffff81000000},
	{LONG64, "star", 0x0023001000000000, 0x0023001000000000},
	{LONG64, "sfmask", 0x47700, 0x47700},
	{LONG64, "pat", 0x0007010600070406, 0x0007010600070406},
	{LONG64, "sysenter_cs", 0x10, 0x10},
};

Test(reg_rules, write_when_the_processor_can_hold_it_then_read_back)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(taken); i++) {
		struct reg_edit edit = {.st = state_in(taken[i].where)};

		cr_assert_eq(write_one(&edit, taken[i].name, taken[i].value), 0, "%s: %s",
			     taken[i].name, edit.err.text);
		cr_assert_eq(read_one(&edit.st, taken[i].name), taken[i].after, "%s is 0x%llx",
			     taken[i].name, (unsigned long long)read_one(&edit.st, taken[i].name));
	}
}

static const struct {
	enum where where;
	const char *name;
	uint64_t value;
} refused[] = {
	{LONG64, "dr6", 1ull << 32},
	{LONG64, "dr7", 1ull << 40},
	{LONG64, "gdtr_base", 0x0000800000000000},
	{LONG64, "idtr_base", 0x7fff000000000000},
	{LONG64, "tr_base", 0x0000800000000000},
	{LONG64, "ss_base", 0x100000000},
	{V86, "ds_base", 0x5000},
	{V86, "ds_limit", 0x5000},
	{PROT32, "ds_limit", 0x100000}, /* with pages it ends in fff */
	{PROT32, "ds_rights", 0x40f3},	/* a limit of 4 GiB without G */
	{PROT32, "ds_rights", 0xc1f3},	/* reserved */
	{PROT32, "ds_rights", 0xc0f2},	/* not accessed */
	{PROT32, "ds_rights", 0xc073},	/* not present */
	{PROT32, "ds_rights", 0xc0e3},	/* a system segment */
	{PROT32, "ds_rights", 0xc0f9},	/* execute only */
	{PROT32, "ss_rights", 0xc091},	/* read only */
	{PROT32, "ss_rights", 0xc0f3},	/* another privilege level */
	{PROT32, "cs_rights", 0xc093},	/* data */
	{PROT32, "cs_rights", 0xc0fb},	/* another privilege level */
	{PROT32, "cs_rights", 0xa09b},	/* L outside long mode */
	{LONG64, "cs_rights", 0xe09b},	/* L and D */
	{LONG64, "cs_rights", 0x1a09b}, /* unusable */
	{REAL, "ds_rights", 0xf3},
	{V86, "ds_rights", 0xf3},
	{LONG64, "tr_rights", 0x83}, /* 16 bits */
	{PROT32, "tr_rights", 0x89}, /* not busy */
	{PROT32, "tr_rights", 0x1008b},
	{PROT32, "ldtr_rights", 0x8b},
	{PROT32, "ldtr_rights", 0x92},
	{LONG64, "lstar", 0x0000800000000000},
	{LONG64, "cstar", 0x0000800000000000},
	{LONG64, "sysenter_eip", 0x0000800000000000},
	{LONG64, "sfmask", 1ull << 32},
	{LONG64, "sysenter_cs", 1ull << 32},
	{LONG64, "pat", 2},
	{LONG64, "pat", 0x0800000000000000},
	{LONG64, "apic_base", 0xfee00000},
};

Test(reg_rules, write_when_the_processor_cannot_hold_it_then_refused_and_nothing_changes)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(refused); i++) {
		struct x86_state before = state_in(refused[i].where);
		struct reg_edit edit = {.st = before};

		cr_assert_eq(write_one(&edit, refused[i].name, refused[i].value), -EINVAL,
			     "%s = 0x%llx", refused[i].name, (unsigned long long)refused[i].value);
		cr_assert_eq(memcmp(&edit.st, &before, sizeof(before)), 0, "%s", refused[i].name);
		cr_assert_not_null(strstr(edit.err.text, refused[i].name));
	}
}

/* G is whatever makes the limit possible. */
Test(reg_rules, limit_when_written_then_granularity_follows)
{
	struct reg_edit edit = {.st = state_in(PROT32)};

	cr_assert_eq(write_one(&edit, "ds_limit", 0x1234), 0);
	cr_assert_not(edit.st.seg[X86_DS].g);
	cr_assert_eq(write_one(&edit, "ds_limit", 0x123fff), 0);
	cr_assert(edit.st.seg[X86_DS].g);
	cr_assert_eq(write_one(&edit, "ds_limit", 0x12fff), 0);
	cr_assert(edit.st.seg[X86_DS].g, "both would do: it stays");
}

/* Each row names its own segment: a write to one leaves the others alone. */
Test(reg_rules, hidden_part_when_written_then_that_of_one_segment)
{
	static const char *const names[X86_SEG_COUNT] = {
		[X86_ES] = "es_limit", [X86_CS] = "cs_limit", [X86_SS] = "ss_limit",
		[X86_DS] = "ds_limit", [X86_FS] = "fs_limit", [X86_GS] = "gs_limit",
	};

	for (unsigned which = 0; which < X86_SEG_COUNT; which++) {
		struct x86_state expected = state_in(PROT32);
		struct reg_edit edit = {.st = expected};

		expected.seg[which].limit = 0x12fff;
		cr_assert_eq(write_one(&edit, names[which], 0x12fff), 0);
		cr_assert_eq(memcmp(&edit.st, &expected, sizeof(expected)), 0, "%s", names[which]);
		cr_assert_eq(edit.parts, X86_STATE_SREG);
	}
}
