/* From instruction bytes to slots.  translate.c decodes with Zydis and looks the mnemonic up in the
 * tables of the exec_*.c files; a row's emit function writes the slots of one instruction.
 * The only file besides those that see Zydis. */
#ifndef SOFT_TRANSLATE_H
#define SOFT_TRANSLATE_H

#include "block.h"

#include <Zydis/Zydis.h>

struct tr;
/* Write the slots of t->z.  Returns false when the form is outside the model: #UD. */
typedef bool soft_emit_fn(struct tr *t);

enum soft_row_flag {
	ROW_LOCK = 1 << 0,	/* LOCK is legal with a memory destination; t->is_locked */
	ROW_CPL0 = 1 << 1,	/* #GP(0) unless CPL 0 (in real mode CPL is 0; v8086 is CPL 3) */
	ROW_END = 1 << 2,	/* its last slot leaves the block (a branch or SOFT_PLAIN_END);
				 * translation itself appends an empty link slot behind it */
	ROW_PROTECTED = 1 << 3, /* #UD in real and virtual-8086 mode */
	ROW_X87 = 1 << 4,	/* #NM by CR0.EM, TS before anything else */
	ROW_SSE = 1 << 5,	/* #UD or #NM by CR0 and CR4 before anything else */
	ROW_MMX = 1 << 6,	/* #UD by CR0.EM, #NM by TS */
	ROW_NO64 = 1 << 7,   /* #UD in 64-bit mode (Zydis does not decode most of these anyway) */
	ROW_NF_KEEP = 1 << 8 /* its flags are read behind the scenes: never drop them */
};

/* What the model executes: one row a mnemonic.  Each exec_*.c has a table of its own, listed in
 * translate.c. */
struct soft_row {
	uint16_t mnemonic; /* ZydisMnemonic */
	uint16_t flags;	   /* mask of enum soft_row_flag */
	soft_emit_fn *emit;
};
struct soft_rows {
	const struct soft_row *row;
	unsigned count;
};
extern const struct soft_rows soft_rows_alu;   /* exec_alu.c: ADD .. TEST, INC, NEG, ... */
extern const struct soft_rows soft_rows_move;  /* exec_move.c: MOV, LEA, MOVZX, XCHG, CMOV, SETcc */
extern const struct soft_rows soft_rows_shift; /* exec_shift.c */
extern const struct soft_rows soft_rows_bit;   /* exec_bit.c: BT.., BSF, POPCNT, CRC32, BSWAP */
extern const struct soft_rows soft_rows_muldiv; /* exec_muldiv.c: MUL .. IDIV, AAM, AAD, DAA, ... */
extern const struct soft_rows soft_rows_branch; /* exec_branch.c: near JMP, Jcc, CALL, RET, LOOP */
extern const struct soft_rows soft_rows_stack;	/* exec_stack.c: PUSH, POP, PUSHF, ENTER, LEAVE */
extern const struct soft_rows soft_rows_lock;	/* exec_lock.c: CMPXCHG*, XADD; LOCK forms */
extern const struct soft_rows soft_rows_string; /* exec_string.c */
extern const struct soft_rows soft_rows_sys; /* exec_sys.c: CR, DR, MSR, tables, CPUID, HLT, ... */
extern const struct soft_rows soft_rows_io;  /* exec_io.c: IN, OUT, INS, OUTS */
extern const struct soft_rows soft_rows_far; /* far.c: far JMP, CALL, RET; segment loads */
extern const struct soft_rows soft_rows_int; /* iret.c: INT, IRET, SYSCALL, SYSENTER, ... */
extern const struct soft_rows soft_rows_x87; /* exec_x87.c */
extern const struct soft_rows soft_rows_fpu; /* exec_fpu.c: FXSAVE, XSAVE, LDMXCSR, EMMS */
extern const struct soft_rows soft_rows_mmx; /* exec_mmx.c */
extern const struct soft_rows soft_rows_sse; /* exec_sse.c and its sisters */

/* The instruction being translated, and where its slots go. */
struct tr {
	struct soft_cpu *c;
	uint32_t mode;	       /* c->mode */
	unsigned code_bits;    /* 16, 32 or 64 */
	unsigned operand_bits; /* effective operand size */
	unsigned address_bits; /* effective address size */
	unsigned stack_bits;   /* width of (E/R)SP */
	bool is_locked, has_rep, has_repne;
	bool is_cut; /* emit sets it where the block ends behind this one, to go on in the next */
	bool is_end; /* emit sets it where this form of the mnemonic leaves the block: ROW_END */
	const ZydisDecodedInstruction *z;
	const ZydisDecodedOperand *op; /* all operands, the visible ones first */
	uint64_t rip;		       /* of this instruction */
	uint64_t next;	  /* behind it, truncated to 16 or 32 bits outside 64-bit mode */
	struct insn *out; /* next free slot */
	struct insn *end; /* limit: each emit may use TR_SLOTS slots */
	/* Set by emit for flag elision: the last slot that writes flags, and the handler to take
	 * in its place when nobody reads them.  NULL: none. */
	struct insn *flag_slot;
	soft_op_fn *no_flags_fn;
	uint16_t place;
	uint8_t seg; /* what tr_slot fills in: SS when the stack is used implicitly, else DS */
};
#define TR_SLOTS 8

