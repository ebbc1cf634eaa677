/* Unit tests of the UART: the register table walked row by row, and scripts of accesses with what
 * the PC16550D data sheet says each must give. */
#include "uart_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct uart_rig rig;

static void open_rig(void)
{
	rig_open(&rig);
}

static void close_rig(void)
{
	rig_close(&rig);
}

/* Scripts. */

/* One access and what it must give.  ANY_LINE where the line does not matter. */
enum line { LOW, HIGH };
struct step {
	enum { W, R, RX } op;
	unsigned offset; /* RX: how many characters arrive, 'a' first */
	uint8_t value;	 /* written, or expected; RX: how many must be taken */
	enum line line;	 /* after it */
};

static void run_script(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct step *s = &steps[i];
		uint8_t got = s->value;

		if (s->op == W)
			rig_out(&rig, s->offset, s->value);
		else if (s->op == R)
			got = rig_in(&rig, s->offset);
		else
			got = (uint8_t)uart16550_receive(
				&rig.uart, (const uint8_t *)"abcdefghijklmnopqrstuvwxyz",
				s->offset);
		cr_assert_eq(got, s->value, "step %zu: got %#x, expected %#x", i, got, s->value);
		cr_assert_eq(rig.is_high, s->line == HIGH, "step %zu: line is %s", i,
			     rig.is_high ? "high" : "low");
	}
}

#define SCRIPT(name, ...)                                                                          \
	Test(uart, name, .init = open_rig, .fini = close_rig)                                      \
	{                                                                                          \
		static const struct step steps[] = {__VA_ARGS__};                                  \
		run_script(steps, UMBRA_ARRAY_SIZE(steps));                                        \
	}

/* The register table. */

static void select_dlab(const struct uart_reg *reg)
{
	rig_out(&rig, LCR, reg->dlab == UART_DLAB_1 ? LCR_DLAB : 0);
}

static uint8_t read_row(const struct uart_reg *reg)
{
	select_dlab(reg);
	return rig_in(&rig, reg->offset);
}

Test(uart, table_when_walked_then_one_row_for_each_access, .init = open_rig, .fini = close_rig)
{
	for (unsigned offset = 0; offset < UART16550_PORTS; offset++) {
		for (unsigned dlab = 0; dlab < 2; dlab++) {
			unsigned reads = 0;
			unsigned writes = 0;

			for (unsigned i = 0; i < uart16550_reg_count; i++) {
				const struct uart_reg *reg = &uart16550_regs[i];

				if (reg->offset != offset ||
				    (reg->dlab != UART_DLAB_ANY && reg->dlab != dlab))
					continue;
				reads += reg->read != NULL;
				writes += reg->write != NULL;
			}
			cr_assert_eq(reads, 1, "offset %u dlab %u", offset, dlab);
			/* MSR alone is read-only. */
			cr_assert_eq(writes, offset != MSR, "offset %u dlab %u", offset, dlab);
		}
	}
}

Test(uart, table_when_reset_then_each_register_reads_its_reset_value, .init = open_rig,
     .fini = close_rig)
{
	for (unsigned i = 0; i < uart16550_reg_count; i++) {
		for (unsigned j = 0; j < UART16550_PORTS; j++)
			rig_out(&rig, j, 0xff);
		uart16550_ops.reset(&rig.uart);
		cr_assert_not(rig.is_high);
		if (uart16550_regs[i].read && uart16550_regs[i].offset != LCR)
			cr_assert_eq(read_row(&uart16550_regs[i]), uart16550_regs[i].at_reset, "%s",
				     uart16550_regs[i].name);
	}
	cr_assert_eq(rig_in(&rig, LCR), 0);
}

