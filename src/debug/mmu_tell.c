/* Stops, breaks, differences and hazards as records: see mmu_tell.h.  Events are in
 * mmu_tell_event.c. */
#include "mmu_tell.h"

#include "mon_mmu.h"

#include <stdio.h>

static unsigned long long ll(uint64_t value)
{
	return value;
}

/* Shared. */

const char *mmu_change_name(unsigned bit)
{
	static const char *const name[] = {"present", "gone", "gpa", "rights", "ad"};

	return bit < UMBRA_ARRAY_SIZE(name) ? name[bit] : NULL;
}

/* "u:r-x": user rights where a user has any, else the kernel's. */
static void format_map(const struct mmu_page_map *map, char who, char out[8])
{
	bool is_allowed = who == 'k' || (map->can & MMU_MAP_U);

	snprintf(out, 8, "%c:%c%c%c", who, is_allowed ? 'r' : '-',
		 is_allowed && (map->can & MMU_MAP_W) ? 'w' : '-',
		 is_allowed && (map->can & MMU_MAP_X) ? 'x' : '-');
}

static char whose(const struct mmu_page_map *before, const struct mmu_page_map *after)
{
	return (before->can | after->can) & MMU_MAP_U ? 'u' : 'k';
}

static void tell_rights(struct mon_record *r, const char *key, const struct mmu_page_map *map,
			char who)
{
	char text[8];

	format_map(map, who, text);
	record_bare(r, key, text);
}

/* "key=0x1 -> key=0x2", for a program key and key_new. */
static void tell_frames(struct mon_record *r, const struct mmu_page_map *before,
			const struct mmu_page_map *after)
{
	record_hex(r, "gpa", before->gpa);
	record_words(r, " -> gpa=0x%llx", ll(after->gpa));
	if (r->is_json)
		record_hex(r, "gpa_new", after->gpa);
}

static void tell_rights_change(struct mon_record *r, const struct mmu_page_map *before,
			       const struct mmu_page_map *after)
{
	char who = whose(before, after);

	tell_rights(r, "rights", before, who);
	record_words(r, " ->");
	tell_rights(r, "rights_new", after, who);
}

static void tell_entry(struct mon_record *r, gpa_t gpa)
{
	if (r->is_json)
		record_hex(r, "at", gpa);
	else
		record_words(r, " pte@0x%llx", ll(gpa));
}

static void tell_cpu(struct mon_record *r, unsigned vcpu)
{
	if (vcpu != MMU_NO_VCPU)
		record_number(r, "cpu", vcpu);
	else if (r->is_json)
		record_null(r, "cpu");
	else
		record_string(r, "cpu", "-");
}

void mmu_tell_writer(struct mon_record *r, const struct mmu_history_record *writer)
{
	record_object(r, "by", " by");
	tell_cpu(r, writer->vcpu);
	if (writer->vcpu != MMU_NO_VCPU)
		record_hex(r, "rip", writer->rip);
	record_number(r, "seq", writer->seq);
	record_object_end(r);
}

/* Stops. */

static void tell_change_names(struct mon_record *r, unsigned change)
{
	char names[48] = "";
	size_t n = 0;

	for (unsigned i = 0; mmu_change_name(i); i++) {
		if (change >> i & 1)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? "," : "",
					      mmu_change_name(i));
	}
	record_string(r, "change", names);
}

static void tell_ad(struct mon_record *r, const struct mmu_stop *stop)
{
	char before[3], after[3];

	snprintf(before, sizeof(before), "%c%c", stop->ad_before & 1 ? 'A' : '-',
		 stop->ad_before & 2 ? 'D' : '-');
	snprintf(after, sizeof(after), "%c%c", stop->ad_after & 1 ? 'A' : '-',
		 stop->ad_after & 2 ? 'D' : '-');
	record_bare(r, "ad", before);
	record_words(r, " ->");
	record_bare(r, "ad_new", after);
}

static void tell_change(struct mon_record *r, const struct mmu_stop *stop)
{
	char who = whose(&stop->before, &stop->after);

	tell_change_names(r, stop->change);
	if (stop->change & MMU_CHANGE_GONE) {
		record_words(r, " was");
		record_hex(r, "gpa", stop->before.gpa);
		tell_rights(r, "rights", &stop->before, who);
	}
	if (stop->change & MMU_CHANGE_PRESENT) {
		record_hex(r, "gpa", stop->after.gpa);
		tell_rights(r, "rights", &stop->after, who);
	}
	if (stop->change & MMU_CHANGE_GPA)
		tell_frames(r, &stop->before, &stop->after);
	if (stop->change & MMU_CHANGE_RIGHTS)
		tell_rights_change(r, &stop->before, &stop->after);
	if (stop->change & MMU_CHANGE_AD)
		tell_ad(r, stop);
	if (stop->pages > 1)
		record_number(r, "pages", stop->pages);
}

