/* The invariants, as far as they can be judged page by page: I1 to I6 and I8.  verify_walk.c
 * and verify_root.c have what needs a linear address.
 *
 * Each check is written from the promise, not from the code that keeps it: counts are counted
 * again, guest entries are read again. */
#include "verify.h"

#include "umbra/log.h"
#include "umbra/mmu_history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES	 256u
#define WRITER_MAX_BYTES 64u
#define PARANOID_LOG_MAX 64u /* findings; a broken shadow finds the same ones again and again */

/* Reporting. */

/* " last_write=seq 90412 rip=0x..": of the guest entry that entry @index of @sp was derived from,
 * where the history knows.  What is below a large page comes from the large page's entry. */
static void format_writer(const struct mmu *mmu, const struct shadow_page *sp, unsigned index,
			  char out[WRITER_MAX_BYTES])
{
	unsigned up = 0;
	struct mmu_history_record last;
	gpa_t gpa;

	*out = '\0';
	for (; sp->key.role.is_direct && sp->parents && up < SHADOW_PATH_MAX; up++) {
		shadow_handle handle = sp->parents;

		if (handle > mmu->page_count * SHADOW_ENTRIES)
			return;
		sp = handle_page(mmu, handle);
		index = handle_index(handle);
	}
	gpa = (sp->key.gfn << SHADOW_GFN_SHIFT) + shadow_entry_offset(sp, index);
	if (!mmu->history || sp->key.role.is_direct ||
	    !mmu_history_last_locked(mmu->history, gpa,
				     sp->key.role.mode == X86_PAGING_32BIT ? 4 : 8, &last))
		return;
	if (last.vcpu == MMU_NO_VCPU)
		snprintf(out, WRITER_MAX_BYTES, " last_write=seq %llu cpu=-",
			 (unsigned long long)last.seq);
	else
		snprintf(out, WRITER_MAX_BYTES, " last_write=seq %llu rip=%#llx",
			 (unsigned long long)last.seq, (unsigned long long)last.rip);
}

__attribute__((format(printf, 4, 0))) static void
report(struct verifier *v, const char *head, const char *tail, const char *fmt, va_list args)
{
	char text[LINE_MAX_BYTES];

	v->findings++;
	if (!v->sink)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	print_to(v->sink, "verify bad %s%s%s\n", head, text, tail);
}

void verify_bad(struct verifier *v, const char *invariant, const struct shadow_page *sp,
		unsigned index, const char *fmt, ...)
{
	char head[LINE_MAX_BYTES], writer[WRITER_MAX_BYTES];
	va_list args;

	snprintf(head, sizeof(head), "%s sp=%u i=%u gfn=%#llx level=%u", invariant, sp->id, index,
		 (unsigned long long)sp->key.gfn, (unsigned)sp->key.role.level);
	format_writer(v->mmu, sp, index, writer);
	va_start(args, fmt);
	report(v, head, writer, fmt, args);
	va_end(args);
}

void verify_bad_root(struct verifier *v, const char *invariant, const struct mmu_root *root,
		     const char *fmt, ...)
{
	char head[LINE_MAX_BYTES];
	va_list args;

	snprintf(head, sizeof(head), "%s root=%llu cr3=%#llx", invariant,
		 (unsigned long long)root->id, (unsigned long long)root->regs.cr3);
	va_start(args, fmt);
	report(v, head, "", fmt, args);
	va_end(args);
}

void verify_bad_shadow(struct verifier *v, const char *invariant, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(v, invariant, "", fmt, args);
	va_end(args);
}

bool verify_is_stale(const struct shadow_page *sp, unsigned index)
{
	uint64_t known = sp->gpte[index];

	return !sp->key.role.is_direct &&
	       ((shadow_read_entry(sp, index) ^ known) & shadow_relevant_bits(sp, known));
}

/* Lists: whether an entry stands in the one that begins at @head. */