/* What is written to one register must come back from it, cut to its bits, and from no other. */
Test(uart, table_when_written_then_kept_bits_read_back_and_others_stay, .init = open_rig,
     .fini = close_rig)
{
	static const uint8_t values[] = {0x00, 0xff, 0x55, 0xaa, 0x01, 0x80};

	for (unsigned i = 0; i < uart16550_reg_count; i++) {
		const struct uart_reg *reg = &uart16550_regs[i];

		for (unsigned v = 0; reg->kept && v < UMBRA_ARRAY_SIZE(values); v++) {
			uart16550_ops.reset(&rig.uart);
			select_dlab(reg);
			rig_out(&rig, reg->offset, values[v]);
			cr_assert_eq(rig_in(&rig, reg->offset), values[v] & reg->kept, "%s",
				     reg->name);
			for (unsigned k = 0; k < uart16550_reg_count; k++) {
				const struct uart_reg *other = &uart16550_regs[k];

				if (other->kept && k != i && reg->offset != LCR &&
				    other->offset != LCR)
					cr_assert_eq(read_row(other), other->at_reset,
						     "%s after a write to %s", other->name,
						     reg->name);
			}
		}
	}
}

Test(uart, access_when_past_the_registers_then_nothing, .init = open_rig, .fini = close_rig)
{
	cr_assert_eq(rig_in(&rig, 8), 0xff);
	rig_out(&rig, 8, 0);
}

/* Interrupts. */

/* All five sources at once, taken away from the top. */
SCRIPT(iir_when_all_pending_then_by_priority, {W, FCR, FCR_ENABLE, LOW}, /* trigger level 1 */
       {W, IER, IER_MASK, LOW},						 /* OUT2 is off */
       {R, IIR, 0xc0 | IIR_THRE, LOW},				/* raised by IER, read away */
       {W, MCR, MCR_LOOP | MCR_OUT2, HIGH},			/* DSR and CTS fall */
       {W, THR, 'a', HIGH},					/* received, and THR empty */
       {W, LSR, LSR_OE, HIGH}, {R, IIR, 0xc0 | IIR_LINE, HIGH}, /* reading IIR clears THRE only */
       {R, IIR, 0xc0 | IIR_LINE, HIGH}, {R, LSR, LSR_OE | LSR_DR | LSR_THRE | LSR_TEMT, HIGH},
       {R, IIR, 0xc0 | IIR_RX, HIGH}, {R, RBR, 'a' & 0x1f, HIGH}, {R, IIR, 0xc0 | IIR_THRE, HIGH},
       {R, IIR, 0xc0 | IIR_MODEM, HIGH}, {R, IIR, 0xc0 | IIR_MODEM, HIGH},
       {R, MSR, MSR_DCD | MSR_DCTS | MSR_DDSR, LOW}, {R, IIR, 0xc0 | IIR_NONE, LOW})

SCRIPT(iir_when_source_is_not_enabled_then_none, {W, MCR, MCR_LOOP | MCR_OUT2, LOW},
       {W, THR, 'a', LOW}, {W, LSR, LSR_OE, LOW}, {R, IIR, IIR_NONE, LOW}, {W, IER, IER_LINE, HIGH},
       {R, IIR, IIR_LINE, HIGH}, {W, IER, IER_RX, HIGH}, {R, IIR, IIR_RX, HIGH},
       {W, IER, IER_THRE, HIGH}, {R, IIR, IIR_THRE, LOW}, {W, IER, IER_MODEM, HIGH},
       {R, IIR, IIR_MODEM, HIGH}, {W, IER, 0, LOW}, {R, IIR, IIR_NONE, LOW})

SCRIPT(line_when_out2_is_off_then_low_though_iir_tells, {W, IER, IER_RX, LOW}, {RX, 1, 1, LOW},
       {R, IIR, IIR_RX, LOW}, {W, MCR, MCR_OUT2, HIGH}, {W, MCR, MCR_DTR | MCR_RTS | MCR_OUT1, LOW},
       {W, MCR, MCR_OUT2, HIGH}, {R, RBR, 'a', LOW})

