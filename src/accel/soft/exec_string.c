/* String instructions: MOVS, STOS, LODS, SCAS, CMPS, with and without repetition.
 * Each iteration counts as an instruction and may be the last before an event: registers are true
 * after each, and a repetition that does not end leaves with RIP on the instruction.  A fault
 * leaves the iterations before it done and the flags untouched.  Runs within pages that the
 * micro-TLB has are moved at once. Source: SDM 2B MOVS, STOS, REP (the order of checks, flags at a
 * fault); SDM 1 7.3.9. */
#include "access.h"
#include "exec_int.h"
#include "seg.h"

#include <string.h>

#define PAGE_BYTES 4096u

enum repeat {
	ONCE,
	REPEAT,		 /* MOVS, STOS, LODS: either prefix */
	REPEAT_EQUAL,	 /* SCAS, CMPS: while ZF=1 */
	REPEAT_NOT_EQUAL /* while ZF=0 */
};

/* What translation found out, in imm. */
#define STRING_IMM(size, seg, address_bits, repeat)                                                \
	((uint64_t)(size) | (uint64_t)(seg) << 8 | (uint64_t)(address_bits) << 16 |                \
	 (uint64_t)(repeat) << 24)

/* One execution. */
struct string {
	struct soft_cpu *c;
	unsigned size; /* of an element */
	unsigned seg;  /* of the source */
	uint64_t mask; /* of addresses and count */
	int64_t step;  /* to the next element */
	bool is_code64;
	enum repeat repeat;
	uint64_t a, b; /* SCAS, CMPS: what was compared last */
};

/* Do up to @most iterations, at least 1; move the index registers; return how many. */
typedef uint64_t string_fn(struct string *s, uint64_t most);

static struct string string_of(struct soft_cpu *c, const struct insn *i)
{
	unsigned size = i->imm & 0xff, address_bits = (i->imm >> 16) & 0xff;

	return (struct string){
		.c = c,
		.size = size,
		.seg = (i->imm >> 8) & 0xff,
		.mask = ~0ull >> (64 - address_bits),
		.step = c->rflags & X86_RFLAGS_DF ? -(int64_t)size : (int64_t)size,
		.is_code64 = (c->mode & SOFT_CODE_MASK) == SOFT_CODE64,
		.repeat = (enum repeat)(i->imm >> 24),
	};
}

/* Registers as wide as the address size. */

static uint64_t get_reg(const struct string *s, unsigned reg)
{
	return s->c->r[reg] & s->mask;
}

/* A 32-bit write clears the upper half, a 16-bit one keeps what is above. */
static void put_reg(struct string *s, unsigned reg, uint64_t value)
{
	uint64_t kept = s->mask == 0xffff ? s->c->r[reg] & ~s->mask : 0;

	s->c->r[reg] = kept | (value & s->mask);
}

static void advance(struct string *s, unsigned reg, uint64_t count)
{
	put_reg(s, reg, s->c->r[reg] + (uint64_t)s->step * count);
}

/* Elements. */

static gva_t element(const struct string *s, unsigned seg, unsigned reg, bool is_write)
{
	uint64_t offset = get_reg(s, reg);

	if (s->is_code64 && seg != X86_FS && seg != X86_GS)
		return offset;
	return soft_seg_address(s->c, seg, offset, s->size, is_write);
}

static gva_t source(const struct string *s)
{
	return element(s, s->seg, X86_RSI, false);
}

static gva_t destination(const struct string *s, bool is_write)
{
	return element(s, X86_ES, X86_RDI, is_write);
}

static uint64_t load(struct string *s, gva_t la)
{
	const struct tlb_entry *e = soft_tlb_entry(s->c, la);
	uint64_t offset = la ^ e->rtag, value = 0;

	if (offset > PAGE_BYTES - s->size)
		return soft_load(s->c, la, s->size);
	soft_guest_copy(&value, e->host + offset, s->size);
	return value;
}

/* Runs. */

/* Elements from @la on that lie in its page, and whose offsets neither wrap nor leave a segment of
 * the ordinary kind: the first is known to be inside. */
