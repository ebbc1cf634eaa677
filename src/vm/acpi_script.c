/* The table loader's commands: see acpi_script.h.  All of them begin with a number, and with the
 * name of the file that they are about. */
#include "acpi_script.h"

#include <assert.h>
#include <stdio.h>

#define NAME_BYTES 56u

enum command { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };

enum zone {
	ZONE_HIGH = 1, /* anywhere below 4 GiB */
	ZONE_FSEG = 2  /* in 0xf0000..0xfffff, where the RSDP is searched for */
};

enum field {
	FIELD_COMMAND = 0,
	FIELD_FILE = 4,
	ALLOCATE_ALIGN = FIELD_FILE + NAME_BYTES,
	ALLOCATE_ZONE = ALLOCATE_ALIGN + 4,
	POINTER_TO = FIELD_FILE + NAME_BYTES,
	POINTER_AT = POINTER_TO + NAME_BYTES,
	POINTER_SIZE = POINTER_AT + 4,
	CHECKSUM_AT = FIELD_FILE + NAME_BYTES,
	CHECKSUM_START = CHECKSUM_AT + 4,
	CHECKSUM_LENGTH = CHECKSUM_START + 4
};

#define RSDP_ALIGN 16u

static void put_name(uint8_t *at, const char *name)
{
	assert(strlen(name) < NAME_BYTES);
	snprintf((char *)at, NAME_BYTES, "%s", name);
}

static const char *file_of(bool is_in_rsdp)
{
	return is_in_rsdp ? ACPI_FILE_RSDP : ACPI_FILE_TABLES;
}

/* A new command at the end. */
static uint8_t *add(uint8_t *out, size_t *len, enum command command, const char *file)
{
	uint8_t *at = out + *len;

	assert(*len + ACPI_COMMAND_BYTES <= ACPI_SCRIPT_MAX);
	memset(at, 0, ACPI_COMMAND_BYTES);
	le32_put(at + FIELD_COMMAND, command);
	put_name(at + FIELD_FILE, file);
	*len += ACPI_COMMAND_BYTES;
	return at;
}

static void add_allocate(uint8_t *out, size_t *len, const char *file, uint32_t align,
			 enum zone zone)
{
	uint8_t *at = add(out, len, ALLOCATE, file);

	le32_put(at + ALLOCATE_ALIGN, align);
	at[ALLOCATE_ZONE] = (uint8_t)zone;
}

static void add_pointer(uint8_t *out, size_t *len, const struct acpi_link *link)
{
	uint8_t *at = add(out, len, ADD_POINTER, file_of(link->is_in_rsdp));

	put_name(at + POINTER_TO, ACPI_FILE_TABLES);
	le32_put(at + POINTER_AT, link->at);
	at[POINTER_SIZE] = link->size;
}

static void add_checksum(uint8_t *out, size_t *len, const struct acpi_sum *sum)
{
	uint8_t *at = add(out, len, ADD_CHECKSUM, file_of(sum->is_in_rsdp));

	le32_put(at + CHECKSUM_AT, sum->at);
	le32_put(at + CHECKSUM_START, sum->start);
	le32_put(at + CHECKSUM_LENGTH, sum->len);
}

size_t acpi_script_make(uint8_t out[ACPI_SCRIPT_MAX], const struct acpi_tables *tables)
{
	size_t len = 0;

	add_allocate(out, &len, ACPI_FILE_RSDP, RSDP_ALIGN, ZONE_FSEG);
	add_allocate(out, &len, ACPI_FILE_TABLES, ACPI_BLOCK_ALIGN, ZONE_HIGH);
	for (unsigned i = 0; i < tables->link_count; i++)
		add_pointer(out, &len, &tables->link[i]);
	for (unsigned i = 0; i < tables->sum_count; i++)
		add_checksum(out, &len, &tables->sum[i]);
	return len;
}
