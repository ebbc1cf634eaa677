/* What lies where in linear memory, by the live page tables of a vCPU: librspstub's map operations.
 * Nothing is touched: no A or D bit, no page taken in. */
#include "target.h"

#include "umbra/mmu_view.h"

#include <stdio.h>

/* Table entries for one region, whatever a guest made of its tables. */
#define REGION_BUDGET 100000u

struct finder {
	const struct mem_space *mem;
	struct rsp_region *region;
	uint64_t addr;
	unsigned rights; /* of the region's pages: MMU_RIGHT_* */
	const struct mem_region *slot;
	bool is_done;
};

/* The slot of @gpa, or NULL; *@out_last is the last address for which the answer is the same. */
static const struct mem_region *slot_of(const struct mem_space *mem, gpa_t gpa, gpa_t *out_last)
{
	const struct mem_region *slot;

	*out_last = UINT64_MAX;
	for (unsigned i = 0; (slot = mem_region_at(mem, i)) != NULL; i++) {
		if (gpa < slot->gpa) {
			*out_last = slot->gpa - 1;
			return NULL;
		}
		if (gpa - slot->gpa < slot->len) {
			*out_last = slot->gpa + (slot->len - 1);
			return slot;
		}
	}
	return NULL;
}

static void begin_region(struct finder *f, const struct mem_region *slot, unsigned rights)
{
	struct rsp_region *region = f->region;

	f->slot = slot;
	f->rights = rights;
	region->first = f->addr;
	region->is_mapped = true;
	region->may_read = slot != NULL;
	region->may_write = slot && (rights & MMU_RIGHT_W);
	region->may_execute = slot && (rights & MMU_RIGHT_X);
	region->is_rom = slot && slot->kind == MEM_ROM;
	snprintf(region->name, sizeof(region->name), "%s", slot ? slot->name : "no memory");
}

/* @first to @last is a part of a page that leads to @slot.  False: the region ends before it. */
static bool add_piece(struct finder *f, gva_t first, gva_t last, const struct mem_region *slot,
		      unsigned rights)
{
	struct rsp_region *region = f->region;

	if (!region->is_mapped) {
		if (first > f->addr) {
			region->first = f->addr;
			region->last = first - 1;
			return false;
		}
		begin_region(f, slot, rights);
	} else if (first != region->last + 1 || slot != f->slot || rights != f->rights) {
		return false;
	}
	region->last = last;
	return true;
}

/* A large page may lead over the border of a slot. */
static enum mmu_view_step on_page(void *ctx, const struct mmu_mapping *page)
{
	struct finder *f = ctx;
	uint64_t offset = page->gva < f->addr ? f->addr - page->gva : 0;

	while (offset < page->size) {
		gpa_t slot_last;
		const struct mem_region *slot = slot_of(f->mem, page->gpa + offset, &slot_last);
		uint64_t last = page->size - 1;

		if (slot_last - page->gpa < last)
			last = slot_last - page->gpa;
		if (!add_piece(f, page->gva + offset, page->gva + last, slot,
			       page->rights & (MMU_RIGHT_W | MMU_RIGHT_X))) {
			f->is_done = true;
			return MMU_VIEW_STOP;
		}
		offset = last + 1;
	}
	return MMU_VIEW_ON;
}

static void find_region(void *ctx, unsigned thread, uint64_t addr, struct rsp_region *out)
{
	struct debug_target *target = ctx;
	struct finder f = {.mem = vm_mem(target->vm), .region = out, .addr = addr};
	struct x86_paging regs;
	struct mmu_view view = {.mem = f.mem,
				.regs = &regs,
				.lo = addr,
				.hi = UINT64_MAX,
				.on_page = on_page,
				.ctx = &f,
				.budget = REGION_BUDGET};
	enum mmu_view_end end;
	gva_t next;

	if (!mmu_regs_of(target, thread - 1, &regs))
		return;
	end = mmu_view_run(&view, &next);
	if (f.is_done || out->is_mapped)
		return;
	/* Nothing from here on, or nothing as far as the budget went. */
	out->first = addr;
	out->last = end == MMU_VIEW_BUDGET && next > addr ? next - 1 : UINT64_MAX;
}

static bool has_rom(void *ctx)
{
	const struct debug_target *target = ctx;
	const struct mem_region *slot;

	for (unsigned i = 0; (slot = mem_region_at(vm_mem(target->vm), i)) != NULL; i++) {
		if (slot->kind == MEM_ROM)
			return true;
	}
	return false;
}

const struct rsp_map_ops target_map_ops = {.region = find_region, .has_rom = has_rom};
