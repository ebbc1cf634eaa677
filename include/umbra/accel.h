/* What a back end that runs guest code promises: KVM (src/accel/kvm), and any other.
 * One const struct accel_ops per back end, handed down by src/cli; src/cpu drives it.
 *
 * Threads: vm_* calls come from the control thread while no vCPU runs, vm_start excepted (vCPU 0's
 * thread, before any vcpu_open).  vcpu_open and every later call on a vCPU come from the vCPU's own
 * thread, or from the control thread where accel_ops.run_briefly says so; kick from any thread and
 * from signal handlers.
 * PIO and MMIO are served inside run() by calling down to the bus, so that run() returns decisions
 * only. */
#ifndef UMBRA_ACCEL_H
#define UMBRA_ACCEL_H

#include "umbra/bus.h"
#include "umbra/err.h"
#include "umbra/mem.h"
#include "umbra/types.h"
#include "umbra/x86.h"

#include <pthread.h>
#include <stdatomic.h>

struct gate;
struct mmu;	   /* the shadow MMU (umbra/mmu.h) */
struct accel_vm;   /* the back end's machine */
struct accel_vcpu; /* the back end's processor */

#define ACCEL_MAX_VCPUS	 64
#define ACCEL_POINTS_ANY (~0u) /* as many as wanted */
#define ACCEL_MAX_HITS	 4     /* points that one exit tells of */

/* What it can do. */

/* Guest situations that a back end may treat differently: mode and privilege. */
enum accel_mode {
	ACCEL_REAL16,
	ACCEL_PROT16,
	ACCEL_PROT32,	   /* no paging */
	ACCEL_PAGED32,	   /* CR0.PG=1, CR4.PAE=0 */
	ACCEL_PAE,	   /* CR0.PG=1, CR4.PAE=1, EFER.LMA=0 */
	ACCEL_COMPAT32,	   /* compatibility mode, CPL 0 */
	ACCEL_LONG64,	   /* 64-bit, CPL 0 */
	ACCEL_LONG64_USER, /* 64-bit, CPL 3 */
	ACCEL_COMPAT32_USER,
	ACCEL_MODE_COUNT
};

const char *accel_mode_name(enum accel_mode mode);
/* The situation that @st (X86_STATE_GPR, X86_STATE_SREG) is in. */
enum accel_mode accel_mode_of(const struct x86_state *st);

/* How a planted breakpoint byte comes back from run(). */
enum accel_trap {
	ACCEL_TRAP_NONE,
	ACCEL_TRAP_DEBUG,   /* 0xCC gives ACCEL_EXIT_DEBUG with ACCEL_DEBUG_TRAP */
	ACCEL_TRAP_EMULFAIL /* trap_byte gives ACCEL_EXIT_FAILED with is_emulation at its address */
};

struct accel_mode_caps {
	bool can_run;  /* code of this kind runs at all */
	bool can_step; /* single step stops after each instruction */
	enum accel_trap trap;
	uint8_t trap_byte; /* 0xCC or 0xF1 */
	bool has_hw_break; /* debug registers stop execution */
	bool has_watch_write, has_watch_access;
};

struct accel_caps {
	struct accel_mode_caps mode[ACCEL_MODE_COUNT];
	/* Points at a time: debug registers, or ACCEL_POINTS_ANY. */
	unsigned hw_points;
	bool has_watch_read;	 /* ACCEL_POINT_READ works, in every mode */
	bool has_watch_any;	 /* watch points of any length and alignment */
	bool has_watch_physical; /* accel_point.is_physical works, for EXEC too */
	bool has_range_step;	 /* accel_debug.range_* is kept to */
	bool has_pass_exec;	 /* accel_debug.pass_exec works */
	/* Breakpoints take a free debug register before a trap byte is planted (back ends where the
	 * byte is the less reliable way). */
	bool prefers_hw_break;
	uint8_t phys_bits; /* MAXPHYADDR of the guest; 0 = not known */
};

