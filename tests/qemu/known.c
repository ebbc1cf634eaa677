/* See known.h. */
#include "known.h"

#include <stddef.h>

#define BAUD_MAX       115200u
#define FRAME_BITS     12u /* the longest */
#define FRAME_BITS_MIN 7u
#define TIMEOUT_CHARS  4u
#define MARGIN_NS      100000u

static const struct known *const tables[] = {known_uart, known_pic, known_pit, known_rtc};

const struct known *known_row(unsigned index)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		unsigned rows = 0;

		while (tables[t][rows].device)
			rows++;
		if (index < rows)
			return &tables[t][index];
		index -= rows;
	}
	return NULL;
}

bool known_is_avoided(const struct ours *o, const struct op *op)
{
	const struct known *row;

	for (unsigned i = 0; (row = known_row(i)) != NULL; i++) {
		if (row->avoids && row->avoids(o, op))
			return true;
	}
	return false;
}

uint16_t known_hidden(const struct ours *o, const struct op *op)
{
	const struct known *row;
	uint16_t hidden = 0;

	for (unsigned i = 0; (row = known_row(i)) != NULL; i++) {
		if (row->hides)
			hidden |= row->hides(o, op);
	}
	return hidden;
}

/* What QEMU's UART 0 does with its time-out: begun by each character that comes or is taken, with
 * the length of a character as it was then. */
static void note_timeout(struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = &o->uart[0]->chip;
	unsigned offset;

	if (ours_uart_at(o, op->port, &offset) != o->uart[0] || offset > 0 ||
	    (chip->lcr & LCR_DLAB) || op->kind == OP_WAIT || op->kind == OP_INTA)
		return;
	if (op->kind == OP_IN || chip->rx_count == 0)
		o->is_uart_fresh = true;
	else
		o->is_uart_fresh = o->is_uart_fresh && o->now_ns < o->uart_early_ns;
	/* What a divisor of 0 means to QEMU is its own affair. */
	o->uart_early_ns = o->now_ns;
	if (chip->dll || chip->dlm)
		o->uart_early_ns += TIMEOUT_CHARS * (o->uart_char_ns / FRAME_BITS) * FRAME_BITS_MIN;
	o->uart_settle_ns = o->now_ns + TIMEOUT_CHARS * o->uart_char_ns + MARGIN_NS;
}

static void note_char(struct ours *o)
{
	const struct uart_chip *chip = &o->uart[0]->chip;
	unsigned divisor = chip->dll | (unsigned)chip->dlm << 8;

	if (divisor > 0)
		o->uart_char_ns = FRAME_BITS * (NS_PER_S / (BAUD_MAX / divisor));
}

/* QEMU's timer tells a high line again before it falls, which is an edge to a PIC that was set up
 * meanwhile (known_pic.c). */
static bool is_irq0_told_again(const struct ours *o)
{
	const struct pit_counter *c = &o->pit->counter[0];
	int64_t tick = o->pit->tick;

	if (pit_counter_mode(c) == 3)
		return pit_counter_is_high(c, tick);
	return pit_counter_mode(c) == 2 && (tick - c->start) % c->period == 0;
}

static void note_counters(struct ours *o, const struct op *op)
{
	if (op->kind != OP_OUT)
		return;
	if (op->port == PIT_CONTROL && op->value < PIT_READ_BACK && (op->value & PIT_CONTROL_RW)) {
		o->pit_programmed |= 1u << (op->value >> 6);
		o->is_irq0_vague |= op->value >> 6 == 0;
	}
	o->is_irq0_vague |= op->port == PIT_COUNTER;
	if (op->port == PIC_MASTER && (op->value & PIC_ICW1))
		o->is_irq0_vague = !o->pit->counter[0].is_loaded || is_irq0_told_again(o);
}

void known_before(struct ours *o, const struct op *op)
{
	note_timeout(o, op);
	note_counters(o, op);
	known_note_rtc(o, op);
}

void known_after(struct ours *o, const struct op *op)
{
	(void)op;
	note_char(o);
}
