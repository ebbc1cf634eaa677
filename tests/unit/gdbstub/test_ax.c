/* Agent expressions: each opcode from the table of the code, what the check refuses, and how a run
 * ends. */
#include "gdbstub/ax.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define MEM_BASE   0x1000u
#define REG_64	   3u
#define REG_8	   4u
#define REG_LARGE  5u
#define REG_ABSENT 6u /* exists, cannot be read */

struct world {
	uint8_t mem[64];
	int64_t variable; /* number 7 */
	char text[256];	  /* printed and recorded */
};

static size_t mem_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	struct world *w = ctx;

	if (addr < MEM_BASE || addr >= MEM_BASE + sizeof(w->mem))
		return 0;
	if (len > MEM_BASE + sizeof(w->mem) - addr)
		len = MEM_BASE + sizeof(w->mem) - addr;
	memcpy(out, w->mem + (addr - MEM_BASE), len);
	return len;
}

static bool reg_read(void *ctx, unsigned reg, uint64_t *out_value)
{
	(void)ctx;
	*out_value = reg == REG_8 ? 0x80 : 0xfedcba9876543210;
	return reg != REG_ABSENT;
}

static size_t reg_size(void *ctx, unsigned reg)
{
	(void)ctx;
	switch (reg) {
	case REG_64:
	case REG_ABSENT:
		return 8;
	case REG_8:
		return 1;
	case REG_LARGE:
		return 16;
	default:
		return 0;
	}
}

static void print(void *ctx, const char *text, size_t len)
{
	struct world *w = ctx;

	size_t used = strlen(w->text);

	cr_assert(used + len < sizeof(w->text));
	memcpy(w->text + used, text, len);
}

static bool variable_get(void *ctx, unsigned number, int64_t *out_value)
{
	*out_value = ((struct world *)ctx)->variable;
	return number == 7;
}

static bool variable_set(void *ctx, unsigned number, int64_t value)
{
	if (number == 7)
		((struct world *)ctx)->variable = value;
	return number == 7;
}

static bool record(void *ctx, uint64_t addr, uint64_t len, bool is_string)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %llx+%llx;", is_string ? "string" : "memory",
		 (unsigned long long)addr, (unsigned long long)len);
	print(ctx, line, strlen(line));
	return addr >= MEM_BASE;
}

static bool record_variable(void *ctx, unsigned number)
{
	print(ctx, "variable;", 9);
	return number == 7;
}

static void set_up(struct world *w, struct rsp_ax_env *env)
{
	*w = (struct world){.variable = 41};
	for (unsigned i = 0; i < sizeof(w->mem); i++)
		w->mem[i] = (uint8_t)(0x81 + i);
	strcpy((char *)w->mem + 32, "text");
	*env = (struct rsp_ax_env){
		.mem_read = mem_read,
		.reg_read = reg_read,
		.print = print,
		.variable_get = variable_get,
		.variable_set = variable_set,
		.record = record,
		.record_variable = record_variable,
		.ctx = w,
	};
}

static const struct rsp_ax_rules all_allowed = {
	.allows = RSP_AX_VARIABLES | RSP_AX_RECORD | RSP_AX_PRINT, .reg_size = reg_size};
static const struct rsp_ax_rules condition = {.must_have_value = true, .reg_size = reg_size};

#define CODE(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})
#define C8(n)	  AX_CONST8, (n)
#define C16(n)	  AX_CONST16, (uint8_t)((n) >> 8), (uint8_t)(n)
#define MINUS(n)  C8(n), AX_BIT_NOT, C8(1), AX_ADD

