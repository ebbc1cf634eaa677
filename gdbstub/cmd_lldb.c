/* Packets that LLDB sends on top of gdb's: it wants all threads with one answer, registers of any
 * thread without choosing it first, and memory to put code into.
 * Source: LLDB's docs/lldb-gdb-remote.txt (LLDB 14). */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define PROCESS_ID "1"

void rsp_cmd_thread_suffix(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->has_suffix = true;
	rsp_answer_text(s, "OK");
}

void rsp_cmd_list_threads(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	s->has_thread_list = true;
	rsp_answer_text(s, "OK");
}

/* Threads. */

static size_t pc_size(const struct rsp_session *s)
{
	const struct rsp_target *target = s->target;
	size_t size = target->base->reg_size(target->ctx, target->lldb->pc_reg);

	return size <= sizeof(uint64_t) ? size : 0;
}

/* Where @thread is; false when that cannot be read. */
static bool read_pc(const struct rsp_session *s, unsigned thread, uint64_t *out_pc)
{
	const struct rsp_target *target = s->target;
	uint8_t bytes[sizeof(uint64_t)] = {0};
	size_t size = pc_size(s);

	if (size == 0 || !target->base->reg_read(target->ctx, thread, target->lldb->pc_reg, bytes))
		return false;
	*out_pc = 0;
	while (size--)
		*out_pc = *out_pc << 8 | bytes[size];
	return true;
}

/* Longest entries: "p1.100," and 16 digits with a comma. */
#define THREAD_ENTRY_MAX (7u + 17u)
#define LIST_WORDS_MAX	 32u

/* Left out whole where it would not fit a stop reply: the client asks then. */
void rsp_lldb_put_threads(struct rsp_session *s)
{
	unsigned count = rsp_thread_count(s);
	unsigned thread;
	uint64_t pc;

	if (s->reply_len + LIST_WORDS_MAX + (size_t)count * THREAD_ENTRY_MAX > RSP_STOP_MAX)
		return;
	rsp_reply_text(s, "threads:");
	for (thread = 1; thread <= count; thread++) {
		if (!rsp_thread_exists(s, (int32_t)thread))
			continue;
		rsp_reply_thread(s, thread);
		rsp_reply_byte(s, ',');
	}
	rsp_reply_drop(s, 1);
	rsp_reply_text(s, ";thread-pcs:");
	for (thread = 1; thread <= count; thread++) {
		if (!rsp_thread_exists(s, (int32_t)thread))
			continue;
		if (!read_pc(s, thread, &pc))
			pc = 0;
		rsp_reply_number(s, pc, 1);
		rsp_reply_byte(s, ',');
	}
	rsp_reply_drop(s, 1);
	rsp_reply_byte(s, ';');
}

/* '}' is the protocol's escape, so JSON goes out as binary data does. */
static void put_json(struct rsp_session *s, const char *text)
{
	rsp_reply_binary(s, (const uint8_t *)text, strlen(text));
}

static void put_json_string(struct rsp_session *s, const char *text)
{
	for (; *text; text++) {
		char c[3] = {*text, '\0', '\0'};

		if (*text == '"' || *text == '\\') {
			c[0] = '\\';
			c[1] = *text;
		} else if (*text < ' ' || *text > '~') {
			c[0] = '?';
		}
		put_json(s, c);
	}
}

static const char *reason_word(const struct rsp_stop *stop)
{
	switch (stop->kind) {
	case RSP_STOP_SWBREAK:
	case RSP_STOP_HWBREAK:
		return "breakpoint";
	case RSP_STOP_WATCH:
		return "watchpoint";
	default:
		break;
	}
	return stop->signal == RSP_SIGNAL_TRAP ? "trace" : "signal";
}

static void put_json_registers(struct rsp_session *s, unsigned thread)
{
	const struct rsp_base_ops *base = s->target->base;
	const unsigned *reg;
	uint8_t value[RSP_MAX_REG_BYTES];
	const char *separator = "";
	char text[24];

	put_json(s, ",\"registers\":{");
	for (reg = base->expedited; *reg != RSP_REG_NONE; reg++) {
		size_t size = base->reg_size(s->target->ctx, *reg);

		if (size == 0 || size > sizeof(value) ||
		    !base->reg_read(s->target->ctx, thread, *reg, value))
			continue;
		snprintf(text, sizeof(text), "%s\"%u\":\"", separator, *reg);
		put_json(s, text);
		rsp_reply_hex(s, value, size);
		put_json(s, "\"");
		separator = ",";
	}
	put_json(s, "}");
}

