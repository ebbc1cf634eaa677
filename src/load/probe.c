/* Which format a file has, and the public calls.  Recognition is by content, in this order: forms
 * that are not supported and would else be misread, bzImage, multiboot 1, multiboot 2, ELF (PVH
 * when it has the note), and flat for everything else.  --load-addr or --mode says flat: then a
 * multiboot header in a file that is not ELF is only bytes; for a bzImage --mode chooses the entry.
 */
#include "load_internal.h"

#include "umbra/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BOOT_CS_USUAL 0x08

/* Files that a user may well try, and what to do instead. */
struct alien {
	uint16_t offset;
	uint8_t len;
	const char *magic;
	const char *text;
};

static const struct alien aliens[] = {
	{0, 3, "\x1f\x8b\x08", "compressed with gzip (0x1f 0x8b at offset 0x0); use gzip -d first"},
	{0, 6,
	 "\xfd"
	 "7zXZ\0",
	 "compressed with xz (0xfd '7zXZ' at offset 0x0); use xz -d first"},
	{0, 4, "\x28\xb5\x2f\xfd",
	 "compressed with zstd (0xfd2fb528 at offset 0x0); use zstd -d first"},
};

static int refuse_aliens(const struct load_job *job, struct umbra_err *err)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(aliens); i++) {
		const struct alien *a = &aliens[i];

		if (job->head_len >= (size_t)a->offset + a->len &&
		    memcmp(job->head + a->offset, a->magic, a->len) == 0)
			return umbra_err_set(err, ENOEXEC, "is %s", a->text);
	}
	return 0;
}

/* What only multiboot can pass on: a module is an error, since the guest would miss it; a command
 * line is not. */
static int check_unused(const struct load_job *job, const char *format, struct umbra_err *err)
{
	const char *cmdline = job->config->cmdline;

	if (job->config->initrd)
		return umbra_err_set(
			err, EINVAL,
			"-initrd '%s': only Linux, PVH and multiboot kernels take one, this is %s",
			job->config->initrd, format);
	if (cmdline && *cmdline)
		log_warn("kernel '%s': -append is ignored, %s has no command line",
			 job->image->file[0].shown, format);
	return 0;
}

static int open_flat(struct load_job *job, struct umbra_err *err)
{
	int rc = check_unused(job, "a flat image", err);

	return rc < 0 ? rc : load_flat(job, err);
}

static int open_elf(struct load_job *job, struct umbra_err *err)
{
	struct load_elf elf;
	uint64_t entry = 0;
	bool is_pvh = false;
	int rc = load_elf_read(job, &elf, err);

	if (rc < 0)
		return rc;
	rc = load_pvh_find(job, &elf, &is_pvh, &entry, err);
	if (rc == 0 && is_pvh) {
		rc = load_pvh(job, &elf, entry, err);
	} else if (rc == 0) {
		rc = check_unused(job, "ELF without a multiboot header or a PVH note", err);
		if (rc == 0)
			rc = load_elf(job, &elf, err);
	}
	load_elf_free(&elf);
	return rc;
}

/* A kernel with an EFI stub that was cut before its Linux header, or a program for EFI alone: its
 * first bytes are no code. */
static int open_guessed_flat(struct load_job *job, struct umbra_err *err)
{
	if (job->head_len >= 2 && memcmp(job->head, "MZ", 2) == 0)
		return umbra_err_set(err, ENOEXEC,
				     "begins as a program for EFI ('MZ' at offset 0x0) and has no "
				     "Linux header at 0x202: the file was cut (it has 0x%llx "
				     "bytes), or is none for a bare machine; --load-addr takes it "
				     "as it stands",
				     (unsigned long long)job->image->file[0].size);
	return open_flat(job, err);
}

/* The program that a firmware finds in memory, then the firmware. */
static int open_beside_bios(struct load_job *job, struct umbra_err *err)
{
	struct load_file *bios = &job->image->file[1];
	struct load_elf elf;
	int rc;

	if (!load_is_elf(job->head, job->head_len))
		return umbra_err_set(
			err, ENOEXEC,
			"is no ELF file (no magic at offset 0x0), so nothing says where "
			"it belongs");
	rc = load_elf_read(job, &elf, err);
	if (rc < 0)
		return rc;
	rc = load_elf_plan(job, &elf, 0, err);
	load_elf_free(&elf);
	if (rc < 0)
		return rc;
	rc = load_file_open(bios, job->config->bios, err);
	if (rc == 0) {
		job->image->file_count = 2;
		rc = load_bios(job, err);
	}
	if (rc < 0)
		umbra_err_prefix(err, "-bios '%s'", bios->shown);
	return rc;
}

