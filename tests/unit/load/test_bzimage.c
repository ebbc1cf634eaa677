/* Linux kernels: where code, zero page, command line and initial RAM disk go, and the two entries.
 * Offsets are written out as in boot.rst and zero-page.rst. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct bench bench;
static struct image img;
static struct image_file file, initrd;
static struct load_config config;

static void setup(void)
{
	bench_open(&bench);
	config = (struct load_config){0};
	file.fd = -1;
	initrd.fd = -1;
	image_bzimage_usual(&img);
}

static void teardown(void)
{
	if (file.fd >= 0)
		image_file_drop(&file);
	if (initrd.fd >= 0)
		image_file_drop(&initrd);
	bench_close(&bench);
}

TestSuite(bzimage, .init = setup, .fini = teardown);

static void load(void)
{
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_load(&bench, &config);
}

static void refuse(int want, const char *text1, const char *text2)
{
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_refuse(&bench, &config, want, text1, text2);
	image_file_drop(&file);
	file.fd = -1;
}

static void with_initrd(size_t len)
{
	static uint8_t bytes[0x5000];

	memset(bytes, 0xc7, sizeof(bytes));
	cr_assert_leq(len, sizeof(bytes));
	image_file_make(&initrd, bytes, len);
	config.initrd = initrd.path;
}

/* A field of the zero page. */
static uint64_t zp(unsigned offset, unsigned bytes)
{
	return guest_read(&bench, bench.boot.gpr[X86_RSI] + offset, bytes);
}

static void check_segments(unsigned bits)
{
	unsigned i;

	cr_expect_eq(bench.boot.seg[X86_CS].selector, 0x10);
	for (i = 0; i < X86_SEG_COUNT; i++) {
		const struct x86_seg *s = &bench.boot.seg[i];
		struct x86_seg own = guest_descriptor(&bench, s->selector);

		if (i != X86_CS)
			cr_expect_eq(s->selector, 0x18);
		cr_expect(s->base == 0 && s->limit == UINT32_MAX);
		cr_expect(own.type == s->type && own.l == s->l && own.db == s->db);
		cr_expect(own.limit == s->limit && own.present);
	}
	cr_expect_eq(bench.boot.seg[X86_CS].l, bits == 64);
	cr_expect_eq(bench.boot.gdtr.limit, 0x1f);
	cr_expect_eq(bench.boot.rflags, X86_RFLAGS_FIXED, "interrupts are off");
}

/* The entries. */

Test(bzimage, kernel_with_64_bit_entry_then_long_mode_0x200_behind_the_code)
{
	load();
	cr_assert_str_eq(load_format_name(bench.image), "bzImage");
	cr_assert(load_is_64bit(bench.image));
	cr_assert_not(load_is_elf64(bench.image));
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_LONG64);
	cr_assert_eq(bench.boot.rip, 0x1000000 + 0x200);
	check_segments(64);
	cr_assert(guest_maps(&bench, 0x1000000, 0x1000000), "the kernel");
	cr_assert(guest_maps(&bench, bench.boot.gpr[X86_RSI], bench.boot.gpr[X86_RSI]));
	cr_assert(guest_maps(&bench, zp(0x228, 4), zp(0x228, 4)), "the command line");
	cr_assert(guest_is_filled(&bench, 0x1000000, 0x400, 0xcc));
	cr_assert_eq(guest_read(&bench, 0x1000400, 8), 0, "not the signature behind it");
}

Test(bzimage, mode_prot32_then_the_32_bit_entry)
{
	config.has_mode = true;
	config.mode = LOAD_MODE_PROT32;
	load();
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_PROT32);
	cr_assert_eq(bench.boot.rip, 0x1000000);
	cr_assert_eq(bench.boot.gpr[X86_RBX] | bench.boot.gpr[X86_RBP] | bench.boot.gpr[X86_RDI],
		     0);
	check_segments(32);
	cr_assert_eq(zp(0x202, 4), 0x53726448, "ESI has the zero page");
}

