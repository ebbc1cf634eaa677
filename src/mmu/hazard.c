/* The missing-flush detector: see umbra/mmu_hazard.h.
 *
 * No entry is marked when a table is written.  A write makes the shadow and the micro-TLBs forget
 * what was derived from it, so the next use comes here; then the cached translation is compared
 * with what the tables give.  That covers writes on any level, through any alias, and tables that
 * were put back in time.
 *
 * A flush takes out many translations at once by a stamp: an entry counts when it is younger than
 * every flush that is about it.
 * Source: SDM 3A 4.10.2 (what is cached), 4.10.4.1 (what takes it out), 4.8 (D). */
#include "umbra/mmu_hazard.h"

#include "shadow.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

#define SETS	2048u
#define WAYS	4u
#define PCIDS	4096u
#define SIZES	4u
#define A_AND_D (X86_PTE_A | X86_PTE_D)

struct cached {
	gva_t base;
	uint64_t size; /* 0: free */
	uint64_t born; /* stamp */
	uint64_t seq;
	uint16_t pcid;
	bool is_reported;
	struct x86_walk walk; /* gpa is that of base */
};

struct vcpu_tlb {
	uint64_t all_since, nonglobal_since; /* stamps */
	uint64_t pcid_since[PCIDS];
	struct cached entry[SETS][WAYS];
};

struct mmu_hazard {
	struct mmu *mmu;
	const struct mmu_history *history;
	bool is_on;
	uint64_t grace;
	uint64_t stamp;
	struct vcpu_tlb **tlb; /* for each vCPU; made when it is switched on */
	uint64_t total;
	struct mmu_hazard_report report[MMU_HAZARDS_KEPT];
	struct mmu_hazard_stats stats;
};

static const uint64_t SIZE[SIZES] = {1ull << 12, 1ull << 21, 1ull << 22, 1ull << 30};

static const char *const NAMES[MMU_HAZARD_KIND_COUNT] = {
	[MMU_HAZARD_GPA] = "gpa",
	[MMU_HAZARD_GONE] = "gone",
	[MMU_HAZARD_RIGHTS] = "rights",
	[MMU_HAZARD_DIRTY] = "dirty",
};

const char *mmu_hazard_kind_name(enum mmu_hazard_kind kind)
{
	return NAMES[kind];
}

/* The model. */

static bool is_valid(const struct vcpu_tlb *tlb, const struct cached *e)
{
	if (!e->size || e->born <= tlb->all_since)
		return false;
	return e->walk.is_global ||
	       (e->born > tlb->nonglobal_since && e->born > tlb->pcid_since[e->pcid]);
}

static struct cached *set_of(struct vcpu_tlb *tlb, gva_t base, uint64_t size)
{
	uint64_t h = (base >> 12 ^ size) * 0x9e3779b97f4a7c15ull;

	return tlb->entry[(h >> 40) % SETS];
}

static struct cached *find(struct vcpu_tlb *tlb, gva_t gva, uint64_t size, unsigned pcid)
{
	gva_t base = gva & ~(size - 1);
	struct cached *set = set_of(tlb, base, size);
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		struct cached *e = &set[i];

		if (e->size == size && e->base == base && is_valid(tlb, e) &&
		    (e->walk.is_global || e->pcid == pcid))
			return e;
	}
	return NULL;
}

static struct cached *make_room(struct mmu_hazard *hazard, struct vcpu_tlb *tlb, gva_t base,
				uint64_t size)
{
	struct cached *set = set_of(tlb, base, size), *oldest = set;
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		if (!is_valid(tlb, &set[i]))
			return &set[i];
		if (set[i].born < oldest->born)
			oldest = &set[i];
	}
	hazard->stats.dropped++;
	return oldest;
}

/* Flushes. */

/* Entries of any size that hold @gva: INVLPG takes out all that a large page was cached as. */
static void flush_address(struct vcpu_tlb *tlb, gva_t gva, unsigned pcid, bool takes_global)
{
	unsigned i, way;

	for (i = 0; i < SIZES; i++) {
		gva_t base = gva & ~(SIZE[i] - 1);
		struct cached *set = set_of(tlb, base, SIZE[i]);

		for (way = 0; way < WAYS; way++) {
			struct cached *e = &set[way];

			if (e->size != SIZE[i] || e->base != base)
				continue;
			if (e->walk.is_global ? takes_global : e->pcid == pcid)
				e->size = 0;
		}
	}
}

