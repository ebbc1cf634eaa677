/* SSE instructions that run a thunk on copies of the guest's registers: arithmetic, logic,
 * compares, conversions, shuffles.  One handler for each shape of operands serves all mnemonics.
 * While an exception is unmasked (SOFT_FP_CHECKED) those that may raise one take the checked
 * functions: they look at what was raised before they commit.
 * This file must not use floating point. */
#include "access.h"
#include "fpu.h"
#include "simd.h"

/* Thunks on registers. */

#define LOAD_16 "movups %[src], %%xmm1\n\t"
#define LOAD_8	"movq %[src], %%xmm1\n\t"
#define LOAD_4	"movd %[src], %%xmm1\n\t"

/* An operand in memory.  Those of the host's stack are read before THUNK_ENTER moves it. */
struct vector {
	uint8_t byte[16];
};
#define VECTOR(p)    (*(struct vector *)(p))
#define VECTOR_IN(p) (*(const struct vector *)(p))

#define RUN_XX(load, dst_, src_)                                                                   \
	__asm__ volatile("movups %[dst], %%xmm0\n\t" load THUNK_ENTER THUNK_LEAVE                  \
			 "movups %%xmm0, %[dst]"                                                   \
			 : [dst] "+m"(VECTOR(dst_))                                                \
			 : [code] "r"(i->imm), [src] "m"(VECTOR_IN(src_))                          \
			 : "xmm0", "xmm1", "cc")

/* Leaves the flags in @ax_ as LAHF and SETO give them. */
#define RUN_FX(load, ax_, dst_, src_)                                                              \
	__asm__ volatile(                                                                          \
		"movups %[dst], %%xmm0\n\t" load THUNK_ENTER "lahf\n\t"                            \
		"seto %%al\n\t" THUNK_LEAVE                                                        \
		: "=&a"(ax_)                                                                       \
		: [code] "r"(i->imm), [dst] "m"(VECTOR_IN(dst_)), [src] "m"(VECTOR_IN(src_))       \
		: "xmm0", "xmm1", "cc")

#define RUN_RX(load, rax_, src_)                                                                   \
	__asm__ volatile(load THUNK_ENTER THUNK_LEAVE                                              \
			 : "=&a"(rax_)                                                             \
			 : [code] "r"(i->imm), [src] "m"(VECTOR_IN(src_))                          \
			 : "xmm0", "xmm1", "cc")

#define RUN_XR(dst_, rax_)                                                                         \
	__asm__ volatile("movups %[dst], %%xmm0\n\t" THUNK_ENTER THUNK_LEAVE                       \
			 "movups %%xmm0, %[dst]"                                                   \
			 : [dst] "+m"(VECTOR(dst_))                                                \
			 : [code] "r"(i->imm), "a"(rax_)                                           \
			 : "xmm0", "xmm1", "cc")

/* In a SOFT_MEM_OP: @p becomes a pointer to @n readable bytes at the operand, in place or a copy.
 * 16 bytes have to be aligned.  The copy lives in a block of its own: while a local variable may be
 * in use elsewhere, the next handler would be called and not jumped to. */
#define OPERAND(p, n)                                                                              \
	do {                                                                                       \
		uint64_t la_ = SOFT_EA();                                                          \
		const struct tlb_entry *e_ = soft_tlb_entry(c, la_);                               \
		uint64_t off_ = la_ ^ e_->rtag;                                                    \
		if (SOFT_LIKELY(off_ <= 4096 - (n) && ((n) < 16 || !(off_ & 15)))) {               \
			(p) = e_->host + off_;                                                     \
		} else if (slow) {                                                                 \
			return slow(SOFT_PASS(i));                                                 \
		} else {                                                                           \
			SOFT_SPILL();                                                              \
			if ((n) == 16)                                                             \
				simd_check_aligned(c, la_);                                        \
			simd_load(c, i, copy, (n));                                                \
			(p) = copy;                                                                \
		}                                                                                  \
	} while (0)

/* Vector <- vector, vector or memory. */

SOFT_OP(xx_reg)
{
	RUN_XX(LOAD_16, SIMD_XMM(i->dst), SIMD_XMM(i->src));
	SOFT_NEXT();
}

