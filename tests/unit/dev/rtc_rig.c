#include "rtc_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>

static uint64_t rig_now(void *ctx)
{
	return ((struct rtc_rig *)ctx)->now_ns;
}

static void rig_irq(void *ctx, unsigned gsi, bool is_high)
{
	struct rtc_rig *rig = ctx;

	cr_assert_eq(gsi, 8);
	cr_assert_neq(rig->is_high, is_high);
	rig->is_high = is_high;
	rig->rises += is_high;
}

static void rig_alarm(void *ctx)
{
	((struct rtc_rig *)ctx)->alarms++;
}

void rtc_rig_open(struct rtc_rig *rig)
{
	const struct gate_clock clock = {.now_ns = rig_now, .ctx = rig};
	struct mc146818_config config = {.base = 0x70,
					 .irq = {.set = rig_irq, .ctx = rig, .gsi = 8},
					 .pc = {.low_bytes = 128ull << 20, .cpus = 1},
					 .alarm = rig_alarm,
					 .ctx = rig};

	*rig = (struct rtc_rig){.now_ns = 0};
	cr_assert_eq(gate_create(&rig->gate, NULL), 0);
	gate_set_clock(rig->gate, &clock);
	config.gate = rig->gate;
	cr_assert_eq(bus_create(&rig->bus, NULL), 0);
	cr_assert_eq(mc146818_create(rig->bus, &config, NULL), 0);
	gate_set_epoch_s(rig->gate, RTC_RIG_EPOCH); /* as the machine does: after its devices */
}

void rtc_rig_close(struct rtc_rig *rig)
{
	bus_destroy(rig->bus);
	gate_destroy(rig->gate);
}

void rtc_out(struct rtc_rig *rig, unsigned index, uint8_t value)
{
	uint8_t bytes[2] = {(uint8_t)index, value};

	bus_pio(rig->bus, 0x70, true, 2, 1, bytes);
}

uint8_t rtc_in(struct rtc_rig *rig, unsigned index)
{
	uint8_t byte = (uint8_t)index;

	bus_pio(rig->bus, 0x70, true, 1, 1, &byte);
	bus_pio(rig->bus, 0x71, false, 1, 1, &byte);
	return byte;
}

void rtc_run_to(struct rtc_rig *rig, uint64_t now_ns)
{
	while (gate_deadline(rig->gate) <= now_ns) {
		if (gate_deadline(rig->gate) > rig->now_ns)
			rig->now_ns = gate_deadline(rig->gate);
		gate_run(rig->gate);
	}
	rig->now_ns = now_ns;
}

const char *rtc_text(struct rtc_rig *rig, char text[32])
{
	snprintf(text, 32, "%02x%02x-%02x-%02x %x %02x:%02x:%02x", rtc_in(rig, RTC_CENTURY),
		 rtc_in(rig, RTC_YEAR), rtc_in(rig, RTC_MONTH), rtc_in(rig, RTC_DAY),
		 rtc_in(rig, RTC_WEEKDAY), rtc_in(rig, RTC_HOURS), rtc_in(rig, RTC_MINUTES),
		 rtc_in(rig, RTC_SECONDS));
	return text;
}
