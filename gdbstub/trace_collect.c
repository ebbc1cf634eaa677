/* What happens at a tracepoint: its condition, what it collects, and the steps behind it.  On the
 * target's threads, under the tracer's lock.
 *
 * An expression that cannot be evaluated ends the trace, as the protocol has it ("terror"); memory
 * that is not there is left out of the frame.
 * Source: Debugging with GDB, 13 (Tracepoints), E.6 (Tracepoint Packets). */
#include "tracer.h"

#include <stdio.h>
#include <string.h>

#define BLOCK_MAX 0xffffu /* bytes of an M block */

/* One hit or step, as its programs see it. */
struct collecting {
	struct rsp_tracer *t;
	const struct rsp_ax_env *env;
};

static void put(uint8_t *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

/* Blocks. */

static void collect_registers(struct collecting *c)
{
	uint8_t *block = trace_frame_grow(&c->t->buffer, 1 + c->t->block_bytes);

	if (!block)
		return;
	block[0] = 'R';
	c->env->block_read(c->env->ctx, block + 1, c->t->block_bytes);
}

/* One block; false when not all of it could be read. */
static bool collect_block(struct collecting *c, uint64_t addr, size_t len)
{
	struct trace_buffer *b = &c->t->buffer;
	uint8_t *block = trace_frame_grow(b, 11 + len);
	size_t got;

	if (!block)
		return true; /* a full buffer is no fault of the program's */
	got = c->env->mem_read(c->env->ctx, addr, block + 11, len);
	b->building -= len - got;
	if (got == 0) {
		b->building -= 11;
		return false;
	}
	block[0] = 'M';
	put(block + 1, addr, 8);
	put(block + 9, got, 2);
	return got == len;
}

static bool collect_memory(struct collecting *c, uint64_t addr, uint64_t len)
{
	while (len > 0) {
		size_t part = len < BLOCK_MAX ? (size_t)len : BLOCK_MAX;

		if (!collect_block(c, addr, part))
			return false;
		if (c->t->buffer.is_lost)
			return true;
		addr += part;
		len -= part;
	}
	return true;
}

/* Up to and with the first NUL. */
static bool collect_string(struct collecting *c, uint64_t addr, uint64_t limit)
{
	uint8_t chunk[64];
	uint64_t len = 0;

	while (len < limit) {
		size_t part = limit - len < sizeof(chunk) ? (size_t)(limit - len) : sizeof(chunk);
		size_t got = c->env->mem_read(c->env->ctx, addr + len, chunk, part);
		const uint8_t *nul = memchr(chunk, 0, got);

		if (nul)
			return collect_memory(c, addr, len + (size_t)(nul - chunk) + 1);
		len += got;
		if (got < part)
			break;
	}
	return collect_memory(c, addr, len) && len == limit;
}

/* The environment of programs. */

static size_t env_mem_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	const struct rsp_ax_env *env = ((const struct collecting *)ctx)->env;

	return env->mem_read(env->ctx, addr, out, len);
}

static bool env_reg_read(void *ctx, unsigned reg, uint64_t *out_value)
{
	const struct rsp_ax_env *env = ((const struct collecting *)ctx)->env;

	return env->reg_read(env->ctx, reg, out_value);
}

static bool env_variable_get(void *ctx, unsigned number, int64_t *out_value)
{
	const struct trace_variable *v = tracer_variable(((struct collecting *)ctx)->t, number);

	if (v)
		*out_value = v->value;
	return v;
}

static bool env_variable_set(void *ctx, unsigned number, int64_t value)
{
	struct trace_variable *v = tracer_variable(((struct collecting *)ctx)->t, number);

	if (v)
		v->value = value;
	return v;
}

static bool env_record(void *ctx, uint64_t addr, uint64_t len, bool is_string)
{
	/* Memory that is not there is what the frame then says; it is no error. */
	if (is_string)
		collect_string(ctx, addr, len);
	else
		collect_memory(ctx, addr, len);
	return true;
}

static bool env_record_variable(void *ctx, unsigned number)
{
	struct collecting *c = ctx;
	const struct trace_variable *v = tracer_variable(c->t, number);
	uint8_t *block;

	if (!v)
		return false;
	block = trace_frame_grow(&c->t->buffer, 13);
	if (!block)
		return true;
	block[0] = 'V';
	put(block + 1, number, 4);
	put(block + 5, (uint64_t)v->value, 8);
	return true;
}

static bool run(struct collecting *c, const struct trace_text *program, uint64_t *out_value,
		struct rsp_ax_fault *out_fault)
{
	const struct rsp_ax_env env = {
		.mem_read = env_mem_read,
		.reg_read = env_reg_read,
		.variable_get = env_variable_get,
		.variable_set = env_variable_set,
		.record = env_record,
		.record_variable = env_record_variable,
		.ctx = c,
	};

