/* See test_fpu_native.h. */
#include "test_fpu_native.h"

#include "src/accel/soft/fpu.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CODE_BYTES 4096u

_Static_assert(offsetof(struct fpu_native_state, rflags) == 128, "fpu_native_enter counts on it");
_Static_assert(offsetof(struct fpu_native_state, code) == 136, "fpu_native_enter counts on it");
_Static_assert(offsetof(struct fpu_native_state, fx) == 144, "fpu_native_enter counts on it");

/* R15 holds the state all the time; the code under test jumps to fpu_native_back when it is done.
 */
void fpu_native_enter(struct fpu_native_state *st);
extern const uint8_t fpu_native_back[];
__asm__(".pushsection .text\n"
	"fpu_native_enter:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov %rdi, %r15\n"
	"fxrstor64 144(%r15)\n"
	"push 128(%r15)\npopfq\n"
	"mov 0(%r15), %rax\nmov 8(%r15), %rcx\nmov 16(%r15), %rdx\nmov 24(%r15), %rbx\n"
	"mov 40(%r15), %rbp\nmov 48(%r15), %rsi\nmov 56(%r15), %rdi\nmov 64(%r15), %r8\n"
	"mov 72(%r15), %r9\nmov 80(%r15), %r10\nmov 88(%r15), %r11\nmov 96(%r15), %r12\n"
	"mov 104(%r15), %r13\nmov 112(%r15), %r14\n"
	"jmp *136(%r15)\n"
	"fpu_native_back:\n"
	"mov %rax, 0(%r15)\nmov %rcx, 8(%r15)\nmov %rdx, 16(%r15)\nmov %rbx, 24(%r15)\n"
	"mov %rbp, 40(%r15)\nmov %rsi, 48(%r15)\nmov %rdi, 56(%r15)\nmov %r8, 64(%r15)\n"
	"mov %r9, 72(%r15)\nmov %r10, 80(%r15)\nmov %r11, 88(%r15)\nmov %r12, 96(%r15)\n"
	"mov %r13, 104(%r15)\nmov %r14, 112(%r15)\n"
	"pushfq\npop 128(%r15)\n"
	"fxsave64 144(%r15)\n"
	"fninit\n"
	"push $0x1f80\nldmxcsr (%rsp)\npop %rax\n"
	"cld\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
	"ret\n"
	".popsection\n");

/* The signal's frame restores the registers as the instruction left them. */
static void caught(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct fpu_native_state *st =
		(struct fpu_native_state *)(uintptr_t)uc->uc_mcontext.gregs[REG_R15];

	(void)info;
	st->signal = number;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)fpu_native_back;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};

	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

