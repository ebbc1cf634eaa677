/* Unit tests of the monitor words on a machine that only pretends. */
#include "fake_vm.h"
#include "src/debug/monitor.h"
#include "src/debug/target.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct {
	struct debug_target target;
	struct fake_text said;
} m;

static void set_up(void)
{
	target_init(&m.target, fake_vm_create(), "umbra of the test", DEBUG_ARCH_AUTO);
	m.target.last_stop = (struct cpu_stop){.kind = STOP_START};
}

static void tear_down(void)
{
	fake_vm_destroy(m.target.vm);
}

/* Run @line; its text is in m.said.text. */
static int run(const char *line)
{
	const struct print_sink out = {.text = fake_collect, .ctx = &m.said};

	m.said.len = 0;
	m.said.text[0] = '\0';
	return monitor_run(&m.target, 0, line, &out);
}

#define ASSERT_SAYS(part)                                                                          \
	cr_assert(strstr(m.said.text, part), "'%s' is not in: %s", part, m.said.text)

/* Finding words. */

Test(monitor, tables_when_walked_then_complete_and_within_the_screen)
{
	const struct mon_word *tables[2];
	size_t counts[2];

	tables[0] = monitor_words(&counts[0]);
	tables[1] = monitor_info_words(&counts[1]);
	for (unsigned n = 0; n < 2; n++) {
		for (size_t i = 0; i < counts[n]; i++) {
			const struct mon_word *word = &tables[n][i];
			bool is_ambiguous;

			cr_assert(word->run && word->args && word->help[0]);
			cr_assert_eq(monitor_find(tables[n], counts[n], word->name, &is_ambiguous),
				     word, "%s is not hidden by another", word->name);
			cr_assert_lt(strlen(word->help), 72);
			cr_assert_eq(word->args[0] == '\0', word->max_args == 0);
		}
	}
}

Test(monitor, find_when_cut_short_then_unique_or_ambiguous)
{
	static const struct {
		const char *word, *found;
		bool is_ambiguous;
	} cases[] = {
		{"help", "help", false}, {"he", "help", false},	    {"h", NULL, true},
		{"i", "info", false},	 {"dis", "dis", false},	    {"dis-", "dis-raw", false},
		{"d", NULL, true},	 {"helpx", NULL, false},    {"", NULL, false},
		{"RESET", NULL, false},	 {"reset", "reset", false},
	};
	size_t count;
	const struct mon_word *words = monitor_words(&count);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		bool is_ambiguous;
		const struct mon_word *found =
			monitor_find(words, count, cases[i].word, &is_ambiguous);

		cr_assert_eq(is_ambiguous, cases[i].is_ambiguous, "%s", cases[i].word);
		if (cases[i].found)
			cr_assert(found && strcmp(found->name, cases[i].found) == 0);
		else
			cr_assert_null(found);
	}
}

Test(monitor, run_when_word_is_unknown_then_error_with_the_nearest, .init = set_up,
     .fini = tear_down)
{
	cr_assert_eq(run("rset"), EINVAL);
	ASSERT_SAYS("did you mean 'reset'");
	cr_assert_eq(run("info cpsu"), EINVAL);
	ASSERT_SAYS("did you mean 'cpus'");
	cr_assert_eq(run("xyzzy"), EINVAL);
	ASSERT_SAYS("`monitor help`");
	cr_assert_eq(run("d"), EINVAL);
	ASSERT_SAYS("dis, dis-raw");
	cr_assert_eq(run("version now"), EINVAL);
	ASSERT_SAYS("usage: version");
}

