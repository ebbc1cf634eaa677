/* Two operations in one handler (exec_pair.c) against the same two, one at a time: in each pairing,
 * with registers and memory at random, with memory that is in the micro-TLB, is not, ends in the
 * middle of an operand, or is not there at all. */
#include "soft_rig.h"

#include "src/accel/soft/block.h"

#include <criterion/criterion.h>

#define DATA SOFT_RIG_DATA
/* Two pages; code is elsewhere. */
#define DATA_BYTES 0x2000u
/* Nothing is mapped from here on. */
#define NOWHERE 0x140000000ull

/* How an operation's bytes are made up behind its opcode. */
enum form {
	REG_REG,
	REG_REG_IMM32,
	REG_IMM32,
	REG_IMM8,
	IMM_ONLY,
	MEM_INDEX,
	MEM_BASE,
	OPCODE_REG
};

struct operation {
	const char *name;
	enum form form;
	bool is_wide;
	uint8_t len, opcode[2];
	uint8_t extension; /* bits 5:3 of ModRM */
};
static const struct operation OPERATIONS[] = {
	{"mov r32, r32", REG_REG, false, 1, {0x89}, 0},
	{"mov r64, r64", REG_REG, true, 1, {0x89}, 0},
	{"mov r32, imm32", IMM_ONLY, false, 1, {0xb8}, 0},
	{"add r32, r32", REG_REG, false, 1, {0x01}, 0},
	{"add r64, r64", REG_REG, true, 1, {0x01}, 0},
	{"add r32, imm32", REG_IMM32, false, 1, {0x81}, 0},
	{"add r64, imm32", REG_IMM32, true, 1, {0x81}, 0},
	{"sub r32, r32", REG_REG, false, 1, {0x29}, 0},
	{"sub r64, r64", REG_REG, true, 1, {0x29}, 0},
	{"sub r64, imm32", REG_IMM32, true, 1, {0x81}, 5},
	{"and r32, imm32", REG_IMM32, false, 1, {0x81}, 4},
	{"and r32, r32", REG_REG, false, 1, {0x21}, 0},
	{"xor r32, r32", REG_REG, false, 1, {0x31}, 0},
	{"xor r64, r64", REG_REG, true, 1, {0x31}, 0},
	{"shl r32, imm8", REG_IMM8, false, 1, {0xc1}, 4},
	{"shl r64, imm8", REG_IMM8, true, 1, {0xc1}, 4},
	{"shr r32, imm8", REG_IMM8, false, 1, {0xc1}, 5},
	{"shr r64, imm8", REG_IMM8, true, 1, {0xc1}, 5},
	{"imul r32, r32", REG_REG, false, 2, {0x0f, 0xaf}, 0},
	{"imul r64, r64", REG_REG, true, 2, {0x0f, 0xaf}, 0},
	{"imul r32, r32, imm32", REG_REG_IMM32, false, 1, {0x69}, 0},
	{"imul r64, r64, imm32", REG_REG_IMM32, true, 1, {0x69}, 0},
	{"lea r32, [base + index]", MEM_INDEX, false, 1, {0x8d}, 0},
	{"lea r64, [base + index]", MEM_INDEX, true, 1, {0x8d}, 0},
	{"lea r64, [base]", MEM_BASE, true, 1, {0x8d}, 0},
	{"mov r32, [base + index]", MEM_INDEX, false, 1, {0x8b}, 0},
	{"mov r64, [base + index]", MEM_INDEX, true, 1, {0x8b}, 0},
	{"mov r32, [base]", MEM_BASE, false, 1, {0x8b}, 0},
	{"mov r64, [base]", MEM_BASE, true, 1, {0x8b}, 0},
	{"mov [base + index], r32", MEM_INDEX, false, 1, {0x89}, 0},
	{"mov [base + index], r64", MEM_INDEX, true, 1, {0x89}, 0},
	{"mov [base], r32", MEM_BASE, false, 1, {0x89}, 0},
	{"mov [base], r64", MEM_BASE, true, 1, {0x89}, 0},
	{"add r32, [base + index]", MEM_INDEX, false, 1, {0x03}, 0},
	{"add r64, [base + index]", MEM_INDEX, true, 1, {0x03}, 0},
	{"movzx r32, r8", REG_REG, false, 2, {0x0f, 0xb6}, 0},
	{"movsxd r64, r32", REG_REG, true, 1, {0x63}, 0},
	{"movzx r32, byte [base + index]", MEM_INDEX, false, 2, {0x0f, 0xb6}, 0},
	{"push r64", OPCODE_REG, false, 1, {0x50}, 0},
	{"pop r64", OPCODE_REG, false, 1, {0x58}, 0},
};
#define OPERATION_COUNT UMBRA_ARRAY_SIZE(OPERATIONS)

