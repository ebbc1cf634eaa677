/* Two neighbouring operations in one handler: half the jumps between handlers, which cost as much
 * as the operations themselves.  The handler stands in the slot of the first; the slot of the
 * second keeps its own, for what must go one by one: memory that is not in the micro-TLB.  Then the
 * first goes on by its own handler, whose successor is the second's; or, the first being done, the
 * second by its own.  So nothing that can fault, leave or write to code happens here.
 *
 * Those that write flags do so here in any case: where nobody reads them they are right as well. */
#include "exec_int.h"

/* What each operation does.  @miss is what to do when memory is not at hand. */

#define ALU(bits, b_, value, kind, source)                                                         \
	do {                                                                                       \
		uint##bits##_t a = SOFT_GET(bits, i->dst), b = (uint##bits##_t)(b_);               \
		uint##bits##_t v = (uint##bits##_t)(value);                                        \
		SOFT_PUT(bits, i->dst, v);                                                         \
		FLAGS_SET(kind, bits, v, source);                                                  \
	} while (0)
#define IN_PAGE(bits, tag) SOFT_LIKELY(((tag) ^ la) <= 4096 - (bits) / 8)
/* The bytes at @address, which `p` is left pointing to, for a statement. */
#define WITH_BYTES(bits, address, tag, miss, statement)                                            \
	do {                                                                                       \
		uint64_t la = (address);                                                           \
		const struct tlb_entry *e = soft_tlb_entry(c, la);                                 \
		soft_u##bits *p;                                                                   \
		if (!IN_PAGE(bits, e->tag))                                                        \
			miss; /* NOLINT(bugprone-macro-parentheses) */                             \
		p = (soft_u##bits *)(e->host + (la ^ e->tag));                                     \
		statement;                                                                         \
	} while (0)
#define LOAD(bits, address, miss) WITH_BYTES(bits, address, rtag, miss, SOFT_PUT(bits, i->dst, *p))
#define STORE(bits, address, miss)                                                                 \
	WITH_BYTES(bits, address, wtag, miss, *p = SOFT_GET(bits, i->src))

#define DO_mov_rr(bits, miss) SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->src))
#define DO_mov_ri(bits, miss) SOFT_PUT(bits, i->dst, i->imm)
#define DO_add_rr(bits, miss) ALU(bits, SOFT_GET(bits, i->src), a + b, FLAGS_ADD, b)
#define DO_add_ri(bits, miss) ALU(bits, i->imm, a + b, FLAGS_ADD, b)
#define DO_sub_rr(bits, miss) ALU(bits, SOFT_GET(bits, i->src), a - b, FLAGS_SUB, b)
#define DO_sub_ri(bits, miss) ALU(bits, i->imm, a - b, FLAGS_SUB, b)
#define DO_and_ri(bits, miss) ALU(bits, i->imm, a &b, FLAGS_LOGIC, 0)
#define DO_and_rr(bits, miss) ALU(bits, SOFT_GET(bits, i->src), a &b, FLAGS_LOGIC, 0)
#define DO_xor_rr(bits, miss) ALU(bits, SOFT_GET(bits, i->src), a ^ b, FLAGS_LOGIC, 0)
#define DO_shl_ri(bits, miss)                                                                      \
	SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->dst) << (i->imm & ((bits)-1)))
#define DO_shr_ri(bits, miss)                                                                      \
	SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->dst) >> (i->imm & ((bits)-1)))
#define DO_imul_rr(bits, miss)                                                                     \
	SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->dst) * SOFT_GET(bits, i->src))
