/* Integer instructions against the host's own: every mnemonic in every form and width with random
 * and corner-case state, alone; and mixed into programs, where flags are elided, comparisons fused
 * and blocks chained. */
#include "native.h"

#include <criterion/criterion.h>

/* Forms: R and M stand for a register or memory operand of the width, I for an immediate, C for CL,
 * B and W for sources of 8 and 16 bits, D for 32. */
enum form {
	F_R = 1 << 0,
	F_M = 1 << 1,
	F_RR = 1 << 2,
	F_RI = 1 << 3,
	F_RM = 1 << 4,
	F_MR = 1 << 5,
	F_MI = 1 << 6,
	F_RC = 1 << 7,
	F_MC = 1 << 8,
	F_RRI = 1 << 9,
	F_RMI = 1 << 10,
	F_MRI = 1 << 11,
	F_RRC = 1 << 12,
	F_MRC = 1 << 13,
	F_RB = 1 << 14,
	F_RW = 1 << 15,
	F_RD = 1 << 16,
	F_NONE = 1 << 17,
	F_MEM_SOURCE = 1 << 18, /* with F_RB, F_RW, F_RD: from memory too */
	F_SMALL_IMM = 1 << 19,	/* the immediate has 8 bits */
	F_BYTE = 1 << 20,	/* one width only: 8 bits */
	F_NO_BYTE = 1 << 21
};
#define F_BINARY (F_RR | F_RI | F_RM | F_MR | F_MI)
#define F_SHIFT	 (F_RI | F_MI | F_RC | F_MC | F_SMALL_IMM)
#define F_DOUBLE (F_RRI | F_RRC | F_MRI | F_MRC | F_SMALL_IMM | F_NO_BYTE)
/* A bit offset in a register moves the memory operand away: not in random programs. */
#define F_BIT (F_RR | F_RI | F_MI | F_SMALL_IMM | F_NO_BYTE)

struct family {
	ZydisMnemonic mnemonic;
	unsigned forms;
};