static struct soft_rig *rig;
static uint64_t seed;

static void set_up(void)
{
	rig = soft_rig_create(8);
	seed = 0x9e3779b97f4a7c15;
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(pair, .init = set_up, .fini = tear_down);

static uint64_t draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

/* One case: code, registers, the flags behind RFLAGS, and the bytes of DATA. */
struct pair_case {
	uint8_t code[40];
	size_t len;
	unsigned count; /* instructions */
	uint64_t reg[8];
	uint64_t flags;
	uint8_t data[DATA_BYTES];
};

static void put(struct pair_case *pc, unsigned byte)
{
	pc->code[pc->len++] = (uint8_t)byte;
}

static void put_imm32(struct pair_case *pc, uint32_t imm)
{
	for (unsigned i = 0; i < 4; i++)
		put(pc, imm >> 8 * i & 0xff);
}

/* Registers 0..3 are data, RSI is the base of addresses and RDI the index; RSP for PUSH and POP. */
static void put_operation(struct pair_case *pc, const struct operation *op)
{
	unsigned reg = draw() & 3, other = draw() & 3;

	if (op->is_wide)
		put(pc, 0x48);
	for (unsigned i = 0; i < op->len; i++) {
		bool is_last = i + 1u == op->len;
		bool has_reg = op->form == IMM_ONLY || op->form == OPCODE_REG;

		put(pc, op->opcode[i] + (is_last && has_reg ? reg : 0));
	}
	switch (op->form) {
	case REG_REG:
		put(pc, 0xc0 | other << 3 | reg);
		break;
	case REG_REG_IMM32:
		put(pc, 0xc0 | other << 3 | reg);
		put_imm32(pc, (uint32_t)draw());
		break;
	case REG_IMM32:
		put(pc, 0xc0u | op->extension << 3 | reg);
		put_imm32(pc, (uint32_t)draw());
		break;
	case REG_IMM8:
		put(pc, 0xc0u | op->extension << 3 | reg);
		put(pc, 1 + draw() % 31);
		break;
	case IMM_ONLY:
		put_imm32(pc, (uint32_t)draw());
		break;
	case MEM_INDEX: /* [rsi + rdi * 4 + disp8] */
		put(pc, 0x44 | reg << 3);
		put(pc, 0xbe);
		put(pc, draw() & 0x7f);
		break;
	case MEM_BASE:
		put(pc, 0x46 | reg << 3);
		put(pc, draw() & 0x7f);
		break;
	case OPCODE_REG:
		break;
	}
}

static void fill_registers(struct pair_case *pc)
{
	for (unsigned r = 0; r < 8; r++)
		pc->reg[r] = draw() >> (draw() & 63);
	pc->reg[X86_RDI] = draw() & 31;
	/* Now and then over the end of a page, and where nothing is. */
	switch (draw() % 8) {
	case 0:
		pc->reg[X86_RSI] = NOWHERE + (draw() & 0xfff);
		break;
	case 1:
	case 2:
		pc->reg[X86_RSI] = DATA + 0xf40 + (draw() & 0x7f);
		break;
	default:
		pc->reg[X86_RSI] = DATA + (draw() & 0x7ff);
		break;
	}
	pc->reg[X86_RSP] = draw() % 8 ? DATA + 0x1800 : NOWHERE;
	pc->flags = draw() & X86_RFLAGS_STATUS;
}

/* With what overwrites the flags behind them, operations that leave none get paired too. */
static void make_case(struct pair_case *pc, const struct operation *a, const struct operation *b)
{
	pc->len = 0;
	pc->count = 3;
	put_operation(pc, a);
	put_operation(pc, b);
	if (draw() & 1) {
		put(pc, 0x45); /* cmp r8d, r9d */
		put(pc, 0x39);
		put(pc, 0xc8);
		pc->count++;
	}
	put(pc, 0xeb); /* jmp . */
	put(pc, 0xfe);
	fill_registers(pc);
	for (unsigned i = 0; i < DATA_BYTES; i += 8) {
		uint64_t bytes = draw();

		memcpy(pc->data + i, &bytes, 8);
	}
}

struct outcome {
	struct soft_rig_result result;
	uint64_t reg[16], rip, flags;
	uint8_t data[DATA_BYTES];
};

static void enter(const struct pair_case *pc)
{
	soft_rig_poke(rig, DATA, pc->data, DATA_BYTES);
	soft_rig_code(rig, pc->code, pc->len);
	memcpy(rig->c->r, pc->reg, sizeof(pc->reg));
	soft_set_rflags(rig->c, pc->flags | 2);
}

static void note(struct outcome *out)
{
	memcpy(out->reg, rig->c->r, sizeof(out->reg));
	out->rip = rig->c->rip;
	out->flags = soft_rflags(rig->c);
	for (unsigned i = 0; i < DATA_BYTES; i += 8) {
		uint64_t bytes = soft_rig_peek(rig, DATA + i, 8);

		memcpy(out->data + i, &bytes, 8);
	}
}

static void run_alone(const struct pair_case *pc, struct outcome *out)
{
	uint64_t count = 0;

	enter(pc);
	do {
		out->result = soft_rig_step(rig);
		count += out->result.count;
	} while (count < pc->count && out->result.end == SOFT_RIG_OK);
	out->result.count = count;
	note(out);
}

static void run_paired(const struct pair_case *pc, struct outcome *out)
{
	enter(pc);
	out->result = soft_rig_run(rig, pc->count);
	note(out);
}

static void assert_same(const struct pair_case *pc, const char *a, const char *b)
{
	static struct outcome alone, paired;

	run_alone(pc, &alone);
	run_paired(pc, &paired);
	cr_assert_eq(paired.result.end, alone.result.end, "%s; %s: ended differently", a, b);
	cr_assert_eq(paired.result.count, alone.result.count, "%s; %s: count", a, b);
	cr_assert_eq(paired.rip, alone.rip, "%s; %s: RIP", a, b);
	cr_assert_eq(paired.flags, alone.flags, "%s; %s: flags %#llx, alone %#llx", a, b,
		     (unsigned long long)paired.flags, (unsigned long long)alone.flags);
	for (unsigned r = 0; r < 16; r++)
		cr_assert_eq(paired.reg[r], alone.reg[r], "%s; %s: register %u", a, b, r);
	cr_assert_eq(memcmp(paired.data, alone.data, DATA_BYTES), 0, "%s; %s: memory", a, b);
	if (alone.result.end == SOFT_RIG_EXCEPTION)
		cr_assert_eq(paired.result.event.cr2, alone.result.event.cr2, "%s; %s: CR2", a, b);
}

/* The block at the code has another handler in the first slot than the first operation alone. */
static bool is_paired(const struct pair_case *pc)
{
	const struct insn *block;
	soft_op_fn *both;

	soft_rig_code(rig, pc->code, pc->len);
	soft_set_mode(rig->c, rig->c->mode & ~(uint32_t)SOFT_STEP);
	block = soft_block_find(rig->c);
	both = block[1].fn;
	soft_set_mode(rig->c, rig->c->mode | SOFT_STEP);
	block = soft_block_find(rig->c);
	return block[1].fn != both;
}

/* Where the second may fault the flags of the first may be seen: shifts and products, which are
 * only paired without flags, are not then. */
static bool can_pair(const struct operation *a, const struct operation *b)
{
	bool is_shift = a->form == REG_IMM8;
	bool is_product = a->form == REG_REG_IMM32 || a->opcode[1] == 0xaf;

	return !(is_shift || is_product) || b->form <= IMM_ONLY || b->opcode[0] == 0x8d;
}

Test(pair, run_when_two_in_one_handler_then_as_one_at_a_time)
{
	static struct pair_case pc;

	for (unsigned n = 0; n < OPERATION_COUNT * OPERATION_COUNT; n++) {
		const struct operation *a = &OPERATIONS[n / OPERATION_COUNT];
		const struct operation *b = &OPERATIONS[n % OPERATION_COUNT];
		unsigned paired = 0;

		for (unsigned round = 0; round < 12; round++) {
			make_case(&pc, a, b);
			paired += is_paired(&pc);
			assert_same(&pc, a->name, b->name);
		}
		cr_assert_eq(paired > 0, can_pair(a, b), "%s; %s: in one handler %u times", a->name,
			     b->name, paired);
	}
}

/* mov [rsi], eax; mov ecx, 1 at once, where the store replaces the 1. */
Test(pair, run_when_the_first_rewrites_the_second_then_the_new_one_runs)
{
	SOFT_RIG_CODE_BYTES(rig, 0x89, 0x06, 0xb9, 1, 0, 0, 0, 0xeb, 0xfe);
	rig->c->r[X86_RSI] = SOFT_RIG_CODE + 3;
	rig->c->r[X86_RAX] = 0x12345678;
	cr_assert_eq(soft_rig_run(rig, 3).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RCX], 0x12345678);
}
