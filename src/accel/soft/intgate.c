/* Events through the IDT of protected and IA-32e mode: interrupt, trap and task gates.
 * Source: SDM 2A INT n (operation section), SDM 3A 6.10 to 6.14 (IDT, gates, error codes, 64-bit
 * mode), 6.12.1.3 (flags), SDM 3B 17.3.1.1 (RF), 20.3.1 (from virtual-8086 mode). */
#include "access.h"
#include "seg.h"

#define ERROR_IDT 0x2u /* the selector part of an error code is a vector */
#define DR6_BD	  (1ull << 13)

/* Exceptions that are faults, and double fault: RIP is that of the instruction (table 6-1). */
#define FAULTS                                                                                     \
	(1u << X86_EXC_DE | 1u << X86_EXC_BR | 1u << X86_EXC_UD | 1u << X86_EXC_NM |               \
	 1u << X86_EXC_DF | 1u << X86_EXC_TS | 1u << X86_EXC_NP | 1u << X86_EXC_SS |               \
	 1u << X86_EXC_GP | 1u << X86_EXC_PF | 1u << X86_EXC_MF | 1u << X86_EXC_AC |               \
	 1u << X86_EXC_XM)

/* One delivery. */
struct delivery {
	const struct soft_event *event;
	unsigned ext;
	struct seg_gate gate;
	struct seg_pick cs;
	unsigned cpl;  /* of the handler */
	unsigned size; /* of a push in bytes */
};

static bool is_fault(const struct soft_event *event)
{
	if (event->type != EVENT_EXCEPTION || event->vector >= 32)
		return false;
	if (event->vector == X86_EXC_DB)
		return event->dr6 & DR6_BD;
	return FAULTS >> event->vector & 1;
}

/* RFLAGS as they are saved: RF is set for faults, so that an instruction breakpoint does not come
 * again when the handler returns to it. */
static uint64_t saved_flags(const struct soft_cpu *c, const struct soft_event *event)
{
	return soft_rflags(c) | (is_fault(event) ? X86_RFLAGS_RF : 0);
}

/* The gate. */

static bool is_gate(const struct soft_cpu *c, unsigned type)
{
	if (type == SEG_INT_GATE || type == SEG_TRAP_GATE)
		return true;
	return !soft_is_long(c) &&
	       (type == SEG_TASK_GATE || type == SEG_INT_GATE16 || type == SEG_TRAP_GATE16);
}

static void load_gate(struct soft_cpu *c, struct delivery *d)
{
	unsigned size = soft_is_long(c) ? 16 : 8;
	uint32_t offset = d->event->vector * size;
	uint32_t error = d->event->vector * 8u | ERROR_IDT | d->ext;
	struct soft_descriptor desc = {.la = c->idtr.base + offset};

	if (offset + size - 1 > c->idtr.limit)
		soft_raise_error(c, X86_EXC_GP, error);
	if (!soft_is_long(c))
		desc.la = (uint32_t)desc.la;
	desc.low = soft_load_sys(c, desc.la, 8);
	if (size == 16)
		desc.high = soft_load_sys(c, desc.la + 8, 8);
	d->gate = seg_gate_of(&desc);
	if ((desc.low >> 44 & 1) || !is_gate(c, d->gate.type))
		soft_raise_error(c, X86_EXC_GP, error);
	if (exc_is_software(d->event) && d->gate.dpl < c->cpl)
		soft_raise_error(c, X86_EXC_GP, error);
	if (!d->gate.present)
		soft_raise_error(c, X86_EXC_NP, error);
}

/* The handler's code segment; sets the CPL it runs at. */
static void load_code(struct soft_cpu *c, struct delivery *d)
{
	const struct x86_seg *cs = &d->cs.seg;
	bool is_allowed;

	seg_pick(c, d->gate.selector, X86_EXC_GP, d->ext, &d->cs);
	is_allowed = seg_is_code(cs) && cs->dpl <= c->cpl;
	if (soft_is_long(c) && (!cs->l || cs->db))
		is_allowed = false;
	d->cpl = seg_is_conforming(cs) ? c->cpl : cs->dpl;
	/* A handler for virtual-8086 mode runs at ring 0. */
	if (seg_is_v86(c) && d->cpl != 0)
		is_allowed = false;
	if (!is_allowed)
		seg_raise(c, X86_EXC_GP, d->gate.selector, d->ext);
	if (!cs->present)
		seg_raise(c, X86_EXC_NP, d->gate.selector, d->ext);
}

/* Frames. */

static void push_frame(struct soft_cpu *c, struct soft_stack *s, const struct delivery *d)
{
	soft_stack_push(c, s, d->size, saved_flags(c, d->event));
	soft_stack_push(c, s, d->size, c->seg[X86_CS].selector);
	soft_stack_push(c, s, d->size, c->rip);
	if (d->event->has_error)
		soft_stack_push(c, s, d->size, d->event->error);
}

