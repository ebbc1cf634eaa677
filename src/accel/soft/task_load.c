/* The segment registers of a new task.  The switch is done when this begins: what is wrong with a
 * selector faults in the new task, in front of its first instruction.
 * Source: SDM 3A 7.3 step 13, table 7-1 (checks and their exceptions). */
#include "seg.h"

/* A selector of the LDT finds no table here: LDTR is unusable (set_selectors). */
static void load_ldt(struct soft_cpu *c, uint16_t selector, unsigned ext)
{
	struct seg_pick pick;

	if (seg_is_null(selector))
		return;
	seg_pick(c, selector, X86_EXC_TS, ext, &pick);
	if (pick.seg.s || pick.seg.type != SEG_LDT || !pick.seg.present)
		seg_raise(c, X86_EXC_TS, selector, ext);
	c->ldtr = pick.seg;
}

static void load_code(struct soft_cpu *c, uint16_t selector, unsigned ext)
{
	struct seg_pick pick;
	bool is_allowed;

	seg_pick(c, selector, X86_EXC_TS, ext, &pick);
	is_allowed = seg_is_conforming(&pick.seg) ? pick.seg.dpl <= c->cpl : pick.seg.dpl == c->cpl;
	if (!seg_is_code(&pick.seg) || !is_allowed)
		seg_raise(c, X86_EXC_TS, selector, ext);
	if (!pick.seg.present)
		seg_raise(c, X86_EXC_NP, selector, ext);
	seg_mark_accessed(c, &pick);
	c->seg[X86_CS] = pick.seg;
}

static void load_stack(struct soft_cpu *c, uint16_t selector, unsigned ext)
{
	struct seg_pick pick;

	seg_pick(c, selector, X86_EXC_TS, ext, &pick);
	seg_check_stack(c, &pick, c->cpl, X86_EXC_TS, ext);
	seg_mark_accessed(c, &pick);
	c->seg[X86_SS] = pick.seg;
}

static void load_data(struct soft_cpu *c, unsigned seg, uint16_t selector, unsigned ext)
{
	struct seg_pick pick;

	if (seg_is_null(selector))
		return;
	seg_pick(c, selector, X86_EXC_TS, ext, &pick);
	seg_check_data(c, &pick, c->cpl, X86_EXC_TS, ext);
	seg_mark_accessed(c, &pick);
	c->seg[seg] = pick.seg;
}

/* Until a selector is found good its register is unusable. */
static void set_selectors(struct soft_cpu *c, const struct task_selectors *sel)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		c->seg[i] = seg_null(sel->seg[i]);
	c->ldtr = seg_null(sel->ldt);
	c->cpl = sel->is_v86 ? 3 : sel->seg[X86_CS] & 3;
	c->seg[X86_SS].dpl = c->cpl;
}

void task_load_segments(struct soft_cpu *c, const struct task_selectors *sel, unsigned ext)
{
	static const uint8_t data[] = {X86_DS, X86_ES, X86_FS, X86_GS};

	set_selectors(c, sel);
	soft_mode_changed(c);
	load_ldt(c, sel->ldt, ext);
	if (sel->is_v86) {
		for (unsigned i = 0; i < X86_SEG_COUNT; i++)
			seg_load_v86(c, i, sel->seg[i]);
		return;
	}
	load_code(c, sel->seg[X86_CS], ext);
	load_stack(c, sel->seg[X86_SS], ext);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(data); i++)
		load_data(c, data[i], sel->seg[data[i]], ext);
}
