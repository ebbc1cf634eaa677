/* The tracer's life: open, definitions cleared, started, stopped, and what outlives its client. */
#include "tracer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tracer_lock(struct rsp_tracer *t)
{
	t->ops->lock(t->target->ctx);
}

void tracer_unlock(struct rsp_tracer *t)
{
	t->ops->unlock(t->target->ctx);
}

/* Definitions. */

void tracer_clear(struct rsp_tracer *t)
{
	tracer_stop(t, TRACE_NEVER_RAN);
	t->ops->disarm(t->target->ctx);
	t->is_disconnected = false;
	t->point_count = 0;
	t->action_count = 0;
	t->item_count = 0;
	t->variable_count = 0;
	t->region_count = 0;
	t->text_len = 0;
	t->user[0] = '\0';
	t->notes[0] = '\0';
	t->tstop[0] = '\0';
	trace_buffer_clear(&t->buffer);
}

bool tracer_keep(struct rsp_tracer *t, const uint8_t *bytes, size_t len, struct trace_text *out)
{
	if (len > sizeof(t->text) - t->text_len)
		return false;
	*out = (struct trace_text){t->text_len, (uint32_t)len};
	memcpy(t->text + t->text_len, bytes, len);
	t->text_len += (uint32_t)len;
	return true;
}

struct trace_variable *tracer_variable(struct rsp_tracer *t, uint64_t number)
{
	for (uint32_t i = 0; i < t->variable_count; i++) {
		if (t->variable[i].number == number)
			return &t->variable[i];
	}
	return NULL;
}

struct trace_point *tracer_point(struct rsp_tracer *t, uint64_t number, uint64_t addr)
{
	for (uint32_t i = 0; i < t->point_count; i++) {
		if (t->point[i].number == number && t->point[i].addr == addr)
			return &t->point[i];
	}
	return NULL;
}

/* Start and stop. */

/* How large the registers are that go into a frame, and where the pc lies among them. */
static void measure_registers(struct rsp_tracer *t)
{
	const struct rsp_base_ops *base = t->target->base;
	unsigned count = base->g_reg_count(t->target->ctx);

	t->block_bytes = 0;
	t->pc_bytes = 0;
	for (unsigned reg = 0; reg < count; reg++) {
		size_t size = base->reg_size(t->target->ctx, reg);

		if (reg == t->ops->pc_reg && size <= 8) {
			t->pc_at = t->block_bytes;
			t->pc_bytes = size;
		}
		t->block_bytes += size;
	}
}

static int arm_all(struct rsp_tracer *t)
{
	for (uint32_t i = 0; i < t->point_count; i++) {
		int error = t->ops->arm(t->target->ctx, i, t->point[i].addr);

		if (error) {
			t->ops->disarm(t->target->ctx);
			return error;
		}
	}
	return 0;
}

static void forget_last_run(struct rsp_tracer *t)
{
	trace_buffer_clear(&t->buffer);
	memset(t->step, 0xff, sizeof(t->step)); /* TRACER_NONE */
	for (uint32_t i = 0; i < t->point_count; i++) {
		t->point[i].hits = 0;
		t->point[i].usage = 0;
	}
	for (uint32_t i = 0; i < t->variable_count; i++)
		t->variable[i].value = t->variable[i].initial;
}

/* One call at a time has its memory, so the old frames go. */
static int get_buffer(struct rsp_tracer *t)
{
	if (t->buffer.bytes && t->buffer.size == t->wanted_size)
		return 0;
	trace_buffer_clear(&t->buffer);
	t->buffer.size = 0;
	t->buffer.bytes = t->ops->buffer(t->target->ctx, t->wanted_size);
	if (!t->buffer.bytes)
		return ENOMEM;
	t->buffer.size = t->wanted_size;
	return 0;
}

int tracer_start(struct rsp_tracer *t)
{
	int error;

	tracer_stop(t, TRACE_STOP_COMMAND);
	t->ops->disarm(t->target->ctx);
	measure_registers(t);
	if (t->block_bytes > TRACER_BLOCK_MAX)
		return E2BIG;
	error = get_buffer(t);
	if (!error)
		error = arm_all(t);
	if (error)
		return error;
	forget_last_run(t);
	t->stop_text[0] = '\0';
	t->is_running = true;
	return 0;
}

void tracer_stop(struct rsp_tracer *t, enum trace_stop why)
{
	if (t->is_running || why == TRACE_NEVER_RAN)
		t->stop = why;
	t->is_running = false;
}

/* The pc of a frame that has no registers is taken for that of its tracepoint. */
uint64_t tracer_frame_pc(const struct rsp_tracer *t, const struct trace_frame *frame)
{
	struct trace_block block;
	size_t at = 0;
	uint64_t pc = 0;

	while (t->pc_bytes && trace_block_next(t, frame, &at, &block)) {
		if (block.kind != 'R')
			continue;
		for (size_t i = t->pc_bytes; i > 0; i--)
			pc = pc << 8 | block.data[t->pc_at + i - 1];
		return pc;
	}
	for (uint32_t i = 0; i < t->point_count; i++) {
		if (t->point[i].number == frame->number)
			return t->point[i].addr;
	}
	return 0;
}

/* What the target asks. */

bool rsp_tracer_is_running(struct rsp_tracer *t)
{
	bool is_running;

	tracer_lock(t);
	is_running = t->is_running;
	tracer_unlock(t);
	return is_running;
}

bool rsp_tracer_leave(struct rsp_tracer *t)
{
	bool goes_on;

	tracer_lock(t);
	goes_on = t->is_running && t->is_disconnected;
	if (!goes_on) {
		tracer_stop(t, TRACE_STOP_DISCONNECTED);
		t->ops->disarm(t->target->ctx);
	}
	tracer_unlock(t);
	return goes_on;
}

bool rsp_tracer_variable_get(struct rsp_tracer *t, unsigned number, int64_t *out_value)
{
	const struct trace_variable *v;

	tracer_lock(t);
	v = tracer_variable(t, number);
	if (v)
		*out_value = v->value;
	tracer_unlock(t);
	return v;
}

bool rsp_tracer_variable_set(struct rsp_tracer *t, unsigned number, int64_t value)
{
	struct trace_variable *v;

	tracer_lock(t);
	v = tracer_variable(t, number);
	if (v)
		v->value = value;
	tracer_unlock(t);
	return v;
}

/* Life. */

int rsp_tracer_open(struct rsp_tracer **out_tracer, const struct rsp_target *target)
{
	const struct rsp_trace_ops *ops = target->trace;
	struct rsp_tracer *t;

	if (!ops || !ops->arm || !ops->disarm || !ops->buffer || !ops->lock || !ops->unlock ||
	    ops->buffer_default > ops->buffer_max || ops->buffer_default == 0)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->target = target;
	t->ops = ops;
	t->wanted_size = ops->buffer_default;
	*out_tracer = t;
	return 0;
}

void rsp_tracer_close(struct rsp_tracer *tracer)
{
	free(tracer);
}
