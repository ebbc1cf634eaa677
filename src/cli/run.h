/* One run of a guest, from the options to the exit status. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "options.h"

/* @options->vm.accel is set.  Returns the process's exit status. */
int run_guest(const struct cli_options *options);

#endif
