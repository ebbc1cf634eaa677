/* Exceptions and interrupts: what every delivery does, the IVT of real mode, and what two faults at
 * once make.
 * Source: SDM 3A 6.7.1 (NMI), 6.8.1 and 6.15 (double fault, table 6-5), 20.1.4 (real mode), SDM 3B
 * 17.2.3 (DR6). */
#include "exc.h"
#include "access.h"
#include "seg.h"

#define DR6_TRAPS 0xfull /* B0 to B3: of this exception only; the other bits are sticky */
#define DR7_GD	  (1ull << 13)

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum fault_class class_of(const struct soft_event *event)
{
	if (event->type != EVENT_EXCEPTION)
		return CLASS_BENIGN;
	switch (event->vector) {
	case X86_EXC_DE:
	case X86_EXC_TS:
	case X86_EXC_NP:
	case X86_EXC_SS:
	case X86_EXC_GP:
		return CLASS_CONTRIBUTORY;
	case X86_EXC_PF:
		return CLASS_PAGE_FAULT;
	case X86_EXC_DF:
		return CLASS_DOUBLE_FAULT;
	default:
		return CLASS_BENIGN;
	}
}

bool soft_exc_merge(const struct soft_event *first, struct soft_event *second)
{
	enum fault_class now = class_of(second);
	bool is_double = false;

	switch (class_of(first)) {
	case CLASS_BENIGN:
		break;
	case CLASS_CONTRIBUTORY:
		is_double = now == CLASS_CONTRIBUTORY;
		break;
	case CLASS_PAGE_FAULT:
		is_double = now == CLASS_CONTRIBUTORY || now == CLASS_PAGE_FAULT;
		break;
	case CLASS_DOUBLE_FAULT:
		return now == CLASS_BENIGN;
	}
	if (!is_double)
		return true;
	*second = (struct soft_event){
		.type = EVENT_EXCEPTION,
		.vector = X86_EXC_DF,
		.has_error = true,
		.cr2 = second->cr2,
		.has_cr2 = now == CLASS_PAGE_FAULT,
		.rip = second->rip,
	};
	return true;
}

/* Registers that tell of the event, whatever becomes of its delivery. */
static void note_event(struct soft_cpu *c, const struct soft_event *event)
{
	if (event->type == EVENT_NMI)
		c->nmi_blocked = true;
	if (event->type != EVENT_EXCEPTION && event->type != EVENT_ICEBP)
		return;
	if (event->vector == X86_EXC_PF || event->has_cr2)
		c->cr2 = event->cr2;
	if (event->vector == X86_EXC_DB) {
		c->dr[6] = (c->dr[6] & ~DR6_TRAPS) | event->dr6;
		c->dr[7] &= ~DR7_GD;
	}
}

/* Handlers at CS:IP; the frame is of words on the current stack, and no error code is in it. */
static void deliver_real(struct soft_cpu *c, const struct soft_event *event)
{
	uint32_t offset = event->vector * 4u;
	uint64_t clear = X86_RFLAGS_IF | X86_RFLAGS_TF | X86_RFLAGS_AC | X86_RFLAGS_RF;
	gva_t la = (uint32_t)(c->idtr.base + offset);
	struct soft_stack s;
	uint64_t rip;
	uint16_t cs;

	if (offset + 3 > c->idtr.limit)
		soft_raise_error(c, X86_EXC_GP, event->vector * 8u + 2);
	rip = soft_load_sys(c, la, 2);
	cs = (uint16_t)soft_load_sys(c, la + 2, 2);
	if (rip > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	soft_stack_open(c, &s);
	soft_stack_push(c, &s, 2, soft_rflags(c));
	soft_stack_push(c, &s, 2, c->seg[X86_CS].selector);
	soft_stack_push(c, &s, 2, c->rip);
	soft_stack_commit(c, &s);
	c->rflags &= ~clear;
	seg_load_real(c, X86_CS, cs);
	c->rip = rip;
	soft_mode_changed(c);
}

void soft_exc_deliver(struct soft_cpu *c, const struct soft_event *event)
{
	note_event(c, event);
	if (c->cr0 & X86_CR0_PE)
		intgate_deliver(c, event);
	else
		deliver_real(c, event);
	c->in_int_shadow = false;
	c->in_debug_shadow = false;
	c->trap_tf = false;
	c->left_repeat_at = ~0ull;
}
