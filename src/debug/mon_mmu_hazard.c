/* `mmu hazard`: translations that were used without the flush that they needed. */
#include "mon_mmu.h"

#include "mmu_tell.h"

static void tell_reports(struct mmu_call *call, const struct mmu_hazard *hazard)
{
	uint64_t total = mmu_hazard_total(hazard);
	uint64_t from = total > MMU_HAZARDS_KEPT ? total - MMU_HAZARDS_KEPT : 0;
	struct mmu_hazard_report report;

	for (uint64_t n = from; n < total; n++) {
		if (!mmu_hazard_get(hazard, n, &report))
			continue;
		if (!mmu_has_room(call)) {
			mmu_tell_more(call, n);
			break;
		}
		mmu_tell_hazard(&call->record, &report);
	}
}

static void tell_state(struct mmu_call *call, const struct mmu_hazard *hazard)
{
	struct mmu_hazard_stats stats;

	mmu_hazard_stats(hazard, &stats);
	record_begin(&call->record, "hazards");
	record_bool(&call->record, "on", mmu_hazard_is_on(hazard));
	record_number(&call->record, "reports", mmu_hazard_total(hazard));
	record_number(&call->record, "uses", stats.uses);
	record_number(&call->record, "flushes", stats.flushes);
	record_number(&call->record, "dropped", stats.dropped);
	record_end(&call->record);
}

/* mmu hazard [on [GRACE]|off] */
void mmu_word_hazard(struct mmu_call *call)
{
	struct umbra_err err = {.text = ""};
	struct mmu_hazard *hazard = mmu_watch_hazard(&call->target->mmu, &err);
	const char *word = call->argc ? call->argv[0] : "";
	uint64_t grace = 0;

	if (!hazard) {
		mmu_error(call, call->mmu ? MMU_BACKEND : MMU_NOCAP, "%s", err.text);
		return;
	}
	if (call->argc > 1 && !mmu_parse_number(call, call->argv[1], &grace))
		return;
	if (strcmp(word, "on") == 0 || strcmp(word, "off") == 0) {
		mmu_hazard_set_grace(hazard, grace);
		if (mmu_hazard_set(hazard, word[1] == 'n')) {
			mmu_error(call, MMU_BACKEND, "too many listen to the shadow already");
			return;
		}
	} else if (*word) {
		mmu_error(call, MMU_BADARG, "usage: mmu hazard [on [GRACE]|off]");
		return;
	} else {
		tell_reports(call, hazard);
	}
	tell_state(call, hazard);
}
