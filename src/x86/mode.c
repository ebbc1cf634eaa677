/* Operating modes: what the control bits and CS together mean.
 * Source: SDM 1 3.1; SDM 3A 2.2 (modes), 5.5 (privilege levels). */
#include "umbra/x86.h"

struct mode_row {
	const char *name;
	unsigned bits;
};

static const struct mode_row MODES[X86_MODE_COUNT] = {
	[X86_MODE_REAL] = {"real16", 16},	[X86_MODE_V86] = {"v86", 16},
	[X86_MODE_PROT16] = {"prot16", 16},	[X86_MODE_PROT32] = {"prot32", 32},
	[X86_MODE_COMPAT16] = {"compat16", 16}, [X86_MODE_COMPAT32] = {"compat32", 32},
	[X86_MODE_LONG64] = {"long64", 64},
};

static enum x86_mode long_mode_of(const struct x86_seg *cs)
{
	if (cs->l)
		return X86_MODE_LONG64;
	return cs->db ? X86_MODE_COMPAT32 : X86_MODE_COMPAT16;
}

enum x86_mode x86_mode_of(const struct x86_state *st)
{
	if (!(st->cr0 & X86_CR0_PE))
		return X86_MODE_REAL;
	if (st->efer & X86_EFER_LMA)
		return long_mode_of(&st->seg[X86_CS]);
	if (st->rflags & X86_RFLAGS_VM)
		return X86_MODE_V86;
	return st->seg[X86_CS].db ? X86_MODE_PROT32 : X86_MODE_PROT16;
}

const char *x86_mode_name(enum x86_mode mode)
{
	return MODES[mode].name;
}

unsigned x86_mode_bits(enum x86_mode mode)
{
	return MODES[mode].bits;
}

unsigned x86_cpl_of(const struct x86_state *st)
{
	enum x86_mode mode = x86_mode_of(st);

	if (mode == X86_MODE_REAL)
		return 0;
	return mode == X86_MODE_V86 ? 3 : st->seg[X86_SS].dpl;
}

gva_t x86_linear_pc(const struct x86_state *st)
{
	if (x86_mode_of(st) == X86_MODE_LONG64)
		return st->rip; /* CS.base counts as 0 (SDM 3A 3.4.4) */
	return (uint32_t)(st->seg[X86_CS].base + st->rip);
}
