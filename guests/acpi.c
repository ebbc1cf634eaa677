/* Finds the machine by its ACPI tables alone, looks at its timer, lets the clock's alarm and, with
 * wants_button set (by a debugger), the power button interrupt it, and powers it off through PM1.
 * Static state: what the handler and main() share.
 * Source: ACPI 6.5, 5.2.5 (RSDP), 5.2.9 (FADT), 4.8.3 (registers), 7.4.2 (\_S5); MC146818A data
 * sheet (register B). */
#include "pic.h"

#define SEARCH_FROM   0xe0000u
#define SEARCH_TO     0x100000u
#define RSDP_BYTES    36u
#define RSDP_XSDT     24u
#define HEADER_BYTES  36u
#define FADT_SCI      46u
#define FADT_EVENT    56u
#define FADT_CONTROL  64u
#define FADT_TIMER    76u
#define FADT_X_DSDT   140u
#define EVENT_BUTTON  0x100u
#define EVENT_ALARM   0x400u
#define SLP_EN	      0x2000u
#define SLP_SHIFT     10
#define TIMER_TICKS   3580u /* a millisecond */
#define RTC_INDEX     0x70
#define RTC_DATA      0x71
#define RTC_B	      0x0b
#define RTC_24H	      0x02u
#define RTC_ALARM     0x20u
#define RTC_ALARM_ANY 0xc0u /* in each of the alarm's locations: each second */

volatile bool wants_button;
static volatile uint16_t events;
static uint16_t event_port;
static unsigned sci;

static uint64_t get(uint64_t address, unsigned bytes)
{
	const volatile uint8_t *at = (const volatile uint8_t *)address;
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static bool is_sound(uint64_t address, uint64_t bytes)
{
	uint8_t sum = 0;

	while (bytes-- > 0)
		sum = (uint8_t)(sum + get(address + bytes, 1));
	return sum == 0;
}

static uint16_t port_in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void port_out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t port_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint64_t find_rsdp(void)
{
	for (uint64_t at = SEARCH_FROM; at < SEARCH_TO; at += 16) {
		if (get(at, 8) == 0x2052545020445352 && is_sound(at, RSDP_BYTES)) /* "RSD PTR " */
			return at;
	}
	return 0;
}

/* The table of @signature among those that the XSDT names; prints each of them. */
static uint64_t find_table(uint64_t xsdt, uint32_t signature)
{
	uint64_t found = 0;

	for (uint64_t at = xsdt + HEADER_BYTES; at < xsdt + get(xsdt + 4, 4); at += 8) {
		uint64_t table = get(at, 8);

		print_char(' ');
		for (unsigned i = 0; i < 4; i++)
			print_char((char)get(table + i, 1));
		print_text(is_sound(table, get(table + 4, 4)) ? " sound" : " broken");
		if (get(table, 4) == signature)
			found = table;
	}
	print_char('\n');
	return found;
}

/* SLP_TYP of \_S5: the first element of the package of that name, a byte or a constant. */
static uint8_t s5_type(uint64_t dsdt)
{
	for (uint64_t at = dsdt; at < dsdt + get(dsdt + 4, 4); at++) {
		uint64_t length_bytes;

		if (get(at, 4) != 0x5f35535f) /* "_S5_" */
			continue;
		length_bytes = get(at + 5, 1) >> 6;
		at += 5 + 1 + length_bytes + 1; /* name, PackageOp, length, count */
		return (uint8_t)(get(at, 1) == 0x0a ? get(at + 1, 1) : get(at, 1));
	}
	return 0xff;
}

static void on_sci(struct idt_frame *frame)
{
	uint16_t status = port_in16(event_port);

	(void)frame;
	events |= status;
	port_out16(event_port, status);
	pic_end(sci);
}

/* Let @event alone interrupt, and wait until it has. */
static void wait_for(uint16_t event)
{
	port_out16((uint16_t)(event_port + 2), event);
	while ((events & event) == 0)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	port_out16((uint16_t)(event_port + 2), 0);
}

static void rtc_out(uint8_t index, uint8_t value)
{
	port_out8(RTC_INDEX, index);
	port_out8(RTC_DATA, value);
}

/* The clock's own interrupt stays masked. */
static void wait_for_alarm(void)
{
	for (uint8_t location = 1; location <= 5; location += 2)
		rtc_out(location, RTC_ALARM_ANY);
	rtc_out(RTC_B, RTC_24H | RTC_ALARM);
	wait_for(EVENT_ALARM);
	rtc_out(RTC_B, RTC_24H);
	print_text("acpi: the alarm rings\n");
}

static void wait_for_button(void)
{
	print_text("acpi: waits for the button\n");
	wait_for(EVENT_BUTTON);
	print_text("acpi: pressed\n");
}

int main(void)
{
	uint64_t rsdp = find_rsdp(), fadt;
	uint16_t control, timer;
	uint32_t start;

	if (!rsdp)
		return GUEST_FAIL;
	print_text("acpi:");
	fadt = find_table(get(rsdp + RSDP_XSDT, 8), 0x50434146); /* "FACP" */
	if (!fadt)
		return GUEST_FAIL;
	event_port = (uint16_t)get(fadt + FADT_EVENT, 4);
	control = (uint16_t)get(fadt + FADT_CONTROL, 4);
	timer = (uint16_t)get(fadt + FADT_TIMER, 4);
	start = port_in32(timer);
	while (port_in32(timer) - start < TIMER_TICKS)
		cpu_relax();
	print_text("acpi: the timer runs\n");
	sci = (unsigned)get(fadt + FADT_SCI, 2);
	idt_init();
	idt_set(IDT_PIC_BASE + sci, on_sci);
	pic_init((uint16_t)(1u << sci));
	wait_for_alarm();
	if (wants_button)
		wait_for_button();
	print_text("acpi: good night\n");
	port_out16(control, (uint16_t)(SLP_EN | s5_type(get(fadt + FADT_X_DSDT, 8)) << SLP_SHIFT));
	return GUEST_FAIL;
}