static void push_stack(struct soft_cpu *c, struct soft_stack *s, unsigned size)
{
	soft_stack_push(c, s, size, c->seg[X86_SS].selector);
	soft_stack_push(c, s, size, c->r[X86_RSP]);
}

static void push_v86_segments(struct soft_cpu *c, struct soft_stack *s, unsigned size)
{
	soft_stack_push(c, s, size, c->seg[X86_GS].selector);
	soft_stack_push(c, s, size, c->seg[X86_FS].selector);
	soft_stack_push(c, s, size, c->seg[X86_DS].selector);
	soft_stack_push(c, s, size, c->seg[X86_ES].selector);
}

static void drop_v86_segments(struct soft_cpu *c)
{
	c->seg[X86_GS] = seg_null(0);
	c->seg[X86_FS] = seg_null(0);
	c->seg[X86_DS] = seg_null(0);
	c->seg[X86_ES] = seg_null(0);
}

/* CS, RIP, CPL and flags: the stack is committed. */
static void enter_handler(struct soft_cpu *c, const struct delivery *d)
{
	uint64_t clear = X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_VM;
	bool is_interrupt = d->gate.type == SEG_INT_GATE || d->gate.type == SEG_INT_GATE16;

	c->rflags &= ~(is_interrupt ? clear | X86_RFLAGS_IF : clear);
	seg_enter_code(c, &d->cs.seg, d->cpl, d->gate.offset);
}

static void deliver_same(struct soft_cpu *c, struct delivery *d)
{
	struct soft_stack s;

	soft_stack_open(c, &s);
	s.fault_error = (uint16_t)d->ext;
	seg_check_target(c, &d->cs.seg, d->gate.offset, d->ext);
	push_frame(c, &s, d);
	seg_mark_accessed(c, &d->cs);
	soft_stack_commit(c, &s);
	enter_handler(c, d);
}

static void deliver_inner(struct soft_cpu *c, struct delivery *d)
{
	bool is_v86 = seg_is_v86(c);
	struct soft_stack s;
	struct seg_pick ss;

	stack_pick_inner(c, d->cpl, d->ext, &s, &ss);
	seg_check_target(c, &d->cs.seg, d->gate.offset, d->ext);
	if (is_v86)
		push_v86_segments(c, &s, d->size);
	push_stack(c, &s, d->size);
	push_frame(c, &s, d);
	seg_mark_accessed(c, &ss);
	seg_mark_accessed(c, &d->cs);
	stack_commit_ss(c, &ss.seg, s.rsp, false);
	if (is_v86)
		drop_v86_segments(c);
	enter_handler(c, d);
}

/* IA-32e mode: SS and RSP are always pushed, on a stack aligned to 16 bytes; SS becomes null when
 * the ring changes (SDM 3A 6.14.2 to 6.14.5). */
static void deliver_long(struct soft_cpu *c, struct delivery *d)
{
	bool is_inner = d->cpl != c->cpl;
	struct x86_seg ss = is_inner ? seg_null_stack((uint16_t)d->cpl, d->cpl) : c->seg[X86_SS];
	uint64_t rsp = c->r[X86_RSP];
	struct soft_stack s;

	if (is_inner || d->gate.ist)
		rsp = stack_load_rsp(c, d->cpl, d->gate.ist, d->ext);
	s = stack_of(&ss, rsp & ~15ull, is_inner, true);
	s.fault_error = (uint16_t)d->ext;
	seg_check_target(c, &d->cs.seg, d->gate.offset, d->ext);
	push_stack(c, &s, 8);
	push_frame(c, &s, d);
	seg_mark_accessed(c, &d->cs);
	stack_commit_ss(c, &ss, s.rsp, true);
	enter_handler(c, d);
}

static void deliver_task(struct soft_cpu *c, const struct delivery *d)
{
	struct task_switch task = {
		.cause = TASK_EVENT,
		.selector = d->gate.selector,
		.ext = d->ext,
		.flags = saved_flags(c, d->event),
		.has_error = d->event->has_error,
		.error = d->event->error,
	};

	task_pick(c, task.selector, d->ext, &task.tss);
	task_switch(c, &task);
}

void intgate_deliver(struct soft_cpu *c, const struct soft_event *event)
{
	struct delivery d = {.event = event, .ext = !exc_is_software(event), .size = 8};

	load_gate(c, &d);
	if (d.gate.type == SEG_TASK_GATE) {
		deliver_task(c, &d);
		return;
	}
	load_code(c, &d);
	if (soft_is_long(c)) {
		deliver_long(c, &d);
		return;
	}
	d.size = d.gate.type == SEG_INT_GATE || d.gate.type == SEG_TRAP_GATE ? 4 : 2;
	if (d.size == 2)
		d.gate.offset &= 0xffff;
	if (d.cpl != c->cpl)
		deliver_inner(c, &d);
	else
		deliver_same(c, &d);
}
