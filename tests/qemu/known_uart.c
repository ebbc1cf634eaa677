/* The UART's rows (known.h).  Sections are the PC16550D data sheet's, by register. */
#include "known.h"

#include <stddef.h>

/* The register of a UART that @op reads or writes, and the UART; NULL when there is none. */
static const struct uart_chip *chip_at(const struct ours *o, const struct op *op, enum op_kind kind,
				       unsigned offset)
{
	unsigned at;
	const struct uart16550 *uart = ours_uart_at(o, op->port, &at);

	return uart && op->kind == kind && at == offset ? &uart->chip : NULL;
}

static bool has_fifos(const struct uart_chip *chip)
{
	return chip->fcr & FCR_ENABLE;
}

/* UART 0's line, which is level-triggered where it is looked at. */
static bool is_line_read(const struct op *op)
{
	return op->kind == OP_INTA || (op->kind == OP_IN && op->port == PIC_MASTER);
}

static uint16_t hide_out2(const struct ours *o, const struct op *op)
{
	bool is_off = !(o->uart[0]->chip.mcr & MCR_OUT2);

	return op->kind == OP_IN && op->port == PIC_MASTER && is_off ? 1u << uart_place[0].irq : 0;
}

static bool is_level_triggered(const struct ours *o, const struct uart_chip *chip)
{
	const struct pic_chip *pic = o->pic->chip;

	return chip == &o->uart[0]->chip && (pic[0].elcr >> uart_place[0].irq & 1);
}

/* Where an edge is remembered the line must not be high on one side only. */
static bool avoid_out2(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 4);

	if (chip)
		return !(op->value & MCR_OUT2) && !is_level_triggered(o, chip) && chip->ier;
	chip = chip_at(o, op, OP_OUT, 1);
	if (chip)
		return !(chip->mcr & MCR_OUT2) && !is_level_triggered(o, chip);
	return known_is_acknowledge(o, op) && !(o->uart[0]->chip.mcr & MCR_OUT2) &&
	       uart_interrupt(o->uart[0]) != IIR_NONE;
}

static bool avoid_long_words(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 0);

	return chip && (chip->mcr & MCR_LOOP) && !(chip->lcr & LCR_DLAB) &&
	       op->value >> (5 + (chip->lcr & LCR_WORD_LENGTH));
}

static uint16_t hide_loop_deltas(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_IN, 6);

	return chip ? chip->modem_deltas : 0;
}

static bool avoid_loop_deltas(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 4);

	if (chip)
		return (chip->ier & IER_MODEM) && ((chip->mcr | op->value) & MCR_LOOP);
	chip = chip_at(o, op, OP_OUT, 1);
	return chip && !(chip->lcr & LCR_DLAB) && chip->modem_deltas && (op->value & IER_MODEM);
}

/* Not umbra's function: it is what is under test. */
static unsigned trigger(const struct uart_chip *chip)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return levels[chip->fcr >> 6];
}

/* Below the trigger level it is the time-out that interrupts. */
static bool avoid_timeout(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = &o->uart[0]->chip;
	bool is_looked_at = is_line_read(op) || chip_at(o, op, OP_IN, 2) == chip;

	return is_looked_at && has_fifos(chip) && chip->rx_count > 0 && (chip->ier & IER_RX) &&
	       chip->rx_count < trigger(chip) && o->now_ns < o->uart_settle_ns;
}

static uint16_t hide_timeout_bit(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_IN, 2);

	bool is_early = o->is_uart_fresh && o->now_ns < o->uart_early_ns;

	return chip && has_fifos(chip) && chip->rx_count >= trigger(chip) && !is_early ? 0x08 : 0;
}

static uint16_t hide_empty(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_IN, 0);

	return chip && !(chip->lcr & LCR_DLAB) && !has_fifos(chip) && !chip->rx_count ? 0xff : 0;
}

static bool avoid_lsr_write(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 5);

	return chip && (chip->mcr & MCR_LOOP);
}

static bool avoid_fcr_off(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 2);

	return chip && !has_fifos(chip) && !(op->value & FCR_ENABLE) &&
	       (op->value & FCR_RX_RESET) && chip->rx_count > 0;
}

static bool avoid_tx_reset(const struct ours *o, const struct op *op)
{
	const struct uart_chip *chip = chip_at(o, op, OP_OUT, 2);
	bool resets =
		chip && (((chip->fcr ^ op->value) & FCR_ENABLE) || (op->value & FCR_TX_RESET));

	return resets && (chip->ier & IER_THRE) && !chip->is_thre_pending;
}

