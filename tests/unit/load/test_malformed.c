/* Malformed images, made from a few good ones: each field set to values that are wrong, each bit
 * and byte of the headers changed, each length cut.  bench_try also checks that nothing was
 * written and that an error names the file and a value. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

static struct bench bench;

static void setup(void)
{
	bench_open(&bench);
}

static void teardown(void)
{
	bench_close(&bench);
}

TestSuite(malformed, .init = setup, .fini = teardown);

enum base { BASE_ELF32, BASE_ELF64, BASE_MB_ELF32, BASE_MB_ELF64, BASE_KLUDGE, BASE_COUNT };

static bool base_is_64(enum base base)
{
	return base == BASE_ELF64 || base == BASE_MB_ELF64;
}

static void make_base(struct image *img, enum base base)
{
	if (base == BASE_KLUDGE) {
		image_kludge_usual(img);
		return;
	}
	image_elf_usual(img, base_is_64(base));
	if (base == BASE_MB_ELF32 || base == BASE_MB_ELF64)
		image_mb_header(img, IMAGE_MB_AT, 3);
}

static void put_field(struct image *img, size_t at, unsigned bytes, uint64_t value)
{
	uint8_t buf[8];

	le64_put(buf, value);
	memcpy(img->bytes + at, buf, bytes);
}

/* Fields that ELF headers have. */

#define EHDR(f)                                                                                    \
	{                                                                                          \
		offsetof(Elf32_Ehdr, f), offsetof(Elf64_Ehdr, f)                                   \
	}
#define PHDR(i, f)                                                                                 \
	{                                                                                          \
		sizeof(Elf32_Ehdr) + (i) * sizeof(Elf32_Phdr) + offsetof(Elf32_Phdr, f),           \
			sizeof(Elf64_Ehdr) + (i) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, f)    \
	}

#define MAX_BAD 12

/* A field, its size in both classes, and values that cannot be right in the usual image;
 * they are cut to the field's size. */
struct bad_field {
	const char *name; /* has to be in the error text */
	size_t at[2];
	unsigned bytes[2];
	uint64_t value[MAX_BAD];
	unsigned count;
};

static const struct bad_field bad_fields[] = {
	{"EI_CLASS", {4, 4}, {1, 1}, {0, 3, 0x7f, 0x80, 0xff}, 5},
	{"EI_DATA", {5, 5}, {1, 1}, {0, 2, 3, 0x7f, 0x80, 0xff}, 6},
	{"e_type", EHDR(e_type), {2, 2}, {0, 1, 3, 4, 5, 0x7fff, 0x8000, 0xffff}, 8},
	{"e_machine", EHDR(e_machine), {2, 2}, {0, 1, 2, 8, 40, 183, 243, 0x7fff, 0xffff}, 9},
	{"e_version", EHDR(e_version), {4, 4}, {0, 2, 0x7fffffff, 0x80000000, 0xffffffff}, 5},
	{"e_entry",
	 EHDR(e_entry),
	 {4, 8},
	 {0, 1, 0xfffff, 0x100040, 0x1fffff, 0x202000, 0x7fffffff, 0x80000000, UINT64_MAX},
	 9},
	{"e_phoff",
	 EHDR(e_phoff),
	 {4, 8},
	 {0x180, 0x7fffffff, 0x80000000, UINT64_MAX, UINT64_MAX - 0x37, INT64_MAX},
	 6},
	{"e_phentsize",
	 EHDR(e_phentsize),
	 {2, 2},
	 {0, 1, 0x1f, 0x21, 0x37, 0x39, 0x7fff, 0xffff},
	 8},
	{"e_phnum", EHDR(e_phnum), {2, 2}, {0, 1025, 0x7fff, 0x8000, 0xfffe, 0xffff}, 6},
	{"e_phoff", EHDR(e_phnum), {2, 2}, {1024, 500}, 2},
	{"p_offset",
	 PHDR(0, p_offset),
	 {4, 8},
	 {0x161, 0x1a0, 0x7fffffff, 0x80000000, UINT64_MAX, UINT64_MAX - 0x3f, INT64_MAX},
	 7},
	{"p_offset", PHDR(1, p_offset), {4, 8}, {0x181, 0x7fffffff, UINT64_MAX}, 3},
	{"p_vaddr", PHDR(0, p_vaddr), {4, 8}, {UINT64_MAX, UINT64_MAX - 0x3e}, 2},
	{"p_paddr",
	 PHDR(0, p_paddr),
	 {4, 8},
	 {0xa0000, 0x9ffc1, 0xfffff, 0x1fffc1, 0x201fff, 0x3ffffc1, 0x4000000, 0x7fffffff,
	  0x80000000, UINT64_MAX, UINT64_MAX - 0x3f},
	 11},
	{"p_paddr",
	 PHDR(1, p_paddr),
	 {4, 8},
	 {0xffff0, 0x9f000, 0xfe001, 0x3ffe001, UINT64_MAX},
	 5},
	{"p_filesz",
	 PHDR(0, p_filesz),
	 {4, 8},
	 {0x41, 0x1000, 0x7fffffff, 0x80000000, UINT64_MAX, INT64_MAX},
	 6},
	{"p_filesz", PHDR(1, p_filesz), {4, 8}, {0x21, 0x2001, UINT64_MAX}, 3},
	{"p_memsz", PHDR(0, p_memsz), {4, 8}, {0, 1, 0x3f, UINT64_MAX, UINT64_MAX - 0xffffe}, 5},
	{"0x", PHDR(0, p_memsz), {4, 8}, {0x100001, 0x3f00001, 0x7fffffff}, 3},
	{"p_memsz", PHDR(1, p_memsz), {4, 8}, {0, 0x1f, UINT64_MAX}, 3},
};

