/* Trapped writes to page tables through the KVM back end, on this host's /dev/kvm: each store is
 * told once with old, new and its instruction, the guest goes on by the new entry, and without the
 * trap memory is as before.  Where the self-test of it fails here the tests are skipped with its
 * reason.  Exit status 77 when there is no usable KVM. */
#include "rig.h"

#define PT	0x17000u
#define ENTRY	(PT + 0xc * 8)
#define PAGE	0xc000u
#define FRAME_A 0xa000u
#define FRAME_B 0xb000u
#define RIGHTS	7u

static const gpa_t TABLES[] = {PROBE_PML4, PROBE_PDPT, PROBE_PD, PT};

static const struct accel_trap_ops *traps(const struct rig *rig)
{
	return rig->ops->trap;
}

static void set(struct rig *rig, unsigned count)
{
	struct umbra_err err = {.text = ""};

	if (!CHECK(rig, traps(rig)->set(rig->vm, TABLES, count, &err) == 0))
		printf("# %s\n", err.text);
}

/* @code in @mode with 4 KiB pages, PAGE mapped to FRAME_A. */
static void load(struct rig *rig, enum accel_mode mode, const void *code, size_t len)
{
	struct x86_state st;
	uint8_t *ram;
	unsigned i;

	rig_load(rig, mode, code, len);
	ram = rig_ram(rig, 0, PROBE_MEM_BYTES);
	le64_put(ram + PROBE_PD, PT | RIGHTS);
	for (i = 0; i < PROBE_MEM_BYTES / UMBRA_PAGE_SIZE; i++)
		le64_put(ram + PT + (size_t)i * 8, i * UMBRA_PAGE_SIZE | RIGHTS);
	le64_put(ram + ENTRY, FRAME_A | RIGHTS);
	le64_put(ram + FRAME_A, 0xaaaa);
	le64_put(ram + FRAME_B, 0xbbbb);
	rig->ops->mmu_flush(rig->vm);
	st = rig_get(rig);
	st.gpr[X86_RSI] = PAGE;
	st.gpr[X86_RDI] = ENTRY;
	st.gpr[X86_RDX] = FRAME_B | RIGHTS;
	rig_set(rig, &st, X86_STATE_GPR);
}

/* Run to the OUT at the end. */
static bool run(struct rig *rig)
{
	rig->pio.ask = &rig->req[0];
	return CHECK(rig, rig_run(rig).kind == ACCEL_EXIT_KICKED);
}

/* mov (%rsi),%rax; mov %rdx,(%rdi); invlpg (%rsi); mov (%rsi),%rbx; in $0x3f8..: asks for a stop */
static const uint8_t REMAP[] = {0x48, 0x8b, 0x06, 0x48, 0x89, 0x17, 0x0f, 0x01, 0x3e,
				0x48, 0x8b, 0x1e, 0x66, 0xba, 0xf8, 0x03, 0xec, 0xf4};

static void test_remap(struct rig *rig)
{
	struct accel_trapped write = {.len = 0};
	uint64_t before = traps(rig)->total(rig->vm);
	struct x86_state st;

	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64, REMAP, sizeof(REMAP));
	run(rig);
	st = rig_get(rig);
	CHECK(rig, st.gpr[X86_RAX] >> 8 == 0xaa && st.gpr[X86_RBX] == 0xbbbb);
	CHECK(rig, traps(rig)->total(rig->vm) == before + 1);
	CHECK(rig, traps(rig)->at(rig->vm, before, &write));
	CHECK(rig, write.gpa == ENTRY && write.len == 8 && write.number == before);
	CHECK(rig, write.old == (FRAME_A | RIGHTS) && write.now == (FRAME_B | RIGHTS));
	CHECK(rig, write.rip == PROBE_CODE + 3 && write.insn_len == 3);
	CHECK(rig, write.next_rip == PROBE_CODE + 6 && memcmp(write.insn, REMAP + 3, 3) == 0);
	CHECK(rig, !traps(rig)->at(rig->vm, before + 1, &write));
	set(rig, 0);
	tap_result(rig->tap, "a store to a table is told, and the new entry counts");
}

