/* Unit tests of src/accel/soft/exec_table.c: descriptor table registers, system segments, and the
 * questions about selectors. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define GDT	  0x41000u
#define GDT_LIMIT 0xffu
#define OK	  (-1)

/* Access bytes of descriptors. */
#define CODE_RX	  0x9bu
#define CODE_X	  0x99u
#define CODE_CONF 0x9fu
#define DATA_RW	  0x93u
#define DATA_RO	  0x91u
#define DATA3_RW  0xf3u
#define LDT	  0x82u
#define TSS	  0x89u
#define TSS_BUSY  0x8bu
#define TSS16	  0x81u
#define CALL_GATE 0x8cu
#define INT_GATE  0x8eu
#define ABSENT	  0x80u /* cleared in one of the above */

static struct soft_rig *rig;

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(sys_table, .init = setup, .fini = teardown);

static int vector_of(struct soft_rig_result result)
{
	return result.end == SOFT_RIG_EXCEPTION ? result.event.vector : OK;
}

static void assert_fault(struct soft_rig_result result, int vector, uint32_t error)
{
	cr_assert_eq(vector_of(result), vector, "vector %d, not %d", vector_of(result), vector);
	cr_assert_eq(result.event.error, error, "error %#x, not %#x", result.event.error, error);
}

static void enter(enum x86_mode mode, unsigned cpl)
{
	soft_rig_mode(rig, mode, cpl);
	rig->c->gdtr = (struct x86_table_reg){.base = GDT, .limit = GDT_LIMIT};
}

/* Descriptor at @selector: base 0x12345678, limit 0x9abcd with the granularity bit off. */
static void put_descriptor(uint16_t selector, uint8_t access, uint32_t high)
{
	uint8_t bytes[16] = {0xcd, 0xab, 0x78, 0x56, 0x34, access, 0x09, 0x12};

	le32_put(bytes + 8, high);
	soft_rig_poke(rig, GDT + (selector & ~7u), bytes, sizeof(bytes));
}

/* Group 0F 00 /@op with AX. */
static struct soft_rig_result with_ax(unsigned op, uint16_t selector)
{
	rig->c->r[X86_RAX] = selector;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x00, (uint8_t)(0xc0 | op << 3));
	return soft_rig_step(rig);
}

/* GDTR and IDTR. */

Test(sys_table, lgdt_when_64_bit_code_then_ten_bytes)
{
	static const uint8_t bytes[] = {0x34, 0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0, 0};

	soft_rig_poke(rig, SOFT_RIG_DATA, bytes, sizeof(bytes));
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x66, 0x0f, 0x01, 0x13);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->gdtr.limit, 0x1234);
	cr_assert_eq(rig->c->gdtr.base, 0x334455667788ull);
}

Test(sys_table, lidt_when_operand_size_16_then_24_bits_of_base)
{
	enter(X86_MODE_REAL, 0);
	soft_rig_poke(rig, SOFT_RIG_DATA, "\xff\x03\x78\x56\x34\x12", 6);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x1e, 0x00, 0x00);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->idtr.base, 0x345678);
	SOFT_RIG_CODE_BYTES(rig, 0x66, 0x0f, 0x01, 0x1e, 0x00, 0x00);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->idtr.base, 0x12345678);
	cr_assert_eq(rig->c->idtr.limit, 0x3ff);
}

Test(sys_table, lgdt_when_the_base_is_not_canonical_then_gp_and_no_change)
{
	uint64_t base = rig->c->gdtr.base;

	soft_rig_poke(rig, SOFT_RIG_DATA, "\xff\xff\x00\x00\x00\x00\x00\x80\x00\x00", 10);
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x13);
	assert_fault(soft_rig_step(rig), X86_EXC_GP, 0);
	cr_assert_eq(rig->c->gdtr.base, base);
}

Test(sys_table, lgdt_when_not_cpl_0_then_gp_before_anything_else)
{
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		enter(X86_MODE_LONG64, cpl);
		rig->c->r[X86_RBX] = 1ull << 63; /* SS would raise #SS, DS #GP or #PF */
		SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x13);
		assert_fault(soft_rig_step(rig), X86_EXC_GP, 0);
		rig->c->r[X86_RBX] = 5ull << 32;
		SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x1b);
		assert_fault(soft_rig_step(rig), X86_EXC_GP, 0);
	}
}

Test(sys_table, sgdt_when_each_mode_then_limit_and_base)
{
	enter(X86_MODE_LONG64, 3);
	rig->c->gdtr.base = 0xffff800012345678ull;
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x03);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 2), GDT_LIMIT);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA + 2, 8), 0xffff800012345678ull);
}

