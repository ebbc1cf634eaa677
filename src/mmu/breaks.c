/* The table of breaks: see umbra/mmu_breaks.h. */
#include "breaks.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

static const char *const NAMES[MMU_BREAK_KIND_COUNT] = {
	[MMU_BREAK_MAP] = "map",       [MMU_BREAK_PTE] = "pte",	    [MMU_BREAK_CR3] = "cr3",
	[MMU_BREAK_INVLPG] = "invlpg", [MMU_BREAK_FAULT] = "fault", [MMU_BREAK_WX] = "wx",
	[MMU_BREAK_SHADOW] = "shadow", [MMU_BREAK_STEP] = "step",   [MMU_BREAK_HAZARD] = "hazard",
	[MMU_BREAK_PA] = "pa",
};

const char *mmu_break_kind_name(enum mmu_break_kind kind)
{
	return NAMES[kind];
}

/* Life. */

int mmu_breaks_create(struct mmu_breaks **out_breaks, struct mmu *mmu, struct umbra_err *err)
{
	struct mmu_breaks *breaks = calloc(1, sizeof(*breaks));

	if (!breaks)
		return umbra_err_set(err, ENOMEM, "no memory for breaks of the shadow MMU");
	breaks->mmu = mmu;
	*out_breaks = breaks;
	return 0;
}

void mmu_breaks_destroy(struct mmu_breaks *breaks)
{
	if (!breaks)
		return;
	mmu_breaks_clear(breaks);
	free(breaks);
}

/* What is listened to follows the rows.  Ending to listen is left to when it costs nothing to
 * begin again: -ENOSPC is for beginning alone. */
static int follow_rows(struct mmu_breaks *breaks)
{
	const struct mmu_stop_hook *hook = &breaks->mmu->config.stop;
	struct mmu_listener listener = {.fn = break_on_event, .ctx = breaks};
	unsigned i;
	int rc = 0;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		if (breaks->row[i].id && breaks->row[i].is_enabled)
			listener.kinds |= break_kinds(&breaks->row[i].what);
	}
	if (listener.kinds == breaks->listening)
		return 0;
	if (breaks->listening)
		mmu_remove_listener(breaks->mmu, break_on_event, breaks);
	breaks->listening = 0;
	if (listener.kinds)
		rc = mmu_add_listener(breaks->mmu, &listener);
	if (rc == 0)
		breaks->listening = listener.kinds;
	if (hook->arm)
		hook->arm(hook->ctx, breaks->listening != 0);
	return rc;
}

/* Rows. */

static int check_range(uint64_t start, uint64_t len, struct umbra_err *err)
{
	if (len > 0 && start + (len - 1) >= start)
		return 0;
	if (len == 0)
		return umbra_err_set(err, EINVAL, "the length is 0; it is 1 at least");
	return umbra_err_set(err, EINVAL, "%#llx bytes at %#llx go beyond the last address",
			     (unsigned long long)len, (unsigned long long)start);
}

static int check_map(const struct mmu_break *what, struct umbra_err *err)
{
	uint64_t pages;

	if (check_range(what->gva, what->len, err))
		return -EINVAL;
	pages = ((what->gva + (what->len - 1)) >> 12) - (what->gva >> 12) + 1;
	if (pages > MMU_BREAK_MAP_PAGES)
		return umbra_err_set(err, E2BIG, "a map break of %llu pages; %u is the most",
				     (unsigned long long)pages, MMU_BREAK_MAP_PAGES);
	if (!what->is_any_root && x86_paging_mode(&what->root) == X86_PAGING_NONE)
		return umbra_err_set(err, EINVAL,
				     "paging is off: nothing is mapped that could "
				     "change");
	return 0;
}

static int check(const struct mmu_break *what, struct umbra_err *err)
{
	switch (what->kind) {
	case MMU_BREAK_MAP:
		return check_map(what, err);
	case MMU_BREAK_PTE:
		if (what->len > UMBRA_PAGE_SIZE ||
		    (what->gpa & ~UMBRA_PAGE_MASK) + what->len > UMBRA_PAGE_SIZE)
			return umbra_err_set(err, E2BIG, "a pte break lies in one page");
		return check_range(what->gpa, what->len, err);
	case MMU_BREAK_PA:
		if (!what->on_read && !what->on_write && !what->on_exec)
			return umbra_err_set(err, EINVAL, "neither reads nor writes nor executes");
		return check_range(what->gpa, what->len, err);
	case MMU_BREAK_CR3:
	case MMU_BREAK_INVLPG:
	case MMU_BREAK_FAULT:
	case MMU_BREAK_WX:
	case MMU_BREAK_HAZARD:
	case MMU_BREAK_SHADOW:
	case MMU_BREAK_STEP:
	case MMU_BREAK_KIND_COUNT:
		break;
	}
	return 0;
}

/* What a row needs of the mmu while it is enabled. */
static int set_up(struct mmu_breaks *breaks, struct break_row *row)
{
	int error = 0;

	lock_take(breaks->mmu->lock);
	breaks->mmu->actor = MMU_NO_VCPU;
	if (row->what.kind == MMU_BREAK_MAP)
		row->map = map_watch_create(breaks->mmu, &row->what, &error);
	if (row->what.kind == MMU_BREAK_PTE) {
		row->is_pinned = frame_pin(breaks->mmu, row->what.gpa >> SHADOW_GFN_SHIFT);
		error = row->is_pinned ? 0 : -ENOMEM;
	}
	row->is_enabled = error == 0;
	forget_flush(breaks->mmu);
	lock_drop(breaks->mmu->lock);
	return error;
}

