/* Multiboot 2 kernels: the header's tags (3.1), the machine state (3.3) and the information
 * structure (3.6).  Offsets are written out as in the specification. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct bench bench;
static struct image img;
static struct image_file file;
static struct load_config config;

static void setup(void)
{
	bench_open(&bench);
	config = (struct load_config){0};
	file.fd = -1;
}

static void teardown(void)
{
	if (file.fd >= 0)
		image_file_drop(&file);
	bench_close(&bench);
}

TestSuite(multiboot2, .init = setup, .fini = teardown);

/* One tag with up to four words behind type, flags and size. */
struct tag {
	uint16_t type, flags;
	uint32_t size;
	uint32_t word[4];
};

#define TAG_BYTES 24u

/* The usual ELF with one tag in its header; its bytes end with the tag. */
static void make(bool is_64, const struct tag *tag)
{
	image_elf_usual(&img, is_64);
	image_mb2_header(&img, IMAGE_MB_AT, tag, tag ? (tag->size + 7) & ~7u : 0);
}

/* No ELF: 0x400 bytes of 0x90 with the header at 0x40. */
static void make_flat(const struct tag *tag, unsigned count)
{
	uint8_t tags[4 * TAG_BYTES];
	size_t len = 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		memcpy(tags + len, &tag[i], TAG_BYTES);
		len += (tag[i].size + 7) & ~(size_t)7;
	}
	memset(&img, 0, sizeof(img));
	memset(img.bytes, 0x90, 0x400);
	img.len = 0x400;
	image_mb2_header(&img, 0x40, tags, len);
}

static void load(void)
{
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_load(&bench, &config);
}

/* For a table of images. */
static void unload(void)
{
	load_close(bench.image);
	bench.image = NULL;
	bench.written = 0;
	image_file_drop(&file);
	file.fd = -1;
}

/* The address of the @nth tag of @type in the information, or 0. */
static gpa_t find_tag(uint32_t type, unsigned nth)
{
	gpa_t info = bench.boot.gpr[X86_RBX], at = info + 8;
	gpa_t end = info + guest_read(&bench, info, 4);

	while (at < end) {
		uint32_t got = (uint32_t)guest_read(&bench, at, 4);

		if (got == type && nth-- == 0)
			return at;
		if (got == 0)
			return 0;
		at += (guest_read(&bench, at + 4, 4) + 7) & ~7ull;
	}
	cr_assert_fail("the tags have no end");
	return 0;
}

static void check_entry(uint64_t entry)
{
	gpa_t info = bench.boot.gpr[X86_RBX];

	cr_assert_str_eq(load_format_name(bench.image), "multiboot 2");
	check_prot32(&bench);
	cr_assert_eq(bench.boot.gpr[X86_RAX], 0x36d76289);
	cr_assert_eq(info % 8, 0);
	cr_assert_lt(info, 0x9fc00);
	cr_assert_eq(guest_read(&bench, info + 4, 4), 0, "reserved");
	cr_assert_eq(guest_read(&bench, info + guest_read(&bench, info, 4) - 8, 8), 8ull << 32,
		     "the end tag is the last");
	cr_assert_eq(bench.boot.rip, entry, "0x%llx", (unsigned long long)bench.boot.rip);
}

static uint64_t tag_word(uint32_t type, unsigned offset, unsigned bytes)
{
	gpa_t at = find_tag(type, 0);

	cr_assert_neq(at, 0, "no tag of type %u", type);
	return guest_read(&bench, at + offset, bytes);
}

Test(multiboot2, elf_then_segments_loaded_and_state_as_specified)
{
	make(false, NULL);
	load();
	check_entry(0x100010);
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert(guest_is_filled(&bench, 0x200000, 0x20, 0xda));
	unload();
	make(true, NULL);
	load();
	check_entry(0x100010);
	cr_assert(load_is_elf64(bench.image));
}

Test(multiboot2, header_in_the_last_bytes_that_are_searched_then_found)
{
	image_elf_usual(&img, false);
	image_mb2_header(&img, 32768 - 24, NULL, 0);
	load();
	check_entry(0x100010);
	unload();
	image_elf_usual(&img, false);
	image_mb2_header(&img, 32768 - 16, NULL, 0);
	bench_refuse_image(&bench, &img, -ENOEXEC, "header_length 0x18", "0x8000");
}

/* The information. */

