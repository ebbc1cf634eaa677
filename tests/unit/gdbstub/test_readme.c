/* The table of packets in gdbstub/README.md and the command table are the same, and each packet has
 * a test there that exists and sends it.  Run from the root of the source tree, as every test is.
 */
#include "gdbstub/internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define README	   "gdbstub/README.md"
#define NAME_MAX   64u
#define FILE_LIMIT (1u << 20)
#define COLUMNS	   5u

/* A whole file with a NUL, or NULL; the caller frees it. */
static char *read_all(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, FILE_LIMIT);
	size_t len;

	cr_assert(text);
	if (!file) {
		free(text);
		return NULL;
	}
	len = fread(text, 1, FILE_LIMIT - 1, file);
	fclose(file);
	cr_assert_lt(len, FILE_LIMIT - 1, "%s is too long for this test", path);
	return text;
}

/* The end of a packet's row that begins with "| `", its name in @name; NULL for another line. */
static const char *row_name(const char *line, char name[NAME_MAX])
{
	const char *end;

	if (strncmp(line, "| `", 3) != 0)
		return NULL;
	end = strstr(line + 3, "` |");
	cr_assert(end && (size_t)(end - line) < NAME_MAX, "%s", line);
	snprintf(name, NAME_MAX, "%.*s", (int)(end - line - 3), line + 3);
	return end + 3;
}

static const struct rsp_command *command_of(const char *name)
{
	size_t count, i;
	const struct rsp_command *table = rsp_command_table(&count);

	for (i = 0; i < count; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Column @index of the row that @line is, without the blanks around it. */
static void column(const char *line, unsigned index, char *out, size_t size)
{
	size_t len;

	for (line++; index > 0; index--) {
		line = strchr(line, '|');
		cr_assert(line);
		line++;
	}
	line += strspn(line, " ");
	len = strcspn(line, "|");
	while (len > 0 && line[len - 1] == ' ')
		len--;
	cr_assert_lt(len, size);
	snprintf(out, size, "%.*s", (int)len, line);
}

/* True when @text defines the test @name, in C or in Python. */
static bool defines(const char *text, const char *name)
{
	char in_c[160], in_python[160];
	const char *at = text;

	snprintf(in_python, sizeof(in_python), "\ndef %s(", name);
	if (strstr(text, in_python))
		return true;
	snprintf(in_c, sizeof(in_c), ", %s", name);
	while ((at = strstr(at, "\nTest(")) != NULL) {
		const char *comma = strchr(at, ',');

		if (comma && strncmp(comma, in_c, strlen(in_c)) == 0 &&
		    strchr(",)", comma[strlen(in_c)]))
			return true;
		at++;
	}
	return false;
}

/* What the last column says of the packet @name holds. */
static bool has_test(const char *name, const char *where)
{
	char path[160], packet[NAME_MAX + 1], framed[NAME_MAX + 1];
	const char *colon = strstr(where, ": ");
	int len = colon ? (int)(colon - where) : (int)strlen(where);
	bool is_good;
	char *text;

	snprintf(path, sizeof(path), "tests/%.*s", len, where);
	snprintf(packet, sizeof(packet), "\"%s", name);
	snprintf(framed, sizeof(framed), "$%s", name);
	text = read_all(path);
	if (!text)
		return false;
	/* A case is what a person types: it names no packet. */
	if (colon)
		is_good =
			defines(text, colon + 2) && (strstr(text, packet) || strstr(text, framed));
	else
		is_good = strstr(path, ".case") != NULL;
	free(text);
	return is_good;
}

static void check_row(const char *line, unsigned *seen)
{
	size_t count;
	const struct rsp_command *table = rsp_command_table(&count), *row;
	char name[NAME_MAX], runs[16], test[256];

	if (!row_name(line, name))
		return;
	row = command_of(name);
	cr_expect(row, "%s: the command table has no such packet", name);
	if (!row)
		return;
	seen[row - table]++;
	column(line, 2, runs, sizeof(runs));
	cr_expect_str_eq(runs, row->may_run_while_running ? "yes" : "", "%s: runs", name);
	column(line, COLUMNS - 1, test, sizeof(test));
	cr_expect(has_test(name, test), "%s: there is no such test of it: %s", name, test);
}

Test(readme, table_of_packets_then_each_has_a_row_and_a_test_that_exists)
{
	size_t count, i;
	const struct rsp_command *table = rsp_command_table(&count);
	unsigned *seen = calloc(count, sizeof(*seen));
	char *text = read_all(README), *rest = text, *line;

	cr_assert(text && seen, "run this from the root of the source tree");
	while ((line = strsep(&rest, "\n")) != NULL)
		check_row(line, seen);
	for (i = 0; i < count; i++)
		cr_expect_eq(seen[i], 1, "%s has %u rows in " README, table[i].name, seen[i]);
	free(seen);
	free(text);
}

Test(readme, wrong_tests_then_found_out)
{
	cr_expect(has_test("vCont", "unit/gdbstub/test_run.c: "
				    "resumes_then_plan_per_thread_and_no_answer"));
	cr_expect_not(has_test("vCont", "unit/gdbstub/test_run.c: resumes_then_plan"));
	cr_expect_not(has_test("vCont", "unit/gdbstub/test_hex.c: "
					"checksum_of_long_data_then_sum_of_bytes"));
	cr_expect_not(has_test("vCont", "unit/gdbstub/nothing.c: nothing"));
	cr_expect_not(has_test("vCont", ""));
	cr_expect_not(has_test("vCont", "unit/gdbstub/test_run.c"));
}
