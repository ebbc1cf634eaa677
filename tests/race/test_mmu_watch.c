/* What is watched of the shadow MMU over time, on guests that run: stops behind the instruction,
 * writers, missing flushes.  A plain program, because Criterion does not start under
 * ThreadSanitizer. */
#include "soft_machine.h"

#include "umbra/mmu_breaks.h"
#include "umbra/mmu_hazard.h"
#include "umbra/mmu_trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GUEST(name) "build/guests/" name ".elf"
/* guests/hazard.c: its first page is remapped, and its fourth. */
#define HAZARD_PAGES 0x60000000ull
#define PAGE_SHARED  3u

struct watched {
	struct machine m;
	struct mmu *mmu;
	struct mmu_breaks *breaks;
	struct mmu_history *history;
	struct mmu_hazard *hazard;
	struct mmu_trace *trace;
};

static void open_watched(struct watched *w, const char *image, unsigned vcpus, bool is_parallel)
{
	machine_open(&w->m, &(struct machine_config){
				    .image = image, .vcpus = vcpus, .is_parallel = is_parallel});
	w->mmu = vm_accel(w->m.vm)->mmu(vm_accel_vm(w->m.vm));
	require(mmu_breaks_create(&w->breaks, w->mmu, NULL) == 0 &&
			mmu_history_create(&w->history, w->mmu, MMU_HISTORY_RECORDS, NULL) == 0 &&
			mmu_hazard_create(&w->hazard, w->mmu, w->history, NULL) == 0 &&
			mmu_trace_create(&w->trace, w->mmu, MMU_TRACE_RECORDS, NULL) == 0,
		"everything can be watched");
}

static void close_watched(struct watched *w)
{
	mmu_trace_destroy(w->trace);
	mmu_hazard_destroy(w->hazard);
	mmu_breaks_destroy(w->breaks);
	mmu_history_destroy(w->history);
	machine_close(&w->m);
}

static struct cpu_stop run(struct watched *w)
{
	struct cpu_stop stop;

	machine_run(&w->m);
	machine_wait(&w->m, &stop);
	mmu_breaks_settle(w->breaks);
	return stop;
}

static unsigned add(struct watched *w, const struct mmu_break *what)
{
	struct umbra_err err = {.text = ""};
	unsigned id = 0;

	if (mmu_breaks_add(w->breaks, what, &id, &err) != 0)
		require(false, err.text);
	return id;
}

/* Run to a hit of break @id. */
static struct mmu_stop run_to(struct watched *w, unsigned id)
{
	struct cpu_stop stop = run(w);
	struct mmu_stop hit;

	require(stop.kind == STOP_MMU, "the stop is the break's");
	require(mmu_breaks_hit(w->breaks, stop.mmu_hit, &hit), "it is known");
	require(hit.id == id && hit.vcpu == stop.vcpu, "it is this break's, and its vCPU stopped");
	return hit;
}

static uint64_t rip_of(struct watched *w, unsigned vcpu)
{
	const struct x86_state *st = vcpu_state(w->m.world, vcpu, X86_STATE_ALL);

	require(st != NULL, "registers");
	return st->rip;
}

/* The length of the instruction at @rip, identity mapped. */
static unsigned length_at(struct watched *w, uint64_t rip)
{
	struct x86_insn insn;
	uint8_t bytes[X86_INSN_MAX];

	mem_peek(vm_mem(w->m.vm), rip, bytes, sizeof(bytes));
	require(x86_insn_decode(X86_MODE_LONG64, bytes, sizeof(bytes), &insn) == 0, "it decodes");
	return insn.length;
}

static void require_end(const struct cpu_stop *stop)
{
	require(stop->kind == STOP_EXIT && stop->code == 0, "the guest comes to its good end");
}

/* Stops. */

static void test_map_break(void)
{
	struct watched w;
	struct mmu_stop hit;
	struct cpu_stop stop;
	unsigned id;

	open_watched(&w, GUEST("hazard"), 2, false);
	id = add(&w, &(struct mmu_break){.kind = MMU_BREAK_MAP,
					 .gva = HAZARD_PAGES,
					 .len = 1,
					 .is_any_root = true});
	hit = run_to(&w, id); /* the large page there gives way to an empty table */
	require(hit.change == MMU_CHANGE_GONE, "the page goes");
	require(rip_of(&w, 0) == hit.rip + length_at(&w, hit.rip), "behind the store");
	hit = run_to(&w, id);
	require(hit.change == MMU_CHANGE_PRESENT && hit.old == 0, "an entry becomes present");
	hit = run_to(&w, id);
	require(hit.change == MMU_CHANGE_GPA && hit.before.gpa != hit.after.gpa, "it is remapped");
	require((hit.now & ~0xfffull) == hit.after.gpa, "by the entry that it names");
	require(rip_of(&w, 0) == hit.rip + length_at(&w, hit.rip), "behind the store");
	stop = run(&w);
	require_end(&stop);
	close_watched(&w);
	printf("ok 1 - a map break stops behind the store that changes the mapping\n");
}

