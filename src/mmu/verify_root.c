/* The invariants that need a linear address: whatever is reached from a root is held against a
 * fresh walk of the guest's tables (I2, I3, I9), roots against the registers (I9, I10), the whole
 * against a shadow that is built anew (I11), and the micro-TLBs against the shadow (I7).
 * Nothing in the guest changes: the walks here set no A and no D. */
#include "verify.h"

/* x86_phys_read_fn: outside memory a table reads as all ones, as in walk.c. */
static bool read_table(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	if (mem_peek(ctx, gpa, buf, len) != len)
		memset(buf, 0xff, len);
	return true;
}

/* One root's turn. */
struct visit {
	struct verifier *v;
	const struct mmu_root *root;
	struct mmu_root *rebuilt; /* of the same registers, in mmu.rebuilt; NULL: none */
	bool is_loaded;		  /* by a vCPU */
};

typedef void (*leaf_fn)(const struct visit *visit, const struct shadow_page *sp, unsigned index,
			gva_t gva);

/* I2, I3. */

static uint64_t rights_of_walk(const struct x86_walk *walk)
{
	uint64_t last = walk->step_count ? walk->step[walk->step_count - 1].entry : 0;

	return SPTE_P | (walk->is_writable ? SPTE_W : 0) | (walk->is_user ? SPTE_U : 0) |
	       (walk->is_executable ? SPTE_X : 0) | (walk->is_dirty ? SPTE_D : 0) |
	       (last & X86_PTE_G ? SPTE_G : 0) |
	       (walk->page_size > UMBRA_PAGE_SIZE ? SPTE_BIG : 0) |
	       (uint64_t)walk->pkey << SPTE_PKEY_SHIFT;
}

/* A is set on every level, where the table is RAM and the level has one. */
static bool is_accessed(const struct mmu *mmu, const struct x86_walk *walk)
{
	unsigned i;

	for (i = walk->mode == X86_PAGING_PAE; i < walk->step_count; i++) {
		const struct mem_region *region = mem_find(mmu->mem, walk->step[i].entry_gpa);

		if (region && region->kind == MEM_RAM && !(walk->step[i].entry & X86_PTE_A))
			return false;
	}
	return true;
}

static void check_leaf(const struct visit *visit, const struct shadow_page *sp, unsigned index,
		       gva_t gva)
{
	const uint64_t by_frame = SPTE_HOST | SPTE_MAY_WRITE | SPTE_ROM | SPTE_MMIO;
	struct verifier *v = visit->v;
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	uint64_t spte = sp->spte[index];
	struct x86_walk walk;

	if (x86_walk_paging(&visit->root->regs, gva, read_table, v->mmu->mem, &walk) < 0) {
		verify_bad(v, "I2", sp, index, " gva=%#llx spte.gpa=%#llx, the guest maps nothing",
			   (unsigned long long)gva, (unsigned long long)gpa);
		return;
	}
	if (walk.gpa != gpa)
		verify_bad(v, "I2", sp, index, " gva=%#llx spte.gpa=%#llx guest.gpa=%#llx",
			   (unsigned long long)gva, (unsigned long long)gpa,
			   (unsigned long long)walk.gpa);
	if ((spte & ~by_frame) != rights_of_walk(&walk))
		verify_bad(v, "I2", sp, index, " gva=%#llx spte=%#llx guest=%#llx",
			   (unsigned long long)gva, (unsigned long long)spte,
			   (unsigned long long)rights_of_walk(&walk));
	if ((spte & SPTE_MAY_WRITE) && !(walk.is_dirty && is_accessed(v->mmu, &walk)))
		verify_bad(v, "I3", sp, index, " gva=%#llx writable, guest D=%d A=%d",
			   (unsigned long long)gva, walk.is_dirty, is_accessed(v->mmu, &walk));
	if (visit->rebuilt && shadow_fill(v->mmu->rebuilt, visit->rebuilt, gva, &walk) < 0)
		verify_bad(v, "I11", sp, index, " gva=%#llx cannot be built anew",
			   (unsigned long long)gva);
}

/* I11. */

