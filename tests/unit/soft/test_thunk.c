/* The thunks themselves: the x87 tables and the check of the host. */
#include "soft_rig.h"

#include "src/accel/soft/simd.h"

#include <criterion/criterion.h>
#include <string.h>

#define RET 0xc3

Test(soft_thunk, x87_register_thunks_hold_the_opcode_that_was_asked_for)
{
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned modrm = 0xc0; modrm <= 0xff; modrm++) {
			const uint8_t *code = (const uint8_t *)(uintptr_t)thunk_x87_reg(
				(uint8_t)opcode, (uint8_t)modrm);

			cr_assert_eq(code[0], opcode);
			cr_assert_eq(code[1], modrm);
			cr_assert_eq(code[2], RET);
		}
	}
}

Test(soft_thunk, x87_memory_thunks_work_on_rax)
{
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			const uint8_t *code = (const uint8_t *)(uintptr_t)thunk_x87_mem(
				(uint8_t)opcode, (uint8_t)reg);

			cr_assert_eq(code[0], opcode);
			cr_assert_eq(code[1], reg << 3);
			cr_assert_eq(code[2], RET);
		}
	}
}

Test(soft_thunk, host_that_runs_these_tests_has_what_the_model_needs)
{
	struct umbra_err err = {0};
	struct soft_vm vm = {0};

	cr_expect_eq(soft_thunks_create(&vm, &err), 0, "%s", err.text);
	soft_thunks_destroy(&vm);
}

Test(soft_thunk, flags_of_lahf_and_seto_land_at_their_places)
{
	cr_expect_eq(thunk_flags(0x0000), 0);
	cr_expect_eq(thunk_flags(0x0001), X86_RFLAGS_OF);
	cr_expect_eq(thunk_flags(0xff00), X86_RFLAGS_STATUS & ~X86_RFLAGS_OF);
	cr_expect_eq(thunk_flags(0x0200), 0); /* the bit that is always one */
}

Test(soft_thunk, flags_when_given_to_an_x87_thunk_that_keeps_them_then_come_back)
{
	uint64_t fnop = thunk_x87_reg(0xd9, 0xd0);

	for (unsigned k = 0; k < 64; k++) {
		uint64_t status = (k & 1 ? X86_RFLAGS_CF : 0) | (k & 2 ? X86_RFLAGS_PF : 0) |
				  (k & 4 ? X86_RFLAGS_AF : 0) | (k & 8 ? X86_RFLAGS_ZF : 0) |
				  (k & 16 ? X86_RFLAGS_SF : 0) | (k & 32 ? X86_RFLAGS_OF : 0);

		cr_expect_eq(thunk_x87_flags(fnop, status), status);
	}
}

Test(soft_thunk, every_mnemonic_has_one_row)
{
	static const struct soft_rows *const ALL[] = {&soft_rows_x87, &soft_rows_fpu,
						      &soft_rows_mmx, &soft_rows_sse};
	static uint8_t seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];

	memset(seen, 0, sizeof(seen));
	for (size_t t = 0; t < UMBRA_ARRAY_SIZE(ALL); t++) {
		for (unsigned i = 0; i < ALL[t]->count; i++) {
			ZydisMnemonic mnemonic = ALL[t]->row[i].mnemonic;

			cr_expect_eq(seen[mnemonic]++, 0, "%s", ZydisMnemonicGetString(mnemonic));
		}
	}
}
