/* The KVM back end on this host's /dev/kvm: running, kicks, devices and interrupt lines.
 * What this KVM cannot do is skipped with the name of the flag of its self-test.  Exit status 77
 * when there is no usable KVM. */
#include "rig.h"

#define KICKS	    10000
#define STORM_OUTS  3000
#define LAZY_WRITES 300

/* Running. */

/* mov $0x3f8,%dx; add %bl,%al; add $'0',%al; out; mov $'\n',%al; out; hlt */
static const uint8_t ADD16[] = {0xba, 0xf8, 0x03, 0x00, 0xd8, 0x04,
				0x30, 0xee, 0xb0, 0x0a, 0xee, 0xf4};
static const unsigned ADD16_STEPS[] = {3, 5, 7, 8, 10, 11};

static void load_add16(struct rig *rig)
{
	struct x86_state st;

	rig_load(rig, ACCEL_REAL16, ADD16, sizeof(ADD16));
	st = rig_get(rig);
	st.gpr[X86_RAX] = st.gpr[X86_RBX] = 2;
	rig_set(rig, &st, X86_STATE_GPR);
}

static void check_add16_output(struct rig *rig)
{
	CHECK(rig, recorded(&rig->pio) == 2);
	CHECK(rig, rig->pio.event[0].value == '4' && rig->pio.event[0].width == 1);
	CHECK(rig, rig->pio.event[1].value == '\n');
}

static void test_add16(struct rig *rig)
{
	load_add16(rig);
	CHECK(rig, rig_run_to_halt(rig, 2));
	check_add16_output(rig);
	CHECK(rig, rig_rip(rig) == PROBE_CODE + sizeof(ADD16));
	CHECK(rig, rig_get(rig).activity == X86_HALTED);
	tap_result(rig->tap, "add16 prints 4 and halts for good");
}

static void test_add16_steps(struct rig *rig)
{
	const struct accel_debug step = {.step = true, .block_irq = true};
	unsigned i;

	if (!rig_caps(rig, ACCEL_REAL16)->can_step) {
		tap_skip(rig->tap, "add16 step by step", "step real16");
		return;
	}
	load_add16(rig);
	rig_debug(rig, &step);
	for (i = 0; i < UMBRA_ARRAY_SIZE(ADD16_STEPS); i++)
		CHECK(rig, rig_step_to(rig, PROBE_CODE + ADD16_STEPS[i]));
	check_add16_output(rig);
	CHECK(rig, rig_step_to(rig, PROBE_CODE + sizeof(ADD16))); /* over HLT */
	tap_result(rig->tap, "add16 step by step loses no instruction after OUT");
}

/* A triple fault: no handler can be reached. */
static void test_shutdown(struct rig *rig)
{
	static const uint8_t ud2[] = {0x0f, 0x0b};
	struct x86_state st;
	struct accel_exit exit;

	rig_load(rig, ACCEL_PROT32, ud2, sizeof(ud2));
	st = rig_get(rig);
	st.idtr.limit = 0;
	rig_set(rig, &st, X86_STATE_SREG);
	exit = rig_run(rig);
	CHECK(rig, exit.kind == ACCEL_EXIT_SHUTDOWN);
	tap_result(rig->tap, "a triple fault is a shutdown");
}

static void test_unbacked_fetch(struct rig *rig)
{
	static const uint8_t jump[] = {0xb8, 0x00, 0x00, 0x00, 0x20, 0xff, 0xe0};
	struct accel_exit exit;

	rig_load(rig, ACCEL_PROT32, jump, sizeof(jump)); /* mov $0x20000000,%eax; jmp *%eax */
	exit = rig_run(rig);
	CHECK(rig, exit.kind == ACCEL_EXIT_FAILED);
	CHECK(rig, exit.pc == 0x20000000 && exit.rip == 0x20000000);
	CHECK(rig, strstr(exit.text, "0x20000000") != NULL);
	tap_result(rig->tap, "code outside of memory fails with its address");
}

