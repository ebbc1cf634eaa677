/* Where a Linux kernel put itself.  Private to src/debug. */
#ifndef DEBUG_KASLR_H
#define DEBUG_KASLR_H

#include "umbra/x86.h"

/* Find the kernel's text through the page tables of one vCPU, @st with X86_STATE_GPR and
 * X86_STATE_SREG.  Returns false when it is not mapped there (yet).
 * No effect on the guest; reads at most some hundred table entries by @read. */
bool kaslr_find(const struct x86_state *st, x86_phys_read_fn read, void *ctx, gva_t *out_text);

#endif