Test(bzimage, kernel_without_64_bit_entry_then_32_bit_and_mode_long_is_refused)
{
	le16_put(img.bytes + 0x236, 0x7e);
	load();
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_PROT32);
	image_file_drop(&file);
	bench.written = 0;
	config.has_mode = true;
	config.mode = LOAD_MODE_LONG;
	refuse(-EINVAL, "--mode long", "xloadflags 0x7e");
}

Test(bzimage, mode_real_then_refused)
{
	config.has_mode = true;
	config.mode = LOAD_MODE_REAL;
	refuse(-EINVAL, "--mode real", "needs a BIOS");
}

Test(bzimage, load_addr_given_then_the_file_is_flat)
{
	config.has_load_addr = true;
	config.load_addr = 0x2000;
	load();
	cr_assert_str_eq(load_format_name(bench.image), "flat");
}

/* The zero page. */

Test(bzimage, zero_page_then_header_copied_to_its_end_and_the_loaders_fields_filled)
{
	/* The header ends at 0x202 + 0x6a; what the file has behind it is not the header. */
	memset(img.bytes + 0x26c, 0x55, 0x40);
	config.cmdline = "console=ttyS0";
	config.rsdp = 0xe0010;
	load();
	cr_expect_lt(bench.boot.gpr[X86_RSI], 0x90000);
	cr_expect_eq(bench.boot.gpr[X86_RSI] % 4096, 0);
	cr_expect_eq(zp(0x1fe, 2), 0xaa55);
	cr_expect_eq(zp(0x206, 2), 0x20f);
	cr_expect_eq(zp(0x210, 1), 0xff, "type_of_loader");
	cr_expect_eq(zp(0x211, 1), 0x81, "loadflags");
	cr_expect_eq(zp(0x214, 4), 0x1000000, "code32_start");
	cr_expect_eq(zp(0x224, 2), 0xfe00, "heap_end_ptr");
	cr_expect_eq(zp(0x1fa, 2), 0xffff, "vid_mode");
	cr_expect_eq(zp(0x250, 8), 0, "setup_data");
	cr_expect_eq(zp(0x258, 8), 0x1000000, "pref_address is the kernel's own");
	cr_expect_eq(zp(0x268, 4), 0x11223344, "kernel_info_offset, the last field");
	cr_expect_eq(zp(0x26c, 8), 0, "past the header");
	cr_expect_eq(zp(0x070, 8), 0xe0010, "acpi_rsdp_addr");
	cr_expect_eq(zp(0x1ef, 1), 0, "sentinel");
	cr_expect_eq(zp(0x020, 4), 0, "the old command line protocol is not used");
}

Test(bzimage, zero_page_then_text_screen_and_memory)
{
	load();
	cr_expect_eq(zp(0x06, 1), 3, "mode");
	cr_expect_eq(zp(0x07, 1), 80, "columns");
	cr_expect_eq(zp(0x0e, 1), 25, "lines");
	cr_expect_eq(zp(0x0f, 1), 1, "a VGA");
	cr_expect_neq(zp(0x0a, 1), 0x10, "an EGA or better");
	cr_expect_eq(zp(0x1e8, 1), 5, "e820 entries");
	cr_expect_eq(zp(0x2d0, 8), 0);
	cr_expect_eq(zp(0x2d8, 8), 0x9fc00);
	cr_expect_eq(zp(0x2e0, 4), 1);
	cr_expect_eq(zp(0x2e4, 8), 0x9fc00);
	cr_expect_eq(zp(0x2f4, 4), 2);
	cr_expect_eq(zp(0x30c, 8), 0x100000);
	cr_expect_eq(zp(0x314, 8), TEST_HIGH_RAM_END - 0x100000);
	cr_expect_eq(zp(0x1e0, 4), (TEST_HIGH_RAM_END - 0x100000) / 1024, "alt_mem_k");
	cr_expect_eq(zp(0x002, 2), (TEST_HIGH_RAM_END - 0x100000) / 1024, "ext_mem_k");
}

