/* The cache of decoded blocks of one vCPU, and what makes entries go away.
 *
 * A block is found by (GPA of its first byte, RIP, mode, CS base): the same bytes under another RIP
 * are another block, so targets and RIP-relative addresses are constants in it.  Its bytes lie in
 * one frame, except for one instruction that crosses into the next, which is a block of its own and
 * names both frames.
 *
 * Writes: a frame that holds decoded code is marked in soft_vm.code_frame, and the micro-TLB has no
 * wtag for it; a store into it comes to soft_code_written, which evicts the blocks whose bytes
 * overlap, on every vCPU (others by PEND_EVICT).  A store into the running block restarts its
 * instruction in SOFT_STEP mode first. */
#ifndef SOFT_BLOCK_H
#define SOFT_BLOCK_H

#include "insn.h"

int soft_blocks_init(struct soft_cpu *c);
void soft_blocks_end(struct soft_cpu *c);
/* The block at c->rip in c->mode, translated if need be.  May raise (instruction fetch). */
const struct insn *soft_block_find(struct soft_cpu *c);
/* Execute from block @i on until something leaves.  Flags and budget are in @c before and after. */
void soft_run_block(struct soft_cpu *c, const struct insn *i);
/* Everything goes: a mode of decoding changed, or the pool is full. */
void soft_blocks_flush(struct soft_cpu *c);
/* Blocks that begin or contain linear address @la go: a breakpoint was set or removed there. */
void soft_blocks_evict_linear(struct soft_cpu *c, gva_t la);
/* Address space or code changed: links and jump cache are void. */
static inline void soft_links_drop(struct soft_cpu *c)
{
	c->link_gen++;
	c->jump_key = c->link_gen << SOFT_MODE_BITS | c->mode;
}
static inline void soft_set_mode(struct soft_cpu *c, uint32_t mode)
{
	c->mode = mode;
	c->jump_key = c->link_gen << SOFT_MODE_BITS | mode;
}

/* True when a frame holds decoded code of some vCPU. */
bool soft_frame_has_code(const struct soft_vm *vm, gpa_t gpa);
/* About to write @len bytes at @gpa: raises a restart when the running block lies there (c may be
 * NULL: the debugger or a loader).  After the write: soft_code_written. */
void soft_code_write_begin(struct soft_cpu *c, gpa_t gpa, size_t len);
void soft_code_written(struct soft_vm *vm, gpa_t gpa, size_t len);
/* PEND_EVICT: evict what other vCPUs wrote. */
void soft_code_take_evictions(struct soft_cpu *c);
/* Numbers for `monitor accel`. */
struct soft_block_stats {
	uint64_t translated, evicted, flushed, lookups;
	uint64_t live, pool_bytes;
};
void soft_block_stats(const struct soft_cpu *c, struct soft_block_stats *out_stats);

#endif
