/* The software CPU: the state of one vCPU, and what every file of this folder needs.  What a file
 * offers the others stands in the header of its name, or of its room:
 *
 *   run.c                 the loop: events, blocks, escapes
 *   vm.c vcpu.c state.c   the accel_ops
 *   turn.c                one vCPU at a time, in a fixed order; time
 *   parallel.c            vCPUs at once: who may use which translation
 *   points.c              stops for the debugger
 *   watch.c               what events of the shadow MMU ask of a vCPU
 *   block.c code.c        cache of decoded blocks, and what writes to code do to it
 *   translate.c ea.c      bytes -> struct insn
 *   tlb.c access.c        micro-TLB and every memory access (access.h)
 *   mode.c                what the registers mean now
 *   seg.c far.c stack.c   segment loads, far transfers, stacks (seg.h)
 *   exc.c iret.c task.c   exceptions and interrupts
 *   exec_*.c              the instructions, one family a file
 *   thunk.c               the host's own instructions
 *   irqchip.c             PIC, IOAPIC and local APICs (irq.h)
 *   cpuid.c msr.c         the CPU model (msr.h)
 *
 * Two kinds of code run guest instructions.  Hot ones are handlers (insn.h): they get the flags and
 * the budget in host registers and go straight on to the next handler.  All others are plain
 * functions `void f(struct soft_cpu *c, const struct insn *i)`, wrapped by SOFT_PLAIN or
 * SOFT_PLAIN_END; they see everything in struct soft_cpu, and leave by return or by an escape
 * (soft_raise and its kin, which do not return).  An instruction that escapes has changed nothing
 * but A and D bits; so each does its checks and its faulting accesses first, and commits last. */
#ifndef SOFT_CPU_H
#define SOFT_CPU_H

#include "umbra/accel.h"
#include "umbra/mmu.h"
#include "umbra/types.h"
#include "umbra/x86.h"

#include <setjmp.h>
#include <stdatomic.h>

struct insn;
struct block_cache;
struct soft_cpu;
struct soft_irqchip;
struct soft_thunks;
struct lapic;

/* Register slots.  Handlers reach them by byte offset, so they come first and fit 256 bytes. */
enum soft_slot {
	/* 0..15: enum x86_gpr */
	SLOT_ZERO = X86_GPR_COUNT, /* always 0: the base or index that an address does not have */
	SLOT_EA,		   /* linear address made by an address operation (ea.c) */
	SLOT_EA2,		   /* a second one: string operations, PUSH of memory */
	SLOT_TEMP,
	SLOT_TEMP2,
	SOFT_SLOT_COUNT
};

/* What the meaning of an instruction depends on besides its bytes; part of a block's key.
 * soft_mode_update computes it. */
enum soft_mode {
	SOFT_CODE16 = 0,
	SOFT_CODE32 = 1,
	SOFT_CODE64 = 2,
	SOFT_CODE_MASK = 3,
	SOFT_STACK32 = 1 << 2, /* SS.B; neither bit: 16-bit stack */
	SOFT_STACK64 = 1 << 3,
	SOFT_PROTECTED = 1 << 4, /* CR0.PE=1 and not virtual-8086 mode */
	SOFT_V86 = 1 << 5,
	SOFT_LONG = 1 << 6, /* EFER.LMA */
	SOFT_USER = 1 << 7, /* CPL 3 */
	SOFT_FLAT = 1 << 8, /* DS, ES, SS: base 0, limit 4 GiB, read/write; CS likewise to fetch */
	SOFT_STEP = 1 << 9, /* blocks of one instruction, each returning to the loop */
	SOFT_X87_NM = 1 << 10,	   /* CR0.EM or TS: x87 raises #NM */
	SOFT_SSE_UD = 1 << 11,	   /* CR0.EM=1 or CR4.OSFXSR=0: SSE raises #UD */
	SOFT_SSE_NM = 1 << 12,	   /* CR0.TS: SSE raises #NM */
	SOFT_FP_CHECKED = 1 << 13, /* an SSE exception is unmasked in MXCSR */
	SOFT_MODE_BITS = 14
};

