/* The two buses: sorted tables of regions, a lock per device, and the splitting of accesses.
 * The tables are filled while the machine is built and constant afterwards, so that a vCPU looks a
 * region up without a lock; only the device behind it is locked.  What the splitting follows is
 * the ISA bus: a device is asked in widths that it has, at consecutive addresses, and each piece
 * finds its own device. */
#include "umbra/bus.h"
#include "umbra/lock.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUS_MAX_WIDTH 8u
#define BUS_PIO_PORTS 0x10000u
#define BUS_MAX_PIO   255u /* regions: their numbers fit a byte beside 0 */

struct device {
	struct bus *bus;	   /* [const] */
	const struct dev_ops *ops; /* [const] */
	void *state;		   /* [dev] */
	struct lock lock;
};

struct bus_region {
	uint64_t base, len; /* [const] base + len - 1 does not wrap */
	uint64_t offset;    /* [const] what the device calls the first address */
	struct device *dev; /* [const] */
	/* Written with the device's lock held, read by any thread; relaxed: a number for a person,
	 * ordered with nothing. */
	atomic_uint_least64_t access_count;
};

struct bus_table {
	struct bus_region *region; /* [const once the machine is built] sorted by base */
	unsigned count;
	atomic_uint_least64_t unclaimed_count; /* any thread; relaxed, as access_count */
};

struct bus {
	struct bus_table table[BUS_KIND_COUNT];
	/* [const once the machine is built] For each port one more than the number of its region;
	 * 0: nobody's.  Port output is a hot path, and a search would be most of it. */
	uint8_t pio_region[BUS_PIO_PORTS];
	struct device **device; /* [const once the machine is built] in order of registration */
	unsigned device_count;
};

/* Building. */

int bus_create(struct bus **out_bus, struct umbra_err *err)
{
	struct bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return umbra_err_set(err, ENOMEM, "no memory for the device buses");
	*out_bus = bus;
	return 0;
}

void bus_destroy(struct bus *bus)
{
	unsigned i;

	if (!bus)
		return;
	for (i = bus->device_count; i-- > 0;) {
		struct device *dev = bus->device[i];

		if (dev->ops->destroy)
			dev->ops->destroy(dev->state);
		lock_end(&dev->lock);
		free(dev);
	}
	for (i = 0; i < BUS_KIND_COUNT; i++)
		free(bus->table[i].region);
	free(bus->device);
	free(bus);
}

struct device *bus_add_device(struct bus *bus, const struct dev_ops *ops, void *state)
{
	struct device **list;
	struct device *dev;

	list = realloc(bus->device, (bus->device_count + 1) * sizeof(struct device *));
	if (!list)
		return NULL;
	bus->device = list;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return NULL;
	if (lock_init(&dev->lock) < 0) {
		free(dev);
		return NULL;
	}
	dev->bus = bus;
	dev->ops = ops;
	dev->state = state;
	bus->device[bus->device_count++] = dev;
	return dev;
}