#define CC_FAMILY(name)                                                                            \
	{ZYDIS_MNEMONIC_CMOV##name, F_RR | F_RM | F_NO_BYTE},                                      \
	{                                                                                          \
		ZYDIS_MNEMONIC_SET##name, F_R | F_M | F_BYTE                                       \
	}
static const struct family FAMILIES[] = {
	{ZYDIS_MNEMONIC_ADD, F_BINARY},
	{ZYDIS_MNEMONIC_OR, F_BINARY},
	{ZYDIS_MNEMONIC_ADC, F_BINARY},
	{ZYDIS_MNEMONIC_SBB, F_BINARY},
	{ZYDIS_MNEMONIC_AND, F_BINARY},
	{ZYDIS_MNEMONIC_SUB, F_BINARY},
	{ZYDIS_MNEMONIC_XOR, F_BINARY},
	{ZYDIS_MNEMONIC_CMP, F_BINARY},
	{ZYDIS_MNEMONIC_TEST, F_RR | F_RI | F_MR | F_MI},
	{ZYDIS_MNEMONIC_INC, F_R | F_M},
	{ZYDIS_MNEMONIC_DEC, F_R | F_M},
	{ZYDIS_MNEMONIC_NEG, F_R | F_M},
	{ZYDIS_MNEMONIC_NOT, F_R | F_M},
	{ZYDIS_MNEMONIC_ROL, F_SHIFT},
	{ZYDIS_MNEMONIC_ROR, F_SHIFT},
	{ZYDIS_MNEMONIC_RCL, F_SHIFT},
	{ZYDIS_MNEMONIC_RCR, F_SHIFT},
	{ZYDIS_MNEMONIC_SHL, F_SHIFT},
	{ZYDIS_MNEMONIC_SHR, F_SHIFT},
	{ZYDIS_MNEMONIC_SAR, F_SHIFT},
	{ZYDIS_MNEMONIC_SHLD, F_DOUBLE},
	{ZYDIS_MNEMONIC_SHRD, F_DOUBLE},
	{ZYDIS_MNEMONIC_BT, F_BIT},
	{ZYDIS_MNEMONIC_BTS, F_BIT},
	{ZYDIS_MNEMONIC_BTR, F_BIT},
	{ZYDIS_MNEMONIC_BTC, F_BIT},
	{ZYDIS_MNEMONIC_BSF, F_RR | F_RM | F_NO_BYTE},
	{ZYDIS_MNEMONIC_BSR, F_RR | F_RM | F_NO_BYTE},
	{ZYDIS_MNEMONIC_POPCNT, F_RR | F_RM | F_NO_BYTE},
	{ZYDIS_MNEMONIC_CRC32, F_RB | F_RW | F_RD | F_RR | F_RM | F_MEM_SOURCE | F_NO_BYTE},
	{ZYDIS_MNEMONIC_BSWAP, F_R | F_NO_BYTE},
	{ZYDIS_MNEMONIC_MOV, F_BINARY},
	{ZYDIS_MNEMONIC_MOVZX, F_RB | F_RW | F_MEM_SOURCE | F_NO_BYTE},
	{ZYDIS_MNEMONIC_MOVSX, F_RB | F_RW | F_MEM_SOURCE | F_NO_BYTE},
	{ZYDIS_MNEMONIC_MOVSXD, F_RD | F_MEM_SOURCE | F_NO_BYTE},
	{ZYDIS_MNEMONIC_LEA, F_RM | F_NO_BYTE},
	{ZYDIS_MNEMONIC_XCHG, F_RR | F_MR},
	{ZYDIS_MNEMONIC_XADD, F_RR | F_MR},
	{ZYDIS_MNEMONIC_CMPXCHG, F_RR | F_MR},
	{ZYDIS_MNEMONIC_MUL, F_R | F_M},
	{ZYDIS_MNEMONIC_IMUL, F_R | F_M | F_RR | F_RM | F_RRI | F_RMI},
	{ZYDIS_MNEMONIC_CBW, F_NONE},
	{ZYDIS_MNEMONIC_CWDE, F_NONE},
	{ZYDIS_MNEMONIC_CDQE, F_NONE},
	{ZYDIS_MNEMONIC_CWD, F_NONE},
	{ZYDIS_MNEMONIC_CDQ, F_NONE},
	{ZYDIS_MNEMONIC_CQO, F_NONE},
	{ZYDIS_MNEMONIC_CLC, F_NONE},
	{ZYDIS_MNEMONIC_STC, F_NONE},
	{ZYDIS_MNEMONIC_CMC, F_NONE},
	{ZYDIS_MNEMONIC_LAHF, F_NONE},
	{ZYDIS_MNEMONIC_SAHF, F_NONE},
	{ZYDIS_MNEMONIC_NOP, F_NONE | F_R | F_M | F_NO_BYTE},
	{ZYDIS_MNEMONIC_ENDBR64, F_NONE},
	{ZYDIS_MNEMONIC_PREFETCHT0, F_M | F_BYTE},
	CC_FAMILY(O),
	CC_FAMILY(NO),
	CC_FAMILY(B),
	CC_FAMILY(NB),
	CC_FAMILY(Z),
	CC_FAMILY(NZ),
	CC_FAMILY(BE),
	CC_FAMILY(NBE),
	CC_FAMILY(S),
	CC_FAMILY(NS),
	CC_FAMILY(P),
	CC_FAMILY(NP),
	CC_FAMILY(L),
	CC_FAMILY(NL),
	CC_FAMILY(LE),
	CC_FAMILY(NLE),
};

/* Any general register but RSP, RBX and RSI, which stay what they are. */
static unsigned pick_reg(struct native *n, unsigned bits)
{
	static const unsigned REG[] = {X86_RAX, X86_RCX, X86_RDX, X86_RBP, X86_RDI,
				       X86_R8,	X86_R9,	 X86_R12, X86_R13, X86_R15};
	static const unsigned HIGH[] = {16, 17, 18}; /* AH, CH, DH */

	if (bits == 8 && native_below(n, 4) == 0)
		return HIGH[native_below(n, 3)];
	return REG[native_below(n, UMBRA_ARRAY_SIZE(REG))];
}

static ZydisEncoderOperand reg_of(struct native *n, unsigned bits)
{
	return native_reg(bits, pick_reg(n, bits));
}

static ZydisEncoderOperand mem_of(struct native *n, unsigned bits)
{
	return native_mem(bits, native_below(n, 100));
}

static ZydisEncoderOperand imm_of(struct native *n, unsigned forms, unsigned bits)
{
	uint64_t v = native_random(n);

	if (forms & F_SMALL_IMM)
		return native_imm((uint8_t)v & 0x7f);
	if (bits == 8 || (v & 1))
		return native_imm((int8_t)(v >> 8));
	return native_imm(bits == 16 ? (int16_t)(v >> 8) : (int32_t)(v >> 8));
}

/* Three operands. */
static unsigned operands3(struct native *n, unsigned forms, enum form form, unsigned bits,
			  ZydisEncoderOperand op[3])
{
	bool is_mem = form == F_MRI || form == F_MRC;

	op[0] = is_mem ? mem_of(n, bits) : reg_of(n, bits);
	op[1] = form == F_RMI ? mem_of(n, bits) : reg_of(n, bits);
	op[2] = form == F_RRC || form == F_MRC ? native_reg(8, X86_RCX) : imm_of(n, forms, bits);
	return 3;
}

static ZydisEncoderOperand source_of(struct native *n, unsigned forms, unsigned bits)
{
	return (forms & F_MEM_SOURCE) && native_below(n, 2) ? mem_of(n, bits) : reg_of(n, bits);
}

/* Operands of @form; returns how many. */
static unsigned operands(struct native *n, unsigned forms, enum form form, unsigned bits,
			 ZydisEncoderOperand op[3])
{
	bool is_mem = form & (F_M | F_MR | F_MI | F_MC);

	if (form & (F_RRI | F_RMI | F_MRI | F_RRC | F_MRC))
		return operands3(n, forms, form, bits, op);
	if (form == F_NONE)
		return 0;
	op[0] = is_mem ? mem_of(n, bits) : reg_of(n, bits);
	if (form & (F_R | F_M))
		return 1;
	if (form & (F_RR | F_MR))
		op[1] = reg_of(n, bits);
	else if (form & (F_RI | F_MI))
		op[1] = imm_of(n, forms, bits);
	else if (form & (F_RC | F_MC))
		op[1] = native_reg(8, X86_RCX);
	else if (form == F_RM)
		op[1] = mem_of(n, bits);
	else
		op[1] = source_of(n, forms, form == F_RB ? 8 : form == F_RW ? 16 : 32);
	return 2;
}

static bool has_width(const struct family *f, unsigned bits)
{
	if (f->forms & F_BYTE)
		return bits == 8;
	return !(f->forms & F_NO_BYTE) || bits != 8;
}

/* One instruction of @f; false when the form does not exist. */
static bool emit(struct native *n, const struct family *f, enum form form, unsigned bits)
{
	ZydisEncoderOperand op[3];
	unsigned count = operands(n, f->forms, form, bits, op);

	return native_emit(n, f->mnemonic, count, op);
}

#define STATES	  40
#define ENCODINGS 4

/* Returns how many encodings were tried. */
static unsigned check_form(struct native *n, const struct family *f, enum form form, unsigned bits)
{
	unsigned tried = 0;

	for (unsigned e = 0; e < ENCODINGS; e++) {
		native_restart(n);
		if (!emit(n, f, form, bits))
			continue;
		tried++;
		for (unsigned s = 0; s < STATES; s++) {
			native_randomize(n);
			native_check(n, true);
		}
	}
	return tried;
}

Test(exec_native, single_instruction_when_random_state_then_as_the_host)
{
	struct native *n = native_create();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FAMILIES); i++) {
		unsigned tried = 0;

		for (unsigned bit = 0; bit <= 17; bit++) {
			for (unsigned bits = 8; bits <= 64; bits *= 2) {
				if ((FAMILIES[i].forms & 1u << bit) &&
				    has_width(&FAMILIES[i], bits))
					tried += check_form(n, &FAMILIES[i], (enum form)(1u << bit),
							    bits);
			}
		}
		cr_expect_gt(tried, 0, "%s has no encoding",
			     ZydisMnemonicGetString(FAMILIES[i].mnemonic));
	}
	native_destroy(n);
}