/* A request to leave the blocks; set by any thread (release), read at each block's start. */
enum soft_pend {
	PEND_KICK = 1 << 0, /* look at *config.req */
	PEND_IRQ = 1 << 1,  /* the interrupt chips changed: look again */
	PEND_NMI = 1 << 2,
	PEND_INIT = 1 << 3,
	PEND_SIPI = 1 << 4,  /* its vector is among PEND_VECTOR's bits */
	PEND_FLUSH = 1 << 5, /* forget the whole micro-TLB (parallel mode) */
	PEND_EVICT = 1 << 6, /* code pages were written by others: see block.h */
	PEND_LOOP = 1 << 7,  /* of its own doing: go through the loop once */
	PEND_PASS = 1 << 8,  /* another one is to run alone: come by a safe point */
	PEND_VECTOR = 0xff << 16
};
#define PEND_VECTOR_SHIFT 16

/* The micro-TLB: direct-mapped, indexed by bits 21:12 of the linear address.  A tag is the page's
 * linear address, TLB_NONE, or something else that does not hit; an access of `size` bytes at `la`
 * hits when (la ^ tag) <= 4096 - size, which checks the page and the crossing in one comparison.
 * Banks keep it for several roots and privileges: soft_tlb_select makes one current. */
#define TLB_ENTRIES 1024u
#define TLB_BANKS   8u
/* Behind the entries lie as many more: what fell out of entry n last is in entry n + TLB_ENTRIES,
 * for misses to find there.  Else a stack and a variable that share an entry miss each time. */
#define TLB_SLOTS (2 * TLB_ENTRIES)
/* The tag of a void entry: a page that belongs in the neighbouring entry, so that no address which
 * comes to entry @index is ever within 4 KiB of it. */
#define TLB_NONE(index) ((((uint64_t)(index) ^ 1) % TLB_ENTRIES) << 12)
/* A tag with this bit inverted is of a page that may be accessed but has watched bytes: it belongs
 * in another entry as well, so nothing hits, and no void tag looks like it; the miss finds the
 * bytes without asking the mmu. */
#define TLB_WATCHED 0x2000u

struct tlb_entry {
	uint64_t rtag, wtag;
	uint8_t *host; /* the page's bytes */
	gpa_t gpa;     /* of the frame */
};

struct tlb_bank {
	struct tlb_entry entry[TLB_SLOTS];
	/* Of entries with TLB_WATCHED in a tag: bit n, something watches bytes of the page's n-th
	 * 64. */
	uint64_t watched[TLB_SLOTS];
	uint64_t root;	 /* mmu_root_id; ~0 = unused */
	unsigned access; /* X86_PF_U or 0, TLB_SMAP_OFF, TLB_ALIGN */
	uint64_t used;	 /* for replacement */
};
#define TLB_SMAP_OFF MMU_SMAP_OFF
#define TLB_ALIGN    0x200u /* alignment is checked: nothing ever hits in this bank */

enum soft_escape { ESCAPE_NONE, ESCAPE_EXCEPTION, ESCAPE_RESTART_STEP, ESCAPE_LEAVE, ESCAPE_CATCH };

/* How an event entered: it decides error code, saved RIP and privilege checks (SDM 3A 6.12.1.2). */
enum soft_event_type {
	EVENT_HARDWARE, /* external interrupt */
	EVENT_NMI,
	EVENT_EXCEPTION,
	EVENT_SOFT_INT, /* INT n: DPL is checked */
	EVENT_SOFT_EXC, /* INT3, INTO: DPL is checked */
	EVENT_ICEBP	/* INT1: no DPL check */
};

struct soft_event {
	enum soft_event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t cr2; /* #PF */
	bool has_cr2; /* a double fault whose second fault was a #PF: cr2 is that one's */
	uint64_t dr6; /* #DB: bits to set in DR6 */
	uint64_t rip; /* where it happened: for the chain of faults */
};