static uint64_t room(const struct string *s, unsigned seg, unsigned reg, gva_t la)
{
	uint64_t bytes = PAGE_BYTES - (la & (PAGE_BYTES - 1)), offset = get_reg(s, reg);
	const struct x86_seg *descriptor = &s->c->seg[seg];
	bool expands_down = (descriptor->type & 12) == 4;

	if (!s->is_code64 && expands_down)
		return 0;
	if (!s->is_code64 && descriptor->limit - offset < bytes)
		bytes = descriptor->limit - offset + 1;
	if (s->mask - offset < bytes)
		bytes = s->mask - offset + 1;
	return bytes / s->size;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The bytes at @la where the micro-TLB has them for @is_write; NULL = ask tlb.c. */
static uint8_t *host_bytes(const struct string *s, gva_t la, bool is_write)
{
	const struct tlb_entry *e = soft_tlb_entry(s->c, la);
	uint64_t offset = la ^ (is_write ? e->wtag : e->rtag);

	return offset <= PAGE_BYTES - s->size ? e->host + offset : NULL;
}

/* MOVS upwards.  Where the destination lies a little above the source, elements that were just
 * written are read again: then only as many are moved as do not overlap.  Returns how many. */
static uint64_t move_run(struct string *s, gva_t from, gva_t to, uint64_t most)
{
	const uint8_t *src = host_bytes(s, from, false);
	uint8_t *dst = host_bytes(s, to, true);
	uint64_t count =
		least(most, least(room(s, s->seg, X86_RSI, from), room(s, X86_ES, X86_RDI, to)));

	if (!src || !dst || s->step < 0)
		return 0;
	if ((uintptr_t)dst - (uintptr_t)src < count * s->size)
		count = ((uintptr_t)dst - (uintptr_t)src) / s->size;
	soft_guest_copy(dst, src, count * s->size);
	return count;
}

static uint64_t step_movs(struct string *s, uint64_t most)
{
	gva_t from = source(s), to = destination(s, true);
	uint64_t count = most > 1 ? move_run(s, from, to, most) : 0;

	if (count == 0) {
		soft_store(s->c, to, s->size, load(s, from));
		count = 1;
	}
	advance(s, X86_RSI, count);
	advance(s, X86_RDI, count);
	return count;
}

static void fill(uint8_t *dst, const uint8_t *value, unsigned size, uint64_t count)
{
	if (size == 1)
		soft_guest_set(dst, *value, count);
	else
		for (uint64_t n = 0; n < count; n++)
			soft_guest_copy(dst + n * size, value, size);
}

static uint64_t step_stos(struct string *s, uint64_t most)
{
	gva_t to = destination(s, true);
	uint8_t *dst = s->step > 0 ? host_bytes(s, to, true) : NULL;
	uint64_t value = s->c->r[X86_RAX],
		 count = dst ? least(most, room(s, X86_ES, X86_RDI, to)) : 0;

	if (count == 0) {
		soft_store(s->c, to, s->size, value);
		count = 1;
	} else {
		fill(dst, (const uint8_t *)&value, s->size, count);
	}
	advance(s, X86_RDI, count);
	return count;
}

static uint64_t step_lods(struct string *s, uint64_t most)
{
	uint64_t value = load(s, source(s));

	(void)most;
	advance(s, X86_RSI, 1);
	if (s->size >= 4)
		s->c->r[X86_RAX] = value;
	else
		memcpy(&s->c->r[X86_RAX], &value, s->size);
	return 1;
}

/* Comparisons end when ZF says so. */

static bool is_over(const struct string *s)
{
	switch (s->repeat) {
	case REPEAT_EQUAL:
		return s->a != s->b;
	case REPEAT_NOT_EQUAL:
		return s->a == s->b;
	case ONCE:
	case REPEAT:
		break;
	}
	return false;
}

static uint64_t step_scas(struct string *s, uint64_t most)
{
	(void)most;
	s->b = load(s, destination(s, false));
	s->a = s->c->r[X86_RAX] & (~0ull >> (64 - 8 * s->size));
	advance(s, X86_RDI, 1);
	return 1;
}

static uint64_t step_cmps(struct string *s, uint64_t most)
{
	gva_t from = source(s), to = destination(s, false);

	(void)most;
	s->a = load(s, from);
	s->b = load(s, to);
	advance(s, X86_RSI, 1);
	advance(s, X86_RDI, 1);
	return 1;
}

static bool compares(string_fn *step)
{
	return step == step_scas || step == step_cmps;
}

/* The flags of the last comparison: a - b. */
static void set_flags(struct string *s)
{
	struct soft_cpu *c = s->c;

	c->fr = (s->a - s->b) & (~0ull >> (64 - 8 * s->size));
	c->fs = s->b;
	c->fo = FLAGS_OP(FLAGS_SUB, 8 * s->size);
}

/* Repetition. */

static bool must_leave(const struct soft_cpu *c)
{
	return c->left < 0 || (c->mode & SOFT_STEP) ||
	       atomic_load_explicit(&c->pend, memory_order_relaxed);
}

/* Back to the loop with RIP on the instruction: it has not retired, and neither have those behind
 * it in the block. */
static void leave_between(struct soft_cpu *c)
{
	c->rip = soft_rip(c);
	c->left += soft_rest_of_block(c);
	c->cur = NULL;
	c->left_repeat_at = soft_count(c);
}

/* Returns false when it has left in the middle.  The block has counted one instruction; iterations
 * are counted as they are done, so that one that faults finds the count right, and the block's is
 * given back at the end. */
static bool repeat(struct string *s, string_fn *step)
{
	struct soft_cpu *c = s->c;
	uint64_t rest = get_reg(s, X86_RCX);

	if (rest == 0)
		return true;
	do {
		uint64_t most = least(rest, (uint64_t)c->left + 1);
		uint64_t done = step(s, c->mode & SOFT_STEP ? 1 : most);

		rest -= done;
		put_reg(s, X86_RCX, rest);
		c->left -= (int64_t)done;
	} while (rest != 0 && !is_over(s) && !must_leave(c));
	if (compares(step))
		set_flags(s);
	if (rest != 0 && !is_over(s)) {
		leave_between(c);
		return false;
	}
	c->left++;
	return true;
}

static bool run(struct soft_cpu *c, const struct insn *i, string_fn *step)
{
	struct string s = string_of(c, i);

	if (s.repeat != ONCE)
		return repeat(&s, step);
	step(&s, 1);
	if (compares(step))
		set_flags(&s);
	return true;
}

#define STRING_OP(name)                                                                            \
	SOFT_OP(name)                                                                              \
	{                                                                                          \
		bool is_done;                                                                      \
		SOFT_SPILL();                                                                      \
		is_done = run(c, i, step_##name);                                                  \
		SOFT_RELOAD();                                                                     \
		if (is_done)                                                                       \
			SOFT_NEXT();                                                               \
		SOFT_LEAVE();                                                                      \
	}
STRING_OP(movs)
STRING_OP(stos)
STRING_OP(lods)
STRING_OP(scas)
STRING_OP(cmps)

/* Emission. */

/* The last of the prefixes F2 and F3 counts; 0 = none. */
static uint8_t repeat_prefix(const struct tr *t)
{
	uint8_t prefix = 0;

	for (unsigned n = 0; n < t->z->raw.prefix_count; n++) {
		uint8_t value = t->z->raw.prefixes[n].value;

		if (value == 0xf2 || value == 0xf3)
			prefix = value;
	}
	return prefix;
}

static enum repeat repeat_of(const struct tr *t, bool is_comparison)
{
	uint8_t prefix = repeat_prefix(t);

	if (prefix == 0)
		return ONCE;
	if (!is_comparison)
		return REPEAT;
	return prefix == 0xf3 ? REPEAT_EQUAL : REPEAT_NOT_EQUAL;
}

/* The source is the operand at rSI; its segment may be overridden. */
static unsigned source_segment(const struct tr *t)
{
	for (unsigned n = 0; n < t->z->operand_count; n++) {
		const ZydisDecodedOperand *op = &t->op[n];

		if (tr_is_mem(op) && ZydisRegisterGetId(op->mem.base) == X86_RSI)
			return soft_mem_segment(op);
	}
	return X86_DS;
}

static bool emit(struct tr *t, soft_op_fn *fn, bool is_comparison)
{
	struct insn *i = tr_slot(t, fn);

	i->imm = STRING_IMM(t->operand_bits / 8, source_segment(t), t->address_bits,
			    repeat_of(t, is_comparison));
	return true;
}

static bool emit_movs(struct tr *t)
{
	return emit(t, movs, false);
}

static bool emit_stos(struct tr *t)
{
	return emit(t, stos, false);
}

static bool emit_lods(struct tr *t)
{
	return emit(t, lods, false);
}

static bool emit_scas(struct tr *t)
{
	return emit(t, scas, true);
}

static bool emit_cmps(struct tr *t)
{
	return emit(t, cmps, true);
}

/* Two mnemonics name an SSE instruction as well. */
static bool is_string(const struct tr *t)
{
	return t->z->meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static bool emit_movsd(struct tr *t)
{
	return is_string(t) ? emit_movs(t) : tr_sse_movsd(t);
}

static bool emit_cmpsd(struct tr *t)
{
	return is_string(t) ? emit_cmps(t) : tr_sse_cmpsd(t);
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_MOVSB, 0, emit_movs},  {ZYDIS_MNEMONIC_MOVSW, 0, emit_movs},
	{ZYDIS_MNEMONIC_MOVSD, 0, emit_movsd}, {ZYDIS_MNEMONIC_MOVSQ, 0, emit_movs},
	{ZYDIS_MNEMONIC_STOSB, 0, emit_stos},  {ZYDIS_MNEMONIC_STOSW, 0, emit_stos},
	{ZYDIS_MNEMONIC_STOSD, 0, emit_stos},  {ZYDIS_MNEMONIC_STOSQ, 0, emit_stos},
	{ZYDIS_MNEMONIC_LODSB, 0, emit_lods},  {ZYDIS_MNEMONIC_LODSW, 0, emit_lods},
	{ZYDIS_MNEMONIC_LODSD, 0, emit_lods},  {ZYDIS_MNEMONIC_LODSQ, 0, emit_lods},
	{ZYDIS_MNEMONIC_SCASB, 0, emit_scas},  {ZYDIS_MNEMONIC_SCASW, 0, emit_scas},
	{ZYDIS_MNEMONIC_SCASD, 0, emit_scas},  {ZYDIS_MNEMONIC_SCASQ, 0, emit_scas},
	{ZYDIS_MNEMONIC_CMPSB, 0, emit_cmps},  {ZYDIS_MNEMONIC_CMPSW, 0, emit_cmps},
	{ZYDIS_MNEMONIC_CMPSD, 0, emit_cmpsd}, {ZYDIS_MNEMONIC_CMPSQ, 0, emit_cmps},
};
const struct soft_rows soft_rows_string = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
