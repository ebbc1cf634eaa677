/* The real-time clock by interrupt: its date, the periodic interrupts of one second at 1024 Hz, and
 * an alarm.  Static state: what the handler and main() share.
 * Source: MC146818A data sheet, registers A to C. */
#include "pic.h"

#define RTC_INDEX 0x70
#define RTC_DATA  0x71
#define RTC_IRQ	  8u

#define RTC_SECONDS	  0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES	  0x02
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS	  0x04
#define RTC_HOURS_ALARM	  0x05
#define RTC_DAY		  0x07
#define RTC_MONTH	  0x08
#define RTC_YEAR	  0x09
#define RTC_CENTURY	  0x32
#define RTC_A		  0x0a
#define RTC_B		  0x0b
#define RTC_C		  0x0c
#define RTC_UIP		  0x80u
#define RTC_24H		  0x02u
#define RTC_PERIODIC	  0x40u /* enable in B, flag in C; the next two too */
#define RTC_ALARM	  0x20u
#define RTC_UPDATE	  0x10u
#define RTC_ALARM_ANY	  0xffu

#define ALARM_SECONDS 3u

static volatile unsigned periodic_count, update_count, alarm_count;

static uint8_t rtc_in(uint8_t index)
{
	port_out8(RTC_INDEX, index);
	return port_in8(RTC_DATA);
}

static void rtc_out(uint8_t index, uint8_t value)
{
	port_out8(RTC_INDEX, index);
	port_out8(RTC_DATA, value);
}

static void on_rtc(struct idt_frame *frame)
{
	uint8_t flags = rtc_in(RTC_C);

	(void)frame;
	periodic_count += (flags & RTC_PERIODIC) != 0;
	update_count += (flags & RTC_UPDATE) != 0;
	alarm_count += (flags & RTC_ALARM) != 0;
	pic_end(RTC_IRQ);
}

/* Sleep until *@count is another than it was. */
static void wait_for(const volatile unsigned *count)
{
	unsigned before = *count;

	while (*count == before)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void print_bcd(const char *before, uint8_t index)
{
	uint8_t value = rtc_in(index);

	print_text(before);
	print_char((char)('0' + (value >> 4)));
	print_char((char)('0' + (value & 15)));
}

/* A date is whole while no update is near. */
static void print_time(const char *text)
{
	while (rtc_in(RTC_A) & RTC_UIP)
		cpu_relax();
	print_text(text);
	print_bcd(" ", RTC_CENTURY);
	print_bcd("", RTC_YEAR);
	print_bcd("-", RTC_MONTH);
	print_bcd("-", RTC_DAY);
	print_bcd(" ", RTC_HOURS);
	print_bcd(":", RTC_MINUTES);
	print_bcd(":", RTC_SECONDS);
	print_char('\n');
}

/* The seconds location @seconds later, in BCD. */
static uint8_t seconds_later(uint8_t bcd, unsigned seconds)
{
	unsigned value = ((bcd >> 4) * 10u + (bcd & 15u) + seconds) % 60;

	return (uint8_t)(value / 10 << 4 | value % 10);
}

int main(void)
{
	unsigned count;

	idt_init();
	idt_set(IDT_PIC_BASE + RTC_IRQ, on_rtc);
	pic_init(1u << RTC_IRQ);
	print_time("rtc:");
	rtc_out(RTC_A, 0x26);
	rtc_in(RTC_C);
	rtc_out(RTC_B, RTC_24H | RTC_PERIODIC | RTC_UPDATE);
	wait_for(&update_count);
	count = periodic_count;
	wait_for(&update_count);
	count = periodic_count - count;
	print_text("rtc: ");
	print_dec(count);
	print_text(" periodic interrupts in a second\n");
	rtc_out(RTC_SECONDS_ALARM, seconds_later(rtc_in(RTC_SECONDS), ALARM_SECONDS));
	rtc_out(RTC_MINUTES_ALARM, RTC_ALARM_ANY);
	rtc_out(RTC_HOURS_ALARM, RTC_ALARM_ANY);
	rtc_out(RTC_B, RTC_24H | RTC_ALARM);
	rtc_in(RTC_C);
	wait_for(&alarm_count);
	print_time("rtc: alarm");
	return GUEST_PASS;
}