/* What it is told. */

enum accel_point_kind { ACCEL_POINT_EXEC, ACCEL_POINT_WRITE, ACCEL_POINT_ACCESS, ACCEL_POINT_READ };

struct accel_point {
	enum accel_point_kind kind;
	gva_t addr;   /* linear; aligned to len unless has_watch_any */
	uint64_t len; /* 1, 2, 4 or 8 unless has_watch_any; 1 for EXEC at a linear address */
	/* With has_watch_physical: addr is guest-physical, and the point is met by accesses through
	 * any mapping; EXEC by each instruction whose first byte is one of @len. */
	bool is_physical;
};

/* Guest events that a back end stops for, if it can (accel_ops.can_catch), in front of the
 * instruction or the delivery that makes them. */
#define ACCEL_CATCH_SYSCALLS 1024u /* system calls that can be told apart */
#define ACCEL_CATCH_RANGES   8u
struct accel_catch {
	uint32_t vectors; /* bit n: exception n */
	/* System calls (SYSCALL, SYSENTER, INT 80h), and behind the instruction that returns from
	 * one to CPL 3: those with EAX = n by bit n, or all. */
	bool has_syscalls, has_all_syscalls;
	uint64_t syscall[ACCEL_CATCH_SYSCALLS / 64];
	struct accel_catch_range {
		uint32_t first, last; /* ports, or MSRs */
		bool on_read, on_write;
	} port[ACCEL_CATCH_RANGES], msr[ACCEL_CATCH_RANGES];
	unsigned port_count, msr_count;
};

enum accel_caught_kind {
	ACCEL_CAUGHT_EXCEPTION,	 /* number: vector; error, cr2 (#PF) */
	ACCEL_CAUGHT_SYSCALL,	 /* number: EAX; about to be executed */
	ACCEL_CAUGHT_SYSRET,	 /* number: that of the call which has returned */
	ACCEL_CAUGHT_PORT_READ,	 /* number: port; size */
	ACCEL_CAUGHT_PORT_WRITE, /* and value */
	ACCEL_CAUGHT_MSR_READ,	 /* number: MSR */
	ACCEL_CAUGHT_MSR_WRITE	 /* and value */
};
struct accel_caught {
	enum accel_caught_kind kind;
	uint32_t number;
	bool has_error;
	uint32_t error;
	uint64_t cr2;
	unsigned size;
	uint64_t value;
	/* A fault: the instruction is executed again when the vCPU goes on, and may succeed then.
	 * Otherwise what was caught is yet to take effect. */
	bool is_fault;
};

struct accel_exit;

/* Debug set-up of one vCPU until the next debug_set. */
struct accel_debug {
	bool step;	/* stop after one instruction */
	bool block_irq; /* while stepping, hold external interrupts off where the back end can */
	bool trap;	/* trap bytes are planted somewhere */
	/* The first instruction runs even if an EXEC point is at it (has_pass_exec); once.  A run
	 * that ends before it has accel_exit.has_pass_left. */
	bool pass_exec;
	const struct accel_catch *catch; /* the caller's, who may change it; NULL: nothing */
	/* What the first instruction makes is not caught: it was told; once. */
	bool pass_catch;
	/* With step and has_range_step: stop only once RIP is not in range_start..range_end-1. */
	uint64_t range_start, range_end;
	/* With has_pass_exec: asked by run(), on its thread, of the points that @exit tells of,
	 * before it returns with them.  True: the vCPU goes on as if it had not met them.  It may
	 * call state_get.  NULL: nobody asks. */
	bool (*may_pass)(void *ctx, const struct accel_exit *exit);
	void *ctx; /* of may_pass */
	unsigned point_count;
	const struct accel_point *point; /* the caller's; unchanged until the next debug_set */
};

/* What comes back. */