Test(monitor, run_when_line_is_hostile_then_error, .init = set_up, .fini = tear_down)
{
	char line[4096];

	memset(line, 'a', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	cr_assert_eq(run(line), EINVAL);
	for (size_t i = 1; i < sizeof(line); i += 2)
		line[i] = ' ';
	line[100] = '\0';
	cr_assert_eq(run(line), EINVAL);
	cr_assert_eq(run("%s%n%n"), EINVAL);
	ASSERT_SAYS("%s%n%n");
	cr_assert_eq(run("\x01\xff\xfe"), EINVAL);
}

Test(monitor, help_when_asked_then_every_word, .init = set_up, .fini = tear_down)
{
	size_t count;
	const struct mon_word *words = monitor_words(&count);

	cr_assert_eq(run(""), 0);
	cr_assert_eq(run("help"), 0);
	for (size_t i = 0; i < count; i++)
		ASSERT_SAYS(words[i].help);
	words = monitor_info_words(&count);
	for (size_t i = 0; i < count; i++)
		ASSERT_SAYS(words[i].help);
	cr_assert_eq(run("help dis"), 0);
	cr_assert_null(strstr(m.said.text, "reset"));
	cr_assert_eq(run("help info"), 0);
	ASSERT_SAYS("info cpus");
	cr_assert_eq(run("help nothing"), EINVAL);
}

/* Words. */

Test(monitor, quit_when_code_is_no_status_then_error, .init = set_up, .fini = tear_down)
{
	static const char *const bad[] = {"quit 256", "quit -1", "quit x", "quit 1x", "quit 1 2"};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(bad); i++) {
		cr_assert_eq(run(bad[i]), EINVAL, "%s", bad[i]);
		cr_assert_not(m.target.is_quitting);
	}
	cr_assert_eq(run("quit"), 0);
	cr_assert(m.target.is_quitting);
	cr_assert_eq(m.target.quit_code, DEBUG_KILLED_CODE);
}

Test(monitor, powerdown_when_asked_then_button_is_pressed, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run("system_powerdown now"), EINVAL);
	cr_assert_eq(m.target.vm->press_count, 0);
	cr_assert_eq(run("system_powerdown"), 0);
	cr_assert_eq(m.target.vm->press_count, 1);
	ASSERT_SAYS("power button");
}

Test(monitor, reset_when_asked_then_reset_unless_it_should_run, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run("reset run"), EINVAL);
	cr_assert_eq(m.target.vm->reset_count, 0);
	cr_assert_eq(run("reset halt"), 0);
	cr_assert_eq(run("reset"), 0);
	cr_assert_eq(m.target.vm->reset_count, 2);
	m.target.vm->reset_error = EIO;
	cr_assert_eq(run("reset"), EIO);
	ASSERT_SAYS("the image is gone");
}

/* The keyboard. */

Test(monitor, sendkey_when_asked_then_keys_and_their_time, .init = set_up, .fini = tear_down)
{
	static const char *const bad[] = {"sendkey",	     "sendkey a 0",  "sendkey a -5",
					  "sendkey a x",     "sendkey a 5x", "sendkey a 10001",
					  "sendkey a 5 more"};

	cr_assert_eq(run("sendkey ctrl-alt-delete"), 0);
	cr_assert_str_eq(m.target.vm->typed, "ctrl-alt-delete for 10");
	cr_assert_eq(run("sendkey  ret   500 "), 0);
	cr_assert_str_eq(m.target.vm->typed, "ret for 500");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(bad); i++)
		cr_expect_eq(run(bad[i]), EINVAL, "%s", bad[i]);
	cr_assert_eq(run("sendkey bad"), EINVAL);
	ASSERT_SAYS("no key is called 'bad'");
	cr_assert_str_eq(m.target.vm->typed, "ret for 500");
}

