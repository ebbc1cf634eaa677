/* What the modules of the shadow MMU that work over time have to say, as lines of text: one record
 * a line, key=value, no line end.  Private to src/debug; pure. */
#ifndef DEBUG_MMU_TEXT_H
#define DEBUG_MMU_TEXT_H

#include "umbra/mmu_breaks.h"

#define MMU_TEXT_MAX 512u

/* "mmu stop id=3 kind=map gva=0x401000 change=rights u:r-x -> u:rwx cpu=0 rip=0x... ..." */
void mmu_text_stop(const struct mmu_stop *stop, char buf[MMU_TEXT_MAX]);

#endif
