/* The ACPI tables of the machine as bytes that can be put anywhere.
 * A table holds addresses of others; here such a field holds the offset of the other table from the
 * start of the block, and a list says which fields these are, and another which bytes are checksums
 * and of what.  Whoever puts the block somewhere adds its address and sums up: acpi_tables_settle,
 * or firmware in the guest that is given the lists.
 * Source: ACPI 6.5 chapter 5. */
#ifndef VM_ACPI_TABLES_H
#define VM_ACPI_TABLES_H

#include "facts.h"

#define ACPI_RSDP_BYTES	 36u
#define ACPI_BLOCK_MAX	 8192u
#define ACPI_BLOCK_ALIGN 64u /* the FACS's */
#define ACPI_MAX_LINKS	 10u
#define ACPI_MAX_SUMS	 8u

/* A field of @size bytes, in the RSDP or else in the block, that points into the block. */
struct acpi_link {
	bool is_in_rsdp;
	uint8_t size;
	uint16_t at;
};

/* The byte @at is such that the @len bytes from @start add up to 0. */
struct acpi_sum {
	bool is_in_rsdp;
	uint16_t at, start, len;
};

struct acpi_tables {
	uint8_t rsdp[ACPI_RSDP_BYTES];
	uint8_t block[ACPI_BLOCK_MAX];
	size_t block_len;
	/* To be followed in this order, links first. */
	struct acpi_link link[ACPI_MAX_LINKS];
	unsigned link_count;
	struct acpi_sum sum[ACPI_MAX_SUMS];
	unsigned sum_count;
};

/* Errors: -ENOSPC so many processors do not fit. */
int acpi_tables_make(struct acpi_tables *out_tables, const struct pc_facts *facts);
/* The block will be at @block, a multiple of ACPI_BLOCK_ALIGN below 4 GiB. */
void acpi_tables_settle(struct acpi_tables *tables, gpa_t block);

#endif
