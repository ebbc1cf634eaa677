/* The system in the target: its tables for `info os`, and the symbols that it takes to find them.
 * Source: Debugging with GDB, "Operating System Auxiliary Information", E.4 (qSymbol). */
#include "internal.h"

#include <string.h>

struct table {
	struct rsp_window w;
	bool is_in_item;
};

static void put_column(void *ctx, const char *name, const char *value)
{
	struct table *table = ctx;

	if (!name) {
		if (table->is_in_item)
			rsp_window_text(&table->w, "</item>\n");
		table->is_in_item = false;
		return;
	}
	if (!table->is_in_item)
		rsp_window_text(&table->w, "<item>");
	table->is_in_item = true;
	rsp_window_text(&table->w, "<column name=\"");
	rsp_window_xml(&table->w, name);
	rsp_window_text(&table->w, "\">");
	rsp_window_xml(&table->w, value);
	rsp_window_text(&table->w, "</column>");
}

void rsp_cmd_xfer_osdata(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	struct table table = {.is_in_item = false};
	char annex[RSP_ANNEX_MAX];

	if (!rsp_annex_take(s, args, annex))
		return;
	rsp_window_open(&table.w, s, args->number[0], args->number[1]);
	rsp_window_text(&table.w, "<?xml version=\"1.0\"?>\n<osdata type=\"");
	rsp_window_xml(&table.w, annex[0] ? annex : "types");
	rsp_window_text(&table.w, "\">\n");
	if (!target->osdata->table(target->ctx, rsp_current_thread(s), annex, put_column, &table)) {
		rsp_answer_text(s, "E00");
		return;
	}
	put_column(&table, NULL, NULL);
	rsp_window_text(&table.w, "</osdata>\n");
	rsp_window_send(&table.w);
}

/* The client's qSymbol:: asks what it may tell; each answer that it gives is followed by the next
 * question, and OK ends it. */
static void ask_symbol(struct rsp_session *s)
{
	const struct rsp_symbol_ops *symbols = s->target->symbols;
	const char *name;

	if (!symbols || s->symbol_next >= symbols->count) {
		rsp_answer_text(s, "OK");
		return;
	}
	name = symbols->names[s->symbol_next];
	rsp_reply_begin(s);
	rsp_reply_text(s, "qSymbol:");
	rsp_reply_hex(s, (const uint8_t *)name, strlen(name));
	rsp_reply_end(s);
}

/* What is left of "ADDR:NAME" or ":NAME" must be the name that was asked for. */
static bool is_answer(const struct rsp_session *s, struct rsp_cursor *cursor)
{
	const char *name = s->target->symbols->names[s->symbol_next];
	size_t len = strlen(name);
	size_t i;

	if (!rsp_parse_char(cursor, ':') || (size_t)(cursor->end - cursor->at) != 2 * len)
		return false;
	for (i = 0; i < len; i++) {
		int high = rsp_hex_digit(cursor->at[2 * i]);
		int low = rsp_hex_digit(cursor->at[2 * i + 1]);

		if (high < 0 || low < 0 || (uint8_t)name[i] != (unsigned)(high << 4 | low))
			return false;
	}
	return true;
}

void rsp_cmd_symbol(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_symbol_ops *symbols = s->target->symbols;
	struct rsp_cursor cursor = {args->data, args->data + args->data_len};
	uint64_t addr = 0;
	bool is_known;

	if (args->data_len == 1 && args->data[0] == ':') {
		s->symbol_next = 0;
		ask_symbol(s);
		return;
	}
	if (!symbols || s->symbol_next >= symbols->count) {
		rsp_answer_text(s, "OK");
		return;
	}
	is_known = args->data_len > 0 && args->data[0] != ':';
	if ((is_known && !rsp_parse_u64(&cursor, &addr)) || !is_answer(s, &cursor)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	symbols->found(s->target->ctx, s->symbol_next, is_known, addr);
	s->symbol_next++;
	ask_symbol(s);
}
