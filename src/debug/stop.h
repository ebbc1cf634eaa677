/* Stops of the machine in the debug protocol's words.  Private to src/debug; pure. */
#ifndef DEBUG_STOP_H
#define DEBUG_STOP_H

#include "rspstub.h"
#include "umbra/cpu.h"

/* What to tell the client of @stop. */
struct rsp_stop stop_to_rsp(const struct cpu_stop *stop);

/* The signal that an exception is told as: SIGSEGV for #PF, SIGILL for #UD, SIGFPE for #DE, #MF and
 * #XM, SIGBUS for #GP, #SS and #NP, SIGTRAP for all others. */
uint8_t stop_signal_of(unsigned vector);

/* One line for a person, without a line end: "cpu 0: triple fault at rip ..." */
void stop_describe(const struct cpu_stop *stop, char *buf, size_t size);

/* Whether the guest is in trouble, so that the signal alone does not tell the person enough. */
bool stop_is_trouble(const struct cpu_stop *stop);

/* Whether the machine runs on as a matter of course once the debugger is gone. */
bool stop_is_debuggers(const struct cpu_stop *stop);

#endif
