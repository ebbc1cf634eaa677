/* System control port A of a PS/2, port 0x92:
 *   7, 6 disk light | 5 0 | 4 watchdog 0 | 3 security lock | 2 0 | 1 A20 | 0 fast reset
 * Bit 0 resets the machine as it goes from 0 to 1.  Source: IBM PS/2 Hardware Interface Technical
 * Reference, "System Control Port A".
 * DEVIATES: address line 20 is always open; bit 1 reads back what was written, and no more. */
#include "port92.h"

#include <errno.h>
#include <stdlib.h>

#define PORT92_VERSION 1

static uint64_t port92_read(void *state, uint64_t offset, unsigned width)
{
	const struct port92 *port = state;

	(void)offset;
	(void)width;
	return port->value;
}

static void port92_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct port92 *port = state;
	bool has_risen = (value & PORT92_RESET) && !(port->value & PORT92_RESET);

	(void)offset;
	(void)width;
	port->value = (uint8_t)value & PORT92_KEPT;
	if (has_risen)
		port->hook.post(port->hook.ctx, MACHINE_RESET, 0);
}

static void port92_reset(void *state)
{
	struct port92 *port = state;

	port->value = PORT92_A20;
}

static void port92_save(const void *state, struct blob *out)
{
	const struct port92 *port = state;

	blob_put_u8(out, PORT92_VERSION);
	blob_put_u8(out, port->value);
}

static int port92_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct port92 *port = state;
	uint8_t version = blob_get_u8(in);
	uint8_t value = blob_get_u8(in);

	if (in->is_failed || version != PORT92_VERSION || (value & ~PORT92_KEPT))
		return umbra_err_set(err, EINVAL,
				     "port92: saved state has version %u, value %#x; expected "
				     "version %d, bits %#x",
				     version, value, PORT92_VERSION, PORT92_KEPT);
	port->value = value;
	return 0;
}

static void port92_show(const void *state, const struct print_sink *sink)
{
	const struct port92 *port = state;

	print_to(sink, "port92: %02x\n", port->value);
}

const struct dev_ops port92_ops = {
	.name = "port92",
	.widths = 1,
	.read = port92_read,
	.write = port92_write,
	.reset = port92_reset,
	.save = port92_save,
	.load = port92_load,
	.show = port92_show,
	.destroy = free,
};

int port92_create(struct bus *bus, uint16_t port, struct machine_hook hook, struct umbra_err *err)
{
	struct port92 *state = malloc(sizeof(*state));
	struct device *dev = NULL;

	if (state) {
		*state = (struct port92){.hook = hook, .value = PORT92_A20};
		dev = bus_add_device(bus, &port92_ops, state);
	}
	if (!dev) {
		free(state);
		return umbra_err_set(err, ENOMEM, "no memory for port92");
	}
	return bus_map(dev, BUS_PIO, port, 1, 0, err);
}
