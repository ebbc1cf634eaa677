/* Tracepoints, their sources and the read-only parts of memory, out of the packets.
 *
 * A definition comes in several packets; a tracepoint counts once the last one came.
 * Source: Debugging with GDB, E.6 (QTDP, QTDPsrc, QTro). */
#include "tracer.h"

#include <stdio.h>
#include <string.h>

#define MEMORY_MAX (1u << 20) /* bytes of one M action */
#define STEPS_MAX  1000000u

static bool refuse(struct trace_parser *p, const char *why)
{
	if (!p->why[0])
		snprintf(p->why, sizeof(p->why), "%s", why);
	return false;
}

static bool is_malformed(struct trace_parser *p)
{
	return refuse(p, "a tracepoint definition is malformed");
}

static bool take_colon_number(struct rsp_cursor *cursor, uint64_t *out_value)
{
	return rsp_parse_char(cursor, ':') && rsp_parse_u64(cursor, out_value);
}

/* A '-' at the very end: another packet follows. */
static bool take_more(struct rsp_cursor *cursor)
{
	return cursor->end - cursor->at == 1 && rsp_parse_char(cursor, '-');
}

/* "LEN,HEX", decoded where it stands, checked and kept. */
static bool take_program(struct rsp_tracer *t, struct trace_parser *p, bool must_have_value,
			 struct trace_text *out)
{
	const struct rsp_ax_rules rules = {
		.allows = RSP_AX_VARIABLES | (must_have_value ? 0u : RSP_AX_RECORD),
		.must_have_value = must_have_value,
		.reg_size = t->target->base->reg_size,
		.ctx = t->target->ctx,
	};
	uint64_t len;
	uint8_t *code;

	if (!rsp_parse_u64(&p->cursor, &len) || !rsp_parse_char(&p->cursor, ',') ||
	    len > RSP_AX_MAX || 2 * len > (size_t)(p->cursor.end - p->cursor.at))
		return refuse(p, "an agent expression has another length than it says");
	code = p->end - (p->cursor.end - p->cursor.at);
	if (!rsp_hex_decode(code, code, 2 * len))
		return refuse(p, "an agent expression is not hexadecimal");
	p->cursor.at += 2 * len;
	if (!rsp_ax_check(code, len, &rules, p->why))
		return false;
	return tracer_keep(t, code, len, out) || refuse(p, "there are too many tracepoints");
}

/* Actions. */

static bool add_action(struct rsp_tracer *t, struct trace_point *point,
		       const struct trace_action *action, struct trace_parser *p)
{
	bool part = point->is_stepping_part;
	uint32_t index = t->action_count;

	if (index == TRACER_ACTIONS)
		return refuse(p, "there are too many tracepoint actions");
	t->action[index] = *action;
	t->action[index].next = TRACER_NONE;
	t->action_count++;
	if (point->last[part] == TRACER_NONE)
		point->first[part] = index;
	else
		t->action[point->last[part]].next = index;
	point->last[part] = index;
	return true;
}

/* R and a mask of registers.  All that g carries are collected, whatever the mask: they come at
 * once. */
static bool take_registers(struct trace_parser *p, struct trace_action *out)
{
	out->kind = TRACE_REGISTERS;
	if (p->cursor.at == p->cursor.end || rsp_hex_digit(*p->cursor.at) < 0)
		return is_malformed(p);
	while (p->cursor.at < p->cursor.end && rsp_hex_digit(*p->cursor.at) >= 0)
		p->cursor.at++;
	return true;
}

/* M BASE,OFFSET,LEN with a base of -1 for none. */
static bool take_memory(struct rsp_tracer *t, struct trace_parser *p, struct trace_action *out)
{
	uint64_t base = 0;
	size_t size;

	out->kind = TRACE_MEMORY;
	out->has_base = !rsp_parse_char(&p->cursor, '-');
	if (!rsp_parse_u64(&p->cursor, &base) || !rsp_parse_char(&p->cursor, ',') ||
	    !rsp_parse_u64(&p->cursor, &out->offset) || !rsp_parse_char(&p->cursor, ',') ||
	    !rsp_parse_u64(&p->cursor, &out->len))
		return is_malformed(p);
	if (out->len > MEMORY_MAX)
		return refuse(p, "a tracepoint collects more than 1 MiB at once");
	if (!out->has_base)
		return base == 1 || is_malformed(p);
	size = base <= UINT16_MAX ? t->target->base->reg_size(t->target->ctx, (unsigned)base) : 0;
	out->base = (uint16_t)base;
	return (size >= 1 && size <= 8) || refuse(p, "a tracepoint's base register does not exist");
}

static bool take_action(struct rsp_tracer *t, struct trace_point *point, struct trace_parser *p)
{
	struct trace_action action = {.next = TRACER_NONE};
	uint8_t letter = *p->cursor.at++;
	bool is_taken;

	switch (letter) {
	case 'R':
		is_taken = take_registers(p, &action);
		break;
	case 'M':
		is_taken = take_memory(t, p, &action);
		break;
	case 'X':
		action.kind = TRACE_PROGRAM;
		is_taken = take_program(t, p, false, &action.program);
		break;
	default:
		return refuse(p, "a tracepoint action is not known");
	}
	return is_taken && add_action(t, point, &action, p);
}

/* Keep a piece of a definition for qTfP. */
static bool keep_item(struct rsp_tracer *t, const struct trace_point *point, char kind,
		      const uint8_t *text, size_t len, struct trace_parser *p)
{
	struct trace_item *item = &t->item[t->item_count];

	if (t->item_count == TRACER_ITEMS || !tracer_keep(t, text, len, &item->text))
		return refuse(p, "there are too many tracepoints");
	item->point = (uint32_t)(point - t->point);
	item->kind = kind;
	t->item_count++;
	return true;
}

