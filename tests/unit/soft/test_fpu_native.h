/* The same instruction on the host and on the software CPU, for the tests of x87, MMX and SSE.
 * Both see the same registers and the same bytes at the same address. */
#ifndef UMBRA_TEST_FPU_NATIVE_H
#define UMBRA_TEST_FPU_NATIVE_H

#include "soft_rig.h"

#define NATIVE_DATA	  0x700000u /* memory of both, one page */
#define NATIVE_DATA_BYTES 0x400u
#define NATIVE_OPERAND	  0x700100u /* what RBX holds; 16-byte aligned */
#define NATIVE_RDI	  0x700180u

/* Everything that an instruction may read or write.  The assembler part knows the offsets. */
struct fpu_native_state {
	uint64_t gpr[X86_GPR_COUNT]; /* RSP and R15 are not used */
	uint64_t rflags;	     /* status flags */
	const void *code;
	_Alignas(16) uint8_t fx[512]; /* FXSAVE image */
	int signal;		      /* out: what the host raised, 0 = nothing */
	uint8_t data[NATIVE_DATA_BYTES];
};

struct fpu_native {
	struct soft_rig *rig;
	uint8_t *code; /* executable */
	uint8_t *data; /* at NATIVE_DATA */
	uint64_t seed;
};

void fpu_native_open(struct fpu_native *n, uint64_t seed);
void fpu_native_close(struct fpu_native *n);
uint64_t fpu_native_random(struct fpu_native *n);

/* Random registers, flags and memory: numbers at the edges of every format among them.  x87 state
 * is as FNINIT leaves it, MXCSR has all exceptions masked. */
void fpu_native_fill(struct fpu_native *n, struct fpu_native_state *st);
/* Random x87 state without a pending exception. */
void fpu_native_fill_x87(struct fpu_native *n, struct fpu_native_state *st, bool all_masked);

/* Run @len bytes of code on the host. */
void fpu_native_run_host(struct fpu_native *n, struct fpu_native_state *st, const uint8_t *code,
			 size_t len);
/* Execute the same on the software CPU, @steps instructions one by one, or all in one block when
 * it is 0.  Returns how the last one ended. */
struct soft_rig_result fpu_native_run_soft(struct fpu_native *n, struct fpu_native_state *st,
					   const uint8_t *code, size_t len, unsigned steps);

/* Compare; @text names the instruction.  The pointers of the x87 environment are not compared: the
 * host's are addresses of the host. */
bool fpu_native_is_same(const struct fpu_native_state *host, const struct fpu_native_state *soft,
			const char *text);

/* Fields of an image. */
uint32_t fpu_native_mxcsr(const struct fpu_native_state *st);
void fpu_native_set_mxcsr(struct fpu_native_state *st, uint32_t mxcsr);

#endif
