/* One row per kind of stop: the signal that gdb shows, and the words for a person. */
#include "stop.h"

#include <stdio.h>

/* Signal numbers of the protocol (gdb's own, not the host's). */
enum {
	SIGNAL_INT = 2,
	SIGNAL_ILL = 4,
	SIGNAL_TRAP = 5,
	SIGNAL_ABRT = 6,
	SIGNAL_FPE = 8,
	SIGNAL_BUS = 10,
	SIGNAL_SEGV = 11,
	SIGNAL_ALRM = 14,
	SIGNAL_TERM = 15
};

struct stop_row {
	uint8_t signal;
	bool is_trouble;
	bool is_debuggers;
	const char *text;
};

static struct stop_row row_of(enum stop_kind kind)
{
	switch (kind) {
	case STOP_NONE:
		return (struct stop_row){SIGNAL_TRAP, false, false, "did not stop yet"};
	case STOP_START:
		return (struct stop_row){SIGNAL_TRAP, false, false, "at its first instruction"};
	case STOP_ATTACH:
		return (struct stop_row){SIGNAL_TRAP, false, true, "stopped for the debugger"};
	case STOP_INTERRUPT:
		return (struct stop_row){SIGNAL_INT, false, true, "interrupted"};
	case STOP_PAUSE:
		return (struct stop_row){SIGNAL_TRAP, false, true, "paused for a look"};
	case STOP_STEP:
		return (struct stop_row){SIGNAL_TRAP, false, true, "step"};
	case STOP_BREAK:
		return (struct stop_row){SIGNAL_TRAP, false, true, "breakpoint"};
	case STOP_WATCH:
		return (struct stop_row){SIGNAL_TRAP, false, true, "watchpoint"};
	case STOP_CATCH:
		return (struct stop_row){SIGNAL_TRAP, false, true, "an event that is caught"};
	case STOP_MMU:
		return (struct stop_row){SIGNAL_TRAP, false, true, "an event of the shadow mmu"};
	case STOP_NEWS:
		return (struct stop_row){SIGNAL_TRAP, false, true,
					 "the kernel loads or unloads a module"};
	case STOP_PASS:
		return (struct stop_row){SIGNAL_TRAP, false, true, "on its way past a breakpoint"};
	case STOP_HALT:
		return (struct stop_row){SIGNAL_TERM, true, false,
					 "every cpu is halted and nothing can wake one"};
	case STOP_SHUTDOWN:
		return (struct stop_row){SIGNAL_ABRT, true, false, "triple fault"};
	case STOP_FAILED:
		return (struct stop_row){SIGNAL_ILL, true, false, "the back end cannot go on"};
	case STOP_EXIT:
		return (struct stop_row){0, false, false, "the guest ended the run"};
	case STOP_RESET:
		return (struct stop_row){SIGNAL_TRAP, true, false, "the guest asked for a reset"};
	case STOP_POWEROFF:
		return (struct stop_row){0, false, false, "the guest powered off"};
	case STOP_HOST_ERROR:
		return (struct stop_row){SIGNAL_ABRT, true, false, "a cpu could not be set up"};
	case STOP_TIMEOUT:
		return (struct stop_row){SIGNAL_ALRM, true, false, "the time limit ran out"};
	}
	return (struct stop_row){SIGNAL_TRAP, true, false, "unknown stop"};
}

/* The guest's own INT3 never becomes a STOP_BREAK, and gdb accepts a "break" reason only where it
 * has a breakpoint of its own: elsewhere it would resume without a word. */
static enum rsp_stop_kind break_kind_of(const struct cpu_stop *stop)
{
	switch (stop->bp) {
	case BP_SOFT:
		return RSP_STOP_SWBREAK;
	case BP_HARD:
		return RSP_STOP_HWBREAK;
	case BP_WATCH_WRITE:
	case BP_WATCH_READ:
	case BP_WATCH_ACCESS:
	case BP_WATCH_EXEC:
	case BP_KIND_COUNT:
		break;
	}
	return RSP_STOP_SIGNAL;
}

uint8_t stop_signal_of(unsigned vector)
{
	switch ((enum x86_vector)vector) {
	case X86_EXC_PF:
		return SIGNAL_SEGV;
	case X86_EXC_UD:
		return SIGNAL_ILL;
	case X86_EXC_DE:
	case X86_EXC_MF:
	case X86_EXC_XM:
		return SIGNAL_FPE;
	case X86_EXC_GP:
	case X86_EXC_SS:
	case X86_EXC_NP:
		return SIGNAL_BUS;
	default:
		return SIGNAL_TRAP;
	}
}

static void put_caught(const struct accel_caught *caught, struct rsp_stop *out)
{
	switch (caught->kind) {
	case ACCEL_CAUGHT_EXCEPTION:
		out->signal = stop_signal_of(caught->number);
		break;
	case ACCEL_CAUGHT_SYSCALL:
		out->kind = RSP_STOP_SYSCALL_ENTRY;
		out->addr = caught->number;
		break;
	case ACCEL_CAUGHT_SYSRET:
		out->kind = RSP_STOP_SYSCALL_RETURN;
		out->addr = caught->number;
		break;
	case ACCEL_CAUGHT_PORT_READ:
	case ACCEL_CAUGHT_PORT_WRITE:
	case ACCEL_CAUGHT_MSR_READ:
	case ACCEL_CAUGHT_MSR_WRITE:
		break;
	}
}

