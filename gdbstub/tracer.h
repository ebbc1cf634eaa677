/* The tracer: what tracepoints collect and where they collect it to.  Shared by the files of the
 * library that deal with tracing.
 *
 * Definitions change by packets; frames and variables by the target's threads, too.  Whoever
 * touches a tracer holds its lock, which is the target's (rsp_trace_ops). */
#ifndef RSPSTUB_TRACER_H
#define RSPSTUB_TRACER_H

#include "internal.h"

#define TRACER_POINTS	 256u
#define TRACER_ACTIONS	 2048u
#define TRACER_ITEMS	 2048u
#define TRACER_VARIABLES 128u
#define TRACER_REGIONS	 256u
#define TRACER_TEXT	 (1u << 18)
#define TRACER_NAME_MAX	 64u  /* of a variable */
#define TRACER_NOTE_MAX	 512u /* of user, notes and the reason of a stop, each */
#define TRACER_BLOCK_MAX 4096u
#define TRACER_NESTED	 4u /* tracepoints of one thread that step at the same time */
#define TRACER_NONE	 UINT32_MAX

/* Bytes in tracer.text. */
struct trace_text {
	uint32_t at, len;
};

enum trace_action_kind { TRACE_REGISTERS, TRACE_MEMORY, TRACE_PROGRAM };

struct trace_action {
	enum trace_action_kind kind;
	uint32_t next;	 /* of the same tracepoint and the same part of it; TRACER_NONE */
	bool has_base;	 /* TRACE_MEMORY: offset counts from a register */
	uint16_t base;	 /* its number */
	uint64_t offset; /* TRACE_MEMORY */
	uint64_t len;	 /* TRACE_MEMORY */
	struct trace_text program;
};

struct trace_point {
	uint32_t number; /* the client's; several points may have one number */
	uint64_t addr;
	bool is_enabled, is_complete, is_stepping_part; /* the last: definitions go on behind S */
	uint64_t step_count, pass_count;
	struct trace_text condition; /* len 0: none */
	uint32_t first[2], last[2];  /* actions at the point, and after each step */
	uint64_t hits, usage;	     /* usage: bytes of frames */
};

/* A piece of a definition as it came, to be given back by qTfP. */
struct trace_item {
	uint32_t point;
	char kind; /* A, S or Z */
	struct trace_text text;
};

struct trace_variable {
	uint32_t number;
	int64_t initial, value;
	bool is_builtin;
	uint8_t name_len;
	char name[TRACER_NAME_MAX];
};

struct trace_region {
	uint64_t start, end;
};

enum trace_stop {
	TRACE_NEVER_RAN,
	TRACE_STOP_COMMAND,
	TRACE_STOP_FULL,
	TRACE_STOP_DISCONNECTED,
	TRACE_STOP_PASSES,
	TRACE_STOP_ERROR
};

/* Frames: a ring in which each lies in one piece.
 *
 *	0         tail        first           wrap       size
 *	| newest  |   free    | oldest ...    | unused   |      is_wrapped
 *	| unused  first ... newest  tail   free          |      else
 *
 * A frame is a tracepoint number (2 bytes), the length of its data (4) and blocks, as in a trace
 * file: R and the registers, M with address (8), length (2) and bytes, V with number (4) and value
 * (8); all little-endian. */
struct trace_buffer {
	uint8_t *bytes;
	size_t size;
	bool is_circular, is_wrapped;
	size_t first, tail, wrap;
	uint64_t oldest, created; /* frames ever dropped, and ever made: frame ids */
	size_t building;	  /* bytes of the frame under way, behind tail */
	bool is_building, is_lost;
};

struct trace_step {
	uint32_t point; /* TRACER_NONE: free */
	uint64_t left;
};

struct rsp_tracer {
	const struct rsp_target *target;
	const struct rsp_trace_ops *ops;

	bool is_running, is_disconnected; /* the latter: goes on without the client */
	enum trace_stop stop;
	uint32_t stop_number; /* of the tracepoint that stopped it */
	char stop_text[TRACER_NOTE_MAX];
	size_t wanted_size; /* of the buffer */
	struct trace_buffer buffer;
	size_t block_bytes;	/* of the registers in a frame */
	size_t pc_at, pc_bytes; /* where the pc is among them; 0 bytes: it is not */