static void test_other_breaks(void)
{
	struct watched w;
	struct mmu_stop hit;
	struct cpu_stop stop;
	unsigned invlpg, fault;

	open_watched(&w, GUEST("hazard"), 2, false);
	invlpg = add(&w, &(struct mmu_break){.kind = MMU_BREAK_INVLPG});
	hit = run_to(&w, invlpg);
	require(hit.gva == HAZARD_PAGES, "the first INVLPG");
	require(rip_of(&w, 0) == hit.rip + length_at(&w, hit.rip), "behind it");
	mmu_breaks_clear(w.breaks);
	stop = run(&w);
	require_end(&stop);
	close_watched(&w);

	open_watched(&w, GUEST("faults"), 1, false);
	fault = add(&w, &(struct mmu_break){.kind = MMU_BREAK_FAULT});
	hit = run_to(&w, fault);
	require(hit.error == X86_PF_W && hit.gva == 0x7fff12345000, "a write to nowhere");
	require(rip_of(&w, 0) != hit.rip, "the fault was delivered");
	stop = run(&w);
	require_end(&stop);
	close_watched(&w);
	printf("ok 2 - INVLPG and page faults stop\n");
}

/* Each step ends with a new event, and the same instructions are executed as without. */
static void test_steps(void)
{
	struct machine_picture stepped, plain;
	struct watched w;
	struct cpu_stop stop;
	unsigned steps = 0;

	open_watched(&w, GUEST("hello64"), 1, false);
	stop = run(&w);
	require_end(&stop);
	machine_picture(&w.m, &plain);
	close_watched(&w);
	open_watched(&w, GUEST("hello64"), 1, false);
	require(mmu_trace_set(w.trace, MMU_EVENT_ALL) == 0, "the trace is on");
	do {
		uint64_t seen = mmu_trace_total(w.trace);

		if (steps < 20)
			add(&w, &(struct mmu_break){.kind = MMU_BREAK_STEP});
		stop = run(&w);
		require(steps >= 20 || stop.kind != STOP_MMU || mmu_trace_total(w.trace) > seen,
			"an event came");
		steps++;
	} while (stop.kind == STOP_MMU);
	require_end(&stop);
	require(steps > 5, "there were some");
	machine_picture(&w.m, &stepped);
	require(machine_compare(&plain, &stepped, "#") == 0, "steps change nothing");
	close_watched(&w);
	printf("ok 3 - the guest goes from event to event as it goes without\n");
}

/* Two vCPUs at once: hits of the one wait while the other's is told, and may be cancelled. */
static void test_cancel(void)
{
	unsigned stops = 0, extra = 0;
	struct watched w;
	struct cpu_stop stop;
	struct mmu_stop hit;
	uint64_t hits, n;

	open_watched(&w, GUEST("hazard_fixed"), 2, true);
	add(&w, &(struct mmu_break){.kind = MMU_BREAK_FAULT});
	add(&w, &(struct mmu_break){.kind = MMU_BREAK_SHADOW});
	for (;;) {
		stop = run(&w);
		if (stop.kind != STOP_MMU)
			break;
		require(mmu_breaks_hit(w.breaks, stop.mmu_hit, &hit), "it is known");
		stops++;
		hits = mmu_breaks_hits(w.breaks);
		for (n = stop.mmu_hit + 1; n < hits; n++, extra++)
			world_cancel_mmu(w.m.world, n);
	}
	require_end(&stop);
	require(stops > 5, "there were some");
	close_watched(&w);
	printf("ok 7 - hits at the same time are told or cancelled: %u stops, %u more hits\n",
	       stops, extra);
}

/* Hazards. */

