/* The table of monitor words, and finding the one that a person meant.  Every word is listed here
 * or, those behind `info`, in mon_info.c; help prints the tables, so it cannot lag behind.
 * No word opens a file, runs a program or reaches anything outside of the guest. */
#include "monitor.h"
#include "stop.h"
#include "target.h"

#include "umbra/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void monitor_print_client(void *ctx, const char *text, size_t len)
{
	const struct debug_target *target = ctx;

	target_tick(target);
	rsp_monitor_print(target->session, text, len);
}

const char *monitor_activity_name(enum x86_activity activity)
{
	switch (activity) {
	case X86_ACTIVE:
		return "active";
	case X86_HALTED:
		return "halted";
	case X86_WAIT_FOR_SIPI:
		return "waits for SIPI";
	}
	return "unknown";
}

const struct x86_state *monitor_state(const struct mon_call *call, unsigned parts)
{
	const struct x86_state *st = vcpu_state(call->target->world, call->vcpu, parts);

	if (!st)
		print_to(call->out, "the state of cpu %u could not be read\n", call->vcpu);
	return st;
}

/* Words. */

static void print_table(const struct print_sink *out, const char *prefix,
			const struct mon_word *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char left[48];

		snprintf(left, sizeof(left), "%s%s %s", prefix, table[i].name, table[i].args);
		print_to(out, "  %-24s %s\n", left, table[i].help);
	}
}

static int find_or_say(const struct print_sink *out, const struct mon_word *table, size_t count,
		       const char *word, const struct mon_word **out_word);

static int run_help(struct mon_call *call)
{
	const struct mon_word *word;
	size_t count, info_count;
	const struct mon_word *words = monitor_words(&count);
	const struct mon_word *info = monitor_info_words(&info_count);
	bool is_ambiguous;

	if (call->argc == 0) {
		print_table(call->out, "", words, count);
		print_table(call->out, "info ", info, info_count);
		print_to(call->out, "A word may be cut short as long as it stays the only one.\n");
		return 0;
	}
	/* A topic of `info` may be asked for without its first word. */
	if (!monitor_find(words, count, call->argv[0], &is_ambiguous) && !is_ambiguous) {
		word = monitor_find(info, info_count, call->argv[0], &is_ambiguous);
		if (word) {
			print_table(call->out, "info ", word, 1);
			return 0;
		}
	}
	if (find_or_say(call->out, words, count, call->argv[0], &word))
		return EINVAL;
	print_table(call->out, "", word, 1);
	if (strcmp(word->name, "info") == 0)
		print_table(call->out, "info ", info, info_count);
	return 0;
}

static int run_word(struct mon_call *call, const char *prefix, const struct mon_word *word)
{
	if (call->argc > word->max_args) {
		print_to(call->out, "usage: %s%s %s\n", prefix, word->name, word->args);
		return EINVAL;
	}
	return word->run(call);
}

static int run_info(struct mon_call *call)
{
	const struct mon_word *word;
	size_t count;
	const struct mon_word *info = monitor_info_words(&count);

	if (call->argc == 0) {
		print_table(call->out, "info ", info, count);
		return 0;
	}
	if (find_or_say(call->out, info, count, call->argv[0], &word))
		return EINVAL;
	call->argc--;
	call->argv++;
	return run_word(call, "info ", word);
}

/* Debuggers send `reset halt` and `reset init` by themselves; a monitor command cannot let the
 * machine run, because its client believes it stopped. */
static int run_reset(struct mon_call *call)
{
	struct umbra_err err = {.text = ""};
	const char *how = call->argc ? call->argv[0] : "halt";

	if (strcmp(how, "halt") != 0 && strcmp(how, "init") != 0) {
		print_to(call->out, "reset stops at the first instruction; use `continue` then\n");
		return EINVAL;
	}
	if (target_reset(call->target, &err)) {
		print_to(call->out, "the machine was not reset: %s\n", err.text);
		return EIO;
	}
	print_to(call->out, "The machine is at its first instruction.  gdb still shows what it "
			    "read before;\n`maintenance flush register-cache` makes it look.\n");
	return 0;
}

static int run_halt(struct mon_call *call)
{
	print_to(call->out, "the machine is stopped\n");
	return 0;
}

