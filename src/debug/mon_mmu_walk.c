/* `mmu walk` and `mmu probe`: one address, entry by entry, and what an access to it would meet. */
#include "mon_mmu.h"

#include <stdio.h>

/* Walk. */

struct walk_text {
	struct mmu_call *call;
	const struct mmu_probe *probe; /* its walk; a fault of a plain read's rights is none here */
	struct mmu_shadow_entry path[MMU_SHADOW_PATH_MAX];
	unsigned path_len;
};

static void format_access(unsigned rights, char out[4])
{
	out[0] = rights & MMU_RIGHT_W ? 'w' : '-';
	out[1] = rights & MMU_RIGHT_U ? 'u' : '-';
	out[2] = rights & MMU_RIGHT_X ? 'x' : '-';
	out[3] = '\0';
}

static const struct mmu_shadow_entry *shadow_at(const struct walk_text *t, unsigned level)
{
	for (unsigned i = 0; i < t->path_len; i++) {
		if (t->path[i].level == level)
			return &t->path[i];
	}
	return NULL;
}

/* A leaf of a large page stands a level or two below the guest's entry. */
static void tell_shadow_entry(struct walk_text *t, const struct mmu_shadow_entry *e)
{
	struct mon_record *r = &t->call->record;
	char access[4];

	if (!e)
		return;
	format_access(e->rights, access);
	record_object(r, "shadow", "  shadow");
	record_number(r, "sp", e->sp);
	record_number(r, "i", e->index);
	if (!e->is_leaf) {
		record_string(r, "access", access);
	} else {
		if (r->is_json)
			record_hex(r, "hva", (uintptr_t)e->host);
		else
			record_words(r, " spte=hva:0x%llx", (unsigned long long)(uintptr_t)e->host);
		record_bare(r, "access", access);
		if (r->is_json)
			record_bool(r, "wp", !e->may_write);
		else
			record_words(r, " (wp: %s)", e->may_write ? "no" : "yes");
	}
	record_object_end(r);
}

static bool is_page_entry(const struct x86_walk *walk, unsigned i)
{
	return walk->fault == X86_WALK_OK && i + 1 == walk->step_count;
}

static void tell_attributes(struct walk_text *t, const struct x86_walk_step *step, bool is_page)
{
	const struct x86_walk *walk = &t->probe->walk;
	unsigned pat = (unsigned)(step->entry >> 3) & 3;

	if (!is_page)
		return;
	pat |= (step->entry >> (step->level == 1 ? 7 : 12) & 1) << 2;
	if (walk->pkey)
		record_number(&t->call->record, "pk", walk->pkey);
	if (pat)
		record_number(&t->call->record, "pat", pat);
}

static void tell_step(struct walk_text *t, unsigned i)
{
	struct mon_record *r = &t->call->record;
	const struct x86_walk *walk = &t->probe->walk;
	const struct x86_walk_step *step = &walk->step[i];
	bool is_page = is_page_entry(walk, i);
	char flags[11], head[8];

	snprintf(head, sizeof(head), "L%u", step->level);
	record_item(r, head);
	if (r->is_json)
		record_number(r, "l", step->level);
	record_number(r, "i", step->index);
	record_hex(r, "at", step->entry_gpa);
	if (walk->mode == X86_PAGING_32BIT && !r->is_json)
		record_words(r, " pte=0x%08llx", (unsigned long long)step->entry);
	else
		record_hex16(r, "pte", step->entry);
	mmu_format_flags(walk->mode, step->level, is_page || step->level == 1, step->entry, flags);
	record_bare(r, "flags", flags);
	tell_attributes(t, step, is_page);
	/* PAE's four: memory at `at` may say something else by now. */
	if (walk->mode == X86_PAGING_PAE && step->level == 3 && t->call->regs.has_pdpte)
		record_mark(r, "register", true);
	if ((step->entry & X86_PTE_P) && (i + 1 < walk->step_count || is_page))
		record_words(r, " -> 0x%llx",
			     (unsigned long long)(is_page ? walk->gpa & ~(walk->page_size - 1)
							  : step->entry & X86_PTE_TABLE));
	if (t->call->mmu)
		tell_shadow_entry(t, shadow_at(t, step->level));
	record_item_end(r);
}

