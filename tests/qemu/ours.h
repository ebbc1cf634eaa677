/* umbra's devices, wired as an ISA PC, with a clock that the test sets. */
#ifndef UMBRA_QEMU_OURS_H
#define UMBRA_QEMU_OURS_H

#include "umbra/bus.h"
#include "umbra/record.h"

#include "image.h"
#include "sequence.h"
#include "wiring.h"

#include "src/dev/mc146818.h"
#include "src/dev/pic8259.h"
#include "src/dev/pit8254.h"
#include "src/dev/uart16550.h"

struct ours {
	struct bus *bus;
	struct gate *gate;
	uint64_t now_ns;
	bool is_intr_high;
	/* The bus owns the UARTs and the clock; known.c looks into all of them. */
	struct pic8259 *pic;
	struct pit8254 *pit;
	struct uart16550 *uart[UART_COUNT];
	struct mc146818 *rtc;

	/* What known.c needs to know of QEMU. */
	uint64_t uart_char_ns;	 /* the longest that a character takes on UART 0 */
	uint64_t uart_settle_ns; /* when its time-out is over */
	uint64_t uart_early_ns;	 /* until when it cannot be there, when is_uart_fresh */
	bool is_uart_fresh;	 /* there was no time-out since a character was taken */
	unsigned pit_programmed; /* counters that had a control word, as a mask */
	/* From a change of counter 0 until the PIC forgets its edges: IRQ 0 may be requested. */
	bool is_irq0_vague;
	bool rtc_written[RTC_REGS];
	/* QEMU's UF and AF may be set: since SET was, until register C was read. */
	bool is_rtc_vague;
};

/* False: no memory. */
bool ours_open(struct ours *o);
void ours_close(struct ours *o);
/* It is @ns; never earlier than the last time. */
void ours_run_to(struct ours *o, uint64_t ns);
/* Do @op and give its result. */
uint16_t ours_do(struct ours *o, const struct op *op);

/* The UART with register @port, and the register; NULL for other ports. */
const struct uart16550 *ours_uart_at(const struct ours *o, uint16_t port, unsigned *out_offset);

enum ours_mode {
	OURS_CHECK, /* stop at an operation that brings out a known difference */
	OURS_MEND,  /* make it a clock_step of 0 in the sequence */
	OURS_BLIND, /* nothing is known */
};
enum verdict { VERDICT_DONE, VERDICT_KNOWN, VERDICT_FAILED };

/* Run @s, with the times of @image, on devices as at power-up.  Bits of results that the two are
 * known to differ in are set in @hidden.  VERDICT_KNOWN in the first two modes: there was such an
 * operation.  VERDICT_FAILED: no memory. */
enum verdict ours_run(struct sequence *s, const struct image *image, enum ours_mode mode,
		      struct results *out, struct results *hidden);

#endif
