/* What the files of the integer instructions share: widths and condition codes for their macro
 * families, flags through the host's own instructions, and the forms that several of them emit.
 *
 * A family of handlers is one macro over the width, made for all four by SOFT_WIDTHS and listed by
 * SOFT_BY_WIDTH, so that tables are indexed by tr_width().  Handler names end in their form (r and
 * m for a register or memory operand, i for an immediate, c for CL) and width: add_rm_32. */
#ifndef SOFT_EXEC_INT_H
#define SOFT_EXEC_INT_H

#include "translate.h"

/* MAKE(bits, ...) for the widths of an operand; the second form for what has no bytes. */
#define SOFT_WIDTHS(MAKE, ...)                                                                     \
	MAKE(8, ##__VA_ARGS__)                                                                     \
	MAKE(16, ##__VA_ARGS__)                                                                    \
	MAKE(32, ##__VA_ARGS__)                                                                    \
	MAKE(64, ##__VA_ARGS__)
#define SOFT_WIDE_WIDTHS(MAKE, ...)                                                                \
	MAKE(16, ##__VA_ARGS__)                                                                    \
	MAKE(32, ##__VA_ARGS__)                                                                    \
	MAKE(64, ##__VA_ARGS__)
#define SOFT_BY_WIDTH(name)                                                                        \
	{                                                                                          \
		name##_8, name##_16, name##_32, name##_64                                          \
	}
#define SOFT_BY_WIDE_WIDTH(name)                                                                   \
	{                                                                                          \
		NULL, name##_16, name##_32, name##_64                                              \
	}

/* MAKE(cc, name, ...) for the 16 conditions, by the names that Zydis gives them (SDM 2D B.1.4.7).
 */
#define SOFT_CONDITIONS(MAKE, ...)                                                                 \
	MAKE(0, O, ##__VA_ARGS__)                                                                  \
	MAKE(1, NO, ##__VA_ARGS__)                                                                 \
	MAKE(2, B, ##__VA_ARGS__)                                                                  \
	MAKE(3, NB, ##__VA_ARGS__)                                                                 \
	MAKE(4, Z, ##__VA_ARGS__)                                                                  \
	MAKE(5, NZ, ##__VA_ARGS__)                                                                 \
	MAKE(6, BE, ##__VA_ARGS__)                                                                 \
	MAKE(7, NBE, ##__VA_ARGS__)                                                                \
	MAKE(8, S, ##__VA_ARGS__)                                                                  \
	MAKE(9, NS, ##__VA_ARGS__)                                                                 \
	MAKE(10, P, ##__VA_ARGS__)                                                                 \
	MAKE(11, NP, ##__VA_ARGS__)                                                                \
	MAKE(12, L, ##__VA_ARGS__)                                                                 \
	MAKE(13, NL, ##__VA_ARGS__)                                                                \
	MAKE(14, LE, ##__VA_ARGS__)                                                                \
	MAKE(15, NLE, ##__VA_ARGS__)

/* Leave lazy flags behind: inside a handler. */
#define FLAGS_SET(kind, bits, result, source)                                                      \
	(fr = (uint##bits##_t)(result), fs = (uint##bits##_t)(source), fo = FLAGS_OP(kind, bits))
/* CF, AF and OF are given, the others follow from the result. */
#define FLAGS_SET_MIXED(bits, result, cf, af, of)                                                  \
	(fr = (uint##bits##_t)(result),                                                            \
	 fs = ((cf) ? X86_RFLAGS_CF : 0) | ((af) ? X86_RFLAGS_AF : 0) |                            \
	      ((of) ? X86_RFLAGS_OF : 0),                                                          \
	 fo = FLAGS_OP(FLAGS_MIXED, bits))
/* @status may be an expression over the flags before. */
#define FLAGS_SET_STATUS(status) (fs = (status), fr = 0, fo = FLAGS_OP(FLAGS_ALL, 64))
#define FLAGS_STATUS()		 flags_status(fr, fs, fo)

/* The host's own instruction with the guest's flags, so that those the manual leaves undefined are
 * what this host makes of them.  LAHF and SETO are used because PUSHF and POPF cost ten times as
 * much and would touch the red zone.  AX holds SF ZF 0 AF 0 PF 1 CF in AH and OF in AL; adding 127
 * to AL turns it into the flag.  The opcodes of SAHF and LAHF are spelled out because assemblers
 * for the first 64-bit processors refuse their names. */
#define NATIVE_SAHF	 ".byte 0x9e\n\t"
#define NATIVE_LAHF	 "\n\t.byte 0x9f"
#define NATIVE_FLAGS_IN	 "addb $127, %%al\n\t" NATIVE_SAHF
#define NATIVE_FLAGS_OUT NATIVE_LAHF "\n\tseto %%al"

SOFT_INLINE uint32_t native_ax(uint64_t status)
{
	return (uint32_t)((status & 0xff) << 8 | (status >> 11 & 1));
}

SOFT_INLINE uint64_t native_status(uint32_t ax)
{
	return (ax >> 8 & (X86_RFLAGS_STATUS & 0xff)) | (uint64_t)(ax & 1) << 11;
}

/* The last operation once more, for its flags: @a is what it was done to. */
#define NATIVE_AGAIN(bits, kind, name, a)                                                          \
	case FLAGS_OP(kind, bits): {                                                               \
		uint##bits##_t v = (uint##bits##_t)(a);                                            \
		uint32_t ax = 0;                                                                   \
		__asm__(#name " %2, %1" NATIVE_FLAGS_OUT                                           \
			: "+&a"(ax), "+&r"(v)                                                      \
			: "r"((uint##bits##_t)fs)                                                  \
			: "cc");                                                                   \
		return ax;                                                                         \
	}

/* The flags before, for a handler.  Not inline, or it would be most of each; and with the arguments
 * where the handler has its own, so that the call moves none (gcc knows what it clobbers). */
static __attribute__((noinline, unused)) uint32_t
soft_native_ax(const struct insn *i, struct soft_cpu *c, uint64_t fr, uint64_t fs, uint64_t fo)
{
	/* Else the compiler would drop the two, and move the others. */
	__asm__("" : : "r"(i), "r"(c));
	switch (fo) {
		SOFT_WIDTHS(NATIVE_AGAIN, FLAGS_ADD, add, fr - fs)
		SOFT_WIDTHS(NATIVE_AGAIN, FLAGS_SUB, sub, fr + fs)
	default:
		return native_ax(flags_status(fr, fs, fo));
	}
}
#define NATIVE_AX() soft_native_ax(i, c, fr, fs, fo)

/* The same for plain functions. */
SOFT_INLINE uint64_t soft_status(const struct soft_cpu *c)
{
	return flags_status(c->fr, c->fs, c->fo);
}

SOFT_INLINE void soft_set_status(struct soft_cpu *c, uint64_t status)
{
	c->fr = 0;
	c->fs = status;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

/* May @rip be jumped to in 64-bit mode? */
SOFT_INLINE bool soft_is_canonical(const struct soft_cpu *c, uint64_t rip)
{
	unsigned unused_bits = c->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(rip << unused_bits) >> unused_bits) == rip;
}

/* May the guest jump to @rip?  #GP(0) if not: outside 64-bit mode the limit of CS says so. */
SOFT_INLINE bool soft_may_jump(const struct soft_cpu *c, uint64_t rip)
{
	if ((c->mode & SOFT_CODE_MASK) == SOFT_CODE64)
		return soft_is_canonical(c, rip);
	return rip <= c->seg[X86_CS].limit;
}

/* The same for 64-bit code, when most of them are. */
SOFT_INLINE bool soft_may_jump_64(const struct soft_cpu *c, uint64_t rip)
{
	return SOFT_LIKELY((uint64_t)((int64_t)(rip << 16) >> 16) == rip) ||
	       soft_is_canonical(c, rip);
}

/* Move the stack pointer of a 16- or 32-bit stack. */
SOFT_INLINE void soft_move_sp(struct soft_cpu *c, uint64_t delta)
{
	if (c->mode & SOFT_STACK32)
		soft_set_reg32(c, X86_RSP, (uint32_t)(c->r[X86_RSP] + delta));
	else
		soft_set_reg16(c, X86_RSP, (uint16_t)(c->r[X86_RSP] + delta));
}

/* Handlers of one operation by the kinds of its two operands, each by width. */
struct soft_forms {
	soft_op_fn *rr[4], *ri[4], *rm[4], *mr[4], *mi[4];
};
#define SOFT_ALL_FORMS(name)                                                                       \
	{                                                                                          \
		.rr = SOFT_BY_WIDTH(name##_rr), .ri = SOFT_BY_WIDTH(name##_ri),                    \
		.rm = SOFT_BY_WIDTH(name##_rm), .mr = SOFT_BY_WIDTH(name##_mr),                    \
		.mi = SOFT_BY_WIDTH(name##_mi)                                                     \
	}
/* Emit the form that t's first two operands have.  @is_write: a memory destination is written. */
struct insn *soft_emit_form(struct tr *t, const struct soft_forms *forms, bool is_write);

extern const struct soft_forms soft_mov_forms, soft_mov_base_forms;
extern const struct soft_forms soft_cmp_forms, soft_test_forms;
extern const struct soft_forms soft_add_forms, soft_sub_forms, soft_and_forms, soft_xor_forms;
/* Without flags; register forms only. */
extern const struct soft_forms soft_add_quiet, soft_sub_quiet, soft_and_quiet, soft_xor_quiet;
/* Others that exec_fuse.c and exec_pair.c know, by width. */
extern soft_op_fn *const soft_dec_r[4], *const soft_lea[4], *const soft_lea_base[4];
extern soft_op_fn *const soft_shl_quiet_ri[4], *const soft_shr_quiet_ri[4];
extern soft_op_fn *const soft_imul_quiet_rr[4], *const soft_imul_quiet_rri[4];
extern soft_op_fn *const soft_push_reg[2][4], *const soft_pop_reg[2][4]; /* [1]: 64-bit stack */
extern soft_op_fn *const soft_movzx_r8[4], *const soft_movzx_m8[4], *const soft_movsx_r32[4];
/* exec_fuse.c: the handler that does @cmp and jumps on condition @cc; NULL = none. */
soft_op_fn *soft_fused_op(soft_op_fn *cmp, unsigned cc);

/* Where the value of operand @op is when the next slot runs: its register, or SLOT_TEMP, which a
 * slot emitted here fills from memory. */
uint8_t soft_emit_source(struct tr *t, const ZydisDecodedOperand *op);
/* enum x86_seg_reg of a memory operand. */
static inline unsigned soft_mem_segment(const ZydisDecodedOperand *op)
{
	return (unsigned)(op->mem.segment - ZYDIS_REGISTER_ES);
}

/* exec_lock.c: read-modify-write by one locked instruction of the host. */
bool soft_emit_locked(struct tr *t);   /* ADD OR ADC SBB AND SUB XOR INC DEC NOT NEG BTS BTR BTC */
bool soft_emit_xchg_mem(struct tr *t); /* locked always */

/* exec_unary.c */
bool soft_emit_unary(struct tr *t);   /* INC DEC NOT NEG */
bool soft_emit_flag_op(struct tr *t); /* CLC .. SALC */

/* exec_decimal.c */
bool soft_emit_decimal(struct tr *t); /* AAA AAS AAM AAD DAA DAS */

/* exec_bit.c: the slots in front of BT and its kin with a memory operand and a bit offset in a
 * register.  Returns the slot that has the linear address of the unit that holds the bit. */
uint8_t soft_emit_bit_address(struct tr *t, bool is_write);

#endif