static void tell_shadow(struct mon_record *r, const struct mmu_stop *stop)
{
	record_string(r, "event", mmu_event_name(stop->event));
	if (stop->event == MMU_EVENT_FILL || stop->event == MMU_EVENT_ZAP) {
		record_number(r, "sp", stop->sp);
		record_number(r, "i", stop->index);
	}
	if (stop->event == MMU_EVENT_FILL || stop->event == MMU_EVENT_PROTECT)
		record_hex(r, "gpa", stop->gpa);
}

static void tell_details(struct mon_record *r, const struct mmu_stop *stop)
{
	switch (stop->kind) {
	case MMU_BREAK_MAP:
		tell_change(r, stop);
		break;
	case MMU_BREAK_FAULT:
		record_hex(r, "err", stop->error);
		break;
	case MMU_BREAK_WX:
		record_hex(r, "gpa", stop->after.gpa);
		tell_rights(r, "rights", &stop->after, whose(&stop->after, &stop->after));
		break;
	case MMU_BREAK_SHADOW:
	case MMU_BREAK_STEP:
		tell_shadow(r, stop);
		break;
	case MMU_BREAK_PA:
		record_hex(r, "gpa", stop->gpa);
		break;
	case MMU_BREAK_HAZARD:
	case MMU_BREAK_PTE:
	case MMU_BREAK_CR3:
	case MMU_BREAK_INVLPG:
	case MMU_BREAK_KIND_COUNT:
		break;
	}
}

/* The kind of a break has the name that records have theirs by. */
static void tell_kind(struct mon_record *r, enum mmu_break_kind kind)
{
	if (r->is_json)
		record_string(r, "break", mmu_break_kind_name(kind));
	else
		record_string(r, "kind", mmu_break_kind_name(kind));
}

void mmu_tell_stop(struct mon_record *r, const struct mmu_stop *stop)
{
	record_begin_as(r, "stop", "mmu stop");
	record_number(r, "id", stop->id);
	tell_kind(r, stop->kind);
	if (stop->has_gva)
		record_hex(r, "gva", stop->gva);
	tell_details(r, stop);
	tell_cpu(r, stop->vcpu);
	/* A byte that is read or written is told of behind the instruction. */
	if (stop->vcpu != MMU_NO_VCPU)
		record_hex(r, stop->kind == MMU_BREAK_PA && !stop->is_exec ? "next" : "rip",
			   stop->rip);
	if (stop->has_entry)
		tell_entry(r, stop->entry_gpa);
	if (stop->has_entry || stop->has_values || stop->event == MMU_EVENT_CR3) {
		record_hex(r, "old", stop->old);
		record_hex(r, "new", stop->now);
	}
	if (stop->kind != MMU_BREAK_PA)
		record_number(r, "seq", stop->seq);
	record_end(r);
}

struct text {
	char *buf;
	size_t len;
};

static void put_text(void *ctx, const char *text, size_t len)
{
	struct text *t = ctx;
	size_t n = u64_min(len, MMU_STOP_TEXT_MAX - 1 - t->len);

	memcpy(t->buf + t->len, text, n);
	t->len += n;
}

void mmu_stop_text(const struct mmu_stop *stop, char buf[MMU_STOP_TEXT_MAX])
{
	struct text text = {.buf = buf};
	const struct print_sink sink = {put_text, &text};
	struct mon_record record;

	record_init(&record, &sink, false);
	mmu_tell_stop(&record, stop);
	while (text.len && buf[text.len - 1] == '\n')
		text.len--;
	buf[text.len] = '\0';
}

/* Breaks. */

static void tell_event_names(struct mon_record *r, unsigned kinds)
{
	char names[64] = "";
	size_t n = 0;

	for (unsigned kind = 0; kind < MMU_EVENT_KIND_COUNT; kind++) {
		if ((kinds & MMU_EVENT_BIT(kind)) && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? "," : "",
					      mmu_event_name((enum mmu_event_kind)kind));
	}
	record_string(r, "on", names);
}

static void tell_uses(struct mon_record *r, const struct mmu_break *what)
{
	char uses[4] = "";
	size_t n = 0;

	if (what->on_read)
		uses[n++] = 'r';
	if (what->on_write)
		uses[n++] = 'w';
	if (what->on_exec)
		uses[n++] = 'x';
	record_string(r, "on", uses);
}