SCRIPT(thre_when_enabled_while_empty_then_raised, {W, MCR, MCR_OUT2, LOW}, {W, IER, IER_THRE, HIGH},
       {R, IIR, IIR_THRE, LOW}, {R, IIR, IIR_NONE, LOW})

SCRIPT(thre_when_thr_is_written_then_raised_again, {W, MCR, MCR_OUT2, LOW},
       {W, IER, IER_THRE, HIGH}, {R, IIR, IIR_THRE, LOW}, {W, THR, 'x', HIGH},
       {R, IIR, IIR_THRE, LOW}, {W, THR, 'y', HIGH}, {W, THR, 'z', HIGH}, {R, IIR, IIR_THRE, LOW})

/* A handler that writes IER back unchanged must not be called for ever. */
SCRIPT(thre_when_ier_is_rewritten_with_the_bit_on_then_not_raised, {W, MCR, MCR_OUT2, LOW},
       {W, IER, IER_THRE, HIGH}, {R, IIR, IIR_THRE, LOW}, {W, IER, IER_THRE, LOW},
       {W, IER, IER_THRE | IER_RX, LOW}, {R, IIR, IIR_NONE, LOW})

/* A console that masks IER while it prints by polling, and restores it: the interrupt driver
 * behind it must get its THRE. */
SCRIPT(thre_when_ier_is_masked_and_restored_then_raised, {W, MCR, MCR_OUT2, LOW},
       {W, IER, IER_THRE, HIGH}, {R, IIR, IIR_THRE, LOW}, {W, IER, 0, LOW}, {W, THR, 'p', LOW},
       {R, LSR, LSR_THRE | LSR_TEMT, LOW}, {R, IIR, IIR_NONE, LOW}, {W, IER, IER_THRE, HIGH},
       {R, IIR, IIR_THRE, LOW})

SCRIPT(thre_when_disabled_while_pending_then_gone, {W, MCR, MCR_OUT2, LOW},
       {W, IER, IER_THRE, HIGH}, {W, IER, 0, LOW}, {R, IIR, IIR_NONE, LOW}, {W, IER, IER_RX, LOW},
       {R, IIR, IIR_NONE, LOW})

/* Reading IIR while something more urgent is told does not take THRE away. */
SCRIPT(thre_when_iir_tells_another_source_then_stays, {W, MCR, MCR_OUT2, LOW},
       {W, IER, IER_THRE | IER_RX, HIGH}, {RX, 1, 1, HIGH}, {R, IIR, IIR_RX, HIGH},
       {R, RBR, 'a', HIGH}, {R, IIR, IIR_THRE, LOW})

SCRIPT(rx_when_ier_is_set_after_the_character_then_raised, {W, MCR, MCR_OUT2, LOW}, {RX, 1, 1, LOW},
       {W, IER, IER_RX, HIGH}, {W, IER, 0, LOW}, {W, IER, IER_RX, HIGH}, {R, RBR, 'a', LOW})

/* Receiver. */

SCRIPT(rx_when_fifos_are_off_then_room_for_one, {RX, 3, 1, LOW}, {RX, 3, 0, LOW},
       {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 'a', LOW},
       {R, LSR, LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 0, LOW}, {RX, 1, 1, LOW})

SCRIPT(rx_when_host_floods_then_fifo_takes_sixteen_and_no_overrun, {W, FCR, FCR_ENABLE, LOW},
       {RX, 26, 16, LOW}, {RX, 26, 0, LOW}, {R, RBR, 'a', LOW}, {R, RBR, 'b', LOW},
       {RX, 26, 2, LOW}, {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 'c', LOW})

SCRIPT(rx_when_in_loop_mode_then_host_has_to_wait, {W, MCR, MCR_LOOP, LOW}, {RX, 2, 0, LOW},
       {R, LSR, LSR_THRE | LSR_TEMT, LOW}, {W, MCR, 0, LOW}, {RX, 2, 1, LOW})

