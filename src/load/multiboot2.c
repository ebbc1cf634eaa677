/* Multiboot 2 kernels: the tags of the header, where the image goes, and the state on entry.
 * The image is ELF32 or ELF64, or any file with an address tag, which wins over ELF.  An image with
 * a relocatable tag goes where the tag allows and wants; without a wish it stays where it is linked
 * as long as that is free.
 * Source: Multiboot2 Specification 2.0, sections 3.1 (header) and 3.3 (machine state). */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define MB2_EAX		  0x36d76289u
#define MB2_HEADER_LIMIT  32768u /* all of the header is in these bytes (3.1.1) */
#define MB2_BASIC_LEN	  16u	 /* magic, architecture, header_length, checksum */
#define MB2_ARCH_I386	  0u
#define MB2_TAG_LEN	  8u /* type, flags, size */
#define MB2_FLAG_OPTIONAL 1u
#define MB2_INFO_LAST	  21u /* the highest information type of this edition */

#define ADDR_FROM_START 0xffffffffu /* load_addr: the file goes there from its first byte */

enum mb2_preference { PREFER_NONE, PREFER_LOWEST, PREFER_HIGHEST };

#define TEXT_COLUMNS 80u
#define TEXT_LINES   25u

/* What the header says. */
struct mb2 {
	bool has_addresses, has_entry, is_relocatable;
	struct load_mb_addresses addr;
	uint32_t entry;
	size_t entry_at; /* offset of the field, for error texts */
	uint32_t min_addr, max_addr, align, preference;
};

/* A tag under inspection: @bytes has all of it. */
struct mb2_tag {
	const uint8_t *bytes;
	size_t at; /* in the file */
	uint32_t size;
	unsigned type;
	bool is_optional;
};

static int tag_error(const struct mb2_tag *tag, const char *what, uint32_t value, size_t offset,
		     const char *wanted, struct umbra_err *err)
{
	return umbra_err_set(err, ENOEXEC,
			     "multiboot 2 header: tag of type %u: %s 0x%" PRIx32
			     " at offset 0x%zx: %s",
			     tag->type, what, value, tag->at + offset, wanted);
}

/* The tags.  One that is refused stops the loading only when it is not optional. */

/* A type that is known may still have nothing to say (3.1.4). */
static int take_request(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	uint32_t i;

	(void)mb;
	for (i = MB2_TAG_LEN; i + 4 <= tag->size; i += 4) {
		uint32_t type = le32_get(tag->bytes + i);

		if (type > MB2_INFO_LAST)
			return tag_error(tag, "requests information", type, i,
					 "expected a type from 0 to 21", err);
	}
	return 0;
}

static int take_addresses(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	struct load_mb_addresses *a = &mb->addr;

	(void)err;
	a->fields = tag->at + MB2_TAG_LEN;
	a->header_addr = le32_get(tag->bytes + 8);
	a->load_addr = le32_get(tag->bytes + 12);
	a->load_end_addr = le32_get(tag->bytes + 16);
	a->bss_end_addr = le32_get(tag->bytes + 20);
	if (a->load_addr == ADDR_FROM_START && a->header_addr >= a->header)
		a->load_addr = a->header_addr - (uint32_t)a->header;
	mb->has_addresses = true;
	return 0;
}

static int take_entry(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	(void)err;
	mb->has_entry = true;
	mb->entry = le32_get(tag->bytes + 8);
	mb->entry_at = tag->at + 8;
	return 0;
}

/* Modules are always on pages; the text console is there; EFI tags mean nothing without EFI. */
static int take_nothing(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	(void)mb;
	(void)tag;
	(void)err;
	return 0;
}

static bool is_wish_met(uint32_t wish, uint32_t have)
{
	return wish == 0 || wish == have;
}

/* Zero is no wish (3.1.10): what is left can be met by the text screen. */
static int take_framebuffer(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	uint32_t depth = le32_get(tag->bytes + 16);

	(void)mb;
	if (depth == 0 && is_wish_met(le32_get(tag->bytes + 8), TEXT_COLUMNS) &&
	    is_wish_met(le32_get(tag->bytes + 12), TEXT_LINES))
		return 0;
	return tag_error(tag, "framebuffer of depth", depth, 16,
			 "a graphics mode is required; there is a text screen of 80x25 only", err);
}

static int take_relocatable(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	mb->min_addr = le32_get(tag->bytes + 8);
	mb->max_addr = le32_get(tag->bytes + 12);
	mb->align = le32_get(tag->bytes + 16);
	mb->preference = le32_get(tag->bytes + 20);
	if (mb->align == 0 || (mb->align & (mb->align - 1)) != 0)
		return tag_error(tag, "align", mb->align, 16, "expected a power of two", err);
	if (mb->min_addr > mb->max_addr)
		return tag_error(tag, "min_addr", mb->min_addr, 8, "above max_addr", err);
	if (mb->preference > PREFER_HIGHEST)
		return tag_error(tag, "preference", mb->preference, 20,
				 "expected 0 (none), 1 (lowest) or 2 (highest)", err);
	mb->is_relocatable = true;
	return 0;
}

