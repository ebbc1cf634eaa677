/* See native.h. */
#include "native.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CODE_BYTES 4096u
#define OP_HLT	   0xf4
#define OP_RET	   0xc3
#define TEXT_BYTES 1024

/* Registers in the order of their encoding, and flags: native_call loads and stores them. */
struct native_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rflags;
};

/* RSP stays the host's.  The state and the code's address wait on the stack meanwhile. */
void native_call(struct native_state *state, const void *code);
__asm__(".text\n"
	"native_call:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"push %rdi; push %rsi\n"
	"pushq 128(%rdi); popfq\n"
	"mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
	"mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
	"mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
	"mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
	"mov 56(%rdi), %rdi\n"
	"call *(%rsp)\n"
	"pushfq; push %rax; mov 24(%rsp), %rax\n"
	"mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax)\n"
	"mov %rbp, 40(%rax); mov %rsi, 48(%rax); mov %rdi, 56(%rax)\n"
	"mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax)\n"
	"mov %r12, 96(%rax); mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"pop %rcx; mov %rcx, 0(%rax); pop %rcx; mov %rcx, 128(%rax)\n"
	"cld; add $16, %rsp\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

static void *map(void *address, size_t len, int flags)
{
	void *p = mmap(address, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
		       -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	return p;
}

struct native *native_create(void)
{
	struct native *n = calloc(1, sizeof(*n));

	cr_assert_not_null(n);
	n->rig = soft_rig_create(4);
	n->code = map(NULL, CODE_BYTES, 0);
	n->data = map((void *)(uintptr_t)NATIVE_DATA, CODE_BYTES, MAP_FIXED_NOREPLACE);
	n->seed = 0x9e3779b97f4a7c15;
	return n;
}

void native_destroy(struct native *n)
{
	munmap(n->code, CODE_BYTES);
	munmap(n->data, CODE_BYTES);
	soft_rig_destroy(n->rig);
	free(n);
}

/* xorshift64*: the same numbers in every run. */
uint64_t native_random(struct native *n)
{
	n->seed ^= n->seed >> 12;
	n->seed ^= n->seed << 25;
	n->seed ^= n->seed >> 27;
	return n->seed * 0x2545f4914f6cdd1d;
}

unsigned native_below(struct native *n, unsigned limit)
{
	return (unsigned)((native_random(n) >> 33) % limit);
}

static uint64_t random_value(struct native *n)
{
	uint64_t edge = 1ull << (8u << native_below(n, 4)) % 64 >> native_below(n, 2);
	uint64_t near = native_below(n, 5);

	switch (native_below(n, 4)) {
	case 0:
		return near - 2;
	case 1:
		return edge + near - 2;
	default:
		return native_random(n);
	}
}

void native_randomize(struct native *n)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		n->gpr[i] = random_value(n);
	for (unsigned i = 0; i < NATIVE_DATA_BYTES; i += 8) {
		uint64_t v = random_value(n);

		memcpy(n->memory + i, &v, 8);
	}
	n->gpr[X86_RBX] = NATIVE_DATA;
	n->gpr[X86_RSI] = native_below(n, 64);
	n->status = native_random(n) & X86_RFLAGS_STATUS;
}

/* Encoding. */

ZydisEncoderOperand native_reg(unsigned bits, unsigned reg)
{
	static const ZydisRegisterClass CLASS[4] = {ZYDIS_REGCLASS_GPR8, ZYDIS_REGCLASS_GPR16,
						    ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_GPR64};
	ZydisEncoderOperand op = {.type = ZYDIS_OPERAND_TYPE_REGISTER};

	if (bits == 8 && reg >= X86_GPR_COUNT)
		op.reg.value = (ZydisRegister)(ZYDIS_REGISTER_AH + reg % 4);
	else if (bits == 8)
		op.reg.value = (ZydisRegister)(reg < 4 ? ZYDIS_REGISTER_AL + reg
						       : ZYDIS_REGISTER_SPL + reg - 4);
	else
		op.reg.value = ZydisRegisterEncode(CLASS[FLAGS_WIDTH(bits)], (ZyanU8)reg);
	return op;
}

ZydisEncoderOperand native_mem(unsigned bits, int64_t disp)
{
	ZydisEncoderOperand op = {.type = ZYDIS_OPERAND_TYPE_MEMORY};

	op.mem.base = ZYDIS_REGISTER_RBX;
	op.mem.index = ZYDIS_REGISTER_RSI;
	op.mem.scale = 1;
	op.mem.displacement = disp;
	op.mem.size = (ZyanU16)(bits / 8);
	return op;
}

ZydisEncoderOperand native_imm(int64_t value)
{
	ZydisEncoderOperand op = {.type = ZYDIS_OPERAND_TYPE_IMMEDIATE};

	op.imm.s = value;
	return op;
}

void native_emit_bytes(struct native *n, const void *bytes, size_t len)
{
	cr_assert_leq(n->len + len + 1, sizeof(n->program));
	memcpy(n->program + n->len, bytes, len);
	n->len += len;
}

bool native_emit(struct native *n, ZydisMnemonic mnemonic, unsigned operands,
		 const ZydisEncoderOperand *op)
{
	ZydisEncoderRequest request = {.machine_mode = ZYDIS_MACHINE_MODE_LONG_64,
				       .mnemonic = mnemonic,
				       .operand_count = (ZyanU8)operands};
	uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	ZyanUSize len = sizeof(bytes);

	for (unsigned i = 0; i < operands; i++)
		request.operands[i] = op[i];
	if (ZYAN_FAILED(ZydisEncoderEncodeInstruction(&request, bytes, &len)))
		return false;
	native_emit_bytes(n, bytes, len);
	return true;
}

void native_restart(struct native *n)
{
	n->len = 0;
}

/* Running. */

static void run_host(struct native *n, struct native_state *state)
{
	memcpy(state->gpr, n->gpr, sizeof(state->gpr));
	state->rflags = n->status | X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	memcpy(n->data, n->memory, sizeof(n->memory));
	cr_assert_eq(mprotect(n->code, CODE_BYTES, PROT_READ | PROT_WRITE), 0);
	memcpy(n->code, n->program, n->len);
	n->code[n->len] = OP_RET;
	cr_assert_eq(mprotect(n->code, CODE_BYTES, PROT_READ | PROT_EXEC), 0);
	native_call(state, n->code);
}

struct soft_rig_result native_run_soft(struct native *n, bool is_step)
{
	struct soft_rig_result result;
	struct soft_cpu *c = n->rig->c;

	n->program[n->len] = OP_HLT;
	soft_rig_mode(n->rig, X86_MODE_LONG64, 0);
	soft_rig_code(n->rig, n->program, n->len + 1);
	soft_rig_poke(n->rig, NATIVE_DATA, n->memory, sizeof(n->memory));
	n->gpr[X86_RSP] = c->r[X86_RSP];
	memcpy(c->r, n->gpr, sizeof(n->gpr));
	soft_set_rflags(c, X86_RFLAGS_FIXED | n->status);
	if (!is_step)
		return soft_rig_run(n->rig, 10000);
	do
		result = soft_rig_step(n->rig);
	while (result.end == SOFT_RIG_OK);
	return result;
}

static void describe(const struct native *n, char *text, size_t size)
{
	ZydisDisassembledInstruction insn;
	size_t used = 0;

	text[0] = 0;
	for (size_t at = 0; at < n->len && used < size; at += insn.info.length) {
		if (ZYAN_FAILED(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, at,
						      n->program + at, n->len - at, &insn)))
			break;
		used += (size_t)snprintf(text + used, size - used, "%s; ", insn.text);
	}
}

