/* Telling the listeners.  Callers test that somebody listens to the kind, so that nobody pays for
 * news that nobody hears.
 *
 * What they are told of a write to a table is the difference to the bytes that are
 * known: they are kept beside the frame while someone listens.  So a write counts whoever made it
 * and however long it was. */
#include "shadow.h"

#include "umbra/lock.h"
#include "umbra/mmu_hazard.h"

#include <errno.h>
#include <stdlib.h>

#define UNIT	 sizeof(uint64_t)
#define CR3_PCID 0xfffu

/* Events tell of what the current caller does, so the vCPU that it names is the one that runs. */
static void tell(struct mmu *mmu, struct mmu_event *event)
{
	unsigned bit = MMU_EVENT_BIT(event->kind), i;
	struct mmu_who who = {0};

	if (!(mmu->listening & bit))
		return;
	if (mmu->config.who)
		mmu->config.who(mmu->config.who_ctx, event->vcpu, false, &who);
	event->seq = who.seq;
	event->rip = who.rip;
	for (i = 0; i < mmu->listener_count; i++) {
		const struct mmu_listener *listener = &mmu->listener[i];

		if (listener->kinds & bit)
			listener->fn(listener->ctx, event);
	}
}

void mmu_event_who(const struct mmu *mmu, const struct mmu_event *event, struct mmu_who *out_who)
{
	*out_who = (struct mmu_who){0};
	if (mmu->config.who)
		mmu->config.who(mmu->config.who_ctx, event->vcpu, true, out_who);
}

uint64_t mmu_who_seq(const struct mmu *mmu, unsigned vcpu)
{
	struct mmu_who who = {0};

	if (mmu->config.who)
		mmu->config.who(mmu->config.who_ctx, vcpu, false, &who);
	return who.seq;
}

uint64_t mmu_seq(const struct mmu *mmu)
{
	return mmu_who_seq(mmu, MMU_NO_VCPU);
}

/* Listeners. */

static void each_table(struct mmu *mmu, void (*fn)(struct mmu *mmu, struct frame *frame))
{
	struct frame *frame;
	unsigned i;

	for (i = 0; i < mmu->page_count; i++) {
		if (mmu->page[i]->is_live && mmu->page[i]->frame)
			fn(mmu, mmu->page[i]->frame);
	}
	for (frame = mmu->pinned; frame; frame = frame->next_pinned)
		fn(mmu, frame);
}

static void end_seen(struct mmu *mmu, struct frame *frame)
{
	(void)mmu;
	frame_end_seen(frame);
}

void listening_changed(struct mmu *mmu, unsigned before)
{
	unsigned bit = MMU_EVENT_BIT(MMU_EVENT_TABLE_WRITE), i;

	mmu->listening = 0;
	for (i = 0; i < mmu->listener_count; i++)
		mmu->listening |= mmu->listener[i].kinds;
	if (((before ^ mmu->listening) & bit) != 0)
		each_table(mmu, mmu->listening & bit ? frame_begin_seen : end_seen);
}

int mmu_add_listener(struct mmu *mmu, const struct mmu_listener *listener)
{
	int rc = 0;

	lock_take(mmu->lock);
	if (mmu->listener_count < MMU_LISTENERS_MAX)
		mmu->listener[mmu->listener_count++] = *listener;
	else
		rc = -ENOSPC;
	listening_changed(mmu, mmu->listening);
	lock_drop(mmu->lock);
	return rc;
}

void mmu_remove_listener(struct mmu *mmu, mmu_event_fn fn, void *ctx)
{
	unsigned from, to = 0;

	lock_take(mmu->lock);
	for (from = 0; from < mmu->listener_count; from++) {
		if (mmu->listener[from].fn != fn || mmu->listener[from].ctx != ctx)
			mmu->listener[to++] = mmu->listener[from];
	}
	mmu->listener_count = to;
	listening_changed(mmu, mmu->listening);
	lock_drop(mmu->lock);
}

/* What happens. */

unsigned current_pcid(const struct x86_paging *regs)
{
	return regs->cr4 & X86_CR4_PCIDE ? regs->cr3 & CR3_PCID : 0;
}

/* Without PCIDs everything is PCID 0's. */
void tell_cr3(struct mmu *mmu, unsigned vcpu, uint64_t old, enum mmu_load load)
{
	const struct x86_paging *regs = &mmu->vcpu[vcpu].regs;

	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_CR3,
				      .vcpu = vcpu,
				      .old = old,
				      .now = regs->cr3,
				      .scope = load == MMU_LOAD_CR3_KEEP ? MMU_FLUSH_NOTHING
									 : MMU_FLUSH_PCID,
				      .pcid = (uint16_t)current_pcid(regs)});
}

void tell_invlpg(struct mmu *mmu, unsigned vcpu, unsigned pcid, gva_t gva, bool takes_global)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_INVLPG,
				      .vcpu = vcpu,
				      .gva = gva,
				      .pcid = (uint16_t)pcid,
				      .takes_global = takes_global});
}

