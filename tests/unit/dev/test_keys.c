/* Unit tests of key names, codes and texts. */
#include "src/dev/keys.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

/* Codes. */

Test(keys, set2_when_translated_back_then_the_same_code_for_every_key)
{
	for (unsigned code = 1; code <= KEY_CODE; code++) {
		uint8_t set2 = key_set2((uint8_t)code);

		cr_expect_neq(set2, 0, "code %02x has none", code);
		cr_expect_eq(key_translate(set2), code, "code %02x", code);
	}
	for (unsigned byte = 0x85; byte <= 0xff; byte++)
		cr_expect_eq(key_translate((uint8_t)byte), byte);
}

Test(keys, known_keys_when_looked_up_then_the_codes_of_the_specification)
{
	static const struct {
		uint8_t set1, set2;
	} rows[] = {
		{0x01, 0x76}, {0x1e, 0x1c}, {0x1c, 0x5a}, {0x39, 0x29}, {0x41, 0x83}, {0x54, 0x84},
		{0x57, 0x78}, {0x58, 0x07}, {0x53, 0x71}, {0x5b, 0x1f}, {0x5d, 0x2f}, {0x56, 0x61},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++)
		cr_expect_eq(key_set2(rows[i].set1), rows[i].set2, "row %zu", i);
}

/* Names. */

Test(keys, names_when_walked_then_each_once_and_each_has_a_code)
{
	for (unsigned i = 0; i < key_name_count; i++) {
		cr_expect_neq(key_names[i].key & KEY_CODE, 0, "%s", key_names[i].name);
		for (unsigned j = 0; j < i; j++)
			cr_expect_str_neq(key_names[i].name, key_names[j].name);
	}
	cr_expect_gt(key_name_count, 140);
}

Test(keys, parse_when_keys_are_joined_then_down_in_order_and_up_in_the_other)
{
	static const struct {
		const char *names;
		unsigned count;
		uint8_t key[3];
	} rows[] = {
		{"a", 1, {0x1e}},
		{"ctrl-alt-delete", 3, {0x1d, 0x38, 0xd3}},
		{"shift_r-kp_enter", 2, {0x36, 0x9c}},
		{"0x1c-0x9d", 2, {0x1c, 0x9d}},
		{"<", 1, {0x56}},
	};
	struct key_event events[2 * KEYS_AT_ONCE];
	unsigned count;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		cr_assert_eq(keys_parse(events, &count, rows[i].names, 25, NULL), 0, "%s",
			     rows[i].names);
		cr_assert_eq(count, 2 * rows[i].count);
		for (unsigned n = 0; n < rows[i].count; n++) {
			const struct key_event *up = &events[count - 1 - n];

			cr_expect(events[n].is_down && !up->is_down);
			cr_expect_eq(events[n].key, rows[i].key[n], "%s", rows[i].names);
			cr_expect_eq(up->key, rows[i].key[n]);
			cr_expect(events[n].lasts_ms == 25 && up->lasts_ms == 25);
		}
	}
}

Test(keys, parse_when_wrong_then_einval_with_the_nearest)
{
	static const struct {
		const char *names, *says;
	} rows[] = {
		{"rett", "did you mean 'ret'?"},
		{"ctrl-alt-delet", "no key is called 'delet'; did you mean 'delete'?"},
		{"bracketleft", "did you mean 'bracket_left'?"},
		{"", "no key is called ''"},
		{"ctrl-", "no key is called ''"},
		{"-a", "no key is called ''"},
		{"a--b", "no key is called ''"},
		{"unheard_of_key", "as in QEMU"},
		{"0x", "no key is called '0x'"},
		{"0x00", "no key is called '0x00'"},
		{"0x80", "no key is called '0x80'"},
		{"0x1ff", "no key is called '0x1ff'"},
		{"0x1cz", "no key is called '0x1cz'"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "56 letters"},
		{"a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q", "at most 16 keys"},
	};
	struct key_event events[2 * KEYS_AT_ONCE];
	struct umbra_err err;
	unsigned count;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		cr_expect_eq(keys_parse(events, &count, rows[i].names, 1, &err), -EINVAL);
		cr_expect_not_null(strstr(err.text, rows[i].says), "%s: %s", rows[i].names,
				   err.text);
	}
	cr_expect_eq(keys_parse(events, &count, "a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p", 1, &err), 0);
}

/* Text. */

Test(keys, text_when_every_character_then_the_keys_of_a_us_keyboard)
{
	static const struct {
		char c;
		uint8_t key;
		bool is_shifted;
	} rows[] = {
		{'a', 0x1e, false}, {'Z', 0x2c, true},	 {'1', 0x02, false},	{'!', 0x02, true},
		{'0', 0x0b, false}, {')', 0x0b, true},	 {'\n', 0x1c, false},	{'\t', 0x0f, false},
		{' ', 0x39, false}, {'"', 0x28, true},	 {'~', 0x29, true},	{'`', 0x29, false},
		{'|', 0x2b, true},  {'\\', 0x2b, false}, {'/', 0x35, false},	{'?', 0x35, true},
		{'{', 0x1a, true},  {'\b', 0x0e, false}, {'\033', 0x01, false},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		char text[2] = {rows[i].c, '\0'};
		struct key_event events[4];
		unsigned count = 4;

		cr_assert_eq(keys_of_text(events, &count, text, NULL), 0, "row %zu", i);
		cr_assert_eq(count, rows[i].is_shifted ? 4 : 2, "row %zu", i);
		cr_expect_eq(events[count / 2 - 1].key, rows[i].key, "row %zu", i);
		cr_expect(events[count / 2 - 1].is_down && !events[count / 2].is_down);
		if (rows[i].is_shifted)
			cr_expect(events[0].key == KEY_SHIFT && events[0].is_down &&
				  events[3].key == KEY_SHIFT && !events[3].is_down);
	}
	for (char c = ' '; c < 0x7f; c++) {
		char text[2] = {c, '\0'};
		struct key_event events[4];
		unsigned count = 4;

		cr_expect_eq(keys_of_text(events, &count, text, NULL), 0, "%c", c);
	}
}

Test(keys, text_when_no_key_or_too_long_then_einval)
{
	struct key_event events[10];
	struct umbra_err err;
	unsigned count = 10;

	cr_expect_eq(keys_of_text(events, &count, "ab\303\244", &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, "character 3, 0xc3"), "%s", err.text);
	cr_expect_eq(keys_of_text(events, &count, "a\rb", &err), -EINVAL);
	cr_expect_eq(keys_of_text(events, &count, "abcde", &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, "longer than 4"), "%s", err.text);
	cr_expect_eq(keys_of_text(events, &count, "", &err), 0);
	cr_expect_eq(count, 0);
}
