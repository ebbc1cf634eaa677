/* Breakpoints and watchpoints: Z inserts, z removes.
 *
 * A type that the target cannot do is an unknown packet, which makes the client fall back to
 * another; an error tells it that this one breakpoint failed. */
#include "agent.h"

/* False, with the answer sent, for a type or a kind that cannot be passed on. */
static bool is_possible(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	uint64_t type = args->number[0];

	if (type >= RSP_BREAK_TYPES ||
	    !target->brk->is_supported(target->ctx, (enum rsp_break)type)) {
		rsp_answer_text(s, "");
		return false;
	}
	if (args->number[2] > UINT32_MAX) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return false;
	}
	return true;
}

static void refuse(struct rsp_session *s, const char *why)
{
	rsp_reply_begin(s);
	rsp_reply_text(s, "E.");
	rsp_reply_text(s, why);
	rsp_reply_end(s);
}

/* To insert the breakpoint without what could not be understood would stop where the client asked
 * not to. */
static void insert_agent(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	const struct rsp_agent_ops *ops = target->agent;
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};
	struct agent_parser parser = {
		.rules = {.reg_size = target->base->reg_size, .ctx = target->ctx},
		.packet_end = args->packet_end};
	struct rsp_agent agent;

	if (!ops) {
		refuse(s, "breakpoint conditions and commands are not supported");
		return;
	}
	parser.rules.allows = ops->allows & RSP_AX_VARIABLES;
	if (!agent_parse(&cursor, &agent, &parser)) {
		refuse(s, parser.why);
		return;
	}
	rsp_answer_result(s, ops->insert(target->ctx, (enum rsp_break)args->number[0],
					 args->number[1], (unsigned)args->number[2], &agent));
}

void rsp_cmd_insert(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;

	if (!is_possible(s, args))
		return;
	if (args->data) {
		insert_agent(s, args);
		return;
	}
	rsp_answer_result(s, target->brk->insert(target->ctx, (enum rsp_break)args->number[0],
						 args->number[1], (unsigned)args->number[2]));
}

void rsp_cmd_remove(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;

	if (!is_possible(s, args))
		return;
	rsp_answer_result(s, target->brk->remove(target->ctx, (enum rsp_break)args->number[0],
						 args->number[1], (unsigned)args->number[2]));
}