enum accel_exit_kind {
	ACCEL_EXIT_KICKED, /* a request flag was set; guest state is at an instruction boundary */
	ACCEL_EXIT_DEBUG,  /* see debug */
	ACCEL_EXIT_HALT,   /* HLT that came back to us (no interrupt controller in the back end) */
	ACCEL_EXIT_SHUTDOWN, /* triple fault */
	ACCEL_EXIT_FAILED    /* the back end cannot go on here; text says why */
};

enum accel_debug_cause {
	ACCEL_DEBUG_STEP = 1 << 0,
	ACCEL_DEBUG_TRAP = 1 << 1,  /* INT3; pc is at the byte */
	ACCEL_DEBUG_POINT = 1 << 2, /* hit says which */
	ACCEL_DEBUG_GUEST = 1 << 3, /* a #DB of the guest's own making (its TF or DR7) */
	ACCEL_DEBUG_MMU = 1 << 4,   /* an event of the shadow MMU asked for it: mmu_hit */
	ACCEL_DEBUG_CATCH = 1 << 5  /* accel_debug.catch: caught */
};

struct accel_exit {
	enum accel_exit_kind kind;
	unsigned debug;		      /* mask of enum accel_debug_cause */
	unsigned hit_count;	      /* with ACCEL_DEBUG_POINT: */
	unsigned hit[ACCEL_MAX_HITS]; /* indices into accel_debug.point */
	/* A watch point's bytes before and after, up to 8, where the back end knows. */
	bool has_values;
	uint64_t old_value, new_value;
	uint64_t mmu_hit;	    /* with ACCEL_DEBUG_MMU: what mmu_stop_hook.stop was given */
	struct accel_caught caught; /* with ACCEL_DEBUG_CATCH */
	uint64_t guest_dr6;	    /* with ACCEL_DEBUG_GUEST: what DR6 is to show the guest */
	bool has_pass_left; /* what pass_exec allowed was not executed yet; it holds for the next
			       run */
	bool is_emulation;  /* FAILED: an instruction could not be emulated; the guest can go on */
	gva_t pc;	    /* linear address of the next instruction, for DEBUG and FAILED */
	uint64_t rip;	    /* the same as an offset in CS */
	char text[240]; /* FAILED: reason for a person, instruction bytes included; SHUTDOWN: the
			 * faults that led to it, or empty */
};

/* What the vCPU's thread gives its back end. */
struct accel_vcpu_config {
	unsigned index;		/* 0 = bootstrap processor */
	const atomic_uint *req; /* nonzero: run() must return KICKED before the next guest
				 * instruction (pairs with the release in world_kick) */
	pthread_t thread;
};

/* Addresses where a write may reach its device late because nothing can tell: a POST code, a delay
 * port.  A back end may collect such writes (KVM: coalesced) instead of leaving the guest for each
 * one; they reach the bus in their order, before the next access that does leave the guest and
 * before run() returns. */
struct accel_zone {
	enum bus_kind kind;
	uint64_t base;
	uint32_t len;
};

/* Addresses that the back end answers by itself, so that the bus never sees them. */
struct accel_region {
	enum bus_kind kind;
	uint64_t base, len;
	const char *name;
};

/* How an interrupt line stands. */
struct accel_irq {
	bool is_high;
	/* At the 8259A pair; lines 0 to 15. */
	bool has_pic, is_masked, is_requested, is_in_service;
	uint8_t vector;
	/* At the IO APIC. */
	bool has_pin;
	uint8_t pin;
	uint64_t redirection; /* 82093AA 3.2.4 */
};

/* Trapped writes: guest code's stores to some pages of RAM, each applied by the back end itself. */

struct accel_trapped {
	uint64_t number; /* counts from 0, in the order in which they took effect */
	unsigned vcpu;
	gpa_t gpa;	   /* first byte */
	unsigned len;	   /* 1..8; an instruction that stores more gives several */
	uint64_t old, now; /* the 8-byte unit at gpa & ~7 */
	uint64_t next_rip; /* RIP at the exit: behind the instruction, or at a REP one under way */
	/* The instruction that ends there and stores to that place; insn_len 0: not known. */
	uint64_t rip;
	uint8_t insn_len;
	uint8_t insn[X86_INSN_MAX];
	enum x86_mode insn_mode;
};