/* JSON's summary of the whole way. */
static void tell_shadow_state(struct walk_text *t)
{
	struct mon_record *r = &t->call->record;
	const struct mmu_shadow_entry *last = t->path_len ? &t->path[t->path_len - 1] : NULL;

	if (!r->is_json)
		return;
	if (!t->call->mmu) {
		record_null(r, "shadow");
		return;
	}
	record_object(r, "shadow", "");
	if (last) {
		record_number(r, "sp", last->sp);
		record_number(r, "i", last->index);
	}
	record_string(r, "state", last && last->is_leaf ? "present" : "none");
	if (last && last->is_leaf && last->host)
		record_hex(r, "hva",
			   (uintptr_t)last->host + (t->probe->walk.gpa & (UMBRA_PAGE_SIZE - 1)));
	record_object_end(r);
}

static void tell_page(struct walk_text *t)
{
	struct mmu_call *call = t->call;
	struct mon_record *r = &call->record;
	const struct x86_walk *walk = &t->probe->walk;
	unsigned rights = mmu_walk_rights(walk);
	bool is_smap = (rights & MMU_RIGHT_U) && (call->regs.cr4 & X86_CR4_SMAP) &&
		       walk->mode != X86_PAGING_NONE;
	const struct mmu_shadow_entry *last = t->path_len ? &t->path[t->path_len - 1] : NULL;

	record_words(r, "\n=");
	record_hex(r, "gpa", walk->gpa);
	mmu_tell_size(r, walk->page_size);
	mmu_tell_rights(call, &call->regs, rights, " rights=");
	if (is_smap)
		record_words(r, " (k needs AC=1: smap)");
	if (last && last->is_leaf && !r->is_json &&
	    (walk->step_count == 0 || walk->step[walk->step_count - 1].level != last->level))
		tell_shadow_entry(t, last);
	tell_shadow_state(t);
	record_null(r, "fault");
}

static const char *fault_name(enum x86_walk_fault fault)
{
	switch (fault) {
	case X86_WALK_OK:
		break;
	case X86_WALK_NONCANONICAL:
		return "noncanon";
	case X86_WALK_NOT_PRESENT:
		return "notpresent";
	case X86_WALK_RESERVED:
		return "reserved";
	case X86_WALK_BUS:
		return "bus";
	}
	return "none";
}

static void tell_fault(struct walk_text *t)
{
	struct mon_record *r = &t->call->record;
	const struct x86_walk *walk = &t->probe->walk;

	record_words(r, "\n=");
	record_null(r, "gpa");
	tell_shadow_state(t);
	record_object(r, "fault", "");
	record_string(r, r->is_json ? "kind" : "fault", fault_name(walk->fault));
	record_number(r, "level", walk->fault_level);
	record_string(r, r->is_json ? "cause" : "why", t->probe->cause);
	record_object_end(r);
}

static unsigned level_count(enum x86_paging_mode mode)
{
	static const unsigned levels[] = {[X86_PAGING_NONE] = 0,
					  [X86_PAGING_32BIT] = 2,
					  [X86_PAGING_PAE] = 3,
					  [X86_PAGING_4LEVEL] = 4,
					  [X86_PAGING_5LEVEL] = 5};

	return levels[mode];
}

