/* The UART's registers as a table, and its state: shared by uart16550.c, uart16550_state.c and the
 * unit test, which walks the same table. */
#ifndef DEV_UART16550_H
#define DEV_UART16550_H

#include "umbra/bus.h"
#include "umbra/dev.h"

#define UART_FIFO_BYTES 16u

/* Interrupt enable (PC16550D IER). */
#define IER_RX	  0x01u /* received data, and character timeout */
#define IER_THRE  0x02u
#define IER_LINE  0x04u
#define IER_MODEM 0x08u
#define IER_MASK  0x0fu

/* Interrupt identification (PC16550D IIR), highest priority first. */
#define IIR_LINE    0x06u
#define IIR_RX	    0x04u
#define IIR_TIMEOUT 0x0cu
#define IIR_THRE    0x02u
#define IIR_MODEM   0x00u
#define IIR_NONE    0x01u
#define IIR_FIFOS   0xc0u /* FIFOs are on */

/* FIFO control (PC16550D FCR). */
#define FCR_ENABLE   0x01u
#define FCR_RX_RESET 0x02u
#define FCR_TX_RESET 0x04u
#define FCR_DMA	     0x08u
#define FCR_TRIGGER  0xc0u
#define FCR_KEPT     (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) /* the resets clear themselves */

/* Line control (PC16550D LCR). */
#define LCR_WORD_LENGTH 0x03u
#define LCR_DLAB	0x80u

/* Modem control (PC16550D MCR). */
#define MCR_DTR	 0x01u
#define MCR_RTS	 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

/* Line status (PC16550D LSR). */
#define LSR_DR	       0x01u
#define LSR_OE	       0x02u
#define LSR_PE	       0x04u
#define LSR_FE	       0x08u
#define LSR_BI	       0x10u
#define LSR_THRE       0x20u
#define LSR_TEMT       0x40u
#define LSR_FIFO_ERROR 0x80u
#define LSR_CHAR_ERROR (LSR_PE | LSR_FE | LSR_BI) /* belong to one character */
#define LSR_ERROR      (LSR_OE | LSR_CHAR_ERROR)

/* Modem status (PC16550D MSR). */
#define MSR_DCTS  0x01u
#define MSR_DDSR  0x02u
#define MSR_TERI  0x04u
#define MSR_DDCD  0x08u
#define MSR_DELTA 0x0fu
#define MSR_CTS	  0x10u
#define MSR_DSR	  0x20u
#define MSR_RI	  0x40u
#define MSR_DCD	  0x80u

/* What a chip holds; everything that a register shows or an interrupt needs is a function of it. */
struct uart_chip {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t line_errors;  /* LSR_ERROR bits since the last read of LSR */
	uint8_t modem_deltas; /* MSR_DELTA bits since the last read of MSR */
	bool is_thre_pending; /* THR became empty, and no read of IIR said so yet */
	unsigned rx_start;    /* index of the oldest character */
	unsigned rx_count;    /* characters waiting; at most 1 while the FIFOs are off */
	uint8_t rx_data[UART_FIFO_BYTES];
	uint8_t rx_errors[UART_FIFO_BYTES]; /* LSR_CHAR_ERROR bits of each character */
};

struct uart16550;

/* One register in one direction.  @read or @write is NULL when that direction is another row's. */
enum uart_dlab { UART_DLAB_0, UART_DLAB_1, UART_DLAB_ANY };
struct uart_reg {
	const char *name;
	uint8_t offset;
	enum uart_dlab dlab;
	uint8_t (*read)(struct uart16550 *uart);
	void (*write)(struct uart16550 *uart, uint8_t value);
	uint8_t kept;	  /* bits that read back as written; 0 for registers that are none */
	uint8_t at_reset; /* what a read gives after reset */
};

struct uart16550 {
	struct dev_ops ops;	 /* [const] with the name of this one */
	struct device *dev;	 /* [const] NULL when it is on no bus */
	struct irq_line irq;	 /* [const] */
	struct chardev *chardev; /* [const] may be NULL */
	bool is_irq_high;	 /* [dev] what irq was told last */
	/* [dev] The host offered more than fitted.  About the host, not the chip: not saved. */
	bool is_input_waiting;
	struct uart_chip chip; /* [dev] */
	/* [const] uart16550_regs by DLAB, direction (1: write) and offset; NULL: none there. */
	const struct uart_reg *reg[2][2][UART16550_PORTS];
};

extern const struct uart_reg uart16550_regs[];
extern const unsigned uart16550_reg_count;

extern const struct dev_ops uart16550_ops;

/* Set up @uart as at power-up, on no bus. */
void uart16550_init(struct uart16550 *uart, const char *name, struct irq_line irq,
		    struct chardev *chardev);
/* Characters arrive from the host.  Returns how many were taken.  Device lock held. */
size_t uart16550_receive(struct uart16550 *uart, const uint8_t *data, size_t len);

/* Functions of the state (uart16550_state.c). */

unsigned uart_rx_capacity(const struct uart_chip *chip);
unsigned uart_rx_trigger(const struct uart_chip *chip);
uint8_t uart_lsr(const struct uart_chip *chip);
uint8_t uart_msr(const struct uart_chip *chip);
/* The interrupt with the highest priority, IIR_NONE when there is none. */
uint8_t uart_interrupt(const struct uart16550 *uart);

void uart_chip_save(const struct uart_chip *chip, struct blob *out);
int uart_chip_load(struct uart_chip *chip, struct blob *in, const char *name,
		   struct umbra_err *err);
void uart_show(const struct uart16550 *uart, const struct print_sink *sink);

#endif
