/* Multiboot 1 kernels (and the search for either header): the header, where the image goes, and the
 * state on entry. The image is ELF32 or ELF64, or any file whose header carries load addresses (bit
 * 16, made for a.out); the header's addresses win over ELF's where both exist (3.1.2). Source:
 * Multiboot Specification 0.6.96, sections 3.1 (header) and 3.2 (machine state). */
#include "load_internal.h"

#include "umbra/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define MB1_SEARCH    8192u
#define MB1_ALIGN     4u
#define MB1_MAGIC     0x1badb002u
#define MB1_EAX	      0x2badb002u
#define MB2_SEARCH    32768u
#define MB2_ALIGN     8u
#define MB2_MAGIC     0xe85250d6u
#define MB1_BASIC_LEN 12u /* magic, flags, checksum */
#define MB1_ADDR_LEN  32u /* with the five address fields */

#define MB1_FLAG_VIDEO	   (1u << 2)
#define MB1_FLAG_ADDRESSES (1u << 16)
/* Bits 0 (modules on page boundaries) and 1 (memory information) are always satisfied. */
#define MB1_KNOWN_REQUIRED 0x7u
#define MB1_REQUIRED	   0xffffu

static bool find_mb1(const uint8_t *head, size_t len, bool wants_checksum, size_t *out_offset)
{
	size_t at;

	if (len > MB1_SEARCH)
		len = MB1_SEARCH;
	for (at = 0; at + MB1_BASIC_LEN <= len; at += MB1_ALIGN) {
		uint32_t sum =
			le32_get(head + at) + le32_get(head + at + 4) + le32_get(head + at + 8);

		if (le32_get(head + at) == MB1_MAGIC && (sum == 0) == wants_checksum) {
			*out_offset = at;
			return true;
		}
	}
	return false;
}

/* Multiboot 2, 3.1.1: magic, architecture, header length, checksum. */
static bool find_mb2(const uint8_t *head, size_t len, size_t *out_offset)
{
	size_t at;

	if (len > MB2_SEARCH)
		len = MB2_SEARCH;
	for (at = 0; at + 16 <= len; at += MB2_ALIGN) {
		uint32_t sum = le32_get(head + at) + le32_get(head + at + 4) +
			       le32_get(head + at + 8) + le32_get(head + at + 12);

		if (le32_get(head + at) == MB2_MAGIC && sum == 0) {
			*out_offset = at;
			return true;
		}
	}
	return false;
}

enum load_mb_found load_multiboot_find(const uint8_t *head, size_t len, size_t *out_offset)
{
	if (find_mb1(head, len, true, out_offset))
		return LOAD_MB_1;
	return find_mb2(head, len, out_offset) ? LOAD_MB_2 : LOAD_MB_NONE;
}

void load_multiboot_warn_checksum(const struct load_job *job)
{
	const uint8_t *head = job->head;
	size_t at = 0;

	if (!find_mb1(head, job->head_len, false, &at))
		return;
	log_warn("kernel '%s': multiboot magic at offset 0x%zx has checksum 0x%" PRIx32
		 ", a header would have 0x%" PRIx32 "; not taken as one",
		 job->image->file[0].shown, at, le32_get(head + at + 8),
		 0u - (MB1_MAGIC + le32_get(head + at + 4)));
}

static int check_flags(const struct load_job *job, size_t at, uint32_t flags, struct umbra_err *err)
{
	uint32_t unknown = flags & MB1_REQUIRED & ~MB1_KNOWN_REQUIRED;

	if (unknown != 0)
		return umbra_err_set(err, ENOEXEC,
				     "multiboot header: flags 0x%" PRIx32
				     " at offset 0x%zx: bit %d "
				     "is required and not supported (of bits 0-15, 0 to 2 are)",
				     flags, at + 4, __builtin_ctz(unknown));
	if (flags & MB1_FLAG_VIDEO)
		log_warn("kernel '%s': multiboot header asks for a video mode; there is no display",
			 job->image->file[0].shown);
	return 0;
}

static int read_addresses(const struct load_job *job, size_t at, struct load_mb_addresses *out_a,
			  uint32_t *out_entry, struct umbra_err *err)
{
	const uint8_t *p = job->head + at + MB1_BASIC_LEN;
	size_t limit = u64_min(job->head_len, MB1_SEARCH);

	if (at + MB1_ADDR_LEN > limit)
		return umbra_err_set(
			err, ENOEXEC,
			"multiboot header: its address fields at offset 0x%zx end past "
			"offset 0x%zx (end of the file, or of the first 8192 bytes)",
			at + MB1_BASIC_LEN, limit);
	out_a->header = at;
	out_a->fields = at + MB1_BASIC_LEN;
	out_a->header_addr = le32_get(p);
	out_a->load_addr = le32_get(p + 4);
	out_a->load_end_addr = le32_get(p + 8);
	out_a->bss_end_addr = le32_get(p + 12);
	*out_entry = le32_get(p + 16);
	return 0;
}

/* An error of one address field: "NAME 0x1 at offset 0xc PROBLEM LIMIT_NAME 0x2". */
static int address_error(const char *name, uint32_t value, size_t offset, const char *problem,
			 uint64_t limit, struct umbra_err *err)
{
	return umbra_err_set(err, ENOEXEC,
			     "multiboot header: %s 0x%" PRIx32 " at offset 0x%zx is %s 0x%" PRIx64,
			     name, value, offset, problem, limit);
}

