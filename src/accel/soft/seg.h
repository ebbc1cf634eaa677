/* Segments, stacks and privilege: what seg.c, stack.c, far.c, gate.c, return.c, exc.c, intgate.c,
 * iret.c, syscall.c, task.c and task_load.c share.
 *
 * @ext, here and there, is bit 0 of error codes: 1 while an event is delivered that the program did
 * not ask for (SDM 3A 6.13).  Functions that "raise" do not return then, and have changed nothing
 * but accessed bits. */
#ifndef SOFT_SEG_H
#define SOFT_SEG_H

#include "cpu.h"

/* Segmentation (seg.c). */

/* Linear address of @len bytes at @offset in @seg (enum x86_seg_reg) for a data access.  Raises #SS
 * for SS, #GP else: limit, type, null selector, not canonical.  In 64-bit mode only FS and GS have
 * bases and there is no limit.  @offset is already truncated to the address size. */
gva_t soft_seg_address(struct soft_cpu *c, unsigned seg, uint64_t offset, unsigned len,
		       bool is_write);
/* Load a segment register with all checks (SDM 2B MOV, 3A 5.6): DS, ES, FS, GS, SS; not CS. */
void soft_load_segment(struct soft_cpu *c, unsigned seg, uint16_t selector);
/* Descriptor tables.  Raise #GP(selector) beyond the limit, or @vector instead of #GP. */
struct soft_descriptor {
	uint64_t low, high; /* high: 16-byte descriptors of IA-32e mode */
	gva_t la;	    /* where it lies */
};
void soft_load_descriptor(struct soft_cpu *c, uint16_t selector, enum x86_vector vector,
			  struct soft_descriptor *out_desc);
/* The same without a fault: false when the selector is null or lies beyond its table (LAR, LSL,
 * VERR, VERW).  16-byte descriptors of IA-32e mode are read whole. */
bool soft_find_descriptor(struct soft_cpu *c, uint16_t selector, struct soft_descriptor *out_desc);
struct x86_seg soft_seg_of(const struct soft_descriptor *desc, uint16_t selector);

/* Stack of the current SS with its width (far.c): plain functions that push several values work on
 * a copy of RSP and commit at the end. */
struct soft_stack {
	uint64_t rsp;  /* moves with each push and pop */
	uint64_t base; /* SS.base, 0 in 64-bit mode */
	uint64_t mask; /* 0xffff, 0xffffffff or ~0 */
	struct x86_seg ss;
	bool is_sys; /* supervisor access whatever the CPL: the new stack of a gate */
	bool is_code64;
	uint16_t fault_error; /* error code of #SS */
};
void soft_stack_open(struct soft_cpu *c, struct soft_stack *out_stack);
void soft_stack_push(struct soft_cpu *c, struct soft_stack *s, unsigned size, uint64_t value);
uint64_t soft_stack_pop(struct soft_cpu *c, struct soft_stack *s, unsigned size);
void soft_stack_commit(struct soft_cpu *c, const struct soft_stack *s);

/* Types of system descriptors (SDM 3A 3.5, table 3-2).  In IA-32e mode those without "16" are the
 * 64-bit forms and the others do not exist. */
enum seg_system_type {
	SEG_TSS16 = 0x1,
	SEG_LDT = 0x2,
	SEG_TSS16_BUSY = 0x3,
	SEG_CALL_GATE16 = 0x4,
	SEG_TASK_GATE = 0x5,
	SEG_INT_GATE16 = 0x6,
	SEG_TRAP_GATE16 = 0x7,
	SEG_TSS = 0x9,
	SEG_TSS_BUSY = 0xb,
	SEG_CALL_GATE = 0xc,
	SEG_INT_GATE = 0xe,
	SEG_TRAP_GATE = 0xf
};
#define SEG_BUSY 0x2u /* of the four types of a TSS */

/* Type bits of code and data descriptors (SDM 3A 3.4.5.1, table 3-1). */
#define SEG_ACCESSED   0x1u
#define SEG_WRITABLE   0x2u /* data */
#define SEG_READABLE   0x2u /* code */
#define SEG_DOWN       0x4u /* data: expands down */
#define SEG_CONFORMING 0x4u /* code */
#define SEG_CODE       0x8u

