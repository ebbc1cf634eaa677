/* Divisors that are none: 0 in the UART, counts of 0 and 1 in each mode of the timer chip, and a
 * divide error in its own handler's place. */
#include "bad.h"

#define UART_LCR     0x3fb
#define LCR_DLAB     0x83
#define LCR_8BITS    0x03
#define PIT_COUNTER0 0x40
#define PIT_CONTROL  0x43
#define LAPIC_DIVIDE (BAD_LAPIC + 0x3e0)
#define LAPIC_INIT   (BAD_LAPIC + 0x380)
#define VECTOR_DE    0u

/* DIV ECX has two bytes. */
static void on_divide(struct idt_frame *frame)
{
	frame->rip += 2;
}

int main(void)
{
	port_out8(UART_LCR, LCR_DLAB);
	port_out8(0x3f8, 0);
	port_out8(0x3f9, 0);
	port_out8(UART_LCR, LCR_8BITS);
	print_text("bad: divisor 0 prints\n");
	for (unsigned mode = 0; mode < 8; mode++) {
		for (unsigned counter = 0; counter < 3; counter++) {
			for (uint8_t count = 0; count < 2; count++) {
				port_out8(PIT_CONTROL, (uint8_t)(counter << 6 | 0x30 | mode << 1));
				port_out8((uint16_t)(PIT_COUNTER0 + counter), count);
				port_out8((uint16_t)(PIT_COUNTER0 + counter), 0);
				(void)port_in8((uint16_t)(PIT_COUNTER0 + counter));
			}
		}
	}
	*(volatile uint32_t *)LAPIC_DIVIDE = 0xffffffff;
	*(volatile uint32_t *)LAPIC_INIT = 0;
	idt_init();
	idt_set(VECTOR_DE, on_divide);
	__asm__ volatile("divl %%ecx" : : "a"(1), "d"(0), "c"(0) : "cc");
	print_text("bad: nothing was divided\n");
	return BAD_SURVIVED;
}
