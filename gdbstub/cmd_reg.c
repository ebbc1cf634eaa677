/* Registers: g and G all of the general ones at once, p and P one by its number. */
#include "internal.h"

/* One register as hexadecimal digits, or as many 'x' when it cannot be read. */
static void put_register(struct rsp_session *s, unsigned reg, size_t size)
{
	const struct rsp_target *target = s->target;
	uint8_t value[RSP_MAX_REG_BYTES];
	bool is_known;
	size_t i;

	if (!rsp_frame_read_register(s, reg, value, &is_known))
		is_known = target->base->reg_read(target->ctx, rsp_current_thread(s), reg, value);
	if (is_known) {
		rsp_reply_hex(s, value, size);
		return;
	}
	for (i = 0; i < 2 * size; i++)
		rsp_reply_byte(s, 'x');
}

/* 0 for a register that does not exist, or that is larger than the library's promise. */
static size_t register_size(const struct rsp_session *s, uint64_t reg)
{
	const struct rsp_target *target = s->target;
	size_t size;

	if (reg >= target->base->reg_count(target->ctx))
		return 0;
	size = target->base->reg_size(target->ctx, (unsigned)reg);
	return size <= RSP_MAX_REG_BYTES ? size : 0;
}

void rsp_cmd_read_registers(struct rsp_session *s, const struct rsp_args *args)
{
	unsigned count = s->target->base->g_reg_count(s->target->ctx);
	unsigned reg;

	(void)args;
	rsp_reply_begin(s);
	for (reg = 0; reg < count; reg++)
		put_register(s, reg, register_size(s, reg));
	rsp_reply_end_packed(s);
}

void rsp_cmd_write_registers(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	unsigned count = target->base->g_reg_count(target->ctx);
	size_t wanted = 0;
	unsigned reg;

	for (reg = 0; reg < count; reg++)
		wanted += register_size(s, reg);
	if (args->data_len != wanted) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	rsp_answer_result(s, target->base->regs_write(target->ctx, rsp_current_thread(s),
						      args->data, args->data_len));
}

void rsp_cmd_read_register(struct rsp_session *s, const struct rsp_args *args)
{
	size_t size = register_size(s, args->number[0]);

	if (size == 0) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	rsp_reply_begin(s);
	put_register(s, (unsigned)args->number[0], size);
	rsp_reply_end_packed(s);
}

void rsp_cmd_write_register(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	size_t size = register_size(s, args->number[0]);

	if (size == 0 || args->data_len != size) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	rsp_answer_result(s, target->base->reg_write(target->ctx, rsp_current_thread(s),
						     (unsigned)args->number[0], args->data));
}
