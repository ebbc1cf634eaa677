/* librspstub: a GDB Remote Serial Protocol server as a library.
 *
 * It knows packets and nothing else: no socket, no thread, no clock, no malloc after open, no word
 * about virtual machines.  The embedder feeds bytes in, takes bytes out, and lends a target: a set
 * of operation tables.  A table that is missing is a feature that is not announced and is answered
 * with the empty packet, as the protocol asks.
 *
 * One session serves one client at a time; several sessions may share a target, whose operations
 * then decide which of them controls it (may_control).  All calls come from one thread; target
 * operations are called from inside rsp_session_input and rsp_session_stopped, and may call
 * rsp_monitor_print, rsp_console_print and rsp_session_keep_alive but no other session function
 * that changes something.
 *
 * Source: "Debugging with GDB", appendix E (edition in umbra's README); sections as cited. */
#ifndef RSPSTUB_H
#define RSPSTUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest packet in either direction, framing excluded: what PacketSize announces. */
#define RSP_PACKET_SIZE 0x20000u

#define RSP_MAX_REG_BYTES 64u /* largest single register */
#define RSP_MAX_THREADS	  256u
#define RSP_MAX_SYSCALLS  1024u /* in one QCatchSyscalls */
#define RSP_SIGNAL_BYTES  32u	/* a set of signals 0..255 */

struct rsp_session;

/* Target. */

/* Threads are numbered 1..N; 0 in a call means "the session's current thread was not chosen yet"
 * and never reaches the target.  Addresses are 64-bit.  Registers are opaque byte strings in target
 * order, numbered as in the target description.
 * Every operation below is called only while the target is stopped unless it says otherwise. */
struct rsp_base_ops {
	/* A client's first valid packet: bring the target to a stop.  Returns true when it is
	 * stopped now; false when it will be, and rsp_session_stopped will say so.  May be called
	 * while it runs. */
	bool (*attach)(void *ctx);
	unsigned (*thread_count)(void *ctx); /* 1..RSP_MAX_THREADS; constant while stopped */
	bool (*thread_is_alive)(void *ctx, unsigned thread);
	/* Name, for LLDB, and what else a person may want to know of it ("cpu 0", "cpu 0, halted").
	 * @buf is never overrun. */
	void (*thread_name)(void *ctx, unsigned thread, char *buf, size_t size);
	void (*thread_extra)(void *ctx, unsigned thread, char *buf, size_t size);

	unsigned (*reg_count)(void *ctx);   /* registers in the target description */
	unsigned (*g_reg_count)(void *ctx); /* registers 0..n-1 that g and G carry */
	/* Bytes of register @reg, 1..RSP_MAX_REG_BYTES; 0 for one that does not exist. */
	size_t (*reg_size)(void *ctx, unsigned reg);
	/* Read into @out (reg_size bytes).  False: unavailable (sent as 'x'). */
	bool (*reg_read)(void *ctx, unsigned thread, unsigned reg, uint8_t *out);
	/* 0, or an errno value; nothing changed then. */
	int (*reg_write)(void *ctx, unsigned thread, unsigned reg, const uint8_t *value);
	/* Write registers 0..g_reg_count-1 at once (G), @bytes back to back; all or nothing.
	 * 0 or an errno value. */
	int (*regs_write)(void *ctx, unsigned thread, const uint8_t *bytes, size_t len);
	/* Set the program counter (c and s with an address).  0 or an errno value.
	 * NULL: such packets get an error. */
	int (*pc_write)(void *ctx, unsigned thread, uint64_t pc);
	/* Registers that every stop reply carries, ended by RSP_REG_NONE.  Constant. */
	const unsigned *expedited;

	/* Copy @len bytes; return how many could be copied before the first bad one. */
	size_t (*mem_read)(void *ctx, unsigned thread, uint64_t addr, uint8_t *out, size_t len);
	size_t (*mem_write)(void *ctx, unsigned thread, uint64_t addr, const uint8_t *src,
			    size_t len);

	/* Why the operation that has just failed did so, in words for a person; NULL when there are
	 * none.  They are told once.  The operation itself may be NULL. */
	const char *(*error_text)(void *ctx);
};
#define RSP_REG_NONE 0xffffffffu

