/* A UART on no bus, for tests: it talks to a back end that swallows everything, and its interrupt
 * line is written down. */
#ifndef TESTS_DEV_UART_RIG_H
#define TESTS_DEV_UART_RIG_H

#include "src/dev/uart16550.h"

enum { RBR = 0, THR = 0, DLL = 0, IER = 1, DLM = 1, IIR = 2, FCR = 2, LCR, MCR, LSR, MSR, SCR };

struct uart_rig {
	struct uart16550 uart;
	bool is_high;	  /* the line as the other end sees it */
	unsigned changes; /* calls of set() */
	struct loop *loop;
	struct gate *gate;
	struct chardev *chardev;
};

void rig_open(struct uart_rig *rig);
void rig_close(struct uart_rig *rig);

uint8_t rig_in(struct uart_rig *rig, unsigned offset);
void rig_out(struct uart_rig *rig, unsigned offset, uint8_t value);
/* @text arrives from the host; returns how many characters were taken. */
size_t rig_receive(struct uart_rig *rig, const char *text);

#endif