/* See soft_rmw_begin. */
struct soft_rmw {
	uint8_t *bytes;
	gva_t la;
	gpa_t gpa;
	unsigned len;
	bool is_copy;
	bool is_table, has_code;
	uint8_t copy[16];
};

struct soft_cpu {
	/* Hot: what handlers touch. */
	uint64_t r[SOFT_SLOT_COUNT]; /* first member: see enum soft_slot */
	struct tlb_bank *tlb;	     /* the current bank */
	const struct insn *entry;    /* first slot of the block being executed */
	atomic_uint pend;	     /* mask of enum soft_pend */
	uint32_t mode;		     /* mask of enum soft_mode, true while blocks run */
	uint64_t link_gen;	     /* links of other generations are void */
	uint64_t jump_key;	  /* link_gen and mode: jump-cache entries of other keys are void */
	struct jump_entry *jumps; /* jump cache: insn.h */

	/* Valid outside handlers (SOFT_SPILL). */
	uint64_t fr, fs, fo;	/* lazy flags: flags.h */
	int64_t left;		/* instructions left in the slice */
	const struct insn *cur; /* the instruction being executed, NULL between instructions */
	uint64_t rip;		/* of the next instruction, between blocks and in plain functions
				 * that end a block; see soft_rip */
	int64_t slice;		/* left at the start of the slice */
	bool is_brief;		/* run() may neither wait nor take long: */
	int64_t brief_left;	/* so much of it is left */

	/* Architectural state. */
	uint64_t rflags; /* without the six status flags: those are lazy */
	struct x86_seg seg[X86_SEG_COUNT];
	struct x86_seg ldtr, tr;
	struct x86_table_reg gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0, apic_base;
	uint64_t pdpte[4];
	uint32_t pkru;
	uint64_t dr[8];
	struct x86_msrs msr; /* tsc: the difference to the clock, see soft_tsc */
	uint64_t tsc_aux, misc_enable, mtrr_def_type;
	uint64_t mtrr[32]; /* physical base/mask pairs and fixed ranges, as msr.c numbers them */
	enum x86_activity activity;
	uint8_t cpl;
	bool in_int_shadow;    /* STI or MOV SS: no interrupt before the next instruction */
	bool in_debug_shadow;  /* MOV SS: no #DB either */
	atomic_uint nmi_posts; /* PEND_NMI posted and not seen: a bit would lose the second */
	unsigned nmi_pending;  /* seen and not delivered yet */
	bool nmi_blocked;      /* until IRET */
	_Alignas(16) uint8_t xmm[16][16];
	uint32_t mxcsr;
	/* x87 state while it is not in the host's x87 unit (fpu.h). */
	_Alignas(16) uint8_t x87[512]; /* FXSAVE image; its xmm part is not used */
	bool x87_is_live;	       /* the host's unit holds it */
	bool x87_is_plain; /* live, no exception unmasked and none pending: nothing to look at */
	bool x87_ferr;	   /* CR0.NE=0: an exception holds IRQ 13 high */
	uint64_t x87_ip, x87_dp; /* of the last x87 instruction that was not a control one */
	uint16_t x87_op, x87_cs, x87_ds;

	/* Execution. */
	bool mode_is_stale;    /* soft_mode_update before the next block */
	uint64_t link_cs_base; /* CS that links and the jump cache were made under (mode.c) */
	uint32_t link_cs_limit;
	jmp_buf escape;		 /* armed while guest code runs */
	struct soft_event event; /* ESCAPE_EXCEPTION: what was raised */
	bool has_event;		 /* event is to be delivered */
	bool is_delivering;	 /* inside soft_exc_deliver: a fault now makes #DF or worse */
	struct soft_event delivering;
	unsigned chain_count; /* faults that led to a double or triple fault */
	struct soft_event chain[3];
	bool trap_tf;	    /* RFLAGS.TF was set before the instruction: #DB follows it,
			     * unless an event delivery or SYSCALL clears this */
	bool has_stepped;   /* a SOFT_STEP block was completed */
	bool was_delivered; /* an event was delivered since the last look */
	bool step_once;	    /* run one instruction in SOFT_STEP mode, then go on */
	uint64_t retired;   /* instructions executed before the current slice */
	/* soft_count when a repeated string instruction was left between two iterations; ~0 = none.
	 * While it is the count, RIP is still at that instruction. */
	uint64_t left_repeat_at;

