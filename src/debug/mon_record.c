/* Records in two forms: see mon_record.h. */
#include "mon_record.h"

#include <stdarg.h>
#include <stdio.h>

/* JSON's numbers are doubles to many readers (RFC 8259, 6). */
#define EXACT_MAX (1ull << 53)

void record_init(struct mon_record *record, const struct print_sink *out, bool is_json)
{
	record->out = out;
	record->is_json = is_json;
	record->total = 0;
	record->len = 0;
	record->is_first = true;
}

static void flush(struct mon_record *record)
{
	record->text[record->len] = '\0';
	if (record->len)
		print_to(record->out, "%s", record->text);
	record->total += record->len;
	record->len = 0;
}

static void put_text(struct mon_record *record, const char *text)
{
	for (; *text; text++) {
		if (record->len + 1 == sizeof(record->text))
			flush(record);
		record->text[record->len++] = *text;
	}
}

__attribute__((format(printf, 2, 3))) static void put(struct mon_record *record, const char *fmt,
						      ...)
{
	char text[320];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put_text(record, text);
}

/* RFC 8259, 7: quotes, backslashes and control letters; the rest of what we print is ASCII. */
static void put_quoted(struct mon_record *record, const char *text)
{
	put_text(record, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put(record, "\\%c", *text);
		else if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
			put(record, "\\u%04x", (unsigned char)*text);
		else
			put(record, "%c", *text);
	}
	put_text(record, "\"");
}

/* What stands before a member's value. */
static void put_key(struct mon_record *record, const char *key)
{
	if (record->is_json)
		put(record, "%s\"%s\":", record->is_first ? "" : ",", key);
	else
		put(record, " %s=", key);
	record->is_first = false;
}

void record_begin_as(struct mon_record *record, const char *kind, const char *title)
{
	if (record->is_json)
		put(record, "{\"kind\":\"%s\"", kind);
	else
		put(record, "%s", title);
	record->is_first = false;
}

void record_begin(struct mon_record *record, const char *kind)
{
	record_begin_as(record, kind, kind);
}

void record_begin_number(struct mon_record *record, const char *kind, uint64_t number)
{
	if (record->is_json)
		put(record, "{\"kind\":\"%s\",\"%s\":%llu", kind, kind, (unsigned long long)number);
	else
		put(record, "%s=%llu", kind, (unsigned long long)number);
	record->is_first = false;
}

void record_end(struct mon_record *record)
{
	put_text(record, record->is_json ? "}\n" : "\n");
	flush(record);
	record->is_first = true;
}

/* Members. */

void record_hex(struct mon_record *record, const char *key, uint64_t value)
{
	put_key(record, key);
	put(record, record->is_json ? "\"0x%llx\"" : "0x%llx", (unsigned long long)value);
}

void record_hex16(struct mon_record *record, const char *key, uint64_t value)
{
	put_key(record, key);
	put(record, record->is_json ? "\"0x%llx\"" : "0x%016llx", (unsigned long long)value);
}

void record_number(struct mon_record *record, const char *key, uint64_t value)
{
	bool is_string = record->is_json && value > EXACT_MAX;

	put_key(record, key);
	put(record, is_string ? "\"0x%llx\"" : "%llu", (unsigned long long)value);
}

void record_string(struct mon_record *record, const char *key, const char *value)
{
	put_key(record, key);
	if (record->is_json || !*value || strpbrk(value, " \"\\"))
		put_quoted(record, value);
	else
		put_text(record, value);
}

void record_bool(struct mon_record *record, const char *key, bool value)
{
	put_key(record, key);
	if (record->is_json)
		put_text(record, value ? "true" : "false");
	else
		put_text(record, value ? "1" : "0");
}

void record_mark(struct mon_record *record, const char *key, bool value)
{
	if (record->is_json)
		record_bool(record, key, value);
	else if (value)
		put(record, " %s", key);
}

void record_bare(struct mon_record *record, const char *key, const char *value)
{
	if (record->is_json)
		record_string(record, key, value);
	else
		put(record, " %s", value);
}

void record_range(struct mon_record *record, gva_t first, gva_t last)
{
	if (record->is_json) {
		record_hex(record, "gva", first);
		record_hex(record, "end", last);
	} else {
		put(record, " 0x%016llx-0x%016llx", (unsigned long long)first,
		    (unsigned long long)last);
	}
}

void record_null(struct mon_record *record, const char *key)
{
	if (!record->is_json)
		return;
	put_key(record, key);
	put_text(record, "null");
}

void record_words(struct mon_record *record, const char *fmt, ...)
{
	char text[320];
	va_list args;

	if (record->is_json)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put_text(record, text);
}

/* Nesting. */

static void open_value(struct mon_record *record, const char *key, const char *bracket)
{
	if (!record->is_json)
		return;
	put_key(record, key);
	put_text(record, bracket);
	record->is_first = true;
}

static void close_value(struct mon_record *record, const char *bracket)
{
	if (!record->is_json)
		return;
	put_text(record, bracket);
	record->is_first = false;
}

void record_object(struct mon_record *record, const char *key, const char *prefix)
{
	open_value(record, key, "{");
	record_words(record, "%s", prefix);
}

/* The first one stands right behind the prefix of its object. */
void record_pair(struct mon_record *record, const char *key, const char *value)
{
	bool is_behind_prefix = record->len && record->text[record->len - 1] == '=';

	if (record->is_json)
		record_string(record, key, value);
	else
		put(record, "%s%s:%s", is_behind_prefix ? "" : " ", key, value);
}

void record_object_end(struct mon_record *record)
{
	close_value(record, "}");
}

void record_list(struct mon_record *record, const char *key)
{
	open_value(record, key, "[");
}

void record_item(struct mon_record *record, const char *head)
{
	if (record->is_json) {
		put_text(record, record->is_first ? "{" : ",{");
		record->is_first = true;
	} else {
		put(record, "\n%s", head);
	}
}

void record_item_end(struct mon_record *record)
{
	close_value(record, "}");
}

void record_list_end(struct mon_record *record)
{
	close_value(record, "]");
}
