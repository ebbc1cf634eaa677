/* Memory: m and x read, M and X write.
 *
 * A read answers with what there is up to the first byte that cannot be read; only a read that
 * yields nothing is an error.  Lengths are cut to what one packet holds, as the protocol allows. */
#include "internal.h"

/* Bytes from @addr that do not run over the end of the address space, at most @len. */
static size_t clamp_to_space(uint64_t addr, uint64_t len, size_t most)
{
	uint64_t before_end = UINT64_MAX - addr;

	if (len > most)
		len = most;
	return (size_t)(len > 0 && len - 1 > before_end ? before_end + 1 : len);
}

/* Read into scratch; false, with the error sent, when nothing could be read. */
static bool read_memory(struct rsp_session *s, const struct rsp_args *args, size_t most,
			size_t *out_len)
{
	const struct rsp_target *target = s->target;
	uint64_t addr = args->number[0];
	size_t len = clamp_to_space(addr, args->number[1], most);

	*out_len = 0;
	if (len == 0)
		return true;
	if (s->is_physical)
		*out_len = target->phys->read(target->ctx, addr, s->scratch, len);
	else if (!rsp_frame_read_memory(s, addr, s->scratch, len, out_len))
		*out_len = target->base->mem_read(target->ctx, rsp_current_thread(s), addr,
						  s->scratch, len);
	if (*out_len == 0)
		rsp_answer_error(s, RSP_WIRE_EFAULT);
	return *out_len > 0;
}

void rsp_cmd_read_hex(struct rsp_session *s, const struct rsp_args *args)
{
	size_t len;

	if (!read_memory(s, args, RSP_PACKET_SIZE / 2, &len))
		return;
	rsp_reply_begin(s);
	rsp_reply_hex(s, s->scratch, len);
	rsp_reply_end_packed(s);
}

void rsp_cmd_read_binary(struct rsp_session *s, const struct rsp_args *args)
{
	size_t len;

	if (!read_memory(s, args, RSP_PACKET_SIZE - 1, &len))
		return;
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'b');
	rsp_reply_binary(s, s->scratch, len);
	rsp_reply_end(s);
}

void rsp_cmd_write(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	uint64_t addr = args->number[0];
	size_t len = args->data_len;
	size_t written;

	if (args->number[1] != len) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	if (clamp_to_space(addr, len, len) != len) {
		rsp_answer_error(s, RSP_WIRE_EFAULT);
		return;
	}
	/* A write of nothing asks whether the packet exists. */
	if (len == 0) {
		rsp_answer_text(s, "OK");
		return;
	}
	if (s->is_physical)
		written = target->phys->write(target->ctx, addr, args->data, len);
	else
		written = target->base->mem_write(target->ctx, rsp_current_thread(s), addr,
						  args->data, len);
	rsp_answer_result(s, written == len ? 0 : RSP_WIRE_EFAULT);
}
