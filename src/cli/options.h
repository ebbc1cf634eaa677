/* The command line: what it can say, and what it said. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "umbra/debug.h"
#include "umbra/err.h"
#include "umbra/vm.h"

/* -accel: without one, KVM is tried first. */
enum cli_accel { CLI_ACCEL_KVM_OR_SOFT, CLI_ACCEL_KVM, CLI_ACCEL_SOFT };

enum cli_action { CLI_RUN, CLI_HELP, CLI_VERSION, CLI_CHECK_HOST };

/* What the command line asks for.  Strings are argv's. */
struct cli_options {
	enum cli_action action;
	struct vm_config vm; /* accel and fallback are left to main.c */
	enum cli_accel accel;
	const char *gdb; /* the debug port's address; NULL = -gdb none */
	enum debug_disconnect on_disconnect;
	enum debug_arch gdb_arch;
	const char *gdb_modules;
	const char *addr_file;
	bool starts_stopped;   /* -S */
	bool exits_on_reset;   /* -no-reboot */
	bool dies_with_parent; /* --die-with-parent */
	bool has_halt_code;    /* --on-halt exit:N */
	int halt_code;	       /* N */
	uint64_t timeout_ns;   /* 0 = none */
	unsigned serial_count; /* -serial words seen */
};

/* One word of the command line.  The table of them drives parsing, --help, and the search for what
 * a mistyped word may have meant. */
struct option_row {
	const char *name; /* as --help shows it, dashes included; NULL: a heading, see help */
	const char *arg;  /* its value's name, NULL when it takes none */
	/* Lines are separated by '\n'.  NULL: accepted but not listed, because it asks for what is
	 * so anyway, or is a second name. */
	const char *help;
	/* Errors: -EINVAL; the text says what is wrong with @value. */
	int (*set)(struct cli_options *options, const char *value, struct umbra_err *err);
};

/* Row @index, or NULL past the last. */
const struct option_row *option_row_at(unsigned index);
/* The row for @name of @len bytes without dashes, or NULL. */
const struct option_row *option_row_find(const char *name, size_t len);
/* Why QEMU's option @name of @len bytes is not among them; NULL when QEMU has none of that name. */
const char *option_foreign_hint(const char *name, size_t len);

/* @argv as given to main.  Errors: -EINVAL with a text for the user. */
int options_parse(struct cli_options *out_options, int argc, char *const *argv,
		  struct umbra_err *err);

#endif
