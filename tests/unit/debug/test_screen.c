/* Unit tests of `monitor screen` over memory that a test fills. */
#include "fake_vm.h"
#include "src/debug/monitor.h"
#include "src/debug/target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define TEXT_BASE 0xb8000u

static struct {
	struct debug_target target;
	struct mem_space *mem;
	struct vgatext_screen *screen;
	struct fake_text said;
} m;

static void set_up(void)
{
	struct vm *vm = fake_vm_create();

	m.mem = vm->mem;
	cr_assert_eq(mem_add(m.mem, 0, 0xc0000, MEM_RAM, "ram", NULL), 0);
	vm->screen = (struct vgatext_screen){.is_text = true,
					     .base = TEXT_BASE,
					     .cells = 16384,
					     .columns = 80,
					     .rows = 25,
					     .stride = 80,
					     .has_cursor = true};
	m.screen = &vm->screen;
	target_init(&m.target, vm, "umbra of the test", DEBUG_ARCH_AUTO);
}

static void tear_down(void)
{
	fake_vm_destroy(m.target.vm);
}

static int run(void)
{
	const struct print_sink out = {.text = fake_collect, .ctx = &m.said};

	m.said.len = 0;
	m.said.text[0] = '\0';
	return monitor_run(&m.target, 0, "screen", &out);
}

static void write_at(unsigned cell, const char *text)
{
	for (; *text; text++, cell++) {
		uint8_t bytes[2] = {(uint8_t)*text, 0x07};

		mem_poke(m.mem, TEXT_BASE + (gpa_t)(cell % 16384) * 2, bytes, 2);
	}
}

Test(screen, screen_when_empty_then_only_the_cursor, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run(), 0);
	cr_expect_str_eq(m.said.text, "(80 by 25; the cursor is in row 0, column 0)\n");
	m.screen->has_cursor = false;
	run();
	cr_expect_str_eq(m.said.text, "(80 by 25; the cursor is off)\n");
	m.screen->has_cursor = true;
	m.screen->cursor = 2000;
	run();
	cr_expect_str_eq(m.said.text, "(80 by 25; the cursor is outside)\n");
}

Test(screen, screen_when_text_then_rows_without_blanks_at_their_ends, .init = set_up,
     .fini = tear_down)
{
	write_at(0, "first  ");
	write_at(162, "third");
	m.screen->cursor = 167;
	cr_assert_eq(run(), 0);
	cr_expect_str_eq(m.said.text,
			 "first\n\n  third\n(80 by 25; the cursor is in row 2, column 7)\n", "%s",
			 m.said.text);
}

Test(screen, screen_when_it_starts_elsewhere_then_from_there_and_round_the_end, .init = set_up,
     .fini = tear_down)
{
	m.screen->start = 16384 - 82;
	m.screen->cursor = 1;
	write_at(16384 - 82, "above");
	write_at(16384 - 2, "across");
	cr_assert_eq(run(), 0);
	cr_expect_str_eq(m.said.text,
			 "above\nacross\n(80 by 25; the cursor is in row 1, column 3)\n", "%s",
			 m.said.text);
}

Test(screen, screen_when_code_page_437_then_utf8, .init = set_up, .fini = tear_down)
{
	char all[257];

	write_at(0, "\001\x10\x7f\x80\x9c\xb0\xc4\xdb\xe3\xff.");
	cr_assert_eq(run(), 0);
	cr_expect_eq(strncmp(m.said.text, "☺►⌂Ç£░─█π .\n", strlen("☺►⌂Ç£░─█π .\n")), 0, "%s",
		     m.said.text);
	for (unsigned i = 0; i < 256; i++)
		all[i] = (char)(i ? i : ' ');
	all[256] = '\0';
	m.screen->columns = m.screen->stride = 256;
	m.screen->rows = 1;
	write_at(0, all);
	cr_assert_eq(run(), 0);
	for (const char *c = m.said.text; *c; c++)
		cr_assert((unsigned char)*c >= 0x20 || *c == '\n', "no control characters");
}

Test(screen, screen_when_registers_are_strange_then_something_bounded, .init = set_up,
     .fini = tear_down)
{
	static const struct vgatext_screen strange[] = {
		{true, 0xb8000, 16384, 256, 64, 510, 0xffff, 0xffff, true},
		{true, 0xb8000, 16384, 1, 1024, 0, 0xffff, 0, true},
		{true, 0xa0000, 16384, 80, 0, 80, 0, 0, true},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(strange); i++) {
		*m.screen = strange[i];
		write_at(5, "x");
		cr_expect_eq(run(), 0);
	}
	m.screen->is_text = false;
	cr_expect_eq(run(), EINVAL);
	cr_expect_not_null(strstr(m.said.text, "graphics"));
}

Test(screen, screen_when_memory_is_not_there_then_blank, .init = set_up, .fini = tear_down)
{
	m.screen->base = 0x1000000;
	cr_expect_eq(run(), 0);
	cr_expect_str_eq(m.said.text, "(80 by 25; the cursor is in row 0, column 0)\n");
}