Test(multiboot2, nothing_else_given_then_info_has_names_memory_and_screen)
{
	char text[16];

	make(false, NULL);
	load();
	guest_string(&bench, find_tag(1, 0) + 8, text, 1);
	cr_expect_str_eq(text, "");
	cr_expect_eq(tag_word(2, 4, 4), 8 + 6);
	guest_string(&bench, find_tag(2, 0) + 8, text, 6);
	cr_expect_str_eq(text, "umbra");
	cr_expect_eq(tag_word(4, 8, 4), 639, "mem_lower");
	cr_expect_eq(tag_word(4, 12, 4), (TEST_HIGH_RAM_END - 0x100000) / 1024, "mem_upper");
	cr_expect_eq(tag_word(6, 4, 4), 16 + 5 * 24);
	cr_expect_eq(tag_word(6, 8, 4), 24, "entry_size");
	cr_expect_eq(tag_word(6, 12, 4), 0, "entry_version");
	cr_expect_eq(tag_word(6, 16 + 8, 8), 0x9fc00);
	cr_expect_eq(tag_word(6, 16 + 24 + 16, 4), 2);
	cr_expect_eq(tag_word(6, 16 + 72, 8), 0x100000);
	cr_expect_eq(tag_word(6, 16 + 72 + 16, 4), 1);
	cr_expect_eq(tag_word(8, 8, 8), 0xb8000, "framebuffer_addr");
	cr_expect_eq(tag_word(8, 16, 4), 160, "pitch");
	cr_expect_eq(tag_word(8, 20, 8), 80ull | 25ull << 32);
	cr_expect_eq(tag_word(8, 28, 2), 16 | 2 << 8, "bpp, type: EGA text");
	cr_expect_eq(find_tag(3, 0) | find_tag(9, 0) | find_tag(14, 0) | find_tag(15, 0) |
			     find_tag(21, 0),
		     0, "none of these");
}

Test(multiboot2, append_then_cmdline_without_the_kernels_name)
{
	char text[16];

	make(false, NULL);
	config.cmdline = "one two=3";
	load();
	cr_expect_eq(tag_word(1, 4, 4), 8 + 10);
	guest_string(&bench, find_tag(1, 0) + 8, text, 10);
	cr_expect_str_eq(text, "one two=3");
}

Test(multiboot2, modules_then_a_tag_each_with_their_arguments)
{
	struct image_file one, two;
	char spec[96], text[16];
	gpa_t tag;

	image_file_make(&one, "ONE", 3);
	image_file_make(&two, "SECOND", 6);
	snprintf(spec, sizeof(spec), "%s a=b  c,%s", one.path, two.path);
	make(false, NULL);
	config.initrd = spec;
	load();
	tag = find_tag(3, 0);
	cr_assert_eq(guest_read(&bench, tag + 8, 4), 0x202000);
	cr_assert_eq(guest_read(&bench, tag + 12, 4), 0x202003);
	cr_assert_eq(guest_read(&bench, tag + 4, 4), 16 + 7);
	guest_string(&bench, tag + 16, text, 7);
	cr_assert_str_eq(text, "a=b  c");
	tag = find_tag(3, 1);
	cr_assert_eq(guest_read(&bench, tag + 8, 4), 0x203000);
	guest_string(&bench, tag + 16, text, 1);
	cr_assert_eq(find_tag(3, 2), 0);
	image_file_drop(&one);
	image_file_drop(&two);
}

Test(multiboot2, rsdp_then_copies_of_what_is_there_when_the_image_is_copied)
{
	const char *rsdp = "RSD PTR sUMBRA..0123456789abcdefghij";

	make(false, NULL);
	cr_assert_eq(mem_poke(bench.mem, 0x9fc10, rsdp, 36), 36);
	bench.written = 0;
	config.rsdp = 0x9fc10;
	load();
	check_entry(0x100010);
	cr_expect_eq(tag_word(14, 4, 4), 28);
	cr_expect_eq(tag_word(14, 8, 8), 0x2052545020445352);
	cr_expect_eq(tag_word(14, 24, 4), 0x33323130);
	cr_expect_eq(tag_word(14, 28, 4), 0, "padding");
	cr_expect_eq(tag_word(15, 4, 4), 44);
	cr_expect_eq(tag_word(15, 8, 8), 0x2052545020445352);
	cr_expect_eq(tag_word(15, 40, 4), 0x6a696867);
}

