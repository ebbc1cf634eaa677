/* The private structures of the shadow MMU.
 *
 * A shadow page is a table of 512 entries derived from one guest table under one role.  Entries
 * above level 1 name shadow pages, those of level 1 host pages.  Its guest entries as they were
 * read stand beside it, so that a write to the table is judged by what changed, and so that a check
 * can tell a missed write.
 *
 *   root --> shadow page (gfn, role) --> ... --> leaf --> host page
 *                 |  ^ parents: the entries that name it     |
 *                 v                                          v
 *               frame: table pages of this gfn,          frame: every leaf that maps it
 *
 * A frame with table pages is writable through no leaf: that is the write protection.
 *
 * Everything here is under mmu.lock, but for what struct comments mark as [vcpu].
 * Source: the ideas of Linux, Documentation/virt/kvm/x86/mmu.rst. */
#ifndef UMBRA_MMU_SHADOW_H
#define UMBRA_MMU_SHADOW_H

#include "umbra/mmu.h"
#include "walk.h"

#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define SHADOW_ENTRIES	 512u
#define SHADOW_TOPS	 4u /* tables at the top of a 32-bit address space */
#define SHADOW_PATH_MAX	 5u /* shadow pages between a root and a leaf */
#define SHADOW_GFN_SHIFT 12

/* A shadow entry.  A leaf:
 *
 *  63    56 55  52 51   48 47                    12 11                                         0
 * |        | pkey |       | host page of the frame | - BIG MMIO ROM MAY_WRITE G D X U W TABLE P |
 *
 * W, U and X are the guest's rights over all levels; CR0.WP, SMEP, SMAP, PKRU and the CPL are
 * applied when an access comes.  With TABLE, bits 47:6 are the address of a struct shadow_page. */
#define SPTE_P		(1ull << 0)
#define SPTE_TABLE	(1ull << 1)
#define SPTE_W		(1ull << 2)
#define SPTE_U		(1ull << 3)
#define SPTE_X		(1ull << 4)
#define SPTE_D		(1ull << 5) /* the guest's D is set */
#define SPTE_G		(1ull << 6) /* the guest's G, whatever CR4.PGE */
#define SPTE_MAY_WRITE	(1ull << 7) /* RAM, D is set, and no table: stores need not come here */
#define SPTE_ROM	(1ull << 8)
#define SPTE_MMIO	(1ull << 9)  /* neither RAM nor ROM: no host page */
#define SPTE_BIG	(1ull << 10) /* part of a large page of the guest */
#define SPTE_PKEY_SHIFT 52
#define SPTE_PKEY	(15ull << SPTE_PKEY_SHIFT)
#define SPTE_HOST	BITS(47, 12)
#define SPTE_CHILD	BITS(47, 6)

/* Rights of a role: the bits SPTE_W, _U and _X, moved to 0. */
#define ACCESS_SHIFT 2
#define ACCESS_W     (1u << 0)
#define ACCESS_U     (1u << 1)
#define ACCESS_X     (1u << 2)
#define ACCESS_ALL   7u

/* What else than the guest table's bytes the entries of a shadow page depend on. */
union shadow_role {
	struct {
		uint32_t level : 3;
		uint32_t is_direct : 1; /* of no table: linear, from gfn on */
		uint32_t quadrant : 2;	/* which part of a table with 1024 entries of 4 bytes */
		uint32_t access : 3;	/* rights of all entries above */
		uint32_t mode : 3;	/* enum x86_paging_mode; NONE for direct ones */
		uint32_t has_nxe : 1;
		uint32_t has_pse : 1; /* 32-bit page directories */
		/* Direct ones: what their leaves have from the guest's large page. */
		uint32_t is_big : 1;
		uint32_t is_dirty : 1;
		uint32_t is_global : 1;
		uint32_t pkey : 4;
	};
	uint32_t word;
};

struct shadow_key {
	uint64_t gfn;
	union shadow_role role;
};

/* An entry of a shadow page as a member of a list: id * 512 + index + 1, 0 = none. */
typedef uint32_t shadow_handle;

struct shadow_link {
	shadow_handle prev, next;
};