static int run_powerdown(struct mon_call *call)
{
	vm_press_power_button(call->target->vm);
	print_to(call->out, "The power button is pressed; `continue` lets the guest see it.\n");
	return 0;
}

static int run_quit(struct mon_call *call)
{
	unsigned long code = DEBUG_KILLED_CODE;
	char *end;

	if (call->argc) {
		errno = 0;
		code = strtoul(call->argv[0], &end, 0);
		if (errno || end == call->argv[0] || *end || code > 255) {
			print_to(call->out, "an exit status is 0 to 255, not '%s'\n",
				 call->argv[0]);
			return EINVAL;
		}
	}
	target_quit(call->target, (int)code);
	return 0;
}

static int run_accel(struct mon_call *call)
{
	const struct accel_ops *accel = vm_accel(call->target->vm);

	print_to(call->out, "accelerator: %s\n", accel->name);
	if (accel->show)
		accel->show(vm_accel_vm(call->target->vm), call->out);
	return 0;
}

static int run_why(struct mon_call *call)
{
	const struct debug_target *target = call->target;
	char why[TARGET_STOP_MAX];

	target_describe_stop(target, why, sizeof(why));
	print_to(call->out, "last stop: %s\n", why);
	if (target->refusal.text[0])
		print_to(call->out, "last refusal: %s\n", target->refusal.text);
	return 0;
}

static int run_version(struct mon_call *call)
{
	print_to(call->out, "%s\n", call->target->version);
	return 0;
}

static const struct mon_word WORDS[] = {
	{"help", "[WORD]", "this list, or one line of it", 1, run_help},
	{"info", "TOPIC", "what the machine is and does", 2, run_info},
	{"dis", "[ADDR] [COUNT]", "disassemble as the cpu would decode it, 16-bit code too", 2,
	 mon_dis},
	{"dis-raw", "ADDR COUNT", "the same for scripts: address, length, text", 2, mon_dis_raw},
	{"sendkey", "KEYS [MS]",
	 "press ctrl-alt-delete, ret, shift-a ..., each for MS (10) of its time", 2, mon_sendkey},
	{"type", "TEXT", "type a text; \\n is return, \\t tab, \\b backspace, \\e escape", MON_TEXT,
	 mon_type},
	{"console", "[on|off]", "what the guest prints on its first serial port, in gdb as it runs",
	 1, mon_console},
	{"screen", "", "the text that the guest's screen shows, and where its cursor is", 0,
	 mon_screen},
	{"reset", "[halt]", "power-up state; stops at the first instruction", 1, run_reset},
	{"halt", "", "does nothing: monitor words are heard by a stopped machine only", 0,
	 run_halt},
	{"system_powerdown", "", "press the power button, which the guest may heed", 0,
	 run_powerdown},
	{"quit", "[CODE]", "end umbra with this exit status (137)", 1, run_quit},
	{"why", "", "why the machine stopped, and why a write or breakpoint was refused", 0,
	 run_why},
	{"kaslr", "", "where a Linux kernel put itself, and how to tell gdb", 0, mon_kaslr},
	{"hash", "", "one number for all of memory, to compare runs by", 0, mon_hash},
	{"catch", "[WHAT]", "stop at exceptions, ports and msrs; `catch help` says how", 4,
	 mon_catch},
	{"mmu", "WORD ...", "the guest's translations and their shadow; `mmu help` lists its words",
	 MON_WORD_MAX, mon_mmu},
	{"gva2gpa", "ADDR", "a linear address's physical one, as QEMU says it", 1, mon_gva2gpa},
	{"gpa2hva", "ADDR", "where a physical address lies in umbra, likewise", 1, mon_gpa2hva},
	{"gpa2hpa", "ADDR", "where it lies in the host's memory, likewise", 1, mon_gpa2hpa},
	{"x", "[/FMT] ADDR", "show memory as QEMU does: /4gx, /8xb, /3i ...", 2, mon_x},
	{"xp", "[/FMT] ADDR", "the same by physical address", 2, mon_xp},
	{"accel", "", "what runs the guest, and what it was found able to do", 0, run_accel},
	{"version", "", "which umbra this is", 0, run_version},
};

const struct mon_word *monitor_words(size_t *out_count)
{
	*out_count = UMBRA_ARRAY_SIZE(WORDS);
	return WORDS;
}

/* Finding and running. */

