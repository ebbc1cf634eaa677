/* The host's own instructions on copies of guest state: exact results by construction.
 *
 * A thunk is one host instruction and a RET, in code that the assembler made: no code is written at
 * run time, so a host that forbids executable memory runs them too.  Register operands are fixed
 * (the table says which); an instruction with an immediate is 256 thunks, THUNK_STRIDE bytes apart.
 *
 *   SSE    first operand xmm0, second xmm1; general register rax; mask of BLENDV xmm0, then the
 *          operands are xmm2 and xmm1
 *   MMX    the same with mm0 and mm1; the host's x87 unit must not hold guest state then
 *   x87    register forms as they are, on the live unit; memory forms on [rax]
 *
 * A thunk may be entered from inline assembly only.  The calls below step over the red zone. */
#ifndef SOFT_THUNK_H
#define SOFT_THUNK_H

#include "insn.h"

#include "umbra/err.h"

#define THUNK_STRIDE 8

/* All operands that a thunk can have, for the places where speed does not count. */
struct thunk_call {
	_Alignas(16) uint8_t x0[16];
	_Alignas(16) uint8_t x1[16];
	_Alignas(16) uint8_t x2[16];
	uint64_t m0, m1;
	uint64_t rax, rcx, rdx;
	uint64_t flags; /* out: the six status flags at their places */
};

/* Check that this host has every instruction of the model (x86-64-v2).
 * Errors: -ENOTSUP with the missing feature's name. */
int soft_thunks_create(struct soft_vm *vm, struct umbra_err *err);
void soft_thunks_destroy(struct soft_vm *vm);

/* Run the SSE thunk at @code. */
void thunk_run(uint64_t code, struct thunk_call *call);
/* Run a thunk with MMX operands. */
void thunk_run_mmx(uint64_t code, struct thunk_call *call);
/* Run a floating-point thunk as the guest's MXCSR says: raises #XM (or #UD), with the flags set,
 * when it raises an exception that is unmasked; @call's results are to be dropped then.
 * DEVIATES, in flags beside the one that raised #XM: PE is what the masked operation sets, where a
 * processor with OE or UE unmasked sets it only if the result with an unbounded exponent is
 * inexact; of DPPS and DPPD the flags of all steps count as one.  Nothing short of letting the host
 * raise the exception tells these apart. Source: SDM 1 11.5.2, 11.5.3, 4.9.1. */
void thunk_run_fp(struct soft_cpu *c, uint64_t code, struct thunk_call *call, bool is_mmx);

/* What LAHF and SETO left in AX, as status flags. */
SOFT_INLINE uint64_t thunk_flags(uint64_t ax)
{
	return (ax >> 8 & (X86_RFLAGS_STATUS & 0xff)) | (ax & 1) << 11;
}

#define THUNK_ENTER "lea -128(%%rsp), %%rsp\n\tcall *%[code]\n\t"
#define THUNK_LEAVE "lea 128(%%rsp), %%rsp\n\t"

/* x87 thunks: code for register form @modrm (C0..FF) of @opcode (D8..DF), and for memory form
 * @reg. */
uint64_t thunk_x87_reg(uint8_t opcode, uint8_t modrm);
uint64_t thunk_x87_mem(uint8_t opcode, uint8_t reg);

SOFT_INLINE void thunk_x87(uint64_t code)
{
	__asm__ volatile(THUNK_ENTER THUNK_LEAVE : : [code] "r"(code) : "cc", "memory");
}

SOFT_INLINE void thunk_x87_at(uint64_t code, void *bytes)
{
	__asm__ volatile(THUNK_ENTER THUNK_LEAVE : : [code] "r"(code), "a"(bytes) : "cc", "memory");
}

/* With the status flags as input and output: FCMOVcc, FCOMI. */
SOFT_INLINE uint64_t thunk_x87_flags(uint64_t code, uint64_t status)
{
	uint64_t ax = (status & 0xff) << 8 | (status >> 11 & 1);

	/* 1 + 127 overflows, 0 + 127 does not; SAHF leaves OF alone. */
	__asm__ volatile("add $127, %%al\n\tsahf\n\t" THUNK_ENTER
			 "lahf\n\tseto %%al\n\t" THUNK_LEAVE
			 : "+a"(ax)
			 : [code] "r"(code)
			 : "cc", "memory");
	return thunk_flags(ax);
}

#endif
