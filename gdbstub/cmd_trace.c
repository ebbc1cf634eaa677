/* Tracepoints: the packets that define, run and describe a trace.  Its frames are read in
 * cmd_frame.c.
 *
 * Source: Debugging with GDB, E.6 (Tracepoint Packets). */
#include "tracer.h"

#include <stdio.h>
#include <string.h>

static const char no_such_point[] = "there is no such tracepoint";

static struct rsp_tracer *enter(const struct rsp_session *s)
{
	tracer_lock(s->target->tracer);
	return s->target->tracer;
}

/* Leave the tracer and answer; @error is 0 or an errno value. */
static void leave(struct rsp_session *s, int error)
{
	tracer_unlock(s->target->tracer);
	rsp_answer_result(s, error);
}

static void leave_refused(struct rsp_session *s, const char *why)
{
	tracer_unlock(s->target->tracer);
	rsp_reply_begin(s);
	rsp_reply_text(s, "E.");
	rsp_reply_text(s, why);
	rsp_reply_end(s);
}

/* Definitions. */

void rsp_cmd_trace_init(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	tracer_clear(enter(s));
	s->has_frame = false;
	leave(s, 0);
}

typedef bool define_fn(struct rsp_tracer *t, struct trace_parser *p);

static void define(struct rsp_session *s, const struct rsp_args *args, define_fn *fn)
{
	struct trace_parser parser = {
		.cursor = {args->data, args->data + args->data_len},
		.end = args->packet_end,
	};

	if (fn(enter(s), &parser))
		leave(s, 0);
	else
		leave_refused(s, parser.why);
}

void rsp_cmd_trace_point(struct rsp_session *s, const struct rsp_args *args)
{
	define(s, args, trace_define_point);
}

void rsp_cmd_trace_source(struct rsp_session *s, const struct rsp_args *args)
{
	define(s, args, trace_define_source);
}

void rsp_cmd_trace_read_only(struct rsp_session *s, const struct rsp_args *args)
{
	define(s, args, trace_define_regions);
}

static bool is_name(const struct rsp_args *args)
{
	for (size_t i = 0; i < args->data_len; i++) {
		if (args->data[i] < ' ' || args->data[i] > '~')
			return false;
	}
	return args->data_len <= TRACER_NAME_MAX;
}

void rsp_cmd_trace_variable(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_tracer *t = enter(s);
	struct trace_variable *v = tracer_variable(t, args->number[0]);

	if (args->number[0] > UINT16_MAX || !is_name(args)) {
		leave(s, RSP_WIRE_EINVAL);
		return;
	}
	if (!v && t->variable_count == TRACER_VARIABLES) {
		leave_refused(s, "there are too many trace state variables");
		return;
	}
	if (!v)
		v = &t->variable[t->variable_count++];
	*v = (struct trace_variable){
		.number = (uint32_t)args->number[0],
		.initial = (int64_t)args->number[1],
		.value = (int64_t)args->number[1],
		.is_builtin = args->number[2] != 0,
		.name_len = (uint8_t)args->data_len,
	};
	memcpy(v->name, args->data, args->data_len);
	leave(s, 0);
}

static void set_enabled(struct rsp_session *s, const struct rsp_args *args, bool is_enabled)
{
	struct trace_point *point = tracer_point(enter(s), args->number[0], args->number[1]);

	if (!point) {
		leave_refused(s, no_such_point);
		return;
	}
	point->is_enabled = is_enabled;
	leave(s, 0);
}

void rsp_cmd_trace_enable(struct rsp_session *s, const struct rsp_args *args)
{
	set_enabled(s, args, true);
}

void rsp_cmd_trace_disable(struct rsp_session *s, const struct rsp_args *args)
{
	set_enabled(s, args, false);
}

/* The run. */

void rsp_cmd_trace_start(struct rsp_session *s, const struct rsp_args *args)
{
	int error;

	(void)args;
	s->has_frame = false;
	error = tracer_start(enter(s));
	if (error)
		leave_refused(s,
			      "the trace cannot start: a tracepoint cannot be set here, or there "
			      "is no memory for the buffer");
	else
		leave(s, 0);
}