#define XX_MEM(n)                                                                                  \
	SOFT_MEM_OP(xx_mem_##n)                                                                    \
	{                                                                                          \
		{                                                                                  \
			const uint8_t *p;                                                          \
			uint8_t copy[16];                                                          \
			OPERAND(p, n);                                                             \
			RUN_XX(LOAD_##n, SIMD_XMM(i->dst), p);                                     \
		}                                                                                  \
		SOFT_NEXT();                                                                       \
	}
XX_MEM(4)
XX_MEM(8)
XX_MEM(16)

/* PMOVSXBQ and PMOVZXBQ. */
SOFT_MEM_OP(xx_mem_2)
{
	uint32_t value;

	SOFT_LOAD(16, value, SOFT_EA());
	__asm__ volatile("movups %[dst], %%xmm0\n\t"
			 "movd %[src], %%xmm1\n\t" THUNK_ENTER THUNK_LEAVE "movups %%xmm0, %[dst]"
			 : [dst] "+m"(VECTOR(SIMD_XMM(i->dst)))
			 : [code] "r"(i->imm), [src] "r"(value)
			 : "xmm0", "xmm1", "cc");
	SOFT_NEXT();
}

/* Flags <- vector, vector or memory. */

SOFT_OP(fx_reg)
{
	uint64_t ax;

	RUN_FX(LOAD_16, ax, SIMD_XMM(i->dst), SIMD_XMM(i->src));
	fs = thunk_flags(ax);
	fo = FLAGS_OP(FLAGS_ALL, 64);
	SOFT_NEXT();
}

#define FX_MEM(n)                                                                                  \
	SOFT_MEM_OP(fx_mem_##n)                                                                    \
	{                                                                                          \
		uint64_t ax;                                                                       \
		{                                                                                  \
			const uint8_t *p;                                                          \
			uint8_t copy[16];                                                          \
			OPERAND(p, n);                                                             \
			RUN_FX(LOAD_##n, ax, SIMD_XMM(i->dst), p);                                 \
		}                                                                                  \
		fs = thunk_flags(ax);                                                              \
		fo = FLAGS_OP(FLAGS_ALL, 64);                                                      \
		SOFT_NEXT();                                                                       \
	}
FX_MEM(4)
FX_MEM(8)
FX_MEM(16)

/* General register <- vector or memory.  Results of 32 bits leave zeros above. */

SOFT_OP(rx_reg)
{
	uint64_t rax;

	RUN_RX(LOAD_16, rax, SIMD_XMM(i->src));
	SOFT_PUT(64, i->dst, rax);
	SOFT_NEXT();
}

#define RX_MEM(n)                                                                                  \
	SOFT_MEM_OP(rx_mem_##n)                                                                    \
	{                                                                                          \
		uint64_t rax;                                                                      \
		{                                                                                  \
			const uint8_t *p;                                                          \
			uint8_t copy[16];                                                          \
			OPERAND(p, n);                                                             \
			RUN_RX(LOAD_##n, rax, p);                                                  \
		}                                                                                  \
		SOFT_PUT(64, i->dst, rax);                                                         \
		SOFT_NEXT();                                                                       \
	}
RX_MEM(4)
RX_MEM(8)

/* PEXTRx and EXTRACTPS to memory. */
#define RX_STORE(bits)                                                                             \
	SOFT_MEM_OP(rx_store_##bits)                                                               \
	{                                                                                          \
		uint64_t rax;                                                                      \
		RUN_RX(LOAD_16, rax, SIMD_XMM(i->src));                                            \
		SOFT_STORE(bits, SOFT_EA(), rax);                                                  \
		SOFT_NEXT();                                                                       \
	}
RX_STORE(8)
RX_STORE(16)
RX_STORE(32)
RX_STORE(64)

/* Vector <- vector, general register or memory. */

SOFT_OP(xr_reg)
{
	RUN_XR(SIMD_XMM(i->dst), SOFT_GET(64, i->src));
	SOFT_NEXT();
}

#define XR_MEM(bits)                                                                               \
	SOFT_MEM_OP(xr_mem_##bits)                                                                 \
	{                                                                                          \
		uint64_t value;                                                                    \
		SOFT_LOAD(bits, value, SOFT_EA());                                                 \
		RUN_XR(SIMD_XMM(i->dst), value);                                                   \
		SOFT_NEXT();                                                                       \
	}
XR_MEM(8)
XR_MEM(16)
XR_MEM(32)
XR_MEM(64)

/* Checked forms.  The memory operand's size is in the field of the register it replaces. */

static void checked_load(struct soft_cpu *c, const struct insn *i, uint8_t buf[16], unsigned bytes)
{
	if (bytes == 16)
		simd_check_aligned(c, soft_insn_address(c, i));
	simd_load(c, i, buf, bytes);
}

static void checked_xx(struct soft_cpu *c, const struct insn *i, struct thunk_call *call)
{
	memcpy(call->x0, SIMD_XMM(i->dst), 16);
	thunk_run_fp(c, i->imm, call, false);
	memcpy(SIMD_XMM(i->dst), call->x0, 16);
}

static void checked_xx_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	checked_xx(c, i, &call);
}
SOFT_PLAIN(checked_xx_reg)

static void checked_xx_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	checked_load(c, i, call.x1, i->src);
	checked_xx(c, i, &call);
}
SOFT_PLAIN(checked_xx_mem)

static void checked_fx(struct soft_cpu *c, const struct insn *i, struct thunk_call *call)
{
	memcpy(call->x0, SIMD_XMM(i->dst), 16);
	thunk_run_fp(c, i->imm, call, false);
	c->fs = call->flags;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
}

static void checked_fx_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	checked_fx(c, i, &call);
}
SOFT_PLAIN(checked_fx_reg)

static void checked_fx_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	checked_load(c, i, call.x1, i->src);
	checked_fx(c, i, &call);
}
SOFT_PLAIN(checked_fx_mem)

static void checked_rx_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	memcpy(call.x1, SIMD_XMM(i->src), 16);
	thunk_run_fp(c, i->imm, &call, false);
	c->r[i->dst / 8] = call.rax;
}
SOFT_PLAIN(checked_rx_reg)

static void checked_rx_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {0};

	checked_load(c, i, call.x1, i->src);
	thunk_run_fp(c, i->imm, &call, false);
	c->r[i->dst / 8] = call.rax;
}
SOFT_PLAIN(checked_rx_mem)

static void checked_xr_reg(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {.rax = c->r[i->src / 8]};

	checked_xx(c, i, &call);
}
SOFT_PLAIN(checked_xr_reg)

static void checked_xr_mem(struct soft_cpu *c, const struct insn *i)
{
	struct thunk_call call = {.rax = soft_load(c, soft_insn_address(c, i), i->src)};

	checked_xx(c, i, &call);
}
SOFT_PLAIN(checked_xr_mem)

/* Translation. */

bool simd_is_off(struct tr *t)
{
	if (t->mode & SOFT_SSE_UD)
		return tr_raise(t, X86_EXC_UD);
	if (t->mode & SOFT_SSE_NM)
		return tr_raise(t, X86_EXC_NM);
	return false;
}

/* Handlers of one shape: [0] for 1 or 2 bytes and so on to 16. */
enum { SIZE_1, SIZE_2, SIZE_4, SIZE_8, SIZE_16, SIZE_COUNT };

struct shape {
	soft_op_fn *reg, *checked_reg, *checked_mem;
	soft_op_fn *mem[SIZE_COUNT];
};

static const struct shape SHAPES[] = {
	[SIMD_XX] = {xx_reg,
		     op_checked_xx_reg,
		     op_checked_xx_mem,
		     {NULL, xx_mem_2, xx_mem_4, xx_mem_8, xx_mem_16}},
	[SIMD_FX] = {fx_reg,
		     op_checked_fx_reg,
		     op_checked_fx_mem,
		     {NULL, NULL, fx_mem_4, fx_mem_8, fx_mem_16}},
	[SIMD_RX] = {rx_reg,
		     op_checked_rx_reg,
		     op_checked_rx_mem,
		     {NULL, NULL, rx_mem_4, rx_mem_8, NULL}},
	[SIMD_XR] = {xr_reg,
		     op_checked_xr_reg,
		     op_checked_xr_mem,
		     {xr_mem_8, xr_mem_16, xr_mem_32, xr_mem_64, NULL}},
};

static soft_op_fn *const STORES[] = {rx_store_8, rx_store_16, rx_store_32, rx_store_64};

static unsigned size_of(unsigned bytes)
{
	return (unsigned)__builtin_ctz(bytes);
}

/* The immediate is the last visible operand. */
static const ZydisDecodedOperand *immediate(const struct tr *t)
{
	return &t->op[t->z->operand_count_visible - 1];
}

/* A 64-bit general register, or 64 bits of memory in its place. */
static bool is_wide(const struct tr *t, const struct simd_op *op)
{
	const ZydisDecodedOperand *general = &t->op[op->kind == SIMD_RX ? 0 : 1];

	return (op->flags & SIMD_SCALE) && general->size == 64;
}

static uint64_t thunk_of(const struct tr *t, const struct simd_op *op)
{
	uint64_t imm;

	if (is_wide(t, op))
		return (uintptr_t)op->wide;
	if (!(op->flags & SIMD_IMM))
		return (uintptr_t)op->xmm;
	imm = immediate(t)->imm.value.u;
	if ((op->flags & SIMD_LOW_IMM) && tr_is_mem(&t->op[1]))
		imm &= 0x3f;
	return simd_thunk(op->xmm, imm);
}

static uint8_t slot_of(const ZydisDecodedOperand *op)
{
	if (ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_XMM)
		return simd_reg(op);
	return tr_reg(op->reg.value);
}

static bool emit_register(struct tr *t, const struct simd_op *op, const struct shape *shape,
			  bool is_checked)
{
	struct insn *i = tr_slot(t, is_checked ? shape->checked_reg : shape->reg);

	i->imm = thunk_of(t, op);
	i->dst = slot_of(&t->op[0]);
	i->src = slot_of(&t->op[1]);
	return true;
}

static bool emit_memory(struct tr *t, const struct simd_op *op, const struct shape *shape,
			bool is_checked)
{
	unsigned bytes = op->bytes;
	struct insn *i;

	if (op->kind == SIMD_XR && (op->flags & SIMD_SCALE))
		bytes = is_wide(t, op) ? 8 : 4;
	i = tr_slot_mem(t, is_checked ? shape->checked_mem : shape->mem[size_of(bytes)], &t->op[1],
			bytes, false);
	i->imm = thunk_of(t, op);
	i->dst = slot_of(&t->op[0]);
	i->src = (uint8_t)bytes;
	return true;
}

static bool emit_store(struct tr *t, const struct simd_op *op)
{
	struct insn *i = tr_slot_mem(t, STORES[size_of(op->bytes)], &t->op[0], op->bytes, true);

	i->imm = thunk_of(t, op);
	i->src = slot_of(&t->op[1]);
	return true;
}

/* Shifts by an immediate: the thunk has no second register. */
static bool emit_shift(struct tr *t, const struct simd_op *op)
{
	struct insn *i = tr_slot(t, xx_reg);

	i->imm = simd_thunk(op->shift, t->op[1].imm.value.u);
	i->dst = slot_of(&t->op[0]);
	i->src = i->dst;
	return true;
}

bool simd_emit(struct tr *t, const struct simd_op *op)
{
	bool is_checked = (op->flags & SIMD_FP) && (t->mode & SOFT_FP_CHECKED);
	const struct shape *shape = &SHAPES[op->kind];

	if (simd_is_mm(&t->op[0]) || simd_is_mm(&t->op[1]))
		return simd_emit_mmx(t, op);
	if (simd_is_off(t))
		return true;
	if (tr_is_imm(&t->op[1]))
		return emit_shift(t, op);
	if (tr_is_mem(&t->op[0]))
		return emit_store(t, op);
	if (tr_is_mem(&t->op[1]))
		return emit_memory(t, op, shape, is_checked);
	return emit_register(t, op, shape, is_checked);
}
