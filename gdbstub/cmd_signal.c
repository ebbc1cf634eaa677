/* The program's events as signals: which the client wants to hear of, what is known of the last
 * one, and system calls. */
#include "internal.h"

#include <string.h>

/* A list of hexadecimal numbers with ';' between them, or an empty one.  @fn takes each; false: it
 * does not like it.  False when there is anything else. */
static bool parse_list(const struct rsp_args *args, bool (*fn)(void *ctx, uint64_t number),
		       void *ctx)
{
	struct rsp_cursor cursor;
	uint64_t number;

	if (!args->data)
		return true;
	cursor = (struct rsp_cursor){args->data, args->data + args->data_len};
	while (cursor.at < cursor.end) {
		if (!rsp_parse_u64(&cursor, &number) || !fn(ctx, number))
			return false;
		/* gdb ends the list of signals with one, too. */
		if (cursor.at < cursor.end && !rsp_parse_char(&cursor, ';'))
			return false;
	}
	return true;
}

static bool add_signal(void *set, uint64_t number)
{
	uint8_t *bytes = set;

	if (number / 8 >= RSP_SIGNAL_BYTES)
		return false;
	bytes[number / 8] |= (uint8_t)(1u << number % 8);
	return true;
}

static void set_signals(struct rsp_session *s, const struct rsp_args *args,
			void (*op)(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES]))
{
	uint8_t set[RSP_SIGNAL_BYTES] = {0};

	if (!parse_list(args, add_signal, set)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	op(s->target->ctx, set);
	rsp_answer_text(s, "OK");
}

void rsp_cmd_pass_signals(struct rsp_session *s, const struct rsp_args *args)
{
	set_signals(s, args, s->target->signals->pass);
}

void rsp_cmd_program_signals(struct rsp_session *s, const struct rsp_args *args)
{
	set_signals(s, args, s->target->signals->program);
}

struct syscalls {
	uint32_t number[RSP_MAX_SYSCALLS];
	unsigned count;
};

static bool add_syscall(void *ctx, uint64_t number)
{
	struct syscalls *list = ctx;

	if (number > UINT32_MAX || list->count == RSP_MAX_SYSCALLS)
		return false;
	list->number[list->count++] = (uint32_t)number;
	return true;
}

void rsp_cmd_catch_syscalls(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	struct syscalls list = {.count = 0};
	bool is_on = args->number[0] == 1;

	if (args->number[0] > 1 || (args->data && (!is_on || args->data_len == 0)) ||
	    !parse_list(args, add_syscall, &list)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	rsp_answer_result(
		s, target->signals->catch_syscalls(target->ctx, is_on, list.number, list.count));
}
