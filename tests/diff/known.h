/* What the comparison leaves out, and why: the whole list. */
#ifndef UMBRA_DIFF_KNOWN_H
#define UMBRA_DIFF_KNOWN_H

#include "layout.h"

#include <Zydis/Zydis.h>

/* True when this instruction is not run at all. */
bool known_is_skipped(const ZydisDecodedInstruction *z);
/* Flags of RFLAGS after @z that are not compared: undefined, and not taken from the host. */
uint64_t known_undefined_flags(const ZydisDecodedInstruction *z);
/* Make the bytes that @z stored at @at the same where they may differ. */
void known_equalize_memory(const ZydisDecodedInstruction *z, const uint8_t *native, uint8_t *guest);

#endif
