/* Queries and settings: what is offered, threads, modes. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

void rsp_cmd_ok(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "OK");
}

void rsp_cmd_extended(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->is_extended = true;
	rsp_answer_text(s, "OK");
}

void rsp_cmd_empty(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "");
}

void rsp_cmd_reason(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->is_stop_held = false;
	if (s->is_non_stop)
		rsp_non_stop_reason(s);
	else
		rsp_stop_answer_question(s);
}

/* True when the client's list, "a+;b-;c=1", holds @feature. */
static bool does_announce(const struct rsp_args *args, const char *feature)
{
	const uint8_t *at = args->data;
	const uint8_t *end = at ? at + args->data_len : at;
	size_t len = strlen(feature);

	while (at < end) {
		const uint8_t *stop = memchr(at, ';', (size_t)(end - at));

		if (!stop)
			stop = end;
		if ((size_t)(stop - at) == len && memcmp(at, feature, len) == 0)
			return true;
		at = stop + 1;
	}
	return false;
}

/* What a feature of ours hangs on. */
static const struct {
	enum rsp_needs needs;
	const char *text;
} offers[] = {
	{RSP_NEEDS_NOTHING, "QStartNoAckMode+;vContSupported+;qXfer:threads:read+;binary-upload+"},
	{RSP_NEEDS_XFER, ";qXfer:features:read+"},
	{RSP_NEEDS_EXEC_FILE, ";qXfer:exec-file:read+"},
	{RSP_NEEDS_OSDATA, ";qXfer:osdata:read+"},
	{RSP_NEEDS_LIBRARIES, ";qXfer:libraries:read+"},
	{RSP_NEEDS_REDESCRIBE, ";exec-events+"},
	{RSP_NEEDS_ROM, ";qXfer:memory-map:read+"},
	{RSP_NEEDS_BREAK, ";swbreak+;hwbreak+"},
	{RSP_NEEDS_AGENT, ";ConditionalBreakpoints+;BreakpointCommands+"},
	{RSP_NEEDS_TRACE, ";ConditionalTracepoints+;TracepointSource+;EnableDisableTracepoints+;"
			  "InstallInTrace+;DisconnectedTracing+;QTBuffer:size+;tracenz+;"
			  "qXfer:traceframe-info:read+"},
	{RSP_NEEDS_PAUSE, ";QNonStop+"},
	{RSP_NEEDS_SIGNALS, ";QPassSignals+;QProgramSignals+;qXfer:siginfo:read+"},
	{RSP_NEEDS_SYSCALLS, ";QCatchSyscalls+"},
	{RSP_NEEDS_THREAD_EVENTS, ";QThreadEvents+"},
};

void rsp_cmd_supported(struct rsp_session *s, const struct rsp_args *args)
{
	char size[32];
	size_t i;

	s->is_multiprocess = does_announce(args, "multiprocess+");
	s->has_no_resumed = does_announce(args, "no-resumed+");
	s->has_error_text = does_announce(args, "error-message+");
	s->has_swbreak = s->target->brk && does_announce(args, "swbreak+");
	s->has_exec = does_announce(args, "exec-events+");
	s->has_hwbreak = s->target->brk && does_announce(args, "hwbreak+");
	snprintf(size, sizeof(size), "PacketSize=%x;", RSP_PACKET_SIZE);
	rsp_reply_begin(s);
	rsp_reply_text(s, size);
	for (i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		if (rsp_command_is_offered(s, offers[i].needs))
			rsp_reply_text(s, offers[i].text);
	if (s->is_multiprocess)
		rsp_reply_text(s, ";multiprocess+");
	if (s->has_no_resumed)
		rsp_reply_text(s, ";no-resumed+");
	if (s->has_error_text)
		rsp_reply_text(s, ";error-message+");
	rsp_reply_end(s);
}

/* The OK itself is still acked; from then on neither side sends any. */
void rsp_cmd_no_ack(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "OK");
	s->is_no_ack = true;
}

/* QEMU's way to physical memory, which pwndbg and others use. */
void rsp_cmd_qemu_supported(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "PhyMemMode");
}

void rsp_cmd_is_physical(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, s->is_physical ? "1" : "0");
}

void rsp_cmd_set_physical(struct rsp_session *s, const struct rsp_args *args)
{
	s->is_physical = args->number[0] != 0;
	rsp_answer_text(s, "OK");
}

/* What a step may do, as QEMU numbers it.  Extensions of gdb that were written for QEMU ask for the
 * bits, in a packet that begins with either letter, and take the answer as the sign of a virtual
 * machine.  Steps here always keep interrupts out and never stop the guest's time, so there is one
 * mode, which alone may be set. */
