/* The host CPU as the oracle for user-level integer instructions: the same bytes run on the
 * software CPU and here, over the same registers and the same memory at the same address. Programs
 * are straight-line 64-bit code that leaves RSP alone; RBX holds the address of the data and RSI a
 * small index, and neither is written. */
#ifndef UMBRA_TEST_NATIVE_H
#define UMBRA_TEST_NATIVE_H

#include "soft_rig.h"

#include <Zydis/Zydis.h>

#define NATIVE_DATA	  0x200000u /* of guest and host; the rig needs 4 MiB */
#define NATIVE_DATA_BYTES 256u

struct native {
	struct soft_rig *rig;
	uint8_t *code, *data; /* pages of the host */
	uint8_t program[1024];
	size_t len;
	uint64_t seed;
	/* The state in front of the program; RBX and RSI are overwritten. */
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t status;
	uint8_t memory[NATIVE_DATA_BYTES];
};

struct native *native_create(void);
void native_destroy(struct native *n);

uint64_t native_random(struct native *n);
unsigned native_below(struct native *n, unsigned limit);
/* Random registers, flags and memory; values near 0, near the ends of each width, or any. */
void native_randomize(struct native *n);

/* Operands. */
ZydisEncoderOperand native_reg(unsigned bits, unsigned reg); /* enum x86_gpr; 8 bits: 16.. = AH.. */
ZydisEncoderOperand native_mem(unsigned bits, int64_t disp); /* [rbx + rsi * 1 + disp] */
ZydisEncoderOperand native_imm(int64_t value);

/* Append an instruction; false when it has no encoding. */
bool native_emit(struct native *n, ZydisMnemonic mnemonic, unsigned operands,
		 const ZydisEncoderOperand *op);
void native_emit_bytes(struct native *n, const void *bytes, size_t len);
void native_restart(struct native *n);

/* Run the program on both, the software CPU in whole blocks or (@is_step) one by one, and compare
 * general registers, the six flags and memory.  Fails the test with the program's text. */
void native_check(struct native *n, bool is_step);
/* What the software CPU ends with alone: for instructions that the host would trap on. */
struct soft_rig_result native_run_soft(struct native *n, bool is_step);

#endif
