/* ELF kernels with a PVH entry, as Linux has in its vmlinux: a note says where 32-bit protected
 * mode is entered, and EBX points to a start_info structure.  Such a kernel is entered that way
 * whatever else it could do: its e_entry wants a boot protocol of its own.  A multiboot header goes
 * before.
 *
 *   start info | module list | memory map | strings
 *
 * Source: Xen's public headers arch-x86/hvm/start_info.h (version 1) and elfnote.h, and its
 * docs/misc/pvh.pandoc for the machine state. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define NOTE_MAX	  65536u /* looked at in one PT_NOTE segment */
#define NOTE_HEAD_BYTES	  12u	 /* namesz, descsz, type */
#define NOTE_PHYS32_ENTRY 18u

#define INFO_BYTES	   56u
#define MODULE_BYTES	   32u
#define MEMMAP_BYTES	   24u
#define START_INFO_MAGIC   0x336ec578u
#define START_INFO_VERSION 1u
#define CMDLINE_MAX	   65536u
#define TSS_LIMIT	   0x67u

/* Offsets in start_info. */
enum info_field {
	INFO_MAGIC = 0,
	INFO_VERSION = 4,
	INFO_NR_MODULES = 12,
	INFO_MODLIST = 16,
	INFO_CMDLINE = 24,
	INFO_RSDP = 32,
	INFO_MEMMAP = 40,
	INFO_MEMMAP_ENTRIES = 48,
};

/* What goes into the block, and the block. */
struct info {
	struct load_module module[LOAD_MAX_MODULES];
	unsigned module_count;
	struct load_e820_entry map[LOAD_E820_MAX];
	unsigned map_count;
	const char *cmdline;
	gpa_t gpa;
	uint8_t *bytes;
	size_t len, room;
};

/* The note. */

static const uint8_t xen_name[] = {'X', 'e', 'n', 0};

static uint64_t aligned(uint64_t value, unsigned align)
{
	return (value + align - 1) & ~(uint64_t)(align - 1);
}

/* Search the @len bytes of notes.  A note that does not fit ends them (ELF, "Note Section"). */
static bool find_in(const uint8_t *notes, uint64_t len, unsigned align, uint64_t *out_entry)
{
	uint64_t at = 0;

	while (at + NOTE_HEAD_BYTES <= len) {
		uint32_t namesz = le32_get(notes + at), descsz = le32_get(notes + at + 4);
		uint64_t name = at + NOTE_HEAD_BYTES;
		uint64_t desc = aligned(name + namesz, align);

		if (desc + descsz > len)
			return false;
		if (le32_get(notes + at + 8) == NOTE_PHYS32_ENTRY && namesz == sizeof(xen_name) &&
		    memcmp(notes + name, xen_name, sizeof(xen_name)) == 0 &&
		    (descsz == 4 || descsz == 8)) {
			*out_entry = descsz == 8 ? le64_get(notes + desc) : le32_get(notes + desc);
			return true;
		}
		at = aligned(desc + descsz, align);
	}
	return false;
}

int load_pvh_find(const struct load_job *job, const struct load_elf *elf, bool *out_is_there,
		  uint64_t *out_entry, struct umbra_err *err)
{
	uint8_t *notes = malloc(NOTE_MAX);
	unsigned i;
	int rc = 0;

	*out_is_there = false;
	if (!notes)
		return umbra_err_set(err, ENOMEM, "no memory for the notes");
	for (i = 0; rc == 0 && !*out_is_there && i < elf->note_count; i++) {
		const struct load_elf_note *note = &elf->note[i];
		size_t len = u64_min(note->size, NOTE_MAX);

		rc = load_file_read(&job->image->file[0], note->offset, notes, len, err);
		if (rc == 0)
			*out_is_there = find_in(notes, len, note->align, out_entry);
	}
	free(notes);
	return rc;
}

/* The block. */

static size_t string_bytes(const char *text)
{
	return text[0] ? strlen(text) + 1 : 0;
}

static void info_measure(struct info *info)
{
	unsigned i;

	info->len = INFO_BYTES + info->module_count * (size_t)MODULE_BYTES +
		    info->map_count * (size_t)MEMMAP_BYTES;
	info->room = info->len + string_bytes(info->cmdline);
	for (i = 0; i < info->module_count; i++)
		info->room += string_bytes(load_module_args(&info->module[i]));
}

/* Append @text; returns where that is in guest memory, 0 for no text. */
static gpa_t put_string(struct info *info, const char *text)
{
	size_t at = info->len, len = string_bytes(text);

	if (len == 0)
		return 0;
	memcpy(info->bytes + at, text, len);
	info->len += len;
	return info->gpa + at;
}

