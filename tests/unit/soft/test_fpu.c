/* Saving and loading floating-point state, pending exceptions, and what CR0 and CR4 forbid. */
#include "soft_rig.h"

#include "src/accel/soft/fpu.h"

#include <criterion/criterion.h>
#include <string.h>

#define DATA  SOFT_RIG_DATA
#define AREA  0x21000u /* 64-byte aligned */
#define XCR0  (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_PKRU)
#define BV    512u /* XSTATE_BV in an XSAVE area */
#define ZE    0x04u
#define ES_B  0x8080u
#define UNDEF X86_EXC_UD

static struct soft_rig *rig;

static void set_up(void)
{
	rig = soft_rig_create(16);
	rig->c->r[X86_RBX] = DATA;
	rig->c->r[X86_RSI] = AREA;
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(soft_fpu, .init = set_up, .fini = tear_down);

/* Run code up to the HLT behind it; it must come that far. */
#define RUN(...)                                                                                   \
	do {                                                                                       \
		SOFT_RIG_CODE_BYTES(rig, __VA_ARGS__, 0xf4);                                       \
		cr_assert_eq(soft_rig_run(rig, 1000).end, SOFT_RIG_HALTED);                        \
	} while (0)
/* One instruction that raises @vector. */
#define EXPECT_RAISED(vector_, ...)                                                                \
	do {                                                                                       \
		struct soft_rig_result r_;                                                         \
		SOFT_RIG_CODE_BYTES(rig, __VA_ARGS__, 0xf4);                                       \
		r_ = soft_rig_step(rig);                                                           \
		cr_expect_eq(r_.end, SOFT_RIG_EXCEPTION);                                          \
		cr_expect_eq(r_.event.vector, (vector_), "vector %u", r_.event.vector);            \
	} while (0)

static void poke32(gpa_t gpa, uint32_t v)
{
	uint8_t bytes[4];

	le32_put(bytes, v);
	soft_rig_poke(rig, gpa, bytes, sizeof(bytes));
}

static void poke64(gpa_t gpa, uint64_t v)
{
	poke32(gpa, (uint32_t)v);
	poke32(gpa + 4, (uint32_t)(v >> 32));
}

/* Change the mode of a running machine. */
static void change(void (*edit)(struct x86_state *st))
{
	struct x86_state st;

	soft_rig_get(rig, &st);
	edit(&st);
	soft_rig_set(rig, &st);
}

static void set_em(struct x86_state *st)
{
	st->cr0 |= X86_CR0_EM;
}

static void set_ts(struct x86_state *st)
{
	st->cr0 |= X86_CR0_TS;
}

static void set_mp_ts(struct x86_state *st)
{
	st->cr0 |= X86_CR0_TS | X86_CR0_MP;
}

static void clear_osfxsr(struct x86_state *st)
{
	st->cr4 &= ~X86_CR4_OSFXSR;
}

static void clear_osxmmexcpt(struct x86_state *st)
{
	st->cr4 &= ~X86_CR4_OSXMMEXCPT;
}

static void set_osxsave(struct x86_state *st)
{
	st->cr4 |= X86_CR4_OSXSAVE;
}

static void clear_ne(struct x86_state *st)
{
	st->cr0 &= ~X86_CR0_NE;
}

/* Pending x87 exceptions. */

/* FNINIT, FLDCW [RBX] with ZE unmasked, FLD1, FLDZ, FDIVP ST(1), ST: 1 / 0. */
#define DIVIDE_BY_ZERO 0xdb, 0xe3, 0xd9, 0x2b, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9

static void unmask_ze(void)
{
	poke32(DATA, 0x37b);
}

Test(soft_fpu, unmasked_exception_when_raised_then_pends_until_a_waiting_instruction)
{
	struct x86_fpu fpu;

	unmask_ze();
	RUN(DIVIDE_BY_ZERO, 0xdf, 0xe0); /* FNSTSW AX */
	cr_expect_eq(rig->c->r[X86_RAX] & (ES_B | 0x3f), ES_B | ZE);
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.fop, 0x6f9);
	cr_expect_eq(fpu.fip, SOFT_RIG_CODE + 8);
	EXPECT_RAISED(X86_EXC_MF, 0xd9, 0xe8);			   /* FLD1 */
	EXPECT_RAISED(X86_EXC_MF, 0x9b);			   /* FWAIT */
	EXPECT_RAISED(X86_EXC_MF, 0xdd, 0x03);			   /* FLD m64 */
	EXPECT_RAISED(X86_EXC_MF, 0xdd, 0x1b);			   /* FSTP m64 */
	EXPECT_RAISED(X86_EXC_MF, 0xd9, 0x2b);			   /* FLDCW */
	EXPECT_RAISED(X86_EXC_MF, 0x0f, 0x6f, 0xc1);		   /* MOVQ mm0, mm1 */
	EXPECT_RAISED(X86_EXC_MF, 0x0f, 0x77);			   /* EMMS */
	RUN(0x0f, 0x57, 0xc0, 0xdb, 0xe2, 0xd9, 0xe8, 0xdf, 0xe0); /* XORPS, FNCLEX, FLD1 */
	cr_expect_eq(rig->c->r[X86_RAX] & (ES_B | 0x3f), 0);
}

