/* The byte pump: packets out of a stream, and packets into the output queue.
 *
 * It knows framing, checksums and acks; what a packet means is cmd_table.c's.  Nothing here blocks:
 * bytes that cannot be served yet are left to the caller.
 * Source: Debugging with GDB, E.1 Overview, E.10 Packet Acknowledgment. */
#include "internal.h"

#include <assert.h>
#include <string.h>

#define INTERRUPT_BYTE	0x03u
#define HTTP_METHOD_MAX 1024u
/* What a method may hold. */
#define HTTP_TOKEN "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* Output. */

size_t rsp_out_room(const struct rsp_session *s)
{
	return RSP_OUT_SIZE - (s->out_tail - s->out_head);
}

/* The longest packet fits behind the tail without touching what is kept for the stop reply. */
static bool has_room_for_command(const struct rsp_session *s)
{
	return rsp_out_room(s) >= RSP_FRAME_MAX + RSP_OUT_RESERVE;
}

/* Move what waits to the front when @wanted bytes do not fit behind it. */
static void make_contiguous(struct rsp_session *s, size_t wanted)
{
	size_t waiting = s->out_tail - s->out_head;

	if (RSP_OUT_SIZE - s->out_tail >= wanted)
		return;
	memmove(s->out, s->out + s->out_head, waiting);
	s->out_head = 0;
	s->out_tail = waiting;
}

static void queue_bytes(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	make_contiguous(s, len);
	if (RSP_OUT_SIZE - s->out_tail < len)
		return;
	memcpy(s->out + s->out_tail, bytes, len);
	s->out_tail += len;
	s->stats.bytes_out += len;
}

static void queue_ack(struct rsp_session *s, char ack)
{
	if (!s->is_no_ack)
		queue_bytes(s, (const uint8_t *)&ack, 1);
}

void rsp_reply_begin(struct rsp_session *s)
{
	size_t wanted = rsp_out_room(s) < RSP_FRAME_MAX ? rsp_out_room(s) : RSP_FRAME_MAX;

	assert(wanted >= 4);
	make_contiguous(s, wanted);
	s->is_replying = true;
	s->reply_len = 0;
}

size_t rsp_reply_room(const struct rsp_session *s)
{
	size_t room = RSP_OUT_SIZE - s->out_tail;

	if (room > RSP_FRAME_MAX)
		room = RSP_FRAME_MAX;
	return room < s->reply_len + 4 ? 0 : room - s->reply_len - 4;
}

static uint8_t *reply_start(struct rsp_session *s)
{
	return s->out + s->out_tail + 1;
}

void rsp_reply_byte(struct rsp_session *s, uint8_t byte)
{
	if (rsp_reply_room(s) >= 1)
		reply_start(s)[s->reply_len++] = byte;
}

void rsp_reply_set_first(struct rsp_session *s, char letter)
{
	reply_start(s)[0] = (uint8_t)letter;
}

void rsp_reply_drop(struct rsp_session *s, size_t len)
{
	s->reply_len -= len < s->reply_len ? len : s->reply_len;
}

void rsp_reply_text(struct rsp_session *s, const char *text)
{
	while (*text)
		rsp_reply_byte(s, (uint8_t)*text++);
}

void rsp_reply_hex(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	if (len > rsp_reply_room(s) / 2)
		len = rsp_reply_room(s) / 2;
	rsp_hex_encode(reply_start(s) + s->reply_len, bytes, len);
	s->reply_len += 2 * len;
}

void rsp_reply_number(struct rsp_session *s, uint64_t value, unsigned min_digits)
{
	unsigned digits = 1;

	while (digits < 16 && (digits < min_digits || value >> (4 * digits)))
		digits++;
	while (digits--)
		rsp_reply_byte(s, (uint8_t) "0123456789abcdef"[value >> (4 * digits) & 15]);
}

size_t rsp_reply_binary(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	uint8_t *end = reply_start(s) + s->reply_len;

	s->reply_len += rsp_escape(end, rsp_reply_room(s), bytes, &len);
	return len;
}

void rsp_reply_thread(struct rsp_session *s, unsigned thread)
{
	if (s->is_multiprocess)
		rsp_reply_text(s, "p1.");
	rsp_reply_number(s, thread, 1);
}

static size_t finish_frame(struct rsp_session *s, char first)
{
	uint8_t *frame = s->out + s->out_tail;
	size_t len = s->reply_len;
	uint8_t sum = rsp_checksum(frame + 1, len);

	frame[0] = (uint8_t)first;
	frame[len + 1] = '#';
	rsp_hex_encode(frame + len + 2, &sum, 1);
	s->out_tail += len + 4;
	s->is_replying = false;
	s->stats.packets_out++;
	s->stats.bytes_out += len + 4;
	return len + 4;
}