enum rsp_action { RSP_HOLD, RSP_CONTINUE, RSP_STEP, RSP_RANGE };
struct rsp_plan {
	enum rsp_action action;
	uint8_t signal;	     /* C and S: the signal that the thread is to have; 0: none */
	uint64_t start, end; /* RSP_RANGE: step while start <= pc < end */
};

struct rsp_run_ops {
	/* Let the target go: @plan one entry per thread (thread 1 first).  Never blocks; exactly
	 * one rsp_session_stopped answers it.
	 * In non-stop mode it says what each thread is to do from now on, those that go on already
	 * included, and comes while the target pauses or has stopped; a plan that holds every
	 * thread lets it stand still. */
	void (*resume)(void *ctx, const struct rsp_plan *plan, unsigned count);
	/* Ask a running target to stop (0x03, vCtrlC). */
	void (*interrupt)(void *ctx);
	/* The client goes and leaves the target as it found it: breakpoints removed, target
	 * resumed. May be called while it runs. */
	void (*detach)(void *ctx);
	/* k, vKill: end the target.  May be called while it runs.  See rsp_session_is_kill_due. */
	void (*kill)(void *ctx);
	/* R and vRun: start again from the beginning; the target is stopped at its first
	 * instruction afterwards.  0 or an errno value.  NULL: not supported. */
	int (*restart)(void *ctx);
	/* The session has a packet that wants the target to stand still, but no stop is to be told:
	 * true when it does.  If not, it shall soon, for a moment, and the embedder offers the
	 * input again then, after rsp_session_stopped; by itself the target goes on as before when
	 * nobody looks any more.  NULL: no non-stop mode, and no session that only reads. */
	bool (*pause)(void *ctx);
	/* Asked at a client's first valid packet: whether it is the one that controls the target.
	 * One that does not may read and nothing more, and neither comes nor goes for the target
	 * (no attach, no detach).  Needs pause.  NULL: every client controls. */
	bool (*may_control)(void *ctx);
	/* The client wants to hear of threads that begin and end (RSP_STOP_CREATED,
	 * RSP_STOP_THREAD_GONE), or no longer.  NULL: not supported. */
	void (*thread_events)(void *ctx, bool is_on);
};

/* Breakpoint types are numbered as in Z packets. */
enum rsp_break {
	RSP_BREAK_SOFT,
	RSP_BREAK_HARD,
	RSP_WATCH_WRITE,
	RSP_WATCH_READ,
	RSP_WATCH_ACCESS
};
#define RSP_BREAK_TYPES 5u

struct rsp_break_ops {
	bool (*is_supported)(void *ctx, enum rsp_break type);
	/* Inserting twice is one; both return 0 or an errno value. */
	int (*insert)(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind);
	int (*remove)(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind);
};

/* The program's own events as signals.  Signals are numbered as gdb does. */
struct rsp_signal_ops {
	/* The client's tables: signals that it does not want to hear of (QPassSignals), and those
	 * that the program may be given (QProgramSignals); bit n of @set is signal n.  gdb empties
	 * the first one while it steps over a breakpoint. */
	void (*pass)(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES]);
	void (*program)(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES]);
	/* What is known of the signal that @thread stopped with, in the layout of the client's
	 * siginfo: at most @size bytes to @out.  Returns how many; 0: nothing. */
	size_t (*siginfo)(void *ctx, unsigned thread, uint8_t *out, size_t size);
	/* System calls are to be told of (RSP_STOP_SYSCALL_ENTRY and _RETURN), those in @numbers or
	 * with @count 0 all; or not any more.  0 or an errno value.  NULL: no QCatchSyscalls. */
	int (*catch_syscalls)(void *ctx, bool is_on, const uint32_t *numbers, unsigned count);
};

