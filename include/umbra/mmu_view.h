/* Looking at translations: the guest's tables as a whole, and what the shadow holds of them.
 * Nothing here has a side effect: no A, no D, no entry filled, no host page taken.
 *
 * The first half reads guest memory alone and needs no shadow MMU: it serves every back end.
 * Tables may be hostile: entries that lead back to tables above them are followed as a processor
 * would follow them, but no run reads more entries than its budget.
 *
 * Call: world STOPPED, control thread; the second half also as umbra/mmu.h says. */
#ifndef UMBRA_MMU_VIEW_H
#define UMBRA_MMU_VIEW_H

#include "umbra/mem.h"
#include "umbra/mmu.h"
#include "umbra/types.h"
#include "umbra/x86.h"

/* Rights over all levels of a walk, as x86_walk has them: CR0.WP, SMEP, SMAP, keys and the CPL are
 * not regarded. */
#define MMU_RIGHT_W (1u << 0)
#define MMU_RIGHT_U (1u << 1)
#define MMU_RIGHT_X (1u << 2)

/* Pages. */

struct mmu_mapping {
	gva_t gva;
	gpa_t gpa;
	uint64_t size; /* bytes of the page */
	unsigned level;
	unsigned rights;	    /* mask of MMU_RIGHT_* */
	bool is_global;		    /* the leaf's G, where CR4.PGE gives it a meaning */
	bool is_accessed, is_dirty; /* of the leaf */
	uint8_t pkey;
	gpa_t entry_gpa; /* of the leaf; 0 without paging */
	uint64_t entry;
};

/* A table that the view is about to read. */
struct mmu_table {
	gpa_t gpa;
	unsigned level;
	unsigned rights;       /* of the entries above */
	gva_t gva;	       /* the first address that goes through it on this way */
	unsigned parent_level; /* 0: it is the root */
	unsigned entries, entry_bytes;
	const uint8_t *bytes; /* NULL: not in memory */
};

enum mmu_view_step {
	MMU_VIEW_ON,   /* go on */
	MMU_VIEW_SKIP, /* on_table: not into this one */
	MMU_VIEW_STOP
};

typedef enum mmu_view_step (*mmu_view_page_fn)(void *ctx, const struct mmu_mapping *page);
typedef enum mmu_view_step (*mmu_view_table_fn)(void *ctx, const struct mmu_table *table);

struct mmu_set;

/* What is looked at, and who is told. */
struct mmu_view {
	const struct mem_space *mem;
	const struct x86_paging *regs;
	gva_t lo, hi; /* first and last address */
	mmu_view_page_fn on_page;
	mmu_view_table_fn on_table; /* or NULL */
	void *ctx;
	/* With a set, tables of which no page counted as a hit are not read twice, neither in this
	 * run nor in others with the same set.  on_page adds to hits; whether it does must depend
	 * on nothing but the page's frame, its rights and its entry. */
	struct mmu_set *barren;
	uint64_t hits;
	uint64_t budget; /* entries that may be read yet; 0 at the start = a default */
};

enum mmu_view_end {
	MMU_VIEW_ALL,	  /* everything between lo and hi was told */
	MMU_VIEW_STOPPED, /* a callback said so */
	MMU_VIEW_BUDGET	  /* the budget is used up */
};

/* Tell of each page between lo and hi that the tables map, in order of addresses.
 * *@out_next: where to go on after STOPPED (the page that on_page stopped at) and BUDGET. */
enum mmu_view_end mmu_view_run(struct mmu_view *view, gva_t *out_next);

/* Sets of table addresses and the like.  NULL and false when there is no memory. */
struct mmu_set *mmu_set_create(void);
void mmu_set_destroy(struct mmu_set *set); /* NULL is allowed */
/* Returns true when @key was not in it. */
bool mmu_set_add(struct mmu_set *set, uint64_t key);
bool mmu_set_has(const struct mmu_set *set, uint64_t key);
/* How many keys came before @key, which is in it. */
uint64_t mmu_set_order(const struct mmu_set *set, uint64_t key);

/* Ranges. */

/* Pages that follow each other in linear and in physical memory and are alike. */
struct mmu_range {
	gva_t gva;
	gpa_t gpa;
	uint64_t len, page_size;
	unsigned rights;
	bool is_global;
	uint8_t pkey;
	uint64_t pages, accessed, dirty;
};

struct mmu_merge {
	/* False ends it: mmu_merge_add returns MMU_VIEW_STOP then. */
	bool (*on_range)(void *ctx, const struct mmu_range *range);
	void *ctx;
	bool has_range, has_ended;
	struct mmu_range range; /* that is being put together */
};

enum mmu_view_step mmu_merge_add(struct mmu_merge *merge, const struct mmu_mapping *page);
/* Tell of the last one.  Returns false when it ended before that, or now. */
bool mmu_merge_end(struct mmu_merge *merge);

