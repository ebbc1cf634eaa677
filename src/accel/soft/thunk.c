/* Running thunks, and the table of x87 thunks.
 * The x87 opcodes D8..DF are 8 times 64 register forms and 8 times 8 memory forms of one regular
 * encoding (SDM 2D B.17), so the table has all of them, also those that no row names.
 * This file must not use floating point. */
#include "thunk.h"
#include "fpu.h"

#include <cpuid.h>
#include <errno.h>

/* Exceptions that are found before an operation is done; one of these, unmasked, keeps the others
 * from being raised (SDM 1 11.5.2). */
#define MXCSR_IE  (1u << 0)
#define MXCSR_DE  (1u << 1)
#define MXCSR_ZE  (1u << 2)
#define MXCSR_UE  (1u << 4)
#define MXCSR_PRE (MXCSR_IE | MXCSR_DE | MXCSR_ZE)

#define X87_STRIDE 4

/* [rax] is modrm 00 reg 000. */
__asm__(".pushsection .text\n"
	".balign 16\n"
	"soft_x87_reg_thunks:\n"
	".set op, 0\n"
	".rept 8\n"
	".set modrm, 0\n"
	".rept 64\n"
	".org soft_x87_reg_thunks + (op * 64 + modrm) * 4, 0x90\n"
	".byte 0xd8 + op, 0xc0 + modrm\n"
	"ret\n"
	".set modrm, modrm + 1\n"
	".endr\n"
	".set op, op + 1\n"
	".endr\n"
	".balign 4\n"
	"soft_x87_mem_thunks:\n"
	".set op, 0\n"
	".rept 8\n"
	".set reg, 0\n"
	".rept 8\n"
	".org soft_x87_mem_thunks + (op * 8 + reg) * 4, 0x90\n"
	".byte 0xd8 + op, reg * 8\n"
	"ret\n"
	".set reg, reg + 1\n"
	".endr\n"
	".set op, op + 1\n"
	".endr\n"
	".popsection\n");
extern const uint8_t soft_x87_reg_thunks[] __attribute__((visibility("hidden")));
extern const uint8_t soft_x87_mem_thunks[] __attribute__((visibility("hidden")));

uint64_t thunk_x87_reg(uint8_t opcode, uint8_t modrm)
{
	return (uintptr_t)soft_x87_reg_thunks + ((opcode & 7ul) * 64 + (modrm & 63u)) * X87_STRIDE;
}

uint64_t thunk_x87_mem(uint8_t opcode, uint8_t reg)
{
	return (uintptr_t)soft_x87_mem_thunks + ((opcode & 7ul) * 8 + (reg & 7u)) * X87_STRIDE;
}

/* What the model needs of the host. */

struct host_feature {
	const char *name;
	bool is_edx; /* of CPUID.1, else ECX */
	unsigned bit;
};

static const struct host_feature HOST_FEATURES[] = {
	{"FPU", true, 0},      {"CMOV", true, 15},    {"MMX", true, 23},     {"FXSR", true, 24},
	{"SSE", true, 25},     {"SSE2", true, 26},    {"SSE3", false, 0},    {"SSSE3", false, 9},
	{"SSE4.1", false, 19}, {"SSE4.2", false, 20}, {"POPCNT", false, 23}, {"CX16", false, 13},
};

/* LAHF and SAHF in 64-bit mode have a bit of their own. */
static bool host_has_lahf(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & 1);
}

int soft_thunks_create(struct soft_vm *vm, struct umbra_err *err)
{
	unsigned eax, ebx, ecx = 0, edx = 0;
	const char *missing = host_has_lahf() ? NULL : "LAHF in 64-bit mode";

	(void)vm;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		missing = "CPUID leaf 1";
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(HOST_FEATURES) && !missing; i++) {
		const struct host_feature *f = &HOST_FEATURES[i];

		if (!((f->is_edx ? edx : ecx) >> f->bit & 1))
			missing = f->name;
	}
	if (missing)
		return umbra_err_set(err, ENOTSUP,
				     "the software CPU runs this host's own instructions and needs "
				     "x86-64-v2: the host lacks %s",
				     missing);
	return 0;
}