static unsigned try_bad_field(enum base base, const struct bad_field *f)
{
	bool is_64 = base_is_64(base);
	unsigned i;

	for (i = 0; i < f->count; i++) {
		struct image img;
		int rc;

		make_base(&img, base);
		put_field(&img, f->at[is_64], f->bytes[is_64], f->value[i]);
		rc = bench_try(&bench, &img);
		cr_assert(rc == -ENOEXEC || rc == -ENOSPC, "base %d %s = 0x%llx: %d %s", base,
			  f->name, (unsigned long long)f->value[i], rc, bench.err.text);
		cr_assert(strstr(bench.err.text, f->name), "base %d %s = 0x%llx: %s", base, f->name,
			  (unsigned long long)f->value[i], bench.err.text);
	}
	return f->count;
}

Test(malformed, elf_field_set_to_a_wrong_value_then_refused_by_name)
{
	unsigned tried = 0;
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_fields); i++) {
		tried += try_bad_field(BASE_ELF32, &bad_fields[i]);
		tried += try_bad_field(BASE_ELF64, &bad_fields[i]);
		tried += try_bad_field(BASE_MB_ELF32, &bad_fields[i]);
		tried += try_bad_field(BASE_MB_ELF64, &bad_fields[i]);
	}
	cr_assert_geq(tried, 400);
}

/* Multiboot header. */

struct bad_address {
	const char *name;
	uint32_t addr[5]; /* header, load, load_end, bss_end, entry */
};

/* The usual image has its header at 0x40 of 0x400 bytes. */
static const struct bad_address bad_addresses[] = {
	{"load_addr 0x100041", {0x100040, 0x100041, 0, 0, 0x100080}},
	{"load_addr 0xffffffff", {0x100040, 0xffffffff, 0, 0, 0x100080}},
	{"header_addr 0x100041", {0x100041, 0x100000, 0, 0, 0x100080}},
	{"header_addr 0xffffffff", {0xffffffff, 0x100000, 0, 0, 0x100080}},
	{"header_addr 0xffffffff", {0xffffffff, 0, 0, 0, 0x100080}},
	{"load_addr 0x0", {0, 0, 0, 0xb0000, 0x80}},
	{"load_end_addr 0x100401", {0x100040, 0x100000, 0x100401, 0, 0x100080}},
	{"load_end_addr 0xffffffff", {0x100040, 0x100000, 0xffffffff, 0, 0x100080}},
	{"load_end_addr 0x100000", {0x100040, 0x100000, 0x100000, 0, 0x100080}},
	{"load_end_addr 0x1", {0x100040, 0x100000, 1, 0, 0x100080}},
	{"bss_end_addr 0x1003ff", {0x100040, 0x100000, 0, 0x1003ff, 0x100080}},
	{"bss_end_addr 0x1", {0x100040, 0x100000, 0, 1, 0x100080}},
	{"bss_end_addr 0x1000ff", {0x100040, 0x100000, 0x100100, 0x1000ff, 0x100080}},
	{"0x3ffffff", {0x100040, 0x100000, 0, 0xffffffff, 0x100080}},
	{"0x3ffffff", {0x100040, 0x100000, 0, 0x4000001, 0x100080}},
	{"entry_addr 0x0", {0x100040, 0x100000, 0, 0x101000, 0}},
	{"entry_addr 0xfffff", {0x100040, 0x100000, 0, 0x101000, 0xfffff}},
	{"entry_addr 0x101000", {0x100040, 0x100000, 0, 0x101000, 0x101000}},
	{"entry_addr 0xffffffff", {0x100040, 0x100000, 0, 0x101000, 0xffffffff}},
	{"load_addr 0xa0000", {0xa0040, 0xa0000, 0, 0, 0xa0080}},
	{"load_addr 0x9fe00", {0x9fe40, 0x9fe00, 0, 0, 0x9fe80}},
	{"load_addr 0x3fffd00", {0x3fffd40, 0x3fffd00, 0, 0, 0x3fffd40}},
	{"load_addr 0xffffffc0", {0xffffffff, 0xffffffc0, 0, 0, 0xffffffff}},
};

Test(malformed, multiboot_address_field_wrong_then_refused_by_name)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_addresses); i++) {
		const struct bad_address *bad = &bad_addresses[i];
		struct image img;
		int rc;

		make_base(&img, BASE_KLUDGE);
		image_mb_addresses(&img, 0x40, bad->addr);
		rc = bench_try(&bench, &img);
		cr_assert(rc == -ENOEXEC || rc == -ENOSPC, "row %u: %d %s", i, rc, bench.err.text);
		cr_assert(strstr(bench.err.text, bad->name), "row %u: %s", i, bench.err.text);
	}
}

