/* The shadow MMU: guest linear address -> shadow entry -> host address.
 *
 * For each set of guest tables that is in use the shadow holds tables of its own whose leaves name
 * host pages (SEED: shadow page tables; KVM's Documentation/virt/kvm/x86/mmu.rst is the model).  It
 * is filled by shadow page faults and kept true by write protection: a guest frame that is in use
 * as a table is writable through no shadow entry, so every write to it comes here, and the entries
 * derived from it change before the writer goes on.  Nothing is ever out of sync (stricter than
 * hardware, and legal: it looks like a TLB that evicts early).
 *
 * Invariants, each a check of mmu_verify:
 *   I1  a frame with a shadow page is writable through no shadow entry of any root
 *   I2  a present leaf's host page is the memory slot's page of its frame; the frame and the rights
 *       are what a fresh walk of the guest's tables gives
 *   I3  a writable leaf has D=1 in the guest's leaf and A=1 on every level
 *   I4  every present leaf is in the reverse map of its frame, every entry there is a present leaf
 *   I5  every non-leaf entry is in its child's parent list and the other way round; a child's role
 *       carries the rights of its parents; reference counts are true
 *   I6  a table's shadow is what the table's bytes say: every writer came through the hook
 *   I7  no micro-TLB in front of the shadow allows what the shadow does not
 *   I8  no entry names a page outside the memory map
 *   I9  after CR3 load, INVLPG or INVPCID nothing stale is reachable in its scope
 *   I10 the root of PAE paging are the PDPTE registers, not memory
 *   I11 the incremental shadow equals one that is built anew
 *
 * Threads: every function may be called from a vCPU thread and, in a stopped world, from the
 * control thread; one lock inside.  Callbacks run under it and may not call back. */
#ifndef UMBRA_MMU_H
#define UMBRA_MMU_H

#include "umbra/err.h"
#include "umbra/mem.h"
#include "umbra/print.h"
#include "umbra/types.h"
#include "umbra/x86.h"

struct mmu;

#define MMU_NO_VCPU (~0u) /* the writer is the debugger, a loader or a device */

/* Events: what the shadow does, told as it happens. */

enum mmu_event_kind {
	MMU_EVENT_FAULT, /* the shadow had no entry, or one without the rights that were asked */
	MMU_EVENT_WALK,	 /* S1: the guest's tables were walked */
	MMU_EVENT_SLOT,	 /* S2: GPA -> HVA by the memory slot */
	MMU_EVENT_HOST,	 /* S3: HVA -> HPA; the HPA itself is read only when shown */
	MMU_EVENT_FILL,	 /* S4: a shadow leaf was written */
	MMU_EVENT_TABLE_WRITE, /* bytes of a frame in use as a table, or pinned, changed */
	MMU_EVENT_ZAP,	       /* a shadow entry was dropped */
	MMU_EVENT_PROTECT,     /* a frame became a table: it is writable through no entry now */
	MMU_EVENT_CR3,	       /* CR3 was loaded */
	MMU_EVENT_INVLPG,      /* INVLPG, or INVPCID of one address */
	MMU_EVENT_FLUSH,       /* INVPCID of more, CR4.PGE, CR0.PG, INIT */
	MMU_EVENT_HAZARD,      /* a use that wants a flush before: mmu_hazard.h */
	MMU_EVENT_KIND_COUNT
};
#define MMU_EVENT_BIT(kind) (1u << (kind))
#define MMU_EVENT_ALL	    (MMU_EVENT_BIT(MMU_EVENT_KIND_COUNT) - 1)

/* What an instruction takes out of a processor's TLB (SDM 3A 4.10.4.1). */
enum mmu_flush_scope {
	MMU_FLUSH_NOTHING,   /* MOV CR3 with bit 63 */
	MMU_FLUSH_PCID,	     /* one PCID's entries but global ones: MOV CR3, INVPCID 1 */
	MMU_FLUSH_NONGLOBAL, /* every PCID's entries but global ones: INVPCID 3 */
	MMU_FLUSH_ALL	     /* INVPCID 2, CR4.PGE, CR0.PG, INIT */
};

