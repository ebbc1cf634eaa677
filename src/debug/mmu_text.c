/* Lines of text about the shadow MMU over time: see mmu_text.h. */
#include "mmu_text.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
	char *buf;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->buf + t->used, MMU_TEXT_MAX - t->used, fmt, args);
	va_end(args);
	if (n > 0)
		t->used += u64_min((uint64_t)n, MMU_TEXT_MAX - 1 - t->used);
}

static unsigned long long ll(uint64_t value)
{
	return value;
}

/* What changed. */

static void add_rights(struct text *t, char who, const struct mmu_page_map *map)
{
	bool is_allowed = who == 'k' || (map->can & MMU_MAP_U);

	add(t, "%c:%c%c%c", who, is_allowed ? 'r' : '-',
	    is_allowed && (map->can & MMU_MAP_W) ? 'w' : '-',
	    is_allowed && (map->can & MMU_MAP_X) ? 'x' : '-');
}

static void add_change_names(struct text *t, unsigned change)
{
	static const char *const name[] = {"present", "gone", "gpa", "rights", "ad"};
	const char *before = " change=";
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(name); i++) {
		if (!(change >> i & 1))
			continue;
		add(t, "%s%s", before, name[i]);
		before = ",";
	}
}

static void add_ad(struct text *t, unsigned ad)
{
	add(t, "%c%c", ad & 1 ? 'A' : '-', ad & 2 ? 'D' : '-');
}

static void add_change(struct text *t, const struct mmu_stop *stop)
{
	char who = (stop->before.can | stop->after.can) & MMU_MAP_U ? 'u' : 'k';

	add_change_names(t, stop->change);
	if (stop->change & MMU_CHANGE_GONE)
		add(t, " was gpa=%#llx ", ll(stop->before.gpa));
	if (stop->change & MMU_CHANGE_PRESENT)
		add(t, " gpa=%#llx ", ll(stop->after.gpa));
	if (stop->change & MMU_CHANGE_GPA)
		add(t, " gpa=%#llx -> gpa=%#llx", ll(stop->before.gpa), ll(stop->after.gpa));
	if (stop->change & MMU_CHANGE_GONE)
		add_rights(t, who, &stop->before);
	if (stop->change & MMU_CHANGE_PRESENT)
		add_rights(t, who, &stop->after);
	if (stop->change & MMU_CHANGE_RIGHTS) {
		add(t, " ");
		add_rights(t, who, &stop->before);
		add(t, " -> ");
		add_rights(t, who, &stop->after);
	}
	if (stop->change & MMU_CHANGE_AD) {
		add(t, " ");
		add_ad(t, stop->ad_before);
		add(t, " -> ");
		add_ad(t, stop->ad_after);
	}
	if (stop->pages > 1)
		add(t, " pages=%llu", ll(stop->pages));
}

/* What each kind adds. */

static const char *event_name(enum mmu_event_kind kind)
{
	switch (kind) {
	case MMU_EVENT_FAULT:
		return "fault";
	case MMU_EVENT_WALK:
		return "walk";
	case MMU_EVENT_SLOT:
		return "slot";
	case MMU_EVENT_HOST:
		return "host";
	case MMU_EVENT_FILL:
		return "fill";
	case MMU_EVENT_TABLE_WRITE:
		return "ptw";
	case MMU_EVENT_ZAP:
		return "zap";
	case MMU_EVENT_PROTECT:
		return "wp";
	case MMU_EVENT_CR3:
		return "cr3";
	case MMU_EVENT_INVLPG:
		return "invlpg";
	case MMU_EVENT_FLUSH:
		return "flush";
	case MMU_EVENT_HAZARD:
		return "hazard";
	case MMU_EVENT_KIND_COUNT:
		break;
	}
	return "none";
}

static void add_shadow(struct text *t, const struct mmu_stop *stop)
{
	add(t, " event=%s", event_name(stop->event));
	if (stop->event == MMU_EVENT_FILL || stop->event == MMU_EVENT_ZAP)
		add(t, " sp=%u i=%u", stop->sp, stop->index);
	if (stop->event == MMU_EVENT_FILL || stop->event == MMU_EVENT_PROTECT)
		add(t, " gpa=%#llx", ll(stop->gpa));
}

static void add_details(struct text *t, const struct mmu_stop *stop)
{
	switch (stop->kind) {
	case MMU_BREAK_MAP:
		add_change(t, stop);
		break;
	case MMU_BREAK_FAULT:
		add(t, " err=%#x", stop->error);
		break;
	case MMU_BREAK_WX:
		add(t, " gpa=%#llx ", ll(stop->after.gpa));
		add_rights(t, stop->after.can & MMU_MAP_U ? 'u' : 'k', &stop->after);
		break;
	case MMU_BREAK_SHADOW:
	case MMU_BREAK_STEP:
		add_shadow(t, stop);
		break;
	case MMU_BREAK_PA:
		add(t, " gpa=%#llx", ll(stop->gpa));
		break;
	case MMU_BREAK_HAZARD:
	case MMU_BREAK_PTE:
	case MMU_BREAK_CR3:
	case MMU_BREAK_INVLPG:
	case MMU_BREAK_KIND_COUNT:
		break;
	}
}

void mmu_text_stop(const struct mmu_stop *stop, char buf[MMU_TEXT_MAX])
{
	struct text t = {.buf = buf};

	buf[0] = '\0';
	add(&t, "mmu stop id=%u kind=%s", stop->id, mmu_break_kind_name(stop->kind));
	if (stop->has_gva)
		add(&t, " gva=%#llx", ll(stop->gva));
	add_details(&t, stop);
	if (stop->vcpu == MMU_NO_VCPU)
		add(&t, " cpu=-");
	else
		add(&t, " cpu=%u", stop->vcpu);
	/* A watched byte is told of behind the instruction. */
	if (stop->kind == MMU_BREAK_PA)
		add(&t, " next=%#llx", ll(stop->rip));
	else if (stop->vcpu != MMU_NO_VCPU)
		add(&t, " rip=%#llx", ll(stop->rip));
	if (stop->has_entry)
		add(&t, " pte@%#llx", ll(stop->entry_gpa));
	if (stop->has_entry || stop->has_values || stop->event == MMU_EVENT_CR3)
		add(&t, " old=%#llx new=%#llx", ll(stop->old), ll(stop->now));
	if (stop->kind != MMU_BREAK_PA)
		add(&t, " seq=%llu", ll(stop->seq));
}
