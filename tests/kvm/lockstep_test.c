/* The same guest on KVM and on the software CPU, one instruction at a time: registers are equal
 * after each, RAM at the end.  It goes on as long as the self-test says that this KVM can step the
 * mode that the guest is in; where it stops, and why, is told in a comment.  Guests whose first
 * instruction cannot be stepped are skipped.  Exit status 77 when there is no usable KVM.
 *
 * What is not compared, and why:
 *   - RFLAGS.TF and RF: a KVM steps by them.
 *   - The accessed bit of a segment's type: hardware loads set it in the hidden part, a KVM that
 *     emulates may not.
 *   - Hidden parts of unusable segments, and of FS and GS limits in 64-bit mode: not used.
 *   - Each iteration of a repeated string instruction: a KVM may do several in one step, so both
 *     sides go on until RIP moves.
 *   - What RDTSC and CPUID give.
 *   - That the guest is halted: a KVM tells of a step over HLT before it halts.
 *   - The instruction behind an IRET or at the start of a handler: some KVMs do not stop there. The
 *     software CPU then takes up to LAG more steps to where KVM is, and must equal it there. */
#include "rig.h"

#include "umbra/accel_soft.h"
#include "umbra/dev.h"
#include "umbra/load.h"
#include "umbra/record.h"

#define MEM_BYTES	   (16ull << 20)
#define STEPS		   20000u
#define LAG		   2u
#define REPS		   100000u /* steps of one repeated instruction */
#define FLAGS_NOT_COMPARED (X86_RFLAGS_TF | X86_RFLAGS_RF)
#define COMPARED	   (X86_STATE_GPR | X86_STATE_SREG | X86_STATE_RUN)

struct guest {
	const char *name;
	struct load_config load;
};

struct side {
	const char *name;
	const struct accel_ops *ops;
	struct mem_space *mem;
	struct bus *bus;
	struct load_image *image;
	struct gate *gate;
	struct accel_vm *vm;
	struct accel_vcpu *cpu;
	atomic_uint req;
	bool is_over; /* the guest asked for the end */
	struct x86_state st;
	struct accel_exit exit;
};

enum side_index { KVM, SOFT };

/* Life. */

static void end_asked(void *ctx, enum machine_request request, int code)
{
	struct side *side = ctx;

	(void)request;
	(void)code;
	side->is_over = true;
}

static void line_set(void *ctx, unsigned gsi, bool is_high)
{
	(void)ctx;
	(void)gsi;
	(void)is_high;
}

static int open_machine(struct side *side, const struct guest *guest, struct umbra_err *err)
{
	const struct irq_line irq = {.set = line_set};
	const struct machine_hook hook = {.post = end_asked, .ctx = side};
	struct x86_state *boot = &side->st;
	struct accel_vm_config config = {.vcpus = 1};
	struct accel_vcpu_config cpu = {.req = &side->req, .thread = pthread_self()};

	if (mem_create(&side->mem, err) != 0 || bus_create(&side->bus, err) != 0 ||
	    mem_add(side->mem, 0, MEM_BYTES, MEM_RAM, "ram", err) != 0 ||
	    gate_create(&side->gate, err) != 0 ||
	    uart16550_create(side->bus, "serial0", 0x3f8, irq, NULL, err) != 0 ||
	    debugexit_create(side->bus, 0xf4, 4, true, hook, err) != 0 ||
	    load_open(&side->image, &guest->load, side->mem, err) != 0 ||
	    load_apply(side->image, side->mem, boot, err) != 0)
		return -EINVAL;
	config.mem = side->mem;
	config.bus = side->bus;
	config.gate = side->gate;
	if (side->ops->vm_open(&side->vm, &config, err) != 0 ||
	    side->ops->vm_start(side->vm, err) != 0 ||
	    side->ops->vcpu_open(&side->cpu, side->vm, &cpu, err) != 0 ||
	    side->ops->vcpu_reset(side->cpu, err) != 0)
		return -EINVAL;
	return side->ops->state_set(side->cpu, boot, X86_STATE_ALL, err);
}