void fpu_native_open(struct fpu_native *n, uint64_t seed)
{
	const int prot = PROT_READ | PROT_WRITE;

	n->rig = soft_rig_create(16);
	n->seed = seed;
	n->code = mmap(NULL, CODE_BYTES, prot | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert(n->code != MAP_FAILED);
	n->data = mmap((void *)(uintptr_t)NATIVE_DATA, UMBRA_PAGE_SIZE, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert(n->data == (void *)(uintptr_t)NATIVE_DATA);
	catch_signals();
}

void fpu_native_close(struct fpu_native *n)
{
	soft_rig_destroy(n->rig);
	munmap(n->code, CODE_BYTES);
	munmap(n->data, UMBRA_PAGE_SIZE);
}

/* splitmix64. */
uint64_t fpu_native_random(struct fpu_native *n)
{
	uint64_t z = n->seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Numbers. */

static const uint32_t FLOATS[] = {
	0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x00000001, 0x807fffff,
	0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
	0xffc12345, 0x7f800001, 0xff812345, 0x4f000000, 0xcf000000, 0x3f000000,
	0x3fc00000, 0x4effffff, 0x7e800000, 0x1e800000, 0x20000000,
};
static const uint64_t DOUBLES[] = {
	0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
	0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
	0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
	0xfff8000012345678, 0x7ff0000000000001, 0xfff0000012345678, 0x41e0000000000000,
	0xc1e0000000000000, 0x43e0000000000000, 0x3fe0000000000000, 0x3ff8000000000000,
	0x36a0000000000000, 0x380fffffffffffff, 0x47efffffffffffff, 0x1ff0000000000000,
};
/* Sign and exponent, integer bit and fraction: denormals, unnormals and the like included. */
static const struct {
	uint16_t exponent;
	uint64_t significand;
} EXTENDED[] = {
	{0x0000, 0},
	{0x8000, 0},
	{0x3fff, 0x8000000000000000},
	{0xbfff, 0x8000000000000000},
	{0x0000, 0x0000000000000001},
	{0x8000, 0x7fffffffffffffff},
	{0x0000, 0x8000000000000001},
	{0x0001, 0x8000000000000000},
	{0x7ffe, 0xffffffffffffffff},
	{0xfffe, 0xffffffffffffffff},
	{0x7fff, 0x8000000000000000},
	{0xffff, 0x8000000000000000},
	{0x7fff, 0xc000000000000000},
	{0xffff, 0xc000000000001234},
	{0x7fff, 0x8000000000000001},
	{0x7fff, 0x0000000000000000},
	{0x7fff, 0x4000000000000000},
	{0x4000, 0x4000000000000000},
	{0x3ffe, 0xa000000000000000},
	{0x403e, 0x8000000000000000},
	{0xc03e, 0x8000000000000000},
	{0x4000, 0xc90fdaa22168c235},
	{0x3f80, 0xffffffffffffffff},
	{0x43ff, 0x8000000000000000},
	{0x3c00, 0xfffffffffffff800},
	{0xffff, 0xffffffffffffffff},
};

static void fill_vector(struct fpu_native *n, uint8_t out[16])
{
	unsigned kind = fpu_native_random(n) % 4;

	for (unsigned k = 0; k < 16; k += 4)
		le32_put(out + k, (uint32_t)fpu_native_random(n));
	for (unsigned k = 0; k < 16 && kind == 1; k += 4)
		le32_put(out + k, FLOATS[fpu_native_random(n) % UMBRA_ARRAY_SIZE(FLOATS)]);
	for (unsigned k = 0; k < 16 && kind == 2; k += 8)
		le64_put(out + k, DOUBLES[fpu_native_random(n) % UMBRA_ARRAY_SIZE(DOUBLES)]);
	/* Integers that fit, and bytes of one text. */
	for (unsigned k = 0; k < 16 && kind == 3; k++)
		out[k] = (uint8_t)(fpu_native_random(n) % 3);
}

static void fill_extended(struct fpu_native *n, uint8_t out[10])
{
	unsigned k = fpu_native_random(n) % (UMBRA_ARRAY_SIZE(EXTENDED) + 6);
	bool is_edge = k < UMBRA_ARRAY_SIZE(EXTENDED);
	uint64_t significand = fpu_native_random(n) | 1ull << 63;
	uint16_t exponent = (uint16_t)(0x3fff - 40 + fpu_native_random(n) % 80);

	le64_put(out, is_edge ? EXTENDED[k].significand : significand);
	le16_put(out + 8, is_edge ? EXTENDED[k].exponent : exponent);
}

void fpu_native_fill(struct fpu_native *n, struct fpu_native_state *st)
{
	memset(st, 0, sizeof(*st));
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		st->gpr[i] = fpu_native_random(n) >> fpu_native_random(n) % 64;
	st->gpr[X86_RBX] = NATIVE_OPERAND;
	st->gpr[X86_RDI] = NATIVE_RDI;
	st->gpr[X86_RSP] = 0;
	st->gpr[X86_R15] = 0;
	st->rflags = X86_RFLAGS_FIXED | (fpu_native_random(n) & X86_RFLAGS_STATUS);
	le16_put(st->fx + FX_FCW, X87_FCW_INIT);
	for (unsigned i = 0; i < 16; i++)
		fill_vector(n, st->fx + FX_XMM + 16 * i);
	for (unsigned k = 0; k < NATIVE_DATA_BYTES; k += 16)
		fill_vector(n, st->data + k);
	/* Rounding, FTZ, DAZ, flags. */
	fpu_native_set_mxcsr(st, MXCSR_MASKS | (fpu_native_random(n) & 0xe07f));
}

void fpu_native_fill_x87(struct fpu_native *n, struct fpu_native_state *st, bool all_masked)
{
	uint16_t masks = all_masked ? 0x3f : fpu_native_random(n) & 0x3f;
	uint16_t precision = (uint16_t[]){0, 0x200, 0x300, 0x300}[fpu_native_random(n) % 4];
	uint16_t flags = fpu_native_random(n) & masks;

	le16_put(st->fx + FX_FCW,
		 (uint16_t)(0x40 | masks | precision | (fpu_native_random(n) & 0xc00)));
	/* TOP and condition codes. */
	le16_put(st->fx + FX_FSW, (uint16_t)(flags | (fpu_native_random(n) & 0x7f00)));
	st->fx[FX_FTW] = (uint8_t)(fpu_native_random(n) % 4 ? 0xff : fpu_native_random(n));
	for (unsigned i = 0; i < 8; i++)
		fill_extended(n, st->fx + FX_ST + 16 * i);
	if (fpu_native_random(n) % 2)
		fill_extended(n, st->data + (NATIVE_OPERAND - NATIVE_DATA));
}

/* Running. */

void fpu_native_run_host(struct fpu_native *n, struct fpu_native_state *st, const uint8_t *code,
			 size_t len)
{
	static const uint8_t JUMP[] = {0xff, 0x25, 0, 0, 0, 0};
	uint64_t back = (uintptr_t)fpu_native_back;

	assert(len + sizeof(JUMP) + sizeof(back) <= CODE_BYTES);
	memcpy(n->code, code, len);
	memcpy(n->code + len, JUMP, sizeof(JUMP));
	memcpy(n->code + len + sizeof(JUMP), &back, sizeof(back));
	memcpy(n->data, st->data, sizeof(st->data));
	st->code = n->code;
	fpu_native_enter(st);
	memcpy(st->data, n->data, sizeof(st->data));
	st->rflags &= X86_RFLAGS_STATUS;
}

static void set_soft(struct soft_cpu *c, const struct fpu_native_state *st)
{
	struct x86_fpu fpu = {
		.fcw = le16_get(st->fx + FX_FCW),
		.fsw = le16_get(st->fx + FX_FSW),
		.ftw = st->fx[FX_FTW],
		.mxcsr = fpu_native_mxcsr(st),
	};

	for (unsigned i = 0; i < 8; i++)
		memcpy(fpu.st[i], st->fx + FX_ST + 16 * i, sizeof(fpu.st[i]));
	memcpy(fpu.xmm, st->fx + FX_XMM, sizeof(fpu.xmm));
	soft_fpu_set(c, &fpu);
	memcpy(c->r, st->gpr, sizeof(st->gpr));
	soft_set_rflags(c, st->rflags);
}

static void get_soft(struct soft_cpu *c, struct fpu_native_state *st)
{
	struct x86_fpu fpu;

	soft_fpu_get(c, &fpu);
	le16_put(st->fx + FX_FCW, fpu.fcw);
	le16_put(st->fx + FX_FSW, fpu.fsw);
	st->fx[FX_FTW] = fpu.ftw;
	fpu_native_set_mxcsr(st, fpu.mxcsr);
	for (unsigned i = 0; i < 8; i++)
		memcpy(st->fx + FX_ST + 16 * i, fpu.st[i], sizeof(fpu.st[i]));
	memcpy(st->fx + FX_XMM, fpu.xmm, sizeof(fpu.xmm));
	memcpy(st->gpr, c->r, sizeof(st->gpr));
	st->rflags = soft_rflags(c) & X86_RFLAGS_STATUS;
}

struct soft_rig_result fpu_native_run_soft(struct fpu_native *n, struct fpu_native_state *st,
					   const uint8_t *code, size_t len, unsigned steps)
{
	uint8_t block[CODE_BYTES];
	struct soft_rig_result result = {.end = SOFT_RIG_OK};
	size_t got;

	memcpy(block, code, len);
	block[len] = 0xf4; /* HLT */
	soft_rig_poke(n->rig, NATIVE_DATA, st->data, sizeof(st->data));
	set_soft(n->rig->c, st);
	soft_rig_code(n->rig, block, len + 1);
	if (steps == 0)
		result = soft_rig_run(n->rig, 1000);
	for (unsigned i = 0; i < steps && result.end == SOFT_RIG_OK; i++)
		result = soft_rig_step(n->rig);
	get_soft(n->rig->c, st);
	got = mem_peek(n->rig->mem, NATIVE_DATA, st->data, sizeof(st->data));
	assert(got == sizeof(st->data));
	return result;
}

/* Comparing. */

static bool is_equal(const char *text, const char *what, const void *host, const void *soft,
		     size_t len)
{
	const uint8_t *h = host, *s = soft;
	char line[200];
	int at = 0;

	if (memcmp(host, soft, len) == 0)
		return true;
	for (size_t k = len; k-- > 0 && at < 160;)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", h[k]);
	cr_log_error("%s: %s: host %s", text, what, line);
	at = 0;
	for (size_t k = len; k-- > 0 && at < 160;)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%02x", s[k]);
	cr_log_error("%s: %s: soft %s", text, what, line);
	return false;
}

static bool is_same_array(const char *text, const char *what, const uint8_t *host,
			  const uint8_t *soft, size_t count, size_t stride, size_t len)
{
	bool is_same = true;
	char name[32];

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%zu", what, i);
		is_same &= is_equal(text, name, host + i * stride, soft + i * stride, len);
	}
	return is_same;
}

bool fpu_native_is_same(const struct fpu_native_state *host, const struct fpu_native_state *soft,
			const char *text)
{
	bool is_same = true;

	for (unsigned i = 0; i < X86_GPR_COUNT; i++) {
		char name[8];

		snprintf(name, sizeof(name), "r%u", i);
		if (i != X86_RSP && i != X86_R15)
			is_same &= is_equal(text, name, &host->gpr[i], &soft->gpr[i], 8);
	}
	is_same &= is_equal(text, "flags", &host->rflags, &soft->rflags, 8);
	is_same &= is_equal(text, "fcw", host->fx + FX_FCW, soft->fx + FX_FCW, 2);
	is_same &= is_equal(text, "fsw", host->fx + FX_FSW, soft->fx + FX_FSW, 2);
	is_same &= is_equal(text, "ftw", host->fx + FX_FTW, soft->fx + FX_FTW, 1);
	is_same &= is_equal(text, "mxcsr", host->fx + FX_MXCSR, soft->fx + FX_MXCSR, 4);
	is_same &= is_same_array(text, "st", host->fx + FX_ST, soft->fx + FX_ST, 8, 16, 10);
	is_same &= is_same_array(text, "xmm", host->fx + FX_XMM, soft->fx + FX_XMM, 16, 16, 16);
	is_same &= is_same_array(text, "data+16*", host->data, soft->data, NATIVE_DATA_BYTES / 16,
				 16, 16);
	return is_same;
}

uint32_t fpu_native_mxcsr(const struct fpu_native_state *st)
{
	return le32_get(st->fx + FX_MXCSR);
}

void fpu_native_set_mxcsr(struct fpu_native_state *st, uint32_t mxcsr)
{
	le32_put(st->fx + FX_MXCSR, mxcsr);
}
