/* SYSCALL, SYSRET, SYSENTER and SYSEXIT. */
#include "seg_world.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define STAR (0x23ull << 48 | 0x13ull << 32)

static void is_flat(const struct x86_seg *seg, unsigned selector, unsigned dpl)
{
	cr_expect(eq(uint, seg->selector, selector));
	cr_expect(eq(uint, seg->dpl, dpl));
	cr_expect(seg->base == 0 && seg->limit == UINT32_MAX && seg->present && seg->s);
	cr_expect(seg->unusable == false);
}

static struct world open_long(unsigned cpl)
{
	struct world w = world_open(X86_MODE_LONG64, cpl);

	w.c->msr.star = STAR;
	w.c->msr.lstar = 0xffff800000001000;
	w.c->msr.sfmask = X86_RFLAGS_IF | X86_RFLAGS_CF;
	return w;
}

Test(soft_syscall, syscall_when_64_bit_mode_then_star_lstar_and_mask)
{
	struct world w = open_long(3);

	soft_set_rflags(w.c, X86_RFLAGS_IF | X86_RFLAGS_CF | X86_RFLAGS_ZF);
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "syscall");
	cr_expect(eq(u64, w.c->rip, 0xffff800000001000));
	cr_expect(eq(u64, w.c->r[X86_RCX], SOFT_RIG_CODE + 2));
	cr_expect(eq(u64, w.c->r[X86_R11], 0x243));
	cr_expect(eq(u64, soft_rflags(w.c), 0x42));
	cr_expect(eq(u64, w.c->r[X86_RSP], SOFT_RIG_STACK));
	is_flat(&w.c->seg[X86_CS], 0x10, 0);
	is_flat(&w.c->seg[X86_SS], 0x18, 0);
	cr_expect(w.c->cpl == 0 && w.c->seg[X86_CS].l && w.c->seg[X86_CS].db == false);
	world_close(&w);
}

/* RF never reaches the handler or R11. */
Test(soft_syscall, syscall_when_tf_then_the_masked_value_decides_the_trap)
{
	struct world w = open_long(3);

	soft_set_rflags(w.c, X86_RFLAGS_TF | X86_RFLAGS_RF);
	w.c->trap_tf = true;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "syscall");
	cr_expect(w.c->trap_tf);
	cr_expect(eq(u64, w.c->r[X86_R11] & X86_RFLAGS_RF, 0));
	world_close(&w);
	w = open_long(3);
	w.c->msr.sfmask |= X86_RFLAGS_TF;
	soft_set_rflags(w.c, X86_RFLAGS_TF);
	w.c->trap_tf = true;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "syscall");
	cr_expect(w.c->trap_tf == false);
	world_close(&w);
}

Test(soft_syscall, syscall_when_compatibility_mode_then_cstar)
{
	struct world w = world_open(X86_MODE_COMPAT32, 3);

	w.c->msr.star = STAR;
	w.c->msr.cstar = 0xffff800000004000;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x05), "syscall");
	cr_expect(eq(u64, w.c->rip, 0xffff800000004000));
	cr_expect(eq(u64, w.c->r[X86_RCX], SOFT_RIG_CODE + 2));
	is_flat(&w.c->seg[X86_CS], 0x10, 0);
	cr_expect(soft_is_code64(w.c));
	world_close(&w);
}

Test(soft_syscall, syscall_when_disabled_or_not_long_mode_then_ud)
{
	static const enum x86_mode modes[] = {X86_MODE_REAL, X86_MODE_PROT32, X86_MODE_PROT16};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(modes); i++) {
		struct world w = world_open(modes[i], 0);

		world_expect_fault(WORLD_STEP(&w, 0x0f, 0x05), X86_EXC_UD, 0, "mode");
		world_close(&w);
	}
	struct world w = open_long(0);

	w.c->efer &= ~X86_EFER_SCE;
	world_expect_fault(WORLD_STEP(&w, 0x0f, 0x05), X86_EXC_UD, 0, "syscall");
	world_expect_fault(WORLD_STEP(&w, 0x48, 0x0f, 0x07), X86_EXC_UD, 0, "sysret");
	world_close(&w);
}

Test(soft_syscall, sysret_when_64_bit_then_rcx_and_r11)
{
	struct world w = open_long(0);

	w.c->r[X86_RCX] = 0x7ffffffff000;
	w.c->r[X86_R11] = ~0ull;
	world_expect_ok(WORLD_STEP(&w, 0x48, 0x0f, 0x07), "sysretq");
	cr_expect(eq(u64, w.c->rip, 0x7ffffffff000));
	cr_expect(eq(u64, soft_rflags(w.c), 0x3c7fd7));
	is_flat(&w.c->seg[X86_CS], 0x33, 3);
	is_flat(&w.c->seg[X86_SS], 0x2b, 3);
	cr_expect(w.c->cpl == 3 && w.c->seg[X86_CS].l);
	world_close(&w);
}

Test(soft_syscall, sysret_when_32_bit_then_compatibility_mode)
{
	struct world w = open_long(0);

	w.c->r[X86_RCX] = 0xffff800012345678;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x07), "sysretl");
	cr_expect(eq(u64, w.c->rip, 0x12345678));
	is_flat(&w.c->seg[X86_CS], 0x23, 3);
	is_flat(&w.c->seg[X86_SS], 0x2b, 3);
	cr_expect(w.c->seg[X86_CS].l == false && w.c->seg[X86_CS].db);
	world_close(&w);
}

