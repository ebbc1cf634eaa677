/* The ACPI tables for firmware in the guest to install: QEMU's table loader, a list of commands of
 * 128 bytes that say where the files of fw_cfg go, which fields are pointers, and what is summed
 * up. Source: QEMU 7.2, hw/acpi/bios-linker-loader.c. */
#ifndef VM_ACPI_SCRIPT_H
#define VM_ACPI_SCRIPT_H

#include "acpi_tables.h"

#define ACPI_FILE_RSDP	 "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_SCRIPT "etc/table-loader"

#define ACPI_COMMAND_BYTES ((size_t)128)
#define ACPI_SCRIPT_MAX	   ((2 + ACPI_MAX_LINKS + ACPI_MAX_SUMS) * ACPI_COMMAND_BYTES)

/* The commands for @tables, which are not settled.  Returns their length in bytes. */
size_t acpi_script_make(uint8_t out[ACPI_SCRIPT_MAX], const struct acpi_tables *tables);

#endif
