/* Snapshots of what roots map, and their differences: see umbra/mmu_snap.h.
 * A snapshot keeps runs of pages that follow each other in both address spaces with the same
 * rights; two lists of runs are compared piece by piece. */
#include "umbra/mmu_snap.h"

#include "leaves.h"
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>

#define RUNS_AT_FIRST 256u
#define BLAMED_PAGES  4096u /* of one difference: beyond, all count as the last one's */

struct run {
	gva_t gva;
	uint64_t len, page_size;
	struct mmu_page_map map; /* of gva */
};

struct snap_root {
	struct x86_paging regs;
	struct root_key key;
	unsigned first, count; /* runs */
};

struct mmu_snap {
	uint64_t seq;
	unsigned root_count;
	struct snap_root *root;
	unsigned run_count, run_room;
	struct run *run;
	bool is_short_of_memory;
};

/* Taking. */

static bool is_same_page(const struct mmu_page_map *a, const struct mmu_page_map *b)
{
	return a->gpa == b->gpa && a->can == b->can && a->pkey == b->pkey;
}

static bool continues(const struct run *run, const struct mmu_leaf *leaf)
{
	struct mmu_page_map next = run->map;

	next.gpa += run->len;
	return run->gva + run->len == leaf->gva && run->page_size == leaf->size &&
	       is_same_page(&next, &leaf->map);
}

static bool make_room(struct mmu_snap *snap)
{
	unsigned room = snap->run_room ? 2 * snap->run_room : RUNS_AT_FIRST;
	struct run *run;

	if (snap->run && snap->run_count < snap->run_room)
		return true;
	if (snap->run_count >= MMU_SNAP_RUNS)
		return false;
	run = reallocarray(snap->run, room, sizeof(*run));
	snap->is_short_of_memory |= !run;
	if (!run)
		return false;
	snap->run = run;
	snap->run_room = room;
	return true;
}

static bool add_leaf(void *arg, const struct mmu_leaf *leaf)
{
	struct mmu_snap *snap = arg;
	const struct snap_root *root = &snap->root[snap->root_count - 1];
	struct run *last = snap->run_count > root->first ? &snap->run[snap->run_count - 1] : NULL;

	if (last && continues(last, leaf)) {
		last->len += leaf->size;
		return true;
	}
	if (!make_room(snap))
		return false;
	snap->run[snap->run_count++] = (struct run){
		.gva = leaf->gva, .len = leaf->size, .page_size = leaf->size, .map = leaf->map};
	return true;
}

/* Two roots are one when their tables are: what rights are judged by does not count. */
static struct root_key key_of(const struct x86_paging *regs)
{
	struct root_key key;

	root_make_key(regs, &key);
	key.bits &= ROOT_NXE | ROOT_PSE;
	key.pkru = 0;
	if (key.mode == X86_PAGING_PAE && !regs->has_pdpte)
		key.base = regs->cr3 & BITS(31, 5);
	return key;
}

static const struct snap_root *find_root(const struct mmu_snap *snap, const struct root_key *key)
{
	unsigned i;

	for (i = 0; i < snap->root_count; i++) {
		const struct root_key *other = &snap->root[i].key;

		if (key->base == other->base && key->mode == other->mode &&
		    key->bits == other->bits &&
		    memcmp(key->pdpte, other->pdpte, sizeof(key->pdpte)) == 0)
			return &snap->root[i];
	}
	return NULL;
}

static int add_root(struct mmu_snap *snap, const struct x86_paging *regs,
		    const struct mem_space *mem)
{
	struct root_key key = key_of(regs);
	struct snap_root *root;
	int rc;

	if (find_root(snap, &key))
		return 0;
	root = &snap->root[snap->root_count++];
	*root = (struct snap_root){.regs = *regs, .key = key, .first = snap->run_count};
	rc = mmu_each_leaf(regs, 0, ~0ull, mem, add_leaf, snap);
	root->count = snap->run_count - root->first;
	if (rc == 1)
		return snap->is_short_of_memory ? -ENOMEM : -E2BIG;
	return rc;
}

