/* One sequence on both sides, and the smallest part of it that still differs. */
#ifndef UMBRA_QEMU_SHRINK_H
#define UMBRA_QEMU_SHRINK_H

#include "ours.h"
#include "theirs.h"

#define NO_DIFFERENCE SEQ_OPS_MAX

/* A sequence that is being run. */
struct trial {
	struct sequence s;
	struct image image;
	struct results ours, hidden, theirs;
	struct theirs process;
	unsigned differs_at; /* the first operation that does, or NO_DIFFERENCE */
	bool is_failed;	     /* one side did not run; why has been printed */
};

/* Start @t->s on both sides, with operations dropped that would bring out what is known; or, with
 * @is_blind, as it is. */
void trial_start(struct trial *t, bool is_blind);
/* Wait for QEMU and compare. */
void trial_finish(struct trial *t);

/* Make @t, which differs, as small as can be. */
void trial_shrink(struct trial *t);
/* Print @t as a listing with both results. */
void trial_print(const struct trial *t);

#endif
