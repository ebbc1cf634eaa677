/* ELF executables without a multiboot header. */
#include "images.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define HIGH_HALF 0xffffffff80000000ull
#define TWO_MIB	  0x200000ull

static struct bench bench;
static struct image img;

static void setup(void)
{
	bench_open(&bench);
}

static void teardown(void)
{
	bench_close(&bench);
}

TestSuite(elf, .init = setup, .fini = teardown);

static void check_usual_bytes(void)
{
	cr_assert(guest_is_filled(&bench, 0x100000, 0x40, 0x90));
	cr_assert_eq(guest_read(&bench, 0x100040, 1), 0);
	cr_assert(guest_is_filled(&bench, 0x200000, 0x20, 0xda));
	cr_assert(guest_is_filled(&bench, 0x200020, 0x2000, 0));
}

Test(elf, elf32_then_prot32_at_its_entry)
{
	image_elf_usual(&img, false);
	bench_load_image(&bench, &img);
	cr_assert_str_eq(load_format_name(bench.image), "ELF32");
	cr_assert_not(load_is_elf64(bench.image));
	cr_assert_not(load_is_64bit(bench.image));
	cr_assert_not(load_is_flat(bench.image));
	check_prot32(&bench);
	check_usual_bytes();
	cr_assert_eq(bench.boot.rip, 0x100010);
	cr_assert_eq((bench.boot.gpr[X86_RSP] + 4) % 16, 0);
	cr_assert_eq(bench.boot.gpr[X86_RAX], 0);
}

Test(elf, elf32_linked_high_then_entry_is_physical)
{
	static const struct seg_spec seg = {0xc0100000, 0x100000, 0x40, 0x40, 0x90};

	image_elf(&img, false, 0xc0100020, &seg, 1);
	bench_load_image(&bench, &img);
	cr_assert_eq(bench.boot.rip, 0x100020);
}

Test(elf, elf64_then_long_mode_mapped_one_to_one)
{
	image_elf_usual(&img, true);
	bench_load_image(&bench, &img);
	cr_assert_str_eq(load_format_name(bench.image), "ELF64");
	cr_assert(load_is_elf64(bench.image));
	cr_assert(load_is_64bit(bench.image));
	cr_assert_eq(x86_mode_of(&bench.boot), X86_MODE_LONG64);
	cr_assert_eq(bench.boot.rip, 0x100010);
	cr_assert_eq((bench.boot.gpr[X86_RSP] + 8) % 16, 0);
	check_usual_bytes();
	cr_assert(guest_maps(&bench, 0x100010, 0x100010));
	cr_assert(guest_maps(&bench, 0xfec00000, 0xfec00000));
	cr_assert(bench.boot.cr4 & X86_CR4_OSFXSR);
	cr_assert_eq(bench.boot.rflags, X86_RFLAGS_FIXED);
}

Test(elf, elf64_linked_high_then_both_addresses_are_mapped)
{
	static const struct seg_spec seg[] = {
		{HIGH_HALF + 0x100000, 0x100000, 0x40, 0x40, 0x90},
		{HIGH_HALF + 0x101000, 0x101000, 0x20, 3 * TWO_MIB, 0xda},
	};

	image_elf(&img, true, HIGH_HALF + 0x100010, seg, 2);
	bench_load_image(&bench, &img);
	cr_assert_eq(bench.boot.rip, HIGH_HALF + 0x100010);
	cr_assert(guest_maps(&bench, bench.boot.rip, 0x100010));
	cr_assert(guest_maps(&bench, 0x100010, 0x100010));
	cr_assert(guest_maps(&bench, HIGH_HALF + 0x101000, 0x101000));
	cr_assert(guest_maps(&bench, HIGH_HALF + 0x300000, 0x300000), "the part in 2 MiB pages");
	cr_assert(guest_maps(&bench, HIGH_HALF + 0x700fff, 0x700fff));
	cr_assert_not(guest_maps(&bench, HIGH_HALF + 0x701000, 0x701000));
	cr_assert_not(guest_maps(&bench, HIGH_HALF + 0xff000, 0xff000));
	cr_assert(guest_maps(&bench, bench.boot.gpr[X86_RSP], bench.boot.gpr[X86_RSP]));
}

Test(elf, elf64_entry_given_as_physical_then_entered_there)
{
	static const struct seg_spec seg = {HIGH_HALF, 0x100000, 0x40, 0x40, 0x90};

	image_elf(&img, true, 0x100004, &seg, 1);
	bench_load_image(&bench, &img);
	cr_assert_eq(bench.boot.rip, 0x100004);
	cr_assert(guest_maps(&bench, 0x100004, 0x100004));
	cr_assert(guest_maps(&bench, HIGH_HALF + 4, 0x100004));
}

