/* What the comparison leaves out, and why: the whole list. */
#ifndef UMBRA_DIFF_KNOWN_H
#define UMBRA_DIFF_KNOWN_H

#include "layout.h"

#include <Zydis/Zydis.h>

/* True when this instruction is not run at all. */
bool known_is_skipped(const ZydisDecodedInstruction *z);
/* True when all processors check the alignment of the same accesses of @z: RFLAGS.AC may be set. */
bool known_has_alignment_check(const ZydisDecodedInstruction *z);
/* Flags of RFLAGS after @z that are not compared: undefined, and not taken from the host. */
uint64_t known_undefined_flags(const ZydisDecodedInstruction *z);
/* True when it depends on the processor when it faults, and what that does to the x87 state: no
 * page fault is provoked, and of others the x87 state is not compared. */
bool known_is_fault_vague(const ZydisDecodedInstruction *z);
/* True when it depends on the processor which of several pages a fault names: neither its address
 * nor whether that page was present is compared. */
bool known_is_order_vague(const ZydisDecodedInstruction *z);
/* True when @a and @b are two exceptions of which either may come first. */
bool known_is_priority_vague(const struct diff_case *dc, int a, int b);
/* Bits of MXCSR after @z that are not compared; @is_xm: it raised #XM. */
uint32_t known_undefined_mxcsr(const ZydisDecodedInstruction *z, bool is_xm);
/* Make the bytes that @z stored at @at the same where they may differ. */
void known_equalize_memory(const ZydisDecodedInstruction *z, const uint8_t *native, uint8_t *guest);

#endif