/* One row an outcome: the program (without its end), the value, what was printed or recorded. */
static const struct {
	uint8_t op;
	const uint8_t *code;
	size_t len;
	uint64_t value;
	const char *text;
} outcomes[] = {
	{AX_ADD, CODE(C8(200), C8(100), AX_ADD), 300, ""},
	{AX_SUB, CODE(C8(3), C8(5), AX_SUB), -2ull, ""},
	{AX_MUL, CODE(MINUS(3), C8(5), AX_MUL), -15ull, ""},
	{AX_DIV_SIGNED, CODE(MINUS(7), C8(2), AX_DIV_SIGNED), -3ull, ""},
	{AX_DIV_SIGNED, CODE(C8(1), C8(63), AX_LSH, MINUS(1), AX_DIV_SIGNED), 1ull << 63, ""},
	{AX_DIV_UNSIGNED, CODE(MINUS(7), C8(2), AX_DIV_UNSIGNED), -7ull / 2, ""},
	{AX_REM_SIGNED, CODE(MINUS(7), C8(2), AX_REM_SIGNED), -1ull, ""},
	{AX_REM_SIGNED, CODE(C8(1), C8(63), AX_LSH, MINUS(1), AX_REM_SIGNED), 0, ""},
	{AX_REM_UNSIGNED, CODE(MINUS(7), C8(10), AX_REM_UNSIGNED), -7ull % 10, ""},
	{AX_LSH, CODE(C8(1), C8(63), AX_LSH), 1ull << 63, ""},
	{AX_LSH, CODE(C8(1), C8(64), AX_LSH), 0, ""},
	{AX_RSH_SIGNED, CODE(MINUS(16), C8(2), AX_RSH_SIGNED), -4ull, ""},
	{AX_RSH_SIGNED, CODE(MINUS(16), C8(200), AX_RSH_SIGNED), -1ull, ""},
	{AX_RSH_UNSIGNED, CODE(MINUS(16), C8(2), AX_RSH_UNSIGNED), -16ull >> 2, ""},
	{AX_RSH_UNSIGNED, CODE(MINUS(16), C8(64), AX_RSH_UNSIGNED), 0, ""},
	{AX_TRACE, CODE(C16(0x1000), C8(9), AX_TRACE), 0, "memory 1000+9;"},
	{AX_TRACE_QUICK, CODE(C16(0x1002), AX_TRACE_QUICK, 4), 0x1002, "memory 1002+4;"},
	{AX_TRACE16, CODE(C16(0x1002), AX_TRACE16, 1, 2), 0x1002, "memory 1002+102;"},
	{AX_TRACENZ, CODE(C16(0x1020), C8(9), AX_TRACENZ), 0, "string 1020+9;"},
	{AX_TRACEV, CODE(C8(5), AX_TRACEV, 0, 7), 5, "variable;"},
	{AX_LOG_NOT, CODE(C8(5), AX_LOG_NOT), 0, ""},
	{AX_LOG_NOT, CODE(C8(0), AX_LOG_NOT), 1, ""},
	{AX_BIT_AND, CODE(C8(0x3c), C8(0x66), AX_BIT_AND), 0x24, ""},
	{AX_BIT_OR, CODE(C8(0x3c), C8(0x66), AX_BIT_OR), 0x7e, ""},
	{AX_BIT_XOR, CODE(C8(0x3c), C8(0x66), AX_BIT_XOR), 0x5a, ""},
	{AX_BIT_NOT, CODE(C8(0), AX_BIT_NOT), -1ull, ""},
	{AX_EQUAL, CODE(C8(5), C8(5), AX_EQUAL), 1, ""},
	{AX_EQUAL, CODE(C8(5), C8(6), AX_EQUAL), 0, ""},
	{AX_LESS_SIGNED, CODE(MINUS(1), C8(0), AX_LESS_SIGNED), 1, ""},
	{AX_LESS_UNSIGNED, CODE(MINUS(1), C8(0), AX_LESS_UNSIGNED), 0, ""},
	{AX_LESS_UNSIGNED, CODE(C8(0), MINUS(1), AX_LESS_UNSIGNED), 1, ""},
	{AX_EXT, CODE(C16(0x1ff), AX_EXT, 8), -1ull, ""},
	{AX_EXT, CODE(MINUS(1), AX_EXT, 64), -1ull, ""},
	{AX_ZERO_EXT, CODE(MINUS(1), AX_ZERO_EXT, 12), 0xfff, ""},
	{AX_ZERO_EXT, CODE(MINUS(1), AX_ZERO_EXT, 64), -1ull, ""},
	{AX_REF8, CODE(C16(0x1000), AX_REF8), 0x81, ""},
	{AX_REF16, CODE(C16(0x1000), AX_REF16), 0x8281, ""},
	{AX_REF32, CODE(C16(0x1000), AX_REF32), 0x84838281, ""},
	{AX_REF64, CODE(C16(0x1000), AX_REF64), 0x8887868584838281, ""},
	{AX_IF_GOTO, CODE(C8(7), C8(1), AX_IF_GOTO, 0, 10, AX_POP, C8(8)), 7, ""},
	{AX_IF_GOTO, CODE(C8(7), C8(0), AX_IF_GOTO, 0, 10, AX_POP, C8(8)), 8, ""},
	{AX_GOTO, CODE(C8(7), AX_GOTO, 0, 7, 0xff, 0xff, C8(2), AX_ADD), 9, ""},
	{AX_CONST8, CODE(AX_CONST8, 0xf0), 0xf0, ""},
	{AX_CONST16, CODE(AX_CONST16, 0xf0, 1), 0xf001, ""},
	{AX_CONST32, CODE(AX_CONST32, 0xf0, 1, 2, 3), 0xf0010203, ""},
	{AX_CONST64, CODE(AX_CONST64, 0xf0, 1, 2, 3, 4, 5, 6, 7), 0xf001020304050607, ""},
	{AX_REG, CODE(AX_REG, 0, REG_64), 0xfedcba9876543210, ""},
	{AX_REG, CODE(AX_REG, 0, REG_8), 0x80, ""},
	{AX_END, CODE(C8(1), AX_END, 0xff), 1, ""},
	{AX_DUP, CODE(C8(6), AX_DUP, AX_MUL), 36, ""},
	{AX_POP, CODE(C8(6), C8(7), AX_POP), 6, ""},
	{AX_SWAP, CODE(C8(6), C8(7), AX_SWAP, AX_SUB), 1, ""},
	{AX_GETV, CODE(AX_GETV, 0, 7, C8(1), AX_ADD), 42, ""},
	{AX_SETV, CODE(C8(9), AX_SETV, 0, 7, AX_GETV, 0, 7, AX_ADD), 18, ""},
	{AX_PICK, CODE(C8(1), C8(2), C8(3), AX_PICK, 2), 1, ""},
	{AX_PICK, CODE(C8(1), C8(2), C8(3), AX_PICK, 0), 3, ""},
	/* a b c becomes c a b: 3 - (1 - 2). */
	{AX_ROT, CODE(C8(1), C8(2), C8(3), AX_ROT, AX_SUB, AX_SUB), 4, ""},
	{AX_PRINTF,
	 CODE(C8(1), C8(2), C8(9), C8(8), AX_PRINTF, 2, 0, 7, '%', 'd', ',', '%', 'd', '\n', 0), 0,
	 "2,1\n"},
};