/* Accesses. */

struct mmu_probe {
	bool is_fault;
	uint8_t vector; /* X86_EXC_PF or X86_EXC_GP */
	uint32_t error; /* of a page fault */
	unsigned level; /* whose entry decided; 0: none did */
	char cause[64]; /* "W=0", "reserved 0x80", "not canonical"; "" without a fault */
	struct x86_walk walk;
};

/* Whether @access, a mask of X86_PF_W, X86_PF_U and X86_PF_I, or 0 for a read, would fault.
 * @smap_off: RFLAGS.AC is set.  A table outside memory reads as all ones. */
void mmu_probe(const struct mem_space *mem, const struct x86_paging *regs, gva_t gva,
	       unsigned access, bool smap_off, struct mmu_probe *out);

/* The shadow.  Callbacks run under the mmu's lock and may not call back. */

/* A present entry of a shadow page. */
struct mmu_shadow_entry {
	uint32_t sp; /* number of the shadow page */
	unsigned level, index;
	bool is_leaf;
	uint32_t child;	 /* no leaf: number of the shadow page that it names */
	unsigned rights; /* of all levels down to here: mask of MMU_RIGHT_* */
	gpa_t gpa;	 /* leaf: the frame; else the guest's table, or what is mapped linearly */
	/* Leaves. */
	const uint8_t *host; /* NULL: no memory there */
	bool may_write;	     /* stores need not ask: RAM, D is set, and no table */
	bool is_dirty, is_global, is_rom, is_big;
	uint8_t pkey;
	uint64_t gpte; /* the guest's entry as last read; 0 of a part of a large page */
};

struct mmu_shadow_page {
	uint32_t sp;
	uint64_t gfn; /* of the guest's table; is_direct: where the linear memory begins */
	unsigned level, quadrant, rights;
	enum x86_paging_mode mode; /* NONE: is_direct */
	bool is_direct, has_nxe, is_big;
	bool is_protected;	/* its frame is known as a table: nobody writes unseen */
	unsigned refs, roots;	/* who names it, and how many of them are roots */
	unsigned present;	/* entries */
	unsigned unused_writes; /* to the table since a translation came through */
	/* Translations that came through since it was made.  What a micro-TLB knows needs none. */
	uint64_t hits;
};

/* What the shadow knows of a set of roots: records that differ in rights only are told apart. */
struct mmu_root_info {
	struct x86_paging regs; /* CR3 as it was loaded last */
	uint64_t loads;		/* of CR3 */
	uint64_t last_load;	/* mmu_who.seq then; 0 = not loaded by the guest */
	uint64_t used;		/* grows with each choice of a root: what came last has most */
	unsigned users;		/* vCPUs */
	unsigned tops;		/* top shadow pages that it has */
};

/* What the shadow has to do with one frame. */
struct mmu_frame_info {
	unsigned tables;   /* shadow pages of it as a table */
	unsigned leaves;   /* shadow entries that map it */
	unsigned writable; /* of those, the ones that let stores through */
};

#define MMU_SHADOW_PATH_MAX 6

/* The entries that a translation of @gva under @regs would meet, top first, until one is missing.
 * Returns their number; the path is complete when the last one is a leaf. */
unsigned mmu_shadow_path(const struct mmu *mmu, const struct x86_paging *regs, gva_t gva,
			 struct mmu_shadow_entry out[MMU_SHADOW_PATH_MAX]);

/* What mmu_event.spte says by itself: is_leaf, and of a leaf all that is said of leaves but gpa and
 * gpte.  The rest of @out is left alone. */
void mmu_shadow_decode(uint64_t spte, struct mmu_shadow_entry *out);

typedef void (*mmu_shadow_page_fn)(void *ctx, const struct mmu_shadow_page *page);
void mmu_each_shadow_page(const struct mmu *mmu, mmu_shadow_page_fn fn, void *ctx);
typedef void (*mmu_shadow_entry_fn)(void *ctx, const struct mmu_shadow_entry *entry);
/* Returns false when there is no shadow page @sp. */
bool mmu_each_shadow_entry(const struct mmu *mmu, uint32_t sp, mmu_shadow_entry_fn fn, void *ctx);
typedef void (*mmu_root_fn)(void *ctx, const struct mmu_root_info *root);
void mmu_each_root(const struct mmu *mmu, mmu_root_fn fn, void *ctx);
void mmu_frame_look(const struct mmu *mmu, gpa_t gpa, struct mmu_frame_info *out);
/* The registers that vCPU @vcpu translates by. */
void mmu_get_regs(const struct mmu *mmu, unsigned vcpu, struct x86_paging *out_regs);
/* Pages held by micro-TLBs.  Returns false when nobody can look (mmu_tlb_hook.each). */
bool mmu_each_tlb_page(const struct mmu *mmu, mmu_tlb_fn fn, void *ctx);

#endif
