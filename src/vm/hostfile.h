/* Regular files of the host, read whole. */
#ifndef VM_HOSTFILE_H
#define VM_HOSTFILE_H

#include "umbra/err.h"

#include <stddef.h>
#include <stdint.h>

/* Open @path.  Returns the descriptor and *@out_size.
 * Errors: errno of open, -EINVAL not a regular file. */
int hostfile_open(const char *path, size_t *out_size, struct umbra_err *err);
/* Read up to @len bytes from the start of @fd; returns how many came. */
size_t hostfile_read(int fd, void *out, size_t len);

#endif
