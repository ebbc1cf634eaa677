/* Linux kernels (bzImage), by the 64-bit or the 32-bit entry of the x86 boot protocol: the
 * protected-mode code goes to its place, and a zero page tells it of command line, initial RAM disk
 * and memory.  The kernel's own real-mode code is not run: what it would ask a BIOS for is filled
 * in here.
 *
 *   file   | setup header in sectors 0, 1 | rest of the setup sectors | protected-mode code |
 *   memory   zero page and command line below 0x90000, code at pref_address, initrd as high as it
 *            goes below 4 GiB
 *
 * Source: Linux, Documentation/x86/boot.rst and zero-page.rst (6.1), protocols 2.00 to 2.15. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define HDR_START   0x1f1u
#define HDR_JUMP    0x202u /* where the jump at 0x200 counts from */
#define HDR_END_MAX 0x290u /* other fields of the zero page follow */

#define SECTOR_BYTES	512u
#define SETUP_SECTS_OLD 4u /* what 0 means */
#define PARAGRAPH	16u
#define VERSION_MIN	0x200u
#define BOOT_FLAG	0xaa55u

#define LOADED_HIGH    0x01u
#define CAN_USE_HEAP   0x80u
#define XLF_KERNEL_64  0x01u
#define LOADER_UNKNOWN 0xffu
#define VID_MODE_NOW   0xffffu
#define HEAP_END       0xfe00u

#define CODE_ADDR	0x100000ull /* of a bzImage that cannot choose */
#define ENTRY_64	0x200u
#define CMDLINE_OLD_MAX 255u	    /* before 2.06 */
#define INITRD_OLD_MAX	0x37ffffffu /* before 2.03 */
#define BOOT_CS		0x10u
/* Linux puts a trampoline of its own at the end of low memory before it has read the zero page to
 * the end, and finds that place by the BIOS data area only. */
#define LOW_END 0x90000ull

/* Fields of the zero page that are not in the setup header. */
#define ZP_BYTES	 4096u
#define ZP_EXT_MEM_K	 0x002u
#define ZP_VIDEO_MODE	 0x006u
#define ZP_VIDEO_COLS	 0x007u
#define ZP_VIDEO_EGA_BX	 0x00au
#define ZP_VIDEO_LINES	 0x00eu
#define ZP_VIDEO_IS_VGA	 0x00fu
#define ZP_VIDEO_POINTS	 0x010u
#define ZP_OLD_CL_MAGIC	 0x020u
#define ZP_OLD_CL_OFFSET 0x022u
#define ZP_ACPI_RSDP	 0x070u
#define ZP_ALT_MEM_K	 0x1e0u
#define ZP_E820_ENTRIES	 0x1e8u
#define ZP_E820_TABLE	 0x2d0u
#define E820_BYTES	 20u
#define OLD_CL_MAGIC	 0xa33fu
#define VIDEO_80X25	 3u
#define VIDEO_EGA_256K	 3u /* BL of INT 10h AH=12h: an EGA or better, 256 KiB */

/* A field of the setup header and the protocol that brought it; before that it reads as 0. */
struct hdr_field {
	const char *name;
	uint16_t at, bytes, version;
};

static const struct hdr_field f_setup_sects = {"setup_sects", 0x1f1, 1, 0x200};
static const struct hdr_field f_syssize = {"syssize", 0x1f4, 4, 0x204};
static const struct hdr_field f_vid_mode = {"vid_mode", 0x1fa, 2, 0x200};
static const struct hdr_field f_boot_flag = {"boot_flag", 0x1fe, 2, 0x200};
static const struct hdr_field f_version = {"version", 0x206, 2, 0};
static const struct hdr_field f_type_of_loader = {"type_of_loader", 0x210, 1, 0x200};
static const struct hdr_field f_loadflags = {"loadflags", 0x211, 1, 0x200};
static const struct hdr_field f_code32_start = {"code32_start", 0x214, 4, 0x200};
static const struct hdr_field f_ramdisk_image = {"ramdisk_image", 0x218, 4, 0x200};
static const struct hdr_field f_ramdisk_size = {"ramdisk_size", 0x21c, 4, 0x200};
static const struct hdr_field f_heap_end_ptr = {"heap_end_ptr", 0x224, 2, 0x201};
static const struct hdr_field f_cmd_line_ptr = {"cmd_line_ptr", 0x228, 4, 0x202};
static const struct hdr_field f_initrd_addr_max = {"initrd_addr_max", 0x22c, 4, 0x203};
static const struct hdr_field f_kernel_alignment = {"kernel_alignment", 0x230, 4, 0x205};
static const struct hdr_field f_relocatable = {"relocatable_kernel", 0x234, 1, 0x205};
static const struct hdr_field f_xloadflags = {"xloadflags", 0x236, 2, 0x20c};
static const struct hdr_field f_cmdline_size = {"cmdline_size", 0x238, 4, 0x206};
static const struct hdr_field f_setup_data = {"setup_data", 0x250, 8, 0x209};
static const struct hdr_field f_pref_address = {"pref_address", 0x258, 8, 0x20a};
static const struct hdr_field f_init_size = {"init_size", 0x260, 4, 0x20a};

