/* Which event is a hit of which break. */
#include "breaks.h"

#define BIT MMU_EVENT_BIT

unsigned break_kinds(const struct mmu_break *what)
{
	const unsigned shadow = BIT(MMU_EVENT_FILL) | BIT(MMU_EVENT_ZAP) | BIT(MMU_EVENT_PROTECT);

	switch (what->kind) {
	case MMU_BREAK_MAP:
		return BIT(MMU_EVENT_TABLE_WRITE) | BIT(MMU_EVENT_CR3) |
		       (what->on & MMU_CHANGE_AD ? BIT(MMU_EVENT_WALK) : 0);
	case MMU_BREAK_PTE:
		return BIT(MMU_EVENT_TABLE_WRITE);
	case MMU_BREAK_CR3:
		return BIT(MMU_EVENT_CR3);
	case MMU_BREAK_INVLPG:
		return BIT(MMU_EVENT_INVLPG);
	case MMU_BREAK_FAULT:
		return BIT(MMU_EVENT_FAULT);
	case MMU_BREAK_WX:
		return BIT(MMU_EVENT_TABLE_WRITE) | BIT(MMU_EVENT_FILL);
	case MMU_BREAK_HAZARD:
		return BIT(MMU_EVENT_HAZARD);
	case MMU_BREAK_SHADOW:
		return what->kinds ? what->kinds & shadow : shadow;
	case MMU_BREAK_STEP:
		return what->kinds ? what->kinds & MMU_EVENT_ALL : MMU_EVENT_ALL;
	case MMU_BREAK_PA:
	case MMU_BREAK_KIND_COUNT:
		break;
	}
	return 0;
}

/* What a stop says. */

static bool has_gva(const struct mmu_event *event)
{
	switch (event->kind) {
	case MMU_EVENT_FAULT:
	case MMU_EVENT_WALK:
	case MMU_EVENT_SLOT:
	case MMU_EVENT_HOST:
	case MMU_EVENT_FILL:
	case MMU_EVENT_INVLPG:
	case MMU_EVENT_HAZARD:
		return true;
	case MMU_EVENT_TABLE_WRITE:
	case MMU_EVENT_ZAP:
	case MMU_EVENT_PROTECT:
	case MMU_EVENT_CR3:
	case MMU_EVENT_FLUSH:
	case MMU_EVENT_KIND_COUNT:
		break;
	}
	return false;
}

struct mmu_stop break_stop_of(const struct mmu_event *event)
{
	return (struct mmu_stop){
		.event = event->kind,
		.vcpu = event->vcpu,
		.seq = event->seq,
		.rip = event->rip,
		.has_gva = has_gva(event),
		.gva = event->gva,
		.old = event->old,
		.now = event->now,
		.access = event->access,
		.error = event->error,
		.gpa = event->gpa,
		.sp = event->sp,
		.index = event->index,
		.spte = event->spte,
	};
}

void break_set_entry(struct mmu_stop *stop, const struct mmu_event *event, unsigned bytes)
{
	unsigned shift = bytes == 4 ? 8 * (event->gpa & 4) : 0;

	stop->has_entry = true;
	stop->entry_gpa = event->gpa & ~(gpa_t)(bytes - 1);
	stop->old = bytes == 4 ? (uint32_t)(event->old >> shift) : event->old;
	stop->now = bytes == 4 ? (uint32_t)(event->now >> shift) : event->now;
}

void break_note(struct mmu_breaks *breaks, struct break_row *row, struct mmu_stop *stop)
{
	row->hits++;
	stop->id = row->id;
	stop->kind = row->what.kind;
	stop->number = breaks->hits;
	breaks->stop[breaks->hits++ % MMU_STOPS_KEPT] = *stop;
}

/* Only a hit that somebody stops for counts. */
void break_hit(struct mmu_breaks *breaks, struct break_row *row, struct mmu_stop *stop)
{
	const struct mmu_stop_hook *hook = &breaks->mmu->config.stop;

	if (hook->stop && hook->stop(hook->ctx, stop->vcpu, breaks->hits))
		break_note(breaks, row, stop);
}

/* Matching. */

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a <= b ? b - a < a_len : a - b < b_len;
}

static bool is_pte(const struct mmu_break *what, const struct mmu_event *event,
		   struct mmu_stop *stop)
{
	if (!overlaps(what->gpa, what->len, event->gpa, event->len))
		return false;
	break_set_entry(stop, event, what->len <= 4 ? 4 : 8);
	return stop->old != stop->now;
}

/* A value without PCID means the tables. */
static bool is_cr3(const struct mmu_break *what, const struct mmu_event *event)
{
	return !what->has_value || event->now == what->value ||
	       (event->now & ~0xfffull) == what->value;
}

static bool is_invlpg(const struct mmu_break *what, const struct mmu_event *event)
{
	return !what->has_value || ((event->gva ^ what->gva) & UMBRA_PAGE_MASK) == 0;
}

static bool is_fault(const struct mmu_break *what, const struct mmu_event *event)
{
	return event->vector == X86_EXC_PF && !((event->error ^ what->error) & what->error_mask);
}

static bool is_hit(struct mmu_breaks *breaks, struct break_row *row, const struct mmu_event *event,
		   struct mmu_stop *stop)
{
	const struct mmu_break *what = &row->what;

	switch (what->kind) {
	case MMU_BREAK_MAP:
		return map_watch_look(breaks->mmu, row->map, event, stop);
	case MMU_BREAK_PTE:
		return is_pte(what, event, stop);
	case MMU_BREAK_CR3:
		return is_cr3(what, event);
	case MMU_BREAK_INVLPG:
		return is_invlpg(what, event);
	case MMU_BREAK_FAULT:
		return is_fault(what, event);
	case MMU_BREAK_WX:
		return wx_look(breaks, event, stop);
	case MMU_BREAK_HAZARD:
		stop->has_entry = true;
		stop->entry_gpa = event->gpa;
		return true;
	case MMU_BREAK_SHADOW:
		return true;
	case MMU_BREAK_STEP:
		if (event->kind == MMU_EVENT_TABLE_WRITE)
			break_set_entry(stop, event, 8);
		return row->hits == 0;
	case MMU_BREAK_PA:
	case MMU_BREAK_KIND_COUNT:
		break;
	}
	return false;
}

void break_on_event(void *breaks_, const struct mmu_event *event)
{
	struct mmu_breaks *breaks = breaks_;
	unsigned i;

	for (i = 0; i < MMU_BREAKS_MAX; i++) {
		struct break_row *row = &breaks->row[i];
		struct mmu_stop stop;

		if (!row->id || !row->is_enabled || !(break_kinds(&row->what) & BIT(event->kind)))
			continue;
		stop = break_stop_of(event);
		if (is_hit(breaks, row, event, &stop))
			break_hit(breaks, row, &stop);
	}
}