static void tell_what(struct mon_record *r, const struct mmu_break *what)
{
	bool has_range = what->kind == MMU_BREAK_MAP || what->kind == MMU_BREAK_PTE ||
			 what->kind == MMU_BREAK_PA;
	bool is_linear =
		what->kind == MMU_BREAK_MAP || (what->kind == MMU_BREAK_INVLPG && what->has_value);

	if (is_linear)
		record_hex(r, "gva", what->gva);
	else if (has_range)
		record_hex(r, "gpa", what->gpa);
	if (has_range)
		record_hex(r, "len", what->len);
	if (what->kind == MMU_BREAK_MAP) {
		tell_change_names(r, what->on ? what->on : MMU_CHANGE_MOST);
		if (what->is_any_root)
			record_string(r, "cr3", "*");
		else
			record_hex(r, "cr3", what->root.cr3);
	}
	if (what->kind == MMU_BREAK_PA)
		tell_uses(r, what);
	if (what->kind == MMU_BREAK_SHADOW && what->kinds)
		tell_event_names(r, what->kinds);
	if (what->kind == MMU_BREAK_CR3 && what->has_value)
		record_hex(r, "value", what->value);
	if (what->kind == MMU_BREAK_FAULT && what->error_mask) {
		record_hex(r, "err", what->error);
		record_hex(r, "mask", what->error_mask);
	}
}

void mmu_tell_break(struct mon_record *r, const struct mmu_break_info *info)
{
	record_begin(r, "break");
	record_number(r, "id", info->id);
	tell_kind(r, info->what.kind);
	tell_what(r, &info->what);
	record_number(r, "hits", info->hits);
	record_bool(r, "enabled", info->is_enabled);
	record_end(r);
}

/* Differences. */

void mmu_tell_diff(struct mon_record *r, const struct mmu_diff *diff)
{
	static const struct {
		const char *kind, *title;
	} names[] = {[MMU_DIFF_ADDED] = {"added", "diff +"},
		     [MMU_DIFF_REMOVED] = {"removed", "diff -"},
		     [MMU_DIFF_CHANGED] = {"changed", "diff ~"}};
	const struct mmu_page_map *map =
		diff->kind == MMU_DIFF_REMOVED ? &diff->before : &diff->after;

	record_begin_as(r, "diff", names[diff->kind].title);
	if (r->is_json) {
		record_string(r, "change", names[diff->kind].kind);
		record_hex(r, "gva", diff->gva);
	} else {
		record_words(r, " 0x%llx", ll(diff->gva));
	}
	record_hex(r, "len", diff->len);
	if (diff->kind == MMU_DIFF_REMOVED)
		record_words(r, " was");
	if (diff->kind == MMU_DIFF_CHANGED && diff->before.gpa != diff->after.gpa)
		tell_frames(r, &diff->before, &diff->after);
	else
		record_hex(r, "gpa", map->gpa);
	mmu_tell_size(r, diff->page_size);
	if (diff->kind == MMU_DIFF_CHANGED)
		tell_rights_change(r, &diff->before, &diff->after);
	else
		tell_rights(r, "rights", map, whose(map, map));
	record_hex(r, "cr3", diff->cr3);
	if (diff->has_writer) {
		mmu_tell_writer(r, &diff->writer);
		tell_entry(r, diff->entry_gpa);
	}
	record_end(r);
}

/* Hazards. */

void mmu_tell_hazard(struct mon_record *r, const struct mmu_hazard_report *report)
{
	record_begin(r, "hazard");
	record_hex(r, "gva", report->gva);
	record_string(r, "why", mmu_hazard_kind_name(report->kind));
	record_string(r, "access",
		      report->access & X86_PF_I	  ? "x"
		      : report->access & X86_PF_W ? "w"
						  : "r");
	record_object(r, "used", " used");
	record_number(r, "cpu", report->vcpu);
	record_hex(r, "rip", report->rip);
	record_number(r, "seq", report->seq);
	record_object_end(r);
	record_words(r, ";");
	tell_entry(r, report->entry_gpa);
	record_number(r, "level", report->level);
	record_hex(r, "old", report->old);
	record_hex(r, "new", report->now);
	if (report->has_writer)
		mmu_tell_writer(r, &report->writer);
	record_hex(r, "cached_gpa", report->cached_gpa);
	record_hex(r, "gpa", report->gpa);
	record_words(r, "; no flush on cpu=%u since", report->vcpu);
	record_end(r);
}
