/* A clock chip on a bus, with guest time that a test sets. */
#ifndef TEST_RTC_RIG_H
#define TEST_RTC_RIG_H

#include "src/dev/mc146818.h"

#define RTC_S  1000000000ull
#define RTC_MS 1000000ull
/* 2026-02-28, a Saturday, at 23:59:58. */
#define RTC_RIG_EPOCH 1772323198

struct rtc_rig {
	struct bus *bus;
	struct gate *gate;
	uint64_t now_ns;
	bool is_high;
	unsigned rises, alarms;
};

void rtc_rig_open(struct rtc_rig *rig);
void rtc_rig_close(struct rtc_rig *rig);
void rtc_out(struct rtc_rig *rig, unsigned index, uint8_t value);
uint8_t rtc_in(struct rtc_rig *rig, unsigned index);
/* Let guest time come to @now_ns; timers fire at their deadlines. */
void rtc_run_to(struct rtc_rig *rig, uint64_t now_ns);
/* "2026-02-28 7 23:59:58" as the registers have it, in hexadecimal. */
const char *rtc_text(struct rtc_rig *rig, char text[32]);

#endif
