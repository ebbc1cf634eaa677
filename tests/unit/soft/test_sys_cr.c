/* Unit tests of src/accel/soft/exec_cr.c: what MOV to control and debug registers accepts in which
 * state, and what it makes of it. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define PDPT	   0x40000u /* a PDPT of PAE paging, 32-byte aligned */
#define OK	   (-1)
#define DR6_BD	   (1ull << 13)
#define TSS16_TYPE 0x3

static struct soft_rig *rig;

static void setup(void)
{
	rig = soft_rig_create(4);
}

static void teardown(void)
{
	soft_rig_destroy(rig);
}

TestSuite(sys_cr, .init = setup, .fini = teardown);

/* MOV CRn, RAX. */
static struct soft_rig_result to_cr(unsigned number, uint64_t value)
{
	uint8_t code[] = {0x44, 0x0f, 0x22, (uint8_t)(0xc0 | (number & 7) << 3)};

	rig->c->r[X86_RAX] = value;
	if (number == 8)
		soft_rig_code(rig, code, 4);
	else
		soft_rig_code(rig, code + 1, 3);
	return soft_rig_step(rig);
}

/* MOV RCX, CRn. */
static uint64_t from_cr(unsigned number)
{
	uint8_t code[] = {0x44, 0x0f, 0x20, (uint8_t)(0xc1 | (number & 7) << 3)};

	rig->c->r[X86_RCX] = ~0ull;
	if (number == 8)
		soft_rig_code(rig, code, 4);
	else
		soft_rig_code(rig, code + 1, 3);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	return rig->c->r[X86_RCX];
}

static int vector_of(struct soft_rig_result result)
{
	return result.end == SOFT_RIG_EXCEPTION ? result.event.vector : OK;
}

static void assert_gp0(struct soft_rig_result result, const char *what)
{
	cr_assert_eq(vector_of(result), X86_EXC_GP, "%s: %d", what, vector_of(result));
	cr_assert(result.event.has_error && result.event.error == 0, "%s", what);
}

/* Enter 32-bit protected mode, without paging, with @cr4 and @efer. */
static void enter_prot32(uint64_t cr4, uint64_t efer)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.cr4 = cr4;
	st.efer = efer;
	soft_rig_set(rig, &st);
}

/* PG has rules of its own below. */
Test(sys_cr, cr0_when_a_bit_is_written_then_it_sticks_or_not)
{
	static const uint64_t sticks = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS |
				       X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |
				       X86_CR0_CD;

	for (unsigned bit = 0; bit < 31; bit++) {
		uint64_t value = X86_CR0_PE | 1ull << bit;
		struct soft_rig_result result;

		enter_prot32(0, 0);
		result = to_cr(0, value);
		if (bit == 29) {
			assert_gp0(result, "NW without CD");
			continue;
		}
		cr_assert_eq(vector_of(result), OK, "bit %u", bit);
		cr_assert_eq(rig->c->cr0, (value & sticks) | X86_CR0_ET, "bit %u", bit);
	}
}

Test(sys_cr, cr0_when_a_bit_above_31_is_set_then_gp)
{
	uint64_t cr0 = rig->c->cr0;

	for (unsigned bit = 32; bit < 64; bit++) {
		assert_gp0(to_cr(0, cr0 | 1ull << bit), "upper half");
		cr_assert_eq(rig->c->cr0, cr0);
	}
}

Test(sys_cr, cr0_when_pg_without_pe_then_gp)
{
	enter_prot32(0, 0);
	assert_gp0(to_cr(0, X86_CR0_PG), "PG without PE");
}

Test(sys_cr, cr0_when_pg_with_lme_then_long_mode_is_active)
{
	enter_prot32(X86_CR4_PAE, X86_EFER_LME);
	rig->c->cr3 = rig->ram_bytes - 0x10000;
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE | X86_CR0_PG)), OK);
	cr_assert_eq(rig->c->efer, X86_EFER_LME | X86_EFER_LMA);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE + 3);
	/* The code is in compatibility mode, so it may leave again. */
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE)), OK);
	cr_assert_eq(rig->c->efer, X86_EFER_LME);
}

