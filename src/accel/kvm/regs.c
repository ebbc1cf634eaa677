/* struct x86_state from and to the structs of KVM.  Pure; no value is judged here: KVM refuses what
 * it must.
 * Source: KVM api 4.11..4.14 (REGS, SREGS), 4.22 (FPU), 4.33 (DEBUGREGS), 4.42 (XSAVE); SDM 1
 * 10.5.1 (FXSAVE), 13.4 (XSAVE area). */
#include "kvm.h"

#define FXSAVE_FTW     4
#define FXSAVE_FOP     6
#define FXSAVE_FIP     8
#define FXSAVE_FDP     16
#define FXSAVE_MXCSR   24
#define FXSAVE_ST      32
#define FXSAVE_XMM     160
#define XSAVE_BV       512 /* XSTATE_BV: which components the image holds */
#define XSAVE_BV_X87   1u
#define XSAVE_BV_SSE   2u
#define XSAVE_BV_AVX   4u
#define FXSAVE_ST_STEP 16

#define INIT_FCW   0x37fu
#define INIT_MXCSR 0x1f80u

/* General registers. */

/* struct kvm_regs is sixteen registers in an order of its own, then RIP and RFLAGS. */
static const size_t GPR_OFFSET[X86_GPR_COUNT] = {
	[X86_RAX] = offsetof(struct kvm_regs, rax), [X86_RCX] = offsetof(struct kvm_regs, rcx),
	[X86_RDX] = offsetof(struct kvm_regs, rdx), [X86_RBX] = offsetof(struct kvm_regs, rbx),
	[X86_RSP] = offsetof(struct kvm_regs, rsp), [X86_RBP] = offsetof(struct kvm_regs, rbp),
	[X86_RSI] = offsetof(struct kvm_regs, rsi), [X86_RDI] = offsetof(struct kvm_regs, rdi),
	[X86_R8] = offsetof(struct kvm_regs, r8),   [X86_R9] = offsetof(struct kvm_regs, r9),
	[X86_R10] = offsetof(struct kvm_regs, r10), [X86_R11] = offsetof(struct kvm_regs, r11),
	[X86_R12] = offsetof(struct kvm_regs, r12), [X86_R13] = offsetof(struct kvm_regs, r13),
	[X86_R14] = offsetof(struct kvm_regs, r14), [X86_R15] = offsetof(struct kvm_regs, r15),
};

void kvm_regs_get(const struct kvm_regs *regs, struct x86_state *st)
{
	unsigned i;

	for (i = 0; i < X86_GPR_COUNT; i++)
		memcpy(&st->gpr[i], (const uint8_t *)regs + GPR_OFFSET[i], sizeof(st->gpr[i]));
	st->rip = regs->rip;
	st->rflags = regs->rflags;
}

void kvm_regs_put(struct kvm_regs *regs, const struct x86_state *st)
{
	unsigned i;

	for (i = 0; i < X86_GPR_COUNT; i++)
		memcpy((uint8_t *)regs + GPR_OFFSET[i], &st->gpr[i], sizeof(st->gpr[i]));
	regs->rip = st->rip;
	regs->rflags = st->rflags;
}

/* Segments and control registers. */

static struct x86_seg seg_get(const struct kvm_segment *in)
{
	struct x86_seg seg = {
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.type = in->type,
		.dpl = in->dpl,
		.s = in->s,
		.present = in->present,
		.avl = in->avl,
		.l = in->l,
		.db = in->db,
		.g = in->g,
		.unusable = in->unusable,
	};

	return seg;
}

static struct kvm_segment seg_put(const struct x86_seg *in)
{
	struct kvm_segment seg = {
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.type = in->type & 0xf,
		.present = in->present,
		.dpl = in->dpl & 3,
		.db = in->db,
		.s = in->s,
		.l = in->l,
		.g = in->g,
		.avl = in->avl,
		.unusable = in->unusable,
	};

	return seg;
}

void kvm_sregs_get(const struct kvm_sregs *sregs, struct x86_state *st)
{
	st->seg[X86_ES] = seg_get(&sregs->es);
	st->seg[X86_CS] = seg_get(&sregs->cs);
	st->seg[X86_SS] = seg_get(&sregs->ss);
	st->seg[X86_DS] = seg_get(&sregs->ds);
	st->seg[X86_FS] = seg_get(&sregs->fs);
	st->seg[X86_GS] = seg_get(&sregs->gs);
	st->ldtr = seg_get(&sregs->ldt);
	st->tr = seg_get(&sregs->tr);
	st->gdtr = (struct x86_table_reg){.base = sregs->gdt.base, .limit = sregs->gdt.limit};
	st->idtr = (struct x86_table_reg){.base = sregs->idt.base, .limit = sregs->idt.limit};
	st->cr0 = sregs->cr0;
	st->cr2 = sregs->cr2;
	st->cr3 = sregs->cr3;
	st->cr4 = sregs->cr4;
	st->cr8 = sregs->cr8;
	st->efer = sregs->efer;
	st->apic_base = sregs->apic_base;
}

