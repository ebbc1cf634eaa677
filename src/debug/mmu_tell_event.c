/* Events of the shadow MMU as records, the four steps of a shadow page fault among them: S1 the
 * guest's tables, S2 the memory slot, S3 the host's page, S4 the shadow entry. */
#include "mmu_tell.h"

#include "mon_mmu.h"

#include <stdio.h>

static unsigned long long ll(uint64_t value)
{
	return value;
}

const char *mmu_event_name(enum mmu_event_kind kind)
{
	static const char *const name[] = {
		[MMU_EVENT_FAULT] = "fault",	 [MMU_EVENT_WALK] = "walk",
		[MMU_EVENT_SLOT] = "slot",	 [MMU_EVENT_HOST] = "host",
		[MMU_EVENT_FILL] = "fill",	 [MMU_EVENT_TABLE_WRITE] = "ptw",
		[MMU_EVENT_ZAP] = "zap",	 [MMU_EVENT_PROTECT] = "wp",
		[MMU_EVENT_CR3] = "cr3",	 [MMU_EVENT_INVLPG] = "invlpg",
		[MMU_EVENT_FLUSH] = "flush",	 [MMU_EVENT_HAZARD] = "hazard",
		[MMU_EVENT_KIND_COUNT] = "none",
	};

	return name[kind];
}

/* Each event's record begins with when it was. */
static void begin(struct mon_record *r, const struct mmu_event *event, const char *title)
{
	char when[64];

	snprintf(when, sizeof(when), "%llu %s", ll(event->seq), title);
	record_begin_as(r, mmu_event_name(event->kind), when);
	if (r->is_json)
		record_number(r, "seq", event->seq);
}

static void tell_who(struct mon_record *r, const struct mmu_event *event)
{
	if (event->vcpu == MMU_NO_VCPU) {
		record_string(r, "cpu", "-");
		return;
	}
	record_number(r, "cpu", event->vcpu);
	record_hex(r, "rip", event->rip);
}

/* "0x6 (P|W)" has the access as the processor's error code has it. */
static void tell_fault(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "fault");
	tell_who(r, event);
	record_hex(r, "gva", event->gva);
	if (event->vector) {
		record_hex(r, "err", event->error);
		record_string(r, "who", event->vector == X86_EXC_GP ? "guest(#GP)" : "guest(#PF)");
	} else {
		record_hex(r, "err", event->access & (X86_PF_W | X86_PF_U | X86_PF_I));
		record_string(r, "who", "guest->shadow(miss)");
	}
	record_end(r);
}

static unsigned level_of(uint64_t page_size)
{
	return page_size == UMBRA_PAGE_SIZE ? 1 : page_size < 1ull << 30 ? 2 : 3;
}

/* A on each level that is named, D on that of the page. */
static void tell_set_bits(struct mon_record *r, const struct mmu_event *event, uint64_t page_size)
{
	const char *before = " ";
	bool is_list = r->is_json && event->set_accessed;
	char levels[16] = "";
	size_t n = 0;

	for (unsigned level = X86_WALK_MAX_LEVELS; level > 0; level--) {
		if (!(event->set_accessed >> level & 1))
			continue;
		n += (size_t)snprintf(levels + n, sizeof(levels) - n, "%s%u", n ? "," : "", level);
		record_words(r, "%sset A L%u", before, level);
		before = ", ";
	}
	if (is_list)
		record_string(r, "set_a", levels);
	if (r->is_json)
		record_bool(r, "set_d", event->set_dirty);
	else if (event->set_dirty)
		record_words(r, "%sset D L%u", before, level_of(page_size));
}

static const char *fault_name(enum x86_walk_fault fault)
{
	switch (fault) {
	case X86_WALK_OK:
		return "none";
	case X86_WALK_NOT_PRESENT:
		return "notpresent";
	case X86_WALK_RESERVED:
		return "reserved";
	default:
		return "rights";
	}
}

