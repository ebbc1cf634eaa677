/* See fpu.h.  Nothing in this file computes: it moves state, and derives FSW.ES and tags from it.
 * The host's x87 unit may hold a pending exception of the guest; only FXSAVE, FXRSTOR and the FN
 * forms are used here, which do not trap then.
 * Source: SDM 1 8.1 (x87 environment), 10.5 (FXSAVE); SDM 3A 13. */
#include "fpu.h"
#include "irq.h"

#include <string.h>

#define FERR_IRQ 13

enum x87_tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

/* The host's registers. */

static void host_fxsave(uint8_t *image)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

/* FXRSTOR brings MXCSR and the xmm registers along. */
static void host_fxrstor(uint8_t *image)
{
	__asm__ volatile("stmxcsr %c1(%0)\n\tfxrstor64 (%0)"
			 :
			 : "r"(image), "i"(FX_MXCSR)
			 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
			   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void host_fninit(void)
{
	__asm__ volatile("fninit");
}

static uint16_t host_fsw(void)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return fsw;
}

static uint16_t host_fcw(void)
{
	uint16_t fcw;

	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	return fcw;
}

static uint32_t host_mxcsr(void)
{
	uint32_t mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return mxcsr;
}

static void host_set_mxcsr(uint32_t mxcsr)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

/* Fields of the image. */

static uint16_t image_get16(const struct soft_cpu *c, unsigned offset)
{
	uint16_t v;

	memcpy(&v, c->x87 + offset, sizeof(v));
	return v;
}

static void image_set16(struct soft_cpu *c, unsigned offset, uint16_t v)
{
	memcpy(c->x87 + offset, &v, sizeof(v));
}

/* x87: where the state is. */

uint16_t soft_x87_fsw(const struct soft_cpu *c)
{
	return c->x87_is_live ? host_fsw() : image_get16(c, FX_FSW);
}

uint16_t soft_x87_fcw(const struct soft_cpu *c)
{
	return c->x87_is_live ? host_fcw() : image_get16(c, FX_FCW);
}

void soft_x87_refresh(struct soft_cpu *c)
{
	bool is_pending = soft_x87_fsw(c) & X87_FSW_ES;
	bool is_ferr = is_pending && !(c->cr0 & X86_CR0_NE);

	c->x87_is_plain =
		c->x87_is_live && !is_pending && (soft_x87_fcw(c) & X87_FCW_MASKS) == X87_FCW_MASKS;
	if (is_ferr != c->x87_ferr) {
		c->x87_ferr = is_ferr;
		soft_irqchip_set(c->vm, FERR_IRQ, is_ferr);
	}
}

void soft_x87_load(struct soft_cpu *c)
{
	if (c->x87_is_live)
		return;
	host_fxrstor(c->x87);
	c->x87_is_live = true;
	soft_x87_refresh(c);
}

void soft_x87_sync(struct soft_cpu *c)
{
	if (c->x87_is_live)
		host_fxsave(c->x87);
}

/* FNINIT: a pending exception must not meet the MMX instructions that run on the host next. */
void soft_x87_unload(struct soft_cpu *c)
{
	if (!c->x87_is_live)
		return;
	host_fxsave(c->x87);
	host_fninit();
	c->x87_is_live = false;
	c->x87_is_plain = false;
}

bool soft_x87_wait(struct soft_cpu *c)
{
	if (!(soft_x87_fsw(c) & X87_FSW_ES))
		return false;
	if (c->cr0 & X86_CR0_NE)
		soft_raise(c, X86_EXC_MF);
	/* A processor whose FERR# is wired to IRQ 13 waits here for the interrupt.  Going round
	 * the loop lets it in; when it is masked the instruction runs as with IGNNE#. */
	soft_x87_refresh(c);
	if (!(c->mode & SOFT_STEP))
		soft_restart_step(c);
	return true;
}

/* x87: its contents, while they are in the image. */

void soft_x87_derive_es(struct soft_cpu *c)
{
	uint16_t fsw = image_get16(c, FX_FSW);
	uint16_t open = (uint16_t)~image_get16(c, FX_FCW) & X87_FSW_EXCEPTIONS;

	fsw &= (uint16_t) ~(X87_FSW_ES | X87_FSW_BUSY);
	if (fsw & open)
		fsw |= X87_FSW_ES | X87_FSW_BUSY;
	image_set16(c, FX_FSW, fsw);
}

void soft_x87_set_fsw(struct soft_cpu *c, uint16_t fsw)
{
	uint8_t old[8 * 16];
	unsigned turn = ((unsigned)(fsw >> 11) - fx_top(c->x87)) & 7;

	memcpy(old, c->x87 + FX_ST, sizeof(old));
	for (size_t i = 0; i < 8; i++)
		memcpy(c->x87 + FX_ST + 16 * i, old + 16 * ((i + turn) & 7), 16);
	image_set16(c, FX_FSW, fsw);
}

void soft_x87_init(struct soft_cpu *c)
{
	soft_x87_set_fsw(c, 0);
	image_set16(c, FX_FCW, X87_FCW_INIT);
	c->x87[FX_FTW] = 0;
	c->x87_ip = 0;
	c->x87_dp = 0;
	c->x87_op = 0;
	c->x87_cs = 0;
	c->x87_ds = 0;
}

/* The tag of an 80-bit number by its contents. */
static enum x87_tag tag_of(const uint8_t st[10])
{
	uint64_t significand;
	uint16_t exponent;

	memcpy(&significand, st, sizeof(significand));
	memcpy(&exponent, st + 8, sizeof(exponent));
	exponent &= 0x7fff;
	if (exponent == 0 && significand == 0)
		return TAG_ZERO;
	if (exponent == 0 || exponent == 0x7fff || !(significand >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

uint16_t soft_x87_full_tags(const struct soft_cpu *c)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		unsigned tag = TAG_EMPTY;

		if (c->x87[FX_FTW] >> i & 1)
			tag = tag_of(c->x87 + fx_physical(c->x87, i));
		tags |= tag << 2 * i;
	}
	return (uint16_t)tags;
}

/* Whether a register is empty is all that the processor takes from a tag word (SDM 1 8.1.7). */
void soft_x87_set_full_tags(struct soft_cpu *c, uint16_t tags)
{
	uint8_t abridged = 0;

	for (unsigned i = 0; i < 8; i++) {
		if ((tags >> 2 * i & 3) != TAG_EMPTY)
			abridged |= (uint8_t)(1u << i);
	}
	c->x87[FX_FTW] = abridged;
}

/* MXCSR. */

void soft_mxcsr_sync(struct soft_cpu *c)
{
	c->mxcsr |= host_mxcsr() & MXCSR_FLAGS;
}

void soft_mxcsr_load(struct soft_cpu *c, uint32_t mxcsr)
{
	c->mxcsr = mxcsr;
	host_set_mxcsr(mxcsr | MXCSR_MASKS);
	soft_mode_changed(c);
}

/* All of it. */

void soft_fpu_enter(struct soft_cpu *c)
{
	host_set_mxcsr(c->mxcsr | MXCSR_MASKS);
}

/* FNINIT also without live state: MMX instructions leave the host's registers marked as used. */
void soft_fpu_leave(struct soft_cpu *c)
{
	soft_mxcsr_sync(c);
	host_set_mxcsr(MXCSR_INIT);
	soft_x87_unload(c);
	host_fninit();
}

void soft_fpu_reset(struct soft_cpu *c)
{
	struct x86_state st;

	x86_state_reset(&st);
	soft_fpu_set(c, &st.fpu);
}

void soft_fpu_get(struct soft_cpu *c, struct x86_fpu *out_fpu)
{
	soft_x87_sync(c);
	*out_fpu = (struct x86_fpu){
		.fcw = image_get16(c, FX_FCW),
		.fsw = image_get16(c, FX_FSW),
		.ftw = c->x87[FX_FTW],
		.fop = c->x87_op,
		.fip = c->x87_ip,
		.fdp = c->x87_dp,
		.mxcsr = c->mxcsr,
	};
	for (size_t i = 0; i < 8; i++)
		memcpy(out_fpu->st[i], c->x87 + FX_ST + 16 * i, sizeof(out_fpu->st[i]));
	memcpy(out_fpu->xmm, c->xmm, sizeof(out_fpu->xmm));
}

void soft_fpu_set(struct soft_cpu *c, const struct x86_fpu *fpu)
{
	soft_x87_unload(c);
	memset(c->x87, 0, sizeof(c->x87));
	image_set16(c, FX_FCW, fpu->fcw);
	image_set16(c, FX_FSW, fpu->fsw);
	c->x87[FX_FTW] = fpu->ftw;
	for (size_t i = 0; i < 8; i++)
		memcpy(c->x87 + FX_ST + 16 * i, fpu->st[i], sizeof(fpu->st[i]));
	soft_x87_derive_es(c);
	c->x87_op = fpu->fop & 0x7ff;
	c->x87_ip = fpu->fip;
	c->x87_dp = fpu->fdp;
	c->x87_cs = 0;
	c->x87_ds = 0;
	memcpy(c->xmm, fpu->xmm, sizeof(c->xmm));
	c->mxcsr = fpu->mxcsr & MXCSR_VALID;
	soft_mode_changed(c);
}
