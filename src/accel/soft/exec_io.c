/* Ports: IN, OUT, INS, OUTS.
 *
 * A port access may raise interrupts or ask for the end of the machine, so a block ends behind it;
 * it goes on through a link, where requests are seen, without a turn of the loop.
 * A repeated INS or OUTS does one element at a time, counts each as an instruction, and can be left
 * between any two; memory is checked before the port is touched, so a fault loses nothing.
 * Source: SDM 1 19.5 (protection), 2A IN and INS, 2B OUT and OUTS; 3A 7.2 and 8.7 (TSS). */
#include "access.h"
#include "catch.h"
#include "exec_sys.h"
#include "points.h"
#include "seg.h"
#include "tlb.h"

#define TSS_BITMAP_BASE 102u /* offset of the field, 32- and 64-bit TSS */

/* Protection. */

/* TR holds a TSS that can have a bitmap. */
static bool has_bitmap(const struct soft_cpu *c)
{
	return c->tr.present && !c->tr.unusable && (c->tr.type & ~SEG_BUSY) == SEG_TSS &&
	       c->tr.limit >= TSS_BITMAP_BASE + 1;
}

/* Two bytes of the bitmap are read, so that they hold the bits of any access (SDM 1 19.5.2). */
static void check_bitmap(struct soft_cpu *c, uint16_t port, unsigned size)
{
	unsigned mask = ((1u << size) - 1) << (port & 7);
	uint64_t offset;

	if (!has_bitmap(c))
		sys_gp(c, 0);
	offset = soft_load_sys(c, c->tr.base + TSS_BITMAP_BASE, 2) + port / 8;
	if (offset + 1 > c->tr.limit || (soft_load_sys(c, c->tr.base + offset, 2) & mask))
		sys_gp(c, 0);
}

static void check_port(struct soft_cpu *c, uint16_t port, unsigned size)
{
	bool is_v86 = c->rflags & X86_RFLAGS_VM;

	if (SOFT_UNLIKELY(is_v86 || c->cpl > sys_iopl(c)))
		check_bitmap(c, port, size);
}

/* One element.  A device may write guest memory by DMA, and so ask every vCPU to forget
 * translations while it holds its lock: whoever is in a device call, or waits for one, is at a safe
 * point. */

static void port_write(struct soft_cpu *c, uint16_t port, unsigned size, uint32_t value)
{
	uint8_t bytes[4];

	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_port(c, port, size, true, value);
	soft_points_io(c, port, size);
	le32_put(bytes, value);
	soft_safe(c);
	bus_pio(c->vm->bus, port, true, size, 1, bytes);
	soft_unsafe(c);
	soft_follow_request(c);
}

static uint32_t port_read(struct soft_cpu *c, uint16_t port, unsigned size)
{
	uint8_t bytes[4] = {0};

	if (SOFT_UNLIKELY(c->debug.catch != NULL))
		soft_catch_port(c, port, size, false, 0);
	soft_points_io(c, port, size);
	soft_safe(c);
	bus_pio(c->vm->bus, port, false, size, 1, bytes);
	soft_unsafe(c);
	soft_follow_request(c);
	return le32_get(bytes);
}

/* IN and OUT: disp = bytes; imm = port, or ~0 = in DX. */

static uint16_t port_of(const struct soft_cpu *c, const struct insn *i)
{
	return (uint16_t)(i->imm == ~0ull ? c->r[X86_RDX] : i->imm);
}

static void out(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = port_of(c, i);
	unsigned size = (unsigned)i->disp;

	check_port(c, port, size);
	port_write(c, port, size, soft_reg32(c, X86_RAX));
}
SOFT_PLAIN(out)

static void in(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = port_of(c, i);
	unsigned size = (unsigned)i->disp;
	uint32_t value;

	check_port(c, port, size);
	value = port_read(c, port, size);
	if (size == 1)
		SOFT_REG(soft_u8, X86_RAX * 8) = (uint8_t)value;
	else if (size == 2)
		soft_set_reg16(c, X86_RAX, (uint16_t)value);
	else
		soft_set_reg32(c, X86_RAX, value);
}
SOFT_PLAIN(in)

/* Go on in another block. */
static void emit_end(struct tr *t)
{
	tr_slot(t, t->mode & SOFT_STEP ? op_leave : op_continue)->imm = t->next;
	t->is_end = true;
}

static bool emit_port(struct tr *t, soft_op_fn *fn, unsigned port_op, unsigned data_op)
{
	struct insn *i = tr_slot(t, fn);
	const ZydisDecodedOperand *port = &t->op[port_op];

	i->imm = tr_is_imm(port) ? port->imm.value.u & 0xff : ~0ull;
	i->disp = t->op[data_op].size / 8;
	emit_end(t);
	return true;
}

static bool emit_in(struct tr *t)
{
	return emit_port(t, op_in, 1, 0);
}

static bool emit_out(struct tr *t)
{
	return emit_port(t, op_out, 0, 1);
}

/* INS and OUTS: disp = bytes; imm = width of the address; the segment is that of the slot. */

static uint64_t width_mask(const struct insn *i)
{
	return ~0ull >> (64 - i->imm);
}

