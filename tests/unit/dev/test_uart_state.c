/* Tests of the UART over long random sequences: against a second model, written for this file from
 * the data sheet in another way, and against itself after save and load. */
#include "uart_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define BLOB_BYTES 64

/* Random accesses, the same in every run. */

struct dice {
	uint64_t state;
};

static unsigned roll(struct dice *dice, unsigned sides)
{
	dice->state = dice->state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(dice->state >> 33) % sides;
}

struct op {
	enum { OP_READ, OP_WRITE, OP_RECEIVE } kind;
	unsigned offset; /* OP_RECEIVE: how many */
	uint8_t value;
};

/* Bytes are more often sensible than random, or loop mode and FIFOs would hardly meet. */
static struct op random_op(struct dice *dice)
{
	static const uint8_t mcr[] = {0x00, 0x08, 0x0b, 0x18, 0x1b, 0x14, 0x10, 0x1f};
	static const uint8_t fcr[] = {0x00, 0x01, 0x41, 0x81, 0xc1, 0x03, 0xc7, 0x09};
	struct op op = {.kind = OP_READ, .value = (uint8_t)roll(dice, 256)};
	unsigned what = roll(dice, 20);

	op.offset = roll(dice, 8);
	if (what < 8)
		return op;
	if (what < 11) {
		op.kind = OP_RECEIVE;
		op.offset = 1 + roll(dice, 20);
		return op;
	}
	op.kind = OP_WRITE;
	if (what < 15)
		op.offset = THR;
	if (op.offset == MCR)
		op.value = mcr[roll(dice, 8)];
	if (op.offset == FCR)
		op.value = fcr[roll(dice, 8)];
	if (op.offset == LCR)
		op.value = (uint8_t)(roll(dice, 4) | (roll(dice, 8) == 0 ? 0x80 : 0));
	return op;
}

static const uint8_t text[] = "the quick brown fox jumps";

static uint8_t apply(struct uart_rig *rig, const struct op *op)
{
	switch (op->kind) {
	case OP_READ:
		return rig_in(rig, op->offset);
	case OP_WRITE:
		rig_out(rig, op->offset, op->value);
		return 0;
	case OP_RECEIVE:
		break;
	}
	return (uint8_t)uart16550_receive(&rig->uart, text, op->offset);
}

/* The second model. */

/* Registers by number, the FIFO as an array whose first element is the top, and interrupt causes
 * kept as flags that events set and clear. */
struct model {
	uint8_t reg[8]; /* IER, LCR, MCR, SCR under their numbers; the rest unused */
	uint8_t div[2];
	bool fifo;
	unsigned level;
	struct {
		uint8_t byte, errors;
	} q[16];
	unsigned n;
	uint8_t errors, deltas;
	bool thre, host_waits;
};

static void m_arrive(struct model *m, uint8_t byte)
{
	unsigned cap = m->fifo ? 16 : 1;

	if (m->n == cap) {
		m->errors |= 0x02;
		if (!m->fifo)
			m->q[0].byte = byte, m->q[0].errors = 0;
		return;
	}
	m->q[m->n].byte = byte;
	m->q[m->n++].errors = 0;
}

static uint8_t m_inputs(const struct model *m)
{
	uint8_t mcr = m->reg[MCR];

	if (!(mcr & 0x10))
		return 0xb0;
	return (uint8_t)((mcr & 2) << 3 | (mcr & 1) << 5 | (mcr & 4) << 4 | (mcr & 8) << 4);
}

static uint8_t m_cause(const struct model *m)
{
	bool idle = (m->reg[MCR] & 0x10) || !m->host_waits;

	if (m->errors && (m->reg[IER] & 4))
		return 6;
	if (m->reg[IER] & 1) {
		if (m->n >= (m->fifo ? m->level : 1))
			return 4;
		if (m->fifo && m->n && idle)
			return 12;
	}
	if (m->thre && (m->reg[IER] & 2))
		return 2;
	return m->deltas && (m->reg[IER] & 8) ? 0 : 1;
}

static uint8_t m_take(struct model *m)
{
	uint8_t byte = m->q[0].byte;

	if (m->n == 0)
		return 0;
	memmove(m->q, m->q + 1, sizeof(m->q[0]) * --m->n);
	if (m->n)
		m->errors |= m->q[0].errors;
	return byte;
}

static uint8_t m_lsr(struct model *m)
{
	uint8_t lsr = (uint8_t)(0x60 | m->errors | (m->n > 0));

	for (unsigned i = 0; m->fifo && i < m->n; i++)
		lsr |= m->q[i].errors ? 0x80 : 0;
	m->errors = 0;
	if (m->n)
		m->q[0].errors = 0;
	return lsr;
}

static uint8_t m_read(struct model *m, unsigned offset)
{
	bool dlab = m->reg[LCR] & 0x80;
	uint8_t value;

	if (dlab && offset < 2)
		return m->div[offset];
	switch (offset) {
	case RBR:
		return m_take(m);
	case IIR:
		value = m_cause(m);
		if (value == 2)
			m->thre = false;
		return m->fifo ? value | 0xc0 : value;
	case LSR:
		return m_lsr(m);
	case MSR:
		value = m->deltas | m_inputs(m);
		m->deltas = 0;
		return value;
	default:
		return m->reg[offset];
	}
}