/* -N:ADDR:ACTIONS */
static bool define_actions(struct rsp_tracer *t, struct trace_point *point, struct trace_parser *p)
{
	size_t len;

	if (rsp_parse_char(&p->cursor, 'S'))
		point->is_stepping_part = true;
	len = (size_t)(p->cursor.end - p->cursor.at);
	if (len && p->cursor.end[-1] == '-')
		len--;
	if (!keep_item(t, point, point->is_stepping_part ? 'S' : 'A', p->cursor.at, len, p))
		return false;
	while (p->cursor.at < p->cursor.end && *p->cursor.at != '-') {
		if (!take_action(t, point, p))
			return false;
	}
	point->is_complete = !take_more(&p->cursor);
	return p->cursor.at == p->cursor.end || is_malformed(p);
}

/* Tracepoints. */

/* :F LEN and :S say that it could be done in a quicker way than by stopping: they change nothing
 * here.  :X is its condition. */
static bool take_options(struct rsp_tracer *t, struct trace_point *point, struct trace_parser *p)
{
	uint64_t len;

	while (rsp_parse_char(&p->cursor, ':')) {
		if (rsp_parse_char(&p->cursor, 'X')) {
			if (!take_program(t, p, true, &point->condition))
				return false;
		} else if (rsp_parse_char(&p->cursor, 'F')) {
			if (!rsp_parse_u64(&p->cursor, &len))
				return is_malformed(p);
		} else if (!rsp_parse_char(&p->cursor, 'S')) {
			return is_malformed(p);
		}
	}
	point->is_complete = !take_more(&p->cursor);
	return p->cursor.at == p->cursor.end || is_malformed(p);
}

/* N:ADDR:E:STEP:PASS and options */
static bool define_point(struct rsp_tracer *t, uint64_t number, uint64_t addr,
			 struct trace_parser *p)
{
	struct trace_point *point = &t->point[t->point_count];
	struct rsp_cursor *cursor = &p->cursor;

	if (number == 0 || number > UINT16_MAX)
		return refuse(p, "a tracepoint's number is not within 1 to 65535");
	if (tracer_point(t, number, addr))
		return refuse(p, "a tracepoint of this number is there already");
	if (t->point_count == TRACER_POINTS)
		return refuse(p, "there are too many tracepoints");
	*point = (struct trace_point){
		.number = (uint32_t)number,
		.addr = addr,
		.first = {TRACER_NONE, TRACER_NONE},
		.last = {TRACER_NONE, TRACER_NONE},
	};
	point->is_enabled = rsp_parse_char(cursor, 'E');
	if ((!point->is_enabled && !rsp_parse_char(cursor, 'D')) ||
	    !take_colon_number(cursor, &point->step_count) ||
	    !take_colon_number(cursor, &point->pass_count))
		return is_malformed(p);
	if (point->step_count > STEPS_MAX)
		return refuse(p, "a tracepoint steps more than a million times");
	if (!take_options(t, point, p))
		return false;
	t->point_count++;
	return true;
}

bool trace_define_point(struct rsp_tracer *t, struct trace_parser *p)
{
	bool is_continued = rsp_parse_char(&p->cursor, '-');
	struct trace_point *point;
	uint64_t number, addr;
	int error;

	if (!rsp_parse_u64(&p->cursor, &number) || !take_colon_number(&p->cursor, &addr) ||
	    !rsp_parse_char(&p->cursor, ':'))
		return is_malformed(p);
	if (!is_continued && !define_point(t, number, addr, p))
		return false;
	point = tracer_point(t, number, addr);
	if (!point)
		return refuse(p, "actions of a tracepoint that does not exist");
	if (is_continued && !define_actions(t, point, p))
		return false;
	/* One that is added to a trace under way works at once. */
	if (!t->is_running || !point->is_complete)
		return true;
	error = t->ops->arm(t->target->ctx, (unsigned)(point - t->point), addr);
	return !error || refuse(p, "the target cannot have this tracepoint");
}

/* N:ADDR:TYPE:START:LEN:HEX, of which all behind ADDR is given back as it came. */
bool trace_define_source(struct rsp_tracer *t, struct trace_parser *p)
{
	const struct trace_point *point;
	uint64_t number, addr;

	if (!rsp_parse_u64(&p->cursor, &number) || !take_colon_number(&p->cursor, &addr) ||
	    !rsp_parse_char(&p->cursor, ':'))
		return is_malformed(p);
	point = tracer_point(t, number, addr);
	if (!point)
		return refuse(p, "the source of a tracepoint that does not exist");
	return keep_item(t, point, 'Z', p->cursor.at, (size_t)(p->cursor.end - p->cursor.at), p);
}

/* START,END:START,END... */
bool trace_define_regions(struct rsp_tracer *t, struct trace_parser *p)
{
	struct trace_region region;

	t->region_count = 0;
	do {
		if (!rsp_parse_u64(&p->cursor, &region.start) || !rsp_parse_char(&p->cursor, ',') ||
		    !rsp_parse_u64(&p->cursor, &region.end))
			return is_malformed(p);
		/* What finds no room is read from nowhere: the client has the file. */
		if (t->region_count < TRACER_REGIONS)
			t->region[t->region_count++] = region;
	} while (rsp_parse_char(&p->cursor, ':'));
	return p->cursor.at == p->cursor.end || is_malformed(p);
}
