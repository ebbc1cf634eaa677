/* Guest memory was written: what the shadow derived from it follows at once.
 *
 * An entry is judged by the guest entry that it was made from and what stands there now, so it
 * matters neither who wrote nor how: aligned or not, over several entries, through whatever
 * mapping.  A table that is written again and again while no translation comes through its shadow
 * is taken for a page that became data (the "flood" rule), and gives up its shadow. */
#include "shadow.h"

#include "umbra/lock.h"

#include <assert.h>

#define FLOOD_WRITES 32u

/* Guest memory, whatever its type is to the rest of the program. */
typedef uint16_t __attribute__((may_alias)) guest_word16;
typedef uint32_t __attribute__((may_alias)) guest_word32;
typedef uint64_t __attribute__((may_alias)) guest_word64;

/* Following. */

static void refresh_entry(struct mmu *mmu, struct shadow_page *sp, unsigned index)
{
	uint64_t old = sp->gpte[index];
	uint64_t now = shadow_read_entry(sp, index);
	uint64_t changed = (old ^ now) & shadow_relevant_bits(sp, old);

	if (!changed) {
		sp->gpte[index] = now;
		return;
	}
	if (sp->key.role.level == 1 && changed == X86_PTE_D && (now & X86_PTE_D) &&
	    shadow_set_leaf(mmu, sp, index, now))
		return;
	shadow_drop_entry(mmu, sp, index);
}

static void refresh_page(struct mmu *mmu, struct shadow_page *sp, size_t offset, size_t len)
{
	unsigned first;
	unsigned count = sp->present ? shadow_entries_at(sp, offset, len, &first) : 0;
	unsigned i;

	for (i = 0; i < count; i++) {
		if (sp->spte[first + i] & SPTE_P)
			refresh_entry(mmu, sp, first + i);
	}
}

/* Dropping an entry may free another page of this very frame (a table that maps itself), so all of
 * them are held until the last one is done. */
static void refresh_frame(struct mmu *mmu, struct frame *frame, size_t offset, size_t len)
{
	struct shadow_page *sp, *next;

	for (sp = frame->tables; sp; sp = sp->next_of_frame)
		sp->refs++;
	for (sp = frame->tables; sp; sp = sp->next_of_frame)
		refresh_page(mmu, sp, offset, len);
	for (sp = frame->tables; sp; sp = next) {
		next = sp->next_of_frame;
		shadow_put(mmu, sp);
	}
}

static struct frame *table_frame(const struct mmu *mmu, gpa_t gpa)
{
	struct frame *frame = frame_find(mmu, gpa >> SHADOW_GFN_SHIFT);

	return frame && frame_is_table(frame) ? frame : NULL;
}

void shadow_refresh(struct mmu *mmu, gpa_t gpa, size_t len)
{
	struct frame *frame = table_frame(mmu, gpa);
	size_t offset = gpa & ~UMBRA_PAGE_MASK;

	if (!frame)
		return;
	if (mmu->listening)
		tell_nothing(mmu, frame, offset, len);
	refresh_frame(mmu, frame, offset, len);
}

/* Flood. */

static bool is_flooded(const struct mmu *mmu, const struct frame *frame)
{
	const struct shadow_page *sp;

	for (sp = frame->tables; sp; sp = sp->next_of_frame) {
		if (sp->unused_writes < FLOOD_WRITES || root_is_loaded(mmu, sp))
			return false;
	}
	return frame->tables != NULL;
}

static void unshadow(struct mmu *mmu, uint64_t gfn)
{
	struct frame *frame;

	while ((frame = frame_find(mmu, gfn)) != NULL && frame->tables)
		shadow_zap(mmu, frame->tables);
}

static void table_written(struct mmu *mmu, unsigned vcpu, struct frame *frame, size_t offset,
			  size_t len)
{
	uint64_t gfn = frame->gfn;
	struct shadow_page *sp;

	mmu->stats.table_writes++;
	if (mmu->listening) {
		frame_hold(frame);
		tell_table_write(mmu, vcpu, frame, offset, len);
		frame_release(mmu, frame);
		frame = table_frame(mmu, gfn << SHADOW_GFN_SHIFT);
		if (!frame)
			return;
	}
	for (sp = frame->tables; sp; sp = sp->next_of_frame)
		sp->unused_writes++;
	if (is_flooded(mmu, frame)) {
		mmu->stats.floods++;
		unshadow(mmu, gfn);
		return;
	}
	refresh_frame(mmu, frame, offset, len);
}

/* Ranges. */

static bool is_in_range(const struct shadow_page *sp, uint64_t first, uint64_t last)
{
	return sp->is_live && sp->frame && sp->key.gfn >= first && sp->key.gfn <= last;
}

