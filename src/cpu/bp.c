/* The table of logical breakpoints: what the debugger asked for, whatever backs it.
 * How they are backed is decided at each resume in bp_arm.c. */

#include "cpu_internal.h"

#include <errno.h>
#include <stdlib.h>

static bool is_watch(enum bp_kind kind)
{
	return kind != BP_SOFT && kind != BP_HARD;
}

/* Kinds that only a debug register can back. */
static bool needs_point(enum bp_kind kind)
{
	return kind != BP_SOFT;
}

static bool mode_supports(const struct accel_mode_caps *mode, enum bp_kind kind)
{
	switch (kind) {
	case BP_SOFT:
		return mode->has_hw_break || mode->trap != ACCEL_TRAP_NONE;
	case BP_HARD:
		return mode->has_hw_break;
	case BP_WATCH_WRITE:
		return mode->has_watch_write;
	case BP_WATCH_ACCESS:
		return mode->has_watch_access;
	case BP_WATCH_READ: /* debug registers cannot watch reads alone (SDM 3B 17.2.4) */
	case BP_WATCH_EXEC: /* nor physical memory */
	case BP_KIND_COUNT:
		return false;
	}
	return false;
}

bool bp_is_supported(const struct world *w, enum bp_kind kind)
{
	const struct accel_caps *caps = w->config.accel->caps(w->config.accel_vm);

	if (needs_point(kind) && caps->hw_points == 0)
		return false;
	if (kind == BP_WATCH_READ)
		return caps->has_watch_read;
	if (kind == BP_WATCH_EXEC)
		return caps->has_watch_physical;
	for (unsigned i = 0; i < ACCEL_MODE_COUNT; i++) {
		if (mode_supports(&caps->mode[i], kind))
			return true;
	}
	return false;
}

void bp_free(struct bp_table *t)
{
	free(t->bp);
	free(t->point);
	free(t->patch);
}

static bool grow(void *array, size_t count, size_t size)
{
	void **p = array;
	void *grown = reallocarray(*p, count, size);

	if (grown)
		*p = grown;
	return grown != NULL;
}

/* Room for one more breakpoint: in every array, so that arming cannot fail. */
bool bp_reserve(struct bp_table *t, unsigned vcpus)
{
	unsigned room = t->room ? 2 * t->room : 16;

	if (t->count < t->room)
		return true;
	if (!grow(&t->bp, room, sizeof(*t->bp)) || !grow(&t->point, room, sizeof(*t->point)) ||
	    !grow(&t->patch, (size_t)room * vcpus, sizeof(*t->patch)))
		return false;
	t->room = room;
	t->patch_room = room * vcpus;
	t->point_serial++; /* back ends hold the old array */
	return true;
}

static struct bp *bp_find(struct bp_table *t, const struct bp *what)
{
	for (unsigned i = 0; i < t->count; i++) {
		struct bp *bp = &t->bp[i];

		if (bp->kind == what->kind && bp->addr == what->addr &&
		    bp->is_physical == what->is_physical && bp->purpose == what->purpose &&
		    (!is_watch(what->kind) || bp->len == what->len))
			return bp;
	}
	return NULL;
}

static unsigned count_points(const struct bp_table *t)
{
	unsigned count = 0;

	for (unsigned i = 0; i < t->count; i++)
		count += needs_point(t->bp[i].kind);
	return count;
}

static int check_watch(const struct accel_caps *caps, gva_t addr, uint64_t len,
		       struct umbra_err *err)
{
	if (caps->has_watch_any)
		return len != 0 && addr + (len - 1) >= addr
			       ? 0
			       : umbra_err_set(err, EINVAL, "a watchpoint of %llu bytes at %#llx",
					       (unsigned long long)len, (unsigned long long)addr);
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return umbra_err_set(err, EINVAL, "watchpoint length %llu is not 1, 2, 4 or 8",
				     (unsigned long long)len);
	if (addr & (len - 1))
		return umbra_err_set(err, EINVAL,
				     "watchpoint address %#llx is not aligned to its length %llu",
				     (unsigned long long)addr, (unsigned long long)len);
	return 0;
}

static void note_agents(struct bp_table *t)
{
	t->has_agents = false;
	for (unsigned i = 0; i < t->count; i++)
		t->has_agents |= t->bp[i].agent != NULL;
}

static int insert(struct world *w, const struct bp *what, struct umbra_err *err)
{
	struct bp_table *t = &w->bps;
	const struct accel_caps *caps = w->config.accel->caps(w->config.accel_vm);
	unsigned points = caps->hw_points;

	if (!bp_is_supported(w, what->kind))
		return umbra_err_set(err, ENOTSUP, "this back end has no breakpoints of that kind");
	if (is_watch(what->kind) && check_watch(caps, what->addr, what->len, err))
		return -EINVAL;
	if (what->purpose != BP_FOR_TRACE && bp_find(t, what))
		return 0;
	if (needs_point(what->kind) && count_points(t) >= points)
		return umbra_err_set(err, ENOSPC, "all %u debug registers are taken", points);
	if (!bp_reserve(t, w->vcpu_count))
		return umbra_err_set(err, ENOMEM, "out of memory for breakpoint number %u",
				     t->count + 1);
	t->bp[t->count++] = *what;
	note_agents(t);
	return 0;
}

