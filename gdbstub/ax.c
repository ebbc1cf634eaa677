/* Agent expressions: the check that a program passes once, when it comes, and the machine that runs
 * it.
 *
 * What was checked cannot leave the program or the stack: each byte that can be reached is an
 * opcode with its operand, jumps lead to such, the depth of the stack is the same on every way to
 * a byte, and registers exist and fit a stack element.  What only a run can tell, memory that is
 * not there and a division by zero, is a fault; loops end by a bound on steps. Source: Debugging
 * with GDB, F (The GDB Agent Expression Mechanism). */
#include "ax.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define UNSEEN	   0xffu
#define PRINT_HEAD 3u /* bytes of printf before its string */

static const struct ax_row rows[AX_OP_COUNT] = {
	[AX_FLOAT] = {"float", 0, 0, 0, AX_NEEDS_FLOAT},
	[AX_ADD] = {"add", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_SUB] = {"sub", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_MUL] = {"mul", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_DIV_SIGNED] = {"div_signed", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_DIV_UNSIGNED] = {"div_unsigned", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_REM_SIGNED] = {"rem_signed", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_REM_UNSIGNED] = {"rem_unsigned", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_LSH] = {"lsh", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_RSH_SIGNED] = {"rsh_signed", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_RSH_UNSIGNED] = {"rsh_unsigned", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_TRACE] = {"trace", 0, 2, 0, AX_NEEDS_RECORD},
	[AX_TRACE_QUICK] = {"trace_quick", 1, 1, 1, AX_NEEDS_RECORD},
	[AX_LOG_NOT] = {"log_not", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_BIT_AND] = {"bit_and", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_BIT_OR] = {"bit_or", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_BIT_XOR] = {"bit_xor", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_BIT_NOT] = {"bit_not", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_EQUAL] = {"equal", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_LESS_SIGNED] = {"less_signed", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_LESS_UNSIGNED] = {"less_unsigned", 0, 2, 1, AX_NEEDS_NOTHING},
	[AX_EXT] = {"ext", 1, 1, 1, AX_NEEDS_NOTHING},
	[AX_REF8] = {"ref8", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_REF16] = {"ref16", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_REF32] = {"ref32", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_REF64] = {"ref64", 0, 1, 1, AX_NEEDS_NOTHING},
	[AX_REF_FLOAT] = {"ref_float", 0, 1, 1, AX_NEEDS_FLOAT},
	[AX_REF_DOUBLE] = {"ref_double", 0, 1, 1, AX_NEEDS_FLOAT},
	[AX_REF_LONG_DOUBLE] = {"ref_long_double", 0, 1, 1, AX_NEEDS_FLOAT},
	[AX_L_TO_D] = {"l_to_d", 0, 1, 1, AX_NEEDS_FLOAT},
	[AX_D_TO_L] = {"d_to_l", 0, 1, 1, AX_NEEDS_FLOAT},
	[AX_IF_GOTO] = {"if_goto", 2, 1, 0, AX_NEEDS_NOTHING},
	[AX_GOTO] = {"goto", 2, 0, 0, AX_NEEDS_NOTHING},
	[AX_CONST8] = {"const8", 1, 0, 1, AX_NEEDS_NOTHING},
	[AX_CONST16] = {"const16", 2, 0, 1, AX_NEEDS_NOTHING},
	[AX_CONST32] = {"const32", 4, 0, 1, AX_NEEDS_NOTHING},
	[AX_CONST64] = {"const64", 8, 0, 1, AX_NEEDS_NOTHING},
	[AX_REG] = {"reg", 2, 0, 1, AX_NEEDS_NOTHING},
	[AX_END] = {"end", 0, 0, 0, AX_NEEDS_NOTHING},
	[AX_DUP] = {"dup", 0, 1, 2, AX_NEEDS_NOTHING},
	[AX_POP] = {"pop", 0, 1, 0, AX_NEEDS_NOTHING},
	[AX_ZERO_EXT] = {"zero_ext", 1, 1, 1, AX_NEEDS_NOTHING},
	[AX_SWAP] = {"swap", 0, 2, 2, AX_NEEDS_NOTHING},
	[AX_GETV] = {"getv", 2, 0, 1, AX_NEEDS_VARIABLES},
	[AX_SETV] = {"setv", 2, 1, 1, AX_NEEDS_VARIABLES},
	[AX_TRACEV] = {"tracev", 2, 0, 0, AX_NEEDS_RECORD},
	[AX_TRACENZ] = {"tracenz", 0, 2, 0, AX_NEEDS_RECORD},
	[AX_TRACE16] = {"trace16", 2, 1, 1, AX_NEEDS_RECORD},
	[AX_PICK] = {"pick", 1, 0, 1, AX_NEEDS_NOTHING},
	[AX_ROT] = {"rot", 0, 3, 3, AX_NEEDS_NOTHING},
	[AX_PRINTF] = {"printf", PRINT_HEAD, 2, 0, AX_NEEDS_PRINT},
};