/* CPL 3 code that never leaves the processor by itself: load, store, load, UD2. */
static void test_user(struct rig *rig)
{
	static const uint8_t code[] = {0x48, 0x8b, 0x06, 0x48, 0x89, 0x17,
				       0x48, 0x8b, 0x1e, 0x0f, 0x0b};
	uint64_t before = traps(rig)->total(rig->vm);
	struct accel_exit exit;
	struct x86_state st;

	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64_USER, code, sizeof(code));
	/* The handler of UD2: in, and then it is asked to stop. */
	memcpy(rig_ram(rig, PROBE_HANDLERS + 6 * 4, 4), "\x66\xba\xf8\x03", 4);
	memcpy(rig_ram(rig, PROBE_HANDLERS + 7 * 4, 2), "\xec\xf4", 2);
	rig->pio.ask = &rig->req[0];
	exit = rig_run(rig);
	st = rig_get(rig);
	CHECK(rig, exit.kind == ACCEL_EXIT_KICKED);
	CHECK(rig, st.gpr[X86_RBX] == 0xbbbb);
	CHECK(rig, traps(rig)->total(rig->vm) == before + 1);
	set(rig, 0);
	tap_result(rig->tap, "CPL 3 code goes on by the new entry at once");
}

/* rep stosq of 3, lock or, and 4 bytes of an entry. */
static void test_forms(struct rig *rig)
{
	static const uint8_t code[] = {0xb9, 3,	   0,	 0,    0,    0xf3, 0x48, 0xab, /* */
				       0xf0, 0x48, 0x09, 0x57, 0xe8, 0x89, 0x57, 0xe8, /* */
				       0x66, 0xba, 0xf8, 0x03, 0xec, 0xf4};
	uint64_t before = traps(rig)->total(rig->vm), i;
	struct accel_trapped write = {.len = 0};

	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64, code, sizeof(code));
	run(rig);
	CHECK(rig, traps(rig)->total(rig->vm) == before + 5);
	for (i = 0; i < 3; i++) {
		CHECK(rig, traps(rig)->at(rig->vm, before + i, &write));
		CHECK(rig, write.gpa == ENTRY + i * 8 && write.now == 0 && write.len == 8);
		CHECK(rig, write.rip == PROBE_CODE + 5 && write.insn_len == 3);
	}
	CHECK(rig, traps(rig)->at(rig->vm, before + 3, &write) && write.gpa == ENTRY);
	CHECK(rig, write.now == (FRAME_B | RIGHTS));
	CHECK(rig, write.rip == PROBE_CODE + 8 && write.insn_len == 5);
	CHECK(rig, traps(rig)->at(rig->vm, before + 4, &write) && write.len == 4);
	CHECK(rig, write.rip == PROBE_CODE + 13 && write.insn_len == 3);
	set(rig, 0);
	tap_result(rig->tap, "REP, a locked operation, and half an entry");
}

static void count_written(void *ctx, gpa_t first, uint64_t written)
{
	unsigned *count = ctx;

	for (; written; written &= written - 1) {
		gpa_t gpa = first + (gpa_t)__builtin_ctzll(written) * UMBRA_PAGE_SIZE;

		*count += gpa == PT;
	}
}

/* The last byte of the instruction before could be a prefix; and one whose address is gone with the
 * register that held it. */