struct frame;
struct frame_slab;

struct shadow_page {
	struct shadow_key key;
	uint32_t id;
	bool is_live;
	uint16_t present;	/* entries */
	uint32_t refs;		/* parents + roots that begin here */
	uint32_t root_refs;	/* of those, roots */
	uint32_t unused_writes; /* to the guest table since a translation came through here */
	uint64_t used;		/* mmu.clock of that translation */
	uint64_t hits;		/* translations that came through here */
	shadow_handle parents;
	const uint8_t *table;	  /* the guest table's bytes; NULL: direct, or outside memory */
	struct frame *frame;	  /* of the guest table; NULL: direct */
	struct shadow_page *next; /* in its hash chain, or in the list of free ones */
	struct shadow_page *next_of_frame;
	uint64_t spte[SHADOW_ENTRIES];
	uint64_t gpte[SHADOW_ENTRIES]; /* of present entries, as last read; not for direct ones */
	/* A leaf is in the list of its frame, another entry in that of its child's parents. */
	struct shadow_link link[SHADOW_ENTRIES];
} __attribute__((aligned(64)));

/* A guest frame that the shadow has to do with. */
struct frame {
	uint64_t gfn;
	struct frame *next; /* in its hash chain, or in the list of free ones */
	shadow_handle leaves;
	struct shadow_page *tables; /* shadow pages of this frame as a table */
	/* Tables, while somebody listens to their writes: the bytes that are known; else NULL. */
	uint8_t *seen;
	unsigned pins; /* frame_pin without frame_unpin, and frame_hold */
	bool is_listed;
	struct frame *next_pinned; /* in mmu.pinned, if is_listed */
};

/* Its writes come here: no leaf may let them through. */
static inline bool frame_is_table(const struct frame *frame)
{
	return frame->tables || frame->pins;
}

/* What a translation depends on besides the tables' bytes and the access. */
struct root_key {
	uint64_t base; /* CR3's address of the top table; 0 in PAE and without paging */
	uint64_t pdpte[4];
	uint32_t mode; /* enum x86_paging_mode */
	uint32_t bits; /* mask of ROOT_* */
	uint32_t pkru; /* 0 where protection keys are off */
};
#define ROOT_NXE  (1u << 0)
#define ROOT_PSE  (1u << 1)
#define ROOT_WP	  (1u << 2)
#define ROOT_SMEP (1u << 3)
#define ROOT_SMAP (1u << 4)
#define ROOT_PKE  (1u << 5)

struct mmu_root {
	struct root_key key;
	struct x86_paging regs;		      /* one set of registers that has the key */
	uint64_t id;			      /* mmu_root_id; 0 = this record is free */
	uint64_t used;			      /* mmu.clock of the last mmu_set_regs that chose it */
	unsigned users;			      /* vCPUs */
	unsigned levels;		      /* level of the top shadow pages */
	struct shadow_page *top[SHADOW_TOPS]; /* made when first needed */
	struct mmu_root *next;		      /* in its hash chain */
	/* For those who look: loads of CR3 that chose it, the last value, and when. */
	uint64_t loads, last_cr3, last_load;
};

struct mmu_vcpu {
	struct x86_paging regs;
	struct mmu_root *root;
	uint64_t root_id;	/* [vcpu] of root: read without the lock */
	struct x86_walk rights; /* scratch of shadow_class_rights */
	struct mmu_walk walk;	/* of the miss at hand */
};

/* Values of linear bits 20:12 that the micro-TLBs are to forget. */
struct forget_set {
	uint64_t bits[SHADOW_ENTRIES / 64];
	unsigned count; /* SHADOW_ENTRIES: all */
};

struct mmu {
	struct lock *lock;
	struct mmu_config config; /* [const] */
	struct mem_space *mem;	  /* [const] */
	unsigned listening;	  /* kinds that some listener wants: mask of MMU_EVENT_BIT */
	unsigned listener_count;
	struct mmu_listener listener[MMU_LISTENERS_MAX];
	/* Every translation by mmu_translate, whether allowed or not: the hazards.  NULL: none. */
	void (*on_use)(void *ctx, unsigned vcpu, gva_t gva, unsigned access, bool set_dirty);
	void *on_use_ctx;
	const struct mmu_history *history; /* for mmu_verify to name writers by; NULL: none */
	unsigned actor;			   /* whose call is under way, or MMU_NO_VCPU */
	struct mmu_vcpu *vcpu;

