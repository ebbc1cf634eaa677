/* System control port A's state and operations, for port92.c and its unit test. */
#ifndef DEV_PORT92_H
#define DEV_PORT92_H

#include "umbra/dev.h"

#define PORT92_RESET 0x01u
#define PORT92_A20   0x02u
#define PORT92_LOCK  0x08u
#define PORT92_LIGHT 0xc0u
#define PORT92_KEPT  (PORT92_RESET | PORT92_A20 | PORT92_LOCK | PORT92_LIGHT)

struct port92 {
	struct machine_hook hook; /* [const] */
	uint8_t value;		  /* [dev] */
};

extern const struct dev_ops port92_ops;

#endif
