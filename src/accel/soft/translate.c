/* From instruction bytes to blocks of slots: decodes with Zydis, makes the checks that depend on
 * the mode and the prefixes only, and lets the row of the mnemonic write the slots.
 * The model is x86-64-v2: newer encodings of older instructions (TZCNT as BSF, ENDBR as NOP) keep
 * their old meaning, and VEX, EVEX, XOP and 3DNow! do not exist.
 * Exceptions found here become slots that raise when they are executed. */
#include "translate.h"
#include "access.h"
#include "points.h"

#include <errno.h>
#include <stdlib.h>

/* Bytes of code that one block can have; offsets in insn.place reach that far. */
#define WINDOW_BYTES (SOFT_BLOCK_MAX * X86_INSN_MAX)

static const struct soft_rows *const ALL_ROWS[] = {
	&soft_rows_alu,	   &soft_rows_move,  &soft_rows_shift, &soft_rows_bit,	  &soft_rows_muldiv,
	&soft_rows_branch, &soft_rows_stack, &soft_rows_lock,  &soft_rows_string, &soft_rows_sys,
	&soft_rows_io,	   &soft_rows_far,   &soft_rows_int,   &soft_rows_x87,	  &soft_rows_fpu,
	&soft_rows_mmx,	   &soft_rows_sse,
};

/* The block in the making. */
struct maker {
	struct tr t;
	struct soft_cpu *c;
	struct insn *first;
	unsigned count;	 /* guest instructions so far */
	unsigned offset; /* of the next one, in bytes */
	uint64_t start;	 /* RIP of the block */
	gpa_t gpa;	 /* likewise */
	gpa_t gpa2;
	bool is_done;
	uint8_t byte[WINDOW_BYTES];
	unsigned len;	   /* valid bytes */
	bool is_limit_end; /* the CS limit lies behind them, else the page's end or more code */
	ZydisDecoder decoder;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct flag_use use[SOFT_BLOCK_MAX];
};

/* The table of rows. */

int soft_rows_init(struct soft_vm *vm)
{
	vm->row = calloc(ZYDIS_MNEMONIC_MAX_VALUE + 1, sizeof(struct soft_row *));
	if (!vm->row)
		return -ENOMEM;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(ALL_ROWS); i++) {
		for (unsigned n = 0; n < ALL_ROWS[i]->count; n++) {
			const struct soft_row *row = &ALL_ROWS[i]->row[n];

			vm->row[row->mnemonic] = row;
		}
	}
	return 0;
}

void soft_rows_end(struct soft_vm *vm)
{
	free(vm->row);
	vm->row = NULL;
}

/* Exceptions. */

/* i->imm = vector; #GP comes with error code 0. */
static void raise_vector(struct soft_cpu *c, const struct insn *i)
{
	if (i->imm == X86_EXC_GP)
		soft_raise_error(c, X86_EXC_GP, 0);
	soft_raise(c, (enum x86_vector)i->imm);
}

soft_ret op_raise(SOFT_ARGS)
{
	SOFT_SPILL();
	raise_vector(c, i);
	SOFT_LEAVE();
}

bool tr_raise(struct tr *t, enum x86_vector vector)
{
	struct insn *i = tr_slot(t, op_raise);

	i->imm = vector;
	t->is_end = true;
	return true;
}

/* MMX: CR0.EM comes before CR0.TS (SDM 2A 2.5.2), and the mode does not tell them apart. */
static void raise_no_mmx(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	soft_raise(c, c->cr0 & X86_CR0_EM ? X86_EXC_UD : X86_EXC_NM);
}
SOFT_PLAIN_END(raise_no_mmx)

/* CPL 1 and 2 share their mode with CPL 0. */
static void check_cpl0(struct soft_cpu *c, const struct insn *i)
{
	(void)i;
	if (c->cpl != 0)
		soft_raise_error(c, X86_EXC_GP, 0);
}
SOFT_PLAIN(check_cpl0)