#define DO_imul_rri(bits, miss)                                                                    \
	SOFT_PUT(bits, i->dst, SOFT_GET(bits, i->src) * (uint##bits##_t)i->imm)
#define DO_lea(bits, miss)	   SOFT_PUT(bits, i->dst, SOFT_EA())
#define DO_lea_base(bits, miss)	   SOFT_PUT(bits, i->dst, SOFT_EA_BASE())
#define DO_mov_rm(bits, miss)	   LOAD(bits, SOFT_EA(), miss)
#define DO_mov_rm_base(bits, miss) LOAD(bits, SOFT_EA_BASE(), miss)
#define DO_mov_mr(bits, miss)	   STORE(bits, SOFT_EA(), miss)
#define DO_mov_mr_base(bits, miss) STORE(bits, SOFT_EA_BASE(), miss)
#define DO_add_rm(bits, miss)                                                                      \
	WITH_BYTES(bits, SOFT_EA(), rtag, miss, ALU(bits, *p, a + b, FLAGS_ADD, b))
#define DO_movzx_r8(bits, miss)	 SOFT_PUT(bits, i->dst, SOFT_GET(8, i->src))
#define DO_movsx_r32(bits, miss) SOFT_PUT(bits, i->dst, (int32_t)SOFT_GET(32, i->src))
#define DO_movzx_m8(bits, miss)	 WITH_BYTES(8, SOFT_EA(), rtag, miss, SOFT_PUT(bits, i->dst, *p))
/* RSP moves behind the access; PUSH RSP and POP RSP are right too. */
#define DO_push(bits, miss)                                                                        \
	WITH_BYTES(bits, c->r[X86_RSP] - (bits) / 8, wtag, miss,                                   \
		   (*p = SOFT_GET(bits, i->src), c->r[X86_RSP] = la))
#define DO_pop(bits, miss)                                                                         \
	WITH_BYTES(bits, c->r[X86_RSP], rtag, miss,                                                \
		   (c->r[X86_RSP] = la + (bits) / 8, SOFT_PUT(bits, i->dst, *p)))

/* MAKE(name, bits, tables by width of the handlers of the operation alone: with flags, without). */
#define OPERATIONS(MAKE, ...)                                                                      \
	MAKE(mov_rr, 32, soft_mov_forms.rr, soft_mov_forms.rr, ##__VA_ARGS__)                      \
	MAKE(mov_rr, 64, soft_mov_forms.rr, soft_mov_forms.rr, ##__VA_ARGS__)                      \
	MAKE(mov_ri, 32, soft_mov_forms.ri, soft_mov_forms.ri, ##__VA_ARGS__)                      \
	MAKE(add_rr, 32, soft_add_forms.rr, soft_add_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(add_rr, 64, soft_add_forms.rr, soft_add_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(add_ri, 32, soft_add_forms.ri, soft_add_quiet.ri, ##__VA_ARGS__)                      \
	MAKE(add_ri, 64, soft_add_forms.ri, soft_add_quiet.ri, ##__VA_ARGS__)                      \
	MAKE(sub_rr, 32, soft_sub_forms.rr, soft_sub_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(sub_rr, 64, soft_sub_forms.rr, soft_sub_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(sub_ri, 64, soft_sub_forms.ri, soft_sub_quiet.ri, ##__VA_ARGS__)                      \
	MAKE(and_ri, 32, soft_and_forms.ri, soft_and_quiet.ri, ##__VA_ARGS__)                      \
	MAKE(and_rr, 32, soft_and_forms.rr, soft_and_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(xor_rr, 32, soft_xor_forms.rr, soft_xor_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(xor_rr, 64, soft_xor_forms.rr, soft_xor_quiet.rr, ##__VA_ARGS__)                      \
	MAKE(shl_ri, 32, soft_shl_quiet_ri, soft_shl_quiet_ri, ##__VA_ARGS__)                      \
	MAKE(shl_ri, 64, soft_shl_quiet_ri, soft_shl_quiet_ri, ##__VA_ARGS__)                      \
	MAKE(shr_ri, 32, soft_shr_quiet_ri, soft_shr_quiet_ri, ##__VA_ARGS__)                      \
	MAKE(shr_ri, 64, soft_shr_quiet_ri, soft_shr_quiet_ri, ##__VA_ARGS__)                      \
	MAKE(imul_rr, 32, soft_imul_quiet_rr, soft_imul_quiet_rr, ##__VA_ARGS__)                   \
	MAKE(imul_rr, 64, soft_imul_quiet_rr, soft_imul_quiet_rr, ##__VA_ARGS__)                   \
	MAKE(imul_rri, 32, soft_imul_quiet_rri, soft_imul_quiet_rri, ##__VA_ARGS__)                \
	MAKE(imul_rri, 64, soft_imul_quiet_rri, soft_imul_quiet_rri, ##__VA_ARGS__)                \
	MAKE(lea, 32, soft_lea, soft_lea, ##__VA_ARGS__)                                           \
	MAKE(lea, 64, soft_lea, soft_lea, ##__VA_ARGS__)                                           \
	MAKE(lea_base, 64, soft_lea_base, soft_lea_base, ##__VA_ARGS__)                            \
	MAKE(mov_rm, 32, soft_mov_forms.rm, soft_mov_forms.rm, ##__VA_ARGS__)                      \
	MAKE(mov_rm, 64, soft_mov_forms.rm, soft_mov_forms.rm, ##__VA_ARGS__)                      \
	MAKE(mov_rm_base, 32, soft_mov_base_forms.rm, soft_mov_base_forms.rm, ##__VA_ARGS__)       \
	MAKE(mov_rm_base, 64, soft_mov_base_forms.rm, soft_mov_base_forms.rm, ##__VA_ARGS__)       \
	MAKE(mov_mr, 32, soft_mov_forms.mr, soft_mov_forms.mr, ##__VA_ARGS__)                      \
	MAKE(mov_mr, 64, soft_mov_forms.mr, soft_mov_forms.mr, ##__VA_ARGS__)                      \
	MAKE(mov_mr_base, 32, soft_mov_base_forms.mr, soft_mov_base_forms.mr, ##__VA_ARGS__)       \
	MAKE(mov_mr_base, 64, soft_mov_base_forms.mr, soft_mov_base_forms.mr, ##__VA_ARGS__)       \
	MAKE(add_rm, 32, soft_add_forms.rm, soft_add_forms.rm, ##__VA_ARGS__)                      \
	MAKE(add_rm, 64, soft_add_forms.rm, soft_add_forms.rm, ##__VA_ARGS__)                      \
	MAKE(movzx_r8, 32, soft_movzx_r8, soft_movzx_r8, ##__VA_ARGS__)                            \
	MAKE(movsx_r32, 64, soft_movsx_r32, soft_movsx_r32, ##__VA_ARGS__)                         \
	MAKE(movzx_m8, 32, soft_movzx_m8, soft_movzx_m8, ##__VA_ARGS__)                            \
	MAKE(push, 64, soft_push_reg[1], soft_push_reg[1], ##__VA_ARGS__)                          \
	MAKE(pop, 64, soft_pop_reg[1], soft_pop_reg[1], ##__VA_ARGS__)

/* Inside OPERATIONS the name of a macro that makes OPERATIONS once more, when NOW looks again. */
#define NOTHING()
#define OPERATIONS_AGAIN() OPERATIONS
#define AGAIN		   OPERATIONS_AGAIN NOTHING()()
#define NOW(...)	   __VA_ARGS__

#define INDEX(name, bits, loud, quiet) INDEX_##name##_##bits,
enum { OPERATIONS(INDEX) OPERATION_COUNT };

struct operation {
	soft_op_fn *const *loud, *const *quiet;
};
#define OPERATION(name, bits, loud, quiet)                                                         \
	{&(loud)[FLAGS_WIDTH(bits)], &(quiet)[FLAGS_WIDTH(bits)]},
static const struct operation OPERATION_TABLE[] = {OPERATIONS(OPERATION)};

#ifdef SOFT_LOOP
/* A compiler with sanitizers takes a minute for as many bodies as there are pairs.  Where speed
 * does not matter each operation has one; NULL: memory is not at hand, and nothing was done. */
#define STEP(name, bits, loud, quiet)                                                              \
	GUEST_RACE static SOFT_COLD soft_ret step_##name##_##bits(SOFT_ARGS)                       \
	{                                                                                          \
		DO_##name(bits, return NULL);                                                      \
		SOFT_NEXT();                                                                       \
	}                                                                                          \
	static SOFT_COLD soft_ret then_##name##_##bits(const struct insn *i, struct soft_cpu *c)   \
	{                                                                                          \
		soft_ret next = step_##name##_##bits(i, c, c->fr, c->fs, c->fo, c->left);          \
		return next ? next : i;                                                            \
	}
OPERATIONS(STEP)
#define HANDLER(second, second_bits, loud_, quiet_, first, first_bits, loud, quiet)                \
	static soft_ret first##_##first_bits##_##second##_##second_bits(SOFT_ARGS)                 \
	{                                                                                          \
		if (!step_##first##_##first_bits(SOFT_PASS(i)))                                    \
			return (loud)[FLAGS_WIDTH(first_bits)](SOFT_PASS(i));                      \
		return then_##second##_##second_bits(i + 1, c);                                    \
	}
#else
#define HANDLER(second, second_bits, loud_, quiet_, first, first_bits, loud, quiet)                \
	GUEST_RACE static soft_ret first##_##first_bits##_##second##_##second_bits(SOFT_ARGS)      \
	{                                                                                          \
		DO_##first(first_bits, return (loud)[FLAGS_WIDTH(first_bits)](SOFT_PASS(i)));      \
		i++;                                                                               \
		DO_##second(second_bits, SOFT_GO(i));                                              \
		SOFT_NEXT();                                                                       \
	}
#endif
#define HANDLERS(first, ...) AGAIN(HANDLER, first, __VA_ARGS__)
NOW(OPERATIONS(HANDLERS))

#define ENTRY(second, second_bits, loud_, quiet_, first, first_bits, loud, quiet)                  \
	first##_##first_bits##_##second##_##second_bits,
#define ENTRIES(first, ...) {AGAIN(ENTRY, first, __VA_ARGS__)},
static soft_op_fn *const PAIRS[OPERATION_COUNT][OPERATION_COUNT] = {NOW(OPERATIONS(ENTRIES))};

/* OPERATION_COUNT: none of them. */
static unsigned operation_of(const struct insn *i)
{
	unsigned n = 0;

	while (n < OPERATION_COUNT && i->fn != *OPERATION_TABLE[n].loud &&
	       i->fn != *OPERATION_TABLE[n].quiet)
		n++;
	return n;
}

void soft_pair_slots(struct insn *i, const struct insn *end)
{
	unsigned last = OPERATION_COUNT;

	for (; i < end; i++) {
		unsigned now = operation_of(i);

		if (last < OPERATION_COUNT && now < OPERATION_COUNT) {
			i[-1].fn = PAIRS[last][now];
			now = OPERATION_COUNT;
		}
		last = now;
	}
}
