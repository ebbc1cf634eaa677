/* Flat binaries in the three modes. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct bench bench;
static struct image_file file;
static struct load_config config;

static void setup(void)
{
	uint8_t bytes[0x300];

	memset(bytes, 0xc3, sizeof(bytes));
	bench_open(&bench);
	image_file_make(&file, bytes, sizeof(bytes));
	config = (struct load_config){.kernel = file.path};
}

static void teardown(void)
{
	image_file_drop(&file);
	bench_close(&bench);
}

static void set_mode(enum load_mode mode, gpa_t addr)
{
	config.has_mode = true;
	config.mode = mode;
	config.has_load_addr = true;
	config.load_addr = addr;
}

TestSuite(flat, .init = setup, .fini = teardown);

Test(flat, no_options_given_then_real_mode_at_0x1000)
{
	bench_load(&bench, &config);
	cr_assert_str_eq(load_format_name(bench.image), "flat");
	cr_assert_not(load_is_elf64(bench.image));
	cr_assert_not(load_is_64bit(bench.image));
	cr_assert(load_is_flat(bench.image));
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_REAL);
	cr_assert_eq(bench.boot.rip, 0x1000);
	cr_assert_eq(bench.boot.seg[X86_CS].selector, 0);
	cr_assert_eq(bench.boot.seg[X86_CS].base, 0);
	cr_assert_eq(bench.boot.rflags, X86_RFLAGS_FIXED);
	cr_assert_eq(bench.boot.gpr[X86_RDX], 0);
	cr_assert(guest_is_filled(&bench, 0x1000, 0x300, 0xc3));
	cr_assert_eq(guest_read(&bench, 0xfff, 1), 0);
	cr_assert_eq(guest_read(&bench, 0x1300, 1), 0);
	cr_assert_eq(bench.written, 0x300, "only the image is written in real mode");
}

Test(flat, real_mode_above_64k_then_cs_is_the_address_in_paragraphs)
{
	set_mode(LOAD_MODE_REAL, 0x12345);
	bench_load(&bench, &config);
	cr_assert_eq(bench.boot.seg[X86_CS].selector, 0x1234);
	cr_assert_eq(bench.boot.seg[X86_CS].base, 0x12340);
	cr_assert_eq(bench.boot.rip, 5);
	cr_assert_eq(bench.boot.seg[X86_DS].base, 0);
	cr_assert_eq(x86_linear_pc(&bench.boot), 0x12345);
}

Test(flat, real_mode_at_last_offset_of_segment_0_then_cs_is_0)
{
	set_mode(LOAD_MODE_REAL, 0xffff);
	bench_load(&bench, &config);
	cr_assert_eq(bench.boot.seg[X86_CS].selector, 0);
	cr_assert_eq(bench.boot.rip, 0xffff);
}

Test(flat, real_mode_at_1_mib_then_refused)
{
	set_mode(LOAD_MODE_REAL, 0x100000);
	bench_refuse(&bench, &config, -EINVAL, "--load-addr 0x100000", "below 0x100000");
	cr_assert(strstr(bench.err.text, file.path));
}

Test(flat, address_0_then_loaded_there)
{
	set_mode(LOAD_MODE_REAL, 0);
	bench_load(&bench, &config);
	cr_assert(guest_is_filled(&bench, 0, 0x300, 0xc3));
	cr_assert_eq(bench.boot.rip, 0);
}

Test(flat, prot32_then_flat_segments_and_a_stack_with_return_address_0)
{
	set_mode(LOAD_MODE_PROT32, 0x200000);
	bench_load(&bench, &config);
	check_prot32(&bench);
	cr_assert_eq(bench.boot.rip, 0x200000);
	cr_assert_eq((bench.boot.gpr[X86_RSP] + 4) % 16, 0);
	cr_assert_eq(guest_read(&bench, bench.boot.gpr[X86_RSP], 4), 0);
	cr_assert_lt(bench.boot.gpr[X86_RSP], 0x9fc00);
	cr_assert_lt(bench.boot.gdtr.base, 0x9fc00);
	cr_assert_eq(bench.boot.idtr.limit, 0);
}

Test(flat, prot32_image_over_all_low_memory_then_boot_structures_go_above_1_mib)
{
	static uint8_t bytes[0x9f000];
	struct image_file big;

	image_file_make(&big, bytes, sizeof(bytes));
	config.kernel = big.path;
	set_mode(LOAD_MODE_PROT32, 0x1000);
	bench_load(&bench, &config);
	cr_assert_geq(bench.boot.gdtr.base, TEST_HIGH_RAM);
	cr_assert_lt(bench.boot.gdtr.base, TEST_HIGH_RAM_END);
	check_prot32(&bench);
	image_file_drop(&big);
}

Test(flat, prot32_image_just_below_the_usual_place_then_nothing_overlaps)
{
	set_mode(LOAD_MODE_PROT32, 0x9f900);
	bench_load(&bench, &config);
	cr_assert_lt(bench.boot.gdtr.base + 24, 0x9f901);
	cr_assert(guest_is_filled(&bench, 0x9f900, 0x300, 0xc3));
}

Test(flat, prot32_at_4_gib_then_refused)
{
	set_mode(LOAD_MODE_PROT32, 1ull << 32);
	bench_refuse(&bench, &config, -EINVAL, "--load-addr 0x100000000", "prot32");
}

static void check_long(const struct bench *b)
{
	struct x86_seg cs = guest_descriptor(b, b->boot.seg[X86_CS].selector);

	cr_assert_eq(x86_mode_of(&b->boot), X86_MODE_LONG64);
	cr_assert(cs.l && !cs.db && cs.present && cs.s);
	cr_assert_eq(cs.type, b->boot.seg[X86_CS].type);
	cr_assert_eq(b->boot.tr.type, 0xb, "TR is not a busy 64-bit TSS");
	cr_assert(b->boot.tr.present && !b->boot.tr.unusable);
	cr_assert_eq((b->boot.gpr[X86_RSP] + 8) % 16, 0);
	cr_assert(guest_maps(b, b->boot.gpr[X86_RSP], b->boot.gpr[X86_RSP]));
	cr_assert(guest_maps(b, b->boot.gdtr.base, b->boot.gdtr.base));
}

Test(flat, long_then_4_gib_are_mapped_one_to_one)
{
	set_mode(LOAD_MODE_LONG, 0x100000);
	bench_load(&bench, &config);
	check_long(&bench);
	cr_assert(load_is_64bit(bench.image));
	cr_assert_eq(bench.boot.rip, 0x100000);
	cr_assert(guest_maps(&bench, 0, 0));
	cr_assert(guest_maps(&bench, 0x100000, 0x100000));
	cr_assert(guest_maps(&bench, 0xfee00000, 0xfee00000));
	cr_assert(guest_maps(&bench, 0xffffffff, 0xffffffff));
	cr_assert_not(guest_maps(&bench, 1ull << 32, 1ull << 32));
	cr_assert_lt(bench.boot.cr3, 0x9fc00);
}

Test(flat, long_with_ram_above_4_gib_then_all_of_it_is_mapped)
{
	gpa_t last = (66ull << 30) + 0x1fffff;

	cr_assert_eq(mem_add(bench.mem, 1ull << 32, (62ull << 30) + 0x1000, MEM_RAM, "top", NULL),
		     0);
	set_mode(LOAD_MODE_LONG, 0x140000000);
	bench_load(&bench, &config);
	check_long(&bench);
	cr_assert(guest_maps(&bench, 0x140000000, 0x140000000));
	cr_assert(guest_maps(&bench, last, last));
	cr_assert_not(guest_maps(&bench, last + 1, last + 1));
	cr_assert_lt(bench.boot.cr3, 0x9fc00);
}

Test(flat, address_in_the_hole_then_error_names_the_ram)
{
	set_mode(LOAD_MODE_PROT32, 0xa0000);
	bench_refuse(&bench, &config, -ENOSPC, "--load-addr 0xa0000",
		     "RAM is 0x0-0x9ffff, 0x100000-0x3ffffff");
}

Test(flat, image_over_the_end_of_ram_then_refused)
{
	set_mode(LOAD_MODE_PROT32, TEST_HIGH_RAM_END - 0x2ff);
	bench_refuse(&bench, &config, -ENOSPC, "0x300 bytes", "0x3ffffff");
}

Test(flat, image_up_to_the_end_of_ram_then_loaded)
{
	set_mode(LOAD_MODE_PROT32, TEST_HIGH_RAM_END - 0x300);
	bench_load(&bench, &config);
	cr_assert(guest_is_filled(&bench, TEST_HIGH_RAM_END - 0x300, 0x300, 0xc3));
}

Test(flat, image_over_rom_then_refused)
{
	cr_assert_eq(mem_add(bench.mem, 0xf0000, 0x10000, MEM_ROM, "bios", NULL), 0);
	set_mode(LOAD_MODE_REAL, 0xf0000);
	bench_refuse(&bench, &config, -ENOSPC, "0xf0000", "not all RAM");
}

Test(flat, image_across_two_adjacent_regions_then_loaded)
{
	cr_assert_eq(mem_add(bench.mem, 0xa0000, 0x60000, MEM_RAM, "shadow", NULL), 0);
	set_mode(LOAD_MODE_REAL, 0x9fe80);
	bench_load(&bench, &config);
	cr_assert(guest_is_filled(&bench, 0x9fe80, 0x300, 0xc3));
}

Test(flat, mode_given_then_multiboot_header_is_only_bytes)
{
	struct image img;
	struct image_file kludge;

	image_kludge_usual(&img);
	image_file_make(&kludge, img.bytes, img.len);
	config.kernel = kludge.path;
	config.has_mode = true;
	config.mode = LOAD_MODE_REAL;
	bench_load(&bench, &config);
	cr_assert_str_eq(load_format_name(bench.image), "flat");
	cr_assert_eq(guest_read(&bench, 0x1040, 4), 0x1badb002);
	image_file_drop(&kludge);
}

Test(flat, initrd_given_then_refused)
{
	config.initrd = "whatever";
	bench_refuse(&bench, &config, -EINVAL, "whatever", "only Linux, PVH and multiboot");
}

Test(flat, applied_twice_then_the_same)
{
	struct x86_state again;

	bench_load(&bench, &config);
	mem_clear_ram(bench.mem);
	cr_assert_eq(load_apply(bench.image, bench.mem, &again, &bench.err), 0);
	cr_assert_eq(again.rip, bench.boot.rip);
	cr_assert_arr_eq(again.gpr, bench.boot.gpr, sizeof(again.gpr));
	cr_assert(guest_is_filled(&bench, 0x1000, 0x300, 0xc3));
}
