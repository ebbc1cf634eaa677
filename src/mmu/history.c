/* The last writer of each table entry: see umbra/mmu_history.h.
 * A hash finds the record of an entry, a list in order of writing the one that goes. */
#include "umbra/mmu_history.h"

#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

#define RECORDS_MIN 16u
#define RECORDS_MAX (1u << 22)
#define HALF	    4u /* bytes that a record is about */

typedef uint32_t slot; /* number of an entry + 1; 0 = none */

struct entry {
	struct mmu_history_record record;
	gpa_t half; /* the key */
	slot chain; /* next in its hash chain */
	slot older, newer;
};

struct mmu_history {
	struct mmu *mmu;
	uint64_t writes, evicted;
	unsigned count, capacity; /* capacity: a power of 2 */
	slot oldest, newest;
	slot *hash; /* 2 * capacity */
	struct entry *entry;
};

static struct entry *entry_of(const struct mmu_history *history, slot s)
{
	return &history->entry[s - 1];
}

static slot *chain_of(const struct mmu_history *history, gpa_t half)
{
	uint64_t h = (half / HALF) * 0x9e3779b97f4a7c15ull;

	return &history->hash[(h >> 32) & (2 * history->capacity - 1)];
}

static slot find(const struct mmu_history *history, gpa_t half)
{
	slot s = *chain_of(history, half);

	while (s && entry_of(history, s)->half != half)
		s = entry_of(history, s)->chain;
	return s;
}

/* The order of writing. */

static void append(struct mmu_history *history, slot s)
{
	struct entry *e = entry_of(history, s);

	e->older = history->newest;
	e->newer = 0;
	if (history->newest)
		entry_of(history, history->newest)->newer = s;
	else
		history->oldest = s;
	history->newest = s;
}

static void take_out(struct mmu_history *history, slot s)
{
	const struct entry *e = entry_of(history, s);

	if (e->older)
		entry_of(history, e->older)->newer = e->newer;
	else
		history->oldest = e->newer;
	if (e->newer)
		entry_of(history, e->newer)->older = e->older;
	else
		history->newest = e->older;
}

static void unhash(struct mmu_history *history, slot s)
{
	slot *at = chain_of(history, entry_of(history, s)->half);

	while (*at != s)
		at = &entry_of(history, *at)->chain;
	*at = entry_of(history, s)->chain;
}

static slot evict(struct mmu_history *history)
{
	slot s = history->oldest;

	take_out(history, s);
	unhash(history, s);
	history->evicted++;
	return s;
}

static slot make(struct mmu_history *history, gpa_t half)
{
	slot *chain;
	slot s = history->count < history->capacity ? ++history->count : evict(history);

	chain = chain_of(history, half);
	entry_of(history, s)->half = half;
	entry_of(history, s)->chain = *chain;
	*chain = s;
	return s;
}

static void note(struct mmu_history *history, gpa_t half, const struct mmu_history_record *record)
{
	slot s = find(history, half);

	if (s)
		take_out(history, s);
	else
		s = make(history, half);
	entry_of(history, s)->record = *record;
	append(history, s);
}

static void on_event(void *ctx, const struct mmu_event *event)
{
	struct mmu_history *history = ctx;
	const struct mmu_history_record record = {.gpa = event->gpa & ~7ull,
						  .old = event->old,
						  .now = event->now,
						  .vcpu = event->vcpu,
						  .seq = event->seq,
						  .rip = event->rip,
						  .number = history->writes++};
	uint64_t changed = event->old ^ event->now;

	if ((uint32_t)changed)
		note(history, record.gpa, &record);
	if (changed >> 32)
		note(history, record.gpa + HALF, &record);
}

/* Life. */

int mmu_history_create(struct mmu_history **out_history, struct mmu *mmu, unsigned records,
		       struct umbra_err *err)
{
	struct mmu_history *history = calloc(1, sizeof(*history));
	const struct mmu_listener listener = {MMU_EVENT_BIT(MMU_EVENT_TABLE_WRITE), on_event,
					      history};
	unsigned capacity = RECORDS_MIN;

	while (capacity < records && capacity < RECORDS_MAX)
		capacity *= 2;
	if (history) {
		history->mmu = mmu;
		history->capacity = capacity;
		history->hash = calloc(2ul * capacity, sizeof(*history->hash));
		history->entry = calloc(capacity, sizeof(*history->entry));
	}
	if (!history || !history->hash || !history->entry) {
		mmu_history_destroy(history);
		return umbra_err_set(err, ENOMEM, "no memory for a history of %u table entries",
				     capacity);
	}
	if (mmu_add_listener(mmu, &listener) < 0) {
		mmu_history_destroy(history);
		return umbra_err_set(err, ENOSPC, "too many listen to the shadow MMU already");
	}
	lock_take(mmu->lock);
	mmu->history = history;
	lock_drop(mmu->lock);
	*out_history = history;
	return 0;
}

void mmu_history_destroy(struct mmu_history *history)
{
	if (!history)
		return;
	mmu_remove_listener(history->mmu, on_event, history);
	lock_take(history->mmu->lock);
	if (history->mmu->history == history)
		history->mmu->history = NULL;
	lock_drop(history->mmu->lock);
	free(history->hash);
	free(history->entry);
	free(history);
}

/* Looking. */

bool mmu_history_last_locked(const struct mmu_history *history, gpa_t gpa, size_t len,
			     struct mmu_history_record *out_record)
{
	gpa_t half = gpa & ~(gpa_t)(HALF - 1);
	bool is_known = false;

	for (; half < gpa + len; half += HALF) {
		slot s = find(history, half);
		const struct mmu_history_record *record = s ? &entry_of(history, s)->record : NULL;

		if (record && (!is_known || record->number > out_record->number)) {
			*out_record = *record;
			is_known = true;
		}
	}
	return is_known;
}

bool mmu_history_last(const struct mmu_history *history, gpa_t gpa, size_t len,
		      struct mmu_history_record *out_record)
{
	bool is_known;

	lock_take(history->mmu->lock);
	is_known = mmu_history_last_locked(history, gpa, len, out_record);
	lock_drop(history->mmu->lock);
	return is_known;
}

void mmu_history_stats(const struct mmu_history *history, struct mmu_history_stats *out_stats)
{
	lock_take(history->mmu->lock);
	*out_stats = (struct mmu_history_stats){.capacity = history->capacity,
						.records = history->count,
						.writes = history->writes,
						.evicted = history->evicted};
	lock_drop(history->mmu->lock);
}

void mmu_history_clear(struct mmu_history *history)
{
	lock_take(history->mmu->lock);
	memset(history->hash, 0, 2ul * history->capacity * sizeof(*history->hash));
	history->count = 0;
	history->oldest = 0;
	history->newest = 0;
	lock_drop(history->mmu->lock);
}