const struct ax_row *ax_row_of(uint8_t op)
{
	return &rows[op < AX_OP_COUNT ? op : 0];
}

/* Operands are big-endian. */
static uint64_t operand_of(const uint8_t *code, size_t at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | code[at + 1 + i];
	return value;
}

/* The check. */

struct checker {
	const uint8_t *code;
	size_t len;
	const struct rsp_ax_rules *rules;
	char *why;
	size_t at;     /* of the instruction looked at */
	size_t length; /* its bytes */
	unsigned pops, pushes;
	size_t waiting; /* of todo */
	uint8_t depth[RSP_AX_MAX];
	uint16_t todo[RSP_AX_MAX]; /* places with a depth that were not looked at */
};

static bool refuse(struct checker *c, const char *what)
{
	snprintf(c->why, RSP_AX_ERROR_MAX, "agent expression, byte %zu: %s", c->at, what);
	return false;
}

static bool refuse_op(struct checker *c, const struct ax_row *row, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %s", row->name, what);
	return refuse(c, text);
}

/* The instruction at @to is reached with @depth elements. */
static bool reach(struct checker *c, size_t to, unsigned depth)
{
	if (to >= c->len)
		return refuse(c, "goes on behind the end");
	if (c->depth[to] == UNSEEN) {
		c->depth[to] = (uint8_t)depth;
		c->todo[c->waiting++] = (uint16_t)to;
	}
	return c->depth[to] == depth || refuse(c, "comes to a place with another stack depth");
}

static bool is_allowed(struct checker *c, const struct ax_row *row)
{
	switch (row->needs) {
	case AX_NEEDS_NOTHING:
		return true;
	case AX_NEEDS_VARIABLES:
		return c->rules->allows & RSP_AX_VARIABLES || refuse_op(c, row, "has no variables");
	case AX_NEEDS_RECORD:
		return c->rules->allows & RSP_AX_RECORD ||
		       refuse_op(c, row, "is for tracepoints only");
	case AX_NEEDS_PRINT:
		return c->rules->allows & RSP_AX_PRINT || refuse_op(c, row, "is for commands only");
	case AX_NEEDS_FLOAT:
		break;
	}
	return refuse_op(c, row, "is not supported");
}

/* Its string: length, bytes, and a NUL that is the last of them and the first one. */
static bool check_print(struct checker *c, const struct ax_row *row)
{
	const char *format = (const char *)c->code + c->at + 1 + PRINT_HEAD;
	unsigned count = c->code[c->at + 1];
	size_t len = operand_of(c->code, c->at + 1, 2);
	int takes;

	if (len == 0 || len > c->len - c->at - c->length || strnlen(format, len) != len - 1)
		return refuse_op(c, row, "has a string that does not end");
	takes = ax_format_check(format);
	if (takes < 0)
		return refuse_op(c, row, "has a conversion that is not known");
	if ((unsigned)takes != count)
		return refuse_op(c, row, "has more or fewer values than its format");
	c->length += len;
	c->pops += count;
	return true;
}

/* What is particular to some opcodes. */
static bool check_operand(struct checker *c, const struct ax_row *row, unsigned depth)
{
	uint64_t operand = row->operand <= 8 ? operand_of(c->code, c->at, row->operand) : 0;
	size_t bytes;

	switch (c->code[c->at]) {
	case AX_EXT:
	case AX_ZERO_EXT:
		return (operand >= 1 && operand <= 64) ||
		       refuse_op(c, row, "is not of 1 to 64 bits");
	case AX_PICK:
		return operand < depth || refuse_op(c, row, "is deeper than the stack");
	case AX_REG:
		bytes = c->rules->reg_size(c->rules->ctx, (unsigned)operand);
		return (bytes >= 1 && bytes <= 8) ||
		       refuse_op(c, row, "names none of at most 8 bytes");
	case AX_PRINTF:
		return check_print(c, row);
	default:
		return true;
	}
}