/* Listeners may pin and unpin frames, but not zap pages. */
static void tell_many_frames(struct mmu *mmu, unsigned vcpu, uint64_t first, uint64_t last)
{
	struct frame *frame, *next;
	unsigned i;

	for (i = 0; i < mmu->page_count; i++) {
		const struct shadow_page *sp = mmu->page[i];

		if (is_in_range(sp, first, last))
			tell_table_write(mmu, vcpu, sp->frame, 0, UMBRA_PAGE_SIZE);
	}
	for (frame = mmu->pinned; frame; frame = next) {
		frame_hold(frame);
		if (frame->gfn >= first && frame->gfn <= last)
			tell_table_write(mmu, vcpu, frame, 0, UMBRA_PAGE_SIZE);
		next = frame->next_pinned;
		frame_release(mmu, frame);
	}
}

/* More frames than there are shadow pages, as when all of RAM is cleared or restored: what was
 * derived from any of them goes. */
static void many_frames_written(struct mmu *mmu, unsigned vcpu, uint64_t first, uint64_t last)
{
	unsigned i;

	if (mmu->listening)
		tell_many_frames(mmu, vcpu, first, last);
	for (i = 0; i < mmu->page_count; i++) {
		struct shadow_page *sp = mmu->page[i];

		if (!is_in_range(sp, first, last))
			continue;
		mmu->stats.table_writes++;
		shadow_zap(mmu, sp);
	}
}

static void range_written(struct mmu *mmu, unsigned vcpu, gpa_t gpa, size_t len)
{
	uint64_t first = gpa >> SHADOW_GFN_SHIFT;
	uint64_t last = (gpa + (len - 1)) >> SHADOW_GFN_SHIFT;
	uint64_t writes = mmu->stats.table_writes;

	mmu->actor = vcpu;
	if (last - first > mmu->stats.shadow_pages) {
		many_frames_written(mmu, vcpu, first, last);
	} else {
		while (len > 0) {
			size_t offset = gpa & ~UMBRA_PAGE_MASK;
			size_t n = u64_min(len, UMBRA_PAGE_SIZE - offset);
			struct frame *frame = table_frame(mmu, gpa);

			if (frame)
				table_written(mmu, vcpu, frame, offset, n);
			gpa += n;
			len -= n;
		}
	}
	forget_flush(mmu);
	if (mmu->config.is_paranoid && mmu->open_writes == 0 && mmu->stats.table_writes != writes)
		verify_paranoid(mmu);
}

/* Stores.  As wide as address and length allow: another vCPU must not see half an entry. */
__attribute__((no_sanitize("thread"))) static void copy_to_guest(uint8_t *dst, const uint8_t *src,
								 size_t len)
{
	while (len > 0) {
		uintptr_t width = (uintptr_t)dst | 8;

		width &= -width;
		while (width > len)
			width /= 2;
		switch (width) {
		case 8:
			*(volatile guest_word64 *)(void *)dst = le64_get(src);
			break;
		case 4:
			*(volatile guest_word32 *)(void *)dst = le32_get(src);
			break;
		case 2:
			*(volatile guest_word16 *)(void *)dst = le16_get(src);
			break;
		default:
			*(volatile uint8_t *)dst = *src;
			break;
		}
		dst += width;
		src += width;
		len -= width;
	}
}

void mmu_write(struct mmu *mmu, unsigned vcpu, gpa_t gpa, const void *buf, size_t len)
{
	const struct mem_region *region;

	assert(len > 0 && (gpa & ~UMBRA_PAGE_MASK) + len <= UMBRA_PAGE_SIZE);
	lock_take(mmu->lock);
	region = mem_find(mmu->mem, gpa);
	if (region && region->kind == MEM_RAM) {
		copy_to_guest(region->host + (gpa - region->gpa), buf, len);
		range_written(mmu, vcpu, gpa, len);
	}
	lock_drop(mmu->lock);
}

/* Between the two the tables may differ from their shadow, as they may for a processor until its
 * store is done: an entry that is derived meanwhile is judged at the end. */
void mmu_write_begin(struct mmu *mmu, unsigned vcpu, gpa_t gpa, size_t len)
{
	(void)vcpu;
	(void)gpa;
	(void)len;
	lock_take(mmu->lock);
	mmu->open_writes++;
	lock_drop(mmu->lock);
}

void mmu_write_end(struct mmu *mmu, unsigned vcpu, gpa_t gpa, size_t len)
{
	lock_take(mmu->lock);
	mmu->open_writes--;
	if (len > 0)
		range_written(mmu, vcpu, gpa, len);
	lock_drop(mmu->lock);
}
