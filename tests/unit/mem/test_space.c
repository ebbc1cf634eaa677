/* Unit tests of src/mem/space.c: the map, the accesses without side effects, who is told. */
#include "umbra/mem.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PAGE UMBRA_PAGE_SIZE

static struct mem_space *new_space(void)
{
	struct mem_space *space;

	cr_assert_eq(mem_create(&space, NULL), 0);
	return space;
}

/* RAM at pages 0..1, ROM at pages 2..3, a hole, RAM at page 8. */
static struct mem_space *new_three_regions(void)
{
	struct mem_space *space = new_space();

	cr_assert_eq(mem_add(space, 8 * PAGE, PAGE, MEM_RAM, "high", NULL), 0);
	cr_assert_eq(mem_add(space, 0, 2 * PAGE, MEM_RAM, "low", NULL), 0);
	cr_assert_eq(mem_add(space, 2 * PAGE, 2 * PAGE, MEM_ROM, "rom", NULL), 0);
	return space;
}

/* The map. */

Test(space, region_at_when_added_out_of_order_then_sorted)
{
	struct mem_space *space = new_three_regions();

	cr_assert_str_eq(mem_region_at(space, 0)->name, "low");
	cr_assert_str_eq(mem_region_at(space, 1)->name, "rom");
	cr_assert_str_eq(mem_region_at(space, 2)->name, "high");
	cr_assert_null(mem_region_at(space, 3));
	mem_destroy(space);
}

Test(space, find_when_at_each_edge_then_the_right_region_or_none)
{
	static const struct {
		gpa_t gpa;
		const char *name;
	} rows[] = {
		{0, "low"},	  {2 * PAGE - 1, "low"}, {2 * PAGE, "rom"},  {4 * PAGE - 1, "rom"},
		{4 * PAGE, NULL}, {8 * PAGE - 1, NULL},	 {8 * PAGE, "high"}, {9 * PAGE - 1, "high"},
		{9 * PAGE, NULL}, {UINT64_MAX, NULL},
	};
	struct mem_space *space = new_three_regions();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		const struct mem_region *r = mem_find(space, rows[i].gpa);

		if (rows[i].name)
			cr_assert_str_eq(r->name, rows[i].name);
		else
			cr_assert_null(r, "%#llx", (unsigned long long)rows[i].gpa);
	}
	mem_destroy(space);
}

Test(space, add_when_wrong_then_error_and_map_unchanged)
{
	static const struct {
		gpa_t gpa;
		uint64_t len;
		int error;
		const char *says;
	} rows[] = {
		{PAGE + 1, PAGE, -EINVAL, "multiples of 4096"},
		{4 * PAGE, PAGE - 1, -EINVAL, "multiples of 4096"},
		{4 * PAGE, 0, -EINVAL, "length not 0"},
		{1ull << 52, PAGE, -EINVAL, "52-bit"},
		{(1ull << 52) - PAGE, 2 * PAGE, -EINVAL, "52-bit"},
		{PAGE, UINT64_MAX & UMBRA_PAGE_MASK, -EINVAL, "52-bit"},
		{0, PAGE, -EEXIST, "overlaps low"},
		{PAGE, 2 * PAGE, -EEXIST, "overlaps low"},
		{3 * PAGE, 4 * PAGE, -EEXIST, "overlaps rom"},
		{7 * PAGE, 2 * PAGE, -EEXIST, "overlaps high"},
		{5 * PAGE, 100 * PAGE, -EEXIST, "overlaps high"},
	};
	struct mem_space *space = new_three_regions();

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct umbra_err err = {.text = ""};
		int rc = mem_add(space, rows[i].gpa, rows[i].len, MEM_RAM, "new", &err);

		cr_assert_eq(rc, rows[i].error, "row %zu: %d", i, rc);
		cr_assert_not_null(strstr(err.text, rows[i].says), "row %zu: %s", i, err.text);
		cr_assert_null(mem_region_at(space, 3));
	}
	mem_destroy(space);
}

Test(space, add_when_it_fills_a_hole_exactly_then_no_overlap)
{
	struct mem_space *space = new_three_regions();

	cr_assert_eq(mem_add(space, 4 * PAGE, 4 * PAGE, MEM_RAM, "fill", NULL), 0);
	cr_assert_str_eq(mem_region_at(space, 2)->name, "fill");
	cr_assert_eq(mem_poke(space, 4 * PAGE - 1, "abc", 3), 3);
	mem_destroy(space);
}

Test(space, add_when_sixteen_regions_exist_then_enomem)
{
	struct mem_space *space = new_space();

	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(mem_add(space, 2ull * i * PAGE, PAGE, MEM_RAM, "r", NULL), 0);
	cr_assert_eq(mem_add(space, 100ull * PAGE, PAGE, MEM_RAM, "r", NULL), -ENOMEM);
	cr_assert_not_null(mem_region_at(space, 15));
	mem_destroy(space);
}

