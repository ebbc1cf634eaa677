/* The ACPI power management registers' state and operations, for acpipm.c and its unit test. */
#ifndef DEV_ACPIPM_H
#define DEV_ACPIPM_H

#include "umbra/dev.h"

/* What the device calls its addresses: the register blocks, from the base. */
enum {
	ACPIPM_STATUS = ACPIPM_EVT,
	ACPIPM_ENABLE = ACPIPM_EVT + ACPIPM_EVT_LEN / 2,
	ACPIPM_CONTROL = ACPIPM_CNT,
	ACPIPM_TIMER = ACPIPM_TMR
};

struct acpipm {
	struct acpipm_config config; /* [const] */
	struct device *dev;	     /* [const] its place on the bus */
	struct gate_timer *timer;    /* [const] for the next flip of the timer's top bit */
	uint64_t armed_ns;	     /* [dev] what it is armed for */
	uint64_t half;		     /* [dev] flips of the top bit that were seen */
	uint16_t status, enable, control;
	bool is_sci_high;
};

extern const struct dev_ops acpipm_ops;

/* @pm as at power-up, its configuration and timer given. */
void acpipm_power_up(struct acpipm *pm);

#endif
