/* Which of the situations that a back end tells apart a vCPU is in.  Pure. */

#include "umbra/accel.h"

static const char *const accel_mode_names[ACCEL_MODE_COUNT] = {
	[ACCEL_REAL16] = "real16",
	[ACCEL_PROT16] = "prot16",
	[ACCEL_PROT32] = "prot32",
	[ACCEL_PAGED32] = "paged32",
	[ACCEL_PAE] = "pae",
	[ACCEL_COMPAT32] = "compat32",
	[ACCEL_LONG64] = "long64",
	[ACCEL_LONG64_USER] = "long64-user",
	[ACCEL_COMPAT32_USER] = "compat32-user",
};

const char *accel_mode_name(enum accel_mode mode)
{
	return accel_mode_names[mode];
}

static enum accel_mode protected_mode_of(const struct x86_state *st, enum accel_mode unpaged)
{
	if (!(st->cr0 & X86_CR0_PG))
		return unpaged;
	return st->cr4 & X86_CR4_PAE ? ACCEL_PAE : ACCEL_PAGED32;
}

enum accel_mode accel_mode_of(const struct x86_state *st)
{
	bool is_user = x86_cpl_of(st) == 3;

	switch (x86_mode_of(st)) {
	case X86_MODE_REAL:
		return ACCEL_REAL16;
	case X86_MODE_PROT16:
		return protected_mode_of(st, ACCEL_PROT16);
	case X86_MODE_V86:
	case X86_MODE_PROT32:
		return protected_mode_of(st, ACCEL_PROT32);
	case X86_MODE_COMPAT16:
	case X86_MODE_COMPAT32:
		return is_user ? ACCEL_COMPAT32_USER : ACCEL_COMPAT32;
	case X86_MODE_LONG64:
	case X86_MODE_COUNT:
		break;
	}
	return is_user ? ACCEL_LONG64_USER : ACCEL_LONG64;
}