static const struct tag_row {
	uint32_t size; /* at least */
	int (*take)(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err);
} tag_rows[] = {
	[1] = {8, take_request},      /* information request */
	[2] = {24, take_addresses},   /* address */
	[3] = {12, take_entry},	      /* entry address */
	[4] = {12, take_nothing},     /* console flags */
	[5] = {20, take_framebuffer}, /* framebuffer */
	[6] = {8, take_nothing},      /* module alignment */
	[7] = {8, take_nothing},      /* EFI boot services */
	[8] = {12, take_nothing},     /* entry address of EFI i386 */
	[9] = {12, take_nothing},     /* entry address of EFI amd64 */
	[10] = {24, take_relocatable},
};

static int take_tag(struct mb2 *mb, const struct mb2_tag *tag, struct umbra_err *err)
{
	const struct tag_row *row =
		tag->type < UMBRA_ARRAY_SIZE(tag_rows) ? &tag_rows[tag->type] : NULL;
	struct mb2 before = *mb;
	int rc;

	if (!row || !row->take)
		rc = tag_error(tag, "type", tag->type, 0,
			       "is required and not known (types 1 to 10 are)", err);
	else if (tag->size < row->size)
		rc = tag_error(tag, "size", tag->size, 4, "too small for this type", err);
	else
		rc = row->take(mb, tag, err);
	if (rc == 0 || !tag->is_optional)
		return rc;
	*mb = before;
	return 0;
}

/* Cut the next tag out of the header's first @end bytes of the file.  8-byte steps (3.1.3). */
static int next_tag(const struct load_job *job, size_t at, size_t end, struct mb2_tag *tag,
		    struct umbra_err *err)
{
	if (at + MB2_TAG_LEN > end)
		return umbra_err_set(err, ENOEXEC,
				     "multiboot 2 header: ends at offset 0x%zx without the tag of "
				     "type 0",
				     end);
	tag->bytes = job->head + at;
	tag->at = at;
	tag->type = le16_get(tag->bytes);
	tag->is_optional = le16_get(tag->bytes + 2) & MB2_FLAG_OPTIONAL;
	tag->size = le32_get(tag->bytes + 4);
	if (tag->size < MB2_TAG_LEN || tag->size > end - at)
		return tag_error(tag, "size", tag->size, 4,
				 "not from 8 up to what is left of the header", err);
	return 0;
}

static int read_header(const struct load_job *job, size_t at, struct mb2 *mb, struct umbra_err *err)
{
	size_t limit = u64_min(job->head_len, MB2_HEADER_LIMIT);
	uint32_t arch = le32_get(job->head + at + 4);
	uint32_t len = le32_get(job->head + at + 8);
	struct mb2_tag tag = {0};
	size_t next;
	int rc = 0;

	if (arch != MB2_ARCH_I386)
		return umbra_err_set(err, ENOEXEC,
				     "multiboot 2 header: architecture 0x%" PRIx32
				     " at offset 0x%zx: expected 0 (32-bit protected mode of i386)",
				     arch, at + 4);
	if (!range_fits(at, len, 0, limit))
		return umbra_err_set(err, ENOEXEC,
				     "multiboot 2 header: header_length 0x%" PRIx32
				     " at offset 0x%zx is past offset 0x%zx (end of the file, or "
				     "of the first 32768 bytes)",
				     len, at + 8, limit);
	mb->addr.header = at;
	for (next = at + MB2_BASIC_LEN; rc == 0; next += (tag.size + 7u) & ~7u) {
		rc = next_tag(job, next, at + len, &tag, err);
		if (rc == 0 && tag.type == 0)
			return 0;
		if (rc == 0)
			rc = take_tag(mb, &tag, err);
	}
	return rc;
}

/* Where the image goes. */

/* Find the place of an image that is linked at @len bytes from @link on. */
static int choose_base(const struct load_job *job, const struct mb2 *mb, gpa_t link, uint64_t len,
		       gpa_t *out_base, struct umbra_err *err)
{
	struct load_where where = {
		.start = mb->min_addr,
		.end = (gpa_t)mb->max_addr + 1,
		.align = mb->align,
		.is_lowest = mb->preference != PREFER_HIGHEST,
	};

	*out_base = link;
	if (!mb->is_relocatable)
		return 0;
	if (mb->preference == PREFER_NONE && link % mb->align == 0 &&
	    range_fits(link, len, where.start, where.end - where.start) &&
	    load_plan_is_free(job, link, len))
		return 0;
	return load_plan_place(job, "relocatable multiboot 2 image", len, &where, out_base, err);
}

