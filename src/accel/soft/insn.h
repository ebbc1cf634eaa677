/* Decoded instructions and how their handlers run.
 *
 * A block is an array of struct insn: op_enter first, then one or more slots for each guest
 * instruction, then a branch or op_leave.  A handler does its work and goes on to the next slot by
 * a tail call with everything hot in host registers: the flags, the budget.  gcc and clang make
 * sibling calls of these at -O2 (ci/check-soft-handlers.py looks); a build with SOFT_LOOP (debug,
 * sanitizers) runs the same handlers from a loop instead.
 *
 * A memory handler exists twice, made from one body by SOFT_MEM_OP: the fast one touches memory
 * only through a hit in the micro-TLB; on a miss it tail-calls the slow one, which asks tlb.c.  The
 * slow path must be a tail call: a plain one would make the compiler save registers on the fast
 * path. */
#ifndef SOFT_INSN_H
#define SOFT_INSN_H

#include "access.h"
#include "cpu.h"
#include "flags.h"

/* clang makes no sibling call in a function that a local's address escaped from, inlined ones
 * included, and slots would use up the stack. */
#if defined(__clang__) && !defined(SOFT_LOOP)
#define SOFT_LOOP
#endif

#define SOFT_LIKELY(x)	 __builtin_expect(!!(x), 1)
#define SOFT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SOFT_INLINE	 static inline __attribute__((always_inline))
#define SOFT_COLD	 __attribute__((noinline, cold))
/* Out of the way of fast handlers, yet made to be fast: a watched page's accesses come by. */
#define SOFT_SLOW __attribute__((noinline, section(".text.soft_slow")))

/* vCPUs at once race for guest memory as on any machine: it is the guest's race, so no race
 * detector may judge what touches guest bytes. */
#ifdef __clang__
#define GUEST_RACE __attribute__((disable_sanitizer_instrumentation))
#else
#define GUEST_RACE __attribute__((no_sanitize("thread")))
#endif
/* memcpy to or from guest memory; the detector looks into the library's. */
SOFT_INLINE void soft_guest_copy(void *dst, const void *src, size_t len)
{
#ifdef __SANITIZE_THREAD__
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len) : : "memory");
#else
	memcpy(dst, src, len);
#endif
}

SOFT_INLINE void soft_guest_set(void *dst, uint8_t byte, size_t len)
{
#ifdef __SANITIZE_THREAD__
	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(len) : "a"(byte) : "memory");
#else
	memset(dst, byte, len);
#endif
}

#define SOFT_BLOCK_MAX	   64u /* guest instructions in a block */
#define SOFT_SEG_OF(i)	   ((unsigned)(i)->seg_len >> 4)
#define SOFT_LEN_OF(i)	   ((unsigned)(i)->seg_len & 15)
#define SOFT_OFFSET_OF(i)  ((unsigned)(i)->place & 0x3ff)
#define SOFT_ORDINAL_OF(i) ((unsigned)(i)->place >> 10)

/* Arguments of a handler: fr, fs, fo are the lazy flags (flags.h), left the budget. */
#define SOFT_ARGS                                                                                  \
	const struct insn *i, struct soft_cpu *c, uint64_t fr, uint64_t fs, uint64_t fo,           \
		int64_t left
#define SOFT_PASS(i_) (i_), c, fr, fs, fo, left

#ifdef SOFT_LOOP
/* The slot to run next; NULL ends the run.  Values of the arguments go through struct soft_cpu. */
typedef const struct insn *soft_ret;
#else
typedef void soft_ret;
#endif
typedef soft_ret soft_op_fn(SOFT_ARGS);

