/* x87 and MXCSR state between the guest, struct soft_cpu and the host's registers.
 *
 * x87: while guest code runs its state is either live in the host's x87 unit or in c->x87, an
 * FXSAVE image.  It becomes live with the first x87 instruction and goes back when MMX
 * instructions, C code or the end of the run want it.  Live state has the guest's own control word,
 * so an unmasked exception is pending in the host's unit too: nothing but non-waiting instructions
 * may touch it then.  MMX instructions work on the image.
 *
 * MXCSR: the host's has the guest's rounding and denormal controls and all masks set; its sticky
 * flags are the guest's.  c->mxcsr is true but for flags that were raised since the last
 * soft_mxcsr_sync.
 *
 * The instruction pointer is kept for every x87 instruction that is not a control one; opcode and
 * data pointer for those that raise an unmasked exception only; selectors are kept for the formats
 * of real mode and read as 0 elsewhere.  Processors that do so say it in CPUID.(7,0):EBX bits 6
 * (FDP_EXCPTN_ONLY) and 13 (FCS and FDS deprecated). */
#ifndef SOFT_FPU_H
#define SOFT_FPU_H

#include "cpu.h"

/* FXSAVE image (SDM 1 table 10-2). */
#define FX_FCW	      0
#define FX_FSW	      2
#define FX_FTW	      4
#define FX_FOP	      6
#define FX_FIP	      8
#define FX_FDP	      16
#define FX_MXCSR      24
#define FX_MXCSR_MASK 28
#define FX_ST	      32
#define FX_XMM	      160

#define X87_FSW_EXCEPTIONS 0x003fu
#define X87_FSW_ES	   0x0080u
#define X87_FSW_BUSY	   0x8000u
#define X87_FCW_MASKS	   0x003fu
#define X87_FCW_INIT	   0x037fu
#define MXCSR_FLAGS	   0x003fu
#define MXCSR_MASKS	   0x1f80u
#define MXCSR_FTZ	   0x8000u
#define MXCSR_INIT	   0x1f80u
#define MXCSR_VALID	   0xffffu /* MXCSR_MASK of the model */

/* Where XSAVE keeps PKRU: CPUID.(0DH,9):EBX must say the same. */
#define SOFT_XSAVE_PKRU_OFFSET 2688u

static inline unsigned fx_top(const uint8_t *image)
{
	return image[FX_FSW + 1] >> 3 & 7;
}

/* Offset in the image of physical register @reg: MMX register of that number. */
static inline unsigned fx_physical(const uint8_t *image, unsigned reg)
{
	return FX_ST + 16 * ((reg - fx_top(image)) & 7);
}

/* Make the state live. */
void soft_x87_load(struct soft_cpu *c);
/* Make c->x87 true; the state stays where it is. */
void soft_x87_sync(struct soft_cpu *c);
/* Make c->x87 the only place that holds it, ready to be changed. */
void soft_x87_unload(struct soft_cpu *c);
/* Derive ES and B of the image from its flags and masks, after either was changed. */
void soft_x87_derive_es(struct soft_cpu *c);
/* Replace FSW of the image, keeping registers at their physical places. */
void soft_x87_set_fsw(struct soft_cpu *c, uint16_t fsw);
/* The state that FNINIT makes, in the image. */
void soft_x87_init(struct soft_cpu *c);
/* FSW and FCW, wherever they are. */
uint16_t soft_x87_fsw(const struct soft_cpu *c);
uint16_t soft_x87_fcw(const struct soft_cpu *c);
/* x87_is_plain, and IRQ 13, after anything that may have changed them. */
void soft_x87_refresh(struct soft_cpu *c);
/* A waiting instruction begins: raises #MF when an exception is pending (SDM 1 8.7).  Returns true
 * when one is pending that CR0.NE=0 sends to IRQ 13: the instruction runs as with IGNNE#. */
bool soft_x87_wait(struct soft_cpu *c);
/* The tag word with two bits a register, from the image (SDM 1 8.1.7). */
uint16_t soft_x87_full_tags(const struct soft_cpu *c);
void soft_x87_set_full_tags(struct soft_cpu *c, uint16_t tags);

/* Take the flags that the host's MXCSR collected into c->mxcsr.  While guest code runs only. */
void soft_mxcsr_sync(struct soft_cpu *c);
/* A new value, without reserved bits; the instruction ends its block. */
void soft_mxcsr_load(struct soft_cpu *c, uint32_t mxcsr);

/* FPU (fpu.c). */
void soft_fpu_reset(struct soft_cpu *c);
/* Move the x87 state out of the host's unit, and give the host its own MXCSR and x87 back: before
 * anything but guest instructions may use them, and at the end of each run.  soft_fpu_enter makes
 * the guest's MXCSR current: at the start of each run. */
void soft_fpu_enter(struct soft_cpu *c);
void soft_fpu_leave(struct soft_cpu *c);
void soft_fpu_get(struct soft_cpu *c, struct x86_fpu *out_fpu);
void soft_fpu_set(struct soft_cpu *c, const struct x86_fpu *fpu);

#endif
