/* What the program has loaded besides its own file, and news of it.
 * Source: Debugging with GDB, "Library List Format", E.3 (library). */
#include "internal.h"

#include <stdio.h>

static void put_library(void *ctx, const char *path, const uint64_t *section, unsigned count)
{
	struct rsp_window *w = ctx;
	unsigned i;

	rsp_window_text(w, "<library name=\"");
	rsp_window_xml(w, path);
	rsp_window_text(w, "\">");
	for (i = 0; i < count; i++) {
		char text[48];

		snprintf(text, sizeof(text), "<section address=\"0x%llx\"/>",
			 (unsigned long long)section[i]);
		rsp_window_text(w, text);
	}
	rsp_window_text(w, "</library>\n");
}

void rsp_cmd_xfer_libraries(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	struct rsp_window w;

	/* LLDB stays stopped where gdb goes on after the news. */
	if (s->has_suffix) {
		rsp_answer_text(s, "");
		return;
	}
	s->has_libraries = true;
	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, "<?xml version=\"1.0\"?>\n<library-list version=\"1.0\">\n");
	target->libraries->list(target->ctx, rsp_current_thread(s), args->number[0] == 0,
				put_library, &w);
	rsp_window_text(&w, "</library-list>\n");
	rsp_window_send(&w);
}

bool rsp_stop_libraries(struct rsp_session *s)
{
	const struct rsp_library_ops *libraries = s->target->libraries;
	struct rsp_stop news = {.kind = RSP_STOP_LIBRARY, .signal = RSP_SIGNAL_TRAP};

	if (!s->has_libraries || s->is_reader || rsp_stop_is_end(&s->last_stop) ||
	    s->last_stop.kind == RSP_STOP_LIBRARY || !libraries->changed(s->target->ctx))
		return false;
	s->is_stop_held = true;
	news.thread = s->last_stop.thread;
	rsp_reply_begin(s);
	rsp_stop_put(s, &news);
	rsp_reply_end_packed(s);
	return true;
}