void kvm_sregs_put(struct kvm_sregs *sregs, const struct x86_state *st)
{
	sregs->es = seg_put(&st->seg[X86_ES]);
	sregs->cs = seg_put(&st->seg[X86_CS]);
	sregs->ss = seg_put(&st->seg[X86_SS]);
	sregs->ds = seg_put(&st->seg[X86_DS]);
	sregs->fs = seg_put(&st->seg[X86_FS]);
	sregs->gs = seg_put(&st->seg[X86_GS]);
	sregs->ldt = seg_put(&st->ldtr);
	sregs->tr = seg_put(&st->tr);
	sregs->gdt = (struct kvm_dtable){.base = st->gdtr.base, .limit = st->gdtr.limit};
	sregs->idt = (struct kvm_dtable){.base = st->idtr.base, .limit = st->idtr.limit};
	sregs->cr0 = st->cr0;
	sregs->cr2 = st->cr2;
	sregs->cr3 = st->cr3;
	sregs->cr4 = st->cr4;
	sregs->cr8 = st->cr8;
	sregs->efer = st->efer;
	sregs->apic_base = st->apic_base;
}

/* X87 and SSE. */

static void x87_init(struct x86_fpu *fpu)
{
	fpu->fcw = INIT_FCW;
	fpu->fsw = 0;
	fpu->ftw = 0;
	fpu->fop = 0;
	fpu->fip = 0;
	fpu->fdp = 0;
	memset(fpu->st, 0, sizeof(fpu->st));
}

static void x87_get(const uint8_t *image, struct x86_fpu *fpu)
{
	unsigned i;

	fpu->fcw = le16_get(image);
	fpu->fsw = le16_get(image + 2);
	fpu->ftw = image[FXSAVE_FTW];
	fpu->fop = le16_get(image + FXSAVE_FOP);
	fpu->fip = le64_get(image + FXSAVE_FIP);
	fpu->fdp = le64_get(image + FXSAVE_FDP);
	for (i = 0; i < 8; i++)
		memcpy(fpu->st[i], image + FXSAVE_ST + (size_t)i * FXSAVE_ST_STEP,
		       sizeof(fpu->st[i]));
}

/* A component whose bit in XSTATE_BV is clear is in its initial state, whatever its bytes. */
void kvm_xsave_get(const struct kvm_xsave *xsave, struct x86_fpu *fpu)
{
	const uint8_t *image = (const uint8_t *)xsave->region;
	uint64_t bv = le64_get(image + XSAVE_BV);

	if (bv & XSAVE_BV_X87)
		x87_get(image, fpu);
	else
		x87_init(fpu);
	fpu->mxcsr =
		bv & (XSAVE_BV_SSE | XSAVE_BV_AVX) ? le32_get(image + FXSAVE_MXCSR) : INIT_MXCSR;
	memset(fpu->xmm, 0, sizeof(fpu->xmm));
	if (bv & XSAVE_BV_SSE)
		memcpy(fpu->xmm, image + FXSAVE_XMM, sizeof(fpu->xmm));
}

/* The bits in XSTATE_BV must be set, or KVM loads the initial state instead of what we wrote. */
void kvm_xsave_put(struct kvm_xsave *xsave, const struct x86_fpu *fpu)
{
	uint8_t *image = (uint8_t *)xsave->region;
	unsigned i;

	le16_put(image, fpu->fcw);
	le16_put(image + 2, fpu->fsw);
	image[FXSAVE_FTW] = fpu->ftw;
	image[FXSAVE_FTW + 1] = 0;
	le16_put(image + FXSAVE_FOP, fpu->fop);
	le64_put(image + FXSAVE_FIP, fpu->fip);
	le64_put(image + FXSAVE_FDP, fpu->fdp);
	le32_put(image + FXSAVE_MXCSR, fpu->mxcsr);
	for (i = 0; i < 8; i++) {
		memset(image + FXSAVE_ST + (size_t)i * FXSAVE_ST_STEP, 0, FXSAVE_ST_STEP);
		memcpy(image + FXSAVE_ST + (size_t)i * FXSAVE_ST_STEP, fpu->st[i],
		       sizeof(fpu->st[i]));
	}
	memcpy(image + FXSAVE_XMM, fpu->xmm, sizeof(fpu->xmm));
	le64_put(image + XSAVE_BV, le64_get(image + XSAVE_BV) | XSAVE_BV_X87 | XSAVE_BV_SSE);
}