static bool check_ways_on(struct checker *c, unsigned depth)
{
	size_t to = operand_of(c->code, c->at, c->length > 2 ? 2 : 0);

	switch (c->code[c->at]) {
	case AX_END:
		return depth > 0 || !c->rules->must_have_value || refuse(c, "ends without a value");
	case AX_GOTO:
		return reach(c, to, depth);
	case AX_IF_GOTO:
		return reach(c, to, depth) && reach(c, c->at + c->length, depth);
	default:
		return reach(c, c->at + c->length, depth);
	}
}

static bool check_one(struct checker *c)
{
	const struct ax_row *row = ax_row_of(c->code[c->at]);
	unsigned depth = c->depth[c->at];

	if (!row->name)
		return refuse(c, "is no opcode");
	if (!is_allowed(c, row))
		return false;
	c->length = 1u + row->operand;
	c->pops = row->pops;
	c->pushes = row->pushes;
	if (c->length > c->len - c->at)
		return refuse_op(c, row, "is cut");
	if (!check_operand(c, row, depth))
		return false;
	if (depth < c->pops)
		return refuse_op(c, row, "finds too few values");
	depth = depth - c->pops + c->pushes;
	if (depth > RSP_AX_STACK)
		return refuse_op(c, row, "makes the stack overflow");
	return check_ways_on(c, depth);
}

static void begin_check(struct checker *c, const uint8_t *code, size_t len,
			const struct rsp_ax_rules *rules, char *why)
{
	c->code = code;
	c->len = len;
	c->rules = rules;
	c->why = why;
	c->at = 0;
	c->waiting = 0;
}

bool rsp_ax_check(const uint8_t *code, size_t len, const struct rsp_ax_rules *rules,
		  char why[RSP_AX_ERROR_MAX])
{
	struct checker c;

	begin_check(&c, code, len, rules, why);
	if (len == 0 || len > RSP_AX_MAX)
		return refuse(&c, "is not within 1 to 4096");
	memset(c.depth, UNSEEN, len);
	reach(&c, 0, 0);
	while (c.waiting > 0) {
		c.at = c.todo[--c.waiting];
		if (!check_one(&c))
			return false;
	}
	return true;
}

/* The machine. */

struct machine {
	const uint8_t *code;
	size_t pc;
	const struct rsp_ax_env *env;
	struct rsp_ax_fault *fault;
	unsigned sp; /* elements on the stack */
	uint64_t stack[RSP_AX_STACK];
};

static bool fail(struct machine *m, enum rsp_ax_fault_kind kind, uint64_t value)
{
	*m->fault = (struct rsp_ax_fault){.kind = kind, .at = m->pc, .value = value};
	return false;
}

/* The check has counted: these asserts hold for whatever program came. */
static uint64_t *top(struct machine *m)
{
	assert(m->sp > 0);
	return &m->stack[m->sp - 1];
}

static void push(struct machine *m, uint64_t value)
{
	m->stack[m->sp++] = value;
}

static uint64_t pop(struct machine *m)
{
	assert(m->sp > 0);
	return m->stack[--m->sp];
}

static uint64_t operand(const struct machine *m, unsigned bytes)
{
	return operand_of(m->code, m->pc, bytes);
}

/* As a processor would that does not trap: the one quotient that has no room wraps. */
static int64_t div_signed(int64_t a, int64_t b, bool is_rest)
{
	if (b == -1)
		return is_rest ? 0 : (int64_t)(0 - (uint64_t)a);
	return is_rest ? a % b : a / b;
}

static uint64_t shift(uint8_t op, uint64_t a, uint64_t by)
{
	bool is_signed = op != AX_LSH && op != AX_RSH_UNSIGNED;
	uint64_t fill = is_signed && a >> 63 ? ~0ull : 0;

	if (by == 0 || by > 63)
		return by == 0 ? a : fill;
	return op == AX_LSH ? a << by : a >> by | fill << (64 - by);
}