	struct shadow_page **page; /* by id; page_count exist, some of them free */
	unsigned page_count, max_pages;
	struct shadow_page *free_pages;
	struct shadow_page **page_hash;
	uint64_t page_hash_mask;
	struct frame **frame_hash;
	uint64_t frame_hash_mask;
	struct frame *free_frames;
	struct frame_slab *frame_slabs; /* the memory of all frames */
	struct frame *pinned;
	bool was_protected; /* a frame became a table since this was cleared */

	struct mmu_root *root;
	unsigned max_roots;
	struct mmu_root *root_hash[SHADOW_ENTRIES];
	uint64_t next_root_id;

	struct forget_set forget;
	uint64_t clock;
	unsigned open_writes; /* mmu_write_begin without its end */
	struct mmu_stats stats;
	unsigned paranoid_findings;
};

/* Guest memory, whatever its type is to the rest of the program.  Guest and host are x86: bytes are
 * in the same order. */
typedef uint32_t __attribute__((may_alias)) guest_entry32;
typedef uint64_t __attribute__((may_alias)) guest_entry64;

/* An entry of @entry_bytes in guest memory as it is now; all ones where @host is NULL.  Another
 * vCPU may be storing there; its mmu_write_end brings us back. */
__attribute__((no_sanitize("thread"))) static inline uint64_t guest_entry_read(const uint8_t *host,
									       unsigned entry_bytes)
{
	if (entry_bytes == sizeof(guest_entry32))
		return host ? *(const volatile guest_entry32 *)(const void *)host : UINT32_MAX;
	return host ? *(const volatile guest_entry64 *)(const void *)host : UINT64_MAX;
}

static inline shadow_handle handle_of(const struct shadow_page *sp, unsigned index)
{
	return sp->id * SHADOW_ENTRIES + index + 1;
}

static inline struct shadow_page *handle_page(const struct mmu *mmu, shadow_handle handle)
{
	return mmu->page[(handle - 1) / SHADOW_ENTRIES];
}

static inline unsigned handle_index(shadow_handle handle)
{
	return (handle - 1) % SHADOW_ENTRIES;
}

static inline struct shadow_page *spte_child(uint64_t spte)
{
	return (struct shadow_page *)(uintptr_t)(spte & SPTE_CHILD);
}

static inline bool spte_is_leaf(uint64_t spte)
{
	return (spte & (SPTE_P | SPTE_TABLE)) == SPTE_P;
}

static inline unsigned shadow_index(gva_t gva, unsigned level)
{
	return (unsigned)(gva >> (12 + 9 * (level - 1))) % SHADOW_ENTRIES;
}

/* entry.c: what a guest entry means to its shadow page.  Pure. */

/* Byte offset in the guest table of what entry @index was derived from. */
size_t shadow_entry_offset(const struct shadow_page *sp, unsigned index);
/* The entries that bytes @offset..@offset+@len of the guest table decide.  Returns their number. */
unsigned shadow_entries_at(const struct shadow_page *sp, size_t offset, size_t len,
			   unsigned *out_first);
/* The guest entry as it is now; all ones outside memory. */
uint64_t shadow_read_entry(const struct shadow_page *sp, unsigned index);
/* The shadow page that an entry above level 1 names. */
struct shadow_key shadow_child_key(const struct shadow_page *sp, unsigned index, uint64_t gpte);
/* A level 1 entry: the frame's address, and SPTE_* without those that the frame decides. */
gpa_t shadow_leaf_gpa(const struct shadow_page *sp, unsigned index, uint64_t gpte);
uint64_t shadow_leaf_rights(const struct shadow_page *sp, uint64_t gpte);
/* Rights over all levels, mask of ACCESS_*, below an entry of @role that is @gpte. */
unsigned shadow_entry_access(union shadow_role role, uint64_t gpte);
/* @gpte, a present one, maps a page: on level 1, or a large one. */
bool shadow_entry_maps_page(union shadow_role role, uint64_t gpte);
/* The bits of @gpte, a present one, that entry and subtree depend on. */
uint64_t shadow_relevant_bits(const struct shadow_page *sp, uint64_t gpte);

