/* The multiboot information structure (specification 3.3), built with everything that it points to
 * in one block of low memory:
 *
 *   information | modules | memory map | section headers | strings
 *
 * Only the symbol tables and the modules' bytes are elsewhere, after the image. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INFO_BYTES   116u
#define MODULE_BYTES 16u
#define MMAP_BYTES   24u

/* Room for a command line; a longer one is a mistake, and has to fit below 640 KiB. */
#define CMDLINE_MAX 65536u

/* Offsets of the fields that are filled in, and the flags that say so. */
enum info_field {
	INFO_FLAGS = 0,
	INFO_MEM_LOWER = 4,
	INFO_MEM_UPPER = 8,
	INFO_CMDLINE = 16,
	INFO_MODS_COUNT = 20,
	INFO_MODS_ADDR = 24,
	INFO_SHDR_NUM = 28,
	INFO_SHDR_SIZE = 32,
	INFO_SHDR_ADDR = 36,
	INFO_SHDR_SHNDX = 40,
	INFO_MMAP_LENGTH = 44,
	INFO_MMAP_ADDR = 48,
	INFO_LOADER_NAME = 64,
};

#define FLAG_MEM     (1u << 0)
#define FLAG_CMDLINE (1u << 2)
#define FLAG_MODS    (1u << 3)
#define FLAG_SHDR    (1u << 5)
#define FLAG_MMAP    (1u << 6)
#define FLAG_LOADER  (1u << 9)

static const char loader_name[] = "umbra";

/* What goes into the block, and the block while it is filled. */
struct info {
	struct load_module module[LOAD_MAX_MODULES];
	unsigned module_count;
	uint8_t *shdr; /* section headers, owned; NULL: none */
	uint32_t shdr_num, shdr_size, shdr_shndx;
	char *cmdline; /* owned */
	uint8_t mmap[LOAD_E820_MAX * MMAP_BYTES];
	size_t mmap_bytes;

	gpa_t gpa;
	uint8_t *bytes;
	size_t len, room;
};

/* Memory. */

static void mmap_make(struct info *info, const struct mem_space *mem)
{
	struct load_e820_entry map[LOAD_E820_MAX];
	unsigned count = (unsigned)u64_min(load_e820(mem, map, LOAD_E820_MAX), LOAD_E820_MAX);

	for (unsigned i = 0; i < count; i++) {
		uint8_t *p = info->mmap + i * (size_t)MMAP_BYTES;

		/* The size does not count itself (3.3, "mmap_length"). */
		le32_put(p, MMAP_BYTES - 4);
		le64_put(p + 4, map[i].start);
		le64_put(p + 12, map[i].len);
		le32_put(p + 20, map[i].type);
	}
	info->mmap_bytes = count * (size_t)MMAP_BYTES;
}

/* The block. */

