/* --help, made from the table that the parser reads, and --version. */
#include "usage.h"

#include "build.h"
#include "options.h"

#include <stdio.h>

#define NAME_COLUMN 24

static const char HEAD[] =
	"Usage: umbra -kernel FILE [OPTION]...\n"
	"       umbra check-host         show what this host can do, and how to mend it\n"
	"\n"
	"Runs FILE on a virtual PC that is debugged with gdb: the first line on stderr is\n"
	"what to type there.  Each option may begin with - or --, and its value follows\n"
	"after a space or an equals sign.\n";

static const char TAIL[] =
	"\n"
	"Exit status: 0 the guest passed or powered off, 1 it failed (or what it asked\n"
	"for), 2 usage, image or host trouble, 3 the guest died, 70 a bug in umbra, 77 no\n"
	"usable accelerator, 124 timeout, 137 killed by the debugger, 130 or 143 by a\n"
	"signal.\n";

static void print_row(const struct option_row *row, const struct print_sink *sink)
{
	const char *line = row->help, *end;
	char left[64];

	snprintf(left, sizeof(left), "%s%s%s", row->name, row->arg ? " " : "",
		 row->arg ? row->arg : "");
	while (line) {
		end = strchr(line, '\n');
		print_to(sink, "  %-*s %.*s\n", NAME_COLUMN, left,
			 end ? (int)(end - line) : (int)strlen(line), line);
		left[0] = '\0';
		line = end ? end + 1 : NULL;
	}
}

void usage_help(const struct print_sink *sink)
{
	const struct option_row *row;
	unsigned i;

	print_to(sink, "%s", HEAD);
	for (i = 0; (row = option_row_at(i)); i++) {
		if (!row->name)
			print_to(sink, "\n%s:\n", row->help);
		else if (row->help)
			print_row(row, sink);
	}
	print_to(sink, "%s", TAIL);
}

void usage_version(const struct print_sink *sink)
{
	print_to(sink, BUILD_VERSION "\n"
				     "for x86-64 hosts and guests, accelerators: kvm, soft\n"
				     "built by " BUILD_COMPILER BUILD_KIND "\n");
}