/* Slots. */

struct insn *tr_slot(struct tr *t, soft_op_fn *fn)
{
	struct insn *i = t->out++;

	*i = (struct insn){
		.fn = fn,
		.base = TR_SLOT_OFFSET(SLOT_ZERO),
		.index = TR_SLOT_OFFSET(SLOT_ZERO),
		.seg_len = (uint8_t)(t->seg << 4 | t->z->length),
		.place = t->place,
	};
	return i;
}

uint8_t tr_reg(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (uint8_t)((reg - ZYDIS_REGISTER_AH) * 8 + 1);
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (uint8_t)((reg - ZYDIS_REGISTER_SPL + X86_RSP) * 8);
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15)
		return (uint8_t)(ZydisRegisterGetId(reg) * 8);
	return TR_SLOT_OFFSET(SLOT_ZERO);
}

/* Decoding. */

static bool init_decoder(ZydisDecoder *decoder, uint32_t mode)
{
	/* What the model does not have; each of these gives bytes of older instructions another
	 * meaning. */
	static const ZydisDecoderMode OFF[] = {
		ZYDIS_DECODER_MODE_MPX,		 ZYDIS_DECODER_MODE_CET,
		ZYDIS_DECODER_MODE_LZCNT,	 ZYDIS_DECODER_MODE_TZCNT,
		ZYDIS_DECODER_MODE_WBNOINVD,	 ZYDIS_DECODER_MODE_CLDEMOTE,
		ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC,
	};
	static const ZydisMachineMode MACHINE[3][2] = {
		[SOFT_CODE16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LONG_COMPAT_16},
		[SOFT_CODE32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32},
		[SOFT_CODE64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_64},
	};
	ZydisMachineMode machine = MACHINE[mode & SOFT_CODE_MASK][!!(mode & SOFT_LONG)];
	ZydisStackWidth stack = mode & SOFT_STACK64   ? ZYDIS_STACK_WIDTH_64
				: mode & SOFT_STACK32 ? ZYDIS_STACK_WIDTH_32
						      : ZYDIS_STACK_WIDTH_16;

	if (ZYAN_FAILED(ZydisDecoderInit(decoder, machine, stack)))
		return false;
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(OFF); i++)
		ZydisDecoderEnableMode(decoder, OFF[i], ZYAN_FALSE);
	return true;
}

static bool has_limit(uint32_t mode)
{
	return (mode & SOFT_CODE_MASK) != SOFT_CODE64 && !(mode & SOFT_FLAT);
}

/* Only branches with 16-bit operands truncate EIP to 16 bits.  Behind offset FFFF 16-bit code goes
 * on as far as CS has bytes: not at all in plain real mode (SDM 3B 22.40.1). */
static uint64_t truncate_rip(uint32_t mode, uint64_t rip)
{
	return (mode & SOFT_CODE_MASK) == SOFT_CODE64 ? rip : (uint32_t)rip;
}

static gva_t linear_of(const struct soft_cpu *c, uint64_t rip)
{
	if ((c->mode & SOFT_CODE_MASK) == SOFT_CODE64)
		return rip;
	return (uint32_t)(c->seg[X86_CS].base + rip);
}

/* Bytes from @rip on that the CS limit allows; the first is within (block.c). */
static size_t room_in_segment(const struct soft_cpu *c, uint64_t rip)
{
	return has_limit(c->mode) ? (size_t)(c->seg[X86_CS].limit - rip + 1) : SIZE_MAX;
}

/* The bytes of the block: to the end of the page, of the segment, or as many as fit. */
static void fill_window(struct maker *m)
{
	size_t room = room_in_segment(m->c, m->start);
	size_t want = m->c->mode & SOFT_STEP ? X86_INSN_MAX : sizeof(m->byte);
	gpa_t gpa;

	m->is_limit_end = room <= want;
	if (room < want)
		want = room;
	m->len = (unsigned)soft_fetch(m->c, linear_of(m->c, m->start), m->byte, want, &gpa);
	if (m->len < want)
		m->is_limit_end = false;
}