Test(bzimage, append_given_then_cmd_line_ptr_has_exactly_that)
{
	char text[32];

	config.cmdline = "one two=3";
	load();
	guest_string(&bench, zp(0x228, 4), text, sizeof(text));
	cr_assert_str_eq(text, "one two=3");
	cr_assert_eq(zp(0x0c8, 4), 0, "ext_cmd_line_ptr");
}

Test(bzimage, no_append_then_an_empty_command_line)
{
	load();
	cr_assert_neq(zp(0x228, 4), 0);
	cr_assert_eq(guest_read(&bench, zp(0x228, 4), 1), 0);
}

Test(bzimage, command_line_as_long_as_cmdline_size_then_taken_one_more_refused)
{
	static char cmdline[0x800 + 1];

	memset(cmdline, 'x', 0x7ff);
	config.cmdline = cmdline;
	load();
	image_file_drop(&file);
	bench.written = 0;
	cmdline[0x7ff] = 'x';
	refuse(-EINVAL, "0x800 bytes", "0x7ff (cmdline_size)");
}

Test(bzimage, protocol_before_2_06_then_255_bytes_of_command_line)
{
	static char cmdline[0x100 + 1];

	memset(cmdline, 'x', 0x100);
	le16_put(img.bytes + 0x206, 0x205);
	config.cmdline = cmdline;
	refuse(-EINVAL, "0x100 bytes", "0xff");
}

Test(bzimage, protocol_2_01_then_the_old_command_line_and_the_code_at_1_mib)
{
	char text[16];

	le16_put(img.bytes + 0x206, 0x201);
	memset(img.bytes + 0x226, 0x77, 0x46);
	config.cmdline = "old";
	load();
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_PROT32);
	cr_assert_eq(bench.boot.rip, 0x100000);
	cr_expect_eq(zp(0x020, 2), 0xa33f);
	guest_string(&bench, bench.boot.gpr[X86_RSI] + zp(0x022, 2), text, sizeof(text));
	cr_expect_str_eq(text, "old");
	cr_expect_eq(zp(0x228, 4), 0x77777777, "a field that 2.01 does not have");
	/* Up to the end of the file: syssize has but 2 bytes and is not to be believed. */
	cr_expect_eq(guest_read(&bench, 0x100400, 4), 0x6e676973);
}

Test(bzimage, protocol_2_00_then_no_heap_flag)
{
	le16_put(img.bytes + 0x206, 0x200);
	load();
	cr_expect_eq(zp(0x211, 1), 0x01);
	cr_expect_eq(zp(0x224, 2), 0);
}

/* Where the code goes. */

static void set_placement(bool is_relocatable, uint32_t align, uint64_t pref, uint32_t init_size)
{
	img.bytes[0x234] = is_relocatable;
	le32_put(img.bytes + 0x230, align);
	le64_put(img.bytes + 0x258, pref);
	le32_put(img.bytes + 0x260, init_size);
}

static const struct {
	const char *what;
	bool is_relocatable;
	uint32_t align;
	uint64_t pref;
	uint32_t init_size;
	gpa_t want;
} placements[] = {
	{"preferred", true, 0x200000, 0x1000000, 0x400000, 0x1000000},
	{"no preference", true, 0x200000, 0, 0x400000, 0x200000},
	{"preference not aligned", true, 0x200000, 0x1001000, 0x400000, 0x200000},
	{"preference past the RAM", true, 0x200000, 0x4000000, 0x400000, 0x200000},
	{"preference without room for init_size", true, 0x200000, 0x3e00000, 0x400000, 0x200000},
	{"preference with just enough", true, 0x200000, 0x3e00000, 0x200000, 0x3e00000},
	{"preference below 1 MiB", true, 0x1000, 0x10000, 0x1000, 0x100000},
	{"preference near 2^64", true, 0x200000, UINT64_MAX - 0x1fffff, 0x400000, 0x200000},
	{"not relocatable", false, 0x200000, 0x1000000, 0x400000, 0x100000},
	{"not relocatable, no preference", false, 0, 0, 0x400000, 0x100000},
};

