/* Descriptor tables in guest memory for the tests of segmentation, events and tasks: what a small
 * operating system would set up. */
#ifndef UMBRA_TEST_SEG_WORLD_H
#define UMBRA_TEST_SEG_WORLD_H

#include "src/accel/soft/seg.h"
#include "tests/lib/soft_rig.h"

#define WORLD_GDT  0x1000u
#define WORLD_IDT  0x2000u
#define WORLD_LDT  0x3000u
#define WORLD_TSS  0x4000u
#define WORLD_TSS2 0x5000u /* nothing is there but what a test writes */
#define WORLD_IVT  0x6000u

#define WORLD_GDT_LIMIT 0xffu
#define WORLD_LDT_LIMIT 0x0fu

/* Selectors.  The rig's own are 0x08 + 0x11 * CPL for CS, 0x10 + 0x11 * CPL for the others; their
 * descriptors are flat. In 64-bit mode CS is 64-bit code and SEL_COMPAT is 32-bit code. */
#define SEL_CODE0   0x08u
#define SEL_DATA0   0x10u
#define SEL_CODE1   0x19u
#define SEL_DATA1   0x21u
#define SEL_CODE3   0x3bu
#define SEL_DATA3   0x43u
#define SEL_COMPAT0 0x48u
#define SEL_COMPAT3 0x53u
#define SEL_TSS	    0x60u
#define SEL_LDT	    0x70u
#define SEL_FREE    0x80u /* this and all behind it: the test's */
#define SEL_FREE2   0x90u
#define SEL_FREE3   0xa0u
#define SEL_BEYOND  0x100u

#define WORLD_HANDLER 0x12000u
#define WORLD_STACK0  0x38000u /* ESP0, RSP0 */
#define WORLD_STACK1  0x39000u
#define WORLD_IST1    0x3c008u

/* The access byte and the upper nibble of a descriptor. */
#define ACCESS(dpl, s, type) (0x80u | (dpl) << 5 | (s) << 4 | (type))
#define NOT_PRESENT(access)  ((access) & ~0x80u)
#define CODE_SEG	     0xbu
#define CONFORMING_SEG	     0xfu
#define EXECUTE_ONLY	     0x9u
#define DATA_SEG	     0x3u
#define READ_ONLY	     0x1u
#define DOWN_SEG	     0x7u
#define FLAGS_16	     0x0u
#define FLAGS_FLAT32	     0xcu
#define FLAGS_FLAT64	     0xau

struct world {
	struct soft_rig *rig;
	struct soft_cpu *c;
};

/* Real and virtual-8086 mode too: those use the tables when an event comes. */
struct world world_open(enum x86_mode mode, unsigned cpl);
void world_close(struct world *w);

uint64_t world_descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
/* A gate's first eight bytes; @count: parameters or IST. */
uint64_t world_gate(uint16_t selector, uint32_t offset, unsigned access, unsigned count);
void world_gdt(struct world *w, uint16_t selector, uint64_t low, uint64_t high);
/* Entry @vector, 8 or 16 bytes as the mode has it. */
void world_idt(struct world *w, uint8_t vector, uint64_t low);
void world_put(struct world *w, gpa_t gpa, unsigned size, uint64_t value);
uint64_t world_get(const struct world *w, gpa_t gpa, unsigned size);
/* RIP on @len bytes of code, one step. */
struct soft_rig_result world_step(struct world *w, const void *code, size_t len);
#define WORLD_STEP(w, ...)                                                                         \
	world_step((w), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
/* Deliver @event as the loop does; EXCEPTION: what came of it instead. */
struct soft_rig_result world_deliver(struct world *w, const struct soft_event *event);
/* Push @value on the current stack, @size bytes, in flat modes. */
void world_push(struct world *w, unsigned size, uint64_t value);

/* The result is exception @vector with @error; @what names the row. */
void world_expect_fault(struct soft_rig_result result, unsigned vector, unsigned error,
			const char *what);
void world_expect_ok(struct soft_rig_result result, const char *what);

#endif
