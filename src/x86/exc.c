/* The names of exceptions.  Source: SDM 3A table 6-1. */
#include "umbra/x86.h"

const char *x86_vector_name(unsigned vector)
{
	static const char *const name[] = {
		[X86_EXC_DE] = "DE", [X86_EXC_DB] = "DB", [X86_EXC_NMI] = "NMI",
		[X86_EXC_BP] = "BP", [X86_EXC_OF] = "OF", [X86_EXC_BR] = "BR",
		[X86_EXC_UD] = "UD", [X86_EXC_NM] = "NM", [X86_EXC_DF] = "DF",
		[X86_EXC_TS] = "TS", [X86_EXC_NP] = "NP", [X86_EXC_SS] = "SS",
		[X86_EXC_GP] = "GP", [X86_EXC_PF] = "PF", [X86_EXC_MF] = "MF",
		[X86_EXC_AC] = "AC", [X86_EXC_MC] = "MC", [X86_EXC_XM] = "XM",
	};

	return vector < UMBRA_ARRAY_SIZE(name) && name[vector] ? name[vector] : "?";
}