static void open_side(struct side *side, const struct accel_ops *ops, const struct guest *guest)
{
	const struct accel_debug step = {.step = true, .block_irq = true};
	struct umbra_err err = {.text = ""};

	*side = (struct side){.name = ops->name, .ops = ops};
	if (open_machine(side, guest, &err) != 0)
		rig_die(guest->name, &err);
	if (ops->vm_resume)
		ops->vm_resume(side->vm, 1);
	ops->debug_set(side->cpu, &step);
	ops->state_get(side->cpu, &side->st, X86_STATE_ALL);
}

static void close_side(struct side *side)
{
	side->ops->vcpu_close(side->cpu);
	side->ops->vm_close(side->vm);
	load_close(side->image);
	bus_destroy(side->bus);
	gate_destroy(side->gate);
	mem_destroy(side->mem);
}

/* Comparing. */

struct comparison {
	unsigned differences;
	const char *what; /* the first one */
	uint64_t kvm, soft;
};

static void same(struct comparison *c, const char *what, uint64_t kvm, uint64_t soft)
{
	if (kvm == soft)
		return;
	if (c->differences++ == 0)
		*c = (struct comparison){.differences = 1, .what = what, .kvm = kvm, .soft = soft};
}

/* Bits as in the upper half of a descriptor, the accessed bit left out. */
static unsigned rights_of(const struct x86_seg *seg)
{
	unsigned type = seg->s ? seg->type & ~1u : seg->type;

	return type | (unsigned)seg->s << 4 | (unsigned)seg->dpl << 5 |
	       (unsigned)seg->present << 7 | (unsigned)seg->l << 13 | (unsigned)seg->db << 14;
}

static void compare_segment(struct comparison *c, const char *name, const struct x86_seg *kvm,
			    const struct x86_seg *soft, bool has_limit)
{
	same(c, name, kvm->selector, soft->selector);
	if (kvm->unusable && soft->unusable)
		return;
	same(c, name, kvm->base, soft->base);
	same(c, name, rights_of(kvm), rights_of(soft));
	if (has_limit)
		same(c, name, kvm->limit, soft->limit);
}

static void compare_control(struct comparison *c, const struct x86_state *kvm,
			    const struct x86_state *soft)
{
	same(c, "cr0", kvm->cr0, soft->cr0);
	same(c, "cr2", kvm->cr2, soft->cr2);
	same(c, "cr3", kvm->cr3, soft->cr3);
	same(c, "cr4", kvm->cr4, soft->cr4);
	same(c, "cr8", kvm->cr8, soft->cr8);
	same(c, "efer", kvm->efer, soft->efer);
	same(c, "gdtr base", kvm->gdtr.base, soft->gdtr.base);
	same(c, "gdtr limit", kvm->gdtr.limit, soft->gdtr.limit);
	same(c, "idtr base", kvm->idtr.base, soft->idtr.base);
	same(c, "idtr limit", kvm->idtr.limit, soft->idtr.limit);
	same(c, "tr", kvm->tr.selector, soft->tr.selector);
	same(c, "ldtr", kvm->ldtr.selector, soft->ldtr.selector);
}

static struct comparison compare(const struct x86_state *kvm, const struct x86_state *soft)
{
	static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	bool has_limits = !(kvm->efer & X86_EFER_LMA);
	struct comparison c = {.differences = 0};

	same(&c, "rip", kvm->rip, soft->rip);
	same(&c, "rflags", kvm->rflags & ~FLAGS_NOT_COMPARED, soft->rflags & ~FLAGS_NOT_COMPARED);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		same(&c, gpr[i], kvm->gpr[i], soft->gpr[i]);
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		compare_segment(&c, seg[i], &kvm->seg[i], &soft->seg[i],
				has_limits || (i != X86_FS && i != X86_GS));
	compare_control(&c, kvm, soft);
	return c;
}

/* Stepping. */

