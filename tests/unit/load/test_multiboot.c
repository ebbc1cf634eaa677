/* Multiboot 1 kernels: where the image goes, the machine state (3.2) and the information
 * structure (3.3).  Offsets are written out as in the specification. */
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

TestSuite(multiboot, .init = setup, .fini = teardown);

static void load(void)
{
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_load(&bench, &config);
}

static uint32_t info(unsigned offset)
{
	return (uint32_t)guest_read(&bench, bench.boot.gpr[X86_RBX] + offset, 4);
}

static void check_entry(uint64_t entry)
{
	cr_assert_str_eq(load_format_name(bench.image), "multiboot");
	check_prot32(&bench);
	cr_assert_eq(bench.boot.gpr[X86_RAX], 0x2badb002);
	cr_assert_eq(bench.boot.gpr[X86_RBX] % 4, 0);
	cr_assert_lt(bench.boot.gpr[X86_RBX], 0x9fc00);
	cr_assert_eq(bench.boot.rip, entry);
}

Test(multiboot, elf32_then_segments_loaded_and_state_as_specified)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 3);
	load();
	check_entry(0x100010);
	cr_assert_not(load_is_elf64(bench.image));
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert(guest_is_filled(&bench, 0x200000, 0x20, 0xda));
}

Test(multiboot, elf64_linked_high_then_entered_in_32_bit_mode_at_the_physical_entry)
{
	static const struct seg_spec seg = {0xffffffff80100000, 0x100000, 0x40, 0x40, 0x90};

	image_elf(&img, true, 0xffffffff80100008, &seg, 1);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	load();
	check_entry(0x100008);
	cr_assert(load_is_elf64(bench.image));
}

Test(multiboot, elf64_entry_above_4_gib_then_refused)
{
	static const struct seg_spec seg = {0x100000000, 0x100000000, 0x40, 0x40, 0x90};

	cr_assert_eq(mem_add(bench.mem, 1ull << 32, 0x100000, MEM_RAM, "top", NULL), 0);
	image_elf(&img, true, 0x100000008, &seg, 1);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	bench_refuse_image(&bench, &img, -ENOEXEC, "entry 0x100000008", "below 4 GiB");
}

Test(multiboot, address_fields_then_image_and_entry_are_where_they_say)
{
	image_kludge_usual(&img);
	load();
	check_entry(0x100080);
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert_eq(guest_read(&bench, 0x100040, 4), 0x1badb002);
	cr_assert(guest_is_filled(&bench, 0x100060, 0x3a0, 0x90));
	cr_assert_eq(guest_read(&bench, 0x100400, 8), 0);
}

Test(multiboot, address_fields_with_load_addr_inside_the_file_then_the_start_is_left_out)
{
	static const uint32_t addr[5] = {0x100000, 0x100000, 0x100100, 0, 0x100020};

	image_kludge_usual(&img);
	image_mb_addresses(&img, 0x40, addr);
	load();
	check_entry(0x100020);
	cr_assert_eq(guest_read(&bench, 0x100000, 4), 0x1badb002);
	cr_assert_eq(guest_read(&bench, 0x1000ff, 1), 0x90);
	cr_assert_eq(guest_read(&bench, 0x100100, 1), 0, "load_end_addr ends the image");
}

Test(multiboot, address_fields_in_elf_then_they_win)
{
	static const uint32_t addr[5] = {0x300100, 0x300000, 0, 0, 0x300000};

	image_elf_usual(&img, true);
	image_mb_header(&img, IMAGE_MB_AT, 1u << 16);
	image_mb_addresses(&img, IMAGE_MB_AT, addr);
	img.len = 0x160;
	load();
	check_entry(0x300000);
	cr_assert_eq(guest_read(&bench, 0x300000, 4), 0x464c457f);
	cr_assert_eq(guest_read(&bench, 0x100000, 8), 0);
	cr_assert(load_is_elf64(bench.image));
}

Test(multiboot, header_at_its_last_possible_place_then_found)
{
	static const uint32_t addr[5] = {0x101fe0, 0x100000, 0, 0, 0x100000};

	memset(&img, 0x90, sizeof(img));
	img.len = 0x2100;
	image_mb_header(&img, 8192 - 32, 1u << 16);
	image_mb_addresses(&img, 8192 - 32, addr);
	load();
	check_entry(0x100000);
}

Test(multiboot, header_reaching_past_8192_bytes_then_refused)
{
	static const uint32_t addr[5] = {0x101fe4, 0x100000, 0, 0, 0x100000};

	memset(&img, 0x90, sizeof(img));
	img.len = 0x2100;
	image_mb_header(&img, 8192 - 28, 1u << 16);
	image_mb_addresses(&img, 8192 - 28, addr);
	bench_refuse_image(&bench, &img, -ENOEXEC, "multiboot header", "0x2000");
}

