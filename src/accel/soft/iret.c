/* Software interrupts and IRET; the table of the rows of both and of the fast system calls.
 * Source: SDM 2A INT n/INTO/INT3/INT1 and IRET/IRETD/IRETQ (operation sections), SDM 3A 6.7.1 (IRET
 * lets NMIs in again), SDM 3B 20.2.7 (virtual-8086 mode). */
#include "catch.h"
#include "exc.h"
#include "points.h"
#include "seg.h"
#include "syscall.h"
#include "translate.h"

/* What IRET may change, beside IF and IOPL: with a 16-bit operand, and with a larger one too. */
#define FLAGS16	      (X86_RFLAGS_STATUS | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_NT)
#define FLAGS32	      (FLAGS16 | X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_ID)
#define FLAGS_VIRTUAL (X86_RFLAGS_VIF | X86_RFLAGS_VIP)

/* Software interrupts: a fault on the way to the handler is one of the instruction. */

static void interrupt(struct soft_cpu *c, enum soft_event_type type, uint8_t vector)
{
	struct soft_event event = {.type = type, .vector = vector, .rip = soft_rip(c)};

	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_int(c, type, vector);
	/* INT1 is a debug exception, and takes along one that waits behind a load of SS. */
	if (type == EVENT_ICEBP)
		event.dr6 = soft_points_take_guest(c);
	soft_exc_deliver(c, &event);
}

/* imm: vector.  CR4.VME, which would send some to the 8086 program, does not exist here. */
static void int_n(struct soft_cpu *c, const struct insn *i)
{
	if (seg_is_v86(c) && seg_iopl(c) < 3)
		soft_raise_error(c, X86_EXC_GP, 0);
	interrupt(c, EVENT_SOFT_INT, (uint8_t)i->imm);
}
SOFT_PLAIN_END(int_n)

static void int3(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	interrupt(c, EVENT_SOFT_EXC, X86_EXC_BP);
}
SOFT_PLAIN_END(int3)

static void into(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	if (soft_rflags(c) & X86_RFLAGS_OF)
		interrupt(c, EVENT_SOFT_EXC, X86_EXC_OF);
}
SOFT_PLAIN_END(into)

static void int1(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	interrupt(c, EVENT_ICEBP, X86_EXC_DB);
}
SOFT_PLAIN_END(int1)

/* IRET. */

/* What was popped. */
struct frame {
	unsigned size; /* of each in bytes */
	uint64_t rip, flags;
	uint16_t cs;
};

static void pop_frame(struct soft_cpu *c, struct soft_stack *s, struct frame *f)
{
	f->rip = soft_stack_pop(c, s, f->size);
	f->cs = (uint16_t)soft_stack_pop(c, s, f->size);
	f->flags = soft_stack_pop(c, s, f->size);
}

static void change_flags(struct soft_cpu *c, uint64_t flags, uint64_t mask)
{
	soft_set_rflags(c, (soft_rflags(c) & ~mask) | (flags & mask));
}

/* The flags that the current privilege lets IRET change. */
static uint64_t flags_mask_of(const struct soft_cpu *c, unsigned size)
{
	uint64_t mask = size == 2 ? FLAGS16 : FLAGS32;

	if (c->cpl <= seg_iopl(c))
		mask |= X86_RFLAGS_IF;
	if (c->cpl == 0)
		mask |= size == 2 ? X86_RFLAGS_IOPL : X86_RFLAGS_IOPL | FLAGS_VIRTUAL;
	return mask;
}

static void iret_real(struct soft_cpu *c, struct soft_stack *s, struct frame *f)
{
	uint64_t mask = f->size == 2 ? FLAGS16 : FLAGS32;

	pop_frame(c, s, f);
	if (f->rip > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	change_flags(c, f->flags, mask | X86_RFLAGS_IF | X86_RFLAGS_IOPL);
	seg_load_real(c, X86_CS, f->cs);
	soft_stack_commit(c, s);
	c->rip = f->rip;
	soft_mode_changed(c);
}

static void iret_v86(struct soft_cpu *c, struct soft_stack *s, struct frame *f)
{
	if (seg_iopl(c) < 3)
		soft_raise_error(c, X86_EXC_GP, 0);
	pop_frame(c, s, f);
	if (f->rip > c->seg[X86_CS].limit)
		soft_raise_error(c, X86_EXC_GP, 0);
	change_flags(c, f->flags, (f->size == 2 ? FLAGS16 : FLAGS32) | X86_RFLAGS_IF);
	seg_load_v86(c, X86_CS, f->cs);
	soft_stack_commit(c, s);
	c->rip = f->rip;
	soft_mode_changed(c);
}

static void iret_to_v86(struct soft_cpu *c, struct soft_stack *s, const struct frame *f)
{
	static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
	uint32_t esp = (uint32_t)soft_stack_pop(c, s, 4);
	uint16_t selector[UMBRA_ARRAY_SIZE(order)];

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(order); i++)
		selector[i] = (uint16_t)soft_stack_pop(c, s, 4);
	if (f->rip > 0xffff)
		soft_raise_error(c, X86_EXC_GP, 0);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(order); i++)
		seg_load_v86(c, order[i], selector[i]);
	seg_load_v86(c, X86_CS, f->cs);
	soft_set_rflags(c, (uint32_t)f->flags);
	c->r[X86_RSP] = esp;
	c->cpl = 3;
	c->rip = f->rip;
	soft_mode_changed(c);
}