#define SEG_DATA_RW (SEG_WRITABLE | SEG_ACCESSED)
#define SEG_CODE_RX (SEG_CODE | SEG_READABLE | SEG_ACCESSED)

#define SEG_INDEX_MASK 0xfffcu /* selector without RPL: what an error code holds */
#define SEG_LOCAL      0x4u    /* selector of the LDT */

/* A descriptor and what it makes of a segment register. */
struct seg_pick {
	struct soft_descriptor desc;
	struct x86_seg seg;
};

/* A gate descriptor (SDM 3A 5.8.3, 6.11, 6.14.1). */
struct seg_gate {
	uint8_t type;
	uint8_t dpl;
	bool present;
	uint16_t selector;
	uint64_t offset;
	uint8_t params; /* call gate: count of parameters */
	uint8_t ist;	/* 64-bit interrupt gate */
};

static inline bool seg_is_null(uint16_t selector)
{
	return (selector & SEG_INDEX_MASK) == 0;
}

static inline bool seg_is_code(const struct x86_seg *seg)
{
	return seg->s && (seg->type & SEG_CODE);
}

static inline bool seg_is_conforming(const struct x86_seg *seg)
{
	return seg_is_code(seg) && (seg->type & SEG_CONFORMING);
}

static inline bool seg_is_writable(const struct x86_seg *seg)
{
	return seg->s && !(seg->type & SEG_CODE) && (seg->type & SEG_WRITABLE);
}

static inline bool seg_is_readable(const struct x86_seg *seg)
{
	return seg->s && (!(seg->type & SEG_CODE) || (seg->type & SEG_READABLE));
}

static inline bool seg_is_v86(const struct soft_cpu *c)
{
	return (c->cr0 & X86_CR0_PE) && (c->rflags & X86_RFLAGS_VM);
}

static inline unsigned seg_iopl(const struct soft_cpu *c)
{
	return (unsigned)(c->rflags & X86_RFLAGS_IOPL) >> 12;
}

/* seg.c */

/* Raise @vector with @selector as the error code. */
_Noreturn void seg_raise(struct soft_cpu *c, enum x86_vector vector, uint16_t selector,
			 unsigned ext);
bool seg_is_canonical(const struct soft_cpu *c, uint64_t va);
/* True when @len bytes at @offset lie inside @seg's limit, whichever way it expands. */
bool seg_holds(const struct x86_seg *seg, uint64_t offset, unsigned len);
/* The descriptor of @selector; raises @vector when it is null or beyond its table. */
void seg_pick(struct soft_cpu *c, uint16_t selector, enum x86_vector vector, unsigned ext,
	      struct seg_pick *out_pick);
struct seg_gate seg_gate_of(const struct soft_descriptor *desc);
/* Set the accessed bit in the descriptor of a code or data segment and in @pick->seg. */
void seg_mark_accessed(struct soft_cpu *c, struct seg_pick *pick);
/* May @pick be SS at privilege @cpl?  Raises @vector, or #SS when it is not present. */
void seg_check_stack(struct soft_cpu *c, const struct seg_pick *pick, unsigned cpl,
		     enum x86_vector vector, unsigned ext);
/* May @pick be DS, ES, FS or GS at privilege @cpl?  Raises @vector, or #NP. */
void seg_check_data(struct soft_cpu *c, const struct seg_pick *pick, unsigned cpl,
		    enum x86_vector vector, unsigned ext);
/* Raises #GP unless RIP may be @offset in code segment @cs. */
void seg_check_target(struct soft_cpu *c, const struct x86_seg *cs, uint64_t offset, unsigned ext);
/* What a null selector leaves in a data segment register, and in SS at privilege @cpl. */
struct x86_seg seg_null(uint16_t selector);
struct x86_seg seg_null_stack(uint16_t selector, unsigned cpl);
/* Load a segment register as real and virtual-8086 mode do (SDM 3A 20.1.1, 20.2.1). */
void seg_load_real(struct soft_cpu *c, unsigned seg, uint16_t selector);
void seg_load_v86(struct soft_cpu *c, unsigned seg, uint16_t selector);
/* Go to @offset in @cs at privilege @cpl: commits CS, CPL and RIP. */
void seg_enter_code(struct soft_cpu *c, const struct x86_seg *cs, unsigned cpl, uint64_t offset);

