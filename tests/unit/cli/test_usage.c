/* --help is made from the table: whatever can be said is in it, and it fits a terminal. */
#include "src/cli/options.h"
#include "src/cli/usage.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct page {
	char text[16384];
	size_t len;
};

static void collect(void *ctx, const char *text, size_t len)
{
	struct page *page = ctx;

	cr_assert(page->len + len < sizeof(page->text));
	memcpy(page->text + page->len, text, len);
	page->len += len;
	page->text[page->len] = '\0';
}

static void help(struct page *page)
{
	const struct print_sink sink = {collect, page};

	page->len = 0;
	usage_help(&sink);
}

Test(cli_usage, help_when_printed_then_it_fits_60_lines_of_80_columns)
{
	static struct page page;
	unsigned lines = 0;
	const char *line, *end;

	help(&page);
	for (line = page.text; *line; line = end + 1) {
		end = strchr(line, '\n');
		cr_assert(end != NULL, "the last line does not end");
		cr_expect(end - line <= 80, "%td columns: %.*s", end - line, (int)(end - line),
			  line);
		cr_expect(!memchr(line, '\t', (size_t)(end - line)));
		lines++;
	}
	cr_expect(lines <= 60, "%u lines", lines);
}

Test(cli_usage, help_when_printed_then_each_listed_option_begins_a_line)
{
	static struct page page;
	const struct option_row *row;
	char wanted[64];
	unsigned i;

	help(&page);
	for (i = 0; (row = option_row_at(i)); i++) {
		if (!row->name || !row->help)
			continue;
		snprintf(wanted, sizeof(wanted), "\n  %s%s%s ", row->name, row->arg ? " " : "",
			 row->arg ? row->arg : "");
		cr_expect(strstr(page.text, wanted) != NULL, "%s is missing", row->name);
	}
	cr_expect(i > 25, "only %u rows were seen", i);
}

Test(cli_usage, table_when_searched_by_each_name_then_finds_that_row)
{
	const struct option_row *row;
	unsigned i;

	for (i = 0; (row = option_row_at(i)); i++) {
		const char *name = row->name ? row->name + strspn(row->name, "-") : NULL;

		if (!name)
			continue;
		cr_expect(option_row_find(name, strlen(name)) == row, "%s stands twice", row->name);
		cr_expect(option_foreign_hint(name, strlen(name)) == NULL, "%s is foreign too",
			  row->name);
		cr_expect(row->set != NULL, "%s does nothing", row->name);
	}
}

Test(cli_usage, version_when_printed_then_name_and_number)
{
	static struct page page;
	const struct print_sink sink = {collect, &page};

	usage_version(&sink);
	cr_assert(strncmp(page.text, "umbra 0.1\n", 10) == 0, "%s", page.text);
}
