/* What one case is, and where it lies: at the same linear addresses on the host and in the guest,
 * so that every pointer, return address and fault address can be compared as it is. */
#ifndef UMBRA_DIFF_LAYOUT_H
#define UMBRA_DIFF_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define DIFF_PAGE 0x1000u

/* Two pages of code, all INT3 but for the case itself. */
#define DIFF_CODE	0x200000u
#define DIFF_CODE_BYTES (2 * DIFF_PAGE)
/* What runs off the end of a case jumps here. */
#define DIFF_EXIT 0x210000u
/* Two pages to read and write, one to read only, nothing else from ARENA to ARENA_END: wherever an
 * instruction reaches with a pointer into SCRATCH, it meets one of these. */
#define DIFF_ARENA	   0x3c0000u
#define DIFF_SCRATCH	   0x400000u
#define DIFF_SCRATCH_BYTES (2 * DIFF_PAGE)
#define DIFF_READ_ONLY	   (DIFF_SCRATCH + DIFF_SCRATCH_BYTES)
#define DIFF_ARENA_END	   0x440000u

#define DIFF_INSN_MAX  15u
#define DIFF_BYTES_MAX 64u
#define DIFF_FX_BYTES  512u
#define DIFF_NO_VECTOR (-1)

/* Bases of GS and FS: GS's is ours to choose, FS's is the C library's on both sides. */
#define DIFF_GS_BASE 0x123000u

/* Selectors of a Linux process; FS and GS are null. */
#define DIFF_CS64 0x33u
#define DIFF_CS32 0x23u
#define DIFF_SS	  0x2bu /* DS and ES too */

/* Offsets in the FXSAVE image (SDM 1 table 10-2). */
#define DIFF_FX_FCW   0
#define DIFF_FX_FSW   2
#define DIFF_FX_FTW   4
#define DIFF_FX_FOP   6
#define DIFF_FX_FIP   8
#define DIFF_FX_MXCSR 24
#define DIFF_FX_ST    32
#define DIFF_FX_XMM   160

/* Registers before or after; after: vector and what comes with it. */
struct diff_state {
	_Alignas(16) uint8_t fx[DIFF_FX_BYTES];
	uint64_t gpr[16];
	uint64_t rip, rflags;
	int vector; /* DIFF_NO_VECTOR: none */
	uint32_t error;
	uint64_t cr2; /* page faults */
};

struct diff_case {
	uint64_t seed, number;
	unsigned bits; /* 64 or 32 */
	uint64_t fs_base;
	uint8_t bytes[DIFF_BYTES_MAX];
	unsigned len;
	unsigned count;	     /* instructions in it */
	bool is_block;	     /* in the guest: as a block, not step by step */
	bool is_branch;	     /* the last one */
	uint64_t operand_at; /* of the memory operand, 0 = none */
	struct diff_state in;
	uint8_t memory[DIFF_SCRATCH_BYTES];
};

struct diff_result {
	struct diff_state state;
	const uint8_t *memory; /* SCRATCH afterwards */
};

#endif