struct insn {
	soft_op_fn *fn;
	uint64_t imm; /* immediate, sign-extended as the operation wants it; branches: target RIP */
	int64_t disp; /* displacement or absolute address; branches: RIP behind */
	uint8_t dst, src;    /* operands: byte offsets into soft_cpu.r; AH..BH are odd */
	uint8_t base, index; /* address = [base] + [index] * scale + disp, as byte offsets */
	uint8_t scale;	     /* 1, 2, 4 or 8: a shift would need CL, which holds an argument */
	uint8_t seg_len;     /* segment (enum x86_seg_reg) << 4 | length in bytes */
	uint16_t place; /* bits 9:0 offset of the instruction in its block's bytes; 15:10 its number
			 */
};
_Static_assert(sizeof(struct insn) == 32, "the hot loop counts on two to a cache line");

/* First slot of a block: imm = its RIP, place = its number of guest instructions, disp = the budget
 * with which branches may pass this slot over: the same number, or SOFT_NO_ENTRY where its handler
 * must run. */
#define SOFT_COUNT_OF(entry) ((int64_t)(entry)->place)
#define SOFT_NO_ENTRY	     INT64_MAX

/* A direct branch is followed by a slot that is none: the first slots of the blocks at imm (taken)
 * and disp (behind) of the branch, each with soft_cpu.link_gen when it was found. */
struct link {
	const struct insn *taken, *behind;
	uint64_t taken_gen, behind_gen;
};
_Static_assert(sizeof(struct link) == sizeof(struct insn), "a link takes one slot");

#ifdef SOFT_LOOP
#define SOFT_SAVE() (c->fr = fr, c->fs = fs, c->fo = fo, c->left = left)
/* No block of its own: SOFT_BRANCH around it is four deep. */
#define SOFT_GO(i_) return (SOFT_SAVE(), (i_))
#define SOFT_LEAVE()                                                                               \
	do {                                                                                       \
		SOFT_SAVE();                                                                       \
		return NULL;                                                                       \
	} while (0)
#else
#define SOFT_SAVE() (c->fr = fr, c->fs = fs, c->fo = fo, c->left = left)
#define SOFT_GO(i_)                                                                                \
	do {                                                                                       \
		const struct insn *go_ = (i_);                                                     \
		return go_->fn(SOFT_PASS(go_));                                                    \
	} while (0)
/* Back to the loop.  c->rip must be true. */
#define SOFT_LEAVE()                                                                               \
	do {                                                                                       \
		SOFT_SAVE();                                                                       \
		return;                                                                            \
	} while (0)
#endif
#define SOFT_NEXT() SOFT_GO(i + 1)
/* Make the state visible to plain functions: before anything that may escape. */
#define SOFT_SPILL()  (SOFT_SAVE(), c->cur = i)
#define SOFT_RELOAD() (fr = c->fr, fs = c->fs, fo = c->fo, left = c->left)

/* Register operands. */
#define SOFT_REG(type, offset) (*(type *)soft_slot_ptr(c, (offset)))
SOFT_INLINE void *soft_slot_ptr(struct soft_cpu *c, uint8_t offset)
{
	return (char *)c + offset;
}
/* Guest bytes and register slots are reached in several widths. */
typedef uint8_t __attribute__((may_alias)) soft_u8;
typedef uint16_t __attribute__((may_alias, aligned(1))) soft_u16;
typedef uint32_t __attribute__((may_alias, aligned(1))) soft_u32;
typedef uint64_t __attribute__((may_alias, aligned(1))) soft_u64;
typedef int8_t soft_i8;
typedef int16_t soft_i16;
typedef int32_t soft_i32;
typedef int64_t soft_i64;
#define SOFT_GET(bits, offset) ((uint##bits##_t)SOFT_REG(soft_u##bits, offset))
/* A 32-bit write clears the upper half of the register. */
#define soft_put8(offset, v)	  (SOFT_REG(soft_u8, offset) = (uint8_t)(v))
#define soft_put16(offset, v)	  (SOFT_REG(soft_u16, offset) = (uint16_t)(v))
#define soft_put32(offset, v)	  (SOFT_REG(soft_u64, offset) = (uint32_t)(v))
#define soft_put64(offset, v)	  (SOFT_REG(soft_u64, offset) = (uint64_t)(v))
#define SOFT_PUT(bits, offset, v) soft_put##bits(offset, v)

