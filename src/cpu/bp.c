/* The table of logical breakpoints: what the debugger asked for, whatever backs it.
 * How they are backed is decided at each resume in bp_arm.c. */

#include "cpu_internal.h"

#include <errno.h>

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
	case BP_WATCH_READ: /* x86 debug registers cannot watch reads alone (SDM 3B 18.2.4) */
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
	for (unsigned i = 0; i < ACCEL_MODE_COUNT; i++) {
		if (mode_supports(&caps->mode[i], kind))
			return true;
	}
	return false;
}

static struct bp *bp_find(struct bp_table *t, enum bp_kind kind, gva_t addr, unsigned len)
{
	for (unsigned i = 0; i < t->count; i++) {
		struct bp *bp = &t->bp[i];

		if (bp->kind == kind && bp->addr == addr && (!is_watch(kind) || bp->len == len))
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

static int check_watch(gva_t addr, unsigned len, struct umbra_err *err)
{
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return umbra_err_set(err, EINVAL, "watchpoint length %u is not 1, 2, 4 or 8", len);
	if (addr & (len - 1))
		return umbra_err_set(err, EINVAL,
				     "watchpoint address %#llx is not aligned to its length %u",
				     (unsigned long long)addr, len);
	return 0;
}

int bp_insert(struct world *w, enum bp_kind kind, gva_t addr, unsigned len, struct umbra_err *err)
{
	struct bp_table *t = &w->bps;
	unsigned points = w->config.accel->caps(w->config.accel_vm)->hw_points;

	if (!bp_is_supported(w, kind))
		return umbra_err_set(err, ENOTSUP, "this back end has no breakpoints of that kind");
	if (is_watch(kind) && check_watch(addr, len, err))
		return -EINVAL;
	if (bp_find(t, kind, addr, len))
		return 0;
	if (needs_point(kind) && count_points(t) >= points)
		return umbra_err_set(err, ENOSPC, "all %u debug registers are taken", points);
	if (t->count == BP_MAX)
		return umbra_err_set(err, ENOSPC, "%u breakpoints are set, which is the limit",
				     BP_MAX);
	t->bp[t->count++] = (struct bp){.kind = kind,
					.addr = addr,
					.len = is_watch(kind) ? len : 1,
					.backing = BP_BACKING_NONE};
	return 0;
}

int bp_remove(struct world *w, enum bp_kind kind, gva_t addr, unsigned len)
{
	struct bp_table *t = &w->bps;
	struct bp *bp = bp_find(t, kind, addr, len);
	size_t behind;

	if (!bp)
		return -ENOENT;
	behind = (size_t)(&t->bp[t->count] - (bp + 1));
	memmove(bp, bp + 1, behind * sizeof(*bp));
	t->count--;
	return 0;
}

void bp_clear(struct world *w)
{
	w->bps.count = 0;
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
				     .backing = bp->backing,
				     .hits = bp->hits};
	return true;
}

bool bp_has_exec_at(const struct bp_table *t, gva_t addr)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (!is_watch(t->bp[i].kind) && t->bp[i].addr == addr)
			return true;
	}
	return false;
}

/* Whether a latched event is still worth telling: its breakpoint was not deleted meanwhile. */
bool bp_event_is_valid(const struct bp_table *t, const struct cpu_stop *event)
{
	if (event->kind == STOP_BREAK)
		return bp_has_exec_at(t, event->addr);
	if (event->kind != STOP_WATCH)
		return true;
	for (unsigned i = 0; i < t->count; i++) {
		if (t->bp[i].kind == event->bp && t->bp[i].addr == event->addr)
			return true;
	}
	return false;
}