Test(sys_table, sidt_when_operand_size_16_then_all_32_bits_of_base)
{
	enter(X86_MODE_REAL, 0);
	rig->c->idtr = (struct x86_table_reg){.base = 0x89abcdef, .limit = 0x3ff};
	soft_rig_poke(rig, SOFT_RIG_DATA, "\0\0\0\0\0\0\x55", 7);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x0e, 0x00, 0x00);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 7), 0x5589abcdef03ffull);
}

Test(sys_table, umip_when_set_then_gp_for_users_only)
{
	static const uint8_t code[][3] = {
		{0x0f, 0x01, 0x03}, /* SGDT [RBX] */
		{0x0f, 0x01, 0x0b}, /* SIDT [RBX] */
		{0x0f, 0x01, 0xe0}, /* SMSW EAX */
		{0x0f, 0x00, 0xc0}, /* SLDT EAX */
		{0x0f, 0x00, 0xc8}, /* STR EAX */
	};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(code); i++) {
		for (unsigned cpl = 0; cpl <= 3; cpl++) {
			enter(X86_MODE_LONG64, cpl);
			rig->c->r[X86_RBX] = SOFT_RIG_DATA;
			rig->c->cr4 |= X86_CR4_UMIP;
			soft_rig_code(rig, code[i], sizeof(code[i]));
			if (cpl == 0)
				cr_assert_eq(vector_of(soft_rig_step(rig)), OK, "row %u", i);
			else
				assert_fault(soft_rig_step(rig), X86_EXC_GP, 0);
			rig->c->cr4 &= ~X86_CR4_UMIP;
			soft_rig_code(rig, code[i], sizeof(code[i]));
			cr_assert_eq(vector_of(soft_rig_step(rig)), OK, "row %u", i);
		}
	}
}

/* LDTR and TR. */

Test(sys_table, lldt_when_null_then_no_ldt)
{
	enter(X86_MODE_PROT32, 0);
	for (uint16_t selector = 0; selector < 4; selector++) {
		rig->c->ldtr.unusable = false;
		cr_assert_eq(vector_of(with_ax(2, selector)), OK);
		cr_assert(rig->c->ldtr.unusable);
		cr_assert_eq(rig->c->ldtr.selector, selector);
	}
}

Test(sys_table, lldt_when_protected_mode_then_an_8_byte_descriptor)
{
	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x20, LDT, 0x1f00);
	cr_assert_eq(vector_of(with_ax(2, 0x23)), OK);
	cr_assert_eq(rig->c->ldtr.base, 0x12345678);
	cr_assert_eq(rig->c->ldtr.limit, 0x9abcd);
	cr_assert_eq(rig->c->ldtr.selector, 0x23);
	cr_assert_not(rig->c->ldtr.unusable);
}

Test(sys_table, lldt_when_long_mode_then_a_16_byte_descriptor)
{
	enter(X86_MODE_LONG64, 0);
	put_descriptor(0x20, LDT, 0xffff8000);
	cr_assert_eq(vector_of(with_ax(2, 0x20)), OK);
	cr_assert_eq(rig->c->ldtr.base, 0xffff800012345678ull);
	put_descriptor(0x20, LDT, 0x8000);
	assert_fault(with_ax(2, 0x20), X86_EXC_GP, 0x20);
	/* A type in the second half. */
	put_descriptor(0x20, LDT, 0);
	soft_rig_poke(rig, GDT + 0x20 + 13, "\x01", 1);
	assert_fault(with_ax(2, 0x20), X86_EXC_GP, 0x20);
	/* Its second half would lie behind the limit. */
	put_descriptor(GDT_LIMIT & ~7u, LDT, 0);
	assert_fault(with_ax(2, GDT_LIMIT & ~7u), X86_EXC_GP, GDT_LIMIT & ~7u);
}

Test(sys_table, lldt_when_the_selector_is_wrong_then_its_fault)
{
	enter(X86_MODE_PROT32, 0);
	assert_fault(with_ax(2, 0x24), X86_EXC_GP, 0x24); /* in the LDT */
	assert_fault(with_ax(2, 0x103), X86_EXC_GP, 0x100);
	put_descriptor(0x20, DATA_RW, 0);
	assert_fault(with_ax(2, 0x20), X86_EXC_GP, 0x20);
	put_descriptor(0x20, TSS, 0);
	assert_fault(with_ax(2, 0x20), X86_EXC_GP, 0x20);
	put_descriptor(0x20, LDT & ~ABSENT, 0);
	assert_fault(with_ax(2, 0x20), X86_EXC_NP, 0x20);
}

