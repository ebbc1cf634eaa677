/* See shrink.h. */
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The times change with what is dropped, and what is known may depend on the time. */
static enum verdict run_mended(struct trial *t)
{
	enum verdict verdict;

	do {
		image_build(&t->image, &t->s);
		verdict = ours_run(&t->s, &t->image, OURS_MEND, &t->ours, &t->hidden);
	} while (verdict == VERDICT_KNOWN);
	return verdict;
}

void trial_start(struct trial *t, bool is_blind)
{
	enum verdict verdict;

	t->differs_at = NO_DIFFERENCE;
	if (is_blind) {
		image_build(&t->image, &t->s);
		verdict = ours_run(&t->s, &t->image, OURS_BLIND, &t->ours, &t->hidden);
	} else {
		verdict = run_mended(t);
	}
	if (t->image.is_full)
		printf("# the sequence does not fit into an image\n");
	t->is_failed = verdict == VERDICT_FAILED || t->image.is_full ||
		       !theirs_start(&t->process, &t->image, &t->s);
}

void trial_finish(struct trial *t)
{
	if (t->is_failed)
		return;
	t->is_failed = !theirs_finish(&t->process, &t->s, &t->theirs);
	for (unsigned i = 0; i < t->s.count && t->differs_at == NO_DIFFERENCE; i++) {
		if ((t->ours.value[i] ^ t->theirs.value[i]) & ~t->hidden.value[i])
			t->differs_at = i;
	}
}

/* Does @try, a part of a sequence that differs, differ too?  Not when it brings out what is known:
 * that would be another difference. */
static bool differs(struct trial *try)
{
	image_build(&try->image, &try->s);
	if (ours_run(&try->s, &try->image, OURS_CHECK, &try->ours, &try->hidden) != VERDICT_DONE)
		return false;
	try->differs_at = NO_DIFFERENCE;
	try->is_failed = !theirs_start(&try->process, &try->image, &try->s);
	trial_finish(try);
	return !try->is_failed && try->differs_at != NO_DIFFERENCE;
}

/* @t becomes @try, up to where it differs. */
static void accept(struct trial *t, const struct trial *try)
{
	*t = *try;
	t->s.count = t->differs_at + 1;
}

/* Drop runs of @len operations that are not needed.  True when there was one. */
static bool drop_runs(struct trial *t, struct trial *try, unsigned len)
{
	bool has_dropped = false;
	unsigned at = 0;

	while (at + len < t->s.count) {
		try->s = t->s;
		memmove(&try->s.op[at], &try->s.op[at + len],
			sizeof(try->s.op[0]) * (try->s.count - at - len));
		try->s.count -= len;
		if (differs(try)) {
			accept(t, try);
			has_dropped = true;
		} else {
			at += len;
		}
	}
	return has_dropped;
}

void trial_shrink(struct trial *t)
{
	struct trial *try = malloc(sizeof(*try));
	unsigned len;

	t->s.count = t->differs_at + 1;
	if (!try)
		return;
	for (len = t->s.count / 2; len > 1; len /= 2)
		drop_runs(t, try, len);
	while (drop_runs(t, try, 1))
		;
	free(try);
}

void trial_print(const struct trial *t)
{
	seq_print(&t->s, &t->ours, &t->theirs, 0, t->s.count);
}
