/* Firmware: the ROM that ends at 4 GiB, the copy below 1 MiB, and the reset state. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <unistd.h>

#define ROM_BYTES 0x80000u

static struct bench bench;
static struct image_file file;
static struct load_config config;

static void setup(void)
{
	static uint8_t bytes[ROM_BYTES];
	size_t i;

	bench_open(&bench);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i >> 16 | 0xa0);
	image_file_make(&file, bytes, sizeof(bytes));
	cr_assert_eq(mem_add(bench.mem, 0xa0000, 0x60000, MEM_RAM, "shadow", NULL), 0);
	config = (struct load_config){.bios = file.path};
}

static void teardown(void)
{
	image_file_drop(&file);
	bench_close(&bench);
}

TestSuite(bios, .init = setup, .fini = teardown);

static void set_size(uint64_t size, bool has_rom)
{
	cr_assert_eq(ftruncate(file.fd, (off_t)size), 0);
	if (has_rom)
		cr_assert_eq(mem_add(bench.mem, (1ull << 32) - size, size, MEM_ROM, "bios", NULL),
			     0);
}

Test(bios, image_then_rom_up_to_4_gib_and_its_end_below_1_mib)
{
	set_size(ROM_BYTES, true);
	bench_load(&bench, &config);
	cr_assert_str_eq(load_format_name(bench.image), "BIOS");
	cr_assert_not(load_is_64bit(bench.image));
	cr_assert(guest_is_filled(&bench, 0xfff80000, 0x10000, 0xa0));
	cr_assert(guest_is_filled(&bench, 0xffff0000, 0x10000, 0xa7));
	cr_assert_eq(guest_read(&bench, 0xbffff, 1), 0);
	cr_assert(guest_is_filled(&bench, 0xc0000, 0x10000, 0xa4));
	cr_assert(guest_is_filled(&bench, 0xf0000, 0x10000, 0xa7));
}

Test(bios, image_then_the_processor_is_as_after_reset)
{
	struct x86_state reset;

	set_size(ROM_BYTES, true);
	bench_load(&bench, &config);
	x86_state_reset(&reset);
	cr_assert_eq(bench.boot.rip, 0xfff0);
	cr_assert_eq(bench.boot.seg[X86_CS].selector, 0xf000);
	cr_assert_eq(bench.boot.seg[X86_CS].base, 0xffff0000);
	cr_assert_eq(bench.boot.cr0, reset.cr0);
	cr_assert_eq(bench.boot.gpr[X86_RDX], reset.gpr[X86_RDX]);
}

Test(bios, image_of_64_kib_then_all_of_it_in_both_places)
{
	set_size(0x10000, true);
	bench_load(&bench, &config);
	cr_assert_eq(guest_read(&bench, 0xeffff, 1), 0);
	cr_assert(guest_is_filled(&bench, 0xf0000, 0x10000, 0xa0));
	cr_assert(guest_is_filled(&bench, 0xffff0000, 0x10000, 0xa0));
}

/* A program beside the firmware: both are in memory, and the firmware is entered. */
Test(bios, program_beside_then_in_memory_and_the_firmware_is_entered)
{
	static struct image img;
	struct image_file program;

	image_elf_usual(&img, true);
	image_file_make(&program, img.bytes, img.len);
	config.loader = program.path;
	set_size(ROM_BYTES, true);
	bench_load(&bench, &config);
	cr_assert_str_eq(load_format_name(bench.image), "BIOS");
	cr_assert(load_is_elf64(bench.image), "its symbols are for the debugger");
	cr_assert(load_is_system(bench.image));
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert(guest_is_filled(&bench, 0x200000, 0x20, 0xda));
	cr_assert(guest_is_filled(&bench, 0xf0000, 0x10000, 0xa7));
	cr_assert(guest_is_filled(&bench, 0xffff0000, 0x10000, 0xa7));
	cr_assert_eq(bench.boot.rip, 0xfff0);
	image_file_drop(&program);
}

Test(bios, program_beside_when_impossible_then_refused)
{
	static const struct seg_spec in_bios = {0xf0000, 0xf0000, 0x10, 0x10, 0x90};
	static struct image img;
	struct image_file program;

	set_size(ROM_BYTES, true);
	config.loader = file.path;
	bench_refuse(&bench, &config, -ENOEXEC, "-device loader '", "no ELF file");
	image_elf(&img, true, 0xf0000, &in_bios, 1);
	image_file_make(&program, img.bytes, img.len);
	config.loader = program.path;
	bench_refuse(&bench, &config, -ENOEXEC, "-bios '", "overlaps program header");
	config.bios = "/no/such/file";
	bench_refuse(&bench, &config, -ENOENT, "-bios '", "cannot be opened");
	config.bios = NULL;
	bench_refuse(&bench, &config, -EINVAL, "no kernel", NULL);
	config.kernel = program.path;
	bench_refuse(&bench, &config, -EINVAL, "-device loader without -bios", NULL);
	image_file_drop(&program);
}

static const uint64_t bad_sizes[] = {0, 1, 0xffff, 0x10001, 0x18000, 0x810000, 1ull << 33};

Test(bios, size_that_cannot_be_right_then_refused)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(bad_sizes); i++) {
		uint64_t bytes = 0;

		set_size(bad_sizes[i], false);
		cr_assert_eq(load_bios_bytes(file.path, &bytes, &bench.err), -EINVAL);
		cr_assert(strstr(bench.err.text, "-bios '"), "%s", bench.err.text);
		bench_refuse(&bench, &config, bad_sizes[i] ? -EINVAL : -ENOEXEC, "-bios", "0x");
	}
}

Test(bios, size_is_right_then_told)
{
	uint64_t bytes = 0;

	set_size(0x800000, false);
	cr_assert_eq(load_bios_bytes(file.path, &bytes, NULL), 0);
	cr_assert_eq(bytes, 0x800000);
	cr_assert_eq(load_bios_bytes("/nonexistent/x", &bytes, &bench.err), -ENOENT);
	cr_assert_eq(load_bios_bytes("/", &bytes, &bench.err), -EISDIR);
}

Test(bios, file_grew_after_the_machine_was_made_then_refused)
{
	set_size(0x20000, true);
	cr_assert_eq(ftruncate(file.fd, 0x30000), 0);
	bench_refuse(&bench, &config, -EINVAL, "0x30000 bytes", "made for 0x20000");
}

Test(bios, no_rom_then_refused)
{
	bench_refuse(&bench, &config, -EINVAL, "made for 0x0", NULL);
}

Test(bios, anything_else_to_load_then_refused)
{
	config.kernel = file.path;
	bench_refuse(&bench, &config, -EINVAL, "-bios with -kernel", NULL);
	config.kernel = NULL;
	config.initrd = file.path;
	bench_refuse(&bench, &config, -EINVAL, "-bios with", NULL);
	config.initrd = NULL;
	config.cmdline = "x";
	bench_refuse(&bench, &config, -EINVAL, "-bios with", NULL);
}
