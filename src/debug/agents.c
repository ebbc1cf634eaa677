/* The world's bp_hook on top of librspstub's agents.
 *
 * What an agent is belongs to the control thread and stands still while the world runs; vCPU
 * threads share the text alone, under its lock.
 * Source: "Debugging with GDB" E.2 (Z0: cond_list, cmd_list). */
#include "agents.h"
#include "regs.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACEPOINTS 256 /* at a time: as many as the library has */

/* What the world's breakpoints are given as their agent. */
struct point {
	struct rsp_agent *agent; /* NULL: a tracepoint */
	unsigned tracepoint;
};

/* What a breakpoint does. */
struct agent_entry {
	struct point point; /* its agent lies behind this */
	struct agent_entry *next;
	enum bp_kind kind;
	gva_t addr;
	uint64_t len;
};

struct agents {
	struct world *world;
	struct loop_waker *waker;
	struct bp_hook hook;
	unsigned g_parts; /* of struct x86_state, and bytes, of what g carries */
	size_t g_bytes;
	/* Control thread; constant while the world runs. */
	struct agent_entry *first;
	struct rsp_tracer *tracer;
	struct point trace[TRACEPOINTS];
	uint8_t *buffer;

	struct lock trace_lock; /* of what the tracer holds; innermost but for the next */
	struct lock lock;	/* of the rest */
	size_t text_len;
	uint64_t lost; /* bytes that found no room */
	char text[AGENTS_TEXT_MAX];
};

/* One breakpoint that one vCPU meets.  What it prints goes out in one piece, if it fits here. */
#define MEETING_TEXT_MAX 512u
struct meeting {
	struct agents *agents;
	struct vcpu *vcpu;
	size_t text_len;
	char text[MEETING_TEXT_MAX];
};

static void meeting_begin(struct meeting *meeting, struct agents *agents, struct vcpu *vcpu)
{
	meeting->agents = agents;
	meeting->vcpu = vcpu;
	meeting->text_len = 0;
}

static size_t meeting_mem_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	const struct meeting *meeting = ctx;

	return vcpu_own_mem_read(meeting->vcpu, addr, out, len);
}

static bool meeting_reg_read(void *ctx, unsigned reg, uint64_t *out_value)
{
	const struct meeting *meeting = ctx;
	const struct reg_desc *desc = regs_at(reg);
	const struct x86_state *st;
	uint8_t bytes[REG_MAX_BYTES] = {0};

	if (!desc)
		return false;
	st = vcpu_own_state(meeting->vcpu, desc->part);
	if (!st)
		return false;
	regs_read(desc, st, bytes);
	*out_value = le64_get(bytes);
	return true;
}

/* The registers as the g packet has them; those that cannot be read are 0. */
static void meeting_block_read(void *ctx, uint8_t *out, size_t size)
{
	const struct meeting *meeting = ctx;
	const struct agents *agents = meeting->agents;
	const struct x86_state *st = vcpu_own_state(meeting->vcpu, agents->g_parts);

	if (st && size == agents->g_bytes)
		regs_read_g(st, out);
	else
		memset(out, 0, size);
}

static bool meeting_variable_get(void *ctx, unsigned number, int64_t *out_value)
{
	return rsp_tracer_variable_get(((const struct meeting *)ctx)->agents->tracer, number,
				       out_value);
}

static bool meeting_variable_set(void *ctx, unsigned number, int64_t value)
{
	return rsp_tracer_variable_set(((const struct meeting *)ctx)->agents->tracer, number,
				       value);
}

static void add_text(struct agents *agents, const char *text, size_t len)
{
	if (len == 0)
		return;
	lock_take(&agents->lock);
	if (len <= sizeof(agents->text) - agents->text_len && !agents->lost) {
		memcpy(agents->text + agents->text_len, text, len);
		agents->text_len += len;
	} else {
		agents->lost += len;
	}
	lock_drop(&agents->lock);
	loop_wake(agents->waker);
}

static void meeting_end(struct meeting *meeting)
{
	add_text(meeting->agents, meeting->text, meeting->text_len);
	meeting->text_len = 0;
}

static void meeting_print(void *ctx, const char *text, size_t len)
{
	struct meeting *meeting = ctx;

	if (len > sizeof(meeting->text) - meeting->text_len)
		meeting_end(meeting);
	if (len > sizeof(meeting->text)) {
		add_text(meeting->agents, text, len);
		return;
	}
	memcpy(meeting->text + meeting->text_len, text, len);
	meeting->text_len += len;
}

static struct rsp_ax_env env_of(struct meeting *meeting)
{
	return (struct rsp_ax_env){
		.mem_read = meeting_mem_read,
		.reg_read = meeting_reg_read,
		.print = meeting_print,
		.variable_get = meeting_variable_get,
		.variable_set = meeting_variable_set,
		.block_read = meeting_block_read,
		.ctx = meeting,
	};
}

static unsigned meet(void *ctx, struct vcpu *vcpu, void *agent)
{
	const struct point *point = agent;
	struct meeting meeting;
	const struct rsp_ax_env env = env_of(&meeting);
	unsigned found = 0;

	meeting_begin(&meeting, ctx, vcpu);
	if (point->agent)
		found = rsp_agent_meet(point->agent, &env) ? BP_STOP : 0;
	else if (rsp_tracer_hit(meeting.agents->tracer, point->tracepoint, vcpu_index(vcpu) + 1,
				&env))
		found = BP_WATCH;
	meeting_end(&meeting);
	return found;
}