Test(soft_fpu, state_set_with_an_unmasked_flag_then_it_pends)
{
	struct x86_fpu fpu = {.fcw = 0x37b, .fsw = ZE, .mxcsr = 0x1f80};

	soft_fpu_set(rig->c, &fpu);
	EXPECT_RAISED(X86_EXC_MF, 0xd9, 0xe8);
}

Test(soft_fpu, memory_operand_when_its_instruction_raises_then_data_pointer_names_it)
{
	struct x86_fpu fpu;

	unmask_ze();
	poke64(DATA + 8, 0);
	RUN(0xdb, 0xe3, 0xd9, 0x2b, 0xd9, 0xe8, 0xdc, 0x73, 0x08); /* FDIV QWORD [RBX+8] */
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.fsw & (ES_B | ZE), ES_B | ZE);
	cr_expect_eq(fpu.fop, 0x473);
	cr_expect_eq(fpu.fdp, DATA + 8);
}

Test(soft_fpu, unmasked_invalid_store_then_memory_and_stack_stay)
{
	struct x86_fpu fpu;

	poke32(DATA, 0x37e);
	poke64(DATA + 8, 0x1122334455667788);
	/* FNINIT, FLDCW, FSTP m64 of an empty register. */
	RUN(0xdb, 0xe3, 0xd9, 0x2b, 0xdd, 0x5b, 0x08);
	cr_expect_eq(soft_rig_peek(rig, DATA + 8, 8), 0x1122334455667788);
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.fsw & 0x3800, 0);
	cr_expect_eq(fpu.fsw & 0x41, 0x41);
}

Test(soft_fpu, store_that_faults_then_nothing_was_popped)
{
	struct soft_rig_result r;
	struct x86_fpu fpu;

	RUN(0xdb, 0xe3, 0xd9, 0xe8); /* FNINIT, FLD1 */
	rig->c->r[X86_RBX] = 1ull << 33;
	SOFT_RIG_CODE_BYTES(rig, 0xdd, 0x1b); /* FSTP m64 */
	r = soft_rig_step(rig);
	cr_expect_eq(r.end, SOFT_RIG_EXCEPTION);
	cr_expect_eq(r.event.vector, X86_EXC_PF);
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.fsw & 0x3800, 0x3800);
	cr_expect_eq(fpu.ftw, 0x80);
}

Test(soft_fpu, pending_exception_when_ne_is_0_then_irq_13_is_raised_and_no_mf)
{
	change(clear_ne);
	unmask_ze();
	RUN(DIVIDE_BY_ZERO);
	cr_expect(rig->c->x87_ferr);
	/* FLD1 runs as with IGNNE#, and the exception stays. */
	RUN(0xd9, 0xe8, 0xdf, 0xe0);
	cr_expect_eq(rig->c->r[X86_RAX] & (ES_B | 0x3f | 0x3800), ES_B | ZE | 0x2800);
	RUN(0xdb, 0xe2);
	cr_expect(!rig->c->x87_ferr);
}

/* Environments. */

