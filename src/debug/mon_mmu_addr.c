/* `mmu info` and `mmu addr`: the picture GVA -> GPA -> HVA -> HPA, from any of its corners. */
#include "mon_mmu.h"

#include "umbra/pagemap.h"

#define PAGEMAP_CHUNK 512u

/* Info. */

static void tell_slots(struct mmu_call *call)
{
	struct mon_record *r = &call->record;
	const struct mem_region *region;

	for (unsigned i = 0; (region = mem_region_at(call->mem, i)) != NULL; i++) {
		gpa_t last = region->gpa + (region->len - 1);

		record_begin_number(r, "slot", i);
		if (r->is_json) {
			record_hex(r, "gpa", region->gpa);
			record_hex(r, "end", last);
		} else {
			record_words(r, " gpa=0x%llx-0x%llx", (unsigned long long)region->gpa,
				     (unsigned long long)last);
		}
		record_hex(r, "hva", (uintptr_t)region->host);
		record_string(r, "flags", region->kind == MEM_RAM ? "ram" : "rom");
		record_string(r, "name", region->name);
		record_end(r);
	}
}

void mmu_word_info(struct mmu_call *call)
{
	const struct x86_paging *regs = &call->regs;
	struct mon_record *r = &call->record;
	struct mmu_roots roots;
	struct mmu_stats stats;

	mmu_roots_get(call->target, &roots);
	record_begin(r, "mmu");
	record_string(r, "backend", vm_accel(call->target->vm)->name);
	record_string(r, "role", call->mmu ? "live" : "model");
	record_string(r, "paging", mmu_mode_name(x86_paging_mode(regs)));
	record_bool(r, "cr0.wp", regs->cr0 & X86_CR0_WP);
	record_bool(r, "smep", regs->cr4 & X86_CR4_SMEP);
	record_bool(r, "smap", regs->cr4 & X86_CR4_SMAP);
	record_bool(r, "pke", regs->cr4 & X86_CR4_PKE);
	record_bool(r, "nxe", regs->efer & X86_EFER_NXE);
	record_number(r, "pcid", regs->cr4 & X86_CR4_PCIDE ? regs->cr3 & 0xfff : 0);
	record_number(r, "maxphy", regs->phys_bits ? regs->phys_bits : 52);
	record_number(r, "roots", roots.count);
	if (call->mmu) {
		mmu_stats(call->mmu, &stats);
		record_number(r, "shadow_pages", stats.shadow_pages);
	}
	record_string(r, "track", mmu_track_name(call));
	mmu_trap_tell_verdict(call);
	record_end(r);
	tell_slots(call);
}

/* Addr. */

static void tell_shadow(struct mmu_call *call, gva_t gva)
{
	struct mmu_shadow_entry path[MMU_SHADOW_PATH_MAX];
	unsigned n;

	if (!call->mmu) {
		record_string(&call->record, "role", "model");
		return;
	}
	n = mmu_shadow_path(call->mmu, &call->regs, gva, path);
	record_string(&call->record, "shadow", n && path[n - 1].is_leaf ? "present" : "none");
}

/* HVA, HPA and slot of @gpa. */
static void tell_host(struct mmu_call *call, gpa_t gpa)
{
	struct mon_record *r = &call->record;
	unsigned slot;
	const struct mem_region *region = mmu_slot_of(call, gpa, &slot);
	const uint8_t *host;

	if (!region) {
		record_string(r, "hva", "none");
		record_string(r, "hpa", "none");
		return;
	}
	host = region->host + (gpa - region->gpa);
	record_hex(r, "hva", (uintptr_t)host);
	mmu_tell_hpa(r, host);
}

static void tell_address(struct mmu_call *call, gva_t gva, gpa_t gpa, uint64_t size,
			 unsigned rights)
{
	struct mon_record *r = &call->record;
	unsigned slot;

	record_begin(r, "addr");
	record_hex(r, "gva", gva);
	record_hex(r, "gpa", gpa);
	tell_host(call, gpa);
	mmu_tell_size(r, size);
	mmu_tell_rights(call, &call->regs, rights, " rights=");
	tell_shadow(call, gva);
	if (mmu_slot_of(call, gpa, &slot))
		record_number(r, "slot", slot);
	else
		record_string(r, "slot", "none");
	record_end(r);
}

static void from_gva(struct mmu_call *call, gva_t gva)
{
	struct x86_walk walk;

	if (x86_walk_paging(&call->regs, gva, mem_phys_read, call->mem, &walk) == 0)
		tell_address(call, gva, walk.gpa, walk.page_size, mmu_walk_rights(&walk));
	else if (walk.fault == X86_WALK_NONCANONICAL)
		mmu_error(call, MMU_NONCANON, "0x%llx is no linear address in this mode",
			  (unsigned long long)gva);
	else
		mmu_error(call, MMU_NOTPRESENT, "0x%llx is not mapped: level %u; see mmu walk",
			  (unsigned long long)gva, walk.fault_level);
}