Test(space, add_when_larger_than_the_host_then_enomem)
{
	struct mem_space *space = new_space();
	struct umbra_err err = {.text = ""};

	cr_assert_eq(mem_add(space, 0, 1ull << 51, MEM_RAM, "huge", &err), -ENOMEM);
	cr_assert_not_null(strstr(err.text, "huge"), "%s", err.text);
	cr_assert_null(mem_region_at(space, 0));
	mem_destroy(space);
}

/* Peek, poke, ptr. */

Test(space, peek_when_never_written_then_zeros)
{
	struct mem_space *space = new_three_regions();
	uint8_t bytes[16];

	memset(bytes, 0xff, sizeof(bytes));
	cr_assert_eq(mem_peek(space, PAGE - 8, bytes, sizeof(bytes)), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], 0);
	mem_destroy(space);
}

/* Each alignment of guest address, buffer and length: the copy has a head, words and a tail. */
Test(space, poke_when_any_alignment_then_exactly_these_bytes_change)
{
	struct mem_space *space = new_three_regions();
	uint8_t *host = mem_ptr(space, PAGE, 128);
	uint8_t pattern[128];
	uint8_t back[128];

	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i + 1);
	for (unsigned at = 0; at < 9; at++) {
		for (unsigned skew = 0; skew < 9; skew++) {
			for (unsigned len = 0; len < 40; len++) {
				memset(host, 0, 128);
				memset(back, 0, sizeof(back));
				cr_assert_eq(mem_poke(space, PAGE + at, pattern + skew, len), len);
				cr_assert_eq(memcmp(host + at, pattern + skew, len), 0);
				cr_assert(at == 0 || host[at - 1] == 0);
				cr_assert_eq(host[at + len], 0);
				cr_assert_eq(mem_peek(space, PAGE + at, back + skew, len), len);
				cr_assert_eq(memcmp(back + skew, pattern + skew, len), 0);
				cr_assert(skew == 0 || back[skew - 1] == 0);
				cr_assert_eq(back[skew + len], 0);
			}
		}
	}
	mem_destroy(space);
}

Test(space, peek_and_poke_when_across_adjacent_regions_then_whole)
{
	struct mem_space *space = new_three_regions();
	uint8_t back[5];

	cr_assert_eq(mem_poke(space, 2 * PAGE - 2, "abcde", 5), 5);
	cr_assert_eq(mem_ptr(space, 0, 2 * PAGE)[2 * PAGE - 1], 'b');
	cr_assert_eq(mem_ptr(space, 2 * PAGE, 1)[0], 'c');
	cr_assert_eq(mem_peek(space, 2 * PAGE - 2, back, 5), 5);
	cr_assert_arr_eq(back, "abcde", 5);
	mem_destroy(space);
}

Test(space, peek_and_poke_when_into_a_hole_then_short)
{
	struct mem_space *space = new_three_regions();
	uint8_t bytes[16] = {0};

	cr_assert_eq(mem_peek(space, 4 * PAGE - 3, bytes, sizeof(bytes)), 3);
	cr_assert_eq(mem_poke(space, 4 * PAGE - 3, bytes, sizeof(bytes)), 3);
	cr_assert_eq(mem_peek(space, 9 * PAGE - 1, bytes, sizeof(bytes)), 1);
	cr_assert_eq(mem_peek(space, 5 * PAGE, bytes, sizeof(bytes)), 0);
	cr_assert_eq(mem_peek(space, UINT64_MAX - 3, bytes, sizeof(bytes)), 0);
	cr_assert_eq(mem_poke(space, UINT64_MAX, bytes, sizeof(bytes)), 0);
	mem_destroy(space);
}

Test(space, ptr_when_not_inside_one_region_then_null)
{
	struct mem_space *space = new_three_regions();

	cr_assert_not_null(mem_ptr(space, 0, 2 * PAGE));
	cr_assert_null(mem_ptr(space, 0, 2 * PAGE + 1));
	cr_assert_null(mem_ptr(space, PAGE, SIZE_MAX));
	cr_assert_null(mem_ptr(space, 4 * PAGE, 1));
	cr_assert_eq(mem_ptr(space, PAGE, 1) - mem_ptr(space, 0, 1), PAGE);
	mem_destroy(space);
}

Test(space, phys_read_when_short_then_false)
{
	struct mem_space *space = new_three_regions();
	uint8_t bytes[8];

	cr_assert(mem_phys_read(space, 4 * PAGE - 8, bytes, 8));
	cr_assert_not(mem_phys_read(space, 4 * PAGE - 7, bytes, 8));
	mem_destroy(space);
}

/* The guards on both sides of a region's host pages.  The kernel is asked to read there, since it
 * says no without a signal. */
Test(space, host_pages_when_overrun_by_a_byte_then_not_accessible)
{
	struct mem_space *space = new_three_regions();
	const uint8_t *host = mem_ptr(space, 8 * PAGE, 1);
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(write(fds[1], host, 1), 1);
	cr_assert_eq(write(fds[1], host + PAGE - 1, 1), 1);
	cr_assert_eq(write(fds[1], host - 1, 1), -1);
	cr_assert_eq(errno, EFAULT);
	cr_assert_eq(write(fds[1], host + PAGE, 1), -1);
	cr_assert_eq(errno, EFAULT);
	mem_destroy(space);
}