Test(multiboot2, sections_then_their_headers_are_handed_over)
{
	Elf64_Shdr shdr[2] = {
		{.sh_type = SHT_NULL},
		{.sh_type = SHT_STRTAB, .sh_size = 8},
	};
	size_t at;

	make(true, NULL);
	at = img.len;
	shdr[1].sh_offset = at;
	image_append(&img, "STRINGS.", 8);
	image_append(&img, shdr, sizeof(shdr));
	le64_put(img.bytes + offsetof(Elf64_Ehdr, e_shoff), at + 8);
	le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shentsize), sizeof(Elf64_Shdr));
	le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shnum), 2);
	le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shstrndx), 1);
	load();
	cr_expect_eq(tag_word(9, 4, 4), 20 + 128);
	cr_expect_eq(tag_word(9, 8, 4), 2, "num");
	cr_expect_eq(tag_word(9, 12, 4), 64, "entsize");
	cr_expect_eq(tag_word(9, 16, 4), 1, "shndx");
	cr_expect_eq(guest_read(&bench, tag_word(9, 20 + 64 + 16, 8), 8), 0x2e53474e49525453);
}

/* Header tags. */

static const struct tag_case {
	const char *what;
	struct tag tag;
	const char *text; /* of the refusal when the tag is required; NULL: taken */
} tag_cases[] = {
	{"all that is known", {1, 0, 16, {6, 21}}, NULL},
	{"no information", {1, 0, 8, {0}}, NULL},
	{"information 22", {1, 0, 12, {22}}, "requests information 0x16"},
	{"console flags: a console, EGA text", {4, 0, 12, {3}}, NULL},
	{"framebuffer without a wish", {5, 0, 20, {0, 0, 0}}, NULL},
	{"framebuffer 80x25 in characters", {5, 0, 20, {80, 25, 0}}, NULL},
	{"framebuffer of pixels", {5, 0, 20, {1024, 768, 32}}, "depth 0x20"},
	{"framebuffer of 132 characters", {5, 0, 20, {132, 25, 0}}, "80x25"},
	{"module alignment", {6, 0, 8, {0}}, NULL},
	{"EFI boot services", {7, 0, 8, {0}}, NULL},
	{"EFI i386 entry", {8, 0, 12, {0x1234}}, NULL},
	{"EFI amd64 entry", {9, 0, 12, {0x1234}}, NULL},
	{"unknown", {11, 0, 8, {0}}, "type 0xb"},
	{"unknown", {0xffff, 0, 8, {0}}, "type 0xffff"},
	{"short address", {2, 0, 20, {0}}, "size 0x14"},
	{"short entry", {3, 0, 8, {0}}, "size 0x8"},
	{"short relocation", {10, 0, 20, {0}}, "size 0x14"},
	{"relocation without alignment", {10, 0, 24, {0, ~0u, 0, 0}}, "align 0x0"},
	{"relocation, alignment 3", {10, 0, 24, {0, ~0u, 3, 0}}, "align 0x3"},
	{"relocation, empty range", {10, 0, 24, {2, 1, 1, 0}}, "min_addr 0x2"},
	{"relocation, preference 3", {10, 0, 24, {0, ~0u, 1, 3}}, "preference 0x3"},
};

Test(multiboot2, header_tags_then_taken_refused_or_passed_over)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(tag_cases); i++) {
		struct tag tag = tag_cases[i].tag;
		int rc;

		make(false, &tag);
		rc = bench_try(&bench, &img);
		cr_expect_eq(rc, tag_cases[i].text ? -ENOEXEC : 0, "%s: %d %s", tag_cases[i].what,
			     rc, bench.err.text);
		cr_expect(!tag_cases[i].text || strstr(bench.err.text, tag_cases[i].text), "%s: %s",
			  tag_cases[i].what, bench.err.text);
		tag.flags = 1;
		make(false, &tag);
		cr_expect_eq(bench_try(&bench, &img), 0, "%s, optional: %s", tag_cases[i].what,
			     bench.err.text);
	}
}

Test(multiboot2, entry_tag_then_it_wins_over_elf)
{
	static const struct tag tag = {3, 0, 12, {0x100020}};

	make(false, &tag);
	load();
	check_entry(0x100020);
}