static void m_write_fcr(struct model *m, uint8_t value)
{
	static const unsigned levels[] = {1, 4, 8, 14};
	bool fifo = value & 1;

	if (fifo != m->fifo || (fifo && (value & 2)))
		m->n = 0;
	m->fifo = fifo;
	m->level = fifo ? levels[value >> 6] : 1;
}

static void m_write_mcr(struct model *m, uint8_t value)
{
	uint8_t old = m_inputs(m);
	uint8_t now;

	m->reg[MCR] = value & 0x1f;
	now = m_inputs(m);
	m->deltas |= (uint8_t)((old ^ now) >> 4 & 0x0b);
	if ((old & 0x40) && !(now & 0x40))
		m->deltas |= 4;
}

static void m_write_lsr(struct model *m, uint8_t value)
{
	if (!(m->reg[MCR] & 0x10))
		return;
	m->errors = value & 2;
	if (m->n) {
		m->q[m->n - 1].errors = value & 0x1c;
		m->errors |= m->q[0].errors;
	}
}

static void m_write(struct model *m, unsigned offset, uint8_t value)
{
	static const uint8_t word[] = {0x1f, 0x3f, 0x7f, 0xff};
	bool dlab = m->reg[LCR] & 0x80;

	if (dlab && offset < 2) {
		m->div[offset] = value;
		return;
	}
	switch (offset) {
	case THR:
		if (m->reg[MCR] & 0x10)
			m_arrive(m, value & word[m->reg[LCR] & 3]);
		m->thre = m->thre || (m->reg[IER] & 2);
		break;
	case IER:
		if (!(m->reg[IER] & 2) && (value & 2))
			m->thre = true;
		if (!(value & 2))
			m->thre = false;
		m->reg[IER] = value & 0x0f;
		break;
	case FCR:
		m_write_fcr(m, value);
		break;
	case MCR:
		m_write_mcr(m, value);
		break;
	case LSR:
		m_write_lsr(m, value);
		break;
	case MSR:
		break;
	default:
		m->reg[offset] = value;
	}
}

static uint8_t m_receive(struct model *m, unsigned len)
{
	unsigned taken = 0;

	while (taken < len && !(m->reg[MCR] & 0x10) && m->n < (m->fifo ? 16 : 1))
		m_arrive(m, text[taken++]);
	m->host_waits = taken < len;
	return (uint8_t)taken;
}

static uint8_t m_apply(struct model *m, const struct op *op)
{
	if (op->kind == OP_READ)
		return m_read(m, op->offset);
	if (op->kind == OP_RECEIVE)
		return m_receive(m, op->offset);
	m_write(m, op->offset, op->value);
	return 0;
}

Test(uart_state, random_accesses_when_a_million_then_as_the_second_model, .timeout = 60)
{
	struct uart_rig rig;
	struct model m = {.div = {12, 0}, .level = 1};
	struct dice dice = {.state = 16550};

	rig_open(&rig);
	for (unsigned i = 0; i < 1000000; i++) {
		struct op op = random_op(&dice);
		uint8_t got = apply(&rig, &op);
		uint8_t want = m_apply(&m, &op);
		bool is_high = m_cause(&m) != 1 && (m.reg[MCR] & 8);

		if (got == want && rig.is_high == is_high)
			continue;
		cr_assert(false, "access %u: kind %d offset %u value %#x: %#x %d, expected %#x %d",
			  i, op.kind, op.offset, op.value, got, rig.is_high, want, is_high);
	}
	/* The line has to have moved, or the sequence did not test it. */
	cr_assert_gt(rig.changes, 10000);
	rig_close(&rig);
}

/* Save and load. */

static size_t save(const struct uart_rig *rig, uint8_t bytes[BLOB_BYTES])
{
	struct blob b = blob_over(bytes, BLOB_BYTES);

	uart16550_ops.save(&rig->uart, &b);
	cr_assert(!b.is_failed);
	return b.pos;
}

static int load(struct uart_rig *rig, uint8_t *bytes, size_t len, struct umbra_err *err)
{
	struct blob b = blob_over(bytes, len);

	return uart16550_ops.load(&rig->uart, &b, err);
}

/* A copy is made every few accesses and must behave as the original from there on. */
Test(uart_state, load_when_saved_anywhere_then_goes_on_in_the_same_way, .timeout = 60)
{
	struct uart_rig a, b;
	struct dice dice = {.state = 4711};
	uint8_t bytes[BLOB_BYTES];
	uint8_t again[BLOB_BYTES];

	rig_open(&a);
	rig_open(&b);
	for (unsigned i = 0; i < 200000; i++) {
		struct op op = random_op(&dice);
		uint8_t got_a, got_b;

		if (roll(&dice, 8) == 0) {
			size_t len = save(&a, bytes);

			/* What the host offers is no part of the chip's state. */
			b.uart.is_input_waiting = a.uart.is_input_waiting;
			cr_assert_eq(load(&b, bytes, len, NULL), 0);
			cr_assert_eq(save(&b, again), len);
			cr_assert_eq(memcmp(bytes, again, len), 0);
			cr_assert_eq(a.is_high, b.is_high);
		}
		got_a = apply(&a, &op);
		got_b = apply(&b, &op);
		cr_assert_eq(got_a, got_b, "access %u", i);
		cr_assert_eq(a.is_high, b.is_high, "access %u", i);
	}
	rig_close(&a);
	rig_close(&b);
}

