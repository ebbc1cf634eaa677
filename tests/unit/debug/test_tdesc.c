/* Unit tests of target.xml: well-formed, complete, and what the register table says. */
#include "src/debug/flags.h"
#include "src/debug/regs.h"
#include "src/debug/tdesc.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char xml[TDESC_MAX];

static void write_xml(bool is_open)
{
	size_t len = tdesc_write(xml, sizeof(xml), is_open ? TDESC_OPEN : TDESC_X86_64);

	cr_assert_gt(len, 0);
	cr_assert_eq(strlen(xml), len);
}

/* The value of attribute @name in the tag at @tag, or NULL. */
static const char *attribute(const char *tag, const char *name, char value[64])
{
	char pattern[40];
	const char *end = strchr(tag, '>');
	const char *at;
	size_t len;

	snprintf(pattern, sizeof(pattern), " %s=\"", name);
	at = strstr(tag, pattern);
	if (!at || at > end)
		return NULL;
	at += strlen(pattern);
	len = strcspn(at, "\"");
	cr_assert_lt(len, 64);
	memcpy(value, at, len);
	value[len] = '\0';
	return value;
}

/* Every element is closed, in order, and every attribute is quoted. */
static void check_form(bool is_open)
{
	char open[16][32];
	unsigned depth = 0, elements = 0;
	const char *at;

	write_xml(is_open);
	at = strstr(xml, "<target");
	while (at && *at) {
		const char *end = strchr(at, '>');
		size_t name_len = strcspn(at + 1, " />");
		unsigned quotes = 0;

		cr_assert_not_null(end);
		for (const char *c = at + 1; c < end; c++) {
			quotes += *c == '"';
			cr_assert_neq(*c, '<');
		}
		cr_assert_eq(quotes % 2, 0);
		if (at[1] == '/') {
			cr_assert_gt(depth, 0);
			depth--;
			cr_assert_eq(strncmp(at + 2, open[depth], strlen(open[depth])), 0,
				     "%.20s closes %s", at, open[depth]);
		} else if (end[-1] != '/') {
			cr_assert_lt(depth, 16);
			snprintf(open[depth++], sizeof(open[0]), "%.*s", (int)name_len, at + 1);
		}
		elements++;
		at = strchr(end, '<');
	}
	cr_assert_eq(depth, 0);
	cr_assert_gt(elements, 100);
}

Test(tdesc, xml_when_parsed_then_well_formed)
{
	check_form(false);
	check_form(true);
}

Test(tdesc, xml_when_read_then_lists_the_registers_of_x86_64)
{
	const char *at;
	unsigned reg = 0;
	char value[64];

	write_xml(false);
	cr_assert_not_null(strstr(xml, "<architecture>i386:x86-64</architecture>"));
	for (at = strstr(xml, "<reg "); at; at = strstr(at + 1, "<reg ")) {
		const struct reg_desc *desc = regs_at(reg++);

		cr_assert_not_null(desc);
		cr_assert_str_eq(attribute(at, "name", value), desc->name);
		cr_assert_eq((unsigned)atoi(attribute(at, "bitsize", value)), desc->bits);
		cr_assert_eq(attribute(at, "regnum", value), NULL, "order is the number");
	}
	cr_assert_eq(reg, regs_x86_64_count());
}

/* The numbers that gdb works out are those of the table; what it needs for an i386 is in its core
 * feature; and no register has a type whose size depends on the architecture. */
Test(tdesc, xml_when_open_then_registers_of_both_architectures)
{
	const char *at;
	unsigned next = 0, count = 0;
	char value[64];

	write_xml(true);
	cr_assert_null(strstr(xml, "<architecture>"));
	cr_assert_null(strstr(xml, "_ptr"));
	cr_assert_null(strstr(xml, "gdb.i386.segments"));
	for (at = strstr(xml, "<reg "); at; at = strstr(at + 1, "<reg "), count++) {
		const char *number = attribute(at, "regnum", value);

		next = number ? (unsigned)atoi(number) : next;
		cr_assert_str_eq(attribute(at, "name", value), regs_at(next)->name);
		next++;
	}
	cr_assert_eq(count, regs_count() - 1, "all but that of Linux");
	at = strstr(xml, "</feature>");
	cr_assert_lt(strstr(xml, "\"rax\""), at);
	cr_assert_lt(strstr(xml, "\"eip\""), at);
}