/* The instruction in front, by the software CPU's memory. */
static void describe(const struct side *side, struct x86_insn *out_insn, char *out_text)
{
	uint8_t bytes[X86_INSN_MAX] = {0};
	struct x86_walk walk = {.gpa = x86_linear_pc(&side->st)};
	enum x86_mode mode = x86_mode_of(&side->st);

	x86_walk(&side->st, x86_linear_pc(&side->st), mem_phys_read, side->mem, &walk);
	mem_peek(side->mem, walk.gpa, bytes, sizeof(bytes));
	*out_insn = (struct x86_insn){.kind = X86_INSN_OTHER};
	x86_insn_decode(mode, bytes, sizeof(bytes), out_insn);
	x86_insn_format(mode, x86_linear_pc(&side->st), bytes, sizeof(bytes), out_text);
}

static bool step_once(struct side *side)
{
	side->ops->run(side->cpu, &side->exit);
	side->ops->state_get(side->cpu, &side->st, COMPARED);
	return side->exit.kind == ACCEL_EXIT_DEBUG;
}

static bool step(struct side *side, bool has_rep)
{
	uint64_t rip = side->st.rip;
	unsigned left = has_rep ? REPS : 1;

	do {
		if (!step_once(side))
			return false;
	} while (--left > 0 && side->st.rip == rip);
	return true;
}

struct run {
	struct side side[2];
	unsigned compared, lagged;
	char reason[320]; /* why it ended */
	bool has_failed;
};

static void fail(struct run *r, const struct comparison *c, const char *insn)
{
	snprintf(r->reason, sizeof(r->reason), "%s is %#llx on kvm and %#llx on soft after %s",
		 c->what, (unsigned long long)c->kvm, (unsigned long long)c->soft, insn);
	r->has_failed = true;
}

/* Time and CPU model are each side's own: soft goes on with what KVM gave. */
static void take_results_of_kvm(struct run *r)
{
	static const enum x86_gpr result[] = {X86_RAX, X86_RBX, X86_RCX, X86_RDX};
	struct side *soft = &r->side[SOFT];

	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(result); i++)
		soft->st.gpr[result[i]] = r->side[KVM].st.gpr[result[i]];
	soft->ops->state_set(soft->cpu, &soft->st, X86_STATE_GPR, NULL);
}

static bool is_own_result(const char *insn)
{
	return strncmp(insn, "rdtsc", 5) == 0 || strncmp(insn, "cpuid", 5) == 0;
}

/* Both have left the guest in the same way, or KVM could not go on where soft did. */
static bool take_ends(struct run *r, bool kvm_stepped, bool soft_stepped, const char *insn)
{
	const struct accel_exit *kvm = &r->side[KVM].exit, *soft = &r->side[SOFT].exit;

	if (kvm_stepped && soft_stepped)
		return false;
	if (!kvm_stepped && kvm->kind == ACCEL_EXIT_FAILED) {
		snprintf(r->reason, sizeof(r->reason), "this KVM cannot: %.*s",
			 (int)strcspn(kvm->text, "\n"), kvm->text);
		return true;
	}
	snprintf(r->reason, sizeof(r->reason), "%s: exit kind %d on kvm, %d on soft", insn,
		 kvm->kind, soft->kind);
	r->has_failed = kvm->kind != soft->kind;
	return true;
}

