/* Echoes the UART's input by interrupt: 8259 pair at vectors 0x20 and up, irq 4, receive interrupt.
 * Ends at a 'q'.  Static state: what the handler and main() share.
 * Source: PC16550D IER, MCR, LSR. */
#include "pic.h"

#define UART_BASE     0x3f8
#define UART_IER      (UART_BASE + 1)
#define UART_FCR      (UART_BASE + 2)
#define UART_MCR      (UART_BASE + 4)
#define UART_LSR      (UART_BASE + 5)
#define UART_IRQ      4u
#define UART_IER_RX   0x01
#define UART_FCR_ON   0x07 /* FIFOs on and empty, trigger level 1 */
#define UART_MCR_IRQ  0x0b /* DTR, RTS, and OUT2, which lets the interrupt out */
#define UART_LSR_DATA 0x01

volatile unsigned irq_count, echo_count;
static volatile bool is_done;

static void on_uart(struct idt_frame *frame)
{
	(void)frame;
	irq_count++;
	while ((port_in8(UART_LSR) & UART_LSR_DATA) != 0) {
		char c = (char)port_in8(UART_BASE);

		print_char(c);
		echo_count++;
		if (c == 'q')
			is_done = true;
	}
	pic_end(UART_IRQ);
}

int main(void)
{
	idt_init();
	idt_set(IDT_PIC_BASE + UART_IRQ, on_uart);
	pic_init(1u << UART_IRQ);
	port_out8(UART_FCR, UART_FCR_ON);
	port_out8(UART_MCR, UART_MCR_IRQ);
	port_out8(UART_IER, UART_IER_RX);
	print_text("uart_irq: ready\n");
	while (!is_done) {
		/* HLT lies in the shadow of STI, so no interrupt is lost between the two. */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	print_text("\nuart_irq: echoed ");
	print_dec(echo_count);
	print_char('\n');
	return irq_count > 0 ? GUEST_PASS : GUEST_FAIL;
}