static bool divide(struct machine *m, uint8_t op, uint64_t b)
{
	uint64_t *a = top(m);

	if (b == 0)
		return fail(m, RSP_AX_FAULT_DIVIDE, 0);
	switch (op) {
	case AX_DIV_UNSIGNED:
		*a /= b;
		break;
	case AX_REM_UNSIGNED:
		*a %= b;
		break;
	default:
		*a = (uint64_t)div_signed((int64_t)*a, (int64_t)b, op == AX_REM_SIGNED);
		break;
	}
	return true;
}

/* Two values into one. */
static bool binary(struct machine *m, uint8_t op)
{
	uint64_t b = pop(m);
	uint64_t *a = top(m);

	switch (op) {
	case AX_ADD:
		*a += b;
		return true;
	case AX_SUB:
		*a -= b;
		return true;
	case AX_MUL:
		*a *= b;
		return true;
	case AX_BIT_AND:
		*a &= b;
		return true;
	case AX_BIT_OR:
		*a |= b;
		return true;
	case AX_BIT_XOR:
		*a ^= b;
		return true;
	case AX_EQUAL:
		*a = *a == b;
		return true;
	case AX_LESS_SIGNED:
		*a = (int64_t)*a < (int64_t)b;
		return true;
	case AX_LESS_UNSIGNED:
		*a = *a < b;
		return true;
	case AX_LSH:
	case AX_RSH_SIGNED:
	case AX_RSH_UNSIGNED:
		*a = shift(op, *a, b);
		return true;
	default:
		return divide(m, op, b);
	}
}

static bool fetch(struct machine *m, unsigned bytes)
{
	uint8_t raw[8] = {0};
	uint64_t addr = *top(m), value = 0;

	if (m->env->mem_read(m->env->ctx, addr, raw, bytes) != bytes)
		return fail(m, RSP_AX_FAULT_MEMORY, addr);
	for (unsigned i = bytes; i > 0; i--)
		value = value << 8 | raw[i - 1];
	*top(m) = value;
	return true;
}

static bool read_register(struct machine *m)
{
	unsigned reg = (unsigned)operand(m, 2);
	uint64_t value;

	if (!m->env->reg_read(m->env->ctx, reg, &value))
		return fail(m, RSP_AX_FAULT_REGISTER, reg);
	push(m, value);
	return true;
}

static void extend(struct machine *m, bool is_signed)
{
	unsigned rest = 64 - (unsigned)operand(m, 1);

	if (is_signed)
		*top(m) = (uint64_t)((int64_t)(*top(m) << rest) >> rest);
	else
		*top(m) = *top(m) << rest >> rest;
}

static void rotate(struct machine *m)
{
	uint64_t *at = top(m) - 2, last = at[2];

	at[2] = at[1];
	at[1] = at[0];
	at[0] = last;
}

static void swap(struct machine *m)
{
	uint64_t *at = top(m) - 1, last = at[1];

	at[1] = at[0];
	at[0] = last;
}

static bool record(struct machine *m, uint64_t addr, uint64_t len, bool is_string)
{
	return m->env->record(m->env->ctx, addr, len, is_string) ||
	       fail(m, RSP_AX_FAULT_RECORD, addr);
}

static bool record_popped(struct machine *m, bool is_string)
{
	uint64_t len = pop(m);

	return record(m, pop(m), len, is_string);
}

static bool variable(struct machine *m, uint8_t op)
{
	const struct rsp_ax_env *env = m->env;
	unsigned number = (unsigned)operand(m, 2);
	int64_t value = 0;
	bool is_done;

	if (op == AX_TRACEV)
		return env->record_variable(env->ctx, number) ||
		       fail(m, RSP_AX_FAULT_VARIABLE, number);
	if (op == AX_SETV)
		is_done = env->variable_set(env->ctx, number, (int64_t)*top(m));
	else
		is_done = env->variable_get(env->ctx, number, &value);
	if (!is_done)
		return fail(m, RSP_AX_FAULT_VARIABLE, number);
	if (op == AX_GETV)
		push(m, (uint64_t)value);
	return true;
}

