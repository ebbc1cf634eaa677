/* Unit tests of the register table: regs.c, segload.c. */
#include "src/debug/regs.h"
#include "src/debug/target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct x86_state filled_state(void)
{
	struct x86_state st;

	x86_state_reset(&st);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		st.gpr[i] = 0x1111111111111111ull * i + 5;
	st.rflags = 0x246;
	for (unsigned i = 0; i < sizeof(st.fpu.xmm); i++)
		((uint8_t *)st.fpu.xmm)[i] = (uint8_t)(i * 7);
	st.fpu.fsw = 0x3800;
	st.fpu.ftw = 0x81;
	st.fpu.fop = 0x5d9;
	st.fpu.fip = 0xffff800012345678;
	st.fpu.fdp = 0x0000123400abcdef;
	st.fpu.st[0][9] = 0x40;
	st.fpu.st[0][7] = 0x80;
	st.msr.kernel_gs_base = 0xffff888000000000;
	return st;
}

static struct x86_state long64_state(void)
{
	struct x86_state st = filled_state();

	st.cr0 |= X86_CR0_PE | X86_CR0_PG;
	st.cr4 |= X86_CR4_PAE;
	st.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	st.seg[X86_CS] = x86_seg_flat(0x08, true, 64, 0);
	st.seg[X86_SS] = x86_seg_flat(0x10, false, 32, 0);
	st.rip = 0xffffffff81000000;
	return st;
}

static struct x86_state prot32_state(void)
{
	struct x86_state st = filled_state();

	st.cr0 |= X86_CR0_PE;
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		st.seg[i] = x86_seg_flat(0x10, false, 32, 0);
	st.seg[X86_CS] = x86_seg_flat(0x08, true, 32, 0);
	st.rip = 0x100000;
	return st;
}

static unsigned find(const char *name)
{
	for (unsigned i = 0; i < regs_count(); i++) {
		if (strcmp(regs_at(i)->name, name) == 0)
			return i;
	}
	cr_assert_fail("no register %s", name);
	return 0;
}

/* A GDT in "guest memory" at linear 0x1000. */
#define GDT_BASE 0x1000u
static const uint64_t GDT[] = {
	0,
	0x00af9a000000ffff, /* 08: 64-bit code, ring 0, not accessed yet */
	0x00cf92000000ffff, /* 10: data, ring 0 */
	0x00cffa000000ffff, /* 18: 32-bit code, ring 3 */
	0x00cff2000000ffff, /* 20: data, ring 3 */
	0x00cf12000000ffff, /* 28: data, not present */
	0x0000890000000067, /* 30: TSS */
	0x12409a345678ffff, /* 38: 32-bit code, byte limit, base 0x12345678 */
	0x00cf98000000ffff, /* 40: code, execute only */
	0x00ef9a000000ffff, /* 48: L and D */
};

static size_t read_gdt(void *ctx, gva_t va, void *buf, size_t len)
{
	(void)ctx;
	if (va < GDT_BASE || va - GDT_BASE + len > sizeof(GDT))
		return 0;
	memcpy(buf, (const uint8_t *)GDT + (va - GDT_BASE), len);
	return len;
}

static struct reg_edit edit_of(const struct x86_state *st)
{
	struct reg_edit edit = {.st = *st, .mem_read = read_gdt};

	edit.st.gdtr.base = GDT_BASE;
	edit.st.gdtr.limit = sizeof(GDT) - 1;
	return edit;
}

/* Write one register and check the whole, as target.c does. */
static int write_u64(struct reg_edit *edit, const char *name, uint64_t value)
{
	struct x86_state before = edit->st;
	uint8_t bytes[REG_MAX_BYTES] = {0};
	int error;

	le64_put(bytes, value);
	error = regs_write(edit, regs_at(find(name)), bytes);
	return error ? error : regs_check(edit, &before);
}

/* The table. */

Test(regs, table_when_walked_then_sizes_fit_and_names_differ)
{
	for (unsigned i = 0; i < regs_count(); i++) {
		const struct reg_desc *reg = regs_at(i);

		cr_assert_eq(reg->bits % 8, 0);
		cr_assert_leq(regs_size(i), REG_MAX_BYTES);
		cr_assert_leq(reg->bytes, REG_MAX_BYTES);
		cr_assert_leq(reg->offset + reg->bytes, sizeof(struct x86_state), "%s", reg->name);
		cr_assert_eq(reg->part & ~(unsigned)X86_STATE_ALL, 0);
		cr_assert_neq(reg->part, 0);
		for (unsigned j = 0; j < i; j++)
			cr_assert_str_neq(reg->name, regs_at(j)->name);
	}
	cr_assert_null(regs_at(regs_count()));
	cr_assert_eq(regs_size(regs_count()), 0);
}