static bool stepped(void *ctx, struct vcpu *vcpu)
{
	struct meeting meeting;
	const struct rsp_ax_env env = env_of(&meeting);
	bool goes_on;

	meeting_begin(&meeting, ctx, vcpu);
	goes_on = rsp_tracer_stepped(meeting.agents->tracer, vcpu_index(vcpu) + 1, &env);
	meeting_end(&meeting);
	return goes_on;
}

/* Tracepoints. */

void agents_set_tracer(struct agents *agents, struct rsp_tracer *tracer)
{
	agents->tracer = tracer;
}

int agents_arm(struct agents *agents, unsigned tracepoint, gva_t addr, struct umbra_err *err)
{
	if (tracepoint >= TRACEPOINTS)
		return umbra_err_set(err, ENOSPC, "there are more than %u tracepoints",
				     TRACEPOINTS);
	agents->trace[tracepoint] = (struct point){.tracepoint = tracepoint};
	return bp_insert_trace(agents->world, addr, &agents->trace[tracepoint], err);
}

/* What nothing was written to costs no memory. */
uint8_t *agents_trace_buffer(struct agents *agents, size_t size)
{
	free(agents->buffer);
	agents->buffer = calloc(1, size);
	return agents->buffer;
}

void agents_lock_trace(struct agents *agents)
{
	lock_take(&agents->trace_lock);
}

void agents_unlock_trace(struct agents *agents)
{
	lock_drop(&agents->trace_lock);
}

/* The table. */

static struct agent_entry *make_entry(enum bp_kind kind, gva_t addr, uint64_t len,
				      const struct rsp_agent *agent)
{
	struct agent_entry *entry = malloc(sizeof(*entry) + rsp_agent_size(agent));

	if (entry)
		*entry = (struct agent_entry){.kind = kind,
					      .addr = addr,
					      .len = len,
					      .point.agent = rsp_agent_copy(agent, entry + 1)};
	return entry;
}

/* An execution breakpoint has no length of its own (bp_insert). */
static bool is_entry_of(const struct agent_entry *entry, enum bp_kind kind, gva_t addr,
			uint64_t len)
{
	bool is_exec = kind == BP_SOFT || kind == BP_HARD;

	return entry->kind == kind && entry->addr == addr && (is_exec || entry->len == len);
}

void agents_forget(struct agents *agents, enum bp_kind kind, gva_t addr, uint64_t len)
{
	for (struct agent_entry **at = &agents->first; *at; at = &(*at)->next) {
		struct agent_entry *entry = *at;

		if (is_entry_of(entry, kind, addr, len)) {
			*at = entry->next;
			free(entry);
			return;
		}
	}
}

void agents_clear(struct agents *agents)
{
	while (agents->first) {
		struct agent_entry *entry = agents->first;

		agents->first = entry->next;
		free(entry);
	}
}

int agents_insert(struct agents *agents, enum bp_kind kind, gva_t addr, uint64_t len,
		  const struct rsp_agent *agent, struct umbra_err *err)
{
	struct agent_entry *entry = agent ? make_entry(kind, addr, len, agent) : NULL;
	int error;

	if (agent && !entry)
		return umbra_err_set(err, ENOMEM, "out of memory for a breakpoint's conditions");
	error = bp_insert(agents->world, kind, addr, len, err);
	if (error) {
		free(entry);
		return error;
	}
	bp_set_agent(agents->world, kind, addr, len, entry ? &entry->point : NULL);
	agents_forget(agents, kind, addr, len);
	if (entry) {
		entry->next = agents->first;
		agents->first = entry;
	}
	return 0;
}

/* Text. */

void agents_take_text(struct agents *agents, void (*put)(void *ctx, const char *text, size_t len),
		      void *ctx)
{
	char note[80];
	uint64_t lost;
	int len;

	lock_take(&agents->lock);
	if (agents->text_len)
		put(ctx, agents->text, agents->text_len);
	lost = agents->lost;
	agents->text_len = 0;
	agents->lost = 0;
	lock_drop(&agents->lock);
	if (!lost)
		return;
	len = snprintf(note, sizeof(note), "\n[%llu bytes were printed too fast and are lost]\n",
		       (unsigned long long)lost);
	put(ctx, note, (size_t)len);
}

/* Life. */

int agents_open(struct agents **out_agents, struct world *world, struct loop_waker *waker)
{
	struct agents *agents = calloc(1, sizeof(*agents));

	if (!agents)
		return -ENOMEM;
	if (lock_init(&agents->lock) != 0) {
		free(agents);
		return -ENOMEM;
	}
	if (lock_init(&agents->trace_lock) != 0) {
		lock_end(&agents->lock);
		free(agents);
		return -ENOMEM;
	}
	agents->world = world;
	agents->waker = waker;
	agents->hook = (struct bp_hook){.meet = meet, .stepped = stepped, .ctx = agents};
	agents->g_parts = regs_g_parts();
	for (unsigned reg = 0; reg < regs_g_count(); reg++)
		agents->g_bytes += regs_size(reg);
	world_set_bp_hook(world, &agents->hook);
	*out_agents = agents;
	return 0;
}

void agents_close(struct agents *agents)
{
	if (!agents)
		return;
	agents_clear(agents);
	lock_end(&agents->lock);
	lock_end(&agents->trace_lock);
	free(agents->buffer);
	free(agents);
}