#define QEMU_STEP_ENABLE 1u
#define QEMU_STEP_NOIRQ	 2u
#define QEMU_STEP_MODE	 (QEMU_STEP_ENABLE | QEMU_STEP_NOIRQ)

void rsp_cmd_qemu_step_bits(struct rsp_session *s, const struct rsp_args *args)
{
	char text[32];

	(void)args;
	snprintf(text, sizeof(text), "ENABLE=%x,NOIRQ=%x", QEMU_STEP_ENABLE, QEMU_STEP_NOIRQ);
	rsp_answer_text(s, text);
}

void rsp_cmd_qemu_step_mode(struct rsp_session *s, const struct rsp_args *args)
{
	char text[16];

	(void)args;
	snprintf(text, sizeof(text), "0x%x", QEMU_STEP_MODE);
	rsp_answer_text(s, text);
}

void rsp_cmd_qemu_set_step_mode(struct rsp_session *s, const struct rsp_args *args)
{
	rsp_answer_result(s, args->number[0] == QEMU_STEP_MODE ? 0 : RSP_WIRE_EINVAL);
}

/* 1: the target was there before the client; gdb detaches at its end instead of killing. */
void rsp_cmd_attached(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "1");
}

void rsp_cmd_current_thread(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_reply_begin(s);
	rsp_reply_text(s, "QC");
	rsp_reply_thread(s, rsp_current_thread(s));
	rsp_reply_end(s);
}

void rsp_cmd_general_thread(struct rsp_session *s, const struct rsp_args *args)
{
	if (args->thread == RSP_THREAD_ALL) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	if (args->thread != RSP_THREAD_ANY) {
		if (!rsp_thread_exists(s, args->thread)) {
			rsp_answer_error(s, RSP_WIRE_ESRCH);
			return;
		}
		s->general_thread = (unsigned)args->thread;
	}
	rsp_answer_text(s, "OK");
}

void rsp_cmd_continue_thread(struct rsp_session *s, const struct rsp_args *args)
{
	if (args->thread > 0 && !rsp_thread_exists(s, args->thread)) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	s->continue_thread = args->thread;
	rsp_answer_text(s, "OK");
}

void rsp_cmd_is_alive(struct rsp_session *s, const struct rsp_args *args)
{
	rsp_answer_result(s, rsp_thread_exists(s, args->thread) ? 0 : RSP_WIRE_ESRCH);
}

/* The first segment's start moves all of them: gdb keeps the distances between segments.  LLDB
 * wants offsets, and loads a file for which it was given none nowhere. */
void rsp_cmd_offsets(struct rsp_session *s, const struct rsp_args *args)
{
	char text[80] = "";
	uint64_t start = 0, linked = 0;
	bool has_moved;

	(void)args;
	has_moved = s->target->xfer->text_start(s->target->ctx, &start, &linked);
	if (s->has_suffix) {
		unsigned long long offset = has_moved ? start - linked : 0;

		snprintf(text, sizeof(text), "Text=%llx;Data=%llx;Bss=%llx", offset, offset,
			 offset);
	} else if (has_moved) {
		snprintf(text, sizeof(text), "TextSeg=%llx", (unsigned long long)start);
	}
	rsp_answer_text(s, text);
}

/* RSP_MAX_THREADS ids fit one packet, so the continuation is always the end. */
void rsp_cmd_first_threads(struct rsp_session *s, const struct rsp_args *args)
{
	unsigned count = rsp_thread_count(s);
	char separator = 'm';
	unsigned thread;

	(void)args;
	rsp_reply_begin(s);
	for (thread = 1; thread <= count; thread++) {
		if (rsp_thread_exists(s, (int32_t)thread)) {
			rsp_reply_byte(s, (uint8_t)separator);
			rsp_reply_thread(s, thread);
			separator = ',';
		}
	}
	if (separator == 'm')
		rsp_reply_byte(s, 'l');
	rsp_reply_end(s);
}

void rsp_cmd_more_threads(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_answer_text(s, "l");
}

/* The client decodes whatever comes as text, an error number too: unknown threads get words. */
void rsp_cmd_thread_extra(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	char text[64] = "no such thread";

	if (rsp_thread_exists(s, args->thread)) {
		text[0] = '\0';
		target->base->thread_extra(target->ctx, (unsigned)args->thread, text, sizeof(text));
	}
	rsp_reply_begin(s);
	rsp_reply_hex(s, (const uint8_t *)text, strnlen(text, sizeof(text)));
	rsp_reply_end(s);
}
