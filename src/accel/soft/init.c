/* INIT and SIPI: how a processor starts over, and how another one starts it.
 * Source: SDM 3A 8.4.3 (MP initialization), 9.1.1 table 9-1 (column INIT), 10.6.1 (SIPI vector). */
#include "access.h"
#include "exc.h"
#include "points.h"
#include "seg.h"

#define APIC_BASE_BSP (1ull << 8)
#define CR0_KEPT      (X86_CR0_CD | X86_CR0_NW)

static void init_segments(struct soft_cpu *c, const struct x86_state *st)
{
	memcpy(c->seg, st->seg, sizeof(c->seg));
	c->ldtr = st->ldtr;
	c->tr = st->tr;
	c->gdtr = st->gdtr;
	c->idtr = st->idtr;
}

static void init_control(struct soft_cpu *c)
{
	c->cr0 = (c->cr0 & CR0_KEPT) | X86_CR0_ET;
	c->cr2 = 0;
	c->cr3 = 0;
	c->cr4 = 0;
	c->cr8 = 0;
	c->efer = 0;
	c->cpl = 0;
}

static void init_events(struct soft_cpu *c)
{
	c->has_event = false;
	c->is_delivering = false;
	c->chain_count = 0;
	c->trap_tf = false;
	c->in_int_shadow = false;
	c->in_debug_shadow = false;
	c->nmi_blocked = false;
}

/* Everything else stays: FPU and SSE state, MSRs, the time stamp counter, caches. */
void soft_init(struct soft_cpu *c)
{
	struct x86_state st;

	x86_state_reset(&st);
	memcpy(c->r, st.gpr, sizeof(st.gpr));
	c->rip = st.rip;
	soft_set_rflags(c, st.rflags);
	init_segments(c, &st);
	init_control(c);
	init_events(c);
	memcpy(c->dr, st.dr, sizeof(c->dr));
	soft_points_guest_changed(c);
	/* The bootstrap processor goes on at the reset vector, all others wait to be started. */
	c->activity = c->apic_base & APIC_BASE_BSP ? X86_ACTIVE : X86_WAIT_FOR_SIPI;
	soft_paging_changed(c, MMU_LOAD_OTHER);
	SOFT_MMU_CALL(c, mmu_flush(c->vm->mmu, c->index));
}

void soft_sipi(struct soft_cpu *c, uint8_t vector)
{
	seg_load_real(c, X86_CS, (uint16_t)(vector << 8));
	c->rip = 0;
	c->activity = X86_ACTIVE;
	soft_mode_changed(c);
}