static bool is_linked(const struct mmu *mmu, shadow_handle head, const struct shadow_page *sp,
		      unsigned index)
{
	shadow_handle handle = handle_of(sp, index);
	struct shadow_link link = sp->link[index];
	shadow_handle limit = mmu->page_count * SHADOW_ENTRIES;

	if (link.prev > limit || link.next > limit)
		return false;
	if (link.next && handle_page(mmu, link.next)->link[handle_index(link.next)].prev != handle)
		return false;
	if (!link.prev)
		return head == handle;
	return handle_page(mmu, link.prev)->link[handle_index(link.prev)].next == handle;
}

/* The page of an entry in a list, or NULL when the list names what does not exist. */
static struct shadow_page *listed_page(const struct mmu *mmu, shadow_handle handle)
{
	struct shadow_page *sp;

	if (handle > mmu->page_count * SHADOW_ENTRIES)
		return NULL;
	sp = handle_page(mmu, handle);
	return sp->is_live && (sp->spte[handle_index(handle)] & SPTE_P) ? sp : NULL;
}

/* Leaves. */

static const struct mem_region *region_of_host(const struct mmu *mmu, const uint8_t *host)
{
	const struct mem_region *region;
	unsigned i;

	for (i = 0; (region = mem_region_at(mmu->mem, i)) != NULL; i++) {
		if (host >= region->host && (uint64_t)(host - region->host) < region->len)
			break;
	}
	return region;
}

/* One leaf's frame is mostly in the region of the one before. */
static const struct mem_region *region_of(struct verifier *v, gpa_t gpa)
{
	if (!v->region || gpa < v->region->gpa || gpa - v->region->gpa >= v->region->len)
		v->region = mem_find(v->mmu->mem, gpa);
	return v->region;
}

static void check_host(struct verifier *v, const struct shadow_page *sp, unsigned index)
{
	uint64_t spte = sp->spte[index];
	gpa_t gpa = shadow_leaf_gpa(sp, index, sp->gpte[index]);
	const uint8_t *host = (const uint8_t *)(uintptr_t)(spte & SPTE_HOST);
	const struct mem_region *region = region_of(v, gpa);
	bool has_host = !(spte & SPTE_MMIO);
	bool is_in_place = region && host == region->host + (gpa - region->gpa);

	if (has_host != (region != NULL) || has_host != (host != NULL) ||
	    (has_host && !is_in_place && !region_of_host(v->mmu, host)))
		verify_bad(v, "I8", sp, index, " gpa=%#llx spte=%#llx is not in the memory map",
			   (unsigned long long)gpa, (unsigned long long)spte);
	else if (has_host && !is_in_place)
		verify_bad(v, "I2", sp, index, " gpa=%#llx host=%p is another frame's page",
			   (unsigned long long)gpa, (const void *)host);
	if (region && !(spte & SPTE_ROM) != (region->kind == MEM_RAM))
		verify_bad(v, "I2", sp, index, " gpa=%#llx spte=%#llx mistakes ROM for RAM",
			   (unsigned long long)gpa, (unsigned long long)spte);
}

/* What the frame decides, its reverse map has checked: check_frame. */
static void check_leaf(struct verifier *v, const struct shadow_page *sp, unsigned index)
{
	uint64_t spte = sp->spte[index];

	v->leaves++;
	check_host(v, sp, index);
	if ((spte & ~SPTE_BY_FRAME) != shadow_leaf_rights(sp, sp->gpte[index]))
		verify_bad(v, "I2", sp, index, " spte=%#llx, its guest entry says %#llx",
			   (unsigned long long)spte,
			   (unsigned long long)shadow_leaf_rights(sp, sp->gpte[index]));
	if (!(v->listed[sp->id][index / 64] >> (index % 64) & 1))
		verify_bad(v, "I4", sp, index, " gpa=%#llx is not in the reverse map",
			   (unsigned long long)shadow_leaf_gpa(sp, index, sp->gpte[index]));
	if ((spte & SPTE_MAY_WRITE) && (!(spte & SPTE_D) || (spte & (SPTE_ROM | SPTE_MMIO))))
		verify_bad(v, "I3", sp, index, " spte=%#llx is writable without D, or no RAM",
			   (unsigned long long)spte);
}

/* Pages. */

