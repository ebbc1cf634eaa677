/* Do page tables in read-only memory work here, and how?  A guest of three instructions loads
 * through a table entry, writes the entry, and loads again; INVLPG is between.
 *
 * What is known to differ between kinds of KVM: whether a walk that sets A or D counts as a write
 * to the table (then every walk leaves the processor, code that KVM cannot emulate fails, and
 * nothing that is trapped is the guest's own: refused); whether A and D are kept; whether what was
 * derived from the old entry is used after INVLPG, because KVM did not see the write.
 * Source: SDM 3C 28.3.3.2 (walks as writes with accessed and dirty flags for EPT). */
#include "probe.h"

#include <errno.h>

#define TABLES	  PROBE_PML4 /* all of them, to the end of memory */
#define PROBE_PT  0x17000u
#define FRAME_A	  0xa000u
#define FRAME_B	  0xb000u
#define PAGE	  0xc000u /* is mapped to A at first */
#define FLUSH_GPA 0x100000u
#define ENTRY	  (PROBE_PT + PAGE / UMBRA_PAGE_SIZE * 8)
#define RIGHTS	  7u
#define VALUE_A	  0xaaaaaaaaaaaaaaaaull
#define VALUE_B	  0xbbbbbbbbbbbbbbbbull

enum slot { SLOT_MEMORY, SLOT_TABLES, SLOT_FLUSH };

/* As long as PROBE_NOPS, in whose place they come. */
enum step { STEP_LOAD, STEP_STORE, STEP_INVLPG, STEP_SSE };
static const uint8_t STEPS[][4] = {
	[STEP_LOAD] = {0x48, 0x8b, 0x06, 0x90},	  /* mov (%rsi), %rax */
	[STEP_STORE] = {0x48, 0x89, 0x17, 0x90},  /* mov %rdx, (%rdi) */
	[STEP_INVLPG] = {0x0f, 0x01, 0x3e, 0x90}, /* invlpg (%rsi) */
	[STEP_SSE] = {0x66, 0x0f, 0xd4, 0x06},	  /* paddq (%rsi), %xmm0: is emulated by no KVM */
};

static bool slot_put(struct probe_vm *p, enum slot slot, gpa_t gpa, uint64_t len, uint8_t *host,
		     unsigned flags)
{
	struct kvm_userspace_memory_region arg = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	return kvm_ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &arg) == 0;
}

static bool flush(struct probe_vm *p)
{
	return slot_put(p, SLOT_FLUSH, FLUSH_GPA, UMBRA_PAGE_SIZE, p->mem, 0) &&
	       slot_put(p, SLOT_FLUSH, FLUSH_GPA, 0, p->mem, 0);
}

static bool divide(struct probe_vm *p)
{
	return slot_put(p, SLOT_MEMORY, 0, 0, p->mem, 0) &&
	       slot_put(p, SLOT_MEMORY, 0, TABLES, p->mem, 0) &&
	       slot_put(p, SLOT_TABLES, TABLES, PROBE_MEM_BYTES - TABLES, p->mem + TABLES,
			KVM_MEM_READONLY);
}

static bool tables_put(struct probe_vm *p)
{
	unsigned page;

	le64_put(p->mem + FRAME_A, VALUE_A);
	le64_put(p->mem + FRAME_B, VALUE_B);
	le64_put(p->mem + PROBE_PD, PROBE_PT | RIGHTS);
	for (page = 0; page < PROBE_MEM_BYTES / UMBRA_PAGE_SIZE; page++)
		le64_put(p->mem + PROBE_PT + (size_t)page * 8, page * UMBRA_PAGE_SIZE | RIGHTS);
	le64_put(p->mem + ENTRY, FRAME_A | RIGHTS);
	return flush(p);
}

static bool begin(struct probe_vm *p, enum accel_mode mode, enum step step)
{
	struct x86_state st;
	struct kvm_regs regs;

	if (!probe_begin(p, mode, PROBE_NOPS))
		return false;
	memcpy(p->mem + PROBE_CODE, STEPS[step], sizeof(STEPS[step]));
	probe_code_state(mode, &st);
	kvm_regs_put(&regs, &st);
	regs.rsi = PAGE;
	regs.rdi = ENTRY;
	regs.rdx = FRAME_B | RIGHTS;
	return probe_set_regs(p, &regs);
}

static bool run_step(struct probe_vm *p, enum accel_mode mode, enum step step)
{
	return begin(p, mode, step) && probe_is_end(p, probe_run(p), PROBE_NOPS);
}

static bool loads(struct probe_vm *p, enum accel_mode mode, uint64_t value)
{
	return run_step(p, mode, STEP_LOAD) && probe_regs(p).rax == value;
}

/* The store comes back as it is, once, and is done here. */
static bool store_exits(struct probe_vm *p, enum accel_mode mode, bool must_flush)
{
	const struct kvm_run *run = p->run;

	if (!begin(p, mode, STEP_STORE) || probe_run(p) != KVM_EXIT_MMIO || !run->mmio.is_write ||
	    run->mmio.phys_addr != ENTRY || run->mmio.len != 8 ||
	    le64_get(run->mmio.data) != (FRAME_B | RIGHTS))
		return false;
	le64_put(p->mem + ENTRY, le64_get(run->mmio.data));
	if (must_flush && !flush(p))
		return false;
	return probe_is_end(p, probe_run(p), PROBE_NOPS) && run_step(p, ACCEL_LONG64, STEP_INVLPG);
}

/* Why code in @mode cannot do with it; NULL: it can. */
static const char *judge(struct probe_vm *p, enum accel_mode mode, struct accel_trap_verdict *out)
{
	if (!tables_put(p) || !loads(p, mode, VALUE_A))
		return "a load through page tables in read-only memory does not work";
	out->keeps_ad |= le64_get(p->mem + ENTRY) & X86_PTE_A;
	if (!store_exits(p, mode, false))
		return "a write to a page table in read-only memory does not come back as it is";
	out->is_stale |= !loads(p, mode, VALUE_B);
	if (!tables_put(p) || !loads(p, mode, VALUE_A) || !store_exits(p, mode, true) ||
	    !loads(p, mode, VALUE_B))
		return "the guest goes on with old translations though they were flushed";
	return NULL;
}

static const char *judge_all(struct probe_vm *p, struct accel_trap_verdict *out)
{
	const char *why;

	if (!run_step(p, ACCEL_LONG64, STEP_INVLPG) || !run_step(p, ACCEL_LONG64_USER, STEP_SSE))
		return "64-bit code does not run here as it must";
	if (!divide(p))
		return "memory cannot be made read-only (KVM_CAP_READONLY_MEM)";
	if (!tables_put(p) || !run_step(p, ACCEL_LONG64_USER, STEP_SSE))
		return "walks of page tables count as writes to them (EPT or NPT)";
	why = judge(p, ACCEL_LONG64, out);
	return why ? why : judge(p, ACCEL_LONG64_USER, out);
}

int kvm_trap_probe(const struct kvm_host *host, const struct kvm_cpuid2 *cpuid,
		   struct accel_trap_verdict *out_verdict, struct umbra_err *err)
{
	struct probe_vm vm;
	int result = probe_vm_open(&vm, host, cpuid, err);

	if (result)
		return result;
	*out_verdict = (struct accel_trap_verdict){.works = false};
	out_verdict->why = judge_all(&vm, out_verdict);
	out_verdict->works = !out_verdict->why;
	probe_vm_close(&vm);
	return 0;
}
