/* Flat binaries: the whole file goes to one address, and execution starts at its first byte.
 * The state on entry is umbra's own choice; boot.c describes it per mode. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define FLAT_DEFAULT_ADDR 0x1000ull

struct flat_mode {
	const char *name;
	gpa_t limit; /* first address that an entry cannot have */
	const char *why;
};

static const struct flat_mode flat_modes[] = {
	[LOAD_MODE_REAL] = {"real", 1ull << 20, "CS has 16 bits and counts units of 16 bytes"},
	[LOAD_MODE_PROT32] = {"prot32", LOAD_4G, "EIP has 32 bits"},
	[LOAD_MODE_LONG] = {"long", 1ull << 47, "the address must be canonical"},
};

static int flat_plan(struct load_job *job, gpa_t addr, struct umbra_err *err)
{
	struct load_part part = {
		.what = "flat image",
		.field = "--load-addr",
		.gpa = addr,
		.mem_len = job->image->file[0].size,
		.data_len = job->image->file[0].size,
	};

	return load_plan_add(job, &part, err);
}

int load_flat(struct load_job *job, struct umbra_err *err)
{
	const struct load_config *config = job->config;
	enum load_mode mode = config->has_mode ? config->mode : LOAD_MODE_REAL;
	gpa_t addr = config->has_load_addr ? config->load_addr : FLAT_DEFAULT_ADDR;
	int rc;

	job->image->format = LOAD_FLAT;
	job->image->format_name = "flat";
	if (addr >= flat_modes[mode].limit)
		return umbra_err_set(err, EINVAL,
				     "--load-addr 0x%" PRIx64 " is not below 0x%" PRIx64
				     ", the limit of --mode %s: %s",
				     addr, flat_modes[mode].limit, flat_modes[mode].name,
				     flat_modes[mode].why);
	rc = flat_plan(job, addr, err);
	if (rc < 0)
		return rc;
	switch (mode) {
	case LOAD_MODE_REAL:
		load_boot_real(job, addr);
		return 0;
	case LOAD_MODE_PROT32:
		return load_boot_prot32(job, (uint32_t)addr, true, err);
	case LOAD_MODE_LONG:
		return load_boot_long(job, addr, NULL, err);
	}
	return 0;
}