/* Append a slot with fn, place and length filled, everything else 0 with base and index on
 * SLOT_ZERO. */
struct insn *tr_slot(struct tr *t, soft_op_fn *fn);
/* As above for an operation on memory operand @op of @size bytes: appends an address operation
 * before it where the address is not simply base + index * scale + disp, and fills base, index,
 * scale, disp and the segment.  The checks of segmentation are made for @is_write. */
struct insn *tr_slot_mem(struct tr *t, soft_op_fn *fn, const ZydisDecodedOperand *op, unsigned size,
			 bool is_write);
/* The effective address only, truncated to the address size, no segment: LEA, INVLPG's operand
 * keeps its segment (tr_slot_mem). */
struct insn *tr_slot_lea(struct tr *t, soft_op_fn *fn, const ZydisDecodedOperand *op);
/* An address operation that leaves the linear address of [seg:offset register + disp] in @slot:
 * implicit operands (strings, stack, XLAT).  @reg is an enum x86_gpr or enum soft_slot.  The offset
 * is truncated to the width of the stack for RSP and RBP, to the address size for all others. */
struct tr_implicit {
	unsigned seg, reg;
	int64_t disp;
	unsigned size; /* bytes of the access */
	bool is_write;
};
void tr_address_of(struct tr *t, enum soft_slot slot, const struct tr_implicit *op);
#define tr_address(t, slot, ...) tr_address_of((t), (slot), &(struct tr_implicit){__VA_ARGS__})
/* Byte offset of a general register in soft_cpu.r; AH, CH, DH, BH are odd. */
uint8_t tr_reg(ZydisRegister reg);
#define TR_SLOT_OFFSET(slot) ((uint8_t)((slot)*8))
/* Raise @vector instead of the instruction. */
bool tr_raise(struct tr *t, enum x86_vector vector);
/* MOV to or from a control or debug register (exec_cr.c): exec_move.c's row for MOV hands over here
 * when an operand is one; sets is_end. */
bool tr_mov_control(struct tr *t);
/* MOVSD and CMPSD name an SSE instruction besides the string one (exec_sse_table.c):
 * exec_string.c's rows hand over when t->z->opcode_map is ZYDIS_OPCODE_MAP_0F. */
bool tr_sse_movsd(struct tr *t);
bool tr_sse_cmpsd(struct tr *t);
/* Forms of mnemonics that other files have the rows of (far.c): MOV with a segment register as one
 * operand (exec_move.c hands over), POP of a segment register (exec_stack.c), and JMP, CALL and RET
 * that Zydis calls far, z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR (exec_branch.c).  They set
 * is_end where the form leaves the block. */
bool tr_mov_segment(struct tr *t);
bool tr_pop_segment(struct tr *t);
bool tr_far_branch(struct tr *t);
/* A conditional jump was emitted at @jcc right behind an instruction whose last slot is @cmp
 * (exec_branch.c): when @cmp is a comparison it knows, replace cmp->fn by a handler that does both.
 * That finds @jcc at i[1] and the link at i[2]. */
bool soft_fuse(struct tr *t, struct insn *cmp, struct insn *jcc);
static inline unsigned tr_width(unsigned bits) /* index into tables of handlers by size */
{
	return FLAGS_WIDTH(bits);
}
static inline bool tr_is_mem(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY;
}
static inline bool tr_is_reg(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER;
}
static inline bool tr_is_imm(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* Translate the block at c->rip (its first bytes are those at @gpa) into @out, at most @max slots.
 * Returns the number of slots, and the count of code bytes in *@out_len; 0 = out of room.  An
 * instruction that crosses into the next page names its frame in *@out_gpa2 (else ~0). */
size_t soft_translate(struct soft_cpu *c, gpa_t gpa, struct insn *out, size_t max,
		      unsigned *out_len, gpa_t *out_gpa2);
/* Flag elision (elide.c). */

/* What one instruction of a block means to the six status flags. */
struct flag_use {
	struct insn *slot; /* tr.flag_slot, tr.no_flags_fn */
	soft_op_fn *no_flags_fn;
	uint64_t reads;	 /* all six when it may fault or leave */
	uint64_t writes; /* may be changed */
	uint64_t kills;	 /* are certainly written */
};
void soft_flags_note(const struct tr *t, const struct soft_row *row, struct flag_use *out_use);
/* Replace handlers whose flags nobody reads before the end of the block. */
void soft_flags_elide(const struct flag_use *use, unsigned count);

/* Replace, in the slots @i to @end, handlers of two neighbours by one for both (exec_pair.c).  Flag
 * elision comes before. */
void soft_pair_slots(struct insn *i, const struct insn *end);

/* Build soft_vm.row. */
int soft_rows_init(struct soft_vm *vm);
void soft_rows_end(struct soft_vm *vm);

#endif
