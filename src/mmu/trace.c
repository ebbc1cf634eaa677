/* The ring of recent events: see umbra/mmu_trace.h.  What an event points to is copied; nothing is
 * put into words here. */
#include "umbra/mmu_trace.h"

#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

#define RECORDS_MIN 16u
#define RECORDS_MAX (1u << 22)

#define BIT MMU_EVENT_BIT

struct mmu_trace {
	struct mmu *mmu;
	unsigned kinds;
	uint64_t total;
	unsigned mask; /* records - 1 */
	struct mmu_trace_record ring[];
};

static const struct {
	const char *word;
	unsigned kinds;
} WORDS[] = {
	{"fault",
	 BIT(MMU_EVENT_FAULT) | BIT(MMU_EVENT_WALK) | BIT(MMU_EVENT_SLOT) | BIT(MMU_EVENT_HOST)},
	{"fill", BIT(MMU_EVENT_FILL)},
	{"ptw", BIT(MMU_EVENT_TABLE_WRITE)},
	{"zap", BIT(MMU_EVENT_ZAP)},
	{"wp", BIT(MMU_EVENT_PROTECT)},
	{"cr3", BIT(MMU_EVENT_CR3)},
	{"invlpg", BIT(MMU_EVENT_INVLPG)},
	{"flush", BIT(MMU_EVENT_FLUSH)},
	{"hazard", BIT(MMU_EVENT_HAZARD)},
	{"all", MMU_EVENT_ALL},
};

unsigned mmu_trace_kinds_of(const char *word)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(WORDS); i++) {
		if (strcmp(WORDS[i].word, word) == 0)
			return WORDS[i].kinds;
	}
	return 0;
}

int mmu_trace_create(struct mmu_trace **out_trace, struct mmu *mmu, unsigned records,
		     struct umbra_err *err)
{
	unsigned size = RECORDS_MIN;
	struct mmu_trace *trace;

	while (size < records && size < RECORDS_MAX)
		size *= 2;
	trace = calloc(1, sizeof(*trace) + size * sizeof(trace->ring[0]));
	if (!trace)
		return umbra_err_set(err, ENOMEM, "no memory for a trace of %u events", size);
	trace->mmu = mmu;
	trace->mask = size - 1;
	*out_trace = trace;
	return 0;
}

/* Filling.  The lock is held. */

static void note_walk(struct mmu_trace_record *record, const struct x86_walk *walk)
{
	bool is_page = walk->fault == X86_WALK_OK;

	record->walk_gpa = is_page ? walk->gpa : 0;
	record->page_size = is_page ? walk->page_size : 0;
	record->walk_levels = (uint8_t)walk->step_count;
	record->fault = (uint8_t)walk->fault;
	record->fault_level = (uint8_t)walk->fault_level;
}

static void note_writer(const struct mmu *mmu, struct mmu_trace_record *record,
			const struct mmu_event *event)
{
	struct mmu_who who;

	mmu_event_who(mmu, event, &who);
	record->insn_len = (uint8_t)who.insn_len;
	record->insn_mode = (uint8_t)who.mode;
	memcpy(record->insn, who.insn, sizeof(record->insn));
}

static void on_event(void *ctx, const struct mmu_event *event)
{
	struct mmu_trace *trace = ctx;
	struct mmu_trace_record *record = &trace->ring[trace->total & trace->mask];

	record->number = trace->total++;
	record->event = *event;
	record->event.walk = NULL;
	record->insn_len = 0;
	if (event->kind == MMU_EVENT_WALK)
		note_walk(record, event->walk);
	else if (event->kind == MMU_EVENT_TABLE_WRITE)
		note_writer(trace->mmu, record, event);
}

int mmu_trace_set(struct mmu_trace *trace, unsigned kinds)
{
	const struct mmu_listener listener = {kinds & MMU_EVENT_ALL, on_event, trace};
	int rc = 0;

	if (trace->kinds)
		mmu_remove_listener(trace->mmu, on_event, trace);
	trace->kinds = 0;
	if (listener.kinds)
		rc = mmu_add_listener(trace->mmu, &listener);
	if (rc == 0)
		trace->kinds = listener.kinds;
	return rc;
}

unsigned mmu_trace_kinds(const struct mmu_trace *trace)
{
	return trace->kinds;
}

void mmu_trace_destroy(struct mmu_trace *trace)
{
	if (!trace)
		return;
	mmu_trace_set(trace, 0);
	free(trace);
}

/* Reading. */

uint64_t mmu_trace_total(const struct mmu_trace *trace)
{
	uint64_t total;

	lock_take(trace->mmu->lock);
	total = trace->total;
	lock_drop(trace->mmu->lock);
	return total;
}

unsigned mmu_trace_capacity(const struct mmu_trace *trace)
{
	return trace->mask + 1;
}

bool mmu_trace_get(const struct mmu_trace *trace, uint64_t number,
		   struct mmu_trace_record *out_record)
{
	bool is_there;

	lock_take(trace->mmu->lock);
	is_there = number < trace->total && trace->total - number <= mmu_trace_capacity(trace);
	if (is_there)
		*out_record = trace->ring[number & trace->mask];
	lock_drop(trace->mmu->lock);
	return is_there;
}

void mmu_trace_clear(struct mmu_trace *trace)
{
	lock_take(trace->mmu->lock);
	trace->total = 0;
	lock_drop(trace->mmu->lock);
}
