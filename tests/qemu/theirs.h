/* QEMU's devices: a process of QEMU for each sequence, which runs an image (image.h). */
#ifndef UMBRA_QEMU_THEIRS_H
#define UMBRA_QEMU_THEIRS_H

#include "image.h"

#include <sys/types.h>

#define THEIRS_PROGRAM "qemu-system-x86_64"
/* What known.c knows differs from version to version. */
#define THEIRS_VERSION "7.2"

/* NULL, or why there is no QEMU that the test is for. */
const char *theirs_missing(void);

struct theirs {
	pid_t pid;
	int output;
	int image;
};

/* Start QEMU on @image.  False: it cannot be started, which is printed. */
bool theirs_start(struct theirs *t, const struct image *image, const struct sequence *s);
/* Wait for its end and take the results of @s.  False: it did not come to the end of the sequence,
 * which is printed. */
bool theirs_finish(struct theirs *t, const struct sequence *s, struct results *out);
/* Print the command line that runs an image in file @path. */
void theirs_print_command(const char *path, const struct sequence *s);

#endif
