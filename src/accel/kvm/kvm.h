/* What the files of this folder share: the machine, the processor, and what the host offers.
 * Struct comments mark the owner of each field: [const] set at creation; [vcpu] the vCPU's own
 * thread; [world] control thread while no vCPU runs.
 * Source: Linux Documentation/virt/kvm/api.rst ("KVM api" in comments). */
#ifndef UMBRA_ACCEL_KVM_KVM_H
#define UMBRA_ACCEL_KVM_KVM_H

#include "umbra/accel.h"
#include "umbra/err.h"
#include "umbra/lock.h"
#include "umbra/print.h"

#include <linux/kvm.h>
#include <stdatomic.h>

#define KVM_GSI_COUNT  24
#define KVM_REASON_MAX 48 /* exit reasons are counted up to here; the last slot has the rest */
/* 31 regions, and two more parts for each page whose writes are trapped. */
#define KVM_SLOT_MAX   (31 + 2 * (int)ACCEL_TRAP_PAGES)
#define KVM_ZONE_MAX   8
#define KVM_SLOT_FLUSH KVM_SLOT_MAX /* comes and goes: see kvm_mmu_flush */

/* Host.c: /dev/kvm and what it says of itself. */

#define KVM_POINTS 4 /* debug registers DR0 to DR3 */

struct kvm_host {
	int fd;
	size_t run_bytes;    /* of the area shared per vCPU */
	unsigned sync_mask;  /* KVM_SYNC_X86_* that KVM_RUN fills */
	unsigned debug_bits; /* KVM_GUESTDBG_* accepted; not a promise that they work */
	unsigned ring_page;  /* page of the shared area with the coalesced ring; 0 none */
	bool has_pio_ring;   /* ports may be coalesced too */
	bool has_xsave;	     /* else KVM_GET_FPU */
	bool has_xcrs;	     /* else XCR0 is 1 */
	bool has_payload;    /* KVM_CAP_EXCEPTION_PAYLOAD */
	bool has_tsc_deadline;
};

/* Open /dev/kvm and check what umbra cannot do without.
 * Errors: -ENOENT, -EACCES, -ENOTSUP, ...; the text tells the fix. */
int kvm_host_open(struct kvm_host *host, struct umbra_err *err);
void kvm_host_close(struct kvm_host *host);
/* Errors: as ioctl gives them; -EBUSY when another hypervisor holds the CPU. */
int kvm_host_create_vm(const struct kvm_host *host, int *out_fd, struct umbra_err *err);
/* Name optional capabilities that this kernel lacks, a line each.  Returns how many. */
unsigned kvm_host_show_missing(const struct kvm_host *host, const struct print_sink *sink);
/* ioctl that is tried again after EINTR.  Returns 0 or more, or -errno. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* Kick.c: making KVM_RUN return. */

/* Errors: -EINVAL from sigaction. */
int kvm_kick_install(struct umbra_err *err);
/* From now on a kick of the calling thread hits @run; NULL: nothing. */
void kvm_kick_aim(struct kvm_run *run);
int kvm_kick_signal(void);

/* Cpuid.c. */

/* What KVM supports; freed by the caller.  Errors: -ENOMEM and what the ioctl gives. */
int kvm_cpuid_read(const struct kvm_host *host, struct kvm_cpuid2 **out_cpuid,
		   struct umbra_err *err);
/* Write what differs per processor into a copy of the host's table: APIC ids and topology.
 * @cpuid changed in place; @index < @count. */
void kvm_cpuid_fit(struct kvm_cpuid2 *cpuid, unsigned index, unsigned count, bool has_tsc_deadline);
int kvm_cpuid_set(int vcpu_fd, const struct kvm_cpuid2 *host_cpuid, unsigned index, unsigned count,
		  bool has_tsc_deadline);
/* MAXPHYADDR; 0 = not told. */
uint8_t kvm_cpuid_phys_bits(const struct kvm_cpuid2 *cpuid);

/* Regs.c: struct x86_state from and to KVM's structs; pure. */

#define KVM_MSR_ROWS 10

