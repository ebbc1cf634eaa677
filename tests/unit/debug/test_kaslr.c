/* Unit tests of finding a Linux kernel through its page tables. */
#include "src/debug/kaslr.h"

#include <criterion/criterion.h>
#include <string.h>

#define P 0x1ull
#define W 0x2ull
#define L 0x80ull

#define FRAMES 16u

/* Guest memory of a few frames. */
static uint64_t frame[FRAMES][512];

static bool read_frame(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	(void)ctx;
	if (gpa + len > sizeof(frame))
		return false;
	memcpy(buf, (const char *)frame + gpa, len);
	return true;
}

/* A processor in 64-bit mode whose tables begin at frame @root. */
static struct x86_state long_mode(unsigned root, unsigned cpl)
{
	struct x86_state st;

	x86_state_reset(&st);
	st.cr0 = X86_CR0_PE | X86_CR0_PG;
	st.cr4 = X86_CR4_PAE;
	st.efer = X86_EFER_LME | X86_EFER_LMA;
	st.cr3 = root * 0x1000ull;
	st.seg[X86_CS] = x86_seg_flat((uint16_t)(0x10 | cpl), true, 64, (uint8_t)cpl);
	st.seg[X86_SS] = x86_seg_flat((uint16_t)(0x18 | cpl), false, 64, (uint8_t)cpl);
	return st;
}

/* Tables at frames @root, @root + 2 and @root + 4 that map 2 MiB from entry @first of the kernel's
 * gigabyte on. */
static void map_kernel(unsigned root, unsigned first)
{
	frame[root][511] = (root + 2) * 0x1000ull | P | W;
	frame[root + 2][510] = (root + 4) * 0x1000ull | P | W;
	frame[root + 4][first] = 0x1000000 | P | W | L;
}

Test(kaslr, find_when_text_is_mapped_then_its_first_page)
{
	struct x86_state st = long_mode(2, 0);
	gva_t text = 0;

	map_kernel(2, 8);
	cr_assert(kaslr_find(&st, read_frame, NULL, &text));
	cr_assert_eq(text, 0xffffffff81000000);
	memset(frame[6], 0, sizeof(frame[6]));
	frame[6][211] = 0x1a000000 | P | W | L;
	cr_assert(kaslr_find(&st, read_frame, NULL, &text));
	cr_assert_eq(text, 0xffffffff9a600000);
}

Test(kaslr, find_when_user_tables_hide_it_then_through_the_kernels)
{
	struct x86_state st = long_mode(3, 3);
	gva_t text = 0;

	/* The process's own tables show the entry code alone, far behind the kernel's start. */
	map_kernel(2, 100);
	map_kernel(3, 120);
	cr_assert(kaslr_find(&st, read_frame, NULL, &text));
	cr_assert_eq(text, 0xffffffff8c800000);
}

Test(kaslr, find_when_nothing_is_mapped_or_no_paging_then_false)
{
	struct x86_state st = long_mode(2, 0);
	gva_t text = 0x1234;

	cr_assert_not(kaslr_find(&st, read_frame, NULL, &text));
	map_kernel(2, 8);
	st.efer = 0;
	cr_assert_not(kaslr_find(&st, read_frame, NULL, &text));
	st = long_mode(2, 0);
	/* A table beyond memory is no reason to give up or to crash. */
	frame[2][511] = 0x7fffff000 | P | W;
	cr_assert_not(kaslr_find(&st, read_frame, NULL, &text));
	cr_assert_eq(text, 0x1234);
}