struct rsp_monitor_ops {
	/* A `monitor` command, decoded and NUL-terminated.  It prints with rsp_monitor_print.
	 * Returns 0, or an errno value for a command that failed (its text is printed all the
	 * same). */
	int (*command)(void *ctx, unsigned thread, const char *line);
	/* What a command prints does not fit any more: hand what rsp_session_output has to the
	 * client.  False when it takes nothing; the text is cut then, and says so.  Not asked for a
	 * client that only looks, whom others would wait for.  May be NULL. */
	bool (*drain)(void *ctx);
};

struct rsp_xfer_ops {
	/* Both may be called while the target runs.
	 * The target description for @annex ("target.xml").  NULL: no such annex.  The text stays
	 * valid until the session closes. */
	const char *(*features)(void *ctx, const char *annex);
	/* The path for qXfer:exec-file, or NULL for none.  The operation itself may be NULL too. */
	const char *(*exec_file)(void *ctx);
	/* For qOffsets: where the first segment of the program's file really is, and where it was
	 * linked for, when these differ; false otherwise.  May be NULL.
	 * Called only while the target is stopped. */
	bool (*text_start)(void *ctx, uint64_t *out_addr, uint64_t *out_linked);
	/* @thread stopped: whether the target is to be described anew, because the description that
	 * the client read does not fit any more.  features then gives the new one.  Asked only of a
	 * client that has no program file, whose architecture would be in the way, and for which
	 * the target has none either.  May be NULL. gdb reads a description again when the process
	 * starts another program, which it then lets run at once: it is told of that, and its
	 * resume is answered with the stop. */
	bool (*redescribe)(void *ctx, unsigned thread);
};

struct rsp_agent_ops;
struct rsp_trace_ops;
struct rsp_tracer;

/* Memory by physical address, for a client that asks for it (QEMU's PhyMemMode packets). */
struct rsp_phys_ops {
	/* As mem_read and mem_write of rsp_base_ops. */
	size_t (*read)(void *ctx, uint64_t addr, uint8_t *out, size_t len);
	size_t (*write)(void *ctx, uint64_t addr, const uint8_t *src, size_t len);
};

/* What lies where, as the target's current thread sees it. */
struct rsp_region {
	uint64_t first, last; /* addresses; both belong to it */
	bool is_mapped;	      /* else the rest does not count */
	bool may_read, may_write, may_execute;
	bool is_rom;   /* cannot be written, whatever may_write says */
	char name[32]; /* "" for none */
};

struct rsp_map_ops {
	/* The region that @addr lies in.  It may begin at @addr, whatever lies below, and end
	 * before the next one that is alike.  What a thread sees may change while it runs. */
	void (*region)(void *ctx, unsigned thread, uint64_t addr, struct rsp_region *out);
	/* Whether some region may be ROM.  gdb is offered a memory map only then: it asks once, and
	 * refuses what the map does not list from then on, so the map lists all addresses, as RAM
	 * where no ROM is mapped, and without any ROM would say nothing.
	 * May be called while the target runs. */
	bool (*has_rom)(void *ctx);
};

/* Tables about the system that runs in the target, for gdb's `info os`. */
struct rsp_osdata_ops {
	/* Give @put the columns of table @annex ("processes"; "" lists the tables), row by row: a
	 * name of NULL begins the next row.  A reason why there is no table is a row as well.
	 * Returns false for a table that does not exist. */
	bool (*table)(void *ctx, unsigned thread, const char *annex,
		      void (*put)(void *put_ctx, const char *name, const char *value),
		      void *put_ctx);
};

/* Files that the program has loaded, each to where it wanted it. */
struct rsp_library_ops {
	/* Give @put each of them: the path of its file on the client's side, and where each section
	 * lies that takes memory, in the order of the file.  A long list is fetched in pieces, and
	 * this is called for each: @is_first says that it may have another content than before. */
	void (*list)(void *ctx, unsigned thread, bool is_first,
		     void (*put)(void *put_ctx, const char *path, const uint64_t *section,
				 unsigned count),
		     void *put_ctx);
	/* Whether the list has become another since it was read: before a stop is told the client
	 * is told of that, and answers its resume with the stop, as with redescribe. */
	bool (*changed)(void *ctx);
};

