/* Operating mode, privilege level and linear pc from control bits and segments. */
#include "umbra/x86.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct {
	const char *name;
	uint64_t cr0, efer, rflags;
	bool l, db;
	enum x86_mode mode;
	unsigned bits;
	unsigned cpl; /* with SS.DPL = 2 */
	gva_t pc;     /* with CS.base = 0x10000, RIP = 0xffffffff00000100 */
} MODE_TABLE[] = {
	{"real16", 0, 0, 0, false, false, X86_MODE_REAL, 16, 0, 0x10100},
	{"v86", X86_CR0_PE, 0, X86_RFLAGS_VM, false, false, X86_MODE_V86, 16, 3, 0x10100},
	{"prot16", X86_CR0_PE, 0, 0, false, false, X86_MODE_PROT16, 16, 2, 0x10100},
	{"prot32", X86_CR0_PE, 0, 0, false, true, X86_MODE_PROT32, 32, 2, 0x10100},
	{"prot32", X86_CR0_PE, X86_EFER_LME, 0, true, true, X86_MODE_PROT32, 32, 2, 0x10100},
	{"compat16", X86_CR0_PE | X86_CR0_PG, X86_EFER_LME | X86_EFER_LMA, 0, false, false,
	 X86_MODE_COMPAT16, 16, 2, 0x10100},
	{"compat32", X86_CR0_PE | X86_CR0_PG, X86_EFER_LME | X86_EFER_LMA, 0, false, true,
	 X86_MODE_COMPAT32, 32, 2, 0x10100},
	{"long64", X86_CR0_PE | X86_CR0_PG, X86_EFER_LME | X86_EFER_LMA, 0, true, false,
	 X86_MODE_LONG64, 64, 2, 0xffffffff00000100},
	/* EFER.LMA left over by a switch back to real mode must not win over CR0.PE=0. */
	{"real16", 0, X86_EFER_LMA, X86_RFLAGS_VM, true, false, X86_MODE_REAL, 16, 0, 0x10100},
};

static struct x86_state state_of_row(size_t i)
{
	struct x86_state st;

	memset(&st, 0, sizeof(st));
	st.cr0 = MODE_TABLE[i].cr0;
	st.efer = MODE_TABLE[i].efer;
	st.rflags = MODE_TABLE[i].rflags;
	st.seg[X86_CS].l = MODE_TABLE[i].l;
	st.seg[X86_CS].db = MODE_TABLE[i].db;
	st.seg[X86_CS].base = 0x10000;
	st.seg[X86_SS].dpl = 2;
	st.rip = 0xffffffff00000100;
	return st;
}

Test(x86_mode, mode_of_when_each_row_then_mode_and_its_facts_match)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(MODE_TABLE); i++) {
		struct x86_state st = state_of_row(i);
		enum x86_mode mode = x86_mode_of(&st);

		cr_expect(mode == MODE_TABLE[i].mode, "row %zu: mode %d", i, mode);
		cr_expect(strcmp(x86_mode_name(mode), MODE_TABLE[i].name) == 0, "row %zu: name", i);
		cr_expect(x86_mode_bits(mode) == MODE_TABLE[i].bits, "row %zu: bits", i);
		cr_expect(x86_cpl_of(&st) == MODE_TABLE[i].cpl, "row %zu: cpl", i);
		cr_expect(x86_linear_pc(&st) == MODE_TABLE[i].pc, "row %zu: pc %#llx", i,
			  (unsigned long long)x86_linear_pc(&st));
	}
}