Test(sys_cr, cr0_when_pg_with_lme_and_without_pae_then_gp)
{
	enter_prot32(0, X86_EFER_LME);
	assert_gp0(to_cr(0, X86_CR0_PE | X86_CR0_PG), "no PAE");
	cr_assert_eq(rig->c->efer, X86_EFER_LME);
}

Test(sys_cr, cr0_when_pg_with_lme_and_cs_l_then_gp)
{
	enter_prot32(X86_CR4_PAE, X86_EFER_LME);
	rig->c->seg[X86_CS].l = true;
	assert_gp0(to_cr(0, X86_CR0_PE | X86_CR0_PG), "CS.L");
}

Test(sys_cr, cr0_when_pg_with_lme_and_a_16_bit_tss_then_gp)
{
	enter_prot32(X86_CR4_PAE, X86_EFER_LME);
	rig->c->tr.type = TSS16_TYPE;
	assert_gp0(to_cr(0, X86_CR0_PE | X86_CR0_PG), "16-bit TSS");
}

Test(sys_cr, cr0_when_pg_is_cleared_in_64_bit_code_then_gp)
{
	assert_gp0(to_cr(0, X86_CR0_PE), "64-bit code");
}

Test(sys_cr, cr0_when_pg_is_cleared_with_pcide_then_gp)
{
	soft_rig_mode(rig, X86_MODE_COMPAT32, 0);
	rig->c->cr4 |= X86_CR4_PCIDE;
	assert_gp0(to_cr(0, X86_CR0_PE), "PCIDE");
}

static void put_pdpte(unsigned index, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	soft_rig_poke(rig, PDPT + index * 8, bytes, sizeof(bytes));
}

Test(sys_cr, cr0_when_pae_paging_begins_then_pdptes_are_loaded)
{
	enter_prot32(X86_CR4_PAE, 0);
	rig->c->cr3 = PDPT;
	put_pdpte(0, 0x50001);
	put_pdpte(3, 0x60001);
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE | X86_CR0_PG)), OK);
	cr_assert_eq(rig->c->pdpte[0], 0x50001);
	cr_assert_eq(rig->c->pdpte[3], 0x60001);
	cr_assert_eq(rig->c->efer, 0);
}

Test(sys_cr, cr0_when_a_pdpte_has_reserved_bits_then_gp_and_nothing_changes)
{
	enter_prot32(X86_CR4_PAE, 0);
	rig->c->cr3 = PDPT;
	put_pdpte(2, 0x50003); /* R/W is reserved there */
	assert_gp0(to_cr(0, X86_CR0_PE | X86_CR0_PG), "PDPTE");
	cr_assert_eq(rig->c->cr0 & X86_CR0_PG, 0);
	cr_assert_eq(rig->c->pdpte[2], 0);
}

/* The debugger changes a register, or only looks: PDPTEs are what the last load of CR3 made them.
 */
Test(sys_cr, state_when_read_and_written_back_then_pdptes_stay_registers)
{
	struct x86_walk walk;
	struct x86_state st;

	enter_prot32(X86_CR4_PAE, 0);
	rig->c->cr3 = PDPT;
	put_pdpte(0, 0x42001);
	cr_assert_eq(mem_poke(rig->mem, 0x42000, "\x83", 1), 1);
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE | X86_CR0_PG)), OK);
	put_pdpte(0, 0x43001);
	soft_rig_get(rig, &st);
	cr_assert(x86_has_pdptes(&st));
	cr_assert_eq(x86_walk(&st, 0x123, mem_phys_read, rig->mem, &walk), 0);
	cr_assert_eq(walk.step[0].entry, 0x42001);
	st.gpr[X86_RAX]++;
	soft_rig_set(rig, &st);
	cr_assert_eq(rig->c->pdpte[0], 0x42001);
	st.cr3 = PDPT | 8;
	cr_assert_not(x86_has_pdptes(&st));
	soft_rig_set(rig, &st);
	cr_assert_eq(rig->c->pdpte[0], 0x43001);
}

/* CR3. */