/* What a guest of a few instructions found about tables in such pages. */
struct accel_trap_verdict {
	bool works;
	const char *why; /* not works: constant text */
	bool keeps_ad;	 /* walks set A and D there */
	bool is_stale;	 /* translations outlive a write unless they are flushed, which is done */
};

struct accel_trap_ops {
	/* Run that guest, in a machine of its own on the calling thread.
	 * Errors: what the host gives when it has no memory or descriptors left. */
	int (*probe)(struct accel_vm *vm, struct accel_trap_verdict *out_verdict,
		     struct umbra_err *err);
	/* Trap writes to these pages and no others from now on: sorted, each once, of RAM.  0 ends
	 * it.  Written_pages tells of the pages that were written.  World STOPPED.
	 * Errors: -E2BIG more than ACCEL_TRAP_PAGES; what the host gives; nothing is trapped then.
	 */
	int (*set)(struct accel_vm *vm, const gpa_t *page, unsigned count, struct umbra_err *err);
	/* Writes so far; and one of the last ACCEL_TRAP_RECORDS.  World STOPPED. */
	uint64_t (*total)(const struct accel_vm *vm);
	bool (*at)(const struct accel_vm *vm, uint64_t number, struct accel_trapped *out);
};
#define ACCEL_TRAP_PAGES   512u
#define ACCEL_TRAP_RECORDS 4096u

struct accel_vm_config {
	struct mem_space *mem;
	struct bus *bus;
	unsigned vcpus;
	const struct accel_zone *zone; /* read by vm_open only; may be NULL */
	unsigned zone_count;
	/* The state that vCPU 0 starts in; a back end that knows that it cannot run code of that
	 * kind refuses with -ENOTSUP.  NULL: not known. */
	const struct x86_state *boot;
	/* The guest is a whole operating system or firmware: a back end that lacks any mode
	 * refuses with -ENOTSUP. */
	bool is_system;
	/* For back ends that can: check the shadow MMU after every table write (slow); vCPUs at
	 * once instead of in turns; 5-level paging in the CPU model; time that keeps pace with the
	 * host's where it would skip over HLT. */
	bool is_paranoid, is_parallel, has_la57, is_realtime;
	struct gate
		*gate; /* told the time by a back end that counts it, and asked for it by others */
};

typedef void (*accel_run_fn)(struct accel_vcpu *vcpu, struct accel_exit *out_exit);

struct accel_ops {
	const char *name; /* as after -accel */
	bool counts_time; /* guest time is instructions executed, unless vCPUs run at once */
	bool can_catch;	  /* accel_debug.catch works */