void kvm_fpu_get(const struct kvm_fpu *in, struct x86_fpu *fpu)
{
	unsigned i;

	fpu->fcw = in->fcw;
	fpu->fsw = in->fsw;
	fpu->ftw = in->ftwx;
	fpu->fop = in->last_opcode;
	fpu->fip = in->last_ip;
	fpu->fdp = in->last_dp;
	fpu->mxcsr = in->mxcsr;
	for (i = 0; i < 8; i++)
		memcpy(fpu->st[i], in->fpr[i], sizeof(fpu->st[i]));
	memcpy(fpu->xmm, in->xmm, sizeof(fpu->xmm));
}

void kvm_fpu_put(struct kvm_fpu *out, const struct x86_fpu *fpu)
{
	unsigned i;

	memset(out, 0, sizeof(*out));
	out->fcw = fpu->fcw;
	out->fsw = fpu->fsw;
	out->ftwx = fpu->ftw;
	out->last_opcode = fpu->fop;
	out->last_ip = fpu->fip;
	out->last_dp = fpu->fdp;
	out->mxcsr = fpu->mxcsr;
	for (i = 0; i < 8; i++)
		memcpy(out->fpr[i], fpu->st[i], sizeof(fpu->st[i]));
	memcpy(out->xmm, fpu->xmm, sizeof(fpu->xmm));
}

/* Debug registers, MSRs, activity. */

void kvm_debugregs_get(const struct kvm_debugregs *regs, struct x86_state *st)
{
	unsigned i;

	memset(st->dr, 0, sizeof(st->dr));
	for (i = 0; i < 4; i++)
		st->dr[i] = regs->db[i];
	st->dr[6] = regs->dr6;
	st->dr[7] = regs->dr7;
}

void kvm_debugregs_put(struct kvm_debugregs *regs, const struct x86_state *st)
{
	unsigned i;

	memset(regs, 0, sizeof(*regs));
	for (i = 0; i < 4; i++)
		regs->db[i] = st->dr[i];
	regs->dr6 = st->dr[6];
	regs->dr7 = st->dr[7];
}

struct msr_row {
	uint32_t index; /* SDM 4 table 2-2; the TSC comes last: see state.c */
	size_t offset;
};

static const struct msr_row MSRS[KVM_MSR_ROWS] = {
	{0xc0000102, offsetof(struct x86_msrs, kernel_gs_base)},
	{0xc0000081, offsetof(struct x86_msrs, star)},
	{0xc0000082, offsetof(struct x86_msrs, lstar)},
	{0xc0000083, offsetof(struct x86_msrs, cstar)},
	{0xc0000084, offsetof(struct x86_msrs, sfmask)},
	{0x174, offsetof(struct x86_msrs, sysenter_cs)},
	{0x175, offsetof(struct x86_msrs, sysenter_esp)},
	{0x176, offsetof(struct x86_msrs, sysenter_eip)},
	{0x277, offsetof(struct x86_msrs, pat)},
	{0x10, offsetof(struct x86_msrs, tsc)},
};

uint32_t kvm_msr_index(unsigned row)
{
	return MSRS[row].index;
}

uint64_t kvm_msr_get(const struct x86_msrs *msr, unsigned row)
{
	uint64_t value;

	memcpy(&value, (const uint8_t *)msr + MSRS[row].offset, sizeof(value));
	return value;
}

void kvm_msr_put(struct x86_msrs *msr, unsigned row, uint64_t value)
{
	memcpy((uint8_t *)msr + MSRS[row].offset, &value, sizeof(value));
}

enum x86_activity kvm_activity_of(uint32_t mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		return X86_WAIT_FOR_SIPI;
	case KVM_MP_STATE_HALTED:
		return X86_HALTED;
	default:
		return X86_ACTIVE;
	}
}

/* Waiting for SIPI is INIT_RECEIVED and not KVM's own power-up state UNINITIALIZED, which ignores
 * a SIPI that comes without an INIT before it; a processor after RESET does not (SDM 3A 9.4.3). */
uint32_t kvm_mp_state_of(enum x86_activity activity)
{
	switch (activity) {
	case X86_HALTED:
		return KVM_MP_STATE_HALTED;
	case X86_WAIT_FOR_SIPI:
		return KVM_MP_STATE_INIT_RECEIVED;
	case X86_ACTIVE:
		break;
	}
	return KVM_MP_STATE_RUNNABLE;
}
