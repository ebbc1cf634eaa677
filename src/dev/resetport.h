/* The reset port's state and operations, for resetport.c and its unit test. */
#ifndef DEV_RESETPORT_H
#define DEV_RESETPORT_H

#include "umbra/dev.h"

/* What the device calls its addresses. */
enum { RESETPORT_PCI = 0xcf8, RESETPORT_RC = 0xcf9 };

struct resetport {
	struct machine_hook hook; /* [const] */
	uint8_t rc;		  /* [dev] */
};

extern const struct dev_ops resetport_ops;

#endif