/* Symbols of the target's program that the debugger knows and the target wants (qSymbol). */
struct rsp_symbol_ops {
	const char *const *names;
	unsigned count;
	/* What the debugger says of names[@index]: @addr, or that it does not know it.  It is asked
	 * again whenever it has read other symbols.  May be called while the target runs. */
	void (*found)(void *ctx, unsigned index, bool is_known, uint64_t addr);
};

/* What LLDB asks on top of gdb's protocol. */
enum rsp_encoding { RSP_ENCODING_UINT, RSP_ENCODING_IEEE754, RSP_ENCODING_VECTOR };
struct rsp_reg_info {
	const char *name;    /* as in the target description */
	const char *set;     /* "General Purpose Registers" */
	const char *generic; /* "pc", "sp", "fp", "flags", "arg1"...; NULL for none */
	enum rsp_encoding encoding;
	int dwarf; /* DWARF's number; -1 for none */
};
#define RSP_MAY_READ	1u
#define RSP_MAY_WRITE	2u
#define RSP_MAY_EXECUTE 4u

struct rsp_lldb_ops {
	const char *triple; /* "x86_64-unknown-none" */
	unsigned pointer_bytes;
	unsigned pc_reg; /* of pointer_bytes; sent for every thread with each stop */
	/* False past the last register.  May be called while the target runs. */
	bool (*reg_info)(void *ctx, unsigned reg, struct rsp_reg_info *out);
	/* Lend @size bytes of the target's memory that @thread may use as @permissions (RSP_MAY_*)
	 * say, until they are released or the client goes; release gives them back as they were.
	 * 0 or an errno value. */
	int (*alloc)(void *ctx, unsigned thread, uint64_t size, unsigned permissions,
		     uint64_t *out_addr);
	int (*release)(void *ctx, uint64_t addr);
};

struct rsp_target {
	const struct rsp_base_ops *base;       /* required, complete but for pc_write */
	const struct rsp_run_ops *run;	       /* required, complete but for restart */
	const struct rsp_break_ops *brk;       /* NULL: no Z packets */
	const struct rsp_monitor_ops *monitor; /* NULL: no qRcmd */
	const struct rsp_xfer_ops *xfer;       /* NULL: no qXfer:features */
	const struct rsp_phys_ops *phys;       /* NULL: no qemu.PhyMemMode */
	const struct rsp_agent_ops *agent;     /* NULL: no conditions and commands; needs brk */
	const struct rsp_trace_ops *trace;     /* NULL: no tracepoints */
	struct rsp_tracer *tracer;	 /* with trace: opened for this target before the session */
	const struct rsp_map_ops *map;	 /* NULL: no memory map, no qMemoryRegionInfo */
	const struct rsp_lldb_ops *lldb; /* NULL: none of LLDB's own packets */
	const struct rsp_signal_ops *signals;	 /* NULL: no QPassSignals */
	const struct rsp_osdata_ops *osdata;	 /* NULL: no `info os` */
	const struct rsp_symbol_ops *symbols;	 /* NULL: the debugger is asked for none */
	const struct rsp_library_ops *libraries; /* NULL: the program is one file */
	void *ctx;
};

/* Stops. */

enum rsp_stop_kind {
	RSP_STOP_SIGNAL, /* @signal alone: an interrupt, a step, a fault */
	RSP_STOP_SWBREAK,
	RSP_STOP_HWBREAK,
	RSP_STOP_WATCH,		/* @watch and @addr */
	RSP_STOP_EXITED,	/* W: the target is gone, @signal is its exit status */
	RSP_STOP_KILLED,	/* X: the same, by @signal */
	RSP_STOP_PAUSE,		/* what pause asked for; nobody is told */
	RSP_STOP_SYSCALL_ENTRY, /* @addr is its number */
	RSP_STOP_SYSCALL_RETURN,
	/* To a client that asked for such events: @thread has begun, and stands at its start; it
	 * has ended with the status @signal. */
	RSP_STOP_CREATED,
	RSP_STOP_THREAD_GONE,
	RSP_STOP_LIBRARY, /* the list of libraries has become another; a client goes on then */
};

