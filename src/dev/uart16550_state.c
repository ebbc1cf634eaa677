/* What can be told from the state of a 16550A without changing it: its status registers, its
 * interrupt, its saved form and its picture for a person.
 * Source: PC16550D data sheet, section 8 (registers). */
#include "uart16550.h"

#include <errno.h>

#define CHIP_VERSION 1

static bool has_fifos(const struct uart_chip *chip)
{
	return (chip->fcr & FCR_ENABLE) != 0;
}

unsigned uart_rx_capacity(const struct uart_chip *chip)
{
	return has_fifos(chip) ? UART_FIFO_BYTES : 1;
}

unsigned uart_rx_trigger(const struct uart_chip *chip)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return has_fifos(chip) ? levels[chip->fcr >> 6] : 1;
}

/* PC16550D LSR.  Bit 7 counts characters with an error that are still in the FIFO. */
uint8_t uart_lsr(const struct uart_chip *chip)
{
	uint8_t lsr = LSR_THRE | LSR_TEMT | chip->line_errors;
	unsigned i;

	if (chip->rx_count > 0)
		lsr |= LSR_DR;
	for (i = 0; has_fifos(chip) && i < chip->rx_count; i++) {
		if (chip->rx_errors[(chip->rx_start + i) % UART_FIFO_BYTES] != 0)
			lsr |= LSR_FIFO_ERROR;
	}
	return lsr;
}

/* PC16550D MSR and MCR bit 4: in loop mode the four inputs are the four outputs.
 * DEVIATES: outside of it a peer is always there and ready, since the back ends know no modem
 * lines and drivers with flow control would wait for ever. */
uint8_t uart_msr(const struct uart_chip *chip)
{
	uint8_t msr = chip->modem_deltas;

	if (!(chip->mcr & MCR_LOOP))
		return msr | MSR_CTS | MSR_DSR | MSR_DCD;
	if (chip->mcr & MCR_RTS)
		msr |= MSR_CTS;
	if (chip->mcr & MCR_DTR)
		msr |= MSR_DSR;
	if (chip->mcr & MCR_OUT1)
		msr |= MSR_RI;
	if (chip->mcr & MCR_OUT2)
		msr |= MSR_DCD;
	return msr;
}

/* PC16550D section 8.4: a character timeout comes when nothing has arrived or was read for the
 * time of four characters.  A device has no clock, and characters take no time here, so the
 * timeout is there as soon as nothing more is on the line: characters that the host still offers
 * would have come before it. */
static bool is_timed_out(const struct uart16550 *uart)
{
	bool is_line_idle = !uart->is_input_waiting || (uart->chip.mcr & MCR_LOOP);

	return has_fifos(&uart->chip) && uart->chip.rx_count > 0 && is_line_idle;
}

/* PC16550D table III.  Nothing here is remembered, so no order of register accesses can lose an
 * interrupt or keep one too long. */
uint8_t uart_interrupt(const struct uart16550 *uart)
{
	const struct uart_chip *chip = &uart->chip;

	if ((chip->ier & IER_LINE) && chip->line_errors != 0)
		return IIR_LINE;
	if ((chip->ier & IER_RX) && chip->rx_count >= uart_rx_trigger(chip))
		return IIR_RX;
	if ((chip->ier & IER_RX) && is_timed_out(uart))
		return IIR_TIMEOUT;
	if ((chip->ier & IER_THRE) && chip->is_thre_pending)
		return IIR_THRE;
	if ((chip->ier & IER_MODEM) && chip->modem_deltas != 0)
		return IIR_MODEM;
	return IIR_NONE;
}

/* Save and load. */

void uart_chip_save(const struct uart_chip *chip, struct blob *out)
{
	unsigned i;

	blob_put_u8(out, CHIP_VERSION);
	blob_put_u8(out, chip->ier);
	blob_put_u8(out, chip->fcr);
	blob_put_u8(out, chip->lcr);
	blob_put_u8(out, chip->mcr);
	blob_put_u8(out, chip->scr);
	blob_put_u8(out, chip->dll);
	blob_put_u8(out, chip->dlm);
	blob_put_u8(out, chip->line_errors);
	blob_put_u8(out, chip->modem_deltas);
	blob_put_u8(out, chip->is_thre_pending);
	blob_put_u8(out, (uint8_t)chip->rx_count);
	for (i = 0; i < chip->rx_count; i++) {
		unsigned at = (chip->rx_start + i) % UART_FIFO_BYTES;

		blob_put_u8(out, chip->rx_data[at]);
		blob_put_u8(out, chip->rx_errors[at]);
	}
}

