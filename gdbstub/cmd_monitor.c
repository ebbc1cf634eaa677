/* Text for the person at the client: the answers of monitor commands, and console output while the
 * target runs.  Both travel in O packets.
 *
 * Text is dropped when the queue is full and the target cannot drain it; a monitor answer then ends
 * with a note that says so. */
#include "internal.h"

#include <string.h>

static const char cut_note[] = "\n[the rest of this output did not fit]\n";
#define CUT_NOTE_LEN   (sizeof(cut_note) - 1)
#define CONSOLE_FRAMED (1u + 2u * RSP_CONSOLE_CHUNK + 4u)
#define CUT_NOTE_FRAME (1u + 2u * CUT_NOTE_LEN + 4u)

static void send_console(struct rsp_session *s, const uint8_t *text, size_t len)
{
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'O');
	rsp_reply_hex(s, text, len);
	rsp_reply_end(s);
}

static bool make_room(struct rsp_session *s, size_t room)
{
	const struct rsp_target *target = s->target;
	bool may_wait = target->monitor->drain && !s->is_reader;

	while (rsp_out_room(s) < room) {
		if (!may_wait || !target->monitor->drain(target->ctx))
			return false;
	}
	return true;
}

/* Send the text gathered so far, or the note in place of the first text that does not fit. */
static void flush_monitor(struct rsp_session *s)
{
	size_t spare = RSP_OUT_RESERVE + CUT_NOTE_FRAME;

	if (s->monitor_len == 0 || s->is_monitor_cut) {
		s->monitor_len = 0;
		return;
	}
	if (make_room(s, CONSOLE_FRAMED + spare)) {
		send_console(s, s->scratch, s->monitor_len);
	} else {
		s->is_monitor_cut = true;
		send_console(s, (const uint8_t *)cut_note, CUT_NOTE_LEN);
	}
	s->monitor_len = 0;
}

void rsp_monitor_print(struct rsp_session *s, const char *text, size_t len)
{
	if (!s->is_in_monitor)
		return;
	while (len > 0 && !s->is_monitor_cut) {
		size_t room = RSP_CONSOLE_CHUNK - s->monitor_len;
		size_t part = len < room ? len : room;

		memcpy(s->scratch + s->monitor_len, text, part);
		s->monitor_len += part;
		text += part;
		len -= part;
		if (s->monitor_len == RSP_CONSOLE_CHUNK)
			flush_monitor(s);
	}
}

void rsp_console_print(struct rsp_session *s, const char *text, size_t len)
{
	while (len > 0 && s->state == RSP_RUNNING) {
		size_t part = len < RSP_CONSOLE_CHUNK ? len : RSP_CONSOLE_CHUNK;

		if (rsp_out_room(s) < CONSOLE_FRAMED + RSP_OUT_RESERVE)
			return;
		send_console(s, (const uint8_t *)text, part);
		text += part;
		len -= part;
	}
}

void rsp_cmd_monitor(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	const char *line = (const char *)args->data;
	int error;

	/* The decoded line is shorter than its digits or ends at the packet's own NUL. */
	args->data[args->data_len] = '\0';
	if (strlen(line) != args->data_len) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	s->is_in_monitor = true;
	s->is_monitor_cut = false;
	s->monitor_len = 0;
	error = target->monitor->command(target->ctx, rsp_current_thread(s), line);
	flush_monitor(s);
	s->is_in_monitor = false;
	/* gdb knows an error here only by two decimal digits, and takes anything else for text. */
	if (error)
		rsp_answer_number(s, RSP_WIRE_EPERM);
	else
		rsp_answer_text(s, "OK");
}
