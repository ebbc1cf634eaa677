/* `mmu dump`: the tables as a graph, for Graphviz or as JSON.
 *
 * A node is a table or a run of pages of one table.  Tables of one level with the same entries (A
 * and D aside) are one node, and whatever is reached again is drawn once. */
#include "mon_mmu.h"

#include <stdio.h>
#include <stdlib.h>

#define NODES_MAX  200u
#define LEVELS_MAX (X86_WALK_MAX_LEVELS + 1)

struct node {
	unsigned level;
	gpa_t gpa;
	const uint8_t *bytes; /* NULL: a run of pages, or not in memory */
	unsigned len, entry_bytes;
	uint64_t hash; /* of the entries without A and D */
};

/* Entries of one table that follow each other and lead to the same node. */
struct edge {
	bool is_used;
	unsigned from, to, first, last;
};

/* Pages of one table that follow each other. */
struct page_run {
	bool is_used;
	unsigned from, first, last;
	struct mmu_mapping page; /* the first */
};

struct dump {
	struct mmu_call *call;
	struct node node[NODES_MAX];
	unsigned count;
	bool is_cut;
	unsigned on_way[LEVELS_MAX];  /* the node of each level that leads here */
	struct edge edge[LEVELS_MAX]; /* under way, by the level of their table */
	struct page_run run[LEVELS_MAX];
};

static unsigned index_in(const struct dump *d, unsigned level, gva_t gva)
{
	struct x86_table_form form[X86_WALK_MAX_LEVELS];
	gpa_t root;
	unsigned n = x86_table_forms(&d->call->regs, form, &root);

	for (unsigned i = 0; i < n; i++) {
		if (form[i].level == level)
			return (unsigned)(gva >> form[i].shift) & (form[i].entries - 1);
	}
	return 0;
}

/* Telling. */

static void tell_edge(struct dump *d, struct edge *e)
{
	struct mon_record *r = &d->call->record;

	if (!e->is_used)
		return;
	e->is_used = false;
	if (!r->is_json) {
		record_words(r, "  n%u -> n%u [label=\"%u", e->from, e->to, e->first);
		if (e->last != e->first)
			record_words(r, "-%u", e->last);
		record_words(r, "\"];");
	} else {
		record_begin(r, "edge");
		record_number(r, "from", e->from);
		record_number(r, "to", e->to);
		record_number(r, "first", e->first);
		record_number(r, "last", e->last);
	}
	record_end(r);
}

static void tell_table(struct dump *d, unsigned id)
{
	struct mon_record *r = &d->call->record;
	const struct node *node = &d->node[id];

	if (!r->is_json) {
		record_words(r, "  n%u [label=\"L%u 0x%llx\"];", id, node->level,
			     (unsigned long long)node->gpa);
	} else {
		record_begin(r, "node");
		record_number(r, "id", id);
		record_number(r, "level", node->level);
		record_hex(r, "gpa", node->gpa);
	}
	record_end(r);
}

static void tell_pages(struct dump *d, unsigned id, const struct page_run *run)
{
	struct mon_record *r = &d->call->record;
	uint64_t n = run->last - run->first + 1;

	if (!r->is_json) {
		record_words(r, "  n%u [shape=box,label=\"%llu x %s at 0x%llx\\n0x%llx\\n", id,
			     (unsigned long long)n, mmu_size_name(run->page.size),
			     (unsigned long long)run->page.gva, (unsigned long long)run->page.gpa);
		mmu_tell_rights(d->call, &d->call->regs, run->page.rights, "");
		record_words(r, "\"];");
	} else {
		record_begin(r, "pages");
		record_number(r, "id", id);
		record_hex(r, "gva", run->page.gva);
		record_hex(r, "gpa", run->page.gpa);
		mmu_tell_size(r, run->page.size);
		record_number(r, "n", n);
		mmu_tell_rights(d->call, &d->call->regs, run->page.rights, "");
	}
	record_end(r);
}

/* Nodes.  NODES_MAX: there is no room for one more. */
static unsigned new_node(struct dump *d, const struct node *node)
{
	if (d->count == NODES_MAX || d->call->record.total >= MON_RECORD_TOTAL_MAX) {
		d->is_cut = true;
		return NODES_MAX;
	}
	d->node[d->count] = *node;
	return d->count++;
}

static void add_edge(struct dump *d, unsigned level, unsigned to, unsigned first, unsigned last)
{
	struct edge *e = &d->edge[level];

	if (e->is_used && e->from == d->on_way[level] && e->to == to && e->last + 1 == first) {
		e->last = last;
		return;
	}
	tell_edge(d, e);
	*e = (struct edge){
		.is_used = true, .from = d->on_way[level], .to = to, .first = first, .last = last};
}

static void end_run(struct dump *d, unsigned level)
{
	struct page_run *run = &d->run[level];
	unsigned id;

	if (!run->is_used)
		return;
	run->is_used = false;
	id = new_node(d, &(struct node){.level = 0, .gpa = run->page.gpa});
	if (id == NODES_MAX)
		return;
	tell_pages(d, id, run);
	add_edge(d, level, id, run->first, run->last);
}