/* The fault comes before anything changed: it is taken at ring 0, on the user's stack pointer. */
Test(soft_syscall, sysret_when_rcx_is_not_canonical_or_ring_3_then_gp)
{
	struct world w = open_long(0);

	w.c->r[X86_RCX] = 1ull << 47;
	world_expect_fault(WORLD_STEP(&w, 0x48, 0x0f, 0x07), X86_EXC_GP, 0, "rcx");
	cr_expect(w.c->cpl == 0 && w.c->rip == SOFT_RIG_CODE);
	world_close(&w);
	w = open_long(3);
	world_expect_fault(WORLD_STEP(&w, 0x48, 0x0f, 0x07), X86_EXC_GP, 0, "ring 3");
	world_close(&w);
}

static void set_sysenter(struct world *w)
{
	w->c->msr.sysenter_cs = 0x103;
	w->c->msr.sysenter_eip = 0xffff800000002000;
	w->c->msr.sysenter_esp = 0xffff800000003000;
	soft_set_rflags(w->c, (w->c->rflags & X86_RFLAGS_VM) | X86_RFLAGS_IF | X86_RFLAGS_DF);
}

Test(soft_syscall, sysenter_when_each_mode_then_ring_0)
{
	static const struct {
		enum x86_mode mode;
		uint64_t rip, rsp;
	} rows[] = {
		{X86_MODE_PROT32, 0x2000, 0x3000},
		{X86_MODE_V86, 0x2000, 0x3000},
		{X86_MODE_COMPAT32, 0xffff800000002000, 0xffff800000003000},
		{X86_MODE_LONG64, 0xffff800000002000, 0xffff800000003000},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(rows[i].mode, 3);

		set_sysenter(&w);
		world_expect_ok(WORLD_STEP(&w, 0x0f, 0x34), x86_mode_name(rows[i].mode));
		cr_expect(eq(u64, w.c->rip, rows[i].rip));
		cr_expect(eq(u64, w.c->r[X86_RSP], rows[i].rsp));
		cr_expect(eq(u64, soft_rflags(w.c), X86_RFLAGS_DF | X86_RFLAGS_FIXED));
		is_flat(&w.c->seg[X86_CS], 0x100, 0);
		is_flat(&w.c->seg[X86_SS], 0x108, 0);
		cr_expect(w.c->cpl == 0 && w.c->seg[X86_CS].l == soft_is_long(w.c));
		world_close(&w);
	}
}

Test(soft_syscall, sysenter_when_real_mode_or_null_cs_then_gp)
{
	struct world w = world_open(X86_MODE_REAL, 0);

	set_sysenter(&w);
	world_expect_fault(WORLD_STEP(&w, 0x0f, 0x34), X86_EXC_GP, 0, "real mode");
	world_close(&w);
	w = world_open(X86_MODE_PROT32, 3);
	w.c->msr.sysenter_cs = 3;
	world_expect_fault(WORLD_STEP(&w, 0x0f, 0x34), X86_EXC_GP, 0, "null");
	world_close(&w);
}

Test(soft_syscall, sysexit_when_32_or_64_bits_then_ring_3)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	set_sysenter(&w);
	w.c->r[X86_RDX] = 0x1200005000;
	w.c->r[X86_RCX] = 0x1200006000;
	world_expect_ok(WORLD_STEP(&w, 0x48, 0x0f, 0x35), "sysexitq");
	cr_expect(w.c->rip == 0x1200005000 && w.c->r[X86_RSP] == 0x1200006000);
	is_flat(&w.c->seg[X86_CS], 0x123, 3);
	is_flat(&w.c->seg[X86_SS], 0x12b, 3);
	world_close(&w);
	w = world_open(X86_MODE_PROT32, 0);
	set_sysenter(&w);
	w.c->r[X86_RDX] = 0x5000;
	w.c->r[X86_RCX] = 0x6000;
	world_expect_ok(WORLD_STEP(&w, 0x0f, 0x35), "sysexit");
	cr_expect(w.c->rip == 0x5000 && w.c->r[X86_RSP] == 0x6000);
	is_flat(&w.c->seg[X86_CS], 0x113, 3);
	is_flat(&w.c->seg[X86_SS], 0x11b, 3);
	world_close(&w);
}

Test(soft_syscall, sysexit_when_ring_3_or_not_canonical_then_gp)
{
	struct world w = world_open(X86_MODE_LONG64, 3);

	set_sysenter(&w);
	world_expect_fault(WORLD_STEP(&w, 0x0f, 0x35), X86_EXC_GP, 0, "ring 3");
	world_close(&w);
	w = world_open(X86_MODE_LONG64, 0);
	set_sysenter(&w);
	w.c->r[X86_RDX] = 1ull << 47;
	world_expect_fault(WORLD_STEP(&w, 0x48, 0x0f, 0x35), X86_EXC_GP, 0, "rdx");
	w.c->r[X86_RDX] = 0;
	w.c->r[X86_RCX] = 1ull << 47;
	world_expect_fault(WORLD_STEP(&w, 0x48, 0x0f, 0x35), X86_EXC_GP, 0, "rcx");
	world_close(&w);
}
