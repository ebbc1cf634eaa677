/* `mmu shadow`, `verify`, `stats`, `tlb` and `zap`: the shadow itself, where there is one. */
#include "mon_mmu.h"

#include "umbra/stopwatch.h"

#include <stdio.h>

static void format_rights(unsigned rights, char out[4])
{
	out[0] = rights & MMU_RIGHT_W ? 'w' : '-';
	out[1] = rights & MMU_RIGHT_U ? 'u' : '-';
	out[2] = rights & MMU_RIGHT_X ? 'x' : '-';
	out[3] = '\0';
}

/* Shadow pages. */

/* "l1,8byte,wux,nxe" */
static void format_role(const struct mmu_shadow_page *page, char *out, size_t size)
{
	char rights[4], what[16];

	format_rights(page->rights, rights);
	if (page->is_direct)
		snprintf(what, sizeof(what), "direct");
	else if (page->mode == X86_PAGING_32BIT)
		snprintf(what, sizeof(what), "4byte,q%u", page->quadrant);
	else
		snprintf(what, sizeof(what), "8byte");
	snprintf(out, size, "l%u,%s,%s%s%s", page->level, what, rights, page->has_nxe ? ",nxe" : "",
		 page->is_big ? ",big" : "");
}

/* Whether record number @number may be told; of those that may not the first is named. */
static bool has_room_or_more(struct mmu_call *call, uint64_t number)
{
	if (call->is_cut)
		return false;
	if (mmu_has_room(call))
		return true;
	call->is_cut = true;
	mmu_tell_more(call, number);
	return false;
}

static void tell_page(void *ctx, const struct mmu_shadow_page *page)
{
	struct mmu_call *call = ctx;
	struct mon_record *r = &call->record;
	char role[48], present[16];

	if (page->sp < call->from || !has_room_or_more(call, page->sp))
		return;
	format_role(page, role, sizeof(role));
	snprintf(present, sizeof(present), "%u/512", page->present);
	record_begin_number(r, "sp", page->sp);
	record_hex(r, "gfn", page->gfn);
	record_string(r, "role", role);
	record_number(r, "refs", page->refs);
	record_number(r, "roots", page->roots);
	if (r->is_json)
		record_number(r, "present", page->present);
	else
		record_string(r, "present", present);
	if (r->is_json)
		record_bool(r, "wp", page->is_protected);
	else
		record_string(r, "wp", page->is_protected ? "yes" : "no");
	record_number(r, "writes", page->unused_writes);
	record_number(r, "hits", page->hits);
	record_end(r);
}

static void tell_entry(void *ctx, const struct mmu_shadow_entry *entry)
{
	struct mmu_call *call = ctx;
	struct mon_record *r = &call->record;
	char rights[4];

	if (entry->index < call->from || !has_room_or_more(call, entry->index))
		return;
	format_rights(entry->rights, rights);
	record_begin(r, "spte");
	record_number(r, "sp", entry->sp);
	record_number(r, "i", entry->index);
	record_number(r, "level", entry->level);
	record_hex(r, "gpte", entry->gpte);
	if (entry->is_leaf) {
		record_hex(r, "gpa", entry->gpa);
		record_hex(r, "hva", (uintptr_t)entry->host);
		record_string(r, "access", rights);
		record_bool(r, "wp", !entry->may_write);
		record_bool(r, "D", entry->is_dirty);
		record_mark(r, "G", entry->is_global);
		record_mark(r, "big", entry->is_big);
		record_mark(r, "rom", entry->is_rom);
		if (entry->pkey)
			record_number(r, "pk", entry->pkey);
	} else {
		record_number(r, "child", entry->child);
		record_string(r, "access", rights);
	}
	record_end(r);
}

static void tell_path(struct mmu_call *call, gva_t gva)
{
	struct mmu_shadow_entry path[MMU_SHADOW_PATH_MAX];
	unsigned n = mmu_shadow_path(call->mmu, &call->regs, gva, path);

	call->from = 0; /* a way has a few entries, in the order of levels */
	for (unsigned i = 0; i < n; i++)
		tell_entry(call, &path[i]);
	if (n == 0 || !path[n - 1].is_leaf)
		mmu_error(call, MMU_NOTPRESENT, "the shadow has no entry for 0x%llx yet",
			  (unsigned long long)gva);
}

/* A number that is no shadow page's is an address. */
void mmu_word_shadow(struct mmu_call *call)
{
	uint64_t value;

	if (!mmu_needs_shadow(call))
		return;
	if (call->argc == 0)
		mmu_each_shadow_page(call->mmu, tell_page, call);
	else if (!mmu_parse_number(call, call->argv[0], &value))
		return;
	else if (value > UINT32_MAX ||
		 !mmu_each_shadow_entry(call->mmu, (uint32_t)value, tell_entry, call))
		tell_path(call, value);
}

/* Verify. */

struct finding_sink {
	struct mmu_call *call;
};

