/* Signals: those that end the run become readable events; those that only a bug raises end the
 * process with a status of their own. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include "umbra/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Block SIGINT, SIGTERM and SIGHUP, unless they are ignored already (nohup, background jobs), and
 * give a descriptor that tells of them.  Threads that are started later inherit the mask, so that
 * only the control thread sees them.
 * @is_int_ignored SIGINT is not for us: with -gdb stdio, Ctrl-C in gdb's terminal reaches umbra
 * too, and what it means comes through the protocol.
 * Errors: -EMFILE. */
int signals_open(bool is_int_ignored, int *out_fd, struct umbra_err *err);
/* The number of a signal that came, 0 for none. */
int signals_take(int fd);
/* Let signals end the process again, however long the rest takes. */
void signals_close(int fd);

/* SIGSEGV and its like say that umbra has a bug, and exit with status 70. */
void signals_catch_bugs(void);

/* Send us SIGTERM when the thread that started us ends.  @parent is getppid() from before; false
 * when it has ended already. */
bool signals_die_with_parent(pid_t parent);

#endif