Test(soft_fpu, fnstenv_32_when_protected_then_fields_stand_where_the_manual_has_them)
{
	RUN(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xd9, 0xeb, 0xd9, 0x33); /* FLD1 FLDZ FLDPI */
	cr_expect_eq(soft_rig_peek(rig, DATA, 4), 0xffff037f);
	cr_expect_eq(soft_rig_peek(rig, DATA + 4, 4), 0xffff2800);
	cr_expect_eq(soft_rig_peek(rig, DATA + 8, 4), 0xffff13ff); /* valid, zero, valid, empty */
	cr_expect_eq(soft_rig_peek(rig, DATA + 12, 4), SOFT_RIG_CODE + 6);
	cr_expect_eq(soft_rig_peek(rig, DATA + 24, 4), 0xffff0000);
}

Test(soft_fpu, fnstenv_in_real_mode_then_pointers_are_linear)
{
	struct x86_fpu fpu;

	soft_rig_mode(rig, X86_MODE_REAL, 0);
	poke32(DATA, 0x37b);
	poke64(DATA + 8, 0);
	rig->c->r[X86_RBX] = 0;
	/* FDIV QWORD [BX+8], then FNSTENV [BX+20h]. */
	RUN(0xdb, 0xe3, 0xd9, 0x2f, 0xd9, 0xe8, 0xdc, 0x77, 0x08, 0xd9, 0x77, 0x20);
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x20, 2), 0x37b);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x22, 2) & ES_B, ES_B);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x26, 2), (SOFT_RIG_CODE + 6) & 0xffff);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x28, 2), (SOFT_RIG_CODE >> 16) << 12 | 0x477);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x2a, 2), (DATA + 8) & 0xffff);
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x2c, 2), (DATA >> 16) << 12);
	/* It masks everything. */
	cr_expect_eq(fpu.fcw, 0x37f);
	cr_expect_eq(fpu.fsw & ES_B, 0);
}

Test(soft_fpu, fnsave_then_frstor_gives_the_state_back)
{
	struct x86_fpu before, after;

	/* Four numbers, TOP 4, one of them taken out; FNSAVE [RSI] leaves FNINIT's state. */
	RUN(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xeb, 0xd9, 0xee, 0xd9, 0xec, 0xdd, 0xc1);
	soft_fpu_get(rig->c, &before);
	RUN(0xdd, 0x36);
	soft_fpu_get(rig->c, &after);
	cr_expect_eq(after.ftw, 0);
	cr_expect_eq(after.fsw, 0);
	RUN(0xdd, 0x26);
	soft_fpu_get(rig->c, &after);
	cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
}

Test(soft_fpu, fldenv_when_top_changes_then_registers_keep_their_places)
{
	struct x86_fpu fpu;

	RUN(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0x33); /* FLD1 in physical register 7, FNSTENV */
	poke32(DATA + 4, 0xffff0000);		 /* TOP 0 */
	RUN(0xd9, 0x23);			 /* FLDENV */
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.ftw, 0x80);
	cr_expect_eq(le16_get(fpu.st[7] + 8), 0x3fff);
	cr_expect_eq(le64_get(fpu.st[7]), 1ull << 63);
}

/* FXSAVE and XSAVE. */

static void fill_xmm(void)
{
	for (unsigned i = 0; i < 16; i++)
		memset(rig->c->xmm[i], (int)(0x10 + i), 16);
}

Test(soft_fpu, fxsave_then_fxrstor_gives_everything_back)
{
	struct x86_fpu before, after;

	RUN(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xeb);
	fill_xmm();
	soft_fpu_get(rig->c, &before);
	poke64(AREA + 416, 0x5555);
	RUN(0x48, 0x0f, 0xae, 0x06); /* FXSAVE64 [RSI] */
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_FCW, 2), 0x37f);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_FTW, 1), 0xc0);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_FIP, 8), before.fip);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_MXCSR_MASK, 4), MXCSR_VALID);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_XMM + 15 * 16, 1), 0x1f);
	cr_expect_eq(soft_rig_peek(rig, AREA + 416, 8), 0x5555, "software's bytes were written");
	soft_fpu_reset(rig->c);
	RUN(0x48, 0x0f, 0xae, 0x0e); /* FXRSTOR64 [RSI] */
	soft_fpu_get(rig->c, &after);
	cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
}

