/* The mock's breakpoints with programs, and its tracepoints; see rsp_mock.h. */
#include "rsp_mock.h"

#include <stdlib.h>
#include <string.h>

static int mock_insert_agent(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind,
			     const struct rsp_agent *agent)
{
	struct rsp_mock *mock = ctx;

	if (rsp_agent_size(agent) > sizeof(mock->last_agent))
		abort();
	mock->agents++;
	rsp_agent_copy(agent, mock->last_agent);
	return mock->brk.insert(ctx, type, addr, kind);
}

static int mock_arm(void *ctx, unsigned tracepoint, uint64_t addr)
{
	struct rsp_mock *mock = ctx;

	if (mock->error)
		return mock->error;
	mock->armed++;
	mock->changes++;
	if (tracepoint < sizeof(mock->armed_addr) / sizeof(mock->armed_addr[0]))
		mock->armed_addr[tracepoint] = addr;
	return 0;
}

static void mock_disarm(void *ctx)
{
	((struct rsp_mock *)ctx)->disarmed++;
}

static uint8_t *mock_buffer(void *ctx, size_t size)
{
	struct rsp_mock *mock = ctx;

	mock->buffers++;
	free(mock->trace_buffer);
	mock->trace_buffer = mock->error ? NULL : malloc(size);
	return mock->trace_buffer;
}

static void mock_lock(void *ctx)
{
	if (((struct rsp_mock *)ctx)->trace_lock++)
		abort();
}

static void mock_unlock(void *ctx)
{
	if (--((struct rsp_mock *)ctx)->trace_lock)
		abort();
}

static size_t view_mem_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	struct rsp_mock *mock = ((struct rsp_mock_view *)ctx)->mock;

	return mock->base.mem_read(mock, 1, addr, out, len);
}

static bool view_reg_read(void *ctx, unsigned reg, uint64_t *out_value)
{
	struct rsp_mock *mock = ((struct rsp_mock_view *)ctx)->mock;

	*out_value = 0;
	if (rsp_mock_reg_size(reg) == 0 || rsp_mock_reg_size(reg) > sizeof(*out_value))
		return false;
	return mock->base.reg_read(mock, 1, reg, (uint8_t *)out_value);
}

static void view_block_read(void *ctx, uint8_t *out, size_t size)
{
	struct rsp_mock *mock = ((struct rsp_mock_view *)ctx)->mock;
	size_t at = 0;
	unsigned reg;

	memset(out, 0, size);
	for (reg = 0; reg < MOCK_G_REGS && at + rsp_mock_reg_size(reg) <= size; reg++) {
		memcpy(out + at, mock->regs[1][reg], rsp_mock_reg_size(reg));
		at += rsp_mock_reg_size(reg);
	}
}

static void view_print(void *ctx, const char *text, size_t len)
{
	struct rsp_mock_view *view = ctx;
	size_t used = view->text ? strlen(view->text) : 0;

	if (!view->text || used + len >= view->size)
		return;
	memcpy(view->text + used, text, len);
	view->text[used + len] = '\0';
}

static bool view_variable_get(void *ctx, unsigned number, int64_t *out_value)
{
	return rsp_tracer_variable_get(((struct rsp_mock_view *)ctx)->mock->tracer, number,
				       out_value);
}

static bool view_variable_set(void *ctx, unsigned number, int64_t value)
{
	return rsp_tracer_variable_set(((struct rsp_mock_view *)ctx)->mock->tracer, number, value);
}

struct rsp_ax_env rsp_mock_env(struct rsp_mock_view *view)
{
	return (struct rsp_ax_env){
		.mem_read = view_mem_read,
		.reg_read = view_reg_read,
		.print = view_print,
		.variable_get = view_variable_get,
		.variable_set = view_variable_set,
		.block_read = view_block_read,
		.ctx = view,
	};
}

void rsp_mock_add_points(struct rsp_mock *mock)
{
	mock->agent = (struct rsp_agent_ops){
		.insert = mock_insert_agent,
		.allows = RSP_AX_VARIABLES,
	};
	mock->trace = (struct rsp_trace_ops){
		.arm = mock_arm,
		.disarm = mock_disarm,
		.buffer = mock_buffer,
		.buffer_default = MOCK_TRACE_SIZE,
		.buffer_max = MOCK_TRACE_MAX,
		.lock = mock_lock,
		.unlock = mock_unlock,
		.pc_reg = MOCK_PC,
	};
}