Test(sys_cr, cr3_when_loaded_under_pae_paging_then_its_pdptes_are_checked)
{
	enter_prot32(X86_CR4_PAE, 0);
	rig->c->cr3 = 0x41000;
	cr_assert_eq(mem_poke(rig->mem, 0x41000, "\x83", 1), 1);
	put_pdpte(0, 0x42001);
	rig->c->cr3 = PDPT;
	/* An identity map of the first gigabyte, for the code to go on. */
	cr_assert_eq(mem_poke(rig->mem, 0x42000, "\x83", 1), 1);
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE | X86_CR0_PG)), OK);
	assert_gp0(to_cr(3, 0x41000), "reserved bits in the new PDPT");
	cr_assert_eq(rig->c->cr3, PDPT);
	put_pdpte(1, 0x43001);
	cr_assert_eq(vector_of(to_cr(3, PDPT | 0x18)), OK);
	cr_assert_eq(rig->c->cr3, PDPT | 0x18);
	cr_assert_eq(rig->c->pdpte[1], 0x43001);
}

Test(sys_cr, cr3_when_a_bit_above_the_address_is_set_then_gp_in_long_mode)
{
	uint64_t cr3 = rig->c->cr3;

	for (unsigned bit = 40; bit < 64; bit++)
		assert_gp0(to_cr(3, cr3 | 1ull << bit), "reserved");
	cr_assert_eq(vector_of(to_cr(3, cr3 | 0xfff)), OK);
	cr_assert_eq(rig->c->cr3, cr3 | 0xfff);
}

Test(sys_cr, cr3_when_pcide_then_bit_63_is_taken_and_not_kept)
{
	uint64_t cr3 = rig->c->cr3;

	rig->c->cr4 |= X86_CR4_PCIDE;
	cr_assert_eq(vector_of(to_cr(3, cr3 | 5 | 1ull << 63)), OK);
	cr_assert_eq(rig->c->cr3, cr3 | 5);
	assert_gp0(to_cr(3, cr3 | 1ull << 62), "bit 62");
}

/* CR4. */

static bool is_cr4_bit(unsigned bit)
{
	return (X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |
		X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP |
		X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP |
		X86_CR4_PKE) >>
		       bit &
	       1;
}

Test(sys_cr, cr4_when_a_bit_is_written_then_it_sticks_or_gp)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		struct soft_rig_result result;

		soft_rig_mode(rig, X86_MODE_LONG64, 0);
		result = to_cr(4, X86_CR4_PAE | 1ull << bit);
		if (is_cr4_bit(bit)) {
			cr_assert_eq(vector_of(result), OK, "bit %u", bit);
			cr_assert_eq(rig->c->cr4, X86_CR4_PAE | 1ull << bit, "bit %u", bit);
		} else {
			assert_gp0(result, "reserved");
		}
	}
}

Test(sys_cr, cr4_when_pae_is_cleared_in_long_mode_then_gp)
{
	assert_gp0(to_cr(4, X86_CR4_PSE), "PAE");
}

Test(sys_cr, cr4_when_pcide_is_set_without_long_mode_or_with_a_pcid_then_gp)
{
	rig->c->cr3 |= 1;
	assert_gp0(to_cr(4, X86_CR4_PAE | X86_CR4_PCIDE), "CR3 bits");
	enter_prot32(X86_CR4_PAE, 0);
	assert_gp0(to_cr(4, X86_CR4_PAE | X86_CR4_PCIDE), "legacy mode");
}

Test(sys_cr, cr4_when_la57_is_toggled_then_gp_in_long_mode_only)
{
	struct accel_vm_config config = {.has_la57 = true};

	soft_rig_destroy(rig);
	rig = soft_rig_create_with(4, &config);
	assert_gp0(to_cr(4, X86_CR4_PAE | X86_CR4_LA57), "toggled in long mode");
	enter_prot32(X86_CR4_PAE, 0);
	cr_assert_eq(vector_of(to_cr(4, X86_CR4_PAE | X86_CR4_LA57)), OK);
	cr_assert_eq(rig->c->cr4, X86_CR4_PAE | X86_CR4_LA57);
}