Test(bzimage, placements_then_code_where_it_fits)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(placements); i++) {
		image_bzimage_usual(&img);
		set_placement(placements[i].is_relocatable, placements[i].align, placements[i].pref,
			      placements[i].init_size);
		load();
		cr_expect_eq(bench.boot.rip, placements[i].want + 0x200, "%s: 0x%llx",
			     placements[i].what, (unsigned long long)bench.boot.rip);
		cr_expect_eq(zp(0x214, 4), placements[i].want, "%s", placements[i].what);
		load_close(bench.image);
		image_file_drop(&file);
		bench.written = 0;
	}
	bench.image = NULL;
	file.fd = -1;
}

Test(bzimage, fixed_kernel_then_all_up_to_its_last_byte_at_pref_address_is_its_own)
{
	set_placement(false, 0x200000, 0x1000000, 0x400000);
	with_initrd(0x1000);
	le32_put(img.bytes + 0x22c, 0x1403fff);
	load();
	cr_assert_eq(zp(0x218, 4), 0x1403000, "the one page between kernel and limit");
	image_file_drop(&file);
	bench.written = 0;
	le32_put(img.bytes + 0x22c, 0x1400ffe);
	refuse(-ENOSPC, "initial RAM disk", "RAM is");
}

Test(bzimage, init_size_larger_than_ram_then_refused)
{
	set_placement(true, 0x200000, 0x1000000, 0x3f00000);
	refuse(-ENOSPC, "init_size", "0x3f00000");
	set_placement(false, 0x200000, 0x100000, 0x3f00001);
	refuse(-ENOSPC, "protected-mode code", "RAM is");
}

/* The initial RAM disk. */

Test(bzimage, initrd_then_page_aligned_at_the_end_of_ram)
{
	with_initrd(0x4321);
	load();
	cr_assert_eq(zp(0x218, 4), TEST_HIGH_RAM_END - 0x5000);
	cr_assert_eq(zp(0x21c, 4), 0x4321);
	cr_assert_eq(zp(0x0c0, 8), 0, "ext_ramdisk_image and _size");
	cr_assert(guest_is_filled(&bench, TEST_HIGH_RAM_END - 0x5000, 0x4321, 0xc7));
}

Test(bzimage, initrd_addr_max_then_the_last_byte_is_not_above_it)
{
	with_initrd(0x1000);
	le32_put(img.bytes + 0x22c, 0x2ffffff);
	load();
	cr_assert_eq(zp(0x218, 4), 0x2fff000);
}

Test(bzimage, ram_above_4_gib_then_the_initrd_stays_below)
{
	cr_assert_eq(mem_add(bench.mem, 1ull << 32, 0x1000000, MEM_RAM, "top", NULL), 0);
	with_initrd(0x1000);
	le32_put(img.bytes + 0x22c, UINT32_MAX);
	load();
	cr_assert_eq(zp(0x218, 4), TEST_HIGH_RAM_END - 0x1000);
}

Test(bzimage, kernel_at_the_end_of_ram_then_the_initrd_goes_below_it)
{
	set_placement(true, 0x200000, 0x3e00000, 0x200000);
	with_initrd(0x1000);
	load();
	cr_assert_eq(zp(0x218, 4), 0x3dff000);
}

Test(bzimage, empty_initrd_then_none)
{
	with_initrd(0);
	load();
	cr_assert_eq(zp(0x218, 8), 0);
}

Test(bzimage, initrd_with_a_comma_in_its_name_then_one_file)
{
	config.initrd = "/nonexistent/a,b";
	refuse(-ENOENT, "-initrd '/nonexistent/a,b'", NULL);
}

Test(bzimage, initrd_larger_than_what_is_left_then_refused)
{
	with_initrd(1);
	cr_assert_eq(ftruncate(initrd.fd, (off_t)TEST_HIGH_RAM_END), 0);
	refuse(-ENOSPC, "-initrd", "no 0x4000000 free bytes");
	cr_assert_eq(ftruncate(initrd.fd, (off_t)1 << 33), 0);
	refuse(-EINVAL, "-initrd", "4 GiB");
}