/* Those that are used and not in every header. */
static const struct hdr_field *const late_fields[] = {
	&f_heap_end_ptr, &f_cmd_line_ptr, &f_initrd_addr_max, &f_kernel_alignment, &f_relocatable,
	&f_xloadflags,	 &f_cmdline_size, &f_setup_data,      &f_pref_address,	   &f_init_size,
};

/* One kernel. */
struct bzimage {
	struct load_job *job;
	unsigned version;
	size_t header_end;
	uint64_t setup_bytes; /* where the protected-mode code begins in the file */
	uint64_t code_bytes;
	bool is_long;
	gpa_t code, initrd, zero_page;
	uint64_t initrd_bytes;
	const char *cmdline;
};

bool load_is_bzimage(const uint8_t *head, size_t len)
{
	return len >= HDR_JUMP + 4 && memcmp(head + HDR_JUMP, "HdrS", 4) == 0 &&
	       !load_is_elf(head, len);
}

static uint64_t bytes_get(const uint8_t *p, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return p[0];
	case 2:
		return le16_get(p);
	case 4:
		return le32_get(p);
	default:
		return le64_get(p);
	}
}

static uint64_t hdr_get(const struct bzimage *bz, const struct hdr_field *f)
{
	return bz->version >= f->version ? bytes_get(bz->job->head + f->at, f->bytes) : 0;
}

/* Into the zero page, for kernels that know the field. */
static void hdr_put(const struct bzimage *bz, uint8_t *page, const struct hdr_field *f,
		    uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	if (bz->version >= f->version)
		memcpy(page + f->at, bytes, f->bytes);
}

static int hdr_error(const struct bzimage *bz, const struct hdr_field *f, const char *wanted,
		     struct umbra_err *err)
{
	return umbra_err_set(err, ENOEXEC, "bzImage header: %s 0x%" PRIx64 " at offset 0x%x: %s",
			     f->name, hdr_get(bz, f), f->at, wanted);
}

/* The header. */

static int check_header_end(struct bzimage *bz, struct umbra_err *err)
{
	size_t limit = u64_min(bz->job->head_len, HDR_END_MAX);
	size_t i;

	bz->header_end = HDR_JUMP + bz->job->head[HDR_JUMP - 1];
	if (bz->header_end > limit)
		bz->header_end = limit;
	for (i = 0; i < UMBRA_ARRAY_SIZE(late_fields); i++) {
		const struct hdr_field *f = late_fields[i];

		if (bz->version >= f->version && f->at + f->bytes > bz->header_end)
			return umbra_err_set(err, ENOEXEC,
					     "bzImage header: ends at offset 0x%zx, and protocol "
					     "0x%x has %s at offset 0x%x",
					     bz->header_end, bz->version, f->name, f->at);
	}
	return 0;
}

static int check_header(struct bzimage *bz, struct umbra_err *err)
{
	const struct load_job *job = bz->job;

	if (job->head_len < f_code32_start.at + 16u)
		return umbra_err_set(err, ENOEXEC,
				     "bzImage header: the file ends at offset 0x%zx, inside it",
				     job->head_len);
	bz->version = le16_get(job->head + f_version.at);
	if (bz->version < VERSION_MIN)
		return hdr_error(bz, &f_version, "older than 2.00, the first that loads high", err);
	if (hdr_get(bz, &f_boot_flag) != BOOT_FLAG)
		return hdr_error(bz, &f_boot_flag, "expected 0xaa55", err);
	if (!(hdr_get(bz, &f_loadflags) & LOADED_HIGH))
		return hdr_error(
			bz, &f_loadflags,
			"bit 0 is clear: a zImage, which loads low and needs a BIOS; build "
			"a bzImage",
			err);
	return check_header_end(bz, err);
}

