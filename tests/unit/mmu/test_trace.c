/* The ring of recent events. */
#include "mmu_rig.h"
#include "umbra/mmu_trace.h"

#include <criterion/criterion.h>

static struct mmu_trace *trace_of(struct rig *rig, unsigned records, const char *word)
{
	struct mmu_trace *trace = NULL;

	cr_assert_eq(mmu_trace_create(&trace, rig->mmu, records, NULL), 0);
	cr_assert_eq(mmu_trace_set(trace, mmu_trace_kinds_of(word)), 0);
	return trace;
}

static struct mmu_trace_record record_at(const struct mmu_trace *trace, uint64_t number)
{
	struct mmu_trace_record record;

	cr_assert(mmu_trace_get(trace, number, &record));
	cr_assert_eq(record.number, number);
	return record;
}

Test(trace, record_when_a_page_is_filled_then_the_steps_with_what_the_walk_found)
{
	struct rig *rig = rig_four_levels();
	struct mmu_trace *trace = trace_of(rig, 64, "fault");
	struct mmu_trace_record walk;

	rig->rip = 0x401136;
	rig_touch(rig, 0x8123, X86_PF_W);
	cr_assert_eq(mmu_trace_total(trace), 4u, "S4 was not asked for");
	walk = record_at(trace, 1);
	cr_assert_eq(walk.event.kind, MMU_EVENT_WALK);
	cr_assert_eq(walk.event.rip, 0x401136u);
	cr_assert_eq(walk.event.seq, record_at(trace, 0).event.seq + 1);
	cr_assert_null(walk.event.walk);
	cr_assert_eq(walk.walk_gpa, (gpa_t)0x8123);
	cr_assert_eq(walk.page_size, 4096u);
	cr_assert_eq(walk.walk_levels, 4u);
	cr_assert_eq(walk.fault_level, 0u);
	cr_assert_eq(record_at(trace, 3).event.kind, MMU_EVENT_HOST);
	mmu_trace_destroy(trace);
	rig_finish(rig);
}

Test(trace, record_when_the_guest_faults_then_the_level)
{
	struct rig *rig = rig_four_levels();
	struct mmu_trace *trace = trace_of(rig, 64, "fault");
	struct mmu_page page;

	rig_put64(rig, RIG_PT + 8, 0);
	rig_translate(rig, 0, 0x1000, 0, false, &page);
	cr_assert_eq(record_at(trace, 1).fault, X86_WALK_NOT_PRESENT);
	cr_assert_eq(record_at(trace, 1).fault_level, 1u);
	cr_assert_eq(record_at(trace, 1).page_size, 0u);
	mmu_trace_destroy(trace);
	rig_finish(rig);
}

Test(trace, record_when_a_table_is_written_then_the_instruction)
{
	struct rig *rig = rig_four_levels();
	struct mmu_trace *trace = trace_of(rig, 64, "ptw");
	struct mmu_trace_record write;

	rig_touch(rig, 0, 0);
	rig->insn_len = 3;
	memcpy(rig->insn, "\x48\x89\x07", 3);
	rig_put64(rig, RIG_PT, 0);
	cr_assert_eq(mmu_trace_total(trace), 1u);
	write = record_at(trace, 0);
	cr_assert_eq(write.event.gpa, (gpa_t)RIG_PT);
	cr_assert_eq(write.insn_len, 3u);
	cr_assert_arr_eq(write.insn, rig->insn, 3);
	cr_assert_eq(write.insn_mode, X86_MODE_LONG64);
	mmu_trace_destroy(trace);
	rig_finish(rig);
}

Test(trace, ring_when_full_then_the_oldest_is_gone)
{
	struct rig *rig = rig_four_levels();
	struct mmu_trace *trace = trace_of(rig, 20, "invlpg");
	struct mmu_trace_record record;
	unsigned i;

	cr_assert_eq(mmu_trace_capacity(trace), 32u);
	for (i = 0; i < 40; i++)
		mmu_invlpg(rig->mmu, 1, i * 4096ull);
	cr_assert_eq(mmu_trace_total(trace), 40u);
	cr_assert(!mmu_trace_get(trace, 7, &record));
	cr_assert_eq(record_at(trace, 8).event.gva, 8u * 4096u);
	cr_assert_eq(record_at(trace, 39).event.vcpu, 1u);
	cr_assert(!mmu_trace_get(trace, 40, &record));
	mmu_trace_clear(trace);
	cr_assert(!mmu_trace_get(trace, 39, &record));
	mmu_trace_destroy(trace);
	rig_finish(rig);
}

Test(trace, set_when_off_then_nobody_listens_and_the_records_stay)
{
	struct rig *rig = rig_four_levels();
	struct mmu_trace *trace = trace_of(rig, 64, "all");
	uint64_t total;

	rig_touch(rig, 0, 0);
	total = mmu_trace_total(trace);
	cr_assert_gt(total, 0u);
	cr_assert_eq(mmu_trace_set(trace, 0), 0);
	cr_assert_eq(rig->mmu->listening, 0u);
	rig_touch(rig, 0x1000, 0);
	cr_assert_eq(mmu_trace_total(trace), total);
	record_at(trace, total - 1);
	mmu_trace_destroy(trace);
	rig_finish(rig);
}

Test(trace, words_when_known_then_kinds)
{
	cr_assert_eq(mmu_trace_kinds_of("ptw"), MMU_EVENT_BIT(MMU_EVENT_TABLE_WRITE));
	cr_assert_eq(mmu_trace_kinds_of("all"), MMU_EVENT_ALL);
	cr_assert_eq(mmu_trace_kinds_of("sandwich"), 0u);
}
