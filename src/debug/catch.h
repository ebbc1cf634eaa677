/* What of the guest's own stops it for the debugger: exceptions as signals, system calls, accesses
 * to ports and MSRs.  Private to src/debug; control thread, world STOPPED.
 *
 * gdb's tables of `handle` are heard (QPassSignals, QProgramSignals), but a Linux kernel makes page
 * faults all the time, and gdb wants to stop for SIGSEGV unless it was told otherwise.  So at first
 * no exception stops; a signal counts from the moment that the person changes what `handle` says of
 * it, or all count after `monitor catch signals`. */
#ifndef DEBUG_CATCH_H
#define DEBUG_CATCH_H

#include "rspstub.h"
#include "umbra/cpu.h"
#include "umbra/err.h"

struct catch
{
	struct accel_catch wanted; /* by words: its vectors, ports and msrs; by QCatchSyscalls */
	bool takes_all;		   /* `monitor catch signals` */
	bool has_pass, has_program;
	uint8_t pass[RSP_SIGNAL_BYTES], program[RSP_SIGNAL_BYTES]; /* the last that count */
	uint8_t touched[RSP_SIGNAL_BYTES]; /* signals of which the person said something */
};

/* The exceptions that are to stop, by words and by signals. */
uint32_t catch_vectors(const struct catch *c);
/* The client's tables: catch_vectors may give others then. */
void catch_pass(struct catch *c, const uint8_t set[RSP_SIGNAL_BYTES]);
void catch_program(struct catch *c, const uint8_t set[RSP_SIGNAL_BYTES]);
/* The client has gone: as at the start. */
void catch_clear(struct catch *c);

/* Siginfo of the exception @caught as a 64-bit Linux has it: si_signo, si_errno (the error code),
 * si_code (the vector), and at 16 si_addr (CR2, else @pc).  Returns its size, or 0. */
size_t catch_siginfo(const struct accel_caught *caught, uint64_t pc, uint8_t *out, size_t size);

#endif