static bool has_same_path(const struct visit *visit, gva_t gva)
{
	unsigned top = root_top_index(visit->root, gva);
	const struct shadow_page *a = visit->root->top[top], *b = visit->rebuilt->top[top];
	unsigned level = visit->root->levels;

	while (a && b) {
		unsigned index = shadow_index(gva, level);

		if (a->key.gfn != b->key.gfn || a->key.role.word != b->key.role.word)
			return false;
		if (level-- == 1)
			return true;
		a = a->spte[index] & SPTE_P ? spte_child(a->spte[index]) : NULL;
		b = b->spte[index] & SPTE_P ? spte_child(b->spte[index]) : NULL;
	}
	return false;
}

/* The frames of the second shadow that are tables are some of the first one's. */
static bool is_same_leaf(const struct shadow_page *sp, const struct shadow_page *other,
			 unsigned index)
{
	uint64_t spte = sp->spte[index], now = other->spte[index];

	return ((spte ^ now) & ~SPTE_MAY_WRITE) == 0 && (spte & ~now & SPTE_MAY_WRITE) == 0 &&
	       shadow_leaf_gpa(sp, index, sp->gpte[index]) ==
		       shadow_leaf_gpa(other, index, other->gpte[index]);
}

static void compare_leaf(const struct visit *visit, const struct shadow_page *sp, unsigned index,
			 gva_t gva)
{
	unsigned same_index;
	const struct shadow_page *other = shadow_lookup(visit->rebuilt, gva, &same_index);

	if (!other || !has_same_path(visit, gva))
		verify_bad(visit->v, "I11", sp, index, " gva=%#llx takes another path when rebuilt",
			   (unsigned long long)gva);
	else if (!is_same_leaf(sp, other, index))
		verify_bad(visit->v, "I11", sp, index, " gva=%#llx spte=%#llx, rebuilt %#llx",
			   (unsigned long long)gva, (unsigned long long)sp->spte[index],
			   (unsigned long long)other->spte[index]);
}

/* Everything that is reached.  Entries that name no page one level down are reported elsewhere. */
static void visit_page(const struct visit *visit, const struct shadow_page *sp, gva_t base,
		       leaf_fn fn)
{
	unsigned level = sp->key.role.level, i;

	for (i = 0; i < SHADOW_ENTRIES; i++) {
		gva_t gva = base + ((gva_t)i << (12 + 9 * (level - 1)));
		const struct shadow_page *child;

		if (!(sp->spte[i] & SPTE_P))
			continue;
		if (level == visit->root->levels && level > 2 && i >= SHADOW_ENTRIES / 2)
			gva |= ~0ull << (12 + 9 * level);
		if (fn == check_leaf && visit->is_loaded && verify_is_stale(sp, i))
			verify_bad(visit->v, "I9", sp, i, " gva=%#llx is reached and stale",
				   (unsigned long long)gva);
		if (level == 1) {
			fn(visit, sp, i, gva);
			continue;
		}
		child = spte_child(sp->spte[i]);
		if (child && child->is_live && child->key.role.level + 1u == level)
			visit_page(visit, child, gva, fn);
	}
}

static void visit_root(const struct visit *visit, leaf_fn fn)
{
	unsigned top;

	for (top = 0; top < SHADOW_TOPS; top++) {
		if (visit->root->top[top] && visit->root->top[top]->is_live)
			visit_page(visit, visit->root->top[top], (gva_t)top << 30, fn);
	}
}

/* I9, I10: roots. */

static void check_tops(struct verifier *v, const struct mmu_root *root)
{
	bool is_pae = root->key.mode == X86_PAGING_PAE;
	unsigned top;

	for (top = 0; top < SHADOW_TOPS; top++) {
		const struct shadow_page *sp = root->top[top];
		struct shadow_key key;

		if (!sp)
			continue;
		if (!root_top_key(root, top, &key) || sp->key.gfn != key.gfn ||
		    sp->key.role.word != key.role.word)
			verify_bad_root(v, is_pae ? "I10" : "I9", root,
					" top=%u gfn=%#llx, the register says %#llx", top,
					(unsigned long long)sp->key.gfn,
					(unsigned long long)key.gfn);
	}
}