Test(sys_cr, cr4_when_it_changes_pae_paging_then_pdptes_are_loaded_again)
{
	enter_prot32(X86_CR4_PAE, 0);
	rig->c->cr3 = PDPT;
	put_pdpte(0, 0x42001);
	cr_assert_eq(mem_poke(rig->mem, 0x42000, "\x83", 1), 1);
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE | X86_CR0_PG)), OK);
	put_pdpte(1, 0x43001);
	cr_assert_eq(vector_of(to_cr(4, X86_CR4_PAE | X86_CR4_DE)), OK);
	cr_assert_eq(rig->c->pdpte[1], 0);
	cr_assert_eq(vector_of(to_cr(4, X86_CR4_PAE | X86_CR4_PGE)), OK);
	cr_assert_eq(rig->c->pdpte[1], 0x43001);
}

/* CR2, CR8, privilege, widths. */

Test(sys_cr, cr2_when_written_then_any_value_is_kept)
{
	cr_assert_eq(vector_of(to_cr(2, 0x8123456789abcdefull)), OK);
	cr_assert_eq(from_cr(2), 0x8123456789abcdefull);
}

Test(sys_cr, cr8_when_written_then_four_bits_are_allowed)
{
	cr_assert_eq(vector_of(to_cr(8, 15)), OK);
	cr_assert_eq(from_cr(8), 15);
	for (unsigned bit = 4; bit < 64; bit++)
		assert_gp0(to_cr(8, 1ull << bit), "reserved");
	cr_assert_eq(from_cr(8), 15);
}

Test(sys_cr, cr_when_it_does_not_exist_then_ud)
{
	static const uint8_t numbers[] = {1, 5, 6, 7};

	for (unsigned i = 0; i < sizeof(numbers); i++)
		cr_assert_eq(vector_of(to_cr(numbers[i], 0)), X86_EXC_UD, "CR%u", numbers[i]);
}

Test(sys_cr, mov_cr_when_not_cpl_0_then_gp)
{
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		for (unsigned number = 0; number <= 8; number += number ? 1 : 2) {
			uint8_t code[] = {0x0f, 0x20, (uint8_t)(0xc0 | number << 3)};

			if (number > 4)
				break;
			soft_rig_mode(rig, X86_MODE_LONG64, cpl);
			assert_gp0(to_cr(number, rig->c->cr0), "to");
			soft_rig_code(rig, code, sizeof(code));
			assert_gp0(soft_rig_step(rig), "from");
		}
	}
	soft_rig_mode(rig, X86_MODE_V86, 3);
	assert_gp0(to_cr(0, 0), "virtual-8086 mode");
}

Test(sys_cr, mov_from_cr_when_32_bit_code_then_the_upper_half_is_clear)
{
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->cr2 = 0x1234567887654321ull;
	cr_assert_eq(from_cr(2), 0x87654321u);
}

Test(sys_cr, mov_to_cr0_when_real_mode_sets_pe_then_protected_mode)
{
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	cr_assert_eq(vector_of(to_cr(0, X86_CR0_PE)), OK);
	soft_mode_update(rig->c);
	cr_assert(rig->c->mode & SOFT_PROTECTED);
	cr_assert_eq(rig->c->mode & SOFT_CODE_MASK, SOFT_CODE16);
}

/* CLTS, LMSW, SMSW. */

Test(sys_cr, clts_when_cpl_0_then_only_ts_goes)
{
	rig->c->cr0 |= X86_CR0_TS | X86_CR0_MP;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x06);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->cr0 & (X86_CR0_TS | X86_CR0_MP), X86_CR0_MP);
	cr_assert(rig->c->mode_is_stale);
	soft_rig_mode(rig, X86_MODE_PROT32, 3);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x06);
	assert_gp0(soft_rig_step(rig), "CPL 3");
}

Test(sys_cr, lmsw_when_pe_is_clear_in_the_source_then_pe_stays)
{
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->cr0 |= X86_CR0_TS;
	rig->c->r[X86_RAX] = 0xfff6; /* EM, MP and bits that LMSW does not load */
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0xf0);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->cr0, X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_ET | X86_CR0_NE);
}

Test(sys_cr, lmsw_when_the_operand_is_memory_then_it_is_read)
{
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	soft_rig_poke(rig, SOFT_RIG_DATA + 0x10, "\x01\x00", 2);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0x36, 0x10, 0x00);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert(rig->c->cr0 & X86_CR0_PE);
}

