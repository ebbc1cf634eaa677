/* Unit tests of BTF: made by hand, cut at every byte, and damaged. */
#include "src/debug/btf.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define STRINGS "\0other\0task\0pid\0comm\0bits\0flagged"
enum { OTHER = 1, TASK = 7, PID = 12, COMM = 16, BITS = 21, FLAGGED = 26 };

#define INFO(kind, count) ((uint32_t)(kind) << 24 | (count))

/* One of most kinds before the structures, so that each must be passed over rightly. */
static const uint32_t types[] = {
	OTHER,
	INFO(1, 0),
	4,
	32, /* INT */
	0,
	INFO(2, 0),
	1, /* PTR */
	0,
	INFO(3, 0),
	0,
	1,
	1,
	4, /* ARRAY */
	OTHER,
	INFO(4, 1),
	8,
	PID,
	1,
	32, /* STRUCT of another name */
	OTHER,
	INFO(6, 2),
	4,
	PID,
	0,
	COMM,
	1, /* ENUM */
	0,
	INFO(13, 1),
	1,
	PID,
	1, /* FUNC_PROTO */
	OTHER,
	INFO(14, 0),
	1,
	0, /* VAR */
	OTHER,
	INFO(19, 1),
	8,
	PID,
	1,
	0, /* ENUM64 */
	TASK,
	INFO(4, 3),
	32,
	PID,
	1,
	64,
	COMM,
	1,
	128,
	BITS,
	1,
	203, /* STRUCT task */
	FLAGGED,
	INFO(4, 2) | 1u << 31,
	8,
	PID,
	1,
	96,
	BITS,
	1,
	3u << 24 | 128,
};

#define BYTES (BTF_HEADER_BYTES + sizeof(types) + sizeof(STRINGS))

static void build(uint8_t bytes[BYTES])
{
	memset(bytes, 0, BYTES);
	le16_put(bytes, 0xeb9f);
	bytes[2] = 1;
	le32_put(bytes + 4, BTF_HEADER_BYTES);
	le32_put(bytes + 8, 0);
	le32_put(bytes + 12, sizeof(types));
	le32_put(bytes + 16, sizeof(types));
	le32_put(bytes + 20, sizeof(STRINGS));
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(types); i++)
		le32_put(bytes + BTF_HEADER_BYTES + 4 * i, types[i]);
	memcpy(bytes + BTF_HEADER_BYTES + sizeof(types), STRINGS, sizeof(STRINGS));
}

static const struct {
	const char *structure, *member;
	bool is_there;
	uint32_t offset;
} cases[] = {
	{"task", "pid", true, 8},      {"task", "comm", true, 16}, {"other", "pid", true, 4},
	{"flagged", "pid", true, 12},  {"task", "bits", false, 0}, /* not at a byte */
	{"flagged", "bits", false, 0},				   /* a bit field */
	{"task", "none", false, 0},    {"none", "pid", false, 0},  {"tas", "pid", false, 0},
	{"task", "pi", false, 0},
};

Test(btf, offsets_when_asked_then_those_of_whole_members)
{
	uint8_t bytes[BYTES];
	struct btf btf;

	build(bytes);
	cr_assert_eq(btf_bytes(bytes), BYTES);
	cr_assert(btf_open(&btf, bytes, BYTES));
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		uint32_t offset = 0;

		cr_assert_eq(btf_offset_of(&btf, cases[i].structure, cases[i].member, &offset),
			     cases[i].is_there, "%s.%s", cases[i].structure, cases[i].member);
		if (cases[i].is_there)
			cr_assert_eq(offset, cases[i].offset);
	}
}

/* In memory of exactly that size, so that a sanitizer sees a read behind it. */
Test(btf, open_when_cut_anywhere_then_refused)
{
	uint8_t bytes[BYTES];

	build(bytes);
	for (size_t len = 0; len < BYTES; len++) {
		uint8_t *cut = malloc(len ? len : 1);
		struct btf btf;

		cr_assert_not_null(cut);
		memcpy(cut, bytes, len);
		cr_assert_not(btf_open(&btf, cut, len), "%zu bytes", len);
		free(cut);
	}
}

/* Every byte of it in turn is something else: nothing is read outside, whatever is found. */
Test(btf, any_byte_when_damaged_then_no_read_outside)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	uint8_t *bytes = malloc(BYTES);

	cr_assert_not_null(bytes);
	for (size_t at = 0; at < BYTES; at++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			struct btf btf;

			build(bytes);
			bytes[at] = values[v];
			if (!btf_open(&btf, bytes, BYTES))
				continue;
			for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
				uint32_t offset;

				btf_offset_of(&btf, cases[i].structure, cases[i].member, &offset);
			}
		}
	}
	free(bytes);
}

Test(btf, sizes_when_asked_then_those_of_structures)
{
	uint8_t bytes[BYTES];
	struct btf btf;
	uint32_t size = 0;

	build(bytes);
	cr_assert(btf_open(&btf, bytes, BYTES));
	cr_assert(btf_size_of(&btf, "task", &size));
	cr_assert_eq(size, 32);
	cr_assert_not(btf_size_of(&btf, "none", &size));
}