/* What gdb needs before it knows $_siginfo and system calls, and else what x86-64 has. */
Test(tdesc, xml_when_for_linux_then_its_register_and_osabi_besides)
{
	static char plain[TDESC_MAX];
	const char *at;
	char value[64];

	write_xml(false);
	memcpy(plain, xml, sizeof(plain));
	cr_assert_gt(tdesc_write(xml, sizeof(xml), TDESC_X86_64_LINUX), 0);
	cr_assert_not_null(strstr(xml, "<osabi>GNU/Linux</osabi>"));
	at = strstr(xml, "<feature name=\"org.gnu.gdb.i386.linux\">");
	cr_assert_not_null(at);
	cr_assert_str_eq(attribute(strstr(at, "<reg "), "name", value), "orig_rax");
	cr_assert_str_eq(attribute(strstr(at, "<reg "), "bitsize", value), "64");
	cr_assert_eq(tdesc_reg_count(TDESC_X86_64_LINUX), tdesc_reg_count(TDESC_X86_64) + 1);
	*strstr(plain, "</target>") = '\0';
	*strstr(at, "<feature") = '\0';
	cr_assert_str_eq(strstr(xml, "<feature"), strstr(plain, "<feature"));
}

/* What names an i386 differs from the open one in that alone. */
Test(tdesc, xml_when_an_i386_then_its_name_and_the_same_registers)
{
	static const struct {
		enum tdesc_arch arch;
		const char *element;
	} cases[] = {
		{TDESC_I386, "<architecture>i386</architecture>"},
		{TDESC_I8086, "<architecture>i8086</architecture>"},
	};
	static char open[TDESC_MAX];

	write_xml(true);
	memcpy(open, xml, sizeof(open));
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		const char *at;

		cr_assert_gt(tdesc_write(xml, sizeof(xml), cases[i].arch), 0);
		at = strstr(xml, cases[i].element);
		cr_assert_not_null(at);
		cr_assert_str_eq(at + strlen(cases[i].element),
				 strstr(open, "<target version=\"1.0\">") +
					 strlen("<target version=\"1.0\">"));
	}
}

/* A type must stand before the register that uses it, in the same feature. */
Test(tdesc, xml_when_a_type_is_used_then_defined_before)
{
	static const char *const builtin[] = {"int64", "data_ptr", "code_ptr", "i387_ext",
					      "int32", "uint16",   "uint32"};

	write_xml(true);
	for (unsigned i = 0; i < regs_count(); i++) {
		const char *type = regs_at(i)->type;
		bool is_builtin = !type;
		char id[64], name[64];
		const char *definition, *use;

		for (size_t b = 0; !is_builtin && b < UMBRA_ARRAY_SIZE(builtin); b++)
			is_builtin = strcmp(type, builtin[b]) == 0;
		if (is_builtin)
			continue;
		snprintf(id, sizeof(id), " id=\"%s\"", type);
		snprintf(name, sizeof(name), "<reg name=\"%s\"", regs_at(i)->name);
		definition = strstr(xml, id);
		use = strstr(xml, name);
		cr_assert(definition && use && definition < use, "%s", type);
		cr_assert_gt(strstr(definition, "</feature>"), use, "%s: another feature", type);
	}
}

Test(tdesc, write_when_buffer_is_short_then_zero_and_no_overrun)
{
	char small[TDESC_MAX];
	size_t full;

	write_xml(true);
	full = strlen(xml);
	for (size_t size = 0; size <= full; size += 97) {
		memset(small, 0x5a, sizeof(small));
		cr_assert_eq(tdesc_write(small, size, TDESC_OPEN), 0);
		for (size_t i = size; i < sizeof(small); i++)
			cr_assert_eq(small[i], 0x5a);
	}
}

Test(flags, table_when_walked_then_bits_ascend_and_fit)
{
	for (unsigned i = 0; flags_at(i); i++) {
		const struct flags_type *type = flags_at(i);
		unsigned last = 0, n = 0;

		for (const struct flag_bit *b = type->bit; b->name; b++, n++) {
			cr_assert_lt(b->bit + b->more, 8 * type->bytes);
			cr_assert(n == 0 || b->bit > last, "%s bit %u", type->id, b->bit);
			last = b->bit + b->more;
		}
		cr_assert_lt(n, FLAGS_MAX_BITS, "%s: no end", type->id);
	}
}

Test(flags, format_when_bits_are_set_then_highest_first)
{
	char text[64];

	flags_format("x86_cr0", 0x80000011, text, sizeof(text));
	cr_assert_str_eq(text, "PG ET PE");
	flags_format("i386_eflags", 0x202, text, sizeof(text));
	cr_assert_str_eq(text, "IF");
	flags_format("x86_cr0", ~0ull, text, 6);
	cr_assert_str_eq(text, "PG CD");
	flags_format("x86_rights", 0xa09b, text, sizeof(text));
	cr_assert_str_eq(text, "G L P S TYPE=11");
	flags_format("x86_rights", 0xa0fb, text, sizeof(text));
	cr_assert_str_eq(text, "G L P DPL=3 S TYPE=11");
	flags_format("no_such", ~0ull, text, sizeof(text));
	cr_assert_str_eq(text, "");
}
