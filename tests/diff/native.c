/* See native.h.  The way in is IRETQ, which loads RIP, RSP and RFLAGS at once with all other
 * registers set before it, goes to 32-bit code where that is wanted, and serializes, so that code
 * written a moment ago through another mapping is what runs.  The way out is a jump behind the
 * case, or a signal: its handler takes the registers out of the signal frame.  Both store
 * everything into a context at a low fixed address, which code without a free register can name.
 * Source: SDM 2A IRET; SDM 3A 8.1.3 (self-modifying code), 4.8 (signal frames: Linux sigcontext.h).
 */
#include "native.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CONTEXT	      0x220000
#define ALT_STACK     0x10000u
#define HOST_MXCSR    0x1f80u
#define GREG_CS(v)    ((v)&0xffff)
#define TRAP_INT3     3
#define TRAP_PF	      14
#define FRAME_RFLAGS  0x202u /* RFLAGS that cannot be chosen: IF and the bit that is always 1 */
#define EXIT_CODE_GAP 0x100u

/* Offsets for the assembler; checked below. */
#define CTX_FX_IN    "0x220000"
#define CTX_FX_OUT   "0x220200"
#define CTX_GPR_IN   "0x220400"
#define CTX_GPR_OUT  "0x220480"
#define CTX_FRAME    "0x220500"
#define CTX_HOST_RSP "0x220528"
#define CTX_FLAGS    "0x220530"
#define CTX_MXCSR    "0x220538"
#define CTX_TOP	     "0x220740"

struct context {
	uint8_t fx_in[DIFF_FX_BYTES];
	uint8_t fx_out[DIFF_FX_BYTES];
	uint64_t gpr_in[16];
	uint64_t gpr_out[16];
	struct {
		uint64_t rip, cs, rflags, rsp, ss;
	} frame; /* as IRETQ pops it */
	uint64_t host_rsp;
	uint64_t flags_out;
	uint64_t host_mxcsr;
	uint8_t stack[512];
	/* Of the signal handler. */
	bool has_trap;
	struct diff_state trap;
};
_Static_assert(offsetof(struct context, fx_out) == 0x200, "CTX_FX_OUT");
_Static_assert(offsetof(struct context, gpr_in) == 0x400, "CTX_GPR_IN");
_Static_assert(offsetof(struct context, gpr_out) == 0x480, "CTX_GPR_OUT");
_Static_assert(offsetof(struct context, frame) == 0x500, "CTX_FRAME");
_Static_assert(offsetof(struct context, host_rsp) == 0x528, "CTX_HOST_RSP");
_Static_assert(offsetof(struct context, flags_out) == 0x530, "CTX_FLAGS");
_Static_assert(offsetof(struct context, host_mxcsr) == 0x538, "CTX_MXCSR");
_Static_assert(offsetof(struct context, has_trap) == 0x740, "CTX_TOP");

struct native {
	uint8_t *code; /* a second mapping of DIFF_CODE, to write to */
	int code_fd;
	uint8_t *alt_stack;
	uint64_t dirty_at; /* bytes of the last case in the code pages */
	unsigned dirty_len;
};

void diff_native_enter(void);
void diff_native_exit(void);
void diff_native_recover(void);

