/* What fw_cfg tells the guest of this machine. */
#ifndef VM_FWITEMS_H
#define VM_FWITEMS_H

#include "vm_internal.h"

/* Give the machine's fw_cfg, which is empty, every item: numbers, the image's files, the memory
 * map, the ACPI tables with their loader, and the user's files. Call: while the machine is built.
 * Errors: -ENOMEM; with the option's text: -EEXIST, -EINVAL, -ENOSPC, and what opening a file
 * gives. */
int fwitems_put(struct vm *vm, struct umbra_err *err);
/* The image's files may be others by now.
 * Call: control thread; no vCPU runs.  Errors: -ENOMEM. */
int fwitems_put_image(struct vm *vm, struct umbra_err *err);

#endif