static uint64_t hazards_of(struct watched *w, const char *image, unsigned vcpus, bool is_parallel)
{
	struct cpu_stop stop;
	uint64_t total, i;

	open_watched(w, image, vcpus, is_parallel);
	require(mmu_hazard_set(w->hazard, true) == 0, "hazards are on");
	stop = run(w);
	require_end(&stop);
	total = mmu_hazard_total(w->hazard);
	for (i = 0; i < total; i++) {
		struct mmu_hazard_report r;

		if (mmu_hazard_get(w->hazard, i, &r))
			printf("# %s: gva %#llx cpu %u rip %#llx, entry %#llx by %#llx\n", image,
			       (unsigned long long)r.gva, r.vcpu, (unsigned long long)r.rip,
			       (unsigned long long)r.entry_gpa, (unsigned long long)r.writer.rip);
	}
	return total;
}

static void require_report(struct watched *w, uint64_t number, unsigned page, unsigned vcpu)
{
	struct mmu_hazard_report r;

	require(mmu_hazard_get(w->hazard, number, &r), "it was reported");
	require(r.kind == MMU_HAZARD_GPA && r.gva == HAZARD_PAGES + 4096ull * page &&
			r.vcpu == vcpu,
		"of the page that was not flushed, on the vCPU that used it");
	require(r.has_writer && r.writer.vcpu == 0 && r.writer.seq < r.seq && r.level == 1,
		"and by the one who wrote the entry");
}

static void test_hazards(void)
{
	static const char *const clean[] = {GUEST("hello64"), GUEST("faults"), GUEST("paging"),
					    GUEST("smp2"), GUEST("hazard_fixed")};
	struct watched w;

	require(hazards_of(&w, GUEST("hazard"), 2, false) == 2, "two are planted");
	require_report(&w, 0, 0, 0);
	require_report(&w, 1, PAGE_SHARED, 1);
	close_watched(&w);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(clean); i++) {
		require(hazards_of(&w, clean[i], i < 3 ? 1 : 2, false) == 0, "this one is clean");
		close_watched(&w);
	}
	printf("ok 4 - missing flushes are reported, and nothing else\n");
}

static void test_parallel(void)
{
	struct watched w;

	require(hazards_of(&w, GUEST("hazard"), 2, true) == 2, "two are planted");
	require_report(&w, 0, 0, 0);
	require_report(&w, 1, PAGE_SHARED, 1);
	close_watched(&w);
	require(hazards_of(&w, GUEST("hazard_fixed"), 2, true) == 0, "none is left");
	close_watched(&w);
	printf("ok 5 - the same with vCPUs at once\n");
}

/* Physical memory, by whatever address it is reached: frames of the guest's own, read by two vCPUs
 * through mappings that come and go. */
static void test_physical(void)
{
	struct watched w;
	struct mmu_stop hit;
	struct cpu_stop stop;
	gpa_t frame;
	unsigned id, reads = 0;

	open_watched(&w, GUEST("hazard"), 2, false);
	id = add(&w, &(struct mmu_break){.kind = MMU_BREAK_MAP,
					 .gva = HAZARD_PAGES,
					 .len = 1,
					 .on = MMU_CHANGE_GPA,
					 .is_any_root = true});
	hit = run_to(&w, id);
	frame = hit.before.gpa;
	mmu_breaks_clear(w.breaks);
	require(bp_insert_physical(w.m.world, BP_WATCH_ACCESS, frame, 8, NULL) == 0 &&
			bp_insert(w.m.world, BP_WATCH_ACCESS, frame, 8, NULL) == 0,
		"both address spaces have such an address");
	for (;;) {
		stop = run(&w);
		if (stop.kind != STOP_WATCH)
			break;
		require(stop.is_physical && stop.addr == frame, "nobody uses the linear one");
		reads += !stop.has_values || stop.old_value == stop.new_value;
	}
	require_end(&stop);
	require(reads >= 3, "the widened, the unmapped and the shared page are that frame");
	require(bp_remove_physical(w.m.world, BP_WATCH_ACCESS, frame, 8) == 0 &&
			bp_remove_physical(w.m.world, BP_WATCH_ACCESS, frame, 8) == -ENOENT &&
			bp_remove(w.m.world, BP_WATCH_ACCESS, frame, 8) == 0,
		"they are told apart");
	close_watched(&w);
	printf("ok 6 - a physical watchpoint is met through every mapping\n");
}

int main(void)
{
	printf("1..7\n");
	test_map_break();
	test_other_breaks();
	test_steps();
	test_hazards();
	test_parallel();
	test_physical();
	test_cancel();
	return 0;
}