/* Address tag: header, load, load_end, bss_end; then the entry. */
static void make_addresses(uint32_t header, uint32_t load_addr, uint32_t load_end, uint32_t bss_end,
			   uint32_t entry)
{
	const struct tag tags[] = {
		{2, 0, 24, {header, load_addr, load_end, bss_end}},
		{3, 0, 12, {entry}},
	};

	make_flat(tags, 2);
}

Test(multiboot2, address_tag_then_image_and_entry_are_where_it_says)
{
	make_addresses(0x100040, 0x100000, 0, 0x101000, 0x100300);
	load();
	check_entry(0x100300);
	cr_assert_eq(guest_read(&bench, 0x100040, 4), 0xe85250d6);
	cr_assert(guest_is_filled(&bench, 0x100200, 0x200, 0x90));
	cr_assert_eq(guest_read(&bench, 0x100400, 8), 0);
}

Test(multiboot2, load_addr_minus_1_then_the_file_from_its_start)
{
	make_addresses(0x100040, 0xffffffff, 0x100200, 0, 0x100010);
	load();
	check_entry(0x100010);
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert_eq(guest_read(&bench, 0x100200, 8), 0);
}

static const struct {
	uint32_t addr[5];
	const char *text;
} bad_addresses[] = {
	{{0x100040, 0x100041, 0, 0, 0x100080}, "load_addr 0x100041 at offset 0x5c"},
	{{0x100041, 0x100000, 0, 0, 0x100080}, "header_addr 0x100041 at offset 0x58"},
	{{0x3f, 0xffffffff, 0, 0, 0x100080}, "load_addr 0xffffffff"},
	{{0x100040, 0x100000, 0x100401, 0, 0x100080}, "load_end_addr 0x100401 at offset 0x60"},
	{{0x100040, 0x100000, 0x100000, 0, 0x100080}, "load_end_addr 0x100000"},
	{{0x100040, 0x100000, 0, 0x1003ff, 0x100080}, "bss_end_addr 0x1003ff at offset 0x64"},
	{{0x100040, 0x100000, 0, 0xffffffff, 0x100080}, "RAM is"},
	{{0x100040, 0x100000, 0, 0, 0x100400}, "entry_addr 0x100400 at offset 0x70"},
	{{0xa0040, 0xa0000, 0, 0, 0xa0080}, "load_addr 0xa0000"},
};

Test(multiboot2, address_field_wrong_then_refused_by_name)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_addresses); i++) {
		const uint32_t *a = bad_addresses[i].addr;
		int rc;

		make_addresses(a[0], a[1], a[2], a[3], a[4]);
		rc = bench_try(&bench, &img);
		cr_expect(rc == -ENOEXEC || rc == -ENOSPC, "row %u: %d", i, rc);
		cr_expect(strstr(bench.err.text, bad_addresses[i].text), "row %u: %s", i,
			  bench.err.text);
	}
}

Test(multiboot2, address_tag_without_an_entry_or_no_elf_then_refused)
{
	static const struct tag tag = {2, 0, 24, {0x100040, 0x100000, 0, 0}};

	make_flat(&tag, 1);
	bench_refuse_image(&bench, &img, -ENOEXEC, "no entry address tag", "0x50");
	make_flat(NULL, 0);
	bench_refuse_image(&bench, &img, -ENOEXEC, "an address tag is needed", "0x40");
}

/* The usual ELF spans 0x100000-0x201fff; the limits: min, max, align, preference. */
static const struct {
	uint32_t word[4];
	gpa_t base;
} relocations[] = {
	{{0, ~0u, 0x1000, 0}, 0x100000}, /* no wish: where it is linked */
	{{0, ~0u, 0x1000, 1}, 0x100000},
	{{0, ~0u, 0x1000, 2}, 0x3efe000},
	{{0, ~0u, 0x200000, 0}, 0x200000}, /* linked without that alignment */
	{{0, ~0u, 0x200000, 2}, 0x3e00000},
	{{0x1234567, ~0u, 0x1000, 0}, 0x1235000},
	{{0x1234567, 0x2ffffff, 1, 1}, 0x1234567},
	{{0x1234567, 0x2ffffff, 1, 2}, 0x2efe000},
	{{0x1000000, 0x1101fff, 0x1000, 0}, 0x1000000}, /* just enough */
};