/* Whatever is under way in tables of @level and below is done. */
static void end_below(struct dump *d, unsigned level)
{
	for (unsigned i = level + 1; i-- > 0;) {
		end_run(d, i);
		tell_edge(d, &d->edge[i]);
	}
}

/* The unit at @offset without the A and D of the entries in it. */
static uint64_t unit_at(const struct node *node, unsigned offset)
{
	const uint64_t ad = X86_PTE_A | X86_PTE_D;

	return le64_get(node->bytes + offset) & ~(node->entry_bytes == 4 ? ad | ad << 32 : ad);
}

static uint64_t hash_entries(const struct node *node)
{
	uint64_t hash = node->level;

	for (unsigned i = 0; node->bytes && i < node->len; i += 8)
		hash = ((hash ^ unit_at(node, i)) * 0x9e3779b97f4a7c15ull) ^ hash >> 29;
	return hash;
}

static bool is_same_entries(const struct node *a, const struct node *b)
{
	if (a->hash != b->hash || a->len != b->len)
		return false;
	for (unsigned i = 0; i < a->len; i += 8) {
		if (unit_at(a, i) != unit_at(b, i))
			return false;
	}
	return true;
}

static unsigned find_same(const struct dump *d, const struct node *node)
{
	for (unsigned i = 0; i < d->count; i++) {
		const struct node *other = &d->node[i];

		if (other->level != node->level || (other->bytes != NULL) != (node->bytes != NULL))
			continue;
		if (other->gpa == node->gpa || (node->bytes && is_same_entries(other, node)))
			return i;
	}
	return NODES_MAX;
}

static enum mmu_view_step on_table(void *ctx, const struct mmu_table *table)
{
	struct dump *d = ctx;
	struct node node = {.level = table->level,
			    .gpa = table->gpa,
			    .bytes = table->bytes,
			    .len = table->entries * table->entry_bytes,
			    .entry_bytes = table->entry_bytes};
	unsigned parent = table->parent_level, id;
	bool is_known;

	node.hash = hash_entries(&node);
	id = find_same(d, &node);
	is_known = id != NODES_MAX;
	end_below(d, table->level);
	if (!is_known)
		id = new_node(d, &node);
	if (id == NODES_MAX)
		return MMU_VIEW_STOP;
	if (!is_known)
		tell_table(d, id);
	if (parent) {
		unsigned index = index_in(d, parent, table->gva);

		end_run(d, parent);
		add_edge(d, parent, id, index, index);
	}
	d->on_way[table->level] = id;
	return is_known ? MMU_VIEW_SKIP : MMU_VIEW_ON;
}

static enum mmu_view_step on_page(void *ctx, const struct mmu_mapping *page)
{
	struct dump *d = ctx;
	struct page_run *run = &d->run[page->level];
	unsigned index = index_in(d, page->level, page->gva);
	uint64_t ahead = (uint64_t)(index - run->first) * page->size;

	if (page->level == 0) /* no paging */
		return MMU_VIEW_ON;
	if (page->level > 1)
		end_below(d, page->level - 1);
	if (run->is_used && run->from == d->on_way[page->level] && run->last + 1 == index &&
	    run->page.gpa + ahead == page->gpa && run->page.rights == page->rights) {
		run->last = index;
		return MMU_VIEW_ON;
	}
	end_run(d, page->level);
	*run = (struct page_run){.is_used = true,
				 .from = d->on_way[page->level],
				 .first = index,
				 .last = index,
				 .page = *page};
	return MMU_VIEW_ON;
}

static void run_dump(struct dump *d)
{
	struct mmu_view view = {.mem = d->call->mem,
				.regs = &d->call->regs,
				.hi = ~0ull,
				.on_page = on_page,
				.on_table = on_table,
				.ctx = d};
	struct mon_record *r = &d->call->record;
	gva_t next;

	if (!r->is_json)
		print_to(r->out, "digraph mmu {\n  rankdir=LR;\n  label=\"cr3 0x%llx\";\n",
			 (unsigned long long)d->call->regs.cr3);
	mmu_run_view(d->call, &view, 0, &next);
	end_below(d, LEVELS_MAX - 1);
	if (d->is_cut && r->is_json)
		mmu_tell_more(d->call, 0);
	else if (d->is_cut)
		print_to(r->out, "  more [shape=plaintext,label=\"more than %u nodes\"];\n",
			 NODES_MAX);
	if (!r->is_json)
		print_to(r->out, "}\n");
}

void mmu_word_dump(struct mmu_call *call)
{
	struct dump *d;

	if (call->is_dot == call->record.is_json) {
		mmu_error(call, MMU_BADARG, "usage: mmu dump --dot or --json");
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		mmu_error(call, MMU_BACKEND, "out of memory");
		return;
	}
	d->call = call;
	run_dump(d);
	free(d);
}