/* IIR at each count of characters and each trigger level: PC16550D FCR bits 6 and 7. */
Test(uart, rx_when_any_level_and_count_then_data_or_timeout, .init = open_rig, .fini = close_rig)
{
	static const unsigned levels[4] = {1, 4, 8, 14};

	for (unsigned level = 0; level < 4; level++) {
		for (unsigned count = 1; count <= 16; count++) {
			uint8_t expected = count >= levels[level] ? IIR_RX : IIR_TIMEOUT;

			uart16550_ops.reset(&rig.uart);
			rig_out(&rig, FCR, (uint8_t)(FCR_ENABLE | level << 6));
			rig_out(&rig, IER, IER_RX);
			rig_receive(&rig, &"abcdefghijklmnop"[16 - count]);
			cr_assert_eq(rig_in(&rig, IIR), 0xc0 | expected, "level %u count %u", level,
				     count);
		}
	}
}

/* Reading below the trigger level turns the data interrupt into a timeout, and the last character
 * ends it. */
Test(uart, rx_when_read_out_then_data_timeout_none, .init = open_rig, .fini = close_rig)
{
	rig_out(&rig, FCR, FCR_ENABLE | 0x80); /* 8 characters */
	rig_out(&rig, IER, IER_RX);
	rig_out(&rig, MCR, MCR_OUT2);
	rig_receive(&rig, "abcdefghij");
	for (unsigned left = 10; left > 0; left--) {
		cr_assert(rig.is_high);
		cr_assert_eq(rig_in(&rig, IIR), 0xc0 | (left >= 8 ? IIR_RX : IIR_TIMEOUT));
		cr_assert_eq(rig_in(&rig, RBR), 'a' + (10 - left));
	}
	cr_assert_not(rig.is_high);
	cr_assert_eq(rig_in(&rig, IIR), 0xc0 | IIR_NONE);
}

/* No timeout while the host has more to give: the line is not idle. */
Test(uart, timeout_when_host_has_more_then_not_yet, .init = open_rig, .fini = close_rig)
{
	rig_out(&rig, FCR, FCR_ENABLE | 0xc0); /* 14 characters */
	rig_out(&rig, IER, IER_RX);
	cr_assert_eq(rig_receive(&rig, "0123456789abcdefg"), 16);
	for (unsigned i = 0; i < 3; i++)
		rig_in(&rig, RBR);
	cr_assert_eq(rig_in(&rig, IIR), 0xc0 | IIR_NONE);
	cr_assert_eq(rig_receive(&rig, "g"), 1);
	cr_assert_eq(rig_in(&rig, IIR), 0xc0 | IIR_RX);
	rig_in(&rig, RBR);
	cr_assert_eq(rig_in(&rig, IIR), 0xc0 | IIR_TIMEOUT);
}