/* gdb numbers the registers of a description in the order in which they stand. */
Test(regs, numbers_when_named_then_those_of_gdb)
{
	cr_assert_eq(find("rbp"), REG_RBP);
	cr_assert_eq(find("rsp"), REG_RSP);
	cr_assert_eq(find("rip"), REG_RIP);
	cr_assert_eq(find("eflags"), REG_EFLAGS);
	cr_assert_eq(find("cs"), 18);
	cr_assert_eq(find("st0"), 24);
	cr_assert_eq(find("fctrl"), 32);
	cr_assert_eq(find("xmm0"), 40);
	cr_assert_eq(find("mxcsr"), 56);
}

Test(regs, g_when_summed_then_one_fixed_length)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < regs_g_count(); i++)
		bytes += regs_size(i);
	/* 17 * 8 + 4 + 6 * 4, x87 8 * 10 + 8 * 4, SSE 16 * 16 + 4, 2 bases */
	cr_assert_eq(bytes, 140u + 24 + 112 + 260 + 16);
	for (unsigned i = 0; i < regs_x86_64_count(); i++)
		cr_assert_eq(regs_at(i)->feature == REG_SYSTEM, i >= regs_g_count(), "%s",
			     regs_at(i)->name);
}

/* The order is gdb's, of its i386; each is half of the register with r for e. */
Test(regs, i386_name_when_written_then_the_lower_half_changes)
{
	static const char *const lower[] = {"eax", "ecx", "edx", "ebx", "esp",
					    "ebp", "esi", "edi", "eip"};
	struct x86_state st = long64_state();

	cr_assert_eq(regs_count() - regs_linux_count(), UMBRA_ARRAY_SIZE(lower));
	cr_assert_eq(find("esp"), REG_ESP);
	cr_assert_eq(find("ebp"), REG_EBP);
	cr_assert_eq(find("eip"), REG_EIP);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(lower); i++) {
		const struct reg_desc *reg = regs_at(regs_linux_count() + i);
		struct reg_edit edit = edit_of(&st);
		uint8_t before[8], after[8];
		char whole[4] = "";

		cr_assert_str_eq(reg->name, lower[i]);
		snprintf(whole, sizeof(whole), "r%s", lower[i] + 1);
		regs_read(regs_at(find(whole)), &edit.st, before);
		cr_assert_eq(write_u64(&edit, lower[i], 0x76543210), 0);
		regs_read(regs_at(find(whole)), &edit.st, after);
		cr_assert_eq(le32_get(after), 0x76543210u, "%s", whole);
		cr_assert_eq(le32_get(after + 4), le32_get(before + 4), "%s", whole);
	}
}

/* A debugger writes "none" before it moves the program counter; there never is one to restart. */
Test(regs, orig_rax_when_written_then_only_none_is_taken)
{
	struct x86_state st = long64_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(find("orig_rax"), regs_x86_64_count());
	cr_assert_eq(write_u64(&edit, "orig_rax", UINT64_MAX), 0);
	cr_assert_eq(edit.parts, 0u);
	cr_assert_eq(write_u64(&edit, "orig_rax", 1), -EINVAL);
}

Test(regs, read_when_state_is_known_then_its_values)
{
	static const struct {
		const char *name;
		uint64_t value;
	} cases[] = {
		{"rax", 5},
		{"rbx", 0x3333333333333338},
		{"rsp", 0x4444444444444449},
		{"r15", 0x0000000000000004},
		{"eflags", 0x246},
		{"cs", 0xf000},
		{"rip", 0xfff0},
		{"fstat", 0x3800},
		{"fop", 0x5d9},
		{"fioff", 0x12345678},
		{"fiseg", 0xffff8000},
		{"fooff", 0x00abcdef},
		{"foseg", 0x1234},
		{"k_gs_base", 0xffff888000000000},
	};
	struct x86_state st = filled_state();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		uint8_t out[REG_MAX_BYTES + 8] = {0};

		regs_read(regs_at(find(cases[i].name)), &st, out);
		cr_assert_eq(le64_get(out), cases[i].value, "%s is %llx", cases[i].name,
			     (unsigned long long)le64_get(out));
	}
}

/* Writing. */

static void assert_identity(const struct x86_state *st)
{
	struct reg_edit edit = edit_of(st);
	struct x86_state before = edit.st;

	for (unsigned i = 0; i < regs_count(); i++) {
		uint8_t bytes[REG_MAX_BYTES];

		regs_read(regs_at(i), &before, bytes);
		cr_assert_eq(regs_write(&edit, regs_at(i), bytes), 0, "%s", regs_at(i)->name);
	}
	cr_assert_eq(regs_check(&edit, &before), 0);
	cr_assert_eq(edit.parts, 0);
	cr_assert_eq(memcmp(&edit.st, &before, sizeof(before)), 0);
}

