/* `umbra check-host`. */
#ifndef CLI_CHECK_HOST_H
#define CLI_CHECK_HOST_H

#include "umbra/print.h"

/* Print what the accelerators can do on this host.  Returns the process's exit status: 0 when a
 * guest can run, 77 otherwise. */
int check_host(const struct print_sink *sink);

#endif