Test(multiboot, header_not_4_aligned_then_none)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT + 2, 0);
	bench_load_image(&bench, &img);
	cr_assert_str_eq(load_format_name(bench.image), "ELF32");
}

Test(multiboot, wrong_checksum_then_none)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	img.bytes[IMAGE_MB_AT + 8] ^= 1;
	bench_load_image(&bench, &img);
	cr_assert_str_eq(load_format_name(bench.image), "ELF32");
}

Test(multiboot, neither_elf_nor_address_fields_then_refused)
{
	image_kludge_usual(&img);
	image_mb_header(&img, 0x40, 0);
	bench_refuse_image(&bench, &img, -ENOEXEC, "flags 0x0 at offset 0x44", "bit 16");
}

Test(multiboot, video_mode_asked_for_then_loaded_all_the_same)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 7);
	load();
	check_entry(0x100010);
	cr_assert_eq(info(0) & (1 << 11 | 1 << 12), 0, "no VBE, no framebuffer");
}

Test(multiboot, unknown_optional_flag_then_ignored)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 0x80020000);
	load();
	check_entry(0x100010);
}

Test(multiboot, nothing_else_given_then_info_has_memory_cmdline_and_loader_name)
{
	char text[64];

	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	load();
	cr_assert_eq(info(0), 1 << 0 | 1 << 2 | 1 << 6 | 1 << 9);
	cr_assert_eq(info(4), 639, "mem_lower");
	cr_assert_eq(info(8), (TEST_HIGH_RAM_END - TEST_HIGH_RAM) / 1024, "mem_upper");
	guest_string(&bench, info(16), text, sizeof(text));
	cr_assert_str_eq(text, file.path, "the kernel's name is the first word");
	guest_string(&bench, info(64), text, 6);
	cr_assert_str_eq(text, "umbra");
}

Test(multiboot, append_given_then_cmdline_is_name_and_arguments)
{
	char text[64], want[64];

	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	config.cmdline = "one two=3";
	load();
	guest_string(&bench, info(16), text, sizeof(text));
	snprintf(want, sizeof(want), "%s one two=3", file.path);
	cr_assert_str_eq(text, want);
}

Test(multiboot, cmdline_too_long_then_refused)
{
	static char cmdline[70000];

	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	config.cmdline = cmdline;
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_refuse(&bench, &config, -EINVAL, "command line", "0x10000");
}

struct mmap_entry {
	uint64_t base, len;
	uint32_t type;
};

static const struct mmap_entry mmap_small[] = {
	{0, 0x9fc00, 1},	  {0x9fc00, 0x400, 2},
	{0xf0000, 0x10000, 2},	  {0x100000, TEST_HIGH_RAM_END - 0x100000, 1},
	{0xfffc0000, 0x40000, 2},
};

static const struct mmap_entry mmap_top = {1ull << 32, 0x200000, 1};

static void check_mmap_entry(uint32_t at, const struct mmap_entry *want)
{
	cr_assert_eq(guest_read(&bench, at, 4), 20, "the size does not count itself");
	cr_assert_eq(guest_read(&bench, at + 4, 8), want->base);
	cr_assert_eq(guest_read(&bench, at + 12, 8), want->len);
	cr_assert_eq(guest_read(&bench, at + 20, 4), want->type);
}

Test(multiboot, memory_map_then_ram_and_what_a_pc_reserves)
{
	unsigned i;

	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 2);
	cr_assert_eq(mem_add(bench.mem, mmap_top.base, mmap_top.len, MEM_RAM, "top", NULL), 0);
	load();
	cr_assert_eq(info(44), 6 * 24, "mmap_length");
	for (i = 0; i < 5; i++)
		check_mmap_entry(info(48) + 24 * i, &mmap_small[i]);
	check_mmap_entry(info(48) + 24 * 5, &mmap_top);
}

Test(multiboot, one_region_over_the_adapters_hole_then_the_map_leaves_it_out)
{
	unsigned i;

	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 2);
	cr_assert_eq(mem_add(bench.mem, 0xa0000, 0x60000, MEM_RAM, "shadow", NULL), 0);
	load();
	cr_assert_eq(info(4), 639);
	for (i = 0; i < 5; i++)
		check_mmap_entry(info(48) + 24 * i, &mmap_small[i]);
}

/* Modules. */

static void load_with(const char *initrd)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 1);
	config.initrd = initrd;
	load();
}

static uint32_t module(unsigned index, unsigned offset)
{
	return (uint32_t)guest_read(&bench, info(24) + 16 * index + offset, 4);
}