/* The function and the channel are on top, the values below in reverse order. */
static void print(struct machine *m)
{
	struct ax_printf what = {
		.format = (const char *)m->code + m->pc + 1 + PRINT_HEAD,
		.count = m->code[m->pc + 1],
	};
	uint64_t arg[RSP_AX_STACK];

	m->sp -= 2;
	for (unsigned i = 0; i < what.count; i++)
		arg[i] = pop(m);
	what.arg = arg;
	ax_format_print(m->env, &what);
}

/* Opcodes that neither jump nor take two values into one. */
static bool step_plain(struct machine *m, uint8_t op)
{
	switch (op) {
	case AX_CONST8:
	case AX_CONST16:
	case AX_CONST32:
	case AX_CONST64:
		push(m, operand(m, rows[op].operand));
		return true;
	case AX_REG:
		return read_register(m);
	case AX_REF8:
	case AX_REF16:
	case AX_REF32:
	case AX_REF64:
		return fetch(m, 1u << (op - AX_REF8));
	case AX_EXT:
	case AX_ZERO_EXT:
		extend(m, op == AX_EXT);
		return true;
	case AX_LOG_NOT:
		*top(m) = !*top(m);
		return true;
	case AX_BIT_NOT:
		*top(m) = ~*top(m);
		return true;
	case AX_DUP:
		push(m, *top(m));
		return true;
	case AX_PICK:
		push(m, m->stack[m->sp - 1 - operand(m, 1)]);
		return true;
	case AX_POP:
		m->sp--;
		return true;
	case AX_SWAP:
		swap(m);
		return true;
	case AX_ROT:
		rotate(m);
		return true;
	case AX_GETV:
	case AX_SETV:
	case AX_TRACEV:
		return variable(m, op);
	case AX_TRACE:
	case AX_TRACENZ:
		return record_popped(m, op == AX_TRACENZ);
	case AX_TRACE_QUICK:
	case AX_TRACE16:
		return record(m, *top(m), operand(m, rows[op].operand), false);
	case AX_PRINTF:
		print(m);
		return true;
	default:
		return binary(m, op);
	}
}

static size_t length_of(const struct machine *m, uint8_t op)
{
	size_t length = 1u + rows[op].operand;

	if (op == AX_PRINTF)
		length += operand_of(m->code, m->pc + 1, 2);
	return length;
}

bool rsp_ax_run(const uint8_t *code, const struct rsp_ax_env *env, uint64_t *out_value,
		struct rsp_ax_fault *out_fault)
{
	struct machine m = {.code = code, .env = env, .fault = out_fault};

	for (unsigned steps = 0; steps < RSP_AX_STEPS; steps++) {
		uint8_t op = code[m.pc];
		bool is_taken = op == AX_GOTO || (op == AX_IF_GOTO && pop(&m) != 0);

		if (op == AX_END) {
			*out_value = m.sp ? *top(&m) : 0;
			return true;
		}
		if (is_taken) {
			m.pc = operand(&m, 2);
			continue;
		}
		if (op != AX_IF_GOTO && !step_plain(&m, op))
			return false;
		m.pc += length_of(&m, op);
	}
	return fail(&m, RSP_AX_FAULT_ENDLESS, 0);
}

void rsp_ax_describe(const struct rsp_ax_fault *fault, char *buf, size_t size)
{
	unsigned long long value = fault->value;

	switch (fault->kind) {
	case RSP_AX_FAULT_MEMORY:
		snprintf(buf, size, "no memory at 0x%llx (byte %zu)", value, fault->at);
		return;
	case RSP_AX_FAULT_REGISTER:
		snprintf(buf, size, "register %llu cannot be read (byte %zu)", value, fault->at);
		return;
	case RSP_AX_FAULT_DIVIDE:
		snprintf(buf, size, "division by zero (byte %zu)", fault->at);
		return;
	case RSP_AX_FAULT_VARIABLE:
		snprintf(buf, size, "trace variable %llu does not exist (byte %zu)", value,
			 fault->at);
		return;
	case RSP_AX_FAULT_RECORD:
		snprintf(buf, size, "nothing recorded of 0x%llx (byte %zu)", value, fault->at);
		return;
	case RSP_AX_FAULT_ENDLESS:
		snprintf(buf, size, "no end after %u steps (byte %zu)", RSP_AX_STEPS, fault->at);
		return;
	}
}