/* fld1; out; hlt: some KVMs have no x87 unit for code of this kind. */
static void test_failed_text(struct rig *rig)
{
	static const uint8_t fld1[] = {0xd9, 0xe8, 0xee, 0xf4};
	struct rig_waiter waiter = {.rig = rig, .count = 1};
	struct accel_exit exit;
	struct x86_state st;
	pthread_t thread;

	rig_load(rig, ACCEL_LONG64, fld1, sizeof(fld1));
	st = rig_get(rig);
	st.gpr[X86_RDX] = RIG_OUT;
	rig_set(rig, &st, X86_STATE_GPR);
	pthread_create(&thread, NULL, rig_wait_and_kick, &waiter);
	exit = rig_run(rig);
	atomic_store(&rig->pio.count, 1); /* lets the waiter go in any case */
	pthread_join(thread, NULL);
	if (exit.kind == ACCEL_EXIT_KICKED) {
		tap_skip(rig->tap, "an emulation failure names the instruction",
			 "fpu long64: nothing fails here");
		return;
	}
	CHECK(rig, exit.kind == ACCEL_EXIT_FAILED && exit.is_emulation);
	CHECK(rig, exit.pc == PROBE_CODE);
	CHECK(rig, strstr(exit.text, "fld1") && strstr(exit.text, "d9 e8"));
	printf("# %s\n", exit.text);
	tap_result(rig->tap, "an emulation failure names the instruction");
}

/* Devices. */

/* cld; mov $0x3f8,%dx; mov $4,%cx; rep outsb; mov $4,%cx; rep insb; in (%dx),%ax; out %eax; hlt */
static const uint8_t STRINGS[] = {0xfc, 0xba, 0xf8, 0x03, 0xb9, 0x04, 0x00, 0xf3, 0x6e,
				  0xb9, 0x04, 0x00, 0xf3, 0x6c, 0xed, 0x66, 0xef, 0xf4};

static void test_string_io(struct rig *rig)
{
	struct x86_state st;
	unsigned i;

	rig_load(rig, ACCEL_REAL16, STRINGS, sizeof(STRINGS));
	memcpy(rig_ram(rig, PROBE_DATA, 4), "WXYZ", 4);
	st = rig_get(rig);
	st.gpr[X86_RSI] = PROBE_DATA;
	st.gpr[X86_RDI] = PROBE_DATA + 0x100;
	rig_set(rig, &st, X86_STATE_GPR);
	CHECK(rig, rig_run_to_halt(rig, 5));
	for (i = 0; i < 4; i++) {
		CHECK(rig, rig->pio.event[i].value == (uint64_t) "WXYZ"[i]);
		CHECK(rig, *rig_ram(rig, PROBE_DATA + 0x100 + i, 1) == i + 1);
	}
	CHECK(rig, rig->pio.event[4].width == 4 && (rig->pio.event[4].value & 0xffff) == 5);
	tap_result(rig->tap, "string I/O moves each element once");
}

/* mov %eax,(%rbx); mov 8(%rbx),%ecx; mov %rcx,0x10(%rbx); movb $7,0x7ff(%rbx); out; hlt */
static const uint8_t MMIO64[] = {0x89, 0x03, 0x8b, 0x4b, 0x08, 0x48, 0x89, 0x4b, 0x10,
				 0xc6, 0x83, 0xff, 0x07, 0x00, 0x00, 0x07, 0xee, 0xf4};
static const unsigned MMIO64_STEPS[] = {2, 5, 9, 16, 17};

/* The self-test's page tables end at 2 MiB; the device gets a page of its own there. */
static void load_mmio64(struct rig *rig)
{
	struct x86_state st;

	rig_load(rig, ACCEL_LONG64, MMIO64, sizeof(MMIO64));
	le64_put(rig_ram(rig, PROBE_PD + 8, 8), RIG_MMIO | 0x83);
	rig->ops->mmu_flush(rig->vm);
	st = rig_get(rig);
	st.gpr[X86_RAX] = 0x11223344;
	st.gpr[X86_RBX] = 0x200000;
	st.gpr[X86_RDX] = RIG_OUT;
	rig_set(rig, &st, X86_STATE_GPR);
}