struct rsp_stop {
	enum rsp_stop_kind kind;
	uint8_t signal; /* gdb's numbers: 2 INT, 4 ILL, 5 TRAP, 11 SEGV, 15 TERM; or exit status */
	unsigned thread;
	enum rsp_break watch; /* RSP_WATCH_* */
	uint64_t addr;
};

/* Agent expressions. */

/* Small stack programs of the client's that the target runs by itself where it meets a breakpoint
 * or a tracepoint: conditions, commands, what to collect.  Checked once, then run by any thread
 * that may use the environment. Source: appendix F (The GDB Agent Expression Mechanism). */
#define RSP_AX_MAX	 4096u	/* bytes of one */
#define RSP_AX_STACK	 100u	/* values on its stack */
#define RSP_AX_STEPS	 20000u /* opcodes that one run may take: none holds a target up for long */
#define RSP_AX_ERROR_MAX 128u

/* What a program may do besides computing. */
enum rsp_ax_allows { RSP_AX_VARIABLES = 1, RSP_AX_RECORD = 2, RSP_AX_PRINT = 4 };

struct rsp_ax_rules {
	unsigned allows;      /* mask of enum rsp_ax_allows */
	bool must_have_value; /* it ends with a value on the stack */
	/* As rsp_base_ops.reg_size. */
	size_t (*reg_size)(void *ctx, unsigned reg);
	void *ctx;
};

/* True when the @len bytes of @code may be run.  Else @why says what is wrong, and at which byte.
 */
bool rsp_ax_check(const uint8_t *code, size_t len, const struct rsp_ax_rules *rules,
		  char why[RSP_AX_ERROR_MAX]);

/* The thread that met the point, as a program sees it. */
struct rsp_ax_env {
	/* As mem_read of rsp_base_ops. */
	size_t (*mem_read)(void *ctx, uint64_t addr, uint8_t *out, size_t len);
	/* A register of at most 8 bytes.  False: cannot be read. */
	bool (*reg_read)(void *ctx, unsigned reg, uint64_t *out_value);
	/* Each may be NULL where the rules do not allow it.
	 * PRINT: pieces of text; VARIABLES: false for a number that does not exist. */
	void (*print)(void *ctx, const char *text, size_t len);
	bool (*variable_get)(void *ctx, unsigned number, int64_t *out_value);
	bool (*variable_set)(void *ctx, unsigned number, int64_t value);
	/* RECORD: keep memory, up to the first NUL if @is_string.  False: not all could be read. */
	bool (*record)(void *ctx, uint64_t addr, uint64_t len, bool is_string);
	bool (*record_variable)(void *ctx, unsigned number);
	/* For rsp_tracer_hit: the registers that g carries, back to back, @size bytes. */
	void (*block_read)(void *ctx, uint8_t *out, size_t size);
	void *ctx;
};

enum rsp_ax_fault_kind {
	RSP_AX_FAULT_MEMORY,   /* value: the address */
	RSP_AX_FAULT_REGISTER, /* value: its number */
	RSP_AX_FAULT_DIVIDE,
	RSP_AX_FAULT_VARIABLE, /* value: its number */
	RSP_AX_FAULT_RECORD,   /* value: the address */
	RSP_AX_FAULT_ENDLESS
};
struct rsp_ax_fault {
	enum rsp_ax_fault_kind kind;
	size_t at; /* byte of the program */
	uint64_t value;
};

/* Run a program that rsp_ax_check has passed.  True: *@out_value is the last value on its stack, 0
 * without one.  False: *@out_fault. */
bool rsp_ax_run(const uint8_t *code, const struct rsp_ax_env *env, uint64_t *out_value,
		struct rsp_ax_fault *out_fault);
/* A fault in words, without a line end. */
void rsp_ax_describe(const struct rsp_ax_fault *fault, char *buf, size_t size);

/* Breakpoints with conditions and commands. */

#define RSP_AGENT_PROGRAMS 16u /* conditions, and commands, of one breakpoint */

struct rsp_program {
	const uint8_t *code;
	size_t len;
};

/* What a breakpoint does by itself.  It is met when it has no condition, or one of them is not 0.
 * One without commands stops then; one with commands runs them and does not stop. */
