/* `mmu snap` and `mmu diff`: what is mapped at two moments, and who changed it. */
#include "mon_mmu.h"

#include "mmu_roots.h"
#include "mmu_tell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define NOW "now" /* a name that no snapshot has */

/* All roots that a processor could use now. */
static struct mmu_snap *take(struct mmu_call *call)
{
	struct umbra_err err = {.text = ""};
	struct mmu_snap *snap = NULL;
	struct mmu_roots *roots = malloc(sizeof(*roots));
	struct x86_paging *root = calloc(MMU_ROOTS_MAX, sizeof(*root));
	struct mmu_snap_source source = {
		.root = root,
		.mem = call->mem,
		.seq = mmu_watch_now(&call->target->mmu),
	};

	if (!roots || !root) {
		mmu_error(call, MMU_BACKEND, "no memory for a snapshot");
	} else {
		mmu_roots_get_live(call->target, roots);
		for (; source.root_count < roots->count; source.root_count++)
			root[source.root_count] = roots->root[source.root_count].regs;
		if (mmu_snap_take(&snap, &source, &err))
			mmu_error(call, MMU_BACKEND, "%s", err.text);
	}
	free(root);
	free(roots);
	return snap;
}

static void tell_snap(struct mmu_call *call, const char *name, const struct mmu_snap *snap)
{
	record_begin(&call->record, "snap");
	record_string(&call->record, "name", name);
	record_number(&call->record, "seq", mmu_snap_seq(snap));
	record_number(&call->record, "roots", mmu_snap_roots(snap));
	record_number(&call->record, "ranges", mmu_snap_runs(snap));
	record_end(&call->record);
}

static void tell_snaps(struct mmu_call *call)
{
	const struct mmu_snaps *snaps = &call->target->mmu.snaps;
	unsigned count = 0;

	for (unsigned i = 0; i < MMU_SNAPS_MAX; i++) {
		if (!snaps->named[i].snap)
			continue;
		tell_snap(call, snaps->named[i].name, snaps->named[i].snap);
		count++;
	}
	record_begin(&call->record, "snaps");
	record_number(&call->record, "count", count);
	record_end(&call->record);
}

/* What is there afterwards is the answer. */
static void drop(struct mmu_call *call)
{
	if (call->argc != 2 || strcmp(call->argv[0], "drop") != 0)
		mmu_error(call, MMU_BADARG, "usage: mmu snap [NAME|drop NAME]");
	else if (mmu_snaps_drop(&call->target->mmu.snaps, call->argv[1]))
		mmu_error(call, MMU_BADARG, "there is no snapshot '%s'; `mmu snap` lists them",
			  call->argv[1]);
	else
		tell_snaps(call);
}

/* Writers are known from here on. */
static void begin_history(struct mmu_call *call)
{
	struct umbra_err err;

	if (call->mmu)
		(void)mmu_watch_history(&call->target->mmu, &err);
}

/* mmu snap [NAME|drop NAME] */
void mmu_word_snap(struct mmu_call *call)
{
	struct mmu_snaps *snaps = &call->target->mmu.snaps;
	struct mmu_snap *snap;
	int rc;

	if (call->argc == 0) {
		tell_snaps(call);
		return;
	}
	if (call->argc == 2 || strcmp(call->argv[0], "drop") == 0) {
		drop(call);
		return;
	}
	if (strcmp(call->argv[0], NOW) == 0) {
		mmu_error(call, MMU_BADARG, "'now' is what `mmu diff` calls the present");
		return;
	}
	snap = take(call);
	if (!snap)
		return;
	rc = mmu_snaps_put(snaps, call->argv[0], snap);
	if (rc) {
		mmu_snap_free(snap);
		mmu_error(call, MMU_BADARG,
			  rc == -ENOSPC ? "there are %u snapshots already; `mmu snap drop NAME`"
					: "a name has 1 to %u letters",
			  rc == -ENOSPC ? MMU_SNAPS_MAX : MMU_SNAP_NAME_MAX - 1);
		return;
	}
	begin_history(call);
	tell_snap(call, call->argv[0], snap);
}

struct diff_telling {
	struct mmu_call *call;
	uint64_t count, shown; /* differences that there are, and that were told */
	uint64_t next;	       /* the first that was not, when is_cut */
	bool is_cut;
};

static void on_diff(void *arg, const struct mmu_diff *diff)
{
	struct diff_telling *t = arg;
	uint64_t number = t->count++;

	if (number < t->call->from || t->is_cut)
		return;
	t->is_cut = !mmu_has_room(t->call);
	t->next = number;
	if (t->is_cut)
		return;
	mmu_tell_diff(&t->call->record, diff);
	t->shown++;
}

/* A snapshot by name; `now` is one that is made for this and freed by the caller. */
static struct mmu_snap *find(struct mmu_call *call, const char *name, struct mmu_snap **out_made)
{
	struct mmu_snap *snap = mmu_snaps_get(&call->target->mmu.snaps, name);

	if (!snap && strcmp(name, NOW) == 0)
		snap = *out_made = take(call);
	else if (!snap)
		mmu_error(call, MMU_BADARG, "there is no snapshot '%s'; `mmu snap` lists them",
			  name);
	return snap;
}

/* mmu diff FROM [TO] */
void mmu_word_diff(struct mmu_call *call)
{
	const struct mmu_blame blame = {.history = call->target->mmu.history, .mem = call->mem};
	struct diff_telling telling = {.call = call};
	struct mmu_snap *made = NULL, *from, *to;
	unsigned count;

	from = mmu_snaps_get(&call->target->mmu.snaps, call->argv[0]);
	if (!from) {
		mmu_error(call, MMU_BADARG, "there is no snapshot '%s'; `mmu snap` lists them",
			  call->argv[0]);
		return;
	}
	to = find(call, call->argc > 1 ? call->argv[1] : NOW, &made);
	if (!to)
		return;
	count = mmu_snap_diff(from, to, &blame, on_diff, &telling);
	if (telling.is_cut)
		mmu_tell_more(call, telling.next);
	record_begin(&call->record, "differences");
	record_number(&call->record, "count", count);
	if (telling.shown < count)
		record_number(&call->record, "shown", telling.shown);
	record_end(&call->record);
	mmu_snap_free(made);
}