Test(soft_fpu, fxsave_in_32_bit_code_then_xmm8_and_above_are_left_alone)
{
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->r[X86_RSI] = AREA;
	fill_xmm();
	poke64(AREA + FX_XMM + 8 * 16, 0x77);
	RUN(0x0f, 0xae, 0x06);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_XMM + 7 * 16, 1), 0x17);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_XMM + 8 * 16, 8), 0x77);
}

Test(soft_fpu, areas_and_mxcsr_when_wrong_then_gp)
{
	RUN(0x0f, 0xae, 0x06);
	poke32(AREA + FX_MXCSR, 0x10000);
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x0e);
	poke32(DATA, 0x10000);
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x13); /* LDMXCSR */
	rig->c->r[X86_RSI] = AREA + 8;
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x06);
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x0e);
}

static void allow_xsave(void)
{
	change(set_osxsave);
	rig->c->xcr0 = XCR0;
	rig->c->r[X86_RAX] = XCR0;
	rig->c->r[X86_RDX] = 0;
}

Test(soft_fpu, xsave_then_xrstor_gives_everything_back)
{
	struct x86_fpu before, after;

	allow_xsave();
	RUN(0xdb, 0xe3, 0xd9, 0xe8);
	fill_xmm();
	rig->c->pkru = 0x5550;
	soft_fpu_get(rig->c, &before);
	poke64(AREA + BV, 1ull << 40);
	RUN(0x48, 0x0f, 0xae, 0x26); /* XSAVE64 [RSI] */
	cr_expect_eq(soft_rig_peek(rig, AREA + BV, 8), 1ull << 40 | XCR0);
	cr_expect_eq(soft_rig_peek(rig, AREA + SOFT_XSAVE_PKRU_OFFSET, 4), 0x5550);
	poke64(AREA + BV, XCR0);
	soft_fpu_reset(rig->c);
	rig->c->pkru = 0;
	RUN(0x48, 0x0f, 0xae, 0x2e); /* XRSTOR64 [RSI] */
	soft_fpu_get(rig->c, &after);
	cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0);
	cr_expect_eq(rig->c->pkru, 0x5550);
}

Test(soft_fpu, xrstor_when_components_are_not_in_the_area_then_they_are_initial)
{
	struct x86_fpu fpu;

	allow_xsave();
	RUN(0xdb, 0xe3, 0xd9, 0xe8);
	fill_xmm();
	rig->c->pkru = 0x5550;
	poke32(AREA + FX_MXCSR, 0x3f80);
	poke64(AREA + BV, 0);
	RUN(0x0f, 0xae, 0x2e);
	soft_fpu_get(rig->c, &fpu);
	cr_expect_eq(fpu.ftw, 0);
	cr_expect_eq(fpu.fcw, X87_FCW_INIT);
	cr_expect_eq(fpu.mxcsr, 0x3f80);
	cr_expect_eq(fpu.xmm[3][0], 0);
	cr_expect_eq(rig->c->pkru, 0);
}

Test(soft_fpu, xsave_when_only_sse_is_asked_for_then_the_rest_is_left_alone)
{
	allow_xsave();
	fill_xmm();
	rig->c->r[X86_RAX] = X86_XCR0_SSE;
	poke64(AREA + FX_FCW, 0x1234);
	RUN(0x0f, 0xae, 0x26);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_FCW, 2), 0x1234);
	cr_expect_eq(soft_rig_peek(rig, AREA + FX_XMM, 1), 0x10);
	cr_expect_eq(soft_rig_peek(rig, AREA + BV, 8), X86_XCR0_SSE);
}