Test(monitor, type_when_asked_then_the_text_as_it_stands_with_its_escapes, .init = set_up,
     .fini = tear_down)
{
	static const struct {
		const char *line, *typed;
	} rows[] = {
		{"type ls -l\\n", "ls -l\n"},
		{"type   two blanks  first ", "  two blanks  first "},
		{"type a b c d e f g h i j k l m", "a b c d e f g h i j k l m"},
		{"type \\t\\b\\e\\\\", "\t\b\033\\"},
		{"ty x", "x"},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		cr_expect_eq(run(rows[i].line), 0, "%s", rows[i].line);
		cr_expect_str_eq(m.target.vm->typed, rows[i].typed, "%s", rows[i].line);
	}
	cr_expect_eq(run("type"), EINVAL);
	cr_expect_eq(run("type "), EINVAL);
	cr_expect_eq(run("type \\x"), EINVAL);
	cr_expect_eq(run("type end\\"), EINVAL);
	cr_expect_eq(run("type full"), ENOSPC);
	ASSERT_SAYS("let it run first");
}

Test(monitor, info_regs_when_printed_then_everything_within_100_columns, .init = set_up,
     .fini = tear_down)
{
	static const char *const parts[] = {
		"rax", "r15",	"cs ",	  "gdtr",   "idtr",   "ldtr",	    "tr ",   "cr0",
		"cr2", "cr3",	"cr4",	  "cr8",    "efer",   "dr7",	    "lstar", "pat",
		"tsc", "mxcsr", "real16", "active", "ring 0", "not present"};
	struct x86_state *st = &m.target.world->st[0];

	memset(&st->gpr, 0xff, sizeof(st->gpr));
	st->cr0 = st->cr4 = st->efer = 0;
	st->seg[X86_ES].present = false;
	cr_assert_eq(run("info regs"), 0);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(parts); i++)
		ASSERT_SAYS(parts[i]);
	for (const char *line = m.said.text; *line; line += strcspn(line, "\n") + 1)
		cr_assert_leq(strcspn(line, "\n"), 100, "%s", line);
}

Test(monitor, info_regs_when_a_cpu_is_named_then_that_one, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run("info regs"), 0);
	ASSERT_SAYS("cpu 0: ");
	cr_assert_eq(run("info regs 1"), 0);
	ASSERT_SAYS("cpu 1: ");
	cr_assert_eq(run("info regs 2"), EINVAL);
	ASSERT_SAYS("no cpu '2'; they are 0 to 1");
	cr_assert_eq(run("info regs -1"), EINVAL);
	cr_assert_eq(run("info regs 0x"), EINVAL);
}

Test(monitor, help_when_a_topic_of_info_is_asked_for_then_its_line, .init = set_up,
     .fini = tear_down)
{
	cr_assert_eq(run("help regs"), 0);
	ASSERT_SAYS("info regs [CPU]");
	cr_assert_eq(run("help dis"), 0);
	ASSERT_SAYS("dis [ADDR] [COUNT]");
	cr_assert_eq(run("help frob"), EINVAL);
}

Test(monitor, info_cpus_when_printed_then_each_cpu_and_the_reason, .init = set_up,
     .fini = tear_down)
{
	m.target.world->st[1].activity = X86_WAIT_FOR_SIPI;
	cr_assert_eq(run("info cpus"), 0);
	ASSERT_SAYS("*   0");
	ASSERT_SAYS("waits for SIPI");
	ASSERT_SAYS("f000:000000000000fff0");
	ASSERT_SAYS("last stop: cpu 0: at its first instruction");
}

Test(monitor, info_bp_when_set_then_listed, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run("info bp"), 0);
	ASSERT_SAYS("No breakpoint is set");
	bp_insert(m.target.world, BP_WATCH_ACCESS, 0xffff800000001000, 8, NULL);
	cr_assert_eq(run("info bp"), 0);
	ASSERT_SAYS("awatch  ffff800000001000       8         3  armed at the next resume");
}

Test(monitor, why_when_something_was_refused_then_both_reasons, .init = set_up, .fini = tear_down)
{
	cr_assert_eq(run("why"), 0);
	ASSERT_SAYS("last stop: cpu 0: at its first instruction");
	cr_assert_null(strstr(m.said.text, "refusal"));
	umbra_err_set(&m.target.refusal, EINVAL, "rip cannot be that");
	cr_assert_eq(run("why"), 0);
	ASSERT_SAYS("last refusal: rip cannot be that");
}