/* Malformed. */

static const struct {
	const char *what;
	unsigned at, bytes;
	uint64_t value;
	const char *text;
} bad_fields[] = {
	{"boot_flag", 0x1fe, 2, 0xaa54, "boot_flag 0xaa54 at offset 0x1fe"},
	{"version 1.99", 0x206, 2, 0x1ff, "version 0x1ff at offset 0x206"},
	{"version 0", 0x206, 2, 0, "version 0x0"},
	{"zImage", 0x211, 1, 0, "a zImage"},
	{"no code", 0x1f4, 4, 0, "syssize 0x0"},
	{"one paragraph more than the file", 0x1f4, 4, 0x43, "syssize 0x43"},
	{"all", 0x1f4, 4, UINT32_MAX, "syssize 0xffffffff"},
	{"one sector less for the code", 0x1f1, 1, 3, "0x209 bytes after the setup sectors"},
	{"setup_sects, 0 means 4", 0x1f1, 1, 0, "0x9 bytes after the setup sectors"},
	{"setup_sects", 0x1f1, 1, 5, "setup_sects 0x5"},
	{"setup_sects", 0x1f1, 1, 255, "setup_sects 0xff"},
	{"header without its last fields", 0x201, 1, 0x61, "init_size at offset 0x260"},
	{"no header", 0x201, 1, 0, "heap_end_ptr at offset 0x224"},
	{"alignment 0", 0x230, 4, 0, "kernel_alignment 0x0"},
	{"alignment", 0x230, 4, 0x300000, "kernel_alignment 0x300000"},
	{"alignment larger than RAM", 0x230, 4, 0x80000000, "init_size"},
	{"init_size", 0x260, 4, UINT32_MAX, "init_size"},
};

Test(bzimage, field_set_to_a_wrong_value_then_refused_by_name)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_fields); i++) {
		uint8_t bytes[8];
		int rc;

		image_bzimage_usual(&img);
		le64_put(bytes, bad_fields[i].value);
		memcpy(img.bytes + bad_fields[i].at, bytes, bad_fields[i].bytes);
		rc = bench_try(&bench, &img);
		cr_expect(rc == -ENOEXEC || rc == -ENOSPC, "%s: %d", bad_fields[i].what, rc);
		cr_expect(strstr(bench.err.text, bad_fields[i].text), "%s: %s", bad_fields[i].what,
			  bench.err.text);
	}
}

Test(bzimage, fixed_kernel_with_a_senseless_pref_address_then_refused)
{
	static const uint64_t bad[] = {1, 0xfffff, 1ull << 32, UINT64_MAX};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		set_placement(false, 0x200000, bad[i], 0x1000);
		bench_refuse_image(&bench, &img, -ENOEXEC, "pref_address", NULL);
	}
}

Test(bzimage, syssize_up_to_15_bytes_past_the_file_then_taken)
{
	img.len = 0x600 + 0x400 - 15;
	cr_assert_eq(bench_try(&bench, &img), 0, "%s", bench.err.text);
	img.len--;
	bench_refuse_image(&bench, &img, -ENOEXEC, "the file was cut", NULL);
}

Test(bzimage, cut_at_each_length_then_refused_until_it_is_whole)
{
	size_t whole = 0x600 + 0x400 - 15;

	for (img.len = 0x206; img.len < whole; img.len++)
		bench_refuse_image(&bench, &img, -ENOEXEC, "bzImage header", NULL);
	img.len = whole;
	cr_assert_eq(bench_try(&bench, &img), 0);
}

Test(bzimage, header_byte_changed_then_taken_or_refused)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	size_t at;
	unsigned i;

	for (at = 0x1f1; at < 0x290; at++) {
		uint8_t good = img.bytes[at];

		for (i = 0; i < UMBRA_ARRAY_SIZE(values); i++) {
			img.bytes[at] = values[i];
			bench_try(&bench, &img);
		}
		img.bytes[at] = good;
	}
	cr_assert_eq(bench_try(&bench, &img), 0);
}
