/* Roots: one record for each set of registers that translations depend on, so that loading a CR3
 * that was used before finds its shadow, and its number, again.  Records that differ only in what
 * rights are judged by (CR0.WP, SMEP, SMAP, PKRU) share their shadow pages.
 * Source: SDM 3A 4.5 and, for PAE's registers, 4.4.1. */
#include "shadow.h"

#include "umbra/lock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ROOTS_MIN 512u

#define CR3_BASE_32BIT BITS(31, 12)
#define CR3_BASE_PAE   BITS(31, 5)
#define CR3_BASE_LONG  BITS(51, 12)

#define PDPTE_RESERVED (BITS(63, 52) | BITS(8, 5) | BITS(2, 1))

int roots_init(struct mmu *mmu)
{
	mmu->max_roots = ROOTS_MIN + mmu->config.vcpus;
	mmu->root = calloc(mmu->max_roots, sizeof(*mmu->root));
	return mmu->root ? 0 : -ENOMEM;
}

/* PDPTEs. */

bool mmu_load_pdptes(const struct mmu *mmu, uint64_t cr3, uint64_t out_pdpte[4])
{
	uint64_t reserved = PDPTE_RESERVED;
	uint8_t raw[4 * 8];
	bool is_valid = true;
	unsigned i;

	if (mmu->config.phys_bits >= 32 && mmu->config.phys_bits < 52)
		reserved |= BITS(51, mmu->config.phys_bits);
	if (mem_peek(mmu->mem, cr3 & CR3_BASE_PAE, raw, sizeof(raw)) != sizeof(raw))
		memset(raw, 0xff, sizeof(raw));
	for (i = 0; i < 4; i++) {
		out_pdpte[i] = le64_get(raw + 8ul * i);
		if ((out_pdpte[i] & X86_PTE_P) && (out_pdpte[i] & reserved))
			is_valid = false;
	}
	return is_valid;
}

/* Keys. */

void root_normalize_regs(const struct mmu *mmu, struct x86_paging *regs)
{
	if (mmu->config.phys_bits)
		regs->phys_bits = mmu->config.phys_bits;
	if (x86_paging_mode(regs) != X86_PAGING_PAE) {
		memset(regs->pdpte, 0, sizeof(regs->pdpte));
		regs->has_pdpte = false;
	} else if (!regs->has_pdpte) {
		mmu_load_pdptes(mmu, regs->cr3, regs->pdpte);
		regs->has_pdpte = true;
	}
}

static uint32_t key_bits(const struct x86_paging *regs, enum x86_paging_mode mode)
{
	bool has_nx = mode != X86_PAGING_32BIT && (regs->efer & X86_EFER_NXE);
	bool has_pse = mode == X86_PAGING_32BIT && (regs->cr4 & X86_CR4_PSE);
	bool has_pkeys = mode >= X86_PAGING_4LEVEL && (regs->cr4 & X86_CR4_PKE);

	return (has_nx ? ROOT_NXE : 0) | (has_pse ? ROOT_PSE : 0) | (has_pkeys ? ROOT_PKE : 0) |
	       (regs->cr0 & X86_CR0_WP ? ROOT_WP : 0) | (regs->cr4 & X86_CR4_SMEP ? ROOT_SMEP : 0) |
	       (regs->cr4 & X86_CR4_SMAP ? ROOT_SMAP : 0);
}

void root_make_key(const struct x86_paging *regs, struct root_key *out_key)
{
	enum x86_paging_mode mode = x86_paging_mode(regs);

	*out_key = (struct root_key){.mode = mode};
	if (mode == X86_PAGING_NONE)
		return;
	out_key->bits = key_bits(regs, mode);
	out_key->pkru = out_key->bits & ROOT_PKE ? regs->pkru : 0;
	if (mode == X86_PAGING_PAE)
		memcpy(out_key->pdpte, regs->pdpte, sizeof(out_key->pdpte));
	else
		out_key->base =
			regs->cr3 & (mode == X86_PAGING_32BIT ? CR3_BASE_32BIT : CR3_BASE_LONG);
}