const struct mon_word *monitor_find(const struct mon_word *table, size_t count, const char *word,
				    bool *out_is_ambiguous)
{
	const struct mon_word *found = NULL;
	size_t len = strlen(word);

	*out_is_ambiguous = false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].name, word) == 0)
			return &table[i];
	}
	for (size_t i = 0; i < count && len > 0; i++) {
		if (strncmp(table[i].name, word, len) != 0)
			continue;
		if (found) {
			*out_is_ambiguous = true;
			return NULL;
		}
		found = &table[i];
	}
	return found;
}

static void say_ambiguous(const struct print_sink *out, const struct mon_word *table, size_t count,
			  const char *word)
{
	const char *before = "";

	print_to(out, "'%s' could be ", word);
	for (size_t i = 0; i < count; i++) {
		if (strncmp(table[i].name, word, strlen(word)) != 0)
			continue;
		print_to(out, "%s%s", before, table[i].name);
		before = ", ";
	}
	print_to(out, "\n");
}

static void say_unknown(const struct print_sink *out, const struct mon_word *table, size_t count,
			const char *word)
{
	const char *names[48];
	const char *nearest;
	size_t n = 0;

	for (; n < count && n < UMBRA_ARRAY_SIZE(names); n++)
		names[n] = table[n].name;
	nearest = nearest_word(word, names, n);
	if (nearest)
		print_to(out, "no such word: '%s'; did you mean '%s'?\n", word, nearest);
	else
		print_to(out, "no such word: '%s'; `monitor help` lists them\n", word);
}

static int find_or_say(const struct print_sink *out, const struct mon_word *table, size_t count,
		       const char *word, const struct mon_word **out_word)
{
	bool is_ambiguous;

	*out_word = monitor_find(table, count, word, &is_ambiguous);
	if (*out_word)
		return 0;
	if (is_ambiguous)
		say_ambiguous(out, table, count, word);
	else
		say_unknown(out, table, count, word);
	return EINVAL;
}

/* Cut the first word off @line, in x/FMT before the slash.  Returns the rest, behind one blank or
 * the slash. */
static char *split_first(char *line, const char **out_word)
{
	char *word = line + strspn(line, " \t");
	bool has_format = strncmp(word, "x/", 2) == 0 || strncmp(word, "xp/", 3) == 0;
	char *end = word + strcspn(word, has_format ? "/" : " \t");

	*out_word = word;
	if (*end)
		*end++ = '\0';
	return end;
}

/* Cut @line at its blanks.  Returns the number of words, or MON_WORD_MAX + 1 for too many. */
static unsigned split(char *line, const char **words)
{
	unsigned count = 0;
	char *rest = line;
	char *word;

	while ((word = strsep(&rest, " \t")) != NULL) {
		if (!*word)
			continue;
		if (count == MON_WORD_MAX)
			return MON_WORD_MAX + 1;
		words[count++] = word;
	}
	return count;
}

int monitor_run(struct debug_target *target, unsigned vcpu, const char *line,
		const struct print_sink *out)
{
	struct mon_call call = {.target = target, .vcpu = vcpu, .out = out};
	const char *argv[MON_WORD_MAX];
	const char *first;
	const struct mon_word *word;
	char copy[MON_LINE_MAX];
	char *rest;

	if (strlen(line) >= sizeof(copy)) {
		print_to(out, "a command has at most %u letters\n", MON_LINE_MAX - 1);
		return EINVAL;
	}
	memcpy(copy, line, strlen(line) + 1);
	rest = split_first(copy, &first);
	/* An empty line asks for help. */
	if (find_or_say(out, WORDS, UMBRA_ARRAY_SIZE(WORDS), *first ? first : "help", &word))
		return EINVAL;
	call.argv = argv;
	if (target->session && rsp_session_is_reader(target->session) &&
	    !mon_is_look(word->name, rest)) {
		print_to(out, "another client controls the machine; this one may only look\n");
		return EPERM;
	}
	if (word->max_args == MON_TEXT) {
		argv[0] = rest;
		call.argc = *rest != '\0';
		return word->run(&call);
	}
	call.argc = split(rest, argv);
	if (call.argc > MON_WORD_MAX) {
		print_to(out, "a command has at most %u words\n", MON_WORD_MAX + 1);
		return EINVAL;
	}
	return run_word(&call, "", word);
}
