/* The 16550A UART: what a register access or a character from the host changes.
 * Everything that only looks is in uart16550_state.c.  After every change uart_update brings the
 * interrupt line in line with the state, so no path can forget it.
 * Source: PC16550D data sheet, section 8.
 *
 * DEVIATES: transmission takes no time.  A character written to THR is handed to the back end at
 * once, so THR and the shift register are always empty (LSR bits 5 and 6 are always set), and a
 * back end that is blocked never shows: a device has no clock, and a driver that waits for THRE
 * must not hang because nobody reads the host's end.
 * DEVIATES: on a host character the word length is not enforced, in either direction.  Firmware
 * that never writes LCR (word length 5 after reset) expects its text to come out whole. */
#include "uart16550.h"

#include <errno.h>
#include <stdlib.h>

/* Receiver. */

/* PC16550D LSR bits 2 to 4: an error is shown when its character comes to the top of the FIFO. */
static void rx_reveal_top(struct uart_chip *chip)
{
	if (chip->rx_count > 0)
		chip->line_errors |= chip->rx_errors[chip->rx_start];
}

static void rx_clear(struct uart_chip *chip)
{
	chip->rx_start = 0;
	chip->rx_count = 0;
}

/* PC16550D LSR bit 1: without FIFOs a character that comes too early replaces the one that is
 * there; with them it is lost in the shift register and the FIFO stays as it is. */
static void rx_push(struct uart_chip *chip, uint8_t byte)
{
	unsigned capacity = uart_rx_capacity(chip);
	unsigned at;

	if (chip->rx_count == capacity) {
		chip->line_errors |= LSR_OE;
		if (capacity > 1)
			return;
		rx_clear(chip);
	}
	at = (chip->rx_start + chip->rx_count) % UART_FIFO_BYTES;
	chip->rx_data[at] = byte;
	chip->rx_errors[at] = 0;
	chip->rx_count++;
}

/* An empty receiver reads as 0 (the data sheet leaves it open). */
static uint8_t rx_pop(struct uart_chip *chip)
{
	uint8_t byte;

	if (chip->rx_count == 0)
		return 0;
	byte = chip->rx_data[chip->rx_start];
	chip->rx_start = (chip->rx_start + 1) % UART_FIFO_BYTES;
	chip->rx_count--;
	rx_reveal_top(chip);
	return byte;
}

/* Characters from the host can come in: SIN is cut off in loop mode (PC16550D MCR bit 4). */
static unsigned rx_room(const struct uart_chip *chip)
{
	if (chip->mcr & MCR_LOOP)
		return 0;
	return uart_rx_capacity(chip) - chip->rx_count;
}

/* Registers. */

static uint8_t read_rbr(struct uart16550 *uart)
{
	return rx_pop(&uart->chip);
}

/* PC16550D MCR bit 4: in loop mode what is sent comes back, cut to the word length, and SOUT
 * stays marking.  THR is empty again at once, which is an interrupt of its own. */
static void write_thr(struct uart16550 *uart, uint8_t value)
{
	struct uart_chip *chip = &uart->chip;

	if (chip->mcr & MCR_LOOP)
		rx_push(chip, value & (0xff >> (3 - (chip->lcr & LCR_WORD_LENGTH))));
	else if (uart->chardev)
		chardev_put(uart->chardev, value);
	chip->is_thre_pending = (chip->ier & IER_THRE) != 0;
}

static uint8_t read_ier(struct uart16550 *uart)
{
	return uart->chip.ier;
}

/* PC16550D 8.4: enabling the THRE interrupt while THR is empty raises it.  Only a change of the
 * bit counts: a driver that rewrites IER in its handler would be interrupted for ever. */
static void write_ier(struct uart16550 *uart, uint8_t value)
{
	struct uart_chip *chip = &uart->chip;
	uint8_t changed = chip->ier ^ value;

	chip->ier = value & IER_MASK;
	if (changed & IER_THRE)
		chip->is_thre_pending = (value & IER_THRE) != 0;
}

/* PC16550D table III: reading IIR clears the THRE interrupt if that is what it tells. */
static uint8_t read_iir(struct uart16550 *uart)
{
	struct uart_chip *chip = &uart->chip;
	uint8_t iir = uart_interrupt(uart);

	if (iir == IIR_THRE)
		chip->is_thre_pending = false;
	if (chip->fcr & FCR_ENABLE)
		iir |= IIR_FIFOS;
	return iir;
}

/* PC16550D FCR: changing bit 0 empties the FIFOs, and the other bits take effect only while it is
 * written as 1.  The transmit FIFO is always empty, so its reset has nothing to do. */
static void write_fcr(struct uart16550 *uart, uint8_t value)
{
	struct uart_chip *chip = &uart->chip;
	bool has_changed = ((chip->fcr ^ value) & FCR_ENABLE) != 0;

	chip->fcr = (value & FCR_ENABLE) ? value & FCR_KEPT : 0;
	if (has_changed || ((value & FCR_ENABLE) && (value & FCR_RX_RESET)))
		rx_clear(chip);
}

