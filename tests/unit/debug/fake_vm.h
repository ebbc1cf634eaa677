/* A machine without vCPUs for the tests of src/debug: it stands in for src/vm and src/cpu, stops
 * and runs when the test says so, and counts what it was asked to do. */
#ifndef TEST_FAKE_VM_H
#define TEST_FAKE_VM_H

#include "umbra/vm.h"

#define FAKE_CPUS      2u
#define FAKE_MEM_BYTES 0x3000u /* linear 0.. */

struct vm {
	struct world *world;
	unsigned reset_count;
	unsigned press_count;
	int reset_error;
	chardev_tap_fn tap;
	void *tap_ctx;
	const char *printed;   /* and not seen by the tap yet */
	struct mem_space *mem; /* the test's; NULL */
	struct mmu *mmu;       /* the same */
	struct vgatext_screen screen;
	char typed[600];   /* keys and their time, or text */
	bool is_arch_open; /* the image does not say that it is 64-bit */
};

struct world {
	bool has_stop;
	enum world_state state;
	struct x86_state st[FAKE_CPUS];
	uint8_t mem[FAKE_MEM_BYTES];

	/* What was asked for. */
	unsigned as_before_count;
	bool cannot_catch, has_catch;
	struct accel_catch catch;
	unsigned stop_count, resume_count, clear_count, write_count;
	enum stop_kind stop_kind;
	struct vcpu_plan plan[FAKE_CPUS];
	int write_error;
	struct bp_info bp[8];
	unsigned bp_count;
	void *agent[8]; /* of bp */
	unsigned trace_count;
	gva_t trace_addr[8];
	void *trace_agent[8];
	const struct bp_hook *hook;
};

/* A vCPU that meets breakpoints: what a bp_hook is given. */
struct vcpu {
	struct world *world;
	unsigned index;
};

/* A stopped machine with cleared counters; one per process. */
/* What vm_accel gives for every one; a test may fill in more of it. */
extern struct accel_ops fake_accel;

struct vm *fake_vm_create(void);
void fake_vm_destroy(struct vm *vm);
/* The stop that was asked for (or any other) has come: readable until it is taken. */
void fake_world_set_stopped(struct world *world);
void fake_world_take(struct world *world);

/* What a monitor word said: fake_collect as print_sink.text, with this as its context. */
struct fake_text {
	char text[262144];
	size_t len;
};
void fake_collect(void *said, const char *text, size_t len);

#endif