	uint32_t point_count, action_count, item_count, variable_count, region_count, text_len;
	struct trace_point point[TRACER_POINTS];
	struct trace_action action[TRACER_ACTIONS];
	struct trace_item item[TRACER_ITEMS];
	struct trace_variable variable[TRACER_VARIABLES];
	struct trace_region region[TRACER_REGIONS];
	/* User, notes and the reason for a stop, as hexadecimal digits. */
	char user[2 * TRACER_NOTE_MAX + 1], notes[2 * TRACER_NOTE_MAX + 1];
	char tstop[2 * TRACER_NOTE_MAX + 1];
	struct trace_step step[RSP_MAX_THREADS + 1][TRACER_NESTED];
	uint8_t text[TRACER_TEXT]; /* programs and pieces */
};

/* trace_buffer.c */

void trace_buffer_clear(struct trace_buffer *b);
/* Build a frame: begin, any number of pieces, end (or drop).  Grow returns where the next @len
 * bytes go; NULL when there is no room, and the frame is lost then. */
void trace_frame_begin(struct trace_buffer *b, uint16_t number);
uint8_t *trace_frame_grow(struct trace_buffer *b, size_t len);
/* Bytes of the frame, 0 for a lost one. */
size_t trace_frame_end(struct trace_buffer *b);
void trace_frame_drop(struct trace_buffer *b);

struct trace_frame {
	uint64_t id; /* counts from 0 and is never used again */
	size_t at;   /* in the buffer, of its head */
	uint16_t number;
	const uint8_t *data;
	size_t len;
};
#define TRACE_FRAME_HEAD 6u

size_t trace_buffer_free(const struct trace_buffer *b);
/* The oldest frame, and the one behind; false when there is none. */
bool trace_frame_first(const struct trace_buffer *b, struct trace_frame *out);
bool trace_frame_next(const struct trace_buffer *b, struct trace_frame *frame);
/* The frame that was at @at, if it still is. */
bool trace_frame_at(const struct trace_buffer *b, uint64_t id, size_t at, struct trace_frame *out);
/* All frames as one stream, for a trace file.  Returns the bytes copied. */
size_t trace_buffer_read(const struct trace_buffer *b, uint64_t offset, uint8_t *out, size_t len);

/* A block of a frame. */
struct trace_block {
	char kind;     /* R, M or V */
	uint64_t addr; /* M; the number of V */
	const uint8_t *data;
	size_t len;
};
/* Walk the blocks: *inout_at begins at 0.  False behind the last. */
bool trace_block_next(const struct rsp_tracer *t, const struct trace_frame *frame, size_t *inout_at,
		      struct trace_block *out);

/* tracer.c */

void tracer_lock(struct rsp_tracer *t);
void tracer_unlock(struct rsp_tracer *t);
/* Forget definitions and frames (QTinit). */
void tracer_clear(struct rsp_tracer *t);
/* 0 or an errno value. */
int tracer_start(struct rsp_tracer *t);
void tracer_stop(struct rsp_tracer *t, enum trace_stop why);
struct trace_variable *tracer_variable(struct rsp_tracer *t, uint64_t number);
struct trace_point *tracer_point(struct rsp_tracer *t, uint64_t number, uint64_t addr);
/* Keep @len bytes; false when there is no room. */
bool tracer_keep(struct rsp_tracer *t, const uint8_t *bytes, size_t len, struct trace_text *out);
uint64_t tracer_frame_pc(const struct rsp_tracer *t, const struct trace_frame *frame);

/* trace_define.c: each is 0, or an errno value with @why.  What follows the ':' is in @cursor,
 * which ends at @end and may be written to. */

struct trace_parser {
	struct rsp_cursor cursor;
	uint8_t *end;
	char why[RSP_AX_ERROR_MAX];
};
bool trace_define_point(struct rsp_tracer *t, struct trace_parser *p);
bool trace_define_source(struct rsp_tracer *t, struct trace_parser *p);
bool trace_define_regions(struct rsp_tracer *t, struct trace_parser *p);

#endif