static int open_by_content(struct load_job *job, struct umbra_err *err)
{
	bool is_elf = load_is_elf(job->head, job->head_len);
	bool is_told_flat = job->config->has_load_addr || job->config->has_mode;
	size_t header = 0;

	if (job->config->loader)
		return open_beside_bios(job, err);
	if (job->config->bios)
		return load_bios(job, err);
	if (load_is_bzimage(job->head, job->head_len) && !job->config->has_load_addr)
		return load_bzimage(job, err);
	if (is_elf && is_told_flat)
		return umbra_err_set(err, EINVAL,
				     "is ELF (magic at offset 0x0); --load-addr and --mode are for "
				     "flat images (and --mode for bzImage)");
	if (is_told_flat)
		return open_flat(job, err);
	switch (load_multiboot_find(job->head, job->head_len, &header)) {
	case LOAD_MB_1:
		return load_multiboot(job, header, err);
	case LOAD_MB_2:
		return load_multiboot2(job, header, err);
	case LOAD_MB_NONE:
		break;
	}
	load_multiboot_warn_checksum(job);
	return is_elf ? open_elf(job, err) : open_guessed_flat(job, err);
}

static const char *first_path(const struct load_config *config)
{
	if (config->loader)
		return config->loader;
	return config->bios ? config->bios : config->kernel;
}

static const char *first_option(const struct load_config *config)
{
	if (config->loader)
		return "-device loader";
	return config->bios ? "-bios" : "kernel";
}

static int open_kernel(struct load_job *job, uint8_t *head, struct umbra_err *err)
{
	struct load_file *file = &job->image->file[0];
	int rc = load_file_open(file, first_path(job->config), err);

	if (rc < 0)
		return rc;
	job->image->file_count = 1;
	if (file->size == 0)
		return umbra_err_set(err, ENOEXEC, "is empty (0x0 bytes)");
	job->head = head;
	job->head_len = u64_min(file->size, LOAD_HEAD_BYTES);
	rc = load_file_read(file, 0, head, job->head_len, err);
	if (rc == 0 && !job->config->bios)
		rc = refuse_aliens(job, err);
	if (rc == 0)
		rc = open_by_content(job, err);
	job->image->is_elf64 =
		load_is_elf(head, job->head_len) && job->head_len > 4 && head[4] == 2;
	return rc;
}

static int check_config(const struct load_config *config, struct umbra_err *err)
{
	if (!config->kernel && !config->bios)
		return umbra_err_set(err, EINVAL, "no kernel was given");
	if (config->bios && (config->kernel || config->initrd || config->cmdline))
		return umbra_err_set(err, EINVAL,
				     "-bios with -kernel, -initrd or -append: the firmware would "
				     "have to load them, and there is no way for it to; drop one");
	if (config->loader && !config->bios)
		return umbra_err_set(
			err, EINVAL,
			"-device loader without -bios: nothing would enter it; -kernel "
			"loads it and does");
	if (config->reg_count > LOAD_MAX_REGS)
		return umbra_err_set(err, EINVAL, "%u --reg values; the limit is %u",
				     config->reg_count, LOAD_MAX_REGS);
	return 0;
}

int load_open(struct load_image **out_image, const struct load_config *config,
	      const struct mem_space *mem, struct umbra_err *err)
{
	struct load_job job = {
		.config = config,
		.mem = mem,
		.boot_cs = BOOT_CS_USUAL,
		.low_end = LOAD_LOW_END,
	};
	uint8_t *head;
	int rc = check_config(config, err);

	if (rc < 0)
		return rc;
	job.image = calloc(1, sizeof(*job.image));
	head = malloc(LOAD_HEAD_BYTES);
	if (!job.image || !head) {
		rc = umbra_err_set(err, ENOMEM, "no memory to load '%s'", first_path(config));
	} else {
		rc = open_kernel(&job, head, err);
		if (rc < 0)
			umbra_err_prefix(err, "%s '%s'", first_option(config),
					 job.image->file[0].shown);
		else
			rc = load_regs_set(config, &job.image->boot, err);
	}
	free(head);
	if (rc < 0) {
		load_close(job.image);
		return rc;
	}
	*out_image = job.image;
	return 0;
}

void load_close(struct load_image *image)
{
	unsigned i;

	if (!image)
		return;
	for (i = 0; i < image->file_count; i++)
		load_file_close(&image->file[i]);
	load_plan_free(image);
	free(image);
}

int load_apply(const struct load_image *image, struct mem_space *mem, struct x86_state *out_boot,
	       struct umbra_err *err)
{
	int rc = load_plan_apply(image, mem, err);

	if (rc == 0)
		*out_boot = image->boot;
	return rc;
}

const char *load_format_name(const struct load_image *image)
{
	return image->format_name;
}

bool load_is_elf64(const struct load_image *image)
{
	return image->is_elf64;
}

bool load_is_flat(const struct load_image *image)
{
	return image->format == LOAD_FLAT;
}

bool load_is_64bit(const struct load_image *image)
{
	return image->is_elf64 || (image->boot.efer & X86_EFER_LMA);
}

bool load_is_system(const struct load_image *image)
{
	return image->format == LOAD_BZIMAGE || image->format == LOAD_PVH ||
	       image->format == LOAD_BIOS;
}

gva_t load_linux_text(const struct load_image *image)
{
	return image->linux_text;
}
