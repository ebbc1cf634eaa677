/* Agent expressions, inside the library: the table of opcodes, which the tests walk too. */
#ifndef RSPSTUB_AX_H
#define RSPSTUB_AX_H

#include "rspstub.h"

enum ax_op {
	AX_FLOAT = 0x01,
	AX_ADD = 0x02,
	AX_SUB = 0x03,
	AX_MUL = 0x04,
	AX_DIV_SIGNED = 0x05,
	AX_DIV_UNSIGNED = 0x06,
	AX_REM_SIGNED = 0x07,
	AX_REM_UNSIGNED = 0x08,
	AX_LSH = 0x09,
	AX_RSH_SIGNED = 0x0a,
	AX_RSH_UNSIGNED = 0x0b,
	AX_TRACE = 0x0c,
	AX_TRACE_QUICK = 0x0d,
	AX_LOG_NOT = 0x0e,
	AX_BIT_AND = 0x0f,
	AX_BIT_OR = 0x10,
	AX_BIT_XOR = 0x11,
	AX_BIT_NOT = 0x12,
	AX_EQUAL = 0x13,
	AX_LESS_SIGNED = 0x14,
	AX_LESS_UNSIGNED = 0x15,
	AX_EXT = 0x16,
	AX_REF8 = 0x17,
	AX_REF16 = 0x18,
	AX_REF32 = 0x19,
	AX_REF64 = 0x1a,
	AX_REF_FLOAT = 0x1b,
	AX_REF_DOUBLE = 0x1c,
	AX_REF_LONG_DOUBLE = 0x1d,
	AX_L_TO_D = 0x1e,
	AX_D_TO_L = 0x1f,
	AX_IF_GOTO = 0x20,
	AX_GOTO = 0x21,
	AX_CONST8 = 0x22,
	AX_CONST16 = 0x23,
	AX_CONST32 = 0x24,
	AX_CONST64 = 0x25,
	AX_REG = 0x26,
	AX_END = 0x27,
	AX_DUP = 0x28,
	AX_POP = 0x29,
	AX_ZERO_EXT = 0x2a,
	AX_SWAP = 0x2b,
	AX_GETV = 0x2c,
	AX_SETV = 0x2d,
	AX_TRACEV = 0x2e,
	AX_TRACENZ = 0x2f,
	AX_TRACE16 = 0x30,
	AX_PICK = 0x32,
	AX_ROT = 0x33,
	AX_PRINTF = 0x34,
	AX_OP_COUNT
};

/* What an opcode asks for besides the stack. */
enum ax_needs {
	AX_NEEDS_NOTHING,
	AX_NEEDS_VARIABLES, /* RSP_AX_VARIABLES */
	AX_NEEDS_RECORD,    /* RSP_AX_RECORD */
	AX_NEEDS_PRINT,	    /* RSP_AX_PRINT */
	AX_NEEDS_FLOAT	    /* nobody has it: gdb never generates these */
};

struct ax_row {
	const char *name; /* NULL: no such opcode */
	uint8_t operand;  /* bytes that follow it; of printf the head only */
	uint8_t pops, pushes;
	enum ax_needs needs;
};

/* The row of @op; its name is NULL for a byte that is no opcode. */
const struct ax_row *ax_row_of(uint8_t op);

/* The printf opcode.  @format ends with a NUL and holds its escapes as C source does; @arg holds
 * @count values in the order of the format, which ax_format_check has found to be enough. */
struct ax_printf {
	const char *format;
	const uint64_t *arg;
	unsigned count;
};
void ax_format_print(const struct rsp_ax_env *env, const struct ax_printf *what);
/* How many values @format takes; -1 for a conversion that is not known. */
int ax_format_check(const char *format);

#endif
