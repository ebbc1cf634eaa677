/* Names of flag bits.  Sources: SDM 1 3.4.3 (EFLAGS), 10.2.3 (MXCSR); SDM 3A 2.5 (CR0, CR4), 2.2.1
 * (EFER). */
#include "flags.h"

#include <stdio.h>
#include <string.h>

static const struct flags_type FLAGS[] = {
	{"i386_eflags",
	 4,
	 REG_CORE,
	 {{"CF", 0},
	  {"", 1},
	  {"PF", 2},
	  {"AF", 4},
	  {"ZF", 6},
	  {"SF", 7},
	  {"TF", 8},
	  {"IF", 9},
	  {"DF", 10},
	  {"OF", 11},
	  {"NT", 14},
	  {"RF", 16},
	  {"VM", 17},
	  {"AC", 18},
	  {"VIF", 19},
	  {"VIP", 20},
	  {"ID", 21}}},
	{"i386_mxcsr",
	 4,
	 REG_SSE,
	 {{"IE", 0},
	  {"DE", 1},
	  {"ZE", 2},
	  {"OE", 3},
	  {"UE", 4},
	  {"PE", 5},
	  {"DAZ", 6},
	  {"IM", 7},
	  {"DM", 8},
	  {"ZM", 9},
	  {"OM", 10},
	  {"UM", 11},
	  {"PM", 12},
	  {"FZ", 15}}},
	{"x86_cr0",
	 8,
	 REG_SYSTEM,
	 {{"PE", 0},
	  {"MP", 1},
	  {"EM", 2},
	  {"TS", 3},
	  {"ET", 4},
	  {"NE", 5},
	  {"WP", 16},
	  {"AM", 18},
	  {"NW", 29},
	  {"CD", 30},
	  {"PG", 31}}},
	{"x86_cr4", 8, REG_SYSTEM, {{"VME", 0},	      {"PVI", 1},	  {"TSD", 2},
				    {"DE", 3},	      {"PSE", 4},	  {"PAE", 5},
				    {"MCE", 6},	      {"PGE", 7},	  {"PCE", 8},
				    {"OSFXSR", 9},    {"OSXMMEXCPT", 10}, {"UMIP", 11},
				    {"LA57", 12},     {"VMXE", 13},	  {"SMXE", 14},
				    {"FSGSBASE", 16}, {"PCIDE", 17},	  {"OSXSAVE", 18},
				    {"SMEP", 20},     {"SMAP", 21},	  {"PKE", 22}}},
	{"x86_efer", 8, REG_SYSTEM, {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}}},
};

const struct flags_type *flags_at(unsigned index)
{
	return index < UMBRA_ARRAY_SIZE(FLAGS) ? &FLAGS[index] : NULL;
}

const struct flags_type *flags_find(const char *id)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FLAGS); i++) {
		if (strcmp(FLAGS[i].id, id) == 0)
			return &FLAGS[i];
	}
	return NULL;
}

void flags_format(const char *id, uint64_t value, char *buf, size_t size)
{
	const struct flags_type *type = flags_find(id);
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned bit = 64; type && bit-- > 0;) {
		for (const struct flag_bit *b = type->bit; b->name; b++) {
			if (b->bit != bit || !b->name[0] || !(value >> bit & 1) || len >= size)
				continue;
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "",
						b->name);
		}
	}
}