static void flush_scope(struct mmu_hazard *hazard, struct vcpu_tlb *tlb, enum mmu_flush_scope scope,
			unsigned pcid)
{
	uint64_t now = ++hazard->stamp;

	switch (scope) {
	case MMU_FLUSH_NOTHING:
		break;
	case MMU_FLUSH_PCID:
		tlb->pcid_since[pcid] = now;
		break;
	case MMU_FLUSH_NONGLOBAL:
		tlb->nonglobal_since = now;
		break;
	case MMU_FLUSH_ALL:
		tlb->all_since = now;
		break;
	}
}

/* The micro-TLBs forget as well, so that the next use is seen. */
static void on_event(void *ctx, const struct mmu_event *event)
{
	struct mmu_hazard *hazard = ctx;
	struct vcpu_tlb *tlb = hazard->tlb[event->vcpu];

	hazard->stats.flushes++;
	if (event->kind == MMU_EVENT_INVLPG)
		flush_address(tlb, event->gva, event->pcid, event->takes_global);
	else
		flush_scope(hazard, tlb, event->scope, event->pcid);
	forget_all(hazard->mmu);
}

/* Uses. */

struct use {
	unsigned vcpu;
	gva_t gva;
	unsigned access;
	bool set_dirty;
	const struct x86_paging *regs;
	int rc;		     /* of the walk by the tables as they are */
	struct x86_walk now; /* valid up to its steps when rc < 0 */
};

static bool allows(const struct use *use, const struct x86_walk *walk)
{
	uint32_t error;

	return x86_walk_allows(use->regs, walk, use->access & (X86_PF_W | X86_PF_U | X86_PF_I),
			       use->access & MMU_SMAP_OFF, &error);
}

static gpa_t gpa_by(const struct cached *e, gva_t gva)
{
	return e->walk.gpa + (gva - e->base);
}

/* What is wrong with a processor that has @e.  False: nothing. */
static bool judge(const struct cached *e, const struct use *use, enum mmu_hazard_kind *out_kind)
{
	bool is_write = use->access & X86_PF_W;

	if (!allows(use, &e->walk) || (is_write && !e->walk.is_dirty))
		return false;
	if (use->rc < 0)
		*out_kind = MMU_HAZARD_GONE;
	else if (gpa_by(e, use->gva) != use->now.gpa)
		*out_kind = MMU_HAZARD_GPA;
	else if (!allows(use, &use->now))
		*out_kind = MMU_HAZARD_RIGHTS;
	else if (is_write && use->set_dirty)
		*out_kind = MMU_HAZARD_DIRTY;
	else
		return false;
	return true;
}

/* The first step in which the two differ but for A and D; DIRTY: the last one. */
static unsigned find_step(const struct cached *e, const struct use *use, enum mmu_hazard_kind kind)
{
	const struct x86_walk *a = &e->walk, *b = &use->now;
	unsigned count = a->step_count < b->step_count ? a->step_count : b->step_count, i;

	if (kind == MMU_HAZARD_DIRTY)
		return count - 1;
	for (i = 0; i < count; i++) {
		if (a->step[i].entry_gpa != b->step[i].entry_gpa)
			return count;
		if ((a->step[i].entry ^ b->step[i].entry) & ~A_AND_D)
			return i;
	}
	return count;
}

static void name_entry(const struct mmu_hazard *hazard, const struct cached *e,
		       const struct use *use, struct mmu_hazard_report *report)
{
	unsigned i = find_step(e, use, report->kind);
	size_t len = e->walk.mode == X86_PAGING_32BIT ? 4 : 8;

	if (i >= use->now.step_count || i >= e->walk.step_count)
		return;
	report->level = e->walk.step[i].level;
	report->entry_gpa = e->walk.step[i].entry_gpa;
	report->old = e->walk.step[i].entry;
	report->now = use->now.step[i].entry;
	report->has_writer =
		hazard->history &&
		mmu_history_last_locked(hazard->history, report->entry_gpa, len, &report->writer);
}

static bool is_too_soon(const struct mmu_hazard *hazard, const struct mmu_hazard_report *report)
{
	return report->has_writer && report->writer.vcpu != report->vcpu &&
	       report->seq - report->writer.seq < hazard->grace;
}