Test(regs, write_when_nothing_differs_then_nothing_changes_in_any_mode)
{
	struct x86_state real = filled_state(); /* CS.base does not follow from its selector */
	struct x86_state prot = prot32_state();
	struct x86_state wide = long64_state();

	assert_identity(&real);
	assert_identity(&prot);
	assert_identity(&wide);
}

Test(regs, write_when_value_is_new_then_read_back)
{
	struct x86_state st = long64_state();

	for (unsigned i = 0; i < regs_count(); i++) {
		const struct reg_desc *reg = regs_at(i);
		struct reg_edit edit = edit_of(&st);
		uint8_t bytes[REG_MAX_BYTES], back[REG_MAX_BYTES];

		if (reg->set)
			continue; /* these have cases of their own */
		regs_read(reg, &edit.st, bytes);
		bytes[0] ^= 0x41;
		cr_assert_eq(regs_write(&edit, reg, bytes), 0, "%s", reg->name);
		regs_read(reg, &edit.st, back);
		cr_assert_eq(memcmp(bytes, back, regs_size(i)), 0, "%s", reg->name);
		cr_assert_eq(edit.parts, reg->part);
	}
}

Test(regs, write_when_processor_could_not_hold_it_then_refused)
{
	static const struct {
		const char *name;
		uint64_t value;
	} cases[] = {
		{"rip", 0x0000800000000000},
		{"fs_base", 0x8000000000000000},
		{"gs_base", 0xffff000000000000},
		{"k_gs_base", 0x0123456789abcdef},
		{"cr0", 0x180000011},
		{"cr0", 0x80000000},
		{"cr0", 0xa0000011},
		{"cr8", 16},
		{"efer", 0x400},
		{"efer", 0x502},
		{"efer", 1ull << 40 | 0x500},
		{"eflags", 0x20246},
		{"mxcsr", 0x10000},
		{"fctrl", 0x10000},
		{"ftag", 0x10000},
		{"fop", 0x12345},
		{"cs", 0x10008},
	};
	struct x86_state st = long64_state();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		struct reg_edit edit = edit_of(&st);

		cr_assert_eq(write_u64(&edit, cases[i].name, cases[i].value), -EINVAL, "%s = %llx",
			     cases[i].name, (unsigned long long)cases[i].value);
		cr_assert_neq(edit.err.text[0], '\0');
	}
}

Test(regs, write_rip_when_not_in_64_bit_code_then_32_bits)
{
	struct x86_state st = prot32_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "rip", 0x100000000), -EINVAL);
	edit = edit_of(&st);
	cr_assert_eq(write_u64(&edit, "rip", 0xfffffff0), 0);
	cr_assert_eq(edit.parts, X86_STATE_GPR);
}

Test(regs, write_eflags_when_fixed_bit_is_cleared_then_kept)
{
	struct x86_state st = long64_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "eflags", 0x8028), 0); /* all reserved */
	cr_assert_eq(edit.st.rflags, X86_RFLAGS_FIXED);
}

Test(regs, write_cr0_when_paging_goes_then_lma_goes_with_it)
{
	struct x86_state st = long64_state();
	struct reg_edit edit = edit_of(&st);

	st.rip = 0x1000;
	edit.st.rip = 0x1000;
	cr_assert_eq(write_u64(&edit, "cr0", X86_CR0_PE), 0);
	cr_assert_eq(edit.st.efer, X86_EFER_LME | X86_EFER_SCE);
}

Test(regs, write_cr0_when_long_mode_lacks_pae_then_refused)
{
	struct x86_state st = long64_state();
	struct reg_edit edit;

	st.cr0 = X86_CR0_PE;
	st.cr4 = 0;
	st.efer = X86_EFER_LME;
	st.rip = 0x1000;
	edit = edit_of(&st);
	cr_assert_eq(write_u64(&edit, "cr0", X86_CR0_PE | X86_CR0_PG), -EINVAL);
}

/* Segments. */

Test(regs, write_segment_when_real_mode_then_base_follows)
{
	struct x86_state st = filled_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "ds", 0x1234), 0);
	cr_assert_eq(edit.st.seg[X86_DS].base, 0x12340);
	cr_assert_eq(edit.st.seg[X86_DS].limit, st.seg[X86_DS].limit);
	cr_assert_eq(edit.parts, X86_STATE_SREG);
}

Test(regs, write_segment_when_descriptor_is_good_then_hidden_part_loaded)
{
	struct x86_state st = prot32_state();
	struct reg_edit edit = edit_of(&st);
	const struct x86_seg *cs = &edit.st.seg[X86_CS];

	cr_assert_eq(write_u64(&edit, "cs", 0x38), 0, "%s", edit.err.text);
	cr_assert_eq(cs->base, 0x12345678);
	cr_assert_eq(cs->limit, 0xffff);
	cr_assert_eq(cs->type, 0xb, "accessed is set");
	cr_assert(cs->db && !cs->l && !cs->g && cs->present && cs->s && cs->dpl == 0);
	cr_assert_eq(write_u64(&edit, "ds", 0x20), 0);
	cr_assert_eq(edit.st.seg[X86_DS].limit, 0xffffffff);
	cr_assert_eq(edit.st.seg[X86_DS].dpl, 3);
}

