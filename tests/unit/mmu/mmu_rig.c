/* See mmu_rig.h. */
#include "mmu_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct mem_space *make_memory(void)
{
	struct mem_space *mem = NULL;

	cr_assert_eq(mem_create(&mem, NULL), 0);
	cr_assert_eq(mem_add(mem, 0, RIG_RAM, MEM_RAM, "ram", NULL), 0);
	cr_assert_eq(mem_add(mem, RIG_ROM_BASE, RIG_ROM, MEM_ROM, "rom", NULL), 0);
	cr_assert_eq(mem_add(mem, RIG_HIGH_BASE, RIG_HIGH, MEM_RAM, "high", NULL), 0);
	return mem;
}

static void tlb_forget(void *ctx, unsigned index)
{
	struct rig *rig = ctx;
	unsigned i;

	if (rig->on_forget)
		rig->on_forget(rig);
	rig->forgets++;
	rig->full_forgets += index == SHADOW_ENTRIES;
	for (i = 0; i < RIG_TLB_ENTRIES; i++) {
		if (index == SHADOW_ENTRIES || shadow_index(rig->tlb[i].gva, 1) == index)
			rig->tlb[i].is_used = false;
	}
}

static bool is_current(const struct rig *rig, const struct rig_tlb_entry *e)
{
	return e->is_used && e->root == mmu_root_id(rig->mmu, e->vcpu);
}

static void tlb_each(void *ctx, mmu_tlb_fn fn, void *arg)
{
	struct rig *rig = ctx;
	unsigned i;

	for (i = 0; i < RIG_TLB_ENTRIES; i++) {
		const struct rig_tlb_entry *e = &rig->tlb[i];

		if (e->is_used)
			fn(arg, &(struct mmu_tlb_page){.vcpu = e->vcpu,
						       .root = e->root,
						       .gva = e->gva,
						       .access = e->access |
								 (e->smap_off ? MMU_SMAP_OFF : 0),
						       .can = e->page.can,
						       .host = e->page.host});
	}
}

static void who(void *ctx, unsigned vcpu, bool has_insn, struct mmu_who *out_who)
{
	struct rig *rig = ctx;

	*out_who = (struct mmu_who){.seq = ++rig->seq};
	if (vcpu == MMU_NO_VCPU)
		return;
	out_who->rip = rig->rip;
	if (!has_insn)
		return;
	out_who->insn_len = rig->insn_len;
	out_who->mode = X86_MODE_LONG64;
	memcpy(out_who->insn, rig->insn, sizeof(out_who->insn));
}

static void arm(void *ctx, bool is_armed)
{
	struct rig *rig = ctx;

	rig->is_armed = is_armed;
}

static bool stop(void *ctx, unsigned vcpu, uint64_t hit)
{
	struct rig *rig = ctx;

	if (vcpu == MMU_NO_VCPU)
		return false;
	rig->stops++;
	rig->stopped_vcpu = vcpu;
	rig->hit = hit;
	return true;
}

static void write_hook(void *ctx, gpa_t gpa, size_t len, bool is_done)
{
	struct rig *rig = ctx;

	if (is_done)
		mmu_write_end(rig->mmu, MMU_NO_VCPU, gpa, len);
	else
		mmu_write_begin(rig->mmu, MMU_NO_VCPU, gpa, len);
}

struct rig *rig_create(unsigned max_shadow_pages, bool is_paranoid)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct mmu_config config = {.vcpus = RIG_VCPUS,
				    .phys_bits = 40,
				    .max_shadow_pages = max_shadow_pages,
				    .is_paranoid = is_paranoid,
				    .tlb = {tlb_forget, tlb_each, rig},
				    .who = who,
				    .who_ctx = rig,
				    .stop = {arm, stop, rig}};

	cr_assert(rig);
	rig->random = 1;
	rig->mem = make_memory();
	rig->copy = make_memory();
	config.mem = rig->mem;
	cr_assert_eq(mmu_create(&rig->mmu, &config, NULL), 0);
	mem_set_write_hook(rig->mem, write_hook, rig);
	return rig;
}