static void put_modules(struct info *info, size_t at)
{
	unsigned i;

	for (i = 0; i < info->module_count; i++, at += MODULE_BYTES) {
		const struct load_module *m = &info->module[i];

		le64_put(info->bytes + at, m->gpa);
		le64_put(info->bytes + at + 8, m->size);
		le64_put(info->bytes + at + 16, put_string(info, load_module_args(m)));
	}
}

static void put_map(struct info *info, size_t at)
{
	unsigned i;

	for (i = 0; i < info->map_count; i++, at += MEMMAP_BYTES) {
		le64_put(info->bytes + at, info->map[i].start);
		le64_put(info->bytes + at + 8, info->map[i].len);
		le32_put(info->bytes + at + 16, info->map[i].type);
	}
}

static void info_fill(struct info *info, gpa_t rsdp)
{
	size_t modules = INFO_BYTES, map = modules + info->module_count * (size_t)MODULE_BYTES;
	uint8_t *p = info->bytes;

	le32_put(p + INFO_MAGIC, START_INFO_MAGIC);
	le32_put(p + INFO_VERSION, START_INFO_VERSION);
	le32_put(p + INFO_NR_MODULES, info->module_count);
	le64_put(p + INFO_MODLIST, info->module_count ? info->gpa + modules : 0);
	le64_put(p + INFO_CMDLINE, put_string(info, info->cmdline));
	le64_put(p + INFO_RSDP, rsdp);
	le64_put(p + INFO_MEMMAP, info->gpa + map);
	le32_put(p + INFO_MEMMAP_ENTRIES, info->map_count);
	put_modules(info, modules);
	put_map(info, map);
}

static int info_plan(struct load_job *job, struct info *info, struct umbra_err *err)
{
	struct load_part part = {.what = "PVH start info", .field = "address"};
	int rc;

	info_measure(info);
	rc = load_plan_place_low(job, part.what, info->room, 8, &info->gpa, err);
	if (rc < 0)
		return rc;
	info->bytes = calloc(1, info->room);
	if (!info->bytes)
		return umbra_err_set(err, ENOMEM, "no memory for the PVH start info");
	info_fill(info, job->config->rsdp);
	part.gpa = info->gpa;
	part.mem_len = info->room;
	part.data_len = info->room;
	part.bytes = info->bytes;
	return load_plan_add(job, &part, err);
}

static int info_make(struct load_job *job, gpa_t *out_gpa, struct umbra_err *err)
{
	struct info info = {.cmdline = job->config->cmdline ? job->config->cmdline : ""};
	int rc;

	if (strlen(info.cmdline) >= CMDLINE_MAX)
		return umbra_err_set(err, EINVAL,
				     "the command line has 0x%zx bytes; the limit is 0x%x",
				     strlen(info.cmdline), CMDLINE_MAX - 1);
	info.map_count =
		(unsigned)u64_min(load_e820(job->mem, info.map, LOAD_E820_MAX), LOAD_E820_MAX);
	rc = load_modules_plan(job, info.module, &info.module_count, err);
	if (rc == 0)
		rc = info_plan(job, &info, err);
	*out_gpa = info.gpa;
	load_modules_free(info.module, info.module_count);
	return rc;
}

static int check_entry(const struct load_elf *elf, uint64_t entry, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < elf->seg_count && entry < LOAD_4G; i++)
		if (range_fits(entry, 1, elf->seg[i].paddr, elf->seg[i].memsz))
			return 0;
	return umbra_err_set(err, ENOEXEC,
			     "PVH note: entry 0x%" PRIx64
			     " is inside none of the %u PT_LOAD segments below 4 GiB (the first is "
			     "at p_paddr 0x%" PRIx64 ", p_memsz 0x%" PRIx64 ")",
			     entry, elf->seg_count, elf->seg[0].paddr, elf->seg[0].memsz);
}

int load_pvh(struct load_job *job, const struct load_elf *elf, uint64_t entry,
	     struct umbra_err *err)
{
	struct x86_state *st = &job->image->boot;
	gpa_t info = 0;
	int rc = check_entry(elf, entry, err);

	job->image->format = LOAD_PVH;
	job->image->format_name = "PVH";
	if (elf->seg[0].vaddr >= LOAD_LINUX_MAP)
		job->image->linux_text = elf->seg[0].vaddr;
	if (rc == 0)
		rc = load_elf_plan(job, elf, 0, err);
	if (rc == 0)
		rc = load_boot_prot32(job, (uint32_t)entry, false, err);
	if (rc == 0)
		rc = info_make(job, &info, err);
	st->gpr[X86_RBX] = info;
	st->tr.limit = TSS_LIMIT;
	return rc;
}