/* A form of @f at random. */
static bool emit_random(struct native *n, const struct family *f)
{
	unsigned form = 1u << native_below(n, 18), bits = 8u << native_below(n, 4);

	return (f->forms & form) && has_width(f, bits) && emit(n, f, (enum form)form, bits);
}

#define JCC_SHORT 0x70

/* A conditional jump over the instruction that is emitted behind it. */
static void emit_jump_over(struct native *n)
{
	uint8_t jcc[2] = {(uint8_t)(JCC_SHORT + native_below(n, 16)), 0};
	size_t at = n->len;

	native_emit_bytes(n, jcc, sizeof(jcc));
	while (!emit_random(n, &FAMILIES[native_below(n, UMBRA_ARRAY_SIZE(FAMILIES))]))
		;
	n->program[at + 1] = (uint8_t)(n->len - at - 2);
}

static void emit_program(struct native *n, unsigned len)
{
	native_restart(n);
	for (unsigned i = 0; i < len; i++) {
		while (!emit_random(n, &FAMILIES[native_below(n, UMBRA_ARRAY_SIZE(FAMILIES))]))
			;
		if (native_below(n, 3) == 0)
			emit_jump_over(n);
	}
}

#define PROGRAMS    4000
#define PROGRAM_LEN 14

Test(exec_native, program_when_run_in_blocks_then_as_the_host)
{
	struct native *n = native_create();

	n->seed += 1;
	for (unsigned i = 0; i < PROGRAMS; i++) {
		emit_program(n, PROGRAM_LEN);
		native_randomize(n);
		native_check(n, false);
	}
	native_destroy(n);
}