Test(multiboot, two_modules_then_page_aligned_after_the_image_with_their_strings)
{
	struct image_file one, two;
	char spec[128], text[64], want[64];

	image_file_make(&one, "ONE", 3);
	image_file_make(&two, "SECOND", 6);
	snprintf(spec, sizeof(spec), "%s a=b c,%s", one.path, two.path);
	load_with(spec);
	cr_assert(info(0) & 1 << 3);
	cr_assert_eq(info(20), 2, "mods_count");
	cr_assert_eq(module(0, 0) % 4096, 0);
	cr_assert_eq(module(1, 0) % 4096, 0);
	cr_assert_eq(module(0, 0), 0x202000, "the first page after the bss");
	cr_assert_eq(module(0, 4), module(0, 0) + 3);
	cr_assert_eq(module(1, 0), 0x203000);
	cr_assert_eq(module(1, 4), module(1, 0) + 6);
	cr_assert_eq(guest_read(&bench, module(0, 0), 4), 0x454e4f);
	cr_assert_eq(guest_read(&bench, module(1, 0), 8), 0x444e4f434553);
	guest_string(&bench, module(0, 8), text, sizeof(text));
	snprintf(want, sizeof(want), "%s a=b c", one.path);
	cr_assert_str_eq(text, want);
	guest_string(&bench, module(1, 8), text, sizeof(text));
	cr_assert_str_eq(text, two.path);
	cr_assert_eq(module(0, 12), 0, "reserved");
	image_file_drop(&one);
	image_file_drop(&two);
}

Test(multiboot, doubled_comma_in_arguments_then_one_comma)
{
	struct image_file one;
	char spec[64], text[64], want[64];

	image_file_make(&one, "1", 1);
	snprintf(spec, sizeof(spec), "%s a,,b", one.path);
	load_with(spec);
	cr_assert_eq(info(20), 1);
	guest_string(&bench, module(0, 8), text, sizeof(text));
	snprintf(want, sizeof(want), "%s a,b", one.path);
	cr_assert_str_eq(text, want);
	image_file_drop(&one);
}

Test(multiboot, empty_module_then_start_is_end)
{
	struct image_file one;

	image_file_make(&one, "", 0);
	load_with(one.path);
	cr_assert_eq(info(20), 1);
	cr_assert_eq(module(0, 0), module(0, 4));
	image_file_drop(&one);
}

static void refuse_with(const char *initrd, int want, const char *text1, const char *text2)
{
	image_elf_usual(&img, false);
	image_mb_header(&img, IMAGE_MB_AT, 1);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	config.initrd = initrd;
	bench_refuse(&bench, &config, want, text1, text2);
}

Test(multiboot, missing_module_then_enoent_with_its_name)
{
	refuse_with("/nonexistent/mod arg", -ENOENT, "-initrd '/nonexistent/mod'", "No such file");
}

Test(multiboot, empty_entry_then_refused)
{
	refuse_with("/proc/self/exe,", -EINVAL, "entry 1", "empty");
}

Test(multiboot, directory_as_module_then_refused)
{
	refuse_with("/", -EISDIR, "-initrd '/'", "a directory");
}

Test(multiboot, too_many_modules_then_refused)
{
	struct image_file one;
	char spec[33 * 32] = "";
	unsigned i;

	image_file_make(&one, "1", 1);
	for (i = 0; i < 33; i++) {
		strcat(spec, i ? "," : "");
		strcat(spec, one.path);
	}
	refuse_with(spec, -EINVAL, "more than 32", NULL);
	image_file_drop(&one);
}

Test(multiboot, module_larger_than_ram_then_refused)
{
	struct image_file one;

	image_file_make(&one, "1", 1);
	cr_assert_eq(pwrite(one.fd, "1", 1, (off_t)TEST_HIGH_RAM_END), 1);
	refuse_with(one.path, -ENOSPC, "module 0: no 0x4000001 free bytes", "RAM is");
	image_file_drop(&one);
}

Test(multiboot, kernel_up_to_the_end_of_ram_then_module_goes_below_it)
{
	static const struct seg_spec seg = {TEST_HIGH_RAM_END - 0x1000, TEST_HIGH_RAM_END - 0x1000,
					    0x40, 0x1000, 0x90};
	struct image_file one;

	image_file_make(&one, "1", 1);
	image_elf(&img, false, seg.vaddr, &seg, 1);
	image_mb_header(&img, IMAGE_MB_AT, 1);
	config.initrd = one.path;
	load();
	cr_assert_eq(module(0, 0), 0x100000);
	image_file_drop(&one);
}

/* Section headers. */

