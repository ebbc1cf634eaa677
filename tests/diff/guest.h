/* The software CPU as the other side of the comparison. */
#ifndef UMBRA_DIFF_GUEST_H
#define UMBRA_DIFF_GUEST_H

#include "layout.h"

#include <stddef.h>

struct guest;
struct soft_vm;

/* @bits 64 or 32: at CPL 3 with the pages of layout.h. */
struct guest *guest_create(unsigned bits, uint64_t fs_base);
void guest_destroy(struct guest *g);
const struct soft_vm *guest_vm(const struct guest *g);
/* Run one case.  @out is valid until the next one. */
void guest_run(struct guest *g, const struct diff_case *dc, struct diff_result *out);
/* SCRATCH of the guest, to write to. */
uint8_t *guest_memory(const struct guest *g);

#endif