/* page.c: shadow pages and their entries. */

int shadow_pages_init(struct mmu *mmu);
void shadow_pages_end(struct mmu *mmu);
/* Find or make one.  NULL: max_pages are live, or no memory. */
struct shadow_page *shadow_get(struct mmu *mmu, const struct shadow_key *key);
/* The entry names @child; what it was before is dropped. */
void shadow_set_child(struct mmu *mmu, struct shadow_page *sp, unsigned index, uint64_t gpte,
		      struct shadow_page *child);
/* The level 1 entry maps what @gpte says.  Returns false when there is no memory. */
bool shadow_set_leaf(struct mmu *mmu, struct shadow_page *sp, unsigned index, uint64_t gpte);
/* Make a present entry not present; a child that nobody else names goes too. */
void shadow_drop_entry(struct mmu *mmu, struct shadow_page *sp, unsigned index);
/* One reference less; the last one frees. */
void shadow_put(struct mmu *mmu, struct shadow_page *sp);
/* Free it, whoever names it. */
void shadow_zap(struct mmu *mmu, struct shadow_page *sp);
void shadow_zap_all(struct mmu *mmu);
/* Make room for SHADOW_PATH_MAX new pages. */
void shadow_recycle(struct mmu *mmu);

/* frame.c: frames, the reverse map, write protection, and what micro-TLBs must forget. */

int frames_init(struct mmu *mmu, uint64_t ram_frames);
void frames_end(struct mmu *mmu);
struct frame *frame_find(const struct mmu *mmu, uint64_t gfn);
/* NULL: no memory. */
struct frame *frame_get(struct mmu *mmu, uint64_t gfn);
/* Free it if the shadow has no use for it any more. */
void frame_put(struct mmu *mmu, struct frame *frame);
void frame_add_leaf(struct mmu *mmu, struct frame *frame, struct shadow_page *sp, unsigned index);
void frame_remove_leaf(struct mmu *mmu, struct shadow_page *sp, unsigned index);
void frame_add_table(struct mmu *mmu, struct frame *frame, struct shadow_page *sp);
void frame_remove_table(struct mmu *mmu, struct shadow_page *sp);
/* See mmu_pin; the lock is held, and the caller lets micro-TLBs forget.  False: no memory. */
bool frame_pin(struct mmu *mmu, uint64_t gfn);
void frame_unpin(struct mmu *mmu, uint64_t gfn);
/* Keep @frame, a table or pinned, while listeners are told of it, who may unpin it. */
void frame_hold(struct frame *frame);
void frame_release(struct mmu *mmu, struct frame *frame);
/* Lists of entries: of a frame's leaves, of a page's parents. */
void list_add(const struct mmu *mmu, shadow_handle *head, struct shadow_page *sp, unsigned index);
void list_remove(const struct mmu *mmu, shadow_handle *head, struct shadow_page *sp,
		 unsigned index);
void forget_index(struct mmu *mmu, unsigned index);
void forget_all(struct mmu *mmu);
/* Tell the micro-TLBs.  Call before the lock is dropped, or before the tables are read again. */
void forget_flush(struct mmu *mmu);

/* root.c */

