/* `mmu inject`: break the shadow, to see `mmu verify` find it.  Test builds only. */
#include "mon_mmu.h"

#ifdef UMBRA_INJECT

/* mmu inject spte|rmap|wp GVA */
void mmu_word_inject(struct mmu_call *call)
{
	static const struct {
		const char *name;
		enum mmu_injection what;
	} kinds[] = {{"spte", MMU_INJECT_SPTE}, {"rmap", MMU_INJECT_RMAP}, {"wp", MMU_INJECT_WP}};
	uint64_t gva;
	size_t i = 0;

	if (!mmu_needs_shadow(call) || !mmu_parse_number(call, call->argv[1], &gva))
		return;
	while (i < UMBRA_ARRAY_SIZE(kinds) && strcmp(kinds[i].name, call->argv[0]) != 0)
		i++;
	if (i == UMBRA_ARRAY_SIZE(kinds)) {
		mmu_error(call, MMU_BADARG, "inject breaks spte, rmap or wp, not '%s'",
			  call->argv[0]);
		return;
	}
	if (mmu_inject(call->mmu, call->cpu, kinds[i].what, gva)) {
		mmu_error(call, MMU_NOTPRESENT,
			  "the shadow has no such entry; wp wants the address of a table");
		return;
	}
	record_begin(&call->record, "inject");
	record_string(&call->record, "broke", kinds[i].name);
	record_hex(&call->record, "gva", gva);
	record_end(&call->record);
}

#endif
