/* Every SSE and MMX mnemonic of the tables, in every form that Zydis can encode, against the host.
 */
#include "test_fpu_native.h"

#include "src/accel/soft/fpu.h"
#include "src/accel/soft/simd.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Kinds of operands: xmm, mm, 32- and 64-bit general register, memory of 1 to 16 bytes, imm8. */
static const char *const SHAPES[] = {
	"xx",  "xm",  "mx",  "xxi", "xmi", "xi", "rx", "Rx", "rm", "Rm",  "xr",	 "xR",
	"rxi", "Rxi", "mxi", "xri", "xRi", "yy", "ym", "my", "yi", "yyi", "ymi", "ry",
	"Ry",  "ryi", "yr",  "yR",  "yri", "xy", "yx", "mr", "mR", "",
};
static const uint16_t MEMORY_BYTES[] = {1, 2, 4, 8, 16};

static ZydisRegister random_general(struct fpu_native *n, bool is_wide)
{
	static const unsigned USABLE[] = {X86_RAX, X86_RCX, X86_RDX, X86_RSI, X86_R8, X86_R9,
					  X86_R10, X86_R11, X86_R12, X86_R13, X86_R14};
	unsigned reg = USABLE[fpu_native_random(n) % UMBRA_ARRAY_SIZE(USABLE)];

	return (ZydisRegister)((is_wide ? ZYDIS_REGISTER_RAX : ZYDIS_REGISTER_EAX) + reg);
}

static void set_operand(struct fpu_native *n, ZydisEncoderOperand *op, char kind, uint16_t bytes)
{
	op->type = ZYDIS_OPERAND_TYPE_REGISTER;
	switch (kind) {
	case 'x':
		op->reg.value = (ZydisRegister)(ZYDIS_REGISTER_XMM0 + fpu_native_random(n) % 16);
		break;
	case 'y':
		op->reg.value = (ZydisRegister)(ZYDIS_REGISTER_MM0 + fpu_native_random(n) % 8);
		break;
	case 'r':
	case 'R':
		op->reg.value = random_general(n, kind == 'R');
		break;
	case 'm':
		op->type = ZYDIS_OPERAND_TYPE_MEMORY;
		op->mem.base = ZYDIS_REGISTER_RBX;
		op->mem.displacement = (ZyanI64)(fpu_native_random(n) % 4 * 16);
		op->mem.size = bytes;
		break;
	default:
		op->type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
		op->imm.u = fpu_native_random(n) & 0xff;
		break;
	}
}

/* Returns the length, 0 = there is no such form. */
static size_t encode(struct fpu_native *n, ZydisMnemonic mnemonic, const char *shape,
		     uint16_t bytes, uint8_t *out)
{
	ZydisEncoderRequest req = {
		.machine_mode = ZYDIS_MACHINE_MODE_LONG_64,
		.allowed_encodings = ZYDIS_ENCODABLE_ENCODING_LEGACY,
		.mnemonic = mnemonic,
		.operand_count = (ZyanU8)strlen(shape),
	};
	ZyanUSize len = X86_INSN_MAX;

	for (unsigned i = 0; shape[i]; i++)
		set_operand(n, &req.operands[i], shape[i], bytes);
	return ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&req, out, &len)) ? len : 0;
}

static void describe(ZydisMnemonic mnemonic, const uint8_t *code, size_t len, char out[80])
{
	int at = snprintf(out, 80, "%s", ZydisMnemonicGetString(mnemonic));

	for (size_t k = 0; k < len; k++)
		at += snprintf(out + at, 80 - (size_t)at, " %02x", code[k]);
}

/* What thunk_run_fp says about the flags of an instruction that raised #XM: an unmasked overflow or
 * underflow has PE as the masked one would, and DPPS and DPPD mix the flags of their steps. */
static uint32_t loose_flags(ZydisMnemonic mnemonic, uint32_t mxcsr)
{
	if (mnemonic == ZYDIS_MNEMONIC_DPPS || mnemonic == ZYDIS_MNEMONIC_DPPD)
		return MXCSR_FLAGS;
	return mxcsr & ~(mxcsr >> 7) & 0x18 ? 0x20 : 0;
}

static void forget_loose_flags(ZydisMnemonic mnemonic, struct fpu_native_state *host,
			       struct fpu_native_state *soft)
{
	uint32_t flags = loose_flags(mnemonic, fpu_native_mxcsr(host));

	fpu_native_set_mxcsr(host, fpu_native_mxcsr(host) | flags);
	fpu_native_set_mxcsr(soft, fpu_native_mxcsr(soft) | flags);
}