static size_t aligned_4(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Copy to the end of the block; returns where that is in guest memory. */
static uint32_t append(struct info *info, const void *src, size_t len)
{
	size_t at = info->len;

	if (len > 0)
		memcpy(info->bytes + at, src, len);
	info->len = aligned_4(at + len);
	return (uint32_t)(info->gpa + at);
}

static uint32_t append_string(struct info *info, const char *text)
{
	return append(info, text, strlen(text) + 1);
}

static size_t string_room(const char *text)
{
	return aligned_4(strlen(text) + 1);
}

static size_t shdr_bytes(const struct info *info)
{
	return (size_t)info->shdr_num * info->shdr_size;
}

static size_t info_room(const struct info *info)
{
	size_t room = INFO_BYTES + info->module_count * MODULE_BYTES + info->mmap_bytes +
		      aligned_4(shdr_bytes(info)) + string_room(loader_name) +
		      string_room(info->cmdline);
	unsigned i;

	for (i = 0; i < info->module_count; i++)
		room += string_room(info->module[i].text);
	return room;
}

static void info_put(struct info *info, enum info_field field, uint32_t value)
{
	le32_put(info->bytes + field, value);
}

static void put_modules(struct info *info)
{
	size_t table = info->len;
	unsigned i;

	info_put(info, INFO_MODS_COUNT, info->module_count);
	info_put(info, INFO_MODS_ADDR, (uint32_t)(info->gpa + table));
	info->len += info->module_count * (size_t)MODULE_BYTES;
	for (i = 0; i < info->module_count; i++) {
		const struct load_module *m = &info->module[i];
		uint32_t text = append_string(info, m->text);
		uint8_t *p = info->bytes + table + i * (size_t)MODULE_BYTES;

		le32_put(p, (uint32_t)m->gpa);
		le32_put(p + 4, (uint32_t)(m->gpa + m->size));
		le32_put(p + 8, text);
	}
}

static void put_shdr(struct info *info)
{
	info_put(info, INFO_SHDR_NUM, info->shdr_num);
	info_put(info, INFO_SHDR_SIZE, info->shdr_size);
	info_put(info, INFO_SHDR_ADDR, append(info, info->shdr, shdr_bytes(info)));
	info_put(info, INFO_SHDR_SHNDX, info->shdr_shndx);
}

static void info_fill(struct info *info, const struct mem_space *mem)
{
	uint32_t flags = FLAG_MEM | FLAG_CMDLINE | FLAG_MMAP | FLAG_LOADER;

	info->len = INFO_BYTES;
	info_put(info, INFO_MEM_LOWER, load_ram_kib(mem, 0, LOAD_LOW_END));
	info_put(info, INFO_MEM_UPPER, load_ram_kib(mem, LOAD_HIGH_START, UINT64_MAX));
	if (info->module_count > 0) {
		flags |= FLAG_MODS;
		put_modules(info);
	}
	info_put(info, INFO_MMAP_LENGTH, (uint32_t)info->mmap_bytes);
	info_put(info, INFO_MMAP_ADDR, append(info, info->mmap, info->mmap_bytes));
	if (info->shdr) {
		flags |= FLAG_SHDR;
		put_shdr(info);
	}
	info_put(info, INFO_LOADER_NAME, append_string(info, loader_name));
	info_put(info, INFO_CMDLINE, append_string(info, info->cmdline));
	info_put(info, INFO_FLAGS, flags);
}

static int info_plan(struct load_job *job, struct info *info, struct umbra_err *err)
{
	struct load_part part = {.what = "multiboot information", .field = "address"};
	int rc;

	info->room = info_room(info);
	rc = load_plan_place_low(job, part.what, info->room, 16, &info->gpa, err);
	if (rc < 0)
		return rc;
	info->bytes = calloc(1, info->room);
	if (!info->bytes)
		return umbra_err_set(err, ENOMEM, "no memory for the multiboot information");
	info_fill(info, job->mem);
	part.gpa = info->gpa;
	part.mem_len = info->room;
	part.data_len = info->room;
	part.bytes = info->bytes;
	return load_plan_add(job, &part, err);
}

/* The command line. */

/* "KERNEL ARGS", as QEMU and GRUB legacy give it: kernels take the first word for their name. */
static int cmdline_make(const struct load_job *job, struct info *info, struct umbra_err *err)
{
	const char *args = job->config->cmdline ? job->config->cmdline : "";
	size_t room = strlen(job->config->kernel) + 1 + strlen(args) + 1;

	if (room > CMDLINE_MAX)
		return umbra_err_set(err, EINVAL,
				     "the command line has 0x%zx bytes with the kernel's name; the "
				     "limit is 0x%x",
				     room, CMDLINE_MAX);
	info->cmdline = malloc(room);
	if (!info->cmdline)
		return umbra_err_set(err, ENOMEM, "no memory for the command line");
	snprintf(info->cmdline, room, "%s%s%s", job->config->kernel, *args ? " " : "", args);
	return 0;
}

static int sections_make(struct load_job *job, const struct load_elf *elf, struct info *info,
			 struct umbra_err *err)
{
	int rc = load_elf_sections(job, elf, &info->shdr, err);

	if (rc < 0 || !info->shdr)
		return rc;
	info->shdr_num = elf->shnum;
	info->shdr_size = elf->shentsize;
	info->shdr_shndx = elf->shstrndx;
	return 0;
}

int load_mbinfo_plan(struct load_job *job, const struct load_elf *elf, gpa_t *out_gpa,
		     struct umbra_err *err)
{
	struct info info = {.module_count = 0};
	int rc = cmdline_make(job, &info, err);

	mmap_make(&info, job->mem);
	if (rc == 0)
		rc = load_modules_plan(job, info.module, &info.module_count, err);
	if (rc == 0 && elf)
		rc = sections_make(job, elf, &info, err);
	if (rc == 0)
		rc = info_plan(job, &info, err);
	*out_gpa = info.gpa;
	load_modules_free(info.module, info.module_count);
	free(info.shdr);
	free(info.cmdline);
	return rc;
}
