/* What the files of librspstub share and nobody else sees: the session and the helpers that
 * commands are made of.
 *
 * Two rules hold the library together.  A command runs only while the output queue has room for
 * the longest packet and RSP_OUT_RESERVE bytes, so no handler ever asks for room.  A packet is
 * taken from the input only when its command runs: one that has to wait keeps its last byte in the
 * embedder's hands, and so nothing is ever hidden in here that could be forgotten. */
#ifndef RSPSTUB_INTERNAL_H
#define RSPSTUB_INTERNAL_H

#include "rspstub.h"

/* '$', the data, '#' and two digits. */
#define RSP_FRAME_MAX (RSP_PACKET_SIZE + 4u)
/* A stop reply must fit whatever else is queued: it comes when the target likes. */
#define RSP_STOP_MAX 4096u
/* Room that only a stop reply, an answer that ends a monitor command, and acks may use. */
#define RSP_OUT_RESERVE (RSP_STOP_MAX + 64u)
#define RSP_OUT_SIZE	(2u * RSP_FRAME_MAX + RSP_OUT_RESERVE)
/* Text bytes in one O packet; clients exist that keep small buffers for these. */
#define RSP_CONSOLE_CHUNK 2048u

/* Calls that a debugger makes in the target save the registers; calls within calls are few. */
#define RSP_SAVED_MAX	8u
#define RSP_SAVED_BYTES 4096u

/* Numbers for E packets.  They are Linux's, spelled out here because they are part of the wire. */
enum rsp_wire_error {
	RSP_WIRE_EPERM = 1,
	RSP_WIRE_ENOENT = 2,
	RSP_WIRE_ESRCH = 3,
	RSP_WIRE_E2BIG = 7,
	RSP_WIRE_EFAULT = 14,
	RSP_WIRE_EINVAL = 22,
};

#define RSP_SIGNAL_NONE 0u
#define RSP_SIGNAL_TRAP 5u

/* Thread ids on the wire that name no single thread. */
#define RSP_THREAD_ALL	(-1)
#define RSP_THREAD_ANY	0
#define RSP_THREAD_NONE INT32_MAX /* well-formed, and certainly not ours */

/* A thread in non-stop mode. */
enum rsp_thread_state {
	RSP_THREAD_STOPPED, /* and the client knows */
	RSP_THREAD_NEWS,    /* stopped; for the client it runs until it has fetched the news */
	RSP_THREAD_RUNS,
};
struct rsp_thread_run {
	enum rsp_thread_state state;
	unsigned turn;	      /* RSP_THREAD_NEWS: which came first */
	struct rsp_plan plan; /* RSP_THREAD_RUNS */
	struct rsp_stop stop; /* the last one */
};

enum rsp_frame {
	RSP_FRAME_IDLE, /* between packets */
	RSP_FRAME_DATA, /* after '$' */
	RSP_FRAME_SUM1, /* after '#' */
	RSP_FRAME_SUM2, /* after the first checksum digit */
};

struct rsp_command;

struct rsp_session {
	const struct rsp_target *target;
	enum rsp_session_state state;

	enum rsp_frame frame;
	uint8_t sum;	   /* of the data bytes so far */
	uint8_t sum_digit; /* the first one, as it came */
	bool is_oversized; /* the packet under way did not fit; its bytes are dropped */
	size_t in_len;
	size_t heard; /* bytes of this client so far */

	bool is_no_ack;
	bool is_multiprocess; /* the client understands p1.N */
	bool has_error_text;  /* the client takes E.text from any packet */
	bool has_swbreak, has_hwbreak;
	bool has_suffix;	/* ";thread:ID;" ends packets about registers */
	bool has_thread_list;	/* stop replies name all threads and where they are */
	bool has_exec;		/* the client knows exec: in stop replies */
	bool has_no_file;	/* the client asked for the program's file: it was given none */
	bool has_libraries;	/* the client reads the list of libraries */
	bool is_stop_held;	/* last_stop waits for a resume, which it answers */
	bool is_physical;	/* m, x, M and X mean physical addresses */
	bool is_extended;	/* the client said ! and may say vRun */
	bool is_kill_due;	/* vKill came, and vRun may follow */
	bool is_interrupt_sent; /* for the present run */
	bool is_reader;		/* another client controls the target */
	bool has_no_resumed;	/* the client knows the stop reply N */
	bool has_thread_events; /* the client asked for them */
	bool is_in_monitor;
	bool is_monitor_cut;
	size_t monitor_len; /* text in scratch that waits to become an O packet */

	unsigned symbol_next;	 /* the name that the client is asked for */
	unsigned general_thread; /* Hg: 0 is "not chosen yet" */
	int32_t continue_thread; /* Hc: RSP_THREAD_* or a thread */
	struct rsp_stop last_stop;

