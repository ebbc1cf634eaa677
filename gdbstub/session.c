/* The life of a session: open, one client after another, close; and the calls that the embedder
 * makes from outside.  Packets are packet.c's business. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_base_complete(const struct rsp_base_ops *base)
{
	return base && base->attach && base->thread_count && base->thread_is_alive &&
	       base->thread_name && base->thread_extra && base->reg_count && base->g_reg_count &&
	       base->reg_size && base->reg_read && base->reg_write && base->regs_write &&
	       base->expedited && base->mem_read && base->mem_write;
}

static bool is_target_complete(const struct rsp_target *target)
{
	const struct rsp_run_ops *run = target->run;
	const struct rsp_break_ops *brk = target->brk;

	if (!is_base_complete(target->base))
		return false;
	if (!run || !run->resume || !run->interrupt || !run->detach || !run->kill)
		return false;
	if (run->may_control && !run->pause)
		return false;
	if (brk && !(brk->is_supported && brk->insert && brk->remove))
		return false;
	if (target->monitor && !target->monitor->command)
		return false;
	if (target->signals &&
	    !(target->signals->pass && target->signals->program && target->signals->siginfo))
		return false;
	if (target->trace && !target->tracer)
		return false;
	if (target->agent && !target->agent->insert)
		return false;
	if (target->phys && !(target->phys->read && target->phys->write))
		return false;
	if (target->map && !(target->map->region && target->map->has_rom))
		return false;
	if (target->lldb &&
	    !(target->lldb->triple && target->lldb->pointer_bytes && target->lldb->reg_info &&
	      target->lldb->alloc && target->lldb->release))
		return false;
	if (target->osdata && !target->osdata->table)
		return false;
	if (target->libraries && !(target->libraries->list && target->libraries->changed))
		return false;
	if (target->symbols && !(target->symbols->names && target->symbols->found))
		return false;
	return !target->xfer || target->xfer->features;
}

int rsp_session_open(struct rsp_session **out_session, const struct rsp_target *target)
{
	struct rsp_session *s;

	if (!target || !is_target_complete(target))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->target = target;
	rsp_session_reset(s);
	*out_session = s;
	return 0;
}

void rsp_session_close(struct rsp_session *session)
{
	free(session);
}

void rsp_session_reset(struct rsp_session *s)
{
	static const struct rsp_stop no_stop = {
		.kind = RSP_STOP_SIGNAL,
		.signal = RSP_SIGNAL_TRAP,
		.thread = 1,
	};

	s->state = RSP_NEW;
	s->frame = RSP_FRAME_IDLE;
	s->sum = 0;
	s->in_len = 0;
	s->heard = 0;
	s->is_oversized = false;
	s->is_no_ack = false;
	s->is_multiprocess = false;
	s->has_error_text = false;
	s->has_swbreak = false;
	s->has_hwbreak = false;
	s->is_extended = false;
	s->has_exec = false;
	s->has_no_file = false;
	s->has_libraries = false;
	s->is_stop_held = false;
	s->is_physical = false;
	s->has_suffix = false;
	s->has_thread_list = false;
	memset(s->saved_len, 0, sizeof(s->saved_len));
	s->is_kill_due = false;
	s->is_interrupt_sent = false;
	s->is_reader = false;
	s->has_no_resumed = false;
	s->has_thread_events = false;
	s->is_non_stop = false;
	s->is_note_out = false;
	s->is_asked = false;
	s->is_in_monitor = false;
	s->is_monitor_cut = false;
	s->monitor_len = 0;
	s->symbol_next = 0;
	s->general_thread = 0;
	s->continue_thread = RSP_THREAD_ANY;
	s->last_stop = no_stop;
	s->has_frame = false;
	s->upload = 0;
	s->is_replying = false;
	s->reply_len = 0;
	s->out_head = 0;
	s->out_tail = 0;
	s->resend_len = 0;
}

bool rsp_session_is_open(const struct rsp_session *s)
{
	return s->state != RSP_REFUSED && s->state != RSP_DETACHED && s->state != RSP_KILLED;
}

size_t rsp_session_input(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	size_t used = 0;

	while (used < len && rsp_session_is_open(s)) {
		size_t taken = rsp_pump_step(s, bytes + used, len - used);

		if (taken == 0)
			break;
		used += taken;
		s->heard += taken;
	}
	/* Nobody listens any more: what still comes in is swallowed. */
	if (!rsp_session_is_open(s))
		used = len;
	s->stats.bytes_in += used;
	return used;
}

const uint8_t *rsp_session_output(const struct rsp_session *s, size_t *out_len)
{
	*out_len = s->out_tail - s->out_head;
	return s->out + s->out_head;
}

void rsp_session_sent(struct rsp_session *s, size_t len)
{
	size_t waiting = s->out_tail - s->out_head;

	s->out_head += len < waiting ? len : waiting;
	if (s->out_head == s->out_tail && !s->is_replying) {
		s->out_head = 0;
		s->out_tail = 0;
	}
}

