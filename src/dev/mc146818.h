/* The MC146818A's registers and state: shared by mc146818.c, mc146818_time.c, mc146818_cmos.c and
 * the unit tests. */
#ifndef DEV_MC146818_H
#define DEV_MC146818_H

#include "umbra/dev.h"

/* What the device calls its addresses: ports 0x70 and 0x71. */
enum { RTC_PORT_INDEX = 0, RTC_PORT_DATA = 1 };

#define RTC_REGS 128u

/* Locations (MC146818A figure 12), and where PCs count centuries. */
enum rtc_reg {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06, /* 1 = Sunday */
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32
};

/* Register A. */
#define RTC_A_UIP     0x80u
#define RTC_A_DIVIDER 0x70u
#define RTC_A_RATE    0x0fu
/* The divider runs with these, and is held with all above. */
#define RTC_A_DIVIDER_LAST 0x20u

/* Register B.  The three enable bits stand where register C has their flags. */
#define RTC_B_SET 0x80u
#define RTC_B_PIE 0x40u
#define RTC_B_AIE 0x20u
#define RTC_B_UIE 0x10u
#define RTC_B_DM  0x04u /* binary */
#define RTC_B_24H 0x02u

/* Register C. */
#define RTC_C_IRQF  0x80u
#define RTC_C_PF    0x40u
#define RTC_C_AF    0x20u
#define RTC_C_UF    0x10u
#define RTC_C_FLAGS (RTC_C_PF | RTC_C_AF | RTC_C_UF)

#define RTC_D_VRT 0x80u /* the battery is good */

/* An alarm location of 0xc0 and above matches everything. */
#define RTC_ALARM_ANY 0xc0u
#define RTC_PM	      0x80u /* in a 12-hour location */

#define RTC_ALARM_NEVER UINT64_MAX

struct rtc_chip {
	uint8_t index;	       /* as written, NMI mask included */
	bool has_time;	       /* else reg's time comes from the gate at the next access */
	uint8_t reg[RTC_REGS]; /* true at `chain` */
	/* The divider chain, in periods of 32768 Hz: 0 is guest time `update_ns`, and every
	 * multiple of 32768 is the end of an update. */
	int64_t update_ns;
	int64_t chain; /* up to where reg and the flags have come */
};

struct mc146818 {
	struct device *dev;	       /* [const] */
	struct mc146818_config config; /* [const] */
	struct gate_timer *timer;      /* [const] */
	bool is_irq_high;	       /* [dev] what irq was told last */
	bool is_alarm_high;	       /* [dev] the alarm is among its reasons */
	uint64_t armed_ns;	       /* [dev] what timer was told last */
	struct rtc_chip chip;	       /* [dev] */
};

extern const struct dev_ops mc146818_ops;

/* Time of day in the registers (mc146818_time.c).  @reg has RTC_REGS bytes; its register B says
 * how. */

void rtc_time_set(uint8_t *reg, int64_t epoch_s);
/* @seconds updates.  A location whose value is none takes its lowest one first. */
void rtc_time_advance(uint8_t *reg, uint64_t seconds);
/* After how many updates, 1..86400, the alarm matches; RTC_ALARM_NEVER when none will. */
uint64_t rtc_alarm_after(const uint8_t *reg);

/* What the firmware of a PC leaves in the RAM (mc146818_cmos.c). */
void rtc_cmos_fill(uint8_t *reg, const struct mc146818_pc *pc);

#endif