struct alias_search {
	struct mmu_call *call;
	struct mmu_view *view;
	gpa_t gpa;
	bool has_more;
};

static enum mmu_view_step find_alias(void *ctx, const struct mmu_mapping *page)
{
	struct alias_search *search = ctx;

	if (!range_fits(search->gpa, 1, page->gpa, page->size))
		return MMU_VIEW_ON;
	search->view->hits++;
	if (!mmu_has_room(search->call)) {
		search->has_more = true;
		return MMU_VIEW_STOP;
	}
	tell_address(search->call, page->gva + (search->gpa - page->gpa), search->gpa, page->size,
		     page->rights);
	return MMU_VIEW_ON;
}

/* Every address that the cpu's tables give it. */
static void from_gpa(struct mmu_call *call, gpa_t gpa)
{
	struct mmu_view view = {.mem = call->mem,
				.regs = &call->regs,
				.lo = call->from,
				.hi = ~0ull,
				.on_page = find_alias,
				.barren = mmu_set_create()};
	struct alias_search search = {.call = call, .view = &view, .gpa = gpa};
	struct mon_record *r = &call->record;
	gva_t next;

	view.ctx = &search;
	mmu_run_view(call, &view, 0, &next);
	mmu_set_destroy(view.barren);
	if (search.has_more)
		mmu_tell_more(call, next);
	if (view.hits)
		return;
	record_begin(r, "addr");
	if (r->is_json)
		record_null(r, "gva");
	else
		record_string(r, "gva", "none");
	record_hex(r, "gpa", gpa);
	tell_host(call, gpa);
	record_end(r);
}

static bool find_hva(const struct mmu_call *call, uint64_t hva, gpa_t *out_gpa)
{
	const struct mem_region *region;

	for (unsigned i = 0; (region = mem_region_at(call->mem, i)) != NULL; i++) {
		if (range_fits(hva, 1, (uintptr_t)region->host, region->len)) {
			*out_gpa = region->gpa + (hva - (uintptr_t)region->host);
			return true;
		}
	}
	return false;
}

/* The host's page map, read a piece at a time.  0 says that it tells no frames. */
static bool find_frame(const struct mem_region *region, uint64_t pfn, gpa_t *out_gpa)
{
	uint64_t entry[PAGEMAP_CHUNK];

	for (uint64_t done = 0; done < region->len;) {
		size_t n = (size_t)u64_min(PAGEMAP_CHUNK, (region->len - done) / UMBRA_PAGE_SIZE);

		if (pagemap_read(region->host + done, n, entry) < 0)
			return false;
		for (size_t i = 0; i < n; i++) {
			if ((entry[i] & PAGEMAP_PRESENT) && (entry[i] & PAGEMAP_PFN) == pfn) {
				*out_gpa = region->gpa + done + i * UMBRA_PAGE_SIZE;
				return true;
			}
		}
		done += n * UMBRA_PAGE_SIZE;
	}
	return false;
}

static bool find_hpa(const struct mmu_call *call, uint64_t hpa, gpa_t *out_gpa)
{
	const struct mem_region *region;

	for (unsigned i = 0; (region = mem_region_at(call->mem, i)) != NULL; i++) {
		if (hpa >= UMBRA_PAGE_SIZE && find_frame(region, hpa / UMBRA_PAGE_SIZE, out_gpa)) {
			*out_gpa += hpa % UMBRA_PAGE_SIZE;
			return true;
		}
	}
	return false;
}

void mmu_word_addr(struct mmu_call *call)
{
	const char *from = call->argc == 2 ? call->argv[0] : "gva";
	uint64_t value;
	gpa_t gpa;

	if (!mmu_parse_number(call, call->argv[call->argc - 1], &value))
		return;
	if (strcmp(from, "gva") == 0) {
		from_gva(call, value);
		return;
	}
	if (strcmp(from, "gpa") == 0) {
		from_gpa(call, value);
	} else if (strcmp(from, "hva") == 0 || strcmp(from, "hpa") == 0) {
		if (from[1] == 'v' ? find_hva(call, value, &gpa) : find_hpa(call, value, &gpa))
			from_gpa(call, gpa);
		else
			mmu_error(call, MMU_NOADDR, "%s 0x%llx is no page of the guest's memory",
				  from, (unsigned long long)value);
	} else {
		mmu_error(call, MMU_BADARG, "'%s': gva, gpa, hva or hpa", from);
	}
}
