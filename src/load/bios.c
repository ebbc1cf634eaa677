/* A firmware image (-bios): all of it is ROM that ends at 4 GiB, where the processor starts, and
 * its last 128 KiB are in RAM below 1 MiB as well, as the chipset of a PC leaves them after its own
 * power-up.  The machine has made the ROM's room before; see load_bios_bytes.
 * Source: SDM 3A 10.1.4 (first instruction); QEMU's pc for the sizes. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>

#define BIOS_UNIT      65536u
#define BIOS_MAX_BYTES (8ull << 20) /* the I/O APIC and the local APICs lie below */
#define BIOS_LOW_BYTES 0x40000ull
#define BIOS_LOW_END   LOAD_HIGH_START

static int check_size(const struct load_file *file, struct umbra_err *err)
{
	if (file->size > 0 && file->size % BIOS_UNIT == 0 && file->size <= BIOS_MAX_BYTES)
		return 0;
	return umbra_err_set(err, EINVAL,
			     "has 0x%" PRIx64
			     " bytes; a BIOS image has a multiple of 0x10000, at most 0x%llx",
			     file->size, BIOS_MAX_BYTES);
}

int load_bios_bytes(const char *path, uint64_t *out_bytes, struct umbra_err *err)
{
	struct load_file file;
	int rc = load_file_open(&file, path, err);

	if (rc == 0)
		rc = check_size(&file, err);
	if (rc < 0) {
		umbra_err_prefix(err, "-bios '%s'", file.shown);
		load_file_close(&file);
		return rc;
	}
	*out_bytes = file.size;
	load_file_close(&file);
	return 0;
}

static int plan_rom(struct load_job *job, unsigned file, uint64_t size, struct umbra_err *err)
{
	const struct mem_region *rom = mem_find(job->mem, LOAD_4G - 1);
	struct load_part part = {
		.file = file,
		.what = "BIOS",
		.field = "address",
		.gpa = LOAD_4G - size,
		.mem_len = size,
		.data_len = size,
		.is_rom = true,
	};

	if (!rom || rom->kind != MEM_ROM || rom->len != size)
		return umbra_err_set(err, EINVAL,
				     "has 0x%" PRIx64
				     " bytes, and the machine was made for 0x%" PRIx64
				     "; start umbra again",
				     size, rom ? rom->len : 0);
	return load_plan_add(job, &part, err);
}

static int plan_low(struct load_job *job, unsigned file, uint64_t size, struct umbra_err *err)
{
	uint64_t len = u64_min(size, BIOS_LOW_BYTES);
	struct load_part part = {
		.file = file,
		.what = "BIOS below 1 MiB",
		.field = "address",
		.gpa = BIOS_LOW_END - len,
		.mem_len = len,
		.data_len = len,
		.offset = size - len,
	};

	return load_plan_add(job, &part, err);
}

int load_bios(struct load_job *job, struct umbra_err *err)
{
	unsigned number = job->image->file_count - 1; /* behind what it is to find in memory */
	const struct load_file *file = &job->image->file[number];
	int rc = check_size(file, err);

	job->image->format = LOAD_BIOS;
	job->image->format_name = "BIOS";
	if (rc == 0)
		rc = plan_rom(job, number, file->size, err);
	if (rc == 0)
		rc = plan_low(job, number, file->size, err);
	x86_state_reset(&job->image->boot);
	return rc;
}