static int enter(struct load_job *job, gpa_t entry, const struct load_mb2info *want,
		 struct umbra_err *err)
{
	gpa_t info = 0;
	int rc = load_multiboot_enter(job, entry, MB2_EAX, err);

	if (rc == 0)
		rc = load_mb2info_plan(job, want, &info, err);
	job->image->boot.gpr[X86_RBX] = info;
	return rc;
}

static int load_by_addresses(struct load_job *job, const struct mb2 *mb, struct umbra_err *err)
{
	struct load_part part = {.what = "multiboot image", .field = "load_addr"};
	struct load_mb2info want = {.is_relocatable = mb->is_relocatable};
	int rc = load_multiboot_addresses(job, &mb->addr, &part, err);
	gpa_t link = part.gpa;

	if (rc < 0)
		return rc;
	if (!mb->has_entry)
		return umbra_err_set(err, ENOEXEC,
				     "multiboot 2 header: has an address tag at offset 0x%zx and "
				     "no entry address tag",
				     mb->addr.fields - MB2_TAG_LEN);
	if (!range_fits(mb->entry, 1, part.gpa, part.mem_len))
		return umbra_err_set(
			err, ENOEXEC,
			"multiboot 2 header: entry_addr 0x%" PRIx32
			" at offset 0x%zx is outside the image at 0x%" PRIx64 "-0x%" PRIx64,
			mb->entry, mb->entry_at, part.gpa, part.gpa + part.mem_len - 1);
	rc = choose_base(job, mb, link, part.mem_len, &part.gpa, err);
	if (rc == 0)
		rc = load_plan_add(job, &part, err);
	want.load_base = (uint32_t)part.gpa;
	return rc < 0 ? rc : enter(job, mb->entry + part.gpa - link, &want, err);
}

static void elf_extent(const struct load_elf *elf, gpa_t *out_start, uint64_t *out_len)
{
	gpa_t start = UINT64_MAX, last = 0;
	unsigned i;

	for (i = 0; i < elf->seg_count; i++) {
		gpa_t seg_last = elf->seg[i].paddr + (elf->seg[i].memsz - 1);

		start = u64_min(start, elf->seg[i].paddr);
		if (seg_last > last)
			last = seg_last;
	}
	*out_start = start;
	*out_len = last - start + 1;
}

static int elf_place(struct load_job *job, const struct mb2 *mb, const struct load_elf *elf,
		     struct umbra_err *err)
{
	struct load_mb2info want = {.elf = elf, .is_relocatable = mb->is_relocatable};
	gpa_t link = 0, base = 0, entry = mb->entry;
	uint64_t len = 0;
	int rc;

	elf_extent(elf, &link, &len);
	/* Nothing that long is free; the sums below need not think of it. */
	if (mb->is_relocatable && (len == 0 || len > LOAD_4G))
		return umbra_err_set(err, ENOEXEC,
				     "the segments from 0x%" PRIx64 " on span 0x%" PRIx64
				     " bytes, more than 4 GiB can be relocated together",
				     link, len);
	rc = choose_base(job, mb, link, len, &base, err);
	if (rc == 0)
		rc = load_elf_plan(job, elf, base - link, err);
	if (rc == 0 && !mb->has_entry)
		rc = load_elf_entry_paddr(elf, &entry, err);
	want.load_base = (uint32_t)base;
	return rc < 0 ? rc : enter(job, entry + (base - link), &want, err);
}

static int load_by_elf(struct load_job *job, const struct mb2 *mb, struct umbra_err *err)
{
	struct load_elf elf;
	int rc = load_elf_read(job, &elf, err);

	if (rc < 0)
		return rc;
	rc = elf_place(job, mb, &elf, err);
	load_elf_free(&elf);
	return rc;
}

int load_multiboot2(struct load_job *job, size_t header_offset, struct umbra_err *err)
{
	struct mb2 mb = {.has_addresses = false};
	int rc = read_header(job, header_offset, &mb, err);

	if (rc < 0)
		return rc;
	job->image->format = LOAD_MULTIBOOT2;
	job->image->format_name = "multiboot 2";
	if (mb.has_addresses)
		return load_by_addresses(job, &mb, err);
	if (!load_is_elf(job->head, job->head_len))
		return umbra_err_set(err, ENOEXEC,
				     "multiboot 2 header at offset 0x%zx: an address tag is "
				     "needed, the file is not ELF",
				     header_offset);
	return load_by_elf(job, &mb, err);
}