/* Registers that are 32 bits wide in an address lose their upper halves, those of 16 keep theirs.
 */
static void put_address_register(struct soft_cpu *c, const struct insn *i, unsigned reg,
				 uint64_t value)
{
	if (i->imm == 16)
		soft_set_reg16(c, reg, (uint16_t)value);
	else
		c->r[reg] = value & width_mask(i);
}

static void advance(struct soft_cpu *c, const struct insn *i, unsigned reg)
{
	uint64_t step = (uint64_t)(c->rflags & X86_RFLAGS_DF ? -i->disp : i->disp);

	put_address_register(c, i, reg, c->r[reg] + step);
}

/* Everything that a store may raise, before the port is read. */
static void check_store(struct soft_cpu *c, gva_t la, unsigned size)
{
	soft_check_alignment(c, la, size);
	soft_probe_store(c, la, size);
}

static void ins(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = (uint16_t)c->r[X86_RDX];
	unsigned size = (unsigned)i->disp;
	gva_t la;

	check_port(c, port, size);
	la = soft_seg_address(c, X86_ES, c->r[X86_RDI] & width_mask(i), size, true);
	check_store(c, la, size);
	soft_store(c, la, size, port_read(c, port, size));
	advance(c, i, X86_RDI);
}
SOFT_PLAIN(ins)

static void outs(struct soft_cpu *c, const struct insn *i)
{
	uint16_t port = (uint16_t)c->r[X86_RDX];
	unsigned size = (unsigned)i->disp;
	uint64_t offset = c->r[X86_RSI] & width_mask(i);
	gva_t la;

	check_port(c, port, size);
	la = soft_seg_address(c, SOFT_SEG_OF(i), offset, size, false);
	port_write(c, port, size, (uint32_t)soft_load(c, la, size));
	advance(c, i, X86_RSI);
}
SOFT_PLAIN(outs)

/* Must the instruction be left between two elements?  A step looks at each of them. */
static bool is_asked_to_leave(const struct soft_cpu *c)
{
	return (c->mode & SOFT_STEP) || c->left <= 0 ||
	       atomic_load_explicit(&c->pend, memory_order_relaxed) != 0;
}

/* The block counted the first element; each further one is taken off the budget here.  c->rip is
 * that of the instruction behind, which is where it goes on once no element is left. */
static void repeat(struct soft_cpu *c, const struct insn *i,
		   void (*element)(struct soft_cpu *c, const struct insn *i))
{
	uint64_t count = c->r[X86_RCX] & width_mask(i);

	if (count == 0)
		return;
	for (;;) {
		element(c, i);
		count--;
		put_address_register(c, i, X86_RCX, count);
		if (count == 0)
			return;
		if (is_asked_to_leave(c)) {
			c->rip = soft_rip(c);
			c->left_repeat_at = soft_count(c);
			return;
		}
		c->left--;
	}
}

static void rep_ins(struct soft_cpu *c, const struct insn *i)
{
	repeat(c, i, ins);
}
SOFT_PLAIN_END(rep_ins)

static void rep_outs(struct soft_cpu *c, const struct insn *i)
{
	repeat(c, i, outs);
}
SOFT_PLAIN_END(rep_outs)

/* INS has no segment to choose: ES. */
static unsigned source_segment(const struct tr *t)
{
	ZydisRegister reg = t->op[1].mem.segment;

	if (t->op[1].type != ZYDIS_OPERAND_TYPE_MEMORY || reg < ZYDIS_REGISTER_ES ||
	    reg > ZYDIS_REGISTER_GS)
		return X86_DS;
	return (unsigned)ZydisRegisterGetId(reg); /* in the order of their encoding */
}

static bool emit_string(struct tr *t, soft_op_fn *fn, soft_op_fn *rep_fn)
{
	bool is_repeated = t->has_rep || t->has_repne;
	struct insn *i = tr_slot(t, is_repeated ? rep_fn : fn);

	i->disp = t->operand_bits == 8 ? 1 : t->operand_bits == 16 ? 2 : 4;
	i->imm = t->address_bits;
	i->seg_len = (uint8_t)(source_segment(t) << 4 | SOFT_LEN_OF(i));
	if (is_repeated)
		t->is_end = true;
	else
		emit_end(t);
	return true;
}

static bool emit_ins(struct tr *t)
{
	return emit_string(t, op_ins, op_rep_ins);
}

static bool emit_outs(struct tr *t)
{
	return emit_string(t, op_outs, op_rep_outs);
}

static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_IN, 0, emit_in},      {ZYDIS_MNEMONIC_OUT, 0, emit_out},
	{ZYDIS_MNEMONIC_INSB, 0, emit_ins},   {ZYDIS_MNEMONIC_INSW, 0, emit_ins},
	{ZYDIS_MNEMONIC_INSD, 0, emit_ins},   {ZYDIS_MNEMONIC_OUTSB, 0, emit_outs},
	{ZYDIS_MNEMONIC_OUTSW, 0, emit_outs}, {ZYDIS_MNEMONIC_OUTSD, 0, emit_outs},
};

const struct soft_rows soft_rows_io = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
