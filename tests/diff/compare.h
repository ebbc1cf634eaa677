/* Both sides' results side by side. */
#ifndef UMBRA_DIFF_COMPARE_H
#define UMBRA_DIFF_COMPARE_H

#include "layout.h"

#include <Zydis/Zydis.h>

/* True when they are the same, but for what known.h leaves out.  Changes the guest's memory there.
 */
bool compare_results(const struct diff_case *dc, const ZydisDecodedInstruction *z,
		     const struct diff_result *native, const struct diff_result *guest,
		     uint8_t *guest_memory);
/* Print a case, its input, and what is not the same.  Each line begins with "# ". */
void compare_report(const struct diff_case *dc, const struct diff_result *native,
		    const struct diff_result *guest);
/* One line: the bytes and what they mean. */
void compare_print_case(const struct diff_case *dc);

#endif
