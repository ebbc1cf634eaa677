/* Reading the command line by the table in option_table.c, and what words mean together. */
#include "options.h"

#include "umbra/nearest.h"

#include <errno.h>

#define DEFAULT_MEM_BYTES (128ull << 20)
#define MAX_WORDS	  64 /* candidates for a mistyped word */

/* The words not yet read. */
struct arguments {
	char *const *next;
	unsigned left;
};

/* One option as it stands there: "-name", "--name=value". */
struct option_text {
	const char *whole;
	const char *name; /* without dashes */
	size_t name_len;
	const char *value; /* after '=', or NULL */
};

static struct option_text split(const char *whole)
{
	struct option_text text = {.whole = whole, .name = whole + 1};
	const char *equals;

	if (*text.name == '-')
		text.name++;
	equals = strchr(text.name, '=');
	text.name_len = equals ? (size_t)(equals - text.name) : strlen(text.name);
	text.value = equals ? equals + 1 : NULL;
	return text;
}

/* The option whose name is nearest to @name, as --help shows it; NULL when none is near. */
static const char *nearest_option(const char *name)
{
	const char *words[MAX_WORDS];
	const struct option_row *row;
	const char *near;
	unsigned i, n = 0;

	for (i = 0; (row = option_row_at(i)) && n < MAX_WORDS; i++) {
		if (row->name && row->help)
			words[n++] = row->name + strspn(row->name, "-");
	}
	near = nearest_word(name, words, n);
	row = near ? option_row_find(near, strlen(near)) : NULL;
	return row ? row->name : NULL;
}

static int report_unknown(const struct option_text *text, struct umbra_err *err)
{
	const char *hint = option_foreign_hint(text->name, text->name_len);
	char name[64] = "";
	const char *near;

	if (hint)
		return umbra_err_set(err, EINVAL, "QEMU's -%.*s is not supported here: %s",
				     (int)text->name_len, text->name, hint);
	memcpy(name, text->name, u64_min(text->name_len, sizeof(name) - 1));
	near = nearest_option(name);
	if (near)
		return umbra_err_set(err, EINVAL, "unknown option %.100s; did you mean %s?",
				     text->whole, near);
	return umbra_err_set(err, EINVAL, "unknown option %.100s; umbra --help lists them all",
			     text->whole);
}

/* The value of @row's option: after '=', or the next word. */
static int take_value(const struct option_row *row, const struct option_text *text,
		      struct arguments *args, const char **out_value, struct umbra_err *err)
{
	*out_value = text->value;
	if (!row->arg && text->value)
		return umbra_err_set(err, EINVAL, "%s takes no value, but got '%s'", row->name,
				     text->value);
	if (!row->arg || text->value)
		return 0;
	if (args->left == 0)
		return umbra_err_set(err, EINVAL, "%s wants a value: %s %s", row->name, row->name,
				     row->arg);
	*out_value = *args->next++;
	args->left--;
	return 0;
}

static int parse_option(struct cli_options *o, const char *word, struct arguments *args,
			struct umbra_err *err)
{
	const struct option_text text = split(word);
	const struct option_row *row = option_row_find(text.name, text.name_len);
	const char *value;
	int rc;

	if (!row)
		return report_unknown(&text, err);
	rc = take_value(row, &text, args, &value, err);
	if (rc < 0)
		return rc;
	rc = row->set(o, value, err);
	if (rc < 0)
		umbra_err_prefix(err, "%s", row->name);
	return rc;
}

static int parse_word(struct cli_options *o, const char *word, struct umbra_err *err)
{
	static const char *const commands[] = {"check-host"};

	if (strcmp(word, commands[0]) == 0) {
		o->action = CLI_CHECK_HOST;
		return 0;
	}
	if (nearest_word(word, commands, UMBRA_ARRAY_SIZE(commands)))
		return umbra_err_set(err, EINVAL, "unknown command '%.100s'; did you mean %s?",
				     word, commands[0]);
	return umbra_err_set(err, EINVAL, "unexpected '%.100s'; an image is given by -kernel FILE",
			     word);
}

/* The words together. */

static bool is_stdio(const char *spec)
{
	return spec && strcmp(spec, "stdio") == 0;
}

/* The first serial port is on stdio unless something else asked for that. */
static void fill_serial(struct cli_options *o)
{
	if (o->serial_count == 0 && !is_stdio(o->gdb) && !is_stdio(o->vm.debugcon))
		o->vm.serial[0] = "stdio";
}

static int check_stdio(const struct cli_options *o, struct umbra_err *err)
{
	const struct {
		const char *option, *spec;
	} users[] = {
		{"-gdb", o->gdb},
		{"the first -serial", o->vm.serial[0]},
		{"the second -serial", o->vm.serial[1]},
		{"-debugcon", o->vm.debugcon},
	};
	const char *first = NULL;
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(users); i++) {
		if (!is_stdio(users[i].spec))
			continue;
		if (first)
			return umbra_err_set(err, EINVAL,
					     "%s and %s cannot both use stdio; give one of them "
					     "another place, such as null or pty",
					     first, users[i].option);
		first = users[i].option;
	}
	return 0;
}

static int check_together(const struct cli_options *o, struct umbra_err *err)
{
	if (!o->vm.has_kernel && !o->vm.load.bios)
		return umbra_err_set(err, EINVAL,
				     "nothing to run; give an image by -kernel FILE (umbra --help "
				     "lists the options)");
	if (o->starts_stopped && !o->gdb)
		return umbra_err_set(err, EINVAL,
				     "-S waits for a debugger, which -gdb none keeps out; drop one "
				     "of them");
	if (o->addr_file && (!o->gdb || is_stdio(o->gdb)))
		return umbra_err_set(err, EINVAL,
				     "--addr-file has no address to write with -gdb %s; use tcp: "
				     "or unix:",
				     o->gdb ? o->gdb : "none");
	return check_stdio(o, err);
}

int options_parse(struct cli_options *out_options, int argc, char *const *argv,
		  struct umbra_err *err)
{
	struct arguments args = {argv + 1, argc > 1 ? (unsigned)argc - 1 : 0};
	int rc = 0;

	*out_options = (struct cli_options){
		.vm = {.mem_bytes = DEFAULT_MEM_BYTES, .vcpus = 1},
		.gdb = "tcp::0",
	};
	while (args.left > 0 && rc == 0) {
		const char *word = *args.next++;

		args.left--;
		if (word[0] == '-' && word[1])
			rc = parse_option(out_options, word, &args, err);
		else
			rc = parse_word(out_options, word, err);
		/* Help helps most when the rest of the line is wrong. */
		if (rc == 0 &&
		    (out_options->action == CLI_HELP || out_options->action == CLI_VERSION))
			return 0;
	}
	if (rc < 0 || out_options->action != CLI_RUN)
		return rc;
	fill_serial(out_options);
	return check_together(out_options, err);
}