/* The first operation's flags meet every condition right behind it: the fused pairs. */
static void check_pair(struct native *n, const struct family *f, enum form form, unsigned bits)
{
	for (unsigned cc = 0; cc < 16; cc++) {
		const uint8_t jump[] = {(uint8_t)(JCC_SHORT + cc), 3, 0x4d, 0x89,
					0xe6}; /* r14=r12 */

		native_restart(n);
		if (!emit(n, f, form, bits))
			return;
		native_emit_bytes(n, jump, sizeof(jump));
		for (unsigned s = 0; s < 12; s++) {
			native_randomize(n);
			native_check(n, false);
		}
	}
}

Test(exec_native, comparison_and_jump_when_every_condition_then_as_the_host)
{
	struct native *n = native_create();
	static const ZydisMnemonic FUSED[] = {ZYDIS_MNEMONIC_CMP, ZYDIS_MNEMONIC_TEST,
					      ZYDIS_MNEMONIC_SUB, ZYDIS_MNEMONIC_ADD,
					      ZYDIS_MNEMONIC_AND, ZYDIS_MNEMONIC_DEC};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FUSED); i++) {
		const struct family f = {FUSED[i], FUSED[i] == ZYDIS_MNEMONIC_DEC ? F_R : F_BINARY};

		for (unsigned bit = 0; bit <= 6; bit++) {
			for (unsigned bits = 8; bits <= 64; bits *= 2) {
				if (f.forms & 1u << bit)
					check_pair(n, &f, (enum form)(1u << bit), bits);
			}
		}
	}
	native_destroy(n);
}

/* Division: the quotient's size decides between #DE and the host's result. */

static bool divides(uint64_t hi, uint64_t lo, uint64_t divisor, unsigned bits)
{
	unsigned __int128 dividend = (unsigned __int128)hi << bits | lo;

	return divisor != 0 && dividend / divisor >> bits == 0;
}

static uint64_t low_bits(uint64_t v, unsigned bits)
{
	return v & ~0ull >> (64 - bits);
}

static __int128 signed_of(unsigned __int128 v, unsigned bits)
{
	return (__int128)(v << (128 - bits)) >> (128 - bits);
}

static bool divides_signed(uint64_t hi, uint64_t lo, uint64_t divisor, unsigned bits)
{
	__int128 dividend = signed_of((unsigned __int128)hi << bits | lo, 2 * bits);
	__int128 d = signed_of(divisor, bits), q;

	if (d == 0 || (d == -1 && bits == 64 && hi >> 63 && lo == 0 && hi << 1 == 0))
		return false;
	q = dividend / d;
	return q == signed_of((unsigned __int128)q, bits);
}

