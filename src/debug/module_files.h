/* The files of a kernel's modules on the host, by the modules' names: what a debugger is to read.
 * Private to src/debug; control thread. */
#ifndef DEBUG_MODULE_FILES_H
#define DEBUG_MODULE_FILES_H

#include "umbra/err.h"
#include "umbra/types.h"

#include <stddef.h>

struct module_files;

/* All *.ko below @dir.  Errors, with the reason: -ENOENT there is none, or no such directory; those
 * of reading it; -ENOMEM. */
int module_files_open(struct module_files **out_files, const char *dir, struct umbra_err *err);
void module_files_close(struct module_files *files); /* NULL is allowed */

/* The absolute path of the file of module @name, or NULL.  The kernel has "_" in names where files
 * may have "-". */
const char *module_files_find(const struct module_files *files, const char *name);

/* Tell of each section of the ELF file at @path that takes memory (SHF_ALLOC), in its order, with
 * its size.
 * Errors, with the reason, possibly after some were told of: -ENOEXEC; those of reading. */
int module_file_sections(const char *path, void (*fn)(void *ctx, const char *name, uint64_t size),
			 void *ctx, struct umbra_err *err);

#endif