/* clang-format off */
__asm__(".text\n"
	"diff_native_enter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n"
	"	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, " CTX_HOST_RSP "\n"
	"	fxrstor64 " CTX_FX_IN "\n"
	"	mov " CTX_GPR_IN "+0, %rax\n	mov " CTX_GPR_IN "+8, %rcx\n"
	"	mov " CTX_GPR_IN "+16, %rdx\n	mov " CTX_GPR_IN "+24, %rbx\n"
	"	mov " CTX_GPR_IN "+40, %rbp\n	mov " CTX_GPR_IN "+48, %rsi\n"
	"	mov " CTX_GPR_IN "+56, %rdi\n	mov " CTX_GPR_IN "+64, %r8\n"
	"	mov " CTX_GPR_IN "+72, %r9\n	mov " CTX_GPR_IN "+80, %r10\n"
	"	mov " CTX_GPR_IN "+88, %r11\n	mov " CTX_GPR_IN "+96, %r12\n"
	"	mov " CTX_GPR_IN "+104, %r13\n	mov " CTX_GPR_IN "+112, %r14\n"
	"	mov " CTX_GPR_IN "+120, %r15\n"
	"	mov $" CTX_FRAME ", %rsp\n"
	"	iretq\n"
	"diff_native_exit:\n"
	"	mov %rax, " CTX_GPR_OUT "+0\n	mov %rcx, " CTX_GPR_OUT "+8\n"
	"	mov %rdx, " CTX_GPR_OUT "+16\n	mov %rbx, " CTX_GPR_OUT "+24\n"
	"	mov %rsp, " CTX_GPR_OUT "+32\n"
	"	mov %rbp, " CTX_GPR_OUT "+40\n	mov %rsi, " CTX_GPR_OUT "+48\n"
	"	mov %rdi, " CTX_GPR_OUT "+56\n	mov %r8, " CTX_GPR_OUT "+64\n"
	"	mov %r9, " CTX_GPR_OUT "+72\n	mov %r10, " CTX_GPR_OUT "+80\n"
	"	mov %r11, " CTX_GPR_OUT "+88\n	mov %r12, " CTX_GPR_OUT "+96\n"
	"	mov %r13, " CTX_GPR_OUT "+104\n	mov %r14, " CTX_GPR_OUT "+112\n"
	"	mov %r15, " CTX_GPR_OUT "+120\n"
	"	mov $" CTX_TOP ", %rsp\n"
	"	pushfq\n	popq " CTX_FLAGS "\n"
	"	fxsave64 " CTX_FX_OUT "\n"
	"diff_native_recover:\n"
	"	mov " CTX_HOST_RSP ", %rsp\n"
	"	pushq $0x202\n	popfq\n"
	"	fninit\n	ldmxcsr " CTX_MXCSR "\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n"
	"	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n");
/* clang-format on */

static struct context *context(void)
{
	return (struct context *)(uintptr_t)CONTEXT;
}

/* Signals. */

static const int GREG_OF_GPR[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				    REG_RSI, REG_RDI, REG_R8,  REG_R9,	REG_R10, REG_R11,
				    REG_R12, REG_R13, REG_R14, REG_R15};

static bool is_ours(const greg_t *regs)
{
	unsigned cs = GREG_CS((unsigned)regs[REG_CSGSFS]);

	return cs == DIFF_CS32 || (uint64_t)regs[REG_RIP] < DIFF_ARENA_END;
}

/* The kernel leaves RFLAGS.AC as the case had it, and memcpy reads where it likes. */
static void clear_ac(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 :
			 : "cc", "memory");
}

/* A fault of the case becomes its result, and the handler returns to the way out.  A fault of
 * anything else is this program's own: it happens again, without a handler. */