void rig_destroy(struct rig *rig)
{
	mmu_destroy(rig->mmu);
	mem_destroy(rig->mem);
	mem_destroy(rig->copy);
	free(rig);
}

/* SplitMix64: the same cases at each run. */
uint64_t rig_random(struct rig *rig, uint64_t below)
{
	uint64_t z = rig->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % below;
}

/* Registers. */

struct x86_paging rig_regs(enum x86_paging_mode mode, uint64_t cr3)
{
	struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_WP | X86_CR0_PG,
				  .cr3 = cr3,
				  .cr4 = X86_CR4_PSE,
				  .efer = X86_EFER_NXE,
				  .phys_bits = 40};

	if (mode == X86_PAGING_NONE)
		regs.cr0 = X86_CR0_PE;
	if (mode >= X86_PAGING_PAE)
		regs.cr4 |= X86_CR4_PAE;
	if (mode >= X86_PAGING_4LEVEL)
		regs.efer |= X86_EFER_LME | X86_EFER_LMA;
	if (mode == X86_PAGING_5LEVEL)
		regs.cr4 |= X86_CR4_LA57;
	return regs;
}

void rig_load(struct rig *rig, unsigned vcpu, const struct x86_paging *regs)
{
	struct x86_paging *own = &rig->regs[vcpu];

	*own = *regs;
	if (x86_paging_mode(own) == X86_PAGING_PAE && !own->has_pdpte) {
		mmu_load_pdptes(rig->mmu, own->cr3, own->pdpte);
		own->has_pdpte = true;
	}
	mmu_set_regs(rig->mmu, vcpu, own, MMU_LOAD_CR3);
}

struct rig *rig_four_levels(void)
{
	struct rig *rig = rig_create(0, false);
	struct x86_paging regs = rig_regs(X86_PAGING_4LEVEL, RIG_PML4);
	unsigned i;

	rig_put64(rig, RIG_PML4, RIG_PDPT | RIG_RW);
	rig_put64(rig, RIG_PDPT, RIG_PD | RIG_RW);
	rig_put64(rig, RIG_PD, RIG_PT | RIG_RW);
	for (i = 0; i < 512; i++)
		rig_put64(rig, RIG_PT + 8ull * i, i * 4096ull | RIG_RW);
	rig_load(rig, 0, &regs);
	rig_load(rig, 1, &regs);
	return rig;
}

/* Memory. */

static bool is_ram(gpa_t gpa)
{
	return gpa < RIG_RAM || (gpa >= RIG_HIGH_BASE && gpa < RIG_HIGH_BASE + RIG_HIGH);
}

void rig_write(struct rig *rig, gpa_t gpa, const void *buf, size_t len)
{
	const uint8_t *bytes = buf;

	while (len > 0) {
		size_t n = u64_min(len, UMBRA_PAGE_SIZE - gpa % UMBRA_PAGE_SIZE);

		mmu_write(rig->mmu, 0, gpa, bytes, n);
		if (is_ram(gpa))
			mem_poke(rig->copy, gpa, bytes, n);
		gpa += n;
		bytes += n;
		len -= n;
	}
}

void rig_poke(struct rig *rig, gpa_t gpa, const void *buf, size_t len)
{
	mem_poke(rig->mem, gpa, buf, len);
	mem_poke(rig->copy, gpa, buf, len);
}

void rig_put32(struct rig *rig, gpa_t gpa, uint32_t value)
{
	uint8_t raw[4];

	le32_put(raw, value);
	rig_write(rig, gpa, raw, sizeof(raw));
}

void rig_put64(struct rig *rig, gpa_t gpa, uint64_t value)
{
	uint8_t raw[8];

	le64_put(raw, value);
	rig_write(rig, gpa, raw, sizeof(raw));
}