/* Bits that a chip can never hold show that the bytes are not ours. */
static bool is_chip_possible(const struct uart_chip *chip, uint8_t thre_pending)
{
	unsigned i;

	if ((chip->ier & ~IER_MASK) || (chip->mcr & ~MCR_MASK) || (chip->fcr & ~FCR_KEPT))
		return false;
	if (chip->fcr != 0 && !has_fifos(chip))
		return false;
	if ((chip->line_errors & ~LSR_ERROR) || (chip->modem_deltas & ~MSR_DELTA))
		return false;
	if (thre_pending > 1 || (thre_pending && !(chip->ier & IER_THRE)))
		return false;
	for (i = 0; i < chip->rx_count; i++) {
		if (chip->rx_errors[i] & ~LSR_CHAR_ERROR)
			return false;
	}
	return true;
}

int uart_chip_load(struct uart_chip *chip, struct blob *in, const char *name, struct umbra_err *err)
{
	struct uart_chip c = {0};
	uint8_t version = blob_get_u8(in);
	uint8_t thre_pending;
	unsigned i;

	if (in->is_failed || version != CHIP_VERSION)
		return umbra_err_set(err, EINVAL, "%s: saved state has version %u, expected %d",
				     name, version, CHIP_VERSION);
	c.ier = blob_get_u8(in);
	c.fcr = blob_get_u8(in);
	c.lcr = blob_get_u8(in);
	c.mcr = blob_get_u8(in);
	c.scr = blob_get_u8(in);
	c.dll = blob_get_u8(in);
	c.dlm = blob_get_u8(in);
	c.line_errors = blob_get_u8(in);
	c.modem_deltas = blob_get_u8(in);
	thre_pending = blob_get_u8(in);
	c.rx_count = blob_get_u8(in);
	if (in->is_failed || c.rx_count > uart_rx_capacity(&c))
		return umbra_err_set(err, EINVAL,
				     "%s: saved state is cut off or holds %u characters", name,
				     c.rx_count);
	for (i = 0; i < c.rx_count; i++) {
		c.rx_data[i] = blob_get_u8(in);
		c.rx_errors[i] = blob_get_u8(in);
	}
	if (in->is_failed || !is_chip_possible(&c, thre_pending))
		return umbra_err_set(err, EINVAL,
				     "%s: saved state is cut off or has bits that no 16550A holds",
				     name);
	c.is_thre_pending = thre_pending != 0;
	*chip = c;
	return 0;
}

/* Show. */

static const char *interrupt_name(uint8_t iir)
{
	switch (iir) {
	case IIR_LINE:
		return "line status";
	case IIR_RX:
		return "received data";
	case IIR_TIMEOUT:
		return "character timeout";
	case IIR_THRE:
		return "transmitter empty";
	case IIR_MODEM:
		return "modem status";
	default:
		return "none";
	}
}

/* Print " NAME" for each set bit; @names from bit 0 up, NULL where a bit has none. */
static void show_bits(const struct print_sink *sink, const char *reg, uint8_t value,
		      const char *const names[8])
{
	unsigned bit;

	print_to(sink, "  %-4s %02x", reg, value);
	for (bit = 0; bit < 8; bit++) {
		if ((value >> bit & 1) && names[bit])
			print_to(sink, " %s", names[bit]);
	}
	print_to(sink, "\n");
}

/* Reading the registers here has none of the effects that the guest's reads have. */
void uart_show(const struct uart16550 *uart, const struct print_sink *sink)
{
	static const char *const ier[8] = {"rx", "thre", "line", "modem"};
	static const char *const fcr[8] = {"enabled", NULL, NULL, "dma"};
	static const char *const lcr[8] = {NULL,   NULL,    "stop2", "parity",
					   "even", "stick", "break", "dlab"};
	static const char *const mcr[8] = {"dtr", "rts", "out1", "out2", "loop"};
	static const char *const lsr[8] = {"dr", "oe",	 "pe",	 "fe",
					   "bi", "thre", "temt", "fifo-error"};
	static const char *const msr[8] = {"dcts", "ddsr", "teri", "ddcd",
					   "cts",  "dsr",  "ri",   "dcd"};
	const struct uart_chip *chip = &uart->chip;
	uint8_t iir = uart_interrupt(uart);
	unsigned divisor = chip->dll | chip->dlm << 8;

	print_to(sink, "%s: irq %u %s, interrupt: %s\n", uart->ops.name, uart->irq.gsi,
		 uart->is_irq_high ? "high" : "low", interrupt_name(iir));
	show_bits(sink, "ier", chip->ier, ier);
	show_bits(sink, "fcr", chip->fcr, fcr);
	show_bits(sink, "lcr", chip->lcr, lcr);
	show_bits(sink, "mcr", chip->mcr, mcr);
	show_bits(sink, "lsr", uart_lsr(chip), lsr);
	show_bits(sink, "msr", uart_msr(chip), msr);
	print_to(sink, "  scr  %02x, word length %u, divisor %u (%u baud)\n", chip->scr,
		 5 + (chip->lcr & LCR_WORD_LENGTH), divisor, divisor ? 115200 / divisor : 0);
	print_to(sink, "  rx   %u of %u, trigger %u%s\n", chip->rx_count, uart_rx_capacity(chip),
		 uart_rx_trigger(chip), uart->is_input_waiting ? ", the host has more" : "");
}