static void check_mmio64(struct rig *rig)
{
	const struct rig_event *e = rig->mmio.event;

	CHECK(rig, recorded(&rig->mmio) == 3);
	CHECK(rig, e[0].offset == 0 && e[0].width == 4 && e[0].value == 0x11223344);
	CHECK(rig, e[1].offset == 0x10 && e[1].width == 8 && e[1].value == 1);
	CHECK(rig, e[2].offset == 0x7ff && e[2].width == 1 && e[2].value == 7);
}

static void test_mmio(struct rig *rig)
{
	const struct accel_debug step = {.step = true};
	unsigned i;

	load_mmio64(rig);
	CHECK(rig, rig_run_to_halt(rig, 1));
	check_mmio64(rig);
	tap_result(rig->tap, "MMIO of each width reaches its device");
	if (!rig_caps(rig, ACCEL_LONG64)->can_step) {
		tap_skip(rig->tap, "steps over MMIO", "step long64");
		return;
	}
	load_mmio64(rig);
	rig_debug(rig, &step);
	for (i = 0; i < UMBRA_ARRAY_SIZE(MMIO64_STEPS); i++)
		CHECK(rig, rig_step_to(rig, PROBE_CODE + MMIO64_STEPS[i]));
	check_mmio64(rig);
	tap_result(rig->tap, "steps over MMIO lose no instruction");
}

/* Writes in the log: by guest code, and the A and D bits of its walks. */

struct seen_pages {
	uint64_t low; /* the first 64 pages, where the self-test's code, tables and data lie */
	unsigned count;
};

static void see_pages(void *ctx, gpa_t first, uint64_t written)
{
	struct seen_pages *seen = ctx;

	seen->low |= first == 0 ? written : 0;
	seen->count += (unsigned)__builtin_popcountll(written);
}

/* mov %al,(%rbx); hlt */
static const uint8_t STORE64[] = {0x88, 0x03, 0xf4};

static struct seen_pages run_store(struct rig *rig, gpa_t at)
{
	struct seen_pages seen = {0};
	struct x86_state st;

	rig_load(rig, ACCEL_LONG64, STORE64, sizeof(STORE64));
	st = rig_get(rig);
	st.gpr[X86_RBX] = at;
	rig_set(rig, &st, X86_STATE_GPR);
	CHECK(rig, rig_run_to_halt(rig, 0));
	CHECK(rig, rig->ops->written_pages(rig->vm, see_pages, &seen) == 0);
	return seen;
}

static void test_log(struct rig *rig)
{
	struct seen_pages seen = {0};

	if (!rig_caps(rig, ACCEL_LONG64)->can_run) {
		tap_skip(rig->tap, "a log of written pages", "run long64");
		return;
	}
	CHECK(rig, rig->ops->log_writes(rig->vm, true, NULL) == 0);
	CHECK(rig, rig->ops->written_pages(rig->vm, see_pages, &seen) == 0);
	seen = run_store(rig, PROBE_DATA);
	CHECK(rig, seen.low >> (PROBE_DATA / UMBRA_PAGE_SIZE) & 1);
	CHECK(rig, seen.count > 0 && seen.count < 16);
	seen = run_store(rig, 0x30000);
	CHECK(rig, seen.low >> 0x30 & 1);
	CHECK(rig, !(seen.low >> (PROBE_DATA / UMBRA_PAGE_SIZE) & 1));
	CHECK(rig, rig->ops->log_writes(rig->vm, false, NULL) == 0);
	CHECK(rig, rig->ops->written_pages(rig->vm, see_pages, &seen) < 0);
	tap_result(rig->tap, "a log of written pages names those that were written since");
}