static void compare(const struct native *n, const struct native_state *host)
{
	const struct soft_cpu *c = n->rig->c;
	uint64_t got = soft_rflags(c) & (uint64_t)X86_RFLAGS_STATUS;
	uint64_t want = host->rflags & (uint64_t)X86_RFLAGS_STATUS;
	uint8_t memory[NATIVE_DATA_BYTES];
	char text[TEXT_BYTES];

	describe(n, text, sizeof(text));
	for (unsigned i = 0; i < X86_GPR_COUNT; i++) {
		if (i != X86_RSP)
			cr_assert_eq(c->r[i], host->gpr[i],
				     "%sregister %u was %#" PRIx64 ", soft %#" PRIx64
				     ", host %#" PRIx64,
				     text, i, n->gpr[i], c->r[i], host->gpr[i]);
	}
	cr_assert_eq(got, want,
		     "%sflags were %#" PRIx64 ", soft %#" PRIx64 ", host %#" PRIx64
		     " (rax %#" PRIx64 " rcx %#" PRIx64 " rdx %#" PRIx64 ")",
		     text, n->status, got, want, n->gpr[X86_RAX], n->gpr[X86_RCX], n->gpr[X86_RDX]);
	for (unsigned i = 0; i < NATIVE_DATA_BYTES; i++)
		memory[i] = (uint8_t)soft_rig_peek(n->rig, NATIVE_DATA + i, 1);
	cr_assert_arr_eq(memory, n->data, sizeof(memory), "%smemory differs", text);
}

void native_check(struct native *n, bool is_step)
{
	struct soft_rig_result result = native_run_soft(n, is_step);
	struct native_state host;
	char text[TEXT_BYTES];

	describe(n, text, sizeof(text));
	cr_assert_eq(result.end, SOFT_RIG_HALTED, "%sended %d, vector %u", text, (int)result.end,
		     result.event.vector);
	run_host(n, &host);
	compare(n, &host);
}