static void take_signal(int number, siginfo_t *info, void *arg)
{
	ucontext_t *uc = arg;
	greg_t *regs = uc->uc_mcontext.gregs;
	struct diff_state *out = &context()->trap;

	(void)info;
	clear_ac();
	if (!is_ours(regs)) {
		signal(number, SIG_DFL);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		out->gpr[i] = (uint64_t)regs[GREG_OF_GPR[i]];
	out->rip = (uint64_t)regs[REG_RIP];
	out->rflags = (uint64_t)regs[REG_EFL];
	out->vector = (int)regs[REG_TRAPNO];
	out->error = (uint32_t)regs[REG_ERR];
	out->cr2 = out->vector == TRAP_PF ? (uint64_t)regs[REG_CR2] : 0;
	memcpy(out->fx, uc->uc_mcontext.fpregs, sizeof(out->fx));
	context()->has_trap = true;
	regs[REG_RIP] = (greg_t)(uintptr_t)diff_native_recover;
	regs[REG_CSGSFS] = (greg_t)((uint64_t)regs[REG_CSGSFS] & ~0xffffull) | DIFF_CS64;
	regs[REG_EFL] = FRAME_RFLAGS;
}

static int take_signals(const struct native *n)
{
	static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	stack_t stack = {.ss_sp = n->alt_stack, .ss_size = ALT_STACK};
	struct sigaction action = {.sa_sigaction = take_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (sigaltstack(&stack, NULL) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(SIGNALS) / sizeof(SIGNALS[0]); i++) {
		if (sigaction(SIGNALS[i], &action, NULL) < 0)
			return -1;
	}
	return 0;
}

/* Memory. */

/* Pages at @at; written to or read once, so that the error code of a fault says "present". */
static uint8_t *map_low(uintptr_t at, size_t len, int prot)
{
	uint8_t *p = mmap((void *)at, len, prot,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED || p != (uint8_t *)at)
		return NULL;
	return p;
}

static int map_arena(void)
{
	uint8_t *arena = map_low(DIFF_ARENA, DIFF_ARENA_END - DIFF_ARENA, PROT_NONE);
	uint8_t *scratch = (uint8_t *)(uintptr_t)DIFF_SCRATCH;
	size_t len = DIFF_SCRATCH_BYTES + DIFF_PAGE;

	if (!arena || mprotect(scratch, len, PROT_READ | PROT_WRITE) < 0)
		return -1;
	memset(scratch, 0, len);
	mlock(scratch, len);
	return mprotect(scratch + DIFF_SCRATCH_BYTES, DIFF_PAGE, PROT_READ);
}

static int map_code(struct native *n)
{
	n->code_fd = memfd_create("diff", MFD_CLOEXEC);
	if (n->code_fd < 0 || ftruncate(n->code_fd, DIFF_CODE_BYTES) < 0)
		return -1;
	n->code = mmap(NULL, DIFF_CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, n->code_fd, 0);
	if (n->code == MAP_FAILED)
		return -1;
	memset(n->code, 0xcc, DIFF_CODE_BYTES);
	if (mmap((void *)(uintptr_t)DIFF_CODE, DIFF_CODE_BYTES, PROT_READ | PROT_EXEC,
		 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, n->code_fd,
		 0) != (void *)(uintptr_t)DIFF_CODE)
		return -1;
	return 0;
}

/* At DIFF_EXIT: jmp *10(%rip) for 64-bit code, and its pointer, aligned because RFLAGS.AC may be
 * set; EXIT_CODE_GAP further a far jump to it for 32-bit code. */
static int map_exit(void)
{
	static const uint8_t JUMP[] = {0xff, 0x25, 0x0a, 0, 0, 0};
	static const uint8_t FAR[] = {0xea, 0, 0, DIFF_EXIT >> 16, 0, DIFF_CS64, 0};
	uint64_t to = (uintptr_t)diff_native_exit;
	uint8_t *p = map_low(DIFF_EXIT, DIFF_PAGE, PROT_READ | PROT_WRITE);

	if (!p)
		return -1;
	memcpy(p, JUMP, sizeof(JUMP));
	memcpy(p + 16, &to, sizeof(to));
	memcpy(p + EXIT_CODE_GAP, FAR, sizeof(FAR));
	return mprotect(p, DIFF_PAGE, PROT_READ | PROT_EXEC);
}

/* A 64-bit process may have null selectors there, which 32-bit code cannot use. */
static void load_data_segments(void)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(DIFF_SS));
}

static int set_up(struct native *n)
{
	load_data_segments();
	if (!map_low(CONTEXT, DIFF_PAGE, PROT_READ | PROT_WRITE))
		return -1;
	context()->host_mxcsr = HOST_MXCSR;
	n->alt_stack = malloc(ALT_STACK);
	if (!n->alt_stack || map_arena() < 0 || map_code(n) < 0 || map_exit() < 0)
		return -1;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)DIFF_GS_BASE) < 0)
		return -1;
	return take_signals(n);
}

