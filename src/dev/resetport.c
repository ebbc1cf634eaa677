/* The port by which PC software resets the machine, and nothing else of the chip that it belongs
 * to (PIIX3 data sheet, RC):
 *   0xcf9 bit 1 SRST: 1 = hard reset, 0 = soft
 *         bit 2 RCPU: 0 to 1 resets in the way that bit 1 says.
 * RC lies in the middle of PCI's configuration address (0xcf8 to 0xcfb), from which it differs by
 * the width of the access alone.  So all four ports are claimed, and wider accesses end here: the
 * bus would split them, and a guest that scans PCI would reset itself with function 4.
 *
 * There is no PCI, and these ports are where software finds that out.  All ones is the answer that
 * ends its search at once: Linux takes mechanism 1 for present when a dword of 0x80000000 written
 * to 0xcf8 reads back, and mechanism 2 when bytes of 0 written to 0xcf8 and 0xcfa do (6.1,
 * arch/x86/pci/direct.c); SeaBIOS 1.16 asks for the former.  An address register that held its
 * value would make both go on to read 256 empty functions of bus 0.  The data ports, 0xcfc to
 * 0xcff, are nobody's, which is all ones too.
 * DEVIATES: a soft reset (INIT) resets the whole machine too. */
#include "resetport.h"

#include <errno.h>
#include <stdlib.h>

#define RC_SRST	  0x02u
#define RC_RCPU	  0x04u
#define RC_KEPT	  (RC_SRST | RC_RCPU)
#define PCI_PORTS 4

#define RESETPORT_VERSION 1

static uint64_t resetport_read(void *state, uint64_t offset, unsigned width)
{
	const struct resetport *port = state;

	return offset == RESETPORT_RC && width == 1 ? port->rc : UINT32_MAX;
}

static bool is_reset_by_rc(struct resetport *port, uint8_t value)
{
	bool has_risen = (value & RC_RCPU) && !(port->rc & RC_RCPU);

	port->rc = value & RC_KEPT;
	return has_risen;
}

static void resetport_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct resetport *port = state;

	if (offset == RESETPORT_RC && width == 1 && is_reset_by_rc(port, (uint8_t)value))
		port->hook.post(port->hook.ctx, MACHINE_RESET, 0);
}

static void resetport_reset(void *state)
{
	struct resetport *port = state;

	port->rc = 0;
}

static void resetport_save(const void *state, struct blob *out)
{
	const struct resetport *port = state;

	blob_put_u8(out, RESETPORT_VERSION);
	blob_put_u8(out, port->rc);
}

static int resetport_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct resetport *port = state;
	uint8_t version = blob_get_u8(in);
	uint8_t rc = blob_get_u8(in);

	if (in->is_failed || version != RESETPORT_VERSION || (rc & ~RC_KEPT))
		return umbra_err_set(err, EINVAL,
				     "reset-port: saved state has version %u, register %#x; "
				     "expected version %d, bits %#x",
				     version, rc, RESETPORT_VERSION, RC_KEPT);
	port->rc = rc;
	return 0;
}

static void resetport_show(const void *state, const struct print_sink *sink)
{
	const struct resetport *port = state;

	print_to(sink, "reset-port: rc %02x\n", port->rc);
}

const struct dev_ops resetport_ops = {
	.name = "reset-port",
	.widths = 1 | 2 | 4,
	.read = resetport_read,
	.write = resetport_write,
	.reset = resetport_reset,
	.save = resetport_save,
	.load = resetport_load,
	.show = resetport_show,
	.destroy = free,
};

int resetport_create(struct bus *bus, struct machine_hook hook, struct umbra_err *err)
{
	struct resetport *port = malloc(sizeof(*port));
	struct device *dev = NULL;

	if (port) {
		*port = (struct resetport){.hook = hook};
		dev = bus_add_device(bus, &resetport_ops, port);
	}
	if (!dev) {
		free(port);
		return umbra_err_set(err, ENOMEM, "no memory for reset-port");
	}
	return bus_map(dev, BUS_PIO, RESETPORT_PCI, PCI_PORTS, RESETPORT_PCI, err);
}
