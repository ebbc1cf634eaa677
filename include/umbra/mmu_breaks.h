/* Stops for what happens to mappings: a table of breaks, matched on the shadow MMU's events.
 *
 * A hit stops the vCPU that caused the event behind the instruction that is at work, by
 * mmu_config.stop, and leaves a struct mmu_stop to be read then.  What nobody who runs has caused
 * (the debugger's own writes) hits nothing.
 *
 * "A mapping changes" within a root: loading another CR3 is no change.  A map break watches one
 * root, or every root (the known ones, and others from the first load of their CR3 on).  It follows
 * entries on every level, through whatever alias they are written, and judges by what each 4 KiB
 * page is mapped to, so that a large page that is split, or small ones that are joined, are no
 * change in themselves.
 *
 * Call: control thread, world STOPPED.  The breaks go before the mmu. */
#ifndef UMBRA_MMU_BREAKS_H
#define UMBRA_MMU_BREAKS_H

#include "umbra/err.h"
#include "umbra/mmu.h"
#include "umbra/mmu_snap.h"

struct mmu_breaks;

enum mmu_break_kind {
	MMU_BREAK_MAP,	  /* the mapping of a linear range changes */
	MMU_BREAK_PTE,	  /* bytes of a table, or of what may become one, change */
	MMU_BREAK_CR3,	  /* CR3 is loaded */
	MMU_BREAK_INVLPG, /* INVLPG, or INVPCID of one address */
	MMU_BREAK_FAULT,  /* the guest gets a page fault */
	MMU_BREAK_WX,	  /* a page becomes writable and executable, or is first used so */
	MMU_BREAK_HAZARD, /* a use that wants a flush before; mmu_hazard is on */
	/* Physical memory is read, written or executed: kept here for its id alone, and watched by
	 * the back end (bp_insert_physical); a hit is told by mmu_breaks_note. */
	MMU_BREAK_PA,
	MMU_BREAK_SHADOW, /* the shadow itself changes */
	MMU_BREAK_STEP,	  /* the next event of some kinds: once */
	MMU_BREAK_KIND_COUNT
};
const char *mmu_break_kind_name(enum mmu_break_kind kind); /* "map", "pte" ... */

/* How a mapping can change. */
#define MMU_CHANGE_PRESENT (1u << 0) /* it was not mapped, and is now */
#define MMU_CHANGE_GONE	   (1u << 1)
#define MMU_CHANGE_GPA	   (1u << 2) /* another frame */
#define MMU_CHANGE_RIGHTS  (1u << 3) /* W, U, X or the protection key */
#define MMU_CHANGE_AD	   (1u << 4) /* A or D of the entry that maps it, whoever sets or clears */
#define MMU_CHANGE_MOST	   (MMU_CHANGE_AD - 1)

#define MMU_BREAK_MAP_PAGES 4096u /* at most in a map break */
#define MMU_BREAKS_MAX	    64u

struct mmu_break {
	enum mmu_break_kind kind;
	/* MAP: @len bytes at @gva of @root, or of every root; INVLPG: the page of @gva. */
	gva_t gva;
	uint64_t len;
	unsigned on; /* MAP: mask of MMU_CHANGE_*, 0 = MMU_CHANGE_MOST */
	bool is_any_root;
	struct x86_paging root;
	gpa_t gpa; /* PTE, PA: @len bytes at @gpa; of a PTE 4 or 8 is one entry */
	bool on_read, on_write, on_exec; /* PA */
	/* CR3, INVLPG: only @value, or the page of @gva.  A @value without PCID: any PCID. */
	bool has_value;
	uint64_t value;
	uint32_t error, error_mask; /* FAULT: error codes with these bits; mask 0 = any */
	unsigned kinds; /* SHADOW, STEP: mask of MMU_EVENT_BIT; 0 = fill, zap, protect; all */
};

/* One hit. */
struct mmu_stop {
	uint64_t number; /* accel_exit.mmu_hit: counts hits */
	unsigned id;
	enum mmu_break_kind kind;
	enum mmu_event_kind event;
	unsigned vcpu;
	uint64_t seq, rip;
	bool has_gva;
	gva_t gva;
	uint64_t cr3; /* MAP, WX: which root */
	/* MAP: what of gva's page, and how many pages of the range changed with it. */
	unsigned change;
	struct mmu_page_map before, after; /* WX: after alone */
	uint8_t ad_before, ad_after;	   /* bit 0: A, bit 1: D */
	uint64_t pages;
	/* The entry that was written, as wide as entries are there; CR3: values; PA: the bytes
	 * before and after, with has_values. */
	bool has_entry;
	gpa_t entry_gpa;
	bool has_values;
	uint64_t old, now;
	unsigned access; /* FAULT, HAZARD */
	bool is_exec;	 /* PA: the instruction at rip is about to run; else rip is behind it */
	uint32_t error;
	gpa_t gpa;   /* SHADOW, STEP: as in the event; PA: of the break */
	uint32_t sp; /* likewise */
	unsigned index;
	uint64_t spte;
};

struct mmu_break_info {
	unsigned id;
	bool is_enabled;
	uint64_t hits;
	struct mmu_break what;
};

/* Errors: -ENOMEM. */
int mmu_breaks_create(struct mmu_breaks **out_breaks, struct mmu *mmu, struct umbra_err *err);
void mmu_breaks_destroy(struct mmu_breaks *breaks); /* NULL is allowed */

/* Ids are never used twice.
 * Errors: -EINVAL, -E2BIG a range that is empty, wraps or is too long, or a root without paging;
 * -ENOSPC; -ENOMEM. */
int mmu_breaks_add(struct mmu_breaks *breaks, const struct mmu_break *what, unsigned *out_id,
		   struct umbra_err *err);
/* Errors: -ENOENT. */
int mmu_breaks_delete(struct mmu_breaks *breaks, unsigned id);
int mmu_breaks_enable(struct mmu_breaks *breaks, unsigned id, bool is_enabled);
void mmu_breaks_clear(struct mmu_breaks *breaks);
/* Break number @index, in order of ids.  False past the last. */
bool mmu_breaks_at(const struct mmu_breaks *breaks, unsigned index,
		   struct mmu_break_info *out_info);

#define MMU_STOPS_KEPT 64u
/* Hits so far; the last MMU_STOPS_KEPT of them can be read. */
uint64_t mmu_breaks_hits(const struct mmu_breaks *breaks);
bool mmu_breaks_hit(const struct mmu_breaks *breaks, uint64_t number, struct mmu_stop *out_stop);
/* The back end has met the PA break @id: count the hit and keep @stop, whose number, id and kind
 * are set here.  Returns the hit's number.  Errors: -ENOENT as ~0. */
uint64_t mmu_breaks_note(struct mmu_breaks *breaks, unsigned id, struct mmu_stop *stop);
/* The world has stopped: STEPs that were hit go. */
void mmu_breaks_settle(struct mmu_breaks *breaks);

#endif
