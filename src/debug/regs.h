/* The one table of registers that the debugger sees.  Packet numbers, the g layout, target.xml and
 * every read and write follow from it, so that they cannot disagree.
 * Private to src/debug; pure: no vCPU, no protocol. */
#ifndef DEBUG_REGS_H
#define DEBUG_REGS_H

#include "umbra/err.h"
#include "umbra/x86.h"

/* gdb's feature names, in the order of the table. */
enum reg_feature { REG_CORE, REG_SSE, REG_SEGMENTS, REG_SYSTEM, REG_LINUX, REG_FEATURE_COUNT };

#define REG_MAX_BYTES 16u

/* Numbers that others need; the unit test holds them against the table. */
#define REG_RBP	   6u
#define REG_RSP	   7u
#define REG_RIP	   16u
#define REG_EFLAGS 17u
#define REG_ESP	   (REG_I386 + 4)
#define REG_EBP	   (REG_I386 + 5)
#define REG_EIP	   (REG_I386 + 8)
#define REG_I386   111u /* eax: the first of the lower halves */

/* A write in the making: @st is a copy of the vCPU's state that writes change, @parts says which
 * parts of it differ from the vCPU's. */
struct reg_edit {
	struct x86_state st;
	unsigned parts;
	/* Guest memory through the page tables of @st, for descriptors.  Returns the bytes read. */
	size_t (*mem_read)(void *ctx, gva_t va, void *buf, size_t len);
	void *ctx;
	struct umbra_err err; /* why the last write was refused */
};

struct reg_desc {
	const char *name;
	uint16_t bits;	   /* on the wire */
	const char *type;  /* of target.xml; NULL = int */
	const char *group; /* of target.xml; NULL = what gdb takes from the type */
	enum reg_feature feature;
	/* Where the value lies in struct x86_state, and which part of it that is. */
	uint16_t offset, bytes;
	unsigned part;
	/* For values that are computed, and those that the processor would not take as they are.
	 * NULL: copied, zero-extended to the wire's width. */
	uint64_t (*get)(const struct x86_state *st, const struct reg_desc *reg);
	int (*set)(struct reg_edit *edit, const struct reg_desc *reg, uint64_t value);
};

/* Registers 0..n-1 are those of x86-64; after them comes the one that a debugger has to see before
 * it takes the guest for Linux, then the names under which a debugger that takes it for an i386
 * knows the lower halves of nine. */
unsigned regs_x86_64_count(void);
unsigned regs_linux_count(void);
unsigned regs_count(void);
/* Registers 0..n-1 make up g and G; the rest (the system's, and those that are in g under another
 * name) is read with p. */
unsigned regs_g_count(void);
/* The parts of struct x86_state that those are in. */
unsigned regs_g_parts(void);
const struct reg_desc *regs_at(unsigned reg); /* NULL past the last */
size_t regs_size(unsigned reg);		      /* bytes on the wire; 0 past the last */

/* The value of @reg as it goes over the wire: little-endian, regs_size bytes. */
void regs_read(const struct reg_desc *reg, const struct x86_state *st, uint8_t *out);
/* All that g carries, back to back; @st has regs_g_parts. */
void regs_read_g(const struct x86_state *st, uint8_t *out);
/* Write @reg into @edit.  A value that is there already changes nothing, whatever it is.
 * Errors: -EINVAL the processor could not hold it; edit->err says why.  @edit is then unusable. */
int regs_write(struct reg_edit *edit, const struct reg_desc *reg, const uint8_t *value);
/* To be called after the last write: what must be true of several registers together.
 * Errors: -EINVAL. */
int regs_check(struct reg_edit *edit, const struct x86_state *before);

/* Load a segment register as the processor does (segload.c): real and virtual-8086 mode derive the
 * base, other modes read the descriptor.
 * Errors: -EINVAL, -EFAULT the descriptor is not mapped; the edit's segment is unchanged. */
int regs_load_segment(struct reg_edit *edit, enum x86_seg_reg which, uint16_t selector);

/* The full x87 tag word (SDM 1 8.1.7), two bits a register, from the abridged one and the contents,
 * and back. */
uint16_t x87_tag_word(const struct x86_fpu *fpu);
uint8_t x87_tag_abridge(uint16_t tag_word);

#endif
