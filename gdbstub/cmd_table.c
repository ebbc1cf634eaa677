/* The command table: every packet that is understood, with the shape of its arguments, what the
 * target must offer for it, and whether it may run while the target runs.
 *
 * A packet whose arguments do not match its schema is answered with an error before its handler
 * or the target sees anything.  Schema letters:
 *
 *	n  a hexadecimal number              s  a signal: exactly two digits, and a number
 *	t  a thread-id                       h  data as hexadecimal digits, up to the end
 *	b  data with '}' escapes, to the end *  data as it is, up to the end
 *	a  an annex: up to the next ':'      ?  the packet may end here
 *	@  ";thread:ID;" may end the packet, if the client asked for that: the thread it is about
 *
 * Any other letter stands for itself.
 * Source: Debugging with GDB, E.2 Packets, E.4 General Query Packets. */
#include "internal.h"

#include <string.h>

#define WAITS	false
#define AT_ONCE true

/* In a name, words that begin alike need no order: a word must end where the name does. */
static const struct rsp_command commands[] = {
	{"?", "", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_reason},
	{"!", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_extended},
	{"g", "@", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_read_registers},
	{"G", "h@", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_write_registers},
	{"p", "n@", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_read_register},
	{"P", "n=h@", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_write_register},
	{"m", "n,n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_read_hex},
	{"x", "n,n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_read_binary},
	{"M", "n,n:h", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_write},
	{"X", "n,n:b", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_write},
	{"qSearch:memory", ":n;n;b", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_search},
	{"qCRC", ":n,n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_crc},
	{"c", "?n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_continue},
	{"C", "s?;n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_continue_signal},
	{"s", "?n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_step},
	{"S", "s?;n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_step_signal},
	{"vCont?", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_vcont_list},
	{"vCont", ";*", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_vcont},
	{"vCtrlC", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_ctrl_c},
	{"Z", "n,n,n?;*", RSP_NEEDS_BREAK, WAITS, rsp_cmd_insert},
	{"z", "n,n,n", RSP_NEEDS_BREAK, WAITS, rsp_cmd_remove},
	{"Hg", "t", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_general_thread},
	{"Hc", "t", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_continue_thread},
	{"T", "t", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_is_alive},
	{"D", "?;n", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_detach},
	{"k", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_kill},
	{"vKill", ";n", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_vkill},
	{"R", "?n", RSP_NEEDS_RESTART, WAITS, rsp_cmd_restart},
	{"vRun", "?;*", RSP_NEEDS_RESTART, WAITS, rsp_cmd_vrun},
	{"vMustReplyEmpty", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_empty},
	{"qSupported", "?:*", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_supported},
	{"QStartNoAckMode", "", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_no_ack},
	{"QNonStop", ":n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_non_stop},
	{"vStopped", "", RSP_NEEDS_PAUSE, WAITS, rsp_cmd_next_stop},
	{"QPassSignals", ":*", RSP_NEEDS_SIGNALS, WAITS, rsp_cmd_pass_signals},
	{"QProgramSignals", ":*", RSP_NEEDS_SIGNALS, WAITS, rsp_cmd_program_signals},
	{"QCatchSyscalls", ":n?;*", RSP_NEEDS_SYSCALLS, WAITS, rsp_cmd_catch_syscalls},
	{"qXfer:siginfo:read", "::n,n", RSP_NEEDS_SIGNALS, WAITS, rsp_cmd_xfer_siginfo},
	{"QThreadEvents", ":n", RSP_NEEDS_THREAD_EVENTS, AT_ONCE, rsp_cmd_thread_events},
	{"qAttached", "?:n", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_attached},
	{"qSymbol", ":*", RSP_NEEDS_NOTHING, AT_ONCE, rsp_cmd_symbol},
	{"qOffsets", "", RSP_NEEDS_OFFSETS, WAITS, rsp_cmd_offsets},
	{"qqemu.Supported", "", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_qemu_supported},
	{"qqemu.PhyMemMode", "", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_is_physical},
	{"Qqemu.PhyMemMode", ":n", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_set_physical},
	{"qqemu.sstepbits", "", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_qemu_step_bits},
	{"Qqemu.sstepbits", "", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_qemu_step_bits},
	{"qqemu.sstep", "", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_qemu_step_mode},
	{"Qqemu.sstep", "=n", RSP_NEEDS_PHYS, AT_ONCE, rsp_cmd_qemu_set_step_mode},
	{"qC", "", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_current_thread},
	{"qfThreadInfo", "", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_first_threads},
	{"qsThreadInfo", "", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_more_threads},
	{"qThreadExtraInfo", ",t", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_thread_extra},
	{"qXfer:threads:read", "::n,n", RSP_NEEDS_NOTHING, WAITS, rsp_cmd_xfer_threads},
	{"qXfer:features:read", ":a:n,n", RSP_NEEDS_XFER, AT_ONCE, rsp_cmd_xfer_features},
	{"qXfer:exec-file:read", ":a:n,n", RSP_NEEDS_EXEC_FILE, AT_ONCE, rsp_cmd_xfer_exec_file},
	{"qXfer:traceframe-info:read", "::n,n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_xfer_traceframe},
	{"QTinit", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_init},
	{"QTDP", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_point},
	{"QTDPsrc", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_source},
	{"QTDV", ":n:n:n:h", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_variable},
	{"QTro", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_read_only},
	{"QTEnable", ":n:n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_enable},
	{"QTDisable", ":n:n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_disable},
	{"QTStart", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_start},
	{"QTStop", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_stop},
	{"QTFrame", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_frame},
	{"QTBuffer", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_buffer},
	{"QTDisconnected", ":n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_disconnected},
	{"QTNotes", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_notes},
	{"QTSave", ":*", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_save},
	{"qTStatus", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_status},
	{"qTP", ":n:n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_hits},
	{"qTfP", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_first_point},
	{"qTsP", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_next_point},
	{"qTfV", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_first_variable},
	{"qTsV", "", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_next_variable},
	{"qTV", ":n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_value},
	{"qTBuffer", ":n,n", RSP_NEEDS_TRACE, WAITS, rsp_cmd_trace_data},
	{"qXfer:memory-map:read", "::n,n", RSP_NEEDS_ROM, WAITS, rsp_cmd_xfer_memory_map},
	{"qXfer:osdata:read", ":a:n,n", RSP_NEEDS_OSDATA, WAITS, rsp_cmd_xfer_osdata},
	{"qXfer:libraries:read", "::n,n", RSP_NEEDS_LIBRARIES, WAITS, rsp_cmd_xfer_libraries},
	{"QThreadSuffixSupported", "", RSP_NEEDS_LLDB, AT_ONCE, rsp_cmd_thread_suffix},
	{"QListThreadsInStopReply", "", RSP_NEEDS_LLDB, AT_ONCE, rsp_cmd_list_threads},
	{"jThreadsInfo", "", RSP_NEEDS_LLDB, WAITS, rsp_cmd_threads_info},
	{"qThreadStopInfo", "t", RSP_NEEDS_LLDB, WAITS, rsp_cmd_thread_stop},
	{"qHostInfo", "", RSP_NEEDS_LLDB, AT_ONCE, rsp_cmd_host_info},
	{"qProcessInfo", "", RSP_NEEDS_LLDB, AT_ONCE, rsp_cmd_process_info},
	{"qRegisterInfo", "n", RSP_NEEDS_LLDB, AT_ONCE, rsp_cmd_register_info},
	{"_M", "n,*", RSP_NEEDS_LLDB, WAITS, rsp_cmd_alloc},
	{"_m", "n", RSP_NEEDS_LLDB, WAITS, rsp_cmd_release},
	{"QSaveRegisterState", "@", RSP_NEEDS_LLDB, WAITS, rsp_cmd_save_registers},
	{"QRestoreRegisterState", ":n@", RSP_NEEDS_LLDB, WAITS, rsp_cmd_restore_registers},
	{"qMemoryRegionInfo", "?:n", RSP_NEEDS_MAP, WAITS, rsp_cmd_region},
	{"qRcmd", ",h", RSP_NEEDS_MONITOR, WAITS, rsp_cmd_monitor},
};

const struct rsp_command *rsp_command_table(size_t *out_count)
{
	*out_count = sizeof(commands) / sizeof(commands[0]);
	return commands;
}

static bool is_word_byte(uint8_t byte)
{
	bool is_letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';

	return is_letter || (byte >= '0' && byte <= '9') || byte == '?' || byte == '-';
}

/* A name of one or two letters is followed by its arguments; a longer one is a word. */
static bool is_name_of(const struct rsp_command *row, const uint8_t *packet, size_t len)
{
	size_t name_len = strlen(row->name);

	if (len < name_len || memcmp(packet, row->name, name_len) != 0)
		return false;
	if (packet[0] != 'q' && packet[0] != 'Q' && packet[0] != 'v' && packet[0] != 'j')
		return true;
	/* The number follows at once. */
	if (row->schema[0] == 't' || row->schema[0] == 'n')
		return true;
	return len == name_len || !is_word_byte(packet[name_len]);
}

bool rsp_command_is_offered(const struct rsp_session *s, enum rsp_needs needs)
{
	const struct rsp_target *target = s->target;

	switch (needs) {
	case RSP_NEEDS_NOTHING:
		return true;
	case RSP_NEEDS_RESTART:
		return target->run->restart;
	case RSP_NEEDS_PAUSE:
		return target->run->pause;
	case RSP_NEEDS_THREAD_EVENTS:
		return target->run->thread_events;
	case RSP_NEEDS_SIGNALS:
		return target->signals;
	case RSP_NEEDS_SYSCALLS:
		return target->signals && target->signals->catch_syscalls;
	case RSP_NEEDS_BREAK:
		return target->brk;
	case RSP_NEEDS_MONITOR:
		return target->monitor;
	case RSP_NEEDS_XFER:
		return target->xfer;
	case RSP_NEEDS_EXEC_FILE:
		return target->xfer &&
		       (target->xfer->redescribe ||
			(target->xfer->exec_file && target->xfer->exec_file(target->ctx)));
	case RSP_NEEDS_REDESCRIBE:
		return target->xfer && target->xfer->redescribe;
	case RSP_NEEDS_PHYS:
		return target->phys;
	case RSP_NEEDS_AGENT:
		return target->brk && target->agent;
	case RSP_NEEDS_TRACE:
		return target->trace && target->tracer;
	case RSP_NEEDS_MAP:
		return target->map;
	case RSP_NEEDS_ROM:
		return target->map && target->map->has_rom(target->ctx);
	case RSP_NEEDS_OSDATA:
		return target->osdata;
	case RSP_NEEDS_LIBRARIES:
		return target->libraries;
	case RSP_NEEDS_LLDB:
		return target->lldb;
	case RSP_NEEDS_OFFSETS:
		return target->xfer && target->xfer->text_start;
	}
	return false;
}

const struct rsp_command *rsp_command_find(const struct rsp_session *s)
{
	const struct rsp_command *end = commands + sizeof(commands) / sizeof(commands[0]);
	const struct rsp_command *row;

	for (row = commands; row < end; row++)
		if (row->name[0] == (char)s->in[0] && is_name_of(row, s->in, s->in_len))
			return rsp_command_is_offered(s, row->needs) ? row : NULL;
	return NULL;
}

static bool parse_signal(struct rsp_cursor *cursor, uint64_t *out_signal)
{
	const uint8_t *start = cursor->at;
	struct rsp_cursor two = {start, start + 2};

	if (cursor->end - start < 2 || !rsp_parse_u64(&two, out_signal))
		return false;
	cursor->at = two.at;
	return two.at == two.end;
}

static bool parse_number(struct rsp_cursor *cursor, char letter, struct rsp_args *args)
{
	uint64_t *number = &args->number[args->number_count];

	if (args->number_count == RSP_ARGS_NUMBERS)
		return false;
	args->number_count++;
	return letter == 's' ? parse_signal(cursor, number) : rsp_parse_u64(cursor, number);
}

/* Everything that is left, decoded where it stands. */
static bool parse_data(struct rsp_cursor *cursor, char letter, struct rsp_args *args)
{
	size_t len = (size_t)(cursor->end - cursor->at);
	uint8_t *data = args->packet_end - len;

	cursor->at = cursor->end;
	args->data = data;
	args->data_len = len;
	if (letter == 'h') {
		args->data_len = len / 2;
		return rsp_hex_decode(data, data, len);
	}
	if (letter == 'b')
		args->data_len = rsp_unescape(data, len);
	return args->data_len != SIZE_MAX;
}

static bool parse_annex(struct rsp_cursor *cursor, struct rsp_args *args)
{
	args->name = cursor->at;
	while (cursor->at < cursor->end && *cursor->at != ':')
		cursor->at++;
	args->name_len = (size_t)(cursor->at - args->name);
	return true;
}

/* Take ";thread:ID;" off the packet's end.  *@out_thread stays as it is when there is none; false
 * when it is malformed. */
static bool strip_thread(const struct rsp_session *s, struct rsp_cursor *cursor,
			 int32_t *out_thread)
{
	static const char word[] = "thread:";
	const uint8_t *at = cursor->end - 1;
	struct rsp_cursor id;

	if (!s->has_suffix || cursor->at >= cursor->end || *at != ';')
		return true;
	while (at > cursor->at && at[-1] != ';')
		at--;
	id = (struct rsp_cursor){at + sizeof(word) - 1, cursor->end - 1};
	if (at == cursor->at || id.at > id.end || memcmp(at, word, sizeof(word) - 1) != 0)
		return false;
	cursor->end = at - 1;
	return rsp_parse_thread(&id, out_thread) && id.at == id.end;
}

static bool parse_one(struct rsp_cursor *cursor, char letter, struct rsp_args *args)
{
	switch (letter) {
	case 'n':
	case 's':
		return parse_number(cursor, letter, args);
	case 't':
		return rsp_parse_thread(cursor, &args->thread);
	case 'h':
	case 'b':
	case '*':
		return parse_data(cursor, letter, args);
	case 'a':
		return parse_annex(cursor, args);
	default:
		return rsp_parse_char(cursor, letter);
	}
}

static bool parse_args(struct rsp_cursor *cursor, const char *schema, struct rsp_args *args)
{
	for (; *schema; schema++) {
		if (*schema == '@')
			continue;
		if (*schema == '?') {
			if (cursor->at == cursor->end)
				return true;
			continue;
		}
		if (!parse_one(cursor, *schema, args))
			return false;
	}
	return cursor->at == cursor->end;
}

void rsp_command_run(struct rsp_session *s, const struct rsp_command *command)
{
	struct rsp_args args = {.packet_end = s->in + s->in_len};
	struct rsp_cursor cursor = {s->in, s->in + s->in_len};
	unsigned general = s->general_thread;
	int32_t about = 0; /* the thread that this packet alone is about; 0: the chosen one */

	if (!command) {
		rsp_answer_text(s, "");
		return;
	}
	if (s->is_reader && !rsp_reader_may_run(s, command))
		return;
	cursor.at += strlen(command->name);
	if (strchr(command->schema, '@')) {
		if (!strip_thread(s, &cursor, &about)) {
			rsp_answer_error(s, RSP_WIRE_EINVAL);
			return;
		}
		args.packet_end -= s->in + s->in_len - cursor.end;
	}
	if (about && !rsp_thread_exists(s, about)) {
		rsp_answer_error(s, RSP_WIRE_ESRCH);
		return;
	}
	if (!parse_args(&cursor, command->schema, &args)) {
		rsp_answer_error(s, RSP_WIRE_EINVAL);
		return;
	}
	if (about)
		s->general_thread = (unsigned)about;
	command->run(s, &args);
	if (s->is_non_stop)
		rsp_non_stop_served(s, command);
	if (about)
		s->general_thread = general;
}