static uint8_t read_lcr(struct uart16550 *uart)
{
	return uart->chip.lcr;
}

static void write_lcr(struct uart16550 *uart, uint8_t value)
{
	uart->chip.lcr = value;
}

static uint8_t read_mcr(struct uart16550 *uart)
{
	return uart->chip.mcr;
}

/* PC16550D MSR bits 0 to 3: CTS, DSR and DCD tell of any change, RI only of its end (TERI).  The
 * inputs change with MCR when loop mode begins, ends or is on. */
static void write_mcr(struct uart16550 *uart, uint8_t value)
{
	struct uart_chip *chip = &uart->chip;
	uint8_t before = uart_msr(chip);
	uint8_t changed;

	chip->mcr = value & MCR_MASK;
	changed = before ^ uart_msr(chip);
	if (!(before & MSR_RI))
		changed &= (uint8_t)~MSR_RI;
	chip->modem_deltas |= changed >> 4;
}

/* PC16550D LSR: a read clears the errors, the top character's included. */
static uint8_t read_lsr(struct uart16550 *uart)
{
	struct uart_chip *chip = &uart->chip;
	uint8_t lsr = uart_lsr(chip);

	chip->line_errors = 0;
	if (chip->rx_count > 0)
		chip->rx_errors[chip->rx_start] = 0;
	return lsr;
}

/* PC16550D LSR, note: a write is for factory tests; with FIFOs on, bits 2 to 4 need a character
 * that came by loop mode, and are its errors as if it had come with them.  It is the one way to
 * errors of a character, as no back end has any.
 * DEVIATES: writes count in loop mode only, and not for bits 0 and 5 to 7; a stray write of a
 * guest that probes ports must do nothing. */
static void write_lsr(struct uart16550 *uart, uint8_t value)
{
	struct uart_chip *chip = &uart->chip;
	unsigned newest = (chip->rx_start + chip->rx_count - 1) % UART_FIFO_BYTES;

	if (!(chip->mcr & MCR_LOOP))
		return;
	chip->line_errors = value & LSR_OE;
	if (chip->rx_count > 0)
		chip->rx_errors[newest] = value & LSR_CHAR_ERROR;
	rx_reveal_top(chip);
}

static uint8_t read_msr(struct uart16550 *uart)
{
	uint8_t msr = uart_msr(&uart->chip);

	uart->chip.modem_deltas = 0;
	return msr;
}

static uint8_t read_scr(struct uart16550 *uart)
{
	return uart->chip.scr;
}

static void write_scr(struct uart16550 *uart, uint8_t value)
{
	uart->chip.scr = value;
}

static uint8_t read_dll(struct uart16550 *uart)
{
	return uart->chip.dll;
}

static void write_dll(struct uart16550 *uart, uint8_t value)
{
	uart->chip.dll = value;
}

static uint8_t read_dlm(struct uart16550 *uart)
{
	return uart->chip.dlm;
}

static void write_dlm(struct uart16550 *uart, uint8_t value)
{
	uart->chip.dlm = value;
}

/* PC16550D table II.  What no row has is read-only: a write does nothing. */
const struct uart_reg uart16550_regs[] = {
	/* name offset DLAB	       read	 write	    kept      at reset */
	{"rbr", 0, UART_DLAB_0, read_rbr, NULL, 0, 0},
	{"thr", 0, UART_DLAB_0, NULL, write_thr, 0, 0},
	{"dll", 0, UART_DLAB_1, read_dll, write_dll, 0xff, 12},
	{"ier", 1, UART_DLAB_0, read_ier, write_ier, IER_MASK, 0},
	{"dlm", 1, UART_DLAB_1, read_dlm, write_dlm, 0xff, 0},
	{"iir", 2, UART_DLAB_ANY, read_iir, NULL, 0, IIR_NONE},
	{"fcr", 2, UART_DLAB_ANY, NULL, write_fcr, 0, 0},
	{"lcr", 3, UART_DLAB_ANY, read_lcr, write_lcr, 0xff, 0},
	{"mcr", 4, UART_DLAB_ANY, read_mcr, write_mcr, MCR_MASK, 0},
	{"lsr", 5, UART_DLAB_ANY, read_lsr, write_lsr, 0, LSR_THRE | LSR_TEMT},
	{"msr", 6, UART_DLAB_ANY, read_msr, NULL, 0, MSR_CTS | MSR_DSR | MSR_DCD},
	{"scr", 7, UART_DLAB_ANY, read_scr, write_scr, 0xff, 0},
};
const unsigned uart16550_reg_count = UMBRA_ARRAY_SIZE(uart16550_regs);

/* Device. */

/* Bring the outside in line with the state.  On a PC the interrupt reaches the controller only
 * while OUT2 is on.  The MCR bit decides, in loop mode too, where the pin itself is off: the data
 * sheet calls interrupts fully operational there, and self-tests count on them. */