Test(malformed, multiboot_required_flag_not_supported_then_its_bit_is_named)
{
	unsigned bit;

	for (bit = 3; bit < 16; bit++) {
		char want[16];
		struct image img;

		snprintf(want, sizeof(want), "bit %u ", bit);
		make_base(&img, BASE_MB_ELF32);
		image_mb_header(&img, IMAGE_MB_AT, 1u << bit);
		bench_refuse_image(&bench, &img, -ENOEXEC, want, "flags 0x");
		make_base(&img, BASE_MB_ELF64);
		image_mb_header(&img, IMAGE_MB_AT, 1u << bit | 7);
		bench_refuse_image(&bench, &img, -ENOEXEC, want, "flags 0x");
		make_base(&img, BASE_KLUDGE);
		image_mb_header(&img, 0x40, 1u << bit | 1u << 16);
		bench_refuse_image(&bench, &img, -ENOEXEC, want, "flags 0x");
	}
}

/* Everything else that can be done to a small file. */

static const uint8_t byte_values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

/* Whatever comes of it, bench_try's promises hold. */
static void change_each_byte(enum base base, size_t end)
{
	struct image img;
	size_t at;
	unsigned i;

	make_base(&img, base);
	for (at = 0; at < end; at++) {
		uint8_t good = img.bytes[at];

		for (i = 0; i < UMBRA_ARRAY_SIZE(byte_values); i++) {
			img.bytes[at] = byte_values[i];
			bench_try(&bench, &img);
		}
		img.bytes[at] = good;
	}
	cr_assert_eq(bench_try(&bench, &img), 0, "the image that it began with: %s",
		     bench.err.text);
}

Test(malformed, elf32_header_byte_changed_then_taken_or_refused)
{
	change_each_byte(BASE_ELF32, sizeof(Elf32_Ehdr) + 2 * sizeof(Elf32_Phdr));
}

Test(malformed, elf64_header_byte_changed_then_taken_or_refused)
{
	change_each_byte(BASE_ELF64, sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr));
}

Test(malformed, multiboot_elf_header_byte_changed_then_taken_or_refused)
{
	change_each_byte(BASE_MB_ELF32, IMAGE_MB_AT + 12);
	change_each_byte(BASE_MB_ELF64, IMAGE_MB_AT + 12);
}

Test(malformed, multiboot_address_byte_changed_then_taken_or_refused)
{
	change_each_byte(BASE_KLUDGE, 0x40 + 32);
}

/* The usual ELF images need every byte, since their last segment ends the file. */
static void cut_elf(enum base base)
{
	struct image img;
	size_t whole, len;

	make_base(&img, base);
	whole = img.len;
	for (len = 4; len < whole; len++) {
		img.len = len;
		bench_refuse_image(&bench, &img, -ENOEXEC, "end of the file", NULL);
	}
	img.len = whole;
	image_append(&img, "tail", 4);
	cr_assert_eq(bench_try(&bench, &img), 0);
}

Test(malformed, elf_cut_at_each_length_then_refused_until_it_is_whole)
{
	enum base base;

	for (base = BASE_ELF32; base <= BASE_MB_ELF64; base++)
		cut_elf(base);
}

Test(malformed, cut_before_the_magic_is_whole_then_a_flat_image)
{
	struct image img;

	make_base(&img, BASE_ELF32);
	for (img.len = 1; img.len < 4; img.len++)
		cr_assert_eq(bench_try(&bench, &img), 0);
}

/* The address fields with load_end_addr 0 take what there is; a header that is cut is either no
 * header or too short. */
Test(malformed, address_fields_cut_at_each_length_then_refused_only_inside_the_header)
{
	struct image img;
	size_t whole, len;

	make_base(&img, BASE_KLUDGE);
	whole = img.len;
	for (len = 1; len < whole; len++) {
		bool is_header_cut = len >= 0x40 + 12 && len < 0x40 + 32;
		int rc;

		img.len = len;
		rc = bench_try(&bench, &img);
		cr_assert_eq(rc, is_header_cut ? -ENOEXEC : 0, "length 0x%zx: %d %s", len, rc,
			     bench.err.text);
	}
}

Test(malformed, table_of_1024_program_headers_then_taken)
{
	static struct image img;
	const size_t at = 0x1000;

	make_base(&img, BASE_ELF64);
	memcpy(img.bytes + at, img.bytes + sizeof(Elf64_Ehdr), 2 * sizeof(Elf64_Phdr));
	le64_put(img.bytes + offsetof(Elf64_Ehdr, e_phoff), at);
	le16_put(img.bytes + offsetof(Elf64_Ehdr, e_phnum), 1024);
	img.len = at + 1024 * sizeof(Elf64_Phdr);
	cr_assert_eq(bench_try(&bench, &img), 0, "%s", bench.err.text);
}
