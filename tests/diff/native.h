/* The host's processor as one side of the comparison. */
#ifndef UMBRA_DIFF_NATIVE_H
#define UMBRA_DIFF_NATIVE_H

#include "layout.h"

struct native;

/* Map the low addresses of layout.h and take the signals that faults become.  One at a time in a
 * process.  NULL, with the reason on stderr, when the host does not let us. */
struct native *native_create(void);
void native_destroy(struct native *n);
/* Base of FS, which the guest needs too. */
uint64_t native_fs_base(void);
/* Run one case.  @out is valid until the next one. */
void native_run(struct native *n, const struct diff_case *dc, struct diff_result *out);

#endif