Test(sys_table, ltr_when_available_then_busy_in_the_register_and_in_memory)
{
	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x28, TSS, 0);
	cr_assert_eq(vector_of(with_ax(3, 0x28)), OK);
	cr_assert_eq(rig->c->tr.type, 0xb);
	cr_assert_eq(rig->c->tr.base, 0x12345678);
	cr_assert_eq(soft_rig_peek(rig, GDT + 0x28 + 5, 1), TSS_BUSY);
	assert_fault(with_ax(3, 0x28), X86_EXC_GP, 0x28);
}

Test(sys_table, ltr_when_the_selector_is_wrong_then_its_fault)
{
	enter(X86_MODE_PROT32, 0);
	assert_fault(with_ax(3, 0), X86_EXC_GP, 0);
	assert_fault(with_ax(3, 0x2c), X86_EXC_GP, 0x2c);
	put_descriptor(0x28, TSS & ~ABSENT, 0);
	assert_fault(with_ax(3, 0x28), X86_EXC_NP, 0x28);
	put_descriptor(0x28, LDT, 0);
	assert_fault(with_ax(3, 0x28), X86_EXC_GP, 0x28);
}

Test(sys_table, ltr_when_the_tss_has_16_bits_then_gp_in_long_mode_only)
{
	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x28, TSS16, 0);
	cr_assert_eq(vector_of(with_ax(3, 0x28)), OK);
	enter(X86_MODE_LONG64, 0);
	put_descriptor(0x28, TSS16, 0);
	assert_fault(with_ax(3, 0x28), X86_EXC_GP, 0x28);
	put_descriptor(0x28, TSS, 0xffff8000);
	cr_assert_eq(vector_of(with_ax(3, 0x28)), OK);
	cr_assert_eq(rig->c->tr.base, 0xffff800012345678ull);
}

Test(sys_table, group_0f00_when_real_or_v86_mode_then_ud)
{
	for (unsigned op = 0; op <= 5; op++) {
		enter(X86_MODE_REAL, 0);
		cr_assert_eq(vector_of(with_ax(op, 0)), X86_EXC_UD, "/%u", op);
		enter(X86_MODE_V86, 3);
		cr_assert_eq(vector_of(with_ax(op, 0)), X86_EXC_UD, "/%u", op);
	}
}

Test(sys_table, lldt_and_ltr_when_not_cpl_0_then_gp)
{
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		enter(X86_MODE_PROT32, cpl);
		put_descriptor(0x20, LDT, 0);
		assert_fault(with_ax(2, 0x20), X86_EXC_GP, 0);
		assert_fault(with_ax(3, 0), X86_EXC_GP, 0);
	}
}

Test(sys_table, sldt_and_str_when_each_width_then_zero_extended)
{
	enter(X86_MODE_LONG64, 0);
	rig->c->ldtr.selector = 0x8765;
	rig->c->tr.selector = 0x4321;
	rig->c->r[X86_RAX] = ~0ull;
	SOFT_RIG_CODE_BYTES(rig, 0x66, 0x0f, 0x00, 0xc0);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0xffffffffffff8765ull);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x00, 0xc0);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x8765);
	rig->c->r[X86_RAX] = ~0ull;
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x0f, 0x00, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], 0x4321);
	soft_rig_poke(rig, SOFT_RIG_DATA, "\xff\xff\xff\xff", 4);
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x00, 0x0b);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 4), 0xffff4321u);
}

/* LAR and LSL: every system type in both worlds, and privilege. */

static bool zf(void)
{
	return soft_rflags(rig->c) & X86_RFLAGS_ZF;
}

/* @code2 ECX, EAX; returns ECX, and leaves ZF. */
static uint32_t ask(uint8_t code2, uint16_t selector)
{
	rig->c->r[X86_RAX] = selector;
	rig->c->r[X86_RCX] = 0x11223344;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, code2, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	return (uint32_t)rig->c->r[X86_RCX];
}

static void assert_types(enum x86_mode mode, uint8_t code2, unsigned expected)
{
	for (unsigned type = 0; type < 16; type++) {
		enter(mode, 0);
		put_descriptor(0x40, (uint8_t)(0x80 | type), 0);
		ask(code2, 0x40);
		cr_assert_eq(zf(), (expected >> type & 1) != 0, "mode %d type %u", mode, type);
	}
}

Test(sys_table, lar_and_lsl_when_a_system_descriptor_then_by_its_type)
{
	assert_types(X86_MODE_PROT32, 0x02, 0x1a3e);
	assert_types(X86_MODE_LONG64, 0x02, 0x1a04);
	assert_types(X86_MODE_PROT32, 0x03, 0x0a0e);
	assert_types(X86_MODE_LONG64, 0x03, 0x0a04);
}

