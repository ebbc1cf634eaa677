/* Every form of every mnemonic that the software CPU's tables hold (soft_vm.row), as far as user
 * code may run it.  A form is an opcode with what selects it: operand size or mandatory prefix,
 * REX.W, the fields of ModRM that belong to the opcode, and whether the operand is memory.  They
 * are found by decoding all combinations, so that also those are among them that an encoder would
 * never choose. */
#ifndef UMBRA_DIFF_FORMS_H
#define UMBRA_DIFF_FORMS_H

#include "rng.h"
#include "src/accel/soft/translate.h"

struct form {
	uint16_t mnemonic;
	uint8_t prefix; /* 0, 66, F2, F3; 67 where it selects the counter of LOOP and JCXZ */
	uint8_t map;	/* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t opcode;
	uint8_t modrm; /* the fixed fields */
	bool is_w;     /* REX.W */
	bool has_modrm, is_mem;
	bool is_rm_fixed;
};

struct form_group {
	unsigned first, count;
	uint16_t mnemonic;
};

struct forms {
	ZydisDecoder decoder;
	unsigned bits;
	const struct soft_row **row;
	struct form *form;
	unsigned count, room;
	struct form_group *group; /* one a mnemonic */
	unsigned group_count;
};

/* @only: a mnemonic as Zydis spells it, or NULL for all.  Returns false when nothing is found. */
bool forms_create(struct forms *f, const struct soft_vm *vm, unsigned bits, const char *only);
void forms_destroy(struct forms *f);
/* Mnemonics are equally likely, and within one its forms. */
const struct form *forms_pick(const struct forms *f, struct rng *r);
/* Decode as the software CPU does.  False when it is no instruction, or none to be run here. */
bool forms_decode(const struct forms *f, const uint8_t *bytes, unsigned len,
		  ZydisDecodedInstruction *z, ZydisDecodedOperand *op);

#endif