	/* For the slow paths of handlers.  A local there, once a function got its address, would
	 * keep the compiler from going on by a sibling call. */
	struct soft_rmw rmw;
	_Alignas(16) uint8_t scratch[64];

	struct tlb_bank *banks; /* TLB_BANKS */
	uint64_t tlb_clock;
	struct block_cache *blocks;

	/* Stops for the debugger: points.c. */
	struct soft_points *points;
	bool wants_yield;     /* PAUSE, an IPI: pass the turn early */
	bool at_exec_point;   /* a block left because the debugger has a point at its start: */
	gpa_t exec_point_gpa; /* where that lies */
	bool skip_exec_point; /* the first instruction of a run does not stop at its own address */
	bool pass_catch;      /* what the first instruction of a run makes is not caught */
	bool has_caught;      /* caught behind the instruction: catch.c */
	struct accel_caught caught;
	bool has_mmu_stop; /* an event of the mmu stops it behind this instruction: watch.c */
	uint64_t mmu_hit;  /* with has_mmu_stop: accel_exit.mmu_hit */

	struct soft_vm *vm;
	struct lapic *lapic;
	unsigned index;
	const atomic_uint *req;
	atomic_uint wakes; /* event count of the thread's sleep (turn.c) */
	atomic_bool is_sleeping;
	atomic_bool is_unsafe;	   /* parallel.c: it may use its micro-TLB */
	atomic_uint forgot_serial; /* soft_vm.forget_serial that it has followed */
	struct accel_debug debug;
	uint64_t exits[16]; /* counts for show_exits, by enum in run.c */
};

/* The machine. */

struct soft_vm {
	struct accel_vm_config config;
	struct mem_space *mem;
	struct bus *bus;
	struct mmu *mmu;
	bool may_mmu_stop; /* [world stopped] has_mmu_stop may come: what asks the mmu is alone */
	struct soft_irqchip *irqchip;
	struct soft_thunks *thunks; /* executable stubs, shared, grow only */
	struct soft_turn *turn;
	struct soft_calls *calls;    /* catch.c */
	const struct soft_row **row; /* by Zydis mnemonic: translate.h */
	unsigned cpu_count;
	struct soft_cpu *cpu[ACCEL_MAX_VCPUS];
	bool is_parallel;
	atomic_uint exclusive;	   /* index + 1 of the vCPU that runs alone; 0: none (parallel.c) */
	atomic_uint forget_serial; /* counts requests to forget the micro-TLBs (parallel.c) */
	struct gate *gate;	   /* parallel mode: the clock; NULL: no devices with timers */
	bool has_la57;		   /* CPU flag */
	uint8_t phys_bits;
	struct accel_caps caps;
	/* One byte per frame of RAM: some vCPU holds decoded code of it (block.c). */
	_Atomic uint8_t *code_frame;
	uint64_t code_frame_count;
};

/* Registers: inline, for plain functions. */

static inline uint64_t soft_reg64(const struct soft_cpu *c, unsigned reg)
{
	return c->r[reg];
}

static inline uint32_t soft_reg32(const struct soft_cpu *c, unsigned reg)
{
	return (uint32_t)c->r[reg];
}

/* A 32-bit write clears the upper half (SDM 1 3.4.1.1). */
static inline void soft_set_reg32(struct soft_cpu *c, unsigned reg, uint32_t v)
{
	c->r[reg] = v;
}

static inline void soft_set_reg16(struct soft_cpu *c, unsigned reg, uint16_t v)
{
	c->r[reg] = (c->r[reg] & ~0xffffull) | v;
}

static inline bool soft_is_protected(const struct soft_cpu *c)
{
	return (c->cr0 & X86_CR0_PE) && !(c->rflags & X86_RFLAGS_VM);
}

