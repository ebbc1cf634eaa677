/* Page table entries that change under translations in use, with the flushes that a processor needs
 * left out in two places: where a page is remapped, and where another processor uses the page.
 * `hazard_fixed` is the same program with the flushes in.  What is read after a missing one is the
 * processor's choice, so nothing of it is printed.
 * Source: SDM 3A 4.10.4 (which changes need INVLPG), 4.10.5 (other processors). */
#include "smp.h"

#define AP_APIC_ID 1

/* The linear addresses of a page table of its own, where no memory is. */
#define HAZARD_BASE 0x60000000ul
#define PAGE_SIZE   4096ul

#define PTE_P 1ul
#define PTE_W 2ul

#ifndef HAZARD_HAS_FLUSHES
#define HAZARD_HAS_FLUSHES 0
#endif

enum hazard_page { REMAPPED, WIDENED, UNMAPPED, SHARED };

static volatile uint64_t table[512] __attribute__((aligned(4096)));
static volatile uint64_t frame_a[512] __attribute__((aligned(4096)));
static volatile uint64_t frame_b[512] __attribute__((aligned(4096)));

static volatile bool ap_has_read, must_flush, ap_has_flushed, may_read, ap_is_done;

static volatile uint64_t *page_at(enum hazard_page page)
{
	return (volatile uint64_t *)(HAZARD_BASE + page * PAGE_SIZE);
}

static void flush(enum hazard_page page)
{
	__asm__ volatile("invlpg (%0)" : : "r"(page_at(page)) : "memory");
}

static void map(enum hazard_page page, volatile uint64_t *frame, uint64_t flags)
{
	table[page] = (uint64_t)frame | flags;
}

static uint64_t use(enum hazard_page page)
{
	return *page_at(page);
}

/* Everything is mapped to itself, so tables are reached by their physical addresses. */
static void hang_in_table(void)
{
	uint64_t *entry;
	uint64_t at;

	__asm__ volatile("movq %%cr3, %0" : "=r"(at));
	entry = (uint64_t *)(at & ~0xffful);
	entry = (uint64_t *)(entry[0] & ~0xffful);
	entry = (uint64_t *)(entry[HAZARD_BASE >> 30] & ~0xffful);
	entry[(HAZARD_BASE >> 21) % 512] = (uint64_t)table | PTE_P | PTE_W;
	flush(REMAPPED);
}

static void remap(void)
{
	map(REMAPPED, frame_a, PTE_P | PTE_W); /* becomes present: no flush is needed */
	use(REMAPPED);
	map(REMAPPED, frame_b, PTE_P | PTE_W);
	if (HAZARD_HAS_FLUSHES)
		flush(REMAPPED);
	use(REMAPPED);
}

/* At worst a fault that is spurious. */
static void widen(void)
{
	map(WIDENED, frame_a, PTE_P);
	use(WIDENED);
	map(WIDENED, frame_a, PTE_P | PTE_W);
	*page_at(WIDENED) = 1;
}

/* Not used again before something else is mapped there and flushed. */
static void unmap(void)
{
	map(UNMAPPED, frame_a, PTE_P | PTE_W);
	use(UNMAPPED);
	map(UNMAPPED, frame_a, 0);
	map(UNMAPPED, frame_b, PTE_P | PTE_W);
	flush(UNMAPPED);
	use(UNMAPPED);
}

static void ap_main(void)
{
	use(SHARED);
	ap_has_read = true;
	while (!may_read) {
		cpu_relax();
		if (!must_flush || ap_has_flushed)
			continue;
		flush(SHARED);
		ap_has_flushed = true;
	}
	use(SHARED);
	ap_is_done = true;
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Its own flush is there in any case: it is the other processor's that counts. */
static void remap_shared(void)
{
	while (!ap_has_read)
		cpu_relax();
	map(SHARED, frame_b, PTE_P | PTE_W);
	flush(SHARED);
	must_flush = HAZARD_HAS_FLUSHES;
	while (must_flush && !ap_has_flushed)
		cpu_relax();
	may_read = true;
	while (!ap_is_done)
		cpu_relax();
}

int main(void)
{
	hang_in_table();
	remap();
	widen();
	unmap();
	map(SHARED, frame_a, PTE_P | PTE_W);
	smp_start(AP_APIC_ID, ap_main);
	remap_shared();
	print_text("hazard: done\n");
	return GUEST_PASS;
}