struct mmu_event {
	enum mmu_event_kind kind;
	unsigned vcpu;	 /* on whose thread it happened; MMU_NO_VCPU: nobody's */
	uint64_t seq;	 /* mmu_who.seq and .rip of that vCPU */
	uint64_t rip;	 /* of the instruction that is at work, or that is to be fetched */
	gva_t gva;	 /* FAULT, WALK, SLOT, HOST, FILL, INVLPG, HAZARD */
	unsigned access; /* FAULT, WALK, HAZARD: mask of X86_PF_W, _U, _I */
	uint32_t error;	 /* FAULT, WALK: error code for the guest */
	uint8_t vector;	 /* FAULT, WALK: X86_EXC_PF or _GP for the guest; 0 = it sees no fault */
	const struct x86_walk *walk; /* WALK; valid during the call */
	unsigned set_accessed;	     /* WALK: bit n: A was set on level n */
	bool set_dirty;		     /* WALK: D was set on the leaf */
	gpa_t gpa;		     /* SLOT, HOST: the byte at gva; FILL, PROTECT: page;
				      * TABLE_WRITE: first byte; HAZARD: the entry that changed */
	hva_t hva;		     /* SLOT, HOST: likewise, 0 = none; FILL: host page */
	unsigned len;		     /* TABLE_WRITE: bytes */
	uint64_t old, now;	     /* TABLE_WRITE: the 8-byte unit at gpa & ~7; CR3: values;
				      * HAZARD: the entry, as cached and as it is */
	uint32_t sp;		     /* FILL, ZAP: number of the shadow page */
	unsigned index;		     /* FILL, ZAP: entry in it */
	uint64_t spte; /* FILL: new; ZAP: old value; mmu_shadow_decode says what it holds */
	enum mmu_flush_scope scope; /* CR3, FLUSH */
	uint16_t pcid;		    /* CR3, FLUSH, INVLPG: whose entries */
	/* INVLPG: by INVLPG, which takes global entries as well; by INVPCID it does not. */
	bool takes_global;
};
typedef void (*mmu_event_fn)(void *ctx, const struct mmu_event *event);

/* Who hears of what.  @fn is called under the lock, on the thread that caused the event, and may
 * not call back. */
struct mmu_listener {
	unsigned kinds; /* mask of MMU_EVENT_BIT */
	mmu_event_fn fn;
	void *ctx;
};
#define MMU_LISTENERS_MAX 8u

/* What a vCPU is at.  Asked on the thread that caused the event, for events while somebody listens,
 * and for loads of CR3. */
struct mmu_who {
	/* Instructions that the machine executed before: it orders events of all vCPUs. */
	uint64_t seq;
	uint64_t rip;
	unsigned insn_len; /* 0: not known */
	uint8_t insn[X86_INSN_MAX];
	enum x86_mode mode; /* to decode it by; with insn_len */
};
/* @has_insn: its bytes are wanted too.  @vcpu MMU_NO_VCPU: seq alone. */
typedef void (*mmu_who_fn)(void *ctx, unsigned vcpu, bool has_insn, struct mmu_who *out_who);

/* How an event stops the vCPU that caused it: see mmu_breaks.h. */
struct mmu_stop_hook {
	/* From now on events may ask for stops, or none will any more.  World stopped. */
	void (*arm)(void *ctx, bool is_armed);
	/* Stop at the end of the instruction that is at work; @hit goes with the stop, unless one
	 * is due already.  Returns false when there is nobody to stop. */
	bool (*stop)(void *ctx, unsigned vcpu, uint64_t hit);
	void *ctx;
};

/* What a micro-TLB in front of the shadow holds of a page. */
struct mmu_tlb_page {
	unsigned vcpu;
	uint64_t root;	     /* mmu_root_id when it was filled */
	gva_t gva;	     /* start of the page */
	unsigned access;     /* whom it serves: X86_PF_U or 0, MMU_SMAP_OFF */
	unsigned can;	     /* mask of MMU_CAN_*: what it lets through without asking */
	const uint8_t *host; /* NULL: no memory there */
};
typedef void (*mmu_tlb_fn)(void *arg, const struct mmu_tlb_page *page);

/* The micro-TLBs in front of the shadow. */
struct mmu_tlb_hook {
	/* Forget, in every micro-TLB of every vCPU, pages whose linear address has @index in bits
	 * 20:12; @index 512 = everything.  When it returns nobody can use what was forgotten. */
	void (*forget)(void *ctx, unsigned index);
	/* For I7: call @fn for each page held that may be used again, those of roots that are not
	 * loaded now included.  NULL: nobody can look while vCPUs run, and I7 is not checked. */
	void (*each)(void *ctx, mmu_tlb_fn fn, void *arg);
	void *ctx;
};

