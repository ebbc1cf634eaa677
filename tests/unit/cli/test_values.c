/* Numbers, sizes, times and choices as they stand on the command line. */
#include "src/cli/values.h"

#include "umbra/types.h"

#include <criterion/criterion.h>
#include <errno.h>

static const struct {
	const char *text;
	uint64_t min, max;
	int rc;
	uint64_t number;
} NUMBERS[] = {
	{"0", 0, 9, 0, 0},
	{"9", 0, 9, 0, 9},
	{"10", 0, 9, -EINVAL, 0},
	{"3", 4, 9, -EINVAL, 0},
	{"0x1f", 0, 99, 0, 31},
	{"0XfF", 0, 255, 0, 255},
	{"010", 0, 99, 0, 10},
	{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
	{"18446744073709551616", 0, UINT64_MAX, -EINVAL, 0},
	{"0xffffffffffffffff", 0, UINT64_MAX, 0, UINT64_MAX},
	{"0x10000000000000000", 0, UINT64_MAX, -EINVAL, 0},
	{"", 0, 9, -EINVAL, 0},
	{"0x", 0, 9, -EINVAL, 0},
	{"-1", 0, 9, -EINVAL, 0},
	{"+1", 0, 9, -EINVAL, 0},
	{" 1", 0, 9, -EINVAL, 0},
	{"1 ", 0, 9, -EINVAL, 0},
	{"1f", 0, 99, -EINVAL, 0},
};

Test(cli_values, number_when_each_text_then_value_or_einval)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(NUMBERS); i++) {
		struct umbra_err err = {""};
		uint64_t number = 0;
		int rc = value_number(NUMBERS[i].text, NUMBERS[i].min, NUMBERS[i].max, &number,
				      &err);

		cr_expect(rc == NUMBERS[i].rc, "'%s': rc %d", NUMBERS[i].text, rc);
		cr_expect(number == NUMBERS[i].number, "'%s': %llu", NUMBERS[i].text,
			  (unsigned long long)number);
		cr_expect((rc == 0) == !err.text[0], "'%s': text '%s'", NUMBERS[i].text, err.text);
	}
}

static const struct {
	const char *text;
	int rc;
	uint64_t bytes;
} SIZES[] = {
	{"1", 0, 1ull << 20},
	{"128", 0, 128ull << 20},
	{"512M", 0, 512ull << 20},
	{"512m", 0, 512ull << 20},
	{"2G", 0, 2ull << 30},
	{"64g", 0, 64ull << 30},
	{"2048K", 0, 2ull << 20},
	{"1028k", 0, 1028ull << 10},
	{"1025K", -EINVAL, 0},
	{"0", -EINVAL, 0},
	{"1023K", -EINVAL, 0},
	{"65G", -EINVAL, 0},
	{"65537", -EINVAL, 0},
	{"1T", -EINVAL, 0},
	{"1MB", -EINVAL, 0},
	{"M", -EINVAL, 0},
	{"", -EINVAL, 0},
	{"-1", -EINVAL, 0},
	{"99999999999999999999", -EINVAL, 0},
	{"0xffffffffffffffff", -EINVAL, 0},
	{"18446744073709551615G", -EINVAL, 0},
	{"0x10M", 0, 16ull << 20},
};

Test(cli_values, size_when_each_text_then_bytes_or_einval)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(SIZES); i++) {
		struct umbra_err err = {""};
		uint64_t bytes = 0;
		int rc = value_size(SIZES[i].text, 1ull << 20, 64ull << 30, &bytes, &err);

		cr_expect(rc == SIZES[i].rc, "'%s': rc %d", SIZES[i].text, rc);
		cr_expect(bytes == SIZES[i].bytes, "'%s': %llu", SIZES[i].text,
			  (unsigned long long)bytes);
		cr_expect((rc == 0) == !err.text[0], "'%s': text '%s'", SIZES[i].text, err.text);
	}
}

static const struct {
	const char *text;
	int rc;
	uint64_t ns;
} TIMES[] = {
	{"10", 0, 10000000000},
	{"0.5", 0, 500000000},
	{".25", 0, 250000000},
	{"1.", -EINVAL, 0},
	{".", -EINVAL, 0},
	{"", -EINVAL, 0},
	{"0", -EINVAL, 0},
	{"0.0", -EINVAL, 0},
	{"0.000000001", 0, 1},
	{"0.0000000001", -EINVAL, 0},
	{"1.0000000009", 0, 1000000000},
	{"1000000000", 0, 1000000000000000000},
	{"1000000001", -EINVAL, 0},
	{"1e3", -EINVAL, 0},
	{"-1", -EINVAL, 0},
	{"nan", -EINVAL, 0},
	{"0x10", -EINVAL, 0},
	{"1.5s", -EINVAL, 0},
	{"99999999999999999999", -EINVAL, 0},
};

Test(cli_values, seconds_when_each_text_then_ns_or_einval)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(TIMES); i++) {
		struct umbra_err err = {""};
		uint64_t ns = 0;
		int rc = value_seconds(TIMES[i].text, &ns, &err);

		cr_expect(rc == TIMES[i].rc, "'%s': rc %d", TIMES[i].text, rc);
		cr_expect(ns == TIMES[i].ns, "'%s': %llu", TIMES[i].text, (unsigned long long)ns);
		cr_expect((rc == 0) == !err.text[0], "'%s': text '%s'", TIMES[i].text, err.text);
	}
}

static const char *const WORDS[] = {"resume", "stay", "exit"};

Test(cli_values, choice_when_word_is_known_then_its_index)
{
	unsigned index = 99;

	cr_assert(value_choice("exit", WORDS, 3, &index, NULL) == 0);
	cr_assert(index == 2);
}

Test(cli_values, choice_when_word_is_unknown_then_text_lists_all_and_the_nearest)
{
	struct umbra_err err = {""};
	unsigned index = 99;

	cr_assert(value_choice("resum", WORDS, 3, &index, &err) == -EINVAL);
	cr_assert(index == 99);
	cr_expect(strstr(err.text, "resume, stay, exit") != NULL, "%s", err.text);
	cr_expect(strstr(err.text, "did you mean 'resume'?") != NULL, "%s", err.text);
	cr_assert(value_choice("completely-else", WORDS, 3, &index, &err) == -EINVAL);
	cr_expect(strstr(err.text, "did you mean") == NULL, "%s", err.text);
}

Test(cli_values, after_key_when_key_differs_then_null)
{
	const char *text = "size=5";

	cr_assert(value_after_key(text, "size") == text + 5);
	cr_assert(value_after_key(text, "siz") == NULL);
	cr_assert(value_after_key(text, "size=5") == NULL);
	cr_assert(value_after_key("", "size") == NULL);
}
