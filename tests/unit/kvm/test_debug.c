/* What KVM is asked to stop for, and what its debug exits mean, on made-up structs. */
#include "src/accel/kvm/kvm.h"

#include <criterion/criterion.h>

#define DR6_BASE 0xffff0ff0ull
#define ALL_BITS UINT32_MAX

static const struct kvm_step NO_STEP = {0};

/* Asking. */

struct dr7_row {
	enum accel_point_kind kind;
	uint8_t len;
	uint64_t kind_and_len; /* bits 3:0 of register 0's field at 16 */
};

/* SDM 3B 17.2.4 */
static const struct dr7_row DR7_ROWS[] = {
	{ACCEL_POINT_EXEC, 1, 0x0},   {ACCEL_POINT_EXEC, 4, 0x0},   {ACCEL_POINT_WRITE, 1, 0x1},
	{ACCEL_POINT_WRITE, 2, 0x5},  {ACCEL_POINT_WRITE, 4, 0xd},  {ACCEL_POINT_WRITE, 8, 0x9},
	{ACCEL_POINT_ACCESS, 1, 0x3}, {ACCEL_POINT_ACCESS, 2, 0x7}, {ACCEL_POINT_ACCESS, 4, 0xf},
	{ACCEL_POINT_ACCESS, 8, 0xb},
};

Test(kvm_debug, dr7_when_each_kind_and_length_in_each_register_then_follows_the_manual)
{
	unsigned i, slot;

	for (i = 0; i < UMBRA_ARRAY_SIZE(DR7_ROWS); i++) {
		for (slot = 0; slot < KVM_POINTS; slot++) {
			struct accel_point point[KVM_POINTS] = {{.addr = 0}};
			struct accel_debug debug = {.point_count = slot + 1, .point = point};
			struct kvm_guest_debug arg;
			uint64_t dr7;

			point[slot] = (struct accel_point){
				.kind = DR7_ROWS[i].kind, .addr = 0x1000, .len = DR7_ROWS[i].len};
			kvm_debug_compose(&debug, &NO_STEP, ALL_BITS, &arg);
			dr7 = arg.arch.debugreg[7];
			cr_assert_eq(dr7 >> (16 + 4 * slot) & 0xf, DR7_ROWS[i].kind_and_len);
			cr_assert(dr7 >> (2 * slot) & 2);
			cr_assert_eq(dr7 & 0x600, 0x600);
			cr_assert_eq(arg.arch.debugreg[slot], 0x1000);
		}
	}
}

struct control_row {
	struct accel_debug debug;
	uint32_t control;
};

static const struct control_row CONTROL_ROWS[] = {
	{{.step = false}, 0},
	{{.block_irq = true}, 0},
	{{.step = true}, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP},
	{{.step = true, .block_irq = true},
	 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ},
	{{.trap = true}, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP},
	{{.point_count = 1, .point = &(const struct accel_point){.len = 1}},
	 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP},
};

Test(kvm_debug, control_when_composed_then_has_what_was_asked)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CONTROL_ROWS); i++) {
		struct kvm_guest_debug arg;

		kvm_debug_compose(&CONTROL_ROWS[i].debug, &NO_STEP, ALL_BITS, &arg);
		cr_assert_eq(arg.control, CONTROL_ROWS[i].control, "row %u: %#x", i, arg.control);
	}
}