static void test_writer(struct rig *rig)
{
	static const uint8_t code[] = {0x48, 0x8b, 0x46, 0x48, 0x48, 0x89, 0x17, 0x48,
				       0x87, 0x3f, 0x66, 0xba, 0xf8, 0x03, 0xec, 0xf4};
	uint64_t before = traps(rig)->total(rig->vm);
	struct accel_trapped write = {.len = 0};

	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64, code, sizeof(code));
	memset(rig_ram(rig, PROBE_CODE - 64, 64), 0x90, 64);
	run(rig);
	CHECK(rig, traps(rig)->at(rig->vm, before, &write));
	CHECK(rig, write.rip == PROBE_CODE + 4 && write.insn_len == 3);
	CHECK(rig, traps(rig)->at(rig->vm, before + 1, &write));
	CHECK(rig, write.now == ENTRY && write.insn_len == 0);
	CHECK(rig, write.next_rip == PROBE_CODE + 10);
	set(rig, 0);
	tap_result(rig->tap, "the instruction is told where it is sure");
}

/* The page of a trapped write is told as written; and without the trap no exit comes. */
static void test_end(struct rig *rig)
{
	uint64_t before = traps(rig)->total(rig->vm);
	struct umbra_err err = {.text = ""};
	unsigned count = 0;

	CHECK(rig, rig->ops->log_writes(rig->vm, true, &err) == 0);
	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64, REMAP, sizeof(REMAP));
	run(rig);
	CHECK(rig, rig->ops->written_pages(rig->vm, count_written, &count) == 0 && count == 1);
	set(rig, 0);
	load(rig, ACCEL_LONG64, REMAP, sizeof(REMAP));
	run(rig);
	CHECK(rig, rig_get(rig).gpr[X86_RBX] == 0xbbbb);
	CHECK(rig, traps(rig)->total(rig->vm) == before + 1);
	count = 0;
	CHECK(rig, rig->ops->written_pages(rig->vm, count_written, &count) == 0 && count == 1);
	CHECK(rig, rig->ops->log_writes(rig->vm, false, &err) == 0);
	tap_result(rig->tap, "its page counts as written; the end of the trap is its end");
}

/* movdqa %xmm0,(%rdi) comes as two writes; fnsave (%rdi) is beyond what KVM emulates. */
static void test_failure(struct rig *rig)
{
	static const uint8_t code[] = {0x66, 0x0f, 0x7f, 0x07, 0xdd, 0x37, 0xf4};
	uint64_t before = traps(rig)->total(rig->vm);
	struct accel_exit exit;

	set(rig, UMBRA_ARRAY_SIZE(TABLES));
	load(rig, ACCEL_LONG64, code, sizeof(code));
	exit = rig_run(rig);
	if (!CHECK(rig, exit.kind == ACCEL_EXIT_FAILED && strstr(exit.text, "mmu track lazy")))
		printf("# kind %d: %s\n", exit.kind, exit.text);
	CHECK(rig, traps(rig)->total(rig->vm) == before + 2);
	set(rig, 0);
	tap_result(rig->tap, "a store that KVM cannot emulate says what keeps it from running");
}

static void (*const TESTS[])(struct rig *rig) = {test_remap,  test_user, test_forms,
						 test_writer, test_end,	 test_failure};

int main(void)
{
	struct accel_trap_verdict verdict;
	struct umbra_err err = {.text = ""};
	struct tap tap = {0};
	struct rig rig;
	size_t i;

	rig_open(&rig, &tap, 1);
	if (traps(&rig)->probe(rig.vm, &verdict, &err) != 0)
		rig_die("probe", &err);
	printf("# works %d keeps_ad %d is_stale %d: %s\n", verdict.works, verdict.keeps_ad,
	       verdict.is_stale, verdict.why ? verdict.why : "-");
	if (!verdict.works) {
		rig_close(&rig);
		printf("1..0 # SKIP %s\n", verdict.why);
		return RIG_SKIP;
	}
	rig_start(&rig);
	for (i = 0; i < UMBRA_ARRAY_SIZE(TESTS); i++)
		TESTS[i](&rig);
	rig_close(&rig);
	printf("1..%u\n", tap.count);
	return tap.failed ? 1 : 0;
}
