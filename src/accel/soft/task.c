/* Hardware task switch by JMP, CALL, IRET, interrupts and exceptions.  There is none in IA-32e
 * mode. Source: SDM 3A 7.2 (TSS, task gates), 7.3 (steps of a switch, table 7-1), 7.4 (back link,
 * NT and busy flags, table 7-2), 7.6 (16-bit TSS), 17.3.1.5 of 3B (T flag). */
#include "access.h"
#include "points.h"
#include "seg.h"

#define TSS_LINK 0x00
#define TSS_CR3	 0x1c /* 32-bit TSS only, as is: */
#define TSS_TRAP 0x64

#define DR6_BT	  (1ull << 15)
#define DR7_LOCAL 0x155ull /* L0 to L3, LE */

#define TASK_GPRS 8u

/* Where things lie in a TSS (SDM 3A figures 7-2, 7-10).  General and segment registers are in the
 * order of their encoding. */
struct layout {
	uint32_t min_limit;
	unsigned width; /* of each field in bytes; selectors use two of them */
	unsigned ip, flags, gpr, seg, seg_count, ldt;
};
static const struct layout layout16 = {0x2b, 2, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a};
static const struct layout layout32 = {0x67, 4, 0x20, 0x24, 0x28, 0x48, 6, 0x60};

/* What a switch loads. */
struct task_image {
	uint32_t cr3, ip, flags;
	uint32_t gpr[TASK_GPRS];
	struct task_selectors sel;
	bool trap; /* T: debug exception when the task begins */
};

static bool is_tss16(const struct x86_seg *tss)
{
	return (tss->type & ~SEG_BUSY) == SEG_TSS16;
}

static const struct layout *layout_of(const struct x86_seg *tss)
{
	return is_tss16(tss) ? &layout16 : &layout32;
}

static uint32_t tss_load(struct soft_cpu *c, const struct x86_seg *tss, unsigned at, unsigned size)
{
	return (uint32_t)soft_load_sys(c, (uint32_t)(tss->base + at), size);
}

static void tss_store(struct soft_cpu *c, const struct x86_seg *tss, unsigned at, unsigned size,
		      uint64_t value)
{
	soft_store_sys(c, (uint32_t)(tss->base + at), size, value);
}

/* Finding the new TSS. */

void task_pick(struct soft_cpu *c, uint16_t selector, unsigned ext, struct seg_pick *out_tss)
{
	const struct x86_seg *tss = &out_tss->seg;

	if (selector & SEG_LOCAL)
		seg_raise(c, X86_EXC_GP, selector, ext);
	seg_pick(c, selector, X86_EXC_GP, ext, out_tss);
	if (tss->s || (tss->type != SEG_TSS && tss->type != SEG_TSS16))
		seg_raise(c, X86_EXC_GP, selector, ext);
	if (!tss->present)
		seg_raise(c, X86_EXC_NP, selector, ext);
}

void task_return(struct soft_cpu *c)
{
	struct task_switch t = {.cause = TASK_RETURN, .flags = soft_rflags(c) & ~X86_RFLAGS_NT};
	const struct x86_seg *tss = &t.tss.seg;

	t.selector = (uint16_t)tss_load(c, &c->tr, TSS_LINK, 2);
	if (t.selector & SEG_LOCAL)
		seg_raise(c, X86_EXC_TS, t.selector, 0);
	seg_pick(c, t.selector, X86_EXC_TS, 0, &t.tss);
	if (tss->s || (tss->type != SEG_TSS_BUSY && tss->type != SEG_TSS16_BUSY))
		seg_raise(c, X86_EXC_TS, t.selector, 0);
	if (!tss->present)
		seg_raise(c, X86_EXC_NP, t.selector, 0);
	task_switch(c, &t);
}

/* Busy flags.  @la: of the descriptor. */

static void set_busy(struct soft_cpu *c, gva_t la, bool is_busy)
{
	uint64_t byte = soft_load_sys(c, la + 5, 1);

	soft_store_sys(c, la + 5, 1, is_busy ? byte | SEG_BUSY : byte & ~(uint64_t)SEG_BUSY);
}

/* A store of what is there already: whatever would fault later faults now. */
static void probe_descriptor(struct soft_cpu *c, gva_t la)
{
	soft_store_sys(c, la + 5, 1, soft_load_sys(c, la + 5, 1));
}

static gva_t old_descriptor(const struct soft_cpu *c)
{
	return (uint32_t)(c->gdtr.base + (c->tr.selector & 0xfff8u));
}

static bool leaves_old_busy(const struct task_switch *t)
{
	return t->cause == TASK_CALL || t->cause == TASK_EVENT;
}

/* Up to the commit: all faults are the old task's. */