void kvm_regs_get(const struct kvm_regs *regs, struct x86_state *st);
void kvm_regs_put(struct kvm_regs *regs, const struct x86_state *st);
void kvm_sregs_get(const struct kvm_sregs *sregs, struct x86_state *st);
/* Leaves the pending interrupt in @sregs as it is. */
void kvm_sregs_put(struct kvm_sregs *sregs, const struct x86_state *st);
void kvm_xsave_get(const struct kvm_xsave *xsave, struct x86_fpu *fpu);
/* Leaves components other than x87 and SSE in @xsave as they are. */
void kvm_xsave_put(struct kvm_xsave *xsave, const struct x86_fpu *fpu);
void kvm_fpu_get(const struct kvm_fpu *in, struct x86_fpu *fpu);
void kvm_fpu_put(struct kvm_fpu *out, const struct x86_fpu *fpu);
void kvm_debugregs_get(const struct kvm_debugregs *regs, struct x86_state *st);
void kvm_debugregs_put(struct kvm_debugregs *regs, const struct x86_state *st);
/* Row @row < KVM_MSR_ROWS: its index in the guest, and its field. */
uint32_t kvm_msr_index(unsigned row);
uint64_t kvm_msr_get(const struct x86_msrs *msr, unsigned row);
void kvm_msr_put(struct x86_msrs *msr, unsigned row, uint64_t value);
enum x86_activity kvm_activity_of(uint32_t mp_state);
uint32_t kvm_mp_state_of(enum x86_activity activity);

/* Probe.c: what this KVM really does. */

/* Beyond struct accel_mode_caps; measured, per mode. */
struct kvm_mode_quirks {
	bool has_iret;		 /* IRET runs */
	bool rf_holds;		 /* RFLAGS.RF=1 lets an instruction at a debug register pass */
	bool step_needs_rearm;	 /* POPF loses the step unless KVM_SET_GUEST_DEBUG is repeated */
	bool iret_steps_two;	 /* a step over IRET takes the instruction at the target along */
	bool pushf_shows_tf;	 /* a stepped PUSHF stores the step's own TF */
	bool reflect_needs_skip; /* an injected #BP pushes RIP as it is: RIP must be advanced */
	/* What only a person wants to know; measured by a full self-test. */
	bool has_fpu;	/* x87 and SSE arithmetic run */
	bool has_int_n; /* INT n reaches its handler */
};

/* How much the self-test asks.  A start asks what the back end must know, and as little else as it
 * can: some KVMs log each instruction that they cannot emulate, which takes a millisecond. */
enum kvm_probe_depth { KVM_PROBE_START, KVM_PROBE_FULL };

struct kvm_probe {
	struct accel_caps caps;
	struct kvm_mode_quirks quirk[ACCEL_MODE_COUNT];
	enum kvm_probe_depth depth;
	bool must_rearm;		/* any mode: step_needs_rearm */
	bool must_read_ahead;		/* any mode: iret_steps_two or pushf_shows_tf */
	struct accel_trap_verdict trap; /* of a full one */
	unsigned case_count;
	uint64_t cpu_ns; /* CPU time that the cases took */
};

/* Run the self-test in a virtual machine of its own on the calling thread, whose kicks it borrows.
 * Errors: what the host gives when it has no memory or descriptors left. */
int kvm_probe_run(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		  enum kvm_probe_depth depth, struct kvm_probe *out_probe, struct umbra_err *err);
/* The first question of it alone: does code of this kind run at all? */
int kvm_probe_can_run(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		      enum accel_mode mode, bool *out_can_run, struct umbra_err *err);
/* The result as a table for a person. */
void kvm_probe_show(const struct kvm_probe *probe, const struct print_sink *sink);
/* What is missing in a full one, what that means and what to do, a line each.  Returns how many. */
unsigned kvm_probe_show_missing(const struct kvm_probe *probe, const struct print_sink *sink);

/* Probe_trap.c: the same question about page tables in read-only memory. */
int kvm_trap_probe(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		   struct accel_trap_verdict *out_verdict, struct umbra_err *err);

/* The machine. */

/* Guest memory in one slot: a region or, where writes to some of its pages are trapped, a part. */
struct kvm_slot {
	struct mem_region part;
	bool is_used, is_trapped;
};

/* Pages whose writes are trapped, and the last writes. */
struct kvm_trap {
	unsigned count;			   /* [world] */
	gpa_t page[ACCEL_TRAP_PAGES];	   /* [world] sorted */
	bool is_written[ACCEL_TRAP_PAGES]; /* under lock; since kvm_written_pages */
	/* Held over the write itself, the flush after it and its record. */
	struct lock lock;
	uint64_t total;					 /* under lock */
	struct accel_trapped record[ACCEL_TRAP_RECORDS]; /* under lock */
};

/* The in-kernel chips as they were after their creation. */
struct kvm_chips {
	struct kvm_irqchip pic[2], ioapic;
	struct kvm_pit_state2 pit;
};

struct accel_vm {
	struct kvm_host host;	   /* [const] */
	int fd;			   /* [const] */
	struct mem_space *mem;	   /* [const] */
	struct bus *bus;	   /* [const] */
	unsigned vcpus;		   /* [const] */
	struct kvm_cpuid2 *cpuid;  /* [const] as KVM supports it */
	struct kvm_probe probe;	   /* [const] after vm_start */
	struct kvm_chips power_up; /* [const] after vm_start */

