/* Which monitor words only look.  What is not listed changes something, or may. */
#include "monitor.h"

#include "umbra/types.h"

#include <string.h>

static const char *const LOOKS[] = {
	"help",	    "info",	"dis",	     "dis-raw",	   "screen",	 "why",	       "kaslr",
	"hash",	    "gva2gpa",	"gpa2hva",   "gpa2hpa",	   "x",		 "xp",	       "accel",
	"version",  "mmu help", "mmu info",  "mmu addr",   "mmu walk",	 "mmu probe",  "mmu map",
	"mmu rmap", "mmu find", "mmu roots", "mmu tables", "mmu shadow", "mmu verify", "mmu stats",
	"mmu tlb",  "mmu dump", "mmu log",   "mmu why",
};

const char *mon_look_at(unsigned index)
{
	return index < UMBRA_ARRAY_SIZE(LOOKS) ? LOOKS[index] : NULL;
}

static bool is_listed(const char *name)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(LOOKS); i++) {
		if (strcmp(LOOKS[i], name) == 0)
			return true;
	}
	return false;
}

/* The word behind `mmu` must be written out: which one an abbreviation means is known later. */
bool mon_is_look(const char *name, const char *rest)
{
	char both[MON_LINE_MAX + 8] = "mmu ";
	size_t len;

	if (strcmp(name, "mmu") != 0)
		return is_listed(name);
	rest += strspn(rest, " \t");
	len = strcspn(rest, " \t");
	if (len >= sizeof(both) - 4)
		return false;
	memcpy(both + 4, rest, len);
	both[4 + len] = '\0';
	return len == 0 || is_listed(both);
}