void rsp_cmd_trace_stop(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_tracer *t = enter(s);

	(void)args;
	tracer_stop(t, TRACE_STOP_COMMAND);
	t->ops->disarm(t->target->ctx);
	leave(s, 0);
}

void rsp_cmd_trace_disconnected(struct rsp_session *s, const struct rsp_args *args)
{
	enter(s)->is_disconnected = args->number[0] != 0;
	leave(s, 0);
}

/* circular:1, size:N; a size of -1 is what the target likes. */
static bool set_buffer(struct rsp_tracer *t, struct rsp_cursor *cursor)
{
	uint64_t value = 0;

	if (rsp_parse_word(cursor, "circular:")) {
		if (!rsp_parse_u64(cursor, &value))
			return false;
		t->buffer.is_circular = value != 0;
		return true;
	}
	if (!rsp_parse_word(cursor, "size:"))
		return false;
	if (rsp_parse_word(cursor, "-1")) {
		t->wanted_size = t->ops->buffer_default;
		return true;
	}
	if (!rsp_parse_u64(cursor, &value) || value < TRACER_BLOCK_MAX ||
	    value > t->ops->buffer_max)
		return false;
	t->wanted_size = (size_t)value;
	return true;
}

void rsp_cmd_trace_buffer(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};
	struct rsp_tracer *t = enter(s);
	char why[80];

	if (t->is_running && rsp_parse_word(&cursor, "size:")) {
		leave_refused(s, "the buffer's size cannot change while a trace runs");
	} else if (set_buffer(t, &cursor) && cursor.at == cursor.end) {
		leave(s, 0);
	} else {
		snprintf(why, sizeof(why), "a trace buffer has 0x%x to 0x%zx bytes",
			 TRACER_BLOCK_MAX, t->ops->buffer_max);
		leave_refused(s, why);
	}
}

/* "HEX;" into @out as it is. */
static bool take_note(struct rsp_cursor *cursor, char out[2 * TRACER_NOTE_MAX + 1])
{
	size_t len = 0;

	while (cursor->at < cursor->end && rsp_hex_digit(*cursor->at) >= 0) {
		if (len < 2ul * TRACER_NOTE_MAX)
			out[len++] = (char)*cursor->at;
		cursor->at++;
	}
	out[len] = '\0';
	return rsp_parse_char(cursor, ';');
}

void rsp_cmd_trace_notes(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};
	struct rsp_tracer *t = enter(s);
	bool is_good = true;

	while (is_good && cursor.at < cursor.end) {
		if (rsp_parse_word(&cursor, "user:"))
			is_good = take_note(&cursor, t->user);
		else if (rsp_parse_word(&cursor, "notes:"))
			is_good = take_note(&cursor, t->notes);
		else
			is_good = rsp_parse_word(&cursor, "tstop:") && take_note(&cursor, t->tstop);
	}
	leave(s, is_good ? 0 : RSP_WIRE_EINVAL);
}

/* A client controls the target and nothing else: no file. */
void rsp_cmd_trace_save(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	enter(s);
	leave_refused(s, "no file is written here: let the client save the trace");
}

/* Status. */

static void put_text(struct rsp_session *s, const char *name, uint64_t value)
{
	rsp_reply_text(s, name);
	rsp_reply_number(s, value, 1);
}

static void put_reason(struct rsp_session *s, const struct rsp_tracer *t)
{
	switch (t->stop) {
	case TRACE_NEVER_RAN:
		put_text(s, ";tnotrun:", 0);
		return;
	case TRACE_STOP_COMMAND:
		rsp_reply_text(s, ";tstop:");
		rsp_reply_text(s, t->tstop);
		put_text(s, ":", 0);
		return;
	case TRACE_STOP_FULL:
		put_text(s, ";tfull:", 0);
		return;
	case TRACE_STOP_DISCONNECTED:
		put_text(s, ";tdisconnected:", 0);
		return;
	case TRACE_STOP_PASSES:
		put_text(s, ";tpasscount:", t->stop_number);
		return;
	case TRACE_STOP_ERROR:
		rsp_reply_text(s, ";terror:");
		rsp_reply_hex(s, (const uint8_t *)t->stop_text, strlen(t->stop_text));
		put_text(s, ":", t->stop_number);
		return;
	}
}