	/* Quick checks and the machine itself; fails here when the host cannot do it.
	 * Errors: -ENOENT, -EACCES, -ENOTSUP ... each text with its fix. */
	int (*vm_open)(struct accel_vm **out_vm, const struct accel_vm_config *config,
		       struct umbra_err *err);
	/* The slow part of the set-up (interrupt controllers, self-test).  Call: vCPU 0's thread.
	 */
	int (*vm_start)(struct accel_vm *vm, struct umbra_err *err);
	void (*vm_close)(struct accel_vm *vm); /* every vCPU is closed */
	/* Chips inside the back end as at power-up.  World stopped, after vm_start. */
	int (*vm_reset)(struct accel_vm *vm, struct umbra_err *err);
	const struct accel_caps *(*caps)(const struct accel_vm *vm); /* valid after vm_start */
	/* An interrupt line changed; any thread, device lock held.  GSI 0..23.  Before vm_start has
	 * ended the level is remembered. */
	void (*irq_set)(struct accel_vm *vm, unsigned gsi, bool is_high);
	/* Where the line @gsi, 0..23, leads and how it stands; under 2, which is none, the 8259A
	 * pair's output where that leads to a pin.  Call: control thread, world stopped, after
	 * vm_start.  Errors: the host's. */
	int (*irq_get)(struct accel_vm *vm, unsigned gsi, struct accel_irq *out_irq);
	const struct accel_region *region; /* constant, in no order; NULL: none */
	unsigned region_count;
	/* Guest tables were written by the debugger: drop what the back end derived from them. */
	void (*mmu_flush)(struct accel_vm *vm);
	/* The shadow MMU that guest code runs through, which a debugger may look at (umbra/mmu.h);
	 * valid after vm_start.  NULL: the back end has none that we could see. */
	struct mmu *(*mmu)(struct accel_vm *vm);
	/* Keep a log of the pages of RAM that guest code and its walks write, or end it; what
	 * devices and the debugger write is not in it.  Written_pages calls @fn for those since it
	 * was called last, or since the log began: bit n of @written is the page at @first + n *
	 * 4096.  World STOPPED.  NULL: the back end has no such log.
	 * Errors: what the host gives; nothing is logged then. */
	int (*log_writes)(struct accel_vm *vm, bool is_on, struct umbra_err *err);
	int (*written_pages)(struct accel_vm *vm,
			     void (*fn)(void *ctx, gpa_t first, uint64_t written), void *ctx);
	const struct accel_trap_ops *trap; /* NULL: writes cannot be trapped */
	/* The world leaves STOPPED: bit i of @members says that vCPU i will run.  NULL: not needed.
	 */
	void (*vm_resume)(struct accel_vm *vm, uint64_t members);
	void (*show)(struct accel_vm *vm, const struct print_sink *sink); /* `monitor accel` */
	/* Exit counts by reason of one vCPU; reading while it runs is racy by nature. */
	void (*show_exits)(const struct accel_vcpu *vcpu, const struct print_sink *sink);

	/* One vCPU at a time, until state_set has given it its first state.
	 * Call: vCPU thread. */
	int (*vcpu_open)(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
			 const struct accel_vcpu_config *config, struct umbra_err *err);
	void (*vcpu_close)(struct accel_vcpu *vcpu);
	/* Power-up state of everything that struct x86_state does not hold (local APIC, pending
	 * events).  state_set follows. */
	int (*vcpu_reset)(struct accel_vcpu *vcpu, struct umbra_err *err);
	accel_run_fn run;
	/* The same for a few microseconds at the most, never waiting for anything: KICKED also says
	 * that the rest is left.  Call: control thread, while all vCPU threads are parked.  A back
	 * end that has it takes the other calls on a vCPU from there as well.  NULL: it belongs to
	 * its thread. */
	accel_run_fn run_briefly;
	/* Make run() return soon; a run() that has not begun returns at once as long as *req is
	 * set. Any thread; signal-safe. */
	void (*kick)(struct accel_vcpu *vcpu);
	/* Read or write parts (mask of enum x86_state_part).  state_set is all or nothing.
	 * Errors: -EINVAL with the part that was refused. */
	int (*state_get)(struct accel_vcpu *vcpu, struct x86_state *st, unsigned parts);
	int (*state_set)(struct accel_vcpu *vcpu, const struct x86_state *st, unsigned parts,
			 struct umbra_err *err);
	int (*debug_set)(struct accel_vcpu *vcpu, const struct accel_debug *debug);
	/* Give the guest the exception that a debug exit took from it: its own INT3 (vector 3, RIP
	 * is at the byte, the back end advances it) or #DB (vector 1, @dr6). */
	int (*reflect)(struct accel_vcpu *vcpu, unsigned vector, uint64_t dr6);
	/* True when the vCPU sits in HLT (or waits for SIPI) and no interrupt, NMI or timer can
	 * ever end that by itself.  Call: vCPU thread, between runs. */
	bool (*is_halted_for_good)(struct accel_vcpu *vcpu);
};

#endif
