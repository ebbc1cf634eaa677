/* A machine with one software CPU for unit tests: RAM at 0, 64 KiB of ROM right behind it, a bus
 * without devices, and a way to run single instructions and to see the exceptions they raise before
 * those are delivered.
 * What memory holds where is the test's business, but for the tables of soft_rig_mode, which lie in
 * the last 64 KiB of RAM. */
#ifndef UMBRA_TEST_SOFT_RIG_H
#define UMBRA_TEST_SOFT_RIG_H

#include "src/accel/soft/vm.h"

#define SOFT_RIG_CODE 0x10000u /* where soft_rig_code puts instructions */
#define SOFT_RIG_DATA 0x20000u
#define SOFT_RIG_STACK                                                                             \
	0x30000u /* RSP of soft_rig_mode; 16-bit modes: SP = 0x8000 in that segment */

struct soft_rig {
	struct mem_space *mem;
	struct bus *bus;
	struct accel_vm *vm;
	struct accel_vcpu *vcpu;
	struct soft_cpu *c; /* registers are c->r[X86_RAX] and so on; flags by soft_rflags(c) */
	atomic_uint req;
	uint64_t ram_bytes;
};

enum soft_rig_end {
	SOFT_RIG_OK,	    /* step: one instruction; run: the budget is used up */
	SOFT_RIG_EXCEPTION, /* state is that in front of the instruction */
	SOFT_RIG_HALTED,
	SOFT_RIG_POINT, /* run: an exec point of the debugger; the first instruction meets none */
	SOFT_RIG_CAUGHT /* in front of what c->debug.catch wants: c->caught */
};

struct soft_rig_result {
	enum soft_rig_end end;
	struct soft_event event; /* EXCEPTION: vector, has_error, error, cr2, dr6 */
	uint64_t count;		 /* instructions executed */
};

/* Abort when they cannot.  The CPU is in 64-bit mode, CPL 0, as by soft_rig_mode. */
struct soft_rig *soft_rig_create(unsigned ram_mib);
/* The same with a choice of the machine.  Of more vCPUs than one the rig has the first; to the mmu
 * the others exist. */
struct soft_rig *soft_rig_create_with(unsigned ram_mib, const struct accel_vm_config *config);
void soft_rig_destroy(struct soft_rig *rig);

/* A state in which @mode's code at SOFT_RIG_CODE runs at once: flat segments (in 16-bit modes CS
 * and SS begin at the addresses above, in real and virtual-8086 mode the others at SOFT_RIG_DATA),
 * general registers 0 but for RSP, interrupts off, the x87 as after FNINIT, SSE on with all its
 * exceptions masked, paging with all of the first 4 GiB mapped to itself and open to every CPL in
 * IA-32e mode, else none.  Virtual-8086 mode takes @cpl 3, real mode 0. */
void soft_rig_state(const struct soft_rig *rig, enum x86_mode mode, unsigned cpl,
		    struct x86_state *out_st);
/* Enter it, or any other state; aborts when it is refused. */
void soft_rig_mode(struct soft_rig *rig, enum x86_mode mode, unsigned cpl);
void soft_rig_set(struct soft_rig *rig, const struct x86_state *st);
void soft_rig_get(struct soft_rig *rig, struct x86_state *out_st);

/* Write @len bytes of guest memory, as a loader would. */
void soft_rig_poke(struct soft_rig *rig, gpa_t gpa, const void *bytes, size_t len);
/* Put instructions at SOFT_RIG_CODE, and RIP on the first. */
void soft_rig_code(struct soft_rig *rig, const void *bytes, size_t len);
#define SOFT_RIG_CODE_BYTES(rig, ...)                                                              \
	soft_rig_code((rig), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
uint64_t soft_rig_peek(const struct soft_rig *rig, gpa_t gpa, unsigned size);

/* Execute exactly one instruction.  An exception is not delivered: RIP stays at the instruction. */
struct soft_rig_result soft_rig_step(struct soft_rig *rig);
/* Execute whole blocks until HLT, an exception, or about @max instructions: never more. */
struct soft_rig_result soft_rig_run(struct soft_rig *rig, uint64_t max);

#endif
