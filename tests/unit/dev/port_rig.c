/* See port_rig.h. */
#include "port_rig.h"

#include "umbra/types.h"

void port_out(struct bus *bus, uint16_t port, unsigned size, uint32_t value)
{
	uint8_t bytes[4];

	le32_put(bytes, value);
	bus_pio(bus, port, true, size, 1, bytes);
}

uint32_t port_in(struct bus *bus, uint16_t port, unsigned size)
{
	uint8_t bytes[4] = {0};

	bus_pio(bus, port, false, size, 1, bytes);
	return le32_get(bytes);
}