/* "verify bad I2 sp=19 ...\n" */
static void tell_finding(void *ctx, const char *text, size_t len)
{
	struct finding_sink *sink = ctx;
	struct mon_record *r = &sink->call->record;
	char line[400];

	if (!mmu_has_room(sink->call))
		return;
	snprintf(line, sizeof(line), "%.*s", (int)(len ? len - 1 : 0), text);
	if (!r->is_json) {
		print_to(r->out, "%s\n", line);
		return;
	}
	record_begin(r, "verify");
	record_string(r, "bad", line);
	record_end(r);
}

void mmu_word_verify(struct mmu_call *call)
{
	struct finding_sink findings = {.call = call};
	const struct print_sink sink = {.text = tell_finding, .ctx = &findings};
	struct mon_record *r = &call->record;
	struct mmu_stats stats;
	struct mmu_roots roots;
	uint64_t start;
	unsigned errors;

	if (!mmu_needs_shadow(call))
		return;
	start = stopwatch_ns();
	errors = mmu_verify(call->mmu, &sink);
	start = stopwatch_ns() - start;
	mmu_stats(call->mmu, &stats);
	mmu_roots_get(call->target, &roots);
	record_begin(r, "verify");
	record_string(r, "checks", "I1..I11");
	record_number(r, "roots", roots.count);
	record_number(r, "tables", stats.shadow_pages);
	record_number(r, "sptes", stats.leaves);
	record_number(r, "errors", errors);
	if (r->is_json)
		record_number(r, "time_us", start / 1000);
	else
		record_words(r, " time=%llu.%llums", (unsigned long long)(start / 1000000),
			     (unsigned long long)(start / 100000 % 10));
	record_end(r);
}

/* Stats. */

void mmu_word_stats(struct mmu_call *call)
{
	struct mon_record *r = &call->record;
	struct mmu_stats s;

	if (!mmu_needs_shadow(call))
		return;
	mmu_stats(call->mmu, &s);
	record_begin(r, "stats");
	record_number(r, "faults", s.faults);
	record_number(r, "guest_faults", s.guest_faults);
	record_number(r, "walks", s.walks);
	record_number(r, "fills", s.fills);
	record_number(r, "zaps", s.zaps);
	record_number(r, "table_writes", s.table_writes);
	record_number(r, "cr3_loads", s.cr3_loads);
	record_number(r, "invlpgs", s.invlpgs);
	record_number(r, "floods", s.floods);
	record_number(r, "recycled", s.recycled);
	record_number(r, "roots", s.roots);
	record_number(r, "shadow_pages", s.shadow_pages);
	record_number(r, "leaves", s.leaves);
	record_end(r);
}

/* TLB. */

struct tlb_text {
	struct mmu_call *call;
	gva_t page;
	bool has_page;
	uint64_t count;
};

static void tell_tlb_page(void *ctx, const struct mmu_tlb_page *page)
{
	struct tlb_text *t = ctx;
	struct mon_record *r = &t->call->record;
	char can[4];

	if (page->vcpu != t->call->cpu || (t->has_page && page->gva != t->page))
		return;
	if (t->count++ < t->call->from || !has_room_or_more(t->call, t->count - 1))
		return;
	can[0] = page->can & MMU_CAN_READ ? 'r' : '-';
	can[1] = page->can & MMU_CAN_WRITE ? 'w' : '-';
	can[2] = page->can & MMU_CAN_FETCH ? 'x' : '-';
	can[3] = '\0';
	record_begin(r, "tlb");
	record_number(r, "cpu", page->vcpu);
	record_hex(r, "gva", page->gva);
	record_number(r, "root", page->root);
	record_string(r, "for", page->access & X86_PF_U ? "user" : "supervisor");
	record_mark(r, "AC", page->access & MMU_SMAP_OFF);
	record_string(r, "can", can);
	record_hex(r, "hva", (uintptr_t)page->host);
	record_end(r);
}

void mmu_word_tlb(struct mmu_call *call)
{
	struct tlb_text t = {.call = call, .has_page = call->argc > 0};
	uint64_t gva = 0;

	if (!mmu_needs_shadow(call))
		return;
	if (call->argc && !mmu_parse_number(call, call->argv[0], &gva))
		return;
	t.page = gva & UMBRA_PAGE_MASK;
	if (!mmu_each_tlb_page(call->mmu, tell_tlb_page, &t)) {
		mmu_error(call, MMU_NOCAP, "vCPUs that run at once keep their TLBs to themselves");
		return;
	}
	record_begin(&call->record, "tlb");
	record_number(&call->record, "held", t.count);
	record_end(&call->record);
}

/* Zap. */

void mmu_word_zap(struct mmu_call *call)
{
	const struct accel_ops *accel = vm_accel(call->target->vm);

	if (call->mmu)
		mmu_zap_all(call->mmu);
	else if (accel->mmu_flush)
		accel->mmu_flush(vm_accel_vm(call->target->vm));
	record_begin(&call->record, "zap");
	record_string(&call->record, "backend", accel->name);
	record_end(&call->record);
}