static void uart_update(struct uart16550 *uart)
{
	bool is_high = (uart->chip.mcr & MCR_OUT2) && uart_interrupt(uart) != IIR_NONE;

	if (is_high != uart->is_irq_high) {
		uart->is_irq_high = is_high;
		uart->irq.set(uart->irq.ctx, uart->irq.gsi, is_high);
	}
	if (uart->is_input_waiting && rx_room(&uart->chip) > 0)
		chardev_input_wanted(uart->chardev);
}

static const struct uart_reg *reg_find(const struct uart16550 *uart, uint64_t offset, bool is_write)
{
	bool dlab = uart->chip.lcr & LCR_DLAB;

	return offset < UART16550_PORTS ? uart->reg[dlab][is_write][offset] : NULL;
}

/* The table of registers, sorted for reg_find. */
static void index_registers(struct uart16550 *uart)
{
	for (unsigned i = 0; i < uart16550_reg_count; i++) {
		const struct uart_reg *reg = &uart16550_regs[i];

		for (unsigned dlab = 0; dlab < 2; dlab++) {
			if (reg->dlab != UART_DLAB_ANY && reg->dlab != dlab)
				continue;
			if (reg->read)
				uart->reg[dlab][0][reg->offset] = reg;
			if (reg->write)
				uart->reg[dlab][1][reg->offset] = reg;
		}
	}
}

static uint64_t uart_read(void *state, uint64_t offset, unsigned width)
{
	struct uart16550 *uart = state;
	const struct uart_reg *reg = reg_find(uart, offset, false);
	uint8_t value;

	(void)width;
	if (!reg)
		return 0xff;
	value = reg->read(uart);
	uart_update(uart);
	return value;
}

static void uart_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct uart16550 *uart = state;
	const struct uart_reg *reg = reg_find(uart, offset, true);

	(void)width;
	if (!reg)
		return;
	reg->write(uart, (uint8_t)value);
	uart_update(uart);
}

static void uart_reset(void *state)
{
	struct uart16550 *uart = state;

	/* The divisor is undefined after power-up; 9600 baud is what PC firmware leaves. */
	uart->chip = (struct uart_chip){.dll = 12};
	uart_update(uart);
}

static void uart_save(const void *state, struct blob *out)
{
	const struct uart16550 *uart = state;

	uart_chip_save(&uart->chip, out);
}

static int uart_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct uart16550 *uart = state;
	int rc = uart_chip_load(&uart->chip, in, uart->ops.name, err);

	if (rc == 0)
		uart_update(uart);
	return rc;
}

static void uart_show_state(const void *state, const struct print_sink *sink)
{
	uart_show(state, sink);
}

static void uart_destroy(void *state)
{
	struct uart16550 *uart = state;

	if (uart->chardev)
		chardev_set_input(uart->chardev, NULL, NULL);
	free(uart);
}

const struct dev_ops uart16550_ops = {
	.name = "uart16550",
	.widths = 1,
	.read = uart_read,
	.write = uart_write,
	.reset = uart_reset,
	.save = uart_save,
	.load = uart_load,
	.show = uart_show_state,
	.destroy = uart_destroy,
};

size_t uart16550_receive(struct uart16550 *uart, const uint8_t *data, size_t len)
{
	size_t taken = u64_min(len, rx_room(&uart->chip));
	size_t i;

	for (i = 0; i < taken; i++)
		rx_push(&uart->chip, data[i]);
	/* There is no room left when this is set, so uart_update does not ask for more at once. */
	uart->is_input_waiting = taken < len;
	uart_update(uart);
	return taken;
}

struct uart_offer {
	const uint8_t *data;
	size_t len;
	size_t taken;
};

static void offer_locked(void *state, void *arg)
{
	struct uart_offer *offer = arg;

	offer->taken = uart16550_receive(state, offer->data, offer->len);
}

static size_t uart_on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct uart16550 *uart = ctx;
	struct uart_offer offer = {.data = data, .len = len};

	bus_with_device(uart->dev, offer_locked, &offer);
	return offer.taken;
}

void uart16550_init(struct uart16550 *uart, const char *name, struct irq_line irq,
		    struct chardev *chardev)
{
	*uart = (struct uart16550){.ops = uart16550_ops, .irq = irq, .chardev = chardev};
	uart->ops.name = name;
	index_registers(uart);
	uart_reset(uart);
}

int uart16550_create(struct bus *bus, const char *name, uint16_t base, struct irq_line irq,
		     struct chardev *chardev, struct umbra_err *err)
{
	struct uart16550 *uart = malloc(sizeof(*uart));
	int rc;

	if (!uart)
		return umbra_err_set(err, ENOMEM, "no memory for %s", name);
	uart16550_init(uart, name, irq, chardev);
	uart->dev = bus_add_device(bus, &uart->ops, uart);
	if (!uart->dev) {
		free(uart);
		return umbra_err_set(err, ENOMEM, "no memory for %s", name);
	}
	rc = bus_map(uart->dev, BUS_PIO, base, UART16550_PORTS, 0, err);
	if (rc == 0 && chardev)
		chardev_set_input(chardev, uart_on_input, uart);
	return rc;
}