struct native *native_create(void)
{
	struct native *n = calloc(1, sizeof(*n));

	if (n && set_up(n) == 0)
		return n;
	perror("diff: the low addresses of layout.h");
	free(n);
	return NULL;
}

void native_destroy(struct native *n)
{
	stack_t off = {.ss_flags = SS_DISABLE};

	sigaltstack(&off, NULL);
	munmap((void *)(uintptr_t)CONTEXT, DIFF_PAGE);
	munmap((void *)(uintptr_t)DIFF_EXIT, DIFF_PAGE);
	munmap((void *)(uintptr_t)DIFF_CODE, DIFF_CODE_BYTES);
	munmap((void *)(uintptr_t)DIFF_ARENA, DIFF_ARENA_END - DIFF_ARENA);
	munmap(n->code, DIFF_CODE_BYTES);
	close(n->code_fd);
	free(n->alt_stack);
	free(n);
}

uint64_t native_fs_base(void)
{
	unsigned long base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	return base;
}

/* Running. */

/* The case and, behind it, a jump to where everything is stored. */
static void write_code(struct native *n, const struct diff_case *dc)
{
	uint64_t at = dc->in.rip - DIFF_CODE;
	uint64_t end = dc->in.rip + dc->len;
	uint32_t to = DIFF_EXIT + (dc->bits == 32 ? EXIT_CODE_GAP : 0);
	int32_t rel = (int32_t)(to - (uint32_t)(end + 5));

	memset(n->code + n->dirty_at, 0xcc, n->dirty_len);
	memcpy(n->code + at, dc->bytes, dc->len);
	n->code[at + dc->len] = 0xe9;
	memcpy(n->code + at + dc->len + 1, &rel, sizeof(rel));
	n->dirty_at = at;
	n->dirty_len = dc->len + 5;
}

static void load(const struct diff_case *dc)
{
	struct context *ctx = context();

	memcpy(ctx->fx_in, dc->in.fx, sizeof(ctx->fx_in));
	memcpy(ctx->gpr_in, dc->in.gpr, sizeof(ctx->gpr_in));
	ctx->frame.rip = dc->in.rip;
	ctx->frame.cs = dc->bits == 32 ? DIFF_CS32 : DIFF_CS64;
	ctx->frame.rflags = dc->in.rflags | FRAME_RFLAGS;
	ctx->frame.rsp = dc->in.gpr[4];
	ctx->frame.ss = DIFF_SS;
	ctx->has_trap = false;
	memcpy((void *)(uintptr_t)DIFF_SCRATCH, dc->memory, DIFF_SCRATCH_BYTES);
}

/* INT3 is where branches land: RIP is behind it. */
static void take_trap(struct diff_state *out)
{
	*out = context()->trap;
	if (out->vector != TRAP_INT3)
		return;
	out->vector = DIFF_NO_VECTOR;
	out->error = 0;
	out->rip--;
}

void native_run(struct native *n, const struct diff_case *dc, struct diff_result *out)
{
	const struct context *ctx = context();

	write_code(n, dc);
	load(dc);
	diff_native_enter();
	out->memory = (const uint8_t *)(uintptr_t)DIFF_SCRATCH;
	if (ctx->has_trap) {
		take_trap(&out->state);
		return;
	}
	memcpy(out->state.fx, ctx->fx_out, sizeof(ctx->fx_out));
	memcpy(out->state.gpr, ctx->gpr_out, sizeof(ctx->gpr_out));
	out->state.rip = dc->in.rip + dc->len;
	out->state.rflags = ctx->flags_out;
	out->state.vector = DIFF_NO_VECTOR;
	out->state.error = 0;
	out->state.cr2 = 0;
}