Test(sys_cr, smsw_when_each_width_then_that_much_of_cr0)
{
	rig->c->r[X86_RAX] = ~0ull;
	SOFT_RIG_CODE_BYTES(rig, 0x66, 0x0f, 0x01, 0xe0);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], (~0ull << 16) | (uint16_t)rig->c->cr0);
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x01, 0xe0);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(rig->c->r[X86_RAX], rig->c->cr0);
	soft_rig_poke(rig, SOFT_RIG_DATA, "\xff\xff\xff\xff", 4);
	rig->c->r[X86_RBX] = SOFT_RIG_DATA;
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x0f, 0x01, 0x23);
	cr_assert_eq(vector_of(soft_rig_step(rig)), OK);
	cr_assert_eq(soft_rig_peek(rig, SOFT_RIG_DATA, 4), 0xffff0000u | (uint16_t)rig->c->cr0);
}

/* Debug registers. */

static struct soft_rig_result to_dr(unsigned number, uint64_t value)
{
	rig->c->r[X86_RAX] = value;
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x23, (uint8_t)(0xc0 | number << 3));
	return soft_rig_step(rig);
}

static struct soft_rig_result from_dr(unsigned number)
{
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0x21, (uint8_t)(0xc1 | number << 3));
	return soft_rig_step(rig);
}

Test(sys_cr, dr_when_written_then_fixed_bits_are_fixed)
{
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(vector_of(to_dr(i, 0x8123456789abcde0ull + i)), OK);
		cr_assert_eq(rig->c->dr[i], 0x8123456789abcde0ull + i);
	}
	cr_assert_eq(vector_of(to_dr(6, 0xffffffff)), OK);
	cr_assert_eq(rig->c->dr[6], 0xffffeffful);
	cr_assert_eq(vector_of(to_dr(6, 0)), OK);
	cr_assert_eq(rig->c->dr[6], 0xffff0ff0ul);
	cr_assert_eq(vector_of(to_dr(7, 0)), OK);
	cr_assert_eq(rig->c->dr[7], 0x400);
	cr_assert_eq(vector_of(to_dr(7, 0xffffdc00)), OK); /* all but enables and GD */
	cr_assert_eq(rig->c->dr[7], 0xffff0400ul);
}

Test(sys_cr, dr6_and_dr7_when_a_bit_above_31_then_gp)
{
	for (unsigned bit = 32; bit < 64; bit++) {
		assert_gp0(to_dr(6, 1ull << bit), "DR6");
		assert_gp0(to_dr(7, 1ull << bit), "DR7");
	}
}

Test(sys_cr, dr4_and_dr5_when_de_is_clear_then_they_are_dr6_and_dr7)
{
	cr_assert_eq(vector_of(to_dr(5, 0x500)), OK);
	cr_assert_eq(rig->c->dr[7], 0x500);
	cr_assert_eq(vector_of(from_dr(4)), OK);
	cr_assert_eq(rig->c->r[X86_RCX], rig->c->dr[6]);
	rig->c->cr4 |= X86_CR4_DE;
	cr_assert_eq(vector_of(to_dr(4, 0)), X86_EXC_UD);
	cr_assert_eq(vector_of(from_dr(5)), X86_EXC_UD);
}

Test(sys_cr, dr_when_gd_is_set_then_db_with_bd_and_no_access)
{
	struct soft_rig_result result;

	cr_assert_eq(vector_of(to_dr(7, 0x2400)), OK);
	result = to_dr(0, 0x1000);
	cr_assert_eq(vector_of(result), X86_EXC_DB);
	cr_assert_eq(result.event.dr6, DR6_BD);
	cr_assert_eq(rig->c->dr[0], 0);
	cr_assert_eq(vector_of(from_dr(6)), X86_EXC_DB);
}

Test(sys_cr, dr_when_cpl_3_then_gp)
{
	soft_rig_mode(rig, X86_MODE_LONG64, 3);
	assert_gp0(to_dr(0, 0), "to");
	assert_gp0(from_dr(7), "from");
}