static void put_json_thread(struct rsp_session *s, unsigned thread)
{
	const struct rsp_target *target = s->target;
	const struct rsp_stop *stop = &s->last_stop;
	char text[96];

	snprintf(text, sizeof(text), "{\"tid\":%u,\"name\":\"", thread);
	put_json(s, text);
	text[0] = '\0';
	target->base->thread_name(target->ctx, thread, text, sizeof(text));
	put_json_string(s, text);
	snprintf(text, sizeof(text), "\",\"reason\":\"%s\"",
		 thread == stop->thread ? reason_word(stop) : "none");
	put_json(s, text);
	if (thread == stop->thread) {
		snprintf(text, sizeof(text), ",\"signal\":%u", stop->signal);
		put_json(s, text);
	}
	if (thread == stop->thread && stop->kind == RSP_STOP_WATCH) {
		snprintf(text, sizeof(text), ",\"description\":\"%llu\"",
			 (unsigned long long)stop->addr);
		put_json(s, text);
	}
	put_json_registers(s, thread);
	put_json(s, "}");
}

void rsp_cmd_threads_info(struct rsp_session *s, const struct rsp_args *args)
{
	unsigned count = rsp_thread_count(s);
	const char *separator = "";
	unsigned thread;

	(void)args;
	rsp_reply_begin(s);
	put_json(s, "[");
	for (thread = 1; thread <= count; thread++) {
		if (!rsp_thread_exists(s, (int32_t)thread))
			continue;
		put_json(s, separator);
		put_json_thread(s, thread);
		separator = ",";
	}
	put_json(s, "]");
	rsp_reply_end(s);
}

/* A thread that did not stop by itself has no reason. */
void rsp_cmd_thread_stop(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_stop stop = s->last_stop;
	unsigned general = s->general_thread;

	if (!rsp_thread_exists(s, args->thread)) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	if ((unsigned)args->thread != stop.thread) {
		s->last_stop = (struct rsp_stop){.kind = RSP_STOP_SIGNAL,
						 .signal = RSP_SIGNAL_NONE,
						 .thread = (unsigned)args->thread};
	}
	rsp_stop_answer(s);
	s->last_stop = stop;
	s->general_thread = general;
}

/* Who and what. */

static void put_triple(struct rsp_session *s)
{
	const struct rsp_lldb_ops *lldb = s->target->lldb;

	rsp_reply_text(s, "triple:");
	rsp_reply_hex(s, (const uint8_t *)lldb->triple, strlen(lldb->triple));
	rsp_reply_text(s, ";endian:little;ptrsize:");
	rsp_reply_number(s, lldb->pointer_bytes, 1);
	rsp_reply_byte(s, ';');
}

void rsp_cmd_host_info(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_reply_begin(s);
	put_triple(s);
	rsp_reply_end(s);
}

void rsp_cmd_process_info(struct rsp_session *s, const struct rsp_args *args)
{
	(void)args;
	rsp_reply_begin(s);
	rsp_reply_text(s, "pid:" PROCESS_ID ";");
	put_triple(s);
	rsp_reply_end(s);
}

/* Bytes of the registers before @reg in g; UINT64_MAX for one that is not in it. */
static uint64_t offset_of(const struct rsp_session *s, unsigned reg)
{
	const struct rsp_target *target = s->target;
	uint64_t offset = 0;
	unsigned i;

	if (reg >= target->base->g_reg_count(target->ctx))
		return UINT64_MAX;
	for (i = 0; i < reg; i++)
		offset += target->base->reg_size(target->ctx, i);
	return offset;
}

static const char *encoding_words(enum rsp_encoding encoding)
{
	switch (encoding) {
	case RSP_ENCODING_UINT:
		return "encoding:uint;format:hex;";
	case RSP_ENCODING_IEEE754:
		return "encoding:ieee754;format:float;";
	case RSP_ENCODING_VECTOR:
		break;
	}
	return "encoding:vector;format:vector-uint8;";
}

