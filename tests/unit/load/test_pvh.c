/* ELF kernels with a PVH note: the entry, the machine state and start_info (version 1).  Offsets
 * are written out as in Xen's start_info.h. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

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

TestSuite(pvh, .init = setup, .fini = teardown);

struct note {
	uint32_t namesz, descsz, type;
	char name[4];
	uint64_t desc;
};

#define NOTE_BYTES 24u

/* A kernel linked high, with its entry at 1 MiB + 0x20. */
static void make(bool is_64, const void *notes, size_t len)
{
	static const struct seg_spec seg64[] = {{0xffffffff80100000, 0x100000, 0x40, 0x4000, 0x90},
						{0, 0, 0, 0, 0}};
	static const struct seg_spec seg32[] = {{0xc0100000, 0x100000, 0x40, 0x4000, 0x90},
						{0, 0, 0, 0, 0}};

	image_elf(&img, is_64, is_64 ? 0xffffffff80100000 : 0xc0100000, is_64 ? seg64 : seg32, 2);
	image_note(&img, is_64, notes, len);
}

static const struct note usual = {4, 8, 18, "Xen", 0x100020};
static const struct note usual32 = {4, 4, 18, "Xen", 0x100020};

static void load(void)
{
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_load(&bench, &config);
}

static uint64_t info(unsigned offset, unsigned bytes)
{
	return guest_read(&bench, bench.boot.gpr[X86_RBX] + offset, bytes);
}

Test(pvh, elf64_with_the_note_then_32_bit_entry_and_start_info)
{
	make(true, &usual, NOTE_BYTES);
	load();
	cr_assert_str_eq(load_format_name(bench.image), "PVH");
	cr_assert(load_is_elf64(bench.image), "its symbols are still the debugger's");
	check_prot32(&bench);
	cr_assert_eq(bench.boot.rip, 0x100020);
	cr_assert_eq(bench.boot.cr4, 0);
	cr_assert_eq(bench.boot.tr.base, 0);
	cr_assert_eq(bench.boot.tr.limit, 0x67);
	cr_expect_eq(info(0, 4), 0x336ec578);
	cr_expect_eq(info(4, 4), 1, "version");
	cr_expect_eq(info(8, 4), 0, "flags");
	cr_expect_eq(info(12, 4), 0, "nr_modules");
	cr_expect_eq(info(16, 8), 0, "modlist_paddr");
	cr_expect_eq(info(24, 8), 0, "cmdline_paddr");
	cr_expect_eq(info(32, 8), 0, "rsdp_paddr");
	cr_expect_eq(info(48, 4), 5, "memmap_entries");
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
}

Test(pvh, memory_map_then_ram_and_reservations)
{
	uint64_t map;

	make(true, &usual, NOTE_BYTES);
	load();
	map = info(40, 8);
	cr_expect_eq(guest_read(&bench, map, 8), 0);
	cr_expect_eq(guest_read(&bench, map + 8, 8), 0x9fc00);
	cr_expect_eq(guest_read(&bench, map + 16, 8), 1);
	cr_expect_eq(guest_read(&bench, map + 24 * 3, 8), 0x100000);
	cr_expect_eq(guest_read(&bench, map + 24 * 3 + 8, 8), TEST_HIGH_RAM_END - 0x100000);
	cr_expect_eq(guest_read(&bench, map + 24 * 2 + 16, 8), 2);
}

Test(pvh, elf32_and_a_note_of_4_bytes_then_the_same)
{
	make(false, &usual32, 20);
	load();
	cr_assert_str_eq(load_format_name(bench.image), "PVH");
	cr_assert_eq(bench.boot.rip, 0x100020);
	cr_assert_eq(info(0, 4), 0x336ec578);
}

Test(pvh, append_initrd_and_rsdp_then_start_info_has_them)
{
	struct image_file one, two;
	char spec[96], text[16];
	uint64_t list;

	image_file_make(&one, "ONE", 3);
	image_file_make(&two, "SECOND", 6);
	snprintf(spec, sizeof(spec), "%s,%s a b", one.path, two.path);
	make(true, &usual, NOTE_BYTES);
	config.cmdline = "root=x";
	config.initrd = spec;
	config.rsdp = 0xf1230;
	load();
	guest_string(&bench, info(24, 8), text, sizeof(text));
	cr_expect_str_eq(text, "root=x");
	cr_expect_eq(info(32, 8), 0xf1230);
	cr_assert_eq(info(12, 4), 2);
	list = info(16, 8);
	cr_expect_eq(guest_read(&bench, list, 8), 0x104000, "the first page after the image");
	cr_expect_eq(guest_read(&bench, list + 8, 8), 3);
	cr_expect_eq(guest_read(&bench, list + 16, 8), 0, "no arguments");
	cr_expect_eq(guest_read(&bench, list + 32 + 8, 8), 6);
	guest_string(&bench, guest_read(&bench, list + 32 + 16, 8), text, 8);
	cr_expect_str_eq(text, "a b");
	cr_expect_eq(guest_read(&bench, guest_read(&bench, list + 32, 8), 4), 0x4f434553);
	image_file_drop(&one);
	image_file_drop(&two);
}