struct rsp_agent {
	unsigned condition_count, command_count;
	struct rsp_program condition[RSP_AGENT_PROGRAMS];
	struct rsp_program command[RSP_AGENT_PROGRAMS];
};

struct rsp_agent_ops {
	/* As insert of rsp_break_ops; @agent holds checked programs in the session's memory, and is
	 * to be copied.  It takes the place of what an earlier insert gave this breakpoint, as
	 * an insert without one does. */
	int (*insert)(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind,
		      const struct rsp_agent *agent);
	unsigned allows; /* RSP_AX_VARIABLES where rsp_ax_env has them */
};

/* Bytes that rsp_agent_copy takes; it returns the copy at @room, aligned as malloc aligns, whose
 * programs lie behind it. */
size_t rsp_agent_size(const struct rsp_agent *agent);
struct rsp_agent *rsp_agent_copy(const struct rsp_agent *agent, void *room);

/* The breakpoint of @agent was hit: true when the target is to stop.  A condition that cannot be
 * evaluated stops; what was wrong is printed, as is a command's fault.  Any thread. */
bool rsp_agent_meet(const struct rsp_agent *agent, const struct rsp_ax_env *env);

/* Tracepoints. */

/* A tracer holds what the client's tracepoints collect; it outlives the session, so that a trace
 * may go on without the client.  The session defines and reads, the target tells it of hits.
 * Source: chapter 13 (Tracepoints), E.6 (Tracepoint Packets). */
struct rsp_tracer;

struct rsp_trace_ops {
	/* From now on the target calls rsp_tracer_hit with @tracepoint whenever a thread is about
	 * to execute the instruction at @addr, and goes on.  0 or an errno value. */
	int (*arm)(void *ctx, unsigned tracepoint, uint64_t addr);
	void (*disarm)(void *ctx); /* all of them */
	/* Memory for @size bytes of frames in place of what an earlier call gave; NULL: none. */
	uint8_t *(*buffer)(void *ctx, size_t size);
	size_t buffer_default, buffer_max;
	/* Keep apart the session's packets and the threads' hits: taken in both. */
	void (*lock)(void *ctx);
	void (*unlock)(void *ctx);
	unsigned pc_reg; /* the program counter, one of those that g carries */
};

/* A tracer for @target, whose trace table it uses and which must outlive it: an allocation, the
 * only one.  Errors: -ENOMEM, -EINVAL for an incomplete table. */
int rsp_tracer_open(struct rsp_tracer **out_tracer, const struct rsp_target *target);
void rsp_tracer_close(struct rsp_tracer *tracer); /* NULL is allowed */

/* @thread, 1..RSP_MAX_THREADS, is at an armed tracepoint.  True: the target is to call
 * rsp_tracer_stepped after each instruction that this thread executes from now on, until that says
 * false.  Any thread of the target. */
bool rsp_tracer_hit(struct rsp_tracer *tracer, unsigned tracepoint, unsigned thread,
		    const struct rsp_ax_env *env);
bool rsp_tracer_stepped(struct rsp_tracer *tracer, unsigned thread, const struct rsp_ax_env *env);

/* False once a trace has ended, whoever ended it: then tracepoints may be disarmed. */
bool rsp_tracer_is_running(struct rsp_tracer *tracer);
/* The client goes.  True when the trace goes on without it; else it ends, and is disarmed. */
bool rsp_tracer_leave(struct rsp_tracer *tracer);
/* Trace state variables, for rsp_ax_env.  False: there is none of that number. */
bool rsp_tracer_variable_get(struct rsp_tracer *tracer, unsigned number, int64_t *out_value);
bool rsp_tracer_variable_set(struct rsp_tracer *tracer, unsigned number, int64_t value);

/* Session. */

/* Allocate a session for @target, which must outlive it and is checked here: the only allocation.
 * Returns 0, -ENOMEM, or -EINVAL for an incomplete table. */
int rsp_session_open(struct rsp_session **out_session, const struct rsp_target *target);
void rsp_session_close(struct rsp_session *session); /* NULL is allowed */

/* A new client: forget everything of the last one, but for the counters.  The target is not
 * touched. */
void rsp_session_reset(struct rsp_session *session);