/* One instruction on both sides.  False: the run is over. */
static bool step_both(struct run *r)
{
	struct side *kvm = &r->side[KVM], *soft = &r->side[SOFT];
	enum accel_mode mode = accel_mode_of(&soft->st);
	char text[X86_INSN_TEXT_MAX];
	struct x86_insn insn;
	struct comparison c;
	bool kvm_stepped, soft_stepped;

	if (!kvm->ops->caps(kvm->vm)->mode[mode].can_step) {
		snprintf(r->reason, sizeof(r->reason), "this KVM cannot step %s",
			 accel_mode_name(mode));
		return false;
	}
	describe(soft, &insn, text);
	kvm_stepped = step(kvm, insn.has_rep);
	soft_stepped = step(soft, insn.has_rep);
	if (take_ends(r, kvm_stepped, soft_stepped, text))
		return false;
	if (is_own_result(text))
		take_results_of_kvm(r);
	c = compare(&kvm->st, &soft->st);
	for (unsigned lag = 0; lag < LAG && kvm->st.rip != soft->st.rip; lag++) {
		r->lagged++;
		step_once(soft);
		c = compare(&kvm->st, &soft->st);
	}
	if (c.differences) {
		fail(r, &c, text);
		return false;
	}
	r->compared++;
	if (soft->st.activity == X86_HALTED)
		snprintf(r->reason, sizeof(r->reason), "the guest halts");
	return soft->st.activity != X86_HALTED;
}

static void compare_ram(struct run *r)
{
	const uint8_t *kvm = mem_ptr(r->side[KVM].mem, 0, MEM_BYTES);
	const uint8_t *soft = mem_ptr(r->side[SOFT].mem, 0, MEM_BYTES);

	for (uint64_t at = 0; at < MEM_BYTES && !r->has_failed; at++) {
		if (kvm[at] != soft[at]) {
			snprintf(r->reason, sizeof(r->reason),
				 "ram at %#llx is %#x on kvm, %#x on soft", (unsigned long long)at,
				 kvm[at], soft[at]);
			r->has_failed = true;
		}
	}
}

static void run_both(struct run *r)
{
	snprintf(r->reason, sizeof(r->reason), "%u steps were enough", STEPS);
	for (unsigned n = 0; n < STEPS; n++) {
		if (!step_both(r))
			break;
		if (r->side[KVM].is_over && r->side[SOFT].is_over) {
			snprintf(r->reason, sizeof(r->reason), "the guest's end");
			break;
		}
	}
	if (r->compared > 0)
		compare_ram(r);
}

static void test(struct tap *tap, const struct guest *guest)
{
	static struct run r;

	r = (struct run){.compared = 0};
	open_side(&r.side[KVM], &accel_kvm, guest);
	open_side(&r.side[SOFT], &accel_soft, guest);
	run_both(&r);
	close_side(&r.side[SOFT]);
	close_side(&r.side[KVM]);
	if (r.compared == 0 && !r.has_failed) {
		tap_skip(tap, guest->name, r.reason);
		return;
	}
	printf("# %s: %u instructions compared, %u of them behind KVM's; %s\n", guest->name,
	       r.compared, r.lagged, r.reason);
	tap->is_failing = r.has_failed;
	tap_result(tap, guest->name);
}

#define GUEST(image)                                                                               \
	{                                                                                          \
		image,                                                                             \
		{                                                                                  \
			.kernel = "build/guests/" image                                            \
		}                                                                                  \
	}
static const struct guest GUESTS[] = {
	{"add16.bin",
	 {.kernel = "build/guests/add16.bin",
	  .has_load_addr = true,
	  .load_addr = 0x1000,
	  .has_mode = true,
	  .mode = LOAD_MODE_REAL,
	  .reg = {{"rax", 2}, {"rbx", 2}},
	  .reg_count = 2}},
	GUEST("hello32.elf"),
	GUEST("hello64.elf"),
	GUEST("hello64-mb32.elf"),
	GUEST("faults.elf"),
	GUEST("faults-mb32.elf"),
	GUEST("paging.elf"),
	GUEST("uart_irq.elf"),
	GUEST("triple.elf"),
	GUEST("halt.elf"),
	GUEST("speed.elf"),
	GUEST("bench.elf"),
};

int main(void)
{
	struct tap tap = {0};
	struct rig rig;

	rig_open(&rig, &tap, 1); /* ends here with a skip when there is no KVM */
	rig_start(&rig);
	rig_close(&rig);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(GUESTS); i++)
		test(&tap, &GUESTS[i]);
	printf("1..%u\n", tap.count);
	return tap.failed != 0;
}