void rsp_reply_end(struct rsp_session *s)
{
	const uint8_t *frame = s->out + s->out_tail;
	size_t len = finish_frame(s, '$');

	if (!s->is_no_ack) {
		memcpy(s->resend, frame, len);
		s->resend_len = len;
	}
}

void rsp_reply_end_note(struct rsp_session *s)
{
	finish_frame(s, '%');
}

void rsp_session_keep_alive(struct rsp_session *s)
{
	static const uint8_t busy[] = "%Busy:1#0e";

	if (rsp_session_is_open(s) && !s->is_replying && s->out_head == s->out_tail)
		queue_bytes(s, busy, sizeof(busy) - 1);
}

void rsp_reply_end_packed(struct rsp_session *s)
{
	s->reply_len = rsp_rle_encode(reply_start(s), s->reply_len);
	rsp_reply_end(s);
}

void rsp_answer_text(struct rsp_session *s, const char *text)
{
	rsp_reply_begin(s);
	rsp_reply_text(s, text);
	rsp_reply_end(s);
}

static unsigned wire_error(int error)
{
	unsigned number = (unsigned)(error < 0 ? -(long)error : error);

	/* Two digits is all there is; a number outside must not become "no error". */
	return number == 0 || number > 0xff ? RSP_WIRE_EINVAL : number;
}

void rsp_answer_number(struct rsp_session *s, int error)
{
	rsp_reply_begin(s);
	rsp_reply_byte(s, 'E');
	rsp_reply_number(s, wire_error(error), 2);
	rsp_reply_end(s);
}

/* What the library's own errors mean, and those of targets without words. */
static const char *words_of(unsigned number)
{
	switch (number) {
	case RSP_WIRE_EPERM:
		return "not permitted";
	case RSP_WIRE_ESRCH:
		return "no such thread or process";
	case RSP_WIRE_E2BIG:
		return "the packet is longer than PacketSize";
	case RSP_WIRE_EFAULT:
		return "memory there cannot be accessed";
	case RSP_WIRE_EINVAL:
		return "the packet does not have the form that it must have";
	default:
		return NULL;
	}
}

void rsp_answer_error(struct rsp_session *s, int error)
{
	const struct rsp_target *target = s->target;
	const char *text = NULL;

	if (target->base->error_text)
		text = target->base->error_text(target->ctx);
	if (!text)
		text = words_of(wire_error(error));
	if (!s->has_error_text || !text) {
		rsp_answer_number(s, error);
		return;
	}
	rsp_reply_begin(s);
	rsp_reply_text(s, "E.");
	while (*text)
		rsp_reply_byte(s, rsp_plain_byte(*text++));
	rsp_reply_end(s);
}

void rsp_answer_result(struct rsp_session *s, int error)
{
	if (error)
		rsp_answer_error(s, error);
	else
		rsp_answer_text(s, "OK");
}

/* Input. */

/* True when 0x03 stands between packets somewhere in @bytes, whose first is not in a packet. */
static bool has_interrupt(const uint8_t *bytes, size_t len)
{
	const uint8_t *end = bytes + len;

	while (bytes < end) {
		if (*bytes == INTERRUPT_BYTE)
			return true;
		if (*bytes++ != '$')
			continue;
		bytes = memchr(bytes, '#', (size_t)(end - bytes));
		if (!bytes)
			return false;
		bytes += end - bytes < 3 ? end - bytes : 3;
	}
	return false;
}

/* A packet that is no packet.  An answer in no-ack mode is only for a client that waits for one.
 * False: no room to say so, try again. */
static bool reject_packet(struct rsp_session *s)
{
	if (!has_room_for_command(s))
		return false;
	s->frame = RSP_FRAME_IDLE;
	if (s->is_oversized)
		s->stats.oversized++;
	else
		s->stats.bad_checksums++;
	queue_ack(s, '-');
	if (s->is_no_ack && s->state == RSP_STOPPED)
		rsp_answer_error(s, s->is_oversized ? RSP_WIRE_E2BIG : RSP_WIRE_EINVAL);
	return true;
}

static bool may_run(const struct rsp_session *s, const struct rsp_command *command)
{
	if (!has_room_for_command(s))
		return false;
	if (command && command->may_run_while_running)
		return true;
	if (s->state != RSP_STOPPED)
		return false;
	/* For this client the target is as good as stopped, but it may well run. */
	return !command || !(s->is_non_stop || s->is_reader) ||
	       s->target->run->pause(s->target->ctx);
}

static bool is_sum_right(const struct rsp_session *s, uint8_t second_digit)
{
	int high = rsp_hex_digit(s->sum_digit);
	int low = rsp_hex_digit(second_digit);

	return high >= 0 && low >= 0 && (high << 4 | low) == s->sum;
}

