/* The self-test's own virtual machine: a little memory with descriptor tables, page tables and
 * handlers for every mode, and the snippets of guest code that are run in it. */
#ifndef UMBRA_ACCEL_KVM_PROBE_H
#define UMBRA_ACCEL_KVM_PROBE_H

#include "kvm.h"

#include <time.h>

/* Layout: guest physical = linear. */

#define PROBE_MEM_BYTES	 0x18000u
#define PROBE_IVT	 0x0u /* real mode: 4 bytes per vector */
#define PROBE_GDT	 0x1000u
#define PROBE_IDT16	 0x1400u /* 8 bytes per vector */
#define PROBE_IDT32	 0x1800u
#define PROBE_IDT64	 0x2000u /* 16 bytes per vector */
#define PROBE_TSS	 0x3000u
#define PROBE_HANDLERS	 0x4000u /* 4 bytes per vector: OUT, HLT */
#define PROBE_DATA	 0x6000u
#define PROBE_STACK	 0x7400u /* of the code under test; it is set up beforehand up to +0x80 */
#define PROBE_KERNEL_TOP 0x7c00u /* RSP0: handlers of CPL 3 code */
#define PROBE_CODE	 0x8000u
#define PROBE_TARGET	 0x8040u /* where the IRET under test goes */
#define PROBE_PD32	 0x10000u
#define PROBE_PT32	 0x11000u
#define PROBE_PDPT_PAE	 0x12000u
#define PROBE_PD_PAE	 0x13000u
#define PROBE_PML4	 0x14000u
#define PROBE_PDPT	 0x15000u
#define PROBE_PD	 0x16000u

#define PROBE_VECTORS 64
#define PROBE_INT_N   0x30 /* the vector of the INT n under test */
#define PROBE_PORT    0xe0 /* what a handler writes to */

/* Guest code. */

enum probe_snippet {
	PROBE_NOPS,
	PROBE_POPF,
	PROBE_PUSHF,
	PROBE_IRET,
	PROBE_INT3,
	PROBE_INT1,
	PROBE_STORE, /* NOP, then a byte to PROBE_DATA, which SI holds */
	PROBE_LOAD,
	PROBE_FPU,
	PROBE_INT,
	PROBE_SNIPPET_COUNT
};

/* One mode as the self-test sets it up. */
struct probe_mode {
	unsigned bits; /* 16, 32 or 64: width of code and stack slots */
	unsigned cpl;
	bool is_protected;
	uint64_t cr0, cr3, cr4, efer; /* added to a protected mode's */
	uint16_t cs, ds;	      /* selectors */
	uint32_t idt;
	uint16_t idt_limit;
};
const struct probe_mode *probe_mode_row(enum accel_mode mode);

/* Fill @mem (PROBE_MEM_BYTES, zeroed) with everything that is the same for all cases. */
void probe_code_tables(uint8_t *mem);
/* Put @snippet at PROBE_CODE and what ends a case behind it: HLT, or UD2 at CPL 3. */
void probe_code_place(uint8_t *mem, enum accel_mode mode, enum probe_snippet snippet);
/* Offset of the instruction under test in @snippet, and of what ends the case. */
unsigned probe_code_end(enum accel_mode mode, enum probe_snippet snippet);
/* Register state in which @mode begins a case. */
void probe_code_state(enum accel_mode mode, struct x86_state *st);

/* The machine. */

struct probe_vm {
	const struct kvm_host *host;
	int vm_fd, vcpu_fd;
	uint8_t *mem;
	struct kvm_run *run;
	timer_t timer; /* ends a case that would run for ever */
	bool has_timer;
	bool is_armed; /* KVM_SET_GUEST_DEBUG asked for something */
	unsigned case_count;
	uint64_t cpu_ns;
	enum accel_mode mode; /* of the case under way */
};

int probe_vm_open(struct probe_vm *p, const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		  struct umbra_err *err);
void probe_vm_close(struct probe_vm *p);
/* Set up @snippet in @mode with nothing armed. */
bool probe_begin(struct probe_vm *p, enum accel_mode mode, enum probe_snippet snippet);
/* KVM_SET_GUEST_DEBUG with @control, and debug register 0 at @addr with kind @kind. */
bool probe_arm(struct probe_vm *p, unsigned control, const struct accel_point *point);
/* Run until an exit; its reason, or a negative errno (-EINTR: it would have gone on). */
int probe_run(struct probe_vm *p);
/* Registers after a run, before any is set. */
struct kvm_regs probe_regs(struct probe_vm *p);
bool probe_set_regs(struct probe_vm *p, const struct kvm_regs *regs);
bool probe_inject(struct probe_vm *p, unsigned vector);
/* The vector of the handler that ended the run with @reason, or -1. */
int probe_vector(struct probe_vm *p, int reason);
/* The run that gave @reason came to the end of @snippet. */
bool probe_is_end(struct probe_vm *p, int reason, enum probe_snippet snippet);
/* It ended with a debug exit for @vector at @pc. */
bool probe_is_debug(const struct probe_vm *p, int reason, unsigned vector, gva_t pc);
/* It ended because the instruction at @pc could not be emulated. */
bool probe_is_emulfail(struct probe_vm *p, int reason, uint64_t pc);

#endif
