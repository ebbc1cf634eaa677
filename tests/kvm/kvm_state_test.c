/* Guest state in and out of the KVM back end, and reset, on this host's /dev/kvm.
 * Modes that this KVM cannot run are skipped by name.  Exit status 77 when there is no usable KVM.
 */
#include "rig.h"

/* State. */

static void fill_state(struct x86_state *st)
{
	unsigned i, j;

	for (i = 0; i < X86_GPR_COUNT; i++)
		st->gpr[i] = 0x0123456789abcdefull * (i + 1);
	st->rip = PROBE_CODE + 5;
	st->rflags = 0x8d7; /* the arithmetic flags */
	st->cr2 = 0x123456;
	st->fpu.fcw = 0x27f;
	st->fpu.fsw = 0x3800;
	st->fpu.ftw = 0x81;
	for (i = 0; i < 8; i++) {
		for (j = 0; j < 8; j++)
			st->fpu.st[i][j] = (uint8_t)(i * 16 + j);
		st->fpu.st[i][7] |= 0x80; /* a normal number */
		st->fpu.st[i][9] = 0x3f;
	}
	for (i = 0; i < 16; i++)
		memset(st->fpu.xmm[i], (int)(0xa0 + i), sizeof(st->fpu.xmm[i]));
	st->fpu.mxcsr = 0x1fa0;
	st->msr.star = 0x0023000800000000ull;
	st->msr.lstar = 0xffffffff80001000ull;
	st->msr.kernel_gs_base = 0xffff888000000000ull;
	st->msr.sysenter_eip = 0x1234;
	st->dr[0] = 0x1000;
	st->dr[3] = 0x4000;
	st->dr[7] = 0x402;
}

static void check_same(struct rig *rig, const struct x86_state *a, const struct x86_state *b)
{
	CHECK(rig, memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0);
	CHECK(rig, a->rip == b->rip && a->rflags == b->rflags);
	CHECK(rig, memcmp(a->seg, b->seg, sizeof(a->seg)) == 0);
	CHECK(rig, memcmp(&a->tr, &b->tr, sizeof(a->tr)) == 0);
	CHECK(rig, a->ldtr.selector == b->ldtr.selector && a->ldtr.unusable == b->ldtr.unusable);
	CHECK(rig, a->gdtr.base == b->gdtr.base && a->gdtr.limit == b->gdtr.limit);
	CHECK(rig, a->idtr.base == b->idtr.base && a->idtr.limit == b->idtr.limit);
	CHECK(rig, a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4);
	CHECK(rig, a->cr8 == b->cr8 && a->efer == b->efer && a->apic_base == b->apic_base);
	CHECK(rig, memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)) == 0);
	CHECK(rig, a->msr.star == b->msr.star && a->msr.lstar == b->msr.lstar &&
			   a->msr.kernel_gs_base == b->msr.kernel_gs_base &&
			   a->msr.sysenter_eip == b->msr.sysenter_eip && a->msr.pat == b->msr.pat);
	CHECK(rig, memcmp(a->dr, b->dr, sizeof(a->dr)) == 0);
	CHECK(rig, a->xcr0 == b->xcr0);
	CHECK(rig, a->activity == b->activity && a->is_in_int_shadow == b->is_in_int_shadow);
}

static void test_state_round_trip(struct rig *rig, enum accel_mode mode)
{
	static const uint8_t nop[] = {0x90};
	struct x86_state wanted, got;
	char name[80];

	snprintf(name, sizeof(name), "state survives set and get in %s", accel_mode_name(mode));
	if (!rig_caps(rig, mode)->can_run) {
		tap_skip(rig->tap, name, accel_mode_name(mode));
		return;
	}
	rig_load(rig, mode, nop, sizeof(nop));
	probe_code_state(mode, &wanted);
	fill_state(&wanted);
	rig_set(rig, &wanted, X86_STATE_ALL);
	got = rig_get(rig);
	CHECK(rig, accel_mode_of(&got) == mode);
	check_same(rig, &wanted, &got);
	tap_result(rig->tap, name);
}