static void run_outcome(size_t n)
{
	uint8_t code[64];
	char why[RSP_AX_ERROR_MAX] = "";
	struct rsp_ax_fault fault;
	struct rsp_ax_env env;
	struct world w;
	uint64_t value = 0;

	set_up(&w, &env);
	memcpy(code, outcomes[n].code, outcomes[n].len);
	code[outcomes[n].len] = AX_END;
	cr_assert(rsp_ax_check(code, outcomes[n].len + 1, &all_allowed, why), "row %zu: %s", n,
		  why);
	cr_assert(rsp_ax_run(code, &env, &value, &fault), "row %zu", n);
	cr_expect_eq(value, outcomes[n].value, "row %zu: %llx", n, (unsigned long long)value);
	cr_expect_str_eq(w.text, outcomes[n].text, "row %zu", n);
}

Test(ax, each_opcode_when_run_then_does_what_the_manual_says)
{
	bool is_covered[AX_OP_COUNT] = {false};

	for (size_t n = 0; n < sizeof(outcomes) / sizeof(outcomes[0]); n++) {
		is_covered[outcomes[n].op] = true;
		run_outcome(n);
	}
	for (unsigned op = 0; op < AX_OP_COUNT; op++) {
		const struct ax_row *row = ax_row_of((uint8_t)op);

		if (row->name && row->needs != AX_NEEDS_FLOAT)
			cr_expect(is_covered[op], "%s has no row", row->name);
	}
}