SCRIPT(fcr_when_enable_bit_changes_then_fifo_is_emptied, {RX, 1, 1, LOW}, {W, FCR, FCR_ENABLE, LOW},
       {R, LSR, LSR_THRE | LSR_TEMT, LOW}, {RX, 5, 5, LOW}, {W, FCR, FCR_ENABLE, LOW},
       {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {W, FCR, 0, LOW},
       {R, LSR, LSR_THRE | LSR_TEMT, LOW}, {R, IIR, IIR_NONE, LOW})

SCRIPT(fcr_when_reset_bits_are_written_then_only_rx_reset_empties_rx, {W, FCR, FCR_ENABLE, LOW},
       {RX, 5, 5, LOW}, {W, FCR, FCR_ENABLE | FCR_TX_RESET, LOW}, {R, RBR, 'a', LOW},
       {W, FCR, FCR_ENABLE | FCR_RX_RESET, LOW}, {R, LSR, LSR_THRE | LSR_TEMT, LOW},
       {RX, 1, 1, LOW}, {R, RBR, 'a', LOW})

/* Bits other than bit 0 take effect only together with it: level 14 is not set here. */
SCRIPT(fcr_when_enable_bit_is_off_then_the_rest_is_ignored, {W, FCR, 0xc0, LOW},
       {R, IIR, IIR_NONE, LOW}, {W, FCR, FCR_ENABLE, LOW}, {W, IER, IER_RX, LOW}, {RX, 1, 1, LOW},
       {R, IIR, 0xc0 | IIR_RX, LOW})

/* Loop mode and line status. */

SCRIPT(loop_when_word_length_is_set_then_cut_to_it, {W, MCR, MCR_LOOP, LOW}, {W, LCR, 0, LOW},
       {W, THR, 0xff, LOW}, {R, RBR, 0x1f, LOW}, {W, LCR, 1, LOW}, {W, THR, 0xff, LOW},
       {R, RBR, 0x3f, LOW}, {W, LCR, 2, LOW}, {W, THR, 0xff, LOW}, {R, RBR, 0x7f, LOW},
       {W, LCR, 3, LOW}, {W, THR, 0xff, LOW}, {R, RBR, 0xff, LOW})

SCRIPT(overrun_when_fifos_are_off_then_newer_character_stays, {W, LCR, 3, LOW},
       {W, IER, IER_LINE, LOW}, {W, MCR, MCR_LOOP | MCR_OUT2, LOW}, {W, THR, 'a', LOW},
       {W, THR, 'b', HIGH}, {R, IIR, IIR_LINE, HIGH},
       {R, LSR, LSR_OE | LSR_DR | LSR_THRE | LSR_TEMT, LOW},
       {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 'b', LOW})

Test(uart, overrun_when_fifo_is_full_then_older_characters_stay, .init = open_rig,
     .fini = close_rig)
{
	rig_out(&rig, LCR, 3);
	rig_out(&rig, FCR, FCR_ENABLE);
	rig_out(&rig, MCR, MCR_LOOP);
	for (unsigned i = 0; i < 16; i++)
		rig_out(&rig, THR, (uint8_t)('a' + i));
	cr_assert_eq(rig_in(&rig, LSR), LSR_DR | LSR_THRE | LSR_TEMT);
	rig_out(&rig, THR, 'z');
	cr_assert_eq(rig_in(&rig, LSR), LSR_OE | LSR_DR | LSR_THRE | LSR_TEMT);
	for (unsigned i = 0; i < 16; i++)
		cr_assert_eq(rig_in(&rig, RBR), 'a' + i);
	cr_assert_eq(rig_in(&rig, LSR), LSR_THRE | LSR_TEMT);
}

/* An error waits with its character: bit 7 at once, its own bit and interrupt when the character
 * comes to the top. */
SCRIPT(error_when_behind_another_character_then_shown_at_the_top, {W, LCR, 3, LOW},
       {W, FCR, FCR_ENABLE, LOW}, {W, IER, IER_LINE, LOW}, {W, MCR, MCR_LOOP | MCR_OUT2, LOW},
       {W, THR, 'a', LOW}, {W, THR, 'b', LOW}, {W, LSR, LSR_PE | LSR_FE | LSR_BI, LOW},
       {R, LSR, LSR_FIFO_ERROR | LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 'a', HIGH},
       {R, IIR, 0xc0 | IIR_LINE, HIGH}, {R, LSR, 0xfd, LOW},
       {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW}, {R, RBR, 'b', LOW})

SCRIPT(error_when_fifos_are_off_then_no_fifo_error_bit, {W, MCR, MCR_LOOP, LOW}, {W, THR, 1, LOW},
       {W, LSR, LSR_BI, LOW}, {R, LSR, LSR_BI | LSR_DR | LSR_THRE | LSR_TEMT, LOW})

SCRIPT(lsr_when_written_outside_of_loop_mode_then_nothing, {W, FCR, FCR_ENABLE, LOW},
       {RX, 1, 1, LOW}, {W, LSR, 0xff, LOW}, {R, LSR, LSR_DR | LSR_THRE | LSR_TEMT, LOW})

/* Modem status. */

static uint8_t looped_inputs(unsigned mcr)
{
	return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
			 (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* Every change of the four outputs in loop mode: deltas for any change, for RI only for its end. */
Test(uart, modem_when_any_change_in_loop_mode_then_inputs_and_deltas, .init = open_rig,
     .fini = close_rig)
{
	for (unsigned from = 0; from < 16; from++) {
		for (unsigned to = 0; to < 16; to++) {
			uint8_t before = looped_inputs(from);
			uint8_t after = looped_inputs(to);
			uint8_t deltas = (uint8_t)((before ^ after) >> 4);

			if (!(before & MSR_RI) || (after & MSR_RI))
				deltas &= (uint8_t)~MSR_TERI;
			rig_out(&rig, MCR, (uint8_t)(MCR_LOOP | from));
			rig_in(&rig, MSR);
			rig_out(&rig, MCR, (uint8_t)(MCR_LOOP | to));
			cr_assert_eq(rig_in(&rig, MSR), after | deltas, "%x to %x", from, to);
			cr_assert_eq(rig_in(&rig, MSR), after);
		}
	}
}

SCRIPT(modem_when_not_in_loop_mode_then_peer_is_ready, {W, MCR, 0x0f, LOW},
       {R, MSR, MSR_CTS | MSR_DSR | MSR_DCD, LOW}, {W, MSR, 0, LOW},
       {R, MSR, MSR_CTS | MSR_DSR | MSR_DCD, LOW})

/* The test by which drivers tell a UART from an empty port. */
SCRIPT(modem_when_probed_as_drivers_do_then_0x90, {W, MCR, MCR_LOOP | MCR_OUT2 | MCR_RTS, LOW},
       {R, MSR, 0x92, LOW}, {R, MSR, 0x90, LOW})

/* The device around it. */

Test(uart, reset_when_interrupting_then_line_falls, .init = open_rig, .fini = close_rig)
{
	rig_out(&rig, MCR, MCR_OUT2);
	rig_out(&rig, IER, IER_THRE);
	cr_assert(rig.is_high);
	uart16550_ops.reset(&rig.uart);
	cr_assert_not(rig.is_high);
	cr_assert_eq(rig.changes, 2);
}

static void collect(void *ctx, const char *text, size_t len)
{
	strncat(ctx, text, len);
}

Test(uart, show_when_called_then_decoded_and_without_effect, .init = open_rig, .fini = close_rig)
{
	char text[1024] = "";
	struct print_sink sink = {.text = collect, .ctx = text};
	struct uart_chip before;

	rig_out(&rig, FCR, FCR_ENABLE | 0xc0);
	rig_out(&rig, MCR, MCR_OUT2 | MCR_DTR);
	rig_out(&rig, IER, IER_THRE | IER_RX);
	rig_receive(&rig, "hi");
	before = rig.uart.chip;
	uart16550_ops.show(&rig.uart, &sink);
	cr_assert_eq(memcmp(&before, &rig.uart.chip, sizeof(before)), 0);
	cr_assert_not_null(strstr(text, "serial0: irq 4 high, interrupt: character timeout\n"),
			   "%s", text);
	cr_assert_not_null(strstr(text, "ier  03 rx thre\n"), "%s", text);
	cr_assert_not_null(strstr(text, "mcr  09 dtr out2\n"), "%s", text);
	cr_assert_not_null(strstr(text, "lsr  61 dr thre temt\n"), "%s", text);
	cr_assert_not_null(strstr(text, "divisor 12 (9600 baud)"), "%s", text);
	cr_assert_not_null(strstr(text, "rx   2 of 16, trigger 14\n"), "%s", text);
}