static inline bool soft_is_long(const struct soft_cpu *c)
{
	return c->efer & X86_EFER_LMA;
}

static inline bool soft_is_code64(const struct soft_cpu *c)
{
	return soft_is_long(c) && c->seg[X86_CS].l;
}

/* Instructions that this vCPU executed; exact between blocks. */
static inline uint64_t soft_count(const struct soft_cpu *c)
{
	return c->retired + (uint64_t)(c->slice - c->left);
}

/* Has the repeated string instruction at RIP done some of its iterations?  Then RF reads as 1: an
 * event that comes here saves it so, and no breakpoint stops the instruction once more (SDM 3B
 * 17.3.1.1). */
static inline bool soft_is_in_repeat(const struct soft_cpu *c)
{
	return c->left_repeat_at == soft_count(c);
}

/* Linear address of the next instruction. */
static inline gva_t soft_linear_rip(const struct soft_cpu *c)
{
	if (soft_is_code64(c))
		return c->rip;
	return (uint32_t)(c->seg[X86_CS].base + c->rip);
}

/* Escapes (run.c).  None returns.  RIP becomes that of the current instruction. */

_Noreturn void soft_raise(struct soft_cpu *c, enum x86_vector vector);
_Noreturn void soft_raise_error(struct soft_cpu *c, enum x86_vector vector, uint32_t error);
_Noreturn void soft_raise_pf(struct soft_cpu *c, gva_t gva, uint32_t error);
_Noreturn void soft_raise_db(struct soft_cpu *c, uint64_t dr6_bits);
/* Do the current instruction again from its start as a block of its own: something wants to look at
 * the state right behind it (watchpoint, write into the running block). */
_Noreturn void soft_restart_step(struct soft_cpu *c);

/* RIP of the current instruction (c->cur), also in the middle of a block. */
uint64_t soft_rip(const struct soft_cpu *c);
/* RIP behind it. */
uint64_t soft_next_rip(const struct soft_cpu *c);
/* All of RFLAGS, and setting it (every bit as given; the caller has applied the privilege rules).
 */
uint64_t soft_rflags(const struct soft_cpu *c);
void soft_set_rflags(struct soft_cpu *c, uint64_t rflags);

/* mode.c: after anything that enum soft_mode or the address space depends on was changed.  They
 * only mark; the loop recomputes before the next block (the instruction ends its block). */
void soft_mode_changed(struct soft_cpu *c);
/* CR0, CR3, CR4, EFER, PKRU or PDPTEs: the mmu is told and the micro-TLB bank selected.
 * @load as mmu_set_regs. */
void soft_paging_changed(struct soft_cpu *c, enum mmu_load load);
/* Called by the loop: compute c->mode, select the bank. */
void soft_mode_update(struct soft_cpu *c);

/* Time (turn.c): instructions executed by the whole machine and skipped over in HLT, in units of
 * 1 ns; what RDTSC reads and timers count. */
uint64_t soft_now(const struct soft_cpu *c);
/* The same for devices, which are not told whose thread they serve; and the vCPU whose slice it is,
 * NULL in parallel mode and between slices. */
uint64_t soft_vm_now(const struct soft_vm *vm);
struct soft_cpu *soft_slice_holder(const struct soft_vm *vm);
uint64_t soft_tsc(const struct soft_cpu *c);
void soft_set_tsc(struct soft_cpu *c, uint64_t tsc);

/* Requests (turn.c). */

/* Request @pend of vCPU @c; wakes it from HLT.  Any thread. */
void soft_post(struct soft_cpu *c, unsigned pend);
/* A device was accessed: when it asked the machine to stop, which kicks nobody on the thread that
 * it is called on, no instruction follows. */
static inline void soft_follow_request(struct soft_cpu *c)
{
	if (atomic_load_explicit(c->req, memory_order_relaxed))
		atomic_fetch_or_explicit(&c->pend, PEND_KICK, memory_order_relaxed);
}

#endif
