/* Records in their two forms from the same calls. */
#include "src/debug/mon_record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char text[8192];

static void collect(void *ctx, const char *piece, size_t len)
{
	size_t used = strlen(text);

	(void)ctx;
	cr_assert_lt(used + len, sizeof(text));
	memcpy(text + used, piece, len);
	text[used + len] = '\0';
}

static struct mon_record begin(bool is_json)
{
	static const struct print_sink out = {.text = collect};
	struct mon_record record;

	text[0] = '\0';
	record_init(&record, &out, is_json);
	return record;
}

static void tell_all(struct mon_record *r)
{
	record_begin(r, "walk");
	record_hex(r, "gva", 0x401000);
	record_hex16(r, "pte", 0x1067);
	record_number(r, "n", 7);
	record_number(r, "big", (1ull << 53) + 1);
	record_bool(r, "nx", true);
	record_mark(r, "G", true);
	record_mark(r, "H", false);
	record_string(r, "why", "W=0 \"here\"\n");
	record_string(r, "to", "none");
	record_bare(r, "flags", "PWU");
	record_null(r, "fault");
	record_object(r, "rights", " rights=");
	record_pair(r, "u", "r--");
	record_pair(r, "k", "rw-");
	record_object_end(r);
	record_list(r, "levels");
	for (unsigned i = 2; i > 0; i--) {
		record_item(r, i == 2 ? "L2" : "L1");
		record_number(r, "i", i);
		record_words(r, " -> %u", i);
		record_item_end(r);
	}
	record_list_end(r);
	record_end(r);
}

Test(mon_record, record_when_for_a_person_then_kind_and_pairs)
{
	struct mon_record r = begin(false);

	tell_all(&r);
	cr_assert_str_eq(text,
			 "walk gva=0x401000 pte=0x0000000000001067 n=7 big=9007199254740993 nx=1 G "
			 "why=\"W=0 \\\"here\\\"\\u000a\" to=none PWU rights=u:r-- k:rw-\n"
			 "L2 i=2 -> 2\nL1 i=1 -> 1\n");
	cr_assert_eq(r.total, strlen(text));
}

Test(mon_record, record_when_json_then_one_object_on_one_line)
{
	struct mon_record r = begin(true);

	tell_all(&r);
	cr_assert_str_eq(text,
			 "{\"kind\":\"walk\",\"gva\":\"0x401000\",\"pte\":\"0x1067\",\"n\":7,"
			 "\"big\":\"0x20000000000001\",\"nx\":true,\"G\":true,\"H\":false,"
			 "\"why\":\"W=0 \\\"here\\\"\\u000a\",\"to\":\"none\",\"flags\":\"PWU\","
			 "\"fault\":null,\"rights\":{\"u\":\"r--\",\"k\":\"rw-\"},"
			 "\"levels\":[{\"i\":2},{\"i\":1}]}\n");
}

Test(mon_record, record_when_longer_than_its_buffer_then_complete)
{
	struct mon_record r = begin(true);
	char value[200];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	record_begin_number(&r, "sp", 3);
	for (unsigned i = 0; i < 30; i++)
		record_string(&r, "v", value);
	record_end(&r);
	cr_assert_eq(strlen(text), strlen("{\"kind\":\"sp\",\"sp\":3}\n") + 30 * (5 + 201));
	cr_assert_eq(text[strlen(text) - 2], '}');
}
