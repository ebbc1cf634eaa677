/* Polled text output on the first UART.
 * Source: PC16550D, LSR bit 5 (transmitter holding register empty). */
#include "guest.h"

#define UART_BASE     0x3f8
#define UART_LSR      (UART_BASE + 5)
#define UART_LSR_THRE 0x20
#define UINT64_DIGITS 20

void print_char(char c)
{
	while ((port_in8(UART_LSR) & UART_LSR_THRE) == 0)
		cpu_relax();
	port_out8(UART_BASE, (uint8_t)c);
}

void print_text(const char *text)
{
	while (*text != '\0')
		print_char(*text++);
}

static void print_number(uint64_t value, unsigned radix)
{
	char digits[UINT64_DIGITS];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % radix];
		value /= radix;
	} while (value != 0);
	while (count > 0)
		print_char(digits[--count]);
}

void print_dec(uint64_t value)
{
	print_number(value, 10);
}

void print_hex(uint64_t value)
{
	print_text("0x");
	print_number(value, 16);
}

void print_field(const char *name, uint64_t value)
{
	print_char(' ');
	print_text(name);
	print_char(' ');
	print_hex(value);
}