/* A zero load_end_addr means to the end of the file, a zero bss_end_addr no bss. */
static int address_ends(const struct load_mb_addresses *a, struct load_part *part,
			struct umbra_err *err)
{
	uint64_t end = a->load_end_addr;
	uint64_t bss_end = a->bss_end_addr;

	if (end != 0 && end <= part->gpa)
		return address_error("load_end_addr", a->load_end_addr, a->fields + 8,
				     "not above load_addr", part->gpa, err);
	if (end != 0 && end - part->gpa > part->data_len)
		return address_error("load_end_addr", a->load_end_addr, a->fields + 8,
				     "past the end of the file, which is at",
				     part->gpa + part->data_len, err);
	if (end != 0)
		part->data_len = end - part->gpa;
	if (bss_end == 0)
		bss_end = part->gpa + part->data_len;
	if (bss_end < part->gpa + part->data_len)
		return address_error("bss_end_addr", a->bss_end_addr, a->fields + 12,
				     "below the end of the loaded bytes",
				     part->gpa + part->data_len, err);
	part->mem_len = bss_end - part->gpa;
	return 0;
}

int load_multiboot_addresses(const struct load_job *job, const struct load_mb_addresses *a,
			     struct load_part *part, struct umbra_err *err)
{
	uint64_t before = (uint64_t)a->header_addr - a->load_addr;

	if (a->header_addr < a->load_addr)
		return address_error("load_addr", a->load_addr, a->fields + 4, "above header_addr",
				     a->header_addr, err);
	if (before > a->header)
		return address_error("header_addr", a->header_addr, a->fields,
				     "further above load_addr than the header is in the file, at",
				     a->header, err);
	part->gpa = a->load_addr;
	part->offset = a->header - before;
	part->data_len = job->image->file[0].size - part->offset;
	return address_ends(a, part, err);
}

static int plan_addresses(struct load_job *job, size_t at, gpa_t *out_entry, struct umbra_err *err)
{
	struct load_part part = {.what = "multiboot image", .field = "load_addr"};
	struct load_mb_addresses a = {0};
	uint32_t entry = 0;
	int rc = read_addresses(job, at, &a, &entry, err);

	if (rc == 0)
		rc = load_multiboot_addresses(job, &a, &part, err);
	if (rc == 0)
		rc = load_plan_add(job, &part, err);
	if (rc < 0)
		return rc;
	if (!range_fits(entry, 1, part.gpa, part.mem_len))
		return umbra_err_set(err, ENOEXEC,
				     "multiboot header: entry_addr 0x%" PRIx32
				     " at offset 0x%zx is outside the image at 0x%" PRIx64
				     "-0x%" PRIx64,
				     entry, at + 28, part.gpa, part.gpa + part.mem_len - 1);
	*out_entry = entry;
	return 0;
}

int load_multiboot_enter(struct load_job *job, gpa_t entry, uint32_t eax, struct umbra_err *err)
{
	int rc;

	if (entry >= LOAD_4G)
		return umbra_err_set(err, ENOEXEC,
				     "entry 0x%" PRIx64 " is not below 4 GiB, and multiboot enters "
				     "in 32-bit mode",
				     entry);
	rc = load_boot_prot32(job, (uint32_t)entry, false, err);
	job->image->boot.gpr[X86_RAX] = eax;
	return rc;
}

static int enter(struct load_job *job, gpa_t entry, const struct load_elf *elf,
		 struct umbra_err *err)
{
	gpa_t info = 0;
	int rc = load_multiboot_enter(job, entry, MB1_EAX, err);

	if (rc == 0)
		rc = load_mbinfo_plan(job, elf, &info, err);
	job->image->boot.gpr[X86_RBX] = info;
	return rc;
}

static int enter_elf(struct load_job *job, struct umbra_err *err)
{
	struct load_elf elf;
	gpa_t entry = 0;
	int rc = load_elf_read(job, &elf, err);

	if (rc < 0)
		return rc;
	rc = load_elf_plan(job, &elf, 0, err);
	if (rc == 0)
		rc = load_elf_entry_paddr(&elf, &entry, err);
	if (rc == 0)
		rc = enter(job, entry, &elf, err);
	load_elf_free(&elf);
	return rc;
}

int load_multiboot(struct load_job *job, size_t header_offset, struct umbra_err *err)
{
	uint32_t flags = le32_get(job->head + header_offset + 4);
	gpa_t entry = 0;
	int rc = check_flags(job, header_offset, flags, err);

	if (rc < 0)
		return rc;
	job->image->format = LOAD_MULTIBOOT;
	job->image->format_name = "multiboot";
	if (flags & MB1_FLAG_ADDRESSES) {
		rc = plan_addresses(job, header_offset, &entry, err);
		return rc < 0 ? rc : enter(job, entry, NULL, err);
	}
	if (!load_is_elf(job->head, job->head_len))
		return umbra_err_set(err, ENOEXEC,
				     "multiboot header: flags 0x%" PRIx32
				     " at offset 0x%zx: bit 16 "
				     "(address fields) is needed, the file is not ELF",
				     flags, header_offset + 4);
	return enter_elf(job, err);
}