static void tell_walk(struct mon_record *r, const struct mmu_trace_record *t)
{
	const struct mmu_event *event = &t->event;

	begin(r, event, "S1 guest-walk");
	record_hex(r, "gva", event->gva);
	record_words(r, " ->");
	if (t->page_size) {
		record_hex(r, "gpa", t->walk_gpa);
		if (t->page_size != UMBRA_PAGE_SIZE)
			mmu_tell_size(r, t->page_size);
	} else {
		record_string(r, "fault", fault_name((enum x86_walk_fault)t->fault));
		record_number(r, "level", t->fault_level);
	}
	if (event->vector)
		record_hex(r, "err", event->error);
	tell_set_bits(r, event, t->page_size);
	record_end(r);
}

static void tell_slot(struct mon_record *r, const struct mem_space *mem,
		      const struct mmu_event *event)
{
	const struct mem_region *region;
	unsigned i = 0;

	while ((region = mem_region_at(mem, i)) != NULL &&
	       !range_fits(event->gpa, 1, region->gpa, region->len))
		i++;
	begin(r, event, "S2 slot");
	record_hex(r, "gpa", event->gpa);
	record_words(r, " ->");
	if (region) {
		record_number(r, "slot", i);
		record_hex(r, "hva", event->hva);
	} else {
		record_string(r, "slot", "none");
	}
	record_end(r);
}

static void tell_host(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "S3 host");
	record_hex(r, "hva", event->hva);
	record_words(r, " ->");
	if (event->hva)
		mmu_tell_hpa(r, (const uint8_t *)(uintptr_t)event->hva);
	else
		record_string(r, "hpa", "none");
	record_end(r);
}

static void format_spte(uint64_t spte, char out[4], struct mmu_shadow_entry *entry)
{
	*entry = (struct mmu_shadow_entry){.is_leaf = false};
	mmu_shadow_decode(spte, entry);
	snprintf(out, 4, "%c%c%c", entry->may_write ? 'w' : '-',
		 entry->rights & MMU_RIGHT_U ? 'u' : '-', entry->rights & MMU_RIGHT_X ? 'x' : '-');
}

/* Why a writable page is not written at once. */
static const char *protection(const struct mmu_shadow_entry *entry)
{
	if (entry->may_write)
		return "no";
	if (!(entry->rights & MMU_RIGHT_W))
		return "guest";
	if (entry->is_rom)
		return "rom";
	if (!entry->host)
		return "mmio";
	return entry->is_dirty ? "table" : "clean";
}

static void tell_fill(struct mon_record *r, const struct mmu_event *event)
{
	struct mmu_shadow_entry entry;
	char rights[4];

	format_spte(event->spte, rights, &entry);
	begin(r, event, "S4 fill");
	record_number(r, "sp", event->sp);
	record_number(r, "i", event->index);
	record_string(r, "spte", rights);
	record_string(r, "wp", protection(&entry));
	if (r->is_json)
		record_hex(r, "gva", event->gva);
	record_end(r);
}

static void tell_dropped(struct mon_record *r, const struct mmu_event *zap)
{
	record_object(r, "drop", " -> drop");
	record_number(r, "sp", zap->sp);
	record_number(r, "i", zap->index);
	record_object_end(r);
}

static void tell_insn(struct mon_record *r, const struct mmu_trace_record *t)
{
	char text[X86_INSN_TEXT_MAX];

	if (t->insn_len && x86_insn_format((enum x86_mode)t->insn_mode, t->event.rip, t->insn,
					   t->insn_len, text) > 0)
		record_string(r, "insn", text);
}

static void begin_table_write(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "ptw");
	if (r->is_json)
		record_hex(r, "at", event->gpa);
	else
		record_words(r, " pte@0x%llx", ll(event->gpa));
	record_hex(r, "old", event->old);
	record_hex(r, "new", event->now);
}

static void tell_table_write(struct mon_record *r, const struct mmu_trace_record *t,
			     const struct mmu_drops *drops)
{
	const struct mmu_event *event = &t->event;

	begin_table_write(r, event);
	tell_who(r, event);
	record_number(r, "len", event->len);
	tell_insn(r, t);
	record_number(r, "shadows", drops->count);
	if (drops->first && !r->is_json)
		tell_dropped(r, &drops->first->event);
	record_end(r);
}