/* Bring @rig into a state with something in every field. */
static void fill(struct uart_rig *rig)
{
	rig_out(rig, FCR, FCR_ENABLE | FCR_TRIGGER);
	rig_out(rig, IER, IER_MASK);
	rig_out(rig, MCR, MCR_MASK);
	rig_out(rig, LCR, 3);
	rig_out(rig, THR, 'a');
	rig_out(rig, THR, 'b');
	rig_out(rig, LSR, LSR_OE | LSR_BI);
	rig_out(rig, MCR, MCR_LOOP | MCR_OUT2);
}

Test(uart_state, load_when_cut_anywhere_then_refused_and_unchanged)
{
	struct uart_rig rig;
	uint8_t bytes[BLOB_BYTES], before[BLOB_BYTES], after[BLOB_BYTES];
	size_t len;

	rig_open(&rig);
	fill(&rig);
	len = save(&rig, bytes);
	uart16550_ops.reset(&rig.uart);
	save(&rig, before);
	for (size_t cut = 0; cut < len; cut++) {
		struct umbra_err err = {.text = ""};

		cr_assert_eq(load(&rig, bytes, cut, &err), -EINVAL, "cut at %zu", cut);
		cr_assert_not_null(strstr(err.text, "serial0"), "%s", err.text);
	}
	cr_assert_eq(save(&rig, after), 12);
	cr_assert_eq(memcmp(before, after, 12), 0);
	cr_assert_eq(load(&rig, bytes, len, NULL), 0);
	rig_close(&rig);
}

/* Layout of the saved form, for the rows below. */
enum { AT_VERSION, AT_IER, AT_FCR, AT_MCR = 4, AT_ERRORS = 8, AT_DELTAS, AT_THRE, AT_COUNT, AT_RX };

Test(uart_state, load_when_bits_are_impossible_then_refused)
{
	static const struct {
		unsigned at;
		uint8_t value;
	} rows[] = {
		{AT_VERSION, 0},   {AT_VERSION, 2},   {AT_IER, 0x10},	 {AT_IER, 0x0d},
		{AT_FCR, 0x03},	   {AT_FCR, 0x11},    {AT_FCR, 0xc0},	 {AT_MCR, 0x20},
		{AT_ERRORS, 0x01}, {AT_ERRORS, 0x80}, {AT_DELTAS, 0x10}, {AT_THRE, 2},
		{AT_COUNT, 3},	   {AT_COUNT, 17},    {AT_COUNT, 255},	 {AT_RX + 1, 0x01},
	};
	struct uart_rig rig;
	uint8_t bytes[BLOB_BYTES], bad[BLOB_BYTES];
	size_t len;

	rig_open(&rig);
	fill(&rig);
	len = save(&rig, bytes);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		memcpy(bad, bytes, len);
		bad[rows[i].at] = rows[i].value;
		cr_assert_eq(load(&rig, bad, len, NULL), -EINVAL, "row %zu", i);
		cr_assert_eq(save(&rig, bad), len);
		cr_assert_eq(memcmp(bad, bytes, len), 0, "row %zu changed the state", i);
	}
	rig_close(&rig);
}

/* FIFOs off hold one character, so two of them in a saved state are refused. */
Test(uart_state, load_when_more_characters_than_room_then_refused)
{
	struct uart_rig rig;
	uint8_t bytes[BLOB_BYTES];
	size_t len;

	rig_open(&rig);
	fill(&rig);
	len = save(&rig, bytes);
	bytes[AT_FCR] = 0;
	cr_assert_eq(load(&rig, bytes, len, NULL), -EINVAL);
	rig_close(&rig);
}

Test(uart_state, load_when_bytes_are_random_then_never_out_of_bounds)
{
	struct uart_rig rig;
	struct dice dice = {.state = 99};
	uint8_t bytes[BLOB_BYTES];
	unsigned loaded = 0;

	rig_open(&rig);
	for (unsigned i = 0; i < 20000; i++) {
		struct op op = random_op(&dice);

		fill(&rig);
		save(&rig, bytes);
		for (unsigned j = 0; j < 2; j++)
			bytes[roll(&dice, 20)] = (uint8_t)roll(&dice, 256);
		loaded += load(&rig, bytes, 12 + roll(&dice, 20), NULL) == 0;
		apply(&rig, &op);
		cr_assert_leq(rig.uart.chip.rx_count, 16);
	}
	cr_assert_gt(loaded, 100);
	rig_close(&rig);
}