int mmu_snap_take(struct mmu_snap **out_snap, const struct mmu_snap_source *source,
		  struct umbra_err *err)
{
	struct mmu_snap *snap = calloc(1, sizeof(*snap));
	int rc = 0;
	unsigned i;

	if (snap)
		snap->root = calloc(source->root_count + 1ul, sizeof(*snap->root));
	if (!snap || !snap->root) {
		mmu_snap_free(snap);
		return umbra_err_set(err, ENOMEM, "no memory for a snapshot of the tables");
	}
	snap->seq = source->seq;
	for (i = 0; rc == 0 && i < source->root_count; i++)
		rc = add_root(snap, &source->root[i], source->mem);
	if (rc == 0) {
		*out_snap = snap;
		return 0;
	}
	umbra_err_set(err, -rc,
		      rc == -ENOMEM ? "no memory for a snapshot after %u runs of pages"
				    : "the tables map more than a snapshot holds, %u runs so far",
		      snap->run_count);
	mmu_snap_free(snap);
	return rc;
}

void mmu_snap_free(struct mmu_snap *snap)
{
	if (!snap)
		return;
	free(snap->root);
	free(snap->run);
	free(snap);
}

uint64_t mmu_snap_seq(const struct mmu_snap *snap)
{
	return snap->seq;
}

unsigned mmu_snap_roots(const struct mmu_snap *snap)
{
	return snap->root_count;
}

unsigned mmu_snap_runs(const struct mmu_snap *snap)
{
	return snap->run_count;
}

/* Differences. */

struct differ {
	const struct mmu_blame *blame;
	uint64_t since; /* writes before are not to blame */
	const struct snap_root *root;
	mmu_diff_fn fn;
	void *arg;
	unsigned count;
};

/* What is left of a list of runs. */
struct cursor {
	const struct run *next, *end;
	struct run piece; /* len 0: none is left */
};

static void cursor_fill(struct cursor *c)
{
	if (c->piece.len == 0 && c->next < c->end)
		c->piece = *c->next++;
}

static void cursor_begin(struct cursor *c, const struct mmu_snap *snap,
			 const struct snap_root *root)
{
	*c = (struct cursor){0};
	if (root) {
		c->next = snap->run + root->first;
		c->end = c->next + root->count;
	}
	cursor_fill(c);
}

static void cursor_skip(struct cursor *c, uint64_t len)
{
	c->piece.gva += len;
	c->piece.map.gpa += len;
	c->piece.len -= len;
	cursor_fill(c);
}

static bool has_history(const struct differ *d)
{
	return d->blame && d->blame->history;
}

/* The last write since the earlier snapshot to an entry on the way to @gva. */
static void find_writer(const struct differ *d, gva_t gva, struct mmu_diff *diff)
{
	const struct mmu_blame *blame = d->blame;
	size_t len = d->root->key.mode == X86_PAGING_32BIT ? 4 : 8;
	struct mmu_history_record record;
	struct x86_walk walk;
	unsigned i;

	diff->has_writer = false;
	if (!has_history(d))
		return;
	x86_walk_paging(&d->root->regs, gva, mem_phys_read, blame->mem, &walk);
	for (i = 0; i < walk.step_count; i++) {
		gpa_t at = walk.step[i].entry_gpa;

		if ((i == 0 && d->root->key.mode == X86_PAGING_PAE && d->root->regs.has_pdpte) ||
		    !mmu_history_last(blame->history, at, len, &record) || record.seq <= d->since ||
		    (diff->has_writer && record.number < diff->writer.number))
			continue;
		diff->has_writer = true;
		diff->writer = record;
		diff->entry_gpa = at;
	}
}

static bool has_same_writer(const struct mmu_diff *a, const struct mmu_diff *b)
{
	return a->has_writer == b->has_writer &&
	       (!a->has_writer ||
		(a->writer.rip == b->writer.rip && a->writer.vcpu == b->writer.vcpu));
}