/* The code's place in the file.  Before 2.04 only the file's end tells how long it is; later it is
 * syssize, which counts up to 15 bytes that the file may lack.  What follows is a signature. */
static int check_sizes(struct bzimage *bz, struct umbra_err *err)
{
	uint64_t sects = hdr_get(bz, &f_setup_sects);
	uint64_t file_size = bz->job->image->file[0].size;
	uint64_t syssize = hdr_get(bz, &f_syssize);
	uint64_t rest;

	bz->setup_bytes = ((sects ? sects : SETUP_SECTS_OLD) + 1) * SECTOR_BYTES;
	if (bz->setup_bytes >= file_size)
		return hdr_error(bz, &f_setup_sects, "the setup sectors are all of the file", err);
	rest = file_size - bz->setup_bytes;
	bz->code_bytes = rest;
	if (bz->version < f_syssize.version)
		return 0;
	if (syssize == 0)
		return hdr_error(bz, &f_syssize, "there is no protected-mode code", err);
	if (syssize * PARAGRAPH > rest + (PARAGRAPH - 1))
		return umbra_err_set(err, ENOEXEC,
				     "bzImage header: syssize 0x%" PRIx64
				     " at offset 0x%x: 0x%" PRIx64
				     " bytes are past the end of the file (0x%" PRIx64
				     " bytes after the setup sectors); the file was cut",
				     syssize, f_syssize.at, syssize * PARAGRAPH, rest);
	bz->code_bytes = u64_min(rest, syssize * PARAGRAPH);
	return 0;
}

static int choose_entry(struct bzimage *bz, struct umbra_err *err)
{
	const struct load_config *config = bz->job->config;
	bool has_long = hdr_get(bz, &f_xloadflags) & XLF_KERNEL_64;

	bz->is_long = config->has_mode ? config->mode == LOAD_MODE_LONG : has_long;
	if (config->has_mode && config->mode == LOAD_MODE_REAL)
		return umbra_err_set(err, EINVAL,
				     "--mode real: the kernel's real-mode code (at offset 0x200) "
				     "needs a BIOS; use prot32 or long");
	if (bz->is_long && !has_long)
		return umbra_err_set(err, EINVAL,
				     "--mode long: the kernel has no 64-bit entry (protocol 0x%x, "
				     "xloadflags 0x%" PRIx64 ", bit 0 is clear)",
				     bz->version, hdr_get(bz, &f_xloadflags));
	return 0;
}

static int check_cmdline(struct bzimage *bz, struct umbra_err *err)
{
	uint64_t limit = hdr_get(bz, &f_cmdline_size);

	if (bz->version < f_cmdline_size.version)
		limit = CMDLINE_OLD_MAX;
	if (strlen(bz->cmdline) <= limit)
		return 0;
	return umbra_err_set(err, EINVAL,
			     "-append: the command line has 0x%zx bytes; the kernel's limit is "
			     "0x%" PRIx64 " (cmdline_size)",
			     strlen(bz->cmdline), limit);
}

/* The code. */

/* How many bytes from the code's first on are the kernel's until it has its own memory map. */
static uint64_t code_room(const struct bzimage *bz)
{
	uint64_t init_size = hdr_get(bz, &f_init_size);

	return init_size > bz->code_bytes ? init_size : bz->code_bytes;
}

static int plan_code_at(struct bzimage *bz, gpa_t gpa, uint64_t room, struct umbra_err *err)
{
	struct load_part part = {
		.what = "protected-mode code",
		.field = "address",
		.gpa = gpa,
		.mem_len = room,
		.data_len = bz->code_bytes,
		.offset = bz->setup_bytes,
	};

	bz->code = gpa;
	return load_plan_add(bz->job, &part, err);
}

/* It is loaded at 1 MiB, and moves itself to pref_address: all up to the end there is its own. */
static int plan_fixed(struct bzimage *bz, struct umbra_err *err)
{
	uint64_t pref = hdr_get(bz, &f_pref_address);
	uint64_t room = code_room(bz);

	if (pref == 0)
		pref = CODE_ADDR;
	if (pref < CODE_ADDR || pref >= LOAD_4G)
		return hdr_error(bz, &f_pref_address,
				 "not from 1 MiB up to 4 GiB, and the kernel is not relocatable",
				 err);
	return plan_code_at(bz, CODE_ADDR, pref - CODE_ADDR + room, err);
}

