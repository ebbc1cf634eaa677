/* See compare.h. */
#include "compare.h"

#include "known.h"
#include "umbra/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FLAG_RF	  0x10000u /* a signal frame has what a fault pushes */
#define ST_BYTES  10u
#define XMM_BYTES 16u
#define SHOWN_MAX 4u /* differing stretches of memory that are printed */

static const char *const GPR_NAME[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					 "r8",	"r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/* Fields of the FXSAVE image that are compared. */
struct field {
	char name[8];
	unsigned at, len;
};
#define FIELD_COUNT (4 + 8 + 16)

static struct field field_at(unsigned i)
{
	static const struct field CONTROL[] = {
		{"fcw", DIFF_FX_FCW, 2},
		{"fsw", DIFF_FX_FSW, 2},
		{"ftw", DIFF_FX_FTW, 1},
		{"mxcsr", DIFF_FX_MXCSR, 4},
	};
	struct field f = {.name = ""};

	if (i < 4)
		return CONTROL[i];
	if (i < 12) {
		snprintf(f.name, sizeof(f.name), "st%u", (i - 4) & 7);
		f.at = DIFF_FX_ST + 16 * (i - 4);
		f.len = ST_BYTES;
	} else {
		snprintf(f.name, sizeof(f.name), "xmm%u", (i - 12) & 15);
		f.at = DIFF_FX_XMM + XMM_BYTES * (i - 12);
		f.len = XMM_BYTES;
	}
	return f;
}

static bool is_same_x87(const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a + DIFF_FX_FCW, b + DIFF_FX_FCW, 5) != 0)
		return false;
	for (unsigned i = 0; i < 8; i++) {
		if (memcmp(a + DIFF_FX_ST + 16 * i, b + DIFF_FX_ST + 16 * i, ST_BYTES) != 0)
			return false;
	}
	return true;
}

static bool is_same_sse(const uint8_t *a, const uint8_t *b, bool is_64, uint32_t undefined)
{
	uint32_t mxcsr = le32_get(a + DIFF_FX_MXCSR) ^ le32_get(b + DIFF_FX_MXCSR);

	return (mxcsr & ~undefined) == 0 &&
	       memcmp(a + DIFF_FX_XMM, b + DIFF_FX_XMM, (is_64 ? 16 : 8) * XMM_BYTES) == 0;
}

static bool is_same_fault(const ZydisDecodedInstruction *z, const struct diff_state *a,
			  const struct diff_state *b)
{
	if (a->vector == X86_EXC_PF && known_is_order_vague(z))
		return ((a->error ^ b->error) & ~(uint32_t)X86_PF_P) == 0;
	return a->error == b->error && a->cr2 == b->cr2;
}

static bool is_same_state(const struct diff_case *dc, const ZydisDecodedInstruction *z,
			  const struct diff_state *a, const struct diff_state *b)
{
	uint64_t flags = (a->rflags ^ b->rflags) & ~(known_undefined_flags(z) | FLAG_RF);
	uint32_t mxcsr = known_undefined_mxcsr(z, a->vector == X86_EXC_XM);

	bool is_x87_vague = a->vector != DIFF_NO_VECTOR && known_is_fault_vague(z);

	return a->vector == b->vector && is_same_fault(z, a, b) && a->rip == b->rip && flags == 0 &&
	       memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 &&
	       is_same_sse(a->fx, b->fx, dc->bits == 64, mxcsr) &&
	       (is_x87_vague || is_same_x87(a->fx, b->fx));
}

/* Let known.c look at what the memory operand holds now. */
static void equalize_memory(const struct diff_case *dc, const ZydisDecodedInstruction *z,
			    const struct diff_result *native, uint8_t *guest_memory)
{
	uint64_t at = dc->operand_at - DIFF_SCRATCH;

	if (at <= DIFF_SCRATCH_BYTES - DIFF_FX_BYTES)
		known_equalize_memory(z, native->memory + at, guest_memory + at);
}

bool compare_results(const struct diff_case *dc, const ZydisDecodedInstruction *z,
		     const struct diff_result *native, const struct diff_result *guest,
		     uint8_t *guest_memory)
{
	if (known_is_priority_vague(dc, native->state.vector, guest->state.vector))
		return true;
	if (!is_same_state(dc, z, &native->state, &guest->state))
		return false;
	if (memcmp(native->memory, guest_memory, DIFF_SCRATCH_BYTES) == 0)
		return true;
	equalize_memory(dc, z, native, guest_memory);
	return memcmp(native->memory, guest_memory, DIFF_SCRATCH_BYTES) == 0;
}