void tell_flush(struct mmu *mmu, unsigned vcpu, enum mmu_flush_scope scope, unsigned pcid)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_FLUSH,
				      .vcpu = vcpu,
				      .scope = scope,
				      .pcid = (uint16_t)pcid});
}

void tell_protect(struct mmu *mmu, const struct frame *frame)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_PROTECT,
				      .vcpu = mmu->actor,
				      .gpa = frame->gfn << SHADOW_GFN_SHIFT});
}

void tell_hazard(struct mmu *mmu, const struct mmu_hazard_report *report)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_HAZARD,
				      .vcpu = report->vcpu,
				      .gva = report->gva,
				      .access = report->access,
				      .gpa = report->entry_gpa,
				      .old = report->old,
				      .now = report->now});
}

static uint8_t fault_vector(const struct x86_walk *walk, bool is_denied)
{
	if (walk->fault == X86_WALK_NONCANONICAL)
		return X86_EXC_GP;
	return is_denied ? X86_EXC_PF : 0;
}

void tell_fault(struct mmu *mmu, unsigned vcpu, gva_t gva, unsigned access, bool is_denied)
{
	const struct mmu_walk *walk = &mmu->vcpu[vcpu].walk;
	struct mmu_event event = {.kind = MMU_EVENT_FAULT,
				  .vcpu = vcpu,
				  .gva = gva,
				  .access = access,
				  .error = walk->error,
				  .vector = fault_vector(&walk->walk, is_denied)};

	tell(mmu, &event);
	event.kind = MMU_EVENT_WALK;
	event.walk = &walk->walk;
	event.set_accessed = walk->set_accessed;
	event.set_dirty = walk->set_dirty;
	tell(mmu, &event);
}

void tell_fill(struct mmu *mmu, unsigned vcpu, gva_t gva, const struct shadow_page *sp,
	       unsigned index)
{
	uint64_t offset = gva & ~UMBRA_PAGE_MASK;
	struct mmu_event event = {.kind = MMU_EVENT_SLOT,
				  .vcpu = vcpu,
				  .gva = gva,
				  .gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]) | offset,
				  .hva = sp->spte[index] & SPTE_HOST};

	/* The way of this address, up to here; what is filled is its page. */
	if (event.hva)
		event.hva |= offset;
	tell(mmu, &event);
	event.kind = MMU_EVENT_HOST;
	tell(mmu, &event);
	event.gva -= offset;
	event.gpa -= offset;
	event.hva &= UMBRA_PAGE_MASK;
	event.kind = MMU_EVENT_FILL;
	event.sp = sp->id;
	event.index = index;
	event.spte = sp->spte[index];
	tell(mmu, &event);
}

void tell_zap(struct mmu *mmu, const struct shadow_page *sp, unsigned index)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_ZAP,
				      .vcpu = mmu->actor,
				      .sp = sp->id,
				      .index = index,
				      .spte = sp->spte[index]});
}

/* Table writes. */

void frame_begin_seen(struct mmu *mmu, struct frame *frame)
{
	if (frame->seen)
		return;
	frame->seen = malloc(UMBRA_PAGE_SIZE);
	if (frame->seen && mem_peek(mmu->mem, frame->gfn << SHADOW_GFN_SHIFT, frame->seen,
				    UMBRA_PAGE_SIZE) != UMBRA_PAGE_SIZE)
		frame_end_seen(frame); /* nobody can write where no memory is */
}

void frame_end_seen(struct frame *frame)
{
	free(frame->seen);
	frame->seen = NULL;
}

static void tell_unit(struct mmu *mmu, unsigned vcpu, struct frame *frame, size_t first, size_t end)
{
	size_t unit = first & ~(UNIT - 1);
	gpa_t base = frame->gfn << SHADOW_GFN_SHIFT;
	uint8_t raw[UNIT];
	struct mmu_event event = {.kind = MMU_EVENT_TABLE_WRITE,
				  .vcpu = vcpu,
				  .gpa = base + first,
				  .len = (unsigned)(end - first)};

	mem_peek(mmu->mem, base + unit, raw, sizeof(raw));
	event.old = le64_get(frame->seen + unit);
	event.now = le64_get(raw);
	if (event.old == event.now)
		return;
	memcpy(frame->seen + unit, raw, sizeof(raw));
	tell(mmu, &event);
}

void tell_table_write(struct mmu *mmu, unsigned vcpu, struct frame *frame, size_t offset,
		      size_t len)
{
	size_t end = offset + len;

	while (frame->seen && offset < end) {
		size_t next = u64_min(end, (offset & ~(UNIT - 1)) + UNIT);

		tell_unit(mmu, vcpu, frame, offset, next);
		offset = next;
	}
}

void tell_nothing(struct mmu *mmu, struct frame *frame, size_t offset, size_t len)
{
	if (frame->seen)
		mem_peek(mmu->mem, (frame->gfn << SHADOW_GFN_SHIFT) + offset, frame->seen + offset,
			 len);
}