void rsp_session_attach(struct rsp_session *s)
{
	const struct rsp_run_ops *run = s->target->run;

	if (run->may_control && !run->may_control(s->target->ctx)) {
		s->is_reader = true;
		s->state = RSP_STOPPED;
		return;
	}
	/* Set first: a target may stop, and say so, inside the call. */
	s->state = RSP_ATTACHING;
	if (s->target->base->attach(s->target->ctx) && s->state == RSP_ATTACHING)
		s->state = RSP_STOPPED;
}

void rsp_session_interrupt(struct rsp_session *s)
{
	bool is_running = s->is_non_stop ? rsp_non_stop_is_running(s) : s->state == RSP_RUNNING;

	if (is_running && !s->is_interrupt_sent) {
		s->is_interrupt_sent = true;
		s->target->run->interrupt(s->target->ctx);
	}
}

/* A stop that no resume of this client led to.  It has set no breakpoint yet, and gdb silently
 * resumes from one that it does not know, so the reason goes no further than the signal. */
static void record_foreign_stop(struct rsp_session *s, const struct rsp_stop *stop)
{
	struct rsp_stop plain = *stop;

	plain.kind = RSP_STOP_SIGNAL;
	rsp_stop_record(s, &plain);
}

/* Thread events go only to a client that asked for them, and a pause is nobody's news. */
static bool is_news(const struct rsp_session *s, const struct rsp_stop *stop)
{
	switch (stop->kind) {
	case RSP_STOP_PAUSE:
		return false;
	case RSP_STOP_CREATED:
	case RSP_STOP_THREAD_GONE:
		return s->has_thread_events;
	case RSP_STOP_SIGNAL:
	case RSP_STOP_SWBREAK:
	case RSP_STOP_HWBREAK:
	case RSP_STOP_WATCH:
	case RSP_STOP_EXITED:
	case RSP_STOP_KILLED:
	case RSP_STOP_SYSCALL_ENTRY:
	case RSP_STOP_SYSCALL_RETURN:
	case RSP_STOP_LIBRARY:
		break;
	}
	return true;
}

void rsp_session_stopped(struct rsp_session *s, const struct rsp_stop *stop)
{
	if (!is_news(s, stop))
		return;
	if (s->is_non_stop && rsp_session_is_open(s)) {
		rsp_non_stop_stopped(s, stop);
		return;
	}
	switch (s->state) {
	case RSP_RUNNING:
		rsp_stop_record(s, stop);
		if (!rsp_stop_redescribe(s) && !rsp_stop_libraries(s))
			rsp_stop_answer(s);
		s->state = RSP_STOPPED;
		break;
	case RSP_ATTACHING:
		record_foreign_stop(s, stop);
		s->state = RSP_STOPPED;
		break;
	case RSP_NEW:
		record_foreign_stop(s, stop);
		break;
	case RSP_STOPPED:
		break;
	case RSP_REFUSED:
	case RSP_DETACHED:
	case RSP_KILLED:
		return;
	}
	if (rsp_stop_is_end(stop))
		s->state = RSP_KILLED;
}

enum rsp_session_state rsp_session_state(const struct rsp_session *s)
{
	return s->state;
}

bool rsp_session_is_kill_due(const struct rsp_session *s)
{
	return s->is_kill_due;
}

bool rsp_session_is_reader(const struct rsp_session *s)
{
	return s->is_reader;
}

bool rsp_session_is_non_stop(const struct rsp_session *s)
{
	return s->is_non_stop;
}

bool rsp_session_has_news(const struct rsp_session *s)
{
	return s->is_non_stop && s->is_note_out && rsp_session_is_open(s);
}

struct rsp_stats rsp_session_stats(const struct rsp_session *s)
{
	return s->stats;
}

unsigned rsp_thread_count(const struct rsp_session *s)
{
	unsigned count = s->target->base->thread_count(s->target->ctx);

	return count < RSP_MAX_THREADS ? count : RSP_MAX_THREADS;
}

bool rsp_thread_exists(const struct rsp_session *s, int32_t thread)
{
	if (thread < 1 || (uint32_t)thread > rsp_thread_count(s))
		return false;
	return s->target->base->thread_is_alive(s->target->ctx, (unsigned)thread);
}

unsigned rsp_current_thread(const struct rsp_session *s)
{
	return s->general_thread ? s->general_thread : s->last_stop.thread;
}

size_t rsp_format_refusal(char *out, size_t size, const char *reason)
{
	/* The '+' is the ack of the packet that this answers; gdb drops replies that lack it. */
	static const char head[] = "+$E.";
	size_t head_len = sizeof(head) - 1;
	size_t len = head_len;
	uint8_t sum;

	if (size < head_len + 3)
		return 0;
	memcpy(out, head, head_len);
	while (*reason && len + 3 < size)
		out[len++] = (char)rsp_plain_byte(*reason++);
	sum = rsp_checksum((const uint8_t *)out + 2, len - 2);
	out[len] = '#';
	rsp_hex_encode((uint8_t *)out + len + 1, &sum, 1);
	return len + 3;
}
