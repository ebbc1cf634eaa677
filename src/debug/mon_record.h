/* Records: what a monitor word answers to a person and to a program.  The same calls write
 *
 *   walk gva=0x401000 cpu=0 ...          one line and more for a person: kind, then key=value
 *   {"kind":"walk","gva":"0x401000",...}  exactly one JSON object on one line for a program
 *
 * Addresses and other numbers that may exceed 2^53 are strings in JSON, in hexadecimal.
 * Private to src/debug; control thread. */
#ifndef DEBUG_MON_RECORD_H
#define DEBUG_MON_RECORD_H

#include "umbra/print.h"
#include "umbra/types.h"

/* Text of all records of one word; the debug port carries no more in one answer. */
#define MON_RECORD_TOTAL_MAX 100000u

struct mon_record {
	const struct print_sink *out;
	bool is_json;
	size_t total; /* letters of the records so far */
	/* The record under way. */
	bool is_first; /* no member was written since the last opening bracket */
	size_t len;
	char text[2048];
};

void record_init(struct mon_record *record, const struct print_sink *out, bool is_json);

/* One record: begin, members, end.  The second form begins with a number that names it: sp=19. */
void record_begin(struct mon_record *record, const char *kind);
void record_begin_number(struct mon_record *record, const char *kind, uint64_t number);
/* A person sees @title instead. */
void record_begin_as(struct mon_record *record, const char *kind, const char *title);
void record_end(struct mon_record *record);

/* Members. */
void record_hex(struct mon_record *record, const char *key, uint64_t value);
/* The same with 16 digits for a person. */
void record_hex16(struct mon_record *record, const char *key, uint64_t value);
void record_number(struct mon_record *record, const char *key, uint64_t value);
/* Quoted for a person where it has blanks. */
void record_string(struct mon_record *record, const char *key, const char *value);
void record_bool(struct mon_record *record, const char *key, bool value); /* 1 and 0; true, false */
/* A person sees the bare word, when it is set. */
void record_mark(struct mon_record *record, const char *key, bool value);
/* A person sees the bare value; JSON has the key too. */
void record_bare(struct mon_record *record, const char *key, const char *value);
void record_range(struct mon_record *record, gva_t first, gva_t last); /* JSON: gva and end */
void record_null(struct mon_record *record, const char *key);	       /* a person sees nothing */

/* For one of the two readers only. */
void record_words(struct mon_record *record, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A member that has members: @prefix is what a person sees before the first of them. */
void record_object(struct mon_record *record, const char *key, const char *prefix);
/* A person sees key:value. */
void record_pair(struct mon_record *record, const char *key, const char *value);
void record_object_end(struct mon_record *record);

/* A list of objects; for a person each one begins a line with its @head. */
void record_list(struct mon_record *record, const char *key);
void record_item(struct mon_record *record, const char *head);
void record_item_end(struct mon_record *record);
void record_list_end(struct mon_record *record);

#endif