static int plan_relocatable(struct bzimage *bz, struct umbra_err *err)
{
	struct load_where where = {
		.start = CODE_ADDR,
		.end = LOAD_4G,
		.align = hdr_get(bz, &f_kernel_alignment),
		.is_lowest = true,
	};
	uint64_t pref = hdr_get(bz, &f_pref_address), room = code_room(bz);
	gpa_t gpa = 0;
	int rc;

	if (where.align == 0 || (where.align & (where.align - 1)) != 0)
		return hdr_error(bz, &f_kernel_alignment, "expected a power of two", err);
	if (pref == 0)
		pref = CODE_ADDR;
	if (pref % where.align == 0 && range_fits(pref, room, where.start, LOAD_4G - where.start) &&
	    load_plan_is_free(bz->job, pref, room))
		return plan_code_at(bz, pref, room, err);
	rc = load_plan_place(bz->job, "protected-mode code (init_size)", room, &where, &gpa, err);
	return rc < 0 ? rc : plan_code_at(bz, gpa, room, err);
}

/* The initial RAM disk: one file, whose whole name the option is. */

static int initrd_open(struct bzimage *bz, struct load_file *file, struct umbra_err *err)
{
	int rc = load_file_open(file, bz->job->config->initrd, err);

	if (rc == 0)
		bz->job->image->file_count++;
	if (rc == 0 && file->size > UINT32_MAX)
		rc = umbra_err_set(err, EINVAL, "has 0x%" PRIx64 " bytes; the limit is 4 GiB",
				   file->size);
	return rc;
}

static int initrd_place(struct bzimage *bz, struct umbra_err *err)
{
	uint64_t max = hdr_get(bz, &f_initrd_addr_max);
	struct load_where where = {.start = CODE_ADDR, .align = UMBRA_PAGE_SIZE};
	struct load_part part = {
		.what = "initial RAM disk",
		.field = "address",
		.mem_len = bz->initrd_bytes,
		.data_len = bz->initrd_bytes,
		.file = bz->job->image->file_count - 1,
	};
	int rc;

	if (bz->version < f_initrd_addr_max.version)
		max = INITRD_OLD_MAX;
	where.end = max + 1;
	rc = load_plan_place(bz->job, part.what, part.mem_len, &where, &part.gpa, err);
	bz->initrd = part.gpa;
	return rc < 0 ? rc : load_plan_add(bz->job, &part, err);
}

static int plan_initrd(struct bzimage *bz, struct umbra_err *err)
{
	struct load_file *file = &bz->job->image->file[bz->job->image->file_count];
	int rc;

	if (!bz->job->config->initrd)
		return 0;
	rc = initrd_open(bz, file, err);
	bz->initrd_bytes = rc == 0 ? file->size : 0;
	if (rc == 0 && bz->initrd_bytes > 0)
		rc = initrd_place(bz, err);
	if (rc < 0)
		umbra_err_prefix(err, "-initrd '%s'", file->shown);
	return rc;
}

/* The zero page, with the command line behind it: kernels before 2.02 want that within 64 KiB. */

static void put_screen(uint8_t *page)
{
	page[ZP_VIDEO_MODE] = VIDEO_80X25;
	page[ZP_VIDEO_COLS] = 80;
	le16_put(page + ZP_VIDEO_EGA_BX, VIDEO_EGA_256K);
	page[ZP_VIDEO_LINES] = 25;
	page[ZP_VIDEO_IS_VGA] = 1;
	le16_put(page + ZP_VIDEO_POINTS, 16);
}

static void put_memory(uint8_t *page, const struct mem_space *mem)
{
	struct load_e820_entry map[LOAD_E820_MAX];
	unsigned count = (unsigned)u64_min(load_e820(mem, map, LOAD_E820_MAX), LOAD_E820_MAX);
	uint32_t kib = load_ram_kib(mem, LOAD_HIGH_START, LOAD_4G);
	unsigned i;

	page[ZP_E820_ENTRIES] = (uint8_t)count;
	for (i = 0; i < count; i++) {
		uint8_t *p = page + ZP_E820_TABLE + (size_t)i * E820_BYTES;

		le64_put(p, map[i].start);
		le64_put(p + 8, map[i].len);
		le32_put(p + 16, map[i].type);
	}
	le32_put(page + ZP_ALT_MEM_K, kib);
	le16_put(page + ZP_EXT_MEM_K, (uint16_t)u64_min(kib, UINT16_MAX));
}

