/* The file that tells a script where the debug port is. */
#ifndef CLI_ADDR_FILE_H
#define CLI_ADDR_FILE_H

#include "umbra/err.h"

/* Write @address and a newline to @path.  A regular file appears whole or not at all; anything
 * else (a pipe, a terminal) is written to.  Errors: what the host's calls give. */
int addr_file_write(const char *path, const char *address, struct umbra_err *err);

#endif
