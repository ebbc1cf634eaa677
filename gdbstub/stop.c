/* Stop replies: why the target stopped, in one packet that spares the client its next questions.
 *
 * Source: Debugging with GDB, E.3 Stop Reply Packets. */
#include "internal.h"

/* Largest entry for a register: four digits, ':', the value, ';'. */
#define REGISTER_ENTRY_MAX (4u + 1u + 2u * RSP_MAX_REG_BYTES + 1u)
/* What the rest of the reply takes at most: T05, the reason, thread and core. */
#define REST_MAX 128u

/* gdb trusts the register numbers in here and has no word for "unavailable": leave such out. */
static void put_expedited(struct rsp_session *s, unsigned thread)
{
	const struct rsp_base_ops *base = s->target->base;
	const unsigned *reg;
	uint8_t value[RSP_MAX_REG_BYTES];

	for (reg = base->expedited; *reg != RSP_REG_NONE; reg++) {
		size_t size = base->reg_size(s->target->ctx, *reg);

		if (size == 0 || size > sizeof(value))
			continue;
		if (s->reply_len + REGISTER_ENTRY_MAX + REST_MAX > RSP_STOP_MAX)
			return;
		if (!base->reg_read(s->target->ctx, thread, *reg, value))
			continue;
		rsp_reply_number(s, *reg & 0xffff, 2);
		rsp_reply_byte(s, ':');
		rsp_reply_hex(s, value, size);
		rsp_reply_byte(s, ';');
	}
}

static const char *watch_word(enum rsp_break type)
{
	switch (type) {
	case RSP_WATCH_READ:
		return "rwatch:";
	case RSP_WATCH_ACCESS:
		return "awatch:";
	case RSP_WATCH_WRITE:
	case RSP_BREAK_SOFT:
	case RSP_BREAK_HARD:
		break;
	}
	return "watch:";
}

/* swbreak and hwbreak go only to a client that announced them: others take it as an error. */
static void put_reason(struct rsp_session *s, const struct rsp_stop *stop)
{
	switch (stop->kind) {
	case RSP_STOP_SWBREAK:
		if (s->has_swbreak)
			rsp_reply_text(s, "swbreak:;");
		break;
	case RSP_STOP_HWBREAK:
		if (s->has_hwbreak)
			rsp_reply_text(s, "hwbreak:;");
		break;
	case RSP_STOP_WATCH:
		rsp_reply_text(s, watch_word(stop->watch));
		rsp_reply_number(s, stop->addr, 1);
		rsp_reply_byte(s, ';');
		break;
	case RSP_STOP_SYSCALL_ENTRY:
	case RSP_STOP_SYSCALL_RETURN:
		rsp_reply_text(s, stop->kind == RSP_STOP_SYSCALL_ENTRY ? "syscall_entry:"
								       : "syscall_return:");
		rsp_reply_number(s, stop->addr, 1);
		rsp_reply_byte(s, ';');
		break;
	case RSP_STOP_LIBRARY:
		rsp_reply_text(s, "library:;");
		break;
	case RSP_STOP_CREATED:
		rsp_reply_text(s, "create:;");
		break;
	case RSP_STOP_SIGNAL:
	case RSP_STOP_EXITED:
	case RSP_STOP_KILLED:
	case RSP_STOP_PAUSE:
	case RSP_STOP_THREAD_GONE:
		break;
	}
}

bool rsp_stop_is_end(const struct rsp_stop *stop)
{
	return stop->kind == RSP_STOP_EXITED || stop->kind == RSP_STOP_KILLED;
}

static void put_end(struct rsp_session *s, const struct rsp_stop *stop)
{
	rsp_reply_byte(s, stop->kind == RSP_STOP_EXITED ? 'W' : 'X');
	rsp_reply_number(s, stop->signal, 2);
	if (s->is_multiprocess)
		rsp_reply_text(s, ";process:1");
}

static void put_gone(struct rsp_session *s, const struct rsp_stop *stop)
{
	rsp_reply_byte(s, 'w');
	rsp_reply_number(s, stop->signal, 2);
	rsp_reply_byte(s, ';');
	rsp_reply_thread(s, stop->thread);
}

static void put_stop(struct rsp_session *s, const struct rsp_stop *stop, bool has_registers)
{
	if (rsp_stop_is_end(stop)) {
		put_end(s, stop);
		return;
	}
	if (stop->kind == RSP_STOP_THREAD_GONE) {
		put_gone(s, stop);
		return;
	}
	rsp_reply_byte(s, 'T');
	rsp_reply_number(s, stop->signal, 2);
	put_reason(s, stop);
	if (has_registers)
		put_expedited(s, stop->thread);
	rsp_reply_text(s, "thread:");
	rsp_reply_thread(s, stop->thread);
	rsp_reply_text(s, ";core:");
	rsp_reply_number(s, stop->thread - 1, 1);
	rsp_reply_byte(s, ';');
	if (s->has_thread_list)
		rsp_lldb_put_threads(s);
}

void rsp_stop_put(struct rsp_session *s, const struct rsp_stop *stop)
{
	put_stop(s, stop, true);
}

/* gdb learns from the reply to `g`, and from nothing else, how long a block of registers is, and
 * writes trace files by that (tsave).  Without a register in here it asks; LLDB does not need to.
 */
void rsp_stop_put_asked(struct rsp_session *s, const struct rsp_stop *stop)
{
	put_stop(s, stop, s->has_thread_list);
}

void rsp_stop_answer_question(struct rsp_session *s)
{
	rsp_reply_begin(s);
	rsp_stop_put_asked(s, &s->last_stop);
	rsp_reply_end_packed(s);
}

void rsp_stop_answer(struct rsp_session *s)
{
	rsp_reply_begin(s);
	rsp_stop_put(s, &s->last_stop);
	rsp_reply_end_packed(s);
}

/* A path that leads to no program: the client has none, and is to keep none. */
#define NO_PROGRAM "/dev/null"

bool rsp_stop_redescribe(struct rsp_session *s)
{
	const struct rsp_xfer_ops *xfer = s->target->xfer;
	const struct rsp_stop *stop = &s->last_stop;

	if (!xfer || !xfer->redescribe || !s->has_exec || !s->has_no_file || s->is_reader ||
	    rsp_stop_is_end(stop) || !xfer->redescribe(s->target->ctx, stop->thread))
		return false;
	s->is_stop_held = true;
	rsp_reply_begin(s);
	rsp_reply_text(s, "T05exec:");
	rsp_reply_hex(s, (const uint8_t *)NO_PROGRAM, sizeof(NO_PROGRAM) - 1);
	rsp_reply_text(s, ";thread:");
	rsp_reply_thread(s, stop->thread);
	rsp_reply_byte(s, ';');
	rsp_reply_end(s);
	return true;
}

void rsp_stop_record(struct rsp_session *s, const struct rsp_stop *stop)
{
	s->last_stop = *stop;
	if (s->last_stop.thread == 0)
		s->last_stop.thread = 1;
	s->general_thread = s->last_stop.thread;
}