struct rsp_stop stop_to_rsp(const struct cpu_stop *stop)
{
	struct rsp_stop out = {
		.kind = RSP_STOP_SIGNAL,
		.signal = row_of(stop->kind).signal,
		.thread = stop->vcpu + 1,
		.addr = stop->addr,
	};

	if (stop->kind == STOP_PAUSE)
		out.kind = RSP_STOP_PAUSE;
	if (stop->kind == STOP_NEWS)
		out.kind = RSP_STOP_LIBRARY;
	if (stop->kind == STOP_CATCH)
		put_caught(&stop->caught, &out);
	if (stop->kind == STOP_EXIT || stop->kind == STOP_POWEROFF) {
		out.kind = RSP_STOP_EXITED;
		out.signal = (uint8_t)stop->code;
	} else if (stop->kind == STOP_BREAK) {
		out.kind = break_kind_of(stop);
	} else if (stop->kind == STOP_WATCH && !stop->is_physical) {
		/* gdb knows no address of a physical one. */
		out.kind = RSP_STOP_WATCH;
		out.watch = (enum rsp_break)stop->bp;
	}
	return out;
}

/* The two headers number breakpoints alike, after the protocol. */
_Static_assert((int)BP_WATCH_WRITE == (int)RSP_WATCH_WRITE &&
		       (int)BP_WATCH_READ == (int)RSP_WATCH_READ &&
		       (int)BP_WATCH_ACCESS == (int)RSP_WATCH_ACCESS,
	       "breakpoint kinds are numbered as in Z packets");

/* gdb compares what it remembers with what it reads; this is what the access itself met. */
static void describe_values(const struct cpu_stop *stop, char *buf, size_t size)
{
	if (stop->has_values && stop->old_value != stop->new_value)
		snprintf(buf, size, ", 0x%llx became 0x%llx", (unsigned long long)stop->old_value,
			 (unsigned long long)stop->new_value);
	else if (stop->has_values)
		snprintf(buf, size, ", 0x%llx", (unsigned long long)stop->new_value);
	else
		buf[0] = '\0';
}

static unsigned long long ll(uint64_t value)
{
	return value;
}

/* "page fault, vector 14, error 0x2, cr2 0x1000" */
static void describe_exception(const struct accel_caught *caught, char *buf, size_t size)
{
	char error[32] = "", cr2[40] = "";

	if (caught->has_error)
		snprintf(error, sizeof(error), ", error %#x", caught->error);
	if (caught->number == X86_EXC_PF)
		snprintf(cr2, sizeof(cr2), ", cr2 %#llx", ll(caught->cr2));
	snprintf(buf, size, "#%s, vector %u%s%s", x86_vector_name(caught->number), caught->number,
		 error, cr2);
}

static void describe_caught(const struct accel_caught *caught, char *buf, size_t size)
{
	switch (caught->kind) {
	case ACCEL_CAUGHT_EXCEPTION:
		describe_exception(caught, buf, size);
		break;
	case ACCEL_CAUGHT_SYSCALL:
		snprintf(buf, size, "about to make system call %u", caught->number);
		break;
	case ACCEL_CAUGHT_SYSRET:
		snprintf(buf, size, "back from system call %u", caught->number);
		break;
	case ACCEL_CAUGHT_PORT_READ:
		snprintf(buf, size, "about to read %u bytes from port %#x", caught->size,
			 caught->number);
		break;
	case ACCEL_CAUGHT_PORT_WRITE:
		snprintf(buf, size, "about to write %#llx to port %#x, %u bytes", ll(caught->value),
			 caught->number, caught->size);
		break;
	case ACCEL_CAUGHT_MSR_READ:
		snprintf(buf, size, "about to read msr %#x", caught->number);
		break;
	case ACCEL_CAUGHT_MSR_WRITE:
		snprintf(buf, size, "about to write %#llx to msr %#x", ll(caught->value),
			 caught->number);
		break;
	}
}

void stop_describe(const struct cpu_stop *stop, char *buf, size_t size)
{
	const struct stop_row row = row_of(stop->kind);
	char values[64], caught[128];

	describe_values(stop, values, sizeof(values));
	describe_caught(&stop->caught, caught, sizeof(caught));
	if (stop->kind == STOP_BREAK || stop->kind == STOP_WATCH)
		snprintf(buf, size, "cpu %u: %s%s at 0x%llx%s%s%s", stop->vcpu,
			 stop->is_physical ? "physical " : "", row.text,
			 (unsigned long long)stop->addr, values, stop->text[0] ? ": " : "",
			 stop->text);
	else if (stop->kind == STOP_CATCH)
		snprintf(buf, size, "cpu %u: %s", stop->vcpu, caught);
	else
		snprintf(buf, size, "cpu %u: %s", stop->vcpu,
			 stop->text[0] ? stop->text : row.text);
}

bool stop_is_trouble(const struct cpu_stop *stop)
{
	return row_of(stop->kind).is_trouble;
}

bool stop_is_debuggers(const struct cpu_stop *stop)
{
	return row_of(stop->kind).is_debuggers;
}
