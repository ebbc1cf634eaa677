/* Random registers and memory: see gen.h. */
#include "gen.h"

#include "known.h"
#include "values.h"

#include <string.h>

#define STATUS_FLAGS  0x8d5u
#define FLAG_DF	      0x400u
#define FLAG_AC	      0x40000u
#define FLAG_ID	      0x200000u
#define FCW_INIT      0x37fu
#define FCW_BITS      0xf3fu
#define FCW_ONE	      0x40u
#define FSW_ES_BUSY   0x8080u
#define FPU_EXCEPTION 0x3fu
#define MXCSR_INIT    0x1f80u

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

/* What the vector or memory operands hold, as the first that says so. */
static enum value_kind kind_of(const struct draft *d)
{
	for (unsigned i = 0; i < d->z.operand_count_visible; i++) {
		enum value_kind kind = value_kind_of(&d->op[i]);

		if (kind != VALUE_INT)
			return kind;
	}
	return VALUE_INT;
}

static enum value_kind choose_kind(struct draft *d)
{
	return rng_one_in(&d->rng, 4) ? (enum value_kind)rng_below(&d->rng, VALUE_KIND_COUNT)
				      : kind_of(d);
}

/* Exceptions are masked in most cases, so that most have a result. */
static void make_x87_control(struct draft *d, uint8_t *fx)
{
	struct rng *r = &d->rng;
	unsigned fcw = FCW_INIT, fsw = (unsigned)rng_next(r) & 0x7f7f;

	if (rng_one_in(r, 2))
		fcw = ((unsigned)rng_next(r) & FCW_BITS) | FCW_ONE | FPU_EXCEPTION;
	if (rng_one_in(r, 4))
		fcw &= ~((unsigned)rng_next(r) & FPU_EXCEPTION);
	if (!rng_one_in(r, 4))
		fsw &= ~FPU_EXCEPTION;
	/* Seldom one that is pending already. */
	if (!rng_one_in(r, 8))
		fsw &= ~(~fcw & FPU_EXCEPTION);
	if (fsw & ~fcw & FPU_EXCEPTION)
		fsw |= FSW_ES_BUSY;
	put16(fx + DIFF_FX_FCW, fcw);
	put16(fx + DIFF_FX_FSW, fsw);
	fx[DIFF_FX_FTW] = rng_one_in(r, 4) ? (uint8_t)rng_next(r) : 0xff;
	if (rng_one_in(r, 8))
		fx[DIFF_FX_FTW] = 0;
}

static void make_mxcsr(struct draft *d, uint8_t *fx)
{
	struct rng *r = &d->rng;
	unsigned mxcsr = MXCSR_INIT;

	if (rng_one_in(r, 2))
		mxcsr |= (unsigned)rng_next(r) & 0xffff;
	if (rng_one_in(r, 4))
		mxcsr &= ~((unsigned)rng_next(r) & MXCSR_INIT);
	put16(fx + DIFF_FX_MXCSR, mxcsr);
}

static void make_fpu(struct draft *d)
{
	uint8_t *fx = d->dc->in.fx;
	enum value_kind kind = choose_kind(d);

	memset(fx, 0, DIFF_FX_BYTES);
	make_x87_control(d, fx);
	make_mxcsr(d, fx);
	for (unsigned i = 0; i < 8; i++)
		value_fill(&d->rng, rng_one_in(&d->rng, 4) ? kind : VALUE_F80,
			   fx + DIFF_FX_ST + 16 * i, 10);
	value_fill(&d->rng, kind, fx + DIFF_FX_XMM, 256);
	/* Equal operands are rare otherwise. */
	if (rng_one_in(&d->rng, 8))
		memcpy(fx + DIFF_FX_XMM + 16 * rng_below(&d->rng, 16),
		       fx + DIFF_FX_XMM + 16 * rng_below(&d->rng, 16), 16);
}

void gen_state(struct draft *d)
{
	struct diff_state *in = &d->dc->in;
	struct rng *r = &d->rng;

	for (unsigned i = 0; i < 16; i++)
		in->gpr[i] = value_int(r);
	if (d->dc->bits == 32) {
		for (unsigned i = 0; i < 16; i++)
			in->gpr[i] = i < 8 ? (uint32_t)in->gpr[i] : 0;
	}
	in->rflags = rng_next(r) & (STATUS_FLAGS | FLAG_DF | FLAG_ID);
	/* CR0.AM is set on both sides. */
	if (rng_one_in(r, 16) && known_has_alignment_check(&d->z))
		in->rflags |= FLAG_AC;
	make_fpu(d);
	value_noise(r, d->dc->memory, sizeof(d->dc->memory));
}
