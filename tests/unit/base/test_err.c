/* Unit tests of src/base/err.c, print.c and log.c: texts for people. */
#include "umbra/err.h"
#include "umbra/log.h"
#include "umbra/print.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

Test(err, set_when_called_then_text_and_negative_code)
{
	struct umbra_err err;

	cr_assert_eq(umbra_err_set(&err, EINVAL, "%s is %d", "x", 7), -EINVAL);
	cr_assert_str_eq(err.text, "x is 7");
}

Test(err, set_when_no_struct_then_only_the_code)
{
	cr_assert_eq(umbra_err_set(NULL, ENOENT, "unheard"), -ENOENT);
	umbra_err_prefix(NULL, "unheard");
}

Test(err, set_when_text_is_long_then_cut_and_terminated)
{
	struct umbra_err err;
	char text[2 * UMBRA_ERR_MAX];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	umbra_err_set(&err, EIO, "%s", text);
	cr_assert_eq(strlen(err.text), UMBRA_ERR_MAX - 1u);
	umbra_err_prefix(&err, "b");
	cr_assert_eq(strlen(err.text), UMBRA_ERR_MAX - 1u);
	cr_assert_eq(strncmp(err.text, "b: aaa", 6), 0);
}

Test(err, prefix_when_called_twice_then_outermost_first)
{
	struct umbra_err err;

	umbra_err_set(&err, EIO, "inner");
	umbra_err_prefix(&err, "middle %d", 2);
	umbra_err_prefix(&err, "outer");
	cr_assert_str_eq(err.text, "outer: middle 2: inner");
}

struct collected {
	char text[4096];
	size_t len;
	unsigned calls;
};

static void collect(void *ctx, const char *text, size_t len)
{
	struct collected *c = ctx;

	cr_assert_lt(c->len + len, sizeof(c->text));
	memcpy(c->text + c->len, text, len);
	c->len += len;
	c->text[c->len] = '\0';
	c->calls++;
}

Test(print, to_when_short_or_long_then_one_whole_call)
{
	static const size_t lengths[] = {0, 1, 510, 511, 512, 513, 3000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct collected got = {.len = 0};
		struct print_sink sink = {.text = collect, .ctx = &got};
		char text[3001];

		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		print_to(&sink, "%s", text);
		cr_assert_eq(got.calls, 1);
		cr_assert_eq(got.len, lengths[i]);
		cr_assert_str_eq(got.text, text);
	}
}

/* What log_line writes for @level, with @threshold set. */
static void logged(enum log_level threshold, enum log_level level, const char *text, char *out,
		   size_t size)
{
	int fds[2];
	int saved = dup(STDERR_FILENO);
	ssize_t got;

	cr_assert_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	log_set_level(threshold);
	log_line(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[1]);
	got = read(fds[0], out, size - 1);
	cr_assert_geq(got, 0);
	out[got] = '\0';
	close(fds[0]);
}

Test(log, line_when_below_the_level_then_one_prefixed_line)
{
	char got[4096];

	logged(LOG_WARN, LOG_ERROR, "e", got, sizeof(got));
	cr_assert_str_eq(got, "umbra: e\n");
	logged(LOG_WARN, LOG_WARN, "w", got, sizeof(got));
	cr_assert_str_eq(got, "umbra: warning: w\n");
	logged(LOG_ERROR, LOG_WARN, "w", got, sizeof(got));
	cr_assert_str_eq(got, "");
}

Test(log, line_when_too_long_then_cut_but_ended)
{
	char text[3000];
	char got[4096];

	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	logged(LOG_ERROR, LOG_ERROR, text, got, sizeof(got));
	cr_assert_leq(strlen(got), 1024);
	cr_assert_eq(got[strlen(got) - 1], '\n');
}