void soft_thunks_destroy(struct soft_vm *vm)
{
	(void)vm;
}

/* Running. */

void thunk_run(uint64_t code, struct thunk_call *call)
{
	uint64_t rax = call->rax, rcx = call->rcx, rdx = call->rdx, ax;

	__asm__ volatile(
		"movups (%[x0]), %%xmm0\n\t"
		"movups (%[x1]), %%xmm1\n\t"
		"movups (%[x2]), %%xmm2\n\t" THUNK_ENTER "mov %%rax, %[value]\n\t"
		"lahf\n\t"
		"seto %%al\n\t" THUNK_LEAVE "movups %%xmm0, (%[x0])\n\t"
		"movups %%xmm2, (%[x2])"
		: "+a"(rax), "+c"(rcx), "+d"(rdx), [value] "=&r"(ax)
		: [code] "r"(code), [x0] "r"(call->x0), [x1] "r"(call->x1), [x2] "r"(call->x2)
		: "xmm0", "xmm1", "xmm2", "memory", "cc");
	call->flags = thunk_flags(rax);
	call->rax = ax;
	call->rcx = rcx;
	call->rdx = rdx;
}

void thunk_run_mmx(uint64_t code, struct thunk_call *call)
{
	uint64_t rax = call->rax;

	__asm__ volatile("movups (%[x0]), %%xmm0\n\t"
			 "movups (%[x1]), %%xmm1\n\t"
			 "movq (%[m0]), %%mm0\n\t"
			 "movq (%[m1]), %%mm1\n\t" THUNK_ENTER THUNK_LEAVE
			 "movups %%xmm0, (%[x0])\n\t"
			 "movq %%mm0, (%[m0])"
			 : "+a"(rax)
			 : [code] "r"(code), [x0] "r"(call->x0), [x1] "r"(call->x1),
			   [m0] "r"(&call->m0), [m1] "r"(&call->m1)
			 : "xmm0", "xmm1", "mm0", "mm1", "memory", "cc");
	call->rax = rax;
}

/* The flags that @call raises under @mxcsr, whose masks are all set. */
static uint32_t raised_by(uint64_t code, struct thunk_call *call, bool is_mmx, uint32_t mxcsr)
{
	uint32_t after;

	mxcsr &= ~MXCSR_FLAGS;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	if (is_mmx)
		thunk_run_mmx(code, call);
	else
		thunk_run(code, call);
	__asm__ volatile("stmxcsr %0" : "=m"(after));
	return after & MXCSR_FLAGS;
}

/* An unmasked underflow is raised by any tiny result, a masked one only by one that is inexact too
 * (SDM 1 4.9.1.5).  Flushing to zero reports every tiny result. */
static bool is_tiny(uint64_t code, const struct thunk_call *call, bool is_mmx, uint32_t mxcsr)
{
	struct thunk_call again = *call;

	return raised_by(code, &again, is_mmx, mxcsr | MXCSR_FTZ) & MXCSR_UE;
}

void thunk_run_fp(struct soft_cpu *c, uint64_t code, struct thunk_call *call, bool is_mmx)
{
	uint32_t unmasked = ~(c->mxcsr >> 7) & MXCSR_FLAGS, mxcsr, raised;
	struct thunk_call before = *call;

	soft_mxcsr_sync(c);
	mxcsr = c->mxcsr | MXCSR_MASKS;
	if (unmasked & MXCSR_UE)
		mxcsr &= ~MXCSR_FTZ; /* works with underflow masked only (SDM 1 10.2.3.3) */
	raised = raised_by(code, call, is_mmx, mxcsr);
	if ((unmasked & MXCSR_UE) && is_tiny(code, &before, is_mmx, mxcsr))
		raised |= MXCSR_UE;
	if (raised & unmasked & MXCSR_PRE)
		raised &= MXCSR_PRE;
	c->mxcsr |= raised;
	mxcsr = c->mxcsr | MXCSR_MASKS;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	if (raised & unmasked)
		soft_raise(c, c->cr4 & X86_CR4_OSXMMEXCPT ? X86_EXC_XM : X86_EXC_UD);
}