Test(elf, elf64_at_the_last_page_of_the_address_space_then_mapped)
{
	static const struct seg_spec seg = {0xfffffffffffff000, 0x100000, 0x40, 0x1000, 0x90};

	image_elf(&img, true, 0xfffffffffffff000, &seg, 1);
	bench_load_image(&bench, &img);
	cr_assert(guest_maps(&bench, 0xffffffffffffffff, 0x100fff));
}

Test(elf, elf64_virtual_address_inside_ram_then_it_wins_over_one_to_one)
{
	static const struct seg_spec seg = {0x400000, 0x100000, 0x40, 0x40, 0x90};

	image_elf(&img, true, 0x400000, &seg, 1);
	bench_load_image(&bench, &img);
	cr_assert(guest_maps(&bench, 0x400000, 0x100000));
	cr_assert(guest_maps(&bench, 0x401000, 0x401000), "the rest of the page that was cut");
	cr_assert(guest_maps(&bench, 0x5ff000, 0x5ff000));
	cr_assert(guest_maps(&bench, 0x100000, 0x100000));
}

Test(elf, elf64_with_large_segment_not_aligned_alike_then_mapped_by_small_pages)
{
	static const struct seg_spec seg = {HIGH_HALF, 0x101000, 0x40, 2 * TWO_MIB, 0x90};

	image_elf(&img, true, HIGH_HALF, &seg, 1);
	bench_load_image(&bench, &img);
	cr_assert(guest_maps(&bench, HIGH_HALF + 0x3ff123, 0x500123));
}

Test(elf, elf64_segments_sharing_a_page_alike_then_loaded)
{
	static const struct seg_spec seg[] = {
		{HIGH_HALF + 0x000, 0x100000, 0x100, 0x100, 1},
		{HIGH_HALF + 0x100, 0x100100, 0x100, 0x100, 2},
	};

	image_elf(&img, true, HIGH_HALF, seg, 2);
	bench_load_image(&bench, &img);
	cr_assert(guest_is_filled(&bench, 0x100000, 0x100, 1));
	cr_assert(guest_is_filled(&bench, 0x100100, 0x100, 2));
}

Test(elf, elf64_segments_needing_one_page_for_two_places_then_refused)
{
	static const struct seg_spec seg[] = {
		{HIGH_HALF + 0x000, 0x100000, 0x100, 0x100, 1},
		{HIGH_HALF + 0x100, 0x200100, 0x100, 0x100, 2},
	};

	image_elf(&img, true, HIGH_HALF, seg, 2);
	bench_refuse_image(&bench, &img, -ENOEXEC, "program header 1", "another p_paddr");
}

Test(elf, elf64_addresses_that_no_page_can_join_then_refused)
{
	static const struct seg_spec seg = {HIGH_HALF + 0x800, 0x100000, 0x40, 0x40, 0x90};

	image_elf(&img, true, HIGH_HALF + 0x800, &seg, 1);
	bench_refuse_image(&bench, &img, -ENOEXEC, "p_vaddr 0xffffffff80000800", "modulo 0x1000");
}

Test(elf, elf64_not_canonical_then_refused)
{
	static const struct seg_spec seg = {0x7ffffffff000, 0x100000, 0x40, 0x2000, 0x90};

	image_elf(&img, true, 0x7ffffffff000, &seg, 1);
	bench_refuse_image(&bench, &img, -ENOEXEC, "0x7ffffffff000", "not canonical");
}

Test(elf, elf64_hiding_the_boot_stack_then_refused)
{
	static const struct seg_spec seg = {0x80000, 0x100000, 0x40, 0x1f000, 0x90};

	image_elf(&img, true, 0x80000, &seg, 1);
	bench_refuse_image(&bench, &img, -ENOEXEC, "p_vaddr 0x80000", "hides the boot");
}

Test(elf, elf64_needing_too_many_tables_then_refused)
{
	static const struct seg_spec seg = {HIGH_HALF, 0x100001000, 0x40, 3ull << 30, 0x90};

	cr_assert_eq(mem_add(bench.mem, 1ull << 32, 4ull << 30, MEM_RAM, "top", NULL), 0);
	image_elf(&img, true, 0x100001000, &seg, 1);
	le64_put(img.bytes + sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, p_vaddr),
		 0xffff800000000000ull);
	bench_refuse_image(&bench, &img, -ENOSPC, "page tables", "2 MiB");
}

Test(elf, segments_in_low_memory_then_boot_structures_avoid_them)
{
	static const struct seg_spec seg[] = {
		{0x9f000, 0x9f000, 0x40, 0xc00, 0x11},
		{0x98000, 0x98000, 0x40, 0x100, 0x22},
		{0x1000, 0x1000, 0x40, 0x100, 0x33},
	};

	image_elf(&img, true, 0x1000, seg, 3);
	bench_load_image(&bench, &img);
	cr_assert(guest_is_filled(&bench, 0x9f000, 0x40, 0x11));
	cr_assert(guest_is_filled(&bench, 0x9f040, 0xbc0, 0));
	cr_assert(guest_is_filled(&bench, 0x98000, 0x40, 0x22));
	cr_assert(guest_is_filled(&bench, 0x1000, 0x40, 0x33));
	cr_assert(guest_maps(&bench, 0x1000, 0x1000));
}

