/* Breakpoints with conditions and commands: out of the Z packet, into the target's memory, and what
 * they do when they are hit.
 *
 * Source: Debugging with GDB, E.2 Packets (Z0). */
#include "agent.h"

#include <stdio.h>
#include <string.h>

/* The Z packet. */

static bool refuse(struct agent_parser *p, const char *why)
{
	if (!p->why[0])
		snprintf(p->why, sizeof(p->why), "%s", why);
	return false;
}

/* "LEN,HEX", decoded where it stands. */
static bool take_program(struct rsp_cursor *cursor, struct rsp_program *out, struct agent_parser *p)
{
	uint64_t len;
	uint8_t *code;

	if (!rsp_parse_u64(cursor, &len) || !rsp_parse_char(cursor, ',') || len > RSP_AX_MAX ||
	    2 * len > (size_t)(cursor->end - cursor->at))
		return refuse(p, "an agent expression has another length than it says");
	code = p->packet_end - (cursor->end - cursor->at);
	if (!rsp_hex_decode(code, code, 2 * len))
		return refuse(p, "an agent expression is not hexadecimal");
	cursor->at += 2 * len;
	*out = (struct rsp_program){code, len};
	return rsp_ax_check(code, len, &p->rules, p->why);
}

/* "XLEN,HEX", any number of them, with or without a ';' between. */
static bool take_list(struct rsp_cursor *cursor, struct rsp_program *list, unsigned *count,
		      struct agent_parser *p)
{
	while (rsp_parse_char(cursor, 'X')) {
		if (*count == RSP_AGENT_PROGRAMS)
			return refuse(p, "a breakpoint has too many conditions or commands");
		if (!take_program(cursor, &list[*count], p))
			return false;
		(*count)++;
	}
	return true;
}

static bool skip_word(struct rsp_cursor *cursor, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0)
		return false;
	cursor->at += len;
	return true;
}

/* Whether commands are to go on without the client: none of its breakpoints does here. */
static bool skip_persist(struct rsp_cursor *cursor)
{
	uint64_t persist;

	return rsp_parse_u64(cursor, &persist) && rsp_parse_char(cursor, ',');
}

static bool take_section(struct rsp_cursor *cursor, struct rsp_agent *out, struct agent_parser *p)
{
	if (skip_word(cursor, "cmds:")) {
		p->rules.must_have_value = false;
		p->rules.allows |= RSP_AX_PRINT;
		return (skip_persist(cursor) || refuse(p, "cmds: lacks its first argument")) &&
		       take_list(cursor, out->command, &out->command_count, p);
	}
	if (cursor->at == cursor->end || *cursor->at != 'X')
		return refuse(p, "a breakpoint has something that is no condition or command");
	p->rules.must_have_value = true;
	p->rules.allows &= ~(unsigned)RSP_AX_PRINT;
	return take_list(cursor, out->condition, &out->condition_count, p);
}

bool agent_parse(struct rsp_cursor *cursor, struct rsp_agent *out, struct agent_parser *p)
{
	out->condition_count = 0;
	out->command_count = 0;
	p->why[0] = '\0';
	do {
		if (!take_section(cursor, out, p))
			return false;
	} while (rsp_parse_char(cursor, ';'));
	return cursor->at == cursor->end || refuse(p, "a breakpoint's conditions do not end");
}

/* In the target's memory. */

static size_t bytes_of(const struct rsp_program *list, unsigned count)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += list[i].len;
	return bytes;
}

size_t rsp_agent_size(const struct rsp_agent *agent)
{
	return sizeof(*agent) + bytes_of(agent->condition, agent->condition_count) +
	       bytes_of(agent->command, agent->command_count);
}

static uint8_t *copy_list(struct rsp_program *list, unsigned count, uint8_t *room)
{
	for (unsigned i = 0; i < count; i++) {
		memcpy(room, list[i].code, list[i].len);
		list[i].code = room;
		room += list[i].len;
	}
	return room;
}

struct rsp_agent *rsp_agent_copy(const struct rsp_agent *agent, void *room)
{
	struct rsp_agent *copy = room;
	uint8_t *behind = (uint8_t *)room + sizeof(*copy);

	*copy = *agent;
	behind = copy_list(copy->condition, copy->condition_count, behind);
	copy_list(copy->command, copy->command_count, behind);
	return copy;
}

/* When it is hit. */

static void print_fault(const struct rsp_ax_env *env, const char *what,
			const struct rsp_ax_fault *fault)
{
	char why[RSP_AX_ERROR_MAX];
	char line[sizeof(why) + 64];
	int len;

	rsp_ax_describe(fault, why, sizeof(why));
	len = snprintf(line, sizeof(line), "the breakpoint's %s: %s\n", what, why);
	env->print(env->ctx, line, (size_t)len);
}

static bool is_met(const struct rsp_agent *agent, const struct rsp_ax_env *env, bool *out_is_fault)
{
	struct rsp_ax_fault fault;
	uint64_t value;

	for (unsigned i = 0; i < agent->condition_count; i++) {
		*out_is_fault = !rsp_ax_run(agent->condition[i].code, env, &value, &fault);
		if (*out_is_fault)
			print_fault(env, "condition", &fault);
		if (*out_is_fault || value)
			return true;
	}
	return agent->condition_count == 0;
}

bool rsp_agent_meet(const struct rsp_agent *agent, const struct rsp_ax_env *env)
{
	struct rsp_ax_fault fault;
	bool is_fault = false;
	uint64_t value;

	if (!is_met(agent, env, &is_fault))
		return false;
	if (is_fault || agent->command_count == 0)
		return true;
	for (unsigned i = 0; i < agent->command_count; i++) {
		if (!rsp_ax_run(agent->command[i].code, env, &value, &fault))
			print_fault(env, "command", &fault);
	}
	return false;
}