uint64_t rig_get64(const struct rig *rig, gpa_t gpa)
{
	uint8_t raw[8] = {0};

	mem_peek(rig->mem, gpa, raw, sizeof(raw));
	return le64_get(raw);
}

/* Translations. */

static void keep(struct rig *rig, const struct rig_tlb_entry *entry)
{
	unsigned slot = (unsigned)rig_random(rig, RIG_TLB_ENTRIES);

	if (entry->page.host && entry->page.can)
		rig->tlb[slot] = *entry;
}

static unsigned right_of(unsigned access)
{
	if (access & X86_PF_I)
		return MMU_CAN_FETCH;
	return access & X86_PF_W ? MMU_CAN_WRITE : MMU_CAN_READ;
}

static void compare_page(const struct rig *rig, const struct mmu_page *page,
			 const struct mmu_walk *walk, unsigned access)
{
	gpa_t gpa = walk->walk.gpa & UMBRA_PAGE_MASK;
	const struct mem_region *region = mem_find(rig->mem, gpa);
	bool is_rom = region && region->kind == MEM_ROM;

	cr_assert_eq(page->gpa, gpa);
	cr_assert_eq(page->host, region ? region->host + (gpa - region->gpa) : NULL);
	cr_assert_eq(page->is_rom, is_rom);
	cr_assert_eq(page->is_table, mmu_is_table(rig->mmu, gpa));
	if (page->can & MMU_CAN_WRITE)
		cr_assert(region && !is_rom && !page->is_table && walk->walk.is_dirty);
	else if (access & X86_PF_W)
		cr_assert(!region || is_rom || page->is_table || !walk->walk.is_dirty,
			  "a plain page must be writable from now on");
	if (!(access & X86_PF_W))
		cr_assert(page->can & right_of(access));
}

int rig_translate(struct rig *rig, unsigned vcpu, gva_t gva, unsigned access, bool smap_off,
		  struct mmu_page *out_page)
{
	struct mmu_walk walk;
	struct mmu_fault fault;
	int expected = mmu_walk(rig->copy, &rig->regs[vcpu], gva, access, smap_off, &walk);
	int rc = mmu_translate(rig->mmu, vcpu, gva, access | (smap_off ? MMU_SMAP_OFF : 0),
			       out_page, &fault);
	struct rig_tlb_entry entry = {.is_used = true,
				      .root = mmu_root_id(rig->mmu, vcpu),
				      .vcpu = vcpu,
				      .gva = gva & UMBRA_PAGE_MASK,
				      .access = access & X86_PF_U,
				      .smap_off = smap_off};

	cr_assert_eq(rc, expected, "gva %#llx access %#x: %d, walk %d", (unsigned long long)gva,
		     access, rc, expected);
	if (rc == 0) {
		compare_page(rig, out_page, &walk, access);
		entry.page = *out_page;
		keep(rig, &entry);
		return 0;
	}
	cr_assert_eq(fault.vector,
		     walk.walk.fault == X86_WALK_NONCANONICAL ? X86_EXC_GP : X86_EXC_PF);
	cr_assert_eq(fault.error, walk.error);
	cr_assert_eq(fault.walk.fault, walk.walk.fault);
	cr_assert_eq(fault.walk.fault_level, walk.walk.fault_level);
	return rc;
}

struct mmu_page rig_touch(struct rig *rig, gva_t gva, unsigned access)
{
	struct mmu_page page = {0};

	cr_assert_eq(rig_translate(rig, 0, gva, access, false, &page), 0);
	return page;
}

static const struct rig_tlb_entry *find_writable(const struct rig *rig, unsigned vcpu, gva_t gva)
{
	unsigned i;

	for (i = 0; i < RIG_TLB_ENTRIES; i++) {
		const struct rig_tlb_entry *e = &rig->tlb[i];

		if (is_current(rig, e) && e->vcpu == vcpu && e->access == 0 && !e->smap_off &&
		    e->gva == (gva & UMBRA_PAGE_MASK) && (e->page.can & MMU_CAN_WRITE))
			return e;
	}
	return NULL;
}