struct mmu_config {
	struct mem_space *mem; /* outlives the mmu */
	unsigned vcpus;
	uint8_t phys_bits;	   /* MAXPHYADDR */
	unsigned max_shadow_pages; /* recycled beyond this; 0 = a default from the size of RAM */
	bool is_paranoid;	   /* mmu_verify after every table write, CR3 load and INVLPG */
	struct mmu_tlb_hook tlb;
	mmu_who_fn who; /* NULL: seq and rip of events are 0 */
	void *who_ctx;
	struct mmu_stop_hook stop; /* members NULL: events stop nobody */
};

/* Errors: -ENOMEM. */
int mmu_create(struct mmu **out_mmu, const struct mmu_config *config, struct umbra_err *err);
void mmu_destroy(struct mmu *mmu); /* NULL is allowed */
/* Listeners are told in the order in which they came.  Costs one branch when nobody listens to a
 * kind.  Errors of add: -ENOSPC. */
int mmu_add_listener(struct mmu *mmu, const struct mmu_listener *listener);
void mmu_remove_listener(struct mmu *mmu, mmu_event_fn fn, void *ctx);
/* For a listener, about the event that it was called for: who did it, with the instruction's bytes
 * where they are known.  Only from inside the call. */
void mmu_event_who(const struct mmu *mmu, const struct mmu_event *event, struct mmu_who *out_who);
/* Now, as mmu_event.seq.  World stopped. */
uint64_t mmu_seq(const struct mmu *mmu);

/* How registers came to change. */
enum mmu_load {
	MMU_LOAD_OTHER,	  /* none of the following */
	MMU_LOAD_CR3,	  /* MOV CR3, a task switch */
	MMU_LOAD_CR3_KEEP /* MOV CR3 with bit 63: the TLB keeps what it has */
};
/* vCPU @vcpu's control registers changed (any of CR0, CR3, CR4, EFER, PKRU, PDPTEs).  Call before
 * the next mmu_translate.  @load is for the events and I9. */
void mmu_set_regs(struct mmu *mmu, unsigned vcpu, const struct x86_paging *regs,
		  enum mmu_load load);
/* A number that names what mmu_translate depends on for this vCPU besides the access: the root.
 * Equal numbers mean equal translations as long as `forget` was not called. */
uint64_t mmu_root_id(const struct mmu *mmu, unsigned vcpu);
/* Load the four PAE entries from the table at @cr3 (SDM 3A 4.4.1).
 * Returns false when one is present with reserved bits set: #GP for MOV CR3. */
bool mmu_load_pdptes(const struct mmu *mmu, uint64_t cr3, uint64_t out_pdpte[4]);
/* INVLPG; and INVPCID of one address. */
void mmu_invlpg(struct mmu *mmu, unsigned vcpu, gva_t gva);
void mmu_invpcid(struct mmu *mmu, unsigned vcpu, unsigned pcid, gva_t gva);
/* A change of CR4.PGE and the like, which take everything out of the TLB; and INVPCID of more than
 * an address.  For the events and I9. */
void mmu_flush(struct mmu *mmu, unsigned vcpu);
void mmu_flush_some(struct mmu *mmu, unsigned vcpu, enum mmu_flush_scope scope, unsigned pcid);

/* Rights of a page for one class of access (user or supervisor, AC). */
#define MMU_CAN_READ  (1u << 0)
#define MMU_CAN_WRITE (1u << 1)
#define MMU_CAN_FETCH (1u << 2)

struct mmu_page {
	gpa_t gpa;     /* of the 4 KiB frame */
	uint8_t *host; /* its bytes; NULL: no RAM or ROM there, the access goes to the bus */
	unsigned can;  /* mask of MMU_CAN_*: what this class may do from now on without asking;
			* never MMU_CAN_WRITE for a table, for ROM, or while the guest's D is 0 */
	bool is_table; /* a frame in use as a table: write with mmu_write */
	bool is_rom;   /* writes are swallowed */
};

struct mmu_fault {
	uint8_t vector;	      /* X86_EXC_PF, or X86_EXC_GP for an address that is not canonical */
	uint32_t error;	      /* of the page fault */
	struct x86_walk walk; /* why */
};

/* With X86_PF_*: an explicit supervisor access with RFLAGS.AC=1, which SMAP lets through. */
#define MMU_SMAP_OFF (1u << 8)