Test(multiboot2, relocatable_elf_then_it_goes_where_the_tag_says)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(relocations); i++) {
		struct tag tag = {10, 0, 24, {0}};
		gpa_t base = relocations[i].base;

		memcpy(tag.word, relocations[i].word, sizeof(tag.word));
		make(true, &tag);
		load();
		check_entry(base + 0x10);
		cr_expect_eq(tag_word(21, 4, 4), 12);
		cr_expect_eq(tag_word(21, 8, 4), base, "row %u", i);
		cr_expect(guest_is_filled(&bench, base, 0x40, 0x90), "row %u", i);
		cr_expect(guest_is_filled(&bench, base + 0x100000, 0x20, 0xda), "row %u", i);
		unload();
		mem_clear_ram(bench.mem);
		bench.written = 0;
	}
}

Test(multiboot2, relocatable_image_by_addresses_then_entry_moves_along)
{
	static const struct tag tags[] = {
		{2, 0, 24, {0x100040, 0x100000, 0, 0}},
		{3, 0, 12, {0x100300}},
		{10, 0, 24, {0x2000000, ~0u, 0x1000, 1}},
	};

	make_flat(tags, 3);
	load();
	check_entry(0x2000300);
	cr_assert_eq(tag_word(21, 8, 4), 0x2000000);
	cr_assert_eq(guest_read(&bench, 0x2000040, 4), 0xe85250d6);
	cr_assert_eq(guest_read(&bench, 0x100040, 4), 0);
}

Test(multiboot2, relocatable_without_room_then_refused)
{
	static const struct tag tag = {10, 0, 24, {0x1000000, 0x1101ffe, 0x1000, 0}};

	make(false, &tag);
	bench_refuse_image(&bench, &img, -ENOSPC, "relocatable", "RAM is");
}

/* Malformed headers. */

static void put_checksum(size_t at)
{
	uint32_t sum = le32_get(img.bytes + at) + le32_get(img.bytes + at + 4) +
		       le32_get(img.bytes + at + 8);

	le32_put(img.bytes + at + 12, 0u - sum);
}

Test(multiboot2, other_architecture_then_refused)
{
	make(false, NULL);
	le32_put(img.bytes + IMAGE_MB_AT + 4, 4);
	put_checksum(IMAGE_MB_AT);
	bench_refuse_image(&bench, &img, -ENOEXEC, "architecture 0x4 at offset 0x104", NULL);
}

Test(multiboot2, header_length_wrong_then_refused)
{
	static const uint32_t bad[] = {0, 15, 16, 23, 0x10000, UINT32_MAX};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		make(false, NULL);
		le32_put(img.bytes + IMAGE_MB_AT + 8, bad[i]);
		put_checksum(IMAGE_MB_AT);
		bench_refuse_image(&bench, &img, -ENOEXEC, "multiboot 2 header", NULL);
	}
}

Test(multiboot2, tag_size_wrong_then_refused)
{
	static const uint32_t bad[] = {0, 7, 0x20, 0x7fffffff, UINT32_MAX - 7, UINT32_MAX};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		static const struct tag tag = {6, 1, 8, {0}};

		make(false, &tag);
		le32_put(img.bytes + IMAGE_MB_AT + 20, bad[i]);
		bench_refuse_image(&bench, &img, -ENOEXEC, "tag of type 6: size", NULL);
	}
}

Test(multiboot2, command_line_longer_than_low_memory_then_refused)
{
	static char cmdline[(1 << 20) + 1];

	memset(cmdline, 'x', sizeof(cmdline) - 1);
	make(false, NULL);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	config.cmdline = cmdline;
	bench_refuse(&bench, &config, -EINVAL, "0x100000 bytes", "command line");
}

Test(multiboot2, header_byte_changed_then_taken_or_refused)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	static const struct tag tag = {10, 0, 24, {0x1000000, ~0u, 0x1000, 0}};
	size_t at;
	unsigned i;

	make(false, &tag);
	for (at = IMAGE_MB_AT; at < IMAGE_MB_AT + 48; at++) {
		uint8_t good = img.bytes[at];

		for (i = 0; i < UMBRA_ARRAY_SIZE(values); i++) {
			img.bytes[at] = values[i];
			put_checksum(IMAGE_MB_AT);
			bench_try(&bench, &img);
		}
		img.bytes[at] = good;
	}
	put_checksum(IMAGE_MB_AT);
	cr_assert_eq(bench_try(&bench, &img), 0);
}
