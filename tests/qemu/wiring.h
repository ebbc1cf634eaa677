/* Which ports and interrupt lines the devices of both sides have: an ISA PC's, and a UART at each
 * line that is free otherwise, whose transmitter interrupt is a switch for that line. */
#ifndef UMBRA_QEMU_WIRING_H
#define UMBRA_QEMU_WIRING_H

#include <stdint.h>

#define PIC_MASTER  0x20u
#define PIC_SLAVE   0xa0u
#define PIC_ELCR    0x4d0u
#define PIT_COUNTER 0x40u
#define PIT_CONTROL 0x43u
#define PIT_PORT61  0x61u
#define PIT_IRQ	    0u
#define RTC_INDEX   0x70u
#define RTC_DATA    0x71u
#define RTC_IRQ	    8u

#define PIT_READ_BACK 0xc0u /* a control word from here on is for no one counter */
#define PIC_ICW1      0x10u /* in a command word: it is ICW1 */

/* The time of day at the start: a leap day is near its end. */
#define EPOCH_S	     1709251170				 /* 2024-02-29 23:59:30 */
#define EPOCH_OPTION "base=2024-02-29T23:59:30,clock=vm" /* of -rtc */

struct uart_place {
	uint16_t base;
	unsigned irq;
};

#define UART_COUNT 11u

extern const struct uart_place uart_place[UART_COUNT]; /* ours.c */

#endif