	/* The trace frame that registers and memory are read from. */
	bool has_frame;
	uint64_t frame_id;
	size_t frame_at;
	unsigned upload; /* how far qTsP and qTsV have come */

	bool is_non_stop;
	bool is_note_out;   /* a %Stop whose news were not all fetched */
	bool is_asked;	    /* by ?; there may be news that wait for a look at its answer */
	unsigned note_turn; /* of the news that were told last */
	unsigned last_turn;
	struct rsp_thread_run thread[RSP_MAX_THREADS];

	bool is_replying;  /* a packet is being built behind out_tail */
	size_t reply_len;  /* of that packet */
	size_t out_head;   /* first byte that was not sent */
	size_t out_tail;   /* behind the last complete packet */
	size_t resend_len; /* 0: nothing to send again */
	struct rsp_stats stats;

	/* QSaveRegisterState: what g would have said.  A length of 0 is a free slot. */
	uint8_t saved[RSP_SAVED_MAX][RSP_SAVED_BYTES];
	uint16_t saved_len[RSP_SAVED_MAX];

	uint8_t in[RSP_PACKET_SIZE + 1u]; /* one more for a NUL */
	uint8_t out[RSP_OUT_SIZE];
	uint8_t resend[RSP_FRAME_MAX];	  /* the last packet, for a client that answers '-' */
	uint8_t scratch[RSP_PACKET_SIZE]; /* memory on its way, or monitor text */
};

/* Hex.c: pure codecs. */

struct rsp_cursor {
	const uint8_t *at;
	const uint8_t *end;
};

/* 0..15, or -1 for a byte that is no hexadecimal digit. */
int rsp_hex_digit(uint8_t byte);
/* Write 2 * @len digits to @out. */
void rsp_hex_encode(uint8_t *out, const uint8_t *bytes, size_t len);
/* Read @len digits (an even number) into @out, which may be @digits.  False: some are none. */
bool rsp_hex_decode(uint8_t *out, const uint8_t *digits, size_t len);
/* One number of 1..16 significant digits; false, and the cursor anywhere, if there is none. */
bool rsp_parse_u64(struct rsp_cursor *cursor, uint64_t *out_value);
/* A thread-id: N, -1, pPID, pPID.N; @out_thread is a thread or RSP_THREAD_*. */
bool rsp_parse_thread(struct rsp_cursor *cursor, int32_t *out_thread);
bool rsp_parse_char(struct rsp_cursor *cursor, char expected);
/* True when @cursor goes on with @word, which is passed. */
bool rsp_parse_word(struct rsp_cursor *cursor, const char *word);
/* The modulo 256 sum of a packet. */
uint8_t rsp_checksum(const uint8_t *bytes, size_t len);
/* Undo '}' escapes in place; SIZE_MAX for one that is cut. */
size_t rsp_unescape(uint8_t *bytes, size_t len);
/* True for a byte that a reply may carry only escaped. */
bool rsp_must_escape(uint8_t byte);
/* Text as it may stand in a packet: what frames, escapes or repeats becomes '?'. */
uint8_t rsp_plain_byte(char c);
/* Escape as many of *in_out_len bytes as fit @room; returns the bytes put, and those taken there.
 */
size_t rsp_escape(uint8_t *out, size_t room, const uint8_t *bytes, size_t *in_out_len);
/* Run-length encode in place; returns the new length, never more than @len. */
size_t rsp_rle_encode(uint8_t *bytes, size_t len);

/* Packet.c: the byte pump. */

/* Take some of @len (> 0) bytes; returns how many, 0 when they must wait. */
size_t rsp_pump_step(struct rsp_session *s, const uint8_t *bytes, size_t len);

size_t rsp_out_room(const struct rsp_session *s);

/* Build one packet: begin, any number of pieces, end.  What goes past RSP_PACKET_SIZE is dropped.
 */
void rsp_reply_begin(struct rsp_session *s);
size_t rsp_reply_room(const struct rsp_session *s);
void rsp_reply_byte(struct rsp_session *s, uint8_t byte);
/* Change the first byte of a packet that is not empty. */
void rsp_reply_set_first(struct rsp_session *s, char letter);
void rsp_reply_drop(struct rsp_session *s, size_t len); /* take the last @len bytes back */
void rsp_reply_text(struct rsp_session *s, const char *text);
void rsp_reply_hex(struct rsp_session *s, const uint8_t *bytes, size_t len);
void rsp_reply_number(struct rsp_session *s, uint64_t value, unsigned min_digits);
/* Bytes as they are, escaped where need be.  Returns how many found room. */
size_t rsp_reply_binary(struct rsp_session *s, const uint8_t *bytes, size_t len);
void rsp_reply_thread(struct rsp_session *s, unsigned thread);
/* Send it as it is, or run-length encoded (for hexadecimal data; text may hold a '*'). */
void rsp_reply_end(struct rsp_session *s);
void rsp_reply_end_packed(struct rsp_session *s);
/* Send it as a notification: no ack, and no second time. */
void rsp_reply_end_note(struct rsp_session *s);

