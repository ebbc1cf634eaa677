/* A target without a machine behind it, and a client without a socket: for tests of librspstub. */
#ifndef TESTS_RSP_MOCK_H
#define TESTS_RSP_MOCK_H

#include "rspstub.h"

#define MOCK_THREADS	 3u
#define MOCK_REGS	 12u /* 0..9 are in g; 8 has four bytes, 9 cannot be read, 11 has 16 bytes */
#define MOCK_G_REGS	 10u
#define MOCK_MEM_BASE	 0x10000u
#define MOCK_MEM_SIZE	 0x40000u
#define MOCK_LINKED	 0xffffffff81000000u
#define MOCK_MONITOR_MAX 128u
#define MOCK_PC		 7u /* of the registers */
#define MOCK_TRACE_SIZE	 0x2000u
#define MOCK_TRACE_MAX	 0x100000u

struct rsp_mock {
	struct rsp_base_ops base;
	struct rsp_run_ops run;
	struct rsp_break_ops brk;
	struct rsp_monitor_ops monitor;
	struct rsp_xfer_ops xfer;
	struct rsp_agent_ops agent;
	struct rsp_trace_ops trace;
	struct rsp_tracer *tracer;
	const char *words;	      /* error_text; NULL: none */
	struct rsp_map_ops map;	      /* the memory is one region, its first half ROM if has_rom */
	struct rsp_lldb_ops lldb;     /* lends the last page; register 1 is the program counter */
	struct rsp_osdata_ops osdata; /* one table, "tasks" */
	struct rsp_library_ops libraries; /* two files; changed is has_news */
	struct rsp_signal_ops signals;
	struct rsp_phys_ops phys; /* physical 0 is where linear MOCK_MEM_BASE leads */
	struct rsp_target target;
	struct rsp_session *session;

	bool does_attach_at_once;
	bool is_running; /* for pause: it does not stand still */
	bool is_controlled;
	unsigned threads;
	unsigned dead_thread; /* 0: all live */
	unsigned break_types; /* bit per type */
	int error;	      /* what operations that can fail answer */
	bool has_rom;
	bool has_news;
	unsigned listed;      /* how often the libraries were begun to be read */
	unsigned redescribed; /* how often it is to be described anew yet */
	const char *exec_file;
	uint64_t text_start; /* 0: where it was linked for */
	const char *thread_extra;
	unsigned drains;      /* how often a client takes what is there */
	size_t drained;	      /* bytes that it took */
	size_t monitor_flood; /* bytes that `monitor flood` prints */

	/* What was called, and how often. */
	uint8_t pass[RSP_SIGNAL_BYTES], program[RSP_SIGNAL_BYTES];
	size_t siginfo_len;
	bool catches_syscalls;
	uint32_t syscall[4];
	unsigned syscall_count;
	unsigned paused, thread_events;
	unsigned attached, resumed, interrupted, detached, killed, restarted;
	unsigned inserted, removed, commands;
	unsigned changes; /* calls that change registers, memory or breakpoints */
	unsigned armed, disarmed, buffers;
	uint64_t armed_addr[8]; /* by tracepoint */
	uint8_t *trace_buffer;
	int trace_lock; /* taken and not dropped */
	struct rsp_plan plan[RSP_MAX_THREADS];
	unsigned plan_count;
	uint64_t lent; /* bytes; 0: nothing is */
	unsigned lent_permissions;
	enum rsp_break break_type;
	uint64_t break_addr;
	unsigned break_kind;
	unsigned agents; /* breakpoints that came with one; the last of them: */
	_Alignas(16) uint8_t last_agent[sizeof(struct rsp_agent) + 2 * RSP_PACKET_SIZE];
	unsigned thread; /* of the last register or memory call */
	char command[MOCK_MONITOR_MAX];

	uint8_t regs[MOCK_THREADS + 1][MOCK_REGS][16];
	uint8_t mem[MOCK_MEM_SIZE];
};

/* A complete target with all tables, attached at once, and a session on it; NULL for no memory. */
struct rsp_mock *rsp_mock_open(void);
void rsp_mock_close(struct rsp_mock *mock);
/* For rsp_mock_open: the tables of rsp_mock_points.c. */
void rsp_mock_add_points(struct rsp_mock *mock);
/* The same target with fewer tables: close the session and open another. */
void rsp_mock_reopen(struct rsp_mock *mock);
size_t rsp_mock_reg_size(unsigned reg);
/* For xfer.redescribe, which is NULL at first. */
bool rsp_mock_redescribe(void *ctx, unsigned thread);
/* The target stops with SIGTRAP. */
void rsp_mock_stop(struct rsp_mock *mock, unsigned thread);

/* What a program or a tracepoint sees of thread 1; print appends to @text, may be NULL. */
struct rsp_mock_view {
	struct rsp_mock *mock;
	char *text;
	size_t size;
};
struct rsp_ax_env rsp_mock_env(struct rsp_mock_view *view);

/* Frame @data into @out (len + 4 bytes). */
size_t rsp_wire_frame(uint8_t *out, const void *data, size_t len);
/* Send one packet whole; returns how many of its bytes were taken. */
size_t rsp_wire_send_bytes(struct rsp_session *session, const void *data, size_t len);
size_t rsp_wire_send(struct rsp_session *session, const char *data);
/* Take the next packet or notification of the output, acks ('+' and '-') before it skipped, its run
 * lengths undone, into @out with a NUL.  Returns its length; -1 when there is none, -2 for one that
 * is malformed.
 */
long rsp_wire_take(struct rsp_session *session, char *out, size_t size);
/* Throw the output away; returns its length. */
size_t rsp_wire_drain(struct rsp_session *session);

#endif