/* The linear address of the memory operand.  In 64-bit mode without FS and GS this is the effective
 * address; everywhere else an address operation before this slot left it in SLOT_EA (ea.c). */
#define SOFT_EA()                                                                                  \
	(SOFT_REG(uint64_t, i->base) + SOFT_REG(uint64_t, i->index) * i->scale + (uint64_t)i->disp)

/* The same of an operand that has no index: index is SLOT_ZERO. */
#define SOFT_EA_BASE() (SOFT_REG(uint64_t, i->base) + (uint64_t)i->disp)

SOFT_INLINE struct tlb_entry *soft_tlb_entry(const struct soft_cpu *c, uint64_t la)
{
	return &c->tlb->entry[(la >> 12) & (TLB_ENTRIES - 1)];
}

/* *@io_off says where @len bytes at @la miss the micro-TLB.  If their page is there, but withheld
 * for some bytes that the debugger watches and not in the same 64: true, and their place in it. */
SOFT_INLINE bool soft_beside(const struct soft_cpu *c, uint64_t la, uint64_t *io_off, unsigned len)
{
	uint64_t watched = c->tlb->watched[(la >> 12) & (TLB_ENTRIES - 1)];

	*io_off ^= TLB_WATCHED;
	return *io_off <= 4096 - len &&
	       !((watched >> (*io_off >> 6) | watched >> ((*io_off + len - 1) >> 6)) & 1);
}

/* Inside the body of a SOFT_MEM_OP.  `slow` is the body's last parameter. */
#define SOFT_AT_HAND(bits)                                                                         \
	(SOFT_LIKELY(off_ <= 4096 - (bits) / 8) ||                                                 \
	 (!slow && soft_beside(c, la_, &off_, (bits) / 8)))
