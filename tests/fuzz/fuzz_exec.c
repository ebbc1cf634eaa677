/* libFuzzer target: bytes become a mode, registers and code, which the software CPU decodes and
 * executes twice: one instruction at a time, and in blocks as a guest runs.  Both must come to the
 * same state, whatever the bytes are.  Then it goes on through whatever exceptions follow, through
 * gates and tables that are bytes of the input too, and the shadow must keep its invariants. */
#include "soft_rig.h"

#include <stdio.h>
#include <stdlib.h>

#define RAM_MIB	     1
#define RAM_BYTES    (RAM_MIB << 20)
#define STEPS_MAX    64u
#define DELIVERY_MAX 64u

static uint8_t pristine[RAM_BYTES]; /* memory of the new rig */

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, unsigned bytes)
{
	uint8_t raw[8] = {0};
	size_t n = u64_min(bytes, in->left);

	memcpy(raw, in->at, n);
	in->at += n;
	in->left -= n;
	return le64_get(raw);
}

/* Most inputs touch few pages, and writing a page is dear: shadow and code cache follow. */
static void restore_memory(struct soft_rig *rig)
{
	for (gpa_t gpa = 0; gpa < RAM_BYTES; gpa += UMBRA_PAGE_SIZE) {
		if (memcmp(mem_ptr(rig->mem, gpa, UMBRA_PAGE_SIZE), pristine + gpa,
			   UMBRA_PAGE_SIZE) != 0)
			soft_rig_poke(rig, gpa, pristine + gpa, UMBRA_PAGE_SIZE);
	}
}

/* Memory as the rig came with it, tables and all, then state and code from the input. */
static void set_up(struct soft_rig *rig, struct input in)
{
	enum x86_mode mode = (enum x86_mode)(take(&in, 1) % X86_MODE_COUNT);
	uint64_t head = take(&in, 2);
	struct x86_state st;

	restore_memory(rig);
	soft_rig_state(rig, mode,
		       mode == X86_MODE_V86    ? 3
		       : mode == X86_MODE_REAL ? 0
					       : head & 3,
		       &st);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++) {
		if (i != X86_RSP && (head >> 2 & 1))
			st.gpr[i] = SOFT_RIG_DATA + take(&in, 2);
		else if (i != X86_RSP)
			st.gpr[i] = take(&in, 8);
	}
	st.rflags = (take(&in, 4) & 0xcd5) | X86_RFLAGS_FIXED |
		    (mode == X86_MODE_V86 ? X86_RFLAGS_VM : 0);
	soft_rig_poke(rig, SOFT_RIG_DATA, in.at, u64_min(in.left, 0x1000));
	soft_rig_set(rig, &st);
	soft_rig_code(rig, in.at, u64_min(in.left, 0x400));
}

static void differ(const char *what, uint64_t stepped, uint64_t in_blocks)
{
	fprintf(stderr, "fuzz_exec: %s is %#llx after steps, %#llx after blocks\n", what,
		(unsigned long long)stepped, (unsigned long long)in_blocks);
	abort();
}

/* Field by field: a structure has bytes that belong to none. */
static void compare_seg(const struct x86_seg *a, const struct x86_seg *b)
{
	if (a->selector != b->selector)
		differ("a selector", a->selector, b->selector);
	if (a->base != b->base)
		differ("a segment's base", a->base, b->base);
	if (a->limit != b->limit)
		differ("a segment's limit", a->limit, b->limit);
	if (a->type != b->type || a->dpl != b->dpl || a->s != b->s || a->present != b->present ||
	    a->avl != b->avl || a->l != b->l || a->db != b->db || a->g != b->g ||
	    a->unusable != b->unusable)
		differ("a segment's attributes", a->type, b->type);
}

static void compare(const struct x86_state *a, const struct x86_state *b)
{
	for (unsigned i = 0; i < X86_GPR_COUNT; i++) {
		if (a->gpr[i] != b->gpr[i])
			differ("a register", a->gpr[i], b->gpr[i]);
	}
	if (a->rip != b->rip)
		differ("rip", a->rip, b->rip);
	if ((a->rflags ^ b->rflags) & ~X86_RFLAGS_RF)
		differ("rflags", a->rflags, b->rflags);
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		compare_seg(&a->seg[i], &b->seg[i]);
	if (memcmp(a->fpu.xmm, b->fpu.xmm, sizeof(a->fpu.xmm)) != 0)
		differ("an xmm register", 0, 0);
	if (memcmp(a->fpu.st, b->fpu.st, sizeof(a->fpu.st)) != 0)
		differ("an x87 register", 0, 0);
}

static void run_both(struct soft_rig *rig, struct input in)
{
	static uint8_t memory[RAM_BYTES];
	struct x86_state stepped, in_blocks;
	uint64_t count = 0, done = 0;

	set_up(rig, in);
	while (count < STEPS_MAX && soft_rig_step(rig).end == SOFT_RIG_OK)
		count++;
	soft_rig_get(rig, &stepped);
	mem_peek(rig->mem, 0, memory, sizeof(memory));

	set_up(rig, in);
	while (done < count) {
		struct soft_rig_result result = soft_rig_run(rig, count - done);

		done += result.count;
		if (result.count == 0 && soft_rig_step(rig).end == SOFT_RIG_OK)
			done++; /* a block that is longer than the rest */
		else if (result.count == 0)
			break;
	}
	if (count < STEPS_MAX && done == count)
		soft_rig_step(rig); /* what the last step of the first run met leaves A bits */
	soft_rig_get(rig, &in_blocks);
	if (done != count)
		differ("the count", count, done);
	compare(&stepped, &in_blocks);
	if (memcmp(mem_ptr(rig->mem, 0, sizeof(memory)), memory, sizeof(memory)) != 0)
		differ("memory", 0, 1);
}

/* With exceptions delivered, wherever that leads. */
static void run_on(struct soft_rig *rig, bool is_verified)
{
	const struct accel_debug step = {.step = true};
	struct accel_exit out = {.kind = ACCEL_EXIT_DEBUG};

	soft_vcpu_debug_set(rig->vcpu, &step);
	for (unsigned i = 0;
	     i < DELIVERY_MAX && out.kind == ACCEL_EXIT_DEBUG && rig->c->activity == X86_ACTIVE;
	     i++)
		soft_vcpu_run(rig->vcpu, &out);
	soft_vcpu_debug_set(rig->vcpu, &(struct accel_debug){.step = false});
	/* It builds a second shadow: not for every input. */
	if (is_verified && mmu_verify(rig->vm->soft.mmu, NULL) != 0)
		differ("the shadow", 0, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Made once: a machine costs more than what is done with it. */
	static struct soft_rig *rig;
	const struct input in = {data, size};

	if (!rig) {
		rig = soft_rig_create(RAM_MIB);
		mem_peek(rig->mem, 0, pristine, sizeof(pristine));
	}
	run_both(rig, in);
	run_on(rig, size % 16 == 0);
	return 0;
}