bool rig_store(struct rig *rig, unsigned vcpu, gva_t gva, const void *buf, size_t len)
{
	const struct rig_tlb_entry *e = find_writable(rig, vcpu, gva);
	size_t offset = gva % UMBRA_PAGE_SIZE;
	struct mmu_page page;

	if (e)
		page = e->page;
	else if (rig_translate(rig, vcpu, gva, X86_PF_W, false, &page) != 0)
		return false;
	if (!page.host || page.is_rom)
		return true;
	if (page.can & MMU_CAN_WRITE)
		memcpy(page.host + offset, buf, len);
	else
		mmu_write(rig->mmu, vcpu, page.gpa + offset, buf, len);
	mem_poke(rig->copy, page.gpa + offset, buf, len);
	return true;
}

/* Checking. */

static void collect(void *ctx, const char *text, size_t len)
{
	struct rig *rig = ctx;
	size_t used = strlen(rig->text);
	size_t n = u64_min(len, sizeof(rig->text) - 1 - used);

	memcpy(rig->text + used, text, n);
	rig->text[used + n] = 0;
}

unsigned rig_verify(struct rig *rig)
{
	const struct print_sink sink = {.text = collect, .ctx = rig};

	rig->text[0] = 0;
	return mmu_verify(rig->mmu, &sink);
}

bool rig_names(const struct rig *rig, const char *invariant)
{
	char words[32];

	snprintf(words, sizeof(words), "verify bad %s ", invariant);
	return strstr(rig->text, words) != NULL;
}

static bool read_table(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	if (mem_peek(ctx, gpa, buf, len) != len)
		memset(buf, 0xff, len);
	return true;
}

/* What a processor without any TLB would say now. */
static void check_tlb_entry(const struct rig *rig, const struct rig_tlb_entry *e)
{
	const struct x86_paging *regs = &rig->regs[e->vcpu];
	struct x86_walk walk;
	unsigned can = 0, i;
	uint32_t error;

	cr_assert_eq(x86_walk_paging(regs, e->gva, read_table, rig->mem, &walk), 0);
	cr_assert_eq(walk.gpa, e->page.gpa);
	for (i = 0; i < 3; i++) {
		static const unsigned kind[3] = {0, X86_PF_W, X86_PF_I};

		if (x86_walk_allows(regs, &walk, e->access | kind[i], e->smap_off, &error))
			can |= 1u << i;
	}
	cr_assert_eq(e->page.can & ~can, 0u);
	if (e->page.can & MMU_CAN_WRITE)
		cr_assert(walk.is_dirty && !mmu_is_table(rig->mmu, walk.gpa));
}

static void check_memory(const struct rig *rig, gpa_t gpa, size_t len)
{
	const uint8_t *a = mem_ptr(rig->mem, gpa, len), *b = mem_ptr(rig->copy, gpa, len);

	cr_assert_eq(memcmp(a, b, len), 0, "memory at %#llx differs", (unsigned long long)gpa);
}

void rig_check(struct rig *rig)
{
	unsigned i;

	cr_assert_eq(rig_verify(rig), 0u, "%s", rig->text);
	for (i = 0; i < RIG_TLB_ENTRIES; i++) {
		if (is_current(rig, &rig->tlb[i]))
			check_tlb_entry(rig, &rig->tlb[i]);
	}
	check_memory(rig, 0, RIG_RAM);
	check_memory(rig, RIG_ROM_BASE, RIG_ROM);
	check_memory(rig, RIG_HIGH_BASE, RIG_HIGH);
}

void rig_finish(struct rig *rig)
{
	rig_check(rig);
	rig_destroy(rig);
}

struct mmu_stats rig_stats(const struct rig *rig)
{
	struct mmu_stats stats;

	mmu_stats(rig->mmu, &stats);
	return stats;
}
