/* The buses: which device answers at which port or memory address.  Two tables of regions, port
 * I/O and MMIO, filled while the machine is built and constant afterwards; one lock per device,
 * held by the bus around every call into it, so a device is a single-threaded state machine.
 * What nobody claims reads as all ones and swallows writes. */
#ifndef UMBRA_BUS_H
#define UMBRA_BUS_H

#include "umbra/blob.h"
#include "umbra/err.h"
#include "umbra/print.h"
#include "umbra/types.h"

struct bus;
struct device; /* a device's place on the bus: its ops, its state, its lock */

enum bus_kind { BUS_PIO, BUS_MMIO, BUS_KIND_COUNT };

/* What a device gives.  Each call runs under the device's lock, with the @state given at
 * registration.  None may block, sleep, read a clock or call back into the bus. */
struct dev_ops {
	const char *name;
	/* Access widths in bytes that read and write understand, as a mask (1|2|4|8); the bus
	 * splits wider accesses into consecutive narrower ones and widens none. */
	unsigned widths;
	/* @offset from the start of the region; @width one of the mask. */
	uint64_t (*read)(void *state, uint64_t offset, unsigned width);
	void (*write)(void *state, uint64_t offset, unsigned width, uint64_t value);
	void (*reset)(void *state); /* as at power-up; irq lines are lowered */
	/* State to and from a blob; load checks everything and changes nothing when it fails.
	 * Errors of load: -EINVAL. */
	void (*save)(const void *state, struct blob *out);
	int (*load)(void *state, struct blob *in, struct umbra_err *err);
	void (*show)(const void *state, const struct print_sink *sink); /* for a person */
	void (*destroy)(void *state); /* free @state; NULL when it is not the bus's to free */
};

/* Errors: -ENOMEM. */
int bus_create(struct bus **out_bus, struct umbra_err *err);
/* Destroys its devices too, last registered first.  NULL is allowed. */
void bus_destroy(struct bus *bus);

/* Register a device; bus_destroy hands @state to ops->destroy.  NULL when memory is short (@state
 * then stays the caller's).
 * Call: while the machine is built. */
struct device *bus_add_device(struct bus *bus, const struct dev_ops *ops, void *state);

/* Let @dev answer @len addresses from @base; offsets given to it start at @offset.
 * Errors: -EEXIST overlaps (the text names the other device), -EINVAL, -ENOSPC more than 255 port
 * regions, -ENOMEM. */
int bus_map(struct device *dev, enum bus_kind kind, uint64_t base, uint64_t len, uint64_t offset,
	    struct umbra_err *err);

/* The guest's port access: @count elements of @size (1, 2 or 4) bytes at @data, all to @port
 * (string instructions have count > 1).  Call: a vCPU thread. */
void bus_pio(struct bus *bus, uint16_t port, bool is_write, unsigned size, unsigned count,
	     void *data);
/* The guest's MMIO access of @len (1..8) bytes.  Call: a vCPU thread. */
void bus_mmio(struct bus *bus, gpa_t gpa, bool is_write, unsigned len, void *data);

/* Call @fn(@state, @arg) under the device's lock: host input, show, save. */
void bus_with_device(struct device *dev, void (*fn)(void *state, void *arg), void *arg);

/* Reset every device, in order of registration. */
void bus_reset(struct bus *bus);

/* For `info mtree`: region @index of @kind in address order.  False past the last. */
struct bus_region_info {
	uint64_t base, len;
	const struct device *dev;
	const char *name;
	uint64_t access_count; /* accesses served since the start */
};
bool bus_region_at(const struct bus *bus, enum bus_kind kind, unsigned index,
		   struct bus_region_info *out_info);
/* Accesses that no region claimed. */
uint64_t bus_unclaimed_count(const struct bus *bus, enum bus_kind kind);
/* Print the state of device number @index (its ops' show).  False past the last. */
bool bus_show_device(struct bus *bus, unsigned index, const struct print_sink *sink);
const char *bus_device_name(const struct bus *bus, unsigned index); /* NULL past the last */

#endif