static void test_state_is_all_or_nothing(struct rig *rig)
{
	struct umbra_err err = {.text = ""};
	struct x86_state before, bad, after;

	rig_load(rig, ACCEL_REAL16, "\x90", 1);
	before = bad = rig_get(rig);
	bad.gpr[X86_RAX] = 77;
	bad.msr.star = 1;
	bad.dr[6] = 1ull << 40; /* reserved: must be 0 */
	CHECK(rig, rig->ops->state_set(rig->cpu[0], &bad, X86_STATE_ALL, &err) == -EINVAL);
	CHECK(rig, strstr(err.text, "debug registers") != NULL);
	after = rig_get(rig);
	check_same(rig, &before, &after);
	bad = before;
	bad.msr.lstar = 1ull << 62; /* not canonical */
	bad.msr.star = 1;
	CHECK(rig, rig->ops->state_set(rig->cpu[0], &bad, X86_STATE_MSR, &err) == -EINVAL);
	after = rig_get(rig);
	check_same(rig, &before, &after);
	tap_result(rig->tap, "a refused state changes nothing and is named");
}

/* The FPU of a vCPU that has never run must show what was set. */
static void test_fresh_fpu(struct rig *rig)
{
	struct x86_state st, got;

	rig_load(rig, ACCEL_REAL16, "\x90", 1);
	st = rig_get(rig);
	fill_state(&st);
	rig_set(rig, &st, X86_STATE_FPU);
	got = rig_get(rig);
	CHECK(rig, memcmp(&st.fpu, &got.fpu, sizeof(st.fpu)) == 0);
	tap_result(rig->tap, "x87 and SSE registers hold before the first run");
}

/* Reset. */

/* mov $0x5a,%al; out %al,$0x21; mov $0xfee000d0,%eax; movl $0x42000000,(%eax); in $0x21,%al;
 * mov $0x3f8,%dx; out; hlt */
static const uint8_t DIRTY_CHIPS[] = {0xb0, 0x5a, 0xe6, 0x21, 0xb8, 0xd0, 0x00, 0xe0,
				      0xfe, 0xc7, 0x00, 0x00, 0x00, 0x00, 0x42, 0xe4,
				      0x21, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xf4};
/* in $0x21,%al; mov $0x3f8,%dx; out; mov $0xfee000d0,%eax; mov (%eax),%eax; out %eax; hlt */
static const uint8_t READ_CHIPS[] = {0xe4, 0x21, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xb8,
				     0xd0, 0x00, 0xe0, 0xfe, 0x8b, 0x00, 0xef, 0xf4};

static uint32_t lapic_word(struct rig *rig, unsigned offset)
{
	struct kvm_lapic_state lapic;

	return kvm_ioctl(rig->cpu[0]->fd, KVM_GET_LAPIC, &lapic) ? 0
								 : le32_get(lapic.regs + offset);
}

static void test_reset(struct rig *rig)
{
	struct umbra_err err = {.text = ""};
	uint64_t fresh_imr;

	CHECK(rig, rig->ops->vm_reset(rig->vm, &err) == 0);
	rig_load(rig, ACCEL_PROT32, READ_CHIPS, sizeof(READ_CHIPS));
	CHECK(rig, rig_run_to_halt(rig, 2));
	fresh_imr = rig->pio.event[0].value;
	rig_load(rig, ACCEL_PROT32, DIRTY_CHIPS, sizeof(DIRTY_CHIPS));
	CHECK(rig, rig_run_to_halt(rig, 1));
	CHECK(rig, rig->pio.event[0].value == 0x5a);
	CHECK(rig, lapic_word(rig, 0xd0) == 0x42000000);
	CHECK(rig, rig->ops->vm_reset(rig->vm, &err) == 0);
	rig_load(rig, ACCEL_PROT32, READ_CHIPS, sizeof(READ_CHIPS)); /* resets the vCPU */
	CHECK(rig, rig_run_to_halt(rig, 2));
	CHECK(rig, rig->pio.event[0].value == fresh_imr);
	CHECK(rig, rig->pio.event[1].value == 0); /* the logical destination */
	tap_result(rig->tap, "reset brings the PIC and the local APIC back to power-up");
}

int main(void)
{
	static struct rig rig; /* large */
	struct tap tap = {0};
	unsigned mode;

	setvbuf(stdout, NULL, _IOLBF, 0);
	rig_open(&rig, &tap, 1);
	rig_start(&rig);
	test_fresh_fpu(&rig);
	for (mode = 0; mode < ACCEL_MODE_COUNT; mode++)
		test_state_round_trip(&rig, (enum accel_mode)mode);
	test_state_is_all_or_nothing(&rig);
	test_reset(&rig);
	rig_close(&rig);
	printf("1..%u\n", tap.count);
	return tap.failed != 0;
}