static void put_header(const struct bzimage *bz, uint8_t *page)
{
	memcpy(page + HDR_START, bz->job->head + HDR_START, bz->header_end - HDR_START);
	hdr_put(bz, page, &f_vid_mode, VID_MODE_NOW);
	hdr_put(bz, page, &f_type_of_loader, LOADER_UNKNOWN);
	if (bz->version >= f_heap_end_ptr.version)
		page[f_loadflags.at] |= CAN_USE_HEAP;
	hdr_put(bz, page, &f_heap_end_ptr, HEAP_END);
	hdr_put(bz, page, &f_code32_start, bz->code);
	hdr_put(bz, page, &f_ramdisk_image, bz->initrd);
	hdr_put(bz, page, &f_ramdisk_size, bz->initrd_bytes);
	hdr_put(bz, page, &f_cmd_line_ptr, bz->zero_page + ZP_BYTES);
	/* The image must not make the kernel read a list from where nobody put one. */
	hdr_put(bz, page, &f_setup_data, 0);
	if (bz->version >= f_cmd_line_ptr.version)
		return;
	le16_put(page + ZP_OLD_CL_MAGIC, OLD_CL_MAGIC);
	le16_put(page + ZP_OLD_CL_OFFSET, ZP_BYTES);
}

/* The 64-bit extensions of image, size and command line stay 0: all of them are below 4 GiB. */
static int plan_zero_page(struct bzimage *bz, struct umbra_err *err)
{
	size_t cmdline_bytes = strlen(bz->cmdline) + 1;
	struct load_part part = {
		.what = "zero page and command line",
		.field = "address",
		.mem_len = ZP_BYTES + cmdline_bytes,
		.data_len = ZP_BYTES + cmdline_bytes,
	};
	int rc = load_plan_place_low(bz->job, part.what, part.mem_len, UMBRA_PAGE_SIZE, &part.gpa,
				     err);

	if (rc < 0)
		return rc;
	part.bytes = calloc(1, part.mem_len);
	if (!part.bytes)
		return umbra_err_set(err, ENOMEM, "no memory for the zero page");
	bz->zero_page = part.gpa;
	put_header(bz, part.bytes);
	put_screen(part.bytes);
	put_memory(part.bytes, bz->job->mem);
	le64_put(part.bytes + ZP_ACPI_RSDP, bz->job->config->rsdp);
	memcpy(part.bytes + ZP_BYTES, bz->cmdline, cmdline_bytes);
	return load_plan_add(bz->job, &part, err);
}

static int plan_boot(struct bzimage *bz, struct umbra_err *err)
{
	struct load_job *job = bz->job;
	int rc;

	job->low_end = LOW_END;
	job->boot_cs = BOOT_CS;
	if (hdr_get(bz, &f_xloadflags) & XLF_KERNEL_64)
		job->image->linux_text = LOAD_LINUX_MAP + hdr_get(bz, &f_pref_address);
	if (bz->is_long)
		rc = load_boot_long(job, bz->code + ENTRY_64, NULL, err);
	else
		rc = load_boot_prot32(job, (uint32_t)bz->code, true, err);
	if (rc == 0)
		rc = plan_zero_page(bz, err);
	job->image->boot.gpr[X86_RSI] = bz->zero_page;
	return rc;
}

int load_bzimage(struct load_job *job, struct umbra_err *err)
{
	struct bzimage bz = {
		.job = job,
		.cmdline = job->config->cmdline ? job->config->cmdline : "",
	};
	int rc = check_header(&bz, err);

	job->image->format = LOAD_BZIMAGE;
	job->image->format_name = "bzImage";
	if (rc == 0)
		rc = check_sizes(&bz, err);
	if (rc == 0)
		rc = choose_entry(&bz, err);
	if (rc == 0)
		rc = check_cmdline(&bz, err);
	if (rc == 0)
		rc = hdr_get(&bz, &f_relocatable) ? plan_relocatable(&bz, err)
						  : plan_fixed(&bz, err);
	if (rc == 0)
		rc = plan_initrd(&bz, err);
	return rc < 0 ? rc : plan_boot(&bz, err);
}
