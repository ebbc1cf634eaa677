/* `mmu trace`, `log` and `step`: the shadow's events as they come. */
#include "mon_mmu.h"

#include "mmu_tell.h"

#include <stdio.h>

#define LOG_DEFAULT 24u

/* The trace, made at its first use; NULL after an error was told. */
static struct mmu_trace *need_trace(struct mmu_call *call)
{
	struct umbra_err err = {.text = ""};
	struct mmu_trace *trace = mmu_watch_trace(&call->target->mmu, &err);

	if (!trace)
		mmu_error(call, call->mmu ? MMU_BACKEND : MMU_NOCAP, "%s", err.text);
	return trace;
}

/* Kinds. */

static const char *const KIND_WORDS[] = {"fault", "fill",   "ptw",   "zap",   "wp",
					 "cr3",	  "invlpg", "flush", "hazard"};

void mmu_help_kinds(const struct print_sink *out)
{
	static const char *const meanings[] = {
		"an access that the shadow cannot serve, with S1 to S3",
		"S4: a shadow entry is made",
		"a guest's page table is written",
		"a shadow entry is dropped",
		"a page becomes a table and is write-protected",
		"CR3 is loaded",
		"INVLPG, or INVPCID of one address",
		"another flush: INVPCID, CR4, CR0",
		"a translation is used without the flush it needed",
	};

	print_to(out, "KINDS, with commas between them, or all:\n");
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(KIND_WORDS); i++)
		print_to(out, "  %-8s %s\n", KIND_WORDS[i], meanings[i]);
}

/* "fault,ptw": a mask of MMU_EVENT_BIT, or 0 after an error was told. */
static unsigned parse_kinds(struct mmu_call *call, const char *list)
{
	unsigned kinds = 0;

	while (*list) {
		size_t len = strcspn(list, ",");
		char word[16] = "";
		unsigned more = 0;

		if (len < sizeof(word)) {
			memcpy(word, list, len);
			more = mmu_trace_kinds_of(word);
		}
		if (!more) {
			mmu_error(call, MMU_BADARG,
				  "no such kind: '%.*s'; they are fault, fill, ptw, zap, wp, cr3, "
				  "invlpg, flush, hazard and all",
				  (int)len, list);
			return 0;
		}
		kinds |= more;
		list += len + (list[len] == ',');
	}
	return kinds;
}

static void tell_kinds(struct mon_record *r, unsigned kinds)
{
	char names[96] = "";
	size_t n = 0;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(KIND_WORDS); i++) {
		unsigned all = mmu_trace_kinds_of(KIND_WORDS[i]);

		if ((kinds & all) == all && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n ? "," : "",
					      KIND_WORDS[i]);
	}
	record_string(r, "on", n ? names : "nothing");
}

/* mmu trace [on [KINDS]|off|clear] */
void mmu_word_trace(struct mmu_call *call)
{
	const char *word = call->argc ? call->argv[0] : "";
	struct mmu_trace *trace = need_trace(call);
	unsigned kinds = MMU_EVENT_ALL;
	struct umbra_err err;

	if (!trace)
		return;
	if (call->argc > 1)
		kinds = parse_kinds(call, call->argv[1]);
	if (!kinds)
		return;
	if (strcmp(word, "clear") == 0) {
		mmu_trace_clear(trace);
	} else if (strcmp(word, "on") == 0 || strcmp(word, "off") == 0) {
		if (mmu_trace_set(trace, word[1] == 'n' ? kinds : 0)) {
			mmu_error(call, MMU_BACKEND, "too many listen to the shadow already");
			return;
		}
		/* Writers are known from here on. */
		(void)mmu_watch_history(&call->target->mmu, &err);
	} else if (*word) {
		mmu_error(call, MMU_BADARG, "usage: mmu trace [on [KINDS]|off|clear]");
		return;
	}
	record_begin(&call->record, "trace");
	tell_kinds(&call->record, mmu_trace_kinds(trace));
	record_number(&call->record, "events", mmu_trace_total(trace));
	record_number(&call->record, "room", mmu_trace_capacity(trace));
	record_end(&call->record);
}

/* Log. */

/* The entries that the table write @number dropped: they come right behind it. */
static struct mmu_drops drops_of(const struct mmu_trace *trace, uint64_t number,
				 struct mmu_trace_record *first)
{
	struct mmu_drops drops = {0};
	struct mmu_trace_record record;

	while (mmu_trace_get(trace, number + 1 + drops.count, &record) &&
	       record.event.kind == MMU_EVENT_ZAP) {
		if (drops.count++ == 0)
			*first = record;
	}
	if (drops.count)
		drops.first = first;
	return drops;
}

void mmu_tell_events(struct mon_record *r, const struct mem_space *mem,
		     const struct mmu_trace *trace, uint64_t from)
{
	struct mmu_trace_record record, first;

	for (uint64_t n = from; mmu_trace_get(trace, n, &record); n++) {
		struct mmu_drops drops = {0};

		if (record.event.kind == MMU_EVENT_TABLE_WRITE)
			drops = drops_of(trace, n, &first);
		mmu_tell_event(r, mem, &record, &drops);
		/* One drop is told with its write. */
		if (drops.count == 1 && !r->is_json)
			n++;
	}
}

/* mmu log: the last -n events */
void mmu_word_log(struct mmu_call *call)
{
	uint64_t total, count = call->has_last ? call->last : LOG_DEFAULT;
	struct mmu_trace *trace;

	if (!call->mmu && mmu_trap_total(call)) {
		mmu_trap_tell_last(call, u64_min(count, call->max));
		return;
	}
	if (!call->mmu && call->target->mmu.is_trapping) {
		mmu_error(call, MMU_NOTPRESENT, "no table was written since `mmu track trap`");
		return;
	}
	trace = need_trace(call);
	if (!trace)
		return;
	total = mmu_trace_total(trace);
	if (total == 0 && mmu_trace_kinds(trace) == 0) {
		mmu_error(call, MMU_NOTPRESENT, "nothing is traced; `mmu trace on` begins");
		return;
	}
	count = u64_min(u64_min(count, total), u64_min(mmu_trace_capacity(trace), call->max));
	if (count == 0 && !call->record.is_json) {
		record_begin(&call->record, "log");
		record_number(&call->record, "events", total);
		record_end(&call->record);
	}
	mmu_tell_events(&call->record, call->mem, trace, total - count);
}

/* Step. */

/* mmu step [KINDS]: the machine stops behind the next shadow event, whose steps are told then. */
void mmu_word_step(struct mmu_call *call)
{
	struct mmu_break what = {.kind = MMU_BREAK_STEP};
	struct umbra_err err = {.text = ""};
	struct mmu_trace *trace = need_trace(call);
	unsigned id;

	if (!trace)
		return;
	what.kinds = call->argc ? parse_kinds(call, call->argv[0]) : 0;
	if (call->argc && !what.kinds)
		return;
	if (mmu_watch_step(&call->target->mmu, &what, &id, &err)) {
		mmu_error(call, MMU_BACKEND, "%s", err.text);
		return;
	}
	record_begin(&call->record, "step");
	record_number(&call->record, "id", id);
	record_words(&call->record, " armed: `continue` runs to the next event");
	record_end(&call->record);
}
