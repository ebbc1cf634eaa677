/* Roots against the registers (I9, I10), and the micro-TLBs against the shadow (I7). */
#include "verify.h"

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

static void check_roots(struct verifier *v, bool is_loaded)
{
	unsigned i;

	for (i = 0; i < v->mmu->max_roots; i++) {
		const struct mmu_root *root = &v->mmu->root[i];

		if (!root->id || (root->users > 0) != is_loaded)
			continue;
		check_tops(v, root);
		check_vcpus(v, root);
		verify_reached(v, root);
	}
}

/* Of what is shared the loaded roots have more to say, and whoever comes first says it. */
void verify_roots(struct verifier *v)
{
	check_roots(v, true);
	check_roots(v, false);
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
