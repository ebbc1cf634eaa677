/* IN and OUT for tests of devices. */
#ifndef TEST_DEV_PORT_RIG_H
#define TEST_DEV_PORT_RIG_H

#include "umbra/bus.h"

/* @size: 1, 2 or 4 bytes. */
void port_out(struct bus *bus, uint16_t port, unsigned size, uint32_t value);
uint32_t port_in(struct bus *bus, uint16_t port, unsigned size);

#endif
