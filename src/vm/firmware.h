/* What firmware leaves in memory for a system that is loaded without any.
 *
 *   0x400    BIOS data area
 *   0x9fc00  extended BIOS data area: its length
 *   0xf0000  RSDP          0xf0040  MP floating pointer
 *   0xf0100  MP table      0xf2000  the other ACPI tables
 *
 * All of it lies in RAM that load_e820 reports as reserved or that systems leave alone, and that
 * loaders put nothing of umbra's own in.  An image that asks for one of these places gets it, since
 * it is copied later. */
#ifndef VM_FIRMWARE_H
#define VM_FIRMWARE_H

#include "facts.h"

#include "umbra/mem.h"

#define FIRMWARE_RSDP 0xf0000u

/* Write all of it.  Memory that is no RAM is passed over.  Errors: -ENOSPC so many processors do
 * not fit; -ENOMEM. */
int firmware_place(struct mem_space *mem, const struct pc_facts *facts, struct umbra_err *err);

#endif
