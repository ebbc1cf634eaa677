/* `make bench`, the shadow's events: what those who listen to them cost.
 *
 *   events [--quick]
 *
 * A guest's table of 512 pages is written and used again, entry after entry: each round is a write,
 * the drop of a shadow entry, and a fault with its four steps.  The same rounds run with nobody
 * listening before the trace was made, with the trace on, and with the trace off again.  Figures
 * are medians of windows, in turn. */

#include "figures.h"

#include "umbra/mmu.h"
#include "umbra/mmu_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOT	0x1000u /* the tables, one behind the other */
#define TABLE	0x4000u
#define FLAGS	(X86_PTE_P | X86_PTE_RW | X86_PTE_A | X86_PTE_D)
#define PAGES	512u
#define RAM	(4u << 20)
#define ROUNDS	200000u
#define WINDOWS 9u

struct guest {
	struct mem_space *mem;
	struct mmu *mmu;
	uint64_t seq;
};

static void who(void *ctx, unsigned vcpu, bool has_insn, struct mmu_who *out_who)
{
	struct guest *guest = ctx;

	(void)vcpu;
	*out_who = (struct mmu_who){.seq = ++guest->seq, .rip = 0x401000};
	out_who->insn_len = has_insn ? 3 : 0;
}

static void forget(void *ctx, unsigned index)
{
	(void)ctx;
	(void)index;
}

static void put(struct guest *guest, gpa_t gpa, uint64_t entry)
{
	uint8_t bytes[8];

	le64_put(bytes, entry);
	mmu_write(guest->mmu, 0, gpa, bytes, sizeof(bytes));
}

static bool start(struct guest *guest)
{
	struct mmu_config config = {.vcpus = 1,
				    .phys_bits = 40,
				    .tlb = {forget, NULL, guest},
				    .who = who,
				    .who_ctx = guest};
	const struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP,
					.cr4 = X86_CR4_PAE,
					.efer = X86_EFER_LMA | X86_EFER_LME | X86_EFER_NXE,
					.cr3 = ROOT,
					.phys_bits = 40};

	if (mem_create(&guest->mem, NULL) || mem_add(guest->mem, 0, RAM, MEM_RAM, "ram", NULL))
		return false;
	config.mem = guest->mem;
	if (mmu_create(&guest->mmu, &config, NULL))
		return false;
	for (unsigned level = 0; level < 3; level++)
		put(guest, ROOT + level * 0x1000u, (ROOT + (level + 1) * 0x1000u) | FLAGS);
	mmu_set_regs(guest->mmu, 0, &regs, MMU_LOAD_CR3);
	return true;
}

/* Of this process: a host that is busy with others is no slower by it. */
static double used_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of a round. */
static double window(struct guest *guest, unsigned rounds)
{
	static const uint64_t frame[] = {0x100000, 0x200000};
	double begin = used_ns();
	struct mmu_fault fault;
	struct mmu_page page;

	for (unsigned i = 0; i < rounds; i++) {
		unsigned n = i % PAGES;

		put(guest, TABLE + n * 8, frame[i / PAGES % 2] | FLAGS);
		if (mmu_translate(guest->mmu, 0, n * 4096ull, X86_PF_W, &page, &fault))
			abort();
	}
	return (used_ns() - begin) / rounds;
}

static int measure(struct guest *guest, unsigned rounds, unsigned windows)
{
	double before[WINDOWS], on[WINDOWS], off[WINDOWS], plain, traced;
	struct mmu_trace *trace;
	uint64_t events;

	for (unsigned w = 0; w < windows; w++)
		before[w] = window(guest, rounds);
	if (mmu_trace_create(&trace, guest->mmu, MMU_TRACE_RECORDS, NULL))
		return 1;
	for (unsigned w = 0; w < windows; w++) {
		if (mmu_trace_set(trace, MMU_EVENT_ALL))
			return 1;
		on[w] = window(guest, rounds);
		(void)mmu_trace_set(trace, 0);
		off[w] = window(guest, rounds);
	}
	events = mmu_trace_total(trace) / windows;
	plain = median(before, windows);
	traced = median(on, windows);
	printf("shadow events, a table rewritten and used          ns a round   factor\n");
	printf("nobody ever listened %40.1f %8.3f\n", plain, 1.0);
	printf("trace on %52.1f %8.3f\n", traced, traced / plain);
	printf("trace off again %45.1f %8.3f\n", median(off, windows),
	       median(off, windows) / plain);
	printf("%.1f events a round: %.1f million a second with all that leads to them, %.1f ns "
	       "for "
	       "each into the ring\n",
	       (double)events / rounds, (double)events / rounds / traced * 1e3,
	       (traced - plain) / ((double)events / rounds));
	mmu_trace_destroy(trace);
	return 0;
}

int main(int argc, char **argv)
{
	bool is_quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	struct guest guest = {.seq = 0};
	int status = 1;

	if (start(&guest))
		status = measure(&guest, is_quick ? ROUNDS / 20 : ROUNDS, is_quick ? 3 : WINDOWS);
	mmu_destroy(guest.mmu);
	mem_destroy(guest.mem);
	return status;
}
