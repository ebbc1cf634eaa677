/* The debug console of Bochs and QEMU (isa-debugcon): one port, bytes out, and a fixed answer by
 * which a guest finds out that it is there. */
#include "umbra/dev.h"

#include <errno.h>
#include <stdlib.h>

#define DEBUGCON_ANSWER 0xe9

/* It remembers nothing, so reset, save and load have nothing to do. */
struct debugcon {
	struct chardev *chardev; /* [const] may be NULL */
};

static uint64_t debugcon_read(void *state, uint64_t offset, unsigned width)
{
	(void)state;
	(void)offset;
	(void)width;
	return DEBUGCON_ANSWER;
}

static void debugcon_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct debugcon *con = state;

	(void)offset;
	(void)width;
	if (con->chardev)
		chardev_put(con->chardev, (uint8_t)value);
}

static void debugcon_reset(void *state)
{
	(void)state;
}

static void debugcon_save(const void *state, struct blob *out)
{
	(void)state;
	(void)out;
}

static int debugcon_load(void *state, struct blob *in, struct umbra_err *err)
{
	(void)state;
	(void)in;
	(void)err;
	return 0;
}

static void debugcon_show(const void *state, const struct print_sink *sink)
{
	const struct debugcon *con = state;

	print_to(sink, "debugcon: reads give %#x, output goes %s\n", DEBUGCON_ANSWER,
		 con->chardev ? "to its back end" : "nowhere");
}

static const struct dev_ops debugcon_ops = {
	.name = "debugcon",
	.widths = 1,
	.read = debugcon_read,
	.write = debugcon_write,
	.reset = debugcon_reset,
	.save = debugcon_save,
	.load = debugcon_load,
	.show = debugcon_show,
	.destroy = free,
};

int debugcon_create(struct bus *bus, uint16_t port, struct chardev *chardev, struct umbra_err *err)
{
	struct debugcon *con = malloc(sizeof(*con));
	struct device *dev = NULL;

	if (con) {
		con->chardev = chardev;
		dev = bus_add_device(bus, &debugcon_ops, con);
	}
	if (!dev) {
		free(con);
		return umbra_err_set(err, ENOMEM, "no memory for debugcon");
	}
	return bus_map(dev, BUS_PIO, port, 1, 0, err);
}
