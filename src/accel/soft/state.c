/* Register state in and out: struct x86_state against struct soft_cpu. */
#include "access.h"
#include "fpu.h"
#include "irq.h"
#include "msr.h"
#include "points.h"
#include "vm.h"

#include <errno.h>

/* Reading. */

static void get_gpr(const struct soft_cpu *c, struct x86_state *st)
{
	memcpy(st->gpr, c->r, sizeof(st->gpr));
	st->rip = c->rip;
	st->rflags = soft_rflags(c);
}

static void get_sreg(struct soft_cpu *c, struct x86_state *st)
{
	memcpy(st->seg, c->seg, sizeof(st->seg));
	st->ldtr = c->ldtr;
	st->tr = c->tr;
	st->gdtr = c->gdtr;
	st->idtr = c->idtr;
	st->cr0 = c->cr0;
	st->cr2 = c->cr2;
	st->cr3 = c->cr3;
	st->cr4 = c->cr4;
	st->cr8 = soft_lapic_cr8(c);
	st->efer = c->efer;
	st->apic_base = c->apic_base;
	st->has_pdpte = x86_paging_mode_of(st) == X86_PAGING_PAE;
	memcpy(st->pdpte, c->pdpte, sizeof(st->pdpte));
	st->pdpte_cr3 = c->cr3;
}

int soft_state_get(struct accel_vcpu *vcpu, struct x86_state *st, unsigned parts)
{
	struct soft_cpu *c = &vcpu->soft;

	if (parts & X86_STATE_GPR)
		get_gpr(c, st);
	if (parts & X86_STATE_SREG)
		get_sreg(c, st);
	if (parts & X86_STATE_FPU)
		soft_fpu_get(c, &st->fpu);
	if (parts & X86_STATE_MSR) {
		st->msr = c->msr;
		st->msr.tsc = soft_tsc(c);
	}
	if (parts & X86_STATE_DR)
		memcpy(st->dr, c->dr, sizeof(st->dr));
	if (parts & X86_STATE_XCR)
		st->xcr0 = c->xcr0;
	if (parts & X86_STATE_RUN) {
		st->activity = c->activity;
		st->is_in_int_shadow = c->in_int_shadow;
	}
	return 0;
}

/* Writing: what a processor could not be in is refused before anything changes. */

static bool is_canonical(const struct soft_cpu *c, uint64_t address, uint64_t cr4)
{
	unsigned bits = c->vm->has_la57 && (cr4 & X86_CR4_LA57) ? 57 : 48;
	int64_t extended = (int64_t)(address << (64 - bits)) >> (64 - bits);

	return (uint64_t)extended == address;
}

static const char *refuse_control(const struct soft_cpu *c, const struct x86_state *st)
{
	bool is_paged = st->cr0 & X86_CR0_PG;
	bool is_long = (st->efer & X86_EFER_LME) && is_paged;

	if (st->cr0 >> 32)
		return "cr0 has bits above 31";
	if (is_paged && !(st->cr0 & X86_CR0_PE))
		return "cr0.PG is set without PE";
	if ((st->cr0 & X86_CR0_NW) && !(st->cr0 & X86_CR0_CD))
		return "cr0.NW is set without CD";
	if (st->cr4 & soft_cr4_reserved(c->vm))
		return "cr4 has bits that this CPU lacks";
	if (is_long != !!(st->efer & X86_EFER_LMA))
		return "efer.LMA is not LME and cr0.PG together";
	if (is_long && !(st->cr4 & X86_CR4_PAE))
		return "long mode needs cr4.PAE";
	if (is_long && st->seg[X86_CS].l && st->seg[X86_CS].db)
		return "cs.L and cs.D are both set";
	return NULL;
}

static const char *refuse_sreg(const struct soft_cpu *c, const struct x86_state *st)
{
	const char *why = refuse_control(c, st);

	if (why)
		return why;
	if (!is_canonical(c, st->seg[X86_FS].base, st->cr4) ||
	    !is_canonical(c, st->seg[X86_GS].base, st->cr4))
		return "an fs or gs base is not canonical";
	if (!is_canonical(c, st->gdtr.base, st->cr4) || !is_canonical(c, st->idtr.base, st->cr4))
		return "a table's base is not canonical";
	if (st->cr8 > 15)
		return "cr8 is above 15";
	return NULL;
}