/* Whole answers.  @error is a positive or negative errno value; a client that can read it gets the
 * target's own words, or ours, in place of the number. */
void rsp_answer_text(struct rsp_session *s, const char *text);
void rsp_answer_number(struct rsp_session *s, int error); /* the number whatever the client can */
void rsp_answer_error(struct rsp_session *s, int error);
void rsp_answer_result(struct rsp_session *s, int error); /* OK for 0 */

/* Session.c. */

/* The client spoke its first valid packet. */
void rsp_session_attach(struct rsp_session *s);
void rsp_session_interrupt(struct rsp_session *s);
/* True until the client was refused or said good-bye. */
bool rsp_session_is_open(const struct rsp_session *s);
/* The thread that g, m and the others mean. */
unsigned rsp_current_thread(const struct rsp_session *s);
unsigned rsp_thread_count(const struct rsp_session *s);
bool rsp_thread_exists(const struct rsp_session *s, int32_t thread);

/* Stop.c. */

/* Send last_stop as a stop reply. */
void rsp_stop_answer(struct rsp_session *s);
/* The same for a client that asks for it (`?`): gdb has seen no registers by then. */
void rsp_stop_answer_question(struct rsp_session *s);
/* Put @stop into the packet that is being built. */
void rsp_stop_put(struct rsp_session *s, const struct rsp_stop *stop);
void rsp_stop_put_asked(struct rsp_session *s, const struct rsp_stop *stop); /* by `?` */
bool rsp_stop_is_end(const struct rsp_stop *stop);
/* Describe the target anew if need be.  True when the client was told so: the stop is held back. */
bool rsp_stop_redescribe(struct rsp_session *s);
/* Tell of another list of libraries if there is one: likewise. (cmd_library.c) */
bool rsp_stop_libraries(struct rsp_session *s);
/* Remember @stop; the thread that stopped becomes the current one, as gdb assumes. */
void rsp_stop_record(struct rsp_session *s, const struct rsp_stop *stop);

/* Cmd_trace.c: what is read while a trace frame is selected.  False: there is none, and the target
 * itself is meant.  @out_len is what there is of @len bytes; @out_is_known whether the register was
 * collected. */
bool rsp_frame_read_memory(struct rsp_session *s, uint64_t addr, uint8_t *out, size_t len,
			   size_t *out_len);
bool rsp_frame_read_register(struct rsp_session *s, unsigned reg, uint8_t *out, bool *out_is_known);
/* Calls @put for what the selected frame holds, or for nothing. */
enum rsp_frame_piece { RSP_FRAME_MEMORY, RSP_FRAME_VARIABLE };
void rsp_frame_list(struct rsp_session *s,
		    void (*put)(void *ctx, enum rsp_frame_piece piece, uint64_t id, size_t len),
		    void *ctx);
/* Nonstop.c. */

/* A thread of the target stopped while the mode is on. */
void rsp_non_stop_stopped(struct rsp_session *s, const struct rsp_stop *stop);
/* Whether 0x03 and vCtrlC have somebody to stop. */
bool rsp_non_stop_is_running(const struct rsp_session *s);
/* Give thread @thread (counted from 1) what a vCont says. */
void rsp_non_stop_plan(struct rsp_session *s, unsigned thread, const struct rsp_plan *plan);
/* Send the news that there are, and tell the target what all threads are to do now. */
void rsp_non_stop_resume(struct rsp_session *s);
/* The target was started anew: all threads are stopped, and nothing else is of interest. */
void rsp_non_stop_restarted(struct rsp_session *s);
/* The answer to ? in this mode, and what may follow a command. */
void rsp_non_stop_reason(struct rsp_session *s);
void rsp_non_stop_served(struct rsp_session *s, const struct rsp_command *command);

/* Reader.c: false, with the answer sent, when this client may not run @command. */
bool rsp_reader_may_run(struct rsp_session *s, const struct rsp_command *command);

/* Cmd_table.c. */

#define RSP_ARGS_NUMBERS 3u
struct rsp_args {
	uint64_t number[RSP_ARGS_NUMBERS];
	unsigned number_count;
	int32_t thread;
	const uint8_t *name; /* the annex of a qXfer, not terminated */
	size_t name_len;
	uint8_t *data; /* decoded in place, inside the packet; NULL if an optional one is missing */
	size_t data_len;
	uint8_t *packet_end; /* where the packet's NUL stands */
};

