/* Random cases: legal instructions, and state in which they do something. */
#ifndef UMBRA_DIFF_GEN_H
#define UMBRA_DIFF_GEN_H

#include "forms.h"
#include "layout.h"

/* A case being made.  Of several instructions the last is the one that counts; those before it
 * touch neither memory nor what its addresses are made of. */
struct draft {
	struct diff_case *dc;
	struct rng rng;
	const struct forms *forms;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t *insn;	 /* in dc->bytes */
	uint64_t ip;	 /* of it */
	uint32_t pinned; /* general registers that have the value they must have */
};

/* Make case @number of @seed.  It depends on nothing else.  @z is the last instruction. */
void gen_case(const struct forms *forms, uint64_t seed, uint64_t number, struct diff_case *out,
	      ZydisDecodedInstruction *z);

/* state.c: registers and memory at random, with values of the kinds that the instruction takes. */
void gen_state(struct draft *d);

/* place.c: aim the memory operands and branches at the pages of layout.h.  False when they cannot
 * be: draw again. */
bool gen_place(struct draft *d);

#endif