static void check_limits(struct soft_cpu *c, const struct task_switch *t)
{
	if (t->tss.seg.limit < layout_of(&t->tss.seg)->min_limit)
		seg_raise(c, X86_EXC_TS, t->selector, t->ext);
	if (c->tr.limit < layout_of(&c->tr)->min_limit)
		seg_raise(c, X86_EXC_TS, c->tr.selector, t->ext);
}

static void save_old(struct soft_cpu *c, const struct task_switch *t)
{
	const struct layout *l = layout_of(&c->tr);

	tss_store(c, &c->tr, l->ip, l->width, c->rip);
	tss_store(c, &c->tr, l->flags, l->width, t->flags);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		tss_store(c, &c->tr, l->gpr + i * l->width, l->width, c->r[i]);
	for (unsigned i = 0; i < l->seg_count; i++)
		tss_store(c, &c->tr, l->seg + i * l->width, 2, c->seg[i].selector);
}

static void load_new(struct soft_cpu *c, const struct x86_seg *tss, struct task_image *img)
{
	const struct layout *l = layout_of(tss);

	img->ip = tss_load(c, tss, l->ip, l->width);
	img->flags = tss_load(c, tss, l->flags, l->width);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		img->gpr[i] = tss_load(c, tss, l->gpr + i * l->width, l->width);
	for (unsigned i = 0; i < l->seg_count; i++)
		img->sel.seg[i] = (uint16_t)tss_load(c, tss, l->seg + i * l->width, 2);
	img->sel.ldt = (uint16_t)tss_load(c, tss, l->ldt, 2);
	img->sel.is_v86 = img->flags & X86_RFLAGS_VM;
	if (is_tss16(tss))
		return;
	img->cr3 = tss_load(c, tss, TSS_CR3, 4);
	img->trap = tss_load(c, tss, TSS_TRAP, 2) & 1;
}

/* The commit. */

static void load_cr3(struct soft_cpu *c, const struct task_switch *t, const struct task_image *img)
{
	bool is_good = true;

	if (!(c->cr0 & X86_CR0_PG) || is_tss16(&t->tss.seg))
		return;
	c->cr3 = img->cr3;
	if (c->cr4 & X86_CR4_PAE)
		is_good = mmu_load_pdptes(c->vm->mmu, c->cr3, c->pdpte);
	soft_paging_changed(c, MMU_LOAD_CR3);
	if (!is_good)
		soft_raise_error(c, X86_EXC_GP, t->ext);
}

static void commit(struct soft_cpu *c, const struct task_switch *t, const struct task_image *img)
{
	uint64_t nested = leaves_old_busy(t) ? X86_RFLAGS_NT : 0;

	if (!leaves_old_busy(t))
		set_busy(c, old_descriptor(c), false);
	if (t->cause != TASK_RETURN)
		set_busy(c, t->tss.desc.la, true);
	/* Faults from here on find the new task in front of its first instruction. */
	c->cur = NULL;
	c->rip = img->ip;
	c->tr = t->tss.seg;
	c->tr.type |= SEG_BUSY;
	for (unsigned i = 0; i < TASK_GPRS; i++)
		c->r[i] = img->gpr[i];
	soft_set_rflags(c, img->flags | nested);
	c->cr0 |= X86_CR0_TS;
	c->dr[7] &= ~DR7_LOCAL;
	soft_points_guest_changed(c);
	c->trap_tf = false;
	soft_mode_changed(c);
}

/* After the commit. */

static void push_error(struct soft_cpu *c, const struct task_switch *t)
{
	struct soft_stack s;

	soft_stack_open(c, &s);
	s.fault_error = (uint16_t)t->ext;
	soft_stack_push(c, &s, layout_of(&t->tss.seg)->width, t->error);
	soft_stack_commit(c, &s);
}

static void begin_task(struct soft_cpu *c, const struct task_switch *t,
		       const struct task_image *img)
{
	load_cr3(c, t, img);
	task_load_segments(c, &img->sel, t->ext);
	if (t->has_error)
		push_error(c, t);
	seg_check_target(c, &c->seg[X86_CS], c->rip, t->ext);
	if (!img->trap)
		return;
	c->event = (struct soft_event){
		.type = EVENT_EXCEPTION, .vector = X86_EXC_DB, .dr6 = DR6_BT, .rip = c->rip};
	c->has_event = true;
}

void task_switch(struct soft_cpu *c, const struct task_switch *t)
{
	struct task_image img = {0};

	check_limits(c, t);
	probe_descriptor(c, t->tss.desc.la);
	probe_descriptor(c, old_descriptor(c));
	save_old(c, t);
	load_new(c, &t->tss.seg, &img);
	if (leaves_old_busy(t))
		tss_store(c, &t->tss.seg, TSS_LINK, 2, c->tr.selector);
	commit(c, t, &img);
	begin_task(c, t, &img);
}