/* What the check refuses: the program, the rules, a word of the reason. */
static const struct {
	const uint8_t *code;
	size_t len;
	const struct rsp_ax_rules *rules;
	const char *why;
} refusals[] = {
	{CODE(0), &all_allowed, "byte 0: is no opcode"},
	{CODE(C8(1), 0x31, AX_END), &all_allowed, "byte 2: is no opcode"},
	{CODE(C8(1), 0xff, AX_END), &all_allowed, "byte 2: is no opcode"},
	{CODE(AX_FLOAT, AX_END), &all_allowed, "float is not supported"},
	{CODE(C8(1), AX_REF_FLOAT, AX_END), &all_allowed, "ref_float is not supported"},
	{CODE(C8(1), AX_REF_DOUBLE, AX_END), &all_allowed, "ref_double is not supported"},
	{CODE(C8(1), AX_REF_LONG_DOUBLE, AX_END), &all_allowed, "ref_long_double is not"},
	{CODE(C8(1), AX_L_TO_D, AX_END), &all_allowed, "l_to_d is not supported"},
	{CODE(C8(1), AX_D_TO_L, AX_END), &all_allowed, "d_to_l is not supported"},
	{CODE(C8(1)), &condition, "goes on behind the end"},
	{CODE(AX_CONST32, 1, 2), &condition, "const32 is cut"},
	{CODE(AX_GOTO, 0), &condition, "goto is cut"},
	{CODE(AX_GOTO, 0, 3), &condition, "goes on behind the end"},
	{CODE(AX_GOTO, 0xff, 0xff, AX_END), &condition, "goes on behind the end"},
	{CODE(AX_GOTO, 0, 1, AX_END), &condition, "byte 1: is no opcode"},
	{CODE(AX_END), &condition, "ends without a value"},
	{CODE(C8(1), AX_POP, AX_END), &condition, "ends without a value"},
	{CODE(C8(1), AX_ADD, AX_END), &condition, "add finds too few values"},
	{CODE(AX_DUP, AX_END), &condition, "dup finds too few values"},
	{CODE(C8(1), AX_PICK, 1, AX_END), &condition, "pick is deeper than the stack"},
	{CODE(C8(1), C8(1), AX_ROT, AX_END), &condition, "rot finds too few values"},
	{CODE(C8(1), AX_EXT, 0, AX_END), &condition, "ext is not of 1 to 64 bits"},
	{CODE(C8(1), AX_EXT, 65, AX_END), &condition, "ext is not of 1 to 64 bits"},
	{CODE(C8(1), AX_ZERO_EXT, 0, AX_END), &condition, "zero_ext is not of 1 to 64 bits"},
	{CODE(AX_REG, 0, REG_LARGE, AX_END), &condition, "reg names none of at most 8 bytes"},
	{CODE(AX_REG, 0xff, 0xff, AX_END), &condition, "reg names none of at most 8 bytes"},
	{CODE(C8(1), AX_DUP, AX_GOTO, 0, 2), &condition, "with another stack depth"},
	{CODE(C8(1), C8(1), AX_IF_GOTO, 0, 9, C8(2), AX_END), &condition, "another stack depth"},
	{CODE(AX_GETV, 0, 7, AX_END), &condition, "getv has no variables"},
	{CODE(C8(1), AX_TRACE_QUICK, 1, AX_END), &condition, "trace_quick is for tracepoints"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 1, 0, AX_END), &condition, "printf is for commands"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 0, AX_END), &all_allowed,
	 "a string that does not end"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 9, 'a', 0, AX_END), &all_allowed, "does not end"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 2, 'a', 'b', AX_END), &all_allowed, "does not end"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 3, 'a', 0, 0, AX_END), &all_allowed, "does not end"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 3, '%', 'd', 0, AX_END), &all_allowed,
	 "more or fewer"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 3, '%', 'f', 0, AX_END), &all_allowed, "conversion"},
	{CODE(C8(1), C8(1), AX_PRINTF, 0, 0, 2, '%', 0, AX_END), &all_allowed, "conversion"},
	{CODE(C8(1), C8(1), AX_PRINTF, 1, 0, 3, '%', 'd', 0, AX_END), &all_allowed,
	 "too few values"},
};

Test(ax, a_wrong_program_when_checked_then_is_refused_with_the_place)
{
	for (size_t n = 0; n < sizeof(refusals) / sizeof(refusals[0]); n++) {
		char why[RSP_AX_ERROR_MAX] = "";

		cr_expect_not(
			rsp_ax_check(refusals[n].code, refusals[n].len, refusals[n].rules, why),
			"row %zu", n);
		cr_expect(strstr(why, refusals[n].why), "row %zu says: %s", n, why);
	}
}

