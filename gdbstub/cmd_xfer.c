/* qXfer objects: text that the client reads in pieces by offset and length.
 *
 * An object is written from its start each time, and the writer keeps the bytes inside the window
 * that was asked for.  So no object needs a buffer, whatever its size. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

void rsp_window_open(struct rsp_window *w, struct rsp_session *s, uint64_t offset, uint64_t length)
{
	w->s = s;
	w->skip = offset;
	w->left = length;
	w->is_more = false;
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'l');
}

static void window_byte(struct rsp_window *w, uint8_t byte)
{
	if (w->skip > 0) {
		w->skip--;
		return;
	}
	if (w->is_more || w->left == 0 || rsp_reply_binary(w->s, &byte, 1) == 0) {
		w->is_more = true;
		return;
	}
	w->left--;
}

void rsp_window_text(struct rsp_window *w, const char *text)
{
	while (*text)
		window_byte(w, (uint8_t)*text++);
}

/* Text as XML: names come from the target and may hold anything. */
void rsp_window_xml(struct rsp_window *w, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			rsp_window_text(w, "&lt;");
			break;
		case '>':
			rsp_window_text(w, "&gt;");
			break;
		case '&':
			rsp_window_text(w, "&amp;");
			break;
		case '"':
			rsp_window_text(w, "&quot;");
			break;
		default:
			window_byte(w, *text >= ' ' && *text <= '~' ? (uint8_t)*text : '?');
		}
	}
}

void rsp_window_send(struct rsp_window *w)
{
	if (w->is_more)
		rsp_reply_set_first(w->s, 'm');
	rsp_reply_end(w->s);
}

static void put_frame_piece(void *ctx, enum rsp_frame_piece piece, uint64_t id, size_t len)
{
	char text[80];

	if (piece == RSP_FRAME_MEMORY)
		snprintf(text, sizeof(text), "<memory start=\"0x%llx\" length=\"0x%zx\"/>\n",
			 (unsigned long long)id, len);
	else
		snprintf(text, sizeof(text), "<tvar id=\"0x%llx\"/>\n", (unsigned long long)id);
	rsp_window_text(ctx, text);
}

/* What memory and variables the selected trace frame holds. */
void rsp_cmd_xfer_traceframe(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_window w;

	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, "<?xml version=\"1.0\"?>\n<traceframe-info>\n");
	rsp_frame_list(s, put_frame_piece, &w);
	rsp_window_text(&w, "</traceframe-info>\n");
	rsp_window_send(&w);
}

static void put_thread_element(struct rsp_window *w, unsigned thread)
{
	const struct rsp_base_ops *base = w->s->target->base;
	void *ctx = w->s->target->ctx;
	char id[48], text[64] = "";

	/* No name: gdb would put it between "Thread 2" and what the thread hit, where nobody who
	 * reads the output of other targets expects it. */
	snprintf(id, sizeof(id), "<thread id=\"%s%x\" core=\"%u\">",
		 w->s->is_multiprocess ? "p1." : "", thread, thread - 1);
	rsp_window_text(w, id);
	base->thread_extra(ctx, thread, text, sizeof(text));
	rsp_window_xml(w, text);
	rsp_window_text(w, "</thread>\n");
}

void rsp_cmd_xfer_threads(struct rsp_session *s, const struct rsp_args *args)
{
	unsigned count = rsp_thread_count(s);
	struct rsp_window w;
	unsigned thread;

	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (thread = 1; thread <= count; thread++)
		if (rsp_thread_exists(s, (int32_t)thread))
			put_thread_element(&w, thread);
	rsp_window_text(&w, "</threads>\n");
	rsp_window_send(&w);
}

bool rsp_annex_take(struct rsp_session *s, const struct rsp_args *args, char out[RSP_ANNEX_MAX])
{
	if (args->name_len >= RSP_ANNEX_MAX) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return false;
	}
	memcpy(out, args->name, args->name_len);
	out[args->name_len] = '\0';
	return true;
}

void rsp_cmd_xfer_features(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	char annex[RSP_ANNEX_MAX];
	const char *text;
	struct rsp_window w;

	if (!rsp_annex_take(s, args, annex))
		return;
	text = target->xfer->features(target->ctx, annex);
	if (!text) {
		/* E00 is what the protocol has for an annex that does not exist. */
		rsp_answer_text(s, "E00");
		return;
	}
	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, text);
	rsp_window_send(&w);
}

#define SIGINFO_MAX 128u

void rsp_cmd_xfer_siginfo(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	uint8_t info[SIGINFO_MAX];
	size_t len =
		target->signals->siginfo(target->ctx, rsp_current_thread(s), info, sizeof(info));
	struct rsp_window w;
	size_t i;

	if (len == 0 || len > sizeof(info)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	rsp_window_open(&w, s, args->number[0], args->number[1]);
	for (i = 0; i < len; i++)
		window_byte(&w, info[i]);
	rsp_window_send(&w);
}

/* The annex is a process id, and there is one process.  gdb asks when it has no file. */
void rsp_cmd_xfer_exec_file(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_xfer_ops *xfer = s->target->xfer;
	const char *path = xfer->exec_file ? xfer->exec_file(s->target->ctx) : NULL;
	struct rsp_window w;

	if (!path) {
		s->has_no_file = true;
		rsp_answer_error(s, RSP_WIRE_ENOENT);
		return;
	}
	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, path);
	rsp_window_send(&w);
}