/* Translate @gva for @access (mask of X86_PF_W, X86_PF_U, X86_PF_I, MMU_SMAP_OFF) on vCPU @vcpu,
 * filling the shadow and setting A and D in the guest's tables as a processor does.
 * Returns 0 and *@out_page, or -EFAULT and *@out_fault (A bits may be set, as on hardware). */
int mmu_translate(struct mmu *mmu, unsigned vcpu, gva_t gva, unsigned access,
		  struct mmu_page *out_page, struct mmu_fault *out_fault);

/* Guest memory was or is to be written.
 * mmu_write copies @len bytes (1..4096, inside one frame) into guest RAM at @gpa and brings the
 * shadow up to date.  The pair around a write that the caller does itself (a locked operation, a
 * loader): begin before the first byte changes, end after the last.  @vcpu is for the events. */
void mmu_write(struct mmu *mmu, unsigned vcpu, gpa_t gpa, const void *buf, size_t len);
void mmu_write_begin(struct mmu *mmu, unsigned vcpu, gpa_t gpa, size_t len);
void mmu_write_end(struct mmu *mmu, unsigned vcpu, gpa_t gpa, size_t len);
/* True when the frame of @gpa is in use as a table, or pinned. */
bool mmu_is_table(const struct mmu *mmu, gpa_t gpa);

/* Have every write to the frame of @gpa come here, and told as TABLE_WRITE, though no translation
 * went through it yet: for who waits for a first one.  Counted: as many unpins end it.
 * Call: world stopped.  Errors: -ENOMEM. */
int mmu_pin(struct mmu *mmu, gpa_t gpa);
void mmu_unpin(struct mmu *mmu, gpa_t gpa);

/* Drop the whole shadow: it fills again.  World stopped, or the caller is the only vCPU running. */
void mmu_zap_all(struct mmu *mmu);
/* A region of guest memory comes or goes. */
void mmu_slot_changed(struct mmu *mmu);

/* Looking at it. */

/* A set of registers that translations depend on, as the shadow knows it. */
struct mmu_root_state {
	uint64_t id; /* as mmu_root_id */
	struct x86_paging regs;
	unsigned users; /* vCPUs that have it loaded */
	bool is_in_use; /* or the shadow holds something of it */
};
/* Root number @index, in no order.  False past the last. */
bool mmu_root_at(const struct mmu *mmu, unsigned index, struct mmu_root_state *out_root);

struct mmu_stats {
	uint64_t faults;       /* shadow faults: misses of mmu_translate */
	uint64_t guest_faults; /* of those, the guest's own */
	uint64_t walks, fills, zaps, table_writes, cr3_loads, invlpgs, floods, recycled;
	unsigned roots, shadow_pages, leaves;
};
void mmu_stats(const struct mmu *mmu, struct mmu_stats *out_stats);

/* S3: the host's physical address of the byte at @host, as the host has it now.
 * Errors: -ENODATA not resident; -EPERM the host does not tell without CAP_SYS_ADMIN; what reading
 * the page map gives. */
int mmu_host_page(const uint8_t *host, uint64_t *out_hpa);

/* Check I1 to I11.  Each finding is one line to @sink, beginning with the invariant's name:
 *   verify bad I2 sp=19 i=209 gva=0x.. spte.gpa=0x.. guest.gpa=0x.. last_write=seq 90412 rip=0x..
 * While there is an mmu_history, its end is the last writer of the guest's entry.  Returns their
 * number.  @sink may be NULL.  Without side effects. */
unsigned mmu_verify(struct mmu *mmu, const struct print_sink *sink);
/* Findings of paranoid mode since creation. */
unsigned mmu_paranoid_findings(const struct mmu *mmu);

#ifdef UMBRA_INJECT
/* Break what the shadow has for @gva under the root of @vcpu, for mmu_verify to find.  Test builds
 * only; the guest is not to go on after it.  Call: world stopped.
 * Errors: -ENOENT no leaf is there, or, of WP, it maps no table. */
enum mmu_injection {
	MMU_INJECT_SPTE, /* the leaf names another frame's page: I2 */
	MMU_INJECT_RMAP, /* the leaf leaves the reverse map: I4 */
	MMU_INJECT_WP	 /* a table becomes writable: I1 */
};
int mmu_inject(struct mmu *mmu, unsigned vcpu, enum mmu_injection what, gva_t gva);
#endif

#endif
