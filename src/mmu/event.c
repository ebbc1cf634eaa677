/* Telling the listener.  Callers test that there is one, so that nobody pays for news that nobody
 * hears.
 *
 * What a listener is told of a write to a table is the difference to the bytes that it knows: they
 * are kept beside the frame while someone listens.  So a write counts whoever made it and however
 * long it was. */
#include "shadow.h"

#include <stdlib.h>

#define UNIT sizeof(uint64_t)

static void tell(struct mmu *mmu, const struct mmu_event *event)
{
	if (mmu->listener)
		mmu->listener(mmu->listener_ctx, event);
}

void tell_cr3(struct mmu *mmu, unsigned vcpu, uint64_t old, uint64_t now)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_CR3, .vcpu = vcpu, .old = old, .now = now});
}

void tell_invlpg(struct mmu *mmu, unsigned vcpu, gva_t gva)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_INVLPG, .vcpu = vcpu, .gva = gva});
}

void tell_fault(struct mmu *mmu, unsigned vcpu, gva_t gva, unsigned access)
{
	const struct mmu_walk *walk = &mmu->vcpu[vcpu].walk;
	struct mmu_event event = {.kind = MMU_EVENT_FAULT,
				  .vcpu = vcpu,
				  .gva = gva,
				  .access = access,
				  .error = walk->error};

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
	struct mmu_event event = {.kind = MMU_EVENT_SLOT,
				  .vcpu = vcpu,
				  .gva = gva & UMBRA_PAGE_MASK,
				  .gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]),
				  .hva = sp->spte[index] & SPTE_HOST};

	tell(mmu, &event);
	event.kind = MMU_EVENT_HOST;
	tell(mmu, &event);
	event.kind = MMU_EVENT_FILL;
	event.sp = sp->id;
	event.index = index;
	event.spte = sp->spte[index];
	tell(mmu, &event);
}

void tell_zap(struct mmu *mmu, const struct shadow_page *sp, unsigned index)
{
	tell(mmu, &(struct mmu_event){.kind = MMU_EVENT_ZAP,
				      .vcpu = MMU_NO_VCPU,
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