Test(soft_fpu, xsave_and_xrstor_when_not_allowed_then_raise)
{
	EXPECT_RAISED(UNDEF, 0x0f, 0xae, 0x26);
	EXPECT_RAISED(UNDEF, 0x0f, 0xae, 0x2e);
	allow_xsave();
	poke64(AREA + BV, 1ull << 2); /* AVX: not in XCR0 */
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x2e);
	poke64(AREA + BV, 0);
	poke64(AREA + BV + 8, 1ull << 63); /* compacted */
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x2e);
	rig->c->r[X86_RSI] = AREA + 32;
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0xae, 0x26);
	rig->c->r[X86_RSI] = AREA;
	change(set_ts);
	EXPECT_RAISED(X86_EXC_NM, 0x0f, 0xae, 0x26);
}

/* MXCSR. */

Test(soft_fpu, ldmxcsr_when_it_unmasks_then_the_next_instruction_raises_xm)
{
	struct soft_rig_result r;

	poke32(DATA, 0x1f80 & ~(1u << 9)); /* ZM */
	poke64(DATA + 8, 0x3ff0000000000000);
	/* LDMXCSR; XORPD xmm0, xmm0; MOVSD xmm1, [RBX+8]; DIVSD xmm1, xmm0 */
	SOFT_RIG_CODE_BYTES(rig, 0x0f, 0xae, 0x13, 0x66, 0x0f, 0x57, 0xc0, 0xf2, 0x0f, 0x10, 0x4b,
			    0x08, 0xf2, 0x0f, 0x5e, 0xc8, 0xf4);
	r = soft_rig_run(rig, 100);
	cr_expect_eq(r.end, SOFT_RIG_EXCEPTION);
	cr_expect_eq(r.event.vector, X86_EXC_XM);
	cr_expect_eq(rig->c->rip, SOFT_RIG_CODE + 12);
	cr_expect_eq(rig->c->mxcsr & MXCSR_FLAGS, ZE);
	cr_expect_eq(le64_get(rig->c->xmm[1]), 0x3ff0000000000000, "the result was kept");
	change(clear_osxmmexcpt);
	EXPECT_RAISED(UNDEF, 0xf2, 0x0f, 0x5e, 0xc8);
}

Test(soft_fpu, stmxcsr_when_flags_were_raised_then_shows_them_and_later_ones)
{
	/* STMXCSR [RBX]; CVTSD2SS xmm0, [RBX+8] is inexact; STMXCSR [RBX+4] */
	poke64(DATA + 8, 0x3fd5555555555555);
	RUN(0x0f, 0xae, 0x1b, 0xf2, 0x0f, 0x5a, 0x43, 0x08, 0x0f, 0xae, 0x5b, 0x04);
	cr_expect_eq(soft_rig_peek(rig, DATA, 4), 0x1f80);
	cr_expect_eq(soft_rig_peek(rig, DATA + 4, 4), 0x1fa0);
	cr_expect_eq(rig->c->mxcsr, 0x1fa0);
}

Test(soft_fpu, run_when_over_then_the_host_has_its_own_control_registers)
{
	uint32_t mxcsr;
	uint16_t fcw;

	poke32(DATA, 0xffc0);
	poke32(DATA + 4, 0xc7f);
	RUN(0x0f, 0xae, 0x13, 0xd9, 0x6b, 0x04, 0xd9, 0xe8); /* LDMXCSR, FLDCW, FLD1 */
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	cr_expect_eq(mxcsr, 0x1f80);
	cr_expect_eq(fcw, 0x37f);
}

Test(soft_fpu, unmasked_underflow_when_the_result_is_tiny_but_exact_then_raises_without_pe)
{
	/* UM=0 and FTZ, which works with UM=1 only; 2^-126 * 0.5 */
	rig->c->mxcsr = 0x8000 | (0x1f80 & ~0x800u);
	soft_mode_changed(rig->c);
	le32_put(rig->c->xmm[0], 0x00800000);
	le32_put(rig->c->xmm[1], 0x3f000000);
	EXPECT_RAISED(X86_EXC_XM, 0xf3, 0x0f, 0x59, 0xc1); /* MULSS */
	cr_expect_eq(rig->c->mxcsr & MXCSR_FLAGS, 0x10);
	cr_expect_eq(le32_get(rig->c->xmm[0]), 0x00800000);
}

/* What is forbidden. */