static void check_child(struct verifier *v, const struct shadow_page *sp, unsigned index)
{
	const struct shadow_page *child = spte_child(sp->spte[index]);
	struct shadow_key key = shadow_child_key(sp, index, sp->gpte[index]);

	if (!child->is_live || child->key.gfn != key.gfn || child->key.role.word != key.role.word)
		verify_bad(v, "I5", sp, index,
			   " child sp=%u gfn=%#llx role=%#x, should be gfn=%#llx role=%#x",
			   child->id, (unsigned long long)child->key.gfn, child->key.role.word,
			   (unsigned long long)key.gfn, key.role.word);
	if (!is_linked(v->mmu, child->parents, sp, index))
		verify_bad(v, "I5", sp, index, " child sp=%u does not know this parent", child->id);
}

static void check_entries(struct verifier *v, const struct shadow_page *sp)
{
	unsigned present = 0, i;

	for (i = 0; i < SHADOW_ENTRIES; i++) {
		if (!(sp->spte[i] & SPTE_P))
			continue;
		present++;
		if (verify_is_stale(sp, i))
			verify_bad(v, "I6", sp, i, " guest entry is %#llx, was %#llx",
				   (unsigned long long)shadow_read_entry(sp, i),
				   (unsigned long long)sp->gpte[i]);
		if (spte_is_leaf(sp->spte[i]) != (sp->key.role.level == 1))
			verify_bad(v, "I5", sp, i, " spte=%#llx is of another level",
				   (unsigned long long)sp->spte[i]);
		else if (sp->key.role.level == 1)
			check_leaf(v, sp, i);
		else
			check_child(v, sp, i);
	}
	if (present != sp->present)
		verify_bad(v, "I5", sp, 0, " has %u entries, counted %u", present, sp->present);
}

static void check_references(struct verifier *v, const struct shadow_page *sp)
{
	uint32_t roots = v->roots_of_page[sp->id], parents = 0;
	shadow_handle handle = sp->parents;

	while (handle && parents <= sp->refs) {
		const struct shadow_page *parent = listed_page(v->mmu, handle);

		if (!parent || spte_child(parent->spte[handle_index(handle)]) != sp) {
			verify_bad(v, "I5", sp, 0, " parent entry %u does not name it", handle - 1);
			return;
		}
		parents++;
		handle = parent->link[handle_index(handle)].next;
	}
	if (parents + roots != sp->refs || roots != sp->root_refs)
		verify_bad(v, "I5", sp, 0, " refs=%u roots=%u, but %u parents and %u roots",
			   sp->refs, sp->root_refs, parents, roots);
}

/* Without its place among the tables of its frame a page is not protected from writes. */
static void check_protection(struct verifier *v, const struct shadow_page *sp)
{
	const struct frame *frame = frame_find(v->mmu, sp->key.gfn);
	const struct shadow_page *other = frame ? frame->tables : NULL;

	if (sp->key.role.is_direct)
		return;
	while (other && other != sp)
		other = other->next_of_frame;
	if (!other || sp->frame != frame)
		verify_bad(v, "I1", sp, 0, " its frame is not known as a table");
}

static void check_pages(struct verifier *v)
{
	unsigned i;

	for (i = 0; i < v->mmu->page_count; i++) {
		const struct shadow_page *sp = v->mmu->page[i];

		if (!sp->is_live)
			continue;
		check_entries(v, sp);
		check_references(v, sp);
		check_protection(v, sp);
	}
}

/* The reverse map, from its side, which comes first: each leaf that it names is marked. */

/* Stores to a leaf that is withheld from them without a reason do no harm to the guest, but each
 * would take the slow path: a shadow built anew would not withhold the right. */
static void check_writes(struct verifier *v, const struct shadow_page *sp, unsigned index,
			 bool is_table)
{
	uint64_t spte = sp->spte[index];

	if (is_table && (spte & SPTE_MAY_WRITE))
		verify_bad(v, "I1", sp, index, " table at gpa=%#llx is writable",
			   (unsigned long long)shadow_leaf_gpa(sp, index, sp->gpte[index]));
	if (!is_table && (spte & SPTE_D) && !(spte & (SPTE_MAY_WRITE | SPTE_ROM | SPTE_MMIO)))
		verify_bad(v, "I11", sp, index, " spte=%#llx is withheld from stores, and no table",
			   (unsigned long long)spte);
}