void rsp_cmd_trace_status(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_tracer *t = enter(s);
	const struct trace_buffer *b = &t->buffer;

	(void)args;
	rsp_reply_begin(s);
	rsp_reply_text(s, t->is_running ? "T1" : "T0");
	if (!t->is_running)
		put_reason(s, t);
	put_text(s, ";tframes:", b->created - b->oldest);
	put_text(s, ";tcreated:", b->created);
	put_text(s, ";tfree:", b->size ? trace_buffer_free(b) : t->wanted_size);
	put_text(s, ";tsize:", t->wanted_size);
	put_text(s, ";circular:", b->is_circular);
	put_text(s, ";disconn:", t->is_disconnected);
	rsp_reply_text(s, ";username:");
	rsp_reply_text(s, t->user);
	rsp_reply_text(s, ";notes:");
	rsp_reply_text(s, t->notes);
	rsp_reply_end(s);
	tracer_unlock(s->target->tracer);
}

void rsp_cmd_trace_hits(struct rsp_session *s, const struct rsp_args *args)
{
	const struct trace_point *point = tracer_point(enter(s), args->number[0], args->number[1]);

	if (!point) {
		leave_refused(s, no_such_point);
		return;
	}
	rsp_reply_begin(s);
	put_text(s, "V", point->hits);
	put_text(s, ":", point->usage);
	rsp_reply_end(s);
	tracer_unlock(s->target->tracer);
}

/* Definitions back to a client that comes to a trace that is there. */

static void put_point(struct rsp_session *s, const struct rsp_tracer *t,
		      const struct trace_point *point)
{
	put_text(s, "T", point->number);
	put_text(s, ":", point->addr);
	rsp_reply_text(s, point->is_enabled ? ":E" : ":D");
	put_text(s, ":", point->step_count);
	put_text(s, ":", point->pass_count);
	if (!point->condition.len)
		return;
	put_text(s, ":X", point->condition.len);
	rsp_reply_byte(s, ',');
	rsp_reply_hex(s, t->text + point->condition.at, point->condition.len);
}

static void put_item(struct rsp_session *s, const struct rsp_tracer *t,
		     const struct trace_item *item)
{
	const struct trace_point *point = &t->point[item->point];

	rsp_reply_byte(s, (uint8_t)item->kind);
	rsp_reply_number(s, point->number, 1);
	put_text(s, ":", point->addr);
	rsp_reply_byte(s, ':');
	for (uint32_t i = 0; i < item->text.len; i++)
		rsp_reply_byte(s, t->text[item->text.at + i]);
}

/* First all points, then all items. */
static void put_next_piece(struct rsp_session *s)
{
	const struct rsp_tracer *t = enter(s);
	unsigned n = s->upload++;

	rsp_reply_begin(s);
	if (n < t->point_count)
		put_point(s, t, &t->point[n]);
	else if (n - t->point_count < t->item_count)
		put_item(s, t, &t->item[n - t->point_count]);
	else
		rsp_reply_byte(s, 'l');
	rsp_reply_end(s);
	tracer_unlock(s->target->tracer);
}

void rsp_cmd_trace_first_point(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->upload = 0;
	put_next_piece(s);
}

void rsp_cmd_trace_next_point(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	put_next_piece(s);
}

static void put_next_variable(struct rsp_session *s)
{
	const struct rsp_tracer *t = enter(s);
	unsigned n = s->upload++;

	rsp_reply_begin(s);
	if (n < t->variable_count) {
		const struct trace_variable *v = &t->variable[n];

		rsp_reply_number(s, v->number, 1);
		put_text(s, ":", (uint64_t)v->initial);
		put_text(s, ":", v->is_builtin);
		rsp_reply_byte(s, ':');
		rsp_reply_hex(s, (const uint8_t *)v->name, v->name_len);
	} else {
		rsp_reply_byte(s, 'l');
	}
	rsp_reply_end(s);
	tracer_unlock(s->target->tracer);
}

void rsp_cmd_trace_first_variable(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->upload = 0;
	put_next_variable(s);
}

void rsp_cmd_trace_next_variable(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	put_next_variable(s);
}