Test(kvm_debug, control_when_host_lacks_blockirq_then_does_without)
{
	const struct accel_debug debug = {.step = true, .block_irq = true};
	struct kvm_guest_debug arg;

	kvm_debug_compose(&debug, &NO_STEP, ALL_BITS & ~KVM_GUESTDBG_BLOCKIRQ, &arg);
	cr_assert_eq(arg.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
}

Test(kvm_debug, target_when_registers_are_free_then_takes_the_next)
{
	const struct accel_debug debug = {
		.step = true,
		.point_count = 1,
		.point = &(const struct accel_point){.addr = 0x10, .len = 1}};
	const struct kvm_step step = {.has_target = true, .target_slot = 1, .target = 0x99};
	struct kvm_guest_debug arg;

	kvm_debug_compose(&debug, &step, ALL_BITS, &arg);
	cr_assert_eq(arg.arch.debugreg[0], 0x10);
	cr_assert_eq(arg.arch.debugreg[1], 0x99);
	cr_assert_eq(arg.arch.debugreg[7], 0x60a);
	cr_assert(arg.control & KVM_GUESTDBG_USE_HW_BP);
}

Test(kvm_debug, target_when_all_registers_are_in_use_then_replaces_a_watchpoint_fully)
{
	struct accel_point point[KVM_POINTS] = {{.addr = 0}};
	struct accel_debug debug = {.step = true, .point_count = KVM_POINTS, .point = point};
	const struct kvm_step step = {.has_target = true, .target_slot = 3, .target = 0x99};
	struct kvm_guest_debug arg;

	point[3] = (struct accel_point){.kind = ACCEL_POINT_WRITE, .addr = 0x40, .len = 4};
	kvm_debug_compose(&debug, &step, ALL_BITS, &arg);
	cr_assert_eq(arg.arch.debugreg[3], 0x99);
	cr_assert_eq(arg.arch.debugreg[7] >> 28 & 0xf, 0);
}

/* Understanding. */

struct classify_row {
	const char *what;
	uint32_t exception;
	uint64_t dr6;
	struct accel_debug debug;
	struct kvm_step step;
	unsigned causes, hits;
};

static const struct classify_row CLASSIFY[] = {
	{"INT3", 3, DR6_BASE, {.trap = true}, {0}, ACCEL_DEBUG_TRAP, 0},
	{"step", 1, DR6_BASE | 0x4000, {.step = true}, {0}, ACCEL_DEBUG_STEP, 0},
	{"step without a cause", 1, DR6_BASE, {.step = true}, {0}, ACCEL_DEBUG_STEP, 0},
	{"point", 1, DR6_BASE | 2, {.point_count = 2}, {0}, ACCEL_DEBUG_POINT, 2},
	{"two points", 1, DR6_BASE | 5, {.point_count = 4}, {0}, ACCEL_DEBUG_POINT, 5},
	{"step onto a point",
	 1,
	 DR6_BASE | 0x4001,
	 {.step = true, .point_count = 1},
	 {0},
	 ACCEL_DEBUG_STEP | ACCEL_DEBUG_POINT,
	 1},
	{"the guest's TF", 1, DR6_BASE | 0x4000, {.point_count = 1}, {0}, ACCEL_DEBUG_GUEST, 0},
	{"the guest's register during a step",
	 1,
	 DR6_BASE | 1,
	 {.step = true},
	 {0},
	 ACCEL_DEBUG_GUEST,
	 0},
	{"a register that is not ours",
	 1,
	 DR6_BASE | 4,
	 {.point_count = 2},
	 {0},
	 ACCEL_DEBUG_GUEST,
	 0},
	{"ICEBP, which sets no bit", 1, DR6_BASE, {.trap = true}, {0}, ACCEL_DEBUG_GUEST, 0},
	{"an access to a guarded register",
	 1,
	 DR6_BASE | 0x2000,
	 {.step = true},
	 {0},
	 ACCEL_DEBUG_GUEST,
	 0},
	{"the step's own target",
	 1,
	 DR6_BASE | 2,
	 {.step = true, .point_count = 1},
	 {.has_target = true, .target_slot = 1},
	 ACCEL_DEBUG_STEP,
	 0},
	{"the step's target in a borrowed register",
	 1,
	 DR6_BASE | 8,
	 {.step = true, .point_count = 4},
	 {.has_target = true, .target_slot = 3},
	 ACCEL_DEBUG_STEP,
	 0},
	{"a point at the step's target",
	 1,
	 DR6_BASE | 3,
	 {.step = true, .point_count = 1},
	 {.has_target = true, .target_slot = 1},
	 ACCEL_DEBUG_STEP | ACCEL_DEBUG_POINT,
	 1},
};

static unsigned hit_mask(const struct accel_exit *out)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < out->hit_count; i++)
		mask |= 1u << out->hit[i];
	return mask;
}

Test(kvm_debug, exit_when_classified_then_has_each_cause)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CLASSIFY); i++) {
		const struct classify_row *row = &CLASSIFY[i];
		const struct kvm_debug_exit_arch arch = {
			.exception = row->exception, .dr6 = row->dr6, .dr7 = ~0ull};
		struct accel_exit out = {0};

		kvm_debug_classify(&arch, &row->debug, &row->step, &out);
		cr_assert_eq(out.kind, ACCEL_EXIT_DEBUG);
		cr_assert_eq(out.debug, row->causes, "%s: %#x", row->what, out.debug);
		cr_assert_eq(hit_mask(&out), row->hits, "%s: %#x", row->what, hit_mask(&out));
		if (row->causes & ACCEL_DEBUG_GUEST)
			cr_assert_eq(out.guest_dr6, row->dr6, "%s", row->what);
	}
}

/* The target of IRET. */

static struct x86_state state_in(uint64_t cr0, uint64_t efer, bool is_64)
{
	struct x86_state st = {.cr0 = cr0, .efer = efer};

	st.seg[X86_CS].l = is_64;
	st.seg[X86_CS].db = !is_64;
	return st;
}

Test(kvm_step, iret_when_real_mode_then_target_is_segment_and_offset)
{
	const struct x86_state st = state_in(0, 0, false);
	const uint8_t frame[4] = {0x34, 0x12, 0x00, 0xf0};
	gva_t target;

	cr_assert(kvm_step_iret_target(&st, 16, frame, NULL, &target));
	cr_assert_eq(target, 0xf1234);
}

Test(kvm_step, iret_when_protected_mode_then_target_has_the_descriptors_base)
{
	const struct x86_state st = state_in(X86_CR0_PE, 0, false);
	const uint8_t frame[8] = {0x10, 0, 0, 0, 0x08, 0, 0, 0};
	const uint8_t descriptor[8] = {0xff, 0xff, 0x00, 0x20, 0x01, 0x9b, 0xcf, 0x40};
	gva_t target;

	cr_assert(kvm_step_iret_target(&st, 32, frame, descriptor, &target));
	cr_assert_eq(target, 0x40012010);
	cr_assert(kvm_step_iret_target(&st, 32, frame, NULL, &target));
	cr_assert_eq(target, 0x10);
}

Test(kvm_step, iret_when_target_is_64_bit_then_base_does_not_count)
{
	const struct x86_state st = state_in(X86_CR0_PE | X86_CR0_PG, X86_EFER_LMA, true);
	const uint8_t frame[16] = {0x00, 0x10, 0x00, 0x80, 0xff, 0xff, 0xff, 0xff, 0x08};
	const uint8_t descriptor[8] = {0xff, 0xff, 0x00, 0x20, 0x01, 0x9b, 0xaf, 0x40};
	gva_t target;

	cr_assert(kvm_step_iret_target(&st, 64, frame, descriptor, &target));
	cr_assert_eq(target, 0xffffffff80001000ull);
}

Test(kvm_step, iret_when_operand_size_is_nonsense_then_has_no_target)
{
	const struct x86_state st = state_in(0, 0, false);
	const uint8_t frame[16] = {0};
	gva_t target;

	cr_assert_not(kvm_step_iret_target(&st, 8, frame, NULL, &target));
}
