/* Placing the tables of a PC: see firmware.h. */
#include "firmware.h"

#include "acpi_tables.h"
#include "bda.h"
#include "mptable.h"

#include <errno.h>
#include <stdlib.h>

#define MP_POINTER    0xf0040u
#define MP_TABLE      0xf0100u
#define ACPI_BLOCK    0xf2000u
#define MP_TABLE_ROOM (ACPI_BLOCK - MP_TABLE)

/* What is built before it is copied, too large for a stack. */
struct work {
	struct acpi_tables acpi;
	uint8_t mp[MP_TABLE_ROOM];
	uint8_t bda[BDA_BYTES];
	uint8_t ebda[EBDA_BYTES];
};

static int place_acpi(struct mem_space *mem, const struct pc_facts *facts, struct work *work)
{
	struct acpi_tables *acpi = &work->acpi;
	int error = acpi_tables_make(acpi, facts);

	if (error)
		return error;
	acpi_tables_settle(acpi, ACPI_BLOCK);
	mem_poke(mem, FIRMWARE_RSDP, acpi->rsdp, sizeof(acpi->rsdp));
	mem_poke(mem, ACPI_BLOCK, acpi->block, acpi->block_len);
	return 0;
}

static int place_mp(struct mem_space *mem, const struct pc_facts *facts, struct work *work)
{
	size_t len = mptable_make(work->mp, sizeof(work->mp), facts);
	uint8_t pointer[MP_POINTER_BYTES];

	if (len == 0)
		return -ENOSPC;
	mptable_make_pointer(pointer, MP_TABLE);
	mem_poke(mem, MP_POINTER, pointer, sizeof(pointer));
	mem_poke(mem, MP_TABLE, work->mp, len);
	return 0;
}

static void place_bda(struct mem_space *mem, const struct pc_facts *facts, struct work *work)
{
	bda_make(work->bda, facts);
	bda_make_extended(work->ebda);
	mem_poke(mem, BDA_GPA, work->bda, sizeof(work->bda));
	mem_poke(mem, EBDA_GPA, work->ebda, sizeof(work->ebda));
}

int firmware_place(struct mem_space *mem, const struct pc_facts *facts, struct umbra_err *err)
{
	struct work *work = malloc(sizeof(*work));
	int error;

	if (!work)
		return umbra_err_set(err, ENOMEM, "no memory for the firmware's tables");
	error = place_acpi(mem, facts, work);
	if (!error)
		error = place_mp(mem, facts, work);
	if (error)
		umbra_err_set(err, -error, "the firmware's tables have no room for %u processors",
			      facts->cpus);
	else
		place_bda(mem, facts, work);
	free(work);
	return error;
}