Test(elf, ram_full_of_image_then_no_room_is_said)
{
	static const struct seg_spec seg[] = {
		{0, 0, 0x40, TEST_LOW_RAM_END, 0x11},
		{TEST_HIGH_RAM, TEST_HIGH_RAM, 0x40, TEST_HIGH_RAM_END - TEST_HIGH_RAM, 0x22},
	};

	image_elf(&img, true, 0, seg, 2);
	bench_refuse_image(&bench, &img, -ENOSPC, "boot GDT", "no 0x18 free bytes");
}

Test(elf, other_program_headers_then_not_looked_at)
{
	image_elf_usual(&img, true);
	le32_put(img.bytes + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), PT_NOTE);
	le64_put(img.bytes + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) +
			 offsetof(Elf64_Phdr, p_paddr),
		 UINT64_MAX);
	bench_load_image(&bench, &img);
	cr_assert(guest_is_filled(&bench, 0x200000, 0x20, 0));
}

Test(elf, empty_segment_anywhere_then_skipped)
{
	static const struct seg_spec seg[] = {
		{0x100000, 0x100000, 0x40, 0x40, 0x90},
		{UINT64_MAX, UINT64_MAX, 0, 0, 0},
	};

	image_elf(&img, true, 0x100000, seg, 2);
	bench_load_image(&bench, &img);
	cr_assert_eq(bench.boot.rip, 0x100000);
}

Test(elf, interpreter_wanted_then_refused)
{
	image_elf_usual(&img, false);
	le32_put(img.bytes + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr), PT_INTERP);
	bench_refuse_image(&bench, &img, -ENOEXEC, "program header 1 at offset 0x54", "PT_INTERP");
}

Test(elf, overlapping_segments_then_both_are_named)
{
	static const struct seg_spec seg[] = {
		{0x100000, 0x100000, 0x40, 0x1001, 0x90},
		{0x101000, 0x101000, 0x20, 0x20, 0xda},
	};

	image_elf(&img, false, 0x100000, seg, 2);
	bench_refuse_image(&bench, &img, -ENOEXEC,
			   "program header 1 at offset 0x54: p_paddr 0x101000",
			   "program header 0 at offset 0x34 at 0x100000-0x101000");
}

Test(elf, segments_in_reverse_order_and_touching_then_loaded)
{
	static const struct seg_spec seg[] = {
		{0x101000, 0x101000, 0x20, 0x20, 0xda},
		{0x100000, 0x100000, 0x40, 0x1000, 0x90},
	};

	image_elf(&img, false, 0x100000, seg, 2);
	bench_load_image(&bench, &img);
	cr_assert(guest_is_filled(&bench, 0x101000, 0x20, 0xda));
}

Test(elf, headers_as_a_segment_below_1_mib_then_the_linker_option_is_named)
{
	static const struct seg_spec seg = {0xff000, 0xff000, 0x40, 0x40, 0x90};

	image_elf(&img, false, 0xff000, &seg, 1);
	bench_refuse_image(&bench, &img, -ENOSPC, "p_paddr 0xff000", NULL);
	cr_assert_null(strstr(bench.err.text, "ld -n"));
	le32_put(img.bytes + sizeof(Elf32_Ehdr) + offsetof(Elf32_Phdr, p_offset), 0);
	bench_refuse_image(&bench, &img, -ENOSPC, "p_paddr 0xff000", "ld -n");
}

Test(elf, load_addr_or_mode_given_then_refused)
{
	struct load_config config = {.has_mode = true, .mode = LOAD_MODE_LONG};
	struct image_file file;

	image_elf_usual(&img, true);
	image_file_make(&file, img.bytes, img.len);
	config.kernel = file.path;
	bench_refuse(&bench, &config, -EINVAL, file.path, "--mode");
	config.has_mode = false;
	config.has_load_addr = true;
	bench_refuse(&bench, &config, -EINVAL, file.path, "--load-addr");
	image_file_drop(&file);
}

Test(elf, segment_larger_than_a_read_then_all_of_it_is_there)
{
	static const struct seg_spec seg = {0x100000, 0x100000, 0xc001, 0xc001, 0x90};
	unsigned i;

	image_elf(&img, true, 0x100000, &seg, 1);
	for (i = 0; i < 0xc001; i++)
		img.bytes[img.len - 0xc001 + i] = (uint8_t)(i ^ i >> 8);
	bench_load_image(&bench, &img);
	for (i = 0; i < 0xc001; i++)
		cr_assert_eq(guest_read(&bench, 0x100000 + i, 1), (uint8_t)(i ^ i >> 8));
}