static void move_on(struct mmu_diff *diff, uint64_t len)
{
	diff->gva += len;
	diff->len -= len;
	diff->before.gpa += diff->before.is_present ? len : 0;
	diff->after.gpa += diff->after.is_present ? len : 0;
}

/* Cut @diff where another instruction has written. */
static void tell(struct differ *d, struct mmu_diff *diff)
{
	unsigned looked = 0;

	find_writer(d, diff->gva, diff);
	while (diff->len > 0) {
		struct mmu_diff part = *diff, next = *diff;
		uint64_t len = u64_min(diff->page_size, diff->len);

		while (len < diff->len && has_history(d) && looked++ < BLAMED_PAGES) {
			find_writer(d, diff->gva + len, &next);
			if (!has_same_writer(&part, &next))
				break;
			len += u64_min(diff->page_size, diff->len - len);
		}
		if (!has_history(d) || looked >= BLAMED_PAGES)
			len = diff->len;
		part.len = len;
		d->count++;
		d->fn(d->arg, &part);
		*diff = next;
		move_on(diff, len);
	}
}

static void tell_piece(struct differ *d, const struct run *before, const struct run *after,
		       uint64_t len)
{
	const struct run *known = after ? after : before;
	struct mmu_diff diff = {.kind = !before	 ? MMU_DIFF_ADDED
					: !after ? MMU_DIFF_REMOVED
						 : MMU_DIFF_CHANGED,
				.cr3 = d->root->regs.cr3 & ~0xfffull,
				.gva = known->gva,
				.len = len,
				.page_size = known->page_size};

	if (d->root->key.mode == X86_PAGING_PAE)
		diff.cr3 = d->root->regs.cr3 & BITS(31, 5);
	if (before)
		diff.before = before->map;
	if (after)
		diff.after = after->map;
	tell(d, &diff);
}

/* One step: the piece up to the next place where either list changes. */
static void compare_piece(struct differ *d, struct cursor *from, struct cursor *to)
{
	const struct run *a = &from->piece, *b = &to->piece;
	uint64_t len;

	if (b->len == 0 || (a->len > 0 && a->gva < b->gva)) {
		len = b->len == 0 ? a->len : u64_min(a->len, b->gva - a->gva);
		tell_piece(d, a, NULL, len);
		cursor_skip(from, len);
		return;
	}
	if (a->len == 0 || b->gva < a->gva) {
		len = a->len == 0 ? b->len : u64_min(b->len, a->gva - b->gva);
		tell_piece(d, NULL, b, len);
		cursor_skip(to, len);
		return;
	}
	len = u64_min(a->len, b->len);
	if (!is_same_page(&a->map, &b->map))
		tell_piece(d, a, b, len);
	cursor_skip(from, len);
	cursor_skip(to, len);
}

static void compare_roots(struct differ *d, const struct mmu_snap *from, const struct snap_root *a,
			  const struct mmu_snap *to, const struct snap_root *b)
{
	struct cursor left, right;

	d->root = b ? b : a;
	cursor_begin(&left, from, a);
	cursor_begin(&right, to, b);
	while (left.piece.len > 0 || right.piece.len > 0)
		compare_piece(d, &left, &right);
}

unsigned mmu_snap_diff(const struct mmu_snap *from, const struct mmu_snap *to,
		       const struct mmu_blame *blame, mmu_diff_fn fn, void *arg)
{
	struct differ d = {.blame = blame, .since = from->seq, .fn = fn, .arg = arg};
	unsigned i;

	for (i = 0; i < from->root_count; i++)
		compare_roots(&d, from, &from->root[i], to, find_root(to, &from->root[i].key));
	for (i = 0; i < to->root_count; i++) {
		if (!find_root(from, &to->root[i].key))
			compare_roots(&d, from, NULL, to, &to->root[i]);
	}
	return d.count;
}