/* stack.c */

/* A stack of its own beside the current one. */
struct soft_stack stack_of(const struct x86_seg *ss, uint64_t rsp, bool is_sys, bool is_code64);
/* The stack for privilege @cpl of a 16- or 32-bit TSS, checked; raises #TS or #SS.  @out_ss is not
 * yet marked accessed. */
void stack_pick_inner(struct soft_cpu *c, unsigned cpl, unsigned ext, struct soft_stack *out_stack,
		      struct seg_pick *out_ss);
/* A stack pointer of the 64-bit TSS: RSP0 to RSP2, or IST1 to IST7 when @ist is not 0. */
uint64_t stack_load_rsp(struct soft_cpu *c, unsigned cpl, unsigned ist, unsigned ext);
/* Commit SS and RSP; the width of @ss says how much of RSP changes, all of it for 64-bit code. */
void stack_commit_ss(struct soft_cpu *c, const struct x86_seg *ss, uint64_t rsp, bool is_code64);

/* gate.c */

/* A far JMP or CALL. */
struct far_target {
	uint16_t selector;
	uint64_t offset;
	unsigned size; /* of the operand in bytes: 2, 4 or 8 */
	bool is_call;
};
void far_transfer(struct soft_cpu *c, const struct far_target *target);

/* return.c */

/* Where a far RET or an IRET goes. */
struct far_return {
	uint64_t rip;
	struct seg_pick cs;
	unsigned cpl; /* the RPL of its CS */
	struct x86_seg ss;
	struct seg_pick ss_pick; /* when SS is not null */
	uint64_t rsp;
};
/* Pick and check CS of a return; sets cs and cpl. */
void return_pick_cs(struct soft_cpu *c, uint16_t selector, struct far_return *r);
/* Pick and check SS of a return whose CS is known; sets ss and ss_pick. */
void return_pick_ss(struct soft_cpu *c, uint16_t selector, struct far_return *r);
/* The accessed bits of what was picked. */
void return_mark_accessed(struct soft_cpu *c, struct far_return *r);
/* Commit CS, RIP and CPL and, with @has_stack, SS and RSP.  Data segments that the new privilege
 * may not have become null. */
void return_commit(struct soft_cpu *c, const struct far_return *r, bool has_stack);
/* RETF: @size in bytes of what is popped, @imm more bytes dropped. */
void return_far(struct soft_cpu *c, unsigned size, unsigned imm);

/* intgate.c */

/* Deliver @event through the IDT of protected and IA-32e mode. */
void intgate_deliver(struct soft_cpu *c, const struct soft_event *event);
/* True for events of the program's own making, INT n, INT3, INTO: the DPL of the gate is checked
 * and EXT is 0. */
static inline bool exc_is_software(const struct soft_event *event)
{
	return event->type == EVENT_SOFT_INT || event->type == EVENT_SOFT_EXC;
}

/* task.c */

enum task_cause { TASK_JUMP, TASK_CALL, TASK_EVENT, TASK_RETURN };
struct task_switch {
	enum task_cause cause;
	uint16_t selector; /* of the new TSS */
	struct seg_pick tss;
	unsigned ext;
	uint64_t flags; /* to be saved in the old TSS */
	bool has_error; /* push @error on the new task's stack */
	uint32_t error;
};
/* The TSS descriptor that a gate, CALL or JMP names; raises #GP or #NP unless it is an available
 * TSS of the GDT. */
void task_pick(struct soft_cpu *c, uint16_t selector, unsigned ext, struct seg_pick *out_tss);
/* SDM 3A 7.3.  Raises in the old task while nothing is committed, else in the new one. */
void task_switch(struct soft_cpu *c, const struct task_switch *t);
/* IRET with NT=1: back to the task that the current TSS links to. */
void task_return(struct soft_cpu *c);

/* task_load.c */

/* The selectors that a task switch found in the new TSS. */
struct task_selectors {
	uint16_t seg[X86_SEG_COUNT];
	uint16_t ldt;
	bool is_v86;
};
/* Load LDTR and all segment registers, raising #TS, #NP or #SS in the new task. */
void task_load_segments(struct soft_cpu *c, const struct task_selectors *sel, unsigned ext);

#endif