/* False: it was there already.  Lists that run in circles end so. */
static bool mark_listed(struct verifier *v, const struct shadow_page *sp, unsigned index)
{
	uint64_t *word = &v->listed[sp->id][index / 64], bit = 1ull << (index % 64);

	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}

static void check_frame(struct verifier *v, const struct frame *frame)
{
	shadow_handle handle = frame->leaves, before = 0;
	bool is_table = frame_is_table(frame);

	while (handle) {
		unsigned index = handle_index(handle);
		const struct shadow_page *sp = listed_page(v->mmu, handle);

		if (!sp || !spte_is_leaf(sp->spte[index]) ||
		    shadow_leaf_gpa(sp, index, sp->gpte[index]) >> SHADOW_GFN_SHIFT != frame->gfn ||
		    sp->link[index].prev != before || !mark_listed(v, sp, index)) {
			verify_bad_shadow(v, "I4",
					  " entry %u is no leaf of gfn=%#llx, or not in its place",
					  handle - 1, (unsigned long long)frame->gfn);
			break;
		}
		check_writes(v, sp, index, is_table);
		v->listed_count++;
		before = handle;
		handle = sp->link[index].next;
	}
}

static void check_frames(struct verifier *v)
{
	uint64_t i;

	for (i = 0; i <= v->mmu->frame_hash_mask; i++) {
		const struct frame *frame;

		for (frame = v->mmu->frame_hash[i]; frame; frame = frame->next) {
			check_frame(v, frame);
			if (frame_find(v->mmu, frame->gfn) != frame)
				verify_bad_shadow(v, "I4", " gfn=%#llx is not found by its number",
						  (unsigned long long)frame->gfn);
		}
	}
}

static void check_counts(struct verifier *v)
{
	if (v->listed_count != v->leaves || v->leaves != v->mmu->stats.leaves)
		verify_bad_shadow(v, "I4", " %llu leaves, %u counted, %llu in the reverse map",
				  (unsigned long long)v->leaves, v->mmu->stats.leaves,
				  (unsigned long long)v->listed_count);
}

static void count_roots(struct verifier *v)
{
	unsigned i;

	for (i = 0; i < v->mmu->max_roots * SHADOW_TOPS; i++) {
		const struct shadow_page *sp = v->mmu->root[i / SHADOW_TOPS].top[i % SHADOW_TOPS];

		if (sp)
			v->roots_of_page[sp->id]++;
	}
}

static bool begin(struct verifier *v)
{
	v->roots_of_page = calloc(v->mmu->max_pages, sizeof(*v->roots_of_page));
	v->listed = calloc(v->mmu->page_count + 1ul, sizeof(*v->listed));
	v->seen = calloc(v->mmu->page_count + 1ul, sizeof(*v->seen));
	return v->roots_of_page && v->listed && v->seen;
}

static void end(struct verifier *v)
{
	free(v->roots_of_page);
	free(v->listed);
	free(v->seen);
}

unsigned verify_locked(struct mmu *mmu, const struct print_sink *sink)
{
	struct verifier v = {.mmu = mmu, .sink = sink};

	if (begin(&v)) {
		count_roots(&v);
		check_frames(&v);
		check_pages(&v);
		check_counts(&v);
		verify_roots(&v);
		verify_tlbs(&v);
	} else {
		verify_bad_shadow(&v, "-", " no memory to check with");
	}
	end(&v);
	return v.findings;
}

/* Paranoid mode. */

static void log_finding(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	log_error("%.*s", len > 0 ? (int)len - 1 : 0, text); /* without the newline */
}

void verify_paranoid(struct mmu *mmu)
{
	const struct print_sink log = {.text = log_finding};
	bool is_quiet = mmu->paranoid_findings > PARANOID_LOG_MAX;

	mmu->paranoid_findings += verify_locked(mmu, is_quiet ? NULL : &log);
}