enum rsp_needs {
	RSP_NEEDS_NOTHING,
	RSP_NEEDS_RESTART,
	RSP_NEEDS_PAUSE,
	RSP_NEEDS_THREAD_EVENTS,
	RSP_NEEDS_SIGNALS,
	RSP_NEEDS_SYSCALLS,
	RSP_NEEDS_BREAK,
	RSP_NEEDS_MONITOR,
	RSP_NEEDS_XFER,
	RSP_NEEDS_EXEC_FILE,
	RSP_NEEDS_REDESCRIBE,
	RSP_NEEDS_OFFSETS,
	RSP_NEEDS_PHYS,
	RSP_NEEDS_AGENT,
	RSP_NEEDS_TRACE,
	RSP_NEEDS_MAP,
	RSP_NEEDS_ROM,
	RSP_NEEDS_LLDB,
	RSP_NEEDS_OSDATA,
	RSP_NEEDS_LIBRARIES,
};

struct rsp_command {
	const char *name;   /* what the packet begins with */
	const char *schema; /* what follows; see cmd_table.c */
	enum rsp_needs needs;
	bool may_run_while_running; /* else it waits for the target to stop */
	void (*run)(struct rsp_session *s, const struct rsp_args *args);
};

const struct rsp_command *rsp_command_table(size_t *out_count);
/* The row for the packet in s->in, or NULL. */
const struct rsp_command *rsp_command_find(const struct rsp_session *s);
bool rsp_command_is_offered(const struct rsp_session *s, enum rsp_needs needs);
/* Check the arguments, run, answer.  NULL is the unknown command: the empty packet. */
void rsp_command_run(struct rsp_session *s, const struct rsp_command *command);

/* Cmd_xfer.c: the part of an object that a qXfer packet asked for.  The object is written from its
 * start each time, so none needs a buffer. */
struct rsp_window {
	struct rsp_session *s;
	uint64_t skip; /* bytes before the window that are still to pass */
	uint64_t left; /* bytes of the window that are still to fill */
	bool is_more;  /* the object goes on behind the window */
};
/* The annex as a string in @out; false, with the error sent, when it is too long for any. */
#define RSP_ANNEX_MAX 64u
bool rsp_annex_take(struct rsp_session *s, const struct rsp_args *args, char out[RSP_ANNEX_MAX]);
void rsp_window_open(struct rsp_window *w, struct rsp_session *s, uint64_t offset, uint64_t length);
void rsp_window_text(struct rsp_window *w, const char *text);
/* Text as XML: what comes from the target may hold anything. */
void rsp_window_xml(struct rsp_window *w, const char *text);
void rsp_window_send(struct rsp_window *w);

/* The handlers, one group per cmd_*.c. */

void rsp_cmd_search(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_crc(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_xfer_libraries(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_xfer_osdata(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_symbol(struct rsp_session *s, const struct rsp_args *args);

/* Part of a stop reply: all threads and where they are. */
void rsp_lldb_put_threads(struct rsp_session *s);
void rsp_cmd_thread_suffix(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_list_threads(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_threads_info(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_thread_stop(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_host_info(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_process_info(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_register_info(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_alloc(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_release(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_save_registers(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_restore_registers(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_region(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_xfer_memory_map(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_read_hex(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_read_binary(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_write(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_read_registers(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_write_registers(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_read_register(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_write_register(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_continue(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_continue_signal(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_step(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_step_signal(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_vcont(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_vcont_list(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_ctrl_c(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_detach(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_kill(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_vkill(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_restart(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_vrun(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_insert(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_remove(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_ok(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_extended(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_empty(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_reason(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_supported(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_no_ack(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_non_stop(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_next_stop(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_pass_signals(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_program_signals(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_catch_syscalls(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_xfer_siginfo(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_thread_events(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_attached(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_offsets(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_qemu_supported(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_is_physical(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_set_physical(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_qemu_step_bits(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_qemu_step_mode(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_qemu_set_step_mode(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_current_thread(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_general_thread(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_continue_thread(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_is_alive(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_first_threads(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_more_threads(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_thread_extra(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_xfer_threads(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_xfer_features(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_xfer_exec_file(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_xfer_traceframe(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_trace_init(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_point(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_source(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_variable(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_read_only(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_enable(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_disable(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_start(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_stop(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_buffer(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_disconnected(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_notes(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_save(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_status(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_hits(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_first_point(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_next_point(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_first_variable(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_next_variable(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_value(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_data(struct rsp_session *s, const struct rsp_args *args);
void rsp_cmd_trace_frame(struct rsp_session *s, const struct rsp_args *args);

void rsp_cmd_monitor(struct rsp_session *s, const struct rsp_args *args);

#endif