void mmu_word_walk(struct mmu_call *call)
{
	struct mmu_probe probe;
	struct walk_text t = {.call = call, .probe = &probe};
	struct mon_record *r = &call->record;
	uint64_t gva;

	if (!mmu_parse_number(call, call->argv[0], &gva))
		return;
	mmu_probe(call->mem, &call->regs, gva, 0, true, &probe);
	if (call->mmu)
		t.path_len = mmu_shadow_path(call->mmu, &call->regs, gva, t.path);
	record_begin(r, "walk");
	record_hex(r, "gva", gva);
	record_number(r, "cpu", call->cpu);
	record_hex(r, "cr3", call->regs.cr3);
	if (r->is_json)
		record_string(r, "paging", mmu_mode_name(probe.walk.mode));
	else
		record_number(r, "levels", level_count(probe.walk.mode));
	if (!call->mmu)
		record_string(r, "role", "model");
	record_list(r, "levels");
	for (unsigned i = 0; i < probe.walk.step_count; i++)
		tell_step(&t, i);
	record_list_end(r);
	if (probe.walk.fault == X86_WALK_OK)
		tell_page(&t);
	else
		tell_fault(&t);
	record_end(r);
}

/* Probe. */

/* "0x7 (P|W|U)" */
static void tell_error_code(struct mon_record *r, uint32_t error)
{
	static const char *const names[] = {"P", "W", "U", "RSVD", "I", "PK"};
	char text[32] = "";
	size_t len = 0;

	record_hex(r, "err", error);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(names); i++) {
		if (error >> i & 1)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
						len ? "|" : "", names[i]);
	}
	if (error)
		record_words(r, " (%s)", text);
}

struct probe_args {
	const char *access;
	unsigned mask;
	uint64_t cpl, ac, gva;
	bool has_gva;
};

static bool take_probe_arg(struct mmu_call *call, const char *text, struct probe_args *args)
{
	static const struct {
		const char *name;
		unsigned mask;
	} accesses[] = {{"r", 0}, {"w", X86_PF_W}, {"x", X86_PF_I}};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(accesses); i++) {
		if (strcmp(text, accesses[i].name) == 0) {
			args->access = accesses[i].name;
			args->mask = accesses[i].mask;
			return true;
		}
	}
	if (strncmp(text, "cpl=", 4) == 0)
		return mmu_parse_number(call, text + 4, &args->cpl);
	if (strncmp(text, "ac=", 3) == 0)
		return mmu_parse_number(call, text + 3, &args->ac);
	args->has_gva = true;
	return mmu_parse_number(call, text, &args->gva);
}

static void tell_probe(struct mmu_call *call, const struct probe_args *args,
		       const struct mmu_probe *probe)
{
	struct mon_record *r = &call->record;

	record_begin(r, "probe");
	record_hex(r, "gva", args->gva);
	record_string(r, "access", args->access);
	record_number(r, "cpl", args->cpl);
	if (args->cpl < 3 && (call->regs.cr4 & X86_CR4_SMAP))
		record_number(r, "ac", args->ac);
	record_string(r, "result", probe->is_fault ? "fault" : "ok");
	if (!probe->is_fault) {
		record_hex(r, "gpa", probe->walk.gpa);
		record_end(r);
		return;
	}
	record_number(r, "vector", probe->vector);
	if (probe->vector == X86_EXC_PF)
		tell_error_code(r, probe->error);
	else
		record_hex(r, "err", 0);
	record_number(r, "level", probe->level);
	if (r->is_json)
		record_string(r, "cause", probe->cause);
	else
		record_words(r, " cause=\"%s\"", probe->cause);
	if (probe->vector == X86_EXC_PF)
		record_hex(r, "cr2", args->gva);
	record_end(r);
}

void mmu_word_probe(struct mmu_call *call)
{
	struct probe_args args = {.access = "r",
				  .cpl = x86_cpl_of(call->st),
				  .ac = (call->st->rflags & X86_RFLAGS_AC) != 0};
	struct mmu_probe probe;

	for (unsigned i = 0; i < call->argc; i++) {
		if (!take_probe_arg(call, call->argv[i], &args))
			return;
	}
	if (!args.has_gva || args.cpl > 3 || args.ac > 1) {
		mmu_error(call, MMU_BADARG, "usage: mmu probe [r|w|x] [cpl=0..3] [ac=0|1] GVA");
		return;
	}
	mmu_probe(call->mem, &call->regs, args.gva, args.mask | (args.cpl == 3 ? X86_PF_U : 0),
		  args.ac, &probe);
	tell_probe(call, &args, &probe);
}