static void put_reg_info(struct rsp_session *s, unsigned reg, const struct rsp_reg_info *info)
{
	size_t size = s->target->base->reg_size(s->target->ctx, reg);
	uint64_t offset = offset_of(s, reg);
	char text[64];

	rsp_reply_text(s, "name:");
	rsp_reply_text(s, info->name);
	snprintf(text, sizeof(text), ";bitsize:%zu;", 8 * size);
	rsp_reply_text(s, text);
	if (offset != UINT64_MAX) {
		snprintf(text, sizeof(text), "offset:%llu;", (unsigned long long)offset);
		rsp_reply_text(s, text);
	}
	rsp_reply_text(s, encoding_words(info->encoding));
	rsp_reply_text(s, "set:");
	rsp_reply_text(s, info->set);
	rsp_reply_byte(s, ';');
	if (info->dwarf >= 0) {
		snprintf(text, sizeof(text), "ehframe:%d;dwarf:%d;", info->dwarf, info->dwarf);
		rsp_reply_text(s, text);
	}
	if (info->generic) {
		rsp_reply_text(s, "generic:");
		rsp_reply_text(s, info->generic);
		rsp_reply_byte(s, ';');
	}
}

/* An error ends the client's enumeration. */
void rsp_cmd_register_info(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	struct rsp_reg_info info = {.dwarf = -1};

	if (args->number[0] >= target->base->reg_count(target->ctx) ||
	    !target->lldb->reg_info(target->ctx, (unsigned)args->number[0], &info)) {
		rsp_answer_error(s, RSP_WIRE_E2BIG);
		return;
	}
	rsp_reply_begin(s);
	put_reg_info(s, (unsigned)args->number[0], &info);
	rsp_reply_end(s);
}

/* Memory and registers on loan. */

static bool parse_permissions(const struct rsp_args *args, unsigned *out_permissions)
{
	size_t i;

	*out_permissions = 0;
	for (i = 0; i < args->data_len; i++) {
		if (args->data[i] == 'r')
			*out_permissions |= RSP_MAY_READ;
		else if (args->data[i] == 'w')
			*out_permissions |= RSP_MAY_WRITE;
		else if (args->data[i] == 'x')
			*out_permissions |= RSP_MAY_EXECUTE;
		else
			return false;
	}
	return true;
}

void rsp_cmd_alloc(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	unsigned permissions;
	uint64_t addr = 0;
	int error;

	if (args->number[0] == 0 || !parse_permissions(args, &permissions)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	error = target->lldb->alloc(target->ctx, rsp_current_thread(s), args->number[0],
				    permissions, &addr);
	if (error) {
		rsp_answer_error(s, error);
		return;
	}
	rsp_reply_begin(s);
	rsp_reply_number(s, addr, 1);
	rsp_reply_end(s);
}

void rsp_cmd_release(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;

	rsp_answer_result(s, target->lldb->release(target->ctx, args->number[0]));
}

/* Read what g carries into @out; 0 when that does not fit or some of it cannot be read. */
static size_t read_all(struct rsp_session *s, uint8_t *out)
{
	const struct rsp_target *target = s->target;
	unsigned count = target->base->g_reg_count(target->ctx);
	size_t len = 0;
	unsigned reg;

	for (reg = 0; reg < count; reg++) {
		size_t size = target->base->reg_size(target->ctx, reg);

		if (size > RSP_SAVED_BYTES - len ||
		    !target->base->reg_read(target->ctx, rsp_current_thread(s), reg, out + len))
			return 0;
		len += size;
	}
	return len;
}

/* Numbers are slots, counted from 1. */
void rsp_cmd_save_registers(struct rsp_session *s, const struct rsp_args *args)
{
	unsigned slot = 0;

	(void)args;
	while (slot < RSP_SAVED_MAX && s->saved_len[slot])
		slot++;
	if (slot == RSP_SAVED_MAX) {
		rsp_answer_error(s, RSP_WIRE_E2BIG);
		return;
	}
	s->saved_len[slot] = (uint16_t)read_all(s, s->saved[slot]);
	if (s->saved_len[slot] == 0) {
		rsp_answer_error(s, RSP_WIRE_EFAULT);
		return;
	}
	rsp_reply_begin(s);
	rsp_reply_number(s, slot + 1, 1);
	rsp_reply_end(s);
}

/* A state is used once. */
void rsp_cmd_restore_registers(struct rsp_session *s, const struct rsp_args *args)
{
	const struct rsp_target *target = s->target;
	uint64_t slot = args->number[0] - 1;
	int error;

	if (slot >= RSP_SAVED_MAX || s->saved_len[slot] == 0) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	error = target->base->regs_write(target->ctx, rsp_current_thread(s), s->saved[slot],
					 s->saved_len[slot]);
	if (error == 0)
		s->saved_len[slot] = 0;
	rsp_answer_result(s, error);
}