/* The first instruction goes on in the next page: fetch the rest of it, which may raise. */
static bool extend_window(struct maker *m)
{
	size_t want = X86_INSN_MAX - m->len;
	size_t room = room_in_segment(m->c, m->start);

	if (m->is_limit_end || m->len >= X86_INSN_MAX || m->gpa2 != ~(gpa_t)0)
		return false;
	if (room <= X86_INSN_MAX) {
		m->is_limit_end = true;
		want = room - m->len;
	}
	m->len += (unsigned)soft_fetch(m->c, linear_of(m->c, m->start + m->len), m->byte + m->len,
				       want, &m->gpa2);
	return true;
}

/* Zydis 4.0 names a base register where SIB says that there is none (base 101 with mod 00) if REX.B
 * is set and addresses have 32 bits, and drops the displacement (SDM 2A table 2-3, 2.2.1.2). */
static void mend_sib(struct maker *m)
{
	if (!(m->z.attributes & ZYDIS_ATTRIB_HAS_SIB) || m->z.raw.modrm.mod != 0 ||
	    m->z.raw.sib.base != 5)
		return;
	for (unsigned i = 0; i < m->z.operand_count_visible; i++) {
		if (!tr_is_mem(&m->op[i]))
			continue;
		m->op[i].mem.base = ZYDIS_REGISTER_NONE;
		m->op[i].mem.disp.has_displacement = ZYAN_TRUE;
		m->op[i].mem.disp.value = m->z.raw.disp.value;
	}
}

/* F3 90 with REX.B is XCHG with R8 and not PAUSE, as Zydis says: decode it without the prefix. */
static ZyanStatus decode_xchg(struct maker *m)
{
	uint8_t bytes[X86_INSN_MAX];

	memcpy(bytes, m->byte + m->offset, m->z.length);
	for (unsigned i = 0; i < m->z.raw.prefix_count; i++) {
		if (bytes[i] == 0xf3)
			bytes[i] = 0x3e; /* means nothing in 64-bit mode */
	}
	return ZydisDecoderDecodeFull(&m->decoder, bytes, m->z.length, &m->z, m->op);
}

static ZyanStatus decode(struct maker *m)
{
	ZyanStatus status = ZydisDecoderDecodeFull(&m->decoder, m->byte + m->offset,
						   m->len - m->offset, &m->z, m->op);

	if (ZYAN_FAILED(status))
		return status;
	mend_sib(m);
	if (m->z.mnemonic == ZYDIS_MNEMONIC_PAUSE && m->z.raw.rex.B)
		return decode_xchg(m);
	return status;
}

/* Segment of the stack for what pushes or pops implicitly. */
static uint8_t implicit_segment(const struct maker *m)
{
	for (unsigned i = m->z.operand_count_visible; i < m->z.operand_count; i++) {
		if (m->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    m->op[i].mem.segment == ZYDIS_REGISTER_SS)
			return X86_SS;
	}
	return X86_DS;
}

/* One instruction. */