	struct kvm_slot slot[KVM_SLOT_MAX]; /* [world] */
	bool logs_writes;		    /* [world] slots of RAM have KVM_MEM_LOG_DIRTY_PAGES */
	void *flush_page;		    /* [const] backs KVM_SLOT_FLUSH */
	struct kvm_trap *trap;		    /* [world] NULL until it is first asked for */

	/* Interrupt lines; see kvm_irq_set for the order of these two. */
	atomic_uint irq_levels;	  /* bit per GSI */
	atomic_bool has_irqchips; /* set once by vm_start */

	struct accel_zone zone[KVM_ZONE_MAX]; /* [const] as wanted */
	unsigned zone_wanted;		      /* [const] */
	unsigned zone_count;		      /* [const] after vm_start: those that KVM has */
	/* Held by the vCPU thread that takes coalesced writes out; taken before any device's. */
	struct lock ring_lock;
};

/* What a step must know of its instruction before it runs; see step.c. */
struct kvm_step {
	enum x86_insn_kind kind;
	unsigned operand_bits;
	bool has_target;      /* a debug register waits at @target for this step only */
	unsigned target_slot; /* which */
	gva_t target;
};

/* All that struct x86_state does not hold, as it was when the vCPU was created. */
struct kvm_power_up {
	struct kvm_sregs sregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_xcrs xcrs;
	bool has_xcrs;
	struct kvm_msrs *msrs;	/* those of the host's list that can be read */
	struct kvm_xsave xsave; /* must stand last: C sees no end of it */
};

struct accel_vcpu {
	struct accel_vm *vm;	/* [const] */
	unsigned index;		/* [const] */
	const atomic_uint *req; /* [const] */
	pthread_t thread;	/* [const] */
	int fd;			/* [const] */
	struct kvm_run *run;	/* [const] shared with the kernel; immediate_exit also by kick */
	struct kvm_coalesced_mmio_ring *ring; /* [const] in that area; NULL: no zones */
	struct kvm_power_up *power_up;	      /* [const] */

	/* Which parts of run->s.regs show the vCPU as it is (KVM_SYNC_X86_*).  The area serves as
	 * our cache where KVM_RUN does not fill it. */
	unsigned cached;	      /* [vcpu] */
	uint64_t tsc_seen;	      /* [vcpu] the last TSC that state_get gave */
	struct accel_debug debug;     /* [vcpu] as wanted */
	struct kvm_guest_debug armed; /* [vcpu] as KVM was last told */
	bool is_armed_stale;	      /* [vcpu] registers were written since */
	bool may_be_halted;	      /* [vcpu] mp_state may be HALTED */
	bool is_trap_from_debug;      /* [vcpu] the last exit was a #BP that KVM intercepted */
	bool is_io_pending;	      /* [vcpu] the next KVM_RUN completes an access */
	struct kvm_step step;	      /* [vcpu] of the step under way */

	/* [vcpu] writes; anyone reads (relaxed: a count for a person). */
	_Atomic uint64_t exits[KVM_REASON_MAX];
	_Atomic uint64_t eintr, eagain;
};

/* vm.c */
int kvm_vm_open(struct accel_vm **out_vm, const struct accel_vm_config *config,
		struct umbra_err *err);
int kvm_vm_start(struct accel_vm *vm, struct umbra_err *err);
void kvm_vm_close(struct accel_vm *vm);

/* slots.c: guest memory as KVM sees it. */
int kvm_slots_listen(void *vm, const struct mem_region *region, bool is_added,
		     struct umbra_err *err);
void kvm_mmu_flush(struct accel_vm *vm);
int kvm_log_writes(struct accel_vm *vm, bool is_on, struct umbra_err *err);
int kvm_written_pages(struct accel_vm *vm, void (*fn)(void *ctx, gpa_t first, uint64_t written),
		      void *ctx);

/* Give the slots of all RAM anew, as vm->trap has them.  Errors: those of region_add. */
int kvm_slots_divide(struct accel_vm *vm, struct umbra_err *err);

/* trap.c */
extern const struct accel_trap_ops kvm_trap_ops;
/* The index of the first trapped page at or behind @gpa; the number of them when there is none. */
unsigned kvm_trap_find(const struct accel_vm *vm, gpa_t gpa);
/* The exit under way wrote to a trapped page: it is done and noted.  False: it was another's. */
bool kvm_trap_write(struct accel_vcpu *vcpu);
/* Some byte of @len at linear @va is of a trapped page. */
bool kvm_trap_has(const struct accel_vm *vm, const struct x86_state *st, gva_t va, unsigned len);
void kvm_trap_end(struct accel_vm *vm);

/* trap_insn.c */
/* Which instruction stored @len bytes to @gpa and left @st?  Fills rip, insn_len, insn, insn_mode
 * and next_rip of @out; insn_len stays 0 when none fits, or several do.  By the tables as they were
 * when it ran. */