#define SOFT_LOAD(bits, var, address)                                                              \
	do {                                                                                       \
		uint64_t la_ = (address);                                                          \
		const struct tlb_entry *e_ = soft_tlb_entry(c, la_);                               \
		uint64_t off_ = la_ ^ e_->rtag;                                                    \
		if (SOFT_AT_HAND(bits)) {                                                          \
			(var) = *(const soft_u##bits *)(e_->host + off_);                          \
		} else if (slow) {                                                                 \
			return slow(SOFT_PASS(i));                                                 \
		} else {                                                                           \
			SOFT_SPILL();                                                              \
			(var) = (uint##bits##_t)soft_load(c, la_, (bits) / 8);                     \
		}                                                                                  \
	} while (0)
#define SOFT_STORE(bits, address, value)                                                           \
	do {                                                                                       \
		uint64_t la_ = (address);                                                          \
		const struct tlb_entry *e_ = soft_tlb_entry(c, la_);                               \
		uint64_t off_ = la_ ^ e_->wtag;                                                    \
		if (SOFT_AT_HAND(bits)) {                                                          \
			*(soft_u##bits *)(e_->host + off_) = (uint##bits##_t)(value);              \
		} else if (slow) {                                                                 \
			return slow(SOFT_PASS(i));                                                 \
		} else {                                                                           \
			SOFT_SPILL();                                                              \
			soft_store(c, la_, (bits) / 8, (uint##bits##_t)(value));                   \
		}                                                                                  \
	} while (0)
/* Read `old`, compute `value` (an expression over `old`), write it.  Not locked. */
#define SOFT_MODIFY(bits, old, address, value)                                                     \
	do {                                                                                       \
		uint64_t la_ = (address);                                                          \
		const struct tlb_entry *e_ = soft_tlb_entry(c, la_);                               \
		uint64_t off_ = la_ ^ e_->wtag;                                                    \
		if (SOFT_AT_HAND(bits)) {                                                          \
			soft_u##bits *p_ = (soft_u##bits *)(e_->host + off_);                      \
			(old) = *p_;                                                               \
			*p_ = (uint##bits##_t)(value);                                             \
		} else if (slow) {                                                                 \
			return slow(SOFT_PASS(i));                                                 \
		} else {                                                                           \
			SOFT_SPILL();                                                              \
			soft_rmw_begin(c, la_, (bits) / 8, &c->rmw);                               \
			(old) = *(soft_u##bits *)c->rmw.bytes;                                     \
			*(soft_u##bits *)c->rmw.bytes = (uint##bits##_t)(value);                   \
			soft_rmw_end(c, &c->rmw);                                                  \
		}                                                                                  \
	} while (0)

/* A memory handler.  Use:
 *	SOFT_MEM_OP(mov_rm_32)
 *	{
 *		uint32_t v;
 *		SOFT_LOAD(32, v, SOFT_EA());
 *		SOFT_PUT(32, i->dst, v);
 *		SOFT_NEXT();
 *	}
 * A body may have several accesses only if those before the last change nothing.  It gives nobody
 * the address of a local: soft_cpu.scratch and .rmw are there for that. */
#define SOFT_MEM_OP(name)                                                                          \
	SOFT_INLINE soft_ret name##_body(SOFT_ARGS, soft_op_fn *slow);                             \
	GUEST_RACE static SOFT_SLOW soft_ret name##_slow(SOFT_ARGS)                                \
	{                                                                                          \
		return name##_body(SOFT_PASS(i), NULL);                                            \
	}                                                                                          \
	GUEST_RACE static soft_ret name(SOFT_ARGS)                                                 \
	{                                                                                          \
		return name##_body(SOFT_PASS(i), name##_slow);                                     \
	}                                                                                          \
	SOFT_INLINE soft_ret name##_body(SOFT_ARGS, soft_op_fn *slow)

/* A handler without memory operands. */
#define SOFT_OP(name) static soft_ret name(SOFT_ARGS)

/* Handlers round a plain function `void name(struct soft_cpu *c, const struct insn *i)`.
 * SOFT_PLAIN goes on with the next slot: for operations that change no mode, no address space, no
 * RIP and no IF.  SOFT_PLAIN_END is for all others: c->rip is the RIP behind when the function is
 * called, the function may change it, and the loop looks at everything afterwards. */
#define SOFT_PLAIN(name)                                                                           \
	static soft_ret op_##name(SOFT_ARGS)                                                       \
	{                                                                                          \
		SOFT_SPILL();                                                                      \
		name(c, i);                                                                        \
		SOFT_RELOAD();                                                                     \
		SOFT_NEXT();                                                                       \
	}
#define SOFT_PLAIN_END(name)                                                                       \
	static soft_ret op_##name(SOFT_ARGS)                                                       \
	{                                                                                          \
		SOFT_SPILL();                                                                      \
		c->rip = soft_next_rip(c);                                                         \
		name(c, i);                                                                        \
		SOFT_RELOAD();                                                                     \
		c->cur = NULL;                                                                     \
		SOFT_LEAVE();                                                                      \
	}

/* Instructions that the block has counted and that are not done: from the current one on. */
SOFT_INLINE int64_t soft_rest_of_block(const struct soft_cpu *c)
{
	return SOFT_COUNT_OF(c->entry) - (int64_t)SOFT_ORDINAL_OF(c->cur);
}

/* For plain functions: the operands of their slot. */
SOFT_INLINE uint64_t soft_insn_address(const struct soft_cpu *c, const struct insn *i)
{
	return c->r[i->base / 8] + c->r[i->index / 8] * i->scale + (uint64_t)i->disp;
}

/* Block-level handlers (block.c). */
soft_ret op_enter(SOFT_ARGS);
/* The same in SOFT_STEP mode, where the loop has just looked at requests and budget; and for a
 * block with an exec point of the debugger at its start, which leaves before anything happens. */
soft_ret op_enter_step(SOFT_ARGS);
soft_ret op_enter_point(SOFT_ARGS);
soft_ret op_enter_step_point(SOFT_ARGS);
/* End of a block that was cut: go on at imm, through the link slot behind. */
soft_ret op_continue(SOFT_ARGS);
/* First slot of an evicted block: find what is there now. */
soft_ret op_gone(SOFT_ARGS);
/* End of a SOFT_STEP block: c->rip = imm, back to the loop. */
soft_ret op_leave(SOFT_ARGS);
/* imm = vector: raise it (#UD and the like found by translation). */
soft_ret op_raise(SOFT_ARGS);

/* Into the block whose first slot is @entry, passing over that slot: if the budget allows it and no
 * request waits. */
#define SOFT_MAY_ENTER(entry)                                                                      \
	(left >= (entry)->disp && !atomic_load_explicit(&c->pend, memory_order_relaxed))
#define SOFT_ENTER(entry_)                                                                         \
	do {                                                                                       \
		const struct insn *e_ = (entry_);                                                  \
		left -= e_->disp;                                                                  \
		c->entry = e_;                                                                     \
		SOFT_GO(e_ + 1);                                                                   \
	} while (0)

/* Branches.  Direct: the link slot is i[1]; @taken chooses imm or disp of @i.  In SOFT_STEP mode
 * translation ends the block with handlers that leave; branch handlers need not know.
 * What is not linked yet goes on in block.c by a tail call: see the head of this file. */
soft_ret op_link_taken(SOFT_ARGS);
soft_ret op_link_behind(SOFT_ARGS);
#define SOFT_FOLLOW(link_, side, miss)                                                             \
	do {                                                                                       \
		const struct link *l_ = (link_);                                                   \
		if (SOFT_UNLIKELY(l_->side##_gen != c->link_gen || !SOFT_MAY_ENTER(l_->side)))     \
			return miss(SOFT_PASS(i));                                                 \
		SOFT_ENTER(l_->side);                                                              \
	} while (0)
#define SOFT_BRANCH(taken_)                                                                        \
	do {                                                                                       \
		if (taken_)                                                                        \
			SOFT_FOLLOW((const struct link *)(i + 1), taken, op_link_taken);           \
		SOFT_FOLLOW((const struct link *)(i + 1), behind, op_link_behind);                 \
	} while (0)

/* Indirect: by the jump cache.  A target that is found there was fetched from under the same
 * conditions: it needs no check. */
struct jump_entry {
	uint64_t key; /* soft_cpu.jump_key when it was filled */
	const struct insn *block;
};
#define JUMP_ENTRIES 4096u
SOFT_INLINE struct jump_entry *soft_jump_entry(const struct soft_cpu *c, uint64_t rip)
{
	return &c->jumps[(rip ^ rip >> 12) & (JUMP_ENTRIES - 1)];
}
/* The block at @rip; NULL: not known. */
SOFT_INLINE const struct insn *soft_jump_find(const struct soft_cpu *c, uint64_t rip)
{
	const struct jump_entry *j = soft_jump_entry(c, rip);

	return SOFT_LIKELY(j->key == c->jump_key && j->block->imm == rip) ? j->block : NULL;
}
soft_ret op_jump_miss(SOFT_ARGS); /* to c->rip */
/* To @rip, which is checked and truncated, and where soft_jump_find found @block. */
#define SOFT_JUMP(rip_, block)                                                                     \
	do {                                                                                       \
		if (SOFT_UNLIKELY(!(block) || !SOFT_MAY_ENTER(block))) {                           \
			c->rip = (rip_);                                                           \
			return op_jump_miss(SOFT_PASS(i));                                         \
		}                                                                                  \
		SOFT_ENTER(block);                                                                 \
	} while (0)
/* All three set c->rip to the target first: an escape out of the target's fetch belongs to the
 * target, not to the branch.  In SOFT_STEP mode, and when a request waits, they leave. */

#endif
