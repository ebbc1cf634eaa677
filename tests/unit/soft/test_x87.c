/* Every x87 opcode against the host: all register forms, all memory forms, with exceptions masked
 * and not, alone and in a block behind another x87 instruction. */
#include "test_fpu_native.h"

#include "src/accel/soft/fpu.h"
#include "src/accel/soft/translate.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const uint8_t FNOP[] = {0xd9, 0xd0};

/* Environments hold host addresses; they have tests of their own (test_fpu.c). */
static bool has_row(ZydisMnemonic mnemonic)
{
	for (unsigned i = 0; i < soft_rows_x87.count; i++) {
		if (soft_rows_x87.row[i].mnemonic == mnemonic)
			return true;
	}
	return false;
}

static bool is_tested(const uint8_t *code, size_t len, const char **out_name)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction z;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, len, &z, op)))
		return false;
	*out_name = ZydisMnemonicGetString(z.mnemonic);
	return has_row(z.mnemonic);
}

static void compare(struct fpu_native *n, const struct fpu_native_state *start, const uint8_t *code,
		    size_t len, unsigned steps, const char *name)
{
	struct fpu_native_state host = *start, soft = *start;
	struct soft_rig_result result;
	char text[64];

	snprintf(text, sizeof(text), "%s %02x %02x, %u steps", name, code[len - 2], code[len - 1],
		 steps);
	fpu_native_run_host(n, &host, code, len);
	result = fpu_native_run_soft(n, &soft, code, len, steps);
	cr_expect(host.signal == 0 && result.end == (steps ? SOFT_RIG_OK : SOFT_RIG_HALTED),
		  "%s: host %d, soft %d vector %u", text, host.signal, result.end,
		  result.event.vector);
	cr_expect(fpu_native_is_same(&host, &soft, text));
}

static void compare_opcode(struct fpu_native *n, uint8_t opcode, uint8_t modrm, unsigned cases,
			   bool all_masked)
{
	uint8_t code[4];
	const char *name;
	struct fpu_native_state st;

	memcpy(code, FNOP, sizeof(FNOP));
	code[2] = opcode;
	code[3] = modrm;
	if (!is_tested(code + 2, 2, &name))
		return;
	for (unsigned k = 0; k < cases; k++) {
		fpu_native_fill(n, &st);
		fpu_native_fill_x87(n, &st, all_masked);
		compare(n, &st, code + 2, 2, 1, name);
		compare(n, &st, code, 4, 0, name);
	}
}

static void compare_all(uint64_t seed, unsigned cases, bool all_masked)
{
	struct fpu_native n;

	fpu_native_open(&n, seed);
	for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
		/* Memory forms on [RBX]. */
		for (unsigned reg = 0; reg < 8; reg++)
			compare_opcode(&n, (uint8_t)opcode, (uint8_t)(reg << 3 | 3), cases * 4,
				       all_masked);
		for (unsigned modrm = 0xc0; modrm <= 0xff; modrm++)
			compare_opcode(&n, (uint8_t)opcode, (uint8_t)modrm, cases, all_masked);
	}
	fpu_native_close(&n);
}

/* What is no number of 1, 2, 4 or 8 bytes (SDM 3A table 6-7), at [RBX]. */
Test(soft_x87, operand_when_alignment_is_checked_then_ac_by_its_kind)
{
	static const struct {
		uint8_t prefix, opcode, reg, align;
		const char *name;
	} row[] = {
		{0x90, 0xdb, 5, 8, "FLD m80"},	 {0x90, 0xdb, 7, 8, "FSTP m80"},
		{0x90, 0xdf, 4, 8, "FBLD"},	 {0x90, 0xdf, 6, 8, "FBSTP"},
		{0x90, 0xd9, 4, 4, "FLDENV"},	 {0x90, 0xd9, 6, 4, "FNSTENV"},
		{0x66, 0xd9, 4, 2, "FLDENV 16"}, {0x66, 0xd9, 6, 2, "FNSTENV 16"},
		{0x90, 0xdd, 4, 4, "FRSTOR"},	 {0x90, 0xdd, 6, 4, "FNSAVE"},
		{0x66, 0xdd, 4, 2, "FRSTOR 16"}, {0x66, 0xdd, 6, 2, "FNSAVE 16"},
	};
	struct soft_rig *rig = soft_rig_create(4);
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_LONG64, 3, &st);
	st.cr0 |= X86_CR0_AM;
	st.rflags |= X86_RFLAGS_AC;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (unsigned at = 1; at <= 8; at *= 2) {
			struct soft_rig_result r;

			st.gpr[X86_RBX] = SOFT_RIG_DATA + at;
			soft_rig_set(rig, &st);
			SOFT_RIG_CODE_BYTES(rig, row[i].prefix, row[i].opcode,
					    (uint8_t)(row[i].reg << 3 | 3));
			rig->c->rip += row[i].prefix == 0x90;
			r = soft_rig_step(rig);
			cr_expect((r.end == SOFT_RIG_EXCEPTION && r.event.vector == X86_EXC_AC) ==
					  (at < row[i].align),
				  "%s at %u", row[i].name, at);
		}
	}
	soft_rig_destroy(rig);
}

Test(soft_x87, every_opcode_with_exceptions_masked_equals_the_host)
{
	compare_all(11, 30, true);
}

Test(soft_x87, every_opcode_with_exceptions_unmasked_equals_the_host)
{
	compare_all(12, 30, false);
}