/* Bytes from the client.  Returns how many were taken; fewer than @len when replies wait to be
 * sent, or a command waits for the target to stop: offer the rest again, with what came behind it,
 * after rsp_session_sent or rsp_session_stopped.  A packet that waits is never taken whole, so an
 * embedder whose buffer is empty has nothing to remember.  0x03 among the offered bytes is honoured
 * at once even then, so keep reading while there is room.  Once the client is refused, detached or
 * killed, everything is taken and dropped.
 * Up to its first valid packet a client may send only + - $ 0x03 between packets: otherwise
 * rsp_session_state becomes RSP_REFUSED and nothing was done.  So it does when the first packet
 * turns out to be the method of an HTTP request. */
size_t rsp_session_input(struct rsp_session *session, const uint8_t *bytes, size_t len);

/* Bytes for the client: @out_len of them at the returned address, valid until the next call. */
const uint8_t *rsp_session_output(const struct rsp_session *session, size_t *out_len);
/* The first @len bytes of the output went out. */
void rsp_session_sent(struct rsp_session *session, size_t len);

/* The target stopped: answers the resume or the attach that waits for it.  Ignored when nothing
 * waits (one stop reply per resume).  RSP_STOP_EXITED and RSP_STOP_KILLED may come at any time.  In
 * RSP_NEW it says why the target stands still already, for the client's first question; a reset
 * forgets it.  In non-stop mode @stop->thread stopped, and the others go on: resume is called from
 * inside. */
void rsp_session_stopped(struct rsp_session *session, const struct rsp_stop *stop);

enum rsp_session_state {
	RSP_NEW,       /* no valid packet yet: the target was not touched */
	RSP_ATTACHING, /* waits for the target's first stop */
	RSP_STOPPED,   /* serves packets */
	RSP_RUNNING,   /* waits for the target to stop */
	RSP_REFUSED,   /* not a debugger: close the connection */
	RSP_DETACHED,  /* after D: send the output, then close */
	RSP_KILLED     /* after k or vKill, or RSP_STOP_EXITED: likewise */
};
enum rsp_session_state rsp_session_state(const struct rsp_session *session);

/* True after vKill from an extended client of a target that can restart: gdb's `run` is vKill and
 * then vRun, so the target was not killed yet and the session goes on.  A client that leaves while
 * this holds wanted it dead. */
bool rsp_session_is_kill_due(const struct rsp_session *session);

/* True for a client that may only read; known from its first valid packet on. */
bool rsp_session_is_reader(const struct rsp_session *session);
/* True once the client chose non-stop mode. */
bool rsp_session_is_non_stop(const struct rsp_session *session);
/* True while the client has news to fetch: in non-stop mode it is not to be left alone with them.
 */
bool rsp_session_has_news(const struct rsp_session *session);

/* Text for the person at the client.  From inside a monitor command: part of its answer. */
void rsp_monitor_print(struct rsp_session *session, const char *text, size_t len);
/* While a resume waits for its stop: an O packet.  Dropped in every other state, in non-stop mode,
 * and when the output queue is full. */
void rsp_console_print(struct rsp_session *session, const char *text, size_t len);

/* From inside an operation that takes long: queue a notification that tells the client that its
 * packet is being worked on, so that it goes on waiting (gdb gives up after `remotetimeout`, two
 * seconds).  The embedder sends it at once.  Nothing happens while other output waits: the client
 * does not listen then, or a reply is under way. */
void rsp_session_keep_alive(struct rsp_session *session);

/* Counters since open, for `monitor stats` and tests. */
struct rsp_stats {
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
	uint64_t bad_checksums; /* packets answered with '-' */
	uint64_t junk_bytes;	/* bytes outside any packet */
	uint64_t oversized;	/* packets longer than RSP_PACKET_SIZE */
};
struct rsp_stats rsp_session_stats(const struct rsp_session *session);

/* A complete packet (framing included) that refuses a client with a reason that gdb prints; for an
 * embedder that has no session to spare.  Returns its length, at most @size. */
size_t rsp_format_refusal(char *out, size_t size, const char *reason);

#endif