static bool is_lock_legal(const struct maker *m, const struct soft_row *row)
{
	if (!(row->flags & ROW_LOCK))
		return false;
	for (unsigned i = 0; i < m->z.operand_count_visible; i++) {
		if (tr_is_mem(&m->op[i]) && (m->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
	}
	return false;
}

/* #UD by the mode alone. */
static bool is_undefined(const struct maker *m, const struct soft_row *row)
{
	uint32_t mode = m->t.mode;

	if (!row || m->z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return true;
	if ((row->flags & ROW_PROTECTED) && !(mode & SOFT_PROTECTED))
		return true;
	if ((row->flags & ROW_NO64) && (mode & SOFT_CODE_MASK) == SOFT_CODE64)
		return true;
	if ((row->flags & ROW_SSE) && (mode & SOFT_SSE_UD))
		return true;
	return m->t.is_locked && !is_lock_legal(m, row);
}

/* Slots that come before the row's own: checks that raise.  False: nothing else is to come. */
static bool emit_checks(struct maker *m, const struct soft_row *row)
{
	struct tr *t = &m->t;

	if (is_undefined(m, row)) {
		tr_raise(t, X86_EXC_UD);
		return false;
	}
	if ((row->flags & ROW_X87) && (t->mode & SOFT_X87_NM)) {
		tr_raise(t, X86_EXC_NM);
		return false;
	}
	if ((row->flags & ROW_MMX) && (t->mode & SOFT_X87_NM)) {
		tr_slot(t, op_raise_no_mmx);
		t->is_end = true;
		return false;
	}
	if ((row->flags & ROW_SSE) && (t->mode & SOFT_SSE_NM)) {
		tr_raise(t, X86_EXC_NM);
		return false;
	}
	if ((row->flags & ROW_CPL0) && (t->mode & SOFT_USER)) {
		tr_raise(t, X86_EXC_GP);
		return false;
	}
	if ((row->flags & ROW_CPL0) && (t->mode & SOFT_PROTECTED))
		tr_slot(t, op_check_cpl0);
	return true;
}

static void describe(struct maker *m)
{
	const ZydisInstructionAttributes rep = ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE;
	struct tr *t = &m->t;

	t->operand_bits = m->z.operand_width;
	t->address_bits = m->z.address_width;
	t->is_locked = m->z.attributes & ZYDIS_ATTRIB_HAS_LOCK;
	t->has_rep = m->z.attributes & rep;
	t->has_repne = m->z.attributes & ZYDIS_ATTRIB_HAS_REPNE;
	t->next = truncate_rip(t->mode, t->rip + m->z.length);
	t->seg = implicit_segment(m);
}

static void begin_instruction(struct maker *m)
{
	struct tr *t = &m->t;

	t->rip = m->start + m->offset;
	t->place = (uint16_t)(m->count << 10 | m->offset);
	t->is_end = false;
	t->is_cut = false;
	t->flag_slot = NULL;
	t->no_flags_fn = NULL;
}

static bool is_jcc(const ZydisDecodedInstruction *z)
{
	if (z->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
		return (z->opcode & 0xf0) == 0x70;
	return z->opcode_map == ZYDIS_OPCODE_MAP_0F && (z->opcode & 0xf0) == 0x80;
}

static void emit_instruction(struct maker *m)
{
	const struct soft_row *row = m->c->vm->row[m->z.mnemonic];
	struct flag_use *use = &m->use[m->count];
	struct tr *t = &m->t;
	struct insn *mine = t->out;

	describe(m);
	*use = (struct flag_use){.reads = X86_RFLAGS_STATUS};
	if (emit_checks(m, row)) {
		if (row->emit(t)) {
			soft_flags_note(t, row, use);
			t->is_end |= row->flags & ROW_END;
		} else {
			t->out = mine;
			tr_raise(t, X86_EXC_UD);
		}
	}
	if (m->count > 0 && is_jcc(&m->z))
		soft_fuse(t, mine - 1, mine);
	m->count++;
	m->offset += m->z.length;
}

/* No instruction can be made of the bytes. */
static void emit_undecodable(struct maker *m, ZyanStatus status)
{
	bool is_gp = status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ||
		     status == ZYDIS_STATUS_NO_MORE_DATA; /* the CS limit cuts it */

	m->z.length = 1;
	m->t.seg = X86_DS;
	m->use[m->count] = (struct flag_use){.reads = X86_RFLAGS_STATUS};
	tr_raise(&m->t, is_gp ? X86_EXC_GP : X86_EXC_UD);
	m->count++;
	m->offset++;
}

/* Ends of a block. */

static void append(struct maker *m, soft_op_fn *fn, uint64_t rip)
{
	*m->t.out++ = (struct insn){.fn = fn, .imm = rip};
}

/* Go on at @rip in another block. */
static void finish_with_link(struct maker *m, uint64_t rip)
{
	append(m, m->c->mode & SOFT_STEP ? op_leave : op_continue, rip);
	append(m, NULL, 0);
	m->is_done = true;
}

/* The debugger has a point at the next instruction.  Its first byte is in the block's own frame. */
static bool has_point(const struct maker *m)
{
	return soft_points_has_exec(m->c, linear_of(m->c, m->start + m->offset),
				    m->gpa + m->offset);
}

static bool is_full(const struct maker *m)
{
	if (m->count == 0)
		return false;
	return m->count == SOFT_BLOCK_MAX || (m->c->mode & SOFT_STEP) || m->offset >= m->len ||
	       m->t.end - m->t.out < TR_SLOTS + 3 ||
	       m->t.next != m->start + m->offset || /* RIP wrapped */
	       has_point(m);
}

static void add_instruction(struct maker *m)
{
	ZyanStatus status;

	if (is_full(m)) {
		finish_with_link(m, m->t.next);
		return;
	}
	begin_instruction(m);
	status = decode(m);
	if (status == ZYDIS_STATUS_NO_MORE_DATA && m->count > 0) {
		finish_with_link(m, m->t.next);
		return;
	}
	while (status == ZYDIS_STATUS_NO_MORE_DATA && extend_window(m))
		status = decode(m);
	if (ZYAN_FAILED(status))
		emit_undecodable(m, status);
	else
		emit_instruction(m);
	if (m->t.is_end) {
		append(m, NULL, 0);
		m->is_done = true;
	} else if (m->t.is_cut || m->gpa2 != ~(gpa_t)0) {
		finish_with_link(m, m->t.next);
	}
}

static soft_op_fn *entry_of(const struct soft_cpu *c, bool has_point)
{
	if (c->mode & SOFT_STEP)
		return has_point ? op_enter_step_point : op_enter_step;
	return has_point ? op_enter_point : op_enter;
}

static void begin_block(struct maker *m, struct insn *out, size_t max)
{
	struct tr *t = &m->t;
	struct soft_cpu *c = m->c;

	t->c = c;
	t->mode = c->mode;
	t->code_bits = 16u << (c->mode & SOFT_CODE_MASK);
	t->stack_bits = c->mode & SOFT_STACK64 ? 64 : c->mode & SOFT_STACK32 ? 32 : 16;
	t->z = &m->z;
	t->op = m->op;
	t->out = out + 1;
	t->end = out + max;
	*out = (struct insn){
		.fn = entry_of(c, has_point(m)),
		.imm = m->start,
	};
}

size_t soft_translate(struct soft_cpu *c, gpa_t gpa, struct insn *out, size_t max,
		      unsigned *out_len, gpa_t *out_gpa2)
{
	struct maker m;

	if (max < TR_SLOTS + 4)
		return 0;
	m.c = c;
	m.first = out;
	m.start = c->rip;
	m.gpa = gpa;
	m.count = 0;
	m.offset = 0;
	m.gpa2 = ~(gpa_t)0;
	m.is_done = false;
	if (!init_decoder(&m.decoder, c->mode))
		soft_raise(c, X86_EXC_UD);
	fill_window(&m);
	begin_block(&m, out, max);
	while (!m.is_done)
		add_instruction(&m);
	soft_flags_elide(m.use, m.count);
	soft_pair_slots(out + 1, m.t.out);
	out->place = (uint16_t)m.count;
	out->disp = out->fn == op_enter ? (int64_t)m.count : SOFT_NO_ENTRY;
	*out_len = m.offset;
	*out_gpa2 = m.gpa2;
	return (size_t)(m.t.out - out);
}