static bool is_same_key(const struct root_key *a, const struct root_key *b)
{
	return a->base == b->base && a->mode == b->mode && a->bits == b->bits &&
	       a->pkru == b->pkru && memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte)) == 0;
}

static unsigned hash_of(const struct root_key *key)
{
	uint64_t h = key->base >> 12 ^ key->pdpte[0] >> 12 ^ key->pdpte[3] >> 11;

	h ^= (uint64_t)key->pkru << 8 ^ (uint64_t)key->bits << 40 ^ (uint64_t)key->mode << 48;
	return (unsigned)((h * 0x9e3779b97f4a7c15ull) >> 55);
}

static struct mmu_root **chain_of(struct mmu *mmu, const struct root_key *key)
{
	return &mmu->root_hash[hash_of(key)];
}

/* Records. */

static void unhash_root(struct mmu *mmu, struct mmu_root *root)
{
	struct mmu_root **at = chain_of(mmu, &root->key);

	while (*at != root)
		at = &(*at)->next;
	*at = root->next;
}

/* The record that no vCPU uses and that was chosen least recently.  There are more records than
 * vCPUs, so there is always one. */
static struct mmu_root *evict_root(struct mmu *mmu)
{
	struct mmu_root *oldest = NULL;
	unsigned i;

	for (i = 0; i < mmu->max_roots; i++) {
		struct mmu_root *root = &mmu->root[i];

		if (root->users == 0 && (!oldest || root->used < oldest->used))
			oldest = root;
	}
	assert(oldest);
	if (oldest->id) {
		root_clear(mmu, oldest);
		unhash_root(mmu, oldest);
		mmu->stats.roots--;
	}
	return oldest;
}

static unsigned levels_of(enum x86_paging_mode mode)
{
	switch (mode) {
	case X86_PAGING_NONE:
	case X86_PAGING_32BIT:
	case X86_PAGING_PAE:
		return 2;
	case X86_PAGING_4LEVEL:
		return 4;
	case X86_PAGING_5LEVEL:
		break;
	}
	return 5;
}

static struct mmu_root *make_root(struct mmu *mmu, const struct x86_paging *regs,
				  const struct root_key *key)
{
	struct mmu_root **chain = chain_of(mmu, key);
	struct mmu_root *root = evict_root(mmu);

	*root = (struct mmu_root){.key = *key,
				  .regs = *regs,
				  .id = mmu->next_root_id++,
				  .levels = levels_of((enum x86_paging_mode)key->mode),
				  .next = *chain};
	*chain = root;
	mmu->stats.roots++;
	return root;
}

static struct mmu_root *find_key(const struct mmu *mmu, const struct root_key *key)
{
	struct mmu_root *root = mmu->root_hash[hash_of(key)];

	while (root && !is_same_key(&root->key, key))
		root = root->next;
	return root;
}

struct mmu_root *root_find(const struct mmu *mmu, const struct x86_paging *regs)
{
	struct root_key key;

	root_make_key(regs, &key);
	return find_key(mmu, &key);
}

struct mmu_root *root_get(struct mmu *mmu, const struct x86_paging *regs)
{
	struct root_key key;
	struct mmu_root *root;

	root_make_key(regs, &key);
	root = find_key(mmu, &key);
	if (!root)
		root = make_root(mmu, regs, &key);
	root->used = ++mmu->clock;
	return root;
}