static void check_vcpus(struct verifier *v, const struct mmu_root *root)
{
	unsigned users = 0, i;

	for (i = 0; i < v->mmu->config.vcpus; i++) {
		const struct mmu_vcpu *vcpu = &v->mmu->vcpu[i];
		struct root_key key;

		if (vcpu->root != root)
			continue;
		users++;
		root_make_key(&vcpu->regs, &key);
		if (memcmp(key.pdpte, root->key.pdpte, sizeof(key.pdpte)) != 0)
			verify_bad_root(v, "I10", root, " cpu=%u has other PDPTEs", i);
		else if (key.base != root->key.base || key.mode != root->key.mode ||
			 key.bits != root->key.bits || key.pkru != root->key.pkru)
			verify_bad_root(v, "I9", root, " cpu=%u has other registers", i);
	}
	if (users != root->users)
		verify_bad_root(v, "I5", root, " %u vCPUs use it, counted %u", users, root->users);
}

static bool make_rebuilt(struct mmu *mmu)
{
	struct mmu_config config = mmu->config;

	if (mmu->rebuilt)
		return true;
	config.tlb = (struct mmu_tlb_hook){0};
	config.who = NULL;
	config.stop = (struct mmu_stop_hook){0};
	config.is_paranoid = false;
	config.max_shadow_pages = mmu->max_pages;
	config.vcpus++; /* room for one root more: it holds one that it begins with */
	return mmu_create(&mmu->rebuilt, &config, NULL) == 0;
}

static void for_each_root(struct verifier *v, leaf_fn fn)
{
	unsigned i;

	for (i = 0; i < v->mmu->max_roots; i++) {
		struct mmu_root *root = &v->mmu->root[i];
		struct visit visit = {.v = v, .root = root, .is_loaded = root->users > 0};

		if (!root->id)
			continue;
		if (v->mmu->rebuilt)
			visit.rebuilt = root_get(v->mmu->rebuilt, &root->regs);
		if (fn == check_leaf) {
			check_tops(v, root);
			check_vcpus(v, root);
		}
		visit_root(&visit, fn);
	}
}

void verify_roots(struct verifier *v)
{
	bool can_rebuild = make_rebuilt(v->mmu);

	for_each_root(v, check_leaf);
	if (!can_rebuild) {
		v->findings++;
		if (v->sink)
			print_to(v->sink, "verify bad I11 no memory to build the shadow anew\n");
		return;
	}
	for_each_root(v, compare_leaf);
	shadow_zap_all(v->mmu->rebuilt);
}

/* I7. */

/* NULL: its record went to another root.  Then the number is never given again, and whatever is
 * kept under it never used. */
static const struct mmu_root *find_root(struct verifier *v, uint64_t id)
{
	unsigned i;

	if (v->tlb_root && v->tlb_root->id == id)
		return v->tlb_root;
	for (i = 0; i < v->mmu->max_roots; i++) {
		if (v->mmu->root[i].id == id) {
			v->tlb_root = &v->mmu->root[i];
			return v->tlb_root;
		}
	}
	return NULL;
}

/* Whatever the registers are now: the page counts again when they are as they were. */
static void check_tlb_page(void *arg, const struct mmu_tlb_page *page)
{
	struct verifier *v = arg;
	const struct mmu_root *root = find_root(v, page->root);
	const struct shadow_page *sp;
	uint64_t spte;
	unsigned index, rights;

	if (!root)
		return;
	sp = shadow_lookup(root, page->gva, &index);
	spte = sp ? sp->spte[index] : 0;
	rights = spte & SPTE_P ? shadow_class_rights(root, &v->rights, spte, page->access) : 0;
	if (!(spte & SPTE_MAY_WRITE))
		rights &= ~MMU_CAN_WRITE;
	if (!(page->can & ~rights) && page->host == (const uint8_t *)(uintptr_t)(spte & SPTE_HOST))
		return;
	verify_bad_root(v, "I7", root,
			" cpu=%u gva=%#llx %s%s can=%#x, by the shadow %#x spte=%#llx", page->vcpu,
			(unsigned long long)page->gva,
			page->access & X86_PF_U ? "user" : "supervisor",
			page->access & MMU_SMAP_OFF ? " AC" : "", page->can, rights,
			(unsigned long long)spte);
}

void verify_tlbs(struct verifier *v)
{
	const struct mmu_tlb_hook *tlb = &v->mmu->config.tlb;

	if (tlb->each)
		tlb->each(tlb->ctx, check_tlb_page, v);
}