Test(pvh, multiboot_header_as_well_then_multiboot)
{
	make(false, &usual32, 20);
	image_mb_header(&img, IMAGE_MB_AT, 0);
	load();
	cr_assert_str_eq(load_format_name(bench.image), "multiboot");
}

/* Several notes in a row, as a linker leaves them: names and descriptors are padded to 4 bytes. */
Test(pvh, note_behind_others_then_found)
{
	static const struct {
		struct note other;
		uint32_t odd_head[3];
		char odd_name[8];
		uint8_t odd_desc[4];
		struct note xen;
	} __attribute__((packed)) notes = {
		{4, 8, 18, "GNU", 0x111111}, {5, 3, 7}, "Linu", {1, 2, 3},
		{4, 8, 18, "Xen", 0x100020},
	};

	make(true, &notes, sizeof(notes));
	load();
	cr_assert_str_eq(load_format_name(bench.image), "PVH");
	cr_assert_eq(bench.boot.rip, 0x100020);
}

static const struct {
	const char *what;
	struct note note;
	size_t len;
} not_pvh[] = {
	{"another name", {4, 8, 18, "Xeo", 0x100020}, NOTE_BYTES},
	{"another type", {4, 8, 17, "Xen", 0x100020}, NOTE_BYTES},
	{"a longer name", {5, 8, 18, "Xen", 0x100020}, NOTE_BYTES},
	{"a descriptor of 2 bytes", {4, 2, 18, "Xen", 0x100020}, NOTE_BYTES},
	{"a descriptor past the end", {4, 8, 18, "Xen", 0x100020}, NOTE_BYTES - 1},
	{"sizes near 2^32", {4, UINT32_MAX, 18, "Xen", 0x100020}, NOTE_BYTES},
	{"sizes near 2^32", {UINT32_MAX, 8, 18, "Xen", 0x100020}, NOTE_BYTES},
	{"a cut head", {4, 8, 18, "Xen", 0x100020}, 11},
	{"nothing", {4, 8, 18, "Xen", 0x100020}, 0},
};

Test(pvh, note_that_is_not_it_then_a_plain_elf64)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(not_pvh); i++) {
		make(true, &not_pvh[i].note, not_pvh[i].len);
		load();
		cr_expect_str_eq(load_format_name(bench.image), "ELF64", "%s", not_pvh[i].what);
		load_close(bench.image);
		image_file_drop(&file);
		bench.written = 0;
	}
	bench.image = NULL;
	file.fd = -1;
}

Test(pvh, note_segment_past_the_end_of_the_file_then_not_looked_at)
{
	make(true, &usual, NOTE_BYTES);
	img.len -= 1;
	load();
	cr_assert_str_eq(load_format_name(bench.image), "ELF64");
}

Test(pvh, entry_in_no_segment_then_refused)
{
	static const uint64_t bad[] = {0,	    0xfffff,	0x104000,
				       0x100100020, UINT64_MAX, 0xffffffff80100020};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		struct note note = usual;

		note.desc = bad[i];
		make(true, &note, NOTE_BYTES);
		bench_refuse_image(&bench, &img, -ENOEXEC, "PVH note: entry", "p_paddr 0x100000");
	}
}

Test(pvh, command_line_too_long_then_refused)
{
	static char cmdline[0x10001];

	memset(cmdline, 'x', sizeof(cmdline) - 1);
	make(true, &usual, NOTE_BYTES);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	config.cmdline = cmdline;
	bench_refuse(&bench, &config, -EINVAL, "command line", "0xffff");
}

Test(pvh, note_byte_changed_then_taken_or_refused)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	size_t at, start;
	unsigned i;

	make(true, &usual, NOTE_BYTES);
	start = img.len - NOTE_BYTES;
	for (at = start; at < img.len; at++) {
		uint8_t good = img.bytes[at];

		for (i = 0; i < UMBRA_ARRAY_SIZE(values); i++) {
			img.bytes[at] = values[i];
			bench_try(&bench, &img);
		}
		img.bytes[at] = good;
	}
	cr_assert_eq(bench_try(&bench, &img), 0);
}