static void check_division(struct native *n, bool is_signed, unsigned bits)
{
	uint64_t hi, lo, divisor;
	bool fits;

	native_randomize(n);
	if (native_below(n, 2) == 0) /* a sign-extended dividend */
		n->gpr[X86_RDX] = native_below(n, 2) ? 0 : ~0ull;
	if (native_below(n, 8) == 0) { /* the most negative one, by 1 or -1 */
		n->gpr[X86_RAX] = ~0ull << (bits - 1);
		n->gpr[X86_RDX] = ~0ull;
		n->gpr[X86_R9] = native_below(n, 2) ? 1 : ~0ull;
	}
	lo = low_bits(n->gpr[X86_RAX], bits);
	hi = bits == 8 ? (n->gpr[X86_RAX] >> 8) & 0xff : low_bits(n->gpr[X86_RDX], bits);
	divisor = low_bits(n->gpr[X86_R9], bits);
	fits = is_signed ? divides_signed(hi, lo, divisor, bits) : divides(hi, lo, divisor, bits);
	if (fits) {
		native_check(n, true);
	} else {
		struct soft_rig_result result = native_run_soft(n, true);

		cr_assert_eq(result.end, SOFT_RIG_EXCEPTION, "%u bits, no #DE", bits);
		cr_assert_eq(result.event.vector, X86_EXC_DE);
		cr_assert_eq(n->rig->c->r[X86_RAX], n->gpr[X86_RAX]);
		cr_assert_eq(n->rig->c->r[X86_RDX], n->gpr[X86_RDX]);
		cr_assert_eq(n->rig->c->rip, SOFT_RIG_CODE);
	}
}

Test(exec_native, division_when_quotient_fits_or_not_then_as_the_host_or_de)
{
	struct native *n = native_create();

	for (unsigned is_signed = 0; is_signed < 2; is_signed++) {
		for (unsigned bits = 8; bits <= 64; bits *= 2) {
			ZydisEncoderOperand op = native_reg(bits, X86_R9);

			native_restart(n);
			cr_assert(native_emit(
				n, is_signed ? ZYDIS_MNEMONIC_IDIV : ZYDIS_MNEMONIC_DIV, 1, &op));
			for (unsigned s = 0; s < 1500; s++)
				check_division(n, is_signed, bits);
		}
	}
	native_destroy(n);
}

/* Bytes that assemblers do not write or that need fixed operands. */
struct odd_case {
	const char *name;
	uint8_t len, bytes[10];
};
static const struct odd_case ODD_CASES[] = {
	{"bswap cx", 3, {0x66, 0x0f, 0xc9}},
	{"shl eax, 0", 3, {0xc1, 0xe0, 0x00}},
	{"shl eax, 32", 3, {0xc1, 0xe0, 0x20}},
	{"shl /6 ecx, 3", 3, {0xc1, 0xf1, 0x03}},
	{"rol dl, 8", 3, {0xc0, 0xc2, 0x08}},
	{"rcl dl, 9", 3, {0xc0, 0xd2, 0x09}},
	{"shl edx, 1 (D1)", 2, {0xd1, 0xe2}},
	{"ror byte [rbx], 1", 2, {0xd0, 0x0b}},
	{"shld ax, dx, 20", 5, {0x66, 0x0f, 0xa4, 0xd0, 0x14}},
	{"xchg eax, eax (87)", 2, {0x87, 0xc0}},
	{"xchg r8, rax", 2, {0x49, 0x90}},
	{"nop (90)", 1, {0x90}},
	{"movsxd eax, ecx", 2, {0x63, 0xc1}},
	{"movsxd ax, ecx", 3, {0x66, 0x63, 0xc1}},
	{"movzx ax, word cx", 4, {0x66, 0x0f, 0xb7, 0xc1}},
	{"test /1 al, 5", 3, {0xf6, 0xc8, 0x05}},
	{"mov rax, imm64", 10, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88}},
	{"mov [rbx+0x10], imm32", 8, {0x48, 0xc7, 0x43, 0x10, 1, 2, 3, 0x84}},
	{"cmpxchg rdx, rax", 4, {0x48, 0x0f, 0xb1, 0xc2}},
	{"cmpxchg eax, ecx", 3, {0x0f, 0xb1, 0xc8}},
	{"cmpxchg ah, cl", 3, {0x0f, 0xb0, 0xcc}},
	{"xadd edx, edx", 3, {0x0f, 0xc1, 0xd2}},
	{"xadd ah, al", 3, {0x0f, 0xc0, 0xc4}},
	{"cmpxchg8b [rbx]", 3, {0x0f, 0xc7, 0x0b}},
	{"lea eax, [ebx+esi]", 4, {0x67, 0x8d, 0x04, 0x33}},
	{"xlat", 1, {0xd7}},
	{"rdsspq rax", 5, {0xf3, 0x48, 0x0f, 0x1e, 0xc8}},
	{"pause", 2, {0xf3, 0x90}},
};

Test(exec_native, odd_encoding_when_executed_then_as_the_host)
{
	struct native *n = native_create();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(ODD_CASES); i++) {
		const struct odd_case *c = &ODD_CASES[i];

		native_restart(n);
		native_emit_bytes(n, c->bytes, c->len);
		for (unsigned s = 0; s < 100; s++) {
			native_randomize(n);
			native_check(n, true);
		}
	}
	native_destroy(n);
}

