/* Guest state from and to KVM's structs, on random values. */
#include "src/accel/kvm/kvm.h"

#include <criterion/criterion.h>

#define ROUNDS 200

/* xorshift: the same values in every run. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_fill(void *out, size_t len, uint64_t *seed)
{
	uint8_t *bytes = out;
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)next_random(seed);
}

static struct x86_seg random_segment(uint64_t *seed)
{
	uint64_t bits = next_random(seed);
	struct x86_seg seg = {
		.base = next_random(seed),
		.limit = (uint32_t)next_random(seed),
		.selector = (uint16_t)next_random(seed),
		.type = bits & 0xf,
		.dpl = bits >> 4 & 3,
		.s = bits >> 6 & 1,
		.present = bits >> 7 & 1,
		.avl = bits >> 8 & 1,
		.l = bits >> 9 & 1,
		.db = bits >> 10 & 1,
		.g = bits >> 11 & 1,
		.unusable = bits >> 12 & 1,
	};

	return seg;
}

static void assert_segment(const struct x86_seg *a, const struct x86_seg *b)
{
	cr_assert_eq(a->base, b->base);
	cr_assert_eq(a->limit, b->limit);
	cr_assert_eq(a->selector, b->selector);
	cr_assert_eq(a->type, b->type);
	cr_assert_eq(a->dpl, b->dpl);
	cr_assert_eq(a->s, b->s);
	cr_assert_eq(a->present, b->present);
	cr_assert_eq(a->avl, b->avl);
	cr_assert_eq(a->l, b->l);
	cr_assert_eq(a->db, b->db);
	cr_assert_eq(a->g, b->g);
	cr_assert_eq(a->unusable, b->unusable);
}

static void random_sregs(struct x86_state *st, uint64_t *seed)
{
	unsigned i;

	for (i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = random_segment(seed);
	st->ldtr = random_segment(seed);
	st->tr = random_segment(seed);
	st->gdtr.base = next_random(seed);
	st->gdtr.limit = (uint16_t)next_random(seed);
	st->idtr.base = next_random(seed);
	st->idtr.limit = (uint16_t)next_random(seed);
	st->cr0 = next_random(seed);
	st->cr2 = next_random(seed);
	st->cr3 = next_random(seed);
	st->cr4 = next_random(seed);
	st->cr8 = next_random(seed);
	st->efer = next_random(seed);
	st->apic_base = next_random(seed);
}

static void assert_sregs(const struct x86_state *a, const struct x86_state *b)
{
	unsigned i;

	for (i = 0; i < X86_SEG_COUNT; i++)
		assert_segment(&a->seg[i], &b->seg[i]);
	assert_segment(&a->ldtr, &b->ldtr);
	assert_segment(&a->tr, &b->tr);
	cr_assert_eq(a->gdtr.base, b->gdtr.base);
	cr_assert_eq(a->gdtr.limit, b->gdtr.limit);
	cr_assert_eq(a->idtr.base, b->idtr.base);
	cr_assert_eq(a->idtr.limit, b->idtr.limit);
	cr_assert_eq(a->cr0, b->cr0);
	cr_assert_eq(a->cr2, b->cr2);
	cr_assert_eq(a->cr3, b->cr3);
	cr_assert_eq(a->cr4, b->cr4);
	cr_assert_eq(a->cr8, b->cr8);
	cr_assert_eq(a->efer, b->efer);
	cr_assert_eq(a->apic_base, b->apic_base);
}

static void random_fpu(struct x86_fpu *fpu, uint64_t *seed)
{
	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = (uint16_t)next_random(seed);
	fpu->fsw = (uint16_t)next_random(seed);
	fpu->ftw = (uint8_t)next_random(seed);
	fpu->fop = (uint16_t)next_random(seed);
	fpu->fip = next_random(seed);
	fpu->fdp = next_random(seed);
	fpu->mxcsr = (uint32_t)next_random(seed);
	random_fill(fpu->st, sizeof(fpu->st), seed);
	random_fill(fpu->xmm, sizeof(fpu->xmm), seed);
}

Test(kvm_regs, general_registers_when_put_then_come_back)
{
	uint64_t seed = 1;
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		struct x86_state in = {0}, out = {0};
		struct kvm_regs regs;

		random_fill(in.gpr, sizeof(in.gpr), &seed);
		in.rip = next_random(&seed);
		in.rflags = next_random(&seed);
		random_fill(&regs, sizeof(regs), &seed);
		kvm_regs_put(&regs, &in);
		kvm_regs_get(&regs, &out);
		cr_assert_arr_eq(out.gpr, in.gpr, sizeof(in.gpr));
		cr_assert_eq(out.rip, in.rip);
		cr_assert_eq(out.rflags, in.rflags);
	}
}

Test(kvm_regs, general_registers_when_put_then_stand_in_their_own_fields)
{
	struct x86_state st = {0};
	struct kvm_regs regs;

	st.gpr[X86_RSP] = 4;
	st.gpr[X86_RBX] = 3;
	st.gpr[X86_RDI] = 7;
	st.gpr[X86_R15] = 15;
	kvm_regs_put(&regs, &st);
	cr_assert_eq(regs.rsp, 4);
	cr_assert_eq(regs.rbx, 3);
	cr_assert_eq(regs.rdi, 7);
	cr_assert_eq(regs.r15, 15);
	cr_assert_eq(regs.rbp, 0);
}

Test(kvm_regs, segments_when_put_then_come_back)
{
	uint64_t seed = 2;
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		struct x86_state in = {0}, out = {0};
		struct kvm_sregs sregs;

		random_sregs(&in, &seed);
		random_fill(&sregs, sizeof(sregs), &seed);
		kvm_sregs_put(&sregs, &in);
		kvm_sregs_get(&sregs, &out);
		assert_sregs(&out, &in);
	}
}

Test(kvm_regs, pending_interrupt_when_segments_are_put_then_stays)
{
	struct x86_state st = {0};
	struct kvm_sregs sregs = {.interrupt_bitmap = {1, 2, 3, 4}};

	kvm_sregs_put(&sregs, &st);
	cr_assert_eq(sregs.interrupt_bitmap[3], 4);
}

Test(kvm_regs, fpu_when_put_into_xsave_then_comes_back)
{
	uint64_t seed = 3;
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		struct x86_fpu in, out;
		struct kvm_xsave xsave;

		random_fpu(&in, &seed);
		memset(&xsave, 0, sizeof(xsave));
		memset(&out, 0, sizeof(out));
		kvm_xsave_put(&xsave, &in);
		kvm_xsave_get(&xsave, &out);
		cr_assert_arr_eq(&out, &in, sizeof(in));
	}
}

Test(kvm_regs, fpu_when_put_into_xsave_then_marks_its_components_and_keeps_others)
{
	struct x86_fpu fpu = {0};
	struct kvm_xsave xsave;
	uint8_t *image = (uint8_t *)xsave.region;

	memset(&xsave, 0xee, sizeof(xsave));
	le64_put(image + 512, 4);
	kvm_xsave_put(&xsave, &fpu);
	cr_assert_eq(le64_get(image + 512), 7);
	cr_assert_eq(image[576], 0xee, "the AVX component");
}

Test(kvm_regs, xsave_when_components_are_initial_then_its_bytes_do_not_count)
{
	struct x86_fpu fpu;
	struct kvm_xsave xsave;

	memset(&xsave, 0xff, sizeof(xsave));
	le64_put((uint8_t *)xsave.region + 512, 0);
	kvm_xsave_get(&xsave, &fpu);
	cr_assert_eq(fpu.fcw, 0x37f);
	cr_assert_eq(fpu.mxcsr, 0x1f80);
	cr_assert_eq(fpu.ftw, 0);
	cr_assert_eq(fpu.st[7][9], 0);
	cr_assert_eq(fpu.xmm[15][15], 0);
}

Test(kvm_regs, fpu_when_put_into_kvm_fpu_then_comes_back)
{
	uint64_t seed = 4;
	unsigned round;

	for (round = 0; round < ROUNDS; round++) {
		struct x86_fpu in, out;
		struct kvm_fpu fpu;

		random_fpu(&in, &seed);
		memset(&out, 0, sizeof(out));
		kvm_fpu_put(&fpu, &in);
		kvm_fpu_get(&fpu, &out);
		cr_assert_arr_eq(&out, &in, sizeof(in));
	}
}

Test(kvm_regs, debug_registers_when_put_then_come_back)
{
	struct x86_state in = {.dr = {1, 2, 3, 4, 0, 0, 6, 7}}, out = {.dr = {[4] = 9}};
	struct kvm_debugregs regs;

	kvm_debugregs_put(&regs, &in);
	kvm_debugregs_get(&regs, &out);
	cr_assert_arr_eq(out.dr, in.dr, sizeof(in.dr));
	cr_assert_eq(regs.flags, 0);
}

Test(kvm_regs, msrs_when_put_by_row_then_fill_the_whole_struct)
{
	struct x86_msrs msr = {0};
	unsigned row;

	for (row = 0; row < KVM_MSR_ROWS; row++)
		kvm_msr_put(&msr, row, kvm_msr_index(row));
	cr_assert_eq(msr.kernel_gs_base, 0xc0000102);
	cr_assert_eq(msr.star, 0xc0000081);
	cr_assert_eq(msr.lstar, 0xc0000082);
	cr_assert_eq(msr.cstar, 0xc0000083);
	cr_assert_eq(msr.sfmask, 0xc0000084);
	cr_assert_eq(msr.sysenter_cs, 0x174);
	cr_assert_eq(msr.sysenter_esp, 0x175);
	cr_assert_eq(msr.sysenter_eip, 0x176);
	cr_assert_eq(msr.pat, 0x277);
	cr_assert_eq(msr.tsc, 0x10);
	for (row = 0; row < KVM_MSR_ROWS; row++)
		cr_assert_eq(kvm_msr_get(&msr, row), kvm_msr_index(row));
}

Test(kvm_regs, tsc_when_rows_are_ordered_then_comes_last)
{
	cr_assert_eq(kvm_msr_index(KVM_MSR_ROWS - 1), 0x10);
}

Test(kvm_regs, activity_when_put_then_comes_back)
{
	static const enum x86_activity all[] = {X86_ACTIVE, X86_HALTED, X86_WAIT_FOR_SIPI};
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(all); i++)
		cr_assert_eq(kvm_activity_of(kvm_mp_state_of(all[i])), all[i]);
	cr_assert_eq(kvm_activity_of(KVM_MP_STATE_UNINITIALIZED), X86_WAIT_FOR_SIPI);
	cr_assert_eq(kvm_activity_of(KVM_MP_STATE_SIPI_RECEIVED), X86_WAIT_FOR_SIPI);
}