static int remove_one(struct world *w, const struct bp *what)
{
	struct bp_table *t = &w->bps;
	struct bp *bp = bp_find(t, what);
	size_t behind;

	if (!bp)
		return -ENOENT;
	behind = (size_t)(&t->bp[t->count] - (bp + 1));
	memmove(bp, bp + 1, behind * sizeof(*bp));
	t->count--;
	note_agents(t);
	return 0;
}

int bp_insert(struct world *w, enum bp_kind kind, gva_t addr, uint64_t len, struct umbra_err *err)
{
	const struct bp what = {.kind = kind, .addr = addr, .len = is_watch(kind) ? len : 1};

	if (kind == BP_WATCH_EXEC)
		return umbra_err_set(err, ENOTSUP, "what executes is watched by physical address");
	return insert(w, &what, err);
}

int bp_remove(struct world *w, enum bp_kind kind, gva_t addr, uint64_t len)
{
	const struct bp what = {.kind = kind, .addr = addr, .len = len};

	return remove_one(w, &what);
}

int bp_insert_physical(struct world *w, enum bp_kind kind, gpa_t gpa, uint64_t len,
		       struct umbra_err *err)
{
	const struct bp what = {.kind = kind, .addr = gpa, .len = len, .is_physical = true};

	if (!is_watch(kind) || !w->config.accel->caps(w->config.accel_vm)->has_watch_physical)
		return umbra_err_set(err, ENOTSUP, "this back end watches no physical memory");
	return insert(w, &what, err);
}

int bp_remove_physical(struct world *w, enum bp_kind kind, gpa_t gpa, uint64_t len)
{
	const struct bp what = {.kind = kind, .addr = gpa, .len = len, .is_physical = true};

	return remove_one(w, &what);
}

static void remove_all(struct bp_table *t, enum bp_purpose purpose)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].purpose != purpose)
			t->bp[kept++] = t->bp[i];
	}
	t->count = kept;
	note_agents(t);
}

void bp_clear(struct world *w)
{
	remove_all(&w->bps, BP_FOR_CLIENT);
}

int bp_insert_trace(struct world *w, gva_t addr, void *agent, struct umbra_err *err)
{
	const struct bp what = {
		.kind = BP_SOFT, .addr = addr, .len = 1, .purpose = BP_FOR_TRACE, .agent = agent};

	return insert(w, &what, err);
}

void bp_clear_traces(struct world *w)
{
	remove_all(&w->bps, BP_FOR_TRACE);
}

int bp_insert_news(struct world *w, gva_t addr, struct umbra_err *err)
{
	const struct bp what = {.kind = BP_SOFT, .addr = addr, .len = 1, .purpose = BP_FOR_NEWS};

	return insert(w, &what, err);
}

void bp_clear_news(struct world *w)
{
	remove_all(&w->bps, BP_FOR_NEWS);
}

int bp_set_agent(struct world *w, enum bp_kind kind, gva_t addr, uint64_t len, void *agent)
{
	const struct bp what = {.kind = kind, .addr = addr, .len = len};
	struct bp *bp = bp_find(&w->bps, &what);

	if (!bp)
		return -ENOENT;
	bp->agent = agent;
	note_agents(&w->bps);
	return 0;
}

bool bp_at(const struct world *w, unsigned index, struct bp_info *out_info)
{
	const struct bp *bp;

	if (index >= w->bps.count)
		return false;
	bp = &w->bps.bp[index];
	*out_info = (struct bp_info){.kind = bp->kind,
				     .addr = bp->addr,
				     .len = bp->len,
				     .is_physical = bp->is_physical,
				     .purpose = bp->purpose,
				     .has_agent = bp->agent != NULL,
				     .backing = bp->backing,
				     .hits = bp->hits};
	return true;
}

static bool is_exec_at(const struct bp *bp, gva_t addr)
{
	return !is_watch(bp->kind) && bp->addr == addr;
}

static bool has_exec_for(const struct bp_table *t, gva_t addr, enum bp_purpose purpose)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (is_exec_at(&t->bp[i], addr) && t->bp[i].purpose == purpose)
			return true;
	}
	return false;
}

bool bp_has_exec_at(const struct bp_table *t, gva_t addr)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (is_exec_at(&t->bp[i], addr))
			return true;
	}
	return false;
}

bool bp_has_trace_at(const struct bp_table *t, gva_t addr)
{
	return has_exec_for(t, addr, BP_FOR_TRACE);
}

bool bp_has_exec_in(const struct bp_table *t, gpa_t gpa)
{
	for (unsigned i = 0; i < t->count; i++) {
		const struct bp *bp = &t->bp[i];

		if (bp->kind == BP_WATCH_EXEC && gpa >= bp->addr && gpa - bp->addr < bp->len)
			return true;
	}
	return false;
}

/* Whether a latched event is still worth telling: its breakpoint was not deleted meanwhile. */
bool bp_event_is_valid(const struct bp_table *t, const struct cpu_stop *event)
{
	if (event->kind == STOP_BREAK)
		return has_exec_for(t, event->addr, BP_FOR_CLIENT);
	if (event->kind == STOP_NEWS)
		return has_exec_for(t, event->addr, BP_FOR_NEWS);
	if (event->kind != STOP_WATCH)
		return true;
	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].kind == event->bp && t->bp[i].addr == event->addr &&
		    t->bp[i].is_physical == event->is_physical)
			return true;
	}
	return false;
}