Test(ax, a_program_when_empty_or_too_long_then_is_refused)
{
	static uint8_t code[RSP_AX_MAX + 1];
	char why[RSP_AX_ERROR_MAX];

	memset(code, AX_END, sizeof(code));
	cr_expect_not(rsp_ax_check(code, 0, &all_allowed, why));
	cr_expect(rsp_ax_check(code, RSP_AX_MAX, &all_allowed, why));
	cr_expect_not(rsp_ax_check(code, RSP_AX_MAX + 1, &all_allowed, why));
}

Test(ax, the_stack_when_full_then_holds_its_limit_and_no_more)
{
	uint8_t code[2 * RSP_AX_STACK + 8];
	char why[RSP_AX_ERROR_MAX];
	struct rsp_ax_fault fault;
	struct rsp_ax_env env;
	struct world w;
	uint64_t value;
	size_t len = 0;

	set_up(&w, &env);
	for (unsigned i = 0; i < RSP_AX_STACK; i++) {
		code[len++] = AX_CONST8;
		code[len++] = (uint8_t)i;
	}
	code[len] = AX_END;
	cr_expect(rsp_ax_check(code, len + 1, &condition, why), "%s", why);
	cr_expect(rsp_ax_run(code, &env, &value, &fault));
	cr_expect_eq(value, RSP_AX_STACK - 1);
	code[len++] = AX_DUP;
	code[len] = AX_END;
	cr_expect_not(rsp_ax_check(code, len + 1, &condition, why));
	cr_expect(strstr(why, "overflow"), "%s", why);
}

/* Faults of a run. */
static const struct {
	const uint8_t *code;
	size_t len;
	enum rsp_ax_fault_kind kind;
	size_t at;
	uint64_t value;
	const char *text;
} faults[] = {
	{CODE(C16(0x103e), AX_REF32, AX_END), RSP_AX_FAULT_MEMORY, 3, 0x103e,
	 "no memory at 0x103e"},
	{CODE(C8(1), C8(0), AX_DIV_SIGNED, AX_END), RSP_AX_FAULT_DIVIDE, 4, 0, "division by zero"},
	{CODE(C8(1), C8(0), AX_DIV_UNSIGNED, AX_END), RSP_AX_FAULT_DIVIDE, 4, 0, "by zero"},
	{CODE(C8(1), C8(0), AX_REM_SIGNED, AX_END), RSP_AX_FAULT_DIVIDE, 4, 0, "division by zero"},
	{CODE(C8(1), C8(0), AX_REM_UNSIGNED, AX_END), RSP_AX_FAULT_DIVIDE, 4, 0, "by zero"},
	{CODE(AX_REG, 0, REG_ABSENT, AX_END), RSP_AX_FAULT_REGISTER, 0, REG_ABSENT, "register 6"},
	{CODE(AX_GETV, 0, 8, AX_END), RSP_AX_FAULT_VARIABLE, 0, 8, "variable 8 does not exist"},
	{CODE(C8(1), AX_SETV, 0, 8, AX_END), RSP_AX_FAULT_VARIABLE, 2, 8, "variable 8"},
	{CODE(AX_TRACEV, 1, 0, AX_END), RSP_AX_FAULT_VARIABLE, 0, 256, "variable 256"},
	{CODE(C8(1), AX_TRACE_QUICK, 4, AX_END), RSP_AX_FAULT_RECORD, 2, 1, "nothing recorded"},
	{CODE(AX_GOTO, 0, 0), RSP_AX_FAULT_ENDLESS, 0, 0, "no end after 20000 steps"},
	{CODE(C8(1), AX_IF_GOTO, 0, 0, AX_END), RSP_AX_FAULT_ENDLESS, 0, 0, "no end"},
};

