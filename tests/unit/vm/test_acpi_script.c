/* The table loader's commands, carried out as firmware in a guest does, must come to what
 * acpi_tables_settle makes.  The layout of a command is written down here once more. */
#include "facts_rig.h"
#include "src/vm/acpi_script.h"

#include <criterion/criterion.h>

#define TABLES_AT 0x7ffe0000u
#define RSDP_AT	  0xf5a50u

struct guest_file {
	const char *name;
	uint8_t *data;
	size_t len;
	uint32_t address; /* 0: not allocated yet */
};

static struct acpi_tables tables;
static struct guest_file files[2];

static struct guest_file *file_of(const uint8_t *name)
{
	cr_assert_eq(name[55], 0);
	for (unsigned i = 0; i < 2; i++) {
		if (strcmp((const char *)name, files[i].name) == 0)
			return &files[i];
	}
	cr_assert_fail("no file %s", (const char *)name);
	return NULL;
}

static void allocate(struct guest_file *file, const uint8_t *command)
{
	bool is_rsdp = file == &files[0];

	cr_expect_eq(file->address, 0, "once");
	cr_expect_eq(le32_get(command + 60), is_rsdp ? 16 : 64);
	cr_expect_eq(command[64], is_rsdp ? 2 : 1);
	file->address = is_rsdp ? RSDP_AT : TABLES_AT;
}

static void add_pointer(const struct guest_file *file, const uint8_t *command)
{
	const struct guest_file *to = file_of(command + 60);
	uint32_t at = le32_get(command + 116);
	uint8_t size = command[120];

	cr_assert(size == 4 || size == 8);
	cr_assert(range_fits(at, size, 0, file->len));
	cr_assert_neq(to->address, 0);
	if (size == 4)
		le32_put(file->data + at, le32_get(file->data + at) + to->address);
	else
		le64_put(file->data + at, le64_get(file->data + at) + to->address);
}

static void add_checksum(const struct guest_file *file, const uint8_t *command)
{
	uint32_t at = le32_get(command + 60), start = le32_get(command + 64);
	uint32_t len = le32_get(command + 68);
	uint8_t sum = 0;

	cr_assert(range_fits(start, len, 0, file->len));
	cr_assert_lt(at, file->len);
	for (uint32_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + file->data[start + i]);
	file->data[at] = (uint8_t)(file->data[at] - sum);
	cr_expect(sums_to_zero(file->data + start, len));
}

static void carry_out(const uint8_t *command)
{
	struct guest_file *file = file_of(command + 4);

	switch (le32_get(command)) {
	case 1:
		allocate(file, command);
		break;
	case 2:
		add_pointer(file, command);
		break;
	case 3:
		add_checksum(file, command);
		break;
	default:
		cr_assert_fail("command %u", le32_get(command));
	}
}

Test(acpi_script, commands_when_carried_out_then_as_settled)
{
	static struct acpi_tables settled;
	static uint8_t script[ACPI_SCRIPT_MAX];
	const struct pc_facts facts = facts_of(4);
	size_t len;

	cr_assert_eq(acpi_tables_make(&tables, &facts), 0);
	settled = tables;
	acpi_tables_settle(&settled, TABLES_AT);
	len = acpi_script_make(script, &tables);
	cr_assert_eq(len, 128 * (2 + tables.link_count + tables.sum_count));
	files[0] = (struct guest_file){"etc/acpi/rsdp", tables.rsdp, ACPI_RSDP_BYTES, 0};
	files[1] = (struct guest_file){"etc/acpi/tables", tables.block, tables.block_len, 0};
	for (size_t at = 0; at < len; at += 128)
		carry_out(script + at);
	cr_expect_arr_eq(tables.rsdp, settled.rsdp, ACPI_RSDP_BYTES);
	cr_expect_arr_eq(tables.block, settled.block, settled.block_len);
}
