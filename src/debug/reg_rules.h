/* What the processor lets be written to its system registers: setters and getters for rows of the
 * register table (regs.c).  Private to src/debug; pure. */
#ifndef DEBUG_REG_RULES_H
#define DEBUG_REG_RULES_H

#include "regs.h"

/* Say why @reg cannot be @value.  Returns -EINVAL. */
int regs_refuse(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value, const char *why);
/* Whether @address is one that the paging mode of @st can have (SDM 1 3.3.7.1). */
bool regs_is_canonical(const struct x86_state *st, uint64_t address);

/* Setters: 0, or -EINVAL with the reason in @edit and nothing changed. */
int regs_set_32(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);
int regs_set_pat(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);
/* DR0 to DR7: bits that are fixed stay as they are, whatever @value has there. */
int regs_set_debug(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);

/* Hidden parts of a segment register.  The row's offset is that of x86_seg.base for the base, of
 * x86_seg.limit for the limit in bytes and for the access rights, which are laid out as for VMX
 * (SDM 3C table 24-2). */
int regs_set_hidden_base(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);
/* G follows from the limit. */
int regs_set_limit(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);
uint64_t regs_get_rights(const struct x86_state *st, const struct reg_desc *reg);
int regs_set_rights(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);

#endif