/* What XSETBV would refuse (SDM 3A 2.6). */
static const char *refuse_xcr(const struct x86_state *st)
{
	if (!(st->xcr0 & X86_XCR0_X87))
		return "xcr0.X87 cannot be 0";
	if (st->xcr0 & ~SOFT_XCR0_VALID)
		return "xcr0 has bits that this CPU lacks";
	return NULL;
}

static void set_sreg(struct soft_cpu *c, const struct x86_state *st)
{
	memcpy(c->seg, st->seg, sizeof(c->seg));
	c->ldtr = st->ldtr;
	c->tr = st->tr;
	c->gdtr = st->gdtr;
	c->idtr = st->idtr;
	c->cr0 = st->cr0 | X86_CR0_ET;
	c->cr2 = st->cr2;
	c->cr3 = st->cr3;
	c->cr4 = st->cr4;
	c->efer = st->efer;
	if (st->apic_base != c->apic_base)
		soft_lapic_set_base(c, st->apic_base);
	soft_lapic_set_cr8(c, st->cr8);
	if (x86_has_pdptes(st))
		memcpy(c->pdpte, st->pdpte, sizeof(c->pdpte));
	else if (x86_paging_mode_of(st) == X86_PAGING_PAE)
		mmu_load_pdptes(c->vm->mmu, c->cr3, c->pdpte);
}

static void set_dr(struct soft_cpu *c, const struct x86_state *st)
{
	memcpy(c->dr, st->dr, sizeof(c->dr));
	soft_points_guest_changed(c);
}

static void set_parts(struct soft_cpu *c, const struct x86_state *st, unsigned parts)
{
	if (parts & X86_STATE_GPR) {
		memcpy(c->r, st->gpr, sizeof(st->gpr));
		c->rip = st->rip;
		soft_set_rflags(c, st->rflags | X86_RFLAGS_FIXED);
	}
	if (parts & X86_STATE_SREG) {
		set_sreg(c, st);
		mmu_flush(c->vm->mmu, c->index); /* other registers, another processor */
	}
	if (parts & X86_STATE_FPU)
		soft_fpu_set(c, &st->fpu);
	if (parts & X86_STATE_MSR) {
		c->msr = st->msr;
		soft_set_tsc(c, st->msr.tsc);
	}
	if (parts & X86_STATE_DR)
		set_dr(c, st);
	if (parts & X86_STATE_XCR)
		c->xcr0 = st->xcr0;
	if (parts & X86_STATE_RUN) {
		c->activity = st->activity;
		c->in_int_shadow = st->is_in_int_shadow;
	}
}

/* The privilege level follows from SS, as KVM takes it (SDM 3A 5.5; real mode 0, virtual-8086 3).
 */
static void derive(struct soft_cpu *c)
{
	struct x86_state st;

	get_gpr(c, &st);
	get_sreg(c, &st);
	c->cpl = (uint8_t)x86_cpl_of(&st);
	soft_paging_changed(c, MMU_LOAD_OTHER);
	soft_mode_changed(c);
	soft_points_guest_changed(c);
	soft_safe(c); /* it does not run: nobody waits for it */
}

int soft_state_set(struct accel_vcpu *vcpu, const struct x86_state *st, unsigned parts,
		   struct umbra_err *err)
{
	struct soft_cpu *c = &vcpu->soft;
	const char *why = parts & X86_STATE_SREG ? refuse_sreg(c, st) : NULL;

	if (!why && (parts & X86_STATE_XCR))
		why = refuse_xcr(st);
	if (why)
		return umbra_err_set(err, EINVAL, "%s", why);
	if ((parts & X86_STATE_GPR) && st->rip != c->rip) {
		c->skip_exec_point = false;
		c->pass_catch = false;
	}
	set_parts(c, st, parts);
	if (parts & (X86_STATE_GPR | X86_STATE_SREG | X86_STATE_FPU))
		derive(c);
	return 0;
}
