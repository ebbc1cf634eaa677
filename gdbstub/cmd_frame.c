/* Trace frames: choosing one, and reading registers, memory and variables as they were then.
 *
 * A frame that a circular buffer has dropped meanwhile holds nothing any more.
 * Source: Debugging with GDB, E.6 (QTFrame, qTBuffer, qTV), G.5 (traceframe-info). */
#include "tracer.h"

#include <string.h>

/* Choosing. */

enum find_kind { FIND_PC, FIND_POINT, FIND_INSIDE, FIND_OUTSIDE };

struct find {
	enum find_kind kind;
	uint64_t first, last; /* a pc, a tracepoint's number, or the ends of a range */
};

/* False: it is neither of the kinds, or malformed. */
static bool parse_find(struct rsp_cursor *cursor, struct find *out)
{
	static const struct {
		const char *word;
		enum find_kind kind;
		bool has_last;
	} words[] = {
		{"pc:", FIND_PC, false},
		{"tdp:", FIND_POINT, false},
		{"range:", FIND_INSIDE, true},
		{"outside:", FIND_OUTSIDE, true},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!rsp_parse_word(cursor, words[i].word))
			continue;
		out->kind = words[i].kind;
		return rsp_parse_u64(cursor, &out->first) &&
		       (!words[i].has_last ||
			(rsp_parse_char(cursor, ':') && rsp_parse_u64(cursor, &out->last))) &&
		       cursor->at == cursor->end;
	}
	return false;
}

static bool is_match(const struct rsp_tracer *t, const struct trace_frame *frame,
		     const struct find *find)
{
	uint64_t pc;

	if (find->kind == FIND_POINT)
		return frame->number == find->first;
	pc = tracer_frame_pc(t, frame);
	if (find->kind == FIND_PC)
		return pc == find->first;
	return (pc >= find->first && pc <= find->last) == (find->kind == FIND_INSIDE);
}

static bool selected_frame(const struct rsp_session *s, struct trace_frame *out)
{
	return s->has_frame &&
	       trace_frame_at(&s->target->tracer->buffer, s->frame_id, s->frame_at, out);
}

/* The first frame behind the selected one that matches. */
static bool find_frame(const struct rsp_session *s, const struct find *find,
		       struct trace_frame *out)
{
	const struct rsp_tracer *t = s->target->tracer;
	bool is_there = selected_frame(s, out) ? trace_frame_next(&t->buffer, out)
					       : trace_frame_first(&t->buffer, out);

	while (is_there && !is_match(t, out, find))
		is_there = trace_frame_next(&t->buffer, out);
	return is_there;
}

/* Frame @number of those that are there; from the selected one on if that is on the way. */
static bool frame_of_number(const struct rsp_session *s, uint64_t number, struct trace_frame *out)
{
	const struct trace_buffer *b = &s->target->tracer->buffer;
	uint64_t id = b->oldest + number;
	bool is_there;

	if (number >= b->created - b->oldest)
		return false;
	is_there = selected_frame(s, out) && out->id <= id;
	if (!is_there)
		is_there = trace_frame_first(b, out);
	while (is_there && out->id < id)
		is_there = trace_frame_next(b, out);
	return is_there;
}

static void answer_frame(struct rsp_session *s, bool is_found, const struct trace_frame *frame)
{
	if (!is_found) {
		rsp_answer_text(s, "F-1");
		return;
	}
	s->has_frame = true;
	s->frame_id = frame->id;
	s->frame_at = frame->at;
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'F');
	rsp_reply_number(s, frame->id - s->target->tracer->buffer.oldest, 1);
	rsp_reply_byte(s, 'T');
	rsp_reply_number(s, frame->number, 1);
	rsp_reply_end(s);
}

static void choose(struct rsp_session *s, struct rsp_cursor *cursor)
{
	struct trace_frame frame = {.id = 0};
	struct find find = {.kind = FIND_PC};
	uint64_t number;

	/* "outside:" and "range:" do not begin with digits, and no other does. */
	if (parse_find(cursor, &find)) {
		answer_frame(s, find_frame(s, &find, &frame), &frame);
	} else if (!rsp_parse_u64(cursor, &number) || cursor->at != cursor->end) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
	} else if (number == UINT32_MAX) {
		s->has_frame = false;
		rsp_answer_text(s, "OK");
	} else {
		answer_frame(s, frame_of_number(s, number, &frame), &frame);
	}
}

void rsp_cmd_trace_frame(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};

	tracer_lock(s->target->tracer);
	choose(s, &cursor);
	tracer_unlock(s->target->tracer);
}

/* Reading. */

static bool find_memory(const struct rsp_tracer *t, const struct trace_frame *frame, uint64_t addr,
			struct trace_block *out)
{
	size_t at = 0;

	while (trace_block_next(t, frame, &at, out)) {
		if (out->kind == 'M' && addr - out->addr < out->len)
			return true;
	}
	return false;
}

/* What the client says never changes is as it is now. */
static size_t read_region(struct rsp_session *s, uint64_t addr, uint8_t *out, size_t len)
{
	const struct rsp_tracer *t = s->target->tracer;

	for (uint32_t i = 0; i < t->region_count; i++) {
		const struct trace_region *region = &t->region[i];

		if (addr < region->start || addr >= region->end)
			continue;
		if (len > region->end - addr)
			len = (size_t)(region->end - addr);
		return s->target->base->mem_read(s->target->ctx, rsp_current_thread(s), addr, out,
						 len);
	}
	return 0;
}