static void text_append(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

/* mov $0x3f8,%dx; mov $300,%cx; 1: out %al,$0x80; inc %ax; loop 1b; out %al,%dx; hlt */
static const uint8_t LAZY[] = {
	0xba, 0xf8, 0x03, 0xb9, LAZY_WRITES & 0xff, LAZY_WRITES >> 8, 0xe6, 0x80, 0x40,
	0xe2, 0xfb, 0xee, 0xf4};

static void test_lazy_zone(struct rig *rig)
{
	uint64_t before = rig->cpu[0]->exits[KVM_EXIT_IO];
	char text[2048] = "";
	const struct print_sink sink = {.text = text_append, .ctx = text};
	unsigned i;

	if (!rig->vm->zone_count) {
		tap_skip(rig->tap, "coalesced writes", "coalesced-pio");
		return;
	}
	rig_load(rig, ACCEL_REAL16, LAZY, sizeof(LAZY));
	CHECK(rig, rig_run_to_halt(rig, 1));
	CHECK(rig, recorded(&rig->lazy) == LAZY_WRITES);
	for (i = 0; i < LAZY_WRITES; i++)
		CHECK(rig, rig->lazy.event[i].value == (i & 0xff));
	CHECK(rig, rig->cpu[0]->exits[KVM_EXIT_IO] - before < LAZY_WRITES / 10);
	rig->ops->show_exits(rig->cpu[0], &sink);
	CHECK(rig, strstr(text, "io ") != NULL);
	tap_result(rig->tap, "coalesced writes arrive in order, before the next exit");
}

static void test_lazy_step(struct rig *rig)
{
	const struct accel_debug step = {.step = true};

	if (!rig->vm->zone_count || !rig_caps(rig, ACCEL_REAL16)->can_step) {
		tap_skip(rig->tap, "a step over a coalesced write", "coalesced-pio, step real16");
		return;
	}
	rig_load(rig, ACCEL_REAL16, "\xe6\x80\x90\x90", 4);
	rig_debug(rig, &step);
	CHECK(rig, rig_step_to(rig, PROBE_CODE + 2));
	CHECK(rig, recorded(&rig->lazy) == 1);
	CHECK(rig, rig_step_to(rig, PROBE_CODE + 3));
	tap_result(rig->tap, "a step over a coalesced write shows it at once");
}

/* Kicks. */

struct kicker {
	struct rig *rig;
	atomic_uint done; /* kicks that the vCPU answered */
	atomic_bool is_over;
};

/* One kick after the other, each at whatever moment the vCPU happens to be in. */
static void *kick_often(void *arg)
{
	struct kicker *k = arg;
	unsigned i;

	for (i = 0; i < KICKS; i++) {
		atomic_store_explicit(&k->rig->req[0], 1, memory_order_release);
		k->rig->ops->kick(k->rig->cpu[0]);
		while (atomic_load_explicit(&k->done, memory_order_acquire) <= i)
			sched_yield();
	}
	return NULL;
}

static void test_kicks(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t forever[] = {0xeb, 0xfe};
	struct kicker k = {.rig = rig};
	char name[80];
	pthread_t thread;
	unsigned i;

	snprintf(name, sizeof(name), "each of %d kicks ends run() in %s", KICKS,
		 accel_mode_name(mode));
	rig_load(rig, mode, forever, sizeof(forever));
	pthread_create(&thread, NULL, kick_often, &k);
	for (i = 0; i < KICKS; i++) {
		struct accel_exit exit = rig_run(rig);

		if (!CHECK(rig, exit.kind == ACCEL_EXIT_KICKED))
			break;
		atomic_store_explicit(&rig->req[0], 0, memory_order_relaxed);
		atomic_store_explicit(&k.done, i + 1, memory_order_release);
	}
	atomic_store(&k.done, KICKS);
	pthread_join(thread, NULL);
	CHECK(rig, rig_rip(rig) == PROBE_CODE);
	tap_result(rig->tap, name);
}

static void test_kick_before_run(struct rig *rig)
{
	struct x86_state before;

	load_add16(rig);
	before = rig_get(rig);
	atomic_store(&rig->req[0], 4);
	rig->ops->kick(rig->cpu[0]);
	CHECK(rig, rig->cpu[0]->run->immediate_exit == 1); /* for an entry under way */
	CHECK(rig, rig_run(rig).kind == ACCEL_EXIT_KICKED);
	CHECK(rig, rig_run(rig).kind == ACCEL_EXIT_KICKED);
	CHECK(rig, rig_rip(rig) == before.rip);
	atomic_store(&rig->req[0], 0);
	CHECK(rig, rig_run_to_halt(rig, 2));
	tap_result(rig->tap, "a request before run() returns without running");
}

/* mov $0x3f8,%dx; in (%dx),%al; inc %ax; nop: the request comes while IN is half done. */
static void test_request_by_device(struct rig *rig)
{
	static const uint8_t in[] = {0xba, 0xf8, 0x03, 0xec, 0x40, 0x90};
	struct x86_state st;

	rig_load(rig, ACCEL_REAL16, in, sizeof(in));
	rig->pio.ask = &rig->req[0];
	CHECK(rig, rig_run(rig).kind == ACCEL_EXIT_KICKED);
	rig->pio.ask = NULL;
	st = rig_get(rig);
	CHECK(rig, st.rip == PROBE_CODE + 4);
	CHECK(rig, st.gpr[X86_RAX] == 1);
	tap_result(rig->tap, "a request during an access ends run() behind the instruction");
}

/* Signals without a request must not be noticed. */
static void *kick_storm(void *arg)
{
	struct kicker *k = arg;

	while (!atomic_load(&k->is_over)) {
		k->rig->ops->kick(k->rig->cpu[0]);
		atomic_fetch_add(&k->done, 1);
		sched_yield();
	}
	return NULL;
}

/* mov $0x3f8,%dx; mov $3000,%cx; 1: mov %cx,%ax; out %ax,%dx; loop 1b; hlt */
static const uint8_t COUNTDOWN[] = {
	0xba, 0xf8, 0x03, 0xb9, STORM_OUTS & 0xff, STORM_OUTS >> 8, 0x89, 0xc8,
	0xef, 0xe2, 0xfb, 0xf4};

static void test_signal_storm(struct rig *rig)
{
	struct kicker k = {.rig = rig};
	pthread_t thread;
	unsigned i;

	rig_load(rig, ACCEL_REAL16, COUNTDOWN, sizeof(COUNTDOWN));
	pthread_create(&thread, NULL, kick_storm, &k);
	CHECK(rig, rig_run_to_halt(rig, STORM_OUTS));
	atomic_store(&k.is_over, true);
	pthread_join(thread, NULL);
	CHECK(rig, recorded(&rig->pio) == STORM_OUTS);
	for (i = 0; i < STORM_OUTS; i++) {
		if (!CHECK(rig, rig->pio.event[i].value == STORM_OUTS - i))
			break;
	}
	printf("# %u signals\n", atomic_load(&k.done));
	tap_result(rig->tap, "a storm of signals loses and repeats no OUT");
}

/* Interrupt lines. */

/* Real mode: PIC to vectors 0x08.., all masked but IRQ 4; sti; hlt; then the handler's OUT; hlt. */
static const uint8_t WAIT_IRQ[] = {0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04,
				   0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xef, 0xe6, 0x21,
				   0xba, 0xf8, 0x03, 0xb0, 0x31, 0xee, 0xfb, 0xf4, 0xeb, 0xfd};
static const uint8_t IRQ_HANDLER[] = {0xb0, 0x49, 0xee, 0xfa, 0xf4}; /* 'I'; cli; hlt */

static void load_wait_irq(struct rig *rig)
{
	rig_load(rig, ACCEL_REAL16, WAIT_IRQ, sizeof(WAIT_IRQ));
	memcpy(rig_ram(rig, 0x9000, sizeof(IRQ_HANDLER)), IRQ_HANDLER, sizeof(IRQ_HANDLER));
	le32_put(rig_ram(rig, 0x24 * 4, 4), 0x9000);
}

static void *raise_irq(void *arg)
{
	struct rig *rig = arg;

	while (recorded(&rig->pio) < 1)
		sched_yield();
	rig->ops->irq_set(rig->vm, 4, true);
	return NULL;
}

static void test_irq_wakes(struct rig *rig)
{
	struct umbra_err err = {.text = ""};
	pthread_t thread;

	rig->ops->irq_set(rig->vm, 4, false);
	CHECK(rig, rig->ops->vm_reset(rig->vm, &err) == 0);
	load_wait_irq(rig);
	pthread_create(&thread, NULL, raise_irq, rig);
	CHECK(rig, rig_run_to_halt(rig, 2));
	pthread_join(thread, NULL);
	CHECK(rig, rig->pio.event[1].value == 'I');
	rig->ops->irq_set(rig->vm, 4, false);
	tap_result(rig->tap, "an interrupt line wakes a halted vCPU");
}

/* The level was set before vm_start (see main): the PIC's request register shows it.
 * mov $0x0a,%al; out %al,$0x20; in $0x20,%al; mov $0x3f8,%dx; out; hlt */
static const uint8_t READ_IRR[] = {0xb0, 0x0a, 0xe6, 0x20, 0xe4, 0x20,
				   0xba, 0xf8, 0x03, 0xee, 0xf4};

static void test_irq_remembered(struct rig *rig)
{
	rig_load(rig, ACCEL_REAL16, READ_IRR, sizeof(READ_IRR));
	CHECK(rig, rig_run_to_halt(rig, 1));
	CHECK(rig, rig->pio.event[0].value & 1 << 4);
	tap_result(rig->tap, "a line that was high before vm_start is requested");
}

static void test_open_halt(struct rig *rig)
{
	static const uint8_t sti_hlt[] = {0xb0, 0xff, 0xe6, 0x21, 0xba, 0xf8,
					  0x03, 0xee, 0xfb, 0xf4, 0xeb, 0xfd};
	struct rig_waiter waiter = {.rig = rig, .count = 1};

	rig_load(rig, ACCEL_REAL16, sti_hlt, sizeof(sti_hlt));
	do { /* the kick may come before the HLT */
		pthread_t thread;

		atomic_store(&rig->req[0], 0);
		pthread_create(&thread, NULL, rig_wait_and_kick, &waiter);
		CHECK(rig, rig_run(rig).kind == ACCEL_EXIT_KICKED);
		pthread_join(thread, NULL);
	} while (rig_get(rig).activity != X86_HALTED);
	CHECK(rig, !rig->ops->is_halted_for_good(rig->cpu[0]));
	tap_result(rig->tap, "a halt with interrupts on is not for good");
}

/* Speed. */

static void measure_pio(struct rig *rig)
{
	static const uint8_t loop[] = {0xba, 0xf8, 0x03, 0xb9, 0xff, 0xff, 0xee, 0xe2, 0xfd, 0xf4};
	double cpu, start;

	rig_load(rig, ACCEL_REAL16, loop, sizeof(loop));
	start = now_ms();
	cpu = cpu_ms();
	CHECK(rig, rig_run_to_halt(rig, 65535));
	printf("# %.0f PIO exits/s (%.0f/s of CPU time)\n", 65535 / (now_ms() - start) * 1e3,
	       65535 / (cpu_ms() - cpu) * 1e3);
}

int main(void)
{
	static struct rig rig; /* large */
	struct tap tap = {0};

	setvbuf(stdout, NULL, _IOLBF, 0);
	rig_open(&rig, &tap, 1);
	rig.ops->irq_set(rig.vm, 4, true);
	rig_start(&rig);
	printf("# vm_open %.2f ms, vm_start %.2f ms, vcpu_open %.2f ms; self-test %.2f ms of CPU "
	       "time\n",
	       rig.open_ms, rig.start_ms, rig.vcpu_ms, (double)rig.vm->probe.cpu_ns / 1e6);
	test_irq_remembered(&rig);
	test_irq_wakes(&rig);
	test_open_halt(&rig);
	test_add16(&rig);
	test_add16_steps(&rig);
	test_shutdown(&rig);
	test_unbacked_fetch(&rig);
	test_failed_text(&rig);
	test_string_io(&rig);
	test_mmio(&rig);
	test_log(&rig);
	test_lazy_zone(&rig);
	test_lazy_step(&rig);
	test_kick_before_run(&rig);
	test_request_by_device(&rig);
	test_kicks(&rig, ACCEL_REAL16);
	test_kicks(&rig, ACCEL_LONG64_USER);
	test_signal_storm(&rig);
	measure_pio(&rig);
	rig_close(&rig);
	printf("1..%u\n", tap.count);
	return tap.failed != 0;
}