static size_t token_length(const uint8_t *bytes, size_t len)
{
	size_t i = 0;

	while (i < len && memchr(HTTP_TOKEN, bytes[i], sizeof(HTTP_TOKEN) - 1))
		i++;
	return i;
}

/* Whether the client's first packet is rather the method of an HTTP request.  A web page may choose
 * that freely once its name leads to this host: "$k#6b / HTTP/1.1".  All of a method comes in one
 * piece unless it is too long to be one.
 * Source: RFC 9110 5.6.2 (token), 9.1 (method); RFC 9112 3 (request line). */
static bool is_http_method(const struct rsp_session *s, const uint8_t *rest, size_t len)
{
	size_t token = token_length(rest, len);

	if (token_length(s->in, s->in_len) < s->in_len)
		return false;
	return token < len ? rest[token] == ' ' : s->heard + len > HTTP_METHOD_MAX;
}

/* The second digit is bytes[0]: the packet is complete. */
static size_t finish_packet(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	const struct rsp_command *command;

	if (s->is_oversized || !is_sum_right(s, bytes[0]))
		return reject_packet(s);
	s->in[s->in_len] = '\0';
	if (s->state == RSP_NEW && is_http_method(s, bytes + 1, len - 1)) {
		s->state = RSP_REFUSED;
		return 1;
	}
	if (s->state == RSP_NEW)
		rsp_session_attach(s);
	command = rsp_command_find(s);
	if (!may_run(s, command)) {
		if (has_interrupt(bytes + 1, len - 1))
			rsp_session_interrupt(s);
		return 0;
	}
	s->frame = RSP_FRAME_IDLE;
	s->stats.packets_in++;
	queue_ack(s, '+');
	rsp_command_run(s, command);
	return 1;
}

static void begin_packet(struct rsp_session *s)
{
	s->frame = RSP_FRAME_DATA;
	s->sum = 0;
	s->in_len = 0;
	s->is_oversized = false;
}

/* Everything up to the next '#' or '$'.  A '$' is always escaped in data, so a bare one tells that
 * the packet before it was cut: start over with the new one. */
static size_t take_data(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	const uint8_t *hash = memchr(bytes, '#', len);
	const uint8_t *dollar;
	size_t run = hash ? (size_t)(hash - bytes) : len;

	dollar = memchr(bytes, '$', run);
	if (dollar) {
		s->stats.junk_bytes += s->in_len + (size_t)(dollar - bytes) + 1;
		begin_packet(s);
		return (size_t)(dollar - bytes) + 1;
	}
	if (run > RSP_PACKET_SIZE - s->in_len)
		s->is_oversized = true;
	if (!s->is_oversized) {
		memcpy(s->in + s->in_len, bytes, run);
		s->in_len += run;
		s->sum = (uint8_t)(s->sum + rsp_checksum(bytes, run));
	}
	if (hash) {
		s->frame = RSP_FRAME_SUM1;
		run++;
	}
	return run;
}

/* '-': the client wants the last packet again. */
static size_t send_again(struct rsp_session *s)
{
	if (s->is_no_ack || s->resend_len == 0)
		return 1;
	if (rsp_out_room(s) < s->resend_len + RSP_OUT_RESERVE)
		return 0;
	queue_bytes(s, s->resend, s->resend_len);
	return 1;
}

static size_t take_idle(struct rsp_session *s, uint8_t byte)
{
	switch (byte) {
	case '$':
		begin_packet(s);
		return 1;
	case '+':
		return 1;
	case '-':
		return send_again(s);
	case INTERRUPT_BYTE:
		rsp_session_interrupt(s);
		return 1;
	default:
		/* Before its first valid packet a client gets no second chance: something that
		 * speaks another protocol must not reach a packet further down its text. */
		s->stats.junk_bytes++;
		if (s->state == RSP_NEW)
			s->state = RSP_REFUSED;
		return 1;
	}
}

size_t rsp_pump_step(struct rsp_session *s, const uint8_t *bytes, size_t len)
{
	bool is_digit = s->frame == RSP_FRAME_SUM1 || s->frame == RSP_FRAME_SUM2;

	/* A packet cut inside its checksum must not swallow the start of the next one. */
	if (is_digit && bytes[0] == '$')
		return reject_packet(s) ? take_idle(s, '$') : 0;
	switch (s->frame) {
	case RSP_FRAME_IDLE:
		return take_idle(s, bytes[0]);
	case RSP_FRAME_DATA:
		return take_data(s, bytes, len);
	case RSP_FRAME_SUM1:
		s->sum_digit = bytes[0];
		s->frame = RSP_FRAME_SUM2;
		return 1;
	case RSP_FRAME_SUM2:
		return finish_packet(s, bytes, len);
	}
	return 1;
}
