/* Breakpoints and watchpoints: Z inserts, z removes.
 *
 * A type that the target cannot do is an unknown packet, which makes the client fall back to
 * another; an error tells it that this one breakpoint failed. */
#include "internal.h"

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

void rsp_cmd_insert(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;

	if (!is_possible(s, args))
		return;
	/* Conditions and commands are not announced.  To insert the breakpoint without them would
	 * stop where the client asked not to. */
	if (args->data) {
		rsp_answer_text(s, "E.breakpoint conditions and commands are not supported");
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
