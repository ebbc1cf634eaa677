/* One run of mmu_verify, shared by its parts. */
#ifndef UMBRA_MMU_VERIFY_H
#define UMBRA_MMU_VERIFY_H

#include "shadow.h"

/* Bits of a leaf that do not come from the guest's tables, but from the frame that they name. */
#define SPTE_BY_FRAME (SPTE_HOST | SPTE_MAY_WRITE | SPTE_ROM | SPTE_MMIO)

/* What a fresh walk of the guest's tables finds on its way to a shadow page, or to an entry of
 * one.  Everything below depends on this and on the page alone: a page that was looked at once
 * needs no second look from another root, or another address, that comes the same way. */
struct verify_way {
	uint64_t base; /* of the table to be read next; or of the memory that is mapped */
	uint64_t
		rights; /* over all levels so far: SPTE_W, _U, _X; of a page also what it decides */
	uint64_t entry; /* the last one that was read */
	uint32_t mode, bits; /* of the root's key */
	bool is_mapped;	     /* false: an entry on the way maps nothing */
	bool is_page;	     /* the tables end here */
	bool is_accessed;    /* A is set on every level, where the table is RAM and has one */
	bool is_as_anew;     /* a shadow built anew would come this way too */
	bool is_loaded;	     /* by a vCPU */
	bool is_seen;	     /* the record is in use */
};

struct verifier {
	struct mmu *mmu;
	const struct print_sink *sink; /* may be NULL */
	unsigned findings;
	uint64_t leaves;		 /* present ones, counted */
	uint64_t listed_count;		 /* leaves that the reverse map names */
	const struct mem_region *region; /* of the last frame that was looked up, or NULL */
	const struct mmu_root *tlb_root; /* of the last page of a micro-TLB, or NULL */
	struct x86_walk rights;		 /* scratch of shadow_class_rights */
	/* By id of a shadow page. */
	uint32_t *roots_of_page;		 /* counted */
	uint64_t (*listed)[SHADOW_ENTRIES / 64]; /* entries that the reverse map names */
	struct verify_way *seen;		 /* the way that it was looked at from */
};

/* A finding about entry @index of @sp, in words that begin with a space. */
void verify_bad(struct verifier *v, const char *invariant, const struct shadow_page *sp,
		unsigned index, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same about a root; and about the shadow as a whole. */
void verify_bad_root(struct verifier *v, const char *invariant, const struct mmu_root *root,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void verify_bad_shadow(struct verifier *v, const char *invariant, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* True when the entry's guest entry is not what it was derived from. */
bool verify_is_stale(const struct shadow_page *sp, unsigned index);

/* verify_walk.c: whatever is reached from @root: I2, I3, I9, I11. */
void verify_reached(struct verifier *v, const struct mmu_root *root);

/* verify_root.c: the roots: I9, I10; and I7. */
void verify_roots(struct verifier *v);
void verify_tlbs(struct verifier *v);

#endif