/* 64-bit mode pops SS and RSP always, the others when the ring changes. */
static void iret_protected(struct soft_cpu *c, struct soft_stack *s, const struct frame *f)
{
	struct far_return r = {.rip = f->rip};
	bool has_stack;

	return_pick_cs(c, f->cs, &r);
	has_stack = r.cpl > c->cpl || soft_is_code64(c);
	if (has_stack) {
		r.rsp = soft_stack_pop(c, s, f->size);
		return_pick_ss(c, (uint16_t)soft_stack_pop(c, s, f->size), &r);
	}
	seg_check_target(c, &r.cs.seg, r.rip, 0);
	return_mark_accessed(c, &r);
	change_flags(c, f->flags, flags_mask_of(c, f->size));
	if (!has_stack)
		soft_stack_commit(c, s);
	return_commit(c, &r, has_stack);
}

static bool is_frame_of_v86(const struct soft_cpu *c, const struct frame *f)
{
	return f->size == 4 && (f->flags & X86_RFLAGS_VM) && c->cpl == 0 && !soft_is_long(c);
}

/* imm: operand size in bytes. */
static void iret(struct soft_cpu *c, const struct insn *i)
{
	struct frame f = {.size = (unsigned)i->imm};
	struct soft_stack s;

	/* Even when it faults (SDM 3A 6.7.1). */
	c->nmi_blocked = false;
	soft_stack_open(c, &s);
	if (!(c->cr0 & X86_CR0_PE)) {
		iret_real(c, &s, &f);
		return;
	}
	if (seg_is_v86(c)) {
		iret_v86(c, &s, &f);
		return;
	}
	if (c->rflags & X86_RFLAGS_NT) {
		if (soft_is_long(c))
			soft_raise_error(c, X86_EXC_GP, 0);
		task_return(c);
		return;
	}
	pop_frame(c, &s, &f);
	if (is_frame_of_v86(c, &f))
		iret_to_v86(c, &s, &f);
	else
		iret_protected(c, &s, &f);
	if (SOFT_UNLIKELY(c->debug.catch != NULL) && c->cpl == 3)
		soft_catch_return(c, false);
}
SOFT_PLAIN_END(iret)

/* Rows. */

static bool emit_end(struct tr *t, soft_op_fn *fn, uint64_t imm)
{
	tr_slot(t, fn)->imm = imm;
	t->is_end = true;
	return true;
}

static bool emit_int(struct tr *t)
{
	return emit_end(t, op_int_n, t->op[0].imm.value.u & 0xff);
}

static bool emit_int3(struct tr *t)
{
	return emit_end(t, op_int3, 0);
}

static bool emit_into(struct tr *t)
{
	return emit_end(t, op_into, 0);
}

static bool emit_int1(struct tr *t)
{
	return emit_end(t, op_int1, 0);
}

static bool emit_iret(struct tr *t)
{
	return emit_end(t, op_iret, t->operand_bits / 8);
}

static const struct soft_row rows[] = {
	{ZYDIS_MNEMONIC_INT, ROW_END, emit_int},
	{ZYDIS_MNEMONIC_INT3, ROW_END, emit_int3},
	{ZYDIS_MNEMONIC_INTO, ROW_END | ROW_NO64, emit_into},
	{ZYDIS_MNEMONIC_INT1, ROW_END, emit_int1},
	{ZYDIS_MNEMONIC_IRET, ROW_END, emit_iret},
	{ZYDIS_MNEMONIC_IRETD, ROW_END, emit_iret},
	{ZYDIS_MNEMONIC_IRETQ, ROW_END, emit_iret},
	{ZYDIS_MNEMONIC_SYSCALL, ROW_END, syscall_emit_syscall},
	{ZYDIS_MNEMONIC_SYSRET, ROW_END, syscall_emit_sysret},
	{ZYDIS_MNEMONIC_SYSENTER, ROW_END, syscall_emit_sysenter},
	{ZYDIS_MNEMONIC_SYSEXIT, ROW_END, syscall_emit_sysexit},
};

const struct soft_rows soft_rows_int = {rows, UMBRA_ARRAY_SIZE(rows)};