void kvm_trap_writer(const struct accel_vm *vm, const struct x86_state *st, gpa_t gpa, unsigned len,
		     struct accel_trapped *out);

/* irq.c: interrupt controllers and timer in the kernel. */
int kvm_chips_create(struct accel_vm *vm, struct umbra_err *err);
int kvm_chips_reset(struct accel_vm *vm, struct umbra_err *err);
void kvm_irq_set(struct accel_vm *vm, unsigned gsi, bool is_high);
int kvm_irq_get(struct accel_vm *vm, unsigned gsi, struct accel_irq *out_irq);
/* Some interrupt message can arrive although RFLAGS.IF=0: an NMI, SMI or INIT source is open. */
bool kvm_lapic_has_open_nmi(const struct kvm_lapic_state *lapic);
bool kvm_ioapic_has_open_nmi(const struct kvm_ioapic_state *ioapic);
bool kvm_is_halted_for_good(struct accel_vcpu *vcpu);

/* zone.c: writes that the kernel collects. */
int kvm_zones_keep(struct accel_vm *vm, const struct accel_zone *zone, unsigned count,
		   struct umbra_err *err);
/* Ask KVM for the zones that were kept. */
int kvm_zones_add(struct accel_vm *vm, struct umbra_err *err);
/* Hand what was collected, by whichever vCPU, to the bus. */
void kvm_zones_drain(struct accel_vcpu *vcpu);

/* vcpu.c */
int kvm_vcpu_open(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
		  const struct accel_vcpu_config *config, struct umbra_err *err);
void kvm_vcpu_close(struct accel_vcpu *vcpu);
int kvm_vcpu_reset(struct accel_vcpu *vcpu, struct umbra_err *err);
void kvm_vcpu_kick(struct accel_vcpu *vcpu);

/* run.c */
void kvm_vcpu_run(struct accel_vcpu *vcpu, struct accel_exit *out_exit);

/* state.c */
/* Make @parts (KVM_SYNC_X86_*) of run->s.regs valid.  Errors: those of the ioctl. */
int kvm_state_cache(struct accel_vcpu *vcpu, unsigned parts);
int kvm_state_get(struct accel_vcpu *vcpu, struct x86_state *st, unsigned parts);
int kvm_state_set(struct accel_vcpu *vcpu, const struct x86_state *st, unsigned parts,
		  struct umbra_err *err);
/* Copy @len bytes from linear address @va; needs GPR and SREG of @st.  Returns what could be
 * read. */
size_t kvm_guest_read(const struct accel_vm *vm, const struct x86_state *st, gva_t va, void *buf,
		      size_t len);

/* debug.c */
int kvm_debug_set(struct accel_vcpu *vcpu, const struct accel_debug *debug);
/* Tell KVM what the next KVM_RUN is to stop for.  Errors: those of KVM_SET_GUEST_DEBUG. */
int kvm_debug_arm(struct accel_vcpu *vcpu);
/* The ioctl's argument for @debug and the step @step; pure.  @allowed KVM_GUESTDBG_*. */
void kvm_debug_compose(const struct accel_debug *debug, const struct kvm_step *step,
		       unsigned allowed, struct kvm_guest_debug *out);
/* What a KVM_EXIT_DEBUG means; pure.  Fills kind, debug, hit and guest_dr6. */
void kvm_debug_classify(const struct kvm_debug_exit_arch *arch, const struct accel_debug *debug,
			const struct kvm_step *step, struct accel_exit *out);
int kvm_debug_reflect(struct accel_vcpu *vcpu, unsigned vector, uint64_t dr6);

/* step.c */
void kvm_step_prepare(struct accel_vcpu *vcpu);
/* A step ended; the guest must not see that there was one. */
void kvm_step_finish(struct accel_vcpu *vcpu);
/* Where the IRET described by @st goes, from the @len bytes at its stack pointer and, in protected
 * mode, the 8-byte descriptor of the new CS (NULL: take its base as 0); pure. */
bool kvm_step_iret_target(const struct x86_state *st, unsigned operand_bits, const uint8_t *frame,
			  const uint8_t *descriptor, gva_t *out_target);

/* exits.c */
const char *kvm_exit_name(unsigned reason);
void kvm_exit_count(struct accel_vcpu *vcpu, int result);
void kvm_exits_show(const struct accel_vcpu *vcpu, const struct print_sink *sink);
/* Fill kind, text and is_emulation for an exit that the guest cannot go on from by itself. */
void kvm_exit_describe(struct accel_vcpu *vcpu, struct accel_exit *out);
void kvm_exit_fail(struct accel_exit *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* pc and rip from the vCPU's registers. */
void kvm_exit_locate(struct accel_vcpu *vcpu, struct accel_exit *out);

#endif
