/* The 8254 by each way that a PC wires it: counter 2 by its gate and output at port 0x61, counter 0
 * by IRQ 0 of the 8259 pair, by pin 2 of the IO APIC, where ACPI's tables say that it is, and by
 * the pair's INTR at pin 0, sent on as ExtINT. Static state: what the handlers and main() share.
 * Source: 8254 data sheet (control word, modes 0 and 2); 82093AA data sheet 3.2.4; SDM
 * 3A 10.4, 10.8.5; PC/AT technical reference (port 0x61); ACPI 6.5, 4.8.3.3 (PM timer). */
#include "pic.h"

#define PIT_COUNTER0 0x40
#define PIT_COUNTER2 0x42
#define PIT_CONTROL  0x43
#define PIT_RATE0    0x34 /* counter 0, both bytes, mode 2 */
#define PIT_SHOT2    0xb0 /* counter 2, both bytes, mode 0 */
#define PIT_COUNT    4096u
#define PORT_61	     0x61
#define PORT_61_GATE 0x01
#define PORT_61_OUT  0x20
#define PM_TIMER     0x608
#define PM_MASK	     0xffffffu
#define PM_PER_COUNT (3 * PIT_COUNT) /* it runs three times as fast */

#define IOAPIC_SELECT 0xfec00000ul
#define IOAPIC_WINDOW 0xfec00010ul
#define IOAPIC_ENTRY  0x10u
#define IOAPIC_MASKED 0x10000u
#define IOAPIC_PIN    2u
#define IOAPIC_INTR   0u
#define IOAPIC_EXTINT 0x700u
#define LAPIC_EOI     0xfee000b0ul
#define LAPIC_SVR     0xfee000f0ul
#define LAPIC_LINT0   0xfee00350ul
#define LAPIC_ENABLE  0x100u
#define LVT_MASKED    0x10000u
#define IOAPIC_VECTOR (IDT_PIC_BASE + 14)
#define TICKS	      5u

static volatile unsigned pic_ticks, ioapic_ticks;

static volatile uint32_t *reg(uint64_t address)
{
	return (volatile uint32_t *)address;
}

static void on_pic(struct idt_frame *frame)
{
	(void)frame;
	pic_ticks++;
	pic_end(0);
}

static void on_ioapic(struct idt_frame *frame)
{
	(void)frame;
	ioapic_ticks++;
	*reg(LAPIC_EOI) = 0;
}

static void load(uint16_t port, uint8_t control)
{
	port_out8(PIT_CONTROL, control);
	port_out8(port, PIT_COUNT & 0xff);
	port_out8(port, PIT_COUNT >> 8);
}

static uint32_t pm_timer(void)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"((uint16_t)PM_TIMER));
	return value;
}

/* Of another clock than those that are tried. */
static bool has_passed(uint32_t start, unsigned pm_ticks)
{
	return ((pm_timer() - start) & PM_MASK) >= pm_ticks;
}

/* While its gate is low a counter in mode 0 stands; KVM's counts all the same. */
static bool is_held_by_gate(void)
{
	uint32_t start;

	port_out8(PORT_61, 0);
	load(PIT_COUNTER2, PIT_SHOT2);
	start = pm_timer();
	while (!has_passed(start, 2 * PM_PER_COUNT)) {
		if (port_in8(PORT_61) & PORT_61_OUT)
			return false;
	}
	return true;
}

/* As systems measure their processor's speed: the output falls with the control word and rises when
 * the count is over. */
static bool does_output_rise(void)
{
	port_out8(PORT_61, PORT_61_GATE);
	load(PIT_COUNTER2, PIT_SHOT2);
	if ((port_in8(PORT_61) & (PORT_61_OUT | PORT_61_GATE)) != PORT_61_GATE)
		return false;
	while (!(port_in8(PORT_61) & PORT_61_OUT))
		cpu_relax();
	return true;
}

static void wait_for(const volatile unsigned *count)
{
	while (*count < TICKS)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void ioapic_write(unsigned index, uint32_t value)
{
	*reg(IOAPIC_SELECT) = index;
	*reg(IOAPIC_WINDOW) = value;
}

/* LINT0 is closed, so that the pair is heard by pin 0 alone; it gives the vector all the same, and
 * takes the end of interrupt.  KVM has nothing wired to that pin. */
static bool does_extint_tick(void)
{
	uint32_t start;

	*reg(LAPIC_LINT0) = LVT_MASKED;
	pic_ticks = 0;
	ioapic_write(IOAPIC_ENTRY + 2 * IOAPIC_INTR + 1, 0);
	ioapic_write(IOAPIC_ENTRY + 2 * IOAPIC_INTR, IOAPIC_EXTINT);
	pic_init(1);
	start = pm_timer();
	__asm__ volatile("sti");
	while (pic_ticks < TICKS && !has_passed(start, 2 * TICKS * PM_PER_COUNT))
		cpu_relax();
	__asm__ volatile("cli");
	return pic_ticks >= TICKS;
}

int main(void)
{
	idt_init();
	idt_set(IDT_PIC_BASE, on_pic);
	idt_set(IOAPIC_VECTOR, on_ioapic);
	print_text(is_held_by_gate() ? "timer: the gate holds\n" : "timer: the gate is ignored\n");
	print_text(does_output_rise() ? "timer: counter 2 ends\n" : "timer: no port 0x61\n");

	pic_init(1);
	load(PIT_COUNTER0, PIT_RATE0);
	wait_for(&pic_ticks);
	print_text("timer: irq 0 ticks\n");

	pic_init(0);
	*reg(LAPIC_SVR) |= LAPIC_ENABLE;
	ioapic_write(IOAPIC_ENTRY + 2 * IOAPIC_PIN + 1, 0);
	ioapic_write(IOAPIC_ENTRY + 2 * IOAPIC_PIN, IOAPIC_VECTOR);
	wait_for(&ioapic_ticks);
	ioapic_write(IOAPIC_ENTRY + 2 * IOAPIC_PIN, IOAPIC_MASKED);
	print_text("timer: pin 2 ticks\n");
	print_text(does_extint_tick() ? "timer: pin 0 ticks\n" : "timer: pin 0 is open\n");
	return GUEST_PASS;
}
