/* Unit tests of src/base/nearest.c: "did you mean". */
#include "umbra/nearest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const WORDS[] = {"help", "info", "reset", "quit", "version", "regs"};

static const char *near(const char *word)
{
	return nearest_word(word, WORDS, sizeof(WORDS) / sizeof(WORDS[0]));
}

Test(nearest, word_when_mistyped_then_found)
{
	static const struct {
		const char *typed, *meant;
	} cases[] = {
		{"rest", "reset"},   /* left out */
		{"resset", "reset"}, /* put in */
		{"rezet", "reset"},  /* replaced */
		{"rseet", "reset"},  /* swapped */
		{"RESET", "reset"},	{"hlep", "help"},
		{"verison", "version"}, {"versoinn", "version"}, /* two edits */
		{"quti", "quit"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = near(cases[i].typed);

		cr_assert(got && strcmp(got, cases[i].meant) == 0, "%s: %s", cases[i].typed,
			  got ? got : "nothing");
	}
}

Test(nearest, word_when_nothing_is_near_then_null)
{
	static const char *const far[] = {"", "x", "xyzzy", "memory", "vrso", "he1l0x"};

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
		cr_assert_null(near(far[i]), "'%s' is not near %s", far[i], near(far[i]));
}

Test(nearest, word_when_equally_near_then_first_of_the_list)
{
	static const char *const words[] = {"bat", "cat"};

	cr_assert_str_eq(nearest_word("aat", words, 2), "bat");
}

Test(nearest, word_when_very_long_then_no_guess_and_no_overrun)
{
	char word[1000];
	const char *const words[] = {word};

	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	cr_assert_null(near(word));
	cr_assert_null(nearest_word("help", words, 1));
}