#define PACE                                                                                       \
	{                                                                                          \
		.shift = 10                                                                        \
	}

const struct known known_uart[] = {
	{.device = "uart",
	 .what = "OUT2 does not gate the interrupt line",
	 .decides = "none: IBM PC/AT Technical Reference, Serial/Parallel Adapter",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_out2,
	 .hides = hide_out2,
	 .pace = PACE,
	 .listing = "outb 0x4d0 0x10; outb 0x3fc 0; outb 0x3f9 2; inb 0x20 0x00 0x10"},
	{.device = "uart",
	 .what = "a character in loop mode is not cut to the word length",
	 .decides = "MCR bit 4; LCR bits 0 and 1",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_long_words,
	 .pace = PACE,
	 .listing = "outb 0x3fc 0x18; outb 0x3fb 0; outb 0x3f8 0xff; inb 0x3f8 0x1f 0xff"},
	{.device = "uart",
	 .what = "modem inputs that change in loop mode leave no delta bits and no interrupt",
	 .decides = "MCR bit 4; MSR bits 0 to 3",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_loop_deltas,
	 .hides = hide_loop_deltas,
	 .pace = PACE,
	 .listing = "outb 0x3fc 0x1f; inb 0x3fe 0xf0 0xf0; outb 0x3fc 0x10; inb 0x3fe 0x0f 0x00"},
	{.device = "uart",
	 .what = "a time-out takes the time of four characters; umbra's device has no clock",
	 .decides = "FIFO interrupt mode operation, 2",
	 .right = RIGHT_QEMU,
	 .avoids = avoid_timeout,
	 .pace = PACE,
	 .listing = "outb 0x3fb 3; outb 0x3fa 0x81; outb 0x3fc 0x18; outb 0x3f9 1; outb 0x3f8 0x41;"
		    "inb 0x3fa 0xcc 0xc1; clock_step 10000000; inb 0x3fa 0xcc 0xcc"},
	{.device = "uart",
	 .what = "a time-out is told although the trigger level is reached",
	 .decides = "IIR table: both have the second priority; IIR bit 3",
	 .right = RIGHT_BOTH,
	 .hides = hide_timeout_bit,
	 .pace = PACE,
	 .listing = "outb 0x3fb 3; outb 0x3fa 1; outb 0x3fc 0x18; outb 0x3f9 1; outb 0x3f8 0x41;"
		    "inb 0x3fa 0xc4 0xc4; clock_step 10000000; inb 0x3fa 0xc4 0xcc"},
	{.device = "uart",
	 .what = "without FIFOs, RBR reads as the last character once that was read",
	 .decides = "none: RBR is left open when LSR bit 0 is 0",
	 .right = RIGHT_BOTH,
	 .hides = hide_empty,
	 .pace = PACE,
	 .listing = "outb 0x3fb 3; outb 0x3fc 0x18; outb 0x3f8 0x41;"
		    "inb 0x3f8 0x41 0x41; inb 0x3f8 0x00 0x41"},
	{.device = "uart",
	 .what = "a write to LSR does nothing, in loop mode too",
	 .decides = "LSR, note: a write is for factory tests",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_lsr_write,
	 .pace = PACE,
	 .listing = "outb 0x3fc 0x18; outb 0x3fd 2; inb 0x3fd 0x62 0x60"},
	{.device = "uart",
	 .what = "FCR's reset of the receiver works although bit 0 is written as 0",
	 .decides = "FCR bit 0: must be 1 when other FCR bits are written to",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_fcr_off,
	 .pace = PACE,
	 .listing = "outb 0x3fc 0x18; outb 0x3f8 1; outb 0x3fa 2; inb 0x3fd 0x61 0x60"},
	{.device = "uart",
	 .what = "a reset of the empty transmitter is an interrupt of its own, also by bit 0 of "
		 "FCR",
	 .decides =
		 "FIFO interrupt mode operation, XMIT: the interrupt is cleared by a read of IIR",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_tx_reset,
	 .pace = PACE,
	 .listing = "outb 0x3f9 2; inb 0x3fa 0x02 0x02; inb 0x3fa 0x01 0x01; outb 0x3fa 5; inb "
		    "0x3fa 0xc1 0xc2"},
	{.device = NULL},
};
