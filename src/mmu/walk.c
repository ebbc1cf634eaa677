/* The guest's tables as a processor walks them: see walk.h.
 * It reads and marks entries in guest memory and knows nothing of the shadow. */
#include "walk.h"

#include <errno.h>

/* Entries in guest memory, whatever their type is to the rest of the program. */
typedef uint32_t __attribute__((may_alias)) guest_entry32;
typedef uint64_t __attribute__((may_alias)) guest_entry64;

/* Guest stores and table walks race as on any machine: it is the guest's race, so no race detector
 * may judge it.  Clang's no_sanitize leaves atomic operations in the detector's sight, and what it
 * inlines is judged with the caller. */
#ifdef __clang__
#define GUEST_RACE __attribute__((noinline, disable_sanitizer_instrumentation))
#else
#define GUEST_RACE __attribute__((no_sanitize("thread")))
#endif

struct table_reader {
	const struct mem_space *mem;
	const struct mem_region *region; /* of the last table: mostly that of the next one too */
};

static const struct mem_region *region_of(const struct mem_space *mem, gpa_t gpa, size_t len)
{
	const struct mem_region *region = mem_find(mem, gpa);

	return region && range_fits(gpa, len, region->gpa, region->len) ? region : NULL;
}

/* x86_phys_read_fn.  Another vCPU may store to the entry meanwhile; an aligned access sees one of
 * its values whole, and mark_entry finds out whether it was the last. */
GUEST_RACE static bool read_table(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	struct table_reader *reader = ctx;
	const struct mem_region *region = reader->region;
	const uint8_t *host;

	if (!region || !range_fits(gpa, len, region->gpa, region->len))
		region = region_of(reader->mem, gpa, len);
	if (!region) {
		memset(buf, 0xff, len);
		return true;
	}
	reader->region = region;
	host = region->host + (gpa - region->gpa);
	if (len == sizeof(guest_entry64))
		le64_put(buf, *(const volatile guest_entry64 *)(const void *)host);
	else
		le32_put(buf, *(const volatile guest_entry32 *)(const void *)host);
	return true;
}

/* Change the entry of @len bytes at @host, if it is still @old.  Sequentially consistent, as the
 * processor's own locked update (SDM 3A 4.8, 8.1.2.1); its partners are the guest's stores and the
 * walks of other vCPUs. */
GUEST_RACE static bool swap_entry(uint8_t *host, size_t len, uint64_t old, uint64_t now)
{
	uint32_t old32 = (uint32_t)old;

	if (len == sizeof(guest_entry64))
		return __atomic_compare_exchange_n((guest_entry64 *)(void *)host, &old, now, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n((guest_entry32 *)(void *)host, &old32, (uint32_t)now,
					   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Returns 0 when the bits are set or cannot be, -EAGAIN when the entry is another by now. */
static int mark_entry(struct mem_space *mem, struct mmu_walk *walk, unsigned index, uint64_t bits)
{
	struct x86_walk_step *step = &walk->walk.step[index];
	uint64_t missing = bits & ~step->entry;
	size_t len = walk->walk.mode == X86_PAGING_32BIT ? 4 : 8;
	const struct mem_region *region;

	if (!missing)
		return 0;
	region = region_of(mem, step->entry_gpa, len);
	if (!region || region->kind == MEM_ROM)
		return 0;
	if (!swap_entry(region->host + (step->entry_gpa - region->gpa), len, step->entry,
			step->entry | bits))
		return -EAGAIN;
	step->entry |= bits;
	if (missing & X86_PTE_A)
		walk->set_accessed |= 1u << step->level;
	if (missing & X86_PTE_D)
		walk->set_dirty = true;
	return 0;
}

int mmu_walk_mark(struct mem_space *mem, bool is_write, struct mmu_walk *walk)
{
	struct x86_walk *w = &walk->walk;
	bool is_accessed = true;
	unsigned i;

	if (w->is_accessed && (w->is_dirty || !is_write))
		return 0;
	for (i = 0; i < w->step_count; i++) {
		bool is_leaf = i + 1 == w->step_count;
		int rc;

		if (w->mode == X86_PAGING_PAE && w->step[i].level == 3)
			continue; /* a PDPTE has no A */
		rc = mark_entry(mem, walk, i,
				is_leaf && is_write ? X86_PTE_A | X86_PTE_D : X86_PTE_A);
		if (rc < 0)
			return rc;
		is_accessed &= (w->step[i].entry & X86_PTE_A) != 0;
		if (is_leaf)
			w->is_dirty = (w->step[i].entry & X86_PTE_D) != 0;
	}
	w->is_accessed = is_accessed;
	return 0;
}

/* Each turn of the loop after the first follows from a change that another processor made, so one
 * of them always gets on. */
int mmu_walk(struct mem_space *mem, const struct x86_paging *regs, gva_t gva, unsigned access,
	     bool smap_off, struct mmu_walk *out)
{
	struct table_reader reader = {.mem = mem};

	out->error = 0;
	out->set_accessed = 0;
	out->set_dirty = false;
	do {
		if (x86_walk_paging(regs, gva, read_table, &reader, &out->walk) < 0) {
			if (out->walk.fault != X86_WALK_NONCANONICAL)
				out->error = x86_walk_error(regs, &out->walk, access);
			return -EFAULT;
		}
		if (!x86_walk_allows(regs, &out->walk, access, smap_off, &out->error))
			return -EFAULT;
	} while (mmu_walk_mark(mem, access & X86_PF_W, out) == -EAGAIN);
	return 0;
}