bool rsp_frame_read_memory(struct rsp_session *s, uint64_t addr, uint8_t *out, size_t len,
			   size_t *out_len)
{
	struct trace_frame frame;
	struct trace_block block;

	if (!s->has_frame)
		return false;
	tracer_lock(s->target->tracer);
	if (selected_frame(s, &frame) && find_memory(s->target->tracer, &frame, addr, &block)) {
		size_t skip = (size_t)(addr - block.addr);

		*out_len = block.len - skip < len ? block.len - skip : len;
		memcpy(out, block.data + skip, *out_len);
	} else {
		*out_len = read_region(s, addr, out, len);
	}
	tracer_unlock(s->target->tracer);
	return true;
}

static const uint8_t *find_registers(const struct rsp_tracer *t, const struct trace_frame *frame)
{
	struct trace_block block;
	size_t at = 0;

	while (trace_block_next(t, frame, &at, &block)) {
		if (block.kind == 'R')
			return block.data;
	}
	return NULL;
}

static bool read_register(const struct rsp_session *s, const struct trace_frame *frame,
			  unsigned reg, uint8_t *out)
{
	const struct rsp_base_ops *base = s->target->base;
	const struct rsp_tracer *t = s->target->tracer;
	const uint8_t *registers = find_registers(t, frame);
	size_t size = base->reg_size(s->target->ctx, reg);
	uint64_t pc;
	size_t at = 0;

	if (reg >= base->g_reg_count(s->target->ctx))
		return false;
	if (registers) {
		for (unsigned i = 0; i < reg; i++)
			at += base->reg_size(s->target->ctx, i);
		memcpy(out, registers + at, size);
		return true;
	}
	if (reg != t->ops->pc_reg || size > sizeof(pc))
		return false;
	pc = tracer_frame_pc(t, frame);
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(pc >> (8 * i));
	return true;
}

bool rsp_frame_read_register(struct rsp_session *s, unsigned reg, uint8_t *out, bool *out_is_known)
{
	struct trace_frame frame;

	if (!s->has_frame)
		return false;
	tracer_lock(s->target->tracer);
	*out_is_known = selected_frame(s, &frame) && read_register(s, &frame, reg, out);
	tracer_unlock(s->target->tracer);
	return true;
}

void rsp_frame_list(struct rsp_session *s,
		    void (*put)(void *ctx, enum rsp_frame_piece piece, uint64_t id, size_t len),
		    void *ctx)
{
	struct trace_frame frame;
	struct trace_block block;
	size_t at = 0;

	tracer_lock(s->target->tracer);
	if (selected_frame(s, &frame)) {
		while (trace_block_next(s->target->tracer, &frame, &at, &block)) {
			if (block.kind == 'M')
				put(ctx, RSP_FRAME_MEMORY, block.addr, block.len);
			else if (block.kind == 'V')
				put(ctx, RSP_FRAME_VARIABLE, block.addr, 0);
		}
	}
	tracer_unlock(s->target->tracer);
}

static bool find_value(const struct rsp_tracer *t, const struct trace_frame *frame, uint64_t number,
		       uint64_t *out_value)
{
	struct trace_block block;
	bool is_found = false;
	size_t at = 0;

	/* The last one counts: it is what the variable became. */
	while (trace_block_next(t, frame, &at, &block)) {
		if (block.kind != 'V' || block.addr != number)
			continue;
		is_found = true;
		*out_value = 0;
		for (unsigned i = 8; i > 0; i--)
			*out_value = *out_value << 8 | block.data[i - 1];
	}
	return is_found;
}

/* In a frame: what was collected there.  Else the value as it is. */
void rsp_cmd_trace_value(struct rsp_session *s, const struct rsp_args *args)
{
	const struct trace_variable *v;
	struct trace_frame frame;
	uint64_t value = 0;
	bool is_known;

	tracer_lock(s->target->tracer);
	v = tracer_variable(s->target->tracer, args->number[0]);
	if (s->has_frame)
		is_known = selected_frame(s, &frame) &&
			   find_value(s->target->tracer, &frame, args->number[0], &value);
	else
		is_known = v;
	if (!s->has_frame && v)
		value = (uint64_t)v->value;
	tracer_unlock(s->target->tracer);
	rsp_reply_begin(s);
	rsp_reply_byte(s, is_known ? 'V' : 'U');
	if (is_known)
		rsp_reply_number(s, value, 1);
	rsp_reply_end(s);
}

/* The frames as they go into a trace file. */
void rsp_cmd_trace_data(struct rsp_session *s, const struct rsp_args *args)
{
	size_t most = RSP_PACKET_SIZE / 2;
	size_t len = args->number[1] < most ? (size_t)args->number[1] : most;

	tracer_lock(s->target->tracer);
	len = trace_buffer_read(&s->target->tracer->buffer, args->number[0], s->scratch, len);
	tracer_unlock(s->target->tracer);
	if (len == 0) {
		rsp_answer_text(s, "l");
		return;
	}
	rsp_reply_begin(s);
	rsp_reply_hex(s, s->scratch, len);
	rsp_reply_end_packed(s);
}
