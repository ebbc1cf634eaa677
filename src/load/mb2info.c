/* The multiboot 2 information structure (specification 3.6): tags in a row, each on 8 bytes, in one
 * block of low memory.  As from GRUB, which the specification was written with, the strings of the
 * kernel and of its modules are their arguments without a file name in front.
 * The copies of the RSDP are made when the image is copied: the tables have to be there by then. */
#include "load_internal.h"

#include <errno.h>
#include <stdlib.h>

enum info_tag {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER_NAME = 2,
	TAG_MODULE = 3,
	TAG_BASIC_MEMINFO = 4,
	TAG_MMAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_ELF_SECTIONS = 9,
	TAG_ACPI_OLD = 14,
	TAG_ACPI_NEW = 15,
	TAG_LOAD_BASE = 21,
};

#define TAG_HEAD_BYTES	 8u
#define MMAP_BYTES	 24u
#define RSDP_OLD_BYTES	 20u /* ACPI 1.0 */
#define RSDP_NEW_BYTES	 36u
#define FRAMEBUFFER_TEXT 2u
#define TEXT_SCREEN	 0xb8000u
#define TEXT_COLUMNS	 80u
#define TEXT_LINES	 25u
#define TEXT_CELL_BYTES	 2u

#define INFO_MAX (1u << 20) /* more would not fit into low memory */

static const char loader_name[] = "umbra";

/* The block while it grows; nothing more is put into it once @is_broken. */
struct info {
	uint8_t *bytes; /* owned */
	size_t len, room;
	bool is_broken; /* no memory, or longer than INFO_MAX */
	size_t rsdp_old_at, rsdp_new_at;
	struct load_module module[LOAD_MAX_MODULES];
	unsigned module_count;
	uint8_t *shdr; /* owned; NULL: none */
};

static bool info_grow(struct info *info, size_t more)
{
	size_t room = info->len + more;
	uint8_t *bytes;

	if (info->is_broken || more > INFO_MAX || room > INFO_MAX) {
		info->is_broken = true;
		return false;
	}
	if (room <= info->room)
		return true;
	bytes = realloc(info->bytes, 2 * room);
	if (!bytes) {
		info->is_broken = true;
		return false;
	}
	info->bytes = bytes;
	info->room = 2 * room;
	return true;
}

/* Append a zeroed tag with @len bytes behind its head.  Returns them; valid until the next one. */
static uint8_t *tag_add(struct info *info, enum info_tag type, size_t len)
{
	size_t whole = (TAG_HEAD_BYTES + len + 7) & ~(size_t)7;
	uint8_t *p;

	if (!info_grow(info, whole))
		return NULL;
	p = info->bytes + info->len;
	memset(p, 0, whole);
	le32_put(p, type);
	le32_put(p + 4, (uint32_t)(TAG_HEAD_BYTES + len));
	info->len += whole;
	return p + TAG_HEAD_BYTES;
}

static void put_string(struct info *info, enum info_tag type, const char *text)
{
	uint8_t *p = tag_add(info, type, strlen(text) + 1);

	if (p)
		memcpy(p, text, strlen(text) + 1);
}

static void put_modules(struct info *info)
{
	unsigned i;

	for (i = 0; i < info->module_count; i++) {
		const struct load_module *m = &info->module[i];
		const char *args = load_module_args(m);
		uint8_t *p = tag_add(info, TAG_MODULE, 8 + strlen(args) + 1);

		if (!p)
			return;
		le32_put(p, (uint32_t)m->gpa);
		le32_put(p + 4, (uint32_t)(m->gpa + m->size));
		memcpy(p + 8, args, strlen(args) + 1);
	}
}

static void put_memory(struct info *info, const struct mem_space *mem)
{
	struct load_e820_entry map[LOAD_E820_MAX];
	unsigned count = (unsigned)u64_min(load_e820(mem, map, LOAD_E820_MAX), LOAD_E820_MAX);
	uint8_t *p = tag_add(info, TAG_BASIC_MEMINFO, 8);
	unsigned i;

	if (p) {
		le32_put(p, load_ram_kib(mem, 0, LOAD_LOW_END));
		le32_put(p + 4, load_ram_kib(mem, LOAD_HIGH_START, UINT64_MAX));
	}
	p = tag_add(info, TAG_MMAP, 8 + (size_t)count * MMAP_BYTES);
	if (!p)
		return;
	le32_put(p, MMAP_BYTES); /* entry_size; entry_version is 0 */
	for (i = 0, p += 8; i < count; i++, p += MMAP_BYTES) {
		le64_put(p, map[i].start);
		le64_put(p + 8, map[i].len);
		le32_put(p + 16, map[i].type);
	}
}

/* The text screen, which is the console that a console flags tag may ask for. */
static void put_framebuffer(struct info *info)
{
	uint8_t *p = tag_add(info, TAG_FRAMEBUFFER, 24);

	if (!p)
		return;
	le64_put(p, TEXT_SCREEN);
	le32_put(p + 8, TEXT_COLUMNS * TEXT_CELL_BYTES);
	le32_put(p + 12, TEXT_COLUMNS);
	le32_put(p + 16, TEXT_LINES);
	p[20] = 8 * TEXT_CELL_BYTES;
	p[21] = FRAMEBUFFER_TEXT;
}