Test(sys_table, lar_when_visible_then_the_access_bytes)
{
	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x40, DATA_RW, 0);
	cr_assert_eq(ask(0x02, 0x40), 0x00099300);
	cr_assert(zf());
	rig->c->r[X86_RCX] = 0x11223344;
	SOFT_RIG_CODE_BYTES(rig, 0x66, 0x0f, 0x02, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RCX], 0x11229300);
}

Test(sys_table, lsl_when_granular_then_the_limit_in_bytes)
{
	static const uint8_t granular[8] = {0xcd, 0xab, 0, 0, 0, DATA_RW, 0x89, 0};

	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x40, DATA_RW, 0);
	cr_assert_eq(ask(0x03, 0x40), 0x9abcd);
	soft_rig_poke(rig, GDT + 0x40, granular, sizeof(granular));
	cr_assert_eq(ask(0x03, 0x40), 0x9abcdfff);
}

Test(sys_table, lar_when_it_may_not_know_then_zf_clear_and_no_change)
{
	enter(X86_MODE_PROT32, 3);
	put_descriptor(0x40, DATA_RW, 0);
	put_descriptor(0x50, DATA3_RW, 0);
	put_descriptor(0x60, CODE_CONF, 0);
	cr_assert_eq(ask(0x02, 0x40), 0x11223344); /* CPL 3, DPL 0 */
	cr_assert_not(zf());
	ask(0x02, 0x53);
	cr_assert(zf());
	ask(0x02, 0x60); /* conforming: everybody may */
	cr_assert(zf());
	enter(X86_MODE_PROT32, 0);
	ask(0x02, 0x43); /* RPL 3, DPL 0 */
	cr_assert_not(zf());
	ask(0x02, 0); /* null */
	cr_assert_not(zf());
	ask(0x02, 0x100); /* beyond the limit */
	cr_assert_not(zf());
	ask(0x02, 0x44); /* no LDT */
	cr_assert_not(zf());
}

Test(sys_table, lar_when_done_then_the_other_flags_are_kept)
{
	enter(X86_MODE_PROT32, 0);
	put_descriptor(0x40, DATA_RW, 0);
	soft_set_rflags(rig->c, X86_RFLAGS_CF | X86_RFLAGS_OF | X86_RFLAGS_AF);
	ask(0x02, 0x40);
	cr_assert_eq(soft_rflags(rig->c), X86_RFLAGS_CF | X86_RFLAGS_OF | X86_RFLAGS_AF |
						  X86_RFLAGS_ZF | X86_RFLAGS_FIXED);
}

Test(sys_table, verr_and_verw_when_each_kind_of_segment_then_its_rights)
{
	static const struct {
		uint8_t access;
		bool can_read, can_write;
	} row[] = {
		{CODE_RX, true, false}, {CODE_X, false, false},	   {DATA_RW, true, true},
		{DATA_RO, true, false}, {CODE_CONF, true, false},  {TSS, false, false},
		{LDT, false, false},	{CALL_GATE, false, false}, {INT_GATE, false, false},
	};

	enter(X86_MODE_PROT32, 0);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(row); i++) {
		put_descriptor(0x40, row[i].access, 0);
		cr_assert_eq(vector_of(with_ax(4, 0x40)), OK);
		cr_assert_eq(zf(), row[i].can_read, "VERR row %u", i);
		cr_assert_eq(vector_of(with_ax(5, 0x40)), OK);
		cr_assert_eq(zf(), row[i].can_write, "VERW row %u", i);
	}
}

Test(sys_table, arpl_when_the_rpl_is_lower_then_it_is_raised)
{
	enter(X86_MODE_PROT32, 3);
	rig->c->r[X86_RAX] = 0x12340011;
	rig->c->r[X86_RCX] = 3;
	SOFT_RIG_CODE_BYTES(rig, 0x63, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert(zf());
	cr_assert_eq(rig->c->r[X86_RAX], 0x12340013);
	SOFT_RIG_CODE_BYTES(rig, 0x63, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_not(zf());
	soft_rig_poke(rig, SOFT_RIG_DATA, "\x08\x00\xff", 3);
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x63, 0x0b);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert(zf());
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 3), 0xff000b);
	enter(X86_MODE_REAL, 0);
	SOFT_RIG_CODE_BYTES(rig, 0x63, 0xc8);
	cr_assert_eq(vector_of(soft_rig_step(rig)), X86_EXC_UD);
}