int roots_init(struct mmu *mmu);
/* The record for @regs, or NULL. */
struct mmu_root *root_find(const struct mmu *mmu, const struct x86_paging *regs);
/* The record for @regs, made if need be; it is the most recently used one then. */
struct mmu_root *root_get(struct mmu *mmu, const struct x86_paging *regs);
/* The registers with what mmu_create fixed, and PDPTEs where PAE paging was given none. */
void root_normalize_regs(const struct mmu *mmu, struct x86_paging *regs);
void root_make_key(const struct x86_paging *regs, struct root_key *out_key);
/* Which of the top pages @gva goes through; SHADOW_TOPS: the address does not exist. */
unsigned root_top_index(const struct mmu_root *root, gva_t gva);
/* The key of a top page.  Returns false when the root has none there (a PDPTE without P). */
bool root_top_key(const struct mmu_root *root, unsigned top, struct shadow_key *out_key);
/* The top page itself, made now if need be; NULL as shadow_get. */
struct shadow_page *root_get_top(struct mmu *mmu, struct mmu_root *root, unsigned top);
/* Let go of all top pages. */
void root_clear(struct mmu *mmu, struct mmu_root *root);
/* No root begins at @sp any more. */
void roots_forget_page(struct mmu *mmu, struct shadow_page *sp);
/* True when a vCPU's current root begins at @sp. */
bool root_is_loaded(const struct mmu *mmu, const struct shadow_page *sp);

/* fault.c */

/* The leaf page for @gva and the index in it, or NULL. */
struct shadow_page *shadow_lookup(const struct mmu_root *root, gva_t gva, unsigned *out_index);
/* Fill the path that @walk found.  Returns 0, -ENOMEM, or -EFAULT when the root has no such path.
 */
int shadow_fill(struct mmu *mmu, struct mmu_root *root, gva_t gva, const struct x86_walk *walk);
/* What a class of access, a mask of X86_PF_U and MMU_SMAP_OFF, may do with the leaf @spte by the
 * registers of @root: mask of MMU_CAN_*, D and tables not regarded.  @scratch: only the mode and
 * the rights are used, and the rest need not be set. */
unsigned shadow_class_rights(const struct mmu_root *root, struct x86_walk *scratch, uint64_t spte,
			     unsigned access);

/* write.c */

/* Bytes of guest memory changed: entries derived from them follow. */
void shadow_refresh(struct mmu *mmu, gpa_t gpa, size_t len);

/* verify.c */

unsigned verify_locked(struct mmu *mmu, const struct print_sink *sink);
/* Paranoid mode's call. */
void verify_paranoid(struct mmu *mmu);

/* event.c: each does nothing when nobody listens to its kind. */

static inline bool is_listening(const struct mmu *mmu, enum mmu_event_kind kind)
{
	return mmu->listening & MMU_EVENT_BIT(kind);
}

/* What mmu_who says of @vcpu now. */
uint64_t mmu_who_seq(const struct mmu *mmu, unsigned vcpu);
void tell_cr3(struct mmu *mmu, unsigned vcpu, uint64_t old, enum mmu_load load);
void tell_invlpg(struct mmu *mmu, unsigned vcpu, unsigned pcid, gva_t gva, bool takes_global);
void tell_flush(struct mmu *mmu, unsigned vcpu, enum mmu_flush_scope scope, unsigned pcid);
struct mmu_hazard_report;
void tell_hazard(struct mmu *mmu, const struct mmu_hazard_report *report);
void tell_protect(struct mmu *mmu, const struct frame *frame);
/* The PCID that @regs are in; 0 without CR4.PCIDE. */
unsigned current_pcid(const struct x86_paging *regs);
/* The kinds that are listened to are no longer @before: keep what TABLE_WRITE needs. */
void listening_changed(struct mmu *mmu, unsigned before);
/* @is_denied: the walk gave no page, or not the rights. */
void tell_fault(struct mmu *mmu, unsigned vcpu, gva_t gva, unsigned access, bool is_denied);
void tell_fill(struct mmu *mmu, unsigned vcpu, gva_t gva, const struct shadow_page *sp,
	       unsigned index);
void tell_zap(struct mmu *mmu, const struct shadow_page *sp, unsigned index);
/* Compare the table with what the listeners know, in bytes @offset..@offset+@len. */
void tell_table_write(struct mmu *mmu, unsigned vcpu, struct frame *frame, size_t offset,
		      size_t len);
/* The walker set A or D there: no news, but the listeners' knowledge moves along. */
void tell_nothing(struct mmu *mmu, struct frame *frame, size_t offset, size_t len);
void frame_begin_seen(struct mmu *mmu, struct frame *frame);
void frame_end_seen(struct frame *frame);

#endif