/* Four sections at the end of the image: null, text (in a segment), symtab, strtab; then a debug
 * section that must stay out. */
static void append_sections(bool is_64)
{
	static const uint32_t type[] = {SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB,
					SHT_PROGBITS};
	static const uint32_t addr[] = {0, 0x100000, 0, 0, 0};
	size_t at = img.len;
	unsigned i;

	image_append(&img, "SYMBOLS.STRINGS.", 16);
	for (i = 0; i < 5; i++) {
		Elf64_Shdr s64 = {.sh_type = type[i], .sh_addr = addr[i], .sh_size = 8};
		Elf32_Shdr s32 = {.sh_type = type[i], .sh_addr = addr[i], .sh_size = 8};

		s64.sh_offset = at + (i == 3 ? 8 : 0);
		s32.sh_offset = (uint32_t)s64.sh_offset;
		image_append(&img, is_64 ? (void *)&s64 : (void *)&s32,
			     is_64 ? sizeof(s64) : sizeof(s32));
	}
	if (is_64) {
		le64_put(img.bytes + offsetof(Elf64_Ehdr, e_shoff), at + 16);
		le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shentsize), sizeof(Elf64_Shdr));
		le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shnum), 5);
		le16_put(img.bytes + offsetof(Elf64_Ehdr, e_shstrndx), 3);
	} else {
		le32_put(img.bytes + offsetof(Elf32_Ehdr, e_shoff), (uint32_t)at + 16);
		le16_put(img.bytes + offsetof(Elf32_Ehdr, e_shentsize), sizeof(Elf32_Shdr));
		le16_put(img.bytes + offsetof(Elf32_Ehdr, e_shnum), 5);
		le16_put(img.bytes + offsetof(Elf32_Ehdr, e_shstrndx), 3);
	}
}

static uint64_t section_addr(bool is_64, unsigned index)
{
	size_t at = is_64 ? index * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_addr)
			  : index * sizeof(Elf32_Shdr) + offsetof(Elf32_Shdr, sh_addr);

	return guest_read(&bench, info(36) + at, is_64 ? 8 : 4);
}

static void check_sections(bool is_64)
{
	image_elf_usual(&img, is_64);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	append_sections(is_64);
	load();
	cr_assert(info(0) & 1 << 5);
	cr_assert_eq(info(28), 5, "num");
	cr_assert_eq(info(32), is_64 ? 64 : 40, "size");
	cr_assert_eq(info(40), 3, "shndx");
	cr_assert_eq(section_addr(is_64, 1), 0x100000);
	cr_assert_eq(guest_read(&bench, section_addr(is_64, 2), 8), 0x2e534c4f424d5953);
	cr_assert_eq(guest_read(&bench, section_addr(is_64, 3), 8), 0x2e53474e49525453);
	cr_assert_eq(section_addr(is_64, 4), 0, "debug information is not loaded");
	cr_assert_geq(section_addr(is_64, 2), 0x202000, "inside the image");
}

Test(multiboot, elf32_with_sections_then_headers_and_symbols_are_handed_over)
{
	check_sections(false);
}

Test(multiboot, elf64_with_sections_then_headers_and_symbols_are_handed_over)
{
	check_sections(true);
}

static const struct {
	size_t offset;
	uint16_t value;
	const char *text;
} bad_sections[] = {
	{offsetof(Elf64_Ehdr, e_shentsize), 40, "e_shentsize 0x28"},
	{offsetof(Elf64_Ehdr, e_shnum), 5000, "e_shnum 0x1388"},
	{offsetof(Elf64_Ehdr, e_shnum), 6, "e_shoff"},
	{offsetof(Elf64_Ehdr, e_shstrndx), 5, "e_shstrndx 0x5"},
	{offsetof(Elf64_Ehdr, e_shoff) + 6, 0xffff, "e_shoff"},
	{offsetof(Elf64_Ehdr, e_shoff), 0xffff, "e_shoff"},
};

Test(multiboot, bad_section_headers_then_refused)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_sections); i++) {
		image_elf_usual(&img, true);
		image_mb_header(&img, IMAGE_MB_AT, 0);
		append_sections(true);
		le16_put(img.bytes + bad_sections[i].offset, bad_sections[i].value);
		bench_refuse_image(&bench, &img, -ENOEXEC, bad_sections[i].text, NULL);
	}
}

Test(multiboot, symbol_table_past_the_end_of_the_file_then_refused)
{
	image_elf_usual(&img, true);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	append_sections(true);
	le64_put(img.bytes + img.len - 3 * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size),
		 UINT64_MAX);
	bench_refuse_image(&bench, &img, -ENOEXEC, "section header 2",
			   "sh_size 0xffffffffffffffff");
}
