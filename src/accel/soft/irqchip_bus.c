/* The interrupt chips on the bus: which ports and addresses are whose.  Each access takes the
 * chips' lock, and the timer chip is brought to the present first. */
#include "irqchip.h"

#include <errno.h>

#define PIC_PORT_MASTER 0x20
#define PIC_PORT_SLAVE	0xa0
#define PIC_PORT_ELCR	0x4d0
#define PIT_PORT	0x40
#define PIT_PORT_COUNT	4
#define PORT_61		0x61
#define IOAPIC_GPA	0xfec00000

static struct irqchip_device *device_enter(void *state)
{
	struct irqchip_device *d = state;

	irqchip_enter(d->chip);
	if (d->state == d->chip->pit)
		irqchip_timer_run(d->chip, soft_vm_now(d->chip->vm));
	return d;
}

static uint64_t device_read(void *state, uint64_t offset, unsigned width)
{
	struct irqchip_device *d = device_enter(state);
	uint64_t value = d->ops->read(d->state, offset, width);

	irqchip_leave(d->chip);
	return value;
}

static void device_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct irqchip_device *d = device_enter(state);

	d->ops->write(d->state, offset, width, value);
	irqchip_leave(d->chip);
}

static void device_reset(void *state)
{
	struct irqchip_device *d = device_enter(state);

	d->ops->reset(d->state);
	irqchip_leave(d->chip);
}

static void device_save(const void *state, struct blob *out)
{
	const struct irqchip_device *d = state;

	irqchip_enter(d->chip);
	d->ops->save(d->state, out);
	irqchip_leave(d->chip);
}

static int device_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct irqchip_device *d = device_enter(state);
	int error = d->ops->load(d->state, in, err);
	irqchip_leave(d->chip);
	return error;
}

static void device_show(const void *state, const struct print_sink *sink)
{
	const struct irqchip_device *d = state;

	irqchip_enter(d->chip);
	d->ops->show(d->state, sink);
	irqchip_leave(d->chip);
}

#define DEVICE_OPS(device_name, device_widths)                                                     \
	{                                                                                          \
		.name = (device_name), .widths = (device_widths), .read = device_read,             \
		.write = device_write, .reset = device_reset, .save = device_save,                 \
		.load = device_load, .show = device_show,                                          \
	}

static const struct dev_ops pic_bus_ops = DEVICE_OPS("pic", 1);
static const struct dev_ops pit_bus_ops = DEVICE_OPS("pit", 1);
static const struct dev_ops ioapic_bus_ops = DEVICE_OPS("ioapic", 1 | 2 | 4);
static const struct dev_ops lapic_bus_ops = DEVICE_OPS("lapic", 1);

struct window {
	enum bus_kind kind;
	uint64_t base, len, offset;
};

static int add_device(struct soft_irqchip *chip, struct irqchip_device *d,
		      const struct dev_ops *bus_ops, const struct window *windows, unsigned count,
		      struct umbra_err *err)
{
	struct device *dev;

	d->chip = chip;
	dev = bus_add_device(chip->vm->bus, bus_ops, d);
	if (!dev)
		return umbra_err_set(err, ENOMEM, "%s: no memory for the device", bus_ops->name);
	for (unsigned i = 0; i < count; i++) {
		int error = bus_map(dev, windows[i].kind, windows[i].base, windows[i].len,
				    windows[i].offset, err);

		if (error)
			return error;
	}
	return 0;
}

/* The timer comes first: a reset of the bus lets its line rise before the 8259A pair forgets it. */
int irqchip_add_devices(struct soft_irqchip *chip, struct umbra_err *err)
{
	static const struct window pit[] = {
		{BUS_PIO, PIT_PORT, PIT_PORT_COUNT, PIT8254_COUNTER0},
		{BUS_PIO, PORT_61, 1, PIT8254_PORT61},
	};
	static const struct window pic[] = {
		{BUS_PIO, PIC_PORT_MASTER, 2, PIC8259_MASTER},
		{BUS_PIO, PIC_PORT_SLAVE, 2, PIC8259_SLAVE},
		{BUS_PIO, PIC_PORT_ELCR, 2, PIC8259_ELCR},
	};
	static const struct window ioapic[] = {{BUS_MMIO, IOAPIC_GPA, UMBRA_PAGE_SIZE, 0}};
	int error;

	chip->pit_device.ops = &pit8254_ops;
	chip->pit_device.state = chip->pit;
	error = add_device(chip, &chip->pit_device, &pit_bus_ops, pit, 2, err);
	if (error)
		return error;
	chip->pic_device.ops = &pic8259_ops;
	chip->pic_device.state = chip->pic;
	error = add_device(chip, &chip->pic_device, &pic_bus_ops, pic, 3, err);
	if (error)
		return error;
	chip->ioapic_device.ops = &ioapic_ops;
	chip->ioapic_device.state = chip->ioapic;
	error = add_device(chip, &chip->ioapic_device, &ioapic_bus_ops, ioapic, 1, err);
	for (unsigned i = 0; !error && i < chip->cpu_count; i++)
		error = add_device(chip, &chip->cpu[i].device, &lapic_bus_ops, NULL, 0, err);
	return error;
}