static void take_down(struct mmu_breaks *breaks, struct break_row *row)
{
	lock_take(breaks->mmu->lock);
	map_watch_destroy(breaks->mmu, row->map);
	row->map = NULL;
	if (row->is_pinned)
		frame_unpin(breaks->mmu, row->what.gpa >> SHADOW_GFN_SHIFT);
	row->is_pinned = false;
	row->is_enabled = false;
	lock_drop(breaks->mmu->lock);
}

static void remove_row(struct mmu_breaks *breaks, struct break_row *row)
{
	take_down(breaks, row);
	*row = (struct break_row){0};
}

static struct break_row *find(struct mmu_breaks *breaks, unsigned id)
{
	unsigned i;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		if (breaks->row[i].id == id)
			return &breaks->row[i];
	}
	return NULL;
}

static int start(struct mmu_breaks *breaks, struct break_row *row, struct umbra_err *err)
{
	int rc = set_up(breaks, row);

	if (rc == 0)
		rc = follow_rows(breaks);
	if (rc == -ENOSPC)
		return umbra_err_set(err, ENOSPC, "too many listen to the shadow MMU already");
	if (rc < 0)
		umbra_err_set(err, -rc,
			      rc == -ENOMEM ? "no memory for what the break would watch"
					    : "the tables of that range never end");
	return rc;
}

int mmu_breaks_add(struct mmu_breaks *breaks, const struct mmu_break *what, unsigned *out_id,
		   struct umbra_err *err)
{
	struct break_row *row = find(breaks, 0);
	int rc = check(what, err);

	if (rc < 0)
		return rc;
	if (!row)
		return umbra_err_set(err, ENOSPC, "there are %u breaks already", MMU_BREAKS_MAX);
	*row = (struct break_row){.id = ++breaks->last_id, .what = *what};
	if (what->kind == MMU_BREAK_MAP && !what->on)
		row->what.on = MMU_CHANGE_MOST;
	rc = start(breaks, row, err);
	if (rc < 0) {
		remove_row(breaks, row);
		return rc;
	}
	*out_id = row->id;
	return 0;
}

int mmu_breaks_delete(struct mmu_breaks *breaks, unsigned id)
{
	struct break_row *row = id ? find(breaks, id) : NULL;

	if (!row)
		return -ENOENT;
	remove_row(breaks, row);
	follow_rows(breaks);
	return 0;
}

int mmu_breaks_enable(struct mmu_breaks *breaks, unsigned id, bool is_enabled)
{
	struct break_row *row = id ? find(breaks, id) : NULL;

	if (!row)
		return -ENOENT;
	if (row->is_enabled == is_enabled)
		return 0;
	if (is_enabled)
		return start(breaks, row, NULL);
	take_down(breaks, row);
	follow_rows(breaks);
	return 0;
}

void mmu_breaks_clear(struct mmu_breaks *breaks)
{
	unsigned i;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		if (breaks->row[i].id)
			remove_row(breaks, &breaks->row[i]);
	}
	follow_rows(breaks);
}

void mmu_breaks_settle(struct mmu_breaks *breaks)
{
	unsigned i;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		struct break_row *row = &breaks->row[i];

		if (row->id && row->what.kind == MMU_BREAK_STEP && row->hits)
			remove_row(breaks, row);
	}
	follow_rows(breaks);
}

/* The id that follows @id; 0 past the last. */
static unsigned next_id(const struct mmu_breaks *breaks, unsigned id)
{
	unsigned next = 0, i;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		unsigned other = breaks->row[i].id;

		if (other > id && (!next || other < next))
			next = other;
	}
	return next;
}

bool mmu_breaks_at(const struct mmu_breaks *breaks, unsigned index, struct mmu_break_info *out_info)
{
	unsigned id = next_id(breaks, 0), i;

	while (id && index-- > 0)
		id = next_id(breaks, id);
	for (i = 0; id && i < MMU_BREAKS_MAX; i++) {
		const struct break_row *row = &breaks->row[i];

		if (row->id == id)
			*out_info = (struct mmu_break_info){.id = id,
							    .is_enabled = row->is_enabled,
							    .hits = row->hits,
							    .what = row->what};
	}
	return id != 0;
}

/* Hits. */

uint64_t mmu_breaks_hits(const struct mmu_breaks *breaks)
{
	return breaks->hits;
}

uint64_t mmu_breaks_note(struct mmu_breaks *breaks, unsigned id, struct mmu_stop *stop)
{
	struct break_row *row = id ? find(breaks, id) : NULL;

	if (!row)
		return ~0ull;
	break_note(breaks, row, stop);
	return stop->number;
}

bool mmu_breaks_hit(const struct mmu_breaks *breaks, uint64_t number, struct mmu_stop *out_stop)
{
	if (number >= breaks->hits || breaks->hits - number > MMU_STOPS_KEPT)
		return false;
	*out_stop = breaks->stop[number % MMU_STOPS_KEPT];
	return true;
}
