/* Unit tests of pages with watched bytes: accesses beside these need no walk, and miss nothing. */
#include "soft_rig.h"

#include "src/accel/soft/points.h"
#include "src/accel/soft/tlb.h"

#include <criterion/criterion.h>

#define DATA	   SOFT_RIG_DATA
#define WATCHED_AT (DATA + 0x800u)
#define ALIAS	   0x200000u /* DATA is at ALIAS + DATA too, once it is mapped there */

#define PAGE_P	0x01u
#define PAGE_W	0x02u
#define PAGE_PS 0x80u

static struct soft_rig *rig;

static void set_up(void)
{
	rig = soft_rig_create(8);
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(tlb_watch, .init = set_up, .fini = tear_down);

static enum soft_rig_end store(gva_t la, uint64_t value)
{
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x89, 0x03); /* mov [rbx], rax */
	rig->c->r[X86_RBX] = la;
	rig->c->r[X86_RAX] = value;
	return soft_rig_step(rig).end;
}

static void store_at(gva_t la, uint64_t value)
{
	cr_assert_eq(store(la, value), SOFT_RIG_OK);
}

static void load_at(gva_t la, uint64_t expected)
{
	SOFT_RIG_CODE_BYTES(rig, 0x48, 0x8b, 0x03); /* mov rax, [rbx] */
	rig->c->r[X86_RBX] = la;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RAX], expected);
}

/* Page @index of 2 MiB leads to address 0. */
static void map(unsigned index, unsigned flags)
{
	uint8_t entry[8];

	le64_put(entry, PAGE_PS | flags);
	soft_rig_poke(rig, rig->c->cr3 + 0x2000 + 8 * (gpa_t)index, entry, sizeof(entry));
	mmu_flush(rig->c->vm->mmu, 0);
}

static void watch(enum accel_point_kind kind, bool is_physical)
{
	const struct accel_point point = {
		.kind = kind, .addr = WATCHED_AT, .len = 4, .is_physical = is_physical};
	const struct accel_debug debug = {.point_count = 1, .point = &point};

	accel_soft.debug_set(rig->vcpu, &debug);
	soft_points_follow(rig->c);
}

static unsigned hits(void)
{
	struct accel_exit out = {0};

	soft_points_take(rig->c, &out);
	return out.hit_count;
}

static void count_writes(void *arg, const struct mmu_tlb_page *page)
{
	unsigned *writes = arg;

	*writes += page->gva == DATA && (page->can & MMU_CAN_WRITE);
}

/* Such a tag is what spares the walk; who looks into the micro-TLB sees the page behind it. */
Test(tlb_watch, store_when_beside_watched_bytes_then_it_is_held_but_does_not_hit_in_line)
{
	const struct tlb_entry *e = soft_tlb_entry(rig->c, DATA);
	unsigned writes = 0;

	watch(ACCEL_POINT_WRITE, false);
	store_at(DATA, 1);
	cr_assert_eq(e->wtag, DATA ^ TLB_WATCHED);
	cr_assert_eq(e->rtag, DATA);
	store_at(WATCHED_AT - 8, 2);
	store_at(WATCHED_AT + 4, 3);
	load_at(WATCHED_AT - 8, 2);
	load_at(WATCHED_AT + 4, 3);
	cr_assert_eq(e->wtag, DATA ^ TLB_WATCHED);
	cr_assert_eq(hits(), 0);
	soft_tlb_each(rig->c, count_writes, &writes);
	cr_assert_eq(writes, 1);
}

Test(tlb_watch, access_when_watched_bytes_are_among_its_own_then_it_is_noted)
{
	static const struct {
		enum accel_point_kind kind;
		unsigned stores, loads; /* hits of one of each */
	} cases[] = {
		{ACCEL_POINT_WRITE, 1, 0}, {ACCEL_POINT_READ, 0, 1}, {ACCEL_POINT_ACCESS, 1, 1}};
	static const gva_t at[] = {WATCHED_AT - 7, WATCHED_AT, WATCHED_AT + 3};

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(cases); i++) {
		watch(cases[i].kind, false);
		for (unsigned k = 0; k < UMBRA_ARRAY_SIZE(at); k++) {
			store_at(DATA, 0);
			load_at(DATA, 0);
			store_at(at[k], 5);
			cr_assert_eq(hits(), cases[i].stores);
			load_at(at[k], 5);
			cr_assert_eq(hits(), cases[i].loads);
		}
	}
}

Test(tlb_watch, store_when_bytes_have_another_address_then_only_a_physical_watch_notes_it)
{
	map(1, PAGE_P | PAGE_W);
	watch(ACCEL_POINT_WRITE, false);
	store_at(ALIAS + WATCHED_AT, 1);
	store_at(ALIAS + WATCHED_AT, 1);
	cr_assert_eq(hits(), 0);
	watch(ACCEL_POINT_WRITE, true);
	store_at(ALIAS + DATA, 1);
	store_at(ALIAS + DATA, 1);
	cr_assert_eq(hits(), 0);
	store_at(ALIAS + WATCHED_AT, 1);
	cr_assert_eq(hits(), 1);
}

Test(tlb_watch, modify_when_reads_are_watched_then_it_is_noted)
{
	watch(ACCEL_POINT_READ, false);
	store_at(WATCHED_AT, 1);
	cr_assert_eq(hits(), 0);
	SOFT_RIG_CODE_BYTES(rig, 0x83, 0x03, 0x01); /* add dword [rbx], 1 */
	rig->c->r[X86_RBX] = WATCHED_AT;
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(hits(), 1);
	cr_assert_eq(soft_rig_peek(rig, WATCHED_AT, 4), 2);
}

/* What is known of a page's watched bytes goes with its entry. */
Test(tlb_watch, store_when_its_page_was_pushed_out_and_taken_back_then_it_is_noted)
{
	gva_t same_entry = DATA + (gva_t)TLB_ENTRIES * UMBRA_PAGE_SIZE;

	map(2, PAGE_P | PAGE_W);
	watch(ACCEL_POINT_WRITE, false);
	store_at(DATA, 1);
	store_at(same_entry, 2);
	load_at(DATA, 2); /* the same frame */
	cr_assert_eq(soft_tlb_entry(rig->c, DATA)->rtag, DATA);
	cr_assert_eq(hits(), 0);
	store_at(WATCHED_AT, 3);
	cr_assert_eq(hits(), 1);
	load_at(same_entry, 2);
	store_at(same_entry + 0x800, 4);
	cr_assert_eq(hits(), 0);
}

/* What takes rights from a tag takes them from a watched one. */
Test(tlb_watch, store_when_page_became_read_only_then_page_fault)
{
	rig->c->cr0 |= X86_CR0_WP;
	soft_paging_changed(rig->c, MMU_LOAD_OTHER);
	watch(ACCEL_POINT_WRITE, false);
	store_at(DATA, 1);
	map(0, PAGE_P);
	cr_assert_eq(store(DATA, 2), SOFT_RIG_EXCEPTION);
	cr_assert_eq(rig->c->event.vector, X86_EXC_PF);
	cr_assert_eq(rig->c->event.cr2, DATA);
}