Test(regs, write_segment_when_null_then_unusable_but_not_code_or_stack)
{
	struct x86_state st = prot32_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "fs", 0), 0);
	cr_assert(edit.st.seg[X86_FS].unusable);
	cr_assert_eq(write_u64(&edit, "cs", 0), -EINVAL);
	cr_assert_eq(write_u64(&edit, "ss", 0), -EINVAL);
	st = long64_state();
	edit = edit_of(&st);
	cr_assert_eq(write_u64(&edit, "ss", 0), 0, "64-bit ring 0 may have a null stack");
}

Test(regs, write_segment_when_guest_could_not_load_it_then_refused)
{
	static const struct {
		const char *name;
		uint16_t selector;
		int error;
	} cases[] = {
		{"cs", 0x20, -EINVAL}, /* data */
		{"cs", 0x1b, -EINVAL}, /* ring 3 */
		{"ss", 0x20, -EINVAL}, /* ring 3 */
		{"ss", 0x38, -EINVAL}, /* code */
		{"ds", 0x28, -EINVAL}, /* not present */
		{"ds", 0x30, -EINVAL}, /* a TSS */
		{"ds", 0x40, -EINVAL}, /* not readable */
		{"ds", 0x13, -EINVAL}, /* RPL 3 on ring 0 data */
		{"ds", 0x50, -EINVAL}, /* past the limit */
		{"ds", 0x14, -EINVAL}, /* no LDT */
	};
	struct x86_state st = prot32_state();

	st.ldtr.unusable = true;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		struct reg_edit edit = edit_of(&st);

		cr_assert_eq(write_u64(&edit, cases[i].name, cases[i].selector), cases[i].error,
			     "%s = %x", cases[i].name, cases[i].selector);
	}
}

Test(regs, write_cs_when_l_and_d_in_long_mode_then_refused)
{
	struct x86_state st = long64_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "cs", 0x48), -EINVAL);
}

Test(regs, write_segment_when_table_is_not_mapped_then_fault)
{
	struct x86_state st = prot32_state();
	struct reg_edit edit = edit_of(&st);

	edit.st.gdtr.base = 0xdead0000;
	cr_assert_eq(write_u64(&edit, "es", 0x20), -EFAULT);
}

/* X87 tags. */

/* One register's contents of each class, and its tag (SDM 1 8.1.7). */
static const struct {
	uint8_t st[10];
	unsigned tag;
} CONTENTS[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f}, 0}, /* 1.0 */
	{{0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xbf}, 0}, /* -1.0 */
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1},	      /* +0 */
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}, 1},	      /* -0 */
	{{1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2},	      /* denormal */
	{{0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f}, 2}, /* infinity */
	{{0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff}, 2}, /* NaN */
	{{0, 0, 0, 0, 0, 0, 0, 0x40, 0xff, 0x3f}, 2}, /* unnormal */
};

Test(regs, tag_word_when_each_pattern_of_used_registers_then_both_ways)
{
	for (unsigned top = 0; top < 8; top++) {
		for (unsigned used = 0; used < 256; used++) {
			struct x86_fpu fpu = {.fsw = (uint16_t)(top << 11), .ftw = (uint8_t)used};
			uint16_t word;

			for (unsigned i = 0; i < 8; i++)
				memcpy(fpu.st[i], CONTENTS[i].st, 10);
			word = x87_tag_word(&fpu);
			cr_assert_eq(x87_tag_abridge(word), used);
			for (unsigned phys = 0; phys < 8; phys++) {
				unsigned tag = CONTENTS[(phys + 8 - top) % 8].tag;

				cr_assert_eq(word >> 2 * phys & 3, used >> phys & 1 ? tag : 3u);
			}
		}
	}
}

Test(regs, tag_abridge_when_any_word_then_only_empty_counts)
{
	for (unsigned word = 0; word < 0x10000; word++) {
		uint8_t abridged = x87_tag_abridge((uint16_t)word);

		for (unsigned i = 0; i < 8; i++)
			cr_assert_eq(abridged >> i & 1, (word >> 2 * i & 3) != 3);
	}
}

Test(regs, write_ftag_when_new_then_used_registers_change)
{
	struct x86_state st = filled_state();
	struct reg_edit edit = edit_of(&st);

	cr_assert_eq(write_u64(&edit, "ftag", 0x3fff), 0);
	cr_assert_eq(edit.st.fpu.ftw, 0x80);
}
