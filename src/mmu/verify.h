/* One run of mmu_verify, shared by its parts. */
#ifndef UMBRA_MMU_VERIFY_H
#define UMBRA_MMU_VERIFY_H

#include "shadow.h"

struct verifier {
	struct mmu *mmu;
	const struct print_sink *sink; /* may be NULL */
	unsigned findings;
	uint64_t leaves;		 /* present ones, counted */
	uint32_t *roots_of_page;	 /* by id, counted */
	const struct mmu_root *tlb_root; /* of the last page of a micro-TLB, or NULL */
	struct x86_walk rights;		 /* scratch of shadow_class_rights */
};

/* A finding about entry @index of @sp, in words that begin with a space. */
void verify_bad(struct verifier *v, const char *invariant, const struct shadow_page *sp,
		unsigned index, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The same about a root. */
void verify_bad_root(struct verifier *v, const char *invariant, const struct mmu_root *root,
		     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* True when the entry's guest entry is not what it was derived from. */
bool verify_is_stale(const struct shadow_page *sp, unsigned index);

/* verify_root.c: what is reached from the roots: I2, I3, I9, I10, I11; and I7. */
void verify_roots(struct verifier *v);
void verify_tlbs(struct verifier *v);

#endif