Test(monitor, why_when_watchpoints_are_not_to_be_had_then_the_way_out, .init = set_up,
     .fini = tear_down)
{
	const struct rsp_target ops = target_ops(&m.target);

	cr_assert(ops.brk->is_supported(ops.ctx, RSP_WATCH_WRITE));
	cr_assert_not(ops.brk->is_supported(ops.ctx, RSP_WATCH_READ));
	cr_assert_eq(run("why"), 0);
	ASSERT_SAYS("set can-use-hw-watchpoints 0");
}

/* Disassembly. */

static void put_code(uint16_t selector, uint64_t rip, const uint8_t *code, size_t len)
{
	struct world *world = m.target.world;

	world->st[0].seg[X86_CS] = x86_seg_real(selector);
	world->st[0].rip = rip;
	memcpy(world->mem + world->st[0].seg[X86_CS].base + rip, code, len);
}

static const uint8_t code16[] = {0xba, 0xf8, 0x03, 0x00, 0xd8, 0xeb, 0xfe, 0xf4};

Test(monitor, dis_when_16_bit_code_then_decoded_as_such, .init = set_up, .fini = tear_down)
{
	put_code(0, 0x1000, code16, sizeof(code16));
	cr_assert_eq(run("dis"), 0);
	ASSERT_SAYS("=> 0x1000:  ba f8 03 ");
	ASSERT_SAYS("mov    $0x3f8,%dx");
	ASSERT_SAYS("0x1003:");
	ASSERT_SAYS("jmp    0x1005");
}

Test(monitor, dis_when_cs_has_a_base_then_both_addresses, .init = set_up, .fini = tear_down)
{
	put_code(0x100, 0x20, code16, sizeof(code16));
	cr_assert_eq(run("dis"), 0);
	ASSERT_SAYS("=> 0x1020  0100:0020:");
	ASSERT_SAYS("jmp    0x25");
	cr_assert_eq(run("dis cs:20 1"), 0);
	ASSERT_SAYS("0x1020");
	cr_assert_eq(run("dis 0102:0000 1"), 0);
	ASSERT_SAYS("0x1020");
}

Test(monitor, dis_raw_when_asked_then_address_length_text, .init = set_up, .fini = tear_down)
{
	put_code(0, 0x1000, code16, sizeof(code16));
	cr_assert_eq(run("dis-raw 0x1000 4"), 0);
	cr_assert_str_eq(m.said.text, "0x1000 3 mov    $0x3f8,%dx\n0x1003 2 add    %bl,%al\n"
				      "0x1005 2 jmp    0x1005\n0x1007 1 hlt\n");
	cr_assert_eq(run("dis-raw 0x2fff 9"), 0, "the end of memory ends the list");
	cr_assert_eq(strncmp(m.said.text, "0x2fff 1 ", 9), 0);
	cr_assert_eq(run("dis-raw 0x3000 1"), EFAULT);
	cr_assert_eq(run("dis-raw 0x1000"), EINVAL);
}

Test(monitor, dis_when_arguments_are_bad_then_said, .init = set_up, .fini = tear_down)
{
	static const char *const bad[] = {"dis x",
					  "dis 0x",
					  "dis -1",
					  "dis 0x1000 0",
					  "dis 0x1000 1001",
					  "dis 0x1000 -5",
					  "dis xs:0",
					  "dis 10000:0",
					  "dis :5",
					  "dis cs:",
					  "dis 99999999999999999999"};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(bad); i++)
		cr_assert_eq(run(bad[i]), EINVAL, "%s", bad[i]);
	cr_assert_eq(run("dis 0x3000"), EFAULT);
	m.target.world->st[0].cr0 |= X86_CR0_PE;
	cr_assert_eq(run("dis 10:0"), EINVAL);
	ASSERT_SAYS("real mode only");
}