static void report_use(struct mmu_hazard *hazard, struct cached *e, const struct use *use,
		       enum mmu_hazard_kind kind)
{
	struct mmu_who who = {0};
	struct mmu_hazard_report report = {
		.number = hazard->total,
		.kind = kind,
		.vcpu = use->vcpu,
		.gva = use->gva,
		.access = use->access,
		.pcid = e->pcid,
		.is_global = e->walk.is_global,
		.cached_seq = e->seq,
		.cached_gpa = gpa_by(e, use->gva),
		.gpa = use->rc < 0 ? 0 : use->now.gpa,
	};

	if (hazard->mmu->config.who)
		hazard->mmu->config.who(hazard->mmu->config.who_ctx, use->vcpu, false, &who);
	report.seq = who.seq;
	report.rip = who.rip;
	name_entry(hazard, e, use, &report);
	if (is_too_soon(hazard, &report))
		return;
	e->is_reported = true;
	hazard->report[hazard->total++ % MMU_HAZARDS_KEPT] = report;
	if (is_listening(hazard->mmu, MMU_EVENT_HAZARD))
		tell_hazard(hazard->mmu, &report);
}

/* A page that becomes the user's takes something from the supervisor under SMEP and SMAP. */
static bool covers_user(const struct use *use, const struct x86_walk *a, const struct x86_walk *b)
{
	bool is_gain = b->is_user && !(use->regs->cr4 & (X86_CR4_SMEP | X86_CR4_SMAP));

	return a->is_user == b->is_user || is_gain;
}

/* Does the translation by the tables allow all that the cached one does? */
static bool covers(const struct use *use, const struct cached *e)
{
	const struct x86_walk *a = &e->walk, *b = &use->now;

	return gpa_by(e, use->gva) == b->gpa && a->is_writable <= b->is_writable &&
	       covers_user(use, a, b) && a->is_executable <= b->is_executable &&
	       a->pkey == b->pkey && a->is_dirty <= b->is_dirty;
}

static void take_in(struct mmu_hazard *hazard, struct vcpu_tlb *tlb, const struct use *use,
		    unsigned pcid)
{
	uint64_t size = use->now.page_size;
	gva_t base = use->gva & ~(size - 1);
	struct cached *e = find(tlb, use->gva, size, pcid);
	struct mmu_who who = {0};

	if (e && !covers(use, e))
		return; /* a processor may go on with the old one: it is to be flushed yet */
	if (!e) {
		e = make_room(hazard, tlb, base, size);
		if (hazard->mmu->config.who)
			hazard->mmu->config.who(hazard->mmu->config.who_ctx, use->vcpu, false,
						&who);
		e->seq = who.seq;
		e->born = ++hazard->stamp;
		e->is_reported = false;
	}
	e->base = base;
	e->size = size;
	e->pcid = (uint16_t)pcid;
	e->walk = use->now;
	e->walk.gpa &= ~(size - 1);
}

static bool read_memory(void *mem, gpa_t gpa, void *buf, size_t len)
{
	return mem_peek(mem, gpa, buf, len) == len;
}

/* A fault takes the address out of the TLB by itself. */
static void on_use(void *ctx, unsigned vcpu, gva_t gva, unsigned access, bool set_dirty)
{
	struct mmu_hazard *hazard = ctx;
	struct vcpu_tlb *tlb = hazard->tlb[vcpu];
	const struct x86_paging *regs = &hazard->mmu->vcpu[vcpu].regs;
	unsigned pcid = current_pcid(regs), i;
	struct use use = {
		.vcpu = vcpu, .gva = gva, .access = access, .set_dirty = set_dirty, .regs = regs};

	if (x86_paging_mode(regs) == X86_PAGING_NONE)
		return;
	hazard->stats.uses++;
	use.rc = x86_walk_paging(regs, gva, read_memory, hazard->mmu->mem, &use.now);
	for (i = 0; i < SIZES; i++) {
		struct cached *e = find(tlb, gva, SIZE[i], pcid);
		enum mmu_hazard_kind kind;

		if (e && !e->is_reported && judge(e, &use, &kind))
			report_use(hazard, e, &use, kind);
	}
	if (use.rc < 0 || !allows(&use, &use.now))
		flush_address(tlb, gva, pcid, true);
	else
		take_in(hazard, tlb, &use, pcid);
}