/* Without what no trapped write tells: the shadow's part, and at times the instruction. */
void mmu_tell_trapped(struct mon_record *r, const struct accel_trapped *write)
{
	struct mmu_trace_record t = {.event = {.kind = MMU_EVENT_TABLE_WRITE,
					       .vcpu = write->vcpu,
					       .seq = write->number,
					       .rip = write->rip,
					       .gpa = write->gpa,
					       .old = write->old,
					       .now = write->now}};

	t.insn_len = write->insn_len;
	t.insn_mode = (uint8_t)write->insn_mode;
	memcpy(t.insn, write->insn, sizeof(t.insn));
	begin_table_write(r, &t.event);
	if (write->insn_len) {
		tell_who(r, &t.event);
	} else {
		record_number(r, "cpu", write->vcpu);
		record_hex(r, "next_rip", write->next_rip);
	}
	record_number(r, "len", write->len);
	if (write->insn_len)
		tell_insn(r, &t);
	else
		record_string(r, "insn", "unknown");
	record_string(r, "role", "model");
	record_end(r);
}

static void tell_zap(struct mon_record *r, const struct mmu_event *event)
{
	struct mmu_shadow_entry entry;
	char rights[4];

	format_spte(event->spte, rights, &entry);
	begin(r, event, "zap");
	record_number(r, "sp", event->sp);
	record_number(r, "i", event->index);
	record_string(r, "spte", entry.is_leaf ? rights : "table");
	record_end(r);
}

static const char *scope_name(enum mmu_flush_scope scope)
{
	switch (scope) {
	case MMU_FLUSH_NOTHING:
		return "nothing";
	case MMU_FLUSH_PCID:
		return "pcid";
	case MMU_FLUSH_NONGLOBAL:
		return "nonglobal";
	case MMU_FLUSH_ALL:
		break;
	}
	return "all";
}

static void tell_cr3(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "cr3");
	tell_who(r, event);
	record_hex(r, "old", event->old);
	record_hex(r, "new", event->now);
	record_string(r, "flush", scope_name(event->scope));
	record_end(r);
}

static void tell_flush(struct mon_record *r, const struct mmu_event *event)
{
	bool is_page = event->kind == MMU_EVENT_INVLPG;

	begin(r, event, mmu_event_name(event->kind));
	tell_who(r, event);
	if (is_page)
		record_hex(r, "gva", event->gva);
	else
		record_string(r, "scope", scope_name(event->scope));
	record_number(r, "pcid", event->pcid);
	record_end(r);
}

static void tell_protect(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "wp");
	record_hex(r, "gfn", event->gpa / UMBRA_PAGE_SIZE);
	record_words(r, " is a table");
	record_end(r);
}

static void tell_use(struct mon_record *r, const struct mmu_event *event)
{
	begin(r, event, "hazard");
	tell_who(r, event);
	record_hex(r, "gva", event->gva);
	record_hex(r, "old", event->old);
	record_hex(r, "new", event->now);
	record_end(r);
}

void mmu_tell_event(struct mon_record *r, const struct mem_space *mem,
		    const struct mmu_trace_record *t, const struct mmu_drops *drops)
{
	const struct mmu_event *event = &t->event;

	switch (event->kind) {
	case MMU_EVENT_FAULT:
		tell_fault(r, event);
		break;
	case MMU_EVENT_WALK:
		tell_walk(r, t);
		break;
	case MMU_EVENT_SLOT:
		tell_slot(r, mem, event);
		break;
	case MMU_EVENT_HOST:
		tell_host(r, event);
		break;
	case MMU_EVENT_FILL:
		tell_fill(r, event);
		break;
	case MMU_EVENT_TABLE_WRITE:
		tell_table_write(r, t, drops);
		break;
	case MMU_EVENT_ZAP:
		tell_zap(r, event);
		break;
	case MMU_EVENT_PROTECT:
		tell_protect(r, event);
		break;
	case MMU_EVENT_CR3:
		tell_cr3(r, event);
		break;
	case MMU_EVENT_INVLPG:
	case MMU_EVENT_FLUSH:
		tell_flush(r, event);
		break;
	case MMU_EVENT_HAZARD:
		tell_use(r, event);
		break;
	case MMU_EVENT_KIND_COUNT:
		break;
	}
}