/* Without BMI1 an F3 prefix in front of BSF says nothing: a source of 0 keeps the destination. */
Test(exec_native, tzcnt_when_not_in_the_model_then_bsf)
{
	static const uint8_t CODE[] = {0xf3, 0x0f, 0xbc, 0xc1};
	struct native *n = native_create();

	native_restart(n);
	native_emit_bytes(n, CODE, sizeof(CODE));
	native_randomize(n);
	n->gpr[X86_RAX] = 77;
	n->gpr[X86_RCX] = 0;
	cr_assert_eq(native_run_soft(n, true).end, SOFT_RIG_HALTED);
	cr_assert_eq(n->rig->c->r[X86_RAX], 77);
	cr_assert(soft_rflags(n->rig->c) & X86_RFLAGS_ZF);
	n->gpr[X86_RCX] = 0x5000;
	cr_assert_eq(native_run_soft(n, true).end, SOFT_RIG_HALTED);
	cr_assert_eq(n->rig->c->r[X86_RAX], 12);
	native_destroy(n);
}

/* LOCK forms: the same results as without the prefix. */
Test(exec_native, locked_form_when_executed_then_as_the_host)
{
	static const ZydisMnemonic LOCKED[] = {
		ZYDIS_MNEMONIC_ADD,    ZYDIS_MNEMONIC_OR,  ZYDIS_MNEMONIC_ADC,	ZYDIS_MNEMONIC_SBB,
		ZYDIS_MNEMONIC_AND,    ZYDIS_MNEMONIC_SUB, ZYDIS_MNEMONIC_XOR,	ZYDIS_MNEMONIC_INC,
		ZYDIS_MNEMONIC_DEC,    ZYDIS_MNEMONIC_NOT, ZYDIS_MNEMONIC_NEG,	ZYDIS_MNEMONIC_BTS,
		ZYDIS_MNEMONIC_BTR,    ZYDIS_MNEMONIC_BTC, ZYDIS_MNEMONIC_XADD, ZYDIS_MNEMONIC_XCHG,
		ZYDIS_MNEMONIC_CMPXCHG};
	static const enum form FORMS[] = {F_M, F_MR, F_MI};
	static const uint8_t LOCK = 0xf0;
	struct native *n = native_create();
	unsigned tried = 0;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(LOCKED); i++) {
		bool is_bit = i >= 11 && i <= 13;
		const struct family f = {LOCKED[i], is_bit ? F_SMALL_IMM : 0};

		for (unsigned k = 0; k < 12; k++) {
			enum form form = FORMS[k / 4];

			if (is_bit && form == F_MR)
				continue;
			native_restart(n);
			native_emit_bytes(n, &LOCK, 1);
			if (!emit(n, &f, form, 8u << k % 4))
				continue;
			tried++;
			for (unsigned s = 0; s < STATES; s++) {
				native_randomize(n);
				native_check(n, true);
			}
		}
	}
	cr_assert_gt(tried, 80);
	native_destroy(n);
}

/* A bit offset in a register: bytes within 16 of the operand, before and behind it. */
Test(exec_native, bit_test_when_offset_in_register_then_as_the_host)
{
	static const ZydisMnemonic TESTS[] = {ZYDIS_MNEMONIC_BT, ZYDIS_MNEMONIC_BTS,
					      ZYDIS_MNEMONIC_BTR, ZYDIS_MNEMONIC_BTC};
	struct native *n = native_create();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(TESTS); i++) {
		for (unsigned bits = 16; bits <= 64; bits *= 2) {
			ZydisEncoderOperand op[2] = {native_mem(bits, 100),
						     native_reg(bits, X86_RDX)};

			native_restart(n);
			cr_assert(native_emit(n, TESTS[i], 2, op));
			for (unsigned s = 0; s < STATES; s++) {
				native_randomize(n);
				n->gpr[X86_RDX] = (uint64_t)((int64_t)native_below(n, 1000) - 500);
				/* What is above the operand size says nothing. */
				if (bits < 64)
					n->gpr[X86_RDX] = low_bits(n->gpr[X86_RDX], bits) |
							  native_random(n) << bits;
				native_check(n, true);
			}
		}
	}
	native_destroy(n);
}
