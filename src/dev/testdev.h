/* The state and operations of pc-testdev, for testdev.c and its unit test. */
#ifndef DEV_TESTDEV_H
#define DEV_TESTDEV_H

#include "umbra/dev.h"

#define TESTDEV_LINES	    24u
#define TESTDEV_LATCH_BYTES 4u
#define TESTDEV_MEM_BYTES   0x10000u

struct testdev {
	struct irq_line irq;		    /* [const] gsi is line 0's */
	uint32_t lines;			    /* [dev] mask of those that are high */
	uint8_t latch[TESTDEV_LATCH_BYTES]; /* [dev] */
	uint8_t mem[TESTDEV_MEM_BYTES];	    /* [dev] */
};

extern const struct dev_ops testdev_ops;

#endif
