/* QEMU's pc-testdev: what test suites need of a machine and no real machine has.
 *   ports 0xe0-0xe3  loopback: reads give what was written, any width
 *   ports 0xe4-0xe7  "flush page": the host page behind the guest address that is written is to be
 *                    mapped anew, for hosts that map guest memory lazily
 *   ports 0xe8-0xeb  the latch of 0xe0 once more; QEMU serves this one byte by byte, which with a
 *                    latch makes no difference
 *   ports 0x2000+n   interrupt line n of 24: anything but 0 raises it
 *   0xff000000       64 KiB of memory behind MMIO, any width
 * There is nothing to flush here: translations are kept true at each write to their sources, and a
 * page that is dropped and filled again makes no difference that a guest could see.
 * Source: hw/misc/pc-testdev.c of QEMU.
 *
 * DEVIATES: QEMU's lines hear single bytes only.  kvm-unit-tests' realmode writes 32 bits to one,
 * and goes on in QEMU since the firmware's timer ticks. */
#include "testdev.h"

#include <errno.h>
#include <stdlib.h>

#define PORT_LATCH  0xe0u
#define PORT_FLUSH  0xe4u
#define PORT_LATCH2 0xe8u
#define PORT_LINES  0x2000u
#define LATCH_BYTES TESTDEV_LATCH_BYTES
#define LINES	    TESTDEV_LINES
#define MEM_BASE    0xff000000ull
#define MEM_BYTES   TESTDEV_MEM_BYTES
/* Offsets: ports are themselves, and the memory begins behind the last port. */
#define MEM_OFFSET 0x10000u

#define TESTDEV_VERSION 1

/* The bytes behind @offset, NULL where there are none.  The bus keeps an access within the region
 * in which it starts. */
static uint8_t *bytes_at(struct testdev *dev, uint64_t offset)
{
	if (offset >= MEM_OFFSET)
		return dev->mem + (offset - MEM_OFFSET);
	if (offset >= PORT_LATCH2 && offset < PORT_LATCH2 + LATCH_BYTES)
		return dev->latch + (offset - PORT_LATCH2);
	if (offset >= PORT_LATCH && offset < PORT_LATCH + LATCH_BYTES)
		return dev->latch + (offset - PORT_LATCH);
	return NULL;
}

static void set_line(struct testdev *dev, unsigned line, bool is_high)
{
	uint32_t mask = 1u << line;

	dev->lines = is_high ? dev->lines | mask : dev->lines & ~mask;
	dev->irq.set(dev->irq.ctx, dev->irq.gsi + line, is_high);
}

static uint64_t testdev_read(void *state, uint64_t offset, unsigned width)
{
	const uint8_t *bytes = bytes_at(state, offset);
	uint64_t value = 0;

	while (bytes && width-- > 0)
		value = value << 8 | bytes[width];
	return value;
}

static void testdev_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct testdev *dev = state;
	uint8_t *bytes;

	if (offset >= PORT_LINES && offset < PORT_LINES + LINES) {
		set_line(dev, (unsigned)(offset - PORT_LINES), value != 0);
		return;
	}
	bytes = bytes_at(dev, offset);
	for (unsigned i = 0; bytes && i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static void testdev_reset(void *state)
{
	struct testdev *dev = state;

	for (unsigned line = 0; line < LINES; line++) {
		if (dev->lines >> line & 1)
			set_line(dev, line, false);
	}
	memset(dev->latch, 0, sizeof(dev->latch));
	memset(dev->mem, 0, sizeof(dev->mem));
}

static void testdev_save(const void *state, struct blob *out)
{
	const struct testdev *dev = state;

	blob_put_u8(out, TESTDEV_VERSION);
	blob_put_u32(out, dev->lines);
	blob_put_bytes(out, dev->latch, sizeof(dev->latch));
	blob_put_bytes(out, dev->mem, sizeof(dev->mem));
}

/* The lines themselves are the interrupt chips' to restore. */
static int testdev_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct testdev *dev = state;
	uint8_t version = blob_get_u8(in);
	uint32_t lines = blob_get_u32(in);

	if (in->is_failed || version != TESTDEV_VERSION || lines >> LINES ||
	    in->size - in->pos < sizeof(dev->latch) + sizeof(dev->mem))
		return umbra_err_set(err, EINVAL,
				     "pc-testdev: saved state has version %u, lines %#x, %zu bytes "
				     "more; expected version %d, %u lines, %zu bytes",
				     version, lines, in->size - in->pos, TESTDEV_VERSION, LINES,
				     sizeof(dev->latch) + sizeof(dev->mem));
	dev->lines = lines;
	blob_get_bytes(in, dev->latch, sizeof(dev->latch));
	blob_get_bytes(in, dev->mem, sizeof(dev->mem));
	return 0;
}

static void testdev_show(const void *state, const struct print_sink *sink)
{
	const struct testdev *dev = state;

	print_to(sink, "pc-testdev: latch %08x, interrupt lines %06x\n", le32_get(dev->latch),
		 dev->lines);
}

const struct dev_ops testdev_ops = {
	.name = "pc-testdev",
	.widths = 1 | 2 | 4 | 8,
	.read = testdev_read,
	.write = testdev_write,
	.reset = testdev_reset,
	.save = testdev_save,
	.load = testdev_load,
	.show = testdev_show,
	.destroy = free,
};

int testdev_create(struct bus *bus, struct irq_line irq, struct umbra_err *err)
{
	static const struct {
		enum bus_kind kind;
		uint64_t base, len, offset;
	} regions[] = {
		{BUS_PIO, PORT_LATCH, LATCH_BYTES, PORT_LATCH},
		{BUS_PIO, PORT_FLUSH, PORT_LATCH2 - PORT_FLUSH, PORT_FLUSH},
		{BUS_PIO, PORT_LATCH2, LATCH_BYTES, PORT_LATCH2},
		{BUS_PIO, PORT_LINES, LINES, PORT_LINES},
		{BUS_MMIO, MEM_BASE, MEM_BYTES, MEM_OFFSET},
	};
	struct testdev *state = calloc(1, sizeof(*state));
	struct device *dev = NULL;
	int error = 0;

	if (state) {
		state->irq = irq;
		dev = bus_add_device(bus, &testdev_ops, state);
	}
	if (!dev) {
		free(state);
		return umbra_err_set(err, ENOMEM, "no memory for pc-testdev");
	}
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(regions) && !error; i++)
		error = bus_map(dev, regions[i].kind, regions[i].base, regions[i].len,
				regions[i].offset, err);
	return error;
}