Test(soft_fpu, instructions_when_em_ts_or_osfxsr_forbid_them_then_raise)
{
	change(set_ts);
	EXPECT_RAISED(X86_EXC_NM, 0xd9, 0xe8);		   /* FLD1 */
	EXPECT_RAISED(X86_EXC_NM, 0x0f, 0x58, 0xc0);	   /* ADDPS */
	EXPECT_RAISED(X86_EXC_NM, 0x0f, 0xfc, 0xc0);	   /* PADDB mm */
	EXPECT_RAISED(X86_EXC_NM, 0x66, 0x0f, 0xfc, 0xc0); /* PADDB xmm */
	EXPECT_RAISED(X86_EXC_NM, 0x0f, 0xae, 0x06);	   /* FXSAVE */
	EXPECT_RAISED(X86_EXC_NM, 0x0f, 0x77);		   /* EMMS */
	RUN(0x9b);					   /* FWAIT: MP=0 */
	RUN(0x0f, 0xc3, 0x03);				   /* MOVNTI [RBX], EAX */
	change(set_mp_ts);
	EXPECT_RAISED(X86_EXC_NM, 0x9b);
	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	change(set_em);
	EXPECT_RAISED(X86_EXC_NM, 0xd9, 0xe8);
	EXPECT_RAISED(UNDEF, 0x0f, 0x58, 0xc0);
	EXPECT_RAISED(UNDEF, 0x0f, 0xfc, 0xc0);
	EXPECT_RAISED(UNDEF, 0x0f, 0x77);
	RUN(0x9b);
	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	change(clear_osfxsr);
	EXPECT_RAISED(UNDEF, 0x0f, 0x58, 0xc0);
	EXPECT_RAISED(UNDEF, 0x0f, 0xae, 0x1b); /* STMXCSR */
	RUN(0x0f, 0xfc, 0xc0);
}

Test(soft_fpu, sse_memory_operand_when_not_aligned_then_gp_but_for_the_unaligned_moves)
{
	rig->c->r[X86_RBX] = DATA + 8;
	RUN(0x0f, 0x10, 0x03, 0x0f, 0x11, 0x03);     /* MOVUPS; the page is in the micro-TLB then */
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0x28, 0x03); /* MOVAPS load */
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0x29, 0x03); /* MOVAPS store */
	EXPECT_RAISED(X86_EXC_GP, 0x0f, 0x58, 0x03); /* ADDPS */
	EXPECT_RAISED(X86_EXC_GP, 0x66, 0x0f, 0xe7, 0x03);	 /* MOVNTDQ */
	EXPECT_RAISED(X86_EXC_GP, 0x66, 0x0f, 0x38, 0x17, 0x03); /* PTEST */
	EXPECT_RAISED(X86_EXC_GP, 0x66, 0x0f, 0x38, 0x10, 0x03); /* PBLENDVB */
	RUN(0xf2, 0x0f, 0xf0, 0x03);				 /* LDDQU */
	RUN(0x66, 0x0f, 0x3a, 0x63, 0x03, 0x08);		 /* PCMPISTRI */
	RUN(0xf2, 0x0f, 0x58, 0x03);				 /* ADDSD */
	RUN(0x0f, 0xfc, 0x03);					 /* PADDB mm */
}

Test(soft_fpu, moves_across_pages_then_bytes_are_whole)
{
	rig->c->r[X86_RBX] = DATA + 0x1000 - 5;
	for (unsigned i = 0; i < 16; i++)
		rig->c->xmm[1][i] = (uint8_t)(i * 3 + 1);
	RUN(0x0f, 0x11, 0x0b, 0x0f, 0x10, 0x13); /* MOVUPS [RBX], xmm1; MOVUPS xmm2, [RBX] */
	cr_expect_eq(memcmp(rig->c->xmm[1], rig->c->xmm[2], 16), 0);
	RUN(0xdb, 0xe3, 0xd9, 0xeb, 0xdb, 0x3b, 0xdb, 0x2b); /* FLDPI, FSTP m80, FLD m80 */
	cr_expect_eq(soft_rig_peek(rig, DATA + 0x1000 - 5, 8), 0xc90fdaa22168c235);
	cr_expect_eq(le64_get(rig->c->x87 + FX_ST), 0xc90fdaa22168c235);
}