/* Printing. */

static void print_insns(const struct diff_case *dc)
{
	enum x86_mode mode = dc->bits == 64 ? X86_MODE_LONG64 : X86_MODE_COMPAT32;

	for (unsigned at = 0; at < dc->len;) {
		char text[X86_INSN_TEXT_MAX];
		int len =
			x86_insn_format(mode, dc->in.rip + at, dc->bytes + at, dc->len - at, text);

		printf("%s%s", at ? "; " : "", text);
		if (len < 0)
			break;
		at += (unsigned)len;
	}
	printf("\n");
}

void compare_print_case(const struct diff_case *dc)
{
	printf("# seed %" PRIu64 " case %" PRIu64 " at %" PRIx64 "%s:", dc->seed, dc->number,
	       dc->in.rip, dc->is_block ? " as a block" : "");
	for (unsigned i = 0; i < dc->len; i++)
		printf(" %02x", dc->bytes[i]);
	printf("  ");
	print_insns(dc);
}

static void print_hex(const uint8_t *bytes, unsigned len)
{
	while (len--)
		printf("%02x", bytes[len]);
}

static void print_input(const struct diff_case *dc)
{
	for (unsigned i = 0; i < 16; i++)
		printf("%s%s %016" PRIx64,
		       i % 4 ? "  "
		       : i   ? "\n#   "
			     : "#   ",
		       GPR_NAME[i], dc->in.gpr[i]);
	printf("\n#   rflags %" PRIx64 "\n#  ", dc->in.rflags);
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		struct field f = field_at(i);

		printf(" %s ", f.name);
		print_hex(dc->in.fx + f.at, f.len);
		if (i % 4 == 3)
			printf("\n#  ");
	}
	if (dc->operand_at >= DIFF_SCRATCH && dc->operand_at < DIFF_READ_ONLY - 16) {
		printf(" memory at %" PRIx64 " ", dc->operand_at);
		print_hex(dc->memory + (dc->operand_at - DIFF_SCRATCH), 16);
	}
	printf("\n");
}

static void print_u64(const char *name, uint64_t native, uint64_t guest)
{
	if (native != guest)
		printf("#   %s: host %" PRIx64 ", soft %" PRIx64 "\n", name, native, guest);
}

static void print_fields(const uint8_t *native, const uint8_t *guest)
{
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		struct field f = field_at(i);

		if (memcmp(native + f.at, guest + f.at, f.len) == 0)
			continue;
		printf("#   %s: host ", f.name);
		print_hex(native + f.at, f.len);
		printf(", soft ");
		print_hex(guest + f.at, f.len);
		printf("\n");
	}
}

static void print_memory(const uint8_t *native, const uint8_t *guest)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < DIFF_SCRATCH_BYTES && shown < SHOWN_MAX; i++) {
		unsigned len = DIFF_SCRATCH_BYTES - i < 16 ? DIFF_SCRATCH_BYTES - i : 16;

		if (native[i] == guest[i])
			continue;
		printf("#   memory at %x: host ", DIFF_SCRATCH + i);
		print_hex(native + i, len);
		printf(", soft ");
		print_hex(guest + i, len);
		printf("\n");
		shown++;
		i += len - 1;
	}
}

void compare_report(const struct diff_case *dc, const struct diff_result *native,
		    const struct diff_result *guest)
{
	const struct diff_state *a = &native->state, *b = &guest->state;

	compare_print_case(dc);
	print_input(dc);
	for (unsigned i = 0; i < 16; i++)
		print_u64(GPR_NAME[i], a->gpr[i], b->gpr[i]);
	print_u64("rip", a->rip, b->rip);
	print_u64("rflags", a->rflags & ~(uint64_t)FLAG_RF, b->rflags & ~(uint64_t)FLAG_RF);
	if (a->vector != b->vector)
		printf("#   exception: host %d, soft %d\n", a->vector, b->vector);
	print_u64("error code", a->error, b->error);
	print_u64("cr2", a->cr2, b->cr2);
	print_fields(a->fx, b->fx);
	print_memory(native->memory, guest->memory);
}
