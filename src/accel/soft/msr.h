/* Facts of the CPU model that more than one of cpuid.c, msr.c and exec_*.c need. */
#ifndef SOFT_MSR_H
#define SOFT_MSR_H

#include "cpu.h"

#define MSR_TSC_DEADLINE 0x6e0u

/* IA32_MISC_ENABLE (SDM 4, table 2-2). */
#define MISC_ENABLE_LIMIT_CPUID (1ull << 22)
#define MISC_ENABLE_XD_DISABLE	(1ull << 34)

#define APIC_BASE_ENABLE (1ull << 11)

/* State components of XSAVE that the model has. */
#define SOFT_XCR0_VALID (X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_PKRU)

/* Canonical for what this CPU could ever translate, whatever CR4.LA57 says: bases of segments and
 * tables, and addresses in MSRs, are checked like that (SDM 3A 4.5.3 of 5-level paging). */
static inline bool soft_is_canonical(const struct soft_cpu *c, uint64_t address)
{
	unsigned shift = c->vm->has_la57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* The CPU model (cpuid.c, msr.c). */
void soft_cpuid(const struct soft_cpu *c, uint32_t leaf, uint32_t subleaf, uint32_t out_regs[4]);
bool soft_rdmsr(struct soft_cpu *c, uint32_t index, uint64_t *out_value); /* false = #GP */
bool soft_wrmsr(struct soft_cpu *c, uint32_t index, uint64_t value);
/* Power-up values of the registers that struct x86_state does not hold: xcr0, pkru, tsc_aux, MTRRs,
 * misc_enable. */
void soft_msr_reset(struct soft_cpu *c);
/* Bits of CR4 that this CPU lacks. */
uint64_t soft_cr4_reserved(const struct soft_vm *vm);

#endif