Test(space, clear_ram_when_called_then_ram_is_zero_and_rom_stays)
{
	struct mem_space *space = new_three_regions();
	uint8_t bytes[4] = {1, 2, 3, 4};

	mem_poke(space, 0, bytes, 4);
	mem_poke(space, 2 * PAGE - 2, bytes, 4);
	mem_poke(space, 8 * PAGE, bytes, 4);
	mem_clear_ram(space);
	for (unsigned i = 0; i < 2 * PAGE; i++)
		cr_assert_eq(mem_ptr(space, i, 1)[0], 0);
	cr_assert_eq(mem_ptr(space, 8 * PAGE, 1)[0], 0);
	cr_assert_eq(mem_ptr(space, 2 * PAGE, 1)[0], 3);
	mem_destroy(space);
}

/* Who is told. */

struct heard {
	char text[64]; /* "+low -low" */
	const char *refuse;
};

static int hear(void *ctx, const struct mem_region *region, bool is_added, struct umbra_err *err)
{
	struct heard *heard = ctx;

	if (is_added && heard->refuse && strcmp(heard->refuse, region->name) == 0)
		return umbra_err_set(err, ENOSPC, "no");
	strcat(heard->text, is_added ? "+" : "-");
	strcat(heard->text, region->name);
	return 0;
}

Test(space, listener_when_set_then_told_of_old_and_new_regions)
{
	struct mem_space *space = new_three_regions();
	struct heard heard = {.text = ""};

	cr_assert_eq(mem_set_listener(space, hear, &heard, NULL), 0);
	cr_assert_eq(mem_add(space, 20 * PAGE, PAGE, MEM_RAM, "late", NULL), 0);
	mem_destroy(space);
	cr_assert_str_eq(heard.text, "+low+rom+high+late-low-rom-high-late");
}

Test(space, listener_when_it_refuses_an_old_region_then_untold_and_not_set)
{
	struct mem_space *space = new_three_regions();
	struct heard heard = {.text = "", .refuse = "high"};

	cr_assert_eq(mem_set_listener(space, hear, &heard, NULL), -ENOSPC);
	cr_assert_str_eq(heard.text, "+low+rom-rom-low");
	mem_destroy(space);
	cr_assert_str_eq(heard.text, "+low+rom-rom-low");
}

Test(space, listener_when_it_refuses_a_new_region_then_map_unchanged)
{
	struct mem_space *space = new_three_regions();
	struct heard heard = {.text = "", .refuse = "late"};

	cr_assert_eq(mem_set_listener(space, hear, &heard, NULL), 0);
	cr_assert_eq(mem_add(space, 5 * PAGE, PAGE, MEM_RAM, "late", NULL), -ENOSPC);
	cr_assert_null(mem_find(space, 5 * PAGE));
	cr_assert_str_eq(mem_region_at(space, 2)->name, "high");
	cr_assert_eq(mem_set_listener(space, NULL, NULL, NULL), 0);
	mem_destroy(space);
	cr_assert_str_eq(heard.text, "+low+rom+high");
}

struct writes {
	const struct mem_space *space;
	struct {
		gpa_t gpa;
		size_t len;
		uint8_t before; /* first byte when the hook ran */
		uint8_t after;
	} at[8];
	unsigned count, done_count;
};

static void note_write(void *ctx, gpa_t gpa, size_t len, bool is_done)
{
	struct writes *w = ctx;

	cr_assert_not_null(mem_ptr(w->space, gpa, len));
	if (is_done) {
		cr_assert_eq(w->at[w->done_count].gpa, gpa);
		w->at[w->done_count++].after = *mem_ptr(w->space, gpa, 1);
		return;
	}
	w->at[w->count].gpa = gpa;
	w->at[w->count].len = len;
	w->at[w->count++].before = *mem_ptr(w->space, gpa, 1);
}

Test(space, write_hook_when_poked_across_regions_then_once_per_region_before_and_after_the_change)
{
	struct mem_space *space = new_three_regions();
	struct writes w = {.space = space};

	mem_set_write_hook(space, note_write, &w);
	mem_poke(space, 2 * PAGE - 1, "abc", 3);
	cr_assert_eq(w.count, 2);
	cr_assert_eq(w.at[0].gpa, 2 * PAGE - 1);
	cr_assert_eq(w.at[0].len, 1);
	cr_assert_eq(w.at[0].before, 0);
	cr_assert_eq(w.at[0].after, 'a');
	cr_assert_eq(w.at[1].gpa, 2 * PAGE);
	cr_assert_eq(w.at[1].len, 2);
	mem_poke(space, 5 * PAGE, "abc", 3);
	cr_assert_eq(w.count, 2);
	mem_clear_ram(space);
	cr_assert_eq(w.count, 4);
	cr_assert_eq(w.done_count, 4);
	cr_assert_eq(w.at[3].gpa, 8 * PAGE);
	cr_assert_eq(w.at[3].len, PAGE);
	mem_destroy(space);
}