/* DEVIATES: the table in 3.6.7 draws num, entsize and shndx with 16 bits each; the header file of
 * the same specification has 32, and so has every loader and kernel. */
static void put_sections(struct info *info, const struct load_elf *elf)
{
	size_t bytes = (size_t)elf->shnum * elf->shentsize;
	uint8_t *p = tag_add(info, TAG_ELF_SECTIONS, 12 + bytes);

	if (!p)
		return;
	le32_put(p, elf->shnum);
	le32_put(p + 4, elf->shentsize);
	le32_put(p + 8, elf->shstrndx);
	memcpy(p + 12, info->shdr, bytes);
}

static void put_rsdp(struct info *info)
{
	if (tag_add(info, TAG_ACPI_OLD, RSDP_OLD_BYTES))
		info->rsdp_old_at = info->len - RSDP_OLD_BYTES - 4; /* 28 bytes end 4 early */
	if (tag_add(info, TAG_ACPI_NEW, RSDP_NEW_BYTES))
		info->rsdp_new_at = info->len - RSDP_NEW_BYTES - 4;
}

static void info_fill(struct info *info, const struct load_job *job,
		      const struct load_mb2info *want)
{
	const char *cmdline = job->config->cmdline;
	uint8_t *p;

	if (info_grow(info, TAG_HEAD_BYTES))
		info->len = TAG_HEAD_BYTES; /* total_size and a reserved word, filled in last */
	put_string(info, TAG_CMDLINE, cmdline ? cmdline : "");
	put_string(info, TAG_LOADER_NAME, loader_name);
	put_memory(info, job->mem);
	put_modules(info);
	put_framebuffer(info);
	if (info->shdr && want->elf)
		put_sections(info, want->elf);
	if (job->config->rsdp)
		put_rsdp(info);
	if (want->is_relocatable) {
		p = tag_add(info, TAG_LOAD_BASE, 4);
		if (p)
			le32_put(p, want->load_base);
	}
	tag_add(info, TAG_END, 0);
	if (!info->is_broken) {
		le32_put(info->bytes, (uint32_t)info->len);
		le32_put(info->bytes + 4, 0);
	}
}

/* The bytes of a tag in the block at @gpa that come from the guest's own tables.  They lie in the
 * block and so cannot be a part of their own: the block is cut around them. */
struct cut {
	size_t at, len;
	gpa_t copy_of;
};

static int piece_plan(struct load_job *job, const struct info *info, gpa_t gpa,
		      const struct cut *cut, struct umbra_err *err)
{
	struct load_part part = {
		.what = "multiboot 2 information",
		.field = "address",
		.gpa = gpa + cut->at,
		.mem_len = cut->len,
		.data_len = cut->len,
		.copy_of = cut->copy_of,
	};

	if (cut->len == 0)
		return 0;
	if (!cut->copy_of) {
		part.bytes = malloc(cut->len);
		if (!part.bytes)
			return umbra_err_set(err, ENOMEM,
					     "no memory for the multiboot 2 information");
		memcpy(part.bytes, info->bytes + cut->at, cut->len);
	}
	return load_plan_add(job, &part, err);
}

static int info_plan(struct load_job *job, const struct info *info, gpa_t *out_gpa,
		     struct umbra_err *err)
{
	const gpa_t rsdp = job->config->rsdp;
	struct cut copies[] = {
		{info->rsdp_old_at, RSDP_OLD_BYTES, rsdp},
		{info->rsdp_new_at, RSDP_NEW_BYTES, rsdp},
	};
	struct cut own = {0};
	unsigned i;
	int rc;

	if (info->is_broken)
		return umbra_err_set(err, EINVAL,
				     "the multiboot 2 information is longer than 0x%x bytes, or "
				     "there is no memory for it; shorten the command line",
				     INFO_MAX);
	rc = load_plan_place_low(job, "multiboot 2 information", info->len, 8, out_gpa, err);
	for (i = 0; rc == 0 && rsdp && i < UMBRA_ARRAY_SIZE(copies); i++) {
		own.len = copies[i].at - own.at;
		rc = piece_plan(job, info, *out_gpa, &own, err);
		if (rc == 0)
			rc = piece_plan(job, info, *out_gpa, &copies[i], err);
		own.at = copies[i].at + copies[i].len;
	}
	own.len = info->len - own.at;
	return rc < 0 ? rc : piece_plan(job, info, *out_gpa, &own, err);
}

int load_mb2info_plan(struct load_job *job, const struct load_mb2info *want, gpa_t *out_gpa,
		      struct umbra_err *err)
{
	struct info info = {.len = 0};
	int rc = load_modules_plan(job, info.module, &info.module_count, err);

	if (rc == 0 && want->elf)
		rc = load_elf_sections(job, want->elf, &info.shdr, err);
	if (rc == 0) {
		info_fill(&info, job, want);
		rc = info_plan(job, &info, out_gpa, err);
	}
	load_modules_free(info.module, info.module_count);
	free(info.shdr);
	free(info.bytes);
	return rc;
}