/* One random case.  @is_block: behind an FNOP in one block, so that x87 state is live before. */
static bool compare(struct fpu_native *n, const struct fpu_native_state *start,
		    ZydisMnemonic mnemonic, const uint8_t *code, size_t len)
{
	struct fpu_native_state host = *start, soft = *start;
	struct soft_rig_result result;
	char text[80];

	describe(mnemonic, code, len, text);
	fpu_native_run_host(n, &host, code, len);
	result = fpu_native_run_soft(n, &soft, code, len, 1);
	if (host.signal == SIGFPE) {
		cr_expect(result.end == SOFT_RIG_EXCEPTION && result.event.vector == X86_EXC_XM,
			  "%s: the host raised #XM, soft ended with %d", text, result.end);
	} else {
		cr_expect(host.signal == 0 && result.end == SOFT_RIG_OK,
			  "%s: host %d, soft %d vector %u", text, host.signal, result.end,
			  result.event.vector);
	}
	if (host.signal == SIGFPE)
		forget_loose_flags(mnemonic, &host, &soft);
	return fpu_native_is_same(&host, &soft, text);
}

typedef void change_fn(struct fpu_native *n, struct fpu_native_state *st);

/* Returns the number of forms. */
static unsigned compare_mnemonic(struct fpu_native *n, ZydisMnemonic mnemonic, unsigned cases,
				 change_fn *change)
{
	struct fpu_native_state st;
	uint8_t code[X86_INSN_MAX];
	unsigned forms = 0;

	for (size_t s = 0; s < UMBRA_ARRAY_SIZE(SHAPES); s++) {
		bool has_memory = strchr(SHAPES[s], 'm');

		/* Without operands MOVSD and CMPSD are the string instructions. */
		if (!SHAPES[s][0] && mnemonic != ZYDIS_MNEMONIC_EMMS)
			continue;
		for (size_t b = 0; b < (has_memory ? UMBRA_ARRAY_SIZE(MEMORY_BYTES) : 1); b++) {
			for (unsigned k = 0; k < cases; k++) {
				size_t len = encode(n, mnemonic, SHAPES[s], MEMORY_BYTES[b], code);

				if (len == 0)
					break;
				fpu_native_fill(n, &st);
				change(n, &st);
				forms += k == 0;
				if (!compare(n, &st, mnemonic, code, len))
					cr_expect(false, "%s differs",
						  ZydisMnemonicGetString(mnemonic));
			}
		}
	}
	return forms;
}

static void compare_rows(struct fpu_native *n, const struct soft_rows *rows, unsigned cases,
			 change_fn *change)
{
	for (unsigned i = 0; i < rows->count; i++) {
		ZydisMnemonic mnemonic = rows->row[i].mnemonic;

		cr_expect(compare_mnemonic(n, mnemonic, cases, change) > 0,
			  "%s: no form was encoded", ZydisMnemonicGetString(mnemonic));
	}
}

static void keep(struct fpu_native *n, struct fpu_native_state *st)
{
	(void)n;
	(void)st;
}

/* The masks too. */
static void unmask(struct fpu_native *n, struct fpu_native_state *st)
{
	fpu_native_set_mxcsr(st, fpu_native_random(n) & MXCSR_VALID);
}

static void fill_x87(struct fpu_native *n, struct fpu_native_state *st)
{
	fpu_native_fill_x87(n, st, fpu_native_random(n) % 2);
}

Test(soft_sse, every_form_with_exceptions_masked_equals_the_host)
{
	struct fpu_native n;

	fpu_native_open(&n, 1);
	compare_rows(&n, &soft_rows_sse, 40, keep);
	cr_expect(compare_mnemonic(&n, ZYDIS_MNEMONIC_MOVSD, 40, keep) > 0);
	cr_expect(compare_mnemonic(&n, ZYDIS_MNEMONIC_CMPSD, 40, keep) > 0);
	fpu_native_close(&n);
}

Test(soft_sse, every_form_with_exceptions_unmasked_raises_where_the_host_does)
{
	struct fpu_native n;

	fpu_native_open(&n, 2);
	compare_rows(&n, &soft_rows_sse, 60, unmask);
	compare_rows(&n, &soft_rows_mmx, 60, unmask);
	fpu_native_close(&n);
}

Test(soft_sse, every_mmx_form_equals_the_host_and_changes_x87_state_alike)
{
	struct fpu_native n;

	fpu_native_open(&n, 3);
	compare_rows(&n, &soft_rows_mmx, 40, fill_x87);
	for (unsigned i = 0; i < soft_rows_sse.count; i++)
		compare_mnemonic(&n, soft_rows_sse.row[i].mnemonic, 20, fill_x87);
	fpu_native_close(&n);
}

/* Zydis does not encode these with REX.W. */
Test(soft_sse, text_compare_with_64_bit_lengths_equals_the_host)
{
	uint8_t code[] = {0x66, 0x48, 0x0f, 0x3a, 0x61, 0xc1, 0};
	struct fpu_native_state st;
	struct fpu_native n;

	fpu_native_open(&n, 4);
	for (unsigned k = 0; k < 2000; k++) {
		fpu_native_fill(&n, &st);
		/* More than 16, which is what 32 bits of it would not be. */
		st.gpr[X86_RAX] = 1ull << 32 | k % 18;
		st.gpr[X86_RDX] = ~(uint64_t)(k % 18);
		code[4] = (uint8_t)(0x60 + k % 2);
		code[6] = (uint8_t)fpu_native_random(&n);
		cr_assert(compare(&n, &st, ZYDIS_MNEMONIC_PCMPESTRI, code, sizeof(code)));
	}
	fpu_native_close(&n);
}
