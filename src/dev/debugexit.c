/* QEMU's isa-debug-exit: a guest ends the process with a status of its choice by one write.
 * As in QEMU the region takes any width up to 4 bytes, so that one `outl` is one value. */
#include "umbra/dev.h"

#include <errno.h>
#include <stdlib.h>

struct debugexit {
	bool is_plain;		  /* [const] */
	unsigned size;		  /* [const] ports */
	struct machine_hook hook; /* [const] */
};

static uint64_t debugexit_read(void *state, uint64_t offset, unsigned width)
{
	(void)state;
	(void)offset;
	(void)width;
	return 0;
}

/* hw/misc/debugexit.c of QEMU: exit((val << 1) | 1), which the process's parent sees cut to 8
 * bits.  Cut here already, so that everybody in between sees the same status. */
static void debugexit_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	const struct debugexit *dev = state;
	uint64_t code = dev->is_plain ? value : value << 1 | 1;

	(void)offset;
	(void)width;
	dev->hook.post(dev->hook.ctx, MACHINE_EXIT, (int)(code & 0xff));
}

static void debugexit_reset(void *state)
{
	(void)state;
}

static void debugexit_save(const void *state, struct blob *out)
{
	(void)state;
	(void)out;
}

static int debugexit_load(void *state, struct blob *in, struct umbra_err *err)
{
	(void)state;
	(void)in;
	(void)err;
	return 0;
}

static void debugexit_show(const void *state, const struct print_sink *sink)
{
	const struct debugexit *dev = state;

	print_to(sink, "debug-exit: %u port%s, a write of v exits with %s\n", dev->size,
		 dev->size == 1 ? "" : "s", dev->is_plain ? "v" : "(v << 1) | 1");
}

static const struct dev_ops debugexit_ops = {
	.name = "debug-exit",
	.widths = 1 | 2 | 4,
	.read = debugexit_read,
	.write = debugexit_write,
	.reset = debugexit_reset,
	.save = debugexit_save,
	.load = debugexit_load,
	.show = debugexit_show,
	.destroy = free,
};

int debugexit_create(struct bus *bus, uint16_t iobase, unsigned iosize, bool is_plain,
		     struct machine_hook hook, struct umbra_err *err)
{
	struct debugexit *state = malloc(sizeof(*state));
	struct device *dev = NULL;

	if (state) {
		*state = (struct debugexit){.is_plain = is_plain, .size = iosize, .hook = hook};
		dev = bus_add_device(bus, &debugexit_ops, state);
	}
	if (!dev) {
		free(state);
		return umbra_err_set(err, ENOMEM, "no memory for debug-exit");
	}
	return bus_map(dev, BUS_PIO, iobase, iosize, 0, err);
}
