/* SMIs from everywhere, with interrupts off and over HLT: to itself, to a processor that waits for
 * its first SIPI, to all, by LINT0 and by a pin of the IO APIC, which stays open. */
#include "bad.h"

#define LAPIC_SVR      (BAD_LAPIC + 0xf0)
#define LAPIC_ICR      (BAD_LAPIC + 0x300)
#define LAPIC_ICR_HIGH (BAD_LAPIC + 0x310)
#define LAPIC_LINT0    (BAD_LAPIC + 0x350)
#define SVR_ENABLE     0x1ffu
#define DELIVERY_SMI   0x200u
#define TO_SELF	       0x40000u
#define TO_ALL	       0x80000u
#define IOAPIC_WINDOW  (BAD_IOAPIC + 0x10)
#define IOAPIC_ENTRY4  0x18u /* of the UART's line */
#define UART_IER       0x3f9
#define UART_MCR       0x3fc
#define UART_IER_THRE  0x02 /* the transmitter is empty, and says so */
#define UART_MCR_OUT2  0x08
#define ROUNDS	       1000u

static void put(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

int main(void)
{
	put(LAPIC_SVR, SVR_ENABLE);
	put(LAPIC_LINT0, DELIVERY_SMI);
	put(BAD_IOAPIC, IOAPIC_ENTRY4);
	put(IOAPIC_WINDOW, DELIVERY_SMI);
	port_out8(UART_MCR, UART_MCR_OUT2);
	for (unsigned i = 0; i < ROUNDS; i++) {
		put(LAPIC_ICR, DELIVERY_SMI | TO_SELF);
		put(LAPIC_ICR, DELIVERY_SMI | TO_ALL);
		put(LAPIC_ICR_HIGH, 1u << 24);
		put(LAPIC_ICR, DELIVERY_SMI);
		port_out8(UART_IER, UART_IER_THRE);
		port_out8(UART_IER, 0);
	}
	print_text("bad: SMIs go by\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
