/* A UART in loop mode that is fed with its own output, two bytes for each that comes in: its FIFO
 * overruns, and all its reasons for an interrupt come and go. */
#include "bad.h"

#define UART	 0x3f8
#define UART_IER (UART + 1)
#define UART_IIR (UART + 2)
#define UART_FCR (UART + 2)
#define UART_MCR (UART + 4)
#define UART_LSR (UART + 5)
#define UART_MSR (UART + 6)
#define MCR_LOOP 0x10u
#define IER_ALL	 0x0f
#define LSR_DATA 0x01u
#define LSR_OVER 0x02u
#define BYTES	 4000u

int main(void)
{
	unsigned overruns = 0;

	port_out8(UART_FCR, 0x07);
	port_out8(UART_IER, IER_ALL);
	port_out8(UART_MCR, MCR_LOOP);
	port_out8(UART, 'x');
	for (unsigned i = 0; i < BYTES; i++) {
		uint8_t status = port_in8(UART_LSR);

		overruns += (status & LSR_OVER) != 0;
		if (!(status & LSR_DATA))
			return GUEST_FAIL;
		port_out8(UART, port_in8(UART));
		port_out8(UART, (uint8_t)i);
		port_out8(UART_MCR,
			  (uint8_t)(MCR_LOOP | (i & 0x0f))); /* they are the modem's lines now */
		(void)port_in8(UART_IIR);
		(void)port_in8(UART_MSR);
	}
	port_out8(UART_IER, 0);
	port_out8(UART_FCR, 0x06);
	port_out8(UART_MCR, 0);
	print_text("bad: the UART fed itself\n");
	return overruns > 0 ? BAD_SURVIVED : GUEST_FAIL;
}