bool mmu_root_at(const struct mmu *mmu, unsigned index, struct mmu_root_state *out_root)
{
	const struct mmu_root *root = NULL;
	unsigned i, found = 0;

	lock_take(mmu->lock);
	for (i = 0; i < mmu->max_roots && !root; i++) {
		if (mmu->root[i].id && found++ == index)
			root = &mmu->root[i];
	}
	if (root)
		*out_root = (struct mmu_root_state){
			.id = root->id,
			.regs = root->regs,
			.users = root->users,
			.is_in_use = root->users || root->top[0] || root->top[1] || root->top[2] ||
				     root->top[3],
		};
	lock_drop(mmu->lock);
	return root != NULL;
}

/* Top pages. */

unsigned root_top_index(const struct mmu_root *root, gva_t gva)
{
	unsigned bits = root->levels * 9 + 12;

	if (root->levels == 2)
		return gva >> 32 ? SHADOW_TOPS : (unsigned)(gva >> 30);
	return (uint64_t)((int64_t)(gva << (64 - bits)) >> (64 - bits)) == gva ? 0 : SHADOW_TOPS;
}

bool root_top_key(const struct mmu_root *root, unsigned top, struct shadow_key *out_key)
{
	const struct root_key *key = &root->key;

	*out_key = (struct shadow_key){.gfn = key->base >> SHADOW_GFN_SHIFT};
	out_key->role.level = root->levels & 7;
	out_key->role.access = ACCESS_ALL;
	out_key->role.mode = key->mode & 7;
	out_key->role.has_nxe = (key->bits & ROOT_NXE) != 0;
	out_key->role.has_pse = (key->bits & ROOT_PSE) != 0;
	switch ((enum x86_paging_mode)key->mode) {
	case X86_PAGING_NONE:
		out_key->gfn = (uint64_t)top << (30 - SHADOW_GFN_SHIFT);
		out_key->role.is_direct = 1;
		out_key->role.is_dirty = 1;
		return true;
	case X86_PAGING_32BIT:
		out_key->role.quadrant = top & 3;
		return true;
	case X86_PAGING_PAE:
		out_key->gfn = (key->pdpte[top] & CR3_BASE_LONG) >> SHADOW_GFN_SHIFT;
		return key->pdpte[top] & X86_PTE_P;
	case X86_PAGING_4LEVEL:
	case X86_PAGING_5LEVEL:
		break;
	}
	return top == 0;
}

struct shadow_page *root_get_top(struct mmu *mmu, struct mmu_root *root, unsigned top)
{
	struct shadow_key key;
	struct shadow_page *sp;

	if (root->top[top] || !root_top_key(root, top, &key))
		return root->top[top];
	sp = shadow_get(mmu, &key);
	if (!sp)
		return NULL;
	sp->refs++;
	sp->root_refs++;
	root->top[top] = sp;
	return sp;
}

static void clear_top(struct mmu *mmu, struct mmu_root *root, unsigned top)
{
	struct shadow_page *sp = root->top[top];

	if (!sp)
		return;
	root->top[top] = NULL;
	if (sp->present > 0)
		forget_all(mmu);
	sp->root_refs--;
	shadow_put(mmu, sp);
}

void root_clear(struct mmu *mmu, struct mmu_root *root)
{
	unsigned i;

	for (i = 0; i < SHADOW_TOPS; i++)
		clear_top(mmu, root, i);
}

void roots_forget_page(struct mmu *mmu, struct shadow_page *sp)
{
	unsigned i;

	for (i = 0; i < mmu->max_roots * SHADOW_TOPS; i++) {
		struct mmu_root *root = &mmu->root[i / SHADOW_TOPS];

		if (root->top[i % SHADOW_TOPS] == sp)
			clear_top(mmu, root, i % SHADOW_TOPS);
	}
}

bool root_is_loaded(const struct mmu *mmu, const struct shadow_page *sp)
{
	unsigned vcpu, top;

	for (vcpu = 0; sp->root_refs > 0 && vcpu < mmu->config.vcpus; vcpu++) {
		for (top = 0; top < SHADOW_TOPS; top++) {
			if (mmu->vcpu[vcpu].root->top[top] == sp)
				return true;
		}
	}
	return false;
}