/* Index of the first region that ends at or above @addr; the count when there is none. */
static unsigned index_after(const struct bus_table *t, uint64_t addr)
{
	unsigned low = 0;
	unsigned high = t->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (t->region[mid].base + (t->region[mid].len - 1) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int check_range(enum bus_kind kind, uint64_t base, uint64_t len, const struct device *dev,
		       struct umbra_err *err)
{
	uint64_t last;

	if (len != 0 && u64_add(base, len - 1, &last) && (kind == BUS_MMIO || last < BUS_PIO_PORTS))
		return 0;
	return umbra_err_set(err, EINVAL, "%s: %llu addresses from %#llx do not fit the %s bus",
			     dev->ops->name, (unsigned long long)len, (unsigned long long)base,
			     kind == BUS_PIO ? "port (0..0xffff)" : "memory");
}

static void index_ports(struct bus *bus)
{
	const struct bus_table *t = &bus->table[BUS_PIO];

	memset(bus->pio_region, 0, sizeof(bus->pio_region));
	for (unsigned i = 0; i < t->count; i++)
		memset(bus->pio_region + t->region[i].base, (int)i + 1, t->region[i].len);
}

int bus_map(struct device *dev, enum bus_kind kind, uint64_t base, uint64_t len, uint64_t offset,
	    struct umbra_err *err)
{
	struct bus_table *t = &dev->bus->table[kind];
	unsigned index = index_after(t, base);
	int rc = check_range(kind, base, len, dev, err);
	struct bus_region *grown;

	if (rc < 0)
		return rc;
	if (index < t->count && t->region[index].base <= base + (len - 1))
		return umbra_err_set(
			err, EEXIST, "%s: %llu addresses from %#llx overlap %s at %#llx",
			dev->ops->name, (unsigned long long)len, (unsigned long long)base,
			t->region[index].dev->ops->name, (unsigned long long)t->region[index].base);
	if (kind == BUS_PIO && t->count == BUS_MAX_PIO)
		return umbra_err_set(err, ENOSPC, "%s: the port bus has %u regions at most",
				     dev->ops->name, BUS_MAX_PIO);
	grown = realloc(t->region, (t->count + 1) * sizeof(*grown));
	if (!grown)
		return umbra_err_set(err, ENOMEM, "%s: no memory for its bus region",
				     dev->ops->name);
	t->region = grown;
	memmove(&grown[index + 1], &grown[index], (t->count - index) * sizeof(*grown));
	t->count++;
	grown[index].base = base;
	grown[index].len = len;
	grown[index].offset = offset;
	grown[index].dev = dev;
	atomic_init(&grown[index].access_count, 0);
	if (kind == BUS_PIO)
		index_ports(dev->bus);
	return 0;
}

/* Access. */

static struct bus_region *find_mmio(const struct bus *bus, uint64_t addr)
{
	const struct bus_table *t = &bus->table[BUS_MMIO];
	unsigned index = index_after(t, addr);

	if (index == t->count || t->region[index].base > addr)
		return NULL;
	return &t->region[index];
}

/* What lies behind the last port is nobody's. */
static struct bus_region *find_pio(const struct bus *bus, uint64_t port)
{
	unsigned number = port < BUS_PIO_PORTS ? bus->pio_region[port] : 0;

	return number > 0 ? &bus->table[BUS_PIO].region[number - 1] : NULL;
}

/* The widest access of at most @len bytes that @r's device has and that ends inside @r; 0 when
 * even its narrowest one is too wide. */
static unsigned piece_width(const struct bus_region *r, uint64_t addr, unsigned len)
{
	uint64_t room = r->len - (addr - r->base);
	unsigned width;

	/* Nearly always it is one of the device's own. */
	if ((len & (len - 1)) == 0 && (r->dev->ops->widths & len) != 0 && len <= room)
		return len;
	for (width = BUS_MAX_WIDTH; width > 0; width /= 2) {
		if ((r->dev->ops->widths & width) != 0 && width <= len && width <= room)
			return width;
	}
	return 0;
}

static uint64_t bytes_get(const uint8_t *bytes, unsigned width)
{
	uint64_t value = 0;

	while (width-- > 0)
		value = value << 8 | bytes[width];
	return value;
}

static void bytes_put(uint8_t *bytes, unsigned width, uint64_t value)
{
	unsigned i;

	for (i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static void piece_serve(struct bus_region *r, uint64_t addr, bool is_write, unsigned width,
			uint8_t *bytes)
{
	struct device *dev = r->dev;
	uint64_t offset = addr - r->base + r->offset;

	lock_take(&dev->lock);
	atomic_store_explicit(&r->access_count,
			      atomic_load_explicit(&r->access_count, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	if (is_write)
		dev->ops->write(dev->state, offset, width, bytes_get(bytes, width));
	else
		bytes_put(bytes, width, dev->ops->read(dev->state, offset, width));
	lock_drop(&dev->lock);
}

/* One access of @len bytes at @addr.  It counts as unclaimed once, however many of its bytes
 * nobody answered for. */
static inline void bus_access(struct bus *bus, enum bus_kind kind, uint64_t addr, bool is_write,
			      unsigned len, uint8_t *bytes)
{
	bool is_unclaimed = false;

	while (len > 0) {
		struct bus_region *r = kind == BUS_PIO ? find_pio(bus, addr) : find_mmio(bus, addr);
		unsigned width = r ? piece_width(r, addr, len) : 0;

		if (width > 0) {
			piece_serve(r, addr, is_write, width, bytes);
		} else {
			is_unclaimed = true;
			width = 1;
			if (!is_write)
				*bytes = 0xff;
		}
		addr += width;
		bytes += width;
		len -= width;
	}
	if (is_unclaimed)
		atomic_fetch_add_explicit(&bus->table[kind].unclaimed_count, 1,
					  memory_order_relaxed);
}

void bus_pio(struct bus *bus, uint16_t port, bool is_write, unsigned size, unsigned count,
	     void *data)
{
	uint8_t *bytes = data;

	assert(size == 1 || size == 2 || size == 4);
	for (; count > 0; count--) {
		bus_access(bus, BUS_PIO, port, is_write, size, bytes);
		bytes += size;
	}
}

void bus_mmio(struct bus *bus, gpa_t gpa, bool is_write, unsigned len, void *data)
{
	assert(len >= 1 && len <= BUS_MAX_WIDTH);
	bus_access(bus, BUS_MMIO, gpa, is_write, len, data);
}

/* Devices. */

void bus_with_device(struct device *dev, void (*fn)(void *state, void *arg), void *arg)
{
	lock_take(&dev->lock);
	fn(dev->state, arg);
	lock_drop(&dev->lock);
}

void bus_reset(struct bus *bus)
{
	unsigned i;

	for (i = 0; i < bus->device_count; i++) {
		struct device *dev = bus->device[i];

		lock_take(&dev->lock);
		dev->ops->reset(dev->state);
		lock_drop(&dev->lock);
	}
}

bool bus_region_at(const struct bus *bus, enum bus_kind kind, unsigned index,
		   struct bus_region_info *out_info)
{
	const struct bus_table *t = &bus->table[kind];
	const struct bus_region *r;

	if (index >= t->count)
		return false;
	r = &t->region[index];
	out_info->base = r->base;
	out_info->len = r->len;
	out_info->dev = r->dev;
	out_info->name = r->dev->ops->name;
	out_info->access_count = atomic_load_explicit(&r->access_count, memory_order_relaxed);
	return true;
}

uint64_t bus_unclaimed_count(const struct bus *bus, enum bus_kind kind)
{
	return atomic_load_explicit(&bus->table[kind].unclaimed_count, memory_order_relaxed);
}

bool bus_show_device(struct bus *bus, unsigned index, const struct print_sink *sink)
{
	struct device *dev;

	if (index >= bus->device_count)
		return false;
	dev = bus->device[index];
	lock_take(&dev->lock);
	dev->ops->show(dev->state, sink);
	lock_drop(&dev->lock);
	return true;
}

const char *bus_device_name(const struct bus *bus, unsigned index)
{
	return index < bus->device_count ? bus->device[index]->ops->name : NULL;
}
