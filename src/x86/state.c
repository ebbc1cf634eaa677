/* Register state after power-up or RESET.
 * Source: SDM 3A 9.1.1, table 9-1 (column "power up"). */
#include "umbra/x86.h"

/* DX identifies the processor after RESET (SDM 3A 9.1.2); family 6 is what every 64-bit Intel
 * processor shows.  A guest that wants more asks CPUID. */
#define RESET_SIGNATURE 0x600u

#define RESET_APIC_BASE	 0xfee00000ull
#define APIC_BASE_BSP	 (1ull << 8)
#define APIC_BASE_ENABLE (1ull << 11)
#define RESET_PAT	 0x0007040600070406ull
#define RESET_MXCSR	 0x1f80u
#define RESET_FCW	 0x40u
#define RESET_FTW_ABRIDGED                                                                         \
	0xffu /* table 9-1 has tag word 5555H: eight registers that hold +0.0                      \
	       */
#define RESET_DR6 0xffff0ff0ull
#define RESET_DR7 0x400ull

#define SEG_TYPE_DATA_RW_ACCESSED 0x3
#define SEG_TYPE_CODE_RX_ACCESSED 0xb
#define SEG_TYPE_LDT		  0x2
#define SEG_TYPE_TSS32_BUSY	  0xb

static struct x86_seg reset_segment(uint8_t type)
{
	struct x86_seg seg = {.limit = 0xffff, .type = type, .s = true, .present = true};

	return seg;
}

static struct x86_seg reset_system_segment(uint8_t type)
{
	struct x86_seg seg = reset_segment(type);

	seg.s = false;
	return seg;
}

/* The first instruction is fetched from FFFFFFF0H: a base that no real-mode load of CS gives. */
static struct x86_seg reset_code_segment(void)
{
	struct x86_seg seg = reset_segment(SEG_TYPE_CODE_RX_ACCESSED);

	seg.selector = 0xf000;
	seg.base = 0xffff0000;
	return seg;
}

static void reset_segments(struct x86_state *st)
{
	unsigned i;

	for (i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = reset_segment(SEG_TYPE_DATA_RW_ACCESSED);
	st->seg[X86_CS] = reset_code_segment();
	st->ldtr = reset_system_segment(SEG_TYPE_LDT);
	st->tr = reset_system_segment(SEG_TYPE_TSS32_BUSY);
	st->gdtr.limit = 0xffff;
	st->idtr.limit = 0xffff;
}

void x86_state_reset(struct x86_state *st)
{
	memset(st, 0, sizeof(*st));
	st->gpr[X86_RDX] = RESET_SIGNATURE;
	st->rip = 0xfff0;
	st->rflags = X86_RFLAGS_FIXED;
	reset_segments(st);
	st->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	st->apic_base = RESET_APIC_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP;
	st->fpu.fcw = RESET_FCW;
	st->fpu.ftw = RESET_FTW_ABRIDGED;
	st->fpu.mxcsr = RESET_MXCSR;
	st->msr.pat = RESET_PAT;
	st->dr[6] = RESET_DR6;
	st->dr[7] = RESET_DR7;
	st->xcr0 = X86_XCR0_X87;
	st->activity = X86_ACTIVE;
}