/* Life. */

static void free_models(struct mmu_hazard *hazard)
{
	unsigned i;

	for (i = 0; hazard->tlb && i < hazard->mmu->config.vcpus; i++)
		free(hazard->tlb[i]);
	free(hazard->tlb);
	hazard->tlb = NULL;
}

static bool make_models(struct mmu_hazard *hazard)
{
	unsigned vcpus = hazard->mmu->config.vcpus, i;

	hazard->tlb = calloc(vcpus + 1ul, sizeof(struct vcpu_tlb *));
	for (i = 0; hazard->tlb && i < vcpus; i++) {
		hazard->tlb[i] = calloc(1, sizeof(*hazard->tlb[i]));
		if (!hazard->tlb[i]) {
			free_models(hazard);
			return false;
		}
	}
	return hazard->tlb != NULL;
}

int mmu_hazard_create(struct mmu_hazard **out_hazard, struct mmu *mmu,
		      const struct mmu_history *history, struct umbra_err *err)
{
	struct mmu_hazard *hazard = calloc(1, sizeof(*hazard));

	if (!hazard)
		return umbra_err_set(err, ENOMEM, "no memory for the hazards");
	hazard->mmu = mmu;
	hazard->history = history;
	*out_hazard = hazard;
	return 0;
}

static void set_use_hook(struct mmu_hazard *hazard, bool is_on)
{
	struct mmu *mmu = hazard->mmu;

	lock_take(mmu->lock);
	mmu->on_use = is_on ? on_use : NULL;
	mmu->on_use_ctx = hazard;
	forget_all(mmu);
	forget_flush(mmu);
	lock_drop(mmu->lock);
}

static int switch_on(struct mmu_hazard *hazard)
{
	const struct mmu_listener listener = {MMU_EVENT_BIT(MMU_EVENT_CR3) |
						      MMU_EVENT_BIT(MMU_EVENT_INVLPG) |
						      MMU_EVENT_BIT(MMU_EVENT_FLUSH),
					      on_event, hazard};

	if (hazard->mmu->on_use)
		return -ENOSPC;
	if (!make_models(hazard))
		return -ENOMEM;
	if (mmu_add_listener(hazard->mmu, &listener) < 0) {
		free_models(hazard);
		return -ENOSPC;
	}
	set_use_hook(hazard, true);
	return 0;
}

int mmu_hazard_set(struct mmu_hazard *hazard, bool is_on)
{
	int rc = 0;

	if (is_on == hazard->is_on)
		return 0;
	if (is_on) {
		rc = switch_on(hazard);
	} else {
		set_use_hook(hazard, false);
		mmu_remove_listener(hazard->mmu, on_event, hazard);
		free_models(hazard);
	}
	hazard->is_on = is_on && rc == 0;
	return rc;
}

void mmu_hazard_destroy(struct mmu_hazard *hazard)
{
	if (!hazard)
		return;
	(void)mmu_hazard_set(hazard, false);
	free(hazard);
}

bool mmu_hazard_is_on(const struct mmu_hazard *hazard)
{
	return hazard->is_on;
}

void mmu_hazard_set_grace(struct mmu_hazard *hazard, uint64_t seq)
{
	hazard->grace = seq;
}

/* Reading. */

uint64_t mmu_hazard_total(const struct mmu_hazard *hazard)
{
	uint64_t total;

	lock_take(hazard->mmu->lock);
	total = hazard->total;
	lock_drop(hazard->mmu->lock);
	return total;
}

bool mmu_hazard_get(const struct mmu_hazard *hazard, uint64_t number,
		    struct mmu_hazard_report *out_report)
{
	bool is_there;

	lock_take(hazard->mmu->lock);
	is_there = number < hazard->total && hazard->total - number <= MMU_HAZARDS_KEPT;
	if (is_there)
		*out_report = hazard->report[number % MMU_HAZARDS_KEPT];
	lock_drop(hazard->mmu->lock);
	return is_there;
}

void mmu_hazard_stats(const struct mmu_hazard *hazard, struct mmu_hazard_stats *out_stats)
{
	lock_take(hazard->mmu->lock);
	*out_stats = hazard->stats;
	lock_drop(hazard->mmu->lock);
}