Test(ax, a_run_when_it_cannot_go_on_then_says_where_and_why)
{
	for (size_t n = 0; n < sizeof(faults) / sizeof(faults[0]); n++) {
		char text[RSP_AX_ERROR_MAX] = "";
		struct rsp_ax_fault fault;
		struct rsp_ax_env env;
		struct world w;
		uint64_t value;

		set_up(&w, &env);
		cr_expect(rsp_ax_check(faults[n].code, faults[n].len, &all_allowed, text), "%s",
			  text);
		cr_expect_not(rsp_ax_run(faults[n].code, &env, &value, &fault), "row %zu", n);
		cr_expect_eq(fault.kind, faults[n].kind, "row %zu", n);
		if (fault.kind != RSP_AX_FAULT_ENDLESS)
			cr_expect_eq(fault.at, faults[n].at, "row %zu: byte %zu", n, fault.at);
		cr_expect_eq(fault.value, faults[n].value, "row %zu", n);
		rsp_ax_describe(&fault, text, sizeof(text));
		cr_expect(strstr(text, faults[n].text), "row %zu says: %s", n, text);
	}
}

/* Formats: beside the host's own printf where it has the conversion. */
static const struct {
	const char *format;
	uint64_t value;
	const char *text;
} formats[] = {
	{"%d", -5ull, "-5"},
	{"%d", 0x1ffffffff, "-1"},
	{"%ld", 0x1ffffffff, "8589934591"},
	{"%lld", 1ull << 63, "-9223372036854775808"},
	{"%zd", -1ull, "-1"},
	{"%hd", 0x18000, "-32768"},
	{"%hhd", 0x1ff, "-1"},
	{"%i", 12, "12"},
	{"%u", -1ull, "4294967295"},
	{"%lu", -1ull, "18446744073709551615"},
	{"%x", 0xabc, "abc"},
	{"%X", 0xabc, "ABC"},
	{"%#x", 0xabc, "0xabc"},
	{"%#x", 0, "0"},
	{"%#X", 0xabc, "0XABC"},
	{"%o", 8, "10"},
	{"%#o", 8, "010"},
	{"%p", 0xffffffff81000000, "0xffffffff81000000"},
	{"%c", 'A', "A"},
	{"[%5c]", 'A', "[    A]"},
	{"[%5d]", 42, "[   42]"},
	{"[%-5d]", 42, "[42   ]"},
	{"[%05d]", -42ull, "[-0042]"},
	{"[%+d]", 42, "[+42]"},
	{"[% d]", 42, "[ 42]"},
	{"[%.4d]", 42, "[0042]"},
	{"[%6.4d]", 42, "[  0042]"},
	{"[%.0d]", 0, "[]"},
	{"[%016lx]", 0xabc, "[0000000000000abc]"},
	{"%s", 0x1020, "text"},
	{"[%8s]", 0x1020, "[    text]"},
	{"[%-8s]", 0x1020, "[text    ]"},
	{"[%.2s]", 0x1020, "[te]"},
	{"[%s]", 0x10, "[]"},
	{"%s", 0x103e, "\xbf\xc0"},
	{"100%% %d", 1, "100% 1"},
	{"\\t%d\\n\\\\\\\"\\101\\e\\q", 1, "\t1\n\\\"A\033q"},
	{"%d\\", 1, "1"},
	{"%0200d", 1, NULL},
	{"%99999999999d", 1, NULL},
};

Test(ax, printf_when_given_a_format_then_prints_as_c_does)
{
	for (size_t n = 0; n < sizeof(formats) / sizeof(formats[0]); n++) {
		const struct ax_printf what = {formats[n].format, &formats[n].value, 1};
		struct rsp_ax_env env;
		struct world w;

		set_up(&w, &env);
		cr_expect_eq(ax_format_check(what.format), 1, "%s", what.format);
		ax_format_print(&env, &what);
		/* Widths beyond 80 are cut to it. */
		if (formats[n].text)
			cr_expect_str_eq(w.text, formats[n].text, "%s", what.format);
		else
			cr_expect_eq(strlen(w.text), 80, "%s", what.format);
	}
}

static const char *const bad_formats[] = {"%", "%5", "%f", "%n", "%*d", "%l", "%-", "%d %g", "%lq"};

Test(ax, a_format_when_it_has_what_is_not_known_then_is_refused)
{
	for (size_t n = 0; n < sizeof(bad_formats) / sizeof(bad_formats[0]); n++)
		cr_expect_eq(ax_format_check(bad_formats[n]), -1, "%s", bad_formats[n]);
}