	return rsp_ax_run(c->t->text + program->at, &env, out_value, out_fault);
}

/* The trace ends with what went wrong at @point. */
static void end_with_error(struct rsp_tracer *t, const struct trace_point *point,
			   const struct rsp_ax_fault *fault)
{
	rsp_ax_describe(fault, t->stop_text, sizeof(t->stop_text));
	t->stop_number = point->number;
	tracer_stop(t, TRACE_STOP_ERROR);
}

/* Actions. */

static void collect_range(struct collecting *c, const struct trace_action *action)
{
	uint64_t addr = action->offset, base;

	if (action->has_base) {
		if (!c->env->reg_read(c->env->ctx, action->base, &base))
			return;
		addr += base;
	}
	collect_memory(c, addr, action->len);
}

/* False: the trace has ended. */
static bool act(struct collecting *c, const struct trace_point *point,
		const struct trace_action *action)
{
	struct rsp_ax_fault fault;
	uint64_t value;

	switch (action->kind) {
	case TRACE_REGISTERS:
		collect_registers(c);
		return true;
	case TRACE_MEMORY:
		collect_range(c, action);
		return true;
	case TRACE_PROGRAM:
		break;
	}
	if (run(c, &action->program, &value, &fault))
		return true;
	end_with_error(c->t, point, &fault);
	return false;
}

/* One frame of @point: of its actions there, or of those after each step. */
static void collect_frame(struct collecting *c, struct trace_point *point, bool is_step)
{
	struct rsp_tracer *t = c->t;
	uint32_t i = point->first[is_step];

	trace_frame_begin(&t->buffer, (uint16_t)point->number);
	while (i != TRACER_NONE && act(c, point, &t->action[i]))
		i = t->action[i].next;
	/* What was collected before an error is worth having. */
	point->usage += trace_frame_end(&t->buffer);
	if (t->buffer.is_lost && !t->buffer.is_circular && t->is_running)
		tracer_stop(t, TRACE_STOP_FULL);
}

static bool is_condition_met(struct collecting *c, const struct trace_point *point)
{
	struct rsp_ax_fault fault;
	uint64_t value = 1;

	if (point->condition.len && !run(c, &point->condition, &value, &fault)) {
		end_with_error(c->t, point, &fault);
		return false;
	}
	return value != 0;
}

/* Have @thread step for @point; one that steps already begins anew. */
static bool begin_steps(struct rsp_tracer *t, unsigned thread, uint32_t index)
{
	struct trace_step *free_step = NULL;

	for (unsigned i = 0; i < TRACER_NESTED; i++) {
		struct trace_step *step = &t->step[thread][i];

		if (step->point == index || (step->point == TRACER_NONE && !free_step))
			free_step = step;
		if (step->point == index)
			break;
	}
	if (!free_step)
		return false;
	*free_step = (struct trace_step){index, t->point[index].step_count};
	return true;
}

static bool hit(struct collecting *c, uint32_t index, unsigned thread)
{
	struct rsp_tracer *t = c->t;
	struct trace_point *point = &t->point[index];

	if (!t->is_running || index >= t->point_count || !point->is_enabled ||
	    !is_condition_met(c, point))
		return false;
	point->hits++;
	collect_frame(c, point, false);
	if (t->is_running && point->pass_count && point->hits >= point->pass_count) {
		t->stop_number = point->number;
		tracer_stop(t, TRACE_STOP_PASSES);
	}
	return t->is_running && point->step_count && begin_steps(t, thread, index);
}

bool rsp_tracer_hit(struct rsp_tracer *t, unsigned tracepoint, unsigned thread,
		    const struct rsp_ax_env *env)
{
	struct collecting c = {t, env};
	bool wants_steps;

	if (thread > RSP_MAX_THREADS)
		return false;
	tracer_lock(t);
	wants_steps = hit(&c, tracepoint, thread);
	tracer_unlock(t);
	return wants_steps;
}

static bool step(struct collecting *c, unsigned thread)
{
	struct rsp_tracer *t = c->t;
	bool wants_more = false;

	for (unsigned i = 0; i < TRACER_NESTED && t->is_running; i++) {
		struct trace_step *step = &t->step[thread][i];

		if (step->point == TRACER_NONE)
			continue;
		collect_frame(c, &t->point[step->point], true);
		if (--step->left == 0)
			step->point = TRACER_NONE;
		else
			wants_more = true;
	}
	return wants_more && t->is_running;
}

bool rsp_tracer_stepped(struct rsp_tracer *t, unsigned thread, const struct rsp_ax_env *env)
{
	struct collecting c = {t, env};
	bool wants_more;

	if (thread > RSP_MAX_THREADS)
		return false;
	tracer_lock(t);
	wants_more = step(&c, thread);
	tracer_unlock(t);
	return wants_more;
}
